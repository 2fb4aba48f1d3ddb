"""Every custom rule of an installed package, or of a test suite, through `check_vjp`: one row a rule."""

from jaxmlp.lazy_modules import lazy_modules as _lazy_modules

__getattr__, __dir__ = _lazy_modules(__name__)
