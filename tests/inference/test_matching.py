"""A part of any data set is measured by the names of its columns and the labels of its classes, not by their order."""

import pickle
import warnings
from typing import Any

import jax
import numpy as np
import pandas
import pytest

import jaxmlp
from jaxmlp.data import Columns, Dataset
from jaxmlp.data.dataset import Part
from jaxmlp.errors import InputError
from jaxmlp.inference.model import Model
from jaxmlp.population.ensemble import Ensemble

RNG = np.random.default_rng(0)
PETS = np.array(["cat", "dog", "emu"])[np.arange(30) % 3]
X = RNG.normal(size=(30, 2))
FRAME = pandas.DataFrame(
    {"size": X[:, 0], "colour": np.array(["red", "blue"])[np.arange(30) % 2], "age": X[:, 1], "price": X.sum(axis=1)}
)


def model_for(data, seed=1):
    net = jaxmlp.network_for(data, (4,), "tanh")
    return Model.of(net, jaxmlp.init(jax.random.key(seed), net), data)


def part_of(frame, **more):
    return jaxmlp.load(frame, target=more.pop("target", "price"), test_fraction=0, **more).train


def refused(call, *arguments, **more):
    with pytest.raises(InputError) as caught:
        call(*arguments, **more)
    return str(caught.value)


@pytest.mark.parametrize("present", [["dog", "emu"], ["emu", "cat"], ["dog", "cat", "emu"]])
def test_classes_are_found_by_their_labels(present):
    model = model_for(Dataset.from_arrays(X, PETS))
    is_present = np.isin(PETS, present)
    part = Dataset.from_arrays(X[is_present], PETS[is_present]).train
    right = np.mean(model.predict(X[is_present]) == PETS[is_present])
    assert model.evaluate(part)["accuracy"] == right
    assert model.evaluate(part)["cost"] == pytest.approx(
        -np.log(model.predict_proba(X)[np.arange(30), np.arange(30) % 3])[is_present].mean(), rel=1e-5
    )
    ensemble = Ensemble((model, model))
    assert ensemble.evaluate(part)["accuracy"] == right


def test_labels_that_were_read_in_another_type():
    numbers = np.arange(30) % 3 + 5
    model = model_for(Dataset.from_arrays(X, numbers.astype(str)))
    part = Dataset.from_arrays(X[numbers > 5], numbers[numbers > 5]).train
    assert model.evaluate(part)["accuracy"] == np.mean(
        model.predict(X).astype(int)[numbers > 5] == numbers[numbers > 5]
    )
    # named ids stay ids
    named = model_for(Dataset.from_arrays(X, numbers - 5, classes=["a", "b", "c"]))
    ids = (numbers - 5)[numbers > 5]
    part = Dataset.from_arrays(X[numbers > 5], ids).train
    assert named.evaluate(part)["accuracy"] == np.mean(named.predict(X[numbers > 5]) == np.array(list("abc"))[ids])
    # many numbers look like a regression
    many = np.arange(60) % 30
    rows = RNG.normal(size=(60, 2))
    model = model_for(Dataset.from_arrays(rows, many, task="multiclass"))
    part = Dataset.from_arrays(rows, many, task="regression").train
    assert model.evaluate(part)["accuracy"] == np.mean(model.predict(rows) == many)


def test_few_numbers_that_look_like_classes_are_numbers_for_a_regression():
    model = model_for(Dataset.from_arrays(X, X.sum(axis=1)))
    y = np.arange(30) % 2 * 7
    figures = model.evaluate(Dataset.from_arrays(X, y).train)
    assert figures["mae"] == pytest.approx(np.abs(model.predict(X) - y).mean(), rel=1e-5)


@pytest.mark.parametrize("names", [["size", "age", "price"], ["size", "colour", "age", "price"]])
def test_columns_are_found_by_their_names(names):
    frame = FRAME[names]
    model = model_for(jaxmlp.load(frame, target="price"))
    right = model.evaluate(part_of(frame, known_columns=model.known_columns))
    assert model.evaluate(part_of(frame)) == right
    assert model.evaluate(part_of(frame[names[::-1]])) == right
    assert model.evaluate(part_of(frame.assign(more=RNG.normal(size=30)))) == right


def test_the_words_of_a_category_are_found_not_their_codes():
    frame = FRAME.assign(colour=np.array(["red", "blue", "grey"])[np.arange(30) % 3], zip=np.arange(30) % 4 + 10)
    model = model_for(jaxmlp.load(frame, target="price", roles={"zip": "category"}))
    # without the first word all codes are smaller by one; the numbers of zip are read as words
    few = frame[frame.colour != "blue"]
    right = model.evaluate(part_of(few, known_columns=model.known_columns))
    assert model.evaluate(part_of(few)) == right


def test_columns_that_are_absent_or_of_another_kind():
    model = model_for(jaxmlp.load(FRAME, target="price"))
    remedy = "load the data with known_columns=model.known_columns and known_classes=model.classes"
    assert refused(model.evaluate, part_of(FRAME.drop(columns="colour"))) == (
        f"evaluate expects the columns size, colour, age, got size, age: add colour, or {remedy}"
    )
    assert refused(model.evaluate, part_of(FRAME.assign(age=FRAME["colour"]))) == (
        f"evaluate expects column 'age' as number, got category: {remedy}"
    )
    dates = pandas.date_range("2020-01-01", periods=30)
    assert "column 'colour' as category, got date" in refused(model.evaluate, part_of(FRAME.assign(colour=dates)))


