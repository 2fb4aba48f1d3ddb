"""The commands as a person runs them: what they print, what they leave behind, and what they say to a mistake."""

# preprocessing is that of numbers here, not an encoder of columns
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import h5py
import jax
import numpy as np
import pytest
from marks import slow_except

import jaxmlp
from jaxmlp.cli.info import shapes_table
from jaxmlp.cli.main import COMMANDS, run
from jaxmlp.cli.output import console, print_json
from jaxmlp.training.fingerprint import digest_of

pytestmark = pytest.mark.usefixtures("as_users_have_it")

QUICK = ["--hidden", "4", "--epochs", "2"]


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A run folder of a small network on the digits."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    assert run(["train", "digits", "--hidden", "16", "--epochs", "3", "--out", str(folder), "--json"]) == 0
    return folder


def answer(capsys, *arguments):
    """Run a command with --json and return its object; stdout must hold nothing else."""
    capsys.readouterr()
    code = run([*arguments, "--json"])
    out, err = capsys.readouterr()
    assert code == 0, err
    return json.loads(out)


def mistake(capsys, *arguments):
    """Run a command that must fail with exit code 2 and one line on stderr; return the line."""
    capsys.readouterr()
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err.removeprefix("error: ").strip()


def test_train_leaves_a_whole_run_folder(place, capsys):
    assert run(["train", "digits", *QUICK]) == 0
    out, err = capsys.readouterr()
    assert "test accuracy" in out
    assert "runs/digits" in out
    assert "rows: 1438 training, 359 test" in err
    assert [path.name for path in place.iterdir()] == ["runs"]
    assert [path.name for path in (place / "runs").iterdir()] == ["digits"]
    names = {path.name for path in (place / "runs" / "digits").iterdir()}
    files = {"model.h5", "history.csv", "run.json", "curves.png", "confusion.png", "mistakes.png"}
    assert names == files | {"checkpoints"}
    for picture in (place / "runs" / "digits").glob("*.png"):
        assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_train_answers_in_json(place, capsys):
    found = answer(capsys, "train", "planar", *QUICK, "--seed", "3", "--l2", "0.1")
    wanted = {"test_accuracy", "train_accuracy", "cost", "epochs", "seconds", "seed", "run"}
    assert wanted <= found.keys()
    assert (found["epochs"], found["seed"], found["run"]) == (2, 3, "runs/planar")
    model = jaxmlp.load_model(found["run"])
    data = jaxmlp.load("planar")
    assert data.test is not None
    assert model.evaluate(data.test)["accuracy"] == pytest.approx(found["test_accuracy"], abs=1e-12)
    assert model.evaluate(data.train)["accuracy"] == pytest.approx(found["train_accuracy"], abs=1e-12)
    assert (place / "runs" / "planar" / "boundary.png").exists()
    with open(place / "runs" / "planar" / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[-1]["cost"]) == found["cost"]


@pytest.mark.slow
def test_a_summary_names_device_version_and_precision(place, capsys):
    for precision in ("float32", "bfloat16"):
        environment = {"device": "cpu", "jax": jax.__version__, "precision": precision}
        for command in (["train", "xor"], ["train", "xor", "--ensemble", "2"]):
            summary = answer(capsys, *command, *QUICK, "--precision", precision)
            saved = json.loads((place / summary["run"] / "run.json").read_text())["result"]
            for result in (summary, saved):
                assert {name: result[name] for name in environment} == environment
    assert run(["train", "xor", *QUICK]) == 0
    assert f"cpu, JAX {jax.__version__}, float32" in capsys.readouterr().out


@pytest.mark.slow
def test_runs_never_write_over_one_another(place, capsys):
    runs = [answer(capsys, "train", "xor", *QUICK)["run"] for _ in range(3)]
    assert runs == ["runs/xor", "runs/xor-2", "runs/xor-3"]
    assert mistake(capsys, "train", "xor", *QUICK, "--out", "runs/xor") == (
        "--out runs/xor expects a new folder, got a folder that is not empty: name another, or remove this one first"
    )
    Path("note.txt").write_text("mine")
    assert "got a file" in mistake(capsys, "train", "xor", *QUICK, "--out", "note.txt")
    assert "a place it may write to" in mistake(capsys, "train", "xor", *QUICK, "--out", "note.txt/run")
    assert Path("note.txt").read_text() == "mine"


