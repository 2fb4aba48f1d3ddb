"""Mini-batches: the rows on the device, and the order in which an epoch visits them.

An epoch is a permutation of the m rows, cut into steps of B rows. The host draws it from the key of the run and the
number of the epoch, so a resumed run has the same order. If B does not divide m, the last step is padded: the index
m + i stands for row i with weight 0. So the mean over the batch is exactly the mean over its real rows, and all steps
have the same shape and run one compiled program.
"""

import math
from collections.abc import Generator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxmlp.data.aligned import empty_aligned
from jaxmlp.data.dataset import Dataset, Part
from jaxmlp.data.preprocessing import Preprocessing
from jaxmlp.data.row_weights import check_row_weights
from jaxmlp.errors import InputError, check_type, sentence
from jaxmlp.fork import refuse_after_fork
from jaxmlp.nn import costs
from jaxmlp.nn.checks import check_network
from jaxmlp.nn.costs import Cost
from jaxmlp.nn.network import Network
from jaxmlp.nn.objective import Batch, Objective
from jaxmlp.parallel.processors import on_cpu
from jaxmlp.training.options import FULL, check_batch_size

# Multiplications and additions in a segment of an epoch: about a second on a CPU or a small accelerator. A large one
# needs 0.1 s, which is still long compared with the 2 ms of the host between two segments.
FLOPS_PER_SEGMENT = {"cpu": 1e11, "accelerator": 2e13}
MAX_STEPS_PER_SEGMENT = 1 << 16  # a step takes at least some microseconds, even if it computes almost nothing


class Rows(NamedTuple):
    """A part of a data set in the form that the compiled program takes.

    Attributes:
      X: (m, n0).
      Y: (m, k) numbers or (m, 1) class ids.
      weights: (m, 1); None where all rows have equal weight.
    """

    X: Array
    Y: Array
    weights: Array | None = None


class Batches(NamedTuple):
    """Everything about the data that an epoch needs.

    Attributes:
      train, validation: rows on the device; validation may be None.
      batch_size: B ≤ m; B = m is a full batch.
      shuffle: whether each epoch draws a new order; a full batch has no order.
      task: "binary", "multiclass", "multilabel" or "regression".
      segment_steps: the maximum number of steps in one call of the device.
    """

    train: Rows
    validation: Rows | None
    batch_size: int
    shuffle: bool
    task: str
    segment_steps: int = MAX_STEPS_PER_SEGMENT

    @property
    def is_segmented(self) -> bool:
        """Whether an epoch needs several calls of the device."""
        return self.steps > self.segment_steps

    @property
    def n_rows(self) -> int:
        """The number of training rows, m."""
        return self.train.X.shape[0]

    @property
    def steps(self) -> int:
        """The number of steps in an epoch."""
        return math.ceil(self.n_rows / self.batch_size)

    def order(self, seed: tuple[int, ...], epoch: int) -> np.ndarray | None:
        """Return the row numbers of an epoch, (steps, B), padded; None for a full batch."""
        if self.n_rows == self.batch_size:
            return None
        return draw_order(self.n_rows, self.batch_size, seed, epoch, shuffle=self.shuffle)

    def segments(self, seed: tuple[int, ...], epoch: int, done: int = 0) -> Generator[tuple[Rows, np.ndarray | None]]:
        """Yield the rows and the order of each segment of an epoch, from the step number `done` on."""
        order = self.order(seed, epoch)
        if order is None:
            yield self.train, None
            return
        for first in range(done, len(order), self.segment_steps):
            yield self.train, order[first : first + self.segment_steps]

    def sizes(self) -> np.ndarray:
        """Return the number of real rows in each step, (steps,)."""
        sizes = np.full(self.steps, self.batch_size)
        sizes[-1] = self.n_rows - (self.steps - 1) * self.batch_size  # 38 of 1,438 rows in steps of 100
        return sizes


def seed_words(key: Array) -> tuple[int, ...]:
    """Return the 32-bit words of a run's key, which seed NumPy's generator of the orders.

    >>> seed_words(jax.random.key(7))
    (0, 7)
    """
    return tuple(int(word) for word in np.ravel(jax.random.key_data(key)))


def draw_order(m: int, B: int, seed: tuple[int, ...], epoch: int, *, shuffle: bool) -> np.ndarray:
    """Return an epoch's order of m rows in steps of B, (⌈m/B⌉, B), padded.

    >>> draw_order(3, 2, (0, 1), 0, shuffle=False).tolist()    # 5 = m + 2 stands for row 2, with weight 0
    [[0, 1], [2, 5]]
    """
    # NumPy hashes the list to a seed: neighbouring epochs and keys get independent orders
    return permuted_rows(m, B, np.random.default_rng([*seed, epoch]) if shuffle else None)


