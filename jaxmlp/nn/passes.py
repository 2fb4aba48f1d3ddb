"""Both passes with every quantity: what a person computes by hand, layer by layer.

    forward     A_0 = X,   Z_l = W_l A_{l-1} + b_l,   A_l = g_l(Z_l),   l = 1 … L
    J           = 1/m Σ c_i,   c_i the loss of example i
    BP1         dA_L = dJ/dA_L,   dZ_L = pullback of g_L at dA_L,   computed from Z_L where a cost can (A_L - Y)/m
    BP2         dA_l = W_{l+1}ᵀ dZ_{l+1},   dZ_l = pullback of g_l at dA_l
    BP3, BP4    db_l = Σ over columns of dZ_l,   dW_l = dZ_l A_{l-1}ᵀ

Training keeps none of this: it needs J and the gradient alone, which `backprop` computes with the same functions.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxmlp.nn import activations
from jaxmlp.nn.augmentation import NO_NOISE, augment_batch
from jaxmlp.nn.checks import check_inputs, check_params, check_single
from jaxmlp.nn.compiled import compiled
from jaxmlp.nn.costs import output_error
from jaxmlp.nn.dense import LayerParams
from jaxmlp.nn.layer import apply_layer, layer_backward, layer_forward, split_layer
from jaxmlp.nn.network import Network, Params
from jaxmlp.nn.objective import Objective, check_batch, penalty_numbers
from jaxmlp.nn.parametric import parametric_activation
from jaxmlp.nn.penalties import penalty_gradient
from jaxmlp.nn.rule import TEXTBOOK


class LayerPass(NamedTuple):
    """The quantities of one layer: forward A_prev (n_prev, m), Z, A; backward dA, dZ, dlayer = {"W": dW, "b": db}.

    dA of the output layer is None, because a cost gives dZ_L directly (BP1).
    """

    A_prev: Array
    Z: Array
    A: Array
    dA: Array | None
    dZ: Array
    dlayer: LayerParams


def layer_passes(
    params: Params,
    X: Array,
    net: Network,
    output_error: Callable[[Array], Array],
    example_weight: Array | None = None,
) -> tuple[LayerPass, ...]:
    """Compute forward to Z_L and backward from dZ_L = output_error(Z_L), and return every quantity of every layer.

    `example_weight` holds w_i/Σw, (1, m), for batch normalisation; None for equal weights.

    >>> net = Network((1, 1, 1), "relu", "identity")
    >>> layer = {"W": jnp.array([[2.0]]), "b": jnp.ones((1, 1))}
    >>> first, last = layer_passes((layer, layer), jnp.array([[3.0]]), net, jnp.ones_like)
    >>> first.A.tolist(), last.dZ.tolist(), first.dZ.tolist(), first.dlayer["W"].tolist()    # dZ_1 = 2·1, dW_1 = 2·3
    ([[7.0]], [[1.0]], [[2.0]], [[6.0]])
    """
    gs, A, forward = net.activations, X, []
    for g, norm, layer in zip(gs, net.norms, params, strict=True):
        A_prev = A
        # each block ends in the identity here, so that Z is a result of its own; training gives the block g itself
        Z, cache = layer_forward(norm, activations.identity, layer, A_prev, None, example_weight)
        A = g.apply(Z)
        forward.append((A_prev, Z, A, cache))
    passes: list[LayerPass] = []
    dA, dZ = None, output_error(forward[-1][1])  # BP1
    for l in reversed(range(net.depth)):
        A_prev, Z, A, cache = forward[l]
        if dA is not None:  # dZ_L came from BP1
            dZ = gs[l].pullback(Z, A, dA)  # BP2
        dlayer, dA_prev = layer_backward(net.norms[l], activations.identity, cache, dZ)  # BP3, BP4
        passes.insert(0, LayerPass(A_prev, Z, A, dA, dZ, dlayer))
        dA = dA_prev
    return tuple(passes)


@compiled
def trace(
    params: Params,
    X: Array,
    net: Network,
    Y: Array | None = None,
    objective: Objective | None = None,
    weights: Array | None = None,
) -> tuple[dict[str, Array], ...]:
    """Compute every Z and A, and with Y every derivative too: a dictionary for each layer, l = 1 … L.

    Without Y a layer has {"Z": Z_l, "A": A_l}. With Y it also has "dA", "dZ", "dW" and "db" ("dgamma" where it is
    normalised), each shaped like its variable, and the last layer has "losses" (1, m), the loss c_i of each example.
    J is the mean of the losses, plus penalties where the objective has some; dW then contains their gradient. dA_L is
    infinite where a cross-entropy meets a wrong A of exactly 0 or 1; dZ_L is not, because it is computed from Z_L.

    Args:
      params: a tuple of {"W", "b"} dictionaries.
      X: (n0, m), one example per column.
      net: the network.
      Y: the targets, as for `jaxmlp.cost`; None for the forward pass alone.
      objective, weights: as for `jaxmlp.cost`; for the backward pass.

    Raises:
      InputError: as `forward` and, with Y, as `jaxmlp.cost`.

    >>> net = Network((1, 1, 1), "relu", "identity")
    >>> layer = {"W": jnp.array([[-2.0]]), "b": jnp.ones((1, 1))}
    >>> steps = trace((layer, layer), jnp.array([[3.0]]), net)
    >>> [(float(step["Z"][0, 0]), float(step["A"][0, 0])) for step in steps]    # -2·3 + 1 = -5; -2·0 + 1 = 1
    [(-5.0, 0.0), (1.0, 1.0)]
    >>> last = trace((layer, layer), jnp.array([[3.0]]), net, jnp.array([[5.0]]))[-1]    # c = 1/2 (1 - 5)²
    >>> [(name, float(value[0, 0])) for name, value in sorted(last.items())]
    [('A', 1.0), ('Z', 1.0), ('dA', -4.0), ('dW', -0.0), ('dZ', -4.0), ('db', -4.0), ('losses', 8.0)]
    """
    check_single(net, "trace")
    if Y is None:
        return forward_steps(params, check_inputs(X, net, check_params(params, net)), net)
    batch, objective = check_batch(params, X, Y, net, objective, weights)
    A, Y, weights = augment_batch(batch, net, objective, NO_NOISE)  # smoothed labels, where the objective has them
    cost, g = objective.cost_for(net), net.activations[-1]
    example_weight = None if weights is None else weights / weights.sum()
    passes = layer_passes(params, A, net, lambda Z: output_error(cost, g, Z, Y, weights), example_weight)
    gradient = tuple(p.dlayer for p in passes)
    for penalty, numbers in penalty_numbers(objective, batch):
        gradient = jax.tree.map(jnp.add, gradient, penalty_gradient(penalty, tuple(params), *numbers))
    steps = []
    for p, dlayer in zip(passes, gradient, strict=True):
        step = {"Z": p.Z, "A": p.A} | ({} if p.dA is None else {"dA": p.dA}) | {"dZ": p.dZ}
        steps.append(step | {f"d{name}": leaf for name, leaf in dlayer.items()})
    last = steps[-1]
    if cost.slope is not None:
        mean = 1 / A.shape[1] if example_weight is None else example_weight  # 1/m, or w_i/Σw (1, m)
        # dA_L is shown, and nothing is computed from it: dZ_L came from the logits
        dA = cost.slope(last["A"], Y) * mean
        steps[-1] = last = {"Z": last.pop("Z"), "A": last.pop("A"), "dA": dA, **last}
    last["losses"] = cost.losses(g, last["Z"], Y)
    return tuple(steps)


def forward_steps(params: Params, A: Array, net: Network) -> tuple[dict[str, Array], ...]:
    """Return Z_l and A_l of every layer, for inputs that are checked."""
    steps = []
    for g, norm, layer in zip(net.activations, net.norms, params, strict=True):
        block, s = split_layer(layer)
        Z, _ = apply_layer(TEXTBOOK, norm, activations.identity, block, A)
        A = g.apply(Z) if s is None else parametric_activation.apply(g, s, Z)
        steps.append({"Z": Z, "A": A})
    return tuple(steps)
