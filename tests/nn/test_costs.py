"""Costs: values against the oracle, δ by autodiff, weights, stability, class ids, and the sentences for mistakes."""

import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
import zoo

import jaxmlp
from jaxmlp import Network, Objective
from jaxmlp.errors import InputError, InputTypeError
from jaxmlp.nn import costs
from jaxmlp.nn.activations import exp, identity, sigmoid, softmax

every_head = pytest.mark.parametrize(("name", "g"), zoo.HEADS, ids=lambda value: getattr(value, "name", value))

RNG = np.random.default_rng(3)
Z = RNG.uniform(0.01, 3, (12, 7)) * RNG.choice([-1, 1], (12, 7))
WEIGHTS = RNG.uniform(0.5, 2, (1, 7))


def targets(name: str, n: int) -> np.ndarray:
    """Labels in [0, 1]; soft classes that sum to 1 for categorical cross-entropy."""
    Y = np.random.default_rng(4).uniform(size=(n, 7))
    return Y / Y.sum(axis=0) if name == "categorical_cross_entropy" else Y


def jax_arrays(*arrays):
    return [jnp.asarray(array) for array in arrays]


# --- values and δ -----------------------------------------------------------------------------------------------------


@every_head
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["equal", "weighted"])
def test_cost_is_the_oracles_mean(name, g, weights):
    Y = targets(name, 12 // g.pieces)
    losses = oracle.cost(name)(oracle.activation(g.name).apply(Z), Y)[0]
    cost = costs.find(name, g)

    np.testing.assert_allclose(cost.losses(g, *jax_arrays(Z, Y)), losses[None], rtol=1e-12)
    J = costs.mean_cost.apply(cost, g, *jax_arrays(Z, Y), None if weights is None else jnp.asarray(weights))
    assert J.shape == ()
    assert float(J) == pytest.approx(np.average(losses, weights=None if weights is None else weights[0]), rel=1e-13)


@every_head
def test_output_error_is_the_oracles(name, g):
    Y = targets(name, 12 // g.pieces)
    cost, output = costs.find(name, g), oracle.activation(g.name)
    dA = oracle.cost(name)(output.apply(Z), Y)[1]
    z, y, w = jax_arrays(Z, Y, WEIGHTS)

    equal, weighted = costs.output_error(cost, g, z, y, None), costs.output_error(cost, g, z, y, w)
    assert oracle.relative_difference(equal, output.backward(Z, dA / 7)) <= 1e-12
    assert oracle.relative_difference(weighted, output.backward(Z, dA * WEIGHTS / WEIGHTS.sum())) <= 1e-12


@every_head
def test_slope_is_the_oracles_derivative_by_the_output(name, g):
    Y = targets(name, 12 // g.pieces)
    A = oracle.activation(g.name).apply(Z)
    slope = costs.find(name, g).slope
    assert slope is not None
    np.testing.assert_allclose(slope(*jax_arrays(A, Y)), oracle.cost(name)(A, Y)[1], rtol=1e-12)


@pytest.mark.parametrize("name", zoo.COSTS)
def test_delta_is_the_slope_of_each_loss(name):
    g = zoo.LIKELIHOODS.get(name, sigmoid)
    cost, (z, y) = costs.find(name, g), jax_arrays(Z, targets(name, 12))

    np.testing.assert_allclose(cost.delta(g, z, y), jax.grad(lambda z: cost.losses(g, z, y).sum())(z), rtol=1e-12)


def test_quadratic_by_hand():
    # z = 0: a = 1/2, y = 1: c = 1/2 · 1/4 = 1/8, δ = (a - y) a (1 - a) = -1/2 · 1/4 = -1/8
    cost, z, y = costs.find("quadratic", sigmoid), jnp.zeros((1, 1)), jnp.ones((1, 1))

    assert float(cost.losses(sigmoid, z, y)[0, 0]) == 0.125
    assert float(cost.delta(sigmoid, z, y)[0, 0]) == -0.125


def test_cross_entropy_does_not_slow_down_where_quadratic_does():
    # far on the wrong side: δ of the quadratic cost vanishes with σ', that of cross-entropy is a - y
    z, y = jnp.full((1, 1), 20.0), jnp.zeros((1, 1))

    assert float(costs.find("quadratic", sigmoid).delta(sigmoid, z, y)[0, 0]) < 1e-8
    assert float(costs.find("binary_cross_entropy", sigmoid).delta(sigmoid, z, y)[0, 0]) == pytest.approx(1)


# --- costs of the residual, and Poisson -------------------------------------------------------------------------------


def by_residual(name: str, *r: float) -> tuple[list[float], list[float], list[float]]:
    """ρ(r), δ and autodiff's δ at residuals r: identity output, y = 0."""
    cost, z = costs.find(name, identity), jnp.array([r])
    y = jnp.zeros_like(z)
    autodiff = jax.grad(lambda z: cost.losses(identity, z, y).sum())(z)
    return cost.losses(identity, z, y)[0].tolist(), cost.delta(identity, z, y)[0].tolist(), autodiff[0].tolist()


@pytest.mark.parametrize(
    ("name", "r", "c", "slope"),
    [
        ("absolute", (-3, 0, -0.0, 2), (3, 0, 0, 2), (-1, 0, 0, 1)),
        ("huber(2)", (-3, -2, -1, 0, 1, 2, 3), (4, 2, 0.5, 0, 0.5, 2, 4), (-2, -2, -1, 0, 1, 2, 2)),
        ("huber(0.5)", (-3, 0.5, 1), (1.375, 0.125, 0.375), (-0.5, 0.5, 0.5)),
        ("quantile(0.75)", (-4, 0, -0.0, 4), (3, 0, 0, 1), (-0.75, 0, 0, 0.25)),
        ("quantile(0.25)", (-4, 0, 4), (1, 0, 3), (-0.25, 0, 0.75)),
    ],
)
def test_by_hand_at_the_kinks_too(name, r, c, slope):
    assert by_residual(name, *map(float, r)) == (list(c), list(slope), list(slope))


@pytest.mark.parametrize("name", zoo.RESIDUAL_COSTS)
def test_nan_comes_out_as_nan(name):
    for answer in by_residual(name, float("nan"), 1.0)[:2]:
        assert np.isnan(answer).tolist() == [True, False]


def test_outliers_pull_with_d_at_most_and_overflow_nothing():
    cost, z = costs.find("huber(2)", identity), jnp.array([[3e38, -3e38]], jnp.float32)
    y = jnp.zeros_like(z)

    assert jnp.isinf(costs.find("quadratic", identity).losses(identity, z, y)).all()
    assert jnp.isfinite(cost.losses(identity, z / 4, y)).all()
    assert cost.delta(identity, z, y).tolist() == [[2, -2]]


def test_kin_of_one_another():
    # a wide huber is the quadratic cost, a narrow one d times the absolute, and the median's pinball loss half of it
    r = RNG.normal(size=50)

    assert by_residual("huber(100)", *r) == by_residual("quadratic", *r)
    for wide, narrow in zip(by_residual("absolute", *r), by_residual("huber(1e-9)", *r), strict=True):
        np.testing.assert_allclose(narrow, 1e-9 * np.array(wide), rtol=1e-7)
    for whole, half in zip(by_residual("absolute", *r), by_residual("quantile(0.5)", *r), strict=True):
        np.testing.assert_array_equal(half, 0.5 * np.array(whole))


@pytest.mark.parametrize(
    ("name", "best"),
    [
        ("quadratic", np.mean),
        ("absolute", np.median),
        ("quantile(0.9)", lambda y: np.quantile(y, 0.9, method="inverted_cdf")),
        ("quantile(0.2)", lambda y: np.quantile(y, 0.2, method="inverted_cdf")),
    ],
)
def test_the_best_constant_is_the_statistic_that_the_cost_is_named_for(name, best):
    y = RNG.normal(size=(1, 101))
    a = np.linspace(-3, 3, 6001)
    z = np.broadcast_to(a[:, None, None], (len(a), 1, 101))
    cost = costs.find(name, identity)
    J = jax.vmap(lambda z: cost.losses(identity, z, jnp.asarray(y)).mean())(jnp.asarray(z))

    assert a[np.argmin(J)] == pytest.approx(float(best(y)), abs=2e-3)


def test_poisson_by_hand():
    # z = ln 2: a = 2, y = 3: c = 2 - 3 ln 2, δ = a - y = -1
    cost, z, y = costs.find(None, exp), jnp.log(jnp.array([[2.0]])), jnp.array([[3.0]])

    assert float(cost.losses(exp, z, y)[0, 0]) == pytest.approx(2 - 3 * np.log(2), rel=1e-15)
    assert float(cost.delta(exp, z, y)[0, 0]) == pytest.approx(-1, rel=1e-15)


def test_poisson_is_the_likelihood_of_counts():
    # c + ln y! = -ln(e⁻ᵃ aʸ / y!)
    y, z = np.arange(6.0)[None], RNG.normal(size=(1, 6))
    a, factorials = np.exp(z), np.array([[1, 1, 2, 6, 24, 120]])
    c = costs.find(None, exp).losses(exp, *jax_arrays(z, y))

    np.testing.assert_allclose(c + np.log(factorials), -np.log(np.exp(-a) * a**y / factorials), rtol=1e-12)


def test_a_negative_count_is_nan():
    cost, z, y = costs.find(None, exp), jnp.zeros((1, 3)), jnp.array([[0.0, -1.0, 2.5]])

    for answer in (cost.losses(exp, z, y), cost.delta(exp, z, y)):
        assert jnp.isnan(answer)[0].tolist() == [False, True, False]


# --- weights ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", [("quadratic", identity), *zoo.LIKELIHOODS.items()], ids=lambda head: head[0])
def test_whole_weights_are_repeated_columns(head):
    name, g = head
    w = np.array([[1, 0, 2, 1, 3, 0, 1]])
    Y, cost = targets(name, 12), costs.find(name, g)
    repeated = np.repeat(np.arange(7), w[0])

    weighted = costs.mean_cost.apply(cost, g, *jax_arrays(Z, Y, w.astype(float)))
    plain = costs.mean_cost.apply(cost, g, *jax_arrays(Z[:, repeated], Y[:, repeated]), None)
    assert float(weighted) == pytest.approx(float(plain), rel=1e-15)

    dZ = costs.output_error(cost, g, *jax_arrays(Z, Y, w.astype(float)))
    z, y = jax_arrays(Z[:, repeated], Y[:, repeated])
    each = costs.output_error(cost, g, z, y, None)
    summed = np.zeros_like(Z)
    np.add.at(summed.T, repeated, np.asarray(each).T)
    np.testing.assert_allclose(dZ, summed, rtol=1e-13)


def test_padding_with_weight_zero_changes_nothing():
    net, cost = zoo.NETWORKS["mixed"]
    params, X, Y, w = zoo.example(net, cost)
    X_pad, Y_pad = [np.concatenate([array, np.full((len(array), 3), 0.25)], axis=1) for array in (X, Y)]
    w_pad = np.concatenate([w, np.zeros((1, 3))], axis=1)

    J, gradient = jaxmlp.backprop(params, X, Y, net, Objective(l2=0.5), w)
    J_pad, gradient_pad = jaxmlp.backprop(params, X_pad, Y_pad, net, Objective(l2=0.5), w_pad)
    assert float(J_pad) == pytest.approx(float(J), rel=1e-14)
    assert oracle.worst_leaf(gradient_pad, gradient) <= 1e-13


def test_scale_of_weights_does_not_matter():
    args = jax_arrays(Z, targets("quadratic", 12))
    cost = costs.find("quadratic", sigmoid)

    J = [float(costs.mean_cost.apply(cost, sigmoid, *args, jnp.asarray(c * WEIGHTS))) for c in (1, 1000)]
    assert J[0] == pytest.approx(J[1], rel=1e-14)


@every_head
def test_gradients_by_logits_labels_and_weights_are_autodiffs(name, g):
    cost = costs.find(name, g)
    args = jax_arrays(Z, targets(name, 12 // g.pieces), WEIGHTS)

    ours = jax.grad(lambda *args: 2 * costs.mean_cost.apply(cost, g, *args), argnums=(0, 1, 2))(*args)
    autodiff = jax.grad(lambda *args: 2 * costs.mean_cost.reference(cost, g, *args), argnums=(0, 1, 2))(*args)
    for i, (a, b) in enumerate(zip(ours, autodiff, strict=True)):
        assert np.abs(b).max() > 0 or (i == 0 and g.name == "step")
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-16)


# --- stability --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64, jnp.bfloat16])
@pytest.mark.parametrize("name", ["binary_cross_entropy", "categorical_cross_entropy"])
def test_logits_of_ten_thousand_are_finite(name, dtype):
    g = sigmoid if name.startswith("binary") else softmax
    cost = costs.find(name, g)
    z = jnp.array([[1e4, 1e4, -1e4, -1e4], [-1e4, 1e4, 1e4, -1e4]], dtype)
    y = jnp.array([[1, 0, 1, 1], [0, 1, 0, 0]], dtype)
    losses, delta, gradient = jax.jit(
        lambda z: (cost.losses(g, z, y), cost.delta(g, z, y), jax.grad(lambda z: cost.losses(g, z, y).sum())(z))
    )(z)

    wrong = [0, 1e4, 2e4, 1e4] if name.startswith("binary") else [0, np.log(2), 2e4, np.log(2)]
    np.testing.assert_allclose(losses[0].astype(float), wrong, rtol=1e-2 if dtype == jnp.bfloat16 else 1e-6)
    assert losses.dtype == dtype
    assert jnp.isfinite(gradient).all()
    np.testing.assert_allclose(delta.astype(float), gradient.astype(float), atol=1e-7)


def test_right_and_sure_costs_nothing_and_has_no_gradient():
    z, y = jnp.array([[1e4, -1e4]]), jnp.array([[1.0, 0.0]])
    cost = costs.find(None, sigmoid)

    assert cost.losses(sigmoid, z, y).tolist() == [[0, 0]]
    assert cost.delta(sigmoid, z, y).tolist() == [[0, 0]]


# --- kinds of labels --------------------------------------------------------------------------------------------------

IDS = np.array([[2, 0, 11, 5, 5, 1, 7]])
ONE_HOT = np.eye(12)[:, IDS[0]]


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "int8"])
def test_class_ids_are_one_hot_columns(dtype):
    cost = costs.find(None, softmax)
    z, ids = jnp.asarray(Z), jnp.asarray(IDS.astype(dtype))

    np.testing.assert_array_equal(costs.one_hot(ids, 12, jnp.float64), ONE_HOT)
    for f in (cost.losses, cost.delta):
        np.testing.assert_array_equal(f(softmax, z, ids), f(softmax, z, jnp.asarray(ONE_HOT)))


@pytest.mark.parametrize(("dtype", "classes"), [("uint8", 300), ("uint8", 256), ("int8", 128)])
def test_class_ids_of_a_dtype_that_does_not_hold_the_number_of_classes(dtype, classes):
    ids = np.array([[5, 0, 127]])

    one_hot = costs.one_hot(jnp.asarray(ids.astype(dtype)), classes, jnp.float64)
    np.testing.assert_array_equal(one_hot, np.eye(classes)[:, ids[0]])


@pytest.mark.parametrize("wrong", [-1, 12, 1000])
def test_class_id_out_of_range_is_nan(wrong):
    net = Network((3, 12), "relu", "softmax")
    params, X, _, _ = zoo.example(net, "categorical_cross_entropy")
    ids = IDS.copy()
    ids[0, 3] = wrong

    assert jnp.isnan(costs.one_hot(jnp.asarray(ids), 12, jnp.float64)).all(axis=0).tolist() == [
        i == 3 for i in range(7)
    ]
    J, gradient = jaxmlp.backprop(params, X, ids, net)
    assert jnp.isnan(J)
    assert jnp.isnan(gradient[0]["b"]).all()


def test_ids_give_the_gradient_of_one_hot():
    net = Network((3, 5, 12), "tanh", "softmax")
    params, X, _, w = zoo.example(net, "categorical_cross_entropy")

    by_ids = jax.grad(jaxmlp.cost)(params, X, IDS, net, None, w)
    assert oracle.worst_leaf(by_ids, jax.grad(jaxmlp.cost)(params, X, ONE_HOT, net, None, w)) == 0


def test_soft_labels_that_do_not_sum_to_one_weigh_their_column():
    cost, Y = costs.find(None, softmax), RNG.uniform(size=(12, 7))
    A = np.asarray(softmax.apply(jnp.asarray(Z)))

    np.testing.assert_allclose(cost.delta(softmax, *jax_arrays(Z, Y)), Y.sum(axis=0) * A - Y, rtol=1e-13)
    np.testing.assert_allclose(cost.losses(softmax, *jax_arrays(Z, Y))[0], -(Y * np.log(A)).sum(axis=0), rtol=1e-13)


def test_several_labels_at_once_sum_their_costs():
    cost, Y = costs.find(None, sigmoid), (RNG.uniform(size=(12, 7)) > 0.5).astype(float)
    each = [cost.losses(sigmoid, *jax_arrays(Z[[k]], Y[[k]])) for k in range(12)]

    np.testing.assert_allclose(cost.losses(sigmoid, *jax_arrays(Z, Y)), sum(each), rtol=1e-14)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float32"])
def test_labels_of_any_real_dtype(dtype):
    net = Network((3, 4), "relu", "sigmoid")
    params, X, _, _ = zoo.example(net, "binary_cross_entropy")
    Y = RNG.integers(0, 2, (4, 7))

    assert jaxmlp.cost(params, X, Y.astype(dtype), net) == jaxmlp.cost(params, X, Y.astype(float), net)


# --- which cost -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("g", zoo.ACTIVATIONS, ids=lambda g: g.name)
def test_cost_follows_from_the_output(g):
    default = {output.name: name for name, output in zoo.LIKELIHOODS.items()}.get(g.name, "quadratic")

    assert costs.find(None, g).name == default


def test_objective_changes_the_cost():
    net = Network((3, 4), "relu", "sigmoid")
    params, X, Y, _ = zoo.example(net, "quadratic")
    J = {
        name: float(jaxmlp.cost(params, X, Y, net, Objective(name)))
        for name in (None, "binary_cross_entropy", *zoo.RESIDUAL_COSTS)
    }

    assert J[None] == J["binary_cross_entropy"]
    assert len({*J.values()}) == len(J) - 1


def test_a_cost_of_ones_own():
    def losses(g, Z, Y):
        return jnp.cosh(g.apply(Z) - Y).sum(axis=0, keepdims=True)

    def delta(g, Z, Y):
        A = g.apply(Z)
        return g.pullback(Z, A, jnp.sinh(A - Y))

    own = costs.Cost("cosh", losses, delta)
    net = Network((3, 5, 4), "tanh", "gelu")
    params, X, Y, _ = zoo.example(net, "cosh")

    assert costs.find(own, identity) is own
    gradient = jaxmlp.backprop(params, X, Y, net, Objective(own))[1]
    f = jax.jit(lambda params: jaxmlp.cost(params, X, Y, net, Objective(own)))
    assert oracle.worst_leaf(gradient, oracle.central_differences(f, list(params))) <= 1e-7


@pytest.mark.parametrize(("name", "own"), zoo.LIKELIHOODS.items(), ids=lambda value: getattr(value, "name", value))
def test_a_likelihood_is_refused_without_its_output(name, own):
    for g in zoo.ACTIVATIONS:
        if g == own:
            continue
        others = " or ".join([*(repr(cost) for cost, output in zoo.LIKELIHOODS.items() if output == g), "'quadratic'"])
        with pytest.raises(InputError) as error:
            costs.find(name, g)
        assert str(error.value) == (
            f"cost {name!r} is defined for output {own.name!r}; the network has output {g.name!r}: "
            f"take cost {others}, or output {own.name!r}"
        )


def test_a_cost_for_two_outputs_names_both():
    own = costs.find("quadratic", identity)._replace(name="own", outputs=("tanh", "relu"))
    with pytest.raises(InputError) as error:
        costs.find(own, identity)
    assert str(error.value) == (
        "cost 'own' is defined for output 'tanh' or 'relu'; the network has output 'identity': "
        "take cost 'quadratic', or output 'tanh' or 'relu'"
    )


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("huber", "huber(1.0)"),
        ("huber( .5 )", "huber(0.5)"),
        ("huber(2)", "huber(2.0)"),
        ("quantile()", "quantile(0.5)"),
        ("quantile(9e-1)", "quantile(0.9)"),
    ],
)
def test_one_spelling_and_one_record_for_every_name(written, name):
    assert costs.find(written, identity).name == name
    assert costs.find(written, identity) is costs.find(name, identity)


