"""What practitioners ask of `fit`: every option does what it says, and a run goes on as if it had never stopped."""

import dataclasses
import inspect
import math
import re
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import zoo
from marks import cpu_only, slow_except

import jaxmlp
from jaxmlp import Network, Objective
from jaxmlp.data import Dataset
from jaxmlp.data.dataset import Part
from jaxmlp.errors import DivergenceError, InputError
from jaxmlp.training import Checkpointer
from jaxmlp.training.early_stopping import EarlyStopping, MetricTracker
from jaxmlp.training.engine import block_program
from jaxmlp.training.execution_plan import plan_execution
from jaxmlp.training.optimizers import make_optimizer, unit_optimizer
from jaxmlp.training.schedules import Plateau, make_rates, plateau_factor
from jaxmlp.training.state import Report, Snapshot
from jaxmlp.training.step import StaticConfig

NET = Network((3, 5, 3), "tanh", "softmax")
KEY = jax.random.key(0)
BASE: dict[str, Any] = {"epochs": 3, "batch_size": 8}


@pytest.fixture(scope="module")
def data():
    return zoo.three_classes(25)


def fitted(data, net=NET, **options):
    return jaxmlp.fit(net, data, **(BASE | options))


@pytest.fixture(scope="module")
def plain(data):
    return fitted(data)


OBJECTIVES = ("l2", "l1", "dropout", "input_dropout", "label_smoothing", "input_noise", "mixup", "max_norm")


def test_every_number_of_the_objective_is_walked():
    assert {*inspect.signature(Objective).parameters} == {*OBJECTIVES, "cost", "examples"}


@pytest.mark.slow
@pytest.mark.parametrize("name", slow_except(OBJECTIVES, "dropout"))
def test_every_number_of_the_objective_changes_the_result(data, plain, name):
    numbers: dict[str, Any] = {name: 0.3}
    changed = fitted(data, objective=Objective(**numbers))
    assert any(np.any(a != b) for a, b in zip(*map(jax.tree.leaves, (plain.params, changed.params)), strict=True))


# --- learning rates ---------------------------------------------------------------------------------------------------


def test_any_scalar_is_a_learning_rate_and_compiles_nothing(data):
    optimizer = unit_optimizer("sgd")
    state, batches = (
        jaxmlp.init_state(KEY, NET, optimizer),
        jaxmlp.make_batches(data, NET, Objective(), BASE["batch_size"]),
    )
    static = StaticConfig(NET, optimizer, batches.task)
    program: Any = block_program(static, plan_execution(static, state, batches))
    runs, counts = [], []
    for rate in (0.05, np.float32(0.05), np.float64(0.05), jnp.float32(0.05), jnp.array(0.05)):
        runs.append(fitted(data, optimizer="sgd", learning_rate=rate).params)
        counts.append(program.n_programs())
    chex.assert_trees_all_close(*runs, rtol=1e-5)
    fitted(data, optimizer="sgd", learning_rate=1, schedule="cosine", warmup=0.5)
    assert {*counts, program.n_programs()} == {counts[0]} != {0}


@pytest.mark.slow
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
    # log₂(1 + 15 t) is 0, 1, 2, 3 where the cycles begin, and a half more in the middle of each
    cycles = make_rates(1.0, "coslog(4)", 0, epochs=15, per_epoch=1).steps
    np.testing.assert_allclose(cycles[[0, 1, 3, 7]], 0, atol=1e-6)
    assert (cycles > 0.01).sum() == 11
    assert cycles[2] == pytest.approx((1 - np.cos(2 * np.pi * np.log2(3))) / 2, abs=1e-5)
    many = make_rates(1.0, "coslog(16)", 0, epochs=1, per_epoch=40_000).steps  # (2¹⁶ - 1) t exceeds int32
    t = 35_000  # within the last cycle
    assert many[t] == pytest.approx(np.sin(np.pi * np.log2(1 + (2**16 - 1) * t / 40_000)) ** 2, abs=1e-4)
    with pytest.raises(InputError, match="schedule coslog expects at most 30 cycles, got 32"):
        make_rates(1.0, "coslog(32)", 0, epochs=4, per_epoch=10)
    cycle = rates("one_cycle")
    assert (cycle[0], max(cycle)) == (pytest.approx(0.04), pytest.approx(1, abs=0.1))
    assert cycle[-1] < 0.1
    assert rates("plateau(0.5, 1)") == [1.0] * 8
    assert plateau_factor(Plateau(0.5, 1), [3.0, 3.0, 2.0, 2.5]) == 0.25
    own = make_rates(lambda step: 0.1 / (1 + step), "constant", 0, 2, 2).steps
    np.testing.assert_allclose(own, [0.1, 0.05, 0.1 / 3, 0.025], rtol=1e-6)
    table = [0.4, 0.3, 0.2, 0.1]
    assert make_rates(lambda step: table[int(step)], "constant", 0, 2, 2).steps.tolist() == table


