"""Presets: a recipe under a name, in Python, on the command line and in the estimators."""

import dataclasses
import json
import pickle
from itertools import pairwise
from typing import Any

import h5py
import jax
import numpy as np
import pandas
import pytest
from scipy.sparse import csr_matrix
from sklearn.base import clone

import jaxmlp
from jaxmlp import MLPClassifier, MLPRegressor, TrainConfig
from jaxmlp.cli.main import run
from jaxmlp.errors import InputError, InputTypeError
from jaxmlp.estimators.recipes import preset_parameters
from jaxmlp.training.presets import PRESETS, budget, find

pytestmark = pytest.mark.usefixtures("as_users_have_it")

M = 200
RNG = np.random.default_rng(0)
X = RNG.normal(size=(M, 4))
SIGN = np.where(X[:, 0] + X[:, 1] ** 2 > 0.7, "up", "down")
WAVE = np.sin(4 * X[:, 0]) + X[:, 1]
VALUE = X[:, 0] * X[:, 1] + X[:, 2]
SHORT: Any = {"hidden_layer_sizes": (8,), "max_iter": 12, "random_state": 0}


def test_a_preset_is_a_configuration_for_the_rows_at_hand():
    data = jaxmlp.Dataset.from_arrays(X, SIGN).split_validation(0.15)
    config, net = TrainConfig.preset("tabular", data), jaxmlp.network_for(data, preset="tabular")
    assert net.sizes == (4, *PRESETS["tabular"].hidden, 1)
    length = budget(len(data.train.rows))
    assert (config.batch_size, config.epochs) == (length.batch_size, length.epochs)
    assert config.early_stopping is not None
    assert config.early_stopping.patience == length.patience
    assert config.objective is not None
    assert config.objective.dropout == PRESETS["tabular"].objective["dropout"]
    assert TrainConfig.preset("tabular", 10**6, ema_decay=None).replace(epochs=3).ema_decay is None
    assert jaxmlp.network_for(data, (5,), preset="tabular").sizes == (4, 5, 1)
    with pytest.raises(InputError, match="one of tabular, piecewise, tabm, realmlp, got 'tabulr': did you"):
        TrainConfig.preset("tabulr", data)
    with pytest.raises(InputError, match="preset expects one of"):
        jaxmlp.network_for(data, preset="best")


@pytest.mark.slow
def test_the_piecewise_preset_trains_to_the_end_of_its_schedule():
    data = jaxmlp.load({"a": X[:, 0], "b": X[:, 1], "y": SIGN}, target="y", numbers="piecewise").split_validation(0.15)
    config = TrainConfig.preset("piecewise", data)
    assert config.early_stopping is not None
    assert config.early_stopping.patience == config.epochs == budget(len(data.train.rows), "piecewise").epochs
    assert (config.schedule, config.weight_decay) == ("cosine", PRESETS["piecewise"].config["weight_decay"])
    net = jaxmlp.network_for(data, preset="piecewise")
    assert net.sizes == (data.n_inputs, *PRESETS["piecewise"].hidden, 1)
    assert data.n_inputs > 20
    model = jaxmlp.Model.of(net, jaxmlp.fit(net, data, config.replace(epochs=30)).params, data)
    assert model.evaluate(data.test or data.train)["accuracy"] > 0.9


@pytest.mark.parametrize("name", PRESETS)
def test_larger_tables_get_larger_batches_and_fewer_epochs(name):
    lengths = [budget(m, name) for m in (50, 1_000, 8_000, 30_000, 90_000, 10**6)]
    assert [length.batch_size for length in lengths] == [64, 64, 128, 256, 512, 1024]
    assert all(a.epochs >= b.epochs and a.patience >= b.patience for a, b in pairwise(lengths))


