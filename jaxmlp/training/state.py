"""What training carries from step to step, and what it tells a person.

    moments    μ ← μ + 0.1 s (μ_batch - μ), σ² likewise   of batch normalisation, for evaluation; s = real rows / B
    average    θ̄ ← d θ̄ + (1 - d) θ                        an exponential moving average of the parameters

`TrainState` is all that the next step needs, and all that a checkpoint holds; `Report` is what a person reads.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jaxmlp.nn.network import Network, Params, check_key, check_network, check_params, init_stacks
from jaxmlp.nn.normalization import Moments
from jaxmlp.nn.stacks import stacked, unstacked
from jaxmlp.training.optimizers import is_elementwise


class TrainState(NamedTuple):
    """A pytree.

    Attributes:
      params: the parameters.
      opt_state: the optimizer's memory.
      step, epoch: how many have been finished.
      key: of the run; all that is random in a step follows from it and the number of the step.
      moments: of the batch-normalised layers; () without.
      average: the averaged parameters; None without.
    """

    params: Params
    opt_state: Any
    step: Array
    epoch: Array
    key: Array
    moments: tuple[Moments, ...] = ()
    average: Params | None = None


class Report(NamedTuple):
    """What happened in an epoch, or in a step of one's own loop.

    Attributes:
      cost: J, the mean over the examples seen, each before the update that its batch makes.
      accuracy: the share of those examples that were classified right, each counting as much as in the cost, by its
        class_weight and sample_weight; None for regression.
      validation_cost, validation_accuracy: of the validation part after the epoch; None without one.
      epoch, step: how many have been finished, counted from the start of the run.
      seconds: wall-clock time since the run began, without the time between a stop and its continuation.
      learning_rate: α of the epoch's last step; None where the optimizer brings its own.
      scores: the metrics asked for, of the validation part; None without.
    """

    cost: Any
    accuracy: Any = None
    validation_cost: Any = None
    validation_accuracy: Any = None
    epoch: int | None = None
    step: Any = None
    seconds: float | None = None
    learning_rate: float | None = None
    scores: dict[str, float] | None = None


class OfReports:
    """An observer of `fit` that looks at reports alone, so that no state need be fetched for it.

    >>> ends = OfReports(lambda report: report.cost < 0.1)
    >>> ends(None, Report(cost=0.5)), ends.reports_only
    (False, True)
    """

    reports_only = True

    def __init__(self, see: Callable[[Report], Any]) -> None:
        self._see = see

    def __call__(self, state: Any, report: Report) -> Any:
        """What it says to the report."""
        return self._see(report)


class Unfinished(NamedTuple):
    """An epoch in the middle: sums over the steps that are done.

    Attributes:
      steps: how many.
      cost, right, weight: Σ w J, the number right (None for regression) and Σ w.
      batch_size: of its steps.
      seconds: that the run has taken until here.
    """

    steps: Any = 0
    cost: Any = 0.0
    right: Any = None
    weight: Any = 0.0
    batch_size: int = 0
    seconds: float = 0.0


def start(
    key: Array,
    net: Network,
    optimizer: optax.GradientTransformation,
    params: Params | None = None,
    *,
    scheme: Any = "auto",
    dtype: Any = None,
    average: bool = False,
) -> TrainState:
    """The state before the first step.

    Args:
      key: a typed key, `jax.random.key(0)`.
      net, optimizer: as for `make_step`.
      params: where to start from, left as they are; drawn by `jaxmlp.init` from `key` if None.
      scheme, dtype: for `jaxmlp.init`.
      average: whether a moving average of the parameters is kept.

    Raises:
      InputTypeError: when `key` is not a key.
      InputError: when `params` are not those of `net`.

    >>> state = start(jax.random.key(0), Network((2, 1), "relu", "sigmoid"), optax.sgd(0.1))
    >>> int(state.step), state.params[0]["W"].shape
    (0, (1, 2))
    """
    check_key(key)
    check_network(net)
    runs = net.runs if is_elementwise(optimizer) else (1,) * net.depth
    if params is None:
        params, key = _draw(key, net, scheme, dtype)
        params = params if runs == net.runs else unstacked(params, net.runs)
    else:
        check_params(params, net)
        params = stacked(params, runs)
    return unstacked(_begin(params, key, net, optimizer, average), runs)


# Two programs, not one: another optimizer must not compile the drawing of the weights again. Equal layers are stacked.


@partial(jax.jit, static_argnames=("scheme", "dtype"))
def _draw(key: Array, net: Network, scheme: Any, dtype: Any) -> tuple[Params, Array]:
    init_key, run_key = jax.random.split(key)
    return init_stacks(init_key, net, scheme, dtype), run_key


@partial(jax.jit, static_argnames=("optimizer", "average"))
def _begin(
    params: Params, key: Array, net: Network, optimizer: optax.GradientTransformation, average: bool
) -> TrainState:
    params = jax.tree.map(jnp.array, params)  # a copy: the step deletes its input, never what the caller gave
    # two counts, not one twice: a donated buffer must be there once
    step, epoch = jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32)
    moments = ()
    if net.norm == "batch":
        moments = tuple(Moments(jnp.zeros_like(layer["b"]), jnp.ones_like(layer["b"])) for layer in params[:-1])
    averaged = jax.tree.map(jnp.array, params) if average else None
    return TrainState(params, optimizer.init(params), step, epoch, key, moments, averaged)
