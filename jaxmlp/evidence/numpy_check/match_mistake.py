"""Find the common mistake that gives exactly the submitted gradient.

    correct      the gradient by autodiff
    submitted    the gradient under test, on one batch or several
    predicted    the gradient of the textbook's loop with one mistake in it, at one layer or at all of them

A mistake is the cause if its gradient equals the submitted one on every batch, shapes included, and no mistake of
another name does. `search` decides which leaves are compared, and in which tables.

The dtype of the submitted gradient determines when two numbers are equal: in float32 the predictions are compared to
the digits that float32 has.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy import ndarray as Array
from numpy.typing import ArrayLike

from jaxmlp.evidence.formulas import Layers
from jaxmlp.evidence.numpy_check.common_mistakes import MISTAKES, Mistake
from jaxmlp.evidence.numpy_check.numpy_backprop import CORRECT, LayerStep, forward_steps, run_backward

BOUND = 1e-9  # rounding in float64 stays far below, the effect of every known mistake lies far above
NARROW_BOUNDS = {"float32": 1e-5, "float16": 1e-2}  # 100 and 10 units of rounding: sums over a batch accumulate it
Leaf = tuple[int, str]  # (l, "W" or "b")


def difference(submitted: ArrayLike, correct: ArrayLike) -> float:
    """Return max|submitted - correct| / max|correct|; infinite for another shape or a value that is not finite.

    >>> difference(np.array([1.0, 2.5]), np.array([1.0, 2.0])), difference(np.zeros(3), np.zeros((3, 1)))
    (0.25, inf)
    """
    submitted, correct = np.asarray(submitted), np.asarray(correct)
    if submitted.shape != correct.shape or not np.isfinite(submitted).all():
        return math.inf
    worst, scale = float(np.abs(submitted - correct).max()), float(np.abs(correct).max())
    # where all is 0, any other number is infinitely wrong; equal arrays are exactly 0
    return worst and (worst / scale if scale else math.inf)


def leaves_equal(submitted: Array, predicted: Array, correct: Array, bound: float) -> bool:
    """Whether two leaves agree entry by entry, NaN with NaN, within `bound` of the larger of predicted and correct."""
    not_finite = ~np.isfinite(predicted)
    if submitted.shape != predicted.shape or not np.array_equal(
        submitted[not_finite], predicted[not_finite], equal_nan=True
    ):
        return False
    # the correct leaf counts too: the columns of a softmax's dZ add up to 0, so that a sum over the wrong axis gives
    # 1e-17, and another order of addition gives another 1e-17
    scale = max((float(np.abs(leaf).max()) for leaf in (predicted[~not_finite], correct) if leaf.size), default=0.0)
    return bool((np.abs(submitted[~not_finite] - predicted[~not_finite]) <= bound * scale).all())


class Trial(NamedTuple):
    """One batch: its name, the forward pass, the correct and the submitted gradient; J, correct and submitted, if any.

    >>> Trial("", (), (), ({"W": np.ones((1, 1), np.float32), "b": np.ones((1, 1))},)).bound
    1e-05
    """

    name: str
    steps: tuple[LayerStep, ...]
    correct: Layers
    submitted: Layers
    J: tuple[float, float] | None = None

    @property
    def m(self) -> int:
        """Return the number of examples in the batch."""
        return self.steps[0].problem.m

    @property
    def precision(self) -> str:
        """Return the name of the narrowest dtype among the leaves."""
        return min((leaf.dtype for layer in self.submitted for leaf in layer.values()), key=lambda d: d.itemsize).name

    @property
    def bound(self) -> float:
        """Return the difference that rounding in that dtype may cause."""
        return NARROW_BOUNDS.get(self.precision, BOUND)

    def error(self, leaf: Leaf) -> float:
        """Return the `difference` of a submitted leaf from the correct one."""
        l, name = leaf
        return difference(self.submitted[l - 1][name], self.correct[l - 1][name])

    def is_correct(self, leaf: Leaf) -> bool:
        """Whether a submitted leaf is correct but for rounding in its dtype."""
        return self.error(leaf) <= self.bound

    def matches(self, leaf: Leaf, predicted: ArrayLike) -> bool:
        """Whether a submitted leaf equals the prediction."""
        l, name = leaf
        return leaves_equal(self.submitted[l - 1][name], np.asarray(predicted), self.correct[l - 1][name], self.bound)


def leaf_order(depth: int) -> tuple[Leaf, ...]:
    """Return the leaves in the order in which backpropagation computes them.

    >>> leaf_order(2)
    ((2, 'b'), (2, 'W'), (1, 'b'), (1, 'W'))
    """
    return tuple((l, name) for l in range(depth, 0, -1) for name in ("b", "W"))


def leaf_name(leaf: Leaf) -> str:
    """Return the name of the course: (2, "W") is dW2."""
    return f"d{leaf[1]}{leaf[0]}"


# --- the gradient of a mistake ----------------------------------------------------------------------------------------


def predict_gradient(mistake: Mistake, steps: tuple[LayerStep, ...], layer: int | None = None) -> Layers | None:
    """Return the gradient with a mistake at one layer, or (None) at every layer where it is possible.

    None where NumPy raises: such a mistake never yields a gradient.
    """
    incorrect = mistake.change(CORRECT)
    forward = mistake.forward

    def has_mistake(step: LayerStep) -> bool:
        return layer in (None, step.l) and mistake.condition(step)

    try:
        with np.errstate(all="ignore"):  # a mistake may divide by 0, as the program with it does
            if forward is not None:
                problem = steps[0].problem
                steps = forward_steps(problem, lambda step: forward(step) if has_mistake(step) else step)
            return run_backward(lambda step: incorrect if has_mistake(step) else CORRECT, steps)
    except ValueError:  # the shapes of a product do not fit
        return None


def possible_layers(mistake: Mistake, passes: Iterable[tuple[LayerStep, ...]]) -> list[int | None]:
    """Return the layers where the mistake is visible in some forward pass; None at the end means all of several."""
    layers = sorted({step.l for steps in passes for step in steps if mistake.condition(step)})
    # at one layer, "everywhere" would give the same gradient again
    return [*layers, None] if len(layers) > 1 else [*layers]


# --- the mistake of a gradient ----------------------------------------------------------------------------------------


class Match(NamedTuple):
    """A mistake and its layer; None for every layer."""

    mistake: Mistake
    layer: int | None


def matching_mistakes(
    trials: Sequence[Trial], leaves: Sequence[Leaf], mistakes: Iterable[Mistake] = MISTAKES
) -> list[Match]:
    """Return the mistakes that give these leaves on every trial."""
    passes = [trial.steps for trial in trials]
    matches = (Match(mistake, layer) for mistake in mistakes for layer in possible_layers(mistake, passes))
    return [match for match in matches if all(gives_leaves(match, trial, leaves) for trial in trials)]


def gives_leaves(match: Match, trial: Trial, leaves: Sequence[Leaf]) -> bool:
    """Whether a mistake gives these leaves on one batch."""
    predicted = predict_gradient(match.mistake, trial.steps, match.layer)
    return predicted is not None and all(trial.matches((l, name), predicted[l - 1][name]) for l, name in leaves)


def unambiguous(matches: Sequence[Match]) -> Match | None:
    """Return one match if all have the same name; None if they contradict each other, or there is none."""
    return matches[0] if len({match.mistake.name for match in matches}) == 1 else None
