"""The textbook's activations and costs a second time: NumPy, float64, without JAX.

    g        Z -> A                    slope     Z -> g'(Z)          pullback    (Z, dA) -> dZ
    softmax  A ⊙ (dA - Σ A dA)         maxout    dA to the first largest piece
    cost     Z_L -> c of every example, from the logits, so that no a is rounded to 0 or 1 first
    residual r = a - y -> ρ(r), ρ'(r), for the costs that are a Σ ρ(r)

No formula here is shared with `jaxmlp.nn`: a reference that copied the code under test would repeat its errors. Every
function takes Z of shape (…, rows, m), one matrix or a stack of them.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy import ndarray as Array

from jaxmlp.nn.activations import Activation
from jaxmlp.nn.costs import Cost

Layers = tuple[dict[str, Array], ...]  # params in NumPy


class ActivationFormula(NamedTuple):
    """g in NumPy: apply Z -> A; slope Z -> g'(Z), None where g couples rows; pullback (Z, dA) -> dZ."""

    apply: Callable[[Array], Array]
    slope: Callable[[Array], Array] | None
    pullback: Callable[[Array, Array], Array]


# --- activations ------------------------------------------------------------------------------------------------------


def sigmoid(Z: Array) -> Array:
    """Return 1 / (1 + e⁻ᶻ).

    >>> sigmoid(np.array([0.0, -800.0])).tolist()
    [0.5, 0.0]
    """
    e = np.exp(-np.abs(Z))  # of a number ≤ 0, which cannot overflow
    return np.where(Z < 0, e, 1.0) / (1 + e)


def softmax(Z: Array) -> Array:
    """Return eᶻ / Σ eᶻ of every column.

    >>> softmax(np.zeros((2, 1))).tolist()
    [[0.5], [0.5]]
    """
    E = np.exp(Z - Z.max(axis=-2, keepdims=True))  # the same quotient; eᶻ itself overflows from z = 710 on
    return E / E.sum(axis=-2, keepdims=True)


def _softmax_pullback(Z: Array, dA: Array) -> Array:
    A = softmax(Z)
    # (diag(a) - a aᵀ) da = a ⊙ (da - aᵀ da): the Jacobian is never built
    return A * (dA - (A * dA).sum(axis=-2, keepdims=True))


def _elementwise(apply: Callable[[Array], Array], slope: Callable[[Array], Array]) -> ActivationFormula:
    return ActivationFormula(apply, slope, lambda Z, dA: dA * slope(Z))


# Φ by erfc, not 1 + erf: for z < -5 that sum would cancel to a few digits
_normal_cdf = np.vectorize(lambda z: math.erfc(-z / math.sqrt(2)) / 2, otypes=[float])


def _normal_density(Z: Array) -> Array:
    return np.exp(-Z * Z / 2) / math.sqrt(2 * math.pi)


def _leaky_relu(alpha: str) -> ActivationFormula:
    a = float(alpha)
    return _elementwise(lambda Z: np.where(Z < 0, a * Z, Z), lambda Z: np.where(Z < 0, a, 1.0))


def _elu(alpha: str) -> ActivationFormula:
    a = float(alpha)
    return _elementwise(
        # np.where computes both sides: without the minimum, exp of a large z > 0 would overflow
        lambda Z: np.where(Z < 0, a * np.expm1(np.minimum(Z, 0)), Z),
        lambda Z: np.where(Z < 0, a * np.exp(np.minimum(Z, 0)), 1.0),
    )


def _maxout(pieces: str) -> ActivationFormula:
    k = int(pieces)

    def split(Z: Array) -> Array:
        return np.stack(np.split(Z, k, axis=-2))  # (k, …, n, m): all first pieces, then all second ones

    def pullback(Z: Array, dA: Array) -> Array:
        is_maximal = np.arange(k).reshape(k, *[1] * Z.ndim) == split(Z).argmax(axis=0)  # of a tie, the first piece only
        return np.concatenate(list(is_maximal * dA), axis=-2)

    return ActivationFormula(lambda Z: split(Z).max(axis=0), None, pullback)


_WITHOUT_NUMBER = {
    "identity": _elementwise(lambda Z: Z, np.ones_like),
    "step": _elementwise(lambda Z: np.heaviside(Z, 0.0), np.zeros_like),
    # σ(-z) and not 1 - σ(z), which is 0 from z = 37 on, where σ(z) has rounded to 1
    "sigmoid": _elementwise(sigmoid, lambda Z: sigmoid(Z) * sigmoid(-Z)),
    # 1 - tanh² has no digits for large |z|: at z = 20 tanh z rounds to 1, and the slope is 4e⁻⁴⁰ there, not 0
    "tanh": _elementwise(np.tanh, lambda Z: 4 * sigmoid(2 * Z) * sigmoid(-2 * Z)),
    "relu": _elementwise(lambda Z: np.where(Z > 0, Z, 0.0), lambda Z: (Z > 0) * 1.0),
    "softplus": _elementwise(lambda Z: np.logaddexp(Z, 0), sigmoid),
    "silu": _elementwise(lambda Z: Z * sigmoid(Z), lambda Z: sigmoid(Z) * (1 + Z * sigmoid(-Z))),
    "gelu": _elementwise(lambda Z: Z * _normal_cdf(Z), lambda Z: _normal_cdf(Z) + Z * _normal_density(Z)),
    "softmax": ActivationFormula(softmax, None, _softmax_pullback),
    "exp": _elementwise(np.exp, np.exp),
}
_WITH_NUMBER = {"leaky_relu": _leaky_relu, "elu": _elu, "maxout": _maxout}


