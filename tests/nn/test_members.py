"""Members: k networks that share their hidden layers, as one network."""

from contextlib import contextmanager
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmlp
from jaxmlp import Network, Objective
from jaxmlp.errors import DivergenceError, InputError
from jaxmlp.nn.augmentation import draw_noise
from jaxmlp.nn.backprop import evaluate
from jaxmlp.nn.forward import final_logits, take_member
from jaxmlp.nn.layer_stacks import stack_layers
from jaxmlp.nn.members import MEAN_LOGITS, member_products, n_multiplications
from jaxmlp.nn.objective import check_batch
from jaxmlp.nn.rule import AUTODIFF

K, M = 3, 7
RNG = np.random.default_rng(0)
OUTPUTS = {"softmax": 4, "sigmoid": 2, "identity": 2, "exp": 1}


def example(output: str, hidden: tuple[int, ...] = (5,), **fields: Any) -> tuple[Network, Any, Any, Any]:
    net = Network((3, *hidden, OUTPUTS[output]), "tanh", output, members=K, **fields)
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf + 0.3 * RNG.normal(size=leaf.shape)), jaxmlp.init(key(0), net))
    X = jnp.asarray(RNG.normal(size=(3, M)))
    Y = np.eye(4)[:, RNG.integers(0, 4, M)] if output == "softmax" else RNG.integers(0, 2, (net.sizes[-1], M))
    return net, params, X, jnp.asarray(Y)


def key(seed: int) -> jax.Array:
    return jax.random.key(seed)


@pytest.mark.quick("identity", "softmax")
@pytest.mark.parametrize("output", OUTPUTS)
def test_the_output_is_the_mean_of_the_members(output):
    net, params, X, Y = example(output)
    members = [take_member(params, net, i) for i in (1, 2, 3)]
    assert {one for one, _ in members} == {Network(net.sizes, "tanh", output)}
    mean = np.mean([jaxmlp.forward(layers, X, one) for one, layers in members], axis=0)
    np.testing.assert_allclose(jaxmlp.forward(params, X, net), mean, rtol=1e-10)
    g = net.activations[-1]
    np.testing.assert_allclose(g.apply(jaxmlp.logits(params, X, net)), mean, rtol=1e-10)
    costs = [jaxmlp.cost(layers, X, Y, one) for one, layers in members]
    np.testing.assert_allclose(jaxmlp.cost(params, X, Y, net), np.mean(costs), rtol=1e-10)


@pytest.mark.parametrize("output", MEAN_LOGITS)
def test_the_logits_of_the_mean_give_the_mean(output):
    Z = RNG.normal(scale=3, size=(K, 4, M))
    g = Network((1, 4), output=output).activations[-1]
    A = np.mean([g.apply(jnp.asarray(z)) for z in Z], axis=0)
    np.testing.assert_allclose(g.apply(MEAN_LOGITS[output](jnp.asarray(Z))), A, rtol=1e-12)


def test_extreme_members_have_a_finite_mean():
    net = Network((1, 1, 1), "identity", "sigmoid", members=2)
    first = {"W": jnp.ones((1, 1)), "b": jnp.zeros((1, 1)), "R": jnp.ones((2, 1))}
    params = (first, {"W": jnp.array([[1.0], [1.0]]), "b": jnp.zeros((2, 1))})
    np.testing.assert_allclose(jaxmlp.logits(params, jnp.array([[800.0, -800.0]]), net), [[800.0, -800.0]])


@pytest.mark.slow
def test_the_gradient_is_that_of_autodiff():
    net, params, X, Y = example("softmax", (5, 4))  # the layer of 4 is shared whole
    weights = jnp.asarray(RNG.uniform(0.5, 2, (1, M)))
    objective = Objective(l2=0.7, dropout=0.4, input_dropout=0.2, label_smoothing=0.1)
    by_rule = jax.jit(jax.value_and_grad(lambda p: jaxmlp.cost(p, X, Y, net, objective, weights, key(1))))(params)
    by_loop = jax.jit(lambda p: jaxmlp.backprop(p, X, Y, net, objective, weights, key(1)))(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), by_rule, by_loop)
    quiet = Objective(l2=0.7)
    batch, quiet = check_batch(params, X, Y, net, quiet, weights)
    expected = jax.jit(jax.grad(lambda p: evaluate(p, batch, net, quiet, AUTODIFF).J))(params)
    actual = jax.jit(jax.grad(lambda p: jaxmlp.cost(p, X, Y, net, quiet, weights)))(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), actual, expected)


