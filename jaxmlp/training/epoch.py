"""The epochs of a run, as the host sees them: what it hands to the compiled programs, and what it reads back.

A call of `chunks` hands over some epochs and yields their reports together; the state after any of them is there for
whoever asks. Where an epoch is long it goes over in pieces, and between two of them the host has a word: a checkpoint
can be written and a wish to stop is heard. The next piece is on its way before the one before it is read, so that the
device need not wait.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jax import Array

from jaxmlp.errors import InputError, sentence
from jaxmlp.nn.network import Network
from jaxmlp.nn.objective import Objective
from jaxmlp.nn.stacks import stacked, unstacked
from jaxmlp.training.batches import Batches, Orders, Rows, gather, seed_of
from jaxmlp.training.divergence import divergence
from jaxmlp.training.mesh import Layout
from jaxmlp.training.program import Epoch, Fixed, Steps, all_finite, epochs_program, fixed_for, piece_programs, unpacked
from jaxmlp.training.state import Report, TrainState, Unfinished
from jaxmlp.training.step import PLAIN, Control, update
from jaxmlp.training.streamed import StreamedBatches


class Course(NamedTuple):
    """What is the same in all epochs of a run.

    Attributes:
      net, objective, optimizer: what is trained, to which end, and how.
      batches: from `make_batches` or `stream_batches`.
      fixed: what its programs are compiled for.
      rates: number of the epoch, from 0, -> α of each of its steps, which multiplies the optimizer's update; None for
        an optimizer that brings its own.
      control: the numbers of clipping and averaging.
      score: outputs A of the validation part, one example per row -> metrics by name.
    """

    net: Network
    objective: Objective
    optimizer: optax.GradientTransformation
    batches: Batches | StreamedBatches
    fixed: Fixed
    rates: Callable[[int], np.ndarray] | None = None
    control: Control = PLAIN
    score: Callable[[np.ndarray], dict[str, float]] | None = None


class Chunk(NamedTuple):
    """Epochs that have come back together: their reports, and the state after the i-th of them."""

    reports: list[Report]
    state: Callable[[int], TrainState]


Between = Callable[[TrainState, Unfinished], Any]


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
    layout: Layout | None = None,
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
      layout: of the arrays on a mesh of devices, where state and batches lie on one.

    Yields:
      (state, report) after every epoch, the report with Python numbers.

    Raises:
      DivergenceError: when a cost is infinite or not a number, naming the step and the epoch.
      InputError: when the rates are not as many as the steps.

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
    if rates is not None and np.shape(found := rates(int(state.epoch))) != (batches.steps,):
        expects = f"an array of {batches.steps}, one for each step of an epoch"
        raise InputError(sentence("rates", expects, f"shape {np.shape(found)}", "give a step its α"))
    outputs = score is not None
    fixed = fixed_for(net, optimizer, state, batches, frozen=frozen, compute=compute, outputs=outputs, layout=layout)
    given = Course(net, objective, optimizer, batches, fixed._replace(epochs=1), rates, control, score)
    for chunk in chunks(given, state, seconds=seconds):
        yield chunk.state(0), chunk.reports[0]


def chunks(
    given: Course,
    state: TrainState,
    *,
    unfinished: Unfinished | None = None,
    until: int | None = None,
    watched: bool = False,
    seconds: float = 0.0,
    between: Between | None = None,
) -> Iterator[Chunk]:
    """Train, as many epochs at a time as go into a call.

    Args:
      given: what is the same in all epochs.
      state: where to begin.
      unfinished: the epoch that it is in the middle of; None for none.
      until: the number of the last epoch; None for no end.
      watched: whether the state after each epoch is wanted: they then go one by one, unless all states are kept.
      seconds: what the run has taken before.
      between: is told the state and the unfinished epoch between two pieces of it; a true answer ends the run there.

    Raises:
      DivergenceError: as `epochs`.
    """
    seed = seed_of(state.key)
    epoch, step = int(state.epoch), int(state.step) - (unfinished.steps if unfinished else 0)
    began = time.perf_counter() - seconds
    state = stacked(state, given.fixed.runs)
    most = 1 if watched and not given.fixed.kept else given.fixed.epochs
    orders = Orders(given.batches, seed, given.fixed.epochs) if isinstance(given.batches, Batches) else None
    while until is None or epoch < until:
        n = most if until is None else min(most, until - epoch)
        before = time.perf_counter() - began
        if given.batches.cut:
            found = _in_pieces(given, seed, epoch, state, unfinished, began, between)
            if found is None:
                return
            state, sums, seen = found
            unfinished, after = None, lambda i, state=state: state
        else:
            assert orders is not None, "streamed epochs go in pieces"
            after, finite, seen = _together(given, orders, epoch, n, state, until)
            good = np.isfinite(seen.steps.J[:n]).all(axis=1)
            if not finite:
                good &= [*(bool(all_finite(given.net, after(i))) for i in range(n - 1)), False]
            if not good[0]:
                raise _divergence(given, seed, epoch, state, seen.steps.J[0])
            n = n if good.all() else int(good.argmin())
            state = after(n - 1)
            sums = _sums(seen.steps, n)
        now = time.perf_counter() - began
        epoch, step = epoch + n, step + n * given.batches.steps
        reports = _reports(given, sums, seen.validation, epoch, step, np.linspace(before, now, n + 1)[1:])
        yield Chunk(reports, lambda i, after=after: unstacked(after(i), given.fixed.runs))


# --- several epochs, or one -------------------------------------------------------------------------------------------


def _together(
    given: Course, orders: Orders, epoch: int, n: int, state: TrainState, until: int | None
) -> tuple[Callable[[int], TrainState], bool, Epoch]:
    """n epochs in a call: the state after the i-th of them, whether the last is finite, and what each reports."""
    batches, room = given.batches, given.fixed.epochs
    assert isinstance(batches, Batches)
    program = epochs_program(given.net, given.optimizer, given.fixed)
    order, alphas = orders.of(epoch, n), None
    if given.rates is not None:
        drawn = np.stack([given.rates(epoch + i) for i in range(n)])
        alphas = np.pad(drawn, ((0, room - n), (0, 0)))

    def run(n: int) -> Any:
        return program(
            state, batches.train, batches.validation, order, alphas, np.int32(n), given.objective, given.control
        )

    last, finite, seen, states = run(n)
    if n == 1 and (until is None or epoch + 1 < until):
        orders.ahead(epoch + 1)

    def after(i: int) -> TrainState:
        if i == n - 1:
            return last
        if states is None:
            return run(i + 1)[0]
        # NumPy's arrays: most of these states are looked at, and go no further
        return unpacked({dtype: np.asarray(vectors)[i] for dtype, vectors in states.items()}, last)

    return after, *jax.device_get((finite, seen))


def _sums(seen: Steps, n: int) -> Unfinished:
    """Of each of n epochs the sums over its steps, (n,)."""
    J, weight = seen.J[:n].astype(np.float64), seen.weight[:n].astype(np.float64)
    right = None if seen.right is None else seen.right[:n].sum(axis=1, dtype=np.float64)
    return Unfinished(J.shape[1], (J * weight).sum(axis=1), right, weight.sum(axis=1))


# --- a long epoch -----------------------------------------------------------------------------------------------------


def _in_pieces(
    given: Course,
    seed: tuple[int, ...],
    epoch: int,
    state: TrainState,
    unfinished: Unfinished | None,
    began: float,
    between: Between | None,
) -> tuple[TrainState, Unfinished, Epoch] | None:
    """An epoch by pieces: the state after it, its sums, (1,), and its report; None where it was wished to stop."""
    steps, over = piece_programs(given.net, given.optimizer, given.fixed)
    alphas = None if given.rates is None else given.rates(epoch)
    sums = unfinished or Unfinished()
    waiting = None  # the piece on the device: the state before it, and what it will report
    with closing(given.batches.pieces(seed, epoch, sums.steps)) as pieces:
        done = sums.steps
        for train, order in pieces:
            rates = None if alphas is None else alphas[done : done + len(order)]
            after, seen = steps(state, train, order, rates, given.objective, given.control)
            if waiting is not None:
                sums = _taken(given, seed, epoch, sums, *waiting)._replace(seconds=time.perf_counter() - began)
                if between is not None and between(unstacked(state, given.fixed.runs), sums):
                    return None
            waiting, state = (state, seen), after
            done += len(order)
    assert waiting is not None, "an epoch has steps"
    sums = _taken(given, seed, epoch, sums, *waiting)
    state, checked = over(state, given.batches.validation, given.objective)
    each = jax.tree.map(lambda value: np.asarray(value)[None], (sums._replace(steps=None), jax.device_get(checked)))
    return state, each[0]._replace(steps=sums.steps), Epoch(waiting[1][0], each[1])


def _taken(
    given: Course, seed: tuple[int, ...], epoch: int, sums: Unfinished, before: TrainState, told: tuple[Steps, Array]
) -> Unfinished:
    """The sums with those of a piece, which is waited for; an error where it has diverged."""
    seen, finite = jax.device_get(told)
    if not (finite and np.isfinite(seen.J).all()):
        raise _divergence(given, seed, epoch, before, seen.J, sums.steps)
    weight = seen.weight.astype(np.float64)
    return Unfinished(
        sums.steps + len(weight),
        sums.cost + float((seen.J.astype(np.float64) * weight).sum()),
        None if seen.right is None else (sums.right or 0.0) + float(seen.right.sum(dtype=np.float64)),
        sums.weight + float(weight.sum()),
        given.batches.batch_size,
    )


# --- what is told -----------------------------------------------------------------------------------------------------


def _reports(
    given: Course, sums: Unfinished, validation: Any, epoch: int, step: int, seconds: np.ndarray
) -> list[Report]:
    """The reports of epochs, the last of which is of this number and ends with this step."""
    n = len(seconds)
    none = [None] * n
    costs, accuracies = (sums.cost / sums.weight).tolist(), none
    if sums.right is not None:
        accuracies = (sums.right / sums.weight).tolist()
    checked = _validation(given, validation, n)
    numbers = range(epoch - n + 1, epoch + 1)
    steps = range(step - (n - 1) * given.batches.steps, step + 1, given.batches.steps)
    rates = none if given.rates is None else [float(given.rates(number - 1)[-1]) for number in numbers]
    columns = (costs, accuracies, *checked[:2], numbers, steps, seconds.tolist(), rates, checked[2])
    return [Report(*row) for row in zip(*columns, strict=True)]


def _validation(given: Course, checked: Any, n: int) -> tuple[list[Any], list[Any], list[Any]]:
    """Cost, accuracy and metrics of the validation part after each epoch."""
    none: list[Any] = [None] * n
    rows = given.batches.validation
    if checked is None or rows is None:
        return none, none, none
    J, right, outputs = checked
    accuracies = none if right is None else (right[:n].astype(np.float64) / rows.X.shape[0]).tolist()
    scores = none if given.score is None else [given.score(A.T) for A in outputs[:n]]
    return J[:n].astype(np.float64).tolist(), accuracies, scores


def _divergence(
    given: Course, seed: tuple[int, ...], epoch: int, state: TrainState, J: Any, done: int = 0
) -> Exception:
    """The error of the epoch, or of its piece after the steps that are done, that begins with this state."""
    alphas = None if given.rates is None else given.rates(epoch)[done:]
    again = partial(_step_again, given)
    pieces = given.batches.pieces(seed, epoch, done)
    state = unstacked(state, given.fixed.runs)
    return divergence(J, epoch + 1, int(state.step), given.net, state, again, pieces, alphas)


def _step_again(given: Course, state: TrainState, train: Rows, index: Any, rate: Any) -> tuple[TrainState, Array]:
    """A step of the epoch once more, and its X."""
    batch = gather(train, index)
    control, fixed = given.control._replace(rate=rate), given.fixed
    state, _, _ = update(
        state, batch, given.net, given.objective, given.optimizer, control, frozen=fixed.frozen, compute=fixed.compute
    )
    return state, batch.X
