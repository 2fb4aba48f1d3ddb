"""What training carries from step to step, and what it tells a person.

`TrainState` is all that the next step needs, and all that a checkpoint will hold; `Report` is what a person reads.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jaxmlp.nn.network import Network, Params, check_key, init


class TrainState(NamedTuple):
    """A pytree: parameters, the optimizer's memory, the steps and epochs finished, and the key of the run."""

    params: Params
    opt_state: Any
    step: Array
    epoch: Array
    key: Array


class Report(NamedTuple):
    """What happened in an epoch, or in a step of one's own loop.

    Attributes:
      cost: J, the mean over the examples seen, each before the update that its batch makes.
      accuracy: the share of those examples that were classified right; None for regression.
      validation_cost, validation_accuracy: of the validation part after the epoch; None without one.
      epoch, step: how many have been finished, counted from the start of the run.
      seconds: wall-clock time since the run (or its continuation) began.
    """

    cost: Any
    accuracy: Any = None
    validation_cost: Any = None
    validation_accuracy: Any = None
    epoch: int | None = None
    step: Any = None
    seconds: float | None = None


def start(
    key: Array,
    net: Network,
    optimizer: optax.GradientTransformation,
    params: Params | None = None,
    *,
    scheme: Any = "auto",
    dtype: Any = None,
) -> TrainState:
    """The state before the first step.

    Args:
      key: a typed key, `jax.random.key(0)`.
      net, optimizer: as for `make_step`.
      params: where to start from, left as they are; drawn by `jaxmlp.init` from `key` if None.
      scheme, dtype: for `jaxmlp.init`.

    Raises:
      InputTypeError: when `key` is not a key.

    >>> state = start(jax.random.key(0), Network((2, 1), "relu", "sigmoid"), optax.sgd(0.1))
    >>> int(state.step), state.params[0]["W"].shape
    (0, (1, 2))
    """
    check_key(key)
    if params is None:
        params, key = _draw(key, net, scheme, dtype)
    return _begin(params, key, optimizer)


# Two programs, not one: another optimizer must not compile the drawing of the weights again.


@partial(jax.jit, static_argnames=("scheme", "dtype"))
def _draw(key: Array, net: Network, scheme: Any, dtype: Any) -> tuple[Params, Array]:
    init_key, run_key = jax.random.split(key)
    return init(init_key, net, scheme, dtype), run_key


@partial(jax.jit, static_argnames="optimizer")
def _begin(params: Params, key: Array, optimizer: optax.GradientTransformation) -> TrainState:
    params = jax.tree.map(jnp.array, params)  # a copy: the step deletes its input, never what the caller gave
    zero = jnp.zeros((), jnp.int32)
    return TrainState(params, optimizer.init(params), zero, zero, key)
