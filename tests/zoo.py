"""The zoo: every activation, cost, output, initializer and a handful of networks.

Tests that cut across the package run over these lists. Activations and costs are read off the registries, so a new one
is tested as soon as `oracle.py` knows its formula; `test_zoo.py` fails until then.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

import jaxmlp
from jaxmlp import Activation, Network
from jaxmlp.data import Dataset
from jaxmlp.nn import activations, costs
from jaxmlp.nn.names import resolve


def deep(n: int = 10, activation: str = "tanh", norm: str | None = None) -> Network:
    """A network of n equal hidden layers: enough of them to be stacked."""
    return Network((5, *[6] * n, 3), activation, "softmax", norm)


def three_classes(n_train: int) -> Dataset:
    """40 rows of 3 features, of which the last are the validation part."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(40, 3))
    labels = np.argmax(rows + 0.3 * rng.normal(size=(40, 3)), axis=1)
    return Dataset.from_arrays(rows[:n_train], labels[:n_train], validation=(rows[n_train:], labels[n_train:]))


SINE = jaxmlp.activation("sine", jnp.sin, lambda Z, A, dA: dA * jnp.cos(Z))
SOFTSIGN = jaxmlp.activation("softsign", lambda Z: Z / (1 + jnp.abs(Z)))  # no pullback: JAX's own

# every activation of the registry, and of those with a number several
_NUMBERED = {
    "leaky_relu": ("leaky_relu", "leaky_relu(0)", "leaky_relu(0.2)"),
    "elu": ("elu", "elu(0.5)"),
    "maxout": ("maxout(2)", "maxout(3)"),
}
ACTIVATIONS: tuple[Activation, ...] = (
    *(activations.find(spec) for name in activations.ACTIVATIONS for spec in _NUMBERED.get(name, (name,))),
    SINE,
    SOFTSIGN,
)
ELEMENTWISE = tuple(g for g in ACTIVATIONS if g.elementwise)

BUILT_IN = tuple(g for g in ACTIVATIONS if g not in (SINE, SOFTSIGN))

# every cost of the registry, with numbers that are not symmetric: quantile(0.5) would hide a τ in place of 1 - τ
_OUTPUTS = {
    {"huber": "huber(0.5)", "quantile": "quantile(0.9)"}.get(name, name): resolve("cost", name, costs.COSTS).outputs
    for name in costs.COSTS
}
RESIDUAL_COSTS = tuple(name for name, outputs in _OUTPUTS.items() if not outputs)  # for any output
LIKELIHOODS = {name: activations.find(outputs[0]) for name, outputs in _OUTPUTS.items() if outputs}
COSTS = (*RESIDUAL_COSTS, *LIKELIHOODS)

# every cost with every output it is defined for
HEADS: tuple[tuple[str, Activation], ...] = (
    *((cost, g) for cost in RESIDUAL_COSTS for g in ACTIVATIONS),
    *LIKELIHOODS.items(),
)
# where many networks run: every cost and every output, but costs of the residual, which are one another's kin, with
# two outputs alone but for the quadratic
FEW_HEADS = tuple(
    (cost, g) for cost, g in HEADS if cost in ("quadratic", *LIKELIHOODS) or g.name in ("identity", "softmax")
)

INITIALIZERS = (
    "zeros",
    "constant(0.3)",
    "normal",
    "normal(0.5)",
    "lecun_normal",
    "xavier_normal",
    "xavier_uniform",
    "he_normal",
    "he_uniform",
)

# 0 to 3 hidden layers; all widths differ, because a square W hides a missing transpose
SIZES = ((3, 4), (3, 5, 4), (3, 5, 2, 4), (3, 5, 2, 6, 4))

NETWORKS: dict[str, tuple[Network, str]] = {
    "logistic regression": (Network((3, 1), "relu", "sigmoid"), "binary_cross_entropy"),
    "softmax regression": (Network((3, 4), "relu", "softmax"), "categorical_cross_entropy"),
    "linear regression": (Network((3, 2), "relu", "identity"), "quadratic"),
    "Poisson regression": (Network((3, 5, 2), "tanh", "exp"), "poisson"),
    "Huber": (Network((3, 5, 2), "relu", "identity"), "huber(0.5)"),
    "quantile": (Network((3, 5, 2), "tanh", "softplus"), "quantile(0.9)"),
    "tutorial": (Network((2, 3, 5, 4, 2, 1), "relu", "sigmoid"), "binary_cross_entropy"),
    "several labels": (Network((3, 5, 2), "tanh", "sigmoid"), "binary_cross_entropy"),
    "Nielsen": (Network((4, 3, 2), "sigmoid", "sigmoid"), "quadratic"),
    "mixed": (Network((3, 5, 2, 6, 4), ("maxout(2)", "gelu", "elu(0.5)"), "softmax"), "categorical_cross_entropy"),
    "softmax, quadratic": (Network((3, 5, 4), "leaky_relu(0.2)", "softmax"), "quadratic"),
    "maxout output": (Network((3, 5, 4), "silu", "maxout(3)"), "quadratic"),
    "own": (Network((3, 5, 2, 4), (SINE, SOFTSIGN), SINE), "quadratic"),
}


class Example(NamedTuple):
    """Parameters and a batch for a network, in NumPy and float64."""

    params: tuple[dict[str, np.ndarray], ...]
    X: np.ndarray
    Y: np.ndarray
    weights: np.ndarray


def example(net: Network, cost: str, m: int = 7, seed: int = 0) -> Example:
    """A batch of m examples, none of it at a kink."""
    rng = np.random.default_rng(seed)
    params = tuple({"W": 0.7 * rng.normal(size=row.W), "b": 0.3 * rng.normal(size=row.b)} for row in net.shapes)
    X = rng.normal(size=(net.sizes[0], m))
    n = net.sizes[-1]
    Y = rng.uniform(size=(n, m)) if n > 1 else rng.integers(0, 2, size=(1, m)).astype(float)
    if cost == "categorical_cross_entropy":
        Y = np.eye(n)[:, rng.integers(0, n, size=m)]
    return Example(params, X, Y, rng.uniform(0.5, 2.0, size=(1, m)))


def names(net: Network) -> list[str]:
    """The full names of g_1 … g_L, as the oracle takes them."""
    return [g.name for g in net.activations]
