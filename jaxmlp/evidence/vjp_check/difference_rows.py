"""The gradient against central differences: single entries of every leaf, and random directions through large leaves.

    entry        ∂⟨u, f⟩/∂x_i, for up to 64 entries of a leaf
    direction    d/dt ⟨u, f(x + t d)⟩ = ⟨G, d⟩: one wrong entry among thousands shows, unless d is orthogonal to it

What a number must agree with, and how closely, follows from f alone (see `differences`): at a kink every number between
the one-sided slopes is accepted and decides nothing, and every other number is an error.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from jaxmlp.evidence.certificate import Row, judge
from jaxmlp.evidence.vjp_check.arguments import Leaves, SplitFunction
from jaxmlp.evidence.vjp_check.clock import Clock
from jaxmlp.evidence.vjp_check.describe_error import describe_error
from jaxmlp.evidence.vjp_check.differences import N_STEPS, SAFETY, Estimate, Samples, estimate, step_sizes
from jaxmlp.evidence.vjp_check.noise_floor import epsilon
from jaxmlp.evidence.vjp_check.quick_jit import quick_jit
from jaxmlp.evidence.vjp_check.rule_under_test import CheckId, RuleUnderTest, row_without_number

MAX_COMPARED_ENTRIES = 64  # of a leaf: each costs sixteen evaluations, so a larger leaf is sampled
N_DIRECTIONS = 3  # through a leaf that is sampled
MAX_SECONDS = 3.0  # for an expensive f fewer entries are looked at
DIFFERENCES_BOUND = 1e-6
COARSEST_BOUND = 1e-3  # relative: with fewer digits than this, differences confirm nothing
WITNESS = "central differences"
DIRECTIONS = "random directions"


class Comparison(NamedTuple):
    """Numbers under test beside their differences.

    Attributes:
      got: the numbers, (n,).
      expected: their differences.
      scale: the size by which an error is relative.
      entries: the index of every number in its leaf, (n, dimensions); None for directions.
    """

    got: np.ndarray
    expected: Estimate
    scale: float
    entries: np.ndarray | None = None

    @property
    def tolerance(self) -> np.ndarray:
        """How far each number may be from its difference."""
        safety = np.where(self.expected.is_kink, 1.0, SAFETY)  # the gap at a kink is a measured interval, no estimate
        return np.maximum(DIFFERENCES_BOUND * self.scale, safety * self.expected.errors)

    @property
    def is_wrong(self) -> np.ndarray:
        """Which numbers are farther away; a number that is not finite counts where its difference is one."""
        distance = np.abs(self.got - self.expected.values)
        return ~(distance <= self.tolerance) & np.isfinite(self.tolerance)  # > would be False for NaN

    @property
    def is_decided(self) -> np.ndarray:
        """Which differences have digits enough to confirm a number."""
        return self.tolerance <= COARSEST_BOUND * self.scale


class LeafDifferences(NamedTuple):
    """One leaf: some of its entries, and directions through all of them (None for a small leaf)."""

    entries: Comparison
    directions: Comparison | None
    size: int


# --- measure ----------------------------------------------------------------------------------------------------------


class _Probes(NamedTuple):
    """Where to move x: one entry (`places`), or all of a leaf along row `rows` of the directions."""

    leaves: np.ndarray  # the leaf of each probe
    places: np.ndarray  # in the flat x; 0 for a direction
    rows: np.ndarray  # of the directions; -1 for an entry


def leaf_differences(rule: RuleUnderTest) -> list[LeafDifferences]:
    """Return the differences of every leaf; what is wrong must be wrong with other steps, too, or it is undecided."""
    seed = int(rule.rng.integers(2**32))
    leaves = _measure(rule._replace(rng=np.random.default_rng(seed)), 1.0)
    if not any(part.is_wrong.any() for leaf in leaves for part in leaf[:2] if part is not None):
        return leaves
    # the same seed gives the same probes. Steps fall by a factor below 0.3, so that with 0.61 all are new
    again = _measure(rule._replace(rng=np.random.default_rng(seed)), 0.61)
    return [
        LeafDifferences(_confirmed(a.entries, b.entries), _confirmed(a.directions, b.directions), a.size)
        for a, b in zip(leaves, again, strict=True)
    ]


def _confirmed(first: Any, second: Any) -> Any:
    """Return the first comparison without the errors that the second does not repeat."""
    if first is None or second is None or len(first.got) != len(second.got):  # the time may have ended earlier
        return first
    errors = np.where(first.is_wrong & ~second.is_wrong, np.inf, first.expected.errors)  # inf: undecided
    return first._replace(expected=first.expected._replace(errors=errors))


def _measure(rule: RuleUnderTest, shift: float) -> list[LeafDifferences]:
    """Return the differences of every leaf; all steps are multiplied by `shift`."""
    real, discrete = rule.point
    outputs, _ = rule.gradient(real, discrete, rule.cotangent)
    # an output that is infinite has no difference
    u = tuple(jnp.where(jnp.isfinite(y), c, 0) for c, y in zip(rule.cotangent, outputs, strict=True))
    gradients = [np.ravel(np.asarray(g, np.float64)) for g in rule.gradient(real, discrete, u)[1]]
    flat = np.concatenate([np.ravel(np.asarray(x, np.float64)) for x in real])
    sizes = [leaf.size for leaf in real]
    starts = np.cumsum([0, *sizes[:-1]])
    directions, owners = _draw_directions(rule, flat, starts)
    probes = _choose_probes(rule, sizes, starts, owners)
    samples, count = _sample(rule, u, probes, directions, shift)
    result = estimate(samples, _value_rounding(rule, u, outputs))
    largest = max(_largest_finite(g) for g in gradients)
    leaves: list[LeafDifferences] = []
    for i, (g, start) in enumerate(zip(gradients, starts, strict=True)):
        of_leaf = (probes.leaves == i) & (np.arange(len(probes.leaves)) < count)  # later probes have no samples
        single, along = of_leaf & (probes.rows < 0), of_leaf & (probes.rows >= 0)
        places = probes.places[single] - start
        # (n, dimensions); a 0-d array has one entry, with the index ()
        index = np.stack(np.unravel_index(places, real[i].shape), axis=-1) if real[i].ndim else np.zeros((1, 0), int)
        entries = _compare(g[places], Estimate(*(part[single] for part in result)), 1e-4 * largest, index)
        compared = None
        if along.any():
            # (directions, entries): a row's sum is ⟨G, d⟩, and its norm the size of that sum before it cancels
            parts = directions[probes.rows[along]][:, start : start + g.size] * g
            size = max(float(np.linalg.norm(part)) for part in parts)
            compared = _compare(parts.sum(axis=1), Estimate(*(part[along] for part in result)), size)
        leaves.append(LeafDifferences(entries, compared, g.size))
    return leaves


def _compare(got: np.ndarray, expected: Estimate, floor: float, entries: np.ndarray | None = None) -> Comparison:
    """Return the comparison; the scale is that of the larger of both, so that a gradient of 0 has one, too."""
    # a value that is mostly rounding error must not set the scale: it would hide a wrong small gradient
    readable = expected.values[~expected.is_kink & (expected.errors <= 0.1 * np.abs(expected.values))]
    scale = max(_largest_finite(got), _largest_finite(readable), floor) or 1.0
    return Comparison(got, expected, scale, entries)


def _largest_finite(array: np.ndarray) -> float:
    return float(np.max(np.abs(array), initial=0.0, where=np.isfinite(array)))


def _draw_directions(rule: RuleUnderTest, flat: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Return directions (rows, N), each through one large leaf, and the leaf of each."""
    rows, owners = [], []
    for i, (leaf, start) in enumerate(zip(rule.arguments.real, starts, strict=True)):
        if leaf.size <= MAX_COMPARED_ENTRIES:
            continue
        x = flat[start : start + leaf.size]
        typical = float(np.sqrt(np.mean(np.square(x)))) or 1.0
        for k in range(N_DIRECTIONS):
            # the first leaves every 0 where it is: zeros are often masks, or at a kink
            width = np.abs(x) if k == 0 and x.any() else np.maximum(np.abs(x), 0.05 * typical)
            row = np.zeros(flat.size)
            # at most 2: at the largest step, 0.1, an entry moves by a fifth of its width and no farther
            row[start : start + leaf.size] = np.clip(rule.rng.standard_normal(leaf.size), -2, 2) * width
            rows.append(row)
            owners.append(i)
    # a row of zeros where there is none: the program reads directions[0] for entries, too, and multiplies it by 0
    return np.reshape(rows, (len(rows), flat.size)) if rows else np.zeros((1, flat.size)), owners


