"""The equations of one network on one batch, each against its witnesses, in the order of the chain.

    forward  Z_l = W_l A_{l-1} + b_l,  A_l = g_l(Z_l)                               l = 1 … L
    BP1      dZ_L = w δ / Σ w                                                       then, l = L … 1:
    BP3      db_l = Σ over columns of dZ_l
    BP4      dW_l = dZ_l A_{l-1}ᵀ
    BP2      dA_{l-1} = W_lᵀ dZ_l,  dZ_{l-1} = pullback of g_{l-1} at dA_{l-1}
    norm     dγ_l = Σ over columns of dZ_l Û_l, where layer l is normalised
    L2, L1   λ/(2m) Σ‖W_l‖²,  dW_l = λ/m W_l;   λ/m Σ|w|,  dW_l = λ/m sign(W_l)

Rows come in this order, each equation at correct inputs, so the first row that fails names the wrong equation. The
user may replace equations of the package.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray as Array
from numpy.typing import ArrayLike

from jaxmlp.evidence.certificate import Row, Verdict, judge
from jaxmlp.evidence.formulas import formula, normalize
from jaxmlp.evidence.network_check import witnesses
from jaxmlp.evidence.network_check.cases import Case
from jaxmlp.evidence.network_check.derivatives import (
    CaseResults,
    ChainDerivatives,
    compute_results,
    compute_results_compiled,
    example_weights,
    penalty_examples,
)
from jaxmlp.evidence.network_check.witnesses import Slopes, relative_difference, slopes
from jaxmlp.nn.dropout import Masks
from jaxmlp.nn.objective import Batch

AUTODIFF_BOUND = 1e-12  # the largest relative difference from autodiff, and from NumPy, in float64
DIFFERENCES_BOUND = 1e-7  # from central differences


class UserEquations(NamedTuple):
    """Functions of the user in place of the package's equations; `verify` documents their arguments."""

    bp1: Callable[..., object] | None = None
    bp2: Callable[..., object] | None = None
    bp3: Callable[..., object] | None = None
    bp4: Callable[..., object] | None = None
    backward: Callable[..., object] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The equations that the user has replaced."""
        return tuple(name for name, function in self._asdict().items() if function is not None)


def equation_rows(case: Case, user: UserEquations, rng: np.random.Generator, *, compiled: bool = True) -> list[Row]:
    """Return the rows of every equation of a case: forward, backward, penalties, whole gradients.

    In float64 if the caller's context is. `compiled=False` is faster for many networks that share their shapes.
    """
    compute = compute_results_compiled if compiled else compute_results
    # one program computes every quantity of the case; the rows below only compare
    params, batch = jax.tree.map(jnp.asarray, (case.params, (case.X, case.Y, case.weights)))
    results = jax.tree.map(np.asarray, compute(params, Batch(*batch), case.net, case.objective, case.seed))
    case = case._replace(Y=results.batch.Y)  # noise and label smoothing have changed the targets
    rows = [*_forward_rows(case, results)]
    difference = FiniteDifference(case, results.by_autodiff, results.masks, rng)
    rows += _backward_rows(case, BackwardPass(case, results, user), difference)
    for name, both in results.penalties.items():
        rows += _penalty_rows(case, name, both, rng)
    return [*rows, *_whole_rows(case, results, user)]


# --- central differences ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FiniteDifference:
    """Slopes of the cost by one matrix of one layer, from forward passes that begin at that layer."""

    case: Case
    correct: ChainDerivatives
    masks: Masks
    rng: np.random.Generator

    def slopes_by(self, name: str, l: int) -> Slopes:
        """Return the slopes by W_l, b_l, γ_l, Z_l or A_l."""
        case, masks, correct = self.case, self.masks, self.correct
        if name == "Z":
            return slopes(partial(self._cost_parts, l), correct.Z[l - 1], self.rng)
        if name == "A":
            return slopes(lambda A: self._cost_parts(l + 1, to_Z(case, masks, l + 1, A)), correct.A[l], self.rng)

        def perturbed_cost(leaf: Array) -> tuple[Array, list[Array]]:
            return self._cost_parts(l, to_Z(case, masks, l, correct.A[l - 1], **{name: leaf}))

        return slopes(perturbed_cost, case.params[l - 1][name], self.rng)

    def _cost_parts(self, l: int, Z: Array) -> tuple[Array, list[Array]]:
        """Return the parts of J for a stack of Z_l, and the pieces that the activations and the cost lie on."""
        case, gs, pieces = self.case, self.case.net.activations, []
        for i, g in enumerate(gs[l - 1 : -1], start=l + 1):
            pieces.append(witnesses.activation_piece(g, Z))  # of layer i - 1, before Z becomes Z_i
            Z = to_Z(case, self.masks, i, witnesses.apply_activation(g, Z))
        pieces += [witnesses.activation_piece(gs[-1], Z), witnesses.cost_piece(case.cost, gs[-1], Z, case.Y)]
        return witnesses.cost_parts(case.cost, gs[-1], Z, case.Y, case.weights), pieces


def to_Z(case: Case, masks: Masks, l: int, A_prev: Array, **replaced: Array) -> Array:
    """Return Z_l of one A_{l-1} or a stack of them, in NumPy, with some leaves of the layer replaced."""
    layer, norm = {**case.params[l - 1], **replaced}, case.net.norms[l - 1]
    if masks and masks[l - 1] is not None:
        A_prev = np.asarray(masks[l - 1]) * A_prev  # the mask of the training step, not a new one
    U = layer["W"] @ A_prev
    if norm is None:
        return U + layer["b"]
    return layer["gamma"] * normalize(norm, U, example_weights(case.net, case.weights)) + layer["b"]


# --- rows -------------------------------------------------------------------------------------------------------------


def against_autodiff(check: str, where: str, actual: object, expected: ArrayLike, note: str = "") -> Row:
    """Return a row against autodiff; a value that is no array of the correct shape fails with the reason."""
    expected = np.asarray(expected)
    array, fault = _as_array(actual, expected.shape)
    if fault:
        return Row(check, where, "autodiff", None, AUTODIFF_BOUND, "FAIL", fault)
    return judge(check, where, "autodiff", relative_difference(array, expected), AUTODIFF_BOUND, note)


def against_differences(check: str, where: str, actual: object, expected: Slopes) -> Row:
    """Return a row against central differences.

    Entries across a kink are left out and named; a difference beyond the bound that curvature and rounding of the
    differences themselves explain is undecided.
    """

    def row_without_number(verdict: Verdict, note: str) -> Row:
        return Row(check, where, "central differences", None, DIFFERENCES_BOUND, verdict, note)

    array, fault = _as_array(actual, expected.shape)
    if fault:
        return row_without_number("FAIL", fault)
    note, decided = _note_of_differences(expected), expected.decided
    if not decided.any():
        return row_without_number("UNDECIDED", note)
    values, references = array.reshape(-1)[expected.indices][decided], expected.values[decided]
    row = judge(check, where, "central differences", relative_difference(values, references), DIFFERENCES_BOUND, note)
    uncertainty = float(np.linalg.norm(expected.uncertainty[decided]))
    if row.verdict == "FAIL" and np.linalg.norm(values - references) <= uncertainty:
        return row_without_number("UNDECIDED", f"the differences themselves are uncertain by {uncertainty:.0e}")
    return row


def _note_of_differences(result: Slopes) -> str:
    """Return which entries the differences leave undecided, or how many they look at if not at all."""
    across = [tuple(map(int, np.unravel_index(i, result.shape))) for i in result.indices[~result.decided]]
    if across:
        listed = ", ".join(map(str, across[:3])) + (", …" if len(across) > 3 else "")
        return f"undecided, Z crosses a kink: {listed}"
    total = int(np.prod(result.shape))
    return f"{len(result.indices)} of {total} entries" if len(result.indices) < total else ""


def _as_array(value: object, shape: tuple[int, ...]) -> tuple[Array, str]:
    """Return the value as float64, and what is wrong with it."""
    if isinstance(value, _Raised):
        return np.empty(0), f"raised {value.text}"
    try:
        array = np.asarray(value)
        if np.iscomplexobj(array):
            return array, f"expected real numbers, got {array.dtype}"
        array = array.astype(np.float64)
    except (TypeError, ValueError):
        return np.empty(0), f"expected an array of shape {shape}, got {type(value).__name__}"
    return array, "" if array.shape == shape else f"expected shape {shape}, got {array.shape}"


class _Raised(NamedTuple):
    """The exception that a function of the user raised, as text."""

    text: str


def _call_user(f: Callable[..., object], *arguments: object) -> object:
    """Return what a function of the user returns for copies of the arguments, or what it raised."""
    # copies, because a function that overwrites its argument must not spoil the rows of the others
    copies = jax.tree.map(lambda leaf: np.array(leaf) if isinstance(leaf, Array | jax.Array) else leaf, arguments)
    try:
        return f(*copies)
    except Exception as error:  # any exception is a row that fails, and the other rows go on
        return _Raised(" ".join(f"{type(error).__name__}: {error}".split()))


def _forward_rows(case: Case, results: CaseResults) -> Iterator[Row]:
    correct = results.by_autodiff
    for l, g in enumerate(case.net.activations, start=1):
        difference = relative_difference(correct.Z[l - 1], to_Z(case, results.masks, l, correct.A[l - 1]))
        yield judge(f"forward Z_{l}", case.label(l), "NumPy", difference, AUTODIFF_BOUND)
        in_numpy = formula(g)
        if in_numpy is not None:
            difference = relative_difference(correct.A[l], in_numpy.apply(correct.Z[l - 1]))
            yield judge(f"forward A_{l}", case.label(l), "NumPy", difference, AUTODIFF_BOUND)


@dataclass(frozen=True)
class BackwardPass:
    """The four equations of a case at correct inputs: the user's function where there is one, else the package's."""

    case: Case
    results: CaseResults
    user: UserEquations

    def bp1(self) -> object:
        """Return dZ_L."""
        if self.user.bp1 is None:
            return self.results.by_equations.dZ[-1]
        Y, Z, A = self.case.Y, self.results.by_autodiff.Z[-1], self.results.by_autodiff.A[-1]
        if self.case.cost.name == "categorical_cross_entropy" and len(Y) < len(Z):  # class ids
            Y = (np.arange(len(Z))[:, None] == Y).astype(float)
        return _call_user(self.user.bp1, Z, A, Y, Z.shape[1])

    def bp2(self, l: int) -> object:
        """Return dZ_l of a hidden layer."""
        if self.user.bp2 is None:
            return self.results.by_equations.dZ[l - 1]
        correct = self.results.by_autodiff
        return _call_user(self.user.bp2, self.case.params[l]["W"], correct.dZ[l], correct.Z[l - 1], correct.A[l])

    def bp3(self, l: int) -> object:
        """Return db_l."""
        if self.user.bp3 is None:
            return self.results.by_equations.dparams[l - 1]["b"]
        return _call_user(self.user.bp3, self.results.by_autodiff.dZ[l - 1])

    def bp4(self, l: int) -> object:
        """Return dW_l."""
        if self.user.bp4 is None:
            return self.results.by_equations.dparams[l - 1]["W"]
        return _call_user(self.user.bp4, self.results.by_autodiff.dZ[l - 1], self.results.by_autodiff.A[l - 1])


def _backward_rows(case: Case, backward: BackwardPass, difference: FiniteDifference) -> Iterator[Row]:
    correct, by_equations, L = backward.results.by_autodiff, backward.results.by_equations, case.net.depth

    def both(check: str, l: int, name: str, actual: object, expected: Array) -> Iterator[Row]:
        note = "by autodiff itself" if name == "Z" and l < L and case.net.activations[l - 1].autodiff else ""
        yield against_autodiff(check, case.label(l), actual, expected, note)
        yield against_differences(check, case.label(l), actual, difference.slopes_by(name, l))

    for l in range(L, 0, -1):
        if l == L:
            yield from both(f"BP1 dZ_{L}", L, "Z", backward.bp1(), correct.dZ[-1])
        else:
            if backward.user.bp2 is None:
                yield from both(f"BP2 dA_{l}", l, "A", by_equations.dA[l - 1], correct.dA[l - 1])
            yield from both(f"BP2 dZ_{l}", l, "Z", backward.bp2(l), correct.dZ[l - 1])
        dlayer = correct.dparams[l - 1]
        if case.net.norms[l - 1] is not None:
            yield from both(f"norm dγ_{l}", l, "gamma", by_equations.dparams[l - 1]["gamma"], dlayer["gamma"])
        yield from both(f"BP3 db_{l}", l, "b", backward.bp3(l), dlayer["b"])
        yield from both(f"BP4 dW_{l}", l, "W", backward.bp4(l), dlayer["W"])


_PENALTY_TERMS: dict[str, Callable[[Array], Array]] = {"l2": lambda W: W**2 / 2, "l1": np.abs}


def _penalty_rows(case: Case, name: str, both: tuple, rng: np.random.Generator) -> Iterator[Row]:
    """Yield the rows of a penalty, its dW_l for every layer, and its derivatives by λ and m."""
    m = penalty_examples(case.objective, case.X, case.weights)
    scale = np.asarray(getattr(case.objective, name), np.float64) / np.asarray(m, np.float64)
    term, label, output = _PENALTY_TERMS[name], name.upper(), case.label(case.net.depth)
    (value, actual), (_, expected) = both  # each (gradient by the parameters, by λ, by m)

    def parts(W: Array) -> tuple[Array, list[Array]]:
        return scale * term(W.reshape(len(W), -1)), [W.reshape(len(W), -1) > 0]  # the kink of |w| is at 0

    difference = relative_difference(value, scale * sum(term(layer["W"]).sum() for layer in case.params))
    yield judge(label, output, "NumPy", difference, AUTODIFF_BOUND)
    for l, layer in enumerate(case.params, start=1):
        dW = actual[0][l - 1]["W"]
        differences = slopes(parts, layer["W"], rng)
        yield against_autodiff(f"{label} dW_{l}", case.label(l), dW, expected[0][l - 1]["W"])
        yield against_differences(f"{label} dW_{l}", case.label(l), dW, differences)
    for leaf, dleaf, expected_dleaf in zip(("λ", "m"), actual[1:], expected[1:], strict=True):
        yield against_autodiff(f"{label} d{leaf}", output, dleaf, expected_dleaf)


# --- whole gradients --------------------------------------------------------------------------------------------------


def _whole_rows(case: Case, results: CaseResults, user: UserEquations) -> Iterator[Row]:
    """Yield J and every leaf of `jax.grad(cost)` and `backprop`, or of the user's backward pass, from the output on."""
    passes = {name: results.whole[name] for name in ("grad", "backprop")}
    if user.backward is not None:
        passes = {"backward": _user_gradient(user.backward, case)}
    for name, result in passes.items():
        if isinstance(result, str):
            yield Row(name, case.label(case.net.depth), "autodiff", None, AUTODIFF_BOUND, "FAIL", result)
            continue
        yield from gradient_rows(case, name, result, results.whole["autodiff"])


