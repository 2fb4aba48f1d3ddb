"""The linear algebra of the textbook: a network without activations is one layer, and the gradient of one example.

    collapse     A_l = W_l A_{l-1} + b_l for every l:   W' = W_L … W_1,   b' = W_L (… (W_2 b_1 + b_2) …) + b_L
    one example  ∂c_i/∂W_l = δ_i a_iᵀ,   ∂c_i/∂b_l = δ_i          columns i of δ_l = ∂c/∂Z_l and of A_{l-1}
    its norm     ‖δ aᵀ‖ = ‖δ‖ ‖a‖, so   ‖∇c_i‖² = Σ_l ‖δ_i‖² (‖a_i‖² + 1)      no outer product is formed

The gradient of the cost is the mean of the examples' gradients, because J is the mean of the c_i.
"""

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxmlp.errors import InputError, sentence
from jaxmlp.fork import refuse_after_fork
from jaxmlp.nn import costs
from jaxmlp.nn.checks import check_params, check_single
from jaxmlp.nn.compiled import compiled
from jaxmlp.nn.dense import LayerParams
from jaxmlp.nn.network import Network, Params
from jaxmlp.nn.objective import Objective, check_batch
from jaxmlp.nn.passes import LayerPass, layer_passes
from jaxmlp.nn.penalties import PENALTIES

# --- a network without activations is one layer -----------------------------------------------------------------------


def collapse(params: Params, net: Network | None = None) -> LayerParams:
    """Return the one layer that is equal to an all-linear network.

    W' = W_L … W_1 and b' = W_L (… (W_2 b_1 + b_2) …) + b_L, so that W' X + b' = Z_L. The rank of W' is at most the
    smallest width of the network.

    Args:
      params: a tuple of {"W", "b"} dictionaries.
      net: their network. With it the call checks the shapes, and that every hidden activation is the identity.

    Returns:
      {"W": (n_L, n_0), "b": (n_L, 1)}.

    Raises:
      InputError: when W and b do not fit together or `net`, and when `net` is normalised or has a hidden activation
        other than the identity.

    Source: Ng's course, why non-linear activation functions (whose notes print w' + b' where w' x + b' is meant).

    >>> first = {"W": jnp.array([[1.0, 2.0]]), "b": jnp.array([[3.0]])}
    >>> second = {"W": jnp.array([[10.0]]), "b": jnp.array([[4.0]])}
    >>> layer = collapse((first, second))
    >>> layer["W"].tolist(), layer["b"].tolist()    # 10 (x₁ + 2 x₂ + 3) + 4
    ([[10.0, 20.0]], [[34.0]])
    """
    refuse_after_fork("collapse")
    if net is None:
        net = _all_linear_network(params)
    check_params(params, net)
    check_single(net, "collapse")
    if net.norm is not None:
        raise InputError(sentence("collapse", "a network without normalisation", repr(net.norm), _ONLY_LINEAR))
    for l, g in enumerate(net.activations[:-1], start=1):
        if g.name != "identity":
            raise InputError(sentence(f"collapse, layer {l}", "activation 'identity'", repr(g.name), _ONLY_LINEAR))
    W, b = jnp.asarray(params[0]["W"]), jnp.asarray(params[0]["b"])
    for layer in params[1:]:
        W, b = layer["W"] @ W, layer["W"] @ b + layer["b"]  # W_l … W_1, and the bias that has come through
    return {"W": W, "b": b}


_ONLY_LINEAR = "only an all-linear network is one layer"


def _all_linear_network(params: object) -> Network:
    """Return the all-linear network with the widths of these W, so that `check_params` can check the rest."""
    if not isinstance(params, (tuple, list)) or not params:
        got = "none" if isinstance(params, (tuple, list)) else type(params).__name__
        raise InputError(sentence("collapse", "at least one layer", got, "pass the parameters of a network"))
    for l, layer in enumerate(params, start=1):
        if not isinstance(layer, dict) or np.ndim(layer.get("W", 0)) != 2:
            got = sorted(layer) if isinstance(layer, dict) else type(layer).__name__
            raise InputError(
                sentence(f"collapse, layer {l}", "a dictionary with a matrix W and b", got, "see jaxmlp.init")
            )
    rows = [layer["W"].shape[0] for layer in params]
    return Network((params[0]["W"].shape[1], *rows), "identity", "identity")


# --- one example at a time --------------------------------------------------------------------------------------------


def _example_passes(
    params: Params, X: Array, Y: Array, net: Network, objective: Objective | None
) -> tuple[LayerPass, ...]:
    """Return the passes whose dZ_l are the δ_l of the single losses, without the 1/m of their mean."""
    penalties = [
        name for name in PENALTIES if isinstance(objective, Objective) and getattr(objective, name) is not None
    ]
    if penalties:
        expects, remedy = "no penalty, which belongs to no example", "add its gradient once, to their mean"
        raise InputError(sentence("gradients of examples", expects, penalties[0], remedy))
    if isinstance(net, Network) and net.norm is not None:
        remedy = "use the network that fit returns, where batch normalisation is folded into W and b"
        raise InputError(sentence("gradients of examples", "a network without normalisation", net.norm, remedy))
    check_single(net, "gradients of examples")
    batch, objective = check_batch(params, X, Y, net, objective, None)
    g = net.activations[-1]
    return layer_passes(params, batch.X, net, lambda Z: costs.find(objective.cost, g).delta(g, Z, batch.Y))


@compiled
def example_gradients(params: Params, X: Array, Y: Array, net: Network, objective: Objective | None = None) -> Params:
    """Return the gradient of every example's loss c_i, along a first axis of length m.

    ∂c_i/∂W_l = δ_i a_iᵀ and ∂c_i/∂b_l = δ_i. The result takes m times the memory of the parameters; if you need only
    norms, use `example_gradient_norms`. Arguments (params, X, Y, net, objective) are those of `jaxmlp.cost`. There are
    no weights, because they belong to J, where c_i counts w_i/Σw, and not to a loss.

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
    # the outer products that BP4 sums over the examples, before the sum
    return tuple({"W": jnp.einsum("jm,km->mjk", p.dZ, p.A_prev), "b": p.dZ.T[:, :, None]} for p in passes)


@compiled
def example_gradient_norms(
    params: Params, X: Array, Y: Array, net: Network, objective: Objective | None = None
) -> Array:
    """Return ‖∇c_i‖ of every example, (1, m), without forming a gradient.

    ‖∇c_i‖² = Σ_l ‖δ_i‖² (‖a_i‖² + 1): an outer product has the norm ‖δ‖ ‖a‖, and the 1 comes from the bias. Arguments
    (params, X, Y, net, objective) are those of `jaxmlp.cost`.

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
    squares = [jnp.square(p.dZ).sum(axis=0) * (jnp.square(p.A_prev).sum(axis=0) + 1) for p in passes]  # + 1: of b
    return jnp.sqrt(sum(squares[1:], squares[0]))[None, :]  # (1, m)
