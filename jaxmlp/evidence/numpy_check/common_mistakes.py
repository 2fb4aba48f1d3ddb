"""The table of common mistakes: what people write in place of the four equations.

A mistake replaces one equation of the textbook's loop: `change` takes the correct `Equations` of a layer and returns
the incorrect ones; `condition` says at which layers the mistake is possible and changes the gradient. One table serves
two purposes. `mutants` plants the mistakes to test the checker. `match_mistake` finds the cause of an incorrect
gradient: it computes what each mistake would give and compares.

Several rows may have the same name: "1/m twice" can happen in BP1, BP2 or BP4 and is one mistake. The numbers E1, E2, …
refer to the misprints of the tutorials that the mistakes reproduce.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jaxmlp.errors import unknown
from jaxmlp.evidence.formulas import sigmoid
from jaxmlp.evidence.numpy_check.mistake_builders import (
    Change,
    Condition,
    activation_parameter,
    anywhere,
    at_activation,
    at_cross_entropy,
    at_kink,
    at_output,
    at_rounded_output,
    error_with_ids_from_one,
    has_layer_below,
    has_penalty,
    has_several_examples,
    has_several_units,
    has_tied_pieces,
    has_varying_slope,
    is_last_largest,
    multiply,
    n_examples,
    use,
    use_output_slope,
    use_pieces,
    use_simple_error,
    use_slope,
    use_slope_at_zero,
    uses_pullback,
)
from jaxmlp.evidence.numpy_check.numpy_backprop import LayerStep


class Mistake(NamedTuple):
    """A common mistake.

    Attributes:
      name: its name in a diagnosis.
      equation: the equation that it replaces: "BP1" to "BP4", or "penalty".
      text: what was written, and what is correct.
      change: the correct equations of a layer -> the incorrect ones.
      condition: step -> whether the mistake is possible at this layer and visible.
      erratum: the number of the misprint that it reproduces, or "".
      forward: a mistake of the forward pass: step -> the step with another Z, A or g; None for a correct one.
    """

    name: str
    equation: str
    text: str
    change: Change
    condition: Condition
    erratum: str = ""
    forward: Callable[[LayerStep], LayerStep] | None = None


UNKNOWN_CAUSE = "wrong here, cause unknown"


# --- the table --------------------------------------------------------------------------------------------------------

# fmt: off
_BP1 = (
    Mistake("1/m missing", "BP1", "dZ = A - Y; J is a mean, so dZ = (A - Y)/m",
            multiply("output_error", n_examples), lambda s: s.is_output and has_several_examples(s)),
    Mistake("1/m twice", "BP1", "dZ is divided by m, but the derivative of the cost already contains 1/m",
            multiply("output_error", lambda s: 1 / n_examples(s)),
            lambda s: s.is_output and has_several_examples(s), "E24"),
    Mistake("division by m + 1", "BP1", "a mean over i = 0 … m divides by m + 1; there are m examples",
            multiply("output_error", lambda s: n_examples(s) / (n_examples(s) + 1)), at_output, "E9"),
    Mistake("wrong sign", "BP1", "dZ = Y - A; the derivative of the cost is A - Y",
            multiply("output_error", lambda s: -1), at_output),
    Mistake("factor 2 not cancelled", "BP1", "dZ has the factor 2 (A - Y); the cost is 1/2 (a - y)², so the 2 cancels",
            multiply("output_error", lambda s: 2), lambda s: s.is_output and s.problem.cost == "quadratic"),
    Mistake("mean over the outputs too", "BP1", "dZ is divided by n_L m, as a mean of all entries; J divides by m",
            multiply("output_error", lambda s: 1 / len(s.A)), lambda s: s.is_output and len(s.A) > 1),
    Mistake("g' applied to a cross-entropy", "BP1",
            "dZ = (A - Y) ⊙ g'(Z); for cross-entropy and Poisson dZ is A - Y, without g'",
            use("output_error", lambda s, _: s.g.pullback(s.Z, (s.A - s.problem.targets) * s.problem.mean_weights)),
            lambda s: not uses_pullback(s)),
    Mistake("g' applied to a cross-entropy", "BP1",
            "dZ = (A - Y) ⊙ A (1 - A); for a cross-entropy dZ is A - Y, without g'",
            use_simple_error(lambda s: s.A * (1 - s.A)), at_cross_entropy("categorical")),
    Mistake("softmax Jacobian elementwise", "BP1",
            "da/dz = a (1 - a); softmax couples its outputs, its Jacobian is diag(a) - a aᵀ",
            use_output_slope(lambda s: s.A * (1 - s.A)), at_cross_entropy("categorical"), "E1"),
    Mistake("δ computed through dA", "BP1",
            "-(y/a - (1-y)/(1-a)) · a (1 - a) is 0/0 where a rounds to 0 or 1; A - Y is always finite",
            use_output_slope(lambda s: s.A * (1 - s.A)), at_rounded_output, "E11"),
    Mistake("g' evaluated at A", "BP1", "dZ = dA ⊙ σ'(A); the slope belongs at Z: σ'(Z) = A (1 - A)",
            use_output_slope(lambda s: sigmoid(s.A) * (1 - sigmoid(s.A))), at_cross_entropy("binary")),
    Mistake("g' formula in A, evaluated at Z", "BP1", "dZ = dA ⊙ Z (1 - Z); this formula needs A: A (1 - A)",
            use_output_slope(lambda s: s.Z * (1 - s.Z)), at_cross_entropy("binary")),
    Mistake("1 - a missing in sigmoid'", "BP1", "dZ = dA ⊙ A; sigmoid' = A (1 - A)",
            use_output_slope(lambda s: s.A), at_cross_entropy("binary")),
    Mistake("g' missing", "BP1", "dZ = dA; multiply by g'(Z), for softmax by its Jacobian",
            use_output_slope(lambda s: 1.0), at_cross_entropy("binary", "categorical")),
    Mistake("class ids as numbers", "BP1", "A - Y with the ids (1, m) as Y; first convert the ids to one-hot columns",
            use("output_error", lambda s, _: (s.A - s.problem.Y) * s.problem.mean_weights),
            lambda s: s.is_output and s.problem.has_class_ids),
    Mistake("class ids from 1", "BP1", "class y has its 1 in row y - 1 of the one-hot columns; ids start at 0: row y",
            use("output_error", error_with_ids_from_one), lambda s: s.is_output and s.problem.has_class_ids),
    Mistake("weights ignored", "BP1", "dZ = (A - Y)/m; the weight of each column is w / Σ w",
            use("output_error", lambda s, _: (s.A - s.problem.targets) / s.problem.m),
            lambda s: not uses_pullback(s) and s.problem.weights is not None),
    Mistake("weights divided by m", "BP1", "dZ = w (A - Y)/m; divide by Σ w",
            # the mean of w is Σ w / m: times w / Σ w that is w / m
            multiply("output_error", lambda s: 0 if s.problem.weights is None else s.problem.weights.mean()),
            lambda s: s.is_output and s.problem.weights is not None),
)

_BP2 = (
    Mistake("g' evaluated at A", "BP2", "g'(A); the slope belongs at Z: g'(Z)",
            use("pullback", lambda s, dA: dA * s.g.slope(s.A)),
            # A of relu has the sign of Z, so that g'(A) = g'(Z) and the mistake changes nothing
            lambda s: has_varying_slope(s) and not s.name.startswith(("relu", "leaky_relu"))),
    Mistake("g' formula in A, evaluated at Z", "BP2", "Z (1 - Z) or 1 - Z²; these formulas need A",
            use_slope(lambda s: s.Z * (1 - s.Z) if s.name == "sigmoid" else 1 - s.Z**2),
            at_activation("sigmoid", "tanh")),
    Mistake("g' missing", "BP2", "dZ = dA; multiply by g'(Z)",
            use_slope(lambda s: 1.0), has_varying_slope),
    Mistake("square missing in tanh'", "BP2", "the slope is 1 - A; tanh' = 1 - A²",
            use_slope(lambda s: 1 - s.A), at_activation("tanh")),
    Mistake("1 - a missing in sigmoid'", "BP2", "the slope is A; sigmoid' = A (1 - A)",
            use_slope(lambda s: s.A), at_activation("sigmoid")),
    Mistake("sigmoid' in place of tanh'", "BP2", "the slope is σ(1 - σ); tanh z = 2σ(2z) - 1, so tanh' = 1 - A²",
            use_slope(lambda s: sigmoid(s.Z) * (1 - sigmoid(s.Z))), at_activation("tanh"), "E15"),
    Mistake("slope convention at 0", "BP2",
            "at z = 0 the slope of the other side; here relu' = 0 and leaky_relu' = elu' = 1 at 0",
            use_slope_at_zero(lambda s: 1.0 if s.name == "relu" else activation_parameter(s)), at_kink, "E12"),
    Mistake("slope convention at 0", "BP2",
            "at z = 0 the mean of both slopes; here relu' = 0 and leaky_relu' = elu' = 1 at 0",
            use_slope_at_zero(lambda s: 0.5 if s.name == "relu" else (1 + activation_parameter(s)) / 2),
            at_kink, "E12"),
    Mistake("slopes swapped", "BP2", "the slope is α above 0 and 1 below; leaky_relu' is 1 above 0 and α below",
            use_slope(lambda s: np.where(s.Z < 0, 1.0, activation_parameter(s))),
            lambda s: at_activation("leaky_relu")(s) and activation_parameter(s) != 1),
    Mistake("relu' in place of leaky_relu'", "BP2", "the slope below 0 is 0; leaky relu is max(αz, z), so it is α",
            # ≥, since the slope at 0 is 1 here: only the slope below 0 is incorrect
            use_slope(lambda s: (s.Z >= 0) * 1.0),
            lambda s: at_activation("leaky_relu")(s) and activation_parameter(s) > 0, "E13"),
    Mistake("α missing in elu'", "BP2", "the slope below 0 is A; elu' = A + α there",
            use_slope(lambda s: np.where(s.Z < 0, s.A, 1.0)),
            lambda s: at_activation("elu")(s) and activation_parameter(s) > 0),
    Mistake("softmax Jacobian elementwise", "BP2",
            "the slope is A (1 - A); softmax couples its outputs, its Jacobian is diag(a) - a aᵀ",
            use_slope(lambda s: s.A * (1 - s.A)), at_activation("softmax"), "E1"),
    Mistake("maxout: all tied pieces", "BP2", "dA goes to all pieces that equal A; only the first of them gets it",
            use_pieces(lambda pieces, A: pieces == A), has_tied_pieces),
    Mistake("maxout: last tied piece", "BP2", "dA goes to the last piece that equals A; here the first one gets it",
            use_pieces(is_last_largest), has_tied_pieces),
    Mistake("maxout: all pieces", "BP2", "dA goes to every piece; only the largest gets it",
            use_pieces(lambda pieces, A: np.ones_like(pieces)), at_activation("maxout")),
    Mistake("wrong sign", "BP2", "dA_prev = -Wᵀ dZ; correct without the minus",
            multiply("input_gradient", lambda s: -1), has_layer_below),
    Mistake("1/m twice", "BP2", "dA_prev = Wᵀ dZ / m; dZ already contains 1/m",
            multiply("input_gradient", lambda s: 1 / n_examples(s)),
            lambda s: has_layer_below(s) and has_several_examples(s), "E24"),
    Mistake("W not transposed", "BP2", "dA_prev = W dZ; correct is Wᵀ dZ",
            use("input_gradient", lambda s, dZ: s.W @ dZ), lambda s: s.l > 1 and s.W.size > 1),
    Mistake("elementwise product with Wᵀ", "BP2", "dA_prev = Wᵀ ⊙ dZ; correct is the matrix product Wᵀ dZ",
            use("input_gradient", lambda s, dZ: s.W.T * dZ), lambda s: s.l > 1 and len(s.Z) > 1, "E20"),
)

_BP3 = (
    Mistake("keepdims missing", "BP3",
            "np.sum(dZ, axis=1) has shape (n,), and b - db silently becomes (n, n); add keepdims=True",
            use("bias_gradient", lambda s, dZ: dZ.sum(axis=1)), anywhere, "E3"),
    Mistake("mean in place of sum", "BP3", "a mean over the examples divides by m; dZ already contains 1/m",
            use("bias_gradient", lambda s, dZ: dZ.mean(axis=1, keepdims=True)), has_several_examples, "E2"),
    Mistake("sum in place of mean", "BP3", "the sum over the examples without 1/m",
            multiply("bias_gradient", n_examples), has_several_examples),
    *(Mistake("wrong axis", "BP3", "a sum over axis 0 adds units; axis=1 adds examples",
              use("bias_gradient", formula), has_several_examples)
      for formula in (lambda s, dZ: dZ.sum(axis=0, keepdims=True), lambda s, dZ: dZ.sum(axis=0))),
    *(Mistake("axis missing", "BP3",
              "a sum of all entries; axis=1, keepdims=True keeps a row per unit, also of one unit: (1, 1)",
              use("bias_gradient", formula), condition)
      for formula, condition in (
          (lambda s, dZ: dZ.sum(), anywhere),
          (lambda s, dZ: dZ.sum(keepdims=True), has_several_units),
          (lambda s, dZ: np.full((len(dZ), 1), dZ.sum()), has_several_units))),
    Mistake("one example in place of the sum", "BP3", "the first column of dZ; add all columns",
            use("bias_gradient", lambda s, dZ: dZ[:, :1]), has_several_examples),
    Mistake("wrong sign", "BP3", "db = -Σ dZ; correct without the minus",
            multiply("bias_gradient", lambda s: -1), anywhere),
)

_BP4 = (
    Mistake("1/m missing", "BP4", "dW = dZ A_prevᵀ with a dZ that does not contain 1/m",
            multiply("weight_gradient", n_examples), has_several_examples),
    Mistake("1/m twice", "BP4", "dW = 1/m dZ A_prevᵀ with a dZ that already contains 1/m",
            multiply("weight_gradient", lambda s: 1 / n_examples(s)), has_several_examples, "E24"),
    Mistake("wrong sign", "BP4", "dW = -dZ A_prevᵀ; correct without the minus",
            multiply("weight_gradient", lambda s: -1), anywhere),
    Mistake("A_l in place of A_{l-1}", "BP4", "dW = dZ A_lᵀ; the input of the layer is A_{l-1}",
            use("weight_gradient", lambda s, dZ: dZ @ s.A.T), anywhere, "E4"),
    Mistake("Z_{l-1} in place of A_{l-1}", "BP4", "dW = dZ Z_prevᵀ; the input of the layer is A_{l-1} = g(Z_{l-1})",
            use("weight_gradient", lambda s, dZ: dZ @ (s.A_prev if s.Z_prev is None else s.Z_prev).T),
            lambda s: s.l > 1 and s.problem.net.activations[s.l - 2].name != "identity"),
    Mistake("X in place of A_{l-1}", "BP4", "dW = dZ Xᵀ; the input of the layer is A_{l-1}",
            use("weight_gradient", lambda s, dZ: dZ @ s.problem.X.T), has_layer_below),
    Mistake("A not transposed", "BP4", "dW = dZ A_prev; correct is dZ A_prevᵀ",
            use("weight_gradient", lambda s, dZ: dZ @ s.A_prev), anywhere, "E19"),
    Mistake("dW transposed", "BP4", "dW = A_prev dZᵀ; correct is dZ A_prevᵀ",
            use("weight_gradient", lambda s, dZ: s.A_prev @ dZ.T), lambda s: s.W.size > 1),
)

_PENALTY = (
    Mistake("L2 on the biases", "penalty", "db contains λ/m b; the penalty is on W only",
            use("penalty_gradient", lambda s: (s.problem.decay * s.W, s.problem.decay * s.b)),
            lambda s: has_penalty(s) and bool(s.b.any())),
    Mistake("λ/(2m) in place of λ/m", "penalty", "dW contains λ/(2m) W; the derivative of W² brings a 2, so λ/m W",
            use("penalty_gradient", lambda s: (s.problem.decay / 2 * s.W, 0.0)), has_penalty),
    Mistake("λ without 1/m", "penalty", "dW contains λ W; the penalty is λ/(2m) Σ W², so λ/m W",
            use("penalty_gradient", lambda s: (s.problem.l2 * s.W, 0.0)), has_penalty),
    Mistake("penalty missing", "penalty", "dW has no penalty term; add λ/m W",
            use("penalty_gradient", lambda s: (0.0, 0.0)), has_penalty),
    Mistake("sign of the penalty", "penalty", "dW contains -λ/m W; correct is +λ/m W",
            use("penalty_gradient", lambda s: (-s.problem.decay * s.W, 0.0)), has_penalty),
)

# fmt: on

MISTAKES: tuple[Mistake, ...] = (*_BP1, *_BP2, *_BP3, *_BP4, *_PENALTY)


def find_mistake(name: str) -> tuple[Mistake, ...]:
    """Return the rows of the table with this name.

    Raises:
      InputError: for a name that is not in the table.

    >>> [mistake.equation for mistake in find_mistake("1/m twice")]
    ['BP1', 'BP2', 'BP4']
    """
    rows = tuple(mistake for mistake in MISTAKES if mistake.name == name)
    if not rows:
        raise unknown("mistake", name, dict.fromkeys(mistake.name for mistake in MISTAKES))
    return rows
