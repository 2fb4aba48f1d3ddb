"""The published runs again: costs and accuracies that course notebooks printed, reproduced in float64.

    python examples/published.py [--cats FOLDER] [--fast]

Four runs of plain gradient descent on full batches, from NumPy-seeded parameters: logistic regression and a two-layer
network on the cat images, a two-layer network on the planar flower, He initialisation on the circles. The cat images
(train_catvnoncat.h5, test_catvnoncat.h5 of the course) are not part of this project: without `--cats` those two runs
are left out. `published.json` holds the numbers and the recipes.
"""

# %% what was published
import argparse
import itertools
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

import jaxmlp
from jaxmlp.nn.network import Params

jax.config.update("jax_enable_x64", True)
PUBLISHED = json.loads((Path(__file__).parent / "published.json").read_text(encoding="utf-8"))


# %% parameters as the notebooks drew them
def drawn(seed: int | None, sizes: tuple[int, ...], scale: Any) -> Params:
    """W = randn(n, n_prev) · scale(n_prev), layer after layer from one seed; zeros without a seed."""
    random = np.random.RandomState(seed)
    layers = []
    for n_prev, n in itertools.pairwise(sizes):
        W = np.zeros((n, n_prev)) if seed is None else random.randn(n, n_prev) * scale(n_prev)
        layers.append({"W": W, "b": np.zeros((n, 1))})
    return tuple(layers)


def small(n_prev: int) -> float:
    """The notebooks' factor for small weights."""
    return 0.01


# %% a run, recorded every so many iterations, each cost before its update
def descend(net, params, data, alpha: float, iterations: int, every: int) -> tuple[list[float], jaxmlp.Model]:
    """Costs at 0, every, 2·every, …; and the model after the last iteration."""
    costs = []

    def record(state, report):
        if (report.epoch - 1) % every == 0:
            costs.append(report.cost)

    result = jaxmlp.fit(
        net,
        data,
        optimizer=optax.sgd(alpha),
        epochs=iterations,
        batch_size="full",
        params=params,
        callbacks=[record],
    )
    return costs, jaxmlp.Model.of(net, result.params, data)


def report(name: str, costs, published, digits: int | None, model, data, accuracies: dict[str, float]) -> None:
    """Print and assert: every cost to all digits that were printed, every accuracy to a hundredth of a percent."""
    rows = list(zip(costs, published, strict=False))
    worst = max(abs(ours - theirs) for ours, theirs in rows)
    relative = max(abs(ours / theirs - 1) for ours, theirs in rows)
    bound = 0.5000001 * 10**-digits if digits else None
    print(f"{name:34} {len(rows):3} costs, worst difference {worst:.1e} (relative {relative:.1e})")
    assert worst <= bound if bound else relative <= 1e-12, name
    for part, theirs in accuracies.items():
        ours = 100 * model.evaluate(getattr(data, part))["accuracy"]
        print(f"{'':34} {part} accuracy {ours:.2f} %, published {theirs:.2f} %")
        assert abs(ours - theirs) < 0.01, (name, part)


# %% the planar flower: 2-4-1
def planar(fast: bool) -> None:
    """Eight rows of costs, and the accuracy for 1 to 5 hidden units."""
    run, data = PUBLISHED["planar_flower"], jaxmlp.load("planar")
    net = jaxmlp.Network((2, 4, 1), "tanh", "sigmoid")
    rows = 2 if fast else 8
    costs, model = descend(net, drawn(2, net.sizes, small), data, 1.2, 1000 * (rows - 1) + 1, 1000)
    report("planar flower, 2-4-1", costs, run["costs_first_8_rows"], 6, model, data, {})
    for units, theirs in run["accuracy_by_hidden_units_5000_iterations"].items():
        if not fast:
            net = jaxmlp.Network((2, int(units), 1), "tanh", "sigmoid")
            _, model = descend(net, drawn(2, net.sizes, small), data, 1.2, 5000, 5000)
            ours = 100 * model.evaluate(data.train)["accuracy"]
            print(f"{'':34} {units} hidden units: accuracy {ours:.2f} %, published {theirs:.2f} %")
            assert abs(ours - theirs) < 0.01


# %% He initialisation on the circles: 2-10-5-1
def circles(fast: bool) -> None:
    """Fifteen rows of costs and both accuracies."""
    run, data = PUBLISHED["he_initialisation_circles"], jaxmlp.load("circles")
    net = jaxmlp.Network((2, 10, 5, 1), "relu", "sigmoid")
    params = drawn(3, net.sizes, lambda n_prev: np.sqrt(2 / n_prev))
    costs, model = descend(net, params, data, 0.01, 1001 if fast else 15000, 1000)
    accuracies = {} if fast else {"train": run["train_accuracy"], "test": run["test_accuracy"]}
    report("circles, He, 2-10-5-1", costs, run["costs"], None, model, data, accuracies)


# %% the cats: logistic regression, and 12288-7-1
def cats(data: jaxmlp.Dataset, fast: bool) -> None:
    """Twenty rows of logistic regression and twenty-five of the two-layer network, with their accuracies."""
    run = PUBLISHED["logistic_regression_cat"]
    net = jaxmlp.Network((12288, 1), (), "sigmoid")
    costs, model = descend(net, drawn(None, net.sizes, small), data, 0.005, 101 if fast else 2000, 100)
    accuracies = {} if fast else {"train": run["train_accuracy"], "test": run["test_accuracy"]}
    report("cats, logistic regression", costs, run["costs"], 6, model, data, accuracies)
    run = PUBLISHED["two_layer_cat"]
    net = jaxmlp.Network((12288, 7, 1), "relu", "sigmoid")
    costs, model = descend(net, drawn(1, net.sizes, small), data, 0.0075, 101 if fast else 2500, 100)
    accuracies = {} if fast else {"train": run["train_accuracy"], "test": run["test_accuracy"]}
    report("cats, 12288-7-1", costs, run["costs"], None, model, data, accuracies)


# %% all of them
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cats", metavar="FOLDER", help="the folder of the course's cat images")
    parser.add_argument("--fast", action="store_true", help="the first rows only")
    arguments = parser.parse_args()
    images = None
    if arguments.cats:  # before the other runs, which take minutes
        try:
            images = jaxmlp.load(arguments.cats)
        except jaxmlp.errors.InputError as error:
            parser.error(str(error))
    planar(arguments.fast)
    circles(arguments.fast)
    if images is not None:
        cats(images, arguments.fast)
    else:
        print("the cat runs are left out: name the folder of the course's images with --cats")


if __name__ == "__main__":
    main()
