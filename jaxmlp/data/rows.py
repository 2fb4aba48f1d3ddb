"""Check the rows of a data set: they are a finite matrix (m, n) of real numbers, one example per row.

Images (m, h, w) and (m, h, w, c) become rows of h·w·c intensities, in that order, and their shape is recorded. The
dtype stays that of the source, so images of bytes take one byte per pixel.
"""

import math
import numbers
import operator
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from jaxmlp.data.labels import preview
from jaxmlp.errors import InputError, InputTypeError, is_listed, quoted, sentence, warn_user
from jaxmlp.tabular.frame_cells import masked_as_missing
from jaxmlp.tabular.table import TableRows

ImageShape = tuple[int, ...]
CENTRED_LIMIT = 4  # intensities this many times beyond those of a training around 0 have another unit
MANY_IMAGES = 20  # of which at least one has a pixel below the mean


class Columns(NamedTuple):
    """The names of the columns of a data set, and the shape of its images.

    Attributes:
        feature_names: one name for each column of the rows, or () without names.
        target_names: one name for each target, or () without names.
        image_shape: (h, w) or (h, w, c) if a row is an image of h·w·c pixels, else None.
    """

    feature_names: Sequence[str] = ()
    target_names: Sequence[str] = ()
    image_shape: Sequence[int] | None = None


UNNAMED = Columns()


def as_rows(rows: ArrayLike, where: str) -> tuple[np.ndarray, ImageShape | None]:
    """Return `rows` as (m, n), and the shape of one image if they are images.

    Raises:
        InputTypeError: not an array of real numbers.
        InputError: another rank, or an empty array.

    >>> matrix, image_shape = as_rows(np.zeros((5, 8, 8), np.uint8), "the training part")
    >>> matrix.shape, matrix.dtype.name, image_shape
    ((5, 64), 'uint8', (8, 8))
    """
    array = _as_real(rows, where)
    if array.ndim == 1:
        remedy = "pass rows.reshape(-1, 1) for one feature, rows.reshape(1, -1) for one example"
        raise InputError(sentence(where, "rows of shape (m, n)", array.shape, remedy))
    if array.ndim not in (2, 3, 4):
        expects = "rows (m, n) or images (m, h, w) or (m, h, w, c)"
        raise InputError(sentence(where, expects, array.shape, "one example per row"))
    if array.size == 0:
        raise InputError(sentence(where, "at least one row and one column", array.shape, "is the source empty?"))
    return array.reshape(len(array), -1), array.shape[1:] if array.ndim > 2 else None


def _as_real(rows: ArrayLike, where: str) -> np.ndarray:
    if hasattr(rows, "toarray"):
        remedy = "pass X.toarray(), or take jaxmlp.MLPClassifier or MLPRegressor, which read sparse rows"
        raise InputTypeError(sentence(where, "a dense array", "a sparse matrix", remedy))
    try:
        array = plain_array(rows)  # a list of rows of unequal length is an error since NumPy 1.24
    except ValueError:
        got, remedy = "rows of unequal length", "give every row the same number of columns"
        raise InputTypeError(sentence(where, "an array of numbers", got, remedy)) from None
    if array.dtype.kind not in "biuf":
        remedy = "convert it to float, text columns to numbers first"
        raise InputTypeError(sentence(where, "rows of real numbers", f"dtype {array.dtype}", remedy))
    return array


def plain_array(rows: ArrayLike) -> np.ndarray:
    """Return rows as an array, with nan for masked numbers, and floats for numbers that are stored as objects.

    >>> plain_array(np.array([[1, 2.5], [True, 4]], dtype=object)).dtype.name
    'float64'
    """
    if isinstance(rows, TableRows):
        return rows
    if isinstance(rows, np.ma.MaskedArray):
        return masked_as_missing(rows)
    try:
        array = np.asarray(rows)
    except ValueError as error:  # rows of different lengths
        remedy = "give each row the same number of values"
        raise InputError(sentence("rows", "an array", quoted(error), remedy)) from None
    # to_numpy of a frame with booleans beside numbers gives objects
    is_number = array.dtype.kind == "O" and all(isinstance(x, numbers.Real | np.bool) for x in array.flat)
    try:
        return array.astype(np.float64) if is_number and array.size else array
    except OverflowError:  # a whole number of more than 308 digits
        got, remedy = "a larger number", "scale the column"
        raise InputError(sentence("rows", "numbers below 1.8e308", got, remedy)) from None


def check_unit(rows: np.ndarray, extremes: tuple[float, float], where: str) -> None:
    """Raise, or warn in doubt, if images have another scale than in training: 0..1 for 0..255, or standardised ones.

    Args:
        rows: (m, n) intensities.
        extremes: the smallest and the largest intensity in training.
        where: the name of the rows in the error text.
    """
    low, high = extremes
    if not rows.size or rows.dtype.kind not in "biuf":
        return
    if low < 0:
        _check_centred(rows, extremes, where)
        return
    bottom, top = float(rows.min()), float(rows.max())
    has_fractions = rows.dtype.kind == "f" and bool((rows != np.floor(rows)).any())
    expects = f"intensities 0..{high:g} as in training"
    # resizing an image can make intensities a little below 0 or above the maximum
    if bottom < -high / 4 or (has_fractions and bottom < 0 and high > 2 and top <= high / 16):
        got, remedy = f"intensities {bottom:.3g}..{top:.3g}", "give the images as in training, not scaled or shifted"
        raise InputError(sentence(where, expects, got, remedy))
    if high > 2 and 0 < top <= 1:
        text = sentence(where, expects, "intensities 0..1", "give the images as in training, images * 255")
        if has_fractions or rows.dtype.kind == "b":
            raise InputError(text)
        # whole numbers give a warning at most: dark images in 0..255 may have intensities 0 and 1 only
        if len(rows) >= MANY_IMAGES:
            warn_user(text)
    if high <= 1 and top > 2:
        got, remedy = f"intensities up to {top:g}", "give the images as in training, images / 255"
        raise InputError(sentence(where, "intensities 0..1 as in training", got, remedy))


