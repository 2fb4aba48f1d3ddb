"""A model: a network with its parameters and all that turns raw rows into answers.

raw rows → preprocessing → columns → forward → class labels, probabilities or values
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, Self

import jax
import numpy as np

from jaxmlp import host, model_file
from jaxmlp.data.dataset import Dataset, Part
from jaxmlp.data.file_rows import FileRows
from jaxmlp.data.preprocessing import Preprocessing
from jaxmlp.data.rows import check_finite
from jaxmlp.data.tasks import TASKS
from jaxmlp.errors import InputError, InputTypeError, sentence, unknown
from jaxmlp.nn import costs, propagation
from jaxmlp.nn.activations import Activation
from jaxmlp.nn.network import Network, Params, check_params
from jaxmlp.nn.objective import Objective
from jaxmlp.training.batches import target_rows
from jaxmlp.training.cases import check_weights
from jaxmlp.training.metrics import decide
from jaxmlp.training.scores import evaluate_scores

CHUNK = 8192  # rows predicted at once, so that memory stays bounded however many there are
PROBABILITIES = ("sigmoid", "softmax")


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network that takes raw rows, as the data file has them, and answers in the data's own terms.

    Attributes:
      net, params: the network and its parameters, as NumPy arrays.
      task: "binary", "multiclass", "multilabel" or "regression".
      cost: the name of the cost it was trained with.
      classes: class labels by class id; empty for regression.
      preprocessing, target_preprocessing: from raw rows and targets to the network's.
      feature_names, target_names, image_shape: what the columns are, where it is known.
      row_dtype: of the raw rows: "uint8" for images of bytes.

    >>> from jaxmlp import fit, network_for
    >>> data = Dataset.from_arrays(np.array([[0.0], [1.0], [2.0], [3.0]]), ["low", "low", "high", "high"])
    >>> net = network_for(data, hidden=(8,), activation="tanh")
    >>> model = Model.of(net, fit(net, data, epochs=300).params, data)
    >>> model.predict(np.array([[-1.0], [4.0]])).tolist(), model.evaluate(data.train)["accuracy"]
    (['low', 'high'], 1.0)
    """

    net: Network
    params: Params
    task: str
    cost: str
    classes: tuple[Any, ...] = ()
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    target_preprocessing: Preprocessing = field(default_factory=Preprocessing)
    feature_names: tuple[str, ...] = ()
    target_names: tuple[str, ...] = ()
    image_shape: tuple[int, ...] | None = None
    row_dtype: str = "float64"

    def __post_init__(self) -> None:
        check_params(self.params, self.net)
        object.__setattr__(self, "params", jax.tree.map(np.asarray, self.params))
        self._check_rest()

    def _check_rest(self) -> None:
        if self.net.norm == "batch":
            remedy = "take result.net and result.params of fit"
            raise InputError(sentence("the model", "a network without norm='batch', which fit folds", "one", remedy))
        if self.task not in TASKS:
            raise unknown("task", self.task, TASKS)
        costs.find(self.cost, self.net.activations[-1])
        for l, layer in enumerate(self.params, start=1):
            if not all(np.isfinite(leaf.astype(np.float64)).all() for leaf in layer.values()):
                remedy = "it comes from a training that diverged"
                raise InputError(sentence("the model", "finite parameters", f"NaN or inf in layer {l}", remedy))
        n0, nL = self.net.sizes[0], self.net.sizes[-1]
        if self.preprocessing.n_columns not in (None, n0):
            remedy = "fit it on rows like the network's inputs"
            expects = f"preprocessing of {n0} columns"
            raise InputError(sentence("the model", expects, self.preprocessing.n_columns, remedy))
        C = 0 if self.task == "regression" else max(nL, 2) if self.task != "multilabel" else nL
        if len(self.classes) != C:
            expects = f"{C} classes for its output of {nL}"
            raise InputError(sentence("the model", expects, len(self.classes), "give one label per class"))

    @classmethod
    def of(cls, net: Network, params: Params, data: Dataset, objective: Objective | None = None) -> Self:
        """The model of parameters that were trained on a data set, whose classes and preprocessing it takes over.

        Args:
          net, params: the trained network.
          data: what it was trained on.
          objective: with what; the cost that follows from the output if None.
        """
        found = costs.find(objective.cost if objective else None, net.activations[-1])
        return cls(
            net,
            params,
            data.task,
            found.name,
            data.classes,
            data.preprocessing,
            data.target_preprocessing,
            data.feature_names,
            data.target_names,
            data.image_shape,
            str(data.train.rows.dtype),
        )

    # --- answers ------------------------------------------------------------------------------------------------------

    def outputs(self, rows: Any) -> np.ndarray:
        """A_L as rows, (m, n_L), for raw rows (m, n0) or images (m, h, w[, c]).

        Raises:
          InputError: when the rows are not of the width that the model was trained on.
        """
        return self._run(propagation.forward, host.forward, rows)

    def _run(self, program: Callable[..., Any], on_host: Callable[..., np.ndarray], rows: Any) -> np.ndarray:
        """`forward` or `logits` on raw rows, as rows; of those in a file, stretch by stretch."""
        if isinstance(rows, FileRows):
            return np.concatenate([self._run(program, on_host, piece) for _, piece in rows.stretches(CHUNK)])
        rows = self._checked(rows)
        if not len(rows):
            return np.zeros((0, self.net.sizes[-1]), np.float32)
        if host.suits(self.params, self.net, len(rows)):
            return on_host(self.params, self._ready(rows).T, self.net).T
        return np.concatenate([self._chunk(program, chunk) for chunk in _chunks(rows)])

    def _ready(self, rows: np.ndarray) -> np.ndarray:
        return self.preprocessing(rows, self.params[0]["W"].dtype)

    def _checked(self, rows: Any) -> np.ndarray:
        """Rows (m, n0), images flattened, or an error."""
        rows = np.asarray(rows)
        if self.image_shape and rows.shape[1:] == self.image_shape:
            return rows.reshape(len(rows), -1)
        if rows.ndim != 2 or rows.shape[1] != self.net.sizes[0]:
            remedy = "give the columns that it was trained on"
            if rows.ndim == 1:
                remedy = "pass rows.reshape(1, -1) for one example"
            elif rows.shape[:1] == self.net.sizes[:1]:
                remedy = "one example per row here: pass rows.T"
            expects = f"rows of shape (m, {self.net.sizes[0]})"
            raise InputError(sentence("the model", expects, rows.shape, remedy))
        check_finite(rows, "the model", self.feature_names)
        return rows

    def _chunk(self, program: Callable[..., Any], rows: np.ndarray) -> np.ndarray:
        # rows are filled up to a power of two, so that any number of them meets a handful of compiled programs
        X = self._ready(rows)
        m = len(X)
        padded = np.zeros((1 << (m - 1).bit_length(), X.shape[1]), X.dtype)
        padded[:m] = X
        return _numpy(np.asarray(program(self.params, padded.T, self.net)).T[:m])

    def predict_proba(self, rows: Any) -> np.ndarray:
        """Probabilities: (m, C), a column per class (two for a single sigmoid); (m, k) for several labels.

        Raises:
          InputError: for regression, and for an output that is neither sigmoid nor softmax.
        """
        output = self.net.activations[-1].name
        if self.task == "regression" or output not in PROBABILITIES:
            got = f"task {self.task!r} and output {output!r}"
            expects = "a classifier with output 'sigmoid' or 'softmax'"
            raise InputError(sentence("predict_proba", expects, got, "use predict"))
        return self._probabilities(self.outputs(rows))

    def _probabilities(self, A: np.ndarray) -> np.ndarray:
        """A column per class, or per label, for the outputs of a classifier with sigmoid or softmax."""
        if self.task == "multilabel":
            return A
        if A.shape[1] == 1:
            return np.concatenate([1 - A, A], axis=1)
        if self.net.activations[-1].name == "sigmoid":
            return A / A.sum(axis=1, keepdims=True)  # one sigmoid per class, made to sum to 1
        return A

    def predict(self, rows: Any, *, threshold: float = 0.5) -> np.ndarray:
        """Answers: class labels (m,); for several labels 0 and 1, (m, k); for regression values, (m,) or (m, k).

        Args:
          rows: raw rows, (m, n0) or images (m, h, w[, c]).
          threshold: the output above which a single sigmoid says "second class", or a label is present.
        """
        self.check_threshold(threshold)
        if self.task == "regression":
            values = self.target_preprocessing.inverse(self.outputs(rows))
            return values[:, 0] if values.shape[1] == 1 else values
        Z = self._run(propagation.logits, host.logits, rows)
        answers = np.asarray(decide(Z.T, self.net, self.task, float(threshold)))
        return answers.T if self.task == "multilabel" else np.asarray(self.classes)[answers[0]]

    def check_threshold(self, threshold: float) -> None:
        """Raise unless it is a number from 0 to 1, and single outputs say yes or no if it is not the usual one."""
        if not (isinstance(threshold, Real) and 0 <= float(threshold) <= 1):
            raise InputError(sentence("threshold", "a number from 0 to 1", repr(threshold), "leave it at 0.5"))
        single = self.task == "multilabel" or (self.task == "binary" and self.net.sizes[-1] == 1)
        if threshold != 0.5 and not single:
            got = f"task {self.task!r} with outputs {self.net.sizes[-1]}"
            raise InputError(sentence("threshold", "single sigmoids that it decides", got, "leave it out"))

    def evaluate(self, part: Part, metrics: str | Iterable[str] | None = None, weights: Any = None) -> dict[str, Any]:
        """Cost (without penalties) and metrics on raw rows with their targets.

        Args:
          part: rows and targets; rows that stay in their file are read by and by.
          metrics: a name or several of `jaxmlp.training.scores.SCORES`; every one that is defined for the task if None.
          weights: (m,) numbers ≥ 0, by which the rows count; all alike if None.

        Returns:
          {"cost": …, "accuracy": …, "f1": …, …}; for regression {"cost": …, "r2": …, "mae": …, "rmse": …}. None for a
          metric that is undefined on these rows, as AUC is where only one class occurs.

        Raises:
          InputError: rows, targets or weights that do not fit, an unknown metric, or a named one that is undefined.
        """
        if not isinstance(part, Part):
            got, remedy = type(part).__name__, "give data.test, say"
            raise InputTypeError(sentence("evaluate", "a part of a data set", got, remedy))
        rows = part.rows if isinstance(part.rows, FileRows) else self._checked(part.rows)
        if not len(rows):
            remedy = "the mean over no examples is not defined"
            raise InputError(sentence("evaluate", "at least one row", rows.shape, remedy))
        self._check_ids(part.targets)
        weights = None if weights is None else check_weights(weights, len(rows))
        Z = _numpy(self._run(propagation.logits, host.logits, rows)).T
        answers = None
        if self.task != "regression":
            answers = np.asarray(decide(Z, self.net, self.task))
            answers = answers.T if self.task == "multilabel" else answers[0]
        outputs = self._measurable(host.output(Z, self.net).T)
        return {
            "cost": self._cost(Z, part.targets, weights),
            **evaluate_scores(self.task, part.targets, outputs, weights, metrics, answers=answers),
        }

    def _cost(self, Z: np.ndarray, targets: np.ndarray, weights: np.ndarray | None) -> float:
        found = costs.find(self.cost, self.net.activations[-1])
        Y = target_rows(targets, self.task, self.target_preprocessing, self.net, found, Z.dtype)
        return host.cost(Z, Y.T, self.net, found, weights)

    def _measurable(self, A: np.ndarray) -> np.ndarray | None:
        """Outputs (m, n_L) as the metrics take them; None where they are no probabilities or have overflowed."""
        A = _numpy(A)
        if self.task == "regression":
            A = self.target_preprocessing.inverse(A)
        elif self.net.activations[-1].name not in PROBABILITIES:
            return None
        else:
            with np.errstate(invalid="ignore"):  # one sigmoid per class, all of them rounded to 0
                A = self._probabilities(A)
        return A if np.isfinite(A).all() else None

    def _check_ids(self, targets: np.ndarray) -> None:
        C = len(self.classes)
        if self.task in ("binary", "multiclass") and not np.isin(targets, np.arange(C)).all():
            odd = targets[~np.isin(targets, np.arange(C))][0]
            raise InputError(
                sentence("evaluate", f"class ids from 0 to {C - 1}", odd, "are these the model's classes?")
            )

    # --- the file -----------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to one HDF5 file; an existing file is replaced in one step, never half written.

        Raises:
          MissingFileError: when the folder does not exist.
        """
        model_file.write(path, self)

    @classmethod
    def load(cls, path: str | os.PathLike[str], activations: Iterable[Activation] = ()) -> Self:
        """The model in a file that `save` wrote; `jaxmlp.load_model` is this.

        Args:
          path: the file, or a run folder that holds it as model.h5.
          activations: the records of activations of your own that the model uses, found by name.

        Raises:
          MissingFileError: when there is no such file.
          InputError: when the file is damaged, is no model, was written by a newer jaxmlp, or does not fit together.
        """
        fields = model_file.read(path, activations)
        try:
            return cls(**fields)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None


load_model = Model.load


def _numpy(A: np.ndarray) -> np.ndarray:
    return A if A.dtype.kind == "f" else A.astype(np.float32)  # NumPy itself has no bfloat16


def _chunks(rows: np.ndarray) -> Iterator[np.ndarray]:
    for i in range(0, len(rows), CHUNK):
        yield rows[i : i + CHUNK]
