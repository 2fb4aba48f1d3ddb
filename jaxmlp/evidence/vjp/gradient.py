"""First order: the gradient of every leaf against two witnesses, and what every pullback must be.

    autodiff               G of the rule against G of the undecorated function, or of `reference`
    central differences    ∂⟨u, f⟩/∂xᵢ ≈ (4 D(h/2) - D(h)) / 3,   D(h) = (φ(xᵢ + h) - φ(xᵢ - h)) / 2h
    linear                 G(x; a u + b v) = a G(x; u) + b G(x; v)
    adjoint                ⟨u, J v⟩ = ⟨Jᵀ u, v⟩ where forward mode exists

A difference is worth nothing where φ bends within the step. The two one-sided slopes differ by h φ'' for a smooth φ, by
the whole jump at a kink: an entry whose numbers do not shrink with the step as a smooth function's must is undecided.
And it is worth no more than rounding leaves of it, 4 ε |φ| / h: the bound grows to that; beyond `COARSE` nothing is
decided.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree

from jaxmlp.evidence.certificate import Row, judge
from jaxmlp.evidence.vjp.arguments import Leaves, Split
from jaxmlp.evidence.vjp.bench import Bench, ask, compare, compiled_pullback, pullback
from jaxmlp.evidence.vjp.doubt import answers, epsilon

ENTRIES = 64  # of a leaf that differences look at; a random choice of a larger leaf
STEP = 1e-4  # times max(1, |x|): h⁴ and eps/h are both below 1e-11
DIFFERENCES_BOUND = 1e-6
COARSE = 1e-3  # relative: fewer digits than this are no witness


def gradient_rows(bench: Bench) -> Iterator[Row]:
    """Every question of the first order."""
    yield from ask("value of the forward rule", "", "the function", lambda: [_value(bench)])
    yield from ask("gradient", "", "autodiff", lambda: _against_autodiff(bench))
    yield from ask("gradient", "", "central differences", lambda: _against_differences(bench))
    yield from ask("linear in the cotangent", "", "two pullbacks", lambda: [_linear(bench)])
    yield from ask("jvp", "", "the pullback", lambda: [_adjoint(bench)])


def _value(bench: Bench) -> Row:
    """The forward rule's output is the function's output."""
    leaves, others = bench.point
    outputs, _ = bench.gradient(leaves, others, bench.cotangent)
    plain = jax.jit(bench.f)(leaves, others)
    return compare("value of the forward rule", "", "the function", (outputs,), (plain,), bench)


def _against_autodiff(bench: Bench) -> Iterator[Row]:
    witness = "autodiff of reference" if bench.given else "autodiff"
    if bench.witness is None:
        yield Row("gradient", "", witness, None, None, "UNDECIDED", "JAX cannot differentiate the undecorated function")
        return
    leaves, others = bench.point
    f = bench.witness

    def gradient(x: Leaves) -> Leaves:
        return compiled_pullback(f, x, others, bench.cotangent)[1]

    _, got = bench.gradient(leaves, others, bench.cotangent)
    found = answers(gradient, got, gradient(leaves), bench.noise[1], bench)
    for name, answer in zip(bench.arguments.names, found, strict=True):
        row = answer.row("gradient", name, witness, bench.tolerance[0])
        yield row._replace(note=_explain(answer.got, answer.expected)) if row.verdict == "FAIL" else row


def _explain(got: np.ndarray, expected: np.ndarray) -> str:
    """What the eye looks for first in a wrong gradient."""
    if not np.isfinite(got).all():
        return f"{np.count_nonzero(~np.isfinite(got))} of {got.size} entries are not finite"
    if not got.any():
        return "zero everywhere: does bwd return None, or stop a gradient here?"
    if not expected.any():
        return (
            f"the derivative is 0 everywhere, this is up to {np.abs(got).max():.6g}: is another meant? give reference"
        )
    if got.ndim == 2 and got.shape[0] == got.shape[1] and np.allclose(got.T, expected, rtol=1e-6):
        return "this is the transpose"
    apart = np.abs(got - expected)
    if (place := np.unravel_index(apart.argmax(), apart.shape)) and np.count_nonzero(apart > 1e-6 * apart.max()) == 1:
        return f"only entry {[int(i) for i in place]}: {got[place]:.6g} instead of {expected[place]:.6g}"
    digits = -np.log10(apart.max() / np.abs(expected).max())
    if digits > 6:
        return f"right to {digits:.0f} digits: is a part of it computed in a coarser dtype?"
    ratios = got[expected != 0] / expected[expected != 0]
    if not got[expected == 0].any() and np.ptp(ratios) < 1e-6 * abs(ratios[0]):
        return f"{ratios[0]:.6g} times what it should be"
    return f"{np.count_nonzero(apart > 1e-6 * apart.max())} of {apart.size} entries differ"


# --- central differences ----------------------------------------------------------------------------------------------


class Slope(NamedTuple):
    """A derivative by differences: its values, and where they can be believed."""

    values: np.ndarray
    smooth: np.ndarray


def slope(path: Callable[[Any], Any], h: float, trust: Any) -> Slope:
    """d/dt at 0 of an array-valued path, 4th order in h; entries that bend by more than `trust` are not smooth.

    >>> found = slope(lambda t: np.array([t**3 + 2 * t, abs(t)]), 1e-3, 1e-6)
    >>> found.values.round(9).tolist(), found.smooth.tolist()
    ([2.0, 0.0], [True, False])
    """
    middle, far, near = (np.asarray(path(0.0)), *(np.stack([path(s), path(-s)]) for s in (h, h / 2)))
    wide, narrow = (far[0] - far[1]) / (2 * h), (near[0] - near[1]) / h
    bend_wide, bend_narrow = ((p[0] - 2 * middle + p[1]) / s for p, s in ((far, h), (near, h / 2)))
    unsure = np.maximum(np.abs(wide - narrow), np.abs(bend_wide - 2 * bend_narrow))
    return Slope((4 * narrow - wide) / 3, unsure <= trust)


def _against_differences(bench: Bench) -> Iterator[Row]:
    leaves, others = bench.point
    if any(leaf.dtype.itemsize < 8 for leaf in leaves):
        note = "too coarse in these dtypes: leave dtype at float64"
        yield Row("gradient", "", "central differences", None, None, "UNDECIDED", note)
        return
    gradients = [np.ravel(g) for g in bench.gradient(leaves, others, bench.cotangent)[1]]
    sizes = [g.size for g in gradients]
    chosen = [bench.rng.choice(n, ENTRIES, replace=False) if n > ENTRIES else np.arange(n) for n in sizes]
    largest = max(_largest(g) for g in gradients) or 1.0
    scales = [max(_largest(g), 1e-4 * largest) for g in gradients]
    lost = _lost(bench)
    for i, found in enumerate(_slopes(bench, chosen, scales, lost)):
        name, got = bench.arguments.names[i], gradients[i][chosen[i]]
        notes = [f"{got.size} of {sizes[i]} entries, at random"] if got.size < sizes[i] else []
        row = differences_row("gradient", name, got, found, scales[i], lost, notes)
        yield _meant(bench, i, chosen[i], found, scales[i], row)


def _largest(array: Any) -> float:
    return float(np.max(np.abs(array), initial=0.0, where=np.isfinite(array)))


def _lost(bench: Bench) -> float:
    """What rounding of φ = ⟨u, f⟩ makes of a difference over the step."""
    outputs, _ = bench.gradient(*bench.point, bench.cotangent)
    products = [np.ravel(np.float64(u) * np.float64(y)) for u, y in zip(bench.cotangent, outputs, strict=True)]
    cancelled = [n / 64 * np.linalg.norm(np.ravel(u)) for n, u in zip(bench.noise[0], bench.cotangent, strict=True)]
    phi = np.concatenate(products)
    return 4 * (epsilon(bench) * max(abs(float(phi.sum())), float(np.linalg.norm(phi))) + float(sum(cancelled))) / STEP


def _slopes(bench: Bench, chosen: list[np.ndarray], scales: list[float], lost: float) -> list[Slope]:
    """∂⟨u, f⟩ by the chosen entries of every leaf, in one compiled program."""
    leaves, others = bench.point
    flat, unravel = ravel_pytree(leaves)
    starts = np.cumsum([0, *(leaf.size for leaf in leaves[:-1])])
    places = np.concatenate([start + entries for start, entries in zip(starts, chosen, strict=True)])
    if not places.size:  # every leaf is empty: nothing to move
        return [Slope(np.zeros(0), np.zeros(0, bool)) for _ in leaves]
    widths = np.maximum(1.0, np.abs(np.asarray(flat)[places]))
    trust = [np.full(c.size, DIFFERENCES_BOUND / 8 * s + lost) for c, s in zip(chosen, scales, strict=True)]

    @jax.jit
    def values(t: Array) -> Array:
        def moved(entry: tuple[Array, Array]) -> Array:
            place, width = entry
            outputs = bench.f(unravel(flat.at[place].add(t * width)), others)
            return sum((jnp.vdot(u, y) for u, y in zip(bench.cotangent, outputs, strict=True)), jnp.zeros(()))

        return jax.lax.map(moved, (places, widths))  # not vmap: that is another question

    found = slope(values, STEP, np.concatenate(trust) * widths)
    ends = np.cumsum([c.size for c in chosen])[:-1]
    parts = zip(np.split(found.values / widths, ends), np.split(found.smooth, ends), strict=True)
    return [Slope(*part) for part in parts]


def differences_row(
    check: str, where: str, got: np.ndarray, found: Slope, scale: float, lost: float, notes: list[str]
) -> Row:
    """A derivative against its differences, `lost` of which is rounding."""
    row = check, where, "central differences"
    smooth = found.smooth
    if got.size and not smooth.any():
        return Row(*row, None, DIFFERENCES_BOUND, "UNDECIDED", "every entry lies at a kink")
    if not smooth.all():
        notes = [*notes, f"{np.count_nonzero(~smooth)} entries at a kink: undecided"]
    bound = max(DIFFERENCES_BOUND, lost / scale)
    difference = float(np.max(np.abs(got - found.values), initial=0.0, where=smooth)) / scale
    if bound > COARSE and difference <= bound:
        note = f"rounding leaves differences an error of {lost:.1g}, and the largest entry is {scale:.1g}"
        return Row(*row, None, None, "UNDECIDED", note)
    return judge(*row, difference, bound, "; ".join(notes))


def _meant(bench: Bench, i: int, chosen: np.ndarray, found: Slope, scale: float, row: Row) -> Row:
    """A failure that the user's reference shares is meant: a straight-through or clipped gradient is no derivative."""
    if row.verdict != "FAIL" or not bench.given or bench.witness is None:
        return row
    _, reference = pullback(bench.witness, *bench.point, bench.cotangent)
    shared = np.abs(np.asarray(reference[i]).reshape(-1)[chosen] - found.values)[found.smooth].max() / scale
    if shared <= DIFFERENCES_BOUND:
        return row
    return row._replace(verdict="UNDECIDED", note="reference is not the derivative of f either")


