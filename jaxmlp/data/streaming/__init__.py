"""Training rows that stay in their file: the data set, its rows, and the buffers through which they are shuffled."""

from jaxmlp.lazy_modules import lazy_modules as _lazy_modules

__getattr__, __dir__ = _lazy_modules(__name__)
