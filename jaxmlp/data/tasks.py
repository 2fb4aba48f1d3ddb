"""Which task the labels ask for, and which classes they name.

    task         labels                                            targets
    binary       (m,) two distinct values, or one-hot (m, 2)       (m,) class ids 0, 1
    multiclass   (m,) more of them, or one-hot (m, C)              (m,) class ids 0..C-1
    multilabel   (m, k) of 0 and 1                                 (m, k) of 0 and 1
    regression   (m,) or (m, k) numbers                            (m, k) float64

A `Coding` is settled by the training labels and applied to every part, so that a class means the same id everywhere.
`task="auto"` decides thus. Text and booleans are classes; so are integers of at most 50 distinct values, and floats of
at most two, both whole. But more than 10 distinct integers that are also more than half of the rows are numbers: 40
prices in 60 rows. A matrix of 0 and 1 in which every row has exactly one 1 is one-hot, in floats too (`np.eye(C)[y]`);
any other matrix of 0 and 1 in integers or booleans is multi-label. All other numbers are regression.

The classes of a trained model, `known`, are those of new data as well, in the model's order, whether all of them occur
or not. A label meets its class as the source gives it, and as text where one is text and the other a number: "1" is 1.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, cast

import numpy as np

from jaxmlp.data.labels import listed, utf8, whole
from jaxmlp.errors import InputError, InputTypeError, sentence, unknown

Task = Literal["binary", "multiclass", "multilabel", "regression"]
TASKS = ("binary", "multiclass", "multilabel", "regression")
MAX_CLASSES = 50
"""As many distinct integers are still taken for classes when nobody says what they are."""
SURE_CLASSES = 10
"""As many are so even where hardly any of them repeats."""


class Coding(NamedTuple):
    """How labels become targets: the task, its classes, and the form that the labels have.

    `form` is "values" (labels are members of `classes`), "known" (so too, or their text is), "ids" (they are 0..C-1),
    "one-hot", "flags" (0/1 matrix) or "numbers".
    """

    task: Task
    classes: tuple[Any, ...]
    form: Literal["values", "known", "ids", "one-hot", "flags", "numbers"]


def settle(
    labels: np.ndarray, task: str, classes: Sequence[Any] | None, where: str, known: Sequence[Any] | None = None
) -> Coding:
    """The coding that the training labels ask for.

    Args:
        labels: what `as_labels` returned.
        task: one of `TASKS`, or "auto".
        classes: the names of the ids 0..C-1; None takes the distinct labels themselves.
        known: the labels that a trained model knows, in its order; () is None. Where the labels are ids or columns
            with names of their own, `classes`, those stay.

    Raises:
        InputError: a task the labels do not fit, fewer than two classes, repeated class names.
        InputTypeError: classes that are no sequence of text or of numbers.

    >>> settle(np.array(["cat", "dog", "cat"]), "auto", None, "the training part")
    Coding(task='binary', classes=('cat', 'dog'), form='values')
    >>> settle(np.array([[0, 1, 0], [1, 0, 0]]), "auto", None, "the training part")
    Coding(task='multiclass', classes=(0, 1, 2), form='one-hot')
    >>> settle(np.array(["cat"]), "auto", None, "the training part", known=["dog", "cat"])
    Coding(task='binary', classes=('dog', 'cat'), form='known')
    """
    if task != "auto" and task not in TASKS:
        raise unknown("task", task, ["auto", *TASKS])
    names = _names(classes, known)
    if task == "auto":
        task = _guess(labels, names is not None)
    if task == "regression":
        return _numbers(labels, names, where)
    if task == "multilabel":
        return Coding("multilabel", _columns(labels, names, where), "flags")
    return _classification(labels, task, names, where)


class _Names(NamedTuple):
    """Class labels that were given, and the argument that gave them."""

    labels: tuple[Any, ...]
    argument: Literal["classes", "known_classes"]


_REMEDIES = {
    "classes": "give one name for each of the ids 0, 1, ...",
    "known_classes": "give the classes of the trained model, in its order",
}


def _names(classes: Any, known: Any) -> _Names | None:
    theirs = () if known is None else _plain_labels(known, "known_classes")
    if classes is not None:
        names = _Names(_plain_labels(classes, "classes"), "classes")
    elif theirs:
        names = _Names(theirs, "known_classes")
    else:
        return None
    if len(names.labels) < 2 or len(set(names.labels)) < len(names.labels):
        expects, remedy = "two or more distinct names", _REMEDIES[names.argument]
        raise InputError(sentence(names.argument, expects, list(names.labels), remedy))
    return names


def _plain_labels(given: Any, argument: str) -> tuple[Any, ...]:
    """As Python's own text or numbers, all of one type."""
    try:
        names = None if isinstance(given, str | bytes) else tuple(given)
    except TypeError:
        names = None
    if names is None:
        raise InputTypeError(sentence(argument, "a sequence of names", repr(given), _REMEDIES[argument]))
    names = tuple(name.item() if isinstance(name, np.generic) else name for name in names)
    names = tuple(utf8(name, argument) if isinstance(name, bytes) else name for name in names)
    kinds = sorted({type(name).__name__ for name in names})
    if len(kinds) > 1 or not all(isinstance(name, str | int | float) for name in names):
        remedy = "make them all text or all numbers"
        raise InputTypeError(sentence(argument, "text or numbers of one type", ", ".join(kinds), remedy))
    return names


