"""What is trained: data, network, optimizer, batch and number of steps, the same for everybody.

    small     20-32-2, 10,000 rows, batches of 64, Adam
    planar    2-4-1, tanh, full batch, 10,000 steps of gradient descent
    digits    64-100-10, 1,438 rows, batches of 32, Adam
    mnist     784-128-10, 60,000 rows, batches of 128, Adam
    wide      1024-1024-1024-10, 10,240 rows, batches of 512, Adam
    deep      128-128-…-128-10 with 64 hidden layers, tanh, 12,800 rows, batches of 128, Adam
    cat       12288-20-7-5-1, full batch of 209, the course's 2,500 steps of gradient descent
    genes     20000-50-2, 200 rows, full batch, 1,000 steps of gradient descent

All start from the same weights, and every epoch of mini-batches visits the rows in a new order. Where mnist's and the
cats' own data are not at $JAXMLP_DATA or ../shared/data, rows of the same shape are drawn.
"""

import math
import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Layers = list[tuple[np.ndarray, np.ndarray]]  # W (n, n_prev) and b (n,) of every layer


class Work(NamedTuple):
    """A workload with its data.

    Attributes:
      X, y: (m, n0) float32 rows, and m class ids.
      batch: rows per step; None for all of them.
      initial: the weights that training starts from.
    """

    name: str
    sizes: tuple[int, ...]
    hidden: str
    X: np.ndarray
    y: np.ndarray
    batch: int | None
    optimizer: str
    rate: float
    epochs: int
    initial: Layers

    @property
    def binary(self) -> bool:
        """Whether one sigmoid unit answers."""
        return self.sizes[-1] == 1

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return 1 if self.batch is None else math.ceil(len(self.X) / self.batch)


class Recipe(NamedTuple):
    """How a workload is made; `fast` is (rows, epochs) for a quick look."""

    sizes: tuple[int, ...]
    hidden: str
    rows: Callable[[tuple[int, ...]], tuple[np.ndarray, np.ndarray]]
    batch: int | None
    optimizer: str
    rate: float
    epochs: int
    fast: tuple[int, int]


def drawn(m: int, spread: float = 1.0) -> Callable[[tuple[int, ...]], tuple[np.ndarray, np.ndarray]]:
    """m rows around a centre for each class, as far apart as to overlap a little."""

    def rows(sizes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        n, classes = sizes[0], max(sizes[-1], 2)
        rng = np.random.default_rng(0)
        y = rng.integers(0, classes, m)
        centres = spread * rng.normal(size=(classes, n)) * min(1.0, 3 / math.sqrt(n))
        return (centres[y] + rng.normal(size=(m, n))).astype(np.float32), y

    return rows


def packaged(name: str) -> Callable[[tuple[int, ...]], tuple[np.ndarray, np.ndarray]]:
    """The training part of a data set that jaxmlp brings."""

    def rows(sizes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        import jaxmlp

        data = jaxmlp.load(name)
        return np.asarray(data.preprocessing(data.train.rows), np.float32), np.asarray(data.train.targets)

    return rows


def at_hand(folder: str, otherwise: Callable[..., Any]) -> Callable[[tuple[int, ...]], tuple[np.ndarray, np.ndarray]]:
    """The training part of a folder of the data folder, or what is drawn instead."""

    def rows(sizes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        places = (os.environ.get("JAXMLP_DATA"), Path(__file__).resolve().parents[3] / "shared" / "data")
        found = (Path(place) / folder for place in places if place)
        path = next((path for path in found if path.is_dir()), None)
        return otherwise(sizes) if path is None else packaged(str(path))(sizes)

    return rows


RECIPES = {
    "small": Recipe((20, 32, 2), "relu", drawn(10_000), 64, "adam", 1e-3, 30, (200, 2)),
    "planar": Recipe((2, 4, 1), "tanh", packaged("planar"), None, "sgd", 1.2, 10_000, (400, 20)),
    "digits": Recipe((64, 100, 10), "relu", packaged("digits"), 32, "adam", 1e-3, 30, (200, 2)),
    "mnist": Recipe((784, 128, 10), "relu", at_hand("mnist", drawn(60_000)), 128, "adam", 1e-3, 3, (1000, 1)),
    "wide": Recipe((1024, 1024, 1024, 10), "relu", drawn(10_240), 512, "adam", 1e-4, 2, (1024, 1)),
    "deep": Recipe((128, *[128] * 64, 10), "tanh", drawn(12_800), 128, "adam", 1e-4, 2, (256, 1)),
    "cat": Recipe((12288, 20, 7, 5, 1), "relu", at_hand("cat", drawn(209)), None, "sgd", 0.0075, 2500, (209, 3)),
    "genes": Recipe((20000, 50, 2), "relu", drawn(200), None, "sgd", 0.01, 1000, (200, 3)),
}


def make(name: str, fast: bool = False) -> Work:
    """The workload of this name."""
    recipe = RECIPES[name]
    X, y = recipe.rows(recipe.sizes)
    m, epochs = recipe.fast if fast else (len(X), recipe.epochs)
    X, y = np.ascontiguousarray(X[:m], np.float32), np.ascontiguousarray(y[:m], np.int64)
    start = initial(recipe.sizes, recipe.hidden)
    return Work(name, recipe.sizes, recipe.hidden, X, y, recipe.batch, recipe.optimizer, recipe.rate, epochs, start)


def initial(sizes: tuple[int, ...], hidden: str) -> Layers:
    """He's normal weights for relu, Xavier's otherwise; b = 0."""
    rng = np.random.default_rng(1)
    layers = []
    for before, after in pairwise(sizes):
        scale = math.sqrt(2 / before) if hidden == "relu" and after != sizes[-1] else math.sqrt(2 / (before + after))
        layers.append((scale * rng.normal(size=(after, before)).astype(np.float32), np.zeros(after, np.float32)))
    return layers


def judge(work: Work, layers: Layers) -> tuple[float, float]:
    """Cost and accuracy of trained weights on the rows they were trained on, in NumPy."""
    A = work.X.T
    for W, b in layers[:-1]:
        Z = W @ A + b[:, None]
        A = np.maximum(Z, 0) if work.hidden == "relu" else np.tanh(Z)
    W, b = layers[-1]
    Z = (W @ A + b[:, None]).astype(np.float64)
    if work.binary:
        return float((np.logaddexp(0, Z) - work.y * Z).mean()), float(((Z[0] > 0) == work.y).mean())
    highest = Z.max(axis=0)
    total = highest + np.log(np.exp(Z - highest).sum(axis=0))
    return float((total - Z[work.y, np.arange(Z.shape[1])]).mean()), float((Z.argmax(axis=0) == work.y).mean())
