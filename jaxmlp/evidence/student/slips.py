"""The table of known slips: what people write in place of the four equations.

A slip exchanges one equation of the textbook's loop: `plant` takes the right `Equations` of a layer and returns the
wrong ones, `where` says at which layers it can be written and changes the gradient. The same table plants the faults on
which the checker proves itself, and finds the cause of a wrong gradient: what each slip would give is computed and
compared with what was given.

Several rows may carry one name: "1/m twice" can happen in BP1, BP2 or BP4, and is the same slip. The letters E1, E2, …
number the misprints of the tutorials that the slips stand for.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray as Array

from jaxmlp.errors import unknown
from jaxmlp.evidence.formulas import residual, sigmoid
from jaxmlp.evidence.student.loop import RIGHT, Equations, Step


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
    plant: Callable[[Equations], Equations]
    where: Callable[[Step], bool]
    erratum: str = ""


UNKNOWN = "wrong here, cause unknown"


# --- where a slip can be written --------------------------------------------------------------------------------------


def _anywhere(step: Step) -> bool:
    return True


def _has_layer_below(step: Step) -> bool:
    return step.l > 1


def _output(step: Step) -> bool:
    return step.last


def _rounded(step: Step) -> bool:
    binary = step.last and step.problem.cost == "binary_cross_entropy"
    return binary and bool(((step.A == 0) | (step.A == 1)).any())


def _several(step: Step) -> bool:
    return step.problem.m > 1


def _through_g(step: Step) -> bool:
    """Whether dZ = pullback(dA) is used: at the output by the costs of the residual alone."""
    return not step.last or residual(step.problem.cost) is not None


def _has_slope(step: Step) -> bool:
    """Whether g is elementwise and g' not constant."""
    return _through_g(step) and step.g.slope is not None and step.name not in ("identity", "step")


def _with(*names: str) -> Callable[[Step], bool]:
    return lambda step: _through_g(step) and step.name.partition("(")[0] in names


def _number(step: Step) -> float:
    """α of leaky_relu(α) and elu(α), k of maxout(k)."""
    return float(step.name.rstrip(")").partition("(")[2])


def _at_kink(step: Step) -> bool:
    jumps = step.name == "relu" or (step.name.startswith(("leaky_relu", "elu")) and _number(step) != 1)
    return _through_g(step) and jumps and bool((step.Z == 0).any())


def _pieces(step: Step) -> Array:
    k = int(_number(step))
    return step.Z.reshape(k, -1, step.Z.shape[1])


def _tied(step: Step) -> bool:
    if not step.name.startswith("maxout") or not _through_g(step):
        return False
    return bool(((_pieces(step) == step.A).sum(axis=0) > 1).any())


# --- how it is written ------------------------------------------------------------------------------------------------


def _slope(formula: Callable[[Step], Array | float]) -> Callable[[Equations], Equations]:
    """dZ = dA ⊙ formula."""
    return lambda use: use._replace(pullback=lambda step, dA: dA * formula(step))


def _scaled(equation: str, factor: Callable[[Step], Any]) -> Callable[[Equations], Equations]:
    """The result of one equation times a factor."""

    def plant(use: Equations) -> Equations:
        right = getattr(use, equation)
        return use._replace(**{equation: lambda step, given: factor(step) * right(step, given)})

    return plant


def _at_zero(slope: Callable[[Step], float]) -> Callable[[Equations], Equations]:
    """Another slope where Z is 0."""

    def plant(use: Equations) -> Equations:
        return use._replace(
            pullback=lambda step, dA: np.where(step.Z == 0, slope(step) * dA, RIGHT.pullback(step, dA)),
        )

    return plant


def _routed(wins: Callable[[Array, Array], Array]) -> Callable[[Equations], Equations]:
    """Maxout's dA to other pieces: (pieces, A) -> which pieces get it."""
    return lambda use: use._replace(
        pullback=lambda step, dA: (wins(_pieces(step), step.A) * dA).reshape(step.Z.shape),
    )


def _last_winner(pieces: Array, A: Array) -> Array:
    last = len(pieces) - 1 - (pieces == A)[::-1].argmax(axis=0)
    return np.arange(len(pieces))[:, None, None] == last


def _error(formula: Callable[[Step], Array]) -> Callable[[Equations], Equations]:
    """dZ_L = formula."""
    return lambda use: use._replace(error=lambda step, pullback: formula(step))


def _bias(formula: Callable[[Array], Any]) -> Callable[[Equations], Equations]:
    """db = formula of dZ."""
    return lambda use: use._replace(bias=lambda step, dZ: formula(dZ))


