"""Costs: the loss c_i of each example from its logits, its δ, and their weighted mean J.

    J    = Σᵢ wᵢ cᵢ / Σᵢ wᵢ                 all wᵢ = 1: J = 1/m Σᵢ cᵢ
    BP1  dZ_L = wᵢ δᵢ / Σ w,  δᵢ = ∂cᵢ/∂z      column i of Z_L

    quadratic, huber(d), absolute, quantile(τ)    c = Σₖ ρ(aₖ - yₖ)          δ = pullback of g_L at ρ'(a - y)
    binary_cross_entropy         c = -Σₖ (yₖ ln aₖ + (1 - yₖ) ln(1 - aₖ))    δ = a - y     for sigmoid alone
    categorical_cross_entropy    c = -Σₖ yₖ ln aₖ                            δ = a - y     for softmax alone
    poisson                      c = Σₖ (aₖ - yₖ ln aₖ)                      δ = a - y     for exp alone, counts y ≥ 0

A cost starts from the logits Z, not from a = g(Z): ln σ(z) and ln softmax(z) are finite where a has already rounded to
0 or 1. Each cost names the outputs for which its δ is true; ρ and its slope are those of `residuals`. Sources:
Nielsen, chapters 1 and 3; Ng's course, logistic and softmax regression; McCullagh and Nelder, Generalized linear
models, chapter 6.
"""

from collections.abc import Callable
from functools import cache, wraps
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from jaxmlp.errors import InputError
from jaxmlp.nn import residuals
from jaxmlp.nn.activations import Activation
from jaxmlp.nn.names import resolve
from jaxmlp.nn.residuals import Residual
from jaxmlp.nn.rule import Rule


class Cost(NamedTuple):
    """A record of pure functions.

    Attributes:
      name: its one spelling, with its numbers: "huber(1.0)".
      losses: (g_L, Z, Y) -> c, (1, m): the loss of every example.
      delta: (g_L, Z, Y) -> δ = ∂c/∂Z, shaped like Z.
      outputs: the output activations it is defined for; empty for any.
      formula, derivative: c and δ as text.
      kinks: the residuals a - y at which a derivative jumps, so that central differences say nothing there.
      slope: (A, Y) -> ∂c/∂A, the textbook's dA_L. Only `jaxmlp.trace` shows it: training goes from Z to δ, which stays
        finite where A has rounded to 0 or 1 and this does not.
    """

    name: str
    losses: Callable[[Activation, Array, Array], Array]
    delta: Callable[[Activation, Array, Array], Array]
    outputs: tuple[str, ...] = ()
    formula: str = ""
    derivative: str = ""
    kinks: tuple[float, ...] = ()
    slope: Callable[[Array, Array], Array] | None = None


# --- costs of the residual --------------------------------------------------------------------------------------------


@cache  # equal ρ give the same record, so that equal objectives share one compiled program
def _of_residual(loss: Residual) -> Cost:
    """Make the cost c = Σ ρ(a - y), which is defined for any output."""

    def losses(g: Activation, Z: Array, Y: Array) -> Array:
        return loss.rho(g.apply(Z) - Y).sum(axis=0, keepdims=True)

    def delta(g: Activation, Z: Array, Y: Array) -> Array:
        A = g.apply(Z)
        return g.pullback(Z, A, loss.slope(A - Y))

    formula = f"Σₖ ρ(aₖ - yₖ), ρ(r) = {loss.formula}"
    derivative = f"pullback of g at ρ'(r) = {loss.derivative}"

    def slope(A: Array, Y: Array) -> Array:
        return loss.slope(A - Y)

    return Cost(loss.name, losses, delta, formula=formula, derivative=derivative, kinks=loss.kinks, slope=slope)


def _with_number(maker: Callable[..., Residual]) -> Callable[..., Cost]:
    """Turn a function that makes residual losses into one that makes costs, of the same numbers and bounds."""

    @wraps(maker)
    def make(*numbers: float) -> Cost:
        return _of_residual(maker(*numbers))

    return make


# --- binary cross-entropy ---------------------------------------------------------------------------------------------


