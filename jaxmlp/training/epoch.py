"""An epoch as one compiled program, and the epochs as a generator.

The program scans over the steps of an epoch; per step it gathers a batch, takes the gradient and updates. The host
gives it an order of rows and the rates of the steps, and reads back one small report; between the two nothing leaves
the device.
"""

import time
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from jaxmlp.errors import DivergenceError
from jaxmlp.nn.backprop import evaluate
from jaxmlp.nn.network import Network, Params
from jaxmlp.nn.normalization import Moments
from jaxmlp.nn.objective import Objective
from jaxmlp.nn.propagation import fold, trace
from jaxmlp.training.batches import Batches, Rows, gather
from jaxmlp.training.metrics import n_correct
from jaxmlp.training.state import Report, TrainState
from jaxmlp.training.step import PLAIN, Control, update


class Fixed(NamedTuple):
    """What an epoch's program is compiled for, besides network, optimizer and shapes.

    Attributes:
      task: what labels mean.
      frozen: layers that stay as they are.
      compute: the dtype of the matrix products, where it is not that of the parameters.
      outputs: whether the outputs A of the validation part are wanted, for metrics.
    """

    task: str
    frozen: tuple[int, ...] = ()
    compute: Any = None
    outputs: bool = False


class Epoch(NamedTuple):
    """What an epoch reports: J, the number right and the total weight of each step; of the validation part; of all."""

    J: Array
    right: Array | None
    weight: Array
    validation: Any
    finite: Array


def evaluated(net: Network, params: Params, moments: tuple[Moments, ...], average: Params | None):
    """The network and the parameters to answer with: averaged if there is an average, batch normalisation folded."""
    return fold(params if average is None else average, moments, net)


@lru_cache(maxsize=64)  # a second fit of the same network with the same optimizer object compiles nothing
def epoch_program(net: Network, optimizer: optax.GradientTransformation, fixed: Fixed):
    """(state, train, validation, order, rates, objective, control) -> state, Epoch."""

    def step(objective: Objective, control: Control, train: Rows, state: TrainState, drawn: Any):
        index, rate = drawn
        batch = gather(train, index)
        control = control._replace(rate=rate)
        state, J, Z = update(
            state, batch, net, objective, optimizer, control, frozen=fixed.frozen, compute=fixed.compute
        )
        weight = jnp.float32(batch.X.shape[1]) if batch.weights is None else batch.weights.sum(dtype=jnp.float32)
        return state, (J, n_correct(Z, batch.Y, batch.weights, net, fixed.task), weight)

    # the state is not donated: the one before the epoch is the last good one, should this epoch diverge
    @jax.jit
    def epoch(
        state: TrainState,
        train: Rows,
        validation: Rows | None,
        order: Array | None,
        rates: Array | None,
        objective: Objective,
        control: Control,
    ):
        run = partial(step, objective, control, train)
        if order is None:
            state, seen = run(state, (None, None if rates is None else rates[0]))
            seen = jax.tree.map(lambda value: value[None], seen)
        else:
            state, seen = jax.lax.scan(run, state, (order, rates))
        plain, params = evaluated(net, state.params, state.moments, state.average)
        checked = None if validation is None else _check(plain, params, validation, objective, fixed)
        finite = jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(params)]).all()
        J, right, weight = seen
        return state._replace(epoch=state.epoch + 1), Epoch(J, right, weight, checked, finite)

    return epoch


def _check(net: Network, params: Params, validation: Rows, objective: Objective, fixed: Fixed) -> Any:
    """J, the number right, and A if it is wanted, of the validation part."""
    batch = gather(validation, None)
    J, Z, _ = evaluate(params, batch, net, objective, compute=fixed.compute)
    outputs = net.activations[-1].apply(Z) if fixed.outputs else None
    return J, n_correct(Z, batch.Y, None, net, fixed.task), outputs


