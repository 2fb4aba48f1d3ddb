"""Rows of a file through memory of a fixed size: blocks in random order, buffers of several blocks, one reading thread.

    file     | block 0 | block 1 | block 2 | ...                   contiguous rows
    epoch    block 7, block 2, block 9, ... , cut every `size` rows into buffers; the last one may be shorter
    memory   3 buffers: one in the computation, one that is ready, one that the thread fills

A buffer mixes at least BLOCKS_PER_BUFFER blocks, and the caller shuffles its rows. Every row is in exactly one buffer
of an epoch, and the order follows from the random generator of the caller. A buffer is valid until the caller asks for
the second one after it.
"""

import queue
import threading
from collections import deque
from collections.abc import Generator, Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np

from jaxmlp.data.aligned import empty_aligned
from jaxmlp.data.preprocessing import Preprocessing
from jaxmlp.data.streaming.file_rows import FileRows, ReadRows
from jaxmlp.errors import InputError, sentence

BLOCKS_PER_BUFFER = 32
"""Blocks in a buffer, at least: more blocks mix the rows better, longer blocks are read faster."""
BUFFERS = 3
COUNTED_BUFFERS = BUFFERS + 1
"""Buffers that are counted as memory: one more, for raw rows while they are converted."""
PIECES_PER_BUFFER = 8
"""Pieces in which a buffer is read and converted: raw rows take an eighth of a buffer, and the thread can stop soon."""

Ranges = list[tuple[int, int]]


