"""stdout and stderr as the commands need them: results must arrive, messages may be lost."""

import io
import os
import sys
from typing import Any, TextIO


class _UnstoppableFile(io.FileIO):
    """A file that drops what it cannot write: a training goes on when nobody can read its messages any more."""

    def write(self, data: Any) -> int:
        """Write, and count everything as written if the disk is full, the reader has ended, or a pipe is full."""
        try:
            written = super().write(data)  # None: a pipe that does not wait is full
        except OSError:
            written = None
        return memoryview(data).nbytes if written is None else written


def open_messages(descriptor: int, encoding: str = "utf-8") -> TextIO:
    """Return a stream for messages, line by line, whose writes never fail."""
    file = io.BufferedWriter(_UnstoppableFile(descriptor, "w", closefd=False))
    return io.TextIOWrapper(file, encoding, errors="backslashreplace", line_buffering=True)


def prepare_streams() -> None:
    """Open a stream that is closed, escape letters that an encoding lacks, and let no message fail.

    Results go to stdout: there a failed write is an error.
    """
    if os.environ.get("COLUMNS", "").strip("0") == "":
        os.environ.pop("COLUMNS", None)  # some programs set a width of 0: Rich would print nothing in it
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the shell, as in `jaxmlp info RUN >&-`
            setattr(sys, name, io.TextIOWrapper(io.FileIO(os.devnull, "w"), encoding="utf-8"))
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
            if name == "stderr" and (descriptor := _descriptor(stream)) is not None:
                sys.stderr = open_messages(descriptor, stream.encoding)


def _descriptor(stream: TextIO) -> int | None:
    """Return the number of an open file; None for a stream in memory, as tests and notebooks have it."""
    try:
        return stream.fileno()
    except OSError:  # io.UnsupportedOperation is one
        return None
