"""File formats, one record each, in one table.

To add a format, write a module in this folder, add its record to `READERS`, and test it. What `load` and `load_rows`
accept and what their error texts list follow from the table.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxmlp.data.readers.arrays import Arrays
from jaxmlp.data.readers.csv import read_table
from jaxmlp.data.readers.hdf5 import read_hdf5, read_hdf5_folder, read_hdf5_rows
from jaxmlp.data.readers.idx import IDX_NAME, read_idx_folder, read_idx_rows
from jaxmlp.data.readers.images import IMAGE_SUFFIXES, read_image
from jaxmlp.data.readers.npz import read_npz, read_npz_rows
from jaxmlp.data.readers.parquet import read_parquet
from jaxmlp.data.rows import Columns
from jaxmlp.lazy_modules import lazy_modules as _lazy_modules
from jaxmlp.tabular.table import Table

__getattr__, __dir__ = _lazy_modules(__name__)


class Reader(NamedTuple):
    """One file format. A function is None if the format has no such use.

    Attributes:
        name: of the format, in error texts.
        suffixes: of its files, in lower case.
        read: path -> rows and labels, unchecked.
        read_table: path, `TableOptions` and the features of a model -> a table, in which `target` chooses a column and
            the features have different units.
        read_rows: path, n_features and the columns of a model -> rows to predict, unchecked.
        read_folder: folder and those of its files that belong to the format -> rows and labels, unchecked.
        file_name: a pattern of file names, for a format whose files are known by their whole names.
        remedy: what to do with a file that alone has no labels, or cannot be read, in error texts.
        is_one_row: whether a file is one row to predict, so that a folder of such files is several rows.
    """

    name: str
    suffixes: tuple[str, ...] = ()
    read: Callable[[Path], Arrays] | None = None
    read_rows: Callable[[Path, int, Columns], np.ndarray] | None = None
    read_folder: Callable[[Path, list[Path]], Arrays] | None = None
    file_name: re.Pattern[str] | None = None
    read_table: Callable[..., Table] | None = None
    remedy: str = "convert it to one of these"
    is_one_row: bool = False

    @property
    def has_labels(self) -> bool:
        """Whether a file of the format can be trained on."""
        return self.read is not None or self.read_table is not None

    @property
    def has_rows(self) -> bool:
        """Whether a file of the format can be predicted."""
        return self.read_rows is not None or self.read_table is not None

    def matches(self, path: Path) -> bool:
        """Whether the name of a file says that it has this format.

        >>> idx = READERS[-1]
        >>> idx.matches(Path("t10k-images-idx3-ubyte.gz")), idx.matches(Path("t10k.gz"))
        (True, False)
        """
        if self.file_name is not None:
            return self.file_name.fullmatch(path.name) is not None
        name = path.name.lower()
        # a file that is called .csv is hidden, and has no suffix
        return any(name.endswith(suffix) and name != suffix for suffix in self.suffixes)


TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".data", ".tab")
COMPRESSIONS = (".gz", ".bz2", ".xz")
READERS = (
    Reader("HDF5", (".h5", ".hdf5"), read_hdf5, read_rows=read_hdf5_rows, read_folder=read_hdf5_folder),
    Reader("npz", (".npz",), read_npz, read_rows=read_npz_rows),
    Reader("csv", (*TEXT_SUFFIXES, *(t + c for t in TEXT_SUFFIXES for c in COMPRESSIONS)), read_table=read_table),
    Reader("Parquet", (".parquet", ".pq"), read_table=read_parquet),
    Reader(
        "image",
        IMAGE_SUFFIXES,
        read_rows=read_image,
        remedy="a picture has no label: give it to jaxmlp predict",
        is_one_row=True,
    ),
    # a single array without a name: rows and labels need two
    Reader("npy", (".npy",), remedy="write np.savez('data.npz', X=X), and add y=y for a training"),
    Reader(
        "idx",
        read_rows=read_idx_rows,
        read_folder=read_idx_folder,
        file_name=IDX_NAME,
        remedy="name the folder that holds it",
    ),
)
"""The first reader that matches a file reads it."""


def find_reader(path: Path) -> Reader | None:
    """Return the reader for a file by its name, or None.

    >>> find_reader(Path("flowers.CSV")).name
    'csv'
    """
    return next((reader for reader in READERS if reader.matches(path)), None)
