"""Judged examples: targets and what was said to them, in one form for every metric, or one clear error.

task         targets              answers          outputs
binary       (m,) class ids       (m,) class ids   (m, 2) probabilities
multiclass   (m,) class ids       (m,) class ids   (m, C) probabilities
multilabel   (m, k) flags         (m, k) flags     (m, k) probabilities
regression   (m, k) numbers       None             (m, k) numbers
"""

from typing import Any, NamedTuple

import numpy as np

from jaxmlp.data.tasks import TASKS
from jaxmlp.errors import InputError, InputTypeError, sentence, unknown

SUM_TOLERANCE = 0.01
"""How far probabilities may sum from 1: bfloat16 rounds each by 0.2 %; logits and lone sigmoids are far further off."""

_TRANSPOSE = "one example per row here: pass the transpose"
_ROWS = "give a row for each target"


class Cases(NamedTuple):
    """m judged examples, what a metric is computed from; `cases_of` makes it.

    Attributes:
      task: "binary", "multiclass", "multilabel" or "regression".
      targets, answers, outputs: as the head of this chapter has them; outputs None where there are answers alone.
      weights: (m,).
    """

    task: str
    targets: np.ndarray
    answers: Any
    outputs: Any
    weights: np.ndarray


def cases_of(task: str, targets: Any, outputs: Any, weights: Any = None, answers: Any = None) -> Cases:
    """Check arrays and bring them to one form.

    Args:
      task: one of `TASKS`.
      targets: (m,) class ids; (m, k) flags; for regression (m,) or (m, k) numbers.
      outputs: probabilities of class 1, (m,) or (m, 1), or of both, (m, 2); (m, C); (m, k); or values. None for none.
      weights: (m,); ones if None.
      answers: by default the class of the largest probability, and the labels of one above 1/2.

    Raises:
      InputError: arrays that do not fit the task or one another.

    >>> cases = cases_of("binary", [0, 1], [0.25, 0.75])
    >>> cases.answers.tolist(), cases.outputs.tolist(), cases.weights.tolist()
    ([0, 1], [[0.75, 0.25], [0.25, 0.75]], [1.0, 1.0])
    """
    if task not in TASKS:
        raise unknown("task", task, TASKS)
    T = _numbers(targets, "targets")
    if not len(T):
        raise InputError(sentence("targets", "at least one row", T.shape, "no metric is defined on no examples"))
    w = check_weights(weights, len(T))
    if task == "regression":
        return _values(T, outputs, w)
    if outputs is None and answers is None:
        raise InputError(sentence(f"task {task!r}", "outputs or answers", "neither", "give one of them"))
    return (_flags if task == "multilabel" else _ids)(T, outputs, answers, w, task)


def check_ids(ids: Any, C: int | None, where: str = "targets") -> np.ndarray:
    """Class ids as integers (m,).

    Args:
      ids: whole numbers from 0 to C - 1, in any dtype of numbers.
      C: how many classes there are; None if that is not known.
      where: what to call them in an error.

    Raises:
      InputError: another shape, or a number that is no class id.

    >>> check_ids([0.0, 2.0], 3).tolist()
    [0, 2]
    """
    ids = _numbers(ids, where)
    if ids.ndim != 1:
        one_hot = ids.ndim == 2 and ids.shape[1] > 1
        remedy = "pass one-hot rows as .argmax(axis=1)" if one_hot else "pass it as .reshape(-1)"
        raise InputError(sentence(where, "class ids of shape (m,)", ids.shape, remedy))
    odd = ids[(ids < 0) | (ids != np.floor(ids)) | (ids >= (np.inf if C is None else C))]
    if len(odd):
        expects = "class ids 0, 1, ..." if C is None else f"class ids from 0 to {C - 1}"
        raise InputError(sentence(where, expects, odd[0], "number the classes from 0 on"))
    return ids.astype(np.int64)


def check_weights(weights: Any, m: int) -> np.ndarray:
    """Weights of m examples, (m,) float64; ones for None.

    Raises:
      InputError: another shape, a negative number, or 0 for all.

    >>> check_weights(None, 2).tolist(), check_weights([0, 3], 2).tolist()
    ([1.0, 1.0], [0.0, 3.0])
    """
    if weights is None:
        return np.ones(m)
    w = _numbers(weights, "weights").astype(np.float64)
    if w.shape != (m,):
        raise InputError(sentence("weights", f"shape ({m},), one for each row", w.shape, "give as many as rows"))
    if (w < 0).any():
        raise InputError(sentence("weights", "numbers ≥ 0", w[w < 0][0], "take 0 to leave a row out"))
    if not w.any():
        raise InputError(sentence("weights", "a number above 0", "only zeros", "leave them out for equal weights"))
    return w