def epochs(
    net: Network,
    objective: Objective,
    optimizer: optax.GradientTransformation,
    state: TrainState,
    batches: Batches,
    *,
    rates: Callable[[int], np.ndarray] | None = None,
    control: Control = PLAIN,
    frozen: tuple[int, ...] = (),
    compute: Any = None,
    score: Callable[[np.ndarray], dict[str, float]] | None = None,
    seconds: float = 0.0,
) -> Iterator[tuple[TrainState, Report]]:
    """Train without end, an epoch at a time; stop with `break`.

    Args:
      net: the network.
      objective: what is minimised.
      optimizer: any optax transformation; keep the object, its compiled program is found by it.
      state: where to begin, from `start`.
      batches: from `make_batches`.
      rates: number of the epoch, from 0, -> α of each of its steps, which multiplies the optimizer's update; None for
        an optimizer that brings its own.
      control: the numbers of clipping and averaging.
      frozen: layers, counted from 1, that stay as they are.
      compute: the dtype of the matrix products, where it is not that of the parameters.
      score: outputs A of the validation part, one example per row -> metrics by name.
      seconds: what the run has taken before.

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
    program = epoch_program(net, optimizer, Fixed(batches.task, frozen, compute, score is not None))
    seed = tuple(int(word) for word in np.ravel(jax.random.key_data(state.key)))
    epoch, step = int(state.epoch), int(state.step)
    began = time.perf_counter() - seconds
    while True:
        order, alphas = batches.order(seed, epoch), None if rates is None else rates(epoch)
        after, seen = program(state, batches.train, batches.validation, order, alphas, objective, control)
        seen = jax.device_get(seen)
        if not (np.isfinite(seen.J).all() and seen.finite):
            replay = partial(_step_again, net, objective, optimizer, batches.train, control, frozen, compute)
            _raise_divergence(seen, epoch + 1, step, _first_bad_layer(replay, net, state, order, alphas, seen))
        state = after
        epoch, step = epoch + 1, step + batches.steps
        weight = seen.weight.astype(np.float64)
        report = Report(
            cost=float(np.average(seen.J.astype(np.float64), weights=weight)),
            accuracy=None if seen.right is None else float(seen.right.sum(dtype=np.float64) / weight.sum()),
            epoch=epoch,
            step=step,
            seconds=time.perf_counter() - began,
            learning_rate=None if alphas is None else float(alphas[-1]),
        )
        yield state, _with_validation(report, seen.validation, batches.validation, score)


def _with_validation(report: Report, checked: Any, rows: Rows | None, score: Any) -> Report:
    """The report with the figures of the validation part, if there is one."""
    if checked is None or rows is None:
        return report
    J, right, outputs = checked
    return report._replace(
        validation_cost=float(J),
        validation_accuracy=None if right is None else float(right) / rows.X.shape[0],
        scores=None if score is None else score(outputs.T),
    )


# --- when it diverges -------------------------------------------------------------------------------------------------


def _raise_divergence(seen: Epoch, epoch: int, before: int, layer: str) -> None:
    bad = np.flatnonzero(~np.isfinite(seen.J))
    what, step = ("cost", before + bad[0] + 1) if bad.size else ("a parameter", before + len(seen.J))
    raise DivergenceError(
        f"{what} became non-finite at step {step} (epoch {epoch}), first in {layer}; "
        "lower the learning rate or clip gradients"
    )


def _step_again(
    net: Network,
    objective: Objective,
    optimizer: optax.GradientTransformation,
    train: Rows,
    control: Control,
    frozen: tuple[int, ...],
    compute: Any,
    state: TrainState,
    index: Any,
    rate: Any,
) -> tuple[TrainState, Array]:
    """A step of the epoch once more, and its X."""
    batch = gather(train, index)
    control = control._replace(rate=rate)
    state, _, _ = update(state, batch, net, objective, optimizer, control, frozen=frozen, compute=compute)
    return state, batch.X


def _first_bad_layer(replay: Any, net: Network, state: TrainState, order: Any, alphas: Any, seen: Epoch) -> str:
    """Where the first infinity or NaN stood: the epoch is run again from its beginning, a step at a time."""
    step = jax.jit(replay)
    for i in range(len(seen.J)):
        index, rate = (None if array is None else array[i] for array in (order, alphas))
        after, X = step(state, index, rate)
        for l, layer in enumerate(trace(state.params, X, net), start=1):
            if not all(np.isfinite(value).all() for value in layer.values()):
                return f"the forward pass of layer {l}"
        for l, layer in enumerate(after.params, start=1):
            if not all(np.isfinite(leaf).all() for leaf in layer.values()):
                return f"the update of layer {l}"
        state = after
    return "the cost"
