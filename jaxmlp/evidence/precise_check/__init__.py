"""Every formula of an activation and a cost against 50 digits, in units in the last place."""

from jaxmlp.lazy_modules import lazy_modules as _lazy_modules

__getattr__, __dir__ = _lazy_modules(__name__)
