"""Nothing lost, nothing repeated, every class in proportion."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from jaxmlp.data.split import split
from jaxmlp.errors import InputError, InputTypeError

fractions = st.floats(0.01, 0.99)
seeds = st.integers(0, 2**32 - 1)


@given(st.lists(st.integers(0, 5), min_size=12, max_size=80), fractions, seeds)
def test_classes_keep_their_proportions(ids, fraction, seed):
    ids = np.array(ids)  # 12 rows in 6 classes: one class has two
    train, test = split(len(ids), fraction, seed, ids)
    np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(len(ids)))
    assert (np.diff(train) > 0).all()
    assert (np.diff(test) > 0).all()
    for i in np.unique(ids):
        count, held_back = (ids == i).sum(), (ids[test] == i).sum()
        assert count - held_back >= 1
        assert abs(held_back - fraction * count) <= 1


@given(st.integers(2, 200), fractions, seeds)
def test_without_classes_the_count_is_exact(m, fraction, seed):
    train, test = split(m, fraction, seed)
    np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(m))
    assert len(test) == min(max(1, round(fraction * m)), m - 1)


def test_largest_remainders_by_hand():
    # quotas 1.5, 1.5, 0.3; floors 1, 1, 0; round(3.3) = 3 leaves one, for the first of the larger remainders
    ids = np.array([0] * 5 + [1] * 5 + [2])
    _, test = split(11, 0.3, 0, ids)
    assert np.bincount(ids[test], minlength=3).tolist() == [2, 1, 0]


def test_the_seed_is_the_split():
    ids = np.arange(100) % 3
    _, once = split(100, 0.2, 7, ids)
    _, again = split(100, 0.2, 7, ids)
    _, other = split(100, 0.2, 8, ids)
    np.testing.assert_array_equal(once, again)
    assert not np.array_equal(once, other)
    assert split(10, 0.3, 0)[1].tolist() == np.sort(np.random.RandomState(0).permutation(10)[:3]).tolist() == [2, 4, 8]


def test_what_it_refuses(refused):
    with refused(InputError, "the split expects a test_fraction between 0 and 1, got 1.0: 0.2 is usual"):
        split(10, 1.0)
    with refused(InputError, "the split expects a test_fraction between 0 and 1, got '0.2': 0.2 is usual"):
        split(10, "0.2")  # pyright: ignore[reportArgumentType]
    with refused(
        InputError, "the split expects a seed from 0 to 2**32 - 1, got -1: take a smaller non-negative integer"
    ):
        split(10, 0.2, -1)
    with refused(InputTypeError, "the split expects an integer seed, got 0.5: take any from 0 to 2**32 - 1"):
        split(10, 0.2, 0.5)  # pyright: ignore[reportArgumentType]
    with refused(InputError, "the split expects at least 2 rows, got 1: add rows, or set test_fraction to 0"):
        split(1, 0.2)
    with refused(
        InputError,
        "the split expects a class with at least 2 rows, got 3 classes of 1: add rows, or set test_fraction to 0",
    ):
        split(3, 0.5, 0, np.arange(3))
