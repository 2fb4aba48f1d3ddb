"""More mistakes of a backward pass: what people write in forums and first programs, beyond the printed ones.

They are only looked up: `search` tries them after the table of common mistakes, and `mutants` does not plant them. A
mistake is one line that differs: an error A - Y of other things, another slope (in `slope_mistakes`), another matrix in
the step down, another sum.
"""

from collections.abc import Callable

import numpy as np
from numpy import ndarray as Array

from jaxmlp.evidence.numpy_check.common_mistakes import Mistake
from jaxmlp.evidence.numpy_check.mistake_builders import (
    Condition,
    Formula,
    anywhere,
    at_activation,
    at_cross_entropy,
    has_layer_below,
    has_penalty,
    has_several_examples,
    has_several_units,
    is_hidden,
    n_examples,
    output_dA,
    use,
    use_output_slope,
    uses_pullback,
)
from jaxmlp.evidence.numpy_check.numpy_backprop import CORRECT, LayerStep, correct_dA, correct_dZ, forward_steps
from jaxmlp.evidence.numpy_check.slope_mistakes import SLOPE_MISTAKES

# --- conditions and parts ---------------------------------------------------------------------------------------------


def _is_single_output(step: LayerStep) -> bool:
    return step.is_output and len(step.A) == 1 and step.problem.m > 1


def _has_simple_error(step: LayerStep) -> bool:
    """Whether dZ_L is A - Y: cross-entropies and Poisson."""
    return not uses_pullback(step)


def _is_quadratic(step: LayerStep) -> bool:
    return step.is_output and step.problem.cost == "quadratic"


def _has_error(step: LayerStep) -> bool:
    """Whether dZ_L is made of A - Y, with a slope for the quadratic cost."""
    return step.is_output and (_has_simple_error(step) or _is_quadratic(step))


def _both(first: Condition, second: Condition) -> Condition:
    return lambda step: first(step) and second(step)


def _pulled_back(step: LayerStep, error: Array) -> Array:
    """Return dZ_L of an error that stands for A - Y, as a mean over the examples."""
    error = error * step.problem.mean_weights
    return error if _has_simple_error(step) else step.g.pullback(step.Z, error)


def _error(name: str, text: str, formula: Formula, condition: Condition = _has_error) -> Mistake:
    """Return a mistake in A - Y."""
    change = use("output_error", lambda s, _: _pulled_back(s, np.asarray(formula(s))))
    return Mistake(name, "BP1", text, change, condition)


def _output_slope(name: str, text: str, slope: Formula) -> Mistake:
    """Return a mistake in σ' at the output of a binary cross-entropy."""
    return Mistake(name, "BP1", text, use_output_slope(slope), at_cross_entropy("binary"))


def _decision(step: LayerStep) -> Array:
    """Return the predicted class as 0 and 1."""
    return (step.A > 0.5) * 1.0 if len(step.A) == 1 else (step.A == step.A.max(axis=0)) * 1.0


def _all_pairs(step: LayerStep) -> Array:
    """Return a_i - y_j for every pair of examples, which (m, 1) - (m,) broadcasts to."""
    return step.A[0][:, None] - step.problem.targets[0][None]


def _one_column(step: LayerStep, column: int) -> Array:
    """Return A - Y of one example and 0 for the others."""
    mask = np.zeros((1, step.problem.m))
    mask[0, column] = 1.0
    return (step.A - step.problem.targets) * mask


def _without_column(step: LayerStep, column: int) -> Array:
    """Return A - Y with 0 for one example."""
    return step.A - step.problem.targets - _one_column(step, column)


