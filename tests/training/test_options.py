"""What practitioners ask of `fit`: every option does what it says, and a run goes on as if it had never stopped."""

import inspect
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmlp
from jaxmlp import Network, Objective
from jaxmlp.data import Dataset
from jaxmlp.errors import DivergenceError, InputError
from jaxmlp.training.epoch import Fixed, epoch_program
from jaxmlp.training.optimizers import unit_optimizer
from jaxmlp.training.schedules import Plateau, make_rates, reduced
from jaxmlp.training.stopping import EarlyStopping

NET = Network((3, 5, 3), "tanh", "softmax")
BASE: dict[str, Any] = {"epochs": 3, "batch_size": 8}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(40, 3))
    labels = np.argmax(rows + 0.3 * rng.normal(size=(40, 3)), axis=1)
    return Dataset.from_arrays(rows[:25], labels[:25], validation_rows=rows[25:], validation_labels=labels[25:])


def fitted(data, net=NET, **options):
    return jaxmlp.fit(net, data, **(BASE | options))


@pytest.fixture(scope="module")
def plain(data):
    return fitted(data)


# each beside what it needs to be seen; the first test asks that none is missing
OPTIONS: dict[str, dict[str, Any]] = {
    "optimizer": {"optimizer": "momentum"},
    "learning_rate": {"learning_rate": 0.02},
    "schedule": {"schedule": "cosine"},
    "warmup": {"warmup": 1},
    "weight_decay": {"optimizer": "adamw", "weight_decay": 1.0},
    "objective": {"objective": Objective(max_norm=0.5)},
    "epochs": {"epochs": 4},
    "batch_size": {"batch_size": 5},
    "key": {"key": jax.random.key(5)},
    "params": {"params": jaxmlp.init(jax.random.key(9), NET)},
    "scheme": {"scheme": "he_uniform"},
    "shuffle": {"shuffle": False},
    "sample_weight": {"sample_weight": np.arange(25.0)},
    "class_weight": {"class_weight": {0: 5.0}},
    "clip": {"optimizer": "sgd", "clip": 0.01},
    "average": {"average": 0.5},
    "freeze": {"freeze": [1]},
    "precision": {"precision": "float32"},
    "stopping": {"stopping": EarlyStopping(1, "cost", min_delta=9.0)},
    "metrics": {"metrics": ["auc"]},
    "observers": {"observers": lambda state, report: True},
}
OBJECTIVES = ("l2", "l1", "dropout", "input_dropout", "label_smoothing", "input_noise", "mixup", "max_norm")


def test_every_option_is_walked():
    walked = {*OPTIONS, "net", "data", "resume", "checkpoints"}  # the last two have tests of their own
    assert set(inspect.signature(jaxmlp.fit).parameters) == walked
    assert {*inspect.signature(Objective).parameters} == {*OBJECTIVES, "cost", "examples"}


def leaves(result):
    return jax.tree.leaves((result.params, result.history[-1]._replace(seconds=None)))


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_changes_the_result(data, plain, option):
    changed = leaves(fitted(data, **OPTIONS[option]))
    assert len(changed) != len(leaves(plain)) or any(
        np.any(a != b) for a, b in zip(changed, leaves(plain), strict=True)
    )


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_number_of_the_objective_changes_the_result(data, plain, name):
    numbers: dict[str, Any] = {name: 0.3}
    changed = fitted(data, objective=Objective(**numbers))
    assert any(np.any(a != b) for a, b in zip(*map(jax.tree.leaves, (plain.params, changed.params)), strict=True))


# --- learning rates ---------------------------------------------------------------------------------------------------


