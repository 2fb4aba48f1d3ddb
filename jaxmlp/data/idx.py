"""The idx files of MNIST and its kin: a folder of images and labels, plain or gzipped.

    bytes 0-1   0
    byte  2     8: unsigned bytes
    byte  3     d, the number of dimensions: 3 for images, 1 for labels
    then        d sizes, big-endian 32-bit; then the bytes themselves, last dimension fastest

The name says the part (train, or t10k or test) and the role (images, labels), the header must agree.
"""

import gzip
import math
import re
import zlib
from pathlib import Path

import numpy as np

from jaxmlp.data.layouts import Arrays
from jaxmlp.errors import InputError, sentence

NAME = re.compile(r"(?P<part>.*?)[-_.]?(?P<role>images|labels)[-.]idx[13]-ubyte(\.gz)?")


def is_idx(path: Path) -> bool:
    """Whether the name is that of an idx file.

    >>> is_idx(Path("t10k-images-idx3-ubyte.gz")), is_idx(Path("t10k.gz"))
    (True, False)
    """
    return NAME.fullmatch(path.name) is not None


def read_folder(folder: Path, paths: list[Path]) -> Arrays:
    """Training images and labels, and those of the test where they are there.

    Raises:
        InputError: a missing or doubled role, a damaged file, a header that contradicts the name.
    """
    roles: dict[str, Path] = {}
    for path in sorted(paths, key=lambda path: path.suffix == ".gz"):  # a plain file stands for its gzipped copy
        match = NAME.fullmatch(path.name)
        assert match is not None
        kind = "train" if "train" in match["part"] else "test"
        other = roles.setdefault(f"{kind} {match['role']}", path)
        if path not in (other, other.with_name(other.name + ".gz")):
            got = f"{other.name} and {path.name}"
            raise InputError(sentence(folder.name, f"one file of {kind} {match['role']}", got, "keep one of them"))
    missing = [role for role in ("train images", "train labels") if role not in roles]
    if missing:
        expects, got = "train-images-idx3-ubyte and train-labels-idx1-ubyte", f"no {' and no '.join(missing)}"
        raise InputError(sentence(folder.name, expects, got, "add the missing files, plain or .gz"))
    arrays = {role: read(path, 3 if role.endswith("images") else 1) for role, path in roles.items()}
    return Arrays(
        arrays["train images"],
        arrays["train labels"],
        arrays.get("test images"),
        arrays.get("test labels"),
        pixels=True,
    )


def read(path: Path, rank: int) -> np.ndarray:
    """The bytes of one idx file as an array of that rank.

    Raises:
        InputError: damaged or cut short, or no unsigned bytes of that rank.
    """
    content = _bytes(path)
    magic = bytes([0, 0, 8, rank])
    if content[:4] != magic:
        got = f"{content[:4].hex() or 'an empty file'}"
        raise InputError(sentence(path.name, f"the idx magic number {magic.hex()}", got, "is it the right file?"))
    start = 4 + 4 * rank
    shape = tuple(int(size) for size in np.frombuffer(content[4:start].ljust(4 * rank, b"\0"), ">u4"))
    if len(content) - start != math.prod(shape):
        expects, got = f"{math.prod(shape)} bytes after its header", str(max(0, len(content) - start))
        raise InputError(sentence(path.name, expects, got, "fetch the file again"))
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _bytes(path: Path) -> bytes:
    if path.suffix != ".gz":
        return path.read_bytes()
    try:
        with gzip.open(path) as file:
            return file.read()
    except (OSError, EOFError, zlib.error):
        got = "one that is damaged or cut short"
        raise InputError(sentence(path.name, "a whole gzip file", got, "fetch the file again")) from None
