"""Augmentation: the random numbers of a training step, and what they and label smoothing do to the batch.

    input noise      X ← X + σ ξ,  ξ ~ N(0, 1)
    mixup            x_i ← λ x_i + (1 - λ) x_j,  y_i likewise,  λ ~ Beta(α, α),  j = i + r mod m for one random r
    label smoothing  y ← (1 - s) y + s/C      over C classes; C = 2 for a sigmoid. Not random, but only in training

All random numbers of a step, the dropout masks among them, are drawn here from its key before the forward pass. They
are inputs of J, so that J is a plain function and each of its gradients sees the same noise.

Sources: Bishop 1995; Szegedy et al. 2016; Zhang et al. 2018.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxmlp.nn import costs
from jaxmlp.nn.dropout import Masks, draw_mask
from jaxmlp.nn.layer_stacks import Runs, draw_per_layer
from jaxmlp.nn.network import Network
from jaxmlp.nn.objective import Batch, Objective


class Noise(NamedTuple):
    """The random numbers of one step.

    Attributes:
      masks: M_0 … M_{L-1} of dropout, (n_l, m) each or (k, n_l, m) for k members; () without dropout.
      shift: σ ξ, shaped like X; None without input noise.
      mixing: (λ, r) of mixup; None without.
    """

    masks: Masks = ()
    shift: Array | None = None
    mixing: tuple[Array, Array] | None = None


NO_NOISE = Noise()


def draw_noise(key: Array | None, net: Network, objective: Objective, X: Array, runs: Runs | None = None) -> Noise:
    """Draw the random numbers of one training step.

    Args:
      key: of the step; None for no noise.
      net, objective: whose `dropout`, `input_dropout`, `input_noise` and `mixup` say how much noise there is.
      X: (n_0, m).
      runs: how many layers each mask is for, where equal layers and their masks are stacked.

    >>> net, X = Network((2, 3, 1), "relu", "sigmoid"), jnp.zeros((2, 4))
    >>> noise = draw_noise(jax.random.key(0), net, Objective(dropout=0.5), X)
    >>> noise.masks[0] is None, sorted(set(noise.masks[1].ravel().tolist()))
    (True, [0.0, 2.0])
    """
    if key is None or not objective.noisy:
        return NO_NOISE
    # as many keys as the depth says, used or not: to add one noise leaves the numbers of all others as they were
    keys = jax.random.split(key, net.depth + 3)  # one each for input noise, λ and r, then one for each mask
    masks = _draw_masks(keys, net, objective, X, runs or (1,) * net.depth)
    shift = mixing = None
    if objective.input_noise is not None:
        shift = jnp.asarray(objective.input_noise, X.dtype) * jax.random.normal(keys[0], X.shape, X.dtype)
    if objective.mixup is not None:
        alpha = jnp.asarray(objective.mixup, X.dtype)
        # α = 0 is the limit of Beta(α, α) at 0 and 1, where nothing is mixed; its sampler would give NaN
        weight = jnp.where(alpha > 0, jax.random.beta(keys[1], alpha, alpha, dtype=X.dtype), jnp.ones_like(alpha))
        mixing = weight, jax.random.randint(keys[2], (), 0, X.shape[1])
    return Noise(masks, shift, mixing)


def _draw_masks(keys: Array, net: Network, objective: Objective, X: Array, runs: Runs) -> Masks:
    masks, l = [], 0
    for k in runs:
        rate = objective.dropout if l else objective.input_dropout
        if rate is None:
            masks.append(None)
        else:
            shape = (net.sizes[l], X.shape[1])
            shape = shape if net.members is None else (net.members, *shape)  # each member drops units of its own
            draw = partial(draw_mask, rate=rate, shape=shape, dtype=X.dtype)
            masks.append(draw_per_layer(draw, keys[3 + l : 3 + l + k]))
        l += k
    return tuple(masks) if any(mask is not None for mask in masks) else ()


def augment_batch(batch: Batch, net: Network, objective: Objective, noise: Noise) -> Batch:
    """Return the batch with noise on X, and with X and Y mixed and smoothed."""
    X, Y, weights = batch  # (n0, m), (n_L, m) or ids (1, m), (1, m)
    if noise.shift is not None:
        X = X + noise.shift
    if noise.mixing is None and objective.label_smoothing is None:
        return Batch(X, Y, weights)
    if objective.cost_for(net).name == "categorical_cross_entropy":
        Y = costs.one_hot(Y, net.sizes[-1], X.dtype)  # a mixture of two labels has no class id
    if noise.mixing is not None:
        X, Y = mix(X, noise.mixing), mix(Y, noise.mixing)
    if objective.label_smoothing is not None:
        Y = smooth(Y, objective.label_smoothing, multilabel=net.output != "softmax")
    return Batch(X, Y, weights)


def mix(M: Array, mixing: tuple[Array, Array | int]) -> Array:
    """Return λ M_i + (1 - λ) M_{i+r} for every column i.

    >>> mix(jnp.array([[0.0, 4.0, 8.0]]), (jnp.float32(0.75), 1)).tolist()
    [[1.0, 5.0, 6.0]]
    """
    mixing_weight, offset = mixing
    return mixing_weight * M + (1 - mixing_weight) * jnp.roll(M, -offset, axis=1)  # column i meets i + r


def smooth(Y: Array, rate: ArrayLike, *, multilabel: bool) -> Array:
    """Return (1 - s) Y + s/C for one-hot columns; C = 2 for sigmoid outputs, each of which has two classes.

    >>> smooth(jnp.array([[0.0], [0.0], [1.0], [0.0]]), 0.5, multilabel=False).ravel().tolist()
    [0.125, 0.125, 0.625, 0.125]
    >>> smooth(jnp.array([[1.0]]), 0.5, multilabel=True).tolist()
    [[0.75]]
    """
    C = 2 if multilabel else Y.shape[0]
    rate = jnp.asarray(rate, Y.dtype)
    return (1 - rate) * Y + rate / C
