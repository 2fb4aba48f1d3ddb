"""From a person's own table to a file of predictions, on the command line."""

# preprocessing is that of numbers here, not an encoder of columns
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false

import csv
import json
import random
from pathlib import Path

import numpy as np
import pytest

import jaxmlp
from jaxmlp.cli.main import run

pytestmark = pytest.mark.usefixtures("as_users_have_it")

pandas = pytest.importorskip("pandas")


def answer(capsys, *arguments):
    """The JSON that a command prints, and what it says on stderr."""
    assert run([*arguments, "--json"]) == 0
    out, err = capsys.readouterr()
    return json.loads(out), err


def mistake(capsys, *arguments):
    assert run(arguments) == 2
    return capsys.readouterr().err.strip()


PARTS = ("train", "validation", "test", "all")


def people(m=60, seed=0):
    """m rows: an identifier, a number with gaps, a word, yes or no, a date, a constant, free text, and a class."""
    g = random.Random(seed)
    rows = []
    for i in range(m):
        age, city = g.randint(20, 60), g.choice(["Rome", "Oslo", "Lima"])
        smoker, sick = g.choice(["yes", "no"]), "ill" if age + 10 * (city == "Oslo") > 45 else "well"
        seen = f"2024-{g.randint(1, 12):02d}-{g.randint(1, 28):02d}"
        rows.append([f"P{i}", "" if i % 9 == 0 else age, city, smoker, seen, "v1", f"note number {i}", sick])
    return [["patient_id", "age", "city", "smoker", "seen", "form", "note", "state"], *rows]


def write(path, rows, order=None):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows(rows if order is None else [[row[i] for i in order] for row in rows])
    return str(path)


@pytest.mark.slow
def test_a_table_from_the_training_to_the_predictions(place, capsys):
    table = people()
    trained, told = answer(capsys, "train", write("people.csv", table), "--epochs", "40", "--out", "r")
    assert trained["test_accuracy"] > 0.7
    for words in ("age", "number", "7 missing", "yes/no", "date", "constant", "identifier", "note", "text"):
        assert words in told
    assert all(
        f"left out: {words}" in told for words in ("patient_id (identifier: ", "form (constant: ", "note (text: ")
    )
    assert "--keep patient_id brings back a column that is left out" in told
    new = people(12, seed=1)
    rows = [row[:-1] for row in new]
    write("new.csv", rows, [6, 3, 2, 0, 4, 1, 5])
    assert run(["predict", "r", "new.csv", "-o", "out.csv"]) == 0
    with open("out.csv", newline="") as file:
        written = list(csv.reader(file))
    assert written[0] == ["patient_id", "prediction", "probability ill", "probability well"]
    assert [row[0] for row in written[1:]] == [row[0] for row in rows[1:]]
    model = jaxmlp.load_model("r")
    frame = pandas.read_csv("new.csv")
    assert [row[1] for row in written[1:]] == model.predict(frame).tolist()
    np.testing.assert_allclose(
        [[float(p) for p in row[2:]] for row in written[1:]], model.predict_proba(frame), atol=1e-5
    )
    assert model.predict(frame.iloc[::-1]).tolist() == model.predict(frame).tolist()[::-1]
    assert model.predict(frame.drop(columns="patient_id").to_dict("list")).tolist() == model.predict(frame).tolist()


def test_a_copy_with_its_columns_in_another_order_is_the_data_of_the_training(place, capsys):
    table = people()
    answer(capsys, "train", write("people.csv", table), "--epochs", "2", "--out", "r")
    write("copy.csv", table, [7, 2, 4, 1, 0, 6, 5, 3])
    plain, _ = answer(capsys, "evaluate", "r", "people.csv")
    copy, _ = answer(capsys, "evaluate", "r", "copy.csv")
    for options in (["--target", "state"], ["--target", "-1"], ["--target", "7"]):
        assert answer(capsys, "evaluate", "r", "people.csv", *options)[0] == plain
    assert plain["part"] == "test"
    assert plain["rows"] == 12
    assert {**copy, "data": "people"} == plain
    write("new.csv", people(seed=2))
    assert answer(capsys, "evaluate", "r", "new.csv")[0]["rows"] == 60


@pytest.mark.slow
def test_a_model_of_text_needs_no_pandas(place, capsys, monkeypatch):
    answer(capsys, "train", write("people.csv", people()), "--epochs", "2", "--out", "r")
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    model = jaxmlp.load_model("r")
    rows = {"age": [30, None], "city": ["Rome", "Bern"], "smoker": ["yes", ""], "seen": ["2024-01-31", ""]}
    with pytest.warns(UserWarning, match="did not occur in the training: 1 in column 'city'"):
        assert model.predict_proba(rows).shape == (2, 2)
    assert model.preprocessing.to_json() == jaxmlp.load_model("r").preprocessing.to_json()  # pyright: ignore


