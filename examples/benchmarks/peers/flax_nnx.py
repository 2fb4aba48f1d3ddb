"""Flax NNX and Optax: plain `nnx.jit`, and `nnx.cached_partial`, as its guide to speed has it."""

import importlib
from typing import Any

import numpy as np
from workloads import Layers, Work

from peers.jax_loops import cost_of
from peers.record import Peer, Trainer, batches


def _model(nnx: Any, work: Work) -> Any:
    """An `nnx.Sequential` with the workload's first weights."""
    import jax

    g = {"relu": nnx.relu, "tanh": nnx.tanh}[work.hidden]
    rngs, parts = nnx.Rngs(0), []
    for W, b in work.initial:
        linear = nnx.Linear(W.shape[1], W.shape[0], rngs=rngs)
        linear.kernel[...], linear.bias[...] = jax.numpy.array(W.T), jax.numpy.array(b)
        parts += [linear, g]
    return nnx.Sequential(*parts[:-1])


def _prepare(work: Work, cached: bool) -> Trainer:
    import jax
    import optax

    nnx: Any = importlib.import_module("flax.nnx")
    X, y = jax.device_put((work.X, work.y.astype(np.int32)))

    @nnx.jit
    def step(model: Any, optimizer: Any, X: Any, y: Any, index: Any) -> Any:
        x, y = (X, y) if index is None else (X[index], y[index])
        J, grads = nnx.value_and_grad(lambda model: cost_of(model(x), y, work.binary))(model)
        optimizer.update(model, grads)
        return J

    def run(seed: int, epochs: int) -> Any:
        rng, model = np.random.default_rng(seed), _model(nnx, work)
        optimizer = nnx.Optimizer(model, getattr(optax, work.optimizer)(work.rate), wrt=nnx.Param)
        one = nnx.cached_partial(step, model, optimizer) if cached else lambda *rest: step(model, optimizer, *rest)
        for _ in range(epochs):
            for index in [None] if work.batch is None else batches(work, rng):
                one(X, y, index)
        jax.block_until_ready(nnx.state(model))
        return model

    def layers(model: Any) -> Layers:
        parts = list(model.layers)[::2]
        return [(np.asarray(part.kernel[...]).T, np.asarray(part.bias[...])) for part in parts]

    return Trainer(run, layers)


NNX = Peer("Flax NNX", ("flax", "optax"), lambda work: _prepare(work, False))
NNX_CACHED = Peer("Flax NNX, cached", ("flax", "optax"), lambda work: _prepare(work, True))
