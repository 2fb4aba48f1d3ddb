"""Problems are planted one at a time and must be named, and only they; healthy networks get a clean bill."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import zoo
from marks import slow_except

import jaxmlp
from jaxmlp.analysis.curvature import hessian
from jaxmlp.errors import InputError, InputTypeError
from jaxmlp.evidence.diagnostics import diagnose as chapter
from jaxmlp.evidence.diagnostics.diagnose import diagnose
from jaxmlp.evidence.diagnostics.findings import HIDES, RuleInput, layers_text, without_consequences
from jaxmlp.evidence.diagnostics.gradient_rules import gradient_factors
from jaxmlp.evidence.diagnostics.measurements import measure
from jaxmlp.evidence.diagnostics.unit_rules import is_revivable
from jaxmlp.nn.objective import Objective, check_batch

SEEDS = range(3)
NETS = {name: jaxmlp.Network((64, 12, 9, 10), name, "softmax") for name in ("relu", "tanh", "sigmoid", "identity")}


@pytest.fixture
def dtype():
    """Users have float32, where rounding is most likely to look like an problem."""
    return jnp.dtype("float32")


@pytest.fixture(scope="module")
def digits():
    """A fifth of the digits as training sees them: X (64, m) and class ids (1, m)."""
    data = jaxmlp.load("digits")
    X = data.preprocessing(data.train.rows, np.float64).T[:, ::5]
    return X, data.train.targets.astype(np.int32)[None, ::5]


def drawn(net, initializer="auto", seed=0, dtype=None):
    return jaxmlp.init(jax.random.key(seed), net, initializer, dtype)


def names(diagnosis):
    return {finding.name for finding in diagnosis.findings}


# --- one at a time ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_each_problem_is_named_and_nothing_else(activation, digits, dtype):
    net, (X, Y) = NETS[activation], digits
    with_nan = X.copy()
    with_nan[:, 7] = np.nan
    for seed in SEEDS:
        fresh = drawn(net, seed=seed, dtype=dtype)
        planted = {
            "healthy": (fresh, X, None),
            "zero weights": (drawn(net, "zeros", dtype=dtype), X, None),
            "symmetric units": (drawn(net, f"constant({0.1 + 0.2 * seed})", dtype=dtype), X, None),
            "unscaled inputs": (fresh, 255 * X, 0.1),
            "non-finite values": (fresh, with_nan, 0.1),
            "learning rate too large": (fresh, X, 10.0),
        }
        for name, (params, columns, rate) in planted.items():
            found = diagnose(params, columns, Y, net, learning_rate=rate)
            assert names(found) == {name} - {"healthy"}, f"seed {seed}"
            assert all(finding.cure and finding.source and finding.text for finding in found.findings)
        assert diagnose(fresh, X, Y, net, learning_rate=0.1).healthy  # a hundredth of the rate above


def test_negative_biases_kill_relu(digits, dtype):
    X, Y = digits
    params = drawn(NETS["relu"], dtype=dtype)
    for killed, where in (((0, 1), "layers 1-2"), ((0,), "layer 1"), ((1,), "layer 2")):
        biased = tuple({**layer, "b": layer["b"] - 100 * (l in killed)} for l, layer in enumerate(params))
        (finding,) = diagnose(biased, X, Y, NETS["relu"]).findings
        assert (finding.name, finding.where, finding.number) == ("dead units", where, 1.0)
        assert "no change in the layers below can revive them" in finding.text


@pytest.mark.slow
def test_identity_activations(digits, dtype):
    X, Y = digits
    params = drawn(NETS["identity"], dtype=dtype)
    (finding,) = diagnose(params, X, Y, NETS["identity"]).findings
    assert (finding.name, finding.where, finding.number) == ("linear network", "layers 1-2", 3)
    (finding,) = diagnose(params, X, Y, jaxmlp.Network(NETS["relu"].sizes, ("tanh", "identity"), "softmax")).findings
    assert (finding.name, finding.where) == ("linear layer", "layer 2")
    assert diagnose(params[:1], X, Y, jaxmlp.Network((64, 12), (), "softmax")).healthy  # no hidden layer: no fault


@pytest.mark.slow
def test_step_has_no_gradient(digits, dtype):
    X, Y = digits
    net = jaxmlp.Network(NETS["relu"].sizes, "step", "softmax")
    assert names(diagnose(drawn(net, dtype=dtype), X, Y, net)) == {"step activation"}


@pytest.mark.slow
@pytest.mark.parametrize("width", slow_except([10, 30, 100], 10))
def test_twenty_sigmoid_layers(width, digits, dtype):
    X, Y = digits
    net = jaxmlp.Network((64, *[width] * 20, 10), "sigmoid", "softmax")
    for seed in SEEDS:
        # in wide layers the gradient explodes as well: one problem, one name
        assert names(diagnose(drawn(net, "normal(10)", seed, dtype), X, Y, net)) == {"saturated units"}
        # a third of every layer is flat: in wide ones none alone is ill, but hardly a path through all twenty is free
        ten = tuple({"W": 10 * layer["W"], "b": layer["b"]} for layer in drawn(net, "auto", seed, dtype))
        times_ten = diagnose(ten, X, Y, net)
        assert names(times_ten) == {"saturated units"}
        assert "of the paths through all layers meet no such unit" in times_ten.findings[0].text
        small = diagnose(drawn(net, "normal(0.01)", seed, dtype), X, Y, net)
        assert names(small) == {"vanishing gradients"}
        assert small.layers[0].gradient < 1e-20 * small.layers[-1].gradient
        top = small.layers[-2]
        assert top.by_slope == pytest.approx(0.25, rel=0.01)  # σ'(0)
        assert top.by_weight == pytest.approx(0.01 * np.sqrt(width), rel=0.5)  # of random entries of N(0, 0.01²)


@pytest.mark.slow
def test_a_gradient_that_has_rounded_to_nothing_is_not_a_number_of_times(digits, dtype):
    X, Y = digits
    net = jaxmlp.Network((64, *[10] * 20, 10), "sigmoid", "softmax")
    (finding,) = diagnose(drawn(net, "normal(0.0001)", dtype=dtype), X, Y, net).findings
    assert finding.name == "vanishing gradients"
    assert finding.text.startswith("‖dZ‖ is 0 from layer ")
    assert "0.0e+00" not in finding.text


@pytest.mark.slow
def test_constant_weights_under_a_softmax_leave_one_unit(digits, dtype):
    # Wᵀ dZ of equal rows of W under a softmax is rounding alone: it must not tell the units apart
    X, Y = digits
    for width in (12, 128):
        net = jaxmlp.Network((64, width, width, 10), "relu", "softmax")
        found = diagnose(drawn(net, "constant(0.02)", dtype=dtype), X, Y, net)
        (finding,) = found.findings
        assert (finding.name, finding.where, finding.number) == ("symmetric units", "layers 1-2", 1)
        assert [layer.distinct for layer in found.layers[:2]] == [1, 1]


@pytest.mark.slow
def test_rates_of_a_network_without_hidden_layer(dtype, rng):
    # linear regression: one Hessian everywhere, so that beyond 2/λ_max descent climbs for ever
    net = jaxmlp.Network((3, 1), (), "identity")
    X, params = rng.normal(size=(3, 40)), drawn(net, dtype=dtype)
    Y = rng.normal(size=(1, 3)) @ X
    bound = diagnose(params, X, Y, net, learning_rate=1e-2).stable_rate or 0.0
    assert names(diagnose(params, X, Y, net, learning_rate=0.9 * bound)) == set()
    assert names(diagnose(params, X, Y, net, learning_rate=1.2 * bound)) == {"learning rate too large"}
    # logistic regression: convex, and flatter where it has learned; its weights may start small
    planar = jaxmlp.load("planar")
    net = jaxmlp.network_for(planar, (), "relu")
    train = jaxmlp.make_batches(planar, net, Objective(), "full", dtype=dtype).train
    params = drawn(net, "normal(0.01)", dtype=dtype)
    bound = diagnose(params, train.X.T, train.Y.T, net, learning_rate=1e-2).stable_rate or 0.0
    for times, found in ((0.5, set()), (1.0, set()), (3.0, {"learning rate too large"})):
        assert names(diagnose(params, train.X.T, train.Y.T, net, learning_rate=times * bound)) == found


@pytest.mark.slow
def test_relu_explodes_without_saturating(digits, dtype):
    net = jaxmlp.Network((64, *[30] * 12, 10), "relu", "softmax")
    X, Y = digits
    found = diagnose(drawn(net, "normal(1)", dtype=dtype), X, Y, net)
    assert names(found) == {"exploding gradients"}
    assert "‖W‖·g'" in found.findings[0].text


def test_collapse_to_the_majority(dtype, rng):
    net = jaxmlp.Network((3, 4, 1), "tanh", "sigmoid")
    X = rng.normal(size=(3, 200))
    Y = np.zeros((1, 200))
    Y[0, :30] = 1  # 15 %
    params = drawn(net, dtype=dtype)
    collapsed = (params[0], {"W": 1e-3 * params[1]["W"], "b": jnp.full((1, 1), np.log(0.15 / 0.85), dtype)})
    found = diagnose(collapsed, X, Y, net)
    assert names(found) == {"majority class"}
    assert found.findings[0].number == pytest.approx(0.85)
    assert found.findings[0].text.startswith("class 0 is predicted for all 200 examples")
    assert diagnose(params, X, Y, net).healthy
    balanced = np.arange(200.0)[None, :] % 2
    assert diagnose(collapsed, X, balanced, net).healthy  # no majority to collapse to


def test_a_gradient_whose_square_is_zero_is_measured(rng):
    net = jaxmlp.Network((3, 4, 1), "identity", "identity")
    first, last = drawn(net, dtype=jnp.float64)
    last = {name: leaf * 1e-170 for name, leaf in last.items()}
    layer, output = diagnose((first, last), rng.normal(size=(3, 20)), jnp.ones((1, 20)), net).layers
    # every column of dZ_1 is W_2ᵀ times that of dZ_2
    np.testing.assert_allclose(
        layer.gradient, output.gradient * 1e-170 * np.linalg.norm(last["W"] / 1e-170), rtol=1e-12
    )


@pytest.mark.slow
def test_updates_against_weights(digits, dtype):
    X, Y = digits
    net = NETS["tanh"]
    params = drawn(net, dtype=dtype)
    found = diagnose(params, X, Y, net, learning_rate=1e-9)
    assert names(found) == {"small updates"}
    _, dparams = jaxmlp.backprop(params, X, Y, net)
    for layer, W, dW in zip(found.layers, *[[p["W"] for p in tree] for tree in (params, dparams)], strict=True):
        assert layer.update == pytest.approx(1e-9 * float(jnp.linalg.norm(dW) / jnp.linalg.norm(W)), rel=1e-4)
    # a weak layer under a strong slope: the step replaces it long before it is unstable
    weak = ({**params[0], "W": 1e-4 * params[0]["W"]}, *params[1:])
    assert "large updates" in names(diagnose(weak, X, Y, net, learning_rate=0.3))


# --- single numbers ---------------------------------------------------------------------------------------------------


def test_first_non_finite_value_by_layer_and_step(digits, dtype):
    X, Y = digits
    net = NETS["relu"]
    params = drawn(net, dtype=dtype)
    broken = (params[0], {**params[1], "W": params[1]["W"].at[2, 5].set(jnp.inf)}, params[2])
    finding = diagnose(broken, X, Y, net).findings[0]
    assert (finding.where, finding.number) == ("layer 2, W", 5)
    assert "row 2, column 5" in finding.text
    huge = jnp.finfo(dtype).max / 2
    overflow = (params[0], {**params[1], "W": jnp.full_like(params[1]["W"], huge)}, params[2])
    assert diagnose(overflow, X + 1, Y, net).findings[0].where == "layer 2, Z"
    assert diagnose(params, X, np.full_like(Y, 11), net).findings[0].where == "Y"
    report = diagnose(broken, X, Y, net).to_dict()
    assert report["cost"] is None
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_which_dead_units_upstream_can_revive(dtype):
    # layer 2, inputs ≥ 0: unit 0 has a positive weight and may come back, unit 1 has none; unit 2 lives
    net = jaxmlp.Network((1, 2, 3, 1), "relu", "identity")
    params = (
        {"W": jnp.ones((2, 1), dtype), "b": jnp.array([[0.0], [0.5]], dtype)},
        {
            "W": jnp.array([[1.0, -2.0], [-1.0, -1.0], [1.0, 1.0]], dtype),
            "b": jnp.array([[-9.0], [-1.0], [0.0]], dtype),
        },
        {"W": jnp.ones((1, 3), dtype), "b": jnp.zeros((1, 1), dtype)},
    )
    X, Y = jnp.array([[1.0, 2.0]], dtype), jnp.zeros((1, 2), dtype)
    batch, objective = check_batch(params, X, Y, net, None, None)
    case = RuleInput(net, measure(params, batch, net, objective), None, None, float(jnp.finfo(dtype).eps))
    assert is_revivable(case, 2).tolist() == [True, False, False]
    assert is_revivable(case, 1).tolist() == [False, False]
    assert diagnose(params, X, Y, net).layers[1].dead == pytest.approx(2 / 3)


def test_the_chain_is_exact(digits, dtype):
    X, Y = digits
    net = NETS["tanh"]
    params = drawn(net, dtype=dtype)
    batch, objective = check_batch(params, X, Y, net, None, None)
    symptoms = measure(params, batch, net, objective)
    for l in (1, 2):
        product = np.prod(gradient_factors(symptoms, l))
        assert product == pytest.approx(symptoms.layers[l - 1].gradient / symptoms.layers[l].gradient, rel=1e-5)


@pytest.mark.slow
def test_stable_rate_is_two_over_the_largest_eigenvalue(dtype):
    net, cost = zoo.NETWORKS["Nielsen"]
    params, X, Y, weights = zoo.example(net, cost)
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), params)
    objective = Objective(cost, l2=0.1)
    expected = 2 / np.linalg.eigvalsh(np.asarray(hessian(params, X, Y, net, objective, weights), np.float64)).max()
    found = diagnose(params, X, Y, net, objective, learning_rate=1e-2, weights=weights)
    assert found.stable_rate == pytest.approx(expected, rel=1e-2)
    above = diagnose(params, X, Y, net, objective, learning_rate=2.1 * expected, weights=weights)
    assert "learning rate too large" in names(above)


@pytest.mark.slow
def test_shares_of_a_layer(digits, dtype):
    X, Y = digits
    net = NETS["relu"]
    params = drawn(net, dtype=dtype)
    bias = params[0]["b"].at[:3].add(-100)  # a few dead: reported in the table, no finding
    biased = ({**params[0], "b": bias}, *params[1:])
    found = diagnose(biased, X, Y, net)
    assert found.healthy
    silent = (jaxmlp.trace(biased, X, net)[0]["Z"] <= 0).all(axis=1)
    assert found.layers[0].dead == pytest.approx(silent.mean())
    assert silent[:3].all()
    copies = ({name: leaf.at[1].set(leaf[0]) for name, leaf in params[0].items()}, *params[1:])
    twins = ({**copies[1], "W": copies[1]["W"].at[:, 1].set(copies[1]["W"][:, 0])}, copies[2])
    assert diagnose(copies, X, Y, net).healthy  # equal weights alone: the next layer tells the units apart
    (finding,) = diagnose((copies[0], *twins), X, Y, net).findings
    assert (finding.name, finding.where, finding.number) == ("symmetric units", "layer 1", 11)


# --- health -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "activation"),
    [
        ("digits", "relu"),
        ("planar", "tanh"),
        ("xor", "relu"),
        ("moons", "sigmoid"),
        ("circles", "relu"),
        ("spirals", "tanh"),
    ],
)
def test_packaged_data_is_healthy_fresh_and_trained(name, activation, dtype):
    data = jaxmlp.load(name)
    net = jaxmlp.network_for(data, (16, 16), activation)
    batches = jaxmlp.make_batches(data, net, Objective(), "full", dtype=dtype)
    X, Y = batches.train.X.T, batches.train.Y.T
    for seed in SEEDS:
        found = diagnose(drawn(net, seed=seed, dtype=dtype), X, Y, net)
        assert found.healthy, str(found)
    with jax.numpy_dtype_promotion("standard"):  # optax's Adam multiplies floats with its step counter
        trained = jaxmlp.fit(net, data, params=drawn(net, dtype=dtype)).params
    found = diagnose(trained, X, Y, net)
    assert found.healthy, str(found)


# --- the report -------------------------------------------------------------------------------------------------------


def test_report(digits, dtype):
    X, Y = digits
    net = NETS["sigmoid"]
    sick = diagnose(drawn(net, "zeros", dtype=dtype), X, Y, net)
    text = str(sick)
    assert text.startswith("1 finding\nzero weights (layers 1-2): W is 0 in 2 of 2 hidden layers")
    assert "cure: draw W at random" in text
    assert "see:  Ng's course, random initialisation" in text
    report = sick.to_dict()
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert [layer["rank"] for layer in report["layers"]] == [0, 0, 0]
    healthy = diagnose(drawn(net, dtype=dtype), X, Y, net)
    assert str(healthy).startswith("healthy: 3 layers, cost ")


def test_mistakes(digits, dtype):
    X, Y = digits
    params = drawn(NETS["relu"], dtype=dtype)
    with pytest.raises(InputError, match="is X one example per column"):
        diagnose(params, X.T, Y, NETS["relu"])
    for text in ("0.1", [0.1], jnp.ones(2)):
        with pytest.raises(InputTypeError, match="learning_rate expects a positive number, got"):
            diagnose(params, X, Y, NETS["relu"], learning_rate=text)  # pyright: ignore[reportArgumentType]
    assert diagnose(params, X, Y, NETS["relu"], learning_rate=np.float64(0.1)).stable_rate is not None
    for rate in (0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match="learning_rate expects a positive number"):
            diagnose(params, X, Y, NETS["relu"], learning_rate=rate)


def test_the_table_of_what_hides_what_names_only_findings_that_exist():
    rules = {rule.__name__.replace("_", " ") for rule in chapter.RULES}
    assert set(HIDES) <= rules
    assert {name for hidden in HIDES.values() for name in hidden} <= rules
    assert without_consequences(()) == ()
    assert [layers_text([2]), layers_text([1, 2, 3]), layers_text([1, 3])] == ["layer 2", "layers 1-3", "layers 1, 3"]
