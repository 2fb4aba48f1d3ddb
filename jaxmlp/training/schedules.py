"""Learning rates over a run: α_t = α · f(t), with f by name, after a linear warm-up.

    constant                  f = 1
    step(factor, every)       f = factor^⌊epoch/every⌋                                                  0.5, 10
    cosine                    f = (1 + cos πt/T) / 2                                                    Loshchilov 2017
    one_cycle                 f rises from 1/25 to 1 in the first 30 % of T, then falls to 1/250,000    Smith 2018
    plateau(factor, patience) f ← f · factor when the watched metric has not improved for `patience` epochs    0.1, 10
    warm-up                   f ← f · t/t_w during the first t_w steps; the schedule proper begins after them

The rates of a run are numbers, computed before it starts and handed to the compiled epoch step by step. Only a plateau
waits for what the run reports, and it is a function of the reports alone: a resumed run finds the same rates again.
The curves are optax's; a function of one's own, step -> α, takes the place of all of it.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxmlp.errors import InputError, InputTypeError, sentence
from jaxmlp.nn.names import resolve
from jaxmlp.training.optimizers import positive


class Plateau(NamedTuple):
    """What a plateau multiplies by, and after how many epochs without improvement."""

    factor: float
    patience: int


Curve = Callable[[int, int], Any]  # steps after the warm-up, steps per epoch -> optax schedule with peak 1

# --- by name ----------------------------------------------------------------------------------------------------------


def _constant(total: int, per_epoch: int) -> Any:
    return optax.constant_schedule(1.0)


def _cosine(total: int, per_epoch: int) -> Any:
    return optax.cosine_decay_schedule(1.0, total)


def _one_cycle(total: int, per_epoch: int) -> Any:
    return optax.cosine_onecycle_schedule(max(total, 2), 1.0)


def _step(factor: float = 0.5, every: int = 10) -> Curve:
    factor = positive("schedule step", factor, "write step(0.5, 10)")
    every = _whole("schedule step", every, "write step(0.5, 10)")
    return lambda total, per_epoch: optax.exponential_decay(1.0, every * per_epoch, factor, staircase=True)


def _plateau(factor: float = 0.1, patience: int = 10) -> Plateau:
    if not 0 < factor < 1:
        raise InputError(sentence("schedule plateau", "a factor between 0 and 1", factor, "write plateau(0.1, 10)"))
    return Plateau(factor, _whole("schedule plateau", patience, "write plateau(0.1, 10)"))


def _whole(what: str, number: Any, remedy: str) -> int:
    if not isinstance(number, int) or number < 1:
        raise InputError(sentence(what, "a positive whole number of epochs", number, remedy))
    return number


SCHEDULES: dict[str, Callable[..., Any]] = {
    "constant": lambda: _constant,
    "step": _step,
    "cosine": lambda: _cosine,
    "one_cycle": lambda: _one_cycle,
    "plateau": _plateau,
}
DEFAULT = "constant"


def needs_length(schedule: str) -> bool:
    """Whether the rates of a schedule depend on how many epochs there are.

    >>> needs_length("cosine"), needs_length("step(0.5, 10)")
    (True, False)
    """
    return resolve("schedule", schedule, SCHEDULES) in (_cosine, _one_cycle)


# --- the rates of a run -----------------------------------------------------------------------------------------------


class Rates(NamedTuple):
    """The rate of every step of a run.

    Attributes:
      steps: α_t, (T,).
      per_epoch: steps in an epoch.
      plateau: None unless the schedule is one.
    """

    steps: np.ndarray
    per_epoch: int
    plateau: Plateau | None = None

    def of(self, epoch: int, watched: Sequence[float]) -> np.ndarray:
        """The rates of an epoch, counted from 0.

        Args:
          epoch: which.
          watched: the metric after each epoch so far, lower is better; only a plateau asks for it.
        """
        rates = self.steps[epoch * self.per_epoch : (epoch + 1) * self.per_epoch]
        return rates if self.plateau is None else rates * reduced(self.plateau, watched)


def reduced(plateau: Plateau, watched: Sequence[float]) -> float:
    """What a plateau has come to: factor^(times that `patience` epochs in a row brought no improvement).

    >>> reduced(Plateau(0.5, 2), [3.0, 2.0, 2.5, 2.5, 2.1, 2.2])    # after 2.5, 2.5 and again after 2.1, 2.2
    0.25
    """
    best, waited, factor = np.inf, 0, 1.0
    for value in watched:
        best, waited = (value, 0) if value < best else (best, waited + 1)
        if waited == plateau.patience:
            factor, waited = factor * plateau.factor, 0
    return factor


def make_rates(learning_rate: Any, schedule: str, warmup: float, epochs: int, per_epoch: int) -> Rates:
    """The rates of a run.

    Args:
      learning_rate: α, or a function step -> α such as an optax schedule, which leaves nothing to a named one.
      schedule: one of SCHEDULES, with its numbers in parentheses.
      warmup: how many epochs α rises from 0, whole or not; 0 for none.
      epochs, per_epoch: the length of the run, in epochs and in steps per epoch.

    Raises:
      InputError: for an unknown schedule, and for numbers out of their range.

    >>> make_rates(0.5, "cosine", 0, epochs=2, per_epoch=2).steps.round(4).tolist()
    [0.5, 0.4268, 0.25, 0.0732]
    """
    total = epochs * per_epoch
    if callable(learning_rate):
        if schedule != DEFAULT or warmup:
            remedy = "put it into the function, or give the rate as a number"
            raise InputError(sentence("learning_rate", "a function alone", f"schedule {schedule!r}", remedy))
        return Rates(_values(learning_rate, total), per_epoch)
    curve = resolve("schedule", schedule, SCHEDULES)
    before = _warmup(warmup, epochs, per_epoch)
    rates = np.full(total, learning_rate, np.float64)
    if not isinstance(curve, Plateau) and curve is not _constant:
        rates[before:] *= _values(curve(total - before, per_epoch), total - before)
    rates[:before] *= np.arange(1, before + 1) / (before or 1)
    return Rates(rates, per_epoch, curve if isinstance(curve, Plateau) else None)


def _warmup(warmup: float, epochs: int, per_epoch: int) -> int:
    """Steps of the warm-up."""
    try:
        length = float(warmup)
    except (TypeError, ValueError):
        length = np.nan
    if not 0 <= length < epochs or isinstance(warmup, str | bool):
        remedy = "0 is none"
        raise InputError(sentence("warmup", f"a number of epochs from 0 to less than {epochs}", warmup, remedy))
    return round(length * per_epoch)


def _values(schedule: Callable[[Any], Any], total: int) -> np.ndarray:
    """A schedule at every step."""
    try:
        with jax.numpy_dtype_promotion("standard"):  # a schedule is Python: it mixes counts and rates
            values = np.asarray(jax.jit(jax.vmap(schedule))(jnp.arange(total)), np.float64)
    except (TypeError, ValueError, jax.errors.ConcretizationTypeError):  # an ordinary Python function of a number
        values = np.array([float(schedule(step)) for step in range(total)])
    if values.shape != (total,) or not (np.isfinite(values) & (values >= 0)).all():
        remedy = "see optax.schedules"
        raise InputTypeError(sentence("learning_rate", "a function step -> number ≥ 0", "something else", remedy))
    return values
