"""Which examples a network gets right.

Sigmoid and softmax are monotone, so their logits decide: σ(z) > 1/2 where z > 0, and the largest zₖ is the largest aₖ.
Other outputs are asked for A, with the threshold 1/2 between labels 0 and 1.
"""

from jax import Array

from jaxmlp.nn.network import Network

TASK_OF_OUTPUT = {"sigmoid": "binary", "softmax": "multiclass"}


def default_task(net: Network) -> str:
    """What labels mean where no data set says so: by the output, with several sigmoids as several labels.

    >>> default_task(Network((2, 3), "relu", "sigmoid")), default_task(Network((2, 3), "relu", "identity"))
    ('multilabel', 'regression')
    """
    task = TASK_OF_OUTPUT.get(net.activations[-1].name, "regression")
    return "multilabel" if task == "binary" and net.sizes[-1] > 1 else task


def correct(Z: Array, Y: Array, net: Network, task: str) -> Array | None:
    """Per example whether the network is right, (1, m) of 0 and 1; None for regression.

    Args:
      Z: logits Z_L.
      Y: targets as the cost takes them: (n_L, m), or (1, m) class ids.
      net: the network.
      task: "binary", "multiclass", "multilabel" (right if all labels are) or "regression".

    >>> import jax.numpy as jnp
    >>> net = Network((2, 3), "relu", "softmax")
    >>> Z = jnp.array([[1.0, 0.0], [3.0, 0.0], [2.0, 5.0]])
    >>> correct(Z, jnp.array([[1, 0]]), net, "multiclass").tolist()
    [[1.0, 0.0]]
    """
    if task == "regression":
        return None
    g = net.activations[-1]
    monotone = g.name in TASK_OF_OUTPUT
    scores = Z if monotone else g.apply(Z)
    if scores.shape[0] > 1 and task != "multilabel":
        ids = Y if Y.shape[0] == 1 else Y.argmax(axis=0, keepdims=True)
        right = scores.argmax(axis=0, keepdims=True).astype(ids.dtype) == ids
    else:
        threshold = 0 if monotone else 0.5
        right = ((scores > threshold) == (Y > 0.5)).all(axis=0, keepdims=True)
    return right.astype(Z.dtype)
