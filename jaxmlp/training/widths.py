"""Networks of different widths as one: the narrow ones filled up to the widest with units that are not there.

    W' = [W 0; 0 0],   b' = [b; 0],   γ' = [γ; 0]        dθ' ← dθ' ⊙ live,  live = 1 on the real entries, else 0

A unit that is not there has a constant activation g(0), which its outgoing weights, 0 and kept 0, multiply: what the
real units compute is the narrow network, to the last bit of every product but for the order of summation.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from jaxmlp.nn.network import Network

Arrays = tuple[dict[str, np.ndarray], ...]  # parameters on the host

WASTE = 2.0  # how many entries may be computed for each real one


def widest(nets: Sequence[Network]) -> Network | None:
    """The network that all of these fit into; None where they differ in more than the width of elementwise layers.

    >>> nets = [Network((2, hidden, 1), "tanh", "sigmoid") for hidden in (3, 5)]
    >>> widest(nets).sizes, widest([nets[0], Network((2, 3, 1), "relu", "sigmoid")])
    ((2, 5, 1), None)
    """
    first, ends = nets[0], {(net.sizes[0], net.sizes[-1]) for net in nets}
    if all(net == first for net in nets):
        return first
    alike = {(net.depth, net.hidden, net.output, net.norm) for net in nets}
    coupled = first.norm == "layer" or any(not g.elementwise or g.pieces > 1 for g in first.activations[:-1])
    if len(alike) > 1 or len(ends) > 1 or coupled:
        return None
    wide = dataclasses.replace(first, sizes=tuple(map(max, zip(*(net.sizes for net in nets), strict=True))))
    real = sum(net.n_parameters for net in nets)
    return wide if wide.n_parameters * len(nets) <= WASTE * real else None


def padded(params: Arrays, wide: Network) -> Arrays:
    """The parameters, as NumPy arrays, in those of a wider network; zeros elsewhere.

    >>> layer = {"W": np.ones((1, 2)), "b": np.ones((1, 1))}
    >>> padded((layer, {"W": np.ones((1, 1)), "b": np.zeros((1, 1))}), Network((2, 2, 1), "tanh", "sigmoid"))[1]["W"]
    array([[1., 0.]])
    """

    def fill(leaf: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        filled = np.zeros(shape, leaf.dtype)
        filled[: leaf.shape[0], : leaf.shape[1]] = leaf
        return filled

    return tuple(
        {name: fill(np.asarray(leaf), row.leaves[name]) for name, leaf in layer.items()}
        for layer, row in zip(params, wide.shapes, strict=True)
    )


def live(net: Network, wide: Network, dtype: np.dtype) -> Arrays:
    """1 where an entry of the wider network's parameters is one of `net`, else 0."""
    ones = tuple({name: np.ones(shape, dtype) for name, shape in row.leaves.items()} for row in net.shapes)
    return padded(ones, wide)


def narrowed(params: Arrays, net: Network) -> Arrays:
    """The entries of `net` in the parameters of a wider network."""
    shapes = (row.leaves for row in net.shapes)
    return tuple(
        {name: leaf[: leaves[name][0], : leaves[name][1]] for name, leaf in layer.items()}
        for layer, leaves in zip(params, shapes, strict=True)
    )
