"""How a run is divided into calls of the device does not change its result."""

import gc
import signal
import weakref
from typing import Any

import chex
import h5py
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import zoo
from marks import cpu_only, slow_except

import jaxmlp
from jaxmlp import Network, Objective
from jaxmlp.cli.signals import Stop
from jaxmlp.errors import DivergenceError, InputError
from jaxmlp.parallel.processors import n_processors
from jaxmlp.training import Callback, Checkpointer, EarlyStopping, ReportCallback, engine, execution_plan
from jaxmlp.training.blocks import epochs, run_epochs
from jaxmlp.training.engine import EpochData, Hyperparameters
from jaxmlp.training.run_spec import RunSpec
from jaxmlp.training.step import StaticConfig

NET = Network((3, 5, 3), "tanh", "softmax", norm="batch")
ARGUMENTS: dict[str, Any] = {
    "batch_size": 4,
    "epochs": 5,
    "objective": Objective(dropout=0.2, l2=0.1),
    "schedule": "cosine",
    "ema_decay": 0.9,
}


@pytest.fixture(scope="module")
def data():
    return zoo.three_classes(27)


@pytest.fixture
def by_segment(monkeypatch):
    """An epoch of 7 steps runs in segments of 3, 3 and 1."""
    monkeypatch.setattr("jaxmlp.training.batches.MAX_STEPS_PER_SEGMENT", 3)


class StopAt(Callback):
    """A callback that ends a run after its n-th segment."""

    def __init__(self, n):
        self.remaining, self.segments = n, []

    def on_segment_end(self, progress):
        assert progress.partial is not None
        self.segments.append((int(progress.state.epoch), progress.partial.steps))
        self.remaining -= 1
        return self.remaining == 0


class Collected:
    """A callback that collects the parameters after each epoch."""

    def __init__(self):
        self.params = []

    def __call__(self, state, report):
        self.params.append(state.params)


class Counted:
    """`block_program`, which takes note of how many epochs each call of its programs is for."""

    def __init__(self, make):
        self.make, self.calls = make, []

    def __call__(self, *arguments):
        program = self.make(*arguments)

        def run(state, data, orders, hyper, n):
            self.calls.append(int(n))
            return program(state, data, orders, hyper, n)

        return run


def spec_of(net, optimizer, state, batches, objective):
    """The run that `epochs` makes, with as many epochs in a call as `fit` puts there."""
    static = StaticConfig(net, optimizer, batches.task)
    return RunSpec(static, execution_plan.plan_execution(static, state, batches), batches, Hyperparameters(objective))


def without_seconds(history):
    return [report._replace(seconds=None) for report in history]


def same(a, b):
    """Two results, bit for bit."""
    chex.assert_trees_all_equal(a.params, b.params)
    chex.assert_trees_all_equal(a.state.opt_state, b.state.opt_state)
    assert without_seconds(a.history) == without_seconds(b.history)


# --- several epochs ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_epochs_of_a_call_are_those_of_calls_of_one(data):
    optimizer, objective = optax.adam(0.01), Objective(dropout=0.2)
    batches = jaxmlp.make_batches(data, NET, objective, 4)
    state = jaxmlp.init_state(jax.random.key(0), NET, optimizer)
    spec = spec_of(NET, optimizer, state, batches, objective)
    assert spec.plan.capacity > 7
    blocks = run_epochs(spec, state, until=7)
    together = [(block.state(i), report) for block in blocks for i, report in enumerate(block.reports)]
    alone = [pair for pair, _ in zip(epochs(NET, objective, optimizer, state, batches), range(7), strict=False)]
    assert len(together) == 7
    for (ours, report), (theirs, other) in zip(together, alone, strict=True):
        chex.assert_trees_all_equal(ours.params, theirs.params)
        assert int(ours.epoch) == report.epoch == int(ours.step) / 7
        assert report.step == int(ours.step)
        assert report._replace(seconds=None) == other._replace(seconds=None)


@pytest.mark.slow
def test_the_seconds_of_a_call_are_dealt_out_to_its_epochs(data, monkeypatch):
    clock = iter(range(10_000))
    monkeypatch.setattr("time.perf_counter", lambda: float(next(clock)))
    seconds = [report.seconds or 0.0 for report in jaxmlp.fit(NET, data, **ARGUMENTS).history]
    began, last = 0, next(clock) - 1
    assert seconds[-1] == last - began
    np.testing.assert_allclose(np.diff(seconds), 1 / 5)  # one tick before the call, and one after it


