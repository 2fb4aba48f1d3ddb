"""The first fault of a gradient: which equation, which entry, and why.

    dW_l and db_l wrong      dZ_l is: BP1 at the output, BP2 below
    db_l alone               BP3
    dW_l alone               BP4; but where db_{l-1} is wrong too, dZ_l, by an error that adds up to 0 over the
                             examples: what BP4 does to dW_l goes no further

A known slip that gives exactly this gradient is the cause, and then the equation is the slip's.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxmlp.evidence.certificate import finite
from jaxmlp.evidence.student.causes import BOUND, NARROW, Cause, Leaf, Trial, chain, find_causes
from jaxmlp.evidence.student.slips import UNKNOWN
from jaxmlp.evidence.student.trials import leaf_name


class Diagnosis(NamedTuple):
    """The first thing that is wrong.

    Attributes:
      equation: the first wrong equation of the chain: "BP2 dZ_2"; "" when none is, or there is no gradient to look at.
      leaf, entry: where it shows most: "dW2", (row, column); None for a wrong shape.
      given, right: the two numbers there.
      ratio: given / right; None without an entry.
      cause: the known slip's name, or "wrong here, cause unknown".
      remedy: what is written and what should be.
      erratum: the number in the errata ledger of the textbook's own misprint, or "".
    """

    equation: str
    leaf: str
    entry: tuple[int, ...] | None
    given: float | None
    right: float | None
    ratio: float | None
    cause: str
    remedy: str = ""
    erratum: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and texts, None for what is not finite."""
        return {name: finite(value) for name, value in self._asdict().items()}

    def __str__(self) -> str:
        lines = []
        if self.equation:
            place = f", {self.leaf}{list(self.entry)}" if self.entry else f", {self.leaf}" * bool(self.leaf)
            numbers = (
                "" if self.ratio is None else f" = {self.given:.6g}, right {self.right:.6g}: ratio {self.ratio:.6g}"
            )
            lines.append(f"first wrong: {self.equation}{place}{numbers}")
        cause = f"{self.cause} ({self.erratum})" if self.erratum else self.cause
        return "\n".join([*lines, f"cause: {cause}" + (f": {self.remedy}" if self.remedy else "")])


def first_fault(trials: Sequence[Trial]) -> Diagnosis | None:
    """What is wrong on some trial; None when nothing is."""
    leaves = chain(len(trials[0].steps))
    wrong = [leaf for leaf in leaves if any(trial.off(leaf) > trial.bound for trial in trials)]
    if wrong:
        causes = find_causes(trials, wrong[0][0])
        shown = next(trial for trial in trials if trial.off(wrong[0]) > trial.bound)
        return Diagnosis(_equation(wrong, causes, len(shown.steps)), *_entry(shown, wrong[0]), *_named(causes))
    if told := next((t for t in trials if t.J and wrong_J(t) > t.bound), None):
        right, given = told.J or (0.0, 0.0)
        remedy = "the gradient is right, the cost that goes with it is not"
        return Diagnosis("J", "J", None, given, right, given / right if right else math.inf, UNKNOWN, remedy)
    # right but for rounding: a precision that NARROW knows
    narrow = next((t.precision for t in trials if t.precision in NARROW), None)
    if narrow and any(trial.off(leaf) > BOUND for trial in trials for leaf in leaves):
        remedy = f"the function computes in {narrow}; keep the float64 it is given"
        return Diagnosis("", "", None, None, None, None, narrow, remedy)
    return None


def wrong_J(trial: Trial) -> float:
    """|given - right| / |right| of J; 0 where it was not told."""
    right, given = trial.J or (0.0, 0.0)
    return abs(given - right) / (abs(right) or 1.0) if math.isfinite(given) else math.inf


def _equation(wrong: Sequence[Leaf], causes: Sequence[Cause], depth: int) -> str:
    l, name = wrong[0]
    error = f"{'BP1' if l == depth else 'BP2'} dZ_{l}"
    if name == "b" and (l, "W") in wrong:
        return f"BP3 db_{l} and BP4 dW_{l}" if len(causes) == 2 else error
    in_the_weights = any(cause.slip.equation in ("BP4", "penalty") for cause in causes)
    if name == "W" and (l - 1, "b") in wrong and not in_the_weights:
        return error
    return {"b": f"BP3 db_{l}", "W": f"BP4 dW_{l}"}[name]


def _named(causes: Sequence[Cause]) -> tuple[str, str, str]:
    """Name, remedy and erratum of one cause, or of two."""
    if not causes:
        return UNKNOWN, "", ""
    slips = [cause.slip for cause in causes]
    names = " and ".join(dict.fromkeys(slip.name for slip in slips))
    return names, "; ".join(slip.text for slip in slips), ", ".join(slip.erratum for slip in slips if slip.erratum)


def _entry(shown: Trial, leaf: Leaf) -> tuple[str, tuple[int, ...] | None, float | None, float | None, float | None]:
    """The leaf's name, its worst entry, the two numbers there and their ratio."""
    given, right = shown.given[leaf[0] - 1][leaf[1]], shown.right[leaf[0] - 1][leaf[1]]
    if given.shape != right.shape:
        return leaf_name(leaf), None, None, None, None
    off = np.abs(given - right)
    where = np.unravel_index(np.argmax(np.where(np.isfinite(off), off, np.inf)), off.shape)
    wrong, true = float(given[where]), float(right[where])
    ratio = wrong / true if true else math.inf
    return leaf_name(leaf), tuple(map(int, where)), wrong, true, ratio
