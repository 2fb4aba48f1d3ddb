"""Answers on the host, in NumPy: where a compiled program takes longer to make or to start than to run.

    Z_l = W_l A_{l-1} + b_l        A_l = g_l(Z_l)        for few rows
    A_L = g_L(Z_L)                 J = Σ w c / Σ w       of logits, for any number

The formulas are those that testify for the compiled ones in `verify`. What they do not know, or do slowly, is left to
JAX: an activation or a cost of one's own, gelu, layer normalisation, bfloat16.
"""

from functools import lru_cache
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxmlp.evidence.formulas import G, formula, losses
from jaxmlp.nn.costs import Cost
from jaxmlp.nn.network import Network, Params

MOST = 1 << 18  # multiplications in all: more would wake the threads of BLAS, and the compiled program is ahead then
MOST_ALONE = 1 << 22  # of a single row: each weight is read once, whoever does it
SLOW = ("gelu",)  # NumPy has no erf


@lru_cache(maxsize=64)
def _plan(net: Network) -> tuple[tuple[G, ...], int]:
    """g of every layer, () where NumPy is not the way; and the multiplications for a row."""
    found = [None if g.name in SLOW else formula(g) for g in net.activations]
    known = tuple(g for g in found if g is not None)
    return known if len(known) == len(found) and net.norm is None else (), net.n_parameters


def suits(params: Params, net: Network, m: int) -> bool:
    """Whether so many rows are few, and the network is one that NumPy knows."""
    known, products = _plan(net)
    few = m * products <= MOST or (m == 1 and products <= MOST_ALONE)
    return few and known != () and params[0]["W"].dtype.kind == "f"


def logits(params: Any, X: np.ndarray, net: Network) -> np.ndarray:
    """Z_L, (n_L, m), for X (n0, m); for a network that `suits`.

    >>> net = Network((2, 2, 1), "relu", "sigmoid")
    >>> params = ({"W": np.array([[1.0, -1.0], [0.0, 1.0]]), "b": np.zeros((2, 1))},
    ...           {"W": np.array([[2.0, 3.0]]), "b": np.ones((1, 1))})
    >>> logits(params, np.array([[3.0], [1.0]]), net).tolist()             # A_1 = (2, 1), Z_2 = 4 + 3 + 1
    [[8.0]]
    """
    *hidden, output = params
    A = X
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is inf or NaN, as in the compiled program
        for layer, g in zip(hidden, _plan(net)[0], strict=False):
            A = g.apply(layer["W"] @ A + layer["b"])
        return output["W"] @ A + output["b"]


def forward(params: Any, X: np.ndarray, net: Network) -> np.ndarray:
    """A_L, (n_L, m), likewise.

    >>> forward(({"W": np.zeros((2, 1)), "b": np.zeros((2, 1))},), np.ones((1, 1)), Network((1, 2), "relu", "softmax"))
    array([[0.5],
           [0.5]])
    """
    Z = logits(params, X, net)
    with np.errstate(over="ignore", invalid="ignore"):
        return _plan(net)[0][-1].apply(Z)


def output(Z: np.ndarray, net: Network) -> np.ndarray:
    """A_L of logits Z_L, both (n_L, m).

    >>> output(np.zeros((2, 1)), Network((1, 2), "relu", "softmax")).tolist()
    [[0.5], [0.5]]
    """
    g = net.activations[-1]
    known = formula(g)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(g.apply(jnp.asarray(Z))) if known is None else known.apply(Z)


def cost(Z: np.ndarray, Y: np.ndarray, net: Network, cost: Cost, weights: np.ndarray | None = None) -> float:
    """J of logits Z_L (n_L, m) and targets as the cost takes them, the mean of all examples or by weights (m,).

    >>> from jaxmlp.nn.costs import binary_cross_entropy
    >>> round(cost(np.zeros((1, 2)), np.ones((1, 2)), Network((1, 1), "relu", "sigmoid"), binary_cross_entropy), 6)
    0.693147
    """
    g = net.activations[-1]
    with np.errstate(over="ignore", invalid="ignore"):
        c = losses(cost, g, Z.astype(np.float64), Y)
        c = np.asarray(cost.losses(g, jnp.asarray(Z), jnp.asarray(Y)), np.float64) if c is None else c
        return float(np.average(c.reshape(-1), weights=weights))
