"""`fit`: a data set and a network in, trained parameters and their history out."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jax import Array

from jaxmlp.data.dataset import Dataset
from jaxmlp.data.stream import StreamedDataset
from jaxmlp.errors import DivergenceError, InputError, sentence
from jaxmlp.nn.network import Network, Params, check_network
from jaxmlp.nn.objective import Objective
from jaxmlp.training import arguments
from jaxmlp.training.batches import make_batches
from jaxmlp.training.checkpoints import Checkpoints
from jaxmlp.training.epoch import epochs as epochs_of
from jaxmlp.training.epoch import evaluated
from jaxmlp.training.schedules import DEFAULT as SCHEDULE
from jaxmlp.training.schedules import make_rates
from jaxmlp.training.state import Report, TrainState, start
from jaxmlp.training.step import Control, check_frozen
from jaxmlp.training.stopping import EarlyStopping, Snapshot, Watch
from jaxmlp.training.streamed import stream_batches

EPOCHS = 50
BATCH_SIZE = 32
HIDDEN = (128,)
ACTIVATION = "relu"

Observer = Callable[[TrainState, Report], Any]

_OUTPUT = {"binary": "sigmoid", "multiclass": "softmax", "multilabel": "sigmoid", "regression": "identity"}


class Result(NamedTuple):
    """What `fit` returns.

    Attributes:
      net, params: the trained network, to answer with: batch normalisation folded in, averaged parameters if they were
        asked for, of the best epoch if early stopping chose one.
      snapshot: where the run stands, to go on from with `fit(..., resume=result.snapshot)`.
    """

    net: Network
    params: Params
    snapshot: Snapshot

    @property
    def history(self) -> tuple[Report, ...]:
        """A report for each epoch."""
        return self.snapshot.history

    @property
    def state(self) -> TrainState:
        """The state after the last epoch."""
        return self.snapshot.state

    @property
    def best_epoch(self) -> int | None:
        """The epoch that early stopping chose; None without."""
        return self.snapshot.best and self.snapshot.best.epoch


def network_for(
    data: Dataset, hidden: int | Iterable[int] = HIDDEN, activation: Any = ACTIVATION, norm: str | None = None
) -> Network:
    """A network with the data set's inputs and outputs.

    Args:
      data: its task decides the output: sigmoid for two classes or for several labels at once, softmax for more
        classes, identity for values.
      hidden: units of the hidden layers, or of the only one; () for none.
      activation, norm: of the hidden layers, as for `Network`.

    Raises:
      InputError: for sizes or activations that `Network` refuses.

    >>> data = Dataset.from_arrays([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 2])
    >>> network_for(data, hidden=(4,))
    Network(sizes=(2, 4, 3), hidden=('relu',), output='softmax', norm=None)
    """
    hidden = (hidden,) if isinstance(hidden, int) else tuple(hidden)
    return Network((data.n_features, *hidden, data.n_outputs), activation, _OUTPUT[data.task], norm)


def fit(
    net: Network,
    data: Dataset | tuple[Any, Any],
    *,
    optimizer: str | optax.GradientTransformation | None = None,
    learning_rate: Any = None,
    schedule: str = SCHEDULE,
    warmup: float = 0,
    weight_decay: float | None = None,
    objective: Objective | None = None,
    epochs: int = EPOCHS,
    batch_size: int | str = BATCH_SIZE,
    key: Array | None = None,
    params: Params | None = None,
    scheme: Any = "auto",
    shuffle: bool = True,
    sample_weight: Any = None,
    class_weight: Any = None,
    clip: float | None = None,
    average: float | None = None,
    freeze: Iterable[int] = (),
    precision: str | None = None,
    stopping: EarlyStopping | None = None,
    metrics: Sequence[str] = (),
    resume: Snapshot | None = None,
    observers: Observer | Iterable[Observer] = (),
    checkpoints: Checkpoints | str | os.PathLike[str] | None = None,
) -> Result:
    """Train a network.

    Args:
      net: the network; `network_for(data)` makes one that fits.
      data: a `Dataset`, one whose rows stay in their file (`jaxmlp.stream`), or a pair (rows, labels) with one example
        per row, as for `Dataset.from_arrays`. Costs and accuracies of its validation part (of its test part, where it
        has none) are reported after every epoch.
      optimizer: a name ("sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw", "lion", "muon", "lbfgs"), or any
        optax transformation, which brings its own learning rate; Adam if None.
      learning_rate: α of a named optimizer, any scalar, or a function step -> α; its usual one if None.
      schedule: how α changes: "constant", "step(0.5, 10)", "cosine", "one_cycle" or "plateau(0.1, 10)".
      warmup: epochs, whole or not, during which α rises from 0.
      weight_decay: decoupled decay of W, for adamw and lion.
      objective: cost, penalties and noise; the cost that follows from the output if None. In its penalties λ/m, m is
        the number of training rows (the sum of their weights), whatever the batch size.
      epochs: how often to go through the training rows.
      batch_size: rows per step, or "full" for all of them.
      key: of the initial weights, the order of the rows and the noise; `jax.random.key(0)` if None.
      params: where to start from instead; left as they are. Their dtype is that of the computation.
      scheme: how the initial weights are drawn, as for `jaxmlp.init`.
      shuffle: whether each epoch draws a new order.
      sample_weight: (m,), how much each training row counts. A whole number counts as so many equal rows.
      class_weight: "balanced", or {class id: weight}; multiplies sample_weight.
      clip: the longest gradient, over all leaves together.
      average: decay of an exponential moving average of the parameters, 0.999 say, which is the result.
      freeze: layers, counted from 1, that stay as they are.
      precision: "float32", "float64" (needs jax_enable_x64), or "bfloat16": matrix products in bfloat16 on float32
        parameters. JAX's default float if None.
      stopping: when to stop early; the result is then that of the best epoch.
      metrics: names of `training.scores`, reported of the validation part after every epoch.
      resume: where to go on from, the snapshot of a `Result` or of a checkpoint. `epochs` counts from the very start:
        fit(epochs=3) and then fit(epochs=5, resume=result.snapshot) is fit(epochs=5).
      observers: functions of (state, report) called after every epoch; a true answer ends the training.
      checkpoints: a folder, or `Checkpoints` of one, where the run is kept as it goes, at most a few seconds behind;
        if it holds a checkpoint of this run, training goes on from there. Needs orbax-checkpoint.

    Returns:
      A `Result` with net, params, snapshot, history, state and best_epoch.

    Raises:
      InputError: when data, network, objective or numbers do not fit together.
      DivergenceError: when the cost becomes infinite or not a number; its `last_good` is the `Result` before that
        epoch.

    >>> rows = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> result = fit(Network((2, 8, 1), "tanh", "sigmoid"), (rows, [0, 1, 1, 0]), batch_size="full", epochs=200,
    ...              learning_rate=0.05)
    >>> len(result.history), result.history[-1].accuracy
    (200, 1.0)
    """
    check_network(net)
    data = arguments.as_dataset(data)
    if not isinstance(epochs, (int, np.integer)) or epochs < 1:
        raise InputError(sentence("epochs", "a positive whole number", repr(epochs), f"write {EPOCHS}, say"))
    _check_one_start(params, scheme, resume)
    dtype, compute = arguments.dtypes(precision, params if resume is None else resume.state.params, net)
    frozen = check_frozen(freeze, net)
    keeper = checkpoints
    if isinstance(keeper, str | os.PathLike):
        keeper = Checkpoints(keeper)
    weights = arguments.row_weights(data, sample_weight, class_weight)
    n_rows = len(data.train.rows) if weights is None else float(np.sum(weights))
    objective = arguments.for_training(objective, net, n_rows)
    control = Control(clip=arguments.optional("clip", clip), decay=arguments.decay_of(average))
    optimizer, rate = arguments.optimizer_and_rate(optimizer, learning_rate, schedule, warmup, weight_decay, batch_size)
    prepare: Any = stream_batches if isinstance(data, StreamedDataset) else make_batches
    batches = prepare(data, net, objective, batch_size, dtype=dtype, shuffle=shuffle, weights=weights)
    rates = None if rate is None else make_rates(rate, schedule, warmup, int(epochs), batches.steps)
    score = arguments.scorer(data, net, metrics, stopping)
    if resume is None:
        key = jax.random.key(0) if key is None else key
        begun = start(key, net, optimizer, params, scheme=scheme, dtype=dtype, average=average is not None)
        resume = (keeper and keeper.latest(begun)) or Snapshot(begun)
    watch = Watch(stopping, batches.validation is not None, resume)
    run = epochs_of(
        net,
        objective,
        optimizer,
        resume.state,
        batches,
        rates=None if rates is None else lambda epoch: rates.of(epoch, watch.values),
        control=control,
        frozen=frozen,
        compute=compute,
        score=score,
        seconds=resume.history[-1].seconds or 0.0 if resume.history else 0.0,
    )
    observers = (observers,) if callable(observers) else tuple(observers)
    return _follow(islice(run, max(int(epochs) - int(resume.state.epoch), 0)), net, watch, observers, keeper)


def _check_one_start(params: Any, scheme: Any, resume: Any) -> None:
    given = {"params": params is not None, "scheme": scheme != "auto", "resume": resume is not None}
    if sum(given.values()) > 1:
        both = " and ".join(name for name, is_given in given.items() if is_given)
        raise InputError(sentence("fit", "one of params, scheme and resume", both, "leave one of them out"))


def _follow(
    run: Iterator[tuple[TrainState, Report]],
    net: Network,
    watch: Watch,
    observers: tuple[Observer, ...],
    keeper: Checkpoints | None,
) -> Result:
    """Go through the epochs of a run until it ends or somebody wishes it to."""
    try:
        for state, report in () if watch.over else run:
            watch.see(state, report, lambda state=state: _answer(net, state))
            wishes = [observe(state, report) for observe in observers]  # every observer hears of every epoch
            if keeper is not None:
                keeper.offer(watch.snapshot)
            if any(wishes) or watch.over:
                break
    except DivergenceError as error:
        error.last_good = _result(net, watch)
        raise
    finally:  # whatever ended it: the last whole epoch is not lost
        if keeper is not None and watch.values:
            keeper.keep(watch.snapshot())
    return _result(net, watch)


def _answer(net: Network, state: TrainState) -> tuple[Network, Params]:
    return evaluated(net, state.params, state.moments, state.average)


def _result(net: Network, watch: Watch) -> Result:
    snapshot = watch.snapshot()
    plain, params = _answer(net, snapshot.state)
    return Result(plain, params if snapshot.best is None else snapshot.best.params, snapshot)
