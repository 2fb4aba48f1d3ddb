"""Training: equal to a hand-written loop, reproducible, honest about its figures, and it stops when it should."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from marks import slow_except

import jaxmlp
from jaxmlp.data import Dataset
from jaxmlp.errors import DivergenceError, InputError, InputTypeError
from jaxmlp.metrics.decisions import is_correct
from jaxmlp.nn.objective import Objective
from jaxmlp.training.engine import EpochData, Hyperparameters, block_program
from jaxmlp.training.execution_plan import ExecutionPlan
from jaxmlp.training.optimizers import OPTIMIZERS, make_optimizer
from jaxmlp.training.step import StaticConfig

NET = jaxmlp.Network((3, 5, 2), "tanh", "softmax")
KEY = jax.random.key(7)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(25, 3))
    labels = (rows[:, 0] * rows[:, 1] > 0).astype(int)
    return Dataset.from_arrays(rows, labels).split_test(0.2)


def by_hand(data, net, alpha, epochs, B, objective, key=KEY):
    """Gradient descent in a Python loop over true, unpadded batches in the same order."""
    state = jaxmlp.init_state(key, net, optax.sgd(alpha))
    params, costs = state.params, []
    X, Y = data.train.rows, data.train.targets
    words = [int(word) for word in np.ravel(jax.random.key_data(state.key))]
    m = len(X)
    for epoch in range(epochs):
        order = np.random.default_rng([*words, epoch]).permutation(m) if m > B else np.arange(m)
        total = 0.0
        for i in range(0, m, B):
            batch = order[i : i + B]
            J, dparams = jaxmlp.backprop(params, X[batch].T, Y[None, batch], net, objective)
            params = jax.tree.map(lambda theta, dtheta: theta - alpha * dtheta, params, dparams)
            total += float(J) * len(batch) / m
        costs.append(total)
    return params, costs


@pytest.mark.quick("0.7-20", "None-1")
@pytest.mark.parametrize("B", [1, 6, 20, 64])
@pytest.mark.parametrize("l2", [None, 0.7])
def test_fit_is_gradient_descent(data, B, l2):
    result = jaxmlp.fit(
        NET, data, optimizer=optax.sgd(0.3), objective=Objective(l2=l2), epochs=3, batch_size=B, key=KEY
    )
    params, costs = by_hand(data, NET, 0.3, 3, B, Objective(l2=l2, examples=20 if l2 else None))
    chex.assert_trees_all_close(result.params, params, rtol=1e-11)
    np.testing.assert_allclose([report.cost for report in result.history], costs, rtol=1e-12)
    assert [report.step for report in result.history] == [-(-20 // B) * (i + 1) for i in range(3)]
    assert [report.epoch for report in result.history] == [1, 2, 3]


@pytest.mark.slow
def test_reported_accuracies_and_costs_are_those_of_the_parameters(data):
    watched = []

    def observe(state, report):
        J = jaxmlp.cost(state.params, data.test.rows.T, data.test.targets[None], NET)
        A = np.asarray(jaxmlp.forward(state.params, data.test.rows.T, NET))
        watched.append((float(J), float((np.argmax(A, axis=0) == data.test.targets).mean())))

    result = jaxmlp.fit(NET, data, epochs=4, batch_size=8, callbacks=[observe])
    for (J, accuracy), report in zip(watched, result.history, strict=True):
        np.testing.assert_allclose((report.validation_cost, report.validation_accuracy), (J, accuracy), rtol=1e-12)
    frozen = jaxmlp.fit(NET, data, epochs=1, batch_size=8, optimizer=optax.sgd(1e-300), params=result.params)
    A = np.asarray(jaxmlp.forward(result.params, data.train.rows.T, NET))
    assert frozen.history[0].accuracy == (np.argmax(A, axis=0) == data.train.targets).mean()


def test_same_key_same_run_and_other_key_another(data):
    runs = [jaxmlp.fit(NET, data, epochs=2, batch_size=8, key=jax.random.key(s)).params for s in (0, 0, 1)]
    chex.assert_trees_all_equal(runs[0], runs[1])
    assert (runs[0][0]["W"] != runs[2][0]["W"]).all()


def test_given_parameters_are_left_alone(data):
    params = jaxmlp.init(KEY, NET)
    kept = jax.tree.map(np.array, params)
    result = jaxmlp.fit(NET, data, epochs=2, batch_size=8, params=params)
    chex.assert_trees_all_equal(params, kept)
    assert (result.params[0]["W"] != kept[0]["W"]).any()
    numpy_start = jaxmlp.fit(NET, data, epochs=2, batch_size=8, params=kept)
    chex.assert_trees_all_equal(numpy_start.params, result.params)


def test_a_pair_of_arrays_will_do(data):
    pair = (data.train.rows, data.train.targets)
    result = jaxmlp.fit(NET, pair, epochs=1)
    assert result.history[0].validation_cost is None
    assert result.history[0].accuracy is not None


@pytest.mark.slow
@pytest.mark.parametrize("name", slow_except(OPTIMIZERS, "sgd", "adam", "lbfgs"))
def test_every_named_optimizer_lowers_the_cost(data, name):
    batch_size = "full" if name == "lbfgs" else 8  # a line search along another cost leads anywhere
    result = jaxmlp.fit(NET, data, optimizer=make_optimizer(name), epochs=30, batch_size=batch_size)
    assert result.history[-1].cost < result.history[0].cost


@pytest.mark.slow
def test_line_searches_get_what_they_need(data):
    result = jaxmlp.fit(NET, data, optimizer=optax.lbfgs(), epochs=40, batch_size="full")
    assert result.history[-1].cost < 0.2  # plain descent is at 0.6 after as many steps


OPTIONS = {
    "optimizer": {"optimizer": optax.sgd(0.1)},
    "cost": {"objective": Objective("quadratic")},
    "l2": {"objective": Objective(l2=5.0)},
    "epochs": {"epochs": 3},
    "batch_size": {"batch_size": 5},
    "key": {"key": jax.random.key(5)},
    "initializer": {"initializer": "normal(0.5)"},
    "shuffle": {"shuffle": False},
    "params": {"params": jaxmlp.init(jax.random.key(9), NET)},
}


BASE: dict[str, Any] = {"epochs": 2, "batch_size": 8}


@pytest.fixture(scope="module")
def plain(data):
    return jaxmlp.fit(NET, data, **BASE)


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_changes_the_result(data, plain, option):
    changed = jaxmlp.fit(NET, data, **(BASE | OPTIONS[option]))
    assert any((a != b).any() for a, b in zip(*map(jax.tree.leaves, (plain.params, changed.params)), strict=True))


@pytest.mark.slow
def test_observers_are_all_told_and_any_may_stop(data):
    told = []
    observers = (observer for observer in (lambda s, r: r.epoch == 3, lambda s, r: told.append(r.epoch)))
    result = jaxmlp.fit(NET, data, epochs=9, callbacks=observers)
    assert len(result.history) == 3
    assert told == [1, 2, 3]


@pytest.mark.slow
def test_going_on_from_a_state_is_going_on():
    rows = np.random.default_rng(0).normal(size=(20, 3))
    data = Dataset.from_arrays(rows, (rows[:, 0] > 0).astype(int))
    optimizer, objective = optax.adam(0.01), Objective()
    batches = jaxmlp.make_batches(data, NET, objective, 8)

    def run(state, n):
        states = jaxmlp.epochs(NET, objective, optimizer, state, batches)
        return next(state for state, report in states if report.epoch == n)

    whole = run(jaxmlp.init_state(KEY, NET, optimizer), 4)
    halves = run(run(jaxmlp.init_state(KEY, NET, optimizer), 2), 4)
    chex.assert_trees_all_equal(whole.params, halves.params)
    chex.assert_trees_all_equal(whole.opt_state, halves.opt_state)
    assert int(whole.step) == 12


def test_an_epoch_is_traced_once_in_all_runs(data):
    traces = []

    def update(updates, state, params=None):
        traces.append(1)  # runs while tracing only
        return jax.tree.map(lambda leaf: -0.1 * leaf, updates), state

    optimizer = optax.GradientTransformation(lambda params: optax.EmptyState(), update)
    for seed in range(3):
        jaxmlp.fit(NET, data, optimizer=optimizer, epochs=3, batch_size=8, key=jax.random.key(seed))
    equal = jaxmlp.Network([3, 5, 2], ("tanh",), "softmax")  # pyright: ignore[reportArgumentType]
    jaxmlp.fit(equal, data, optimizer=optimizer, epochs=3, batch_size=8)
    assert len(traces) == 1


@pytest.mark.slow
def test_nothing_but_the_order_and_the_report_crosses_to_the_host(data):
    optimizer = optax.sgd(0.1)
    objective = Objective()
    batches = jaxmlp.make_batches(data, NET, objective, 8)
    state = jaxmlp.init_state(KEY, NET, optimizer)
    for at_once in (1, 2):
        program = block_program(StaticConfig(NET, optimizer, batches.task), ExecutionPlan(capacity=at_once))
        orders = jax.device_put(np.asarray([batches.order((0, 1), epoch) for epoch in range(at_once)]))
        n, data = jnp.int32(at_once), EpochData(batches.train, batches.validation)
        with jax.transfer_guard("disallow"):
            program(state, data, orders, Hyperparameters(objective), n)


def test_make_step_donates_counts_and_weighs(data):
    step = jaxmlp.make_step(NET, optax.sgd(0.1), Objective(l2=0.1))
    state = jaxmlp.init_state(KEY, NET, optax.sgd(0.1))
    before = jax.tree.map(np.array, state.params)
    X, Y = jnp.asarray(data.train.rows.T), jnp.asarray(data.train.targets[None])
    weights = jnp.arange(20.0)[None]
    after, report = step(state, X, Y, weights)
    assert state.params[0]["W"].is_deleted()
    J, dparams = jaxmlp.backprop(before, X, Y, NET, Objective(l2=0.1), weights)
    chex.assert_trees_all_close(after.params, jax.tree.map(lambda t, d: t - 0.1 * d, before, dparams), rtol=1e-13)
    right = np.asarray(is_correct(jaxmlp.logits(before, X, NET), Y, NET, "multiclass"), float)
    np.testing.assert_allclose(report.cost, J, rtol=1e-14)
    np.testing.assert_allclose(report.accuracy, np.average(right, weights=np.arange(20.0)[None]), rtol=1e-14)
    assert int(report.step) == 1


def test_accuracy_by_output_and_task():
    Z = jnp.array([[2.0, -1.0, 0.5], [1.0, 3.0, 0.7]])
    N = jaxmlp.Network
    one_hot = jnp.array([[1, 1, 0], [0, 0, 1]])
    check = [
        (N((1, 2), "relu", "softmax"), one_hot, "multiclass", [1, 0, 1]),
        (N((1, 2), "relu", "sigmoid"), one_hot, "multiclass", [1, 0, 1]),
        (N((1, 2), "relu", "sigmoid"), jnp.array([[1, 0, 1], [1, 1, 0]]), "multilabel", [1, 1, 0]),
        (N((1, 2), "relu", "identity"), jnp.array([[1, 0, 0], [1, 1, 1]]), "multilabel", [1, 1, 1]),
    ]
    for net, Y, task, expected in check:
        right = is_correct(Z, Y, net, task)
        assert right is not None
        assert right.tolist() == [expected] or (task, net.output) == ("multilabel", "identity")
    identity = is_correct(Z, jnp.array([[1, 0, 0], [1, 1, 1]]), N((1, 2), "relu", "identity"), "multilabel")
    assert identity is not None
    assert identity.tolist() == [[1.0, 1.0, 1.0]]  # 0.5 is not above 1/2
    single = is_correct(Z[:1], jnp.array([[1, 0, 0]]), N((1, 1), "relu", "sigmoid"), "binary")
    assert single is not None
    assert single.tolist() == [[1.0, 1.0, 0.0]]
    assert is_correct(Z, Y=Z, net=N((1, 2), "relu", "identity"), task="regression") is None


def test_divergence_names_step_and_epoch():
    rows = np.arange(12.0).reshape(6, 2)
    pair = (rows, rows.sum(axis=1) * 1.5)
    net = jaxmlp.Network((2, 1), "relu", "identity")
    with pytest.raises(DivergenceError) as caught:
        jaxmlp.fit(net, pair, optimizer=optax.sgd(1e80), epochs=9, batch_size=3)
    assert str(caught.value) == (
        "cost became non-finite at step 3 (epoch 2), first in the cost; lower the learning rate or clip gradients"
    )


@pytest.mark.slow
def test_divergence_of_the_very_last_step_is_noticed(data):
    with pytest.raises(DivergenceError) as caught:
        jaxmlp.fit(NET, data, optimizer=optax.scale(-jnp.inf), epochs=1, batch_size="full")
    assert str(caught.value) == (
        "a parameter became non-finite at step 1 (epoch 1), first in the update of layer 1; "
        "lower the learning rate or clip gradients"
    )


def test_epochs_and_steps_count_on_with_another_batch_size(data):
    optimizer, reports = optax.sgd(0.1), []
    state = jaxmlp.init_state(KEY, NET, optimizer)
    for size in (8, 5):
        batches = jaxmlp.make_batches(data, NET, None, size)
        run = jaxmlp.epochs(NET, Objective(), optimizer, state, batches)
        for _ in range(2):
            state, report = next(run)
            reports.append((report.epoch, report.step))
    assert reports == [(1, 3), (2, 6), (3, 10), (4, 14)]
    assert (int(state.epoch), int(state.step)) == (4, 14)


def test_low_precision_counts_every_example():
    rows = np.random.default_rng(0).normal(size=(1001, 2))
    data = Dataset.from_arrays(rows, (rows[:, 0] > 0).astype(int))
    net = jaxmlp.network_for(data, ())
    params = ({"W": jnp.array([[1.0, 0.0]], jnp.bfloat16), "b": jnp.zeros((1, 1), jnp.bfloat16)},)
    result = jaxmlp.fit(net, data, params=params, optimizer=optax.sgd(1e-30), epochs=1, batch_size="full")
    assert result.history[0].accuracy == 1.0  # in bfloat16 a sum of 1001 ones is 1000


@pytest.mark.parametrize(
    ("arguments", "kind", "sentence"),
    [
        ({"epochs": 0}, InputError, "epochs expects a positive whole number, got 0: write 50, for example"),
        ({"epochs": 1.5}, InputError, "epochs expects a positive whole number, got 1.5: write 50, for example"),
        (
            {"optimizer": 0.1},
            InputTypeError,
            "optimizer expects an optax transformation, got float: write optax.adam(1e-3), for example",
        ),
        (
            {"objective": Objective("binary_cross_entropy")},
            InputError,
            "cost 'binary_cross_entropy' is defined for output 'sigmoid'; the network has output 'softmax': take cost "
            "'categorical_cross_entropy' or 'quadratic', or output 'sigmoid'",
        ),
        ({"key": 0}, InputTypeError, "key expects a typed key, got int: write jax.random.key(0)"),
        (
            {"objective": "quadratic"},
            InputTypeError,
            "objective expects a jaxmlp.Objective, got 'quadratic': write jaxmlp.Objective(cost=...)",
        ),
        (
            {"params": jaxmlp.init(KEY, NET), "initializer": "zeros"},
            InputError,
            "fit expects one of params, initializer and resume, got params and initializer: leave one of them out",
        ),
    ],
)
def test_mistakes_get_one_sentence(data, arguments, kind, sentence):
    with pytest.raises(kind) as caught:
        jaxmlp.fit(NET, data, **arguments)
    assert str(caught.value) == sentence


def test_what_is_no_network_and_what_is_no_task(data):
    with pytest.raises(InputTypeError, match=r"net expects a jaxmlp.Network, got NoneType: write jaxmlp.Network"):
        jaxmlp.fit(None, data)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match=r"task expects one of .*, got 'regresion': did you mean 'regression'\?"):
        jaxmlp.make_step(NET, optax.sgd(0.1), task="regresion")
    step, params = jaxmlp.make_step(NET, optax.sgd(0.1)), jaxmlp.init(jax.random.key(0), NET)
    with pytest.raises(InputTypeError, match=r"step expects a TrainState, got tuple: make one with jaxmlp.init_state"):
        step(params, np.ones((3, 4)), np.zeros((1, 4), int))  # pyright: ignore[reportArgumentType]


@pytest.mark.slow
def test_one_observer_and_one_hidden_layer_need_no_brackets(data):
    told = []
    jaxmlp.fit(jaxmlp.network_for(data, 4), data, epochs=2, callbacks=lambda s, r: told.append(r.epoch))
    assert told == [1, 2]


def test_what_is_no_data_set():
    with pytest.raises(InputTypeError) as caught:
        jaxmlp.fit(NET, "digits")  # pyright: ignore[reportArgumentType]
    assert str(caught.value) == (
        "fit expects a Dataset or a pair (rows, labels), got str: use jaxmlp.load or Dataset.from_arrays"
    )


@pytest.mark.parametrize("given", ["digits", (4,)])
def test_a_network_for_what_is_no_data_set(given):
    with pytest.raises(InputTypeError) as caught:
        jaxmlp.network_for(given)
    assert str(caught.value) == (
        f"network_for expects a Dataset as its first argument, got {type(given).__name__}: "
        'write network_for(jaxmlp.load("digits"), hidden=(100, 50)), say'
    )


def test_the_data_before_the_network(data):
    with pytest.raises(InputTypeError, match=r"got Network: is the order fit\(net, data\)\?"):
        jaxmlp.fit(data, NET)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("name", "rate", "sentence"),
    [
        (
            "sgdd",
            None,
            "optimizer expects one of sgd, momentum, nesterov, rmsprop, adam, adamw, adamw_ntk, lion, muon, lbfgs, "
            "got 'sgdd': did you mean 'sgd'?",
        ),
        ("sgd", 0.0, "learning rate expects a positive number, got 0.0: try 0.1 for 'sgd'"),
        ("adam", float("nan"), "learning rate expects a positive number, got nan: try 0.001 for 'adam'"),
    ],
)
def test_named_optimizers_refuse(name, rate, sentence):
    with pytest.raises(InputError) as caught:
        make_optimizer(name, rate)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("labels", "sizes", "output"),
    [
        ([0, 1, 0], (2, 128, 1), "sigmoid"),
        (["a", "b", "c"], (2, 128, 3), "softmax"),
        (np.array([[1, 1], [0, 1], [1, 0]]), (2, 128, 2), "sigmoid"),
        ([0.5, 1.5, 2.5], (2, 128, 1), "identity"),
    ],
)
def test_network_for_data(labels, sizes, output):
    net = jaxmlp.network_for(Dataset.from_arrays(np.eye(3, 2), labels))
    assert (net.sizes, net.output) == (sizes, output)


# --- costs of regression ----------------------------------------------------------------------------------------------

X_LINE = np.random.default_rng(5).normal(size=(500, 1))


def fitted(output, targets, cost):
    """W and b of one unit, and its model, trained on every row at once."""
    data = Dataset.from_arrays(X_LINE, targets, task="regression")
    net, objective = jaxmlp.Network((1, 1), (), output), Objective(cost)
    result = jaxmlp.fit(net, data, optimizer=optax.adam(0.05), objective=objective, epochs=400, batch_size="full")
    model = jaxmlp.Model.of(net, result.params, data, objective)
    return float(result.params[0]["W"][0, 0]), float(result.params[0]["b"][0, 0]), model


@pytest.mark.parametrize("tau", [0.1, 0.9])
def test_quantile_leaves_its_share_of_the_targets_below(tau, tmp_path):
    targets = 2 * X_LINE[:, 0] + np.random.default_rng(6).exponential(size=500)
    W, _, model = fitted("identity", targets, f"quantile({tau})")
    assert W == pytest.approx(2, abs=0.2)
    assert (targets < model.predict(X_LINE)).mean() == pytest.approx(tau, abs=0.02)
    model.save(tmp_path / "model.h5")
    assert jaxmlp.load_model(tmp_path / "model.h5").cost == f"quantile({tau})"


def test_outliers_move_huber_and_absolute_little_and_the_quadratic_cost_much():
    targets = 2 * X_LINE[:, 0] + 1
    targets[:25] += 1000
    b = {cost: fitted("identity", targets, cost)[1] for cost in ("quadratic", "huber(0.1)", "absolute")}
    assert b["huber(0.1)"] == pytest.approx(1, abs=0.05)
    assert b["absolute"] == pytest.approx(1, abs=0.05)
    assert b["quadratic"] > 5


def test_poisson_finds_the_rates_of_counts():
    targets = np.random.default_rng(7).poisson(np.exp(0.8 * X_LINE[:, 0] + 0.5)).astype(float)
    W, b, model = fitted("exp", targets, None)
    assert model.cost == "poisson"
    np.testing.assert_allclose([W, b], [0.8, 0.5], atol=0.1)
    np.testing.assert_allclose(model.predict(X_LINE), np.exp(W * X_LINE[:, 0] + b), rtol=1e-5)
