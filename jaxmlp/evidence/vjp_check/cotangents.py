"""The cotangents that a backward rule returns, before JAX processes them.

    for a real array              an array of its shape and dtype (checked after JAX in `types`)
    for an integer array          None, or float0: JAX silently drops anything else
    for None, at any depth        None: JAX silently drops anything else

The rule is built a second time with a bwd that records its result. That needs the rule itself; for a rule inside of a
larger function the rows say to check it directly.
"""

import functools
import inspect
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.evidence.certificate import Row
from jaxmlp.evidence.vjp_check.arguments import (
    Function,
    argument_names,
    has_dtype,
    split_function,
    static_positions,
)
from jaxmlp.evidence.vjp_check.jaxpr import contains_rule
from jaxmlp.evidence.vjp_check.rule_under_test import CheckId, RuleUnderTest, pullback, row_without_number

_INTEGER_CHECK = "whole-number argument"
_NONE_CHECK = "None argument"


def cotangent_rows(rule: RuleUnderTest) -> Iterator[Row]:
    """Yield a row for every integer array and every None among the arguments of the rule."""
    function, args = _unwrap_partial(rule.user_function, rule.arguments.join(*rule.point))
    positions = [i for i in range(len(args)) if i not in static_positions(function)]
    names = argument_names(function, len(args))
    checks = [check for i in positions for check, _ in _without_derivative(names[i], args[i], None)]
    if not checks:
        return
    returned = _recorded_cotangents(rule, function)
    if returned is None:
        yield from _rows_without_bwd(rule, checks)
        return
    for i, cotangent in zip(positions, returned, strict=True):
        for check, value in _without_derivative(names[i], args[i], cotangent):
            note = "" if _is_empty(value) else f"bwd returns {_shapes_of(value)}, which JAX drops: return None"
            yield row_without_number(check, "FAIL" if note else "PASS", note)


def _unwrap_partial(function: Any, args: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
    """Return the rule inside of a `functools.partial`, and all of its arguments by position."""
    keywords: dict[str, Any] = {}
    while isinstance(function, functools.partial):
        # from the outer partial inwards: its keywords win over those within, as in a call
        args, keywords = function.args + args, {**function.keywords, **keywords}
        function = function.func
    try:
        bound = inspect.signature(function).bind(*args, **keywords)
    except (TypeError, ValueError):  # a callable without signature: JAX takes its arguments as they are
        return function, args
    bound.apply_defaults()  # as JAX does: bwd returns a cotangent for a default, too
    return function, bound.args


def _without_derivative(name: str, arg: Any, cotangent: Any) -> Iterator[tuple[CheckId, Any]]:
    """Yield (check, cotangent) for every None and every integer array inside of an argument."""
    if arg is None:
        yield (_NONE_CHECK, name, "None"), cotangent
        return
    # one level at a time: below arg everything is a leaf, also None, which JAX would drop otherwise
    children, _ = jax.tree_util.tree_flatten_with_path(arg, is_leaf=lambda node: node is not arg)
    if children and not (len(children) == 1 and not children[0][0]):  # not a leaf, whose only child is itself
        parts = [c for _, c in jax.tree_util.tree_flatten_with_path(cotangent, is_leaf=lambda n: n is not cotangent)[0]]
        # None stands for a whole subtree of zeros; JAX has already raised for any other structure
        if cotangent is None or len(parts) != len(children):
            parts = [None] * len(children)
        for (path, child), part in zip(children, parts, strict=True):
            yield from _without_derivative(name + jax.tree_util.keystr(path), child, part)
    elif has_dtype(arg) and (jnp.issubdtype(arg.dtype, jnp.integer) or arg.dtype == bool):
        yield (_INTEGER_CHECK, name, "float0"), cotangent


def _is_empty(cotangent: object) -> bool:
    return not jax.tree.leaves(cotangent) or getattr(cotangent, "dtype", None) == jax.dtypes.float0


def _shapes_of(cotangent: object) -> str:
    return ", ".join(f"{jnp.result_type(a)}[{','.join(map(str, np.shape(a)))}]" for a in jax.tree.leaves(cotangent))


def _recorded_cotangents(rule: RuleUnderTest, function: object) -> tuple[Any, ...] | None:
    """Return the cotangents as bwd returns them; None for a rule that cannot be built a second time."""
    bwd = getattr(function, "bwd", None)
    if not callable(bwd) or getattr(function, "with_logs", False) or getattr(function, "with_accums", False):
        return None
    recorded: list[Any] = []

    def recording_bwd(*args: Any) -> Any:
        recorded.append(bwd(*args))  # before JAX sees it: what it drops is still here
        return recorded[-1]

    # a copy: setting bwd on the user's own rule would change programs that are running elsewhere
    copy = object.__new__(type(function))
    vars(copy).update(vars(function) | {"bwd": recording_bwd})
    f = split_function(_rewrap_partial(rule.user_function, copy), rule.arguments.join)
    pullback(f, *rule.point, rule.cotangent)
    return tuple(recorded[-1])


def _rewrap_partial(partial: object, function: Any) -> Function:
    """Return the `functools.partial` with another function inside."""
    if isinstance(partial, functools.partial):
        return functools.partial(_rewrap_partial(partial.func, function), *partial.args, **partial.keywords)
    return function


def _rows_without_bwd(rule: RuleUnderTest, checks: list[CheckId]) -> Iterator[Row]:
    """Yield PASS where there is no rule, because then JAX creates the cotangents; UNDECIDED for a rule inside."""
    is_nested = contains_rule(jax.make_jaxpr(rule.f)(*rule.point))
    for check in checks:
        if is_nested:
            yield row_without_number(check, "UNDECIDED", "the rule is inside of the function: check it directly")
        else:
            yield row_without_number(check, "PASS")
