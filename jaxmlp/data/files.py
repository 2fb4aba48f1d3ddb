"""Write a file so that a reader sees the old one or the new one, never half of one, and nothing else is touched.

The new content goes to a temporary file in the same folder (a rename is atomic only within one file system), is forced
to the disk, and takes the place of the old file in one step. Whatever fails before that step leaves the old file alone.

    a regular file          is replaced, and its mode and owner stay
    a symbolic link         stays, and the file that it leads to is replaced
    a pipe, /dev/stdout     stays, and the whole content is written into it
    a device with blocks, a socket, a read-only file, a file that the command reads      are refused
"""

import contextlib
import errno
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from jaxmlp.data.limits import as_path
from jaxmlp.data.locks import LOCK, check_unowned
from jaxmlp.errors import InputError, MissingFileError, WriteError, sentence
from jaxmlp.interrupts import clean_up_last

MAX_LINKS = 40  # symbolic links in a row, as in Linux
temporaries: set[Path] = set()  # that exist now: a process that ends in the middle removes them
clean_up_last(lambda: remove_temporaries())  # a lambda: the function is defined below
_READ_SUFFIXES = (".h5", ".hdf5", ".json")  # of the files that are read from a folder
_SYSTEM_FOLDERS = ("/proc", "/dev/fd")  # a link there leads to an open stream, whatever its text says


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path that becomes `path` when the block ends well, and vanishes when it does not.

    The temporary name keeps the suffix, because some writers choose their format by it.

    Raises:
        MissingFileError: the parent folder does not exist.
        InputError: `path` is in the folder of a run that another process trains, is a folder or a special file that
            takes no content, it or its folder is read-only.
        WriteError: the disk is full, or fails.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_path(Path(folder) / "note.txt") as temporary:
    ...         _ = temporary.write_text("whole")
    ...     print([(file.name, file.read_text()) for file in Path(folder).iterdir()])
    [('note.txt', 'whole')]
    """
    path = check_writable(path)
    if _is_stream(path):
        with tempfile.TemporaryDirectory() as folder:  # never beside a device
            temporary = Path(folder) / f"content{path.suffix}"
            yield temporary
            _copy_into(path, temporary)
        return
    # a random name: two processes that write the same file do not write into one temporary
    # a name may have 255 bytes, and a Chinese character takes 3 in UTF-8
    temporary = path.with_name(f".{path.stem[:40]}-{secrets.token_hex(8)}{path.suffix[-20:]}")
    try:
        temporaries.add(temporary)
        _create_like(path, temporary)
        yield temporary
        # the content must be on the disk before the name is: after a power cut the name would stand for an empty file
        _flush(temporary, os.O_RDWR)  # Windows flushes only what is open for writing
        os.replace(temporary, path)
        if os.name == "posix":
            _flush(path.parent, os.O_RDONLY)  # the rename itself lives in the folder's entry
    except BaseException as error:
        with contextlib.suppress(OSError):  # a disk that has failed may refuse this too
            temporary.unlink(missing_ok=True)
        # MissingFileError and WriteError are OSErrors, too, and have their sentence already
        if isinstance(error, OSError) and not isinstance(error, InputError):
            got = error.strerror or str(error)
            remedy = "make room, or choose another place"
            failure = WriteError(sentence(f"writing {path}", "a disk that takes the file", got, remedy))
            failure.got = got
            raise failure from None
        raise
    finally:
        temporaries.discard(temporary)


def remove_temporaries() -> None:
    """Remove the files that this process is just writing, before it ends in the middle."""
    for temporary in list(temporaries):
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file in one step; errors are those of `atomic_path`."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def check_writable(path: str | os.PathLike[str], *sources: str | os.PathLike[str]) -> Path:
    """Return where the content of `path` is written, links followed; raise, as `atomic_path` would, where it cannot be.

    Args:
        path: of a file to write.
        sources: files and run folders that the same command reads: none of their files may be written.
    """
    path = _follow(as_path(path, "writing", for_writing=True))
    # every reason to refuse is checked before the work whose result would be written
    folder, writing = path.parent, f"writing {path.name}"
    if not folder.is_dir():
        got = f"the missing folder {str(folder)!r}"
        raise MissingFileError(sentence(writing, "an existing folder", got, "create the folder first"))
    if path.is_dir():
        got = f"the folder {str(path)!r}"
        raise InputError(sentence("writing a file", "a path to a file", got, "add a file name"))
    if path.is_block_device() or path.is_socket():
        got = f"the {'device' if path.is_block_device() else 'socket'} {str(path)!r}"
        raise InputError(sentence(writing, "a file or a pipe", got, "choose another name"))
    if path.name == LOCK:  # the next command that locks the folder would remove it
        raise InputError(sentence("writing a file", "another name", LOCK, "choose another name"))
    if path.exists() and any(_is_read_from(path, Path(source)) for source in sources):
        got = f"{str(path)!r}, which this command reads"
        raise InputError(sentence(writing, "a file of its own", got, "choose another name"))
    if _is_stream(path):
        return path
    check_unowned(folder)
    if not os.access(folder, os.W_OK):
        got = f"the read-only folder {str(folder)!r}"
        raise InputError(sentence(writing, "a folder it may write to", got, "choose another folder"))
    if path.exists() and not os.access(path, os.W_OK):
        got = f"the read-only file {str(path)!r}"
        raise InputError(sentence(writing, "a file it may replace", got, "choose another name"))
    return path


def _follow(path: Path) -> Path:
    """Return the path at the end of a chain of symbolic links; one into /proc, as /dev/stdout is, is an end."""
    for _ in range(MAX_LINKS):
        if not path.is_symlink() or _is_open_stream(path):
            return path
        # a relative link counts from its own folder, and an absolute one replaces it here
        path = path.parent / os.readlink(path)
    raise InputError(sentence(f"writing {path.name}", "a path to a file", "a circle of links", "choose another name"))


def _is_open_stream(path: Path) -> bool:
    folder = os.path.realpath(path.parent)
    return os.name == "posix" and any(folder == root or folder.startswith(f"{root}/") for root in _SYSTEM_FOLDERS)


def _is_stream(path: Path) -> bool:
    """Whether content is written into what is there, which must not be replaced."""
    return path.is_fifo() or path.is_char_device() or _is_open_stream(path)


def _is_read_from(path: Path, source: Path) -> bool:
    """Whether a file is the source, or in the folder that is the source, where tables and pictures are only results."""
    if source.is_dir():
        return path.suffix in _READ_SUFFIXES and path.parent.samefile(source)
    return source.exists() and path.samefile(source)


def _create_like(path: Path, temporary: Path) -> None:
    """Make an empty file: of the mode and owner of the file that it will replace, or as the umask has it."""
    replaced = path.stat() if path.exists() else None
    # O_EXCL: never through a link that somebody has put there under this name
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    descriptor = os.open(temporary, flags, 0o666 if replaced is None else 0o600)  # never more open than the old one
    os.close(descriptor)
    if replaced is not None:
        with contextlib.suppress(OSError, AttributeError):  # only root may give a file to another; not on Windows
            os.chown(temporary, replaced.st_uid, replaced.st_gid)
        with contextlib.suppress(OSError):  # a file system without modes
            temporary.chmod(stat.S_IMODE(replaced.st_mode))


def _copy_into(path: Path, content: Path) -> None:
    """Write the content into a pipe or device, behind what an open file holds already."""
    try:
        # without O_NONBLOCK a pipe that nothing reads would keep this process waiting for ever
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK)
        os.set_blocking(descriptor, True)
        with open(descriptor, "wb") as stream, content.open("rb") as file:
            shutil.copyfileobj(file, stream)
    except OSError as error:
        # ENXIO: a pipe that nothing reads
        remedy = "start its reader first" if error.errno == errno.ENXIO else "choose another name"
        got = error.strerror or str(error)
        raise InputError(sentence(f"writing {path}", "a stream that takes the content", got, remedy)) from None


def _flush(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
