"""`check_vjp`: a test bench for any `custom_vjp`, one row per question.

    gradient          of every leaf against autodiff of the undecorated function and against central differences
    transformations   jit, vmap over each argument before and after grad, scan, remat, sharding, closures
    second order      reverse over reverse, forward over reverse, symmetry of the Hessian
    types and costs   dtypes, whole numbers, None, float32, bfloat16, residuals, FLOPs, JAX's rules to come

It needs no hints: pytrees, static arguments and rules deep inside a larger function are found by themselves. Only a
rule that is not meant to be the derivative (a clipped or a straight-through gradient) has to say what it is meant to
be.
"""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.errors import InputError, InputTypeError, sentence
from jaxmlp.evidence.certificate import Certificate, Row
from jaxmlp.evidence.precision import float64
from jaxmlp.evidence.vjp.arguments import Arguments, Leaves, Split, python_numbers, split_arguments, splitted
from jaxmlp.evidence.vjp.bench import Bench, Raised, ask, attempt, first_line, normal, pullback
from jaxmlp.evidence.vjp.doubt import first_order_noise
from jaxmlp.evidence.vjp.gradient import gradient_rows
from jaxmlp.evidence.vjp.second_order import second_order_rows
from jaxmlp.evidence.vjp.transformations import blame, transformation_rows
from jaxmlp.evidence.vjp.types import type_rows
from jaxmlp.evidence.vjp.undecorated import undecorated


def check_vjp(
    f: Callable[..., Any],
    *args: Any,
    reference: Callable[..., Any] | None = None,
    dtype: Any = "float64",
    seed: int = 0,
) -> Certificate:
    """Ask a derivative rule everything: is its G(x; u) = (∂f/∂x)ᵀ u right, and does it stay right under JAX?

    PASS, FAIL, UNDECIDED (the witness cannot tell, and why) or UNSUPPORTED (by JAX, with its issue); the certificate
    passes if nothing fails. A row never asks of the rule what `reference` does not do either.

    Args:
      f: a `jax.custom_vjp`, or any function with such rules inside.
      *args: the arguments of one call. Real arrays are differentiated by; whole-number arrays, None, names, functions
        and `nondiff_argnums` stay what they are. Keyword arguments: `functools.partial(f, axis=0)`.
      reference: a function of the same arguments whose gradient is the one that is meant; by default f itself without
        its rules.
      dtype: what real arrays are cast to; None leaves them as they are, and the bounds follow.
      seed: of the random cotangents, directions and neighbours.

    Returns:
      A `Certificate`: `.passed`, `.rows`, `.to_dict()`, and a table when printed.

    Raises:
      InputTypeError: when f is not a function, for complex numbers, when f(*args) has no real output, and when
        reference(*args) has other outputs.
      InputError: when no argument holds a real array, and when f(*args) or reference(*args) raises.

    >>> square = jax.custom_vjp(lambda x: x * x)
    >>> square.defvjp(lambda x: (x * x, x), lambda x, u: (2.002 * x * u,))    # 0.1 % too large
    >>> report = check_vjp(square, jnp.array([1.0, 2.0]))
    >>> report.passed, report.failures[0].check, report.failures[0].where, report.failures[0].note
    (False, 'gradient', 'x', '1.001 times what it should be')
    """
    for function in (f,) if reference is None else (f, reference):
        if not callable(function):
            raise InputTypeError(sentence("check_vjp", "a function", type(function).__name__, "give f itself"))
    name = getattr(f, "__name__", None) or getattr(getattr(f, "func", None), "__name__", type(f).__name__)
    title = f"check_vjp {name}"
    if dtype is None:
        return Certificate(title, tuple(_rows(f, args, reference, None, seed)))
    with float64(), jax.default_matmul_precision("highest"):
        return Certificate(title, tuple(_rows(f, args, reference, jnp.dtype(dtype), seed)))