@pytest.mark.slow
def test_a_stack_of_equal_layers_computes_the_same():
    net, params, X, Y = example("softmax", (4,) * 10)
    batch, objective = check_batch(params, X, Y, net, Objective(dropout=0.4), None)
    noises = [draw_noise(key(3), net, objective, X, runs) for runs in (None, net.runs)]
    assert max(net.runs) > 1
    layers = (params, stack_layers(params, net.runs))
    apart, stacked = (evaluate(p, batch, net, objective, noise=n) for p, n in zip(layers, noises, strict=True))
    np.testing.assert_allclose(stacked.J, apart.J, rtol=1e-12)
    np.testing.assert_allclose(stacked.Z, apart.Z, rtol=1e-10)


WIDTHS = (1, 3, 3, 2)  # runs of one column and of two, 9 inputs in all


def column_example(**fields: Any) -> tuple[Network, Any, Any, Any]:
    net = Network((9, 5, 4), "tanh", "softmax", members=K, column_widths=WIDTHS, **fields)
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf + 0.3 * RNG.normal(size=leaf.shape)), jaxmlp.init(key(0), net))
    return net, params, jnp.asarray(RNG.normal(size=(9, M))), jnp.asarray(np.eye(4)[:, RNG.integers(0, 4, M)])


@pytest.mark.slow
def test_a_scale_of_a_column_is_that_of_each_of_its_inputs():
    net, params, X, Y = column_example()
    assert params[0]["R"].shape == (K, 4)
    by_input = Network((9, 5, 4), "tanh", "softmax", members=K)
    repeated = ({**params[0], "R": jnp.repeat(params[0]["R"], np.array(WIDTHS), axis=1)}, *params[1:])
    batch, objective = check_batch(params, X, Y, net, Objective(l2=0.7), None)
    for of_mean in (False, True):  # with and without the shared products
        actual = evaluate(params, batch, net, objective, of_mean=of_mean)
        expected = evaluate(repeated, batch, by_input, objective, of_mean=of_mean)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10), actual, expected)
    # the derivative by the scale of a column is the sum of those by the scales of its inputs
    gradient = jax.grad(jaxmlp.cost)(params, X, Y, net, objective)
    by_scales = jax.grad(jaxmlp.cost)(repeated, X, Y, by_input, objective)
    sums = np.add.reduceat(np.asarray(by_scales[0]["R"]), [0, 1, 4, 7], axis=1)
    np.testing.assert_allclose(gradient[0]["R"], sums, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(gradient[0]["W"], by_scales[0]["W"], rtol=1e-9, atol=1e-12)


def test_an_evaluation_of_many_examples_keeps_no_products_of_columns(monkeypatch):
    net, params, X, _ = column_example()
    shared = jaxmlp.logits(params, X, net)
    monkeypatch.setattr("jaxmlp.nn.forward.MAX_SHARED_PRODUCTS", 1)
    monkeypatch.setattr("jaxmlp.nn.forward.column_products", None)
    np.testing.assert_allclose(jax.jit(lambda p: final_logits(p, X, net))(params), shared, rtol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("noise", [{}, {"input_dropout": 0.3}], ids=["shared", "each its own inputs"])
def test_the_gradient_of_members_with_columns_is_that_of_autodiff_and_of_the_loop(noise):
    net, params, X, Y = column_example()
    objective = Objective(dropout=0.4, **noise)
    by_rule = jax.jit(jax.value_and_grad(lambda p: jaxmlp.cost(p, X, Y, net, objective, None, key(1))))(params)
    by_loop = jax.jit(lambda p: jaxmlp.backprop(p, X, Y, net, objective, None, key(1)))(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), by_rule, by_loop)
    batch, quiet = check_batch(params, X, Y, net, Objective(), None)
    expected = jax.jit(jax.grad(lambda p: evaluate(p, batch, net, quiet, AUTODIFF).J))(params)
    actual = jax.jit(jax.grad(lambda p: jaxmlp.cost(p, X, Y, net, quiet)))(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), actual, expected)


