"""The networks that `verify` checks: activations, costs and textbook networks, each with parameters and a batch.

All widths of a network differ from each other and from the number of examples, because a missing transpose cannot hide
where no matrix is square. No bias is 0 and no γ is 1, because a term that is 0 hides its own absence.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral
from typing import NamedTuple

import jax
import numpy as np
from jax.typing import ArrayLike
from numpy import ndarray as Array

from jaxmlp.errors import InputError, sentence
from jaxmlp.evidence.formulas import Layers, weight_scale
from jaxmlp.nn import activations, costs
from jaxmlp.nn.activations import Activation
from jaxmlp.nn.costs import Cost
from jaxmlp.nn.names import resolve
from jaxmlp.nn.network import Network
from jaxmlp.nn.objective import Objective, check_batch

ParamsLike = Sequence[Mapping[str, ArrayLike]]  # parameters in NumPy or in JAX

# every activation of the registry, and numbers for those that take one
ACTIVATIONS = (*activations.ACTIVATIONS, "leaky_relu(0)", "leaky_relu(0.2)", "elu(0.5)", "maxout(3)")

# every cost of the registry; the numbers are not symmetric, because quantile(0.5) would hide a τ in place of 1 - τ
_NUMBERED_COSTS = {"huber": "huber(0.5)", "quantile": "quantile(0.9)"}
COSTS = tuple(_NUMBERED_COSTS.get(name, name) for name in costs.COSTS)
# A cost of the residual is defined for every output and uses the same pullback for all. The quadratic cost is checked
# with all of them; the others with these two, one elementwise and one that couples its rows, because all of them would
# double the time of `verify_all`.
RESIDUAL_OUTPUTS = ("identity", "softmax")

# the textbook's networks: name, network, objective, whether examples are weighted
STANDARD: tuple[tuple[str, Network, Objective, bool], ...] = (
    ("logistic regression 3-1", Network((3, 1), "relu", "sigmoid"), Objective(), True),
    ("softmax regression 3-4", Network((3, 4), "relu", "softmax"), Objective(l2=0.7), False),
    ("linear regression 3-2", Network((3, 2), "relu", "identity"), Objective(), False),
    ("relu 4-6-5-3-1", Network((4, 6, 5, 3, 1), "relu", "sigmoid"), Objective(), False),
    ("tanh 3-5-2-4", Network((3, 5, 2, 4), "tanh", "softmax"), Objective(l2=0.7), True),
    ("sigmoid 4-3-2 quadratic", Network((4, 3, 2), "sigmoid", "sigmoid"), Objective("quadratic"), False),
    ("softmax 3-5-4 quadratic", Network((3, 5, 4), "softmax", "softmax"), Objective("quadratic"), True),
    ("maxout 3-5-2-4", Network((3, 5, 2, 4), ("maxout(3)", "gelu"), "softmax"), Objective(), False),
    (
        "softplus 3-6-5-2",
        Network((3, 6, 5, 2), ("leaky_relu", "silu"), "softplus"),
        Objective(l2=0.7, examples=20),
        True,
    ),
    ("batch norm 3-6-5-2", Network((3, 6, 5, 2), ("relu", "tanh"), "identity", norm="batch"), Objective(), True),
    ("layer norm 3-6-5-2", Network((3, 6, 5, 2), ("tanh", "maxout(2)"), "softmax", norm="layer"), Objective(), False),
    ("dropout 4-6-5-2", Network((4, 6, 5, 2), "relu", "sigmoid"), Objective(dropout=0.5, input_dropout=0.2), True),
    (
        "noisy 3-6-5-4",
        Network((3, 6, 5, 4), "tanh", "softmax", norm="batch"),
        Objective(l1=0.4, dropout=0.3, label_smoothing=0.1, input_noise=0.1, mixup=0.4),
        False,
    ),
    ("Poisson regression 3-2", Network((3, 2), "relu", "exp"), Objective(), True),
    ("tanh 3-5-2 Huber", Network((3, 5, 2), "tanh", "identity"), Objective("huber(0.5)"), False),
)
# a network of `verify_all` takes the last two to four of these, so that layers are first, middle and last ones
WIDTHS = (3, 5, 2, 4)


class Case(NamedTuple):
    """A network, its objective (with the cost as a record) and a batch, in NumPy and float64."""

    name: str
    net: Network
    objective: Objective
    params: Layers
    X: Array
    Y: Array
    weights: Array | None = None
    seed: int = 0  # of the noise, where the objective has any

    @property
    def cost(self) -> Cost:
        """The record of the cost."""
        return costs.find(self.objective.cost, self.net.activations[-1])

    def label(self, l: int) -> str:
        """Return the label of layer l: its activation, after the name of the case if it has one."""
        return f"{self.name}: {self.net.activations[l - 1].name}" if self.name else self.net.activations[l - 1].name

    def describe(self) -> str:
        """Return the case in words.

        >>> net = Network((2, 3, 1), "tanh", "sigmoid")
        >>> Case("", net, Objective(), (), np.zeros((2, 7)), np.zeros((1, 7))).describe()
        '2-3-1, hidden tanh, output sigmoid, cost binary_cross_entropy, 7 examples'
        """
        names = [g.name for g in self.net.activations]
        hidden = f"hidden {', '.join(dict.fromkeys(names[:-1]))}, " if names[1:] else ""
        sizes = "-".join(map(str, self.net.sizes))
        return f"{sizes}, {hidden}output {names[-1]}, cost {self.cost.name}, {self.X.shape[1]} examples"


def make_case(
    name: str,
    net: Network,
    objective: Objective | None,
    rng: np.random.Generator,
    params: ParamsLike | None = None,
    X: ArrayLike | None = None,
    Y: ArrayLike | None = None,
    weights: ArrayLike | None = None,
) -> Case:
    """Return a case with random values for whatever is None; `weights=True` takes random weights, None none."""
    cost = costs.find(objective.cost if isinstance(objective, Objective) else None, net.activations[-1])
    if X is None:
        refuse({"Y": Y, "weights": None if isinstance(weights, bool) else weights}, "X as well", "pass X=...")
    example = random_example(net, cost, rng, _count_examples(net) if X is None else np.shape(X)[-1])
    if isinstance(weights, bool):
        weights = example.weights if weights else None
    source = example.params if params is None else params
    # first to float64, then the checks: the checked batch takes the dtype of the parameters
    params64 = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), source)
    X, Y = example.X if X is None else X, example.Y if Y is None else Y
    batch, objective = check_batch(params64, X, Y, net, objective, weights)
    arrays = jax.tree.map(np.asarray, batch)
    return Case(name, net, objective, tuple(params64), arrays.X, arrays.Y, arrays.weights)


def refuse(arguments: Mapping[str, object], expects: str, remedy: str) -> None:
    """Raise InputError for the first argument that is not None, because what it expects is missing."""
    for name, value in arguments.items():
        if value is not None:
            raise InputError(sentence(name, expects, "none", remedy))


def _count_examples(net: Network) -> int:
    """Return a number of examples that no width of the network has."""
    widths = {*net.sizes, *(row.W[0] for row in net.shapes)}
    # of square arrays NumPy would accept the transpose, and the error would not show in a shape
    return next(m for m in itertools.count(7) if m not in widths)


# --- for verify_all ---------------------------------------------------------------------------------------------------


def every_head() -> list[tuple[Cost, Activation]]:
    """Return every cost with its outputs: those it is defined for; for the costs of the residual see above."""
    records = [activations.find(name) for name in ACTIVATIONS]
    heads = []
    for name in COSTS:
        cost: Cost = resolve("cost", name, costs.COSTS)
        outputs = cost.outputs or (() if name == "quadratic" else RESIDUAL_OUTPUTS)
        heads += [(cost, g) for g in records if not outputs or g.name in outputs]
    return heads


def every_case(heads: list[tuple[Cost, Activation]], rng: np.random.Generator) -> Iterator[Case]:
    """Yield every hidden activation with every head at every depth, penalties and weights by turns."""
    turn = itertools.count()
    for name, (cost, output), depth in itertools.product(ACTIVATIONS, heads, range(1, len(WIDTHS))):
        if depth == 1 and name != ACTIVATIONS[0]:
            continue  # without hidden layer there is no hidden activation
        i = next(turn)
        net = Network(WIDTHS[-1 - depth :], name, output)  # of depth 2: 5-2-4
        sizes = "-".join(map(str, net.sizes))
        hidden = f"hidden {activations.find(name).name}" if depth > 1 else "no hidden layer"
        label = f"{hidden}, {sizes}, output {output.name}, {cost.name}"
        # periods of 2 and 3, so that all four combinations of penalty and weights occur
        yield make_case(label, net, Objective(cost, 0.7 if i % 2 else None), rng, weights=i % 3 == 0)


# --- random examples --------------------------------------------------------------------------------------------------


def make_generator(seed: int) -> np.random.Generator:
    """Return NumPy's generator for a seed that is a whole number ≥ 0."""
    if isinstance(seed, bool) or not isinstance(seed, Integral) or seed < 0:
        raise InputError(sentence("seed", "a whole number ≥ 0", repr(seed), "take 0"))
    return np.random.default_rng(int(seed))


