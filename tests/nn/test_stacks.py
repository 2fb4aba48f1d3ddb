"""Stacks of equal layers: the same network, the same draws, the same gradients."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import zoo

import jaxmlp
from jaxmlp.nn import backprop as backprops
from jaxmlp.nn import initializers
from jaxmlp.nn.objective import Batch
from jaxmlp.nn.stacks import stacked, unstacked

KEY = jax.random.key(3)


@pytest.mark.parametrize(("norm", "scheme"), [(None, "auto"), ("batch", "xavier_uniform"), (None, "constant(0.5)")])
def test_init_draws_each_layer_from_its_own_key(norm, scheme):
    net = zoo.deep(norm=norm)
    params = jaxmlp.init(KEY, net, scheme)
    for key, row, g, layer in zip(jax.random.split(KEY, net.depth), net.shapes, net.activations, params, strict=True):
        drawn = initializers.find(g.init if scheme == "auto" else scheme)
        W = drawn.draw(key, row.W, row.n_in, row.n_out, layer["W"].dtype)
        chex.assert_trees_all_close(layer["W"], W, rtol=1e-12)
        assert {name: leaf.shape for name, leaf in layer.items()} == row.leaves
        np.testing.assert_array_equal(layer["b"], jnp.zeros(row.b))
    chex.assert_trees_all_close(jax.jit(lambda key: jaxmlp.init(key, net, scheme))(KEY), params, rtol=1e-12)


def test_keys_of_another_kind_draw_each_layer_and_mask_as_alone():
    net, key = zoo.deep(), jax.random.key(3, impl="rbg")
    params = jaxmlp.init(key, net, "normal(1.0)")
    keys = jax.random.split(key, net.depth)
    chex.assert_trees_all_close(params[5]["W"], jax.random.normal(keys[5], (6, 6)), rtol=1e-12)
    alone = backprops.draw_noise(key, net, jaxmlp.Objective(dropout=0.5), jnp.zeros((5, 4)))
    together = backprops.draw_noise(key, net, jaxmlp.Objective(dropout=0.5), jnp.zeros((5, 4)), net.runs)
    apart = unstacked([{"W": mask} for mask in together.masks[1:]], net.runs[1:])
    chex.assert_trees_all_equal(apart, [{"W": mask} for mask in alone.masks[1:]])


@pytest.mark.parametrize("firm", [False, True])
def test_layers_are_as_firmly_on_their_device_as_their_stack(firm):
    layers = [{"W": jnp.full((2, 2), l)} for l in range(10)]
    stack = jax.device_put(stacked(layers, (1, 8, 1)), jax.devices()[0] if firm else None)
    assert [layer["W"].committed for layer in unstacked(stack, (1, 8, 1))] == [firm] * 10


@pytest.mark.parametrize(
    ("activation", "norm"), [("tanh", None), ("maxout(2)", None), ("relu", "batch"), ("tanh", "layer")]
)
def test_cost_and_gradient_of_a_stack_are_those_of_its_layers(activation, norm, rng):
    net = zoo.deep(9, activation, norm)
    with jax.enable_x64(True):
        params = jaxmlp.init(KEY, net, dtype="float64")
        X, Y = rng.standard_normal((5, 24)), np.eye(3)[:, np.arange(24) % 3]
        objective = jaxmlp.Objective(l2=0.5, l1=0.1, dropout=0.3, input_dropout=0.1)
        J, dparams = jaxmlp.backprop(params, X, Y, net, objective, None, KEY)
        batch, checked = backprops.check_batch(params, X, Y, net, objective, None)

        def J_of(stacks):
            noise = backprops.draw_noise(KEY, net, checked, batch.X, net.runs)
            return backprops.evaluate(stacks, Batch(*batch), net, checked, noise=noise).J

        found, dstacks = jax.value_and_grad(J_of)(stacked(params, net.runs))
    assert net.runs == (1, 8, 1)
    assert [layer["W"].ndim for layer in dstacks] == [2, 3, 2]
    chex.assert_trees_all_close((found, unstacked(dstacks, net.runs)), (J, dparams), rtol=1e-10, atol=1e-14)
