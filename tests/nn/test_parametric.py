"""Parametric activations: each hidden unit learns how much of its activation it uses."""

import dataclasses
from typing import Any

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import zoo

import jaxmlp
from jaxmlp import Network, Objective
from jaxmlp.cli.main import run
from jaxmlp.errors import DivergenceError, InputError, InputTypeError
from jaxmlp.inference import numpy_forward
from jaxmlp.nn import activations
from jaxmlp.nn.backprop import evaluate
from jaxmlp.nn.forward import fold, propagate
from jaxmlp.nn.layer_stacks import stack_layers
from jaxmlp.nn.objective import check_batch
from jaxmlp.nn.parametric import parametric_activation
from jaxmlp.nn.rule import AUTODIFF, Rule

M = 7
RNG = np.random.default_rng(0)
NET = Network((3, 5, 4, 2), ("relu", "tanh"), "softmax", parametric=True)
ROWS_NET = Network((3, 6, 3), "relu", "softmax", parametric=True)


def example(net: Network) -> tuple[Any, Any, Any]:
    """Parameters with s near 1/2, and a batch."""
    params = jaxmlp.init(jax.random.key(0), net)
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf + 0.4 * RNG.normal(size=leaf.shape)), params)
    params = tuple({**layer, "s": layer["s"] - 0.5} if "s" in layer else layer for layer in params)
    return params, jnp.asarray(RNG.normal(size=(3, M))), jnp.asarray(np.eye(2)[:, RNG.integers(0, 2, M)])


def close(actual, expected, rtol=1e-9):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-12), actual, expected)


def test_one_unit_by_hand():
    s, Z, dA = jnp.array([[0.25]]), jnp.array([[-2.0, 3.0]]), jnp.ones((1, 2))
    A, pullback = jax.vjp(lambda s, Z: parametric_activation.apply(activations.relu, s, Z), s, Z)
    assert A.tolist() == [[-1.5, 3.0]]  # -2 + 2/4, and 3
    ds, dZ = pullback(dA)
    assert (ds.tolist(), dZ.tolist()) == ([[2.0]], [[0.75, 1.0]])


@pytest.mark.slow
def test_with_s_of_1_it_is_the_plain_network_bit_for_bit():
    params, X, Y = example(NET)
    plain = dataclasses.replace(NET, parametric=False)
    ones = tuple({**layer, "s": jnp.ones_like(layer["s"])} if "s" in layer else layer for layer in params)
    bare = tuple({"W": layer["W"], "b": layer["b"]} for layer in params)
    np.testing.assert_array_equal(jaxmlp.forward(ones, X, NET), jaxmlp.forward(bare, X, plain))
    gradient, expected = (jax.grad(jaxmlp.cost)(p, X, Y, net) for p, net in ((ones, NET), (bare, plain)))
    close([{"W": layer["W"], "b": layer["b"]} for layer in gradient], list(expected), rtol=1e-12)


