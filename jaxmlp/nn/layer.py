"""One layer of training: dropout on its inputs, then the dense block, plain or normalised.

    forward     A_prev ← M ⊙ A_prev,   A = g(W A_prev + b)   or   g(γ Û + b)
    backward    dA -> dW, db (dγ),     dA_prev ← M ⊙ dA_prev

`layer_forward` and `layer_backward` are the textbook's two passes, for plain loops. `apply_layer` is the same layer as
one function for `jax.grad`, by the textbook's derivative rules or by autodiff.
"""

from typing import Any

from jax import Array

from jaxmlp.nn import dense as plain
from jaxmlp.nn import normalization as normal
from jaxmlp.nn.activations import Activation
from jaxmlp.nn.dense import LayerParams
from jaxmlp.nn.dropout import drop
from jaxmlp.nn.rule import Derivatives


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
) -> tuple[Array, tuple[Any, Array | None]]:
    """Return A, and the cache that `layer_backward` needs."""
    if mask is not None:
        A_prev = drop.reference(A_prev, mask)
    if norm is None:
        A, cache = plain.dense_forward(activation, layer, A_prev)
    else:
        (A, _), cache = normal.normalized_forward(norm, activation, layer, A_prev, example_weight)
    return A, (cache, mask)


def layer_backward(
    norm: str | None, activation: Activation, cache: tuple[Any, Array | None], dA: Array
) -> tuple[LayerParams, Array]:
    """Take dA to the gradient of the layer's parameters and dA_prev."""
    block, mask = cache
    if norm is None:
        dlayer, dA_prev = plain.dense_backward(activation, block, dA)
    else:
        dlayer, dA_prev = normal.normalized_backward(norm, activation, block, dA)
    return dlayer, dA_prev if mask is None else drop.reference(dA_prev, mask)  # linear: backward is forward
