"""run.json, its checksum and its folder: what was edited or damaged is told, and a folder has one owner."""

import json
import os
import subprocess
import sys

import pytest

import jaxmlp
from jaxmlp.cli import run_folder
from jaxmlp.cli.main import run
from jaxmlp.data.locks import LOCK, owned
from jaxmlp.errors import InputError

OTHER = "import sys; from pathlib import Path; from jaxmlp.data.locks import owned\n"
HOLD = OTHER + "with owned(Path(sys.argv[1])): print('held', flush=True); sys.stdin.readline()"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run of two epochs."""
    folder = tmp_path_factory.mktemp("run") / "r"
    assert run(["train", "xor", "--hidden", "3", "--epochs", "2", "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def settings(trained):
    """run.json as it was written, which each test may change and is given back."""
    path = trained / "run.json"
    content = path.read_bytes()
    yield path
    if path.is_symlink() or path.is_fifo():
        path.unlink()
    path.write_bytes(content)


def answer(capsys, *arguments):
    """Exit code, and the one line of an error if there is one."""
    capsys.readouterr()
    code = run([str(argument) for argument in arguments])
    err = capsys.readouterr().err
    lines = [line.removeprefix("error: ") for line in err.splitlines() if line.startswith("error: ")]
    assert len(lines) == (code == 2)
    return code, "".join(lines)


def changed(**facts):
    return lambda good: {**good, **facts}


EDITS = {
    "a number": lambda good: 7,
    "a list": lambda good: [good],
    "a text": lambda good: "run",
    "no data": lambda good: {name: value for name, value in good.items() if name != "data"},
    "no loading": lambda good: {name: value for name, value in good.items() if name != "loading"},
    "no fingerprint": lambda good: {name: value for name, value in good.items() if name != "fingerprint"},
    "data of a number": changed(data=7),
    "loading of nothing": changed(loading=None),
    "loading of a list": changed(loading=[1]),
    "loading of unknown names": changed(loading={"code": "1"}),
    "loading of objects": changed(loading={"seed": {}, "task": {}}),
    "a seed of text": changed(loading={"seed": "1"}),
    "a fraction of infinity": changed(loading={"test_fraction": float("inf")}),
    "roles of numbers": changed(loading={"roles": {"a": 1}}),
    "columns of numbers": changed(loading={"drop": [1]}),
    "options of a list": changed(options=[]),
    "an optimizer of a list": lambda good: {**good, "options": {**good["options"], "optimizer": [1]}},
    "epochs of text": lambda good: {**good, "options": {**good["options"], "epochs": "all"}},
    "a fingerprint of a number": changed(fingerprint=7),
    "finished of text": changed(finished="yes"),
    "diverged of text": changed(diverged="all"),
}
TEXTS = {"nested": "[" * 100_000, "cut": '{"data": "xor", "opt', "empty": "", "binary": "\x00\udcff", "NaN": "NaN"}


@pytest.mark.parametrize("command", [["evaluate", "RUN", "xor"], ["train", "--resume", "RUN"]], ids=lambda c: c[0])
@pytest.mark.parametrize("edit", [*EDITS, *TEXTS])
def test_an_edited_file_is_refused_in_a_sentence(edit, command, trained, settings, capsys):
    if edit in EDITS:
        settings.write_text(json.dumps(EDITS[edit](json.loads(settings.read_text()))))
    else:
        settings.write_bytes(TEXTS[edit].encode("utf-8", "surrogateescape"))
    before = sorted(os.listdir(trained))
    code, line = answer(capsys, *(str(trained) if part == "RUN" else part for part in command))
    assert code == 2
    assert line.startswith(f"{settings} expects the settings of a run, got a damaged file (")
    assert len(line) < 500
    assert sorted(os.listdir(trained)) == before


@pytest.mark.skipif(os.name != "posix", reason="pipes in folders")
@pytest.mark.parametrize("special", ["a pipe", "/dev/zero"])
def test_what_never_ends_is_no_file_of_settings(special, trained, settings, capsys):
    settings.unlink()
    if special == "a pipe":
        os.mkfifo(settings)
    else:
        settings.symlink_to(special)
    assert "run.json expects a regular file" in answer(capsys, "evaluate", trained, "xor")[1]


def test_a_flipped_bit_is_told_apart_from_another_program(trained, settings, capsys):
    text = settings.read_text()
    settings.write_text(text.replace('"epochs": 2', '"epochs": 6', 1))  # one bit, in our layout
    assert "changed since it was written, as its checksum tells" in answer(capsys, "evaluate", trained, "xor")[1]
    facts = json.loads(text)
    facts["options"]["epochs"] = 6
    settings.write_text(json.dumps(facts))  # in a layout of its own
    capsys.readouterr()
    assert run(["evaluate", str(trained), "xor"]) == 0
    assert "was written again by another program" in capsys.readouterr().err
    del facts["checksum"]  # as earlier releases wrote it, or as one who has edited it
    settings.write_text(json.dumps(facts, indent=1) + "\n")
    capsys.readouterr()
    assert run(["evaluate", str(trained), "xor"]) == 0
    assert "note:" not in capsys.readouterr().err


def test_an_option_that_an_older_release_did_not_write_has_its_default(trained, settings, capsys, tmp_path):
    facts = json.loads(settings.read_text())
    del facts["options"]["ema_decay"], facts["checksum"]
    settings.write_text(json.dumps({**facts, "finished": False}))
    assert answer(capsys, "train", "--resume", trained)[0] == 0


# --- the owner of a folder --------------------------------------------------------------------------------------------


@pytest.fixture
def other_owner(tmp_path):
    """Another process that owns `tmp_path`/run."""
    folder = tmp_path / "run"
    folder.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such locks")
def test_every_command_that_writes_sees_the_owner(other_owner, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = f"run folder run expects one process at a time, got process {other_owner.pid} on "
    assert answer(capsys, "train", "xor", "--out", "run")[1].startswith(line)
    sweep = answer(capsys, "sweep", "xor", "--epochs", "1", "--out", "run/board.csv")[1]
    assert f"got process {other_owner.pid} on " in sweep
    data = jaxmlp.load("xor")
    with pytest.raises(InputError, match=f"got process {other_owner.pid} on "):
        jaxmlp.fit(jaxmlp.network_for(data, 3), data, epochs=1, checkpoints=tmp_path / "run")
    assert os.listdir("run") == [LOCK]
    other_owner.kill()  # the lock goes with its owner, whose file stays behind
    other_owner.wait()
    assert os.listdir("run") == [LOCK]
    with owned(tmp_path / "run"):
        assert (tmp_path / "run" / LOCK).read_text().startswith(f"process {os.getpid()} on ")
    assert os.listdir("run") == []


@pytest.mark.parametrize("name", ["..", ".", "a/b", "\x1b[31m", "", " . "])
def test_default_folders_are_plain_names_in_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with run_folder.claimed(None, name) as first, run_folder.claimed(None, name) as second:
        for folder in (first, second):
            assert folder.parent.resolve() == tmp_path / "runs"
            assert folder.resolve().parent == tmp_path / "runs"
            assert folder.name.isprintable()
        assert first != second
    assert os.listdir(tmp_path) == []  # both were empty


def test_a_folder_that_goes_away_costs_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen = []

    def moved(self, progress):
        seen.append(progress.history[-1].epoch)
        if seen == [1, 2]:
            os.rename("r", "elsewhere")
        return False

    monkeypatch.setattr("jaxmlp.cli.signals.Stop.on_epoch_end", moved)
    capsys.readouterr()
    with pytest.warns(UserWarning, match="the folder checkpoints is gone"):
        assert run(["train", "xor", "--hidden", "3", "--epochs", "50", "--out", "r"]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line == (
        "error: the run folder r was removed or moved during the training: the network as it was after epoch 3 "
        "is in r-rescued"
    )
    assert jaxmlp.load_model("r-rescued").net.sizes == (2, 3, 1)
    assert (tmp_path / "r-rescued" / "history.csv").read_text().count("\n") == 4
    assert not os.path.exists("r")
