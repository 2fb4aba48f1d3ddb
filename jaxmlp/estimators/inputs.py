"""Check the inputs of an estimator: rows, weights and validation rows, by functions of scikit-learn where possible."""

import math
import os
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import validate_data

from jaxmlp.data.row_weights import NUMERIC_KINDS, check_row_weights
from jaxmlp.errors import InputError, InputTypeError, sentence
from jaxmlp.estimators.frames import (
    check_frame,
    check_number_names,
    checked_targets,
    encoder_of_numbers,
    fit_pair,
    known_rows,
    note_number_names,
    reads_frames,
    table_of,
)
from jaxmlp.inference.model import ROWS_PER_CALL
from jaxmlp.tabular.encoder import TableEncoder
from jaxmlp.tabular.frame_cells import masked_as_missing

FLOATS = (np.float64, np.float32)
SPARSE = ("csr", "csc")
COPIES = 2  # training stores the dense rows twice: in the caller's units, and in those of the network


class Table(NamedTuple):
    """Checked inputs: rows (m, n); targets, as class ids (m,), flags (m, k) or numbers (m, k); weights (m,) or None."""

    rows: np.ndarray
    targets: np.ndarray
    weights: np.ndarray | None = None


class ValidationInput(NamedTuple):
    """The validation rows of the caller: X_val, y_val and their weights, unchecked."""

    X: Any = None
    y: Any = None
    weights: Any = None


class Arguments(NamedTuple):
    """The unchecked arguments of `fit` or, if `incremental`, of `partial_fit`."""

    X: Any
    y: Any
    sample_weight: Any = None
    validation: ValidationInput = ValidationInput()
    incremental: bool = False
    classes: Any = None

    @property
    def member_keywords(self) -> dict[str, Any]:
        """The keywords of the same call for one member of an ensemble."""
        rows = {"X": self.X, "y": self.y, "sample_weight": self.sample_weight}
        if self.incremental:
            return rows if self.classes is None else {**rows, "classes": self.classes}
        X_val, y_val, weights = self.validation
        return {**rows, "X_val": X_val, "y_val": y_val, "sample_weight_val": weights}


def count_rows(X: Any) -> int:
    """Return the number of rows of an unchecked input; 0 for an object without a length.

    >>> count_rows([[1.0], [2.0]]), count_rows(np.ones((3, 1))), count_rows(None)
    (2, 3, 0)
    """
    shape = getattr(X, "shape", None)
    if shape is not None:
        return int(shape[0]) if len(shape) else 0
    return len(X) if hasattr(X, "__len__") else 0


def check_rows(estimator: Any, X: Any) -> Any:
    """Return the rows to predict in float32 or float64, sparse ones as csr, checked by `validate_data`.

    If the fit had a frame with text, dates or missing cells, its encoder makes the rows.

    Raises:
      InputError: for a frame that lacks a column of the fit.
      InputTypeError: for columns of text where the fit had none, and for cells that do not fit their column.
      ValueError: for any input that `validate_data` refuses, with scikit-learn's text.
    """
    if reads_frames(estimator):
        return known_rows(estimator, X)
    _check_no_text(estimator, X)
    check_number_names(estimator, X)
    X = without_mask(X)
    return validate_data(estimator, X, accept_sparse="csr", dtype=FLOATS, reset=False)


def iter_dense(rows: Any) -> Iterator[np.ndarray]:
    """Yield the rows to predict; sparse rows become dense block by block, because all of them may exceed the memory."""
    if not hasattr(rows, "toarray"):
        yield rows
        return
    for i in range(0, rows.shape[0], ROWS_PER_CALL):
        yield rows[i : i + ROWS_PER_CALL].toarray(order="C")


def check_pair(estimator: Any, X: Any, y: Any, *, reset: bool, **checks: Any) -> tuple[np.ndarray, Any]:
    """Return the dense rows of a fit, in float32 or float64, and their y; `checks` are arguments of `validate_data`.

    A frame with text, dates or missing cells gives the rows of the estimator's encoder; `encode_tables` encodes them.

    Raises:
      InputTypeError: for columns of text in a frame where an earlier fit had none.
      InputError: for sparse rows that do not fit into the memory once they are dense.
      ValueError: for any input that `validate_data` refuses, with scikit-learn's text.
    """
    # the first call decides whether an encoder reads the rows, and later calls (reset=False) follow it
    check_frame(estimator, X)
    if reset:
        estimator._encoder, frame = None, table_of(estimator, X)
        if frame is not None:
            return fit_pair(estimator, X, frame, y, checks)
    if reads_frames(estimator):
        rows = known_rows(estimator, X)
        return rows, checked_targets(estimator, rows, y, checks)
    _check_no_text(estimator, X)
    if reset:
        note_number_names(estimator, X)
    check_number_names(estimator, X)
    X, y = without_mask(X), without_mask(y)
    X, y = validate_data(estimator, X, y, accept_sparse=SPARSE, dtype=FLOATS, multi_output=True, reset=reset, **checks)
    if not hasattr(X, "toarray"):
        if reset:
            estimator._encoder = encoder_of_numbers(estimator, X.shape[1])
        return X, y
    needed, available = X.shape[0] * X.shape[1] * X.dtype.itemsize, available_bytes()
    if COPIES * needed > available:
        expects = f"sparse rows of which {COPIES} dense copies fit into {available / 2**30:.1f} GB of memory"
        got = f"{X.shape[0]} rows of {X.shape[1]} columns, {needed / 2**30:.1f} GB"
        remedy = "call partial_fit with some thousand rows at a time, or keep fewer columns, as TruncatedSVD does"
        raise InputError(sentence(type(estimator).__name__, expects, got, remedy))
    return X.toarray(order="C"), y  # row-major: SciPy would make a csc matrix column-major, and training reads rows


