"""The order of Taylor's remainder along a random direction d, and the pattern of the Jacobian.

    R₁(t) = φ(x + t d) - φ(x) - t ⟨G, d⟩          = O(t²): the slope of log R₁ over log t is 2
    R₂(t) = R₁(t) - t²/2 ⟨d, H d⟩                 = O(t³): 3

An error of the gradient leaves R₁ of order 1, one of the Hessian R₂ of order 2, however small it is. φ is ⟨u, f⟩.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.errors import InputError, sentence
from jaxmlp.evidence.certificate import Row
from jaxmlp.evidence.vjp_check.difference_rows import DIFFERENCES_BOUND
from jaxmlp.evidence.vjp_check.excuses import STOPS_EARLY, excuse_by_witness
from jaxmlp.evidence.vjp_check.gradient import inner_product
from jaxmlp.evidence.vjp_check.loops import stops_at_a_tolerance
from jaxmlp.evidence.vjp_check.noise_floor import epsilon
from jaxmlp.evidence.vjp_check.quick_jit import quick_jit
from jaxmlp.evidence.vjp_check.rule_under_test import (
    CheckId,
    Failure,
    PlannedCheck,
    RuleUnderTest,
    attempt,
    pullback,
    row_without_number,
)
from jaxmlp.evidence.vjp_check.second_order import forward_product, relative_direction, reverse_product

STEPS = 0.1 * 0.5 ** np.arange(16)
ORDER_BOUND = 0.05  # from the order itself
LOST_ORDER = 0.5  # below it by more than this the order is that of an error, not of a slow remainder
READABLE = 100.0  # times the rounding error: a remainder that is larger has two digits
_FIRST: CheckId = ("Taylor remainder", "with the gradient", "order 2")
_SECOND: CheckId = ("Taylor remainder", "with the Hessian", "order 3")


def taylor_checks(rule: RuleUnderTest, pattern: np.ndarray | None) -> list[PlannedCheck]:
    """Return the check of the remainder, and that of the sparsity where a pattern was given."""
    checks: list[PlannedCheck] = [(("Taylor remainder", "", "order"), lambda: _check_remainder(rule))]
    if pattern is not None:
        checks.append((("sparsity", "", "the pattern"), lambda: [_check_sparsity(rule, pattern)]))
    return checks


def _check_remainder(rule: RuleUnderTest) -> list[Row]:
    if not rule.is_float64 or rule.itemsize < 8:
        return [row_without_number(_FIRST, "UNDECIDED", "these dtypes have too few digits")]
    real, discrete = rule.point
    d = relative_direction(rule)
    width = max(1.0, *(float(np.max(np.abs(v), initial=0.0)) for v in d))
    values = quick_jit(lambda x, k: tuple(y.astype(float) for y in rule.f(x, k)))
    outputs, gradients = rule.gradient(real, discrete, rule.cotangent)
    middle = [np.asarray(y, np.float64) for y in values(real, discrete)]
    rise = np.array([_rise(rule, values, middle, d, t / width) for t in STEPS])
    steps = STEPS / width
    first = rise - steps * inner_product(gradients, d)
    size = sum(float(np.abs(np.float64(u) * y).sum()) for u, y in zip(rule.cotangent, outputs, strict=True))
    rounding = 4 * (epsilon(rule) * size + sum(rule.noise[0]) / 64)
    slope = abs(inner_product(gradients, d))
    rows = [_excused(rule, _order_row(_FIRST, first, steps, rounding, 2, slope))]
    for product in (reverse_product, forward_product):
        Hd = attempt(partial(product, rule.f, real, discrete, rule.cotangent, d))
        if not isinstance(Hd, Failure):
            second = first - steps**2 / 2 * inner_product(Hd, d)
            rows.append(_excused(rule, _order_row(_SECOND, second, steps, rounding, 3, slope)))
            break  # H is symmetric: one of the two products is enough
    return rows


def _rise(rule: RuleUnderTest, values: Any, middle: list[np.ndarray], d: Any, t: float) -> float:
    """Return φ(x + t d) - φ(x)."""
    moved = values(tuple(x + t * v for x, v in zip(rule.arguments.real, d, strict=True)), rule.arguments.discrete)
    pairs = zip(rule.cotangent, moved, middle, strict=True)
    with np.errstate(invalid="ignore"):
        return sum(float(np.sum(np.float64(u) * (np.asarray(y) - y0))) for u, y, y0 in pairs)


def _order_row(
    check: CheckId, remainder: np.ndarray, steps: np.ndarray, rounding: float, order: int, slope: float
) -> Row:
    """Judge the slope of log |R| over log t at the smallest steps that are readable; `slope` is |⟨G, d⟩|."""
    size = np.abs(remainder)
    readable = np.isfinite(size) & (size > READABLE * rounding)
    count = int(np.argmin(readable)) if not readable.all() else len(size)  # up to the first that is not
    if count < 4:  # three slopes need four remainders
        note = "the remainder is below rounding: f has no term of this order here"
        return row_without_number(check, "PASS" if np.isfinite(size).all() else "UNDECIDED", note)
    slopes = np.diff(np.log(size[:count])) / np.diff(np.log(steps[:count]))
    found = float(slopes[-1])
    # the last pair suffers most from rounding: the pair nearest to the order counts
    nearest = float(slopes[-3:][np.abs(slopes[-3:] - order).argmin()])
    distance = abs(nearest - order)
    note = f"order {nearest:.2f}"
    # a higher order is no error: sin at 0 has no term t², and its R₁ is of order 3
    if distance <= ORDER_BOUND or nearest > order:
        return Row(*check, distance if nearest <= order else 0.0, ORDER_BOUND, "PASS", note)
    # an error of order 1 is one of the gradient, whose rows allow this much
    is_small = nearest < 1 + LOST_ORDER and size[count - 1] <= DIFFERENCES_BOUND * steps[count - 1] * slope
    if max(found, nearest) < order - LOST_ORDER and np.ptp(slopes[-3:]) < ORDER_BOUND and not is_small:
        return Row(*check, distance, ORDER_BOUND, "FAIL", note)
    return row_without_number(check, "UNDECIDED", f"{note}: a kink beside x, or a slow remainder")


def _excused(rule: RuleUnderTest, row: Row) -> Row:
    if row.verdict != "FAIL":
        return row
    if stops_at_a_tolerance(rule):
        return row._replace(verdict="UNDECIDED", note=STOPS_EARLY)
    if rule.has_reference:
        return row._replace(verdict="UNDECIDED", note="reference need not be the derivative of f")
    # a kink of f at x leaves order 1 with every gradient, and one of its slope order 2 with every Hessian
    if not rule.has_wrong_gradient:
        decide = "gradient" if row.where == _FIRST[1] else "second order"
        note = f"{row.note}: an error, or a kink at x; the rows of the {decide} decide"
        return row._replace(verdict="UNDECIDED", note=note)
    return excuse_by_witness(rule, row, lambda witness: _check_remainder(witness))


# --- the pattern of the Jacobian --------------------------------------------------------------------------------------


def sparsity_pattern(rule: RuleUnderTest, sparsity: object) -> np.ndarray:
    """Return the pattern as booleans (outputs, entries of x).

    Raises:
      InputError: for another shape.
    """
    pattern = np.asarray(sparsity).astype(bool)
    shape = sum(int(np.prod(u.shape)) for u in rule.cotangent), sum(leaf.size for leaf in rule.arguments.real)
    if pattern.shape != shape:
        remedy = "one row for each number of the outputs, one column for each of the arguments"
        raise InputError(sentence("sparsity", f"shape {shape}", pattern.shape, remedy))
    return pattern


def _check_sparsity(rule: RuleUnderTest, pattern: np.ndarray) -> Row:
    """Return whether every row of the Jacobian, by the rule, is 0 outside of the pattern."""
    check: CheckId = "sparsity", "", "the pattern"

    def row_of_jacobian(x: Any, k: Any, unit: jax.Array) -> jax.Array:
        parts, start = [], 0
        for u in rule.cotangent:
            parts.append(unit[start : start + u.size].reshape(u.shape).astype(u.dtype))
            start += u.size
        return jnp.concatenate([jnp.ravel(g) for g in pullback(rule.f, x, k, tuple(parts))[1]])

    # lax.map, not vmap: whether the rule is correct under vmap is a check of its own
    program = quick_jit(lambda x, k, units: jax.lax.map(lambda unit: row_of_jacobian(x, k, unit), units))
    jacobian = np.asarray(program(*rule.point, jnp.eye(len(pattern))))
    outside = (jacobian != 0) & ~pattern
    if outside.any():
        row, column = (int(i) for i in np.argwhere(outside)[0])
        note = f"{outside.sum()} entries outside of it, the first in row {row}, column {column}"
        return row_without_number(check, "FAIL", note)
    unused = int((pattern & (jacobian == 0)).sum())
    return row_without_number(check, "PASS", f"{unused} entries of the pattern are 0 here" if unused else "")
