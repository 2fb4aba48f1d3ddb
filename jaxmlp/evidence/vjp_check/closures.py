"""Values that a rule uses although they are not among its arguments.

    ∂f/∂(one argument), the remaining ones captured from a surrounding jit  =  that part of G

A rule that keeps a tracer from one call to the next, or that closes over one, raises or returns a stale gradient.
"""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from jaxmlp.evidence.certificate import Row
from jaxmlp.evidence.vjp_check.arguments import Leaves
from jaxmlp.evidence.vjp_check.quick_jit import quick_jit
from jaxmlp.evidence.vjp_check.rule_under_test import (
    CheckId,
    RuleUnderTest,
    compare,
    row_without_number,
    run_check,
)

CLOSURE: CheckId = ("closed-over tracers", "", "the rule by itself")


def closure_rows(rule: RuleUnderTest) -> tuple[Row, ...]:
    """Return whether the rule uses values that are not among its arguments."""
    rows = explain(run_check(CLOSURE, lambda: [_check_partial_gradients(rule)]))
    # JAX's own check for leaks is of no use here: it reports what the body of a loop holds on to, too
    if any(row.verdict == "FAIL" for row in rows):
        return rows
    if tracers := _captured_names(rule.user_function, lambda value: isinstance(value, jax.core.Tracer)):
        note = f"{', '.join(tracers)} keeps a tracer from one call to the next"
        return (row_without_number(CLOSURE, "FAIL", note),)
    if constants := _captured_names(rule.user_function, _is_real_array):
        note = f"closes over {', '.join(constants)}: a constant to JAX; to differentiate it, make it an argument"
        return (row_without_number(CLOSURE, "UNDECIDED", note),)
    return rows


def _check_partial_gradients(rule: RuleUnderTest) -> Row:
    """Differentiate with respect to one argument at a time, the remaining ones captured as tracers."""
    owners = rule.arguments.owners

    def partial_gradients(real: Leaves, discrete: Leaves) -> tuple[Leaves, Leaves]:
        gradients: dict[int, Any] = {}
        for owner in sorted(set(owners)):
            places = [i for i, o in enumerate(owners) if o == owner]

            def f_of_one(*values: jax.Array, places: list[int] = places) -> Leaves:
                replaced = dict(zip(places, values, strict=True))
                return rule.f(tuple(replaced.get(i, leaf) for i, leaf in enumerate(real)), discrete)

            _, back = jax.vjp(f_of_one, *(real[i] for i in places))
            gradients |= dict(zip(places, back(rule.cotangent), strict=True))
        return (), tuple(gradients[i] for i in range(len(real)))

    # the jit makes tracers of all arguments, also of those that the function of one argument closes over
    got = quick_jit(partial_gradients)(*rule.point)
    _, expected = rule.gradient(*rule.point, rule.cotangent)
    return compare(CLOSURE, got, ((), expected), rule)


def explain(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """Return the rows; an error of JAX about a misplaced tracer becomes a row of this check, with advice."""
    signs = ("UnexpectedTracerError", "closed-over", "Leaked", "No constant handler")
    advice = "the rule keeps a value that JAX is tracing: make it an argument, or a residual"
    return tuple(
        row._replace(check=CLOSURE[0], note=advice) if any(s in row.note for s in signs) else row for row in rows
    )


def _captured_names(function: object, accepts: Callable[[Any], bool]) -> list[str]:
    """Return the names in the closures of a `custom_vjp`'s three functions that contain an accepted leaf."""
    names: dict[str, None] = {}  # a dictionary keeps the order of its keys, a set would not
    for part in (getattr(function, part, None) for part in ("fun", "fwd", "bwd")):
        if inspect.isfunction(part):
            captured = inspect.getclosurevars(part).nonlocals
            names |= {name: None for name, value in captured.items() if any(map(accepts, jax.tree.leaves(value)))}
    return list(names)


def _is_real_array(value: object) -> bool:
    return isinstance(value, jax.Array | np.ndarray) and jnp.issubdtype(value.dtype, jnp.floating)
