"""Mistakes in g'(Z): the slope of another activation or layer, at another place, or in another product."""

from collections.abc import Callable

import numpy as np
from numpy import ndarray as Array

from jaxmlp.evidence.formulas import sigmoid
from jaxmlp.evidence.numpy_check.common_mistakes import Mistake
from jaxmlp.evidence.numpy_check.mistake_builders import (
    Condition,
    Formula,
    activation_parameter,
    at_activation,
    has_varying_slope,
    is_hidden,
    use,
    use_slope,
)
from jaxmlp.evidence.numpy_check.numpy_backprop import LayerStep

_SLOPES: dict[str, tuple[Formula, ...]] = {
    "sigmoid": (lambda s: s.A * (1 - s.A), lambda s: sigmoid(s.Z) * (1 - sigmoid(s.Z))),
    "tanh": (lambda s: 1 - s.A**2, lambda s: 1 - np.tanh(s.Z) ** 2),
    "relu": (lambda s: (s.Z > 0) * 1.0,),
    "leaky_relu": tuple(lambda s, a=a: np.where(s.Z > 0, 1.0, a) for a in (0.01, 0.1, 0.2)),
}


def _slopes_of_others(activation: str) -> list[Mistake]:
    """Return the mistakes that take the slope of another activation."""
    return [
        Mistake(
            f"{used}' in place of {activation}'",
            "BP2",
            f"the slope is that of {used}; the layer has {activation}",
            use_slope(slope),
            at_activation(activation),
        )
        for used, slopes in _SLOPES.items()
        if used != activation
        for slope in slopes
    ]


def _slope(name: str, text: str, slope: Formula, condition: Condition) -> Mistake:
    return Mistake(name, "BP2", text, use_slope(slope), condition)


def _pullback(name: str, text: str, pullback: Callable[[LayerStep, Array], Array], condition: Condition) -> Mistake:
    return Mistake(name, "BP2", text, use("pullback", pullback), condition)


_PRODUCT = "matrix product in g'"
_PRODUCT_TANH = "1 - AᵀA; the square is of every entry: 1 - A ⊙ A"
_PRODUCT_SIGMOID = "Aᵀ(1 - A); the product is of every entry: A ⊙ (1 - A)"
_relu, _tanh, _sigmoid = at_activation("relu", "leaky_relu"), at_activation("tanh"), at_activation("sigmoid")


def _slope_above(step: LayerStep) -> Array:
    """Return the slope of layer l + 1, where this layer's belongs."""
    assert step.above is not None
    assert step.above.g.slope is not None
    return step.above.g.slope(step.above.Z)


def _slope_at(step: LayerStep, Z: Array | None) -> Array:
    assert step.g.slope is not None
    return step.g.slope(step.Z if Z is None else Z)


def _has_slope_above(step: LayerStep) -> bool:
    return is_hidden(step) and step.above.g.slope is not None  # pyright: ignore[reportOptionalMemberAccess]


