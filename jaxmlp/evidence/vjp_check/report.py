"""The certificate of a rule, in two tables: what calculus says about it, and what JAX expects of it."""

from dataclasses import dataclass
from typing import Any

from jaxmlp.evidence.certificate import Certificate, Row
from jaxmlp.evidence.vjp_check.excuses import STOPS_EARLY

MATHEMATICS = (
    "value of the forward rule",
    "gradient",
    "linear in the cotangent",
    "jvp",
    "reverse over reverse",
    "forward over reverse",
    "Hessian symmetric",
    "derivative by the cotangent",
    "Taylor remainder",
    "sparsity",
)


def is_mathematics(row: Row) -> bool:
    """Whether a row is about the derivative itself; the others are about the contract with JAX."""
    return row.check.startswith(MATHEMATICS)  # "gradient at point 2" begins with "gradient"


@dataclass(frozen=True, repr=False)
class RuleCertificate(Certificate):
    """The rows of `check_vjp`: it passes if no row failed and a gradient has been confirmed."""

    @property
    def gradient_is_confirmed(self) -> bool:
        """Whether a witness has agreed with a gradient, or with one that is exact to the tolerance of a solver."""
        gradients = [row for row in self.rows if row.check.startswith("gradient")]
        # a number beside UNDECIDED is a difference that f's own tolerance explains
        to_tolerance = any(r.note.startswith(STOPS_EARLY) and (r.difference or 1.0) < 1e-3 for r in gradients)
        return to_tolerance or any(row.verdict == "PASS" for row in gradients)

    @property
    def passed(self) -> bool:
        """Whether nothing failed and a gradient has been confirmed: a check of nothing is no pass."""
        return not self.failures and self.gradient_is_confirmed

    @property
    def mathematics(self) -> Certificate:
        """The rows about the derivative itself."""
        return Certificate("mathematics", tuple(filter(is_mathematics, self.rows)))

    @property
    def contract(self) -> Certificate:
        """The rows about JAX's transformations, dtypes and costs."""
        return Certificate("contract with JAX", tuple(row for row in self.rows if not is_mathematics(row)))

    @property
    def unchecked(self) -> tuple[Row, ...]:
        """The rows that no witness has decided: UNDECIDED and UNSUPPORTED."""
        return tuple(row for row in self.rows if row.verdict in ("UNDECIDED", "UNSUPPORTED"))

    def to_dict(self) -> dict[str, Any]:
        """Return the dictionary of `Certificate`, and for every row to which of the two tables it belongs."""
        result = super().to_dict()
        for row, entry in zip(self.rows, result["rows"], strict=True):
            entry["table"] = "mathematics" if is_mathematics(row) else "contract"
        return result

    def summary(self) -> str:
        """Return the counts in one line, and in a second one if no gradient has been confirmed."""
        warning = "\nno gradient has been confirmed: this is not a pass"
        return super().summary() + warning * (bool(self.rows) and not self.gradient_is_confirmed)

    def __str__(self) -> str:
        lines = [self.title]
        # one alignment for both tables
        body = str(Certificate("", (*self.mathematics.rows, *self.contract.rows))).splitlines()[1:-1]
        count = len(self.mathematics.rows)
        for title, part in (("mathematics", body[:count]), ("contract with JAX", body[count:])):
            lines += [f"  {title}", *(f"    {line}" for line in part)] if part else []
        lines.append(self.summary())
        if names := ", ".join(dict.fromkeys(" ".join(filter(None, row[:3])) for row in self.unchecked)):
            lines.append(f"not checked: {names}")
        return "\n".join(lines)
