"""`MLPClassifier`: scikit-learn's interface for two or more classes, or several labels at once."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import optax
from sklearn.base import ClassifierMixin
from sklearn.utils import column_or_1d
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels

from jaxmlp.data.labels import plain_value, preview
from jaxmlp.errors import InputError, sentence
from jaxmlp.estimators.base import BaseMLP, can_continue
from jaxmlp.estimators.documentation import documents_parameters
from jaxmlp.estimators.fit_tasks import with_callbacks
from jaxmlp.estimators.inputs import Arguments, Table, ValidationInput, check_pair, row_weights
from jaxmlp.estimators.settings import RandomState, Sizes
from jaxmlp.metrics.example_weights import class_weights
from jaxmlp.nn.activations import Activation
from jaxmlp.nn.costs import Cost
from jaxmlp.nn.initializers import Initializer
from jaxmlp.training.preparation import MeshLike


@documents_parameters
class MLPClassifier(ClassifierMixin, BaseMLP):
    """A multi-layer perceptron that classifies, with scikit-learn's interface.

    loss: "log_loss" is binary or categorical cross-entropy; "quadratic" is another.

    >>> import numpy as np
    >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), ["low", "low", "high", "high"]
    >>> classifier = MLPClassifier((8,), solver="lbfgs", random_state=0).fit(X, y)
    >>> classifier.predict([[-1.0], [4.0]]).tolist(), classifier.classes_.tolist()
    (['low', 'high'], ['high', 'low'])
    """

    def __init__(
        self,
        hidden_layer_sizes: Sizes = (100,),
        activation: str | Activation | Sequence[str | Activation] = "relu",
        *,
        solver: str | optax.GradientTransformation = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str | Callable[[int], float] = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: RandomState = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: int = 10,
        max_fun: int = 15000,
        class_weight: str | Mapping[Any, float] | None = None,
        loss: str | Cost = "log_loss",
        norm: str | None = None,
        initializer: str | Initializer = "auto",
        standardize: bool | str = "auto",
        l1: float = 0.0,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        label_smoothing: float = 0.0,
        input_noise: float = 0.0,
        mixup: float = 0.0,
        max_norm: float | None = None,
        weight_decay: float | None = None,
        clip_norm: float | None = None,
        ema_decay: float | None = None,
        n_members: int = 1,
        precision: str = "auto",
        device: object = None,
        mesh: MeshLike | None = None,
        preset: str | None = None,
    ) -> None:
        self._set(locals())

    @available_if(can_continue)
    @with_callbacks
    def partial_fit(self, X: object, y: object, sample_weight: object = None, classes: object = None) -> Self:
        """Train one epoch on these rows, and continue from the last call, with the state of the optimizer.

        Args:
          X, y, sample_weight: as for `fit`; y need not have every class, and may be flags (m, k) of several labels.
          classes: all classes of this and later calls; needed in the first call.

        Raises:
          InputError: as `fit`; when the first call has no classes, and for a class that is not among them.
        """
        return self._train(Arguments(X, y, sample_weight, incremental=True, classes=classes))

    def predict(self, X: object) -> np.ndarray:
        """Return the class of each row, (m,), or the flags of its labels, (m, k).

        The rule is a logit above 0, not a probability above 1/2, which may be rounded.
        """
        Z = self._outputs(X, logits=True)
        if self._task == "multilabel":
            return (Z > 0).astype(np.int64)
        return self.classes_[Z.argmax(axis=1) if self._task == "multiclass" else (Z[:, 0] > 0).astype(np.int64)]

    def predict_proba(self, X: object) -> np.ndarray:
        """Return probabilities: (m, C), a column for each of `classes_`; (m, k) for several labels."""
        A = self._outputs(X)
        return np.concatenate([1 - A, A], axis=1) if self._task == "binary" else A

    def predict_log_proba(self, X: object) -> np.ndarray:
        """Return the logarithms of the probabilities, from the logits: finite where a probability rounds to 0."""
        Z = self._outputs(X, logits=True)
        if self._task == "multiclass":
            Z = Z - Z.max(axis=1, keepdims=True)  # so that exp does not overflow
            return Z - np.log(np.exp(Z).sum(axis=1, keepdims=True))
        # log σ(z) = -log(1 + e⁻ᶻ), where σ(z) itself may round to 0
        log_p1, log_p0 = -np.logaddexp(0, -Z), -np.logaddexp(0, Z)
        return log_p1 if self._task == "multilabel" else np.concatenate([log_p0, log_p1], axis=1)

    # --- what `BaseMLP` requires --------------------------------------------------------------------------------------

    def _output(self) -> str:
        return "softmax" if self._task == "multiclass" else "sigmoid"

    def _width(self, targets: np.ndarray) -> int:
        if self._task == "multiclass":
            return len(self.classes_)
        return 1 if self._task == "binary" else targets.shape[1]

    def _check_table(
        self, X: object, y: object, sample_weight: object, *, reset: bool, incremental: bool, classes: object
    ) -> Table:
        rows, labels = check_pair(self, X, y, reset=reset)
        labels = _as_labels(labels)
        if reset:
            self._set_classes(labels, classes, incremental)
        elif (
            classes is not None
            and self._task != "multilabel"
            and not np.array_equal(unique_labels(classes), self.classes_)
        ):
            remedy = "leave them out after the first call"
            raise InputError(sentence("partial_fit", f"the classes {preview(list(self.classes_))}", classes, remedy))
        targets = self._encode(labels, "y")
        weights = row_weights(self, sample_weight, len(rows))
        weights = self._with_class_weight(targets, weights)
        if not incremental:
            # a weight of 0 removes a row, and with it perhaps the last one of a class
            weighted = targets if weights is None else targets[weights > 0]
            if not len(weighted):
                remedy = "change the weights, or leave them out"
                raise InputError(
                    sentence(type(self).__name__, "a row with a weight above 0", "weights of 0 only", remedy)
                )
            if self._task != "multilabel" and (weighted == weighted[0]).all():
                got = f"one class only, {plain_value(self.classes_[weighted[0]])!r}"
                got += "" if len(weighted) == len(targets) else ", among the rows with a weight above 0"
                remedy = "give rows of another class too"
                raise InputError(sentence(type(self).__name__, "rows of at least 2 classes", got, remedy))
        return Table(rows, targets, weights)

    def _set_classes(self, labels: np.ndarray, classes: object, incremental: bool) -> None:
        if labels.ndim == 2:
            self._task, self.classes_ = "multilabel", np.arange(labels.shape[1])
            return
        if incremental and classes is None:
            remedy = "give classes=np.unique(y) of all rows"
            raise InputError(sentence("the first call of partial_fit", "all classes", "none", remedy))
        self.classes_ = unique_labels(labels if classes is None else classes)
        self._task = "multiclass" if len(self.classes_) > 2 else "binary"

    def _encode(self, labels: np.ndarray, name: str) -> np.ndarray:
        """Return class ids (m,), or flags (m, k)."""
        is_multilabel = self._task == "multilabel"
        if (labels.ndim == 2) != is_multilabel or (is_multilabel and labels.shape[1] != len(self.classes_)):
            expects = (
                f"{name} with {len(self.classes_)} columns of labels" if is_multilabel else f"{name} of one column"
            )
            raise InputError(
                sentence(type(self).__name__, expects, labels.shape, "give the labels as in the first fit")
            )
        if is_multilabel:
            return labels.astype(np.int64)
        try:
            # classes_ are sorted; a label above all of them is placed behind the last, and found by the comparison
            ids = np.minimum(np.searchsorted(self.classes_, labels), len(self.classes_) - 1)
            unknown = np.asarray(self.classes_[ids] != labels)
        except TypeError:  # NumPy does not compare text with numbers
            ids, unknown = np.zeros(len(labels), np.int64), np.ones(len(labels), bool)
        if unknown.any():
            got = f"{plain_value(labels[unknown.argmax()])!r} in row {unknown.argmax()} of {name}"
            remedy = "drop these rows, or fit on every class"
            raise InputError(sentence(type(self).__name__, f"the classes {preview(list(self.classes_))}", got, remedy))
        return ids

    def _with_class_weight(self, targets: np.ndarray, weights: np.ndarray | None) -> np.ndarray | None:
        """Return the weights of the rows multiplied by those of their classes."""
        if self.class_weight is None:
            return weights
        if self._task == "multilabel":
            remedy = "give sample_weight instead"
            raise InputError(sentence("class_weight", "one class for each row", "several labels", remedy))
        if isinstance(self.class_weight, str) and self.class_weight == "balanced":
            # by sums of weights, not by counts, so that a row of weight 2 counts as two rows
            sums = np.bincount(targets, weights, len(self.classes_))
            # the sum of a class without weight is 0: 1 avoids the division, and none of its rows counts
            of_class = sums.sum() / (np.count_nonzero(sums) * np.where(sums > 0, sums, 1))
        else:
            of_class = _weights_of_classes(self.class_weight, self.classes_.tolist())
        return of_class[targets] if weights is None else of_class[targets] * weights

    def _check_validation(self, validation_input: ValidationInput) -> Table:
        rows, labels = check_pair(self, validation_input.X, validation_input.y, reset=False)
        weights = row_weights(self, validation_input.weights, len(rows), "sample_weight_val")
        return Table(rows, self._encode(_as_labels(labels), "y_val"), weights)

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags, which say that several labels are supported."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def _weights_of_classes(spec: Any, classes: list[Any]) -> np.ndarray:
    """Return the weight of each class; as in scikit-learn, further keys are allowed if every class has a weight.

    Raises:
      InputError: for keys that are not classes, and for weights that are not finite numbers ≥ 0 or all 0.
      InputTypeError: for anything but a dict.
    """
    # in a fold of a cross-validation a class may be absent, but have a weight
    is_complete = isinstance(spec, Mapping) and all(label in spec for label in classes)
    weights = {key: spec[key] for key in classes} if is_complete else spec
    unexpected = [key for key in weights if key not in classes] if isinstance(weights, Mapping) else []
    if unexpected:
        expects, remedy = f"the classes {preview(classes)} as keys", "name the classes by their labels"
        raise InputError(sentence("class_weight", expects, repr(unexpected[0]), remedy))
    return class_weights(np.arange(len(classes)), len(classes), weights, classes)


def _as_labels(y: Any) -> np.ndarray:
    """Return labels (m,), or flags (m, k) as a dense array.

    Raises:
      InputError: for several classes in each row.
      ValueError: for numbers that are not classes, with scikit-learn's text.
    """
    # the checks of scikit-learn expect its warning for y of shape (m, 1)
    if getattr(y, "ndim", 1) == 2 and y.shape[1] == 1:
        y = column_or_1d(y, warn=True)
    check_classification_targets(y)
    target_type = type_of_target(y)
    if target_type == "multiclass-multioutput":
        remedy = "fit an estimator for each column, with scikit-learn's MultiOutputClassifier, for example"
        raise InputError(sentence("MLPClassifier", "one class, or flags of labels, for each row", target_type, remedy))
    return y.toarray() if hasattr(y, "toarray") else np.asarray(y)  # flags may be sparse
