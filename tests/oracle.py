"""The textbook once more, in NumPy, float64 and plain loops: a witness that imports nothing of the package.

Written the way the tutorials write it: a cache per layer, `dA -> dZ -> dW, db, dA_prev` from the output to the input,
and the 1/m in dW and db. No fast path, no stable form: it is right where the numbers are tame, and easy to read.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray as Array

Layers = list[dict[str, Array]]

erfc = np.vectorize(math.erfc, otypes=[float])


# --- activations ------------------------------------------------------------------------------------------------------


class G(NamedTuple):
    """g and its backward step: Z -> A, and (Z, dA) -> dZ."""

    apply: Callable[[Array], Array]
    backward: Callable[[Array, Array], Array]


def elementwise(g: Callable[[Array], Array], slope: Callable[[Array], Array]) -> G:
    return G(g, lambda Z, dA: dA * slope(Z))


def sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


def density(z: Array) -> Array:
    return np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)


def phi(z: Array) -> Array:
    return erfc(-z / np.sqrt(2)) / 2


def leaky_relu(alpha: float) -> G:
    return elementwise(lambda z: np.where(z < 0, alpha * z, z), lambda z: np.where(z < 0, alpha, 1.0))


def elu(alpha: float) -> G:
    return elementwise(
        lambda z: np.where(z < 0, alpha * (np.exp(z) - 1), z), lambda z: np.where(z < 0, alpha * np.exp(z), 1.0)
    )


def maxout(k: int) -> G:
    """Piece j of unit u is row j·n + u."""

    def winners(Z: Array) -> Array:
        n, m = len(Z) // k, Z.shape[1]
        rows = np.empty((n, m), int)
        for u in range(n):
            for i in range(m):
                candidates = [Z[j * n + u, i] for j in range(k)]
                rows[u, i] = candidates.index(max(candidates)) * n + u  # the first one, on a tie
        return rows

    def apply(Z: Array) -> Array:
        return np.take_along_axis(Z, winners(Z), axis=0)

    def backward(Z: Array, dA: Array) -> Array:
        dZ = np.zeros_like(Z)
        np.put_along_axis(dZ, winners(Z), dA, axis=0)
        return dZ

    return G(apply, backward)


def softmax(Z: Array) -> Array:
    return np.exp(Z) / np.exp(Z).sum(axis=0, keepdims=True)


def softmax_backward(Z: Array, dA: Array) -> Array:
    """Column by column through the whole Jacobian diag(a) - a aᵀ."""
    dZ = np.empty_like(Z)
    for i, a in enumerate(softmax(Z).T):
        dZ[:, i] = (np.diag(a) - np.outer(a, a)).T @ dA[:, i]
    return dZ


PLAIN = {
    "identity": elementwise(lambda z: z, np.ones_like),
    "step": elementwise(lambda z: np.where(z > 0, 1.0, 0.0), np.zeros_like),
    "sigmoid": elementwise(sigmoid, lambda z: sigmoid(z) * (1 - sigmoid(z))),
    "tanh": elementwise(np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "relu": elementwise(lambda z: np.where(z > 0, z, 0.0), lambda z: np.where(z > 0, 1.0, 0.0)),
    "softmax": G(softmax, softmax_backward),
    "gelu": elementwise(lambda z: z * phi(z), lambda z: phi(z) + z * density(z)),
    "silu": elementwise(lambda z: z * sigmoid(z), lambda z: sigmoid(z) * (1 + z * (1 - sigmoid(z)))),
    "softplus": elementwise(lambda z: np.log(1 + np.exp(z)), sigmoid),
    "sine": elementwise(np.sin, np.cos),
    "exp": elementwise(np.exp, np.exp),
    "softsign": elementwise(lambda z: z / (1 + np.abs(z)), lambda z: 1 / (1 + np.abs(z)) ** 2),
}
WITH_NUMBER = {"leaky_relu": leaky_relu, "elu": elu, "maxout": lambda k: maxout(int(k))}


# g'(0), with the package's convention at a kink
SLOPES_AT_0 = {
    "identity": 1,
    "step": 0,
    "sigmoid": 0.25,
    "tanh": 1,
    "relu": 0,
    "leaky_relu(0.01)": 1,
    "leaky_relu(0.0)": 1,
    "leaky_relu(0.2)": 1,
    "elu(1.0)": 1,
    "elu(0.5)": 1,
    "gelu": 0.5,
    "silu": 0.5,
    "softplus": 0.5,
    "exp": 1,
    "sine": 1,
    "softsign": 1,
}

INF = float("inf")
LIMITS = {  # g(-∞), g(∞), g'(-∞), g'(∞)
    "identity": (-INF, INF, 1, 1),
    "step": (0, 1, 0, 0),
    "sigmoid": (0, 1, 0, 0),
    "tanh": (-1, 1, 0, 0),
    "relu": (0, INF, 0, 1),
    "leaky_relu(0.01)": (-INF, INF, 0.01, 1),
    "leaky_relu(0.0)": (0, INF, 0, 1),
    "leaky_relu(0.2)": (-INF, INF, 0.2, 1),
    "elu(1.0)": (-1, INF, 0, 1),
    "elu(0.5)": (-0.5, INF, 0, 1),
    "gelu": (0, INF, 0, 1),
    "silu": (0, INF, 0, 1),
    "softplus": (0, INF, 0, 1),
    "exp": (0, INF, 0, INF),
}

# whose weights are drawn with variance 2/n_in
HE_FAMILY = ("relu", "leaky_relu", "elu", "maxout", "gelu", "silu", "softplus")


def activation(name: str) -> G:
    """By its full name: "relu", "leaky_relu(0.2)"."""
    function, _, number = name.rstrip(")").partition("(")
    return WITH_NUMBER[function](float(number)) if number else PLAIN[function]


# --- costs: the loss of every example, and dA ------------------------------------------------------------------------


Loss = Callable[[Array, Array], tuple[Array, Array]]


def quadratic(A: Array, Y: Array) -> tuple[Array, Array]:
    return ((A - Y) ** 2).sum(axis=0) / 2, A - Y


def binary_cross_entropy(A: Array, Y: Array) -> tuple[Array, Array]:
    return -(Y * np.log(A) + (1 - Y) * np.log(1 - A)).sum(axis=0), -(Y / A) + (1 - Y) / (1 - A)


def categorical_cross_entropy(A: Array, Y: Array) -> tuple[Array, Array]:
    return -(Y * np.log(A)).sum(axis=0), -Y / A


def poisson(A: Array, Y: Array) -> tuple[Array, Array]:
    return (A - Y * np.log(A)).sum(axis=0), 1 - Y / A


def absolute(A: Array, Y: Array) -> tuple[Array, Array]:
    return np.abs(A - Y).sum(axis=0), np.where(A > Y, 1.0, np.where(A < Y, -1.0, 0.0))


def huber(d: float) -> Loss:
    def cost(A: Array, Y: Array) -> tuple[Array, Array]:
        r = A - Y
        near = np.abs(r) <= d
        return np.where(near, r**2 / 2, d * (np.abs(r) - d / 2)).sum(axis=0), np.where(near, r, d * np.sign(r))

    return cost


def quantile(tau: float) -> Loss:
    """With the residual of the books, r = y - a."""

    def cost(A: Array, Y: Array) -> tuple[Array, Array]:
        r = Y - A
        c = np.where(r >= 0, tau * r, (tau - 1) * r).sum(axis=0)
        return c, np.where(r > 0, -tau, np.where(r < 0, 1 - tau, 0.0))

    return cost


COSTS = {f.__name__: f for f in (quadratic, binary_cross_entropy, categorical_cross_entropy, poisson, absolute)}
COSTS_WITH_NUMBER = {"huber": huber, "quantile": quantile}


def cost(name: str) -> Loss:
    """By its full name: "absolute", "huber(0.5)"."""
    function, _, number = name.rstrip(")").partition("(")
    return COSTS_WITH_NUMBER[function](float(number)) if number else COSTS[function]


# --- the network ------------------------------------------------------------------------------------------------------


def forward(params: Layers, X: Array, names: list[str]) -> tuple[Array, list[tuple[Array, Array]]]:
    """A_L and the cache (A_prev, Z) of every layer."""
    A, caches = X, []
    for layer, name in zip(params, names, strict=True):
        Z = np.dot(layer["W"], A) + layer["b"]
        caches.append((A, Z))
        A = activation(name).apply(Z)
    return A, caches


def backward(
    params: Layers,
    X: Array,
    Y: Array,
    names: list[str],
    loss: str,
    l2: float = 0.0,
    weights: Array | None = None,
) -> tuple[float, Layers]:
    """J and its gradients, layer by layer from the output."""
    w = np.ones(X.shape[1]) if weights is None else weights[0]
    m = w.sum()
    A, caches = forward(params, X, names)
    losses, dA = cost(loss)(A, Y)
    J = float(np.sum(w * losses) / m)
    dA = w * dA  # the 1/m follows in dW and db, as in the tutorials
    gradients: Layers = []
    for layer, name, (A_prev, Z) in zip(params[::-1], names[::-1], caches[::-1], strict=True):
        dZ = activation(name).backward(Z, dA)
        dW = np.dot(dZ, A_prev.T) / m + l2 / m * layer["W"]
        db = np.sum(dZ, axis=1, keepdims=True) / m
        dA = np.dot(layer["W"].T, dZ)
        gradients.insert(0, {"W": dW, "b": db})
        J += l2 / (2 * m) * float(np.sum(layer["W"] ** 2))
    return J, gradients


# --- witnesses --------------------------------------------------------------------------------------------------------


def central_differences(f: Callable[[Layers], Any], params: Layers, h: float = 1e-5) -> Layers:
    """(f(θ + h) - f(θ - h)) / 2h for every entry of every W and b."""
    gradients: Layers = []
    for l, layer in enumerate(params):
        gradients.append({})
        for name, values in layer.items():
            slopes = np.zeros_like(values)
            for place in np.ndindex(values.shape):
                ends = []
                for sign in (1, -1):
                    moved = [{key: leaf.copy() for key, leaf in other.items()} for other in params]
                    moved[l][name][place] += sign * h
                    ends.append(float(f(moved)))
                slopes[place] = (ends[0] - ends[1]) / (2 * h)
            gradients[l][name] = slopes
    return gradients


def relative_difference(actual: Any, expected: Any, floor: float = 0.0) -> float:
    """max |actual - expected| / max |expected| of two arrays; 0 when both are 0."""
    actual, expected = np.asarray(actual, float), np.asarray(expected, float)
    assert actual.shape == expected.shape, f"{actual.shape} against {expected.shape}"
    difference = np.abs(actual - expected).max()
    if np.isnan(difference):
        return math.inf
    return float(difference / max(np.abs(expected).max(), floor)) if difference else 0.0


def worst_leaf(actual: Any, expected: Any, floor: float = 0.0) -> float:
    """The largest relative difference of a leaf between two lists of {"W", "b"}."""
    pairs = [(ours[name], theirs[name]) for ours, theirs in zip(actual, expected, strict=True) for name in ("W", "b")]
    return max(relative_difference(a, b, floor) for a, b in pairs)
