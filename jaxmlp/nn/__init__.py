"""The mathematics: activations, initializers, the dense block, costs, networks and the objective."""

from jaxmlp.lazy_modules import lazy_modules as _lazy_modules

__getattr__, __dir__ = _lazy_modules(__name__)
