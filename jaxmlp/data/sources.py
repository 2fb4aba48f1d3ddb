"""Where examples come from: a name that the package knows, or a path.

    digits, planar, xor, moons, circles, spirals     the names; "./digits" is a path
    .h5 .hdf5 .npz .csv                              files
    a folder                                         an HDF5 pair, or idx files as MNIST has them

The tables below drive both the reading and the error texts.
"""

import dataclasses
import importlib.resources
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from jaxmlp.data import generators, hdf5, idx, npz, pictures, tables
from jaxmlp.data.dataset import Dataset
from jaxmlp.data.layouts import Arrays
from jaxmlp.data.preprocessing import Preprocessing
from jaxmlp.data.rows import ImageShape, as_rows, check_finite
from jaxmlp.data.tasks import TASKS
from jaxmlp.errors import InputError, InputTypeError, MissingFileError, sentence, unknown

Source = str | os.PathLike[str]


def digits() -> Dataset:
    """Handwritten digits, 8x8, 1,797 images in ten classes: the test set of the UCI collection, a fifth held back.

    Intensities 0..16 of the original are kept as round(v · 255 / 16). Source: E. Alpaydin and C. Kaynak, Optical
    Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998, doi 10.24432/C50P49, CC BY 4.0.

    >>> data = digits()
    >>> len(data.train.rows), len(data.test.rows), data.image_shape, data.classes[:3]
    (1438, 359, (8, 8), ('0', '1', '2'))
    """
    with importlib.resources.as_file(importlib.resources.files("jaxmlp.data") / "digits.h5") as path:
        return _dataset(hdf5.read(path), "digits", task="auto", test_fraction=None, seed=0, standardize=False)


NAMES: dict[str, Callable[[], Dataset]] = {
    "digits": digits,
    "planar": generators.planar,
    "xor": generators.xor,
    "moons": generators.moons,
    "circles": generators.circles,
    "spirals": generators.spirals,
}
TEST_FRACTION = 0.2
FILES: dict[str, Callable[[Path], Arrays]] = {**dict.fromkeys(hdf5.SUFFIXES, hdf5.read), ".npz": npz.read}


def load(
    source: Source,
    *,
    target: str | int | None = None,
    test_fraction: float | None = None,
    seed: int | None = None,
    standardize: bool | Literal["auto"] = "auto",
    task: str = "auto",
    known_classes: Sequence[Any] | None = None,
) -> Dataset:
    """A data set by its name or path.

    Args:
        source: one of `NAMES`, or a path to a .h5, .hdf5, .npz or .csv file, an HDF5 pair or a folder of idx files.
        target: the target column of a .csv, by name or number; the last one unless given.
        test_fraction: the share held back where the source has no test part of its own, 0.2 unless given; 0 for none.
        seed: which rows those are, 0 unless given.
        standardize: True or False; "auto" standardises tables only. Without it images of bytes are divided by 255,
            as are flat bytes where the files of images keep them; see `data.layouts`.
        task: "auto" reads it off the labels (see `data.tasks`); or "binary", "multiclass", "multilabel", "regression".
        known_classes: the classes of a trained model, in its order, to evaluate it on new data: one row or one class
            is enough (with test_fraction 0), and labels are coded by them unless the source names its own classes.

    Raises:
        MissingFileError: no such file.
        InputError, InputTypeError: an unknown name, a file that is damaged or holds something else, unusable rows or
            labels, a test_fraction or seed for a source that has its own test part; always one sentence.

    >>> load("digits").train.rows.shape
    (1438, 64)
    """
    if standardize not in (True, False, "auto"):
        raise InputError(sentence("standardize", "True, False or 'auto'", repr(standardize), "take one of these"))
    if isinstance(source, str) and source in NAMES:
        dataset = _named(source, target, standardize is True, task)
        _check_split(source, dataset.test is not None, test_fraction, seed)
        return dataset
    path = _existing(source)
    table = path.suffix.lower() == ".csv" and path.is_file()
    if target is not None and not table:
        raise _no_columns(path.name, target)
    arrays = tables.read(path, target) if table else _arrays(path)
    standardize = table if standardize == "auto" else standardize
    _check_split(path.name, arrays.test_rows is not None, test_fraction, seed)
    fraction = TEST_FRACTION if test_fraction is None else test_fraction
    return _dataset(
        arrays,
        (path.name if path.is_dir() else path.stem) or str(path),
        task=task,
        test_fraction=fraction,
        seed=seed or 0,
        standardize=standardize,
        known_classes=known_classes,
    )


def _named(name: str, target: str | int | None, standardize: bool, task: str) -> Dataset:
    if target is not None:
        raise _no_columns(name, target)
    if task not in ("auto", *TASKS):
        raise unknown("task", task, ["auto", *TASKS])
    dataset = NAMES[name]()
    if task not in ("auto", dataset.task):
        expects = f"task 'auto' or {dataset.task!r}"
        raise InputError(sentence(f"source {name!r}", expects, repr(task), "leave the task out"))
    return dataset.standardize() if standardize else dataset


def _check_split(name: str, own_test: bool, test_fraction: float | None, seed: int | None) -> None:
    """There is nothing to choose where the source comes with a test part."""
    if own_test and (test_fraction or seed is not None):
        expects = "neither test_fraction nor seed, having a test part of its own"
        got = f"test_fraction {test_fraction}" if test_fraction else f"seed {seed}"
        raise InputError(sentence(f"source {name!r}", expects, got, "leave it out"))