# --- properties of every pullback -------------------------------------------------------------------------------------


def _linear(bench: Bench) -> Row:
    check = "linear in the cotangent", "", "two pullbacks"
    row = _linearity(bench, lambda u: bench.gradient(*bench.point, u)[1], check)
    if row.verdict == "FAIL" and bench.given and bench.witness is not None:
        witness: Split = bench.witness
        if _linearity(bench, lambda u: pullback(witness, *bench.point, u)[1], check).verdict == "FAIL":
            return row._replace(verdict="UNDECIDED", note="reference is not linear either")
    return row


def _linearity(bench: Bench, G: Callable[[Leaves], Leaves], check: tuple[str, str, str]) -> Row:
    u, v = bench.cotangent, bench.draw(bench.cotangent)
    mixed = tuple(3 * a - 7 * b for a, b in zip(u, v, strict=True))
    expected = tuple(3 * a - 7 * b for a, b in zip(G(u), G(v), strict=True))
    return compare(*check, ((), G(mixed)), ((), expected), bench, times=10.0)


def _adjoint(bench: Bench) -> Row:
    leaves, others = bench.point
    v = bench.draw(leaves)
    _, pushed = jax.jvp(lambda *leaves: bench.f(leaves, others), leaves, v)
    _, pulled = bench.gradient(leaves, others, bench.cotangent)
    apart = abs(inner(bench.cotangent, pushed) - inner(pulled, v))
    return judge("jvp", "", "the pullback", share_of(apart, pulled, v, bench.noise[1]), bench.tolerance[0])


