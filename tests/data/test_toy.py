"""The toy problems, to the last bit."""

import numpy as np
import pytest

from jaxmlp.data import load, toy


@pytest.fixture
def global_seed():
    """Set NumPy's global generator as the recipes do, and put it back afterwards."""
    state = np.random.get_state()
    yield np.random.seed
    np.random.set_state(state)


def flower():
    """The course's code, word for word but for the seed."""
    m, n, a = 400, 200, 4
    X, Y = np.zeros((m, 2)), np.zeros((m, 1), dtype="uint8")
    for j in range(2):
        ix = range(n * j, n * (j + 1))
        t = np.linspace(j * 3.12, (j + 1) * 3.12, n) + np.random.randn(n) * 0.2
        r = a * np.sin(4 * t) + np.random.randn(n) * 0.2
        X[ix] = np.c_[r * np.sin(t), r * np.cos(t)]
        Y[ix] = j
    return X, Y[:, 0]


def test_planar_is_the_published_flower(global_seed):
    data = load("planar")
    assert data.test is not None
    for seed, part in ((1, data.train), (2, data.test)):
        global_seed(seed)
        X, Y = flower()
        np.testing.assert_array_equal(part.rows, X)
        np.testing.assert_array_equal(part.targets, Y)
    assert data.train.rows.dtype == np.float64
    assert (data.task, data.classes, data.n_outputs, data.n_features) == ("binary", (0, 1), 1, 2)


@pytest.mark.parametrize(("name", "seed", "part", "m"), [("moons", 3, "train", 300), ("moons", 4, "test", 100)])
def test_moons_are_those_of_scikit_learn(name, seed, part, m):
    datasets = pytest.importorskip("sklearn.datasets")
    X, y = datasets.make_moons(n_samples=m, noise=0.2, random_state=seed)
    np.testing.assert_array_equal(getattr(load(name), part).rows, X)
    np.testing.assert_array_equal(getattr(load(name), part).targets, y)


@pytest.mark.parametrize(("seed", "part", "m"), [(1, "train", 300), (2, "test", 100)])
def test_circles_are_those_of_scikit_learn(global_seed, seed, part, m):
    datasets = pytest.importorskip("sklearn.datasets")
    global_seed(seed)
    X, y = datasets.make_circles(n_samples=m, noise=0.05)
    np.testing.assert_array_equal(getattr(load("circles"), part).rows, X)
    np.testing.assert_array_equal(getattr(load("circles"), part).targets, y)


def test_the_global_generator_is_left_alone(global_seed):
    global_seed(7)
    expected = np.random.randn()
    global_seed(7)
    for name in ("planar", "xor", "moons", "circles", "spirals"):
        load(name)
    assert np.random.randn() == expected


def test_xor_is_its_truth_table_twice():
    data = toy.xor()
    for part in (data.train, data.test):
        assert part is not None
        assert part.targets.tolist() == [int(a) ^ int(b) for a, b in part.rows]
    assert len(data.train.rows) == 4


def test_spirals_wind_outwards_in_three_arms():
    data = load("spirals")
    assert data.test is not None
    radius = np.hypot(*data.train.rows.T).reshape(3, 100)
    np.testing.assert_allclose(radius, np.tile(np.linspace(0, 1, 100), (3, 1)), atol=1e-15)
    assert data.train.targets.tolist() == [0] * 100 + [1] * 100 + [2] * 100
    assert (data.task, data.classes, data.n_outputs) == ("multiclass", (0, 1, 2), 3)
    assert not np.array_equal(data.train.rows, data.test.rows)
    generator = np.random.RandomState(1)
    angle = np.linspace(0, 4, 100) + generator.randn(100) * 0.2
    np.testing.assert_array_equal(data.train.rows[:100, 0], np.linspace(0, 1, 100) * np.sin(angle))
