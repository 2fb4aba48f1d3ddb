"""`trace` backwards, the course's dictionaries, and NumPy's random numbers."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import zoo
from marks import slow_except

import jaxmlp
from jaxmlp.errors import InputError, InputTypeError
from jaxmlp.nn import costs
from jaxmlp.nn.passes import trace as compiled_trace

trace = inspect.unwrap(compiled_trace)
NAMES = [*zoo.NETWORKS]


@pytest.mark.parametrize("name", slow_except(NAMES, *NAMES[:3]))
def test_trace_with_targets_gives_the_gradient_of_backprop(name):
    net, cost = zoo.NETWORKS[name]
    params, X, Y, weights = zoo.example(net, cost)
    objective = jaxmlp.Objective(cost=cost, l2=0.3)
    J, dparams = jaxmlp.backprop(params, X, Y, net, objective, weights)
    steps = trace(params, X, net, Y, objective, weights)
    for step, layer in zip(steps, dparams, strict=True):
        for key, leaf in layer.items():
            np.testing.assert_allclose(step[f"d{key}"], leaf, rtol=1e-12, atol=1e-15)
    mean = (weights * steps[-1]["losses"]).sum() / weights.sum()
    assert J - mean > 0  # the penalty is no part of the losses
    assert mean == pytest.approx(jaxmlp.cost(params, X, Y, net, jaxmlp.Objective(cost=cost), weights))


@pytest.mark.parametrize("name", NAMES)
def test_every_derivative_has_the_shape_of_its_variable(name):
    net, cost = zoo.NETWORKS[name]
    params, X, Y, _ = zoo.example(net, cost)
    for step, row in zip(trace(params, X, net, Y, jaxmlp.Objective(cost=cost)), net.shapes, strict=True):
        assert {"Z", "A", "dA", "dZ", "dW", "db"} <= step.keys()
        assert step["dZ"].shape == step["Z"].shape
        assert step["dA"].shape == step["A"].shape
        assert (step["dW"].shape, step["db"].shape) == (row.W, row.b)


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_trace_of_a_normalised_network_is_that_of_backprop(norm):
    net = jaxmlp.Network((3, 5, 2), "tanh", "softmax", norm)
    params = jaxmlp.init(jax.random.key(0), net)
    X, Y = jax.random.normal(jax.random.key(1), (3, 6)), jnp.array([[0, 1, 1, 0, 1, 0]])
    weights = jnp.array([[1.0, 2, 3, 1, 2, 3]])
    _, dparams = jaxmlp.backprop(params, X, Y, net, None, weights)
    steps = jaxmlp.trace(params, X, net, Y, None, weights)
    np.testing.assert_allclose(steps[0]["dgamma"], dparams[0]["gamma"], rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(steps[0]["dW"], dparams[0]["W"], rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize(("cost", "output"), zoo.HEADS, ids=lambda value: getattr(value, "name", value))
def test_the_slope_of_a_cost_pulled_back_through_the_output_is_its_delta(cost, output):
    record, n = costs.find(cost, output), 3
    Z = jax.random.normal(jax.random.key(0), (output.pieces * n, 5))
    A = output.apply(Z)
    Y = jnp.eye(n)[:, [0, 1, 2, 1, 0]] if cost != "poisson" else jnp.arange(15.0).reshape(n, 5)
    assert record.slope is not None
    pulled = output.pullback(Z, A, record.slope(A, Y))
    np.testing.assert_allclose(pulled, record.delta(output, Z, Y), rtol=1e-11, atol=1e-13)


def test_a_cost_without_slope_has_no_dA_in_the_last_layer():
    net = jaxmlp.Network((2, 3, 1), "tanh", "sigmoid")
    own = costs.find("quadratic", net.activations[-1])._replace(name="own", slope=None)
    params, X, Y, _ = zoo.example(net, "quadratic")
    first, last = trace(params, X, net, Y, jaxmlp.Objective(cost=own))
    assert "dA" in first
    assert "dA" not in last


def test_the_logits_keep_dZ_finite_where_dA_is_not():
    net = jaxmlp.Network((1, 1), output="sigmoid")
    params = ({"W": np.array([[800.0]]), "b": np.zeros((1, 1))},)
    (step,) = jaxmlp.trace(params, np.ones((1, 1)), net, np.zeros((1, 1)))
    assert not np.isfinite(step["dA"]).all()
    assert (step["dZ"].item(), step["losses"].item()) == (1.0, 800.0)


# --- dictionaries -----------------------------------------------------------------------------------------------------


def test_a_dictionary_and_back():
    net = jaxmlp.Network((3, 4, 2, 1), "relu", "sigmoid", "batch")
    params = jaxmlp.init(jax.random.key(0), net)
    dictionary = jaxmlp.params_to_dict(params)
    assert [*dictionary] == ["W1", "b1", "gamma1", "W2", "b2", "gamma2", "W3", "b3"]
    shuffled = dict(reversed(dictionary.items()))
    again = jaxmlp.params_from_dict(shuffled)
    assert jax.tree.structure(again) == jax.tree.structure(params)
    assert all(a is b for a, b in zip(jax.tree.leaves(again), jax.tree.leaves(params), strict=True))


W1, b1 = np.ones((4, 3)), np.zeros((4, 1))


@pytest.mark.parametrize(
    ("dictionary", "text"),
    [
        ({"W1": W1, "b1": np.zeros(4)}, r"b1 expects shape \(4, 1\), got \(4,\): write b1.reshape\(4, 1\)"),
        ({"W1": W1}, "params_from_dict expects a key b1, got W1: number the layers from 1 on"),
        ({"W2": W1, "b2": b1}, "expects a key W1, got W2, b2"),
        ({"w1": W1, "b1": b1}, "got a key 'w1': number the layers from 1 on: write W1$"),
        ({"W_2": W1, "b_2": b1}, "got a key 'W_2': number the layers from 1 on: write W2$"),
        ({"W0": W1, "b0": b1}, "got a key 'W0': number the layers from 1 on: write W1$"),
        ({"w": W1, "b": b1}, "got a key 'w': number the layers from 1 on: write W1$"),
        ({"W1": W1, "b1": b1, "A1": W1}, "got a key 'A1': give parameters only"),
        ({"W1": W1, "b1": np.zeros((3, 1))}, r"b1 expects shape \(4, 1\), got \(3, 1\): one row for each of W"),
        ({"W1": np.ones(3), "b1": b1}, r"W1 expects two dimensions, got shape \(3,\)"),
        ({}, "an empty one"),
    ],
)
def test_a_dictionary_that_is_none_of_a_network(dictionary, text):
    with pytest.raises(InputError, match=text):
        jaxmlp.params_from_dict(dictionary)


def test_a_number_for_a_bias_and_a_tuple_for_a_dictionary():
    with pytest.raises(InputTypeError, match=r"got b1 as int: write numpy.zeros\(\(n, 1\)\)"):
        jaxmlp.params_from_dict({"W1": W1, "b1": 0})
    with pytest.raises(InputTypeError, match=r"got W1 as list: convert it with numpy.array"):
        jaxmlp.params_from_dict({"W1": W1.tolist(), "b1": b1})
    with pytest.raises(InputTypeError, match="got tuple: a tuple of layers needs no conversion"):
        jaxmlp.params_from_dict(({"W": W1, "b": b1},))  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputTypeError, match="params_to_dict expects a tuple of dictionaries"):
        jaxmlp.params_to_dict({"W1": W1})  # pyright: ignore[reportArgumentType]


def test_where_a_tuple_is_expected_the_error_names_the_function():
    net = jaxmlp.Network((3, 4), output="softmax")
    with pytest.raises(InputError, match=r"got a dictionary with W1, b1: write jaxmlp.params_from_dict\(params\)"):
        jaxmlp.forward({"W1": W1, "b1": b1}, np.ones((3, 2)), net)


# --- NumPy's random numbers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("initializer", "factor"), [("lecun_normal", 5**-0.5), ("he_normal", 0.4**0.5), ("normal(0.01)", 0.01)]
)
def test_init_numpy_draws_what_the_course_draws(initializer, factor):
    generator = np.random.RandomState(3)
    params = jaxmlp.init_numpy(jaxmlp.Network((5, 4, 1), output="sigmoid"), 3, initializer)
    np.testing.assert_allclose(params[0]["W"], generator.randn(4, 5) * factor, rtol=1e-14)
    second = generator.randn(1, 4)
    np.testing.assert_allclose(np.asarray(params[1]["W"]) / second, np.ones((1, 4)) * (params[1]["W"] / second)[0, 0])
    assert not params[0]["b"].any()


def test_init_numpy_refuses_what_is_no_seed_and_no_normal_initializer():
    net = jaxmlp.Network((5, 1), output="sigmoid")
    with pytest.raises(InputError, match="seed expects a whole number"):
        jaxmlp.init_numpy(net, -1)
    with pytest.raises(InputError, match="init_numpy expects an initializer of normal numbers, got 'he_uniform'"):
        jaxmlp.init_numpy(net, 1, "he_uniform")
    assert not jaxmlp.init_numpy(net, 1, "zeros")[0]["W"].any()


def test_the_published_first_cost_of_the_cats_is_one_call(data_folder):
    data = jaxmlp.load(data_folder / "cat")
    net = jaxmlp.Network((12288, 20, 7, 5, 1), "relu", "sigmoid")
    X, Y = data.preprocessing(data.train.rows, np.float64).T, data.train.targets[None, :].astype(float)
    assert f"{jaxmlp.cost(jaxmlp.init_numpy(net), X, Y, net):.6f}" == "0.771749"