def _no_columns(name: str, target: str | int) -> InputError:
    got = f"target {target!r}"
    return InputError(sentence(f"source {name!r}", "no target, having no columns to choose from", got, "leave it out"))


def _existing(source: Source) -> Path:
    if not isinstance(source, str | os.PathLike):
        expects, got = "a name or a path", type(source).__name__
        raise InputTypeError(sentence("load", expects, got, "for arrays take Dataset.from_arrays"))
    path = _path(source)
    if path.exists():
        return path
    if isinstance(source, str) and not path.suffix and path.name == source:
        raise unknown("data source", source, [*NAMES, "or a path to a file or folder"])
    raise _missing(path)


def _path(source: Source) -> Path:
    """With a name of its own: "." and ".." are the folders that they stand for."""
    path = Path(source).expanduser()
    return path.resolve() if path.name in ("", "..") else path


def _missing(path: Path) -> MissingFileError:
    got, remedy = f"{str(path)!r}, which does not exist", "check the path"
    return MissingFileError(sentence("reading", "an existing file or folder", got, remedy))


def _arrays(path: Path) -> Arrays:
    if path.is_dir():
        return _folder(path)
    if (suffix := path.suffix.lower()) in FILES:
        return FILES[suffix](path)
    remedy = "name the folder that holds it" if idx.is_idx(path) else "convert it to one of these"
    raise InputError(sentence("load", f"a file {', '.join(FILES)} or .csv, or a folder", path.name, remedy))


def _folder(folder: Path) -> Arrays:
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    if pair := [path for path in paths if path.suffix.lower() in hdf5.SUFFIXES]:
        return hdf5.read_folder(folder, pair)
    if quartet := [path for path in paths if idx.is_idx(path)]:
        return idx.read_folder(folder, quartet)
    expects, got = "HDF5 or idx files in the folder", f"{len(paths)} other files" if paths else "no files"
    raise InputError(sentence(folder.name, expects, got, "for any other kind name the file itself"))


def _dataset(
    arrays: Arrays,
    name: str,
    *,
    task: str,
    test_fraction: float | None,
    seed: int,
    standardize: bool,
    known_classes: Sequence[Any] | None = None,
) -> Dataset:
    dataset = Dataset.from_arrays(
        arrays.rows,
        arrays.labels,
        test_rows=arrays.test_rows,
        test_labels=arrays.test_labels,
        classes=arrays.classes,
        known_classes=known_classes,
        task=task,
        name=name,
        feature_names=arrays.feature_names,
        target_names=arrays.target_names,
        standardize=standardize,
        test_fraction=test_fraction if arrays.test_rows is None else None,
        seed=seed,
    )
    if arrays.pixels and arrays.rows.dtype == np.uint8 and not standardize:
        return dataclasses.replace(dataset, preprocessing=Preprocessing.images())
    return dataset


def load_rows(
    path: Source,
    n_features: int,
    image_shape: ImageShape | None = None,
    feature_names: tuple[str, ...] = (),
    target_names: tuple[str, ...] = (),
) -> np.ndarray:
    """Raw rows without labels, (m, n_features), for prediction.

    Args:
        path: .csv (see `tables.read_rows` for which columns count; a target column among them is dropped), .npz (rows,
            x, X, x_test, test_set_x, or its only array), .h5 or .hdf5 (test_set_x, train_set_x, x_test,
            x_train, rows, x, X, or its only array), or one picture (.png .jpg .jpeg .bmp .gif .webp), resized to
            `image_shape`, as bytes 0..255.
        n_features: the width of the model's rows.
        image_shape, feature_names, target_names: those of the model's data set.

    Raises:
        MissingFileError: no such file.
        InputError: another width, images of another shape, or anything that `load` would refuse.
    """
    path = _path(path)
    if not path.exists():
        raise _missing(path)
    rows, shape = as_rows(_raw_rows(path, n_features, image_shape, feature_names, target_names), path.name)
    if rows.shape[1] != n_features:
        remedy = "give rows like those that the model was trained on"
        raise InputError(sentence(path.name, f"rows with {n_features} columns", rows.shape[1], remedy))
    if shape and image_shape and _two_or_colour(shape) != _two_or_colour(image_shape):
        raise InputError(sentence(path.name, f"images {image_shape}", shape, "resize or transpose them"))
    check_finite(rows, path.name, feature_names)
    return rows


def _raw_rows(
    path: Path,
    n_features: int,
    image_shape: ImageShape | None,
    feature_names: tuple[str, ...],
    target_names: tuple[str, ...],
) -> np.ndarray:
    suffix = path.suffix.lower()
    if path.is_file() and suffix == ".csv":
        return tables.read_rows(path, n_features, feature_names, target_names)
    if path.is_file() and suffix == ".npz":
        return npz.read_rows(path)
    if path.is_file() and suffix in hdf5.SUFFIXES:
        return hdf5.read_rows(path)
    if path.is_file() and suffix in pictures.SUFFIXES:
        return pictures.read_rows(path, image_shape)
    kinds = [".csv", ".npz", *hdf5.SUFFIXES, *pictures.SUFFIXES]
    raise InputError(sentence("rows to predict", f"a file {', '.join(kinds)}", path.name, "convert it to one of these"))


def _two_or_colour(shape: ImageShape) -> ImageShape:
    """(h, w, 1) is (h, w)."""
    return shape[:2] if len(shape) == 3 and shape[2] == 1 else shape
