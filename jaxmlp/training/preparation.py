"""What a training run needs, checked and prepared: dtypes, weights, objective, batches, rates and the first state."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.sharding import Mesh
from jax.typing import DTypeLike

from jaxmlp.data.dataset import Dataset
from jaxmlp.data.row_weights import check_row_weights
from jaxmlp.data.streaming.dataset import StreamedDataset
from jaxmlp.errors import InputError, InputTypeError, sentence
from jaxmlp.metrics.example_weights import class_weights
from jaxmlp.nn.checks import check_key, check_network, check_params
from jaxmlp.nn.network import Network, Params
from jaxmlp.nn.objective import Objective, resolve_cost
from jaxmlp.nn.penalties import PENALTIES
from jaxmlp.parallel.mesh import Sharding, make_sharding, shard
from jaxmlp.training.batches import Batches, make_batches
from jaxmlp.training.config import TrainConfig, fading_decay, resolve_optimizer
from jaxmlp.training.early_stopping import MetricTracker, check_monitor
from jaxmlp.training.engine import Hyperparameters
from jaxmlp.training.execution_plan import ExecutionPlan, plan_execution
from jaxmlp.training.row_space import find_row_space, rows_in
from jaxmlp.training.run_spec import RunSpec
from jaxmlp.training.schedules import LearningRates, make_rates
from jaxmlp.training.scores import make_score
from jaxmlp.training.state import Snapshot, TrainState, init_state
from jaxmlp.training.step import StaticConfig, StepOptions, check_frozen
from jaxmlp.training.streamed_batches import StreamedBatches, stream_batches

MeshLike = Mesh | int | str | tuple[int, int]


class PreparedRun(NamedTuple):
    """A run before its first step.

    Attributes:
      spec: what is the same in all epochs.
      snapshot: where it begins.
      weights: of the training rows; None for equal ones.
      rates: of its steps; None for an optimizer that brings its own.
    """

    spec: RunSpec
    snapshot: Snapshot
    weights: np.ndarray | None
    rates: LearningRates | None


def prepare(
    net: Network,
    data: Dataset,
    config: TrainConfig,
    params: Params | None = None,
    snapshot: Snapshot | None = None,
    mesh: MeshLike | None = None,
) -> PreparedRun:
    """Check that everything fits together, and put rows and state on the device.

    Raises:
      InputError: when it does not.
    """
    # what the options come to for this network and these rows; nothing is on the device yet
    check_network(net)
    check_monitor(config.early_stopping, data.validation is not None)
    dtype, compute_dtype = resolve_dtypes(config.precision, params if snapshot is None else snapshot.state.params, net)
    frozen = check_frozen(config.freeze, net)
    _check_moments(frozen, net, params)
    weights = row_weights(data, config)
    objective = training_objective(config.objective, net, n_examples(data, weights))
    optimizer, rate = resolve_optimizer(config)
    sharding = None if mesh is None else _resolve_sharding(mesh, net, data)
    validation_weights = _validation_weights(data, config)
    score = make_score(data, net, config, validation_weights)
    # the rows, preprocessed, go to the device, or to their mesh
    make: Any = stream_batches if isinstance(data, StreamedDataset) else make_batches
    batches = make(data, net, objective, config.batch_size, dtype=dtype, shuffle=config.shuffle, weights=weights)
    if validation_weights is not None:
        weights_column = jax.device_put(validation_weights.astype(dtype)[:, None])
        batches = batches._replace(validation=batches.validation._replace(weights=weights_column))
    # a stream has no rows to put on a mesh, and `_resolve_sharding` has refused one
    batches = batches._replace(train=shard(batches.train, sharding)) if sharding is not None else batches
    batches = batches._replace(validation=shard(batches.validation, sharding))
    # the rates of all steps, and the state that the run begins or continues with
    rates = None
    if rate is not None:
        rates = make_rates(rate, config.schedule, config.warmup, config.epochs, batches.steps)
    if snapshot is None:
        key = jax.random.key(0) if config.key is None else config.key
        average = config.ema_decay is not None
        state = init_state(key, net, optimizer, params, initializer=config.initializer, dtype=dtype, average=average)
        snapshot = Snapshot(state)
    else:
        _check_resumable(snapshot, optimizer, config, batches)
    snapshot = snapshot._replace(state=shard(snapshot.state, sharding))
    # what the programs are compiled for; whatever is a number is an input of theirs
    static = StaticConfig(net, optimizer, batches.task, frozen, compute_dtype, score is not None, sharding)
    plan = _plan(static, snapshot.state, batches, rates)
    hyper = Hyperparameters(objective, step_options(config, objective, batches.steps))
    # no rates yet: a plateau computes them from the metrics of a snapshot that `fit` may still replace by a checkpoint
    return PreparedRun(RunSpec(static, plan, batches, hyper, None, score), snapshot, weights, rates)


def begin(
    run: PreparedRun, snapshot: Snapshot, config: TrainConfig, data: Dataset
) -> tuple[RunSpec, MetricTracker, Snapshot]:
    """Return the run from a snapshot on, its rates bound to the metric that a plateau monitors.

    Where it trains in the space of its rows, the snapshot has the coordinates of the state there.
    """
    tracker = MetricTracker(config.early_stopping, data.validation is not None, snapshot)
    values, rates = tracker.values, run.rates  # not the tracker, which would keep the rows in memory by a cycle
    spec, snapshot = _in_row_space(run, snapshot, config)
    return spec._replace(rates=rates and (lambda epoch: rates.of_epoch(epoch, values))), tracker, snapshot


def _plan(
    static: StaticConfig, state: TrainState, batches: Batches | StreamedBatches, rates: LearningRates | None
) -> ExecutionPlan:
    plan = plan_execution(static, state, batches)
    # an epoch's rates depend on the report of the one before
    return plan._replace(capacity=1) if rates is not None and rates.plateau is not None else plan


def _in_row_space(run: PreparedRun, snapshot: Snapshot, config: TrainConfig) -> tuple[RunSpec, Snapshot]:
    """Return run and snapshot in the space of the rows, or as they are where plain steps are taken."""
    spec = run.spec
    static, batches = spec.static, spec.batches
    found = None
    if static.sharding is None:
        found = find_row_space(static.net, spec.hyper.objective, config, batches, snapshot)
    if found is None:
        return spec, snapshot._replace(coordinates=None)  # plain steps change W₁ itself
    space, coordinates = found
    net = dataclasses.replace(static.net, sizes=(space.basis.width, *static.net.sizes[1:]))
    static, batches = static._replace(net=net), rows_in(space.basis, batches)
    plan = _plan(static, coordinates.state, batches, run.rates)  # anew: a smaller network, more epochs in a call
    spec = spec._replace(static=static, plan=plan, batches=batches, row_space=space)
    return spec, snapshot._replace(coordinates=coordinates)


def as_dataset(data: Dataset | tuple[Any, Any]) -> Dataset:
    """Return a data set as it is, and a pair (rows, labels) as a data set."""
    if isinstance(data, Dataset):
        return data
    if isinstance(data, tuple) and len(data) == 2:
        return Dataset.from_arrays(*data)
    remedy = "use jaxmlp.load or Dataset.from_arrays"
    if isinstance(data, Network):
        remedy = "is the order fit(net, data)?"
    raise InputTypeError(sentence("fit", "a Dataset or a pair (rows, labels)", type(data).__name__, remedy))


def resolve_dtypes(precision: str | None, params: Params | None, net: Network) -> tuple[np.dtype, DTypeLike | None]:
    """Return the dtype of the parameters, and that of the matrix products where it is another.

    Raises:
      InputError: for float64 where JAX has it switched off, and for a precision that is not that of the parameters.
    """
    params_dtype = None if params is None else check_params(params, net)
    # float32, or float64 where x64 is enabled
    default = jax.dtypes.canonicalize_dtype(float)
    if precision is None:
        return params_dtype or default, None
    dtype = jnp.dtype("float32" if precision == "bfloat16" else precision)
    if dtype == np.float64 and default != np.float64:
        remedy = "call jax.config.update('jax_enable_x64', True) first"
        raise InputError(sentence("precision", "float64 to be switched on in JAX", "it off", remedy))
    if params_dtype not in (None, dtype):
        remedy = "cast them with jax.tree.map, or leave precision out"
        raise InputError(sentence("precision", f"parameters of {dtype}", params_dtype, remedy))
    return dtype, jnp.bfloat16 if precision == "bfloat16" else None


def row_weights(data: Dataset, config: TrainConfig) -> np.ndarray | None:
    """Return the weight of each training row, the product of sample_weight and class_weight; None without both.

    Raises:
      InputError: for weights that are not a number ≥ 0 for each row, for class weights without one class for each row,
        and for weights of the rows of a streamed data set.
    """
    sample_weight = config.sample_weight
    if sample_weight is not None and isinstance(data, StreamedDataset):
        remedy = "use class_weight, or read the file with jaxmlp.load"
        raise InputError(sentence("fit", "no sample_weight for a streamed data set", "one", remedy))
    if sample_weight is not None:
        weights = _of_training_rows(sample_weight, data)
        sample_weight = check_row_weights(weights, len(data.train.rows), "sample_weight", "training rows")
    of_data = data.part_weights("train")
    if of_data is not None:
        sample_weight = of_data if sample_weight is None else of_data * sample_weight
    if config.class_weight is None:
        return sample_weight
    if data.task not in ("binary", "multiclass"):
        expects = "a task with one class for each row"
        raise InputError(sentence("class_weight", expects, data.task, "give sample_weight instead"))
    weights = class_weights(data.train.targets, len(data.classes), config.class_weight, data.classes)
    return weights if sample_weight is None else weights * sample_weight


def _validation_weights(data: Dataset, config: TrainConfig) -> np.ndarray | None:
    """Return the weight of each row that validates; None for equal ones.

    Raises:
      InputError: for weights without rows that validate, and for weights that are not a number ≥ 0 for each of them.
    """
    if config.validation_weight is None:
        return None
    part = data.validation or data.test
    if part is None:
        remedy = "make one with data.split_validation(0.1), or leave it out"
        raise InputError(sentence("validation_weight", "a validation part", "none", remedy))
    name = "test" if data.validation is None else "validation"
    return check_row_weights(config.validation_weight, len(part.rows), "validation_weight", f"{name} rows")


def _of_training_rows(weights: Any, data: Dataset) -> Any:
    """Return weights for the rows before a part of them was held out as those of the rows that remain."""
    n_source = sum(map(len, data.origins.values()))
    if data.origins and np.shape(weights) == (n_source,) and n_source != len(data.train.rows):
        return np.asarray(weights)[data.origins["train"]]
    return weights


def n_examples(data: Dataset, weights: np.ndarray | None) -> float:
    """Return the size of the training part: its rows, or the sum of their weights."""
    return len(data.train.rows) if weights is None else float(np.sum(weights))


def training_objective(objective: Objective | None, net: Network, m: float) -> Objective:
    """Return the objective with its cost resolved, and the m of its penalties set to the size of the training part.

    Raises:
      InputError: as `resolve_cost`.
    """
    objective = resolve_cost(objective, net)
    penalized = any(getattr(objective, name) is not None for name in PENALTIES)
    examples = m if penalized and objective.examples is None else objective.examples
    return dataclasses.replace(objective, examples=examples)


def step_options(config: TrainConfig, objective: Objective, steps: int) -> StepOptions:
    """Return the numbers of an update, for a run of so many steps in an epoch.

    Raises:
      InputError: for fade without dropout and without weight decay.
    """
    options = StepOptions(clip_norm=config.clip_norm, ema_decay=config.ema_decay)
    if not config.fade:
        return options
    weight_decay = fading_decay(config)
    if not (objective.dropout or objective.input_dropout or weight_decay):
        remedy = "set one of them, as by optimizer='adamw', or leave fade out"
        raise InputError(sentence("fade", "dropout or a named optimizer with weight decay", "neither", remedy))
    return options._replace(fade_steps=float(config.epochs * steps), weight_decay=weight_decay)


def _check_moments(frozen: tuple[int, ...], net: Network, params: Params | None) -> None:
    """Raise for frozen layers whose parameters are given without the running moments that they belong with."""
    if net.norm == "batch" and params is not None and frozen and frozen[0] < net.depth:
        remedy = "start from the folded network of a Result, its net and params, or resume its snapshot"
        raise InputError(sentence("freeze", f"running moments of layer {frozen[0]}", "params alone", remedy))


def _check_resumable(
    snapshot: Snapshot, optimizer: optax.GradientTransformation, config: TrainConfig, batches: Batches | StreamedBatches
) -> None:
    """Raise unless a run can continue with these settings, and in the middle of an epoch with these batches."""
    state, partial = snapshot.state, snapshot.partial
    # the sums of a partial epoch are over its first steps: other batches would have other first steps
    if partial is not None and not (
        batches.is_segmented and partial.batch_size == batches.batch_size and partial.steps < batches.steps
    ):
        expects = f"batches of {partial.batch_size} of the same rows, in the middle of an epoch"
        remedy = "finish the epoch with the settings that it began with"
        raise InputError(sentence("resume", expects, f"{batches.steps} of {batches.batch_size}", remedy))

    # an optax transformation has no name: what tells it from another one is the shape of its state
    def shapes(tree: object) -> Any:
        return jax.tree.structure(tree), [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(tree)]

    if shapes(jax.eval_shape(optimizer.init, state.params)) != shapes(state.opt_state):
        remedy = "give the same again, or begin a new run from params="
        raise InputError(sentence("resume", "the optimizer of the run so far", "another", remedy))
    if (state.average is None) != (config.ema_decay is None):
        expects, got = ("no ema_decay", "one") if state.average is None else ("the ema_decay of the run so far", "none")
        raise InputError(sentence("resume", expects, got, "give what the run began with"))
    if config.key is not None and not _is_key_of(state.key, config.key):
        raise InputError(sentence("resume", "the key of the run so far", "another", "leave it out"))


def _is_key_of(run_key: Array, key: Array) -> bool:
    """Whether a run with this key has that key in its state: drawn parameters use one half of it, given ones none."""
    check_key(key)
    words = np.asarray(jax.random.key_data(run_key))
    return any(np.array_equal(words, jax.random.key_data(k)) for k in (key, jax.random.split(key)[1]))


def _resolve_sharding(mesh: MeshLike, net: Network, data: Dataset) -> Sharding:
    if isinstance(data, StreamedDataset):
        remedy = "leave mesh out, or read the file with jaxmlp.load"
        raise InputError(sentence("mesh", "rows in memory", "a streamed data set", remedy))
    return make_sharding(mesh, net)
