"""The range test: it ends where descent fails, and suggests a rate with room to that edge."""

import jax
import numpy as np
import pytest

import jaxmlp
from jaxmlp import Network, Objective
from jaxmlp.data import Dataset
from jaxmlp.errors import DivergenceError, InputError, InputTypeError
from jaxmlp.training.optimizers import unit_optimizer

LINE = Network((1, 1), "tanh", "identity")


@pytest.fixture(scope="module")
def line():
    """About y = 3x: J(w, b) has the Hessian X Xᵀ/m of (x, 1), diag(1, 1) here, so descent fails beyond α = 2."""
    rows = np.array([[-1.0], [1.0], [-1.0], [1.0]])
    return Dataset.from_arrays(rows, np.array([-3.0, 3.1, -2.0, 3.7]), task="regression")


def test_the_edge_of_descent_is_found(line):
    found = jaxmlp.lr_find(LINE, line, optimizer="sgd", batch_size="full", lowest=1e-4, highest=100, steps=300)
    assert found.rates[-1] < 100  # it saw the cost grow
    assert found.rates[-1] > 2
    assert found.suggestion < 1  # well below the edge
    assert found.suggestion == pytest.approx(found.rates[found.smoothed.argmin()] / 10)


def test_frozen_layers_need_their_moments_as_in_training():
    data = jaxmlp.load("xor")
    net = Network((2, 4, 1), "tanh", "sigmoid", norm="batch")
    with pytest.raises(InputError, match="freeze expects running moments of layer 1, got params alone"):
        jaxmlp.lr_find(net, data, params=jaxmlp.init(jax.random.key(0), net), freeze=[1])


def test_costs_are_those_of_training_at_these_rates(line):
    found = jaxmlp.lr_find(LINE, line, optimizer="sgd", batch_size="full", lowest=0.1, highest=0.4, steps=5)
    np.testing.assert_allclose(found.rates, np.geomspace(0.1, 0.4, 5))
    costs = []
    jaxmlp.fit(
        LINE,
        line,
        optimizer="sgd",
        learning_rate=lambda step: found.rates[int(step)],
        batch_size="full",
        epochs=5,
        callbacks=lambda state, report: costs.append(report.cost),
    )
    np.testing.assert_allclose(found.costs, costs, rtol=1e-12)
    smoothed = [sum(0.1 * 0.9 ** (t - i) * costs[i] for i in range(t + 1)) / (1 - 0.9 ** (t + 1)) for t in range(5)]
    np.testing.assert_allclose(found.smoothed, smoothed, rtol=1e-12)


def test_it_goes_through_more_than_an_epoch_and_leaves_parameters_alone():
    data = jaxmlp.load("digits")
    net = jaxmlp.network_for(data, 8)
    params = jaxmlp.init(jax.random.key(1), net)
    before = jax.tree.map(np.array, params)
    found = jaxmlp.lr_find(net, data, params=params, batch_size=700, steps=9, highest=0.1)  # three steps an epoch
    assert len(found.costs) == 9
    assert len(set(found.costs)) == 9
    jax.tree.map(np.testing.assert_array_equal, params, before)


@pytest.mark.slow
def test_arguments_change_the_test(line):
    data = jaxmlp.load("xor")
    net = jaxmlp.network_for(data, 4)
    plain = {"batch_size": 2, "steps": 6, "highest": 0.1}
    expected = jaxmlp.lr_find(net, data, **plain).costs
    changes = [
        {"optimizer": "sgd"},
        {"optimizer": "adamw", "weight_decay": 1.0},
        {"objective": Objective(l2=1.0)},
        {"batch_size": "full"},
        {"key": jax.random.key(3)},
        {"initializer": "he_uniform"},
        {"class_weight": {0: 5.0}},
        {"optimizer": "sgd", "clip_norm": 0.001},
        {"freeze": (1,)},
        {"lowest": 1e-3},
        {"highest": 0.2},
        {"steps": 5},
        {"precision": "bfloat16"},
    ]
    for change in changes:
        other = jaxmlp.lr_find(net, data, **(plain | change)).costs
        assert other.shape != expected.shape or (other != expected).any(), change


def test_an_optax_transformation_of_rate_one_does_as_well(line):
    named = jaxmlp.lr_find(LINE, line, optimizer="sgd", batch_size="full")
    given = jaxmlp.lr_find(LINE, line, optimizer=unit_optimizer("sgd"), batch_size="full")
    np.testing.assert_array_equal(named.costs, given.costs)


def test_a_negative_cost_is_no_end():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(64, 1))
    data = Dataset.from_arrays(rows, rng.poisson(np.exp(2 + rows[:, 0])).astype(float), task="regression")
    net = Network((1, 1), "tanh", "exp")
    found = jaxmlp.lr_find(net, data, objective=Objective("poisson"), batch_size="full", highest=1.0)
    assert found.costs.min() < 0
    assert found.smoothed.argmin() > 100
    assert found.suggestion > 1e-3


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lowest": 0}, "lowest expects a positive number, got 0"),
        ({"highest": 1e-9}, "highest expects a number above lowest = 1e-06, got 1e-09: write 10"),
        ({"steps": 1}, "steps expects a whole number of at least 2, got 1: write 200"),
        ({"optimizer": "lbfgs"}, "lr_find expects an optimizer with a learning rate, got 'lbfgs': train with it as it"),
        ({"freeze": (2,)}, "freeze expects layers from 1 to 1, not all of them, got [2]"),
        ({"batch_size": 0}, "batch_size expects a positive whole number or 'full', got 0"),
    ],
)
def test_mistakes_get_one_sentence(line, given, message):
    with pytest.raises(InputError) as caught:
        jaxmlp.lr_find(LINE, line, **given)
    assert str(caught.value).startswith(message)


def test_what_cannot_be_tested_is_said(line, tmp_path):
    with pytest.raises(InputTypeError, match="optimizer expects an optax transformation"):
        jaxmlp.lr_find(LINE, line, optimizer=3)  # pyright: ignore[reportArgumentType]
    huge = Dataset.from_arrays(np.array([[1e200], [-1e200]]), np.array([1e200, 3.0]), task="regression")
    with pytest.raises(DivergenceError, match="the cost is inf at the first step, with learning rate 1e-06: scale"):
        jaxmlp.lr_find(LINE, huge, batch_size="full")
