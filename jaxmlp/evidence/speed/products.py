"""The limit of a training step: its matrix products and nothing else.

    forward     A_l = W_l A_{l-1}
    backward    dW_l = D_l A_{l-1}ᵀ,   D_{l-1} = W_lᵀ D_l for l > 1,   D_L = A_L

No activation, no bias, no cost, no optimizer, no gathering of rows. Examples as columns and as rows, because a library
may be faster at one or the other. The functions take arrays of NumPy, of JAX, or tensors of another library.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Products = Callable[[Sequence[Any], Any], list[Any]]


def by_columns(weights: Sequence[Any], A: Any) -> list[Any]:
    """dW_L … dW_1 by the products on A (n0, m) with W (n, n_prev).

    >>> by_columns([np.array([[2.0]]), np.array([[3.0]])], np.array([[1.0]]))    # 6 = D_2, times 2; 3 · 6, times 1
    [array([[12.]]), array([[18.]])]
    """
    As = [A]
    for W in weights:
        As.append(W @ As[-1])
    D, products = As[-1], []
    for l in reversed(range(len(weights))):
        products.append(D @ As[l].T)
        if l:
            D = weights[l].T @ D
    return products


def by_rows(weights: Sequence[Any], A: Any) -> list[Any]:
    """The same on A (m, n0) with W (n_prev, n)."""
    As = [A]
    for W in weights:
        As.append(As[-1] @ W)
    D, products = As[-1], []
    for l in reversed(range(len(weights))):
        products.append(As[l].T @ D)
        if l:
            D = D @ weights[l].T
    return products


def flops(sizes: Sequence[int], m: int) -> float:
    """Multiplications and additions of these products.

    >>> flops((2, 3), 10)    # forward and dW: 2 · 2 · 2·3·10
    240.0
    """
    each = [2.0 * before * after * m for before, after in pairwise(sizes)]
    return 3 * sum(each) - each[0]


def matrices(sizes: Sequence[int], columns: bool, dtype: Any = np.float32) -> list[np.ndarray]:
    """Random W, such that A and D neither grow nor fade from layer to layer."""
    rng = np.random.default_rng(0)
    pairs = pairwise(sizes)
    drawn = (rng.standard_normal((n, before), np.float32) / np.sqrt(max(n, before)) for before, n in pairs)
    return [np.ascontiguousarray(W if columns else W.T).astype(dtype) for W in drawn]


def scanned(products: Products, weights: Sequence[Any], batches: Any) -> Callable[[], Any]:
    """The products of so many batches, (steps, …), as one program of XLA: no step is charged a dispatch."""

    @jax.jit
    def scan(weights: Any, batches: Any) -> Any:
        shapes = jax.eval_shape(products, weights, batches[0])
        kept = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes)
        return jax.lax.scan(lambda _, A: (products(weights, A), None), kept, batches)[0]

    given = jax.device_put((list(weights), batches))
    return lambda: scan(*given)
