"""A data set: raw finite rows as the source has them, targets, and how rows become network input.

    file → Dataset (rows) → preprocessing (fitted on the training part) → batches

Rows stay rows here, (m, n), because gathering a mini-batch of them is contiguous; the network's columns are made inside
the compiled program, where the transposition costs nothing. Nothing is scaled in place: `train.rows` is what the file
holds, and so is what a saved model takes.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from jaxmlp.data.labels import as_labels, listed
from jaxmlp.data.preprocessing import Preprocessing
from jaxmlp.data.rows import ImageShape, as_rows, check_finite, check_image_shape, check_names, columns_of
from jaxmlp.data.split import split
from jaxmlp.data.targets import encode
from jaxmlp.data.tasks import Coding, Task, settle
from jaxmlp.errors import InputError, sentence


class Part(NamedTuple):
    """One part of a data set: rows (m, n); targets (m,) class ids, (m, k) 0/1 flags or (m, k) numbers."""

    rows: np.ndarray
    targets: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Training rows, and validation and test rows where there are any, with what they mean.

    Attributes:
        name: what to call it.
        train, validation, test: the parts; the last two may be None.
        task: "binary", "multiclass", "multilabel" or "regression".
        classes: the label of each class id (for multi-label, of each column), in its original type; () for regression.
        feature_names, target_names: names of the columns, () where the source has none.
        image_shape: (h, w) or (h, w, c) where a row is an image.
        preprocessing: from raw rows to network input.
        target_preprocessing: from raw regression targets to network targets; the identity for every other task.

    >>> data = Dataset.from_arrays([[0.0, 1.5], [2.0, 3.5], [4.0, 0.5]], ["cat", "dog", "cat"], name="pets")
    >>> data
    Dataset pets: 3 training rows, 2 features, binary, classes cat, dog
    >>> data.train.targets.tolist(), data.n_features, data.n_outputs
    ([0, 1, 0], 2, 1)
    """

    name: str
    train: Part
    validation: Part | None
    test: Part | None
    task: Task
    classes: tuple[Any, ...] = ()
    feature_names: tuple[str, ...] = ()
    target_names: tuple[str, ...] = ()
    image_shape: ImageShape | None = None
    preprocessing: Preprocessing = dataclasses.field(default_factory=Preprocessing)
    target_preprocessing: Preprocessing = dataclasses.field(default_factory=Preprocessing)

    @classmethod
    def from_arrays(
        cls,
        rows: Any,
        labels: Any,
        *,
        test_rows: Any = None,
        test_labels: Any = None,
        validation_rows: Any = None,
        validation_labels: Any = None,
        classes: Sequence[Any] | None = None,
        known_classes: Sequence[Any] | None = None,
        task: str = "auto",
        name: str = "arrays",
        feature_names: Sequence[str] = (),
        target_names: Sequence[str] = (),
        image_shape: Sequence[int] | None = None,
        standardize: bool = False,
        test_fraction: float | None = None,
        seed: int = 0,
    ) -> Self:
        """Check arrays and make them a data set.

        Args:
            rows: (m, n) real numbers, one example per row, or images (m, h, w[, c]). Images of bytes get /255.
            labels: (m,) or (m, 1) classes or numbers, (m, C) one-hot, (m, k) flags or numbers; see `data.tasks`.
            test_rows, test_labels, validation_rows, validation_labels: likewise, each pair together or not at all.
            classes: names for the class ids 0..C-1 that the labels then are.
            known_classes: the classes of a trained model, in its order, to evaluate it on new data; () is None. Labels
                are coded by them, one row or one class is enough, and a label outside them is an error. Where
                `classes` names the ids, those stay, and only the check that two classes occur is left out.
            task: "auto", "binary", "multiclass", "multilabel" or "regression".
            image_shape: the shape of an image where `rows` already is (m, h·w·c).
            standardize: fit mean and deviation of the training columns (and regression targets) at once.
            test_fraction: hold back this share as the test part, by class where there are classes; None or 0 for none.
            seed: which rows those are.

        Raises:
            InputError, InputTypeError: anything that could not be trained on, in one sentence that says where it is.
        """
        given = {
            "training": (rows, labels),
            "validation": (validation_rows, validation_labels),
            "test": (test_rows, test_labels),
        }
        arrays = {kind: _checked(*pair, f"the {kind} part") for kind, pair in given.items() if _present(kind, *pair)}
        train, train_labels, found_shape = arrays["training"]
        names = check_names(feature_names, train.shape[1])
        coding = settle(train_labels, task, classes, "the training part", known_classes)
        parts = {kind: _part(*array, arrays["training"], coding, names, kind) for kind, array in arrays.items()}
        if known_classes is None:
            check_observed(parts["training"], coding)
        if test_fraction:
            parts["training"], parts["test"] = _hold_back(parts, coding.task, test_fraction, seed)
        shape = check_image_shape(image_shape, found_shape, train.shape[1])
        pixels = shape is not None and train.dtype == np.uint8
        dataset = cls(
            name=name,
            train=parts["training"],
            validation=parts.get("validation"),
            test=parts.get("test"),
            task=coding.task,
            classes=coding.classes,
            feature_names=names,
            target_names=tuple(target_names),
            image_shape=shape,
            preprocessing=Preprocessing.images() if pixels else Preprocessing(),
        )
        return dataset.standardize() if standardize else dataset

    @property
    def n_features(self) -> int:
        """n_0, the width of a row."""
        return self.train.rows.shape[1]

    @property
    def n_outputs(self) -> int:
        """n_L: 1 for binary, C for multiclass, k for multi-label and regression."""
        if self.task == "multiclass":
            return len(self.classes)
        return 1 if self.task == "binary" else self.train.targets.shape[1]

    def standardize(self, *, targets: bool = True) -> Self:
        """The same rows with preprocessing fitted on the training part.

        A pixel that is constant in training is divided by 255, not by 1: it may well vary in the test.

        Args:
            targets: whether the targets of a regression are standardised too; counts and rates must not be.
        """
        constant = 255.0 if self.image_shape and self.train.rows.dtype == np.uint8 else 1.0
        regression = targets and self.task == "regression"
        return dataclasses.replace(
            self,
            preprocessing=Preprocessing.standardize(self.train.rows, constant),
            target_preprocessing=Preprocessing.standardize(self.train.targets) if regression else Preprocessing(),
        )

    def hold_back(self, fraction: float, seed: int = 0) -> Self:
        """The same data set with a share of the training rows as its validation part, by class where there are classes.

        Columns that were standardised are standardised anew, on the rows that are left.

        Args:
            fraction: the share, between 0 and 1.
            seed: which rows those are.

        Raises:
            InputError: a fraction out of range, too few rows, or a data set that has a validation part.

        >>> data = Dataset.from_arrays([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1]).hold_back(0.5)
        >>> len(data.train.rows), len(data.validation.rows)
        (2, 2)
        """
        self._check_whole()
        rows, targets = self.train
        ids = targets if self.task in ("binary", "multiclass") else None
        kept, held = split(len(rows), fraction, seed, ids)
        return self._divided(Part(rows[kept], targets[kept]), Part(rows[held], targets[held]))

    def _check_whole(self) -> None:
        """Raise for a data set that has a validation part."""
        if self.validation is not None:
            raise InputError(sentence("hold_back", "a data set without validation part", "one with", "use it as it is"))

    def _divided(self, train: Part, validation: Part) -> Self:
        """The data set with these parts, and the preprocessing that was fitted fitted anew."""
        smaller = dataclasses.replace(self, train=train, validation=validation)
        if self.preprocessing.shift is None:
            return smaller
        return smaller.standardize(targets=self.target_preprocessing.shift is not None)

    def select(self, names: Sequence[str]) -> Self:
        """The same data set with these feature columns only, in this order; preprocessing follows.

        A model's evaluation needs it where a table has the model's columns in another order, or others besides.

        Args:
            names: members of `feature_names`, each once. The shape of an image stays only where nothing changes.

        Raises:
            InputError: a name that is missing or doubled, or a data set without feature names.

        >>> data = Dataset.from_arrays([[1.0, 2.0], [3.0, 4.0]], [0, 1], feature_names=["size", "age"])
        >>> data.select(["age"]).train.rows.tolist()
        [[2.0], [4.0]]
        """
        columns = columns_of(names, self.feature_names, self.name)
        if columns == list(range(self.n_features)):
            return self
        chosen = {
            kind: part._replace(rows=np.take(part.rows, columns, axis=1))
            for kind in ("train", "validation", "test")
            if (part := getattr(self, kind))
        }
        preprocessing = self.preprocessing.select(columns)
        return dataclasses.replace(
            self, **chosen, feature_names=tuple(names), image_shape=None, preprocessing=preprocessing
        )

    def __repr__(self) -> str:
        counts = [f"{len(self.train.rows)} training"]
        counts += [f"{len(part.rows)} {kind}" for kind in ("validation", "test") if (part := getattr(self, kind))]
        head, last = ", ".join(counts[:-1]), counts[-1]
        image = f" (images {'x'.join(map(str, self.image_shape))})" if self.image_shape else ""
        classes = f", classes {listed(self.classes)}" if self.classes else ""
        targets = f" of {listed(self.target_names)}" if self.target_names else ""
        rows = f"{head} and {last} rows" if head else f"{last} rows"
        what = f"{self.n_features} features{image}, {self.task}{targets}{classes}"
        return f"{type(self).__name__} {self.name}: {rows}, {what}"


