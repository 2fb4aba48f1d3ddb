"""The first error of a gradient: which equation, which entry, and which mistake.

    db_l only                  BP3
    dW_l only                  BP4
    both                       dZ_l, if one dZ_l explains both and what lies below; else BP3 and BP4

If a common mistake gives exactly this gradient, it is the cause, and the equation is that of the mistake.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxmlp.evidence.certificate import finite_or_none
from jaxmlp.evidence.numpy_check.common_mistakes import UNKNOWN_CAUSE, find_mistake
from jaxmlp.evidence.numpy_check.cost_mistakes import explain_cost
from jaxmlp.evidence.numpy_check.factors import Explanation
from jaxmlp.evidence.numpy_check.match_mistake import BOUND, NARROW_BOUNDS, Leaf, Trial, leaf_name, leaf_order
from jaxmlp.evidence.numpy_check.search import find_cause

WRONG_SHAPE = "wrong shape"


class GradientDiagnosis(NamedTuple):
    """The first error of a gradient.

    Attributes:
      equation: the first incorrect equation, as "BP2 dZ_2"; "" if none is, or if there is no gradient.
      leaf, entry: where the error is largest: "dW2", (row, column); None for a wrong shape.
      submitted, correct: the submitted and the correct number there.
      ratio: submitted / correct; None without an entry.
      cause: the name of the mistake, or "wrong here, cause unknown".
      remedy: what was written and what is correct.
      erratum: the number of the textbook's misprint with this mistake, or "".
    """

    equation: str = ""
    leaf: str = ""
    entry: tuple[int, ...] | None = None
    submitted: float | None = None
    correct: float | None = None
    ratio: float | None = None
    cause: str = UNKNOWN_CAUSE
    remedy: str = ""
    erratum: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and texts, None for what is not finite."""
        return {name: finite_or_none(value) for name, value in self._asdict().items()}

    def __str__(self) -> str:
        lines = []
        if self.equation:
            place = f", {self.leaf}{list(self.entry)}" if self.entry else f", {self.leaf}" * bool(self.leaf)
            if self.ratio is not None:
                place += f" = {self.submitted:.6g}, correct {self.correct:.6g}: ratio {self.ratio:.6g}"
            lines.append(f"first error: {self.equation}{place}")
        cause = f"{self.cause} ({self.erratum})" if self.erratum else self.cause
        return "\n".join([*lines, f"cause: {cause}" + (f": {self.remedy}" if self.remedy else "")])


def first_error(trials: Sequence[Trial], probes: Sequence[Trial] = ()) -> GradientDiagnosis | None:
    """Return what is incorrect on some trial; None if nothing is. `probes` are more batches to find the cause on."""
    # first the gradient, then J, then the precision: an error in an earlier one explains those after it
    leaves = leaf_order(len(trials[0].steps))
    incorrect = [leaf for leaf in leaves if not all(trial.is_correct(leaf) for trial in trials)]
    if incorrect:
        example = next(trial for trial in trials if not trial.is_correct(incorrect[0]))
        cause = find_cause([*trials, *probes])
        diagnosis = _worst_entry(example, incorrect[0])._replace(equation=cause.equation)
        if cause.name:
            return diagnosis._replace(cause=cause.name, remedy=cause.text, erratum=cause.erratum)
        return _without_keepdims([*trials, *probes], diagnosis) or _by_form(example, incorrect[0], diagnosis)
    for trial in trials:
        if trial.J and cost_error(trial) > trial.bound:
            correct, submitted = trial.J
            ratio = submitted / correct if correct else math.inf
            explanation = explain_cost([*trials, *probes]) or Explanation(UNKNOWN_CAUSE, "")
            remedy = "; ".join(text for text in (explanation.text, _ONLY_J) if text)
            return GradientDiagnosis("J", "J", None, submitted, correct, ratio, explanation.name, remedy)
    # no error but rounding in a dtype of few digits
    precision = next((trial.precision for trial in trials if trial.precision in NARROW_BOUNDS), None)
    if precision and any(trial.error(leaf) > BOUND for trial in trials for leaf in leaves):
        remedy = f"the function computes in {precision}; keep the float64 of its arguments"
        return GradientDiagnosis(cause=precision, remedy=remedy)
    return None


_ONLY_J = "the gradient is correct, the cost returned with it is not"


