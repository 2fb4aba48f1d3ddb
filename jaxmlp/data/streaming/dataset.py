"""A data set whose training rows stay in an HDF5 file, so the file may be larger than the memory.

The memory holds

    the training labels: a byte per row for up to 256 classes, 8 bytes per number (all labels are read at once)
    the test part of the file, or the held-out test rows; with their copy for the network at most `memory` / 4
    the validation part of `split_validation`, also at most `memory` / 4
    in training the cache of the file, and the buffers of `shuffle_buffer`: 4 · rows of a buffer · bytes of a row

All of these together, except the labels, take at most `memory` bytes.
"""

import dataclasses
import math
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast

import numpy as np

from jaxmlp.data.dataset import Dataset, Part, check_two_classes, constant_scale
from jaxmlp.data.labels import as_labels, decode_text
from jaxmlp.data.limits import as_name, as_path
from jaxmlp.data.preprocessing import Preprocessing
from jaxmlp.data.readers.arrays import (
    CLASSES,
    ArrayNames,
    conventional_names,
    find_array_names,
    flatten_labels,
    has_image_names,
)
from jaxmlp.data.readers.hdf5 import open_hdf5, read_array, stored_arrays
from jaxmlp.data.rows import ImageShape, as_rows
from jaxmlp.data.split import DEFAULT_TEST_FRACTION, check_no_split, check_split
from jaxmlp.data.streaming.file_rows import FileRows, choose_runs
from jaxmlp.data.streaming.moments import column_moments
from jaxmlp.data.targets import encode
from jaxmlp.data.tasks import find_coding
from jaxmlp.errors import InputError, InputTypeError, MissingFileError, sentence, unknown

if TYPE_CHECKING:
    import h5py

