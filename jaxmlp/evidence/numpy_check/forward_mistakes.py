"""Common mistakes in the forward pass. They give the correct gradient of a different network.

    Z     b missing or subtracted, X in place of A_{l-1}
    A     another activation than the network's; softmax over the wrong axis

If a program computes another activation in the forward pass, its backward pass may use the slope of that activation, or
the slope of the network's activation as a function of Z or of the incorrect A. The table has a mistake for each.
"""

from collections.abc import Callable

import numpy as np
from numpy import ndarray as Array

from jaxmlp.evidence.formulas import ActivationFormula, activation_formula, sigmoid
from jaxmlp.evidence.numpy_check.common_mistakes import Mistake
from jaxmlp.evidence.numpy_check.mistake_builders import (
    Change,
    Condition,
    at_activation,
    at_cross_entropy,
    has_several_units,
    use,
)
from jaxmlp.evidence.numpy_check.numpy_backprop import Equations, LayerStep

Elementwise = Callable[[Array], Array]
SlopeOfStep = Callable[[LayerStep, Array], Array]  # the correct step and the incorrect A -> the slope


def _correct(equations: Equations) -> Equations:
    return equations


def _with_A(step: LayerStep, apply: Elementwise, slope: Array | None) -> LayerStep:
    """Return the step with another activation whose slope is the array `slope`; None keeps the slope of the step."""
    A = apply(step.Z)
    if slope is None:
        return step._replace(A=A)
    # the slope as an array: it may be a formula in the incorrect A, which a function of Z would not see
    g = ActivationFormula(apply, lambda Z: slope, lambda Z, dA: dA * slope)
    return step._replace(g=g, A=A)


def _with_Z(step: LayerStep, Z: Array) -> LayerStep:
    return step._replace(Z=Z, A=step.g.apply(Z))


# --- another activation -----------------------------------------------------------------------------------------------

_FORMULAS_IN_A: dict[str, Elementwise] = {
    "tanh": lambda A: 1 - A**2,
    "sigmoid": lambda A: A * (1 - A),
    "relu": lambda A: (A > 0) * 1.0,
}
_COMPUTED = ("identity", "sigmoid", "tanh", "relu", "leaky_relu(0.01)", "leaky_relu(0.1)", "elu(1)", "softplus")


def _slope_of(g: ActivationFormula) -> SlopeOfStep:
    return lambda step, A: g.slope(step.Z)  # pyright: ignore[reportOptionalCall]


def _formula_in_A(name: str) -> SlopeOfStep:
    return lambda step, A: _FORMULAS_IN_A[name](A)


def _other_activations(name: str) -> list[Mistake]:
    """Return the mistakes in which a hidden layer computes another activation than the network's."""
    mistakes = []
    for computed in _COMPUTED:
        if computed == name:
            continue
        g = activation_formula(computed)
        slopes: list[SlopeOfStep] = [_slope_of(g)]
        slopes.append(lambda step, A: step.g.slope(step.Z))  # pyright: ignore[reportOptionalCall]
        if name in _FORMULAS_IN_A:
            slopes.append(_formula_in_A(name))
        text = f"the forward pass computes {computed} at this layer; the network has {name}"
        mistakes += [
            _activation_mistake(f"{computed} in place of {name}", text, g.apply, slope, at_activation(name))
            for slope in slopes
        ]
    return mistakes


def _activation_mistake(name: str, text: str, apply: Elementwise, slope: SlopeOfStep, condition: Condition) -> Mistake:
    def forward(step: LayerStep) -> LayerStep:
        return _with_A(step, apply, slope(step, apply(step.Z)))

    return Mistake(name, "A", text, _correct, condition, forward=forward)


def _output_mistake(name: str, text: str, apply: Elementwise, output: str) -> Mistake:
    """Return a mistake of A_L. The cost is a cross-entropy, so the program still computes dZ = A - Y."""

    def condition(step: LayerStep) -> bool:
        return at_cross_entropy("binary", "categorical")(step) and step.name == output

    return Mistake(name, "A", text, _correct, condition, forward=lambda step: _with_A(step, apply, None))


def _exp_by(total: Callable[[Array], Array], shift: Callable[[Array], Array] = lambda Z: Z.max()) -> Elementwise:
    """Return Z -> E / total(E), E = exp(Z - shift(Z)); the default shift prevents overflow and cancels out."""

    def apply(Z: Array) -> Array:
        E = np.exp(Z - shift(Z))
        return E / total(E)

    return apply


