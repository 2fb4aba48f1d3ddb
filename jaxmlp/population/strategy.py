"""The strategies that run a population: all members at once, in chunks that fit the memory, or one after the other.

    vmap      one program runs all members
    chunks    the same program runs as many members as fit the memory, chunk after chunk
    loop      a program runs one member; on a CPU one such program runs on each core

XLA reports the memory that a program needs, and a short run of each strategy measures which one is faster. On a GPU it
is vmap by far. On a CPU it depends on the overhead between the products of a single run, and on the load of the cores.
"""

import math
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from threading import Event, Lock
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.nn.network import Params
from jaxmlp.nn.program_store import MAX_FUNCTIONS
from jaxmlp.parallel.processors import n_processors, on_cpu
from jaxmlp.population.programs import InitialState, MemberInputs, ProgramKey, SharedRows, population_programs
from jaxmlp.training.execution_plan import is_small

STRATEGIES = ("auto", "vmap", "chunks", "loop")
MIN_PROBE_SECONDS = 0.03  # a shorter run is too noisy to compare
MAX_ORDER_BYTES = 1 << 24  # the memory for the orders of rows in a call
MAX_EPOCHS_PER_CALL = 1000  # Ctrl-C takes effect between two calls


class Strategy(NamedTuple):
    """The strategy that ran a population.

    Attributes:
      name: "vmap", "chunks" or "loop".
      size: the number of members per program.
      workers: the number of programs that run at the same time.
      reason: the reason for the choice, in words.
    """

    name: str
    size: int
    workers: int
    reason: str


class PopulationJob(NamedTuple):
    """Everything that is needed to run a population.

    Attributes:
      key: the settings for which its programs are compiled.
      initial, inputs: the initial states and the inputs of its members, as NumPy arrays with a leading axis of members.
      rows: the rows, on the device.
      get_orders: (members, first epoch) -> the orders, (members, capacity, steps, B), without the first axis if all
        members share them, None for full batches; and the rates, (members, capacity, steps), or None.
      steps, batch_size: the number of steps in an epoch, and of rows in a step; batch_size is None for full batches.
      has_rates: whether `get_orders` returns rates.
      shared_order: whether all members have the same order.
      epochs: the number of epochs.
      n_members: the number of members.
    """

    key: ProgramKey
    initial: InitialState
    inputs: MemberInputs
    rows: SharedRows
    get_orders: Callable[[np.ndarray, int], tuple[Any, Any]]
    steps: int
    batch_size: int | None
    has_rates: bool
    shared_order: bool
    epochs: int
    n_members: int


