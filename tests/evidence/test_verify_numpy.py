"""A student's backward pass: the right one passes, a wrong one is named, and never by a wrong name."""

import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import zoo

import jaxmlp
from jaxmlp import Network, Objective
from jaxmlp.errors import InputError, InputTypeError
from jaxmlp.evidence.numpy_check import verify_numpy as module
from jaxmlp.evidence.numpy_check.common_mistakes import UNKNOWN_CAUSE
from jaxmlp.evidence.numpy_check.numpy_backprop import CORRECT, forward_steps, run_backward
from jaxmlp.evidence.numpy_check.shape_errors import NO_GRADIENT
from jaxmlp.evidence.numpy_check.trials import autodiff_value_and_gradient, draw_problem

verify_numpy: Any = module.verify_numpy  # reports are taken apart without asking for None first

# The course's program: dZ without 1/m, dW and db with it.
PROGRAM = """
def backward(parameters, X, Y):
    m = X.shape[1]
    L = len(parameters) // 2
    A, caches = X, []
    for l in range(1, L + 1):
        W, b = parameters["W" + str(l)], parameters["b" + str(l)]
        Z = np.dot(W, A) + b
        caches.append((A, W, Z))
        A = np.maximum(0, Z) if l < L else 1 / (1 + np.exp(-Z))
    grads = {}
    dA = -(np.divide(Y, A) - np.divide(1 - Y, 1 - A))
    for l in reversed(range(1, L + 1)):
        A_prev, W, Z = caches[l - 1]
        if l < L:
            dZ = np.array(dA, copy=True)
            dZ[Z <= 0] = 0
        else:
            s = 1 / (1 + np.exp(-Z))
            dZ = dA * s * (1 - s)
        grads["dW" + str(l)] = 1 / m * np.dot(dZ, A_prev.T)
        grads["db" + str(l)] = 1 / m * np.sum(dZ, axis=1, keepdims=True)
        dA = np.dot(W.T, dZ)
        grads["dA" + str(l)] = dA
    return grads
"""
CATS = Network((12, 6, 5, 1), "relu", "sigmoid")


def program(*edits: tuple[str, str]) -> Any:
    text = PROGRAM
    for old, new in edits:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    names: dict[str, Any] = {"np": np}
    exec(text, names)
    return names["backward"]


def test_the_course_program_passes():
    report = verify_numpy(program(), net=CATS)
    assert report.passed
    assert report.diagnosis is None
    assert [(row.check, row.where) for row in report.certificate.rows] == [
        ("BP3 db", "layer 3"),
        ("BP4 dW", "layer 3"),
        ("BP3 db", "layer 2"),
        ("BP4 dW", "layer 2"),
        ("BP3 db", "layer 1"),
        ("BP4 dW", "layer 1"),
    ]
    assert report.certificate.worst < 1e-12
    assert report.to_dict()["diagnosis"] is None


