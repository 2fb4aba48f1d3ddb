"""`jaxmlp sweep` and `jaxmlp train --ensemble`: what they print and leave behind."""

import json

import jax
import pytest

import jaxmlp
from jaxmlp.cli.main import run


@pytest.fixture(autouse=True, scope="module")
def as_a_user():
    """float32 and the promotion of dtypes that users have."""
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        yield


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


def test_sweep_names_mistakes(capsys):
    for grid, says in (("l2", "expects a name and numbers"), ("l3=1", "grid expects one of"), ("l2=a", "l2=a")):
        assert run(["sweep", "xor", "--grid", grid]) == 2
        assert says in capsys.readouterr().err


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