def without_mask(array: object) -> Any:
    """Return a masked array with nan for its masked numbers, so that scikit-learn refuses them; any other as it is."""
    return masked_as_missing(array) if isinstance(array, np.ma.MaskedArray) else array


def available_bytes() -> float:
    """Return the bytes of free memory, or infinity if the system does not report them."""
    try:
        return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):  # macOS and Windows do not report them
        return math.inf


def _check_no_text(estimator: Any, X: Any) -> None:
    """Raise if a frame has columns of text although the estimator was fitted on numbers.

    scikit-learn would only say that a string is not a float, without the name of the column.
    """
    check_frame(estimator, X)
    dtypes = getattr(X, "dtypes", None)
    if dtypes is None or not hasattr(X, "columns") or not isinstance(dtypes, Iterable):
        return
    columns = [str(name) for name, dtype in zip(X.columns, dtypes, strict=True) if _is_text(X[name], dtype)]
    if columns:
        names = ", ".join(map(repr, columns[:5])) + (", ..." if len(columns) > 5 else "")
        remedy = "give the columns of the first fit"
        where = type(estimator).__name__
        raise InputTypeError(sentence(where, "columns of numbers", f"text or categories in {names}", remedy))


def _is_text(column: Any, dtype: Any) -> bool:
    """Whether a column of pandas or polars holds text or categories."""
    name = str(dtype).lower()
    if name == "object":  # objects of pandas may also be numbers, so the cells decide
        return any(isinstance(value, str) for value in column)
    return name.startswith(("str", "string", "category", "categorical", "enum", "utf8"))


def encode_tables(
    encoder: TableEncoder | None, train: Table, validation: Table | None, *, is_fitted: bool
) -> tuple[TableEncoder | None, Table, Table | None]:
    """Return the encoder fitted on the training rows, and both tables encoded; without an encoder both unchanged."""
    if encoder is None:
        return encoder, train, validation
    fitted = encoder if is_fitted else encoder.fit_to(train.rows, weights=train.weights)
    train = train._replace(rows=fitted(train.rows))
    return fitted, train, None if validation is None else validation._replace(rows=fitted(validation.rows))


def row_weights(estimator: object, weights: object, m: int, name: str = "sample_weight") -> np.ndarray | None:
    """Return the weights of m rows in float64; None for equal ones.

    Raises:
      InputError: unless they are finite numbers ≥ 0, one for each row or one for all rows, and not all zero.
    """
    if weights is None:
        return None
    array = np.asarray(weights)
    if array.ndim == 0 and array.dtype.kind in NUMERIC_KINDS:
        array = np.full(m, array)  # scikit-learn allows one number for all rows
    if array.shape == (m,) and array.dtype.kind in NUMERIC_KINDS and not array.any():
        where = f"{name} of {type(estimator).__name__}"
        raise InputError(sentence(where, "a weight that is not zero", "zero weights only", "leave it out"))
    return check_row_weights(array, m, name).astype(np.float64)


def without_zero_weights(table: Table) -> Table:
    """Return the rows of positive weight: a weight of 0 removes a row."""
    if table.weights is None or (table.weights > 0).all():
        return table
    positive = table.weights > 0
    return Table(table.rows[positive], table.targets[positive], table.weights[positive])


def hold_out(
    table: Table, fraction: float, random_state: np.random.RandomState, labels: np.ndarray | None
) -> tuple[Table, Table]:
    """Split a table into training rows and validation rows, drawn as scikit-learn draws them.

    Args:
      table: all rows.
      fraction: the fraction of the rows that become validation rows.
      random_state: the source of the random numbers.
      labels: (m,) labels whose proportions are the same in both parts; None to draw without regard to labels.

    Raises:
      InputError: when there would be fewer than two validation rows.
      ValueError: when a class has too few rows to be divided, with scikit-learn's text.
    """
    # the same call as in scikit-learn's MLP, so that an equal random_state gives an equal split
    ids = train_test_split(
        np.arange(len(table.rows)),
        test_size=float(fraction),
        random_state=random_state,
        stratify=labels,
    )
    if len(ids[1]) < 2:
        remedy = "raise validation_fraction, or give X_val and y_val"
        raise InputError(sentence("early_stopping", "two rows or more to validate on", len(ids[1]), remedy))
    rows, targets, weights = table
    train, validation = (Table(rows[i], targets[i], None if weights is None else weights[i]) for i in ids)
    return train, validation
