"""Types and costs: what comes back for every kind of argument, in every precision, and what it takes.

    cotangent of a real array              the shape and the dtype of that array; JAX lets a wrong dtype pass
    cotangent of what is not real          nothing: see `cotangents`
    float32, bfloat16                      the same dtype back, and G of float64 to the digits that are left
    residuals                              bytes kept from forward to backward, the arguments themselves not counted
    FLOPs                                  of forward and backward together, as XLA counts them

The last row asks the same of the rules that JAX is writing anew (`JAX_CUSTOM_VJP3=1`, jax-ml/jax#34548).
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from jaxmlp.evidence.certificate import Row, judge
from jaxmlp.evidence.vjp.arguments import Leaves, Split, splitted
from jaxmlp.evidence.vjp.bench import (
    TOLERANCES,
    Bench,
    Raised,
    ask,
    attempt,
    compare,
    compiled_pullback,
    first_line,
    held,
    pullback,
    relative_differences,
)
from jaxmlp.evidence.vjp.cotangents import cotangent_rows
from jaxmlp.evidence.vjp.doubt import product_scale

COSTLY = 4.0  # times autodiff's cost: worth a word


def type_rows(bench: Bench) -> Iterator[Row]:
    """Types, precisions, costs, and the rules to come."""
    yield from ask("dtype of the cotangent", "", "its argument", lambda: _dtypes(bench))
    yield from ask("cotangent of what is not real", "", "None", lambda: cotangent_rows(bench))
    for dtype in ("float32", "bfloat16"):
        yield from ask(f"in {dtype}", "", "float64", lambda dtype=dtype: [_precision(bench, dtype)])
    yield from ask("residuals", "", "autodiff", lambda: _residuals(bench))
    yield from ask("FLOPs", "", "autodiff", lambda: _flops(bench))
    yield _future(bench)


# --- types ------------------------------------------------------------------------------------------------------------


def _dtypes(bench: Bench) -> Iterator[Row]:
    _, gradients = bench.gradient(*bench.point, bench.cotangent)
    for name, leaf, gradient in zip(bench.arguments.names, bench.arguments.leaves, gradients, strict=True):
        got, expected = (gradient.shape, gradient.dtype), (leaf.shape, leaf.dtype)
        note = "" if got == expected else f"{_written(got)} for an argument {_written(expected)}"
        yield Row("dtype of the cotangent", name, "its argument", None, None, "FAIL" if note else "PASS", note)


def _written(kind: tuple[Any, Any]) -> str:
    return f"{kind[1]}[{','.join(map(str, kind[0]))}]"


def _precision(bench: Bench, dtype: str) -> Row:
    """G in few digits against G in many at the same rounded arguments; no worse than autodiff is."""
    leaves, others = bench.point
    if "while" in held(bench):
        note = f"holds a while loop, which may never meet its tolerance in {dtype}"
        return Row(f"in {dtype}", "", "float64", None, None, "UNDECIDED", note)
    low = tuple(np.asarray(x).astype(jnp.dtype(dtype)) for x in leaves)
    exact = tuple(x.astype(leaf.dtype) for x, leaf in zip(low, leaves, strict=True))
    bound, floor = TOLERANCES[low[0].dtype.itemsize]

    def worst(f: Split) -> tuple[float, Leaves]:
        u = tuple(c.astype(y.dtype) for c, y in zip(bench.cotangent, jax.eval_shape(f, low, others), strict=True))
        u_exact = tuple(c.astype(full.dtype) for c, full in zip(u, bench.cotangent, strict=True))
        got = compiled_pullback(f, low, others, u)[1]
        outputs, expected = bench.gradient(exact, others, u_exact)
        digits = 64 * float(jnp.finfo(dtype).eps) * product_scale(u_exact, outputs)
        zero = [float(np.max(np.abs(e), initial=0.0)) <= n for e, n in zip(expected, bench.noise[1], strict=True)]
        return float(np.max(relative_differences(got, expected, floor, [digits * z for z in zero]))), got

    answer = attempt(lambda: worst(bench.f))
    if isinstance(answer, Raised):  # the function, or the rule?
        if not _lacks(bench, low, others):
            raise answer.error
        return Row(f"in {dtype}", "", "float64", None, None, "UNSUPPORTED", first_line(answer.error))
    found, got = answer
    wrong = [f"d{name} is {g.dtype}" for name, g in zip(bench.arguments.names, got, strict=True) if g.dtype != dtype]
    if wrong:
        return Row(f"in {dtype}", "", "float64", found, bound, "FAIL", "; ".join(wrong))
    if found > bound and bench.witness is not None:
        bound = max(bound, 4 * worst(bench.witness)[0])
    return judge(f"in {dtype}", "", "float64", found, bound)


def _lacks(bench: Bench, low: Leaves, others: Leaves) -> bool:
    """Whether the function itself, or autodiff of it, does not exist in this dtype."""

    def forward_and_back() -> None:
        outputs = jax.jit(bench.f)(low, others)
        if bench.witness is not None:
            compiled_pullback(bench.witness, low, others, outputs)

    return isinstance(attempt(forward_and_back), Raised)


# --- costs ------------------------------------------------------------------------------------------------------------


def _residuals(bench: Bench) -> Iterator[Row]:
    if bench.witness is not None:
        yield _cost("residuals", "B", *(residual_bytes(f, *bench.point) for f in (bench.f, bench.witness)))


def residual_bytes(f: Split, leaves: Leaves, others: Leaves) -> float:
    """Bytes that the pullback of f keeps beside the arguments.

    >>> residual_bytes(lambda x, k: (jnp.sin(x[0]),), (jnp.ones(3, jnp.float32),), ())    # cos x
    12.0
    """
    closed = jax.make_jaxpr(lambda x, k: jax.tree.leaves(jax.vjp(lambda *x: f(x, k), *x)[1]))(leaves, others)
    given = {id(v) for v in closed.jaxpr.invars}
    kept: dict[int, Any] = {
        id(v): v.aval for v in closed.jaxpr.outvars if id(v) not in given and not isinstance(v, core.Literal)
    }
    return float(sum(aval.size * aval.dtype.itemsize for aval in kept.values()))


def _flops(bench: Bench) -> Iterator[Row]:
    if bench.witness is None:
        return
    counts = [_counted(f, bench) for f in (bench.f, bench.witness)]
    if None in counts:
        yield Row("FLOPs", "", "autodiff", None, None, "UNDECIDED", "this backend does not count them")
    else:
        yield _cost("FLOPs", "", *(count or 0.0 for count in counts))


def _counted(f: Split, bench: Bench) -> float | None:
    analysis: Any = compiled_pullback.lower(f, *bench.point, bench.cotangent).compile().cost_analysis()
    return analysis.get("flops") if isinstance(analysis, dict) else None


def _cost(check: str, unit: str, ours: float, autodiff: float) -> Row:
    note = f"{ours:.6g}{unit} against {autodiff:.6g}{unit}"
    if ours > COSTLY * max(autodiff, 64.0):
        return Row(check, "", "autodiff", None, None, "UNDECIDED", f"{note}: is that meant?")
    return Row(check, "", "autodiff", None, None, "PASS", note)


# --- the rules to come ------------------------------------------------------------------------------------------------


def _future(bench: Bench) -> Row:
    check = "with JAX_CUSTOM_VJP3=1", "", "the rule by itself"
    if not hasattr(jax.config, "jax_custom_vjp3"):
        return Row(*check, None, None, "UNSUPPORTED", f"JAX {jax.__version__} is older than jax-ml/jax#34548")
    with _flag("jax_custom_vjp3"):
        rule = _made_again(bench.rule)
        if rule is None:
            note = "this JAX reads it when a rule is made: set it before the import"
            return Row(*check, None, None, "UNDECIDED", note)
        f = splitted(rule, bench.arguments.join)
        got = attempt(lambda: jax.jit(lambda x, k, u: pullback(f, x, k, u))(*bench.point, bench.cotangent))
        if isinstance(got, Raised):  # experimental: an error here may be JAX's
            return Row(*check, None, None, "UNDECIDED", first_line(got.error))
    return compare(*check, got, bench.gradient(*bench.point, bench.cotangent), bench)


def _made_again(rule: Any) -> Callable[..., Any] | None:
    """The rule as it would be under the flag: JAX before 0.11 chooses its implementation when the rule is made."""
    if isinstance(rule, functools.partial):
        inner = _made_again(rule.func)
        return None if inner is None else functools.partial(inner, *rule.args, **rule.keywords)
    if "__new__" not in vars(jax.custom_vjp):
        return rule  # chosen at every call
    if not isinstance(rule, jax.custom_vjp) or rule.fwd is None or rule.bwd is None:
        return None
    again = jax.custom_vjp(rule.fun, nondiff_argnums=rule.nondiff_argnums)
    again.defvjp(rule.fwd, rule.bwd, symbolic_zeros=rule.symbolic_zeros, optimize_remat=rule.optimize_remat)
    return again


@contextmanager
def _flag(name: str) -> Iterator[None]:
    before = getattr(jax.config, name)
    jax.config.update(name, True)
    try:
        yield
    finally:
        jax.config.update(name, before)
