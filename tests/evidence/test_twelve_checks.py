"""Each check of check_vjp finds a fault that the others do not see."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivative_rules import rule

from jaxmlp.errors import InputError
from jaxmlp.evidence.vjp_check.check_vjp import check_vjp

RNG = np.random.default_rng(11)
X = RNG.uniform(0.5, 1.5, size=3)
MATRIX = RNG.normal(size=(3, 3))
SYMMETRIC = (MATRIX + MATRIX.T) / 2 + 3 * np.eye(3)


def failed(report):
    return {row.check for row in report.failures}


def row_of(report, check):
    return next(row for row in report.rows if row.check == check)


# --- 1: tangent spaces ------------------------------------------------------------------------------------------------


def log_det(A):
    return jnp.linalg.slogdet(A)[1]


def gradient_of_log_det(share):
    """The gradient for symmetric A, stored in the lower triangle: `share` is what an off-diagonal entry gets."""

    def backward(A, u):
        inverse = jnp.linalg.inv(A)
        return (u * (jnp.tril(inverse, -1) * share + jnp.diag(jnp.diag(inverse))),)

    return rule(log_det, lambda A: (log_det(A), A), backward)


@pytest.mark.slow
@pytest.mark.parametrize("space", ["symmetric", "positive definite"])
def test_a_space_judges_the_gradient_along_it_alone(space):
    in_triangle = gradient_of_log_det(2.0)
    report = check_vjp(in_triangle, SYMMETRIC, space=space, time_limit=1.0)
    assert "gradient" not in failed(report), str(report)
    for wrong, where in ((in_triangle, None), (gradient_of_log_det(1.0), {"A": space})):
        assert "gradient" in failed(check_vjp(wrong, SYMMETRIC, space=where, time_limit=1.0))


SPACES = {
    "lower triangular": (lambda L: (jnp.tril(L) @ jnp.ones(3)) ** 2, np.tril(MATRIX)),
    "upper triangular": (lambda U: (jnp.triu(U) @ jnp.ones(3)) ** 2, np.triu(MATRIX)),
    "simplex": (lambda p: -(p * jnp.log(p)).sum(), X / X.sum()),
    "unit norm": (lambda q: (q * q * jnp.arange(3.0)).sum(), X / np.linalg.norm(X)),
    "sorted": (lambda x: jnp.diff(x) ** 2, np.array([0.1, 0.5, 2.0])),
}


@pytest.mark.slow
@pytest.mark.parametrize("space", list(SPACES))
def test_every_space_holds_its_points(space):
    f, x = SPACES[space]
    report = check_vjp(f, x, space=space, time_limit=1.0)
    assert report.passed, str(report)
    with pytest.raises(InputError, match=f"expects a {space} array, got"):
        check_vjp(f, x[::-1] - 5.0, space=space)


def test_mistakes_in_a_space():
    with pytest.raises(InputError, match=r"space expects one of symmetric, .* did you mean 'symmetric'"):
        check_vjp(jnp.sin, X, space="symetric")
    with pytest.raises(InputError, match="space expects arguments among x, got y"):
        check_vjp(lambda x: x, X, space={"y": "sorted"})


# --- 2: cotangents of the user's --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_cotangent_of_the_user():
    # right for the sum of the outputs alone: u is taken for its mean
    f = rule(jnp.sin, lambda x: (jnp.sin(x), x), lambda x, u: (jnp.mean(u) * jnp.cos(x),))
    assert "gradient" in failed(check_vjp(f, X))
    assert "gradient" not in failed(check_vjp(f, X, cotangent=np.ones(3)))
    with pytest.raises(InputError, match=r"cotangent expects arrays of shapes \[\(3,\)\], got \[\(2,\)\]"):
        check_vjp(f, X, cotangent=np.ones(2))


# --- 4: symbolic zeros ------------------------------------------------------------------------------------------------


def two_outputs(x):
    return jnp.sin(x), x**2


def with_symbolic_zeros(first_alone):
    def backward(x, u):
        zero = jax.custom_derivatives.SymbolicZero
        first = jnp.zeros_like(x) if isinstance(u[0], zero) else u[0] * jnp.cos(x)
        if isinstance(u[1], zero):
            return (first_alone * first,)
        return (first + u[1] * 2 * x,)

    return rule(two_outputs, lambda x: (two_outputs(x.value), x.value), backward, symbolic_zeros=True)


@pytest.mark.slow
def test_a_cotangent_that_is_a_symbolic_zero():
    assert check_vjp(with_symbolic_zeros(1.0), X).passed
    assert failed(check_vjp(with_symbolic_zeros(1.01), X)) == {"one output at a time"}


@pytest.mark.slow
def test_an_argument_that_is_not_perturbed():
    def forward(x, y):
        both = x.perturbed and y.perturbed
        return x.value * y.value, (x.value, y.value, 1.0 if both else 1.01)

    def backward(cache, u):
        x, y, factor = cache
        return factor * u * y, factor * u * x

    f = rule(lambda x, y: x * y, forward, backward, symbolic_zeros=True)
    found = failed(check_vjp(f, X, X[::-1].copy()))
    assert "one argument at a time" in found
    assert not found & {"gradient", "under jit", "under scan"}


@pytest.mark.slow
def test_the_gradient_of_a_zero_cotangent():
    def backward(x, u):
        size = jnp.sqrt((u**2).sum())
        return (u / size * size * jnp.cos(x),)

    assert failed(check_vjp(rule(jnp.sin, lambda x: (jnp.sin(x), x), backward), X, time_limit=None)) >= {
        "zero cotangent"
    }


# --- 5 and 6: operators -----------------------------------------------------------------------------------------------


@jax.custom_batching.custom_vmap
def scaled(u, c):
    return u * c


@scaled.def_vmap
def _(size, batched, u, c):
    # right as long as both are batched, or neither
    factor = 1.01 if batched == [True, False] else 1.0
    return factor * (u if batched[0] else u[None]) * (c if batched[1] else c[None]), True


@pytest.mark.slow
def test_several_cotangents_of_one_pullback():
    f = rule(jnp.sin, lambda x: (jnp.sin(x), x), lambda x, u: (scaled(u, jnp.cos(x)),))
    assert failed(check_vjp(f, X)) == {"several cotangents", "jacrev"}


@pytest.mark.slow
def test_a_tangent_rule_is_asked_by_every_operator():
    f = jax.custom_jvp(jnp.sin)
    f.defjvp(lambda p, t: (jnp.sin(*p), jnp.cos(*p) * t[0]))
    report = check_vjp(f, X)
    assert report.passed, str(report)
    assert {"jvp", "jacfwd", "linearize, transposed", "jacrev", "has_aux"} <= {
        row.check for row in report.rows if row.verdict == "PASS"
    }


# --- 7, 8, 9: what a call leaves behind and costs ---------------------------------------------------------------------


@pytest.mark.slow
def test_an_argument_that_f_writes_into():
    def f(x):
        if isinstance(x, np.ndarray):
            x *= 2.0
            return x
        return 2.0 * x

    assert failed(check_vjp(f, X.copy())) == {"inputs unchanged"}


@pytest.mark.slow
def test_a_jit_within_f_compiles_every_time():
    report = check_vjp(lambda x: jax.jit(lambda x: jnp.sin(x) * 2)(x), X)
    assert row_of(report, "compiled once").verdict == "UNDECIDED"
    assert row_of(check_vjp(lambda x: jnp.sin(x) * 2, X), "compiled once").verdict == "PASS"


@pytest.mark.slow
def test_a_gradient_with_the_type_of_a_python_number():
    @jax.custom_gradient
    def f(x, limit):
        return x * 1.0, lambda u: (u, 0.0)

    row = row_of(check_vjp(f, X, 0.5), "weak types")
    assert (row.verdict, row.note.partition(":")[0]) == ("UNDECIDED", "dargs[1] has the type of a Python number")


@pytest.mark.slow
def test_host_calls_are_counted():
    def cosine(x):
        return jax.pure_callback(
            lambda v: np.cos(np.asarray(v)), jax.ShapeDtypeStruct(x.shape, x.dtype), x, vmap_method="expand_dims"
        )

    def often(x, u):
        return (u * sum(cosine(x) for _ in range(5)) / 5,)

    note = row_of(check_vjp(rule(jnp.sin, lambda x: (jnp.sin(x), x), often), X), "host calls and loops").note
    assert note == "5 pure_callback against 0: is that intended?"


# --- 10 and 12: pattern and remainder ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_jacobian_outside_of_its_pattern():
    report = check_vjp(lambda x: x * x[::-1], X, sparsity=np.eye(3))
    assert failed(report) == {"sparsity"}
    assert row_of(report, "sparsity").note.startswith("2 entries outside of it, the first in row 0, column 2")
    assert check_vjp(lambda x: x**2, X, sparsity=np.eye(3)).passed
    with pytest.raises(InputError, match=r"sparsity expects shape \(3, 3\), got \(2, 3\)"):
        check_vjp(lambda x: x**2, X, sparsity=np.eye(2, 3))


@pytest.mark.quick("1.0-orders0")
@pytest.mark.parametrize(("factor", "orders"), [(1.0, ("2.0", "3.0")), (1.001, ("1.0", "1.0"))])
def test_the_order_of_the_remainder(factor, orders):
    f = rule(lambda x: jnp.sin(3 * x), lambda x: (jnp.sin(3 * x), x), lambda x, u: (factor * 3 * u * jnp.cos(3 * x),))
    rows = [row for row in check_vjp(f, X).rows if row.check == "Taylor remainder"]
    assert tuple(row.note.removeprefix("order ")[:3] for row in rows) == orders
    assert {row.verdict for row in rows} == {"PASS" if factor == 1 else "FAIL"}


@pytest.mark.slow
def test_a_hessian_without_its_last_term_loses_an_order():
    # the Hessian of x³ by a rule that holds x fixed: 0 in place of 6 x
    f = rule(lambda x: x**3, lambda x: (x**3, x), lambda x, u: (3 * u * jax.lax.stop_gradient(x) ** 2,))
    rows = [row for row in check_vjp(f, X).rows if row.check == "Taylor remainder"]
    assert [row.verdict for row in rows] == ["PASS", "UNDECIDED"]
    assert rows[1].note == "order 2.00: an error, or a kink at x; the rows of the second order decide"
