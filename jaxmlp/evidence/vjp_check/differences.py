"""Derivatives by central differences, with a step and an error that are estimated from the values alone.

    D(h) = (φ(h) - φ(-h)) / 2h              the slope over ± h
    B(h) = |φ(h) - 2 φ(0) + φ(-h)| / h      by how much the two one-sided slopes differ

The steps fall from a tenth of the argument over several powers of ten. Richardson's extrapolation of neighbouring steps
cancels the errors h², h⁴ and h⁶; the estimate is the entry of the table that agrees best with its two parents, and that
disagreement, plus the rounding error η/h, is its error (Ridders 1982). The gradient under test takes no part in it.

For a smooth φ, B falls with h. At a kink it stays: then every number between the one-sided slopes is a derivative as
good as another, and no number outside of them is. Where φ is a staircase, as the answer of a bisection is, the steps
below the width of a stair are left out.
"""

from typing import NamedTuple

import numpy as np

N_STEPS = 8
ORDERS = 3  # of extrapolation: errors of h², h⁴, h⁶
SAFETY = 8.0  # times the estimated error
_LARGEST, _SMALLEST = 0.1, 1e-5  # steps for an argument of size 1


class Samples(NamedTuple):
    """n quantities at N_STEPS steps, the largest step first.

    Attributes:
      slopes: D, (steps, n).
      bends: B, (steps, n); for φ = ⟨u, f⟩ the sum of |u_i| times the bend of f_i.
      steps: h, (steps, n).
      is_constant: whether the values at h, 0 and -h are equal in every bit, (steps, n).
    """

    slopes: np.ndarray
    bends: np.ndarray
    steps: np.ndarray
    is_constant: np.ndarray


class Estimate(NamedTuple):
    """Derivatives, (n,), with their errors: infinite where the samples say nothing.

    `is_kink`: whether the one-sided slopes differ; then the error is half of their difference.
    """

    values: np.ndarray
    errors: np.ndarray
    is_kink: np.ndarray


def step_sizes(x: np.ndarray) -> np.ndarray:
    """Return the steps for each x, (N_STEPS, n): a tenth of it at most, or 1e-3 where x is near 0, and far below 1.

    >>> step_sizes(np.array([1.0]))[[0, -1], 0].round(8).tolist()
    [0.1, 1e-05]
    """
    size = np.abs(np.asarray(x, np.float64))
    # at least 1e-3: for x = 0 a tenth of x is no step
    largest = np.maximum(_LARGEST * size, 1e-3)
    # a large angle turns within a fraction of 1, and a small number may be the argument of a logarithm
    scale = np.clip(np.where(size == 0, 1.0, size), 1e-12, 1.0)
    smallest = np.minimum(1e-4 * largest, _SMALLEST * scale)
    return largest * (smallest / largest) ** (np.arange(N_STEPS)[:, None] / (N_STEPS - 1))


def estimate(samples: Samples, rounding: float | np.ndarray) -> Estimate:
    """Return the derivatives; `rounding` is the absolute error η of a value of φ.

    >>> h = step_sizes(np.ones(2))
    >>> D = np.stack([np.sin(h[:, 0]) / h[:, 0], np.zeros(N_STEPS)], 1)    # sin at 0, and |t| at 0
    >>> B = np.stack([0 * h[:, 0], np.full(N_STEPS, 2.0)], 1)
    >>> result = estimate(Samples(D, B, h, np.zeros(h.shape, bool)), 1e-16)
    >>> result.values.round(9).tolist(), result.is_kink.tolist(), round(float(result.errors[1]), 2)
    ([1.0, 0.0], [False, True], 1.01)
    """
    with np.errstate(all="ignore"):  # steps that leave the domain of f give NaN, which no comparison accepts
        noise = rounding / samples.steps
        slopes = np.where(_is_stair(samples) | ~np.isfinite(samples.slopes), np.nan, samples.slopes)
        values, errors = _extrapolate(slopes, samples.steps, noise)
        # D has 2 values over 2h, an error of η/h; B has 4 (φ(0) twice) over h, an error of 4 η/h
        kink_values, gaps, is_kink = _find_kinks(samples, 4 * noise)
    return Estimate(
        np.where(is_kink, kink_values, values), np.where(is_kink, gaps, errors), is_kink & np.isfinite(kink_values)
    )


def _extrapolate(slopes: np.ndarray, steps: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each quantity the most certain entry of Richardson's table, and its error."""
    n = slopes.shape[1]
    values, errors = np.zeros(n), np.full(n, np.inf)
    ratios = steps[:-1] / steps[1:]
    table = slopes
    for order in range(ORDERS + 1):
        if order == 0:
            new, error = slopes[1:], np.abs(slopes[1:] - slopes[:-1])
        else:
            # in column k the steps are h_i and h_{i+k}; they fall geometrically, so (h_i / h_{i+k})² = ratio^(2k)
            new = table[1:] + (table[1:] - table[:-1]) / (ratios[order - 1 :] ** (2 * order) - 1)
            error = np.maximum(np.abs(new - table[1:]), np.abs(new - table[:-1]))
            table = new
        # an entry is as noisy as the smallest step that it is made of
        for value, uncertainty in zip(new, error + 2 * noise[-len(new) :], strict=True):
            better = uncertainty < errors  # False for NaN
            values, errors = np.where(better, value, values), np.where(better, uncertainty, errors)
    return values, errors


def _find_kinks(samples: Samples, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the slope at the smallest step that rounding leaves readable, half of its bend, and whether it is a kink.

    A step is readable where the rounding error of its bend is well below the largest bend.
    """
    bends = np.where(np.isfinite(samples.bends), samples.bends, 0.0)
    largest = bends.max(axis=0)
    readable = np.isfinite(samples.bends) & (8 * noise <= 0.25 * largest)
    last = np.where(readable, np.arange(N_STEPS)[:, None], 0).max(axis=0)
    columns = np.arange(bends.shape[1])
    before = np.maximum(last - 1, 0)
    here, there = bends[last, columns], bends[before, columns]
    # from one step to the next B falls like h where φ is smooth and stays at a kink: the root of the ratio lies between
    shrink = np.sqrt(samples.steps[before, columns] / samples.steps[last, columns])
    is_kink = (last > 0) & (here > 8 * noise[last, columns]) & (here > there / shrink)
    # 1 % above the half: a rule may return an end of the interval, as 0 or 1 for relu at 0
    return samples.slopes[last, columns], 0.505 * here, is_kink


def _is_stair(samples: Samples) -> np.ndarray:
    """Return the steps that are narrower than a stair: φ is constant there, and has a steady slope over larger ones."""
    slopes = np.where(samples.is_constant | ~np.isfinite(samples.slopes), np.nan, samples.slopes)
    size = np.abs(slopes)
    steady = np.abs(slopes[1:] - slopes[:-1]) <= 0.1 * np.minimum(size[1:], size[:-1])
    steady &= size[1:] > 0
    has_slope = (steady[1:] & steady[:-1]).any(axis=0)  # three steps in a row
    return samples.is_constant & has_slope
