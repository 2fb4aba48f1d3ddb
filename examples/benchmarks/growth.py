"""How the time of an epoch grows: with the rows, the number of batches, the parameters; and compilation with depth.

    python examples/benchmarks/growth.py [--tables rows,batches] [--rounds 5] [--json]

    rows          20-32-2, batches of 64, 10⁴ to 10⁶ rows in memory
    batches       64-100-10, batches of 32, 50 to 5,000 of them
    parameters    w-w-w-10, 8 batches of 256, w from 256 to 2048
    depth         128-…-128-10, 4 to 64 equal hidden layers: seconds to compile an epoch

Runs of `fit` of half a second, or four epochs, on rows in NumPy, in turn, divided by their epochs. Beside each time
what it would be if it grew in proportion, from the first line's on; below, the exponent p of time ~ size^p, by least
squares on logarithms, and the largest deviation from p = 1.
"""

import argparse
import json
import math
import statistics
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from compare import chosen
from tables import table

import jaxmlp
from jaxmlp.evidence.speed.bench import training_run
from jaxmlp.evidence.speed.timing import seconds, times_by_turns

ROUND = 0.5  # seconds of one measurement, about
MORE = 5  # epochs, whose time beside that of one tells what an epoch takes
TABLES = ("rows", "batches", "parameters", "depth")


class Case(NamedTuple):
    """A line of a table: what is counted, and the network and batches that have so much of it."""

    size: int
    sizes: tuple[int, ...]
    rows: int
    batch_size: int


def cases(name: str, fast: bool) -> list[Case]:
    """The lines of a table; two small ones for a quick look."""
    if name == "rows":
        counts = (640, 1280) if fast else (10_000, 31_600, 100_000, 316_000, 1_000_000)
        return [Case(m, (20, 32, 2), m, 64) for m in counts]
    if name == "batches":
        counts = (5, 10) if fast else (50, 160, 500, 1600, 5000)
        return [Case(n, (64, 100, 10), n * 32, 32) for n in counts]
    if name == "parameters":
        widths = (8, 16) if fast else (256, 512, 1024, 2048)
        return [Case(2 * w * w + 12 * w + 10, (w, w, w, 10), 8 * 256, 256) for w in widths]
    depths = (1, 2) if fast else (4, 16, 64)
    return [Case(n, (128, *[128] * n, 10), 8 * 128, 128) for n in depths]


def measure(name: str, rounds: int, fast: bool) -> dict[str, Any]:
    """Seconds by size, the exponent and the deviation."""
    found = compilation(fast) if name == "depth" else epochs(cases(name, fast), rounds, 0.0 if fast else ROUND)
    return {"table": name, "seconds": found, **growth({float(size): took for size, took in found.items()})}


def epochs(lines: list[Case], rounds: int, total: float) -> dict[str, float]:
    """Seconds of an epoch of `fit`, by size, from runs of so many seconds in all."""
    runs = {str(case.size): fits(case) for case in lines}
    counts = {}
    for size, run in runs.items():
        run(MORE)  # what it takes to compile
        one, more = (seconds(partial(run, n)) for n in (1, MORE))
        each = max((more - one) / (MORE - 1), one / 50)  # should the clock say that more take no longer
        counts[size] = max(4, round(total / each))
    times = times_by_turns({size: partial(run, counts[size]) for size, run in runs.items()}, rounds)
    return {size: statistics.median(times[size]) / counts[size] for size in runs}


def compilation(fast: bool) -> dict[str, float]:
    """Seconds that the first epoch takes longer than the next, by depth."""
    found = {}
    for case in cases("depth", fast):
        run = training_run(jaxmlp.Network(case.sizes, "relu", "softmax"), case.rows, case.batch_size)
        first = seconds(run)
        found[str(case.size)] = first - seconds(run)
    return found


def fits(case: Case) -> Callable[[int], Any]:
    """A function that trains on random rows for so many epochs."""
    rng = np.random.default_rng(0)
    rows, ids = rng.standard_normal((case.rows, case.sizes[0]), np.float32), np.arange(case.rows) % case.sizes[-1]
    data = jaxmlp.Dataset.from_arrays(rows, ids, classes=range(case.sizes[-1]))
    net = jaxmlp.Network(case.sizes, "relu", "softmax")
    return lambda epochs: jaxmlp.fit(net, data, epochs=epochs, batch_size=case.batch_size, optimizer="adam").params


def growth(times: dict[float, float]) -> dict[str, float]:
    """The exponent, and the largest deviation of time/size from its median."""
    exponent = np.polyfit([math.log(size) for size in times], [math.log(max(t, 1e-9)) for t in times.values()], 1)[0]
    each = [took / size for size, took in times.items()]
    middle = statistics.median(each)
    return {"exponent": float(exponent), "deviation": max(abs(one / middle - 1) for one in each)}


def show(found: dict[str, Any]) -> str:
    """The table."""
    times = {int(size): took for size, took in found["seconds"].items()}
    (first, base), *_ = times.items()
    lines = [(f"{size:,}", f"{took:.4g}", f"{base * size / first:.4g}") for size, took in times.items()]
    below = f"time ~ size^{found['exponent']:.2f}, at most {found['deviation']:.0%} off proportion"
    if found["table"] == "depth":
        ratio = times[max(times)] / times[min(times)]
        below = f"compiling {max(times)} layers takes {ratio:.2f} times as long as {min(times)}"
    return f"{table((found['table'], 'seconds', 'in proportion'), lines)}\n{below}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", metavar="A,B", help=f"some of {','.join(TABLES)} [all]")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="one JSON object for each table")
    parser.add_argument("--fast", action="store_true", help="small sizes and one round, for a quick look")
    options = parser.parse_args()
    for name in chosen(options.tables, [*TABLES], "--tables"):
        found = measure(name, 1 if options.fast else options.rounds, options.fast)
        print(json.dumps(found) if options.json else show(found), flush=True)


if __name__ == "__main__":
    main()