def test_a_plateau_asks_for_an_improvement_of_at_least_delta():
    values = [3.0, 2.9, 2.5, 2.45, 2.4]  # improvements of 0.1 and 0.4, then of 0.05 twice
    assert plateau_factor(Plateau(0.5, 1, 0.1), values) == 0.25
    assert plateau_factor(Plateau(0.5, 1), values) == 1


def test_constant_rates_take_no_memory_however_many_epochs():
    assert make_rates(0.5, "constant", 0, epochs=10**9, per_epoch=10**3).of_epoch(10**8, []).tolist() == [0.5] * 1000


@pytest.mark.parametrize(
    ("name", "written_out", "other", "optimizer"),
    [
        ("momentum", "momentum(0.9)", "momentum(0.5)", optax.sgd(1.0, 0.5)),
        ("nesterov", "nesterov(0.9)", "nesterov(0.5)", optax.sgd(1.0, 0.5, nesterov=True)),
        ("rmsprop", "rmsprop(0.9, 1e-8)", "rmsprop(0.5)", optax.rmsprop(1.0, 0.5)),
        ("adam", "adam(0.9, 0.999)", "adam(0.5, 0.7, 0.1)", optax.adam(1.0, 0.5, 0.7, 0.1)),
        ("adamw", "adamw(0.9)", "adamw(0.5, 0.7, 0.1)", optax.adamw(1.0, 0.5, 0.7, 0.1, weight_decay=0.01)),
        ("lion", "lion(0.9, 0.99)", "lion(0.5, 0.7)", optax.lion(1.0, 0.5, 0.7, weight_decay=0.01)),
    ],
)
def test_optimizers_take_their_decay_rates_in_parentheses(name, written_out, other, optimizer):
    assert unit_optimizer(written_out) is unit_optimizer(name)
    params, grads = {"W": jnp.array([1.0])}, [{"W": jnp.array([g])} for g in (1.0, -0.2)]

    def updates(transformation):
        state = transformation.init(params)
        update = params
        for gradient in grads:
            update, state = transformation.update(gradient, state, params)
        return float(update["W"][0])

    assert updates(unit_optimizer(other)) == pytest.approx(updates(optimizer))
    assert updates(unit_optimizer(other)) != pytest.approx(updates(unit_optimizer(name)))


def test_adamw_ntk_is_adamw_of_the_parameters_of_that_parametrisation():
    b1, b2, eps, alpha, eta = 0.9, 0.95, 1e-30, 0.1, 0.3  # without an ε beside the gradients the two are equal
    targets, curvature = jnp.array([[1.0, -2.0, 0.5, 3.0]]), jnp.array([[1.0, 2.0, 3.0, 4.0]])
    params: Any = {"W": jnp.array([[0.1, 0.2, 0.3, 0.4]]), "b": jnp.ones((1, 1)), "R": jnp.ones((1, 4))}

    def J(W):
        return jnp.sum((W - targets) ** 2 * curvature)

    ours = make_optimizer(f"adamw_ntk({b1}, {b2}, {eps})", alpha, eta)
    theirs = optax.adamw(alpha, b1, b2, eps, weight_decay=eta)
    V: Any = params["W"] * 2.0  # W = V/√n_in, n_in = 4
    state: Any = ours.init(params)
    V_state = theirs.init(V)
    for step in range(5):
        gradient = {"W": jax.grad(J)(params["W"]), "b": jnp.full((1, 1), 3.0), "R": jnp.full((1, 4), -5.0)}
        updates: Any
        updates, state = ours.update(gradient, state, params)
        if step == 0:  # the first step of adam is the sign of the gradient: by hand
            np.testing.assert_allclose(updates["b"], -0.1 * alpha)
            np.testing.assert_allclose(updates["R"], 6 * alpha)
            signs = np.sign(gradient["W"])
            np.testing.assert_allclose(updates["W"], -alpha * (signs / 2 + eta * params["W"]))
        params = optax.apply_updates(params, updates)
        V_updates, V_state = theirs.update(jax.grad(lambda V: J(V / 2))(V), V_state, V)
        V = optax.apply_updates(V, V_updates)
    np.testing.assert_allclose(params["W"], V / 2, rtol=1e-10)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("adamw_ntk(0.9, 1)", "optimizer 'adamw_ntk' expects decay rates from 0 to below 1, got 1: write 'adamw_ntk'"),
        ("momentum(1)", "optimizer 'momentum' expects decay rates from 0 to below 1, got 1: write 'momentum' for"),
        ("adam(0.9, 0.9, 0)", "ε of adam expects a positive number, got 0: try 1e-8"),
        ("sgd(0.9)", "optimizer sgd expects no argument, got 'sgd(0.9)': write 'sgd'"),
        ("adam(1, 2, 3, 4)", "optimizer 'adam(1, 2, 3, 4)' expects at most 3 numbers, got 4: remove the last ones"),
    ],
)
def test_decay_rates_out_of_range_are_a_mistake(name, sentence):
    with pytest.raises(InputError, match=re.escape(sentence)):
        jaxmlp.TrainConfig(optimizer=name)


