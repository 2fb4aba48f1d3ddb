"""Diagnostics of a network on a batch: measure it, name what is wrong, and say what to do."""

from jaxmlp.lazy_modules import lazy_modules as _lazy_modules

__getattr__, __dir__ = _lazy_modules(__name__)