@pytest.mark.slow
def test_a_large_state_is_made_again_where_it_is_asked_for(data, monkeypatch):
    kept = jaxmlp.fit(NET, data, **ARGUMENTS, callbacks=(seen := Collected()))
    monkeypatch.setattr(execution_plan, "MAX_STATE_BYTES", 0)
    monkeypatch.setattr("jaxmlp.training.blocks.block_program", calls := Counted(engine.block_program))
    again = jaxmlp.fit(NET, data, **ARGUMENTS, callbacks=(looking := Collected()))
    same(again, kept)
    assert calls.calls == [1] * 5  # one by one for who looks at each
    chex.assert_trees_all_equal(seen.params, looking.params)
    calls.calls.clear()
    heard = []
    same(jaxmlp.fit(NET, data, **ARGUMENTS, callbacks=ReportCallback(lambda report: heard.append(report.epoch))), kept)
    assert (heard, calls.calls) == ([1, 2, 3, 4, 5], [5])
    ended = jaxmlp.fit(NET, data, **ARGUMENTS, callbacks=ReportCallback(lambda report: report.epoch == 2))
    assert calls.calls == [5, 5, 2]  # and once more, up to the second epoch
    chex.assert_trees_all_equal(ended.state.params, seen.params[1])
    same(jaxmlp.fit(NET, data, **ARGUMENTS, resume=ended), kept)


@pytest.mark.slow
@pytest.mark.parametrize("kept", [True, False])
def test_who_hears_reports_alone_is_given_no_state(data, kept, monkeypatch):
    if not kept:
        monkeypatch.setattr(execution_plan, "MAX_STATE_BYTES", 0)
    given = []

    report_only = ReportCallback(lambda report: given.append(report.epoch))
    jaxmlp.fit(NET, data, **ARGUMENTS, callbacks=[report_only, lambda state, report: given.append(int(state.epoch))])
    assert given == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


def test_a_run_that_ends_within_a_call_is_where_its_last_report_says(data):
    whole = jaxmlp.fit(NET, data, **ARGUMENTS)
    ended = jaxmlp.fit(NET, data, **ARGUMENTS, callbacks=lambda state, report: report.epoch == 2)
    assert len(ended.history) == int(ended.state.epoch) == 2
    assert without_seconds(ended.history) == without_seconds(whole.history[:2])
    same(jaxmlp.fit(NET, data, **ARGUMENTS, resume=ended.snapshot), whole)


def diverge(data, good_steps, **options):
    """Train for five epochs of 7 steps, of which so many have a rate that a network survives."""
    rates = [1e-3] * good_steps + [1e300] * (35 - good_steps)
    net = Network((3, 5, 3), "relu", "softmax")
    options |= {"optimizer": "sgd", "learning_rate": lambda step: rates[int(step)], "epochs": 5, "batch_size": 4}
    return jaxmlp.fit(net, data, **options)


def test_the_best_epoch_of_a_call_is_that_of_a_run_that_ends_there(data):
    options: dict[str, Any] = {"optimizer": "sgd", "batch_size": 4}
    rates = [0.1] * 21 + [3.0] * 70  # better for three epochs, then worse
    found = jaxmlp.fit(
        NET,
        data,
        **options,
        epochs=10,
        learning_rate=lambda step: rates[int(step)],
        early_stopping=EarlyStopping(2, "cost"),
    )
    best = found.best_epoch or 0
    assert 1 < best < len(found.history) < 10  # in the middle of a call
    there = jaxmlp.fit(NET, data, **options, epochs=best, learning_rate=lambda step: rates[int(step)])
    chex.assert_trees_all_equal(found.params, there.params)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves((found.params, found.state)))


@pytest.mark.slow
def test_divergence_within_a_call_keeps_the_epochs_before_it(data):
    told = []
    with pytest.raises(DivergenceError, match=r"at step 1\d \(epoch 3\)") as caught:
        diverge(data, 14, callbacks=lambda state, report: told.append(report.epoch))
    last = caught.value.last_good
    assert told == [1, 2]
    assert len(last.history) == int(last.state.epoch) == 2
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(last.params))


