"""Which task the labels are for, and which classes they name.

    task         labels                                            targets
    binary       (m,) two distinct values, or one-hot (m, 2)       (m,) class ids 0, 1
    multiclass   (m,) more of them, or one-hot (m, C)              (m,) class ids 0..C-1
    multilabel   (m, k) of 0 and 1                                 (m, k) of 0 and 1
    regression   (m,) or (m, k) numbers                            (m, k) float64

The training labels determine a `Coding`, which is applied to every part: a class has the same id everywhere.
`task="auto"` decides by these rules. Text and booleans are classes. Integers of at most 50 distinct values are classes,
unless there are more than 10 of them and more than half as many as rows: 40 prices in 60 rows are numbers. Floats of at
most two distinct values, both whole, are classes. A matrix of 0 and 1 in which every row has exactly one 1 is one-hot,
also in floats (`np.eye(C)[y]`); any other matrix of 0 and 1 in integers or booleans is multi-label. All other numbers
are regression.

The classes of a trained model, `known`, are also those of new data, in the same order, even if some do not occur.
A label is compared with a class by value, or as text if only one of the two is text: "1" is 1.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, cast

import numpy as np

from jaxmlp.data.labels import as_class_values, decode_utf8, preview
from jaxmlp.errors import InputError, InputTypeError, sentence, unknown

Task = Literal["binary", "multiclass", "multilabel", "regression"]
TASKS = ("binary", "multiclass", "multilabel", "regression")
MAX_CLASSES = 50
"""Up to this many distinct integers are classes if the caller names no task."""
ALWAYS_CLASSES = 10
"""Up to this many distinct integers are classes even if hardly any of them repeats."""


class Coding(NamedTuple):
    """How labels become targets.

    Attributes:
        task: one of `TASKS`.
        classes: labels of the class ids, or of the columns of flags; () for regression.
        form: of the labels: "values" are members of `classes`, "known" too or as text, "ids" are 0..C-1, "one-hot" and
            "flags" are matrices of 0 and 1, "numbers" are regression targets.
    """

    task: Task
    classes: tuple[Any, ...]
    form: Literal["values", "known", "ids", "one-hot", "flags", "numbers"]


def find_coding(
    labels: np.ndarray, task: str, classes: Sequence[object] | None, where: str, known: Sequence[object] | None = None
) -> Coding:
    """Return the coding of the training labels.

    Args:
        labels: what `as_labels` returned.
        task: one of `TASKS`, or "auto".
        classes: names of the ids 0..C-1; the distinct labels themselves if None.
        known: the classes of a trained model, in its order; () is None. It is not used if `classes` names the ids or
            the columns.

    Raises:
        InputError: labels that do not fit the task, fewer than two class names, repeated ones.
        InputTypeError: classes that are not a sequence of text or of numbers.

    >>> find_coding(np.array(["cat", "dog", "cat"]), "auto", None, "the training part")
    Coding(task='binary', classes=('cat', 'dog'), form='values')
    >>> find_coding(np.array([[0, 1, 0], [1, 0, 0]]), "auto", None, "the training part")
    Coding(task='multiclass', classes=(0, 1, 2), form='one-hot')
    >>> find_coding(np.array(["cat"]), "auto", None, "the training part", known=["dog", "cat"])
    Coding(task='binary', classes=('dog', 'cat'), form='known')
    """
    if task != "auto" and task not in TASKS:
        raise unknown("task", task, ["auto", *TASKS])
    names = _class_names(classes, known)
    if task == "auto":
        task = guess_task(labels, names is not None)
    if task == "regression":
        return _regression_coding(labels, names, where)
    if task == "multilabel":
        return Coding("multilabel", _label_columns(labels, names, where), "flags")
    return _class_coding(labels, task, names, where)


class _ClassNames(NamedTuple):
    """Class labels from the caller, and the argument that holds them."""

    labels: tuple[Any, ...]
    argument: Literal["classes", "known_classes"]


_REMEDIES = {
    "classes": "give one name for each of the ids 0, 1, ...",
    "known_classes": "give the classes of the trained model, in its order",
}


def _class_names(classes: Sequence[object] | None, known: Sequence[object] | None) -> _ClassNames | None:
    known_labels = () if known is None else _plain_labels(known, "known_classes")
    if classes is not None:
        names = _ClassNames(_plain_labels(classes, "classes"), "classes")
    elif known_labels:
        names = _ClassNames(known_labels, "known_classes")
    else:
        return None
    if len(names.labels) < 2 or len(set(names.labels)) < len(names.labels):
        expects, remedy = "two or more distinct names", _REMEDIES[names.argument]
        raise InputError(sentence(names.argument, expects, list(names.labels), remedy))
    return names


def _plain_labels(labels: object, argument: str) -> tuple[Any, ...]:
    """Return class labels as text or numbers of Python, all of one type."""
    try:
        # a text is a sequence as well: "cat" would be the classes c, a and t
        names = None if isinstance(labels, str | bytes) else tuple(cast(Sequence[object], labels))
    except TypeError:
        names = None
    if names is None:
        raise InputTypeError(sentence(argument, "a sequence of names", repr(labels), _REMEDIES[argument]))
    # a list may mix np.int64 and int, which are one type here
    names = tuple(name.item() if isinstance(name, np.generic) else name for name in names)
    names = tuple(decode_utf8(name, argument) if isinstance(name, bytes) else name for name in names)
    types = sorted({type(name).__name__ for name in names})
    if len(types) > 1 or not all(isinstance(name, str | int | float) for name in names):
        remedy = "make them all text or all numbers"
        raise InputTypeError(sentence(argument, "text or numbers of one type", ", ".join(types), remedy))
    return names


def guess_task(labels: np.ndarray, has_names: bool) -> str:
    """Return "classes", "multilabel" or "regression" for labels without a stated task, by the rules above.

    >>> guess_task(np.array([0.5, 1.5, 2.5]), False), guess_task(np.array([0, 1, 1]), False)
    ('regression', 'classes')
    """
    if labels.ndim == 2:
        return _guess_matrix_task(labels, has_names)
    if has_names or labels.dtype.kind in "bU":
        return "classes"
    # class ids repeat, measured values hardly ever do
    distinct = np.unique(labels)
    # floats: 0.0 and 1.0 are classes, but 1.0, 2.0, 3.0 may be a rating or a count
    limit = min(MAX_CLASSES, max(ALWAYS_CLASSES, len(labels) // 2)) if labels.dtype.kind in "iu" else 2
    return "classes" if len(distinct) <= limit and (distinct == np.floor(distinct)).all() else "regression"


def _guess_matrix_task(labels: np.ndarray, has_names: bool) -> str:
    if labels.dtype.kind != "U" and np.isin(labels, (0, 1)).all():
        if (labels.sum(axis=1) == 1).all():
            return "classes"
        # flags in floats could as well be two regression targets that happen to be 0 and 1; names tell them apart
        return "regression" if labels.dtype.kind == "f" and not has_names else "multilabel"
    return "classes" if has_names or labels.dtype.kind == "U" else "regression"


def _regression_coding(labels: np.ndarray, names: _ClassNames | None, where: str) -> Coding:
    if labels.dtype.kind == "U":
        got = repr(str(labels.ravel()[0]))
        raise InputTypeError(sentence(where, "numbers as regression targets", got, "take task 'auto' for text labels"))
    if names is not None:
        remedy = f"leave {names.argument} out, or name another task"
        raise InputError(sentence("regression", f"no {names.argument}", list(names.labels), remedy))
    return Coding("regression", (), "numbers")


def _label_columns(labels: np.ndarray, names: _ClassNames | None, where: str) -> tuple[Any, ...]:
    """Return one name per column of a 0/1 matrix."""
    if labels.ndim != 2:
        remedy = "one column per label; for a single label take task 'binary'"
        raise InputError(sentence(where, "multi-label targets of shape (m, k)", labels.shape, remedy))
    k = labels.shape[1]
    if names is None:
        return tuple(range(k))
    if len(names.labels) != k:
        expects, got = f"one name for each of {k} columns", len(names.labels)
        raise InputError(sentence(names.argument, expects, got, "give as many names"))
    return names.labels


def _class_coding(labels: np.ndarray, task: str, names: _ClassNames | None, where: str) -> Coding:
    if labels.ndim == 2:
        classes, form = _label_columns(labels, names, where), "one-hot"
    elif names is not None:
        classes, form = names.labels, "ids" if names.argument == "classes" else "known"
    else:
        classes, form = tuple(np.unique(as_class_values(labels, where)).tolist()), "values"
    # a single class has an error of its own, `parts.check_two_classes`
    if task == "binary" and len(classes) > 2:
        remedy = "take task 'multiclass'"
        raise InputError(sentence("task 'binary'", "2 classes", f"{len(classes)} ({preview(classes)})", remedy))
    if task == "classes":
        task = "binary" if len(classes) <= 2 else "multiclass"
    return Coding(cast(Task, task), classes, form)