OPTIONS = {
    "--hidden": "5",
    "--activation": "tanh",
    "--cost": "quadratic",
    "--init": "normal(0.5)",
    "--epochs": "3",
    "--batch-size": "full",
    "--learning-rate": "0.1",
    "--optimizer": "sgd",
    "--l2": "9",
    "--norm": "layer",
    "--schedule": "cosine",
    "--warmup": "1",
    "--optimizer adamw --weight-decay": "9",
    "--clip-norm": "0.01",
    "--l1": "9",
    "--max-norm": "0.1",
    "--dropout": "0.5",
    "--input-dropout": "0.5",
    "--input-noise": "1",
    "--label-smoothing": "0.5",
    "--mixup": "1",
    "--ema": "0.5",
    "--class-weight": "1=5",
    "--freeze": "1",
    "--precision": "bfloat16",
    "--metric": "auc",
    "--patience": "1",
    "--validation-fraction": "0.3",
    "--warm-start": "PLAIN",
    "--seed": "1",
    "--test-fraction": "0.5",
    "--split-seed": "1",
    "--task": "regression",
    "--target": "a",
    "--standardize": None,
}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A small table with a header, three features and a target of two whole values."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("table") / "flowers.csv"
    rows = rng.normal(3, 2, size=(60, 3)).round(3)
    rows[:, 0] = rng.integers(0, 2, 60)
    lines = [f"{int(a)},{b},{c},{int(b > c)}" for a, b, c in rows]
    path.write_text("\n".join(["a,b,c,kind", *lines]) + "\n")
    return path