def test_a_plateau_lowers_the_rate_of_the_next_epoch(data):
    history = fitted(data, learning_rate=1e-300, schedule="plateau(0.5, 1)", epochs=6).history
    rates: list[Any] = [report.learning_rate for report in history]
    assert rates[0] == 1e-300
    assert rates[-1] < rates[0]


# --- weights ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("norm", slow_except([None, "batch"], None))
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


@pytest.mark.slow
def test_a_validation_row_counts_by_its_weight(data):
    times = np.arange(15) % 3
    rows, targets = data.validation
    repeated = dataclasses.replace(data, validation=Part(rows.repeat(times, axis=0), targets.repeat(times)))
    weighted = fitted(data, validation_weight=times, metrics=["f1", "log_loss"]).history[-1]
    expected = fitted(repeated, metrics=["f1", "log_loss"]).history[-1]
    assert weighted.validation_cost == pytest.approx(expected.validation_cost)
    assert weighted.validation_accuracy == pytest.approx(expected.validation_accuracy)
    assert weighted.metrics == pytest.approx(expected.metrics)
    assert weighted.cost == expected.cost


def test_outputs_that_are_not_finite_have_no_metric():
    """The run goes on to the step whose cost is not finite, and its error says where."""
    line = Dataset.from_arrays(
        np.linspace(-1, 1, 20)[:, None], np.linspace(-1, 1, 20), validation=([[1e30]] * 4, range(4))
    )
    net = jaxmlp.network_for(line, (4,))
    with jax.enable_x64(False):
        report = jaxmlp.fit(net, line, epochs=1, learning_rate=1e20, metrics=["r2"]).history[0]
    assert report.metrics is not None
    assert np.isnan(report.metrics["r2"])


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


@pytest.mark.slow
def test_a_clipped_step_is_as_long_as_it_may_be(data):
    start = jaxmlp.init(jax.random.key(2), NET)
    options = {"params": start, "optimizer": "sgd", "learning_rate": 1.0, "epochs": 1, "batch_size": "full"}
    moved = jax.tree.map(jnp.subtract, fitted(data, clip_norm=0.01, **options).params, start)
    np.testing.assert_allclose(np.sqrt(sum((leaf**2).sum() for leaf in jax.tree.leaves(moved))), 0.01, rtol=1e-6)
    chex.assert_trees_all_equal(fitted(data, clip_norm=1e9, **options).params, fitted(data, **options).params)


def test_a_moving_average_by_hand(data):
    seen = []
    options = {"optimizer": "sgd", "learning_rate": 0.5, "batch_size": "full"}
    result = fitted(data, ema_decay=0.3, callbacks=lambda state, report: seen.append(state.params) and None, **options)
    start = fitted(data, ema_decay=0.3, epochs=1, optimizer="sgd", learning_rate=1e-30, batch_size="full").params
    average = start
    for t, params in enumerate(seen):
        d = min(0.3, (1 + t) / (10 + t))
        average = jax.tree.map(lambda old, new, d=d: d * old + (1 - d) * new, average, params)
    chex.assert_trees_all_close(result.params, average, rtol=1e-6)
    assert (result.params[0]["W"] != result.state.params[0]["W"]).any()


@pytest.mark.parametrize("optimizer", slow_except(["sgd", "adamw", "muon", "lbfgs"], "sgd", "adamw"))
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

    fitted(data, objective=Objective(max_norm=0.5), learning_rate=0.5, callbacks=observe)
    assert max(longest) <= 0.5 * (1 + 1e-6)


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_last_batch_of_one_row_hardly_moves_the_running_moments(data):
    """25 rows at 8 a step: the fourth has one, whose variance is 0, and counts an eighth."""
    net = Network((3, 5, 3), "tanh", "softmax", "batch")
    result = fitted(data, net, epochs=1, shuffle=False, optimizer="sgd", learning_rate=1e-300)
    state = jaxmlp.init_state(jax.random.key(0), net, unit_optimizer("sgd"))
    U = np.asarray(state.params[0]["W"]) @ data.train.rows.T
    mean, variance = np.zeros((5, 1)), np.ones((5, 1))
    for first, share in ((0, 1), (8, 1), (16, 1), (24, 1 / 8)):
        part = U[:, first : first + 8]
        mean += 0.1 * share * (part.mean(axis=1, keepdims=True) - mean)
        variance += 0.1 * share * (part.var(axis=1, keepdims=True) - variance)
    np.testing.assert_allclose(result.state.moments[0].mean, mean, rtol=1e-12)
    np.testing.assert_allclose(result.state.moments[0].variance, variance, rtol=1e-12)


