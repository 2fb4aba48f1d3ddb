"""Names of functions as a person writes them: "relu", "leaky_relu(0.2)", "maxout(3)", "normal(0.01)".

A table maps each name to a record or to a function that makes one from numbers. Equal texts give the same record, so
two networks with equal names are equal and share one compiled program.
"""

import re
from collections.abc import Mapping
from inspect import signature
from typing import Any

from jaxmlp.errors import InputError, InputTypeError, sentence, unknown

_CALL = re.compile(r"\s*(\w+)\s*(?:\(([^()]*)\))?\s*")


def resolve(kind: str, name: str, table: Mapping[str, Any]) -> Any:
    """The record that `name` stands for in `table`; `kind` names the table in the error text.

    >>> resolve("power", "cube", {"cube": 3})
    3
    >>> resolve("power", "root(2)", {"root": lambda degree=2: 1 / degree})
    0.5
    >>> resolve("power", "rot(2)", {"root": lambda degree=2: 1 / degree})
    Traceback (most recent call last):
    jaxmlp.errors.InputError: power expects one of root, got 'rot': did you mean 'root'?
    """
    if not isinstance(name, str):
        raise InputTypeError(sentence(kind, "a name", type(name).__name__, f"take one of {', '.join(table)}"))
    match = _CALL.fullmatch(name)
    if match is None or match[1] not in table:
        raise unknown(kind, match[1] if match else name, table)
    entry = table[match[1]]
    if match[2] is None and not callable(entry):
        return entry
    if not callable(entry):
        raise InputError(sentence(f"{kind} {match[1]}", "no argument", repr(name), f"write {match[1]!r}"))
    return _make(kind, name, entry, match[2] or "")


def _make(kind: str, name: str, maker: Any, text: str) -> Any:
    """Call `maker` with the numbers in `text`, or say what is wrong with them."""
    try:
        numbers = [_number(part) for part in text.split(",") if part.strip()]
    except ValueError:
        remedy = f"write it as in '{name.partition('(')[0].strip()}(0.1)'"
        raise InputError(sentence(f"{kind} {name!r}", "numbers in its parentheses", repr(text), remedy)) from None
    most = len(signature(maker).parameters)
    if len(numbers) > most:
        unit = "number" if most == 1 else "numbers"
        raise InputError(sentence(f"{kind} {name!r}", f"at most {most} {unit}", len(numbers), "leave the rest out"))
    return maker(*numbers)


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def canonical(function: str, *numbers: float) -> str:
    """The one spelling of a function with its numbers.

    >>> canonical("leaky_relu", 0.01), canonical("maxout", 3)
    ('leaky_relu(0.01)', 'maxout(3)')
    """
    return f"{function}({', '.join(map(repr, numbers))})"