_Arrays = tuple[np.ndarray, np.ndarray, ImageShape | None]


def _present(kind: str, rows: Any, labels: Any) -> bool:
    if kind != "training" and (rows is None) != (labels is None):
        got = "rows alone" if labels is None else "labels alone"
        raise InputError(sentence(f"the {kind} part", "rows and labels together", got, "give both or neither"))
    return rows is not None or kind == "training"


def _checked(rows: Any, labels: Any, where: str) -> _Arrays:
    matrix, image_shape = as_rows(rows, where)
    array = as_labels(labels, where)
    (m, n), k = matrix.shape, array.shape
    flipped = m != n == k[-1]
    if array.ndim == 2 and k[0] == 1 and m != 1:
        remedy = "one example per row here: pass X.T and Y.T" if flipped else "pass labels.reshape(-1)"
        raise InputError(sentence(where, f"labels of shape ({m},) or ({m}, 1)", k, remedy))
    if k[0] != m:
        remedy = "one example per row here: pass X.T" if flipped else "do both come from the same source?"
        raise InputError(sentence(where, f"one label for each of its {m} rows", f"{k[0]} labels", remedy))
    return matrix, array, image_shape


def _part(
    rows: np.ndarray,
    labels: np.ndarray,
    image_shape: ImageShape | None,
    training: _Arrays,
    coding: Coding,
    names: tuple[str, ...],
    kind: str,
) -> Part:
    where = f"the {kind} part"
    if rows.shape[1] != training[0].shape[1]:
        expects = f"rows with {training[0].shape[1]} columns as in training"
        raise InputError(sentence(where, expects, rows.shape, "give every part the same columns"))
    if image_shape != training[2]:
        expects, got = f"images of the training shape {training[2]}", str(image_shape)
        raise InputError(sentence(where, expects, got, "give every part images of one shape"))
    check_finite(rows, where, names)
    if labels.ndim != training[1].ndim or labels.shape[1:] != training[1].shape[1:]:
        expects = f"labels of shape {('m', *training[1].shape[1:])} as in training".replace("'", "")
        raise InputError(sentence(where, expects, labels.shape, "give every part the same kind of labels"))
    return Part(rows, encode(labels, coding, where))


def check_observed(train: Part, coding: Coding) -> None:
    """Refuse training rows of one class: declared classes are no examples, at least two must occur."""
    if coding.task in ("binary", "multiclass") and (train.targets == train.targets[0]).all():
        got, remedy = f"only {coding.classes[train.targets[0]]}", "a classifier needs examples of two or more"
        raise InputError(sentence("the training part", "at least 2 classes", got, remedy))


def _hold_back(parts: dict[str, Part], task: Task, fraction: float, seed: int) -> tuple[Part, Part]:
    if "test" in parts:
        remedy = "leave one of them out"
        raise InputError(sentence("from_arrays", "test_rows or test_fraction", "both", remedy))
    rows, targets = parts["training"]
    ids = targets if task in ("binary", "multiclass") else None
    train, test = split(len(rows), fraction, seed, ids)
    return Part(rows[train], targets[train]), Part(rows[test], targets[test])
