"""The speed of training on this machine: its steps beside bare matrix products, its backward pass beside autodiff."""

from jaxmlp.lazy_modules import lazy_modules as _lazy_modules

__getattr__, __dir__ = _lazy_modules(__name__)
