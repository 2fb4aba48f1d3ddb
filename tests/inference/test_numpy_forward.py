"""Few rows are predicted in NumPy, with the results of the compiled program."""

import jax
import numpy as np
import pytest
from marks import slow_except
from zoo import BUILT_IN, NETWORKS

import jaxmlp
from jaxmlp.inference import numpy_forward
from jaxmlp.nn.network import Network

KEY = jax.random.key(3)


def random_params(net):
    """Parameters and three columns, in NumPy."""
    params = jax.tree.map(np.asarray, jaxmlp.init(KEY, net))
    return params, np.random.default_rng(0).normal(size=(net.sizes[0], 3))


@pytest.mark.parametrize("name", slow_except(NETWORKS, *list(NETWORKS)[:3]))
def test_numpy_gives_what_the_compiled_program_gives(name):
    net, _ = NETWORKS[name]
    params, X = random_params(net)
    if not numpy_forward.is_supported(params, net, 3):
        assert None in map(numpy_forward.numpy_activation, net.activations)
        return
    np.testing.assert_allclose(
        numpy_forward.logits(params, X, net), jaxmlp.logits(params, X, net), rtol=1e-12, atol=1e-12
    )
    np.testing.assert_allclose(
        numpy_forward.forward(params, X, net), jaxmlp.forward(params, X, net), rtol=1e-12, atol=1e-12
    )


@pytest.mark.slow
def test_networks_whose_activations_have_a_numpy_form_are_supported():
    supported = set()
    for g in BUILT_IN:
        net = Network((2, 4, 2), "tanh", g)
        has_form = numpy_forward.numpy_activation(g) is not None
        assert numpy_forward.is_supported(random_params(net)[0], net, 1) == has_form, g.name
        supported |= {g.name} if has_form else set()
    assert {"identity", "sigmoid", "tanh", "relu", "softmax"} <= supported


@pytest.mark.slow
def test_other_networks_and_many_rows_are_left_to_the_compiled_program():
    square = jaxmlp.activation("square", lambda Z: Z * Z, lambda Z, A, dA: 2 * Z * dA)
    square_net, layered = Network((2, 3, 1), square, "identity"), Network((2, 3, 1), "tanh", "identity", norm="layer")
    for net in (square_net, Network((2, 3, 1), "gelu", "identity"), layered):
        assert not numpy_forward.is_supported(random_params(net)[0], net, 1)
    net = Network((2, 3, 1), "relu", "identity")
    params = random_params(net)[0]
    assert not numpy_forward.is_supported(jax.tree.map(lambda leaf: leaf.astype(jax.numpy.bfloat16), params), net, 1)
    wide = Network((1000, 300, 1), "relu", "identity")
    assert [numpy_forward.is_supported(random_params(wide)[0], wide, m) for m in (1, 2)] == [True, False]
    limit = numpy_forward.MAX_PRODUCTS
    assert [numpy_forward.is_supported(params, net, m) for m in (limit // 13, limit // 12)] == [True, False]


def test_one_row_runs_no_compiled_program_and_gives_the_same_as_many(monkeypatch):
    data = jaxmlp.load("digits")
    net = jaxmlp.network_for(data, 30)
    model, rows = jaxmlp.Model.of(net, jaxmlp.init(KEY, net), data), data.train.rows[:300]
    answers, probabilities = model.predict(rows), model.predict_proba(rows)
    assert not numpy_forward.is_supported(model.params, net, len(rows))
    for program in ("forward", "logits"):
        monkeypatch.setattr(f"jaxmlp.nn.forward.{program}", None)
    assert [model.predict(row[None])[0] for row in rows] == answers.tolist()
    single = np.concatenate([model.predict_proba(row[None]) for row in rows])
    np.testing.assert_allclose(single, probabilities, rtol=1e-10)


def test_an_overflow_raises_no_warning_and_gives_the_same():
    net = Network((1, 2, 1), "exp", "sigmoid")
    params = ({"W": np.full((2, 1), 1e3), "b": np.zeros((2, 1))}, {"W": np.array([[1.0, -1.0]]), "b": np.zeros((1, 1))})
    in_numpy, compiled = (
        numpy_forward.forward(params, np.ones((1, 1)), net),
        jaxmlp.forward(params, np.ones((1, 1)), net),
    )
    assert np.isnan(in_numpy).all()
    assert np.isnan(compiled).all()


@pytest.mark.parametrize("g", [g for g in BUILT_IN if g.name != "gelu"], ids=lambda g: g.name)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extreme_values_and_dtypes_are_those_of_the_compiled_activation(g, dtype):
    Z = np.array([[0.0, np.inf, -np.inf, np.nan, -800.0, 1e-30]] * 6, dtype)
    Z[::2, 1:3] *= -1
    apply = numpy_forward.numpy_activation(g)
    assert apply is not None
    with np.errstate(all="ignore"):
        A = apply(Z)
    assert A.dtype == dtype
    np.testing.assert_allclose(A, np.asarray(g.apply(jax.numpy.asarray(Z))), rtol=1e-6, atol=1e-37)
