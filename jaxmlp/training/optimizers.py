"""Optimizers by name; in Python any optax transformation goes.

    sgd         θ ← θ - α dθ                                    the textbook's gradient descent
    momentum    v ← 0.9 v + dθ,  θ ← θ - α v
    nesterov    momentum, its gradient looked up where v is about to lead (Sutskever et al., 2013)
    rmsprop     s ← 0.9 s + 0.1 dθ²,  θ ← θ - α dθ / √(s + ε)
    adam        momentum and rmsprop with their bias corrected (Kingma and Ba, 2015)
    adamw       adam with decoupled weight decay, θ ← θ - α η W besides (Loshchilov and Hutter, 2019)
    lion        the sign of a momentum, with decoupled weight decay (Chen et al., 2023)
    muon        W by a momentum whose singular values are made 1, b by adam (Jordan et al., 2024)
    lbfgs       a quasi-Newton step with a line search, for full batches (Nocedal, 1980)

A named optimizer is made for α = 1, and each step's α multiplies its update: so α is a number of the program, not a
part of it, and neither another rate nor a schedule compiles anything. A line search finds α itself.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax
import optax

from jaxmlp.errors import InputError, sentence, unknown


class Optimizer(NamedTuple):
    """How to make it, from a rate or from a rate and a weight decay, and the numbers to take when none are given.

    Attributes:
      make: (α) -> optax transformation, or (α, η) where there is decoupled weight decay; () for a line search.
      learning_rate: α; None where the optimizer finds it itself.
      weight_decay: η; None where there is none.
      elementwise: whether it works on each number by itself, so that arrays may come to it in any shape.
    """

    make: Callable[..., Any]
    learning_rate: float | None
    weight_decay: float | None = None
    elementwise: bool = True


def _weights_only(params: Any) -> Any:
    """Which leaves weight decay shrinks: W, never b or γ."""
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1] == jax.tree_util.DictKey("W"), params)


def _muon(learning_rate: float) -> Any:
    """optax's muon, which tells matrices from the rest by their dimensions: it is shown b and γ, (n, 1), as (n,)."""
    inner = optax.contrib.muon(learning_rate)

    def shown(tree: Any) -> Any:
        return jax.tree.map(lambda leaf, is_W: leaf if is_W else leaf.ravel(), tree, _weights_only(tree))

    def update(updates: Any, state: Any, params: Any = None) -> Any:
        found, state = inner.update(shown(updates), state, shown(params))
        return jax.tree.map(lambda update, leaf: update.reshape(leaf.shape), found, updates), state

    return optax.GradientTransformation(lambda params: inner.init(shown(params)), update)


OPTIMIZERS = {
    "sgd": Optimizer(optax.sgd, 0.1),
    "momentum": Optimizer(lambda learning_rate: optax.sgd(learning_rate, momentum=0.9), 0.01),
    "nesterov": Optimizer(lambda learning_rate: optax.sgd(learning_rate, momentum=0.9, nesterov=True), 0.01),
    "rmsprop": Optimizer(optax.rmsprop, 1e-3),
    "adam": Optimizer(optax.adam, 1e-3),
    "adamw": Optimizer(
        lambda learning_rate, decay: optax.adamw(learning_rate, weight_decay=decay, mask=_weights_only), 1e-3, 1e-2
    ),
    "lion": Optimizer(
        lambda learning_rate, decay: optax.lion(learning_rate, weight_decay=decay, mask=_weights_only), 1e-4, 1e-2
    ),
    "muon": Optimizer(_muon, 0.02, elementwise=False),
    "lbfgs": Optimizer(optax.lbfgs, None, elementwise=False),
}
DEFAULT = "adam"


def make_optimizer(
    name: str = DEFAULT, learning_rate: float | None = None, weight_decay: float | None = None
) -> optax.GradientTransformation:
    """The optimizer of this name as an optax transformation for a loop of your own.

    Args:
      name: one of OPTIMIZERS.
      learning_rate: α; the optimizer's own usual one if None.
      weight_decay: η, for adamw and lion; their own usual one if None.

    Raises:
      InputError: for an unknown name, a learning rate that is not a positive number, and for a number that the
        optimizer does not take.

    >>> make_optimizer("sgd", 0.5).init({"W": 1.0}) == optax.sgd(0.5).init({"W": 1.0})
    True
    """
    return _made(name, usual_rate(name, learning_rate), _decay(name, weight_decay))


def unit_optimizer(name: str, weight_decay: float | None = None) -> optax.GradientTransformation:
    """The optimizer of this name for α = 1: equal arguments, equal object, so that its compiled programs are found.

    Raises:
      InputError: as for `make_optimizer`.
    """
    rate = usual_rate(name, None)
    return _made(name, rate and 1.0, _decay(name, weight_decay))


def usual_rate(name: str, learning_rate: Any) -> float | None:
    """The learning rate as a float, or the usual one of this optimizer; None for one that finds it itself.

    Raises:
      InputError: for an unknown name, a rate that is not a positive number, and any rate for a line search.
    """
    if name not in OPTIMIZERS:
        raise unknown("optimizer", name, OPTIMIZERS)
    usual = OPTIMIZERS[name].learning_rate
    if learning_rate is None or usual is None:
        if learning_rate is not None:
            remedy = "leave it out"
            raise InputError(sentence(f"optimizer {name!r}", "no learning rate: it finds its own", "one", remedy))
        return usual
    return positive("learning rate", learning_rate, f"try {usual:g} for {name!r}")


def positive(what: str, number: Any, remedy: str) -> float:
    """The number as a float: any scalar of Python, NumPy or JAX.

    Raises:
      InputError: when it is not a positive finite number.

    >>> positive("clip", 2, "leave it out")
    2.0
    """
    try:
        found = float(number)
    except (TypeError, ValueError):
        found = math.nan
    if not (math.isfinite(found) and found > 0):
        raise InputError(sentence(what, "a positive number", number, remedy))
    return found


def _decay(name: str, weight_decay: float | None) -> float | None:
    usual = OPTIMIZERS[name].weight_decay
    if weight_decay is None:
        return usual
    if usual is None:
        able = " and ".join(name for name, optimizer in OPTIMIZERS.items() if optimizer.weight_decay is not None)
        raise InputError(sentence("weight_decay", f"one of the optimizers {able}", repr(name), "or take l2 instead"))
    if weight_decay == 0:
        return 0.0
    return positive("weight_decay", weight_decay, f"try {usual:g} for {name!r}")


@cache
def _made(name: str, rate: float | None, decay: float | None) -> optax.GradientTransformation:
    made = OPTIMIZERS[name].make(*(number for number in (rate, decay) if number is not None))
    if OPTIMIZERS[name].elementwise:
        _elementwise.add(made)
    return made


_elementwise: set[optax.GradientTransformation] = set()


def is_elementwise(optimizer: optax.GradientTransformation) -> bool:
    """Whether it is known to work on each number by itself: one made here, for nobody knows another's.

    >>> is_elementwise(make_optimizer("adam")), is_elementwise(make_optimizer("muon")), is_elementwise(optax.adam(0.1))
    (True, False, False)
    """
    return optimizer in _elementwise
