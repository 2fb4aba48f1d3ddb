"""Types and costs: what a rule returns for every type of argument, in every precision, and what it costs.

    cotangent of a real array              the shape and the dtype of that array; JAX accepts a wrong dtype
    cotangent of any other argument        nothing: see `cotangents`
    float32, bfloat16                      the same dtype, and G of float64 to the digits that these have; computed as
                                           in a process that has not switched float64 on
    residuals                              bytes stored from forward to backward, without the arguments themselves
    FLOPs                                  of forward and backward together, as XLA counts them

The last row repeats the check of the gradient with JAX's next implementation of rules (`JAX_CUSTOM_VJP3=1`,
jax-ml/jax#34548).
"""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from jaxmlp.evidence.certificate import Row, judge
from jaxmlp.evidence.precision import x64_in_every_thread
from jaxmlp.evidence.vjp_check.arguments import Function, Leaves, SplitFunction, split_function
from jaxmlp.evidence.vjp_check.cotangents import cotangent_rows
from jaxmlp.evidence.vjp_check.noise_floor import product_scale
from jaxmlp.evidence.vjp_check.quick_jit import compiler_options, quick_jit
from jaxmlp.evidence.vjp_check.rule_under_test import (
    TOLERANCES,
    CheckId,
    Failure,
    PlannedCheck,
    RuleUnderTest,
    attempt,
    compare,
    compiled_pullback,
    error_summary,
    pullback,
    relative_differences,
    row_without_number,
    rule_primitives,
)

MAX_COST_RATIO = 4.0  # times the cost of autodiff; beyond it the row asks whether that is intended
SMALLEST_COST = 64.0  # bytes or FLOPs: a ratio to less says nothing


def type_checks(rule: RuleUnderTest) -> list[PlannedCheck]:
    """Return the checks of types, precisions, costs, and JAX's next implementation."""
    return [
        (("dtype of the cotangent", "", "its argument"), lambda: _check_dtypes(rule)),
        (("cotangent of what is not real", "", "None"), lambda: cotangent_rows(rule)),
        *(
            ((f"in {dtype}", "", "float64"), lambda dtype=dtype: [_check_precision(rule, dtype)])
            for dtype in ("float32", "bfloat16")
        ),
        (("residuals", "", "autodiff"), lambda: _check_residuals(rule)),
        (("FLOPs", "", "autodiff"), lambda: _check_flops(rule)),
        (("with JAX_CUSTOM_VJP3=1", "", "the rule by itself"), lambda: [_check_next_implementation(rule)]),
    ]


# --- types ------------------------------------------------------------------------------------------------------------


def _check_dtypes(rule: RuleUnderTest) -> Iterator[Row]:
    _, gradients = rule.gradient(*rule.point, rule.cotangent)
    for name, leaf, gradient in zip(rule.arguments.names, rule.arguments.real, gradients, strict=True):
        got, expected = shape_text(gradient), shape_text(leaf)
        note = "" if got == expected else f"{got} for an argument {expected}"
        yield row_without_number(("dtype of the cotangent", name, "its argument"), "FAIL" if note else "PASS", note)


def shape_text(array: jax.Array | np.ndarray | jax.ShapeDtypeStruct) -> str:
    """Return dtype and shape in one word.

    >>> shape_text(np.zeros((2, 3)))
    'float64[2,3]'
    """
    return f"{array.dtype}[{','.join(map(str, array.shape))}]"


def _check_precision(rule: RuleUnderTest, dtype: str) -> Row:
    """Compare G in a narrow dtype with G in float64 at the same rounded arguments; as accurate as autodiff passes."""
    if "while" in rule_primitives(rule):
        note = f"contains a while loop, which may never converge in {dtype}"
        return row_without_number((f"in {dtype}", "", "float64"), "UNDECIDED", note)
    # where JAX computes in float32, as in every process that does not ask for more: there 0.0 and zeros(n) are float32
    row = attempt(lambda: _precision_row(rule, dtype, x64=False))
    if rule.is_x64_process and (isinstance(row, Failure) or row.verdict != "PASS"):
        # f may close over float64 arrays of this process
        with_x64 = attempt(lambda: _precision_row(rule, dtype, x64=True))
        is_better = not isinstance(with_x64, Failure) and with_x64.verdict != "FAIL"
        row = with_x64 if is_better else row
    if isinstance(row, Failure):
        raise row.error
    return row