def _choose_probes(rule: RuleUnderTest, sizes: list[int], starts: np.ndarray, owners: list[int]) -> _Probes:
    """Return the directions first, then the entries of all leaves by turns: the time may end before the last."""
    rounds: list[tuple[int, int, int, int]] = []
    for i, (n, start) in enumerate(zip(sizes, starts, strict=True)):
        chosen = rule.rng.choice(n, MAX_COMPARED_ENTRIES, replace=False) if n > MAX_COMPARED_ENTRIES else np.arange(n)
        rounds += [(k, i, int(start + place), -1) for k, place in enumerate(chosen)]
    ordered = [(-1, i, 0, row) for row, i in enumerate(owners)] + sorted(rounds)  # (turn, leaf, place, direction)
    columns = np.array(ordered, dtype=int).reshape(-1, 4).T
    return _Probes(*columns[1:])


def _sample(
    rule: RuleUnderTest, u: Leaves, probes: _Probes, directions: np.ndarray, shift: float
) -> tuple[Samples, int]:
    """Return the samples of the probes, and how many there was time for."""
    real, discrete = rule.point
    flat = np.concatenate([np.ravel(np.asarray(leaf, np.float64)) for leaf in real])
    n = len(probes.leaves)
    if not n:  # every leaf is empty
        empty = np.zeros((N_STEPS, 0))
        return Samples(empty, empty, empty, empty > 0), 0
    is_entry = probes.rows < 0
    width = np.maximum(1.0, np.abs(directions).max(axis=1))[np.maximum(probes.rows, 0)]
    steps = shift * np.where(is_entry, step_sizes(flat[probes.places]), step_sizes(width) / width)
    x = np.where(is_entry, flat[probes.places], 0.0)
    # the step that floating point makes of it
    steps = np.where(is_entry, ((x + steps) - (x - steps)) / 2, steps)
    slopes, bends, constant = np.full((3, N_STEPS, n), np.nan)
    middle = quick_jit(rule.f)(real, discrete)
    program, fixed = _sampling_program(rule.f), (real, discrete, u, middle, jnp.asarray(directions))
    chunk, clock, count = min(n, 8), Clock(MAX_SECONDS), 0
    while count < n and not (count and clock.is_over):
        # the last chunk repeats the last probe: another length would compile the program again
        chosen = np.minimum(np.arange(count, count + chunk), n - 1)
        h = steps[:, chosen]  # (steps, chunk)
        place, on_entry, row = (
            np.broadcast_to(a[chosen], h.shape) for a in (probes.places, is_entry * 1.0, np.maximum(probes.rows, 0))
        )
        values = program(fixed, tuple(jnp.asarray(np.ravel(a)) for a in (place, on_entry, row, h)))
        rise, bend, equal = (np.asarray(v).reshape(h.shape) for v in values)
        slopes[:, chosen], bends[:, chosen], constant[:, chosen] = rise / (2 * h), bend / h, equal
        count += chunk
        if count == chunk:
            clock = Clock(MAX_SECONDS)  # the first call compiles
    return Samples(slopes, bends, steps, constant > 0), min(count, n)


