"""What an option of a training run is besides a field, and the checks of single values.

The options themselves are the fields of `jaxmlp.TrainConfig`.
"""

import inspect
import textwrap
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxmlp.errors import InputError, InputTypeError, is_listed, sentence
from jaxmlp.training.optimizers import positive

FULL = "full"
MAX_COUNT = 2**31 - 1  # of epochs, which a program counts in 32 bits


class Option(NamedTuple):
    """What is known of a field besides its type and default.

    Attributes:
      doc: its meaning, for docstrings.
      help: its help on the command line, or why there is no flag for it (then `flag` is "").
      flag: its name on the command line; the field's own if None, "" for no flag.
      in_fingerprint: whether a checkpoint refuses to continue a run with another value.
      on_grid: whether the members of a population may differ in it.
      in_population: whether `fit_many` takes it.
      in_range_test: whether `lr_find` takes it.
      choices: the values that the command line accepts; any if empty.
    """

    doc: str
    help: str
    flag: str | None = None
    in_fingerprint: bool = True
    on_grid: bool = False
    in_population: bool = True
    in_range_test: bool = False
    choices: tuple[str, ...] = ()


def with_options(docstring: str, options: Mapping[str, Option]) -> str:
    """Return the docstring with the options after its arguments, without the indentation of the source."""
    entries = (
        textwrap.fill(f"{name}: {option.doc}", 120, initial_indent=" " * 2, subsequent_indent=" " * 4)
        for name, option in options.items()
    )
    # Python 3.13 and later take the indentation away by themselves
    head, returns, tail = inspect.cleandoc(docstring).partition("\n\nReturns:")
    return "\n".join([head, *entries]) + returns + tail


def check_epochs(epochs: Any) -> None:
    """Raise unless it is a positive whole number that a counter of 32 bits can hold."""
    whole = isinstance(epochs, int | np.integer) and not isinstance(epochs, bool)
    if not whole or not 1 <= int(epochs) <= MAX_COUNT:
        expects = f"at most {MAX_COUNT:,}" if whole and int(epochs) > MAX_COUNT else "a positive whole number"
        raise InputError(sentence("epochs", expects, repr(epochs), "write 50, for example"))


def check_batch_size(batch_size: Any) -> None:
    """Raise unless it is a positive whole number, or "full"."""
    whole = isinstance(batch_size, int | np.integer) and not isinstance(batch_size, bool)
    is_valid = batch_size == FULL if isinstance(batch_size, str) else whole and int(batch_size) > 0
    if not is_valid:
        remedy = "write 32, for example"
        raise InputError(sentence("batch_size", "a positive whole number or 'full'", repr(batch_size), remedy))


def check_number(name: str, value: Any) -> float | None:
    """Return `clip_norm` or `ema_decay` as a float; None for none.

    Raises:
      InputError: for a number that is not positive, and for a decay that is not below 1.
    """
    if value is None:
        return None
    number = positive(name, value, "leave it out for none")
    if name == "ema_decay" and number >= 1:
        raise InputError(sentence(name, "a decay between 0 and 1", value, "write 0.999, for example"))
    return number


def layer_numbers(layers: object) -> tuple[int, ...]:
    """Return numbers of layers in order, each once.

    Raises:
      InputTypeError: when they are not whole numbers.
    """
    listed = list(layers) if is_listed(layers) else None
    if listed is None or not all(isinstance(l, int | np.integer) and not isinstance(l, bool) for l in listed):
        remedy = "write freeze=[1], or leave it out to train all layers"
        raise InputTypeError(sentence("freeze", "a list of layer numbers", repr(layers), remedy))
    return tuple(sorted({int(l) for l in listed}))
