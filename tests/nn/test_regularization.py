"""Normalisation, noise, penalties and bounds: their formulas against autodiff, and what they promise."""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
import zoo
from marks import slow_except

import jaxmlp
from jaxmlp import Network, Objective
from jaxmlp.errors import InputError
from jaxmlp.nn import backprop as backprops
from jaxmlp.nn import normalization
from jaxmlp.nn.activations import sigmoid
from jaxmlp.nn.augmentation import draw_noise
from jaxmlp.nn.checks import check_params
from jaxmlp.nn.dropout import draw_mask, drop
from jaxmlp.nn.forward import fold, propagate
from jaxmlp.nn.objective import check_batch
from jaxmlp.nn.penalties import clip_row_norms
from jaxmlp.nn.rule import AUTODIFF

KEY = jax.random.key(3)
SIZES = (3, 5, 6, 4)
# mixup draws from a Beta distribution, which takes long to compile: it has tests of its own
NOISY = Objective(l2=0.3, l1=0.2, dropout=0.4, input_dropout=0.2, input_noise=0.1, label_smoothing=0.1)
QUIET = {"none": Objective(), "penalties": Objective(l2=0.7, l1=0.3, examples=20.0)}


def drawn(net, m=7, seed=0) -> Any:
    """Parameters with γ away from 1, X, one-hot Y and weights."""
    rng = np.random.default_rng(seed)
    centre = {"W": 0.0, "b": 0.0, "gamma": 1.0}
    params = tuple(
        {name: centre[name] + 0.5 * rng.normal(size=shape) for name, shape in row.leaves.items()} for row in net.shapes
    )
    Y = np.eye(net.sizes[-1])[:, rng.integers(0, net.sizes[-1], m)]
    return params, rng.normal(size=(net.sizes[0], m)), Y, rng.uniform(0.5, 2, size=(1, m))


def objective_of(name, number):
    options: dict[str, Any] = {name: number}
    return Objective(**options)


def by_autodiff(params, X, Y, net, objective, weights, key):
    """J and its gradient without any rule of ours, under the same noise."""
    batch, objective = check_batch(params, X, Y, net, objective, weights)
    drawn_noise = draw_noise(key, net, objective, batch.X)

    def J(params):
        return backprops.evaluate(params, batch, net, objective, AUTODIFF, drawn_noise).J

    return jax.value_and_grad(J)(params)


def worst(ours, right):
    pairs = zip(jax.tree.leaves(ours), jax.tree.leaves(right), strict=True)
    return max(oracle.relative_difference(a, b, 1e-3) for a, b in pairs)


@pytest.mark.quick("None-weights-penalties")
@pytest.mark.parametrize("objective", [*QUIET.values(), NOISY], ids=[*QUIET, "noisy"])
@pytest.mark.parametrize("weighted", slow_except([False, True], True), ids=["", "weights"])
@pytest.mark.parametrize("norm", slow_except([None, "batch", "layer"], None))
def test_both_backward_passes_are_autodiffs(norm, weighted, objective):
    net = Network(SIZES, ("maxout(2)", "tanh"), "softmax", norm)
    params, X, Y, weights = drawn(net)
    weights = weights if weighted else None
    right = by_autodiff(params, X, Y, net, objective, weights, KEY)
    loop = jaxmlp.backprop(params, X, Y, net, objective, weights, KEY)
    rule = jax.value_and_grad(jaxmlp.cost)(params, X, Y, net, objective, weights, KEY)
    assert worst(loop, right) <= 1e-12
    assert worst(rule, right) <= 1e-12


@pytest.mark.parametrize("norm", normalization.NORMS)
def test_normalised_units_have_mean_0_and_deviation_1(norm):
    net = Network(SIZES, "identity", "softmax", norm)
    params, X, _, _ = drawn(net)
    layer = {"W": params[0]["W"], "b": np.zeros((5, 1)), "gamma": np.ones((5, 1))}
    A = jaxmlp.trace((layer, *params[1:]), X, net)[0]["A"]
    axis = 1 if norm == "batch" else 0
    np.testing.assert_allclose(A.mean(axis=axis), 0, atol=1e-14)
    np.testing.assert_allclose(A.std(axis=axis), 1, atol=1e-3)  # ε


