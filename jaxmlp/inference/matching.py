"""The part of any data set, with the columns, the classes and the targets in the order of a model.

    rows        columns by name, and the codes of a category by their words
    classes     by label
    targets     several columns by name

A data set that was read without the model has an order of its own: its class 0 is the first label that it has. What
has no name is found by position, as are all columns of a table without a header.
"""

from collections.abc import Sequence
from typing import Any, Protocol, cast

import numpy as np

from jaxmlp.data.labels import are_words, as_whole, preview
from jaxmlp.data.parts import Meaning, Part
from jaxmlp.data.readers.header import are_numbers
from jaxmlp.data.streaming.file_rows import FileRows
from jaxmlp.data.table_targets import match_labels
from jaxmlp.data.targets import encode
from jaxmlp.data.tasks import Coding, Task
from jaxmlp.errors import InputError, InputTypeError, sentence
from jaxmlp.inference.new_rows import ModelOfRows
from jaxmlp.tabular.columns import Column, read_column
from jaxmlp.tabular.encoder import TableEncoder
from jaxmlp.tabular.roles import BOOLEAN, CATEGORY, DATE, NUMBER
from jaxmlp.tabular.table import Table, TableRows
from jaxmlp.tabular.zones import check_zone, form_has_zone

_CLASS_TASKS = ("binary", "multiclass")
_REMEDY = "load the data with known_columns=model.known_columns and known_classes=model.classes"


class ModelOfParts(ModelOfRows, Protocol):
    """What is known of the rows and the targets of a model."""

    @property
    def task(self) -> str: ...

    @property
    def classes(self) -> tuple[Any, ...]: ...

    @property
    def target_names(self) -> tuple[str, ...]: ...


def match_part(part: Any, model: ModelOfParts) -> Part:
    """Return a part whose columns, class ids and targets are those of the model, in its order.

    Raises:
        InputError: for columns, labels or targets that the model does not have, or that the part lacks.
        InputTypeError: for anything but a part, and for columns of another kind.
    """
    if not isinstance(part, Part):
        raise InputTypeError(sentence("evaluate", "a part of a data set", type(part).__name__, "give data.test, say"))
    if part.meaning is None:
        _check_class_ids(part.targets, model)
        return part
    targets = _match_targets(part.targets, part.meaning, model)
    return Part(_match_rows(part.rows, part.meaning, model), targets)


def _check_class_ids(targets: np.ndarray, model: ModelOfParts) -> None:
    ids = np.arange(len(model.classes))
    if model.task in _CLASS_TASKS and not np.isin(targets, ids).all():
        invalid, remedy = targets[~np.isin(targets, ids)][0], "are these the model's classes?"
        raise InputError(sentence("evaluate", f"class ids from 0 to {len(ids) - 1}", invalid, remedy))


# --- rows -------------------------------------------------------------------------------------------------------------


def _match_rows(rows: Any, meaning: Meaning, model: ModelOfParts) -> Any:
    """Return the rows with the columns of the model; images and rows in a file have no names, and stay as they are."""
    encoder = model.preprocessing if isinstance(model.preprocessing, TableEncoder) else None
    names = model.feature_names if encoder is None else encoder.names
    if isinstance(rows, FileRows) or (meaning.encoder is None and not (names and meaning.feature_names)):
        return rows
    own_names = meaning.feature_names if meaning.encoder is None else meaning.encoder.names
    positions = _positions(names, own_names, "columns")
    if encoder is None and meaning.encoder is None:
        return rows if positions == list(range(rows.shape[1])) else np.take(rows, positions, axis=1)
    columns, own_columns = (_columns(names, encoder), _columns(own_names, meaning.encoder))
    result = np.empty((len(rows), len(positions)))
    fill = model.known_columns.fill
    for i, position in enumerate(positions):
        column = columns[i] if columns else Column(own_names[position], NUMBER)
        result[:, i] = _convert(rows[:, position], own_columns[position], column)
        if encoder is None and fill is not None:  # as for a new table
            result[:, i] = np.where(np.isnan(result[:, i]), fill[i], result[:, i])
    if encoder is None:
        return result
    encoder.warn_of_unknown(result)
    return result.view(TableRows)


def _columns(names: Sequence[str], encoder: TableEncoder | None) -> tuple[Column, ...]:
    return tuple(Column(name, NUMBER) for name in names) if encoder is None else encoder.columns


