"""First order: the gradient of every leaf against two witnesses, and what every pullback must be.

    autodiff               G of the rule against G of the undecorated function, or of `reference`
    central differences    ∂⟨u, f⟩/∂xᵢ ≈ (4 D(h/2) - D(h)) / 3,   D(h) = (φ(xᵢ + h) - φ(xᵢ - h)) / 2h
    linear                 G(x; a u + b v) = a G(x; u) + b G(x; v)
    adjoint                ⟨u, J v⟩ = ⟨Jᵀ u, v⟩ where forward mode exists

A difference is worth nothing where φ bends within the step. The two one-sided slopes differ by h φ'' for a smooth φ, by
the whole jump at a kink: an entry whose numbers do not shrink with the step as a smooth function's must is undecided.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree

from jaxmlp.evidence.certificate import Row, judge
from jaxmlp.evidence.vjp.bench import Bench, Leaves, Split, ask, compare, pullback, relative_differences

ENTRIES = 64  # of a leaf that differences look at; a random choice of a larger leaf
STEP = 1e-4  # times max(1, |x|): h⁴ and eps/h are both below 1e-11
DIFFERENCES_BOUND = 1e-6


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
    _, got = bench.gradient(leaves, others, bench.cotangent)
    _, expected = jax.jit(pullback, static_argnums=0)(bench.witness, leaves, others, bench.cotangent)
    bound, floor = bench.tolerance
    for name, found, g, e in zip(
        bench.arguments.names, relative_differences(got, expected, floor), got, expected, strict=True
    ):
        row = judge("gradient", name, witness, found, bound)
        yield row if row.verdict == "PASS" else row._replace(note=_explain(np.asarray(g), np.asarray(e)))


def _explain(got: np.ndarray, expected: np.ndarray) -> str:
    """What the eye looks for first in a wrong gradient."""
    if not got.any():
        return "zero everywhere: does bwd return None, or stop a gradient here?"
    if got.ndim == 2 and got.shape[0] == got.shape[1] and np.allclose(got.T, expected, rtol=1e-6):
        return "this is the transpose"
    apart = np.abs(got - expected)
    if (place := np.unravel_index(apart.argmax(), apart.shape)) and np.count_nonzero(apart > 1e-6 * apart.max()) == 1:
        return f"only entry {[int(i) for i in place]}: {got[place]:.6g} instead of {expected[place]:.6g}"
    ratios = got[expected != 0] / expected[expected != 0]
    if np.ptp(ratios) < 1e-6 * abs(ratios[0]):
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
    largest = max(float(np.abs(g).max(initial=0.0)) for g in gradients) or 1.0
    scales = [max(float(np.abs(g).max(initial=0.0)), 1e-4 * largest) for g in gradients]
    for i, found in enumerate(_slopes(bench, chosen, scales)):
        name = bench.arguments.names[i]
        row = _differences_row(name, gradients[i][chosen[i]], found, scales[i], sizes[i])
        yield _meant(bench, i, chosen[i], found, scales[i], row)


def _slopes(bench: Bench, chosen: list[np.ndarray], scales: list[float]) -> list[Slope]:
    """∂⟨u, f⟩ by the chosen entries of every leaf, in one compiled program."""
    leaves, others = bench.point
    flat, unravel = ravel_pytree(leaves)
    starts = np.cumsum([0, *(leaf.size for leaf in leaves[:-1])])
    places = np.concatenate([start + entries for start, entries in zip(starts, chosen, strict=True)])
    widths = np.maximum(1.0, np.abs(np.asarray(flat)[places]))
    trust = np.concatenate([np.full(c.size, DIFFERENCES_BOUND / 8 * s) for c, s in zip(chosen, scales, strict=True)])

    @jax.jit
    def values(t: Array) -> Array:
        def moved(entry: tuple[Array, Array]) -> Array:
            place, width = entry
            outputs = bench.f(unravel(flat.at[place].add(t * width)), others)
            return sum((jnp.vdot(u, y) for u, y in zip(bench.cotangent, outputs, strict=True)), jnp.zeros(()))

        return jax.lax.map(moved, (places, widths))  # not vmap: that is another question

    found = slope(values, STEP, trust * widths)
    ends = np.cumsum([c.size for c in chosen])[:-1]
    parts = zip(np.split(found.values / widths, ends), np.split(found.smooth, ends), strict=True)
    return [Slope(*part) for part in parts]


def _differences_row(name: str, got: np.ndarray, found: Slope, scale: float, size: int) -> Row:
    smooth = found.smooth
    notes = [f"{got.size} of {size} entries, at random"] if got.size < size else []
    if not smooth.all():
        notes.append(f"{np.count_nonzero(~smooth)} entries at a kink: undecided")
    if not smooth.any():
        note = "every entry lies at a kink"
        return Row("gradient", name, "central differences", None, DIFFERENCES_BOUND, "UNDECIDED", note)
    difference = float(np.abs(got - found.values)[smooth].max()) / scale
    return judge("gradient", name, "central differences", difference, DIFFERENCES_BOUND, "; ".join(notes))


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
    return compare(*check, ((), G(mixed)), ((), expected), bench)


def _adjoint(bench: Bench) -> Row:
    leaves, others = bench.point
    v = bench.draw(leaves)
    _, pushed = jax.jvp(lambda *leaves: bench.f(leaves, others), leaves, v)
    _, pulled = bench.gradient(leaves, others, bench.cotangent)
    difference = abs(inner(bench.cotangent, pushed) - inner(pulled, v)) / size_of(pulled, v)
    return judge("jvp", "", "the pullback", difference, bench.tolerance[0])


def inner(a: Leaves, b: Leaves) -> float:
    """⟨a, b⟩ over all leaves.

    >>> inner((np.array([1.0, 2.0]), np.array(3.0)), (np.array([4.0, 5.0]), np.array(6.0)))
    32.0
    """
    return sum(float(np.vdot(np.float64(x), np.float64(y))) for x, y in zip(a, b, strict=True))


def size_of(a: Leaves, b: Leaves) -> float:
    """Σ ‖a‖ ‖b‖ over the leaves, by which ⟨a, b⟩ is measured; 1 where that is 0."""
    norms = (float(np.linalg.norm(np.ravel(x)) * np.linalg.norm(np.ravel(y))) for x, y in zip(a, b, strict=True))
    return sum(norms) or 1.0
