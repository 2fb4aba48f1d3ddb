"""What `fit` is given, checked and completed: dtypes, weights, objective, optimizer, metrics."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxmlp.data.dataset import Dataset
from jaxmlp.data.stream import StreamedDataset
from jaxmlp.errors import InputError, InputTypeError, sentence, unknown
from jaxmlp.nn.network import Network, check_key, check_params
from jaxmlp.nn.objective import Objective, completed
from jaxmlp.nn.penalties import PENALTIES
from jaxmlp.training import optimizers, schedules
from jaxmlp.training.batches import FULL, check_weights
from jaxmlp.training.mesh import Layout, make_layout
from jaxmlp.training.scores import SCORES, class_weights, evaluate_scores
from jaxmlp.training.step import check_optimizer
from jaxmlp.training.stopping import FIGURES, EarlyStopping, Snapshot

PRECISIONS = ("float32", "float64", "bfloat16")
PROBABILITIES = ("sigmoid", "softmax")


def as_dataset(data: Any) -> Dataset:
    """A data set as it is, or a pair (rows, labels) made one."""
    if isinstance(data, Dataset):
        return data
    if isinstance(data, tuple) and len(data) == 2:
        return Dataset.from_arrays(*data)
    remedy = "use jaxmlp.load or Dataset.from_arrays"
    raise InputTypeError(sentence("fit", "a Dataset or a pair (rows, labels)", type(data).__name__, remedy))


def dtypes(precision: str | None, params: Any, net: Network) -> tuple[Any, Any]:
    """The dtype of the parameters, and that of the matrix products where it is another.

    Raises:
      InputError: for an unknown precision, for float64 where JAX has it switched off, and for one that is not the
        parameters' own.
    """
    given = None if params is None else check_params(params, net)
    if precision is None:
        return given or jax.dtypes.canonicalize_dtype(float), None
    if precision not in PRECISIONS:
        raise unknown("precision", precision, PRECISIONS)
    dtype = jnp.dtype("float32" if precision == "bfloat16" else precision)
    if dtype == np.float64 and jax.dtypes.canonicalize_dtype(float) != np.float64:
        remedy = "call jax.config.update('jax_enable_x64', True) first"
        raise InputError(sentence("precision", "float64 to be switched on in JAX", "it off", remedy))
    if given not in (None, dtype):
        remedy = "cast them with jax.tree.map, or leave precision out"
        raise InputError(sentence("precision", f"parameters of {dtype}", given, remedy))
    return dtype, jnp.bfloat16 if precision == "bfloat16" else None


def row_weights(data: Dataset, sample_weight: Any, class_weight: Any) -> np.ndarray | None:
    """How much each training row counts: the product of both; None where neither is given.

    Raises:
      InputError: for weights that are not a number ≥ 0 for each row, for class weights without one class for each row,
        and for weights of the rows of a streamed data set.
    """
    if sample_weight is not None and isinstance(data, StreamedDataset):
        remedy = "take class_weight, or read the file with jaxmlp.load"
        raise InputError(sentence("fit", "no sample_weight for a streamed data set", "one", remedy))
    if sample_weight is not None:
        sample_weight = check_weights(sample_weight, len(data.train.rows))
    if class_weight is None:
        return sample_weight
    if data.task not in ("binary", "multiclass"):
        expects = "a task with one class for each row"
        raise InputError(sentence("class_weight", expects, data.task, "give sample_weight instead"))
    weights = class_weights(data.train.targets, len(data.classes), class_weight)
    return weights if sample_weight is None else weights * sample_weight


def n_examples(data: Dataset, weights: np.ndarray | None) -> float:
    """The size of the training part: its rows, or the sum of their weights."""
    return len(data.train.rows) if weights is None else float(np.sum(weights))


def for_training(objective: Objective | None, net: Network, m: float) -> Objective:
    """The objective with its cost found and the m of its penalties set to the size of the training part.

    Raises:
      InputError: as `completed`.
    """
    objective = completed(objective, net)
    penalized = any(getattr(objective, name) is not None for name in PENALTIES)
    examples = m if penalized and objective.examples is None else objective.examples
    return dataclasses.replace(objective, examples=examples)


def check_moments(frozen: tuple[int, ...], net: Network, params: Any) -> None:
    """Raise for frozen layers whose parameters are given without the running moments that they belong with."""
    if net.norm == "batch" and params is not None and frozen and frozen[0] < net.depth:
        remedy = "start from the folded network of a Result, its net and params, or resume its snapshot"
        raise InputError(sentence("freeze", f"running moments of layer {frozen[0]}", "params alone", remedy))


def check_resumable(
    snapshot: Snapshot, optimizer: optax.GradientTransformation, average: Any, key: Any, batches: Any
) -> None:
    """Raise unless a run can go on with this optimizer, average, key, and in the middle of an epoch these batches."""
    state, unfinished = snapshot.state, snapshot.unfinished
    if unfinished is not None and not (
        batches.cut and unfinished.batch_size == batches.batch_size and unfinished.steps < batches.steps
    ):
        expects = f"batches of {unfinished.batch_size} of the same rows, in the middle of an epoch"
        remedy = "finish the epoch with what it began with"
        raise InputError(sentence("resume", expects, f"{batches.steps} of {batches.batch_size}", remedy))

    def shapes(tree: Any) -> Any:
        return jax.tree.structure(tree), [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(tree)]

    if shapes(jax.eval_shape(optimizer.init, state.params)) != shapes(state.opt_state):
        remedy = "give the same again, or begin anew from params="
        raise InputError(sentence("resume", "the optimizer of the run so far", "another", remedy))
    if (state.average is None) != (average is None):
        expects, got = ("no average", "one") if state.average is None else ("the average of the run so far", "none")
        raise InputError(sentence("resume", expects, got, "give what the run began with"))
    if key is None:
        return
    check_key(key)
    own = np.asarray(jax.random.key_data(state.key))
    # given parameters leave the key as it is; drawn ones take a half of it
    if not any(np.array_equal(own, jax.random.key_data(k)) for k in (key, jax.random.split(key)[1])):
        raise InputError(sentence("resume", "the key of the run so far", "another", "leave it out"))


def observers_of(observers: Any) -> tuple[Callable[..., Any], ...]:
    """One function or several as a tuple."""
    found = (observers,) if callable(observers) or not isinstance(observers, Iterable) else tuple(observers)
    for observer in found:
        if not callable(observer):
            remedy = "write observers=[lambda state, report: print(report.cost)], say"
            raise InputTypeError(sentence("observers", "functions of (state, report)", repr(observer), remedy))
    return found


def optimizer_and_rate(
    optimizer: Any, learning_rate: Any, schedule: str, warmup: float, weight_decay: float | None, batch_size: Any
) -> tuple[optax.GradientTransformation, Any]:
    """The optax transformation, and the α or the function step -> α that multiplies its updates; None without.

    Raises:
      InputError: for numbers that the optimizer does not take, or that come with one which has its own.
    """
    if optimizer is None or isinstance(optimizer, str):
        name = optimizer or optimizers.DEFAULT
        rate = learning_rate if callable(learning_rate) else optimizers.usual_rate(name, learning_rate)
        if rate is None and batch_size != FULL:
            remedy = "write batch_size='full'"
            raise InputError(sentence(f"optimizer {name!r}", "full batches", f"batch_size {batch_size}", remedy))
        if rate is None:
            _refuse_rate(f"optimizer {name!r}", None, schedule, warmup, "it finds its own")
        return optimizers.unit_optimizer(name, weight_decay), rate
    check_optimizer(optimizer)
    _refuse_rate("an optax transformation", learning_rate, schedule, warmup, "it brings its own")
    if weight_decay is not None:
        remedy = "chain optax.add_decayed_weights"
        raise InputError(sentence("an optax transformation", "no weight_decay", weight_decay, remedy))
    return optimizer, None


def _refuse_rate(who: str, learning_rate: Any, schedule: str, warmup: float, why: str) -> None:
    given = {"learning_rate": learning_rate, "schedule": schedule if schedule != schedules.DEFAULT else None}
    for name, value in (given | {"warmup": warmup or None}).items():
        if value is not None:
            raise InputError(sentence(who, f"no {name}: {why}", repr(value), "leave it out"))


def scorer(
    data: Dataset, net: Network, metrics: str | Iterable[str], stopping: EarlyStopping | None
) -> Callable[[np.ndarray], dict[str, float]] | None:
    """Outputs A of the validation part (of the test part, where there is no other), one example per row -> the metrics
    asked for; None where none are.

    Raises:
      InputError: for an unknown metric, for one of another task, and where there is no part to measure on.
    """
    if not isinstance(metrics, Iterable):
        raise InputTypeError(sentence("metrics", "names", repr(metrics), "write metrics=['f1'], say"))
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    if stopping is not None and stopping.metric not in (None, *FIGURES, *names):
        names.append(stopping.metric)
    for name in names:
        if name not in SCORES:
            raise unknown("metric", name, SCORES)
    if not names:
        return None
    part = data.validation or data.test
    if part is None:
        remedy = "hold rows back with data.hold_back(0.1)"
        raise InputError(sentence("metrics", "a validation or a test part to measure on", "neither", remedy))

    def score(A: np.ndarray) -> dict[str, Any]:
        A = A.astype(np.float64)
        if data.task == "regression":
            return evaluate_scores(data.task, part.targets, data.target_preprocessing.inverse(A), names=names)
        if data.task == "multilabel":
            return evaluate_scores(data.task, part.targets, A, names=names, answers=A > 0.5)
        answers = A.argmax(axis=1) if A.shape[1] > 1 else (A[:, 0] > 0.5).astype(int)
        outputs = None
        if net.activations[-1].name in PROBABILITIES:
            outputs = A if A.shape[1] == 1 else A / A.sum(axis=1, keepdims=True)
        return evaluate_scores(data.task, part.targets, outputs, names=names, answers=answers)

    return score


def layout_of(mesh: Any, net: Network, data: Dataset) -> Layout:
    """The layout of a run on a mesh.

    Raises:
      InputError: as `make_layout`; and for a streamed data set.
    """
    if isinstance(data, StreamedDataset):
        remedy = "leave mesh out, or read the file with jaxmlp.load"
        raise InputError(sentence("mesh", "rows in memory", "a streamed data set", remedy))
    return make_layout(mesh, net)


def optional(what: str, number: Any) -> float | None:
    """A positive number as a float, or None."""
    return None if number is None else optimizers.positive(what, number, "leave it out for none")


def decay_of(average: Any) -> float | None:
    """The decay of a moving average, or None.

    Raises:
      InputError: when it is not between 0 and 1.
    """
    decay = optional("average", average)
    if decay is not None and decay >= 1:
        raise InputError(sentence("average", "a decay between 0 and 1", average, "write 0.999, say"))
    return decay
