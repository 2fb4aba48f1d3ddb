"""The textbook's backward pass in NumPy and float64: one plain loop whose equations can be replaced.

    forward    Z_l = W_l A_{l-1} + b_l,  A_l = g_l(Z_l)
    BP1        dZ_L = (A_L - Y)/m for the cross-entropies and Poisson; for a cost Σ ρ(a - y) the pullback of g_L at
               ρ'(A_L - Y)/m
    BP2        dZ_l = dA_l ⊙ g_l'(Z_l)              softmax: A ⊙ (dA - Σ A dA); maxout: dA to the first largest piece
               dA_{l-1} = W_lᵀ dZ_l
    BP3        db_l = Σ over columns of dZ_l, (n_l, 1)
    BP4        dW_l = dZ_l A_{l-1}ᵀ
    penalty    dW_l gains λ/m W_l

No formula is shared with `jaxmlp.nn`. The table of common mistakes replaces one equation at one layer or at all of
them; the result is the gradient of a program with that mistake.

Sources: Nielsen, chapter 2; Ng's course; the tutorials' NumPy program.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray as Array

from jaxmlp.evidence.formulas import ActivationFormula, Layers, formula, residual_loss
from jaxmlp.nn.activations import Activation
from jaxmlp.nn.network import Network

# --- activations ------------------------------------------------------------------------------------------------------


def numpy_activation(g: Activation) -> ActivationFormula:
    """Return an activation in NumPy; that of a user is evaluated by JAX and differentiated by autodiff.

    >>> from jaxmlp.nn.activations import find
    >>> numpy_activation(find("leaky_relu(0.2)")).slope(np.array([-1.0, 3.0])).tolist()
    [0.2, 1.0]
    """
    if (known := formula(g)) is not None:
        return known

    def apply(Z: Array) -> Array:
        with jax.enable_x64(True):
            return np.asarray(g.apply(jnp.asarray(Z)))

    def pullback(Z: Array, dA: Array) -> Array:
        with jax.enable_x64(True):
            return np.asarray(jax.vjp(g.apply, jnp.asarray(Z))[1](jnp.asarray(dA))[0])

    return ActivationFormula(apply, (lambda Z: pullback(Z, np.ones_like(Z))) if g.elementwise else None, pullback)


# --- the problem, and a layer of the backward pass --------------------------------------------------------------------


class Problem(NamedTuple):
    """A network, its cost by name, parameters and a batch.

    Attributes:
      net, cost: what is differentiated; the cost by its full name, "huber(1.0)".
      params: float64 arrays, {"W", "b"} per layer.
      X, Y: (n0, m), and (n_L, m) or integer class ids (1, m).
      weights: (1, m), or None.
      l2: λ of the penalty λ/(2m) Σ‖W‖²; 0 for no penalty.
      examples: the m of that penalty; None for the examples of the batch.
    """

    net: Network
    cost: str
    params: Layers
    X: Array
    Y: Array
    weights: Array | None = None
    l2: float = 0.0
    examples: float | None = None

    @property
    def m(self) -> int:
        """Return the number of examples in the batch."""
        return self.X.shape[1]

    @property
    def has_class_ids(self) -> bool:
        """Whether Y contains class ids."""
        return self.cost == "categorical_cross_entropy" and self.Y.shape[0] == 1

    @property
    def targets(self) -> Array:
        """Return Y, (n_L, m), with class ids as one-hot columns."""
        return np.eye(self.net.sizes[-1])[:, self.Y[0]] if self.has_class_ids else self.Y

    @property
    def mean_weights(self) -> Array:
        """Return the weight of each example in the mean, (1, m): 1/m, or w / Σ w."""
        w = np.ones((1, self.m)) if self.weights is None else self.weights
        return w / w.sum()

    @property
    def decay(self) -> float:
        """Return λ/m, the factor of W in the penalty's gradient."""
        m = self.m if self.weights is None else self.weights.sum()
        return self.l2 / (self.examples or m)


class LayerStep(NamedTuple):
    """Layer l in the backward pass, with everything that the forward pass computed for it."""

    l: int
    problem: Problem
    g: ActivationFormula
    name: str
    W: Array
    b: Array
    A_prev: Array
    Z_prev: Array | None
    Z: Array
    A: Array
    above: "LayerStep | None" = None  # layer l + 1, from which dA comes; None at the output

    @property
    def is_output(self) -> bool:
        """Whether this is the output layer."""
        return self.l == self.problem.net.depth


Pullback = Callable[[LayerStep, Array], Array]


class Equations(NamedTuple):
    """The equations of one layer; each can be replaced.

    Attributes:
      output_error: BP1, (step, pullback) -> dZ_L.
      pullback: BP2, (step, dA) -> dZ.
      input_gradient: BP2, (step, dZ) -> dA_prev.
      bias_gradient: BP3, (step, dZ) -> db.
      weight_gradient: BP4, (step, dZ) -> dW.
      penalty_gradient: step -> the terms that the penalty adds to dW and to db.
    """

    output_error: Callable[[LayerStep, Pullback], Array]
    pullback: Pullback
    input_gradient: Callable[[LayerStep, Array], Array]
    bias_gradient: Callable[[LayerStep, Array], Array]
    weight_gradient: Callable[[LayerStep, Array], Array]
    penalty_gradient: Callable[[LayerStep], tuple[Array | float, Array | float]]


