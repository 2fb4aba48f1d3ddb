"""BP1 to BP4 proved: the equations of the package on symbols against derivatives by SymPy, as exact identities.

g is any differentiable activation, W, b, X and Y are any numbers, and so is λ: the loop of `numpy_backprop` runs on
arrays of symbols, and the difference from the derivative of J expands to 0.
"""

import itertools

import numpy as np
import pytest

import jaxmlp
from jaxmlp.evidence.formulas import ActivationFormula
from jaxmlp.evidence.numpy_check import numpy_backprop
from jaxmlp.evidence.numpy_check.numpy_backprop import CORRECT, Problem, forward_steps, run_backward

sympy = pytest.importorskip("sympy")


def unknown_function(name):
    """A function of which only its derivative's name is known, and the two on arrays."""
    slope = sympy.Function(f"{name}'")
    g = type(name, (sympy.Function,), {"fdiff": lambda self, argindex=1: slope(self.args[0])})
    apply, slopes = (np.vectorize(f, otypes=[object]) for f in (g, slope))
    return ActivationFormula(apply, slopes, lambda Z, dA: dA * slopes(Z))


def symbols(name, *shape):
    flat = [sympy.Symbol(f"{name}{''.join(map(str, index))}") for index in np.ndindex(*shape)]
    return np.array(flat, dtype=object).reshape(shape)


def problem_of(sizes, m, monkeypatch):
    activations = iter([unknown_function(f"g{l}") for l in range(1, len(sizes))])
    monkeypatch.setattr(numpy_backprop, "numpy_activation", lambda g: next(activations))
    params = tuple(
        {"W": symbols(f"W{l}_", n, n_prev), "b": symbols(f"b{l}_", n, 1)}
        for l, (n_prev, n) in enumerate(itertools.pairwise(sizes), start=1)
    )
    # weights of 1 keep 1/m a fraction
    ones = np.array([[sympy.Integer(1)] * m], dtype=object)
    net = jaxmlp.Network(sizes, "tanh", "tanh")
    l2 = sympy.Symbol("λ", positive=True)
    return Problem(net, "quadratic", params, symbols("x", sizes[0], m), symbols("y", sizes[-1], m), ones, l2)


@pytest.mark.parametrize(
    ("sizes", "m"),
    [
        ((1, 1), 1),
        ((2, 3), 2),
        ((2, 2, 1), 3),
        ((1, 2, 2, 1), 2),
        pytest.param((4, 3, 2), 4, marks=pytest.mark.slow),
        pytest.param((4, 4, 4), 2, marks=pytest.mark.slow),
    ],
)
def test_every_gradient_is_the_derivative_of_the_cost(sizes, m, monkeypatch):
    problem = problem_of(sizes, m, monkeypatch)
    steps = forward_steps(problem)
    errors = steps[-1].A - problem.Y
    penalty = sum((layer["W"] ** 2).sum() for layer in problem.params)
    J = (errors**2).sum() / (2 * sympy.Integer(m)) + problem.l2 * penalty / (2 * sympy.Integer(m))
    gradient = run_backward(lambda step: CORRECT, steps)
    for layer, dlayer in zip(problem.params, gradient, strict=True):
        for name in ("W", "b"):
            assert dlayer[name].shape == layer[name].shape
            for variable, formula in zip(layer[name].flat, dlayer[name].flat, strict=True):
                assert sympy.expand(sympy.diff(J, variable) - formula) == 0


def test_a_forgotten_slope_is_no_identity(monkeypatch):
    problem = problem_of((2, 2, 1), 2, monkeypatch)
    steps = forward_steps(problem)
    J = ((steps[-1].A - problem.Y) ** 2).sum() / 4
    wrong = CORRECT._replace(pullback=lambda step, dA: dA, penalty_gradient=lambda step: (0, 0))
    dW = run_backward(lambda step: wrong, steps)[0]["W"]
    assert sympy.expand(sympy.diff(J, problem.params[0]["W"][0, 0]) - dW[0, 0]) != 0


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_the_error_of_a_softmax_with_its_cross_entropy(classes):
    z, y = symbols("z", classes), symbols("y", classes)
    a = np.array([sympy.exp(v) for v in z], dtype=object)
    a = a / a.sum()
    loss = -sum(t * sympy.log(p) for t, p in zip(y, a, strict=True))
    for k in range(classes):
        assert sympy.simplify(sympy.diff(loss, z[k]) - (y.sum() * a[k] - y[k])) == 0


def test_the_error_of_a_sigmoid_with_its_cross_entropy():
    z, y = sympy.symbols("z y", real=True)
    a = 1 / (1 + sympy.exp(-z))
    loss = -y * sympy.log(a) - (1 - y) * sympy.log(1 - a)
    assert sympy.simplify(sympy.diff(loss, z) - (a - y)) == 0


def test_the_slope_of_tanh_and_of_softplus():
    z = sympy.Symbol("z", real=True)
    assert sympy.simplify(sympy.diff(sympy.tanh(z), z) - (1 - sympy.tanh(z) ** 2)) == 0
    assert sympy.simplify(sympy.diff(sympy.log(1 + sympy.exp(z)), z) - 1 / (1 + sympy.exp(-z))) == 0
