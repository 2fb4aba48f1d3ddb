"""scikit-learn's MLPClassifier, in float32, without its L2 and without early stopping.

It answers about two classes with one sigmoid unit: softmax over (z_0, z_1) is σ(z_1 - z_0).
"""

import importlib
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from workloads import Layers, Work

from peers.record import Peer, Trainer, copied


def _machine(work: Work, layers: Layers, seed: int, epochs: int) -> Any:
    """A classifier that goes on from these weights."""
    network: Any = importlib.import_module("sklearn.neural_network")
    warnings.filterwarnings("ignore", category=importlib.import_module("sklearn.exceptions").ConvergenceWarning)
    some = np.concatenate([np.flatnonzero(work.y == k)[:1] for k in range(max(work.sizes[-1], 2))])
    found = network.MLPClassifier(
        work.sizes[1:-1],
        activation=work.hidden,
        solver=work.optimizer,
        alpha=0,
        learning_rate_init=work.rate,
        momentum=0,
        batch_size=len(some),
        max_iter=1,
        n_iter_no_change=10 * epochs,
        random_state=seed,
        warm_start=True,
    ).fit(work.X[some], work.y[some])  # one step on a row of each class, to have weights to put ours into
    if work.sizes[-1] == 2:
        W, b = layers[-1]
        layers = [*layers[:-1], (W[1:] - W[:1], b[1:] - b[:1])]
    found.coefs_ = [np.ascontiguousarray(W.T) for W, _ in layers]
    found.intercepts_ = [b for _, b in layers]
    return found.set_params(batch_size=work.batch or len(work.X), max_iter=epochs)


def prepare(work: Work) -> Trainer:
    """`MLPClassifier.fit`."""

    def run(seed: int, epochs: int) -> Any:
        return _machine(work, copied(work.initial), seed, epochs).fit(work.X, work.y)

    def layers(machine: Any) -> Layers:
        found = [(W.T, b) for W, b in zip(machine.coefs_, machine.intercepts_, strict=True)]
        if work.sizes[-1] == 2:
            W, b = found[-1]
            found[-1] = np.vstack([0 * W, W]), np.append(0 * b, b)
        return found

    return Trainer(run, layers)


def predictor(work: Work, layers: Layers) -> Callable[[np.ndarray], np.ndarray]:
    """`MLPClassifier.predict`."""
    return _machine(work, copied(layers), 0, 1).predict


SCIKIT_LEARN = Peer("scikit-learn", ("sklearn",), prepare, predictor)
