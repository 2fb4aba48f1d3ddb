"""Optimizers by name, for the command line; in Python any optax transformation goes.

sgd         θ ← θ - α dθ                                    the textbook's gradient descent
momentum    v ← 0.9 v + dθ,  θ ← θ - α v
rmsprop     s ← 0.9 s + 0.1 dθ²,  θ ← θ - α dθ / √(s + ε)
adam        momentum and rmsprop with their bias corrected (Kingma and Ba, 2015)
adamw       adam with decoupled weight decay 0.0001 (Loshchilov and Hutter, 2019)
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import optax

from jaxmlp.errors import InputError, sentence, unknown


class Optimizer(NamedTuple):
    """How to make it, and the learning rate to start with when none is given."""

    make: Callable[..., Any]
    learning_rate: float


OPTIMIZERS = {
    "sgd": Optimizer(optax.sgd, 0.1),
    "momentum": Optimizer(lambda learning_rate: optax.sgd(learning_rate, momentum=0.9), 0.01),
    "rmsprop": Optimizer(optax.rmsprop, 1e-3),
    "adam": Optimizer(optax.adam, 1e-3),
    "adamw": Optimizer(optax.adamw, 1e-3),
}
DEFAULT = "adam"


@cache  # the compiled programs are found by the optimizer object: equal arguments, equal object
def make_optimizer(name: str = DEFAULT, learning_rate: float | None = None) -> optax.GradientTransformation:
    """The optimizer of this name, with its own usual learning rate unless one is given.

    Raises:
      InputError: for an unknown name, and for a learning rate that is not a positive number.

    >>> make_optimizer("sgd", 0.5).init({"W": 1.0}) == optax.sgd(0.5).init({"W": 1.0})
    True
    """
    if name not in OPTIMIZERS:
        raise unknown("optimizer", name, OPTIMIZERS)
    if learning_rate is None:
        learning_rate = OPTIMIZERS[name].learning_rate
    if not (math.isfinite(learning_rate) and learning_rate > 0):
        usual = OPTIMIZERS[name].learning_rate
        raise InputError(sentence("learning rate", "a positive number", learning_rate, f"try {usual:g} for {name!r}"))
    return OPTIMIZERS[name].make(learning_rate)