def _weight(formula: Callable[[Step, Array], Array]) -> Callable[[Equations], Equations]:
    """dW = formula of dZ."""
    return lambda use: use._replace(weight=formula)


def _back(formula: Callable[[Step, Array], Array]) -> Callable[[Equations], Equations]:
    """dA_prev = formula of dZ."""
    return lambda use: use._replace(back=formula)


def _penalty(formula: Callable[[Step], tuple[Any, Any]]) -> Callable[[Equations], Equations]:
    """What dW and db gain."""
    return lambda use: use._replace(penalty=formula)


def _m(step: Step) -> int:
    return step.problem.m


def _categorical_elementwise(step: Step) -> Array:
    return -step.problem.targets * (1 - step.A) * step.problem.share  # (-y/a) · a (1 - a)


def _through_dA(step: Step) -> Array:
    A, Y = step.A, step.problem.targets
    with np.errstate(all="ignore"):
        return -(Y / A - (1 - Y) / (1 - A)) * step.problem.share * A * (1 - A)


def _counted_from_one(step: Step) -> Array:
    # np.eye(C)[y - 1]: id 0 wraps round to the last class
    Y = np.eye(len(step.A))[:, step.problem.Y[0] - 1]
    return (step.A - Y) * step.problem.share


# --- the table --------------------------------------------------------------------------------------------------------

# fmt: off
_BP1 = (
    Slip("1/m missing", "BP1", "dZ = A - Y; J is a mean: (A - Y)/m",
         _scaled("error", _m), lambda s: s.last and _several(s)),
    Slip("1/m twice", "BP1", "the cost's derivative has 1/m, and dZ is divided by m again",
         _scaled("error", lambda s: 1 / _m(s)), lambda s: s.last and _several(s), "E24"),
    Slip("m + 1 terms", "BP1", "the mean over i = 0 … m divides by m + 1",
         _scaled("error", lambda s: _m(s) / (_m(s) + 1)), _output, "E9"),
    Slip("sign", "BP1", "dZ = Y - A; the derivative of the cost is A - Y",
         _scaled("error", lambda s: -1), _output),
    Slip("factor 2 of the square", "BP1", "2 (A - Y); the cost 1/2 (a - y)² has no 2 left",
         _scaled("error", lambda s: 2), lambda s: s.last and s.problem.cost == "quadratic"),
    Slip("mean over the outputs too", "BP1", "the mean of all entries divides by n_L m; J divides by m",
         _scaled("error", lambda s: 1 / len(s.A)), lambda s: s.last and len(s.A) > 1),
    Slip("g' for a cross-entropy", "BP1", "dZ = (A - Y) ⊙ g'(Z); the δ of cross-entropy and Poisson is A - Y alone",
         _error(lambda s: s.g.pullback(s.Z, (s.A - s.problem.targets) * s.problem.share)),
         lambda s: not _through_g(s)),
    Slip("softmax Jacobian elementwise", "BP1", "da/dz = a (1 - a); softmax couples its outputs: diag(a) - a aᵀ",
         _error(_categorical_elementwise), lambda s: s.last and s.problem.cost == "categorical_cross_entropy", "E1"),
    Slip("δ by way of dA", "BP1", "-(y/a - (1-y)/(1-a)) · a (1 - a) is 0/0 where a rounds to 0 or 1; A - Y is not",
         _error(_through_dA), _rounded, "E11"),
    Slip("class ids as numbers", "BP1", "A - Y with Y the ids (1, m); make them one-hot columns first",
         _error(lambda s: (s.A - s.problem.Y) * s.problem.share), lambda s: s.last and s.problem.ids),
    Slip("class ids from 1", "BP1", "row y - 1 of the one-hot columns; ids start at 0",
         _error(_counted_from_one), lambda s: s.last and s.problem.ids),
    Slip("weights ignored", "BP1", "(A - Y)/m; each column weighs w / Σ w",
         _error(lambda s: (s.A - s.problem.targets) / s.problem.m),
         lambda s: not _through_g(s) and s.problem.weights is not None),
    Slip("weights over m", "BP1", "w (A - Y)/m; divide by Σ w",
         _scaled("error", lambda s: 0 if s.problem.weights is None else s.problem.weights.mean()),
         lambda s: s.last and s.problem.weights is not None),
)

