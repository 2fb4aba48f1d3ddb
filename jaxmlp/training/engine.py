"""The engine: one pure function trains an epoch, and the compiled programs run it.

    train_epoch(static, state, data, order, hyper) -> state, metrics

An epoch scans over its steps: gather a batch, compute the gradient, update. Then it evaluates the validation part.
`fit` compiles this function for one network, and `fit_many` maps it over many networks.

`jaxmlp.training.execution_plan` decides how many epochs, or which part of an epoch, one call of the device runs. For a
call the host sends the order of the rows and the learning rates, and reads one small report.
"""

import dataclasses
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import Array

from jaxmlp.metrics.decisions import n_correct
from jaxmlp.nn.backprop import evaluate
from jaxmlp.nn.network import Network
from jaxmlp.nn.objective import Objective
from jaxmlp.nn.program_store import MAX_FUNCTIONS, Programs
from jaxmlp.parallel.mesh import constrain, replicate, shard_batch
from jaxmlp.training.batches import Rows, gather
from jaxmlp.training.execution_plan import ExecutionPlan
from jaxmlp.training.state import TrainState, evaluation_params
from jaxmlp.training.step import StaticConfig, StepOptions, update

R = TypeVar("R")


class EpochData(NamedTuple):
    """The rows of an epoch.

    Attributes:
      train, validation: the parts, on the device; validation may be None.
      held_out: the numbers of the training rows that are the validation rows, padded with m; None if there are none.
    """

    train: Rows
    validation: Rows | None = None
    held_out: Array | None = None


class Hyperparameters(NamedTuple):
    """The numbers of a run. They are traced, so another number needs no new program, and a population maps over them.

    Attributes:
      objective: the cost with penalties and noise.
      options: the options of the update.
      rates: α of each step of the epoch, (steps,); None if the optimizer contains its learning rate.
    """

    objective: Objective
    options: StepOptions = StepOptions()
    rates: Array | None = None


class StepMetrics(NamedTuple):
    """The metrics of steps: J, the number of correctly classified examples, and the total weight of each step."""

    J: Array
    n_correct: Array | None
    weight: Array


class ValidationMetrics(NamedTuple):
    """The metrics of the validation part, and its outputs A if requested."""

    J: Array
    n_correct: Array | None
    weight: Array
    outputs: Array | None


class EpochMetrics(NamedTuple):
    """The metrics of an epoch: those of its steps, and those of the validation part after the last step."""

    steps: StepMetrics
    validation: ValidationMetrics | None


# --- the epoch, as a pure function ------------------------------------------------------------------------------------


def train_epoch(
    static: StaticConfig, state: TrainState, data: EpochData, order: Array | None, hyper: Hyperparameters
) -> tuple[TrainState, EpochMetrics]:
    """Train one epoch: all steps, then the validation part.

    Args:
      static: the settings for which the program is compiled.
      state: the state at the beginning of the epoch.
      data: the rows.
      order: row numbers, (steps, B), padded as `batches.draw_order` does; None for a full batch.
      hyper: the numbers of the run.
    """
    state, steps = train_steps(static, state, data.train, order, hyper)
    # the held-out rows of a fold are training rows; their weights belong to the training, so here all count equally
    validation = data.validation if data.held_out is None else data.train._replace(weights=None)
    state, metrics = end_epoch(static, state, validation, data.held_out, hyper.objective)
    return state, EpochMetrics(steps, metrics)


def train_steps(
    static: StaticConfig, state: TrainState, rows: Rows, order: Array | None, hyper: Hyperparameters
) -> tuple[TrainState, StepMetrics]:
    """Train the steps of an epoch, or of a segment of one; without an order each step takes all rows."""

    def step(state: TrainState, inputs: tuple[Array | None, Array | None]) -> tuple[TrainState, StepMetrics]:
        index, rate = inputs  # (B,), a scalar
        batch = shard_batch(gather(rows, index, padded=static.padded), static.sharding)
        options = hyper.options._replace(rate=rate)
        # J and Z are those before the update: the report of a step needs no second forward pass
        updated, J, Z = update(static, state, batch, hyper.objective, options)
        weight = jnp.float32(batch.X.shape[1]) if batch.weights is None else batch.weights.sum(dtype=jnp.float32)
        # always float32, because the sum counts rows: float16 is exact only up to 2048, bfloat16 only up to 256
        if static.skip_empty_steps:  # the mean over no row is NaN, in J and in the update
            # the number of the step stays as well: the noise of later steps follows from it
            updated = jax.tree.map(lambda new, old: jnp.where(weight > 0, new, old), updated, state)
            J = jnp.where(weight > 0, J, jnp.zeros_like(J))
        # counted against the labels of the data: smoothing and mixup change a copy within `update`
        correct = n_correct(Z, batch.Y, batch.weights, static.net, static.task)
        return constrain(updated, static.sharding), StepMetrics(J, correct, weight)

    if order is None and (hyper.rates is None or len(hyper.rates) == 1):
        # a single step needs no loop; the metrics get the leading axis that `scan` would give them
        state, metrics = step(state, (None, None if hyper.rates is None else hyper.rates[0]))
        return state, jax.tree.map(lambda value: value[None], metrics)
    # with a scan the program contains one step for any number of steps, and nothing returns to the host between steps
    return jax.lax.scan(step, state, (order, hyper.rates))  # one of both may be None, a tree without leaves


