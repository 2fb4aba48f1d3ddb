"""A run that is stopped, by whatever it may be, goes on as if it had not been."""

import csv
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxmlp
import jaxmlp.errors
from jaxmlp.cli.main import run
from jaxmlp.training import checkpoints

pytestmark = pytest.mark.usefixtures("as_users_have_it")

# everything whose state a resumed run must find again
ARGUMENTS = [
    *("train", "digits", "--hidden", "16,8", "--epochs", "400", "--norm", "batch", "--dropout", "0.2"),
    *("--schedule", "plateau(0.5, 3)", "--patience", "300", "--ema", "0.9", "--mixup", "0.2"),
    *("--checkpoint-every", "0.3", "--metric", "f1"),
]
JAXMLP = [sys.executable, "-m", "jaxmlp"]


def history(folder):
    """history.csv without the seconds."""
    with open(folder / "history.csv", newline="") as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def begun(folder, epochs):
    """A run in a process of its own, once so many epochs are in its history."""
    process = subprocess.Popen([*JAXMLP, *ARGUMENTS, "--out", str(folder)], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None:
        file = folder / "history.csv"
        if file.exists() and file.read_text().count("\n") > epochs:
            return process
        time.sleep(0.02)
    process.kill()
    raise AssertionError(f"the run did not get on: {process.communicate()[1]}")


def same_run(folder, other):
    """Whether two run folders hold the same parameters and the same history, bit for bit."""
    ours, theirs = (jax.tree.leaves(jaxmlp.load_model(path).params) for path in (folder, other))
    assert all((a == b).all() for a, b in zip(ours, theirs, strict=True))
    assert history(folder) == history(other)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert run([*ARGUMENTS, "--out", str(folder)]) == 0
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda kind: kind.name)
def test_a_stopped_run_goes_on_bit_for_bit(kind, whole, tmp_path, capfd):
    folder = tmp_path / "run"
    process = begun(folder, {signal.SIGKILL: 150, signal.SIGTERM: 90, signal.SIGINT: 40}[kind])
    os.kill(process.pid, kind)
    _, err = process.communicate(timeout=120)
    if kind is signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
        assert not (folder / "model.h5").exists()
    else:
        assert process.returncode == 128 + kind
        assert f"go on with: jaxmlp train --resume {folder}" in err
        assert jaxmlp.load_model(folder).evaluate(jaxmlp.load("digits").train)["accuracy"] > 0.5
    assert json.loads((folder / "run.json").read_text())["finished"] is False
    assert (folder / "checkpoints").is_dir()
    assert run(["train", "--resume", str(folder)]) == 0
    same_run(folder, whole)
    assert len([path for path in (folder / "checkpoints").iterdir() if path.name.isdigit()]) == 1
    assert json.loads((folder / "run.json").read_text())["finished"] is True


@pytest.mark.slow
def test_without_a_checkpoint_the_run_begins_again(tmp_path):
    folder, other = tmp_path / "run", tmp_path / "other"
    for out in (folder, other):
        assert run(["train", "xor", "--hidden", "4", "--epochs", "3", "--out", str(out)]) == 0
    settings = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**settings, "finished": False}))
    assert run(["train", "--resume", str(folder)]) == 0
    same_run(folder, other)


def mistake(capsys, *arguments):
    capsys.readouterr()
    assert run(arguments) == 2
    return capsys.readouterr().err.strip()


