"""Predictions beside their targets, in one form for every metric, or one clear error.

task         targets              predictions      outputs
binary       (m,) class ids       (m,) class ids   (m, 2) probabilities
multiclass   (m,) class ids       (m,) class ids   (m, C) probabilities
multilabel   (m, k) flags         (m, k) flags     (m, k) probabilities
regression   (m, k) numbers       None             (m, k) numbers
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from jaxmlp.data.row_weights import check_row_weights
from jaxmlp.data.tasks import TASKS
from jaxmlp.errors import InputError, InputTypeError, sentence, unknown

SUM_TOLERANCE = 0.01
"""How far the sum of a row's probabilities may be from 1. bfloat16 rounds each probability by 0.2 %; the sums of
logits, or of one sigmoid per class, are much further off."""

_TRANSPOSE = "one example per row here: pass the transpose"
_ROWS = "give a row for each target"


class Predictions(NamedTuple):
    """The predictions for m examples and their targets, from which metrics are computed; `check_predictions` makes it.

    Attributes:
      task: "binary", "multiclass", "multilabel" or "regression".
      targets, predictions, outputs: as the head of this chapter lists them; outputs is None where only predictions are
        known.
      weights: (m,).
    """

    task: str
    targets: np.ndarray
    predictions: Any  # an array, or None for regression; each task's metrics use what the table above promises
    outputs: Any
    weights: np.ndarray


def check_predictions(
    task: str,
    targets: ArrayLike,
    outputs: ArrayLike | None,
    weights: ArrayLike | None = None,
    predictions: ArrayLike | None = None,
) -> Predictions:
    """Check the arrays and return them in the one form that metrics take.

    Args:
      task: one of `TASKS`.
      targets: (m,) class ids; (m, k) flags; for regression (m,) or (m, k) numbers.
      outputs: probabilities of class 1, (m,) or (m, 1), or of both classes, (m, 2); (m, C); (m, k); or values; None if
        they are not known.
      weights: (m,); ones if None.
      predictions: by default the class of the largest probability, and the labels with a probability above 1/2.

    Raises:
      InputError: for arrays that do not fit the task or one another.

    >>> checked = check_predictions("binary", [0, 1], [0.25, 0.75])
    >>> checked.predictions.tolist(), checked.outputs.tolist(), checked.weights.tolist()
    ([0, 1], [[0.75, 0.25], [0.25, 0.75]], [1.0, 1.0])
    """
    if task not in TASKS:
        raise unknown("task", task, TASKS)
    T = _finite_numbers(targets, "targets")
    if not len(T):
        raise InputError(sentence("targets", "at least one row", T.shape, "no metric is defined on no examples"))
    w = check_example_weights(weights, len(T))
    if task == "regression":
        return _check_values(T, outputs, w)
    if outputs is None and predictions is None:
        raise InputError(sentence(f"task {task!r}", "outputs or predictions", "neither", "give one of them"))
    return (_check_flags if task == "multilabel" else _check_classes)(T, outputs, predictions, w, task)


def check_ids(ids: ArrayLike, C: int | None, where: str = "targets") -> np.ndarray:
    """Return class ids as integers (m,).

    Args:
      ids: whole numbers from 0 to C - 1, in any dtype of numbers.
      C: the number of classes; None if it is not known.
      where: what an error calls them.

    Raises:
      InputError: for another shape, or a number that is no class id.

    >>> check_ids([0.0, 2.0], 3).tolist()
    [0, 2]
    """
    ids = _finite_numbers(ids, where)
    if ids.ndim != 1:
        one_hot = ids.ndim == 2 and ids.shape[1] > 1
        remedy = "pass one-hot rows as .argmax(axis=1)" if one_hot else "pass it as .reshape(-1)"
        raise InputError(sentence(where, "class ids of shape (m,)", ids.shape, remedy))
    invalid = ids[(ids < 0) | (ids != np.floor(ids)) | (ids >= (np.inf if C is None else C))]
    if len(invalid):
        expects = "class ids 0, 1, ..." if C is None else f"class ids from 0 to {C - 1}"
        raise InputError(sentence(where, expects, invalid[0], "number the classes from 0 on"))
    return ids.astype(np.int64)


def check_example_weights(weights: ArrayLike | None, m: int) -> np.ndarray:
    """Return the weights of m examples, (m,) float64; ones for None.

    Raises:
      InputError: as `check_row_weights`.

    >>> check_example_weights(None, 2).tolist(), check_example_weights([0, 3], 2).tolist()
    ([1.0, 1.0], [0.0, 3.0])
    """
    if weights is None:
        return np.ones(m)
    return check_row_weights(weights, m).astype(np.float64)


# --- one form for each task -------------------------------------------------------------------------------------------


def _check_classes(
    T: np.ndarray, outputs: ArrayLike | None, predictions: ArrayLike | None, w: np.ndarray, task: str
) -> Predictions:
    P = None if outputs is None else _class_columns(_probability_array(outputs), len(T), task)
    if predictions is None and P is not None:
        predictions = P.argmax(axis=1)
    ids = _of_shape(predictions, T.shape[:1], "predictions")
    C = 2 if task == "binary" else None if P is None else P.shape[1]
    return Predictions(task, check_ids(T, C), check_ids(ids, C, "predictions"), P, w)


def _class_columns(P: np.ndarray, m: int, task: str) -> np.ndarray:
    """Return probabilities with a column for every class."""
    if task == "binary" and P.shape in ((m,), (m, 1)):
        p = P.reshape(m)
        return np.stack([1 - p, p], axis=1)
    if P.ndim != 2 or len(P) != m or P.shape[1] < 2 or (task == "binary" and P.shape[1] > 2):
        shape = f"({m},), ({m}, 1) or ({m}, 2)" if task == "binary" else f"({m}, C)"
        remedy = _TRANSPOSE if P.ndim == 2 and P.shape[1] == m else _ROWS
        raise InputError(sentence("outputs", f"probabilities of shape {shape}", P.shape, remedy))
    # logits in place of probabilities would give a log loss and a calibration that look like numbers
    sums = P.sum(axis=1, dtype=np.float64)
    if (np.abs(sums - 1) > SUM_TOLERANCE).any():
        furthest = sums[np.abs(sums - 1).argmax()]
        got, remedy = f"a sum of {furthest:.4g}", "divide each row by its sum, or apply softmax to logits"
        raise InputError(sentence("outputs", "probabilities that sum to 1 in each row", got, remedy))
    return P


def _check_flags(
    T: np.ndarray, outputs: ArrayLike | None, predictions: ArrayLike | None, w: np.ndarray, task: str
) -> Predictions:
    T = _zeros_and_ones(T, "targets")
    P = None if outputs is None else _of_shape(_probability_array(outputs), T.shape, "outputs")
    flags = P > 0.5 if predictions is None and P is not None else _of_shape(predictions, T.shape, "predictions")
    return Predictions(task, T, _zeros_and_ones(flags, "predictions"), P, w)


def _check_values(T: np.ndarray, outputs: ArrayLike | None, w: np.ndarray) -> Predictions:
    T = _as_columns(T)
    if T.ndim != 2:
        raise InputError(sentence("targets", "numbers of shape (m,) or (m, k)", T.shape, "reshape them"))
    if outputs is not None:
        outputs = _of_shape(_as_columns(_finite_numbers(outputs, "outputs")), T.shape, "outputs")
    return Predictions("regression", T, None, outputs, w)


def _as_columns(array: np.ndarray) -> np.ndarray:
    return (array[:, None] if array.ndim == 1 else array).astype(np.float64)


def _finite_numbers(array: ArrayLike | None, where: str) -> np.ndarray:
    """Return an array of finite numbers, of one dimension or more."""
    try:
        array = np.asarray(array)
    except ValueError:
        raise InputTypeError(sentence(where, "an array of numbers", "rows of unequal length", "fill them up")) from None
    if array.dtype.kind not in "biuf" or not array.ndim:
        got = f"dtype {array.dtype}" if array.ndim else repr(array.item())
        raise InputTypeError(sentence(where, "an array of numbers", got, "give class ids for labels"))
    if not np.isfinite(array).all():
        remedy = "look for rows that are missing or for a training that diverged"
        raise InputError(sentence(where, "finite numbers", array[~np.isfinite(array)][0], remedy))
    return array


def _probability_array(outputs: ArrayLike) -> np.ndarray:
    """Return numbers from 0 to 1 as floats; floats keep their dtype, whose epsilon clips the log loss."""
    P = _finite_numbers(outputs, "outputs")
    invalid = P[(P < 0) | (P > 1)]
    if len(invalid):
        raise InputError(sentence("outputs", "probabilities from 0 to 1", invalid[0], "apply the output's activation"))
    return P if P.dtype.kind == "f" else P.astype(np.float64)


def _zeros_and_ones(array: np.ndarray, where: str) -> np.ndarray:
    if array.ndim != 2 or not np.isin(array, (0, 1)).all():
        got = array.shape if array.ndim != 2 else array[~np.isin(array, (0, 1))][0]
        raise InputError(sentence(where, "flags 0 and 1 of shape (m, k)", got, "one column per label"))
    return array.astype(np.int64)


def _of_shape(array: ArrayLike | None, shape: tuple[int, ...], where: str) -> np.ndarray:
    array = _finite_numbers(array, where)
    if array.shape != shape:
        remedy = _TRANSPOSE if array.shape == shape[::-1] else _ROWS
        raise InputError(sentence(where, f"shape {shape} as the targets have", array.shape, remedy))
    return array