def test_a_gap_in_a_column_of_plain_numbers_gets_the_mean_of_the_training():
    frame = FRAME.drop(columns="colour")
    model = model_for(jaxmlp.load(frame, target="price", test_fraction=0))
    with_gap = frame.assign(age=frame["age"].where(np.arange(30) > 3))
    filled = frame.assign(age=with_gap["age"].fillna(frame["age"].mean()))
    assert model.evaluate(part_of(with_gap))["mae"] == pytest.approx(model.evaluate(part_of(filled))["mae"], rel=1e-6)


def test_labels_and_tasks_that_the_model_does_not_know():
    model = model_for(Dataset.from_arrays(X, PETS))
    cow = Dataset.from_arrays(X, np.where(PETS == "cat", "cow", PETS)).train
    assert "evaluate expects the known classes (cat, dog, emu), got 'cow' in row 0" in refused(model.evaluate, cow)
    flags = Dataset.from_arrays(X, RNG.integers(0, 2, (30, 2)), task="multilabel").train
    assert "expects multiclass data, got multilabel data" in refused(model.evaluate, flags)
    assert "expects regression data, got multiclass data" in refused(
        model_for(Dataset.from_arrays(X, X[:, 0])).evaluate, Dataset.from_arrays(X, PETS).train
    )


def test_several_targets_are_found_by_their_names():
    frame = FRAME.assign(weight=FRAME["age"] * 3 + 1000).drop(columns="colour")
    data = jaxmlp.load(frame, target=["price", "weight"], test_fraction=0)
    model = model_for(data)
    right = model.evaluate(data.train)
    known: dict[str, Any] = {"known_columns": model.known_columns}
    assert model.evaluate(part_of(frame, target=["weight", "price"], **known)) == right
    assert model.evaluate(part_of(frame, target=["weight", "price"])) == right
    renamed = frame.rename(columns={"weight": "mass"})
    assert "evaluate expects the targets price, weight, got mass, price: add weight" in refused(
        model.evaluate, part_of(renamed, target=["mass", "price"], **known)
    )


def test_flags_are_found_by_their_names():
    flags = pandas.DataFrame(RNG.integers(0, 2, (30, 2)), columns=["wet", "cold"])
    frame = FRAME[["size", "age"]].join(flags)
    data = jaxmlp.load(frame, target=["wet", "cold"], test_fraction=0)
    assert data.task == "multilabel"
    model = model_for(data)
    assert model.evaluate(part_of(frame, target=["cold", "wet"])) == model.evaluate(data.train)


def test_arrays_without_names_are_found_by_position():
    names = Columns(("u", "v"))
    model = model_for(Dataset.from_arrays(X, PETS, columns=names))
    right = model.evaluate(Dataset.from_arrays(X, PETS, columns=names).train)
    assert model.evaluate(Dataset.from_arrays(X, PETS).train) == right
    assert model.evaluate(Part(X, np.arange(30) % 3)) == right


def test_a_part_is_a_pair_that_keeps_its_meaning_in_a_pickle():
    part = Dataset.from_arrays(X, PETS).split_test(0.3).test
    assert part is not None
    rows, targets = part
    assert rows is part.rows
    again = pickle.loads(pickle.dumps(part))
    assert again.meaning == part.meaning
    assert again.meaning.classes == ("cat", "dog", "emu")
    assert Part(rows, targets).meaning is None


def test_words_that_the_training_did_not_have_are_a_warning_at_the_line_of_the_caller():
    codes = np.array(["01234", "00501", "02115"])[np.arange(30) % 3]
    frame = FRAME[["age"]].assign(zip=codes, price=FRAME["price"])
    model = model_for(jaxmlp.load(frame, target="price", roles={"zip": "category"}))
    line = "cells that did not occur in the training: 30 in column 'zip' \\(which had '00501', '01234', '02115'\\)"
    as_numbers = frame.assign(zip=codes.astype(int))
    with pytest.warns(UserWarning, match=line) as caught:
        model.predict(as_numbers)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match=line):
        model.predict({"age": X[:, 1], "zip": codes.astype(int)})
    with pytest.warns(UserWarning, match=line):
        model.evaluate(part_of(as_numbers, roles={"zip": "category"}))
    model.predict(frame)  # no warning: warnings are errors here


def test_an_estimator_warns_of_words_that_the_fit_did_not_have():
    classifier = jaxmlp.MLPClassifier((4,), max_iter=2, random_state=0)
    frame = FRAME[["colour", "age"]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of too few iterations
        classifier.fit(frame, PETS)
    classifier.predict(frame)
    with pytest.warns(UserWarning, match="did not occur in the training: 15 in column 'colour'"):
        classifier.predict(frame.assign(colour=np.array(["RED", "blue"])[np.arange(30) % 2]))
