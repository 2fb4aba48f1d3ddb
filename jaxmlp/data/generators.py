"""Toy problems made from a formula and a seed, each in raw float64, the same to the last bit everywhere.

The recipes are those of the course and of scikit-learn. They draw from `np.random.RandomState(seed)`, whose stream is
frozen and equals that of `np.random.seed(seed)`, without touching the global generator. The test part is the same
recipe under another seed.
"""

import numpy as np

from jaxmlp.data.dataset import Dataset

_Points = tuple[np.ndarray, np.ndarray]


def planar() -> Dataset:
    """The course's flower: 400 points on r = 4 sin 4θ, red for the first half turn and blue for the second.

        θ = linspace(3.12 j, 3.12 (j + 1), 200) + 0.2 ε,   r = 4 sin 4θ + 0.2 ε',   x = (r sin θ, r cos θ),   j = 0, 1

    Seed 1 trains, seed 2 tests. Source: Deep Learning Specialization, course 1, week 3 (`load_planar_dataset`).

    >>> planar()
    Dataset planar: 400 training and 400 test rows, 2 features, binary, classes 0, 1
    """
    return _dataset("planar", _flower(1), _flower(2))


def _flower(seed: int, per_class: int = 200, petal: float = 4.0) -> _Points:
    generator = np.random.RandomState(seed)
    rows = []
    for j in (0, 1):
        angle = np.linspace(j * 3.12, (j + 1) * 3.12, per_class) + generator.randn(per_class) * 0.2
        radius = petal * np.sin(4 * angle) + generator.randn(per_class) * 0.2
        rows.append(np.c_[radius * np.sin(angle), radius * np.cos(angle)])
    return np.concatenate(rows), np.repeat([0, 1], per_class)


def xor() -> Dataset:
    """The truth table of exclusive or, which no network without a hidden layer can learn.

    Its four rows are the whole population, so the test part repeats them: there is nothing else to test on.

    >>> data = xor()
    >>> data.train.rows.tolist(), data.train.targets.tolist()
    ([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 1, 0])
    """
    table = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.array([0, 1, 1, 0])
    return _dataset("xor", table, table)


def moons() -> Dataset:
    """Two interleaved half circles, as scikit-learn's `make_moons(noise=0.2)`: 300 of seed 3, 100 of seed 4 to test.

    >>> moons()
    Dataset moons: 300 training and 100 test rows, 2 features, binary, classes 0, 1
    """
    return _dataset("moons", _half_moons(300, seed=3), _half_moons(100, seed=4))


def _half_moons(m: int, seed: int, noise: float = 0.2) -> _Points:
    angle = np.linspace(0, np.pi, m // 2)
    outer = np.c_[np.cos(angle), np.sin(angle)]
    inner = np.c_[1 - np.cos(angle), 1 - np.sin(angle) - 0.5]
    return _shuffled_and_noisy(outer, inner, noise, np.random.RandomState(seed))


def circles() -> Dataset:
    """A circle within a circle, as scikit-learn's `make_circles(noise=0.05)`: 300 of seed 1, 100 of seed 2 to test.

    Source: Deep Learning Specialization, course 2, week 1 (initialisation).

    >>> circles()
    Dataset circles: 300 training and 100 test rows, 2 features, binary, classes 0, 1
    """
    return _dataset("circles", _two_circles(300, seed=1), _two_circles(100, seed=2))


def _two_circles(m: int, seed: int, noise: float = 0.05, factor: float = 0.8) -> _Points:
    angle = np.linspace(0, 2 * np.pi, m // 2, endpoint=False)
    outer = np.c_[np.cos(angle), np.sin(angle)]
    inner = np.c_[np.cos(angle) * factor, np.sin(angle) * factor]
    return _shuffled_and_noisy(outer, inner, noise, np.random.RandomState(seed))


def _shuffled_and_noisy(
    outer: np.ndarray, inner: np.ndarray, noise: float, generator: np.random.RandomState
) -> _Points:
    """scikit-learn's order of draws, on which the bits depend: first the shuffle, then one normal per coordinate."""
    rows, targets = np.concatenate([outer, inner]), np.repeat([0, 1], [len(outer), len(inner)])
    order = np.arange(len(rows))
    generator.shuffle(order)
    return rows[order] + generator.normal(scale=noise, size=rows.shape), targets[order]


def spirals() -> Dataset:
    """Three spiral arms of 100 points each; seed 1 trains, seed 2 tests.

        r = linspace(0, 1, 100),   θ = linspace(4 j, 4 (j + 1), 100) + 0.2 ε,   x = (r sin θ, r cos θ),   j = 0, 1, 2

    The arms are those of CS231n's case study; the seeds are ours.

    >>> spirals()
    Dataset spirals: 300 training and 300 test rows, 2 features, multiclass, classes 0, 1, 2
    """
    return _dataset("spirals", _arms(1), _arms(2))


def _arms(seed: int, per_class: int = 100, classes: int = 3) -> _Points:
    generator = np.random.RandomState(seed)
    radius = np.linspace(0, 1, per_class)
    rows = []
    for j in range(classes):
        angle = np.linspace(4 * j, 4 * (j + 1), per_class) + generator.randn(per_class) * 0.2
        rows.append(np.c_[radius * np.sin(angle), radius * np.cos(angle)])
    return np.concatenate(rows), np.repeat(np.arange(classes), per_class)


def _dataset(name: str, train: _Points, test: _Points) -> Dataset:
    return Dataset.from_arrays(*train, test_rows=test[0], test_labels=test[1], name=name)
