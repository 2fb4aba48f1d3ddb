"""The leaderboard of a population: a row for each network and setting, over its seeds and folds.

    mean      of the watched figure after the last epoch
    spread    its standard deviation, √(Σ (v - mean)² / (n - 1))

Settings stand in the order of their means, best first; one of which a run has diverged stands below all that have not.
"""

import math
import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxmlp.nn.network import Network, Params
from jaxmlp.training.members import Spec
from jaxmlp.training.scores import SCORES
from jaxmlp.training.state import Report
from jaxmlp.training.stopping import FIGURES, watched


class Curves(NamedTuple):
    """A member's figures after each epoch, (epochs,) each, as a Report has them; None where there are none.

    Attributes:
      cost, accuracy: of the rows it was trained on.
      validation_cost, validation_accuracy: of the rows its fold holds back, or of the validation part (of the test part
        where there is no other); the cost without penalties and label smoothing, unlike that of a Report: a leaderboard
        compares settings of them.
    """

    cost: np.ndarray
    accuracy: np.ndarray | None
    validation_cost: np.ndarray | None
    validation_accuracy: np.ndarray | None

    def last(self) -> Report:
        """The figures after the last epoch."""
        return Report(*(None if curve is None else float(curve[-1]) for curve in self), epoch=len(self.cost))


class Member(NamedTuple):
    """A trained network of a population.

    Attributes:
      net, params: to answer with, as of `Result`; NumPy arrays.
      spec: its network in training, seed, numbers and fold.
      curves: its figures after each epoch.
      diverged: the first epoch after which its cost or a parameter was not finite; None if it never was.
      scores: the metric asked for, of the rows it is validated on; None without, and where it diverged.
    """

    net: Network
    params: Params
    spec: Spec
    curves: Curves
    diverged: int | None = None
    scores: dict[str, Any] | None = None


class Row(NamedTuple):
    """A row of the leaderboard.

    Attributes:
      net, numbers: the network and its setting of the grid.
      mean, spread: of the watched figure over the runs that did not diverge; NaN where there are none, and the spread
        0 for a single one.
      accuracy: the mean accuracy of the validation rows, else of the test part, else of the training rows; None for
        regression.
      runs: how many seeds and folds.
      diverged: how many of them did.
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


def leaderboard(members: Sequence[Member], metric: str) -> tuple[Row, ...]:
    """The rows, best first.

    Args:
      members: of the population.
      metric: "cost", "accuracy", "validation_cost", "validation_accuracy", or a name of the members' scores.

    Raises:
      InputError: when the members have no such figure.
    """
    groups: dict[tuple[Network, tuple[float, ...]], list[int]] = {}
    for i, member in enumerate(members):
        groups.setdefault((member.spec.net, tuple(member.spec.numbers.values())), []).append(i)
    higher = metric.endswith("accuracy") if metric in FIGURES else SCORES[metric].better == "higher"
    sign = -1.0 if higher else 1.0
    rows = [_row(members, places, metric, sign) for places in groups.values()]
    return tuple(sorted(rows, key=lambda row: (row.diverged > 0, math.isnan(row.mean), sign * row.mean)))


def _row(members: Sequence[Member], places: Sequence[int], metric: str, sign: float) -> Row:
    sound = [members[i] for i in places if members[i].diverged is None]
    reports = [member.curves.last()._replace(scores=member.scores) for member in sound]
    values = [sign * watched(report, metric) for report in reports]
    accuracies = [
        report.accuracy if report.validation_cost is None else report.validation_accuracy for report in reports
    ]
    known = [accuracy for accuracy in accuracies if accuracy is not None]
    first = members[places[0]].spec
    return Row(
        first.net,
        first.numbers,
        statistics.fmean(values) if values else math.nan,
        statistics.stdev(values) if len(values) > 1 else 0.0 if values else math.nan,
        statistics.fmean(known) if known else None,
        len(places),
        len(places) - len(reports),
        tuple(places),
    )
