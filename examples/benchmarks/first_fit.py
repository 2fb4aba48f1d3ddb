"""The first fit in a fresh process: digits to 97 % on the test part, import and compilation included; verification.

    python examples/benchmarks/first_fit.py [--peers sklearn,torch] [--rounds 3] [--json]

64-100-10, batches of 32, Adam, 12 epochs, each run a process of its own, in turn. What runs on JAX does so twice: cold,
and warm with JAX's persistent compilation cache filled by a run before. Then `jaxmlp verify`, likewise.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from compare import chosen
from peers import PEERS
from tables import table
from workloads import Layers, Work, initial, judge

EPOCHS, ACCURACY = 12, 0.97
ON_JAX = ("jaxmlp", "keras", "nnx", "equinox", "loop", "scan")
NAMES = ("jaxmlp", "sklearn", "torch", "keras", "nnx", "equinox", "loop", "scan")
CACHE = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}


class Start(NamedTuple):
    """A process to time.

    Attributes:
      name: of its line in the table.
      command: of the process; it prints the test accuracy, where there is one.
      cache: the folder of JAX's compilation cache; None for none.
    """

    name: str
    command: tuple[str, ...]
    cache: Path | None = None


def train(name: str, path: str, epochs: int) -> None:
    """In the fresh process: read the rows, train, say how well."""
    with np.load(path) as file:
        X, y, test_X, test_y = (file[key] for key in ("X", "y", "test_X", "test_y"))
    sizes = (64, 100, 10)
    work = Work("digits", sizes, "relu", X, y, 32, "adam", 1e-3, epochs, initial(sizes, "relu"))
    trainer = PEERS[name].prepare(work)
    layers: Layers = trainer.layers(trainer.run(0, epochs))
    print(judge(work._replace(X=test_X, y=test_y), layers)[1])


def took(start: Start) -> tuple[float, float | None]:
    """Seconds of the process, and the accuracy it says."""
    switches = {} if start.cache is None else {"JAX_COMPILATION_CACHE_DIR": str(start.cache), **CACHE}
    own = {"JAX_COMPILATION_CACHE_DIR", "JAXMLP_CACHE"}
    clean = {key: value for key, value in os.environ.items() if key not in own} | {"JAXMLP_CACHE": "off"}
    began = time.perf_counter()
    done = subprocess.run(start.command, capture_output=True, text=True, env=clean | switches)
    spent = time.perf_counter() - began
    if done.returncode:
        sys.exit(done.stderr)
    last = done.stdout.split()[-1:]
    return spent, float(last[0]) if "--child" in start.command else None


def starts(names: list[str], folder: Path, epochs: int, verify: bool) -> list[Start]:
    """Every process to time, the reference first: ours with a cold cache."""
    found = []
    for name in names:
        child = (sys.executable, __file__, "--child", name, str(folder / "digits.npz"), "--epochs", str(epochs))
        found.append(Start(f"{PEERS[name].name}{', cold' if name in ON_JAX else ''}", child))
        if name in ON_JAX:
            found.append(Start(f"{PEERS[name].name}, warm", child, folder / name))
    if verify:
        command = (sys.executable, "-m", "jaxmlp", "verify", "--json")
        found += [Start("jaxmlp verify, cold", command), Start("jaxmlp verify, warm", command, folder / "verify")]
    return found


def write(path: Path) -> None:
    """The packaged digits, scaled, for everybody to read."""
    import jaxmlp

    data = jaxmlp.load("digits")
    assert data.test is not None
    rows, test = (np.asarray(data.preprocessing(part.rows), np.float32) for part in (data.train, data.test))
    np.savez(path, X=rows, y=data.train.targets.astype(np.int64), test_X=test, test_y=data.test.targets)


def measure(wanted: list[Start], rounds: int) -> dict[str, Any]:
    """Seconds and accuracies by name; what has a cache runs once before, to fill it."""
    from jaxmlp.evidence.speed.timing import ratios, spread, turns

    for start in wanted:
        if start.cache is not None:
            took(start)
    by_name = {start.name: start for start in wanted}
    times: dict[str, list[float]] = {name: [] for name in by_name}
    accuracies: dict[str, float | None] = {}
    for name in turns(list(by_name), rounds):
        spent, accuracies[name] = took(by_name[name])
        times[name].append(spent)
    return {
        name: {
            "seconds": spread(times[name])._asdict(),
            "ratio": ratios(times[name], times[wanted[0].name])._asdict(),
            "accuracy": accuracies[name],
        }
        for name in by_name
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", metavar="A,B", help=f"some of {','.join(NAMES)} [all installed]")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--fast", action="store_true", help="ours and one epoch, for a quick look")
    parser.add_argument("--child", nargs=2, metavar=("NAME", "ROWS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, path = options.child
        train(name, path, options.epochs)
        return
    wanted = chosen(options.peers, [*NAMES], "--peers")
    names = ["jaxmlp", *(name for name in wanted if name != "jaxmlp" and PEERS[name].installed)]
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "digits.npz")
        if options.fast:
            found = measure(starts(["jaxmlp"], Path(folder), 1, False)[:1], 1)
        else:
            found = measure(starts(names, Path(folder), options.epochs, True), options.rounds)
    if options.json:
        print(json.dumps(found))
    else:
        lines = [
            (
                name,
                f"{row['seconds']['median']:.2f} ({row['seconds']['least']:.2f} to {row['seconds']['greatest']:.2f})",
                f"{row['ratio']['median']:.2f}",
                "" if row["accuracy"] is None else f"{row['accuracy']:.2%}",
            )
            for name, row in found.items()
        ]
        print(table(("", "seconds", "ratio to ours, cold", "test accuracy"), lines))
    poor = [name for name, row in found.items() if row["accuracy"] is not None and row["accuracy"] < ACCURACY]
    if poor and not options.fast:
        sys.exit(f"below {ACCURACY:.0%} on the test part: {', '.join(poor)}")


if __name__ == "__main__":
    main()
