"""The noise floor: differences that do not prove a rule wrong.

    rounding       64 · the change of Q when every input moves by a few units in the last place, + 4 ε · scale
    kink           Q of the witness at x + h d and at x - h d stays different for every small h: no derivative exists
    not finite     Q of the witness is NaN or infinite

Q is the compared quantity: y and G(x; u), or the derivative of G along v. A derivative that is exactly 0 is often
computed as a sum that cancels. Its result consists of rounding error, and two correct programs differ in it. The scale
is the size of the products before they cancel: u y for G, G v for its derivative.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxmlp.evidence.certificate import Row, judge
from jaxmlp.evidence.vjp_check.arguments import Leaves
from jaxmlp.evidence.vjp_check.rule_under_test import (
    CheckId,
    RuleUnderTest,
    compiled_pullback,
    relative_differences,
    row_without_number,
)

Quantity = Callable[..., Sequence[Any]]  # (x, …) -> arrays; every argument is a tuple of arrays

DRAWS = 4  # random directions: one of them could be orthogonal to what we look for, four hardly can
JUMP_RATIO = 0.75  # at half the distance a jump keeps its size and a smooth difference halves; this is the middle


# --- rounding ---------------------------------------------------------------------------------------------------------


def first_order_noise(rule: RuleUnderTest) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the rounding error of every output and every gradient, the larger of rule and witness."""
    real, discrete = rule.point
    scale = product_scale(rule.cotangent, rule.gradient(real, discrete, rule.cotangent)[0])
    pullbacks: list[Callable[..., Any]] = [rule.gradient]
    if rule.witness is not None:
        pullbacks.append(partial(compiled_pullback, rule.witness))

    def outputs_and_gradients(x: Leaves, u: Leaves, *, G: Callable[..., Any]) -> list[Any]:
        outputs, gradients = G(x, discrete, u)
        return [*outputs, *gradients]

    noise = [rounding_error(partial(outputs_and_gradients, G=G), (real, rule.cotangent), rule) for G in pullbacks]
    largest = [max(values) for values in zip(*noise, strict=True)]
    count = len(rule.cotangent)
    return tuple(largest[:count]), tuple(n + 4 * epsilon(rule) * scale for n in largest[count:])


def rounding_error(Q: Quantity, inputs: tuple[Leaves, ...], rule: RuleUnderTest) -> list[float]:
    """Return 64 · the largest change of every array of Q when its inputs move by a few units in the last place."""
    values = [np.asarray(q, np.float64) for q in Q(*inputs)]
    scale = max([1.0, *(float(np.max(np.abs(q), initial=0.0, where=np.isfinite(q))) for q in values)])
    errors = [0.0] * len(values)
    for _ in range(DRAWS):
        moved = (tuple(_move_last_digits(np.asarray(a), rule.rng) for a in part) for part in inputs)
        for i, (value, q) in enumerate(zip(values, Q(*moved), strict=True)):
            with np.errstate(invalid="ignore"):  # inf - inf
                change = np.abs(np.asarray(q, np.float64) - value)
            # a larger change is a step of `jnp.round` or a kink, not rounding; the comparison is False for NaN
            is_rounding = change <= epsilon(rule) ** (2 / 3) * scale
            errors[i] = max(errors[i], 64 * float(np.max(change, initial=0.0, where=is_rounding)))
    return errors


