"""Compute minimum, maximum, mean and standard deviation of the columns of a file in one pass, block by block.

Let two blocks have k₁ and k₂ rows, means μ₁ and μ₂, and sums of squared deviations S₁ and S₂. Both together have

    μ = μ₁ + (μ₂ - μ₁) k₂/(k₁ + k₂)        S = S₁ + S₂ + (μ₂ - μ₁)² k₁k₂/(k₁ + k₂)        σ = √(S/m)
"""

from typing import NamedTuple

import numpy as np

from jaxmlp.data.streaming.file_rows import FileRows
from jaxmlp.errors import InputError, sentence
from jaxmlp.tabular.deviation import TINY


class Moments(NamedTuple):
    """The minimum, maximum, mean and standard deviation of each column: arrays of shape (n,) in float64."""

    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray


def column_moments(rows: FileRows, block: int) -> Moments:
    """Return the moments of the rows of a file, which are read in blocks of `block` rows.

    Raises:
        InputError: if the squares of numbers exceed the range of float64; and the errors of `FileRows.reading`.
    """
    m, n = rows.shape
    low, high = np.full(n, np.inf), np.full(n, -np.inf)
    mean, squares = np.zeros(n), np.zeros(n)
    # all blocks are read into one array, so that the memory does not depend on the size of the file
    raw = np.empty((block, n), rows.dtype)
    try:
        with rows.reading() as read, np.errstate(over="raise", invalid="raise"):
            for done in range(0, m, block):
                k = min(block, m - done)
                read(done, done + k, raw[:k])
                low, high = np.minimum(low, raw[:k].min(axis=0)), np.maximum(high, raw[:k].max(axis=0))
                # Σx² - mμ² would lose all digits if the mean is far larger than the deviation; differences do not
                # float64, because a sum of many float32 numbers would lose digits
                shift = raw[:k].mean(axis=0, dtype=np.float64) - mean
                squares += k * raw[:k].var(axis=0, dtype=np.float64) + shift**2 * (done * k / (done + k))
                mean += shift * (k / (done + k))
    except FloatingPointError:
        got, remedy = f"a number as large as {max(abs(low).max(), abs(high).max()):.3g}", "rescale that column"
        raise InputError(sentence("preprocessing", "columns with a finite standard deviation", got, remedy)) from None
    deviation = np.sqrt(squares / m)
    if ((deviation < TINY) & (low < high)).any():  # the squares of tiny numbers are 0
        got = f"numbers below {np.maximum(abs(low), abs(high))[(deviation < TINY) & (low < high)].max():.3g}"
        expects, remedy = "columns whose variance is above 0 in float64", "rescale that column"
        raise InputError(sentence("preprocessing", expects, got, remedy))
    return Moments(low, high, mean, deviation)
