"""Two steps turn a table into the network's input. A model file stores both as plain text (JSON).

    table    →  rows (m, n)       columns are found by name, in any order: numbers are unchanged, a category becomes the
                                  code of its word, yes and no become 1 and 0, and a date becomes seconds; nan for a
                                  missing cell, -1 for an unknown word
    rows     →  input (m, width)  by the blocks of `blocks`, fitted on the training part only

The words of a category are collected from the whole source, so the rows are the same for every split. The training rows
alone decide whether a word has an input of its own or shares the input for rare words.
"""

import dataclasses
import json
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from jaxmlp.errors import InputError, InputTypeError, first_problems, more_cells, sentence, warn_user
from jaxmlp.tabular.blocks import PiecewiseBlock, block_from_dict, block_to_dict
from jaxmlp.tabular.columns import Column, check_columns, column_of, empty_missing_words, match_spelling, read_column
from jaxmlp.tabular.frame_cells import as_text
from jaxmlp.tabular.options import TableOptions
from jaxmlp.tabular.roles import NUMBER, ColumnRole, assign_roles
from jaxmlp.tabular.table import TableRows, as_table

# `to_json` writes the lowest version that suffices, so that older releases can read it: 4 for "robust_piecewise", 3
# with words for a missing value, 2 for "piecewise", else 1
VERSION = 4


