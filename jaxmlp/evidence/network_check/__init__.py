"""The check of networks: each formula of the package against autodiff and central differences, row by row."""

from jaxmlp.lazy_modules import lazy_modules as _lazy_modules

__getattr__, __dir__ = _lazy_modules(__name__)
