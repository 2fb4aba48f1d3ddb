"""Metrics: how good predictions are, with scikit-learn's definitions and names."""

from jaxmlp.lazy_modules import lazy_modules as _lazy_modules
from jaxmlp.metrics.definitions import METRICS as METRICS
from jaxmlp.metrics.definitions import Metric as Metric
from jaxmlp.metrics.definitions import compute_metrics as compute_metrics
from jaxmlp.metrics.example_weights import class_weights as class_weights

__getattr__, __dir__ = _lazy_modules(__name__)
