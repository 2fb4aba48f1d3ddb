"""The plain loop is right, and every mistake of the table is a fault where it says it is."""

import numpy as np
import pytest
import zoo

from jaxmlp import Network
from jaxmlp.errors import InputError
from jaxmlp.evidence.numpy_check import factors
from jaxmlp.evidence.numpy_check.common_mistakes import MISTAKES, find_mistake
from jaxmlp.evidence.numpy_check.match_mistake import (
    BOUND,
    Trial,
    difference,
    leaf_order,
    matching_mistakes,
    possible_layers,
    predict_gradient,
)
from jaxmlp.evidence.numpy_check.mutants import NETWORKS, SATURATED
from jaxmlp.evidence.numpy_check.numpy_backprop import CORRECT, Problem, forward_steps, run_backward
from jaxmlp.evidence.numpy_check.trials import autodiff_gradient, draw_problem, move_to_kinks

# what of the ledger can be a fault of a gradient; the rest is about text, names and claims
FAULTS_OF_THE_LEDGER = {"E1", "E2", "E3", "E4", "E9", "E11", "E12", "E13", "E15", "E19", "E20", "E24"}

PROBLEMS = {name: make(0) for name, make in (NETWORKS | SATURATED).items()}


def worst(given, right):
    return max(difference(given[l - 1][name], right[l - 1][name]) for l, name in leaf_order(len(right)))


@pytest.mark.parametrize("name", zoo.NETWORKS)
def test_loop_is_autodiff(name):
    net, cost = zoo.NETWORKS[name]
    problem = draw_problem(net, cost, seed=3)._replace(l2=0.3)
    problem = problem._replace(weights=np.linspace(0.5, 2, problem.m)[None])
    assert worst(run_backward(lambda step: CORRECT, forward_steps(problem)), autodiff_gradient(problem)) < 1e-12


@pytest.mark.parametrize("g", zoo.ACTIVATIONS, ids=lambda g: g.name)
def test_loop_knows_every_activation(g):
    problem = move_to_kinks(draw_problem(Network((3, 5, 2), g, "identity"), "quadratic", seed=4))
    right = autodiff_gradient(problem)
    given = run_backward(lambda step: CORRECT, forward_steps(problem))
    assert max(np.abs(a[k] - b[k]).max() for a, b in zip(given, right, strict=True) for k in a) < 1e-12


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: f"{mistake.equation} {mistake.name}")
def test_mistake_is_a_fault_wherever_it_can_be_written(mistake):
    planted = 0
    for problem in PROBLEMS.values():
        steps = forward_steps(problem)
        right = run_backward(lambda step: CORRECT, steps)
        for layer in possible_layers(mistake, [steps]):
            given = predict_gradient(mistake, steps, layer)
            if given is not None:
                planted += 1
                assert worst(given, right) > 1e6 * BOUND, (problem.net, layer)
    assert planted


def test_mistake_stays_out_where_it_cannot_be_seen():
    steps = forward_steps(draw_problem(Network((3, 5, 1), "relu", "sigmoid"), "binary_cross_entropy", seed=0))
    assert possible_layers(find_mistake("g' evaluated at A")[-1], [steps]) == []  # in BP2: relu'(A) is relu'(Z)
    assert possible_layers(find_mistake("g' evaluated at A")[0], [steps]) == [2]  # in BP1, by way of dA
    assert possible_layers(find_mistake("slope convention at 0")[0], [steps]) == []  # no Z is 0
    assert possible_layers(find_mistake("W not transposed")[0], [steps]) == [2]
    assert predict_gradient(find_mistake("W not transposed")[0], steps, 2) is None  # (1, 5) @ (1, m)
    assert possible_layers(find_mistake("wrong sign")[2], [steps]) == [1, 2, None]


# One unit by hand: W = (1/2, -1/4), b = 0, x = (1, 2) twice, y = 0:
# Z = 0, a = 1/2, dZ = (1/4, 1/4), db = 1/2, dW = (1/2, 1)
ONE_UNIT = Problem(
    Network((2, 1), (), "sigmoid"),
    "binary_cross_entropy",
    ({"W": np.array([[0.5, -0.25]]), "b": np.zeros((1, 1))},),
    np.array([[1.0, 1.0], [2.0, 2.0]]),
    np.zeros((1, 2)),
)


