"""Define what a reader returns, and find the arrays of a file by their names.

    the course    train_set_x, train_set_y, test_set_x, test_set_y, list_classes
    Keras         x_train, y_train, x_test, y_test, x_val, y_val
    plain         x, X or rows, with y, Y, labels or targets
    groups        train/X and train/y, test/X and test/y, val/X and val/y, read as the names of Keras

The case of letters does not matter, except that x and X are two names.

Rows are (m, n) or images (m, h, w[, c]); labels are (m,), (m, k), or (1, m) as in the files of the course. A label 2.0
is read as 2. The arrays of test and validation may be absent; `list_classes` may occur beside any of these names.

The first two conventions are those of image data. Flat rows of bytes under their names are intensities 0..255, to be
divided by 255, if any training value is above 1. Bytes of 0 and 1 only are features without scaling, and so are all
flat rows under a plain name.
"""

import itertools
import re
from collections.abc import Container, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxmlp.data.labels import as_whole, decode_text
from jaxmlp.data.rows import UNNAMED, Columns
from jaxmlp.errors import InputError, sentence


class Arrays(NamedTuple):
    """The content of a source, unchecked: `Dataset.from_arrays` checks it.

    Attributes:
        rows, labels: of the training part.
        test: rows and labels of a test part, if the source has one; None for rows or labels that the source lacks.
        validation: the same for a validation part.
        classes: labels of the class ids, if the source names them.
        columns: the names of its columns.
        pixels: whether rows of bytes are intensities, although they are flat and have no image shape.
        notes: the decisions about the source, as texts for the user.
    """

    rows: np.ndarray
    labels: np.ndarray
    test: tuple[np.ndarray | None, np.ndarray | None] | None = None
    classes: tuple[Any, ...] | None = None
    columns: Columns = UNNAMED
    pixels: bool = False
    validation: tuple[np.ndarray | None, np.ndarray | None] | None = None
    notes: tuple[str, ...] = ()


class ArrayNames(NamedTuple):
    """The names of the arrays in a file; those of the held-out parts may be None, or absent from the file."""

    rows: str
    labels: str
    test_rows: str | None = None
    test_labels: str | None = None
    validation_rows: str | None = None
    validation_labels: str | None = None


COURSE = ArrayNames("train_set_x", "train_set_y", "test_set_x", "test_set_y")
KERAS = ArrayNames("x_train", "y_train", "x_test", "y_test", "x_val", "y_val")
PLAIN = tuple(itertools.starmap(ArrayNames, itertools.product(("x", "X", "rows"), ("y", "Y", "labels", "targets"))))
CONVENTIONS = (COURSE, KERAS, *PLAIN)
CLASSES = "list_classes"
KNOWN_NAMES = frozenset(name for names in CONVENTIONS for name in names if name) | {CLASSES}
_NAME_OF_LOWER = {name.lower(): name for name in sorted(KNOWN_NAMES)}
PART_OF_NAME = {"train": "train", "training": "train", "test": "test", "val": "val", "validation": "val"}
"""The part that a group of an HDF5 file, or a folder of pictures, holds by its name in lower case."""
_LETTER_OF_ROLE = {"x": "x", "rows": "x", "images": "x", "y": "y", "labels": "y", "targets": "y"}
_NUMPY_DEFAULT_NAME = re.compile(r"arr_\d+")  # as np.savez names what it gets without a name
EXPECTED = "train_set_x and train_set_y, x_train and y_train, or one of x, X, rows with one of y, Y, labels, targets"


def conventional_names(names: Iterable[str]) -> dict[str, str]:
    """Return {name of a convention: name in the file} for the arrays that a convention names.

    >>> conventional_names(["X_train", "Y_train", "mask"]), conventional_names(["train/X", "Test/y"])
    ({'x_train': 'X_train', 'y_train': 'Y_train'}, {'x_train': 'train/X', 'y_test': 'Test/y'})
    """
    names = list(names)
    # a whole pair of exact names wins over names in another case
    if any(convention.rows in names and convention.labels in names for convention in CONVENTIONS):
        names = [name for name in names if name in KNOWN_NAMES]
    conventional: dict[str, list[str]] = {}
    for name in names:
        group, _, role = name.lower().rpartition("/")
        known = name if name in KNOWN_NAMES else _NAME_OF_LOWER.get(name.lower())
        if group in PART_OF_NAME and role in _LETTER_OF_ROLE:
            known = f"{_LETTER_OF_ROLE[role]}_{PART_OF_NAME[group]}"
        if known is not None:
            conventional.setdefault(known, []).append(name)
    # an exact name wins; X_Train beside X_TRAIN is ambiguous, so neither is used
    chosen = {known: known if known in stored else stored[0] for known, stored in conventional.items()}
    return {known: name for known, name in chosen.items() if name == known or len(conventional[known]) == 1}


