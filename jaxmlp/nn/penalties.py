"""Penalties on the weights, never on the biases, each with its slope; and the bound that max-norm keeps.

    l2          λ/(2m) Σ_l ‖W_l‖²          dW_l gains λ/m W_l
    l1          λ/m Σ_l Σ|w|               dW_l gains λ/m sign(w), 0 at w = 0
    max-norm    ‖w_j‖ ≤ c                  after every step a row w_j beyond c is scaled back to length c

m is the number of examples: the penalty's strength is stated for the whole training set, as Nielsen does (chapter 3).
Max-norm: Srivastava et al. 2014, section 5.1.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxmlp.nn.dense import LayerParams

Params = tuple[LayerParams, ...]


class Penalty(NamedTuple):
    """λ/m Σ_l value(W_l): value W -> scalar, slope W -> its derivative, shaped like W."""

    name: str
    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]


PENALTIES = {
    "l2": Penalty("l2", lambda W: jnp.square(W).sum() / 2, lambda W: W),
    "l1": Penalty("l1", lambda W: jnp.abs(W).sum(), jnp.sign),
}


def penalty_undecorated(kind: Penalty, params: Params, strength: Array, m: Array) -> Array:
    """λ/m Σ value(W) without a rule of its own: autodiff's witness."""
    values = [kind.value(layer["W"]) for layer in params]
    return (strength / m).astype(values[0].dtype) * sum(values[1:], values[0])


def penalty_gradient(kind: Penalty, params: Params, strength: Array, m: Array) -> Params:
    """λ/m slope(W) for every layer, zero for the rest."""
    scale = (strength / m).astype(params[0]["W"].dtype)
    return type(params)(
        {name: scale * kind.slope(leaf) if name == "W" else jnp.zeros_like(leaf) for name, leaf in layer.items()}
        for layer in params
    )


def _forward(kind: Penalty, params: Params, strength: Array, m: Array) -> tuple[Array, tuple[Params, Array, Array]]:
    return penalty_undecorated(kind, params, strength, m), (params, strength, m)


def _backward(kind: Penalty, cache: tuple[Params, Array, Array], dJ: Array) -> tuple[Params, Array, Array]:
    params, strength, m = cache
    dparams = jax.tree.map(lambda leaf: dJ * leaf, penalty_gradient(kind, params, strength, m))
    # ∂/∂λ = 1/m Σ value, ∂/∂m = -λ/m · that
    per_strength = (dJ * penalty_undecorated(kind, params, jnp.ones_like(strength), m)).astype(strength.dtype)
    return dparams, per_strength, -strength / m * per_strength


# the same penalty, differentiated by `penalty_gradient`
penalty = jax.custom_vjp(penalty_undecorated, nondiff_argnums=(0,))
penalty.defvjp(_forward, _backward)


def within(params: Params, bound: ArrayLike) -> Params:
    """The parameters with every row of W, the weights into one unit, at most `bound` long; shorter rows stay exact.

    >>> layer = {"W": jnp.array([[3.0, 4.0], [0.3, 0.4]]), "b": jnp.ones((2, 1))}
    >>> within((layer,), 1.0)[0]["W"].round(6).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.30000001192092896, 0.4000000059604645]]
    """
    return type(params)({**layer, "W": _row_bound(layer["W"], bound)} for layer in params)


@partial(jax.named_call, name="max_norm")
def _row_bound(W: Array, bound: ArrayLike) -> Array:
    length = jnp.sqrt(jnp.square(W).sum(axis=-1, keepdims=True))
    return jnp.where(length > bound, W * (jnp.asarray(bound, W.dtype) / length), W)
