"""Costs and accuracies that course notebooks print, reproduced in float64 from NumPy-seeded parameters.

Every cost is taken before the update of its iteration. The data are built here, from the recipes.
"""

import json
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.typing import NDArray

import jaxmlp
from jaxmlp import Network

Params = Any
Floats = NDArray[np.float64]
Split = tuple[Floats, Floats]  # X, Y


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    """The printed numbers; the examples reproduce them too."""
    path = Path(__file__).parent.parent.parent / "examples" / "published.json"
    return json.loads(path.read_text(encoding="utf-8"))


# --- gradient descent -------------------------------------------------------------------------------------------------


@partial(jax.jit, static_argnames=("steps", "by"))
def descend(params, X, Y, net: Network, lr, steps: int, by: str = "backprop") -> tuple[Params, jax.Array]:
    """θ ← θ - α dθ: the last θ, and J before every step."""

    def step(params, _):
        if by == "backprop":
            J, gradient = jaxmlp.backprop(params, X, Y, net)
        else:
            J, gradient = jax.value_and_grad(jaxmlp.cost)(params, X, Y, net)
        return jax.tree.map(lambda p, d: p - lr * d, params, gradient), J

    return jax.lax.scan(step, params, length=steps)


def accuracy(params: Params, data: Split, net: Network) -> float:
    """Percent of examples on the right side of 1/2."""
    X, Y = data
    return 100 * float(((jaxmlp.forward(params, X, net) > 0.5) == (Y > 0.5)).mean())


def rows(costs: jax.Array, every: int) -> list[float]:
    """Every so many costs, starting with the first."""
    return costs[::every].tolist()


def seeded(sizes: tuple[int, ...], seed: int, scale) -> Params:
    """W = randn(n, n_prev) · scale(n_prev) layer after layer, b = 0."""
    np.random.seed(seed)  # the notebooks' generator
    return tuple(
        {"W": np.random.randn(n, n_prev) * scale(n_prev), "b": np.zeros((n, 1))} for n_prev, n in pairwise(sizes)
    )


# --- cats -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cats(data_folder) -> tuple[Split, Split]:
    """(X, Y) to train on, 209 images, and to test on, 50."""

    def split(path: Path, part: str) -> Split:
        with h5py.File(path) as file:
            images, labels = np.asarray(file[f"{part}_set_x"]), np.asarray(file[f"{part}_set_y"])
        return images.reshape(len(images), -1).T / 255, labels.reshape(1, -1).astype(float)

    folder = data_folder / "cat"
    return split(folder / "train_catvnoncat.h5", "train"), split(folder / "test_catvnoncat.h5", "test")


@pytest.mark.slow
def test_logistic_regression_on_cats(published, cats):
    golden = published["logistic_regression_cat"]
    train, test = cats
    net = Network(tuple(golden["network"]), "relu", "sigmoid")
    zeros = ({"W": np.zeros((1, 12288)), "b": np.zeros((1, 1))},)
    others = golden["other_learning_rates_1500_iterations"]
    lr = jnp.array([golden["lr"], *map(float, others)])

    # the four learning rates side by side for 1500 iterations; then the first one alone
    params, costs = jax.vmap(lambda lr: descend(zeros, *train, net, lr, 1500))(lr)
    first, more = descend(jax.tree.map(lambda leaf: leaf[0], params), *train, net, lr[0], golden["iterations"] - 1500)

    printed = rows(jnp.concatenate([costs[0], more]), golden["every"])
    assert [round(J, golden["digits"]) for J in printed] == golden["costs"]
    assert accuracy(first, train, net) == pytest.approx(golden["train_accuracy"])
    assert accuracy(first, test, net) == pytest.approx(golden["test_accuracy"])
    for i, expected in enumerate(others.values(), start=1):
        one = jax.tree.map(lambda leaf, i=i: leaf[i], params)
        assert [accuracy(one, train, net), accuracy(one, test, net)] == pytest.approx(expected)