NAMES = ", ".join(costs.COSTS)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("quadratc", f"cost expects one of {NAMES}, got 'quadratc': did you mean 'quadratic'?"),
        ("MSE", f"cost expects one of {NAMES}, got 'MSE': did you mean 'quadratic'?"),
        ("Cross Entropy", f"cost expects one of {NAMES}, got 'Cross Entropy': did you mean 'binary_cross_entropy'?"),
        ("quadratic(2)", "cost quadratic expects no argument, got 'quadratic(2)': write 'quadratic'"),
        (3, f"cost expects a name, got int: take one of {NAMES}"),
        ("huber(0)", "huber expects a finite d > 0, got 0: write 'huber(1.0)', say"),
        ("huber(-1)", "huber expects a finite d > 0, got -1: write 'huber(1.0)', say"),
        ("huber(inf)", "huber expects a finite d > 0, got inf: write 'huber(1.0)', say"),
        ("huber(nan)", "huber expects a finite d > 0, got nan: write 'huber(1.0)', say"),
        ("huber(x)", "cost 'huber(x)' expects numbers in its parentheses, got 'x': write it as in 'huber(1.0)'"),
        ("huber(1, 2)", "cost 'huber(1, 2)' expects at most 1 number, got 2: remove the last ones"),
        ("quantile(0)", "quantile expects 0 < τ < 1, got 0: write 'quantile(0.5)', say"),
        ("quantile(1)", "quantile expects 0 < τ < 1, got 1: write 'quantile(0.5)', say"),
        ("quantile(nan)", "quantile expects 0 < τ < 1, got nan: write 'quantile(0.5)', say"),
        ("absolute(1)", "cost absolute expects no argument, got 'absolute(1)': write 'absolute'"),
    ],
)
def test_sentence_for_a_wrong_cost(name, text):
    with pytest.raises(InputError) as error:
        costs.find(name, identity)
    assert str(error.value) == text