def cost_error(trial: Trial) -> float:
    """Return |submitted - correct| / |correct| of J; 0 if the function does not return J."""
    correct, submitted = trial.J or (0.0, 0.0)
    return abs(submitted - correct) / (abs(correct) or 1.0) if math.isfinite(submitted) else math.inf


def _without_keepdims(trials: Sequence[Trial], diagnosis: GradientDiagnosis) -> GradientDiagnosis | None:
    """Return the diagnosis where every db has shape (n,), with the cause of what is incorrect beside that."""
    leaves = [leaf for leaf in leaf_order(len(trials[0].steps)) if leaf[1] == "b"]
    for trial in trials:
        for l, name in leaves:
            if trial.submitted[l - 1][name].shape != trial.correct[l - 1][name].shape[:1]:
                return None
    (keepdims,) = find_mistake("keepdims missing")
    columns = [
        trial._replace(submitted=tuple({"W": layer["W"], "b": layer["b"][:, None]} for layer in trial.submitted))
        for trial in trials
    ]
    if all(trial.is_correct(leaf) for trial in columns for leaf in leaf_order(len(trial.steps))):
        return None
    cause = find_cause(columns)
    return diagnosis._replace(
        equation=f"BP3 db and {cause.equation}",
        cause=" and ".join(filter(None, (keepdims.name, cause.name or "another, unknown cause"))),
        remedy="; ".join(filter(None, (keepdims.text, cause.text))),
        erratum=", ".join(filter(None, (keepdims.erratum, cause.erratum))),
    )


def _by_form(trial: Trial, leaf: Leaf, diagnosis: GradientDiagnosis) -> GradientDiagnosis:
    """Return the diagnosis of an unknown cause, with what the form of the leaf tells."""
    submitted, correct = trial.submitted[leaf[0] - 1][leaf[1]], trial.correct[leaf[0] - 1][leaf[1]]
    if submitted.shape != correct.shape:
        remedy = f"{leaf_name(leaf)} expects shape {correct.shape}, got {submitted.shape}"
        if leaf[1] == "b" and submitted.shape == trial.steps[leaf[0] - 1].Z.shape:
            remedy += "; db = dz is for one example; for m examples add the columns, "
            remedy += "np.sum(dZ, axis=1, keepdims=True), with 1/m once"
        elif leaf[1] == "b" and submitted.size == trial.m != correct.size:
            remedy += ": a number per example; did you sum over the units instead of the examples (axis=1)?"
        return diagnosis._replace(cause=WRONG_SHAPE, remedy=remedy)
    if not np.isfinite(submitted).all():
        remedy = f"{leaf_name(leaf)} has NaN or infinity: is there a division by 0, log 0 or an overflow of exp?"
        return diagnosis._replace(cause="not finite", remedy=remedy)
    if submitted.any() and _is_rounded(submitted, correct, trial.m):
        remedy = (
            f"every entry of {leaf_name(leaf)} is a whole number: // rounds down, and an integer dtype drops decimals"
        )
        return diagnosis._replace(cause="rounded to whole numbers", remedy=remedy)
    return diagnosis


def _is_rounded(submitted: np.ndarray, correct: np.ndarray, m: int) -> bool:
    """Whether the entries are those of the gradient, or of m or 1/m times it, as whole numbers."""
    scaled = (factor * correct for factor in (1, m, 1 / m))
    # // rounds down, a cast to integers rounds towards 0, np.round to the nearest
    return any(np.array_equal(submitted, to_whole(dW)) for dW in scaled for to_whole in (np.floor, np.trunc, np.rint))


def _worst_entry(trial: Trial, leaf: Leaf) -> GradientDiagnosis:
    """Return the leaf's name, its worst entry, the two numbers there and their ratio."""
    submitted, correct = trial.submitted[leaf[0] - 1][leaf[1]], trial.correct[leaf[0] - 1][leaf[1]]
    if submitted.shape != correct.shape:
        return GradientDiagnosis(leaf=leaf_name(leaf))
    errors = np.abs(submitted - correct)
    # argmax would return an arbitrary place among NaN; an entry that is not finite is the worst
    place = np.unravel_index(np.argmax(np.where(np.isfinite(errors), errors, np.inf)), errors.shape)
    value, expected = float(submitted[place]), float(correct[place])
    ratio = value / expected if expected else math.inf
    return GradientDiagnosis("", leaf_name(leaf), tuple(map(int, place)), value, expected, ratio)
