"""Train networks of different widths in one program: pad the narrow ones with unused units to the widest.

    W' = [W 0; 0 0],   b' = [b; 0],   γ' = [γ; 0]        dθ' ← dθ' ⊙ mask,  mask = 1 on the real entries, else 0

One program needs arrays of equal shapes. An unused unit has the constant activation g(0), but its outgoing weights are
0, and the mask keeps them 0. So the real units compute the narrow network, up to the order of summation in the
matrix products.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from jaxmlp.nn.network import Network

Arrays = tuple[dict[str, np.ndarray], ...]  # parameters in the memory of the host

# With more padded than real parameters, more than half of the arithmetic would be wasted.
MAX_PADDING = 2.0  # the largest ratio of all parameters to real ones


def widest(nets: Sequence[Network]) -> Network | None:
    """Return the network to which all networks can be padded.

    Return None if they differ in more than the widths of hidden layers, or if the padding would exceed MAX_PADDING.

    >>> nets = [Network((2, hidden, 1), "tanh", "sigmoid") for hidden in (3, 5)]
    >>> widest(nets).sizes, widest([nets[0], Network((2, 3, 1), "relu", "sigmoid")])
    ((2, 5, 1), None)
    """
    first, ends = nets[0], {(net.sizes[0], net.sizes[-1]) for net in nets}
    if all(net == first for net in nets):
        return first
    alike = {
        (net.depth, net.hidden, net.output, net.norm, net.members, net.parametric, net.column_widths) for net in nets
    }
    # unused units would change the mean of a layer normalisation, the sum of a softmax, and the pieces of maxout
    coupled = first.norm == "layer" or any(not g.elementwise or g.pieces > 1 for g in first.activations[:-1])
    if len(alike) > 1 or len(ends) > 1 or coupled:
        return None
    wide = dataclasses.replace(first, sizes=tuple(map(max, zip(*(net.sizes for net in nets), strict=True))))
    real = sum(net.n_parameters for net in nets)
    # 2-4-1 and 2-8-1 have 17 + 33 = 50 parameters, padded 2 · 33 = 66: below twice as many, so one program trains both
    return wide if wide.n_parameters * len(nets) <= MAX_PADDING * real else None


def pad_params(params: Arrays, wide: Network) -> Arrays:
    """Return parameters, padded with zeros to the shapes of a wider network, as NumPy arrays.

    >>> layer = {"W": np.ones((1, 2)), "b": np.ones((1, 1))}
    >>> last = {"W": np.ones((1, 1)), "b": np.zeros((1, 1))}
    >>> pad_params((layer, last), Network((2, 2, 1), "tanh", "sigmoid"))[1]["W"]
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


def padding_mask(net: Network, wide: Network, dtype: np.dtype) -> Arrays:
    """Return arrays with the shapes of the wider network: 1 for parameters of `net`, 0 for padding."""
    mask = tuple({name: np.ones(shape, dtype) for name, shape in row.leaves.items()} for row in net.shapes)
    return pad_params(mask, wide)


def unpad_params(params: Arrays, net: Network) -> Arrays:
    """Return the parameters of `net` from those of a wider network: the inverse of `pad_params`."""
    shapes = (row.leaves for row in net.shapes)
    return tuple(
        {name: leaf[: leaves[name][0], : leaves[name][1]] for name, leaf in layer.items()}
        for layer, leaves in zip(params, shapes, strict=True)
    )
