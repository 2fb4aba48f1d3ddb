"""The parts of a data set, checked: rows and labels of equal length, of one width and one kind in every part."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from jaxmlp.data.labels import as_labels
from jaxmlp.data.rows import ImageShape, as_rows, check_finite, check_unit, without_grey_axis
from jaxmlp.data.table_targets import label_column
from jaxmlp.data.targets import encode
from jaxmlp.data.tasks import Coding
from jaxmlp.errors import InputError, InputTypeError, check_texts, sentence
from jaxmlp.tabular.encoder import TableEncoder
from jaxmlp.tabular.roles import TARGET, ColumnRole
from jaxmlp.tabular.table import TableRows

ArrayPair = tuple[ArrayLike | None, ArrayLike | None]


class Meaning(NamedTuple):
    """What the arrays of a part mean, by which a model finds its own columns and classes in them.

    Attributes:
        task, classes, feature_names, target_names: those of the data set.
        encoder: the encoder whose codes stand in the rows; None for plain numbers.
    """

    task: str
    classes: tuple[Any, ...] = ()
    feature_names: tuple[str, ...] = ()
    target_names: tuple[str, ...] = ()
    encoder: TableEncoder | None = None

    def check_texts(self) -> None:
        """Raise for a name that a model file cannot hold."""
        for field in ("classes", "feature_names", "target_names"):
            check_texts(field, getattr(self, field))
        for column in self.encoder.columns if self.encoder is not None else ():
            check_texts(f"column {column.name!r}", column.words, nul=True)  # a file has these as JSON


class _Arrays(NamedTuple):
    rows: np.ndarray
    targets: np.ndarray


class Part(_Arrays):
    """One part of a data set: rows (m, n); targets (m,) class ids, (m, k) 0/1 flags or (m, k) numbers.

    Attributes:
        meaning: what they mean; None for a part that was made of two arrays, whose columns and class ids are taken as
            those of the model.
    """

    # an attribute, and not a third item: a part remains a pair, and the parts of older pickles can be read
    meaning: Meaning | None = None

    def with_meaning(self, meaning: Meaning) -> "Part":
        """Return a part of the same arrays that knows what they mean."""
        part = Part(self.rows, self.targets)
        part.meaning = meaning
        return part


class CheckedArrays(NamedTuple):
    """Rows (m, n) and labels (m,) or (m, k) of one part, and the shape of its images."""

    rows: np.ndarray
    labels: np.ndarray
    image_shape: ImageShape | None


def pair_of(part: str, pair: ArrayPair | None, shorthand: dict[str, Any]) -> ArrayPair | None:
    """Return the arrays of a part, given as a pair or as PART_rows and PART_labels; None for no part."""
    rows, labels = shorthand.pop(f"{part}_rows", None), shorthand.pop(f"{part}_labels", None)
    return pair if rows is None and labels is None else (rows, labels)


def check_pair(pair: ArrayPair, where: str) -> CheckedArrays:
    """Return rows and labels as arrays of equal length, or raise."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise InputTypeError(sentence(where, "a pair (rows, labels)", type(pair).__name__, "give both"))
    rows, labels = pair
    if rows is None or labels is None:
        got = "only rows" if labels is None else "only labels"
        raise InputError(sentence(where, "rows and labels together", got, "give both or neither"))
    matrix, image_shape = as_rows(rows, where)
    array = as_labels(labels, where)
    (m, n), k = matrix.shape, array.shape
    # textbooks write X as (n, m), so a matrix with its axes swapped is the most frequent mistake
    is_transposed = m != n == k[-1]
    if array.ndim == 2 and k[0] == 1 and m != 1:
        remedy = "one example per row here: pass X.T and Y.T" if is_transposed else "pass labels.reshape(-1)"
        raise InputError(sentence(where, f"labels of shape ({m},) or ({m}, 1)", k, remedy))
    if k[0] != m:
        remedy = "one example per row here: pass X.T" if is_transposed else "do both come from the same source?"
        raise InputError(sentence(where, f"one label for each of its {m} rows", f"{k[0]} labels", remedy))
    return CheckedArrays(matrix, array, image_shape)


def make_part(
    arrays: CheckedArrays, training: CheckedArrays, coding: Coding, names: tuple[str, ...], where: str
) -> Part:
    """Return a part of the training part's width and kind of labels, with its labels coded, or raise."""
    rows, labels, image_shape = arrays
    n, label_shape = training.rows.shape[1], training.labels.shape[1:]
    if rows.shape[1] != n:
        expects = f"rows with {n} columns as in training"
        raise InputError(sentence(where, expects, rows.shape, "give every part the same columns"))
    if without_grey_axis(image_shape or ()) != without_grey_axis(training.image_shape or ()):
        expects, got = f"images of the training shape {training.image_shape}", str(image_shape)
        raise InputError(sentence(where, expects, got, "give every part images of one shape"))
    if not isinstance(rows, TableRows):  # the gaps of a table have been counted by its encoder
        check_finite(rows, where, names)
    if training.image_shape is not None and rows is not training.rows:
        check_unit(rows, (float(training.rows.min()), float(training.rows.max())), where)
    if labels.shape[1:] != label_shape:
        expects = f"labels of shape {('m', *label_shape)} as in training".replace("'", "")
        raise InputError(sentence(where, expects, labels.shape, "give every part the same kind of labels"))
    return Part(rows, encode(labels, coding, where))


def check_two_classes(train: Part, coding: Coding, roles: Sequence[ColumnRole] = ()) -> None:
    """Raise for training rows of a single class: a class must occur, it is not enough to name it.

    Args:
        train: the training part.
        coding: of its labels.
        roles: of the columns of a table: the user may have meant another column than its only target.
    """
    if coding.task not in ("binary", "multiclass") or (train.targets != train.targets[0]).any():
        return
    got, remedy = f"only {coding.classes[train.targets[0]]}", "a classifier needs examples of two or more"
    targets = [role.name for role in roles if role.role == TARGET]
    if len(targets) == 1:
        got = f"{got} in column {targets[0]!r}"
        suggestion = label_column([role.name for role in roles if role.role != TARGET])
        remedy = f"name the target column (--target {suggestion}, say; the last column is taken without it)"
    raise InputError(sentence("the training part", "at least 2 classes", got, remedy))
