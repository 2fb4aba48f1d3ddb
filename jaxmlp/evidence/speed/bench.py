"""What `jaxmlp bench` measures: steps of training beside their matrix products alone, and the backward pass.

µs a step      whole epochs on rows that are on the device, shuffled anew each, divided by their steps
limit          XLA's matrix products of these steps and nothing else, the faster of two layouts
share          limit / step
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
from jaxmlp.evidence.speed.products import by_columns, by_rows, flops, matrices, scanned
from jaxmlp.evidence.speed.timing import Spread, enough, in_turn, ratios, repeated
from jaxmlp.nn.network import Network
from jaxmlp.nn.objective import Objective
from jaxmlp.training.batches import make_batches
from jaxmlp.training.epoch import epochs
from jaxmlp.training.optimizers import make_optimizer
from jaxmlp.training.state import start
from jaxmlp.training.strategy import cores

ROUNDS = 5
ROUND = 0.06  # seconds of one measurement, about


class Workload(NamedTuple):
    """A network and its batches; Adam, relu, random rows."""

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
    """A workload as it was measured.

    Attributes:
      microseconds: of a step of training, the median.
      limit: of the products of a step.
      share: limit over step, round by round.
      gflops: of the products alone, billions a second.
      backward: manual against autodiff.
    """

    name: str
    workload: Workload
    microseconds: float
    limit: float
    share: Spread
    gflops: float
    backward: Comparison

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "workload": self.name,
            **self.workload._asdict(),
            "microseconds": self.microseconds,
            "limit": self.limit,
            "share": self.share._asdict(),
            "gflops": self.gflops,
            "backward": self.backward.to_dict(),
        }


def machine() -> dict[str, Any]:
    """What is measured on: device, processor, cores, JAX."""
    device = jax.devices()[0]
    return {
        "device": f"{device.platform}: {device.device_kind}",
        "devices": jax.device_count(),
        "processor": _processor(),
        "cores": cores(),
        "jax": jax.__version__,
        "python": platform.python_version(),
    }


def _processor() -> str:
    """Its name as Linux tells it, or what Python knows."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def bench(names: tuple[str, ...] = tuple(WORKLOADS), *, rounds: int = ROUNDS) -> Iterator[Speed]:
    """Measure workloads by name, one after the other.

    Raises:
      InputError: for a name that is in no table.
    """
    for name in names:
        if name not in WORKLOADS:
            raise unknown("workload", name, WORKLOADS)
    return (measure(name, WORKLOADS[name], rounds) for name in names)


def measure(name: str, work: Workload, rounds: int = ROUNDS) -> Speed:
    """A workload's steps and products, in turn, and its backward pass.

    >>> found = measure("tiny", Workload((3, 4, 2), 8, 4), rounds=1)
    >>> found.microseconds > 0, found.limit > 0
    (True, True)
    """
    net = Network(work.sizes, "relu", "softmax")
    runs = {"training": training(net, work.batch_size * work.steps, work.batch_size), **_limits(work)}
    for run in runs.values():
        jax.block_until_ready(run())
    counts = {label: enough(run, ROUND) for label, run in runs.items()}
    times = in_turn({label: repeated(run, counts[label]) for label, run in runs.items()}, rounds)
    each = {label: [took / (counts[label] * work.steps) for took in times[label]] for label in runs}
    best = min(_limits_of(each), key=lambda label: statistics.median(each[label]))
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


def _limits_of(each: dict[str, Any]) -> list[str]:
    return [label for label in each if label != "training"]


def training(net: Network, m: int, batch_size: int) -> Callable[[], Any]:
    """A function that trains on m random rows for an epoch and goes on where it left off."""
    rng = np.random.default_rng(0)
    ids = np.arange(m) % net.sizes[-1]
    data = Dataset.from_arrays(rng.standard_normal((m, net.sizes[0]), np.float32), ids, classes=range(net.sizes[-1]))
    optimizer, objective = make_optimizer("adam"), Objective()
    batches = make_batches(data, net, objective, batch_size)
    run = epochs(net, objective, optimizer, start(jax.random.key(0), net, optimizer), batches)
    return lambda: next(run)[0].params


def _limits(work: Workload) -> dict[str, Callable[[], Any]]:
    """The products of an epoch in both layouts."""
    rng, shape = np.random.default_rng(0), (work.steps, work.sizes[0], work.batch_size)
    X = rng.standard_normal(shape, np.float32)
    turned = np.ascontiguousarray(X.transpose(0, 2, 1))
    return {
        "columns": scanned(by_columns, matrices(work.sizes, True), X),
        "rows": scanned(by_rows, matrices(work.sizes, False), turned),
    }
