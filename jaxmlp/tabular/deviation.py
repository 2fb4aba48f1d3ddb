"""Compute the standard deviation of numbers whose squares are too small for float64.

σ = s √(Σ p (x/s - μ/s)²)        s = max |x|, p the weights, divided by their sum
"""

import numpy as np

TINY = 1e-150  # below this deviation the squares are 0 or have lost digits


def deviation_of(x: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Return the standard deviation of numbers (m,), with weights (m,) if given.

    >>> round(deviation_of(np.array([1e-200, 3e-200])) * 1e200, 6), np.std([1e-200, 3e-200]).item()
    (1.0, 0.0)
    """
    x = np.asarray(x, np.float64)
    size = float(np.abs(x).max(initial=0))
    if size == 0:
        return 0.0
    z = x / size
    mean = np.average(z, weights=weights)
    return float(np.sqrt(np.average((z - mean) ** 2, weights=weights))) * size
