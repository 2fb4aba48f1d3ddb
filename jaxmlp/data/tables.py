"""Turn a table into the rows, labels and weights of a data set.

table of plain numbers     its columns in float64, which are scaled by mean and standard deviation
any other table            the rows of a `TableEncoder`, which encodes text, dates and gaps
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxmlp.data.frames import table_of_frame
from jaxmlp.data.known_columns import KnownColumns, match_columns, read_number_columns
from jaxmlp.data.rows import UNNAMED, Columns
from jaxmlp.data.table_targets import (
    Target,
    check_infinite,
    check_labels_repeat,
    last_column_notes,
    spelling_notes,
    target_columns,
    target_values,
    weight_values,
)
from jaxmlp.errors import InputError, InputTypeError, sentence
from jaxmlp.tabular.cells import parse_numbers
from jaxmlp.tabular.columns import empty_missing_words
from jaxmlp.tabular.encoder import TableEncoder
from jaxmlp.tabular.options import TableOptions
from jaxmlp.tabular.roles import (
    BOOLEAN,
    CATEGORY,
    CONSTANT,
    NUMBER,
    TARGET,
    WEIGHT,
    ColumnRole,
    assign_roles,
    check_names,
    counts_rows,
    left_out_notes,
)
from jaxmlp.tabular.table import Table, TableRows, as_table, is_frame


class TableContent(NamedTuple):
    """What a data set needs of a table.

    Attributes:
        rows: (m, n) float64.
        names: the names of their columns.
        encoder: the encoder that made them; None for plain numbers.
        roles: the roles of all columns of the source.
        labels, target_names: the labels and the names of their columns; None and () without a target.
        weights: (m,), from the column of weights; None without one.
        notes: the decisions about the file, as texts for the user.
    """

    rows: np.ndarray
    names: tuple[str, ...]
    encoder: TableEncoder | None
    roles: tuple[ColumnRole, ...]
    labels: np.ndarray | None = None
    target_names: tuple[str, ...] = ()
    weights: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    @property
    def has_categories(self) -> bool:
        """Whether the only target has a categorical dtype, so that even many numbers are classes."""
        targets = [role for role in self.roles if role.role == TARGET]
        return len(targets) == 1 and targets[0].detail == CATEGORY

    def columns(self, names: Columns = UNNAMED, labels: object = None) -> Columns:
        """Return the names of features and targets: the caller's, else those of the table, else that of a series."""
        name = getattr(labels, "name", None)
        targets = names.target_names or self.target_names or ((name,) if isinstance(name, str) and name else ())
        return Columns(names.feature_names or self.names, targets)


def read_content(
    table: Table, target: Target = None, options: TableOptions | None = None, known: KnownColumns | None = None
) -> TableContent:
    """Return rows, labels and weights of a table with a target.

    Args:
        table: the source.
        target: the target column by name or number, several of them, or None for the last column.
        options: the options of the user.
        known: the columns of a trained model, in which the rows are returned.

    Raises:
        InputError, InputTypeError: names of no column, or cells that do not fit their column; one error lists all.
    """
    options = options or TableOptions()
    source, table = table, empty_missing_words(table, options)
    if len(table.names) < 2:
        remedy = "is the separator a comma, semicolon or tab?"
        raise InputError(sentence(table.where, "feature columns and a target", f"{len(table.names)} column", remedy))
    targets = target_columns(target, table.names, table.where, () if known is None else known.target_names)
    if known is None:
        _check_uses(table, target, targets, options)
    labels = target_values(table, targets, source)
    if known is None and len(targets) == 1:
        check_labels_repeat(table, targets[0], labels)
    weights = None if options.weights is None else weight_values(table, options.weights)
    special = {name: ColumnRole(name, TARGET, CATEGORY if name in table.categories else "") for name in targets}
    if options.weights is not None:
        special[options.weights] = ColumnRole(options.weights, WEIGHT)
    check_names(table, [*options.features, *options.drop, *options.keep, *options.roles])
    features = table.without([*special])
    if known is not None and (known.encoder is not None or known.feature_names):
        content = read_features(features, known)
    else:
        content = feature_content(features, _feature_options(options, special))
    # the features were read without target and weights: all roles together, in the order of the file
    by_name = {role.name: role for role in content.roles} | special
    roles = tuple(by_name[name] for name in table.names if name in by_name)
    notes = [*table.notes, *content.notes, *(spelling_notes(labels) if known is None else ())]
    if target is None and known is None:
        notes += last_column_notes(targets[0], content.names)
    return content._replace(labels=labels, target_names=targets, weights=weights, roles=roles, notes=tuple(notes))


def _check_uses(table: Table, target: Target, targets: Sequence[str], options: TableOptions) -> None:
    """Raise if the options use the target column for something else too.

    Raises:
        InputError: a target that also has the weights or a role, or a dropped last column and no named target.
    """
    if options.weights in targets:
        got, remedy = f"{options.weights!r} for both", "name another column for one of them"
        raise InputError(sentence(table.where, "different columns for target and weights", got, remedy))
    role = next((name for name in targets if name in options.roles), None)
    if role is not None:
        got, remedy = f"a role for the target {role!r}", "name the task instead, such as multiclass or regression"
        raise InputError(sentence(table.where, "roles of feature columns only", got, remedy))
    if target is None and targets[0] in options.drop:
        got, remedy = f"the last column {targets[0]!r} among those to drop", "name another column as the target"
        raise InputError(sentence(table.where, "a target that is not dropped", got, remedy))


def _feature_options(options: TableOptions, special: dict[str, ColumnRole]) -> TableOptions:
    """Return the options without the names of target and weights, which are not features."""
    plain = {name: [n for n in getattr(options, name) if n not in special] for name in ("features", "drop", "keep")}
    return dataclasses.replace(options, **plain)


