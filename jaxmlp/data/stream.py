"""A data set whose training rows stay in an HDF5 file, however large it is.

What is in memory:

    the training labels, coded: a byte a row for up to 256 classes, 8 bytes a number (all labels are read at once)
    the test part: that of the file, or rows held back from it; with its copy for the network at most `memory` / 4
    the validation part of `hold_back`, likewise
    in training the buffers of `data.feed`: 4 · rows of a buffer · bytes of a row; all but the labels is ≤ `memory`
"""

import dataclasses
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np

from jaxmlp.data import hdf5
from jaxmlp.data.dataset import Dataset, Part, check_observed
from jaxmlp.data.file_rows import FileRows, hold_back
from jaxmlp.data.labels import as_labels, decoded
from jaxmlp.data.layouts import CLASSES, COURSE, KERAS, Layout, find, flat
from jaxmlp.data.preprocessing import Preprocessing
from jaxmlp.data.rows import ImageShape, as_rows
from jaxmlp.data.split import check as check_split
from jaxmlp.data.targets import encode
from jaxmlp.data.tasks import settle
from jaxmlp.errors import InputError, MissingFileError, sentence, unknown

if TYPE_CHECKING:
    import h5py

MEMORY = 256 * 2**20
TEST_FRACTION = 0.2
SHARE = 4
"""The test part may take one part in so many of the memory."""
GLANCE = 1024
"""Rows looked at together for a value above 1."""
WORKING = 8  # bytes of a number of the test part as the network takes it, at most


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class StreamedDataset(Dataset):
    """A `Dataset` whose `train.rows` is a `FileRows`; `stream` makes it.

    It holds no open file and may be pickled. Whatever needs all training rows in memory refuses it with one sentence.

    Attributes:
        memory: bytes that training may take for rows.

    >>> import tempfile, h5py
    >>> path = Path(tempfile.mkdtemp()) / "small.h5"
    >>> with h5py.File(path, "w") as file:
    ...     file["X"], file["y"] = np.arange(20.0).reshape(10, 2), np.arange(10) % 2
    >>> data = stream(path, memory=10_000)
    >>> data.rows.runs.tolist(), data.test.rows.tolist()    # rows 2 and 8 are held back
    ([[0, 2], [3, 8], [9, 10]], [[4.0, 5.0], [16.0, 17.0]])
    """

    memory: int = MEMORY

    @property
    def rows(self) -> FileRows:
        """The training rows, in their file."""
        return cast(Any, self.train.rows)

    @property
    def held(self) -> int:
        """Bytes of the memory taken before the first buffer: by the parts held back and by the file's own cache."""
        parts = [part for part in (self.validation, self.test) if part is not None]
        taken = (part.rows.nbytes + WORKING * (part.rows.size + part.targets.size) for part in parts)
        return sum(taken) + self.rows.cache

    def standardize(self, *, targets: bool = True) -> Self:
        """As `Dataset.standardize`, with one pass through the file, by blocks."""
        constant = 255.0 if self.image_shape and self.rows.dtype == np.uint8 else 1.0
        regression = targets and self.task == "regression"
        return dataclasses.replace(
            self,
            preprocessing=Preprocessing.of_moments(*_moments(self.rows, self.memory), constant),
            target_preprocessing=Preprocessing.standardize(self.train.targets) if regression else Preprocessing(),
        )

    def hold_back(self, fraction: float, seed: int = 0) -> Self:
        """As `Dataset.hold_back`; like the test part as up to 200 runs of rows from all over the file, without classes.

        Raises:
            InputError: as `Dataset.hold_back`; and where the rows held back do not fit in a quarter of the memory.
        """
        self._check_whole()
        m = len(self.rows)
        check_split(m, fraction, seed)
        kept, held = (self._of_runs(runs) for runs in hold_back(m, min(max(1, round(m * fraction)), m - 1), seed))
        rows = _read(held.rows, self.rows, held.targets, self.memory)
        return self._divided(kept, Part(rows, held.targets))

    def _of_runs(self, runs: np.ndarray) -> Any:
        """The training rows of these runs, which stay in the file, and their targets."""
        spans = np.array([span for run in runs for span in self.rows.spans(*map(int, run))])
        return Part(cast(Any, dataclasses.replace(self.rows, runs=spans)), _of_numbers(runs, self.train.targets))


