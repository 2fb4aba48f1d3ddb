"""Measuring in turn: what is compared runs one after the other in every round, so that a busy machine slows all alike.

ratio       of two times of one round; its median over the rounds, with the least and the greatest
"""

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax


class Spread(NamedTuple):
    """Median, least and greatest of some numbers."""

    median: float
    least: float
    greatest: float

    def shown(self, digits: str = ".2f") -> str:
        """The median, and the others in brackets."""
        return f"{self.median:{digits}} ({self.least:{digits}} to {self.greatest:{digits}})"


def spread(numbers: Iterable[float]) -> Spread:
    """Median, least and greatest.

    >>> spread([3.0, 1.0, 2.0])
    Spread(median=2.0, least=1.0, greatest=3.0)
    """
    found = sorted(numbers)
    return Spread(statistics.median(found), found[0], found[-1])


def seconds(run: Callable[[], Any]) -> float:
    """The wall-clock time of a call, up to the moment when every array of its answer is there."""
    began = time.perf_counter()
    jax.block_until_ready(run())
    return time.perf_counter() - began


def in_turn(runs: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """The times of every run; another one begins in every round."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for name in rotated(list(runs), rounds):
        times[name].append(seconds(runs[name]))
    return times


def rotated(names: Sequence[str], rounds: int) -> Iterable[str]:
    """The names over and over, so many rounds, each begun by the next of them.

    >>> list(rotated(["a", "b"], 3))
    ['a', 'b', 'b', 'a', 'a', 'b']
    """
    for turn in range(rounds):
        first = turn % len(names)
        yield from (*names[first:], *names[:first])


def ratios(times: Sequence[float], others: Sequence[float]) -> Spread:
    """Of times to others, round by round.

    >>> ratios([2.0, 6.0, 3.0], [1.0, 2.0, 2.0])
    Spread(median=2.0, least=1.5, greatest=3.0)
    """
    return spread(a / b for a, b in zip(times, others, strict=True))


def enough(run: Callable[[], Any], total: float) -> int:
    """How many calls take so many seconds in all, at least one; the run is warm already."""
    return max(1, round(total / max(seconds(run), 1e-7)))


def repeated(run: Callable[[], Any], times: int) -> Callable[[], Any]:
    """So many calls as one run."""

    def all_of_them() -> Any:
        answer = None
        for _ in range(times):
            answer = run()
        return answer

    return all_of_them
