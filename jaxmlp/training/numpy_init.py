"""Initial parameters as courses draw them: NumPy's generator, seeded, one layer after the other.

np.random.seed(s);   W_l = randn(n_l, n_{l-1}) · √v,   b_l = 0,   l = 1 … L;   v = 1/n_{l-1} for "lecun_normal"

JAX draws other numbers from its keys, so a cost that a course prints can be repeated only from these.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxmlp.errors import InputError, sentence
from jaxmlp.fork import refuse_after_fork
from jaxmlp.nn import initializers
from jaxmlp.nn.checks import check_network
from jaxmlp.nn.network import Network, Params


def init_numpy(
    net: Network, seed: int = 1, initializer: str = "lecun_normal", dtype: DTypeLike | None = None
) -> Params:
    """Draw the weights of a course: `np.random.seed(seed)`, then randn(n_l, n_{l-1}) times a factor, layer by layer.

    The factor is 1/√n_{l-1} for "lecun_normal", √(2/n_{l-1}) for "he_normal", 0.01 for "normal(0.01)". The seed is that
    of the course, not a key: NumPy's global generator is not touched.

    Args:
      net: the network.
      seed: of NumPy's generator.
      initializer: of normal numbers: "lecun_normal", "he_normal", "xavier_normal", "normal(0.01)"; or "zeros".
      dtype: of the parameters; JAX's default float if None.

    Returns:
      A tuple of {"W": (n_l, n_{l-1}), "b": (n_l, 1)}.

    Raises:
      InputError: for an initializer that does not draw normal numbers, and a seed that NumPy refuses.

    Source: the course's cat classifier, whose 12288-20-7-5-1 network has cost 0.771749 before its first step.

    >>> params = init_numpy(Network((2, 1), output="sigmoid"))
    >>> [round(float(w) * 2**0.5, 4) for w in params[0]["W"][0]]    # randn(1, 2) after seed 1
    [1.6243, -0.6118]
    """
    refuse_after_fork("init_numpy")
    check_network(net)
    if net.members is not None or net.parametric:  # no course has such a network
        got = "parametric activations" if net.parametric else f"{net.members} members"
        raise InputError(sentence("init_numpy", "a plain network", got, "draw the parameters with jaxmlp.init"))
    record = initializers.find(initializer)
    if record.name != "zeros" and not record.name.startswith(("normal", "lecun_normal", "he_normal", "xavier_normal")):
        expects, remedy = "an initializer of normal numbers", "take 'lecun_normal', 'he_normal' or 'normal(0.01)'"
        raise InputError(sentence("init_numpy", expects, repr(record.name), remedy))
    try:
        generator = np.random.RandomState(seed)  # the old generator: default_rng draws other numbers
    except (ValueError, TypeError):
        remedy = "write 1, say"
        raise InputError(sentence("seed", "a whole number from 0 to 2³² - 1", repr(seed), remedy)) from None
    dtype = jnp.dtype(dtype or jax.dtypes.canonicalize_dtype(float))
    params = []
    for row in net.shapes:
        W = generator.randn(*row.W) * math.sqrt(record.variance(row.n_in, row.n_out))  # drawn layer by layer, W alone
        layer = {"W": jnp.asarray(W, dtype), "b": jnp.zeros(row.b, dtype)}
        params.append(layer if row.norm is None else {**layer, "gamma": jnp.ones(row.b, dtype)})
    return tuple(params)
