"""The command line: `main.COMMANDS` lists the commands, and each has a module of its name."""

from jaxmlp.lazy_modules import lazy_modules as _lazy_modules

__getattr__, __dir__ = _lazy_modules(__name__)
