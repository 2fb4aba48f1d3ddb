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

A column of a table is often several inputs: the bins of a number, or the words of a category. Then R (k, F) has one
scale for each of the F columns, and r_i repeats it for the inputs of the column. This costs less as well, because the
product of W_1 with the inputs X_f of a column is the same for all members:

    shared         U_f = W_1f X_f            W_1f has those columns of W_1 that the inputs of column f meet
    member i       W_1⁽ⁱ⁾ X = Σ_f r_if U_f
    backward       dU_f = Σ_i r_if dV⁽ⁱ⁾      V⁽ⁱ⁾ = W_1⁽ⁱ⁾ X
                   dr_if = ⟨dV⁽ⁱ⁾, U_f⟩,   dW_1f = dU_f X_fᵀ,   dX_f = W_1fᵀ dU_f

The mean of members has logits as well, those whose A is that mean, so that costs need not start from A.

Sources: Gorishniy, Kotelnikov and Babenko 2025 (TabM), arXiv 2410.24210; Wen, Tran and Ba 2020 (BatchEnsemble),
arXiv 2002.06715; Holzmüller et al. 2024 (RealMLP), arXiv 2407.04491.
"""

from collections.abc import Callable, Iterator
from itertools import groupby

import jax
import jax.numpy as jnp
from jax import Array

from jaxmlp.nn.dense import LayerParams
from jaxmlp.nn.rule import TEXTBOOK, Derivatives, Rule

Widths = tuple[int, ...]
"""How many inputs each column of the data has."""

# By hand, two inputs, one unit, W = (2, 3), r_1 = (1, -1), r_2 = (5, 1):
#   copies (2, -3), (10, 3)
#   their derivatives (1, 1), (0, 2):    dW = (1·1 + 0·5, 1·(-1) + 2·1) = (1, 1),  dr_1 = (2·1, 3·1),  dr_2 = (0, 3·2)
# The same as one column of two inputs, r_1 = 1, r_2 = 5, x = (1, 10):
#   U = 2·1 + 3·10 = 32, products 32, 160
#   their derivatives 1, 2:    dU = 1·1 + 5·2 = 11,  dr_1 = 1·32,  dr_2 = 2·32,  dW = 11·(1, 10),  dx = 11·(2, 3)


def scales_of_inputs(R: Array, widths: Widths | None) -> Array:
    """Return the scales of the inputs, (k, n_0), from R (k, F), the scales of columns with so many inputs each.

    >>> scales_of_inputs(jnp.array([[1.0, -1.0]]), (2, 1)).tolist()
    [[1.0, 1.0, -1.0]]
    """
    # total_repeat_length, because shapes in a compiled program cannot depend on the widths as an array
    return R if widths is None else jnp.repeat(R, jnp.array(widths), axis=1, total_repeat_length=sum(widths))


def _sum_of_columns(dscales: Array, widths: Widths | None) -> Array:
    """(k, n_0) -> (k, F), the sums over the inputs of each column."""
    if widths is None:
        return dscales
    column_of_input = jnp.repeat(jnp.arange(len(widths)), jnp.array(widths), total_repeat_length=sum(widths))
    return jax.ops.segment_sum(dscales.T, column_of_input, len(widths), indices_are_sorted=True).T  # (n_0, k) -> (F, k)


def _copies_forward(widths: Widths | None, W: Array, R: Array) -> tuple[Array, tuple[Array, Array]]:
    """W (n, n_prev), R (k, F) -> W diag(r_i), (k, n, n_prev)."""
    return W[None] * scales_of_inputs(R, widths)[:, None, :], (W, R)


def _copies_backward(widths: Widths | None, cache: tuple[Array, Array], dcopies: Array) -> tuple[Array, Array]:
    """dW⁽ⁱ⁾ (k, n, n_prev) -> dW (n, n_prev), dR (k, F)."""
    W, R = cache
    dW = (dcopies * scales_of_inputs(R, widths)[:, None, :]).sum(axis=0)
    return dW, _sum_of_columns((dcopies * W[None]).sum(axis=1), widths)


# the copies as one function: differentiated by `_copies_backward`, and by JAX as a witness
scaled_copies = Rule(_copies_forward, _copies_backward, n_static=1)


# --- the products of the members with X, through those of the columns -------------------------------------------------


def _runs(widths: Widths) -> Iterator[tuple[slice, slice, int]]:
    """Yield the columns, the inputs and the width of each run of columns that are equally wide."""
    column = begin = 0
    for width, run in groupby(widths):
        n = len(list(run))
        yield slice(column, column + n), slice(begin, begin + n * width), width
        column, begin = column + n, begin + n * width


def column_products(widths: Widths, W: Array, X: Array) -> Array:
    """Return U_f = W_f X_f of every column, (F, n, m), for W (n, n_0) and X (n_0, m).

    >>> column_products((2, 1), jnp.array([[2.0, 3.0, 4.0]]), jnp.array([[1.0], [10.0], [100.0]])).tolist()
    [[[32.0]], [[400.0]]]
    """
    n, m = W.shape[0], X.shape[1]
    return jnp.concatenate(
        [
            jnp.einsum("nfw,fwm->fnm", W[:, inputs].reshape(n, -1, width), X[inputs].reshape(-1, width, m))
            for _, inputs, width in _runs(widths)  # with a product per column the program would grow with the table
        ]
    )


def _products_forward(widths: Widths, W: Array, R: Array, X: Array) -> tuple[Array, tuple[Array, Array, Array, Array]]:
    """W (n, n_0), R (k, F), X (n_0, m) -> the products W_1⁽ⁱ⁾ X, (k, n, m)."""
    U = column_products(widths, W, X)
    return jnp.einsum("kf,fnm->knm", R, U), (W, R, X, U)


def _products_backward(
    widths: Widths, cache: tuple[Array, Array, Array, Array], dproducts: Array
) -> tuple[Array, Array, Array]:
    """Derivative by the products, (k, n, m) -> dW (n, n_0), dR (k, F), dX (n_0, m)."""
    W, R, X, U = cache
    n, m = W.shape[0], X.shape[1]
    dU = jnp.einsum("kf,knm->fnm", R, dproducts)
    dW, dX = [], []
    for columns, inputs, width in _runs(widths):
        W_run, X_run = W[:, inputs].reshape(n, -1, width), X[inputs].reshape(-1, width, m)
        dW.append(jnp.einsum("fnm,fwm->nfw", dU[columns], X_run).reshape(n, -1))
        dX.append(jnp.einsum("nfw,fnm->fwm", W_run, dU[columns]).reshape(-1, m))
    dR = jnp.einsum("knm,fnm->kf", dproducts, U)
    return jnp.concatenate(dW, axis=1), dR, jnp.concatenate(dX)


# the products as one function, with the same two ways to differentiate it
member_products = Rule(_products_forward, _products_backward, n_static=1)


# --- parameters and gradient of the members ---------------------------------------------------------------------------


def split_members(params: tuple[LayerParams, ...], k: int) -> tuple[LayerParams, ...]:
    """Return the parameters of the members without W_1 and R: the last layer with a first axis k, the others shared."""
    first, *inner, last = params
    shared = {name: leaf for name, leaf in first.items() if name not in ("W", "R")}
    return shared, *inner, {name: leaf.reshape(k, leaf.shape[0] // k, leaf.shape[1]) for name, leaf in last.items()}


def member_layers(
    params: tuple[LayerParams, ...], k: int, widths: Widths | None = None, derivatives: Derivatives = TEXTBOOK
) -> tuple[LayerParams, ...]:
    """Return the parameters of the members: the W of layer 1 and the last layer with a first axis of length k.

    >>> first = {"W": jnp.array([[2.0, 3.0]]), "b": jnp.zeros((1, 1)), "R": jnp.array([[1.0, -1.0], [5.0, 1.0]])}
    >>> last = {"W": jnp.array([[7.0], [8.0]]), "b": jnp.zeros((2, 1))}
    >>> layers = member_layers((first, last), 2)
    >>> layers[0]["W"].tolist(), layers[1]["W"].tolist()
    ([[[2.0, -3.0]], [[10.0, 3.0]]], [[[7.0]], [[8.0]]])
    """
    first, *above = split_members(params, k)
    return ({**first, "W": derivatives(scaled_copies)(widths, params[0]["W"], params[0]["R"])}, *above)


def n_multiplications(widths: Widths | None, n_in: int, k: int) -> int:
    """Return how many multiplications k members take in layer 1, for each of its units and each example.

    >>> n_multiplications((48, 48), 96, 32), n_multiplications(None, 96, 32)    # 96 and 32·2; 32·96
    (160, 3072)
    """
    each_by_itself = k * n_in
    return each_by_itself if widths is None else min(each_by_itself, n_in + k * len(widths))


def member_gradient(
    params: tuple[LayerParams, ...], dlayers: tuple[LayerParams, ...], widths: Widths | None = None
) -> tuple[LayerParams, ...]:
    """Return the gradient by `params` from that by the parameters of every member, each with a first axis k."""
    dfirst, *dinner, dlast = dlayers
    dW, dR = scaled_copies.backward(widths, (params[0]["W"], params[0]["R"]), dfirst["W"])
    shared_first, *shared = (jax.tree.map(lambda leaf: leaf.sum(axis=0), dlayer) for dlayer in (dfirst, *dinner))
    stacked = {name: leaf.reshape(-1, leaf.shape[2]) for name, leaf in dlast.items()}
    return ({**shared_first, "W": dW, "R": dR}, *shared, stacked)


# --- the mean of the members ------------------------------------------------------------------------------------------


def _of_classes(Z: Array) -> Array:
    return _log_mean(jax.nn.log_softmax(Z, axis=1))  # (k, C, m): over the classes of each member


def _of_labels(Z: Array) -> Array:
    return _log_mean(jax.nn.log_sigmoid(Z)) - _log_mean(jax.nn.log_sigmoid(-Z))


def _log_mean(logarithms: Array) -> Array:
    k = jnp.asarray(logarithms.shape[0], logarithms.dtype)
    return jax.nn.logsumexp(logarithms, axis=0) - jnp.log(k)  # ln(1/k Σ eˣ), which does not overflow


MEAN_LOGITS: dict[str, Callable[[Array], Array]] = {
    "identity": lambda Z: Z.mean(axis=0),
    "sigmoid": _of_labels,  # ln p̄ - ln(1 - p̄)
    "softmax": _of_classes,  # ln p̄
    "exp": _log_mean,
}
"""Z_L of all members, (k, n_L, m), -> the logits whose A_L is the mean of the members', by output activation."""