class RandomExample(NamedTuple):
    """Parameters and a batch, in NumPy and float64."""

    params: Layers
    X: Array
    Y: Array
    weights: Array


def random_example(net: Network, cost: Cost, rng: np.random.Generator, m: int) -> RandomExample:
    """Return random parameters and m random examples for a network."""

    def leaf(g: Activation, name: str, shape: tuple[int, int], n_in: int) -> Array:
        # s near 1/2: with s = 1 the term (1 - s) Z is 0, and its absence would not be noticed
        scale_and_centre = {
            "W": (weight_scale(g, n_in), 0.0),
            "b": (0.3, 0.0),
            "gamma": (0.3, 1.0),
            "s": (0.3, 0.5),
            "R": (0.3, 1.0),
        }
        scale, centre = scale_and_centre[name]
        return centre + scale * rng.normal(size=shape)

    params = tuple(
        {name: leaf(g, name, shape, row.n_in) for name, shape in row.leaves.items()}
        for g, row in zip(net.activations, net.shapes, strict=True)
    )
    X = rng.normal(size=(net.sizes[0], m))
    return RandomExample(params, X, random_targets(net.sizes[-1], cost, rng, m), rng.uniform(0.5, 2.0, size=(1, m)))


def random_targets(n: int, cost: Cost, rng: np.random.Generator, m: int) -> Array:
    """Return targets (n, m) of the type that a cost takes: one-hot columns, zeros and ones, counts, or values."""
    if cost.name == "categorical_cross_entropy":
        return np.eye(n)[:, rng.integers(0, n, size=m)]  # the columns of the identity are one-hot
    if cost.name == "binary_cross_entropy":
        return rng.integers(0, 2, size=(n, m)).astype(float)
    if cost.name == "poisson":
        return rng.poisson(2, size=(n, m)).astype(float)
    return rng.normal(size=(n, m))