def permuted_rows(m: int, B: int, generator: np.random.Generator | None) -> np.ndarray:
    """Return the numbers 0 to m - 1 as padded rows of B, in random order, or in ascending order without a generator.

    >>> permuted_rows(5, 3, None).tolist()
    [[0, 1, 2], [3, 4, 9]]
    """
    # 2m - 1 is row m - 1 with weight 0; int32 holds it for up to 2³⁰ rows, in half the bytes of NumPy's default int64
    order = np.full(math.ceil(m / B) * B, 2 * m - 1, np.int32)
    order[:m] = np.arange(m) if generator is None else generator.permutation(m)
    return order.reshape(-1, B)  # (steps, B)


class Permutations:
    """The orders of a run, for up to `capacity` epochs in a call.

    With one epoch per call, the next order is drawn while the device computes. With several epochs per call nothing is
    drawn in advance: the run often ends before these epochs, and drawing many orders takes longer than it saves.
    """

    def __init__(self, batches: Batches, seed: tuple[int, ...], capacity: int) -> None:
        self._batches, self._seed, self._capacity = batches, seed, capacity
        self._prefetched: tuple[int, np.ndarray | None] = -1, None  # an epoch and its order

    def get(self, epoch: int, n: int) -> np.ndarray | None:
        """Return the orders of n epochs, the first of them `epoch`, with a leading axis of length `capacity`."""
        return self._prefetched[1] if (epoch, n) == (self._prefetched[0], 1) else self._draw(epoch, n)

    def prefetch(self, epoch: int) -> None:
        """Draw the order of an epoch in advance."""
        self._prefetched = epoch, self._draw(epoch, 1)

    def _draw(self, epoch: int, n: int) -> np.ndarray | None:
        orders = None
        for i in range(n):
            order = self._batches.order(self._seed, epoch + i)
            if order is None:
                return None
            if orders is None:  # the program reads only the n orders that are drawn
                orders = empty_aligned((self._capacity, *order.shape), order.dtype)
            orders[i] = order
        return orders


