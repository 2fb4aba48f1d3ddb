"""The linear algebra of the textbook: a network without activations is one layer, and the gradient of one example.

    collapse     A_l = W_l A_{l-1} + b_l for every l:   W' = W_L … W_1,   b' = W_L (… (W_2 b_1 + b_2) …) + b_L
    sweep        Z_l, A_l forward, then dZ_l = pullback of g_l at W_{l+1}ᵀ dZ_{l+1} backward (BP2)
    one example  ∂c_i/∂W_l = δ_i a_iᵀ,   ∂c_i/∂b_l = δ_i          columns i of δ_l = ∂c/∂Z_l and of A_{l-1}
    its norm     ‖δ aᵀ‖ = ‖δ‖ ‖a‖, so   ‖∇c_i‖² = Σ_l ‖δ_i‖² (‖a_i‖² + 1)      no outer product is formed

The gradient of the cost is the mean of the examples' gradients, because J is the mean of the c_i.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxmlp.errors import InputError, sentence
from jaxmlp.nn import activations, costs
from jaxmlp.nn.dense import LayerParams
from jaxmlp.nn.layer import layer_backward, layer_forward
from jaxmlp.nn.network import Network, Params, check_params
from jaxmlp.nn.objective import Batch, Objective, check_batch
from jaxmlp.nn.penalties import PENALTIES

# --- no activation: one layer -----------------------------------------------------------------------------------------


def collapse(params: Params, net: Network | None = None) -> LayerParams:
    """The one layer that an all-linear network is.

    W' = W_L … W_1 and b' = W_L (… (W_2 b_1 + b_2) …) + b_L, so that W' X + b' = Z_L. The rank of W' is at most the
    smallest width of the network.

    Args:
      params: a tuple of {"W", "b"} dictionaries.
      net: their network, if it is to be checked that they are its parameters, its hidden activations all the identity.

    Returns:
      {"W": (n_L, n_0), "b": (n_L, 1)}.

    Raises:
      InputError: when W and b do not fit together or `net`, when a hidden activation of `net` is not the identity, and
        when it is normalised.

    Source: Ng's course, why non-linear activation functions (whose notes print w' + b' where w' x + b' is meant).

    >>> first = {"W": jnp.array([[1.0, 2.0]]), "b": jnp.array([[3.0]])}
    >>> second = {"W": jnp.array([[10.0]]), "b": jnp.array([[4.0]])}
    >>> one = collapse((first, second))
    >>> one["W"].tolist(), one["b"].tolist()    # 10 (x₁ + 2 x₂ + 3) + 4
    ([[10.0, 20.0]], [[34.0]])
    """
    if net is None:
        net = _chained(params)
    check_params(params, net)
    if net.norm is not None:
        raise InputError(sentence("collapse", "a network without normalisation", repr(net.norm), _LINEAR_ALONE))
    for l, g in enumerate(net.activations[:-1], start=1):
        if g.name != "identity":
            raise InputError(sentence(f"collapse, layer {l}", "activation 'identity'", repr(g.name), _LINEAR_ALONE))
    W, b = jnp.asarray(params[0]["W"]), jnp.asarray(params[0]["b"])
    for layer in params[1:]:
        W, b = layer["W"] @ W, layer["W"] @ b + layer["b"]
    return {"W": W, "b": b}


_LINEAR_ALONE = "only an all-linear network is one layer"


def _chained(params: Any) -> Network:
    """The all-linear network whose widths these W have, for `check_params` to hold them against."""
    if not isinstance(params, (tuple, list)) or not params:
        got = "none" if isinstance(params, (tuple, list)) else type(params).__name__
        raise InputError(sentence("collapse", "at least one layer", got, "give the parameters of a network"))
    for l, layer in enumerate(params, start=1):
        if not isinstance(layer, dict) or np.ndim(layer.get("W")) != 2:
            got = sorted(layer) if isinstance(layer, dict) else type(layer).__name__
            raise InputError(
                sentence(f"collapse, layer {l}", "a dictionary with a matrix W and b", got, "see jaxmlp.init")
            )
    rows = [layer["W"].shape[0] for layer in params]
    return Network((params[0]["W"].shape[1], *rows), "identity", "identity")


# --- forward and back, everything kept --------------------------------------------------------------------------------


class LayerPass(NamedTuple):
    """What passes through one layer: A_prev (n_prev, m), Z, A; and back: dA, dZ, dlayer = {"W": dW, "b": db}.

    dA of the output layer is None: a cost gives dZ_L directly (BP1).
    """

    A_prev: Array
    Z: Array
    A: Array
    dA: Array | None
    dZ: Array
    dlayer: LayerParams


def sweep(params: Params, X: Array, net: Network, output_error: Callable[[Array], Array]) -> tuple[LayerPass, ...]:
    """Forward to Z_L, then back from dZ_L = output_error(Z_L), with every quantity kept.

    >>> net = Network((1, 1, 1), "relu", "identity")
    >>> layer = {"W": jnp.array([[2.0]]), "b": jnp.ones((1, 1))}
    >>> first, last = sweep((layer, layer), jnp.array([[3.0]]), net, jnp.ones_like)
    >>> first.A.tolist(), last.dZ.tolist(), first.dZ.tolist(), first.dlayer["W"].tolist()    # dZ_1 = 2·1, dW_1 = 2·3
    ([[7.0]], [[1.0]], [[2.0]], [[6.0]])
    """
    gs, A, forward = net.activations, X, []
    for g, norm, layer in zip(gs, net.norms, params, strict=True):
        A_prev = A
        Z, cache = layer_forward(norm, activations.identity, layer, A_prev)
        A = g.apply(Z)
        forward.append((A_prev, Z, A, cache))
    passes: list[LayerPass] = []
    dA, dZ = None, output_error(forward[-1][1])  # BP1
    for l in reversed(range(net.depth)):
        A_prev, Z, A, cache = forward[l]
        if dA is not None:
            dZ = gs[l].pullback(Z, A, dA)  # BP2
        dlayer, dA_prev = layer_backward(net.norms[l], activations.identity, cache, dZ)  # BP3, BP4
        passes.insert(0, LayerPass(A_prev, Z, A, dA, dZ, dlayer))
        dA = dA_prev
    return tuple(passes)


# --- one example at a time --------------------------------------------------------------------------------------------


def _example_passes(params: Params, X: Any, Y: Any, net: Network, objective: Objective | None):
    """The sweep whose dZ_l are the δ_l of the single losses, without the 1/m of their mean."""
    given = [name for name in PENALTIES if isinstance(objective, Objective) and getattr(objective, name) is not None]
    if given:
        expects, remedy = "no penalty, which belongs to no example", "add its gradient once, to their mean"
        raise InputError(sentence("gradients of examples", expects, given[0], remedy))
    if isinstance(net, Network) and net.norm is not None:
        remedy = "batch normalisation is folded away by fit"
        raise InputError(sentence("gradients of examples", "a network without normalisation", net.norm, remedy))
    batch, objective = check_batch(params, X, Y, net, objective, None)
    return sweep(params, batch.X, net, lambda Z: _deltas(Z, batch, net, objective))


def _deltas(Z: Array, batch: Batch, net: Network, objective: Objective) -> Array:
    g = net.activations[-1]
    return costs.find(objective.cost, g).delta(g, Z, batch.Y)


@jax.jit
def example_gradients(params: Params, X: Array, Y: Array, net: Network, objective: Objective | None = None) -> Params:
    """The gradient of every example's loss c_i, along a first axis of length m.

    ∂c_i/∂W_l = δ_i a_iᵀ and ∂c_i/∂b_l = δ_i. Memory is m times that of the parameters; for norms alone see
    `example_gradient_norms`. Arguments (params, X, Y, net, objective) are those of `jaxmlp.cost`; there are no weights,
    because a loss has none: in J, c_i counts w_i/Σw.

    Returns:
      A tuple of {"W": (m, n_l, n_{l-1}), "b": (m, n_l, 1)}; the mean over m is the gradient of the cost.

    Raises:
      InputError: for an objective with a penalty, and as for `jaxmlp.cost`.

    Source: the tutorials' BP3 and BP4 for one sample.

    >>> net = Network((1, 1), "relu", "identity")    # c = 1/2 (x - y)²: dw = (x - y) x, db = x - y
    >>> params = ({"W": jnp.ones((1, 1)), "b": jnp.zeros((1, 1))},)
    >>> dparams = example_gradients(params, jnp.array([[2.0, 3.0]]), jnp.array([[1.0, 1.0]]), net)
    >>> dparams[0]["W"].ravel().tolist(), dparams[0]["b"].ravel().tolist()
    ([2.0, 6.0], [1.0, 2.0])
    """
    passes = _example_passes(params, X, Y, net, objective)
    return tuple({"W": jnp.einsum("jm,km->mjk", p.dZ, p.A_prev), "b": p.dZ.T[:, :, None]} for p in passes)


@jax.jit
def example_gradient_norms(
    params: Params, X: Array, Y: Array, net: Network, objective: Objective | None = None
) -> Array:
    """‖∇c_i‖ of every example, (1, m), without forming any gradient.

    ‖∇c_i‖² = Σ_l ‖δ_i‖² (‖a_i‖² + 1): an outer product has the norm ‖δ‖ ‖a‖, and the 1 is the bias. Arguments (params,
    X, Y, net, objective) are those of `jaxmlp.cost`.

    Raises:
      InputError: for an objective with a penalty, and as for `jaxmlp.cost`.

    Source: Goodfellow 2015, Efficient per-example gradient computations.

    >>> net = Network((2, 1), "relu", "identity")    # δ = 2·3 + 1·4 - 5 = 5, ‖a‖² + 1 = 26
    >>> params = ({"W": jnp.array([[2.0, 1.0]]), "b": jnp.zeros((1, 1))},)
    >>> norms = example_gradient_norms(params, jnp.array([[3.0], [4.0]]), jnp.array([[5.0]]), net)
    >>> round(float(norms[0, 0]) ** 2, 3)
    650.0
    """
    passes = _example_passes(params, X, Y, net, objective)
    squares = [jnp.square(p.dZ).sum(axis=0) * (jnp.square(p.A_prev).sum(axis=0) + 1) for p in passes]
    return jnp.sqrt(sum(squares[1:], squares[0]))[None, :]