def inner(a: Leaves, b: Leaves) -> float:
    """⟨a, b⟩ over all leaves.

    >>> inner((np.array([1.0, 2.0]), np.array(3.0)), (np.array([4.0, 5.0]), np.array(6.0)))
    32.0
    """
    return sum(float(np.vdot(np.float64(x), np.float64(y))) for x, y in zip(a, b, strict=True))


def share_of(apart: float, a: Leaves, b: Leaves, noise: Sequence[float]) -> float:
    """A difference of two ⟨a, b⟩ as a part of Σ ‖a‖ ‖b‖; 0 if it is what the rounding of every a leaves.

    >>> share_of(3.0, (np.array([3.0, 4.0]),), (np.array([0.0, 2.0]),), [0.1])
    0.3
    >>> share_of(1e-17, (np.array([1e-16]),), (np.array([2.0]),), [1e-15])
    0.0
    """
    pairs = [(np.ravel(x).astype(float), np.ravel(y).astype(float)) for x, y in zip(a, b, strict=True)]
    if apart <= sum(float(n * np.abs(y).sum()) for (_, y), n in zip(pairs, noise, strict=True)):
        return 0.0
    return apart / (sum(float(np.linalg.norm(x) * np.linalg.norm(y)) for x, y in pairs) or 1.0)
