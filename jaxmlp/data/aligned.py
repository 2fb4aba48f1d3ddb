"""Arrays that JAX uses in place: on a CPU it copies every array that does not begin at a multiple of 64 bytes."""

import math

import numpy as np
from numpy.typing import DTypeLike

ALIGNMENT = 64  # bytes


def empty_aligned(shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """Return a new array like `np.empty`, whose content is arbitrary, at a multiple of 64 bytes.

    >>> empty_aligned((3, 5), np.float32).ctypes.data % 64
    0
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.empty(size + ALIGNMENT, np.uint8)
    offset = -memory.ctypes.data % ALIGNMENT
    return memory[offset : offset + size].view(dtype).reshape(shape)
