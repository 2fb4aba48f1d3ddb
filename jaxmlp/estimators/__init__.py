"""Estimators with scikit-learn's interface: `MLPClassifier` and `MLPRegressor`."""

from importlib.util import find_spec as _find_spec

from jaxmlp.errors import MissingPackageError, sentence
from jaxmlp.lazy_modules import lazy_modules as _lazy_modules

if _find_spec("sklearn") is None:
    _remedy = 'install it with pip install "jaxmlp[all]"'
    raise MissingPackageError(sentence("jaxmlp.estimators", "scikit-learn", "no such package", _remedy))

from jaxmlp.estimators.classifier import MLPClassifier as MLPClassifier
from jaxmlp.estimators.regressor import MLPRegressor as MLPRegressor

__getattr__, __dir__ = _lazy_modules(__name__)
