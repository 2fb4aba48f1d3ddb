"""Collapse against forward, the gradient of each example against autodiff of that example alone, norms against both."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import zoo

import jaxmlp
from jaxmlp.analysis.linear import collapse, example_gradient_norms, example_gradients
from jaxmlp.errors import InputError
from jaxmlp.nn.backprop import evaluate
from jaxmlp.nn.objective import Batch, Objective
from jaxmlp.nn.rule import AUTODIFF

SIZES = (4, 7, 3, 6, 2, 5)


@pytest.mark.parametrize("depth", range(1, 11))
def test_an_all_linear_network_is_one_layer(depth, rng):
    net = jaxmlp.Network((4, *(3 + l % 4 for l in range(depth - 1)), 5), "identity", "identity")
    params = tuple({"W": rng.normal(size=row.W), "b": rng.normal(size=row.b)} for row in net.shapes)
    X = rng.normal(size=(4, 9))
    one = collapse(params, net)
    expected = jaxmlp.forward(params, X, net)
    np.testing.assert_allclose(one["W"] @ X + one["b"], expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())
    assert np.linalg.matrix_rank(np.asarray(one["W"])) == min(net.sizes)


def test_collapse_refuses_what_is_not_linear_or_does_not_fit(rng):
    net = jaxmlp.Network((2, 3, 1), "tanh", "identity")
    params = jaxmlp.init(jax.random.key(0), net)
    with pytest.raises(InputError, match=r"collapse, layer 1 expects activation 'identity', got 'tanh'"):
        collapse(params, net)
    assert collapse(params)["W"].shape == (1, 2)
    with pytest.raises(InputError, match=r"layer 2 expects W of shape \(3, 3\), got \(3, 1\)"):
        collapse((params[0], {"W": jnp.ones((3, 1)), "b": jnp.ones((3, 1))}))
    for nothing, got in (((), "none"), (3, "int")):
        with pytest.raises(InputError, match=f"collapse expects at least one layer, got {got}"):
            collapse(nothing)  # pyright: ignore[reportArgumentType]


def test_collapse_does_not_broadcast_a_bias(rng):
    def layers(*b):
        shapes = ((4, 3), (2, 4))
        return tuple({"W": rng.normal(size=W), "b": rng.normal(size=shape)} for W, shape in zip(shapes, b, strict=True))

    assert collapse(layers((4, 1), (2, 1)))["b"].shape == (2, 1)
    for second in ((2,), (5, 1), (1, 1)):
        with pytest.raises(InputError, match=r"layer 2 expects b of shape \(2, 1\)"):
            collapse(layers((4, 1), second))
    with pytest.raises(InputError, match="layer 2 expects a dictionary with keys 'W' and 'b'"):
        collapse((layers((4, 1), (2, 1))[0], {"W": rng.normal(size=(2, 4))}))
    with pytest.raises(InputError, match=r"collapse, layer 1 expects a dictionary with a matrix W and b, got \['b'\]"):
        collapse(({"b": rng.normal(size=(2, 1))},))


def test_collapse_of_a_network_takes_its_parameters_alone(rng):
    net = jaxmlp.Network((3, 4, 2), "identity", "identity")
    params = jaxmlp.init(jax.random.key(0), net)
    with pytest.raises(InputError, match="params expects a tuple of 2 layers"):
        collapse(params[:1], net)
    with pytest.raises(InputError, match=r"layer 1 expects W of shape \(4, 3\), got \(4, 5\)"):
        collapse(({**params[0], "W": jnp.ones((4, 5))}, params[1]), net)
    normal = jaxmlp.Network((3, 4, 2), "identity", "identity", norm="layer")
    with pytest.raises(InputError, match="collapse expects a network without normalisation"):
        collapse(jaxmlp.init(jax.random.key(0), normal), normal)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["logistic regression", "softmax regression", "mixed", "softmax, quadratic", "own"])
def test_gradients_of_examples(name):
    net, cost = zoo.NETWORKS[name]
    params, X, Y, _ = zoo.example(net, cost)
    objective = Objective(cost)
    found = example_gradients(params, X, Y, net, objective)

    def loss(params, x, y):  # one example through JAX's own rules
        return evaluate(params, Batch(x[:, None], y[:, None]), net, objective, AUTODIFF)[0]

    expected = jax.vmap(jax.grad(loss), in_axes=(None, 1, 1))(jax.tree.map(jnp.asarray, params), X, Y)
    for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-12)
    mean = jax.tree.map(lambda leaf: leaf.mean(axis=0), found)
    for ours, theirs in zip(
        jax.tree.leaves(mean), jax.tree.leaves(jaxmlp.backprop(params, X, Y, net, objective)[1]), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-13)
    squares = sum(jnp.square(leaf).sum(axis=(1, 2)) for leaf in jax.tree.leaves(found))
    norms = example_gradient_norms(params, X, Y, net, objective)
    assert norms.shape == (1, X.shape[1])
    np.testing.assert_allclose(norms[0] ** 2, squares, rtol=1e-12)


def test_norms_form_no_outer_product():
    net = jaxmlp.Network((40, 50, 60), "tanh", "softmax")
    params, X, Y, _ = zoo.example(net, "categorical_cross_entropy", m=30)
    jaxpr = str(jax.make_jaxpr(example_gradient_norms, static_argnums=())(params, X, Y, net))
    assert "[30,50,40]" not in jaxpr
    assert "[30,60,50]" not in jaxpr
    assert "[30,50,40]" in str(jax.make_jaxpr(example_gradients)(params, X, Y, net))


def test_a_penalty_belongs_to_no_example():
    net, cost = zoo.NETWORKS["Nielsen"]
    params, X, Y, _ = zoo.example(net, cost)
    for function in (example_gradients, example_gradient_norms):
        with pytest.raises(InputError, match="no penalty, which belongs to no example"):
            function(params, X, Y, net, Objective(cost, l2=0.1))
