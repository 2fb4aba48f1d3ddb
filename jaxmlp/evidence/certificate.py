"""A certificate: rows of checks with their verdicts, as a table to read and as a dictionary for programs.

PASS           the difference is within its bound
FAIL           the difference is beyond its bound, or the function under test raised
UNDECIDED      the witness has no answer, and why: central differences across a kink, say
UNSUPPORTED    JAX itself cannot do this, with the number of its issue
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

Verdict = Literal["PASS", "FAIL", "UNDECIDED", "UNSUPPORTED"]
MAX_SHOWN = 10  # failed rows in the repr of a certificate


class Row(NamedTuple):
    """One check.

    Attributes:
      check: the equation ("BP2 dZ_1") or the question ("under vmap") that is checked.
      where: its layer, leaf or argument; "" for the whole.
      witness: the reference: "autodiff", "central differences", …
      difference: the relative difference from the reference; None where there is no number.
      bound: the largest difference that passes.
      verdict: see above.
      note: the reason in a few words; "" for none.
    """

    check: str
    where: str
    witness: str
    difference: float | None
    bound: float | None
    verdict: Verdict
    note: str = ""

    @property
    def equation(self) -> str:
        """The check without the number of its layer.

        >>> [Row(check, "", "", None, None, "PASS").equation for check in ("BP2 dZ_12", "∇c_i")]
        ['BP2 dZ', '∇c_i']
        """
        # at the end only: the i of ∇c_i is not the number of a layer
        return re.sub(r"_\d+$", "", self.check)


def judge(check: str, where: str, witness: str, difference: float, bound: float, note: str = "") -> Row:
    """Return a row that passes if the difference is a number within the bound.

    >>> judge("BP4 dW", "layer 2", "autodiff", 3e-16, 1e-12).verdict
    'PASS'
    >>> judge("BP4 dW", "layer 2", "autodiff", float("nan"), 1e-12).verdict
    'FAIL'
    """
    # NaN fails by name: a check that computed nothing must not pass
    passed = not math.isnan(difference) and difference <= bound
    return Row(check, where, witness, difference, bound, "PASS" if passed else "FAIL", note)


def finite_or_none(value: object) -> Any:
    """Return the value, or None for a float that is not finite, because JSON has no number for it.

    >>> [finite_or_none(value) for value in (1.5, math.nan, math.inf, "text")]
    [1.5, None, None, 'text']
    """
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclass(frozen=True, repr=False)
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
        """The largest relative difference of a row that passed or failed; NaN if one is NaN, 0 without any."""
        judged = (row.difference for row in self.rows if row.verdict in ("PASS", "FAIL"))
        measured = [difference for difference in judged if difference is not None]
        # NaN is the worst; max alone would pass over it, unless it comes first
        return max(measured, key=lambda difference: (math.isnan(difference), difference), default=0.0)

    def count(self, verdict: Verdict) -> int:
        """Return the number of rows with this verdict."""
        return sum(row.verdict == verdict for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Return title, passed, counts and rows as numbers and texts, with None for a number that is not finite."""
        counts = {verdict: n for verdict in _VERDICTS if (n := self.count(verdict))}
        return {
            "title": self.title,
            "passed": self.passed,
            "counts": counts,
            "rows": [{name: finite_or_none(value) for name, value in row._asdict().items()} for row in self.rows],
        }

    def __str__(self) -> str:
        return "\n".join([self.title, *_aligned(self.rows), self.summary()])

    def __repr__(self) -> str:
        """Return the title, the first rows that failed, and the counts; `print` shows every row."""
        return "\n".join([self.title, *_aligned(self.failures[:MAX_SHOWN]), self.summary()])

    def summary(self) -> str:
        """Return the counts in one line."""
        counts = ", ".join(f"{self.count(v)} {v}" for v in _VERDICTS if v in ("PASS", "FAIL") or self.count(v))
        return f"{len(self.rows)} check{'s' * (len(self.rows) != 1)}: {counts}"


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
    return [line.rstrip() for line in lines]  # the last column is empty in most rows, and padded in all
