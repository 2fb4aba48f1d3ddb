"""Writing: at which layers a slip can be written and seen, and how it is written in place of an equation.

    where   step -> whether the slip can be written at this layer and changes the gradient
    plant   the right equations of a layer -> the wrong ones

The table of slips is made of these.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray as Array

from jaxmlp.evidence.formulas import residual
from jaxmlp.evidence.student.loop import RIGHT, Equations, Step

Plant = Callable[[Equations], Equations]

# --- where a slip can be written --------------------------------------------------------------------------------------


def anywhere(step: Step) -> bool:
    """At every layer."""
    return True


def has_layer_below(step: Step) -> bool:
    """At all layers but the first."""
    return step.l > 1


def at_output(step: Step) -> bool:
    """At the last layer."""
    return step.last


def rounded(step: Step) -> bool:
    """At a sigmoid output whose cross-entropy meets an a that has rounded to 0 or 1."""
    binary = step.last and step.problem.cost == "binary_cross_entropy"
    return binary and bool(((step.A == 0) | (step.A == 1)).any())


def cross_entropy(*costs: str) -> Callable[[Step], bool]:
    """At the output, where the cost is one of these cross-entropies, "binary" or "categorical"."""
    return lambda step: step.last and step.problem.cost in [f"{cost}_cross_entropy" for cost in costs]


def several(step: Step) -> bool:
    """With more than one example."""
    return step.problem.m > 1


def through_g(step: Step) -> bool:
    """Whether dZ = pullback(dA) is used: at the output by the costs of the residual alone."""
    return not step.last or residual(step.problem.cost) is not None


def has_slope(step: Step) -> bool:
    """Whether g is elementwise and g' not constant."""
    return through_g(step) and step.g.slope is not None and step.name not in ("identity", "step")


def of(*names: str) -> Callable[[Step], bool]:
    """At layers whose activation has one of these names, and is gone through."""
    return lambda step: through_g(step) and step.name.partition("(")[0] in names


def number(step: Step) -> float:
    """α of leaky_relu(α) and elu(α), k of maxout(k)."""
    return float(step.name.rstrip(")").partition("(")[2])


def at_kink(step: Step) -> bool:
    """Where some Z is 0, and g' jumps there."""
    jumps = step.name == "relu" or (step.name.startswith(("leaky_relu", "elu")) and number(step) != 1)
    return through_g(step) and jumps and bool((step.Z == 0).any())


def pieces_of(step: Step) -> Array:
    """Z by piece of maxout: (k, n, m)."""
    k = int(number(step))
    return step.Z.reshape(k, -1, step.Z.shape[1])


def tied(step: Step) -> bool:
    """Where two pieces of a maxout unit are the largest."""
    if not step.name.startswith("maxout") or not through_g(step):
        return False
    return bool(((pieces_of(step) == step.A).sum(axis=0) > 1).any())


# --- how it is written ------------------------------------------------------------------------------------------------


def slope(formula: Callable[[Step], Array | float]) -> Plant:
    """dZ = dA ⊙ formula."""
    return lambda use: use._replace(pullback=lambda step, dA: dA * formula(step))


def scaled(equation: str, factor: Callable[[Step], Any]) -> Plant:
    """The result of one equation times a factor."""

    def plant(use: Equations) -> Equations:
        right = getattr(use, equation)
        return use._replace(**{equation: lambda step, given: factor(step) * right(step, given)})

    return plant


def at_zero(slope: Callable[[Step], float]) -> Plant:
    """Another slope where Z is 0."""

    def plant(use: Equations) -> Equations:
        return use._replace(
            pullback=lambda step, dA: np.where(step.Z == 0, slope(step) * dA, RIGHT.pullback(step, dA)),
        )

    return plant


def routed(wins: Callable[[Array, Array], Array]) -> Plant:
    """Maxout's dA to other pieces: (pieces, A) -> which pieces get it."""
    return lambda use: use._replace(
        pullback=lambda step, dA: (wins(pieces_of(step), step.A) * dA).reshape(step.Z.shape),
    )


def last_winner(pieces: Array, A: Array) -> Array:
    """The last of the pieces that equal A."""
    last = len(pieces) - 1 - (pieces == A)[::-1].argmax(axis=0)
    return np.arange(len(pieces))[:, None, None] == last


def error(formula: Callable[[Step], Array]) -> Plant:
    """dZ_L = formula."""
    return lambda use: use._replace(error=lambda step, pullback: formula(step))


def bias(formula: Callable[[Array], Any]) -> Plant:
    """db = formula of dZ."""
    return lambda use: use._replace(bias=lambda step, dZ: formula(dZ))


def weight(formula: Callable[[Step, Array], Array]) -> Plant:
    """dW = formula of dZ."""
    return lambda use: use._replace(weight=formula)


def back(formula: Callable[[Step, Array], Array]) -> Plant:
    """dA_prev = formula of dZ."""
    return lambda use: use._replace(back=formula)


def penalty(formula: Callable[[Step], tuple[Any, Any]]) -> Plant:
    """What dW and db gain."""
    return lambda use: use._replace(penalty=formula)


def examples(step: Step) -> int:
    """m."""
    return step.problem.m


def dA_output(step: Step) -> Array:
    """dA_L of a cross-entropy, from which the course's program goes on with dZ_L = dA_L ⊙ g'(Z_L)."""
    A, Y = step.A, step.problem.targets
    if step.problem.cost == "categorical_cross_entropy":
        return -Y / A * step.problem.share
    return -(Y / A - (1 - Y) / (1 - A)) * step.problem.share


def by_dA(slope: Callable[[Step], Array | float]) -> Plant:
    """dZ_L = dA_L ⊙ slope, at the output of a cross-entropy; 0/0 where a rounds to 0 or 1."""

    def formula(step: Step) -> Array:
        with np.errstate(all="ignore"):
            return dA_output(step) * slope(step)

    return error(formula)


def counted_from_one(step: Step) -> Array:
    """dZ with class ids that start at 1."""
    # np.eye(C)[y - 1]: id 0 wraps round to the last class
    Y = np.eye(len(step.A))[:, step.problem.Y[0] - 1]
    return (step.A - Y) * step.problem.share
