"""Mistakes in J, for a function that returns (J, gradient): the sum of other terms, or a factor.

    terms       one term of the cross-entropy only, another cost, every a with every y
    penalty     without it, without 1/2, with the biases
    factor      sign, sum in place of mean, log10 and log2, a mean over the outputs too
    NaN         0 · log 0, and log 0, where an output has rounded to 0 or 1

A mistake is the cause if its J is the submitted one on every batch.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy import ndarray as Array

from jaxmlp.evidence.numpy_check.factors import Explanation, name_factor
from jaxmlp.evidence.numpy_check.match_mistake import Trial
from jaxmlp.evidence.numpy_check.numpy_backprop import LayerStep

Terms = Callable[[LayerStep], float]  # the output layer -> the sum over the examples


class CostMistake(NamedTuple):
    """A sum over the examples in place of Σ c: its name, what was written, and the costs for which it is tried."""

    name: str
    text: str
    terms: Terms
    costs: tuple[str, ...]


_BINARY, _CATEGORICAL = ("binary_cross_entropy",), ("categorical_cross_entropy",)
_ENTROPIES = _BINARY + _CATEGORICAL


def _first(step: LayerStep) -> Array:
    return -step.problem.targets * np.log(step.A)


def _second(step: LayerStep) -> Array:
    return -(1 - step.problem.targets) * np.log(1 - step.A)


def _pairs(step: LayerStep) -> float:
    """Return the sum over every a with every y: (m, 1) and (m,) broadcast to (m, m)."""
    Y, A = step.problem.targets, step.A
    # every y with every a: Σ_i Σ_j y_i log a_j = Σ y · Σ log a
    return float(-(Y.sum() * np.log(A).sum() + (1 - Y).sum() * np.log(1 - A).sum()))


# fmt: off
_PAIRS_TEXT = "Y and A broadcast to (m, m), every a with every y; transpose neither, or sum only the diagonal"
_MISTAKES = (
    CostMistake("one term only", "-y log a without -(1-y) log(1-a)", lambda s: _first(s).sum(), _BINARY),
    CostMistake("one term only", "-(1-y) log(1-a) without -y log a", lambda s: _second(s).sum(), _BINARY),
    *(CostMistake("sign of one term", "y log a - (1-y) log(1-a); both terms have the same sign",
                  lambda s, sign=sign: sign * (_first(s) - _second(s)).sum(), _BINARY) for sign in (1, -1)),
    *(CostMistake("labels that broadcast", _PAIRS_TEXT, terms, _BINARY) for terms in (
        lambda s: -s.problem.targets.sum() * np.log(s.A).sum() + s.problem.m * _second(s).sum(),
        lambda s: s.problem.m * _first(s).sum() - (1 - s.problem.targets).sum() * np.log(1 - s.A).sum())),
    CostMistake("y and 1 - y swapped", "y log(1-a) + (1-y) log a; y belongs to a",
                lambda s: -(s.problem.targets * np.log(1 - s.A) + (1 - s.problem.targets) * np.log(s.A)).sum(),
                _BINARY),
    CostMistake("labels that broadcast", _PAIRS_TEXT, _pairs, _BINARY),
    CostMistake("labels that broadcast", _PAIRS_TEXT,
                lambda s: -(s.problem.targets @ np.log(s.A).T).sum()
                - ((1 - s.problem.targets) @ np.log(1 - s.A).T).sum(), _BINARY),
    CostMistake("labels that broadcast", "Y log Aᵀ is a product of every class with every class; take Y ⊙ log A",
                lambda s: -(s.problem.targets @ np.log(s.A).T).sum(), _CATEGORICAL),
    CostMistake("labels that broadcast", "Yᵀ log A is a product of every example with every example; take Y ⊙ log A",
                lambda s: -(s.problem.targets.T @ np.log(s.A)).sum(), _CATEGORICAL),
    CostMistake("binary cross-entropy in place of the categorical one",
                "-y log a - (1-y) log(1-a); for one-hot y only -y log a",
                lambda s: (_first(s) + _second(s)).sum(), _CATEGORICAL),
    CostMistake("log missing", "-Σ y a; the cost is -Σ y log a", lambda s: -(s.problem.targets * s.A).sum(),
                _ENTROPIES),
    CostMistake("z in place of log a", "-Σ y z; log a of a softmax is z - log Σ eᶻ",
                lambda s: -(s.problem.targets * s.Z).sum(), _CATEGORICAL),
    CostMistake("quadratic cost in place of the cross-entropy", "Σ (a - y)²; the objective is a cross-entropy",
                lambda s: ((s.A - s.problem.targets) ** 2).sum(), _ENTROPIES),
    CostMistake("absolute error in place of the cost", "Σ |a - y|; the objective has another cost",
                lambda s: np.abs(s.A - s.problem.targets).sum(), (*_ENTROPIES, "quadratic")),
    *(CostMistake("square missing", "Σ (a - y); the cost is 1/2 Σ (a - y)²",
                  lambda s, factor=factor: factor * (s.A - s.problem.targets).sum(), ("quadratic",))
      for factor in (1, -1, 1 / 2, -1 / 2)),
    CostMistake("labels that broadcast", "A - Y broadcasts to (m, m), every a with every y; give Y the shape of A",
                lambda s: ((s.A.reshape(-1, 1) - s.problem.targets.reshape(1, -1)) ** 2).sum() / 2
                if len(s.A) == 1 else math.nan, ("quadratic",)),
    CostMistake("cross-entropy in place of the quadratic cost", "-y log a - (1-y) log(1-a); the objective is quadratic",
                lambda s: (_first(s) + _second(s)).sum(), ("quadratic",)),
)
# fmt: on
_LOGARITHMS = {math.log(10): "log10 in place of ln", math.log(2): "log2 in place of ln"}


def explain_cost(trials: Sequence[Trial]) -> Explanation | None:
    """Return the mistake in the submitted J; None if it is unknown."""
    trials = [trial for trial in trials if trial.J is not None]
    if not trials:
        return None
    if any(not math.isfinite(trial.J[1]) for trial in trials if trial.J):
        return _explain_infinity(trials)
    pairs = [trial.J for trial in trials if trial.J]
    with np.errstate(all="ignore"):
        for explain in (_explain_factor, _explain_penalty, _explain_data_factor, _explain_terms, _explain_root):
            if (explanation := explain(trials, [(float(J), float(submitted)) for J, submitted in pairs])) is not None:
                return explanation
    differences = [abs(submitted - J) / (abs(J) or 1.0) for J, submitted in pairs]
    if max(differences) < 1e-5:
        digits = int(-math.log10(max(differences)))
        text = "a small number is added inside log, or the function computes in float32"
        return Explanation(f"right to {digits} digits", text)
    return None


def _explain_infinity(trials: Sequence[Trial]) -> Explanation:
    output = [trial.steps[-1] for trial in trials]
    has_rounded = any(((step.A == 0) | (step.A == 1)).any() for step in output)
    if any(trial.J is not None and math.isinf(trial.J[1]) for trial in trials):
        return Explanation("log 0", "an output has rounded to 0 or 1; compute J from Z: log(1 + e⁻ᶻ)")
    if has_rounded or any((step.problem.targets == 0).any() for step in output):
        text = "0 · log 0 is NaN: an output has rounded to 0 or 1, or a label is 0; compute J from Z, or sum only y > 0"
        return Explanation("0 · log 0", text)
    return Explanation("not finite", "J is NaN: is a logarithm taken of a negative number?")


Pairs = Sequence[tuple[float, float]]  # J, correct and submitted, of every batch


def _name_ratio(trials: Sequence[Trial], pairs: Pairs) -> str:
    """Return the name of submitted / correct; "" if it has none."""
    if any(not J or not math.isfinite(J) for J, _ in pairs):
        return ""
    ratios = [submitted / J for J, submitted in pairs]
    n_outputs = len(trials[0].steps[-1].A)
    # log10 a = ln a / ln 10, so that the ratio is 1 / ln 10
    for logarithm, name in _LOGARITHMS.items():
        if all(abs(abs(ratio) * logarithm - 1) < 1e-8 for ratio in ratios):
            return "wrong sign and " * (ratios[0] < 0) + name
    name = name_factor([(ratio, trial.m) for ratio, trial in zip(ratios, trials, strict=True)])
    name = name.replace("1/m missing", "sum in place of mean")
    # half of J is as likely a factor as a mean of two outputs
    if n_outputs > 2 and name.endswith(f"factor 1/{n_outputs}"):
        name = name.replace(f"factor 1/{n_outputs}", "mean over the outputs too")
    return name


_FACTOR_TEXTS = {
    "wrong sign": "the cost is -J; a cross-entropy begins with a minus",
    "sum in place of mean": "the sum over the examples without 1/m",
    "1/m twice": "the mean is divided by m again",
    "log10 in place of ln": "logarithm to the base 10; the cost has the natural one, np.log",
    "log2 in place of ln": "logarithm to the base 2; the cost has the natural one, np.log",
    "mean over the outputs too": "the mean of all entries; J adds up the outputs and divides by m",
    "factor 2": "1/2 is missing, or J is doubled",
}


def _explain_factor(trials: Sequence[Trial], pairs: Pairs) -> Explanation | None:
    name = _name_ratio(trials, pairs)
    if not name:
        return None
    text = "; ".join(_FACTOR_TEXTS.get(part, f"J has the {part}") for part in name.split(" and "))
    return Explanation(name, text)


def _data_costs(trials: Sequence[Trial], pairs: Pairs) -> tuple[list[float], list[float]]:
    """Return, per batch, the penalty and the correct cost without it."""
    penalties = []
    for trial in trials:
        problem = trial.steps[0].problem
        penalties.append(
            problem.decay / 2 * sum(float((step.W**2).sum()) for step in trial.steps) if problem.l2 else 0.0
        )
    return penalties, [J - penalty for (J, _), penalty in zip(pairs, penalties, strict=True)]


def _explain_penalty(trials: Sequence[Trial], pairs: Pairs) -> Explanation | None:
    """Return the cause if the cost of the data is correct and the remainder is a penalty of another size."""
    penalties, costs = _data_costs(trials, pairs)
    remainders = [submitted - cost for (_, submitted), cost in zip(pairs, costs, strict=True)]
    if any(penalties):
        if all(abs(remainder) <= 1e-9 * abs(J) for remainder, (J, _) in zip(remainders, pairs, strict=True)):
            return Explanation("penalty missing", "J has no penalty; add λ/(2m) Σ W²")
        name = name_factor(
            [(remainder / p, trial.m) for remainder, p, trial in zip(remainders, penalties, trials, strict=True)]
        )
        return Explanation(f"penalty with {name}", "the penalty is λ/(2m) Σ W²") if name else None
    squares = [sum(float((step.W**2).sum()) for step in trial.steps) for trial in trials]
    name = name_factor(
        [(remainder / square, trial.m) for remainder, square, trial in zip(remainders, squares, trials, strict=True)]
    )
    text = f"J contains {remainders[0] / squares[0]:.4g} Σ W²; the objective has no penalty: give Objective(l2=λ)"
    return Explanation("a penalty that the objective has not", text) if name else None


def _explain_data_factor(trials: Sequence[Trial], pairs: Pairs) -> Explanation | None:
    """Return the factor of the cost without its penalty, which is correct."""
    penalties, costs = _data_costs(trials, pairs)
    if not any(penalties):
        return None
    return _explain_factor(
        trials, [(cost, submitted - p) for cost, p, (_, submitted) in zip(costs, penalties, pairs, strict=True)]
    )


def _explain_terms(trials: Sequence[Trial], pairs: Pairs) -> Explanation | None:
    """Return the cause if J is a sum of other terms, up to a factor."""
    penalties, _ = _data_costs(trials, pairs)
    exact, scaled = [], []
    for mistake in _MISTAKES:
        if trials[0].steps[0].problem.cost not in mistake.costs:
            continue
        means = [float(mistake.terms(trial.steps[-1])) / trial.m for trial in trials]
        for with_penalty in (1.0, 0.0):  # the penalty may be missing as well
            predicted = [mean + p * with_penalty for mean, p in zip(means, penalties, strict=True)]
            candidates = [(value, submitted) for value, (_, submitted) in zip(predicted, pairs, strict=True)]
            if all(abs(value - submitted) <= 1e-9 * abs(submitted) for value, submitted in candidates):
                exact.append(Explanation(mistake.name, mistake.text))
            elif factor := _name_ratio(trials, candidates):
                # a sum over pairs is divided by m, m² or not at all: all that is one mistake
                name = mistake.name if mistake.name.startswith("labels") else f"{mistake.name} and {factor}"
                scaled.append(Explanation(name, mistake.text))
    explanations = exact or scaled
    return explanations[0] if len({explanation.name for explanation in explanations}) == 1 else None


def _explain_root(trials: Sequence[Trial], pairs: Pairs) -> Explanation | None:
    """Return the cause if J is the root of the mean square."""
    if any(submitted <= 0 or J <= 0 for J, submitted in pairs):
        return None
    # the root mean squared error: its square is the mean of (a - y)², twice the quadratic cost
    squares = [(J, submitted**2) for J, submitted in pairs]
    squared = all(math.isclose(J, square, rel_tol=1e-8) for J, square in squares) or _name_ratio(trials, squares)
    return (
        Explanation("root of the cost", "√J, as in the root mean squared error; J itself has no root")
        if squared
        else None
    )
