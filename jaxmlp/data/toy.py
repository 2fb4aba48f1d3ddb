"""Data sets that the package knows by name: handwritten digits from a file, and toy problems from a formula and a seed.

The formulas are those of the course and of scikit-learn, in float64, and give the same bits on every machine. They draw
from `np.random.RandomState(seed)`, whose numbers never change and are those after `np.random.seed(seed)`, and leave the
global generator as it is. The test part comes from the same formula with another seed.
"""

import importlib.resources
from collections.abc import Callable

import numpy as np

from jaxmlp.data.dataset import Dataset
from jaxmlp.data.readers.hdf5 import read_hdf5

_Points = tuple[np.ndarray, np.ndarray]


def digits() -> Dataset:
    """Return handwritten digits: 1,797 images of 8x8 pixels in ten classes, of which 20 % are the test part.

    Intensities 0..16 of the original are stored as round(v · 255 / 16). Source: the test set of
    E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998, doi
    10.24432/C50P49, CC BY 4.0.

    >>> data = digits()
    >>> len(data.train.rows), len(data.test.rows), data.image_shape, data.classes[:3]
    (1438, 359, (8, 8), ('0', '1', '2'))
    """
    # a path that exists even if the package is imported from a zip file
    with importlib.resources.as_file(importlib.resources.files("jaxmlp.data") / "digits.h5") as path:
        arrays = read_hdf5(path, is_ours=True)
    return Dataset.from_arrays(arrays.rows, arrays.labels, test=arrays.test, classes=arrays.classes, name="digits")


def planar() -> Dataset:
    """Return the flower of the course: 400 points on r = 4 sin 4θ, red for the first half turn and blue for the second.

        θ = linspace(3.12 j, 3.12 (j + 1), 200) + 0.2 ε,   r = 4 sin 4θ + 0.2 ε',   x = (r sin θ, r cos θ),   j = 0, 1

    Seed 1 trains, seed 2 tests. Source: Deep Learning Specialization, course 1, week 3 (`load_planar_dataset`).

    >>> planar()
    Dataset planar: binary
      rows: 400 training, 400 test
      features: 2
      classes: 2 (0, 1)
    """
    return _toy_dataset("planar", _flower(1), _flower(2))


def _flower(seed: int, per_class: int = 200, petal: float = 4.0) -> _Points:
    generator = np.random.RandomState(seed)
    rows = []
    for j in (0, 1):
        # 3.12 and not π, as in the code of the course
        angle = np.linspace(j * 3.12, (j + 1) * 3.12, per_class) + generator.randn(per_class) * 0.2
        radius = petal * np.sin(4 * angle) + generator.randn(per_class) * 0.2
        rows.append(np.c_[radius * np.sin(angle), radius * np.cos(angle)])
    return np.concatenate(rows), np.repeat([0, 1], per_class)


def xor() -> Dataset:
    """Return the truth table of exclusive or, which no network without a hidden layer can learn.

    These four rows are all that exist, so the test part repeats them.

    >>> data = xor()
    >>> data.train.rows.tolist(), data.train.targets.tolist()
    ([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 1, 0])
    """
    table = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.array([0, 1, 1, 0])
    return _toy_dataset("xor", table, table)


def moons() -> Dataset:
    """Return two interleaved half circles, as `make_moons(noise=0.2)` of scikit-learn does.

    300 points of seed 3 train, 100 points of seed 4 test.

    >>> moons()
    Dataset moons: binary
      rows: 300 training, 100 test
      features: 2
      classes: 2 (0, 1)
    """
    return _toy_dataset("moons", _half_moons(300, seed=3), _half_moons(100, seed=4))


def _half_moons(m: int, seed: int, noise: float = 0.2) -> _Points:
    angle = np.linspace(0, np.pi, m // 2)
    outer = np.c_[np.cos(angle), np.sin(angle)]
    inner = np.c_[1 - np.cos(angle), 1 - np.sin(angle) - 0.5]
    return _shuffled_and_noisy(outer, inner, noise, np.random.RandomState(seed))


def circles() -> Dataset:
    """Return a circle within a circle, as `make_circles(noise=0.05)` of scikit-learn does.

    300 points of seed 1 train, 100 points of seed 2 test.
    Source: Deep Learning Specialization, course 2, week 1 (initialisation).

    >>> circles()
    Dataset circles: binary
      rows: 300 training, 100 test
      features: 2
      classes: 2 (0, 1)
    """
    return _toy_dataset("circles", _two_circles(300, seed=1), _two_circles(100, seed=2))


def _two_circles(m: int, seed: int, noise: float = 0.05, factor: float = 0.8) -> _Points:
    # the endpoint would be the first point once more
    angle = np.linspace(0, 2 * np.pi, m // 2, endpoint=False)
    outer = np.c_[np.cos(angle), np.sin(angle)]
    inner = np.c_[np.cos(angle) * factor, np.sin(angle) * factor]
    return _shuffled_and_noisy(outer, inner, noise, np.random.RandomState(seed))


def _shuffled_and_noisy(
    outer: np.ndarray, inner: np.ndarray, noise: float, generator: np.random.RandomState
) -> _Points:
    # the bits depend on the order of draws, which is that of scikit-learn: the shuffle, then one normal per coordinate
    rows, targets = np.concatenate([outer, inner]), np.repeat([0, 1], [len(outer), len(inner)])
    order = np.arange(len(rows))
    generator.shuffle(order)
    return rows[order] + generator.normal(scale=noise, size=rows.shape), targets[order]


def spirals() -> Dataset:
    """Return three spiral arms of 100 points each; seed 1 trains, seed 2 tests.

        r = linspace(0, 1, 100),   θ = linspace(4 j, 4 (j + 1), 100) + 0.2 ε,   x = (r sin θ, r cos θ),   j = 0, 1, 2

    The formula is that of the case study in CS231n; the seeds are chosen here.

    >>> spirals()
    Dataset spirals: multiclass
      rows: 300 training, 300 test
      features: 2
      classes: 3 (0, 1, 2)
    """
    return _toy_dataset("spirals", _arms(1), _arms(2))


def _arms(seed: int, per_class: int = 100, classes: int = 3) -> _Points:
    generator = np.random.RandomState(seed)
    radius = np.linspace(0, 1, per_class)
    rows = []
    for j in range(classes):
        angle = np.linspace(4 * j, 4 * (j + 1), per_class) + generator.randn(per_class) * 0.2
        rows.append(np.c_[radius * np.sin(angle), radius * np.cos(angle)])
    return np.concatenate(rows), np.repeat(np.arange(classes), per_class)


def _toy_dataset(name: str, train: _Points, test: _Points) -> Dataset:
    return Dataset.from_arrays(*train, test=test, name=name)


TOY_DATASETS: dict[str, Callable[[], Dataset]] = {
    "digits": digits,
    "planar": planar,
    "xor": xor,
    "moons": moons,
    "circles": circles,
    "spirals": spirals,
}
