"""jaxmlp: `fit` as it is called, everything that it does before the first epoch included; and its epochs alone."""

from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
from workloads import Layers, Work

from peers.record import Peer, Trainer


def network(work: Work) -> Any:
    """The workload's network."""
    import jaxmlp

    return jaxmlp.Network(work.sizes, work.hidden, "sigmoid" if work.binary else "softmax")


def params_of(layers: Layers) -> Any:
    """Our parameters: b is a column."""
    return tuple({"W": W, "b": b[:, None]} for W, b in layers)


def layers_of(params: Any) -> Layers:
    """And back."""
    return [(np.asarray(layer["W"]), np.asarray(layer["b"])[:, 0]) for layer in params]


def _data(work: Work) -> Any:
    import jaxmlp

    return jaxmlp.Dataset.from_arrays(work.X, work.y, classes=range(max(work.sizes[-1], 2)))


def prepare(work: Work) -> Trainer:
    """`jaxmlp.fit` on NumPy rows."""
    import jax

    import jaxmlp

    net, data, params = network(work), _data(work), params_of(work.initial)

    def run(seed: int, epochs: int) -> Any:
        options: dict[str, Any] = {"optimizer": work.optimizer, "learning_rate": work.rate, "params": params}
        key = jax.random.key(seed)
        return jaxmlp.fit(net, data, epochs=epochs, batch_size=work.batch or "full", key=key, **options)

    return Trainer(run, lambda result: layers_of(result.params))


def prepare_epochs(work: Work) -> Trainer:
    """`jaxmlp.epochs` on rows that are on the device already, as the peers' are."""
    import jax
    import optax

    import jaxmlp

    net, optimizer = network(work), getattr(optax, work.optimizer)(work.rate)
    objective = jaxmlp.Objective()
    rows = jaxmlp.make_batches(_data(work), net, objective, work.batch or "full")
    params = params_of(work.initial)

    def run(seed: int, epochs: int) -> Any:
        state = jaxmlp.init_state(jax.random.key(seed), net, optimizer, params)
        for after, _ in islice(jaxmlp.epochs(net, objective, optimizer, state, rows), epochs):
            state = after
        return jax.block_until_ready(state.params)

    return Trainer(run, layers_of)


def predictor(work: Work, layers: Layers) -> Callable[[np.ndarray], np.ndarray]:
    """`Model.predict`."""
    import jaxmlp

    return jaxmlp.Model.of(network(work), params_of(layers), _data(work)).predict


OURS = Peer("jaxmlp", ("jaxmlp",), prepare, predictor)
EPOCHS = Peer("jaxmlp, epochs alone", ("jaxmlp",), prepare_epochs)