def bad_at(step):
    """Descent whose update of this step, counted from 0, is no number."""
    return optax.scale_by_schedule(lambda count: jnp.where(count == step, jnp.inf, -0.01))


@pytest.mark.slow
def test_a_call_that_ends_in_no_number_keeps_the_epochs_before_it(data):
    with pytest.raises(DivergenceError, match=r"a parameter .* at step 35 \(epoch 5\), first in the update") as caught:
        jaxmlp.fit(NET, data, optimizer=bad_at(34), epochs=5, batch_size=4)
    last = caught.value.last_good
    assert (len(last.history), int(last.state.step)) == (4, 28)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(last.params))


@pytest.mark.slow
def test_the_states_of_other_epochs_than_the_best_are_let_go(data):
    seen, dead = [], []

    def observe(state, report):
        gc.collect()
        dead.append([see() is None for see in seen])
        seen.append(weakref.ref(state.opt_state[0].mu[0]["W"]))

    batches = {"batch_size": "full", "epochs": 4, "optimizer": "adam", "schedule": "plateau(0.5, 9)"}
    rates = {
        "learning_rate": 1.0,
        "early_stopping": EarlyStopping(4, "accuracy", min_delta=2.0),
    }  # the first stays the best
    jaxmlp.fit(NET, data, **batches, **rates, callbacks=observe)
    assert dead[3][0]


@pytest.mark.slow
def test_a_run_lets_go_of_its_rows():
    """Without waiting for the garbage collector: they may fill half the memory."""
    m = 83
    rows = jaxmlp.Dataset.from_arrays(np.ones((m, 3)), np.arange(m) % 3)
    gc.collect()
    gc.disable()
    try:
        jaxmlp.fit(NET, rows, schedule="plateau", early_stopping=EarlyStopping(3, "cost"), epochs=2)
        assert not [array.shape for array in jax.live_arrays() if m in array.shape]
    finally:
        gc.enable()


@pytest.mark.quick("32-True")
@pytest.mark.skipif(jax.default_backend() != "cpu" or n_processors() == 1, reason="XLA has no second thread to wake")
@pytest.mark.parametrize(("width", "alone"), [(32, True), (2048, False)])
def test_small_steps_wake_no_second_thread(width, alone):
    """Gathering their rows would: XLA goes by the size of all rows, and writes into a program what it deals out."""
    net, optimizer = Network((20, width, 2), "relu", "softmax"), optax.sgd(0.1)
    rows = jaxmlp.Dataset.from_arrays(np.zeros((10_000, 20), np.float32), np.arange(10_000) % 2)
    batches = jaxmlp.make_batches(rows, net, Objective(), 64)
    state = jaxmlp.init_state(jax.random.key(0), net, optimizer)
    spec = spec_of(net, optimizer, state, batches, Objective())
    orders = np.zeros((spec.plan.capacity, batches.steps, 64), np.int32)
    program = engine.block_program(spec.static, spec.plan)
    compiled = program.compile(state, EpochData(batches.train), orders, spec.hyper, np.int32(1))
    assert ('"outer_dimension_partitions":["' in compiled.as_text()) != alone


@pytest.mark.parametrize("shape", [(), (0,), (1,), (6,), (8,), (7, 1)])
def test_rates_are_as_many_as_the_steps(data, shape):
    optimizer = optax.sgd(1.0)
    batches = jaxmlp.make_batches(data, NET, Objective(), 4)
    assert batches.steps == 7
    state = jaxmlp.init_state(jax.random.key(0), NET, optimizer)
    with pytest.raises(InputError, match=r"rates expects an array of 7, one for each step of an epoch, got shape"):
        next(epochs(NET, Objective(), optimizer, state, batches, rates=lambda epoch: np.ones(shape)))


@cpu_only
def test_large_networks_and_many_rows_go_alone(data):
    state = jaxmlp.init_state(jax.random.key(0), NET, optax.sgd(0.1))
    assert execution_plan.epochs_per_call(NET, 27, 7, state) == execution_plan.MAX_EPOCHS_PER_CALL
    assert execution_plan.epochs_per_call(NET, 10**7, 7, state) == 1
    wide = Network((3, 1000, 3), "tanh", "softmax")
    heavy = jaxmlp.init_state(jax.random.key(0), wide, optax.adam(0.1))
    assert 1 < execution_plan.epochs_per_call(wide, 2, 1, heavy) < execution_plan.epochs_per_call(NET, 2, 1, state)
    wider = Network((3, 4000, 3), "tanh", "softmax")  # whose state is too large to be kept, and does not count
    assert (
        execution_plan.epochs_per_call(wider, 2, 1, jaxmlp.init_state(jax.random.key(0), wider, optax.adam(0.1)))
        == execution_plan.MAX_EPOCHS_PER_CALL
    )


