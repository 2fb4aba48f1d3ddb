"""The measurements of `jaxmlp bench`: steps of training beside their bare matrix products, and the backward pass.

µs a step      time of whole epochs, on shuffled rows that are on the device, divided by their steps
limit          XLA's matrix products of these steps and nothing else, in the faster of two layouts
efficiency     limit / step
"""

import platform
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxmlp.data.dataset import Dataset
from jaxmlp.errors import unknown
from jaxmlp.evidence.speed.backward import Comparison, compare_backward
from jaxmlp.evidence.speed.products import by_columns, by_rows, flops, random_weights, scan_products
from jaxmlp.evidence.speed.timing import Spread, count_calls, ratios, repeat, times_by_turns
from jaxmlp.fork import refuse_after_fork
from jaxmlp.nn.network import Network
from jaxmlp.nn.objective import Objective
from jaxmlp.parallel.processors import n_processors
from jaxmlp.training.batches import make_batches
from jaxmlp.training.blocks import epochs
from jaxmlp.training.optimizers import make_optimizer
from jaxmlp.training.state import init_state

ROUNDS = 5
ROUND_SECONDS = 0.06  # of one measurement, about


class Workload(NamedTuple):
    """A network and its batches; trained by Adam, with relu, on random rows."""

    sizes: tuple[int, ...]
    batch_size: int
    steps: int


WORKLOADS = {
    "small": Workload((20, 32, 2), 64, 256),
    "digits": Workload((64, 100, 10), 32, 128),
    "mnist": Workload((784, 128, 10), 128, 64),
    "wide": Workload((1024, 1024, 1024, 10), 512, 2),
}


class Speed(NamedTuple):
    """The measurements of a workload.

    Attributes:
      microseconds: a step of training, the median.
      limit: microseconds of the products of a step.
      efficiency: limit over step, round by round.
      gflops: rate of the bare products, billions of FLOPs per second.
      backward: manual beside autodiff.
    """

    name: str
    workload: Workload
    microseconds: float
    limit: float
    efficiency: Spread
    gflops: float
    backward: Comparison

    def to_dict(self) -> dict[str, Any]:
        """Return the measurements as plain numbers and texts."""
        return {
            "workload": self.name,
            **self.workload._asdict(),
            "microseconds": self.microseconds,
            "limit": self.limit,
            "efficiency": self.efficiency._asdict(),
            "gflops": self.gflops,
            "backward": self.backward.to_dict(),
        }


def machine() -> dict[str, Any]:
    """Return what describes the present machine: device, processor, cores, JAX."""
    device = jax.devices()[0]
    return {
        "device": f"{device.platform}: {device.device_kind}",
        "devices": jax.device_count(),
        "processor": _processor(),
        "cores": n_processors(),
        "jax": jax.__version__,
        "python": platform.python_version(),
    }


def _processor() -> str:
    """Return the name of the processor as Linux gives it, or as Python does."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def bench(names: tuple[str, ...] = tuple(WORKLOADS), *, rounds: int = ROUNDS) -> Iterator[Speed]:
    """Measure workloads by name, one after the other.

    Raises:
      InputError: for an unknown name.
    """
    refuse_after_fork("bench")
    for name in names:  # checked before the first measurement, not after minutes of it
        if name not in WORKLOADS:
            raise unknown("workload", name, WORKLOADS)
    return (measure(name, WORKLOADS[name], rounds) for name in names)


def measure(name: str, work: Workload, rounds: int = ROUNDS) -> Speed:
    """Measure the steps and the products of a workload by turns, and its backward pass.

    >>> speed = measure("tiny", Workload((3, 4, 2), 8, 4), rounds=1)
    >>> speed.microseconds > 0, speed.limit > 0
    (True, True)
    """
    net = Network(work.sizes, "relu", "softmax")
    limits = _product_runs(work)
    runs = {"training": training_run(net, work.batch_size * work.steps, work.batch_size), **limits}
    # compiled before the first measurement
    for run in runs.values():
        jax.block_until_ready(run())
    # enough calls for each measurement to be long beside the resolution of the clock, and equally long for all
    counts = {label: count_calls(run, ROUND_SECONDS) for label, run in runs.items()}
    times = times_by_turns({label: repeat(run, counts[label]) for label, run in runs.items()}, rounds)
    each = {label: [elapsed / (counts[label] * work.steps) for elapsed in times[label]] for label in runs}
    best = min(limits, key=lambda label: statistics.median(each[label]))
    limit = statistics.median(each[best])
    return Speed(
        name,
        work,
        1e6 * statistics.median(each["training"]),
        1e6 * limit,
        ratios(each[best], each["training"]),
        flops(work.sizes, work.batch_size) / limit / 1e9,
        compare_backward(net, work.batch_size, rounds=rounds),
    )


def training_run(net: Network, m: int, batch_size: int) -> Callable[[], Any]:
    """Return a function that trains for an epoch on m random rows; each call continues from the last."""
    rng = np.random.default_rng(0)
    ids = np.arange(m) % net.sizes[-1]
    data = Dataset.from_arrays(rng.standard_normal((m, net.sizes[0]), np.float32), ids, classes=range(net.sizes[-1]))
    optimizer, objective = make_optimizer("adam"), Objective()
    batches = make_batches(data, net, objective, batch_size)
    run = epochs(net, objective, optimizer, init_state(jax.random.key(0), net, optimizer), batches)
    # the new parameters depend on all steps of the epoch: who waits for them waits for the whole epoch
    return lambda: next(run)[0].params


def _product_runs(work: Workload) -> dict[str, Callable[[], Any]]:
    """Return functions that compute the products of an epoch in both layouts."""
    rng, shape = np.random.default_rng(0), (work.steps, work.sizes[0], work.batch_size)
    X = rng.standard_normal(shape, np.float32)
    transposed = np.ascontiguousarray(X.transpose(0, 2, 1))  # (steps, B, n0), in memory order
    return {
        "columns": scan_products(by_columns, random_weights(work.sizes, True), X),
        "rows": scan_products(by_rows, random_weights(work.sizes, False), transposed),
    }
