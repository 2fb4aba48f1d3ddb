"""Early stopping: the metric that is watched, the best epoch so far, and when to give up waiting for a better one.

    better      metric < best - δ      (> best + δ for metrics that are to be high)
    stop        after `patience` epochs without a better one; the parameters of the best epoch are the result

What a stopper decides follows from the reports alone: a resumed run, given the reports so far, decides as the
uninterrupted one would have.
"""

import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import NamedTuple

from jaxmlp.errors import InputError, InputTypeError, sentence, unknown
from jaxmlp.nn.network import Params
from jaxmlp.training.scores import SCORES
from jaxmlp.training.state import Report, TrainState, Unfinished

FIGURES = ("cost", "accuracy", "validation_cost", "validation_accuracy")
METRICS = tuple(dict.fromkeys([*FIGURES, *SCORES]))  # what can be watched


class EarlyStopping(NamedTuple):
    """When to stop.

    Attributes:
      patience: epochs without improvement.
      metric: a figure of the report, "validation_cost" or "validation_accuracy", or the name of a metric of the
        validation part such as "f1"; None for validation_cost where there is a validation part, else cost. The test
        part is never watched: a figure by which an epoch was chosen says too much of it.
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
    """Where a run stands after an epoch or within a long one: all that it needs to go on as if it had never stopped.

    Attributes:
      state: what the next step needs.
      history: a report for each epoch so far.
      best: of early stopping; None without.
      unfinished: the epoch that the state is in the middle of; None after a whole one.
    """

    state: TrainState
    history: tuple[Report, ...] = ()
    best: Best | None = None
    unfinished: Unfinished | None = None

    @property
    def seconds(self) -> float:
        """What the run has taken so far."""
        if self.unfinished is not None:
            return self.unfinished.seconds
        return self.history[-1].seconds or 0.0 if self.history else 0.0


class Watch:
    """Follows a run: the metric after each epoch, the best of them, and whether it is over."""

    def __init__(self, stopping: EarlyStopping | None, validated: bool, snapshot: Snapshot) -> None:
        self.metric = (stopping and stopping.metric) or ("validation_cost" if validated else "cost")
        self.values = [watched(report, self.metric) for report in snapshot.history]  # others hold on to this list
        self._stopping = stopping
        self._take, self._unfinished = (lambda: snapshot.state), snapshot.unfinished
        self._history, self._best = list(snapshot.history), snapshot.best
        self._answer: Callable[[], Params] | None = None  # gives the parameters of the best epoch, until they are taken

    @property
    def over(self) -> bool:
        """Whether the patience is at its end."""
        if self._stopping is None or self._best is None:
            return False
        return len(self.values) - self._best.epoch >= self._stopping.patience

    @property
    def begun(self) -> bool:
        """Whether there is anything to keep."""
        return bool(self.values) or self._unfinished is not None

    def see(self, report: Report, take: Callable[[], TrainState], answer: Callable[[], Params]) -> None:
        """Take note of an epoch.

        Args:
          report: of it.
          take: gives the state after it.
          answer: gives the parameters to keep should it be the best; asked by `settle`.
        """
        self._take, self._unfinished = take, None
        self._history.append(report)
        self.values.append(watched(report, self.metric))
        stopping, best, value = self._stopping, self._best, self.values[-1]
        if stopping is not None and (best is None or value < best.value - stopping.min_delta):
            self._best, self._answer = Best(len(self.values), value, ()), answer

    def pause(self, state: TrainState, unfinished: Unfinished) -> None:
        """Take note of a place within an epoch."""
        self._take, self._unfinished = (lambda: state), unfinished

    def settle(self) -> None:
        """Take the parameters of the best epoch, before the states that they are taken from are let go."""
        if self._best is not None and self._answer is not None:
            self._best, self._answer = self._best._replace(params=self._answer()), None

    def snapshot(self) -> Snapshot:
        """Where the run stands."""
        self.settle()
        return Snapshot(self._take(), tuple(self._history), self._best, self._unfinished)


def check_stopping(stopping: object, validated: bool) -> None:
    """Raise unless it is None or an `EarlyStopping` that can watch what it wants to.

    Args:
      stopping: as given.
      validated: whether there is a validation part.
    """
    if stopping is None:
        return
    if not isinstance(stopping, EarlyStopping):
        remedy = "write EarlyStopping(patience=10), say"
        raise InputTypeError(sentence("stopping", "an EarlyStopping", repr(stopping), remedy))
    patience, delta = stopping.patience, stopping.min_delta
    if not isinstance(patience, Integral) or isinstance(patience, bool) or patience < 1:
        raise InputError(sentence("patience", "a positive whole number of epochs", repr(patience), "take 10, say"))
    if not isinstance(delta, Real) or not (delta >= 0 and math.isfinite(delta)):
        raise InputError(sentence("min_delta", "a number ≥ 0", repr(delta), "leave it out"))
    if stopping.metric is not None:
        check_metric(stopping.metric)
    if not validated and stopping.metric not in (None, "cost", "accuracy"):
        remedy = "hold rows back with data.hold_back(0.1), or watch 'cost'"
        raise InputError(sentence("early stopping", f"a validation part for {stopping.metric!r}", "none", remedy))


def check_metric(name: str) -> None:
    """Raise unless it is a figure of the report or a metric."""
    if name not in METRICS:
        raise unknown("metric", name, METRICS)


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
