"""What to say when a cost or a parameter becomes infinite or not a number: the step, the epoch, and the layer.

The compiled epoch reports only which step's J was no number. To find the layer, the epoch is run again from the last
good state, a step at a time, until then: first in a forward pass, in an update, or nowhere but in the cost.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.errors import DivergenceError
from jaxmlp.nn.network import Network
from jaxmlp.nn.propagation import trace
from jaxmlp.training.batches import Rows
from jaxmlp.training.state import TrainState

Pieces = Generator[tuple[Rows, Any]]


def divergence(
    J: np.ndarray, epoch: int, before: int, net: Network, state: TrainState, step: Callable, pieces: Pieces, rates: Any
) -> DivergenceError:
    """The error of an epoch that has diverged.

    Args:
      J: of its steps, as far as it came.
      epoch, before: its number, from 1, and the steps before it.
      net, state: at its beginning.
      step: (state, rows, index, rate) -> the next state, and the step's X.
      pieces, rates: what it was run on.
    """
    bad = np.flatnonzero(~np.isfinite(J))
    what, steps = ("cost", int(bad[0]) + 1) if bad.size else ("a parameter", len(J))
    layer = _first_bad_layer(net, state, jax.jit(step), pieces, rates, steps)
    return DivergenceError(
        f"{what} became non-finite at step {before + steps} (epoch {epoch}), first in {layer}; "
        "lower the learning rate or clip gradients"
    )


def _first_bad_layer(net: Network, state: TrainState, step: Any, pieces: Any, rates: Any, steps: int) -> str:
    with closing(pieces):
        for i, (train, index) in zip(range(steps), _drawn(pieces), strict=False):
            after, X = step(state, train, index, None if rates is None else rates[i])
            for l, layer in enumerate(trace(state.params, X, net), start=1):
                if not all(jnp.isfinite(value).all() for value in layer.values()):
                    return f"the forward pass of layer {l}"
            for l, layer in enumerate(after.params, start=1):
                if not all(jnp.isfinite(leaf).all() for leaf in layer.values()):
                    return f"the update of layer {l}"
            state = after
    return "the cost"


def _drawn(pieces: Pieces) -> Iterator[tuple[Rows, Any]]:
    """The rows and the index of every step."""
    for train, order in pieces:
        for index in [None] if order is None else order:
            yield train, index
