"""Compiled functions that keep their own error sentences."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar

import jax

from jaxmlp.errors import InputError

T = TypeVar("T")


def compiled(*, static: Sequence[str] = ()) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """`jax.jit` for a function that checks its arguments.

    jit refuses what it cannot trace (a text where an array belongs) before the function sees it, in words of its own.
    Such a call is made once more without jit, so that the function's checks can say what they expect.

    >>> @compiled()
    ... def double(x):
    ...     if isinstance(x, str):
    ...         raise InputError("x expects a number, got a text: convert it with float")
    ...     return 2 * x
    >>> float(double(3.0))
    6.0
    >>> double("3")
    Traceback (most recent call last):
    jaxmlp.errors.InputError: x expects a number, got a text: convert it with float
    """

    def decorate(function: Callable[..., T]) -> Callable[..., T]:
        jitted = jax.jit(function, static_argnames=tuple(static))

        @wraps(function)
        def call(*arguments: Any, **named: Any) -> T:
            try:
                return jitted(*arguments, **named)
            except InputError:
                raise
            except (TypeError, ValueError):
                try:
                    function(*arguments, **named)
                except InputError as mistake:
                    raise mistake from None
                raise

        vars(call)["lower"] = jitted.lower  # as of any jitted function
        return call

    return decorate
