"""Modules as attributes of their package, imported when they are first used.

After `import jaxmlp`, `jaxmlp.nn.activations` is an attribute, and `import jaxmlp` takes no longer for it.
"""

import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from types import ModuleType


def lazy_modules(package: str) -> tuple[Callable[[str], ModuleType], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` for a package, which give its modules as attributes.

    >>> import jaxmlp.nn
    >>> get_module, list_names = lazy_modules("jaxmlp.nn")
    >>> get_module("activations").__name__, "activations" in list_names()
    ('jaxmlp.nn.activations', True)
    """

    @cache  # one look at the folder, however many names are asked for
    def modules() -> frozenset[str]:
        import pkgutil  # here, because `import jaxmlp` needs neither it nor the list

        names = (info.name for info in pkgutil.iter_modules(sys.modules[package].__path__))
        return frozenset(name for name in names if not name.startswith("_"))

    def get_module(name: str) -> ModuleType:
        if not name.startswith("_") and name in modules():
            return import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def list_names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *modules()})

    return get_module, list_names
