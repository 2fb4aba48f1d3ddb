"""Models: the answers of the network in the data's own terms, and a file that keeps every bit or says what is wrong."""

from typing import Any

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pandas
import pytest
from marks import slow_except
from sklearn.metrics import f1_score, log_loss, r2_score, roc_auc_score, root_mean_squared_error

import jaxmlp
from jaxmlp.data import Columns, Dataset, Preprocessing
from jaxmlp.data.dataset import Part
from jaxmlp.errors import InputError, MissingFileError
from jaxmlp.inference.model import Model
from jaxmlp.inference.model_file import FORMAT_VERSION
from jaxmlp.metrics.definitions import METRICS
from jaxmlp.metrics.formulas import r2

RNG = np.random.default_rng(0)


def model_for(data, hidden=(4,), activation: Any = "tanh", dtype=None, **more):
    net = jaxmlp.network_for(data, hidden, activation)
    return Model.of(net, jaxmlp.init(jax.random.key(1), net, dtype=dtype), data, **more)


IMAGES = Dataset.from_arrays(RNG.integers(0, 256, (9, 2, 3), np.uint8), list("abcabcabc"), name="letters")
PAIRS = Dataset.from_arrays(RNG.normal(size=(6, 2)), [True, False] * 3, standardize=True, columns=Columns(("u", "v")))
FLAGS = Dataset.from_arrays(RNG.normal(size=(4, 2)), np.array([[1, 1], [0, 1], [0, 0], [1, 0]]))
VALUES = Dataset.from_arrays(RNG.normal(size=(5, 2)), RNG.normal(10, 5, size=(5, 2)), standardize=True)
PRICE = Dataset.from_arrays(RNG.normal(size=(5, 2)), RNG.normal(10, 5, size=5), standardize=True)
ALL = [IMAGES, PAIRS, FLAGS, VALUES, PRICE]


def A_of(model, rows):
    return np.asarray(jaxmlp.forward(model.params, model.preprocessing(rows, np.float64).T, model.net)).T


def test_classes_answer_by_their_labels():
    model = model_for(IMAGES)
    A = A_of(model, IMAGES.train.rows)
    assert model.predict(IMAGES.train.rows).tolist() == [("a", "b", "c")[i] for i in A.argmax(axis=1)]
    np.testing.assert_allclose(model.predict_proba(IMAGES.train.rows), A, rtol=1e-12)
    pictures = IMAGES.train.rows.reshape(9, 2, 3)
    np.testing.assert_array_equal(model.predict(pictures), model.predict(IMAGES.train.rows))


def test_a_single_sigmoid_has_a_threshold_and_two_probabilities():
    model = model_for(PAIRS)
    A = A_of(model, PAIRS.train.rows)
    np.testing.assert_allclose(model.predict_proba(PAIRS.train.rows), np.hstack([1 - A, A]), rtol=1e-12)
    for threshold in (0.0, float(np.median(A)), 1.0):
        assert model.predict(PAIRS.train.rows, threshold=threshold).tolist() == (A[:, 0] > threshold).tolist()


def test_one_sigmoid_per_class_sums_to_one():
    net = jaxmlp.Network((6, 3), "tanh", "sigmoid")
    model = Model.of(net, jaxmlp.init(jax.random.key(1), net), IMAGES)
    probabilities = model.predict_proba(IMAGES.train.rows)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert (probabilities.argmax(axis=1) == A_of(model, IMAGES.train.rows).argmax(axis=1)).all()


def test_several_labels_answer_with_flags():
    model = model_for(FLAGS)
    A = A_of(model, FLAGS.train.rows)
    np.testing.assert_array_equal(model.predict(FLAGS.train.rows), A > 0.5)
    np.testing.assert_allclose(model.predict_proba(FLAGS.train.rows), A, rtol=1e-12)
    accuracy = (model.predict(FLAGS.train.rows) == FLAGS.train.targets).all(axis=1).mean()
    assert model.evaluate(FLAGS.train)["accuracy"] == accuracy


