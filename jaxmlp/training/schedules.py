"""Learning rates over a run: α_t = α · f(t), where a name selects f, after a linear warm-up.

    constant                  f = 1
    step(factor, every)       f = factor^⌊epoch/every⌋                                                  0.5, 10
    cosine                    f = (1 + cos πt/T) / 2                                                    Loshchilov 2017
    coslog(n)                 f = (1 - cos 2π log₂(1 + (2ⁿ - 1) t/T)) / 2, n growing cycles   Holzmüller 2024
    one_cycle                 f rises from 1/25 to 1 in the first 30 % of T, then falls to 1/250,000    Smith 2018
    plateau(factor, n, δ)     f ← f · factor when n epochs have not improved the monitored metric by δ    0.1, 10, 0
    warm-up                   f ← f · t/t_w during the first t_w steps; the schedule begins after them

The rates of a run are numbers, computed before it starts and inputs of the compiled epoch. Only a plateau depends on
what the run reports, and on nothing else: a resumed run computes the same rates again. The curves are optax's. A
function step -> α in place of the rate replaces all of this.
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
    """The rule of a plateau: multiply α by `factor` after `patience` epochs without an improvement of `min_delta`."""

    factor: float
    patience: int
    min_delta: float = 0.0


Curve = Callable[[int, int], Any]  # steps after the warm-up, steps per epoch -> optax schedule with peak 1

# --- by name ----------------------------------------------------------------------------------------------------------


def _constant(total: int, per_epoch: int) -> Any:
    return optax.constant_schedule(1.0)


def _cosine(total: int, per_epoch: int) -> Any:
    return optax.cosine_decay_schedule(1.0, total)


def _one_cycle(total: int, per_epoch: int) -> Any:
    return optax.cosine_onecycle_schedule(max(total, 2), 1.0)


MAX_CYCLES = 30  # of coslog: the first cycle of more would be shorter than a step of any run


def _coslog(cycles: int = 4) -> Curve:
    cycles = _positive_integer("schedule coslog", cycles, "write coslog(4)", "cycles")
    if cycles > MAX_CYCLES:
        raise InputError(sentence("schedule coslog", f"at most {MAX_CYCLES} cycles", cycles, "write coslog(4)"))

    # n = 2, by hand: f = 0 at t/T = 0, 1/3 and 1, where cycles end; f = 1 at (√2 - 1)/3 = 0.14 and (2√2 - 1)/3 = 0.61
    def make(total: int, per_epoch: int) -> Any:
        # t/T before the factor: its product with a whole step would leave the range of int32
        return lambda step: 0.5 - 0.5 * jnp.cos(2 * jnp.pi * jnp.log2(1 + (2**cycles - 1) * (step / total)))

    return make


def _step(factor: float = 0.5, every: int = 10) -> Curve:
    factor = positive("schedule step", factor, "write step(0.5, 10)")
    every = _positive_integer("schedule step", every, "write step(0.5, 10)", "epochs")
    return lambda total, per_epoch: optax.exponential_decay(1.0, every * per_epoch, factor, staircase=True)


def _plateau(factor: float = 0.1, patience: int = 10, min_delta: float = 0.0) -> Plateau:
    if not 0 < factor < 1:
        raise InputError(sentence("schedule plateau", "a factor between 0 and 1", factor, "write plateau(0.1, 10)"))
    if not min_delta >= 0:
        raise InputError(sentence("schedule plateau", "min_delta ≥ 0", min_delta, "write plateau(0.1, 10, 0.001)"))
    return Plateau(
        factor, _positive_integer("schedule plateau", patience, "write plateau(0.1, 10)", "epochs"), min_delta
    )


def _positive_integer(what: str, number: object, remedy: str, counted: str) -> int:
    if not isinstance(number, int) or number < 1:
        raise InputError(sentence(what, f"a positive whole number of {counted}", number, remedy))
    return number


SCHEDULES: dict[str, Callable[..., Any]] = {
    "constant": lambda: _constant,
    "step": _step,
    "cosine": lambda: _cosine,
    "coslog": _coslog,
    "one_cycle": lambda: _one_cycle,
    "plateau": _plateau,
}
DEFAULT = "constant"
LENGTH_DEPENDENT = ("cosine", "coslog", "one_cycle")


def needs_length(schedule: str) -> bool:
    """Whether the rates of a schedule depend on how many epochs there are.

    >>> needs_length("coslog(4)"), needs_length("step(0.5, 10)")
    (True, False)
    """
    return schedule.partition("(")[0].strip() in LENGTH_DEPENDENT


# --- the rates of a run -----------------------------------------------------------------------------------------------


class LearningRates(NamedTuple):
    """The rate of every step of a run.

    Attributes:
      steps: α_t, (T,).
      per_epoch: steps in an epoch.
      plateau: None unless the schedule is a plateau.
    """

    steps: np.ndarray
    per_epoch: int
    plateau: Plateau | None = None

    def of_epoch(self, epoch: int, monitored: Sequence[float]) -> np.ndarray:
        """Return the rates of an epoch, counted from 0.

        Args:
          epoch: its number.
          monitored: the metric after each epoch so far, lower is better; only a plateau uses it.
        """
        rates = self.steps[epoch * self.per_epoch : (epoch + 1) * self.per_epoch]
        return rates if self.plateau is None else rates * plateau_factor(self.plateau, monitored)


def plateau_factor(plateau: Plateau, monitored: Sequence[float]) -> float:
    """Return factor^(how often `patience` epochs in a row brought no improvement).

    An improvement is below the lowest value so far by min_delta at least.

    >>> plateau_factor(Plateau(0.5, 2), [3.0, 2.0, 2.5, 2.5, 2.1, 2.2])    # after 2.5, 2.5 and again after 2.1, 2.2
    0.25
    """
    # computed anew from all reports of the run: a plateau has no state that a checkpoint would have to hold
    best, waited, factor = np.inf, 0, 1.0
    for value in monitored:
        # an improvement of exactly δ counts, but with δ = 0 an equal value is none
        improved = value < best if plateau.min_delta == 0 else value <= best - plateau.min_delta
        # the lowest value, also where it was no improvement: as in scikit-learn, whose learning_rate="adaptive" this is
        best, waited = min(best, value), 0 if improved else waited + 1
        if waited == plateau.patience:
            factor, waited = factor * plateau.factor, 0
    return factor


def make_rates(learning_rate: Any, schedule: str, warmup: float, epochs: int, per_epoch: int) -> LearningRates:
    """Compute the rates of a run.

    Args:
      learning_rate: α, or a function step -> α such as an optax schedule, beside which no named schedule is allowed.
      schedule: one of SCHEDULES, with its numbers in parentheses.
      warmup: the number of epochs, which may be a fraction, in which α rises from 0; 0 for none.
      epochs, per_epoch: the length of the run, in epochs and in steps per epoch.

    Raises:
      InputError: for an unknown schedule, and for numbers out of their range.

    >>> make_rates(0.5, "cosine", 0, epochs=2, per_epoch=2).steps.round(4).tolist()
    [0.5, 0.4268, 0.25, 0.0732]
    """
    total = epochs * per_epoch  # T, the steps of the run
    if callable(learning_rate):
        if schedule != DEFAULT or warmup:
            remedy = "put it into the function, or give the rate as a number"
            raise InputError(sentence("learning_rate", "a function alone", f"schedule {schedule!r}", remedy))
        return LearningRates(_values_of(learning_rate, total), per_epoch)
    curve = resolve("schedule", schedule, SCHEDULES)
    n_warmup = _warmup_steps(warmup, epochs, per_epoch)
    if curve is _constant and not n_warmup:  # a broadcast takes no memory, however many epochs the run has
        return LearningRates(np.broadcast_to(np.float64(learning_rate), total), per_epoch)
    rates = np.full(total, learning_rate, np.float64)
    if not isinstance(curve, Plateau) and curve is not _constant:
        rates[n_warmup:] *= _values_of(curve(total - n_warmup, per_epoch), total - n_warmup)
    # the first rate is not 0: that step would not use its batch
    rates[:n_warmup] *= np.arange(1, n_warmup + 1) / (n_warmup or 1)
    return LearningRates(rates, per_epoch, curve if isinstance(curve, Plateau) else None)


def _warmup_steps(warmup: float, epochs: int, per_epoch: int) -> int:
    """Return the number of steps of the warm-up."""
    try:
        length = float(warmup)
    except (TypeError, ValueError):
        length = np.nan
    if not 0 <= length < epochs or isinstance(warmup, str | bool):
        remedy = "write 0 for no warm-up"
        raise InputError(sentence("warmup", f"a number of epochs from 0 to less than {epochs}", warmup, remedy))
    return round(length * per_epoch)


def _values_of(schedule: Callable[[Any], Any], total: int) -> np.ndarray:
    """Return a schedule at every step."""
    try:
        with jax.numpy_dtype_promotion("standard"):  # a schedule of the user may mix integers and floats
            values = np.asarray(jax.jit(jax.vmap(schedule))(jnp.arange(total)), np.float64)  # (T,)
    except (TypeError, ValueError, jax.errors.ConcretizationTypeError):  # an ordinary Python function of a number
        values = np.array([float(schedule(step)) for step in range(total)])
    if values.shape != (total,) or not (np.isfinite(values) & (values >= 0)).all():
        remedy = "return one finite number per step, as optax.schedules do"
        raise InputTypeError(sentence("learning_rate", "a function step -> number ≥ 0", "other values", remedy))
    return values