@pytest.fixture(scope="module")
def plain(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain") / "run"
    assert run(["train", str(table), *QUICK, "--out", str(folder), "--no-standardize"]) == 0
    return folder


def figures(folder):
    """The parameters and the last report of a run: what any option must change."""
    model = jaxmlp.load_model(folder)
    last = (Path(folder) / "history.csv").read_text().splitlines()[-1].rsplit(",", 1)[0]  # without its seconds
    return model.net, [leaf.tolist() for leaf in jax.tree.leaves(model.params)], last


@pytest.mark.quick("--seed")
@pytest.mark.parametrize("option", slow_except(OPTIONS, "--hidden", "--norm", "--seed", "--optimizer"))
def test_every_option_of_train_changes_the_run(option, table, plain, place, capsys):
    standard = [] if option == "--standardize" else ["--no-standardize"]
    value = {None: [], "PLAIN": [str(plain)]}.get(OPTIONS[option], [OPTIONS[option]])
    quick = QUICK[2:] if option == "--warm-start" else QUICK  # the network is then the model's, and so is the scaling
    standard = [] if option == "--warm-start" else standard
    if option in quick:
        place_of_it = quick.index(option)
        quick = [*quick[:place_of_it], *quick[place_of_it + 2 :]]
    found = answer(capsys, "train", str(table), *quick, *standard, *option.split(), *value)
    assert figures(found["run"]) != figures(plain)


def test_the_same_command_gives_the_same_run(table, plain, place, capsys):
    found = answer(capsys, "train", str(table), *QUICK, "--no-standardize")
    assert figures(found["run"]) == figures(plain)


def test_a_table_from_training_to_prediction(table, place, capsys):
    found = answer(capsys, "train", str(table), "--epochs", "60", "--learning-rate", "0.02")
    assert found["test_accuracy"] > 0.7
    again = answer(capsys, "evaluate", found["run"], str(table))
    assert (again["part"], again["rows"]) == ("test", 12)
    assert again["accuracy"] == pytest.approx(found["test_accuracy"])
    for part, rows in (("all", 60), ("train", 48)):
        assert answer(capsys, "evaluate", found["run"], str(table), "--part", part)["rows"] == rows
    other = place / "other.csv"
    other.write_text("".join(table.read_text().splitlines(keepends=True)[:31]))
    assert answer(capsys, "evaluate", found["run"], str(other))["rows"] == 30  # other data count as a whole
    predicted = answer(capsys, "predict", found["run"], str(table))
    assert len(predicted["predictions"]) == 60
    assert predicted["classes"] == [0, 1]
    np.testing.assert_allclose(np.sum(predicted["probabilities"], axis=1), 1, rtol=1e-6)
    run(["predict", found["run"], str(table)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "prediction,probability 0,probability 1"
    assert [int(line.split(",")[0]) for line in lines[1:]] == predicted["predictions"]
    assert run(["predict", found["run"], str(table), "--out", "answers.csv"]) == 0
    assert capsys.readouterr().out == ""
    assert Path("answers.csv").read_text().splitlines() == lines


def test_a_threshold_moves_the_answers(table, plain, capsys):
    counts = [
        sum(answer(capsys, "predict", str(plain), str(table), "--threshold", t)["predictions"])
        for t in ("0", "0.5", "1")
    ]
    assert counts[0] == 60
    assert counts[2] == 0


@pytest.mark.slow
def test_values_are_predicted_in_their_units(place, capsys):
    x = np.linspace(0, 1, 50)
    Path("line.csv").write_text("x,price\n" + "".join(f"{v},{1000 + 500 * v}\n" for v in x))
    found = answer(capsys, "train", "line.csv", "--hidden", "none", "--epochs", "200", "--learning-rate", "0.05")
    assert found["task"] == "regression"
    assert found["test_accuracy"] is None
    assert found["test_r2"] > 0.99
    assert (place / found["run"] / "predictions.png").exists()
    predicted = answer(capsys, "predict", found["run"], "line.csv")
    np.testing.assert_allclose(predicted["predictions"], 1000 + 500 * x, rtol=0.02)
    assert predicted["probabilities"] is None
    run(["predict", found["run"], "line.csv"])
    assert capsys.readouterr().out.splitlines()[0] == "prediction"
    assert answer(capsys, "evaluate", found["run"], "line.csv")["r2"] == pytest.approx(found["test_r2"], abs=1e-9)


@pytest.mark.slow
def test_evaluate_finds_the_figures_of_training(digits, capsys):
    found = json.loads((digits / "run.json").read_text())["result"]
    again = answer(capsys, "evaluate", str(digits), "digits")
    assert again["accuracy"] == pytest.approx(found["test_accuracy"])
    assert again["cost"] == pytest.approx(found["test_cost"])
    assert answer(capsys, "evaluate", str(digits / "model.h5"), "digits", "--part", "train")["rows"] == 1438
    run(["evaluate", str(digits), "digits"])
    assert f"{found['test_accuracy']:.2%}" in capsys.readouterr().out


@pytest.mark.slow
def test_evaluate_shows_the_metrics_of_the_task_or_those_that_are_named(digits, capsys):
    found = answer(capsys, "evaluate", str(digits), "digits")
    assert {"accuracy", "balanced_accuracy", "f1", "auc", "log_loss", "calibration_error", "cost"} < found.keys()
    assert found["log_loss"] == pytest.approx(found["cost"], rel=1e-4)  # two ways to the same cross-entropy
    run(["evaluate", str(digits), "digits"])
    table = capsys.readouterr().out
    assert f"{found['balanced_accuracy']:.2%}" in table
    assert f"{found['auc']:.4g}" in table
    named = answer(capsys, "evaluate", str(digits), "digits", "--metric", "f1", "--metric", "auc")
    assert [*named] == ["model", "data", "part", "rows", "cost", "f1", "auc"]
    assert (named["f1"], named["auc"]) == (found["f1"], found["auc"])
    assert mistake(capsys, "evaluate", str(digits), "digits", "--metric", "acu").endswith("'acu': did you mean 'auc'?")


def test_a_metric_that_is_undefined_is_null_and_not_shown(plain, table, place, capsys):
    lines = table.read_text().splitlines()
    Path("ones.csv").write_text("\n".join([lines[0], *(line for line in lines[1:] if line.endswith(",1"))]) + "\n")
    assert answer(capsys, "evaluate", str(plain), "ones.csv")["auc"] is None
    run(["evaluate", str(plain), "ones.csv"])
    assert "auc" not in capsys.readouterr().out
    assert "metric 'auc' expects rows of every class" in mistake(
        capsys, "evaluate", str(plain), "ones.csv", "--metric", "auc"
    )


@pytest.mark.slow
def test_one_picture_is_resized_and_answered(digits, place, capsys):
    image = pytest.importorskip("PIL.Image")
    data = jaxmlp.load("digits")
    rows = data.train.rows[:5]
    answers = []
    for i, row in enumerate(rows):
        image.fromarray(row.reshape(8, 8)).save(f"{i}.png")
        answers += answer(capsys, "predict", str(digits), f"{i}.png")["predictions"]
    model = jaxmlp.load_model(digits)
    assert answers == model.predict(rows).tolist()
    np.testing.assert_array_equal(jaxmlp.data.load_rows("0.png", model.n_features, model.columns), rows[:1])


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_a_file_before_the_model(digits, place, capsys, command):
    (place / "photo.png").touch()
    assert mistake(capsys, command, "photo.png", str(digits)) == (
        f"MODEL expects a run folder or a model.h5, got photo.png: write the model first: {digits} photo.png"
    )


def test_info_shows_the_table_of_shapes(digits, capsys):
    assert run(["info", str(digits)]) == 0
    out = capsys.readouterr().out
    for text in ("(16, 64)", "(16, 1)", "(16, m)", "1,040", "170", "1,210", "relu", "softmax"):
        assert text in out
    found = answer(capsys, "info", str(digits))
    assert found["parameters"] == 1210
    assert [layer["W"] for layer in found["layers"]] == [[16, 64], [10, 16]]


@pytest.mark.slow
def test_info_says_how_a_run_was_trained(tmp_path, capsys):
    rows = np.random.default_rng(0).standard_normal((30, 200))
    np.savez(tmp_path / "genes.npz", X=rows, y=rows[:, 0] > 0)
    options = ["--batch-size", "full", "--optimizer", "sgd", "--epochs", "200", "--hidden", "2"]
    found = answer(capsys, "train", str(tmp_path / "genes.npz"), *options, "--out", str(tmp_path / "run"))
    about = answer(capsys, "info", str(tmp_path / "run"))
    assert (about["epochs"], about["row_space"]) == (200, found["row_space"]) != (200, None)
    assert run(["info", str(tmp_path / "run")]) == 0
    assert f"row space: trained in the {found['row_space']} dimensions that the rows span" in capsys.readouterr().out
    (tmp_path / "run" / "run.json").unlink()
    assert "epochs" not in answer(capsys, "info", str(tmp_path / "run"))


def test_the_shapes_of_wide_layers_fit_in_80_columns(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    net = jaxmlp.Network((12288, 1024, 4096, 1), "leaky_relu(0.01)", "sigmoid")
    console().print(shapes_table(net))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    for shapes in ("(1024, 12288)  (1024, 1)  (1024, m)  (1024, m)", "(4096, 1024)   (4096, 1)  (4096, m)  (4096, m)"):
        assert any(shapes in line for line in lines)


def test_help_version_and_nothing(capsys):
    for arguments in ([], ["--help"], ["train", "-h"], ["train", "--help"], ["--version"]):
        assert run(arguments) == 0
        assert capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        ("sweep xor --activation relu --activation tanh", "--activation"),
        ("train xor --epochs 2 --seed 1 --epochs 2", "--epochs"),
        ("train xor --no-shuffle --shuffle", "--shuffle"),
        ("verify --seed 1 --seed=2", "--seed"),
    ],
)
def test_an_option_with_one_value_is_written_once(arguments, option, place, capsys):
    line = f"{option} expects one value, got 2: write the option once"
    assert mistake(capsys, *arguments.split()) == line


def test_help_does_not_wait_for_jax(place):
    command = "import sys; from jaxmlp.cli.main import run; run(sys.argv[1:]); print(*sys.modules)"
    for option in ("--help", "--version"):
        done = subprocess.run([sys.executable, "-c", command, option], capture_output=True, text=True, check=True)
        assert not {"jax", "numpy", "rich"} & {*done.stdout.splitlines()[-1].split()}
        assert option == "--version" or all(name in done.stdout for name in COMMANDS)


def test_an_interrupt_while_a_command_is_imported(place, capsys, monkeypatch):
    def interrupted(name):
        raise KeyboardInterrupt

    monkeypatch.setattr("jaxmlp.cli.main.import_module", interrupted)
    assert run(["train", "xor"]) == 130
    assert capsys.readouterr().err.split() == ["interrupted"]


NAMES = "digits, planar, xor, moons, circles, spirals, or a path to a file or folder"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("train digits --lr 1", "No such option '--lr'. Did you mean '--learning-rate'?"),
        ("train digits --iterations 9", "No such option '--iterations'. Did you mean '--epochs'?"),
        ("train digits --initializer He", "No such option '--initializer'. Did you mean '--init'?"),
        ("train digits --layers 20", "No such option '--layers'. Did you mean '--hidden'?"),
        ("train digits --eta 0.1", "No such option '--eta'. Did you mean '--learning-rate'?"),
        ("train digits --lambda 0.1", "No such option '--lambda'. Did you mean '--l2'?"),
        ("train digits --loss quadratic", "No such option '--loss'. Did you mean '--cost'?"),
        ("train digits --mini-batch 32", "No such option '--mini-batch'. Did you mean '--batch-size'?"),
        (
            "info 3 4 1",
            "info expects MODEL, got further arguments 4 1: "
            "write the numbers of one value together, as in 3-4-1 or 1,2,3",
        ),
        (
            "trace 3-2-1 --x 1 2 3 --y 1",
            "trace expects MODEL [DATA], got further arguments 3: "
            "write the numbers of one value together, as in 3-4-1 or 1,2,3",
        ),
        (
            "predict runs/cat my cat.jpg",
            "predict expects MODEL FILE, got further arguments cat.jpg: "
            "give one; for several images give their folder; put a name with spaces in quotes",
        ),
        (
            "train nope",
            f"data source expects one of {NAMES}, got 'nope': "
            "the package has no other data, so give the path of a file, such as flowers.csv",
        ),
        (
            "train no.csv",
            "reading expects an existing file or folder, got 'no.csv', which does not exist: check the path",
        ),
        ("train", "train expects DATA or --resume RUN, got neither: write jaxmlp train digits, for example"),
        ("train xor --epochs 0", "epochs expects a positive whole number, got 0: write 50, for example"),
        (
            "train xor --hidden 3,x",
            "Invalid value for '--hidden': expects whole numbers with commas as in 100,50, or none, got '3,x'",
        ),
        (
            "train xor --hidden 0",
            "sizes expects at least two positive whole numbers, got (2, 0, 1): "
            "give the units of every layer from the input on, as in (2, 4, 1)",
        ),
        (
            "train xor --activation relu,tanh",
            "hidden expects 1 activation, got 2: give one activation for all, or one for each hidden layer",
        ),
        (
            "train xor --activation leaky_relu(-1)",
            "leaky_relu expects 0 ≤ α ≤ 1, got -1: write 'leaky_relu(0.1)', say",
        ),
        (
            "train xor --batch-size x",
            "Invalid value for '--batch-size': expects a whole number or full, got 'x'",
        ),
        (
            "train xor --batch-size 0",
            "batch_size expects a positive whole number or 'full', got 0: write 32, for example",
        ),
        ("train xor --learning-rate nan", "learning rate expects a positive number, got nan: try 0.001 for 'adam'"),
        ("train xor --l2 -1", "l2 expects a finite number ≥ 0, got -1.0: leave it out for none"),
        (
            "train xor --cost categorical_cross_entropy",
            "cost 'categorical_cross_entropy' is defined for output 'softmax'; the network has output 'sigmoid': take "
            "cost 'binary_cross_entropy' or 'quadratic', or output 'softmax'",
        ),
        (
            "train xor --optimizer lbfgs",
            "--optimizer lbfgs expects full batches, got --batch-size 32: add --batch-size full",
        ),
        ("train xor --patience 0", "patience expects a positive whole number of epochs, got 0: write 10, for example"),
        (
            "train xor --validation-fraction 1",
            "--validation-fraction expects a fraction from 0 to below 1, got 1.0: write 0.1, for example",
        ),
        (
            "train xor --schedule step(1,2,3)",
            "schedule 'step(1,2,3)' expects at most 2 numbers, got 3: remove the last ones",
        ),
        (
            "train xor --class-weight 0=e",
            "--class-weight expects balanced, or LABEL=WEIGHT with labels 0, 1, got '0=e': "
            "write cat=2,dog=1, for example",
        ),
        (
            "train xor --class-weight 0=1,0=2",
            "--class-weight expects one weight for 0, got two: leave one of them out",
        ),
        (
            "train xor --ensemble 2 --metric f1 --checkpoint-every 5",
            "--ensemble expects options of a population, got --metric and --checkpoint-every: leave them out",
        ),
        ("train xor --ensemble 2 --stream", "--ensemble expects options of a population, got --stream: leave it out"),
        (
            "train xor --warm-start run --hidden 3 --init lecun_normal",
            "--warm-start expects the network of its model, got --hidden and --init: leave them out",
        ),
        ("train xor --cost huber(0)", "huber expects a finite d > 0, got 0: write 'huber(1.0)', say"),
        (
            "verify 3-2-1",
            "load_model expects a model file or a run folder, got '3-2-1': "
            "sizes alone have no parameters: train the network first",
        ),
        ("info nope", "load_model expects a model file or a run folder, got 'nope': check the path"),
    ],
)
def test_a_mistake_gets_one_line(arguments, line, place, capsys):
    assert mistake(capsys, *arguments.split()) == line
    assert list(place.iterdir()) == []