@pytest.mark.parametrize(
    ("edits", "cause", "equation"),
    [
        ([("1 / m * np.dot(dZ", "np.dot(dZ")], "1/m missing", "BP4 dW_3"),
        ([("1 / m * np.sum(dZ", "np.sum(dZ")], "sum in place of mean", "BP3 db_3"),
        ([("1 / m * np.dot", "np.dot"), ("1 / m * np.sum", "np.sum")], "1/m missing", "BP1 dZ_3"),
        ([("1 / m * np.sum(dZ", "1 / m * np.mean(dZ")], "mean in place of sum", "BP3 db_3"),
        ([("dA = -(np", "dA = -1 / m * (np")], "1/m twice", "BP1 dZ_3"),
        ([("dA = -(np", "dA = (np")], "wrong sign", "BP1 dZ_3"),
        ([(", axis=1, keepdims=True", ", axis=1")], "keepdims missing", "BP3 db_3"),
        ([("axis=1, keepdims", "axis=0, keepdims")], "wrong axis", "BP3 db_3"),
        ([(", axis=1, keepdims=True", "")], "axis missing", "BP3 db_3"),
        ([("dZ = dA * s * (1 - s)", "dZ = (A - Y) * s * (1 - s)")], "g' applied to a cross-entropy", "BP1 dZ_3"),
        ([("            dZ[Z <= 0] = 0\n", "")], "g' missing", "BP2 dZ_2"),
        ([("dZ[Z <= 0]", "dZ[Z < 0]")], "slope convention at 0", "BP2 dZ_2"),
        ([("np.dot(W.T, dZ)", "-np.dot(W.T, dZ)")], "wrong sign", "BP2 dZ_2"),
        (
            [("np.dot(dZ, A_prev.T)", "np.dot(dZ, np.maximum(0, Z).T if l < L else s.T)")],
            "A_l in place of A_{l-1}",
            "BP4 dW_3",
        ),
        ([("np.dot(dZ, A_prev.T)", "np.dot(A_prev, dZ.T)")], "dW transposed", "BP4 dW_3"),
        ([("np.dot(dZ, A_prev.T)", "np.dot(dZ, X.T)")], "X in place of A_{l-1}", "BP4 dW_3"),
    ],
)
def test_the_course_program_with_a_mistake(edits, cause, equation):
    report = verify_numpy(program(*edits), net=CATS)
    assert not report.passed
    assert (report.diagnosis.cause, report.diagnosis.equation) == (cause, equation)
    assert report.diagnosis.remedy


@pytest.mark.parametrize(
    ("edit", "cause", "message", "equation", "leaf"),
    [
        (
            ("np.dot(W.T, dZ)", "np.dot(W, dZ)"),
            "W not transposed",
            "shapes (1,5) and (1,7) not aligned",
            "BP2 dZ_2",
            "db2",
        ),
        (("np.dot(W.T, dZ)", "W.T * dZ"), "elementwise product with Wᵀ", "could not be broadcast", "BP2 dZ_2", "db2"),
        (("np.dot(dZ, A_prev.T)", "np.dot(dZ, A_prev)"), "A not transposed", "not aligned", "BP4 dW_3", "dW3"),
    ],
)
def test_a_product_that_raises_is_named_on_a_square_network(edit, cause, message, equation, leaf):
    report = verify_numpy(program(edit), net=CATS)
    assert not report.passed
    diagnosis = report.diagnosis
    assert (diagnosis.cause, diagnosis.equation, diagnosis.leaf, diagnosis.entry) == (cause, equation, leaf, None)
    assert f"first error: {equation}, {leaf}" in str(report)
    (row,) = report.certificate.rows
    assert "backward raised ValueError" in row.note
    assert message in row.note
    assert "\n" not in row.note


def by_heart(line):
    """A backward pass of 3-4-2 that runs on no other sizes, with one line of its own."""

    def product(W2, dZ2, cache, m):
        if line == "W":
            return np.dot(W2, dZ2)
        if line == "⊙":
            return W2.T * dZ2
        return 1 / m * (dZ2 @ cache["A1"])

    def student(params, X, Y):
        assert params["W2"].shape == (2, 4)
        A1 = np.tanh(params["W1"] @ X + params["b1"])
        dZ2 = 1 / (1 + np.exp(-(params["W2"] @ A1 + params["b2"]))) - Y
        return product(params["W2"], dZ2, {"A1": A1}, X.shape[1])

    return student


@pytest.mark.parametrize(
    ("line", "cause", "equation"),
    [
        ("W", "W not transposed", "BP2 dZ_1"),
        ("⊙", "elementwise product with Wᵀ", "BP2 dZ_1"),
        ("A", "A not transposed", "BP4 dW_2"),
    ],
)
def test_a_product_that_raises_is_named_by_its_operands_where_sizes_are_known_by_heart(line, cause, equation):
    report = verify_numpy(by_heart(line), net=Network((3, 4, 2), "tanh", "sigmoid"))
    assert "backward raised ValueError" in report.certificate.rows[0].note
    assert (report.diagnosis.cause, report.diagnosis.equation) == (cause, equation)