# a new lambda is a new program to jax.jit: the second measurement of a leaf must find that of the first
@lru_cache(maxsize=4)
def _sampling_program(f: SplitFunction) -> Any:
    """Return (fixed, probes) -> for each probe Σ u (f(h) - f(-h)), Σ |u| |f(h) - 2 f(0) + f(-h)|, and f(±h) = f(0)."""

    def pair(fixed: Any, probe: tuple[Any, ...]) -> tuple[Any, Any, Any]:
        real, discrete, u, middle, directions = fixed
        place, on_entry, row, h = probe
        flat, unravel = ravel_pytree(real)  # all leaves in one vector

        def outputs(s: object) -> Leaves:
            return f(unravel(flat.at[place].add(s * on_entry) + s * (1 - on_entry) * directions[row]), discrete)

        # one program for both signs; lax.map, not vmap: whether f is correct under vmap is a check of its own
        pairs = jax.lax.map(outputs, jnp.stack([h, -h]))
        rise, bend, equal = jnp.zeros(()), jnp.zeros(()), jnp.asarray(True)
        for c, y, both in zip(u, middle, pairs, strict=True):
            c, y, (ahead, behind) = c.astype(float), y.astype(float), both.astype(float)
            # u is 0 for an infinite output, and 0 · (∞ - ∞) would be NaN
            rise += jnp.sum(jnp.where(c == 0, 0, c * (ahead - behind)))
            bend += jnp.sum(jnp.where(c == 0, 0, jnp.abs(c * ((ahead - y) - (y - behind)))))
            equal &= jnp.all((c == 0) | ((ahead == y) & (behind == y)))
        return rise, bend, equal

    return quick_jit(lambda fixed, probes: jax.lax.map(lambda probe: pair(fixed, probe), probes))


