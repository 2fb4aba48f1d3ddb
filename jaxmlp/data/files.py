"""Writing a file so that a reader sees the old one or the new one, never half of one.

The new content goes to a temporary file in the same folder (a rename is atomic only within one file system), is forced
to the disk, and takes the place of the old file in one step. Whatever fails before that step leaves the old file alone.
"""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from jaxmlp.errors import InputError, MissingFileError, sentence


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path that becomes `path` when the block ends well, and vanishes when it does not.

    The temporary name keeps the suffix, because some writers choose their format by it.

    Raises:
        MissingFileError: the parent folder does not exist.
        InputError: `path` is a folder, or its folder cannot be written to.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_path(Path(folder) / "note.txt") as temporary:
    ...         _ = temporary.write_text("whole")
    ...     print([(file.name, file.read_text()) for file in Path(folder).iterdir()])
    [('note.txt', 'whole')]
    """
    path = Path(path)
    check_place(path)
    temporary = path.with_name(f".{path.stem}-{secrets.token_hex(8)}{path.suffix}")
    try:
        yield temporary
        _flush(temporary, os.O_RDWR)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if os.name == "posix":
        _flush(path.parent, os.O_RDONLY)  # the rename itself lives in the folder's entry


def check_place(path: Path) -> None:
    """Raise, as `atomic_path` would, where no file can be written."""
    folder = path.parent
    if not folder.is_dir():
        got = f"the missing folder {str(folder)!r}"
        raise MissingFileError(sentence(f"writing {path.name}", "an existing folder", got, "create the folder first"))
    if path.is_dir():
        got = f"the folder {str(path)!r}"
        raise InputError(sentence("writing a file", "a path to a file", got, "add a file name"))
    if not os.access(folder, os.W_OK):
        got = f"the read-only folder {str(folder)!r}"
        raise InputError(sentence(f"writing {path.name}", "a folder it may write to", got, "choose another folder"))


def _flush(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
