"""From labels to targets, by the coding of the training labels: class ids, 0/1 flags, or numbers."""

import numpy as np

from jaxmlp.data.labels import preview
from jaxmlp.data.tasks import Coding
from jaxmlp.errors import InputError, InputTypeError, sentence


def encode(labels: np.ndarray, coding: Coding, where: str) -> np.ndarray:
    """Return the targets of one part: (m,) int64 ids, (m, k) int64 flags, or (m, k) float64 numbers.

    Raises:
        InputError: a label outside the classes, a row of a one-hot matrix without exactly one 1, or another number
            of columns than in training.

    >>> encode(np.array(["dog", "cat"]), Coding("binary", ("cat", "dog"), "values"), "the test part").tolist()
    [1, 0]
    """
    return _ENCODERS[coding.form](labels, coding.classes, where)


def _encode_values(labels: np.ndarray, classes: tuple[object, ...], where: str) -> np.ndarray:
    known = np.array(classes)
    if labels.ndim != 1 or (labels.dtype.kind == "U") != (known.dtype.kind == "U"):
        expects, got = f"labels among {preview(classes)}", f"{labels.dtype} of shape {labels.shape}"
        raise InputTypeError(sentence(where, expects, got, "give every part the same kind of labels"))
    ids, is_unknown = _find_ids(labels, known)
    if is_unknown.any():
        row = np.flatnonzero(is_unknown)[0]
        expects, got = f"the classes of training ({preview(classes)})", f"{labels[row].item()!r} in row {row}"
        raise InputError(sentence(where, expects, got, "add examples of it to the training part, or drop that row"))
    return ids


def _encode_known(labels: np.ndarray, classes: tuple[object, ...], where: str) -> np.ndarray:
    known = np.array(classes)
    # a file may hold the class 1 as text, "1", or the other way round: then text decides
    same_type = (labels.dtype.kind == "U") == (known.dtype.kind == "U")
    ids, is_unknown = _find_ids(labels, known) if same_type else _find_ids(_as_text(labels), _as_text(known))
    if is_unknown.any():
        row = np.flatnonzero(is_unknown)[0]
        expects, got = f"the known classes ({preview(classes)})", f"{labels[row].item()!r} in row {row}"
        raise InputError(sentence(where, expects, got, "drop that row, or train a model on examples of it"))
    return ids


def _find_ids(labels: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the position of each label among the known ones, and whether it is none of them."""
    # the order of a model's classes need not be sorted, which searchsorted asks for
    order = np.argsort(known)
    # a label above all known ones is placed behind the last: the comparison below finds it
    ids = order[np.minimum(np.searchsorted(known, labels, sorter=order), len(known) - 1)]
    return ids.astype(np.int64), known[ids] != labels


def _as_text(labels: np.ndarray) -> np.ndarray:
    """Return labels as text, in which 1, 1.0 and "1" are all "1"."""
    values = labels.tolist()
    return np.array([str(int(v)) if isinstance(v, float) and v.is_integer() else str(v) for v in values])


def _encode_ids(labels: np.ndarray, classes: tuple[object, ...], where: str) -> np.ndarray:
    expects = f"class ids from 0 to {len(classes) - 1}"
    if labels.ndim != 1 or labels.dtype.kind == "U":
        got = f"{labels.dtype} of shape {labels.shape}"
        raise InputTypeError(sentence(where, expects, got, "leave classes out, or number the labels"))
    is_outside = ~np.isin(labels, np.arange(len(classes)))
    if is_outside.any():
        row = np.flatnonzero(is_outside)[0]
        got, remedy = f"{labels[row].item()!r} in row {row}", f"the classes are {preview(classes)}"
        raise InputError(sentence(where, expects, got, remedy))
    return labels.astype(np.int64)


def _encode_one_hot(labels: np.ndarray, classes: tuple[object, ...], where: str) -> np.ndarray:
    _check_label_columns(labels, len(classes), where)
    # without this check argmax would take a row of zeros for class 0
    one_hot = np.isin(labels, (0, 1)).all(axis=1) & (labels.sum(axis=1) == 1)
    if not one_hot.all():
        row = np.flatnonzero(~one_hot)[0]
        got, remedy = f"{labels[row].tolist()} in row {row}", "take task 'multilabel' where several may be 1"
        raise InputError(sentence(where, "exactly one 1 in each row of one-hot labels", got, remedy))
    return labels.argmax(axis=1).astype(np.int64)


def _encode_flags(labels: np.ndarray, classes: tuple[object, ...], where: str) -> np.ndarray:
    _check_label_columns(labels, len(classes), where)
    is_outside = ~np.isin(labels, (0, 1))
    if is_outside.any():
        row, column = np.argwhere(is_outside)[0]
        got = f"{labels[row, column].item()!r} in row {row}, column {column}"
        raise InputError(sentence(where, "multi-label targets of 0 and 1", got, "threshold them first"))
    return labels.astype(np.int64)


def _encode_numbers(labels: np.ndarray, _classes: tuple[object, ...], where: str) -> np.ndarray:
    if labels.dtype.kind == "U":
        got = repr(str(labels.ravel()[0]))
        raise InputTypeError(sentence(where, "numbers as regression targets", got, "convert them first"))
    # float64 whatever the source has: standardizing subtracts the mean of large and nearly equal numbers
    return labels.reshape(len(labels), -1).astype(np.float64)


_ENCODERS = {
    "values": _encode_values,
    "known": _encode_known,
    "ids": _encode_ids,
    "one-hot": _encode_one_hot,
    "flags": _encode_flags,
    "numbers": _encode_numbers,
}


def _check_label_columns(labels: np.ndarray, k: int, where: str) -> None:
    if labels.dtype.kind == "U":
        got = f"text such as {str(labels.ravel()[0])!r}"
        raise InputTypeError(sentence(where, f"labels with {k} columns of numbers", got, "pass one label per example"))
    if labels.ndim != 2 or labels.shape[1] != k:
        raise InputError(sentence(where, f"labels with {k} columns", labels.shape, "give every part the same columns"))
