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

In evaluation μ and σ² are not those of the batch, but the averages that training has collected. With fixed moments the
block is affine, and `fold_layer` writes it as W' = γ/s W, b' = b - γ/s μ: a plain block, the same function to rounding.

Sources: Ioffe and Szegedy 2015; Ba, Kiros and Hinton 2016; Ng's course, batch norm.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from jaxmlp.nn.activations import Activation
from jaxmlp.nn.dense import LayerParams
from jaxmlp.nn.rule import Rule

NORMS = ("batch", "layer")
# as in PyTorch, so that its parameters mean the same here
EPSILON = 1e-5


class Moments(NamedTuple):
    """The mean μ and the variance σ² of each unit over a batch, (n, 1)."""

    mean: Array
    variance: Array


class NormalizedCache(NamedTuple):
    """What the backward pass needs from the forward pass."""

    layer: LayerParams
    A_prev: Array
    U_hat: Array
    scale: Array  # 1/s
    Z: Array
    A: Array
    example_weight: Array | None


# One unit on two examples by hand, "batch", W = 1, γ = 2, b = 0, g = identity, ε = 0:
#   A_prev = (1, 3):    μ = 2, σ² = 1,  Û = (-1, 1),  Z = (-2, 2)
#   dA = (1, 0):        dÛ = (2, 0);  Σ dÛ = 2, Σ dÛ Û = -2
#                       dU_1 = 2 - 1/2·2 - 1/2·(-1)(-2) = 0: moving one of two examples moves no Û


def wide(dtype: DTypeLike) -> DTypeLike:
    """Return the dtype, or float32 for a narrower one: for sums, and for numbers that float16 cannot hold."""
    return dtype if jnp.finfo(dtype).bits >= 32 else jnp.float32


def _mean_over(norm: str, M: Array, example_weight: Array | None) -> Array:
    if norm == "layer":
        return M.mean(axis=0, keepdims=True)
    if example_weight is None:
        return M.mean(axis=1, keepdims=True)
    return (example_weight.astype(M.dtype) * M).sum(axis=1, keepdims=True)


def normalized_forward(
    norm: str, activation: Activation, layer: LayerParams, A_prev: Array, example_weight: Array | None
) -> tuple[tuple[Array, Moments], NormalizedCache]:
    """(W, b, γ), A_prev (n_prev, m), the weight p of each example (1, m) or None for 1/m -> (A, moments), cache."""
    narrow = layer["W"] @ A_prev
    U = narrow.astype(wide(narrow.dtype))  # a mean over many examples needs more bits than bfloat16 has
    mean = _mean_over(norm, U, example_weight)  # (n, 1), or (1, m) for "layer"
    centred = U - mean
    # Σ(U - μ)² and not ΣU² - mμ², which cancels where the mean is far above the deviation
    variance = _mean_over(norm, jnp.square(centred), example_weight)
    scale = jax.lax.rsqrt(variance + jnp.asarray(EPSILON, U.dtype))
    U_hat = (centred * scale).astype(narrow.dtype)
    Z = layer["gamma"] * U_hat + layer["b"]  # (n, m), γ and b one number for each unit
    A = activation.apply(Z)
    cache = NormalizedCache(layer, A_prev, U_hat, scale.astype(narrow.dtype), Z, A, example_weight)
    return (A, Moments(mean, variance)), cache


def normalized_backward(
    norm: str, activation: Activation, cache: NormalizedCache, dA: Array
) -> tuple[LayerParams, Array]:
    """dA (n, m) -> {"W": dW, "b": db, "gamma": dγ}, dA_prev (n_prev, m)."""
    layer, A_prev, U_hat, scale, Z, A, example_weight = cache
    dZ = activation.pullback(Z, A, dA)  # BP2
    db = dZ.sum(axis=1, keepdims=True)  # BP3
    dgamma = (dZ * U_hat).sum(axis=1, keepdims=True)
    dU_hat = layer["gamma"] * dZ  # (n, m)
    axis = 0 if norm == "layer" else 1
    p = 1 / U_hat.shape[axis] if example_weight is None or norm == "layer" else example_weight
    by_mean = dU_hat.sum(axis=axis, keepdims=True)  # what U changes through μ
    by_scale = (dU_hat * U_hat).sum(axis=axis, keepdims=True)  # and through s
    dU = (dU_hat - p * (by_mean + U_hat * by_scale)) * scale  # (n, m)
    return {"W": dU @ A_prev.T, "b": db, "gamma": dgamma}, layer["W"].T @ dU  # BP4, BP2


def _normalized_rule(
    norm: str, activation: Activation, cache: NormalizedCache, cotangents: tuple[Array, Moments]
) -> tuple[LayerParams, Array, Array | None]:
    def outputs(layer: LayerParams, A_prev: Array, example_weight: Array | None) -> tuple[Array, Moments]:
        return normalized_forward(norm, activation, layer, A_prev, example_weight)[0]

    dlayer, dA_prev = normalized_backward(norm, activation, cache, cotangents[0])
    # Training differentiates neither by the weights of the examples nor through the moments, and the textbook has no
    # equation for them: for a caller who does, autodiff answers. Unused, it is removed by the compiler.
    pullback = jax.vjp(outputs, cache.layer, cache.A_prev, cache.example_weight)[1]
    return dlayer, dA_prev, pullback(cotangents)[2]


# the block as one function: differentiated by `normalized_backward`, and by JAX as a witness
normalized_dense = Rule(normalized_forward, _normalized_rule, n_static=2)


def fold_layer(layer: LayerParams, moments: Moments) -> LayerParams:
    """Return the layer without γ that equals a batch-normalised one at these moments.

    >>> layer = {"W": jnp.array([[2.0]]), "b": jnp.array([[1.0]]), "gamma": jnp.array([[3.0]])}
    >>> moments = Moments(jnp.array([[4.0]]), jnp.array([[9.0 - EPSILON]]))
    >>> plain = fold_layer(layer, moments)
    >>> plain["W"].round(5).tolist(), plain["b"].round(5).tolist()    # 3/3 · 2, 1 - 3/3 · 4
    ([[2.0]], [[-3.0]])
    """
    scale = layer["gamma"] * jax.lax.rsqrt(moments.variance + jnp.asarray(EPSILON, moments.variance.dtype))
    others = {name: leaf for name, leaf in layer.items() if name != "gamma"}
    return {**others, "W": scale * layer["W"], "b": layer["b"] - scale * moments.mean}
