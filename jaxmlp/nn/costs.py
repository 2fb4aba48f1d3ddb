"""Costs: the loss c_i of each example from its logits, its δ, and their weighted mean J.

    J    = Σᵢ wᵢ cᵢ / Σᵢ wᵢ                 all wᵢ = 1: J = 1/m Σᵢ cᵢ
    BP1  dZ_L = wᵢ δᵢ / Σ w,  δᵢ = ∂cᵢ/∂z      column i of Z_L

    quadratic, huber(d), absolute, quantile(τ)    c = Σₖ ρ(aₖ - yₖ)          δ = pullback of g_L at ρ'(a - y)
    binary_cross_entropy         c = -Σₖ (yₖ ln aₖ + (1 - yₖ) ln(1 - aₖ))    δ = a - y     for sigmoid alone
    categorical_cross_entropy    c = -Σₖ yₖ ln aₖ                            δ = a - y     for softmax alone
    poisson                      c = Σₖ (aₖ - yₖ ln aₖ)                      δ = a - y     for exp alone, counts y ≥ 0

A cost starts from the logits Z, not from a = g(Z): ln σ(z) and ln softmax(z) are finite where a has already rounded to
0 or 1. Each cost names the outputs for which its δ is true; the ρ and their slopes are those of `residuals`. Sources:
Nielsen, chapters 1 and 3; Ng's course, logistic and softmax regression; McCullagh and Nelder, Generalized linear
models, chapter 6.
"""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxmlp.errors import InputError, InputTypeError, sentence
from jaxmlp.nn import residuals
from jaxmlp.nn.activations import Activation
from jaxmlp.nn.names import resolve
from jaxmlp.nn.residuals import Residual


class Cost(NamedTuple):
    """A record of pure functions.

    Attributes:
      name: how it is written, numbers included: "huber(1.0)".
      losses: (g_L, Z, Y) -> c, (1, m): the loss of every example.
      delta: (g_L, Z, Y) -> δ = ∂c/∂Z, shaped like Z.
      outputs: the output activations it is defined for; empty for any.
      formula, derivative: c and δ as text.
      kinks: the residuals a - y at which central differences cannot tell, because a derivative jumps there.
    """

    name: str
    losses: Callable[[Activation, Array, Array], Array]
    delta: Callable[[Activation, Array, Array], Array]
    outputs: tuple[str, ...] = ()
    formula: str = ""
    derivative: str = ""
    kinks: tuple[float, ...] = ()


# --- costs of the residual --------------------------------------------------------------------------------------------


@cache  # equal ρ, equal record
def _of_residual(loss: Residual) -> Cost:
    """c = Σ ρ(a - y), for any output."""

    def losses(g: Activation, Z: Array, Y: Array) -> Array:
        return loss.rho(g.apply(Z) - Y).sum(axis=0, keepdims=True)

    def delta(g: Activation, Z: Array, Y: Array) -> Array:
        A = g.apply(Z)
        return g.pullback(Z, A, loss.slope(A - Y))

    formula, derivative = f"Σₖ ρ(aₖ - yₖ), ρ(r) = {loss.formula}", f"pullback of g at ρ'(r) = {loss.derivative}"
    return Cost(loss.name, losses, delta, formula=formula, derivative=derivative, kinks=loss.kinks)


def _with_number(maker: Callable[..., Residual]) -> Callable[..., Cost]:
    """A maker of residual losses as one of costs, with the same numbers and bounds."""

    @wraps(maker)
    def make(*numbers: float) -> Cost:
        return _of_residual(maker(*numbers))

    return make


# --- binary cross-entropy ---------------------------------------------------------------------------------------------


def _labels(Y: Array) -> Array:
    """Y, and NaN for what is no label: inside `jit` a failure is a value, and this one cannot go unseen."""
    return jnp.where((Y >= 0) & (Y <= 1), Y, jnp.asarray(jnp.nan, Y.dtype))


