"""Equal hidden layers in a row as one stack: a program that loops over them does not grow with the depth.

    layers    ({"W": (9, 4)}, {"W": (9, 9)}, {"W": (9, 9)}, …, {"W": (2, 9)})
    stacks    ({"W": (9, 4)}, {"W": (k, 9, 9)},                {"W": (2, 9)})

Both are parameters of the same network, and `propagate` takes either. Runs say how many layers each entry stands for,
(1, k, 1); the first and the last layer are never part of a stack. Whatever there is once for each layer can be stacked
in the same way: moments of batch normalisation, and an optimizer's averages of gradients.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import jax.core
import jax.numpy as jnp
from jax import Array

from jaxmlp.nn.normalization import Moments

MIN_STACK = 8  # fewer equal layers compile as fast written out

T = TypeVar("T")
Runs = tuple[int, ...]


def equal_runs(layers: tuple[Any, ...]) -> Runs:
    """Return how many layers each entry stands for, where enough neighbours are equal.

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
        runs += [k] if k >= MIN_STACK else [1] * k
        l += k
    return (*runs, 1) if len(layers) > 1 else (1,)


def runs_of(params: Sequence[dict[str, Any]]) -> Runs:
    """Return the runs of parameters, stacked or not: a stack is known by the third axis of its b.

    >>> runs_of(({"b": jnp.ones((2, 1))}, {"b": jnp.ones((9, 2, 1))}, {"b": jnp.ones((1, 1))}))
    (1, 9, 1)
    """
    return tuple(layer["b"].shape[0] if layer["b"].ndim == 3 else 1 for layer in params)


def draw_per_layer(draw: Callable[[Array], T], keys: Array) -> T:
    """Draw for each layer of a run from its own key; stack the results if there are several."""
    # lax.map and not vmap: with keys such as impl="rbg" a draw under vmap gives other numbers than one by one, and a
    # stacked network would then not start like the same network written out
    return draw(keys[0]) if len(keys) == 1 else jax.lax.map(draw, keys)


def stack_layers(tree: T, runs: Runs) -> T:
    """Return the tree with everything that there is once for each layer stacked, at any depth of the tree.

    >>> layers = [{"W": jnp.full((1, 1), l)} for l in range(10)]
    >>> jax.tree.map(jnp.ravel, stack_layers(layers, (1, 8, 1)))[1]["W"].tolist()
    [1, 2, 3, 4, 5, 6, 7, 8]
    """
    return _map_layers(tree, runs, sum(runs), _stack)


def unstack_layers(tree: T, runs: Runs) -> T:
    """Return the tree with every stack split into its layers again.

    >>> layers = [{"W": jnp.full((1, 1), l)} for l in range(10)]
    >>> unstack_layers(stack_layers(layers, (1, 8, 1)), (1, 8, 1)) == layers
    True
    """
    return _map_layers(tree, runs, len(runs), _unstack)


def _map_layers(tree: T, runs: Runs, n: int, change: Callable[[Sequence[Any], Runs], list[Any]]) -> T:
    """Apply `change` to every sequence in the tree with an entry for each of n layers, or for each but the last."""
    if max(runs, default=1) == 1:
        return tree

    # The state of an optimizer holds such sequences in NamedTuples of its own, of any length; only a plain tuple or
    # list of dictionaries or Moments is one entry per layer. Moments have no entry for the output, which has no norm.
    def is_layers(node: Any) -> bool:
        plain = isinstance(node, tuple | list) and not hasattr(node, "_fields") and len(node) in (n, n - 1)
        return plain and all(isinstance(entry, dict | Moments) for entry in node)

    def changed(node: Any) -> Any:
        # moments have an entry less than there are layers: the run of the output, always 1, is left out for them
        return type(node)(change(node, runs[: len(runs) - (n - len(node))])) if is_layers(node) else node

    return jax.tree.map(changed, tree, is_leaf=is_layers)


def _stack(layers: Sequence[Any], runs: Runs) -> list[Any]:
    entries, remaining = [], iter(layers)
    for k in runs:
        group = [next(remaining) for _ in range(k)]
        entries.append(group[0] if k == 1 else jax.tree.map(_stack_leaves, *group))
    return entries


@jax.jit  # one call of the device; uncompiled, jnp.stack makes one for each of its k leaves
def _stack_leaves(*leaves: Array) -> Array:
    return jnp.stack(leaves)


def _unstack(stacks: Sequence[Any], runs: Runs) -> list[Any]:
    layers = []
    for k, entry in zip(runs, stacks, strict=True):
        if k == 1:
            layers.append(entry)
            continue
        leaves, tree = jax.tree.flatten(entry)
        layers += [jax.tree.unflatten(tree, layer) for layer in zip(*map(_unstack_leaf, leaves), strict=True)]
    return layers


def _unstack_leaf(stack: Array) -> list[Array]:
    # within a program, and in NumPy, a slice costs no call of the device
    if isinstance(stack, jax.core.Tracer) or not isinstance(stack, Array):
        return list(stack)
    # list(stack) would call the device once for each layer; this is one transfer in each direction. The layers are
    # committed to their device only if the stack was: JAX compiles a program again for the other case.
    return jax.device_put(list(jax.device_get(stack)), stack.sharding if stack.committed else None)
