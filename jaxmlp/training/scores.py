"""Metrics of the validation part, computed on the host from the outputs after an epoch."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from jaxmlp.data.dataset import Dataset
from jaxmlp.errors import InputError, sentence, unknown
from jaxmlp.metrics.decisions import PROBABILITY_OUTPUTS
from jaxmlp.metrics.definitions import METRICS, compute_metrics
from jaxmlp.nn.network import Network
from jaxmlp.training.config import TrainConfig
from jaxmlp.training.early_stopping import REPORT_METRICS


def make_score(
    data: Dataset, net: Network, config: TrainConfig, weights: np.ndarray | None = None
) -> Callable[[np.ndarray], dict[str, Any]] | None:
    """Return a function: outputs A of the validation part, one example per row -> metrics; None without metrics.

    The metrics are those of the configuration, with the one that early stopping monitors. Where there is no validation
    part, the test part is measured.

    Raises:
      InputError: for an unknown metric, for one of another task, and where there is no part to measure on.
    """
    names = list(config.metrics)
    monitor = config.early_stopping and config.early_stopping.monitor
    if monitor not in (None, *REPORT_METRICS, *names):
        names.append(str(monitor))
    return score_function(data, net, names, weights)


def score_function(
    data: Dataset, net: Network, names: Iterable[str], weights: np.ndarray | None = None
) -> Callable[[np.ndarray], dict[str, Any]] | None:
    """As `make_score`, for metrics by name; rows count by their weights."""
    names = list(names)
    for name in names:
        if name not in METRICS:
            raise unknown("metric", name, METRICS)
    if not names:
        return None
    part = data.validation or data.test
    if part is None:
        remedy = "make one with data.split_validation(0.1)"
        raise InputError(sentence("metrics", "a validation or a test part to measure on", "neither", remedy))

    def score(A: np.ndarray) -> dict[str, Any]:
        A = A.astype(np.float64)  # metrics sum over all rows
        if not np.isfinite(A).all():  # a run that diverges: the next cost says where
            return dict.fromkeys(names, math.nan)
        if data.task == "regression":
            return compute_metrics(data.task, part.targets, data.target_preprocessing.inverse(A), weights, names)
        if data.task == "multilabel":
            return compute_metrics(data.task, part.targets, A, weights, names, predictions=A > 0.5)
        answers = A.argmax(axis=1) if A.shape[1] > 1 else (A[:, 0] > 0.5).astype(int)
        outputs = None
        if net.activations[-1].name in PROBABILITY_OUTPUTS:
            # in float64 again: probabilities of float32 or bfloat16 do not sum to 1 exactly, as the metrics expect
            outputs = A if A.shape[1] == 1 else A / A.sum(axis=1, keepdims=True)
        return compute_metrics(data.task, part.targets, outputs, weights, names, predictions=answers)

    return score
