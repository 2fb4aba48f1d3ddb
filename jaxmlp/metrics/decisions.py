"""From logits to predicted labels, and to the number of correct ones: the same rule for training and for prediction.

The rule uses the logits where it can. Sigmoid and softmax are monotone: σ(z) > t exactly where z > ln(t/(1 - t)), and
the largest zₖ belongs to the largest aₖ, even where rounding has made two of the aₖ equal to 1. Other output
activations need not be monotone; for them the rule uses A.
"""

import math

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxmlp.nn.network import Network
from jaxmlp.nn.normalization import wide

TASK_OF_OUTPUT = {"sigmoid": "binary", "softmax": "multiclass"}
PROBABILITY_OUTPUTS = tuple(TASK_OF_OUTPUT)
"""The output activations whose values are probabilities."""


def default_task(net: Network) -> str:
    """Return the task that the output activation suggests; several sigmoids suggest several labels.

    >>> default_task(Network((2, 3), "relu", "sigmoid")), default_task(Network((2, 3), "relu", "identity"))
    ('multilabel', 'regression')
    """
    task = TASK_OF_OUTPUT.get(net.activations[-1].name, "regression")
    return "multilabel" if task == "binary" and net.sizes[-1] > 1 else task


def predict_labels(Z: Array | np.ndarray, net: Network, task: str, threshold: float = 0.5) -> Array | np.ndarray:
    """Return class ids (1, m); for several labels 0 and 1, (k, m).

    Args:
      Z: logits Z_L, of JAX or NumPy; so is the result.
      net: the network.
      task: "binary", "multiclass" or "multilabel".
      threshold: the output above which a single unit predicts 1, from 0 to 1.

    >>> net = Network((2, 1), "relu", "sigmoid")
    >>> Z = jnp.array([[-1.0, 1.0, 3.0]])
    >>> predict_labels(Z, net, "binary", threshold=0.9).tolist()                    # σ(1) = 0.73, σ(3) = 0.95
    [[0, 0, 1]]
    """
    g = net.activations[-1]
    monotone = g.name in TASK_OF_OUTPUT
    decisive = Z if monotone else g.apply(jnp.asarray(Z))
    if decisive.shape[0] > 1 and task != "multilabel":
        return decisive.argmax(axis=0, keepdims=True)
    return (decisive > (logit(threshold) if monotone else threshold)).astype(jnp.int32)  # a tie: class 0, as by argmax


def logit(a: float) -> float:
    """Return z with σ(z) = a; ±inf at 1 and 0."""
    if a in (0, 1):
        return math.inf if a else -math.inf
    return math.log(a / (1 - a))


def is_correct(Z: Array, Y: Array, net: Network, task: str) -> Array | None:
    """Return for each example whether its prediction is correct, booleans (1, m); None for regression.

    Args:
      Z: logits Z_L.
      Y: targets as the cost takes them: (n_L, m), or (1, m) class ids.
      net: the network.
      task: "binary", "multiclass", "multilabel" (correct if all labels are) or "regression".

    >>> net = Network((2, 3), "relu", "softmax")
    >>> Z = jnp.array([[1.0, 0.0], [3.0, 0.0], [2.0, 5.0]])
    >>> is_correct(Z, jnp.array([[1, 0]]), net, "multiclass").tolist()
    [[True, False]]
    """
    if task == "regression":
        return None
    labels = predict_labels(Z, net, task)
    # one-hot or soft columns: the class is the row of the largest label
    if task != "multilabel" and Y.shape[0] > 1:
        Y = Y.argmax(axis=0, keepdims=True)
    return (labels == Y.astype(labels.dtype)).all(axis=0, keepdims=True)


def n_correct(Z: Array, Y: Array, weights: Array | None, net: Network, task: str) -> Array | None:
    """Return how many predictions are correct, each counted with its weight; None for regression."""
    correct = is_correct(Z, Y, net, task)
    if correct is None:
        return None
    # bfloat16 counts exactly only up to 256: count in float32 at least, whatever the network computes in
    dtype = wide(Z.dtype)
    return correct.sum(dtype=dtype) if weights is None else (correct.astype(dtype) * weights.astype(dtype)).sum()