@pytest.mark.slow
def test_a_frozen_layer_keeps_its_moments_and_is_normalised_by_them(data):
    net = Network((3, 5, 4, 3), "tanh", "softmax", "batch")
    begun = fitted(data, net, epochs=3)
    seen = []
    options: dict[str, Any] = {"freeze": [1], "epochs": 5, "callbacks": lambda state, report: seen.append(state)}
    more = fitted(data, net, resume=begun.snapshot, batch_size="full", **options)
    chex.assert_trees_all_equal(more.state.moments[0], begun.state.moments[0])
    chex.assert_trees_all_equal(more.params[0], begun.params[0])
    assert (more.state.moments[1].mean != begun.state.moments[1].mean).any()
    # with its first layer folded the network is another with one layer less, trained on what that layer answers
    A = np.tanh(begun.params[0]["W"] @ data.train.rows.T + begun.params[0]["b"])
    rest = Network((5, 4, 3), "tanh", "softmax", "batch")
    costs = [float(jaxmlp.cost(state.params[1:], A, data.train.targets[None], rest)) for state in seen]
    assert more.history[-1].cost == pytest.approx(costs[0], rel=1e-9)  # J of an epoch is that before its update


@pytest.mark.slow
@pytest.mark.parametrize("compute", [None, "bfloat16"])
def test_fresh_frozen_layers_answer_as_they_were_trained(data, compute):
    net = Network((3, 5, 3), "tanh", "softmax", "batch")
    with jax.enable_x64(False):
        result = fitted(data, net, freeze=[1], precision=compute, epochs=5)
    assert not np.any(result.state.moments[0].mean)
    assert (result.state.moments[0].variance == 1).all()


# --- stopping and going on --------------------------------------------------------------------------------------------


def test_early_stopping_returns_the_best_epoch(data):
    seen = {}

    def observe(state, report):
        seen[report.epoch] = (report.validation_cost, state.params)

    result = fitted(data, epochs=200, learning_rate=0.3, early_stopping=EarlyStopping(5), callbacks=observe)
    best = min(seen, key=lambda epoch: seen[epoch][0])
    assert result.best_epoch == best
    assert len(result.history) == best + 5 < 200
    chex.assert_trees_all_equal(result.params, seen[best][1])


def test_resuming_a_run_that_had_stopped_early_is_told(data):
    options = {"learning_rate": 0.3, "early_stopping": EarlyStopping(5)}
    stopped = fitted(data, epochs=200, **options)
    with pytest.warns(UserWarning, match=f"stopped early after epoch {len(stopped.history)}, and trains no further"):
        again = fitted(data, epochs=300, resume=stopped, **options)
    assert len(again.history) == len(stopped.history)


def test_early_stopping_on_a_metric(data):
    result = fitted(data, epochs=60, learning_rate=0.3, early_stopping=EarlyStopping(4, "f1"))
    values = [(report.metrics or {})["f1"] for report in result.history]
    assert result.best_epoch == int(np.argmax(values)) + 1
    assert len(values) == int(np.argmax(values)) + 5


def test_a_validation_cost_that_is_not_a_number_is_no_best():
    tracker = MetricTracker(EarlyStopping(2, "validation_cost"), True, Snapshot(None))  # pyright: ignore[reportArgumentType]
    for epoch, value in enumerate((math.nan, 3.0, 2.0, math.nan, 2.5), start=1):
        tracker.update(Report(epoch=epoch, step=epoch, cost=1.0, validation_cost=value), tuple)
    best = tracker.best()
    assert best is not None
    assert (best.epoch, best.value, tracker.should_stop) == (3, 2.0, True)


GOING_ON = {
    "noise": {"objective": Objective(dropout=0.3, input_noise=0.1)},
    "schedule": {"schedule": "one_cycle", "warmup": 0.5},
    "plateau": {"schedule": "plateau(0.5, 1)", "learning_rate": 0.5},
    "ema_decay": {"ema_decay": 0.9, "clip_norm": 0.5},
    "early_stopping": {"early_stopping": EarlyStopping(3), "learning_rate": 0.5},
    "L-BFGS": {"optimizer": "lbfgs", "batch_size": "full"},
    "weights": {"sample_weight": np.arange(25), "freeze": [2]},
}


