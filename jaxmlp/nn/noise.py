"""Noise of training: what is drawn anew at every step, and drawn here alone.

    input noise      X ← X + σ ξ,  ξ ~ N(0, 1)
    mixup            x_i ← λ x_i + (1 - λ) x_j,  y_i likewise,  λ ~ Beta(α, α),  j = i + r mod m for one random r
    label smoothing  y ← (1 - s) y + s/C      over C classes; C = 2 for a sigmoid. Not random, but of training alone
    dropout          A_l ← M_l ⊙ A_l,  M = 1/keep with probability keep, else 0;   A_0 has a rate of its own
                     dA_l ← M_l ⊙ dA_l       the backward pass meets the same mask

A mask is drawn before the forward pass and is an input of it, so that the equations, autodiff and central differences
all see the same one. Inverted dropout: with the scale 1/keep the expected signal stays, and evaluation needs nothing.

Sources: Srivastava et al. 2014; Ng's course, dropout; Bishop 1995; Szegedy et al. 2016; Zhang et al. 2018.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxmlp.nn.stacks import Runs, drawn

Masks = tuple[Array | None, ...]  # M_0 … M_{L-1}, each (n_l, m), of what layer l + 1 takes in


class Noise(NamedTuple):
    """What one step draws.

    Attributes:
      masks: M_0 … M_{L-1}; () for no dropout at all.
      shift: σ ξ, shaped like X; None without.
      mixing: (λ, r); None without.
    """

    masks: Masks = ()
    shift: Array | None = None
    mixing: tuple[Array, Array] | None = None


NO_NOISE = Noise()


class Rates(NamedTuple):
    """How much of it: the numbers of an `Objective`; None leaves that part out of the program."""

    dropout: Any = None
    input_dropout: Any = None
    input_noise: Any = None
    mixup: Any = None


def draw(key: Array, rates: Rates, widths: tuple[int, ...], X: Array, runs: Runs | None = None) -> Noise:
    """Everything random about one step.

    Args:
      key: of the step.
      rates: how much.
      widths: n_0 … n_{L-1}, the rows of A_0 … A_{L-1}.
      X: (n_0, m).
      runs: how many layers each mask is for, where equal layers are stacked, and then so are their masks.

    >>> noise = draw(jax.random.key(0), Rates(dropout=0.5), (2, 3), jnp.zeros((2, 4)))
    >>> noise.masks[0] is None, sorted(set(noise.masks[1].ravel().tolist()))
    (True, [0.0, 2.0])
    """
    keys = jax.random.split(key, len(widths) + 3)
    masks, l = [], 0
    for k in runs or (1,) * len(widths):
        rate = rates.dropout if l else rates.input_dropout
        one = partial(mask, rate=rate, shape=(widths[l], X.shape[1]), dtype=X.dtype)
        masks.append(None if rate is None else drawn(one, keys[3 + l : 3 + l + k]))
        l += k
    shift = mixing = None
    if rates.input_noise is not None:
        shift = jnp.asarray(rates.input_noise, X.dtype) * jax.random.normal(keys[0], X.shape, X.dtype)
    if rates.mixup is not None:
        alpha = jnp.asarray(rates.mixup, X.dtype)
        # α = 0 is Beta's limit at 0 and 1: nothing is mixed
        share = jnp.where(alpha > 0, jax.random.beta(keys[1], alpha, alpha, dtype=X.dtype), jnp.ones_like(alpha))
        mixing = share, jax.random.randint(keys[2], (), 0, X.shape[1])
    return Noise(tuple(masks) if any(mask is not None for mask in masks) else (), shift, mixing)


def mask(key: Array, rate: Any, shape: tuple[int, ...], dtype: Any) -> Array:
    """1/keep with probability keep = 1 - rate, else 0.

    Sixteen random bits decide, half the work of a float's 32; keep is therefore rounded to a multiple of 2⁻¹⁶, up, and
    the scale is that of the rounded one, so that the mean of a mask is 1 all the same.
    """
    steps = jnp.ceil((1 - jnp.asarray(rate, jnp.float32)) * 65536)
    kept = jax.random.bits(key, shape, jnp.uint16).astype(jnp.uint32) < steps.astype(jnp.uint32)
    return jnp.where(kept, (65536 / steps).astype(dtype), jnp.zeros((), dtype))


# --- dropout, forward and backward ------------------------------------------------------------------------------------


def drop_undecorated(A: Array, mask: Array) -> Array:
    """M ⊙ A without a rule of its own: autodiff's witness."""
    return mask * A


def _drop_forward(A: Array, mask: Array) -> tuple[Array, tuple[Array, Array]]:
    return drop_undecorated(A, mask), (A, mask)


def drop_backward(mask: Array, dA: Array) -> Array:
    """dA by M ⊙ A -> dA by A."""
    return mask * dA


def _drop_rule(cache: tuple[Array, Array], dA: Array) -> tuple[Array, Array]:
    A, mask = cache
    return drop_backward(mask, dA), A * dA  # the second, by the mask, for whoever asks


# the same product, differentiated by `drop_backward`
drop = jax.custom_vjp(drop_undecorated)
drop.defvjp(_drop_forward, _drop_rule)


# --- what happens to the batch ----------------------------------------------------------------------------------------


def mix(M: Array, mixing: tuple[Array, Array]) -> Array:
    """λ M_i + (1 - λ) M_{i+r} for every column i.

    >>> mix(jnp.array([[0.0, 4.0, 8.0]]), (jnp.float32(0.75), 1)).tolist()
    [[1.0, 5.0, 6.0]]
    """
    share, shift = mixing
    return share * M + (1 - share) * jnp.roll(M, -shift, axis=1)


def smooth(Y: Array, rate: Any, *, multilabel: bool) -> Array:
    """(1 - s) Y + s/C for one-hot columns; for labels of sigmoid outputs, each a question of two answers, C = 2.

    >>> smooth(jnp.array([[0.0], [0.0], [1.0], [0.0]]), 0.5, multilabel=False).ravel().tolist()
    [0.125, 0.125, 0.625, 0.125]
    >>> smooth(jnp.array([[1.0]]), 0.5, multilabel=True).tolist()
    [[0.75]]
    """
    C = 2 if multilabel else Y.shape[0]
    rate = jnp.asarray(rate, Y.dtype)
    return (1 - rate) * Y + rate / C
