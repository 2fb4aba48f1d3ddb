"""`fit`: a data set and a network in, trained parameters and their history out."""

import os
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from typing import Any

import jax
import numpy as np
import optax
from jax import Array
from jax.sharding import Mesh

from jaxmlp.data.dataset import Dataset
from jaxmlp.data.stream import StreamedDataset
from jaxmlp.errors import InputError, InputTypeError, sentence
from jaxmlp.nn.network import Network, Params, check_network
from jaxmlp.nn.objective import Objective
from jaxmlp.training import arguments
from jaxmlp.training.batches import make_batches
from jaxmlp.training.checkpoints import Checkpoints
from jaxmlp.training.epoch import Course, chunks
from jaxmlp.training.fingerprint import fingerprint
from jaxmlp.training.following import Follower, Observer, Result, looks
from jaxmlp.training.mesh import place
from jaxmlp.training.optimizers import DEFAULT as OPTIMIZER
from jaxmlp.training.program import fixed_for
from jaxmlp.training.progress import progress_bar
from jaxmlp.training.schedules import DEFAULT as SCHEDULE
from jaxmlp.training.schedules import make_rates, needs_length
from jaxmlp.training.state import start
from jaxmlp.training.step import Control, check_frozen
from jaxmlp.training.stopping import EarlyStopping, Snapshot, Watch, check_stopping
from jaxmlp.training.streamed import stream_batches

EPOCHS = 50
BATCH_SIZE = 32
HIDDEN = (128,)
ACTIVATION = "relu"

_OUTPUT = {"binary": "sigmoid", "multiclass": "softmax", "multilabel": "sigmoid", "regression": "identity"}


