"""Training on rows that stay in their file: every row once, as in memory, resumed bit for bit, no thread left."""

# preprocessing is that of numbers here, not an encoder of columns
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false

import os
import threading
from typing import Any

import chex
import h5py
import jax
import numpy as np
import optax
import pytest
from marks import slow_except

import jaxmlp
from jaxmlp.data import Dataset
from jaxmlp.errors import DivergenceError, InputError
from jaxmlp.nn.objective import Objective
from jaxmlp.training import streamed_batches as streamed_module
from jaxmlp.training.early_stopping import EarlyStopping
from jaxmlp.training.engine import segment_programs
from jaxmlp.training.execution_plan import ExecutionPlan, is_small
from jaxmlp.training.optimizer_identity import canonical_optimizer
from jaxmlp.training.optimizers import is_elementwise
from jaxmlp.training.step import StaticConfig
from jaxmlp.training.streamed_batches import stream_batches

NET = jaxmlp.Network((3, 5, 2), "tanh", "softmax")
BATCH = 8
SIZE = 4 * ((3 + 2) * 8 + 16) * BATCH  # memory for buffers of one batch of float64


def arrays(m=96):
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(m, 3))
    return rows, (rows[:, 0] * rows[:, 1] > 0).astype(int)


@pytest.fixture
def path(tmp_path):
    """96 rows of three numbers, in two classes."""
    return write(tmp_path / "big.h5", *arrays())


def write(path, rows, labels):
    with h5py.File(path, "w") as file:
        file["X"], file["y"] = rows, labels
    return path


def streamed(path, batches=3, **more: Any):
    """The data set with memory for buffers of so many batches."""
    options: dict[str, Any] = {"test_fraction": 0} | more
    return jaxmlp.stream(path, memory=batches * SIZE, **options)


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "jaxmlp-reader"]


