"""Record how custom rules are called: the arguments of a real call are better than any that are drawn.

Within a transformation a rule gets tracers, which have a shape and a dtype but no values: those are kept as shapes, and
numbers are drawn for them later. A call with numbers replaces one with shapes.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import jax
import jax.core
import numpy as np

from jaxmlp.evidence.package_check.discover import defining_function
from jaxmlp.evidence.vjp_check.arguments import has_dtype
from jaxmlp.evidence.vjp_check.rule_under_test import attempt

MAX_CALL_ENTRIES = 20_000  # of all arrays of a call together: differences of more take too long
MAX_RULES = 1_000


class RecordedCall(NamedTuple):
    """The arguments of a call; arrays of which only the shape is known are `jax.ShapeDtypeStruct`."""

    rule: Any
    args: tuple[Any, ...]
    has_values: bool


class Recorder:
    """The calls of rules, one a rule, by the identity of the rule's function."""

    def __init__(self) -> None:
        self.calls: dict[Any, RecordedCall] = {}

    def add(self, rule: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Record a call, unless a better one is there."""
        key = _key(rule)
        before = self.calls.get(key)
        if (before is not None and before.has_values) or (before is None and len(self.calls) >= MAX_RULES):
            return
        if kwargs:
            with suppress(TypeError, ValueError):
                bound = inspect.signature(rule).bind(*args, **kwargs)
                bound.apply_defaults()
                args, kwargs = bound.args, bound.kwargs
            if kwargs:  # keyword-only arguments: the rule cannot be called by position
                return
        leaves, tree = jax.tree.flatten(args)
        shaped = [_shaped(leaf) for leaf in leaves]
        entries = sum(int(np.prod(leaf.shape)) for leaf in shaped if has_dtype(leaf))
        if entries > MAX_CALL_ENTRIES:
            return
        has_values = not any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in shaped)
        if before is None or has_values:
            self.calls[key] = RecordedCall(rule, jax.tree.unflatten(tree, shaped), has_values)


def _key(rule: object) -> Any:
    """Return what equal rules share: a rule that is made anew in each call of a function has the code of the first."""
    return getattr(defining_function(rule), "__code__", None) or id(rule)


def _shaped(leaf: object) -> Any:
    if isinstance(leaf, jax.core.Tracer):
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)
    return leaf


@contextmanager
def record_rules(recorder: Recorder) -> Iterator[Recorder]:
    """Record every call of a `custom_vjp` and a `custom_jvp` within the block.

    >>> with record_rules(Recorder()) as recorder:
    ...     y = jax.nn.relu(np.ones(2))
    >>> [call.rule.__name__ for call in recorder.calls.values()]
    ['relu']
    """
    originals: dict[Any, Callable[..., Any]] = {cls: cls.__call__ for cls in (jax.custom_vjp, jax.custom_jvp)}

    def recording(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: object, *args: Any, **kwargs: Any) -> Any:
            attempt(lambda: recorder.add(self, args, kwargs))  # an error here must not change the run of the program
            return original(self, *args, **kwargs)

        return call

    for cls, original in originals.items():
        cls.__call__ = recording(original)  # Python looks up __call__ in the class, never in the object
    try:
        yield recorder
    finally:
        for cls, original in originals.items():
            cls.__call__ = original