def end_epoch(
    static: StaticConfig, state: TrainState, validation: Rows | None, held_out: Array | None, objective: Objective
) -> tuple[TrainState, ValidationMetrics | None]:
    """Count the epoch, and return the metrics of the validation rows, or of the held-out rows among them; or None."""
    metrics = None if validation is None else _validate(static, state, validation, held_out, objective)
    return constrain(state._replace(epoch=state.epoch + 1), static.sharding), metrics


def _validate(
    static: StaticConfig, state: TrainState, rows: Rows, index: Array | None, objective: Objective
) -> ValidationMetrics:
    # `held_out` is padded with m, which `gather` takes for row 0 with weight 0; without an index nothing is padded
    batch = shard_batch(gather(rows, index, padded=True), static.sharding)
    # a population compares members with different penalties and label smoothing: the cost that ranks them excludes both
    if not static.penalized_validation:
        objective = dataclasses.replace(objective, l2=None, l1=None, label_smoothing=None)
    net, params = evaluation_params(static.net, state)
    # of_mean: with members the cost is that of their common prediction; training takes the mean of their costs
    J, Z, _ = evaluate(params, batch, net, objective, compute=static.compute_dtype, of_mean=True)
    outputs = net.activations[-1].apply(Z) if static.with_outputs else None  # (n_L, m)
    weight = jnp.float32(batch.X.shape[1]) if batch.weights is None else batch.weights.sum(dtype=jnp.float32)
    return ValidationMetrics(J, n_correct(Z, batch.Y, batch.weights, net, static.task), weight, outputs)


def all_finite(net: Network, state: TrainState) -> Array:
    """Whether the parameters to predict with are finite. NaN and inf stay, so testing the last state is enough."""
    _, params = evaluation_params(net, state)
    # 0 · inf and 0 · NaN are NaN, so the sum is 0 or NaN; it compiles in half of the time of isfinite(leaf).all()
    return jnp.equal(sum(jnp.sum(jnp.multiply(leaf, 0)) for leaf in jax.tree.leaves(params)), 0)


def train_epochs(
    static: StaticConfig,
    state: TrainState,
    data: EpochData,
    orders: Array | None,
    hyper: Hyperparameters,
    n: Array,
    capacity: int,
    record: Callable[[TrainState, EpochMetrics], R],
) -> tuple[TrainState, R]:
    """Train n epochs in one program.

    Args:
      static, state, data: as for `train_epoch`.
      orders, hyper: as for `train_epoch`, but orders and rates have a leading axis of length `capacity`.
      n: the number of epochs to run, at most `capacity`. It is traced, so another n needs no new program.
      capacity: the maximum number of epochs, which is fixed in the program.
      record: returns the record of an epoch from the state after the epoch and its metrics.

    Returns:
      The state after the last epoch, and the records with a leading axis of length `capacity`.
    """

    @partial(jax.jit, inline=True)  # so `eval_shape` and the loop below trace the epoch only once
    def epoch(
        i: Array, state: TrainState, data: EpochData, orders: Array | None, hyper: Hyperparameters
    ) -> tuple[TrainState, R]:
        # for JAX, None is a tree without leaves: without orders or rates, None stays None
        order, rates = jax.tree.map(lambda array: array[i], (orders, hyper.rates))
        state, metrics = train_epoch(static, state, data, order, hyper._replace(rates=rates))
        # every device gets the whole record, because each process can read only its own devices
        return state, replicate(record(state, metrics), static.sharding)

    if capacity == 1:
        state, records = epoch(jnp.int32(0), state, data, orders, hyper)
        return state, jax.tree.map(lambda value: value[None], records)

    def body(i: Array, carry: tuple[TrainState, R]) -> tuple[TrainState, R]:
        state, records = carry
        state, newest = epoch(i, state, data, orders, hyper)
        # XLA updates the carry of a loop in place: an epoch copies its own record, not those of all epochs
        return state, jax.tree.map(lambda array, value: array.at[i].set(value), records, newest)

    _, shapes = jax.eval_shape(epoch, jnp.int32(0), state, data, orders, hyper)
    empty = jax.tree.map(lambda leaf: jnp.zeros((capacity, *leaf.shape), leaf.dtype), shapes)  # filled epoch by epoch
    # n is traced, so this is a while loop: epochs from n to the capacity are not run, and their records stay zeros
    return jax.lax.fori_loop(jnp.int32(0), n, body, (state, empty))


