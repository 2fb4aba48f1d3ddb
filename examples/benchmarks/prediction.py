"""Prediction beside scikit-learn, PyTorch and Keras: one row, and 10,000 rows, of the digits' network 64-100-10.

    python examples/benchmarks/prediction.py [--peers sklearn,torch] [--rounds 9] [--json]

Rows and answers are NumPy arrays; ours is `Model.predict`. In turn within one process, the first call of each not
counted; every peer has the same weights and must give the same classes.
"""

import argparse
import json
import sys
from functools import partial
from typing import Any

import numpy as np
from compare import chosen
from peers import PEERS
from tables import table
from workloads import Work, make

from jaxmlp.evidence.speed.timing import count_calls, ratios, repeat, spread, times_by_turns

ROUND = 0.05  # seconds of one measurement, about


def compare(work: Work, names: list[str], m: int, rounds: int) -> dict[str, Any]:
    """Microseconds of a call on m rows, and their ratios to ours."""
    rows = np.resize(work.X, (m, work.sizes[0]))
    calls = {name: partial(predictor_of(name)(work, work.initial), rows) for name in names}
    expected = np.asarray(calls[names[0]]())
    for name, call in calls.items():
        agree = float((np.asarray(call()) == expected).mean())
        assert agree > 0.999, f"{name} gives other classes than ours: {agree:.2%} agree"
    counts = {name: count_calls(call, ROUND) for name, call in calls.items()}
    times = times_by_turns({name: repeat(call, counts[name]) for name, call in calls.items()}, rounds)
    each = {name: [1e6 * took / counts[name] for took in times[name]] for name in names}
    return {
        "rows": m,
        "peers": {
            name: {
                "name": PEERS[name].name,
                "microseconds": spread(each[name])._asdict(),
                "ratio": ratios(each[name], each[names[0]])._asdict(),
            }
            for name in names
        },
    }


def predictor_of(name: str) -> Any:
    """The peer's predictor."""
    return PEERS[name].predictor


def show(found: dict[str, Any]) -> str:
    """The table for so many rows."""
    lines = [
        (
            peer["name"],
            f"{peer['microseconds']['median']:,.1f}",
            f"{peer['ratio']['median']:.2f} ({peer['ratio']['least']:.2f} to {peer['ratio']['greatest']:.2f})",
        )
        for peer in found["peers"].values()
    ]
    return f"prediction, rows: {found['rows']:,}\n{table(('', 'µs', 'ratio to ours'), lines)}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    able = [name for name, peer in PEERS.items() if peer.predictor is not None]
    parser.add_argument("--peers", metavar="A,B", help=f"some of {','.join(able)}, beside ours [all installed]")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", action="store_true", help="one JSON object for each number of rows")
    parser.add_argument("--fast", action="store_true", help="fewer rows and one round, for a quick look")
    options = parser.parse_args()
    wanted = chosen(options.peers, able, "--peers")
    names = ["jaxmlp", *(name for name in wanted if name != "jaxmlp" and PEERS[name].installed)]
    work = make("digits")
    for m in (1, 100) if options.fast else (1, 10_000):
        found = compare(work, names, m, 1 if options.fast else options.rounds)
        print(json.dumps(found) if options.json else show(found), flush=True)
        sys.stdout.flush()


if __name__ == "__main__":
    main()
