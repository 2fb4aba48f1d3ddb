"""Rows that stay in their HDF5 file: which of its rows they are, and how they are read.

    part rows        0 1 2 | 3 4 | 5 ...          numbered without gaps
    file rows        0 1 2   5 6   9 ...          runs [0, 3), [5, 7), [9, ...): what lies between is held back

The record holds no open file, so it can be pickled and handed to other processes. Each `reading` opens the file for
itself, read-only, and closes it again; any number of processes may do so at once. Within a process one thread reads.
"""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from jaxmlp.data import hdf5
from jaxmlp.data.rows import check_finite
from jaxmlp.errors import InputError, InputTypeError, sentence

Read = Callable[[int, int, np.ndarray], None]


@dataclasses.dataclass(frozen=True, eq=False)
class FileRows:
    """Some rows of an array in an HDF5 file, (m, n); images are flattened as they are read.

    Attributes:
        path, name: the file, and the array in it.
        stored: the shape of the array, (M, n) or (M, h, w[, c]).
        dtype: of the array.
        runs: (r, 2), the file rows [start, stop) that belong to the part, in ascending order.
        chunk: file rows that are stored as one compressed piece; 1 where they are not.
        cache: bytes for decompressed pieces while the file is read; 0 where there are none.
    """

    path: Path
    name: str
    stored: tuple[int, ...]
    dtype: np.dtype
    runs: np.ndarray
    chunk: int = 1
    cache: int = 0

    def __len__(self) -> int:
        return int((self.runs[:, 1] - self.runs[:, 0]).sum())

    @property
    def shape(self) -> tuple[int, int]:
        """(m, n)."""
        return len(self), int(np.prod(self.stored[1:]))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        got = f"all {len(self)} of {self.name!r}, which stay in {self.path.name}"
        remedy = "use the test part, or jaxmlp.load for a file that fits in memory"
        raise InputTypeError(sentence("this operation", "rows that are in memory", got, remedy))

    def spans(self, start: int, stop: int) -> list[tuple[int, int]]:
        """The runs of file rows that the part's rows start..stop are.

        >>> FileRows(Path("a.h5"), "X", (9, 2), np.dtype("f4"), np.array([[0, 3], [5, 7]])).spans(1, 4)
        [(1, 3), (5, 6)]
        """
        before = np.concatenate([[0], np.cumsum(self.runs[:, 1] - self.runs[:, 0])])
        spans, i = [], int(np.searchsorted(before, start, side="right")) - 1
        while start < stop:
            end = min(stop, int(before[i + 1]))
            offset = int(self.runs[i, 0] - before[i])
            spans.append((start + offset, end + offset))
            start, i = end, i + 1
        return spans

    def stretches(self, length: int, most: int | None = None) -> Iterator[tuple[int, np.ndarray]]:
        """Stretches of rows with the number of their first: all of them, or so many at even distances.

        Args:
            length: rows of a stretch; the last may be shorter.
            most: stretches; as many as there are if None.

        Raises:
            InputError: as `reading`.
        """
        m, n = self.shape
        starts: Any = range(0, m, length)
        if most is not None and m > most * length:
            starts = np.linspace(0, m - length, most, dtype=int).tolist()
        with self.reading() as read:
            for start in starts:
                rows = np.empty((min(length, m - start), n), self.dtype)
                read(start, start + len(rows), rows)
                yield start, rows

    @contextlib.contextmanager
    def reading(self) -> Iterator[Read]:
        """Open the file and yield read(start, stop, out), which puts the part's rows start..stop into out.

        `out` is (stop - start, n), contiguous and of the file's dtype.

        Raises:
            InputError: the file is gone, damaged or another than it was; a row that is not finite, by its number in
                the file.
        """
        if not self.path.exists():
            raise self._failed("no such file any more", "put it back, and resume")
        with hdf5.opened(self.path, self.cache or None) as file:
            array = hdf5.stored(file).get(self.name)
            if array is None or array.shape != self.stored or array.dtype != self.dtype:
                got = "none" if array is None else f"{array.dtype} of shape {array.shape}"
                raise self._failed(got, "was the file replaced? describe it anew with jaxmlp.stream")
            size = os.path.getsize(self.path)

            def read(start: int, stop: int, out: np.ndarray) -> None:
                done = 0
                for first, last in self.spans(start, stop):
                    part = out[done : done + last - first]
                    try:
                        array.read_direct(part.reshape(-1, *self.stored[1:]), np.s_[first:last])
                    except (OSError, RuntimeError):
                        raise self._failed(f"an error at rows {first} to {last}", "is the file whole?") from None
                    self._check(part, first)
                    done += last - first
                self._check_size(size)

            yield read

    def _check(self, rows: np.ndarray, first: int) -> None:
        """Every row is finite. The sum says so at the speed of memory; only where it does not are all looked at."""
        if self.dtype.kind == "f":
            with np.errstate(over="ignore", invalid="ignore"):
                finite = np.isfinite(rows.sum())
            if not finite:
                check_finite(rows, f"{self.name!r} of {self.path.name}", first=first)

    def _check_size(self, size: int) -> None:
        """HDF5 reads zeros where an open file has been cut off, without a word: the file must be as long as before."""
        try:
            now = os.path.getsize(self.path)
        except OSError:
            raise self._failed("no such file any more", "put it back, and resume") from None
        if now < size:
            got = f"a file cut from {size} to {now} bytes while it was read"
            raise self._failed(got, "restore it, and resume")

    def _failed(self, got: str, remedy: str) -> InputError:
        return InputError(sentence(self.path.name, f"{self.name!r}, {self.dtype} of shape {self.stored}", got, remedy))


def hold_back(m: int, count: int, seed: int, most: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """The runs of rows that stay for training, and those held back: (r, 2) and (k, 2), k ≤ `most` runs of equal length.

    The file is cut into k equal stretches, and each gives one run from a random place: a file that is sorted by class,
    or by time, is represented whole. `np.random.RandomState` as in `data.split`: a seed means the same rows for good.

    Args:
        m: rows of the file.
        count: rows to hold back, from 1 to m - 1; rounded down to k equal runs.
        seed: which.
        most: runs, so that they can be read at once and leave few gaps.

    >>> kept, held = hold_back(10, 2, 0)
    >>> held.tolist(), kept.tolist()
    ([[2, 3], [8, 9]], [[0, 2], [3, 8], [9, 10]])
    """
    k = min(count, most)
    length = count // k
    edges = np.arange(k + 1) * m // k
    places = np.random.RandomState(seed).random_sample(k)
    starts = edges[:-1] + (places * (np.diff(edges) - length + 1)).astype(int)
    held = np.stack([starts, starts + length], axis=1)
    kept = np.stack([np.r_[0, held[:, 1]], np.r_[held[:, 0], m]], axis=1)
    return kept[kept[:, 0] < kept[:, 1]], held
