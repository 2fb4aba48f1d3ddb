"""The formulas of the metrics, on arrays that have been checked: scikit-learn's definitions in plain NumPy.

    accuracy            Σ w [a = t] / Σ w
    balanced_accuracy   the mean over the classes of their recall
    f1                  2 Σ w t a / (Σ w t + Σ w a)
    auc                 P(score of a positive > score of a negative) + ½ P(equal)
    log_loss            -Σ w ln p_t / Σ w
    calibration_error   Σ_bins |Σ_bin w ([a = t] - p_a)| / Σ w
    r2                  1 - Σ w (t - y)² / Σ w (t - t̄)²
    mae, rmse           Σ w |t - y| / Σ w,   √(Σ w (t - y)² / Σ w)

m examples, rows first as files have them: targets t, answers a (class ids or flags), probabilities p, values y, and
weights w ≥ 0, not all 0, by which an example counts.
"""

import numpy as np

BINS = 10
"""Equal-width bins of the confidence in `calibration_error`."""


def accuracy(targets: np.ndarray, answers: np.ndarray, weights: np.ndarray) -> float:
    """Σ w [a = t] / Σ w; for flags (m, k) a row is right if all its labels are (subset accuracy).

    >>> accuracy(np.array([0, 1, 2]), np.array([0, 1, 1]), np.array([1.0, 1.0, 2.0]))
    0.5
    """
    right = (targets == answers).reshape(len(targets), -1).all(axis=1)
    return float(np.average(right, weights=weights))


def balanced_accuracy(targets: np.ndarray, answers: np.ndarray, weights: np.ndarray) -> float:
    """The mean over the classes that occur of Σ_{t=c} w [a = c] / Σ_{t=c} w, for class ids (m,).

    >>> balanced_accuracy(np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0]), np.ones(4))
    0.5
    """
    counts = np.bincount(targets, weights)
    right = np.bincount(targets, weights * (targets == answers))
    return float((right[counts > 0] / counts[counts > 0]).mean())


def f1(targets: np.ndarray, answers: np.ndarray, weights: np.ndarray) -> float:
    """2 Σ w t a / (Σ w t + Σ w a) of flags (m,): the harmonic mean of precision and recall.

    0 where there is neither a true nor an answered 1, as scikit-learn's zero_division has it.

    >>> round(f1(np.array([1, 1, 0]), np.array([1, 0, 0]), np.ones(3)), 3)      # precision 1, recall 1/2
    0.667
    """
    t, a = targets == 1, answers == 1
    total = weights[t].sum() + weights[a].sum()
    return float(2 * weights[t & a].sum() / total) if total else 0.0


def auc(targets: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> float | None:
    """P(s⁺ > s⁻) + ½ P(s⁺ = s⁻), the area under the ROC curve, of flags (m,) and scores (m,) of any scale.

    Every positive is set against the negatives below it, with half of those that are tied with it. None where either
    has no weight.

    >>> auc(np.array([0, 1, 0, 1]), np.array([0.1, 0.4, 0.4, 0.8]), np.ones(4))     # pairs: 1, ½, 1, 1
    0.875
    """
    levels, level = np.unique(scores, return_inverse=True)
    positive = np.bincount(level, weights * (targets == 1), len(levels))
    negative = np.bincount(level, weights * (targets != 1), len(levels))
    if not (positive.any() and negative.any()):
        return None
    below = np.cumsum(negative) - negative
    return float((positive / positive.sum() * (below + negative / 2) / negative.sum()).sum())


def log_loss(targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> float:
    """-Σ w ln p_t / Σ w of class ids (m,) and probabilities (m, C), these clipped to [ε, 1 - ε].

    ε is the machine epsilon of the probabilities' own dtype: 1.2e-7 for float32.

    >>> round(log_loss(np.array([0, 1]), np.array([[0.5, 0.5], [1.0, 0.0]]), np.ones(2)), 3)      # (1 + 52)/2 ln 2
    18.368
    """
    eps = np.finfo(probabilities.dtype).eps
    p = np.clip(probabilities[np.arange(len(targets)), targets], eps, 1 - eps)
    return float(np.average(-np.log(p.astype(np.float64)), weights=weights))


def calibration_error(
    targets: np.ndarray, answers: np.ndarray, probabilities: np.ndarray, weights: np.ndarray
) -> float:
    """The expected calibration error (Guo et al. 2017): how far confidence is from the share that is right.

    The confidence of a row is the probability p_a of its answer. With 10 bins of it, (0, 0.1], …, (0.9, 1], the weight
    W_b in bin b and W in all: Σ_b W_b/W |accuracy_b - mean confidence_b|, that is Σ_b |Σ_b w ([a = t] - p_a)| / W.

    Args:
      targets, answers: class ids (m,).
      probabilities: (m, C).
      weights: (m,).

    >>> sure = np.array([[0.2, 0.8], [0.2, 0.8]])                 # 80 % sure and right half the time
    >>> round(calibration_error(np.array([1, 0]), np.array([1, 1]), sure, np.ones(2)), 12)
    0.3
    """
    confidence = probabilities[np.arange(len(answers)), answers].astype(np.float64)
    bins = np.searchsorted(np.arange(1, BINS) / BINS, confidence)
    gaps = np.bincount(bins, weights * ((targets == answers) - confidence))
    return float(np.abs(gaps).sum() / weights.sum())


def r2(targets: np.ndarray, values: np.ndarray, weights: np.ndarray | None = None) -> float | None:
    """1 - Σ w (t - y)² / Σ w (t - t̄)² with t̄ = Σ w t / Σ w, averaged over the columns of (m, k).

    A constant column counts 1 if met, else 0. None for a single row, which has no spread to explain.

    >>> r2(np.array([[1.0], [2.0], [3.0]]), np.array([[1.0], [2.0], [2.0]]))
    0.5
    """
    if len(targets) < 2:
        return None
    w = (np.ones(len(targets)) if weights is None else weights)[:, None]
    residual = (w * (targets - values) ** 2).sum(axis=0)
    spread = (w * (targets - (w * targets).sum(axis=0) / w.sum()) ** 2).sum(axis=0)
    counted = targets[w[:, 0] > 0]
    # told by equality: the mean of three times 0.1 is not 0.1, and a spread of 1e-34 would make an R² of -1e33
    spread[(counted == counted[:1]).all(axis=0)] = 0
    shares = np.where(spread > 0, residual / np.where(spread > 0, spread, 1), residual > 0)
    return float(1 - shares.mean())


def mae(targets: np.ndarray, values: np.ndarray, weights: np.ndarray) -> float:
    """Σ w |t - y| / Σ w, averaged over the columns of (m, k).

    >>> mae(np.array([[1.0], [2.0]]), np.array([[1.0], [4.0]]), np.ones(2))
    1.0
    """
    return float(np.average(np.abs(targets - values), axis=0, weights=weights).mean())


def rmse(targets: np.ndarray, values: np.ndarray, weights: np.ndarray) -> float:
    """√(Σ w (t - y)² / Σ w) of each column of (m, k), averaged over the columns.

    >>> rmse(np.array([[1.0], [2.0]]), np.array([[1.0], [4.0]]), np.array([3.0, 1.0]))        # √((3·0 + 1·4) / 4)
    1.0
    """
    return float(np.sqrt(np.average((targets - values) ** 2, axis=0, weights=weights)).mean())