def test_an_unknown_command(place, capsys):
    assert mistake(capsys, "trane").startswith("No such command 'trane'.")


def test_a_mistake_in_json_is_an_object_too(place, capsys):
    assert run(["train", "nope", "--json"]) == 2
    out, err = capsys.readouterr()
    assert json.loads(out)["error"] == err.removeprefix("error: ").strip()


def test_data_that_a_model_does_not_take(digits, table, place, capsys):
    assert mistake(capsys, "evaluate", str(digits), "planar") == (
        "the model expects rows of shape (m, 64), got (400, 2): give the columns that it was trained on"
    )
    assert mistake(capsys, "evaluate", str(digits), "spirals").startswith("the model expects rows")
    assert "expects 64 feature columns, got 4" in mistake(capsys, "predict", str(digits), str(table))
    assert "--part of 'digits' expects one of train, test, got validation" in mistake(
        capsys, "evaluate", str(digits), "digits", "--part", "validation"
    )


@pytest.mark.slow
def test_classes_are_matched_by_label(place, capsys):
    rows = np.random.default_rng(0).normal(size=(40, 2)).round(3)
    kinds = np.array(["b", "c", "d"])[(rows[:, 0] > 0).astype(int) + (rows[:, 1] > 0)]
    Path("train.csv").write_text("".join(f"{x},{y},{kind}\n" for (x, y), kind in zip(rows, kinds, strict=True)))
    found = answer(capsys, "train", "train.csv", "--epochs", "30")
    both = [i for i in range(40) if kinds[i] != "b"]
    Path("some.csv").write_text("".join(f"{rows[i, 0]},{rows[i, 1]},{kinds[i]}\n" for i in both))
    model = jaxmlp.load_model(found["run"])
    expected = (model.predict(rows[both]) == kinds[both]).mean()
    got = answer(capsys, "evaluate", found["run"], "some.csv")
    assert got["accuracy"] == pytest.approx(expected)
    Path("new.csv").write_text("0,1,z\n1,0,b\n1,1,c\n")
    line = mistake(capsys, "evaluate", found["run"], "new.csv")
    assert "b, c, d" in line
    assert "z" in line
    Path("one.csv").write_text(f"{rows[0, 0]},{rows[0, 1]},{kinds[0]}\n{rows[0, 0]},{rows[0, 1]},{kinds[0]}\n")
    assert answer(capsys, "evaluate", found["run"], "one.csv")["rows"] == 2


