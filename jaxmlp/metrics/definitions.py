"""Metrics by name: for which tasks each is defined, and whether higher is better; one call computes all of them.

    metric              binary            multiclass             multilabel          regression   better
    accuracy            correct fraction  correct fraction       all labels correct               higher
    balanced_accuracy   mean recall       mean recall                                             higher
    f1                  of class 1        macro                  macro                            higher
    auc                 of class 1        each class against     macro                            higher
                                          all others, macro
    log_loss            of p_t            of p_t                 macro                            lower
    calibration_error   10 bins           10 bins                                                 lower
    r2                                                                               macro        higher
    mae, rmse                                                                        macro        lower

Macro is the unweighted mean over classes, labels or target columns. Definitions and sample weights are those of
scikit-learn. The formulas are in `formulas`.
"""

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from jaxmlp.errors import InputError, sentence, unknown
from jaxmlp.metrics import formulas
from jaxmlp.metrics.predictions import Predictions, check_predictions


class Metric(NamedTuple):
    """A metric in the table `METRICS`.

    Attributes:
      name: the name.
      tasks: the tasks for which it is defined.
      higher_is_better: whether a larger number is better.
      needs_outputs: whether it needs the outputs (probabilities, values), not only the predictions.
      function: the function from `Predictions` to a number; None if the metric is undefined on the data.
      requires: the condition on the data under which it is defined, for the error; empty if it is always defined.
    """

    name: str
    tasks: tuple[str, ...]
    higher_is_better: bool
    needs_outputs: bool
    function: Callable[[Predictions], float | None]
    requires: str = ""


def _f1(p: Predictions) -> float:
    """Return F1 of class 1. For several classes (that occur or are predicted) or labels, return the macro mean."""
    targets, predictions = p.targets, p.predictions
    if p.task == "binary":
        return formulas.f1(targets, predictions, p.weights)
    if p.task == "multiclass":
        ids = np.union1d(targets, predictions)
        targets, predictions = targets[:, None] == ids, predictions[:, None] == ids
    columns = zip(targets.T, predictions.T, strict=True)
    return float(np.mean([formulas.f1(t, y, p.weights) for t, y in columns]))


def _auc(p: Predictions) -> float | None:
    """Return AUC of class 1. For several classes (each against all others) or labels, return the macro mean."""
    if p.task == "binary":
        return formulas.auc(p.targets, p.outputs[:, 1], p.weights)
    C = p.outputs.shape[1]
    flags = p.targets[:, None] == np.arange(C) if p.task == "multiclass" else p.targets
    areas = [formulas.auc(t, a, p.weights) for t, a in zip(flags.T, p.outputs.T, strict=True)]
    # the AUC of a class that does not occur is undefined; like scikit-learn, do not average over the other classes only
    return None if None in areas else float(np.mean(np.array(areas, np.float64)))


def _log_loss(p: Predictions) -> float:
    """Return the log loss of class ids. For several labels, return the mean of their log losses."""
    if p.task != "multilabel":
        return formulas.log_loss(p.targets, p.outputs, p.weights)
    # each label is a binary problem with the probabilities 1 - a and a
    columns = zip(p.targets.T, p.outputs.T, strict=True)
    return float(np.mean([formulas.log_loss(t, np.stack([1 - a, a], axis=1), p.weights) for t, a in columns]))


def _calibration_error(p: Predictions) -> float:
    return formulas.calibration_error(p.targets, p.predictions, p.outputs, p.weights)


_Formula = Callable[[np.ndarray, np.ndarray, np.ndarray], float | None]


def _of_predictions(formula: _Formula) -> Callable[[Predictions], float | None]:
    return lambda p: formula(p.targets, p.predictions, p.weights)


def _of_outputs(formula: _Formula) -> Callable[[Predictions], float | None]:
    return lambda p: formula(p.targets, p.outputs, p.weights)


