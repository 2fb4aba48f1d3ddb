"""Which rows are held out for a test or validation part.

Class c with m_c rows gives its quota f·m_c, rounded down or up so that the total is as near to f·m as possible (the
method of largest remainders), and always keeps one row for training. Regression and multi-label rows are drawn without
regard to their targets. Both parts keep the order of the source.

NumPy guarantees the numbers of `np.random.RandomState` for ever (NEP 19), but not those of its newer generators: a
split named by its seed is the same split under every version.
"""

import numbers

import numpy as np

from jaxmlp.errors import InputError, InputTypeError, sentence

SPLIT = "the split"
DEFAULT_TEST_FRACTION = 0.2


def split(m: int, fraction: float, seed: int = 0, ids: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the row numbers that stay and those that are held out, each sorted; together every row once.

    Args:
        m: how many rows there are, at least 2.
        fraction: of the rows to hold out, between 0 and 1.
        seed: an integer from 0 to 2³² - 1.
        ids: (m,) class ids to keep in proportion; None draws from all rows equally.

    Raises:
        InputError: a fraction or seed out of range, or too few rows.

    >>> train, test = split(10, 0.2, ids=np.array([0] * 5 + [1] * 5))
    >>> len(train), (test < 5).tolist()
    (8, [True, False])
    """
    check_split(m, fraction, seed)
    generator = np.random.RandomState(seed)
    groups = _rows_by_class(m, ids)
    counts = _count_held_out(np.array([len(group) for group in groups]), float(fraction))
    if not counts.any():
        remedy = "add rows, or set test_fraction to 0"
        raise InputError(sentence(SPLIT, "a class with at least 2 rows", f"{len(groups)} classes of 1", remedy))
    # sorted, so that each part keeps the order of the source and is read from memory in one direction
    held_out = np.sort(np.concatenate([generator.permutation(g)[:k] for g, k in zip(groups, counts, strict=True)]))
    return np.setdiff1d(np.arange(m), held_out, assume_unique=True), held_out


def _rows_by_class(m: int, ids: np.ndarray | None) -> list[np.ndarray]:
    return [np.arange(m)] if ids is None else [np.flatnonzero(ids == i) for i in np.unique(ids)]


def assign_folds(m: int, k: int, seed: int = 0, ids: np.ndarray | None = None) -> np.ndarray:
    """Return the fold of every row for cross-validation, (m,) numbers from 0 to k - 1.

    Rows are shuffled within their class, and one class after the other is assigned to the folds in turn: the sizes of
    folds differ by at most one row, and by about one row of any class.

    Args:
        m: how many rows there are.
        k: how many folds, from 2 to m.
        seed: an integer from 0 to 2³² - 1.
        ids: (m,) class ids to keep in proportion; None draws from all rows equally.

    Raises:
        InputError: a number of folds or a seed out of range.

    >>> fold = assign_folds(6, 3, ids=np.array([0, 0, 0, 1, 1, 1]))
    >>> sorted(fold[:3].tolist()), np.bincount(fold).tolist()
    ([0, 1, 2], [2, 2, 2])
    """
    if not isinstance(k, numbers.Integral) or isinstance(k, bool) or not 2 <= k <= m:
        raise InputError(sentence("folds", f"a whole number from 2 to {m}, the rows there are", k, "write 5, say"))
    _check_split_seed(seed)
    generator = np.random.RandomState(seed)
    groups = _rows_by_class(m, ids)
    fold = np.empty(m, int)
    fold[np.concatenate([generator.permutation(group) for group in groups])] = np.arange(m) % k
    return fold


def _count_held_out(sizes: np.ndarray, fraction: float) -> np.ndarray:
    """Return how many rows each group gives: its quota rounded down, then one more for the largest remainders.

    Sizes (5, 5, 1) at 0.3: quotas 1.5, 1.5, 0.3, floors 1, 1, 0, total round(3.3) = 3, so the first gives 2.
    """
    # one row of each class stays for training, or its label would be unknown there
    quotas = fraction * sizes  # f·m_c
    counts = np.minimum(np.floor(quotas).astype(int), sizes - 1)
    # at least one row: 0.2 of two rows rounds to none, and the user asked for a part
    total = max(1, round(fraction * sizes.sum()))
    # stable: equal remainders go to the first class, under every version of NumPy
    by_remainder = np.argsort(-(quotas - counts), kind="stable")
    can_give = [i for i in by_remainder if counts[i] < sizes[i] - 1]
    counts[can_give[: max(0, total - counts.sum())]] += 1
    return counts


def check_split(m: int, fraction: float, seed: int) -> None:
    """Raise unless a fraction of m rows can be held out.

    Raises:
        InputError: a fraction or seed out of range, or fewer than two rows.
    """
    if not isinstance(fraction, numbers.Real) or not 0 < fraction < 1:
        raise InputError(sentence(SPLIT, "a test_fraction between 0 and 1", repr(fraction), "0.2 is usual"))
    _check_split_seed(seed)
    if m < 2:
        raise InputError(sentence(SPLIT, "at least 2 rows", m, "add rows, or set test_fraction to 0"))


def check_no_split(where: str, has_test: bool, test_fraction: float | None, seed: int | None) -> None:
    """Raise for a split of rows that already come with a test part."""
    if has_test and (test_fraction or seed is not None):
        got = f"test_fraction {test_fraction}" if test_fraction else f"seed {seed}"
        expects = "neither test_fraction nor seed, because it has a test part"
        raise InputError(sentence(where, expects, got, "leave it out"))


def _check_split_seed(seed: int) -> None:
    if not isinstance(seed, numbers.Integral):
        raise InputTypeError(sentence(SPLIT, "an integer seed", repr(seed), "take any from 0 to 2**32 - 1"))
    if not 0 <= seed < 2**32:
        raise InputError(sentence(SPLIT, "a seed from 0 to 2**32 - 1", seed, "take a smaller non-negative integer"))
