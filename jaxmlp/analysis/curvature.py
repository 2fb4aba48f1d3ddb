"""Curvature: the Hessian H = ∂²J/∂θ² of the cost, its product with a vector, and its largest eigenvalue.

    row i of H is the gradient of ∂J/∂θ_i
    H v = d/dε ∇J(θ + ε v) at ε = 0          a directional derivative of backpropagation: H is never formed
    λ_max by power iteration: v ← H v / ‖H v‖, λ = vᵀ H v; on H + σ I where an eigenvalue near -λ prevents convergence
    gradient descent on a quadratic, e ← (1 - α λ) e, shrinks every error only if α < 2/λ_max

The product pushes a tangent forward through `backprop`, the four equations as a plain loop, so the rate of change of
dW is computed by differentiating the textbook's own formulas (Pearlmutter 1994 calls this the R-operator).

H is symmetric where the second derivatives are continuous (Schwarz), but not everywhere: x y (x² - y²)/(x² + y²) has
the mixed derivatives -1 and 1 at the origin. At a kink of relu there is none, and H follows the convention at kinks.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree

from jaxmlp.errors import InputError, sentence
from jaxmlp.fork import refuse_after_fork
from jaxmlp.nn.backprop import backprop
from jaxmlp.nn.checks import check_params
from jaxmlp.nn.compiled import compiled
from jaxmlp.nn.network import Network, Params
from jaxmlp.nn.objective import Objective

Columns = Array | np.ndarray
CostArguments = tuple[Columns, Columns, Network, Objective | None, Columns | None]  # of `cost`, after the parameters
MAX_PARAMETERS = 4096  # H of so many takes 128 MiB in float64; for more use `hvp`
COLUMNS_PER_PASS = 64  # each column of H holds the activations of a whole pass: P at once would need P times as much


@compiled
def hvp(
    params: Params,
    V: Params,
    X: Array,
    Y: Array,
    net: Network,
    objective: Objective | None = None,
    weights: Array | None = None,
) -> Params:
    """Return H V, the product of the Hessian with a direction in the space of parameters.

    H V = d/dε ∇J(θ + ε V) at ε = 0, at about twice the work of one gradient.

    Args:
      params: a tuple of {"W", "b"} dictionaries.
      V: the direction, shaped like `params` and cast to their dtype.
      X, Y, net, objective, weights: as for `jaxmlp.cost`.

    Returns:
      H V, shaped like `params`.

    Raises:
      InputError: when V is not shaped like the parameters, and as for `jaxmlp.cost`.

    Source: Pearlmutter 1994, Fast exact multiplication by the Hessian.

    >>> net = Network((1, 1), "relu", "identity")    # J = 1/2 (w x + b - y)² with x = 3: H = [[9, 3], [3, 1]]
    >>> params = ({"W": jnp.ones((1, 1)), "b": jnp.zeros((1, 1))},)
    >>> V = ({"W": jnp.ones((1, 1)), "b": jnp.zeros((1, 1))},)
    >>> HV = hvp(params, V, jnp.array([[3.0]]), jnp.array([[0.0]]), net)
    >>> HV[0]["W"].tolist(), HV[0]["b"].tolist()
    ([[9.0]], [[3.0]])
    """
    dtype = check_params(params, net)
    check_params(V, net)
    # jvp takes tangents in the dtype of the parameters only
    V = tuple({name: jnp.asarray(leaf, dtype) for name, leaf in layer.items()} for layer in V)

    def gradient(params: Params) -> Params:
        return backprop(params, X, Y, net, objective, weights)[1]

    return jax.jvp(gradient, (tuple(params),), (V,))[1]


def hessian(
    params: Params,
    X: Columns,
    Y: Columns,
    net: Network,
    objective: Objective | None = None,
    weights: Columns | None = None,
) -> Array:
    """Return H as a matrix (P, P), for networks of up to 4096 parameters.

    H_ij = ∂²J/∂θ_i ∂θ_j; θ is W_1, b_1, W_2, b_2, … each read row by row, the order of `ravel_pytree(params)`.
    Arguments (params, X, Y, net, objective, weights) are those of `jaxmlp.cost`.

    Raises:
      InputError: when the network has more parameters, and as for `jaxmlp.cost`.

    Source: the tutorials, Hessian matrix.

    >>> net = Network((1, 1), "relu", "identity")
    >>> params = ({"W": jnp.ones((1, 1)), "b": jnp.zeros((1, 1))},)
    >>> hessian(params, jnp.array([[3.0]]), jnp.array([[0.0]]), net).tolist()
    [[9.0, 3.0], [3.0, 1.0]]
    """
    refuse_after_fork("hessian")
    check_params(params, net)
    if net.n_parameters > MAX_PARAMETERS:
        remedy = "compute products with jaxmlp.hvp instead"
        raise InputError(sentence("hessian", f"at most {MAX_PARAMETERS} parameters", net.n_parameters, remedy))
    return _hessian(params, (X, Y, net, objective, weights))


@jax.jit
def _hessian(params: Params, arguments: CostArguments) -> Array:
    theta, unravel = ravel_pytree(tuple(params))

    def column(direction: Array) -> Array:
        return ravel_pytree(hvp(params, unravel(direction), *arguments))[0]

    # H eᵢ is column i of H
    directions = jnp.eye(len(theta), dtype=theta.dtype)
    return jax.lax.map(column, directions, batch_size=COLUMNS_PER_PASS).T  # map stacks the columns as rows


class Eigenpair(NamedTuple):
    """An eigenvalue of the Hessian and how accurate it is.

    Attributes:
      value: λ = vᵀ H v; an eigenvalue lies within `residual` of it.
      vector: v, of length 1, shaped like the parameters.
      residual: ‖H v - λ v‖.
      steps: the number of products with H.
    """

    value: float
    vector: Params
    residual: float
    steps: int


def largest_eigenvalue(
    params: Params,
    X: Columns,
    Y: Columns,
    net: Network,
    objective: Objective | None = None,
    weights: Columns | None = None,
    *,
    tolerance: float = 0.01,
    steps: int = 500,
) -> Eigenpair:
    """Return λ_max, the largest (not the most negative) eigenvalue of H, by power iteration on products H v.

    Power iteration finds the eigenvalue of largest size. Where that one is negative, or where λ and -λ have the same
    size and v does not converge, as at a saddle, a second run on H + σ I with σ = ‖H v‖ finds the largest: there all
    eigenvalues are ≥ 0.

    Args:
      params, X, Y, net, objective, weights: as for `jaxmlp.cost`.
      tolerance: stop when ‖H v - λ v‖ is at most this fraction of |λ|; the error of λ is of second order in it.
      steps: the maximum number of products in a run.

    Raises:
      InputError: for a tolerance or a number of steps that is not positive, and as for `jaxmlp.cost`.

    Source: gradient descent converges on a quadratic only if α < 2/λ_max.

    >>> net = Network((1, 1), "relu", "identity")
    >>> params = ({"W": jnp.ones((1, 1)), "b": jnp.zeros((1, 1))},)
    >>> pair = largest_eigenvalue(params, jnp.array([[3.0]]), jnp.array([[0.0]]), net)
    >>> round(pair.value, 3)    # of [[9, 3], [3, 1]]
    10.0
    """
    refuse_after_fork("largest_eigenvalue")
    for name, value in (("tolerance", tolerance), ("steps", steps)):
        if not value > 0:
            raise InputError(sentence(name, "a positive number", value, "leave it out for the default"))
    dtype = check_params(params, net)
    run = partial(_power_iteration, params, (X, Y, net, objective, weights), tolerance=tolerance, max_steps=steps)
    value, vector, residual, n = run(jnp.zeros((), dtype))
    # σ is about the size of the largest eigenvalue, so H + σ I has none below 0, and power iteration finds its largest
    if value < 0 or residual > tolerance * abs(value):
        value, vector, residual, n_shifted = run(jnp.hypot(value, residual))  # ‖Hv‖² = (vᵀHv)² + ‖Hv - (vᵀHv) v‖²
        n = n + n_shifted
    return Eigenpair(float(value), vector, float(residual), int(n))


class _Iterate(NamedTuple):
    v: Array
    Hv: Array
    value: Array
    residual: Array
    step: Array


@jax.jit
def _power_iteration(
    params: Params, arguments: CostArguments, shift: Array, *, tolerance: float | Array, max_steps: int | Array
) -> tuple[Array, Params, Array, Array]:
    """Iterate on H + shift·I; the value returned is the eigenvalue of H itself."""
    theta, unravel = ravel_pytree(tuple(params))

    def iterate(v: Array, step: Array) -> _Iterate:
        Hv = ravel_pytree(hvp(params, unravel(v), *arguments))[0] + shift * v  # (H + shift·I) v
        value = v @ Hv  # the Rayleigh quotient, as ‖v‖ = 1
        return _Iterate(v, Hv, value, jnp.linalg.norm(Hv - value * v), step)

    def goes_on(now: _Iterate) -> Array:
        # written so that a NaN compares false and ends the loop
        return (now.residual > tolerance * jnp.abs(now.value)) & (now.step < max_steps)

    def advance(now: _Iterate) -> _Iterate:
        return iterate(now.Hv / jnp.linalg.norm(now.Hv), now.step + 1)

    # a random direction has a part along every eigenvector; a fixed one, all ones say, may be orthogonal to the largest
    v = jax.random.normal(jax.random.key(0), theta.shape, theta.dtype)
    end = jax.lax.while_loop(goes_on, advance, iterate(v / jnp.linalg.norm(v), jnp.int32(1)))
    return end.value - shift, unravel(end.v), end.residual, end.step
