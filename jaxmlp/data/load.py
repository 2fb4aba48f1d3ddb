"""Data sets from a name that the package knows, or from a path.

    digits, planar, xor, moons, circles, spirals     names; "./digits" is a path
    .h5 .hdf5 .npz                                   files of arrays
    .csv .tsv .txt .data .parquet                    tables; text files may be compressed (.csv.gz)
    a frame of pandas or polars                      a table in memory
    a folder                                         HDF5 files, or idx files such as those of MNIST; or a folder of
                                                     pictures for each class, as `image_folders` describes

`TOY_DATASETS` and `readers.READERS` list what can be read. The error texts list the same names and suffixes.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from jaxmlp.data import readers
from jaxmlp.data.dataset import Dataset
from jaxmlp.data.folders import is_picture_folder, one_row_files, read_folder, rows_remedy
from jaxmlp.data.frames import table_of_frame
from jaxmlp.data.image_folders import refuse_image_size
from jaxmlp.data.known_columns import KnownColumns
from jaxmlp.data.labels import are_flags
from jaxmlp.data.limits import as_name
from jaxmlp.data.preprocessing import Preprocessing
from jaxmlp.data.readers.arrays import Arrays
from jaxmlp.data.rows import UNNAMED, Columns, as_rows, check_finite, flatten_images
from jaxmlp.data.source_paths import Source, existing_path, expand_path, missing_file, refuse_dataset_dict
from jaxmlp.data.split import DEFAULT_TEST_FRACTION, check_no_split
from jaxmlp.data.table_targets import Target, match_labels, target_of_frame
from jaxmlp.data.tables import TableContent, read_content, read_features
from jaxmlp.data.tasks import TASKS
from jaxmlp.data.toy import TOY_DATASETS
from jaxmlp.errors import InputError, InputTypeError, sentence, unknown
from jaxmlp.tabular.columns import empty_missing_words
from jaxmlp.tabular.options import TableOptions, resolve_options
from jaxmlp.tabular.table import Table, as_table, is_frame


def load(
    source: Source | Any,
    *,
    target: Target = None,
    test_fraction: float | None = None,
    seed: int | None = None,
    standardize: bool | Literal["auto"] = "auto",
    task: str = "auto",
    known_classes: Sequence[object] | None = None,
    known_columns: KnownColumns | None = None,
    image_size: int | str | Sequence[int] | None = None,
    table: TableOptions | None = None,
    **table_options: Any,
) -> Dataset:
    """Return the data set that has this name or is stored at this path.

    Args:
        source: one of `TOY_DATASETS`, or a path: a file of arrays (.h5, .hdf5, .npz), a table (.csv, .tsv, .txt, .data,
            also compressed, .parquet), a folder of HDF5 or idx files, a folder of pictures for each class (see
            `data.image_folders`); or a frame of pandas or polars.
        target: the target column of a table, by name or number; the last one if None; a list for several targets.
            Several columns of 0 and 1, or of yes and no, are the labels of a multi-label task.
        test_fraction: the fraction of rows to hold out if the source has no test part; 0.2 if None, and none for 0.
        seed: the random seed that chooses the held-out rows; 0 if None.
        standardize: True or False; "auto" standardizes tables only. Images of bytes that are not standardized are
            divided by 255, and so are flat rows of bytes under the names of image data; see `data.readers.arrays`.
        task: "binary", "multiclass", "multilabel" or "regression"; "auto" decides by the labels (see `data.tasks`).
        known_classes: the classes of a trained model, in the order of its class ids, to evaluate it on new data. Labels
            get these class ids unless the source lists its own classes. With test_fraction 0 one row or one class is
            enough.
        known_columns: the columns of a trained model; a table is read as the training table was, and pictures get the
            image shape of the model.
        image_size: (height, width), "64x48" or one number for both, to which the pictures of a folder are resized; None
            if all of them have one size.
        table, table_options: the roles of the columns of a table, and the format of its text; see `TableOptions`, whose
            fields are keywords here: load("t.csv", target="y", drop=["id"], weights="w").

    Raises:
        MissingFileError: when there is no such file or folder.
        InputError, InputTypeError: for an unknown name, a damaged file or an unknown format, for unusable rows or
            labels, and for a test_fraction or seed if the source has a test part.

    >>> load("digits").train.rows.shape
    (1438, 64)
    """
    if standardize not in (True, False, "auto"):
        raise InputError(sentence("standardize", "True, False or 'auto'", repr(standardize), "take one of these"))
    options = resolve_options("load", table, table_options)
    # in this order: a frame, the name of a toy data set, a table in a file, arrays in a file or folder
    refuse_dataset_dict(source)
    if is_frame(source):
        refuse_image_size("table", image_size)
        table_in_memory = table_of_frame(source, options) if known_columns is None else as_table(source)
        frame_target = target_of_frame(target, source)
        content = _read_content(table_in_memory, frame_target, options, known_columns, standardize)
        return _dataset_of_table(content, "table", test_fraction, seed, standardize, task, known_classes)
    if isinstance(source, str) and source in TOY_DATASETS:
        _refuse_table_options(source, options)
        refuse_image_size(source, image_size)
        dataset = _load_toy(source, target, standardize is True, task)
        check_no_split(f"source {source!r}", dataset.test is not None, test_fraction, seed)
        return dataset
    path = existing_path(source)
    if not path.is_dir():
        refuse_image_size(path.name, image_size)
    reader = readers.find_reader(path) if path.is_file() else None
    if reader and reader.read_table:
        names = () if known_columns is None else known_columns.feature_names
        content = _read_content(reader.read_table(path, options, names), target, options, known_columns, standardize)
        name = as_name(path.name.partition(".")[0] if path.suffix.lower() in readers.COMPRESSIONS else path.stem)
        return _dataset_of_table(content, name, test_fraction, seed, standardize, task, known_classes)
    _refuse_table_options(path.name, options)
    if target is not None:
        raise _no_columns(path.name, target)
    arrays = read_folder(path, image_size, known_columns) if path.is_dir() else _read_file(path)
    check_no_split(f"source {path.name!r}", arrays.test is not None, test_fraction, seed)
    dataset = Dataset.from_arrays(
        arrays.rows,
        arrays.labels,
        test=arrays.test,
        validation=arrays.validation,
        task=task,
        classes=arrays.classes,
        known_classes=known_classes,
        columns=arrays.columns,
        name=as_name((path.name if path.is_dir() else path.stem) or str(path)),
    )
    dataset = dataclasses.replace(dataset, notes=arrays.notes)
    fraction = DEFAULT_TEST_FRACTION if test_fraction is None else test_fraction
    if fraction and dataset.test is None:
        dataset = dataset.split_test(fraction, seed or 0)
    if standardize is True:  # "auto" is not enough: all pixels have the same unit, so images keep their scale
        return dataset.standardize()
    if arrays.pixels and arrays.rows.dtype == np.uint8:  # flat rows: `from_arrays` did it for images
        return dataclasses.replace(dataset, preprocessing=Preprocessing.images())
    return dataset


def _read_content(
    table: Table,
    target: Target,
    options: TableOptions,
    known: KnownColumns | None,
    standardize: bool | Literal["auto"],
) -> TableContent:
    if standardize is False:
        options = dataclasses.replace(options, numbers="none")
    return read_content(table, target, options, known)


def _dataset_of_table(
    content: TableContent,
    name: str,
    test_fraction: float | None,
    seed: int | None,
    standardize: bool | Literal["auto"],
    task: str,
    known_classes: Sequence[object] | None,
) -> Dataset:
    labels = content.labels
    assert labels is not None
    # a new file may spell the classes of the model in another way, as the test part of Adult does: "<=50K." for "<=50K"
    if known_classes is not None and task != "regression":
        labels = match_labels(labels, known_classes)
    if task == "auto" and known_classes is None and content.has_categories:
        task = "binary" if len(np.unique(labels)) == 2 else "multiclass"
    # several columns of flags are the labels of a multilabel task, and the columns name these labels
    classes = (
        content.target_names if labels.ndim == 2 and task in ("auto", "multilabel") and are_flags(labels) else None
    )
    dataset = Dataset.from_arrays(
        content.rows,
        labels,
        task=task,
        classes=classes,
        known_classes=known_classes,
        columns=content.columns(),
        name=name,
        content=content,
        weights=content.weights,
    )
    if fraction := DEFAULT_TEST_FRACTION if test_fraction is None else test_fraction:
        dataset = dataset.split_test(fraction, seed or 0)
    # the columns of a table have different units, so "auto" standardizes it
    return dataset if standardize is False else dataset.standardize()


def _load_toy(name: str, target: Target, standardize: bool, task: str) -> Dataset:
    if target is not None:
        raise _no_columns(name, target)
    if task not in ("auto", *TASKS):
        raise unknown("task", task, ["auto", *TASKS])
    dataset = TOY_DATASETS[name]()
    if task not in ("auto", dataset.task):
        expects = f"task 'auto' or {dataset.task!r}"
        raise InputError(sentence(f"source {name!r}", expects, repr(task), "leave the task out"))
    return dataset.standardize() if standardize else dataset


def _no_columns(name: str, target: Target) -> InputError:
    expects, got = "no target, because it has no columns to choose from", f"target {target!r}"
    return InputError(sentence(f"source {name!r}", expects, got, "leave it out"))


def _refuse_table_options(name: str, options: TableOptions) -> None:
    if options.non_default:
        expects = "no table options, because it is not a table"
        raise InputError(sentence(f"source {name!r}", expects, ", ".join(options.non_default), "leave them out"))


def _read_file(path: Path) -> Arrays:
    """Return the arrays of a file."""
    reader = readers.find_reader(path) if path.is_file() else None
    if reader and reader.read:
        return reader.read(path)
    *suffixes, last = _suffixes(reader for reader in readers.READERS if reader.has_labels)
    remedy = reader.remedy if reader else "convert it to one of these"
    raise InputError(sentence("load", f"a file {', '.join(suffixes)} or {last}, or a folder", path.name, remedy))


def _suffixes(formats: Iterable[readers.Reader]) -> list[str]:
    """Return the suffixes of formats, without those of compressed files."""
    suffixes = (suffix for reader in formats for suffix in reader.suffixes)
    return [suffix for suffix in suffixes if not suffix.endswith(readers.COMPRESSIONS)]


def is_table(source: Source) -> bool:
    """Whether the suffix of a path is that of a table."""
    reader = readers.find_reader(expand_path(source))
    return reader is not None and reader.read_table is not None


def has_known_columns(source: Source) -> bool:
    """Whether `load` reads a source by the columns of a model, `known_columns`: a table, or a folder of pictures."""
    return source not in TOY_DATASETS and (is_table(source) or is_picture_folder(expand_path(source)))


def load_table(source: Source, known: KnownColumns, options: TableOptions | None = None) -> Table:
    """Return the table in a file that a model predicts: a first line with the names of its features is a header.

    Raises:
        MissingFileError: when there is no such file.
        InputError: when the file is not a table.
    """
    path = expand_path(source)
    if not path.exists():
        raise missing_file(path)
    reader = readers.find_reader(path)
    if reader is None or reader.read_table is None:
        raise InputError(sentence("reading a table", "a table", path.name, "give a .csv file, for example"))
    table = reader.read_table(path, options, known.feature_names)
    return empty_missing_words(table, options or TableOptions())


def load_rows(
    source: Source,
    n_features: int,
    columns: Columns = UNNAMED,
    known: KnownColumns | None = None,
    options: TableOptions | None = None,
) -> np.ndarray:
    """Return raw rows without labels, (m, n_features), for a prediction.

    Args:
        source: a table (columns by name, see `tables.read_features`), .npz or .h5 (one of the arrays in `NPZ_ROWS` or
            `HDF5_ROWS`, or the only array), an idx file of images; or one picture, which is resized to the image shape,
            as bytes 0..255, or a folder of pictures, in the order of their names.
        n_features: the width of the model's rows.
        columns: the columns of the model.
        known: `known_columns` of the model, by which a table is read; if None, the names in `columns`.
        options: the format of the text of a table.

    Raises:
        MissingFileError: when there is no such file.
        InputError: for rows of another width, for images of another shape, and for any file that `load` refuses.
    """
    if not isinstance(columns, Columns):
        remedy = "write Columns(image_shape=(28, 28)), or give model.columns"
        raise InputTypeError(sentence("load_rows", "columns as Columns", type(columns).__name__, remedy))
    path = expand_path(source)
    if not path.exists():
        raise missing_file(path)
    reader = readers.find_reader(path)
    if path.is_file() and reader is not None and reader.read_table:
        known = known or KnownColumns(columns.feature_names, columns.target_names)
        return read_features(load_table(path, known, options), known, n_features).rows
    if pictures := one_row_files(path) if path.is_dir() else []:
        return np.concatenate([load_rows(picture, n_features, columns) for picture in pictures])
    if not path.is_file() or reader is None or reader.read_rows is None:
        suffixes = _suffixes(reader for reader in readers.READERS if reader.has_rows)
        remedy = rows_remedy(path) if path.is_dir() else reader.remedy if reader else "convert it to one of these"
        raise InputError(sentence("rows to predict", f"a file {', '.join(suffixes)}", path.name, remedy))
    stored = np.asarray(reader.read_rows(path, n_features, columns))
    rows, shape = as_rows(flatten_images(stored, columns.image_shape), path.name)
    if rows.shape[1] != n_features:
        remedy = "give rows like those that the model was trained on"
        raise InputError(sentence(path.name, f"rows with {n_features} columns", rows.shape[1], remedy))
    # images of the shape of the model are flat rows by now
    if shape and columns.image_shape:
        expects = f"images of shape {tuple(columns.image_shape)}"
        raise InputError(sentence(path.name, expects, shape, "resize or transpose them"))
    check_finite(rows, path.name, columns.feature_names)
    return rows