@pytest.mark.slow
def test_two_layers_on_cats(published, cats):
    golden = published["two_layer_cat"]
    train, test = cats
    net = Network(tuple(golden["network"]), "relu", "sigmoid")

    params, costs = descend(seeded(net.sizes, 1, lambda n: 0.01), *train, net, golden["lr"], golden["iterations"])

    np.testing.assert_allclose(rows(costs, golden["every"]), golden["costs"], rtol=golden["relative_tolerance"], atol=0)
    assert accuracy(params, train, net) == pytest.approx(golden["train_accuracy"])
    assert accuracy(params, test, net) == pytest.approx(golden["test_accuracy"])


@pytest.mark.slow
@pytest.mark.parametrize("by", ["backprop", "grad"])
def test_five_layers_on_cats(cats, by):
    net = Network((12288, 20, 7, 5, 1), "relu", "sigmoid")
    params = seeded(net.sizes, 1, lambda n: 1 / np.sqrt(n))

    costs = descend(params, *cats[0], net, 0.0075, 101, by)[1]

    assert [round(J, 6) for J in rows(costs, 100)] == [0.771749, 0.672053]


# --- the planar flower ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def flower() -> Split:
    np.random.seed(1)
    N, points = 200, []
    for j in range(2):
        t = np.linspace(j * 3.12, (j + 1) * 3.12, N) + np.random.randn(N) * 0.2
        r = 4 * np.sin(4 * t) + np.random.randn(N) * 0.2
        points.append(np.c_[r * np.sin(t), r * np.cos(t)])
    return np.concatenate(points).T, np.repeat([0.0, 1.0], N)[None]


@pytest.mark.parametrize("by", ["backprop", "grad"])
def test_flower_with_four_hidden_units(published, flower, by):
    golden = published["planar_flower"]
    net = Network(tuple(golden["network"]), golden["hidden"], golden["output"])
    expected = golden["costs_first_8_rows"]
    steps = golden["every"] * (len(expected) - 1) + 1  # the rows after these depend on rounding

    costs = descend(seeded(net.sizes, 2, lambda n: 0.01), *flower, net, golden["lr"], steps, by)[1]

    assert [round(J, golden["digits"]) for J in rows(costs, golden["every"])] == expected


@pytest.mark.quick("4")
@pytest.mark.parametrize("units", range(1, 6))
def test_flower_accuracy_by_hidden_units(published, flower, units):
    golden = published["planar_flower"]
    net = Network((2, units, 1), golden["hidden"], golden["output"])

    params, _ = descend(seeded(net.sizes, 2, lambda n: 0.01), *flower, net, golden["lr"], 5000)

    expected = golden["accuracy_by_hidden_units_5000_iterations"][str(units)]
    assert accuracy(params, flower, net) == pytest.approx(expected)


def test_flower_is_beyond_logistic_regression(published, flower):
    net = Network((2, 1), "relu", "sigmoid")
    zeros = ({"W": np.zeros((1, 2)), "b": np.zeros((1, 1))},)

    params, _ = descend(zeros, *flower, net, 0.1, 5000)

    assert accuracy(params, flower, net) == pytest.approx(published["planar_flower"]["logistic_regression_accuracy"])


# --- circles ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_he_initialisation_on_circles(published):
    datasets = pytest.importorskip("sklearn.datasets")
    golden = published["he_initialisation_circles"]
    net = Network(tuple(golden["network"]), golden["hidden"], golden["output"])

    def circles(seed: int, n: int) -> Split:
        np.random.seed(seed)  # make_circles draws from the global generator
        X, y = datasets.make_circles(n_samples=n, noise=0.05)
        return X.T, y.reshape(1, -1).astype(float)

    train, test = circles(1, 300), circles(2, 100)
    params = seeded(net.sizes, 3, lambda n: np.sqrt(2 / n))
    params, costs = descend(params, *train, net, golden["lr"], golden["iterations"])

    np.testing.assert_allclose(rows(costs, golden["every"]), golden["costs"], rtol=1e-12, atol=0)
    assert accuracy(params, train, net) == pytest.approx(golden["train_accuracy"], abs=1e-4)
    assert accuracy(params, test, net) == pytest.approx(golden["test_accuracy"])
