"""The gradient at other points: near the call's arguments, within a domain, and at points of the user's own.

One point can be an accident: at w = 1 a forgotten factor w is invisible, at x = 0 a forgotten term. The witnesses of
the first order judge every point; its row names the worst leaf.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.errors import InputError, sentence
from jaxmlp.evidence.certificate import Row
from jaxmlp.evidence.vjp_check.arguments import Arguments, Leaves
from jaxmlp.evidence.vjp_check.gradient import gradient_checks
from jaxmlp.evidence.vjp_check.rule_under_test import (
    PlannedCheck,
    RuleUnderTest,
    row_without_number,
    run_check,
)

Points = tuple[tuple[Leaves, Leaves], ...]  # (x, k) of each


def nearby_points(rule: RuleUnderTest, count: int) -> Points:
    """Draw points near the arguments; integers stay, as another index is another function."""
    return tuple((tuple(map(jnp.asarray, real)), rule.arguments.discrete) for real, _ in rule.nearby_points(count))


def points_within(rule: RuleUnderTest, domain: tuple[float, float], count: int) -> Points:
    """Draw points whose every real entry is uniform between the two numbers of the domain.

    Raises:
      InputError: when the first number is not smaller than the second.
    """
    low, high = domain
    if not low < high:
        raise InputError(sentence("domain", "(low, high) with low < high", domain, "give the smaller number first"))
    draw = rule.rng.uniform
    return tuple(
        (tuple(jnp.asarray(draw(low, high, x.shape), x.dtype) for x in rule.arguments.real), rule.arguments.discrete)
        for _ in range(count)
    )


def point_checks(rule: RuleUnderTest, points: Points) -> list[PlannedCheck]:
    """Return one check for every other point."""
    return [
        ((f"gradient at point {i}", "", rule.autodiff_name), partial(_check_point, rule, point, i))
        for i, point in enumerate(points, start=2)
    ]


def _check_point(rule: RuleUnderTest, point: tuple[Leaves, Leaves], number: int) -> list[Row]:
    arguments = rule.arguments._replace(real=point[0], discrete=point[1])
    there = rule._replace(arguments=arguments)
    outputs, gradients = there.gradient(*point, there.cotangent)
    check = f"gradient at point {number}", "", rule.autodiff_name
    if not all(np.isfinite(leaf).all() for leaf in (*outputs, *gradients)):
        return [row_without_number(check, "UNDECIDED", "f or its gradient is not finite there")]
    _, by_autodiff, by_differences, *_ = gradient_checks(there)
    # differences cost a hundred times as much, and see what autodiff sees
    rows = run_check(*(by_differences if rule.witness is None else by_autodiff))
    order = {"FAIL": 3, "PASS": 2, "UNDECIDED": 1, "UNSUPPORTED": 0}
    worst = max(rows, key=lambda row: (order[row.verdict], row.difference or 0.0))
    note = f"{worst.where}: {worst.note}" if worst.note and worst.verdict == "FAIL" else worst.note
    return [worst._replace(check=check[0], where="", note=note)]


def split_points(arguments: Arguments, points: Sequence[Sequence[Any]], split: Any) -> Points:
    """Return the user's points, split as the arguments of the call are.

    Raises:
      InputError: when a point has other arrays than the call.
    """
    result: list[tuple[Leaves, Leaves]] = []
    for number, point in enumerate(points, start=2):
        other = split(tuple(point))
        for name, mine, theirs in zip(("real", "integer"), arguments[:2], other[:2], strict=True):
            expected, got = ([x.shape for x in leaves] for leaves in (mine, theirs))
            if expected != got:
                remedy = "give one tuple of arguments for every point, of the shapes of the call"
                raise InputError(sentence(f"points[{number - 2}]", f"{name} arrays {expected}", got, remedy))
        result.append((other.real, other.discrete))
    return tuple(result)


def user_cotangent(cotangent: object, outputs: Leaves) -> Leaves:
    """Return the user's cotangent in the dtypes of the outputs; a complex part as its real and imaginary parts.

    Raises:
      InputError: when it has other shapes than the outputs.
    """
    parts: list[Any] = []
    for u in map(jnp.asarray, jax.tree.leaves(cotangent)):
        # JAX multiplies a complex cotangent without conjugation: Re(u y) = Re u Re y - Im u Im y
        parts += [u.real, -u.imag] if jnp.iscomplexobj(u) else [u]
    expected, got = ([tuple(part.shape) for part in leaves] for leaves in (outputs, parts))
    if expected != got:
        raise InputError(sentence("cotangent", f"arrays of shapes {expected}", got, "give one for each real output"))
    return tuple(u.astype(y.dtype) for u, y in zip(parts, outputs, strict=True))
