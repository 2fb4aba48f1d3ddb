"""A line on stderr while a check takes long: which check runs, and for how long all have run."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SECONDS_BEFORE_THE_BAR = 2.0
_WIDTH = 20


@contextmanager
def progress_of_check(title: str) -> Iterator[Callable[[str, float], None]]:
    """Yield show(check, fraction): in a terminal a bar, once two seconds have passed; elsewhere nothing is printed."""
    start, is_shown = time.perf_counter(), False

    def show(check: str, fraction: float) -> None:
        nonlocal is_shown
        seconds = time.perf_counter() - start
        if seconds < SECONDS_BEFORE_THE_BAR or not sys.stderr.isatty():
            return
        is_shown = True
        bar = "━" * round(_WIDTH * fraction) + " " * (_WIDTH - round(_WIDTH * fraction))
        # cut, because \r returns to the start of one line only: a line that wraps would stay
        print(f"\r\x1b[K{title} {bar} {seconds:.0f} s  {check}"[:120], end="", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        if is_shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
