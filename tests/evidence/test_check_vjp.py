"""check_vjp: every planted fault is found by its row, and right rules, ours and others', pass."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from derivative_rules import rule
from marks import slow_except

from jaxmlp.errors import InputError, InputTypeError
from jaxmlp.evidence.vjp_check.check_vjp import assert_vjp, check_vjp
from jaxmlp.evidence.vjp_check.jaxpr import strip_rules
from jaxmlp.nn import activations, costs
from jaxmlp.nn.dense import dense
from jaxmlp.nn.penalties import PENALTIES, weight_penalty

RNG = np.random.default_rng(1)
LAYER = {"W": RNG.normal(size=(4, 3)), "b": RNG.normal(size=(4, 1))}
X = RNG.normal(size=(3, 5))


def verdicts(report):
    """{check or "check where": verdict of its rows, FAIL before the rest}."""
    found = {}
    for row in report.rows:
        for key in (row.check, f"{row.check} {row.where}"):
            found[key] = "FAIL" if "FAIL" in (row.verdict, found.get(key)) else row.verdict
    return found


def failed(report):
    return {row.check for row in report.failures}


# --- right rules ------------------------------------------------------------------------------------------------------


def ours():
    """Every rule of nn/, with the arguments of a call."""
    softmax, Z = activations.softmax, RNG.normal(size=(4, 5))
    categorical = costs.categorical_cross_entropy
    ids = np.array([[0, 2, 1, 3, 3]])
    weights = RNG.uniform(1, 2, size=(1, 5))
    return {
        "dense tanh": (functools.partial(dense.apply, activations.tanh), LAYER, X),
        "dense maxout, static first argument": (dense.apply, activations.maxout(2), LAYER, X),
        "mean_cost, class ids and weights": (costs.mean_cost.apply, categorical, softmax, Z, ids, weights),
        "mean_cost, None": (costs.mean_cost.apply, categorical, softmax, Z, 0.8 * np.eye(4)[:, ids[0]] + 0.05, None),
        "penalty": (functools.partial(weight_penalty.apply, PENALTIES["l2"]), (LAYER, LAYER), 0.3, 5.0),
    }


def newton_root(a):
    """x with x³ + x = a, by Newton's method until it stands still."""

    def step(state):
        x, _ = state
        return x - (x**3 + x - a) / (3 * x**2 + 1), x

    return jax.lax.while_loop(lambda s: jnp.abs(s[0] - s[1]).max() > 1e-12, step, (a / 2, a / 2 + 1))[0]


def label_loss(Z, y):
    """-ln softmax(Z)[y], the mean over rows."""
    return jnp.mean(jax.nn.logsumexp(Z, axis=1) - jnp.take_along_axis(Z, y[:, None], axis=1)[:, 0])


def label_loss_backward(cache, u):
    Z, y = cache
    return u * (jax.nn.softmax(Z, axis=1) - jax.nn.one_hot(y, Z.shape[1], dtype=Z.dtype)) / Z.shape[0], None


def theirs():
    """Rules of the kind that other projects write."""
    relu = rule(
        lambda z: jnp.where(z > 0, z, jnp.zeros_like(z)),
        lambda z: (jnp.where(z > 0, z, jnp.zeros_like(z)), z > 0),
        lambda positive, u: (jnp.where(positive, u, jnp.zeros_like(u)),),
    )
    logsumexp = rule(
        lambda z: jax.nn.logsumexp(z),
        lambda z: (jax.nn.logsumexp(z), z),
        lambda z, u: (u * jax.nn.softmax(z),),
    )
    root = rule(newton_root, lambda a: (root(a),) * 2, lambda x, u: (u / (3 * x**2 + 1),))
    labels = rule(label_loss, lambda Z, y: (label_loss(Z, y), (Z, y)), label_loss_backward)
    return {
        "relu": (relu, RNG.normal(size=(3, 4))),
        "relu at its kink": (relu, np.array([0.0, 1.0, -1.0])),
        "logsumexp": (logsumexp, RNG.normal(size=6)),
        "implicit function": (root, np.array([0.5, 3.0])),
        "integer labels": (labels, RNG.normal(size=(5, 3)), np.array([0, 2, 1, 1, 0])),
    }


