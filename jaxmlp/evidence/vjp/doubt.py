"""Doubt: what a difference may be put down to before a rule is blamed for it.

    rounding     64 · how far Q moves when every number in it moves by a few units in the last place, + 4 ε · scale
    a kink       the witness's Q at x + h d and at x - h d stay apart, however small h: no derivative to compare with
    no number    the witness's Q is not finite

Q is what is compared: y and G(x; u), or the derivative of G along v. A true zero is computed as a sum that cancels, and
what is left of it are digits of rounding, in the rule and in its witness: no two ways of computing agree on them. The
scale is that of the product before it cancels: u y for G, G v for its derivative.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxmlp.evidence.certificate import Row, judge
from jaxmlp.evidence.vjp.arguments import Leaves
from jaxmlp.evidence.vjp.bench import Bench, compiled_pullback, relative_differences

Quantity = Callable[..., Sequence[Any]]  # of several tuples of arrays, x first

DRAWS = 4
JUMP = 0.75  # of a jump is left at half the distance; a smooth function leaves half


# --- rounding ---------------------------------------------------------------------------------------------------------


def first_order_noise(bench: Bench) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """What rounding does to every output and every gradient of the rule and of its witness, whichever is larger."""
    leaves, others = bench.point
    largest = product_scale(bench.cotangent, bench.gradient(leaves, others, bench.cotangent)[0])

    def of(G: Callable[..., Any]) -> list[float]:
        return wiggle(lambda x, u: [*(parts := G(x, others, u))[0], *parts[1]], (leaves, bench.cotangent), bench)

    found = [of(bench.gradient)]
    if bench.witness is not None:
        found.append(of(partial(compiled_pullback, bench.witness)))
    both = [max(pair) for pair in zip(*found, strict=True)]
    count = len(bench.cotangent)
    return tuple(both[:count]), tuple(n + 4 * epsilon(bench) * largest for n in both[count:])


def wiggle(Q: Quantity, numbers: tuple[Leaves, ...], bench: Bench) -> list[float]:
    """64 · the largest change of every array of Q when its numbers move by a few units in the last place.

    What changes by more than ε^(2/3) of its scale is no rounding: a step of `jnp.round`, a kink.
    """
    plain = [np.asarray(q, np.float64) for q in Q(*numbers)]
    scale = max([1.0, *(float(np.max(np.abs(q), initial=0.0, where=np.isfinite(q))) for q in plain)])
    found = [0.0] * len(plain)
    for _ in range(DRAWS):
        moved = (tuple(_last_digits(np.asarray(a), bench.rng) for a in part) for part in numbers)
        for i, (p, q) in enumerate(zip(plain, Q(*moved), strict=True)):
            with np.errstate(invalid="ignore"):  # inf - inf
                apart = np.abs(np.asarray(q, np.float64) - p)
            small = apart <= epsilon(bench) ** (2 / 3) * scale  # False for NaN
            found[i] = max(found[i], 64 * float(np.max(apart, initial=0.0, where=small)))
    return found


def _last_digits(a: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    steps = np.asarray(rng.integers(-2, 3, size=a.shape), a.dtype)
    return a + a * steps * jnp.finfo(a.dtype).eps


def epsilon(bench: Bench) -> float:
    """ε of the coarsest dtype among the leaves."""
    return max(float(jnp.finfo(leaf.dtype).eps) for leaf in bench.arguments.leaves)


def product_scale(a: Leaves, b: Leaves) -> float:
    """max|a| · max|b|, of the numbers that are finite."""

    def largest(leaves: Leaves) -> float:
        arrays = [np.asarray(x, np.float64) for x in leaves]
        return max((float(np.max(np.abs(x), initial=0.0, where=np.isfinite(x))) for x in arrays), default=0.0)

    return largest(a) * largest(b)


# --- kinks, and no number ---------------------------------------------------------------------------------------------


class Answer(NamedTuple):
    """One leaf against its witness, without the entries of which the witness knows nothing.

    Attributes:
      got: the leaf, 0 where it is left out.
      expected: the witness's, 0 where it is left out.
      difference: the relative difference of what remains.
      note: what is left out, and why; "" for nothing.
      remains: whether anything does.
    """

    got: np.ndarray
    expected: np.ndarray
    difference: float
    note: str
    remains: bool

    def row(self, check: str, where: str, witness: str, bound: float) -> Row:
        """The verdict."""
        if not self.remains:
            return Row(check, where, witness, None, None, "UNDECIDED", self.note)
        return judge(check, where, witness, self.difference, bound, self.note)


def answers(
    Q: Quantity, got: Sequence[Any], expected: Sequence[Any], noise: Sequence[float], bench: Bench
) -> list[Answer]:
    """Every leaf against expected = Q(x), the witness's; where they differ, what can be doubted is left out."""
    bound, floor = bench.tolerance
    pairs = [(np.asarray(g, np.float64), np.asarray(e, np.float64)) for g, e in zip(got, expected, strict=True)]
    found = relative_differences(got, expected, floor, noise)
    if all(difference <= bound for difference in found):
        return [Answer(g, e, d, "", True) for (g, e), d in zip(pairs, found, strict=True)]
    silent = [~np.isfinite(e) & ~((g == e) | (np.isnan(g) & np.isnan(e))) for g, e in pairs]
    bent = [jump & ~mute for jump, mute in zip(_kinks(Q, pairs, bench), silent, strict=True)]
    kept = [np.where(s | b, 0.0, (g, e)) for s, b, (g, e) in zip(silent, bent, pairs, strict=True)]
    found = relative_differences([g for g, _ in kept], [e for _, e in kept], floor, noise)
    return [
        Answer(g, e, d, _left_out(s, b), g.size == 0 or not (s | b).all())
        for (g, e), d, s, b in zip(kept, found, silent, bent, strict=True)
    ]


def _kinks(Q: Quantity, pairs: Sequence[tuple[np.ndarray, np.ndarray]], bench: Bench) -> list[np.ndarray]:
    """Where Q jumps at x by at least half of what the two sides differ: any value between is a derivative as good."""
    leaves = [np.asarray(leaf) for leaf in bench.arguments.leaves]
    h = epsilon(bench) ** (1 / 3)
    found = [np.zeros(g.shape, bool) for g, _ in pairs]
    for _ in range(DRAWS):
        steps = [h * np.maximum(1.0, np.abs(x)) * d for x, d in zip(leaves, bench.draw(leaves), strict=True)]

        def jumps(part: float, steps: list[np.ndarray] = steps) -> list[np.ndarray]:
            ahead, behind = (
                Q(tuple((x + side * s).astype(x.dtype) for x, s in zip(leaves, steps, strict=True)))
                for side in (part, -part)
            )
            return [np.abs(np.asarray(a, np.float64) - np.asarray(b)) for a, b in zip(ahead, behind, strict=True)]

        with np.errstate(invalid="ignore"):  # NaN is no jump
            for i, (far, near, (g, e)) in enumerate(zip(jumps(1.0), jumps(0.5), pairs, strict=True)):
                found[i] |= (near > JUMP * far) & (2 * near >= np.abs(g - e)) & (g != e)
    return found


def _left_out(silent: np.ndarray, bent: np.ndarray) -> str:
    if silent.size and silent.all():
        return "the witness is not finite here: autodiff gives NaN or infinity"
    if bent.size and bent.all():
        return "every entry lies at a kink"
    reasons = {"where the witness is not finite": silent, "at a kink": bent}
    return "; ".join(f"{np.count_nonzero(m)} entries {why}: undecided" for why, m in reasons.items() if m.any())
