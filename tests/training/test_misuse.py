"""What would train or predict in silence and be wrong: it is read as it is meant, or refused in one sentence."""

import inspect
import multiprocessing
import os
import subprocess
import sys
from typing import Any

import jax
import numpy as np
import optax
import pandas as pd
import pytest

import jaxmlp
from jaxmlp import fork
from jaxmlp.errors import InputError

G = np.random.default_rng(0)
X = G.normal(size=(60, 2))


def test_class_weights_are_named_by_label():
    labels = G.integers(1, 3, 60)
    data = jaxmlp.Dataset.from_arrays(X, labels)
    net = jaxmlp.network_for(data, hidden=(4,))
    by_label = jaxmlp.fit(net, data, epochs=2, class_weight={1: 50.0})
    by_row = jaxmlp.fit(net, data, epochs=2, sample_weight=np.where(labels == 1, 50.0, 1.0))
    assert by_label.history[-1].cost == pytest.approx(by_row.history[-1].cost)
    with pytest.raises(InputError, match="class_weight expects labels among 1, 2, got 0: name classes by their labels"):
        jaxmlp.fit(net, data, epochs=1, class_weight={0: 2.0})
    words = jaxmlp.Dataset.from_arrays(X, np.array(["a", "b"])[labels - 1])
    by_word = jaxmlp.fit(net, words, epochs=2, class_weight={"a": 50.0})
    assert by_word.history[-1].cost == by_label.history[-1].cost
    with pytest.raises(InputError, match="class_weight expects labels among a, b, got 'c'"):
        jaxmlp.fit(net, words, epochs=1, class_weight={"c": 2.0})
    # 1 may be the label "1", or the id of the label "2": a weight on the wrong class would go unseen
    digits = jaxmlp.Dataset.from_arrays(X, labels.astype(str))
    by_digit = jaxmlp.fit(net, digits, epochs=2, class_weight={"1": 50.0})
    assert by_digit.history[-1].cost == by_label.history[-1].cost
    with pytest.raises(InputError, match="class_weight expects labels among 1, 2, got 1: write '1'"):
        jaxmlp.fit(net, digits, epochs=1, class_weight={1: 50.0})
    for spec, text in (
        ([50, 1], r"a dict \{label: weight\}, got \[50, 1\]: write \{1: 50, 2: 1\}"),
        ([50, 1, 1], r"a dict \{label: weight\}, got \[50, 1, 1\]: write 'balanced', say"),
        ({2: -5}, "finite weights ≥ 0, got -5 for class 2: take 1 for no change"),
    ):
        with pytest.raises(InputError, match=f"class_weight expects .*{text}"):
            jaxmlp.fit(net, data, epochs=1, class_weight=spec)
        with pytest.raises(InputError, match=f"class_weight expects .*{text}"):
            jaxmlp.MLPClassifier(class_weight=spec).fit(X, labels)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="got -5 for class 'b': take 1"):
        jaxmlp.fit(net, words, epochs=1, class_weight={"b": -5})


@pytest.mark.parametrize(("rows", "batch_size"), [(60, 1), (1, "full")])
def test_batch_normalisation_of_one_row_is_refused(rows, batch_size):
    data = jaxmlp.Dataset.from_arrays(X[:rows], X[:rows, 0], task="regression")
    net = jaxmlp.network_for(data, hidden=(4,), norm="batch")
    with pytest.raises(InputError, match="norm 'batch' expects batches of at least 2 rows, got batches of 1 row"):
        jaxmlp.fit(net, data, epochs=1, batch_size=batch_size)
    layer = jaxmlp.network_for(data, hidden=(4,), norm="layer")
    assert jaxmlp.fit(layer, data, epochs=1, batch_size=batch_size).history


@pytest.mark.slow
def test_weights_of_all_rows_go_with_a_part_held_out():
    y, w = (X[:, 0] > 0).astype(int), G.random(60)
    data = jaxmlp.Dataset.from_arrays(X, y).split_validation(0.25)
    net = jaxmlp.network_for(data, hidden=(4,))
    of_all = jaxmlp.fit(net, data, epochs=2, sample_weight=w)
    of_part = jaxmlp.fit(net, data, epochs=2, sample_weight=w[data.origins["train"]])
    with_data = jaxmlp.Dataset.from_arrays(X, y, weights=w).split_validation(0.25)
    assert of_all.history[-1].cost == of_part.history[-1].cost
    assert jaxmlp.fit(net, with_data, epochs=2).history[-1].cost == of_part.history[-1].cost
    np.testing.assert_array_equal(with_data.part_weights("validation"), w[data.origins["validation"]])


def image_model(images):
    data = jaxmlp.Dataset.from_arrays(images, np.arange(len(images)) % 2)
    net = jaxmlp.network_for(data, hidden=(4,))
    return jaxmlp.Model.of(net, jaxmlp.fit(net, data, epochs=1).params, data)


