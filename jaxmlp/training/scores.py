"""Metrics by name: which tasks each is defined for, which way is better, and all of them at once.

    metric              binary          multiclass              multilabel        regression   better
    accuracy            share right     share right             all labels right               higher
    balanced_accuracy   mean recall     mean recall                                            higher
    f1                  of class 1      macro                   macro                          higher
    auc                 of class 1      one against rest,       macro                          higher
                                        macro
    log_loss            of p_t          of p_t                  macro                          lower
    calibration_error   10 bins         10 bins                                                lower
    r2, mae, rmse                                                                 macro        higher, lower, lower

Macro is the plain mean over classes, labels or target columns. The formulas are in `score_formulas`; the definitions,
and what a weight means, are scikit-learn's.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from typing import Any, Literal, NamedTuple

import numpy as np

from jaxmlp.errors import InputError, InputTypeError, sentence, unknown
from jaxmlp.training import score_formulas as formulas
from jaxmlp.training.cases import Cases, cases_of, check_ids


class Score(NamedTuple):
    """A metric.

    Attributes:
      name: what to call it.
      tasks: those it is defined for.
      better: whether "higher" or "lower" is.
      judges: "answers", or the "outputs" behind them.
      function: from `Cases` to the number, or None where the data leave it undefined.
      needs: what data have where it is defined; empty where it always is.
    """

    name: str
    tasks: tuple[str, ...]
    better: Literal["higher", "lower"]
    judges: Literal["answers", "outputs"]
    function: Callable[[Cases], float | None]
    needs: str = ""


def _f1(cases: Cases) -> float:
    """Of class 1; for more classes or labels macro, where a class that neither occurs nor is answered has no say."""
    targets, answers = cases.targets, cases.answers
    if cases.task == "binary":
        return formulas.f1(targets, answers, cases.weights)
    if cases.task == "multiclass":
        ids = np.union1d(targets, answers)
        targets, answers = targets[:, None] == ids, answers[:, None] == ids
    return float(np.mean([formulas.f1(t, a, cases.weights) for t, a in zip(targets.T, answers.T, strict=True)]))


def _auc(cases: Cases) -> float | None:
    """Of class 1; for more classes each against the rest, or of each label, macro."""
    if cases.task == "binary":
        return formulas.auc(cases.targets, cases.outputs[:, 1], cases.weights)
    C = cases.outputs.shape[1]
    flags = cases.targets[:, None] == np.arange(C) if cases.task == "multiclass" else cases.targets
    areas = [formulas.auc(t, p, cases.weights) for t, p in zip(flags.T, cases.outputs.T, strict=True)]
    known = [area for area in areas if area is not None]
    return float(np.mean(known)) if len(known) == C else None


def _log_loss(cases: Cases) -> float:
    """Of class ids; for several labels the mean of theirs."""
    if cases.task != "multilabel":
        return formulas.log_loss(cases.targets, cases.outputs, cases.weights)
    columns = zip(cases.targets.T, cases.outputs.T, strict=True)
    return float(np.mean([formulas.log_loss(t, np.stack([1 - p, p], axis=1), cases.weights) for t, p in columns]))


_Formula = Callable[..., float | None]


def _answers(formula: _Formula) -> Callable[[Cases], float | None]:
    return lambda cases: formula(cases.targets, cases.answers, cases.weights)


def _outputs(formula: _Formula) -> Callable[[Cases], float | None]:
    return lambda cases: formula(cases.targets, cases.outputs, cases.weights)


def _calibration_error(cases: Cases) -> float:
    return formulas.calibration_error(cases.targets, cases.answers, cases.outputs, cases.weights)


_IDS = ("binary", "multiclass")
_CLASSES = (*_IDS, "multilabel")
_VALUES = ("regression",)
_EVERY_CLASS = "rows of every class, of labels with and without each"
_TABLE = (
    Score("accuracy", _CLASSES, "higher", "answers", _answers(formulas.accuracy)),
    Score("balanced_accuracy", _IDS, "higher", "answers", _answers(formulas.balanced_accuracy)),
    Score("f1", _CLASSES, "higher", "answers", _f1),
    Score("auc", _CLASSES, "higher", "outputs", _auc, _EVERY_CLASS),
    Score("log_loss", _CLASSES, "lower", "outputs", _log_loss),
    Score("calibration_error", _IDS, "lower", "outputs", _calibration_error),
    Score("r2", _VALUES, "higher", "outputs", _outputs(formulas.r2), "two rows or more"),
    Score("mae", _VALUES, "lower", "outputs", _outputs(formulas.mae)),
    Score("rmse", _VALUES, "lower", "outputs", _outputs(formulas.rmse)),
)
SCORES = {score.name: score for score in _TABLE}


def evaluate_scores(
    task: str,
    targets: Any,
    outputs: Any,
    weights: Any = None,
    names: str | Iterable[str] | None = None,
    *,
    answers: Any = None,
) -> dict[str, float | None]:
    """Metrics by name: those that are named, or every one that is defined for the task.

    Args:
      task: "binary", "multiclass", "multilabel" or "regression".
      targets: (m,) class ids; (m, k) flags; for regression (m,) or (m, k) numbers.
      outputs: probabilities of class 1, (m,) or (m, 1), or of both, (m, 2); (m, C) that sum to 1; (m, k) of each label;
        or values like the targets. None where there are answers alone: what asks for more is then undefined.
      weights: (m,) numbers ≥ 0, by which the rows count; all alike if None.
      names: a name or several of `SCORES`.
      answers: (m,) class ids or (m, k) flags; by default the class of the largest probability, and the labels of one
        above 1/2.

    Returns:
      {name: number}; None for a metric that is undefined on these data, as AUC is where only one class occurs.

    Raises:
      InputError: a name that is unknown or of another task, a metric that was named and is undefined on these data, or
        arrays that do not fit the task or one another.

    >>> evaluate_scores("binary", [0, 1, 1], [0.2, 0.9, 0.4], names=["accuracy", "auc"])
    {'accuracy': 0.6666666666666666, 'auc': 1.0}
    >>> evaluate_scores("regression", [1.0, 2.0], [1.0, 4.0], weights=[3, 1])["mae"]
    0.5
    >>> evaluate_scores("binary", [1, 1], [0.2, 0.9])["auc"] is None
    True
    """
    cases = cases_of(task, targets, outputs, weights, answers)
    chosen = scores_of(task, names)
    found = {score.name: _value(score, cases) for score in chosen}
    for score in chosen:
        if names is not None and found[score.name] is None:
            raise _undefined(score, cases)
    return found


def _undefined(score: Score, cases: Cases) -> InputError:
    expects, got = score.needs or "numbers whose squares are finite", "data where it is undefined"
    if cases.outputs is None:
        expects, got = "finite values" if cases.task == "regression" else "probabilities", "none"
    return InputError(sentence(f"metric {score.name!r}", expects, got, "leave this metric out"))


def _value(score: Score, cases: Cases) -> float | None:
    if score.judges == "outputs" and cases.outputs is None:
        return None
    with np.errstate(over="ignore", invalid="ignore"):  # squares beyond float64 are told by the result
        value = score.function(cases)
    return value if value is not None and math.isfinite(value) else None


def scores_of(task: str, names: str | Iterable[str] | None) -> list[Score]:
    """The metrics of these names, all that are defined for the task if None.

    Raises:
      InputError: for a name that is not among them.
    """
    defined = {name: score for name, score in SCORES.items() if task in score.tasks}
    if names is None:
        return list(defined.values())
    names = [names] if isinstance(names, str) or not isinstance(names, Iterable) else list(names)
    for name in names:
        if not isinstance(name, str) or name not in defined:
            raise unknown(f"metric for task {task!r}", name, defined)
    return [defined[name] for name in names]


def class_weights(targets: Any, n_classes: int, spec: Any) -> np.ndarray:
    """Weights of examples by their class, (m,) float64.

    "balanced" gives every class the same weight in all: m / (C count_c), with C the number of classes that occur,
    as scikit-learn's compute_sample_weight has it. The mean of these weights is 1.

    Args:
      targets: class ids (m,), from 0 to n_classes - 1.
      n_classes: how many classes there are.
      spec: "balanced", or {class id: weight}, where a class that is not named has weight 1.

    Raises:
      InputError: targets that are no class ids, or any other spec.

    >>> class_weights([0, 0, 0, 1], 2, "balanced").round(3).tolist()
    [0.667, 0.667, 0.667, 2.0]
    >>> class_weights([0, 0, 0, 1], 2, {1: 5}).tolist()
    [1.0, 1.0, 1.0, 5.0]
    """
    ids = check_ids(targets, n_classes)
    if isinstance(spec, str) and spec == "balanced":
        counts = np.bincount(ids)
        return len(ids) / (np.count_nonzero(counts) * counts[ids])
    if not isinstance(spec, Mapping):
        expects = "'balanced' or a dict {class id: weight}"
        raise InputTypeError(sentence("class_weight", expects, repr(spec), "write 'balanced', say"))
    weights = np.ones(n_classes)
    for key, weight in spec.items():
        if isinstance(key, bool) or not isinstance(key, (int, np.integer)) or not 0 <= key < n_classes:
            expects = f"class ids from 0 to {n_classes - 1}"
            raise InputError(sentence("class_weight", expects, repr(key), "name classes by id, not by label"))
        if isinstance(weight, bool) or not isinstance(weight, Real) or not 0 <= float(weight) < math.inf:
            got, remedy = f"{weight!r} for class {key}", "take 1 for no change and 0 to leave the class out"
            raise InputError(sentence("class_weight", "finite weights ≥ 0", got, remedy))
        weights[key] = weight
    if len(ids) and not weights[ids].any():
        remedy = "give one of them a weight above 0"
        raise InputError(sentence("class_weight", "a class that occurs to count", "0 for all that do", remedy))
    return weights[ids]