def gradient_rows(case: Case, name: str, actual: tuple, expected: tuple) -> Iterator[Row]:
    """Yield J, if there is one, and every leaf of a gradient, from the output on; both arguments are (J, gradient)."""
    if actual[0] is not None:
        yield against_autodiff(f"{name} J", case.label(case.net.depth), actual[0], expected[0])
    for l in range(case.net.depth, 0, -1):
        for leaf in reversed(case.net.shapes[l - 1].leaves):
            yield against_autodiff(
                f"{name} d{leaf}_{l}", case.label(l), actual[1][l - 1][leaf], expected[1][l - 1][leaf]
            )


def _user_gradient(backward: Callable[..., object], case: Case) -> tuple | str:
    """Return (J or None, dparams) of the user's backward pass, or what is wrong with its result."""
    result = _call_user(backward, case.params, case.X, case.Y, case.net)
    if isinstance(result, _Raised):
        return f"raised {result.text}"
    J = None
    if isinstance(result, tuple) and len(result) == 2 and not isinstance(result[0], dict):
        J, result = result
    layers = result if isinstance(result, tuple | list) else ()
    if len(layers) == case.net.depth and all(isinstance(d, dict) and {"W", "b"} <= set(d) for d in layers):
        return J, layers
    return f'expected {case.net.depth} dictionaries {{"W": dW, "b": db}}, or (J, those)'
