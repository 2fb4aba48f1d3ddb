"""`check_vjp`: test any `custom_vjp` or `custom_jvp`, one row per check, in two tables.

    mathematics          the gradient of every leaf against autodiff of the function without rules and against central
                         differences, at two points or more; linearity, adjoint, second order
    contract with JAX    jit, vmap over each argument before and after grad, scan, remat, sharding, closures; dtypes,
                         integers, None, float32, bfloat16, residuals, FLOPs, JAX's next implementation of rules

It needs no hints: it recognises pytrees, static arguments and rules deep inside a larger function. Only a rule that
deliberately differs from the derivative (a clipped or a straight-through gradient) needs a `reference`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxmlp.errors import InputError, InputTypeError, sentence
from jaxmlp.evidence.certificate import Certificate, Row
from jaxmlp.evidence.precision import float64, x64_in_every_thread
from jaxmlp.evidence.vjp_check.arguments import (
    Arguments,
    Function,
    Leaves,
    SplitFunction,
    python_float_positions,
    split_arguments,
    split_function,
)
from jaxmlp.evidence.vjp_check.clock import Clock
from jaxmlp.evidence.vjp_check.closures import explain
from jaxmlp.evidence.vjp_check.gradient import OVERRULED, gradient_checks
from jaxmlp.evidence.vjp_check.jaxpr import narrowest_itemsize, strip_rules
from jaxmlp.evidence.vjp_check.noise_floor import first_order_noise
from jaxmlp.evidence.vjp_check.operators import operator_checks
from jaxmlp.evidence.vjp_check.points import (
    Points,
    nearby_points,
    point_checks,
    points_within,
    split_points,
    user_cotangent,
)
from jaxmlp.evidence.vjp_check.progress import progress_of_check
from jaxmlp.evidence.vjp_check.purity import purity_checks
from jaxmlp.evidence.vjp_check.quick_jit import quick_jit
from jaxmlp.evidence.vjp_check.report import RuleCertificate
from jaxmlp.evidence.vjp_check.rule_under_test import (
    Failure,
    RuleUnderTest,
    attempt,
    compiled_pullback,
    error_summary,
    pullback,
    row_without_number,
    run_check,
    standard_normal,
)
from jaxmlp.evidence.vjp_check.second_order import second_order_checks
from jaxmlp.evidence.vjp_check.spaces import Space
from jaxmlp.evidence.vjp_check.taylor import sparsity_pattern, taylor_checks
from jaxmlp.evidence.vjp_check.transformations import transformation_checks
from jaxmlp.evidence.vjp_check.types import shape_text, type_checks
from jaxmlp.fork import refuse_after_fork

TIME_LIMIT = 20.0  # seconds
UserPoints = int | Sequence[Sequence[Any]]


def check_vjp(
    f: Function,
    *args: Any,
    reference: Function | None = None,
    dtype: DTypeLike | None = "float64",
    seed: int = 0,
    space: Space | None = None,
    points: UserPoints = 2,
    domain: tuple[float, float] | None = None,
    cotangent: object = None,
    sparsity: object = None,
    time_limit: float | None = TIME_LIMIT,
) -> RuleCertificate:
    """Check a derivative rule: is G(x; u) = (∂f/∂x)ᵀ u, and does that hold under every transformation of JAX?

    A row is PASS, FAIL, UNDECIDED (the witness cannot tell, and the note says why) or UNSUPPORTED (by JAX or by f
    itself); the certificate passes if no row fails and a gradient has been confirmed. No row demands of the rule what
    `reference` does not satisfy either. Within the call JAX's x64 flag is set for the whole process, as host callbacks
    run on other threads. A check that takes longer than two seconds shows a bar in a terminal.

    Args:
      f: a `jax.custom_vjp`, or any function that contains such rules.
      *args: the arguments of one call. Real arrays are differentiated; integer arrays, None, names, functions and
        `nondiff_argnums` stay as they are. For keyword arguments use `functools.partial(f, axis=0)`.
      reference: a function of the same arguments whose gradient is the intended one; by default f without its rules.
      dtype: real arrays are cast to it; None keeps the dtype of each, and the bounds follow from the dtypes.
      seed: of the random cotangents, directions and nearby points.
      space: where an argument stays when it is moved, by name {"A": "symmetric"} or for the first argument alone: one
        of "symmetric", "lower triangular", "upper triangular", "positive definite", "simplex", "unit norm", "sorted".
      points: how many points are checked, those of the call included; or a list of tuples of arguments to check, too.
      domain: (low, high): the further points are uniform between them; by default they are near the call's.
      cotangent: u, a pytree like the real outputs of f, where random numbers are not wanted.
      sparsity: which entries of the Jacobian may differ from 0: an array of booleans (outputs, entries of x), over all
        real outputs and arguments in their order.
      time_limit: seconds after which no further check starts; None for no limit.

    Returns:
      A `RuleCertificate`: `.passed`, `.rows`, `.mathematics`, `.contract`, `.unchecked`, `.to_dict()`, and two tables
      when printed.

    Raises:
      InputTypeError: when f is not a function, when f(*args) has no real output, and when the outputs of
        reference(*args) have other shapes.
      InputError: when no argument contains a real array, when f(*args) or reference(*args) raises, and when a space, a
        point, a domain, a cotangent or a sparsity pattern does not fit.

    >>> square = jax.custom_vjp(lambda x: x * x)
    >>> square.defvjp(lambda x: (x * x, x), lambda x, u: (2.002 * x * u,))    # 0.1 % too large
    >>> report = check_vjp(square, jnp.array([1.0, 2.0]))
    >>> report.passed, report.failures[0].check, report.failures[0].where, report.failures[0].note
    (False, 'gradient', 'x', '1.001 times the correct gradient')
    """
    refuse_after_fork("check_vjp")
    for function in (f,) if reference is None else (f, reference):
        if not callable(function):
            raise InputTypeError(sentence("check_vjp", "a function", type(function).__name__, "give f itself"))
    # a functools.partial has no name, but the function within it has
    name = getattr(f, "__name__", None) or getattr(getattr(f, "func", None), "__name__", type(f).__name__)
    title = f"check_vjp {name}"
    # asked before the block below switches x64 on
    is_x64_process, clock = jnp.result_type(float) == jnp.float64, Clock(time_limit)
    with _precision(dtype):
        dtype = None if dtype is None else jnp.dtype(dtype)
        # split: further points must make the same floats constants as this call
        arguments, outputs, split = _runnable_arguments(f, args, dtype, space)
        u = None if cotangent is None else user_cotangent(cotangent, outputs)
        rule = _rule_under_test(f, arguments, outputs, reference, seed, u)
        rule = rule._replace(is_x64_process=is_x64_process, user_arguments=args)
        pattern = None if sparsity is None else sparsity_pattern(rule, sparsity)
        others = _other_points(rule, points, domain, split)
        return RuleCertificate(title, tuple(_all_rows(rule, title, others, pattern, clock)))


@contextmanager
def _precision(dtype: DTypeLike | None) -> Iterator[None]:
    """Let every thread compute in float64, and exactly; with dtype None the process stays as it is."""
    if dtype is None:
        yield
        return
    # on an accelerator the default precision of a matrix product is lower than its dtype
    with x64_in_every_thread(True), float64(), jax.default_matmul_precision("highest"):
        yield


def assert_vjp(
    f: Function,
    *args: Any,
    reference: Function | None = None,
    dtype: DTypeLike | None = "float64",
    seed: int = 0,
    **options: Any,
) -> None:
    """Raise an AssertionError with the table of failures if `check_vjp` does not pass: one line in a test.

    Arguments (f, args, reference, dtype, seed, and the further options) and errors are those of `check_vjp`.

    Raises:
      AssertionError: when a row fails, with the table of the failures; when no gradient could be confirmed, with the
        whole table.

    >>> assert_vjp(jnp.tanh, jnp.array([0.5, -1.0]))
    """
    report = check_vjp(f, *args, reference=reference, dtype=dtype, seed=seed, **options)
    if not report.passed:
        raise AssertionError(str(Certificate(report.title, report.failures) if report.failures else report))


def _all_rows(
    rule: RuleUnderTest, title: str, points: Points, pattern: np.ndarray | None, clock: Clock
) -> Iterator[Row]:
    # once before everything else: an error here would come back from every other check, and hide its reason
    failed = run_check(("gradient", "", "jax.vjp"), lambda: _run_gradient(rule))
    if failed:  # every other check needs a gradient
        yield from failed
        yield from (row for row in explain(failed) if row not in failed)
        return
    # the rounding error is measured once; every comparison below is judged by it
    noise = attempt(lambda: first_order_noise(rule))
    rule = rule if isinstance(noise, Failure) else rule._replace(noise=noise)
    first_order: list[Row] = []
    with progress_of_check(title) as show:
        for check, rows in gradient_checks(rule):
            show(check[0], 0.0)
            for row in run_check(check, rows):
                first_order.append(row)
                yield row
        rule = _after_first_order(rule, first_order)
        later = [*point_checks(rule, points), *second_order_checks(rule), *taylor_checks(rule, pattern)]
        later += [*type_checks(rule), *transformation_checks(rule), *operator_checks(rule), *purity_checks(rule)]
        for i, (check, rows) in enumerate(later):
            if clock.is_over:
                note = f"the {clock.limit:g} s of this check are over: time_limit=None asks everything"
                yield row_without_number(check, "UNDECIDED", note)
                continue
            show(" ".join(filter(None, check[:2])), (i + 1) / (len(later) + 1))
            yield from run_check(check, rows)


def _after_first_order(rule: RuleUnderTest, rows: list[Row]) -> RuleUnderTest:
    """Return the rule with what its first order has shown about rule and witness."""
    gradients = [row for row in rows if row.check == "gradient"]
    if any(row.note == OVERRULED for row in gradients):
        rule = rule._replace(witness=None)
    return rule._replace(has_wrong_gradient=any(row.verdict == "FAIL" for row in gradients))


def _run_gradient(rule: RuleUnderTest) -> tuple[Row, ...]:
    jax.block_until_ready(rule.gradient(*rule.point, rule.cotangent))  # an asynchronous error must appear here
    return ()


def _rule_under_test(
    f: Function,
    arguments: Arguments,
    outputs: Leaves,
    reference: Function | None,
    seed: int,
    cotangent: Leaves | None,
) -> RuleUnderTest:
    """Return the rule with its witness."""
    rng = np.random.default_rng(seed)
    function = split_function(f, arguments.join)
    cotangent = standard_normal(rng, outputs) if cotangent is None else cotangent

    def gradient(real: Leaves, discrete: Leaves, u: Leaves) -> tuple[Leaves, Leaves]:
        return pullback(function, real, discrete, u)

    program = jax.make_jaxpr(function)(arguments.real, arguments.discrete)
    return RuleUnderTest(
        f,
        function,
        _witness(function, arguments, cotangent, reference, outputs),
        reference is not None,
        arguments,
        cotangent,
        rng,
        quick_jit(gradient),
        itemsize=narrowest_itemsize(program),
    )


def _witness(
    function: SplitFunction, arguments: Arguments, cotangent: Leaves, reference: Function | None, outputs: Leaves
) -> SplitFunction | None:
    """Return the function whose autodiff gives the expected gradient; None where JAX cannot differentiate it."""
    if reference is not None:
        intended = split_function(reference, arguments.join)
        _check_same_outputs(outputs, _output_shapes("reference", intended, arguments))

        def in_dtypes_of_f(real: Leaves, discrete: Leaves) -> Leaves:
            # f may return the float32 of its constants where reference returns the float64 of its arguments
            return tuple(y.astype(out.dtype) for y, out in zip(intended(real, discrete), outputs, strict=True))

        return in_dtypes_of_f
    plain = strip_rules(function)
    # autodiff cannot pass a while loop, a callback or a kernel; there central differences are the only witness
    call = arguments.real, arguments.discrete, cotangent
    differentiated = attempt(lambda: jax.block_until_ready(compiled_pullback(plain, *call)))
    return None if isinstance(differentiated, Failure) else plain


def _other_points(
    rule: RuleUnderTest,
    points: UserPoints,
    domain: tuple[float, float] | None,
    split: Callable[[tuple[Any, ...]], Arguments],
) -> Points:
    if not isinstance(points, int):
        return split_points(rule.arguments, points, split)
    if points < 1:
        raise InputError(sentence("points", "a number from 1 on", points, "1 is the point of the call alone"))
    return nearby_points(rule, points - 1) if domain is None else points_within(rule, domain, points - 1)


def _runnable_arguments(
    f: Function, args: tuple[Any, ...], dtype: DTypeLike | None, space: Space | None
) -> tuple[Arguments, Leaves, Callable[[tuple[Any, ...]], Arguments]]:
    """Return the split arguments, the shapes of f's outputs, and the function that splits those of another point."""
    positions = python_float_positions(args)
    first_error: InputError | None = None
    # all of them differentiated, then one constant, then all: f does not say which of them it uses as a constant
    for fixed in dict.fromkeys(((), *((i,) for i in positions), positions)):  # of one float, the last two are equal
        try:
            arguments = split_arguments(f, args, dtype, fixed, space)
            outputs = _output_shapes("check_vjp", split_function(f, arguments.join), arguments)
        except InputError as error:
            first_error = first_error or error  # the later ones are about calls that we tried, not about the user's
            continue
        if outputs:
            return arguments, outputs, lambda point, fixed=fixed: split_arguments(f, point, dtype, fixed, space)
        remedy = "there is nothing to differentiate"
        raise InputTypeError(sentence("check_vjp", "a real array as output", "none", remedy))
    assert first_error is not None
    raise first_error


def _output_shapes(where: str, function: SplitFunction, arguments: Arguments) -> Leaves:
    shapes = attempt(lambda: jax.eval_shape(function, arguments.real, arguments.discrete))
    if not isinstance(shapes, Failure):
        return shapes
    dtypes = ", ".join(sorted({str(leaf.dtype) for leaf in arguments.real}))
    remedy = "give arguments that f accepts; dtype=None keeps the dtype of every array"
    expects = f"a function that runs on these arguments in {dtypes}"
    raise InputError(sentence(where, expects, error_summary(shapes.error), remedy)) from shapes.error


def _check_same_outputs(outputs: Leaves, reference: Leaves) -> None:
    expected, got = (", ".join(map(shape_text, ys)) for ys in (outputs, reference))
    if [y.shape for y in outputs] != [y.shape for y in reference]:
        remedy = "give a function of the same arguments with the same outputs"
        raise InputTypeError(sentence("reference", expected, got or "no real output", remedy))