_BROADCAST = "labels that broadcast"
_BROADCAST_TEXT = "A - Y of shapes (m, 1) and (m,) has shape (m, m), every a with every y; give Y the shape of A"
_LEFT_OUT = "one example left out"
_LEFT_OUT_TEXT = "the gradient lacks the first or the last example; a loop over the examples is range(m)"
_SHIFTED = "class ids shifted by one"
_SHIFTED_TEXT = "1 is subtracted from the next class or the one before; the first class has the id 0"
_EVERY_LABEL = "every label at every example"
_EVERY_LABEL_TEXT = "P[:, y] -= 1 subtracts 1 in every row; correct is P[range(m), y] -= 1, one class per example"
_ONE_EXAMPLE = "one example in place of the sum"
_ONE_EXAMPLE_TEXT = "the gradient of one example; add those of all: += in a loop over the examples"

# fmt: off
_BP1 = (
    *(_error(_BROADCAST, _BROADCAST_TEXT, formula, _both(_has_error, _is_single_output)) for formula in (
        lambda s: _all_pairs(s).sum(axis=1)[None], lambda s: _all_pairs(s).mean(axis=1)[None],
        lambda s: _all_pairs(s).sum(axis=0)[None], lambda s: _all_pairs(s).mean(axis=0)[None])),
    *(_error(_ONE_EXAMPLE, _ONE_EXAMPLE_TEXT, formula, _both(_has_error, has_several_examples)) for formula in (
        lambda s: _one_column(s, -1), lambda s: _one_column(s, 0),
        lambda s: n_examples(s) * _one_column(s, -1), lambda s: n_examples(s) * _one_column(s, 0))),
    *(_error(_LEFT_OUT, _LEFT_OUT_TEXT, formula, _both(_has_error, has_several_examples)) for formula in (
        lambda s: _without_column(s, -1), lambda s: _without_column(s, 0),
        lambda s: n_examples(s) / (n_examples(s) - 1) * _without_column(s, -1),
        lambda s: n_examples(s) / (n_examples(s) - 1) * _without_column(s, 0))),
    *(_error(_SHIFTED, _SHIFTED_TEXT, formula, at_cross_entropy("categorical")) for formula in (
        lambda s: s.A - np.roll(s.problem.targets, -1, axis=0), lambda s: s.A - np.roll(s.problem.targets, 1, axis=0))),
    *(_error(_EVERY_LABEL, _EVERY_LABEL_TEXT, formula, at_cross_entropy("categorical")) for formula in (
        lambda s: s.A - s.problem.targets.max(axis=1, keepdims=True),
        lambda s: s.A - s.problem.targets.sum(axis=1, keepdims=True))),
    _error("labels -1 and 1", "the error is A - (2 Y - 1); the cross-entropy expects labels 0 and 1",
           lambda s: s.A - (2 * s.problem.targets - 1), at_cross_entropy("binary")),
    _error("first term of the cost only",
           "dA = -y/a, as of a categorical cross-entropy; the binary one also has (1-y)/(1-a)",
           lambda s: -s.problem.targets * (1 - s.A), at_cross_entropy("binary")),
    _error("second term of the cost only", "dA = (1-y)/(1-a); the binary cross-entropy also has -y/a",
           lambda s: (1 - s.problem.targets) * s.A, at_cross_entropy("binary")),
    _error("sign of the second term", "dA = -y/a - (1-y)/(1-a); correct is -y/a + (1-y)/(1-a)",
           lambda s: -s.problem.targets * (1 - s.A) - (1 - s.problem.targets) * s.A, at_cross_entropy("binary")),
    Mistake("binary cross-entropy at a softmax", "BP1",
            "dA = -(y/a - (1-y)/(1-a)) is of the binary cross-entropy; with softmax outputs dA = -y/a, and dZ = A - Y",
            use("output_error", lambda s, _: s.g.pullback(
                s.Z, ((1 - s.problem.targets) / (1 - s.A) - s.problem.targets / s.A) * s.problem.mean_weights)),
            at_cross_entropy("categorical")),
    Mistake("g' missing", "BP1",
            "dZ = A - Y belongs to a cross-entropy; a quadratic cost keeps the Jacobian of softmax",
            use("output_error", lambda s, _: (s.A - s.problem.targets) * s.problem.mean_weights),
            _both(_is_quadratic, at_activation("softmax"))),
    _error("sign of the error in place of the error", "sign(A - Y), as of an absolute error; dZ has A - Y itself",
           lambda s: np.sign(s.A - s.problem.targets)),
    _error("square of the error in place of the error", "(A - Y)² is the cost; its derivative has A - Y",
           lambda s: (s.A - s.problem.targets) ** 2),
    _error("square of the error in place of the error", "1/2 (A - Y)² is the cost; its derivative has A - Y",
           lambda s: (s.A - s.problem.targets) ** 2 / 2),
    _error("absolute value of the error", "|A - Y| loses the sign; dZ has A - Y",
           lambda s: np.abs(s.A - s.problem.targets)),
    _error("Y missing", "the error is A; correct is A - Y", lambda s: s.A),
    _error("A missing", "the error is -Y; correct is A - Y", lambda s: -s.problem.targets),
    _error("A missing", "the error is Y; correct is A - Y", lambda s: s.problem.targets),
    _error("A - Y missing", "dZ is the slope A (1 - A) without the error A - Y; for a cross-entropy dZ = A - Y",
           lambda s: s.A * (1 - s.A), at_cross_entropy("binary", "categorical")),
    _error("Z in place of A", "the error is Z - Y; correct is A - Y", lambda s: s.Z - s.problem.targets),
    _error("decision in place of A", "the error is the predicted class minus Y; correct is A - Y with the probability",
           lambda s: _decision(s) - s.problem.targets, _has_simple_error),
    _error("class ids as numbers", "A - Y with the ids (1, m) as Y; first convert the ids to one-hot columns",
           lambda s: s.A - s.problem.targets.argmax(axis=0), at_cross_entropy("categorical")),
    _error("error added up over the outputs", "Σ (A - Y) over the units; every output has its own error A - Y",
           lambda s: np.ones_like(s.A) * (s.A - s.problem.targets).sum(axis=0), _both(_has_error, has_several_units)),
    _error("mask of relu at the output", "dZ = (A - Y) where Z > 0 and 0 elsewhere; the output has no relu",
           lambda s: (s.A - s.problem.targets) * (s.Z > 0), _both(_has_error, lambda s: not s.name.startswith("relu"))),
    _output_slope("σ/(1 - σ) in place of σ (1 - σ)", "dZ = dA ⊙ A/(1 - A); sigmoid' = A (1 - A)",
                  lambda s: s.A / (1 - s.A)),
    _output_slope("tanh' in place of sigmoid'", "dZ = dA ⊙ (1 - A²); sigmoid' = A (1 - A)", lambda s: 1 - s.A**2),
    _output_slope("a missing in sigmoid'", "dZ = dA ⊙ (1 - A); sigmoid' = A (1 - A)", lambda s: 1 - s.A),
    _output_slope("relu' in place of sigmoid'", "dZ = dA where Z > 0; sigmoid' = A (1 - A)", lambda s: (s.Z > 0) * 1.0),
    _output_slope("sign in sigmoid'", "dZ = dA ⊙ A (1 + A); sigmoid' = A (1 - A)", lambda s: s.A * (1 + s.A)),
    _output_slope("g in place of σ (1 - σ)", "the slope is A² ; sigmoid' = A (1 - A)", lambda s: s.A**2),
)
# fmt: on


