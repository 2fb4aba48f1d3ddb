"""A student's backward pass: the right one passes, a wrong one is named, and never by a wrong name."""

import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import zoo

from jaxmlp import Network, Objective
from jaxmlp.errors import InputError, InputTypeError
from jaxmlp.evidence.student import verify_numpy as module
from jaxmlp.evidence.student.loop import RIGHT, backward_with, forward
from jaxmlp.evidence.student.slips import UNKNOWN
from jaxmlp.evidence.student.trials import draw

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
        ([("1 / m * np.sum(dZ", "np.sum(dZ")], "sum for mean", "BP3 db_3"),
        ([("1 / m * np.dot", "np.dot"), ("1 / m * np.sum", "np.sum")], "1/m missing", "BP1 dZ_3"),
        ([("1 / m * np.sum(dZ", "1 / m * np.mean(dZ")], "mean for sum", "BP3 db_3"),
        ([("dA = -(np", "dA = -1 / m * (np")], "1/m twice", "BP1 dZ_3"),
        ([("dA = -(np", "dA = (np")], "sign", "BP1 dZ_3"),
        ([(", axis=1, keepdims=True", ", axis=1")], "keepdims missing", "BP3 db_3"),
        ([("axis=1, keepdims", "axis=0, keepdims")], "wrong axis", "BP3 db_3"),
        ([(", axis=1, keepdims=True", "")], "axis missing", "BP3 db_3"),
        ([("dZ = dA * s * (1 - s)", "dZ = (A - Y) * s * (1 - s)")], "g' for a cross-entropy", "BP1 dZ_3"),
        ([("            dZ[Z <= 0] = 0\n", "")], "g' missing", "BP2 dZ_2"),
        ([("dZ[Z <= 0]", "dZ[Z < 0]")], "the convention at 0", "BP2 dZ_2"),
        ([("np.dot(W.T, dZ)", "-np.dot(W.T, dZ)")], "sign", "BP2 dZ_2"),
        ([("np.dot(dZ, A_prev.T)", "np.dot(dZ, np.maximum(0, Z).T if l < L else s.T)")], "A_l for A_{l-1}", "BP4 dW_3"),
        ([("np.dot(dZ, A_prev.T)", "np.dot(A_prev, dZ.T)")], "dW transposed", "BP4 dW_3"),
        ([("np.dot(dZ, A_prev.T)", "np.dot(dZ, X.T)")], "X for A_{l-1}", "BP4 dW_3"),
    ],
)
def test_the_course_program_with_a_slip(edits, cause, equation):
    report = verify_numpy(program(*edits), net=CATS)
    assert not report.passed
    assert (report.diagnosis.cause, report.diagnosis.equation) == (cause, equation)
    assert report.diagnosis.remedy


@pytest.mark.parametrize(
    ("edit", "cause", "message"),
    [
        (("np.dot(W.T, dZ)", "np.dot(W, dZ)"), "W not transposed", "shapes (1,5) and (1,7) not aligned"),
        (("np.dot(W.T, dZ)", "W.T * dZ"), "elementwise product with Wᵀ", "could not be broadcast"),
        (("np.dot(dZ, A_prev.T)", "np.dot(dZ, A_prev)"), "A not transposed", "not aligned"),
    ],
)
def test_a_product_that_raises_is_named_on_a_square_network(edit, cause, message):
    report = verify_numpy(program(edit), net=CATS)
    assert not report.passed
    assert report.diagnosis.cause == cause
    (row,) = report.certificate.rows
    assert "backward raised ValueError" in row.note
    assert message in row.note
    assert "\n" not in row.note


def test_two_slips_of_one_layer_are_both_named():
    # hidden layers alone: at the output both together would be the missing 1/m of BP1
    edits = [("1 / m * np.dot(dZ", "-1 / m * np.dot(dZ"), ("axis=1, keepdims=True", "axis=1")]
    assert verify_numpy(program(*edits), net=CATS).diagnosis.cause == "keepdims missing and sign"


def test_the_first_of_two_layers_is_named():
    edit = ("1 / m * np.dot(dZ, A_prev.T)", "(1 if l == 3 else -1) * (1 + l // 3 * (m - 1)) / m * np.dot(dZ, A_prev.T)")
    diagnosis = verify_numpy(program(edit), net=CATS).diagnosis
    assert (diagnosis.cause, diagnosis.leaf) == ("1/m missing", "dW3")


def test_diagnosis_shows_entry_and_ratio():
    report = verify_numpy(program(("1 / m * np.sum(dZ", "3 / m * np.sum(dZ")), net=CATS)
    assert report.diagnosis.cause == UNKNOWN
    assert report.diagnosis.leaf == "db3"
    assert report.diagnosis.entry == (0, 0)
    assert report.diagnosis.ratio == pytest.approx(3)
    assert report.diagnosis.given == pytest.approx(3 * report.diagnosis.right)
    assert "first wrong: BP3 db_3, db3[0, 0] = " in str(report)
    assert str(report).endswith("cause: wrong here, cause unknown")
    assert json.loads(json.dumps(report.to_dict()))["diagnosis"]["leaf"] == "db3"


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
    assert (forgotten.equation, forgotten.cause) == ("BP1 dZ_2", UNKNOWN)
    summed = verify_numpy(regression(lambda R: slope(R) * R.shape[1]), net=net, objective=objective).diagnosis
    assert (summed.equation, summed.cause) == ("BP1 dZ_2", "1/m missing")