@pytest.mark.quick("early_stopping")
@pytest.mark.parametrize("name", slow_except(GOING_ON, "noise", "plateau", "early_stopping"))
def test_a_run_goes_on_as_if_it_had_not_stopped(data, name, tmp_path):
    options = GOING_ON[name]
    net = Network((3, 5, 3), "tanh", "softmax", "batch")
    whole = fitted(data, net, epochs=8, **options)
    part = fitted(data, net, epochs=8, callbacks=lambda state, report: report.epoch == 3, **options)
    resumed = fitted(data, net, epochs=8, resume=part.snapshot, **options)

    def stop(state, report):
        if report.epoch == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(data, net, epochs=8, callbacks=stop, checkpoints=tmp_path / "run", **options)
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
    chex.assert_trees_all_equal(fitted(data, epochs=3, resume=fitted(data, epochs=1)).params, result.params)


@pytest.mark.slow
def test_a_run_goes_on_with_what_it_was_begun_with(data):
    plain, averaged = fitted(data, epochs=1), fitted(data, epochs=1, ema_decay=0.9)
    for begun, options, text in [
        (plain, {"optimizer": "sgd"}, "resume expects the optimizer of the run so far, got another: give the same"),
        (plain, {"optimizer": optax.rmsprop(0.1)}, "resume expects the optimizer of the run so far, got another"),
        (plain, {"ema_decay": 0.9}, "resume expects no ema_decay, got one: give what the run began with"),
        (averaged, {}, "resume expects the ema_decay of the run so far, got none"),
        (plain, {"key": jax.random.key(1)}, "resume expects the key of the run so far, got another: leave it out"),
    ]:
        with pytest.raises(InputError, match=text):
            fitted(data, resume=begun, **options)


def test_a_run_may_be_given_its_own_key_again(data):
    key, start = jax.random.key(4), jaxmlp.init(jax.random.key(9), NET)
    for params in (None, start):
        begun = fitted(data, epochs=1, key=key, params=params)
        chex.assert_trees_all_equal(
            fitted(data, epochs=2, key=key, resume=begun).params, fitted(data, epochs=2, key=key, params=params).params
        )


def test_any_scalar_is_a_warm_up(data):
    ours = [fitted(data, warmup=warmup).params for warmup in (1, np.float32(1), jnp.float32(1))]
    chex.assert_trees_all_equal(*ours)


# --- the test part is reported, and decides nothing -------------------------------------------------------------------


@pytest.fixture(scope="module")
def tested(data):
    """The validation part as a test part."""
    return Dataset.from_arrays(*data.train, test=data.validation)


@pytest.mark.slow
def test_stopping_and_plateaus_watch_no_test_rows(data, tested):
    on_test, alone = (
        fitted(part, epochs=60, learning_rate=0.3, early_stopping=EarlyStopping(4), schedule="plateau(0.5, 1)")
        for part in (tested, Dataset.from_arrays(*data.train))
    )
    chex.assert_trees_all_equal(on_test.params, alone.params)
    assert [report.learning_rate for report in on_test.history] == [report.learning_rate for report in alone.history]
    assert on_test.history[0].validation_cost is not None  # it is shown all the same
    costs = [report.cost for report in on_test.history]
    assert on_test.best_epoch == int(np.argmin(costs)) + 1
    text = r"early stopping expects a validation part for 'validation_cost', got none: make one with data.split_"
    with pytest.raises(InputError, match=text):
        fitted(tested, early_stopping=EarlyStopping(4, "validation_cost"))
    with pytest.raises(InputError, match="early stopping expects a validation part for 'f1'"):
        fitted(tested, early_stopping=EarlyStopping(4, "f1"))


def test_metrics_need_a_part_to_be_measured_on(data, tested):
    assert (fitted(tested, metrics=["f1"]).history[-1].metrics or {})["f1"] > 0
    alone = Dataset.from_arrays(*data.train)
    with pytest.raises(InputError, match="metrics expects a validation or a test part to measure on, got neither"):
        fitted(alone, metrics="f1")
    with pytest.raises(InputError, match=r"metric expects one of accuracy, .*, got 'nonsense'"):
        fitted(alone, metrics=["f1", "nonsense"])


@pytest.mark.slow
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
    with pytest.raises(InputError, match=r"expects network 3-5-3 tanh softmax, got 3-6-3 tanh softmax: resume with"):
        fitted(data, Network((3, 6, 3), "tanh", "softmax"), checkpoints=tmp_path)
    with pytest.raises(InputError, match=r"expects .*\(5, 3\) float64, got .*\(6, 3\) float64: resume with"):
        Checkpointer(tmp_path).latest(
            jaxmlp.init_state(KEY, Network((3, 6, 3), "tanh", "softmax"), unit_optimizer("adam"))
        )