@pytest.mark.slow
def test_units_in_brackets_are_no_markup(place, capsys):
    rows = np.random.default_rng(0).normal(size=(20, 2)).round(3)
    Path("t.csv").write_text("speed [m],rate [/s],kind [red]\n" + "".join(f"{a},{b},{int(a > b)}\n" for a, b in rows))
    assert run(["train", "t.csv", *QUICK]) == 0
    assert run(["info", "runs/t"]) == 0
    out = capsys.readouterr().out
    for name in ("speed [m]", "rate [/s]", "kind [red]"):
        assert name in out


@pytest.mark.slow
def test_columns_are_found_by_name(table, place, capsys):
    found = answer(capsys, "train", str(table), "--epochs", "30")
    lines = [line.split(",") for line in table.read_text().splitlines()]
    Path("swapped.csv").write_text("".join(f"{c},{b},{i},{kind},{a}\n" for i, (a, b, c, kind) in enumerate(lines)))
    text = Path("swapped.csv").read_text().replace("c,b,0,kind,a", "c,b,id,kind,a")
    Path("swapped.csv").write_text(text)
    whole = answer(capsys, "evaluate", found["run"], str(table), "--part", "all")
    swapped = answer(capsys, "evaluate", found["run"], "swapped.csv", "--part", "all")
    assert swapped["rows"] == whole["rows"] == 60
    assert swapped["accuracy"] == pytest.approx(whole["accuracy"])
    assert swapped["cost"] == pytest.approx(whole["cost"])
    # the rows are those of the training, whatever the file is called: only the test part counts
    assert answer(capsys, "evaluate", found["run"], "swapped.csv")["rows"] == 12


