"""The epochs of a run, as the host sees them: what it sends to the compiled programs, and what it reads back.

A block is what one call of the device brings back: the reports of some epochs, or a segment of a long epoch. The state
after each of them is there when it is asked for. The next segment is already on its way when a block is yielded, so the
device does not wait for the host.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jax import Array
from jax.typing import DTypeLike

from jaxmlp.errors import DivergenceError, InputError, sentence
from jaxmlp.fork import refuse_after_fork
from jaxmlp.nn.layer_stacks import stack_layers, unstack_layers
from jaxmlp.nn.network import Network
from jaxmlp.nn.objective import Objective
from jaxmlp.training.batches import Batches, Permutations, seed_words
from jaxmlp.training.divergence import divergence_error
from jaxmlp.training.engine import (
    EpochData,
    EpochMetrics,
    Hyperparameters,
    StepMetrics,
    ValidationMetrics,
    all_finite,
    block_program,
    segment_programs,
    unpack_state,
)
from jaxmlp.training.execution_plan import plan_execution
from jaxmlp.training.optimizer_identity import canonical_optimizer
from jaxmlp.training.run_spec import RunSpec
from jaxmlp.training.state import PartialEpoch, Report, TrainState
from jaxmlp.training.step import StaticConfig, StepOptions
from jaxmlp.training.streamed_batches import StreamedBatches


class EpochBlock(NamedTuple):
    """What one call of the device brings back: some epochs, or a segment of one.

    Attributes:
      reports: of the epochs; empty after a segment.
      state: i -> the state after the i-th epoch of the block, or after the segment.
      partial: sums of the epoch so far, after a segment; None after whole epochs.
    """

    reports: list[Report]
    state: Callable[[int], TrainState]
    partial: PartialEpoch | None = None


def epochs(
    net: Network,
    objective: Objective,
    optimizer: optax.GradientTransformation,
    state: TrainState,
    batches: Batches | StreamedBatches,
    *,
    rates: Callable[[int], np.ndarray] | None = None,
    options: StepOptions = StepOptions(),
    freeze: tuple[int, ...] = (),
    score: Callable[[np.ndarray], dict[str, float]] | None = None,
    compute_dtype: DTypeLike | None = None,
) -> Iterator[tuple[TrainState, Report]]:
    """Train without end, an epoch at a time; stop with `break`.

    Args:
      net: the network.
      objective: what is minimised.
      optimizer: any optax transformation.
      state: where to begin, from `init_state`.
      batches: from `make_batches` or `stream_batches`.
      rates: number of the epoch, from 0, -> α of each of its steps, which multiplies the optimizer's update; None for
        an optimizer that brings its own.
      options: clipping and averaging; its rate is that of `rates`.
      freeze: layers, counted from 1, that are not trained.
      score: outputs A of the validation part, one example per row -> metrics by name.
      compute_dtype: of the matrix products, where it is not that of the parameters.

    Yields:
      (state, report) after every epoch, the report with Python numbers.

    Raises:
      DivergenceError: when a cost is infinite or not a number, naming the step and the epoch.
      InputError: when the number of rates differs from the number of steps.

    >>> import jaxmlp
    >>> data = jaxmlp.load("xor")
    >>> net, optimizer, objective = jaxmlp.network_for(data, (8,), "tanh"), optax.adam(0.05), Objective()
    >>> state = jaxmlp.init_state(jax.random.key(0), net, optimizer)
    >>> batches = jaxmlp.make_batches(data, net, objective, "full")
    >>> for state, report in epochs(net, objective, optimizer, state, batches):
    ...     if report.cost < 0.01:
    ...         break
    >>> report.accuracy
    1.0
    """
    refuse_after_fork("epochs")
    if rates is not None and (shape := np.shape(rates(int(state.epoch)))) != (batches.steps,):
        expects = f"an array of {batches.steps}, one for each step of an epoch"
        raise InputError(sentence("rates", expects, f"shape {shape}", "give each step its α"))
    static = StaticConfig(net, canonical_optimizer(optimizer), batches.task, freeze, compute_dtype, score is not None)
    # every state is yielded, so a call has one epoch
    plan = plan_execution(static, state, batches)._replace(capacity=1)
    spec = RunSpec(static, plan, batches, Hyperparameters(objective, options), rates, score)
    for block in run_epochs(spec, state):
        for i, report in enumerate(block.reports):
            yield block.state(i), report


def run_epochs(
    spec: RunSpec,
    state: TrainState,
    *,
    partial: PartialEpoch | None = None,
    until: int | None = None,
    states_needed: bool = False,
    seconds: float = 0.0,
) -> Iterator[EpochBlock]:
    """Train, as many epochs in a call as the plan allows.

    Args:
      spec: what is the same in all epochs.
      state: where to begin.
      partial: the epoch that it is in the middle of; None for none.
      until: the number of the last epoch; None for no end.
      states_needed: whether the state after each epoch is needed: they then run one by one, unless all states are kept.
      seconds: how long the run has taken before.

    Raises:
      DivergenceError: as `epochs`.
    """
    run, plan, batches = _Run(spec, state, seconds), spec.plan, spec.batches
    if isinstance(batches, StreamedBatches) or batches.is_segmented:
        while until is None or run.epoch < until:
            yield from run.segmented_epoch(partial)
            partial = None
        return
    program, data = block_program(spec.static, plan), EpochData(batches.train, batches.validation)
    orders = Permutations(batches, run.seed, plan.capacity)
    # a state that is not kept would be computed again for every callback that asks for it
    capacity = 1 if states_needed and not plan.keep_states else plan.capacity
    while until is None or run.epoch < until:
        # the plan's capacity gives the shapes, n the work: the shorter last call runs the same program
        n, before = capacity if until is None else min(capacity, until - run.epoch), run.elapsed()
        hyper = run.hyper_of(n)
        inputs = run.state, data, orders.get(run.epoch, n), hyper
        last, finite, metrics, packed = program(*inputs, np.int32(n))
        # JAX returns before the device has finished: the next order is drawn meanwhile
        if n == 1 and (until is None or run.epoch + 1 < until):
            orders.prefetch(run.epoch + 1)
        states = _BlockStates(program, inputs, n, last, packed)
        # here the host waits for the device; one transfer brings all
        finite, metrics = jax.device_get((finite, metrics))
        # An epoch that diverges in the middle ends the block before it. The callbacks see the good epochs, then the
        # next call begins with the bad one and raises.
        n_good = run.count_good(states, finite, metrics, n)
        run.state = states.after(n_good - 1)
        reports = run.advance(metrics, n_good, before, hyper.rates)
        yield EpochBlock(reports, lambda i, states=states: unstack_layers(states.after(i), plan.runs))


class _BlockStates(NamedTuple):
    """The states after the n epochs of a call."""

    program: Callable[..., Any]
    inputs: tuple[Any, ...]
    n: int
    last: TrainState
    packed: dict[str, Any] | None

    def after(self, i: int) -> TrainState:
        """Return the state after the i-th epoch; where states are not kept, the call is repeated up to it."""
        if i == self.n - 1:
            return self.last
        if self.packed is None:
            # the same program on the same inputs: bit for bit the state that the call had passed through
            return self.program(*self.inputs, np.int32(i + 1))[0]
        # NumPy's arrays: most of these states are only looked at, and a slice on the device is a program
        return unpack_state({dtype: np.asarray(vectors)[i] for dtype, vectors in self.packed.items()}, self.last)


class _Run:
    """A run in progress: the state on the device, with equal layers stacked, and the numbers of epoch and step."""

    def __init__(self, spec: RunSpec, state: TrainState, seconds: float) -> None:
        self.spec = spec
        self.seed = seed_words(state.key)
        self.epoch, self.step = int(state.epoch), int(state.step)
        self.state = stack_layers(state, spec.plan.runs)
        self.began = time.perf_counter() - seconds

    def elapsed(self) -> float:
        """Return how long the run has taken, in seconds."""
        return time.perf_counter() - self.began

    def hyper_of(self, n: int) -> Hyperparameters:
        """Return the numbers of the next n epochs, their rates with a leading axis of the capacity."""
        if self.spec.rates is None:
            return self.spec.hyper
        # padded to the capacity, because another shape would be another program
        rates = np.array([self.spec.rates(self.epoch + i) for i in range(n)])
        return self.spec.hyper._replace(rates=np.pad(rates, ((0, self.spec.plan.capacity - n), (0, 0))))

    def count_good(self, states: "_BlockStates", finite: bool, metrics: EpochMetrics, n: int) -> int:
        """Return how many of n epochs went well, before the first whose cost or parameters are not finite.

        Raises:
          DivergenceError: when the first has diverged.
        """
        J = np.asarray(metrics.steps.J[:n])  # (n, steps)
        good: Any = np.isfinite(J).all(axis=1)
        if not finite:
            # the call tells only of the state after its last epoch; the first bad one is looked for only now
            earlier = (bool(all_finite(self.spec.static.net, states.after(i))) for i in range(n - 1))
            good = good & np.array([*earlier, False])
        if not good[0]:
            raise self._divergence(J[0])
        return n if good.all() else int(good.argmin())  # argmin of booleans: the place of the first False

    # --- a long epoch, a segment in a call ---

    def segmented_epoch(self, partial: PartialEpoch | None) -> Iterator[EpochBlock]:
        """Train an epoch in segments, and yield a block after each; the last one has the report of the epoch."""
        spec, before = self.spec, self.elapsed()
        train_segment, end = segment_programs(spec.static, spec.plan)
        rates = None if spec.rates is None else spec.rates(self.epoch)
        sums = partial or PartialEpoch()  # of the steps that were done before a stop
        self.step -= sums.steps  # of the beginning of the epoch
        pending: tuple[TrainState, Any] | None = None  # the state before the segment on the device, and its metrics
        with closing(spec.batches.segments(self.seed, self.epoch, sums.steps)) as segments:
            done = sums.steps
            for rows, order in segments:
                steps = 1 if order is None else len(order)
                # the last segment may be shorter than the others: its shapes cost one more compilation
                hyper = spec.hyper._replace(rates=None if rates is None else rates[done : done + steps])
                after, metrics = train_segment(self.state, rows, order, hyper)
                # this segment is on its way, so reading the metrics of the one before does not leave the device idle;
                # self.state is still the state between the two
                if pending is not None:
                    sums = self._add(sums, *pending)._replace(seconds=self.elapsed())
                    state = self.state
                    yield EpochBlock([], lambda i, state=state: unstack_layers(state, spec.plan.runs), sums)
                pending, self.state = (self.state, metrics), after
                done += steps
        assert pending is not None, "an epoch has steps"
        sums = self._add(sums, *pending)
        # the sums of the whole epoch become one step, so that its report is made like that of a short epoch
        self.state, validation = end(self.state, spec.batches.validation, spec.hyper.objective)
        one_epoch = jax.tree.map(lambda value: np.asarray(value)[None], jax.device_get(validation))
        reports = self.advance(
            EpochMetrics(_as_steps(sums), one_epoch), 1, before, None if rates is None else rates[None]
        )
        state = self.state
        yield EpochBlock(reports, lambda i: unstack_layers(state, spec.plan.runs))

    def _add(self, sums: PartialEpoch, before: TrainState, pending: object) -> PartialEpoch:
        """Return the sums with those of a segment, which is waited for.

        Raises:
          DivergenceError: when the segment has diverged.
        """
        metrics, finite = jax.device_get(pending)
        if not (finite and np.isfinite(metrics.J).all()):
            raise self._divergence(metrics.J, before, sums.steps)
        cost, correct, weight = _weighted_sums(jax.tree.map(lambda array: array[None], metrics), 1)
        n_correct = None if correct is None else (sums.n_correct or 0.0) + float(correct[0])
        steps, cost, weight = sums.steps + len(metrics.J), sums.cost + float(cost[0]), sums.weight + float(weight[0])
        return PartialEpoch(steps, cost, n_correct, weight, self.spec.batches.batch_size)

    # --- reports ---

    def advance(self, metrics: EpochMetrics, n: int, before: float, rates: Array | np.ndarray | None) -> list[Report]:
        """Count n epochs and return their reports; the time of a call is divided evenly among its epochs.

        Args:
          metrics: of the call.
          n: how many of its epochs went well.
          before: the seconds of the run before the call.
          rates: α of each step of these epochs, (≥ n, steps); None without.
        """
        spec, none = self.spec, [None] * n
        # columns first, then reports: a short epoch takes less time than a few calls of NumPy
        cost, correct, weight = _weighted_sums(metrics.steps, n)  # (n,) each
        accuracies = none if correct is None else (correct / weight).tolist()
        validation = self._validation(metrics.validation, n)
        seconds = np.linspace(before, self.elapsed(), n + 1)[1:].tolist()
        numbers = range(self.epoch + 1, self.epoch + n + 1)
        steps = range(self.step + spec.batches.steps, self.step + n * spec.batches.steps + 1, spec.batches.steps)
        last_rates = none if rates is None else rates[:n, -1].tolist()
        self.epoch, self.step = numbers[-1], steps[-1]
        columns = (
            (cost / weight).tolist(),
            accuracies,
            *validation[:2],
            numbers,
            steps,
            seconds,
            last_rates,
            validation[2],
        )
        return list(map(Report._make, zip(*columns, strict=True)))

    def _validation(self, metrics: ValidationMetrics | None, n: int) -> tuple[list[Any], list[Any], list[Any]]:
        """Return cost, accuracy and metrics of the validation part after each of n epochs."""
        none: list[Any] = [None] * n
        if metrics is None:
            return none, none, none
        costs, accuracies, score = metrics.J[:n].astype(np.float64).tolist(), none, self.spec.score
        if metrics.n_correct is not None:
            accuracies = (metrics.n_correct[:n].astype(np.float64) / metrics.weight[:n]).tolist()
        if score is None or metrics.outputs is None:
            return costs, accuracies, none
        # an epoch has A as (n_L, m), and metrics take an example per row
        return costs, accuracies, [score(A.T) for A in np.asarray(metrics.outputs[:n])]

    def _divergence(self, J: np.ndarray, state: TrainState | None = None, done: int = 0) -> DivergenceError:
        """Return the error of the epoch, or of its segment after the steps that are done, that begins with a state."""
        spec = self.spec
        rates = None if spec.rates is None else spec.rates(self.epoch)[done:]
        # the same rows once more: their order follows from seed and epoch alone
        segments = spec.batches.segments(self.seed, self.epoch, done)
        first = unstack_layers(self.state if state is None else state, spec.plan.runs)  # the error names a single layer
        return divergence_error(J, self.epoch + 1, spec.static, spec.hyper, first, segments, rates)


def _weighted_sums(steps: StepMetrics, n: int) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Return Σ w J, the number classified correctly and Σ w of n epochs, in float64: float32 would lose digits."""
    J, weight = (np.asarray(array[:n], np.float64) for array in (steps.J, steps.weight))
    correct = None if steps.n_correct is None else np.asarray(steps.n_correct[:n], np.float64).sum(axis=1)
    return (J * weight).sum(axis=1), correct, weight.sum(axis=1)


def _as_steps(sums: PartialEpoch) -> StepMetrics:
    """Return the sums of a whole epoch as a single step with their mean cost, with a leading axis of one epoch."""
    correct = None if sums.n_correct is None else np.full((1, 1), sums.n_correct)
    return StepMetrics(np.full((1, 1), sums.cost / sums.weight), correct, np.full((1, 1), sums.weight))  # pyright: ignore[reportArgumentType]
