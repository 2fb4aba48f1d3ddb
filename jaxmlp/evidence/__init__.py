"""The evidence: every formula checked on the user's own machine, and every fault named."""

from jaxmlp.lazy_modules import lazy_modules as _lazy_modules

__getattr__, __dir__ = _lazy_modules(__name__)