DEFAULT_MEMORY = 256 * 2**20
MEMORY_DIVISOR = 4
"""A held-out part, the cache of the file, or a block of the statistics may take the memory divided by this."""
SCAN_ROWS = 1024
"""The number of rows that are read at once in the search for a value above 1."""
NETWORK_BYTES = 8  # bytes of a number in the network's copy of a held-out part, at most: float64


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class StreamedDataset(Dataset):
    """A `Dataset` whose `train.rows` is a `FileRows`; `stream` returns it.

    It holds no open file, so it can be pickled. Functions that need all training rows in memory raise an
    `InputTypeError`.

    Attributes:
        memory: the bytes that rows may take in training.

    >>> import tempfile, h5py
    >>> path = Path(tempfile.mkdtemp()) / "small.h5"
    >>> with h5py.File(path, "w") as file:
    ...     file["X"], file["y"] = np.arange(20.0).reshape(10, 2), np.arange(10) % 2
    >>> data = stream(path, memory=10_000)
    >>> data.rows.runs.tolist(), data.test.rows.tolist()    # rows 2 and 8 are held out
    ([[0, 2], [3, 8], [9, 10]], [[4.0, 5.0], [16.0, 17.0]])
    """

    memory: int = DEFAULT_MEMORY

    @property
    def rows(self) -> FileRows:
        """The training rows, in their file."""
        return cast(Any, self.train.rows)

    @property
    def reserved_bytes(self) -> int:
        """The bytes of the memory that the held-out parts and the cache of the file take; buffers get the remainder."""
        parts = [part for part in (self.validation, self.test) if part is not None]
        part_bytes = (part.rows.nbytes + NETWORK_BYTES * (part.rows.size + part.targets.size) for part in parts)
        return sum(part_bytes) + self.rows.cache_bytes

    def standardize(self, *, targets: bool = True) -> Self:
        """Return the standardised data set, as `Dataset.standardize` does; one pass reads the file block by block."""
        m, n = self.rows.shape
        # a block and its float64 differences fit into the memory, because no buffer exists yet
        block = max(1, min(m, self.memory // (MEMORY_DIVISOR * NETWORK_BYTES * n)))
        constant = constant_scale(self.rows.dtype, self.image_shape)
        return self._with_preprocessing(
            Preprocessing.of_moments(*column_moments(self.rows, block), constant=constant), targets
        )

    def _divide_rows(self, fraction: float, seed: int) -> tuple[Part, Part, None]:
        m = len(self.rows)
        check_split(m, fraction, seed)
        return *self._hold_out(max(1, round(m * fraction)), seed), None

    def _hold_out(self, count: int, seed: int) -> tuple[Part, Part]:
        """Return the remaining rows, in their file, and the held-out rows, in memory: up to 200 runs across the file.

        The proportions of the classes may differ: equal ones would need single rows, and each of them costs a read here
        and splits a block of the training rows.
        """
        remaining, held_out = (
            Part(cast(Any, self.rows.select_runs(runs)), np.concatenate([self.train.targets[i:j] for i, j in runs]))
            for runs in choose_runs(len(self.rows), min(count, len(self.rows) - 1), seed)
        )
        return remaining, _read_part(cast(Any, held_out.rows), held_out.targets, self.rows, self.memory)


def stream(
    path: str | os.PathLike[str],
    *,
    rows: str | None = None,
    labels: str | None = None,
    test: tuple[str, str] | None = None,
    test_fraction: float | None = None,
    seed: int | None = None,
    standardize: bool = False,
    task: str = "auto",
    known_classes: Sequence[object] | None = None,
    memory: int = DEFAULT_MEMORY,
) -> StreamedDataset:
    """Return a data set whose training rows are read from an HDF5 file during training.

    `fit` takes it like any other data set. Each epoch reads every training row once: it reads blocks of neighbouring
    rows in a new order, and shuffles the rows of several blocks together. A thread reads the next blocks during the
    computation. A resumed run has the same order.

    Args:
        path: an HDF5 file. Each process opens it read-only once per epoch; any number of processes may read it at once.
        rows, labels: names of the arrays (m, n) or (m, h, w[, c]), and (m,) or (m, k); as for `jaxmlp.load` if None.
        test: names of the rows and the labels of a test part; as for `jaxmlp.load` if None.
        test_fraction: the fraction of rows to hold out if there is no test part, 0 for none. They are up to 200 runs of
            rows from all over the file, and stay in memory. If None, 0.2, or as many rows as fit into `memory` / 4.
        seed: the random seed that chooses the held-out rows; 0 if None.
        standardize: whether to scale by mean and deviation of the training rows, which needs one pass through the
            file. If False, images of bytes are divided by 255.
        task, known_classes: as for `jaxmlp.load`.
        memory: the bytes that the rows may take. A buffer has
            (memory - bytes of the test part) / (4 · ((n + n_L) · 4 + 16)) rows of float32; a larger buffer shuffles
            better. Labels take further memory: a byte per row for up to 256 classes.

    Raises:
        MissingFileError: when there is no such file.
        InputError, InputTypeError: for a file that is damaged or lacks these arrays, for unusable rows or labels, and
            for a test part that does not fit in a quarter of the memory.

    >>> import tempfile, h5py
    >>> path = Path(tempfile.mkdtemp()) / "big.h5"
    >>> with h5py.File(path, "w") as file:
    ...     file["X"], file["y"] = np.random.default_rng(0).normal(size=(1000, 5)), np.arange(1000) % 2
    >>> stream(path, memory=100_000)
    StreamedDataset big: binary
      rows: 800 training, 200 test
      features: 5
      classes: 2 (0, 1)
    """
    path = as_path(path).absolute()
    if not path.exists():
        raise MissingFileError(sentence("reading", "an existing HDF5 file", f"{str(path)!r}", "check the path"))
    if isinstance(memory, bool) or not isinstance(memory, int | np.integer) or memory < 1:
        raise InputError(sentence("memory", "a positive whole number of bytes", repr(memory), "write 256 * 2**20, say"))
    _check_together(rows, labels)
    content = _read_content(path, None if rows is None else ArrayNames(rows, str(labels)), test, memory)
    # the labels are in memory, so the task and the classes are known before any row is read
    coding = find_coding(content.labels, task, content.classes, "the training part", known_classes)
    dataset = StreamedDataset(
        name=as_name(path.stem),
        train=Part(cast(Any, content.rows), encode(content.labels, coding, "the training part")),
        validation=None,
        test=None,
        task=coding.task,
        classes=coding.classes,
        image_shape=content.image_shape,
        preprocessing=Preprocessing.images() if content.pixels else Preprocessing(),
        memory=int(memory),
    )
    check_no_split(path.name, content.test is not None, test_fraction, seed)

    def read(pair: tuple[FileRows, np.ndarray] | None, part: str) -> Part | None:
        return pair and _read_part(pair[0], encode(pair[1], coding, f"the {part}"), content.rows, memory, part)

    train, test_part = dataset.train, read(content.test, "test part")
    dataset = dataclasses.replace(dataset, validation=read(content.validation, "validation part"))
    if test_part is None and test_fraction != 0:
        train, test_part = dataset._hold_out(_count_test_rows(dataset, test_fraction, seed or 0), seed or 0)
    if known_classes is None:
        check_two_classes(train, coding)
    # all labels stay in memory, besides the `memory` of the rows: a byte each instead of the 8 bytes of int64
    train = train._replace(targets=_compact_targets(train.targets, len(coding.classes)))
    dataset = dataclasses.replace(dataset, train=train, test=test_part)
    return dataset.standardize() if standardize else dataset


def _check_together(rows: str | None, labels: str | None) -> None:
    if (rows is None) != (labels is None):
        got = "only rows" if labels is None else "only labels"
        raise InputError(sentence("stream", "rows and labels together", got, "give both or neither"))


# --- the content of the file ------------------------------------------------------------------------------------------


class _FileContent(NamedTuple):
    """The content of a file for `stream`: its labels are read, and its rows are only described.

    Attributes:
        rows, labels, image_shape: the rows, the labels and the image shape of the training part.
        test, validation: rows and labels of the test and validation part, or None where the file has none.
        classes: the labels of the class ids, if the file lists them.
        pixels: whether the rows are intensities from 0 to 255.
    """

    rows: FileRows
    labels: np.ndarray
    image_shape: ImageShape | None
    test: tuple[FileRows, np.ndarray] | None
    validation: tuple[FileRows, np.ndarray] | None
    classes: tuple[object, ...] | None
    pixels: bool


def _read_content(path: Path, train: ArrayNames | None, test: tuple[str, str] | None, memory: int) -> _FileContent:
    with open_hdf5(path, streamed=True) as file:
        stored = stored_arrays(file)  # no data is read before type and shape are checked: an array may be very large
        arrays = stored | {known: stored[name] for known, name in conventional_names(stored).items()}
        names = _find_stream_names(arrays, stored, train, test, path.name)
        rows, image_shape = _describe_rows(path, arrays[names.rows], memory)

        def part_of(rows_name: str | None, labels_name: str | None) -> tuple[FileRows, np.ndarray] | None:
            if rows_name not in arrays or labels_name not in arrays:
                return None
            described, _ = _describe_rows(path, arrays[rows_name], memory)
            return described, _read_labels(path, arrays[labels_name], len(described))

        is_bytes = rows.dtype == np.uint8
        classes = decode_text(read_array(arrays[CLASSES], path), CLASSES) if CLASSES in arrays else None
        return _FileContent(
            rows=rows,
            labels=_read_labels(path, arrays[names.labels], len(rows)),
            image_shape=image_shape,
            test=part_of(names.test_rows, names.test_labels),
            validation=part_of(names.validation_rows, names.validation_labels),
            classes=None if classes is None else tuple(classes.ravel().tolist()),
            pixels=is_bytes and (image_shape is not None or _has_intensities(arrays[names.rows], names)),
        )


def _find_stream_names(
    arrays: Collection[str],
    stored: Collection[str],
    train: ArrayNames | None,
    test: tuple[str, str] | None,
    where: str,
) -> ArrayNames:
    """Return the caller's names, or those of the only convention that the file follows."""
    if test is not None and (isinstance(test, str) or len(test) != 2):
        raise InputTypeError(sentence("stream", "test as two names (rows, labels)", repr(test), "give both names"))
    for name in (*(train[:2] if train else ()), *(test or ())):
        if name not in arrays:
            raise unknown(f"an array of {where}", name, stored)
    names = train or find_array_names(arrays, stored, where)
    return names if test is None else names._replace(test_rows=test[0], test_labels=test[1])


def _describe_rows(path: Path, array: "h5py.Dataset", memory: int) -> tuple[FileRows, ImageShape | None]:
    """Return the description of all rows of an array, and their image shape; dtype and shape are checked."""
    name = str(array.name).lstrip("/")
    # `as_rows` checks a sample. A broadcast zero has the shape of the array but takes no memory. For images it would be
    # copied in flattening, so there the sample is one image.
    sample = array[:1] if array.ndim > 2 else np.broadcast_to(np.zeros((), array.dtype), array.shape)
    _, image_shape = as_rows(sample, f"{name!r} of {path.name}")
    chunk_rows, cache_bytes = 1, 0
    if array.chunks is not None:
        chunk_rows, *widths = array.chunks  # HDF5 stores and compresses in these blocks
        # the cache holds all chunks that contain a part of one row, so that a pass decompresses each chunk only once
        # rounded up to whole chunks: HDF5 stores a chunk at the edge in full
        across = math.prod(-(-size // width) * width for size, width in zip(array.shape[1:], widths, strict=True))
        cache_bytes = chunk_rows * across * array.dtype.itemsize
    if cache_bytes > memory // MEMORY_DIVISOR:
        expects = f"at least {MEMORY_DIVISOR * cache_bytes} bytes for {name!r}, stored in chunks of {chunk_rows} rows"
        raise InputError(sentence("memory", expects, memory, "give that much, or store the array in smaller chunks"))
    runs = np.array([[0, len(array)]])
    return FileRows(path, name, array.shape, array.dtype, runs, chunk_rows, cache_bytes), image_shape


def _read_labels(path: Path, array: "h5py.Dataset", m: int) -> np.ndarray:
    where = f"{str(array.name).lstrip('/')!r} of {path.name}"
    labels = as_labels(flatten_labels(decode_text(read_array(array, path), where)), where)
    if len(labels) != m:
        expects, remedy = f"one label for each of the {m} rows", "are rows and labels of the same part?"
        raise InputError(sentence(where, expects, f"{len(labels)} labels", remedy))
    return labels


def _has_intensities(array: "h5py.Dataset", names: ArrayNames) -> bool:
    """Whether flat rows of bytes are intensities: their array has a name of image data, and a value above 1.

    Bytes of 0 and 1 alone are flags, which must not be divided by 255.
    """
    blocks = range(0, len(array), SCAN_ROWS)
    return has_image_names(names) and any((array[i : i + SCAN_ROWS] > 1).any() for i in blocks)


# --- the parts --------------------------------------------------------------------------------------------------------


def _count_test_rows(dataset: StreamedDataset, fraction: float | None, seed: int) -> int:
    """Return the number of rows to hold out; the default fraction is reduced to the rows that fit in their memory."""
    m = len(dataset.rows)
    check_split(m, DEFAULT_TEST_FRACTION if fraction is None else fraction, seed)
    if fraction is not None:
        return max(1, round(m * fraction))
    # the default must work for a file of any size, whereas a fraction of the caller is never changed
    n_fitting = dataset.memory // MEMORY_DIVISOR // _held_out_bytes(dataset.rows, dataset.train.targets)
    return max(1, min(round(m * DEFAULT_TEST_FRACTION), n_fitting))


def _held_out_bytes(rows: FileRows, targets: np.ndarray) -> int:
    """Return the bytes of one held-out row: the raw row, and the network's copy of the row and its targets."""
    n_targets = targets.shape[1] if targets.ndim == 2 else 1
    return rows.shape[1] * (rows.dtype.itemsize + NETWORK_BYTES) + n_targets * NETWORK_BYTES


def _read_part(rows: FileRows, targets: np.ndarray, training: FileRows, memory: int, part: str = "test part") -> Part:
    """Read a held-out part into memory, after its shape and size are checked."""
    if rows.array_shape[1:] != training.array_shape[1:]:
        expects = f"rows of shape {training.array_shape[1:]} as in training"
        raise InputError(sentence(f"the {part} {rows.name!r}", expects, rows.array_shape[1:], "name other arrays"))
    needed = len(rows) * _held_out_bytes(rows, targets)
    if needed > memory // MEMORY_DIVISOR and len(rows) > 1:
        expects = f"at least {MEMORY_DIVISOR * needed} bytes for a {part} of {len(rows)} rows"
        raise InputError(sentence("memory", expects, memory, "give that much, or hold out fewer rows"))
    return Part(rows.read_all(), targets)


def _compact_targets(targets: np.ndarray, n_classes: int) -> np.ndarray:
    """Return class ids and flags in as few bytes as they need, and numbers as they are."""
    # the largest id decides: 256 classes fit into a byte; flags are 0 and 1 however few columns they have
    return targets.astype(np.min_scalar_type(max(n_classes - 1, 1))) if n_classes else targets
