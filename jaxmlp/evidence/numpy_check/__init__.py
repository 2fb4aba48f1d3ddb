"""Checks of a backward pass that the user wrote in NumPy: the incorrect equation, and the known mistake behind it."""

from jaxmlp.lazy_modules import lazy_modules as _lazy_modules

__getattr__, __dir__ = _lazy_modules(__name__)
