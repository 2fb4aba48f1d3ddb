"""The regression guard: two checkouts in turn; exit code 1 when the second has lost 10 % of the speed of the first.

    python examples/benchmarks/regression.py OLD NEW [--workloads small,digits] [--rounds 5] [--at-most 1.10]

    python examples/benchmarks/regression.py main .         # a git revision, and the working tree
    python examples/benchmarks/regression.py v0.1.0 HEAD    # two revisions, each checked out into a temporary folder

Each checkout has a process of its own that holds its compiled programs; a round asks one and then the other to train a
workload once. Processes differ by luck (where their memory lies), so --starts pairs of them share the rounds. What
counts is the median of the rounds' ratios, new to old, shown with its spread. On a busy machine compare a checkout with
itself first: what that shows is noise.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from workloads import RECIPES, make

WORKLOADS = ("small", "planar", "digits", "mnist")


class Checkout:
    """A process that trains with the package of one folder."""

    def __init__(self, folder: Path, fast: bool) -> None:
        command = [sys.executable, __file__, "--serve", *(["--fast"] if fast else [])]
        path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path}, **pipes)

    def seconds(self, workload: str) -> float:
        """Of one training."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{workload}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit("error: a checkout stopped, for the reason above: make it run before it is measured")
        return json.loads(answer)

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def serve(fast: bool) -> None:
    """In a checkout's process: train what is asked for, answer with the seconds; the first time of each compiles."""
    from peers.ours import prepare

    trainers: dict[str, Any] = {}
    for line in sys.stdin:
        name = line.strip()
        epochs = RECIPES[name].fast[1] if fast else RECIPES[name].epochs
        if name not in trainers:
            trainers[name] = prepare(make(name, fast))
            trainers[name].run(0, epochs)
        began = time.perf_counter()
        trainers[name].run(1, epochs)
        print(json.dumps(time.perf_counter() - began), flush=True)


@contextmanager
def folder_of(place: str) -> Iterator[Path]:
    """A folder as it is, or a git revision checked out for as long as it is needed."""
    if (Path(place) / "jaxmlp").is_dir():
        yield Path(place).resolve()
        return
    with tempfile.TemporaryDirectory() as temporary:
        target = Path(temporary) / "checkout"
        done = subprocess.run(
            ["git", "worktree", "add", "--detach", str(target), place], capture_output=True, text=True
        )
        if done.returncode:
            remedy = "name a folder that holds jaxmlp/, or a revision of this repository"
            sys.exit(f"error: OLD and NEW expect a checkout or a git revision, got {place!r}: {remedy}")
        try:
            yield target
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(target)], capture_output=True)


Times = dict[str, tuple[list[float], list[float]]]  # of old and new by workload


def measure(folders: list[Path], times: Times, rounds: int, fast: bool) -> None:
    """A process for each of the two folders: so many rounds of every workload more."""
    with ExitStack() as stack:
        pair = [Checkout(folder, fast) for folder in folders]
        for checkout in pair:
            stack.callback(checkout.close)
        for workload, found in times.items():
            for checkout in pair:
                checkout.seconds(workload)  # the first holds compilation
            for turn in range(rounds):
                for i in (0, 1) if turn % 2 == 0 else (1, 0):
                    found[i].append(pair[i].seconds(workload))


def summary(workload: str, times: tuple[list[float], list[float]]) -> dict[str, Any]:
    """Seconds of both and the ratio, new to old."""
    from jaxmlp.evidence.speed.timing import ratios, spread

    ratio = ratios(times[1], times[0])
    return {
        "workload": workload,
        "old": spread(times[0])._asdict(),
        "new": spread(times[1])._asdict(),
        "ratio": ratio._asdict(),
    }


def show(found: dict[str, Any], lost: bool) -> str:
    """A line."""
    old, new, ratio = found["old"]["median"], found["new"]["median"], found["ratio"]
    spread = f"{ratio['median']:.3f} ({ratio['least']:.3f} to {ratio['greatest']:.3f})"
    return f"{found['workload']:8} old {old:8.4f} s  new {new:8.4f} s  new/old {spread}{'  LOST' if lost else ''}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", nargs="?", default="HEAD", help="a checkout or a git revision [HEAD]")
    parser.add_argument("new", nargs="?", default=".", help="likewise [the working tree]")
    parser.add_argument("--workloads", metavar="A,B", default=",".join(WORKLOADS), help=f"of {','.join(RECIPES)}")
    parser.add_argument("--starts", type=int, default=4, help="pairs of processes [4]")
    parser.add_argument("--rounds", type=int, default=5, help="in each pair [5]")
    parser.add_argument("--at-most", type=float, default=1.10, help="the ratio that still passes")
    parser.add_argument("--json", action="store_true", help="one JSON object for each workload")
    parser.add_argument("--fast", action="store_true", help="a few steps and two rounds, nothing fails: for tests")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.fast)
        return
    from compare import chosen

    times: Times = {name: ([], []) for name in chosen(options.workloads, [*RECIPES], "--workloads")}
    with ExitStack() as stack:
        folders = [stack.enter_context(folder_of(place)) for place in (options.old, options.new)]
        for _ in range(1 if options.fast else options.starts):
            measure(folders, times, 2 if options.fast else options.rounds, options.fast)
    summaries = [summary(name, found) for name, found in times.items()]
    lost = [found["ratio"]["median"] > options.at_most for found in summaries]
    for found, slower in zip(summaries, lost, strict=True):
        print(json.dumps(found) if options.json else show(found, slower), flush=True)
    if any(lost) and not options.fast:
        sys.exit(1)


if __name__ == "__main__":
    main()
