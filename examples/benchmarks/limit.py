"""The limit: the matrix products of a training step and nothing else, by the fastest of XLA, NumPy and PyTorch.

Each with examples as columns and as rows, because libraries are faster at one or the other; the products themselves
stand in `jaxmlp.evidence.speed.products`. No training can take less on this machine, unless with better products.
"""

import importlib.util
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from workloads import Work

from jaxmlp.evidence.speed.products import Products, by_columns, by_rows, scan_products

ENOUGH = 0.1  # seconds that one measurement takes, about
BY_XLA = ("XLA, columns", "XLA, rows")
NUMBERS = 2**22  # of all batches together: few are large, many are small


def limits(work: Work) -> dict[str, Callable[[], float]]:
    """By name, a measurement: seconds of the products of one full batch."""
    return {name: _repeated(run, count(work) if name in BY_XLA else 1) for name, run in _loops(work)}


def count(work: Work) -> int:
    """How many batches."""
    return max(1, min(256, NUMBERS // (work.sizes[0] * (work.batch or len(work.X)))))


def _loops(work: Work) -> Iterator[tuple[str, Callable[[int], Any]]]:
    """Functions of a number of steps."""
    B = work.batch or len(work.X)
    rows = [work.X[i % (len(work.X) - B + 1) :][:B] for i in range(0, count(work) * B, B)]
    weights = [W for W, _ in work.initial]
    for orientation, products in (("columns", by_columns), ("rows", by_rows)):
        turned = orientation == "columns"
        batches = [np.ascontiguousarray(batch.T if turned else batch) for batch in rows]
        matrices = [np.ascontiguousarray(W if turned else W.T) for W in weights]
        yield f"XLA, {orientation}", _xla(products, matrices, batches)
        yield f"NumPy, {orientation}", _plain(products, matrices, batches)
        if importlib.util.find_spec("torch"):
            torch = importlib.import_module("torch")
            tensors = [[torch.from_numpy(array) for array in arrays] for arrays in (matrices, batches)]
            yield f"PyTorch, {orientation}", _plain(products, *tensors)


def _plain(products: Products, weights: list[Any], batches: list[Any]) -> Callable[[int], Any]:
    def loop(steps: int) -> None:
        for i in range(steps):
            products(weights, batches[i % len(batches)])

    return loop


def _xla(products: Products, weights: list[Any], batches: list[Any]) -> Callable[[int], Any]:
    """A program for all batches, as often as the steps need it."""
    import jax

    scan = scan_products(products, weights, np.stack(batches))

    def loop(steps: int) -> None:
        for _ in range(max(1, steps // len(batches))):
            jax.block_until_ready(scan())

    return loop


def _repeated(loop: Callable[[int], Any], least: int) -> Callable[[], float]:
    """Warmed up; as many steps as take ENOUGH."""
    loop(least)
    began = time.perf_counter()
    loop(least)
    once = (time.perf_counter() - began) / least
    steps = least * max(1, round(ENOUGH / max(once, 1e-7) / least))

    def measure() -> float:
        began = time.perf_counter()
        loop(steps)
        return (time.perf_counter() - began) / steps

    return measure
