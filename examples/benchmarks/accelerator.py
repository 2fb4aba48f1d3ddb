"""One GPU or TPU: what bounds it, wide networks in bfloat16, small networks, populations; beside PyTorch.

    python examples/benchmarks/accelerator.py [--sections roof,wide,small,population] [--rounds 5] [--fast]

First two numbers of every network: FLOPs of a step over the measured peak of matrix products, and bytes of a step over
the measured bandwidth. No step can take less than the larger of them.

    FLOPs      of the matrix products, forward and backward
    bytes      4 (10 P + 2 Σ n_l B): W read forward and backward, dW written and read, W and Adam's two moments read and
               written; every Z or A written and read once

An epoch of ours is one dispatch: shuffled, gathered, trained and checked on the device. PyTorch runs the same epochs
eager, compiled and, on CUDA, with its step captured in a graph.
"""

import argparse
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from compare import chosen
from peers import pytorch_device
from peers.ours import network, params_of
from tables import table
from workloads import Work, initial

import jaxmlp
from jaxmlp.evidence.speed.products import flops
from jaxmlp.evidence.speed.timing import count_calls, ratios, repeat, seconds, spread, times_by_turns
from jaxmlp.training.optimizers import make_optimizer

ROUND = 0.2  # seconds of one measurement, about
SMALL = (((20, 32, 2), 64), ((64, 100, 10), 32), ((784, 128, 10), 128))


def work_of(sizes: tuple[int, ...], batch: int, steps: int) -> Work:
    """Random rows for so many steps, the same few over and over where that would be much."""
    m, n = batch * steps, sizes[0]
    rows = np.random.default_rng(0).standard_normal((min(m, 2048), n), np.float32)
    X, y = np.resize(rows, (m, n)), np.arange(m) % sizes[-1]
    return Work("random", sizes, "relu", X, y, batch, "adam", 1e-4, 1, initial(sizes, "relu"))


def epoch_of(work: Work, compute: Any = None) -> Callable[[], Any]:
    """A function that trains for an epoch and goes on where it left off."""
    net, optimizer, objective = network(work), make_optimizer("adam", work.rate), jaxmlp.Objective()
    data = jaxmlp.Dataset.from_arrays(work.X, work.y, classes=range(work.sizes[-1]))
    batches = jaxmlp.make_batches(data, net, objective, work.batch or "full")
    state = jaxmlp.init_state(jax.random.key(0), net, optimizer, params_of(work.initial))
    run = jaxmlp.epochs(net, objective, optimizer, state, batches, compute_dtype=compute)
    return lambda: next(run)[0].params


# --- what bounds it ---------------------------------------------------------------------------------------------------


def peak(n: int, dtype: Any) -> float:
    """FLOP/s of square products one after the other."""
    chain = 8
    A = jnp.asarray(np.random.default_rng(0).standard_normal((n, n), np.float32) / np.sqrt(n), dtype)
    run = jax.jit(lambda A: jax.lax.fori_loop(0, chain, lambda _, B: A @ B, A))
    return chain * 2.0 * n**3 / fastest(lambda: run(A))


