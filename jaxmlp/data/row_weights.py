"""Check the weights of rows in one place, for training, validation and metrics."""

from collections.abc import Callable
from typing import Any

import numpy as np

from jaxmlp.data.table_targets import weight_values
from jaxmlp.errors import InputError, quoted, sentence
from jaxmlp.tabular.table import as_table, is_frame

NUMERIC_KINDS = "biuf"  # kinds of NumPy's dtypes
_MAX_LETTERS = 40  # of a text that was given in place of an array


def check_row_weights(weights: object, m: int, where: str = "weights", rows: str = "rows") -> np.ndarray:
    """Return the weights of m rows as an array, in their own dtype.

    Args:
        weights: (m,) numbers.
        m: the number of rows.
        where, rows: the name of the argument and of its rows, for the errors.

    Raises:
        InputError: unless they are finite numbers ≥ 0, one for each row, not all 0.

    >>> check_row_weights([0, 3], 2).tolist()
    [0, 3]
    """
    try:
        array = np.asarray(weights)
    except ValueError:  # nested lists of different lengths
        array = np.array("lists of unequal length")
    if array.shape != (m,) or array.dtype.kind not in NUMERIC_KINDS:
        expects = f"a number ≥ 0 for each of the {m} {rows}"
        raise InputError(sentence(where, expects, _description(array), _how_to_convert(array, m, where)))
    if not array.any():
        raise InputError(sentence(where, "a number above 0", "only zeros", "leave it out for equal weights"))
    invalid = ~(np.isfinite(array) & (array >= 0))
    if invalid.any():
        remedy = "take 0 to leave a row out"
        raise InputError(sentence(where, "finite numbers ≥ 0", array[invalid.argmax()], remedy))
    return array


def _description(array: np.ndarray) -> str:
    if not array.size:
        return "none"
    if not array.ndim:
        return quoted(repr(array.item()), _MAX_LETTERS)
    return f"shape {array.shape}" if array.dtype.kind in NUMERIC_KINDS else f"{array.dtype} of shape {array.shape}"


def _how_to_convert(array: np.ndarray, m: int, where: str) -> str:
    """Return the remedy for an array that is no list of weights."""
    try:
        array.astype(np.float64)
    except (ValueError, TypeError):
        return "give one number for each row"
    if not array.ndim or array.size != m:
        return "give one number for each row"
    # a column (m, 1) or a row (1, m); or numbers as text or objects
    return f"write numpy.ravel({where})" if array.ndim > 1 else f"write numpy.asarray({where}, float)"


def take_weights(rows: Any, weights: Any, ignores: Callable[[str], bool] | None = None) -> tuple[Any, Any]:
    """Return the rows of a training part and their weights; weights given as a name are that column of the frame.

    >>> rows, weights = take_weights({"size": [1.5, 2.5], "w": [1, 2]}, "w")
    >>> rows.names, weights.tolist()
    (('size',), [1.0, 2.0])
    """
    if not (isinstance(weights, str) and is_frame(rows)):
        return rows, weights
    table = as_table(rows, "the training part", ignores)
    values = weight_values(table, weights)
    return table.without([weights]), values