def _labels(Y: Array) -> Array:
    """Return Y with NaN for every number outside [0, 1]: inside `jit` nothing can be raised, and NaN shows in J."""
    return jnp.where((Y >= 0) & (Y <= 1), Y, jnp.asarray(jnp.nan, Y.dtype))


def _binary_losses(g: Activation, Z: Array, Y: Array) -> Array:
    # -y ln σ(z) - (1 - y) ln(1 - σ(z)) = ln(1 + eᶻ) - yz = ln(e⁻ʸᶻ + e⁽¹⁻ʸ⁾ᶻ), which does not cancel where y = 1 and z
    # is large; logaddexp, because autodiff of |z| is not 0 at 0
    Y = _labels(Y)
    return jnp.logaddexp(-Y * Z, (1 - Y) * Z).sum(axis=0, keepdims=True)


def _binary_delta(g: Activation, Z: Array, Y: Array) -> Array:
    return g.apply(Z) - _labels(Y)


binary_cross_entropy = Cost(
    "binary_cross_entropy",
    _binary_losses,
    _binary_delta,
    outputs=("sigmoid",),
    formula="-Σₖ (yₖ ln aₖ + (1 - yₖ) ln(1 - aₖ))",
    derivative="a - y",
    slope=lambda A, Y: (1 - _labels(Y)) / (1 - A) - _labels(Y) / A,
)


# --- categorical cross-entropy ----------------------------------------------------------------------------------------


def one_hot(Y: Array, n_classes: int, dtype: DTypeLike) -> Array:
    """Turn class ids (1, m) into (C, m) with a 1 in row y; return one-hot or soft labels (C, m) as they are.

    An id outside 0 … C - 1 gives a column of NaN: inside `jit` nothing can be raised, and NaN shows in J.

    >>> one_hot(jnp.array([[1, 0]]), 2, jnp.float32).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    if Y.shape[0] == n_classes:
        return _labels(Y.astype(dtype))
    if Y.dtype.itemsize < 4:  # the dtype of the ids may not hold the number of classes: 256 is 0 in uint8
        Y = Y.astype(jnp.int32)
    rows = jnp.arange(n_classes, dtype=Y.dtype)[:, None]  # (C, 1), against ids (1, m)
    in_range = (Y >= 0) & (Y < n_classes)
    return jnp.where(in_range, (rows == Y).astype(dtype), jnp.asarray(jnp.nan, dtype))


def _categorical_losses(g: Activation, Z: Array, Y: Array) -> Array:
    Y = one_hot(Y, Z.shape[0], Z.dtype)
    # -Σ yₖ ln aₖ with ln aₖ = zₖ - ln Σ eᶻ: the largest z is subtracted, so that no exponential overflows
    Z = Z - jax.lax.stop_gradient(Z.max(axis=0, keepdims=True))
    log_A = Z - jnp.log(jnp.exp(Z).sum(axis=0, keepdims=True))  # (C, m)
    return -(Y * log_A).sum(axis=0, keepdims=True)


def _categorical_delta(g: Activation, Z: Array, Y: Array) -> Array:
    Y = one_hot(Y, Z.shape[0], Z.dtype)
    # soft labels that do not sum to 1 weight their column by the sum; for one-hot Y this is A - Y
    return Y.sum(axis=0, keepdims=True) * g.apply(Z) - Y


categorical_cross_entropy = Cost(
    "categorical_cross_entropy",
    _categorical_losses,
    _categorical_delta,
    outputs=("softmax",),
    formula="-Σₖ yₖ ln aₖ",
    derivative="a - y",
    slope=lambda A, Y: -one_hot(Y, A.shape[0], A.dtype) / A,
)


# --- Poisson ----------------------------------------------------------------------------------------------------------


def _counts(Y: Array) -> Array:
    """Return Y with NaN for negative numbers, as `_labels` does. Rates of events need not be whole numbers."""
    return jnp.where(Y >= 0, Y, jnp.asarray(jnp.nan, Y.dtype))


def _poisson_losses(g: Activation, Z: Array, Y: Array) -> Array:
    # ln a = z. The term ln y! of the likelihood does not depend on a and is left out; c may therefore be negative
    return (jnp.exp(Z) - _counts(Y) * Z).sum(axis=0, keepdims=True)


def _poisson_delta(g: Activation, Z: Array, Y: Array) -> Array:
    return g.apply(Z) - _counts(Y)


poisson = Cost(
    "poisson",
    _poisson_losses,
    _poisson_delta,
    outputs=("exp",),
    formula="Σₖ (aₖ - yₖ ln aₖ)",
    derivative="a - y",
    slope=lambda A, Y: 1 - _counts(Y) / A,
)


# --- the table --------------------------------------------------------------------------------------------------------

COSTS: dict[str, Cost | Callable[..., Cost]] = {
    "quadratic": _of_residual(residuals.quadratic),
    "binary_cross_entropy": binary_cross_entropy,
    "categorical_cross_entropy": categorical_cross_entropy,
    "huber": _with_number(residuals.huber),
    "absolute": _of_residual(residuals.absolute),
    "quantile": _with_number(residuals.quantile),
    "poisson": poisson,
}

_DEFAULT = {output: name for name in COSTS for output in resolve("cost", name, COSTS).outputs}


def find(spec: str | Cost | None, output: Activation) -> Cost:
    """Return the cost of that name; for None the one that follows from the output.

    sigmoid → binary cross-entropy, softmax → categorical cross-entropy, exp → Poisson, any other → quadratic.

    Raises:
      InputError: for an unknown name, a number outside its bounds, and a cost that is not defined for this output.

    >>> from jaxmlp.nn.activations import identity, softmax
    >>> find(None, softmax).name, find(None, identity).name
    ('categorical_cross_entropy', 'quadratic')
    >>> find("huber", identity).name, find("huber( .5 )", identity).name
    ('huber(1.0)', 'huber(0.5)')
    >>> find("binary_cross_entropy", softmax)
    Traceback (most recent call last):
    jaxmlp.errors.InputError: cost 'binary_cross_entropy' is defined for output 'sigmoid'; the network has output \
