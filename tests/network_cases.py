"""Data, initial and trained parameters of the networks of `healthy_networks` and `unhealthy_networks`."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from sklearn import datasets

import jaxmlp
from jaxmlp import Network, Objective


class Case(NamedTuple):
    """The arguments of one call of `diagnose`."""

    params: Any
    X: Any
    Y: Any
    net: Network
    options: Mapping[str, Any] = MappingProxyType({})


Builder = Callable[[], Case]
UnhealthyNetworks = dict[
    str, tuple[str, Builder]
]  # by name: the finding that must come first, and the function that builds the case


def unhealthy_in(networks: UnhealthyNetworks) -> Callable[[str], Callable[[Builder], Builder]]:
    """Return a decorator `unhealthy(finding)` that adds the function below it to a table of networks."""

    def unhealthy(finding: str) -> Callable[[Builder], Builder]:
        def add(build: Builder) -> Builder:
            networks[build.__name__] = finding, build
            return build

        return add

    return unhealthy


def standardise(X):
    """Return the columns with mean 0 and deviation 1; a constant column becomes 0."""
    deviation = X.std(0)
    return (X - X.mean(0)) / np.where(deviation > 0, deviation, 1)


def one_hot(ids, classes):
    """Return a row with a 1 for each id."""
    return np.eye(classes)[ids]


def table(name):
    """Return the raw rows and targets of a table that comes with scikit-learn."""
    return getattr(datasets, f"load_{name}")(return_X_y=True)


def blobs(m, features, classes, seed=0, distance=2.0):
    """Return standardised rows around a centre for each class, and the class of each row."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(classes, size=m)
    return standardise(rng.normal(size=(classes, features))[ids] * distance + rng.normal(size=(m, features))), ids


def smooth(m, features, seed=0, noise=0.1):
    """Return standardised rows and the standardised values of a smooth function of them."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(m, features))
    y = np.sin(X[:, 0]) + 0.5 * X[:, 1] ** 2 + X @ rng.normal(size=features) / features + noise * rng.normal(size=m)
    return X, standardise(y[:, None])


def fresh(
    rows,
    targets,
    sizes,
    hidden="relu",
    output="identity",
    *,
    norm=None,
    initializer="auto",
    dtype="float32",
    seed=0,
    biases=None,
    objective=None,
    **options,
):
    """Return a network as it is drawn; `biases` are those of the first hidden layer."""
    net = Network(tuple(sizes), hidden if len(sizes) > 2 else (), output, norm)
    params = jaxmlp.init(jax.random.key(seed), net, initializer, dtype)
    if biases is not None:
        params = ({**params[0], "b": jnp.broadcast_to(jnp.asarray(biases, dtype), params[0]["b"].shape)}, *params[1:])
    targets = np.asarray(targets)
    Y = targets[None] if targets.ndim == 1 else targets.T
    if objective is not None:
        options["objective"] = objective
    whole = np.issubdtype(Y.dtype, np.integer)
    return Case(
        params, jnp.asarray(np.asarray(rows).T, dtype), jnp.asarray(Y, "int32" if whole else dtype), net, options
    )


def trained(case, steps=300, rate=0.01, key=None):
    """Return the case after full-batch Adam."""
    objective = case.options.get("objective") or Objective()
    params32 = jax.tree.map(lambda w: w.astype("float32"), case.params)

    def loss(params, key):
        cast = jax.tree.map(lambda w, like: w.astype(like.dtype), params, case.params)
        return jaxmlp.cost(cast, case.X, case.Y, case.net, objective, None, key)

    def step(i, state):
        params, m, v = state
        g = jax.grad(loss)(params, None if key is None else jax.random.fold_in(key, i))
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        t = jnp.float32(i + 1)
        params = jax.tree.map(
            lambda p, m, v: p - rate * (m / (1 - 0.9**t)) / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-8), params, m, v
        )
        return params, m, v

    zeros = jax.tree.map(jnp.zeros_like, params32)
    params = jax.jit(lambda p: jax.lax.fori_loop(0, steps, step, (p, zeros, zeros)))(params32)[0]
    return case._replace(params=jax.tree.map(lambda w, like: w.astype(like.dtype), params, case.params))


def change(case, layer, **arrays):
    """Return the case with other arrays in one layer; a number fills the array."""
    new = {
        name: jnp.broadcast_to(jnp.asarray(value, case.params[layer][name].dtype), case.params[layer][name].shape)
        for name, value in arrays.items()
    }
    layer %= len(case.params)
    return case._replace(params=(*case.params[:layer], {**case.params[layer], **new}, *case.params[layer + 1 :]))


def digits(scale=16.0, rows=300):
    """Return images of handwritten digits divided by `scale`, their largest pixel, and their digits."""
    X, ids = table("digits")
    return X[:rows] / scale, ids[:rows]
