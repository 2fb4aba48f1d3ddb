"""An epoch as one compiled program, and the epochs as a generator.

The program scans over the steps of an epoch; per step it gathers a batch, takes the gradient and updates. The host
gives it an order of rows and the rates of the steps, and reads back one small report; between the two nothing leaves
the device.

Where the rows stay in their file, the same scan runs once for each buffer of rows. The host hands the device the next
buffer while it computes on one, and waits only for the one before that, whose memory it fills anew.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from jaxmlp.nn.backprop import evaluate
from jaxmlp.nn.network import Network, Params
from jaxmlp.nn.normalization import Moments
from jaxmlp.nn.objective import Objective
from jaxmlp.nn.propagation import fold
from jaxmlp.training.batches import Batches, Rows, gather
from jaxmlp.training.divergence import divergence
from jaxmlp.training.metrics import n_correct
from jaxmlp.training.state import Report, TrainState
from jaxmlp.training.step import PLAIN, Control, update
from jaxmlp.training.streamed import StreamedBatches


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


class Steps(NamedTuple):
    """What steps report: J, the number right and the total weight of each."""

    J: Array
    right: Array | None
    weight: Array


class Epoch(NamedTuple):
    """What an epoch reports: of its steps, of the validation part after them, whether all parameters are finite."""

    steps: Steps
    validation: Any
    finite: Array


def evaluated(net: Network, params: Params, moments: tuple[Moments, ...], average: Params | None):
    """The network and the parameters to answer with: averaged if there is an average, batch normalisation folded."""
    return fold(params if average is None else average, moments, net)


@lru_cache(maxsize=64)  # a second fit of the same network with the same optimizer object compiles nothing
def epoch_program(net: Network, optimizer: optax.GradientTransformation, fixed: Fixed):
    """(state, train, validation, order, rates, objective, control) -> state, Epoch."""
    steps, end = _steps(net, optimizer, fixed), _end(net, fixed)

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
        state, seen = steps(state, train, order, rates, objective, control)
        state, checked, finite = end(state, validation, objective)
        return state, Epoch(seen, checked, finite)

    return epoch


@lru_cache(maxsize=64)
def streamed_programs(net: Network, optimizer: optax.GradientTransformation, fixed: Fixed):
    """The same in two: the steps on a buffer of rows, and the end of the epoch."""
    return jax.jit(_steps(net, optimizer, fixed)), jax.jit(_end(net, fixed))


def _steps(net: Network, optimizer: optax.GradientTransformation, fixed: Fixed):
    """(state, train, order, rates, objective, control) -> state, Steps."""

    def step(objective: Objective, control: Control, train: Rows, state: TrainState, drawn: Any):
        index, rate = drawn
        batch = gather(train, index)
        control = control._replace(rate=rate)
        state, J, Z = update(
            state, batch, net, objective, optimizer, control, frozen=fixed.frozen, compute=fixed.compute
        )
        weight = jnp.float32(batch.X.shape[1]) if batch.weights is None else batch.weights.sum(dtype=jnp.float32)
        return state, Steps(J, n_correct(Z, batch.Y, batch.weights, net, fixed.task), weight)

    def steps(state: TrainState, train: Rows, order: Any, rates: Any, objective: Objective, control: Control):
        run = partial(step, objective, control, train)
        if order is None:
            state, seen = run(state, (None, None if rates is None else rates[0]))
            return state, jax.tree.map(lambda value: value[None], seen)
        return jax.lax.scan(run, state, (order, rates))

    return steps


def _end(net: Network, fixed: Fixed):
    """(state, validation, objective) -> state with the epoch counted, figures of the validation part, finite."""

    def end(state: TrainState, validation: Rows | None, objective: Objective):
        plain, params = evaluated(net, state.params, state.moments, state.average)
        checked = None if validation is None else _check(plain, params, validation, objective, fixed)
        finite = jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(params)]).all()
        return state._replace(epoch=state.epoch + 1), checked, finite

    return end


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
    batches: Batches | StreamedBatches,
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
      batches: from `make_batches` or `stream_batches`.
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
    fixed = Fixed(batches.task, frozen, compute, score is not None)
    run = partial(_run, net, optimizer, fixed, batches, objective, control)
    seed = tuple(int(word) for word in np.ravel(jax.random.key_data(state.key)))
    epoch, step = int(state.epoch), int(state.step)
    began = time.perf_counter() - seconds
    while True:
        alphas = None if rates is None else rates(epoch)
        after, seen = run(seed, epoch, state, alphas)
        J, right, weight = seen.steps
        if not (np.isfinite(J).all() and seen.finite):
            step_again = partial(_step_again, net, objective, optimizer, control, frozen, compute)
            raise divergence(J, epoch + 1, step, net, state, step_again, batches.pieces(seed, epoch), alphas)
        state = after
        epoch, step = epoch + 1, step + batches.steps
        weight = weight.astype(np.float64)
        report = Report(
            cost=float(np.average(J.astype(np.float64), weights=weight)),
            accuracy=None if right is None else float(right.sum(dtype=np.float64) / weight.sum()),
            epoch=epoch,
            step=step,
            seconds=time.perf_counter() - began,
            learning_rate=None if alphas is None else float(alphas[-1]),
        )
        yield state, _with_validation(report, seen.validation, batches.validation, score)


def _run(
    net: Network,
    optimizer: optax.GradientTransformation,
    fixed: Fixed,
    batches: Batches | StreamedBatches,
    objective: Objective,
    control: Control,
    seed: tuple[int, ...],
    epoch: int,
    state: TrainState,
    alphas: np.ndarray | None,
) -> tuple[TrainState, Any]:
    """An epoch: the state after it, and its `Epoch` on the host."""
    if isinstance(batches, Batches):
        order, program = batches.order(seed, epoch), epoch_program(net, optimizer, fixed)
        state, seen = program(state, batches.train, batches.validation, order, alphas, objective, control)
        return state, jax.device_get(seen)
    steps, end = streamed_programs(net, optimizer, fixed)
    found: list[Steps] = []
    done = 0
    with closing(batches.pieces(seed, epoch)) as pieces:
        for train, order in pieces:
            rates = None if alphas is None else alphas[done : done + len(order)]
            state, seen = steps(state, train, order, rates, objective, control)
            found.append(seen)
            done += len(order)
            # by now the device has its next work; the buffer before this one must be done with
            if len(found) > 1 and not np.isfinite(found[-2].J).all():
                break
    state, checked, finite = end(state, batches.validation, objective)
    seen = jax.tree.map(lambda *parts: np.concatenate(parts), *jax.device_get(found))
    return state, Epoch(seen, *jax.device_get((checked, finite)))


def _step_again(
    net: Network,
    objective: Objective,
    optimizer: optax.GradientTransformation,
    control: Control,
    frozen: tuple[int, ...],
    compute: Any,
    state: TrainState,
    train: Rows,
    index: Any,
    rate: Any,
) -> tuple[TrainState, Array]:
    """A step of the epoch once more, and its X."""
    batch = gather(train, index)
    control = control._replace(rate=rate)
    state, _, _ = update(state, batch, net, objective, optimizer, control, frozen=frozen, compute=compute)
    return state, batch.X


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
