"""A table in memory: named columns of numbers or of text, from a file, a frame, or a dict of columns.

    numbers     an array of bool, int or float; a missing number is nan
    text        a list of str without blanks at its ends; a missing cell is ""
    dates       an array of datetime64; a missing date is NaT

Nothing here imports pandas, polars or PyArrow: a frame is known by its attributes.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxmlp.errors import InputError, InputTypeError, sentence
from jaxmlp.tabular.cells import BRACKETS, POINT, Cells, NumberFormat
from jaxmlp.tabular.frame_cells import as_cells, as_text, is_categorical
from jaxmlp.tabular.number_signs import certain_formats
from jaxmlp.tabular.zones import has_zone, zone_note


class TableRows(np.ndarray):
    """Rows (m, n) of a table in float64, in which the code of a `TableEncoder` stands for each text.

    The type distinguishes them from a user's array, whose numbers must not be read as codes.
    """


_known_positions: dict[int, tuple[tuple[str, ...], dict[str, int]]] = {}
MAX_KNOWN_POSITIONS = 8


def _positions(names: tuple[str, ...]) -> dict[str, int]:
    """Return the position of each name. A search for each of 10,000 columns would take minutes."""
    known = _known_positions.get(id(names))
    if known is None or known[0] is not names:
        if len(_known_positions) >= MAX_KNOWN_POSITIONS:
            _known_positions.clear()
        # of two equal names the first counts, as in `tuple.index`
        known = names, {name: i for i, name in reversed(list(enumerate(names)))}
        _known_positions[id(names)] = known  # a reference to the tuple: otherwise a new tuple could get its id
    return known[1]


class Table(NamedTuple):
    """Named columns of equal length.

    Attributes:
        where: the name of the file, or "the table", for error texts.
        names: the names of the columns.
        columns: the cells of each column.
        lines: the line of the file in which each row begins; None if the rows come from no file.
        formats: the number format of each column of text whose numbers are not plain; all others have `POINT`.
        has_names: whether the names come from the source; False if they only number the columns.
        notes: the decisions about the file, as texts for the user.
        categories: names of the columns with a categorical type.
        index_name: the name that the reader gave to a first column without a name, which numbers the rows.
        zoned: names of the columns of times that had a time zone; they are in UTC here.
    """

    where: str
    names: tuple[str, ...]
    columns: tuple[Cells, ...]
    lines: np.ndarray | None = None
    formats: Mapping[str, NumberFormat] = {}
    has_names: bool = True
    notes: tuple[str, ...] = ()
    categories: frozenset[str] = frozenset()
    index_name: str | None = None
    zoned: frozenset[str] = frozenset()

    @property
    def n_rows(self) -> int:
        """The number of rows."""
        return len(self.columns[0]) if self.columns else 0

    def column(self, name: str) -> Cells:
        """Return the cells of a column."""
        return self.columns[_positions(self.names)[name]]

    def number_format(self, name: str) -> NumberFormat:
        """Return how numbers are written in a column of text."""
        return self.formats.get(name, POINT)

    def unit(self, name: str) -> str:
        """Return the unit of the numbers of a column of text: "%", a currency such as "$", or ""."""
        unit = self.number_format(name).unit
        return "" if unit == BRACKETS else unit

    def place(self, name: str, row: int) -> str:
        """Return where a cell is, in words.

        >>> Table("a.csv", ("x",), (["1"],), np.array([2])).place("x", 0)
        "column 'x', line 2"
        """
        return f"column {name!r}, {self.row_place(row)}"

    def row_place(self, row: int) -> str:
        """Return where a row is, in words."""
        return f"row {row}" if self.lines is None else f"line {self.lines[row]}"

    def take(self, names: Sequence[str]) -> "Table":
        """Return the table with these columns only, in this order."""
        return self._replace(names=tuple(names), columns=tuple(self.column(name) for name in names))

    def rename(self, names: Sequence[str]) -> "Table":
        """Return the table with other names for its columns."""
        formats = {new: self.formats[old] for new, old in zip(names, self.names, strict=True) if old in self.formats}
        zoned = frozenset(new for new, old in zip(names, self.names, strict=True) if old in self.zoned)
        return self._replace(names=tuple(names), formats=formats, zoned=zoned)

    def without(self, names: Sequence[str]) -> "Table":
        """Return the table without these columns."""
        return self.take([name for name in self.names if name not in names])


def is_frame(source: object) -> bool:
    """Whether an object is a table with named columns.

    Such a table is a frame of pandas or polars, a table of PyArrow, a dict of columns, a list of dicts, a structured
    array or a `Table`.

    >>> is_frame({"size": [1.5]}), is_frame([{"size": 1.5}]), is_frame(np.zeros((2, 3)))
    (True, True, False)
    """
    return (
        (isinstance(source, Table | Mapping) and not hasattr(source, "toarray"))  # SciPy's dok_matrix is a dict, too
        or is_lazy(source)
        or (hasattr(source, "columns") and (hasattr(source, "dtypes") or hasattr(source, "column_names")))
        or (isinstance(source, np.ndarray) and source.dtype.names is not None)
        or (isinstance(source, list | tuple) and len(source) > 0 and all(isinstance(row, Mapping) for row in source))
    )


def is_lazy(source: object) -> bool:
    """Whether an object is a LazyFrame of polars, which has no data yet; reading its columns would compute them."""
    return type(source).__name__ == "LazyFrame"


def as_table(source: object, where: str = "the table", ignores: Callable[[str], bool] | None = None) -> Table:
    """Return any table that `is_frame` accepts as a `Table`.

    Args:
        source: the table.
        where: its name in error texts.
        ignores: whether a column of this name is no feature; cells in it that cannot be read become empty.

    Raises:
        InputError: columns of unequal length, repeated names, no column at all.
        InputTypeError: anything else, and cells that are neither numbers, text nor dates.

    >>> as_table({"size": [1.5, None], "pet": ["cat", "dog "]}).columns
    (array([1.5, nan]), ['cat', 'dog'])
    """
    if isinstance(source, Table):
        return source
    if is_lazy(source):
        raise InputTypeError(sentence(where, "a frame in memory", "a LazyFrame", "give the result of its collect()"))
    if not is_frame(source):
        remedy = "give a DataFrame, or a dict {name: cells}"
        raise InputTypeError(sentence(where, "named columns", type(source).__name__, remedy))
    names, contents = _named_columns(source, where)
    if not names:
        raise InputError(sentence(where, "at least one column", "none", "is the source empty?"))
    check_distinct(names, where)
    columns = tuple(_read_cells(cells, name, ignores) for name, cells in zip(names, contents, strict=True))
    lengths = {len(cells) for cells in columns}
    if len(lengths) > 1:
        got, remedy = f"{min(lengths)} to {max(lengths)} cells", "give every column a cell for each row"
        raise InputError(sentence(where, "columns of equal length", got, remedy))
    categories = frozenset(name for name, cells in zip(names, contents, strict=True) if is_categorical(cells))
    columns = tuple(as_text(c) if n in categories else c for n, c in zip(names, columns, strict=True))
    texts = {n: c for n, c in zip(names, columns, strict=True) if n not in categories}
    zoned = [name for name, cells in zip(names, contents, strict=True) if has_zone(cells)]
    notes = tuple(map(zone_note, zoned))
    return Table(
        where,
        names,
        columns,
        formats=certain_formats(texts),
        categories=categories,
        zoned=frozenset(zoned),
        notes=notes,
    )


def _read_cells(cells: Any, name: str, ignores: Callable[[str], bool] | None) -> Cells:
    try:
        return as_cells(cells, f"column {name!r}")
    except InputError:
        if ignores is None or not ignores(name):
            raise
        return [""] * len(cells)


def _named_columns(source: object, where: str) -> tuple[tuple[str, ...], list[Any]]:
    """Return the names of the columns as text, and the cells of each."""
    if isinstance(source, list | tuple):  # of dicts, one for each row
        # records of JSON need not all have the same keys
        keys = list(dict.fromkeys(key for row in source for key in row))
        source = {key: [row.get(key) for row in source] for key in keys}
    if isinstance(source, Mapping):
        if source and all(map(_is_scalar, source.values())):  # one row
            source = {name: [cell] for name, cell in source.items()}
        return tuple(map(str, source)), list(source.values())
    if isinstance(source, np.ndarray):
        if source.ndim != 1:
            raise InputError(sentence(where, "records of shape (m,)", source.shape, "pass records.reshape(-1)"))
        keys = source.dtype.names or ()
        return tuple(keys), [source[key] for key in keys]
    names = column_names(source)
    return names, [_frame_column(source, i) for i in range(len(names))]


def check_distinct(names: Sequence[str], where: str) -> None:
    """Raise for column names that occur twice.

    Raises:
        InputError: such a name.
    """
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if repeated:
        raise InputError(sentence(where, "distinct column names", f"{repeated[0]!r} twice", "rename one of them"))


def column_names(frame: Any) -> tuple[str, ...]:
    """Return the column names of a frame as text; `columns` of a PyArrow table are the cells, not the names."""
    return tuple(map(str, frame.column_names if hasattr(frame, "column_names") else frame.columns))


def _is_scalar(cell: object) -> bool:
    # a text has a length too, but is one cell
    return isinstance(cell, str | bytes) or not (hasattr(cell, "__len__") or hasattr(cell, "__iter__"))


def _frame_column(frame: Any, position: int) -> Any:
    # pandas has iloc, polars to_series, and PyArrow column
    if hasattr(frame, "iloc"):
        return frame.iloc[:, position]
    return frame.to_series(position) if hasattr(frame, "to_series") else frame.column(position)