def test_any_scalar_is_a_learning_rate_and_compiles_nothing(data):
    program: Any = epoch_program(NET, unit_optimizer("sgd"), Fixed(data.task))
    runs, counts = [], []
    for rate in (0.05, np.float32(0.05), np.float64(0.05), jnp.float32(0.05), jnp.array(0.05)):
        runs.append(fitted(data, optimizer="sgd", learning_rate=rate).params)
        counts.append(program._cache_size())
    chex.assert_trees_all_close(*runs, rtol=1e-5)
    fitted(data, optimizer="sgd", learning_rate=1, schedule="cosine", warmup=0.5)
    assert {*counts, program._cache_size()} == {counts[0]}


def test_a_named_optimizer_is_optaxs_own(data):
    for name, transformation in (("sgd", optax.sgd(0.1)), ("adam", optax.adam(0.1)), ("rmsprop", optax.rmsprop(0.1))):
        ours = fitted(data, optimizer=name, learning_rate=0.1).params
        chex.assert_trees_all_close(ours, fitted(data, optimizer=transformation).params, rtol=1e-6)


def test_schedules_by_hand():
    def rates(schedule, warmup=0.0, alpha=1.0):
        return make_rates(alpha, schedule, warmup, epochs=4, per_epoch=2).steps.round(6).tolist()

    assert rates("constant", alpha=0.5) == [0.5] * 8
    assert rates("constant", warmup=1.5) == pytest.approx([1 / 3, 2 / 3, 1, 1, 1, 1, 1, 1], abs=1e-6)
    assert rates("step(0.5, 2)") == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5]
    np.testing.assert_allclose(rates("cosine"), [(1 + np.cos(np.pi * t / 8)) / 2 for t in range(8)], atol=1e-6)
    cycle = rates("one_cycle")
    assert (cycle[0], max(cycle)) == (pytest.approx(0.04), pytest.approx(1, abs=0.1))
    assert cycle[-1] < 0.1
    assert rates("plateau(0.5, 1)") == [1.0] * 8
    assert reduced(Plateau(0.5, 1), [3.0, 3.0, 2.0, 2.5]) == 0.25
    own = make_rates(lambda step: 0.1 / (1 + step), "constant", 0, 2, 2).steps
    np.testing.assert_allclose(own, [0.1, 0.05, 0.1 / 3, 0.025], rtol=1e-6)
    table = [0.4, 0.3, 0.2, 0.1]
    assert make_rates(lambda step: table[int(step)], "constant", 0, 2, 2).steps.tolist() == table


def test_a_plateau_lowers_the_rate_of_the_next_epoch(data):
    history = fitted(data, learning_rate=1e-300, schedule="plateau(0.5, 1)", epochs=6).history
    rates: list[Any] = [report.learning_rate for report in history]
    assert rates[0] == 1e-300
    assert rates[-1] < rates[0]


