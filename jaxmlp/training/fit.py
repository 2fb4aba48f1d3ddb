"""`fit`: a data set and a network in, trained parameters and their history out."""

import dataclasses
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jax import Array

from jaxmlp.data.dataset import Dataset
from jaxmlp.errors import InputError, InputTypeError, sentence
from jaxmlp.nn import costs
from jaxmlp.nn.network import Network, Params, check_network, check_params
from jaxmlp.nn.objective import Objective, check_objective
from jaxmlp.nn.penalties import PENALTIES
from jaxmlp.training.batches import make_batches
from jaxmlp.training.epoch import epochs as epochs_of
from jaxmlp.training.optimizers import make_optimizer
from jaxmlp.training.state import Report, TrainState, start
from jaxmlp.training.step import check_optimizer

EPOCHS = 50
BATCH_SIZE = 32
HIDDEN = (128,)
ACTIVATION = "relu"

Observer = Callable[[TrainState, Report], Any]

_OUTPUT = {"binary": "sigmoid", "multiclass": "softmax", "multilabel": "sigmoid", "regression": "identity"}


class Result(NamedTuple):
    """What `fit` returns: the network, its trained parameters, a report for each epoch, and the state to go on from."""

    net: Network
    params: Params
    history: tuple[Report, ...]
    state: TrainState


def network_for(data: Dataset, hidden: int | Iterable[int] = HIDDEN, activation: Any = ACTIVATION) -> Network:
    """A network with the data set's inputs and outputs.

    Args:
      data: its task decides the output: sigmoid for two classes or for several labels at once, softmax for more
        classes, identity for values.
      hidden: units of the hidden layers, or of the only one; () for none.
      activation: of the hidden layers, as for `Network`.

    Raises:
      InputError: for sizes or activations that `Network` refuses.

    >>> data = Dataset.from_arrays([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 2])
    >>> network_for(data, hidden=(4,))
    Network(sizes=(2, 4, 3), hidden=('relu',), output='softmax')
    """
    hidden = (hidden,) if isinstance(hidden, int) else tuple(hidden)
    return Network((data.n_features, *hidden, data.n_outputs), activation, _OUTPUT[data.task])


def fit(
    net: Network,
    data: Dataset | tuple[Any, Any],
    *,
    optimizer: optax.GradientTransformation | None = None,
    objective: Objective | None = None,
    epochs: int = EPOCHS,
    batch_size: int | str = BATCH_SIZE,
    key: Array | None = None,
    params: Params | None = None,
    scheme: Any = "auto",
    shuffle: bool = True,
    observers: Observer | Iterable[Observer] = (),
) -> Result:
    """Train a network.

    Args:
      net: the network; `network_for(data)` makes one that fits.
      data: a `Dataset`, or a pair (rows, labels) with one example per row, as for `Dataset.from_arrays`. Costs and
        accuracies of its validation part (of its test part, where it has none) are reported after every epoch.
      optimizer: any optax transformation; Adam with learning rate 0.001 if None.
      objective: cost and penalties; the cost that follows from the output if None. In its penalty λ/2m, m is the number
        of training rows, whatever the batch size.
      epochs: how often to go through the training rows.
      batch_size: rows per step, or "full" for all of them.
      key: of the initial weights and of the order of the rows; `jax.random.key(0)` if None.
      params: where to start from instead; left as they are. Their dtype is that of the computation.
      scheme: how the initial weights are drawn, as for `jaxmlp.init`.
      shuffle: whether each epoch draws a new order.
      observers: functions of (state, report) called after every epoch; a true answer ends the training. The state is
        consumed by the next epoch: copy what is to be kept.

    Returns:
      A `Result` with net, params, history and state.

    Raises:
      InputError: when data, network, objective or numbers do not fit together.
      DivergenceError: when the cost becomes infinite or not a number.

    >>> rows = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> result = fit(Network((2, 8, 1), "tanh", "sigmoid"), (rows, [0, 1, 1, 0]), batch_size="full", epochs=200,
    ...              optimizer=optax.adam(0.05))
    >>> len(result.history), result.history[-1].accuracy
    (200, 1.0)
    """
    check_network(net)
    data = _as_dataset(data)
    optimizer = make_optimizer() if optimizer is None else optimizer
    check_optimizer(optimizer)
    if not isinstance(epochs, (int, np.integer)) or epochs < 1:
        raise InputError(sentence("epochs", "a positive whole number", repr(epochs), f"write {EPOCHS}, say"))
    if params is not None and scheme != "auto":
        raise InputError(sentence("fit", "params or scheme", "both", "leave one of them out"))
    dtype = jax.dtypes.canonicalize_dtype(float) if params is None else check_params(params, net)
    objective = _for_training(Objective() if objective is None else objective, net, len(data.train.rows))
    batches = make_batches(data, net, objective, batch_size, dtype=dtype, shuffle=shuffle)
    state = start(jax.random.key(0) if key is None else key, net, optimizer, params, scheme=scheme)
    run = epochs_of(net, objective, optimizer, state, batches)
    observers = (observers,) if callable(observers) else tuple(observers)
    history = []
    for state, report in islice(run, int(epochs)):
        history.append(report)
        wishes = [observe(state, report) for observe in observers]  # every observer hears of every epoch
        if any(wishes):
            break
    return Result(net, state.params, tuple(history), state)


def _as_dataset(data: Any) -> Dataset:
    if isinstance(data, Dataset):
        return data
    if isinstance(data, tuple) and len(data) == 2:
        return Dataset.from_arrays(*data)
    remedy = "use jaxmlp.load or Dataset.from_arrays"
    raise InputTypeError(sentence("fit", "a Dataset or a pair (rows, labels)", type(data).__name__, remedy))


def _for_training(objective: Objective, net: Network, n_rows: int) -> Objective:
    """The objective with its cost found and the m of its penalty set to the size of the training part."""
    check_objective(objective)
    cost = costs.find(objective.cost, net.activations[-1])
    penalized = any(getattr(objective, name) is not None for name in PENALTIES)
    examples = n_rows if penalized and objective.examples is None else objective.examples
    return dataclasses.replace(objective, cost=cost, examples=examples)