# --- BP2: the step down; BP3 and BP4 ----------------------------------------------------------------------------------


def _without_slopes(step: LayerStep) -> Array:
    """Return dA_l where every step down uses dA in place of dZ."""
    return output_dA(step) if step.above is None else step.above.W.T @ _without_slopes(step.above)


def _without_W(step: LayerStep, dZ: Array) -> Array:
    """Return dZ itself as dA_prev; that of a single unit broadcasts to all units below."""
    return np.repeat(dZ, len(step.A_prev), axis=0) if len(dZ) == 1 else dZ


def _W_of(step: LayerStep, layer: int) -> Array:
    layers = step.problem.params
    return layers[layer - 1]["W"] if 1 <= layer <= len(layers) else np.zeros((0, 0))


def _dW_of(step: LayerStep, layer: int) -> Array:
    """Return the correct dW of another layer, without the penalty that this layer adds."""
    other = forward_steps(step.problem)[layer - 1]
    dW = CORRECT.weight_gradient(other, correct_dZ(other))
    return dW + CORRECT.penalty_gradient(other)[0] - CORRECT.penalty_gradient(step)[0]


def _step_down(name: str, text: str, formula: Callable[[LayerStep, Array], Array]) -> Mistake:
    return Mistake(name, "BP2", text, use("input_gradient", formula), has_layer_below)


