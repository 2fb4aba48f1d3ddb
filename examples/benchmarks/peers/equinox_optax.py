"""Equinox and Optax: a Module, `filter_jit`, a Python loop over batches."""

import importlib
from typing import Any

import numpy as np
from workloads import Layers, Work

from peers.jax_loops import cost_of
from peers.record import Peer, Trainer, batches


def prepare(work: Work) -> Trainer:
    """`filter_value_and_grad` of a vmapped Sequential."""
    import jax
    import optax

    eqx: Any = importlib.import_module("equinox")
    g = eqx.nn.Lambda({"relu": jax.nn.relu, "tanh": jax.numpy.tanh}[work.hidden])
    optimizer = getattr(optax, work.optimizer)(work.rate)
    X, y = jax.device_put((work.X, work.y.astype(np.int32)))

    def linear(W: np.ndarray, b: np.ndarray) -> Any:
        empty = eqx.nn.Linear(W.shape[1], W.shape[0], key=jax.random.key(0))
        given = (jax.numpy.array(W), jax.numpy.array(b))
        return eqx.tree_at(lambda layer: (layer.weight, layer.bias), empty, given)

    linears = [linear(W, b) for W, b in work.initial]
    first = eqx.nn.Sequential([part for layer in linears for part in (layer, g)][:-1])

    @eqx.filter_value_and_grad
    def cost(model: Any, x: Any, y: Any) -> Any:
        return cost_of(jax.vmap(model)(x), y, work.binary)

    @eqx.filter_jit
    def step(model: Any, memory: Any, X: Any, y: Any, index: Any) -> Any:
        x, y = (X, y) if index is None else (X[index], y[index])
        _, grads = cost(model, x, y)
        updates, memory = optimizer.update(grads, memory, model)
        return eqx.apply_updates(model, updates), memory

    def run(seed: int, epochs: int) -> Any:
        rng, model = np.random.default_rng(seed), first
        memory = optimizer.init(eqx.filter(model, eqx.is_inexact_array))
        for _ in range(epochs):
            for index in [None] if work.batch is None else batches(work, rng):
                model, memory = step(model, memory, X, y, index)
        return jax.block_until_ready(eqx.filter(model, eqx.is_array))

    def layers(model: Any) -> Layers:
        parts = model.layers[::2]
        return [(np.asarray(part.weight), np.asarray(part.bias)) for part in parts]

    return Trainer(run, layers)


EQUINOX = Peer("Equinox", ("equinox", "optax"), prepare)
