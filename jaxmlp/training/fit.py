"""`fit`: a data set and a network in, trained parameters and their history out."""

import os
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any, cast

import jax

from jaxmlp.data.dataset import Dataset
from jaxmlp.data.preprocessing import Preprocessing
from jaxmlp.errors import DivergenceError, InputError, InputTypeError, sentence, warn_user
from jaxmlp.fork import refuse_after_fork
from jaxmlp.nn.activations import Activation
from jaxmlp.nn.members import Widths
from jaxmlp.nn.network import Network, Params
from jaxmlp.parallel.distributed import all_reduce_max
from jaxmlp.parallel.mesh import shard
from jaxmlp.tabular.encoder import TableEncoder
from jaxmlp.training import presets
from jaxmlp.training.blocks import run_epochs
from jaxmlp.training.callbacks import Callback, CallbackFunction, as_callbacks
from jaxmlp.training.checkpoints import Checkpointer
from jaxmlp.training.config import TrainConfig
from jaxmlp.training.fingerprint import run_fingerprint
from jaxmlp.training.keywords import documents_options, resolve_config
from jaxmlp.training.loop import Result, TrainingLoop
from jaxmlp.training.preparation import MeshLike, as_dataset, begin, prepare
from jaxmlp.training.progress import progress_bar
from jaxmlp.training.state import Snapshot, trained_state

HIDDEN = (128,)
ACTIVATION = "relu"

_OUTPUTS = {"binary": "sigmoid", "multiclass": "softmax", "multilabel": "sigmoid", "regression": "identity"}


def network_for(
    data: Dataset,
    hidden: int | Iterable[int] | None = None,
    activation: str | Activation | Iterable[str | Activation] | None = None,
    norm: str | None = None,
    output: str | Activation | None = None,
    *,
    preset: str | None = None,
    members: int | None = None,
    parametric: bool | None = None,
) -> Network:
    """Return a network with the data set's inputs and outputs.

    Args:
      data: its task decides the output: sigmoid for two classes or for several labels at once, softmax for more
        classes, identity for values.
      hidden: units of the hidden layers, or of the only one; () for none; those of the preset, or one of 128, if None.
      activation, norm: of the hidden layers, as for `Network`; the activation is that of the preset, or relu, if None.
      output: the activation of the last layer; the one that follows from the task if None.
      preset: the name of a recipe, whose configuration is `TrainConfig.preset(name, data)`.
      members, parametric: as for `Network`; those of the preset if None.

    Raises:
      InputError: for sizes or activations that `Network` refuses, and for an unknown preset.
      InputTypeError: for data that is no data set.

    >>> data = Dataset.from_arrays([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 2])
    >>> network_for(data, hidden=(4,))
    Network(sizes=(2, 4, 3), hidden=('relu',), output='softmax', norm=None)
    """
    if not isinstance(data, Dataset):
        remedy = 'write network_for(jaxmlp.load("digits"), hidden=(100, 50)), say'
        raise InputTypeError(sentence("network_for", "a Dataset as its first argument", type(data).__name__, remedy))
    recipe = None if preset is None else presets.find(preset, data.task)
    if hidden is None:
        hidden = HIDDEN if recipe is None else recipe.hidden
    if activation is None:
        activation = ACTIVATION if recipe is None else recipe.activation
    if members is None:
        members = None if recipe is None else recipe.members
    if parametric is None:
        names = (activation,) if isinstance(activation, str | Activation) else activation
        parametric = recipe is not None and presets.is_parametric(recipe, names)
    hidden = (hidden,) if isinstance(hidden, int) else tuple(hidden)
    sizes = (data.n_inputs, *hidden, data.n_outputs)
    output = output or _OUTPUTS[data.task]
    widths = column_widths(members, data.preprocessing)
    return Network(sizes, cast(Any, activation), output, norm, members, parametric, widths)


def column_widths(members: int | None, encoder: Preprocessing | TableEncoder | None) -> Widths | None:
    """Return `Network.column_widths` for inputs that this encoder makes.

    Several members have a scale for each column of a table. A single one has a scale for each input, as RealMLP.
    """
    return None if members in (None, 1) or encoder is None else encoder.column_widths


