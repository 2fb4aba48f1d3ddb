"""Callbacks: `fit` calls them after each epoch, and after each segment of a long epoch.

    fit(..., callbacks=lambda state, report: print(report.cost))      a function of (state, report)
    fit(..., callbacks=ReportCallback(lambda report: ...))            a function of the report: no state is fetched
    fit(..., callbacks=MyCallback())                                  an instance of a subclass of Callback

If a callback returns a true value, the training ends after that epoch. The progress bar, the history file, TensorBoard,
checkpoints, early stopping and Ctrl-C are callbacks of this protocol, too.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from jaxmlp.errors import InputTypeError, sentence
from jaxmlp.nn.network import Params
from jaxmlp.training.state import PartialEpoch, Report, Snapshot, TrainState

CallbackFunction = Callable[[TrainState, Report], object]


class Progress(Protocol):
    """The progress of a run, which a callback reads.

    Attributes:
      state: the state after the last epoch or segment; it is fetched from the device only when a callback reads it.
      history: a report for each epoch so far.
      partial: after a segment, the results of the epoch so far; None after an epoch.
    """

    @property
    def state(self) -> TrainState: ...

    @property
    def history(self) -> list[Report]: ...

    @property
    def partial(self) -> PartialEpoch | None: ...

    def params_getter(self) -> Callable[[], Params]:
        """Return a function that returns the parameters to predict with after the last epoch."""
        ...

    def snapshot(self) -> Snapshot:
        """Return all that the run needs to continue from here."""
        ...


class Callback:
    """The base class of callbacks; override the methods that you need.

    Attributes:
      needs_state: whether the callback reads `progress.state` after every epoch. If True, `fit` keeps the state of each
        epoch, or runs the epochs one by one if the states are large. If False, one call of the device can run many
        epochs, and only its last state exists.

    >>> class StopBelow(Callback):
    ...     def on_epoch_end(self, progress):
    ...         return progress.history[-1].cost < 0.5
    >>> StopBelow().needs_state
    False
    """

    needs_state = False

    def on_epoch_end(self, progress: Progress) -> object:
        """Act after an epoch, whose report is `progress.history[-1]`; a true return value ends the training."""

    def on_segment_end(self, progress: Progress) -> object:
        """Act between two segments of a long epoch; a true return value ends the training within the epoch."""

    def on_train_end(self, progress: Progress) -> object:
        """Act when the training has ended, with or without an error."""


class FunctionCallback(Callback):
    """A function of (state, report) as a callback."""

    needs_state = True  # the function takes the state of every epoch

    def __init__(self, function: CallbackFunction) -> None:
        self._function = function

    def on_epoch_end(self, progress: Progress) -> object:
        """Call the function."""
        return self._function(progress.state, progress.history[-1])


class ReportCallback(Callback):
    """A function of the report as a callback: without the state, an epoch costs no transfer of parameters.

    >>> import jaxmlp
    >>> costs = []
    >>> data = jaxmlp.load("xor")
    >>> result = jaxmlp.fit(jaxmlp.network_for(data), data, epochs=2,
    ...                     callbacks=ReportCallback(lambda report: costs.append(report.cost)))
    >>> len(costs)
    2
    """

    def __init__(self, function: Callable[[Report], object]) -> None:
        self._function = function

    def on_epoch_end(self, progress: Progress) -> object:
        """Call the function."""
        return self._function(progress.history[-1])


def as_callbacks(callbacks: object) -> tuple[Callback, ...]:
    """Return one or several callbacks or functions as a tuple of callbacks.

    Raises:
      InputTypeError: for an object that is neither a callback nor a function.
    """
    # an object that is callable and iterable is one callback: only other iterables are several
    if callable(callbacks) or isinstance(callbacks, Callback) or not isinstance(callbacks, Iterable):
        callbacks = (callbacks,)
    return tuple(_as_callback(callback) for callback in callbacks)


def _as_callback(callback: object) -> Callback:
    if isinstance(callback, Callback):
        return callback
    if not callable(callback):
        remedy = "write callbacks=lambda state, report: print(report.cost), for example"
        raise InputTypeError(sentence("callbacks", "functions of (state, report)", repr(callback), remedy))
    return FunctionCallback(callback)