@functools.cache
def report_of(name):
    """Some reports answer more than one test."""
    return check_vjp(*(ours() | theirs())[name], time_limit=None)  # every row, on a busy machine too


@pytest.mark.slow
@pytest.mark.parametrize("name", list(ours()))
def test_our_rules_pass(name):
    report = report_of(name)
    assert report.passed, str(report)
    assert {row.check for row in report.rows if row.verdict == "UNSUPPORTED"} <= {"jvp", "with JAX_CUSTOM_VJP3=1"}
    assert report.count("UNDECIDED") == 0, str(report)


@pytest.mark.slow
@pytest.mark.parametrize("name", slow_except(theirs(), "relu", "integer labels"))
def test_rules_of_others_pass(name):
    report = report_of(name)
    assert report.passed, str(report)


@pytest.mark.slow
def test_every_question_is_asked():
    report = report_of("mean_cost, class ids and weights")
    checks = [row.check for row in report.rows]
    assert {
        "value of the forward rule",
        "gradient",
        "gradient at point 2",
        "linear in the cotangent",
        "jvp",
        "under jit",
        "vmap of grad",
        "grad of vmap",
        "under scan",
        "under remat",
        "under sharding",
        "closed-over tracers",
        "reverse over reverse",
        "forward over reverse",
        "Hessian symmetric",
        "derivative by the cotangent",
        "dtype of the cotangent",
        "whole-number argument",
        "in float32",
        "in bfloat16",
        "residuals",
        "FLOPs",
        "with JAX_CUSTOM_VJP3=1",
        "Taylor remainder",
        "several cotangents",
        "jacrev",
        "has_aux",
        "one argument at a time",
        "zero cotangent",
        "inputs unchanged",
        "compiled once",
        "weak types",
    } == set(checks)
    assert [row.where for row in report.rows if row.check == "vmap of grad"] == ["over Z", "over Y", "over weights"]
    assert {row.witness for row in report.rows if row.check == "gradient"} == {"autodiff", "central differences"}
    assert report.to_dict()["passed"] is True
    (jvp,) = [row for row in report.rows if row.check == "jvp"]
    assert jvp.note == "JAX has no jvp of a custom_vjp: jax-ml/jax#3996"


@pytest.mark.slow
def test_a_none_argument_is_asked():
    assert verdicts(report_of("mean_cost, None"))["None argument weights"] == "PASS"


@pytest.mark.slow
def test_the_process_stays_as_it_was():
    with jax.enable_x64(False):
        assert_vjp(jnp.tanh, jnp.array([0.5, -1.0], jnp.float32))
        assert jnp.ones(1).dtype == jnp.float32


@pytest.mark.slow
def test_without_a_witness_differences_decide():
    report = report_of("implicit function")
    found = verdicts(report)
    assert found["gradient a"] == "PASS"
    assert found["gradient "] == "UNDECIDED"  # autodiff of a while loop
    row = next(row for row in report.rows if row.check == "reverse over reverse")
    assert (row.verdict, row.witness) == ("PASS", "central differences")
    row = next(row for row in report.rows if row.check == "forward over reverse")
    assert (row.verdict, row.note) == ("UNSUPPORTED", "fwd calls the decorated function: jax-ml/jax#16049")


@pytest.mark.slow
def test_a_kink_is_undecided_for_differences():
    notes = [row.note for row in report_of("relu at its kink").rows if row.witness == "central differences"]
    assert notes == ["1 entries at a kink: undecided"]


@pytest.mark.slow
def test_large_leaves_are_sampled_and_say_so():
    report = check_vjp(jnp.sin, RNG.normal(size=(20, 10)))
    assert [row.note for row in report.rows if row.witness == "central differences"] == ["64 of 200 entries, at random"]


