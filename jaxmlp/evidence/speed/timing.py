"""Timing by turns: every round runs each candidate once, so that a busy machine slows all of them alike.

ratio       of two times of the same round; reported as its median over the rounds, with the least and the greatest
"""

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import jax


class Spread(NamedTuple):
    """Median, least and greatest of some numbers."""

    median: float
    least: float
    greatest: float

    def text(self, digits: str = ".2f") -> str:
        """Return the median, with the least and the greatest in brackets."""
        return f"{self.median:{digits}} ({self.least:{digits}} to {self.greatest:{digits}})"


def spread(numbers: Iterable[float]) -> Spread:
    """Return median, least and greatest.

    >>> spread([3.0, 1.0, 2.0])
    Spread(median=2.0, least=1.0, greatest=3.0)
    """
    numbers = sorted(numbers)
    return Spread(statistics.median(numbers), numbers[0], numbers[-1])


def seconds(run: Callable[[], object]) -> float:
    """Return the wall-clock time of a call, until every array of its result is computed."""
    start = time.perf_counter()
    jax.block_until_ready(run())
    return time.perf_counter() - start


def times_by_turns(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Return the times of every run; each round begins with another one."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for name in turns(list(runs), rounds):
        times[name].append(seconds(runs[name]))
    return times


def turns(names: Sequence[str], rounds: int) -> Iterable[str]:
    """Yield all names once per round; each round begins with the next name.

    >>> list(turns(["a", "b"], 3))
    ['a', 'b', 'b', 'a', 'a', 'b']
    """
    for turn in range(rounds):
        first = turn % len(names)
        yield from (*names[first:], *names[:first])


def ratios(times: Sequence[float], references: Sequence[float]) -> Spread:
    """Return the spread of times over references, round by round.

    >>> ratios([2.0, 6.0, 3.0], [1.0, 2.0, 2.0])
    Spread(median=2.0, least=1.5, greatest=3.0)
    """
    return spread(elapsed / reference for elapsed, reference in zip(times, references, strict=True))


def count_calls(run: Callable[[], object], total: float) -> int:
    """Return how many calls take `total` seconds, at least one; the run is compiled already."""
    # a coarse clock may not have moved during a short call
    return max(1, round(total / max(seconds(run), 1e-7)))


def repeat(run: Callable[[], object], times: int) -> Callable[[], object]:
    """Return a function that calls `run` so many times and returns the last result."""

    def run_all() -> object:
        for _ in range(times - 1):
            run()
        return run()

    return run_all
