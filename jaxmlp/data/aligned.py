"""Make arrays that JAX on a CPU uses without a copy, and fill large arrays with several threads.

JAX copies an array unless its memory begins at a multiple of 64 bytes.
"""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import DTypeLike

ALIGNMENT = 64  # bytes
BLOCK_BYTES = 2**21  # of the result that a thread computes at a time
MAX_THREADS = 8  # more would wait for the memory; with fewer cores they take turns


def empty_aligned(shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """Return a new array like `np.empty`, whose content is arbitrary, at a multiple of 64 bytes.

    >>> empty_aligned((3, 5), np.float32).ctypes.data % 64
    0
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.empty(size + ALIGNMENT, np.uint8)
    offset = -memory.ctypes.data % ALIGNMENT
    return memory[offset : offset + size].view(dtype).reshape(shape)


def by_blocks(compute: Callable[[np.ndarray, np.ndarray], object], rows: np.ndarray, result: np.ndarray) -> np.ndarray:
    """Call `compute(rows, result)` for blocks of both, which have equally many rows, and return the result.

    A large result is computed by several threads. A block stays in the cache between two passes over it. The threads
    wait for new memory at the same time, and on a virtual machine this takes longer than to write into it.

    >>> by_blocks(lambda rows, result: np.copyto(result, rows), np.eye(2), np.empty((2, 2))).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    n_blocks = min(len(result), result.nbytes // BLOCK_BYTES)
    if n_blocks < 2:
        compute(rows, result)
        return result
    blocks = zip(np.array_split(rows, n_blocks), np.array_split(result, n_blocks), strict=True)
    try:
        with ThreadPoolExecutor(min(MAX_THREADS, n_blocks)) as pool:
            futures = [pool.submit(compute, *block) for block in blocks]
    except RuntimeError:  # no thread can start: Python is shutting down, or the system has too many of them
        compute(rows, result)
        return result
    for future in futures:
        future.result()  # raises what a thread has raised
    return result