def test_another_product_that_raises_has_no_name():
    def student(params, X, Y):
        assert params["W2"].shape == (2, 4)
        return params["W2"] @ (Y + 1)  # W_2, but nothing like dZ_2

    diagnosis = verify_numpy(student, net=Network((3, 4, 2), "tanh", "sigmoid")).diagnosis
    assert (diagnosis.cause, diagnosis.equation) == (NO_GRADIENT, "")
    assert 'at `return params["W2"] @ (Y + 1)' in diagnosis.remedy


def one_output(labels="Y[0]", outer="np.outer(dZ2, W2[0])"):
    """A backward pass of 3-5-1 for rows, with one probability per row as (m,), that fits no other output."""
    text = f"""
def student(params, X, Y):
    X, y, W2 = X.T, {labels}, params["W2"]
    Z1 = X @ params["W1"].T + params["b1"].T
    A1 = np.maximum(Z1, 0)
    A2 = 1 / (1 + np.exp(-(A1 @ W2[0] + params["b2"][0, 0])))
    dZ2 = (A2 - y) / len(X)
    dA1 = {outer}
    dA1[Z1 <= 0] = 0
    return {{
        "dW1": dA1.T @ X, "db1": dA1.sum(axis=0)[:, None], "dW2": (A1.T @ dZ2)[None], "db2": np.array([[dZ2.sum()]])
    }}
"""
    names: dict[str, Any] = {"np": np}
    exec(text, names)
    return names["student"]


def test_labels_that_broadcast_are_told_by_a_single_example():
    net = Network((3, 5, 1), "relu", "sigmoid")
    assert verify_numpy(one_output(), net=net).passed
    diagnosis = verify_numpy(one_output("Y.T"), net=net).diagnosis
    assert diagnosis.cause == NO_GRADIENT
    assert "IndexError" in diagnosis.remedy
    assert "broadcast to (m, m): give Y the shape of A" in diagnosis.remedy


def test_a_wrong_shape_is_that_of_the_users_network():
    # the function returns db2 for one output; on the square network it would have the wrong shape
    diagnosis = verify_numpy(
        one_output(outer="np.outer(W2[0], dZ2)"), net=Network((3, 5, 1), "relu", "sigmoid")
    ).diagnosis
    assert (diagnosis.cause, diagnosis.leaf) == (NO_GRADIENT, "")
    assert "IndexError" in diagnosis.remedy
    assert "broadcast to" not in diagnosis.remedy


def test_a_number_per_example_hints_at_the_wrong_axis():
    text = "1 / m * np.sum(dZ, axis=1, keepdims=True)"
    diagnosis = verify_numpy(program((text, "1 / m * np.sum(dZ, axis=0).reshape(-1, 1)")), net=CATS).diagnosis
    assert diagnosis.cause == "wrong shape"
    assert "over the units instead of the examples" in diagnosis.remedy


