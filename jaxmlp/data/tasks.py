"""Which task the labels ask for, and which classes they name.

    task         labels                                            targets
    binary       (m,) two distinct values, or one-hot (m, 2)       (m,) class ids 0, 1
    multiclass   (m,) more of them, or one-hot (m, C)              (m,) class ids 0..C-1
    multilabel   (m, k) of 0 and 1                                 (m, k) of 0 and 1
    regression   (m,) or (m, k) numbers                            (m, k) float64

A `Coding` is settled by the training labels and applied to every part, so that a class means the same id everywhere.
`task="auto"` decides thus. Text and booleans are classes; so are integers of at most 50 distinct values, and floats of
at most two, both whole. A matrix of 0 and 1 in integers or booleans is one-hot where every row has exactly one 1,
otherwise multi-label. All other numbers are regression.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, cast

import numpy as np

from jaxmlp.data.labels import listed, whole
from jaxmlp.errors import InputError, InputTypeError, sentence, unknown

Task = Literal["binary", "multiclass", "multilabel", "regression"]
TASKS = ("binary", "multiclass", "multilabel", "regression")
MAX_CLASSES = 50
"""As many distinct integers are still taken for classes when nobody says what they are."""


class Coding(NamedTuple):
    """How labels become targets: the task, its classes, and the form that the labels have.

    `form` is "values" (labels are members of `classes`), "ids" (they are 0..C-1), "one-hot", "flags" (0/1 matrix) or
    "numbers".
    """

    task: Task
    classes: tuple[Any, ...]
    form: Literal["values", "ids", "one-hot", "flags", "numbers"]


def settle(labels: np.ndarray, task: str, classes: Sequence[Any] | None, where: str) -> Coding:
    """The coding that the training labels ask for.

    Args:
        labels: what `as_labels` returned.
        task: one of `TASKS`, or "auto".
        classes: the names of the ids 0..C-1; None takes the distinct labels themselves.

    Raises:
        InputError: a task the labels do not fit, fewer than two classes, repeated class names.

    >>> settle(np.array(["cat", "dog", "cat"]), "auto", None, "the training part")
    Coding(task='binary', classes=('cat', 'dog'), form='values')
    >>> settle(np.array([[0, 1, 0], [1, 0, 0]]), "auto", None, "the training part")
    Coding(task='multiclass', classes=(0, 1, 2), form='one-hot')
    """
    if task != "auto" and task not in TASKS:
        raise unknown("task", task, ["auto", *TASKS])
    names = None if classes is None else _class_names(classes)
    if task == "auto":
        task = _guess(labels, names is not None)
    if task == "regression":
        return _numbers(labels, names, where)
    if task == "multilabel":
        return Coding("multilabel", _columns(labels, names, where), "flags")
    return _classification(labels, task, names, where)


def _guess(labels: np.ndarray, named: bool) -> str:
    kind = labels.dtype.kind
    if labels.ndim == 2:
        if kind == "f" and not named:
            return "regression"
        if kind != "U" and np.isin(labels, (0, 1)).all():
            return "classes" if _one_hot(labels) else "multilabel"
        return "classes" if named or kind == "U" else "regression"
    if named or kind in "bU":
        return "classes"
    distinct = np.unique(labels)
    few = MAX_CLASSES if kind in "iu" else 2
    return "classes" if len(distinct) <= few and (distinct == np.floor(distinct)).all() else "regression"


def _one_hot(labels: np.ndarray) -> bool:
    return bool((labels.sum(axis=1) == 1).all() and np.isin(labels, (0, 1)).all())


def _class_names(classes: Sequence[Any]) -> tuple[Any, ...]:
    names = tuple(name.item() if isinstance(name, np.generic) else name for name in classes)
    names = tuple(name.decode() if isinstance(name, bytes) else name for name in names)
    if len(names) < 2 or len(set(names)) < len(names):
        remedy = "give one name for each of the ids 0, 1, ..."
        raise InputError(sentence("classes", "two or more distinct names", list(names), remedy))
    return names


def _numbers(labels: np.ndarray, names: tuple[Any, ...] | None, where: str) -> Coding:
    if labels.dtype.kind == "U":
        got = repr(str(labels.ravel()[0]))
        raise InputTypeError(sentence(where, "numbers as regression targets", got, "take task 'auto' for text labels"))
    if names is not None:
        raise InputError(sentence("regression", "no classes", list(names), "leave classes out, or name another task"))
    return Coding("regression", (), "numbers")


def _columns(labels: np.ndarray, names: tuple[Any, ...] | None, where: str) -> tuple[Any, ...]:
    """One name per column of a 0/1 matrix."""
    if labels.ndim != 2:
        remedy = "one column per label; for one label in all take task 'binary'"
        raise InputError(sentence(where, "multi-label targets of shape (m, k)", labels.shape, remedy))
    k = labels.shape[1]
    if names is not None and len(names) != k:
        raise InputError(sentence("classes", f"one name for each of {k} columns", len(names), "give as many names"))
    return names or tuple(range(k))


def _classification(labels: np.ndarray, task: str, names: tuple[Any, ...] | None, where: str) -> Coding:
    if labels.ndim == 2:
        classes, form = _columns(labels, names, where), "one-hot"
    elif names is not None:
        classes, form = names, "ids"
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