@pytest.mark.slow
def test_images_of_another_unit_are_refused(tmp_path):
    images = G.integers(0, 256, (20, 4, 4)).astype(np.uint8)
    of_bytes, of_floats = image_model(images), image_model(images / 255)
    of_floats.save(tmp_path / "m.h5")
    with pytest.raises(InputError, match=r"got intensities 0\.\.1: give the images as in training, images \* 255"):
        of_bytes.predict(images / 255)
    flat = images.reshape(20, -1) / 255
    for other_unit in (pd.DataFrame(flat), {str(j): flat[:, j] for j in range(16)}, images > 99):
        with pytest.raises(InputError, match=r"got intensities 0\.\.1: give the images as in training, images \* 255"):
            of_bytes.predict(other_unit)
    for mask in ((images > 99).astype(np.uint8), (images > 99) * 1.0):
        with pytest.warns(UserWarning, match=r"got intensities 0\.\.1: give the images as in training"):
            of_bytes.predict(mask)
    of_bytes.predict((images[:3] > 99).astype(np.uint8))  # a few images may be as dark as that
    for standardised in (images / 127.5 - 1, (images - images.mean()) / images.std()):
        with pytest.raises(InputError, match="give the images as in training, not scaled or shifted"):
            of_bytes.predict(standardised)
    for model in (of_floats, jaxmlp.load_model(tmp_path / "m.h5")):
        with pytest.raises(InputError, match=r"expects intensities 0\.\.1 as in training, got intensities up to"):
            model.predict(images)
    assert len(of_bytes.predict(images.astype(float))) == len(of_floats.predict(images / 255)) == 20
    assert of_bytes.predict(images[0]).tolist() == of_bytes.predict(images[:1]).tolist()


def test_images_around_zero_are_told_from_bytes_and_from_fractions():
    images = G.integers(0, 256, (20, 4, 4)).astype(np.uint8)
    images[0, 0, 0] = 0
    signed, scored = images / 127.5 - 1, (images - images.mean()) / images.std()
    for trained in (signed, scored):
        data = jaxmlp.Dataset.from_arrays(trained, np.arange(20) % 2)
        net = jaxmlp.network_for(data, hidden=(4,))
        model = jaxmlp.Model.of(net, jaxmlp.init(jax.random.key(0), net), data)
        for of_bytes in (images, images.astype(float), images[:1]):
            with pytest.raises(InputError, match=r"got intensities .*: shift and scale the images as in training"):
                model.predict(of_bytes)
        with pytest.warns(UserWarning, match=r"got intensities 0\.\.\S+, none of them negative: shift and scale"):
            model.predict(images / 255)
        # no warning for the images of the training, nor for a single bright one of that kind
        assert len(model.predict(trained)) == 20
        assert len(model.predict(np.full((1, 4, 4), 0.7))) == 1


def test_columns_of_a_frame_are_taken_by_name():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["a", "b"]).assign(flag=X[:, 0] > 0)
    data = jaxmlp.Dataset.from_arrays(frame, pandas.Series(X[:, 0] > 0, name="y"))
    assert (data.feature_names, data.target_names) == (("a", "b", "flag"), ("y",))
    assert type(data.train.rows) is np.ndarray
    net = jaxmlp.network_for(data, hidden=(4,))
    model = jaxmlp.Model.of(net, jaxmlp.fit(net, data, epochs=1).params, data)
    np.testing.assert_array_equal(model.outputs(frame[["flag", "b", "a"]]), model.outputs(frame))
    with pytest.raises(InputError, match="the model expects the feature columns a, b, flag, got a, c: add b, flag"):
        model.predict(frame[["a"]].assign(c=1))


def test_numbers_are_not_taken_for_the_words_of_a_table():
    data = jaxmlp.load({"size": [1.0, 2.0, 3.0, 4.0], "city": list("abab"), "y": [0, 1, 0, 1]}, test_fraction=0)
    net = jaxmlp.network_for(data, hidden=(4,))
    model = jaxmlp.Model.of(net, jaxmlp.fit(net, data, epochs=1).params, data)
    assert model.predict(data.train.rows[:2]).shape == (2,)
    np.testing.assert_array_equal(model.outputs([[1.0, "a"]]), model.outputs({"city": ["a"], "size": [1.0]}))
    with pytest.raises(InputError, match="the model expects text or dates in 'city', got an array of numbers"):
        model.predict(np.ones((2, 2)))


