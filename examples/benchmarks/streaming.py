"""Training from a file larger than its memory beside training on rows in memory: rows per second, and the memory.

    python examples/benchmarks/streaming.py [--rows 640000] [--features 784] [--memory 256] [--dtype float32] [--fast]

Writes a file of random rows (2 GB by default) into a temporary folder, by blocks. 784-128-10, relu, Adam, batches of
128; one epoch to compile and one that is timed, streamed from the whole file, and on as many of its rows in memory as
--in-memory says, in turn --rounds times. Each runs in a process of its own, which reports the most memory it had
(VmHWM) beyond what it had before it opened the file. With --stored gzip the file is compressed.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import h5py
import jax
import numpy as np

import jaxmlp

CLASSES, BATCH, BLOCK = 10, 128, 4096
GOALS = {"ratio": 0.7, "megabytes": 600}


def write(path: Path, m: int, n: int, dtype: str, compression: str | None) -> None:
    """A file of rows whose class can be learnt, a block at a time."""
    rng = np.random.default_rng(0)
    centres = rng.integers(0, 128, (CLASSES, n))
    chunks = (min(m, 1024), n) if compression else None
    with h5py.File(path, "w") as file:
        rows = file.create_dataset("X", (m, n), dtype, chunks=chunks, compression=compression)
        labels = file.create_dataset("y", (m,), "uint8")
        for i in range(0, m, BLOCK):
            k = min(BLOCK, m - i)
            ids = rng.integers(0, CLASSES, k)
            block = centres[ids] + rng.integers(0, 128, (k, n))
            rows[i : i + k] = block if dtype == "uint8" else (block - 128) / 64
            labels[i : i + k] = ids


def megabytes(figure: str) -> float:
    """VmHWM, the most memory that this process has had, or VmRSS, what it has now; 0 where there is no /proc."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(figure))


def in_memory(path: Path, m: int) -> jaxmlp.Dataset:
    """The first rows of the file, and a few of them as a test part."""
    with h5py.File(path, "r") as file:
        arrays: Any = file["X"], file["y"]
        X, y = (array[:m] for array in arrays)
    return jaxmlp.Dataset.from_arrays(X, y, test=(X[:1000], y[:1000]), name="in memory")


def measure(path: Path, how: str, m: int, memory: int) -> dict[str, float]:
    """Train two epochs, and time the second."""
    jax.block_until_ready(jax.numpy.zeros(1))
    before = megabytes("VmRSS")
    data = jaxmlp.stream(path, memory=memory, test_fraction=1000 / m) if how == "stream" else in_memory(path, m)
    net = jaxmlp.network_for(data, (128,))
    result = jaxmlp.fit(net, data, epochs=2, batch_size=BATCH)
    first, last = result.history
    assert last.validation_accuracy > 1.5 / CLASSES, "it does not learn"
    assert first.seconds is not None
    assert last.seconds is not None
    rate = len(data.train.rows) / (last.seconds - first.seconds)
    return {"rate": rate, "megabytes": megabytes("VmHWM") - before, "rows": len(data.train.rows)}


def measured(path: Path, how: str, m: int, memory: int) -> dict[str, float]:
    """`measure` in a process of its own."""
    command = [sys.executable, __file__, "--measure", how, str(path), "--rows", str(m), "--memory", str(memory)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=640_000)
    parser.add_argument("--features", type=int, default=784)
    parser.add_argument("--in-memory", type=int, help="rows of the comparison [all]")
    parser.add_argument("--memory", type=int, default=256, help="MB of the stream")
    parser.add_argument("--dtype", choices=["float32", "uint8"], default="float32")
    parser.add_argument("--stored", choices=["plain", "gzip"], default="plain")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to write the file [a temporary folder]")
    parser.add_argument("--fast", action="store_true", help="20,000 rows, 40 MB, one round: for tests")
    parser.add_argument("--measure", nargs=2, metavar=("HOW", "PATH"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        how, path = options.measure
        print(json.dumps(measure(Path(path), how, options.rows, options.memory * 2**20)))
        return
    if options.fast:
        options.rows, options.memory, options.rounds = 20_000, 40, 1
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "big.h5"
        write(path, options.rows, options.features, options.dtype, None if options.stored == "plain" else "gzip")
        size = path.stat().st_size / 1e9
        print(
            f"{size:.2f} GB, {options.rows} rows of {options.features} {options.dtype}, {options.memory} MB to read it"
        )
        kept = options.in_memory or options.rows
        rounds = [
            (measured(path, "stream", options.rows, options.memory), measured(path, "memory", kept, options.memory))
            for _ in range(options.rounds)
        ]
    for name, runs in zip(("streamed", "in memory"), zip(*rounds, strict=True), strict=True):
        rate, most = (statistics.median(run[key] for run in runs) for key in ("rate", "megabytes"))
        print(f"{name:10} {rate:9,.0f} rows/s, {most:6.0f} MB more than before the file was opened")
    ratio = statistics.median(streamed["rate"] / kept["rate"] for streamed, kept in rounds)
    most = max(streamed["megabytes"] for streamed, _ in rounds)
    print(f"ratio      {ratio:9.2f} (goal {GOALS['ratio']}), {most:.0f} MB at most (goal {GOALS['megabytes']})")
    if not options.fast:
        assert most <= GOALS["megabytes"], most


if __name__ == "__main__":
    main()
