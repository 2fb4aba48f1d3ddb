"""What a process does before a signal ends it."""

import signal
import subprocess
import sys

from jaxmlp import interrupts

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
