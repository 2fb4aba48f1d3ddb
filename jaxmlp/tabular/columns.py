"""Read one column of a table: find its words or date format, turn cells into numbers, and fit its block."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxmlp.errors import InputError, InputTypeError, sentence
from jaxmlp.tabular.blocks import Block, CategoryBlock, DateBlock, NumberBlock, PiecewiseBlock
from jaxmlp.tabular.cells import (
    BOOLEANS,
    MISSING,
    MISSING_NUMBERS,
    PERCENT,
    date_formats,
    has_two_orders,
    parse_date,
    parse_each,
    parse_number,
    parse_numbers,
)
from jaxmlp.tabular.frame_cells import as_text
from jaxmlp.tabular.number_signs import certain_formats
from jaxmlp.tabular.odd_cells import is_misfit
from jaxmlp.tabular.options import PIECEWISE, WITH_NUMBER, TableOptions
from jaxmlp.tabular.roles import BOOLEAN, CATEGORY, DATE, NUMBER, ColumnRole
from jaxmlp.tabular.table import Cells, Table
from jaxmlp.tabular.zones import check_zone, form_has_zone, form_of_times

# a new table may have 0 and 1 where the training had no and yes
_BOOLEAN_NUMBERS = {"0": 0.0, "1": 1.0} | {word: float(i) for pair in BOOLEANS for i, word in enumerate(pair)}


class Column(NamedTuple):
    """A column that the network reads.

    Attributes:
        name, role: its name and its role: "number", "category", "yes/no" or "date".
        words: the values of a category, in the order of their codes.
        form: the format of its dates, as for `datetime.strptime`; or the unit of its numbers, such as "%".
        block: the block that encodes it, fitted on the training rows; None before the fit.
    """

    name: str
    role: str
    words: tuple[str, ...] = ()
    form: str = ""
    block: Block | None = None

    @property
    def width(self) -> int:
        """How many columns of the network's input it becomes."""
        return 0 if self.block is None else self.block.width

    @property
    def input_names(self) -> list[str]:
        """The names of these columns."""
        if isinstance(self.block, CategoryBlock):
            return self.block.names(self.name, self.words)
        return [] if self.block is None else self.block.names(self.name)

    def count_unknown(self, x: np.ndarray) -> int:
        """Return how many of the codes x, (m,), stand for words that the column does not know."""
        return int((np.asarray(x) == -1).sum()) if self.role == CATEGORY else 0

    def fit(self, x: np.ndarray, numbers: str, weights: np.ndarray | None = None) -> "Column":
        """Return the column with a block for training values x, (m,), and the weights of their rows, (m,) or None."""
        if self.role == CATEGORY:
            return self._replace(block=CategoryBlock.fit(x, len(self.words), weights))
        if self.role == DATE:
            return self._replace(block=DateBlock.fit(x, weights))
        if self.role == NUMBER and numbers in (PIECEWISE, WITH_NUMBER):
            return self._replace(block=PiecewiseBlock.fit(x, with_number=numbers == WITH_NUMBER))
        return self._replace(block=NumberBlock.fit(x, numbers if self.role == NUMBER else "none", weights))


def check_columns(names: Sequence[str], table: Table, extra: Sequence[str] = ()) -> None:
    """Raise unless the table has columns of these names; the error lists the absent ones, and those of the table.

    `extra` are further columns that the table may have; the error does not suggest them as new names of absent ones.
    """
    absent = [name for name in names if name not in table.names]
    if absent:
        unexpected = [name for name in table.names if name not in names and name not in extra]
        got = ", ".join(table.names) if len(table.names) <= 20 else f"{len(table.names)} others"
        hint = f" (is {unexpected[0]!r} the new name of {absent[0]!r}?)" if len(absent) == len(unexpected) == 1 else ""
        expects = f"the feature columns {_listed(names)}"
        raise InputError(sentence(table.where, expects, got, f"add {_listed(absent)}{hint}"))


def match_spelling(table: Table, names: Sequence[str]) -> Table:
    """Return the table with the names of a model wherever its own differ from them in spaces and line breaks only.

    A header cell may have several lines: our reader of text joins them into one line, and pandas does not.

    >>> match_spelling(Table("t", ("size\\n(cm)",), (["5"],)), ["size (cm)"]).names
    ('size (cm)',)
    """
    absent = {" ".join(name.split()): name for name in names if name not in table.names}
    if not absent:
        return table
    spelled = tuple(name if name in names else absent.get(" ".join(name.split()), name) for name in table.names)
    return table.rename(spelled) if len({*spelled}) == len(spelled) else table


def _listed(names: Sequence[str], limit: int = 10) -> str:
    first = ", ".join(names[:limit])
    return first if len(names) <= limit else f"{first}, ... ({len(names)})"


def empty_missing_words(table: Table, options: TableOptions) -> Table:
    """Return the table with the user's words for a missing value replaced by empty cells; -999 includes -999.0."""
    words = {normalize_word(word.strip().lower()) for word in options.missing}
    if not words:
        return table
    numbers = [x for word in words if (x := parse_number(word)) is not None and not math.isnan(x)]
    columns = tuple(_empty_words(cells, words, numbers) for cells in table.columns)
    # the words hid the format of the numbers beside them
    texts = {name: cells for name, cells in zip(table.names, columns, strict=True) if name not in table.categories}
    return table._replace(columns=columns, formats={**certain_formats(texts), **table.formats})


