"""Symptoms: what a diagnosis measures, in one forward and one backward pass.

    g' on this data     slope of unit i at example j, against the largest slope that g has
    a unit is idle      for the share of examples at which that slope is at most a hundredth
    the chain           ‖dZ_l‖ = ‖dZ_{l+1}‖ · (‖W_{l+1}ᵀ dZ_{l+1}‖ / ‖dZ_{l+1}‖) · (‖dZ_l‖ / ‖dA_l‖)
                        the second factor is the ‖W‖, the third the g', that this gradient really met
    skill               1 - Σ(a - y)² / Σ(ȳ - y)²: 0 for an answer that ignores x, 1 for a perfect one

Which kind an activation is, is measured too: one whose slope dies out at one end (relu, elu, gelu) has units that can
die; at both ends (sigmoid, tanh), units that saturate. So an activation of one's own is diagnosed like the others.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxmlp.evidence.linear import LayerPass, sweep
from jaxmlp.nn import costs
from jaxmlp.nn.activations import Activation
from jaxmlp.nn.backprop import evaluate
from jaxmlp.nn.network import Network, Params
from jaxmlp.nn.objective import Batch, Objective

PROBES = (-60.0, -1.0, -0.5, 0.5, 1.0, 60.0)  # both ends and the middle; e⁻⁶⁰ is 0 for our purpose, e⁶⁰ no overflow
IDLE_SLOPE = 0.01  # of the largest slope: sigmoid beyond |z| = 6, tanh beyond 3, elu below -4.6


class LayerSymptoms(NamedTuple):
    """Numbers of one layer; arrays of jnp inside the compiled program, of NumPy afterwards.

    Attributes:
      idle: (n, 1), for each unit the share of examples at which its slope is idle.
      slopes, values: g' and g at PROBES, (1, 6).
      activation, preactivation: root mean square of A and of Z.
      gradient: ‖dZ‖.
      incoming: ‖dA‖; 0 for the output layer, whose dZ the cost gives.
      weight, weight_gradient: ‖W‖ and ‖dW‖.
      layer, dlayer: W, b and dW, db themselves.
      bad: for W, b, Z, A, dZ the row and column of the first entry that is not finite, or -1, -1.
    """

    idle: Any
    slopes: Any
    values: Any
    activation: Any
    preactivation: Any
    gradient: Any
    incoming: Any
    weight: Any
    weight_gradient: Any
    layer: Any
    dlayer: Any
    bad: Any


class Symptoms(NamedTuple):
    """Numbers of a network on a batch.

    Attributes:
      layers: a `LayerSymptoms` for each layer.
      cost: J.
      input_scales: root mean square of each feature, (n0, 1).
      skill: see above.
      truth, answers: how many examples are, and are taken to be, of each class, (C,); None where there are no classes.
      bad_X, bad_Y: the row and column of the first entry that is not finite, or -1, -1.
    """

    layers: tuple[LayerSymptoms, ...]
    cost: Any
    input_scales: Any
    skill: Any
    truth: Any
    answers: Any
    bad_X: Any
    bad_Y: Any


def measure(params: Params, batch: Batch, net: Network, objective: Objective) -> Symptoms:
    """All symptoms of a checked batch, as NumPy arrays of float64, from one compiled program."""

    def to_numpy(leaf: Any) -> np.ndarray:
        array = np.asarray(leaf)
        return array if array.dtype.kind in "biu" else array.astype(np.float64)  # bfloat16 too

    return jax.tree.map(to_numpy, jax.device_get(_measure(params, batch, net, objective)))


@jax.jit
def _measure(params: Params, batch: Batch, net: Network, objective: Objective) -> Symptoms:
    g = net.activations[-1]
    cost = costs.find(objective.cost, g)
    passes = sweep(params, batch.X, net, lambda Z: costs.output_error(cost, g, Z, batch.Y, batch.weights))
    Y = batch.Y
    if cost.name == "categorical_cross_entropy":
        Y = costs.one_hot(Y, net.sizes[-1], batch.X.dtype)
    A = passes[-1].A
    truth, answers = _classes(A, Y, g)
    return Symptoms(
        tuple(map(_of_layer, net.activations, params, passes)),
        evaluate(params, batch, net, objective)[0],
        jnp.sqrt(jnp.square(batch.X).mean(axis=1, keepdims=True)),
        _skill(A, Y),
        truth,
        answers,
        _first_bad(batch.X),
        _first_bad(Y),
    )


def _of_layer(g: Activation, layer: Any, p: LayerPass) -> LayerSymptoms:
    slopes, values, idle = _slopes(g, p)
    return LayerSymptoms(
        idle,
        slopes,
        values,
        _rms(p.A),
        _rms(p.Z),
        _norm(p.dZ),
        jnp.zeros((), p.Z.dtype) if p.dA is None else _norm(p.dA),
        _norm(layer["W"]),
        _norm(p.dlayer["W"]),
        layer,
        p.dlayer,
        tuple(map(_first_bad, (layer["W"], layer["b"], p.Z, p.A, p.dZ))),
    )


def _slopes(g: Activation, p: LayerPass) -> tuple[Array, Array, Array]:
    """g' and g at the probes, and the idle share of each unit; softmax and maxout have no slope of their own."""
    if not g.elementwise:
        nothing = jnp.zeros((1, len(PROBES)), p.Z.dtype)
        return nothing, nothing, jnp.zeros((p.A.shape[0], 1), p.Z.dtype)
    Z = jnp.asarray(PROBES, p.Z.dtype)[None, :]
    values = g.apply(Z)
    slopes = g.pullback(Z, values, jnp.ones_like(Z))
    here = jnp.abs(g.pullback(p.Z, p.A, jnp.ones_like(p.Z)))
    idle = here <= IDLE_SLOPE * jnp.abs(slopes).max()
    return slopes, values, idle.astype(p.Z.dtype).mean(axis=1, keepdims=True)


def _norm(M: Array) -> Array:
    """‖M‖ without underflow: the squares of a gradient of 1e-30 are 0 in float32."""
    largest = jnp.abs(M).max()
    scale = jnp.where(largest > 0, largest, jnp.ones_like(largest))
    return scale * jnp.sqrt(jnp.square(M / scale).sum())


def _rms(M: Array) -> Array:
    return _norm(M) / M.size**0.5


def _skill(A: Array, Y: Array) -> Array:
    if A.shape != Y.shape:
        return jnp.zeros((), A.dtype)
    missed, spread = jnp.square(A - Y).sum(), jnp.square(Y - Y.mean(axis=1, keepdims=True)).sum()
    return 1 - missed / jnp.where(spread > 0, spread, jnp.ones_like(spread))


def _classes(A: Array, Y: Array, g: Activation) -> tuple[Any, Any]:
    """How many examples are, and are taken to be, of each class."""
    if g.name == "sigmoid" and A.shape[0] == 1:
        two = [jnp.concatenate([1 - M, M]) for M in (Y, A)]
        return _counts(two[0]), _counts(two[1])
    if g.name == "softmax":
        return _counts(Y), _counts(A)
    return None, None


def _counts(M: Array) -> Array:
    return jnp.zeros(M.shape[0], jnp.int32).at[M.argmax(axis=0)].add(1)


def _first_bad(M: Array) -> Array:
    """Row and column of the first entry that is not finite, or -1, -1."""
    bad = ~jnp.isfinite(M).ravel()
    first = bad.argmax()
    columns = M.shape[1]
    return jnp.where(bad.any(), jnp.stack([first // columns, first % columns]), -1)
