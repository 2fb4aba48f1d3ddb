"""HDF5 files with the arrays that `arrays` names: one file with all of them, or a folder with several files.

The files of a folder are told apart by the arrays in them, because every copy of the course's data names its files
differently. h5py is imported when a file is read, not with the package; `hdf5_safety` says which file it may open.
"""

import contextlib
import math
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jaxmlp.data.limits import check_bytes
from jaxmlp.data.readers.arrays import CLASSES, EXPECTED, Arrays, assign_roles, choose_rows, conventional_names
from jaxmlp.data.readers.hdf5_checker import HDF5_ERRORS
from jaxmlp.data.readers.hdf5_safety import find_danger
from jaxmlp.data.rows import Columns
from jaxmlp.errors import InputError, sentence

if TYPE_CHECKING:
    import h5py

MAX_GROUP_DEPTH = 32
CACHE_SLOTS = 10007  # chunks that a cache may hold: HDF5 asks for a prime number, far above the chunks that will fit
HDF5_ROWS = ("test_set_x", "train_set_x", "x_test", "x_train", "rows", "x", "X")
"""Where rows to predict are searched, in this order."""


def read_hdf5(path: Path, *, is_ours: bool = False) -> Arrays:
    """Return the arrays of one file.

    Args:
        path: the file.
        is_ours: whether it is part of this package, and need not be checked first.

    Raises:
        InputError: not an HDF5 file, a damaged file, or arrays under unknown names.
    """
    with open_hdf5(path, is_ours=is_ours) as file:
        available = stored_arrays(file)
        # arrays under other names are not read: they may be large
        names = conventional_names(available)
        arrays = {name: read_array(available[stored], path) for name, stored in names.items()}
    return assign_roles(arrays, available, path.name)


def read_hdf5_folder(folder: Path, paths: list[Path]) -> Arrays:
    """Return the arrays of several files that together hold one data set.

    Raises:
        InputError: as `read_hdf5`, and if two files hold different arrays under one name.
    """
    arrays: dict[str, np.ndarray] = {}
    sources: dict[str, Path] = {}
    for path in paths:
        with open_hdf5(path) as file:
            available = stored_arrays(file)
            for name, stored in conventional_names(available).items():
                array = read_array(available[stored], path)
                # Both files of the course carry list_classes, which is accepted as long as the two are equal.
                if name in arrays and not (name == CLASSES and np.array_equal(array, arrays[name])):
                    got = f"{name} in {sources[name].name} and in {path.name}"
                    raise InputError(sentence(folder.name, "each key in one file", got, "name one of the files"))
                arrays[name], sources[name] = array, path
    return assign_roles(arrays, arrays, folder.name)


def read_hdf5_rows(path: Path, _n_features: int, _columns: Columns) -> np.ndarray:
    """Return the rows to predict: the first array of `HDF5_ROWS` that the file has, else its only array."""
    with open_hdf5(path) as file:
        arrays = stored_arrays(file)
        return read_array(arrays[choose_rows(arrays, HDF5_ROWS, path.name)], path)


def read_array(array: "h5py.Dataset", path: Path) -> np.ndarray:
    """Return an array of a file; raise before it is read if it is larger than the file may become.

    Raises:
        InputError: too large, or without a shape.
    """
    where = f"{str(array.name).lstrip('/')!r} of {path.name}"
    if array.shape is None:  # h5py.Empty: a type without values
        raise InputError(sentence(where, "an array", "an empty data set", "write the array again"))
    check_bytes(path, math.prod(array.shape) * array.dtype.itemsize, where)
    return np.asarray(array[()])  # of a single value, too, which h5py returns as a number or text


def stored_arrays(file: "h5py.File") -> dict[str, "h5py.Dataset"]:
    """Return the arrays at the root of the file, else those in its groups as group/name; none is read yet.

    Raises:
        InputError: no array at the root or directly in a group.
    """
    arrays = _arrays_in(file)
    if conventional_names({*arrays} - {CLASSES}):
        return arrays
    import h5py

    groups = {str(name): group for name in file if isinstance(group := file.get(name), h5py.Group)}
    arrays |= {f"{name}/{member}": a for name, group in groups.items() for member, a in _arrays_in(group).items()}
    if groups and not arrays:
        got = f"the groups {', '.join(groups)}, none with an array directly in it"
        remedy = "write X and y to the root of the file"
        raise InputError(sentence(Path(file.filename).name, EXPECTED, got, remedy))
    return arrays