def assert_vjp(
    f: Callable[..., Any],
    *args: Any,
    reference: Callable[..., Any] | None = None,
    dtype: Any = "float64",
    seed: int = 0,
) -> None:
    """`check_vjp` for a test: passes in silence, or raises with the table of what failed.

    Arguments (f, args, reference, dtype, seed) and errors are those of `check_vjp`.

    Raises:
      AssertionError: when a row fails; its text is the table of the failures.

    >>> assert_vjp(jnp.tanh, jnp.array([0.5, -1.0]))
    """
    report = check_vjp(f, *args, reference=reference, dtype=dtype, seed=seed)
    if not report.passed:
        raise AssertionError(str(Certificate(report.title, report.failures)))


def _rows(f: Callable[..., Any], args: Any, reference: Any, dtype: Any, seed: int) -> Iterator[Row]:
    bench = _bench(f, args, reference, dtype, seed)
    check = "gradient", "", "jax.vjp"
    failed = ask(*check, lambda: _attempt(bench))
    if failed:  # without a gradient nothing else can be asked
        yield from failed
        yield from (told for told in blame(failed) if told not in failed)
        return
    bench = bench._replace(noise=first_order_noise(bench))
    yield from gradient_rows(bench)
    yield from transformation_rows(bench)
    yield from second_order_rows(bench)
    yield from type_rows(bench)


def _attempt(bench: Bench) -> tuple[Row, ...]:
    jax.block_until_ready(bench.gradient(*bench.point, bench.cotangent))
    return ()


def _bench(f: Callable[..., Any], args: Any, reference: Any, dtype: Any, seed: int) -> Bench:
    arguments, outputs = _runnable(f, args, dtype)
    rng = np.random.default_rng(seed)
    function = splitted(f, arguments.join)
    cotangent = normal(rng, outputs)
    witness: Split | None
    if reference is not None:
        witness = splitted(reference, arguments.join)
        _same_outputs(outputs, _shapes("reference", witness, arguments))
    else:
        witness = _differentiable(undecorated(function), arguments.leaves, arguments.others, cotangent)

    def gradient(leaves: Any, others: Any, u: Any) -> Any:
        return pullback(function, leaves, others, u)

    return Bench(f, function, witness, reference is not None, arguments, cotangent, rng, jax.jit(gradient))


def _runnable(f: Callable[..., Any], args: Any, dtype: Any) -> tuple[Arguments, Leaves]:
    """The arguments with the shapes of f's outputs; Python numbers stay as they are where f takes no traced ones."""
    numbers = python_numbers(args)
    refused: InputError | None = None
    for fixed in dict.fromkeys(((), *((i,) for i in numbers), numbers)):
        try:
            arguments = split_arguments(f, args, dtype, fixed)
            outputs = _shapes("check_vjp", splitted(f, arguments.join), arguments)
        except InputError as error:
            refused = refused or error
            continue
        if outputs:
            return arguments, outputs
        remedy = "there is nothing to differentiate"
        raise InputTypeError(sentence("check_vjp", "a real array as output", "none", remedy))
    assert refused is not None
    raise refused


def _shapes(where: str, function: Split, arguments: Arguments) -> Leaves:
    shapes = attempt(lambda: jax.eval_shape(function, arguments.leaves, arguments.others))
    if not isinstance(shapes, Raised):
        return shapes
    if isinstance(shapes.error, InputError):  # says what is wrong
        raise shapes.error
    given = ", ".join(sorted({str(leaf.dtype) for leaf in arguments.leaves}))
    remedy = "call it on them; dtype=None leaves every array its own dtype"
    expects = f"a function that runs on these arguments in {given}"
    raise InputError(sentence(where, expects, first_line(shapes.error), remedy)) from shapes.error


def _same_outputs(outputs: Leaves, reference: Leaves) -> None:
    expected, got = ([f"{y.dtype}[{','.join(map(str, y.shape))}]" for y in ys] for ys in (outputs, reference))
    if expected != got:
        remedy = "give a function of the same arguments with the same outputs"
        raise InputTypeError(sentence("reference", ", ".join(expected), ", ".join(got) or "no real output", remedy))


def _differentiable(witness: Split, *call: Any) -> Split | None:
    """The witness, if autodiff can go through it; for a while loop, a callback or a kernel differences must do."""
    shapes = attempt(lambda: jax.eval_shape(lambda *call: pullback(witness, *call), *call))
    return None if isinstance(shapes, Raised) else witness