def formula(g: Activation) -> ActivationFormula | None:
    """Return the NumPy form of an activation; None for an activation that the user made.

    >>> from jaxmlp.nn.activations import find
    >>> formula(find("leaky_relu(0.5)")).apply(np.array([[-4.0, 4.0]])).tolist()
    [[-2.0, 4.0]]
    """
    name = g.name.partition("(")[0]
    return activation_formula(g.name) if name in _WITH_NUMBER or name in _WITHOUT_NUMBER else None


def activation_formula(full_name: str) -> ActivationFormula:
    """Return the NumPy form of an activation of ours by its full name.

    >>> activation_formula("tanh").slope(np.zeros((1, 1))).tolist()
    [[1.0]]
    """
    name, _, number = full_name.partition("(")
    return _WITH_NUMBER[name](number[:-1]) if name in _WITH_NUMBER else _WITHOUT_NUMBER[name]


def weight_scale(g: Activation, n_in: int) -> float:
    """Return σ of the random weights of a layer that ends in g: √(2/n_in), an eighth of it for exp.

    >>> from jaxmlp.nn.activations import find
    >>> weight_scale(find("relu"), 8), weight_scale(find("exp"), 8)
    (0.5, 0.0625)
    """
    return math.sqrt(2 / n_in) / (8 if g.name == "exp" else 1)  # exp of exp overflows within a few layers


# --- normalisation ----------------------------------------------------------------------------------------------------


def normalize(norm: str, U: Array, example_weights: Array | None) -> Array:
    """Return (U - μ)/√(σ² + 10⁻⁵): for "batch" over the weighted examples (None: 1/m each), for "layer" over the units.

    >>> normalize("layer", np.array([[1.0], [3.0]]), None).round(4).tolist()
    [[-1.0], [1.0]]
    """
    # a layer norm averages within one column, so that the weight of the example would cancel
    axis = -2 if norm == "layer" else -1
    weights = np.broadcast_to(1.0 if example_weights is None or norm == "layer" else example_weights, U.shape)
    mean = np.average(U, axis=axis, weights=weights, keepdims=True)
    variance = np.average((U - mean) ** 2, axis=axis, weights=weights, keepdims=True)
    return (U - mean) / np.sqrt(variance + 1e-5)


# --- costs ------------------------------------------------------------------------------------------------------------


class ResidualLoss(NamedTuple):
    """A loss of the residual r = a - y in NumPy: r -> ρ(r), and r -> ρ'(r)."""

    loss: Callable[[Array], Array]
    slope: Callable[[Array], Array]


def _huber(number: str) -> ResidualLoss:
    d = float(number)
    return ResidualLoss(
        lambda R: np.where(np.abs(R) <= d, R**2 / 2, d * (np.abs(R) - d / 2)),
        lambda R: np.where(np.abs(R) <= d, R, d * np.sign(R)),
    )


def _quantile(number: str) -> ResidualLoss:
    t = float(number)
    # ρ' is 0 at R = 0, the package's convention, because neither R > 0 nor R < 0 holds there
    return ResidualLoss(lambda R: np.maximum((1 - t) * R, -t * R), lambda R: (1 - t) * (R > 0) - t * (R < 0))


def residual_loss(cost: str) -> ResidualLoss | None:
    """Return ρ and ρ' of a cost by its full name; None for a cost that is not a sum over residuals, or the user's.

    >>> residual_loss("huber(1.0)").slope(np.array([-3.0, 0.5])).tolist(), residual_loss("binary_cross_entropy")
    ([-1.0, 0.5], None)
    """
    name, _, number = cost.partition("(")
    if name in ("huber", "quantile"):
        return {"huber": _huber, "quantile": _quantile}[name](number[:-1])
    plain = {"quadratic": ResidualLoss(lambda R: R**2 / 2, lambda R: R), "absolute": ResidualLoss(np.abs, np.sign)}
    return plain.get(name)


def _log_output(output: str, Z: Array, sign: int = 1) -> Array:
    """Return ln a, or ln(1 - a) of a sigmoid for sign -1, without rounding a to 0 or 1 first."""
    if output == "sigmoid":
        return -np.logaddexp(0.0, -sign * Z)  # 1 - σ(z) = σ(-z), so that one formula gives both
    Z = Z - Z.max(axis=-2, keepdims=True)  # now the largest eᶻ is 1: the sum is finite and at least 1
    return Z - np.log(np.exp(Z).sum(axis=-2, keepdims=True))


def losses(cost: Cost, g: Activation, Z: Array, Y: Array) -> Array | None:
    """Return c of every example: (…, rows, m) -> (…, m); None for a cost or an output that the user made.

    >>> from jaxmlp.nn.activations import sigmoid
    >>> from jaxmlp.nn.costs import binary_cross_entropy
    >>> losses(binary_cross_entropy, sigmoid, np.zeros((1, 1)), np.ones((1, 1))).round(6).tolist()    # ln 2
    [0.693147]
    """
    output = formula(g)
    if output is None:
        return None
    if rho := residual_loss(cost.name):
        return rho.loss(output.apply(Z) - Y).sum(axis=-2)
    if cost.name == "binary_cross_entropy":
        return -(Y * _log_output(g.name, Z) + (1 - Y) * _log_output(g.name, Z, -1)).sum(axis=-2)
    if cost.name == "poisson":
        return (output.apply(Z) - Y * Z).sum(axis=-2)  # ln a = z, since a = eᶻ
    if cost.name != "categorical_cross_entropy":
        return None
    if len(Y) < Z.shape[-2]:  # class ids
        Y = np.arange(Z.shape[-2])[:, None] == Y  # (n, 1) against (1, m): one-hot columns (n, m)
    return -(Y * _log_output(g.name, Z)).sum(axis=-2)
