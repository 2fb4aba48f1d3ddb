"""The textbook's backward pass once more: NumPy, float64, one plain loop whose equations can be exchanged.

    forward    Z_l = W_l A_{l-1} + b_l,  A_l = g_l(Z_l)
    BP1        dZ_L = (A_L - Y)/m for the cross-entropies and Poisson; for a cost Σ ρ(a - y) the pullback of g_L at
               ρ'(A_L - Y)/m
    BP2        dZ_l = dA_l ⊙ g_l'(Z_l)              softmax: A ⊙ (dA - Σ A dA); maxout: dA to the first largest piece
               dA_{l-1} = W_lᵀ dZ_l
    BP3        db_l = Σ over columns of dZ_l, (n_l, 1)
    BP4        dW_l = dZ_l A_{l-1}ᵀ
    penalty    dW_l gains λ/m W_l

It shares no formula with `jaxmlp.nn`. The table of slips exchanges one equation at one layer or at all of them, and
what comes out is the gradient of somebody who made that slip.

Sources: Nielsen, chapter 2; Ng's course; the tutorials' NumPy program.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray as Array

from jaxmlp.evidence.formulas import G, Layers, formula, residual
from jaxmlp.nn.activations import Activation
from jaxmlp.nn.network import Network

# --- activations ------------------------------------------------------------------------------------------------------


def in_numpy(record: Activation) -> G:
    """The NumPy form of an activation; a user's own is asked for its values and, by autodiff, for its slope.

    >>> from jaxmlp.nn.activations import find
    >>> in_numpy(find("leaky_relu(0.2)")).slope(np.array([-1.0, 3.0])).tolist()
    [0.2, 1.0]
    """
    if (known := formula(record)) is not None:
        return known

    def apply(Z: Array) -> Array:
        with jax.enable_x64(True):
            return np.asarray(record.apply(jnp.asarray(Z)))

    def pullback(Z: Array, dA: Array) -> Array:
        with jax.enable_x64(True):
            return np.asarray(jax.vjp(record.apply, jnp.asarray(Z))[1](jnp.asarray(dA))[0])

    return G(apply, (lambda Z: pullback(Z, np.ones_like(Z))) if record.elementwise else None, pullback)


# --- what a backward pass is given, and what it knows at a layer ------------------------------------------------------


class Problem(NamedTuple):
    """Network, cost by name, parameters and a batch.

    Attributes:
      net, cost: what is differentiated; the cost by its full name, "huber(1.0)".
      params: float64 arrays, {"W", "b"} per layer.
      X, Y: (n0, m), and (n_L, m) or whole class ids (1, m).
      weights: (1, m), or None.
      l2: λ of the penalty λ/(2m) Σ‖W‖²; 0 for none.
      examples: the m of that penalty; None for the examples at hand.
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
        """Examples in the batch."""
        return self.X.shape[1]

    @property
    def ids(self) -> bool:
        """Whether Y holds class ids."""
        return self.cost == "categorical_cross_entropy" and self.Y.shape[0] == 1

    @property
    def targets(self) -> Array:
        """Y, (n_L, m), class ids as one-hot columns."""
        return np.eye(self.net.sizes[-1])[:, self.Y[0]] if self.ids else self.Y

    @property
    def share(self) -> Array:
        """What each example weighs in the mean, (1, m): 1/m, or w / Σ w."""
        w = np.ones((1, self.m)) if self.weights is None else self.weights
        return w / w.sum()

    @property
    def decay(self) -> float:
        """λ/m, the factor of W in the penalty's gradient."""
        m = self.m if self.weights is None else self.weights.sum()
        return self.l2 / (self.examples or m)


class Step(NamedTuple):
    """Layer l on its way back: everything the forward pass left."""

    l: int
    problem: Problem
    g: G
    name: str
    W: Array
    b: Array
    A_prev: Array
    Z_prev: Array | None
    Z: Array
    A: Array

    @property
    def last(self) -> bool:
        """Whether this is the output layer."""
        return self.l == self.problem.net.depth


class Equations(NamedTuple):
    """The equations of one layer, each to be exchanged.

    Attributes:
      error: BP1, (step, pullback) -> dZ_L.
      pullback: BP2, (step, dA) -> dZ.
      back: BP2, (step, dZ) -> dA_prev.
      bias: BP3, (step, dZ) -> db.
      weight: BP4, (step, dZ) -> dW.
      penalty: step -> what dW and db gain.
    """

    error: Callable[[Step, Callable[[Step, Array], Array]], Array]
    pullback: Callable[[Step, Array], Array]
    back: Callable[[Step, Array], Array]
    bias: Callable[[Step, Array], Array]
    weight: Callable[[Step, Array], Array]
    penalty: Callable[[Step], tuple[Any, Any]]


def _error(step: Step, pullback: Callable[[Step, Array], Array]) -> Array:
    problem = step.problem
    if rho := residual(problem.cost):
        return pullback(step, rho.slope(step.A - problem.targets) * problem.share)
    Y = problem.targets
    total = Y.sum(axis=0) if problem.cost == "categorical_cross_entropy" else 1.0  # soft labels weigh their column
    return (total * step.A - Y) * problem.share


RIGHT = Equations(
    error=_error,
    pullback=lambda step, dA: step.g.pullback(step.Z, dA),
    back=lambda step, dZ: step.W.T @ dZ,
    bias=lambda step, dZ: dZ.sum(axis=1, keepdims=True),
    weight=lambda step, dZ: dZ @ step.A_prev.T,
    # without a penalty nothing is added: even 0 W would stop a dW of a wrong shape from coming out
    penalty=lambda step: (step.problem.decay * step.W if step.problem.l2 else 0.0, 0.0),
)


def forward(problem: Problem) -> tuple[Step, ...]:
    """Every layer's Z and A."""
    A, Z_prev, steps = problem.X, None, []
    for l, (record, layer) in enumerate(zip(problem.net.activations, problem.params, strict=True), start=1):
        g, A_prev = in_numpy(record), A
        Z = layer["W"] @ A_prev + layer["b"]
        A = g.apply(Z)
        steps.append(Step(l, problem, g, record.name, layer["W"], layer["b"], A_prev, Z_prev, Z, A))
        Z_prev = Z
    return tuple(steps)


def backward_with(equations: Callable[[Step], Equations], steps: tuple[Step, ...]) -> Layers:
    """dJ/dparams with the equations that `equations` gives for each layer.

    >>> from jaxmlp.nn.network import Network
    >>> layer = {"W": np.array([[0.5, -0.25]]), "b": np.zeros((1, 1))}
    >>> net, X, Y = Network((2, 1), (), "sigmoid"), np.array([[1.0], [2.0]]), np.zeros((1, 1))
    >>> problem = Problem(net, "quadratic", (layer,), X, Y)
    >>> backward_with(lambda step: RIGHT, forward(problem))[0]["W"].tolist()    # 1/2 · 1/4 · (1, 2)
    [[0.125, 0.25]]
    """
    gradient, dA = [], steps[-1].A
    for step in reversed(steps):
        use = equations(step)
        dZ = use.error(step, use.pullback) if step.last else use.pullback(step, dA)  # BP1, BP2
        more_W, more_b = use.penalty(step)
        gradient.insert(0, {"W": use.weight(step, dZ) + more_W, "b": use.bias(step, dZ) + more_b})  # BP4, BP3
        if step.l > 1:
            dA = use.back(step, dZ)  # BP2
    return tuple(gradient)
