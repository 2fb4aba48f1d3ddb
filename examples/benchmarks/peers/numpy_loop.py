"""The tutorial's NumPy loop: columns, dictionaries W1, b1, …, a shuffled copy of the rows every epoch.

As the course has it, numbers are float64 and the backward pass finds dA_0 too; "float32" is the same on float32.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from workloads import Layers, Work

from peers.record import Peer, Trainer


def forward(parameters: dict[str, Any], X: Any, L: int, hidden: str) -> tuple[Any, list[Any]]:
    """A_L, and what the backward pass needs."""
    A, caches = X, []
    for l in range(1, L + 1):
        A_prev = A
        Z = np.dot(parameters[f"W{l}"], A_prev) + parameters[f"b{l}"]
        if l < L:
            A = np.maximum(0, Z) if hidden == "relu" else np.tanh(Z)
        elif len(Z) == 1:
            A = 1 / (1 + np.exp(-Z))
        else:
            A = np.exp(Z - Z.max(axis=0))
            A /= A.sum(axis=0)
        caches.append((A_prev, Z, A))
    return A, caches


def backward(parameters: dict[str, Any], caches: list[Any], Y: Any, hidden: str) -> dict[str, Any]:
    """dW1, db1, …"""
    grads, m, L = {}, Y.shape[1], len(caches)
    dZ = caches[-1][2] - Y
    for l in range(L, 0, -1):
        A_prev = caches[l - 1][0]
        grads[f"W{l}"] = np.dot(dZ, A_prev.T) / m
        grads[f"b{l}"] = np.sum(dZ, axis=1, keepdims=True) / m
        dA = np.dot(parameters[f"W{l}"].T, dZ)
        if l > 1:
            _, Z, A = caches[l - 2]
            dZ = dA * (Z > 0) if hidden == "relu" else dA * (1 - np.power(A, 2))
    return grads


def descend(parameters: dict[str, Any], grads: dict[str, Any], rate: float) -> None:
    """θ ← θ - α dθ"""
    for name in parameters:
        parameters[name] = parameters[name] - rate * grads[name]


def adam(parameters: dict[str, Any], grads: dict[str, Any], moments: dict[str, Any], t: int, rate: float) -> None:
    """v, s with their bias corrected."""
    for name, grad in grads.items():
        v, s = moments.get(name, (0.0, 0.0))
        v, s = 0.9 * v + 0.1 * grad, 0.999 * s + 0.001 * np.power(grad, 2)
        moments[name] = v, s
        parameters[name] = parameters[name] - rate * (v / (1 - 0.9**t)) / (np.sqrt(s / (1 - 0.999**t)) + 1e-8)


def mini_batches(X: Any, Y: Any, size: int | None, rng: np.random.Generator) -> Iterator[tuple[Any, Any]]:
    """All columns at once, or shuffled and cut."""
    if size is None:
        yield X, Y
        return
    order = rng.permutation(X.shape[1])
    X, Y = X[:, order], Y[:, order]
    for i in range(0, X.shape[1], size):
        yield X[:, i : i + size], Y[:, i : i + size]


def _prepare(work: Work, dtype: Any) -> Trainer:
    X = np.ascontiguousarray(work.X.T.astype(dtype))
    classes = np.arange(work.sizes[-1])[:, None] if not work.binary else np.ones((1, 1))
    Y = (work.y == classes).astype(dtype)
    L = len(work.initial)

    def run(seed: int, epochs: int) -> Any:
        rng, moments, t = np.random.default_rng(seed), {}, 0
        pairs = enumerate(work.initial, start=1)
        parameters = {}
        for l, (W, b) in pairs:
            parameters |= {f"W{l}": W.astype(dtype), f"b{l}": b[:, None].astype(dtype)}
        for _ in range(epochs):
            for x, y in mini_batches(X, Y, work.batch, rng):
                _, caches = forward(parameters, x, L, work.hidden)
                grads, t = backward(parameters, caches, y, work.hidden), t + 1
                if work.optimizer == "adam":
                    adam(parameters, grads, moments, t, work.rate)
                else:
                    descend(parameters, grads, work.rate)
        return parameters

    def layers(parameters: Any) -> Layers:
        return [(parameters[f"W{l}"], parameters[f"b{l}"][:, 0]) for l in range(1, L + 1)]

    return Trainer(run, layers)


TUTORIAL = Peer("NumPy loop", ("numpy",), lambda work: _prepare(work, np.float64))
TUTORIAL32 = Peer("NumPy loop, float32", ("numpy",), lambda work: _prepare(work, np.float32))