def _positions(names: Sequence[Any], own_names: Sequence[Any], what: str) -> list[int]:
    """Return where the columns of the model are among those of the part: by name, without names by their order."""
    if names and {*names} <= {*own_names}:
        return [own_names.index(name) for name in names]
    # numbers for names are those of a table without a header: they are positions
    is_unnamed = not names or not own_names or (are_numbers(names) and are_numbers(own_names))
    if is_unnamed and (not names or len(names) == len(own_names)):
        return list(range(len(own_names)))
    absent = [name for name in names if name not in own_names]
    remedy = f"add {preview(absent)}, or {_REMEDY}"
    raise InputError(sentence("evaluate", f"the {what} {preview(names)}", preview(own_names), remedy))


def _convert(x: np.ndarray, part_column: Column, column: Column) -> np.ndarray:
    """Return the numbers of a column of the part as the column of the model has them.

    Raises:
        InputTypeError: for a column of another kind, whose cells can no longer be known from its numbers.
    """
    if column.role == CATEGORY and part_column.role == CATEGORY:
        if part_column.words == column.words:
            return x
        codes = {word: float(i) for i, word in enumerate(column.words)}
        codes_of_own = np.array([*(codes.get(word, -1.0) for word in part_column.words), -1.0, np.nan])
        # the last entry is for a gap, and that before it for a word that neither of both knows
        return codes_of_own[np.where(np.isnan(x), -1, np.where(x < 0, -2, x)).astype(int)]
    if column.role == CATEGORY and part_column.role == NUMBER and not part_column.form:
        return read_column(column, Table("evaluate", (column.name,), (x,)))[0]
    if column.role == part_column.role == DATE:
        check_zone(column.name, column.form, form_has_zone(part_column.form), "evaluate")
        return x
    # true and false are 1 and 0, also where the model has learnt them as numbers
    is_flag = {column.role, part_column.role} == {BOOLEAN, NUMBER} and bool(np.isin(x[~np.isnan(x)], (0, 1)).all())
    is_same = column.role == part_column.role and (column.role != NUMBER or column.form == part_column.form)
    if is_same or (is_flag and not column.form and not part_column.form):
        return x
    expects, got = (
        f"{c.role}{f' with the unit {c.form!r}' if c.role == NUMBER and c.form else ''}" for c in (column, part_column)
    )
    raise InputTypeError(sentence("evaluate", f"column {column.name!r} as {expects}", got, _REMEDY))


# --- targets ----------------------------------------------------------------------------------------------------------


def _match_targets(targets: np.ndarray, meaning: Meaning, model: ModelOfParts) -> np.ndarray:
    if model.task in _CLASS_TASKS:
        return _match_classes(targets, meaning, model)
    if model.task == "regression" and meaning.task in _CLASS_TASKS:
        # a test file may hold so few different numbers that they look like classes
        if all(isinstance(label, int | float) for label in meaning.classes):
            return np.array(meaning.classes, np.float64)[targets][:, None]
        raise _other_task(meaning, model)
    if meaning.task in _CLASS_TASKS or (model.task == "multilabel" and meaning.task != "multilabel"):
        raise _other_task(meaning, model)
    names, own_names = (_target_names(fields) for fields in (model, meaning))
    if names and own_names and (len(names) > 1 or len(own_names) > 1):
        positions = _positions(names, own_names, "targets")
        targets = targets if positions == list(range(targets.shape[1])) else np.take(targets, positions, axis=1)
    return targets.astype(np.float64) if model.task == "regression" else targets


def _target_names(fields: Any) -> tuple[Any, ...]:
    """Return the names of several targets; those of flags are the classes, unless these only number the flags."""
    if fields.task != "multilabel":
        return fields.target_names
    return () if fields.classes == tuple(range(len(fields.classes))) else fields.classes


def _match_classes(targets: np.ndarray, meaning: Meaning, model: ModelOfParts) -> np.ndarray:
    """Return class ids of the model, found by label, also for numbers that were not taken for classes."""
    if meaning.task in _CLASS_TASKS:
        if meaning.classes == model.classes:
            return targets
        labels = np.array(meaning.classes)
    elif meaning.task == "regression" and targets.shape[1] == 1:
        labels, targets = np.unique(as_whole(targets[:, 0]), return_inverse=True)
    else:
        raise _other_task(meaning, model)
    # names of class ids: then the labels 0, 1, ... of the part are these ids
    ids = np.arange(len(model.classes))
    if labels.dtype.kind in "iu" and are_words(model.classes) and np.isin(labels, ids).all():
        return labels.astype(int)[targets]
    labels = match_labels(labels[targets], model.classes)
    return encode(labels, Coding(cast(Task, model.task), model.classes, "known"), "evaluate")


def _other_task(meaning: Meaning, model: ModelOfParts) -> InputError:
    remedy = "give the data that the model was made for"
    return InputError(sentence("the model", f"{model.task} data", f"{meaning.task} data", remedy))