def _value_rounding(rule: RuleUnderTest, u: Leaves, outputs: Leaves) -> float:
    """Return the rounding error of a value of φ = ⟨u, f⟩."""
    products = [np.float64(c) * np.where(np.isfinite(y), y, 0.0) for c, y in zip(u, outputs, strict=True)]
    phi = np.concatenate(list(map(np.ravel, products)))
    # f may lose digits inside, where they do not show in φ; `noise` holds that loss, times 64
    inside = [n / 64 * np.linalg.norm(np.ravel(c)) for n, c in zip(rule.noise[0], u, strict=True)]
    return 2 * (epsilon(rule) * max(abs(float(phi.sum())), float(np.linalg.norm(phi))) + float(sum(inside)))


# --- judge ------------------------------------------------------------------------------------------------------------


def difference_rows(rule: RuleUnderTest, leaves: list[LeafDifferences]) -> Iterator[Row]:
    """Yield the rows of every leaf."""
    for i, leaf in enumerate(leaves):
        sampled = len(leaf.entries.got)
        if leaf.size and not sampled:
            note = f"the {MAX_SECONDS:g} s for differences ended before its first single entry"
            yield row_without_number(("gradient", rule.arguments.names[i], WITNESS), "UNDECIDED", note)
        else:
            notes = [f"{sampled} of {leaf.size} entries, at random"] if sampled < leaf.size else []
            yield comparison_row(("gradient", rule.arguments.names[i], WITNESS), leaf.entries, notes)
        if leaf.directions is not None:
            yield comparison_row(("gradient", rule.arguments.names[i], DIRECTIONS), leaf.directions)


def comparison_row(check: CheckId, compared: Comparison, notes: list[str] | None = None) -> Row:
    """Judge numbers against their differences."""
    notes, expected = list(notes or []), compared.expected
    distance = np.abs(compared.got - expected.values) / compared.scale
    if (wrong := compared.is_wrong).any():
        accuracy = float(np.max(compared.tolerance[wrong])) / compared.scale
        note = _describe(compared, wrong, accuracy)
        worst = float(np.max(np.where(wrong, distance, 0.0)))
        return Row(*check, worst, DIFFERENCES_BOUND, "FAIL", "; ".join([note, *notes]))
    if not (decided := compared.is_decided).any() and compared.got.size:
        return row_without_number(check, "UNDECIDED", _undecided_note(compared))
    if n_kinks := np.count_nonzero(expected.is_kink & ~decided):
        notes.append(f"{n_kinks} entries at a kink: undecided")
    bound = float(np.max(compared.tolerance / compared.scale, initial=DIFFERENCES_BOUND, where=decided))
    return judge(*check, float(np.max(distance, initial=0.0, where=decided)), bound, "; ".join(notes))


def _describe(compared: Comparison, wrong: np.ndarray, accuracy: float) -> str:
    if compared.entries is None:
        along = compared.got[wrong], compared.expected.values[wrong]
        return describe_error(*along, accuracy=accuracy).replace("entries", "directions")
    sharp = wrong | compared.is_decided
    got, expected, entries = compared.got[sharp], compared.expected.values[sharp], compared.entries[sharp]
    if not entries.shape[1]:  # a single number
        return describe_error(got.reshape(()), expected.reshape(()), accuracy=accuracy)
    return describe_error(got, expected, entries, accuracy)


def _undecided_note(compared: Comparison) -> str:
    if compared.expected.is_kink.all():
        return "every entry is at a kink"
    error = float(np.min(compared.expected.errors))
    if not np.isfinite(error):
        return "f is not finite beside x"
    return f"rounding gives differences an error of {error:.1g}, and the largest entry is {compared.scale:.1g}"


def contradicts(leaf: LeafDifferences, gradient: np.ndarray) -> bool:
    """Whether the differences confirm the leaf under test, and deny another gradient of it."""
    compared = leaf.entries
    if compared.is_wrong.any() or (leaf.directions is not None and leaf.directions.is_wrong.any()):
        return False
    assert compared.entries is not None
    other = np.asarray(gradient, np.float64)[tuple(compared.entries.T)] if gradient.ndim else np.ravel(gradient)
    away = np.abs(other - compared.expected.values) > 2 * compared.tolerance
    return bool((away & ~compared.expected.is_kink & np.isfinite(compared.tolerance)).any())