@dataclasses.dataclass(frozen=True, eq=False)
class TableEncoder:
    """The encoder from a table to the network's input.

    Args:
        columns: the columns that the network reads, in the order of the rows.
        roles: the roles of all columns of the source, also of those that the network does not read.
        numbers: the scaling of numbers: "standard", "robust", "quantile", "auto", "piecewise", "robust_piecewise" or
            "none".
        missing: the user's words for a missing value, which count in new tables too.

    >>> table = {"size": [1.0, 3.0, None], "city": ["Rome", "Oslo", "Rome"], "id": [7, 8, 9]}
    >>> encoder = TableEncoder.fit(table, drop=["id"])
    >>> encoder.input_names
    ('size', 'size is missing', 'city=Rome', 'city is rare or unknown')
    >>> encoder.encode({"city": ["Oslo", "Rome"], "size": [5.0, 2.0]}).tolist()
    [[3.0, 0.0, 0.0, 1.0], [0.0, 0.0, 1.0, 0.0]]
    """

    columns: tuple[Column, ...]
    roles: tuple[ColumnRole, ...] = ()
    numbers: str = "standard"
    missing: tuple[str, ...] = ()

    # --- fitting ------------------------------------------------------------------------------------------------------

    @classmethod
    def of_table(cls, table: object, options: TableOptions | None = None) -> Self:
        """Return the encoder of a table of features, with the words of its categories, not yet fitted.

        Args:
            table: a `Table`, a frame of pandas or polars, or a dict {name: cells}.
            options: features, drop, keep, roles and numbers.

        Raises:
            InputError: when the network can read no column, and for names that the table does not have.
            InputTypeError: for words in columns of numbers.
        """
        options = options or TableOptions()
        table = empty_missing_words(as_table(table), options)
        choices = {"features": options.features, "drop": options.drop, "keep": options.keep}
        roles = assign_roles(table, **choices, roles=options.roles.items())
        if not any(role.is_encoded for role in roles):
            got = ", ".join(f"{role.name} ({role.role}: {role.detail})" for role in roles) or "no columns"
            remedy = "name the columns to keep"
            raise InputError(sentence(table.where, "a column to learn from", got, remedy))
        columns = tuple(column_of(role, table) for role in roles if role.is_encoded)
        return cls(columns, tuple(roles), options.numbers, tuple(options.missing))

    @classmethod
    def fit(cls, table: object, options: TableOptions | None = None, **choices: Any) -> Self:
        """Return the encoder of a table, fitted on all its rows; arguments as for `of_table` and `TableOptions`."""
        options = dataclasses.replace(options or TableOptions(), **choices)
        encoder = cls.of_table(table, options)
        return encoder.fit_to(encoder.rows(empty_missing_words(as_table(table), options)))

    def fit_to(self, rows: np.ndarray, constant: float = 1.0, *, weights: np.ndarray | None = None) -> Self:
        """Return the encoder fitted on training rows (m, n), as `rows` returned them.

        Args:
            rows: the training rows.
            constant: ignored: `Preprocessing.fit_to` has this argument for pixels, and a table has no pixels.
            weights: (m,) numbers above 0, by which rows count in means, deviations and frequencies; equal weights if
                None. Medians and quantiles ignore the weights.
        """
        x = np.asarray(rows, np.float64)
        columns = tuple(column.fit(x[:, i], self.numbers, weights) for i, column in enumerate(self.columns))
        return dataclasses.replace(self, columns=columns)

    # --- shapes and names ---------------------------------------------------------------------------------------------

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of the rows."""
        return tuple(column.name for column in self.columns)

    @property
    def n_columns(self) -> int:
        """The number of columns of the rows."""
        return len(self.columns)

    def n_inputs(self, n_columns: int | None = None) -> int:
        """Return the width of the network's input; `n_columns` is ignored, `Preprocessing.n_inputs` needs it."""
        return sum(column.width for column in self.columns)

    @property
    def column_widths(self) -> tuple[int, ...]:
        """How many of the network's inputs each column has, of those that have any."""
        return tuple(column.width for column in self.columns if column.width)

    is_fitted = True  # as in `Preprocessing`: after a new split it must be fitted again

    @property
    def input_names(self) -> tuple[str, ...]:
        """The names of the network's inputs."""
        return tuple(name for column in self.columns for name in column.input_names)

    @property
    def has_words(self) -> bool:
        """Whether some column does not hold numbers, so that the rows contain codes."""
        return any(column.role != NUMBER for column in self.columns)

    def select(self, positions: Sequence[int]) -> Self:
        """Return the encoder for rows that have only the columns at these positions, in this order."""
        return dataclasses.replace(self, columns=tuple(self.columns[i] for i in positions))

    # --- applying -----------------------------------------------------------------------------------------------------

    def rows(self, table: object) -> TableRows:
        """Return the rows (m, n) of a table, whose columns are found by name, in any order; others are ignored.

        Raises:
            InputError: for columns that the table does not have.
            InputTypeError: for cells that do not fit the role of their column, infinite numbers among them; one error
                lists the first of each column.
        """
        table = empty_missing_words(match_spelling(as_table(table), self.names), TableOptions(missing=self.missing))
        check_columns(self.names, table)
        result = np.empty((table.n_rows, len(self.columns)))  # (m, n)
        problems: list[str] = []
        for i, column in enumerate(self.columns):
            result[:, i], unreadable = read_column(column, table)
            infinite = np.flatnonzero(np.isinf(result[:, i]))
            for rows, text in ((unreadable, None), (infinite, "inf")):
                if len(rows):
                    cell = text or repr(as_text(table.column(column.name))[rows[0]])
                    unit = f" with the unit {column.form!r}" if column.role == NUMBER and column.form else ""
                    place = f"{table.place(column.name, int(rows[0]))}{more_cells(len(rows))}"
                    problems.append(f"{cell} in {place}, a {column.role}{unit}")
        if problems:
            got, remedy = first_problems(problems), "correct these cells, or empty them"
            raise InputTypeError(sentence(table.where, "cells like those of the training", got, remedy))
        return result.view(TableRows)

    def __call__(self, rows: ArrayLike, dtype: DTypeLike = np.float32, *, copy: bool = True) -> np.ndarray:
        """Return the network's input (m, n_inputs) of rows (m, n).

        Args:
            rows: the result of the method `rows`.
            dtype: the dtype of the result.
            copy: ignored: `Preprocessing` has this argument, and here the result is always a new array.
        """
        x = np.asarray(rows, np.float64)  # seconds since 1970 have more digits than float32 holds
        if x.ndim != 2 or x.shape[1] != self.n_columns:
            expects = f"rows with {self.n_columns} columns"
            raise InputError(sentence("the table encoder", expects, x.shape, "give the result of its method rows"))
        result = np.empty((len(x), self.n_inputs()), dtype)
        start = 0
        for i, column in enumerate(self.columns):
            if column.block is not None:
                result[:, start : start + column.width] = column.block(x[:, i])
            start += column.width
        return result

    def encode(self, table: object, dtype: DTypeLike = np.float32) -> np.ndarray:
        """Return the network's input for a table: `encoder(encoder.rows(table))`."""
        return self(self.rows(table), dtype)

    def unknown_values(self, rows: np.ndarray) -> list[str]:
        """Return a note for each column that has missing cells or words although the training rows had none of them."""
        notes = []
        for i, column in enumerate(self.columns):
            x = np.asarray(rows)[:, i]
            n_gaps, n_unknown = int(np.isnan(x).sum()), column.count_unknown(x)
            block = column.block
            # the training rows had a missing cell if the block has an input for it
            knows_gaps = getattr(block, "has_indicator", False) or getattr(block, "missing", -1) >= 0
            if n_gaps and not knows_gaps:
                notes.append(f"{column.name!r}: {n_gaps} missing, and none in the training")
            if n_unknown:
                notes.append(f"{column.name!r}: {n_unknown} with a value that did not occur in the training")
        return notes

    def warn_of_unknown(self, rows: np.ndarray) -> None:
        """Warn of words that did not occur in the training: all of them become the same input."""
        counts = [(column, n) for i, column in enumerate(self.columns) if (n := column.count_unknown(rows[:, i]))]
        if counts:
            first = counts[0][0]
            cells = ", ".join(f"{n} in column {column.name!r}" for column, n in counts)
            known = ", ".join(map(repr, first.words[:3])) + (", ..." if len(first.words) > 3 else "")
            warn_user(f"cells that did not occur in the training: {cells} (which had {known}); all count as unknown")

    # --- the model's file ---------------------------------------------------------------------------------------------

    def to_json(self) -> str:
        """Return the encoder as text. `from_json` reads it without pandas, and without pickle, which could run code."""
        columns = [
            {"name": c.name, "role": c.role, "words": list(c.words), "form": c.form}
            | {"block": None if c.block is None else block_to_dict(c.block)}
            for c in self.columns
        ]
        bins = [c.block for c in self.columns if isinstance(c.block, PiecewiseBlock)]
        version = VERSION if any(block.number for block in bins) else 3 if self.missing else 2 if bins else 1
        fields = {"version": version, "numbers": self.numbers, "columns": columns, "roles": list(map(list, self.roles))}
        # not an empty list: versions 1 and 2 have no such field
        fields |= {"missing": list(self.missing)} if self.missing else {}
        return json.dumps(fields, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the encoder that `to_json` wrote.

        Raises:
            InputError: for a text that `to_json` did not write, or that a newer version wrote.
        """
        try:
            fields = json.loads(text, parse_constant=_refuse_constant)
            if fields["version"] > VERSION:
                remedy = "upgrade jaxmlp"
                raise InputError(sentence("the table encoder", f"version {VERSION}", fields["version"], remedy))
            columns = tuple(_column_from_dict(column) for column in fields["columns"])
            roles = tuple(ColumnRole(*map(str, role)) for role in fields["roles"])
            return cls(columns, roles, str(fields["numbers"]), tuple(map(str, fields.get("missing", ()))))
        except InputError:
            raise
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            got, remedy = f"a damaged text ({error})", "train the model again"
            raise InputError(sentence("the table encoder", "the text that to_json wrote", got, remedy)) from None


def _column_from_dict(fields: dict[str, Any]) -> Column:
    block = None if fields["block"] is None else block_from_dict(fields["role"], fields["block"])
    return Column(fields["name"], fields["role"], tuple(map(str, fields["words"])), fields["form"], block)


def _refuse_constant(name: str) -> Callable[[], None]:
    # Python reads NaN and Infinity, which are not JSON, and which `to_json` never writes
    raise ValueError(name)
