"""Dropout: a training step sets a random part of each layer's inputs to zero.

    forward     A ← M ⊙ A,    M = 1/keep with probability keep = 1 - rate, else 0
    backward    dA ← M ⊙ dA   with the same mask

A mask is drawn before the forward pass and is an input of it, so that the equations, autodiff and central differences
all see the same one. The scale 1/keep leaves the expected value of A as it is ("inverted dropout"), and evaluation
needs no scale.

Sources: Srivastava et al. 2014; Ng's course, dropout.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike, DTypeLike

from jaxmlp.nn.rule import Rule

Masks = tuple[Array | None, ...]  # M_0 … M_{L-1}: M_l, (n_l, m), is for the inputs of layer l + 1


def draw_mask(key: Array, rate: ArrayLike, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """Draw a mask: 1/keep with probability keep = 1 - rate, else 0.

    Sixteen random bits decide on each entry, half the work of the 32 bits of a float. Therefore keep is rounded up to
    a multiple of 2⁻¹⁶; the scale is that of the rounded keep, so that the mean of a mask is exactly 1.

    >>> sorted(set(draw_mask(jax.random.key(0), 0.5, (3, 4), jnp.float32).ravel().tolist()))
    [0.0, 2.0]
    """
    threshold = jnp.ceil((1 - jnp.asarray(rate, jnp.float32)) * 65536)
    # compared in 32 bits: at rate 0 the threshold is 65536, which 16 bits do not hold
    retained = jax.random.bits(key, shape, jnp.uint16).astype(jnp.uint32) < threshold.astype(jnp.uint32)
    return jnp.where(retained, (65536 / threshold).astype(dtype), jnp.zeros((), dtype))


def _drop_forward(A: Array, mask: Array) -> tuple[Array, tuple[Array, Array]]:
    return mask * A, (A, mask)


def _drop_backward(cache: tuple[Array, Array], dA: Array) -> tuple[Array, Array]:
    A, mask = cache
    return mask * dA, A * dA  # training does not use the second one, the derivative by the mask


drop = Rule(_drop_forward, _drop_backward)
