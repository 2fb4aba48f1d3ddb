"""The witnesses themselves: right where the answer is known, and silent where they cannot tell."""

import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
import zoo

from jaxmlp.evidence.formulas import formula, losses, residual_loss
from jaxmlp.evidence.network_check import witnesses
from jaxmlp.evidence.network_check.cases import random_targets
from jaxmlp.evidence.network_check.witnesses import MAX_ENTRIES, activation_piece, relative_difference, slopes
from jaxmlp.evidence.precision import cpu_device, float64
from jaxmlp.nn import activations, costs


def test_relative_difference_is_that_of_norms():
    assert relative_difference([3.0, 4.5], [3.0, 4.0]) == pytest.approx(0.1)
    assert relative_difference(np.zeros((2, 2)), np.zeros((2, 2))) == 0
    assert relative_difference([1e-3], [0.0]) == 1e-3
    assert np.isnan(relative_difference([np.nan], [1.0]))


@pytest.mark.parametrize("g", zoo.BUILT_IN, ids=lambda g: g.name)
def test_formulas_are_those_of_the_oracle(g, rng):
    Z = rng.uniform(-5, 5, size=(6, 7))
    in_numpy = formula(g)
    assert in_numpy is not None
    np.testing.assert_allclose(in_numpy.apply(Z), oracle.activation(g.name).apply(Z), rtol=1e-13, atol=1e-15)
    stack = np.stack([Z, 2 * Z])
    np.testing.assert_array_equal(in_numpy.apply(stack), np.stack([in_numpy.apply(Z), in_numpy.apply(2 * Z)]))
    dA = rng.normal(size=(len(Z) // g.pieces, 7))
    expected = oracle.activation(g.name).backward(Z, dA)
    np.testing.assert_allclose(in_numpy.pullback(Z, dA), expected, rtol=1e-13, atol=1e-15)


def test_a_users_activation_has_no_formula_and_is_applied_as_it_is(rng):
    assert formula(zoo.SINE) is None
    Z = rng.normal(size=(5, 3, 2))
    np.testing.assert_allclose(witnesses.apply_activation(zoo.SINE, Z), np.sin(Z), rtol=1e-15)


@pytest.mark.parametrize(("loss", "g"), zoo.HEADS, ids=lambda item: getattr(item, "name", item))
def test_losses_are_the_costs_without_jax(loss, g, rng):
    Z = rng.normal(size=(4 * g.pieces, 7))
    Y = np.eye(4)[:, rng.integers(0, 4, size=7)]
    cost = costs.find(loss, g)
    expected = cost.losses(g, jnp.asarray(Z), jnp.asarray(Y))[0]
    assert (losses(cost, g, Z, Y) is None) == (g in (zoo.SINE, zoo.SOFTSIGN))
    parts = witnesses.cost_parts(cost, g, np.stack([Z, Z]), Y, None)
    np.testing.assert_allclose(parts, np.stack([expected, expected]) / 7, rtol=1e-13)


def test_losses_stay_finite_where_a_rounds_to_0_or_1():
    Z = np.array([[800.0, -800.0]])
    c = losses(costs.binary_cross_entropy, activations.sigmoid, Z, np.array([[0.0, 0.0]]))
    assert c is not None
    assert c.tolist() == [800.0, 0.0]


def test_slopes_of_a_known_function(rng):
    x = rng.normal(size=(3, 4))
    found = slopes(lambda x: (np.exp(x), ()), x, rng)
    assert found.decided.all()
    np.testing.assert_allclose(found.values.reshape(3, 4), np.exp(x), rtol=1e-10)
    assert (np.abs(found.values - np.exp(x).reshape(-1)) <= found.uncertainty).all()


def test_a_large_leaf_is_sampled_and_moved_in_blocks(rng):
    x = rng.normal(size=(300, 400))
    copies = []

    def square(moved):
        copies.append(len(moved))
        return (moved**2).reshape(len(moved), -1), ()

    found = slopes(square, x, rng)
    assert len(found.indices) == MAX_ENTRIES == len({*found.indices})
    assert len(copies) > 1
    assert max(copies) * x.size <= 1 << 20
    np.testing.assert_allclose(found.values, 2 * x.reshape(-1)[found.indices], rtol=1e-7)


def test_slopes_across_a_kink_are_undecided_and_all_others_decided(rng):
    relu = activations.relu
    x = np.array([[-1.0, 1e-6, 0.0, 2.0]])
    found = slopes(lambda x: (witnesses.apply_activation(relu, x), [activation_piece(relu, x)]), x, rng)
    assert found.decided.tolist() == [True, False, False, True]
    np.testing.assert_allclose(found.values[[0, 3]], [0, 1], atol=1e-10)


def test_pieces_tell_the_sides_of_kinks_and_the_winner_of_maxout():
    Z = np.array([[[-1.0, 0.0, 1.0]], [[2.0, 3.0, -4.0]]])
    assert activation_piece(activations.relu, Z)[:, 0].tolist() == [[0, 0, 1], [1, 1, 0]]
    assert not activation_piece(activations.tanh, Z).any()
    assert activation_piece(activations.find("maxout(3)"), Z.transpose(0, 2, 1))[:, 0, 0].tolist() == [2, 1]


@pytest.mark.parametrize("name", zoo.RESIDUAL_COSTS)
def test_residual_losses_have_the_slopes_of_the_oracle(name, rng):
    rho, R = residual_loss(name), np.append(rng.normal(size=(3, 7)), np.zeros((1, 7)), axis=0)
    assert rho is not None
    c, dA = oracle.cost(name)(R, 0 * R)
    np.testing.assert_allclose(rho.loss(R).sum(axis=0), c, rtol=1e-14)
    np.testing.assert_allclose(rho.slope(R), dA, rtol=1e-14)


def test_pieces_of_a_cost_are_those_of_its_residual(rng):
    identity, Y = activations.identity, np.array([[1.0]])
    Z = np.array([0.0, 0.4, 1.0, 1.4, 2.0]).reshape(5, 1, 1)
    pieces = {name: witnesses.cost_piece(costs.find(name, identity), identity, Z, Y) for name in zoo.RESIDUAL_COSTS}
    with_kinks = {"huber(0.5)": [0, 0, 1, 1, 2], "absolute": [0, 0, 0, 1, 1], "quantile(0.9)": [0, 0, 0, 1, 1]}
    for name, found in pieces.items():
        assert found.reshape(-1).tolist() == with_kinks.get(name, [0] * 5), name


def test_draws_fit_the_cost(rng):
    binary = random_targets(3, costs.binary_cross_entropy, rng, 50)
    assert {*binary.flat} == {0.0, 1.0}
    classes = random_targets(3, costs.categorical_cross_entropy, rng, 50)
    assert (classes.sum(axis=0) == 1).all()
    assert (classes.sum(axis=1) > 0).all()
    counts = random_targets(3, costs.poisson, rng, 50)
    assert counts.min() == 0
    assert (counts == counts.round()).all()
    assert len({*random_targets(3, costs.find("quadratic", activations.identity), rng, 50).flat}) == 150


def test_float64_is_a_context():
    with jax.enable_x64(False):
        with float64():
            assert jnp.ones(2).dtype == jnp.float64
            assert jnp.ones(2).devices() == {cpu_device()}
        assert jnp.ones(2).dtype == jnp.float32
        with pytest.raises(KeyError), float64():
            raise KeyError
        assert jnp.ones(2).dtype == jnp.float32