def _precision_row(rule: RuleUnderTest, dtype: str, *, x64: bool) -> Row:
    check = f"in {dtype}", "", "float64"
    real, discrete = rule.point
    low = tuple(np.asarray(x).astype(jnp.dtype(dtype)) for x in real)
    # both dtypes start from the same rounded numbers, so that only the computation differs
    exact = tuple(x.astype(leaf.dtype) for x, leaf in zip(low, real, strict=True))
    numbers = tuple(map(np.asarray, discrete))
    bound, floor = TOLERANCES[low[0].dtype.itemsize]

    def worst_difference(f: SplitFunction) -> tuple[float, Leaves]:
        with x64_in_every_thread(x64):
            outputs = jax.eval_shape(f, low, numbers)
            u = tuple(np.asarray(c).astype(y.dtype) for c, y in zip(rule.cotangent, outputs, strict=True))
            pulled = compiled_pullback(f, low, numbers, u)[1]
            # a Python number stands for whatever dtype it meets, so that its own says nothing
            got = tuple(np.asarray(g, dtype if g.weak_type else None) for g in pulled)
        # the rounded u, not the original one: G is linear in u, and would differ by its rounding
        u_exact = tuple(c.astype(full.dtype) for c, full in zip(u, rule.cotangent, strict=True))
        outputs, expected = rule.gradient(exact, discrete, u_exact)
        rounding = 64 * float(jnp.finfo(dtype).eps) * product_scale(u_exact, outputs)
        # only a leaf that is 0 but for rounding gets this allowance: elsewhere it could cover a real error
        is_zero = [float(np.max(np.abs(e), initial=0.0)) <= n for e, n in zip(expected, rule.noise[1], strict=True)]
        return float(np.max(relative_differences(got, expected, floor, [rounding * z for z in is_zero]))), got

    result = attempt(lambda: worst_difference(rule.f))
    if isinstance(result, Failure):
        if not _function_fails(rule, low, numbers, x64=x64):
            raise result.error  # the function has this dtype, so that the error is the rule's
        return row_without_number(check, "UNSUPPORTED", error_summary(result.error))
    difference, got = result
    named = zip(rule.arguments.names, got, strict=True)
    if incorrect := [f"d{name} is {g.dtype}" for name, g in named if g.dtype != dtype]:
        return Row(*check, difference, bound, "FAIL", "; ".join(incorrect))
    if not difference <= bound and rule.witness is not None:
        # as inaccurate as autodiff is no fault; a function without autodiff in this dtype decides nothing
        witness = rule.witness
        by_autodiff = attempt(lambda: worst_difference(witness)[0])
        bound = bound if isinstance(by_autodiff, Failure) else max(bound, 4 * by_autodiff)
    return judge(*check, difference, bound)


def _function_fails(rule: RuleUnderTest, low: Leaves, discrete: Leaves, *, x64: bool) -> bool:
    """Whether the function itself, or autodiff of it, does not exist in this dtype."""

    def forward_and_back() -> None:
        with x64_in_every_thread(x64):
            outputs = jax.block_until_ready(quick_jit(rule.f)(low, discrete))
            if rule.witness is not None:
                compiled_pullback(rule.witness, low, discrete, outputs)

    return isinstance(attempt(forward_and_back), Failure)


# --- costs ------------------------------------------------------------------------------------------------------------


def _check_residuals(rule: RuleUnderTest) -> Iterator[Row]:
    if rule.witness is not None:
        yield _cost_row("residuals", "B", *(residual_bytes(f, *rule.point) for f in (rule.f, rule.witness)))


