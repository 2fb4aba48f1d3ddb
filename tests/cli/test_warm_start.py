"""`--warm-start`: the new data gets the columns, the classes and the scaling of the model, by their names."""

import json

import jax
import numpy as np
import pytest

import jaxmlp
from jaxmlp.cli.main import run

pd = pytest.importorskip("pandas")
pytestmark = pytest.mark.usefixtures("as_users_have_it")

G = np.random.default_rng(0)
M = 100
CITIES = np.array(["Bern", "Graz", "Ulm"])[np.arange(M) % 3]
HERE = {"Bern": -30.0, "Graz": 0.0, "Ulm": 30.0}
TABLE = pd.DataFrame({"a": G.normal(0, 1, M).round(3), "b": G.normal(50, 9, M).round(2), "city": CITIES})
TABLE["y"] = np.where(TABLE.a * 9 + TABLE.city.map(HERE) > 0, "p", "q")


@pytest.fixture
def start(place):
    """A model that knows the answer, with weights by hand, as m.h5."""
    data = jaxmlp.load(TABLE, target="y", test_fraction=0)
    net = jaxmlp.network_for(data, hidden=())
    W = np.linalg.lstsq(
        np.c_[data.preprocessing(data.train.rows), np.ones(M)], data.train.targets * 2.0 - 1, rcond=None
    )[0]
    params = ({"W": 9 * W[None, :-1].astype("f4"), "b": 9 * W[-1:, None].astype("f4")},)
    model = jaxmlp.Model.of(net, params, data)
    model.save("m.h5")
    return model


def train(capsys, frame, *options):
    """Train for an epoch that changes nothing; return the accuracy, or the error."""
    frame.to_csv("new.csv", index=False)
    still = ["--epochs", "1", "--optimizer", "sgd", "--learning-rate", "1e-12", "--batch-size", "full"]
    code = run(["train", "new.csv", "--warm-start", "m.h5", "--json", *still, *options])
    out, err = capsys.readouterr()
    return json.loads(out)["train_accuracy"] if code == 0 else err


def test_columns_categories_and_classes_are_those_of_the_model(start, capsys):
    expected = start.evaluate(jaxmlp.load(TABLE, target="y", test_fraction=0).train)["accuracy"]
    assert expected > 0.9
    whole = ("--test-fraction", "0")
    assert train(capsys, TABLE[["y", "city", "b", "a"]], "--out", "warm", *whole) == pytest.approx(expected)
    assert run(["evaluate", "warm", "new.csv", "--part", "train"]) == 0  # the run knows the target
    capsys.readouterr()
    warm = jaxmlp.load_model("warm")
    assert (warm.feature_names, warm.classes) == (start.feature_names, start.classes)
    warm_columns, columns = (model.preprocessing.columns for model in (warm, start))  # pyright: ignore[reportAttributeAccessIssue]
    jax.tree.map(np.testing.assert_array_equal, warm_columns, columns)
    # rows of two classes and of two cities only, in any order, keep their meaning
    some = TABLE[TABLE.city != "Bern"][::-1]
    correct = start.predict(some.drop(columns="y")) == some.y.to_numpy()
    frame = some.reset_index(drop=True)
    assert train(capsys, frame, "--out", "second", *whole) == pytest.approx(correct.mean())


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (TABLE.rename(columns={"a": "c"}), "expects the feature columns a, b, city, got c, b, city: add a"),
        (TABLE.assign(y=np.where(TABLE.a > 0, "p", "r")), "expects the known classes (p, q), got 'r' in row "),
        (TABLE.assign(a="text"), "expects cells like those of the training, got 'text' in column 'a', line 2"),
    ],
    ids=["column", "class", "cell"],
)
def test_what_the_model_does_not_have_is_refused(start, capsys, frame, error):
    assert error in train(capsys, frame)


@pytest.mark.parametrize("option", ["--drop", "--features", "--keep"])
def test_options_that_choose_columns_are_refused(start, capsys, option):
    text = train(capsys, TABLE, option, "b")
    assert text.startswith(f"error: --warm-start expects the columns and the scaling of its model, got {option}: leave")


def test_a_model_of_another_task_is_refused(start, capsys):
    of_numbers = jaxmlp.load(TABLE.assign(y=TABLE.a), target="y")
    jaxmlp.Model.of(jaxmlp.Network(start.net.sizes, output="identity"), start.params, of_numbers).save("m.h5")
    assert "a model of binary data of the classes p, q, got one of regression data: take a model of" in train(
        capsys, TABLE
    )


def test_images_of_another_unit_are_refused(place, capsys):
    images, y = G.integers(0, 256, (20, 3, 3)).astype(np.uint8), np.arange(20) % 2
    data = jaxmlp.Dataset.from_arrays(images, y)
    net = jaxmlp.network_for(data, hidden=())
    jaxmlp.Model.of(net, jaxmlp.init(jax.random.key(0), net), data).save("m.h5")
    np.savez("t.npz", X=images / 255, y=y)
    assert run(["train", "t.npz", "--warm-start", "m.h5", "--epochs", "1"]) == 2
    assert "as in training, got intensities 0..1: give the images as in training" in capsys.readouterr().err
