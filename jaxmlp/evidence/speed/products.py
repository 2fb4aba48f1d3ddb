"""The limit of a training step: its matrix products and nothing else.

    forward     A_l = W_l A_{l-1}
    backward    dW_l = D_l A_{l-1}ᵀ,   D_{l-1} = W_lᵀ D_l for l > 1,   D_L = A_L

No activation, no bias, no cost, no optimizer, no gathering of rows. Examples are columns or rows, because a library may
be faster with one or the other. The functions take arrays of NumPy, of JAX, or tensors of another library.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import DTypeLike

Matrix = Any  # an array of NumPy or of JAX, or a tensor of another library
Products = Callable[[Sequence[Matrix], Matrix], list[Matrix]]


def by_columns(weights: Sequence[Matrix], A: Matrix) -> list[Matrix]:
    """Return dW_L … dW_1 by the products on A (n0, m) with W (n, n_prev).

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


def by_rows(weights: Sequence[Matrix], A: Matrix) -> list[Matrix]:
    """Return the same products on A (m, n0) with W (n_prev, n)."""
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
    """Return the number of multiplications and additions in these products.

    >>> flops((2, 3), 10)    # forward and dW: 2 · 2 · 2·3·10
    240.0
    """
    # a product (n, n_prev) · (n_prev, m): n m sums of n_prev products, a multiplication and an addition each
    each = [2.0 * before * after * m for before, after in pairwise(sizes)]
    return 3 * sum(each) - each[0]  # forward, dW and D, but no D_0


def random_weights(sizes: Sequence[int], columns: bool, dtype: DTypeLike = np.float32) -> list[np.ndarray]:
    """Return random W with which A and D neither grow nor vanish from layer to layer."""
    rng = np.random.default_rng(0)
    pairs = pairwise(sizes)
    weights = (rng.standard_normal((n, before), np.float32) / np.sqrt(max(n, before)) for before, n in pairs)
    return [np.ascontiguousarray(W if columns else W.T).astype(dtype) for W in weights]


def scan_products(products: Products, weights: Sequence[Matrix], batches: Matrix) -> Callable[[], list[jax.Array]]:
    """Return the products of batches (steps, …) as one program of XLA, so that no step includes a dispatch."""

    @jax.jit
    def scan(weights: list[jax.Array], batches: jax.Array) -> list[jax.Array]:
        shapes = jax.eval_shape(products, weights, batches[0])
        zeros = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes)
        # the products are the carry, because XLA would leave out those that nothing uses
        return jax.lax.scan(lambda _, A: (products(weights, A), None), zeros, batches)[0]

    arguments = jax.device_put((list(weights), batches))
    return lambda: scan(*arguments)