@pytest.mark.slow
def test_given_dtypes_stay_with_dtype_none():
    report = check_vjp(*(ours()["dense tanh"][0], jax.tree.map(jnp.float32, LAYER), jnp.float32(X)), dtype=None)
    assert report.passed, str(report)
    assert {row.verdict for row in report.rows if row.witness == "central differences"} == {"UNDECIDED"}


# --- planted faults ---------------------------------------------------------------------------------------------------


def plain_dense(layer, A):
    return jnp.tanh(layer["W"] @ A + layer["b"])


def dense_with(fault):
    """The right block but for what `fault(dW, db, dA)` makes of its cotangents."""

    def forward(layer, A):
        out = plain_dense(layer, A)
        return out, (layer["W"], A, out)

    def backward(cache, u):
        W, A, out = cache
        dZ = u * (1 - out**2)
        dW, db, dA = fault(dZ @ A.T, dZ.sum(axis=1, keepdims=True), W.T @ dZ)
        return {"W": dW, "b": db}, dA

    return rule(plain_dense, forward, backward)


@pytest.mark.slow
@pytest.mark.parametrize("entry", [0, 3])
def test_a_thousandth_in_one_bias_entry(entry):
    f = dense_with(lambda dW, db, dA: (dW, db.at[entry, 0].multiply(1.001), dA))
    report = check_vjp(f, LAYER, X)
    assert {(row.check, row.where) for row in report.failures} >= {("gradient", "layer['b']")}
    wrong = [row for row in report.failures if row.check == "gradient"]
    assert {row.witness for row in wrong} == {"autodiff", "central differences"}
    assert {row.where for row in wrong} == {"layer['b']"}
    assert wrong[0].note.startswith(f"only entry [{entry}, 0]: ")


@pytest.mark.slow
def test_a_transposed_square_weight():
    square = {"W": RNG.normal(size=(3, 3)), "b": RNG.normal(size=(3, 1))}
    report = check_vjp(dense_with(lambda dW, db, dA: (dW.T, db, dA)), square, X)
    wrong = [row for row in report.failures if row.witness == "autodiff" and row.check == "gradient"]
    assert [(row.where, row.note) for row in wrong] == [("layer['W']", "this is the transpose")]


@pytest.mark.slow
def test_a_wrong_dtype_of_a_cotangent():
    report = check_vjp(dense_with(lambda dW, db, dA: (dW, db.astype(jnp.float32), dA)), LAYER, X)
    wrong = [row for row in report.failures if row.check == "dtype of the cotangent"]
    assert [(row.where, row.note) for row in wrong] == [
        ("layer['b']", "float32[4,1] for an argument float64[4,1]"),
    ]


@pytest.mark.slow
def test_a_dtype_that_is_wrong_in_bfloat16_alone():
    def backward(x, u):
        dx = u * jnp.cos(x)
        return (dx.astype(jnp.float32) if x.dtype == jnp.bfloat16 else dx,)

    f = rule(jnp.sin, lambda x: (jnp.sin(x), x), backward)
    report = check_vjp(f, X)
    assert failed(report) == {"in bfloat16"}
    assert report.failures[0].note == "dx is float32"


@pytest.mark.slow
def test_none_where_a_gradient_belongs():
    report = check_vjp(dense_with(lambda dW, db, dA: (None, db, dA)), LAYER, X)
    wrong = [row for row in report.failures if row.witness == "autodiff" and row.check == "gradient"]
    assert [row.where for row in wrong] == ["layer['W']"]
    assert wrong[0].note.startswith("zero everywhere: does bwd return None")


@pytest.mark.parametrize("inside", ["eager", "jit"])
def test_a_closed_over_tracer(inside):
    def f(w, x):
        closed = rule(lambda x: w * x, lambda x: (w * x, None), lambda _, u: (w * u,))
        return jax.jit(closed)(x) if inside == "jit" else closed(x)

    report = check_vjp(f, np.array([3.0, 1.0]), np.array([5.0, 2.0]))
    assert "closed-over tracers" in failed(report)
    assert report.failures[-1].note.startswith("the rule keeps a value that JAX is tracing")


