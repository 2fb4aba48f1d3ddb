"""Rows that a model is asked about, checked: frames by the names of their columns, images by shape and unit."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from jaxmlp.data.dataset import Dataset
from jaxmlp.data.known_columns import KnownColumns
from jaxmlp.data.preprocessing import Preprocessing
from jaxmlp.data.rows import check_finite, check_unit, flatten_images, plain_array
from jaxmlp.data.streaming.file_rows import FileRows
from jaxmlp.data.tables import read_features, rows_by_position
from jaxmlp.errors import InputError, sentence
from jaxmlp.tabular.encoder import TableEncoder
from jaxmlp.tabular.table import TableRows, as_table, is_frame

READ_FILE = "jaxmlp.data.load_rows(path, model.n_features, model.columns) reads a file"
NewRows = ArrayLike | FileRows | Mapping[str, Any]
"""Raw rows, also those of a file, or a frame or dict of named columns."""


class ModelOfRows(Protocol):
    """What is known of the rows of a model."""

    @property
    def preprocessing(self) -> Preprocessing | TableEncoder: ...

    @property
    def feature_names(self) -> tuple[str, ...]: ...

    @property
    def image_shape(self) -> tuple[int, ...] | None: ...

    @property
    def row_dtype(self) -> str: ...

    @property
    def row_range(self) -> tuple[float, float] | None: ...

    @property
    def n_features(self) -> int: ...

    @property
    def known_columns(self) -> KnownColumns: ...


def check_new_rows(rows: Any, model: ModelOfRows) -> np.ndarray:
    """Return rows as an array (m, n) of the model's width, images flattened.

    Raises:
        InputError: another width, absent columns, images of another shape or unit, numbers that are not finite.
        InputTypeError: cells that are not those of their columns, an array where the model has columns of text.
    """
    encoder = model.preprocessing if isinstance(model.preprocessing, TableEncoder) else None
    if is_frame(rows):
        known = model.known_columns
        array = read_features(as_table(rows, "the model", known.ignores), known, model.n_features).rows
        _check_unit(array, model)
    elif encoder is not None and not isinstance(rows, TableRows):
        array = rows_by_position(rows, encoder, "the model")
    else:
        return _check_array(rows, model)
    if encoder is not None:
        encoder.warn_of_unknown(array)
    return array


def _check_array(rows: Any, model: ModelOfRows) -> np.ndarray:
    array = flatten_images(plain_array(rows), model.image_shape)
    if array.ndim != 2 or array.shape[1] != model.n_features:
        raise _wrong_shape(array, model, has_names=hasattr(rows, "to_frame"))
    if isinstance(array, TableRows):
        return array
    check_finite(array, "the model", model.feature_names)
    _check_unit(array, model)
    return array


def _wrong_shape(array: np.ndarray, model: ModelOfRows, *, has_names: bool) -> InputError:
    n, shape = model.n_features, array.shape
    remedy = "give the columns that it was trained on"
    if array.ndim == 0:
        remedy = f"give an array; {READ_FILE}"
    elif array.ndim > 2 and model.image_shape:
        remedy = f"resize the images to {model.image_shape}; {READ_FILE}, and resizes a picture"
    elif array.ndim == 1 and has_names:
        remedy = "pass series.to_frame().T for one example"
    elif array.ndim == 1:
        remedy = "pass rows.reshape(1, -1) for one example"
    elif shape[:1] == (n,):
        remedy = "one example per row here: pass rows.T"
    return InputError(sentence("the model", f"rows of shape (m, {n})", shape, remedy))


def _check_unit(array: np.ndarray, model: ModelOfRows) -> None:
    """Raise for images in 0..1 where the training had them in 0..255, and the other way round."""
    is_pixels = model.image_shape is not None or model.row_dtype == "uint8"
    # models of a stream and files of older releases have no range: that of bytes follows from their dtype
    extremes = model.row_range or ((0.0, 255.0) if model.row_dtype == "uint8" else None)
    if is_pixels and extremes is not None:
        check_unit(array, extremes, "the model")


def range_of_images(data: Dataset) -> tuple[float, float] | None:
    """Return the extremes of training images, by which those of other units are noticed; None for other rows."""
    rows = data.train.rows
    if data.image_shape is None or isinstance(rows, FileRows):
        return None
    return float(rows.min()), float(rows.max())
