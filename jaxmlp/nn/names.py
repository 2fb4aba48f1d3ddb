"""Names of functions as users write them: "relu", "leaky_relu(0.2)", "maxout(3)", "normal(0.01)".

A table maps each name to a record or to a function that makes one from numbers. Equal texts give the same record, so
two networks with equal names are equal and share one compiled program.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from inspect import Parameter, signature
from typing import TypeVar, cast

from jaxmlp.errors import InputError, InputTypeError, sentence, unknown

T = TypeVar("T")

_CALL = re.compile(r"\s*(\w+)\s*(?:\(([^()]*)\))?\s*")


def resolve(category: str, name: str, table: Mapping[str, T | Callable[..., T]]) -> T:
    """Return the record that `name` stands for in `table`; `category` names the table in error sentences.

    >>> resolve("power", "cube", {"cube": 3})
    3
    >>> resolve("power", "root(2)", {"root": lambda degree=2: 1 / degree})
    0.5
    >>> resolve("power", "rot(2)", {"root": lambda degree=2: 1 / degree})
    Traceback (most recent call last):
    jaxmlp.errors.InputError: power expects one of root, got 'rot': did you mean 'root'?
    """
    if not isinstance(name, str):
        raise InputTypeError(sentence(category, "a name", type(name).__name__, f"take one of {', '.join(table)}"))
    match = _CALL.fullmatch(name)
    if match is None or match[1] not in table:
        raise unknown(category, match[1] if match else name, table)
    entry = table[match[1]]
    if callable(entry):
        return _call_maker(category, name, cast(Callable[..., T], entry), match[2] or "")
    if match[2] is not None:
        raise InputError(sentence(f"{category} {match[1]}", "no argument", repr(name), f"write {match[1]!r}"))
    return entry


def _call_maker(category: str, name: str, maker: Callable[..., T], text: str) -> T:
    """Call `maker` with the numbers in `text`."""
    parameters = _parameters_of(maker)
    try:
        numbers = [_number(part) for part in text.split(",") if part.strip()]
    except ValueError:
        defaults = [parameter.default for parameter in parameters.values()]
        remedy = f"write it as in {canonical(name.partition('(')[0].strip(), *defaults)!r}"
        raise InputError(sentence(f"{category} {name!r}", "numbers in its parentheses", repr(text), remedy)) from None
    n_parameters = len(parameters)
    if len(numbers) > n_parameters:
        expects = f"at most {n_parameters} number" + ("s" if n_parameters > 1 else "")
        raise InputError(sentence(f"{category} {name!r}", expects, len(numbers), "remove the last ones"))
    return maker(*numbers)


@lru_cache(128)  # a run asks for its names many times, and `signature` takes 20 µs
def _parameters_of(maker: Callable[..., object]) -> Mapping[str, Parameter]:
    return signature(maker).parameters


def _number(text: str) -> int | float:
    try:
        # whole numbers stay whole, as maxout(3) needs them
        return int(text)
    except ValueError:
        return float(text)


def canonical(function: str, *numbers: float) -> str:
    """Return the one spelling of a function with its numbers.

    >>> canonical("leaky_relu", 0.01), canonical("maxout", 3)
    ('leaky_relu(0.01)', 'maxout(3)')
    """
    return f"{function}({', '.join(map(repr, numbers))})"
