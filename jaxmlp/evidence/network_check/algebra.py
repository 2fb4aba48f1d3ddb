"""The linear algebra of the textbook against its witnesses: Hessian, collapse, the gradient of one example.

H v           against autodiff of the undecorated cost, and central differences of its gradient
H             against autodiff; H = Hᵀ; its product with v is H v
collapse      W' X + b' against the Z_L of the all-linear network
∇c_i          of every example against autodiff of that example; their mean against the gradient of J
‖∇c_i‖        from ‖δ‖ and ‖a‖ against the norms of those gradients
row space     W₁ and J after some steps in the space of the rows, against plain steps
"""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree

from jaxmlp.analysis.curvature import hessian, hvp
from jaxmlp.analysis.linear import collapse, example_gradient_norms, example_gradients
from jaxmlp.evidence.certificate import Row, judge
from jaxmlp.evidence.network_check.cases import Case
from jaxmlp.evidence.network_check.derivatives import compile_once
from jaxmlp.evidence.network_check.equations import AUTODIFF_BOUND, DIFFERENCES_BOUND, against_autodiff
from jaxmlp.evidence.network_check.witnesses import relative_difference
from jaxmlp.nn.backprop import evaluate
from jaxmlp.nn.forward import logits
from jaxmlp.nn.network import Network, Params
from jaxmlp.nn.objective import Batch, Objective
from jaxmlp.nn.rule import AUTODIFF
from jaxmlp.training.config import TrainConfig
from jaxmlp.training.fit import fit

# of two runs that round differently in each of a few steps
ROW_SPACE_BOUND = 1e-10
GRADIENT_STEP = 1e-3  # of θ along v; D(h) and D(2h) together leave an error of h⁴


class _Curvature(NamedTuple):
    """H v and H: of the package, by autodiff, and the slope of the gradient along v."""

    Hv: Array
    Hv_autodiff: Array
    Hv_differences: Array
    H: Array
    H_autodiff: Array


@compile_once
def _curvature(params: Params, v: Array, batch: Batch, net: Network, objective: Objective) -> _Curvature:
    theta, unravel = ravel_pytree(params)
    X, Y, weights = batch
    arguments = X, Y, net, objective, weights

    def J(theta: Array) -> Array:  # without the package's derivative rules
        return evaluate(unravel(theta), batch, net, objective, AUTODIFF)[0]

    gradient, h = jax.grad(J), GRADIENT_STEP
    steps = jnp.outer(jnp.array([h, -h, 2 * h, -2 * h]), v)
    forward, back, forward2, back2 = jax.lax.map(gradient, theta[None, :] + steps)
    H = jax.jacfwd(gradient)(theta)  # (P, P)
    return _Curvature(
        ravel_pytree(hvp(params, unravel(v), *arguments))[0],
        H @ v,
        (8 * (forward - back) - (forward2 - back2)) / (12 * h),  # (4 D(h) - D(2h)) / 3
        hessian(params, *arguments),
        H,
    )


def curvature_rows(case: Case, rng: np.random.Generator) -> Iterator[Row]:
    """Yield the rows of H v and H for a smooth network; in float64 if the caller's context is."""
    params, batch = jax.tree.map(jnp.asarray, (case.params, (case.X, case.Y, case.weights)))
    v = rng.normal(size=case.net.n_parameters)  # a direction with a part in every parameter
    result = jax.tree.map(np.asarray, _curvature(params, jnp.asarray(v), Batch(*batch), case.net, case.objective))
    yield against_autodiff("H v", case.name, result.Hv, result.Hv_autodiff)
    difference = relative_difference(result.Hv, result.Hv_differences)
    yield judge("H v", case.name, "central differences", difference, DIFFERENCES_BOUND)
    yield against_autodiff("H", case.name, result.H, result.H_autodiff)
    yield judge("H = Hᵀ", case.name, "its transpose", relative_difference(result.H, result.H.T), AUTODIFF_BOUND)
    yield judge("H v", case.name, "the matrix H", relative_difference(result.Hv, result.H @ v), AUTODIFF_BOUND)


def collapse_row(case: Case) -> Row:
    """Return the row of the one layer that is equal to an all-linear network."""
    params, X = jax.tree.map(jnp.asarray, (case.params, case.X))
    layer = collapse(params, case.net)
    difference = relative_difference(layer["W"] @ X + layer["b"], logits(params, X, case.net))
    return judge("collapse", case.name, "forward", difference, AUTODIFF_BOUND)


class _ExampleGradients(NamedTuple):
    """∇c_i of the package, by autodiff of one example at a time; the gradient of J; ‖∇c_i‖ of the package."""

    gradients: Params
    by_autodiff: Params
    of_cost: Params
    norms: Array


@compile_once
def _example_gradients(params: Params, X: Array, Y: Array, net: Network, objective: Objective) -> _ExampleGradients:
    def J(params: Params, X: Array, Y: Array) -> Array:
        return evaluate(params, Batch(X, Y, None), net, objective, AUTODIFF)[0]

    # each example as a batch of one column, so that its J is its c_i
    one_by_one = jax.vmap(lambda x, y: jax.grad(J)(params, x[:, None], y[:, None]), in_axes=1)(X, Y)
    norms = example_gradient_norms(params, X, Y, net, objective)
    return _ExampleGradients(
        example_gradients(params, X, Y, net, objective), one_by_one, jax.grad(J)(params, X, Y), norms
    )


def example_rows(case: Case) -> Iterator[Row]:
    """Yield the rows of the gradient of every example, and of its norm."""
    params, X, Y = jax.tree.map(jnp.asarray, (case.params, case.X, case.Y))
    result = jax.tree.map(np.asarray, _example_gradients(params, X, Y, case.net, case.objective))
    actual, expected = (
        # (m, P): the whole gradient of an example in a row
        np.concatenate([leaf.reshape(len(leaf), -1) for leaf in jax.tree.leaves(gradients)], axis=1)
        for gradients in (result.gradients, result.by_autodiff)
    )
    yield against_autodiff("∇c_i", case.name, actual, expected)
    yield against_autodiff("mean of ∇c_i", case.name, actual.mean(axis=0), ravel_pytree(result.of_cost)[0])
    difference = relative_difference(result.norms[0], np.linalg.norm(actual, axis=1))  # norms are (1, m)
    yield judge("‖∇c_i‖", case.name, "their norms", difference, AUTODIFF_BOUND)


def row_space_rows(rng: np.random.Generator, optimizers: tuple[str, ...]) -> Iterator[Row]:
    """Yield a row for each optimizer: training in the space of the rows against training in that of the features."""
    net = Network((24, 3, 2), "tanh", "softmax")
    X, labels = rng.normal(size=(5, 24)), np.array([0, 1, 1, 0, 1])  # fewer rows than features
    objective = Objective(l2=0.7, max_norm=2.0)
    for optimizer in optimizers:
        config = TrainConfig(epochs=100, batch_size="full", optimizer=optimizer, learning_rate=0.1, objective=objective)
        fast, plain = (fit(net, (X, labels), config, row_space=flag) for flag in (True, False))
        # W₁ and the costs of all steps, as one vector
        actual, expected = (
            np.append(np.ravel(result.params[0]["W"]), [report.cost for report in result.history])
            for result in (fast, plain)
        )
        # NaN fails: if both runs took plain steps, nothing was compared
        difference = relative_difference(actual, expected) if fast.row_space else np.nan
        yield judge("row space", f"tanh 24-3-2, {optimizer}", "plain steps", difference, ROW_SPACE_BOUND)