def test_what_new_rows_have_that_the_training_had_not_is_said(place, capsys):
    answer(capsys, "train", write("people.csv", people()), "--epochs", "2", "--out", "r")
    header, *rows = people(4)
    rows[1][2], rows[2][3] = "Bern", ""
    _, told = answer(capsys, "predict", "r", write("new.csv", [header, *rows]))
    assert "note: 'city': 1 with a value that did not occur in the training" in told
    assert "note: 'smoker': 1 missing, and none in the training" in told
    rows[0][1], rows[1][4] = "old", "soon"
    line = mistake(capsys, "predict", "r", write("new.csv", [header, *rows]))
    assert "'old' in column 'age', line 2, a number; 'soon' in column 'seen', line 3, a date" in line
    line = mistake(capsys, "predict", "r", write("new.csv", [["years", *header[3:]], ["1", *rows[0][3:]]]))
    assert line.endswith("add age, city")


@pytest.mark.slow
def test_a_gap_in_a_table_of_numbers_is_the_mean(place, capsys):
    write("t.csv", [["a", "b", "y"], *([i, i * 7 % 13, i % 2] for i in range(40))])
    answer(capsys, "train", "t.csv", "--epochs", "2", "--out", "r")
    write("new.csv", [["a", "b"], [1, 1], ["", ""], [3, 3]])
    found, told = answer(capsys, "predict", "r", "new.csv")
    assert len(found["predictions"]) == 3
    assert "'a': 1 missing, replaced by the mean of the training rows" in told
    model = jaxmlp.load_model("r")
    means = model.preprocessing.shift  # pyright: ignore
    assert found["predictions"] == model.predict(np.array([[1, 1], means, [3, 3]])).tolist()


@pytest.mark.slow
def test_options_choose_columns(place, capsys):
    write("people.csv", people())
    for options, names in (
        (["--drop", "seen,smoker"], ("age", "city")),
        (["--features", "age", "--features", "city"], ("age", "city")),
        (["--features", "age,note"], ("age", "note")),
        (["--keep", "patient_id", "--drop", "seen", "--drop", "city,smoker"], ("patient_id", "age")),
        (["--role", "age=category", "--features", "city"], ("city",)),
    ):
        found, _ = answer(capsys, "train", "people.csv", "--epochs", "1", *options)
        assert jaxmlp.load_model(found["run"]).feature_names == names
    assert "write zip=category, for example" in mistake(capsys, "train", "people.csv", "--role", "age=words")
    line = mistake(capsys, "train", "people.csv", "--drop", "agee", "--keep", "nothing")
    assert "got 'agee', 'nothing': check the names of the columns" in line


def test_a_name_with_a_comma_is_one_column_in_quotation_marks(place, capsys):
    header = ["size", "weight, kg", "id,x", "y"]
    file = write("t.csv", [header, *([i % 7, i % 5, i % 3, "ab"[i % 2]] for i in range(20))])
    train = ("train", file, "--hidden", "none", "--epochs", "1")
    for options in (
        ["--drop", '"weight, kg"', "--drop", '"id,x"'],
        ["--drop", '"weight, kg","id,x"'],
        ["--features=size"],
    ):
        trained, _ = answer(capsys, *train, *options)
        assert jaxmlp.load_model(trained["run"]).feature_names == ("size",)
    assert mistake(capsys, *train, "--drop", "weight, kg") == (
        "error: t.csv expects names of its columns size, weight, kg, id,x, y, got 'weight', 'kg': "
        "write '\"weight, kg\"' for the column with a comma in its name, with both quotation marks"
    )