def _correct_output_error(step: LayerStep, pullback: Pullback) -> Array:
    problem = step.problem
    if rho := residual_loss(problem.cost):
        return pullback(step, rho.slope(step.A - problem.targets) * problem.mean_weights)
    Y = problem.targets
    # soft labels need not add up to 1, and their sum is a factor of A; for one-hot columns it is 1
    total = Y.sum(axis=0) if problem.cost == "categorical_cross_entropy" else 1.0
    return (total * step.A - Y) * problem.mean_weights


CORRECT = Equations(
    output_error=_correct_output_error,
    pullback=lambda step, dA: step.g.pullback(step.Z, dA),
    input_gradient=lambda step, dZ: step.W.T @ dZ,
    bias_gradient=lambda step, dZ: dZ.sum(axis=1, keepdims=True),
    weight_gradient=lambda step, dZ: dZ @ step.A_prev.T,
    # no term at all without a penalty: adding 0 W would raise for a dW of a wrong shape, which a mistake may give
    penalty_gradient=lambda step: (step.problem.decay * step.W if step.problem.l2 else 0.0, 0.0),
)


def _unchanged(step: LayerStep) -> LayerStep:
    return step


def forward_steps(problem: Problem, change: Callable[[LayerStep], LayerStep] = _unchanged) -> tuple[LayerStep, ...]:
    """Return Z and A of every layer; `change` replaces those of a layer before the next one uses its A."""
    A, Z_prev, steps = problem.X, None, []
    for l, (record, layer) in enumerate(zip(problem.net.activations, problem.params, strict=True), start=1):
        g, A_prev = numpy_activation(record), A
        Z = layer["W"] @ A_prev + layer["b"]  # (n_l, m)
        step = change(LayerStep(l, problem, g, record.name, layer["W"], layer["b"], A_prev, Z_prev, Z, g.apply(Z)))
        Z_prev, A = step.Z, step.A
        steps.append(step)
    above = None
    for i in reversed(range(len(steps))):
        # from the output down: a step is immutable, and must get the finished step above it
        above = steps[i] = steps[i]._replace(above=above)
    return tuple(steps)


def run_backward(equations_of: Callable[[LayerStep], Equations], steps: tuple[LayerStep, ...]) -> Layers:
    """Return dJ/dparams, computed with the equations that `equations_of` returns for each layer.

    >>> from jaxmlp.nn.network import Network
    >>> layer = {"W": np.array([[0.5, -0.25]]), "b": np.zeros((1, 1))}
    >>> net, X, Y = Network((2, 1), (), "sigmoid"), np.array([[1.0], [2.0]]), np.zeros((1, 1))
    >>> problem = Problem(net, "quadratic", (layer,), X, Y)
    >>> run_backward(lambda step: CORRECT, forward_steps(problem))[0]["W"].tolist()    # 1/2 · 1/4 · (1, 2)
    [[0.125, 0.25]]
    """
    gradient, dA = [], steps[-1].A  # the first dA is not read: BP1 gives dZ_L
    for step in reversed(steps):
        use = equations_of(step)
        dZ = use.output_error(step, use.pullback) if step.is_output else use.pullback(step, dA)  # BP1, BP2
        penalty_W, penalty_b = use.penalty_gradient(step)
        dW, db = use.weight_gradient(step, dZ), use.bias_gradient(step, dZ)  # BP4, BP3
        gradient.insert(0, {"W": dW + penalty_W, "b": db + penalty_b})
        if step.l > 1:
            dA = use.input_gradient(step, dZ)  # BP2
    return tuple(gradient)


def correct_dZ(step: LayerStep) -> Array:
    """Return dJ/dZ_l by the correct equations, without what a run with a mistake has computed."""
    if step.above is None:
        return CORRECT.output_error(step, CORRECT.pullback)
    return CORRECT.pullback(step, correct_dA(step))


def correct_dA(step: LayerStep) -> Array:
    """Return dJ/dA_l of a hidden layer, W_{l+1}ᵀ dZ_{l+1}.

    >>> from jaxmlp.nn.network import Network
    >>> layer = {"W": np.array([[2.0]]), "b": np.zeros((1, 1))}
    >>> net, one = Network((1, 1, 1), "identity", "identity"), np.ones((1, 1))
    >>> problem = Problem(net, "quadratic", (layer, layer), one, one)
    >>> correct_dA(forward_steps(problem)[0]).tolist()    # 2 (4 - 1)
    [[6.0]]
    """
    assert step.above is not None, "the output has no layer above"
    return CORRECT.input_gradient(step.above, correct_dZ(step.above))