@pytest.mark.slow
def test_the_command_line_takes_what_is_written_over_the_preset(tmp_path, monkeypatch, capsys):
    pytest.importorskip("pandas")
    monkeypatch.chdir(tmp_path)
    lines = [f"{a:.4f},{'xyz'[i % 3]},{y}" for i, (a, y) in enumerate(zip(X[:, 0], SIGN, strict=True))]
    (tmp_path / "t.csv").write_text("a,word,y\n" + "\n".join(lines) + "\n")
    arguments = ["train", "t.csv", "--preset", "tabular", "--epochs", "4", "--hidden", "16", "--out", "r", "--json"]
    assert run(arguments) == 0
    summary = json.loads(capsys.readouterr().out)
    options = json.loads((tmp_path / "r" / "run.json").read_text())["options"]
    assert summary["preset"] == options["preset"] == "tabular"
    assert summary["sizes"][1:-1] == [16]
    assert summary["epochs"] == 4
    assert summary["best_epoch"] is not None
    assert options["optimizer"] == "adamw"
    assert options["ema_decay"] == PRESETS["tabular"].config["ema_decay"]
    assert options["validation_fraction"] == PRESETS["tabular"].validation_fraction
    assert options["batch_size"] == 64
    assert run(["train", "t.csv", "--preset", "piecewise", "--optimizer", "sgd", "--epochs", "1", "--out", "s"]) == 0
    options = json.loads((tmp_path / "s" / "run.json").read_text())["options"]
    assert options["optimizer"] == "sgd"
    assert [options[name] for name in ("learning_rate", "schedule", "weight_decay")] == [None, "constant", None]
    capsys.readouterr()
    assert run(["train", "t.csv", "--preset", "piecewise", "--epochs", "1", "--out", "p"]) == 0
    options = json.loads((tmp_path / "p" / "run.json").read_text())["options"]
    assert (options["schedule"], options["weight_decay"]) == ("cosine", PRESETS["piecewise"].config["weight_decay"])
    model: Any = jaxmlp.load_model(tmp_path / "p")
    assert model.preprocessing.numbers == "piecewise"
    assert model.net.sizes[0] == 3 + len(model.preprocessing.columns[0].block.edges) - 1
    capsys.readouterr()
    assert run(["train", "t.csv", "--preset", "tabular", "--ensemble", "2"]) == 2
    assert "--preset" in capsys.readouterr().err


@pytest.mark.slow
def test_an_estimator_trains_by_its_preset_and_keeps_its_parameters():
    classifier = MLPClassifier(preset="tabular", **SHORT)
    before = classifier.get_params()
    classifier.fit(X, SIGN)
    assert classifier.get_params() == before
    plain = MLPClassifier(**SHORT | {"solver": "adamw", "learning_rate_init": 0.002, "alpha": 0.0, "batch_size": 64})
    plain.set_params(early_stopping=True, validation_fraction=0.15, tol=0.0, dropout=0.1, ema_decay=0.999)
    plain.set_params(weight_decay=0.01, n_iter_no_change=budget(170).patience)
    with pytest.warns(UserWarning, match="has not converged"):
        plain.fit(X, SIGN)
    np.testing.assert_array_equal(classifier.predict_proba(X), plain.predict_proba(X))
    pair: Any = clone(classifier)
    assert pair.set_params(n_members=2, max_iter=3).fit(X, SIGN).predict(X).shape == (M,)
    assert classifier.partial_fit(X, SIGN).validation_scores_ is not None
    regressor = MLPRegressor(preset="tabular", random_state=0, max_iter=150).fit(X, VALUE)
    assert regressor.coefs_[0].shape == (4, 256)
    assert regressor.score(X, VALUE) > 0.9
    with pytest.raises(
        InputTypeError, match=r"MLPClassifier\(preset=...\) expects None or a name among tabular, piece"
    ):
        MLPClassifier(preset="best").fit(X, SIGN)


def test_another_solver_keeps_its_own_rate_schedule_and_decay():
    for solver, expected in {"adam": (0.003, "cosine", 0.1), "sgd": (0.001, "constant", None)}.items():
        classifier = MLPClassifier(preset="piecewise", solver=solver)
        with preset_parameters(classifier, M, incremental=False):
            assert (classifier.learning_rate_init, classifier.learning_rate, classifier.weight_decay) == expected
            assert classifier.dropout == PRESETS["piecewise"].objective["dropout"]
        assert classifier.learning_rate == "constant"
    classifier = MLPClassifier(preset="piecewise")
    with preset_parameters(classifier, M, incremental=True):  # an epoch at a time: a schedule would never end
        assert (classifier.learning_rate, classifier.early_stopping) == ("constant", False)