def buffer_ranges(m: int, size: int, block: int, generator: np.random.Generator | None) -> Iterator[Ranges]:
    """Yield the rows of each buffer of an epoch, as ranges [start, stop).

    Args:
        m: number of rows.
        size: rows of a buffer.
        block: rows of a block.
        generator: draws the order of the blocks; None keeps the order of the file.

    >>> list(buffer_ranges(7, 4, 3, None))
    [[(0, 3), (3, 4)], [(4, 6), (6, 7)]]
    """
    blocks = np.arange(-(-m // block))  # the last one may be shorter
    ranges: Ranges = []
    free_rows = size
    # a block may be cut by the end of a buffer: the next buffer begins with its other piece, so all buffers are full
    for i in blocks if generator is None else generator.permutation(blocks):
        start, stop = int(i) * block, min((int(i) + 1) * block, m)
        while start < stop:
            end = min(stop, start + free_rows)
            ranges.append((start, end))
            start, free_rows = end, free_rows - (end - start)
            if not free_rows:
                yield ranges
                ranges, free_rows = [], size
    if ranges:
        yield ranges


def buffer_size(m: int, batch_size: int, row_bytes: int, memory: int, reserved: int) -> int:
    """Return the rows of a buffer: whole batches, as many as fit, and about equally many in all buffers of an epoch.

        reserved + 4 · rows · row_bytes ≤ memory

    Args:
        m: rows of an epoch.
        batch_size: B.
        row_bytes: bytes of a row, its targets and its numbers in an order.
        memory: bytes in all.
        reserved: bytes that are already in use.

    Raises:
        InputError: not even one batch fits; the text says how much memory is enough.

    >>> buffer_size(m=1000, batch_size=10, row_bytes=100, memory=200_000, reserved=0)    # 500 rows fit: 2 buffers
    500
    >>> buffer_size(m=1000, batch_size=10, row_bytes=100, memory=3000, reserved=0)
    Traceback (most recent call last):
    jaxmlp.errors.InputError: memory expects at least 4000 bytes for batches of 10 rows, got 3000: give that much, or \
take smaller batches
    """
    max_batches = (memory - reserved) // (COUNTED_BUFFERS * row_bytes * batch_size)
    if max_batches < 1:
        need = reserved + COUNTED_BUFFERS * row_bytes * batch_size
        expects, remedy = f"at least {need} bytes for batches of {batch_size} rows", "give that much"
        raise InputError(sentence("memory", expects, memory, f"{remedy}, or take smaller batches"))
    # Equal buffers cost no more memory than full ones, and no epoch ends with a small buffer, whose few rows would be
    # mixed with few others.
    steps = -(-m // batch_size)  # ⌈m/B⌉
    n_buffers = -(-steps // max_batches)  # as few as the memory allows
    return -(-steps // n_buffers) * batch_size


class ShuffleBuffer(NamedTuple):
    """Rows of a file on their way to the network.

    Attributes:
        rows: the rows in their file.
        preprocessing: from raw rows to network input.
        dtype: of the network input.
        size: rows of a buffer.
    """

    rows: FileRows
    preprocessing: Preprocessing
    dtype: np.dtype
    size: int

    def buffers(
        self, generator: np.random.Generator | None, skipped: int = 0
    ) -> Generator[tuple[np.ndarray, np.ndarray]]:
        """Yield the buffers of an epoch: network input (r, n), and the numbers of its rows in the part, (r,).

        Args:
            generator: draws the order of the blocks; None keeps the order of the file.
            skipped: buffers at the beginning that are not read.

        The thread ends with the iterator: close it (`contextlib.closing`) unless it runs to its end.

        Raises:
            InputError: as `FileRows.reading`.
        """
        m = len(self.rows)
        n_buffers = -(-m // self.size) - skipped
        free: queue.Queue[np.ndarray | None] = queue.Queue()
        # aligned memory: on a CPU, JAX uses an aligned array in place and copies any other
        for _ in range(min(BUFFERS, n_buffers)):
            free.put(empty_aligned((min(self.size, m), self.rows.shape[1]), self.dtype))
        # no limit on its length: three buffers exist, so no more than three items can wait
        ready: queue.Queue[tuple[np.ndarray, Ranges] | BaseException] = queue.Queue()
        stop = threading.Event()
        # the order of all blocks is drawn, also of those skipped: a resumed epoch has the order of the whole one
        epoch = islice(buffer_ranges(m, self.size, self._block_rows(), generator), skipped, None)
        arguments = (self, epoch, free, ready, stop)
        # one thread is enough: within a process HDF5 reads one array at a time
        thread = threading.Thread(target=_read_ahead, args=arguments, name="jaxmlp-reader", daemon=True)
        thread.start()
        in_use: deque[np.ndarray] = deque()
        try:
            for _ in range(n_buffers):
                # JAX may still compute on the last buffer when the next one is asked for, but not on the one before it
                if len(in_use) == BUFFERS - 1:
                    free.put(in_use.popleft())
                item = ready.get()
                if isinstance(item, BaseException):
                    raise item
                buffer, ranges = item
                in_use.append(buffer)
                numbers = np.concatenate([np.arange(*span) for span in ranges])
                yield buffer[: len(numbers)], numbers
        finally:
            stop.set()
            free.put(None)  # wakes a thread that waits for a free buffer
            thread.join()

    def _block_rows(self) -> int:
        block = max(1, self.size // BLOCKS_PER_BUFFER)
        # whole chunks, because HDF5 decompresses a chunk completely even if a block needs one row of it
        return -(-block // self.rows.chunk_rows) * self.rows.chunk_rows


def _read_ahead(
    buffer: ShuffleBuffer, epoch: Iterator[Ranges], free: queue.Queue, ready: queue.Queue, stop: threading.Event
) -> None:
    """Fill free buffers, in a thread, until the epoch is read or `stop` is set; an error becomes an item of `ready`."""
    try:
        with buffer.rows.reading() as read:
            for ranges in epoch:
                memory, done = free.get(), 0
                for start, end in _split_ranges(ranges, max(1, buffer.size // PIECES_PER_BUFFER)):
                    # between two pieces, so that closing the iterator waits for an eighth of a buffer at most
                    if stop.is_set():
                        return
                    _fill(buffer, read, start, end, memory[done : done + end - start])
                    done += end - start
                ready.put((memory, ranges))
    except BaseException as error:  # any error, for without an item the caller would wait for ever
        ready.put(error)


def _split_ranges(ranges: Ranges, max_rows: int) -> Iterator[tuple[int, int]]:
    for start, end in ranges:
        for first in range(start, end, max_rows):
            yield first, min(first + max_rows, end)


def _fill(buffer: ShuffleBuffer, read: ReadRows, start: int, end: int, out: np.ndarray) -> None:
    """Read the rows start..end as network input."""
    if buffer.rows.dtype == buffer.dtype and not buffer.preprocessing.to_dict():
        read(start, end, out)  # raw rows are the network input: no copy
        return
    raw = np.empty(out.shape, buffer.rows.dtype)
    read(start, end, raw)
    out[:] = buffer.preprocessing(raw, buffer.dtype)
