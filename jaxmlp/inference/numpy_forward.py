"""The forward pass in NumPy, for calls in which a compiled program takes longer to start than to run.

    Z_l = W_l A_{l-1} + b_l        A_l = g_l(Z_l)        for few rows
    A_L = g_L(Z_L)                                       from logits, for any number of rows

`is_supported` selects these calls. JAX computes all others: many rows, large networks, an activation that the user has
defined, gelu, layer normalisation, members, bfloat16.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import jax.numpy as jnp
import numpy as np

from jaxmlp.nn.activations import Activation
from jaxmlp.nn.network import Network, Params

MAX_PRODUCTS = 1 << 18
"""Multiplications in a call. With more, BLAS starts its threads, and then the compiled program is faster."""
MAX_PRODUCTS_OF_ONE_ROW = 1 << 22
"""The limit for one row. It is higher, because the time is that of reading the weights, in both ways."""

Apply = Callable[[np.ndarray], np.ndarray]  # Z -> A
NumpyParams = Sequence[Mapping[str, np.ndarray]]


# --- activations ------------------------------------------------------------------------------------------------------


def _numpy_sigmoid(Z: np.ndarray) -> np.ndarray:
    # if e⁻ᶻ overflows to inf, 1/inf = 0 is the correct limit; the callers silence NumPy's warning
    return 1 / (1 + np.exp(-Z))


def _numpy_softmax(Z: np.ndarray) -> np.ndarray:
    # np.maximum.reduce takes half the time of np.max for a column of ten numbers, and np.add.reduce half that of np.sum
    top = np.maximum.reduce(Z)  # (m,), the maximum of each column
    if np.isinf(top).any():  # inf - inf is NaN, but the limit of softmax is a one-hot column
        limits = np.finfo(Z.dtype)
        return _numpy_softmax(np.clip(Z, limits.min, limits.max))
    E = np.exp(Z - top)
    return E / np.add.reduce(E)


def _numpy_silu(Z: np.ndarray) -> np.ndarray:
    return np.maximum(Z, np.finfo(Z.dtype).min) * _numpy_sigmoid(Z)  # -inf · 0 is NaN, but the limit is 0


def _numpy_leaky_relu(number: str) -> Apply:
    alpha = float(number)
    # for α ≤ 1, leaky relu is max(z, αz). α = 0 is relu: 0 · (-inf) would be NaN
    return (lambda Z: np.maximum(Z, alpha * Z)) if alpha else _APPLY["relu"]


def _numpy_elu(number: str) -> Apply:
    alpha = float(number)
    return lambda Z: np.where(Z < 0, alpha * np.expm1(np.minimum(Z, 0)), Z)


def _numpy_maxout(number: str) -> Apply:
    return lambda Z: Z.reshape(int(number), -1, Z.shape[1]).max(axis=0)


_APPLY: dict[str, Apply] = {
    "identity": lambda Z: Z,
    "step": lambda Z: np.heaviside(Z, np.zeros((), Z.dtype)),
    "sigmoid": _numpy_sigmoid,
    "tanh": np.tanh,
    "relu": lambda Z: np.maximum(Z, 0),
    "softmax": _numpy_softmax,
    "silu": _numpy_silu,
    "softplus": lambda Z: np.logaddexp(Z, np.zeros((), Z.dtype)),
    "exp": np.exp,
}  # gelu is missing, because NumPy has no error function
_APPLY_WITH_NUMBER = {"leaky_relu": _numpy_leaky_relu, "elu": _numpy_elu, "maxout": _numpy_maxout}


def numpy_activation(g: Activation) -> Apply | None:
    """Return Z -> A of an activation in NumPy; None for gelu and for one that the user has defined.

    >>> from jaxmlp.nn.activations import find
    >>> numpy_activation(find("leaky_relu(0.5)"))(np.array([[-4.0, 4.0]])).tolist()
    [[-2.0, 4.0]]
    """
    name, _, number = g.name.partition("(")
    return _APPLY_WITH_NUMBER[name](number[:-1]) if name in _APPLY_WITH_NUMBER else _APPLY.get(name)


# --- the forward pass -------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)  # cached, because the look-up takes longer than the matrix product of a small layer
def _plan(net: Network) -> tuple[tuple[Apply, ...], int]:
    """Return g of every layer, or () if NumPy cannot compute the network, and the multiplications for one row."""
    known = tuple(g for g in map(numpy_activation, net.activations) if g is not None)
    is_supported = len(known) == net.depth and net.norm is None and net.members is None
    return known if is_supported else (), net.n_products


def is_supported(params: Params, net: Network, m: int, *, always: bool = False) -> bool:
    """Whether NumPy can compute this network, and is faster than JAX for m rows.

    With `always`, speed does not count: in a forked process only NumPy can compute.
    """
    activations, products = _plan(net)
    # kind "f" excludes bfloat16, which is not a type of NumPy and has kind "V": JAX computes it
    few = always or m * products <= MAX_PRODUCTS or (m == 1 and products <= MAX_PRODUCTS_OF_ONE_ROW)
    return few and activations != () and params[0]["W"].dtype.kind == "f"


def logits(params: NumpyParams, X: np.ndarray, net: Network) -> np.ndarray:
    """Return Z_L, (n_L, m), for X (n0, m) and a network that `is_supported` accepts.

    >>> net = Network((2, 2, 1), "relu", "sigmoid")
    >>> params = ({"W": np.array([[1.0, -1.0], [0.0, 1.0]]), "b": np.zeros((2, 1))},
    ...           {"W": np.array([[2.0, 3.0]]), "b": np.ones((1, 1))})
    >>> logits(params, np.array([[3.0], [1.0]]), net).tolist()             # A_1 = (2, 1), Z_2 = 4 + 3 + 1
    [[8.0]]
    """
    *hidden, output = params
    A = X
    with np.errstate(over="ignore", invalid="ignore"):  # an overflow gives inf or NaN without a warning, as in JAX
        for layer, g in zip(hidden, _plan(net)[0], strict=False):  # the last g is that of the output
            Z = layer["W"] @ A + layer["b"]  # (n_l, m)
            A = g(Z)
            if "s" in layer:  # a parametric activation
                A = layer["s"] * A + (1 - layer["s"]) * Z
        return output["W"] @ A + output["b"]


def forward(params: NumpyParams, X: np.ndarray, net: Network) -> np.ndarray:
    """Return A_L, (n_L, m), for X (n0, m) and a network that `is_supported` accepts.

    >>> forward(({"W": np.zeros((2, 1)), "b": np.zeros((2, 1))},), np.ones((1, 1)), Network((1, 2), "relu", "softmax"))
    array([[0.5],
           [0.5]])
    """
    Z = logits(params, X, net)
    with np.errstate(over="ignore", invalid="ignore"):
        return _plan(net)[0][-1](Z)


def output(Z: np.ndarray, net: Network) -> np.ndarray:
    """Return A_L from logits Z_L, both (n_L, m). JAX computes it if NumPy has no formula.

    >>> output(np.zeros((2, 1)), Network((1, 2), "relu", "softmax")).tolist()
    [[0.5], [0.5]]
    """
    g = net.activations[-1]
    apply = numpy_activation(g)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(g.apply(jnp.asarray(Z))) if apply is None else apply(Z)
