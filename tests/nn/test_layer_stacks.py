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
from jaxmlp.nn.augmentation import draw_noise
from jaxmlp.nn.layer_stacks import stack_layers, unstack_layers
from jaxmlp.nn.objective import Batch

KEY = jax.random.key(3)


@pytest.mark.quick("None-constant(0.5)")
@pytest.mark.parametrize(
    ("norm", "initializer"), [(None, "auto"), ("batch", "xavier_uniform"), (None, "constant(0.5)")]
)
def test_init_draws_each_layer_from_its_own_key(norm, initializer):
    net = zoo.deep(norm=norm)
    params = jaxmlp.init(KEY, net, initializer)
    for key, row, g, layer in zip(jax.random.split(KEY, net.depth), net.shapes, net.activations, params, strict=True):
        drawn = initializers.find(g.init if initializer == "auto" else initializer)
        W = drawn.draw(key, row.W, row.n_in, row.n_out, layer["W"].dtype)
        chex.assert_trees_all_close(layer["W"], W, rtol=1e-12)
        assert {name: leaf.shape for name, leaf in layer.items()} == row.leaves
        np.testing.assert_array_equal(layer["b"], jnp.zeros(row.b))
    chex.assert_trees_all_close(jax.jit(lambda key: jaxmlp.init(key, net, initializer))(KEY), params, rtol=1e-12)


@pytest.mark.slow
def test_keys_of_another_kind_draw_each_layer_and_mask_as_alone():
    net, key = zoo.deep(), jax.random.key(3, impl="rbg")
    params = jaxmlp.init(key, net, "normal(1.0)")
    keys = jax.random.split(key, net.depth)
    chex.assert_trees_all_close(params[5]["W"], jax.random.normal(keys[5], (6, 6)), rtol=1e-12)
    alone = draw_noise(key, net, jaxmlp.Objective(dropout=0.5), jnp.zeros((5, 4)))
    together = draw_noise(key, net, jaxmlp.Objective(dropout=0.5), jnp.zeros((5, 4)), net.runs)
    apart = unstack_layers([{"W": mask} for mask in together.masks[1:]], net.runs[1:])
    chex.assert_trees_all_equal(apart, [{"W": mask} for mask in alone.masks[1:]])


@pytest.mark.parametrize("firm", [False, True])
def test_layers_are_as_firmly_on_their_device_as_their_stack(firm):
    layers = [{"W": jnp.full((2, 2), l)} for l in range(10)]
    stack = jax.device_put(stack_layers(layers, (1, 8, 1)), jax.devices()[0] if firm else None)
    assert [layer["W"].committed for layer in unstack_layers(stack, (1, 8, 1))] == [firm] * 10


@pytest.mark.slow
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
            noise = draw_noise(KEY, net, checked, batch.X, net.runs)
            return backprops.evaluate(stacks, Batch(*batch), net, checked, noise=noise).J

        found, dstacks = jax.value_and_grad(J_of)(stack_layers(params, net.runs))
    assert net.runs == (1, 8, 1)
    assert [layer["W"].ndim for layer in dstacks] == [2, 3, 2]
    chex.assert_trees_all_close((found, unstack_layers(dstacks, net.runs)), (J, dparams), rtol=1e-10, atol=1e-14)