@pytest.fixture(scope="module")
def piecewise_regressor(as_users_have_it):
    return MLPRegressor(preset="piecewise", max_iter=40, random_state=0).fit(X, WAVE)


@pytest.mark.slow
def test_an_estimator_encodes_numbers_by_its_preset(piecewise_regressor: Any, tmp_path):
    assert piecewise_regressor.score(X, WAVE) > 0.9
    assert piecewise_regressor.n_features_in_ == 4
    names = piecewise_regressor.to_model().preprocessing.input_names
    assert piecewise_regressor.coefs_[0].shape == (len(names), 256)
    assert names[0].startswith("x0 from ")
    piecewise_regressor.to_model().save(tmp_path / "m.h5")
    predictions = jaxmlp.load_model(tmp_path / "m.h5").predict(X)
    np.testing.assert_allclose(np.ravel(predictions), piecewise_regressor.predict(X), rtol=1e-6)
    np.testing.assert_allclose(piecewise_regressor.predict(csr_matrix(X)), piecewise_regressor.predict(X), rtol=1e-6)
    with pytest.raises(InputError, match="a network that reads numbers, got one with piecewise encoding"):
        piecewise_regressor.to_sklearn()


def test_a_frame_of_numbers_is_encoded_as_its_array(piecewise_regressor: Any):
    frame = pandas.DataFrame(X, columns=list("abcd"))
    regressor: Any = MLPRegressor(preset="piecewise", max_iter=40, random_state=0).fit(frame, WAVE)
    np.testing.assert_array_equal(regressor.predict(frame), piecewise_regressor.predict(X))
    assert regressor.to_model().preprocessing.names == ("a", "b", "c", "d")
    with pytest.raises(ValueError, match="same order"):
        regressor.predict(frame[["b", "a", "c", "d"]])


@pytest.mark.slow
def test_a_preset_without_standardisation_leaves_numbers_as_they_are():
    plain: Any = MLPRegressor(preset="piecewise", standardize=False, max_iter=1, random_state=0)
    assert plain.fit(X, WAVE).coefs_[0].shape == (4, 256)
    sparse: Any = MLPRegressor(preset="piecewise", max_iter=1, random_state=0)
    assert sparse.fit(csr_matrix(X), WAVE).coefs_[0].shape == (4, 256)


@pytest.mark.slow
def test_further_calls_keep_the_encoding_of_the_first():
    classifier: Any = MLPClassifier(preset="piecewise", random_state=0)
    classifier.partial_fit(X, SIGN, classes=["down", "up"])
    edges = classifier.to_model().preprocessing.to_json()
    for _ in range(9):
        classifier.partial_fit(X[:50] * 2, SIGN[:50])
    assert classifier.to_model().preprocessing.to_json() == edges
    assert classifier.score(X[:50] * 2, SIGN[:50]) > 0.9


@pytest.mark.slow
def test_the_preset_tabm_trains_members_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    lines = [f"{a:.4f},{'xyz'[i % 3]},{y}" for i, (a, y) in enumerate(zip(X[:, 0], SIGN, strict=True))]
    (tmp_path / "t.csv").write_text("a,word,y\n" + "\n".join(lines) + "\n")
    assert run(["train", "t.csv", "--preset", "tabm", "--hidden", "8", "--epochs", "2", "--out", "m"]) == 0
    model: Any = jaxmlp.load_model(tmp_path / "m")
    assert (model.net.members, model.preprocessing.numbers) == (PRESETS["tabm"].members, "piecewise")
    capsys.readouterr()
    assert run(["info", "m"]) == 0
    assert "members in network: 32" in capsys.readouterr().out
    assert run(["predict", "m", "t.csv", "-o", "p.csv"]) == 0
    assert len((tmp_path / "p.csv").read_text().splitlines()) == M + 1
    assert run(["evaluate", "m", "t.csv", "--json"]) == 0
    capsys.readouterr()
    assert run(["trace", "m", "t.csv"]) == 2
    assert "trace expects a network without members, got one of 32 members" in capsys.readouterr().err
    assert run(["train", "t.csv", "--preset", "tabm", "--norm", "batch", "--out", "n"]) == 2
    assert "members expects a network without normalisation" in capsys.readouterr().err