def test_the_products_of_columns_by_hand():
    # one column of two inputs: U = 2·1 + 3·10 = 32, and two members with the scales 1 and 5
    W, R, X = jnp.array([[2.0, 3.0]]), jnp.array([[1.0], [5.0]]), jnp.array([[1.0], [10.0]])
    products, cache = member_products.forward((2,), W, R, X)
    assert products.ravel().tolist() == [32, 160]
    dW, dR, dX = member_products.backward((2,), cache, jnp.array([[[1.0]], [[2.0]]]))  # dU = 1·1 + 5·2 = 11
    assert dW.ravel().tolist() == [11, 110]
    assert dR.ravel().tolist() == [32, 64]
    assert dX.ravel().tolist() == [22, 33]


@pytest.mark.slow
def test_the_products_of_columns_pass_the_check_of_a_rule():
    W, R, X = (jnp.asarray(RNG.normal(size=shape)) for shape in ((2, 9), (K, 4), (9, 3)))
    check = jaxmlp.check_vjp(partial(member_products.apply, WIDTHS), W, R, X, reference=None)
    assert check.passed, str(check)


def test_columns_of_one_input_each_are_no_columns():
    net = Network((3, 4, 1), "relu", "identity", members=2, column_widths=(1, 1, 1))
    assert net == Network((3, 4, 1), "relu", "identity", members=2)
    assert "column_widths" not in repr(net)


@pytest.mark.parametrize(
    ("widths", "text"),
    [
        ((2, 2), r"column_widths expects positive whole numbers whose sum is 3, the inputs, got \(2, 2\)"),
        ((3, 0), r"got \(3, 0\)"),
        (3, "got 3: leave it out"),
        ((1.5, 1.5), "got "),
    ],
)
def test_widths_that_are_not_those_of_the_inputs(widths, text):
    with pytest.raises(InputError, match=text):
        Network((3, 4, 1), "relu", "identity", members=2, column_widths=widths)


def test_a_table_has_the_widths_of_its_own_columns():
    data = jaxmlp.load({"size": [1.0, 3.0] * 10, "city": ["Rome", "Oslo"] * 10, "y": [0.5, 1.0] * 10}, target="y")
    net = jaxmlp.network_for(data, hidden=(4,), members=3)
    assert net.column_widths == (1, 2)
    other = Network(net.sizes, "relu", "identity", members=3, column_widths=(2, 1))
    with pytest.raises(InputError, match=r"column_widths \(1, 2\), got \(2, 1\): use jaxmlp.network_for"):
        jaxmlp.fit(other, data, epochs=1)


def test_widths_without_members():
    with pytest.raises(InputError, match="column_widths expects a network with members, got none"):
        Network((3, 4, 1), "relu", "identity", column_widths=(2, 1))


def test_several_members_have_a_scale_for_each_column_of_a_table():
    table = {"size": [1.0, 3.0, None, 2.0] * 5, "city": ["Rome", "Oslo", "Rome", "Oslo"] * 5}
    data = jaxmlp.load({**table, "y": [0.5, 1.0, 2.0, 3.0] * 5}, target="y")
    net = jaxmlp.network_for(data, hidden=(4,), members=3)
    assert net.column_widths == (2, 2)
    assert jaxmlp.network_for(data, hidden=(4,), members=1).column_widths is None
    result = jaxmlp.fit(net, data, epochs=2)
    assert result.params[0]["R"].shape == (3, 2)


def test_the_hessian_passes_through_members():
    net, params, X, Y = example("identity", (2,))
    V = jax.tree.map(lambda leaf: jnp.asarray(RNG.normal(size=leaf.shape)), params)
    h = 1e-5
    ahead, behind = (jax.tree.map(lambda leaf, v, s=s: leaf + s * h * v, params, V) for s in (1, -1))
    gradients = [jaxmlp.backprop(theta, X, Y, net)[1] for theta in (ahead, behind)]
    expected = jax.tree.map(lambda a, b: (a - b) / (2 * h), *gradients)
    actual = jaxmlp.hvp(params, V, X, Y, net)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7), actual, expected)


