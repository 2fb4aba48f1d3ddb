"""Errors that are a number times something: a factor, a multiple of W, an update of W before its use.

    submitted leaves = t · correct                   t the same in every entry
    submitted dW     = t · data gradient + c W       the penalty has another λ, or there should be none
    dA = (W - α dW)ᵀ dZ                              W is updated before it is used

The number is fitted on every batch by least squares and must leave no remainder. It gets a name only if it is the same
on all batches, or the same function of their m: the batches differ in m to tell a factor 7 from a factor m.
"""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy import ndarray as Array

from jaxmlp.evidence.formulas import Layers
from jaxmlp.evidence.numpy_check.match_mistake import Leaf, Trial
from jaxmlp.evidence.numpy_check.numpy_backprop import CORRECT, LayerStep, run_backward

_SAME = 1e-7  # relative difference of two fitted numbers that are called equal


class Explanation(NamedTuple):
    """A cause that has a number in it: its name, and what was written and what is correct."""

    name: str
    text: str


# --- the name of a factor ---------------------------------------------------------------------------------------------

_FUNCTIONS_OF_M: tuple[tuple[str, Callable[[int], float]], ...] = (
    ("", lambda m: 1.0),
    ("1/m missing", lambda m: float(m)),
    ("1/m twice", lambda m: 1 / m),
    ("division by m - 1", lambda m: m / (m - 1) if m > 1 else math.inf),
    ("division by m + 1", lambda m: m / (m + 1)),
)


def simple_number(value: float) -> str:
    """Return a fraction of small numbers, 1/n, or a number of two digits, as a text; "" for any other number.

    >>> simple_number(2.0), simple_number(-1 / 3), simple_number(-1 / 255), simple_number(0.003), simple_number(1.0008)
    ('2', '-1/3', '-1/255', '0.003', '')
    """
    if not math.isfinite(value) or value == 0:
        return ""
    fraction = Fraction(value).limit_denominator(12)
    if fraction and abs(fraction) <= 1000 and abs(float(fraction) - value) <= _SAME * abs(value):
        return str(fraction)
    short = float(f"{value:.2g}")
    if abs(short - value) <= _SAME * abs(value):
        return f"{short:g}"
    reciprocal = round(1 / value)
    is_reciprocal = 0 < abs(reciprocal) <= 1000 and abs(reciprocal * value - 1) <= _SAME
    return f"{'-' * (value < 0)}1/{abs(reciprocal)}" if is_reciprocal else ""


def name_factor(factors: Sequence[tuple[float, int]]) -> str:
    """Return the name of a factor, fitted on batches of m examples; "" if it has none.

    >>> name_factor([(2.0, 7), (2.0, 3)]), name_factor([(7.0, 7), (3.0, 3)]), name_factor([(-7.0, 7), (-3.0, 3)])
    ('factor 2', '1/m missing', 'wrong sign and 1/m missing')
    >>> name_factor([(7 / 4, 7), (3 / 4, 3)]), name_factor([(7 / 6, 7), (3 / 2, 3)]), name_factor([(2.0, 7), (3.0, 3)])
    ('1/4 in place of 1/m', 'division by m - 1', '')
    """
    is_one_m = len({m for _, m in factors}) == 1
    # with one m only, 7 is m rather than a factor 7
    functions = _FUNCTIONS_OF_M if not is_one_m else (*_FUNCTIONS_OF_M[1:], _FUNCTIONS_OF_M[0])
    for name, function in functions:
        constants = [t / function(m) for t, m in factors]
        constant = constants[0]
        if constant == 0 or any(abs(c - constant) > _SAME * abs(constant) for c in constants):
            continue
        if is_one_m and name and abs(abs(constant) - 1) > _SAME:
            continue
        number = simple_number(abs(constant))
        if not number:
            continue
        # t = m/10: the program divides by 10 where J divides by m
        if name == "1/m missing" and number.startswith("1/"):
            name, number = f"{number} in place of 1/m", "1"
        parts = ["wrong sign"] * (constant < 0) + [name] * bool(name) + [f"factor {number}"] * (number != "1")
        return " and ".join(parts)
    return ""


