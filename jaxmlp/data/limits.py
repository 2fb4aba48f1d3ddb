"""What a file may be, and what it may become in memory: checked before anything is allocated.

a regular file          pipes and devices may never end, and are refused
at most RATIO times     its size on the disk, or SMALL_BYTES where that is more: what deflate reaches on real data is
                        far below, and a bomb of 3 MB that becomes 3 GB is above. Of a compressed text SMALL_TEXT_BYTES
                        is enough, because its cells take up to 60 times as much
at most the memory      of this machine
"""

import io
import os
import re
import stat
from pathlib import Path
from typing import Any

from jaxmlp.errors import InputError, InputTypeError, sentence

RATIO = 200
SMALL_BYTES = 2**28
SMALL_TEXT_BYTES = 2**22
# https://… or www.…/, but not C://, which is a drive; a Path keeps one slash of two
_ADDRESS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:/|www\.[^/\\]+/")
_KINDS = ((stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"), (stat.S_ISDIR, "a folder"))


def as_path(path: str | os.PathLike[str], where: str = "reading", *, for_writing: bool = False) -> Path:
    """Return a path with its home folder in full; raise for one that the system cannot have.

    Args:
        path: of a file or folder, which need not exist.
        where: the name of the caller in errors.
        for_writing: whether the errors speak of writing, not of reading.

    Raises:
        InputError: an address on the web, because the package downloads nothing; a name that is too long or holds a
            NUL, a home folder of no user, a folder without access.
        InputTypeError: something that is no path.

    >>> as_path("a.csv").name
    'a.csv'
    """
    try:
        if "\0" in (text := os.fspath(path)) or (for_writing and not text):
            raise ValueError("an empty name" if not text else "a NUL in it")
        full = Path(path).expanduser()
        exists = full.exists()  # also for its errors: a name that is too long, a folder without access
    except TypeError:
        raise InputTypeError(sentence(where, "a path", type(path).__name__, "give the name of a file")) from None
    except (OSError, ValueError, RuntimeError) as error:
        got = f"{str(path)!r} ({(isinstance(error, OSError) and error.strerror) or error})"
        raise InputError(sentence(where, "a path of this machine", got, "check the path")) from None
    # a folder may be called www.site: its files need not exist yet
    if not exists and _ADDRESS.match(text) and not Path(text.partition("/")[0]).exists():
        remedy = "write to a path on this machine" if for_writing else "download the file, and give its path"
        remedy = "give the path without file:" if text.startswith("file:") else remedy
        raise InputError(sentence(where, "a file on this machine", f"the address {text!r}", remedy))
    return full


def as_name(text: str) -> str:
    r"""Return the name of a file as text: bytes in it that are no UTF-8 become a mark, which can be printed and drawn.

    >>> as_name("caf\udce9"), as_name("café")
    ('caf\ufffd', 'café')
    """
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def check_regular(path: Path, name: str = "") -> os.stat_result:
    """Return the status of a file to read; raise for a pipe, a device, a socket, and for a file that is too large.

    Args:
        path: of the file.
        name: of the file in errors; the last part of the path if it is "".

    Raises:
        InputError: one of these, or a file that the user may not read.
    """
    name = name or path.name
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise unreadable(name, error) from None
    if not stat.S_ISREG(status.st_mode):
        kind = next((kind for test, kind in _KINDS if test(status.st_mode)), "a device")
        remedy = "copy its content into a file"
        raise InputError(sentence(f"reading {name}", "a regular file", kind, remedy))
    if not os.access(path, os.R_OK):
        got, remedy = "one without the right to read it", "change its mode, or copy it"
        raise InputError(sentence(f"reading {name}", "a file of yours", got, remedy))
    return status


def unreadable(name: str, error: BaseException) -> InputError:
    """Return the sentence for a file or folder that the system does not let us read."""
    got = (isinstance(error, OSError) and error.strerror) or f"{type(error).__name__}: {error}"
    return InputError(sentence(f"reading {name}", "a file that can be read", got, "check the path and its mode"))


def max_bytes(path: Path, small: int = SMALL_BYTES) -> int:
    """Return how many bytes of memory the content of a file may take; `small` is allowed for any file.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     max_bytes(Path(file.name)) == min(SMALL_BYTES, memory_bytes())
    True
    """
    return _max_bytes_of(bytes_on_disk(check_regular(path)), small)


def _max_bytes_of(size_on_disk: int, small: int) -> int:
    return min(max(small, RATIO * size_on_disk), memory_bytes())


def bytes_on_disk(status: os.stat_result) -> int:
    """Return what a file holds on the disk, which for a sparse file is less than it pretends; Windows does not tell."""
    # st_blocks counts units of 512 bytes, whatever the block size is; it is 0 where the file system keeps a small file
    # in its inode
    return min(status.st_size, getattr(status, "st_blocks", status.st_size) * 512 or status.st_size)


def memory_bytes() -> int:
    """Return the memory of this machine in bytes; without an answer of the system 64 GiB."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return 64 * 2**30


def check_bytes(path: Path, size: int, part: str = "its content", small: int = SMALL_BYTES) -> None:
    """Raise if a part of a file would take more memory than `max_bytes`."""
    limit = max_bytes(path, small)
    if size > limit:
        remedy = "if that is meant, store it uncompressed, or stream it from HDF5"
        raise _too_large(path.name, limit, path.stat().st_size, f"{size:,} bytes for {part}", remedy)


def check_total_bytes(where: str, size: int, size_on_disk: int, part: str, remedy: str) -> None:
    """Raise if a part of several files would take more memory than one file of their total size may take."""
    limit = _max_bytes_of(size_on_disk, SMALL_BYTES)
    if size > limit:
        raise _too_large(where, limit, size_on_disk, f"{size:,} bytes for {part}", remedy)


def _too_large(where: str, limit: int, size_on_disk: int, got: str, remedy: str) -> InputError:
    expects = f"at most {limit:,} bytes in memory from {size_on_disk:,} bytes on the disk"
    return InputError(sentence(where, expects, got, remedy))


class BoundedStream(io.RawIOBase):
    """A stream of decompressed bytes that raises once it has given more than the file may become."""

    def __init__(self, stream: Any, path: Path, small: int = SMALL_BYTES) -> None:
        self._stream, self._path, self._n, self._small = stream, path, 0, small
        self._limit = max_bytes(path, small)

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer, and return the number of bytes."""
        n = self._stream.readinto(buffer)
        # counted while unpacking: gzip states the size modulo 2³² and at the end only, and bzip2 does not state it
        self._n += n
        if self._n > self._limit:
            check_bytes(self._path, self._n, "what is unpacked so far", self._small)
        return n

    def close(self) -> None:
        """Close the stream beneath as well."""
        self._stream.close()
        super().close()
