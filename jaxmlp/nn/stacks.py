"""Equal hidden layers in a row as one stack: a program that loops over them does not grow with the depth.

    layers    ({"W": (9, 4)}, {"W": (9, 9)}, {"W": (9, 9)}, …, {"W": (2, 9)})
    stacks    ({"W": (9, 4)}, {"W": (k, 9, 9)},                {"W": (2, 9)})

Both are parameters of the same network, and `propagate` takes either. Runs say how many layers each entry stands for,
(1, k, 1); the first layer and the last always stand alone. Whatever is kept for each layer can be stacked in the same
way: moments of batch normalisation, and an optimizer's averages of gradients.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.core
import jax.numpy as jnp
from jax import Array

from jaxmlp.nn.normalization import Moments

ENOUGH = 8  # equal layers; fewer compile as fast written out

T = TypeVar("T")
Runs = tuple[int, ...]


def equal_runs(layers: tuple[Any, ...]) -> Runs:
    """How many layers each entry stands for, where enough neighbours are equal.

    >>> equal_runs(("a", *["b"] * 9, "c", "c", "d"))
    (1, 9, 1, 1, 1)
    >>> equal_runs(("a",) * 10)
    (1, 8, 1)
    """
    inner, runs, l = layers[1:-1], [1], 0
    while l < len(inner):
        k = 1
        while l + k < len(inner) and inner[l + k] == inner[l]:
            k += 1
        runs += [k] if k >= ENOUGH else [1] * k
        l += k
    return (*runs, 1) if len(layers) > 1 else (1,)


def runs_of(params: Any) -> Runs:
    """The runs of parameters, stacked or not.

    >>> runs_of(({"W": jnp.ones((2, 2))}, {"W": jnp.ones((9, 2, 2))}, {"W": jnp.ones((1, 2))}))
    (1, 9, 1)
    """
    return tuple(layer["W"].shape[0] if layer["W"].ndim == 3 else 1 for layer in params)


def drawn(draw: Callable[[Array], T], keys: Array) -> T:
    """What is drawn for a run of layers, each from its own key: of the only one, or stacked.

    Not by vmap, which draws otherwise from some kinds of key.
    """
    return draw(keys[0]) if len(keys) == 1 else jax.lax.map(draw, keys)


def stacked(tree: T, runs: Runs) -> T:
    """The tree with what is kept for each layer stacked, wherever it stands in it.

    >>> layers = [{"W": jnp.full((1, 1), l)} for l in range(10)]
    >>> jax.tree.map(jnp.ravel, stacked(layers, (1, 8, 1)))[1]["W"].tolist()
    [1, 2, 3, 4, 5, 6, 7, 8]
    """
    return _changed(tree, runs, sum(runs), _stack)


def unstacked(tree: T, runs: Runs) -> T:
    """The tree with stacks taken apart again.

    >>> layers = [{"W": jnp.full((1, 1), l)} for l in range(10)]
    >>> unstacked(stacked(layers, (1, 8, 1)), (1, 8, 1)) == layers
    True
    """
    return _changed(tree, runs, len(runs), _unstack)


def _changed(tree: Any, runs: Runs, n: int, change: Callable[[Any, Runs], list[Any]]) -> Any:
    """The tree with every sequence changed that has an entry for each of n layers, or for each but the last."""
    if max(runs, default=1) == 1:
        return tree

    def is_layers(node: Any) -> bool:
        plain = isinstance(node, tuple | list) and not hasattr(node, "_fields") and len(node) in (n, n - 1)
        return plain and all(isinstance(entry, dict | Moments) for entry in node)

    def changed(node: Any) -> Any:
        return type(node)(change(node, runs[: len(runs) - (n - len(node))])) if is_layers(node) else node

    return jax.tree.map(changed, tree, is_leaf=is_layers)


def _stack(layers: Any, runs: Runs) -> list[Any]:
    found, rest = [], iter(layers)
    for k in runs:
        group = [next(rest) for _ in range(k)]
        found.append(group[0] if k == 1 else jax.tree.map(_together, *group))
    return found


@jax.jit
def _together(*leaves: Array) -> Array:
    return jnp.stack(leaves)


def _unstack(stacks: Any, runs: Runs) -> list[Any]:
    found = []
    for k, entry in zip(runs, stacks, strict=True):
        if k == 1:
            found.append(entry)
            continue
        leaves, tree = jax.tree.flatten(entry)
        found += [jax.tree.unflatten(tree, layer) for layer in zip(*map(_apart, leaves), strict=True)]
    return found


def _apart(stack: Array) -> list[Array]:
    """What `list(stack)` is, without a call of the device for each."""
    if isinstance(stack, jax.core.Tracer) or not isinstance(stack, Array):
        return list(stack)
    # as firmly on its device as the stack: programs are compiled for either case anew
    return jax.device_put(list(jax.device_get(stack)), stack.sharding if stack.committed else None)