def _guess(labels: np.ndarray, named: bool) -> str:
    kind = labels.dtype.kind
    if labels.ndim == 2:
        return _guess_of_matrix(labels, named)
    if named or kind in "bU":
        return "classes"
    distinct = np.unique(labels)
    few = min(MAX_CLASSES, max(SURE_CLASSES, len(labels) // 2)) if kind in "iu" else 2
    return "classes" if len(distinct) <= few and (distinct == np.floor(distinct)).all() else "regression"


def _guess_of_matrix(labels: np.ndarray, named: bool) -> str:
    if labels.dtype.kind != "U" and np.isin(labels, (0, 1)).all():
        if (labels.sum(axis=1) == 1).all():
            return "classes"
        return "regression" if labels.dtype.kind == "f" and not named else "multilabel"
    return "classes" if named or labels.dtype.kind == "U" else "regression"


def _numbers(labels: np.ndarray, names: _Names | None, where: str) -> Coding:
    if labels.dtype.kind == "U":
        got = repr(str(labels.ravel()[0]))
        raise InputTypeError(sentence(where, "numbers as regression targets", got, "take task 'auto' for text labels"))
    if names is not None:
        remedy = f"leave {names.argument} out, or name another task"
        raise InputError(sentence("regression", f"no {names.argument}", list(names.labels), remedy))
    return Coding("regression", (), "numbers")


def _columns(labels: np.ndarray, names: _Names | None, where: str) -> tuple[Any, ...]:
    """One name per column of a 0/1 matrix."""
    if labels.ndim != 2:
        remedy = "one column per label; for one label in all take task 'binary'"
        raise InputError(sentence(where, "multi-label targets of shape (m, k)", labels.shape, remedy))
    k = labels.shape[1]
    if names is None:
        return tuple(range(k))
    if len(names.labels) != k:
        expects, got = f"one name for each of {k} columns", len(names.labels)
        raise InputError(sentence(names.argument, expects, got, "give as many names"))
    return names.labels


def _classification(labels: np.ndarray, task: str, names: _Names | None, where: str) -> Coding:
    if labels.ndim == 2:
        classes, form = _columns(labels, names, where), "one-hot"
    elif names is not None:
        classes, form = names.labels, "ids" if names.argument == "classes" else "known"
    else:
        classes, form = tuple(np.unique(whole(labels, where)).tolist()), "values"
    if len(classes) < 2:
        got, remedy = f"only {listed(classes)}", "a classifier needs examples of two or more"
        raise InputError(sentence(where, "at least 2 classes", got, remedy))
    if task == "binary" and len(classes) != 2:
        remedy = "take task 'multiclass'"
        raise InputError(sentence("task 'binary'", "2 classes", f"{len(classes)} ({listed(classes)})", remedy))
    if task == "classes":
        task = "binary" if len(classes) == 2 else "multiclass"
    return Coding(cast(Task, task), classes, form)
