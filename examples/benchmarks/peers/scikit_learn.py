"""scikit-learn's MLPClassifier, in float32, without L2 penalty or early stopping.

For two classes it has one sigmoid output: softmax over (z_0, z_1) is σ(z_1 - z_0).
"""

import importlib
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from workloads import Layers, Work

from peers.record import Peer, Trainer, copied


def _classifier(work: Work, layers: Layers, seed: int, epochs: int) -> Any:
    """A classifier that continues training from these weights."""
    network: Any = importlib.import_module("sklearn.neural_network")
    warnings.filterwarnings("ignore", category=importlib.import_module("sklearn.exceptions").ConvergenceWarning)
    one_per_class = np.concatenate([np.flatnonzero(work.y == k)[:1] for k in range(max(work.sizes[-1], 2))])
    # one step on a row per class, to create the arrays that ours replace
    classifier = network.MLPClassifier(
        work.sizes[1:-1],
        activation=work.hidden,
        solver=work.optimizer,
        alpha=0,
        learning_rate_init=work.rate,
        momentum=0,
        batch_size=len(one_per_class),
        max_iter=1,
        n_iter_no_change=10 * epochs,
        random_state=seed,
        warm_start=True,
    ).fit(work.X[one_per_class], work.y[one_per_class])
    if work.sizes[-1] == 2:
        W, b = layers[-1]
        layers = [*layers[:-1], (W[1:] - W[:1], b[1:] - b[:1])]
    classifier.coefs_ = [np.ascontiguousarray(W.T) for W, _ in layers]
    classifier.intercepts_ = [b for _, b in layers]
    return classifier.set_params(batch_size=work.batch or len(work.X), max_iter=epochs)


def prepare(work: Work) -> Trainer:
    """`MLPClassifier.fit`."""

    def run(seed: int, epochs: int) -> Any:
        return _classifier(work, copied(work.initial), seed, epochs).fit(work.X, work.y)

    def layers(classifier: Any) -> Layers:
        weights = [(W.T, b) for W, b in zip(classifier.coefs_, classifier.intercepts_, strict=True)]
        if work.sizes[-1] == 2:
            W, b = weights[-1]
            weights[-1] = np.vstack([0 * W, W]), np.append(0 * b, b)
        return weights

    return Trainer(run, layers)


def predictor(work: Work, layers: Layers) -> Callable[[np.ndarray], np.ndarray]:
    """`MLPClassifier.predict`."""
    return _classifier(work, copied(layers), 0, 1).predict


SCIKIT_LEARN = Peer("scikit-learn", ("sklearn",), prepare, predictor)