def stream(
    path: str | os.PathLike[str],
    *,
    rows: str | None = None,
    labels: str | None = None,
    test_rows: str | None = None,
    test_labels: str | None = None,
    test_fraction: float | None = None,
    seed: int | None = None,
    standardize: bool = False,
    task: str = "auto",
    known_classes: Sequence[Any] | None = None,
    memory: int = MEMORY,
) -> StreamedDataset:
    """A data set whose training rows are read from an HDF5 file while it trains.

    `fit` takes it like any other: each epoch visits every training row once, blocks of neighbouring rows in a new
    order, the rows of several blocks shuffled together; a thread reads ahead. A resumed run sees the same order.

    Args:
        path: an HDF5 file. It is opened read-only, anew by each process and epoch; any number may read it at once.
        rows, labels: the arrays (m, n) or (m, h, w[, c]), and (m,) or (m, k); by the layouts of `jaxmlp.load` if None.
        test_rows, test_labels: arrays of a test part, where they are to be others than those of the layout.
        test_fraction: the share held back where there is no test part, 0 for none; it is in memory, as up to 200 runs
            of rows from all over the file. If None 0.2, or as many rows as fit into a quarter of `memory`.
        seed: which rows those are, 0 unless given.
        standardize: scale by mean and deviation of the training rows, which takes one pass through the file. Without
            it images of bytes are divided by 255.
        task: as for `jaxmlp.load`.
        known_classes: likewise.
        memory: bytes that the rows may take, 256 MB unless given. One buffer has
            (memory - bytes of the test part) / (4 · ((n + n_L) · 4 + 16)) rows of float32; the more, the better they
            are mixed. Labels come on top: a byte a row for up to 256 classes.

    Raises:
        MissingFileError: no such file.
        InputError, InputTypeError: a file that is damaged or has no such arrays, unusable rows or labels, a test part
            that does not fit in a quarter of the memory.

    >>> import tempfile, h5py
    >>> path = Path(tempfile.mkdtemp()) / "big.h5"
    >>> with h5py.File(path, "w") as file:
    ...     file["X"], file["y"] = np.random.default_rng(0).normal(size=(1000, 5)), np.arange(1000) % 2
    >>> stream(path, memory=100_000)
    StreamedDataset big: 800 training and 200 test rows, 5 features, binary, classes 0, 1
    """
    path = Path(path).expanduser().absolute()
    if not path.exists():
        raise MissingFileError(sentence("reading", "an existing HDF5 file", f"{str(path)!r}", "check the path"))
    if isinstance(memory, bool) or not isinstance(memory, int | np.integer) or memory < 1:
        raise InputError(sentence("memory", "a positive whole number of bytes", repr(memory), "write 256 * 2**20, say"))
    with hdf5.opened(path) as file:
        arrays = hdf5.stored(file)
        layout = _layout(arrays, rows, labels, test_rows, test_labels, path.name)
        everything, image_shape = _whole(path, arrays[layout.rows], memory)
        Y = _labels(path, arrays[layout.labels], len(everything))
        classes = tuple(decoded(arrays[CLASSES][()], CLASSES).ravel().tolist()) if CLASSES in arrays else None
        test_array = arrays[layout.test_rows] if layout.test_rows else None
        own = None if test_array is None else _whole(path, test_array, memory)[0]
        test_Y = None if own is None else _labels(path, arrays[str(layout.test_labels)], len(own))
        pixels = everything.dtype == np.uint8 and (image_shape is not None or _intensities(arrays, layout))
    coding = settle(Y, task, classes, "the training part", known_classes)
    targets = encode(Y, coding, "the training part")
    train, held = everything, own
    if own is None:
        train, held = _split(everything, targets, memory, test_fraction, seed)
    elif test_fraction or seed is not None:
        got = f"test_fraction {test_fraction}" if test_fraction else f"seed {seed}"
        expects = "neither test_fraction nor seed, having a test part of its own"
        raise InputError(sentence(path.name, expects, got, "leave it out"))
    test = None
    if held is not None:
        test_targets = _of(held, targets) if test_Y is None else encode(test_Y, coding, "the test part")
        test = Part(_read(held, everything, test_targets, memory), test_targets)
    part = Part(cast(Any, train), _compact(_of(train, targets), len(coding.classes)))
    if known_classes is None:
        check_observed(part, coding)
    dataset = StreamedDataset(
        name=path.stem,
        train=part,
        validation=None,
        test=test,
        task=coding.task,
        classes=coding.classes,
        image_shape=image_shape,
        preprocessing=Preprocessing.images() if pixels else Preprocessing(),
        memory=int(memory),
    )
    return dataset.standardize() if standardize else dataset


