"""`jaxmlp sweep` and `jaxmlp train --ensemble`: what they print and leave behind."""

import contextlib
import io
import json
import os
import signal

import chex
import h5py
import numpy as np
import pytest
from marks import slow_except

import jaxmlp
from jaxmlp.cli.loading import prepare_data
from jaxmlp.cli.main import run
from jaxmlp.population.fit_many import fit_many

pytestmark = pytest.mark.usefixtures("as_users_have_it")


def test_sweep(capsys):
    grid = ["--grid", "learning-rate=0.0001,0.05", "--grid", "l2=0,0.1"]
    command = ["sweep", "moons", *grid, "--seeds", "2", "--folds", "3", "--hidden", "4", "--epochs", "2"]
    assert run([*command, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["metric"] == "validation_cost"
    means = [row["mean"] for row in answer["leaderboard"]]
    assert len(means) == 4
    assert means == sorted(means)
    assert answer["leaderboard"][0]["numbers"]["learning_rate"] == 0.05
    assert {row["runs"] for row in answer["leaderboard"]} == {6}
    assert answer["strategies"][0]["name"] in ("vmap", "loop")
    assert run(command) == 0
    out, err = capsys.readouterr()
    assert "by validation_cost" in out
    assert "run as" in err


@pytest.mark.slow
def test_a_sweep_holds_rows_back_to_rank_by(capsys):
    command = ["sweep", "moons", "--hidden", "4", "--epochs", "2", "--grid", "l2=0,0.1", "--json"]
    answers = {}
    for more in ((), ("--metric", "cost")):
        assert run([*command, *more]) == 0
        answers[more] = json.loads(capsys.readouterr().out)
    data = jaxmlp.load("moons")
    net = jaxmlp.network_for(data, (4,))
    held = jaxmlp.fit_many(net, data.split_validation(0.1), grid={"l2": [0, 0.1]}, epochs=2)
    assert answers[()]["metric"] == "validation_cost"
    assert [row["mean"] for row in answers[()]["leaderboard"]] == pytest.approx([row.mean for row in held.leaderboard])
    assert answers["--metric", "cost"]["metric"] == "cost"


def test_what_watches_rows_gets_some_held_back(tmp_path):
    """A plateau as early stopping does, in a stream as in memory."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["X"], file["y"] = np.random.default_rng(0).normal(size=(200, 3)), np.arange(200) % 2
    options = {"output": None, "validation_fraction": None, "patience": None, "schedule": "constant", "seed": 0}
    for data in (jaxmlp.load("moons"), jaxmlp.stream(tmp_path / "a.h5")):
        assert prepare_data(options, data).validation is None
        for more in ({"schedule": "plateau(0.5, 3)"}, {"patience": 3}, {"validation_fraction": 0.1}):
            held = prepare_data({**options, **more}, data)
            assert held.validation is not None
            assert len(held.validation.rows) == pytest.approx(0.1 * len(data.train.rows), abs=2)


def test_sweep_names_mistakes(capsys):
    for arguments, says in (
        ("--learning-rate find", "--learning-rate of a sweep expects a number, got find: write --grid"),
        ("--folds 2 --validation-fraction 0.2", "--folds expects no --validation-fraction, got both"),
        ("--metric r2", "metric for task 'binary' expects one of accuracy, balanced_accuracy"),
    ):
        assert run(["sweep", "xor", *arguments.split()]) == 2
        assert says in capsys.readouterr().err
    for grid, says in (("l2", "expects a name and numbers"), ("l3=1", "grid expects one of"), ("l2=a", "l2=a")):
        assert run(["sweep", "xor", "--grid", grid]) == 2
        assert says in capsys.readouterr().err


def test_the_values_of_a_name_are_joined_and_the_leaderboard_is_written(capsys, tmp_path):
    file = tmp_path / "board.csv"
    command = ["sweep", "moons", "--grid", "l2=0", "--grid", "l2=1", "--hidden", "4", "--epochs", "2"]
    assert run([*command, "--metric", "auc", "--out", str(file), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert sorted(row["numbers"]["l2"] for row in answer["leaderboard"]) == [0, 1]
    header, *lines = file.read_text().splitlines()
    assert header == "network,l2,auc,spread,accuracy,runs,diverged"
    assert [float(line.split(",")[2]) for line in lines] == [row["mean"] for row in answer["leaderboard"]]
    assert run([*command, "--out", str(tmp_path / "no" / "board.csv")]) == 2
    assert "expects an existing folder" in capsys.readouterr().err


OPTIONS = {
    "--activation": "tanh",
    "--output": "identity",
    "--norm": "batch",
    "--init": "zeros",
    "--cost": "quadratic",
    "--batch-size": "full",
    "--optimizer": "sgd",
    "--learning-rate": "0.1",
    "--schedule": "one_cycle",
    "--warmup": "1",
    "--optimizer adamw --weight-decay": "9",
    "--clip-norm": "0.01",
    "--l2": "9",
    "--dropout": "0.4",
    "--input-dropout": "0.1",
    "--ema": "0.5",
    "--class-weight": "1=5",
    "--freeze": "1",
    "--precision": "bfloat16",
    "--validation-fraction": "0.3",
    "--epochs": "3",
    "--test-fraction": "0.5",
}


def board(arguments):
    """Return the figures of the leaderboard after a sweep of one network."""
    epochs = [] if "--epochs" in arguments else ["--epochs", "2"]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert run(["sweep", "table.csv", "--hidden", "4", *epochs, "--json", *arguments]) == 0
    (row,) = json.loads(out.getvalue())["leaderboard"]
    return row["mean"], row["accuracy"]


@pytest.mark.slow
def test_sweep_takes_the_options_of_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = np.random.default_rng(0).normal(3, 2, size=(60, 3)).round(3)
    (tmp_path / "table.csv").write_text("a,b,c,kind\n" + "".join(f"{a},{b},{c},{int(b > c)}\n" for a, b, c in rows))
    plain = board([])
    for option, value in OPTIONS.items():
        assert board([*option.split(), value]) != plain, option


@pytest.mark.slow
def test_train_ensemble(capsys, tmp_path):
    folder = tmp_path / "many"
    command = ["train", "moons", "--ensemble", "3", "--hidden", "4", "--epochs", "2", "--seed", "5"]
    assert run([*command, "--out", str(folder), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    ensemble = jaxmlp.Ensemble.load(folder)
    assert answer["members"] == len(ensemble.members) == 3
    test = jaxmlp.load("moons").test
    assert test is not None
    assert answer["test_accuracy"] == ensemble.evaluate(test)["accuracy"]
    settings = json.loads((folder / "run.json").read_text())
    assert settings["options"]["ensemble"] == 3


@pytest.mark.slow
def test_an_ensemble_is_measured_and_answers(capsys, tmp_path):
    folder = tmp_path / "many"
    assert run(["train", "moons", "--ensemble", "3", "--hidden", "4", "--epochs", "2", "--out", str(folder)]) == 0
    capsys.readouterr()
    ensemble, test = jaxmlp.Ensemble.load(folder), jaxmlp.load("moons").test
    assert test is not None
    assert run(["evaluate", str(folder), "moons", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert {name: answer[name] for name in ("accuracy", "disagreement")} == {
        name: ensemble.evaluate(test)[name] for name in ("accuracy", "disagreement")
    }
    rows = tmp_path / "rows.csv"
    rows.write_text("x,y\n" + "".join(f"{a},{b}\n" for a, b in test.rows[:5]))
    assert run(["predict", str(folder), str(rows)]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header == "prediction,probability 0,probability 1,disagreement"
    assert [int(line.split(",")[0]) for line in lines] == ensemble.predict(test.rows[:5]).tolist()
    assert run(["predict", str(folder), str(rows), "--threshold", "0", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["predictions"] == [1] * 5
    assert answer["disagreement"] == ensemble.disagreement(test.rows[:5]).tolist()
    assert run(["info", str(folder), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["members"], answer["sizes"], answer["task"]) == (3, [2, 4, 1], "binary")
    assert run(["info", str(folder)]) == 0
    assert "members: 3" in capsys.readouterr().out
    for command in (
        ["verify", str(folder)],
        ["diagnose", str(folder), "moons"],
        ["train", "moons", "--warm-start", str(folder)],
    ):
        assert run(command) == 2
        line = f"load_model expects one model, got the members of an ensemble in '{folder}': give one of them, "
        assert f"{line}{folder / 'member-1.h5'}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "kind", slow_except([signal.SIGINT, signal.SIGTERM], signal.SIGINT), ids=lambda kind: kind.name
)
def test_a_stopped_ensemble_keeps_its_members_and_goes_on(kind, capsys, tmp_path, monkeypatch):
    folder, whole = tmp_path / "stopped", tmp_path / "whole"
    command = ["train", "moons", "--ensemble", "4", "--hidden", "4", "--epochs", "3", "--seed", "5"]
    assert run([*command, "--out", str(whole)]) == 0
    capsys.readouterr()
    rounds = []

    def stopped(*arguments, seeds, **options):
        assert (folder / "run.json").exists()
        if rounds:
            os.kill(os.getpid(), kind)
        rounds.append(list(seeds))
        return fit_many(*arguments, seeds=seeds, **options)

    with monkeypatch.context() as interrupted:
        interrupted.setattr("jaxmlp.cli.ensemble.fit_many", stopped)
        interrupted.setattr("jaxmlp.cli.ensemble.n_processors", lambda: 2)
        assert run([*command, "--out", str(folder)]) == 128 + kind
    assert rounds == [[5, 6], [7, 8]]
    out, err = capsys.readouterr()
    assert f"stopped with 2 of 4 members; go on with: jaxmlp train --resume {folder}" in err
    assert "trained 2 networks" in out
    assert sorted(path.name for path in folder.iterdir()) == ["member-1.h5", "member-2.h5", "run.json"]
    assert run(["train", "--resume", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["finished"] is True
    for member, other in zip(jaxmlp.Ensemble.load(folder).members, jaxmlp.Ensemble.load(whole).members, strict=True):
        chex.assert_trees_all_close(member.params, other.params, rtol=1e-5, atol=1e-6)
    assert json.loads((folder / "run.json").read_text())["finished"] is True


@pytest.mark.slow
def test_an_ensemble_of_which_all_diverge_leaves_nothing(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "far.csv").write_text("x,y\n" + "".join(f"{i}e6,{i}.5\n" for i in range(9)))
    far = ["train", "far.csv", "--no-standardize", "--optimizer", "sgd", "--learning-rate", "1e30", "--ensemble", "2"]
    assert run(far) == 2
    line = "error: --ensemble expects at least one member that does not diverge, got none: lower the learning rate"
    assert capsys.readouterr().err.strip() == line
    assert [path.name for path in tmp_path.iterdir()] == ["far.csv"]
