"""How an incorrect gradient differs from the correct one, in words: the most telling difference first."""

import numpy as np


def describe_error(
    got: np.ndarray, expected: np.ndarray, entries: np.ndarray | None = None, accuracy: float = 1e-6
) -> str:
    """Return in words how `got` differs from `expected`.

    Args:
      got, expected: arrays of one shape.
      entries: for a sample the index of each number in its leaf, (n, dimensions); None for a whole leaf.
      accuracy: the relative error of `expected`, up to which two numbers are called equal.

    >>> describe_error(np.array([1.0, 4.0]), np.array([2.0, 8.0]))
    '0.5 times the correct gradient'
    >>> describe_error(np.array([1.0, 4.0]), np.array([1.0, 8.0]), np.array([[0, 3], [5, 2]]))
    'only entry [5, 2]: 4 instead of 8'
    """
    # from the plainest difference to the vaguest: the first that applies is what the user needs to read
    if not np.isfinite(got).all():
        return f"{np.count_nonzero(~np.isfinite(got))} of {got.size} entries are not finite"
    largest, size = np.abs(got).max(), np.abs(expected).max()
    if not got.any():
        return "zero everywhere: does bwd return None, or stop a gradient here?"
    if size <= accuracy * largest:
        return f"the derivative is 0 everywhere, got up to {largest:.6g}: if that is intended, give reference"
    if got.ndim == 2 and got.shape[0] == got.shape[1] and np.allclose(got.T, expected, rtol=accuracy):
        return "this is the transpose"
    errors = np.abs(got - expected)
    # the rounding of the other entries does not count: it is far below the largest error
    n_different = np.count_nonzero(errors > max(1e-6 * errors.max(), accuracy * size))
    place = np.unravel_index(errors.argmax(), errors.shape)
    # place is () for a single number
    if place and n_different == 1 and errors.size > 1:
        index = [int(i) for i in (place if entries is None else entries[place[0]])]
        return f"only entry {index}: {got[place]:.6g} instead of {expected[place]:.6g}"
    digits = -np.log10(errors.max() / size)
    if digits > 6:
        return f"correct to {digits:.0f} digits: does f approximate, or compute a part in a narrower dtype?"
    nonzero = np.abs(expected) > 10 * accuracy * size
    # not of the others: 1e-12 over 1e-12 is a quotient of two rounding errors
    ratios = got[nonzero] / expected[nonzero]
    # a small number has fewer correct digits than the largest
    spread = np.abs(ratios - ratios[0]) * np.abs(expected[nonzero]) if ratios.size else np.ones(1)
    if np.abs(got[~nonzero]).max(initial=0.0) <= 20 * accuracy * largest and spread.max() < 4 * accuracy * size:
        return f"{ratios[0]:.6g} times the correct gradient"
    if ratios.size and errors.size > 1:
        return f"{n_different} of {errors.size} entries differ: {got[place]:.6g} instead of {expected[place]:.6g}"
    return f"{got[place]:.6g} instead of {expected[place]:.6g}"
