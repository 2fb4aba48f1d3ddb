"""A data set: finite rows as the source holds them, targets, and how rows become network input.

    file → Dataset (rows) → preprocessing (fitted on the training part) → batches

Rows stay (m, n) here, because a mini-batch of them is gathered from contiguous memory; the compiled program transposes
them to the columns of the network at no cost. Nothing is scaled in place: `train.rows` is what the file holds, and a
saved model takes the same rows.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from jaxmlp.data.parts import ArrayPair, Meaning, check_pair, check_two_classes, make_part, pair_of
from jaxmlp.data.parts import Part as Part
from jaxmlp.data.preprocessing import Preprocessing
from jaxmlp.data.row_weights import check_row_weights, take_weights
from jaxmlp.data.rows import (
    UNNAMED,
    Columns,
    ImageShape,
    check_image_shape,
    check_names,
    find_columns,
)
from jaxmlp.data.split import split
from jaxmlp.data.tables import TableContent, content_of_frame, rows_of_frame
from jaxmlp.data.tasks import ALWAYS_CLASSES, Task, find_coding
from jaxmlp.errors import MAX_NAME_LETTERS, InputError, InputTypeError, quoted, sentence
from jaxmlp.tabular.encoder import TableEncoder
from jaxmlp.tabular.options import FIELDS, TableOptions
from jaxmlp.tabular.roles import ColumnRole
from jaxmlp.tabular.table import is_frame

_MAX_NAMES = 10  # in a description


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Training rows, with validation and test rows if there are any, and what they mean.

    Attributes:
        name: for titles, folders and error texts.
        train, validation, test: the parts; the last two may be None.
        task: "binary", "multiclass", "multilabel" or "regression".
        classes: the label of each class id (for multi-label, of each column), in its original type; () for regression.
        feature_names, target_names: names of the columns, () if the source has none.
        image_shape: (h, w) or (h, w, c) if a row is an image.
        preprocessing: from raw rows to network input.
        target_preprocessing: from raw regression targets to network targets; the identity for every other task.
        roles: of the columns of a table, those that are left out as well; () for arrays.
        notes: what was decided about a table, as short texts.
        weights: (m,), of the rows of the source, as they were before any split; None for equal ones.
        origins: {part: (m,) the number that each of its rows had before any split}; {} before a split.

    >>> data = Dataset.from_arrays([[0.0, 1.5], [2.0, 3.5], [4.0, 0.5]], ["cat", "dog", "cat"], name="pets")
    >>> data
    Dataset pets: binary
      rows: 3 training
      features: 2
      classes: 2 (cat, dog)
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
    preprocessing: Preprocessing | TableEncoder = dataclasses.field(default_factory=Preprocessing)
    target_preprocessing: Preprocessing = dataclasses.field(default_factory=Preprocessing)
    roles: tuple[ColumnRole, ...] = ()
    notes: tuple[str, ...] = ()
    weights: np.ndarray | None = None
    origins: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        encoder = self.preprocessing if isinstance(self.preprocessing, TableEncoder) else None
        meaning = Meaning(self.task, self.classes, self.feature_names, self.target_names, encoder)
        meaning.check_texts()
        for key, part in self._parts().items():
            object.__setattr__(self, key, part.with_meaning(meaning))  # the record is frozen

    @classmethod
    def from_arrays(
        cls,
        rows: ArrayLike,
        labels: ArrayLike,
        *,
        test: ArrayPair | None = None,
        validation: ArrayPair | None = None,
        task: str = "auto",
        classes: Sequence[object] | None = None,
        known_classes: Sequence[object] | None = None,
        columns: Columns = UNNAMED,
        standardize: bool = False,
        name: str = "arrays",
        **shorthand: Any,
    ) -> Self:
        """Check arrays and return them as a data set; `split_test` and `split_validation` then hold rows out.

        Args:
            rows: (m, n) real numbers, one example per row, or images (m, h, w[, c]); bytes of images get /255. A frame
                of pandas or polars, or a dict {name: cells}, keeps its names, and may hold text, dates and gaps.
            labels: (m,) or (m, 1) classes or numbers, (m, C) one-hot, (m, k) flags or numbers; see `data.tasks`.
            test, validation: a pair (rows, labels) in the same form, or None.
            task: "auto", "binary", "multiclass", "multilabel" or "regression".
            classes: names of the class ids 0..C-1; the labels are then these ids.
            known_classes: the classes of a trained model, in its order, to evaluate it on new data; () is None. Labels
                are coded by them, one row or one class is enough, and any other label is an error. If `classes` names
                the ids, the coding stays as it is, and only the check for two classes is omitted.
            columns: names of the columns, and the image shape of rows that are flat (m, h·w·c).
            standardize: whether to standardize the columns, as the method `standardize` does. A frame that does not
                consist of plain numbers is scaled by its encoder in any case (`numbers`, "standard" by default).
            name: for titles, folders and error texts.
            shorthand: feature_names, target_names and image_shape in place of `columns`; test_rows and test_labels in
                place of `test`, and the same for validation; test_fraction and seed for `split_test`; weights (m,) of
                the rows, or their column in a frame, which follow every split; for a frame also the other fields of
                `TableOptions`.

        Raises:
            InputError, InputTypeError: arrays that cannot be trained on, in one sentence that says where.

        >>> Dataset.from_arrays([[28.0], [35.0]], [1.5, 2.5], columns=Columns(["age"], ["price"])).target_names
        ('price',)
        """
        fraction, seed = shorthand.pop("test_fraction", None), shorthand.pop("seed", 0)
        columns = columns._replace(**{key: shorthand.pop(key) for key in Columns._fields if key in shorthand})
        validation = pair_of("validation", validation, shorthand)
        test = pair_of("test", test, shorthand)
        content: TableContent | None = shorthand.pop("content", None)  # of a table that `load` has read
        weights = shorthand.pop("weights", None)
        # a frame brings the names of its columns, and may have an encoder for those that are not numbers
        if content is None and is_frame(rows):
            options = TableOptions(**{key: shorthand.pop(key) for key in FIELDS if key in shorthand})
            rows, weights = take_weights(rows, weights, options.ignores)
            content = content_of_frame(rows, options)
            test, validation = (pair and (rows_of_frame(pair[0], content), pair[1]) for pair in (test, validation))
            rows, columns = content.rows, content.columns(columns, labels)
        if shorthand:
            remedy = "see help(jaxmlp.Dataset.from_arrays)"
            raise InputTypeError(sentence("from_arrays", "its own arguments", next(iter(shorthand)), remedy))
        pairs = {"training": (rows, labels), "validation": validation, "test": test}
        arrays = {key: check_pair(pair, f"the {key} part") for key, pair in pairs.items() if pair is not None}
        # the training part says what width, labels and images the other parts must have
        training = arrays["training"]
        n = training.rows.shape[1]
        names = check_names(columns.feature_names, n)
        coding = find_coding(training.labels, task, classes, "the training part", known_classes)
        parts = {key: make_part(part, training, coding, names, f"the {key} part") for key, part in arrays.items()}
        if known_classes is None:
            check_two_classes(parts["training"], coding, () if content is None else content.roles)
        shape = check_image_shape(columns.image_shape, training.image_shape, n)
        # bytes without an image shape may be counts or codes, which a division by 255 would make tiny
        is_pixels = shape is not None and training.rows.dtype == np.uint8
        dataset = cls(
            name=name,
            train=parts["training"],
            validation=parts.get("validation"),
            test=parts.get("test"),
            task=coding.task,
            classes=coding.classes,
            feature_names=names,
            target_names=tuple(columns.target_names),
            image_shape=shape,
            preprocessing=Preprocessing.images() if is_pixels else Preprocessing(),
            weights=None if weights is None else check_row_weights(weights, len(training.rows)).astype(np.float64),
        )
        if content is not None:
            dataset = dataclasses.replace(dataset, roles=content.roles, notes=content.notes)
            if content.encoder is not None:
                dataset = dataclasses.replace(dataset, preprocessing=content.encoder)
        dataset = dataset.split_test(fraction, seed) if fraction else dataset
        return dataset.standardize() if standardize else dataset

    @property
    def n_features(self) -> int:
        """The width of a row."""
        return self.train.rows.shape[1]

    @property
    def n_inputs(self) -> int:
        """n_0, the width of the network's input: that of a row, unless the columns of a table are encoded."""
        return self.preprocessing.n_inputs(self.n_features)

    def part_weights(self, part: str) -> np.ndarray | None:
        """Return the weights of the rows of a part ("train", "validation" or "test"); None for equal ones."""
        if self.weights is None or not self.origins:
            return self.weights if part == "train" else None
        return self.weights[self.origins[part]] if part in self.origins else None

    @property
    def n_outputs(self) -> int:
        """n_L: 1 for binary, C for multiclass, k for multi-label and regression."""
        if self.task == "multiclass":
            return len(self.classes)
        return 1 if self.task == "binary" else self.train.targets.shape[1]

    def standardize(self, *, targets: bool = True) -> Self:
        """Return the same rows with preprocessing fitted on the training part.

        Args:
            targets: whether to standardize the targets of a regression too; those of counts and rates must not be.
        """
        constant = constant_scale(self.train.rows.dtype, self.image_shape)
        return self._with_preprocessing(self.preprocessing.fit_to(self.train.rows, constant), targets)

    def _with_preprocessing(self, preprocessing: Preprocessing | TableEncoder, targets: bool) -> Self:
        fits_targets = targets and self.task == "regression"
        target_preprocessing = Preprocessing.standardize(self.train.targets) if fits_targets else Preprocessing()
        data = dataclasses.replace(self, preprocessing=preprocessing, target_preprocessing=target_preprocessing)
        return data.bound_targets() if self.target_preprocessing.is_bounded else data  # by its training rows

    def bound_targets(self) -> Self:
        """Return the same data set, whose model predicts no value outside the range of the training targets.

        A data set of classes is returned unchanged. The bounds change predictions and the metrics of the validation
        part, but not the training.

        >>> data = Dataset.from_arrays([[0.0], [1.0]], [2.5, 3.5]).bound_targets()
        >>> data.target_preprocessing.inverse([[9.0]]).tolist()
        [[3.5]]
        """
        if self.task != "regression":
            return self
        return dataclasses.replace(self, target_preprocessing=self.target_preprocessing.bounded(self.train.targets))

    def split_validation(self, fraction: float, seed: int = 0) -> Self:
        """Return the same data set with a fraction of its training rows as the validation part.

        Rows are drawn from each class in proportion. Standardized columns are standardized again, by the rows that
        remain for training.

        Args:
            fraction: of the training rows, between 0 and 1.
            seed: which rows are drawn.

        Raises:
            InputError: a fraction out of range, too few rows, or a data set that has a validation part.

        >>> data = Dataset.from_arrays([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1]).split_validation(0.5)
        >>> len(data.train.rows), len(data.validation.rows)
        (2, 2)
        """
        return self._split_off("validation", fraction, seed)

    def hold_back(self, fraction: float, seed: int = 0) -> Self:
        """Return `split_validation(fraction, seed)`, of which this is the former name."""
        return self.split_validation(fraction, seed)

    def split_test(self, fraction: float, seed: int = 0) -> Self:
        """Return the same data set with a fraction of its training rows as the test part; see `split_validation`."""
        return self._split_off("test", fraction, seed)

    def _split_off(self, key: Literal["validation", "test"], fraction: float, seed: int) -> Self:
        if getattr(self, key) is not None:
            expects = f"a data set without {key} part"
            raise InputError(sentence(f"split_{key}", expects, "one with", "use it as it is"))
        train, held_out, numbers = self._divide_rows(fraction, seed)
        origins = self.origins
        if numbers is not None:
            # a second split goes on from the first: the numbers stay those of the rows of the source
            before = origins.get("train", np.arange(len(self.train.rows)))
            origins = {**origins, "train": before[numbers[0]], key: before[numbers[1]]}
        divided = dataclasses.replace(self, **{"train": train, key: held_out, "origins": origins})
        # statistics of rows that are now held out must not reach the training
        if not self.preprocessing.is_fitted:
            return divided.bound_targets() if self.target_preprocessing.is_bounded else divided
        return divided.standardize(targets=self.target_preprocessing.shift is not None)

    def _divide_rows(self, fraction: float, seed: int) -> tuple[Part, Part, tuple[np.ndarray, np.ndarray] | None]:
        """Return the rows that remain, those held out, and the numbers of both; a stream has no such numbers."""
        rows, targets = self.train
        ids = targets if self.task in ("binary", "multiclass") else None  # other tasks have no proportions
        remaining, held_out = numbers = split(len(rows), fraction, seed, ids)
        return Part(rows[remaining], targets[remaining]), Part(rows[held_out], targets[held_out]), numbers

    def select(self, names: Sequence[str]) -> Self:
        """Return the same data set with these feature columns only, in this order, and their preprocessing.

        A model does not need it to be evaluated: it finds its columns in a part by name.

        Args:
            names: members of `feature_names`, each once. The image shape is lost, unless all columns stay as they are.

        Raises:
            InputError: a name that is absent or repeated, or a data set without feature names.

        >>> data = Dataset.from_arrays([[1.0, 2.0], [3.0, 4.0]], [0, 1], columns=Columns(["size", "age"]))
        >>> data.select(["age"]).train.rows.tolist()
        [[2.0], [4.0]]
        """
        positions = find_columns(names, self.feature_names, self.name)
        if positions == list(range(self.n_features)):
            return self
        # np.take copies into C order; rows[:, positions] would leave columns apart, and gathering a batch slow
        selected = {
            key: part._replace(rows=np.take(part.rows, positions, axis=1)) for key, part in self._parts().items()
        }
        preprocessing = self.preprocessing.select(positions)
        return dataclasses.replace(
            self, **selected, feature_names=tuple(names), image_shape=None, preprocessing=preprocessing
        )

    def _parts(self) -> dict[str, Part]:
        return {key: part for key in ("train", "validation", "test") if (part := getattr(self, key)) is not None}

    def __repr__(self) -> str:
        rows = ", ".join(f"{len(part.rows)} {key}" for key, part in self._parts().items())
        image = f", images {'x'.join(map(str, self.image_shape))}" if self.image_shape else ""
        inputs = f", {self.n_inputs} inputs" if self.n_inputs != self.n_features else ""
        lines = [
            f"{type(self).__name__} {self.name}: {self.task}",
            f"rows: {rows.replace('train', 'training')}",
            f"features: {_count_and_names(self.n_features, self.feature_names)}{image}{inputs}",
        ]
        if self.task == "regression":
            lines.append(f"targets: {_count_and_names(self.n_outputs, self.target_names)}")
            if (few := _few_whole_numbers(self.train.targets)) is not None:
                lines.append(f"the targets are the numbers {few}: with task 'multiclass' they are classes")
        else:
            lines.append(f"classes: {_count_and_names(len(self.classes), self.classes)}")
        return "\n  ".join(lines)


def _few_whole_numbers(targets: np.ndarray) -> str | None:
    """Return the distinct targets of a single column if they may be classes in a file of floats, else None."""
    if targets.shape[1] != 1:
        return None
    distinct = np.unique(targets)
    is_few = len(distinct) <= ALWAYS_CLASSES and len(distinct) < len(targets) and (distinct == np.floor(distinct)).all()
    return ", ".join(f"{value:g}" for value in distinct) if is_few else None


def _count_and_names(count: int, names: Sequence[object]) -> str:
    first = ", ".join(quoted(name, MAX_NAME_LETTERS) for name in names[:_MAX_NAMES])
    return f"{count} ({first}{', ...' if len(names) > _MAX_NAMES else ''})" if names else str(count)


def constant_scale(dtype: np.dtype, image_shape: ImageShape | None) -> float:
    """Return what a column that is constant in training is divided by: a pixel by 255, for it may vary in the test."""
    return 255.0 if image_shape and dtype == np.uint8 else 1.0