_BP2 = (
    Slip("g' at A", "BP2", "g'(A); the slope is taken at Z",
         lambda use: use._replace(pullback=lambda s, dA: dA * s.g.slope(s.A)),
         # relu's A has the sign of Z, so that g'(A) = g'(Z)
         lambda s: _has_slope(s) and not s.name.startswith(("relu", "leaky_relu"))),
    Slip("g' in terms of A, at Z", "BP2", "Z (1 - Z), 1 - Z²; these formulas want A",
         _slope(lambda s: s.Z * (1 - s.Z) if s.name == "sigmoid" else 1 - s.Z**2), _with("sigmoid", "tanh")),
    Slip("g' missing", "BP2", "dZ = dA; multiply by g'(Z)",
         _slope(lambda s: 1.0),
         _has_slope),
    Slip("square missing in tanh'", "BP2", "1 - A; tanh' = 1 - A²",
         _slope(lambda s: 1 - s.A), _with("tanh")),
    Slip("1 - a missing in sigmoid'", "BP2", "g' = A; sigmoid' = A (1 - A)",
         _slope(lambda s: s.A), _with("sigmoid")),
    Slip("sigmoid' for tanh'", "BP2", "g' = σ(1 - σ); tanh z = 2σ(2z) - 1, so tanh' = 1 - A²",
         _slope(lambda s: sigmoid(s.Z) * (1 - sigmoid(s.Z))), _with("tanh"), "E15"),
    Slip("the convention at 0", "BP2", "the other side's slope at z = 0; here relu' = 0, leaky_relu' = elu' = 1 there",
         _at_zero(lambda s: 1.0 if s.name == "relu" else _number(s)), _at_kink, "E12"),
    Slip("the convention at 0", "BP2", "the mean slope at z = 0; here relu' = 0, leaky_relu' = elu' = 1 there",
         _at_zero(lambda s: 0.5 if s.name == "relu" else (1 + _number(s)) / 2), _at_kink, "E12"),
    Slip("slopes swapped", "BP2", "α above 0 and 1 below; it is the other way",
         _slope(lambda s: np.where(s.Z < 0, 1.0, _number(s))), lambda s: _with("leaky_relu")(s) and _number(s) != 1),
    Slip("relu' for leaky_relu'", "BP2", "0 below 0, from max(0, z); leaky relu is max(αz, z)",
         _slope(lambda s: (s.Z >= 0) * 1.0), lambda s: _with("leaky_relu")(s) and _number(s) > 0, "E13"),
    Slip("α forgotten in elu'", "BP2", "A below 0; elu' = A + α there",
         _slope(lambda s: np.where(s.Z < 0, s.A, 1.0)), lambda s: _with("elu")(s) and _number(s) > 0),
    Slip("softmax Jacobian elementwise", "BP2", "A (1 - A); softmax couples its outputs: diag(a) - a aᵀ",
         _slope(lambda s: s.A * (1 - s.A)), _with("softmax"), "E1"),
    Slip("maxout: every tied piece", "BP2", "dA to all pieces that equal A; one of them gets it, the first",
         _routed(lambda pieces, A: pieces == A), _tied),
    Slip("maxout: the last piece", "BP2", "dA to the last piece that equals A; here the first gets it",
         _routed(_last_winner), _tied),
    Slip("maxout: all pieces", "BP2", "dA to every piece; only the largest gets it",
         _routed(lambda pieces, A: np.ones_like(pieces)), _with("maxout")),
    Slip("sign", "BP2", "dA_prev = -Wᵀ dZ; there is no minus",
         _scaled("back", lambda s: -1), _has_layer_below),
    Slip("1/m twice", "BP2", "dA_prev = Wᵀ dZ / m; the 1/m is in dZ already",
         _scaled("back", lambda s: 1 / _m(s)), lambda s: _has_layer_below(s) and _several(s), "E24"),
    Slip("W not transposed", "BP2", "dA_prev = W dZ; it is Wᵀ dZ",
         _back(lambda s, dZ: s.W @ dZ), lambda s: s.l > 1 and s.W.size > 1),
    Slip("elementwise product with Wᵀ", "BP2", "dA_prev = Wᵀ ⊙ dZ; it is the matrix product",
         _back(lambda s, dZ: s.W.T * dZ), lambda s: s.l > 1 and len(s.Z) > 1, "E20"),
)

