"""Forward propagation, from X to A_L.

A0 = X (n0, m), one example per column
Z_l = W_l A_{l-1} + b_l,   A_l = g_l(Z_l),   l = 1 … L; the input layer is not counted
with normalisation, in the hidden layers:   Z_l = γ_l Û_l + b_l,   Û_l of U_l = W_l A_{l-1}; see `normalization`
"""

import dataclasses
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import jax
from jax import Array

from jaxmlp.nn import activations
from jaxmlp.nn.activations import Activation
from jaxmlp.nn.compiled import compiled
from jaxmlp.nn.dense import LayerParams
from jaxmlp.nn.layer import TEXTBOOK_LAYER, LayerRules, through_layer
from jaxmlp.nn.network import Network, Params, check_inputs, check_params
from jaxmlp.nn.noise import Masks
from jaxmlp.nn.normalization import Moments, fold_layer
from jaxmlp.nn.stacks import runs_of


def propagate(
    params: Params,
    A: Array,
    net: Network,
    *,
    logits: bool = False,
    rules: LayerRules = TEXTBOOK_LAYER,
    masks: Masks = (),
    share: Array | None = None,
    fixed: Mapping[int, Moments] = MappingProxyType({}),
) -> tuple[Array, tuple[Moments, ...]]:
    """A_0 -> A_L, or Z_L, layer by layer; and the moments of the batch-normalised layers.

    Args:
      params, A, net: as for `forward`, checked; equal layers may be stacked, and then so are masks and moments.
      logits: end in Z_L, because costs are computed from logits.
      rules: derivative rules.
      masks: of dropout, one for each layer's input, or () for none.
      share: w_i/Σw of each example, (1, m), for batch normalisation; None for 1/m.
      fixed: by the number of the layer, counted from 1, the moments that a batch-normalised one is to take instead of
        the batch's, as in evaluation.
    """
    moments, l = [], 0
    for k, layer, mask in zip(runs_of(params), params, masks or [None] * len(params), strict=True):
        l += k
        g, norm = net.activations[l - 1], net.norms[l - 1]
        if logits and l == net.depth:
            g = activations.identity
        if l in fixed:
            norm, layer = None, fold_layer(layer, fixed[l])
        if k == 1:
            A, seen = through_layer(rules, norm, g, layer, A, mask, share)
        else:
            A, seen = jax.lax.scan(partial(_equal_layer, rules, norm, g, share), A, (layer, mask))
        if l in fixed:
            seen = fixed[l]
        if seen is not None:
            moments.append(jax.lax.stop_gradient(seen))
    return A, tuple(moments)


def _equal_layer(
    rules: LayerRules, norm: str | None, g: Activation, share: Array | None, A: Array, given: tuple[LayerParams, Any]
) -> tuple[Array, Moments | None]:
    """One layer of a stack."""
    layer, mask = given
    return through_layer(rules, norm, g, layer, A, mask, share)


def fold(params: Params, moments: tuple[Moments, ...], net: Network) -> tuple[Network, Params]:
    """The plain network that a batch-normalised one is at these moments; others are returned as they are.

    W' = γ/s W and b' = b - γ/s μ in every hidden layer, s = √(σ² + ε).

    >>> import jax.numpy as jnp
    >>> from jaxmlp.nn.network import init
    >>> net = Network((2, 3, 1), "relu", "sigmoid", norm="batch")
    >>> params, X = init(jax.random.key(0), net), jnp.array([[1.0, 2.0], [3.0, -4.0]])
    >>> _, moments = propagate(params, X, net)
    >>> plain, folded = fold(params, moments, net)
    >>> plain.norm, bool(jnp.allclose(forward(folded, X, plain), forward(params, X, net), atol=1e-5))
    (None, True)
    """
    if net.norm != "batch":
        return net, params
    hidden = [fold_layer(layer, seen) for layer, seen in zip(params, moments, strict=False)]
    return dataclasses.replace(net, norm=None), (*hidden, params[-1])


@compiled()
def forward(params: Params, X: Array, net: Network) -> Array:
    """A_L = g_L(Z_L), the network's output.

    With norm="batch" the statistics are those of X itself, as in training.

    Args:
      params: a tuple of {"W", "b"} dictionaries, NumPy or JAX; their dtype is that of the computation.
      X: (n0, m), one example per column; cast to the dtype of `params`.
      net: the network.

    Returns:
      A_L, (n_L, m).

    Raises:
      InputError: when shapes do not fit, naming the layer and the shape expected.
      InputTypeError: when something is not an array of real numbers.

    Source: Ng's course, forward propagation; Nielsen, chapter 2.

    >>> import jax.numpy as jnp
    >>> net = Network((2, 1), "relu", "sigmoid")
    >>> params = ({"W": jnp.array([[0.5, -0.25]]), "b": jnp.zeros((1, 1))},)
    >>> forward(params, jnp.array([[1.0], [2.0]]), net).tolist()    # Z = 1·0.5 - 2·0.25 = 0, σ(0) = 1/2
    [[0.5]]
    """
    X = check_inputs(X, net, check_params(params, net))
    return propagate(params, X, net)[0]


@compiled()
def logits(params: Params, X: Array, net: Network) -> Array:
    """Z_L, the last layer before its activation: (n_L, m), or (k·n_L, m) for maxout(k).

    Arguments (params, X, net) and errors are those of `forward`.

    >>> import jax.numpy as jnp
    >>> net = Network((2, 1), "relu", "sigmoid")
    >>> params = ({"W": jnp.array([[0.5, -0.25]]), "b": jnp.ones((1, 1))},)
    >>> logits(params, jnp.array([[1.0], [2.0]]), net).tolist()
    [[1.0]]
    """
    X = check_inputs(X, net, check_params(params, net))
    return propagate(params, X, net, logits=True)[0]


@compiled()
def trace(params: Params, X: Array, net: Network) -> tuple[dict[str, Array], ...]:
    """Every Z and A: a tuple of {"Z": Z_l, "A": A_l}, l = 1 … L.

    Arguments (params, X, net) and errors are those of `forward`.

    >>> import jax.numpy as jnp
    >>> net = Network((1, 1, 1), "relu", "identity")
    >>> layer = {"W": jnp.array([[-2.0]]), "b": jnp.ones((1, 1))}
    >>> steps = trace((layer, layer), jnp.array([[3.0]]), net)
    >>> [(float(step["Z"][0, 0]), float(step["A"][0, 0])) for step in steps]    # -2·3 + 1 = -5; -2·0 + 1 = 1
    [(-5.0, 0.0), (1.0, 1.0)]
    """
    A = check_inputs(X, net, check_params(params, net))
    steps = []
    for g, norm, layer in zip(net.activations, net.norms, params, strict=True):
        Z, _ = through_layer(TEXTBOOK_LAYER, norm, activations.identity, layer, A)
        A = g.apply(Z)
        steps.append({"Z": Z, "A": A})
    return tuple(steps)