def _leaf(
    equation: str, name: str, text: str, formula: Callable[[LayerStep, Array], Array], condition: Condition
) -> Mistake:
    field = {"BP3": "bias_gradient", "BP4": "weight_gradient"}[equation]
    return Mistake(name, equation, text, use(field, formula), condition)


# fmt: off
_BP2_STEP_DOWN = (
    *(_step_down("dW in place of W", "dA_prev = dWᵀ dZ; correct is Wᵀ dZ", formula) for formula in (
        lambda s, dZ: (dZ @ s.A_prev.T).T @ dZ, lambda s, dZ: s.problem.m * (dZ @ s.A_prev.T).T @ dZ,
        # one example at a time: dW_i = dz_i a_iᵀ, so that dW_iᵀ dz_i = a_i ‖dz_i‖²
        lambda s, dZ: s.problem.m * s.A_prev * (dZ**2).sum(axis=0))),
    _step_down("A in place of dZ", "dA_prev = Wᵀ A; correct is Wᵀ dZ",
               lambda s, dZ: s.W.T @ s.A * s.problem.mean_weights),
    *(_step_down("W missing", "dA_prev is dZ without Wᵀ; correct is Wᵀ dZ", formula) for formula in (
        _without_W, lambda s, dZ: np.ones_like(s.W).T @ dZ)),
    *(_step_down("W of another layer", "dA_{l-1} is made with W of layer l - 1 or l + 1; it is W_lᵀ dZ_l", formula)
      for formula in (lambda s, dZ: _W_of(s, s.l - 1).T @ dZ, lambda s, dZ: _W_of(s, s.l + 1).T @ dZ,
                      lambda s, dZ: _W_of(s, s.l - 1) @ dZ, lambda s, dZ: _W_of(s, s.l + 1) @ dZ)),
    *(_step_down("one unit in place of the sum", "dA_prev has the part of one unit; add those of all: +=", formula)
      for formula in (lambda s, dZ: s.W[-1:].T @ dZ[-1:], lambda s, dZ: s.W[:1].T @ dZ[:1])),
    _step_down("sum not set to 0", "dA_prev of a unit contains those of the units before it; begin each sum at 0",
               lambda s, dZ: np.cumsum(s.W.T @ dZ, axis=0)),
    Mistake("dA in place of dZ", "BP2", "dA_prev = Wᵀ dA; correct is Wᵀ dZ, with the slope in it",
            use("input_gradient", lambda s, dZ: s.W.T @ _without_slopes(s)), has_layer_below),
)

