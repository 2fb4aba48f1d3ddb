"""Read frames with text, dates or gaps by a `TableEncoder`, which the estimator stores.

    frame   →  rows (m, n)       codes of words, seconds of dates, nan for a gap; columns are found by name
    rows    →  input (m, width)  by blocks that are fitted after the validation rows are held out

A frame of numbers without gaps is treated as an array, with scikit-learn's checks and error texts. A preset that
encodes numbers has an encoder for the columns of an array too, which are found by position.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.utils.validation import check_X_y, validate_data

from jaxmlp.data.labels import preview
from jaxmlp.errors import InputError, InputTypeError, sentence, warn_user
from jaxmlp.tabular.columns import Column
from jaxmlp.tabular.encoder import TableEncoder
from jaxmlp.tabular.options import PIECEWISE, WITH_NUMBER, TableOptions
from jaxmlp.tabular.roles import IDENTIFIER, NUMBER, TEXT
from jaxmlp.tabular.table import Table, TableRows, as_table, check_distinct, column_names, is_frame, is_lazy
from jaxmlp.training.presets import find


def table_of(estimator: Any, X: Any) -> Table | None:
    """Return a frame that needs an encoder, with text, dates or gaps, as a table; None for any other X.

    Raises:
      InputTypeError: for cells that are neither numbers, text nor dates.

    >>> import pandas
    >>> table_of(None, pandas.DataFrame({"x": [1.0]})), table_of(None, pandas.DataFrame({"x": ["a"]})).columns
    (None, (['a'],))
    """
    if not _is_frame_in_memory(X) or not len(X):
        return None
    names = column_names(X)
    if not names or len({*names}) < len(names):
        return None
    table = as_table(X, type(estimator).__name__)
    return table if any(map(_needs_encoder, table.columns)) else None


def _is_frame_in_memory(X: object) -> bool:
    """Whether X is a frame of pandas or polars, or a table of PyArrow, and not a LazyFrame."""
    return not is_lazy(X) and hasattr(X, "columns") and is_frame(X)


def check_frame(estimator: object, X: object) -> None:
    """Raise for named columns in a dict, a list of dicts or a LazyFrame, and for names that occur twice.

    Raises:
      InputError: for names that occur twice.
      InputTypeError: for a dict, a list of dicts, or a LazyFrame of polars.
    """
    where = type(estimator).__name__
    if isinstance(X, Mapping | list | tuple) and is_frame(X):
        remedy = "give pandas.DataFrame(X)"
        raise InputTypeError(sentence(where, "an array, a sparse matrix or a frame", type(X).__name__, remedy))
    if is_lazy(X):
        as_table(X, where)
    if _is_frame_in_memory(X):
        check_distinct(column_names(X), where)


def note_number_names(estimator: Any, X: Any) -> None:
    """Store the names of a frame's columns in a first fit if they are whole numbers, which scikit-learn does not."""
    names = list(X.columns) if _is_frame_in_memory(X) and hasattr(X, "iloc") else []
    is_numbered = bool(names) and all(isinstance(name, int | np.integer) for name in names)
    estimator._number_names = tuple(map(int, names)) if is_numbered else ()


def check_number_names(estimator: Any, X: Any) -> None:
    """Raise for the columns of the fit in another order, where their names are whole numbers.

    scikit-learn takes such columns by position, and refuses those that are named by text.

    Raises:
      InputError: for the same names in another order.
    """
    known = getattr(estimator, "_number_names", ())  # estimators of earlier releases do not have it
    if not known or not _is_frame_in_memory(X):
        return
    names = tuple(X.columns)
    if names != known and {*names} == {*known}:
        expects = f"the columns {preview(known)} in this order, as in fit"
        remedy = f"write X[[{', '.join(map(str, known[:3]))}{', ...' if len(known) > 3 else ''}]]"
        raise InputError(sentence(type(estimator).__name__, expects, preview(names), remedy))


def _needs_encoder(cells: Any) -> bool:
    if isinstance(cells, list) or cells.dtype.kind == "M":
        return True
    return cells.dtype.kind == "f" and bool(np.isnan(cells).any())


def fit_pair(estimator: Any, X: Any, table: Table, y: Any, checks: dict[str, Any]) -> tuple[TableRows, Any]:
    """Return the rows of a first fit and their y, checked as scikit-learn does; set the estimator's encoder.

    Raises:
      InputError: for a frame whose columns are all identifiers, free text or constants.
      InputTypeError: for words in columns of numbers.
    """
    # this sets n_features_in_ and feature_names_in_, but does not refuse text
    validate_data(estimator, X, skip_check_array=True)
    estimator._encoder = TableEncoder.of_table(table, TableOptions(numbers=_scaling(estimator)))
    unused = [role.name for role in estimator._encoder.roles if role.role in (IDENTIFIER, TEXT)]
    if unused:
        names = ", ".join(map(repr, unused))
        warn_user(f"{table.where} leaves out {names}: free text or identifiers.")
    rows = estimator._encoder.rows(table)
    return rows, checked_targets(estimator, rows, y, checks)


def _scaling(estimator: Any) -> str:
    numbers = "standard" if estimator.preset is None else find(estimator.preset).numbers
    return "none" if estimator.standardize is False else numbers


def encoder_of_numbers(estimator: object, n_columns: int) -> TableEncoder | None:
    """Return the unfitted encoder of columns of numbers if the preset needs one, else None."""
    numbers = _scaling(estimator)
    if numbers not in (PIECEWISE, WITH_NUMBER):
        return None
    names = getattr(estimator, "feature_names_in_", [f"x{i}" for i in range(n_columns)])  # scikit-learn's names
    return TableEncoder(tuple(Column(str(name), NUMBER) for name in names), numbers=numbers)


def reads_frames(estimator: Any) -> bool:
    """Whether a fitted estimator reads frames by the names of their columns."""
    # the encoder of a preset for an array of numbers has no roles
    return estimator._encoder is not None and bool(estimator._encoder.roles)


def checked_targets(estimator: object, rows: np.ndarray, y: object, checks: dict[str, Any]) -> Any:
    """Return the targets of rows, checked as scikit-learn does."""
    # a column of zeros replaces X, which is checked already, and whose gaps scikit-learn would refuse
    return check_X_y(np.zeros((len(rows), 1)), y, multi_output=True, estimator=estimator, **checks)[1]


def known_rows(estimator: Any, X: Any) -> TableRows:
    """Return the rows of a frame for an estimator that has an encoder; columns are found by name.

    Raises:
      InputError: for absent columns.
      InputTypeError: for anything but a frame, and for cells that do not fit their column.
    """
    where, encoder = type(estimator).__name__, estimator._encoder
    if not _is_frame_in_memory(X):
        expects = f"a frame with the columns {', '.join(map(repr, encoder.names[:5]))}"
        expects += ", ..." if len(encoder.names) > 5 else ""
        raise InputTypeError(sentence(where, expects, type(X).__name__, "give the columns of fit by name"))
    if not len(X):
        raise InputError(sentence(where, "at least one row", "a frame without rows", "give rows to predict"))
    rows = encoder.rows(as_table(X, where))
    encoder.warn_of_unknown(rows)
    return rows
