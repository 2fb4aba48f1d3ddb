"""One layer of training: dropout on its inputs, then the dense block, plain or normalised.

    forward     A_prev ← M ⊙ A_prev,   A = g(W A_prev + b)   or   g(γ Û + b)
    backward    dA -> dW, db (dγ),     dA_prev ← M ⊙ dA_prev

Where the activation is parametric the block ends in Z, and the activation follows as a step of its own.

`layer_forward` and `layer_backward` are the textbook's two passes, for plain loops. `apply_layer` is the same layer as
one function for `jax.grad`, by the textbook's derivative rules or by autodiff.
"""

from typing import Any, NamedTuple

from jax import Array

from jaxmlp.nn import dense as plain
from jaxmlp.nn import normalization as normal
from jaxmlp.nn import parametric
from jaxmlp.nn.activations import Activation, identity
from jaxmlp.nn.dense import LayerParams
from jaxmlp.nn.dropout import drop
from jaxmlp.nn.rule import Derivatives


class LayerCache(NamedTuple):
    """What the backward pass of a layer needs: the cache of the block, the dropout mask, and that of the activation."""

    block: Any
    mask: Array | None
    activation: parametric.Cache | None = None


def split_layer(layer: LayerParams) -> tuple[LayerParams, Array | None]:
    """Return the parameters of the block, and s of a parametric activation or None.

    >>> import jax.numpy as jnp
    >>> block, s = split_layer({"W": jnp.ones((1, 1)), "b": jnp.zeros((1, 1)), "s": jnp.ones((1, 1))})
    >>> list(block), s.tolist()
    (['W', 'b'], [[1.0]])
    """
    return {name: leaf for name, leaf in layer.items() if name != "s"}, layer.get("s")


def apply_layer(
    derivatives: Derivatives,
    norm: str | None,
    activation: Activation,
    layer: LayerParams,
    A_prev: Array,
    mask: Array | None = None,
    example_weight: Array | None = None,
) -> tuple[Array, normal.Moments | None]:
    """Return A, and the moments of batch normalisation where there is one."""
    layer, s = split_layer(layer)
    if s is not None:
        Z, moments = apply_layer(derivatives, norm, identity, layer, A_prev, mask, example_weight)
        return derivatives(parametric.parametric_activation)(activation, s, Z), moments
    if mask is not None:
        A_prev = derivatives(drop)(A_prev, mask)
    if norm is None:
        return derivatives(plain.dense)(activation, layer, A_prev), None
    A, moments = derivatives(normal.normalized_dense)(norm, activation, layer, A_prev, example_weight)
    # layer normalisation has the moments of each example, of which evaluation needs no average
    return A, moments if norm == "batch" else None


def layer_forward(
    norm: str | None,
    activation: Activation,
    layer: LayerParams,
    A_prev: Array,
    mask: Array | None = None,
    example_weight: Array | None = None,
) -> tuple[Array, LayerCache]:
    """Return A, and the cache that `layer_backward` needs."""
    layer, s = split_layer(layer)
    if s is not None:
        Z, cache = layer_forward(norm, identity, layer, A_prev, mask, example_weight)
        A, activation_cache = parametric.parametric_activation.forward(activation, s, Z)
        return A, cache._replace(activation=activation_cache)
    if mask is not None:
        A_prev = drop.reference(A_prev, mask)
    if norm is None:
        A, cache = plain.dense_forward(activation, layer, A_prev)
    else:
        (A, _), cache = normal.normalized_forward(norm, activation, layer, A_prev, example_weight)
    return A, LayerCache(cache, mask)


def layer_backward(norm: str | None, activation: Activation, cache: LayerCache, dA: Array) -> tuple[LayerParams, Array]:
    """Take dA to the gradient of the layer's parameters and dA_prev."""
    block, mask, activation_cache = cache
    if activation_cache is not None:
        ds, dZ = parametric.parametric_activation.backward(activation, activation_cache, dA)
        dlayer, dA_prev = layer_backward(norm, identity, LayerCache(block, mask), dZ)
        return {**dlayer, "s": ds}, dA_prev
    if norm is None:
        dlayer, dA_prev = plain.dense_backward(activation, block, dA)
    else:
        dlayer, dA_prev = normal.normalized_backward(norm, activation, block, dA)
    return dlayer, dA_prev if mask is None else drop.reference(dA_prev, mask)  # linear: backward is forward
