"""Random numbers of any shape from a few programs: the same numbers, whichever way they are drawn."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import zoo

import jaxmlp
from jaxmlp import Network
from jaxmlp.nn import initializers, random_numbers
from jaxmlp.nn.initializers import find
from jaxmlp.nn.network import Params
from jaxmlp.nn.random_numbers import draw_at_least, has_prefix_draws, split_key

KEY = jax.random.key(5)
SAMPLERS: dict[str, Any] = {
    "normal": jax.random.normal,
    "uniform": initializers._uniform_of_variance_1,
    "signs": jax.random.rademacher,
}


def compiled(key: jax.Array, net: Network, **options) -> Params:
    """Draw in a program of the network's own, as in a user's jitted function."""
    return jax.jit(lambda key: jaxmlp.init(key, net, **options))(key)


@pytest.mark.quick("shape1-normal", "shape3-signs")
@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("shape", [(1,), (2, 3), (32, 32), (1025,)])
def test_a_draw_is_the_beginning_of_a_longer_one(name, shape):
    n = np.prod(shape)
    numbers = draw_at_least(SAMPLERS[name], KEY, n, jnp.float32)
    assert numbers.size == (1024 if n <= 1024 else 4096)
    expected = SAMPLERS[name](KEY, shape, jnp.float32)
    chex.assert_trees_all_close(numbers[:n].reshape(shape), expected, rtol=1e-6)


@pytest.mark.parametrize("seed", [5, -1, 2**31 - 1])
@pytest.mark.parametrize("n", [1, 9])
def test_keys_are_those_of_split(seed, n):
    key = jax.random.key(seed)
    expected = jax.random.key_data(jax.random.split(key, n))
    np.testing.assert_array_equal([jax.random.key_data(part) for part in split_key(key, n)], expected)


def test_keys_of_a_key_on_a_device_stay_on_it():
    key = jax.device_put(KEY, jax.devices()[-1])
    assert [part.devices() for part in split_key(key, 2)] == [key.devices()] * 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [{}, {"members": 3}, {"norm": "batch", "parametric": True}, {"members": 2, "column_widths": (1, 3)}]
)
def test_init_is_the_same_inside_and_outside_of_a_program(options):
    net = Network((4, 5, 5, 2), "tanh", "softmax", **options)
    chex.assert_trees_all_close(jaxmlp.init(KEY, net), compiled(KEY, net), rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("depth", [64, 65])
def test_deep_networks_draw_the_same_numbers_in_a_loop(depth):
    net = zoo.deep(depth)
    chex.assert_trees_all_close(jaxmlp.init(KEY, net), compiled(KEY, net), rtol=1e-12)


@pytest.mark.slow
def test_keys_without_this_order_draw_by_themselves():
    key, net = jax.random.key(5, impl="rbg"), Network((3, 2), output="softmax")
    assert not has_prefix_draws(key)
    W = find("xavier_normal").draw(jax.random.split(key, 1)[0], (2, 3), 3, 2, jnp.float64)
    chex.assert_trees_all_close(jaxmlp.init(key, net)[0]["W"], W, rtol=1e-12)
    with jax.threefry_partitionable(False):
        assert not has_prefix_draws(KEY)
        chex.assert_trees_all_close(jaxmlp.init(KEY, net), compiled(KEY, net), rtol=1e-12)


@pytest.mark.slow
def test_networks_share_the_programs_that_draw():
    draw: Any = random_numbers._draw
    jaxmlp.init(KEY, Network((3, 4, 2), "relu", "softmax"))
    count = draw._cache_size()
    for n in range(5, 9):
        jaxmlp.init(KEY, Network((n, n + 1, n + 2, 2), "elu", "softmax"))
    assert draw._cache_size() == count


def test_an_initializer_of_your_own_draws_as_it_says():
    own = find("he_normal")._replace(name="own", draw=lambda key, shape, *_: jnp.full(shape, 7.0))
    assert jaxmlp.init(KEY, Network((2, 1), output="identity"), own)[0]["W"].tolist() == [[7.0, 7.0]]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float16])
def test_weights_have_the_same_bits_in_every_program(dtype):
    net = Network((7, 9, 3), "relu", "softmax")
    chex.assert_trees_all_equal(jaxmlp.init(KEY, net, dtype=dtype), compiled(KEY, net, dtype=dtype))
    many = jax.jit(jax.vmap(lambda key: jaxmlp.init(key, net, dtype=dtype)))(jax.random.split(KEY, 3))
    for i, key in enumerate(jax.random.split(KEY, 3)):
        alone = jaxmlp.init(key, net, dtype=dtype)
        chex.assert_trees_all_equal(jax.tree.map(lambda leaf, i=i: leaf[i], many), alone)