@pytest.mark.slow
def test_what_cannot_be_resumed(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert mistake(capsys, "train") == (
        "error: train expects DATA or --resume RUN, got neither: write jaxmlp train digits, for example"
    )
    assert "got both" in mistake(capsys, "train", "xor", "--resume", "runs/xor")
    assert mistake(capsys, "train", "--resume", "runs/xor", "--epochs", "30", "--out", "x") == (
        "error: --resume expects no other settings than those of the run, got --out: leave it out"
    )
    assert mistake(capsys, "train", "--resume", "nope") == (
        "error: --resume expects a run folder, got 'nope': see the folders under runs/"
    )
    Path("t.csv").write_text("a,b\n" + "".join(f"{i},{i % 2}\n" for i in range(20)))
    assert run(["train", "t.csv", "--hidden", "2", "--epochs", "1"]) == 0
    assert mistake(capsys, "train", "--resume", "runs/t") == (
        "error: --resume expects an interrupted run, got the finished run 'runs/t': "
        "train on from its parameters with --warm-start"
    )
    settings = json.loads(Path("runs/t/run.json").read_text())
    Path("runs/t/run.json").write_text(json.dumps({**settings, "finished": False}))
    Path("t.csv").write_text("a,b\n" + "".join(f"{i},{(i + 1) % 2}\n" for i in range(20)))
    assert "expects the data that it began with, got other data" in mistake(capsys, "train", "--resume", "runs/t")


def test_what_had_stopped_early_and_an_ensemble_are_not_resumed(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = np.random.default_rng(0).normal(size=(40, 2))
    np.savez("noise.npz", X=rows, y=np.arange(40) % 2)
    options = ["--hidden", "2", "--optimizer", "sgd", "--learning-rate", "1e-12", "--patience", "2", "--epochs", "20"]
    assert run(["train", "noise.npz", *options, "--out", "r"]) == 0
    epochs = len(history(Path("r")))
    assert epochs < 20
    assert mistake(capsys, "train", "--resume", "r", "--epochs", "30") == (
        f"error: --resume expects a run that --epochs ended, got 'r', which --patience ended after epoch {epochs}: "
        "train on from its parameters with --warm-start"
    )
    settings = json.loads(Path("r/run.json").read_text())
    Path("r/run.json").write_text(json.dumps({**settings, "options": {**settings["options"], "ensemble": 2}}))
    for more in ([], ["--epochs", "30"]):
        assert mistake(capsys, "train", "--resume", "r", *more).endswith(": train a new ensemble with more --epochs")


@pytest.mark.slow
def test_a_diverging_run_keeps_its_last_good_epoch(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = np.random.default_rng(0).normal(size=(40, 2))
    np.savez("far.npz", X=rows, y=rows @ [1.0, 2.0])
    arguments = ["train", "far.npz", "--hidden", "none", "--task", "regression", "--optimizer", "sgd"]
    line = mistake(capsys, *arguments, "--learning-rate", "3", "--epochs", "500").splitlines()[-1]
    assert "became non-finite at step" in line
    assert "runs/far/model.h5 holds the network as it was after epoch" in line
    assert np.isfinite(jaxmlp.load_model("runs/far").predict(rows)).all()


@pytest.mark.slow
def test_a_run_stopped_in_its_first_epoch_has_a_model_and_goes_on(tmp_path, capsys, monkeypatch):
    def on_segment_end(self, progress):
        self.signal = signal.SIGINT
        return True

    monkeypatch.setattr("jaxmlp.training.batches.MAX_STEPS_PER_SEGMENT", 3)
    folder, whole = tmp_path / "run", tmp_path / "whole"
    arguments = ["train", "planar", "--hidden", "3", "--epochs", "2"]
    assert run([*arguments, "--out", str(whole)]) == 0
    with monkeypatch.context() as patch:
        patch.setattr("jaxmlp.cli.signals.Stop.on_segment_end", on_segment_end)
        capsys.readouterr()
        assert run([*arguments, "--out", str(folder), "--json"]) == 130
        said = capsys.readouterr()
        assert said.err.splitlines()[-1] == f"stopped after epoch 0, step 3; go on with: jaxmlp train --resume {folder}"
        answer = json.loads(said.out)
        assert (answer["epochs"], answer["cost"], answer["finished"]) == (0, None, False)
        assert 0 < answer["train_accuracy"] < 1
        assert jaxmlp.load_model(folder).net.sizes == (2, 3, 1)
        assert run(["train", "--resume", str(folder)]) == 130
        assert "history.csv" not in capsys.readouterr().out  # nor is there one before an epoch is over
    assert run(["train", "--resume", str(folder)]) == 0
    same_run(folder, whole)


@pytest.mark.slow
def test_an_interrupt_at_once_says_how_to_go_on(tmp_path, capsys, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("jaxmlp.inference.model.Model.save", interrupted)
    folder = tmp_path / "run"
    assert run(["train", "xor", "--hidden", "3", "--epochs", "2", "--out", str(folder)]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == f"interrupted; go on with: jaxmlp train --resume {folder}"
    monkeypatch.undo()
    assert run(["train", "--resume", str(folder)]) == 0


@pytest.mark.slow
def test_tensorboard_reads_what_was_written(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "run"
    assert run(["train", "xor", "--hidden", "3", "--epochs", "2", "--tensorboard", "--out", str(folder)]) == 0
    (events,) = (folder / "tensorboard").iterdir()
    written = events.read_bytes()
    assert written.count(b"validation_accuracy") == 2 == written.count(b"learning_rate")
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    assert mistake(capsys, "train", "xor", "--tensorboard").splitlines()[-1] == (
        'error: --tensorboard expects the package tensorboardX, got none: install it with pip install "jaxmlp[all]"'
    )


def test_without_orbax_a_run_is_trained_and_not_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "orbax", None)
    monkeypatch.setitem(sys.modules, "orbax.checkpoint", None)
    folder = tmp_path / "run"
    assert run(["train", "xor", "--hidden", "3", "--epochs", "2", "--out", str(folder)]) == 0
    assert "no checkpoints saved: checkpoints expects the package orbax-checkpoint, got none" in capsys.readouterr().err
    assert (folder / "model.h5").exists()
    with pytest.raises(jaxmlp.errors.InputError, match="checkpoints expects the package orbax-checkpoint, got none"):
        jaxmlp.fit(
            jaxmlp.network_for(jaxmlp.load("xor"), 3), jaxmlp.load("xor"), epochs=1, checkpoints=tmp_path / "kept"
        )


def test_a_thread_of_orbax_that_fails_late_prints_no_traceback(tmp_path, monkeypatch, caplog):
    ocp = checkpoints.orbax()

    class Late(threading.Thread):
        """As Orbax's own thread, which logs its error after the save has failed."""

        def run(self):
            time.sleep(0.3)
            logging.getLogger("absl").error("the thread failed")

    Late.__module__ = "orbax.checkpoint"

    def save(*_, **__):
        Late().start()
        raise ValueError("no room")

    monkeypatch.setattr(ocp.CheckpointManager, "save", save)
    level = logging.getLogger("absl").level
    data = jaxmlp.load("xor")
    with pytest.warns(UserWarning, match="was not saved in .* .ValueError: no room"):
        jaxmlp.fit(jaxmlp.network_for(data, (2,)), data, epochs=1, checkpoints=tmp_path / "run")
    time.sleep(0.5)
    assert "the thread failed" not in caplog.text
    assert logging.getLogger("absl").level == level
