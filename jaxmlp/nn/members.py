"""Members: k networks that share most of their weights, are trained as one and predict together (TabM-mini).

    member i      W_1⁽ⁱ⁾ = W_1 diag(r_i)      W_1 and b_1 shared, the scales r_i of the inputs its own
                  W_l, b_l                    shared,  1 < l < L
                  W_L⁽ⁱ⁾, b_L⁽ⁱ⁾              its own
    training      J = 1/k Σ_i J_i             every member predicts by itself
    prediction    A_L = 1/k Σ_i A_L⁽ⁱ⁾

    backward      dW_1 = Σ_i dW_1⁽ⁱ⁾ diag(r_i)             from every copy of W_1
                  dr_i = column sums of W_1 ⊙ dW_1⁽ⁱ⁾
                  dW_l, db_l = Σ_i dW_l⁽ⁱ⁾, Σ_i db_l⁽ⁱ⁾    of whatever is shared

R (k, n_0) has r_i as its rows; the last layer has the members' matrices below each other, W_L (k·n_L, n_{L-1}). The
members start with random signs in R, so that they differ: a population whose W is not mapped. A single member starts
with R = 1: it is a plain network with a learnt scale of each input, the scaling layer of RealMLP.

The mean of members has logits as well, those whose A is that mean, so that costs need not start from A.

Sources: Gorishniy, Kotelnikov and Babenko 2025 (TabM), arXiv 2410.24210; Wen, Tran and Ba 2020 (BatchEnsemble),
arXiv 2002.06715; Holzmüller et al. 2024 (RealMLP), arXiv 2407.04491.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from jaxmlp.nn.dense import LayerParams
from jaxmlp.nn.rule import TEXTBOOK, Derivatives, Rule

# By hand, two inputs, one unit, W = (2, 3), r_1 = (1, -1), r_2 = (5, 1):
#   copies (2, -3), (10, 3)
#   their derivatives (1, 1), (0, 2):    dW = (1·1 + 0·5, 1·(-1) + 2·1) = (1, 1),  dr_1 = (2·1, 3·1),  dr_2 = (0, 3·2)


def _copies_forward(W: Array, R: Array) -> tuple[Array, tuple[Array, Array]]:
    """W (n, n_prev), R (k, n_prev) -> W diag(r_i), (k, n, n_prev)."""
    return W[None] * R[:, None, :], (W, R)


def _copies_backward(cache: tuple[Array, Array], dcopies: Array) -> tuple[Array, Array]:
    """dW⁽ⁱ⁾ (k, n, n_prev) -> dW (n, n_prev), dR (k, n_prev)."""
    W, R = cache
    return (dcopies * R[:, None, :]).sum(axis=0), (dcopies * W[None]).sum(axis=1)


# the copies as one function: differentiated by `_copies_backward`, and by JAX as a witness
scaled_copies = Rule(_copies_forward, _copies_backward)


def member_layers(
    params: tuple[LayerParams, ...], k: int, derivatives: Derivatives = TEXTBOOK
) -> tuple[LayerParams, ...]:
    """Return the parameters of the members: the W of layer 1 and the last layer with a first axis of length k.

    >>> first = {"W": jnp.array([[2.0, 3.0]]), "b": jnp.zeros((1, 1)), "R": jnp.array([[1.0, -1.0], [5.0, 1.0]])}
    >>> last = {"W": jnp.array([[7.0], [8.0]]), "b": jnp.zeros((2, 1))}
    >>> layers = member_layers((first, last), 2)
    >>> layers[0]["W"].tolist(), layers[1]["W"].tolist()
    ([[[2.0, -3.0]], [[10.0, 3.0]]], [[[7.0]], [[8.0]]])
    """
    first, *inner, last = params
    copies = derivatives(scaled_copies)(first["W"], first["R"])
    own = {name: leaf.reshape(k, leaf.shape[0] // k, leaf.shape[1]) for name, leaf in last.items()}
    shared = {name: leaf for name, leaf in first.items() if name != "R"}
    return ({**shared, "W": copies}, *inner, own)


def member_gradient(params: tuple[LayerParams, ...], dlayers: tuple[LayerParams, ...]) -> tuple[LayerParams, ...]:
    """Return the gradient by `params` from that by the parameters of every member, each with a first axis k."""
    dfirst, *dinner, dlast = dlayers
    dW, dR = scaled_copies.backward((params[0]["W"], params[0]["R"]), dfirst["W"])
    shared_first, *shared = (jax.tree.map(lambda leaf: leaf.sum(axis=0), dlayer) for dlayer in (dfirst, *dinner))
    own = {name: leaf.reshape(-1, leaf.shape[2]) for name, leaf in dlast.items()}
    return ({**shared_first, "W": dW, "R": dR}, *shared, own)


# --- the mean of the members ------------------------------------------------------------------------------------------


def _of_classes(Z: Array) -> Array:
    return _log_mean(jax.nn.log_softmax(Z, axis=1))


def _of_labels(Z: Array) -> Array:
    return _log_mean(jax.nn.log_sigmoid(Z)) - _log_mean(jax.nn.log_sigmoid(-Z))


def _log_mean(logarithms: Array) -> Array:
    k = jnp.asarray(logarithms.shape[0], logarithms.dtype)
    return jax.nn.logsumexp(logarithms, axis=0) - jnp.log(k)


MEAN_LOGITS: dict[str, Callable[[Array], Array]] = {
    "identity": lambda Z: Z.mean(axis=0),
    "sigmoid": _of_labels,  # ln p̄ - ln(1 - p̄)
    "softmax": _of_classes,  # ln p̄
    "exp": _log_mean,
}
"""Z_L of all members, (k, n_L, m), -> the logits whose A_L is the mean of the members', by output activation."""
