"""HDF5 files in the course's layout: one with all keys, or a folder with a training and a test file.

The two files of a folder are told apart by the keys they hold, because every copy of the course's data names them
differently. h5py is imported when a file is read, not with the package.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jaxmlp.data.layouts import CLASSES, NAMES, Arrays, arrange, choose
from jaxmlp.errors import InputError, sentence

if TYPE_CHECKING:
    import h5py

SUFFIXES = (".h5", ".hdf5")
CACHE_SLOTS = 10007  # chunks that a cache of a given size may hold: a prime number, and many more than it will
ROWS = ("test_set_x", "train_set_x", "x_test", "x_train", "rows", "x", "X")
"""Where rows to predict are looked for, in this order."""


def read(path: Path) -> Arrays:
    """The arrays of one file.

    Raises:
        InputError: no HDF5 file, a damaged one, or keys of no known layout.
    """
    with opened(path) as file:
        found = stored(file)
        arrays = {name: array[()] for name, array in found.items() if name in NAMES}
    return arrange(arrays, found, path.name)


def read_folder(folder: Path, paths: list[Path]) -> Arrays:
    """The arrays of several files that together hold one data set.

    Raises:
        InputError: as `read`; also when two files hold the same key with different content.
    """
    arrays: dict[str, np.ndarray] = {}
    homes: dict[str, Path] = {}
    for path in paths:
        with opened(path) as file:
            for name, array in ((name, found[()]) for name, found in stored(file).items() if name in NAMES):
                # Both files of the course carry list_classes; that is one list, as long as it is the same one.
                if name in arrays and not (name == CLASSES and np.array_equal(array, arrays[name])):
                    got = f"{name} in {homes[name].name} and in {path.name}"
                    raise InputError(sentence(folder.name, "each key in one file", got, "name one of the files"))
                arrays[name], homes[name] = array, path
    return arrange(arrays, arrays, folder.name)


def read_rows(path: Path) -> np.ndarray:
    """The rows to predict: test_set_x, train_set_x, x_test, x_train, rows, x or X, else the only array."""
    with opened(path) as file:
        found = stored(file)
        return found[choose(found, ROWS, path.name)][()]


def stored(file: "h5py.File") -> dict[str, "h5py.Dataset"]:
    """The arrays at the root, not yet read; groups and broken links are passed over."""
    import h5py

    return {str(name): array for name in file if isinstance(array := file.get(name), h5py.Dataset)}


@contextlib.contextmanager
def opened(path: Path, cache: int | None = None) -> Iterator["h5py.File"]:
    """The file, read-only.

    Args:
        path: of the file.
        cache: bytes for decompressed chunks of an array; HDF5's own choice if None.

    Raises:
        InputError: no HDF5 file, or a damaged one.
    """
    import h5py

    try:
        slots = None if cache is None else CACHE_SLOTS
        with h5py.File(path, "r", rdcc_nbytes=cache, rdcc_nslots=slots) as file:
            yield file
    except (OSError, RuntimeError):
        got = "one that cannot be read"
        raise InputError(sentence(path.name, "an HDF5 file", got, "is it whole, and is it HDF5?")) from None
