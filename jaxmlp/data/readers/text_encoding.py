"""Find the encoding of a text file from its first bytes, and refuse files that are not tables in text."""

import bz2
import gzip
import lzma
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jaxmlp.data.limits import check_regular
from jaxmlp.errors import InputError, sentence

OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
INVISIBLE = "\ufeff\u200b\u200e\u200f\u2060"  # byte order mark, zero-width space, direction marks, word joiner
_BINARY_FORMATS = (  # the first bytes of the file, its format, and the remedy
    (b"\x1f\x8b", "a file compressed by gzip", "give its name the suffix .gz"),
    (b"BZh", "a file compressed by bzip2", "give its name the suffix .bz2"),
    (b"\xfd7zXZ", "a file compressed by xz", "give its name the suffix .xz"),
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook", "unpack it, or save the sheet as .csv"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook", "save the sheet as .csv"),  # .xls, until 2003
    (b"PAR1", "a Parquet file", "give its name the suffix .parquet"),
    (b"\x89HDF", "an HDF5 file", "give its name the suffix .h5"),
    (b"%PDF", "a PDF document", "export the table as .csv"),
)
_NON_TABLE_TEXTS = (  # the beginning of the first line in lower case, what the text is, and the remedy
    (("<!doctype", "<html", "<?xml"), "a web page", "download the file itself, not the page that shows it"),
    (("version https://git-lfs",), "a Git LFS pointer", "fetch the file with git lfs pull"),
    (("{", "[{", "[["), "JSON", "read it with pandas.read_json, and load the frame"),
)


def trim(cell: str) -> str:
    r"""Return a cell without leading and trailing spaces and invisible characters.

    >>> trim("\ufeffcat "), trim("\u200b 5")
    ('cat', '5')
    """
    cell = cell.strip()
    return cell if cell.isascii() else cell.strip(INVISIBLE).strip()


def find_encoding(path: Path, encoding: str | None) -> tuple[str, list[str]]:
    """Return the encoding of a file, and a note if it is unusual.

    Args:
        path: the path of the file.
        encoding: the encoding that the user names, or None.

    Raises:
        InputError: an encoding that Python does not know, or a file that is not text.
    """
    if encoding is not None:
        try:
            "".encode(encoding)
        except LookupError:
            remedy = "write utf-8 or cp1252, for example"
            raise InputError(sentence("encoding", "an encoding that Python knows", repr(encoding), remedy)) from None
        return encoding, []
    check_regular(path)
    with OPENERS.get(path.suffix.lower(), open)(path, "rb") as file:
        head = file.read(8)  # four characters of UTF-16 show its zeros
    for start, got, remedy in _BINARY_FORMATS:
        if head.startswith(start):
            raise InputError(sentence(path.name, "a table in text", got, remedy))
    # before UTF-16: its mark ff fe is also the beginning of the mark of UTF-32
    if head[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        return "utf-32", ["the text is UTF-32"]
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16", ["the text is UTF-16"]
    # UTF-16 without a byte order mark: in ASCII text every second byte is 0
    for zeros, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        if len(head) == 8 and not any(head[zeros::2]) and all(head[1 - zeros :: 2]):
            return name, ["the text is UTF-16"]
    return "utf-8-sig", []  # UTF-8 with or without a byte order mark


def is_wide(encoding: str) -> bool:
    """Whether an encoding uses more than one byte for an ASCII character.

    >>> is_wide("utf-16"), is_wide("utf-8-sig"), is_wide("latin-1")
    (True, False, False)
    """
    # utf-8-sig writes its mark of three bytes before the 0
    return len("0".encode(encoding)) > 1 and "sig" not in encoding


def check_is_table(lines: Sequence[str], where: str) -> None:
    """Raise if a text is known not to be a table: a web page, a Git LFS pointer, JSON, or binary data.

    Raises:
        InputError: the text is one of these.
    """
    # no text has NUL, but binary numbers have
    if any("\0" in line for line in lines):
        got, remedy = "binary data", "is it the right file?"
        raise InputError(sentence(where, "a table in text", got, remedy))
    first = next((line.strip().lower() for line in lines if line.strip()), "")
    for starts, got, remedy in _NON_TABLE_TEXTS:
        # JSON with indents has the bracket alone in its first line
        if first.startswith(starts) or (first == "[" and got == "JSON"):
            raise InputError(sentence(where, "a table in text", got, remedy))