@pytest.mark.slow
@pytest.mark.parametrize("kind", normalization.NORMS)
def test_the_backward_pass_of_a_normalised_layer_is_autodiffs(kind):
    params, X, _, weights = drawn(Network((3, 5, 2), "tanh", "identity", kind))
    dA = jnp.asarray(np.random.default_rng(1).normal(size=(5, X.shape[1])))
    for share in (None, jnp.asarray(weights / weights.sum())):
        forward = partial(normalization.normalized_forward, kind, sigmoid, example_weight=share)
        pullback = jax.vjp(lambda layer, X, f=forward: f(layer, X)[0][0], params[0], jnp.asarray(X))[1]
        _, cache = forward(params[0], jnp.asarray(X))
        assert worst(normalization.normalized_backward(kind, sigmoid, cache, dA), pullback(dA)) <= 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("kind", normalization.NORMS)
def test_the_rule_answers_for_moments_and_shares_too(kind):
    net = Network((3, 5, 2), "tanh", "identity", "batch")
    params, X, _, weights = drawn(net)
    share = jnp.asarray(weights / weights.sum())
    block = normalization.normalized_dense.apply, normalization.normalized_dense.reference

    def scalar(f):
        def total(layer, X, share):
            A, moments = f(kind, sigmoid, layer, X, share)
            return (A**2).sum() + sum((3 * moment**2).sum() for moment in moments)

        return jax.grad(total, argnums=2)(params[0], jnp.asarray(X), share)

    ours, right = map(scalar, block)
    assert oracle.relative_difference(ours, right) <= 1e-12
    by_mask = jax.grad(lambda M: (drop.apply(jnp.asarray(X), M) ** 2).sum())(jnp.asarray(2 * X))
    np.testing.assert_allclose(by_mask, 2 * X * X * 2 * X, rtol=1e-13)


@pytest.mark.slow
def test_folding_leaves_the_function_and_no_norm():
    net = Network(SIZES, ("relu", "maxout(3)"), "softmax", "batch")
    params, X, _, _ = drawn(net)
    expected, moments = propagate(jax.tree.map(jnp.asarray, params), jnp.asarray(X), net)
    plain, folded = fold(params, moments, net)
    assert (plain.norm, [sorted(layer) for layer in folded]) == (None, [["W", "b"]] * 3)
    check_params(folded, plain)
    np.testing.assert_allclose(jaxmlp.forward(folded, X, plain), expected, rtol=1e-12)
    # and one row alone has the answer that it has among others
    np.testing.assert_allclose(jaxmlp.forward(folded, X[:, :1], plain), expected[:, :1], rtol=1e-12)
    other = Network(SIZES, "relu", "softmax", "layer")
    assert fold(params, (), other) == (other, params)


@pytest.mark.slow
def test_layers_with_fixed_moments_are_their_folded_selves():
    net = Network(SIZES, "tanh", "softmax", "batch")
    params, X, Y, _ = drawn(net)
    params = jax.tree.map(jnp.asarray, params)
    moments = propagate(params, jnp.asarray(X), net)[1]
    other = propagate(params, jnp.asarray(X[:, :3]), net)[1]
    plain, folded = fold(params, moments, net)

    def J(params, X, fixed):
        batch, objective = check_batch(params, X, Y, net, None, None)
        J, _, seen = backprops.evaluate(params, batch, net, objective, fixed_moments=fixed)
        return J, seen

    both = dict(enumerate(moments, start=1))
    (ours, seen), gradient = jax.value_and_grad(J, argnums=(0, 1), has_aux=True)(params, X, both)
    right, expected = jax.value_and_grad(jaxmlp.cost, argnums=(0, 1))(folded, X, Y, plain)
    np.testing.assert_allclose(ours, right, rtol=1e-12)
    assert worst((gradient[0][-1], gradient[1]), (expected[0][-1], expected[1])) <= 1e-12
    assert [float(a.mean[0, 0]) for a in seen] == [float(a.mean[0, 0]) for a in moments]
    assert abs(float(J(params, X, {1: other[0]})[0]) - float(right)) > 1e-4


@pytest.mark.slow
def test_weights_in_a_batch_norm_count_as_repeated_rows():
    net = Network(SIZES, "tanh", "softmax", "batch")
    params, X, Y, _ = drawn(net)
    times = np.array([1, 3, 2, 1, 1, 2, 1])
    weighted = jaxmlp.backprop(params, X, Y, net, Objective(l2=0.5), times[None].astype(float))
    repeated = jaxmlp.backprop(params, np.repeat(X, times, 1), np.repeat(Y, times, 1), net, Objective(l2=0.5))
    assert worst(weighted, repeated) <= 1e-12


