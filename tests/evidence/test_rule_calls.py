"""`check-package` and the plugin choose calls that a rule accepts: its domain, its dtypes, its conditions."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.evidence.package_check.discover import defining_function
from jaxmlp.evidence.package_check.draw import draw_arguments
from jaxmlp.evidence.package_check.judge import judge_rule
from jaxmlp.evidence.package_check.recording import RecordedCall, Recorder, record_rules


def test_arguments_lie_where_the_function_itself_is_a_number():
    @jax.custom_jvp
    def logarithm(x):
        return jnp.log(x - 1)

    # the forward rule is a number below 1, too, as the series of jax.scipy.special.zeta is
    logarithm.defjvp(lambda p, t: (jnp.log(jnp.abs(p[0] - 1)), t[0] / (p[0] - 1)))
    args = draw_arguments(logarithm)
    assert args is not None
    assert np.all(args[0] > 1)


def test_a_dtype_is_no_array_of_a_call():
    rule = jax.custom_jvp(lambda x, dtype: jnp.sin(x).astype(dtype), nondiff_argnums=(1,))
    rule.defjvp(lambda dtype, p, t: (jnp.sin(p[0]).astype(dtype), (t[0] * jnp.cos(p[0])).astype(dtype)))
    args = draw_arguments(rule)
    assert args is not None
    assert args[1] is jnp.float32
    for dtype in (np.float32, jnp.float32):
        with record_rules(Recorder()) as recorder:
            rule(jnp.ones(3), dtype)
        (call,) = recorder.calls.values()
        assert judge_rule("sine", "custom_jvp", rule, call, time_limit=0.0).verdict == "PASS"


def test_a_condition_that_was_traced_is_drawn_so_that_the_rule_runs():
    def refuse(flag):
        if flag:
            raise ValueError

    @jax.custom_jvp
    def checked(x, is_wrong):
        jax.pure_callback(
            lambda flag: (refuse(flag), np.float32(0))[1], jax.ShapeDtypeStruct((), jnp.float32), is_wrong
        )
        return x * jax.pure_callback(
            lambda flag: (refuse(flag), np.float32(1))[1], jax.ShapeDtypeStruct((), jnp.float32), is_wrong
        )

    checked.defjvp(lambda p, t: (checked(*p), t[0]))
    shapes = jax.ShapeDtypeStruct((3,), jnp.float32), jax.ShapeDtypeStruct((), jnp.bool_)
    for flag in (False, True):
        rule = checked if not flag else (lambda x, is_right: checked(x, ~is_right))
        args = draw_arguments(rule, RecordedCall(rule, shapes, has_values=False))
        assert args is not None
        assert bool(args[1]) is flag


def test_a_call_with_a_function_of_one_dtype_is_checked_in_that_dtype():
    weights = jnp.ones(3, jnp.float32)

    def product(x):
        return jax.lax.mul(x, weights)  # of equal dtypes alone

    def rule_of(factor):
        rule = jax.custom_jvp(lambda f, x: 2 * x, nondiff_argnums=(0,))
        rule.defjvp(lambda f, p, t: (2 * p[0], factor * f(t[0])))
        return RecordedCall(rule, (product, jnp.ones(3, jnp.float32)), has_values=True)

    for factor, verdict in ((2.0, "PASS"), (3.0, "FAIL")):
        call = rule_of(factor)
        row = judge_rule("product", "custom_jvp", call.rule, call, time_limit=0.0)
        assert row.verdict == verdict, row


def test_rules_that_a_method_of_equinox_makes_are_told_apart():
    class FilterRule:  # as equinox.filter_custom_vjp
        def __init__(self, fn):
            self.fn = fn

        def rule(self):
            def fn_wrapped(x):
                return self.fn(x)

            fn_wrapped.__module__ = "equinox._ad"
            return jax.custom_vjp(fn_wrapped)

    def square(x):
        return x * x

    def cube(x):
        return x**3

    assert [defining_function(FilterRule(f).rule()) for f in (square, cube)] == [square, cube]
