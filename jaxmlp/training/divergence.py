"""What to report when a cost or a parameter becomes infinite or not a number: the step, the epoch, and the layer.

The compiled epoch reports only which step's J was not finite. To find the layer, the epoch is run again from the last
good state, a step at a time: the first value that is not finite is in a forward pass, in an update, or in the cost.
"""

from collections.abc import Generator, Iterator
from contextlib import closing

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxmlp.errors import DivergenceError
from jaxmlp.nn.forward import take_member
from jaxmlp.nn.network import Network, Params
from jaxmlp.nn.passes import forward_steps
from jaxmlp.training.batches import Rows, gather
from jaxmlp.training.engine import Hyperparameters
from jaxmlp.training.state import TrainState
from jaxmlp.training.step import StaticConfig, update

Segments = Generator[tuple[Rows, np.ndarray | None]]


def divergence_error(
    J: np.ndarray,
    epoch: int,
    static: StaticConfig,
    hyper: Hyperparameters,
    state: TrainState,
    segments: Segments,
    rates: np.ndarray | None,
) -> DivergenceError:
    """Return the error of an epoch, or of a segment, that has diverged.

    Args:
      J: of its steps.
      epoch: its number, from 1.
      static, hyper: of the run.
      state: at its beginning.
      segments, rates: the rows and rates that it was run on.
    """
    bad = np.flatnonzero(~np.isfinite(J))
    # if all J are finite, the last update made a parameter infinite or NaN: J of a step is computed before its update
    what, steps = ("cost", int(bad[0]) + 1) if bad.size else ("a parameter", len(J))
    place = _first_bad_place(static, hyper, state, segments, rates, steps)
    return DivergenceError(
        f"{what} became non-finite at step {int(state.step) + steps} (epoch {epoch}), first in {place}; "
        "lower the learning rate or clip gradients"
    )


def _first_bad_place(
    static: StaticConfig,
    hyper: Hyperparameters,
    state: TrainState,
    segments: Segments,
    rates: np.ndarray | None,
    steps: int,
) -> str:
    # one step in a program, without the scan, so that the host can look at the state after each; the noise follows from
    # the number of the step, so these are the steps of the epoch
    @jax.jit
    def step(state: TrainState, rows: Rows, index: Array | None, rate: Array | None) -> tuple[TrainState, Array]:
        batch = gather(rows, index, padded=static.padded)
        return update(static, state, batch, hyper.objective, hyper.options._replace(rate=rate))[0], batch.X

    with closing(segments):
        # the range first: when it ends, zip does not ask for another segment, which a stream would read from its file
        for i, (rows, index) in zip(range(steps), _steps(segments), strict=False):
            after, X = step(state, rows, index, None if rates is None else rates[i])
            # the forward pass first: an update is bad after a bad pass in any case, so the pass names the cause
            for net, params in _single_networks(static.net, state.params):
                for l, layer in enumerate(forward_steps(params, X, net), start=1):
                    if not all(jnp.isfinite(value).all() for value in layer.values()):
                        return f"the forward pass of layer {l}"
            for l, layer in enumerate(after.params, start=1):
                if not all(jnp.isfinite(leaf).all() for leaf in layer.values()):
                    return f"the update of layer {l}"
            state = after
    return "the cost"


def _single_networks(net: Network, params: Params) -> Iterator[tuple[Network, Params]]:
    """Yield the members of a network, or the network itself where it has none."""
    if net.members is None:
        yield net, params
    for number in range(1, (net.members or 0) + 1):
        yield take_member(params, net, number)


def _steps(segments: Segments) -> Iterator[tuple[Rows, np.ndarray | None]]:
    """Yield the rows and the index of every step."""
    for rows, order in segments:
        for index in [None] if order is None else order:
            yield rows, index
