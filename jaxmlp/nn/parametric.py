"""Parametric activations: each hidden unit learns how much of its activation it uses.

    forward     A = s ⊙ g(Z) + (1 - s) ⊙ Z              s (n, 1), a number for each unit, which starts at 1
    backward    ds = row sums of dA ⊙ (g(Z) - Z)
                dZ = pullback of g at s ⊙ dA, plus (1 - s) ⊙ dA

With s = 1 it is the activation g, with s = 0 the layer is linear.

Source: Holzmüller et al. 2024 (RealMLP), arXiv 2407.04491.
"""

from jax import Array

from jaxmlp.nn.activations import Activation
from jaxmlp.nn.rule import Rule

# One unit by hand, g = relu, s = 1/4:
#   Z = (-2, 3):    g(Z) - Z = (2, 0),  A = (-2 + 2/4, 3 + 0) = (-3/2, 3)
#   dA = (1, 1):    ds = 1·2 + 1·0 = 2,  dZ = (0 + 3/4, 1/4 + 3/4) = (3/4, 1)

Cache = tuple[Array, Array, Array]  # s, Z, g(Z)


def _forward(activation: Activation, s: Array, Z: Array) -> tuple[Array, Cache]:
    """Return A (n, m) for s (n, 1) and Z (n, m), and what the backward pass needs."""
    G = activation.apply(Z)
    # not Z + s (G - Z), which rounds: s = 1 gives G itself
    return s * G + (1 - s) * Z, (s, Z, G)


def _backward(activation: Activation, cache: Cache, dA: Array) -> tuple[Array, Array]:
    """Return ds (n, 1) and dZ (n, m) for dA (n, m)."""
    s, Z, G = cache
    ds = (dA * (G - Z)).sum(axis=1, keepdims=True)
    return ds, activation.pullback(Z, G, s * dA) + (1 - s) * dA


# differentiated by `_backward`, and by JAX as a witness
parametric_activation = Rule(_forward, _backward, n_static=1)