def network_for(
    data: Dataset,
    hidden: int | Iterable[int] = HIDDEN,
    activation: Any = ACTIVATION,
    norm: str | None = None,
    output: Any = None,
) -> Network:
    """A network with the data set's inputs and outputs.

    Args:
      data: its task decides the output: sigmoid for two classes or for several labels at once, softmax for more
        classes, identity for values.
      hidden: units of the hidden layers, or of the only one; () for none.
      activation, norm: of the hidden layers, as for `Network`.
      output: the activation of the last layer, where it is to be another.

    Raises:
      InputError: for sizes or activations that `Network` refuses.

    >>> data = Dataset.from_arrays([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 2])
    >>> network_for(data, hidden=(4,))
    Network(sizes=(2, 4, 3), hidden=('relu',), output='softmax', norm=None)
    """
    hidden = (hidden,) if isinstance(hidden, int) else tuple(hidden)
    return Network((data.n_features, *hidden, data.n_outputs), activation, output or _OUTPUT[data.task], norm)


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
    resume: "Result | Snapshot | None" = None,
    observers: Observer | Iterable[Observer] = (),
    checkpoints: Checkpoints | str | os.PathLike[str] | None = None,
    progress: bool = False,
    mesh: Mesh | int | str | tuple[int, int] | None = None,
) -> Result:
    """Train a network.

    Args:
      net: the network; `network_for(data)` makes one that fits.
      data: a `Dataset`, one whose rows stay in their file (`jaxmlp.stream`), or a pair (rows, labels) with one example
        per row, as for `Dataset.from_arrays`. Costs and accuracies of its validation part (of its test part, where it
        has none) are reported after every epoch; only those of a validation part decide on anything.
      optimizer: a name ("sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw", "lion", "muon", "lbfgs"), or any
        optax transformation, which brings its own learning rate; Adam if None.
      learning_rate: α of a named optimizer, any scalar, or a function step -> α; its usual one if None.
      schedule: how α changes: "constant", "step(0.5, 10)", "cosine", "one_cycle" or "plateau(0.1, 10)". A plateau
        watches what `stopping` does.
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
      freeze: layers, counted from 1, that stay as they are. With batch normalisation so do their running moments,
        by which they are then normalised in training too.
      precision: "float32", "float64" (needs jax_enable_x64), or "bfloat16": matrix products in bfloat16 on float32
        parameters. JAX's default float if None.
      stopping: when to stop early; the result is then that of the best epoch. It watches the cost of the validation
        part, and where there is none that of training: `data.hold_back(0.1)` gives one.
      metrics: names of `training.scores`, reported of the validation part (of the test part, where there is no other)
        after every epoch.
      resume: where to go on from, a `Result` or its snapshot, with the arguments that it was begun with. `epochs`
        counts from the very start: fit(epochs=3) and then fit(epochs=5, resume=result) is fit(epochs=5), and n calls
        with epochs = 1, 2, …, n are n epochs: what scikit-learn calls partial_fit. Not so where the schedule depends on
        the number of epochs, as cosine and one_cycle do: fit(epochs=3) then comes to its end at epoch 3.
      observers: functions of (state, report) called after every epoch; a true answer ends the training. One that has
        an attribute `reports_only` that is true is given None for the state, which then need not be fetched.
      checkpoints: a folder, or `Checkpoints` of one, where the run is kept as it goes, at most a few seconds behind;
        if it holds a checkpoint of this run, training goes on from there, unless `resume` is further; one of another
        run is refused: other rows, another key, another number of anything but epochs. Needs orbax-checkpoint.
      progress: whether to show a bar over the epochs, in a terminal or a notebook.
      mesh: devices to train on: "all", a number of them, (data, model) to split wide layers too, or a
        `jax.sharding.Mesh` with these axes. The result is that of one device, to rounding; a checkpoint of one mesh
        goes on on any other. With several processes (`jax.distributed`) each must call fit with the same arguments.

    Returns:
      A `Result` with net, params, snapshot, history, state and best_epoch.

    Raises:
      InputError: when data, network, objective or numbers do not fit together.
      DivergenceError: when the cost becomes infinite or not a number; its `last_good` is the `Result` before that
        epoch, or before that piece of a long one.

    >>> rows = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> result = fit(Network((2, 8, 1), "tanh", "sigmoid"), (rows, [0, 1, 1, 0]), batch_size="full", epochs=200,
    ...              learning_rate=0.05)
    >>> len(result.history), result.history[-1].accuracy
    (200, 1.0)
    >>> more = fit(Network((2, 8, 1), "tanh", "sigmoid"), (rows, [0, 1, 1, 0]), batch_size="full", epochs=201,
    ...            learning_rate=0.05, resume=result)    # one epoch more
    >>> len(more.history), more.history[:200] == result.history
    (201, True)
    """
    check_network(net)
    data, observers = arguments.as_dataset(data), arguments.observers_of(observers)
    check_epochs(epochs)
    resume = _start(params, scheme, resume)
    check_stopping(stopping, data.validation is not None)
    dtype, compute = arguments.dtypes(precision, params if resume is None else resume.state.params, net)
    frozen = check_frozen(freeze, net)
    arguments.check_moments(frozen, net, params)
    keeper = checkpoints if checkpoints is None or isinstance(checkpoints, Checkpoints) else Checkpoints(checkpoints)
    weights = arguments.row_weights(data, sample_weight, class_weight)
    objective = arguments.for_training(objective, net, arguments.n_examples(data, weights))
    layout = None if mesh is None else arguments.layout_of(mesh, net, data)
    control = Control(clip=arguments.optional("clip", clip), decay=arguments.decay_of(average))
    named = optimizer
    optimizer, rate = arguments.optimizer_and_rate(optimizer, learning_rate, schedule, warmup, weight_decay, batch_size)
    prepare: Any = stream_batches if isinstance(data, StreamedDataset) else make_batches
    batches = prepare(data, net, objective, batch_size, dtype=dtype, shuffle=shuffle, weights=weights)
    if layout is not None:
        batches = batches._replace(train=place(batches.train, layout), validation=place(batches.validation, layout))
    rates = None if rate is None else make_rates(rate, schedule, warmup, int(epochs), batches.steps)
    score = arguments.scorer(data, net, metrics, stopping)
    snapshot = resume
    if snapshot is None:
        key = jax.random.key(0) if key is None else key
        begun = start(key, net, optimizer, params, scheme=scheme, dtype=dtype, average=average is not None)
        snapshot = Snapshot(place(begun, layout))
    else:
        arguments.check_resumable(snapshot, optimizer, average, key, batches)
    if keeper is not None:
        settings = {
            "key": snapshot.state.key,
            "optimizer": named or OPTIMIZER,
            "learning_rate": rates.steps[: batches.steps] if rates is not None and callable(rate) else rate,
            "schedule": schedule,
            "warmup": float(warmup),
            "weight_decay": weight_decay,
            "epochs of the schedule": epochs if needs_length(schedule) else None,
            "batch_size": batches.batch_size,
            "shuffle": shuffle,
            "weights": weights,
            "clip": control.clip,
            "average": control.decay,
            "freeze": frozen,
            "precision": precision,
            "stopping": stopping,
        }
        if resume is None:  # else nobody knows them any more
            settings["first parameters"] = scheme if params is None else jax.tree.leaves(params)
        keeper.run |= fingerprint(net, data, objective, settings)
        kept = keeper.latest(snapshot.state)
        snapshot = snapshot if kept is None or int(kept.state.step) < int(snapshot.state.step) else kept
    resume = snapshot._replace(state=place(snapshot.state, layout))
    watch = Watch(stopping, data.validation is not None, resume)
    outputs = score is not None
    fixed = fixed_for(
        net, optimizer, resume.state, batches, frozen=frozen, compute=compute, outputs=outputs, layout=layout
    )
    if rates is not None and rates.plateau:  # an epoch's rates depend on the report of the one before
        fixed = fixed._replace(epochs=1)
    values = watch.values  # not the watch, which holds what holds the rates: a circle would keep the rows in memory
    alphas = None if rates is None else lambda epoch: rates.of(epoch, values)
    given = Course(net, objective, optimizer, batches, fixed, alphas, control, score)
    with progress_bar(int(epochs)) if progress else nullcontext() as bar:
        follower = Follower(net, watch, (bar, *observers) if bar else observers, keeper, layout)
        run = chunks(
            given,
            resume.state,
            unfinished=resume.unfinished,
            until=int(epochs),
            watched=stopping is not None or any(map(looks, follower.observers)),
            seconds=resume.seconds,
            between=follower.between,
        )
        return follower.follow(run)


def check_epochs(epochs: object) -> None:
    """Raise unless it is a positive whole number."""
    if not isinstance(epochs, int | np.integer) or epochs < 1:
        raise InputError(sentence("epochs", "a positive whole number", repr(epochs), f"write {EPOCHS}, say"))


def _start(params: Any, scheme: Any, resume: Any) -> Snapshot | None:
    """Where to go on from, or None; an error unless what is given goes together."""
    given = {"params": params is not None, "scheme": scheme != "auto", "resume": resume is not None}
    if sum(given.values()) > 1:
        both = " and ".join(name for name, is_given in given.items() if is_given)
        raise InputError(sentence("fit", "one of params, scheme and resume", both, "leave one of them out"))
    if isinstance(resume, Result):
        resume = resume.snapshot
    if not isinstance(resume, Snapshot | None):
        remedy = "give the Result of an earlier fit, or its snapshot"
        raise InputTypeError(sentence("resume", "a Result or a Snapshot", type(resume).__name__, remedy))
    return resume