'softmax': take cost 'categorical_cross_entropy' or 'quadratic', or output 'sigmoid'
    """
    default = _DEFAULT.get(output.name, "quadratic")
    cost = spec if isinstance(spec, Cost) else resolve("cost", default if spec is None else spec, COSTS)
    if cost.outputs and output.name not in cost.outputs:
        outputs = " or ".join(map(repr, cost.outputs))
        alternatives = " or ".join(map(repr, dict.fromkeys((default, "quadratic"))))
        raise InputError(
            f"cost {cost.name!r} is defined for output {outputs}; the network has output {output.name!r}: "
            f"take cost {alternatives}, or output {outputs}"
        )
    return cost


# --- the mean over examples, with BP1 as its rule ---------------------------------------------------------------------


def weighted_mean(values: Array, weights: Array | None) -> Array:
    """Return Σ w v / Σ w over the columns of (1, m), or the plain mean without weights."""
    return values.mean() if weights is None else (weights * values).sum() / weights.sum()


def output_error(cost: Cost, g: Activation, Z: Array, Y: Array, weights: Array | None) -> Array:
    """BP1: dZ_L = dJ/dZ_L, shaped like Z. The 1/m of the mean enters here and nowhere else."""
    delta = cost.delta(g, Z, Y)  # shaped like Z, of single losses
    return delta / Z.shape[1] if weights is None else delta * (weights / weights.sum())


MeanCostCache = tuple[Array, Array, Array | None]  # Z, Y, weights


def _mean_cost_forward(
    cost: Cost, g: Activation, Z: Array, Y: Array, weights: Array | None
) -> tuple[Array, MeanCostCache]:
    return weighted_mean(cost.losses(g, Z, Y), weights), (Z, Y, weights)


def _mean_cost_backward(
    cost: Cost, g: Activation, cache: MeanCostCache, dJ: Array
) -> tuple[Array, Array, Array | None]:
    Z, Y, weights = cache
    # the textbook has no equation for derivatives by labels and weights: for a caller who asks, autodiff answers
    _, pullback = jax.vjp(lambda Y, weights: weighted_mean(cost.losses(g, Z, Y), weights), Y, weights)
    return dJ * output_error(cost, g, Z, Y, weights), *pullback(dJ)


# J from the logits as one function: differentiated by `output_error`, and by JAX as a witness
mean_cost = Rule(_mean_cost_forward, _mean_cost_backward, n_static=2)
