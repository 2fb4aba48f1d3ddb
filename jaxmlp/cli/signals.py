"""Handle signals: Ctrl-C and SIGTERM end a training after the current epoch, or the current segment of a long epoch.

A second signal ends the process at once, as it would without this module.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from jaxmlp.parallel.distributed import all_reduce_max
from jaxmlp.training.callbacks import Callback, Progress


class Stop(Callback):
    """A callback that ends the training after a signal.

    Attributes:
      received: the signal that this process has received, or None; the handler may set it at any moment.
      signal: the signal that ends the training, the same in all processes of a run; None before that.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self.signal: signal.Signals | None = None

    def on_epoch_end(self, progress: Progress | None = None) -> bool:
        """Return whether any process of the run has received a signal."""
        # all processes must stop at the same step: if one stopped earlier, the others would wait for it in a reduction
        number = all_reduce_max(self.received or 0)
        # `received` is not reset: a signal that comes during the reduction takes effect at the next one
        self.signal = signal.Signals(number) if number else None
        return self.signal is not None

    on_segment_end = on_epoch_end

    @property
    def exit_code(self) -> int:
        """The exit status: 128 plus the number of the signal, as shells have it; 0 without a signal."""
        return 0 if self.signal is None else 128 + self.signal


@contextmanager
def stop_on_signal() -> Iterator[Stop]:
    """Yield a callback that ends the training after the first SIGINT or SIGTERM; the second has its usual effect."""
    stop = Stop()
    previous_handlers = {}

    def handle(number: int, frame: FrameType | None) -> None:
        stop.received = signal.Signals(number)
        restore()

    def restore() -> None:
        for name, handler in previous_handlers.items():
            signal.signal(name, handler)

    try:
        for name in (signal.SIGINT, signal.SIGTERM):
            # None: the handler was set in C, and Python could not set it again
            if signal.getsignal(name) is not None:
                previous_handlers[name] = signal.signal(name, handle)
    except ValueError:  # Python allows handlers in the main thread only
        previous_handlers.clear()
    try:
        yield stop
    finally:
        restore()
