"""NumPy archives, `.npz`, in the course's, Keras's or the plain layout; never a pickled object."""

import contextlib
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.lib.npyio import NpzFile

from jaxmlp.data.layouts import NAMES, Arrays, arrange, choose
from jaxmlp.errors import InputError, sentence

ROWS = ("rows", "x", "X", "x_test", "test_set_x")
"""Where rows to predict are looked for, in this order."""


def read(path: Path) -> Arrays:
    """The arrays of an archive.

    Raises:
        InputError: no archive, a damaged one, pickled objects, or names of no known layout.
    """
    with _opened(path) as archive:
        arrays = {name: archive[name] for name in archive.files if name in NAMES}
        keys = archive.files
    return arrange(arrays, keys, path.name)


def read_rows(path: Path) -> np.ndarray:
    """The rows to predict: rows, x, X, x_test or test_set_x, else the only array."""
    with _opened(path) as archive:
        return archive[choose(archive.files, ROWS, path.name)]


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[NpzFile]:
    try:
        # Opened here, because np.load leaves a file that it opened itself open when the archive is damaged.
        with path.open("rb") as handle:
            if not zipfile.is_zipfile(handle):  # np.load takes anything else for a pickle
                raise zipfile.BadZipFile
            handle.seek(0)
            with np.load(handle, allow_pickle=False) as archive:
                yield archive
    except InputError:
        raise
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, TypeError) as error:
        pickled = "pickle" in str(error).lower()
        got = "pickled objects" if pickled else "one that cannot be read"
        remedy = "save arrays of numbers or text" if pickled else "is it whole, and made by np.savez?"
        raise InputError(sentence(path.name, "an .npz archive of arrays", got, remedy)) from None