@pytest.mark.slow
def test_a_tracer_kept_between_passes():
    kept = []

    def forward(x):
        kept.append(x)
        return jnp.sin(x), x

    f = rule(jnp.sin, forward, lambda x, u: (u * jnp.cos(x),))
    report = check_vjp(f, np.array([0.5]))
    assert failed(report) == {"closed-over tracers"}


@pytest.mark.slow
def test_a_closed_over_constant_is_named():
    w = jnp.array([2.0, 3.0])
    f = rule(lambda x: w * x, lambda x: (w * x, None), lambda _, u: (w * u,))
    row = next(row for row in check_vjp(f, np.ones(2)).rows if row.check == "closed-over tracers")
    assert row.verdict == "UNDECIDED"
    assert row.note.startswith("closes over w: a constant to JAX")


@pytest.mark.slow
def test_wrong_under_vmap_alone():
    # the sum over every axis is the sum over the last one, until a callback sees the whole batch
    def total(x):
        return jax.pure_callback(lambda x: np.broadcast_to(x.sum(), x.shape), x, x, vmap_method="broadcast_all")

    f = rule(lambda x: 0.5 * x.sum() ** 2, lambda x: (0.5 * x.sum() ** 2, x), lambda x, u: (u * total(x),))
    found = failed(check_vjp(f, np.array([1.0, 2.0, 4.0])))
    assert {"vmap of grad", "grad of vmap"} <= found
    assert not found & {"gradient", "under jit", "under scan", "linear in the cotangent"}


@pytest.mark.slow
def test_a_wrong_batching_rule():
    @jax.custom_batching.custom_vmap
    def double(u):
        return 2 * u

    @double.def_vmap
    def _(size, batched, u):
        return 3 * u, batched[0]

    f = rule(lambda x: 2 * x, lambda x: (2 * x, None), lambda _, u: (double(u),))
    found = failed(check_vjp(f, np.array([1.0, 2.0])))
    assert "grad of vmap" in found
    assert not found & {"gradient", "under jit", "under remat"}


@pytest.mark.slow
def test_wrong_at_second_order_alone():
    f = rule(jnp.sin, lambda x: (jnp.sin(x), x), lambda x, u: (u * jnp.cos(jax.lax.stop_gradient(x)),))
    report = check_vjp(f, X)
    assert failed(report) == {"reverse over reverse", "forward over reverse"}
    assert "does a residual stop a gradient?" in report.failures[0].note


@pytest.mark.slow
def test_a_hessian_that_is_not_symmetric():
    # the gradient of x y, (y, x), with the x of its second entry held fixed
    f = rule(
        lambda x, y: x * y,
        lambda x, y: (x * y, (x, y)),
        lambda cache, u: (u * cache[1], u * jax.lax.stop_gradient(cache[0])),
    )
    assert "Hessian symmetric" in failed(check_vjp(f, 1.5, 2.5))


def test_a_forward_rule_with_another_value():
    f = rule(jnp.sin, lambda x: (1.001 * jnp.sin(x), x), lambda x, u: (u * jnp.cos(x),))
    assert failed(check_vjp(f, X)) == {"value of the forward rule"}


@pytest.mark.slow
def test_a_rule_that_is_not_linear():
    f = rule(jnp.sin, lambda x: (jnp.sin(x), x), lambda x, u: (jnp.clip(u, -0.1, 0.1) * jnp.cos(x),))
    assert {"gradient", "linear in the cotangent"} <= failed(check_vjp(f, X))


@pytest.mark.slow
def test_a_fault_deep_in_a_larger_function():
    sine = rule(jnp.sin, lambda x: (jnp.sin(x), x), lambda x, u: (1.001 * u * jnp.cos(x),))

    def composite(params, x):
        return jax.lax.scan(lambda c, w: (jax.jit(sine)(w * c), None), x, params["w"])[0]

    report = check_vjp(composite, {"w": np.array([1.0, 2.0])}, np.array([0.3, 0.4]))
    assert {row.where for row in report.failures if row.check == "gradient"} == {"params['w']", "x"}


