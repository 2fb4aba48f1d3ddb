"""Early stopping: monitor a metric, remember the best epoch, and stop when the metric no longer improves.

    improved    metric < best - δ      (> best + δ if higher is better), δ = `min_delta`
    stop        after `patience` epochs without improvement; the result has the parameters of the best epoch

Every decision depends only on the reports of the epochs, so a resumed run stops where the uninterrupted one does.
"""

import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import NamedTuple

from jaxmlp.errors import InputError, InputTypeError, sentence, unknown
from jaxmlp.metrics.definitions import METRICS
from jaxmlp.nn.network import Params
from jaxmlp.training.callbacks import Callback, Progress
from jaxmlp.training.state import Best, Report, Snapshot

REPORT_METRICS = ("cost", "accuracy", "validation_cost", "validation_accuracy")
MONITORS = tuple(dict.fromkeys([*REPORT_METRICS, *METRICS]))  # "accuracy" is in both


class EarlyStopping(NamedTuple):
    """The options of early stopping.

    Attributes:
      patience: the number of epochs without improvement after which the training stops.
      monitor: "cost", "accuracy", "validation_cost", "validation_accuracy", or another metric of the validation part,
        such as "f1". None means validation_cost if there is a validation part, else cost. The test part cannot be
        monitored: a metric that selects the epoch is no longer an unbiased estimate.
      min_delta: the smallest change of the metric that counts as an improvement.

    >>> EarlyStopping(patience=5, monitor="f1")
    EarlyStopping(patience=5, monitor='f1', min_delta=0.0)
    """

    patience: int = 10
    monitor: str | None = None
    min_delta: float = 0.0


class MetricTracker(Callback):
    """Records the monitored metric of a run after each epoch, the best epoch, and whether to stop."""

    def __init__(self, early_stopping: EarlyStopping | None, has_validation: bool, snapshot: Snapshot) -> None:
        monitor = early_stopping and early_stopping.monitor
        self.monitor = monitor or ("validation_cost" if has_validation else "cost")
        # the schedule "plateau" reads the same list
        self.values = [monitored_value(report, self.monitor) for report in snapshot.history]
        self._early_stopping = early_stopping
        self._best = snapshot.best  # of the run so far, if it is resumed
        self._get_best_params: Callable[[], Params] | None = None  # None when `_best` has its parameters
        self.needs_state = early_stopping is not None

    @property
    def should_stop(self) -> bool:
        """Whether the last `patience` epochs are without improvement."""
        if self._early_stopping is None or self._best is None:
            return False
        return len(self.values) - self._best.epoch >= self._early_stopping.patience  # `values` begins with epoch 1

    def on_epoch_end(self, progress: Progress) -> bool:
        """Record the epoch, and return whether to stop."""
        if self._early_stopping is None:  # no epoch is remembered
            self.values.append(monitored_value(progress.history[-1], self.monitor))
            return False
        self.update(progress.history[-1], progress.params_getter())
        return self.should_stop

    def update(self, report: Report, get_params: Callable[[], Params]) -> None:
        """Record a report. `get_params` returns the parameters that predict after its epoch."""
        value = monitored_value(report, self.monitor)
        self.values.append(value)
        stopping, best = self._early_stopping, self._best
        # NaN, the metric of outputs that are not finite, must not stay the best: no number is smaller than NaN
        replaces_nan = best is not None and math.isnan(best.value) and not math.isnan(value)
        if stopping is not None and (best is None or replaces_nan or value < best.value - stopping.min_delta):
            # do not copy the parameters yet: the same block of epochs may contain a better epoch. `best` copies them
            # once per block.
            self._best, self._get_best_params = Best(len(self.values), value, ()), get_params

    def best(self) -> Best | None:
        """Return the best epoch with its parameters. Call it before the states of the epoch's block are released."""
        if self._best is not None and self._get_best_params is not None:
            self._best, self._get_best_params = self._best._replace(params=self._get_best_params()), None
        return self._best


def check_early_stopping(early_stopping: object) -> None:
    """Raise an error unless the argument is None, or an `EarlyStopping` with valid numbers and a known metric."""
    if early_stopping is None:
        return
    if not isinstance(early_stopping, EarlyStopping):
        remedy = "write EarlyStopping(patience=10), for example"
        raise InputTypeError(sentence("early_stopping", "an EarlyStopping", repr(early_stopping), remedy))
    patience, delta = early_stopping.patience, early_stopping.min_delta
    # isinstance(True, Integral) is true
    if not isinstance(patience, Integral) or isinstance(patience, bool) or patience < 1:
        remedy = "write 10, for example"
        raise InputError(sentence("patience", "a positive whole number of epochs", repr(patience), remedy))
    # `not (delta >= 0)` is true for NaN, `delta < 0` is not
    if not isinstance(delta, Real) or not (delta >= 0 and math.isfinite(delta)):
        raise InputError(sentence("min_delta", "a number ≥ 0", repr(delta), "leave it out"))
    if early_stopping.monitor is not None:
        check_metric(early_stopping.monitor)


def check_monitor(early_stopping: EarlyStopping | None, has_validation: bool) -> None:
    """Raise an error if the monitored metric needs a validation part and there is none."""
    if early_stopping is None or has_validation or early_stopping.monitor in (None, "cost", "accuracy"):
        return
    remedy = "make one with data.split_validation(0.1), or monitor 'cost'"
    raise InputError(sentence("early stopping", f"a validation part for {early_stopping.monitor!r}", "none", remedy))


def check_metric(name: str) -> None:
    """Raise an error unless the name is a metric of the report or one of `jaxmlp.metrics`."""
    if name not in MONITORS:
        raise unknown("metric", name, MONITORS)


def monitored_value(report: Report, monitor: str) -> float:
    """Return the monitored metric of a report as a number to minimise: if higher is better, with the opposite sign.

    Raises:
      InputError: when the report has no such metric.

    >>> monitored_value(Report(cost=0.5, accuracy=0.9), "accuracy")
    -0.9
    """
    if monitor in REPORT_METRICS:
        value, higher = getattr(report, monitor), monitor.endswith("accuracy")
    else:
        value, higher = (report.metrics or {}).get(monitor), METRICS[monitor].higher_is_better
    if value is None:
        remedy = "monitor another metric, such as 'cost'"
        raise InputError(sentence("early stopping", f"{monitor!r} in every report", "none", remedy))
    return -value if higher else value
