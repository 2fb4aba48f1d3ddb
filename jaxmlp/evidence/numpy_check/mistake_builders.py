"""The parts of a mistake: at which layers it is possible and visible, and which equation it replaces.

    condition   step -> whether the mistake is possible at this layer and changes the gradient
    change      the correct equations of a layer -> the incorrect ones

The table of common mistakes is built from these.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray as Array

from jaxmlp.evidence.formulas import residual_loss
from jaxmlp.evidence.numpy_check.numpy_backprop import CORRECT, Equations, LayerStep

Change = Callable[[Equations], Equations]
Condition = Callable[[LayerStep], bool]
Formula = Callable[[LayerStep], Array | float]

# --- conditions -------------------------------------------------------------------------------------------------------


def anywhere(step: LayerStep) -> bool:
    """Return True: the mistake is possible at every layer."""
    return True


def has_layer_below(step: LayerStep) -> bool:
    """Whether the layer is not the first."""
    return step.l > 1


def is_hidden(step: LayerStep) -> bool:
    """Whether the layer is not the last."""
    return step.above is not None


def at_output(step: LayerStep) -> bool:
    """Whether the layer is the last."""
    return step.is_output


def at_rounded_output(step: LayerStep) -> bool:
    """Whether an output of a binary cross-entropy has rounded to 0 or 1."""
    binary = step.is_output and step.problem.cost == "binary_cross_entropy"
    return binary and bool(((step.A == 0) | (step.A == 1)).any())


def at_cross_entropy(*names: str) -> Condition:
    """Return whether the layer is the output of one of these cross-entropies, "binary" or "categorical"."""
    return lambda step: step.is_output and step.problem.cost in [f"{name}_cross_entropy" for name in names]


def has_several_examples(step: LayerStep) -> bool:
    """Whether the batch has more than one example."""
    return step.problem.m > 1


def has_several_units(step: LayerStep) -> bool:
    """Whether the layer has more than one unit."""
    return len(step.Z) > 1


def uses_pullback(step: LayerStep) -> bool:
    """Whether dZ = pullback(dA): at hidden layers, and at the output for costs of the residual."""
    return not step.is_output or residual_loss(step.problem.cost) is not None


def has_varying_slope(step: LayerStep) -> bool:
    """Whether g is elementwise and g' is not constant."""
    return uses_pullback(step) and step.g.slope is not None and step.name not in ("identity", "step")


def at_activation(*names: str) -> Condition:
    """Return whether the layer has one of these activations and uses its pullback."""
    return lambda step: uses_pullback(step) and step.name.partition("(")[0] in names


def activation_parameter(step: LayerStep) -> float:
    """Return α of leaky_relu(α) and elu(α), k of maxout(k)."""
    return float(step.name.rstrip(")").partition("(")[2])


def at_kink(step: LayerStep) -> bool:
    """Whether some Z is 0 and g' jumps there."""
    jumps = step.name == "relu" or (step.name.startswith(("leaky_relu", "elu")) and activation_parameter(step) != 1)
    return uses_pullback(step) and jumps and bool((step.Z == 0).any())


def maxout_pieces(step: LayerStep) -> Array:
    """Return Z of maxout by piece: (k, n, m)."""
    return step.Z.reshape(int(activation_parameter(step)), -1, step.Z.shape[1])


def has_tied_pieces(step: LayerStep) -> bool:
    """Whether two pieces of a maxout unit are the largest."""
    if not step.name.startswith("maxout") or not uses_pullback(step):
        return False
    return bool(((maxout_pieces(step) == step.A).sum(axis=0) > 1).any())


def has_penalty(step: LayerStep) -> bool:
    """Whether the cost has an L2 penalty."""
    return step.problem.l2 > 0


# --- changes ----------------------------------------------------------------------------------------------------------


def use(equation: str, formula: Callable[..., Any]) -> Change:
    """Replace one equation by a formula of the same arguments."""
    return lambda equations: equations._replace(**{equation: formula})


def use_slope(slope: Formula) -> Change:
    """Compute dZ = dA ⊙ slope."""
    return use("pullback", lambda step, dA: dA * slope(step))


def use_slope_at_zero(slope: Callable[[LayerStep], float]) -> Change:
    """Take another slope where Z is 0."""
    return use("pullback", lambda s, dA: np.where(s.Z == 0, slope(s) * dA, CORRECT.pullback(s, dA)))


def use_pieces(selected: Callable[[Array, Array], Array]) -> Change:
    """Pass dA of maxout to other pieces: (pieces, A) -> which pieces receive it."""
    return use("pullback", lambda s, dA: (selected(maxout_pieces(s), s.A) * dA).reshape(s.Z.shape))


def multiply(equation: str, factor: Callable[[LayerStep], float]) -> Change:
    """Multiply the result of one equation by a factor."""

    def change(equations: Equations) -> Equations:
        correct = getattr(equations, equation)
        return equations._replace(**{equation: lambda step, argument: factor(step) * correct(step, argument)})

    return change


def use_output_slope(slope: Formula) -> Change:
    """Compute dZ_L = dA_L ⊙ slope at the output of a cross-entropy."""

    def output_error(step: LayerStep, pullback: object) -> Array:
        with np.errstate(all="ignore"):  # 0/0 where a has rounded to 0 or 1: that NaN is what the mistake gives
            return output_dA(step) * slope(step)

    return use("output_error", output_error)


def use_simple_error(factor: Formula = lambda step: 1.0) -> Change:
    """Compute dZ_L = (A_L - Y) ⊙ factor, as a mean over the examples."""
    return use("output_error", lambda s, pullback: (s.A - s.problem.targets) * s.problem.mean_weights * factor(s))


def output_dA(step: LayerStep) -> Array:
    """Return dA_L, from which the course's program continues with dZ_L = dA_L ⊙ g'(Z_L)."""
    A, Y = step.A, step.problem.targets
    if rho := residual_loss(step.problem.cost):
        return rho.slope(A - Y) * step.problem.mean_weights
    if step.problem.cost == "poisson":
        return (1 - Y / A) * step.problem.mean_weights
    if step.problem.cost == "categorical_cross_entropy":
        return -Y / A * step.problem.mean_weights
    return -(Y / A - (1 - Y) / (1 - A)) * step.problem.mean_weights


def n_examples(step: LayerStep) -> int:
    """Return m."""
    return step.problem.m


def is_last_largest(pieces: Array, A: Array) -> Array:
    """Return which piece is the last that equals A."""
    # argmax finds the first True, so the pieces are reversed: with ties of 0 and 2 among three, last is 2 - 0
    last = len(pieces) - 1 - (pieces == A)[::-1].argmax(axis=0)
    return np.arange(len(pieces))[:, None, None] == last


def error_with_ids_from_one(step: LayerStep, pullback: object) -> Array:
    """Return dZ_L with class ids that start at 1."""
    # NumPy reads index -1 as the last, so that np.eye(C)[y - 1] turns id 0 into the last class and raises nothing
    Y = np.eye(len(step.A))[:, step.problem.Y[0] - 1]
    return (step.A - Y) * step.problem.mean_weights