# --- weights ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", [None, "batch"])
def test_whole_weights_are_repeated_rows(data, norm):
    times = np.arange(25) % 4  # some rows not at all
    rows, targets = data.train
    repeated = Dataset.from_arrays(np.repeat(rows, times, axis=0), np.repeat(targets, times))
    alone = Dataset.from_arrays(rows, targets)
    net = Network((3, 5, 3), "tanh", "softmax", norm)
    options = {"batch_size": "full", "epochs": 5, "optimizer": "sgd", "objective": Objective(l2=0.5)}
    ours = fitted(alone, net, sample_weight=times, **options)
    right = fitted(repeated, net, **options)
    chex.assert_trees_all_close(ours.params, right.params, rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(ours.history[-1].cost, right.history[-1].cost, rtol=1e-6)
    assert ours.history[-1].accuracy == pytest.approx(right.history[-1].accuracy)


def test_class_weights_are_sample_weights(data):
    ids = data.train.targets
    counts = np.bincount(ids)
    for spec, weights in (("balanced", len(ids) / (3 * counts)), ({0: 2.0, 2: 0.5}, np.array([2.0, 1.0, 0.5]))):
        ours = fitted(data, class_weight=spec)
        chex.assert_trees_all_equal(ours.params, fitted(data, sample_weight=weights[ids]).params)
    both = fitted(data, class_weight={0: 2.0}, sample_weight=np.arange(1.0, 26))
    expected = fitted(data, sample_weight=np.arange(1.0, 26) * np.where(ids == 0, 2.0, 1.0))
    chex.assert_trees_all_equal(both.params, expected.params)


# --- the update -------------------------------------------------------------------------------------------------------


def test_a_clipped_step_is_as_long_as_it_may_be(data):
    start = jaxmlp.init(jax.random.key(2), NET)
    options = {"params": start, "optimizer": "sgd", "learning_rate": 1.0, "epochs": 1, "batch_size": "full"}
    moved = jax.tree.map(jnp.subtract, fitted(data, clip=0.01, **options).params, start)
    np.testing.assert_allclose(np.sqrt(sum((leaf**2).sum() for leaf in jax.tree.leaves(moved))), 0.01, rtol=1e-6)
    chex.assert_trees_all_equal(fitted(data, clip=1e9, **options).params, fitted(data, **options).params)


def test_a_moving_average_by_hand(data):
    seen = []
    options = {"optimizer": "sgd", "learning_rate": 0.5, "batch_size": "full"}
    result = fitted(data, average=0.3, observers=lambda state, report: seen.append(state.params) and None, **options)
    start = fitted(data, average=0.3, epochs=1, optimizer="sgd", learning_rate=1e-30, batch_size="full").params
    average = start
    for t, params in enumerate(seen):
        d = min(0.3, (1 + t) / (10 + t))
        average = jax.tree.map(lambda old, new, d=d: d * old + (1 - d) * new, average, params)
    chex.assert_trees_all_close(result.params, average, rtol=1e-6)
    assert (result.params[0]["W"] != result.state.params[0]["W"]).any()


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "muon", "lbfgs"])
def test_frozen_layers_stay_bit_for_bit(data, optimizer):
    start = jaxmlp.init(jax.random.key(2), NET)
    options = {"params": start, "freeze": [2], "objective": Objective(l2=1.0, max_norm=0.1), "batch_size": "full"}
    result = fitted(data, optimizer=optimizer, **options)
    chex.assert_trees_all_equal(result.params[1], start[1])
    assert (result.params[0]["W"] != start[0]["W"]).any()


def test_max_norm_holds_after_every_step(data):
    longest = []

    def observe(state, report):
        longest.extend(float(jnp.linalg.norm(layer["W"], axis=1).max()) for layer in state.params)

    fitted(data, objective=Objective(max_norm=0.5), learning_rate=0.5, observers=observe)
    assert max(longest) <= 0.5 * (1 + 1e-6)


def test_bfloat16_products_move_float32_weights(data):
    with jax.enable_x64(False):
        start = jaxmlp.init(jax.random.key(2), NET)
        options = {"params": start, "learning_rate": 1e-4}  # a step that bfloat16 weights would not feel
        low, full = (fitted(data, precision=name, **options) for name in ("bfloat16", "float32"))
    assert low.params[0]["W"].dtype == jnp.float32
    assert (low.params[0]["W"] != start[0]["W"]).all()
    moved = [jax.tree.map(jnp.subtract, run.params, start)[0]["W"] for run in (low, full)]
    np.testing.assert_allclose(moved[0], moved[1], atol=3e-4)
    assert low.history[-1].cost == pytest.approx(full.history[-1].cost, rel=0.02)


def test_batch_norm_answers_one_row_as_among_others(data):
    net = Network((3, 5, 3), "relu", "softmax", "batch")
    result = fitted(data, net, epochs=20)
    model = jaxmlp.Model.of(result.net, result.params, data)
    together = model.outputs(data.validation.rows)
    alone = np.concatenate([model.outputs(row[None]) for row in data.validation.rows])
    np.testing.assert_allclose(alone, together, rtol=1e-12)
    assert result.history[-1].validation_accuracy == model.evaluate(data.validation)["accuracy"]
    with pytest.raises(InputError, match="the model expects a network without norm='batch'"):
        jaxmlp.Model.of(net, result.state.params, data)


