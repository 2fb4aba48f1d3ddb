"""Several processes, one run: on each host one, all computing the same epochs, and how they come to one mind.

What follows from the reports is the same in all of them. What does not (a signal that one of them got, a clock) is
agreed on after every epoch; with one process nothing is asked and nothing is waited for.
"""

import jax
import numpy as np

_LONGEST = 4096  # bytes of a text


def agreed(number: int) -> int:
    """The largest of the numbers that the processes give; each must ask.

    >>> agreed(3)
    3
    """
    if jax.process_count() == 1:
        return number
    from jax.experimental import multihost_utils

    return int(np.max(multihost_utils.process_allgather(np.int32(number))))


def of_the_first(text: str) -> str:
    """The text that process 0 gives.

    >>> of_the_first("runs/digits")
    'runs/digits'
    """
    if jax.process_count() == 1:
        return text
    from jax.experimental import multihost_utils

    data = text.encode()
    padded = np.zeros(_LONGEST, np.uint8)
    padded[: len(data)] = np.frombuffer(data, np.uint8)
    told = np.asarray(multihost_utils.broadcast_one_to_all(padded), np.uint8)
    return told.tobytes().rstrip(b"\0").decode()
