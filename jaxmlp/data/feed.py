"""Rows of a file through memory of a fixed size: blocks in random order, buffers of several blocks, one reading thread.

    file     | block 0 | block 1 | block 2 | ...                   contiguous rows
    epoch    block 7, block 2, block 9, ... , cut every `size` rows into buffers; the last one may be shorter
    memory   3 buffers: one that is computed on, one that is next, one that the thread fills

A buffer mixes BLOCKS blocks; whoever takes it shuffles its rows. Every row is in exactly one buffer of an epoch, and
all of it follows from the random generator that is given. A buffer is valid until the second next is asked for.
"""

import queue
import threading
from collections import deque
from collections.abc import Generator, Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np

from jaxmlp.data.aligned import aligned
from jaxmlp.data.file_rows import FileRows, Read
from jaxmlp.data.preprocessing import Preprocessing
from jaxmlp.errors import InputError, sentence

BLOCKS = 32
"""Blocks in a buffer, at least."""
BUFFERS = 3
COPIES = BUFFERS + 1
"""What is counted: the buffers, and as much as one more for the rows that are being converted."""
PIECES = 8
"""Pieces in which a buffer is read and converted, at least."""

Visit = list[tuple[int, int]]


def visits(m: int, size: int, block: int, generator: np.random.Generator | None) -> Iterator[Visit]:
    """The rows of each buffer of an epoch, as ranges [start, stop).

    Args:
        m: rows.
        size: rows of a buffer.
        block: rows of a block.
        generator: draws the order of the blocks; None leaves them in that of the file.

    >>> list(visits(7, 4, 3, None))
    [[(0, 3), (3, 4)], [(4, 6), (6, 7)]]
    """
    blocks = np.arange(-(-m // block))
    visit: Visit = []
    room = size
    for i in blocks if generator is None else generator.permutation(blocks):
        start, stop = int(i) * block, min((int(i) + 1) * block, m)
        while start < stop:
            end = min(stop, start + room)
            visit.append((start, end))
            start, room = end, room - (end - start)
            if not room:
                yield visit
                visit, room = [], size
    if visit:
        yield visit


def buffer_size(m: int, batch_size: int, row_bytes: int, memory: int, held: int) -> int:
    """Rows of a buffer: whole batches, as many as fit, and about equally many in all buffers of an epoch.

        held + 4 · rows · row_bytes ≤ memory

    Args:
        m: rows of an epoch.
        batch_size: B.
        row_bytes: bytes of a row, its targets and its numbers in an order.
        memory: the budget.
        held: bytes that are taken already.

    Raises:
        InputError: when not even one batch fits; the text says how much memory would do.

    >>> buffer_size(m=1000, batch_size=10, row_bytes=100, memory=200_000, held=0)    # 500 rows fit: 2 buffers
    500
    >>> buffer_size(m=1000, batch_size=10, row_bytes=100, memory=3000, held=0)
    Traceback (most recent call last):
    jaxmlp.errors.InputError: memory expects at least 4000 bytes for batches of 10 rows, got 3000: give that much, or \
take smaller batches
    """
    fitting = (memory - held) // (COPIES * row_bytes * batch_size)
    if fitting < 1:
        need = held + COPIES * row_bytes * batch_size
        expects, remedy = f"at least {need} bytes for batches of {batch_size} rows", "give that much"
        raise InputError(sentence("memory", expects, memory, f"{remedy}, or take smaller batches"))
    steps = -(-m // batch_size)
    return -(-steps // -(-steps // fitting)) * batch_size


class Feed(NamedTuple):
    """Rows of a file on their way to the network.

    Attributes:
        rows: in their file.
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
        """The buffers of an epoch: network input (r, n), and which rows of the part these are, (r,).

        Args:
            generator: draws the order of the blocks; None leaves them in that of the file.
            skipped: buffers at the beginning that are not read.

        The thread ends with the iterator: close it (`contextlib.closing`) where it may not come to its end.

        Raises:
            InputError: whatever `FileRows.reading` raises.
        """
        m = len(self.rows)
        n_buffers = -(-m // self.size) - skipped
        block = max(1, self.size // BLOCKS)
        block = -(-block // self.rows.chunk) * self.rows.chunk  # what is compressed as one is read in one go
        free: queue.Queue[np.ndarray | None] = queue.Queue()
        for _ in range(min(BUFFERS, n_buffers)):
            free.put(aligned((min(self.size, m), self.rows.shape[1]), self.dtype))
        ready: queue.Queue[tuple[np.ndarray, Visit] | BaseException] = queue.Queue()
        stop = threading.Event()
        epoch = islice(visits(m, self.size, block, generator), skipped, None)
        work = (self, epoch, free, ready, stop)
        thread = threading.Thread(target=_read_ahead, args=work, name="jaxmlp-reader", daemon=True)
        thread.start()
        given: deque[np.ndarray] = deque()
        try:
            for _ in range(n_buffers):
                if len(given) == BUFFERS - 1:
                    free.put(given.popleft())
                item = ready.get()
                if isinstance(item, BaseException):
                    raise item
                buffer, visit = item
                given.append(buffer)
                numbers = np.concatenate([np.arange(*span) for span in visit])
                yield buffer[: len(numbers)], numbers
        finally:
            stop.set()
            free.put(None)
            thread.join()


def _read_ahead(
    feed: Feed, epoch: Iterator[Visit], free: queue.Queue, ready: queue.Queue, stop: threading.Event
) -> None:
    """The thread: fill free buffers until the epoch is read or nobody wants it any more; an error is handed over."""
    try:
        with feed.rows.reading() as read:
            for visit in epoch:
                buffer, done = free.get(), 0
                for start, end in _pieces(visit, max(1, feed.size // PIECES)):
                    if stop.is_set():
                        return
                    _fill(feed, read, start, end, buffer[done : done + end - start])
                    done += end - start
                ready.put((buffer, visit))
    except BaseException as error:
        ready.put(error)


def _pieces(visit: Visit, most: int) -> Iterator[tuple[int, int]]:
    for start, end in visit:
        for first in range(start, end, most):
            yield first, min(first + most, end)


def _fill(feed: Feed, read: Read, start: int, end: int, out: np.ndarray) -> None:
    """Rows start..end as network input; read in place where they are that already."""
    if feed.rows.dtype == feed.dtype and not feed.preprocessing.to_dict():
        read(start, end, out)
        return
    raw = np.empty(out.shape, feed.rows.dtype)
    read(start, end, raw)
    out[:] = feed.preprocessing(raw, feed.dtype)
