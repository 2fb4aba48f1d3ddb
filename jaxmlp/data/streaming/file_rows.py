"""Rows that stay in their HDF5 file: which rows of the file they are, and how they are read.

    rows of the part     0 1 2 | 3 4 | 5 ...          numbered without gaps
    rows of the file     0 1 2   5 6   9 ...          runs [0, 3), [5, 7), [9, ...); rows between them are held out

The record holds no open file, so that it can be pickled and sent to other processes. Each `reading` opens the file for
itself, read-only, and closes it again; any number of processes may do so at once. Within a process one thread reads.
"""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from jaxmlp.data.readers.hdf5 import open_hdf5, stored_arrays
from jaxmlp.data.rows import check_finite
from jaxmlp.errors import InputError, InputTypeError, sentence

ReadRows = Callable[[int, int, np.ndarray], None]
MAX_RUNS = 200
"""Runs of held-out rows: enough to represent the file, few enough to be read quickly and to leave few gaps."""


@dataclasses.dataclass(frozen=True, eq=False)
class FileRows:
    """Some rows of an array in an HDF5 file, (m, n); images are flattened when they are read.

    Attributes:
        path, name: the file, and the array in it.
        array_shape: the shape of the array in the file, (M, n) or (M, h, w[, c]).
        dtype: of the array.
        runs: (r, 2), the rows of the file [start, stop) that belong to the part, in ascending order.
        chunk_rows: rows of the file that are compressed as one chunk; 1 if the array has no chunks.
        cache_bytes: memory for decompressed chunks while the file is read; 0 if the array has none.
    """

    path: Path
    name: str
    array_shape: tuple[int, ...]
    dtype: np.dtype
    runs: np.ndarray
    chunk_rows: int = 1
    cache_bytes: int = 0

    def __len__(self) -> int:
        return int((self.runs[:, 1] - self.runs[:, 0]).sum())

    @property
    def shape(self) -> tuple[int, int]:
        """(m, n)."""
        return len(self), int(np.prod(self.array_shape[1:]))

    def __array__(self, dtype: object = None, copy: bool | None = None) -> NoReturn:
        # NumPy would otherwise make an array of one object, and the error would come much later, about a dtype
        got = f"all {len(self)} of {self.name!r}, which stay in {self.path.name}"
        remedy = "use the test part, or jaxmlp.load for a file that fits in memory"
        raise InputTypeError(sentence("this operation", "rows that are in memory", got, remedy))

    def select_runs(self, runs: np.ndarray) -> "FileRows":
        """Return the rows of the part in these runs (r, 2), which stay in the file."""
        return dataclasses.replace(
            self, runs=np.array([r for start, stop in runs for r in self.file_runs(start, stop)])
        )

    def file_runs(self, start: int, stop: int) -> list[tuple[int, int]]:
        """Return the runs of file rows that are the rows start..stop of the part.

        >>> rows = FileRows(Path("a.h5"), "X", (9, 2), np.dtype("f4"), np.array([[0, 3], [5, 7]]))
        >>> rows.file_runs(1, 4)
        [(1, 3), (5, 6)]
        """
        before = np.concatenate([[0], np.cumsum(self.runs[:, 1] - self.runs[:, 0])])  # rows of the part before each run
        # the run that holds `start`: the last one that begins at or before it
        pieces, i = [], int(np.searchsorted(before, start, side="right")) - 1
        while start < stop:
            end = min(int(stop), int(before[i + 1]))
            offset = int(self.runs[i, 0] - before[i])
            pieces.append((int(start) + offset, end + offset))
            start, i = end, i + 1
        return pieces

    def iter_blocks(self, length: int, max_blocks: int | None = None) -> Iterator[tuple[int, np.ndarray]]:
        """Yield blocks of rows, each with the number of its first row: all, or a sample of them at even distances.

        Args:
            length: rows of a block; the last one may be shorter.
            max_blocks: a limit on the blocks; None reads all rows.

        Raises:
            InputError: as `reading`.
        """
        m, n = self.shape
        starts: Sequence[int] = range(0, m, length)
        if max_blocks is not None and m > max_blocks * length:
            starts = np.linspace(0, m - length, max_blocks, dtype=int).tolist()
        with self.reading() as read:
            for start in starts:  # a new array for each block, because the caller may collect them
                rows = np.empty((min(length, m - start), n), self.dtype)
                read(start, start + len(rows), rows)
                yield start, rows

    def read_all(self) -> np.ndarray:
        """Return all rows, (m, n): for a part that fits in memory."""
        rows = np.empty(self.shape, self.dtype)
        with self.reading() as read:
            read(0, len(self), rows)
        return rows

    @contextlib.contextmanager
    def reading(self) -> Iterator[ReadRows]:
        """Open the file and yield read(start, stop, out), which puts the rows start..stop of the part into out.

        `out` is (stop - start, n), contiguous and of the dtype of the file.

        Raises:
            InputError: the file is absent, damaged or not the same as before; a row that is not finite, by its number
                in the file.
        """
        if not self.path.exists():
            raise self._error("no such file any more", "put it back, and resume")
        # None is the default of HDF5; 0 would switch its cache off
        with open_hdf5(self.path, self.cache_bytes or None, streamed=True) as file:
            array = stored_arrays(file).get(self.name)
            if array is None or array.shape != self.array_shape or array.dtype != self.dtype:
                got = "none" if array is None else f"{array.dtype} of shape {array.shape}"
                raise self._error(got, "was the file replaced? then call jaxmlp.stream again")
            size = os.path.getsize(self.path)  # of the file as it was opened, for the check after each read

            def read(start: int, stop: int, out: np.ndarray) -> None:
                done = 0
                for first, last in self.file_runs(start, stop):
                    rows = out[done : done + last - first]
                    self._read_run(array, first, last, rows)
                    done += last - first
                self._check_size(size)

            yield read

    def _read_run(self, array: Any, first: int, last: int, out: np.ndarray) -> None:
        try:
            # straight into the buffer: array[first:last] would allocate and copy the rows once more
            array.read_direct(out.reshape(-1, *self.array_shape[1:]), np.s_[first:last])
        except (OSError, RuntimeError):
            raise self._error(f"an error at rows {first} to {last}", "is the file whole?") from None
        self._check_rows(out, first)

    def _check_rows(self, rows: np.ndarray, first: int) -> None:
        if self.dtype.kind != "f":
            return
        # A nan or infinity makes the sum nan or infinite, and summing needs no array of flags as isfinite does. Large
        # finite numbers may overflow the sum as well, so only then every number is checked.
        with np.errstate(over="ignore", invalid="ignore"):
            is_finite = np.isfinite(rows.sum())
        if not is_finite:
            check_finite(rows, f"{self.name!r} of {self.path.name}", first=first)

    def _check_size(self, size: int) -> None:
        # HDF5 returns zeros, and no error, for what has been cut off a file while it is open
        try:
            current_size = os.path.getsize(self.path)
        except OSError:
            raise self._error("no such file any more", "put it back, and resume") from None
        # smaller only: a file that grows has lost nothing of what is read
        if current_size < size:
            got = f"a file cut from {size} to {current_size} bytes while it was read"
            raise self._error(got, "restore it, and resume")

    def _error(self, got: str, remedy: str) -> InputError:
        expects = f"{self.name!r}, {self.dtype} of shape {self.array_shape}"
        return InputError(sentence(self.path.name, expects, got, remedy))


