"""The formulas of the metrics, in plain NumPy on checked arrays, with scikit-learn's definitions.

    accuracy            Σ w [y = t] / Σ w
    balanced_accuracy   the mean of the recalls of the classes
    f1                  2 Σ w t y / (Σ w t + Σ w y)
    auc                 P(score of a positive > score of a negative) + ½ P(equal)
    log_loss            -Σ w ln p_t / Σ w
    calibration_error   Σ_bins |Σ_bin w ([y = t] - p_y)| / Σ w
    r2                  1 - Σ w (t - y)² / Σ w (t - t̄)²
    mae, rmse           Σ w |t - y| / Σ w,   √(Σ w (t - y)² / Σ w)

Arrays have one row per example, m rows: targets t, predictions y (class ids, flags or values), probabilities p, and
weights w ≥ 0, not all 0, by which an example counts.
"""

import numpy as np

CALIBRATION_BINS = 10
"""The number of equal-width bins of the confidence in `calibration_error`."""


def accuracy(targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> float:
    """Return Σ w [y = t] / Σ w; for flags (m, k) a row is correct if all its labels are (subset accuracy).

    >>> accuracy(np.array([0, 1, 2]), np.array([0, 1, 1]), np.array([1.0, 1.0, 2.0]))
    0.5
    """
    is_correct = (targets == predictions).reshape(len(targets), -1).all(axis=1)
    return float(np.average(is_correct, weights=weights))


def balanced_accuracy(targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> float:
    """Return the mean, over the classes c that occur, of Σ_{t=c} w [y = c] / Σ_{t=c} w, for class ids (m,).

    >>> balanced_accuracy(np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0]), np.ones(4))
    0.5
    """
    counts = np.bincount(targets, weights)
    correct = np.bincount(targets, weights * (targets == predictions))
    return float((correct[counts > 0] / counts[counts > 0]).mean())


def f1(targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray) -> float:
    """Return 2 Σ w t y / (Σ w t + Σ w y) of flags (m,): the harmonic mean of precision and recall.

    It is 0 where no target and no prediction is 1, as with scikit-learn's zero_division=0.

    >>> round(f1(np.array([1, 1, 0]), np.array([1, 0, 0]), np.ones(3)), 3)      # precision 1, recall 1/2
    0.667
    """
    t, y = targets == 1, predictions == 1
    total = weights[t].sum() + weights[y].sum()
    return float(2 * weights[t & y].sum() / total) if total else 0.0  # 0/0 is 0, as in scikit-learn


def auc(targets: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> float | None:
    """Return P(s⁺ > s⁻) + ½ P(s⁺ = s⁻), the area under the ROC curve, of flags (m,) and scores (m,) of any scale.

    Each positive counts the negatives with a lower score, and half of those with the same score. None where the
    positives or the negatives have no weight.

    >>> auc(np.array([0, 1, 0, 1]), np.array([0.1, 0.4, 0.4, 0.8]), np.ones(4))     # pairs: 1, ½, 1, 1
    0.875
    """
    levels, level = np.unique(scores, return_inverse=True)  # each score once, and the place of every row's
    positive = np.bincount(level, weights * (targets == 1), len(levels))
    negative = np.bincount(level, weights * (targets != 1), len(levels))
    if not (positive.any() and negative.any()):
        return None
    # the weight of the negatives with a lower score, strictly: those of the same score count half
    below = np.cumsum(negative) - negative
    # by hand, scores 1, 2, 2 of a negative, a negative and a positive: below = (0, 1), (1 + 1/2)/2 = 3/4
    return float((positive / positive.sum() * (below + negative / 2) / negative.sum()).sum())


def log_loss(targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> float:
    """Return -Σ w ln p_t / Σ w of class ids (m,) and probabilities (m, C), clipped to [ε, 1 - ε].

    ε is the machine epsilon of the probabilities' own dtype: 1.2e-7 for float32.

    >>> round(log_loss(np.array([0, 1]), np.array([[0.5, 0.5], [1.0, 0.0]]), np.ones(2)), 3)      # (1 + 52)/2 ln 2
    18.368
    """
    eps = np.finfo(probabilities.dtype).eps  # of the given dtype, as in scikit-learn
    p = np.clip(probabilities[np.arange(len(targets)), targets], eps, 1 - eps)
    return float(np.average(-np.log(p.astype(np.float64)), weights=weights))


def calibration_error(
    targets: np.ndarray, predictions: np.ndarray, probabilities: np.ndarray, weights: np.ndarray
) -> float:
    """Return the expected calibration error (Guo et al. 2017): how far confidence is from accuracy.

    The confidence of a row is the probability p_y of its prediction. It is sorted into 10 bins, (0, 0.1], …, (0.9, 1].
    With weight W_b in bin b, and W in all, it is Σ_b W_b/W |accuracy_b - mean confidence_b|, which equals
    Σ_b |Σ_b w ([y = t] - p_y)| / W.

    Args:
      targets, predictions: class ids (m,).
      probabilities: (m, C).
      weights: (m,).

    >>> P = np.array([[0.2, 0.8], [0.2, 0.8]])                    # confidence 0.8, accuracy 1/2
    >>> round(calibration_error(np.array([1, 0]), np.array([1, 1]), P, np.ones(2)), 12)
    0.3
    """
    confidence = probabilities[np.arange(len(predictions)), predictions].astype(np.float64)
    # side "left": a confidence of exactly 0.1 belongs to the bin that ends there
    bins = np.searchsorted(np.arange(1, CALIBRATION_BINS) / CALIBRATION_BINS, confidence)
    gaps = np.bincount(bins, weights * ((targets == predictions) - confidence))
    return float(np.abs(gaps).sum() / weights.sum())


def r2(targets: np.ndarray, values: np.ndarray, weights: np.ndarray | None = None) -> float | None:
    """Return 1 - Σ w (t - y)² / Σ w (t - t̄)² with t̄ = Σ w t / Σ w, averaged over the columns of (m, k).

    A constant column has R² = 1 if it is predicted exactly, else 0. None for a single row, which has no variance.

    >>> r2(np.array([[1.0], [2.0], [3.0]]), np.array([[1.0], [2.0], [2.0]]))
    0.5
    """
    if len(targets) < 2:
        return None
    w = (np.ones(len(targets)) if weights is None else weights)[:, None]
    counted = w[:, 0] > 0  # a row of weight 0 must not decide on the unit either
    targets, values, w = targets[counted], values[counted], w[counted]
    deviations = targets - (w * targets).sum(axis=0) / w.sum()
    unit = _unit(deviations)  # R² has no unit, so any may be chosen
    residual = (w * ((targets - values) / unit) ** 2).sum(axis=0)  # (k,)
    variance = (w * (deviations / unit) ** 2).sum(axis=0)
    # constant columns are recognised by equality: the rounded mean of three times 0.1 is not 0.1, which would leave a
    # variance of 1e-34 and an R² of -1e33
    variance[(targets == targets[:1]).all(axis=0)] = 0
    # a constant column: nothing is to be explained, so R² is 1 if every value is met and 0 if not
    unexplained = np.where(variance > 0, residual / np.where(variance > 0, variance, 1), residual > 0)
    return float(1 - unexplained.mean())


def mae(targets: np.ndarray, values: np.ndarray, weights: np.ndarray) -> float:
    """Return Σ w |t - y| / Σ w, averaged over the columns of (m, k).

    >>> mae(np.array([[1.0], [2.0]]), np.array([[1.0], [4.0]]), np.ones(2))
    1.0
    """
    return float(np.average(np.abs(targets - values), axis=0, weights=weights).mean())


def rmse(targets: np.ndarray, values: np.ndarray, weights: np.ndarray) -> float:
    """Return √(Σ w (t - y)² / Σ w) of each column of (m, k), averaged over the columns.

    >>> rmse(np.array([[1.0], [2.0]]), np.array([[1.0], [4.0]]), np.array([3.0, 1.0]))        # √((3·0 + 1·4) / 4)
    1.0
    """
    gaps = (targets - values)[weights > 0]
    unit = _unit(gaps)
    return float((unit * np.sqrt(np.average((gaps / unit) ** 2, axis=0, weights=weights[weights > 0]))).mean())


def _unit(gaps: np.ndarray) -> np.ndarray:
    """Return a power of 2 for each column, in which the largest gap is about 1 and no square underflows or overflows.

    >>> _unit(np.array([[3e-200], [-5e-200]])).item() == 2.0**-662, _unit(np.zeros((2, 1))).tolist()
    (True, [1.0])
    """
    _, exponents = np.frexp(np.abs(gaps).max(axis=0))  # 0 for 0, inf and NaN
    return np.ldexp(1.0, np.minimum(exponents, 1023))  # (k,), finite; a division by it does not round
