"""Measure a network on a batch, by one forward and one backward pass.

    relative slope      |g'(z)| of a unit at an example, divided by the largest |g'|; for exp, 2 max |g'| in |z| ≤ 1
    idle fraction       of a unit: the fraction of examples at which its relative slope is at most 1/100
    the chain           ‖dZ_l‖ = ‖dZ_{l+1}‖ · (‖W_{l+1}ᵀ dZ_{l+1}‖ / ‖dZ_{l+1}‖) · (‖dZ_l‖ / ‖dA_l‖)
                        the second factor is the effect of W on this gradient, the third that of g'
    skill               1 - Σ(a - y)² / Σ(ȳ - y)²: 0 for predictions that ignore x, 1 for perfect ones

The type of an activation is measured, not looked up by name: a slope that vanishes at one end (relu, elu, gelu) means
that units can die; at both ends (sigmoid, tanh), that they can saturate. So a user's own activation is diagnosed too.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxmlp.nn import costs
from jaxmlp.nn.activations import Activation
from jaxmlp.nn.backprop import evaluate
from jaxmlp.nn.dense import LayerParams
from jaxmlp.nn.network import Network, Params
from jaxmlp.nn.objective import Batch, Objective
from jaxmlp.nn.passes import LayerPass, layer_passes

PROBES = (-60.0, -1.0, -0.5, 0.5, 1.0, 60.0)  # both ends and the middle; e⁻⁶⁰ counts as 0, and e⁶⁰ does not overflow
IDLE_SLOPE = 0.01  # relative slope: sigmoid beyond |z| = 6, tanh beyond 3, elu below -4.6
MAX_GROWTH = 2.0  # of |g'| from |z| ≤ 1 to the ends: softplus and silu grow by 1.4, exp without limit


class LayerMeasurements(NamedTuple):
    """The measurements of one layer, in float64.

    Attributes:
      idle_fraction: (n, 1), for each unit the fraction of examples at which its slope is near 0.
      slopes, values: g' and g at PROBES, (1, 6).
      activation, preactivation: root mean square of A and of Z.
      gradient: ‖dZ‖.
      incoming: ‖dA‖; 0 for the output layer, whose dZ comes from the cost.
      weight, weight_gradient: ‖W‖ and ‖dW‖.
      layer, dlayer: the dictionaries of W, b and of dW, db.
      non_finite: for W, b, Z, A, dZ the row and column of the first entry that is not finite, or -1, -1.
    """

    idle_fraction: np.ndarray
    slopes: np.ndarray
    values: np.ndarray
    activation: float
    preactivation: float
    gradient: float
    incoming: float
    weight: float
    weight_gradient: float
    layer: dict[str, np.ndarray]
    dlayer: dict[str, np.ndarray]
    non_finite: tuple[tuple[int, int], ...]


class Measurements(NamedTuple):
    """The measurements of a network on a batch.

    Attributes:
      layers: a `LayerMeasurements` for each layer.
      cost: J.
      input_scales: root mean square of each feature, (n0, 1).
      skill: the formula above.
      output_spread, target_spread: the largest standard deviation over the examples, of the outputs and of the targets.
      target_counts, predicted_counts: examples per class, by target and by prediction, (C,); None without classes.
      correct_counts: the examples per class that are predicted correctly, (C,); None without classes.
      largest_outputs: the largest output of each unit, (n_L,).
      non_finite_X, non_finite_Y: the row and column of the first entry that is not finite, or -1, -1.
    """

    layers: tuple[LayerMeasurements, ...]
    cost: float
    input_scales: np.ndarray
    skill: float
    output_spread: float
    target_spread: float
    target_counts: np.ndarray | None
    predicted_counts: np.ndarray | None
    correct_counts: np.ndarray | None
    largest_outputs: np.ndarray
    non_finite_X: tuple[int, int]
    non_finite_Y: tuple[int, int]


class Slopes(NamedTuple):
    """The slopes g' and values g of the activation of one layer.

    Attributes:
      slopes, values: at PROBES, (1, 6).
      idle_fraction: (n, 1), for each unit the fraction of examples at which its slope is near 0.
    """

    slopes: Array
    values: Array
    idle_fraction: Array


def measure(params: Params, batch: Batch, net: Network, objective: Objective) -> Measurements:
    """Return all measurements of a checked batch.

    The passes are compiled. NumPy computes the norms and means of their arrays: in the compiled program they would
    take most of the compilation time, a second for ten layers.
    """
    passes, slopes, cost, Y = jax.device_get(_passes_of_batch(params, batch, net, objective))
    X, A = np.asarray(batch.X), passes[-1].A
    target_counts, predicted_counts, correct_counts = _class_counts(A, Y, net.activations[-1])
    with np.errstate(all="ignore"):  # after a divergence the numbers are infinite or NaN, and `diagnose` reports it
        return Measurements(
            tuple(map(_measure_layer, params, passes, slopes)),
            float(cost),
            np.sqrt(np.square(_float64(X)).mean(axis=1, keepdims=True)),
            _skill(A, Y),
            _spread(A),
            _spread(Y),
            target_counts,
            predicted_counts,
            correct_counts,
            _float64(A).max(axis=1),
            _first_non_finite(X),
            _first_non_finite(Y),
        )


@jax.jit
def _passes_of_batch(
    params: Params, batch: Batch, net: Network, objective: Objective
) -> tuple[list[LayerPass], list[Slopes], Array, Array]:
    """Return the passes of all layers, their slopes, J, and Y (n_L, m), one-hot where it holds classes."""
    g = net.activations[-1]
    cost = costs.find(objective.cost, g)
    passes = layer_passes(params, batch.X, net, lambda Z: costs.output_error(cost, g, Z, batch.Y, batch.weights))
    Y = batch.Y
    if cost.name == "categorical_cross_entropy":
        Y = costs.one_hot(Y, net.sizes[-1], batch.X.dtype)
    J = evaluate(params, batch, net, objective)[0]
    # A_prev is left out, because it is the A of the layer before
    return [p._replace(A_prev=None) for p in passes], list(map(_slopes, net.activations, passes)), J, Y


def _slopes(g: Activation, p: LayerPass) -> Slopes:
    """Return the slopes of a layer: 0 for softmax and maxout, which have no g'."""
    if not g.elementwise:
        zeros = jnp.zeros((1, len(PROBES)), p.Z.dtype)
        return Slopes(zeros, zeros, jnp.zeros((p.A.shape[0], 1), p.Z.dtype))
    Z = jnp.asarray(PROBES, p.Z.dtype)[None, :]
    values = g.apply(Z)
    slopes = g.pullback(Z, values, jnp.ones_like(Z))
    # the cotangent 1 turns the pullback of an elementwise g into g'
    data_slopes = jnp.abs(g.pullback(p.Z, p.A, jnp.ones_like(p.Z)))  # (n, m)
    # exp' is e⁶⁰ at the last probe, and relative to it every unit would be idle: the inner probes limit the divisor
    sizes = jnp.abs(slopes)
    idle = data_slopes <= IDLE_SLOPE * jnp.minimum(sizes.max(), MAX_GROWTH * sizes[:, 1:-1].max())
    return Slopes(slopes, values, idle.astype(p.Z.dtype).mean(axis=1, keepdims=True))


