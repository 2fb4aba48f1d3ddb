"""check_vjp judges by the function: right rules of every kind pass, and no factor from 0 to 2 passes for a kink."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivative_rules import rule
from marks import slow_except

from jaxmlp.evidence.vjp_check.check_vjp import assert_vjp, check_vjp

RNG = np.random.default_rng(5)


def tangent_rule(fun, derivative):
    """The custom_jvp  t f'(x)."""
    decorated = jax.custom_jvp(fun)
    decorated.defjvp(lambda primals, tangents: (fun(*primals), derivative(*primals) * tangents[0]))
    return decorated


def rows_of(report, check):
    return [row for row in report.rows if row.check == check]


# --- right rules ------------------------------------------------------------------------------------------------------


def implicit(solve, slope):
    """The rule of the implicit function theorem for a root that `solve` finds."""
    f = jax.custom_vjp(solve)
    f.defvjp(lambda a: (r := f(a), r), lambda r, u: (u / slope(r),))
    return f


def cube_root_by_bisection(a):
    def halve(bounds):
        low, high = bounds
        middle = (low + high) / 2
        return jnp.where(middle**3 < a, middle, low), jnp.where(middle**3 < a, high, middle)

    bounds = jnp.zeros_like(a), jnp.full_like(a, 3.0)
    low, high = jax.lax.while_loop(lambda b: jnp.max(b[1] - b[0]) > 1e-6, halve, bounds)
    return (low + high) / 2


def square_root_by_descent(a):
    def step(state):
        x, _ = state
        return x - 0.2 * (x**2 - a), x

    return jax.lax.while_loop(lambda s: jnp.abs(s[0] - s[1]).max() > 1e-5, step, (a / 2, a))[0]


def mean_over_first_axis(_, u):
    total, _ = jax.lax.scan(lambda carry, row: (carry + row.astype(float), None), jnp.zeros(u.shape[1:]), u)
    return ((total[None] + jnp.zeros(u.shape)).astype(u.dtype),)


def cumulative(x):
    return jnp.broadcast_to(x.sum(0)[None], x.shape)


def host_sine(x):
    shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
    return jax.pure_callback(lambda v: np.sin(np.asarray(v)), shape, x, vmap_method="expand_dims")


def host_cosine(x):
    shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
    return jax.pure_callback(lambda v: np.cos(np.asarray(v)), shape, x, vmap_method="expand_dims")


BOOK = RNG.normal(size=(3, 4)).astype(np.float32)


def book(dtype):
    # the norm of the constant is computed in float32, whose last digits depend on the program
    return (jnp.asarray(BOOK) / jnp.sqrt((jnp.asarray(BOOK) ** 2).sum())).astype(dtype)