@documents_options()
def fit(
    net: Network,
    data: Dataset | tuple[Any, Any],
    config: TrainConfig | None = None,
    *,
    params: Params | None = None,
    resume: Result | Snapshot | None = None,
    callbacks: Callback | CallbackFunction | Iterable[Callback | CallbackFunction] = (),
    checkpoints: Checkpointer | str | os.PathLike[str] | None = None,
    progress: bool = False,
    mesh: MeshLike | None = None,
    **options: Any,
) -> Result:
    """Train a network.

    Args:
      net: the network; `network_for(data)` makes one that fits.
      data: a `Dataset`, one whose rows stay in their file (`jaxmlp.stream`), or a pair (rows, labels) with one example
        per row, as for `Dataset.from_arrays`. Costs and accuracies of its validation part (of its test part, where it
        has none) are reported after every epoch; only those of a validation part decide on anything.
      config: the options below as one object; keywords change it.
      params: parameters to start from instead of random ones; they are copied. Their dtype is that of the computation.
      resume: where to continue from, a `Result` or its snapshot, with the options that it was begun with. `epochs`
        counts from the very start: fit(epochs=3) and then fit(epochs=5, resume=result) is fit(epochs=5), and n calls
        with epochs = 1, 2, …, n are n epochs: what scikit-learn calls partial_fit. Not so where the schedule depends on
        the number of epochs, as cosine, coslog and one_cycle do, or with fade: fit(epochs=3) then comes to its end at
        epoch 3.
      callbacks: functions of (state, report) called after every epoch, or `Callback` objects; a true answer ends the
        training. A `ReportCallback` sees the report alone, so that the state need not be fetched.
      checkpoints: a folder, or a `Checkpointer`, where the run is saved as it goes, at most a few seconds behind; if it
        holds a checkpoint of this run, training continues from there, unless `resume` is further. A checkpoint of
        another run is refused: other rows, another key, other options but the number of epochs. Needs orbax-checkpoint.
      progress: whether to show a bar over the epochs, in a terminal or a notebook.
      mesh: devices to train on: "all", a number of them, (data, model) to split wide layers too, or a
        `jax.sharding.Mesh` with these axes. The result is that of one device, to rounding; a checkpoint of one mesh
        continues on any other. With several processes (`jax.distributed`) each must call fit with the same arguments.

    Returns:
      A `Result` with net, params, snapshot, history, state and best_epoch.

    Raises:
      InputError: when data, network, objective or numbers do not fit together.
      DivergenceError: when the cost becomes infinite or not a number; its `last_good` is the `Result` before that
        epoch, or before that segment of a long one.

    >>> import numpy as np
    >>> rows = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> config = TrainConfig(batch_size="full", epochs=200, learning_rate=0.05)
    >>> net = Network((2, 8, 1), "tanh", "sigmoid")
    >>> result = fit(net, (rows, [0, 1, 1, 0]), config)
    >>> len(result.history), result.history[-1].accuracy
    (200, 1.0)
    >>> more = fit(net, (rows, [0, 1, 1, 0]), config, epochs=201, resume=result)    # one epoch more
    >>> len(more.history), more.history[:200] == result.history
    (201, True)
    """
    refuse_after_fork("fit")
    # prepare: everything is checked, and rows and state are on the device
    config, data = resolve_config("fit", config, options), as_dataset(data)
    user_callbacks = as_callbacks(callbacks)
    run = prepare(net, data, config, params, _snapshot_of(params, config, resume), mesh)
    snapshot, checkpointer = run.snapshot, _as_checkpointer(checkpoints)
    with ExitStack() as stack:
        # resume: from a checkpoint in the folder, if there is one of this run and it is further
        if checkpointer is not None:
            stack.enter_context(checkpointer.owned())  # before reading: another process may write into it
            # a run that is resumed may have begun with any parameters, so they are not compared
            checkpointer.run |= run_fingerprint(data, config, run, None if resume is not None else (params,))
            snapshot = checkpointer.latest_after(snapshot)
            snapshot = snapshot._replace(state=shard(snapshot.state, run.spec.static.sharding))
        # train: the blocks arrive, the callbacks see each epoch, and any of them may end the run
        spec, tracker, snapshot = begin(run, snapshot, config, data)
        loop = TrainingLoop(spec, snapshot, tracker)
        bar = (stack.enter_context(progress_bar(config.epochs)),) if progress else ()
        # The tracker first, because a snapshot contains what it has decided. The checkpoint last, so that no epoch is
        # saved whose callbacks have not run.
        active = [tracker, *bar, *user_callbacks, *(() if checkpointer is None else (checkpointer,))]
        # a run that had stopped early before it was resumed trains no further epoch
        if tracker.should_stop and resume is not None:
            stopped = f"the run had stopped early after epoch {len(snapshot.history)}, and trains no further epoch"
            warn_user(f"{stopped}: to go on, give its parameters to a new fit (params=result.params)")
        blocks = run_epochs(
            spec,
            trained_state(snapshot),
            partial=snapshot.partial,
            until=0 if tracker.should_stop else config.epochs,
            states_needed=any(callback.needs_state for callback in active),
            seconds=snapshot.seconds,
        )
        try:
            after_epoch = [callback.on_epoch_end for callback in active]
            after_segment = [callback.on_segment_end for callback in active]
            for _ in loop.follow(blocks):
                hooks = after_epoch if loop.partial is None else after_segment
                answers = [hook(loop) for hook in hooks]  # a list: each of them is called
                # all processes leave the loop after the same epoch: the next call of the device needs every one of them
                if all_reduce_max(any(answers)):
                    break
        except DivergenceError as error:
            error.last_good = loop.result()
            raise
        except BaseException:
            if jax.process_count() > 1:  # the other processes do not know, and a checkpoint is written by all together
                active.clear()
            raise
        finally:
            for callback in active:
                callback.on_train_end(loop)
        return loop.result()


def _snapshot_of(params: Params | None, config: TrainConfig, resume: object) -> Snapshot | None:
    """Return the snapshot to continue from, or None.

    Raises:
      InputError: when more than one of params, initializer and resume are given.
    """
    starts = {"params": params is not None, "initializer": config.initializer != "auto", "resume": resume is not None}
    if sum(starts.values()) > 1:
        both = " and ".join(name for name, is_given in starts.items() if is_given)
        raise InputError(sentence("fit", "one of params, initializer and resume", both, "leave one of them out"))
    snapshot = resume.snapshot if isinstance(resume, Result) else resume
    if not isinstance(snapshot, Snapshot | None):
        remedy = "give the Result of an earlier fit, or its snapshot"
        raise InputTypeError(sentence("resume", "a Result or a Snapshot", type(resume).__name__, remedy))
    return snapshot


def _as_checkpointer(checkpoints: Checkpointer | str | os.PathLike[str] | None) -> Checkpointer | None:
    return checkpoints if checkpoints is None or isinstance(checkpoints, Checkpointer) else Checkpointer(checkpoints)
