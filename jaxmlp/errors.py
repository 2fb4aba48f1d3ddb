"""The one form of an error sentence: where expects what, got what; then the remedy.

A mistake of the user is an `InputError`; anything else that escapes is a defect of ours. The command line prints an
`InputError` as one line and exits with 2; every other exception keeps its traceback.

>>> print(sentence("layer 1", "A_prev of shape (2, m)", "(4, 3)", "is X one example per column?"))
layer 1 expects A_prev of shape (2, m), got (4, 3): is X one example per column?
"""

import difflib
from collections.abc import Iterable
from typing import Any


class InputError(ValueError):
    """A mistake in what the user gave: a value, a shape, a name, a file."""


class InputTypeError(InputError, TypeError):
    """What the user gave has the wrong type or dtype."""


class MissingFileError(InputError, FileNotFoundError):
    """A file or folder that the user named does not exist."""


class DivergenceError(InputError, FloatingPointError):
    """The cost became infinite or not a number while training; `last_good` is the `Result` before that epoch.

    Of an epoch that goes to the device in pieces it is the one before that piece.
    """

    last_good: Any = None


def sentence(where: str, expects: str, got: object, remedy: str) -> str:
    """`{where} expects {expects}, got {got}: {remedy}`, the form of every error text."""
    return f"{where} expects {expects}, got {got}: {remedy}"


def unknown(kind: str, name: object, known: Iterable[str]) -> InputError:
    """The error for a name that is in no table, with the nearest name as its remedy.

    >>> print(unknown("activation", "rellu", ["relu", "tanh"]))
    activation expects one of relu, tanh, got 'rellu': did you mean 'relu'?
    """
    known = list(known)
    near = difflib.get_close_matches(str(name), known, n=1)
    remedy = f"did you mean {near[0]!r}?" if near else "take one of these names"
    return InputError(sentence(kind, f"one of {', '.join(known)}", repr(name), remedy))
