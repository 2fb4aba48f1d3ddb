"""Mini-batches: the rows on the device, and the order in which an epoch visits them.

An epoch is a permutation of the m rows, drawn on the host from (key of the run, number of the epoch) alone, cut into
steps of B. Where B does not divide m, the last step is filled up with the index m, one past the end: its rows count
with weight 0, so that the mean over the batch is exactly the mean over its real rows, and no shape ever changes.
"""

import math
from collections.abc import Generator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxmlp.data.aligned import aligned
from jaxmlp.data.dataset import Dataset, Part
from jaxmlp.data.preprocessing import Preprocessing
from jaxmlp.errors import InputError, sentence
from jaxmlp.nn import costs
from jaxmlp.nn.costs import Cost
from jaxmlp.nn.network import Network
from jaxmlp.nn.objective import Batch, Objective

FULL = "full"
PIECE = 1e11  # multiplications and additions of a piece of an epoch, about a second of a CPU
MOST_STEPS = 1 << 16  # of a piece: small steps take microseconds, however little they compute


class Rows(NamedTuple):
    """A part of a data set as the compiled program reads it.

    Attributes:
      X: (m, n0).
      Y: (m, k) numbers or (m, 1) class ids.
      weights: (m, 1); None where all rows count alike.
    """

    X: Array
    Y: Array
    weights: Array | None = None


class Batches(NamedTuple):
    """Everything about the data that an epoch needs.

    Attributes:
      train, validation: rows on the device; validation may be None.
      batch_size: B ≤ m; B = m is a full batch.
      shuffle: whether each epoch draws a new order; a full batch has none.
      task: what the labels mean.
      piece: steps of an epoch that go to the device at once.
    """

    train: Rows
    validation: Rows | None
    batch_size: int
    shuffle: bool
    task: str
    piece: int = MOST_STEPS

    @property
    def cut(self) -> bool:
        """Whether an epoch goes to the device in pieces."""
        return self.steps > self.piece

    @property
    def n_rows(self) -> int:
        """m."""
        return self.train.X.shape[0]

    @property
    def steps(self) -> int:
        """Steps in an epoch."""
        return math.ceil(self.n_rows / self.batch_size)

    def order(self, seed: tuple[int, ...], epoch: int) -> np.ndarray | None:
        """Row numbers, (steps, B), padded with m; None for a full batch."""
        if self.n_rows == self.batch_size:
            return None
        return draw_order(self.n_rows, self.batch_size, seed, epoch, shuffle=self.shuffle)

    def pieces(self, seed: tuple[int, ...], epoch: int, done: int = 0) -> Generator[tuple[Rows, Any]]:
        """The rows of an epoch and their order, a piece of it at a time, without the steps that are done."""
        order = self.order(seed, epoch)
        if order is None:
            yield self.train, None
            return
        for first in range(done, len(order), self.piece):
            yield self.train, order[first : first + self.piece]

    def sizes(self) -> np.ndarray:
        """How many real rows each step has."""
        sizes = np.full(self.steps, self.batch_size)
        sizes[-1] = self.n_rows - (self.steps - 1) * self.batch_size
        return sizes


def seed_of(key: Array) -> tuple[int, ...]:
    """The words of a run's key, which seed its orders.

    >>> seed_of(jax.random.key(7))
    (0, 7)
    """
    return tuple(int(word) for word in np.ravel(jax.random.key_data(key)))


def draw_order(m: int, B: int, seed: tuple[int, ...], epoch: int, *, shuffle: bool) -> np.ndarray:
    """An epoch's order of m rows in steps of B, (⌈m/B⌉, B), padded with m.

    >>> draw_order(3, 2, (0, 1), 0, shuffle=False).tolist()
    [[0, 1], [2, 3]]
    """
    return padded(m, B, np.random.default_rng([*seed, epoch]) if shuffle else None)


