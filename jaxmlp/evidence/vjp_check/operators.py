"""JAX's operators of differentiation: the same gradient, whichever of them asks for it.

several cotangents        one pullback under vmap, its residuals shared: G of each
jacrev, jacfwd            uᵀ J = G
linearize, transposed     the transpose of the linearized f, at u = G
has_aux                   value_and_grad of (⟨u, f⟩, f) = G
one argument at a time    the other arguments are unperturbed: with `symbolic_zeros` a rule sees which
jvp by one argument       ⟨u, J_a v_a⟩ = ⟨G_a, v_a⟩ for each argument a: what a rule adds to the tangent for an argument
                          without one, a pullback does not show
one output at a time      Σ_j of the pullbacks of f_j alone: the cotangents of the other outputs are zeros
zero cotangent            G(x; 0) = 0
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.evidence.certificate import Row, judge
from jaxmlp.evidence.vjp_check.arguments import Leaves
from jaxmlp.evidence.vjp_check.excuses import SOLVER_BOUND, STOPS_EARLY, excuse_by_witness
from jaxmlp.evidence.vjp_check.gradient import inner_product, relative_to_norms
from jaxmlp.evidence.vjp_check.jaxpr import contains_rule
from jaxmlp.evidence.vjp_check.loops import stops_at_a_tolerance
from jaxmlp.evidence.vjp_check.quick_jit import quick_jit
from jaxmlp.evidence.vjp_check.rule_under_test import (
    ITSELF,
    CheckId,
    PlannedCheck,
    RuleUnderTest,
    compare,
    index_of_largest,
    row_without_number,
)

MAX_JACOBIAN_SIDE = 32  # outputs of jacrev, inputs of jacfwd: more take too long
N_COTANGENTS = 3


def operator_checks(rule: RuleUnderTest) -> list[PlannedCheck]:
    """Return the checks of the operators; those of forward mode only where the program has no `custom_vjp`."""
    n_outputs = sum(int(np.prod(u.shape)) for u in rule.cotangent)
    n_inputs = sum(leaf.size for leaf in rule.arguments.real)
    operators: dict[str, Callable[[RuleUnderTest], Row]] = {"several cotangents": _check_several}
    if n_outputs <= MAX_JACOBIAN_SIDE:
        operators["jacrev"] = partial(_check_gradient, "jacrev", partial(_by_jacobian, jax.jacrev))
    is_forward = not contains_rule(jax.make_jaxpr(rule.f)(*rule.point))  # JAX has no jvp of a custom_vjp
    if is_forward:
        if n_inputs <= MAX_JACOBIAN_SIDE:
            operators["jacfwd"] = partial(_check_gradient, "jacfwd", partial(_by_jacobian, jax.jacfwd))
        operators["linearize, transposed"] = partial(_check_gradient, "linearize, transposed", _by_transpose)
    operators["has_aux"] = partial(_check_gradient, "has_aux", _with_aux)
    if len(set(rule.arguments.owners)) > 1:
        if is_forward:
            operators["jvp by one argument"] = _check_tangents
        operators["one argument at a time"] = partial(_check_gradient, "one argument at a time", _by_argument)
    if len(rule.cotangent) > 1:
        operators["one output at a time"] = partial(_check_gradient, "one output at a time", _by_output)
    operators["zero cotangent"] = _check_zero
    return [
        ((name, "", "the pullback" if check is _check_tangents else ITSELF), partial(_rows, rule, check))
        for name, check in operators.items()
    ]


def _rows(rule: RuleUnderTest, check: Callable[[RuleUnderTest], Row]) -> list[Row]:
    row = check(rule)
    if row.verdict == "FAIL" and (row.difference or 1.0) <= SOLVER_BOUND and stops_at_a_tolerance(rule):
        return [row._replace(verdict="UNDECIDED", note=STOPS_EARLY)]
    return [excuse_by_witness(rule, row, lambda witness: [check(witness)])]


Operator = Callable[[RuleUnderTest, Leaves, Leaves, Leaves], Leaves]  # rule, x, k, u -> G


def _check_gradient(name: str, operator: Operator, rule: RuleUnderTest) -> Row:
    """Compare G by one operator with G."""
    got = quick_jit(partial(operator, rule))(*rule.point, rule.cotangent)
    return compare((name, "", ITSELF), ((), got), ((), rule.gradient(*rule.point, rule.cotangent)[1]), rule)


def _by_jacobian(jacobian: Any, rule: RuleUnderTest, x: Leaves, k: Leaves, u: Leaves) -> Leaves:
    blocks = jacobian(lambda x: rule.f(x, k))(x)  # [output][argument]
    # over all axes of the output; those of the argument are what remains
    products = [[jnp.tensordot(c, block, axes=c.ndim) for block in row] for c, row in zip(u, blocks, strict=True)]
    return tuple(sum(column[1:], start=column[0]) for column in zip(*products, strict=True))


def _by_transpose(rule: RuleUnderTest, x: Leaves, k: Leaves, u: Leaves) -> Leaves:
    _, tangent = jax.linearize(lambda *x: rule.f(x, k), *x)
    return jax.linear_transpose(tangent, *x)(u)


def _with_aux(rule: RuleUnderTest, x: Leaves, k: Leaves, u: Leaves) -> Leaves:
    def inner(x: Leaves) -> tuple[jax.Array, Leaves]:
        outputs = rule.f(x, k)
        # jax.grad wants one number of one dtype, and the outputs may have several
        total = jnp.zeros((), float)
        for c, y in zip(u, outputs, strict=True):
            total += jnp.sum(c * y).astype(total.dtype)
        return total, outputs

    return jax.value_and_grad(inner, has_aux=True)(x)[1]


def _by_argument(rule: RuleUnderTest, x: Leaves, k: Leaves, u: Leaves) -> Leaves:
    gradients: list[Any] = [None] * len(x)
    for places, f_of_one in _functions_of_one_argument(rule, x, k):
        _, back = jax.vjp(f_of_one, *(x[i] for i in places))
        for i, gradient in zip(places, back(u), strict=True):
            gradients[i] = gradient
    return tuple(gradients)


def _functions_of_one_argument(
    rule: RuleUnderTest, x: Leaves, k: Leaves
) -> Iterator[tuple[list[int], Callable[..., Leaves]]]:
    """Yield for each argument the places of its arrays among x, and f as a function of these arrays alone."""
    owners = rule.arguments.owners
    for owner in sorted(set(owners)):
        places = [i for i, o in enumerate(owners) if o == owner]

        def f_of_one(*values: Any, places: list[int] = places) -> Leaves:
            replaced = dict(zip(places, values, strict=True))
            return rule.f(tuple(replaced.get(i, leaf) for i, leaf in enumerate(x)), k)

        yield places, f_of_one


def _check_tangents(rule: RuleUnderTest) -> Row:
    check: CheckId = "jvp by one argument", "", "the pullback"
    v = rule.draw(rule.arguments.real)

    def tangents(x: Leaves, k: Leaves, v: Leaves) -> list[Leaves]:
        functions = _functions_of_one_argument(rule, x, k)
        return [
            jax.jvp(f_of_one, tuple(x[i] for i in places), tuple(v[i] for i in places))[1]
            for places, f_of_one in functions
        ]

    gradient, differences = rule.gradient(*rule.point, rule.cotangent)[1], []
    arguments = [places for places, _ in _functions_of_one_argument(rule, *rule.point)]
    for places, tangent in zip(arguments, quick_jit(tangents)(*rule.point, v), strict=True):
        pulled, moved = (tuple(leaves[i] for i in places) for leaves in (gradient, v))
        difference = abs(inner_product(rule.cotangent, tangent) - inner_product(pulled, moved))
        noise = [rule.noise[1][i] for i in places] if rule.noise[1] else [0.0] * len(places)
        differences.append(relative_to_norms(difference, pulled, moved, noise))
    worst = index_of_largest(differences)
    row = judge(*check, differences[worst], rule.tolerance[0])
    if row.verdict == "PASS":
        return row
    return row._replace(note=f"the tangent by {rule.arguments.names[arguments[worst][0]]} alone is not that of G")


def _by_output(rule: RuleUnderTest, x: Leaves, k: Leaves, u: Leaves) -> Leaves:
    parts = [jax.vjp(lambda *x, j=j: rule.f(x, k)[j], *x)[1](c) for j, c in enumerate(u)]
    return tuple(sum(column[1:], start=column[0]) for column in zip(*parts, strict=True))


def _check_several(rule: RuleUnderTest) -> Row:
    check: CheckId = "several cotangents", "", ITSELF
    us = [rule.draw(rule.cotangent) for _ in range(N_COTANGENTS)]
    stacked = tuple(jnp.stack(column) for column in zip(*us, strict=True))

    def all_at_once(x: Leaves, k: Leaves, us: Leaves) -> Leaves:
        _, back = jax.vjp(lambda *x: rule.f(x, k), *x)
        return jax.vmap(back)(us)

    got = quick_jit(all_at_once)(*rule.point, stacked)
    single = [rule.gradient(*rule.point, u)[1] for u in us]
    expected = tuple(np.stack(column) for column in zip(*single, strict=True))
    # the noise was measured for u alone, and G of other random cotangents may be a few times larger
    return compare(check, ((), got), ((), expected), rule, scale=4.0)


def _check_zero(rule: RuleUnderTest) -> Row:
    check: CheckId = "zero cotangent", "", ITSELF
    zeros = tuple(jnp.zeros_like(u) for u in rule.cotangent)
    gradients = rule.gradient(*rule.point, zeros)[1]
    for name, gradient in zip(rule.arguments.names, gradients, strict=True):
        if not np.isfinite(gradient).all() or np.any(np.asarray(gradient) != 0):
            largest = float(np.max(np.abs(np.asarray(gradient, np.float64)), initial=0.0))
            return Row(*check, largest, 0.0, "FAIL", f"d{name} is up to {largest:.3g} where the cotangent is 0")
    return row_without_number(check, "PASS")
