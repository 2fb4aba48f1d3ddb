"""What a peer is: a record of functions that import its package only when they are called."""

import importlib.util
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from workloads import Layers, Work


class Trainer(NamedTuple):
    """A peer made ready for a workload: data converted, functions defined.

    Attributes:
      run: (seed of the shuffling, epochs) -> what it trained, from the workload's first weights, when it has finished.
      layers: the weights of that.
    """

    run: Callable[[int, int], Any]
    layers: Callable[[Any], Layers]


class Peer(NamedTuple):
    """A way to train and to predict.

    Attributes:
      packages: what must be installed.
      prepare: what makes it ready for a workload.
      predictor: what makes (workload, layers) a function from rows to class ids in NumPy; None where there is none.
    """

    name: str
    packages: tuple[str, ...]
    prepare: Callable[[Work], Trainer]
    predictor: Callable[[Work, Layers], Callable[[np.ndarray], np.ndarray]] | None = None

    @property
    def installed(self) -> bool:
        """Whether its packages are there."""
        return all(importlib.util.find_spec(package) is not None for package in self.packages)


def batches(work: Work, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """The row numbers of every step of an epoch, in a new order."""
    order = rng.permutation(len(work.X)).astype(np.int32)
    for i in range(0, len(order), work.batch or len(order)):
        yield order[i : i + (work.batch or len(order))]


def copied(layers: Layers) -> Layers:
    """Weights that training may change."""
    return [(W.copy(), b.copy()) for W, b in layers]