@pytest.mark.slow
def test_data_that_have_changed_since_training(place, capsys, table):
    Path("g.csv").write_text(table.read_text())
    found = answer(capsys, "train", "g.csv", *QUICK)
    with open("g.csv", "a") as file:
        file.write("1,2,3,1\n")
    line = mistake(capsys, "evaluate", found["run"], "g.csv")
    assert line == (
        f"'g.csv', the training data of {found['run']}, expects unchanged rows, got changed ones: "
        "put new rows into a separate file"
    )


@pytest.mark.slow
def test_a_picture_needs_a_model_of_bytes(place, capsys):
    image = pytest.importorskip("PIL.Image")
    rows = np.random.default_rng(0).random((12, 4, 4))
    np.savez("float.npz", x=rows, y=np.arange(12) % 2)
    found = answer(capsys, "train", "float.npz", *QUICK, "--test-fraction", "0")
    image.new("L", (4, 4)).save("dark.png")
    assert mistake(capsys, "predict", found["run"], "dark.png") == (
        "a picture expects a model trained on bytes 0..255, got images of float64: "
        "train on images of bytes, or give the rows as .npz"
    )


def raising(error):
    """A function that raises it."""

    def fail(*arguments, **options):
        raise error

    return fail


def test_a_failing_picture_costs_no_model(place, capsys, monkeypatch):
    plots = pytest.importorskip("jaxmlp.plots")

    monkeypatch.setattr(plots, "curves", raising(RuntimeError("no ink")))
    with pytest.raises(RuntimeError, match="no ink"):
        run(["train", "xor", *QUICK])
    assert jaxmlp.load_model(place / "runs" / "xor").net.sizes == (2, 4, 1)


def test_a_threshold_where_it_has_no_meaning(digits, place, capsys):
    np.savez("rows.npz", x=jaxmlp.load("digits").train.rows[:3])
    assert "threshold expects one output, or several labels" in mistake(
        capsys, "predict", str(digits), "rows.npz", "--threshold", "0.9"
    )


@pytest.mark.slow
def test_a_diverging_run_leaves_nothing(place, capsys):
    Path("far.csv").write_text("x,y\n" + "".join(f"{i}e6,{i}.5\n" for i in range(9)))
    capsys.readouterr()
    assert run(["train", "far.csv", "--no-standardize", "--optimizer", "sgd", "--learning-rate", "1e30"]) == 2
    *_, line = capsys.readouterr().err.splitlines()
    assert re.match(
        r"error: (cost|a parameter) became non-finite at step \d \(epoch \d\), first in .*; lower the learning", line
    )
    assert [path.name for path in place.iterdir()] == ["far.csv"]