# fmt: off
_WRONG_AXIS = "softmax over the wrong axis"
_OUTPUTS = (
    *(_output_mistake(_WRONG_AXIS, text, _exp_by(total, shift), "softmax")
      for text, total in (
          ("A sums to 1 over the examples; it must sum to 1 over the classes", lambda E: E.sum(axis=1, keepdims=True)),
          ("A sums to 1 over the batch; it must sum to 1 over the classes of each example", lambda E: E.sum()))
      # the maximum of all, of each example, or of each class: with an incorrect sum each gives another A
      for shift in (lambda Z: Z.max(), lambda Z: Z.max(axis=0), lambda Z: Z.max(axis=1, keepdims=True))),
    _output_mistake("maximum over the wrong axis in softmax",
                    "the maximum over the examples is subtracted; it must be the maximum over the classes",
                    _exp_by(lambda E: E.sum(axis=0), lambda Z: Z.max(axis=1, keepdims=True)), "softmax"),
    _output_mistake("sum missing in softmax", "A = eᶻ; softmax divides by Σ eᶻ", np.exp, "softmax"),
    _output_mistake("Σ z in place of Σ eᶻ", "A = eᶻ / Σ z; softmax divides by Σ eᶻ",
                    lambda Z: np.exp(Z) / Z.sum(axis=0), "softmax"),
    _output_mistake("z in place of eᶻ", "A = z / Σ z; softmax is eᶻ / Σ eᶻ", lambda Z: Z / Z.sum(axis=0), "softmax"),
    _output_mistake("sigmoid in place of softmax", "the output is a sigmoid per class; the network has softmax",
                    sigmoid, "softmax"),
    *(_output_mistake("Z in place of A", f"the output is Z; the network has {output}", lambda Z: Z, output)
      for output in ("softmax", "sigmoid")),
    *(_output_mistake(f"{computed} in place of sigmoid", f"the output is {computed}; the network has sigmoid",
                      activation_formula(computed).apply, "sigmoid") for computed in ("tanh", "relu", "softmax")),
    _output_mistake("sign of z in the sigmoid", "1/(1 + eᶻ); sigmoid is 1/(1 + e⁻ᶻ)", lambda Z: sigmoid(-Z), "sigmoid"),
    *(_output_mistake("sigmoid mistyped", f"{text}; sigmoid is 1/(1 + e⁻ᶻ)", apply, "sigmoid") for text, apply in (
        ("1/(1 - e⁻ᶻ)", lambda Z: 1 / (1 - np.exp(-Z))), ("1/1 + e⁻ᶻ, without brackets", lambda Z: 1 + np.exp(-Z)))),
)


# --- Z ----------------------------------------------------------------------------------------------------------------


def _has_bias(step: LayerStep) -> bool:
    return bool(step.b.any())


def _without_bias(step: LayerStep) -> LayerStep:
    return _with_Z(step, step.W @ step.A_prev)


_no_db: Change = use("bias_gradient", lambda s, dZ: np.zeros((len(dZ), 1)))
_NO_BIAS = "bias missing in the forward pass"

_Z = (
    Mistake(_NO_BIAS, "Z", "Z = W A_prev; correct is W A_prev + b", _correct, _has_bias, forward=_without_bias),
    Mistake(_NO_BIAS, "Z", "Z = W A_prev, and db is 0; the network has a bias in every layer: Z = W A_prev + b",
            _no_db, _has_bias, forward=_without_bias),
    Mistake("bias subtracted in the forward pass", "Z", "Z = W A_prev - b; correct is W A_prev + b", _correct,
            _has_bias, forward=lambda s: _with_Z(s, s.W @ s.A_prev - s.b)),
    Mistake("one bias for all units", "Z", "Z = W A_prev + b[0]; correct is W A_prev + b", _correct,
            lambda s: has_several_units(s) and bool(np.ptp(s.b)),
            forward=lambda s: _with_Z(s, s.W @ s.A_prev + s.b[0])),
    Mistake("X in place of A_{l-1} in the forward pass", "Z", "Z = W X + b; correct is W A_prev + b", _correct,
            lambda s: s.l > 1, forward=lambda s: _with_Z(s, s.W @ s.problem.X + s.b)),
)
# fmt: on

_HIDDEN = (
    *(mistake for name in ("sigmoid", "tanh", "relu", "identity") for mistake in _other_activations(name)),
    *(
        _activation_mistake(
            "sign of z in the sigmoid",
            "1/(1 + eᶻ); sigmoid is 1/(1 + e⁻ᶻ)",
            lambda Z: sigmoid(-Z),
            lambda step, A, sign=sign: sign * A * (1 - A),
            at_activation("sigmoid"),
        )
        for sign in (1, -1)
    ),
    *(
        _activation_mistake(
            "|z| in place of relu", "the layer computes |z|; relu is max(0, z)", np.abs, slope, at_activation("relu")
        )
        for slope in (lambda step, A: np.sign(step.Z), lambda step, A: (step.Z > 0) * 1.0, lambda step, A: A > 0)
    ),
    *(
        _activation_mistake(
            "min in place of max in relu",
            "the layer computes min(0, z); relu is max(0, z)",
            lambda Z: np.minimum(Z, 0),
            slope,
            at_activation("relu"),
        )
        for slope in (lambda step, A: (step.Z < 0) * 1.0, lambda step, A: (step.Z > 0) * 1.0, lambda step, A: A > 0)
    ),
)

FORWARD_MISTAKES: tuple[Mistake, ...] = (*_OUTPUTS, *_Z, *_HIDDEN)