def test_a_gradient_of_whole_numbers_is_named():
    net = Network((3, 4, 2), "tanh", "identity")

    def rounded(params, X, Y):
        steps = forward_steps(draw_problem(net, "quadratic", 0)._replace(params=params, X=X, Y=Y))
        gradient = run_backward(lambda step: CORRECT, steps)
        return tuple({name: 10 * leaf // 10 for name, leaf in layer.items()} for layer in gradient)

    assert verify_numpy(rounded, net=net).diagnosis.cause == "rounded to whole numbers"


def test_whole_numbers_that_are_not_those_of_the_gradient_are_not_taken_for_rounded():
    net = Network((3, 4, 2), "tanh", "identity")

    def of_ones(params, X, Y):
        return tuple({name: np.ones_like(leaf) for name, leaf in layer.items()} for layer in params)

    assert verify_numpy(of_ones, net=net).diagnosis.cause != "rounded to whole numbers"


def test_inputs_divided_by_255_for_dW_alone_are_named():
    edit = ("1 / m * np.dot(dZ, A_prev.T)", "1 / m * np.dot(dZ, A_prev.T) / (255 if l == 1 else 1)")
    diagnosis = verify_numpy(program(edit), net=CATS).diagnosis
    assert (diagnosis.cause, diagnosis.equation) == ("factor 1/255", "BP4 dW_1")


def test_two_mistakes_of_one_layer_are_both_named():
    # hidden layers alone: at the output both together would be the missing 1/m of BP1
    edits = [("1 / m * np.dot(dZ", "-1 / m * np.dot(dZ"), ("axis=1, keepdims=True", "axis=1")]
    diagnosis = verify_numpy(program(*edits), net=CATS).diagnosis
    assert (diagnosis.cause, diagnosis.equation) == ("keepdims missing and wrong sign", "BP3 db_3 and BP4 dW_3")


def layerwise(change=lambda name, value, **known: value, output="softmax"):
    """A right backward pass of tanh layers whose dZ_L, db and gradient can be changed."""

    def student(params, X, Y):
        A, caches, m = X, [], X.shape[1]
        for layer in params[:-1]:
            caches.append(A)
            A = np.tanh(layer["W"] @ A + layer["b"])
        caches.append(A)
        Z = params[-1]["W"] @ A + params[-1]["b"]
        A = np.exp(Z) / np.exp(Z).sum(axis=0) if output == "softmax" else 1 / (1 + np.exp(-Z))
        dZ, gradient = change("dZ", A - Y, A=A, Y=Y), []
        for layer, A_prev in zip(params[::-1], caches[::-1], strict=True):
            last = not gradient
            db = change("db", dZ.sum(axis=1, keepdims=True) / m, dZ=dZ, last=last)
            gradient.insert(0, {"W": dZ @ A_prev.T / m, "b": db})
            dZ = layer["W"].T @ dZ * (1 - A_prev**2)
        return change("gradient", gradient)

    return student


CLASSES = Network((3, 5, 2, 4), "tanh", "softmax")


@pytest.mark.parametrize("everywhere", [False, True])
@pytest.mark.parametrize("axis", [0, None])
def test_a_wrong_axis_at_a_softmax_head_is_named(axis, everywhere):
    # the columns of dZ_L sum to 0: what comes out is rounding, 1e-17
    def change(name, value, **known):
        if name == "db" and (everywhere or known["last"]):
            dZ = known["dZ"]
            return 1 / dZ.shape[1] * np.sum(dZ, axis=axis, keepdims=True)
        return value

    diagnosis = verify_numpy(layerwise(change), net=CLASSES).diagnosis
    assert (diagnosis.cause, diagnosis.equation) == ("axis missing" if axis is None else "wrong axis", "BP3 db_3")


def test_the_formula_of_one_example_is_told_to_add():
    def change(name, value, **known):
        return known["dZ"] if name == "db" else value

    diagnosis = verify_numpy(layerwise(change, "sigmoid"), net=Network((3, 2, 1), "tanh", "sigmoid")).diagnosis
    assert diagnosis.cause == "wrong shape"
    assert diagnosis.remedy == (
        "db2 expects shape (1, 1), got (1, 7); "
        "db = dz is for one example; for m examples add the columns, np.sum(dZ, axis=1, keepdims=True), with 1/m once"
    )


def dZ_of(formula):
    return lambda name, value, **known: formula(known["A"], known["Y"]) if name == "dZ" else value


def sigma(z):
    return 1 / (1 + np.exp(-z))


@pytest.mark.parametrize(
    ("output", "formula", "cause"),
    [
        ("sigmoid", lambda A, Y: (1 - Y) / (1 - A) - Y / A, "g' missing"),
        ("sigmoid", lambda A, Y: ((1 - Y) / (1 - A) - Y / A) * sigma(A) * (1 - sigma(A)), "g' evaluated at A"),
        ("sigmoid", lambda A, Y: ((1 - Y) / (1 - A) - Y / A) * A, "1 - a missing in sigmoid'"),
        ("softmax", lambda A, Y: -Y / A, "g' missing"),
        ("softmax", lambda A, Y: (A - Y) * A * (1 - A), "g' applied to a cross-entropy"),
        ("softmax", lambda A, Y: -Y / A * A * (1 - A), "softmax Jacobian elementwise"),
    ],
)
def test_mistakes_on_the_way_by_dA_at_a_cross_entropy_are_named(output, formula, cause):
    net = Network((3, 5, 4), "tanh", output)
    diagnosis = verify_numpy(layerwise(dZ_of(formula), output), net=net).diagnosis
    assert (diagnosis.cause, diagnosis.equation) == (cause, "BP1 dZ_2")


def test_an_error_that_adds_up_to_nothing_is_found_in_dZ():
    # examples and targets out of step: db_3, the sum over the examples, is right by chance
    report = verify_numpy(layerwise(dZ_of(lambda A, Y: A - np.roll(Y, 1, axis=1))), net=CLASSES)
    assert report.certificate.rows[0].verdict == "PASS"
    assert (report.diagnosis.equation, report.diagnosis.leaf) == ("BP1 dZ_3", "dW3")


def test_a_wrong_dW_at_every_layer_is_not_blamed_on_dZ():
    def change(name, value, **known):
        if name == "gradient":
            for layer in value:
                layer["W"] = -layer["W"]
            value[0]["b"] = 2 * value[0]["b"]
        return value

    assert verify_numpy(layerwise(change), net=CLASSES).diagnosis.equation == "BP4 dW_3"


def test_the_first_of_two_layers_is_named():
    edit = ("1 / m * np.dot(dZ, A_prev.T)", "(1 if l == 3 else -1) * (1 + l // 3 * (m - 1)) / m * np.dot(dZ, A_prev.T)")
    diagnosis = verify_numpy(program(edit), net=CATS).diagnosis
    assert (diagnosis.cause, diagnosis.leaf) == ("1/m missing", "dW3")


def test_diagnosis_shows_entry_and_ratio():
    report = verify_numpy(program(("1 / m * np.sum(dZ", "3.14 / m * np.sum(dZ")), net=CATS)
    assert report.diagnosis.cause == UNKNOWN_CAUSE
    assert report.diagnosis.leaf == "db3"
    assert report.diagnosis.entry == (0, 0)
    assert report.diagnosis.ratio == pytest.approx(3.14)
    assert report.diagnosis.submitted == pytest.approx(3.14 * report.diagnosis.correct)
    assert "first error: BP3 db_3, db3[0, 0] = " in str(report)
    assert str(report).endswith("cause: wrong here, cause unknown")
    assert json.loads(json.dumps(report.to_dict()))["diagnosis"]["leaf"] == "db3"
    named = verify_numpy(program(("1 / m * np.sum(dZ", "3 / m * np.sum(dZ")), net=CATS).diagnosis
    assert (named.equation, named.cause) == ("BP3 db_3", "factor 3")
    assert named.remedy == "db3 is 3 times the correct one in every entry, on every batch"


def test_only_the_kink_is_blamed_for_a_convention():
    report = verify_numpy(program(("dZ[Z <= 0]", "dZ[Z < 0]")), net=CATS)
    assert {row.note for row in report.certificate.failures} == {"on a batch with units at a kink only"}
    assert report.diagnosis.erratum == "E12"


# --- costs of the residual, and Poisson -------------------------------------------------------------------------------


def regression(slope, output=lambda Z: Z):
    """The backward pass of 3-4-2, tanh and identity, with ρ' as `slope`; exp and Poisson have the same with ρ' = r."""

    def backward(params, X, Y):
        A1 = np.tanh(params["W1"] @ X + params["b1"])
        A2 = output(params["W2"] @ A1 + params["b2"])
        dZ2 = slope(A2 - Y) / X.shape[1]
        dZ1 = params["W2"].T @ dZ2 * (1 - A1**2)
        return {
            "dW1": dZ1 @ X.T,
            "db1": dZ1.sum(axis=1, keepdims=True),
            "dW2": dZ2 @ A1.T,
            "db2": dZ2.sum(axis=1, keepdims=True),
        }

    return backward


@pytest.mark.parametrize(
    ("cost", "slope"),
    [
        ("huber(0.5)", lambda R: np.clip(R, -0.5, 0.5)),
        ("absolute", np.sign),
        ("quantile(0.9)", lambda R: np.where(R > 0, 0.1, -0.9)),
    ],
)
def test_costs_of_the_residual(cost, slope):
    net, objective = Network((3, 4, 2), "tanh", "identity"), Objective(cost)
    assert verify_numpy(regression(slope), net=net, objective=objective).passed
    forgotten = verify_numpy(regression(lambda R: R), net=net, objective=objective).diagnosis
    assert (forgotten.equation, forgotten.cause) == ("BP1 dZ_2", UNKNOWN_CAUSE)
    summed = verify_numpy(regression(lambda R: slope(R) * R.shape[1]), net=net, objective=objective).diagnosis
    assert (summed.equation, summed.cause) == ("BP1 dZ_2", "1/m missing")


def test_poisson():
    net = Network((3, 4, 2), "tanh", "exp")
    assert verify_numpy(regression(lambda R: R, np.exp), net=net).passed

    def predict_gradient(params, X, Y):
        A1 = np.tanh(params["W1"] @ X + params["b1"])
        rate = np.exp(params["W2"] @ A1 + params["b2"])
        return regression(lambda R: R * rate, np.exp)(params, X, Y)

    assert verify_numpy(predict_gradient, net=net).diagnosis.cause == "g' applied to a cross-entropy"


# --- what goes in and comes out ---------------------------------------------------------------------------------------

SMALL = Network((3, 4, 1), "tanh", "sigmoid")


def right_answer(params, X, Y):
    problem = draw_problem(SMALL, "binary_cross_entropy", 0)._replace(params=params, X=X, Y=Y)
    return run_backward(lambda step: CORRECT, forward_steps(problem))


def test_params_in_either_style_stay_as_they_were():
    params = jax.tree.map(jnp.float32, draw_problem(CATS, "binary_cross_entropy", 7).params)
    X, Y = np.random.default_rng(0).normal(size=(12, 9)), np.ones((1, 9))
    flat = {f"{name}{l}": np.asarray(leaf) for l, layer in enumerate(params, 1) for name, leaf in layer.items()}

    def careless(parameters, X, Y):
        gradient = program()(parameters, X, Y)
        parameters["W1"] -= 1e6
        X *= 0
        Y += 1
        return gradient

    for given in (params, flat):
        assert verify_numpy(careless, given, X, Y, CATS).passed
    assert Y.max() == 1
    assert X.any()
    np.testing.assert_array_equal(flat["W1"], np.asarray(params[0]["W"]))


def test_float64_in_a_float32_process():
    with jax.enable_x64(False):
        assert verify_numpy(right_answer, net=SMALL).certificate.worst < 1e-13
        assert not jax.config.read("jax_enable_x64")
        assert jnp.zeros(1).dtype == "float32"


def test_own_activation_in_a_float32_process():
    net = Network((3, 5, 2), zoo.SINE, "identity")

    def student(params, X, Y):
        Z = params["W1"] @ X + params["b1"]
        A = np.sin(Z)
        dZ2 = (params["W2"] @ A + params["b2"] - Y) / X.shape[1]
        dZ1 = params["W2"].T @ dZ2 * np.cos(A)
        return {
            "dW2": dZ2 @ A.T,
            "db2": dZ2.sum(axis=1, keepdims=True),
            "dW1": dZ1 @ X.T,
            "db1": dZ1.sum(axis=1, keepdims=True),
        }

    with jax.enable_x64(False):
        diagnosis = verify_numpy(student, net=net).diagnosis
    assert (diagnosis.cause, diagnosis.equation) == ("g' evaluated at A", "BP2 dZ_1")


def test_single_precision_is_named():
    def student(params, X, Y):
        return jax.tree.map(np.float32, right_answer(params, X, Y))

    report = verify_numpy(student, net=SMALL)
    assert (report.diagnosis.cause, report.diagnosis.equation) == ("float32", "")
    assert {row.note for row in report.certificate.rows} == {"correct, in float32"}


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_mistake_in_single_precision_is_not_called_rounding(dtype):
    def student(leaf, change):
        def backward(params, X, Y):
            gradient = right_answer(params, X, Y)
            l, name = leaf
            gradient[l - 1][name] = change(gradient[l - 1][name])
            return jax.tree.map(np.dtype(dtype).type, gradient)

        return backward

    def first(leaf, change):
        diagnosis = verify_numpy(student(leaf, change), net=SMALL).diagnosis
        return diagnosis.cause, diagnosis.equation

    assert first((2, "W"), np.negative) == ("wrong sign", "BP4 dW_2")
    assert first((1, "b"), np.ravel) == ("keepdims missing", "BP3 db_1")
    assert first((1, "W"), lambda leaf: leaf) == (dtype, "")
    if dtype == "float32":
        assert first((2, "W"), lambda leaf: 1.0008 * leaf) == (UNKNOWN_CAUSE, "BP4 dW_2")
        assert first((1, "b"), lambda leaf: leaf * np.eye(len(leaf))[:, :1] * 5e-4 + leaf) == (
            UNKNOWN_CAUSE,
            "BP3 db_1",
        )


def test_J_may_be_told_and_is_looked_at():
    right = autodiff_value_and_gradient(draw_problem(SMALL, "binary_cross_entropy", 0))[
        0
    ]  # of the one batch that is drawn

    def student(told):
        return lambda params, X, Y: (told, right_answer(params, X, Y))

    report = verify_numpy(student(right), net=SMALL)
    assert report.passed
    assert report.certificate.rows[0].check == "J"
    report = verify_numpy(student(np.array([[2 * right]])), net=SMALL)
    assert [row.check for row in report.certificate.failures] == ["J"]
    assert (report.diagnosis.equation, report.diagnosis.ratio) == ("J", pytest.approx(2))
    report = verify_numpy(student(np.nan), net=SMALL)
    assert not report.passed
    json.dumps(report.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("share", "cause"),
    [
        (lambda w: w / w.sum(), None),
        (lambda w: 1 / w.size, "weights ignored"),
        (lambda w: w / w.size, "weights divided by m"),
    ],
)
def test_weights(share, cause):
    def student(params, X, Y, weights):
        dZ = (1 / (1 + np.exp(-(params["W1"] @ X + params["b1"]))) - Y) * share(weights)
        return {"dW1": dZ @ X.T, "db1": dZ.sum(axis=1, keepdims=True)}

    rng, net = np.random.default_rng(0), Network((3, 1), (), "sigmoid")
    X, Y, weights = rng.normal(size=(3, 9)), np.ones((1, 9)), rng.uniform(1, 2, size=(1, 9))
    report = verify_numpy(student, None, X, Y, net, weights=weights)
    assert report.passed is (cause is None)
    assert cause is None or report.diagnosis.cause == cause
    with pytest.raises(InputError, match="weights expects X and Y, got neither"):
        verify_numpy(student, net=net, weights=weights)


def test_a_pytree_student_who_writes_into_params_is_told_so():
    def student(params, X, Y):
        params[0] = {"W": 0 * params[0]["W"]}

    (row,) = verify_numpy(student, net=SMALL).certificate.rows
    assert row.note.startswith("backward raised TypeError at `params[0] = ")
    assert row.note.endswith("'tuple' object does not support item assignment")

    def flat(params, X, Y):
        return list(params.keys())[9]

    (row,) = verify_numpy(flat, net=SMALL).certificate.rows
    assert "IndexError" in row.note  # the flat style is meant


def test_answer_may_say_dW_and_db():
    def student(params, X, Y):
        return [{"dW": layer["W"], "db": layer["b"]} for layer in right_answer(params, X, Y)]

    assert verify_numpy(student, net=SMALL).passed


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda gradient: None, "expects a dictionary dW1 … db2, or 2 dictionaries with W and b, got NoneType"),
        (lambda gradient: (gradient, 0.5), "got tuple of length 2: return only the gradient"),
        (lambda gradient: gradient[:1], "got tuple of length 1"),
        (
            lambda gradient: tuple(layer[name] for layer in gradient for name in ("W", "b")),
            'got tuple of length 4: name the arrays: return {"dW1": dW1, "db1": db1, …}',
        ),
        (jaxmlp.params_to_dict, "got the keys W1, b1, W2, b2: return every array under its name: dW1, db1, …"),
        (lambda gradient: {"dW1": gradient[0]["W"]}, "the result of backward expects db1, got the keys dW1"),
        (lambda gradient: [{"W": [[1.0]], "b": [[1.0]]}] * 2, "dW1 expects an array of real numbers, got list"),
        (lambda gradient: jax.tree.map(lambda leaf: leaf + 0j, gradient), "got complex128"),
    ],
)  # fmt: skip
def test_answers_in_another_form(change, note):
    report = verify_numpy(lambda params, X, Y: change(right_answer(params, X, Y)), net=SMALL)
    (row,) = report.certificate.rows
    assert row.verdict == "FAIL"
    assert note in row.note
    assert report.diagnosis.cause == NO_GRADIENT
    assert note in str(report.diagnosis)