_BP3 = (
    _leaf("BP3", "sum missing", "db = dZ, one column per example; add the columns", lambda s, dZ: dZ,
          has_several_examples),
    _leaf("BP3", "row in place of a column", "db has shape (1, n); it has the shape of b, (n, 1)",
          lambda s, dZ: dZ.sum(axis=1)[None], has_several_units),
    _leaf("BP3", "dA in place of dZ", "db = Σ dA; correct is Σ dZ, with the slope in it",
          lambda s, dZ: correct_dA(s).sum(axis=1, keepdims=True), is_hidden),
    _leaf("BP3", "dZ of another layer", "db_l = Σ dZ_{l+1}; it is Σ dZ_l",
          lambda s, dZ: correct_dZ(s.above).sum(axis=1, keepdims=True), is_hidden),  # pyright: ignore[reportArgumentType]
    _leaf("BP3", "dZ of another layer", "db_l = Σ dZ_{l+1}; it is Σ dZ_l",
          lambda s, dZ: np.full((len(dZ), 1), correct_dZ(s.above).sum()), is_hidden),  # pyright: ignore[reportArgumentType]
    *(_leaf("BP3", _ONE_EXAMPLE, _ONE_EXAMPLE_TEXT, formula, has_several_examples) for formula in (
        lambda s, dZ: dZ[:, -1:], lambda s, dZ: s.problem.m * dZ[:, -1:], lambda s, dZ: s.problem.m * dZ[:, :1])),
    _leaf("BP3", "left at 0", "db is 0 everywhere; it is Σ dZ", lambda s, dZ: np.zeros((len(dZ), 1)), anywhere),
    _leaf("BP3", "dW in place of dZ", "db = Σ dW; correct is Σ dZ over the examples",
          lambda s, dZ: (dZ @ s.A_prev.T).sum(axis=1, keepdims=True), anywhere),
)

_BP4 = (
    _leaf("BP4", "dA in place of dZ", "dW = dA A_prevᵀ; correct is dZ A_prevᵀ, with the slope in dZ",
          lambda s, dZ: correct_dA(s) @ s.A_prev.T, is_hidden),
    *(_leaf("BP4", _ONE_EXAMPLE, _ONE_EXAMPLE_TEXT, formula, has_several_examples) for formula in (
        lambda s, dZ: dZ[:, -1:] @ s.A_prev[:, -1:].T, lambda s, dZ: dZ[:, :1] @ s.A_prev[:, :1].T,
        lambda s, dZ: s.problem.m * dZ[:, -1:] @ s.A_prev[:, -1:].T,
        lambda s, dZ: s.problem.m * dZ[:, :1] @ s.A_prev[:, :1].T)),
    _leaf("BP4", "left at 0", "dW is 0 everywhere; it is dZ A_prevᵀ", lambda s, dZ: np.zeros_like(s.W), anywhere),
    _leaf("BP4", "one list for all rows", "all rows of dW are equal: [[0] * n] * k is one list k times; make k lists",
          lambda s, dZ: np.ones((len(dZ), 1)) * (dZ @ s.A_prev.T).sum(axis=0), has_several_units),
    *(_leaf("BP4", "dW of another layer", "dW_l is that of layer l + 1 or l - 1; check the order of what is returned",
            formula, condition) for formula, condition in (
        (lambda s, dZ: _dW_of(s, s.l + 1), is_hidden), (lambda s, dZ: _dW_of(s, s.l - 1), has_layer_below))),
    *(Mistake("penalty of another layer", "penalty", "dW contains λ/m times W of layer l - 1 or l + 1; it is λ/m W_l",
              use("penalty_gradient", penalty), has_penalty) for penalty in (
        lambda s: (s.problem.decay * _W_of(s, s.l - 1), 0.0), lambda s: (s.problem.decay * _W_of(s, s.l + 1), 0.0))),
    _leaf("BP4", "product of the means", "dW is the product of two means; it is the mean of the products dZ A_prevᵀ",
          lambda s, dZ: dZ.sum(axis=1, keepdims=True) @ s.A_prev.mean(axis=1, keepdims=True).T, has_several_examples),
)
# fmt: on

FURTHER_MISTAKES: tuple[Mistake, ...] = (*_BP1, *SLOPE_MISTAKES, *_BP2_STEP_DOWN, *_BP3, *_BP4)
