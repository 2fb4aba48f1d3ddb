"""check_vjp finds planted faults: ten or more of each class (value, transformation, type, second order).

Each is a slip as people write it. `FOUND_BY` says which rows must show it.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivative_rules import rule
from jax import lax
from jax.custom_derivatives import SymbolicZero
from marks import slow_except

from jaxmlp.evidence.vjp_check.check_vjp import check_vjp

RNG = np.random.default_rng(3)
stop = lax.stop_gradient


def normal(*shape):
    return RNG.normal(size=shape)


def with_pullback(fun, bwd):
    """The rule of `bwd`, (arguments, u) -> cotangents."""
    return rule(fun, lambda *args: (fun(*args), args), bwd)


def with_tangent(fun, tangent, **options):
    """The rule of `tangent`, (arguments, tangents) -> the tangent of the output."""
    f = jax.custom_jvp(fun)
    f.defjvp(lambda args, tangents: (fun(*args), tangent(args, tangents)), **options)
    return f


def on_host(fun, like, *args, vmap_method="broadcast_all"):
    shape = jax.ShapeDtypeStruct(like.shape, like.dtype)
    return jax.pure_callback(
        lambda *a: np.asarray(fun(*map(np.asarray, a)), like.dtype), shape, *args, vmap_method=vmap_method
    )


# --- value ------------------------------------------------------------------------------------------------------------

VALUE = {
    "a thousandth": (with_pullback(jnp.sin, lambda a, u: (1.001 * u * jnp.cos(a[0]),)), normal(3)),
    "sign": (with_pullback(jnp.cos, lambda a, u: (u * jnp.sin(a[0]),)), normal(3)),
    "one entry of 1000": (
        with_tangent(jnp.exp, lambda a, t: t[0] * jnp.exp(a[0]).at[613].multiply(1.01)),
        normal(1000),
    ),
    "mean for sum over a broadcast axis": (
        with_pullback(lambda x, b: x * b, lambda a, u: (u * a[1], (u * a[0]).mean(0))),
        normal(4, 3),
        normal(3)[None],
    ),
    "transpose of a square": (
        with_pullback(lambda W, x: W @ x, lambda a, u: (jnp.outer(a[1], u), a[0].T @ u)),
        normal(3, 3),
        normal(3),
    ),
    "slope below 0": (
        with_tangent(lambda x: jnp.where(x > 0, x, 0.1 * x), lambda a, t: t[0]),
        np.array([1.0, -2.0, 3.0]),
    ),
    "odd tail": (
        with_pullback(lambda x: (x**2).sum(), lambda a, u: (2 * u * a[0] * (jnp.arange(5) < 4),)),
        normal(5),
    ),
    "set for add": (
        with_pullback(lambda x, i: x[i], lambda a, u: (jnp.zeros_like(a[0]).at[a[1]].set(u), None)),
        normal(4),
        np.array([1, 1, 3]),
    ),
    "two arguments swapped": (
        with_pullback(lambda x, y: x * jnp.exp(y), lambda a, u: (u * a[0] * jnp.exp(a[1]), u * jnp.exp(a[1]))),
        normal(3),
        normal(3),
    ),
    "softmax without its coupling": (
        rule(lambda x: jax.nn.softmax(x), lambda x: (jax.nn.softmax(x),) * 2, lambda s, u: (u * s * (1 - s),)),
        normal(4),
    ),
    "a residual of half the argument": (
        rule(jnp.tanh, lambda x: (jnp.tanh(x), x / 2), lambda x, u: (u * (1 - jnp.tanh(x) ** 2),)),
        normal(3),
    ),
}

# --- transformation ---------------------------------------------------------------------------------------------------


@jax.custom_batching.custom_vmap
def doubled(u):
    return 2 * u


doubled.def_vmap(lambda size, batched, u: (3 * u, batched[0]))


@jax.custom_batching.custom_vmap
def sine(x):
    return jnp.sin(x)


sine.def_vmap(lambda size, batched, x: (jnp.sin(x)[::-1], batched[0]))


def closed_over(w, x):
    return rule(lambda x: w * x, lambda x: (w * x, None), lambda _, u: (w * u,))(x)


def with_memory():
    memory = []

    def forward(x):
        memory.append(x)
        return jnp.sin(x), None

    return rule(jnp.sin, forward, lambda _, u: (u * jnp.cos(memory[-1]),))


def counting():
    calls = []

    def backward(args, u):
        calls.append(1)
        return (u * jnp.cos(args[0]) * (1 if len(calls) < 4 else 1.5),)

    return with_pullback(jnp.sin, backward)


def one_for_a_symbolic_zero(args, tangents):
    t = [jnp.ones_like(a) if isinstance(t, SymbolicZero) else t for a, t in zip(args, tangents, strict=True)]
    return t[0] * args[1] + (0 if isinstance(tangents[1], SymbolicZero) else t[1]) * args[0]


def forward_by_perturbed(x, y):
    both = x.perturbed and y.perturbed
    return x.value * y.value, (x.value, y.value, None if both else ())


def backward_by_perturbed(residuals, u):
    x, y, both = residuals
    factor = 1 if both is None else 2
    return factor * u * y, factor * u * x


TRANSFORMATION = {
    "a callback that sums the batch": (
        with_pullback(
            lambda x: 0.5 * x.sum() ** 2,
            lambda a, u: (u * on_host(lambda x: np.broadcast_to(x.sum(), x.shape), a[0], a[0]),),
        ),
        normal(3),
    ),
    "a wrong batching rule of the backward pass": (
        with_pullback(lambda x: 2 * x, lambda a, u: (doubled(u),)),
        normal(3),
    ),
    "a wrong batching rule of the forward pass": (
        rule(jnp.sin, lambda x: (sine(x), x), lambda x, u: (u * jnp.cos(x),)),
        normal(3),
    ),
    "a closed-over tracer": (closed_over, normal(2), normal(2)),
    "a tracer in a list": (with_memory(), normal(2)),
    "a branch of Python": (
        with_pullback(jnp.abs, lambda a, u: (u * jnp.sign(a[0]) if a[0].max() > -9 else 0 * u,)),
        normal(2),
    ),
    "NumPy on a residual": (with_pullback(jnp.sin, lambda a, u: (u * np.cos(np.asarray(a[0])),)), normal(2)),
    "a gradient by the number of calls": (counting(), normal(2)),
    "1 for the tangent of a constant": (
        with_tangent(lambda x, y: x * y, one_for_a_symbolic_zero, symbolic_zeros=True),
        normal(2),
        normal(2),
    ),
    "twice the gradient where one argument is constant": (
        rule(lambda x, y: x * y, forward_by_perturbed, backward_by_perturbed, symbolic_zeros=True),
        normal(2),
        normal(2),
    ),
    "a callback that counts axes": (
        with_pullback(jnp.sin, lambda a, u: (on_host(lambda x, u: np.cos(x) * u * np.ndim(x), a[0], a[0], u),)),
        normal(3),
    ),
}

# --- type -------------------------------------------------------------------------------------------------------------


def float64_alone(args, u):
    if u.dtype == jnp.float32:
        raise TypeError("float64 only")
    return (u * jnp.cos(args[0]),)


TYPE = {
    "float32": (with_pullback(jnp.sin, lambda a, u: ((u * jnp.cos(a[0])).astype(jnp.float32),)), normal(3)),
    "float32 for bfloat16": (
        with_pullback(jnp.sin, lambda a, u: ((u * jnp.cos(a[0])).astype(jnp.promote_types(u.dtype, jnp.float32)),)),
        normal(3),
    ),
    "None for a real array": (with_pullback(lambda x, y: x * y, lambda a, u: (u * a[1], None)), normal(3), normal(3)),
    "ones for whole numbers": (
        with_pullback(lambda x, i: x[i], lambda a, u: (jnp.zeros_like(a[0]).at[a[1]].add(u), jnp.ones(2))),
        normal(4),
        np.array([0, 2]),
    ),
    "a shape with one axis too many": (with_pullback(lambda x: 2 * x[:, None], lambda a, u: (2 * u,)), normal(3)),
    "a list for a tuple": (
        with_pullback(lambda p: p[0] * p[1], lambda a, u: ([u * a[0][1], u * a[0][0]],)),
        (normal(2), normal(2)),
    ),
    "a constant in float32": (
        with_pullback(lambda x: x * np.pi, lambda a, u: (u * jnp.float32(np.pi).astype(u.dtype),)),
        normal(3),
    ),
    "an error in float32": (with_pullback(jnp.sin, float64_alone), normal(3)),
    "a number for None": (
        with_pullback(lambda x, mask: jnp.sin(x), lambda a, u: (u * jnp.cos(a[0]), jnp.ones(()))),
        normal(3),
        None,
    ),
    "no imaginary part": (
        with_pullback(lambda z: z * z, lambda a, u: ((2 * a[0] * u).real.astype(u.dtype),)),
        normal(3) + 1j * normal(3),
    ),
    "a slope in whole numbers": (
        with_pullback(lambda x: x**3, lambda a, u: (u * (3 * a[0] ** 2).astype(jnp.int32).astype(u.dtype),)),
        3 * normal(3),
    ),
    "a missing key": (
        with_pullback(lambda p: p["w"] * p["b"], lambda a, u: ({"w": u * a[0]["b"]},)),
        {"w": normal(2), "b": normal(2)},
    ),
}

# --- second order -----------------------------------------------------------------------------------------------------

sine_for_minus_sine = with_tangent(jnp.cos, lambda a, t: jnp.sin(a[0]) * t[0])
one_percent = with_tangent(jax.nn.sigmoid, lambda a, t: 1.01 * jax.nn.sigmoid(a[0]) * jax.nn.sigmoid(-a[0]) * t[0])


SECOND_ORDER = {
    "a residual": (rule(jnp.sin, lambda x: (jnp.sin(x), stop(x)), lambda x, u: (u * jnp.cos(x),)), normal(3)),
    "a tangent": (with_tangent(lambda x: x**3, lambda a, t: 3 * stop(a[0]) ** 2 * t[0]), normal(3)),
    "one of two arguments": (
        with_pullback(lambda x, y: x * y, lambda a, u: (u * a[1], u * stop(a[0]))),
        1.5,
        2.5,
    ),
    "the output": (
        rule(jnp.tanh, lambda x: (jnp.tanh(x),) * 2, lambda y, u: (u * (1 - stop(y) ** 2),)),
        normal(3),
    ),
    "a slope with a wrong sign": (with_pullback(jnp.sin, lambda a, u: (u * sine_for_minus_sine(a[0]),)), normal(3)),
    "a slope wrong by 1 %": (with_tangent(jax.nn.softplus, lambda a, t: one_percent(a[0]) * t[0]), normal(3)),
    "the weights below a product": (
        rule(
            lambda W, x: jnp.tanh(W @ x),
            lambda W, x: (y := jnp.tanh(W @ x), (W, x, y)),
            lambda c, u: (jnp.outer(d := u * (1 - c[2] ** 2), c[1]), stop(c[0]).T @ d),
        ),
        normal(2, 3),
        normal(3),
    ),
    "one term of silu": (
        with_tangent(
            jax.nn.silu,
            lambda a, t: t[0] * ((s := jax.nn.sigmoid(a[0])) + a[0] * stop(s * (1 - s))),
        ),
        normal(3),
    ),
    "the softmax of logsumexp": (
        with_pullback(lambda x: jax.nn.logsumexp(x), lambda a, u: (u * stop(jax.nn.softmax(a[0])),)),
        normal(4),
    ),
    "the cotangent": (with_pullback(lambda x: x**2, lambda a, u: (2 * stop(u) * a[0],)), normal(3)),
    "a factor of a norm": (
        with_tangent(lambda x: (x * x).sum() ** 2, lambda a, t: 4 * stop((a[0] ** 2).sum()) * (a[0] * t[0]).sum()),
        normal(3),
    ),
}

CLASSES = {"value": VALUE, "transformation": TRANSFORMATION, "type": TYPE, "second order": SECOND_ORDER}
FAULTS = {f"{kind}: {name}": call for kind, faults in CLASSES.items() for name, call in faults.items()}
FOUND_BY = {  # rows of which at least one must fail
    "value": {"gradient"},
    "transformation": {
        *("gradient", "closed-over tracers", "under scan", "under remat", "vmap of grad", "grad of vmap"),
        *("several cotangents", "jacrev", "one argument at a time", "jvp by one argument"),
    },
    "type": {
        *("gradient", "dtype of the cotangent", "in float32", "in bfloat16"),
        *("whole-number argument", "None argument"),
    },
    "second order": {
        *("reverse over reverse", "forward over reverse", "Hessian symmetric", "derivative by the cotangent"),
    },
}
QUICK = ("transformation: NumPy on a residual", "type: a list for a tuple", "second order: the cotangent")


@pytest.mark.parametrize("name", slow_except(FAULTS, *QUICK))
def test_a_planted_fault_is_found(name):
    kind = name.partition(":")[0]
    report = check_vjp(*FAULTS[name], time_limit=None)
    failed = {row.check for row in report.failures}
    assert failed & FOUND_BY[kind], str(report)
    assert not report.passed
    if kind == "second order":
        assert "gradient" not in failed


def test_every_class_has_ten_faults():
    assert all(len(faults) >= 10 for faults in CLASSES.values())
