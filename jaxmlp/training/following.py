"""Who goes along with a run: takes note of every epoch, tells the observers, has checkpoints kept, and may end it."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.errors import DivergenceError
from jaxmlp.nn.network import Network, Params
from jaxmlp.training.checkpoints import Checkpoints
from jaxmlp.training.epoch import Chunk
from jaxmlp.training.mesh import Layout, bring
from jaxmlp.training.processes import agreed
from jaxmlp.training.program import evaluated
from jaxmlp.training.state import Report, TrainState, Unfinished
from jaxmlp.training.stopping import Snapshot, Watch

Observer = Callable[[Any, Report], Any]  # the state, or None
T = TypeVar("T")


class Result(NamedTuple):
    """What `fit` returns.

    Attributes:
      net, params: the trained network, to answer with: batch normalisation folded in, averaged parameters if they were
        asked for, of the best epoch if early stopping chose one.
      snapshot: where the run stands, to go on from with `fit(..., resume=result.snapshot)`.
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
        """What the run has taken so far."""
        return self.snapshot.seconds

    @property
    def best_epoch(self) -> int | None:
        """The epoch that early stopping chose; None without."""
        return self.snapshot.best and self.snapshot.best.epoch


class Follower(NamedTuple):
    """Who goes along with a run: takes note, tells the observers, has checkpoints kept, and ends it.

    An observer may have a method `between(state, unfinished)`, which is called between two pieces of a long epoch; a
    true answer ends the run there. One whose `reports_only` is true is given None for the state.
    """

    net: Network
    watch: Watch
    observers: tuple[Observer, ...]
    keeper: Checkpoints | None
    layout: Layout | None

    def follow(self, run: Iterator[Chunk]) -> Result:
        """Go through the epochs of a run until it ends or somebody wishes it to."""
        watch, keeper = self.watch, self.keeper
        try:
            for report, take, last in () if watch.over else _one_by_one(run):
                watch.see(report, take, lambda take=take: _of_jax(self._answer(take())[1]))
                wishes = self._told(report, take)
                if last:
                    watch.settle()
                if keeper is not None:
                    keeper.offer(self._stand)
                if agreed(any(wishes)) or watch.over:
                    break
        except DivergenceError as error:
            error.last_good = self._result()
            self._keep()
            raise
        except BaseException:  # nothing is lost but the piece at hand
            if jax.process_count() == 1:  # of several, the others know nothing of it, and all must write together
                self._keep()
            raise
        self._keep()
        return self._result()

    def between(self, state: TrainState, unfinished: Unfinished) -> bool:
        """Between two pieces of an epoch: whether somebody wishes to end the run here."""
        self.watch.pause(state, unfinished)
        asked = [getattr(observe, "between", None) for observe in self.observers]
        wishes = [ask(state, unfinished) for ask in asked if ask is not None]
        if self.keeper is not None:
            self.keeper.offer(self._stand)
        return bool(agreed(any(wishes)))

    def _told(self, report: Report, take: Callable[[], TrainState]) -> list[Any]:
        """What the observers answer, each of whom hears of every epoch; the state is taken where one looks at it."""
        state = take() if any(map(looks, self.observers)) else None
        return [observe(state if looks(observe) else None, report) for observe in self.observers]

    def _keep(self) -> None:
        if self.keeper is not None and self.watch.begun:
            self.keeper.keep(self._stand())

    def _stand(self) -> Snapshot:
        snapshot = self.watch.snapshot()
        return snapshot._replace(state=_of_jax(snapshot.state))

    def _answer(self, state: TrainState) -> tuple[Network, Params]:
        return evaluated(self.net, state.params, state.moments, state.average)

    def _result(self) -> Result:
        snapshot = bring(self._stand(), self.layout)
        plain, params = self._answer(snapshot.state)
        return Result(plain, params if snapshot.best is None else snapshot.best.params, snapshot)


def looks(observer: Observer) -> bool:
    """Whether it looks at the state."""
    return not getattr(observer, "reports_only", False)


def _one_by_one(run: Iterator[Chunk]) -> Iterator[tuple[Report, Callable[[], TrainState], bool]]:
    """The reports of a run, each with who gives the state after it, and whether it is the last of its call."""
    for chunk in run:
        for i, report in enumerate(chunk.reports, start=1):
            yield report, partial(chunk.state, i - 1), i == len(chunk.reports)


def _of_jax(tree: T) -> T:
    """The tree with NumPy's arrays made JAX's, and all else as it is."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf) if isinstance(leaf, np.ndarray) else leaf, tree)
