"""Every gradient by its witnesses: the plain loop, `custom_vjp`, autodiff, the NumPy oracle, central differences.

Differences are relative, per leaf, in float64. Most of it runs uncompiled: hundreds of networks are cheaper that way.
"""

import inspect
from collections import Counter
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
import zoo
from jax.flatten_util import ravel_pytree
from marks import slow_except

import jaxmlp
from jaxmlp import Network, Objective
from jaxmlp.nn import backprop as backprops
from jaxmlp.nn import objective as objectives
from jaxmlp.nn.dense import dense, dense_backward, dense_forward
from jaxmlp.nn.rule import AUTODIFF

cost, backprop = map(inspect.unwrap, (jaxmlp.cost, jaxmlp.backprop))  # not compiled

every_network = pytest.mark.parametrize(("net", "loss"), zoo.NETWORKS.values(), ids=zoo.NETWORKS.keys())

# each activation in one place only, so that its operations are compiled for one shape; the last place is filled up
TRIOS = list(zip(zoo.ACTIVATIONS[:7], zoo.ACTIVATIONS[7:14], (zoo.ACTIVATIONS[14:] * 2)[:7], strict=True))
every_trio = pytest.mark.parametrize(
    "trio", slow_except(TRIOS, TRIOS[-1]), ids=lambda trio: ", ".join(g.name for g in trio)
)


def autodiff_cost(params, X, Y, net, objective=None, weights=None) -> jax.Array:
    """J of the undecorated functions, for JAX's own rules."""
    batch, objective = objectives.check_batch(params, X, Y, net, objective, weights)
    return backprops.evaluate(params, batch, net, objective, AUTODIFF).J


def worst_of_three(example: zoo.Example, net: Network, objective: Objective, weights) -> float:
    """The largest difference, in J or a leaf, of the plain loop and `custom_vjp` from autodiff."""
    params, X, Y = jax.tree.map(jnp.asarray, example[:3])
    J, by_loop = backprop(params, X, Y, net, objective, weights)
    J_rule, by_rule = jax.value_and_grad(cost)(params, X, Y, net, objective, weights)
    J_autodiff, by_autodiff = jax.value_and_grad(autodiff_cost)(params, X, Y, net, objective, weights)
    return max(
        oracle.relative_difference(J, J_autodiff),
        oracle.relative_difference(J_rule, J_autodiff),
        oracle.worst_leaf(by_loop, by_autodiff),
        oracle.worst_leaf(by_rule, by_autodiff),
    )


# --- three ways, everything with everything ---------------------------------------------------------------------------


@pytest.mark.slow
def test_three_ways_agree_without_hidden_layer():
    for i, (loss, output) in enumerate(zoo.HEADS):
        net = Network(zoo.SIZES[0], "relu", output)
        example = zoo.example(net, loss)
        for l2 in (None, 0.7):
            weights = jnp.asarray(example.weights) if i % 2 else None
            assert worst_of_three(example, net, Objective(loss, l2), weights) <= 1e-12, (net, loss, l2)


@pytest.mark.slow
@every_trio
def test_three_ways_agree(trio):
    # three hidden layers, three activations at a time: every activation meets every cost and output, with L2 and
    # without; one and two of these layers meet every cost; weights take turns
    few = [head for head in zoo.FEW_HEADS if head[0] != "quadratic" or head[1].name in ("identity", "softmax")]
    cases = [(3, l2, head) for head in zoo.FEW_HEADS for l2 in (None, 0.7)]
    cases += [(1 + (i + turn) % 2, l2, head) for i, head in enumerate(few) for turn, l2 in enumerate((None, 0.7))]
    for i, (hidden_layers, l2, (loss, output)) in enumerate(cases):
        net = Network(zoo.SIZES[hidden_layers], trio[:hidden_layers], output)
        example = zoo.example(net, loss)
        weights = jnp.asarray(example.weights) if i % 3 == 0 else None
        assert worst_of_three(example, net, Objective(loss, l2), weights) <= 1e-12, (net, loss, l2)