# --- mistakes in Y and weights ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "Y", "kind", "text"),
    [
        (
            "sigmoid",
            [[1.0] * 7] * 4,
            InputTypeError,
            "Y expects an array of shape (4, 7), got list: convert it with numpy.asarray",
        ),
        (
            "sigmoid",
            np.ones(7),
            InputError,
            "Y for cost 'binary_cross_entropy' expects shape (4, 7), got (7,): reshape it with Y.reshape(1, -1)",
        ),
        (
            "sigmoid",
            np.ones((1, 7)),
            InputError,
            "Y for cost 'binary_cross_entropy' expects shape (4, 7), got (1, 7): "
            "is Y one example per column, as many as X?",
        ),
        (
            "identity",
            np.ones((7, 4)),
            InputError,
            "Y for cost 'quadratic' expects shape (4, 7), got (7, 4): is Y one example per column, as many as X?",
        ),
        (
            "softmax",
            np.ones((4, 6)),
            InputError,
            "Y for cost 'categorical_cross_entropy' expects shape (4, 7) one-hot, or (1, 7) class ids, got (4, 6): "
            "is Y one example per column, as many as X?",
        ),
        (
            "softmax",
            np.ones(7, int),
            InputError,
            "Y for cost 'categorical_cross_entropy' expects shape (4, 7) one-hot, or (1, 7) class ids, got (7,): "
            "reshape it with Y.reshape(1, -1)",
        ),
        (
            "softmax",
            np.ones((1, 7)),
            InputTypeError,
            "Y expects whole class ids, got float64: cast class ids with Y.astype(int), or give one-hot columns",
        ),
        (
            "softmax",
            np.ones((1, 7), bool),
            InputTypeError,
            "Y expects whole class ids, got bool: cast class ids with Y.astype(int), or give one-hot columns",
        ),
        (
            "identity",
            np.ones((4, 7)) * 1j,
            InputTypeError,
            "Y expects real numbers, got complex128: take Y.real",
        ),
    ],
)
def test_sentence_for_wrong_labels(output, Y, kind, text):
    net = Network((3, 4), "relu", output)
    params, X, _, _ = zoo.example(net, "")
    for f in (jaxmlp.cost, jaxmlp.backprop):
        with pytest.raises(InputError) as error:
            f(params, X, Y, net)
        assert type(error.value) is kind
        assert str(error.value) == text