@pytest.mark.slow
def test_an_estimator_trains_members(tmp_path):
    options: Any = {"learning_rate_init": 0.02, "ema_decay": 0.9, "max_iter": 30, "random_state": 0}
    regressor: Any = MLPRegressor(preset="tabm", hidden_layer_sizes=(16,), **options)
    regressor.fit(X, 100 + 10 * WAVE)
    assert regressor.score(X, 100 + 10 * WAVE) > 0.8
    assert regressor.member_scales_.shape == (32, X.shape[1])
    assert regressor.coefs_[-1].shape == (16, 32)
    again = pickle.loads(pickle.dumps(regressor))
    np.testing.assert_array_equal(again.predict(X), regressor.predict(X))
    regressor.to_model().save(tmp_path / "m.h5")
    predictions = jaxmlp.load_model(tmp_path / "m.h5").predict(X)
    np.testing.assert_allclose(np.ravel(predictions), regressor.predict(X), rtol=1e-6)
    with pytest.raises(InputError, match="expects"):
        regressor.to_sklearn()


@pytest.mark.slow
def test_further_calls_of_members_go_on_from_the_last_weights():
    classifier: Any = MLPClassifier(preset="tabm", hidden_layer_sizes=(8,), random_state=0, standardize=True)
    rows = csr_matrix(X)  # standardised, but not encoded
    classifier.partial_fit(rows, SIGN, classes=["down", "up"])
    for _ in range(10):
        classifier.partial_fit(rows, SIGN)
    assert classifier.coefs_[0].shape == (4, 8)
    assert classifier.score(rows, SIGN) > 0.7
    before = classifier.predict_proba(rows)
    classifier.coefs_[-1] = classifier.coefs_[-1] * 0
    assert np.ptp(classifier.predict_proba(rows)) < np.ptp(before)


# --- realmlp ----------------------------------------------------------------------------------------------------------


def test_the_preset_realmlp_is_a_recipe_for_each_task():
    of_classes, of_numbers = find("realmlp", "binary"), find("realmlp", "regression")
    assert find("realmlp") == of_classes
    assert "label_smoothing" in of_classes.objective
    assert of_numbers.objective == {"dropout": of_classes.objective["dropout"]}
    data = jaxmlp.Dataset.from_arrays(X, VALUE)
    config = TrainConfig.preset("realmlp", data)
    assert config.objective is not None
    assert config.objective.label_smoothing is None
    assert config.learning_rate == of_numbers.config["learning_rate"]
    smoothed = TrainConfig.preset("realmlp", M).objective
    assert smoothed is not None
    assert smoothed.label_smoothing == of_classes.objective["label_smoothing"]
    net = jaxmlp.network_for(data, preset="realmlp")
    assert net.members == 1
    np.testing.assert_array_equal(jaxmlp.init(jax.random.key(0), net)[0]["R"], np.ones((1, 4)))


@pytest.mark.slow
def test_the_preset_realmlp_resumes_bit_for_bit():
    data = jaxmlp.Dataset.from_arrays(X, SIGN, standardize=True).split_validation(0.15)
    net, config = jaxmlp.network_for(data, (8,), preset="realmlp"), TrainConfig.preset("realmlp", data, epochs=6)
    whole = jaxmlp.fit(net, data, config)
    half = jaxmlp.fit(net, data, config, callbacks=lambda state, report: report.epoch == 3)
    assert len(half.history) == 3
    resumed = jaxmlp.fit(net, data, config, resume=half)
    jax.tree.map(np.testing.assert_array_equal, resumed.params, whole.params)
    assert len({report.learning_rate for report in whole.history}) == 6