# --- what the file holds ----------------------------------------------------------------------------------------------


def _layout(
    arrays: "dict[str, h5py.Dataset]",
    rows: str | None,
    labels: str | None,
    test_rows: str | None,
    test_labels: str | None,
    where: str,
) -> Layout:
    """The names of the arrays: those given, or those of the one layout that fits. Test names are there, or None."""
    for kind, pair in {"": (rows, labels), "test_": (test_rows, test_labels)}.items():
        if (pair[0] is None) != (pair[1] is None):
            got = f"{kind}rows alone" if pair[1] is None else f"{kind}labels alone"
            raise InputError(sentence("stream", f"{kind}rows and {kind}labels together", got, "give both or neither"))
        for name in pair:
            if name is not None and name not in arrays:
                raise unknown(f"an array of {where}", name, arrays)
    layout = find(arrays, arrays, where) if rows is None else Layout(rows, str(labels))
    if test_rows is not None:
        return layout._replace(test_rows=test_rows, test_labels=test_labels)
    if layout.test_rows not in arrays or layout.test_labels not in arrays:
        return layout._replace(test_rows=None, test_labels=None)
    return layout


def _whole(path: Path, array: "h5py.Dataset", memory: int) -> tuple[FileRows, ImageShape | None]:
    """All rows of an array, not read; its dtype and shape are checked."""
    name = str(array.name).lstrip("/")
    # a view of a single zero has the shape of the rows; reshaping that of images would copy it
    stand_in = array[:1] if array.ndim > 2 else np.broadcast_to(np.zeros((), array.dtype), array.shape)
    _, image_shape = as_rows(stand_in, f"{name!r} of {path.name}")
    chunk, cache = 1, 0
    if array.chunks is not None:
        chunk, *others = array.chunks
        across = math.prod(-(-size // other) * other for size, other in zip(array.shape[1:], others, strict=True))
        cache = chunk * across * array.dtype.itemsize
    if cache > memory // SHARE:
        expects = f"at least {SHARE * cache} bytes for {name!r}, stored in chunks of {chunk} rows"
        raise InputError(sentence("memory", expects, memory, "give that much, or store it in smaller chunks"))
    return FileRows(path, name, array.shape, array.dtype, np.array([[0, len(array)]]), chunk, cache), image_shape


def _labels(path: Path, array: "h5py.Dataset", m: int) -> np.ndarray:
    where = f"{str(array.name).lstrip('/')!r} of {path.name}"
    labels = as_labels(flat(decoded(array[()], where)), where)
    if len(labels) != m:
        remedy = "do both belong together?"
        raise InputError(sentence(where, f"one label for each of the {m} rows", f"{len(labels)} labels", remedy))
    return labels


def _intensities(arrays: "dict[str, h5py.Dataset]", layout: Layout) -> bool:
    """Whether flat rows of bytes are intensities: under the names of images, and with a value above 1."""
    if layout.rows not in (COURSE.rows, KERAS.rows):
        return False
    array = arrays[layout.rows]
    return any((array[i : i + GLANCE] > 1).any() for i in range(0, len(array), GLANCE))


# --- the parts --------------------------------------------------------------------------------------------------------


def _split(
    rows: FileRows, targets: np.ndarray, memory: int, fraction: float | None, seed: int | None
) -> tuple[FileRows, FileRows | None]:
    """The rows to train on, and those held back."""
    if fraction is not None and not fraction:
        return rows, None
    m = len(rows)
    check_split(m, TEST_FRACTION if fraction is None else fraction, seed or 0)
    count = max(1, round(m * (TEST_FRACTION if fraction is None else fraction)))
    if fraction is None:
        count = max(1, min(count, memory // SHARE // _test_bytes(rows, targets)))
    kept, held = hold_back(m, min(count, m - 1), seed or 0)
    return dataclasses.replace(rows, runs=kept), dataclasses.replace(rows, runs=held)


def _test_bytes(rows: FileRows, targets: np.ndarray) -> int:
    """Bytes of a row of the test part: as it is, and as the network takes it."""
    outputs = targets.shape[1] if targets.ndim == 2 else 1
    return rows.shape[1] * (rows.dtype.itemsize + WORKING) + outputs * WORKING


def _read(part: FileRows, rows: FileRows, targets: np.ndarray, memory: int) -> np.ndarray:
    """The rows of a part that is held back."""
    if part.stored[1:] != rows.stored[1:]:
        expects = f"rows of shape {rows.stored[1:]} as in training"
        raise InputError(sentence(f"the test part {part.name!r}", expects, part.stored[1:], "name other arrays"))
    need = len(part) * _test_bytes(part, targets)
    if need > memory // SHARE and len(part) > 1:
        expects = f"at least {SHARE * need} bytes for a test part of {len(part)} rows"
        raise InputError(sentence("memory", expects, memory, "give that much, or hold back fewer rows"))
    array = np.empty(part.shape, part.dtype)
    with part.reading() as read:
        read(0, len(part), array)
    return array


def _of(rows: FileRows, targets: np.ndarray) -> np.ndarray:
    return _of_numbers(rows.runs, targets)


def _of_numbers(runs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return np.concatenate([targets[start:stop] for start, stop in runs])


def _compact(targets: np.ndarray, n_classes: int) -> np.ndarray:
    """Class ids and flags in as few bytes as they need; numbers as they are."""
    return targets.astype(np.min_scalar_type(max(n_classes - 1, 1))) if n_classes else targets


def _moments(rows: FileRows, memory: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Extremes, mean and deviation of the columns, in float64, from one pass through the file.

    Two stretches of k₁ and k₂ rows with means μ₁, μ₂ have together Σ(x - μ)² = S₁ + S₂ + (μ₂ - μ₁)² k₁k₂/(k₁ + k₂).
    """
    m, n = rows.shape
    step = max(1, min(m, memory // (SHARE * WORKING * n)))
    low, high = np.full(n, np.inf), np.full(n, -np.inf)
    mean, squares = np.zeros(n), np.zeros(n)
    raw = np.empty((step, n), rows.dtype)
    try:
        with rows.reading() as read, np.errstate(over="raise", invalid="raise"):
            for done in range(0, m, step):
                k = min(step, m - done)
                read(done, done + k, raw[:k])
                low, high = np.minimum(low, raw[:k].min(axis=0)), np.maximum(high, raw[:k].max(axis=0))
                shift = raw[:k].mean(axis=0, dtype=np.float64) - mean
                squares += k * raw[:k].var(axis=0, dtype=np.float64) + shift**2 * (done * k / (done + k))
                mean += shift * (k / (done + k))
    except FloatingPointError:
        got, remedy = f"a number as large as {max(abs(low).max(), abs(high).max()):.3g}", "rescale that column"
        raise InputError(sentence("preprocessing", "columns with a finite deviation", got, remedy)) from None
    return low, high, mean, np.sqrt(squares / m)
