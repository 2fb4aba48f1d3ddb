"""How a population is run: all members at once, in chunks that fit the memory, or one after the other.

    vmap      one program over all members
    chunks    the same over as many as the memory holds, chunk after chunk
    loop      a member at a time, on a CPU one on each core

XLA says what a program needs, and a short run of each says which is faster: on a GPU the first by far; on a CPU it
depends on how much of a single run is the calls between its products, and on whether its cores are free.
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
from jaxmlp.nn.normalization import wide
from jaxmlp.training.population import FIGURES, Data, Kind, Lane, Seed, programs
from jaxmlp.training.program import ONE_THREAD, is_small

STRATEGIES = ("auto", "vmap", "chunks", "loop")
PROBE = 0.03  # seconds that a probe should last at least, so that a clock can tell
ORDERS = 1 << 24  # bytes of row orders that are sent to the device at once
EPOCHS = 1000  # at most, per call: so that a run can be interrupted


class Strategy(NamedTuple):
    """How a population was run.

    Attributes:
      name: "vmap", "chunks" or "loop".
      size: members per program.
      workers: programs that ran at the same time.
      reason: why, in words.
    """

    name: str
    size: int
    workers: int
    reason: str


class Work(NamedTuple):
    """A population ready to run.

    Attributes:
      kind: what its programs are compiled for.
      seeds, lanes: of its members, as NumPy arrays with a leading axis.
      data: the rows, on the device.
      feed: (members, first epoch, K) -> the orders, (members, K, steps, B), without the first axis if all are alike,
        None for full batches; and the rates, (members, K, steps), or None.
      steps, batch: of an epoch, and the rows in a step; None for full batches.
      rated: whether there are rates.
      alike: whether all members share one order.
      epochs, per_call: how many, and K.
      members: how many.
    """

    kind: Kind
    seeds: Seed
    lanes: Lane
    data: Data
    feed: Callable[[np.ndarray, int, int], tuple[Any, Any]]
    steps: int
    batch: int | None
    rated: bool
    alike: bool
    epochs: int
    per_call: int
    members: int


def epochs_per_call(epochs: int, order_bytes: int) -> int:
    """How many epochs a call runs: many where they are short, fewer where their orders are long.

    >>> epochs_per_call(10_000, 0), epochs_per_call(30, 100_000), epochs_per_call(30, 10**9)
    (1000, 8, 1)
    """
    if not order_bytes:
        return min(epochs, EPOCHS)
    # at least four calls: while one runs, the host draws the orders of the next
    return max(1, min(math.ceil(epochs / 4), EPOCHS, ORDERS // order_bytes))


def run(
    work: Work, strategy: str, memory: float | None, progress: Callable[[int, int], Any] | None
) -> tuple[Params, np.ndarray, Strategy]:
    """The parameters of all members, their figures (members, epochs, 5), and how it was done."""
    best = _choose(work, strategy, memory)
    done, lock = 0, Lock()

    def advance(finished: int) -> None:
        nonlocal done
        with lock:
            done += finished
            if progress is not None:
                progress(done, work.members * work.epochs)

    runs = _compiled(work, best.size)
    jobs = [
        lambda stopped, chunk=chunk: _run_chunk(work, runs, chunk, stopped, advance) for chunk in _chunks(work, best)
    ]
    parts = _side_by_side(jobs, best.workers)
    params, figures = jax.tree.map(lambda *leaves: np.concatenate(leaves)[: work.members], *parts)
    return params, figures, best


# --- the choice -------------------------------------------------------------------------------------------------------


def _choose(work: Work, strategy: str, memory: float | None) -> Strategy:
    """The strategy that was asked for, or that a short run of each finds to be the faster."""
    n = work.members
    workers = cores() if jax.default_backend() == "cpu" else 1  # an accelerator takes one program at a time
    loop = Strategy("loop", 1, min(workers, n), "asked for")
    if n == 1:
        return loop._replace(reason="a single member")
    if strategy == "loop":
        return loop
    if strategy != "auto":
        return _together(work, memory, workers if strategy == "chunks" else 1, "asked for")
    seconds = {loop: _measured(work, loop)} if workers > 1 else {}
    if seconds and seconds[loop] * n * work.epochs < _ahead(work.kind).seconds:
        return loop._replace(reason="over before another program would be compiled")
    rival = _together(work, memory, 1, "measured")
    seconds |= {tried: _measured(work, tried) for tried in (rival, loop)}
    best = min(seconds, key=seconds.__getitem__)
    times = ", ".join(f"{tried.name} {1e6 * seconds[tried]:.3g}" for tried in (rival, loop))
    reason = rival.reason if best == rival else "measured"
    return best._replace(reason=f"{reason}; µs per member and epoch: {times}")


def _together(work: Work, memory: float | None, workers: int, reason: str) -> Strategy:
    """All members in a program, or as many as fit the memory; on several workers a chunk for each at least."""
    n, fitting = work.members, _fitting(work, memory)
    size = min(fitting, math.ceil(n / workers))
    name = "vmap" if size == n else "chunks"
    if fitting < n:
        reason = f"{reason}, {fitting} of {n} members fit the memory"
    return Strategy(name, size, min(workers, math.ceil(n / size)), reason)


def _measured(work: Work, strategy: Strategy) -> float:
    """Seconds per member and epoch; the same population is not measured twice."""
    known = _ahead(work.kind).measured
    key = strategy[:3], work.members, work.alike, work.data.train.X.shape, work.per_call, work.batch
    if key not in known:
        known[key] = _probe(work, strategy)
    return known[key]


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _fitting(work: Work, memory: float | None) -> int:
    """How many members one program may take."""
    n, budget = work.members, _free() if memory is None else memory
    needed = _needs(work, n)
    if needed <= budget:
        return n
    fixed = _needs(work, 1)  # what every program needs: the rows, and one member
    each = max((needed - fixed) / (n - 1), 1)
    most = max(1, min(n - 1, int((budget - fixed) / each) + 1))
    return math.ceil(n / math.ceil(n / most))


def _needs(work: Work, n: int) -> float:
    """Bytes of a run of n members, as XLA counts them."""
    analysis = _compiled(work, n).run.memory_analysis()
    if analysis is None:  # a backend that does not tell
        return 0.0
    return analysis.argument_size_in_bytes + analysis.output_size_in_bytes + analysis.temp_size_in_bytes


def _free() -> float:
    """Bytes that a population may take: half of what is there."""
    statistics = jax.devices()[0].memory_stats() or {}
    if "bytes_limit" in statistics:
        return (statistics["bytes_limit"] - statistics.get("bytes_in_use", 0)) / 2
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2
    except (AttributeError, ValueError, OSError):  # macOS and Windows do not say
        return float(1 << 32)


def _probe(work: Work, strategy: Strategy) -> float:
    """Seconds per member and epoch: of the first epochs, as many of them as a clock needs."""
    chunks = _chunks(work, strategy)[: strategy.workers]
    runs = _compiled(work, strategy.size)

    def job(chunk: np.ndarray) -> Callable[[int], Any]:
        seeds, lane = _members_of(work, chunk)
        ready = runs.begin(seeds), jax.device_put(lane), work.data, *work.feed(chunk, 0, work.per_call), runs.blank
        return lambda count: jax.block_until_ready(runs.run(*ready, np.int32(count)))

    jobs = [job(chunk) for chunk in chunks]

    def seconds(count: int) -> float:
        began = time.perf_counter()
        _side_by_side([lambda stopped, job=job: job(count) for job in jobs], strategy.workers)
        return time.perf_counter() - began

    count = 1
    seconds(1)  # whatever a first call costs
    while (taken := seconds(count)) < PROBE and count < work.per_call:
        count = min(4 * count, work.per_call)
    taken = min(taken, seconds(count))  # the better of two: others use this machine too
    return taken / (count * sum(map(len, chunks)))


# --- running ----------------------------------------------------------------------------------------------------------


def _chunks(work: Work, strategy: Strategy) -> list[np.ndarray]:
    """The members of each program; the last one is filled up with the last member, so that one program serves all."""
    n = math.ceil(work.members / strategy.size) * strategy.size
    return np.split(np.minimum(np.arange(n), work.members - 1), n // strategy.size)


# Tracing belongs to the main thread, whose settings (x64, promotion) a worker does not have: programs are compiled
# ahead and found again by the shapes that they take.


class Runs(NamedTuple):
    """`Programs` compiled for a number of members, and the blank for their figures."""

    begin: Any
    run: Any
    finish: Any
    blank: np.ndarray


class Ahead:
    """What is known of a kind of population: its compiled runs, how long the last took to compile, and speeds."""

    def __init__(self) -> None:
        self.compiled: dict[Any, Any] = {}
        self.measured: dict[Any, float] = {}
        self.seconds = 0.0


@lru_cache(maxsize=16)
def _ahead(kind: Kind) -> Ahead:
    return Ahead()


def _compiled(work: Work, size: int) -> Runs:
    """The programs of so many members, compiled for the shapes of this population."""
    made, seeds, lane = programs(work.kind), *_members_of(work, np.zeros(size, int))
    axes = (size, work.per_call, work.steps)
    order, rates = np.empty((*axes[work.alike :], work.batch or 0), np.int32), np.empty(axes, np.float64)
    given = (order if work.batch else None, rates if work.rated else None)
    blank = np.full((work.per_call, len(FIGURES)), np.nan, wide(work.data.train.X.dtype))
    state = jax.eval_shape(made.begin, seeds)
    arguments = jax.eval_shape(lambda *rest: rest, seeds, lane, work.data, *given, blank, np.int32(0))
    leaves, structure = jax.tree.flatten(arguments)
    key = structure, tuple((leaf.shape, leaf.dtype) for leaf in leaves), work.alike
    ahead = _ahead(work.kind)
    if key not in ahead.compiled:
        began = time.perf_counter()
        function = made.run_alike if work.alike else made.run
        m, validation, held = work.data.train.X.shape[0], work.data.validation, work.lanes.held
        n_checked = held.shape[1] if held is not None else 0 if validation is None else validation.X.shape[0]
        small = is_small(work.kind.net, m, work.batch or m, n_checked=n_checked, members=size)
        ahead.compiled[key] = Runs(
            made.begin.lower(arguments[0]).compile(),
            function.lower(state, *arguments[1:]).compile(ONE_THREAD if small else None),
            made.finish.lower(state).compile(),
            blank,
        )
        ahead.seconds = time.perf_counter() - began
    return ahead.compiled[key]


def _members_of(work: Work, chunk: np.ndarray) -> tuple[Seed, Lane]:
    return jax.tree.map(lambda array: array[chunk], (work.seeds, work.lanes))


def _run_chunk(work: Work, runs: Runs, chunk: np.ndarray, stopped: Event, advance: Callable[[int], None]) -> Any:
    """All epochs of a chunk: its parameters and figures."""
    seeds, lane = _members_of(work, chunk)
    state, lane = runs.begin(seeds), jax.device_put(lane)
    figures: list[Any] = []
    for first in range(0, work.epochs, work.per_call):
        if stopped.is_set():
            break
        count = min(work.per_call, work.epochs - first)
        given = work.feed(chunk, first, work.per_call)
        state, seen = runs.run(state, lane, work.data, *given, runs.blank, np.int32(count))
        if figures:
            jax.block_until_ready(figures[-1])  # one call ahead, not more: orders take memory
            advance(len(chunk) * work.per_call)
        figures.append(seen)
    params = jax.device_get(runs.finish(state))
    advance(len(chunk) * (work.epochs - (len(figures) - 1) * work.per_call))
    return params, np.concatenate(jax.device_get(figures), axis=1)[:, : work.epochs]


def _side_by_side(jobs: Sequence[Callable[[Event], Any]], workers: int) -> list[Any]:
    """The results of all jobs, at most `workers` of them running at the same time; an error stops the others."""
    stopped = Event()
    if workers == 1:
        return [job(stopped) for job in jobs]
    x64 = bool(jnp.zeros(()).dtype == np.float64)

    def under_our_settings(job: Callable[[Event], Any]) -> Any:
        with jax.enable_x64(x64):
            return job(stopped)

    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(under_our_settings, job) for job in jobs]
        try:
            return [future.result() for future in futures]
        except BaseException:
            stopped.set()
            pool.shutdown(cancel_futures=True)
            raise
