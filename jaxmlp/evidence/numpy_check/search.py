"""Search the cause of an incorrect gradient: in the tables of mistakes, then among the numbers that multiply something.

    all leaves          one mistake explains the whole gradient
    layers ≥ l          the first incorrect layer and those above it: a second mistake may follow below
    each leaf of l      db and dW have a mistake each

The more leaves agree, the surer is the name; the table of common mistakes goes before the others. In any other case
the cause is unknown: an incorrect name would cost the user more time than no name.
"""

import math
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

from jaxmlp.evidence.formulas import Layers
from jaxmlp.evidence.numpy_check.blame import is_error_of_dZ, is_incorrect, may_be_dZ
from jaxmlp.evidence.numpy_check.common_mistakes import MISTAKES, Mistake
from jaxmlp.evidence.numpy_check.factors import Explanation, match_early_update, match_factor
from jaxmlp.evidence.numpy_check.forward_mistakes import FORWARD_MISTAKES
from jaxmlp.evidence.numpy_check.further_mistakes import FURTHER_MISTAKES
from jaxmlp.evidence.numpy_check.match_mistake import (
    Leaf,
    Match,
    Trial,
    gives_leaves,
    leaf_name,
    leaf_order,
    possible_layers,
    predict_gradient,
    unambiguous,
)

COMMON, FURTHER = 0, 1
_TABLES: tuple[tuple[Mistake, ...], ...] = (MISTAKES, (*FURTHER_MISTAKES, *FORWARD_MISTAKES))
_ROUNDING = 1e-5  # an error as small is rounding of float32, a difference quotient or an ε


class Cause(NamedTuple):
    """Why a gradient is incorrect: equation, name, text and erratum; no name where it is unknown."""

    equation: str
    name: str = ""
    text: str = ""
    erratum: str = ""


def find_cause(trials: Sequence[Trial]) -> Cause:
    """Return the cause of an incorrect gradient."""
    cause = Search(trials).find()
    # another convention of the slope at 0 hides a mistake: without a unit at 0 the mistake is all that differs
    off_kinks = [trial for trial in trials if not _is_at_kink(trial)]
    if not cause.name and len(off_kinks) < len(trials) and not all(map(_is_all_correct, off_kinks)):
        return Search(off_kinks).find()
    return cause


def _is_at_kink(trial: Trial) -> bool:
    return any((step.Z == 0).any() for step in trial.steps)


def _is_all_correct(trial: Trial) -> bool:
    return all(trial.is_correct(leaf) for leaf in leaf_order(len(trial.steps)))