def test_a_rule_that_raises():
    f = rule(jnp.sin, lambda x: (jnp.sin(x), x), lambda x, u: (u.sum(),))
    report = check_vjp(f, X)
    assert report.failures[0].note.startswith("ValueError: Custom VJP bwd rule")


# --- gradients that are meant to differ -------------------------------------------------------------------------------


def clipped(f, low):
    return rule(f, lambda x: (f(x), None), lambda _, u: (jnp.clip(u, low, 0.1),))


@pytest.mark.slow
def test_a_clipped_gradient_needs_its_reference():
    identity = clipped(lambda x: x, -0.1)
    report = check_vjp(identity, X)
    notes = {row.check: row.note for row in reversed(report.failures)}
    assert not report.passed
    assert notes["linear in the cotangent"].endswith("clipped or normalised on purpose, give reference")
    assert notes["gradient"].endswith("unchanged: where another gradient is intended, give reference")

    report = check_vjp(identity, X, reference=clipped(lambda x: 1 * x, -0.1))
    assert report.passed, str(report)
    found = {(row.check, row.witness): row for row in report.rows}
    assert found["gradient", "autodiff of reference"].verdict == "PASS"
    assert found["gradient", "central differences"].note == "reference is not the derivative of f either"
    assert found["linear in the cotangent", "two pullbacks"].note == "reference is not linear either"

    report = check_vjp(identity, X, reference=clipped(lambda x: 1 * x, -0.2))
    assert ("gradient", "autodiff of reference") in {(row.check, row.witness) for row in report.failures}


@pytest.mark.slow
def test_a_straight_through_gradient():
    rounded = rule(lambda x: jnp.round(x), lambda x: (jnp.round(x), None), lambda _, u: (u,))
    assert check_vjp(rounded, X, reference=lambda x: x).passed
    assert not check_vjp(rounded, X).passed


# --- the rest ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_assert_vjp_raises_with_the_failures_alone():
    f = dense_with(lambda dW, db, dA: (dW, 2 * db, dA))
    with pytest.raises(AssertionError, match=r"layer\['b'\].*FAIL +2 times the correct gradient") as caught:
        assert_vjp(f, LAYER, X)
    assert "PASS  " not in str(caught.value)


def test_mistakes_of_the_user():
    with pytest.raises(InputTypeError, match="check_vjp expects a function, got int: give f itself"):
        check_vjp(3, X)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="check_vjp expects a real array among the arguments, got str"):
        check_vjp(lambda name: 1.0, "relu")
    with pytest.raises(InputTypeError, match="check_vjp expects a real array as output, got none"):
        check_vjp(lambda x: (x > 0).astype(int), X)


@pytest.mark.slow
def test_strip_rules_reads_through_every_construct():
    wrong = rule(jnp.sin, lambda x: (jnp.sin(x), x), lambda x, u: (-7 * u,))
    constructs = {
        "scan": lambda x: jax.lax.scan(lambda c, _: (wrong(c), None), x, None, length=2)[0],
        "cond": lambda x: jax.lax.cond(x > 0, wrong, lambda y: wrong(wrong(y)), x),
        "fori_loop": lambda x: jax.lax.fori_loop(0, 2, lambda _, c: wrong(c), x),
        "checkpoint": jax.checkpoint(wrong),
        "jit in vmap": lambda x: jax.vmap(jax.jit(wrong))(x * jnp.arange(1.0, 3.0)).sum(),
    }
    right = jnp.sin
    expected = {
        "scan": lambda x: right(right(x)),
        "cond": right,
        "fori_loop": lambda x: right(right(x)),
        "checkpoint": right,
        "jit in vmap": lambda x: right(x) + right(2 * x),
    }
    for name, f in constructs.items():
        np.testing.assert_allclose(strip_rules(f)(0.5), f(0.5), err_msg=name)
        np.testing.assert_allclose(jax.grad(strip_rules(f))(0.5), jax.grad(expected[name])(0.5), err_msg=name)