# fmt: off
SLOPE_MISTAKES: tuple[Mistake, ...] = (
    *(mistake for activation in (
          "identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "softplus", "silu", "gelu")
      for mistake in _slopes_of_others(activation)),
    *(_slope("another α in leaky_relu'", f"the slope below 0 is {a}; it is the α of the forward pass",
             lambda s, a=a: np.where(s.Z < 0, a, 1.0),
             lambda s, a=a: at_activation("leaky_relu")(s) and activation_parameter(s) != a)
      for a in (0.001, 0.01, 0.05, 0.1, 0.2, 0.3, 0.5)),
    _slope("g in place of g'", "dZ = dA ⊙ A; multiply by the slope g'(Z)", lambda s: s.A,
           lambda s: has_varying_slope(s) and s.name != "sigmoid"),
    _slope("z in place of g'", "dZ = dA ⊙ Z; multiply by the slope g'(Z)", lambda s: s.Z, has_varying_slope),
    _slope("square of the difference in g'", "the slope is (1 - A)²; tanh' = 1 - A²", lambda s: (1 - s.A) ** 2, _tanh),
    _slope("square of the difference in g'", "the slope is (1 - A)²; sigmoid' = A (1 - A)", lambda s: (1 - s.A) ** 2,
           _sigmoid),
    _slope("sign in tanh'", "the slope is 1 + A²; tanh' = 1 - A²", lambda s: 1 + s.A**2, _tanh),
    _slope("sign in sigmoid'", "the slope is A (1 + A); sigmoid' = A (1 - A)", lambda s: s.A * (1 + s.A), _sigmoid),
    _slope("1 - missing in tanh'", "the slope is A²; tanh' = 1 - A²", lambda s: s.A**2, _tanh),
    _slope("a missing in sigmoid'", "the slope is 1 - A; sigmoid' = A (1 - A)", lambda s: 1 - s.A, _sigmoid),
    _slope("σ/(1 - σ) in place of σ (1 - σ)", "the slope is A/(1 - A); sigmoid' = A (1 - A)",
           lambda s: s.A / (1 - s.A), _sigmoid),
    _slope("g' twice", "dZ = dA ⊙ g'(Z)²; g' belongs once", lambda s: _slope_at(s, None) ** 2,
           lambda s: has_varying_slope(s) and not s.name.startswith("relu")),
    *(_slope("mask inverted", "the slope is 1 below 0; relu' is 1 above 0", formula, at_activation("relu"))
      for formula in (lambda s: (s.Z <= 0) * 1.0, lambda s: (s.Z < 0) * 1.0)),
    *(_pullback("mask from dA", "dA is kept where dA > 0; the mask of relu is Z > 0", formula, _relu)
      for formula in (lambda s, dA: dA * (dA > 0),
                      lambda s, dA: dA * np.where(dA > 0, 1, activation_parameter(s) if "(" in s.name else 0))),
    *(_pullback("g' evaluated at dA", "the slope of dA itself; it belongs at Z", formula, condition)
      for formula, condition in (
          (lambda s, dA: dA * (1 - dA**2), _tanh), (lambda s, dA: 1 - dA**2, _tanh),
          (lambda s, dA: dA * (1 - dA), _sigmoid),
          (lambda s, dA: dA * _slope_at(s, dA), lambda s: has_varying_slope(s) and s.name in ("sigmoid", "tanh")))),
    _pullback("g' added", "dZ = dA + g'(Z); multiply: dA ⊙ g'(Z)", lambda s, dA: dA + _slope_at(s, None),
              has_varying_slope),
    _pullback("dA missing", "dZ = g'(Z); it is dA ⊙ g'(Z)", lambda s, dA: _slope_at(s, None), has_varying_slope),
    *(_pullback(_PRODUCT, _PRODUCT_TANH, formula, _tanh) for formula in (
        lambda s, dA: dA * (1 - s.A.T @ s.A), lambda s, dA: dA @ (1 - s.A.T @ s.A),
        lambda s, dA: dA * (1 - s.A @ s.A.T), lambda s, dA: (1 - s.A @ s.A.T) @ dA,
        lambda s, dA: dA * (1 - s.A @ s.A))),
    *(_pullback(_PRODUCT, _PRODUCT_SIGMOID, formula, _sigmoid) for formula in (
        lambda s, dA: dA * (s.A.T @ (1 - s.A)), lambda s, dA: dA @ (s.A.T @ (1 - s.A)),
        lambda s, dA: dA * (s.A @ (1 - s.A).T), lambda s, dA: (s.A @ (1 - s.A).T) @ dA,
        lambda s, dA: dA * (s.A @ (1 - s.A)))),
    _pullback("matrix product in place of ⊙", "dZ = dA g'(Z) as a matrix product; it is entry by entry: dA ⊙ g'(Z)",
              lambda s, dA: dA @ _slope_at(s, None), has_varying_slope),
    *(_slope("slope of another layer", "g' of layer l + 1 or l - 1; dZ_l has g'(Z_l)", formula, condition)
      for formula, condition in (
          (_slope_above, lambda s: has_varying_slope(s) and _has_slope_above(s)),
          (lambda s: _slope_at(s, s.above.Z), lambda s: has_varying_slope(s) and is_hidden(s)),  # pyright: ignore[reportOptionalMemberAccess]
          (lambda s: _slope_at(s, s.Z_prev), lambda s: has_varying_slope(s) and s.Z_prev is not None),
          # a formula in A, with the A of the layer above
          (lambda s: 1 - s.above.A**2, lambda s: _tanh(s) and is_hidden(s)),  # pyright: ignore[reportOptionalMemberAccess]
          (lambda s: s.above.A * (1 - s.above.A), lambda s: _sigmoid(s) and is_hidden(s)))),  # pyright: ignore[reportOptionalMemberAccess]
)
# fmt: on
