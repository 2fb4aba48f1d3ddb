"""Training time on the packaged digits beside scikit-learn: same network, optimizer, batch, shuffling and steps.

    python examples/benchmarks/digits.py [--epochs 30] [--rounds 7]

64-100-10, relu, Adam with learning rate 0.001, batches of 32, all rows in a new order every epoch; in turn within one
process, after a first fit of each that is not counted (it holds our compilation). Both must train equally well.
"""

import argparse
import statistics
import time
import warnings
from typing import Any, NamedTuple

import jax
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

import jaxmlp

HIDDEN, BATCH = 100, 32


class Run(NamedTuple):
    """Seconds of a fit, its final cost and its test accuracy."""

    seconds: float
    cost: float
    accuracy: float


def ours(data: jaxmlp.Dataset, epochs: int, seed: int) -> Run:
    """`jaxmlp.fit`; it also reports the test part's accuracy after every epoch."""
    net = jaxmlp.network_for(data, (HIDDEN,))
    began = time.perf_counter()
    result = jaxmlp.fit(net, data, epochs=epochs, batch_size=BATCH, key=jax.random.key(seed))
    last = result.history[-1]
    return Run(time.perf_counter() - began, last.cost, last.validation_accuracy)


def theirs(data: jaxmlp.Dataset, epochs: int, seed: int) -> Run:
    """scikit-learn's MLPClassifier on the same scaled rows, without its L2 and without early stopping."""
    assert data.test is not None
    rows, test = data.preprocessing(data.train.rows), data.preprocessing(data.test.rows)
    settings: dict[str, Any] = {"batch_size": BATCH, "max_iter": epochs, "n_iter_no_change": epochs}
    peer = MLPClassifier((HIDDEN,), alpha=0, random_state=seed, **settings)
    began = time.perf_counter()
    peer.fit(rows, data.train.targets)
    return Run(time.perf_counter() - began, peer.loss_, float(peer.score(test, data.test.targets)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is the point here
    data = jaxmlp.load("digits")
    steps = arguments.epochs * -(-len(data.train.rows) // BATCH)
    compiled = ours(data, arguments.epochs, 0)
    theirs(data, 1, 0)
    pairs = [(ours(data, arguments.epochs, s), theirs(data, arguments.epochs, s)) for s in range(arguments.rounds)]
    for name, runs in zip(("jaxmlp", "scikit-learn"), zip(*pairs, strict=True), strict=True):
        times = [1e6 * run.seconds / steps for run in runs]
        cost, accuracy = (statistics.median(column) for column in zip(*(run[1:] for run in runs), strict=True))
        print(
            f"{name:12} {statistics.median(times):6.1f} µs a step ({min(times):.1f} to {max(times):.1f}), "
            f"cost {cost:.4f}, test accuracy {accuracy:.2%}"
        )
    ratios = sorted(peer.seconds / our.seconds for our, peer in pairs)
    print(
        f"ratio        {statistics.median(ratios):6.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f}), "
        f"{arguments.rounds} rounds in turn; first fit with compilation {compiled.seconds:.2f} s"
    )


if __name__ == "__main__":
    main()