def test_values_answer_in_the_units_of_the_targets():
    model = model_for(VALUES)
    A = A_of(model, VALUES.train.rows)
    expected = A * VALUES.train.targets.std(axis=0) + VALUES.train.targets.mean(axis=0)
    np.testing.assert_allclose(model.predict(VALUES.train.rows), expected, rtol=1e-12)
    assert model_for(PRICE).predict(PRICE.train.rows).shape == (5,)
    figures = model.evaluate(VALUES.train)
    np.testing.assert_allclose(figures["r2"], r2_score(VALUES.train.targets, expected), rtol=1e-12)


def test_evaluate_is_cost_and_accuracy_without_penalty():
    model = model_for(IMAGES, objective=jaxmlp.Objective(l2=9.0))
    X, Y = IMAGES.train.rows.T / 255, IMAGES.train.targets[None]
    figures = model.evaluate(IMAGES.train)
    np.testing.assert_allclose(figures["cost"], jaxmlp.cost(model.params, X, Y, model.net), rtol=1e-12)
    right = model.predict(IMAGES.train.rows) == np.array(["a", "b", "c"])[IMAGES.train.targets]
    assert figures["accuracy"] == right.mean()


@pytest.mark.parametrize("data", ALL, ids=lambda data: data.task)
@pytest.mark.parametrize("dtype", [jnp.float64, jnp.float32, jnp.bfloat16])
def test_evaluate_gives_every_metric_of_the_task(data, dtype):
    figures = model_for(data, dtype=dtype).evaluate(data.train)
    defined = [name for name, metric in METRICS.items() if data.task in metric.tasks]
    assert [*figures] == ["cost", *defined]
    assert all(type(value) is float for value in figures.values())