OTHER_RUNS: dict[str, dict[str, Any]] = {
    "learning_rate": {"learning_rate": 0.02},
    "l2": {"objective": Objective(l2=1.0)},
    "dropout": {"objective": Objective(dropout=0.1)},
    "cost": {"objective": Objective("quadratic")},
    "optimizer": {"optimizer": "rmsprop"},
    "schedule": {"schedule": "step(0.5, 1)"},
    "warmup": {"warmup": 1},
    "key": {"key": jax.random.key(5)},
    "batch_size": {"batch_size": 5},
    "shuffle": {"shuffle": False},
    "weights": {"class_weight": "balanced"},
    "first parameters": {"initializer": "zeros"},
    "clip_norm": {"clip_norm": 1.0},
    "ema_decay": {"ema_decay": 0.5},
    "freeze": {"freeze": [1]},
    "precision": {"precision": "bfloat16"},
    "early_stopping": {"early_stopping": EarlyStopping(9)},
}


@pytest.fixture(scope="module")
def kept(data, tmp_path_factory):
    """A folder with the checkpoint of a run of three epochs."""
    folder = tmp_path_factory.mktemp("kept")
    with jax.enable_x64(False):
        fitted(data, checkpoints=folder)
    return folder


@pytest.mark.parametrize("name", OTHER_RUNS)
def test_a_run_of_other_numbers_goes_on_from_no_checkpoint(data, kept, name):
    with jax.enable_x64(False), pytest.raises(InputError, match=f"checkpoint {kept} expects {name} .*, got .*: resume"):
        fitted(data, checkpoints=kept, epochs=4, **OTHER_RUNS[name])


def test_a_cost_is_told_by_its_name(data, kept):
    text = "expects cost categorical_cross_entropy, got quadratic: resume with"
    with jax.enable_x64(False), pytest.raises(InputError, match=text):
        fitted(data, checkpoints=kept, epochs=4, **OTHER_RUNS["cost"])


@pytest.mark.slow
def test_a_result_goes_on_beside_checkpoints_of_its_run_alone(data, tmp_path):
    begun: dict[str, Any] = {"params": jaxmlp.init(jax.random.key(3), NET), "key": KEY}
    short = fitted(data, epochs=2, **begun)
    fitted(data, epochs=4, **begun, checkpoints=tmp_path / "further")
    fitted(data, epochs=1, **begun, checkpoints=tmp_path / "behind")
    fitted(data, epochs=4, **begun, learning_rate=0.02, checkpoints=tmp_path / "other")
    whole = fitted(data, epochs=6, **begun)
    for folder, first in {"further": 5, "behind": 3, "new": 3}.items():
        told = []
        keeper = Checkpointer(tmp_path / folder)
        result = fitted(
            data, epochs=6, resume=short, checkpoints=keeper, callbacks=lambda _, report, t=told: t.append(report.epoch)
        )
        assert told[0] == first
        chex.assert_trees_all_equal(result.params, whole.params)
    assert len(fitted(data, epochs=7, **begun, checkpoints=tmp_path / "further").history) == 7
    with pytest.raises(InputError, match=r"expects learning_rate 0\.02, got .*: resume with"):
        fitted(data, epochs=6, resume=short, checkpoints=tmp_path / "other")
    assert {path.name for path in (tmp_path / "other").iterdir()} == {"16"}


@cpu_only
def test_other_rows_are_another_run_and_a_mesh_is_none(data, kept):
    rows, labels = data.train
    others = {
        "training rows": Dataset.from_arrays(rows + 1e-9, labels, validation=data.validation),
        "training targets": Dataset.from_arrays(rows, labels[::-1], validation=data.validation),
        "validation rows": Dataset.from_arrays(rows, labels),
        "preprocessing": data.standardize(),
    }
    with jax.enable_x64(False):
        for name, other in others.items():
            with pytest.raises(InputError, match=f"expects {name} "):
                fitted(other, checkpoints=kept)
        same = Dataset.from_arrays(rows.copy(), labels.copy(), validation=data.validation)
        assert len(fitted(same, checkpoints=kept, mesh=2, key=jax.random.key(0)).history) == 3


