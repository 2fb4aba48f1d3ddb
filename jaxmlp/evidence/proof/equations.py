"""The equations of one network on one batch, each against its witnesses, in the order of the chain.

    forward  Z_l = W_l A_{l-1} + b_l,  A_l = g_l(Z_l)                               l = 1 … L
    BP1      dZ_L = w δ / Σ w                                                       then, l = L … 1:
    BP3      db_l = Σ over columns of dZ_l
    BP4      dW_l = dZ_l A_{l-1}ᵀ
    BP2      dA_{l-1} = W_lᵀ dZ_l,  dZ_{l-1} = pullback of g_{l-1} at dA_{l-1}
    norm     dγ_l = Σ over columns of dZ_l Û_l, where layer l is normalised
    L2, L1   λ/(2m) Σ‖W_l‖²,  dW_l = λ/m W_l;   λ/m Σ|w|,  dW_l = λ/m sign(W_l)

Rows come in this order, each equation at right inputs, so the first row that fails names the wrong equation. A reader's
own equations may stand in for ours.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray as Array

from jaxmlp.evidence.certificate import Row, judge
from jaxmlp.evidence.formulas import formula, normalized
from jaxmlp.evidence.proof import witnesses
from jaxmlp.evidence.proof.derivatives import Answers, Case, Derivatives, compiled_answers, penalty_examples, share_of
from jaxmlp.evidence.proof.derivatives import answers as find_answers
from jaxmlp.evidence.proof.witnesses import Slopes, relative_difference, slopes

AUTODIFF = 1e-12  # the largest relative difference from autodiff, and from NumPy, in float64
DIFFERENCES = 1e-7  # from central differences


class Own(NamedTuple):
    """A reader's own equations in place of ours; see `verify`."""

    bp1: Callable[..., Any] | None = None
    bp2: Callable[..., Any] | None = None
    bp3: Callable[..., Any] | None = None
    bp4: Callable[..., Any] | None = None
    backward: Callable[..., Any] | None = None


def equation_rows(case: Case, own: Own, rng: np.random.Generator, *, compiled: bool = True) -> list[Row]:
    """Every equation of a case: forward, backward, the penalty, whole gradients.

    In float64 if the caller's context is. `compiled=False` is faster for many networks that share their shapes.
    """
    evaluate = compiled_answers if compiled else find_answers
    params, X, Y, weights = jax.tree.map(jnp.asarray, (case.params, case.X, case.Y, case.weights))
    answers = jax.tree.map(np.asarray, evaluate(params, X, Y, weights, case.net, case.objective, case.seed))
    case = case._replace(Y=answers.batch.Y)  # from here on the targets are those that noise has left
    rows = [*_forward_rows(case, answers)]
    rows += _backward_rows(case, _Chain(case, answers, own), _Probe(case, answers.right, answers.masks, rng))
    for name, found in answers.penalties.items():
        rows += _penalty_rows(case, name, found, rng)
    return [*rows, *_whole_rows(case, answers, own)]


# --- central differences ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Probe:
    """Slopes of the cost by one matrix of one layer; runs forward only, from that layer on."""

    case: Case
    right: Derivatives
    masks: Any
    rng: np.random.Generator

    def by(self, name: str, l: int) -> Slopes:
        """The slopes by W_l, b_l, γ_l, Z_l or A_l."""
        if name == "Z":
            return slopes(partial(self._onward, l), self.right.Z[l - 1], self.rng)
        if name == "A":
            above = partial(to_Z, self.case, self.masks, l + 1)
            return slopes(lambda A: self._onward(l + 1, above(A)), self.right.A[l], self.rng)

        def moved(leaf: Array) -> tuple[Array, list[Array]]:
            return self._onward(l, to_Z(self.case, self.masks, l, self.right.A[l - 1], **{name: leaf}))

        return slopes(moved, self.case.params[l - 1][name], self.rng)

    def _onward(self, l: int, Z: Array) -> tuple[Array, list[Array]]:
        """The shares of J for a stack of Z_l, and the pieces that the activations and the cost lie on."""
        case, gs, pieces = self.case, self.case.net.activations, []
        for i, g in enumerate(gs[l - 1 : -1], start=l + 1):
            pieces.append(witnesses.piece(g, Z))
            Z = to_Z(case, self.masks, i, witnesses.apply(g, Z))
        pieces += [witnesses.piece(gs[-1], Z), witnesses.cost_piece(case.cost, gs[-1], Z, case.Y)]
        return witnesses.shares(case.cost, gs[-1], Z, case.Y, case.weights), pieces


def to_Z(case: Case, masks: Any, l: int, A_prev: Array, **moved: Array) -> Array:
    """Z_l of one A_{l-1} or a stack of them, in NumPy; `moved` leaves stand in for the layer's own."""
    layer, norm = {**case.params[l - 1], **moved}, case.net.norms[l - 1]
    if masks and masks[l - 1] is not None:
        A_prev = masks[l - 1] * A_prev
    U = layer["W"] @ A_prev
    if norm is None:
        return U + layer["b"]
    return layer["gamma"] * normalized(norm, U, share_of(case.net, case.weights)) + layer["b"]


