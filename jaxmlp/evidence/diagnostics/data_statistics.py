"""Statistics of a batch for the rules: range and scale of the targets; mean, spread and range of every feature."""

from typing import NamedTuple

import numpy as np

from jaxmlp.nn.objective import Batch


class DataStatistics(NamedTuple):
    """Statistics of a batch, in float64.

    Attributes:
      examples: the number of examples m.
      target_low, target_high: the smallest and the largest target.
      target_scale: the root mean square of the targets.
      target_spread: the standard deviation of the targets; of several outputs the largest one.
      same_targets: whether all examples with a weight have the same targets.
      target_sums: the sum of the targets of each example with a weight, (m,).
      means, spreads, largest: the mean, standard deviation and largest |x| of every feature, (n0,).
    """

    examples: int
    target_low: float
    target_high: float
    target_scale: float
    target_spread: float
    same_targets: bool
    target_sums: np.ndarray
    means: np.ndarray
    spreads: np.ndarray
    largest: np.ndarray


def data_statistics(batch: Batch) -> DataStatistics:
    """Return the statistics of a checked batch. If the data contain NaN, so do the statistics.

    >>> data_statistics(Batch(np.array([[1.0, 3.0]]), np.array([[0, 4]]), None)).target_high
    4.0
    """
    X, Y = (np.asarray(M, np.float64) for M in batch[:2])
    weighted = Y if batch.weights is None else Y[:, np.asarray(batch.weights)[0] != 0]
    with np.errstate(over="ignore", invalid="ignore"):  # inf and NaN are findings of other rules, not warnings
        return DataStatistics(
            X.shape[1],
            float(Y.min()),
            float(Y.max()),
            float(np.sqrt(np.square(Y).mean())),
            float(Y.std(axis=1).max()),
            bool((weighted == weighted[:, :1]).all()),
            weighted.sum(axis=0),
            X.mean(axis=1),
            X.std(axis=1),
            np.abs(X).max(axis=1),
        )


NO_DATA = DataStatistics(0, 0.0, 0.0, 0.0, 0.0, False, *[np.zeros(0)] * 4)