def test_a_run_is_made_longer_unless_its_schedule_has_an_end(data, tmp_path):
    for schedule, text in (("step(0.5, 2)", None), ("cosine", "expects epochs of the schedule 2, got 3")):
        folder = tmp_path / schedule[:4]
        fitted(data, epochs=2, schedule=schedule, checkpoints=folder)
        if text is None:
            longer = fitted(data, epochs=3, schedule=schedule, checkpoints=folder)
            chex.assert_trees_all_equal(longer.params, fitted(data, epochs=3, schedule=schedule).params)
            continue
        with pytest.raises(InputError, match=text):
            fitted(data, epochs=3, schedule=schedule, checkpoints=folder)


def _cut(folder):
    """Cut every file of a checkpoint to half its length."""
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_size:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("part", ["", "arrays", "facts"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(data, tmp_path, part):
    keeper = Checkpointer(tmp_path, every=0)
    fitted(data, epochs=3, checkpoints=keeper)
    _cut(tmp_path / "12" / part)  # after three epochs of four steps
    with pytest.warns(UserWarning, match=r"the checkpoint of step 12 in .* is damaged .*: continuing from 8"):
        again = fitted(data, epochs=5, checkpoints=Checkpointer(tmp_path, every=0))
    chex.assert_trees_all_equal(again.params, fitted(data, epochs=5).params)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["16", "20"]
    for step in ("16", "20"):
        _cut(tmp_path / step)
    with pytest.raises(
        InputError, match="expects a checkpoint that can be read, got damaged checkpoints of the steps 20, 16"
    ):
        fitted(data, epochs=6, checkpoints=tmp_path)


def test_a_full_disk_ends_no_training(data, tmp_path, monkeypatch):
    write, tried = Checkpointer._write, []

    def full(self, step, snapshot):
        tried.append(step)
        if step == 8:
            raise OSError(28, "No space left on device")
        write(self, step, snapshot)

    monkeypatch.setattr(Checkpointer, "_write", full)
    with pytest.warns(
        UserWarning, match=r"step 8 was not saved in .* \(OSError.*No space left.*\): the last is that of"
    ):
        result = fitted(data, epochs=3, checkpoints=Checkpointer(tmp_path, every=0))
    assert tried == [4, 8, 12]
    assert Checkpointer(tmp_path).latest(result.state) is not None
    chex.assert_trees_all_equal(result.params, fitted(data, epochs=3).params)


def test_checkpoints_go_to_a_folder(data, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"checkpoints expects a folder, got the file .*: take another name"):
        fitted(data, checkpoints=tmp_path / "file")
    with pytest.raises(InputError, match="checkpoints expects a folder, got 5: write checkpoints='run', say"):
        fitted(data, checkpoints=5)


def test_checkpoints_go_to_the_home_folder_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert Checkpointer("~/run").folder == tmp_path / "run"


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
        ({"weight_decay": 0.1}, "weight_decay expects one of the optimizers adamw, adamw_ntk and lion, got 'adam'"),
        ({"optimizer": "adamw", "weight_decay": -1}, "weight_decay expects a positive number, got -1"),
        ({"schedule": "cosinus"}, "schedule expects one of .*, got 'cosinus': did you mean 'cosine'"),
        ({"schedule": "plateau(2)"}, "schedule plateau expects a factor between 0 and 1, got 2"),
        ({"schedule": "step(0.5, 0)"}, "schedule step expects a positive whole number of epochs, got 0"),
        ({"warmup": 3}, "warmup expects a number of epochs from 0 to less than 3, got 3"),
        ({"learning_rate": lambda step: 0.1, "warmup": 1}, "learning_rate expects a function alone"),
        ({"learning_rate": lambda step: -0.1}, "learning_rate expects a function step -> number ≥ 0"),
        ({"sample_weight": [1.0]}, "sample_weight expects a number ≥ 0 for each of the 25 training rows"),
        (
            {"validation_weight": [1.0]},
            "validation_weight expects a number ≥ 0 for each of the 15 validation rows",
        ),
        ({"sample_weight": -np.ones(25)}, "sample_weight expects finite numbers ≥ 0, got -1.0: take 0 to leave"),
        ({"objective": Objective(l2=np.array([1, 2]))}, r"l2 expects a single number, got shape \(2,\): use jax.vmap"),
        (
            {"objective": Objective("quadratic", label_smoothing=0.1)},
            "label_smoothing expects one of the costs .*, got quadratic",
        ),
        (
            {"freeze": [1], "net": Network((3, 5, 3), "tanh", "softmax", "batch"), "params": "its own"},
            "freeze expects running moments of layer 1, got params alone: start from the folded network",
        ),
        ({"class_weight": "balancd"}, "class_weight expects 'balanced' or a dict"),
        ({"clip_norm": 0}, "clip_norm expects a positive number, got 0"),
        ({"ema_decay": 1}, "ema_decay expects a decay between 0 and 1, got 1"),
        ({"freeze": [3]}, r"freeze expects layers from 1 to 2, not all of them, got \[3\]"),
        ({"freeze": [1, 2]}, "not all of them"),
        ({"precision": "float16"}, "precision expects one of float32, float64, bfloat16, got 'float16'"),
        ({"precision": "float32", "params": jaxmlp.init(jax.random.key(0), NET, dtype="bfloat16")}, "parameters of"),
        ({"early_stopping": EarlyStopping(0)}, "patience expects a positive whole number of epochs, got 0"),
        ({"early_stopping": EarlyStopping(3, min_delta=-1)}, "min_delta expects a number ≥ 0, got -1"),
        ({"metrics": ["f2"]}, "metric expects one of accuracy, .*, got 'f2'"),
        ({"metrics": ["mae"]}, "mae"),
        ({"metrics": 5}, r"metrics expects names, got 5: write metrics=\['f1'\]"),
        ({"early_stopping": 5}, r"early_stopping expects an EarlyStopping, got 5: write EarlyStopping\(patience=10\)"),
        ({"early_stopping": EarlyStopping(True)}, "patience expects a positive whole number of epochs, got True"),
        ({"early_stopping": EarlyStopping(3, min_delta=float("nan"))}, "min_delta expects a number ≥ 0, got nan"),
        ({"early_stopping": EarlyStopping(3, min_delta="a")}, "min_delta expects a number ≥ 0, got 'a'"),  # pyright: ignore[reportArgumentType]
        ({"early_stopping": EarlyStopping(3, "f2")}, "metric expects one of cost, .*, got 'f2'"),
        ({"freeze": 1}, r"freeze expects a list of layer numbers, got 1: write freeze=\[1\]"),
        ({"freeze": None}, "freeze expects a list of layer numbers, got None"),
        ({"freeze": [[1]]}, "freeze expects a list of layer numbers"),
        ({"sample_weight": "balanced"}, "rows, got 'balanced': give one number for each row"),
        ({"sample_weight": [[1], [1, 2]]}, "rows, got 'lists of unequal length': give one number for each row"),
        ({"sample_weight": np.ones((25, 1))}, r"rows, got shape \(25, 1\): write numpy.ravel\(sample_weight\)"),
        ({"sample_weight": ["1"] * 25}, r"got <U1 of shape \(25,\): write numpy.asarray\(sample_weight, float\)"),
        ({"sample_weight": 2.0}, "rows, got 2.0: give one number for each row"),
        ({"callbacks": [5]}, r"callbacks expects functions of \(state, report\), got 5"),
        ({"callbacks": 5}, r"callbacks expects functions of \(state, report\), got 5"),
        ({"schedule": None}, "schedule expects a name, got NoneType"),
        ({"warmup": "1"}, "warmup expects a number of epochs from 0 to less than 3, got 1"),
        ({"resume": 5}, "resume expects a Result or a Snapshot, got int: give the Result of an earlier fit"),
    ],
)
def test_mistakes_get_one_sentence(data, options, text):
    if options.get("params") == "its own":
        options = options | {"params": jaxmlp.init(jax.random.key(0), options["net"])}
    with pytest.raises(InputError, match=text):
        fitted(data, **options)