@pytest.mark.slow
@pytest.mark.parametrize("name", slow_except(["tutorial", "mixed"], "mixed"))
def test_three_ways_agree_at_kinks(name):
    # X = 0 and b = 0: all Z of the first layer are 0, and after relu and its like all others too
    net, loss = zoo.NETWORKS[name]
    example = zoo.example(net, loss)
    params = [{"W": layer["W"], "b": 0 * layer["b"]} for layer in example.params]

    assert worst_of_three(example._replace(params=params, X=0 * example.X), net, Objective(loss), None) <= 1e-12


@pytest.mark.quick("step", "leaky_relu(0.2)")
@pytest.mark.parametrize("name", ["relu", "leaky_relu(0.2)", "elu(0.5)", "maxout(2)", "maxout(3)", "step"])
def test_two_columns_at_a_kink_among_others(name):
    net = Network((3, 5, 2, 4), name, name)
    example = zoo.example(net, "quadratic")
    params = [{"W": layer["W"], "b": 0 * layer["b"]} for layer in example.params]
    X = example.X.copy()
    X[:, [1, 4]] = 0

    assert worst_of_three(example._replace(params=params, X=X), net, Objective(), None) <= 1e-12


def test_relu_at_its_kink_passes_nothing_back_and_leaky_relu_everything():
    # Z = 0, identity output, quadratic cost, y = -1: dJ/da = a - y = 1, W2 = 1: dA1 = 1, dZ1 = g'(0), db1 = g'(0)
    params = ({"W": np.ones((1, 1)), "b": np.zeros((1, 1))},) * 2
    X, Y = np.zeros((1, 1)), -np.ones((1, 1))

    for name, slope in [("relu", 0), ("step", 0), ("leaky_relu(0.2)", 1), ("elu(0.5)", 1)]:
        net = Network((1, 1, 1), name, "identity")
        for gradient in (backprop(params, X, Y, net)[1], jax.grad(cost)(params, X, Y, net)):
            assert float(gradient[0]["b"][0, 0]) == slope


# --- the oracle and central differences -------------------------------------------------------------------------------


@every_network
@pytest.mark.parametrize("l2", [0.0, 0.7], ids=["plain", "l2"])
@pytest.mark.parametrize("weighted", [False, True], ids=["equal", "weighted"])
def test_the_loop_is_the_oracles(net, loss, l2, weighted):
    params, X, Y, w = zoo.example(net, loss)
    weights = w if weighted else None
    J, gradient = backprop(params, X, Y, net, Objective(loss, l2 or None), weights)
    J_oracle, expected = oracle.backward(list(params), X, Y, zoo.names(net), loss, l2, weights)

    assert oracle.relative_difference(J, J_oracle) <= 1e-12
    assert oracle.worst_leaf(gradient, expected) <= 1e-12


@every_network
def test_gradient_is_that_of_central_differences(net, loss):
    params, X, Y, w = zoo.example(net, loss)
    objective = Objective(loss, 0.7)
    gradient = jax.grad(jaxmlp.cost)(params, X, Y, net, objective, w)

    slopes = oracle.central_differences(lambda moved: jaxmlp.cost(tuple(moved), X, Y, net, objective, w), list(params))
    assert oracle.worst_leaf(gradient, slopes) <= 1e-7


def test_oracle_passes_its_own_check():
    net, loss = zoo.NETWORKS["mixed"]
    params, X, Y, w = zoo.example(net, loss)

    def J(moved):
        return oracle.backward(moved, X, Y, zoo.names(net), loss, 0.7, w)[0]

    _, gradient = oracle.backward(list(params), X, Y, zoo.names(net), loss, 0.7, w)
    assert oracle.worst_leaf(gradient, oracle.central_differences(J, list(params))) <= 1e-7