@pytest.mark.slow
def test_each_member_drops_units_of_its_own():
    net, params, X, Y = example("identity", (200,))
    alike = jax.tree.map(lambda leaf: leaf, params)
    alike[0]["R"] = jnp.ones_like(params[0]["R"])
    alike[1]["W"] = jnp.tile(params[1]["W"][:2], (K, 1))
    alike[1]["b"] = jnp.tile(params[1]["b"][:2], (K, 1))
    _, dparams = jaxmlp.backprop(alike, X, Y, net, Objective(dropout=0.5), None, key(2))
    heads = dparams[1]["W"].reshape(K, 2, 200)
    assert float(jnp.abs(heads[0] - heads[1]).max()) > 1e-3
    _, dparams = jaxmlp.backprop(alike, X, Y, net)
    heads = dparams[1]["W"].reshape(K, 2, 200)
    np.testing.assert_allclose(heads[0], heads[1], rtol=1e-12)


@pytest.mark.slow
def test_one_member_with_scales_of_one_is_the_plain_network():
    net = Network((3, 5, 4), "tanh", "softmax", members=1)
    first, last = jaxmlp.init(key(0), net)
    plain = ({"W": first["W"], "b": first["b"]}, last)
    one = ({**first, "R": jnp.ones_like(first["R"])}, last)
    X, Y = jnp.asarray(RNG.normal(size=(3, M))), jnp.asarray(np.eye(4)[:, RNG.integers(0, 4, M)])
    with_members = jax.value_and_grad(jaxmlp.cost)(one, X, Y, net)
    without = jax.value_and_grad(jaxmlp.cost)(plain, X, Y, net.of_a_member)
    np.testing.assert_allclose(with_members[0], without[0], rtol=1e-12)
    np.testing.assert_allclose(with_members[1][0]["W"], without[1][0]["W"], rtol=1e-12)
    np.testing.assert_allclose(with_members[1][1]["W"], without[1][1]["W"], rtol=1e-12)


def test_shapes_and_numbers_of_parameters():
    net = Network((3, 5, 4, 2), "relu", "softmax", members=8)
    params = jaxmlp.init(key(0), net)
    assert [{name: leaf.shape for name, leaf in layer.items()} for layer in params] == [
        {"W": (5, 3), "b": (5, 1), "R": (8, 3)},
        {"W": (4, 5), "b": (4, 1)},
        {"W": (16, 4), "b": (16, 1)},
    ]
    assert net.n_parameters == sum(leaf.size for leaf in jax.tree.leaves(params))
    assert set(np.unique(params[0]["R"])) == {-1.0, 1.0}
    assert repr(net).endswith("norm=None, members=8)")
    assert "members" not in repr(net.of_a_member)
    assert jaxmlp.params_from_dict(jaxmlp.params_to_dict(params))[0].keys() == params[0].keys()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sizes": (2, 1)}, "members expects a network with a hidden layer, which they share, got none"),
        ({"norm": "layer"}, "members expects a network without normalisation, got norm='layer'"),
        ({"output": "softplus"}, "members expects one of the outputs identity, sigmoid, softmax, exp, got 'softplus'"),
        ({"members": 0}, "members expects a positive whole number, got 0"),
        ({"members": 10**20}, "members expects at most 10,000, got 100000000000000000000"),
        ({"members": True}, "members expects a positive whole number, got True"),
        ({"members": 2.5}, "members expects a positive whole number, got 2.5"),
    ],
)
def test_networks_that_have_no_members_are_refused(arguments, message):
    with pytest.raises(InputError) as error:
        Network(**{"sizes": (2, 3, 1), "output": "sigmoid", "members": 2} | arguments)
    assert message in str(error.value)


