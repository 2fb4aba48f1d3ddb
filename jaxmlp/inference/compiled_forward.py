"""The forward pass of a model as a compiled program, for any number of rows."""

from collections.abc import Callable, Iterable
from functools import lru_cache

import numpy as np
from jax import Array

from jaxmlp.data.aligned import empty_aligned
from jaxmlp.nn.network import Network, Params
from jaxmlp.nn.program_store import MAX_FUNCTIONS, Programs


def run_compiled(
    function: Callable[..., Array], params: Params, blocks: Iterable[np.ndarray], net: Network
) -> np.ndarray:
    """Return `forward` or `logits` as rows (m, n_L), for the network input in blocks of rows (m_i, n_0)."""
    outputs: list[np.ndarray] = []
    running: tuple[Array, int] | None = None
    for X in blocks:
        # the device computes a block while the host reads the outputs of the one before and prepares the next
        started = _start(function, params, X, net)
        if running is not None:
            outputs.append(_read(*running))
        running = started
    if running is not None:
        outputs.append(_read(*running))
    return np.concatenate(outputs)


def _start(function: Callable[..., Array], params: Params, X: np.ndarray, net: Network) -> tuple[Array, int]:
    """Return the outputs of a block as an array that is still computed, and the number of its rows that count."""
    # each number of rows is a program to compile: filled up to a power of two, all share a handful of them
    m = len(X)
    size = 1 << (m - 1).bit_length()  # m = 5: 1 << 3 rows; m = 8: 1 << 3
    if size > m:
        padded = empty_aligned((size, X.shape[1]), X.dtype)
        padded[:m], padded[m:] = X, 0  # the outputs of the zeros are cut off
        X = padded
    return _program(function, net)(params, X), m


def _read(outputs: Array, m: int) -> np.ndarray:
    return without_bfloat16(np.asarray(outputs)[:m])


@lru_cache(maxsize=MAX_FUNCTIONS)
def _program(function: Callable[..., Array], net: Network) -> Programs:
    # transposed in the program, which multiplies by rows as well as by columns: X.T of NumPy would have to be copied
    return Programs(lambda params, X: function(params, X.T, net).T)


def without_bfloat16(A: np.ndarray) -> np.ndarray:
    """Return the array as it is, or in float32 where it is bfloat16, which NumPy's own functions do not know."""
    return A if A.dtype.kind == "f" else A.astype(np.float32)
