"""The hand-written backward pass beside autodiff of the same network, for every activation.

    python examples/benchmarks/backward.py [--workloads mnist,wide] [--activations relu,tanh] [--rounds 9] [--json]

    mnist     784-128-10, 128 examples
    wide      1024-1024-1024-10, 512 examples

Both compute J and its gradient from the same forward pass; "autodiff" is that pass without a rule of ours. Time in
turn, median of the rounds with its spread; temporary bytes by XLA's memory analysis; FLOPs as XLA counts them. The
command fails where the manual pass takes more memory than autodiff's, or more than --at-most times its time.
"""

import argparse
import json
import sys

from compare import chosen
from tables import table

from jaxmlp.evidence.speed.backward import Comparison, compare_backward
from jaxmlp.nn.activations import ACTIVATIONS
from jaxmlp.nn.network import Network

SIZES = {"mnist": ((784, 128, 10), 128), "wide": ((1024, 1024, 1024, 10), 512)}
FAST = {"mnist": ((20, 8, 3), 16), "wide": ((8, 8, 8, 3), 16)}


def row(name: str, found: Comparison) -> tuple[str, ...]:
    """A line of the table."""
    (manual, autodiff), (bytes_ours, bytes_theirs), (flops, flops_theirs) = found.microseconds, found.bytes, found.flops
    return (
        f"{name} {found.net.activations[0].name}",
        f"{manual:,.0f}",
        f"{autodiff:,.0f}",
        found.ratio.text(),
        f"{bytes_ours:,}",
        f"{bytes_ours / bytes_theirs:.2f}" if bytes_theirs else "",
        f"{flops / flops_theirs:.3f}",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workloads", metavar="A,B", help="mnist, wide [both]")
    parser.add_argument("--activations", metavar="A,B", help="of the hidden layers [every one]")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--at-most", type=float, default=1.25, help="of autodiff's time; a busy machine needs room")
    parser.add_argument("--json", action="store_true", help="one JSON object for each line")
    parser.add_argument("--fast", action="store_true", help="small networks and one round, for a quick look")
    options = parser.parse_args()
    lines, worse = [], []
    for workload in chosen(options.workloads, [*SIZES], "--workloads"):
        sizes, m = (FAST if options.fast else SIZES)[workload]
        for activation in chosen(options.activations, [*ACTIVATIONS], "--activations"):
            net = Network(sizes, activation, "softmax")
            found = compare_backward(net, m, rounds=1 if options.fast else options.rounds)
            lines.append(row(workload, found))
            if options.json:
                print(json.dumps({"workload": workload, **found.to_dict()}), flush=True)
            if not options.fast and (found.bytes[0] > found.bytes[1] or found.ratio.median > options.at_most):
                worse.append(lines[-1][0])
    if not options.json:
        print(table(("", "manual µs", "autodiff µs", "ratio", "bytes", "ratio", "FLOPs ratio"), lines))
    if worse:
        sys.exit(f"autodiff is ahead of the manual pass: {', '.join(worse)}")


if __name__ == "__main__":
    main()
