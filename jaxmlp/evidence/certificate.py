"""A certificate: rows of checks with their verdicts, as a table for people and as a dictionary for programs.

PASS           the difference is within its bound
FAIL           it is not, or something raised
UNDECIDED      the witness cannot tell, and why: central differences across a kink, say
UNSUPPORTED    JAX itself cannot do this, with the number of its issue
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

Verdict = Literal["PASS", "FAIL", "UNDECIDED", "UNSUPPORTED"]


class Row(NamedTuple):
    """One check.

    Attributes:
      check: what is checked: an equation ("BP2 dZ"), or a question ("under vmap").
      where: of which layer, leaf or argument; "" for the whole.
      witness: against what: "autodiff", "central differences", …
      difference: the relative difference found; None where there is no number.
      bound: the largest that passes.
      verdict: see above.
      note: why, in a few words; "" when there is nothing to say.
    """

    check: str
    where: str
    witness: str
    difference: float | None
    bound: float | None
    verdict: Verdict
    note: str = ""


def judge(check: str, where: str, witness: str, difference: float, bound: float, note: str = "") -> Row:
    """A row that passes if the difference is a number within the bound.

    >>> judge("BP4 dW", "layer 2", "autodiff", 3e-16, 1e-12).verdict
    'PASS'
    >>> judge("BP4 dW", "layer 2", "autodiff", float("nan"), 1e-12).verdict
    'FAIL'
    """
    passed = not math.isnan(difference) and difference <= bound
    return Row(check, where, witness, difference, bound, "PASS" if passed else "FAIL", note)


def finite(value: Any) -> Any:
    """The value, None for a float that is not finite: JSON has no number for it.

    >>> [finite(value) for value in (1.5, math.nan, math.inf, "text")]
    [1.5, None, None, 'text']
    """
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclass(frozen=True)
class Certificate:
    """Rows under a title.

    >>> report = Certificate("gradients", (judge("BP3 db", "layer 1", "autodiff", 0.5, 1e-12, "keepdims missing?"),))
    >>> report.passed
    False
    >>> print(report)
    gradients
    BP3 db  layer 1  autodiff  5.0e-01  FAIL  keepdims missing?
    1 check: 0 PASS, 1 FAIL
    """

    title: str
    rows: tuple[Row, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return not self.failures

    @property
    def failures(self) -> tuple[Row, ...]:
        """The rows that failed, in order."""
        return tuple(row for row in self.rows if row.verdict == "FAIL")

    @property
    def worst(self) -> float:
        """The largest relative difference of a row that passed or failed; 0 without any."""
        return max((row.difference for row in self.rows if row.difference is not None), default=0.0)

    def count(self, verdict: Verdict) -> int:
        """How many rows have this verdict."""
        return sum(row.verdict == verdict for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and texts, None for what is not finite: title, passed, counts and rows."""
        counts = {verdict: n for verdict in _VERDICTS if (n := self.count(verdict))}
        return {
            "title": self.title,
            "passed": self.passed,
            "counts": counts,
            "rows": [{name: finite(value) for name, value in row._asdict().items()} for row in self.rows],
        }

    def __str__(self) -> str:
        counts = ", ".join(f"{self.count(v)} {v}" for v in _VERDICTS if v in ("PASS", "FAIL") or self.count(v))
        checks = "check" if len(self.rows) == 1 else "checks"
        return "\n".join([self.title, *_aligned(self.rows), f"{len(self.rows)} {checks}: {counts}"])


_VERDICTS: tuple[Verdict, ...] = ("PASS", "FAIL", "UNDECIDED", "UNSUPPORTED")


def _aligned(rows: Iterable[Row]) -> list[str]:
    cells = [
        (
            row.check,
            row.where,
            row.witness,
            "" if row.difference is None else f"{row.difference:.1e}",
            row.verdict,
            row.note,
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells)
    return [line.rstrip() for line in lines]