def padded(m: int, B: int, generator: np.random.Generator | None) -> np.ndarray:
    """The numbers below m in a random order, or in their own, as rows of B; the last row is filled up with m.

    >>> padded(5, 3, None).tolist()
    [[0, 1, 2], [3, 4, 5]]
    """
    order = np.full(math.ceil(m / B) * B, m, np.int32)
    order[:m] = np.arange(m) if generator is None else generator.permutation(m)
    return order.reshape(-1, B)


class Orders:
    """The orders of a run, for so many epochs at a time; where it is one, the next is drawn while the device works.

    It is drawn in vain where the run ends before; of several epochs that would be too much for too little.
    """

    def __init__(self, batches: Batches, seed: tuple[int, ...], room: int) -> None:
        self._batches, self._seed, self._room = batches, seed, room
        self._ahead: tuple[int, np.ndarray | None] = -1, None  # an epoch and its order

    def of(self, epoch: int, n: int) -> np.ndarray | None:
        """Those of n epochs from this one on, with a leading axis for as many as there is room for."""
        return self._ahead[1] if (epoch, n) == (self._ahead[0], 1) else self._draw(epoch, n)

    def ahead(self, epoch: int) -> None:
        """Draw that of the epoch that comes next."""
        self._ahead = epoch, self._draw(epoch, 1)

    def _draw(self, epoch: int, n: int) -> np.ndarray | None:
        found = None
        for i in range(n):
            order = self._batches.order(self._seed, epoch + i)
            if order is None:
                return None
            if found is None:  # beyond those that are drawn nobody reads
                found = aligned((self._room, *order.shape), order.dtype)
            found[i] = order
        return found


def gather(rows: Rows, index: Array | None) -> Batch:
    """The columns X (n0, B), Y (k, B) and weights of one step."""
    if index is None:
        return Batch(*jax.tree.map(jnp.transpose, rows))
    # clip, not a check per index: the padding index m reads the last row and counts nothing
    X, Y, weights = jax.tree.map(lambda array: jnp.take(array, index, axis=0, mode="clip").T, rows)
    m = rows.X.shape[0]
    if m % index.shape[0] == 0:
        return Batch(X, Y, weights)
    real = (index < m).astype(X.dtype)[None, :]
    return Batch(X, Y, real if weights is None else real * weights)


def make_batches(
    data: Dataset,
    net: Network,
    objective: Objective | None,
    batch_size: int | str,
    *,
    dtype: Any = None,
    shuffle: bool = True,
    weights: Any = None,
) -> Batches:
    """Preprocess a data set and put it on the device.

    Args:
      data: rows and targets; its validation part is kept too, or its test part where it has no other.
      net: the network, for the form of the targets.
      objective: its cost likewise; the cost that follows from the output if None.
      batch_size: rows per step, or "full" for all of them.
      dtype: of the rows; JAX's default float if None.
      shuffle: whether each epoch draws a new order.
      weights: (m,), how much each training row counts; a row of weight 0 is left out.

    Raises:
      InputError: when data or weights do not fit the network, or the batch size is neither "full" nor a positive whole
        number.

    >>> from jaxmlp.data import load
    >>> batches = make_batches(load("digits"), Network((64, 10), "relu", "softmax"), Objective(), 100)
    >>> batches.n_rows, batches.steps, int(batches.sizes()[-1])
    (1438, 15, 38)
    """
    check_fit(data, net)
    dtype = dtype or jax.dtypes.canonicalize_dtype(float)
    part, weights = _weighted(data.train, weights)
    m = len(part.rows)
    check_batch_size(batch_size)
    batch_size = m if batch_size == FULL else int(batch_size)
    cost = costs.find(objective.cost if objective else None, net.activations[-1])

    on_cpu = jax.device_put(0).device.platform == "cpu"  # which takes arrays over as they lie, and not the user's

    def rows(part: Part, weights: np.ndarray | None = None) -> Rows:
        X = data.preprocessing(part.rows, dtype, copy=on_cpu)
        Y = target_rows(part.targets, data.task, data.target_preprocessing, net, cost, dtype)
        weights = weights if weights is None else weights.astype(dtype)[:, None]
        return Rows(*jax.device_put((X, Y, weights)))

    validation = data.validation or data.test
    train = rows(part, weights)
    B = min(batch_size, m)
    piece = max(1, min(MOST_STEPS, int(PIECE / (6 * net.n_parameters * B))))
    return Batches(train, validation and rows(validation), B, shuffle, data.task, piece)