# --- noise ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5, 0.9, 0.999])
def test_a_mask_is_0_or_1_over_keep_and_1_in_the_mean(rate):
    mask = np.asarray(draw_mask(KEY, rate, (400, 500), jnp.float64))
    kept = mask > 0
    assert len(np.unique(mask[kept])) == 1
    np.testing.assert_allclose(mask.max(), 1 / (1 - rate), rtol=2e-2 if rate > 0.99 else 2e-4)
    deviation = np.sqrt(rate * (1 - rate) / mask.size)
    assert abs(kept.mean() - (1 - rate)) <= 5 * deviation + 2e-5


@pytest.mark.slow
def test_noise_is_that_of_the_key_and_of_training_alone():
    net = Network(SIZES, "tanh", "softmax")
    params, X, Y, _ = drawn(net)
    costs = [float(jaxmlp.cost(params, X, Y, net, NOISY, key=key)) for key in (KEY, KEY, jax.random.key(4))]
    assert costs[0] == costs[1] != costs[2]
    quiet = dataclasses.replace(NOISY, dropout=None, input_dropout=None, input_noise=None)
    plain = jaxmlp.cost(params, X, Y, net, quiet)
    assert float(jaxmlp.cost(params, X, Y, net, NOISY)) == float(plain) == float(jaxmlp.cost(params, X, Y, net, quiet))
    # α = 0 and rates of 0 change nothing, though they are in the program
    zero = Objective(dropout=0.0, input_dropout=0.0, input_noise=0.0, mixup=0.0, label_smoothing=0.0)
    np.testing.assert_allclose(
        jaxmlp.cost(params, X, Y, net, zero, key=KEY), jaxmlp.cost(params, X, Y, net), rtol=1e-14
    )


@pytest.mark.quick("l1", "dropout")
@pytest.mark.parametrize("name", ["dropout", "input_dropout", "input_noise", "mixup", "label_smoothing", "l1"])
def test_every_number_changes_the_cost_and_compiles_nothing(name):
    net = Network(SIZES, "tanh", "softmax")
    params, X, Y, _ = drawn(net)
    traced = []

    @jax.jit
    def J(objective):
        traced.append(objective)
        return jaxmlp.cost(params, X, Y, net, objective, key=KEY)

    values = [float(J(objective_of(name, number))) for number in (0.1, 0.3, 0.5)]
    assert len(set(values)) == 3
    assert len(traced) == 1
    together = jax.vmap(J)(objective_of(name, jnp.array([0.1, 0.3, 0.5])))
    np.testing.assert_allclose(together, values, rtol=1e-13)


@pytest.mark.slow
def test_mixing_is_linear_in_the_examples_and_their_targets():
    net = Network(SIZES, "tanh", "softmax")
    params, X, Y, _ = drawn(net)
    objective = Objective(mixup=0.5)
    mixing: Any = draw_noise(KEY, net, objective, jnp.asarray(X)).mixing
    share, shift = mixing
    assert 0 <= float(share) <= 1
    mixed = [float(share) * M + (1 - float(share)) * np.roll(M, -int(shift), axis=1) for M in (X, Y)]
    expected = jaxmlp.backprop(params, *mixed, net)
    assert worst(jaxmlp.backprop(params, X, Y, net, objective, key=KEY), expected) <= 1e-12
    ids = Y.argmax(axis=0)[None]
    assert worst(jaxmlp.backprop(params, X, ids, net, objective, key=KEY), expected) <= 1e-12


@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_the_share_of_an_example_is_1_without_mixing(alpha):
    mixing: Any = draw_noise(KEY, Network(SIZES, "tanh", "softmax"), Objective(mixup=alpha), jnp.ones((3, 7))).mixing
    assert mixing[0] == 1 if alpha == 0 else 0 < mixing[0] < 1


def test_smoothing_by_hand():
    net = Network((1, 1), "relu", "sigmoid")
    params = ({"W": jnp.zeros((1, 1)), "b": jnp.full((1, 1), 2.0)},)
    X, Y = jnp.zeros((1, 1)), jnp.ones((1, 1))
    # y = 1 becomes 1 - s/2 = 0.9: c = 0.9 ln(1 + e⁻²) + 0.1 ln(1 + e²)
    expected = 0.9 * np.log1p(np.exp(-2)) + 0.1 * np.log1p(np.exp(2))
    np.testing.assert_allclose(jaxmlp.cost(params, X, Y, net, Objective(label_smoothing=0.2)), expected, rtol=1e-14)


# --- penalties and bounds ---------------------------------------------------------------------------------------------