def feature_content(table: Table, options: TableOptions | None = None) -> TableContent:
    """Return the rows of a table of features, and their encoder if they are not plain numbers.

    Raises:
        InputError, InputTypeError: as `read_content`.
    """
    options = options or TableOptions()
    named = {"features": options.features, "drop": options.drop, "keep": options.keep}
    if not table.names:
        raise InputError(sentence(table.where, "feature columns", "the target alone", "give a table with more columns"))
    roles = assign_roles(table, **named, roles=options.roles.items())
    check_infinite(table, [role.name for role in roles if role.is_encoded])
    plain = [role for role in roles if role.is_encoded or role.role == CONSTANT]
    is_scaled = (
        options.numbers in ("standard", "none") and not options.missing
    )  # only an encoder stores the missing-value words
    if is_scaled and plain and all(_is_plain(role, table) for role in plain):
        names = tuple(role.name for role in plain)
        rows = np.stack([_plain_numbers(table, name) for name in names], axis=1)
        notes = (*left_out_notes(roles, names), *_counter_notes(rows, names))
        return TableContent(rows, names, None, tuple(roles), notes=notes)
    encoder = TableEncoder.of_table(table, options)
    rows = encoder.rows(table)
    notes = (*left_out_notes(encoder.roles), *_counter_notes(rows, encoder.names))
    return TableContent(rows, encoder.names, encoder.fit_to(rows), encoder.roles, notes=notes)


def _counter_notes(rows: np.ndarray, names: Sequence[str]) -> list[str]:
    counters = [name for i, name in enumerate(names) if counts_rows(name, rows[:, i])]
    return [f"{name!r} counts the rows: drop it (--drop {name!r}) if it is no measurement" for name in counters]


def _is_plain(role: ColumnRole, table: Table) -> bool:
    """Whether a column has numbers without a gap or a unit; a constant column may be one."""
    cells = table.column(role.name)
    if isinstance(cells, np.ndarray):
        return role.role in (NUMBER, BOOLEAN, CONSTANT) and cells.dtype.kind in "biuf" and not _has_gap(cells)
    if role.role not in (NUMBER, CONSTANT) or table.unit(role.name):  # only an encoder stores the unit
        return False
    numbers, is_text = parse_numbers(cells, table.number_format(role.name))
    return not is_text.any() and not _has_gap(numbers)


def _has_gap(cells: np.ndarray) -> bool:
    return cells.dtype.kind == "f" and bool(np.isnan(cells).any())


def _plain_numbers(table: Table, name: str) -> np.ndarray:
    cells = table.column(name)
    if isinstance(cells, list):
        return parse_numbers(cells, table.number_format(name))[0]
    return cells.astype(np.float64)


def content_of_frame(frame: object, options: TableOptions) -> TableContent:
    """Return the rows of a frame of training features; the arguments are those of `feature_content`."""
    return feature_content(empty_missing_words(table_of_frame(frame, options, "the training part"), options), options)


def rows_of_frame(frame: object, content: TableContent) -> Any:
    """Return the rows of a held-out part with the columns of the training part; arrays stay as they are."""
    if not is_frame(frame):
        return frame if content.encoder is None else rows_by_position(frame, content.encoder, "a held-out part")
    return read_features(as_table(frame), KnownColumns(content.names, encoder=content.encoder)).rows


def rows_by_position(rows: object, encoder: TableEncoder, where: str) -> np.ndarray:
    """Return the encoder's rows for lists or an array of numbers and text, whose columns are found by position.

    Raises:
        InputError: another number of columns.
        InputTypeError: an array of numbers where some columns have text: its numbers would be read as codes.
    """
    if isinstance(rows, TableRows):
        return rows
    is_array = hasattr(rows, "dtype") and np.asarray(rows).dtype.kind in "biuf"
    if is_array and encoder.has_words:
        words = [column.name for column in encoder.columns if column.role != NUMBER]
        expects = f"text or dates in {', '.join(repr(name) for name in words[:5])}"
        remedy = "pass a DataFrame, or a dict {name: cells}"
        raise InputTypeError(sentence(where, expects, "an array of numbers", remedy))
    # objects: beside text NumPy would turn the numbers into text
    array = np.asarray(rows, dtype=None if is_array else object)
    if array.ndim != 2 or array.shape[1] != encoder.n_columns:
        expects, remedy = f"rows of shape (m, {encoder.n_columns})", f"give the columns {', '.join(encoder.names[:10])}"
        raise InputError(sentence(where, expects, array.shape, remedy))
    cells = {name: array[:, i] if is_array else array[:, i].tolist() for i, name in enumerate(encoder.names)}
    return encoder.rows(as_table(cells, where))


# --- rows for a model -------------------------------------------------------------------------------------------------


def read_features(table: Table, known: KnownColumns, n_features: int | None = None) -> TableContent:
    """Return the rows that a model reads, from a table that has its columns in any order and may have others.

    Args:
        table: new rows.
        known: the columns of the model.
        n_features: the width of its rows, where it has no feature names.

    Raises:
        InputError: absent columns, or a gap where `known` has no `fill`.
        InputTypeError: text where the model has numbers; one error lists all such columns.
    """
    table, position_notes = match_columns(table, known, n_features or len(known.names))
    if known.encoder is not None:
        rows = known.encoder.rows(table)
        return TableContent(rows, known.names, known.encoder, known.encoder.roles, notes=position_notes)
    names = known.names or table.names
    rows, notes = read_number_columns(table, known.fill)
    roles = tuple(ColumnRole(name, NUMBER) for name in names)
    return TableContent(rows, names, None, roles, notes=(*position_notes, *notes))
