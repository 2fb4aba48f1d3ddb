"""One step of training: J and its gradient on a batch, then the optimizer's update.

plain gradient descent:  θ ← θ - α dθ           optax.sgd(α)
"""

from typing import cast

import jax
import optax
from jax import Array

from jaxmlp.data.tasks import TASKS
from jaxmlp.errors import InputTypeError, sentence, unknown
from jaxmlp.nn.backprop import evaluate
from jaxmlp.nn.network import Network, Params, check_network
from jaxmlp.nn.objective import Batch, Objective, check_batch
from jaxmlp.training.metrics import default_task, n_correct
from jaxmlp.training.state import Report, TrainState


def update(
    state: TrainState, batch: Batch, net: Network, objective: Objective, optimizer: optax.GradientTransformation
) -> tuple[TrainState, Array, Array]:
    """The next state, and J and Z_L as they were before the update; for a checked batch."""

    def J_of(params):
        return evaluate(params, batch, net, objective)

    (J, Z), dparams = jax.value_and_grad(J_of, has_aux=True)(state.params)
    # line searches (L-BFGS) and plateau schedules read these; every other optimizer ignores them
    more = {"value": J, "grad": dparams, "value_fn": lambda params: J_of(params)[0]}
    optimizer = optax.with_extra_args_support(optimizer)
    updates, opt_state = optimizer.update(dparams, state.opt_state, state.params, **more)
    params = optax.apply_updates(state.params, updates)
    return state._replace(params=cast(Params, params), opt_state=opt_state, step=state.step + 1), J, Z


def check_optimizer(optimizer: object) -> None:
    """Raise unless `optimizer` is an Optax transformation that jit can hold on to."""
    if not isinstance(optimizer, optax.GradientTransformation):
        got = type(optimizer).__name__
        raise InputTypeError(sentence("optimizer", "an optax transformation", got, "write optax.adam(1e-3), say"))


def make_step(
    net: Network,
    optimizer: optax.GradientTransformation,
    objective: Objective | None = None,
    *,
    task: str | None = None,
):
    """A compiled step for a training loop of your own.

    The step is `state, report = step(state, X, Y, weights=None)`. It deletes the state that it is given (its buffers
    are donated to the new one) and compiles once for each shape of batch; make one step and keep it.

    Args:
      net: the network.
      optimizer: any optax transformation.
      objective: cost and penalties; by default the cost that follows from the output.
      task: what counts as right in `report.accuracy`; by default it follows from the output.

    Returns:
      The step. X (n0, m), Y and weights are as for `jaxmlp.cost`; `report` holds cost, accuracy and step as arrays.

    Raises:
      InputTypeError: when `optimizer` is not an optax transformation.
      InputError: for an unknown task.

    >>> import jax.numpy as jnp
    >>> from jaxmlp.training.state import start
    >>> net = Network((2, 1), "relu", "sigmoid")
    >>> optimizer = optax.sgd(0.5)
    >>> state, step = start(jax.random.key(0), net, optimizer), make_step(net, optimizer)
    >>> for _ in range(100):
    ...     state, report = step(state, jnp.array([[0.0, 1.0], [1.0, 0.0]]), jnp.array([[0.0, 1.0]]))
    >>> int(report.step), float(report.accuracy), bool(report.cost < 0.1)
    (100, 1.0, True)
    """
    check_network(net)
    check_optimizer(optimizer)
    if task not in (None, *TASKS):
        raise unknown("task", task, TASKS)
    task = task or default_task(net)

    def step(state: TrainState, X: Array, Y: Array, weights: Array | None = None) -> tuple[TrainState, Report]:
        batch, checked = check_batch(state.params, X, Y, net, objective, weights)
        state, J, Z = update(state, batch, net, checked, optimizer)
        right = n_correct(Z, batch.Y, batch.weights, net, task)
        total = X.shape[1] if batch.weights is None else batch.weights.sum()
        accuracy = None if right is None else right / total
        return state, Report(J, accuracy, step=state.step)

    return jax.jit(step, donate_argnums=0)