def _binary_losses(g: Activation, Z: Array, Y: Array) -> Array:
    # -y ln σ(z) - (1 - y) ln(1 - σ(z)) = ln(1 + eᶻ) - yz; logaddexp, because autodiff of |z| is not 0 at 0
    return (jnp.logaddexp(Z, jnp.zeros_like(Z)) - _labels(Y) * Z).sum(axis=0, keepdims=True)


def _binary_delta(g: Activation, Z: Array, Y: Array) -> Array:
    return g.apply(Z) - _labels(Y)


binary_cross_entropy = Cost(
    "binary_cross_entropy",
    _binary_losses,
    _binary_delta,
    outputs=("sigmoid",),
    formula="-Σₖ (yₖ ln aₖ + (1 - yₖ) ln(1 - aₖ))",
    derivative="a - y",
)


# --- categorical cross-entropy ----------------------------------------------------------------------------------------


def one_hot(Y: Array, n_classes: int, dtype: Any) -> Array:
    """Class ids (1, m) -> (C, m) with a 1 in row y; one-hot or soft labels (C, m) pass.

    An id outside 0 … C - 1 gives a column of NaN: inside `jit` a failure is a value, and this one cannot go unseen.

    >>> one_hot(jnp.array([[1, 0]]), 2, jnp.float32).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    if Y.shape[0] == n_classes:
        return _labels(Y.astype(dtype))
    if Y.dtype.itemsize < 4:  # the dtype of the ids need not hold the number of classes: 256 of them in uint8
        Y = Y.astype(jnp.int32)
    rows = jnp.arange(n_classes, dtype=Y.dtype)[:, None]
    known = (Y >= 0) & (Y < n_classes)
    return jnp.where(known, (rows == Y).astype(dtype), jnp.asarray(jnp.nan, dtype))


def _categorical_losses(g: Activation, Z: Array, Y: Array) -> Array:
    Y = one_hot(Y, Z.shape[0], Z.dtype)
    # -Σ yₖ ln aₖ with ln aₖ = zₖ - ln Σ eᶻ: the largest z is taken out, so that no exponential overflows
    Z = Z - jax.lax.stop_gradient(Z.max(axis=0, keepdims=True))
    log_A = Z - jnp.log(jnp.exp(Z).sum(axis=0, keepdims=True))
    return -(Y * log_A).sum(axis=0, keepdims=True)


def _categorical_delta(g: Activation, Z: Array, Y: Array) -> Array:
    Y = one_hot(Y, Z.shape[0], Z.dtype)
    # soft labels that do not sum to 1 weigh their column; for one-hot Y this is A - Y
    return Y.sum(axis=0, keepdims=True) * g.apply(Z) - Y


categorical_cross_entropy = Cost(
    "categorical_cross_entropy",
    _categorical_losses,
    _categorical_delta,
    outputs=("softmax",),
    formula="-Σₖ yₖ ln aₖ",
    derivative="a - y",
)


# --- Poisson ----------------------------------------------------------------------------------------------------------


def _counts(Y: Array) -> Array:
    """Y, and NaN for what is no count: a failure inside `jit` that cannot go unseen. Rates need not be whole."""
    return jnp.where(Y >= 0, Y, jnp.asarray(jnp.nan, Y.dtype))


def _poisson_losses(g: Activation, Z: Array, Y: Array) -> Array:
    # ln a = z. The ln y! of the likelihood does not depend on a and is left out, so that c may be negative
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
)


# --- the table --------------------------------------------------------------------------------------------------------

COSTS = {
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
    """The cost by name, or what follows from the output.

    sigmoid → binary cross-entropy, softmax → categorical cross-entropy, exp → Poisson, else quadratic.

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
        wanted = " or ".join(map(repr, cost.outputs))
        other = " or ".join(map(repr, dict.fromkeys((default, "quadratic"))))
        raise InputError(
            f"cost {cost.name!r} is defined for output {wanted}; the network has output {output.name!r}: "
            f"take cost {other}, or output {wanted}"
        )
    return cost


# --- the mean over examples, with BP1 as its rule ---------------------------------------------------------------------


