"""Many networks in one compiled program: a run of one member, and `vmap` over the members.

    member i       its own state, numbers (α, λ, dropout rate, …), order of rows, fold
    all members    the rows, read once

A run is epochs of steps in one program, because nothing between two epochs needs the host: only the orders of the rows
come in and five figures per epoch and member go out. The step is `update`, the one that `fit` takes, so that member i
is the run that `fit` makes of its seed and its numbers, to rounding.

Cross-validation leaves rows out by a weight of 0 in a full batch, and by not drawing them into mini-batches.
"""

import dataclasses
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jaxmlp.nn.backprop import evaluate
from jaxmlp.nn.network import Network, Params
from jaxmlp.nn.objective import Batch, Objective
from jaxmlp.training.batches import Rows, gather
from jaxmlp.training.metrics import n_correct
from jaxmlp.training.program import evaluated
from jaxmlp.training.state import TrainState, start
from jaxmlp.training.step import Control, update
from jaxmlp.training.stopping import FIGURES as TOLD

FIGURES = (*TOLD, "finite")


class Kind(NamedTuple):
    """What a population's programs are compiled for, besides shapes.

    Attributes:
      net: the network, of several widths the widest.
      optimizer: any optax transformation.
      task: what labels mean.
      frozen: layers that stay as they are.
      compute: the dtype of the matrix products, where it is not that of the parameters.
      padded: whether an order holds row numbers of m and more: they stand for row i - m, and count nothing.
      ragged: whether a member may have steps without any row, at which it stands still.
      average: whether a moving average is kept.
    """

    net: Network
    optimizer: optax.GradientTransformation
    task: str
    frozen: tuple[int, ...]
    compute: Any
    padded: bool
    ragged: bool
    average: bool


class Seed(NamedTuple):
    """Where a member begins: its parameters, and the bits of the key of its run."""

    params: Params
    words: Any


class Lane(NamedTuple):
    """What is a member's own, besides its state.

    Attributes:
      objective, control: with its numbers.
      weights: (m, 1), of the rows in a full batch; None where all members weigh them alike.
      held: numbers of the rows that its fold holds back, filled up with m; None without folds.
    """

    objective: Objective
    control: Control
    weights: Any = None
    held: Any = None


class Data(NamedTuple):
    """The rows that all members share."""

    train: Rows
    validation: Rows | None


class Programs(NamedTuple):
    """The compiled functions of a population, each over a leading axis of members.

    Attributes:
      begin: Seed -> TrainState.
      run: (state, lane, data, order, rates, blank, count) -> state, figures (members, K, 5), of `count` ≤ K epochs
        written into blank (K, 5).
      run_alike: the same with one order of rows for all members.
      finish: state -> the parameters to answer with.
    """

    begin: Any
    run: Any
    run_alike: Any
    finish: Any


@lru_cache(maxsize=16)
def programs(kind: Kind) -> Programs:
    """The functions of a population of this kind; equal kinds get the same ones, compiled once for each shape."""

    def begin(seed: Seed) -> TrainState:
        key = jax.random.wrap_key_data(seed.words)
        return start(key, kind.net, kind.optimizer, seed.params, average=kind.average)

    def run(state: TrainState, lane: Lane, data: Data, order: Any, rates: Any, blank: Array, count: Array):
        def epoch(e: Array, carried: Any):
            state, figures = carried
            chosen = jax.tree.map(lambda array: array[e], (order, rates))
            state, seen = _epoch(kind, state, lane, data, *chosen)
            row = [jnp.full((), jnp.nan) if value is None else value for value in seen]
            row = jnp.stack([value.astype(blank.dtype) for value in row])
            return state, figures.at[e].set(row)

        return jax.lax.fori_loop(0, count, epoch, (state, blank))

    def finish(state: TrainState) -> Params:
        return evaluated(kind.net, state.params, state.moments, state.average)[1]

    return Programs(
        jax.jit(jax.vmap(begin)),
        jax.jit(jax.vmap(run, in_axes=(0, 0, None, 0, 0, None, None))),
        jax.jit(jax.vmap(run, in_axes=(0, 0, None, None, 0, None, None))),
        jax.jit(jax.vmap(finish)),
    )


def _epoch(kind: Kind, state: TrainState, lane: Lane, data: Data, order: Any, rates: Any) -> tuple[TrainState, Any]:
    """An epoch of one member, and its FIGURES."""
    train = data.train if lane.weights is None else data.train._replace(weights=lane.weights)

    def step(state: TrainState, drawn: Any) -> tuple[TrainState, Any]:
        index, rate = drawn
        batch = gather(train, None) if index is None else _columns(train, index, kind.padded)
        control = lane.control._replace(rate=rate)
        after, J, Z = update(
            state, batch, kind.net, lane.objective, kind.optimizer, control, frozen=kind.frozen, compute=kind.compute
        )
        weight = jnp.full((), batch.X.shape[1], jnp.float32)
        if batch.weights is not None:
            weight = batch.weights.sum(dtype=jnp.float32)
        right = n_correct(Z, batch.Y, batch.weights, kind.net, kind.task)
        if kind.ragged:  # without rows there is no mean: J and the update are NaN, and neither is taken
            after = jax.tree.map(lambda new, old: jnp.where(weight > 0, new, old), after, state)
            J = jnp.where(weight > 0, J, jnp.zeros_like(J))
        return after, (J, right, weight)

    if order is None:
        state, (J, right, weight) = step(state, (None, None if rates is None else rates[0]))
    else:
        state, (J, right, weight) = jax.lax.scan(step, state, (order, rates))
    total = weight.sum()
    cost = (J * weight.astype(J.dtype)).sum() / total.astype(J.dtype)
    accuracy = None if right is None else right.sum() / total.astype(right.dtype)
    plain, params = evaluated(kind.net, state.params, state.moments, state.average)
    finite = jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves((cost, params))]).all()
    checked = _checked(kind, plain, params, lane, data)
    return state._replace(epoch=state.epoch + 1), (cost, accuracy, *checked, finite)


def _checked(kind: Kind, net: Network, params: Params, lane: Lane, data: Data) -> tuple[Array | None, Array | None]:
    """The mean cost and the accuracy of the rows that the fold holds back, or of the validation part; else None."""
    if lane.held is not None:
        batch = _columns(data.train._replace(weights=None), lane.held, padded=True)
    elif data.validation is not None:
        batch = gather(data.validation, None)
    else:
        return None, None
    # without penalties and smoothing, whose sizes differ by setting: a leaderboard compares what they lead to
    objective = dataclasses.replace(lane.objective, l2=None, l1=None, label_smoothing=None)
    J, Z, _ = evaluate(params, batch, net, objective, compute=kind.compute)
    right = n_correct(Z, batch.Y, batch.weights, net, kind.task)
    if right is None:
        return J, None
    total = batch.X.shape[1] if batch.weights is None else batch.weights.sum(dtype=right.dtype)
    return J, right / total


def _columns(rows: Rows, index: Array, padded: bool) -> Batch:
    """The columns of one step; a number of m or more stands for a row of its own fold, with weight 0."""
    m = rows.X.shape[0]
    # a row of its own fold, not any: batch statistics ignore it, but mixup may add it to another
    real = index < m
    index = jnp.where(real, index, index - m) if padded else index
    X, Y, weights = jax.tree.map(lambda array: jnp.take(array, index, axis=0, mode="clip").T, rows)
    if not padded:
        return Batch(X, Y, weights)
    counted = real.astype(X.dtype)[None, :]
    return Batch(X, Y, counted if weights is None else counted * weights)
