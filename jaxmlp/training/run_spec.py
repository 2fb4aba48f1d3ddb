"""What is the same in all epochs of a run: network, programs, rows and numbers."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jaxmlp.nn.network import Network
from jaxmlp.training.batches import Batches
from jaxmlp.training.engine import Hyperparameters
from jaxmlp.training.execution_plan import ExecutionPlan
from jaxmlp.training.row_space import RowSpace
from jaxmlp.training.state import TrainState
from jaxmlp.training.step import StaticConfig
from jaxmlp.training.streamed_batches import StreamedBatches


class RunSpec(NamedTuple):
    """What is the same in all epochs of a run.

    Attributes:
      static: what its programs are compiled for.
      plan: how it is divided into calls.
      batches: from `make_batches` or `stream_batches`.
      hyper: its numbers, without rates.
      rates: number of the epoch, from 0, -> α of each of its steps, which multiplies the optimizer's update; None for
        an optimizer that brings its own.
      score: outputs A of the validation part, one example per row -> metrics by name.
      row_space: where the network trained is the smaller one in the space of the rows; None for the network itself.
    """

    static: StaticConfig
    plan: ExecutionPlan
    batches: Batches | StreamedBatches
    hyper: Hyperparameters
    rates: Callable[[int], np.ndarray] | None = None
    score: Callable[[np.ndarray], dict[str, float]] | None = None
    row_space: RowSpace | None = None

    @property
    def net(self) -> Network:
        """The network itself."""
        net, space = self.static.net, self.row_space
        return net if space is None else dataclasses.replace(net, sizes=(space.basis.rows.shape[1], *net.sizes[1:]))

    def network_state(self, state: TrainState) -> TrainState:
        """Return the state of the network itself for the one that is trained."""
        return state if self.row_space is None else self.row_space.network_state(state)
