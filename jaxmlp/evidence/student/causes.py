"""Causes: which known slip gives exactly the gradient that was given.

    right        the gradient as autodiff finds it
    given        the gradient under test, on one batch or several
    slipped      what the textbook's loop gives with one slip planted, at one layer or at all of them

A slip is the cause when its gradient equals the given one, shapes included, on every batch, and no slip of another name
does. Compared is as much as can be: first every leaf; then the leaves from the output down to the first wrong layer,
should more be wrong below; then the two leaves of that layer one by one. Anything else is "wrong here, cause unknown":
a wrong name would cost more time than none.

How close is equal depends on the dtype of the answer: a float32 gradient is compared in float32's digits, slips too.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray as Array

from jaxmlp.evidence.formulas import Layers
from jaxmlp.evidence.student.loop import RIGHT, Equations, Step, backward_with
from jaxmlp.evidence.student.slips import SLIPS, Slip

BOUND = 1e-9  # rounding in float64 stays far below, the least of the known slips far above
NARROW = {"float32": 1e-5, "float16": 1e-2}  # a hundred and ten units of rounding: what sums over a batch make of one
Leaf = tuple[int, str]  # (l, "W" or "b")


def difference(given: Any, right: Any) -> float:
    """max |given - right| / max |right| of a leaf; infinite for another shape and for a value that is not finite.

    >>> difference(np.array([1.0, 2.5]), np.array([1.0, 2.0])), difference(np.zeros(3), np.zeros((3, 1)))
    (0.25, inf)
    """
    given, right = np.asarray(given), np.asarray(right)
    if given.shape != right.shape or not np.isfinite(given).all():
        return math.inf
    worst, scale = float(np.abs(given - right).max()), float(np.abs(right).max())
    return worst and (worst / scale if scale else math.inf)


def equal(given: Array, expected: Array, right: Array, bound: float) -> bool:
    """Whether two leaves are the same number for number, NaN for NaN, within `bound` of the larger of expected, right.

    Of the right leaf too, because a slip may leave nothing but rounding: the columns of a softmax's dZ sum to 0, so the
    sum over the wrong axis is 1e-17, and another order of adding gives another 1e-17.
    """
    holes = ~np.isfinite(expected)
    if given.shape != expected.shape or not np.array_equal(given[holes], expected[holes], equal_nan=True):
        return False
    scale = max((float(np.abs(leaf).max()) for leaf in (expected[~holes], right) if leaf.size), default=0.0)
    return bool((np.abs(given[~holes] - expected[~holes]) <= bound * scale).all())


class Trial(NamedTuple):
    """One batch: its name, the forward pass, the right gradient and the given one; J, right and given, if it was told.

    >>> Trial("", (), (), ({"W": np.ones((1, 1), np.float32), "b": np.ones((1, 1))},)).bound
    1e-05
    """

    name: str
    steps: tuple[Step, ...]
    right: Layers
    given: Layers
    J: tuple[float, float] | None = None

    @property
    def precision(self) -> str:
        """The name of the narrowest dtype among the leaves."""
        return min((leaf.dtype for layer in self.given for leaf in layer.values()), key=lambda d: d.itemsize).name

    @property
    def bound(self) -> float:
        """What rounding in that dtype may do to them."""
        return NARROW.get(self.precision, BOUND)

    def off(self, leaf: Leaf) -> float:
        """The `difference` of a leaf from the right one."""
        l, name = leaf
        return difference(self.given[l - 1][name], self.right[l - 1][name])

    def is_(self, leaf: Leaf, expected: Any) -> bool:
        """Whether a leaf that was given equals what is expected."""
        l, name = leaf
        return equal(self.given[l - 1][name], np.asarray(expected), self.right[l - 1][name], self.bound)


def chain(depth: int) -> tuple[Leaf, ...]:
    """The leaves in the order in which backpropagation reaches them.

    >>> chain(2)
    ((2, 'b'), (2, 'W'), (1, 'b'), (1, 'W'))
    """
    return tuple((l, name) for l in range(depth, 0, -1) for name in ("b", "W"))


# --- what a slip gives ------------------------------------------------------------------------------------------------


def slipped(slip: Slip, steps: tuple[Step, ...], layer: int | None = None) -> Layers | None:
    """The gradient of somebody who makes this slip at one layer, or (None) at every layer where it can be written.

    None where NumPy refuses a product: nobody overlooks that.
    """
    wrong = slip.plant(RIGHT)

    def equations(step: Step) -> Equations:
        return wrong if layer in (None, step.l) and slip.where(step) else RIGHT

    try:
        return backward_with(equations, steps)
    except ValueError:  # shapes that do not fit
        return None


def places(slip: Slip, passes: Iterable[tuple[Step, ...]]) -> list[int | None]:
    """Where it shows in some forward pass: every such layer, and, if there are several, None for all at once."""
    layers = sorted({step.l for steps in passes for step in steps if slip.where(step)})
    return [*layers, None] if len(layers) > 1 else [*layers]


# --- which slip it was ------------------------------------------------------------------------------------------------


class Cause(NamedTuple):
    """A slip and the layer where it was made; None for every layer."""

    slip: Slip
    layer: int | None


def explanations(trials: Sequence[Trial], leaves: Sequence[Leaf], slips: Iterable[Slip] = SLIPS) -> list[Cause]:
    """The slips that give these leaves on every trial."""
    causes = (Cause(slip, layer) for slip in slips for layer in places(slip, [trial.steps for trial in trials]))
    return [cause for cause in causes if all(_explains(cause, trial, leaves) for trial in trials)]


def _explains(cause: Cause, trial: Trial, leaves: Sequence[Leaf]) -> bool:
    expected = slipped(cause.slip, trial.steps, cause.layer)
    if expected is None:
        return False
    return all(trial.is_((l, name), expected[l - 1][name]) for l, name in leaves)


def _only(causes: Sequence[Cause]) -> list[Cause]:
    """One cause if all have one name, none if they contradict each other."""
    return [causes[0]] if len({cause.slip.name for cause in causes}) == 1 else []


def find_causes(trials: Sequence[Trial], layer: int) -> list[Cause]:
    """Why it is wrong from `layer` on downwards: one cause, two when dW and db each have their own, none if unknown."""
    depth = len(trials[0].steps)
    for leaves in (chain(depth), [leaf for leaf in chain(depth) if leaf[0] >= layer]):
        if found := explanations(trials, leaves):
            return _only(found)
    return _leaf_by_leaf(trials, layer)


def _leaf_by_leaf(trials: Sequence[Trial], layer: int) -> list[Cause]:
    """A slip in BP3 for a wrong db and another in BP4 for a wrong dW."""
    causes = []
    for name, equation in (("b", "BP3"), ("W", "BP4")):
        if all(trial.off((layer, name)) <= trial.bound for trial in trials):
            continue
        here = [slip for slip in SLIPS if slip.equation == equation]
        found = _only(explanations(trials, [(layer, name)], here))
        if not found:
            return []
        causes += found
    return causes