# --- stopping and going on --------------------------------------------------------------------------------------------


def test_early_stopping_returns_the_best_epoch(data):
    seen = {}

    def observe(state, report):
        seen[report.epoch] = (report.validation_cost, state.params)

    result = fitted(data, epochs=200, learning_rate=0.3, stopping=EarlyStopping(5), observers=observe)
    best = min(seen, key=lambda epoch: seen[epoch][0])
    assert result.best_epoch == best
    assert len(result.history) == best + 5 < 200
    chex.assert_trees_all_equal(result.params, seen[best][1])


def test_early_stopping_on_a_metric(data):
    result = fitted(data, epochs=60, learning_rate=0.3, stopping=EarlyStopping(4, "f1"))
    values = [(report.scores or {})["f1"] for report in result.history]
    assert result.best_epoch == int(np.argmax(values)) + 1
    assert len(values) == int(np.argmax(values)) + 5


GOING_ON = {
    "noise": {"objective": Objective(dropout=0.3, input_noise=0.1)},
    "schedule": {"schedule": "one_cycle", "warmup": 0.5},
    "plateau": {"schedule": "plateau(0.5, 1)", "learning_rate": 0.5},
    "average": {"average": 0.9, "clip": 0.5},
    "stopping": {"stopping": EarlyStopping(3), "learning_rate": 0.5},
    "L-BFGS": {"optimizer": "lbfgs", "batch_size": "full"},
    "weights": {"sample_weight": np.arange(25), "freeze": [2]},
}


@pytest.mark.parametrize("options", GOING_ON.values(), ids=GOING_ON)
def test_a_run_goes_on_as_if_it_had_not_stopped(data, options, tmp_path):
    net = Network((3, 5, 3), "tanh", "softmax", "batch")
    whole = fitted(data, net, epochs=8, **options)
    part = fitted(data, net, epochs=8, observers=lambda state, report: report.epoch == 3, **options)
    resumed = fitted(data, net, epochs=8, resume=part.snapshot, **options)

    def stop(state, report):
        if report.epoch == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(data, net, epochs=8, observers=stop, checkpoints=tmp_path / "run", **options)
    again = fitted(data, net, epochs=8, checkpoints=tmp_path / "run", **options)
    for other in (resumed, again):
        chex.assert_trees_all_equal(other.params, whole.params)
        chex.assert_trees_all_equal(other.state.opt_state, whole.state.opt_state)
        assert [report._replace(seconds=None) for report in other.history] == [
            report._replace(seconds=None) for report in whole.history
        ]
        assert other.best_epoch == whole.best_epoch


def test_so_many_calls_are_so_many_epochs(data):
    result = fitted(data, epochs=1)
    for epochs in (2, 3):
        result = fitted(data, epochs=epochs, resume=result.snapshot)
    chex.assert_trees_all_equal(result.params, fitted(data, epochs=3).params)
    assert fitted(data, epochs=2, resume=result.snapshot).history == result.history  # nothing left to do


def test_a_diverging_run_hands_back_its_last_good_epoch(data):
    rows = np.arange(12.0).reshape(6, 2)
    net = Network((2, 1), "relu", "identity")
    with pytest.raises(DivergenceError) as caught:
        jaxmlp.fit(net, (rows, rows.sum(axis=1) * 1.5), optimizer="sgd", learning_rate=1e9, epochs=99, batch_size=3)
    good = caught.value.last_good
    assert len(good.history) == int(good.state.epoch) >= 1
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(good.params))


