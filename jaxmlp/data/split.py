"""Which rows are held back for the test.

Class c with m_c rows gives its share f·m_c, rounded down or up so that the whole is as near to f·m as that allows
(largest remainders), and always keeps one row for training. Regression and multi-label rows are drawn without regard to
their targets. Both parts keep the order of the source.

The stream of `np.random.RandomState` is frozen for good (NEP 19), which that of the newer generators is not: a split
named by its seed stays the same split under every NumPy.
"""

import numbers

import numpy as np

from jaxmlp.errors import InputError, InputTypeError, sentence

WHERE = "the split"


def split(m: int, fraction: float, seed: int = 0, ids: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The row numbers of the training and of the test part, each sorted; together every row once.

    Args:
        m: how many rows there are, at least 2.
        fraction: the share of the test part, between 0 and 1.
        seed: an integer from 0 to 2³² - 1.
        ids: (m,) class ids to keep in proportion; None draws from all rows alike.

    Raises:
        InputError: a fraction or seed out of range, or too few rows to hold any back.

    >>> train, test = split(10, 0.2, ids=np.array([0] * 5 + [1] * 5))
    >>> len(train), (test < 5).tolist()
    (8, [True, False])
    """
    check(m, fraction, seed)
    generator = np.random.RandomState(seed)
    groups = [np.arange(m)] if ids is None else [np.flatnonzero(ids == i) for i in np.unique(ids)]
    shares = _shares(np.array([len(group) for group in groups]), float(fraction))
    if not shares.any():
        remedy = "add rows, or set test_fraction to 0"
        raise InputError(sentence(WHERE, "a class with at least 2 rows", f"{len(groups)} classes of 1", remedy))
    test = np.sort(np.concatenate([generator.permutation(g)[:k] for g, k in zip(groups, shares, strict=True)]))
    return np.setdiff1d(np.arange(m), test, assume_unique=True), test


def folds(m: int, k: int, seed: int = 0, ids: np.ndarray | None = None) -> np.ndarray:
    """The fold of every row, (m,) numbers from 0 to k - 1, for cross-validation.

    Rows are shuffled within their class and dealt out like cards, one class after the other: folds differ by one row
    at most, and by about one of any class.

    Args:
        m: how many rows there are.
        k: how many folds, from 2 to m.
        seed: an integer from 0 to 2³² - 1.
        ids: (m,) class ids to keep in proportion; None draws from all rows alike.

    Raises:
        InputError: a number of folds or a seed out of range.

    >>> fold = folds(6, 3, ids=np.array([0, 0, 0, 1, 1, 1]))
    >>> sorted(fold[:3].tolist()), np.bincount(fold).tolist()
    ([0, 1, 2], [2, 2, 2])
    """
    if not isinstance(k, numbers.Integral) or isinstance(k, bool) or not 2 <= k <= m:
        raise InputError(sentence("folds", f"a whole number from 2 to {m}, the rows there are", k, "write 5, say"))
    _check_seed(seed)
    generator = np.random.RandomState(seed)
    groups = [np.arange(m)] if ids is None else [np.flatnonzero(ids == i) for i in np.unique(ids)]
    fold = np.empty(m, int)
    fold[np.concatenate([generator.permutation(group) for group in groups])] = np.arange(m) % k
    return fold


def _shares(counts: np.ndarray, fraction: float) -> np.ndarray:
    """How many rows each group gives: its quota rounded down, then one more for the largest remainders.

    Counts (5, 5, 1) at 0.3: quotas 1.5, 1.5, 0.3, floors 1, 1, 0, total round(3.3) = 3, so the first gives 2.
    """
    quotas = fraction * counts
    shares = np.minimum(np.floor(quotas).astype(int), counts - 1)
    total = max(1, round(fraction * counts.sum()))
    by_remainder = np.argsort(-(quotas - shares), kind="stable")
    with_room = [i for i in by_remainder if shares[i] < counts[i] - 1]
    shares[with_room[: max(0, total - shares.sum())]] += 1
    return shares


def check(m: int, fraction: float, seed: int) -> None:
    """Raise unless a share of m rows can be held back.

    Raises:
        InputError: a fraction or seed out of range, or fewer than two rows.
    """
    if not isinstance(fraction, numbers.Real) or not 0 < fraction < 1:
        raise InputError(sentence(WHERE, "a test_fraction between 0 and 1", repr(fraction), "0.2 is usual"))
    _check_seed(seed)
    if m < 2:
        raise InputError(sentence(WHERE, "at least 2 rows", m, "add rows, or set test_fraction to 0"))


def _check_seed(seed: int) -> None:
    if not isinstance(seed, numbers.Integral):
        raise InputTypeError(sentence(WHERE, "an integer seed", repr(seed), "take any from 0 to 2**32 - 1"))
    if not 0 <= seed < 2**32:
        raise InputError(sentence(WHERE, "a seed from 0 to 2**32 - 1", seed, "take a smaller non-negative integer"))