def test_labels_of_words_are_trained_measured_and_predicted_by_their_names(place, capsys):
    file = write(
        "t.csv", [["a", "rain", "snow"], *([i, "yn"[i % 2], ["TRUE", "FALSE"][i // 2 % 2]] for i in range(40))]
    )
    labels = ("--target", "rain", "--target", "snow")
    trained, _ = answer(capsys, "train", file, *labels, "--hidden", "none", "--epochs", "2", "--out", "r")
    assert answer(capsys, "evaluate", "r", file)[0]["accuracy"] == trained["test_accuracy"]
    # the words of another file are other ones
    other = write("new.csv", [["a", "rain", "snow"], [1, "no", 1], [30, "yes", 0]])
    assert answer(capsys, "evaluate", "r", other)[0]["rows"] == 2
    assert "got 'maybe' in column 'rain'" in mistake(
        capsys, "evaluate", "r", write("odd.csv", [["a", "rain", "snow"], [1, "no", 1], [30, "maybe", 0]])
    )
    assert run(["predict", "r", other, "-o", "p.csv"]) == 0
    names = Path("p.csv").read_text().partition("\n")[0].split(",")
    assert names[:2] == ["prediction rain", "prediction snow"]


@pytest.mark.slow
def test_every_way_to_scale_numbers_changes_the_model(place, capsys):
    write("people.csv", people())
    found = {}
    for numbers in ("standard", "robust", "quantile", "piecewise", "none"):
        run_name = answer(capsys, "train", "people.csv", "--epochs", "1", "--numbers", numbers)[0]["run"]
        model = jaxmlp.load_model(run_name)
        row = {"age": [30], "city": ["Rome"], "smoker": ["yes"], "seen": ["2024-01-31"]}
        found[numbers] = model.preprocessing.encode(row, np.float64)[0, 0]  # pyright: ignore
    assert len(set(found.values())) == len(found)
    assert found["none"] == 30


@pytest.mark.slow
def test_weights_count_in_training_and_evaluation(place, capsys):
    rows = [[i % 10, 1 if i % 2 else 0.001, "ab"[i % 2]] for i in range(60)]
    write("t.csv", [["x", "w", "y"], *rows])
    found, _ = answer(capsys, "train", "t.csv", "--weights", "w", "--epochs", "30", "--features", "x")
    model = jaxmlp.load_model(found["run"])
    assert model.predict({"x": [0, 1, 2, 3]}).tolist() == ["b"] * 4 or found["test_accuracy"] > 0.9
    assert model.feature_names == ("x",)
    # each part alone and all of them count by their weights
    parts = [answer(capsys, "evaluate", found["run"], "t.csv", "--part", part)[0] for part in ("train", "test", "all")]
    data = jaxmlp.load("t.csv", weights="w", features="x")
    sums = [np.sum(data.part_weights(part)) for part in ("train", "test")]  # pyright: ignore
    assert parts[2]["rows"] == 60
    expected = np.average([part["cost"] for part in parts[:2]], weights=sums)
    np.testing.assert_allclose(parts[2]["cost"], expected, rtol=1e-5)


@pytest.mark.slow
def test_an_ensemble_and_a_sweep_of_a_table_of_text(place, capsys):
    write("people.csv", people())
    answer(capsys, "train", "people.csv", "--ensemble", "2", "--epochs", "2", "--out", "e")
    write("new.csv", [row[:-1] for row in people(5)])
    assert len(answer(capsys, "predict", "e", "new.csv")[0]["predictions"]) == 5
    found, _ = answer(capsys, "sweep", "people.csv", "--epochs", "2", "--seeds", "2", "--folds", "2")
    assert found


@pytest.mark.slow
def test_the_labels_of_the_test_part_of_adult(place, capsys):
    header, *rows = people()
    write("train.csv", [header, *rows])
    write("test.csv", [header, *([*row[:-1], f"{row[-1].upper()}."] for row in people(20, seed=3)[1:])])
    answer(capsys, "train", "train.csv", "--epochs", "2", "--out", "r")
    assert answer(capsys, "evaluate", "r", "test.csv")[0]["rows"] == 20


@pytest.mark.slow
def test_a_finished_run_goes_on_with_more_epochs(place, capsys):
    write("people.csv", people())
    answer(capsys, "train", "people.csv", "--epochs", "2", "--out", "r")
    whole, _ = answer(capsys, "train", "people.csv", "--epochs", "4", "--out", "whole")
    more, _ = answer(capsys, "train", "--resume", "r", "--epochs", "4")
    assert (more["epochs"], more["cost"], more["test_cost"]) == (4, whole["cost"], whole["test_cost"])
    line = mistake(capsys, "train", "--resume", "r", "--epochs", "4")
    assert line == "error: --epochs expects more than the 4 epochs of 'r', got 4: raise the number, or leave it out"


@pytest.mark.slow
def test_a_small_table_gets_enough_steps_unless_told(place, capsys):
    write("t.csv", [["a", "b", "y"], *([i % 7, i % 5, "uv"[i % 7 > 3]] for i in range(100))])
    found, _ = answer(capsys, "train", "t.csv", "--out", "r")
    assert (found["epochs"], found["epochs_chosen"]) == (667, True)  # 80 rows: 3 steps an epoch, 2,000 in all
    assert found["test_accuracy"] == 1
    found, told = answer(capsys, "train", "t.csv", "--epochs", "12")
    assert (found["epochs"], found["epochs_chosen"], found["still_falling"]) == (12, False, True)
    assert "the cost was still falling after 12 epochs; to go on: jaxmlp train --resume runs/t --epochs 24" in told
    assert answer(capsys, "train", "planar", "--hidden", "2")[0]["epochs"] == 50


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "target", "metric", "least"),
    [
        ("penguins", "species", "test_accuracy", 0.95),
        ("titanic", "survived", "test_accuracy", 0.75),
        ("mpg", "mpg", "test_r2", 0.7),
        ("tips", "tip", "test_r2", 0.3),
        ("diamonds", "price", "test_r2", 0.96),
        ("taxis", "total", "test_r2", 0.95),
        ("california_housing", "median_house_value", "test_r2", 0.7),
        ("adult-train", None, "test_accuracy", 0.84),
    ],
)
def test_real_tables_straight_from_the_file(data_folder, place, capsys, name, target, metric, least):
    path = data_folder / "tabular" / f"{name}.csv"
    epochs = "3" if path.stat().st_size > 10**6 else "60"
    options = [] if target is None else ["--target", target]
    found, _ = answer(capsys, "train", str(path), *options, "--epochs", epochs, "--out", "r")
    assert found[metric] > least
    with open(path, newline="") as file:
        rows = [row for row in csv.reader(file, skipinitialspace=True) if row]
    if target is None:
        rows = [[str(i) for i in range(len(rows[0]))], *rows]
    order = random.Random(0).sample(range(len(rows[0])), len(rows[0]))
    write("copy.csv", rows, order)
    plain, _ = answer(capsys, "evaluate", "r", str(path))
    assert {**answer(capsys, "evaluate", "r", "copy.csv")[0], "data": name} == plain
    assert run(["predict", "r", str(path), "-o", "a.csv"]) == run(["predict", "r", "copy.csv", "-o", "b.csv"]) == 0
    assert Path("a.csv").read_text() == Path("b.csv").read_text()
    assert len(Path("a.csv").read_text().splitlines()) == len(rows)


@pytest.mark.slow
def test_several_targets_are_measured_by_name_in_any_order(place, capsys):
    rows = [["a", "z", "b", "y"], *([i, i * 2.5 + 1000, 100 - i, i * 1.5] for i in range(60))]
    file = write("d.csv", rows)
    answer(capsys, "train", file, "--target", "y", "--target", "z", "--epochs", "30", "--out", "r")
    in_order = answer(capsys, "evaluate", "r", file, "--target", "y", "--target", "z", "--metric", "r2")[0]
    assert in_order["part"] == "test"
    assert answer(capsys, "evaluate", "r", file, "--target", "z", "--target", "y", "--metric", "r2")[0] == in_order
    other = write("e.csv", rows[:20], [3, 0, 1, 2])
    asked = [answer(capsys, "evaluate", "r", other, "--target", a, "--target", b)[0] for a, b in ("yz", "zy")]
    assert asked[0] == asked[1]
    assert asked[0]["rows"] == 19


@pytest.mark.slow
def test_rows_of_the_training_among_those_that_are_measured_are_a_note(place, capsys):
    header, *rows = people()
    answer(capsys, "train", write("a.csv", [header, *rows]), "--epochs", "1", "--out", "r")
    shuffled = rows[::-1]
    assert (
        "48 of the 60 rows are also rows of the training"
        in answer(
            capsys, "evaluate", "r", write("b.csv", [header, *shuffled], [7, 1, 2, 3, 4, 5, 6, 0]), "--target", "state"
        )[1]
    )
    new = people(12, seed=1)
    assert "rows of the training" not in answer(capsys, "evaluate", "r", write("c.csv", new))[1]
    mixed = write("d.csv", [*new, *rows[:20]])
    assert "of the 32 rows are also rows of the training" in answer(capsys, "evaluate", "r", mixed)[1]
    # a copy is known, and is split as in the training
    assert "rows of the training" not in answer(capsys, "evaluate", "r", write("e.csv", [header, *rows]))[1]
    Path("a.csv").unlink()
    assert "rows of the training" not in answer(capsys, "evaluate", "r", mixed)[1]


@pytest.mark.slow
def test_the_training_part_is_without_the_validation_rows(place, capsys):
    file = write("a.csv", [["a", "y"], *([i, i % 2] for i in range(100))])
    options = ["--epochs", "1", "--hidden", "2", "--out", "r"]
    answer(capsys, "train", file, "--patience", "2", "--validation-fraction", "0.25", *options)
    rows = {part: answer(capsys, "evaluate", "r", file, "--part", part)[0]["rows"] for part in PARTS}
    assert rows == {"train": 60, "validation": 20, "test": 20, "all": 100}
