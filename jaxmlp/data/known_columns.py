"""Read a new table with the columns of a trained model: by their names, or by position where names are missing."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxmlp.data.labels import preview
from jaxmlp.data.readers.header import are_numbers
from jaxmlp.data.table_targets import check_infinite
from jaxmlp.errors import InputError, InputTypeError, first_problems, more_cells, sentence
from jaxmlp.tabular.cells import parse_numbers
from jaxmlp.tabular.columns import check_columns, match_spelling
from jaxmlp.tabular.encoder import TableEncoder
from jaxmlp.tabular.odd_cells import is_misfit
from jaxmlp.tabular.roles import words_among_numbers
from jaxmlp.tabular.table import Table

_BOOLEANS = {"true": 1.0, "false": 0.0}  # booleans of a frame are plain numbers, but text when a new file has them


class KnownColumns(NamedTuple):
    """The columns of a trained model, by which new tables are read.

    Attributes:
        feature_names, target_names: the names in its training data.
        encoder: the encoder of its table; None for rows of plain numbers.
        fill: the number that replaces a gap in each column of plain numbers, (n,); None to refuse gaps.
        image_shape: (h, w) or (h, w, c), the shape that pictures get; None if the model reads no images.
    """

    feature_names: Sequence[str] = ()
    target_names: Sequence[str] = ()
    encoder: TableEncoder | None = None
    fill: np.ndarray | None = None
    image_shape: Sequence[int] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns that the model reads."""
        return tuple(self.feature_names) if self.encoder is None else self.encoder.names

    def ignores(self, name: str) -> bool:
        """Whether the model reads no column of this name; without names it reads the columns by position."""
        return bool(self.names) and name not in self.names


def match_columns(table: Table, known: KnownColumns, n: int) -> tuple[Table, tuple[str, ...]]:
    """Return the table with the columns of a model, in its order and under its names, and notes about it.

    If the table has a header and the model has feature names, columns are found by name. Otherwise their number
    decides. As many as the features: all of them are features. More: the targets are left out, or else the last column,
    and a note names it. But if the model has names and the table has none, only a last column of text is left out,
    beside a model of numbers: any other column may be the one that is too many.

    Args:
        table: new rows.
        known: the columns of the model.
        n: how many features it reads.

    Raises:
        InputError: absent columns, or another number of columns.
    """
    names = known.names
    table = match_spelling(table, names)
    is_named = bool(names) and not are_numbers(names)
    if names and set(names) <= set(table.names) and (table.has_names or is_named):
        return table.take(names), ()
    if is_named and table.has_names:
        check_columns(names, table, known.target_names)
    header = table.names
    if names and not is_named:
        # a model of a table without a header numbers its columns: the header of this table does not count
        table = table.rename([str(i) for i in range(len(header))])
    without_targets = tuple(name for name in table.names if name not in known.target_names)
    # the most certain choice first: all columns, then those without the targets, then those without the last
    choices = [table.names, without_targets, table.names[:-1]]
    if is_named and not (known.encoder is None and _is_text(table, table.names[-1])):
        choices = [table.names]
    for selected in choices:
        if len(selected) == n:
            matched = table.take(selected)
            left_out = [old for old, new in zip(header, table.names, strict=True) if new not in selected]
            is_expected = not left_out or (selected == without_targets and not table.has_names)
            notes = () if is_expected else (f"columns are taken by position, without {preview(left_out)}",)
            return (matched.rename(names) if names else matched), notes
    remedy, got = "give the columns that the model was trained on", str(len(header))
    if is_named and not table.has_names:
        remedy, got = f"write the names {preview(names)} into line 1", f"{got} without a header"
    raise InputError(sentence(table.where, f"{n} feature columns", got, remedy))


def _is_text(table: Table, name: str) -> bool:
    """Whether a column has cells that are no numbers; a table with a gap holds its numbers as text, too."""
    cells = table.column(name)
    return isinstance(cells, list) and bool(parse_numbers(cells, table.number_format(name))[1].any())


def read_number_columns(table: Table, fill: np.ndarray | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return columns of numbers as rows (m, n), with gaps replaced, and notes about the gaps."""
    # all columns are read before the error, which then lists the bad ones together
    columns, text, gaps, notes = [], {}, [], []
    for i, name in enumerate(table.names):
        cells = table.column(name)
        if isinstance(cells, list):
            number_format = table.number_format(name)
            if table.unit(name):  # of which the model has none: 38 % is not the 38 of its training
                number_format = number_format._replace(unit="")
            x, is_text = _numbers_or_booleans(cells, number_format)
            if is_text.any():
                misfit = is_text if name in table.formats else is_misfit(cells, "")
                text[name] = misfit if misfit.any() else is_text
        elif cells.dtype.kind == "M":
            x, text[name] = np.zeros(len(cells)), np.ones(len(cells), bool)  # no date is a number
        else:
            x = cells.astype(np.float64)
        missing = np.flatnonzero(np.isnan(x))
        if len(missing) and name not in text:
            if fill is None:
                gaps.append(f"a missing value in {table.place(name, int(missing[0]))}{more_cells(len(missing))}")
            else:
                notes.append(f"{name!r}: {len(missing)} missing, replaced by the mean of the training rows")
                x = np.where(np.isnan(x), fill[i], x)
        columns.append(x)
    if text:
        raise InputTypeError(words_among_numbers(table, text))
    if gaps:
        remedy = "drop that line or fill the value in"
        raise InputError(sentence(table.where, "a number in every feature column", first_problems(gaps), remedy))
    check_infinite(table, table.names)
    return np.stack(columns, axis=1), tuple(notes)


def _numbers_or_booleans(cells: list[str], form: Any) -> tuple[np.ndarray, np.ndarray]:
    if {cell.lower() for cell in cells} <= {*_BOOLEANS}:
        return np.array([float(_BOOLEANS[cell.lower()]) for cell in cells]), np.zeros(len(cells), bool)
    return parse_numbers(cells, form)