def weighted_mean(values: Array, weights: Array | None) -> Array:
    """Σ w v / Σ w over the columns of (1, m); a plain mean without weights."""
    return values.mean() if weights is None else (weights * values).sum() / weights.sum()


def output_error(cost: Cost, g: Activation, Z: Array, Y: Array, weights: Array | None) -> Array:
    """BP1: dZ_L = dJ/dZ_L, shaped like Z. The 1/m of the mean enters here and nowhere else."""
    delta = cost.delta(g, Z, Y)
    return delta / Z.shape[1] if weights is None else delta * (weights / weights.sum())


def mean_cost_undecorated(cost: Cost, g: Activation, Z: Array, Y: Array, weights: Array | None) -> Array:
    """J from the logits without a rule of its own: autodiff's witness."""
    return weighted_mean(cost.losses(g, Z, Y), weights)


def _mean_cost_forward(cost: Cost, g: Activation, Z: Array, Y: Array, weights: Array | None) -> tuple[Array, Any]:
    return mean_cost_undecorated(cost, g, Z, Y, weights), (Z, Y, weights)


def _mean_cost_backward(cost: Cost, g: Activation, cache: Any, dJ: Array) -> tuple[Any, Any, Any]:
    Z, Y, weights = cache
    # the textbook holds labels and weights fixed; should anybody differentiate by them, autodiff answers
    _, pullback = jax.vjp(lambda Y, weights: mean_cost_undecorated(cost, g, Z, Y, weights), Y, weights)
    return dJ * output_error(cost, g, Z, Y, weights), *pullback(dJ)


# the same J, differentiated by the cost's own δ
mean_cost = jax.custom_vjp(mean_cost_undecorated, nondiff_argnums=(0, 1))
mean_cost.defvjp(_mean_cost_forward, _mean_cost_backward)


def check_targets(Y: Any, cost: Cost, n_outputs: int, m: int, dtype: Any) -> Array:
    """Y as an array that `cost` takes, or an error: (n_L, m), or (1, m) class ids for categorical cross-entropy."""
    if not hasattr(Y, "dtype"):
        remedy = "convert it with numpy.asarray"
        raise InputTypeError(sentence("Y", f"an array of shape ({n_outputs}, {m})", type(Y).__name__, remedy))
    ids = cost.name == "categorical_cross_entropy" and Y.ndim == 2 and Y.shape == (1, m)
    if not ids and Y.shape != (n_outputs, m):
        expects = f"shape ({n_outputs}, {m})"
        if cost.name == "categorical_cross_entropy":
            expects += f" one-hot, or (1, {m}) class ids"
        remedy = "is Y one example per column, as many as X?"
        if Y.ndim == 1:
            remedy = "reshape it with Y.reshape(1, -1)"
        raise InputError(sentence(f"Y for cost {cost.name!r}", expects, Y.shape, remedy))
    if m == 0:
        raise InputError(sentence("Y", "at least one example", Y.shape, "the mean over no examples is not defined"))
    if ids and not jnp.issubdtype(Y.dtype, jnp.integer):
        remedy = "cast class ids with Y.astype(int), or give one-hot columns"
        raise InputTypeError(sentence("Y", "whole class ids", Y.dtype, remedy))
    if jnp.issubdtype(Y.dtype, jnp.complexfloating):
        raise InputTypeError(sentence("Y", "real numbers", Y.dtype, "take Y.real"))
    return jnp.asarray(Y) if ids else jnp.asarray(Y, dtype)


def check_weights(weights: Any, m: int, dtype: Any) -> Array | None:
    """Weights (1, m), or None."""
    if weights is None:
        return None
    if not hasattr(weights, "dtype") or weights.shape != (1, m):
        got = getattr(weights, "shape", type(weights).__name__)
        remedy = "give one weight per column, with weights.reshape(1, -1)"
        raise InputError(sentence("weights", f"an array of shape (1, {m})", got, remedy))
    if jnp.issubdtype(weights.dtype, jnp.complexfloating):
        raise InputTypeError(sentence("weights", "real numbers", weights.dtype, "take weights.real"))
    return jnp.asarray(weights, dtype)
