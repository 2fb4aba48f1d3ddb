"""Penalties on the weights, never on the biases, each with its slope; and the bound on the weights into one unit.

    l2          λ/(2m) Σ_l ‖W_l‖²          dW_l gains λ/m W_l
    l1          λ/m Σ_l Σ|w|               dW_l gains λ/m sign(w), 0 at w = 0
    max-norm    ‖w_j‖ ≤ c                  after every step a row w_j longer than c is scaled back to length c

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

from jaxmlp.nn.network import Params
from jaxmlp.nn.rule import Rule


class Penalty(NamedTuple):
    """λ/m Σ_l value(W_l).

    Attributes:
      name: the field of an `Objective` that holds its λ.
      value: W -> scalar.
      slope: W -> the derivative of `value`, shaped like W.
    """

    name: str
    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]


PENALTIES = {
    "l2": Penalty("l2", lambda W: jnp.square(W).sum() / 2, lambda W: W),
    "l1": Penalty("l1", lambda W: jnp.abs(W).sum(), jnp.sign),
}


def penalty_gradient(penalty: Penalty, params: Params, strength: Array, m: Array) -> Params:
    """Return λ/m slope(W) for every W, and zero for every other parameter."""
    scale = (strength / m).astype(params[0]["W"].dtype)  # λ/m
    return type(params)(
        {name: scale * penalty.slope(leaf) if name == "W" else jnp.zeros_like(leaf) for name, leaf in layer.items()}
        for layer in params
    )


def _penalty_value(penalty: Penalty, params: Params, strength: Array, m: Array) -> Array:
    values = [penalty.value(layer["W"]) for layer in params]
    return (strength / m).astype(values[0].dtype) * sum(values[1:], values[0])


def _penalty_forward(
    penalty: Penalty, params: Params, strength: Array, m: Array
) -> tuple[Array, tuple[Params, Array, Array]]:
    return _penalty_value(penalty, params, strength, m), (params, strength, m)


def _penalty_backward(penalty: Penalty, cache: tuple[Params, Array, Array], dJ: Array) -> tuple[Params, Array, Array]:
    params, strength, m = cache
    dparams = jax.tree.map(lambda leaf: dJ * leaf, penalty_gradient(penalty, params, strength, m))
    # ∂/∂λ = 1/m Σ value, ∂/∂m = -λ/m · that
    dstrength = (dJ * _penalty_value(penalty, params, jnp.ones_like(strength), m)).astype(strength.dtype)
    return dparams, dstrength, -strength / m * dstrength


# λ/m Σ value(W) as one function: differentiated by `penalty_gradient`, and by JAX as a witness
weight_penalty = Rule(_penalty_forward, _penalty_backward, n_static=1)


def clip_row_norms(params: Params, bound: ArrayLike) -> Params:
    """Return the parameters with every row of W, the weights into one unit, at most `bound` long.

    Rows that are short enough stay exactly as they are.

    >>> layer = {"W": jnp.array([[3.0, 4.0], [0.3, 0.4]]), "b": jnp.ones((2, 1))}
    >>> clip_row_norms((layer,), 1.0)[0]["W"].round(6).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.30000001192092896, 0.4000000059604645]]
    """
    return type(params)({**layer, "W": _clip_rows(layer["W"], bound)} for layer in params)


@partial(jax.named_call, name="max_norm")
def _clip_rows(W: Array, bound: ArrayLike) -> Array:
    length = jnp.sqrt(jnp.square(W).sum(axis=-1, keepdims=True))  # (n, 1); of a stack (k, n, 1)
    # a row of zeros gives 0 · inf = NaN in the branch that `where` drops; nothing differentiates this, so it does no
    # harm
    return jnp.where(length > bound, W * (jnp.asarray(bound, W.dtype) / length), W)