def test_a_checkpoint_of_another_run_is_refused(data, tmp_path):
    fitted(data, checkpoints=tmp_path)
    with pytest.raises(InputError, match=r"expects .*\(5, 3\) float64, got .*\(6, 3\) float64: resume with"):
        fitted(data, Network((3, 6, 3), "tanh", "softmax"), checkpoints=tmp_path)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"optimizer": optax.sgd(0.1), "learning_rate": 0.1}, "an optax transformation expects no learning_rate"),
        ({"optimizer": optax.sgd(0.1), "weight_decay": 0.1}, "an optax transformation expects no weight_decay"),
        ({"optimizer": "lbfgs"}, "optimizer 'lbfgs' expects full batches, got batch_size 8"),
        (
            {"optimizer": "lbfgs", "learning_rate": 1, "batch_size": "full"},
            "expects no learning rate: it finds its own",
        ),
        ({"optimizer": "lbfgs", "warmup": 1, "batch_size": "full"}, "expects no warmup: it finds its own"),
        ({"weight_decay": 0.1}, "weight_decay expects one of the optimizers adamw and lion, got 'adam'"),
        ({"optimizer": "adamw", "weight_decay": -1}, "weight_decay expects a positive number, got -1"),
        ({"schedule": "cosinus"}, "schedule expects one of .*, got 'cosinus': did you mean 'cosine'"),
        ({"schedule": "plateau(2)"}, "schedule plateau expects a factor between 0 and 1, got 2"),
        ({"schedule": "step(0.5, 0)"}, "schedule step expects a positive whole number of epochs, got 0"),
        ({"warmup": 3}, "warmup expects a number of epochs from 0 to less than 3, got 3"),
        ({"learning_rate": lambda step: 0.1, "warmup": 1}, "learning_rate expects a function alone"),
        ({"learning_rate": lambda step: -0.1}, "learning_rate expects a function step -> number ≥ 0"),
        ({"sample_weight": [1.0]}, "sample_weight expects a number for each of the 25 training rows"),
        ({"sample_weight": -np.ones(25)}, "sample_weight expects finite numbers ≥ 0, not all 0, got -1.0"),
        ({"class_weight": "balancd"}, "class_weight expects 'balanced' or a dict"),
        ({"clip": 0}, "clip expects a positive number, got 0"),
        ({"average": 1}, "average expects a decay between 0 and 1, got 1"),
        ({"freeze": [3]}, r"freeze expects layers from 1 to 2, not all of them, got \[3\]"),
        ({"freeze": [1, 2]}, "not all of them"),
        ({"precision": "float16"}, "precision expects one of float32, float64, bfloat16, got 'float16'"),
        ({"precision": "float32", "params": jaxmlp.init(jax.random.key(0), NET, dtype="bfloat16")}, "parameters of"),
        ({"stopping": EarlyStopping(0)}, "patience expects a positive whole number of epochs, got 0"),
        ({"stopping": EarlyStopping(3, min_delta=-1)}, "min_delta expects a number ≥ 0, got -1"),
        ({"metrics": ["f2"]}, "metric expects one of cost, .*, got 'f2'"),
        ({"metrics": ["mae"]}, "mae"),
    ],
)
def test_mistakes_get_one_sentence(data, options, text):
    with pytest.raises(InputError, match=text):
        fitted(data, **options)


def test_what_needs_more_than_the_data_have(data):
    alone = Dataset.from_arrays(*data.train)
    with pytest.raises(InputError, match="early stopping expects a validation part for 'f1', got none"):
        fitted(alone, stopping=EarlyStopping(3, "f1"))
    assert fitted(alone, stopping=EarlyStopping(3)).best_epoch is not None  # then it watches the cost
    with (
        jax.enable_x64(False),
        pytest.raises(InputError, match="precision expects float64 to be switched on in JAX, got it off"),
    ):
        fitted(data, precision="float64")
    values = Dataset.from_arrays(data.train.rows, data.train.rows[:, :1], task="regression")
    with pytest.raises(InputError, match="class_weight expects a task with one class for each row, got regression"):
        jaxmlp.fit(Network((3, 1), "relu", "identity"), values, class_weight="balanced")
    with pytest.raises(InputError, match="fit expects one of params, scheme and resume, got params and resume"):
        fitted(data, params=jaxmlp.init(jax.random.key(0), NET), resume=fitted(data).snapshot)
