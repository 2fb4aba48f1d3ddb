"""Tests for any custom derivative rule, one row of a certificate per question."""

from jaxmlp.lazy_modules import lazy_modules as _lazy_modules

__getattr__, __dir__ = _lazy_modules(__name__)