def test_what_shows_a_single_network_says_so():
    net, params, X, Y = example("softmax")
    for call in (
        lambda: jaxmlp.trace(params, X, net),
        lambda: jaxmlp.diagnose(params, X, Y, net),
        lambda: jaxmlp.example_gradients(params, X, Y, net),
        lambda: jaxmlp.collapse(params, net),
        lambda: jaxmlp.verify_numpy(lambda *_: None, net=net),
        lambda: jaxmlp.verify(net, bp3=lambda dZ: dZ.sum(1, keepdims=True)),
    ):
        with pytest.raises(InputError, match=r"a network without members, got one of 3 members: take the first one"):
            call()
    one, member = take_member(params, net, 1)
    assert len(jaxmlp.trace(member, X, one)) == 2
    with pytest.raises(InputError, match="a number from 1 to 3, got 4"):
        take_member(params, net, 4)
    with pytest.raises(InputError, match="a number from 1 to 3, got 0"):
        take_member(params, net, 0)


@pytest.mark.slow
def test_verify_checks_what_members_add():
    certificate = jaxmlp.verify(Network((3, 5, 2), "tanh", "identity", members=2), Objective(l2=0.3))
    assert certificate.passed
    assert {"members dW_1", "members dR_1", "members J", "backprop dR_1"} <= {row.check for row in certificate.rows}


@contextmanager
def as_users_have_it():
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture(scope="module")
def trained():
    with as_users_have_it():
        X = np.random.default_rng(0).normal(size=(160, 2))
        data = jaxmlp.Dataset.from_arrays(X, np.where(X[:, 0] * X[:, 1] > 0, "same", "other")).split_validation(0.25)
        net = jaxmlp.network_for(data, (16,), members=8)
        config: Any = {"epochs": 60, "batch_size": 32, "learning_rate": 0.02, "objective": Objective(dropout=0.1)}
        return data, net, jaxmlp.fit(net, data, **config), config


@pytest.mark.slow
@as_users_have_it()
def test_it_trains_and_reports_the_cost_of_the_mean(trained, tmp_path):
    data, net, result, _ = trained
    model = jaxmlp.Model.of(net, result.params, data)
    scores = model.evaluate(data.validation)
    assert scores["accuracy"] > 0.9
    np.testing.assert_allclose(result.history[-1].validation_cost, scores["cost"], rtol=1e-4)
    assert "8 members" in repr(model)
    model.save(tmp_path / "m.h5")
    again = jaxmlp.load_model(tmp_path / "m.h5")
    assert again.net == net
    np.testing.assert_array_equal(again.predict_proba(data.train.rows), model.predict_proba(data.train.rows))
    assert again.predict(data.train.rows[:1]).shape == (1,)


@pytest.mark.slow
@as_users_have_it()
def test_a_resumed_run_is_the_same(trained):
    data, net, result, config = trained
    half = jaxmlp.fit(net, data, **config | {"epochs": 30})
    resumed = jaxmlp.fit(net, data, resume=half, **config)
    jax.tree.map(np.testing.assert_array_equal, resumed.params, result.params)


@pytest.mark.slow
@as_users_have_it()
def test_a_population_trains_networks_with_members(trained):
    data, net, _, config = trained
    options = config | {"epochs": 3}
    population = jaxmlp.fit_many(net, data, seeds=2, strategy="vmap", **options)
    alone = jaxmlp.fit(net, data, key=jax.random.key(1), **options)
    for a, b in zip(population.members[1].params, alone.params, strict=True):
        for name in a:
            np.testing.assert_allclose(a[name], b[name], rtol=1e-3, atol=1e-5)


@pytest.mark.slow
@as_users_have_it()
def test_a_run_that_diverges_names_the_layer(trained):
    data, net, _, _ = trained
    with pytest.raises(DivergenceError, match=r"first in the (forward pass|update) of layer \d"):
        jaxmlp.fit(net, data, epochs=3, optimizer="sgd", learning_rate=1e30)


@pytest.mark.slow
@as_users_have_it()
def test_many_devices_train_the_same_members(trained):
    data, net, _, config = trained
    alone, split, both = (jaxmlp.fit(net, data, mesh=mesh, **config | {"epochs": 3}) for mesh in (None, "all", (4, 2)))
    for result in (split, both):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), result.params, alone.params)


def test_products_of_members_with_widths_of_columns():
    net = Network((3, 5, 1), "relu", "sigmoid", members=4, column_widths=(1, 2))
    # 5 + 5 + 1 above the first product: b of 5 units, and W and b of the last one
    assert net.n_products == 4 * 11 + 5 * n_multiplications((1, 2), 3, 4)
