"""Where a run stands while it trains, and what is left of it: the result."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.nn.network import Network, Params
from jaxmlp.parallel.mesh import gather
from jaxmlp.training.blocks import EpochBlock
from jaxmlp.training.early_stopping import MetricTracker
from jaxmlp.training.run_spec import RunSpec
from jaxmlp.training.state import Coordinates, Report, Snapshot, TrainState, evaluation_params, trained_state

T = TypeVar("T")


class Result(NamedTuple):
    """What `fit` returns.

    Attributes:
      net, params: the trained network, to predict with: batch normalisation folded in, averaged parameters if an
        average was kept, of the best epoch if early stopping chose one.
      snapshot: where the run stands, to continue from with `fit(..., resume=result.snapshot)`.
    """

    net: Network
    params: Params
    snapshot: Snapshot

    @property
    def history(self) -> tuple[Report, ...]:
        """A report for each epoch."""
        return self.snapshot.history

    @property
    def state(self) -> TrainState:
        """The state after the last epoch."""
        return self.snapshot.state

    @property
    def seconds(self) -> float:
        """How long the run has taken so far."""
        return self.snapshot.seconds

    @property
    def row_space(self) -> int | None:
        """The dimension of the space of the rows, where the run trained in it; None for plain steps."""
        coordinates = self.snapshot.coordinates
        # - 1: the last column of W is no dimension of the rows, but stands for what is orthogonal to them
        return None if coordinates is None else coordinates.state.params[0]["W"].shape[1] - 1

    @property
    def best_epoch(self) -> int | None:
        """The epoch that early stopping chose; None without."""
        return self.snapshot.best and self.snapshot.best.epoch

    def __repr__(self) -> str:
        """Return network, epochs and the last report, never the arrays."""
        last = self.history[-1]._replace(metrics=None) if self.history else None
        best = "" if self.best_epoch is None else f", best epoch {self.best_epoch}"
        epochs = f"{len(self.history)} epoch{'s' * (len(self.history) != 1)}"
        return f"Result({self.net!r}, {epochs}{best},\n       last: {last!r})"


class TrainingLoop:
    """Where a run of `fit` stands: the `Progress` that callbacks see.

    Attributes:
      history: a report for each epoch so far.
      partial: the epoch in progress, after a segment; None after an epoch.
    """

    def __init__(self, spec: RunSpec, snapshot: Snapshot, tracker: MetricTracker) -> None:
        self.history = list(snapshot.history)
        self.partial = snapshot.partial
        self._spec, self._tracker = spec, tracker
        self._get_state: Callable[[], TrainState] = lambda: trained_state(snapshot)

    def follow(self, blocks: Iterator[EpochBlock]) -> Iterator[None]:
        """Take the epochs and segments of a run one after the other, and yield after each."""
        for block in blocks:
            self.partial = block.partial
            if block.partial is not None:
                self._get_state = partial(block.state, 0)  # a segment has one state
                yield
            for i, report in enumerate(block.reports):
                # not the state itself: it is fetched from the device only when a callback asks for it
                self._get_state = partial(block.state, i)
                self.history.append(report)
                yield
            self._tracker.best()  # the states of a block are released with it

    @property
    def state(self) -> TrainState:
        """The state after the last epoch or segment."""
        return self._spec.network_state(self._get_state())

    def params_getter(self) -> Callable[[], Params]:
        """Return a function that returns the parameters to predict with after the last epoch."""
        # bound now: early stopping calls the function after later epochs of the block, when `self._get_state` is theirs
        spec, get_state = self._spec, self._get_state
        return lambda: _as_jax(evaluation_params(spec.net, spec.network_state(get_state()))[1])

    def snapshot(self) -> Snapshot:
        """Return all that the run needs to continue from here."""
        trained, space = self._get_state(), self._spec.row_space
        coordinates = None if space is None else Coordinates(_as_jax(trained), jnp.asarray(space.N))
        state = _as_jax(self._spec.network_state(trained))
        return Snapshot(state, tuple(self.history), self._tracker.best(), self.partial, coordinates)

    def result(self) -> Result:
        """Return the result of the run so far."""
        snapshot = gather(self.snapshot(), self._spec.static.sharding)
        net, params = evaluation_params(self._spec.net, snapshot.state)
        return Result(net, params if snapshot.best is None else snapshot.best.params, snapshot)


def _as_jax(tree: T) -> T:
    """Return the tree with NumPy's arrays as JAX's."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf) if isinstance(leaf, np.ndarray) else leaf, tree)
