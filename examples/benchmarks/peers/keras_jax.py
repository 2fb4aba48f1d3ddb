"""Keras on JAX: `model.fit` with its own shuffling, compiled by XLA."""

import importlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from workloads import Layers, Work

from peers.record import Peer, Trainer


def _keras() -> Any:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    return importlib.import_module("keras")


def _model(work: Work, layers: Layers) -> Any:
    keras = _keras()
    hidden = [keras.layers.Dense(n, activation=work.hidden) for n in work.sizes[1:-1]]
    model = keras.Sequential([keras.Input((work.sizes[0],)), *hidden, keras.layers.Dense(work.sizes[-1])])
    model.set_weights([array for W, b in layers for array in (W.T, b)])
    losses = keras.losses
    cost = losses.BinaryCrossentropy if work.binary else losses.SparseCategoricalCrossentropy
    optimizer = {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD}[work.optimizer](work.rate)
    model.compile(optimizer, cost(from_logits=True), jit_compile=True)
    return model


def prepare(work: Work) -> Trainer:
    """`model.fit`. A full batch is one long epoch: an epoch of a single step costs Keras tens of milliseconds."""
    keras = _keras()
    model = _model(work, work.initial)
    y = work.y.astype(np.float32)[:, None] if work.binary else work.y

    def again() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        while True:
            yield work.X, y

    def run(seed: int, epochs: int) -> Any:
        keras.utils.set_random_seed(seed)
        model.set_weights([array for W, b in work.initial for array in (W.T, b)])
        for variable in model.optimizer.variables:  # Adam's memory begins anew, without another compilation
            if variable.name != "learning_rate":
                variable.assign(np.zeros(variable.shape, variable.dtype))
        if work.batch is None:
            model.fit(again(), steps_per_epoch=epochs, epochs=1, verbose=0)
        else:
            model.fit(work.X, y, batch_size=work.batch, epochs=epochs, shuffle=True, verbose=0)
        return model

    def layers(model: Any) -> Layers:
        arrays = model.get_weights()
        return [(W.T, b) for W, b in zip(arrays[::2], arrays[1::2], strict=True)]

    return Trainer(run, layers)


def predictor(work: Work, layers: Layers) -> Callable[[np.ndarray], np.ndarray]:
    """`model.predict`, and the class of the largest output."""
    model = _model(work, layers)

    def predict(rows: np.ndarray) -> np.ndarray:
        Z = model.predict(rows, batch_size=max(len(rows), 1), verbose=0)
        return (Z[:, 0] > 0).astype(int) if work.binary else Z.argmax(axis=1)

    return predict


KERAS = Peer("Keras on JAX", ("keras",), prepare, predictor)
