"""The cells of one column of a frame, a dict or a list, as an array of numbers or dates, or as a list of text.

Nothing here imports pandas, polars or PyArrow: their columns are known by their attributes.
"""

import datetime
import numbers
from typing import Any

import numpy as np

from jaxmlp.errors import InputError, InputTypeError, sentence
from jaxmlp.tabular.cells import Cells


def is_categorical(cells: object) -> bool:
    """Whether cells have a categorical dtype of pandas or polars, or a dictionary type of PyArrow."""
    dtype = str(getattr(cells, "dtype", getattr(cells, "type", ""))).lower()
    return dtype.startswith(("category", "categorical", "enum", "dictionary"))


def as_cells(cells: object, where: str) -> Cells:
    """Return numbers or dates as an array, and text as a list of str."""
    array = _array_of(cells)
    if array.ndim != 1:
        raise InputError(sentence(where, "one cell for each row", f"shape {array.shape}", "give it one dimension"))
    if array.dtype.kind in "biufM":
        return array
    if array.dtype.kind in "UST":
        cells = (cell.decode(errors="replace") if isinstance(cell, bytes) else cell for cell in array.tolist())
        return [str(cell).strip() for cell in cells]
    if array.dtype.kind != "O":
        expects, remedy = "numbers, text or dates", "convert it, or drop it"
        raise InputTypeError(sentence(where, expects, f"dtype {array.dtype}", remedy))
    return _object_cells(array.tolist(), where)


def _array_of(cells: Any) -> np.ndarray:
    if isinstance(cells, np.ma.MaskedArray):
        return masked_as_missing(cells)
    if hasattr(cells, "to_pylist"):  # PyArrow, whose to_numpy would turn integers with a gap into floats
        is_plain = not cells.null_count and not str(cells.type).startswith(("decimal", "dictionary"))
        return cells.to_numpy(zero_copy_only=False) if is_plain else np.asarray(cells.to_pylist(), dtype=object)
    return cells.to_numpy() if hasattr(cells, "to_numpy") else np.asarray(cells, dtype=_plain_dtype(cells))


def masked_as_missing(array: np.ma.MaskedArray) -> np.ndarray:
    """Return a plain array in which masked numbers are nan, and other masked cells None.

    >>> masked_as_missing(np.ma.masked_array([1, 2], mask=[False, True])).tolist()
    [1.0, nan]
    """
    mask = np.ma.getmaskarray(array)
    if not mask.any():
        return np.asarray(array.data)
    is_number = array.dtype.kind in "biuf"
    # the smallest float that holds the numbers of the dtype: float16 for bytes, float64 for int32
    plain = array.data.astype(np.result_type(array.dtype, np.float16) if is_number else object)
    plain[mask] = np.nan if is_number else None
    return plain


def _plain_dtype(cells: object) -> Any:
    # left to itself, NumPy would turn the 1 in [1, "a"] into text
    return None if hasattr(cells, "dtype") else object


def _object_cells(cells: list[Any], where: str) -> Cells:
    present = [cell for cell in cells if not is_missing(cell)]
    # with a gap they become 1, 0 and nan below, because an array of bool has no nan
    if all(isinstance(cell, bool | np.bool) for cell in present) and len(present) == len(cells):
        return np.array(cells, dtype=bool)
    if all(_is_real(cell) for cell in present):
        if len(present) == len(cells) and all(isinstance(cell, int | np.integer) for cell in cells):
            whole = np.array(cells)
            # integers of more than 64 bits become text: as float64 several of them would be equal
            return whole if whole.dtype.kind in "iu" else [str(cell) for cell in cells]
        return np.array([np.nan if is_missing(cell) else float(cell) for cell in cells], np.float64)
    if all(hasattr(cell, "year") and hasattr(cell, "day") for cell in present):
        # nanoseconds would reach from 1677 to 2262 only
        missing = np.datetime64("NaT", "us")
        return np.array([missing if is_missing(cell) else _as_datetime(cell) for cell in cells], "M8[us]")
    unexpected = next((cell for cell in present if not isinstance(cell, str | bytes) and not _is_real(cell)), None)
    if unexpected is not None:
        expects, remedy = "numbers, text or dates", "convert it, or drop the column"
        raise InputTypeError(sentence(where, expects, type(unexpected).__name__, remedy))
    return ["" if is_missing(cell) else text_of(cell) for cell in cells]


def _as_datetime(cell: Any) -> np.datetime64:
    """Return a date or time in UTC; for a period of pandas its start."""
    cell = getattr(cell, "start_time", cell)
    if getattr(cell, "tzinfo", None) is not None:
        cell = cell.astimezone(datetime.UTC).replace(tzinfo=None)
    return np.datetime64(cell.isoformat())


def _is_real(cell: object) -> bool:
    """Whether a cell is a real number of Python or NumPy, or a Decimal, which databases return."""
    return isinstance(cell, numbers.Real | np.bool) or type(cell).__name__ == "Decimal"


def is_missing(cell: object) -> bool:
    """Whether a cell is None, nan, or the missing value of pandas."""
    # by the names of their types: pandas is not imported here
    if cell is None or type(cell).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(cell, float | np.floating) and bool(np.isnan(cell))


def text_of(cell: object) -> str:
    """Return a cell as text, with "2" for 2.0: a gap turns integers into floats, and must not change a category.

    >>> text_of(2.0), text_of(" cat "), text_of(True)
    ('2', 'cat', 'True')
    """
    if isinstance(cell, bytes):
        cell = cell.decode("utf-8", "replace")
    if isinstance(cell, float | np.floating) and float(cell).is_integer():
        cell = int(cell)
    return str(cell).strip()


def as_text(cells: Cells) -> list[str]:
    """Return the cells of a column as text, "" for a missing one.

    >>> as_text(np.array([1.0, np.nan]))
    ['1', '']
    """
    if isinstance(cells, list):
        return cells
    if cells.dtype.kind == "M":
        return ["" if np.isnat(cell) else str(cell) for cell in cells]
    return ["" if is_missing(cell) else text_of(cell) for cell in cells.tolist()]