def _move_last_digits(a: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    steps = np.asarray(rng.integers(-2, 3, size=a.shape), a.dtype)
    # relative, so that a 0 stays 0: it may be a mask, or the place of a kink
    return a + a * steps * jnp.finfo(a.dtype).eps


def epsilon(rule: RuleUnderTest) -> float:
    """Return ε of the narrowest dtype among the real arrays, or in which f computes."""
    inside = {4: 2.0**-23, 2: 2.0**-7, 1: 0.125}.get(rule.itemsize, 0.0)
    return max(inside, *(float(jnp.finfo(leaf.dtype).eps) for leaf in rule.arguments.real))


def product_scale(a: Leaves, b: Leaves) -> float:
    """Return max|a| · max|b| over the finite entries."""

    def largest(leaves: Leaves) -> float:
        arrays = [np.asarray(x, np.float64) for x in leaves]
        return max((float(np.max(np.abs(x), initial=0.0, where=np.isfinite(x))) for x in arrays), default=0.0)

    return largest(a) * largest(b)


# --- kinks and values that are not finite -----------------------------------------------------------------------------


class LeafComparison(NamedTuple):
    """One leaf against its witness, without the entries that the witness cannot decide.

    Attributes:
      got: the leaf, 0 at undecided entries.
      expected: the values of the witness, 0 at undecided entries.
      difference: the relative difference of the decided entries.
      note: which entries are undecided, and why; "" if all are decided.
      is_decided: whether any entry is decided.
    """

    got: np.ndarray
    expected: np.ndarray
    difference: float
    note: str
    is_decided: bool

    def row(self, check: CheckId, bound: float) -> Row:
        """Return the verdict."""
        if not self.is_decided:
            return row_without_number(check, "UNDECIDED", self.note)
        return judge(*check, self.difference, bound, self.note)


def compare_leaves(
    Q: Quantity, got: Sequence[ArrayLike], expected: Sequence[ArrayLike], noise: Sequence[float], rule: RuleUnderTest
) -> list[LeafComparison]:
    """Compare every leaf with expected = Q(x) of the witness; where they differ, leave out the undecided entries."""
    bound, floor = rule.tolerance
    pairs = [(np.asarray(g, np.float64), np.asarray(e, np.float64)) for g, e in zip(got, expected, strict=True)]
    differences = relative_differences(got, expected, floor, noise)
    # the search for kinks evaluates Q sixteen times, so that leaves that agree do without it
    if all(difference <= bound for difference in differences):
        return [LeafComparison(g, e, d, "", True) for (g, e), d in zip(pairs, differences, strict=True)]
    not_finite = [~np.isfinite(e) & ~((g == e) | (np.isnan(g) & np.isnan(e))) for g, e in pairs]
    kinks = [kink & ~bad for kink, bad in zip(_find_jumps(Q, pairs, rule), not_finite, strict=True)]
    decided = [np.where(n | k, 0.0, (g, e)) for n, k, (g, e) in zip(not_finite, kinks, pairs, strict=True)]  # (2, …)
    differences = relative_differences([g for g, _ in decided], [e for _, e in decided], floor, noise)
    return [
        # of an empty leaf all() is True, but there is nothing to be undecided
        LeafComparison(g, e, d, _reason_of_no_verdict(n, k), g.size == 0 or not (n | k).all())
        for (g, e), d, n, k in zip(decided, differences, not_finite, kinks, strict=True)
    ]


def _find_jumps(Q: Quantity, pairs: Sequence[tuple[np.ndarray, np.ndarray]], rule: RuleUnderTest) -> list[np.ndarray]:
    """Return the entries where Q jumps at x by at least half of |got - expected|."""
    # at a jump of that size every value between the two sides is as good a derivative as the witness's
    real = [np.asarray(leaf) for leaf in rule.arguments.real]
    h = epsilon(rule) ** (1 / 3)  # 6e-6 in float64
    kinks = [np.zeros(g.shape, bool) for g, _ in pairs]
    for _ in range(DRAWS):
        steps = [h * np.maximum(1.0, np.abs(x)) * d for x, d in zip(real, rule.draw(real), strict=True)]

        def jumps(distance: float, steps: list[np.ndarray] = steps) -> list[np.ndarray]:
            ahead, behind = (
                Q(tuple((x + side * s).astype(x.dtype) for x, s in zip(real, steps, strict=True)))
                for side in (distance, -distance)
            )
            return [np.abs(np.asarray(a, np.float64) - np.asarray(b)) for a, b in zip(ahead, behind, strict=True)]

        with np.errstate(invalid="ignore"):  # every comparison with NaN is False: NaN is not a jump
            for i, (far, near, (g, e)) in enumerate(zip(jumps(1.0), jumps(0.5), pairs, strict=True)):
                kinks[i] |= (near > JUMP_RATIO * far) & (2 * near >= np.abs(g - e)) & (g != e)
    return kinks


def _reason_of_no_verdict(not_finite: np.ndarray, kinks: np.ndarray) -> str:
    if not_finite.size and not_finite.all():
        return "the witness is not finite here: autodiff gives NaN or infinity"
    if kinks.size and kinks.all():
        return "every entry is at a kink"
    reasons = {"where the witness is not finite": not_finite, "at a kink": kinks}
    return "; ".join(f"{np.count_nonzero(m)} entries {why}: undecided" for why, m in reasons.items() if m.any())