def factor_text(name: str, leaves: str) -> str:
    """Return what was written and what is correct for a named factor of these leaves.

    >>> factor_text("factor 2", "dW2")
    'dW2 is 2 times the correct one in every entry, on every batch'
    """
    texts = {
        "wrong sign": f"{leaves} points up the slope of J; correct is the opposite sign",
        "1/m missing": f"{leaves} is m times the correct one: there is no 1/m; J is a mean over m examples",
        "1/m twice": f"{leaves} is 1/m of the correct one: 1/m is applied twice",
        "division by m - 1": f"{leaves} is divided by m - 1; J divides by m",
        "division by m + 1": f"{leaves} is divided by m + 1; J divides by m",
    }
    parts = []
    for part in name.split(" and "):
        number = part.removeprefix("factor ").partition(" in place")[0]
        fixed_m = f"{leaves} is divided by a fixed {number[2:]}; J divides by m, the number of columns of X"
        times = f"{leaves} is {number} times the correct one in every entry, on every batch"
        parts.append(texts.get(part, times if part.startswith("factor") else fixed_m))
    return "; ".join(parts)


# --- submitted = t · data gradient + c W ------------------------------------------------------------------------------


def _flatten(layers: Sequence[dict[str, Array]], leaves: Sequence[Leaf]) -> Array:
    return np.concatenate([np.ravel(layers[l - 1][name]) for l, name in leaves])


def _fit(columns: Sequence[Array], target: Array, bound: float) -> Array | None:
    """Return the numbers t with target = Σ t column; None if there is a remainder, or no more entries than numbers."""
    if not np.isfinite(target).all():
        return None
    matrix = np.stack(columns, axis=1)
    # two numbers fit any two entries: without a third one there is no remainder that could refuse them
    if len(target) <= len(columns) and len(columns) > 1:
        return None
    solution, _, rank, _ = np.linalg.lstsq(matrix, target, rcond=None)
    # where dW is a multiple of W, t and c cannot be told apart
    if rank < len(columns):
        return None
    remainder = np.abs(matrix @ solution - target).max()
    return solution if remainder <= 10 * bound * np.abs(target).max() else None


def _has_shapes(trial: Trial, leaves: Sequence[Leaf]) -> bool:
    return all(trial.submitted[l - 1][name].shape == trial.correct[l - 1][name].shape for l, name in leaves)


def match_factor(trials: Sequence[Trial], leaves: Sequence[Leaf], called: str) -> Explanation | None:
    """Return the factor of these leaves; with a penalty its own factor too. `called` is their name in the text."""
    # a gradient of 0 agrees with every factor
    trials = [trial for trial in trials if _flatten(trial.correct, leaves).any()]
    if not trials or not all(_has_shapes(trial, leaves) for trial in trials):
        return None
    factors = []
    for trial in trials:
        solution = _fit([_flatten(trial.correct, leaves)], _flatten(trial.submitted, leaves), trial.bound)
        if solution is None:
            return _match_penalty(trials, leaves)
        factors.append((float(solution[0]), trial.m))
    name = name_factor(factors)
    return Explanation(name, factor_text(name, called)) if name else None


def _data_gradient(trial: Trial) -> Layers:
    """Return the correct gradient without the term of the penalty."""
    decay = trial.steps[0].problem.decay if trial.steps[0].problem.l2 else 0.0
    return tuple(
        {"W": layer["W"] - decay * step.W, "b": layer["b"]}
        for layer, step in zip(trial.correct, trial.steps, strict=True)
    )


def _match_penalty(trials: Sequence[Trial], leaves: Sequence[Leaf]) -> Explanation | None:
    """Return the cause if dW_l = t · data gradient + c W_l, and db_l = t · data gradient, + c b_l perhaps."""
    if not any(name == "W" for _, name in leaves):
        return None
    for of_parameter, symbol in ((lambda P: P, "W"), (np.sign, "sign(W)")):
        for has_biases in (False, True):
            fits = [_fit_penalty(trial, leaves, of_parameter, has_biases) for trial in trials]
            if all(fit is not None for fit in fits):
                numbers = [(t, c, trial) for (t, c), trial in zip(fits, trials, strict=True)]  # pyright: ignore[reportGeneralTypeIssues]
                return _name_penalty(numbers, symbol, has_biases)
    return None


def _fit_penalty(
    trial: Trial, leaves: Sequence[Leaf], of_parameter: Callable[[Array], Array], has_biases: bool
) -> tuple[float, float] | None:
    """Return t and c on one batch."""
    data = _flatten(_data_gradient(trial), leaves)
    biases = 1.0 if has_biases else 0.0
    layers = [{"W": of_parameter(step.W), "b": biases * of_parameter(step.b)} for step in trial.steps]
    parameters, target = _flatten(layers, leaves), _flatten(trial.submitted, leaves)
    alone = _fit([parameters], target - data, trial.bound)  # t = 1 first: a penalty is the only error
    if alone is not None:
        return 1.0, float(alone[0])
    both = _fit([data, parameters], target, trial.bound)
    return None if both is None else (float(both[0]), float(both[1]))


