"""What may enter a data set as its labels: booleans, integers, finite floats or text, one label or row of them each.

Class labels keep the type they have in the source, so that a prediction can be compared with it by `==`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxmlp.errors import InputError, InputTypeError, sentence


def as_labels(labels: Any, where: str) -> np.ndarray:
    """Labels as an array (m,) or (m, k) of booleans, integers, finite floats or text; (m, 1) becomes (m,).

    Raises:
        InputTypeError: text mixed with numbers, None, complex numbers.
        InputError: another rank, a nan or infinity, or bytes that are no UTF-8.
    """
    array = _plain(labels, where)
    if array.ndim not in (1, 2):
        remedy = "pass one label, or one row of labels, per example"
        raise InputError(sentence(where, "labels of shape (m,) or (m, k)", array.shape, remedy))
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        row = np.argwhere(~np.isfinite(array))[0][0]
        got = f"{array[~np.isfinite(array)][0]} in row {row}"
        raise InputError(sentence(where, "finite labels", got, "drop that row"))
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def _plain(labels: Any, where: str) -> np.ndarray:
    """NumPy turns [1, "a"] into ["1", "a"] without a word, so lists are looked at before it sees them."""
    array = np.asarray(labels, dtype=None if hasattr(labels, "dtype") else object)
    if array.dtype.kind == "O":
        members = array.ravel().tolist()
        text = {isinstance(member, str | bytes) for member in members}
        if len(text) == 2 or any(member is None for member in members):
            kinds = ", ".join(sorted({type(member).__name__ for member in members}))
            raise InputTypeError(sentence(where, "labels of one type", kinds, "make them all text or all numbers"))
        array = _uniform(decoded(array, where), where)
    if array.dtype.kind == "S":
        return decoded(array, where)
    if array.dtype.kind == "T":  # NumPy's variable-width strings
        return np.asarray(array.tolist())
    if array.dtype.kind not in "biufU":
        remedy = "convert them to integers, floats or text"
        raise InputTypeError(sentence(where, "labels of numbers or text", f"dtype {array.dtype}", remedy))
    return array


def _uniform(array: np.ndarray, where: str) -> np.ndarray:
    try:
        return np.asarray(array.tolist())
    except ValueError:
        got, remedy = "rows of unequal length", "give every row the same number of columns"
        raise InputTypeError(sentence(where, "an array of labels", got, remedy)) from None


def decoded(array: np.ndarray, where: str) -> np.ndarray:
    """Bytes, which is how files keep text, as text; anything else as it is.

    >>> decoded(np.array([b"cat", b"dog"]), "list_classes of a.h5").tolist()
    ['cat', 'dog']
    """
    if array.dtype.kind not in "SO":
        return array
    members = [utf8(item, where) if isinstance(item, bytes) else item for item in array.ravel().tolist()]
    if array.dtype.kind == "S":
        return np.array(members, dtype=np.str_).reshape(array.shape)
    return np.fromiter(members, dtype=object, count=len(members)).reshape(array.shape)


def utf8(text: bytes, where: str) -> str:
    """The text of some bytes, or the error for bytes that are none."""
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(sentence(where, "text in UTF-8", repr(text), "write it again as UTF-8")) from None


def whole(labels: np.ndarray, where: str) -> np.ndarray:
    """Class labels held as floats (2.0), as integers; a fraction among them is refused."""
    if labels.dtype.kind != "f":
        return labels
    broken = labels != np.floor(labels)
    if broken.any():
        row = np.flatnonzero(broken)[0]
        got = f"{labels[row].item()} in row {row}"
        raise InputError(sentence(where, "whole numbers as classes", got, "take task 'regression'"))
    return labels.astype(np.int64)


def listed(items: Sequence[Any], most: int = 10) -> str:
    """A short list for people: the first few, and how many there are.

    >>> listed(range(100), most=3)
    '0, 1, 2, ... (100)'
    """
    head = ", ".join(str(item) for item in items[:most])
    return head if len(items) <= most else f"{head}, ... ({len(items)})"
