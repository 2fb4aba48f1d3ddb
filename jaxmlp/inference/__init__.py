"""From raw rows to predictions: the trained model, its file, and prediction in NumPy for few rows."""

from jaxmlp.lazy_modules import lazy_modules as _lazy_modules

__getattr__, __dir__ = _lazy_modules(__name__)
