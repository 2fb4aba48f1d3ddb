"""The leaderboard of a population: a row for each network and setting, over its seeds and folds.

    mean      of the metric after the last epoch
    spread    its standard deviation, √(Σ (v - mean)² / (n - 1))

Settings are sorted by their means, best first; those with a diverged run come after all without.
"""

import math
import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxmlp.metrics.definitions import METRICS
from jaxmlp.nn.network import Network, Params
from jaxmlp.population.grid import MemberSpec
from jaxmlp.training.early_stopping import REPORT_METRICS, monitored_value
from jaxmlp.training.state import Report


class Curves(NamedTuple):
    """A member's metrics after each epoch, (epochs,) each, as a Report has them; None where there are none.

    Attributes:
      cost, accuracy: of the rows it was trained on.
      validation_cost, validation_accuracy: of the rows its fold holds out, or of the validation part (of the test part
        where there is no other). Unlike a Report's, the cost has no penalties and no label smoothing: a leaderboard
        compares settings of them.
    """

    cost: np.ndarray
    accuracy: np.ndarray | None
    validation_cost: np.ndarray | None
    validation_accuracy: np.ndarray | None

    def last(self) -> Report:
        """Return the metrics after the last epoch."""
        return Report(*(None if curve is None else float(curve[-1]) for curve in self), epoch=len(self.cost))


class Member(NamedTuple):
    """A trained network of a population.

    Attributes:
      net, params: to predict with, as of `Result`; NumPy arrays.
      spec: its network in training, seed, numbers and fold.
      curves: its metrics after each epoch.
      diverged: the first epoch after which its cost or a parameter was not finite; None if it never was.
      metrics: the requested metric, of the rows that validate it; None without, and where it diverged.
    """

    net: Network
    params: Params
    spec: MemberSpec
    curves: Curves
    diverged: int | None = None
    metrics: dict[str, Any] | None = None

    def __repr__(self) -> str:
        """Return the setting and the last report, never the arrays."""
        end = f"diverged in epoch {self.diverged}" if self.diverged is not None else f"last: {self.curves.last()!r}"
        return f"Member({self.spec!r}, {end})"


class Row(NamedTuple):
    """A row of the leaderboard.

    Attributes:
      net, numbers: the network and its setting of the grid.
      mean, spread: of the metric over the runs that did not diverge; NaN where there are none, and the spread 0 for a
        single one.
      accuracy: the mean accuracy of the validation rows, else of the test part, else of the training rows; None for
        regression.
      runs: the number of seeds times folds.
      diverged: how many of the runs diverged.
      members: their places in the population.
    """

    net: Network
    numbers: dict[str, float]
    mean: float
    spread: float
    accuracy: float | None
    runs: int
    diverged: int
    members: tuple[int, ...]

    def __str__(self) -> str:
        settings = [f"{name} {number:g}" for name, number in self.numbers.items()]
        hidden = dict.fromkeys(g.name for g in self.net.activations[:-1])
        what = ", ".join([" ".join(["-".join(map(str, self.net.sizes)), *hidden]), *settings])
        spread = f" ± {self.spread:.2g}" if self.runs > 1 else ""
        facts = [] if math.isnan(self.mean) else [f"{self.mean:.4g}{spread}"]
        facts += [] if self.accuracy is None else [f"accuracy {self.accuracy:.2%}"]
        facts.append(f"{self.runs} run{'s' * (self.runs != 1)}")
        facts += [f"{self.diverged} diverged"] if self.diverged else []
        return f"{what}: {', '.join(facts)}"


def leaderboard(members: Sequence[Member], metric: str) -> tuple[Row, ...]:
    """Return the rows, best first.

    Args:
      members: of the population.
      metric: "cost", "accuracy", "validation_cost", "validation_accuracy", or a name in the members' metrics.

    Raises:
      InputError: when the members have no such metric.
    """
    groups: dict[tuple[Network, tuple[float, ...]], list[int]] = {}
    for i, member in enumerate(members):
        groups.setdefault((member.spec.net, tuple(member.spec.numbers.values())), []).append(i)
    higher = metric.endswith("accuracy") if metric in REPORT_METRICS else METRICS[metric].higher_is_better
    # `monitored_value` changes the sign of what should be high; this changes it back
    sign = -1.0 if higher else 1.0
    rows = [_row(members, places, metric, sign) for places in groups.values()]
    # a setting with a run that diverged comes last, whatever its other runs reached; NaN needs a key of its own,
    # because every comparison with it is false
    return tuple(sorted(rows, key=lambda row: (row.diverged > 0, math.isnan(row.mean), sign * row.mean)))


def _row(members: Sequence[Member], places: Sequence[int], metric: str, sign: float) -> Row:
    # a run that diverged has no mean to contribute; it counts in its own column
    converged = [members[i] for i in places if members[i].diverged is None]
    reports = [member.curves.last()._replace(metrics=member.metrics) for member in converged]
    values = [sign * monitored_value(report, metric) for report in reports]
    accuracies = [
        report.accuracy if report.validation_cost is None else report.validation_accuracy for report in reports
    ]
    accuracies = [accuracy for accuracy in accuracies if accuracy is not None]
    first = members[places[0]].spec
    return Row(
        first.net,
        first.numbers,
        statistics.fmean(values) if values else math.nan,
        statistics.stdev(values) if len(values) > 1 else 0.0 if values else math.nan,
        statistics.fmean(accuracies) if accuracies else None,
        len(places),
        len(places) - len(reports),
        tuple(places),
    )
