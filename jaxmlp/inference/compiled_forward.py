"""The forward pass of a model as a compiled program, for any number of rows."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from jax import Array

from jaxmlp.nn.network import Network, Params
from jaxmlp.nn.program_store import MAX_FUNCTIONS, Programs


def run_compiled(function: Callable[..., Array], params: Params, X: np.ndarray, net: Network) -> np.ndarray:
    """Return `forward` or `logits` as rows (m, n_L), for network input (m, n_0)."""
    # each number of rows is a program to compile: filled up to a power of two, all share a handful of them
    m = len(X)
    padded = np.zeros((1 << (m - 1).bit_length(), X.shape[1]), X.dtype)  # m = 5: 1 << 3 rows; m = 8: 1 << 3
    padded[:m] = X  # the remaining rows are zeros, and their outputs are cut off
    return without_bfloat16(np.asarray(_program(function, net)(params, padded.T)).T[:m])


@lru_cache(maxsize=MAX_FUNCTIONS)
def _program(function: Callable[..., Array], net: Network) -> Programs:
    return Programs(lambda params, X: function(params, X, net))


def without_bfloat16(A: np.ndarray) -> np.ndarray:
    """Return the array as it is, or in float32 where it is bfloat16, which NumPy's own functions do not know."""
    return A if A.dtype.kind == "f" else A.astype(np.float32)