def bandwidth(size: int) -> float:
    """Bytes a second of reading an array and writing another."""
    x = jnp.zeros(size // 4, jnp.float32)
    run = jax.jit(lambda x: x + 1)
    return 2.0 * size / fastest(lambda: run(x))


def fastest(run: Callable[[], Any]) -> float:
    """Seconds of a call, the best of many."""
    seconds(run)
    n = count_calls(run, ROUND / 4)
    return min(times_by_turns({"": repeat(run, n)}, 5)[""]) / n


def bounds(sizes: tuple[int, ...], batch: int, rate: float, width: float) -> tuple[float, float]:
    """Microseconds of a step by FLOPs over peak and by bytes over bandwidth."""
    n_params = sum((before + 1) * after for before, after in pairwise(sizes))
    moved = 4.0 * (10 * n_params + 2 * sum(sizes) * batch)
    return 1e6 * flops(sizes, batch) / rate, 1e6 * moved / width


# --- the sections -----------------------------------------------------------------------------------------------------


def roof(fast: bool) -> dict[str, float]:
    """The machine's three figures."""
    n, size = (128, 2**20) if fast else (8192, 2**29)
    return {"bfloat16": peak(n, jnp.bfloat16), "float32": peak(n, jnp.float32), "bandwidth": bandwidth(size)}


def wide_works(fast: bool) -> Iterator[Work]:
    """w-w-w-10 in large batches."""
    for w in (32, 64) if fast else (1024, 2048, 4096, 8192):
        yield work_of((w, w, w, 10), 64 if fast else 4096, 2 if fast else 8)


def small_works(fast: bool) -> Iterator[Work]:
    """The networks of the CPU's table."""
    for sizes, batch in SMALL:
        yield work_of(sizes, batch, 4 if fast else 400)


def training(works: Iterator[Work], figures: dict[str, float], rounds: int, bfloat16: bool) -> str:
    """A table of networks: ours, the two bounds, and PyTorch."""
    lines = []
    for work in works:
        compute = jnp.bfloat16 if bfloat16 else None
        runs: dict[str, Callable[[], Any]] = {"jaxmlp": epoch_of(work, compute)}
        for kind in pytorch_device.kinds():
            runs[kind] = pytorch_device.epoch_of(work, kind, bfloat16)
        for run in runs.values():
            seconds(run)
        counts = {name: count_calls(run, ROUND) for name, run in runs.items()}
        times = times_by_turns({name: repeat(run, counts[name]) for name, run in runs.items()}, rounds)
        each = {name: [1e6 * took / counts[name] / work.steps for took in times[name]] for name in runs}
        rate = figures["bfloat16" if bfloat16 else "float32"]
        by_flops, by_bytes = bounds(work.sizes, work.batch or 1, rate, figures["bandwidth"])
        for name in runs:
            took = spread(each[name]).median
            size = "-".join(map(str, work.sizes)) if name == "jaxmlp" else ""
            cells = (f"{took:,.1f}", ratios(each[name], each["jaxmlp"]).text(), f"{by_flops / took:.0%}")
            lines.append((name, size, f"{by_flops:,.1f}", f"{by_bytes:,.1f}", *cells))
    return table(("", "network", "FLOPs/peak µs", "bytes/bandwidth µs", "µs a step", "ratio", "of peak"), lines)


def population(fast: bool) -> str:
    """Planar networks together, and the time of a member's step."""
    data, lines = jaxmlp.load("planar"), []
    net = jaxmlp.network_for(data, (4,), "tanh")
    epochs = 5 if fast else 1000
    options: dict[str, Any] = {"optimizer": "sgd", "learning_rate": 1.2, "batch_size": "full", "epochs": epochs}
    for n in (1, 4) if fast else (1, 64, 512, 4096):
        jaxmlp.fit_many(net, data, seeds=n, strategy="vmap", **options)
        took = seconds(lambda n=n: jaxmlp.fit_many(net, data, seeds=n, strategy="vmap", **options).members)
        lines.append((f"{n:,}", f"{took:.3f}", f"{1e6 * took / epochs:,.1f}", f"{1e6 * took / epochs / n:,.3f}"))
    return table(("members", "seconds", "µs a step", "µs a step and member"), lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sections", metavar="A,B", help="some of wide, small, population, after the roof [all]")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--fast", action="store_true", help="tiny networks and one round: for tests, on any device")
    options = parser.parse_args()
    sections = chosen(options.sections, ["roof", "wide", "small", "population"], "--sections")
    rounds = 1 if options.fast else options.rounds
    device = jax.devices()[0]
    figures = roof(options.fast)
    print(f"{device.platform} {device.device_kind}, JAX {jax.__version__}")
    print(
        f"peak {figures['bfloat16'] / 1e12:.3g} TFLOP/s in bfloat16, {figures['float32'] / 1e12:.3g} in float32 as JAX "
        f"computes it by default; bandwidth {figures['bandwidth'] / 1e9:,.4g} GB/s",
        flush=True,
    )
    if "wide" in sections:
        print(f"\nwide, bfloat16\n{training(wide_works(options.fast), figures, rounds, True)}", flush=True)
    if "small" in sections:
        print(f"\nsmall, float32\n{training(small_works(options.fast), figures, rounds, False)}", flush=True)
    if "population" in sections:
        print(f"\npopulation of 2-4-1, full batch of 400\n{population(options.fast)}", flush=True)


if __name__ == "__main__":
    main()