class Search:
    """The search in one gradient, on several batches. Predictions on the first incorrect batch are made once."""

    def __init__(self, trials: Sequence[Trial]) -> None:
        self.trials = list(trials)
        self.depth = len(trials[0].steps)
        self.order = leaf_order(self.depth)
        self.incorrect = [leaf for leaf in self.order if is_incorrect(trials, leaf)]
        self.layer = self.incorrect[0][0]  # the one nearest to the output: those below may only follow from it
        # the smallest of the incorrect batches comes first: all candidates are tried on it, few on the others
        self.trials.sort(key=lambda trial: (trial.is_correct(self.incorrect[0]), trial.m))

    @cached_property
    def _predictions(self) -> list[list[tuple[Match, frozenset[Leaf]]]]:
        """Return, per table, every mistake at every layer with the leaves that it gives on the first batch."""
        first = self.trials[0]
        passes = [trial.steps for trial in self.trials]
        return [
            [
                # only which leaves agree is kept: a thousand gradients of a wide network would fill the memory
                (Match(mistake, layer), frozenset(leaf for leaf in self.order if _gives(first, leaf, gradient)))
                for mistake in table
                for layer in possible_layers(mistake, passes)
                if (gradient := predict_gradient(mistake, first.steps, layer)) is not None
            ]
            for table in _TABLES
        ]

    def find(self) -> Cause:
        """Return the cause."""
        return (
            self._of_every_leaf(COMMON)
            or self._of_rounding()
            or self._of_numbers()
            or self._of_every_leaf(FURTHER)
            or self._of_upper_layers()
            or self._of_each_leaf()
            or Cause(self._unknown_equation())
        )

    # --- tables -------------------------------------------------------------------------------------------------------

    def _match(self, table: int, leaves: Sequence[Leaf], equations: Sequence[str] = ()) -> list[Match]:
        """Return the mistakes of a table that give these leaves on every batch."""
        return [
            match
            for match, agreeing in self._predictions[table]
            if (not equations or match.mistake.equation in equations)
            and agreeing.issuperset(leaves)
            # the first batch is decided by `agreeing`, without another run
            and all(gives_leaves(match, trial, leaves) for trial in self.trials[1:])
        ]

    def _of_every_leaf(self, table: int) -> Cause | None:
        match = unambiguous(self._match(table, self.order))
        return None if match is None else self._cause_of(match)

    def _of_upper_layers(self) -> Cause | None:
        """Return the cause in the leaves from the first incorrect layer up; what follows below is another mistake."""
        may_be_dZ_here = may_be_dZ(self.trials, self.layer)
        leaves = [leaf for leaf in self.order if leaf[0] >= self.layer]
        for table in (COMMON, FURTHER):
            match = unambiguous(self._match(table, leaves))
            is_in_leaf = match is not None and match.mistake.equation in ("BP3", "BP4", "penalty")
            if match is not None and (is_in_leaf or may_be_dZ_here):
                return self._cause_of(match)
            if table == COMMON and may_be_dZ_here and len(self._incorrect_here()) == 2:
                # the order is from the output down, so these are db and dW of the first incorrect layer
                explanation = match_factor(self.trials, leaves[-2:], f"dZ_{self.layer}")
                if explanation is not None:
                    return self._explained(self._dZ_equation(), explanation)
        return None

    def _of_each_leaf(self) -> Cause | None:
        """Return the mistake of db_l and that of dW_l, where they have one each."""
        causes: list[Cause] = []
        for leaf in self._incorrect_here():
            cause = self._of_leaf(leaf)
            if cause is None:
                return None
            causes.append(cause)
        return Cause(
            " and ".join(cause.equation for cause in causes),
            " and ".join(dict.fromkeys(cause.name for cause in causes)),
            "; ".join(cause.text for cause in causes),
            ", ".join(cause.erratum for cause in causes if cause.erratum),
        )

    def _of_leaf(self, leaf: Leaf) -> Cause | None:
        equation, equations = _leaf_equation(leaf), ["BP3"] if leaf[1] == "b" else ["BP4", "penalty"]
        for table in (COMMON, FURTHER):
            match = unambiguous(self._match(table, [leaf], equations))
            if match is not None:
                return Cause(equation, match.mistake.name, match.mistake.text, match.mistake.erratum)
            explanation = match_factor(self.trials, [leaf], leaf_name(leaf)) if table == COMMON else None
            if explanation is not None:
                return self._explained(equation, explanation)
        return None

    # --- numbers ------------------------------------------------------------------------------------------------------

    def _of_rounding(self) -> Cause | None:
        """Return how many digits are correct, where the error is no larger than rounding in float32."""
        errors = [trial.error(leaf) for trial in self.trials for leaf in self.incorrect]
        # the errors of a gradient in float32 are judged by the bound of that dtype
        if max(errors) > _ROUNDING or any(trial.precision != "float64" for trial in self.trials):
            return None
        digits = int(-math.log10(max(errors)))
        text = (
            "an ε in a denominator or a logarithm, a difference quotient, or rounding in float32; dZ = A - Y needs no ε"
        )
        return Cause(self._unknown_equation(), f"right to {digits} digits", text)

    def _of_numbers(self) -> Cause | None:
        """Return the cause if all from the first incorrect layer down is a number times something."""
        region = [leaf for leaf in self.order if leaf[0] <= self.layer]
        called = "every leaf" if self.layer == self.depth else f"every leaf of layers 1 to {self.layer}"
        explanation = match_factor(self.trials, region, called)
        if explanation is not None:
            is_in_dZ = "penalty" not in explanation.name or " and " in explanation.name
            equation = self._dZ_equation() if is_in_dZ else _leaf_equation(self.incorrect[0])
            return self._explained(equation, explanation)
        explanation = match_early_update(self.trials, self.layer)
        return None if explanation is None else self._explained(self._dZ_equation(), explanation)

    # --- equations ----------------------------------------------------------------------------------------------------

    def _incorrect_here(self) -> list[Leaf]:
        return [leaf for leaf in self.incorrect if leaf[0] == self.layer]

    def _dZ_equation(self) -> str:
        return f"{'BP1' if self.layer == self.depth else 'BP2'} dZ_{self.layer}"

    def _unknown_equation(self) -> str:
        if is_error_of_dZ(self.trials, self.layer):
            return self._dZ_equation()
        return " and ".join(_leaf_equation(leaf) for leaf in self._incorrect_here())

    def _explained(self, equation: str, explanation: Explanation) -> Cause:
        return Cause(equation, explanation.name, explanation.text)

    def _cause_of(self, match: Match) -> Cause:
        mistake = match.mistake
        if mistake.forward is not None:
            equation = f"{mistake.equation}_{match.layer or 'l'} in the forward pass"
        elif mistake.equation in ("BP1", "BP2"):
            equation = self._dZ_equation()
        else:
            equation = " and ".join(_leaf_equation(leaf) for leaf in self._incorrect_here())
        return Cause(equation, mistake.name, mistake.text, mistake.erratum)


def _leaf_equation(leaf: Leaf) -> str:
    layer, name = leaf
    return f"BP3 db_{layer}" if name == "b" else f"BP4 dW_{layer}"


def _gives(trial: Trial, leaf: Leaf, gradient: Layers) -> bool:
    layer, name = leaf
    return trial.matches(leaf, gradient[layer - 1][name])