def epochs_per_call(epochs: int, order_bytes: int) -> int:
    """Return the number of epochs in a call: many if no orders are sent, fewer if the orders take much memory.

    >>> epochs_per_call(10_000, 0), epochs_per_call(30, 100_000), epochs_per_call(30, 10**9)
    (1000, 8, 1)
    """
    if not order_bytes:
        return min(epochs, MAX_EPOCHS_PER_CALL)
    # at least four calls: while one call runs, the host draws the orders of the next one
    return max(1, min(math.ceil(epochs / 4), MAX_EPOCHS_PER_CALL, MAX_ORDER_BYTES // order_bytes))


def run_population(
    job: PopulationJob, strategy: str, memory: float | None, progress: Callable[[int, int], Any] | None
) -> tuple[Params, np.ndarray, Strategy]:
    """Return the parameters of all members, their metrics (members, epochs, 5), and the strategy that was used."""
    best = _choose(job, strategy, memory)
    done, lock = 0, Lock()

    def advance(finished: int) -> None:
        nonlocal done
        with lock:
            done += finished
            if progress is not None:
                progress(done, job.n_members * job.epochs)

    runs = _compile(job, best.size)
    # each task is one chunk: with "loop" a single member, so that every core has a program of its own
    tasks = [
        lambda stopped, chunk=chunk: _run_chunk(job, runs, chunk, stopped, advance) for chunk in _chunks(job, best)
    ]
    parts = _in_parallel(tasks, best.workers)
    # the copies that fill the last chunk are cut off
    params, metrics = jax.tree.map(lambda *leaves: np.concatenate(leaves)[: job.n_members], *parts)
    return params, metrics, best


# --- the choice -------------------------------------------------------------------------------------------------------


def _choose(job: PopulationJob, strategy: str, memory: float | None) -> Strategy:
    """Return the requested strategy, or for "auto" the faster one in a short run of each."""
    n = job.n_members
    workers = n_processors() if on_cpu() else 1  # an accelerator takes one program at a time
    loop = Strategy("loop", 1, min(workers, n), "requested")
    if n == 1:
        return loop._replace(reason="a single member")
    if strategy == "loop":
        return loop
    if strategy != "auto":
        return _vmap_or_chunks(job, memory, workers if strategy == "chunks" else 1, "requested")
    # the loop first: if it ends before XLA would have compiled the program of vmap, no comparison is needed
    seconds = {loop: _measure(job, loop)} if workers > 1 else {}
    # the compilation for the loop has just been timed, and stands for that of the other program
    if seconds and seconds[loop] * n * job.epochs < _measurements(job.key).compilation_seconds:
        return loop._replace(reason="finished before another program would be compiled")
    vectorized = _vmap_or_chunks(job, memory, 1, "measured")
    seconds |= {candidate: _measure(job, candidate) for candidate in (vectorized, loop)}
    best = min(seconds, key=seconds.__getitem__)
    times = ", ".join(f"{candidate.name} {1e6 * seconds[candidate]:.3g}" for candidate in (vectorized, loop))
    reason = vectorized.reason if best == vectorized else "measured"
    return best._replace(reason=f"{reason}; µs per member and epoch: {times}")


def _vmap_or_chunks(job: PopulationJob, memory: float | None, workers: int, reason: str) -> Strategy:
    """Return vmap, or chunks of as many members as fit the memory; every worker gets at least one chunk."""
    n, n_fitting = job.n_members, _members_in_memory(job, memory)
    size = min(n_fitting, math.ceil(n / workers))  # 10 members, 4 workers: chunks of 3, 3, 3 and 1
    name = "vmap" if size == n else "chunks"
    if n_fitting < n:
        reason = f"{reason}, {n_fitting} of {n} members fit the memory"
    return Strategy(name, size, min(workers, math.ceil(n / size)), reason)


def _measure(job: PopulationJob, strategy: Strategy) -> float:
    """Return the seconds per member and epoch; an equal population is not measured twice."""
    seconds = _measurements(job.key).seconds
    # [:3]: the reason of a choice does not change its speed
    key = strategy[:3], job.n_members, job.shared_order, job.rows.train.X.shape, job.key.capacity, job.batch_size
    if key not in seconds:
        seconds[key] = _probe(job, strategy)
    return seconds[key]


def _members_in_memory(job: PopulationJob, memory: float | None) -> int:
    """Return the maximum number of members of one program."""
    n, budget = job.n_members, _available_bytes() if memory is None else memory
    needed = _required_bytes(job, n)
    if needed <= budget:
        return n
    # The bytes are nearly linear in the number of members, so two programs give the bytes of each further member. The
    # first member is in `minimum`, hence the + 1.
    minimum = _required_bytes(job, 1)
    bytes_per_member = max((needed - minimum) / (n - 1), 1)
    limit = max(1, min(n - 1, int((budget - minimum) / bytes_per_member) + 1))
    # the same number of chunks, but of equal size: the last one then contains little padding
    return math.ceil(n / math.ceil(n / limit))


def _required_bytes(job: PopulationJob, n: int) -> float:
    """Return the bytes that a program of n members needs, as XLA reports them."""
    analysis = _compile(job, n).run.memory_analysis()
    if analysis is None:  # a backend that does not report it
        return 0.0
    return analysis.argument_size_in_bytes + analysis.output_size_in_bytes + analysis.temp_size_in_bytes


def _available_bytes() -> float:
    """Return the bytes that a population may take: half of the free memory."""
    statistics = jax.devices()[0].memory_stats() or {}
    if "bytes_limit" in statistics:
        return (statistics["bytes_limit"] - statistics.get("bytes_in_use", 0)) / 2
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2
    except (AttributeError, ValueError, OSError):  # macOS and Windows do not report it
        return float(1 << 32)


def _probe(job: PopulationJob, strategy: Strategy) -> float:
    """Return the seconds per member and epoch, from a run of the first epochs that is long enough to be measured."""
    chunks = _chunks(job, strategy)[: strategy.workers]
    runs = _compile(job, strategy.size)

    def make_task(chunk: np.ndarray) -> Callable[[int], Any]:
        initial, inputs = _members_of(job, chunk)
        arguments = runs.begin(initial), jax.device_put(inputs), job.rows, *job.get_orders(chunk, 0)
        # JAX returns before the device has finished: without waiting, only the start of the program would be timed
        return lambda count: jax.block_until_ready(runs.run(*arguments, np.int32(count)))

    tasks = [make_task(chunk) for chunk in chunks]

    def run_tasks(count: int) -> float:
        start = time.perf_counter()
        _in_parallel([lambda stopped, task=task: task(count) for task in tasks], strategy.workers)
        return time.perf_counter() - start

    count = 1
    run_tasks(1)  # not counted: the first call also initialises the program
    while (elapsed := run_tasks(count)) < MIN_PROBE_SECONDS and count < job.key.capacity:
        count = min(4 * count, job.key.capacity)
    elapsed = min(elapsed, run_tasks(count))  # the smaller of two, because other processes may slow one of them down
    return elapsed / (count * sum(map(len, chunks)))


# --- running ----------------------------------------------------------------------------------------------------------


def _chunks(job: PopulationJob, strategy: Strategy) -> list[np.ndarray]:
    """Return the members of each chunk; copies of the last member fill the last chunk, so that one program runs all."""
    n = math.ceil(job.n_members / strategy.size) * strategy.size  # a whole number of chunks
    return np.split(np.minimum(np.arange(n), job.n_members - 1), n // strategy.size)  # 5 in twos: 0 1, 2 3, 4 4


# Programs are compiled in the main thread: settings of a `with` statement (x64, promotion) hold in one thread only.


class CompiledRuns(NamedTuple):
    """`PopulationPrograms` compiled for a number of members."""

    begin: Any
    run: Any
    finish: Any


class Measurements:
    """Measurements of a population's programs: the longest time of a compilation, and the speed of each strategy."""

    def __init__(self) -> None:
        self.compilation_seconds = 0.0
        self.seconds: dict[Any, float] = {}


@lru_cache(maxsize=MAX_FUNCTIONS)
def _measurements(key: ProgramKey) -> Measurements:
    return Measurements()


def _compile(job: PopulationJob, size: int) -> CompiledRuns:
    """Return the programs for `size` members, compiled for the shapes of this population."""
    m, validation, held_out = job.rows.train.X.shape[0], job.rows.validation, job.inputs.held_out
    n_validation = 0 if validation is None else validation.X.shape[0]
    n_validation = n_validation if held_out is None else held_out.shape[1]
    small = is_small(job.key.static.net, m, job.batch_size or m, n_validation=n_validation, members=size)
    # the first member, `size` times: its shapes are those of every member
    programs, (initial, inputs) = population_programs(job.key, small), _members_of(job, np.zeros(size, int))
    axes = (size, job.key.capacity, job.steps)  # members, epochs, steps
    orders, rates = np.empty((*axes[job.shared_order :], job.batch_size or 0), np.int32), np.empty(axes, np.float64)
    feed = (orders if job.batch_size else None, rates if job.has_rates else None)
    # only shapes are needed: nothing is computed or sent to the device before the strategy is chosen
    state = jax.eval_shape(programs.begin, initial)
    arguments = jax.eval_shape(lambda *values: values, initial, inputs, job.rows, *feed, np.int32(0))
    run = programs.run_shared_order if job.shared_order else programs.run
    start = time.perf_counter()
    compiled = CompiledRuns(
        programs.begin.compile(arguments[0]), run.compile(state, *arguments[1:]), programs.finish.compile(state)
    )
    # the maximum, because a program that was compiled before takes no time
    measurements = _measurements(job.key)
    measurements.compilation_seconds = max(measurements.compilation_seconds, time.perf_counter() - start)
    return compiled


def _members_of(job: PopulationJob, chunk: np.ndarray) -> tuple[InitialState, MemberInputs]:
    return jax.tree.map(lambda array: array[chunk], (job.initial, job.inputs))


def _run_chunk(
    job: PopulationJob, runs: CompiledRuns, chunk: np.ndarray, stopped: Event, advance: Callable[[int], None]
) -> Any:
    """Run all epochs of a chunk, and return its parameters and metrics."""
    capacity = job.key.capacity  # epochs in a call
    initial, inputs = _members_of(job, chunk)
    state, inputs = runs.begin(initial), jax.device_put(inputs)
    metrics: list[Any] = []
    for first in range(0, job.epochs, capacity):
        # another chunk has failed, or the user has pressed Ctrl-C: the results of this chunk would not be used
        if stopped.is_set():
            break
        count = min(capacity, job.epochs - first)
        feed = job.get_orders(chunk, first)
        state, newest = runs.run(state, inputs, job.rows, *feed, np.int32(count))
        if metrics:
            jax.block_until_ready(metrics[-1])  # at most one call waits on the device, because its orders take memory
            advance(len(chunk) * capacity)
        metrics.append(newest)
    # the metrics of a call have the length of its capacity: the last call may have run fewer epochs
    params = jax.device_get(runs.finish(state))
    advance(len(chunk) * (job.epochs - (len(metrics) - 1) * capacity))  # what its calls have not counted yet
    return params, np.concatenate(jax.device_get(metrics), axis=1)[:, : job.epochs]


def _in_parallel(tasks: Sequence[Callable[[Event], Any]], workers: int) -> list[Any]:
    """Run all tasks, at most `workers` at the same time, and return their results; an error stops the other tasks."""
    stopped = Event()
    if workers == 1:
        return [task(stopped) for task in tasks]
    # a `with jax.enable_x64(...)` of the caller holds in this thread only, so each worker enters the same setting
    x64 = bool(jnp.zeros(()).dtype == np.float64)

    def with_settings(task: Callable[[Event], Any]) -> Any:
        with jax.enable_x64(x64):
            return task(stopped)

    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(with_settings, task) for task in tasks]
        try:
            return [future.result() for future in futures]
        except BaseException:  # Ctrl-C as well, which Python raises in this thread
            stopped.set()
            pool.shutdown(cancel_futures=True)
            raise
