"""First order: the gradient of every leaf against two witnesses, and two properties of every pullback.

    autodiff               G of the rule against G of the function without rules, or of `reference`
    central differences    ∂⟨u, f⟩/∂x_i, see `difference_rows`
    linear                 G(x; a u + b v) = a G(x; u) + b G(x; v)
    adjoint                ⟨u, J v⟩ = ⟨Jᵀ u, v⟩ where forward mode exists

Where the witnesses contradict each other and differences confirm the rule, differences are right: autodiff of a search
(a bisection, an argmin over a grid) is 0, and that is not its derivative.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np

from jaxmlp.evidence.certificate import Row, judge
from jaxmlp.evidence.vjp_check.arguments import Leaves, SplitFunction
from jaxmlp.evidence.vjp_check.describe_error import describe_error
from jaxmlp.evidence.vjp_check.difference_rows import (
    WITNESS,
    contradicts,
    difference_rows,
    leaf_differences,
)
from jaxmlp.evidence.vjp_check.excuses import SOLVER_BOUND, STOPS_EARLY, excuse_by_tolerance, excuse_by_witness
from jaxmlp.evidence.vjp_check.jaxpr import contains_rule
from jaxmlp.evidence.vjp_check.loops import stops_at_a_tolerance
from jaxmlp.evidence.vjp_check.noise_floor import compare_leaves
from jaxmlp.evidence.vjp_check.quick_jit import quick_jit
from jaxmlp.evidence.vjp_check.rule_under_test import (
    JAX_LIMITS,
    NO_JVP,
    CheckId,
    Failure,
    PlannedCheck,
    RuleUnderTest,
    attempt,
    compare,
    compiled_pullback,
    relative_differences,
    row_without_number,
)


def gradient_checks(rule: RuleUnderTest) -> list[PlannedCheck]:
    """Return the checks of the first order."""
    measured: list[Any] = []

    def differences() -> Any:
        if not measured:  # autodiff and differences are judged by each other
            measured.append(attempt(lambda: leaf_differences(rule)) if rule.is_float64 else None)
        return measured[0]

    return [
        (_VALUE, lambda: [_check_value(rule)]),
        (("gradient", "", "autodiff"), lambda: _check_against_autodiff(rule, differences())),
        (("gradient", "", WITNESS), lambda: _check_against_differences(rule, differences())),
        (_LINEAR, lambda: [_check_linear(rule)]),
        (_JVP, lambda: [_check_jvp(rule)]),
    ]


_VALUE: CheckId = ("value of the forward rule", "", "the function")
_LINEAR: CheckId = ("linear in the cotangent", "", "two pullbacks")
_JVP: CheckId = ("jvp", "", "the pullback")


def _check_value(rule: RuleUnderTest) -> Row:
    """Compare the output of the forward rule with the output of the function."""
    outputs, _ = rule.gradient(*rule.point, rule.cotangent)
    # a call outside of autodiff runs the function itself, not the forward rule
    return compare(_VALUE, (outputs,), (quick_jit(rule.f)(*rule.point),), rule)


def _check_against_autodiff(rule: RuleUnderTest, differences: object) -> Iterator[Row]:
    if (witness := rule.witness) is None:
        note = "JAX cannot differentiate the function without its rules"
        yield row_without_number(("gradient", "", rule.autodiff_name), "UNDECIDED", note)
        return
    real, discrete = rule.point

    def gradient(x: Leaves) -> Leaves:
        return compiled_pullback(witness, x, discrete, rule.cotangent)[1]

    outputs, got = rule.gradient(real, discrete, rule.cotangent)
    is_finite = all(np.isfinite(y).all() for y in outputs)
    is_identity = len(outputs) == len(real) and all(map(np.array_equal, outputs, real))
    expected = gradient(real)
    comparisons = compare_leaves(gradient, got, expected, rule.noise[1], rule)
    for i, (name, leaf) in enumerate(zip(rule.arguments.names, comparisons, strict=True)):
        check = "gradient", name, rule.autodiff_name
        row = leaf.row(check, rule.tolerance[0])
        if row.verdict == "FAIL":
            row = row._replace(note=describe_error(leaf.got, leaf.expected))
            if not rule.has_reference and is_identity:
                row = row._replace(note=f"{row.note}; {UNCHANGED}")  # a reversed or scaled gradient
            if isinstance(differences, list) and not rule.has_reference and contradicts(differences[i], expected[i]):
                row = row._replace(verdict="UNDECIDED", note=OVERRULED)
            elif (row.difference or 1.0) <= SOLVER_BOUND and stops_at_a_tolerance(rule):
                row = row._replace(verdict="UNDECIDED", note=STOPS_EARLY)
        # NaN equals NaN in the comparison: a NaN of both is no error of the rule, and no pass where f is finite
        elif is_finite and np.isnan(got[i]).any():
            n, size = np.count_nonzero(~np.isfinite(got[i])), got[i].size
            row = row_without_number(check, "FAIL", f"{n} of {size} entries are not finite, nor are they in autodiff")
        yield row


CLIPPED = "where the gradient is clipped or normalised on purpose, give reference"
UNCHANGED = "f returns its arguments unchanged: where another gradient is intended, give reference"
OVERRULED = "autodiff of the function is not its derivative: central differences confirm the rule"


def _check_against_differences(rule: RuleUnderTest, differences: Any) -> Iterator[Row]:
    if differences is None:
        note = "these dtypes have too few digits: leave dtype at float64"
        yield row_without_number(("gradient", "", WITNESS), "UNDECIDED", note)
        return
    if isinstance(differences, Failure):
        raise differences.error

    def again(closer: RuleUnderTest) -> list[Row]:
        return list(difference_rows(closer, leaf_differences(closer)))

    for row in difference_rows(rule, differences):
        excused = excuse_by_tolerance(rule, row, again)
        yield _excuse(rule, excused) if excused.verdict == "FAIL" else excused


def _excuse(rule: RuleUnderTest, row: Row) -> Row:
    """Return a failure with the advice that its cause needs; UNDECIDED where the user's reference shares it."""
    # a straight-through or a clipped gradient is intended, although it is not the derivative
    if rule.witness is None:
        return row
    i = rule.arguments.names.index(row.where)
    got, expected = (
        pull(*rule.point, rule.cotangent)[1][i] for pull in (rule.gradient, partial(compiled_pullback, rule.witness))
    )
    agrees = max(relative_differences([got], [expected], 1e-4)) <= 1e-6
    if not agrees:
        return row
    if rule.has_reference:
        return row._replace(verdict="UNDECIDED", note="reference is not the derivative of f either")
    return row._replace(note=f"{row.note}; autodiff agrees: where a stop_gradient is intended, give reference")


