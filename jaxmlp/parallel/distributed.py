"""Several processes, one run: one process on each host, all computing the same epochs.

What follows from the reports is the same in all of them. What does not (a signal that one of them received, a clock)
is exchanged after every epoch. A single process exchanges nothing.
"""

import jax
import numpy as np

# the longest path that Linux takes: what is sent is the name of a run folder, or a digest
_MAX_TEXT_BYTES = 4096


def all_reduce_max(number: int) -> int:
    """Return the largest of the processes' numbers; every process must call it.

    >>> all_reduce_max(3)
    3
    """
    if jax.process_count() == 1:
        return number
    from jax.experimental import multihost_utils

    return int(np.max(multihost_utils.process_allgather(np.int32(number))))


def broadcast_from_first(text: str) -> str:
    """Return the text of process 0; every process must call it.

    >>> broadcast_from_first("runs/digits")
    'runs/digits'
    """
    if jax.process_count() == 1:
        return text
    from jax.experimental import multihost_utils

    data = text.encode()
    # a collective needs equal shapes in all processes, and only the first one knows the length
    padded = np.zeros(_MAX_TEXT_BYTES, np.uint8)
    padded[: len(data)] = np.frombuffer(data, np.uint8)
    received = np.asarray(multihost_utils.broadcast_one_to_all(padded), np.uint8)
    return received.tobytes().rstrip(b"\0").decode()  # neither a path nor a digest has a zero byte