# --- one form for each task -------------------------------------------------------------------------------------------


def _ids(T: np.ndarray, outputs: Any, answers: Any, w: np.ndarray, task: str) -> Cases:
    P = None if outputs is None else _class_columns(_shares(outputs), len(T), task)
    A = P.argmax(axis=1) if answers is None and P is not None else _shaped(answers, (len(T),), "answers")
    C = 2 if task == "binary" else None if P is None else P.shape[1]
    return Cases(task, check_ids(T, C), check_ids(A, C, "answers"), P, w)


def _class_columns(P: np.ndarray, m: int, task: str) -> np.ndarray:
    """Probabilities with a column for every class."""
    if task == "binary" and P.shape in ((m,), (m, 1)):
        p = P.reshape(m)
        return np.stack([1 - p, p], axis=1)
    if P.ndim != 2 or len(P) != m or P.shape[1] < 2 or (task == "binary" and P.shape[1] > 2):
        shape = f"({m},), ({m}, 1) or ({m}, 2)" if task == "binary" else f"({m}, C)"
        remedy = _TRANSPOSE if P.ndim == 2 and P.shape[1] == m else _ROWS
        raise InputError(sentence("outputs", f"probabilities of shape {shape}", P.shape, remedy))
    sums = P.sum(axis=1, dtype=np.float64)
    if (np.abs(sums - 1) > SUM_TOLERANCE).any():
        far = sums[np.abs(sums - 1).argmax()]
        remedy = "divide each row by its sum, or apply softmax to logits"
        raise InputError(sentence("outputs", "probabilities that sum to 1 in each row", f"a sum of {far:.4g}", remedy))
    return P


def _flags(T: np.ndarray, outputs: Any, answers: Any, w: np.ndarray, task: str) -> Cases:
    T = _zeros_and_ones(T, "targets")
    P = None if outputs is None else _shaped(_shares(outputs), T.shape, "outputs")
    A = P > 0.5 if answers is None and P is not None else _shaped(answers, T.shape, "answers")
    return Cases(task, T, _zeros_and_ones(A, "answers"), P, w)


def _values(T: np.ndarray, outputs: Any, w: np.ndarray) -> Cases:
    T = _columns(T).astype(np.float64)
    if T.ndim != 2:
        raise InputError(sentence("targets", "numbers of shape (m,) or (m, k)", T.shape, "reshape them"))
    values = None if outputs is None else _columns(_numbers(outputs, "outputs")).astype(np.float64)
    return Cases("regression", T, None, None if values is None else _shaped(values, T.shape, "outputs"), w)


def _columns(array: np.ndarray) -> np.ndarray:
    return array[:, None] if array.ndim == 1 else array


def _numbers(array: Any, where: str) -> np.ndarray:
    """An array of finite numbers of one dimension or more."""
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


def _shares(outputs: Any) -> np.ndarray:
    """Floats from 0 to 1, in the dtype that they have."""
    P = _numbers(outputs, "outputs")
    if (P < 0).any() or (P > 1).any():
        odd = P[(P < 0) | (P > 1)][0]
        raise InputError(sentence("outputs", "probabilities from 0 to 1", odd, "apply the output's activation"))
    return P if P.dtype.kind == "f" else P.astype(np.float64)


def _zeros_and_ones(array: np.ndarray, where: str) -> np.ndarray:
    if array.ndim != 2 or not np.isin(array, (0, 1)).all():
        got = array.shape if array.ndim != 2 else array[~np.isin(array, (0, 1))][0]
        raise InputError(sentence(where, "flags 0 and 1 of shape (m, k)", got, "one column per label"))
    return array.astype(np.int64)


def _shaped(array: Any, shape: tuple[int, ...], where: str) -> np.ndarray:
    array = _numbers(array, where)
    if array.shape != shape:
        remedy = _TRANSPOSE if array.shape == shape[::-1] else _ROWS
        raise InputError(sentence(where, f"shape {shape} as the targets have", array.shape, remedy))
    return array
