"""Normalisation of Z before its activation, with its backward pass.

    U = W A_prev                                   a bias here would be subtracted again
    Û = (U - μ) / s,   s = √(σ² + ε)               "batch": μ, σ² of each unit over the examples, weighted p_i = w_i/Σw
                                                   "layer": μ, σ² of each example over the units, p = 1/n
    Z = γ Û + b,       A = g(Z)                    b takes the place that the papers call β

    BP2   dZ = pullback of g at dA,   dÛ = γ dZ
          dU_i = (dÛ_i - p_i Σ_j dÛ_j - p_i Û_i Σ_j dÛ_j Û_j) / s        sums over what μ is a mean of
          dA_prev = Wᵀ dU
    BP3   db = Σ over columns of dZ,   dγ = Σ over columns of dZ Û
    BP4   dW = dU A_prevᵀ

In evaluation a batch has no statistics of its own: μ and σ² are those that training has averaged, and then the block is
affine. `fold` writes it as W' = γ/s W, b' = b - γ/s μ: what is left is a plain network, the same function to rounding.

Sources: Ioffe and Szegedy 2015; Ba, Kiros and Hinton 2016; Ng's course, batch norm.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxmlp.nn.activations import Activation
from jaxmlp.nn.dense import LayerParams

KINDS = ("batch", "layer")
EPSILON = 1e-5


class Moments(NamedTuple):
    """μ and σ² of each unit over a batch, (n, 1)."""

    mean: Array
    variance: Array


class NormalizedCache(NamedTuple):
    """What the backward pass needs."""

    layer: LayerParams
    A_prev: Array
    U_hat: Array
    scale: Array  # 1/s
    Z: Array
    A: Array
    share: Array | None


# One unit on two examples by hand, "batch", W = 1, γ = 2, b = 0, g = identity, ε = 0:
#   A_prev = (1, 3):    μ = 2, σ² = 1,  Û = (-1, 1),  Z = (-2, 2)
#   dA = (1, 0):        dÛ = (2, 0);  Σ dÛ = 2, Σ dÛ Û = -2
#                       dU_1 = 2 - 1/2·2 - 1/2·(-1)(-2) = 0: moving one of two examples moves no Û


def wide(dtype: Any) -> Any:
    """The dtype, or float32 for a smaller one: to count in, and for numbers that float16 does not hold."""
    return dtype if jnp.finfo(dtype).bits >= 32 else jnp.float32


def _mean_over(kind: str, M: Array, share: Array | None) -> Array:
    if kind == "layer":
        return M.mean(axis=0, keepdims=True)
    return M.mean(axis=1, keepdims=True) if share is None else (share.astype(M.dtype) * M).sum(axis=1, keepdims=True)


def normalized_forward(
    kind: str, activation: Activation, layer: LayerParams, A_prev: Array, share: Array | None
) -> tuple[tuple[Array, Moments], NormalizedCache]:
    """(W, b, γ), A_prev (n_prev, m), the share p of each example (1, m) or None for 1/m -> (A, moments), cache."""
    narrow = layer["W"] @ A_prev
    U = narrow.astype(wide(narrow.dtype))  # a mean over many examples needs more bits than bfloat16 has
    mean = _mean_over(kind, U, share)
    centred = U - mean
    variance = _mean_over(kind, jnp.square(centred), share)
    scale = jax.lax.rsqrt(variance + jnp.asarray(EPSILON, U.dtype))
    U_hat = (centred * scale).astype(narrow.dtype)
    Z = layer["gamma"] * U_hat + layer["b"]
    A = activation.apply(Z)
    cache = NormalizedCache(layer, A_prev, U_hat, scale.astype(narrow.dtype), Z, A, share)
    return (A, Moments(mean, variance)), cache


def normalized_backward(
    kind: str, activation: Activation, cache: NormalizedCache, dA: Array
) -> tuple[LayerParams, Array]:
    """dA (n, m) -> {"W": dW, "b": db, "gamma": dγ}, dA_prev (n_prev, m)."""
    layer, A_prev, U_hat, scale, Z, A, share = cache
    dZ = activation.pullback(Z, A, dA)  # BP2
    db = dZ.sum(axis=1, keepdims=True)  # BP3
    dgamma = (dZ * U_hat).sum(axis=1, keepdims=True)
    dU_hat = layer["gamma"] * dZ
    axis = 0 if kind == "layer" else 1
    p = 1 / U_hat.shape[axis] if share is None or kind == "layer" else share
    moved = dU_hat.sum(axis=axis, keepdims=True)  # by way of μ
    scaled = (dU_hat * U_hat).sum(axis=axis, keepdims=True)  # by way of s
    dU = (dU_hat - p * (moved + U_hat * scaled)) * scale
    return {"W": dU @ A_prev.T, "b": db, "gamma": dgamma}, layer["W"].T @ dU  # BP4, BP2


def normalized_undecorated(
    kind: str, activation: Activation, layer: LayerParams, A_prev: Array, share: Array | None
) -> tuple[Array, Moments]:
    """A and the moments without a rule of their own: autodiff's witness."""
    return normalized_forward(kind, activation, layer, A_prev, share)[0]


def _backward(kind: str, activation: Activation, cache: NormalizedCache, cotangents: Any) -> tuple[Any, Any, Any]:
    dA, dmoments = cotangents

    # moments are kept, not trained on, and the textbook holds weights fixed; should anybody differentiate through
    # either, autodiff answers
    def rest(layer: LayerParams, A_prev: Array, share: Array | None) -> tuple[Array, Moments]:
        return normalized_undecorated(kind, activation, layer, A_prev, share)

    dlayer, dA_prev = normalized_backward(kind, activation, cache, dA)
    dshare = jax.vjp(rest, cache.layer, cache.A_prev, cache.share)[1]((dA, dmoments))[2]
    return dlayer, dA_prev, dshare


# the same block, differentiated by `normalized_backward`
normalized_dense = jax.custom_vjp(normalized_undecorated, nondiff_argnums=(0, 1))
normalized_dense.defvjp(normalized_forward, _backward)


def fold_layer(layer: LayerParams, moments: Moments) -> LayerParams:
    """{"W", "b"} of the dense block that equals a batch-normalised one at these moments.

    >>> layer = {"W": jnp.array([[2.0]]), "b": jnp.array([[1.0]]), "gamma": jnp.array([[3.0]])}
    >>> moments = Moments(jnp.array([[4.0]]), jnp.array([[9.0 - EPSILON]]))
    >>> plain = fold_layer(layer, moments)
    >>> plain["W"].round(5).tolist(), plain["b"].round(5).tolist()    # 3/3 · 2, 1 - 3/3 · 4
    ([[2.0]], [[-3.0]])
    """
    scale = layer["gamma"] * jax.lax.rsqrt(moments.variance + jnp.asarray(EPSILON, moments.variance.dtype))
    return {"W": scale * layer["W"], "b": layer["b"] - scale * moments.mean}
