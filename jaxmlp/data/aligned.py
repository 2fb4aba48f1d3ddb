"""Arrays that JAX takes over as they lie: on a CPU it copies what does not begin at a multiple of 64 bytes."""

import math

import numpy as np
from numpy.typing import DTypeLike

ALIGNMENT = 64  # bytes


def aligned(shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """A new array, with whatever the memory holds.

    >>> aligned((3, 5), np.float32).ctypes.data % 64
    0
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.empty(size + ALIGNMENT, np.uint8)
    offset = -memory.ctypes.data % ALIGNMENT
    return memory[offset : offset + size].view(dtype).reshape(shape)
