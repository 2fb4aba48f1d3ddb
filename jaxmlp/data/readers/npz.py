"""NumPy archives, `.npz`, with the arrays that `arrays` names, and never a pickled object: unpickling can run code."""

import contextlib
import lzma
import math
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.lib.npyio import NpzFile

from jaxmlp.data.limits import check_bytes, check_regular
from jaxmlp.data.readers.arrays import Arrays, assign_roles, choose_rows, conventional_names
from jaxmlp.data.rows import Columns
from jaxmlp.errors import InputError, sentence

# what zipfile, its decompressors and NumPy's reader of headers raise for a damaged archive
NPZ_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, tokenize.TokenError, SyntaxError, RuntimeError, MemoryError),
    *(OSError, EOFError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError),
)
NPZ_ROWS = ("rows", "x", "X", "x_test", "test_set_x")
"""Where rows to predict are searched, in this order."""
UNNAMED_PAIR = ("arr_0", "arr_1")
"""The names that np.savez(path, X, y) gives to rows and labels."""


def read_npz(path: Path) -> Arrays:
    """Return the arrays of an archive.

    Raises:
        InputError: not an archive, a damaged one, pickled objects, or arrays under unknown names.
    """
    with _open_npz(path) as archive:
        names = archive.files
        if {*names} == {*UNNAMED_PAIR}:
            rows, labels = (_read_member(archive, name, path) for name in UNNAMED_PAIR)
            if rows.ndim > 1 == labels.ndim and len(rows) == len(labels):
                note = "the arrays have no names: arr_0 is read as the rows X, and arr_1 as the labels y"
                return assign_roles({"X": rows, "y": labels}, names, path.name)._replace(notes=(note,))
        arrays = {name: _read_member(archive, stored, path) for name, stored in conventional_names(names).items()}
    return assign_roles(arrays, names, path.name)


def read_npz_rows(path: Path, _n_features: int, _columns: Columns) -> np.ndarray:
    """Return the rows to predict: the first of `NPZ_ROWS`, arr_0 of an unnamed pair, or the only array."""
    with _open_npz(path) as archive:
        is_pair = {*archive.files} == {*UNNAMED_PAIR}
        name = UNNAMED_PAIR[0] if is_pair else choose_rows(archive.files, NPZ_ROWS, path.name)
        return _read_member(archive, name, path)


def _read_member(archive: NpzFile, name: str, path: Path) -> np.ndarray:
    """Return an array of an archive, after a check that its header, its member and the limits agree.

    NumPy allocates what the header states before it reads the first number.
    """
    directory = archive.zip
    assert directory is not None
    # NumPy lists x.npy as x, but another program may have written a member x
    member = directory.getinfo(name if name in directory.namelist() else f"{name}.npy")
    check_bytes(path, member.file_size, f"{name!r}")
    with directory.open(member) as file:
        version = np.lib.format.read_magic(file)
        # version 3.0 has the layout of 2.0: only the names of fields are in UTF-8
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, _, dtype = read_header.get(version, np.lib.format.read_array_header_2_0)(file)
        stated, stored = math.prod(shape) * dtype.itemsize, member.file_size - file.tell()
    # objects are a pickle of any length: archive[name] refuses them below
    if min(shape, default=0) < 0 or (stated != stored and not dtype.hasobject):
        got = f"a header of {stated:,} bytes over {stored:,}"
        raise InputError(sentence(path.name, "an .npz archive of arrays", got, "is it whole, and made by np.savez?"))
    array = archive[name]
    if array.dtype.kind == "U" and array.size:
        # NumPy reads UTF-32 unchecked: tolist() of a code point above 0x10FFFF is a SystemError, and half a surrogate
        # pair cannot be written as UTF-8
        letters = array.reshape(-1).view(np.dtype(np.uint32).newbyteorder(array.dtype.byteorder))
        if ((letters > 0x10FFFF) | ((letters >= 0xD800) & (letters < 0xE000))).any():
            got = f"bytes in {name!r} that are no text"
            raise InputError(sentence(path.name, "an .npz archive of arrays", got, "write it again"))
    return array


@contextlib.contextmanager
def _open_npz(path: Path) -> Iterator[NpzFile]:
    check_regular(path)
    try:
        # Opened here, because np.load does not close a file that it opened itself if the archive is damaged.
        with path.open("rb") as handle:
            if not zipfile.is_zipfile(handle):  # np.load would take any other file for a pickle
                raise zipfile.BadZipFile
            handle.seek(0)
            # the default of NumPy, stated because the safety of a foreign file hangs on it
            with np.load(handle, allow_pickle=False) as archive:
                yield archive
    except InputError:  # raised by the caller inside the block; it is a ValueError, which the next clause would replace
        raise
    except NPZ_ERRORS as error:
        is_pickled = "pickle" in str(error).lower()
        got = "pickled objects" if is_pickled else "one that cannot be read"
        remedy = "save arrays of numbers or text" if is_pickled else "is it whole, and made by np.savez?"
        raise InputError(sentence(path.name, "an .npz archive of arrays", got, remedy)) from None
