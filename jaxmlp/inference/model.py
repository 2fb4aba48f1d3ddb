"""A model: a network with its parameters, and everything that turns raw rows into predictions.

raw rows → preprocessing → columns → forward → class labels, probabilities or values
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, Self

import jax
import numpy as np
from jax import Array
from numpy.typing import ArrayLike

from jaxmlp.data.dataset import Dataset, Part
from jaxmlp.data.known_columns import KnownColumns
from jaxmlp.data.parts import Meaning
from jaxmlp.data.preprocessing import Preprocessing
from jaxmlp.data.rows import Columns
from jaxmlp.data.streaming.file_rows import FileRows
from jaxmlp.data.tasks import TASKS
from jaxmlp.errors import InputError, check_type, sentence, unknown
from jaxmlp.fork import is_forked, refuse_after_fork
from jaxmlp.inference import model_file, numpy_cost, numpy_forward
from jaxmlp.inference.compiled_forward import run_compiled, without_bfloat16
from jaxmlp.inference.description import names_line, network_line, preprocessing_line
from jaxmlp.inference.matching import match_part
from jaxmlp.inference.new_rows import NewRows, check_new_rows, range_of_images
from jaxmlp.metrics.decisions import PROBABILITY_OUTPUTS, predict_labels
from jaxmlp.metrics.definitions import compute_metrics
from jaxmlp.metrics.predictions import check_example_weights
from jaxmlp.nn import costs, forward
from jaxmlp.nn.activations import Activation
from jaxmlp.nn.checks import check_network, check_params
from jaxmlp.nn.network import Network, Params
from jaxmlp.nn.objective import Objective
from jaxmlp.tabular.encoder import TableEncoder
from jaxmlp.training.batches import target_rows

ROWS_PER_CALL = 4096
"""Rows predicted in one call of the compiled program, so that memory stays bounded for any number of rows."""


@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """A trained network that takes raw rows, as the data file holds them, and predicts class labels or raw values.

    Attributes:
      net, params: the network and its parameters, as NumPy arrays.
      task: "binary", "multiclass", "multilabel" or "regression".
      cost: the name of the cost it was trained with.
      classes: class labels by class id; empty for regression.
      preprocessing, target_preprocessing: the functions from raw rows and raw targets to those of the network.
      feature_names, target_names, image_shape: the names of the columns and the shape of an image, if known.
      row_dtype: the dtype of the raw rows: "uint8" for images of bytes.
      row_range: the lowest and highest value of the training rows, if they are images.

    >>> from jaxmlp import fit, network_for
    >>> data = Dataset.from_arrays(np.array([[0.0], [1.0], [2.0], [3.0]]), ["low", "low", "high", "high"])
    >>> net = network_for(data, hidden=(8,), activation="tanh")
    >>> model = Model.of(net, fit(net, data, epochs=300).params, data)
    >>> model.predict(np.array([[-1.0], [4.0]])).tolist(), model.evaluate(data.train)["accuracy"]
    (['low', 'high'], 1.0)
    >>> model
    Model of 25 parameters (float32)
      network: sizes 1-8-1, hidden tanh, output sigmoid
      task: binary, cost binary_cross_entropy
      classes: 'high', 'low'
      preprocessing: none
    """

    net: Network
    params: Params
    task: str
    cost: str
    classes: tuple[object, ...] = ()
    preprocessing: Preprocessing | TableEncoder = field(default_factory=Preprocessing)
    target_preprocessing: Preprocessing = field(default_factory=Preprocessing)
    feature_names: tuple[str, ...] = ()
    target_names: tuple[str, ...] = ()
    image_shape: tuple[int, ...] | None = None
    row_dtype: str = "float64"
    row_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        check_params(self.params, self.net)
        Meaning(self.task, self.classes, self.feature_names, self.target_names).check_texts()
        # `numpy_forward` needs NumPy arrays: it computes small predictions, and all predictions after a fork
        object.__setattr__(self, "params", jax.tree.map(np.asarray, self.params))
        if self.net.norm == "batch":
            expects, remedy = "a network without norm='batch'", "take result.net, in which fit has folded it"
            raise InputError(sentence("the model", expects, "one with it", remedy))
        if self.task not in TASKS:
            raise unknown("task", self.task, TASKS)
        costs.find(self.cost, self.net.activations[-1])
        for l, layer in enumerate(self.params, start=1):
            if not all(np.isfinite(leaf.astype(np.float64)).all() for leaf in layer.values()):
                remedy = "it comes from a training that diverged"
                raise InputError(sentence("the model", "finite parameters", f"NaN or inf in layer {l}", remedy))
        n0, nL = self.net.sizes[0], self.net.sizes[-1]
        n_inputs = self.preprocessing.n_inputs(self.preprocessing.n_columns or n0)
        if n_inputs != n0:
            remedy = "fit it on rows with as many columns as the network has inputs"
            raise InputError(sentence("the model", f"preprocessing of {n0} columns", n_inputs, remedy))
        # a binary task has two classes, also with a single output
        C = 0 if self.task == "regression" else max(nL, 2) if self.task != "multilabel" else nL
        if len(self.classes) != C:
            expects = f"{C} classes for its output of {nL}"
            raise InputError(sentence("the model", expects, len(self.classes), "give one label per class"))

    def __repr__(self) -> str:
        facts = {
            "network": network_line(self.net),
            "task": f"{self.task}, cost {self.cost}",
            "classes": names_line(self.classes),
            "features": names_line(self.feature_names),
            "targets": names_line(self.target_names),
            "images": " × ".join(map(str, self.image_shape or ())),
            "preprocessing": preprocessing_line(self.preprocessing),
        }
        if self.task == "regression":
            facts["target preprocessing"] = preprocessing_line(self.target_preprocessing, "targets")
        title = f"Model of {self.net.n_parameters:,} parameters ({self.params[0]['W'].dtype})"
        return "\n  ".join([title, *(f"{name}: {text}" for name, text in facts.items() if text)])

    @classmethod
    def of(cls, net: Network, params: Params, data: Dataset, objective: Objective | None = None) -> Self:
        """Return the model of trained parameters, with the classes and the preprocessing of their data set.

        Args:
          net, params: the trained network and its parameters.
          data: the data set of the training.
          objective: the objective of the training; if None, the default cost of the output.

        Raises:
          InputTypeError: when one of them is something else.
        """
        check_network(net)
        check_type("Model.of", data, Dataset, "the data set of the training", "write Model.of(net, params, data)")
        cost = costs.find(objective.cost if objective else None, net.activations[-1])
        return cls(
            net,
            params,
            data.task,
            cost.name,
            data.classes,
            data.preprocessing,
            data.target_preprocessing,
            data.feature_names,
            data.target_names,
            data.image_shape,
            str(data.train.rows.dtype),
            range_of_images(data),
        )

    @property
    def n_features(self) -> int:
        """The number of columns of the raw rows."""
        return self.preprocessing.n_columns or self.net.sizes[0]

    @property
    def columns(self) -> Columns:
        """Names of features and targets, and the image shape."""
        return Columns(self.feature_names, self.target_names, self.image_shape)

    @property
    def known_columns(self) -> KnownColumns:
        """The columns, or the image shape, in which `load` and `load_rows` read new data for the model."""
        if isinstance(self.preprocessing, TableEncoder):
            return KnownColumns(self.preprocessing.names, self.target_names, self.preprocessing)
        # a missing cell gets the mean of its column in training, which standardised is 0
        shift = self.preprocessing.shift
        fill = None if shift is None or shift.ndim == 0 or self.image_shape else shift
        return KnownColumns(self.feature_names, self.target_names, fill=fill, image_shape=self.image_shape)

    # --- prediction ---------------------------------------------------------------------------------------------------

    def outputs(self, rows: NewRows) -> np.ndarray:
        """Return A_L as rows, (m, n_L), for raw rows (m, n0) or images (m, h, w[, c]), or for a frame.

        The columns of a frame of pandas or polars, or of a dict {name: cells}, are found by name, in any order.

        Raises:
          InputError: when the rows do not have the width that the model was trained on.
        """
        return self._run(forward.forward, numpy_forward.forward, rows)

    def logits(self, rows: NewRows) -> np.ndarray:
        """Return Z_L as rows, (m, n_L); errors are those of `outputs`."""
        return self._run(forward.logits, numpy_forward.logits, rows)

    def _run(self, compiled: Callable[..., Array], in_numpy: Callable[..., np.ndarray], rows: NewRows) -> np.ndarray:
        """Return the result of `forward` or `logits` for raw rows, as rows; rows in a file are read block by block."""
        if isinstance(rows, FileRows):
            blocks = rows.iter_blocks(ROWS_PER_CALL)
            return np.concatenate([self._run(compiled, in_numpy, block) for _, block in blocks])
        rows = check_new_rows(rows, self)
        if not len(rows):
            return np.zeros((0, self.net.sizes[-1]), np.float32)
        # a small product takes less time than the call of a compiled program, and in a forked process JAX may hang
        if numpy_forward.is_supported(self.params, self.net, len(rows), always=is_forked()):
            return in_numpy(self.params, self._preprocess(rows).T, self.net).T
        starts = range(0, len(rows), ROWS_PER_CALL)
        refuse_after_fork("predict")
        blocks = (self._preprocess(rows[i : i + ROWS_PER_CALL]) for i in starts)
        return run_compiled(compiled, self.params, blocks, self.net)

    def _preprocess(self, rows: np.ndarray) -> np.ndarray:
        return self.preprocessing(rows, self.params[0]["W"].dtype)

    @property
    def has_probabilities(self) -> bool:
        """Whether the outputs are probabilities: a classifier with output sigmoid or softmax."""
        return self.task != "regression" and self.net.activations[-1].name in PROBABILITY_OUTPUTS

    def predict_proba(self, rows: NewRows) -> np.ndarray:
        """Return probabilities: (m, C), one column per class, also for a single sigmoid; (m, k) for several labels.

        Raises:
          InputError: for regression, and for an output that is neither sigmoid nor softmax.
        """
        if not self.has_probabilities:
            got = f"task {self.task!r} and output {self.net.activations[-1].name!r}"
            expects = "a classifier with output 'sigmoid' or 'softmax'"
            raise InputError(sentence("predict_proba", expects, got, "use predict"))
        return self._probabilities(self.outputs(rows))

    def _probabilities(self, A: np.ndarray) -> np.ndarray:
        """Return one column per class or per label from the outputs of a classifier with sigmoid or softmax."""
        if self.task == "multilabel":
            return A
        if A.shape[1] == 1:
            return np.concatenate([1 - A, A], axis=1)  # (m, 2)
        if self.net.activations[-1].name == "sigmoid":
            return A / A.sum(axis=1, keepdims=True)  # one sigmoid per class need not sum to 1
        return A

    def predict(self, rows: NewRows, *, threshold: float = 0.5) -> np.ndarray:
        """Return class labels (m,); for several labels flags 0 or 1, (m, k); for regression values, (m,) or (m, k).

        Args:
          rows: raw rows, (m, n0) or images (m, h, w[, c]).
          threshold: the output above which a single sigmoid predicts the second class, or a label is present.
        """
        self.check_threshold(threshold)
        if self.task == "regression":
            values = self.target_preprocessing.inverse(self.outputs(rows))
            return values[:, 0] if values.shape[1] == 1 else values
        predictions = self._predict_ids(self.logits(rows).T, float(threshold))
        return predictions if self.task == "multilabel" else np.asarray(self.classes)[predictions]

    def _predict_ids(self, Z: np.ndarray, threshold: float = 0.5) -> np.ndarray:
        """Return class ids (m,), or flags (m, k) for several labels, of logits (n_L, m)."""
        labels = np.asarray(predict_labels(Z, self.net, self.task, threshold))
        return labels.T if self.task == "multilabel" else labels[0]

    def check_threshold(self, threshold: float) -> None:
        """Raise unless the threshold is a number from 0 to 1, and 0.5 where the largest of several outputs decides."""
        if not (isinstance(threshold, Real) and 0 <= float(threshold) <= 1):
            raise InputError(sentence("threshold", "a number from 0 to 1", repr(threshold), "leave it at 0.5"))
        single = self.task == "multilabel" or (self.task == "binary" and self.net.sizes[-1] == 1)
        if threshold != 0.5 and not single:
            got = f"task {self.task!r} with outputs {self.net.sizes[-1]}"
            raise InputError(sentence("threshold", "one output, or several labels", got, "leave it out"))

    # --- evaluation ---------------------------------------------------------------------------------------------------

    def evaluate(
        self, part: Part, metrics: str | Iterable[str] | None = None, weights: ArrayLike | None = None
    ) -> dict[str, Any]:
        """Return the cost (without penalties) and metrics on raw rows with their targets.

        Args:
          part: rows and targets; rows in a file are read block by block. The part of a data set knows its columns,
            classes and targets, which are matched by name and label; those of Part(rows, targets) are the model's.
          metrics: one or several names of `jaxmlp.metrics.METRICS`; all metrics of the task if None.
          weights: (m,) numbers ≥ 0, by which the rows count; equal weights if None.

        Returns:
          {"cost": …, "accuracy": …, "f1": …, …}; for regression {"cost": …, "r2": …, "mae": …, "rmse": …}. A metric
          that is undefined on these rows is None: AUC, for example, if all rows have the same class.

        Raises:
          InputError: for rows, targets or weights that do not fit, for an unknown metric, and for a named metric that
            is undefined on these rows.
        """
        part = match_part(part, self)
        rows = part.rows if isinstance(part.rows, FileRows) else check_new_rows(part.rows, self)
        if not len(rows):
            remedy = "the mean over no examples is not defined"
            raise InputError(sentence("evaluate", "at least one row", rows.shape, remedy))
        weights = None if weights is None else check_example_weights(weights, len(rows))
        # (n_L, m), as the costs take it; in memory too, because softmax over a strided axis takes three times as long
        Z = np.ascontiguousarray(without_bfloat16(self.logits(rows)).T)
        predictions = None if self.task == "regression" else self._predict_ids(Z)
        outputs = self._metric_outputs(numpy_forward.output(Z, self.net).T)
        cost = costs.find(self.cost, self.net.activations[-1])
        Y = target_rows(part.targets, self.task, self.target_preprocessing, self.net, cost, Z.dtype).T
        return {
            "cost": numpy_cost.mean_cost(Z, Y, self.net, cost, weights),
            **compute_metrics(self.task, part.targets, outputs, weights, metrics, predictions=predictions),
        }

    def _metric_outputs(self, A: np.ndarray) -> np.ndarray | None:
        """Return outputs (m, n_L) as the metrics take them; None if they are not probabilities or not finite."""
        A = without_bfloat16(A)
        if self.task == "regression":
            A = self.target_preprocessing.inverse(A)
        elif not self.has_probabilities:
            return None
        else:
            with np.errstate(invalid="ignore"):  # 0/0 where the sigmoids of all classes have rounded to 0
                A = self._probabilities(A)
        return A if np.isfinite(A).all() else None

    # --- the file -----------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to one HDF5 file; an existing file is replaced in one step and is never half written.

        Raises:
          MissingFileError: when the folder does not exist.
        """
        model_file.write(path, self)

    @classmethod
    def load(cls, path: str | os.PathLike[str], activations: Iterable[Activation] = ()) -> Self:
        """Return the model in a file that `save` wrote; `jaxmlp.load_model` is this function.

        Args:
          path: the file, or a run folder that holds it as model.h5.
          activations: the records of your own activations that the model uses; the file holds only their names.

        Raises:
          MissingFileError: when there is no such file.
          InputError: when the file is damaged, is no model, was written by a newer jaxmlp, or does not fit together.
        """
        fields = model_file.read(path, activations)
        try:
            return cls(**fields)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError) as error:  # fields of odd types
            expects = "fields that fit together"
            raise InputError(sentence(f"{path}: the model", expects, error, "copy the file again")) from None


load_model = Model.load
