"""The linear algebra of the textbook against its witnesses: Hessian, collapse, the gradient of one example.

H v           against autodiff of the undecorated cost, and central differences of its gradient
H             against autodiff; H = Hᵀ; its product with v is H v
collapse      W' X + b' against the Z_L of the all-linear network
∇c_i          of every example against autodiff of that example alone; their mean is the gradient of J
‖∇c_i‖        from ‖δ‖ and ‖a‖ against the norms of those gradients
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree

from jaxmlp.evidence.certificate import Row, judge
from jaxmlp.evidence.curvature import hessian, hvp
from jaxmlp.evidence.linear import collapse, example_gradient_norms, example_gradients
from jaxmlp.evidence.proof.derivatives import Case, compile_once
from jaxmlp.evidence.proof.equations import AUTODIFF, DIFFERENCES, against_autodiff
from jaxmlp.evidence.proof.witnesses import relative_difference
from jaxmlp.nn.backprop import AUTODIFF as UNDECORATED
from jaxmlp.nn.backprop import evaluate
from jaxmlp.nn.network import Network, Params
from jaxmlp.nn.objective import Batch, Objective
from jaxmlp.nn.propagation import logits

STEP = 1e-3  # of the gradient along v; D(h) and D(2h) together leave an error of h⁴


class _Curvature(NamedTuple):
    """H v and H: ours, by autodiff, and the slope of the gradient along v."""

    Hv: Array
    Hv_autodiff: Array
    Hv_differences: Array
    H: Array
    H_autodiff: Array


@compile_once
def _curvature(params: Params, v: Array, batch: Batch, net: Network, aim: Objective) -> _Curvature:
    theta, unravel = ravel_pytree(params)
    X, Y, weights = batch

    def J(theta: Array) -> Array:  # without a rule of ours
        return evaluate(unravel(theta), batch, net, aim, UNDECORATED)[0]

    gradient, given = jax.grad(J), (X, Y, net, aim, weights)
    moved = jnp.outer(jnp.array([STEP, -STEP, 2 * STEP, -2 * STEP]), v)
    one, back, two, far = jax.lax.map(gradient, theta[None, :] + moved)
    H = jax.jacfwd(gradient)(theta)
    return _Curvature(
        ravel_pytree(hvp(params, unravel(v), *given))[0],
        H @ v,
        (8 * (one - back) - (two - far)) / (12 * STEP),
        hessian(params, *given),
        H,
    )


def curvature_rows(case: Case, rng: np.random.Generator) -> Iterator[Row]:
    """H v and H of a smooth network; in float64 if the caller's context is."""
    params, batch = jax.tree.map(jnp.asarray, (case.params, (case.X, case.Y, case.weights)))
    v = rng.normal(size=case.net.n_parameters)
    found = jax.tree.map(np.asarray, _curvature(params, jnp.asarray(v), Batch(*batch), case.net, case.objective))
    yield against_autodiff("H v", case.name, found.Hv, found.Hv_autodiff)
    difference = relative_difference(found.Hv, found.Hv_differences)
    yield judge("H v", case.name, "central differences", difference, DIFFERENCES)
    yield against_autodiff("H", case.name, found.H, found.H_autodiff)
    yield judge("H = Hᵀ", case.name, "its transpose", relative_difference(found.H, found.H.T), AUTODIFF)
    yield judge("H v", case.name, "the matrix H", relative_difference(found.Hv, found.H @ v), AUTODIFF)


def collapse_rows(case: Case) -> Iterator[Row]:
    """The one layer that an all-linear network is."""
    params, X = jax.tree.map(jnp.asarray, (case.params, case.X))
    one = collapse(params, case.net)
    difference = relative_difference(one["W"] @ X + one["b"], logits(params, X, case.net))
    yield judge("collapse", case.name, "forward", difference, AUTODIFF)


@compile_once
def _examples(params: Params, X: Array, Y: Array, net: Network, aim: Objective) -> tuple[Any, Any, Any, Array]:
    """The gradients of the examples, ours and by autodiff of one at a time; that of J; our norms."""

    def J(params: Params, X: Array, Y: Array) -> Array:
        return evaluate(params, Batch(X, Y, None), net, aim, UNDECORATED)[0]

    one_by_one = jax.vmap(lambda x, y: jax.grad(J)(params, x[:, None], y[:, None]), in_axes=1)(X, Y)
    norms = example_gradient_norms(params, X, Y, net, aim)
    return example_gradients(params, X, Y, net, aim), one_by_one, jax.grad(J)(params, X, Y), norms


def example_rows(case: Case) -> Iterator[Row]:
    """The gradient of every example, and its norm."""
    params, X, Y = jax.tree.map(jnp.asarray, (case.params, case.X, case.Y))
    ours, right, whole, norms = jax.tree.map(np.asarray, _examples(params, X, Y, case.net, case.objective))
    rows = [[leaf.reshape(len(leaf), -1) for leaf in jax.tree.leaves(gradients)] for gradients in (ours, right)]
    flat, expected = (np.concatenate(leaves, axis=1) for leaves in rows)
    yield against_autodiff("∇c_i", case.name, flat, expected)
    yield against_autodiff("mean of ∇c_i", case.name, flat.mean(axis=0), ravel_pytree(whole)[0])
    difference = relative_difference(norms[0], np.linalg.norm(flat, axis=1))
    yield judge("‖∇c_i‖", case.name, "their norms", difference, AUTODIFF)