_IDS = ("binary", "multiclass")
_CLASSES = (*_IDS, "multilabel")
_VALUES = ("regression",)
_EVERY_CLASS = "rows of every class (for labels: rows with and without each label)"
_TABLE = (
    #      name                 tasks     higher is better, needs outputs
    Metric("accuracy", _CLASSES, True, False, _of_predictions(formulas.accuracy)),
    Metric("balanced_accuracy", _IDS, True, False, _of_predictions(formulas.balanced_accuracy)),
    Metric("f1", _CLASSES, True, False, _f1),
    Metric("auc", _CLASSES, True, True, _auc, _EVERY_CLASS),
    Metric("log_loss", _CLASSES, False, True, _log_loss),
    Metric("calibration_error", _IDS, False, True, _calibration_error),
    Metric("r2", _VALUES, True, True, _of_outputs(formulas.r2), "two rows or more"),
    Metric("mae", _VALUES, False, True, _of_outputs(formulas.mae)),
    Metric("rmse", _VALUES, False, True, _of_outputs(formulas.rmse)),
)
METRICS = {metric.name: metric for metric in _TABLE}


def compute_metrics(
    task: str,
    targets: ArrayLike,
    outputs: ArrayLike | None,
    weights: ArrayLike | None = None,
    names: str | Iterable[str] | None = None,
    *,
    predictions: ArrayLike | None = None,
) -> dict[str, float | None]:
    """Compute the named metrics, or every metric that is defined for the task.

    Args:
      task: "binary", "multiclass", "multilabel" or "regression".
      targets: (m,) class ids; (m, k) flags; for regression (m,) or (m, k) numbers.
      outputs: binary: probabilities of class 1, (m,) or (m, 1), or of both classes, (m, 2). Multiclass: (m, C)
        probabilities that sum to 1. Multilabel: (m, k) probabilities. Regression: values of the shape of the targets.
        None if only predictions are known: metrics that need outputs are then undefined.
      weights: (m,) sample weights ≥ 0; None for equal weights.
      names: one or several names of `METRICS`; None for all that are defined for the task.
      predictions: (m,) class ids or (m, k) flags; by default the class of the largest probability, and the labels with
        a probability above 1/2.

    Returns:
      {name: number}. The number is None if the metric is undefined on the data, such as AUC if only one class occurs.

    Raises:
      InputError: if a name is unknown or belongs to another task, if a metric in `names` is undefined on the data, and
        if the arrays do not fit the task or one another.

    >>> compute_metrics("binary", [0, 1, 1], [0.2, 0.9, 0.4], names=["accuracy", "auc"])
    {'accuracy': 0.6666666666666666, 'auc': 1.0}
    >>> compute_metrics("regression", [1.0, 2.0], [1.0, 4.0], weights=[3, 1])["mae"]
    0.5
    >>> compute_metrics("binary", [1, 1], [0.2, 0.9])["auc"] is None
    True
    """
    checked = check_predictions(task, targets, outputs, weights, predictions)
    selected = select_metrics(task, names)
    values = {metric.name: _metric_value(metric, checked) for metric in selected}
    for metric in selected:
        if names is not None and values[metric.name] is None:
            raise _undefined_metric(metric, checked)
    return values


def _metric_value(metric: Metric, p: Predictions) -> float | None:
    if metric.needs_outputs and p.outputs is None:
        return None
    with np.errstate(
        over="ignore", invalid="ignore"
    ):  # squares above the range of float64 become inf; a metric of inf or NaN is undefined
        value = metric.function(p)
    return value if value is not None and math.isfinite(value) else None


def _undefined_metric(metric: Metric, p: Predictions) -> InputError:
    expects, got = metric.requires or "numbers whose squares are finite", "data where it is undefined"
    if p.outputs is None:
        expects, got = "finite values" if p.task == "regression" else "probabilities", "none"
    return InputError(sentence(f"metric {metric.name!r}", expects, got, "leave this metric out"))


def select_metrics(task: str, names: str | Iterable[str] | None) -> list[Metric]:
    """Return the metrics with these names; for None return all that are defined for the task.

    Raises:
      InputError: if a name is not defined for the task.
    """
    defined = {name: metric for name, metric in METRICS.items() if task in metric.tasks}
    if names is None:
        return list(defined.values())
    names = [names] if isinstance(names, str) or not isinstance(names, Iterable) else list(names)
    for name in names:
        if not isinstance(name, str) or name not in defined:
            raise unknown(f"metric for task {task!r}", name, defined)
    return [defined[name] for name in names]
