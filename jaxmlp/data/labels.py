"""Check the labels of a data set: booleans, integers, finite floats or text, one or several per example.

Class labels keep the type that they have in the source, so that a prediction can be compared with them by `==`.
"""

import math
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from jaxmlp.errors import InputError, InputTypeError, sentence
from jaxmlp.tabular.frame_cells import is_missing, masked_as_missing


def as_labels(labels: ArrayLike, where: str) -> np.ndarray:
    """Return labels as an array (m,) or (m, k) of booleans, integers, finite floats or text; (m, 1) becomes (m,).

    Raises:
        InputTypeError: text mixed with numbers, None, complex numbers.
        InputError: another rank, a nan or infinity, or bytes that are not UTF-8.
    """
    array = _plain_array(labels, where)
    if array.ndim not in (1, 2):
        remedy = "pass one label, or one row of labels, per example"
        raise InputError(sentence(where, "labels of shape (m,) or (m, k)", array.shape, remedy))
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        row = np.argwhere(~np.isfinite(array))[0][0]
        got = f"{array[~np.isfinite(array)][0]} in row {row}"
        raise InputError(sentence(where, "finite labels", got, "drop that row"))
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def _plain_array(labels: ArrayLike, where: str) -> np.ndarray:
    """Return an array of numbers or of text, never of objects."""
    if isinstance(labels, np.ma.MaskedArray):
        labels = masked_as_missing(labels)
    # NumPy turns [1, "a"] into ["1", "a"] without an error, so types are checked while members are still objects
    array = np.asarray(labels, dtype=None if hasattr(labels, "dtype") else object)
    if array.dtype.kind == "O":
        members = array.ravel().tolist()
        is_text = {isinstance(member, str | bytes) for member in members}
        missing = next((i for i, member in enumerate(members) if is_missing(member)), None)
        if missing is not None:
            row = missing // max(1, math.prod(array.shape[1:]))  # of labels (m, k), which are flat here
            got = f"{members[missing]} in row {row}"
            raise InputTypeError(sentence(where, "a label for every row", got, "drop that row"))
        if len(is_text) == 2:
            types = ", ".join(sorted({type(member).__name__ for member in members}))
            raise InputTypeError(sentence(where, "labels of one type", types, "make them all text or all numbers"))
        array = _regular_array(decode_text(array, where), where)
    if array.dtype.kind == "S":
        return decode_text(array, where)
    if array.dtype.kind == "T":  # NumPy's variable-width strings
        return np.asarray(array.tolist())
    if array.dtype.kind not in "biufU":
        remedy = "convert them to integers, floats or text"
        raise InputTypeError(sentence(where, "labels of numbers or text", f"dtype {array.dtype}", remedy))
    return array


def _regular_array(array: np.ndarray, where: str) -> np.ndarray:
    try:
        return np.asarray(array.tolist())
    except ValueError:
        got, remedy = "rows of unequal length", "give every row the same number of columns"
        raise InputTypeError(sentence(where, "an array of labels", got, remedy)) from None


def decode_text(array: np.ndarray, where: str) -> np.ndarray:
    """Return bytes, in which files store text, as text, and any other array as it is.

    >>> decode_text(np.array([b"cat", b"dog"]), "list_classes of a.h5").tolist()
    ['cat', 'dog']
    """
    if array.dtype.kind not in "SO":
        return array
    members = [decode_utf8(item, where) if isinstance(item, bytes) else item for item in array.ravel().tolist()]
    if array.dtype.kind == "S":
        return np.array(members, dtype=np.str_).reshape(array.shape)
    # not np.array(members), which would make the numbers of a mixed list into text
    return np.fromiter(members, dtype=object, count=len(members)).reshape(array.shape)


def decode_utf8(text: bytes, where: str) -> str:
    """Return the text of some bytes, or raise if they are not UTF-8."""
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(sentence(where, "text in UTF-8", repr(text), "write it again as UTF-8")) from None


def are_flags(labels: np.ndarray) -> bool:
    """Whether all labels are 0 or 1, in integers or booleans."""
    return labels.dtype.kind in "biu" and bool(np.isin(labels, (0, 1)).all())


def as_whole(values: np.ndarray) -> np.ndarray:
    """Return floats 1.0, 2.0 as integers 1, 2 if all are whole, as np.savetxt and a gap in pandas make floats.

    >>> as_whole(np.array([1.0, 2.0])).tolist(), as_whole(np.array([1.0, 2.5])).tolist()
    ([1, 2], [1.0, 2.5])
    """
    # from 2⁵³ on float64 lacks whole numbers: two labels may already have become one
    if values.dtype.kind == "f" and (values == np.floor(values)).all() and np.abs(values).max(initial=0) < 2**53:
        return values.astype(np.int64)
    return values


def as_class_values(labels: np.ndarray, where: str) -> np.ndarray:
    """Return class labels stored as floats (2.0) as integers, or raise for a fraction among them."""
    if labels.dtype.kind != "f":
        return labels
    is_fraction = labels != np.floor(labels)
    if is_fraction.any():
        row = np.flatnonzero(is_fraction)[0]
        got = f"{labels[row].item()} in row {row}"
        raise InputError(sentence(where, "whole numbers as classes", got, "name the task 'regression'"))
    if np.abs(labels).max(initial=0) >= 2**53:
        row = np.abs(labels).argmax()
        got, remedy = f"{labels[row].item():g} in row {row}", "give them as text, or name the task 'regression'"
        raise InputError(sentence(where, "whole numbers below 2⁵³ as classes", got, remedy))
    return labels.astype(np.int64)


def are_words(labels: Sequence[object]) -> bool:
    """Whether labels are texts of which none is a number: then a number can only be meant as a class id.

    >>> are_words(["cat", "dog"]), are_words(["1", "2"]), are_words([1, 2])
    (True, False, False)
    """
    return all(isinstance(label, str) and not re.fullmatch(r"\s*[+-]?\d+(\.\d*)?\s*", label) for label in labels)


def plain_value(label: object) -> object:
    """Return a NumPy scalar as a Python value, which error texts show as the user writes it.

    >>> plain_value(np.int64(2)), plain_value("cat")
    (2, 'cat')
    """
    return label.item() if isinstance(label, np.generic) else label


def preview(items: Sequence[object], limit: int = 10) -> str:
    """Return the first few items as text, and how many there are if there are more.

    >>> preview(range(100), limit=3)
    '0, 1, 2, ... (100)'
    """
    first = ", ".join(str(item) for item in items[:limit])
    return first if len(items) <= limit else f"{first}, ... ({len(items)})"
