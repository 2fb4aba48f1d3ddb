"""An epoch as one compiled program, and the epochs as a generator.

The program scans over the steps of an epoch; per step it gathers a batch, takes the gradient and updates. The host
gives it an order of rows and reads back one small report; between the two nothing leaves the device.
"""

import time
from collections.abc import Iterator
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from jaxmlp.errors import DivergenceError
from jaxmlp.nn.backprop import evaluate
from jaxmlp.nn.network import Network
from jaxmlp.nn.objective import Objective
from jaxmlp.training.batches import Batches, Rows, gather
from jaxmlp.training.metrics import n_correct
from jaxmlp.training.state import Report, TrainState
from jaxmlp.training.step import update


@lru_cache(maxsize=64)  # a second fit of the same network with the same optimizer object compiles nothing
def epoch_program(net: Network, optimizer: optax.GradientTransformation, task: str):
    """(state, train, validation, order, objective) -> state, (J, right) per step and of validation, params finite."""

    def step(objective: Objective, train: Rows, state: TrainState, index: Array | None) -> tuple[TrainState, Any]:
        batch = gather(train, index)
        state, J, Z = update(state, batch, net, objective, optimizer)
        return state, (J, n_correct(Z, batch.Y, batch.weights, net, task))

    @partial(jax.jit, donate_argnums=0)
    def epoch(state: TrainState, train: Rows, validation: Rows | None, order: Array | None, objective: Objective):
        if order is None:
            state, (J, right) = step(objective, train, state, None)
            steps = (J[None], None if right is None else right[None])
        else:
            state, steps = jax.lax.scan(partial(step, objective, train), state, order)
        checked = None
        if validation is not None:
            batch = gather(validation, None)
            J, Z = evaluate(state.params, batch, net, objective)
            checked = (J, n_correct(Z, batch.Y, None, net, task))
        finite = jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params)]).all()
        return state._replace(epoch=state.epoch + 1), steps, checked, finite

    return epoch


def epochs(
    net: Network,
    objective: Objective,
    optimizer: optax.GradientTransformation,
    state: TrainState,
    batches: Batches,
) -> Iterator[tuple[TrainState, Report]]:
    """Train without end, an epoch at a time; stop with `break`.

    Args:
      net: the network.
      objective: what is minimised.
      optimizer: any optax transformation; keep the object, its compiled program is found by it.
      state: where to begin, from `start`; it is left as it is. The state yielded is consumed by the next epoch: copy
        what is to be kept.
      batches: from `make_batches`.

    Yields:
      (state, report) after every epoch, the report with Python numbers.

    Raises:
      DivergenceError: when a cost is infinite or not a number, naming the step and the epoch.

    >>> import jaxmlp
    >>> data = jaxmlp.load("xor")
    >>> net, optimizer, objective = jaxmlp.network_for(data, (8,), "tanh"), optax.adam(0.05), Objective()
    >>> state = jaxmlp.start(jax.random.key(0), net, optimizer)
    >>> batches = jaxmlp.make_batches(data, net, objective, "full")
    >>> for state, report in epochs(net, objective, optimizer, state, batches):
    ...     if report.cost < 0.01:
    ...         break
    >>> report.accuracy
    1.0
    """
    program = epoch_program(net, optimizer, batches.task)
    seed = tuple(int(word) for word in np.ravel(jax.random.key_data(state.key)))
    sizes = batches.sizes()
    epoch, step = int(state.epoch), int(state.step)
    state = jax.tree.map(_copy, state)
    began = time.perf_counter()
    while True:
        order = batches.order(seed, epoch)
        state, steps, checked, finite = program(state, batches.train, batches.validation, order, objective)
        (J, right), checked, finite = jax.device_get((steps, checked, finite))
        _check_converging(J, finite, epoch + 1, step)
        epoch, step = epoch + 1, step + batches.steps
        report = Report(
            cost=float(np.average(J.astype(np.float64), weights=sizes)),
            accuracy=None if right is None else float(right.sum()) / batches.n_rows,
            epoch=epoch,
            step=step,
            seconds=time.perf_counter() - began,
        )
        if checked is not None and batches.validation is not None:
            m = batches.validation.X.shape[0]
            accuracy = None if checked[1] is None else float(checked[1]) / m
            report = report._replace(validation_cost=float(checked[0]), validation_accuracy=accuracy)
        yield state, report


_copy = jax.jit(lambda leaf: leaf.copy())


def _check_converging(J: np.ndarray, finite: bool, epoch: int, before: int) -> None:
    """Raise for a cost, or after the last step of the epoch for a parameter, that is infinite or not a number."""
    bad = np.flatnonzero(~np.isfinite(J))
    if bad.size or not finite:
        what, step = ("cost", before + bad[0] + 1) if bad.size else ("a parameter", before + len(J))
        raise DivergenceError(
            f"{what} became non-finite at step {step} (epoch {epoch}); lower the learning rate or clip gradients"
        )