def test_poisson():
    net = Network((3, 4, 2), "tanh", "exp")
    assert verify_numpy(regression(lambda R: R, np.exp), net=net).passed

    def slipped(params, X, Y):
        A1 = np.tanh(params["W1"] @ X + params["b1"])
        rate = np.exp(params["W2"] @ A1 + params["b2"])
        return regression(lambda R: R * rate, np.exp)(params, X, Y)

    assert verify_numpy(slipped, net=net).diagnosis.cause == "g' for a cross-entropy"


# --- what goes in and comes out ---------------------------------------------------------------------------------------

SMALL = Network((3, 4, 1), "tanh", "sigmoid")


def right_answer(params, X, Y):
    problem = draw(SMALL, "binary_cross_entropy", 0)._replace(params=params, X=X, Y=Y)
    return backward_with(lambda step: RIGHT, forward(problem))


def test_params_in_either_style_stay_as_they_were():
    params = jax.tree.map(jnp.float32, draw(CATS, "binary_cross_entropy", 7).params)
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
    assert (diagnosis.cause, diagnosis.equation) == ("g' at A", "BP2 dZ_1")


def test_single_precision_is_named():
    def student(params, X, Y):
        return jax.tree.map(np.float32, right_answer(params, X, Y))

    assert verify_numpy(student, net=SMALL).diagnosis.cause == "float32"


def test_answer_may_say_dW_and_db():
    def student(params, X, Y):
        return [{"dW": layer["W"], "db": layer["b"]} for layer in right_answer(params, X, Y)]

    assert verify_numpy(student, net=SMALL).passed


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda gradient: None, "expects a dictionary dW1 … db2, or 2 dictionaries with W and b, got NoneType"),
        (lambda gradient: (0.5, gradient), "got tuple of length 2: return the gradient alone"),
        (lambda gradient: gradient[:1], "got tuple of length 1"),
        (lambda gradient: {"dW1": gradient[0]["W"]}, "the answer of backward expects db1, got the keys dW1"),
        (lambda gradient: [{"W": [[1.0]], "b": [[1.0]]}] * 2, "dW1 expects an array of real numbers, got list"),
        (lambda gradient: jax.tree.map(lambda leaf: leaf + 0j, gradient), "got complex128"),
    ],
)  # fmt: skip
def test_answers_in_another_form(change, note):
    report = verify_numpy(lambda params, X, Y: change(right_answer(params, X, Y)), net=SMALL)
    (row,) = report.certificate.rows
    assert row.verdict == "FAIL"
    assert note in row.note
    assert report.diagnosis.cause == UNKNOWN
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
    json.dumps(report.to_dict())


def test_an_exception_names_its_line():
    def student(params, X, Y):
        return params[0]["weights"]

    report = verify_numpy(student, net=SMALL)
    assert report.certificate.rows[0].note == """backward raised KeyError at `return params[0]["weights"]`: 'weights'"""
    assert report.diagnosis.cause == UNKNOWN


def test_a_given_batch_is_looked_at():
    def student(params, X, Y):
        gradient = right_answer(params, X, Y)
        if X.shape[1] == 2:
            gradient[1]["b"] += 1
        return gradient

    X, Y = np.ones((3, 2)), np.zeros((1, 2))
    params = draw(SMALL, "binary_cross_entropy", 7).params
    assert verify_numpy(student, net=SMALL).passed
    (row,) = verify_numpy(student, params, X, Y, SMALL).certificate.failures
    assert row.note == "on the given batch only"


def test_mistakes_of_the_caller():
    with pytest.raises(InputTypeError, match=r"net expects a jaxmlp.Network, got NoneType"):
        verify_numpy(right_answer)
    with pytest.raises(InputTypeError, match=r"backward expects a function \(params, X, Y\), got dict"):
        verify_numpy({}, net=SMALL)
    with pytest.raises(InputError, match="the batch expects X and Y, got one of them"):
        verify_numpy(right_answer, None, np.ones((3, 2)), net=SMALL)
    with pytest.raises(InputError, match="params expects the keys W1, b1, W2, b2"):
        verify_numpy(right_answer, {"W1": np.ones((4, 3))}, net=SMALL)
    with pytest.raises(InputError, match=r"layer 1 expects A_prev of shape \(3, m\), got \(2, 5\)"):
        verify_numpy(right_answer, None, np.ones((2, 5)), np.ones((1, 5)), net=SMALL)
    with pytest.raises(InputError, match=r"the given batch expects a finite gradient, got NaN or infinity: are X"):
        verify_numpy(right_answer, None, np.full((3, 5), np.nan), np.ones((1, 5)), net=SMALL)
    classes = Network((3, 4), (), "softmax")
    with pytest.raises(InputError, match=r"class ids 0 … C - 1\?"):
        verify_numpy(right_answer, None, np.ones((3, 2)), np.array([[0, 9]]), net=classes)
    with pytest.raises(InputError, match=r"Y expects an array|Y for cost"):
        verify_numpy(right_answer, None, np.ones((3, 2)), 1, net=SMALL)