def choose_runs(m: int, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the runs of rows that remain for training, (r, 2), and those held out, (k, 2), k ≤ `MAX_RUNS`.

    The file is cut into k equal sections, and each gives one run from a random place: a file that is sorted by class or
    by time is represented as a whole. The runs have equal length. The generator is `np.random.RandomState` as in
    `data.split`, so that a seed always means the same rows.

    Args:
        m: rows of the file.
        count: rows to hold out, from 1 to m - 1; rounded down to k equal runs.
        seed: which rows are drawn.

    >>> remaining, held_out = choose_runs(10, 2, 0)
    >>> held_out.tolist(), remaining.tolist()
    ([[2, 3], [8, 9]], [[0, 2], [3, 8], [9, 10]])
    """
    k = min(count, MAX_RUNS)
    length = count // k  # rows of a run
    edges = np.arange(k + 1) * m // k  # whole numbers, so that no section is lost or counted twice by rounding
    places = np.random.RandomState(seed).random_sample(k)  # in [0, 1), one in each section
    starts = edges[:-1] + (places * (np.diff(edges) - length + 1)).astype(int)
    held_out = np.stack([starts, starts + length], axis=1)
    remaining = np.stack([np.r_[0, held_out[:, 1]], np.r_[held_out[:, 0], m]], axis=1)
    # two held-out runs may touch: there is no row between them
    return remaining[remaining[:, 0] < remaining[:, 1]], held_out