@pytest.mark.parametrize(
    ("name", "equation", "dW", "db"),
    [
        ("1/m missing", "BP1", [[1.0, 2.0]], [[1.0]]),
        ("1/m twice", "BP1", [[0.25, 0.5]], [[0.25]]),
        ("division by m + 1", "BP1", [[1 / 3, 2 / 3]], [[1 / 3]]),
        ("g' applied to a cross-entropy", "BP1", [[0.125, 0.25]], [[0.125]]),
        ("wrong sign", "BP1", [[-0.5, -1.0]], [[-0.5]]),
        ("keepdims missing", "BP3", [[0.5, 1.0]], [0.5]),
        ("mean in place of sum", "BP3", [[0.5, 1.0]], [[0.25]]),
        ("sum in place of mean", "BP3", [[0.5, 1.0]], [[1.0]]),
        ("wrong axis", "BP3", [[0.5, 1.0]], [[0.25, 0.25]]),
        ("one example in place of the sum", "BP3", [[0.5, 1.0]], [[0.25]]),
        ("A not transposed", "BP4", [[0.75, 0.75]], [[0.5]]),  # (1/4, 1/4) @ [[1, 1], [2, 2]]
        ("A_l in place of A_{l-1}", "BP4", [[0.25]], [[0.5]]),
        ("dW transposed", "BP4", [[0.5], [1.0]], [[0.5]]),
    ],
)
def test_mistakes_by_hand(name, equation, dW, db):
    mistake = next(mistake for mistake in find_mistake(name) if mistake.equation == equation)
    gradient = predict_gradient(mistake, forward_steps(ONE_UNIT))
    assert gradient is not None
    np.testing.assert_allclose(gradient[0]["W"], dW, rtol=1e-15)
    np.testing.assert_allclose(gradient[0]["b"], db, rtol=1e-15)
    assert (gradient[0]["W"].shape, gradient[0]["b"].shape) == (np.shape(dW), np.shape(db))


def test_ledger_is_covered():
    assert {mistake.erratum for mistake in MISTAKES if mistake.erratum} == FAULTS_OF_THE_LEDGER
    assert all(mistake.equation in ("BP1", "BP2", "BP3", "BP4", "penalty") for mistake in MISTAKES)


def test_unknown_mistake_is_refused():
    with pytest.raises(
        InputError, match=r"mistake expects one of .* got 'keepdims mising': did you mean 'keepdims missing'"
    ):
        find_mistake("keepdims mising")


def test_right_gradient_has_no_explanation():
    steps = forward_steps(PROBLEMS["binary"])
    right = autodiff_gradient(PROBLEMS["binary"])
    assert matching_mistakes([Trial("a batch", steps, right, right)], leaf_order(3)) == []


def test_penalty_has_its_own_m():
    problem = draw_problem(Network((3, 4, 2), "tanh", "identity"), "quadratic", seed=0)
    plain = autodiff_gradient(problem)
    penalised = autodiff_gradient(problem._replace(l2=0.5, examples=10.0))
    np.testing.assert_allclose(penalised[0]["W"] - plain[0]["W"], 0.05 * problem.params[0]["W"], rtol=1e-12, atol=1e-14)


def test_an_early_update_is_no_cause_where_a_batch_fits_no_rate(monkeypatch):
    problems = [draw_problem(Network((3, 4, 2), "tanh", "identity"), "quadratic", seed=seed) for seed in (1, 2)]
    trials = []
    for problem in problems:
        steps = tuple(forward_steps(problem))
        gradient = run_backward(lambda step: CORRECT, steps)
        trials.append(Trial("", steps, gradient, gradient))
    for rates, found in ([0.1, 0.1], True), ([0.1, None], False), ([None, 0.1], False):
        drawn = iter(rates * 4)
        monkeypatch.setattr(factors, "_fit_rate", lambda *_, drawn=drawn: next(drawn))
        monkeypatch.setattr(factors, "_has_shapes", lambda *_: True)
        assert (factors.match_early_update(trials, 1) is not None) == found
