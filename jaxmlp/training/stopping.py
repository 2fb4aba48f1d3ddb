"""Early stopping: the metric that is watched, the best epoch so far, and when to give up waiting for a better one.

    better      metric < best - δ      (> best + δ for metrics that are to be high)
    stop        after `patience` epochs without a better one; the parameters of the best epoch are the result

What a stopper decides follows from the reports alone: a resumed run, given the reports so far, decides as the
uninterrupted one would have.
"""

from collections.abc import Callable
from typing import NamedTuple

from jaxmlp.errors import InputError, sentence
from jaxmlp.nn.network import Network, Params
from jaxmlp.training.scores import SCORES
from jaxmlp.training.state import Report, TrainState

FIGURES = ("cost", "accuracy", "validation_cost", "validation_accuracy")


class EarlyStopping(NamedTuple):
    """When to stop.

    Attributes:
      patience: epochs without improvement.
      metric: a figure of the report, "validation_cost" or "validation_accuracy", or the name of a metric of the
        validation part such as "f1"; None for validation_cost where there is a validation part, else cost.
      min_delta: by how much a metric must be better to count.
    """

    patience: int = 10
    metric: str | None = None
    min_delta: float = 0.0


class Best(NamedTuple):
    """The best epoch so far: its number, its metric (lower is better), and the parameters to answer with."""

    epoch: int
    value: float
    params: Params


class Snapshot(NamedTuple):
    """Where a run stands after an epoch: all that it needs to go on as if it had never stopped.

    Attributes:
      state: what the next step needs.
      history: a report for each epoch so far.
      best: of early stopping; None without.
    """

    state: TrainState
    history: tuple[Report, ...] = ()
    best: Best | None = None


class Watch:
    """Follows a run: the metric after each epoch, the best of them, and whether it is over."""

    def __init__(self, stopping: EarlyStopping | None, validated: bool, snapshot: Snapshot) -> None:
        if stopping is not None:
            _check(stopping, validated)
        self.metric = (stopping and stopping.metric) or ("validation_cost" if validated else "cost")
        self.values = [watched(report, self.metric) for report in snapshot.history]
        self._stopping = stopping
        self._state, self._history, self._best = snapshot.state, list(snapshot.history), snapshot.best

    @property
    def over(self) -> bool:
        """Whether the patience is at its end."""
        if self._stopping is None or self._best is None:
            return False
        return len(self.values) - self._best.epoch >= self._stopping.patience

    def see(self, state: TrainState, report: Report, answer: Callable[[], tuple[Network, Params]]) -> None:
        """Take note of an epoch; `answer` gives the parameters to keep should it be the best."""
        self._state = state
        self._history.append(report)
        self.values.append(watched(report, self.metric))
        stopping, best, value = self._stopping, self._best, self.values[-1]
        if stopping is not None and (best is None or value < best.value - stopping.min_delta):
            self._best = Best(len(self.values), value, answer()[1])

    def snapshot(self) -> Snapshot:
        """Where the run stands."""
        return Snapshot(self._state, tuple(self._history), self._best)


def _check(stopping: EarlyStopping, validated: bool) -> None:
    if not isinstance(stopping.patience, int) or stopping.patience < 1:
        remedy = "write EarlyStopping(patience=10), say"
        raise InputError(sentence("patience", "a positive whole number of epochs", stopping.patience, remedy))
    if stopping.min_delta < 0:
        raise InputError(sentence("min_delta", "a number ≥ 0", stopping.min_delta, "leave it out"))
    if not validated and stopping.metric not in (None, "cost", "accuracy"):
        remedy = "hold back rows, or watch 'cost'"
        raise InputError(sentence("early stopping", f"a validation part for {stopping.metric!r}", "none", remedy))


def watched(report: Report, metric: str) -> float:
    """The metric of a report, turned so that lower is better.

    Raises:
      InputError: when the report has no such figure.

    >>> watched(Report(cost=0.5, accuracy=0.9), "accuracy")
    -0.9
    """
    if metric in FIGURES:
        value, higher = getattr(report, metric), metric.endswith("accuracy")
    else:
        value, higher = (report.scores or {}).get(metric), SCORES[metric].better == "higher"
    if value is None:
        remedy = "watch another metric, such as 'cost'"
        raise InputError(sentence("early stopping", f"{metric!r} in every report", "none", remedy))
    return -value if higher else value