_BP3 = (
    Slip("keepdims missing", "BP3", "np.sum(dZ, axis=1) is (n,), and b - db silently (n, n); keepdims=True",
         _bias(lambda dZ: dZ.sum(axis=1)), _anywhere, "E3"),
    Slip("mean for sum", "BP3", "1/m is in dZ already, and the mean over examples divides again",
         _bias(lambda dZ: dZ.mean(axis=1, keepdims=True)), _several, "E2"),
    Slip("sum for mean", "BP3", "the sum over examples without 1/m",
         _bias(lambda dZ: dZ.sum(axis=1, keepdims=True) * dZ.shape[1]), _several),
    Slip("wrong axis", "BP3", "the sum over axis 0 adds units; axis 1 adds examples",
         _bias(lambda dZ: dZ.sum(axis=0, keepdims=True)), _several),
    Slip("wrong axis", "BP3", "the sum over axis 0 adds units; axis 1 adds examples",
         _bias(lambda dZ: dZ.sum(axis=0)), _several),
    Slip("axis missing", "BP3", "the sum of all entries; axis=1 keeps a row per unit",
         _bias(lambda dZ: dZ.sum()), _anywhere),
    Slip("axis missing", "BP3", "the sum of all entries; axis=1 keeps a row per unit",
         _bias(lambda dZ: dZ.sum(keepdims=True)), lambda s: len(s.Z) > 1),
    Slip("axis missing", "BP3", "the sum of all entries; axis=1 keeps a row per unit",
         _bias(lambda dZ: np.full((len(dZ), 1), dZ.sum())), lambda s: len(s.Z) > 1),
    Slip("one example for the sum", "BP3", "the first column of dZ; add all columns",
         _bias(lambda dZ: dZ[:, :1]), _several),
    Slip("sign", "BP3", "db = -Σ dZ; there is no minus",
         _scaled("bias", lambda s: -1), _anywhere),
)

_BP4 = (
    Slip("1/m missing", "BP4", "dW = dZ A_prevᵀ with a dZ that has no 1/m",
         _scaled("weight", _m), _several),
    Slip("1/m twice", "BP4", "dW = 1/m dZ A_prevᵀ with a dZ that has its 1/m",
         _scaled("weight", lambda s: 1 / _m(s)), _several, "E24"),
    Slip("sign", "BP4", "dW = -dZ A_prevᵀ; there is no minus",
         _scaled("weight", lambda s: -1), _anywhere),
    Slip("A_l for A_{l-1}", "BP4", "dW = dZ A_lᵀ; the weights see the layer below, A_{l-1}",
         _weight(lambda s, dZ: dZ @ s.A.T), _anywhere, "E4"),
    Slip("Z_{l-1} for A_{l-1}", "BP4", "dW = dZ Z_prevᵀ; the weights see A_{l-1} = g(Z_{l-1})",
         _weight(lambda s, dZ: dZ @ (s.A_prev if s.Z_prev is None else s.Z_prev).T),
         lambda s: s.l > 1 and s.problem.net.activations[s.l - 2].name != "identity"),
    Slip("X for A_{l-1}", "BP4", "dW = dZ Xᵀ; the weights see A_{l-1}",
         _weight(lambda s, dZ: dZ @ s.problem.X.T), _has_layer_below),
    Slip("A not transposed", "BP4", "dW = dZ A_prev; it is dZ A_prevᵀ",
         _weight(lambda s, dZ: dZ @ s.A_prev), _anywhere, "E19"),
    Slip("dW transposed", "BP4", "dW = A_prev dZᵀ; it is dZ A_prevᵀ",
         _weight(lambda s, dZ: s.A_prev @ dZ.T), lambda s: s.W.size > 1),
)


def _penalised(step: Step) -> bool:
    return step.problem.l2 > 0


_PENALTY = (
    Slip("L2 on the biases", "penalty", "db gains λ/m b; the penalty is on W alone",
         _penalty(lambda s: (s.problem.decay * s.W, s.problem.decay * s.b)),
         lambda s: _penalised(s) and bool(s.b.any())),
    Slip("λ/(2m) for λ/m", "penalty", "dW gains λ/(2m) W; the square brings a 2",
         _penalty(lambda s: (s.problem.decay / 2 * s.W, 0.0)), _penalised),
    Slip("λ without 1/m", "penalty", "dW gains λ W; the penalty is λ/(2m) Σ W²",
         _penalty(lambda s: (s.problem.l2 * s.W, 0.0)), _penalised),
    Slip("penalty missing", "penalty", "dW gains λ/m W",
         _penalty(lambda s: (0.0, 0.0)), _penalised),
    Slip("sign of the penalty", "penalty", "dW loses λ/m W; it gains it",
         _penalty(lambda s: (-s.problem.decay * s.W, 0.0)), _penalised),
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
