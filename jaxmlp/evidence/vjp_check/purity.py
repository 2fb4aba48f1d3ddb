"""What a call leaves behind and costs besides its numbers: inputs, compilations, weak types, host calls.

inputs unchanged     arrays of NumPy keep their numbers, arrays of JAX are not donated
compiled once        a second gradient with equal shapes compiles nothing
weak types           a gradient with the type of a Python number compiles its users again
host calls           callbacks and loops of forward and backward together, beside those of f alone
"""

import functools
from collections import Counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import monitoring

from jaxmlp.evidence.certificate import Row
from jaxmlp.evidence.vjp_check.jaxpr import all_equations
from jaxmlp.evidence.vjp_check.rule_under_test import (
    CheckId,
    Failure,
    PlannedCheck,
    RuleUnderTest,
    attempt,
    error_summary,
    pullback,
    row_without_number,
)

MAX_CALLS_RATIO = 3  # times those of f: forward once, and backward twice at most
_UNCHANGED: CheckId = ("inputs unchanged", "", "a copy")
_ONCE: CheckId = ("compiled once", "", "a second call")
_WEAK: CheckId = ("weak types", "", "its argument")
_CALLS: CheckId = ("host calls and loops", "", "f itself")


def purity_checks(rule: RuleUnderTest) -> list[PlannedCheck]:
    """Return the checks of what a call leaves behind."""
    return [
        (_UNCHANGED, lambda: [_check_inputs(rule)]),
        (_ONCE, lambda: [_check_compilations(rule)]),
        (_WEAK, lambda: [_check_weak_types(rule)]),
        (_CALLS, lambda: _check_calls(rule)),
    ]


def _check_inputs(rule: RuleUnderTest) -> Row:
    """Call the user's function with copies of the arguments, and compare them afterwards."""
    leaves, treedef = jax.tree.flatten(rule.user_arguments)
    is_array = [isinstance(leaf, np.ndarray | jax.Array) and not _is_key(leaf) for leaf in leaves]
    copies = [
        (leaf.copy() if isinstance(leaf, np.ndarray) else jnp.array(leaf, copy=True)) if array else leaf
        for leaf, array in zip(leaves, is_array, strict=True)
    ]

    def call(arguments: list[Any]) -> Any:
        return attempt(lambda: jax.block_until_ready(rule.user_function(*jax.tree.unflatten(treedef, arguments))))

    called = call(copies)
    if isinstance(called, Failure):  # f may expect the methods of JAX's arrays of a number of Python, as in other rows
        called = call([jnp.asarray(leaf) if isinstance(leaf, float | complex) else leaf for leaf in copies])
    if isinstance(called, Failure):
        return row_without_number(_UNCHANGED, "UNDECIDED", error_summary(called.error))
    for leaf, copy, array in zip(leaves, copies, is_array, strict=True):
        if not array:
            continue
        if isinstance(copy, jax.Array) and copy.is_deleted():
            return row_without_number(_UNCHANGED, "FAIL", "f deletes an argument: donate_argnums within f?")
        if not np.array_equal(np.asarray(leaf), np.asarray(copy), equal_nan=jnp.issubdtype(leaf.dtype, jnp.inexact)):
            return row_without_number(
                _UNCHANGED, "FAIL", "f writes into an argument: x += 1 changes the caller's array"
            )
    return row_without_number(_UNCHANGED, "PASS")


def _is_key(leaf: object) -> bool:
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


_compilations: list[str] = []


def _record(event: str, duration_secs: float, **kwargs: str | int) -> None:
    if "backend_compile" in event:  # tracing and lowering have events of their own
        _compilations.append(event)


@functools.cache
def _listen() -> None:
    # once for the process: JAX has no public call that removes a listener
    monitoring.register_event_duration_secs_listener(_record)


def _check_compilations(rule: RuleUnderTest) -> Row:
    """Count what a second gradient compiles, operation by operation: jit around it would hide a jit within."""
    (nearby, _), *_ = rule.nearby_points(1)
    _listen()
    for x in (rule.arguments.real, nearby):
        _compilations.clear()  # what the second turn compiles is what counts
        jax.block_until_ready(pullback(rule.f, x, rule.arguments.discrete, rule.cotangent))
    if not (count := len(_compilations)):
        return row_without_number(_ONCE, "PASS")
    note = f"the second call compiles {count} programs again: a jit of a new function within f? is that intended?"
    return row_without_number(_ONCE, "UNDECIDED", note)


def _check_weak_types(rule: RuleUnderTest) -> Row:
    _, gradients = rule.gradient(*rule.point, rule.cotangent)
    weak = [
        name
        for name, g, x in zip(rule.arguments.names, gradients, rule.arguments.real, strict=True)
        if getattr(g, "weak_type", False) and not getattr(x, "weak_type", False)
    ]
    if not weak:
        return row_without_number(_WEAK, "PASS")
    note = f"d{weak[0]} has the type of a Python number: return jnp.zeros_like(x) in place of 0.0"
    return row_without_number(_WEAK, "UNDECIDED", note)


def _check_calls(rule: RuleUnderTest) -> list[Row]:
    forward = _expensive(jax.make_jaxpr(rule.f)(*rule.point))
    both = _expensive(jax.make_jaxpr(pullback, static_argnums=0)(rule.f, *rule.point, rule.cotangent))
    if not both:
        return []
    text = ", ".join(f"{n} {name} against {forward[name]}" for name, n in both.items())
    if any(n > MAX_CALLS_RATIO * max(forward[name], 1) for name, n in both.items()):
        return [row_without_number(_CALLS, "UNDECIDED", f"{text}: is that intended?")]
    return [row_without_number(_CALLS, "PASS", text)]


def _expensive(program: object) -> Counter[str]:
    """Return how often a program contains each primitive whose cost XLA cannot count."""
    names = [equation.primitive.name for equation in all_equations(program)]
    return Counter(name for name in names if name in ("while", "scan") or name.endswith(("callback", "ffi_call")))