def assign_roles(arrays: Mapping[str, np.ndarray], names: Iterable[str], where: str) -> Arrays:
    """Return the arrays by their roles.

    Args:
        arrays: by their names in `KNOWN_NAMES`.
        names: every name in the file, for the error text.

    Raises:
        InputError: no convention fits, or more than one does; text that is not UTF-8.

    >>> assign_roles({"x": np.eye(2), "y": np.array([[0, 1]])}, ["x", "y"], "a.npz").labels
    array([0, 1])
    """
    roles = find_array_names(arrays, names, where)
    rows = arrays[roles.rows]
    # labels and class names may be bytes, as HDF5 stores text; rows are numbers
    text = {
        name: decode_text(arrays[name], f"{name} of {where}")
        for name in (*roles[1::2], CLASSES)  # every second field is a name of labels
        if name and name in arrays
    }

    def part_of(rows_name: str | None, labels_name: str | None) -> tuple[np.ndarray | None, np.ndarray | None] | None:
        # a convention without such a part has None here, and get("None") finds nothing
        held_out, labels = arrays.get(str(rows_name)), text.get(str(labels_name))
        if held_out is None and labels is None:
            return None
        return held_out, None if labels is None else flatten_labels(labels)

    return Arrays(
        rows=rows,
        labels=flatten_labels(text[roles.labels]),
        test=part_of(roles.test_rows, roles.test_labels),
        validation=part_of(roles.validation_rows, roles.validation_labels),
        classes=tuple(text[CLASSES].ravel().tolist()) if CLASSES in text else None,
        pixels=has_image_names(roles) and rows.dtype == np.uint8 and bool((rows > 1).any()),
    )


def has_image_names(names: ArrayNames) -> bool:
    """Whether flat rows of bytes under these names may be intensities."""
    return names.rows in (COURSE.rows, KERAS.rows)


def find_array_names(available: Container[str], names: Iterable[str], where: str) -> ArrayNames:
    """Return the only convention whose rows and labels are available.

    Args:
        available: names that may be used.
        names: every name in the file, for the error text.

    Raises:
        InputError: no convention fits, or more than one does.

    >>> find_array_names({"X", "y", "mask"}, ["X", "y", "mask"], "a.h5").labels
    'y'
    """
    # "x" beside "y" and "labels" fits twice: to guess would mean to train on the wrong labels without an error
    names = list(names)
    fitting = [roles for roles in CONVENTIONS if roles.rows in available and roles.labels in available]
    if len(fitting) != 1:
        remedy = "keep one pair of rows and labels" if fitting else "rename the arrays"
        if names and all(map(_NUMPY_DEFAULT_NAME.fullmatch, names)):
            remedy = "name them, np.savez(path, X=X, y=y)"
        # the course has two files, and test_catvnoncat.h5 alone has no rows to train on
        if any(str(roles.test_rows) in available and roles.rows not in available for roles in (COURSE, KERAS)):
            remedy = "give the folder that also contains the file of the training rows"
        raise InputError(sentence(where, EXPECTED, _list_names(names), remedy))
    return fitting[0]


def choose_rows(names: Iterable[str], preferred: Iterable[str], where: str) -> str:
    """Return the first of the preferred names that the file has, else its only name.

    Raises:
        InputError: the file has several arrays, under none of these names.
    """
    names, preferred = list(names), list(preferred)
    known = conventional_names(names)
    for name in preferred:
        if name in known:
            return known[name]
    if len(names) != 1:
        expects = f"one of the arrays {', '.join(preferred)}, or a single array"
        raise InputError(sentence(where, expects, _list_names(names), "rename the array of rows"))
    return names[0]


def _list_names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "no arrays"


def flatten_labels(labels: np.ndarray) -> np.ndarray:
    """Return labels (1, m), which the files of the course have, as (m,), and whole floats of one column as integers."""
    labels = labels.reshape(-1) if labels.ndim == 2 and labels.shape[0] == 1 else labels
    return as_whole(labels) if labels.ndim == 1 or labels.shape[1:] == (1,) else labels
