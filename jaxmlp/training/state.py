"""What training carries from step to step, and what it reports.

    moments    μ ← μ + 0.1 s (μ_batch - μ), σ² likewise   of batch normalisation, for evaluation; s = real rows / B
    average    θ̄ ← d θ̄ + (1 - d) θ                        an exponential moving average of the parameters

`TrainState` is all that the next step needs. `Snapshot` is all that a run needs to continue, and what a checkpoint
holds. `Report` is what a person reads.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.typing import DTypeLike

from jaxmlp.fork import refuse_after_fork
from jaxmlp.nn.checks import check_key, check_network, check_params
from jaxmlp.nn.forward import fold
from jaxmlp.nn.initializers import Initializer
from jaxmlp.nn.layer_stacks import stack_layers, unstack_layers
from jaxmlp.nn.network import Network, Params
from jaxmlp.nn.normalization import Moments
from jaxmlp.nn.parameters import init_stacks
from jaxmlp.nn.program_store import MAX_FUNCTIONS, Programs
from jaxmlp.nn.random_numbers import split_key
from jaxmlp.training.optimizer_identity import canonical_optimizer
from jaxmlp.training.optimizers import check_optimizer, is_elementwise


class TrainState(NamedTuple):
    """What the next step needs, as a pytree.

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
    """The metrics of an epoch, or of a step in a loop of your own.

    Attributes:
      cost: J, the mean over the training examples, each computed before the update that its batch makes.
      accuracy: the fraction of those examples that were classified correctly, each weighted as in the cost (by its
        class_weight and sample_weight); None for regression.
      validation_cost, validation_accuracy: of the validation part after the epoch; None without one.
      epoch, step: how many have been finished, counted from the start of the run.
      seconds: wall-clock time since the run began, without the time between a stop and its continuation.
      learning_rate: α of the epoch's last step; None where the optimizer brings its own.
      metrics: the requested metrics of the validation part; None without.
    """

    cost: Any
    accuracy: Any = None
    validation_cost: Any = None
    validation_accuracy: Any = None
    epoch: int | None = None
    step: Any = None
    seconds: float | None = None
    learning_rate: float | None = None
    metrics: dict[str, float] | None = None


class PartialEpoch(NamedTuple):
    """An epoch in the middle: sums over the steps that are done.

    Attributes:
      steps: how many are done.
      cost, n_correct, weight: Σ w J, the number classified correctly (None for regression) and Σ w.
      batch_size: of its steps.
      seconds: that the run has taken until here.
    """

    steps: int = 0
    cost: float = 0.0
    n_correct: float | None = None
    weight: float = 0.0
    batch_size: int = 0
    seconds: float = 0.0


class Best(NamedTuple):
    """The best epoch so far: its number, its metric (lower is better), and the parameters to predict with."""

    epoch: int
    value: float
    params: Params


class Coordinates(NamedTuple):
    """A state in the space of the training rows, where a run trains there: see `jaxmlp.training.row_space`.

    Attributes:
      state: of the smaller network, which the next step needs bit for bit.
      N: (n₁, n₀), the directions of W₁ that are orthogonal to the rows.
    """

    state: TrainState
    N: Array


class Snapshot(NamedTuple):
    """Where a run stands after an epoch or within a long one: all that it needs to continue as if it had never stopped.

    Attributes:
      state: what the next step needs.
      history: a report for each epoch so far.
      best: of early stopping; None without.
      partial: the epoch that the state is in the middle of; None after a whole one.
      coordinates: the state in the space of the rows; None for a run that trains the network itself.
    """

    state: TrainState
    history: tuple[Report, ...] = ()
    best: Best | None = None
    partial: PartialEpoch | None = None
    coordinates: Coordinates | None = None

    @property
    def seconds(self) -> float:
        """How long the run has taken so far."""
        if self.partial is not None:
            return self.partial.seconds
        return self.history[-1].seconds or 0.0 if self.history else 0.0


def init_state(
    key: Array,
    net: Network,
    optimizer: optax.GradientTransformation,
    params: Params | None = None,
    *,
    initializer: str | Initializer = "auto",
    dtype: DTypeLike | None = None,
    average: bool = False,
) -> TrainState:
    """Return the state before the first step.

    Args:
      key: a typed key, `jax.random.key(0)`.
      net, optimizer: as for `make_step`.
      params: where to start from; they are copied. Drawn by `jaxmlp.init` from `key` if None.
      initializer, dtype: for `jaxmlp.init`.
      average: whether a moving average of the parameters is kept.

    Raises:
      InputTypeError: when `key` is not a key, or `optimizer` not an optax transformation.
      InputError: when `params` are not those of `net`.

    >>> state = init_state(jax.random.key(0), Network((2, 1), "relu", "sigmoid"), optax.sgd(0.1))
    >>> int(state.step), state.params[0]["W"].shape
    (0, (1, 2))
    """
    refuse_after_fork("init_state")
    check_key(key)
    check_network(net)
    check_optimizer(optimizer)
    optimizer = canonical_optimizer(optimizer)
    runs = net.runs if is_elementwise(optimizer) else (1,) * net.depth
    if params is None:
        # two halves, so that no noise of a step repeats the numbers that the weights were drawn from
        init_key, key = split_key(key, 2)
        params = init_stacks(init_key, net, initializer, dtype)
        params = params if runs == net.runs else unstack_layers(params, net.runs)
    else:
        check_params(params, net)
        params = stack_layers(params, runs)
    return unstack_layers(_state_program(net, optimizer, average)(params, key), runs)


def trained_state(snapshot: Snapshot) -> TrainState:
    """Return the state that the next step of a run takes: in the space of the rows, where the run trains there."""
    return snapshot.state if snapshot.coordinates is None else snapshot.coordinates.state


def evaluation_params(net: Network, state: TrainState) -> tuple[Network, Params]:
    """Return network and parameters to predict with: the average if there is one, batch normalisation folded in."""
    return fold(state.params if state.average is None else state.average, state.moments, net)


@lru_cache(maxsize=MAX_FUNCTIONS)
def _state_program(net: Network, optimizer: optax.GradientTransformation, average: bool) -> Programs:
    """Return the program of parameters and key -> the state before the first step."""

    def first_state(params: Params, key: Array) -> TrainState:
        params = jax.tree.map(jnp.array, params)  # a copy: the step deletes its input, never what the caller gave
        # two counts, not one twice: a donated buffer must be there once
        step, epoch = jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32)  # scalars
        moments = ()
        if net.norm == "batch":
            moments = tuple(Moments(jnp.zeros_like(layer["b"]), jnp.ones_like(layer["b"])) for layer in params[:-1])
        averaged = jax.tree.map(jnp.array, params) if average else None
        return TrainState(params, optimizer.init(params), step, epoch, key, moments, averaged)

    return Programs(first_state)
