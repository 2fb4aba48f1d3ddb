"""Find the file or folder of a source on this machine."""

import os
import re
from pathlib import Path

from jaxmlp.data.limits import as_path
from jaxmlp.data.toy import TOY_DATASETS
from jaxmlp.errors import InputError, InputTypeError, MissingFileError, sentence, unknown

Source = str | os.PathLike[str]
IDX_NAMES = ("mnist", "fashion-mnist", "fashion_mnist", "emnist", "kmnist")
"""Names of data sets in idx files. The package does not contain them: an error says which files to download."""


def existing_path(source: Source) -> Path:
    """Return the path of a source that exists.

    Raises:
        MissingFileError: no such file or folder; the error of a single word lists the names of the data sets.
        InputError: an address on the web.
        InputTypeError: anything but a name or a path.
    """
    if not isinstance(source, str | os.PathLike):
        expects, got = "a name or a path", type(source).__name__
        raise InputTypeError(sentence("load", expects, got, "for arrays take Dataset.from_arrays"))
    refuse_address(source)
    path = expand_path(source)
    if path.exists():
        return path
    if str(source).lower() in IDX_NAMES:
        expects = "a folder with train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz and the two t10k-… files"
        remedy = "download the four files into a folder of that name, or give the path of their folder"
        raise MissingFileError(sentence(f"the data source {str(source)!r}", expects, "no such folder", remedy))
    # a single word is probably a misspelled name, so the error lists the names; anything else is a path
    if isinstance(source, str) and not path.suffix and path.name == source:
        raise unknown("data source", source, [*TOY_DATASETS, "or a path to a file or folder"])
    raise missing_file(path)


def refuse_address(source: Source) -> None:
    """Raise for an address on the web, such as https://…: the package downloads nothing."""
    if isinstance(source, str) and re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+://", source):  # not C://, which is a drive
        remedy = "download the file, and give its path"
        raise InputError(sentence("reading", "a file on this machine", f"the address {source!r}", remedy))


def expand_path(source: Source) -> Path:
    """Return the path with "." and ".." resolved: a data set takes its name from the path, and these have none."""
    path = as_path(source)
    return path.resolve() if path.name in ("", "..") else path


def missing_file(path: Path) -> MissingFileError:
    """Return the error for a path of nothing."""
    got, remedy = f"{str(path)!r}, which does not exist", "check the path"
    return MissingFileError(sentence("reading", "an existing file or folder", got, remedy))
