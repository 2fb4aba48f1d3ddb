"""One layer as training meets it: dropout on what comes in, then the dense block, plain or normalised.

    forward     A_prev ← M ⊙ A_prev,   A = g(W A_prev + b)   or   g(γ Û + b)
    backward    dA -> dW, db (dγ),     dA_prev ← M ⊙ dA_prev

`layer_forward` and `layer_backward` are the textbook's two passes, for plain loops; `through_layer` is the same layer
for autodiff, made of whichever derivative rules it is given.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from jax import Array

from jaxmlp.nn import dense as plain
from jaxmlp.nn import noise
from jaxmlp.nn import normalization as normal
from jaxmlp.nn.activations import Activation
from jaxmlp.nn.dense import LayerParams


class LayerRules(NamedTuple):
    """Which derivative rules a layer is made of."""

    dense: Callable[..., Array]
    normalized: Callable[..., Any]
    drop: Callable[..., Array]


TEXTBOOK_LAYER = LayerRules(plain.dense, normal.normalized_dense, noise.drop)
AUTODIFF_LAYER = LayerRules(plain.dense_undecorated, normal.normalized_undecorated, noise.drop_undecorated)


def through_layer(
    rules: LayerRules,
    norm: str | None,
    activation: Activation,
    layer: LayerParams,
    A_prev: Array,
    mask: Array | None = None,
    share: Array | None = None,
) -> tuple[Array, normal.Moments | None]:
    """A, and the moments of batch normalisation where there is one."""
    if mask is not None:
        A_prev = rules.drop(A_prev, mask)
    if norm is None:
        return rules.dense(activation, layer, A_prev), None
    A, moments = rules.normalized(norm, activation, layer, A_prev, share)
    return A, moments if norm == "batch" else None


def layer_forward(
    norm: str | None,
    activation: Activation,
    layer: LayerParams,
    A_prev: Array,
    mask: Array | None = None,
    share: Array | None = None,
) -> tuple[Array, Any]:
    """A, and what `layer_backward` needs."""
    if mask is not None:
        A_prev = noise.drop_undecorated(A_prev, mask)
    if norm is None:
        A, cache = plain.dense_forward(activation, layer, A_prev)
    else:
        (A, _), cache = normal.normalized_forward(norm, activation, layer, A_prev, share)
    return A, (cache, mask)


def layer_backward(norm: str | None, activation: Activation, cache: Any, dA: Array) -> tuple[LayerParams, Array]:
    """dA -> the gradient of the layer's parameters, dA_prev."""
    block, mask = cache
    if norm is None:
        dlayer, dA_prev = plain.dense_backward(activation, block, dA)
    else:
        dlayer, dA_prev = normal.normalized_backward(norm, activation, block, dA)
    return dlayer, dA_prev if mask is None else noise.drop_backward(mask, dA_prev)
