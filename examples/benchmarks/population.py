"""Populations beside the same runs one after the other: `fit_many` and so many calls of `fit`.

    python examples/benchmarks/population.py [planar | digits] [--rounds 3] [--fast]

    planar    64 networks 2-4-1, tanh, gradient descent with α = 1.2, 10,000 full-batch iterations
    digits    16 networks 64-100-10, relu, Adam, batches of 32 in an order of their own, 30 epochs

In turn within one process, after a short round of each that compiles and is not counted. Every member must be the
single run with its seed: the final costs are compared.
"""

import argparse
import statistics
import time
from typing import Any, NamedTuple

import jax
import numpy as np

import jaxmlp


class Workload(NamedTuple):
    """What is trained, and the most that the population may take of the single runs' time."""

    name: str
    data: jaxmlp.Dataset
    net: jaxmlp.Network
    members: int
    options: dict[str, Any]
    target: float


def workloads(fast: bool) -> list[Workload]:
    """The two of the docstring; a few members and epochs of each for a quick look."""
    planar, digits = jaxmlp.load("planar"), jaxmlp.load("digits")
    full = {"optimizer": "sgd", "learning_rate": 1.2, "batch_size": "full", "epochs": 20 if fast else 10_000}
    mini = {"learning_rate": 1e-3, "batch_size": 32, "epochs": 2 if fast else 30}
    flower, hand = jaxmlp.network_for(planar, (4,), "tanh"), jaxmlp.network_for(digits, (100,))
    return [
        Workload("planar", planar, flower, 4 if fast else 64, full, 0.6),
        Workload("digits", digits, hand, 4 if fast else 16, mini, 0.85),
    ]


def together(work: Workload) -> tuple[list[float], str]:
    """The members' final costs, and how they were run."""
    found = jaxmlp.fit_many(work.net, work.data, seeds=work.members, **work.options)
    how = found.strategies[0]
    return [float(member.curves.cost[-1]) for member in found.members], f"{how.name}: {how.reason}"


def one_by_one(work: Workload) -> list[float]:
    """The same of the single runs."""
    runs = (jaxmlp.fit(work.net, work.data, key=jax.random.key(seed), **work.options) for seed in range(work.members))
    return [run.history[-1].cost for run in runs]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workload", nargs="?", choices=["planar", "digits"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--fast", action="store_true")
    arguments = parser.parse_args()
    for work in workloads(arguments.fast):
        if arguments.workload not in (None, work.name):
            continue
        together(work)
        one_by_one(work._replace(members=1, options=work.options | {"epochs": 2}))
        many, single, how = [], [], ""
        for _ in range(arguments.rounds):
            began = time.perf_counter()
            costs, how = together(work)
            many.append(time.perf_counter() - began)
            began = time.perf_counter()
            expected = one_by_one(work)
            single.append(time.perf_counter() - began)
            # thousands of steps carry rounding far, so the mean is compared, not each
            np.testing.assert_allclose(np.mean(costs), np.mean(expected), rtol=0.02)
        ratios = sorted(a / b for a, b in zip(many, single, strict=True))
        print(
            f"{work.name}: {work.members} members in {statistics.median(many):.2f} s, one after the other in "
            f"{statistics.median(single):.2f} s\n    ratio {statistics.median(ratios):.3f} ({ratios[0]:.3f} to "
            f"{ratios[-1]:.3f}, {arguments.rounds} rounds in turn; at most {work.target} is wanted)\n    {how}",
            flush=True,
        )


if __name__ == "__main__":
    main()