def _measure_layer(layer: LayerParams, p: LayerPass, slopes: Slopes) -> LayerMeasurements:
    return LayerMeasurements(
        _float64(slopes.idle_fraction),
        _float64(slopes.slopes),
        _float64(slopes.values),
        _rms(p.A),
        _rms(p.Z),
        _norm(p.dZ),
        0.0 if p.dA is None else _norm(p.dA),
        _norm(layer["W"]),
        _norm(p.dlayer["W"]),
        {name: _float64(leaf) for name, leaf in layer.items()},
        {name: _float64(leaf) for name, leaf in p.dlayer.items()},
        tuple(_first_non_finite(np.asarray(M)) for M in (layer["W"], layer["b"], p.Z, p.A, p.dZ)),
    )


def _float64(M: Array | np.ndarray) -> np.ndarray:
    return np.asarray(M).astype(np.float64)  # NumPy cannot compute in bfloat16


def _norm(M: Array | np.ndarray) -> float:
    """Return ‖M‖ without underflow."""
    # the square of 1e-200 is 0: without the division a small gradient would be reported as zero
    values = _float64(M)
    scale = np.abs(values).max(initial=0.0) or 1.0
    return float(scale * np.linalg.norm(values / scale))


def _rms(M: Array | np.ndarray) -> float:
    return _norm(M) / M.size**0.5  # √(Σ x² / size)


def _spread(M: np.ndarray) -> float:
    return float(_float64(M).std(axis=1).max())


def _skill(A: np.ndarray, Y: np.ndarray) -> float:
    if A.shape != Y.shape:
        return 0.0
    A, Y = _float64(A), _float64(Y)
    errors, variation = np.square(A - Y).sum(), np.square(Y - Y.mean(axis=1, keepdims=True)).sum()
    return float(1 - errors / (variation or 1.0))


def _class_counts(A: np.ndarray, Y: np.ndarray, g: Activation) -> tuple[np.ndarray | None, ...]:
    """Return how many examples each class has, by target, by prediction, and of those that are predicted correctly."""
    if g.name == "sigmoid" and A.shape[0] == 1:
        # (2, m): the probability of class 0 and that of class 1, as a softmax of two outputs has them
        per_class = [np.concatenate([1 - M, M]) for M in map(_float64, (Y, A))]
        return _counts(*per_class)
    if g.name == "softmax":
        return _counts(Y, A)
    return None, None, None


def _counts(Y: np.ndarray, A: np.ndarray) -> tuple[np.ndarray, ...]:
    targets, predictions = (_float64(M).argmax(axis=0) for M in (Y, A))
    correct = targets[targets == predictions]
    return tuple(np.bincount(classes, minlength=len(Y)) for classes in (targets, predictions, correct))


def _first_non_finite(M: np.ndarray) -> tuple[int, int]:
    """Return row and column of the first entry that is not finite, or -1, -1."""
    not_finite = ~np.isfinite(M)
    if not not_finite.any():
        return -1, -1
    row, column = np.unravel_index(not_finite.argmax(), M.shape)
    return int(row), int(column)