RIGHT = {
    "indices of NumPy": (
        rule(
            lambda x, k: x[k],
            lambda x, k: (x[k], (k, jnp.zeros_like(x))),
            lambda cache, u: (cache[1].at[cache[0]].add(u[jnp.arange(3)]), None),
        ),
        RNG.normal(size=4),
        np.array([1, 1, 3]),
    ),
    "bisection to 1e-6": (implicit(cube_root_by_bisection, lambda r: 3 * r**2), np.array([1.5, 4.0])),
    "descent to 1e-5": (implicit(square_root_by_descent, lambda r: 2 * r), np.array([1.3, 2.0])),
    "zeros without a dtype": (
        rule(cumulative, lambda x: (cumulative(x), None), mean_over_first_axis),
        RNG.normal(size=(3, 2)),
    ),
    "callback in both passes": (
        rule(host_sine, lambda x: (host_sine(x), x), lambda x, u: (u * host_cosine(x),)),
        RNG.normal(size=300),
    ),
    "constant of float32": (
        rule(lambda x: x @ book(x.dtype), lambda x: (x @ book(x.dtype), None), lambda _, u: (u @ book(u.dtype).T,)),
        RNG.normal(size=(2, 3)),
    ),
    "cancellation": (lambda v: jnp.tanh(1e7 * v) * v**2, np.array([1.3, -2.0])),
    "large angles": (tangent_rule(jnp.sin, jnp.cos), np.array([1e3, -2e4, 1e6])),
    "logarithm near its pole": (tangent_rule(jnp.log, lambda x: 1 / x), np.array([1e-8, 1e-3, 5.0])),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", slow_except(RIGHT, "indices of NumPy", "bisection to 1e-6", "large angles"))
def test_a_right_rule_raises_no_alarm(name):
    report = check_vjp(*RIGHT[name])
    # a callback without vmap_method: f itself has no vmap
    assert not report.failures, str(report)
    assert report.passed, str(report)


@pytest.mark.slow
def test_a_key_of_the_trace_is_no_crash():
    @functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
    def noisy(x, key):
        return x * jax.random.normal(key, x.shape, x.dtype)

    noisy.defjvp(lambda key, p, t: (noisy(p[0], key), t[0] * jax.random.normal(key, p[0].shape, p[0].dtype)))
    report = check_vjp(lambda x: noisy(x, jax.random.key(0)), np.ones(3))
    assert {row.verdict for row in rows_of(report, "gradient")} == {"PASS"}, str(report)


# --- wrong rules ------------------------------------------------------------------------------------------------------


def by_loop(x):
    """sin x through a loop that JAX cannot differentiate in reverse."""
    return jax.lax.while_loop(lambda c: c[1] < 1, lambda c: (jnp.sin(c[0]), c[1] + 1), (x, 0))[0]


@pytest.mark.slow
@pytest.mark.parametrize("factor", [0.0, 1e-3, 0.5, 2.0])
@pytest.mark.parametrize(
    ("fun", "slope", "x"),
    [
        (lambda x: jnp.sin(15 * x), lambda x: 15 * jnp.cos(15 * x), [0.3, 1.0]),
        (jnp.sin, jnp.cos, [100.0, 7e4]),
    ],
    ids=["steep", "far"],
)
def test_no_factor_passes_as_a_kink(fun, slope, x, factor):
    report = check_vjp(tangent_rule(fun, lambda x: factor * slope(x)), np.array(x), points=1)
    rows = [row for row in rows_of(report, "gradient") if row.witness == "central differences"]
    assert [row.verdict for row in rows] == ["FAIL"], str(report)
    expected = "zero everywhere" if factor == 0 else f"{factor:g} times"
    assert expected in rows[0].note


def test_half_of_a_gradient_without_autodiff():
    f = rule(by_loop, lambda x: (by_loop(x), x), lambda x, u: (u * jnp.cos(x) / 2,))
    assert any("0.5 times the correct gradient" in row.note for row in check_vjp(f, np.array([0.4, 90.0])).failures)


@pytest.mark.slow
def test_a_kink_accepts_what_lies_between_its_sides_alone():
    def verdict(at_zero):
        f = tangent_rule(lambda z: jnp.maximum(z, 0), lambda z: jnp.where(z == 0, at_zero, jnp.where(z > 0, 1.0, 0.0)))
        rows = rows_of(check_vjp(f, np.zeros(1)), "gradient")
        return next(row.verdict for row in rows if row.witness == "central differences")

    assert [verdict(at_zero) for at_zero in (0.3, 2.0)] == ["UNDECIDED", "FAIL"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["custom_jvp", "callback"])
def test_one_entry_of_a_thousand(kind):
    x = RNG.uniform(0.5, 1.5, size=1000)

    def slope(x):
        return jnp.cos(x).at[777].multiply(1.01)

    if kind == "custom_jvp":
        f = tangent_rule(jnp.sin, slope)
    else:
        f = rule(by_loop, lambda x: (by_loop(x), x), lambda x, u: (u * slope(x),))
    failed = {(row.check, row.witness) for row in check_vjp(f, x).failures}
    assert ("gradient", "random directions") in failed


@pytest.mark.slow
def test_second_order_of_a_tangent_rule():
    f = tangent_rule(jax.nn.silu, lambda x: jax.grad(lambda v: jax.nn.silu(v).sum())(jax.lax.stop_gradient(x)))
    report = check_vjp(f, np.array([0.3, -1.0]))
    assert {row.check for row in report.failures} == {"reverse over reverse", "forward over reverse"}


def test_nothing_confirmed_is_no_pass():
    report = check_vjp(by_loop, np.ones(3))
    assert not report.failures
    assert not report.passed
    assert "no gradient has been confirmed" in str(report)
    with pytest.raises(AssertionError, match="no gradient has been confirmed"):
        assert_vjp(by_loop, np.ones(3))


@pytest.mark.slow
def test_a_tangent_rule_that_raises_in_float32_fails():
    def slope(x):
        if x.dtype == jnp.float32:
            raise ValueError("float64 only")
        return jnp.cos(x)

    assert {row.check for row in check_vjp(tangent_rule(jnp.sin, slope), np.ones(2)).failures} == {"in float32"}


# --- what a report says -----------------------------------------------------------------------------------------------


def test_two_tables_and_what_was_not_checked():
    report = check_vjp(lambda x: jnp.sin(x), np.ones(2))
    text = str(report)
    assert (
        text.index("  mathematics") < text.index("gradient") < text.index("  contract with JAX") < text.index("FLOPs")
    )
    assert "not checked: with JAX_CUSTOM_VJP3=1" in text or not report.unchecked
    assert {row["table"] for row in report.to_dict()["rows"]} == {"mathematics", "contract"}
    assert len(report.mathematics.rows) + len(report.contract.rows) == len(report.rows)


def test_no_time_is_said():
    report = check_vjp(jnp.sin, np.ones(2), time_limit=0)
    assert report.passed  # the first order is always asked
    assert "time_limit=None asks everything" in report.rows[-1].note


@pytest.mark.slow
def test_a_second_point_finds_a_factor_that_is_1_at_the_first():
    f = rule(lambda w: w**3, lambda w: (w**3, w), lambda w, u: (3 * u * w**3,))
    report = check_vjp(f, np.ones(3))
    assert rows_of(report, "gradient at point 2")[0].verdict == "FAIL"
    assert all(row.verdict == "PASS" for row in rows_of(report, "gradient"))
    assert not rows_of(check_vjp(f, np.ones(3), points=1), "gradient at point 2")
    (row,) = rows_of(check_vjp(f, np.ones(3), points=[(np.full(3, 2.0),)]), "gradient at point 2")
    assert row.note == "w: 2 times the correct gradient"


@pytest.mark.slow
def test_a_domain_holds_the_points():
    f = rule(jnp.arcsin, lambda x: (jnp.arcsin(x), x), lambda x, u: (u / jnp.sqrt(1 - x**2),))
    report = check_vjp(f, np.array([0.1, 0.2]), points=3, domain=(-0.9, 0.9))
    assert [row.verdict for row in report.rows if row.check.startswith("gradient at point")] == ["PASS", "PASS"]
    with pytest.raises(ValueError, match=r"domain expects \(low, high\) with low < high, got \(1, 0\)"):
        check_vjp(f, np.array([0.1]), domain=(1, 0))