@pytest.mark.slow
def test_what_needs_more_than_the_data_have(data):
    alone = Dataset.from_arrays(*data.train)
    with pytest.raises(InputError, match="early stopping expects a validation part for 'f1', got none"):
        fitted(alone, early_stopping=EarlyStopping(3, "f1"))
    assert fitted(alone, early_stopping=EarlyStopping(3)).best_epoch is not None  # then it watches the cost
    with (
        jax.enable_x64(False),
        pytest.raises(InputError, match="precision expects float64 to be switched on in JAX, got it off"),
    ):
        fitted(data, precision="float64")
    values = Dataset.from_arrays(data.train.rows, data.train.rows[:, :1], task="regression")
    with pytest.raises(InputError, match="class_weight expects a task with one class for each row, got regression"):
        jaxmlp.fit(Network((3, 1), "relu", "identity"), values, class_weight="balanced")
    with pytest.raises(InputError, match="fit expects one of params, initializer and resume, got params and resume"):
        fitted(data, params=jaxmlp.init(jax.random.key(0), NET), resume=fitted(data).snapshot)


# --- progress ---------------------------------------------------------------------------------------------------------


def test_a_bar_is_for_those_who_look(data, capsys, monkeypatch):
    fitted(data, progress=True)
    assert capsys.readouterr() == ("", "")  # not a terminal
    monkeypatch.setenv("FORCE_COLOR", "1")
    fitted(data)
    assert capsys.readouterr() == ("", "")  # not asked for
    fitted(data, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "3/3" in err
    assert "validation accuracy" in err
    assert "epochs/s" in err