def test_nan_is_a_failure():
    def student(params, X, Y):
        gradient = right_answer(params, X, Y)
        gradient[0]["W"][1, 2] = np.nan
        return gradient

    report = verify_numpy(student, net=SMALL)
    (row,) = report.certificate.failures
    assert (row.check, row.where, row.note) == ("BP4 dW", "layer 1", "not finite")
    assert report.diagnosis.entry == (1, 2)
    json.dumps(report.to_dict(), allow_nan=False)
    assert report.to_dict()["rows"][-1]["difference"] is None


def test_an_exception_names_its_line():
    def student(params, X, Y):
        return params[0]["weights"]

    report = verify_numpy(student, net=SMALL)
    assert report.certificate.rows[0].note == """backward raised KeyError at `return params[0]["weights"]`: 'weights'"""
    assert report.diagnosis.cause == NO_GRADIENT


def test_a_given_batch_is_looked_at():
    def student(params, X, Y):
        gradient = right_answer(params, X, Y)
        if X.shape[1] == 2:
            gradient[1]["b"] += 1
        return gradient

    X, Y = np.ones((3, 2)), np.zeros((1, 2))
    params = draw_problem(SMALL, "binary_cross_entropy", 7).params
    assert verify_numpy(student, net=SMALL).passed
    (row,) = verify_numpy(student, params, X, Y, SMALL).certificate.failures
    assert row.note == "on the given batch only"