# --- rows -------------------------------------------------------------------------------------------------------------


def against_autodiff(check: str, where: str, actual: Any, expected: Any, note: str = "") -> Row:
    """A row against autodiff; what should be an array of the right shape but is not fails with the reason."""
    expected = np.asarray(expected)
    actual, fault = _as_array(actual, expected.shape)
    if fault:
        return Row(check, where, "autodiff", None, AUTODIFF, "FAIL", fault)
    return judge(check, where, "autodiff", relative_difference(actual, expected), AUTODIFF, note)


def against_differences(check: str, where: str, actual: Any, found: Slopes) -> Row:
    """A row against central differences.

    Entries across a kink are left out and named; a difference beyond the bound that curvature and rounding of the
    differences themselves explain is undecided.
    """
    witness = "central differences"
    actual, fault = _as_array(actual, found.shape)
    if fault:
        return Row(check, where, witness, None, DIFFERENCES, "FAIL", fault)
    here, sure = actual.reshape(-1)[found.places], found.decided
    note = _undecided(found)
    if not sure.any():
        return Row(check, where, witness, None, DIFFERENCES, "UNDECIDED", note)
    row = judge(check, where, witness, relative_difference(here[sure], found.values[sure]), DIFFERENCES, note)
    uncertain = float(np.linalg.norm(found.uncertainty[sure]))
    if row.verdict == "FAIL" and np.linalg.norm(here[sure] - found.values[sure]) <= uncertain:
        note = f"the differences themselves are uncertain by {uncertain:.0e}"
        return Row(check, where, witness, None, DIFFERENCES, "UNDECIDED", note)
    return row


def _undecided(found: Slopes) -> str:
    across = [tuple(map(int, np.unravel_index(i, found.shape))) for i in found.places[~found.decided]]
    if across:
        named = ", ".join(map(str, across[:3])) + (", …" if len(across) > 3 else "")
        return f"undecided, Z crosses a kink: {named}"
    everything = int(np.prod(found.shape))
    return f"{len(found.places)} of {everything} entries" if len(found.places) < everything else ""


def _as_array(value: Any, shape: tuple[int, ...]) -> tuple[Array, str]:
    """The value as float64, and what is wrong with it."""
    if isinstance(value, _Raised):
        return np.empty(0), f"raised {value.text}"
    if np.iscomplexobj(value):
        return np.empty(0), f"expected real numbers, got {np.asarray(value).dtype}"
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        return np.empty(0), f"expected an array of shape {shape}, got {type(value).__name__}"
    return array, "" if array.shape == shape else f"expected shape {shape}, got {array.shape}"


class _Raised(NamedTuple):
    text: str


def _call(f: Callable[..., Any], *arguments: Any) -> Any:
    """What a reader's function returns for copies of the arguments, or what it raised."""
    copies = jax.tree.map(lambda leaf: np.array(leaf) if isinstance(leaf, Array | jax.Array) else leaf, arguments)
    try:
        return f(*copies)
    except Exception as error:  # whatever is in it: a row that fails, and the other rows go on
        return _Raised(" ".join(f"{type(error).__name__}: {error}".split()))


def _forward_rows(case: Case, answers: Answers) -> Iterator[Row]:
    right = answers.right
    for l, g in enumerate(case.net.activations, start=1):
        difference = relative_difference(right.Z[l - 1], to_Z(case, answers.masks, l, right.A[l - 1]))
        yield judge(f"forward Z_{l}", case.at(l), "NumPy", difference, AUTODIFF)
        in_numpy = formula(g)
        if in_numpy is not None:
            difference = relative_difference(right.A[l], in_numpy.apply(right.Z[l - 1]))
            yield judge(f"forward A_{l}", case.at(l), "NumPy", difference, AUTODIFF)


@dataclass(frozen=True)
class _Chain:
    """The four equations of a case at the right inputs: ours, or the reader's where there is one."""

    case: Case
    answers: Answers
    own: Own

    def bp1(self) -> Any:
        """dZ_L."""
        if self.own.bp1 is None:
            return self.answers.ours.dZ[-1]
        Y, Z, A = self.case.Y, self.answers.right.Z[-1], self.answers.right.A[-1]
        if self.case.cost.name == "categorical_cross_entropy" and len(Y) < len(Z):
            Y = (np.arange(len(Z))[:, None] == Y).astype(float)
        return _call(self.own.bp1, Z, A, Y, Z.shape[1])

    def bp2(self, l: int) -> Any:
        """dZ_l of a hidden layer."""
        if self.own.bp2 is None:
            return self.answers.ours.dZ[l - 1]
        right = self.answers.right
        return _call(self.own.bp2, self.case.params[l]["W"], right.dZ[l], right.Z[l - 1], right.A[l])

    def bp3(self, l: int) -> Any:
        """db_l."""
        if self.own.bp3 is None:
            return self.answers.ours.dparams[l - 1]["b"]
        return _call(self.own.bp3, self.answers.right.dZ[l - 1])

    def bp4(self, l: int) -> Any:
        """dW_l."""
        if self.own.bp4 is None:
            return self.answers.ours.dparams[l - 1]["W"]
        return _call(self.own.bp4, self.answers.right.dZ[l - 1], self.answers.right.A[l - 1])


