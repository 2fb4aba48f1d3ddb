"""Loops with a tolerance: a function that is exact to 1e-4 only has a gradient that is exact to about 1e-4.

A rule by the implicit function theorem is right at the exact root; f returns a root that its loop found. With a few
more turns of every loop f comes closer to the root, and so must the rule come closer to the differences of f. A wrong
rule stays as wrong as it was.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

from jaxmlp.evidence.vjp_check.jaxpr import Edit, all_equations, edited
from jaxmlp.evidence.vjp_check.rule_under_test import Failure, RuleUnderTest, attempt, pullback


def stops_at_a_tolerance(rule: RuleUnderTest) -> bool:
    """Whether forward or backward pass contain a loop that ends by a comparison of real numbers, or by a flag."""
    program = attempt(lambda: jax.make_jaxpr(partial(pullback, rule.f))(*rule.point, rule.cotangent))
    return not isinstance(program, Failure) and any(map(_has_tolerance, all_equations(program)))


def _has_tolerance(equation: Any) -> bool:
    if equation.primitive.name != "while":
        return False
    condition = equation.params["cond_jaxpr"].jaxpr
    read = [v for e in condition.eqns for v in e.invars] + list(condition.outvars)
    dtypes = [v.aval.dtype for v in read if v in condition.invars or v in condition.constvars]
    reals = [d for e in all_equations(condition) for d in (getattr(v.aval, "dtype", None) for v in e.invars) if d]
    # a fori_loop compares two integers, i < n: it has no tolerance
    return any(jnp.issubdtype(d, jnp.floating) for d in reals) or any(d == jnp.dtype(bool) for d in dtypes)


def with_more_turns(f: Callable[..., Any], turns: int) -> Callable[..., Any]:
    """Return f with `turns` more turns of every loop that stops at a tolerance.

    >>> halve = lambda x: jax.lax.while_loop(lambda x: x > 1.0, lambda x: x / 2, x)
    >>> float(halve(6.0)), float(with_more_turns(halve, 3)(6.0))
    (0.75, 0.09375)
    """

    def apply(equation: Any, inputs: list[Any]) -> list[Any]:
        params = equation.params
        outputs = equation.primitive.bind(*inputs, **params)
        # the inputs of a while: constants of the condition, constants of the body, the first carry
        first = params["cond_nconsts"]
        constants = inputs[first : first + params["body_nconsts"]]
        body = core.jaxpr_as_fun(params["body_jaxpr"])
        return jax.lax.fori_loop(0, turns, lambda _, carry: list(body(*constants, *carry)), list(outputs))

    return edited(f, Edit(_has_tolerance, apply))