def test_one_unit_by_hand():
    # W = (1/2, -1/4), b = 0, A_prev = (1, 2): Z = 0, A = 1/2, g'(0) = 1/4; dA = 1: dZ = 1/4
    sigmoid = zoo.ACTIVATIONS[2]
    layer = {"W": jnp.array([[0.5, -0.25]]), "b": jnp.zeros((1, 1))}
    A, cache = dense_forward(sigmoid, layer, jnp.array([[1.0], [2.0]]))
    dlayer, dA_prev = dense_backward(sigmoid, cache, jnp.ones((1, 1)))

    assert A.tolist() == [[0.5]]
    assert dlayer["W"].tolist() == [[0.25, 0.5]]
    assert dlayer["b"].tolist() == [[0.25]]
    assert dA_prev.tolist() == [[0.125], [-0.0625]]


@pytest.mark.parametrize("g", zoo.ACTIVATIONS, ids=lambda g: g.name)
def test_a_block_passes_back_to_its_input(g):
    net = Network((3, 5), "relu", g)
    params, X, _, _ = jax.tree.map(jnp.asarray, zoo.example(net, "quadratic"))
    dA = jnp.asarray(np.random.default_rng(5).normal(size=(5, 7)))

    ours = jax.vjp(partial(dense.apply, g), params[0], X)[1](dA)
    autodiff = jax.vjp(partial(dense.reference, g), params[0], X)[1](dA)
    assert oracle.relative_difference(ours[1], autodiff[1]) <= 1e-13
    assert oracle.worst_leaf([ours[0]], [autodiff[0]]) <= 1e-13


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mixed", "tutorial"])
def test_gradients_by_inputs_labels_and_weights_are_autodiffs(name):
    net, loss = zoo.NETWORKS[name]
    args = jax.tree.map(jnp.asarray, zoo.example(net, loss))
    objective = Objective(loss, 0.7)

    def by_data(f):
        return jax.grad(lambda X, Y, w: f(args.params, X, Y, net, objective, w), argnums=(0, 1, 2))(*args[1:])

    for ours, autodiff in zip(by_data(cost), by_data(autodiff_cost), strict=True):
        assert oracle.relative_difference(ours, autodiff) <= 1e-12


def test_shapes_of_gradients_are_those_of_parameters():
    net, loss = zoo.NETWORKS["mixed"]
    params, X, Y, _ = zoo.example(net, loss)
    gradient = jax.eval_shape(jaxmlp.backprop, params, X, Y, net)[1]

    assert isinstance(gradient, tuple)
    assert jax.tree.map(jnp.shape, gradient) == jax.tree.map(jnp.shape, params)


# --- L2 ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("examples", "weighted"), [(None, False), (None, True), (20, False), (20, True)])
def test_l2_adds_its_two_terms_and_leaves_the_biases(examples, weighted):
    net, loss = zoo.NETWORKS["mixed"]
    params, X, Y, w = zoo.example(net, loss)
    weights = w if weighted else None
    m = examples or (w.sum() if weighted else 7)

    J, plain = backprop(params, X, Y, net, Objective(loss), weights)
    J_l2, gradient = backprop(params, X, Y, net, Objective(loss, 0.7, examples), weights)
    assert float(J_l2 - J) == pytest.approx(0.7 / (2 * m) * sum((layer["W"] ** 2).sum() for layer in params), rel=1e-12)
    for with_l2, without, layer in zip(gradient, plain, params, strict=True):
        np.testing.assert_allclose(with_l2["W"] - without["W"], 0.7 / m * layer["W"], rtol=1e-9)
        np.testing.assert_array_equal(with_l2["b"], without["b"])


def test_l2_of_zero_is_no_l2():
    net, loss = zoo.NETWORKS["mixed"]
    params, X, Y, _ = zoo.example(net, loss)

    zero = backprop(params, X, Y, net, Objective(loss, 0))
    none = backprop(params, X, Y, net, Objective(loss))
    for a, b in zip(jax.tree.leaves(zero), jax.tree.leaves(none), strict=True):
        np.testing.assert_array_equal(a, b)