def _empty_words(cells: Cells, words: set[str], numbers: Sequence[float]) -> Cells:
    if isinstance(cells, list):
        return ["" if normalize_word(cell.lower()) in words else cell for cell in cells]
    is_missing = np.isin(cells, numbers) if cells.dtype.kind in "iuf" else np.zeros(len(cells), bool)
    return np.where(is_missing, np.nan, cells) if is_missing.any() else cells  # integers have no nan


def normalize_word(cell: str) -> str:
    """Return the word of a category, with 2 for 2.0: pandas writes 2.0 if the column has a gap, and 2 if not.

    >>> normalize_word("2.0"), normalize_word("2.50"), normalize_word("v1.0")
    ('2', '2.50', 'v1.0')
    """
    whole, point, decimals = cell.partition(".")
    return whole if point and whole.lstrip("-").isdecimal() and not decimals.strip("0") else cell


def column_of(role: ColumnRole, table: Table) -> Column:
    """Return the unfitted column of a table for its role, with its words or the format of its dates."""
    cells = table.column(role.name)
    if role.role == CATEGORY:
        # sorted: the codes do not depend on the order of the rows
        words = sorted({normalize_word(cell) for cell in set(as_text(cells))}.difference(MISSING))
        return Column(role.name, CATEGORY, tuple(words))
    if role.role == DATE and isinstance(cells, list):
        forms = date_formats(set(cells))
        if not forms or has_two_orders(forms):
            expects, got = f"dates in column {role.name!r}", repr(next((cell for cell in cells if cell), ""))
            expects = f"{expects} of which the order of day and month is certain" if forms else expects
            raise InputTypeError(sentence(table.where, expects, got, "write them as 2024-05-31"))
        return Column(role.name, DATE, form=forms[0])
    if role.role == DATE:
        return Column(role.name, DATE, form=form_of_times(role.name in table.zoned))
    return Column(role.name, role.role, form=table.unit(role.name) if role.role == NUMBER else "")


def read_column(column: Column, table: Table) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of a column, (m,), and the row numbers of the cells that do not fit its role."""
    cells = table.column(column.name)
    if column.role == CATEGORY:
        codes = {word: float(i) for i, word in enumerate(column.words)} | dict.fromkeys(MISSING, math.nan)
        x = np.fromiter((codes.get(normalize_word(cell), -1.0) for cell in as_text(cells)), np.float64, table.n_rows)
        return x, np.zeros(0, int)
    if column.role == DATE:
        return _read_dates(column, cells, table)
    if isinstance(cells, list):
        if column.role == BOOLEAN:
            x, unreadable = parse_each(cells, _parse_boolean)
        else:
            x, unreadable = _read_numbers(column, cells, table)
        return x, np.flatnonzero(unreadable)
    if cells.dtype.kind == "M":
        # a date is neither a number nor yes or no
        return np.full(len(cells), math.nan), np.arange(len(cells))
    x = cells.astype(np.float64)
    # an array has no unit, and its 0.05 may be 5 %: a column of % takes text only
    unreadable = np.full(len(x), column.form == PERCENT) if column.role == NUMBER else ~np.isin(x, (0, 1))
    return x, np.flatnonzero(unreadable & ~np.isnan(x))


def _read_numbers(column: Column, cells: list[str], table: Table) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of cells of text, and whether each is unreadable: all of them are in another unit."""
    number_format, unit = table.number_format(column.name), table.unit(column.name)
    if unit not in ("", column.form):  # $38 is not the 38 of the training, and not its €38
        number_format = number_format._replace(unit="")
    x, unreadable = parse_numbers(cells, number_format)
    if column.form == PERCENT and unit != PERCENT:  # 0.05 may be 5 %
        unreadable = unreadable | ~np.isnan(x)
    if unreadable.any() and column.name not in table.formats:
        # one odd cell hides the format of its column: the error names this cell, and not all the others
        misfit = is_misfit(cells, column.form)
        unreadable = misfit if misfit.any() else unreadable
    return x, unreadable


def _read_dates(column: Column, cells: Cells, table: Table) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(cells, list):
        if cells.dtype.kind == "M":
            is_zoned = column.name in table.zoned if not np.isnat(cells).all() else None
            check_zone(column.name, column.form, is_zoned, table.where)
            # the unit of the array may be ns, s or D; NaT is a huge integer here, and nan in the next line
            seconds = cells.astype("datetime64[us]").astype(np.int64) / 1e6
            return np.where(np.isnat(cells), math.nan, seconds), np.zeros(0, int)
        # numbers are no dates, but a column of gaps only is an array of nan
        x = cells.astype(np.float64)
        return np.full(len(x), math.nan), np.flatnonzero(~np.isnan(x))
    forms = [column.form]
    if any(parse_date(cell, column.form) is None for cell in set(cells)):
        # a new file may have another date format; if day and month could be swapped, no format is guessed
        others = date_formats(set(cells))
        forms = [column.form] if has_two_orders(others) else others or forms
    check_zone(column.name, column.form, form_has_zone(forms[0]), table.where)

    def parse(cell: str) -> float | None:
        return parse_date(cell, forms[0])

    x, unreadable = parse_each(cells, parse)
    return x, np.flatnonzero(unreadable)


def _parse_boolean(cell: str) -> float | None:
    word = normalize_word(cell).lower()
    return math.nan if word in MISSING_NUMBERS else _BOOLEAN_NUMBERS.get(word)
