"""The path of a data source; or, where nothing is there, what the user may have meant by it."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from jaxmlp.data.limits import as_path
from jaxmlp.data.toy import TOY_DATASETS
from jaxmlp.errors import InputTypeError, MissingFileError, sentence, unknown

Source = str | os.PathLike[str]
_IDX_FILES = "train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz and the two t10k-… files"
_CAT_FILES = "the two HDF5 files train_catvnoncat.h5 and test_catvnoncat.h5"
FILES_OF_DATASETS: dict[str, str] = dict.fromkeys(("mnist", "fashionmnist", "emnist", "kmnist"), _IDX_FILES)
FILES_OF_DATASETS |= dict.fromkeys(("cat", "cats", "catvnoncat"), _CAT_FILES)
"""The files of data sets that the package does not contain, by the name of the data set; an error lists them."""


def refuse_dataset_dict(source: object) -> None:
    """Raise for rows and targets in one dictionary, as scikit-learn has them: as a table each key would be a column.

    Raises:
        InputTypeError: such a dictionary.
    """
    if isinstance(source, Mapping) and "target" in source and getattr(source.get("data"), "ndim", 1) == 2:
        got, remedy = f"{type(source).__name__} with data and target", "give data and target to Dataset.from_arrays"
        raise InputTypeError(sentence("load", "a table, a name or a path", got, remedy))


def existing_path(source: Source) -> Path:
    """Return the path of a file or folder that exists.

    Raises:
        MissingFileError: there is none; for the name of data that the package does not contain it says what to get.
        InputError: a word that is no name of a data set, and an address on the web.
        InputTypeError: neither a name nor a path.
    """
    if not isinstance(source, str | os.PathLike):
        expects, got = "a name or a path", type(source).__name__
        raise InputTypeError(sentence("load", expects, got, "for arrays take Dataset.from_arrays"))
    path = expand_path(source)
    if path.exists():
        return path
    # other libraries write Fashion-MNIST, FashionMNIST and mnist_784
    if files := FILES_OF_DATASETS.get(re.sub(r"[\W_]|784", "", str(source)).lower()):
        expects = f"a folder with {files}"
        remedy = "download these files into a folder of that name, or give the path of their folder"
        raise MissingFileError(sentence(f"the data source {str(source)!r}", expects, "no such folder", remedy))
    # a single word is probably a misspelled name, so the error lists the names; anything else is a path
    if isinstance(source, str) and not path.suffix and path.name == source:
        remedy = "the package has no other data, so give the path of a file, such as flowers.csv"
        raise unknown("data source", source, [*TOY_DATASETS, "or a path to a file or folder"], remedy)
    raise missing_file(path)


def expand_path(source: Source) -> Path:
    """Return the path, with "." and a final ".." resolved, which would give a data set no name."""
    path = as_path(source)
    return path.resolve() if path.name in ("", "..") else path


def missing_file(path: Path) -> MissingFileError:
    """Return the error for a path where nothing is."""
    got, remedy = f"{str(path)!r}, which does not exist", "check the path"
    return MissingFileError(sentence("reading", "an existing file or folder", got, remedy))