# --- the compiled programs --------------------------------------------------------------------------------------------


@lru_cache(maxsize=MAX_FUNCTIONS)  # a second fit of the same network with an equal optimizer compiles nothing
def block_program(static: StaticConfig, plan: ExecutionPlan) -> Programs:
    """Return the program of several epochs.

    (state, data, orders, hyper, n) -> state, whether it is finite, EpochMetrics of each epoch, packed state after each.

    The packed states are None if the plan does not keep them, and for one epoch, whose state is the first result.
    """

    def record(state: TrainState, metrics: EpochMetrics) -> tuple[EpochMetrics, dict[str, Array] | None]:
        keep = plan.keep_states and plan.capacity > 1
        return metrics, pack_state(state) if keep else None

    # the state is not donated to XLA: if the first of these epochs diverges, it is the last finite state
    def block(state: TrainState, data: EpochData, orders: Array | None, hyper: Hyperparameters, n: Array) -> Any:
        # J of a step is computed before its update: a last update that overflows shows in the parameters alone
        state, (metrics, states) = train_epochs(static, state, data, orders, hyper, n, plan.capacity, record)
        return state, replicate(all_finite(static.net, state), static.sharding), metrics, states

    return Programs(block, plan.compiler_options)


@lru_cache(maxsize=MAX_FUNCTIONS)
def segment_programs(static: StaticConfig, plan: ExecutionPlan) -> tuple[Programs, Programs]:
    """Return the two programs of a long epoch: the steps of a segment, and the end of the epoch.

    (state, rows, order, hyper) -> state, (StepMetrics, whether the state is finite)
    (state, validation rows, objective) -> state, ValidationMetrics
    """

    def segment(state: TrainState, rows: Rows, order: Array | None, hyper: Hyperparameters) -> Any:
        state, metrics = train_steps(static, state, rows, order, hyper)
        return state, replicate((metrics, all_finite(static.net, state)), static.sharding)

    def end(state: TrainState, rows: Rows | None, objective: Objective) -> Any:
        state, validation = end_epoch(static, state, rows, None, objective)  # only a population holds rows out
        return state, replicate(validation, static.sharding)

    # no compiler options: validation is one batch of all rows, and gains from several threads even if a step does not
    return Programs(segment, plan.compiler_options), Programs(end)


def pack_state(state: TrainState) -> dict[str, Array]:
    """Return the state without its key as one vector for each dtype: each further array of a result costs time.

    A run never changes its key (a step folds its number into it), so the key is not copied.
    """
    # one vector for each dtype: an optimizer counts its steps in int32, beside moments of float
    vectors: dict[str, list[Array]] = {}
    for leaf in jax.tree.leaves(state._replace(key=None)):
        vectors.setdefault(str(leaf.dtype), []).append(leaf.reshape(-1))
    return {dtype: jnp.concatenate(leaves) for dtype, leaves in vectors.items()}


def unpack_state(vectors: dict[str, Any], template: TrainState) -> TrainState:
    """Return the state from vectors of JAX or NumPy, with the shapes and the key of the template.

    >>> import optax
    >>> from jaxmlp.training.state import init_state
    >>> state = init_state(jax.random.key(0), Network((2, 1), "relu", "sigmoid"), optax.adam(0.1))
    >>> unpacked = unpack_state(pack_state(state), state)
    >>> bool((unpacked.params[0]["W"] == state.params[0]["W"]).all()), unpacked.opt_state[0].count.dtype
    (True, dtype('int32'))
    """
    leaves, tree = jax.tree.flatten(template._replace(key=None))
    # the leaves of one tree always come in the same order, so the sizes alone find each leaf again
    offsets = dict.fromkeys(vectors, 0)
    parts = []
    for leaf in leaves:
        dtype = str(leaf.dtype)
        start, offsets[dtype] = offsets[dtype], offsets[dtype] + leaf.size
        parts.append(vectors[dtype][start : start + leaf.size].reshape(leaf.shape))
    return jax.tree.unflatten(tree, parts)._replace(key=template.key)
