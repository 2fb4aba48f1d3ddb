"""What a process does before a signal ends it."""

import signal
import subprocess
import sys

import pytest

from jaxmlp import interrupts
from jaxmlp.cli.run_folder import open_run
from jaxmlp.cli.signals import stop_on_signal

SIGNALLED = """
import os, signal
from jaxmlp import interrupts
interrupts.install()
def gone():
    raise FileNotFoundError("the folder is gone")
with interrupts.clean_up_on_signal(lambda: "go on with: --resume RUN"), interrupts.clean_up_on_signal(gone):
    os.kill(os.getpid(), signal.SIGTERM)
print("not reached")
"""


def test_every_clean_up_runs_and_says_its_part():
    signalled = subprocess.run([sys.executable, "-c", SIGNALLED], capture_output=True, text=True)
    assert (signalled.returncode, signalled.stdout) == (128 + signal.SIGTERM, "")
    assert signalled.stderr == "terminated; FileNotFoundError: the folder is gone; go on with: --resume RUN\n"


def test_a_clean_up_ends_with_its_block():
    before = len(interrupts._clean_ups)
    with interrupts.clean_up_on_signal(lambda: None):
        assert len(interrupts._clean_ups) == before + 1
    assert len(interrupts._clean_ups) == before


def test_a_handler_set_in_c_stays(monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    known = signal.getsignal
    # Python sees a handler of C as None, and cannot set it again
    monkeypatch.setattr(signal, "getsignal", lambda name: None if name == signal.SIGTERM else known(name))
    with stop_on_signal():
        assert known(signal.SIGTERM) == before
        assert known(signal.SIGINT) is not signal.default_int_handler
    assert known(signal.SIGTERM) == before


@pytest.mark.parametrize(
    ("name", "can_resume"),
    [
        ("history.csv", True),
        ("member-3.h5", True),
        ("checkpoints/12", True),
        ("checkpoints/12.orbax-checkpoint-tmp", False),
        ("notes.txt", False),
    ],
)
def test_an_interrupted_run_says_how_to_go_on_where_there_is_something(tmp_path, name, can_resume):
    path = tmp_path / "run" / name
    (tmp_path / "run").mkdir()

    def interrupted():
        with open_run(tmp_path / "run", {"command": "train"}, resumed=False):
            path.parent.mkdir(exist_ok=True)
            path.touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        interrupted()
    assert ("--resume" in str(caught.value)) == can_resume
    assert path.exists() == (can_resume or name == "notes.txt")  # an unfinished checkpoint is ours to remove