@cpu_only
def test_an_accelerator_gets_more_work_in_a_call_and_fewer_small_steps(data, monkeypatch):
    wide, wider = (Network((3, n, 3), "tanh", "softmax") for n in (1000, 10**5))
    heavy = jaxmlp.init_state(jax.random.key(0), wide, optax.adam(0.1))

    def plan():
        segment = jaxmlp.make_batches(data, wider, Objective(), 4).segment_steps
        counts = [execution_plan.epochs_per_call(wide, *shape, heavy) for shape in ((10**6, 100), (27, 2**10))]
        return segment, *counts

    on_cpu = plan()
    for module in ("batches", "execution_plan"):
        monkeypatch.setattr(f"jaxmlp.training.{module}.on_cpu", lambda: False)
    segment, many_rows, many_steps = plan()
    assert segment > on_cpu[0]
    assert many_rows > on_cpu[1] == 1
    assert many_steps == 4 < on_cpu[2]


@cpu_only
def test_a_validation_part_counts_in_what_goes_into_a_call(data):
    state = jaxmlp.init_state(jax.random.key(0), NET, optax.sgd(0.1))
    large = execution_plan.epochs_per_call(NET, 27, 7, state, n_validation=10**6)
    assert 1 <= large < execution_plan.MAX_EPOCHS_PER_CALL
    outputs = execution_plan.epochs_per_call(NET, 27, 7, state, n_validation=10**4, with_outputs=True)
    assert outputs < execution_plan.epochs_per_call(NET, 27, 7, state, n_validation=10**4)
    batches = jaxmlp.make_batches(data, NET, Objective(), 4)
    many = batches._replace(validation=jax.tree.map(lambda rows: np.tile(rows, (40_000, 1)), batches.train))
    sgd = optax.sgd(0.1)
    static = StaticConfig(NET, sgd, batches.task, with_outputs=True)
    at_once = [execution_plan.plan_execution(static, state, each).capacity for each in (batches, many)]
    assert at_once[1] == 1 < at_once[0]


# --- pieces of an epoch -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_pieces_make_the_same_epoch(data, by_segment, monkeypatch):
    cut = jaxmlp.fit(NET, data, **ARGUMENTS, callbacks=(stop := StopAt(-1)))
    assert stop.segments == [(epoch, steps) for epoch in range(5) for steps in (3, 6)]
    monkeypatch.undo()
    whole = jaxmlp.fit(NET, data, **ARGUMENTS)
    chex.assert_trees_all_close(cut.params, whole.params, rtol=1e-10)
    for ours, theirs in zip(cut.history, whole.history, strict=True):
        assert ours.cost == pytest.approx(theirs.cost, rel=1e-12)
        assert ours.accuracy == theirs.accuracy
        assert (ours.epoch, ours.step) == (theirs.epoch, theirs.step)


@pytest.mark.slow
@pytest.mark.parametrize("n", slow_except([1, 2, 5], 2))
def test_a_run_ended_within_an_epoch_goes_on_bit_for_bit(data, by_segment, n, tmp_path):
    whole = jaxmlp.fit(NET, data, **ARGUMENTS)
    ended = jaxmlp.fit(NET, data, **ARGUMENTS, callbacks=StopAt(n))
    assert ended.snapshot.partial is not None
    assert len(ended.history) == (n - 1) // 2
    assert int(ended.state.step) == 7 * len(ended.history) + ended.snapshot.partial.steps
    same(jaxmlp.fit(NET, data, **ARGUMENTS, resume=ended.snapshot), whole)
    jaxmlp.fit(NET, data, **ARGUMENTS, callbacks=StopAt(n), checkpoints=tmp_path / "kept")  # and by way of a file
    same(jaxmlp.fit(NET, data, **ARGUMENTS, checkpoints=tmp_path / "kept"), whole)