# --- properties of every pullback -------------------------------------------------------------------------------------


def _check_linear(rule: RuleUnderTest) -> Row:
    v = rule.draw(rule.cotangent)
    row = excuse_by_tolerance(rule, _linearity(rule, v), lambda closer: [_linearity(closer, v)])
    row = excuse_by_witness(rule, row, lambda witness: [_linearity(witness, v)])
    return row._replace(note=f"{row.note}; {CLIPPED}") if row.verdict == "FAIL" and not rule.has_reference else row


def _linearity(rule: RuleUnderTest, v: Leaves) -> Row:
    u = rule.cotangent
    mixed = tuple(3 * a - 7 * b for a, b in zip(u, v, strict=True))
    combined, of_u, of_v = (rule.gradient(*rule.point, w)[1] for w in (mixed, u, v))
    expected = tuple(3 * np.asarray(a) - 7 * np.asarray(b) for a, b in zip(of_u, of_v, strict=True))
    return compare(_LINEAR, ((), combined), ((), expected), rule, scale=10.0)  # 3 + 7


def _check_jvp(rule: RuleUnderTest) -> Row:
    v = rule.draw(rule.arguments.real)
    row = attempt(lambda: _adjoint(rule, v))
    if isinstance(row, Failure):
        # within a shard_map JAX reports the missing jvp of a custom_vjp as another error
        if contains_rule(jax.make_jaxpr(rule.f)(*rule.point)):
            return row_without_number(_JVP, "UNSUPPORTED", JAX_LIMITS[NO_JVP])
        raise row.error
    return excuse_by_witness(rule, row, lambda witness: [_adjoint(witness, v)])


def _adjoint(rule: RuleUnderTest, v: Leaves) -> Row:
    real, discrete = rule.point
    pushed = _tangent(rule.f, real, discrete, v)
    _, pulled = rule.gradient(real, discrete, rule.cotangent)
    difference = abs(inner_product(rule.cotangent, pushed) - inner_product(pulled, v))
    row = judge(*_JVP, relative_to_norms(difference, pulled, v, rule.noise[1]), rule.tolerance[0])
    if row.verdict == "PASS":
        return row
    if not np.isfinite(difference):
        return row._replace(note="the tangent or the gradient is not finite")
    return row._replace(note="⟨u, J v⟩ is not ⟨Jᵀ u, v⟩")


@partial(quick_jit, static_argnums=0)
def _tangent(f: SplitFunction, real: Leaves, discrete: Leaves, v: Leaves) -> Leaves:
    return jax.jvp(lambda *x: f(x, discrete), real, v)[1]


def inner_product(a: Leaves, b: Leaves) -> float:
    """Return ⟨a, b⟩ over all leaves.

    >>> inner_product((np.array([1.0, 2.0]), np.array(3.0)), (np.array([4.0, 5.0]), np.array(6.0)))
    32.0
    """
    return sum(float(np.vdot(np.float64(x), np.float64(y))) for x, y in zip(a, b, strict=True))


def relative_to_norms(difference: float, a: Leaves, b: Leaves, noise: Sequence[float]) -> float:
    """Return a difference of two ⟨a, b⟩ divided by Σ ‖a‖ ‖b‖; 0 if rounding of every leaf of a explains it.

    >>> relative_to_norms(3.0, (np.array([3.0, 4.0]),), (np.array([0.0, 2.0]),), [0.1])
    0.3
    >>> relative_to_norms(1e-17, (np.array([1e-16]),), (np.array([2.0]),), [1e-15])
    0.0
    """
    pairs = [(np.ravel(x).astype(float), np.ravel(y).astype(float)) for x, y in zip(a, b, strict=True)]
    if difference <= sum(float(n * np.abs(y).sum()) for (_, y), n in zip(pairs, noise, strict=True)):
        return 0.0
    return difference / (sum(float(np.linalg.norm(x) * np.linalg.norm(y)) for x, y in pairs) or 1.0)