def _backward_rows(case: Case, chain: _Chain, probe: _Probe) -> Iterator[Row]:
    right, ours, L = chain.answers.right, chain.answers.ours, case.net.depth

    def both(check: str, l: int, name: str, actual: Any, expected: Any) -> Iterator[Row]:
        note = "by autodiff itself" if name == "Z" and l < L and case.net.activations[l - 1].autodiff else ""
        yield against_autodiff(check, case.at(l), actual, expected, note)
        yield against_differences(check, case.at(l), actual, probe.by(name, l))

    for l in range(L, 0, -1):
        if l == L:
            yield from both(f"BP1 dZ_{L}", L, "Z", chain.bp1(), right.dZ[-1])
        else:
            if chain.own.bp2 is None:
                yield from both(f"BP2 dA_{l}", l, "A", ours.dA[l - 1], right.dA[l - 1])
            yield from both(f"BP2 dZ_{l}", l, "Z", chain.bp2(l), right.dZ[l - 1])
        if case.net.norms[l - 1] is not None:
            yield from both(f"norm dγ_{l}", l, "gamma", ours.dparams[l - 1]["gamma"], right.dparams[l - 1]["gamma"])
        yield from both(f"BP3 db_{l}", l, "b", chain.bp3(l), right.dparams[l - 1]["b"])
        yield from both(f"BP4 dW_{l}", l, "W", chain.bp4(l), right.dparams[l - 1]["W"])


_PENALTY_TERMS: dict[str, Callable[[Array], Array]] = {"l2": lambda W: W**2 / 2, "l1": np.abs}


def _penalty_rows(case: Case, name: str, found: Any, rng: np.random.Generator) -> Iterator[Row]:
    """A penalty, its dW_l for every layer, and the slopes by λ and m."""
    m = penalty_examples(case.objective, case.X, case.weights)
    scale = np.asarray(getattr(case.objective, name), np.float64) / np.asarray(m, np.float64)
    term, label = _PENALTY_TERMS[name], name.upper()
    (value, ours), (_, right) = found
    difference = relative_difference(value, scale * sum(term(layer["W"]).sum() for layer in case.params))
    yield judge(label, case.at(case.net.depth), "NumPy", difference, AUTODIFF)
    for l, (layer, dlayer, wanted) in enumerate(zip(case.params, ours[0], right[0], strict=True), start=1):
        moved = slopes(lambda W: (scale * term(W.reshape(len(W), -1)), [W.reshape(len(W), -1) > 0]), layer["W"], rng)
        yield against_autodiff(f"{label} dW_{l}", case.at(l), dlayer["W"], wanted["W"])
        yield against_differences(f"{label} dW_{l}", case.at(l), dlayer["W"], moved)
    for leaf, actual, wanted in zip(("λ", "m"), ours[1:], right[1:], strict=True):
        yield against_autodiff(f"{label} d{leaf}", case.at(case.net.depth), actual, wanted)


# --- whole gradients --------------------------------------------------------------------------------------------------


def _whole_rows(case: Case, answers: Answers, own: Own) -> Iterator[Row]:
    """J and every leaf of `jax.grad(cost)` and of `backprop`, or of the reader's backward pass, from the output on."""
    J, expected = answers.whole["autodiff"]
    found = {name: answers.whole[name] for name in ("grad", "backprop")}
    if own.backward is not None:
        found = {"backward": _own_backward(own.backward, case)}
    for name, answer in found.items():
        if isinstance(answer, str):
            yield Row(name, case.at(case.net.depth), "autodiff", None, AUTODIFF, "FAIL", answer)
            continue
        if answer[0] is not None:
            yield against_autodiff(f"{name} J", case.at(case.net.depth), answer[0], J)
        for l in range(case.net.depth, 0, -1):
            for leaf in reversed(case.net.shapes[l - 1].leaves):
                actual, wanted = answer[1][l - 1][leaf], expected[l - 1][leaf]
                yield against_autodiff(f"{name} d{leaf}_{l}", case.at(l), actual, wanted)


def _own_backward(backward: Callable[..., Any], case: Case) -> Any:
    """(J or None, dparams) of a reader's backward pass, or what is wrong with its answer."""
    answer = _call(backward, case.params, case.X, case.Y, case.net)
    if isinstance(answer, _Raised):
        return f"raised {answer.text}"
    J = None
    if isinstance(answer, tuple) and len(answer) == 2 and not isinstance(answer[0], dict):
        J, answer = answer
    layers = isinstance(answer, tuple | list) and all(isinstance(d, dict) and {"W", "b"} <= set(d) for d in answer)
    if not layers or len(answer) != case.net.depth:
        return f'expected {case.net.depth} dictionaries {{"W": dW, "b": db}}, or (J, those)'
    return J, answer
