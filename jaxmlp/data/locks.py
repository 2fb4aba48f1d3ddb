"""A folder has one owner at a time: the process that writes a run into it.

The lock is that of the system on the file `.lock` in the folder, so it goes with the process, however it ends; a file
that a killed process leaves behind locks nothing. The file names the process and its host, for the sentence that others
read. A file system without locks, and Windows, have none: there the folder is used as before.
"""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from jaxmlp.errors import InputError, sentence
from jaxmlp.interrupts import clean_up_on_signal

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

SETTINGS = "run.json"  # which every folder of a run has, once it trains
LOCK = ".lock"
_owned: set[tuple[int, int]] = set()  # folders of this process, by device and inode: their paths may change


@contextlib.contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Own an existing folder within the block; one that this process owns already is entered freely.

    Raises:
        InputError: another process owns it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with owned(Path(folder)):
    ...         os.listdir(folder)
    ['.lock']
    """
    identity = _identity(folder)
    if fcntl is None or identity is None or identity in _owned:
        yield
        return
    descriptor = _acquire(folder)
    if descriptor is None:
        yield
        return
    _owned.add(identity)
    try:
        with clean_up_on_signal(lambda: release(folder, descriptor)):
            yield
    finally:
        _owned.discard(identity)
        release(folder, descriptor)


def _acquire(folder: Path) -> int | None:
    """Return the descriptor of the locked file; None where the file system has no locks."""
    assert fcntl is not None
    path = folder / LOCK
    while True:
        try:
            # O_NOFOLLOW: through a link of this name another file of the user would be emptied below
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        except OSError:  # a folder that cannot be written says so when it is written into
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _owner(descriptor)
            os.close(descriptor)
            raise _owned_by(folder, owner) from None
        except OSError:
            os.close(descriptor)
            return None
        # the last owner removes the file before it lets go of it: a lock on a file without a name locks nothing
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                break
        os.close(descriptor)
    with contextlib.suppress(OSError):  # on a full disk the lock holds without a name in it
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
    return descriptor


def release(folder: Path, descriptor: int) -> None:
    """Remove the file of a lock, if it is still ours, and let go of it."""
    with contextlib.suppress(OSError):
        if os.path.samestat(os.fstat(descriptor), os.stat(folder / LOCK)):
            (folder / LOCK).unlink()
    os.close(descriptor)


def check_unowned(folder: Path) -> None:
    """Raise if another process owns a folder."""
    if fcntl is None or _identity(folder) in _owned:
        return
    try:
        # O_NONBLOCK: a pipe of this name would wait for a writer
        descriptor = os.open(folder / LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:  # no lock, or none that we may read
        return
    try:
        # shared: two processes that only look do not take each other for the owner
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _owned_by(folder, _owner(descriptor)) from None
    except OSError:
        pass
    finally:
        os.close(descriptor)


def _identity(folder: Path) -> tuple[int, int] | None:
    """Return the device and the inode of a folder, which stay when it is moved; None if there is no folder."""
    try:
        status = os.stat(folder)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _owner(descriptor: int) -> str:
    """Return the name of the owner, as its file tells it."""
    try:
        text = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
    except OSError:
        text = ""
    return text or "another process"


def _owned_by(folder: Path, owner: str) -> InputError:
    got, remedy = f"{owner}, which writes into it", "wait until it has ended, or name another folder"
    return InputError(sentence(f"run folder {folder}", "one process at a time", got, remedy))