@pytest.mark.slow
def test_checkpoints_are_written_within_an_epoch(data, by_segment, tmp_path):
    one: dict[str, Any] = ARGUMENTS | {"epochs": 1}
    jaxmlp.fit(NET, data, **one, checkpoints=Checkpointer(tmp_path / "kept", every=0))
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {"6", "7"}  # the last two of 3, 6 and 7 steps


def test_a_signal_is_heard_within_an_epoch(data, by_segment):
    stop = Stop()
    stop.received = signal.SIGTERM
    ended = jaxmlp.fit(NET, data, **ARGUMENTS, callbacks=stop)
    assert ended.history == ()
    assert int(ended.state.step) == 3


@pytest.mark.slow
def test_divergence_within_an_epoch_names_the_step(data, by_segment):
    text = r"at step 1[1-4] \(epoch 2\), first in the (update|forward pass) of"
    with pytest.raises(DivergenceError, match=text) as caught:
        diverge(data, 10)
    assert len(caught.value.last_good.history) == 1


@pytest.mark.slow
def test_divergence_at_the_end_of_a_piece_leaves_the_state_before_it(data, by_segment, tmp_path):
    options: dict[str, Any] = {"optimizer": bad_at(9), "epochs": 5, "batch_size": 4}
    text = r"a parameter .* at step 10 \(epoch 2\), first in the update"
    for _ in range(2):  # the second time from the checkpoint, which is a good one
        keeper = Checkpointer(tmp_path / "kept", every=0)
        with pytest.raises(DivergenceError, match=text) as caught:
            jaxmlp.fit(NET, data, **options, checkpoints=keeper)
        last = caught.value.last_good
        assert (len(last.history), int(last.state.step)) == (1, 7)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(last.params))


@pytest.mark.slow
def test_an_epoch_is_finished_as_it_was_begun(data, by_segment, monkeypatch):
    ended = jaxmlp.fit(NET, data, **ARGUMENTS, callbacks=StopAt(2))
    for batch_size in (2, 5, 9):
        other: dict[str, Any] = ARGUMENTS | {"batch_size": batch_size}
        with pytest.raises(InputError, match="resume expects batches of 4 of the same rows, in the middle of an epoch"):
            jaxmlp.fit(NET, data, **other, resume=ended)
    monkeypatch.undo()  # and by a machine that does not cut it
    with pytest.raises(InputError, match="in the middle of an epoch, got 7 of 4: finish"):
        jaxmlp.fit(NET, data, **ARGUMENTS, resume=ended)


def test_seconds_within_an_epoch_are_not_forgotten(data, by_segment, monkeypatch):
    clock = iter(range(10_000))
    monkeypatch.setattr("time.perf_counter", lambda: float(next(clock)))
    ended = jaxmlp.fit(NET, data, **ARGUMENTS, callbacks=StopAt(1))
    assert ended.seconds > 0
    assert ended.history == ()
    whole = jaxmlp.fit(NET, data, **ARGUMENTS, resume=ended)
    assert (whole.history[0].seconds or 0.0) > ended.seconds
    assert whole.seconds == whole.history[-1].seconds


@pytest.mark.slow
def test_streams_are_cut_where_their_buffers_end(data, tmp_path):
    with h5py.File(tmp_path / "rows.h5", "w") as file:
        file["X"], file["y"] = data.train.rows, data.train.targets

    def fit(memory, **more):
        return jaxmlp.fit(NET, jaxmlp.stream(tmp_path / "rows.h5", memory=memory), **ARGUMENTS, **more)

    memory = next(m for m in range(1000, 10_000, 100) if _buffers(tmp_path / "rows.h5", m) == 3)
    whole = fit(memory)
    for n in (1, 4):
        ended = fit(memory, callbacks=StopAt(n))
        assert ended.snapshot.partial is not None
        same(fit(memory, resume=ended.snapshot), whole)
    with pytest.raises(InputError, match="the run expects a memory that cuts an epoch after"):
        fit(2**20, resume=ended.snapshot)


def _buffers(path, memory):
    """How many buffers an epoch has with so much memory; 0 where it is too little."""
    from jaxmlp.training.streamed_batches import stream_batches

    try:
        batches = stream_batches(jaxmlp.stream(path, memory=memory), NET, None, 4)
    except InputError:
        return 0
    return -(-batches.n_rows // batches.feed.size)
