"""What people write in JAX themselves: a jitted step in a Python loop, and an epoch as one scan. Optax updates.

The rows are on the device; the loop hands the step the row numbers of its batch, which it takes inside. The scan
draws its permutation inside too, and indexes with X[i], as one does.
"""

from typing import Any

import numpy as np
from workloads import Layers, Work

from peers.record import Peer, Trainer, batches


def logits(layers: Any, x: Any, hidden: str) -> Any:
    """Rows in, rows out."""
    import jax

    g = {"relu": jax.nn.relu, "tanh": jax.numpy.tanh}[hidden]
    for W, b in layers[:-1]:
        x = g(x @ W + b)
    W, b = layers[-1]
    return x @ W + b


def cost_of(Z: Any, y: Any, binary: bool) -> Any:
    """The mean cross-entropy, from logits, as optax has it."""
    import optax

    if binary:
        return optax.sigmoid_binary_cross_entropy(Z[:, 0], y.astype(Z.dtype)).mean()
    return optax.softmax_cross_entropy_with_integer_labels(Z, y).mean()


def _begin(work: Work) -> tuple[Any, Any, Any, Any]:
    import jax
    import optax

    optimizer = getattr(optax, work.optimizer)(work.rate)
    X, y = jax.device_put((work.X, work.y.astype(np.int32)))

    def step(state: Any, x: Any, y: Any) -> Any:
        layers, memory = state
        J, grads = jax.value_and_grad(lambda layers: cost_of(logits(layers, x, work.hidden), y, work.binary))(layers)
        updates, memory = optimizer.update(grads, memory, layers)
        return (optax.apply_updates(layers, updates), memory), J

    def start() -> Any:
        layers = jax.tree.map(jax.numpy.array, [(W.T, b) for W, b in work.initial])
        return layers, optimizer.init(layers)

    return X, y, step, start


def _layers(state: Any) -> Layers:
    return [(np.asarray(W).T, np.asarray(b)) for W, b in state[0]]


def prepare_loop(work: Work) -> Trainer:
    """A jitted step, its state donated, in a Python loop."""
    import jax

    X, y, step, start = _begin(work)
    one = jax.jit(lambda state, X, y, i: step(state, X[i], y[i]), donate_argnums=0)
    all_rows = jax.jit(step, donate_argnums=0)

    def run(seed: int, epochs: int) -> Any:
        rng, state = np.random.default_rng(seed), start()
        for _ in range(epochs):
            if work.batch is None:
                state, _ = all_rows(state, X, y)
                continue
            for index in batches(work, rng):
                state, _ = one(state, X, y, index)
        return jax.block_until_ready(state)

    return Trainer(run, _layers)


def prepare_scan(work: Work) -> Trainer:
    """An epoch as one program, or a thousand steps of a full batch."""
    import jax

    X, y, step, start = _begin(work)
    m = len(work.X)
    B = work.batch or m
    whole = m - m % B

    @jax.jit
    def epoch(state: Any, key: Any, X: Any, y: Any) -> Any:
        order = jax.random.permutation(key, m)
        state, _ = jax.lax.scan(lambda s, i: step(s, X[i], y[i]), state, order[:whole].reshape(-1, B))
        return step(state, X[order[whole:]], y[order[whole:]])[0] if whole < m else state

    @jax.jit
    def many(state: Any, steps: Any, X: Any, y: Any) -> Any:
        return jax.lax.fori_loop(0, steps, lambda _, s: step(s, X, y)[0], state)

    def run(seed: int, epochs: int) -> Any:
        key, state = jax.random.key(seed), start()
        if work.batch is None:
            return jax.block_until_ready(many(state, epochs, X, y))
        for e in range(epochs):
            state = epoch(state, jax.random.fold_in(key, e), X, y)
        return jax.block_until_ready(state)

    return Trainer(run, _layers)


LOOP = Peer("JAX, jitted step", ("jax", "optax"), prepare_loop)
SCAN = Peer("JAX, scanned epoch", ("jax", "optax"), prepare_scan)