def test_l1_by_hand():
    net = Network((2, 1), "relu", "identity")
    params = ({"W": jnp.array([[3.0, -4.0]]), "b": jnp.ones((1, 1))},)
    X, Y = jnp.zeros((2, 5)), jnp.ones((1, 5))
    J, dparams = jaxmlp.backprop(params, X, Y, net, Objective(l1=10.0))
    assert (float(J), dparams[0]["W"].tolist(), dparams[0]["b"].tolist()) == (14.0, [[2.0, -2.0]], [[0.0]])


def test_clip_row_norms_shortens_only_what_is_too_long():
    W = jnp.array([[3.0, 4.0], [0.3, 0.4]])
    layer = clip_row_norms(({"W": W, "b": jnp.ones((2, 1))},), 2.5)[0]
    np.testing.assert_allclose(layer["W"][0], [1.5, 2.0], rtol=1e-15)
    assert layer["W"][1].tolist() == W[1].tolist()
    assert layer["b"].tolist() == [[1.0], [1.0]]


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ({"dropout": 1.0}, "dropout expects a finite number ≥ 0 and < 1, got 1.0: leave it out for none"),
        ({"input_dropout": -0.1}, "input_dropout expects a finite number ≥ 0 and < 1, got -0.1: leave it out for none"),
        ({"label_smoothing": 2}, "label_smoothing expects a finite number ≥ 0 and < 1, got 2: leave it out for none"),
        ({"mixup": np.inf}, "mixup expects a finite number ≥ 0, got inf: leave it out for none"),
        ({"max_norm": 0}, "max_norm expects a finite number ≥ 1e-06, got 0: leave it out for none"),
    ],
)
def test_numbers_out_of_range(numbers, text):
    with pytest.raises(InputError) as error:
        Objective(**numbers)
    assert str(error.value) == text


def test_sentences_for_norm_and_smoothing():
    with pytest.raises(InputError, match="norm expects one of batch, layer, got 'bach': did you mean 'batch'"):
        Network(SIZES, "tanh", "softmax", "bach")
    net = Network((2, 1), "relu", "identity")
    params = jaxmlp.init(KEY, net)
    with pytest.raises(InputError, match="label_smoothing expects one of the costs binary_cross_entropy"):
        jaxmlp.cost(params, np.ones((2, 1)), np.ones((1, 1)), net, Objective(label_smoothing=0.1))
    normed = Network(SIZES, "tanh", "softmax", "batch")
    plain = jaxmlp.init(KEY, Network(SIZES, "tanh", "softmax"))
    with pytest.raises(InputError, match=r"keys 'W', 'b' and 'gamma', got \['W', 'b'\]: only a network with norm"):
        jaxmlp.forward(plain, np.ones((3, 2)), normed)


@pytest.mark.slow
def test_the_zoo_is_normalised_in_low_precision_too():
    net = Network(SIZES, "tanh", "softmax", "batch")
    params, X, Y, _ = drawn(net)
    exact = jaxmlp.cost(params, X, Y, net)
    low = jaxmlp.cost(jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.bfloat16), params), X, Y, net)
    assert low.dtype == jnp.bfloat16
    assert abs(float(low) - float(exact)) < 0.1
    assert zoo.ACTIVATIONS


def test_noise_is_drawn_from_its_distributions():
    net, X = Network((100, 50, 1), "relu", "sigmoid"), jnp.zeros((100, 2000))
    objective = Objective(dropout=0.25, input_dropout=0.1, input_noise=0.3, mixup=0.5)
    noise = draw_noise(jax.random.key(1), net, objective, X)
    assert noise.shift is not None
    shift = np.asarray(noise.shift) / 0.3
    np.testing.assert_allclose([shift.mean(), (shift**2).mean(), (shift**4).mean()], [0, 1, 3], atol=0.05)
    for mask, rate in zip(noise.masks, (0.1, 0.25), strict=False):
        assert mask is not None
        mask = np.asarray(mask)
        np.testing.assert_allclose((mask == 0).mean(), rate, atol=0.01)
        np.testing.assert_allclose(mask[mask != 0], 1 / (1 - rate), rtol=2e-5)  # keep is a multiple of 2⁻¹⁶
    keys = jax.random.split(jax.random.key(2), 2000)
    weights = np.asarray(jax.vmap(lambda key: draw_noise(key, net, objective, X[:, :2]).mixing[0])(keys))  # pyright: ignore[reportOptionalSubscript]
    np.testing.assert_allclose([weights.mean(), weights.var()], [0.5, 1 / 8], atol=0.02)  # Beta(α, α): 1/(8α + 4)