def test_slopes_by_lambda_and_by_examples_are_autodiffs():
    net, loss = zoo.NETWORKS["mixed"]
    params, X, Y, _ = zoo.example(net, loss)

    def J(f, l2, examples):
        return f(params, X, Y, net, Objective(loss, l2, examples))

    ours, autodiff = (jax.grad(partial(J, f), argnums=(0, 1))(0.7, 20.0) for f in (cost, autodiff_cost))
    squares = sum((layer["W"] ** 2).sum() for layer in params)
    np.testing.assert_allclose(ours, autodiff, rtol=1e-13)
    np.testing.assert_allclose(ours, [squares / 40, -0.7 * squares / 800], rtol=1e-12)


def test_population_over_lambda():
    net, loss = zoo.NETWORKS["logistic regression"]
    params, X, Y, _ = zoo.example(net, loss)
    lambdas = jnp.array([0.0, 0.5, 2.0])

    together = jax.vmap(lambda l2: jaxmlp.cost(params, X, Y, net, Objective(loss, l2)))(lambdas)
    stacked = jax.vmap(lambda o: jaxmlp.cost(params, X, Y, net, o))(Objective(loss, lambdas))
    one_by_one = [float(jaxmlp.cost(params, X, Y, net, Objective(loss, float(l2)))) for l2 in lambdas]
    np.testing.assert_allclose(together, one_by_one, rtol=1e-14)
    np.testing.assert_allclose(stacked, one_by_one, rtol=1e-14)


# --- second derivatives -----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", slow_except(["tutorial", "maxout output"], "maxout output"))
def test_hessian_is_symmetric_and_autodiffs(name):
    net, loss = zoo.NETWORKS[name]
    params, X, Y, w = zoo.example(net, loss)
    flat, unflatten = ravel_pytree(params)

    @jax.jit
    def everything(flat, direction):
        def of(f):
            return lambda flat: f(unflatten(flat), X, Y, net, Objective(loss, 0.7), w)

        hvp = jax.jvp(jax.grad(of(cost)), (flat,), (direction,))[1]
        return jax.hessian(of(cost))(flat), jax.hessian(of(autodiff_cost))(flat), hvp

    direction = jnp.cos(jnp.arange(flat.size))
    H, H_autodiff, hvp = everything(flat, direction)
    assert H.shape == (net.n_parameters, net.n_parameters)
    assert oracle.relative_difference(H, H.T) <= 1e-12
    assert oracle.relative_difference(H, H_autodiff) <= 1e-12
    assert oracle.relative_difference(hvp, H @ direction) <= 1e-12  # forward over reverse


# --- transformations --------------------------------------------------------------------------------------------------


def test_jit_vmap_and_scan():
    net, loss = zoo.NETWORKS["mixed"]
    params, X, Y, _ = zoo.example(net, loss)
    expected = backprop(params, X, Y, net)[1]

    # jit
    assert oracle.worst_leaf(jax.jit(jax.grad(jaxmlp.cost))(params, X, Y, net), expected) <= 1e-12

    # one gradient per example: their mean is the gradient of the batch
    def of_one(x, y):
        return jax.grad(jaxmlp.cost)(params, x[:, None], y[:, None], net)

    each = jax.jit(jax.vmap(of_one, in_axes=1))(X, Y)
    assert oracle.worst_leaf(jax.tree.map(lambda leaf: leaf.mean(axis=0), each), expected) <= 1e-12

    # a population of two networks
    two = jax.tree.map(lambda leaf: jnp.stack([leaf, -2 * leaf]), params)
    population = jax.jit(jax.vmap(lambda params: jaxmlp.backprop(params, X, Y, net)[1]))(two)
    for i, sign in enumerate((1, -2)):
        alone = backprop(jax.tree.map(lambda leaf, sign=sign: sign * leaf, params), X, Y, net)[1]
        assert oracle.worst_leaf(jax.tree.map(lambda leaf, i=i: leaf[i], population), alone) <= 1e-12

    # three steps in a scan
    def step(params, _):
        return jax.tree.map(lambda p, d: p - 0.1 * d, params, jax.grad(jaxmlp.cost)(params, X, Y, net)), None

    scanned = jax.lax.scan(step, jax.tree.map(jnp.asarray, params), length=3)[0]
    for _ in range(3):
        params = jax.tree.map(lambda p, d: p - 0.1 * d, params, backprop(params, X, Y, net)[1])
    assert oracle.worst_leaf(scanned, params) <= 1e-12