def _name_penalty(numbers: Sequence[tuple[float, float, Trial]], symbol: str, has_biases: bool) -> Explanation | None:
    biases = ", and db the same of b" if has_biases else ""
    factor = name_factor([(t, trial.m) for t, _, trial in numbers])
    # α is the same on all batches, but least squares gives it with rounding errors
    rates = {round(t, 9) for t, _, _ in numbers}
    # W - α dW has c = 1 and t = -α
    if symbol == "W" and all(abs(c - 1) < _SAME for _, c, _ in numbers) and len(rates) == 1 and numbers[0][0] < 0:
        text = f"dW is W - {-numbers[0][0]:.6g} dW, the parameters after a step; return the gradient"
        return Explanation("updated parameters in place of the gradient", text)
    if not factor and any(abs(t - 1) > _SAME for t, _, _ in numbers):
        return None
    # c is compared with the penalty of the objective; without one any c is too much
    decays = [trial.steps[0].problem.decay for _, _, trial in numbers]
    l2 = numbers[0][2].steps[0].problem.l2
    if l2 and symbol == "W":
        ratio = name_factor([(c / decay, trial.m) for (_, c, trial), decay in zip(numbers, decays, strict=True)])
        if not ratio and not has_biases:
            return None
        ratio = ratio or "another factor"
        name, text = (
            f"penalty with {ratio}",
            f"dW contains {numbers[0][1]:.6g} W{biases}; correct is λ/m W = {decays[0]:.6g} W",
        )
    else:
        name = "a penalty that the objective has not"
        correct = "λ/m W" if l2 else "no such term: give Objective(l2=λ), or leave it out"
        text = f"dW contains {numbers[0][1]:.6g} {symbol}{biases}; correct is {correct}"
    if factor:
        return Explanation(f"{factor} and {name}", f"{factor_text(factor, 'the gradient of the data')}; {text}")
    return Explanation(name, text)


# --- W updated before it is used --------------------------------------------------------------------------------------


def match_early_update(trials: Sequence[Trial], layer: int) -> Explanation | None:
    """Return the cause if dA_{l} = (W - α dW)ᵀ dZ, with one α for all layers above `layer` or only the next."""
    if layer == len(trials[0].steps) or not all(_has_shapes(trial, _leaves_from(trial, 1)) for trial in trials):
        return None
    for layers in (None, layer + 1):
        rates = [_fit_rate(trial, layer, layers) for trial in trials]
        # dW may be the sum over the examples: then α m is what is fitted
        for scale in (lambda m: 1.0, float):
            values = [
                math.nan if rate is None else rate / scale(trial.m) for rate, trial in zip(rates, trials, strict=True)
            ]
            # NaN marks a batch that fits no α; max and min may ignore NaN
            if all(abs(value - values[0]) <= 1e-5 * abs(values[0]) for value in values):
                text = f"dA = Wᵀ dZ uses a W that was updated with α = {values[0]:.4g}; update after the backward pass"
                return Explanation("W updated before it is used", text)
    return None


def _leaves_from(trial: Trial, layer: int) -> list[Leaf]:
    return [(l, name) for l in range(layer, len(trial.steps) + 1) for name in ("b", "W")]


def _fit_rate(trial: Trial, layer: int, only: int | None) -> float | None:
    """Return α on one batch; None if no α gives all leaves from `layer` up."""

    def predicted(rate: float) -> Layers:
        def step_down(step: LayerStep, dZ: Array) -> Array:
            dW = CORRECT.weight_gradient(step, dZ) + CORRECT.penalty_gradient(step)[0]
            return (step.W - rate * dW).T @ dZ

        early = CORRECT._replace(input_gradient=step_down)
        return run_backward(lambda s: early if only in (None, s.l) else CORRECT, trial.steps)

    # the leaves of the first incorrect layer are affine in α: the layers above it are correct
    leaves: list[Leaf] = [(layer, "b"), (layer, "W")]
    start, submitted = _flatten(predicted(0.0), leaves), _flatten(trial.submitted, leaves)
    solution = _fit([_flatten(predicted(1.0), leaves) - start], submitted - start, 1e4 * trial.bound)
    if solution is None or abs(solution[0]) < 1e-9:
        return None
    gradient = predicted(float(solution[0]))
    agrees = all(trial.matches((l, name), gradient[l - 1][name]) for l, name in _leaves_from(trial, 1))
    return float(solution[0]) if agrees else None
