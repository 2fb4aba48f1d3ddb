"""Signals: Ctrl-C and SIGTERM end a training after the epoch at hand, or a second's piece of a long one.

A second one ends the process at once, as it would have without us.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from jaxmlp.training.processes import agreed


class Stop:
    """Whether somebody wishes the training to end, and the signal that said so."""

    reports_only = True

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def __call__(self, *_: object) -> bool:
        """As an observer of `fit`, after an epoch and within a long one: true once a signal has come to any process."""
        number = agreed(self.signal or 0)
        self.signal = signal.Signals(number) if number else None
        return self.signal is not None

    between = __call__

    @property
    def exit_code(self) -> int:
        """128 and the signal's number, as shells have it."""
        return 0 if self.signal is None else 128 + self.signal


@contextmanager
def graceful() -> Iterator[Stop]:
    """Within the block the first SIGINT or SIGTERM is noted, and the second has its usual effect."""
    stop = Stop()
    before = {}

    def note(number: int, frame: FrameType | None) -> None:
        stop.signal = signal.Signals(number)
        for name, handler in before.items():
            signal.signal(name, handler)

    try:
        for name in (signal.SIGINT, signal.SIGTERM):
            before[name] = signal.signal(name, note)
    except ValueError:  # not the main thread: signals are somebody else's
        before.clear()
    try:
        yield stop
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