def test_an_interrupt_leaves_nothing_and_is_no_traceback(place, capsys, monkeypatch):
    monkeypatch.setattr("jaxmlp.cli.train.fit", raising(KeyboardInterrupt()))
    assert run(["train", "xor"]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert list(place.iterdir()) == []


@pytest.mark.slow
def test_a_failure_while_writing_costs_no_training(place, capsys, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr("jaxmlp.inference.model.Model.save", raising(OSError("disk full")))
        capsys.readouterr()
        assert run(["train", "xor", *QUICK]) == 2
        assert capsys.readouterr().err.splitlines()[-1] == (
            "error: run folder runs/xor expects a place that takes its files, got disk full: "
            "make room, then go on with: jaxmlp train --resume runs/xor"
        )
    assert answer(capsys, "train", "--resume", "runs/xor")["epochs"] == 2
    assert (place / "runs" / "xor" / "model.h5").exists()


def test_a_place_that_takes_no_folder(place, capsys, monkeypatch):
    monkeypatch.setattr("pathlib.Path.mkdir", raising(FileNotFoundError(2, "No such file or directory", "run")))
    assert mistake(capsys, "train", "xor", *QUICK, "--out", "run") == (
        "run folder run expects a place that takes its files, got [Errno 2] No such file or directory: 'run': "
        "choose another with --out"
    )


def test_a_full_disk_costs_the_pictures_alone(place, capsys, monkeypatch):
    plots = pytest.importorskip("jaxmlp.plots")

    monkeypatch.setattr(plots, "draw_all", raising(OSError("disk full")))
    assert run(["train", "xor", *QUICK]) == 0
    assert "pictures not drawn: disk full" in capsys.readouterr().err


def test_without_matplotlib_the_model_is_kept(place, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.axes", None)
    monkeypatch.delitem(sys.modules, "jaxmlp.plots", raising=False)
    assert run(["train", "xor", *QUICK]) == 0
    out, err = capsys.readouterr()
    assert "no pictures drawn: pictures expects Matplotlib" in err
    assert (place / "runs" / "xor" / "model.h5").exists()
    assert ".png" not in out


@pytest.mark.slow
def test_the_console_script_in_a_process_of_its_own(place):
    command = [sys.executable, "-c", "from jaxmlp.cli.main import main; main()"]
    done = subprocess.run([*command, "train", "xor", *QUICK, "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["epochs"] == 2
    done = subprocess.run([*command, "train", "xor", "--hidden", "x"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


@pytest.fixture
def table_in_hdf5(place):
    """big.h5, two columns and two classes."""
    rows = np.random.default_rng(0).normal(size=(500, 2))
    with h5py.File(place / "big.h5", "w") as file:
        file["X"], file["y"] = rows, (rows.sum(axis=1) > 0).astype(int)
    return "big.h5"


@pytest.mark.slow
def test_a_stream_is_trained_and_evaluated_on_what_it_held_back(capsys, table_in_hdf5):
    training = ["train", table_in_hdf5, *QUICK, "--stream", "--memory", "1MB", "--standardize", "--out", "run"]
    trained = answer(capsys, *training)
    assert trained["test_accuracy"] > 0.5
    assert trained["train_cost"] == trained["cost"]
    assert {"curves.png", "boundary.png"} & {path.name for path in Path("run").iterdir()}
    evaluated = answer(capsys, "evaluate", "run", table_in_hdf5)
    assert (evaluated["rows"], evaluated["cost"]) == (100, trained["test_cost"])
    train = answer(capsys, "evaluate", "run", table_in_hdf5, "--part", "train")
    model, rows = jaxmlp.load_model("run"), jaxmlp.stream(table_in_hdf5, memory=2**20).train
    assert train["rows"] == 400
    with h5py.File(table_in_hdf5) as file:
        kept = np.concatenate([file["X"][a:b] for a, b in rows.rows.runs])  # pyright: ignore
    assert train["accuracy"] == (model.predict(kept) == rows.targets).mean()
    assert mistake(capsys, "evaluate", "run", table_in_hdf5, "--part", "all") == (
        "--part of a streamed data set expects train or test, got all: measure them one after the other"
    )


@pytest.mark.slow
def test_a_stream_without_a_test_part_is_measured_and_diagnosed(capsys, table_in_hdf5):
    whole = ["train", table_in_hdf5, *QUICK, "--stream", "--test-fraction", "0", "--standardize", "--out", "whole"]
    assert answer(capsys, *whole)["test_cost"] is None
    for part in ("auto", "all", "train"):
        assert answer(capsys, "evaluate", "whole", table_in_hdf5, "--part", part)["rows"] == 500
    assert run(["diagnose", "whole", table_in_hdf5, "--json"]) in (0, 1)
    assert json.loads(capsys.readouterr().out)["data"] == "big"
    assert len(answer(capsys, "predict", "whole", table_in_hdf5)["predictions"]) == 500


@pytest.mark.slow
def test_a_stream_whose_rows_have_changed_is_another(capsys, table_in_hdf5, monkeypatch):
    training = ["train", table_in_hdf5, *QUICK, "--stream", "--memory", "1MB", "--out", "run"]
    answer(capsys, *training)
    Path("copy").mkdir()
    Path("copy/big.h5").write_bytes(Path("big.h5").read_bytes())
    data = jaxmlp.stream("big.h5", memory=2**20)
    assert digest_of(data) == digest_of(jaxmlp.stream("copy/big.h5", memory=2**20))
    sizes = {"SAMPLE_BYTES": 160, "N_SAMPLES": 3}

    def both():
        with monkeypatch.context() as small:
            for name, size in sizes.items():
                small.setattr(f"jaxmlp.training.fingerprint.{name}", size)
            sampled = digest_of(data)
        return digest_of(data), sampled

    before = both()
    with h5py.File(table_in_hdf5, "r+") as file:
        file["X"][data.rows.runs[-1, 1] - 1] += 1  # pyright: ignore  # the last row, which every sample ends with
    assert not {*before} & {*both()}
    assert "expects unchanged rows, got changed ones" in mistake(capsys, "evaluate", "run", table_in_hdf5)


def test_mistakes_about_streams(capsys, table_in_hdf5):
    train = ["train", table_in_hdf5, *QUICK]
    assert "--memory expects --stream, got none" in mistake(capsys, *train, "--memory", "1MB")
    assert "expects a size as in 256MB or 2GB, got '7'" in mistake(capsys, *train, "--stream", "--memory", "7")
    assert "--stream expects no --target" in mistake(capsys, *train, "--stream", "--target", "y")
    assert "memory expects at least" in mistake(capsys, *train, "--stream", "--memory", "1KB")
    assert "an existing HDF5 file" in mistake(capsys, "train", "digits", "--stream")


@pytest.mark.slow
def test_a_rate_is_found_written_down_and_drawn(capsys, place):
    assert run(["train", "xor", *QUICK, "--learning-rate", "find", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    settings = json.loads((place / answer["run"] / "run.json").read_text())
    assert answer["learning_rate"] == settings["options"]["learning_rate"] > 0
    assert (place / answer["run"] / "lr_find.png").read_bytes().startswith(b"\x89PNG")
    assert run(["train", "xor", *QUICK, "--learning-rate", "find", "--ensemble", "2", "--json"]) == 0
    capsys.readouterr()
    assert run(["train", "xor", *QUICK, "--learning-rate", "fast"]) == 2
    assert "expects a number or find, got 'fast'" in capsys.readouterr().err


@pytest.mark.slow
def test_another_output_is_taken(capsys, place):
    assert run(["train", "digits", *QUICK, "--output", "sigmoid", "--cost", "quadratic", "--out", "ten", "--json"]) == 0
    assert jaxmlp.load_model(place / "ten").net.output == "sigmoid"
    rows = np.linspace(-1, 1, 40)
    counts = np.random.default_rng(0).poisson(np.exp(1 + rows))
    lines = [f"{x},{n}" for x, n in zip(rows, counts, strict=True)]
    (place / "calls.csv").write_text("\n".join(["hour,calls", *lines]) + "\n")
    poisson = ["train", "calls.csv", "--task", "regression", "--output", "exp", "--cost", "poisson", *QUICK]
    assert run([*poisson, "--patience", "5", "--json"]) == 0
    model = jaxmlp.load_model(place / "runs" / "calls")
    assert model.target_preprocessing.shift is None  # counts stay counts
    assert model.preprocessing.shift is not None
    assert (model.predict(rows[:, None]) > 0).all()
    capsys.readouterr()
    (place / "signed.csv").write_text("x,y\n" + "".join(f"{i},{i - 5}.5\n" for i in range(20)))
    assert run(["train", "signed.csv", "--output", "exp", "--cost", "poisson", *QUICK]) == 2
    assert capsys.readouterr().err.endswith("poisson is for counts and rates: choose another cost\n")


@pytest.mark.slow
def test_a_sigmoid_that_gives_values_is_trained_on_them_as_they_are(capsys, place, table):
    rows = np.linspace(-1, 1, 40)
    lines = [f"{x},{0.2 + 0.3 * x * x:.6f}" for x in rows]
    (place / "share.csv").write_text("\n".join(["x,share", *lines]) + "\n")
    command = ["train", "share.csv", "--output", "sigmoid", "--hidden", "8", "--epochs", "200", "--batch-size", "full"]
    found = answer(capsys, *command, "--learning-rate", "0.03", "--out", "share")
    model = jaxmlp.load_model("share")
    assert (model.cost, model.target_preprocessing.shift) == ("quadratic", None)
    assert found["test_r2"] > 0.8
    answer(capsys, *command, "--cost", "binary_cross_entropy", "--out", "named")
    assert jaxmlp.load_model("named").cost == "binary_cross_entropy"
    answer(capsys, "train", "share.csv", "--warm-start", "share", "--epochs", "1", "--out", "warm")
    warm = jaxmlp.load_model("warm")
    assert (warm.cost, warm.target_preprocessing.shift) == ("quadratic", None)


def test_json_escapes_the_signs_that_a_terminal_would_obey(capsys):
    print_json({"class": "\x1b\x9b\u202eA"})
    out = capsys.readouterr().out
    assert out == '{"class": "\\u001b\\u009b\\u202eA"}\n'
    assert json.loads(out) == {"class": "\x1b\x9b\u202eA"}