def test_sentence_for_no_examples():
    net = Network((3, 4), "relu", "identity")
    params = zoo.example(net, "").params
    with pytest.raises(InputError) as error:
        jaxmlp.cost(params, np.ones((3, 0)), np.ones((4, 0)), net)
    assert str(error.value) == "Y expects at least one example, got (4, 0): the mean over no examples is not defined"


@pytest.mark.parametrize(
    ("weights", "got"),
    [(np.ones(7), "(7,)"), (np.ones((7, 1)), "(7, 1)"), ([[1.0] * 7], "list"), (1.0, "()")],
)
def test_sentence_for_wrong_weights(weights, got):
    net = Network((3, 4), "relu", "identity")
    params, X, Y, _ = zoo.example(net, "")
    with pytest.raises(InputError) as error:
        jaxmlp.cost(params, X, Y, net, None, weights)
    assert str(error.value) == (
        f"weights expects an array of shape (1, 7), got {got}: give one weight per column, with weights.reshape(1, -1)"
    )


def test_whole_number_weights_are_taken():
    net = Network((3, 4), "relu", "identity")
    params, X, Y, _ = zoo.example(net, "")

    assert jaxmlp.cost(params, X, Y, net, None, np.ones((1, 7), int)) == pytest.approx(
        float(jaxmlp.cost(params, X, Y, net)), rel=1e-14
    )