@pytest.mark.parametrize("name", ["mixed", "tutorial", "own"])
def test_float32_and_bfloat16(name):
    net, loss = zoo.NETWORKS[name]
    params, X, Y, w = zoo.example(net, loss)
    objective = Objective(loss, 0.7)
    expected = oracle.backward(list(params), X, Y, zoo.names(net), loss, 0.7, w)[1]

    @jax.jit
    def gradients(*versions):
        both = [(backprop(p, X, Y, net, objective, w)[1], jax.grad(cost)(p, X, Y, net, objective, w)) for p in versions]
        return jax.tree.leaves(both, is_leaf=lambda node: isinstance(node, tuple) and isinstance(node[0], dict))

    dtypes = (jnp.float32, jnp.float32, jnp.bfloat16, jnp.bfloat16)
    versions = [jax.tree.map(lambda leaf, dtype=dtype: leaf.astype(dtype), params) for dtype in dtypes[::2]]
    for gradient, dtype in zip(gradients(*versions), dtypes, strict=True):
        assert all(leaf.dtype == dtype for leaf in jax.tree.leaves(gradient))
        assert oracle.worst_leaf(gradient, expected) <= (1e-5 if dtype == jnp.float32 else 0.1)


def test_equal_networks_and_all_kinds_of_scalars_share_one_program():
    traces = Counter()

    @jax.jit
    def counted(params, X, Y, net, objective):
        traces["cost"] += 1
        return jaxmlp.cost(params, X, Y, net, objective)

    params, X, Y, _ = zoo.example(Network((3, 5, 4), "leaky_relu", "sigmoid"), "binary_cross_entropy")
    scalars: tuple[Any, ...] = (
        0.5,
        1,
        2.0,
        np.float32(0.5),
        np.float64(0.5),
        np.int64(1),
        np.array(0.5),
        jnp.array(0.5, "float32"),
    )
    for l2 in scalars:
        for hidden in ("leaky_relu", "leaky_relu(0.010)", ("leaky_relu( 0.01 )",)):
            counted(params, X, Y, Network((3, 5, 4), hidden, "sigmoid"), Objective(l2=l2))
    assert traces["cost"] == 1

    counted(params, X, Y, Network((3, 5, 4), "leaky_relu(0.02)", "sigmoid"), Objective(l2=0.5))
    assert traces["cost"] == 2  # the counter does count


def test_public_functions_compile_once():
    net = Network((3, 5, 4), "elu(0.25)", "sigmoid")
    params, X, Y, _ = zoo.example(net, "binary_cross_entropy")
    traces = Counter()

    def apply(Z):
        traces["g"] += 1
        return jnp.tanh(Z)

    own = jaxmlp.activation("counting", apply, lambda Z, A, dA: dA * (1 - A * A))
    scalars: tuple[Any, ...] = (0.5, 1, np.float32(0.25), np.array(0.75))
    for l2 in scalars:
        jaxmlp.cost(params, X, Y, Network((3, 5, 4), own, "sigmoid"), Objective(l2=l2))
    assert traces["g"] == 1


@pytest.mark.slow
def test_nothing_leaks():
    net = Network((3, 5, 2, 4), ("maxout(3)", "gelu"), "softmax")
    params, X, Y, w = zoo.example(net, "categorical_cross_entropy")

    with jax.checking_leaks():
        jax.jit(jax.grad(jaxmlp.cost))(params, X, Y, net, Objective(l2=0.5), w)
        jaxmlp.backprop(params, X, Y, net, Objective(l2=0.5), w)
        jax.vmap(jax.grad(jaxmlp.cost), in_axes=(None, 2, 2, None))(params, X[..., None], Y[..., None], net)