def test_bounds_of_targets_follow_the_training_rows():
    data = jaxmlp.Dataset.from_arrays(X, VALUE, standardize=True).bound_targets()
    assert data.target_preprocessing.inverse([[1e9], [-1e9]]).ravel().tolist() == [VALUE.max(), VALUE.min()]
    assert data.split_test(0.5).split_validation(0.5).target_preprocessing.is_bounded
    plain = jaxmlp.Dataset.from_arrays(X, VALUE).bound_targets()
    for divided in (data, plain):
        seed = next(seed for seed in range(99) if divided.split_validation(0.5, seed).train.targets.max() < VALUE.max())
        divided = divided.split_validation(0.5, seed)
        assert divided.target_preprocessing.high.tolist() == [divided.train.targets.max()]
    assert plain.standardize().target_preprocessing.is_bounded
    classes = jaxmlp.Dataset.from_arrays(X, SIGN)
    assert classes.bound_targets() is classes


@pytest.mark.slow
def test_the_preset_realmlp_predicts_within_the_training_range_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    lines = [f"{a:.4f},{'xyz'[i % 3]},{y:.4f}" for i, (a, y) in enumerate(zip(X[:, 0], VALUE, strict=True))]
    (tmp_path / "t.csv").write_text("a,word,y\n" + "\n".join(lines) + "\n")
    arguments = ["train", "t.csv", "--preset", "realmlp", "--hidden", "8", "--epochs", "2", "--out", "m"]
    assert run(arguments) == 0
    model: Any = jaxmlp.load_model(tmp_path / "m")
    assert model.target_preprocessing.is_bounded
    assert "predictions within the range of the training targets" in repr(model)
    with h5py.File(tmp_path / "m" / "model.h5") as file:
        assert file.attrs["format_version"] == 5
        assert file["network"].attrs["parametric"]
    # weights that leave the range on every row
    last = {"W": model.params[-1]["W"], "b": model.params[-1]["b"] + 1e4}
    beyond = dataclasses.replace(model, params=(*model.params[:-1], last))
    beyond.save(tmp_path / "beyond.h5")
    capsys.readouterr()
    assert run(["predict", "beyond.h5", "t.csv", "-o", "p.csv"]) == 0
    predictions = [float(line.split(",")[-1]) for line in (tmp_path / "p.csv").read_text().splitlines()[1:]]
    np.testing.assert_allclose(predictions, model.target_preprocessing.high.item())
    options = json.loads((tmp_path / "m" / "run.json").read_text())["options"]
    assert (options["members"], options["schedule"], options["label_smoothing"]) == (1, "coslog(4)", None)


@pytest.mark.slow
def test_an_estimator_with_the_preset_realmlp_predicts_within_the_training_range():
    regressor: Any = MLPRegressor(preset="realmlp", **SHORT).fit(X, VALUE)
    assert regressor.member_scales_.shape[0] == 1
    assert [len(s) for s in regressor.activation_shares_] == [8]
    assert (regressor.activation_shares_[0] != 1).any()
    again = pickle.loads(pickle.dumps(regressor))
    np.testing.assert_array_equal(again.predict(X), regressor.predict(X))
    del again.activation_shares_  # as an estimator that an earlier release has pickled
    again._network = dataclasses.replace(again._network, parametric=False)
    assert again.predict(X).shape == (len(X),)
    maxout: Any = MLPRegressor(preset="realmlp", activation="maxout(2)", **SHORT).fit(X, VALUE)
    assert maxout.activation_shares_ == []
    regressor.intercepts_[-1] = regressor.intercepts_[-1] + 1e4
    np.testing.assert_allclose(regressor.predict(X), VALUE.max())
    np.testing.assert_allclose(regressor.to_model().predict(X), VALUE.max())
    classifier: Any = MLPClassifier(preset="realmlp", **SHORT).fit(X, SIGN)
    assert set(classifier.predict(X)) <= {"up", "down"}


@pytest.mark.slow
def test_further_calls_widen_the_range_of_predictions():
    regressor: Any = MLPRegressor(preset="realmlp", **SHORT)
    regressor.partial_fit(X, VALUE)
    regressor.partial_fit(X, VALUE + 5).partial_fit(X, VALUE)
    regressor.intercepts_[-1] = regressor.intercepts_[-1] + 1e4
    np.testing.assert_allclose(regressor.predict(X), VALUE.max() + 5)
