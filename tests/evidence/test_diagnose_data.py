"""diagnose looks at the data, the targets and the output, too; half precision and decayed units are no problem."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmlp
from jaxmlp.evidence.diagnostics.diagnose import diagnose
from jaxmlp.evidence.diagnostics.findings import HIDES
from jaxmlp.nn.objective import Objective

RNG = np.random.default_rng(3)
X = RNG.normal(size=(5, 60)).astype(np.float32)
LABELS = (X[:1] > 0).astype(np.float32)
QUADRATIC = Objective(cost="quadratic")


def network(hidden="tanh", output="sigmoid", units=1, **how):
    net = jaxmlp.Network((5, 12, units), hidden, output, **how)
    return net, list(jaxmlp.init(jax.random.key(1), net, dtype=jnp.float32))


def with_layer(params, l, **arrays):
    return (*params[:l], {**params[l], **arrays}, *params[l + 1 :])


def names(params, X, Y, net, objective=None, **how):
    return [finding.name for finding in diagnose(tuple(params), X, Y, net, objective, **how).findings]


def problems():
    """{name: (finding, arguments of diagnose)}."""
    net, params = network()
    tanh, of_tanh = network(output="tanh")
    exp, of_exp = network(output="exp")
    relu, of_relu = network(output="relu")
    identity, of_identity = network(output="identity")
    relu_hidden, of_relu_hidden = network("relu")
    line, of_line = network("relu", "identity")
    softmax, of_softmax = network(output="softmax", units=3)
    normed, of_normed = network(norm="batch")
    ids = RNG.integers(0, 3, size=(1, 60))
    W, b = params[1]["W"], jnp.zeros((1, 1), jnp.float32)
    eaten = [{name: 1e-4 * leaf for name, leaf in layer.items()} for layer in params]
    favoured = jnp.array([[3.0], [0.0], [0.0]], jnp.float32)  # a = 0.91, 0.05, 0.05
    tiny = X * np.array([[1], [1], [1e-7], [1], [1]], np.float32)
    return {
        "labels of 1 and 2": ("labels out of range", (params, X, LABELS + 1, net)),
        "labels of -1 and 1": ("labels out of range", (params, X, 2 * LABELS - 1, net)),
        "class ids from 1 on": ("labels out of range", (of_softmax, X, ids + 1, softmax)),
        "one example": ("batch of one example", (of_normed, X[:, :1], LABELS[:, :1], normed)),
        "sigmoid up to 50": ("unreachable targets", (params, X, 25 + 10 * X[:1], net, QUADRATIC)),
        "tanh up to 3": ("unreachable targets", (of_tanh, X, 3 * LABELS, tanh, QUADRATIC)),
        "relu below 0": ("unreachable targets", (of_relu, X, X[:1], relu, QUADRATIC)),
        "prices": ("unscaled targets", (of_identity, X, 2e5 + 5e4 * X[:1], identity)),
        "millionths": ("unscaled targets", (of_identity, X, 1e-6 * X[:1], identity)),
        "years": ("inputs off centre", (params, 8 + 0.1 * X, LABELS, net)),
        "one column off centre": ("inputs off centre", (params, X * 0.1 + np.eye(5)[:, :1] * 5, LABELS, net)),
        "equal rows": ("constant inputs", (params, X[:, :1] + 0 * X, LABELS, net)),
        "inputs of 0": ("constant inputs", (of_relu_hidden, 0 * X, LABELS, relu_hidden)),
        "one class": ("constant targets", (params, X, 0 * LABELS, net)),
        "one class of ids": ("constant targets", (of_softmax, X, 0 * ids + 2, softmax)),
        "negative counts": ("labels out of range", (of_exp, X, np.round(3 * X[:1]), exp)),
        "logits of 200": ("large outputs", (with_layer(params, 1, W=300 * W), X, LABELS, net)),
        "first weights of 1e8": (
            "large outputs",
            (with_layer(of_relu_hidden, 0, W=1e8 * of_relu_hidden[0]["W"]), X, LABELS, relu_hidden),
        ),
        "answers of 1e5": ("large outputs", (with_layer(of_line, 0, W=1e5 * of_line[0]["W"]), X, X[:1], line)),
        "a tiny column": ("unscaled inputs", (params, tiny, LABELS, net)),
        "dead output": (
            "dead output",
            (with_layer(of_relu, 1, W=-jnp.abs(of_relu[1]["W"]) * 0, b=b - 1), X, np.abs(X[:1]), relu, QUADRATIC),
        ),
        "saturated sigmoid": ("saturated output", (with_layer(params, 1, b=b + 20), X, LABELS, net, QUADRATIC)),
        "saturated tanh": (
            "saturated output",
            (with_layer(of_tanh, 1, b=b - 9), X, 1.6 * LABELS - 0.8, tanh, QUADRATIC),
        ),
        "one answer": ("constant output", (with_layer(params, 1, W=0.01 * W, b=b + 4), X, LABELS, net)),
        "one class of three": (
            "constant output",
            (with_layer(of_softmax, 1, b=jnp.array([[30.0], [0.0], [0.0]], jnp.float32)), X, ids, softmax),
        ),
        "nine in ten for one class": (
            "constant output",
            (with_layer(of_softmax, 1, W=0 * of_softmax[1]["W"], b=favoured), X, np.arange(60)[None] % 3, softmax),
        ),
        "two labels at a softmax": (
            "labels that do not sum to 1",
            (of_softmax, X, np.maximum(np.eye(3)[ids[0]], np.eye(3)[(ids[0] + 1) % 3]).T, softmax),
        ),
        "one-hot of ids from 1 on": (
            "labels that do not sum to 1",
            (of_softmax, X, jax.nn.one_hot(ids[0] + 1, 3).T, softmax),
        ),
        "eaten by the penalty": ("decayed weights", (eaten, X, LABELS, net, Objective(l2=100.0))),
    }


PROBLEMS = problems()


@pytest.mark.quick("prices", "one example", "labels of 1 and 2")
@pytest.mark.parametrize("name", list(PROBLEMS))
def test_a_problem_of_the_data_or_the_output_is_named(name):
    expected, arguments = PROBLEMS[name]
    assert names(*arguments) == [expected]


def test_examples_without_weight_are_no_second_class():
    net, params = network()
    finding, *others = diagnose(tuple(params), X, LABELS, net, weights=LABELS).findings
    assert (finding.name, others) == ("constant targets", [])
    assert "with a weight" in finding.text
    # a handful of examples can have one class by chance
    assert names(params, X[:, :8], 0 * LABELS[:, :8], net) == []


def test_targets_far_above_a_sigmoid_give_no_warning():
    net, params = network()  # every target counts as class 1: the frequencies leave nothing to compare with
    assert names(params, X, 50 + 15 * X[:1], net, QUADRATIC) == ["unreachable targets"]


def test_no_two_findings_leave_each_other_out():
    def consequences(name, path=()):
        assert name not in path, (*path, name)
        return [consequences(next_name, (*path, name)) for next_name in HIDES.get(name, ())]

    assert all(consequences(name) for name in HIDES)


def test_the_rate_is_not_blamed_for_the_targets():
    net, params = network(output="identity")
    assert names(params, X, 2e5 + 5e4 * X[:1], net, learning_rate=0.1) == ["unscaled targets"]


@pytest.mark.slow
def test_a_minimum_is_no_small_rate():
    net = jaxmlp.Network((2, 1), "tanh", "sigmoid")
    inputs = np.array([[0, 0, 1, 1], [0, 1, 0, 1]], np.float32)
    xor = np.array([[0, 1, 1, 0]], np.float32)
    params = ({"W": jnp.full((1, 2), 1e-9, jnp.float32), "b": jnp.zeros((1, 1), jnp.float32)},)
    (finding,) = diagnose(params, inputs, xor, net, learning_rate=1.0).findings
    assert finding.name == "stationary point"
    assert "hidden layer" in finding.cure


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_counts_at_an_exponential_output_are_healthy(dtype):
    # exp' has no largest slope, and δ = a - y has no slope at all
    net, params = network(output="exp")
    half = jax.tree.map(lambda leaf: leaf.astype(dtype), params)
    assert names(half, X, RNG.poisson(1.5, size=(1, 60)), net) == []


def test_zeros_and_padding_are_a_fair_start():
    net = jaxmlp.Network((5, 4), output="softmax")
    zeros = jaxmlp.init(jax.random.key(0), net, "zeros", jnp.float32)
    labels = np.eye(4, dtype=np.float32)[np.where(np.arange(60) % 20, 0, 1 + np.arange(60) // 20)].T  # 5 % are rare
    assert names(zeros, X, labels, net) == []
    labels[:, -3:] = 0
    weights = (labels.sum(axis=0, keepdims=True) > 0).astype(np.float32)
    assert names(zeros, X, labels, net, weights=weights) == []


@pytest.mark.quick("identity-bfloat16")
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("output", ["sigmoid", "identity"])
def test_half_precision_is_healthy(dtype, output):
    net, params = network(output=output)
    half = jax.tree.map(lambda leaf: leaf.astype(dtype), params)
    assert names(half, X, LABELS, net) == []
    # equal units are still found
    same = jax.tree.map(lambda leaf: leaf.at[:].set(leaf[:1]), half[0])
    upper = {**half[1], "W": jnp.full_like(half[1]["W"], 0.25)}
    assert names([same, upper], X, LABELS, net) == ["symmetric units"]


@pytest.mark.slow
def test_units_that_have_decayed_are_no_copies():
    net, params = network("relu")
    W = params[0]["W"].at[jnp.array([2, 7])].set(0)
    decayed = with_layer(params, 0, W=W, b=jnp.full((12, 1), -1e-3, jnp.float32))
    assert names(decayed, X, LABELS, net) == []
    # beside one huge row the others are as different as before
    huge = with_layer(params, 0, W=params[0]["W"].at[0].multiply(1e5))
    assert "symmetric units" not in names(huge, X, LABELS, net)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_healthy_networks_of_every_output_have_no_finding(seed):
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(5, 60)).astype(np.float32)
    targets = {
        "sigmoid": rng.integers(0, 2, size=(1, 60)).astype(np.float32),
        "tanh": rng.uniform(-1, 1, size=(1, 60)).astype(np.float32),
        "identity": (40 + rng.normal(size=(1, 60))).astype(np.float32),
        "softplus": np.abs(rng.normal(size=(1, 60))).astype(np.float32),
    }
    for output, Y in targets.items():
        net, _ = network("relu", output)
        params = jaxmlp.init(jax.random.key(seed), net, dtype=jnp.float32)
        objective = Objective(cost=None if output == "sigmoid" else "quadratic")
        assert names(params, inputs, Y, net, objective) == [], output
