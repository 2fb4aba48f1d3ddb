"""The table of known slips: what people write in place of the four equations.

A slip exchanges one equation of the textbook's loop: `plant` takes the right `Equations` of a layer and returns the
wrong ones, `where` says at which layers it can be written and changes the gradient. The same table plants the faults on
which the checker proves itself, and finds the cause of a wrong gradient: what each slip would give is computed and
compared with what was given.

Several rows may carry one name: "1/m twice" can happen in BP1, BP2 or BP4, and is the same slip. The letters E1, E2, …
number the misprints of the tutorials that the slips stand for.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jaxmlp.errors import unknown
from jaxmlp.evidence.formulas import sigmoid
from jaxmlp.evidence.student.loop import Step
from jaxmlp.evidence.student.writing import (
    Plant,
    anywhere,
    at_kink,
    at_output,
    at_zero,
    back,
    bias,
    by_dA,
    counted_from_one,
    cross_entropy,
    error,
    examples,
    has_layer_below,
    has_slope,
    last_winner,
    number,
    of,
    penalty,
    rounded,
    routed,
    scaled,
    several,
    slope,
    through_g,
    tied,
    weight,
)


class Slip(NamedTuple):
    """A known slip.

    Attributes:
      name: what it is called in a diagnosis.
      equation: where it is written: "BP1" to "BP4", or "penalty".
      text: as it is written, and as it should be.
      plant: the right equations of a layer -> the wrong ones.
      where: step -> whether it can be written there and be seen.
      erratum: its number in the errata ledger, or "".
    """

    name: str
    equation: str
    text: str
    plant: Plant
    where: Callable[[Step], bool]
    erratum: str = ""


UNKNOWN = "wrong here, cause unknown"


# --- the table --------------------------------------------------------------------------------------------------------

# fmt: off
_BP1 = (
    Slip("1/m missing", "BP1", "dZ = A - Y; J is a mean: (A - Y)/m",
         scaled("error", examples), lambda s: s.last and several(s)),
    Slip("1/m twice", "BP1", "the cost's derivative has 1/m, and dZ is divided by m again",
         scaled("error", lambda s: 1 / examples(s)), lambda s: s.last and several(s), "E24"),
    Slip("m + 1 terms", "BP1", "the mean over i = 0 … m divides by m + 1",
         scaled("error", lambda s: examples(s) / (examples(s) + 1)), at_output, "E9"),
    Slip("sign", "BP1", "dZ = Y - A; the derivative of the cost is A - Y",
         scaled("error", lambda s: -1), at_output),
    Slip("factor 2 of the square", "BP1", "2 (A - Y); the cost 1/2 (a - y)² has no 2 left",
         scaled("error", lambda s: 2), lambda s: s.last and s.problem.cost == "quadratic"),
    Slip("mean over the outputs too", "BP1", "the mean of all entries divides by n_L m; J divides by m",
         scaled("error", lambda s: 1 / len(s.A)), lambda s: s.last and len(s.A) > 1),
    Slip("g' for a cross-entropy", "BP1", "dZ = (A - Y) ⊙ g'(Z); the δ of cross-entropy and Poisson is A - Y alone",
         error(lambda s: s.g.pullback(s.Z, (s.A - s.problem.targets) * s.problem.share)),
         lambda s: not through_g(s)),
    Slip("g' for a cross-entropy", "BP1", "dZ = (A - Y) ⊙ A (1 - A); the cross-entropy's δ is A - Y alone",
         error(lambda s: (s.A - s.problem.targets) * s.problem.share * s.A * (1 - s.A)), cross_entropy("categorical")),
    Slip("softmax Jacobian elementwise", "BP1", "da/dz = a (1 - a); softmax couples its outputs: diag(a) - a aᵀ",
         by_dA(lambda s: s.A * (1 - s.A)), cross_entropy("categorical"), "E1"),
    Slip("δ by way of dA", "BP1", "-(y/a - (1-y)/(1-a)) · a (1 - a) is 0/0 where a rounds to 0 or 1; A - Y is not",
         by_dA(lambda s: s.A * (1 - s.A)), rounded, "E11"),
    Slip("g' at A", "BP1", "dA ⊙ σ'(A); the slope is taken at Z, and is A (1 - A)",
         by_dA(lambda s: sigmoid(s.A) * (1 - sigmoid(s.A))), cross_entropy("binary")),
    Slip("g' in terms of A, at Z", "BP1", "dA ⊙ Z (1 - Z); this formula wants A",
         by_dA(lambda s: s.Z * (1 - s.Z)), cross_entropy("binary")),
    Slip("1 - a missing in sigmoid'", "BP1", "dA ⊙ A; sigmoid' = A (1 - A)",
         by_dA(lambda s: s.A), cross_entropy("binary")),
    Slip("g' missing", "BP1", "dZ = dA; multiply by g'(Z), for a softmax by its Jacobian",
         by_dA(lambda s: 1.0), cross_entropy("binary", "categorical")),
    Slip("class ids as numbers", "BP1", "A - Y with Y the ids (1, m); make them one-hot columns first",
         error(lambda s: (s.A - s.problem.Y) * s.problem.share), lambda s: s.last and s.problem.ids),
    Slip("class ids from 1", "BP1", "row y - 1 of the one-hot columns; ids start at 0",
         error(counted_from_one), lambda s: s.last and s.problem.ids),
    Slip("weights ignored", "BP1", "(A - Y)/m; each column weighs w / Σ w",
         error(lambda s: (s.A - s.problem.targets) / s.problem.m),
         lambda s: not through_g(s) and s.problem.weights is not None),
    Slip("weights over m", "BP1", "w (A - Y)/m; divide by Σ w",
         scaled("error", lambda s: 0 if s.problem.weights is None else s.problem.weights.mean()),
         lambda s: s.last and s.problem.weights is not None),
)

_BP2 = (
    Slip("g' at A", "BP2", "g'(A); the slope is taken at Z",
         lambda use: use._replace(pullback=lambda s, dA: dA * s.g.slope(s.A)),
         # relu's A has the sign of Z, so that g'(A) = g'(Z)
         lambda s: has_slope(s) and not s.name.startswith(("relu", "leaky_relu"))),
    Slip("g' in terms of A, at Z", "BP2", "Z (1 - Z), 1 - Z²; these formulas want A",
         slope(lambda s: s.Z * (1 - s.Z) if s.name == "sigmoid" else 1 - s.Z**2), of("sigmoid", "tanh")),
    Slip("g' missing", "BP2", "dZ = dA; multiply by g'(Z)",
         slope(lambda s: 1.0),
         has_slope),
    Slip("square missing in tanh'", "BP2", "1 - A; tanh' = 1 - A²",
         slope(lambda s: 1 - s.A), of("tanh")),
    Slip("1 - a missing in sigmoid'", "BP2", "g' = A; sigmoid' = A (1 - A)",
         slope(lambda s: s.A), of("sigmoid")),
    Slip("sigmoid' for tanh'", "BP2", "g' = σ(1 - σ); tanh z = 2σ(2z) - 1, so tanh' = 1 - A²",
         slope(lambda s: sigmoid(s.Z) * (1 - sigmoid(s.Z))), of("tanh"), "E15"),
    Slip("the convention at 0", "BP2", "the other side's slope at z = 0; here relu' = 0, leaky_relu' = elu' = 1 there",
         at_zero(lambda s: 1.0 if s.name == "relu" else number(s)), at_kink, "E12"),
    Slip("the convention at 0", "BP2", "the mean slope at z = 0; here relu' = 0, leaky_relu' = elu' = 1 there",
         at_zero(lambda s: 0.5 if s.name == "relu" else (1 + number(s)) / 2), at_kink, "E12"),
    Slip("slopes swapped", "BP2", "α above 0 and 1 below; it is the other way",
         slope(lambda s: np.where(s.Z < 0, 1.0, number(s))), lambda s: of("leaky_relu")(s) and number(s) != 1),
    Slip("relu' for leaky_relu'", "BP2", "0 below 0, from max(0, z); leaky relu is max(αz, z)",
         slope(lambda s: (s.Z >= 0) * 1.0), lambda s: of("leaky_relu")(s) and number(s) > 0, "E13"),
    Slip("α forgotten in elu'", "BP2", "A below 0; elu' = A + α there",
         slope(lambda s: np.where(s.Z < 0, s.A, 1.0)), lambda s: of("elu")(s) and number(s) > 0),
    Slip("softmax Jacobian elementwise", "BP2", "A (1 - A); softmax couples its outputs: diag(a) - a aᵀ",
         slope(lambda s: s.A * (1 - s.A)), of("softmax"), "E1"),
    Slip("maxout: every tied piece", "BP2", "dA to all pieces that equal A; one of them gets it, the first",
         routed(lambda pieces, A: pieces == A), tied),
    Slip("maxout: the last piece", "BP2", "dA to the last piece that equals A; here the first gets it",
         routed(last_winner), tied),
    Slip("maxout: all pieces", "BP2", "dA to every piece; only the largest gets it",
         routed(lambda pieces, A: np.ones_like(pieces)), of("maxout")),
    Slip("sign", "BP2", "dA_prev = -Wᵀ dZ; there is no minus",
         scaled("back", lambda s: -1), has_layer_below),
    Slip("1/m twice", "BP2", "dA_prev = Wᵀ dZ / m; the 1/m is in dZ already",
         scaled("back", lambda s: 1 / examples(s)), lambda s: has_layer_below(s) and several(s), "E24"),
    Slip("W not transposed", "BP2", "dA_prev = W dZ; it is Wᵀ dZ",
         back(lambda s, dZ: s.W @ dZ), lambda s: s.l > 1 and s.W.size > 1),
    Slip("elementwise product with Wᵀ", "BP2", "dA_prev = Wᵀ ⊙ dZ; it is the matrix product",
         back(lambda s, dZ: s.W.T * dZ), lambda s: s.l > 1 and len(s.Z) > 1, "E20"),
)

_BP3 = (
    Slip("keepdims missing", "BP3", "np.sum(dZ, axis=1) is (n,), and b - db silently (n, n); keepdims=True",
         bias(lambda dZ: dZ.sum(axis=1)), anywhere, "E3"),
    Slip("mean for sum", "BP3", "1/m is in dZ already, and the mean over examples divides again",
         bias(lambda dZ: dZ.mean(axis=1, keepdims=True)), several, "E2"),
    Slip("sum for mean", "BP3", "the sum over examples without 1/m",
         bias(lambda dZ: dZ.sum(axis=1, keepdims=True) * dZ.shape[1]), several),
    Slip("wrong axis", "BP3", "the sum over axis 0 adds units; axis 1 adds examples",
         bias(lambda dZ: dZ.sum(axis=0, keepdims=True)), several),
    Slip("wrong axis", "BP3", "the sum over axis 0 adds units; axis 1 adds examples",
         bias(lambda dZ: dZ.sum(axis=0)), several),
    Slip("axis missing", "BP3", "the sum of all entries; axis=1 keeps a row per unit",
         bias(lambda dZ: dZ.sum()), anywhere),
    Slip("axis missing", "BP3", "the sum of all entries; axis=1 keeps a row per unit",
         bias(lambda dZ: dZ.sum(keepdims=True)), lambda s: len(s.Z) > 1),
    Slip("axis missing", "BP3", "the sum of all entries; axis=1 keeps a row per unit",
         bias(lambda dZ: np.full((len(dZ), 1), dZ.sum())), lambda s: len(s.Z) > 1),
    Slip("one example for the sum", "BP3", "the first column of dZ; add all columns",
         bias(lambda dZ: dZ[:, :1]), several),
    Slip("sign", "BP3", "db = -Σ dZ; there is no minus",
         scaled("bias", lambda s: -1), anywhere),
)

_BP4 = (
    Slip("1/m missing", "BP4", "dW = dZ A_prevᵀ with a dZ that has no 1/m",
         scaled("weight", examples), several),
    Slip("1/m twice", "BP4", "dW = 1/m dZ A_prevᵀ with a dZ that has its 1/m",
         scaled("weight", lambda s: 1 / examples(s)), several, "E24"),
    Slip("sign", "BP4", "dW = -dZ A_prevᵀ; there is no minus",
         scaled("weight", lambda s: -1), anywhere),
    Slip("A_l for A_{l-1}", "BP4", "dW = dZ A_lᵀ; the weights see the layer below, A_{l-1}",
         weight(lambda s, dZ: dZ @ s.A.T), anywhere, "E4"),
    Slip("Z_{l-1} for A_{l-1}", "BP4", "dW = dZ Z_prevᵀ; the weights see A_{l-1} = g(Z_{l-1})",
         weight(lambda s, dZ: dZ @ (s.A_prev if s.Z_prev is None else s.Z_prev).T),
         lambda s: s.l > 1 and s.problem.net.activations[s.l - 2].name != "identity"),
    Slip("X for A_{l-1}", "BP4", "dW = dZ Xᵀ; the weights see A_{l-1}",
         weight(lambda s, dZ: dZ @ s.problem.X.T), has_layer_below),
    Slip("A not transposed", "BP4", "dW = dZ A_prev; it is dZ A_prevᵀ",
         weight(lambda s, dZ: dZ @ s.A_prev), anywhere, "E19"),
    Slip("dW transposed", "BP4", "dW = A_prev dZᵀ; it is dZ A_prevᵀ",
         weight(lambda s, dZ: s.A_prev @ dZ.T), lambda s: s.W.size > 1),
)


def _penalised(step: Step) -> bool:
    return step.problem.l2 > 0


_PENALTY = (
    Slip("L2 on the biases", "penalty", "db gains λ/m b; the penalty is on W alone",
         penalty(lambda s: (s.problem.decay * s.W, s.problem.decay * s.b)),
         lambda s: _penalised(s) and bool(s.b.any())),
    Slip("λ/(2m) for λ/m", "penalty", "dW gains λ/(2m) W; the square brings a 2",
         penalty(lambda s: (s.problem.decay / 2 * s.W, 0.0)), _penalised),
    Slip("λ without 1/m", "penalty", "dW gains λ W; the penalty is λ/(2m) Σ W²",
         penalty(lambda s: (s.problem.l2 * s.W, 0.0)), _penalised),
    Slip("penalty missing", "penalty", "dW gains λ/m W",
         penalty(lambda s: (0.0, 0.0)), _penalised),
    Slip("sign of the penalty", "penalty", "dW loses λ/m W; it gains it",
         penalty(lambda s: (-s.problem.decay * s.W, 0.0)), _penalised),
)

# fmt: on

SLIPS: tuple[Slip, ...] = (*_BP1, *_BP2, *_BP3, *_BP4, *_PENALTY)


def find(name: str) -> tuple[Slip, ...]:
    """The rows of the table under one name.

    Raises:
      InputError: for a name that is not in the table.

    >>> [slip.equation for slip in find("1/m twice")]
    ['BP1', 'BP2', 'BP4']
    """
    rows = tuple(slip for slip in SLIPS if slip.name == name)
    if not rows:
        raise unknown("slip", name, dict.fromkeys(slip.name for slip in SLIPS))
    return rows
