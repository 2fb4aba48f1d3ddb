"""Mini-batches of rows that stay in their file: buffers of whole batches, each with an order of its own.

The rows of a buffer go to the device as they were read, and the compiled steps gather their batches from them, as they
do from a data set in memory. Only the last step of an epoch may be filled up. `shuffle_buffer` has blocks and buffers.
"""

import math
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxmlp.data.dataset import Part
from jaxmlp.data.preprocessing import Preprocessing
from jaxmlp.data.streaming.dataset import StreamedDataset
from jaxmlp.data.streaming.shuffle_buffer import ShuffleBuffer, buffer_size
from jaxmlp.errors import InputError, sentence
from jaxmlp.nn import costs
from jaxmlp.nn.network import Network
from jaxmlp.nn.objective import Objective
from jaxmlp.training.batches import Rows, check_batch_norm, check_fit, permuted_rows, target_rows
from jaxmlp.training.options import FULL, check_batch_size

INDEX_BYTES = 16  # int64, int32, float32
"""Of a row: its number in the file, its place in an order, its weight."""


class StreamedBatches(NamedTuple):
    """Everything about a data set whose training rows stay in their file.

    Attributes:
      feed: reads the rows.
      targets: rows of the part, by number -> Y and weights, as in `Rows`.
      validation, batch_size, shuffle, task: as of `Batches`.
    """

    feed: ShuffleBuffer
    targets: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]
    validation: Rows | None
    batch_size: int
    shuffle: bool
    task: str

    @property
    def n_rows(self) -> int:
        """m."""
        return len(self.feed.rows)

    @property
    def is_segmented(self) -> bool:
        """Whether an epoch goes to the device in segments: always."""
        return True

    @property
    def steps(self) -> int:
        """Steps in an epoch."""
        return math.ceil(self.n_rows / self.batch_size)

    def segments(self, seed: tuple[int, ...], epoch: int, done: int = 0) -> Generator[tuple[Rows, Any]]:
        """The rows of an epoch with their orders, a buffer at a time: on the device, or on their way there.

        Buffers of the steps that are done are left out.

        A buffer is filled anew when the second next one is asked for: what is computed from it must be there by then.
        Close the iterator to end the reading thread before its end.
        """

        def draw(*more: int) -> np.random.Generator | None:
            return np.random.default_rng([*seed, epoch, *more]) if self.shuffle else None

        # buffers of 300 rows, batches of 100: 6 steps are 2 buffers to skip; 7 steps end within a buffer
        skipped, remainder = divmod(done * self.batch_size, self.feed.size)
        if remainder:
            remedy = "give the memory that it began with"
            expects = f"a memory that cuts an epoch after {done} steps, as the stopped one did"
            raise InputError(sentence("the run", expects, f"buffers of {self.feed.size // self.batch_size}", remedy))
        # the generators follow from seed, epoch and the number of the buffer alone, so that a resumed epoch draws the
        # remaining buffers as they would have been
        with closing(self.feed.buffers(draw(), skipped)) as buffers:
            for i, (X, numbers) in enumerate(buffers, start=skipped + 1):  # not from 0: a 0 more is the same seed again
                yield (
                    Rows(*jax.device_put((X, *self.targets(numbers)))),
                    # a buffer holds contiguous blocks of the file: its rows are put into an order of their own
                    permuted_rows(len(X), self.batch_size, draw(i)),
                )


def stream_batches(
    data: StreamedDataset,
    net: Network,
    objective: Objective | None,
    batch_size: int | str,
    *,
    dtype: Any = None,
    shuffle: bool = True,
    weights: np.ndarray | None = None,
) -> StreamedBatches:
    """What `make_batches` is for data in memory; only the validation part is put on the device at once.

    Args:
      data, net, objective, batch_size, dtype, shuffle: as for `make_batches`.
      weights: (m,), how much each training row counts, above 0.

    Raises:
      InputError: as for `make_batches`; also for full batches, for rows of weight 0, and when the memory of the data
        set does not hold four batches.
    """
    check_fit(data, net)
    check_batch_size(batch_size)
    if batch_size == FULL:
        remedy = "write 128, say, or read the file with jaxmlp.load"
        raise InputError(sentence("batch_size", "a number of rows for a streamed data set", repr(FULL), remedy))
    # rows in memory are left out if their weight is 0. Here they are read in any case, and a batch of such rows alone
    # would have no mean
    if weights is not None and not weights.all():
        remedy = "leave those rows out of the file, or give them a small weight"
        raise InputError(sentence("class_weight of a streamed data set", "weights above 0", "0", remedy))
    # targets are coded when their rows are read: coded all at once they would take n_L numbers a row, for all rows
    dtype = np.dtype(dtype or jax.dtypes.canonicalize_dtype(float))
    cost = costs.find(objective.cost if objective else None, net.activations[-1])

    def coded(targets: np.ndarray) -> np.ndarray:
        return target_rows(targets, data.task, data.target_preprocessing, net, cost, dtype)

    def targets(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        counted = None if weights is None else weights[numbers].astype(dtype)[:, None]  # (r, 1)
        return coded(data.train.targets[numbers]), counted

    def on_device(part: Part) -> Rows:
        return Rows(*jax.device_put((data.preprocessing(part.rows, dtype), coded(part.targets))))

    m = len(data.rows)
    B = min(int(batch_size), m)
    check_batch_norm(net, B)
    # what a row costs while it is in a buffer: input, targets and numbers
    row_bytes = (data.n_features + net.sizes[-1]) * dtype.itemsize + INDEX_BYTES
    assert isinstance(data.preprocessing, Preprocessing), "rows in a file are numbers"
    feed = ShuffleBuffer(
        data.rows, data.preprocessing, dtype, buffer_size(m, B, row_bytes, data.memory, data.reserved_bytes)
    )
    held_back = data.validation or data.test
    return StreamedBatches(feed, targets, held_back and on_device(held_back), B, shuffle, data.task)
