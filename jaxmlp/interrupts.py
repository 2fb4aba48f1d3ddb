"""End a command on Ctrl-C or SIGTERM: clean up, print one line, and return the exit status that shells use.

The handlers raise no exception: C code may ignore an exception in a callback, and a library may crash if one is raised
while it is imported. Instead the handler itself ends the process, after the clean-ups that are registered here. During
a training, `cli.signals` replaces these handlers by others, which end the training after the current epoch.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

MESSAGES = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
_clean_ups: list[Callable[[], str | None]] = []


def install() -> None:
    """Install the handlers of both signals. A signal that the parent process set to be ignored stays ignored.

    >>> before = signal.getsignal(signal.SIGTERM)
    >>> install(); signal.getsignal(signal.SIGTERM) is end_process
    True
    >>> _ = signal.signal(signal.SIGTERM, before), signal.signal(signal.SIGINT, signal.default_int_handler)
    """
    try:
        for number in MESSAGES:
            # a shell script starts its background jobs with SIGINT ignored
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, end_process)
    except ValueError:  # Python allows handlers in the main thread only
        pass


def is_command() -> bool:
    """Whether this process is the command `jaxmlp`, not a program that imports the package."""
    name = os.path.basename(sys.argv[0]) if sys.argv else ""
    if name == "-m":  # of `python -m jaxmlp`: Python sets argv[0] to "-m" until it has found the module
        arguments = sys.orig_argv
        return "-m" in arguments[:-1] and arguments[arguments.index("-m") + 1] == "jaxmlp"
    return name in ("jaxmlp", "jaxmlp.exe")


def end_process(number: int, frame: object = None) -> None:
    """Clean up, print one line, and end the process with exit status 128 + the number of the signal."""
    for any_signal in MESSAGES:
        signal.signal(any_signal, signal.SIG_IGN)  # a second signal must not interrupt the clean-ups
    try:
        line = "; ".join([MESSAGES[signal.Signals(number)], *clean_up()])
        # a progress bar may have hidden the cursor
        show_cursor = "\x1b[?25h" if sys.stderr is not None and sys.stderr.isatty() else ""
        with suppress(OSError):
            # not print(): the signal may have interrupted a write to sys.stderr, and a second one would raise
            os.write(2, f"{show_cursor}{line}\n".encode(errors="backslashreplace"))
    finally:  # if a clean-up fails, the process must still end
        os._exit(128 + number)  # not sys.exit(), which raises an exception


def clean_up() -> list[str]:
    """Run all clean-ups, the last registered one first, and return their messages."""
    texts = []
    while _clean_ups:
        try:
            texts.append(_clean_ups.pop()())  # removed before it runs: one that fails does not run again
        except (OSError, ValueError) as error:  # a folder is gone, a pipe is closed: run the other clean-ups
            texts.append(f"{type(error).__name__}: {error}")
    return [text for text in texts if text]


@contextmanager
def clean_up_on_signal(action: Callable[[], str | None]) -> Iterator[None]:
    """Run an action if a signal ends the process within the block; the action may return a message, or None."""
    _clean_ups.append(action)
    try:
        yield
    finally:
        if action in _clean_ups:
            _clean_ups.remove(action)


def clean_up_last(action: Callable[[], str | None]) -> None:
    """Run an action whenever a signal ends the process, after all other actions."""
    _clean_ups.insert(0, action)
