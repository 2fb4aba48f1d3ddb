"""One dense block: A = g(W A_prev + b), and three of the four equations of backpropagation.

    forward     Z  = W A_prev + b,  A = g(Z)
    BP2         dZ = pullback of g at dA                 for an elementwise g: dA ⊙ g'(Z)
                dA_prev = Wᵀ dZ
    BP3         db = Σ over columns of dZ, (n, 1)
    BP4         dW = dZ A_prevᵀ

No 1/m here: the cost J is already a mean, so dZ_L = (A_L - Y)/m carries it (BP1, in `costs`). `dense_forward` and
`dense_backward` are the only truth: the `Rule` below and the plain loop of `backprop.backprop` both call them.
"""

from jax import Array

from jaxmlp.nn.activations import Activation
from jaxmlp.nn.rule import Rule

LayerParams = dict[str, Array]  # {"W": (n, n_prev), "b": (n, 1)}
Cache = tuple[Array | None, Array, Array, Array]  # W, A_prev, Z, A

# One unit by hand, g = sigmoid:
#   W = (1/2, -1/4), b = 0, A_prev = (1, 2)ᵀ:    Z = 1·1/2 - 2·1/4 = 0,  A = 1/2,  g'(0) = 1/4
#   dA = 1:    dZ = 1/4,  db = 1/4,  dW = 1/4 · (1, 2) = (1/4, 1/2),  dA_prev = Wᵀ dZ = (1/8, -1/16)ᵀ


def dense_forward(activation: Activation, layer: LayerParams, A_prev: Array) -> tuple[Array, Cache]:
    """(W, b), A_prev (n_prev, m) -> A (n, m) and what the backward pass needs.

    A layer without W gets W A_prev in place of A_prev: of members it is computed together (`members`).
    """
    W = layer.get("W")
    Z = (A_prev if W is None else W @ A_prev) + layer["b"]
    A = activation.apply(Z)
    return A, (W, A_prev, Z, A)


def dense_backward(activation: Activation, cache: Cache, dA: Array) -> tuple[LayerParams, Array]:
    """dA (n, m) -> {"W": dW, "b": db}, dA_prev (n_prev, m); without W {"b": db} and the derivative by W A_prev."""
    W, A_prev, Z, A = cache
    dZ = activation.pullback(Z, A, dA)  # BP2
    db = dZ.sum(axis=1, keepdims=True)  # BP3; without keepdims b (n, 1) - (n,) would silently become (n, n)
    if W is None:
        return {"b": db}, dZ
    dW = dZ @ A_prev.T  # BP4
    return {"W": dW, "b": db}, W.T @ dZ


# the block as one function: differentiated by `dense_backward`, and by JAX as a witness
dense = Rule(dense_forward, dense_backward, n_static=1)
