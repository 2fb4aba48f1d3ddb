"""What may enter a data set as its rows: a finite matrix (m, n) of real numbers, one example per row.

Images (m, h, w) and (m, h, w, c) become rows of h·w·c intensities, in that order, and their shape is remembered. The
dtype stays that of the source, a byte per pixel where it was one.
"""

import math
import operator
from typing import Any

import numpy as np

from jaxmlp.data.labels import listed
from jaxmlp.errors import InputError, InputTypeError, sentence

ImageShape = tuple[int, ...]


def as_rows(rows: Any, where: str) -> tuple[np.ndarray, ImageShape | None]:
    """`rows` as (m, n), and the shape of one image where they were images.

    Raises:
        InputTypeError: no array of real numbers.
        InputError: another rank, or nothing in it.

    >>> matrix, image_shape = as_rows(np.zeros((5, 8, 8), np.uint8), "the training part")
    >>> matrix.shape, matrix.dtype.name, image_shape
    ((5, 64), 'uint8', (8, 8))
    """
    array = _real(rows, where)
    if array.ndim == 1:
        remedy = "pass rows.reshape(-1, 1) for one feature, rows.reshape(1, -1) for one example"
        raise InputError(sentence(where, "rows of shape (m, n)", array.shape, remedy))
    if array.ndim not in (2, 3, 4):
        expects = "rows (m, n) or images (m, h, w) or (m, h, w, c)"
        raise InputError(sentence(where, expects, array.shape, "one example per row"))
    if array.size == 0:
        raise InputError(sentence(where, "at least one row and one column", array.shape, "is the source empty?"))
    return array.reshape(len(array), -1), array.shape[1:] if array.ndim > 2 else None


def _real(rows: Any, where: str) -> np.ndarray:
    try:
        array = np.asarray(rows)
    except ValueError:
        got, remedy = "rows of unequal length", "give every row the same number of columns"
        raise InputTypeError(sentence(where, "an array of numbers", got, remedy)) from None
    if array.dtype.kind not in "biuf":
        remedy = "convert it to float, text columns to numbers first"
        raise InputTypeError(sentence(where, "rows of real numbers", f"dtype {array.dtype}", remedy))
    return array


def check_finite(rows: np.ndarray, where: str, names: tuple[str, ...] = (), first: int = 0) -> None:
    """Refuse the first nan or infinity, by row (the number of the first is given) and column (its number or name)."""
    if rows.dtype.kind != "f" or np.isfinite(rows).all():
        return
    row, column = np.argwhere(~np.isfinite(rows))[0]
    label = repr(names[column]) if names else column
    got = f"{rows[row, column]} in row {first + row}, column {label}"
    raise InputError(sentence(where, "finite numbers", got, "drop that row or fill the value in"))


def check_names(names: Any, n: int) -> tuple[str, ...]:
    """The names of the columns as a tuple: none, or one for each of the n."""
    names = tuple(names)
    if names and len(names) != n:
        got = f"{len(names)} for {n} columns"
        raise InputError(sentence("feature_names", "one name per column", got, "give all names or none"))
    return names


def columns_of(names: Any, available: tuple[str, ...], where: str) -> list[int]:
    """Where each of the names stands among those available.

    Raises:
        InputError: one that is missing or named twice, none at all, or none to choose from.
        InputTypeError: one text instead of several.

    >>> columns_of(["c", "a"], ("a", "b", "c"), "pets")
    [2, 0]
    """
    if isinstance(names, str):
        raise InputTypeError(sentence("select", "a sequence of column names", repr(names), f"pass [{names!r}]"))
    names = list(names)
    if not names:
        raise InputError(sentence("select", "at least one column name", "none", "name the columns to keep"))
    if not available:
        remedy = "give feature_names when the data set is made"
        raise InputError(sentence(where, "feature names to select by", "none", remedy))
    if missing := [name for name in names if name not in available]:
        expects, got = f"the feature columns {listed(names)}", listed(available)
        raise InputError(sentence(where, expects, got, f"add {listed(missing)}"))
    if doubled := [name for name in names if names.count(name) > 1]:
        raise InputError(sentence("select", "distinct column names", f"{doubled[0]!r} twice", "name it once"))
    return [available.index(name) for name in names]


def check_image_shape(given: Any, found: ImageShape | None, n: int) -> ImageShape | None:
    """One image shape from what the caller said and what the array showed; h·w·c must be n."""
    if given is None:
        return found
    expects, remedy = f"(h, w) or (h, w, c) with a product of {n} columns", "give the shape of one image"
    try:
        shape = tuple(operator.index(size) for size in given)
    except TypeError:
        raise InputTypeError(sentence("image_shape", expects, repr(given), remedy)) from None
    if found is not None and shape != found:
        expects, remedy = f"the shape of the images, {found}", "leave image_shape out, the array has it"
        raise InputError(sentence("image_shape", expects, shape, remedy))
    if len(shape) not in (2, 3) or min(shape) < 1 or math.prod(shape) != n:
        raise InputError(sentence("image_shape", expects, shape, remedy))
    return shape
