"""Training beside every installed peer: the same data, network, optimizer, batch, shuffling and number of steps.

    python examples/benchmarks/compare.py [--workloads small,digits] [--peers sklearn,torch] [--ours epochs] [--json]

For each workload (see `workloads.py`) all of them, in turn within one process, after a first run of each that is not
counted and that holds what they compile. The table: seconds of a run, their ratio to ours (median of the rounds, with
its spread), µs a step, and the share of the limit, which is the time of the matrix products alone, measured in the same
rounds by the fastest of XLA, NumPy and PyTorch; what XLA's own take stands beside it. All must train equally well: the
final costs and accuracies are printed, and the command fails where they differ by more than what another order of the
rows does.
"""

import argparse
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from limit import BY_XLA, limits
from peers import PEERS
from tables import table
from workloads import RECIPES, Work, judge, make

from jaxmlp.evidence.speed.products import flops
from jaxmlp.evidence.speed.timing import ratios, spread, turns

PAUSE = 0.3  # seconds between two of them: OpenMP's threads spin for 0.2 s after their last work
APART = {"relative": 0.1, "cost": 0.02, "accuracy": 0.02}  # how far final figures may lie from ours


def compare(work: Work, names: list[str], rounds: int) -> dict[str, Any]:
    """Everything that is measured of one workload, for `show` and for JSON."""
    trainers, first = {}, {}
    for name in names:
        note(f"{work.name}: {PEERS[name].name}")
        trainers[name] = PEERS[name].prepare(work)
        # as many epochs as in a round: few are trained in another program than many
        first[name], _ = timed(trainers[name].run, 0, work.epochs)
    products = limits(work)
    gc.collect()
    gc.freeze()  # nobody's turn goes by in walking through what all have imported
    times: dict[str, list[float]] = {name: [] for name in names}
    bounds: dict[str, list[float]] = {name: [] for name in products}
    trained = {}
    for i, name in enumerate(turns(names, rounds)):
        turn = i // len(names)
        note(f"{work.name}: round {turn + 1} of {rounds}, {PEERS[name].name}")
        time.sleep(PAUSE)
        took, answer = timed(trainers[name].run, turn, work.epochs)
        times[name].append(took)
        trained[name] = judge(work, trainers[name].layers(answer))
        if i % len(names) == len(names) - 1:
            time.sleep(PAUSE)
            for label, measure in products.items():
                bounds[label].append(measure())
    best = min(bounds, key=lambda name: statistics.median(bounds[name]))
    products_of_a_step = statistics.median(bounds[best])
    gflops = flops(work.sizes, work.batch or len(work.X)) / products_of_a_step / 1e9
    real = len(work.X) / (work.batch or len(work.X))  # batches in an epoch, the last one counted by its rows
    limit = products_of_a_step * real * work.epochs
    by_xla = min(statistics.median(seconds) for label, seconds in bounds.items() if label in BY_XLA)
    steps = work.steps * work.epochs
    return {
        "workload": work.name,
        "sizes": work.sizes,
        "rows": len(work.X),
        "batch": work.batch,
        "steps": steps,
        "rounds": rounds,
        "limit": {"seconds": limit, "by": best, "gflops": gflops, "xla": by_xla * real * work.epochs},
        "peers": {
            name: {
                "name": PEERS[name].name,
                "seconds": spread(times[name])._asdict(),
                "ratio": ratios(times[name], times[names[0]])._asdict(),
                "microseconds": 1e6 * statistics.median(times[name]) / steps,
                "share": limit / statistics.median(times[name]),
                "first": first[name],
                "cost": trained[name][0],
                "accuracy": trained[name][1],
            }
            for name in names
        },
    }


def timed(run: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    """The wall-clock time of a call, and its answer."""
    began = time.perf_counter()
    answer = run(*arguments)
    return time.perf_counter() - began, answer


def note(line: str) -> None:
    """Progress, for people, where it does not get in the way."""
    if sys.stderr.isatty():
        print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)


def unequal(found: dict[str, Any]) -> list[str]:
    """The peers that did not train as well as ours, or better, in words."""
    peers = list(found["peers"].values())
    ours = peers[0]
    far = []
    for peer in peers[1:]:
        apart = abs(peer["cost"] - ours["cost"])
        bound = max(APART["relative"] * ours["cost"], APART["cost"])
        if not apart <= bound or abs(peer["accuracy"] - ours["accuracy"]) > APART["accuracy"]:
            far.append(f"{found['workload']}: {peer['name']} ends at cost {peer['cost']:.4f}, ours {ours['cost']:.4f}")
    return far


def show(found: dict[str, Any]) -> str:
    """The table of a workload."""
    sizes = found["sizes"] if len(found["sizes"]) < 8 else (*found["sizes"][:2], "…", *found["sizes"][-2:])
    batch, limit = found["batch"] or "all", found["limit"]
    head = f"{found['workload']}: {'-'.join(map(str, sizes))}, {found['rows']:,} rows, batch {batch}"
    under = (
        f"limit {limit['seconds']:.3f} s: the matrix products alone, {limit['gflops']:.0f} GFLOP/s by {limit['by']}, "
        f"{limit['xla']:.3f} s by XLA; "
        f"{found['steps']:,} steps, {found['rounds']} rounds in turn"
    )
    headings = ("", "seconds", "ratio to ours", "µs a step", "limit", "cost", "accuracy")
    rows = [
        (
            peer["name"],
            f"{peer['seconds']['median']:.3f}",
            f"{peer['ratio']['median']:.2f} ({peer['ratio']['least']:.2f} to {peer['ratio']['greatest']:.2f})",
            f"{peer['microseconds']:,.1f}",
            f"{peer['share']:.0%}",
            f"{peer['cost']:.4f}",
            f"{peer['accuracy']:.2%}",
        )
        for peer in found["peers"].values()
    ]
    return f"{head}\n{table(headings, rows)}\n{under}\n"


def chosen(text: str | None, known: list[str], what: str) -> list[str]:
    """The names of an option, or all."""
    names = text.split(",") if text else known
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"error: {what} expects some of {', '.join(known)}, got {unknown[0]!r}: take one of these names")
    return names


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workloads", metavar="A,B", help=f"some of {','.join(RECIPES)} [all]")
    parser.add_argument("--peers", metavar="A,B", help=f"some of {','.join(PEERS)}, beside ours [all installed]")
    alone = "what they are compared with: our fit, or its epochs alone, on rows that are on the device as theirs are"
    parser.add_argument("--ours", choices=["jaxmlp", "epochs"], default="jaxmlp", help=f"{alone} [jaxmlp]")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="of the epochs of a run: 0.2 is a fifth of them [1]")
    parser.add_argument("--json", action="store_true", help="one JSON object for each workload")
    parser.add_argument("--fast", action="store_true", help="a few steps and one round, for a quick look")
    options = parser.parse_args()
    wanted = chosen(options.peers, [*PEERS], "--peers")
    names = [options.ours, *(name for name in wanted if name != options.ours and PEERS[name].installed)]
    far = []
    for workload in chosen(options.workloads, [*RECIPES], "--workloads"):
        work = make(workload, options.fast)
        work = work._replace(epochs=max(1, round(options.scale * work.epochs)))
        found = compare(work, names, 1 if options.fast else options.rounds)
        note("")
        print(json.dumps(found) if options.json else show(found), flush=True)
        far += [] if options.fast else unequal(found)
    if far:
        sys.exit("\n".join(["these did not train equally well:", *far]))


if __name__ == "__main__":
    main()
