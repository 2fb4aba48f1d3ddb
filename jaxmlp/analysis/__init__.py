"""Analysis of a network: the Hessian of its cost, the collapse of linear layers, the gradients of single examples."""

from jaxmlp.lazy_modules import lazy_modules as _lazy_modules

__getattr__, __dir__ = _lazy_modules(__name__)
