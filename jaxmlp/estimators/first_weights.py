"""The weights before training: the numbers that scikit-learn draws, as parameters of a network."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxmlp.nn.network import Network


def draw_weights(
    sizes: Sequence[int], random_state: np.random.RandomState, logistic: bool
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return W (n_in, n_out) and b (n_out,) of each layer: the same numbers as scikit-learn draws.

        W, b ~ U(-r, r),  r² = 6/(n_in + n_out), with logistic units 2/(n_in + n_out)

    >>> draw_weights((2, 1), np.random.RandomState(0), False)[0][1].shape
    (1,)
    """
    layers = []
    for n_in, n_out in pairwise(sizes):
        r = np.sqrt((2 if logistic else 6) / (n_in + n_out))
        # the order of the draws is scikit-learn's: W, then b, layer after layer
        layers.append((random_state.uniform(-r, r, (n_in, n_out)), random_state.uniform(-r, r, n_out)))
    return layers


def first_params(net: Network, weights: Sequence[tuple[np.ndarray, np.ndarray]], dtype: Any) -> tuple[Any, ...]:
    """Return the weights of `draw_weights` as parameters of the network, whose W is (n_out, n_in)."""
    return tuple(
        {
            "W": jnp.asarray(W.T, dtype),
            "b": jnp.asarray(b[:, None], dtype),
            **{name: jnp.ones(shape, dtype) for name, shape in row.leaves.items() if name in ("gamma", "s")},
        }
        for (W, b), row in zip(weights, net.shapes, strict=True)
    )
