"""Nothing is lost: runs killed at random moments and resumed are, bit for bit, the run that nobody killed.

    python examples/killed.py [--points 20] [--seed 0] [--fast]

Digits with dropout, batch normalisation, a schedule, early stopping and a moving average; half of the runs with rows in
memory, half streamed from an HDF5 file. Each is a process that gets SIGKILL at a random moment between its first
sign of life and its end, half of them once more after `--resume`; then it is resumed and must end with the parameters
and the history of the run that was left alone.
"""

import argparse
import csv
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import jax
import numpy as np

import jaxmlp

JAXMLP = [sys.executable, "-m", "jaxmlp"]
OPTIONS = [
    *("--hidden", "32,16", "--norm", "batch", "--dropout", "0.2", "--ema", "0.95"),
    *("--schedule", "cosine", "--learning-rate", "0.003", "--patience", "60", "--checkpoint-every", "0.5"),
]


def digits_in_hdf5(path: Path) -> None:
    """The packaged digits as a file to stream from."""
    data = jaxmlp.load("digits")
    with h5py.File(path, "w") as file:
        file["X"], file["y"] = data.train.rows, data.train.targets


def begin(command: list[str]) -> subprocess.Popen[str]:
    """A command as a process of its own."""
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finish(command: list[str]) -> float:
    """Run a command to its end; the seconds from its first sign of life."""
    process = begin(command)
    began = alive(process, Path(command[-1]))
    error = process.communicate()[1]
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}\n{error}")
    return time.monotonic() - began


def alive(process: subprocess.Popen[str], folder: Path) -> float:
    """Wait until the run has its settings: from there on it can be resumed."""
    while not (folder / "run.json").exists() and process.poll() is None:
        time.sleep(0.005)
    return time.monotonic()


def kill(command: list[str], folder: Path, after: float) -> bool:
    """Run a command and kill it after so many seconds of life; whether it was still alive then."""
    process = begin(command)
    alive(process, folder)
    time.sleep(after)
    process.kill()
    process.communicate()
    return process.returncode < 0


def result(folder: Path) -> tuple[list[np.ndarray], list[list[str]]]:
    """The parameters, and history.csv without its last column, the seconds."""
    with open(folder / "history.csv", newline="") as file:
        history = [row[:-1] for row in csv.reader(file)]
    return [np.asarray(leaf) for leaf in jax.tree.leaves(jaxmlp.load_model(folder).params)], history


def same(folder: Path, other: Path) -> bool:
    """Whether two runs have ended alike, to the last bit."""
    (ours, history), (theirs, other_history) = result(folder), result(other)
    return history == other_history and all(a.tobytes() == b.tobytes() for a, b in zip(ours, theirs, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=20, help="how many runs to kill")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--fast", action="store_true", help="two short runs")
    given = parser.parse_args()
    points, epochs = (2, 20) if given.fast else (given.points, 120)
    chance = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        digits_in_hdf5(place / "digits.h5")
        stream = [str(place / "digits.h5"), "--stream", "--memory", "1MB"]
        commands, seconds = {}, {}
        for kind, data in {"in memory": ["digits"], "streamed": stream}.items():
            commands[kind] = [*JAXMLP, "train", *data, *OPTIONS, "--epochs", str(epochs), "--out"]
            seconds[kind] = finish([*commands[kind], str(place / kind)])
            epochs_done = len(result(place / kind)[1]) - 1
            print(f"{kind}: {epochs_done} epochs, {seconds[kind]:.1f} s from the first sign of life to the end")
        equal = 0
        for i in range(points):
            kind, folder = list(commands)[i % 2], place / f"run-{i}"
            resume = [*JAXMLP, "train", "--resume", str(folder)]
            moments = [chance.uniform(0, seconds[kind])]
            killed = kill([*commands[kind], str(folder)], folder, moments[0])
            if killed and chance.random() < 0.5:
                moments.append(chance.uniform(0, seconds[kind]))
                kill(resume, folder, moments[1])
            if killed and not finished(folder):
                finish(resume)
            equal += same(folder, place / kind)
            when = " and ".join(f"{moment:.2f}" for moment in moments)
            print(f"{i + 1:3} {kind}, killed after {when} s: {equal} of {i + 1} equal", flush=True)
    assert equal == points, f"only {equal} of {points} runs ended as the one left alone"


def finished(folder: Path) -> bool:
    """Whether a run has come to its end."""
    return '"finished": true' in (folder / "run.json").read_text(encoding="utf-8")


if __name__ == "__main__":
    main()
