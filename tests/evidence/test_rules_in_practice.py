"""Right rules of practice raise no alarm; those that differ on purpose fail, and the note asks for a reference."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivative_rules import rule
from jax import lax
from jax.custom_derivatives import SymbolicZero
from marks import slow_except

from jaxmlp.evidence.vjp_check.check_vjp import check_vjp
from jaxmlp.evidence.vjp_check.rule_under_test import Failure, attempt, jax_limit

RNG = np.random.default_rng(11)


def normal(*shape):
    return RNG.normal(size=shape)


def symmetric(n):
    M = normal(n, n)
    return M @ M.T + np.eye(n)


# --- loops and solvers ------------------------------------------------------------------------------------------------


def checkpointed_scan(W, xs):
    cell = rule(
        lambda h, x, W: jnp.tanh(W @ h + x),
        lambda h, x, W: (y := jnp.tanh(W @ h + x), (h, W, y)),
        lambda c, u: (c[1].T @ (d := u * (1 - c[2] ** 2)), d, jnp.outer(d, c[0])),
    )
    step = jax.checkpoint(lambda h, x: (cell(h, x, W),) * 2)
    h, ys = lax.scan(step, jnp.zeros(xs.shape[1], xs.dtype), xs)
    return h, ys.sum(0)


def contraction(p, x):
    return jnp.tanh(0.3 * p["W"] @ x + p["b"])


def iterate(step, x):
    """The fixed point of `step`."""
    return lax.while_loop(lambda c: jnp.abs(c[0] - c[1]).max() > 1e-13, lambda c: (step(c[0]), c[0]), (step(x), x))[0]


def fixed_point_backward(c, u):
    p, x = c
    _, by_x = jax.vjp(lambda x: contraction(p, x), x)
    _, by_p = jax.vjp(lambda p: contraction(p, x), p)
    return by_p(iterate(lambda w: u + by_x(w)[0], u))[0], jnp.zeros_like(x)


fixed_point = rule(
    lambda p, x: iterate(lambda x: contraction(p, x), x),
    lambda p, x: (y := iterate(lambda x: contraction(p, x), x), (p, y)),
    fixed_point_backward,
)


def online_logsumexp(x):
    def step(c, v):
        largest = jnp.maximum(c[0], v)
        return (largest, c[1] * jnp.exp(c[0] - largest) + jnp.exp(v - largest)), None

    (largest, total), _ = lax.scan(step, (jnp.full((), -jnp.inf, x.dtype), jnp.zeros((), x.dtype)), x)
    return largest + jnp.log(total)


def cholesky_solve(A, b):
    return jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(A), b)


def cholesky_solve_backward(c, u):
    w = cholesky_solve(c[0], u)
    g = -jnp.outer(w, c[1])
    return (g + g.T) / 2, w


def recurrence(a, x, *, reverse=False):
    return lax.associative_scan(lambda l, r: (l[0] * r[0], r[0] * l[1] + r[1]), (a, x), reverse=reverse)[1]


def recurrence_backward(c, u):
    a, h = c
    g = recurrence(jnp.concatenate([a[1:], jnp.zeros_like(a[:1])]), u, reverse=True)
    return g * jnp.concatenate([jnp.zeros_like(h[:1]), h[:-1]]), g


# --- linear algebra ---------------------------------------------------------------------------------------------------


@jax.custom_jvp
def determinant(A):
    return jnp.linalg.det(A)


determinant.defjvp(
    lambda p, t: (y := determinant(*p), y * jnp.trace(jnp.linalg.solve(p[0], t[0])))  # no bfloat16 in LAPACK
)


def eigenvalues(A):
    return jnp.linalg.eigvalsh((A + A.T) / 2)


def convolve(x, k):
    return jnp.fft.irfft(jnp.fft.rfft(x) * jnp.fft.rfft(k), n=x.shape[-1])


def convolve_backward(c, u):
    U = jnp.fft.rfft(u)
    return tuple(jnp.fft.irfft(U * jnp.conj(other), n=u.shape[-1]) for other in c)


# --- arguments and outputs --------------------------------------------------------------------------------------------


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def by_name(name, x):
    return jnp.maximum(x, 0) ** 2 if name == "relu squared" else jnp.tanh(x)


by_name.defvjp(lambda name, x: (by_name(name, x), x), lambda name, x, u: (2 * u * jnp.maximum(x, 0),))


class Moments(NamedTuple):
    """Mean, variance and number of rows."""

    mean: jax.Array
    variance: jax.Array
    rows: jax.Array


def standardised(x):
    return 2 * x, Moments(x.mean(0), x.var(0), jnp.int32(x.shape[0]))


def standardised_backward(x, u):
    by_variance = 2 * u[1].variance * (x - x.mean(0))
    return (2 * u[0] + (u[1].mean + by_variance) / x.shape[0],)


def normed(x, g):
    return x * lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-6) * g


def normed_backward(c, u):
    x, g = c
    r, w = lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-6), u * g
    return r * w - x * r**3 * (w * x).mean(-1, keepdims=True), (u * x * r).sum(0)


rms_norm = rule(normed, lambda x, g: (normed(x, g), (x, g)), normed_backward)


def product_tangent(p, t):
    x, y = p
    tangent = jnp.zeros_like(x)
    if not isinstance(t[0], SymbolicZero):
        tangent += jnp.cos(x) * y * t[0]
    if not isinstance(t[1], SymbolicZero):
        tangent += jnp.sin(x) * t[1]
    return jnp.sin(x) * y, tangent


sine_product = jax.custom_jvp(lambda x, y: jnp.sin(x) * y)
sine_product.defjvp(product_tangent, symbolic_zeros=True)


def dropped(x, key):
    return jnp.where(jax.random.bernoulli(key, 0.7, x.shape), x / 0.7, 0)


def affine(p, x):
    return x @ p["W"] if p["b"] is None else x @ p["W"] + p["b"]


def with_state(p, x, state):
    return jnp.sin(x * p["w"]), state


def with_state_backward(c, u):
    p, x = c
    d = u[0] * jnp.cos(x * p["w"])
    return {"w": (d * x).sum(), "extra": (), "statistics": {}}, d * p["w"], ()


def report(x):
    return {"loss": (x * x).sum(), "more": {"place": jnp.argmax(x), "mean": x.mean()}}


RIGHT = {
    "checkpointed scan": (checkpointed_scan, normal(3, 3), normal(6, 3)),
    "fixed point": (fixed_point, {"W": 0.5 * normal(4, 4), "b": normal(4)}, np.zeros(4)),
    "online logsumexp": (
        rule(
            online_logsumexp,
            lambda x: (y := online_logsumexp(x), (x, y)),
            lambda c, u: (u * jnp.exp(c[0] - c[1]),),
        ),
        normal(9),
    ),
    "Cholesky solve": (
        rule(cholesky_solve, lambda A, b: (x := cholesky_solve(A, b), (A, x)), cholesky_solve_backward),
        symmetric(3),
        normal(3),
    ),
    "linear recurrence": (
        rule(recurrence, lambda a, x: (h := recurrence(a, x), (a, h)), recurrence_backward),
        RNG.random((6, 2)),
        normal(6, 2),
    ),
    "determinant": (determinant, normal(3, 3)),
    "eigenvalues": (
        rule(eigenvalues, lambda A: tuple(jnp.linalg.eigh((A + A.T) / 2)), lambda V, u: ((V * u) @ V.T,)),
        symmetric(4),
    ),
    "convolution by FFT": (
        rule(convolve, lambda x, k: (convolve(x, k), (jnp.fft.rfft(k), jnp.fft.rfft(x))), convolve_backward),
        normal(8),
        normal(8),
    ),
    "Fourier transform of complex numbers": (
        rule(lambda z: jnp.fft.fft(z), lambda z: (jnp.fft.fft(z), None), lambda _, u: (jnp.fft.fft(u),)),
        normal(6) + 1j * normal(6),
    ),
    "name of an activation": (by_name, "relu squared", normal(5)),
    "named tuple with a whole number": (
        rule(standardised, lambda x: (standardised(x), x), standardised_backward),
        normal(4, 3),
    ),
    "dictionary with a place": (
        rule(
            report,
            lambda x: (report(x), x),
            lambda x, u: (2 * x * u["loss"] + u["more"]["mean"] / x.size,),
        ),
        normal(5),
    ),
    "no rows": (rms_norm, np.zeros((0, 3)), normal(3)),
    "no axes": (rule(lambda x: x**3, lambda x: (x**3, x), lambda x, u: (3 * x**2 * u,)), 0.7),
    "symbolic zeros": (sine_product, normal(3), normal(3)),
    "key": (
        rule(dropped, lambda x, key: (dropped(x, key), key), lambda key, u: (dropped(u, key), None)),
        normal(8),
        jax.random.key(3),
    ),
    "None among parameters": (
        rule(
            affine,
            lambda p, x: (affine(p, x), (p, x)),
            lambda c, u: ({"W": c[1].T @ u, "b": None}, u @ c[0]["W"].T),
        ),
        {"W": normal(3, 2), "b": None},
        normal(4, 3),
    ),
    "empty tuples": (
        rule(with_state, lambda p, x, s: (with_state(p, x, s), (p, x)), with_state_backward),
        {"w": 1.3, "extra": (), "statistics": {}},
        normal(4),
        (),
    ),
    "ties of a maximum": (
        rule(
            lambda x: x.max(),
            lambda x: (x.max(), x == x.max()),
            lambda ties, u: (jnp.where(ties, u / ties.sum().astype(u.dtype), 0),),
        ),
        np.array([1.0, 3.0, 3.0, -1.0]),
    ),
    "whole numbers of 8 bits": (
        rule(
            lambda x, q, s: x @ (q.astype(x.dtype) * s),
            lambda x, q, s: (x @ (q.astype(x.dtype) * s), (x, q, s)),
            lambda c, u: (
                u @ (c[1].astype(u.dtype) * c[2]).T,
                None,
                ((c[0].T @ u) * c[1].astype(u.dtype)).sum(0),
            ),
        ),
        normal(2, 3),
        RNG.integers(-127, 127, (3, 4)).astype(np.int8),
        RNG.random(4) / 100,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RIGHT)
def test_a_right_rule_of_practice_raises_no_alarm(name):
    space = {"A": "positive definite"} if name == "Cholesky solve" else None
    # practice relies on JAX's default promotions
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        certificate = check_vjp(*RIGHT[name], space=space)
    assert certificate.passed, str(certificate)


def test_linear_algebra_in_bfloat16_is_a_limit_of_jax():
    half = jnp.eye(3, dtype=jnp.bfloat16)
    solution = attempt(lambda: jax.jit(jnp.linalg.solve)(half, half))
    assert isinstance(solution, Failure)
    # LAPACK's limit before JAX 0.12, that of the primitive since
    assert jax_limit(solution.error) in ("JAX has no linear algebra in bfloat16", "JAX has no lu in bfloat16")


# --- on purpose -------------------------------------------------------------------------------------------------------


def hard_one_hot(x):
    soft = jax.nn.softmax(2 * x)
    hard = jax.nn.one_hot(jnp.argmax(x), x.shape[0], dtype=x.dtype)
    return hard + soft - lax.stop_gradient(soft)


ON_PURPOSE = {
    "rounding": (rule(lambda x: jnp.round(x), lambda x: (jnp.round(x), None), lambda _, u: (u,)), lambda x: x),
    "scaling": (rule(lambda x: x, lambda x: (x, None), lambda _, u: (0.1 * u,)), lambda x: 0.1 * x),
    "Gumbel softmax": (hard_one_hot, lambda x: jax.nn.softmax(2 * x)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", slow_except(ON_PURPOSE, "scaling"))
def test_a_rule_that_differs_on_purpose_needs_its_reference(name):
    f, gradient_of = ON_PURPOSE[name]
    x = normal(5)
    failures = check_vjp(f, x).failures
    assert failures
    assert any("give reference" in row.note for row in failures if row.check == "gradient"), failures

    def reference(x):  # the value of f with the intended gradient
        return lax.stop_gradient(f(x) - gradient_of(x)) + gradient_of(x)

    certificate = check_vjp(f, x, reference=reference)
    assert certificate.passed, str(certificate)
