"""Find the custom rules of a package: import its modules, and look at what they define.

A rule may be bare (`jax.nn.relu`), within a `jit` or a `partial`, an attribute of a class or a record, or an object of
Equinox that makes the rule when it is called. A rule that is made within a function appears only in a recorded call.
"""

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple

import jax

from jaxmlp.evidence.vjp_check.rule_under_test import Failure, attempt

MAX_WRAPPERS = 8  # around one rule
# modules that run something when they are imported, or that belong to the tests of a package
SKIPPED_WORDS = {"__main__", "conftest", "tests", "testing", "benchmarks", "examples"}


class FoundRule(NamedTuple):
    """A custom rule.

    Attributes:
      name: the module and name that define it.
      form: "custom_vjp", "custom_jvp" or the class of Equinox.
      function: what a caller calls.
      owner: the object that identifies the rule, of which several names may lead to one.
    """

    name: str
    form: str
    function: Any
    owner: Any


class Discovery(NamedTuple):
    """The rules of a package, and a sentence for every module that could not be imported."""

    rules: tuple[FoundRule, ...]
    failed_imports: tuple[str, ...]


def find_rules(package: str) -> Discovery:
    """Import every module of a package and return its rules, each once, in the order of their names.

    Raises:
      ImportError: when the package itself cannot be imported.
    """
    root = importlib.import_module(package)
    failures: list[str] = []
    rules: dict[int, FoundRule] = {}
    for module in (root, *_submodules(root, failures)):
        for rule in _rules_in(module, package):
            # by id: a rule need not be hashable. The entry keeps its owner alive, so no other object gets the id
            rules.setdefault(id(rule.owner), rule)
    return Discovery(tuple(sorted(rules.values(), key=lambda rule: rule.name)), tuple(failures))


def rule_within(value: object) -> tuple[str, Any] | None:
    """Return form and rule behind `jit`, `partial` and other wrappers; None where there is no rule.

    >>> rule_within(jax.jit(jax.nn.relu))[0], rule_within(len)
    ('custom_jvp', None)
    """
    for _ in range(MAX_WRAPPERS):
        if isinstance(value, jax.custom_vjp | jax.custom_jvp):
            return type(value).__name__, value
        if type(value).__module__.startswith("equinox.") and "filter_custom" in type(value).__name__:
            return type(value).__name__.lstrip("_"), value
        inner = value.func if isinstance(value, functools.partial) else None
        if inner is None:
            wrapped = inspect.getattr_static(value, "__wrapped__", None)
            # an attribute may be computed, and raise
            inner = wrapped or attempt(lambda value=value: getattr(value, "__wrapped__", None))
        if inner is None or isinstance(inner, Failure):
            return None
        value = inner
    return None


def _submodules(root: ModuleType, failures: list[str]) -> Iterator[ModuleType]:
    if not hasattr(root, "__path__"):
        return
    names = [info.name for info in pkgutil.iter_modules(root.__path__, f"{root.__name__}.")]
    for name in names:
        if SKIPPED_WORDS.intersection(name.split(".")) or name.endswith("_test"):
            continue
        try:
            module = importlib.import_module(name)
        # code of others may raise anything when it is imported, SystemExit included; the remaining modules still count
        except (Exception, SystemExit) as error:
            text = " ".join(str(error).split())[:120]
            failures.append(f"{name}: {type(error).__name__}: {text}")
            continue
        yield module
        yield from _submodules(module, failures)


def _rules_in(module: ModuleType, package: str) -> Iterator[FoundRule]:
    # a list: a module that imports lazily gets new names while its values are looked at
    for name, value in list(vars(module).items()):
        yield from _rule_of(value, f"{module.__name__}.{name}", package)
        for attribute, member in _members(value, module, package):
            yield from _rule_of(member, f"{module.__name__}.{name}.{attribute}", package)


def _members(value: object, module: ModuleType, package: str) -> list[tuple[str, object]]:
    """Return the attributes of a class of this module, and of a record of the package's."""
    if inspect.isclass(value):
        attributes = vars(value) if value.__module__ == module.__name__ else {}
        return [(name, m.__func__ if isinstance(m, staticmethod) else m) for name, m in attributes.items()]
    is_record = type(value).__module__.partition(".")[0] == package.partition(".")[0]
    if not is_record or rule_within(value) or inspect.isroutine(value) or inspect.ismodule(value):
        return []  # an object of Equinox keeps the rule of JAX that it is made of
    return list(getattr(value, "__dict__", {}).items())


def _rule_of(value: object, name: str, package: str) -> Iterator[FoundRule]:
    rule = rule_within(value)
    if rule is None:
        return
    form, owner = rule
    function = defining_function(owner)
    home = str(getattr(function, "__module__", "") or "")
    # a rule of another package that this one imports belongs to that other one
    if home and home.partition(".")[0] != package.partition(".")[0]:
        return
    qualified = str(getattr(function, "__qualname__", ""))
    # of a function within a function the place where it was found says more
    is_named = home and qualified and "<locals>" not in qualified
    yield FoundRule(f"{home}.{qualified}" if is_named else name, form, value, owner)


def defining_function(rule: object) -> Any:
    """Return the function of the user's that a rule was made of.

    `jax.custom_gradient` and Equinox make the rule of a function of their own, with the user's in its closure.
    """
    function = getattr(rule, "fun", None) or getattr(rule, "fn", rule)
    function = inspect.unwrap(function) if callable(function) else function
    if not str(getattr(function, "__module__", "")).startswith(("jax._src.custom_derivatives", "equinox.")):
        return function
    cells = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
    # for a method of Equinox the closure holds the wrapper; its `fn` is the user's function
    candidates = [value if inspect.isfunction(value) else getattr(value, "fn", None) for value in cells]
    return next(filter(inspect.isfunction, candidates), function)
