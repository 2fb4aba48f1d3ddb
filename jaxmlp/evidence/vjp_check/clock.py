"""The time of a check: the seconds of one process on an idle machine, also on a machine that others load."""

import time


class Clock:
    """The time since its creation, and a limit.

    >>> clock = Clock(limit=60.0)
    >>> clock.is_over, Clock(limit=0.0).is_over, Clock(limit=None).is_over
    (False, True, False)
    """

    def __init__(self, limit: float | None) -> None:
        """Start the clock; `limit` in seconds, None for none."""
        self.limit = limit
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    @property
    def seconds(self) -> float:
        """The smaller of the wall's and the processor's time: waiting for other processes does not count."""
        # the processor's time adds up all threads of XLA: on idle cores the wall's is the smaller one
        return min(time.perf_counter() - self._wall, time.process_time() - self._cpu)

    @property
    def is_over(self) -> bool:
        """Whether the limit is reached."""
        return self.limit is not None and self.seconds >= self.limit
