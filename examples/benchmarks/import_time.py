"""What `import jaxmlp` adds to `import jax, optax`, in seconds: fresh processes in turn, medians and spread.

python examples/benchmarks/import_time.py [--rounds 15]
"""

import argparse
import statistics
import subprocess
import sys
import time

STATEMENTS = {"jax, optax": "import jax, optax", "jax, optax, jaxmlp": "import jax, optax, jaxmlp"}


def seconds(statement: str) -> float:
    """Wall-clock time of a fresh process that runs the statement."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    for statement in STATEMENTS.values():  # a first run fills the caches of the file system
        seconds(statement)
    pairs = [tuple(map(seconds, STATEMENTS.values())) for _ in range(rounds)]
    for name, times in zip(STATEMENTS, zip(*pairs, strict=True), strict=True):
        print(f"import {name:20} {statistics.median(times):.3f} s  ({min(times):.3f} to {max(times):.3f})")
    added = [ours - theirs for theirs, ours in pairs]
    low, high = (statistics.quantiles(added, n=4)[i] for i in (0, 2))
    print(f"jaxmlp adds {statistics.median(added):.3f} s (quartiles {low:.3f} to {high:.3f}), {rounds} pairs in turn")


if __name__ == "__main__":
    main()
