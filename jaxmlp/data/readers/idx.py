"""The idx files of MNIST and similar data: a folder of images and labels, plain or compressed by gzip.

    bytes 0-1   0
    byte  2     8: unsigned bytes
    byte  3     d, the number of dimensions: 3 for images, 1 for labels
    then        d sizes, big-endian 32-bit; then the bytes themselves, last dimension fastest

The name of a file gives its part (train, or t10k or test) and its role (images, labels); the header must agree.
"""

import gzip
import io
import math
import re
import zlib
from pathlib import Path

import numpy as np

from jaxmlp.data.limits import BoundedStream, check_bytes, check_regular
from jaxmlp.data.readers.arrays import Arrays
from jaxmlp.data.rows import Columns
from jaxmlp.errors import InputError, sentence

# also train-images.idx3-ubyte, as some programs unpack it, and emnist-letters-train-images-idx3-ubyte.gz
IDX_NAME = re.compile(r"(?P<part>.*?)[-_.]?(?P<role>images|labels)[-.]idx[13]-ubyte(\.gz)?")


def read_idx_folder(folder: Path, paths: list[Path]) -> Arrays:
    """Return the training images and labels, and those of the test part if it is there.

    Raises:
        InputError: an absent or repeated role, a damaged file, a header that contradicts the name.
    """
    roles = _assign_files(folder, paths)
    missing = [role for role in ("train images", "train labels") if role not in roles]
    if missing:
        expects, got = "train-images-idx3-ubyte and train-labels-idx1-ubyte", f"no {' and no '.join(missing)}"
        raise InputError(sentence(folder.name, expects, got, "add the missing files, plain or .gz"))
    arrays = {role: read_idx(path, 3 if role.endswith("images") else 1) for role, path in roles.items()}
    test = (arrays.get("test images"), arrays.get("test labels"))
    has_test = any(role.startswith("test") for role in roles)
    return Arrays(arrays["train images"], arrays["train labels"], test if has_test else None, pixels=True)


def read_idx_rows(path: Path, _n_features: int, _columns: Columns) -> np.ndarray:
    """Return the images of one file, to predict them.

    Raises:
        InputError: a file of labels, or a damaged file.
    """
    match = IDX_NAME.fullmatch(path.name)
    if match is None or match["role"] != "images":
        raise InputError(sentence("rows to predict", "an idx file of images", path.name, "name the file of its images"))
    return read_idx(path, 3)


def _assign_files(folder: Path, paths: list[Path]) -> dict[str, Path]:
    """Return the files by their roles, "train images" and so on."""
    roles: dict[str, Path] = {}
    for path in sorted(paths, key=lambda path: path.suffix == ".gz"):  # plain files first: they win over their .gz
        match = IDX_NAME.fullmatch(path.name)
        assert match is not None
        part = "train" if "train" in match["part"] else "test"  # MNIST says t10k, EMNIST test
        first = roles.setdefault(f"{part} {match['role']}", path)
        if path not in (first, first.with_name(first.name + ".gz")):
            got = f"{first.name} and {path.name}"
            raise InputError(sentence(folder.name, f"one file of {part} {match['role']}", got, "keep one of them"))
    return roles


def read_idx(path: Path, rank: int) -> np.ndarray:
    """Return the bytes of one idx file as an array of that rank.

    Raises:
        InputError: the file is damaged or cut short, or does not hold unsigned bytes of that rank.
    """
    content = _read_bytes(path)
    magic = bytes([0, 0, 8, rank])
    if content[:4] != magic:
        got = f"{content[:4].hex() or 'an empty file'}"
        raise InputError(sentence(path.name, f"the idx magic number {magic.hex()}", got, "is it the right file?"))
    start = 4 + 4 * rank  # the magic number and a size for each dimension
    # a header cut short is filled with zeros, so that it fails the check of the length below and not here
    shape = tuple(int(size) for size in np.frombuffer(content[4:start].ljust(4 * rank, b"\0"), ">u4"))
    if len(content) - start != math.prod(shape):
        expects, got = f"{math.prod(shape)} bytes after its header", str(max(0, len(content) - start))
        raise InputError(sentence(path.name, expects, got, "download the file again"))
    # read-only, like the bytes of which it is a view
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _read_bytes(path: Path) -> bytes:
    check_bytes(path, check_regular(path).st_size)
    if path.suffix != ".gz":
        return path.read_bytes()
    try:
        with io.BufferedReader(BoundedStream(gzip.open(path), path), 2**20) as file:
            return file.read()
    except InputError:  # larger than it may become
        raise
    except (OSError, EOFError, zlib.error, ValueError, MemoryError):
        got = "one that is damaged or cut short"
        raise InputError(sentence(path.name, "a whole gzip file", got, "download the file again")) from None
