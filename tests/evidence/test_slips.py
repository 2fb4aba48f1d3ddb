"""The plain loop is right, and every slip of the table is a fault where it says it is."""

import numpy as np
import pytest
import zoo

from jaxmlp import Network
from jaxmlp.errors import InputError
from jaxmlp.evidence.student.causes import BOUND, Trial, chain, difference, explanations, places, slipped
from jaxmlp.evidence.student.loop import RIGHT, Problem, backward_with, forward
from jaxmlp.evidence.student.mutants import NETWORKS, SATURATED
from jaxmlp.evidence.student.slips import SLIPS, find
from jaxmlp.evidence.student.trials import at_kinks, draw, right_gradient

# what of the ledger can be a fault of a gradient; the rest is about text, names and claims
FAULTS_OF_THE_LEDGER = {"E1", "E2", "E3", "E4", "E9", "E11", "E12", "E13", "E15", "E19", "E20", "E24"}

PROBLEMS = {name: make(0) for name, make in (NETWORKS | SATURATED).items()}


def worst(given, right):
    return max(difference(given[l - 1][name], right[l - 1][name]) for l, name in chain(len(right)))


@pytest.mark.parametrize("name", zoo.NETWORKS)
def test_loop_is_autodiff(name):
    net, cost = zoo.NETWORKS[name]
    problem = draw(net, cost, seed=3)._replace(l2=0.3)
    problem = problem._replace(weights=np.linspace(0.5, 2, problem.m)[None])
    assert worst(backward_with(lambda step: RIGHT, forward(problem)), right_gradient(problem)) < 1e-12


@pytest.mark.parametrize("g", zoo.ACTIVATIONS, ids=lambda g: g.name)
def test_loop_knows_every_activation(g):
    problem = at_kinks(draw(Network((3, 5, 2), g, "identity"), "quadratic", seed=4))
    right = right_gradient(problem)
    given = backward_with(lambda step: RIGHT, forward(problem))
    assert max(np.abs(a[k] - b[k]).max() for a, b in zip(given, right, strict=True) for k in a) < 1e-12


@pytest.mark.parametrize("slip", SLIPS, ids=lambda slip: f"{slip.equation} {slip.name}")
def test_slip_is_a_fault_wherever_it_can_be_written(slip):
    planted = 0
    for problem in PROBLEMS.values():
        steps = forward(problem)
        right = backward_with(lambda step: RIGHT, steps)
        for layer in places(slip, [steps]):
            given = slipped(slip, steps, layer)
            if given is not None:
                planted += 1
                assert worst(given, right) > 1e6 * BOUND, (problem.net, layer)
    assert planted


def test_slip_stays_out_where_it_cannot_be_seen():
    steps = forward(draw(Network((3, 5, 1), "relu", "sigmoid"), "binary_cross_entropy", seed=0))
    assert places(find("g' at A")[-1], [steps]) == []  # in BP2: relu'(A) is relu'(Z)
    assert places(find("g' at A")[0], [steps]) == [2]  # in BP1, by way of dA
    assert places(find("the convention at 0")[0], [steps]) == []  # no Z is 0
    assert places(find("W not transposed")[0], [steps]) == [2]
    assert slipped(find("W not transposed")[0], steps, 2) is None  # (1, 5) @ (1, m)
    assert places(find("sign")[2], [steps]) == [1, 2, None]


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
        ("m + 1 terms", "BP1", [[1 / 3, 2 / 3]], [[1 / 3]]),
        ("g' for a cross-entropy", "BP1", [[0.125, 0.25]], [[0.125]]),
        ("sign", "BP1", [[-0.5, -1.0]], [[-0.5]]),
        ("keepdims missing", "BP3", [[0.5, 1.0]], [0.5]),
        ("mean for sum", "BP3", [[0.5, 1.0]], [[0.25]]),
        ("sum for mean", "BP3", [[0.5, 1.0]], [[1.0]]),
        ("wrong axis", "BP3", [[0.5, 1.0]], [[0.25, 0.25]]),
        ("one example for the sum", "BP3", [[0.5, 1.0]], [[0.25]]),
        ("A not transposed", "BP4", [[0.75, 0.75]], [[0.5]]),  # (1/4, 1/4) @ [[1, 1], [2, 2]]
        ("A_l for A_{l-1}", "BP4", [[0.25]], [[0.5]]),
        ("dW transposed", "BP4", [[0.5], [1.0]], [[0.5]]),
    ],
)
def test_slips_by_hand(name, equation, dW, db):
    slip = next(slip for slip in find(name) if slip.equation == equation)
    gradient = slipped(slip, forward(ONE_UNIT))
    assert gradient is not None
    np.testing.assert_allclose(gradient[0]["W"], dW, rtol=1e-15)
    np.testing.assert_allclose(gradient[0]["b"], db, rtol=1e-15)
    assert (gradient[0]["W"].shape, gradient[0]["b"].shape) == (np.shape(dW), np.shape(db))


def test_ledger_is_covered():
    assert {slip.erratum for slip in SLIPS if slip.erratum} == FAULTS_OF_THE_LEDGER
    assert all(slip.equation in ("BP1", "BP2", "BP3", "BP4", "penalty") for slip in SLIPS)


def test_unknown_slip_is_refused():
    with pytest.raises(
        InputError, match=r"slip expects one of .* got 'keepdims mising': did you mean 'keepdims missing'"
    ):
        find("keepdims mising")


def test_right_gradient_has_no_explanation():
    steps = forward(PROBLEMS["binary"])
    right = right_gradient(PROBLEMS["binary"])
    assert explanations([Trial("a batch", steps, right, right)], chain(3)) == []


def test_penalty_has_its_own_m():
    problem = draw(Network((3, 4, 2), "tanh", "identity"), "quadratic", seed=0)
    plain = right_gradient(problem)
    penalised = right_gradient(problem._replace(l2=0.5, examples=10.0))
    np.testing.assert_allclose(penalised[0]["W"] - plain[0]["W"], 0.05 * problem.params[0]["W"], rtol=1e-12, atol=1e-14)
