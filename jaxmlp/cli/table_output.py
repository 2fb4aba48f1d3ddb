"""Where a command may write a table: beside the files of a run, never in place of them."""

import os
from contextlib import suppress

from jaxmlp.cli.run_settings import SETTINGS
from jaxmlp.data.files import check_writable
from jaxmlp.errors import InputError, sentence

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"  # the first bytes of the file


def check_table_output(path: str | os.PathLike[str], *sources: str | os.PathLike[str]) -> None:
    """Raise where a table cannot be written, as `check_writable` does, and for an HDF5 file or a run.json.

    A table may replace an older table, but the model of another run would be lost.
    """
    path = check_writable(path, *sources)
    if not path.is_file():
        return
    is_hdf5 = False
    with suppress(OSError), open(path, "rb") as file:  # a file that may be written need not be readable
        is_hdf5 = file.read(len(HDF5_SIGNATURE)) == HDF5_SIGNATURE
    if is_hdf5 or path.name == SETTINGS:
        got = f"{str(path)!r}, {'an HDF5 file, such as a model' if is_hdf5 else 'the settings of a run'}"
        expects = "a new name, or that of an older table"
        raise InputError(sentence("writing a table", expects, got, "choose another name"))