def residual_bytes(f: SplitFunction, real: Leaves, discrete: Leaves) -> float:
    """Return how many bytes the pullback of f stores in addition to the arguments.

    >>> residual_bytes(lambda x, k: (jnp.sin(x[0]),), (jnp.ones(3, jnp.float32),), ())    # cos x
    12.0
    """
    closed = jax.make_jaxpr(lambda x, k: jax.tree.leaves(jax.vjp(lambda *x: f(x, k), *x)[1]))(real, discrete)
    arguments = {id(v) for v in closed.jaxpr.invars}
    # by id: a variable that two parts of the pullback use is stored once, and Literal has no hash
    residuals: dict[int, Any] = {
        id(v): v.aval for v in closed.jaxpr.outvars if id(v) not in arguments and not isinstance(v, core.Literal)
    }
    return float(sum(aval.size * aval.dtype.itemsize for aval in residuals.values()))


def _check_flops(rule: RuleUnderTest) -> Iterator[Row]:
    if rule.witness is None:
        return
    counts = [_flops_of(f, rule) for f in (rule.f, rule.witness)]
    if None in counts:
        yield row_without_number(("FLOPs", "", "autodiff"), "UNDECIDED", "this backend does not count them")
    else:
        yield _cost_row("FLOPs", "", *(count or 0.0 for count in counts))


def _flops_of(f: SplitFunction, rule: RuleUnderTest) -> float | None:
    lowered = jax.jit(pullback, static_argnums=0).lower(f, *rule.point, rule.cotangent)
    analysis: Any = lowered.compile(compiler_options=compiler_options()).cost_analysis()
    return analysis.get("flops") if isinstance(analysis, dict) else None


def _cost_row(name: str, unit: str, cost: float, autodiff: float) -> Row:
    check = name, "", "autodiff"
    note = f"{cost:.6g}{unit} against {autodiff:.6g}{unit}"
    if cost > MAX_COST_RATIO * max(autodiff, SMALLEST_COST):
        return row_without_number(check, "UNDECIDED", f"{note}: is that intended?")
    return row_without_number(check, "PASS", note)


# --- JAX's next implementation ----------------------------------------------------------------------------------------


def _check_next_implementation(rule: RuleUnderTest) -> Row:
    check: CheckId = ("with JAX_CUSTOM_VJP3=1", "", "the rule by itself")
    if not hasattr(jax.config, "jax_custom_vjp3"):
        return row_without_number(check, "UNSUPPORTED", f"JAX {jax.__version__} is older than jax-ml/jax#34548")
    with _enabled_flag("jax_custom_vjp3"):
        function = _rebuild_rule(rule.user_function)
        if function is None:
            note = "this version of JAX reads the flag when a rule is created: set it before the import"
            return row_without_number(check, "UNDECIDED", note)
        f = split_function(function, rule.arguments.join)
        got = attempt(lambda: quick_jit(lambda x, k, u: pullback(f, x, k, u))(*rule.point, rule.cotangent))
        if isinstance(got, Failure):  # the flag is experimental: an error here may be JAX's
            return row_without_number(check, "UNDECIDED", error_summary(got.error))
    return compare(check, got, rule.gradient(*rule.point, rule.cotangent), rule)


def _rebuild_rule(function: Any) -> Function | None:
    """Return the rule as it is under the flag; None where that takes the user's source."""
    if isinstance(function, functools.partial):
        inner = _rebuild_rule(function.func)
        return None if inner is None else functools.partial(inner, *function.args, **function.keywords)
    if "__new__" not in vars(jax.custom_vjp):
        return function  # since JAX 0.11 the implementation is chosen at every call, before when the rule is created
    if not isinstance(function, jax.custom_vjp) or function.fwd is None or function.bwd is None:
        return None
    rebuilt = jax.custom_vjp(function.fun, nondiff_argnums=function.nondiff_argnums)
    options = {"symbolic_zeros": function.symbolic_zeros, "optimize_remat": function.optimize_remat}
    rebuilt.defvjp(function.fwd, function.bwd, **options)
    return rebuilt


@contextmanager
def _enabled_flag(name: str) -> Iterator[None]:
    before = getattr(jax.config, name)
    jax.config.update(name, True)
    try:
        yield
    finally:
        jax.config.update(name, before)