def test_metrics_are_those_of_the_predictions_and_weighted():
    w = RNG.uniform(0, 2, 9)
    model, rows, ids = model_for(IMAGES), IMAGES.train.rows, IMAGES.train.targets
    figures = model.evaluate(IMAGES.train, weights=w)
    right, P = model.predict(rows) == np.array(["a", "b", "c"])[ids], model.predict_proba(rows)
    expected = {
        "cost": jaxmlp.cost(model.params, rows.T / 255, ids[None], model.net, weights=jnp.asarray(w[None])),
        "accuracy": np.average(right, weights=w),
        "log_loss": log_loss(ids, P, sample_weight=w),
        "auc": roc_auc_score(ids, P, multi_class="ovr", sample_weight=w),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(figures[name], value, rtol=1e-12, err_msg=name)
    model = model_for(VALUES)
    figures = model.evaluate(VALUES.train, weights=w[:5])
    error = root_mean_squared_error(VALUES.train.targets, model.predict(VALUES.train.rows), sample_weight=w[:5])
    np.testing.assert_allclose(figures["rmse"], error, rtol=1e-12)
    model = model_for(PAIRS)
    f1 = f1_score(PAIRS.train.targets, model.predict(PAIRS.train.rows).astype(int))
    assert model.evaluate(PAIRS.train, "f1")["f1"] == pytest.approx(f1, rel=1e-12)


def test_named_metrics_come_with_the_cost_alone():
    model = model_for(PAIRS)
    assert [*model.evaluate(PAIRS.train, ["auc", "f1"])] == ["cost", "auc", "f1"]
    assert refused(model.evaluate, PAIRS.train, ["rmse"]) == (
        "metric for task 'binary' expects one of accuracy, balanced_accuracy, f1, auc, log_loss, calibration_error, "
        "got 'rmse': take one of these names"
    )
    assert "weights expects a number ≥ 0 for each of the 6 rows, got shape (1,)" in refused(
        model.evaluate, PAIRS.train, None, [1]
    )


def test_outputs_that_are_no_probabilities_have_no_metrics_of_them():
    net = jaxmlp.Network((2, 3, 1), "relu", "tanh")
    model = Model.of(net, jaxmlp.init(jax.random.key(0), net), PAIRS, jaxmlp.Objective("quadratic"))
    figures = model.evaluate(PAIRS.train)
    assert {name for name, value in figures.items() if value is None} == {"auc", "log_loss", "calibration_error"}
    assert figures["accuracy"] == (model.predict(PAIRS.train.rows) == (PAIRS.train.targets == 1)).mean()
    assert refused(model.evaluate, PAIRS.train, "auc") == (
        "metric 'auc' expects probabilities, got none: leave this metric out"
    )


def test_outputs_beyond_floats_are_undefined_and_no_error():
    net = jaxmlp.Network((2, 1), (), "identity")
    model = Model.of(net, ({"W": jnp.full((1, 2), 1e300), "b": jnp.zeros((1, 1))},), PRICE)
    figures = model.evaluate(Part(np.full((2, 2), 1e300), np.ones((2, 1))))
    assert (figures["r2"], figures["mae"], figures["rmse"]) == (None, None, None)
    net = jaxmlp.Network((6, 3), (), "sigmoid")
    model = Model.of(net, ({"W": jnp.full((3, 6), -1e300), "b": jnp.zeros((3, 1))},), IMAGES)
    figures = model.evaluate(IMAGES.train)
    assert figures["log_loss"] is None
    assert figures["accuracy"] == 1 / 3


@pytest.mark.parametrize("m", [1, 2, 3, 7, 64, 65])
def test_any_number_of_rows_gives_the_same_answers(m):
    model = model_for(PAIRS)
    rows = np.tile(PAIRS.train.rows, (11, 1))[:m]
    np.testing.assert_allclose(model.outputs(rows), A_of(model, rows), rtol=1e-13)


def test_rows_beyond_a_chunk_and_no_rows_at_all(monkeypatch):
    model = model_for(PAIRS)
    rows = np.tile(PAIRS.train.rows, (2, 1))
    expected = model.outputs(rows)
    monkeypatch.setattr("jaxmlp.inference.model.ROWS_PER_CALL", 5)
    np.testing.assert_allclose(model.outputs(rows), expected, rtol=1e-13)
    assert model.predict(np.zeros((0, 2))).shape == (0,)


@pytest.mark.parametrize("m", [8, 9, 21, 24])
def test_compiled_blocks_are_joined_in_their_order(m, monkeypatch):
    model = model_for(PAIRS, activation="gelu")  # which NumPy has not, so that a program computes it
    rows = RNG.normal(size=(m, 2))
    expected = A_of(model, rows)
    monkeypatch.setattr("jaxmlp.inference.model.ROWS_PER_CALL", 8)
    np.testing.assert_allclose(model.outputs(rows), expected, rtol=1e-12)


def test_a_constant_target_counts_one_if_met_else_nothing():
    targets = np.array([[1.0, 2.0], [1.0, 4.0]])
    assert r2(targets, targets) == 1
    assert r2(targets, targets + np.array([[1, 0]])) == 0.5


@pytest.mark.parametrize("data", ALL, ids=lambda data: data.task)
@pytest.mark.parametrize("dtype", slow_except([jnp.float64, jnp.float32, jnp.bfloat16], jnp.float32))
def test_a_file_keeps_every_bit(data, dtype, tmp_path):
    model = model_for(data, hidden=(3, 2), activation=("leaky_relu(0.2)", "maxout(3)"), dtype=dtype)
    model.save(tmp_path / "model.h5")
    again = jaxmlp.load_model(tmp_path)
    assert again.net == model.net
    for ours, theirs in zip(jax.tree.leaves(model.params), jax.tree.leaves(again.params), strict=True):
        assert ours.dtype == theirs.dtype == dtype
        assert ours.tobytes() == theirs.tobytes()
    for name in ("task", "cost", "classes", "feature_names", "target_names", "image_shape"):
        assert getattr(again, name) == getattr(model, name), name
    assert [type(label) for label in again.classes] == [type(label) for label in model.classes]
    np.testing.assert_array_equal(model.outputs(data.train.rows), again.outputs(data.train.rows))
    for name in ("preprocessing", "target_preprocessing"):
        assert getattr(again, name).to_dict().keys() == getattr(model, name).to_dict().keys()
    np.testing.assert_array_equal(model.predict(data.train.rows), again.predict(data.train.rows))


def test_the_file_is_plain_hdf5(tmp_path):
    model_for(IMAGES, hidden=()).save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5") as file:
        assert file["params/1/W"].shape == (3, 6)  # pyright: ignore
        assert list(file["network"].attrs["sizes"]) == [6, 3]  # pyright: ignore
        assert file.attrs["format"] == "jaxmlp.model"
        assert file["classes"].asstr()[()].tolist() == ["a", "b", "c"]  # pyright: ignore


def test_an_activation_of_ones_own_comes_back_by_its_name(tmp_path):
    square = jaxmlp.activation("square", lambda Z: Z * Z)
    model = model_for(PAIRS, activation=square)
    model.save(tmp_path / "m.h5")
    again = jaxmlp.load_model(tmp_path / "m.h5", activations=[square])
    np.testing.assert_array_equal(again.outputs(PAIRS.train.rows), model.outputs(PAIRS.train.rows))
    with pytest.raises(InputError) as caught:
        jaxmlp.load_model(tmp_path / "m.h5")
    assert str(caught.value) == (
        f"{tmp_path / 'm.h5'} expects an activation named 'square', got none of that name: "
        "give its record: load_model(path, activations=[...])"
    )


def refused(call, *arguments):
    with pytest.raises(InputError) as caught:
        call(*arguments)
    return str(caught.value)


def edit(path, change):
    with h5py.File(path, "r+") as file:
        change(file)


def test_files_that_are_no_models(tmp_path):
    path = tmp_path / "m.h5"
    with pytest.raises(MissingFileError) as caught:
        jaxmlp.load_model(path)
    assert str(caught.value) == (f"load_model expects a model file or a run folder, got {str(path)!r}: check the path")
    with pytest.raises(MissingFileError) as caught:
        jaxmlp.load_model(tmp_path)  # as the folder of a training that was stopped
    assert str(caught.value) == (
        f"load_model expects a run folder with a model, got {str(tmp_path)!r} without model.h5: "
        f"check the path, or finish the training with jaxmlp train --resume {tmp_path}"
    )
    path.write_bytes(b"not HDF5")
    assert refused(jaxmlp.load_model, path).startswith(
        f"{path} expects a jaxmlp model in HDF5, got a damaged or foreign file ("
    )
    with h5py.File(path, "w") as file:
        file["x"] = 1
    remedy = "give the model.h5 that `jaxmlp train` or Model.save wrote"
    assert refused(jaxmlp.load_model, path) == f"{path} expects a jaxmlp model, got another HDF5 file: {remedy}"


def test_models_that_do_not_fit_together(tmp_path):
    path = tmp_path / "m.h5"
    model = model_for(PAIRS)
    model.save(path)
    whole = path.read_bytes()
    edit(path, lambda file: file.attrs.update({"format_version": 99, "jaxmlp_version": "7.0"}))
    assert refused(jaxmlp.load_model, path) == (
        f"{path} expects model format {FORMAT_VERSION} or older, got 99: upgrade jaxmlp to 7.0 or newer"
    )
    path.write_bytes(whole)
    edit(path, lambda file: file["network"].attrs.update({"sizes": [2, 5, 1]}))
    assert refused(jaxmlp.load_model, path) == (
        f"{path}: layer 1 expects W of shape (5, 2), got (4, 2): a row per unit, a column per input"
    )
    path.write_bytes(whole)
    edit(path, lambda file: file.__delitem__("params/2"))
    assert "a damaged or foreign file" in refused(jaxmlp.load_model, path)
    path.write_bytes(whole[: len(whole) // 2])
    assert "a damaged or foreign file" in refused(jaxmlp.load_model, path)


def test_a_file_whose_scales_are_not_those_of_its_columns(tmp_path):
    data = jaxmlp.load(
        {"size": [1.0, 2.0, 4.0] * 4, "city": ["Rome", "Oslo", "Bern"] * 4, "y": [0.5, 1, 2] * 4}, target="y"
    )
    net = jaxmlp.network_for(data, (3,), members=4)
    Model.of(net, jaxmlp.init(jax.random.key(0), net), data).save(tmp_path / "m.h5")
    edit(tmp_path / "m.h5", lambda file: file["network"].attrs.update({"column_widths": [3, 1]}))
    message = refused(jaxmlp.load_model, tmp_path / "m.h5")
    assert "column_widths (3, 1) for a table with (1, 3)" in message


def test_a_model_with_groups_in_groups_without_end(tmp_path):
    model_for(PAIRS).save(tmp_path / "m.h5")

    def nest(file):
        for _ in range(40):
            file = file.create_group("g")

    edit(tmp_path / "m.h5", nest)
    assert "groups nested more than 32 deep" in refused(jaxmlp.load_model, tmp_path / "m.h5")


def test_names_of_a_file_are_shown_escaped_and_cut():
    names = ["\x1b[31m\u202eA", "b" * 1000]
    data = Dataset.from_arrays([[1.0, 2.0], [3.0, 4.0]], names)
    net = jaxmlp.network_for(data, ())
    for text in (repr(data), repr(Model.of(net, jaxmlp.init(jax.random.key(0), net), data))):
        assert text.replace("\n", "").isprintable()
        assert len(text) < 500


def test_a_failing_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "m.h5"
    model_for(PAIRS).save(path)
    before = path.read_bytes()

    def fail(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr("jaxmlp.inference.model_file._write_arrays", fail)
    with pytest.raises(OSError, match="disk full"):
        model_for(PAIRS).save(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["m.h5"]
    assert "create the folder first" in refused(model_for(PAIRS).save, tmp_path / "no" / "m.h5")


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 1)])
def test_the_axis_of_one_grey_channel_may_be_there_or_not(shape, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (8, 2, 3), dtype=np.uint8)
    data = Dataset.from_arrays(images.reshape(-1, *shape), [0, 1] * 4, test=(images[..., None], [0, 1] * 4))
    net = jaxmlp.network_for(data, (2,))
    model = Model.of(net, jaxmlp.init(jax.random.key(0), net), data)
    expected = model.outputs(images.reshape(8, 6))
    for given, outputs in ((images, expected), (images[0], expected[:1])):
        for array in (given, given[..., None]):
            np.testing.assert_allclose(model.outputs(array), outputs, rtol=1e-6)
            np.savez(tmp_path / "a.npz", X=array)
            rows = jaxmlp.data.load_rows(tmp_path / "a.npz", 6, model.columns)
            np.testing.assert_allclose(model.outputs(rows), outputs, rtol=1e-6)
    assert "expects rows of shape (m, 6), got (2, 1, 3)" in refused(model.predict, images[:2, :1])
    assert "expects finite numbers, got nan" in refused(model.predict, np.full((1, *shape), np.nan))


def test_rows_and_numbers_that_do_not_fit():
    model = model_for(IMAGES)
    assert refused(model.predict, np.zeros((6, 4))) == (
        "the model expects rows of shape (m, 6), got (6, 4): one example per row here: pass rows.T"
    )
    assert refused(model.predict, np.zeros(6)) == (
        "the model expects rows of shape (m, 6), got (6,): pass rows.reshape(1, -1) for one example"
    )
    assert refused(model.predict, pandas.Series(np.zeros(6))) == (
        "the model expects rows of shape (m, 6), got (6,): pass series.to_frame().T for one example"
    )
    read = "jaxmlp.data.load_rows(path, model.n_features, model.columns) reads a file"
    assert refused(model.predict, "photo.jpg") == (
        f"the model expects rows of shape (m, 6), got (): give an array; {read}"
    )
    assert refused(model.predict, np.zeros((20, 30, 3))) == (
        "the model expects rows of shape (m, 6), got (20, 30, 3): "
        f"resize the images to {model.image_shape}; {read}, and resizes a picture"
    )
    assert refused(lambda: model.predict(np.zeros((1, 6)), threshold=2)) == (
        "threshold expects a number from 0 to 1, got 2: leave it at 0.5"
    )
    assert refused(model_for(VALUES).predict_proba, VALUES.train.rows) == (
        "predict_proba expects a classifier with output 'sigmoid' or 'softmax', got task 'regression' and output "
        "'identity': use predict"
    )


def test_preprocessing_of_another_width_is_refused_at_once():
    net = jaxmlp.Network((2, 1), "relu", "sigmoid")
    params = jaxmlp.init(jax.random.key(0), net)
    pre = Preprocessing.standardize(np.zeros((3, 5)))
    assert refused(lambda: Model(net, params, "binary", "binary_cross_entropy", (0, 1), pre)) == (
        "the model expects preprocessing of 2 columns, got 5: "
        "fit it on rows with as many columns as the network has inputs"
    )
    assert refused(lambda: Model(net, params, "binary", "binary_cross_entropy", (0, 1, 2))) == (
        "the model expects 2 classes for its output of 1, got 3: give one label per class"
    )


def test_prediction_and_evaluation_decide_alike_where_sigmoids_have_rounded_to_one():
    data = Dataset.from_arrays(np.ones((3, 1)), ["a", "b", "c"])
    net = jaxmlp.Network((1, 3), (), "sigmoid")
    params = ({"W": jnp.array([[40.0], [60.0], [50.0]]), "b": jnp.zeros((3, 1))},)
    model = Model.of(net, params, data)
    assert model.predict(np.ones((1, 1))).tolist() == ["b"]
    assert model.evaluate(Part(np.ones((1, 1)), np.array([1])))["accuracy"] == 1


def test_what_a_model_does_not_take():
    model = model_for(PAIRS)
    assert "the model expects finite numbers" in refused(model.predict, np.full((2, 2), np.nan))
    assert refused(model.evaluate, PAIRS) == "evaluate expects a part of a data set, got Dataset: give data.test, say"
    assert refused(model.evaluate, Part(np.ones((1, 2)), np.array([5]))) == (
        "evaluate expects class ids from 0 to 1, got 5: are these the model's classes?"
    )
    word: Any = "a"
    assert "threshold expects a number from 0 to 1" in refused(lambda: model.predict(np.ones((1, 2)), threshold=word))
    assert refused(lambda: model_for(IMAGES).predict(IMAGES.train.rows, threshold=0.9)) == (
        "threshold expects one output, or several labels, got task 'multiclass' with outputs 3: leave it out"
    )
    assert refused(jaxmlp.load_model, 3) == "load_model expects a path, got int: give a model file or a run folder"


def test_models_of_nothing_that_can_be():
    net = jaxmlp.Network((2, 1), "relu", "sigmoid")
    params = jaxmlp.init(jax.random.key(0), net)
    assert "task expects one of" in refused(lambda: Model(net, params, "foo", "binary_cross_entropy", (0, 1)))
    assert "is defined for output 'softmax'" in refused(
        lambda: Model(net, params, "binary", "categorical_cross_entropy", (0, 1))
    )
    spoilt = ({"W": params[0]["W"].at[0, 0].set(jnp.nan), "b": params[0]["b"]},)
    assert refused(lambda: Model(net, spoilt, "binary", "binary_cross_entropy", (0, 1))) == (
        "the model expects finite parameters, got NaN or inf in layer 1: it comes from a training that diverged"
    )


def test_a_file_with_a_wrong_name_in_it_is_named(tmp_path):
    path = tmp_path / "m.h5"
    for key, value in (("task", "foo"), ("cost", "hinge")):
        model_for(PAIRS).save(path)
        edit(path, lambda file, key=key, value=value: file.attrs.update({key: value}))
        line = refused(jaxmlp.load_model, path)
        assert line.startswith(f"{path}: {key} expects one of ")
        assert f"got {value!r}" in line


def test_evaluate_takes_parts_of_raw_rows():
    part = Part(np.zeros((0, 2)), np.zeros(0, int))
    assert refused(model_for(PAIRS).evaluate, part) == (
        "evaluate expects at least one row, got (0, 2): the mean over no examples is not defined"
    )


def test_a_model_is_described_in_a_few_lines():
    assert repr(model_for(IMAGES)).splitlines() == [
        "Model of 43 parameters (float64)",
        "  network: sizes 6-4-3, hidden tanh, output softmax",
        "  task: multiclass, cost categorical_cross_entropy",
        "  classes: 'a', 'b', 'c'",
        "  images: 2 × 3",
        "  preprocessing: rows / 255",
    ]
    assert repr(model_for(PRICE)).splitlines()[-2:] == [
        "  preprocessing: (rows - shift of the column) / scale of the column",
        "  target preprocessing: (targets - shift of the column) / scale of the column",
    ]
    assert "features: 'u', 'v'" in repr(model_for(PAIRS))
    many = Dataset.from_arrays(np.zeros((2, 500)), [0, 1], columns=Columns([f"x{i}" for i in range(500)]))
    assert "'x5', … (500 in all)" in repr(model_for(many))
    assert max(map(len, repr(model_for(many)).splitlines())) < 80
