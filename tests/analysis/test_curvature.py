"""The Hessian against autodiff of the undecorated cost and central differences, λ_max against a dense eigensolver."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import zoo
from jax.flatten_util import ravel_pytree

import jaxmlp
from jaxmlp.analysis.curvature import hessian, hvp, largest_eigenvalue
from jaxmlp.errors import InputError
from jaxmlp.nn.backprop import evaluate
from jaxmlp.nn.objective import Batch, Objective
from jaxmlp.nn.rule import AUTODIFF

NAMES = ["logistic regression", "Nielsen", "mixed", "own"]


def planted(name, l2=None):
    net, cost = zoo.NETWORKS[name]
    params, X, Y, weights = zoo.example(net, cost)
    return jax.tree.map(jnp.asarray, params), X, Y, net, Objective(cost, l2=l2), weights


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_hessian_against_autodiff_of_the_undecorated_cost(name):
    params, X, Y, net, objective, weights = planted(name, l2=0.3)
    theta, unravel = ravel_pytree(params)
    batch = Batch(jnp.asarray(X), jnp.asarray(Y), jnp.asarray(weights))
    expected = jax.hessian(lambda t: evaluate(unravel(t), batch, net, objective, AUTODIFF)[0])(theta)
    found = hessian(params, X, Y, net, objective, weights)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, atol=1e-12 * scale)
    np.testing.assert_allclose(found, found.T, atol=1e-12 * scale)


def test_product_is_the_central_difference_of_the_gradient(rng):
    params, X, Y, net, objective, weights = planted("Nielsen", l2=0.3)
    V = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), params)
    h = 1e-5

    def gradient(step):
        moved = jax.tree.map(lambda p, v: p + step * v, params, V)
        return jaxmlp.backprop(moved, X, Y, net, objective, weights)[1]

    ahead, behind = gradient(h), gradient(-h)
    found = hvp(params, V, X, Y, net, objective, weights)
    for ours, a, b in zip(*map(jax.tree.leaves, (found, ahead, behind)), strict=True):
        np.testing.assert_allclose(ours, (a - b) / (2 * h), rtol=1e-6, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_largest_eigenvalue_against_a_dense_solver(name):
    arguments = planted(name)
    expected = np.linalg.eigvalsh(hessian(*arguments)).max()
    found = largest_eigenvalue(*arguments, tolerance=1e-6, steps=20_000)
    assert found.value == pytest.approx(expected, rel=1e-6)
    assert found.residual <= 1e-6 * (abs(found.value) + abs(np.linalg.eigvalsh(hessian(*arguments)).min()))
    assert float(jnp.linalg.norm(ravel_pytree(found.vector)[0])) == pytest.approx(1)


def test_a_dominant_negative_eigenvalue_is_not_the_largest():
    # J = 1/2 (σ(z) - y)² bends down where σ is far on the wrong side: J'' = σ'² + (σ - y) σ'' < 0 at z = 2, y = 0
    net = jaxmlp.Network((1, 1), "relu", "sigmoid")
    params = ({"W": jnp.ones((1, 1)), "b": jnp.zeros((1, 1))},)
    arguments = params, jnp.array([[2.0, -1.0]]), jnp.zeros((1, 2)), net, Objective("quadratic")
    values = np.linalg.eigvalsh(hessian(*arguments))
    assert -values.min() > values.max() > 0
    found = largest_eigenvalue(*arguments, tolerance=1e-8, steps=20_000)
    assert found.value == pytest.approx(values.max(), rel=1e-6)


def test_a_saddle_has_eigenvalues_of_both_signs_and_the_positive_one_is_found():
    # J = 1/2m Σ (w₂ w₁ x - y)² at 0: ∂²J/∂w₁∂w₂ = -Σ xy/m = -13/3, so that λ = ±13/3 and neither dominates
    net = jaxmlp.Network((1, 1, 1), "identity", "identity")
    params = ({"W": jnp.zeros((1, 1)), "b": jnp.zeros((1, 1))},) * 2
    X, Y = jnp.array([[1.0, 2.0, -3.0]]), jnp.array([[2.0, 1.0, -3.0]])
    found = largest_eigenvalue(params, X, Y, net)
    assert found.value == pytest.approx(13 / 3, rel=1e-3)
    assert found.residual <= 0.02 * found.value


@pytest.mark.slow
def test_gradient_descent_converges_below_two_over_lambda_and_diverges_above(rng):
    net = jaxmlp.Network((3, 2), "relu", "identity")  # a quadratic cost of linear outputs
    X, Y = rng.normal(size=(3, 20)), rng.normal(size=(2, 20))
    params = jaxmlp.init(jax.random.key(0), net)
    bound = 2 / largest_eigenvalue(params, X, Y, net, tolerance=1e-8).value
    ends = []
    for alpha in (0.99 * bound, 1.01 * bound):
        p = params
        for _ in range(1000):
            p = optax.apply_updates(p, optax.tree.scale(-alpha, jaxmlp.backprop(p, X, Y, net)[1]))
        ends.append(float(jaxmlp.cost(p, X, Y, net)))
    assert ends[0] < float(jaxmlp.cost(params, X, Y, net))
    assert ends[1] > 1e6


def test_what_they_refuse():
    params, X, Y, net, *_ = planted("Nielsen")
    with pytest.raises(InputError, match="expects W of shape"):
        hvp(params, ({"W": jnp.ones((4, 3)), "b": jnp.ones((3, 1))}, params[1]), X, Y, net)
    with pytest.raises(InputError, match="tolerance expects a positive number"):
        largest_eigenvalue(params, X, Y, net, tolerance=0)
    wide = jaxmlp.Network((100, 50, 1), "relu", "sigmoid")
    with pytest.raises(InputError, match="hessian expects at most 4096 parameters, got 5101"):
        hessian(jaxmlp.init(jax.random.key(0), wide), np.ones((100, 2)), np.ones((1, 2)), wide)
