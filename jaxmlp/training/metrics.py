"""What a network answers, and which examples it gets right: one decision for training, prediction and evaluation.

The logits decide where they can: sigmoid and softmax are monotone, so σ(z) > t where z > ln(t/(1 - t)), and the largest
zₖ is the largest aₖ even where rounding has made both 1. Other outputs are asked for A.
"""

import math
from typing import Any

import jax.numpy as jnp
from jax import Array

from jaxmlp.nn.network import Network
from jaxmlp.nn.normalization import wide

TASK_OF_OUTPUT = {"sigmoid": "binary", "softmax": "multiclass"}


def default_task(net: Network) -> str:
    """What labels mean where no data set says so: by the output, with several sigmoids as several labels.

    >>> default_task(Network((2, 3), "relu", "sigmoid")), default_task(Network((2, 3), "relu", "identity"))
    ('multilabel', 'regression')
    """
    task = TASK_OF_OUTPUT.get(net.activations[-1].name, "regression")
    return "multilabel" if task == "binary" and net.sizes[-1] > 1 else task


def decide(Z: Any, net: Network, task: str, threshold: float = 0.5) -> Any:
    """Class ids (1, m); for several labels 0 and 1, (k, m).

    Args:
      Z: logits Z_L, of JAX or NumPy; the answer is an array of the same.
      net: the network.
      task: "binary", "multiclass" or "multilabel".
      threshold: the output above which one unit says yes, from 0 to 1.

    >>> net = Network((2, 1), "relu", "sigmoid")
    >>> decide(jnp.array([[-1.0, 1.0, 3.0]]), net, "binary", threshold=0.9).tolist()    # σ(1) = 0.73, σ(3) = 0.95
    [[0, 0, 1]]
    """
    g = net.activations[-1]
    monotone = g.name in TASK_OF_OUTPUT
    scores = Z if monotone else g.apply(Z)
    if scores.shape[0] > 1 and task != "multilabel":
        return scores.argmax(axis=0, keepdims=True)
    return (scores > (logit(threshold) if monotone else threshold)).astype(jnp.int32)


def logit(a: float) -> float:
    """z with σ(z) = a; ±inf at 1 and 0."""
    if a in (0, 1):
        return math.inf if a else -math.inf
    return math.log(a / (1 - a))


def correct(Z: Array, Y: Array, net: Network, task: str) -> Array | None:
    """Per example whether the network is right, booleans (1, m); None for regression.

    Args:
      Z: logits Z_L.
      Y: targets as the cost takes them: (n_L, m), or (1, m) class ids.
      net: the network.
      task: "binary", "multiclass", "multilabel" (right if all labels are) or "regression".

    >>> net = Network((2, 3), "relu", "softmax")
    >>> Z = jnp.array([[1.0, 0.0], [3.0, 0.0], [2.0, 5.0]])
    >>> correct(Z, jnp.array([[1, 0]]), net, "multiclass").tolist()
    [[True, False]]
    """
    if task == "regression":
        return None
    answers = decide(Z, net, task)
    if task != "multilabel" and Y.shape[0] > 1:
        Y = Y.argmax(axis=0, keepdims=True)
    return (answers == Y.astype(answers.dtype)).all(axis=0, keepdims=True)


def n_correct(Z: Array, Y: Array, weights: Array | None, net: Network, task: str) -> Array | None:
    """How many are right, each counted with its weight; in float32 at least, whatever the network computes in."""
    right = correct(Z, Y, net, task)
    if right is None:
        return None
    counted = wide(Z.dtype)
    return right.sum(dtype=counted) if weights is None else (right * weights.astype(counted)).sum()