def _arrays_in(group: "h5py.Group") -> dict[str, "h5py.Dataset"]:
    """Return the arrays of a group by their names; broken links are ignored."""
    import h5py

    # `get` gives None for a broken link, where group[name] would raise
    return {str(name): array for name in group if isinstance(array := group.get(name), h5py.Dataset)}


@contextlib.contextmanager
def open_hdf5(
    path: Path, cache_bytes: int | None = None, *, streamed: bool = False, is_ours: bool = False
) -> Iterator["h5py.File"]:
    """Open the file read-only, and turn every failure to read it into one sentence.

    Args:
        path: the file.
        cache_bytes: memory for the decompressed chunks of an array; the default of HDF5 if None.
        streamed: whether its arrays stay in the file, and may be larger than the memory.
        is_ours: as for `read_hdf5`.

    Raises:
        InputError: not an HDF5 file, a damaged one, or one that would read other files.
    """
    import h5py

    expects, remedy = "an HDF5 file", "is it whole, and is it HDF5?"
    if not is_ours and (danger := find_danger(path, streamed=streamed)):
        raise InputError(sentence(path.name, expects, danger, remedy))
    try:
        slots = None if cache_bytes is None else CACHE_SLOTS
        with h5py.File(path, "r", rdcc_nbytes=cache_bytes, rdcc_nslots=slots) as file:
            check_self_contained(file, path.name)
            yield file
    except InputError:  # it is a ValueError, which the next clause would replace
        raise
    except HDF5_ERRORS:
        raise InputError(sentence(path.name, expects, "one that cannot be read", remedy)) from None


@contextlib.contextmanager
def open_bytes(content: bytes) -> Iterator["h5py.File"]:
    """Open the bytes of a file, read-only: nothing is read from a disk."""
    import h5py

    with h5py.File(h5py.h5f.open_file_image(content)) as file:  # pyright: ignore[reportAttributeAccessIssue]
        yield file


def bytes_of(fill: Callable[["h5py.File"], None]) -> bytes:
    """Return the bytes of a new file that a function fills.

    HDF5 builds it in memory: its own writing leaves zeros for data after a failed write, and may crash when it closes.
    """
    import h5py

    # HDF5 tells files in memory apart by their names, so threads that build two at once must name them differently
    with h5py.File(secrets.token_hex(16), "w", driver="core", backing_store=False) as file:
        fill(file)
        file.flush()
        return file.id.get_file_image()


def check_self_contained(file: "h5py.File", where: str) -> None:
    """Raise for an array or link, at any depth, through which HDF5 would read another file.

    Such a file could expose any file that its reader may open. An array that is assembled from others is refused,
    wherever they are, because the source of each would have to be checked too.
    """
    from h5py import h5d, h5l, h5o  # pyright: ignore[reportAttributeAccessIssue]

    def foreign_part(name: bytes, link: "h5l.LinkInfo") -> str | None:
        if name.count(b"/") > MAX_GROUP_DEPTH:  # HDF5 takes longer for each further group
            return f"groups nested more than {MAX_GROUP_DEPTH} deep"
        reference = None
        if link.type == h5l.TYPE_HARD:
            try:
                part = h5o.open(file.id, name)
            except HDF5_ERRORS:  # damaged: nothing can read it
                return None
            if isinstance(part, h5d.DatasetID):
                creation = part.get_create_plist()
                virtual = creation.get_layout() == h5d.VIRTUAL
                reference = (
                    "a virtual data set" if virtual else "external storage" * bool(creation.get_external_count())
                )
        elif link.type != h5l.TYPE_SOFT:  # a soft link stays within the file
            reference = "an external link"
        return f"{reference} at {name.decode(errors='replace')!r}" if reference else None

    # HDF5 enters each group once: a link back to its parent makes no endless walk
    if part := file.id.links.visit(foreign_part, info=True):
        raise InputError(sentence(where, "all its arrays in this file", part, "copy the arrays into one file"))