def _check_centred(rows: np.ndarray, extremes: tuple[float, float], where: str) -> None:
    """Raise for bytes, and warn of 0..1, where the training had negative intensities: -1..1, or z-scores."""
    low, high = extremes
    bottom, top = float(rows.min()), float(rows.max())
    trained = f"intensities {low:.3g}..{high:.3g} as in training"
    remedy = "shift and scale the images as in training"
    if rows.dtype.kind == "u" or (bottom >= 0 and top > CENTRED_LIMIT * max(-low, high)):
        raise InputError(sentence(where, trained, f"intensities {bottom:.3g}..{top:.3g}", remedy))
    # images in 0..1 have black pixels of exactly 0, or are many; a few bright ones of -1..1 may have none below 0
    if (bottom == 0 < top) or (bottom > 0 and len(rows) >= MANY_IMAGES):
        warn_user(sentence(where, trained, f"intensities {bottom:.3g}..{top:.3g}, none of them negative", remedy))


def check_finite(rows: np.ndarray, where: str, names: Sequence[str] = (), first: int = 0) -> None:
    """Raise for the first nan or infinity, and say where it is.

    Args:
        rows: (m, n).
        where: the name of the rows in the error text.
        names: the names of the columns; without them the error gives the column number.
        first: the number of the first row.
    """
    # the position is searched only after an error is certain: this pass makes one array of booleans
    if rows.dtype.kind != "f" or np.isfinite(rows).all():
        return
    row, column = np.argwhere(~np.isfinite(rows))[0]
    label = repr(names[column]) if names else column
    got = f"{rows[row, column]} in row {first + row}, column {label}"
    raise InputError(sentence(where, "finite numbers", got, "drop that row or fill the value in"))


def check_names(names: Sequence[str], n: int) -> tuple[str, ...]:
    """Return the names of the columns as a tuple: none, or one for each of the n."""
    # names may be numbers, as in a frame of pandas
    if not is_listed(names):
        remedy = "write feature_names=['age', 'income'], for example"
        raise InputTypeError(sentence("feature_names", "a list of names", repr(names), remedy))
    names = tuple(names)
    if names and len(names) != n:
        got = f"{len(names)} for {n} columns"
        raise InputError(sentence("feature_names", "one name per column", got, "give all names or none"))
    return names


def find_columns(names: Sequence[str], available: tuple[str, ...], where: str) -> list[int]:
    """Return the positions of the names among those available.

    Raises:
        InputError: no name, a name that is absent or repeated, or a data set without names.
        InputTypeError: one text instead of a sequence.

    >>> find_columns(["c", "a"], ("a", "b", "c"), "pets")
    [2, 0]
    """
    if not is_listed(names):
        remedy = f"pass [{names!r}]" if isinstance(names, str) else "pass ['age'], for example"
        raise InputTypeError(sentence("select", "a sequence of column names", repr(names), remedy))
    names = list(names)
    if not names:
        raise InputError(sentence("select", "at least one column name", "none", "name the columns to keep"))
    if not available:
        remedy = "give feature_names when the data set is made"
        raise InputError(sentence(where, "feature names to select by", "none", remedy))
    if missing := [name for name in names if name not in available]:
        expects, got = f"the feature columns {preview(names)}", preview(available)
        raise InputError(sentence(where, expects, got, f"add {preview(missing)}"))
    if repeated := [name for name in names if names.count(name) > 1]:
        raise InputError(sentence("select", "distinct column names", f"{repeated[0]!r} twice", "name it once"))
    return [available.index(name) for name in names]


def without_grey_axis(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of an image, without the last axis of one grey channel: (h, w) for (h, w, 1)."""
    return tuple(shape[:2] if len(shape) == 3 and shape[2] == 1 else shape)


def flatten_images(array: np.ndarray, image_shape: Sequence[int] | None) -> np.ndarray:
    """Return images of this shape as rows, one image as one row, and any other array unchanged.

    The axis of one grey channel may be absent or present, as in Keras.

    >>> [flatten_images(np.zeros(shape), (4, 3)).shape for shape in ((5, 4, 3), (5, 4, 3, 1), (4, 3, 1), (5, 12))]
    [(5, 12), (5, 12), (1, 12), (5, 12)]
    """
    shape = without_grey_axis(image_shape or ())
    if not shape or without_grey_axis(array.shape[1:]) == shape:
        return array.reshape(len(array), -1) if shape else array
    return array.reshape(1, -1) if without_grey_axis(array.shape) == shape else array


def check_image_shape(shape: Sequence[int] | None, array_shape: ImageShape | None, n: int) -> ImageShape | None:
    """Return the image shape that the caller states or that the array shows; h·w·c must be n."""
    if shape is None:
        return array_shape
    expects, remedy = f"(h, w) or (h, w, c) with a product of {n} columns", "give the shape of one image"
    try:
        shape = tuple(operator.index(size) for size in shape)
    except TypeError:
        raise InputTypeError(sentence("image_shape", expects, repr(shape), remedy)) from None
    if array_shape is not None and without_grey_axis(shape) != without_grey_axis(array_shape):
        expects, remedy = f"the shape of the images, {array_shape}", "leave image_shape out, the array has it"
        raise InputError(sentence("image_shape", expects, shape, remedy))
    if len(shape) not in (2, 3) or min(shape) < 1 or math.prod(shape) != n:
        raise InputError(sentence("image_shape", expects, shape, remedy))
    return shape
