"""check_vjp at its limits: zeros, kinks, what JAX cannot, and what bwd returns that JAX drops."""

import functools
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivative_rules import rule
from marks import slow_except

from jaxmlp.errors import InputError, InputTypeError
from jaxmlp.evidence.vjp_check import difference_rows, purity
from jaxmlp.evidence.vjp_check.check_vjp import check_vjp

RNG = np.random.default_rng(2)


def elementwise(fun, derivative):
    """The rule u f'(x)."""
    return rule(fun, lambda x: (fun(x), x), lambda x, u: (u * derivative(x),))


def rows_of(report, check, where=None):
    return [row for row in report.rows if row.check == check and where in (None, row.where)]


def failed(report):
    return {row.check for row in report.failures}


# --- a true zero ------------------------------------------------------------------------------------------------------


def textbook_sigmoid(z):
    return 1 / (1 + jnp.exp(-z))


def normalized(x):
    return ((x - x.mean()) / jnp.sqrt(x.var() + 1e-5)).sum()


ZEROS = {
    "tanh at 0": (jnp.tanh, jnp.zeros(4)),
    "sigmoid at 0": (
        rule(
            textbook_sigmoid,
            lambda z: (textbook_sigmoid(z),) * 2,
            lambda a, u: (u * a * (1 - a),),
        ),
        np.zeros(3),
    ),
    "a saturated sigmoid": (
        rule(
            textbook_sigmoid,
            lambda z: (textbook_sigmoid(z),) * 2,
            lambda a, u: (u * a * (1 - a),),
        ),
        np.array([40.0, 50.0]),
    ),
    "log exp": (lambda x: jnp.log(jnp.exp(x)), RNG.normal(size=4)),
    "log exp with its rule": (
        rule(lambda x: jnp.log(jnp.exp(x)), lambda x: (jnp.log(jnp.exp(x)), None), lambda _, u: (u,)),
        RNG.normal(size=4),
    ),
    "saturated softplus": (elementwise(lambda x: jnp.log1p(jnp.exp(x)), jax.nn.sigmoid), np.array([40.0, 50.0])),
    "softplus where 1 - a is rounding": (
        elementwise(lambda x: jnp.log1p(jnp.exp(x)), jax.nn.sigmoid),
        np.array([36.0, 37.0]),
    ),
    "sum of softmax": (lambda x: jax.nn.softmax(x).sum(), RNG.normal(size=5)),
    "sum of the normalized": (normalized, RNG.normal(size=6)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", slow_except(ZEROS, "tanh at 0", "a saturated sigmoid"))
def test_a_true_zero_is_no_alarm(name):
    report = check_vjp(*ZEROS[name])
    assert report.passed, str(report)


@pytest.mark.slow
@pytest.mark.parametrize("scale", slow_except([1.0, 1e-20], 1e-20))
def test_small_is_not_zero(scale):
    f = elementwise(lambda x: scale * jnp.sin(x), lambda x: 1.001 * scale * jnp.cos(x))
    assert "gradient" in failed(check_vjp(f, np.zeros(3)))
    f = elementwise(lambda x: scale * jnp.sin(x), lambda x: scale * jnp.cos(jax.lax.stop_gradient(x)))
    assert "reverse over reverse" in failed(check_vjp(f, np.array([0.3])))


@pytest.mark.slow
def test_a_gradient_where_there_is_none():
    f = rule(lambda x: jax.nn.softmax(x).sum(), lambda x: (jax.nn.softmax(x).sum(), x), lambda x, u: (1e-6 * u * x,))
    report = check_vjp(f, RNG.normal(size=5))
    assert ("gradient", "autodiff") in {(row.check, row.witness) for row in report.failures}


@pytest.mark.slow
def test_a_wrong_rule_beside_a_large_constant():
    f = elementwise(lambda x: 1e10 + x, lambda x: jnp.full_like(x, 1.001))
    assert ("gradient", "autodiff") in {(row.check, row.witness) for row in check_vjp(f, np.ones(2)).failures}


@pytest.mark.slow
def test_differences_of_a_large_constant():
    assert check_vjp(lambda x: 1e8 + x, np.array([1.0])).passed
    (row,) = [row for row in check_vjp(lambda x: 1e12 + x, np.ones(1)).rows if row.witness == "central differences"]
    assert row.verdict == "UNDECIDED"
    assert row.note.startswith("rounding gives differences an error of ")


# --- kinks, NaN, nothing ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_subgradient_at_a_kink_is_undecided():
    step = elementwise(lambda z: jnp.maximum(z, 0), lambda z: jnp.where(z > 0, 1.0, 0.0))
    for f in (step, elementwise(jnp.abs, jnp.sign)):
        report = check_vjp(f, np.array([0.0, 1.0, -1.0]))
        assert report.passed, str(report)
    notes = {row.witness: row.note for row in rows_of(check_vjp(step, np.array([0.0, 1.0])), "gradient")}
    assert set(notes.values()) == {"1 entries at a kink: undecided"}
    row = rows_of(check_vjp(step, np.zeros(2)), "gradient")[0]
    assert (row.verdict, row.note) == ("UNDECIDED", "every entry is at a kink")


@pytest.mark.slow
def test_a_kink_hides_no_fault():
    beside = elementwise(lambda z: jnp.maximum(z, 0), lambda z: jnp.where(z > 0, 1.001, 0.0))
    assert "gradient" in failed(check_vjp(beside, np.array([0.0, 1.0, -1.0])))
    squared = elementwise(lambda z: jnp.maximum(z, 0) ** 2, lambda z: 2 * jnp.where(z > 0, z, 0.0))
    assert check_vjp(squared, np.array([0.0, 1.0, -1.0])).passed  # its second derivative has the kink
    far_out = elementwise(lambda z: jnp.maximum(z, 0), lambda z: jnp.where(z > 0, 1.0, jnp.where(z < 0, 0.0, 7.0)))
    assert "gradient" in failed(check_vjp(far_out, np.array([0.0, 1.0, -1.0])))
    at_a_step = elementwise(lambda z: jnp.clip(z, 0, 1), lambda z: jnp.where((z > 0) & (z < 1), 1.001, 0.0))
    assert "gradient" in failed(check_vjp(at_a_step, np.array([1.0, 0.5])))


@pytest.mark.slow
def test_a_witness_that_is_not_finite():
    def norm(x):
        return jnp.sqrt((x**2).sum())

    f = rule(norm, lambda x: (norm(x), x), lambda x, u: (u * x / jnp.where(norm(x) > 0, norm(x), 1.0),))
    report = check_vjp(f, np.zeros(3))
    assert report.passed, str(report)
    row = rows_of(report, "gradient")[0]
    assert (row.verdict, row.note) == ("UNDECIDED", "the witness is not finite here: autodiff gives NaN or infinity")

    roots = elementwise(jnp.sqrt, lambda x: jnp.where(x > 0, 0.501 / jnp.sqrt(jnp.where(x > 0, x, 1.0)), 0.0))
    row = rows_of(check_vjp(roots, np.array([0.0, 1.0])), "gradient")[0]
    assert row.verdict == "FAIL"  # infinity in one entry does not cover the other


@pytest.mark.slow
def test_a_rule_without_a_value():
    f = elementwise(jnp.sin, lambda x: jnp.cos(x) / jnp.where(x > 0, 1.0, 0.0))
    row = rows_of(check_vjp(f, np.array([-1.0, 1.0])), "gradient")[0]
    assert (row.verdict, row.note) == ("FAIL", "1 of 2 entries are not finite")


@pytest.mark.slow
def test_zero_expected_and_something_there():
    f = rule(lambda x, y: jnp.round(x) * y, lambda x, y: (jnp.round(x) * y, (x, y)), lambda c, u: (u * c[1], 2 * u))
    rows = [row for row in rows_of(check_vjp(f, 1.3, 2.0), "gradient") if row.witness == "autodiff"]
    assert [(row.where, row.verdict) for row in rows] == [("x", "FAIL"), ("y", "FAIL")]
    assert rows[0].note.startswith("the derivative is 0 everywhere, got up to ")
    assert rows[1].note == "2 times the correct gradient"


@pytest.mark.slow
def test_arrays_without_an_entry():
    assert check_vjp(jnp.sin, np.zeros((0, 3))).passed
    assert check_vjp(lambda x, y: x.sum() + jnp.sin(y), np.zeros((0, 3)), np.ones(2)).passed


# --- what JAX cannot --------------------------------------------------------------------------------------------------


def shared(p, x):
    return p * x, p.sum()


@pytest.mark.slow
def test_an_output_that_the_members_of_a_batch_share():
    def backward(cache, u):
        p, x = cache
        return u[0] * x + u[1], u[0] * p

    report = check_vjp(rule(shared, lambda p, x: (shared(p, x), (p, x)), backward), np.ones(3), RNG.normal(size=3))
    assert report.passed, str(report)
    (row,) = rows_of(report, "grad of vmap", "over x")
    assert row.verdict == "UNSUPPORTED"
    assert row.note.startswith("the members share an output")
    assert rows_of(report, "grad of vmap", "over p")[0].verdict == "PASS"


@pytest.mark.slow
def test_a_shared_output_hides_no_fault():
    def total(x):
        return jax.pure_callback(lambda x: np.broadcast_to(x.sum(), x.shape), x, x, vmap_method="broadcast_all")

    def f(p, x):
        return 0.5 * (p * x).sum() ** 2, p.sum()

    def backward(cache, u):
        p, x = cache
        inner = total(p * x) * u[0]
        return inner * x + u[1], inner * p

    report = check_vjp(rule(f, lambda p, x: (f(p, x), (p, x)), backward), np.ones(3), RNG.normal(size=3))
    assert rows_of(report, "grad of vmap", "over x")[0].verdict == "FAIL"


@pytest.mark.slow
def test_what_cannot_be_differentiated_twice():
    def forward(x):
        return jnp.sin(x), x

    f = rule(jnp.sin, forward, lambda x, u: (u * jnp.cos(x),), optimize_remat=True)
    report = check_vjp(f, np.array([0.5]))
    assert report.passed, str(report)
    (row,) = rows_of(report, "reverse over reverse")
    assert row.verdict == "UNSUPPORTED"
    assert "optimize_remat (jax-ml/jax#22735)" in row.note


@pytest.mark.slow
def test_a_function_that_does_not_exist_in_bfloat16():
    A = RNG.normal(size=(3, 3)) + 3 * np.eye(3)
    report = check_vjp(jnp.linalg.solve, A, RNG.normal(size=3))
    assert report.passed, str(report)
    assert rows_of(report, "in bfloat16")[0].verdict == "UNSUPPORTED"


@pytest.mark.slow
def test_a_rule_that_alone_raises_in_bfloat16():
    def backward(x, u):
        if x.dtype == jnp.bfloat16:
            raise TypeError("this rule knows float32 and float64")
        return (u * jnp.cos(x),)

    f = rule(jnp.sin, lambda x: (jnp.sin(x), x), backward)
    assert failed(check_vjp(f, np.ones(2))) == {"in bfloat16"}


# --- arguments that are not real --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_wrong_under_vmap_over_a_single_whole_number():
    @jax.custom_batching.custom_vmap
    def place(u, z, i):
        return jnp.zeros_like(z).at[i].set(u)

    @place.def_vmap
    def _(size, batched, u, z, i):
        i = jnp.broadcast_to(i[0], (size,)) if batched[2] else jnp.broadcast_to(i, (size,))
        u, z = (a if b else jnp.broadcast_to(a, (size, *a.shape)) for a, b in zip((u, z), batched[:2], strict=True))
        return jax.vmap(lambda u, z, i: jnp.zeros_like(z).at[i].set(u))(u, z, i), True

    f = rule(lambda z, i: z[i], lambda z, i: (z[i], (z, i)), lambda c, u: (place(u, c[0], c[1]), None))
    found = failed(check_vjp(f, RNG.normal(size=4), np.array(1)))
    assert {"vmap of grad", "grad of vmap"} <= found


@pytest.mark.slow
def test_real_zeros_have_neighbours():
    f = rule(lambda x: x**2, lambda x: (x**2, x), lambda x, u: (2 * u * jnp.where(is_batched(x), 0.0, x),))
    assert "vmap of grad" in failed(check_vjp(f, np.zeros(2)))


@jax.custom_batching.custom_vmap
def is_batched(x):
    return jnp.zeros(x.shape, bool)


@is_batched.def_vmap
def _(size, batched, x):
    return jnp.ones(x.shape, bool), True


def times(x, k):
    return x * k.astype(x.dtype)


@pytest.mark.slow
def test_something_for_a_whole_number_array():
    k = np.arange(3)
    answers = {"u * x": lambda x, k, u: u * x, "zeros": lambda x, k, u: jnp.zeros_like(k), "None": lambda *_: None}
    for name, answer in answers.items():
        f = rule(
            times,
            lambda x, k: (times(x, k), (x, k)),
            lambda c, u, answer=answer: (times(u, c[1]), answer(*c, u)),
        )
        for g in (f, functools.partial(f, k=k)):
            report = check_vjp(g, np.ones(3), *([k] if g is f else []))
            rows = rows_of(report, "whole-number argument", "k")
            assert [row.verdict for row in rows] == ["PASS" if name == "None" else "FAIL"]
        if name != "None":
            assert rows[0].note.endswith("which JAX drops: return None")
            assert failed(report) == {"whole-number argument"}


@pytest.mark.slow
def test_float0_for_a_whole_number_array():
    def backward(k, u):
        return times(u, k), np.zeros(k.shape, jax.dtypes.float0)

    f = rule(times, lambda x, k: (times(x, k), k), backward)
    assert rows_of(check_vjp(f, np.ones(3), np.arange(3)), "whole-number argument")[0].verdict == "PASS"


@pytest.mark.slow
def test_something_for_none():
    for wrong in (False, True):

        def backward(cache, u, wrong=wrong):
            return u, {"mask": u if wrong else None, "scale": u * 0}, u if wrong else None

        f = rule(lambda x, options, key: x, lambda x, options, key: (x, None), backward)
        report = check_vjp(f, np.ones(2), {"mask": None, "scale": np.ones(2)}, None)
        rows = rows_of(report, "None argument")
        assert [row.where for row in rows] == ["options['mask']", "key"]
        assert {row.verdict for row in rows} == {"FAIL" if wrong else "PASS"}


@pytest.mark.slow
def test_a_rule_inside_is_not_asked_about_none():
    f = rule(times, lambda x, k: (times(x, k), k), lambda k, u: (times(u, k), u))
    (row,) = rows_of(check_vjp(lambda x, k: 2 * f(x, k), np.ones(3), np.arange(3)), "whole-number argument")
    assert (row.verdict, row.note) == ("UNDECIDED", "the rule is inside of the function: check it directly")


@pytest.mark.slow
def test_numbers_that_a_function_wants_fixed():
    def scaled(x, a):
        return a * x

    inner = rule(scaled, lambda x, a: (scaled(x, a), None), lambda a, _, u: (a * u,), nondiff_argnums=(1,))
    report = check_vjp(lambda x, a: inner(x, a), np.ones(2), 0.1)
    assert report.passed, str(report)
    assert {row.where for row in rows_of(report, "gradient")} == {"x"}
    assert check_vjp(jax.jit(scaled, static_argnums=1), np.ones(2), 0.1).passed
    assert {row.where for row in rows_of(check_vjp(scaled, np.ones(2), 0.1), "gradient")} == {"x", "a"}


# --- mistakes, in one sentence ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_function_for_other_dtypes():
    def single(x):
        return jax.lax.mul(x, jnp.ones(2, jnp.float32))

    with pytest.raises(
        InputError,
        match=r"check_vjp expects a function that runs on these arguments in float64, got .*"
        "dtype=None keeps the dtype of every array",
    ):
        check_vjp(single, np.ones(2, np.float32))
    assert check_vjp(single, np.ones(2, np.float32), dtype=None).passed


@pytest.mark.slow
def test_complex_numbers():
    assert check_vjp(lambda x: (jnp.fft.fft(x), x), np.ones(2)).passed
    report = check_vjp(lambda x, z: x * jnp.abs(z), np.ones(2), 1j)
    assert {row.where for row in rows_of(report, "gradient")} == {"x", "z.real", "z.imag"}

    def square(derivative):
        return rule(lambda z: z * z, lambda z: (z * z, z), lambda z, u: (u * derivative(z),))

    z = np.array([1 + 2j, 0.5 - 1j])
    assert check_vjp(square(lambda z: 2 * z), z).passed
    assert "gradient" in failed(check_vjp(square(lambda z: 2 * z.conj()), z))  # a derivative that is conjugated

    def magnitude(z):  # not holomorphic
        return jnp.abs(z) ** 2

    f = rule(magnitude, lambda z: (magnitude(z), z), lambda z, u: (2 * u.astype(z.dtype) * z.conj(),))
    report = check_vjp(f, z)
    assert report.passed, str(report)


def test_a_reference_of_another_kind():
    with pytest.raises(InputError, match="reference expects a function that runs on these arguments"):
        check_vjp(lambda x, y: x * y, 1.0, 2.0, reference=lambda x: x)
    with pytest.raises(InputTypeError, match=r"reference expects float64\[2\], got float64\[\]: give a function"):
        check_vjp(lambda x: x, np.ones(2), reference=lambda x: x.sum())


# --- notes ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_part_in_float32_is_called_that():
    f = elementwise(jnp.sin, lambda x: jnp.cos(x).astype(jnp.float32).astype(x.dtype))
    row = rows_of(check_vjp(f, RNG.normal(size=4)), "gradient")[0]
    assert row.verdict == "FAIL"
    assert row.note.endswith("digits: does f approximate, or compute a part in a narrower dtype?")


def test_what_makes_no_gradient_is_said_once():
    f = rule(jnp.sin, lambda x: (jnp.sin(x), x), lambda x, u: (u, u))
    assert len(check_vjp(f, np.ones(2)).rows) == 1


# --- the rules to come ------------------------------------------------------------------------------------------------

AHEAD = """
import jax, jax.numpy as jnp, numpy as np
from jaxmlp import check_vjp
from jaxmlp.evidence.vjp_check.jaxpr import strip_rules

def sine(derivative, **how):
    f = jax.custom_vjp(jnp.sin)
    f.defvjp(lambda x: (jnp.sin(x), x), lambda x, u: (u * derivative(x),))
    return f

right, wrong = sine(jnp.cos), sine(lambda x: 1.001 * jnp.cos(x))
twice = sine(lambda x: jnp.cos(jax.lax.stop_gradient(x)))
for f in (wrong, jax.jit(wrong), lambda x: jax.vmap(wrong)(x[None])[0], jax.vmap(jax.vmap(wrong), in_axes=1)):
    x = jnp.ones((2, 3))
    y, back = jax.vjp(strip_rules(f), x)
    np.testing.assert_allclose(y, f(x))
    np.testing.assert_allclose(*jnp.broadcast_arrays(back(jnp.ones_like(y))[0], jnp.cos(1.0)), rtol=1e-6)
scanned = lambda x: jax.lax.scan(lambda c, _: (wrong(c), None), x, None, length=1)[0]
np.testing.assert_allclose(jax.grad(strip_rules(scanned))(0.5), jnp.cos(0.5), rtol=1e-6)
for f in (right, wrong, twice):
    report = check_vjp(f, np.array([0.3, 0.4]))
    print(*sorted({row.check for row in report.failures}), sep=", ")
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(jax.config, "jax_custom_vjp3"), reason="JAX before jax-ml/jax#34548")
def test_a_rule_is_not_its_own_witness_ahead_of_time():
    environment = os.environ | {"JAX_CUSTOM_VJP3": "1", "XLA_FLAGS": ""}
    done = subprocess.run([sys.executable, "-c", AHEAD], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    right, wrong, twice = done.stdout.splitlines()
    assert right == ""
    assert "gradient" in wrong.split(", ")
    assert twice == "forward over reverse, reverse over reverse"


@pytest.mark.slow
def test_a_whole_number_beside_an_argument_that_is_left_to_its_default():
    def times_twice(x, k, scale=2.0):
        return scale * x * k.sum().astype(x.dtype)

    f = jax.custom_vjp(times_twice)
    f.defvjp(
        lambda x, k, scale=2.0: (times_twice(x, k, scale), (x, k, scale)),
        lambda c, u: (c[2] * u * c[1].sum().astype(u.dtype), None, jnp.sum(u * c[0]) * c[1].sum().astype(u.dtype)),
    )
    (row,) = rows_of(check_vjp(f, np.ones(3), np.arange(3)), "whole-number argument")
    assert row.verdict == "PASS"


def test_a_leaf_that_the_time_did_not_reach_is_not_confirmed(monkeypatch):
    monkeypatch.setattr(difference_rows, "MAX_SECONDS", -1.0)  # the first eight entries are always looked at
    numbers = (np.array(float(i + 1)) for i in range(12))
    report = check_vjp(lambda *xs: sum(x * x for x in xs), *numbers, time_limit=0.0)
    last = rows_of(report, "gradient")[-1]
    assert (last.verdict, last.difference) == ("UNDECIDED", None)
    assert "ended before its first single entry" in last.note


@pytest.mark.slow
def test_directions_count_where_no_single_entry_was_reached(monkeypatch):
    monkeypatch.setattr(difference_rows, "MAX_SECONDS", -1.0)
    f = rule(
        lambda *xs: sum((x * x).sum() for x in xs),
        lambda *xs: (sum((x * x).sum() for x in xs), xs),
        lambda xs, u: tuple(3 * u * x for x in xs),
    )  # 1.5 times the right one
    xs = (np.linspace(1, 2, 100) + i for i in range(6))
    rows = rows_of(check_vjp(f, *xs, time_limit=0.0), "gradient")
    assert [row.verdict for row in rows if row.witness == "central differences"] == ["UNDECIDED"] * 6
    assert {row.verdict for row in rows if row.witness == "random directions"} == {"FAIL"}


def test_nan_in_bfloat16_is_not_taken_for_a_change():
    arguments = np.ones(2, np.float32), jnp.array([jnp.nan, 1.0], jnp.bfloat16)  # NaN differs from itself
    rule_under_test: Any = SimpleNamespace(user_arguments=arguments, user_function=lambda x, marks: 2 * x)
    assert purity._check_inputs(rule_under_test).verdict == "PASS"
