"""Whether this process may open an HDF5 file: one of another origin is opened by `hdf5_checker` first.

HDF5's library is C code that a few changed bytes of a file can crash, or keep busy for minutes. The verdict on a file
holds until the file changes, so that a stream opens it freely.
"""

import atexit
import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from jaxmlp.data.limits import check_regular, max_bytes

CHECKED_BYTES = 32 * 2**20  # of the arrays of a file that are read whole; of larger ones a few rows are
MAX_VERDICTS = 4096
# `-I` ignores the environment and the current folder; the path is that of this process, by which it finds h5py
_START = "import sys; sys.path[:] = {path!r}; import runpy; runpy.run_path({script!r}, run_name='__main__')"

_lock = threading.Lock()
_verdicts: dict[tuple[Any, ...], str | None] = {}


def find_danger(path: Path, *, attributes: bool = False, streamed: bool = False) -> str | None:
    """Return why HDF5 does not read a file without a crash, a hang, or too much memory; None if it does.

    Args:
        path: of the file.
        attributes: whether its attributes are read too, as those of a model are.
        streamed: whether its arrays stay in the file, and may be larger than the memory.

    Raises:
        InputError: no regular file.
    """
    status, limit = check_regular(path), max_bytes(path)
    # a file that is written again has another time or size, one that is replaced another inode
    key = (
        os.path.abspath(path),
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        attributes,
        streamed,
    )
    if key not in _verdicts:
        request = {"path": os.path.abspath(path), "limit": limit, "budget": CHECKED_BYTES}
        error = _ask({**request, "attributes": attributes, "streamed": streamed})
        if len(_verdicts) >= MAX_VERDICTS:
            _verdicts.clear()
        _verdicts[key] = error
    return _verdicts[key]


def _ask(request: dict[str, Any]) -> str | None:
    """Return why a file is refused, or None."""
    if not sys.executable:  # an embedded Python, which cannot start another
        return None
    # a request and its answer at a time: all threads share one pair of pipes
    with _lock:
        answer = _checker.ask(request)
    return answer.get("error")


class _Checker:
    """The process, started when it is first needed, and again after a fork or when it has ended."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._owner = 0

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return its answer to a request."""
        for _ in range(2):
            try:
                process = self._running()
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write(json.dumps(request) + "\n")
                process.stdin.flush()
                if line := process.stdout.readline():
                    return json.loads(line)
            except OSError:
                pass
            self.stop()  # it has ended: by the file, where it cannot fork; else by something else, so once more
        return {"error": "one that crashes HDF5's library"}

    def _running(self) -> subprocess.Popen[str]:
        # a fork has the pipes of its parent: both would read each other's answers
        if self._process is None or self._owner != os.getpid():
            script = str(Path(__file__).with_name("hdf5_checker.py"))
            code = _START.format(path=[entry or os.getcwd() for entry in sys.path], script=script)
            # one thread: it computes nothing, and each thread of a BLAS reserves memory
            environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", code],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=environment,
                start_new_session=os.name == "posix",  # the Ctrl-C of the terminal is not for it
            )
            self._owner = os.getpid()
        return self._process

    def stop(self) -> None:
        """End the process, if it is ours."""
        process, self._process = self._process, None
        # a fork that ends must not end the process of its parent
        if process is None or self._owner != os.getpid():
            return
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()  # pyright: ignore[reportOptionalMemberAccess]
        try:
            process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


_checker = _Checker()
atexit.register(_checker.stop)