def test_weights_of_rows_may_be_a_column_of_a_frame():
    weights = np.arange(1.0, 61.0)
    frame: Any = {"a": X[:, 0], "w": weights, "b": X[:, 1]}
    data = jaxmlp.Dataset.from_arrays(frame, X[:, 0] > 0, weights="w", test_fraction=0.5)
    assert data.feature_names == ("a", "b")
    for part in ("train", "test"):
        rows = getattr(data, part).rows[:, 0]
        expected = [weights[np.flatnonzero(X[:, 0] == x)[0]] for x in rows]  # they follow their rows
        np.testing.assert_array_equal(data.part_weights(part), expected)
    with pytest.raises(InputError, match="expects names of its columns a, w, b, got 'v'"):
        jaxmlp.Dataset.from_arrays(frame, X[:, 0] > 0, weights="v")
    for wrong, text in (
        ("w", "got 'w': give one number for each row"),
        (weights[:, None], r"got shape \(60, 1\): write numpy.ravel\(weights\)"),
        (-weights, "expects finite numbers ≥ 0, got -1.0"),
    ):
        with pytest.raises(InputError, match=f"weights expects .*{text}|weights {text}"):
            jaxmlp.Dataset.from_arrays(X, X[:, 0] > 0, weights=wrong)


def _predict_in_a_fork(model, connection):
    many = 0
    try:
        many = len(model.predict(np.zeros((3000, 2))))
        data = jaxmlp.Dataset.from_arrays(X, X[:, 0] > 0)
        jaxmlp.fit(jaxmlp.network_for(data), data, epochs=1)
    except InputError as error:
        connection.send((many, str(error)))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore")
def test_a_forked_process_predicts_and_refuses_to_train():
    with jax.enable_x64(False):
        data = jaxmlp.Dataset.from_arrays(X, X[:, 0] > 0)
        net = jaxmlp.network_for(data)
        model = jaxmlp.Model.of(net, jaxmlp.fit(net, data, epochs=1).params, data)
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    process = context.Process(target=_predict_in_a_fork, args=(model, there))
    process.start()
    assert here.poll(60), "it hangs"
    many, line = here.recv()
    process.join(60)
    assert many == 3000
    assert line.startswith(
        "fit expects a process that was not forked from one that has used JAX, got a forked one: use"
    )
    assert not fork.is_forked()


# public functions that do not compute: in a forked process they do what they do everywhere
NO_COMPUTATION = {"activation", "load", "load_model", "make_step", "network_for", "stream"}
NO_COMPUTATION |= {"params_from_dict", "params_to_dict"}


def _answers_in_a_fork(calls, connection):
    """Send what each call raises, or that it has returned; what hangs is answered by no message."""
    for name, call in calls.items():
        try:
            answer = call()
            connection.send((name, "returned" if not inspect.isgenerator(answer) else str(next(answer))))
        except Exception as error:
            connection.send((name, str(error)))
    connection.send(None)


def _call_with_nothing(function):
    """Return a call whose required arguments are None: a forked process is refused before they are looked at."""
    required = [p for p in inspect.signature(function).parameters.values() if p.default is p.empty and p.kind < 2]
    return lambda: function(*[None] * len(required))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore")
def test_everything_that_computes_says_so_in_a_forked_process():
    jax.devices()  # the threads of JAX are there
    net = jaxmlp.Network((2, 1), (), "sigmoid")
    public = {name: getattr(jaxmlp, name) for name in jaxmlp.__all__}
    calls = {
        name: _call_with_nothing(function)
        for name, function in public.items()
        if not inspect.isclass(function) and name not in NO_COMPUTATION
    }
    step = jaxmlp.make_step(net, optax.sgd(0.1))
    classifier, regressor = jaxmlp.MLPClassifier(), jaxmlp.MLPRegressor(warm_start=True)
    calls["step"] = lambda: step(None, X.T, X.T)  # pyright: ignore[reportArgumentType]
    calls["partial_fit"] = lambda: classifier.partial_fit(X, X[:, 0] > 0, classes=[False, True])
    calls["fit of an estimator"] = lambda: regressor.fit(X, X[:, 0])
    here, there = multiprocessing.get_context("fork").Pipe()
    process = multiprocessing.get_context("fork").Process(target=_answers_in_a_fork, args=(calls, there))
    process.start()
    answers = {}
    while here.poll(20) and (answer := here.recv()) is not None:
        answers[answer[0]] = answer[1]
    process.kill()
    process.join(20)
    assert answers.keys() == calls.keys(), f"these hang: {list(calls.keys() - answers.keys())[:1]}"
    for name, text in answers.items():
        where = {"assert_vjp": "check_vjp", "fit of an estimator": "fit"}.get(name, name)
        assert text.startswith(f"{where} expects a process that was not forked from one that has used JAX"), name


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_the_fork_of_a_process_that_has_only_imported_jax_may_compute():
    """Also where only the parent's own code has used JAX, and jaxmlp has computed nothing there."""
    code = """
import os, warnings
import jax, jaxmlp.fork
warnings.simplefilter("ignore")

def forked():
    if (child := os.fork()) == 0:
        os._exit(jaxmlp.fork.is_forked())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

print(forked(), end=" ")
jax.numpy.ones(2)
print(forked(), jaxmlp.fork.is_forked())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "0 1 False\n", done.stderr