def test_with_s_of_0_it_is_a_linear_network():
    params, X, _ = example(NET)
    zeros = tuple({**layer, "s": jnp.zeros_like(layer["s"])} if "s" in layer else layer for layer in params)
    bare = tuple({"W": layer["W"], "b": layer["b"]} for layer in params)
    linear = Network(NET.sizes, "identity", "softmax")
    np.testing.assert_allclose(jaxmlp.forward(zeros, X, NET), jaxmlp.forward(bare, X, linear), rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(
    "net",
    [
        pytest.param(NET, id="plain"),
        pytest.param(dataclasses.replace(NET, norm="batch"), id="batch"),
        pytest.param(dataclasses.replace(NET, norm="layer"), id="layer"),
        pytest.param(dataclasses.replace(NET, members=3), id="members"),
    ],
)
def test_the_gradient_is_that_of_autodiff(net):
    params, X, Y = example(net)
    weights, objective = jnp.asarray(RNG.uniform(0.5, 2, (1, M))), Objective(l2=0.7)
    batch, checked = check_batch(params, X, Y, net, objective, weights)
    expected = jax.jit(jax.value_and_grad(lambda p: evaluate(p, batch, net, checked, AUTODIFF).J))(params)
    close(jax.jit(jax.value_and_grad(lambda p: jaxmlp.cost(p, X, Y, net, objective, weights)))(params), expected)
    close(jax.jit(lambda p: jaxmlp.backprop(p, X, Y, net, objective, weights))(params), expected)
    assert all(float(jnp.abs(layer["s"]).min()) > 0 for layer in expected[1][:-1])


@pytest.mark.slow
def test_a_stack_of_equal_layers_computes_the_same():
    net = Network((3, *[4] * 10, 2), "tanh", "softmax", parametric=True)
    params, X, Y = example(net)
    batch, objective = check_batch(params, X, Y, net, None, None)
    layers = (params, stack_layers(params, net.runs))
    assert max(net.runs) > 1
    apart, stacked = (evaluate(p, batch, net, objective) for p in layers)
    close(stacked, apart)


def test_folding_keeps_s():
    net = dataclasses.replace(NET, norm="batch")
    params, X, _ = example(net)
    plain, folded = fold(params, propagate(params, X, net)[1], net)
    assert plain == NET
    np.testing.assert_allclose(jaxmlp.forward(folded, X, plain), jaxmlp.forward(params, X, net), rtol=1e-9)


@pytest.mark.slow
def test_the_certificate_finds_a_wrong_derivative(monkeypatch):
    assert jaxmlp.verify(NET).passed

    def backward(activation, cache, dA):
        s, Z, G = cache
        return (dA * G).sum(axis=1, keepdims=True), activation.pullback(Z, G, s * dA) + (1 - s) * dA  # ds without - Z

    wrong: Any = Rule(parametric_activation.forward, backward, n_static=1)
    monkeypatch.setattr(parametric_activation, "backward", wrong.backward)
    monkeypatch.setattr(parametric_activation, "apply", wrong.apply)
    jax.clear_caches()
    failures = {row.check for row in jaxmlp.verify(dataclasses.replace(NET, sizes=(3, 6, 5, 2))).failures}
    assert {"parametric ds_1", "parametric ds_2", "grad ds_1", "backprop ds_2"} <= failures
    assert not any("dW_3" in check for check in failures)
    jax.clear_caches()


def test_what_a_run_learns_is_saved_and_resumed(tmp_path):
    data, net = zoo.three_classes(25), ROWS_NET
    whole = jaxmlp.fit(net, data, epochs=4, batch_size=8)
    s = np.asarray(whole.params[0]["s"])
    assert s.shape == (6, 1)
    assert (s != 1).any()
    half = jaxmlp.fit(net, data, epochs=2, batch_size=8)
    close(jaxmlp.fit(net, data, epochs=4, batch_size=8, resume=half.snapshot).params, whole.params, rtol=0)
    model = jaxmlp.Model.of(net, whole.params, data)
    model.save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5") as file:
        assert file.attrs["format_version"] == 5
    again = jaxmlp.load_model(tmp_path / "m.h5")
    assert again.net == net
    assert "parametric activations" in repr(again)
    np.testing.assert_array_equal(again.predict(data.train.rows), model.predict(data.train.rows))
    dictionary = jaxmlp.params_to_dict(whole.params)
    assert list(dictionary) == ["W1", "b1", "s1", "W2", "b2"]
    assert jaxmlp.params_from_dict(dictionary)[0].keys() == {"W", "b", "s"}


@pytest.mark.slow
def test_a_member_of_a_population_is_the_run_of_its_seed():
    data, net = zoo.three_classes(25), ROWS_NET
    narrow = dataclasses.replace(net, sizes=(3, 4, 3))
    population = jaxmlp.fit_many([net, narrow], data, seeds=2, epochs=3, batch_size=8)
    for member in population.members:
        alone = jaxmlp.fit(member.net, data, epochs=3, batch_size=8, key=jax.random.key(member.spec.seed))
        close(member.params, alone.params)


@pytest.mark.slow
def test_a_run_that_diverges_names_its_step():
    data = zoo.three_classes(25)
    with pytest.raises(DivergenceError, match="layer"):
        jaxmlp.fit(
            Network((3, 6, 3), "relu", "softmax", parametric=True), data, epochs=3, optimizer="sgd", learning_rate=1e200
        )


def test_without_an_activation_that_s_could_change_there_is_none():
    for net in (Network((3, 2), output="softmax"), Network((3, 4, 2), "identity", "softmax")):
        assert dataclasses.replace(net, parametric=True) == net
    assert Network((3, 4, 4, 2), ("identity", "relu"), "softmax", parametric=True).parametric


def test_numpy_predicts_few_rows_as_jax_does():
    params, X, _ = example(NET)
    params = jax.tree.map(np.asarray, params)
    assert numpy_forward.is_supported(params, NET, M)
    np.testing.assert_allclose(
        numpy_forward.logits(params, np.asarray(X), NET), jaxmlp.logits(params, X, NET), rtol=1e-12
    )


def test_a_preset_leaves_maxout_as_it_is():
    data = zoo.three_classes(25)
    assert jaxmlp.network_for(data, preset="realmlp").parametric
    assert not jaxmlp.network_for(data, (4,), "maxout(2)", preset="realmlp").parametric
    with pytest.raises(InputError, match="parametric=False beside a preset"):
        jaxmlp.network_for(data, (4,), "maxout(2)", preset="realmlp", parametric=True)


def test_what_it_is_not_made_for_is_refused():
    params, X, Y = example(NET)
    with pytest.raises(
        InputError, match=r"parametric expects activations with one row of Z for each unit, got 'maxout"
    ):
        Network((3, 4, 2), "maxout(2)", "softmax", parametric=True)
    with pytest.raises(InputTypeError, match="parametric expects True or False, got 'yes'"):
        Network((3, 4, 2), "relu", "softmax", parametric="yes")  # pyright: ignore[reportArgumentType]
    for call in (
        lambda: jaxmlp.trace(params, X, NET),
        lambda: jaxmlp.diagnose(params, X, Y, NET),
        lambda: jaxmlp.collapse(params, NET),
    ):
        with pytest.raises(InputError, match="expects a network without parametric activations, got one with them"):
            call()
    with pytest.raises(InputError, match="init_numpy expects a plain network, got parametric activations"):
        jaxmlp.init_numpy(NET)


@pytest.mark.slow
def test_the_command_trains_and_describes_them(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["train", "xor", "--parametric", "--hidden", "5", "--epochs", "2", "--out", "m"]) == 0
    assert "parametric activations" in capsys.readouterr().err
    assert jaxmlp.load_model("m").net.parametric
    assert run(["info", "m"]) == 0
    assert "parametric activations: True" in capsys.readouterr().out
    assert run(["evaluate", "m", "xor"]) == 0