def check_batch_size(batch_size: Any) -> None:
    """Raise unless it is a positive whole number, or "full"."""
    whole = isinstance(batch_size, int | np.integer) and not isinstance(batch_size, bool)
    if batch_size != FULL and not (whole and batch_size > 0):
        remedy = "write 32, say"
        raise InputError(sentence("batch_size", "a positive whole number or 'full'", repr(batch_size), remedy))


def _weighted(part: Part, weights: Any) -> tuple[Part, np.ndarray | None]:
    """The rows that count, and how much: those of weight 0 are left out, so that no batch can be empty of weight."""
    if weights is None:
        return part, None
    weights = check_weights(weights, len(part.rows))
    counted = weights > 0
    if counted.all():
        return part, weights
    return Part(part.rows[counted], part.targets[counted]), weights[counted]


def check_weights(weights: Any, m: int) -> np.ndarray:
    """The weights of m training rows as an array.

    Raises:
      InputError: unless they are finite numbers ≥ 0, one for each row, not all 0.
    """
    try:
        weights = np.asarray(weights)
    except ValueError:  # rows of unlike lengths
        weights = np.empty(0, object)
    if weights.shape != (m,) or weights.dtype.kind not in "biuf":
        got = weights.shape if weights.dtype.kind in "biuf" else weights.dtype
        raise InputError(sentence("sample_weight", f"a number for each of the {m} training rows", got, "leave it out"))
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        worst = weights[np.argmin(np.where(np.isfinite(weights), weights, -np.inf))]
        raise InputError(
            sentence("sample_weight", "finite numbers ≥ 0, not all 0", worst, "leave it out for equal ones")
        )
    return weights


def target_rows(
    targets: np.ndarray, task: str, preprocessing: Preprocessing, net: Network, cost: Cost, dtype: Any
) -> np.ndarray:
    """A part's targets as rows for the cost: (m, 1) class ids for categorical cross-entropy, else (m, n_L) numbers."""
    if task == "regression":
        Y = preprocessing(targets, dtype)
        if cost.name == "poisson" and Y.min() < 0:
            remedy = "it is for counts and rates: take another cost"
            raise InputError(sentence("cost 'poisson'", "targets ≥ 0", f"{Y.min():.4g}", remedy))
        return Y
    if task == "multilabel":
        return targets.astype(dtype)
    if cost.name == "categorical_cross_entropy":
        return targets.astype(np.int32)[:, None]
    if net.sizes[-1] == 1:
        return targets.astype(dtype)[:, None]
    return (targets[:, None] == np.arange(net.sizes[-1])).astype(dtype)


def check_fit(data: Dataset, net: Network) -> None:
    """Raise unless the network has the data set's features and outputs."""
    if net.sizes[0] != data.n_features:
        expects = f"sizes[0] = {data.n_features}, the features of data set {data.name!r}"
        raise InputError(sentence("the network", expects, net.sizes[0], "use jaxmlp.network_for(data)"))
    widths = {data.n_outputs, len(data.classes)} if data.task == "binary" else {data.n_outputs}
    output = net.activations[-1].name
    if output == "softmax" and data.task in ("binary", "multiclass"):
        widths = {len(data.classes)}
    if net.sizes[-1] not in widths or (output == "softmax" and data.task in ("multilabel", "regression")):
        wide = " or ".join(map(str, sorted(widths)))
        unit = "unit" if wide == "1" else "units"
        expects = f"an output of {wide} {unit} for the {data.task} data set {data.name!r}"
        got = f"{net.sizes[-1]} with {output!r}"
        raise InputError(sentence("the network", expects, got, "use jaxmlp.network_for(data)"))