@pytest.mark.parametrize(("m", "n_batches"), [(96, 1), (96, 3), (96, 100), (97, 3), (5, 3), (41, 2)])
def test_an_epoch_visits_every_row_once_in_an_order_of_its_own(tmp_path, m, n_batches):
    rows, labels = arrays(m)
    rows[:, 0] = np.arange(m)
    batches = stream_batches(streamed(write(tmp_path / "a.h5", rows, labels), n_batches), NET, None, BATCH)
    orders = []
    for epoch in (0, 1, 0):
        seen, steps = [], 0
        for piece, order in batches.segments((1, 2), epoch):
            real = order.ravel()[order.ravel() < len(piece.X)]
            seen += np.asarray(piece.X)[real, 0].astype(int).tolist()
            np.testing.assert_array_equal(np.asarray(piece.Y)[real, 0], labels[seen[-len(real) :]])
            steps += len(order)
        assert sorted(seen) == [*range(m)]
        assert steps == batches.steps == -(-m // min(BATCH, m))
        orders.append(seen)
    assert orders[0] == orders[2]
    assert orders[0] != orders[1]
    assert not threads()


@pytest.mark.slow
@pytest.mark.parametrize("precision", slow_except(["float32", "float64", "bfloat16"], "float32"))
@pytest.mark.parametrize("m", slow_except([96, 93], 93))
def test_without_shuffling_it_is_training_in_memory(tmp_path, m, precision):
    rows, labels = arrays(m)
    options: dict[str, Any] = {
        "epochs": 3,
        "batch_size": BATCH,
        "shuffle": False,
        "precision": precision,
        "objective": Objective(l2=0.1, dropout=0.2, input_noise=0.1, label_smoothing=0.1),
        "schedule": "cosine",
        "clip_norm": 1.0,
        "ema_decay": 0.9,
        "freeze": [1],
        "class_weight": "balanced",
        "metrics": ["f1"],
    }
    data = streamed(write(tmp_path / "a.h5", rows, labels), 9, test_fraction=1 / 3, standardize=True)
    kept = np.concatenate([np.arange(*run) for run in data.rows.runs])
    assert data.test is not None
    whole = Dataset.from_arrays(rows[kept], labels[kept], test=data.test, standardize=True)
    ours, theirs = jaxmlp.fit(NET, data, **options), jaxmlp.fit(NET, whole, **options)
    rtol = {"float64": 1e-9, "float32": 1e-4, "bfloat16": 2e-2}[precision]
    chex.assert_trees_all_close(ours.params, theirs.params, rtol=rtol, atol=rtol)
    for a, b in zip(ours.history, theirs.history, strict=True):
        for figure in ("cost", "validation_cost", "learning_rate"):
            assert getattr(a, figure) == pytest.approx(getattr(b, figure), rel=rtol)
        assert (a.epoch, a.step) == (b.epoch, b.step)
    if precision == "float64":
        assert [a.accuracy for a in ours.history] == pytest.approx([b.accuracy for b in theirs.history])
        assert [a.metrics for a in ours.history] == [b.metrics for b in theirs.history]


@pytest.mark.slow
def test_batch_normalisation_and_several_targets(tmp_path):
    rows, _ = arrays()
    path = write(tmp_path / "a.h5", rows, rows[:, :2] * [2.0, -3.0] + 1)
    data = streamed(path, 5, standardize=True)
    net = jaxmlp.network_for(data, (8,), norm="batch")
    whole = Dataset.from_arrays(rows, rows[:, :2] * [2.0, -3.0] + 1, standardize=True)
    results = [jaxmlp.fit(net, d, epochs=4, batch_size=BATCH, shuffle=False) for d in (data, whole)]
    chex.assert_trees_all_close(results[0].params, results[1].params, rtol=1e-9)


@pytest.mark.slow
def test_options_change_the_result(path):
    base: dict[str, Any] = {"epochs": 2, "batch_size": BATCH}
    plain = jaxmlp.fit(NET, streamed(path), **base).params[0]["W"]
    changes: list[dict[str, Any]] = [{"shuffle": False}, {"class_weight": {0: 3.0}}, {"batch_size": 5}]
    changes.append({"key": jax.random.key(3)})
    for more in changes:
        assert (jaxmlp.fit(NET, streamed(path), **(base | more)).params[0]["W"] != plain).any()
    again = jaxmlp.fit(NET, streamed(path), **base).params[0]["W"]
    np.testing.assert_array_equal(again, plain)
    assert (jaxmlp.fit(NET, streamed(path, 6), **base).params[0]["W"] != plain).any()


@pytest.mark.slow
@pytest.mark.parametrize("stop", slow_except([1, 2, 4], 2))
def test_a_resumed_run_is_the_uninterrupted_one(path, stop):
    options: dict[str, Any] = {
        "batch_size": BATCH,
        "objective": Objective(dropout=0.3),
        "schedule": "one_cycle",
        "ema_decay": 0.9,
        "early_stopping": EarlyStopping(patience=3),
    }
    net = jaxmlp.Network((3, 5, 2), "tanh", "softmax", norm="batch")
    straight = jaxmlp.fit(net, streamed(path, test_fraction=0.2), epochs=5, **options)
    half = jaxmlp.fit(
        net, streamed(path, test_fraction=0.2), epochs=5, callbacks=lambda _, report: report.epoch == stop, **options
    )
    resumed = jaxmlp.fit(net, streamed(path, test_fraction=0.2), epochs=5, resume=half.snapshot, **options)
    chex.assert_trees_all_equal(resumed.params, straight.params)
    strip = [[report._replace(seconds=None) for report in run.history] for run in (resumed, straight)]
    assert strip[0] == strip[1]


@pytest.mark.slow
def test_the_steps_are_traced_twice_in_all_runs(path):
    """Once for full buffers, once for the last one."""
    optimizer = optax.sgd(0.1)
    for _ in range(2):
        jaxmlp.fit(NET, streamed(path, 5), optimizer=optimizer, epochs=3, batch_size=BATCH)
    steps: Any
    end: Any
    static = StaticConfig(NET, canonical_optimizer(optimizer), "binary")
    runs = NET.runs if is_elementwise(static.optimizer) else ()
    steps, end = segment_programs(static, ExecutionPlan(runs=runs, single_thread=is_small(NET, 96, BATCH)))
    assert (steps.n_programs(), end.n_programs()) == (1, 1)  # 12 batches in buffers of 4: no rest
    jaxmlp.fit(NET, streamed(path, 5), optimizer=optimizer, epochs=3, batch_size=7)
    assert steps.n_programs() == 3


@pytest.mark.slow
def test_a_model_comes_of_it(path, tmp_path):
    data = streamed(path, test_fraction=0.2, standardize=True)
    net = jaxmlp.network_for(data, (16,))
    assert net.sizes == (3, 16, 1)
    model = jaxmlp.Model.of(net, jaxmlp.fit(net, data, epochs=2, batch_size=BATCH).params, data)
    model.save(tmp_path / "model.h5")
    loaded = jaxmlp.load_model(tmp_path / "model.h5")
    assert data.test is not None
    assert loaded.row_dtype == "float64"
    assert loaded.evaluate(data.test) == model.evaluate(data.test)
    assert 0.3 < model.evaluate(data.train)["accuracy"] <= 1  # read by stretches


@pytest.mark.slow
def test_rows_held_back_are_a_validation_part(path):
    rows, labels = arrays()
    whole = streamed(path, 6, test_fraction=0.2, standardize=True)
    data = whole.split_validation(0.25, seed=3)
    assert data.validation is not None
    assert data.test is not None
    assert whole.test is not None
    assert data.test.rows is whole.test.rows
    # every row once: those to train on, by their numbers in the file, those held back by what they are
    kept = np.concatenate([np.arange(*run) for run in data.rows.runs])
    places = {tuple(row): i for i, row in enumerate(rows)}
    held = [places[tuple(row)] for part in (data.validation, data.test) for row in part.rows]
    assert sorted([*kept, *held]) == [*range(96)]
    np.testing.assert_array_equal(data.train.targets, labels[kept])
    np.testing.assert_array_equal(data.validation.targets, labels[held[: len(data.validation.rows)]])
    assert len(data.validation.rows) == pytest.approx(0.25 * len(whole.rows), abs=1)
    np.testing.assert_allclose(data.preprocessing.shift, rows[kept].mean(axis=0))
    assert whole.split_validation(0.25, seed=4).rows.runs.tolist() != data.rows.runs.tolist()
    result = jaxmlp.fit(NET, data, epochs=9, batch_size=BATCH, early_stopping=EarlyStopping(2), metrics=["f1"])
    model = jaxmlp.Model.of(NET, result.params, data)
    assert result.best_epoch is not None
    best = result.history[result.best_epoch - 1]
    assert model.evaluate(data.validation)["accuracy"] == best.validation_accuracy
    with pytest.raises(InputError, match="split_validation expects a data set without validation part, got one with"):
        data.split_validation(0.1)
    with pytest.raises(InputError, match="a test_fraction between 0 and 1"):
        whole.split_validation(2)
    with pytest.raises(InputError, match="memory expects at least"):
        streamed(path, 1).split_validation(0.9)


@pytest.mark.slow
def test_a_checkpoint_of_other_rows_is_refused(path, tmp_path):
    base: dict[str, Any] = {"epochs": 1, "batch_size": BATCH, "checkpoints": tmp_path / "kept"}
    jaxmlp.fit(NET, streamed(path), **base)
    rows, labels = arrays()
    rows[3, 1] += 1e-6
    other = write(tmp_path / "big2.h5", rows, labels)
    for name, data in {"training rows": streamed(other), "memory": streamed(path, 6)}.items():
        with pytest.raises(InputError, match=rf"expects {name} .*, got .*: resume with"):
            jaxmlp.fit(NET, data, **base)
    base["epochs"] = 2
    assert len(jaxmlp.fit(NET, streamed(path), **base).history) == 2


# --- when something goes wrong ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_divergence_is_noticed_before_the_end_of_the_epoch_and_named(path):
    data = streamed(path, 1)
    net = jaxmlp.Network((3, 1), "relu", "identity")
    regression = jaxmlp.stream(path, memory=SIZE, test_fraction=0, task="regression")
    with pytest.raises(DivergenceError) as streaming:
        jaxmlp.fit(net, regression, optimizer=optax.sgd(1e80), epochs=3, batch_size=BATCH, shuffle=False)
    rows, labels = arrays()
    whole = Dataset.from_arrays(rows, labels, task="regression")
    with pytest.raises(DivergenceError) as in_memory:
        jaxmlp.fit(net, whole, optimizer=optax.sgd(1e80), epochs=3, batch_size=BATCH, shuffle=False)
    assert str(streaming.value) == str(in_memory.value)
    assert "(epoch 1), first in" in str(streaming.value)
    assert streaming.value.last_good.history == ()
    assert len(data.train.rows) == 96
    assert not threads()


def test_a_row_that_is_no_number_ends_the_training_and_the_thread(tmp_path):
    rows, labels = arrays()
    rows[50, 1] = np.nan
    data = streamed(write(tmp_path / "a.h5", rows, labels), 1)
    with pytest.raises(InputError, match=r"'X' of a.h5 expects finite numbers, got nan in row 50, column 1"):
        jaxmlp.fit(NET, data, epochs=1, batch_size=BATCH)
    assert not threads()


def test_a_file_that_goes_away_between_epochs(path):
    data = streamed(path)
    with pytest.raises(InputError, match="got no such file any more: put it back, and resume"):
        jaxmlp.fit(NET, data, epochs=2, batch_size=BATCH, callbacks=lambda *_: os.remove(path))
    assert not threads()


def test_an_interrupted_epoch_leaves_no_thread(path, monkeypatch):
    calls = []

    def interrupt(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return permuted_rows(*arguments)

    permuted_rows = streamed_module.permuted_rows
    monkeypatch.setattr(streamed_module, "permuted_rows", interrupt)
    with pytest.raises(KeyboardInterrupt):
        jaxmlp.fit(NET, streamed(path, 1), epochs=1, batch_size=BATCH)
    assert not threads()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"sample_weight": np.ones(96)}, "fit expects no sample_weight for a streamed data set, got one: use class_w"),
        ({"class_weight": {0: 0}}, "class_weight of a streamed data set expects weights above 0, got 0: leave those"),
        ({"batch_size": "full"}, "batch_size expects a number of rows for a streamed data set, got 'full'"),
        ({"batch_size": 0}, "batch_size expects a positive whole number or 'full', got 0"),
        (
            {"batch_size": 90},
            f"memory expects at least {SIZE // BATCH * 90} bytes for batches of 90 rows, got {3 * SIZE}: give that",
        ),
        ({"net": jaxmlp.Network((4, 2), "relu", "softmax")}, r"the network expects sizes\[0\] = 3"),
    ],
)
def test_mistakes_get_one_sentence(path, arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        jaxmlp.fit(**({"net": NET, "data": streamed(path), "epochs": 1} | arguments))