def gather(rows: Rows, index: Array | None, *, padded: bool = False) -> Batch:
    """Return the columns X (n0, B), Y (k, B) and weights of one step; all rows without an index.

    Args:
      rows: the rows of a part.
      index: row numbers, (B,); m + i stands for row i with weight 0.
      padded: whether the index may contain numbers m + i although B divides m.
    """
    if index is None:
        return Batch(*jax.tree.map(jnp.transpose, rows))
    m = rows.X.shape[0]
    has_padding = padded or m % index.shape[0] != 0  # known while tracing: no weights without padding
    real = index < m
    if has_padding:
        index = jnp.where(real, index, index - m)
    # mode="clip", because JAX's default tests every index, and the gather is a large part of a small step. The rows are
    # stored as (m, n0) and transposed after the gather: a row is copied in one piece, whereas a column of (n0, m) would
    # be read number by number.
    X, Y, weights = jax.tree.map(lambda array: jnp.take(array, index, axis=0, mode="clip").T, rows)
    if not has_padding:
        return Batch(X, Y, weights)
    real_weights = real.astype(X.dtype)[None, :]  # (1, B): 1 for real rows, 0 for padding
    return Batch(X, Y, real_weights if weights is None else real_weights * weights)


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
      data: the data set; besides its training part, its validation part is used, or else its test part.
      net: the network, whose output decides the form of the targets.
      objective: the objective, whose cost decides it, too; the default cost of the output if None.
      batch_size: rows per step, or "full" for all rows.
      dtype: the dtype of the rows; JAX's default float if None.
      shuffle: whether each epoch draws a new order.
      weights: (m,), the weight of each training row; a row of weight 0 is left out.

    Raises:
      InputError: when data or weights do not fit the network, or the batch size is neither "full" nor a positive whole
        number.

    >>> from jaxmlp.data import load
    >>> batches = make_batches(load("digits"), Network((64, 10), "relu", "softmax"), Objective(), 100)
    >>> batches.n_rows, batches.steps, int(batches.sizes()[-1])
    (1438, 15, 38)
    """
    refuse_after_fork("make_batches")
    check_type("make_batches", data, Dataset, "a Dataset", "use jaxmlp.load or Dataset.from_arrays")
    check_network(net)
    check_type("objective", objective, (Objective, type(None)), "an Objective", "write jaxmlp.Objective(l2=0.01)")
    check_fit(data, net)
    dtype = dtype or jax.dtypes.canonicalize_dtype(float)
    # rows of weight 0 are removed first: B, the steps and the segments follow from the number of the remaining rows
    part, weights = _without_zero_weights(data.train, weights)
    m = len(part.rows)
    check_batch_size(batch_size)
    batch_size = m if batch_size == FULL else int(batch_size)
    cost = costs.find(objective.cost if objective else None, net.activations[-1])

    # on a CPU, JAX may use the memory of a NumPy array without a copy: the user may change that array during training
    copy = on_cpu()

    def rows(part: Part, weights: np.ndarray | None = None) -> Rows:
        X = data.preprocessing(part.rows, dtype, copy=copy)
        Y = target_rows(part.targets, data.task, data.target_preprocessing, net, cost, dtype)
        weights = weights if weights is None else weights.astype(dtype)[:, None]  # (m, 1)
        return Rows(*jax.device_put((X, Y, weights)))

    validation = data.validation or data.test
    train = rows(part, weights)
    B = min(batch_size, m)
    check_batch_norm(net, B)
    # 6 per weight and example: a multiplication and an addition, once in the forward and twice in the backward pass
    flops = FLOPS_PER_SEGMENT["cpu" if on_cpu() else "accelerator"]
    segment_steps = max(1, min(MAX_STEPS_PER_SEGMENT, int(flops / (6 * net.n_products * B))))
    return Batches(train, validation and rows(validation), B, shuffle, data.task, segment_steps)


def check_batch_norm(net: Network, batch_size: int) -> None:
    """Raise for batch normalisation with batches of one row: their deviation is 0, so every example has equal outputs.

    >>> check_batch_norm(Network((2, 3, 1), "relu", "sigmoid", "batch"), 32)
    """
    if net.norm == "batch" and batch_size == 1:
        expects, remedy = "batches of at least 2 rows", "raise batch_size, or take norm 'layer'"
        raise InputError(sentence("norm 'batch'", expects, "batches of 1 row", remedy))


def _without_zero_weights(part: Part, weights: object) -> tuple[Part, np.ndarray | None]:
    """Return the rows of positive weight: a batch whose weights are all 0 would have no mean."""
    if weights is None:
        return part, None
    weights = check_row_weights(weights, len(part.rows), "sample_weight", "training rows")
    positive = weights > 0
    if positive.all():
        return part, weights
    return Part(part.rows[positive], part.targets[positive]), weights[positive]


def target_rows(
    targets: np.ndarray, task: str, preprocessing: Preprocessing, net: Network, cost: Cost, dtype: Any
) -> np.ndarray:
    """Return targets as rows for the cost: (m, 1) class ids for categorical cross-entropy, else (m, n_L) numbers."""
    if task == "regression":
        Y = preprocessing(targets, dtype)
        if cost.name == "poisson" and Y.min() < 0:
            remedy = "poisson is for counts and rates: choose another cost"
            raise InputError(sentence("cost 'poisson'", "targets ≥ 0", f"{Y.min():.4g}", remedy))
        return Y
    if task == "multilabel":
        return targets.astype(dtype)
    if cost.name == "categorical_cross_entropy":
        return targets.astype(np.int32)[:, None]
    if net.sizes[-1] == 1:
        return targets.astype(dtype)[:, None]
    # any other cost compares each output with a number, so the rows are one-hot
    return (targets[:, None] == np.arange(net.sizes[-1])).astype(dtype)  # (m, 1) == (C,) -> (m, C)


def check_fit(data: Dataset, net: Network) -> None:
    """Raise unless the network has the data set's features and outputs."""
    if net.sizes[0] != data.n_inputs:
        expects = f"sizes[0] = {data.n_inputs}, the features of data set {data.name!r}"
        raise InputError(sentence("the network", expects, net.sizes[0], "use jaxmlp.network_for(data)"))
    of_table = data.preprocessing.column_widths
    if net.column_widths is not None and of_table is not None and net.column_widths != of_table:
        expects, got = f"column_widths {of_table}", net.column_widths
        raise InputError(sentence("the network", expects, got, "use jaxmlp.network_for(data, members=32)"))
    widths = {data.n_outputs, len(data.classes)} if data.task == "binary" else {data.n_outputs}
    output = net.activations[-1].name
    if output == "softmax" and data.task in ("binary", "multiclass"):
        widths = {len(data.classes)}
    if net.sizes[-1] not in widths or (output == "softmax" and data.task in ("multilabel", "regression")):
        width = " or ".join(map(str, sorted(widths)))
        unit = "unit" if width == "1" else "units"
        expects = f"an output of {width} {unit} for the {data.task} data set {data.name!r}"
        got = f"{net.sizes[-1]} with {output!r}"
        raise InputError(sentence("the network", expects, got, "use jaxmlp.network_for(data)"))
