"""The names under which files keep their arrays, and what a reader hands on.

    the course    train_set_x, train_set_y, test_set_x, test_set_y, list_classes
    Keras         x_train, y_train, x_test, y_test
    plain         x, X or rows, with y, Y, labels or targets

Rows are (m, n) or images (m, h, w[, c]); labels (m,), (m, k), or the row (1, m) that the course's files have. Both test
arrays may be missing; `list_classes` may accompany any layout.

The first two layouts are those of images. Flat rows of bytes in them are intensities 0..255, which get /255, as soon as
one training value is above 1; bytes of 0 and 1 alone are features as they stand, and so is every flat row under a plain
name.
"""

import itertools
from collections.abc import Container, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxmlp.data.labels import decoded
from jaxmlp.errors import InputError, sentence


class Arrays(NamedTuple):
    """What a file holds, unchecked: `Dataset.from_arrays` is the judge.

    `pixels` says that rows of bytes are intensities even where they are flat and no shape shows it.
    """

    rows: np.ndarray
    labels: np.ndarray
    test_rows: np.ndarray | None = None
    test_labels: np.ndarray | None = None
    classes: tuple[Any, ...] | None = None
    feature_names: tuple[str, ...] = ()
    target_names: tuple[str, ...] = ()
    pixels: bool = False


class Layout(NamedTuple):
    """The names of the arrays; those of a test part may be missing."""

    rows: str
    labels: str
    test_rows: str | None = None
    test_labels: str | None = None


COURSE = Layout("train_set_x", "train_set_y", "test_set_x", "test_set_y")
KERAS = Layout("x_train", "y_train", "x_test", "y_test")
PLAIN = tuple(itertools.starmap(Layout, itertools.product(("x", "X", "rows"), ("y", "Y", "labels", "targets"))))
LAYOUTS = (COURSE, KERAS, *PLAIN)
CLASSES = "list_classes"
NAMES = frozenset(name for layout in LAYOUTS for name in layout if name) | {CLASSES}
EXPECTED = "train_set_x and train_set_y, x_train and y_train, or one of x, X, rows with one of y, Y, labels, targets"


def arrange(arrays: Mapping[str, np.ndarray], keys: Iterable[str], where: str) -> Arrays:
    """The arrays by their roles.

    Args:
        arrays: those whose name is in `NAMES`.
        keys: every name found, for the error text.

    Raises:
        InputError: no layout fits, or more than one does; text that is no UTF-8.

    >>> arrange({"x": np.eye(2), "y": np.array([[0, 1]])}, ["x", "y"], "a.npz").labels
    array([0, 1])
    """
    layout = find(arrays, keys, where)
    rows = arrays[layout.rows]
    labels, test_labels, classes = (
        decoded(arrays[name], f"{name} of {where}") if name and name in arrays else None
        for name in (layout.labels, layout.test_labels, CLASSES)
    )
    assert labels is not None
    return Arrays(
        rows=rows,
        labels=flat(labels),
        test_rows=arrays.get(layout.test_rows) if layout.test_rows else None,
        test_labels=None if test_labels is None else flat(test_labels),
        classes=None if classes is None else tuple(classes.ravel().tolist()),
        pixels=layout in (COURSE, KERAS) and rows.dtype == np.uint8 and bool((rows > 1).any()),
    )


def find(names: Container[str], keys: Iterable[str], where: str) -> Layout:
    """The one layout whose rows and labels are among the names.

    Raises:
        InputError: no layout fits, or more than one does.

    >>> find({"X", "y", "other"}, ["X", "y", "other"], "a.h5").labels
    'y'
    """
    fitting = [layout for layout in LAYOUTS if layout.rows in names and layout.labels in names]
    if len(fitting) != 1:
        remedy = "keep one pair of rows and labels" if fitting else "rename the arrays"
        raise InputError(sentence(where, EXPECTED, described(keys), remedy))
    return fitting[0]


def choose(keys: Iterable[str], preferred: Iterable[str], where: str) -> str:
    """The first of the preferred names that is there, else the only name.

    Raises:
        InputError: none of them is there, and several others are.
    """
    keys, preferred = list(keys), list(preferred)
    for name in preferred:
        if name in keys:
            return name
    if len(keys) != 1:
        expects = f"one of the arrays {', '.join(preferred)}, or a single array"
        raise InputError(sentence(where, expects, described(keys), "rename the array of rows"))
    return keys[0]


def described(keys: Iterable[str]) -> str:
    """The keys found, for an error text."""
    return ", ".join(sorted(keys)) or "no arrays"


def flat(labels: np.ndarray) -> np.ndarray:
    """Labels (m,) for the row (1, m) that the course's files have; others as they are."""
    return labels.reshape(-1) if labels.ndim == 2 and labels.shape[0] == 1 else labels
