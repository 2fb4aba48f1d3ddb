"""The compiled programs of a population: the epochs of one member, mapped over all members.

    member i       its own state, numbers (α, λ, dropout rate, …), order of rows, fold
    all members    the rows, read once

`train_epochs` is the function that `fit` compiles, so member i is the run that `fit` makes of its seed and its numbers,
to rounding. Nothing between two epochs needs the host: the orders of the rows come in, and five metrics per epoch and
member go out. Cross-validation leaves rows out by a weight of 0 in a full batch, and by not drawing them in others.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxmlp.nn.network import Params
from jaxmlp.nn.normalization import wide
from jaxmlp.nn.program_store import MAX_FUNCTIONS, Programs
from jaxmlp.training.batches import Rows
from jaxmlp.training.early_stopping import REPORT_METRICS
from jaxmlp.training.engine import EpochData, EpochMetrics, Hyperparameters, all_finite, train_epochs
from jaxmlp.training.execution_plan import SINGLE_THREAD
from jaxmlp.training.state import TrainState, evaluation_params, init_state
from jaxmlp.training.step import StaticConfig

EPOCH_METRICS = (*REPORT_METRICS, "finite")


class ProgramKey(NamedTuple):
    """What a population's programs are compiled for, besides shapes.

    Attributes:
      static: its network is the widest of several.
      capacity: the most epochs in a call.
      average: whether a moving average is kept.
    """

    static: StaticConfig
    capacity: int
    average: bool


class InitialState(NamedTuple):
    """Where a member begins: its parameters, and the words of the key of its run."""

    params: Params
    words: Any


class MemberInputs(NamedTuple):
    """What differs between members, besides their states and orders.

    Attributes:
      hyper: its numbers, without rates.
      weights: (m, 1), of the rows in a full batch; None where they are those of the data for all members.
      held_out: numbers of the rows that its fold holds out, padded with m; None without folds.
    """

    hyper: Hyperparameters
    weights: Any = None
    held_out: Any = None


class SharedRows(NamedTuple):
    """The rows that all members share."""

    train: Rows
    validation: Rows | None


class PopulationPrograms(NamedTuple):
    """The compiled functions of a population, each over a leading axis of members.

    Attributes:
      begin: InitialState -> TrainState.
      run: (state, member inputs, rows, orders, rates, n) -> state, EPOCH_METRICS of n epochs, (members, capacity, 5).
      run_shared_order: the same with one order of rows for all members.
      finish: state -> the parameters to predict with.
    """

    begin: Programs
    run: Programs
    run_shared_order: Programs
    finish: Programs


@lru_cache(maxsize=MAX_FUNCTIONS)
def population_programs(key: ProgramKey, small: bool) -> PopulationPrograms:
    """Return the functions of a population; equal keys get the same ones, compiled once for each shape.

    Args:
      key: what they are compiled for, besides shapes.
      small: whether their steps are too small for a second thread.
    """
    static = key.static

    def begin(initial: InitialState) -> TrainState:
        # keys come as words, because a typed key has no NumPy form that could be stacked
        run_key = jax.random.wrap_key_data(initial.words)
        return init_state(run_key, static.net, static.optimizer, initial.params, average=key.average)

    def run(
        state: TrainState, member: MemberInputs, rows: SharedRows, orders: Array | None, rates: Array | None, n: Array
    ) -> tuple[TrainState, Array]:
        train = rows.train if member.weights is None else rows.train._replace(weights=member.weights)
        data = EpochData(train, rows.validation, member.held_out)
        hyper = member.hyper._replace(rates=rates)  # rates (capacity, steps)

        def summarize(state: TrainState, metrics: EpochMetrics) -> Array:
            return _summary(static, state, metrics)

        return train_epochs(static, state, data, orders, hyper, n, key.capacity, summarize)

    def finish(state: TrainState) -> Params:
        return evaluation_params(static.net, state)[1]

    # None in in_axes: read by all members. n is one number for all, so they run in step; with a shared order each batch
    # is gathered once for all of them
    options = SINGLE_THREAD if small else None
    return PopulationPrograms(
        Programs(jax.vmap(begin)),
        Programs(jax.vmap(run, in_axes=(0, 0, None, 0, 0, None)), options),
        Programs(jax.vmap(run, in_axes=(0, 0, None, None, 0, None)), options),
        Programs(jax.vmap(finish)),
    )


def _summary(static: StaticConfig, state: TrainState, metrics: EpochMetrics) -> Array:
    """Return the EPOCH_METRICS of an epoch; on the device, since thousands of members have many steps."""
    (J, correct, weight), validation = metrics
    # one row of numbers: what a call sends to the host is a single array
    total = weight.sum()  # Σ w of the epoch
    cost = (J * weight.astype(J.dtype)).sum() / total.astype(J.dtype)
    accuracy = None if correct is None else correct.sum() / total.astype(correct.dtype)
    validation_cost = validation_accuracy = None
    if validation is not None:
        validation_cost = validation.J
        if validation.n_correct is not None:
            validation_accuracy = validation.n_correct / validation.weight.astype(validation.n_correct.dtype)
    finite = jnp.isfinite(cost) & all_finite(static.net, state)
    values = (cost, accuracy, validation_cost, validation_accuracy, finite)  # None becomes NaN: an array has no gaps
    dtype = wide(J.dtype)
    return jnp.stack([jnp.full((), jnp.nan, dtype) if value is None else value.astype(dtype) for value in values])
