"""Second order: the derivative of the gradient, g(x) = G(x; u), in a random direction v.

    reverse over reverse    (∂g/∂x)ᵀ v
    forward over reverse    (∂g/∂x) v
    symmetric               both are H v, H the Hessian of ⟨u, f(x)⟩:  wᵀ (∂g/∂x)ᵀ v = vᵀ (∂g/∂x)ᵀ w
    by the cotangent        (∂G/∂u) w = G(x; w): within a larger function u depends on x, and a rule may stop it

The expected value is the same derivative of the witness, and central differences of the rule's own gradient along v,
which need no witness. A rule can be correct at first order and wrong here: one residual behind `stop_gradient` is
enough.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.evidence.certificate import Row, judge
from jaxmlp.evidence.vjp_check.arguments import Leaves, SplitFunction
from jaxmlp.evidence.vjp_check.difference_rows import WITNESS, Comparison, comparison_row
from jaxmlp.evidence.vjp_check.differences import Samples, estimate, step_sizes
from jaxmlp.evidence.vjp_check.excuses import STOPS_EARLY, excuse_by_witness
from jaxmlp.evidence.vjp_check.gradient import inner_product, relative_to_norms
from jaxmlp.evidence.vjp_check.jaxpr import contains_removable_rule
from jaxmlp.evidence.vjp_check.loops import stops_at_a_tolerance
from jaxmlp.evidence.vjp_check.noise_floor import compare_leaves, epsilon, product_scale, rounding_error
from jaxmlp.evidence.vjp_check.quick_jit import quick_jit
from jaxmlp.evidence.vjp_check.rule_under_test import (
    CheckId,
    Failure,
    PlannedCheck,
    RuleUnderTest,
    attempt,
    compare,
    index_of_largest,
    pullback,
    row_without_number,
    run_check,
)

HessianProduct = Callable[[SplitFunction, Leaves, Leaves, Leaves, Leaves], Leaves]  # f, x, k, u, v
_SYMMETRIC: CheckId = ("Hessian symmetric", "", "two directions")
_BY_COTANGENT: CheckId = ("derivative by the cotangent", "", "the pullback")
_DIFFERENCES: CheckId = ("second order", "", WITNESS)
SECOND_SOLVER_BOUND = 5e-3  # ten times the first order's


def second_order_checks(rule: RuleUnderTest) -> list[PlannedCheck]:
    """Return the checks of the second order."""
    # random directions: an error in one entry of H shows in H v unless v happens to be orthogonal to it
    v, w = relative_direction(rule), relative_direction(rule)
    results: dict[str, Any] = {}
    products = {"reverse over reverse": reverse_product, "forward over reverse": forward_product}

    def product_rows(name: str, product: HessianProduct) -> list[Row]:
        check = name, "", "autodiff"
        result = attempt(lambda: product(rule.f, *rule.point, rule.cotangent, v))
        results[name] = result
        if not isinstance(result, Failure):
            return _check_product(name, product, rule, result, v)
        (row,) = run_check(check, lambda: _raise(result.error))
        # JAX reports a missing jvp of custom_vjp (3996); at this place the reason is the call inside of fwd
        calls_itself = row.verdict == "UNSUPPORTED" and "#3996" in row.note
        return [row._replace(note="fwd calls the decorated function: jax-ml/jax#16049") if calls_itself else row]

    def difference_rows() -> list[Row]:
        computed = {name: product for name, product in results.items() if not isinstance(product, Failure)}
        if rule.witness is None or not computed:
            return []
        # one product is enough, as the other has been compared with the same witness; without any rule it is JAX's own
        # arithmetic that differs, and one order of it may cancel where the other does not
        names = list(computed)[: 1 if contains_removable_rule(rule.f, *rule.point) else None]
        rows = [_check_differences(rule, computed[name], v)._replace(check=name) for name in names]
        row = next((row for row in rows if row.verdict != "FAIL"), rows[0])
        return [row._replace(witness="differences of G")]

    return [
        *(((name, "", "autodiff"), partial(product_rows, name, product)) for name, product in products.items()),
        (_DIFFERENCES, difference_rows),
        (_SYMMETRIC, lambda: [_check_symmetry(rule, v, w)]),
        (_BY_COTANGENT, lambda: [_check_by_cotangent(rule)]),
    ]


def relative_direction(rule: RuleUnderTest) -> Leaves:
    """Draw a direction in which every entry moves in proportion to itself, and zeros as far as the typical entry."""
    direction: list[Any] = []
    for x, d in zip(rule.arguments.real, rule.draw(rule.arguments.real), strict=True):
        size = jnp.abs(x)
        typical = jnp.sqrt(jnp.mean(size**2)) if x.size else 1.0
        direction.append(d * jnp.where(size > 0, size, jnp.where(typical > 0, typical, 1.0)).astype(d.dtype))
    return tuple(direction)


def _raise(error: Exception) -> list[Row]:
    raise error


@partial(quick_jit, static_argnums=0)
def reverse_product(f: SplitFunction, x: Leaves, k: Leaves, u: Leaves, v: Leaves) -> Leaves:
    """Return (∂g/∂x)ᵀ v by reverse mode over reverse mode."""
    return jax.vjp(lambda *x: pullback(f, x, k, u)[1], *x)[1](v)


@partial(quick_jit, static_argnums=0)
def forward_product(f: SplitFunction, x: Leaves, k: Leaves, u: Leaves, v: Leaves) -> Leaves:
    """Return (∂g/∂x) v by forward mode over reverse mode."""
    return jax.jvp(lambda *x: pullback(f, x, k, u)[1], x, v)[1]


def _product_noise(
    product: HessianProduct, functions: tuple[SplitFunction, ...], rule: RuleUnderTest, v: Leaves
) -> list[float]:
    """Return the rounding error of every leaf of the product, the largest over the functions."""
    x, k = rule.point
    scale = product_scale(v, rule.gradient(x, k, rule.cotangent)[1])
    noise = [
        rounding_error(lambda x, u, v, f=f: product(f, x, k, u, v), (x, rule.cotangent, v), rule) for f in functions
    ]
    return [max(values) + 4 * epsilon(rule) * scale for values in zip(*noise, strict=True)]


def _check_product(name: str, product: HessianProduct, rule: RuleUnderTest, got: Leaves, v: Leaves) -> list[Row]:
    x, k = rule.point
    if (witness := rule.witness) is None:
        return [_check_differences(rule, got, v)._replace(check=name)]
    noise = _product_noise(product, (rule.f, witness), rule, v)
    expected = product(witness, x, k, rule.cotangent, v)
    comparisons = compare_leaves(lambda x: product(witness, x, k, rule.cotangent, v), got, expected, noise, rule)
    # an undecided leaf has nothing to say while another one is decided
    worst = index_of_largest([leaf.difference if leaf.is_decided else -1.0 for leaf in comparisons])
    row = comparisons[worst].row((name, "", rule.autodiff_name), rule.tolerance[0])
    if row.verdict == "FAIL":
        row = row._replace(note=f"worst in {rule.arguments.names[worst]}: {_reason(rule)}")
        if (row.difference or 1.0) <= SECOND_SOLVER_BOUND and stops_at_a_tolerance(rule):
            row = row._replace(verdict="UNDECIDED", note=STOPS_EARLY)
    return [row]


def _reason(rule: RuleUnderTest) -> str:
    if rule.has_wrong_gradient:
        return "it follows from the first order, which is wrong above"
    return "does a residual stop a gradient?"


def _check_differences(rule: RuleUnderTest, product: Leaves, v: Leaves) -> Row:
    """Compare (∂g/∂x) v with differences of g, the gradient that the rule returns."""
    if not rule.is_float64:
        note = "these dtypes have too few digits for differences"
        return row_without_number(_DIFFERENCES, "UNDECIDED", note)
    real, discrete = rule.point
    width = max(1.0, *(float(np.max(np.abs(d), initial=0.0)) for d in v))
    # t · d moves x: the steps are those of the largest entry of d, so that no entry moves farther than they allow
    steps = step_sizes(np.array([width]))[:, 0] / width

    def gradient(t: float) -> np.ndarray:
        moved = tuple(jnp.asarray(x) + t * d for x, d in zip(real, v, strict=True))
        return np.concatenate([np.ravel(g) for g in rule.gradient(moved, discrete, rule.cotangent)[1]])

    middle, flat = gradient(0.0), np.concatenate([np.ravel(g) for g in product])
    if not np.isfinite(flat).all() and np.isfinite(middle).all():
        count = np.count_nonzero(~np.isfinite(flat))
        return row_without_number(_DIFFERENCES, "UNDECIDED", f"{count} of {flat.size} entries of H v are not finite")
    ahead, behind = (np.stack([gradient(sign * h) for h in steps]) for sign in (1, -1))
    h = np.broadcast_to(steps[:, None], ahead.shape)  # (steps, entries of all leaves)
    with np.errstate(invalid="ignore"):
        samples = Samples(
            (ahead - behind) / (2 * h),
            np.abs((ahead - middle) - (middle - behind)) / h,
            h,
            (ahead == middle) & (behind == middle),
        )
    # noise holds 64 times the rounding
    rounding = 2 * (epsilon(rule) * float(np.abs(middle).max(initial=0.0)) + max(rule.noise[1], default=0.0) / 64)
    compared = Comparison(flat, expected := estimate(samples, rounding), 1.0)
    readable = expected.values[~expected.is_kink & (expected.errors <= 0.1 * np.abs(expected.values))]
    finite = flat[np.isfinite(flat)]
    scale = max(float(np.abs(part).max(initial=0.0)) for part in (finite, readable)) or 1.0
    row = comparison_row(_DIFFERENCES, compared._replace(scale=scale, entries=np.arange(flat.size)[:, None]))
    if row.verdict != "FAIL":
        return row
    worst = int(np.argmax(np.where(compared.is_wrong, np.abs(flat - expected.values), 0.0)))
    # leaves of 3 and 2 entries end at 3 and 5: entry 3 is the first of the second leaf
    leaf = int(np.searchsorted(np.cumsum([g.size for g in product]), worst, side="right"))
    numbers = f"{flat[worst]:.6g} instead of {expected.values[worst]:.6g}"
    row = row._replace(note=f"worst in {rule.arguments.names[leaf]}, {numbers}: {_reason(rule)}")
    if rule.has_reference:
        return row._replace(verdict="UNDECIDED", note="reference need not be a gradient: see the rows above")
    if (row.difference or 1.0) <= SECOND_SOLVER_BOUND and stops_at_a_tolerance(rule):
        return row._replace(verdict="UNDECIDED", note=STOPS_EARLY)
    return row


def _check_symmetry(rule: RuleUnderTest, v: Leaves, w: Leaves) -> Row:
    x, k = rule.point
    Hv, Hw = (reverse_product(rule.f, x, k, rule.cotangent, d) for d in (v, w))
    noise = _product_noise(reverse_product, (rule.f,), rule, v)
    difference = relative_to_norms(abs(inner_product(Hv, w) - inner_product(Hw, v)), Hv, w, noise)
    row = judge(*_SYMMETRIC, difference, rule.tolerance[0])
    if row.verdict == "FAIL" and (row.difference or 1.0) <= SECOND_SOLVER_BOUND and stops_at_a_tolerance(rule):
        return row._replace(verdict="UNDECIDED", note=STOPS_EARLY)
    if row.verdict == "FAIL" and rule.has_reference:
        return row._replace(verdict="UNDECIDED", note="reference need not be a gradient: see the rows above")
    if row.verdict == "FAIL" and not np.isfinite(difference) and rule.witness is not None:
        expected = reverse_product(rule.witness, x, k, rule.cotangent, v)
        if not all(np.isfinite(leaf).all() for leaf in expected):
            return row._replace(verdict="UNDECIDED", note="not finite; autodiff of the witness is not finite either")
    return row


def _check_by_cotangent(rule: RuleUnderTest) -> Row:
    """Compare the derivative of u -> G(x; u) along w with G(x; w), which it is because G is linear in u."""
    w = rule.draw(rule.cotangent)

    def row_of(rule: RuleUnderTest) -> Row:
        got = _tangent_by_cotangent(rule.f, *rule.point, rule.cotangent, w)
        return compare(_BY_COTANGENT, ((), got), ((), rule.gradient(*rule.point, w)[1]), rule)

    row = row_of(rule)
    if row.verdict != "FAIL":
        return row
    if (row.difference or 1.0) <= SECOND_SOLVER_BOUND and stops_at_a_tolerance(rule):
        return row._replace(verdict="UNDECIDED", note=STOPS_EARLY)
    row = excuse_by_witness(rule, row, lambda witness: [row_of(witness)])
    return row._replace(note=f"{row.note}: does bwd stop the gradient of u?") if row.verdict == "FAIL" else row


@partial(quick_jit, static_argnums=0)
def _tangent_by_cotangent(f: SplitFunction, x: Leaves, k: Leaves, u: Leaves, w: Leaves) -> Leaves:
    return jax.jvp(lambda u: pullback(f, x, k, u)[1], (u,), (w,))[1]
