"""Few rows are answered by NumPy, and as the compiled program would answer them."""

import jax
import numpy as np
import pytest
from zoo import BUILT_IN, NETWORKS, SINE

import jaxmlp
from jaxmlp import host
from jaxmlp.nn.network import Network

KEY = jax.random.key(3)


def drawn(net):
    """Parameters and three columns, in NumPy."""
    params = jax.tree.map(np.asarray, jaxmlp.init(KEY, net))
    return params, np.random.default_rng(0).normal(size=(net.sizes[0], 3))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_host_answers_as_the_compiled_program(name):
    net, _ = NETWORKS[name]
    params, X = drawn(net)
    if not host.suits(params, net, 3):
        assert {g.name for g in net.activations} & {*host.SLOW, SINE.name}
        return
    np.testing.assert_allclose(host.logits(params, X, net), jaxmlp.logits(params, X, net), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(host.forward(params, X, net), jaxmlp.forward(params, X, net), rtol=1e-12, atol=1e-12)


def test_every_activation_but_the_slow_is_known():
    for g in BUILT_IN:
        net = Network((2, 4, 2), "tanh", g)
        assert host.suits(drawn(net)[0], net, 1) == (g.name not in host.SLOW), g.name


def test_what_numpy_does_not_know_is_left_to_the_compiled_program():
    square = jaxmlp.activation("square", lambda Z: Z * Z, lambda Z, A, dA: 2 * Z * dA)
    own, layered = Network((2, 3, 1), square, "identity"), Network((2, 3, 1), "tanh", "identity", norm="layer")
    for net in (own, Network((2, 3, 1), "gelu", "identity"), layered):
        assert not host.suits(drawn(net)[0], net, 1)
    net = Network((2, 3, 1), "relu", "identity")
    params = drawn(net)[0]
    assert not host.suits(jax.tree.map(lambda leaf: leaf.astype(jax.numpy.bfloat16), params), net, 1)
    wide = Network((1000, 300, 1), "relu", "identity")
    assert [host.suits(drawn(wide)[0], wide, m) for m in (1, 2)] == [True, False]
    assert [host.suits(params, net, m) for m in (host.MOST // 13, host.MOST // 12)] == [True, False]


def test_one_row_asks_no_compiled_program_and_is_answered_like_many(monkeypatch):
    data = jaxmlp.load("digits")
    net = jaxmlp.network_for(data, 30)
    model, rows = jaxmlp.Model.of(net, jaxmlp.init(KEY, net), data), data.train.rows[:300]
    answers, probabilities = model.predict(rows), model.predict_proba(rows)
    assert not host.suits(model.params, net, len(rows))
    for program in ("forward", "logits"):
        monkeypatch.setattr(f"jaxmlp.nn.propagation.{program}", None)
    assert [model.predict(row[None])[0] for row in rows] == answers.tolist()
    alone = np.concatenate([model.predict_proba(row[None]) for row in rows])
    np.testing.assert_allclose(alone, probabilities, rtol=1e-10)


def test_what_overflows_says_nothing_and_is_the_same():
    net = Network((1, 2, 1), "exp", "sigmoid")
    params = ({"W": np.full((2, 1), 1e3), "b": np.zeros((2, 1))}, {"W": np.array([[1.0, -1.0]]), "b": np.zeros((1, 1))})
    ours, theirs = host.forward(params, np.ones((1, 1)), net), jaxmlp.forward(params, np.ones((1, 1)), net)
    assert np.isnan(ours).all()
    assert np.isnan(theirs).all()
