"""Several devices and several processes: how arrays are laid out, and what processes agree on."""

from jaxmlp.lazy_modules import lazy_modules as _lazy_modules

__getattr__, __dir__ = _lazy_modules(__name__)