def test_mistakes_of_the_caller():
    with pytest.raises(InputTypeError, match=r"net expects a jaxmlp.Network, got NoneType"):
        verify_numpy(right_answer)
    with pytest.raises(InputTypeError, match=r"backward expects a function \(params, X, Y\), got dict"):
        verify_numpy({}, net=SMALL)
    with pytest.raises(InputTypeError, match=r"objective expects a jaxmlp.Objective, got 'quadratic'"):
        verify_numpy(right_answer, net=SMALL, objective="quadratic")
    with pytest.raises(InputError, match="verify_numpy expects an objective of cost, l2, examples, got l1"):
        verify_numpy(right_answer, net=SMALL, objective=jaxmlp.Objective(l1=0.1))
    with pytest.raises(InputError, match="verify_numpy expects a network without normalisation, got 'batch'"):
        verify_numpy(right_answer, net=Network((3, 4, 1), "tanh", "sigmoid", norm="batch"))
    with pytest.raises(InputError, match="the batch expects X and Y, got one of them"):
        verify_numpy(right_answer, None, np.ones((3, 2)), net=SMALL)
    with pytest.raises(InputError, match="params expects the keys W1, b1, W2, b2"):
        verify_numpy(right_answer, {"W1": np.ones((4, 3))}, net=SMALL)
    with pytest.raises(InputError, match=r"layer 1 expects A_prev of shape \(3, m\), got \(2, 5\)"):
        verify_numpy(right_answer, None, np.ones((2, 5)), np.ones((1, 5)), net=SMALL)
    with pytest.raises(
        InputError, match=r"the given batch expects a finite gradient, got NaN or infinity: check that X"
    ):
        verify_numpy(right_answer, None, np.full((3, 5), np.nan), np.ones((1, 5)), net=SMALL)
    classes = Network((3, 4), (), "softmax")
    with pytest.raises(InputError, match=r"class ids are 0 … C - 1"):
        verify_numpy(right_answer, None, np.ones((3, 2)), np.array([[0, 9]]), net=classes)
    with pytest.raises(InputError, match=r"Y expects an array|Y for cost"):
        verify_numpy(right_answer, None, np.ones((3, 2)), 1, net=SMALL)
