"""The optimizers that have a name; in Python `fit` takes any optax transformation, too.

    sgd         θ ← θ - α dθ                                    the textbook's gradient descent
    momentum    v ← 0.9 v + dθ,  θ ← θ - α v
    nesterov    v ← 0.9 v + dθ,  θ ← θ - α (0.9 v + dθ)         (Sutskever et al., 2013)
    rmsprop     s ← 0.9 s + 0.1 dθ²,  θ ← θ - α dθ / √(s + ε)
    adam        momentum and rmsprop, both with bias correction (Kingma and Ba, 2015)
    adamw       adam with decoupled weight decay: also W ← W - α η W (Loshchilov and Hutter, 2019)
    adamw_ntk   adamw in the NTK parametrisation: α/√n_in for W, α/10 for b and s, 6 α for R (Holzmüller et al., 2024)
    lion        the sign of a momentum, with decoupled weight decay (Chen et al., 2023)
    muon        for W a momentum with all singular values set to 1, for b adam (Jordan et al., 2024)
    lbfgs       a quasi-Newton step with a line search, for full batches (Nocedal, 1980)

Other decay rates are written in parentheses: "momentum(0.8)", "nesterov(0.8)", "rmsprop(0.95, 1e-6)" with decay and ε,
"adam(0.9, 0.95, 1e-6)", "adamw" and "adamw_ntk" with β₁, β₂, ε, and "lion(0.9, 0.95)" with β₁, β₂.

In the NTK parametrisation a layer computes 1/√n_in V A, and V is trained. Its gradient is dV = 1/√n_in dW, but a step
of adam does not depend on such a factor (if ε is small beside the gradient): the step of V is that of W in the ordinary
form, and W = 1/√n_in V moves by 1/√n_in of it. The decay V ← V - α η V is W ← W - α η W. So adamw with one rate for
each of W, b, s and R trains the ordinary network as that parametrisation would. The factors of α for b, for s of
parametric activations and for R, the scales of members, are those of RealMLP.

A named optimizer is made for α = 1, and the training multiplies its update by the α of each step. So α is an input of
the compiled program: neither another rate nor a schedule compiles anything. A line search finds α itself.
"""

import math
from collections.abc import Callable
from functools import cache, wraps
from typing import Any, NamedTuple

import jax
import optax

from jaxmlp.errors import InputError, InputTypeError, sentence
from jaxmlp.nn.names import resolve


class Optimizer(NamedTuple):
    """The function that makes an optimizer, with the default numbers and the properties of the optimizer.

    Attributes:
      make: (α) -> optax transformation, or (α, η) with decoupled weight decay; () for a line search.
      learning_rate: the default α; None if the optimizer finds α itself.
      weight_decay: the default η; None without decoupled weight decay.
      elementwise: whether it updates each number independently of the others, so that equal layers may be stacked.
      linear: whether the update is a weighted sum of gradients, so that it rotates with the inputs of a layer.
    """

    make: Callable[..., Any]
    learning_rate: float | None
    weight_decay: float | None = None
    elementwise: bool = True
    linear: bool = False


def positive(name: str, number: Any, remedy: str) -> float:
    """Return the number as a float; it may be a scalar of Python, NumPy or JAX.

    Raises:
      InputError: when it is not a positive finite number.

    >>> positive("clip", 2, "leave it out")
    2.0
    """
    try:
        value = float(number)
    except (TypeError, ValueError):
        value = math.nan  # refused below, with the same error text
    if not (math.isfinite(value) and value > 0):
        raise InputError(sentence(name, "a positive number", number, remedy))
    return value


def _weights_only(params: object) -> Any:
    """Return the mask of weight decay: True for W, False for b and γ."""
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1] == jax.tree_util.DictKey("W"), params)


def _muon(learning_rate: float) -> Any:
    """Return optax's muon, to which b and γ, (n, 1), are passed as vectors (n,).

    It treats every two-dimensional array as a matrix: the update of b would be b's momentum divided by its norm.
    """
    inner = optax.contrib.muon(learning_rate)

    def with_vectors(tree: object) -> Any:
        return jax.tree.map(lambda leaf, is_W: leaf if is_W else leaf.ravel(), tree, _weights_only(tree))

    def update(updates: Any, state: Any, params: Any = None) -> Any:
        steps, state = inner.update(with_vectors(updates), state, with_vectors(params))
        return jax.tree.map(lambda update, leaf: update.reshape(leaf.shape), steps, updates), state

    return optax.GradientTransformation(lambda params: inner.init(with_vectors(params)), update)


def _decay_rate(name: str, number: object) -> float:
    """Return a checked decay rate as a float; `name` is the name of the optimizer."""
    # with a rate of 1 the bias correction of adam, 1 - β^t, would be 0
    if not (isinstance(number, int | float) and 0 <= number < 1):
        remedy = f"write {name!r} for the default rates"
        raise InputError(sentence(f"optimizer {name!r}", "decay rates from 0 to below 1", number, remedy))
    return float(number)


def _with_numbers(maker: Callable[..., Optimizer]) -> Callable[..., Optimizer]:
    """Return a cached maker: equal numbers give the same record, so "adam(0.9)" and "adam" are one optimizer.

    One record makes one transformation, by whose identity JAX finds the compiled programs again.
    """
    make, defaults = cache(maker), maker.__defaults__ or ()

    @wraps(maker)  # `resolve` reads the number of parameters from the signature
    def make_once(*numbers: float) -> Optimizer:
        return make(*numbers, *defaults[len(numbers) :])

    return make_once


@_with_numbers
def _momentum(beta: float = 0.9) -> Optimizer:
    beta = _decay_rate("momentum", beta)
    return Optimizer(lambda learning_rate: optax.sgd(learning_rate, momentum=beta), 0.01, linear=True)


@_with_numbers
def _nesterov(beta: float = 0.9) -> Optimizer:
    beta = _decay_rate("nesterov", beta)
    return Optimizer(lambda learning_rate: optax.sgd(learning_rate, momentum=beta, nesterov=True), 0.01, linear=True)


@_with_numbers
def _rmsprop(decay: float = 0.9, eps: float = 1e-8) -> Optimizer:
    decay, eps = _decay_rate("rmsprop", decay), positive("ε of rmsprop", eps, "try 1e-8")
    return Optimizer(lambda learning_rate: optax.rmsprop(learning_rate, decay=decay, eps=eps), 1e-3)


def _adam_numbers(name: str, b1: float, b2: float, eps: float) -> tuple[float, float, float]:
    return _decay_rate(name, b1), _decay_rate(name, b2), positive(f"ε of {name}", eps, "try 1e-8")


@_with_numbers
def _adam(b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> Optimizer:
    b1, b2, eps = _adam_numbers("adam", b1, b2, eps)
    return Optimizer(lambda learning_rate: optax.adam(learning_rate, b1, b2, eps), 1e-3)


@_with_numbers
def _adamw(b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> Optimizer:
    b1, b2, eps = _adam_numbers("adamw", b1, b2, eps)

    def make(learning_rate: float, decay: float) -> Any:
        return optax.adamw(learning_rate, b1, b2, eps, weight_decay=decay, mask=_weights_only)

    return Optimizer(make, 1e-3, 1e-2)


BIAS_FACTOR, ACTIVATION_FACTOR, SCALE_FACTOR = 0.1, 0.1, 6.0  # of the rate, for b, s and R


def _ntk_factor(path: tuple[Any, ...], leaf: Any) -> float:
    """Return the factor of α for an array of the parameters; n_in is the last axis of W, in a stack of layers too."""
    factors = {"W": 1 / math.sqrt(leaf.shape[-1]), "b": BIAS_FACTOR, "s": ACTIVATION_FACTOR, "R": SCALE_FACTOR}
    return factors.get(getattr(path[-1], "key", ""), 1.0)


@_with_numbers
def _adamw_ntk(b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> Optimizer:
    b1, b2, eps = _adam_numbers("adamw_ntk", b1, b2, eps)

    def scale(updates: object, params: object) -> Any:
        return jax.tree_util.tree_map_with_path(lambda path, leaf: leaf * _ntk_factor(path, leaf), updates)

    def make(learning_rate: float, decay: float) -> Any:
        return optax.chain(
            optax.scale_by_adam(b1, b2, eps),
            optax.stateless(scale),
            optax.add_decayed_weights(decay, _weights_only),  # after the factors: W decays by α η, without 1/√n_in
            optax.scale_by_learning_rate(learning_rate),
        )

    return Optimizer(make, 0.02, 1e-2)


@_with_numbers
def _lion(b1: float = 0.9, b2: float = 0.99) -> Optimizer:
    b1, b2 = _decay_rate("lion", b1), _decay_rate("lion", b2)

    def make(learning_rate: float, decay: float) -> Any:
        return optax.lion(learning_rate, b1, b2, weight_decay=decay, mask=_weights_only)

    return Optimizer(make, 1e-4, 1e-2)


_TABLE: dict[str, Optimizer | Callable[..., Optimizer]] = {
    "sgd": Optimizer(optax.sgd, 0.1, linear=True),
    "momentum": _momentum,
    "nesterov": _nesterov,
    "rmsprop": _rmsprop,
    "adam": _adam,
    "adamw": _adamw,
    "adamw_ntk": _adamw_ntk,
    "lion": _lion,
    "muon": Optimizer(_muon, 0.02, elementwise=False),
    "lbfgs": Optimizer(optax.lbfgs, None, elementwise=False),
}
DEFAULT = "adam"


@cache
def find(name: str) -> Optimizer:
    """Return the record of an optimizer by its name, with or without numbers in parentheses.

    Raises:
      InputError: for an unknown name, and for numbers outside their range.

    >>> find("adam(0.9, 0.95)").learning_rate, find("adam(0.9)") is find("adam")
    (0.001, True)
    """
    return resolve("optimizer", name, _TABLE)


OPTIMIZERS = {name: find(name) for name in _TABLE}


def rotates_with_inputs(optimizer: object) -> bool:
    """Whether an optimizer's update rotates with the inputs: inputs R x with weights W Rᵀ are then trained as x with W.

    Only optimizers by name are known; for an optax transformation the result is False.

    >>> rotates_with_inputs("momentum(0.8)"), rotates_with_inputs("adam"), rotates_with_inputs(optax.sgd(0.1))
    (True, False, False)
    """
    return isinstance(optimizer, str) and find(optimizer).linear


def make_optimizer(
    name: str = DEFAULT, learning_rate: float | None = None, weight_decay: float | None = None
) -> optax.GradientTransformation:
    """Return the optimizer of this name as an optax transformation, for a training loop that you write.

    Args:
      name: one of OPTIMIZERS, with or without numbers in parentheses.
      learning_rate: α; the default of the optimizer if None.
      weight_decay: η, for adamw and lion; the default of the optimizer if None.

    Raises:
      InputError: for an unknown name, a learning rate that is not a positive number, and for a number that the
        optimizer does not take.

    >>> make_optimizer("sgd", 0.5).init({"W": 1.0}) == optax.sgd(0.5).init({"W": 1.0})
    True
    """
    return _build(find(name), default_rate(name, learning_rate), default_decay(name, weight_decay))


def unit_optimizer(name: str, weight_decay: float | None = None) -> optax.GradientTransformation:
    """Return the optimizer of this name for α = 1; equal arguments give the same object.

    Raises:
      InputError: as for `make_optimizer`.
    """
    # a line search has no rate: None stays None
    rate = None if default_rate(name, None) is None else 1.0
    return _build(find(name), rate, default_decay(name, weight_decay))


def default_rate(name: str, learning_rate: object) -> float | None:
    """Return the learning rate as a float, or the optimizer's default if None; None for a line search.

    Raises:
      InputError: for an unknown name, a rate that is not a positive number, and any rate for a line search.
    """
    default = find(name).learning_rate
    if learning_rate is None or default is None:
        if learning_rate is not None:
            remedy = "leave it out"
            raise InputError(
                sentence(f"optimizer {name!r}", "no learning rate: it finds its own", learning_rate, remedy)
            )
        return default
    return positive("learning rate", learning_rate, f"try {default:g} for {name!r}")


def check_optimizer(optimizer: object) -> None:
    """Raise unless the optimizer is an optax transformation."""
    if not isinstance(optimizer, optax.GradientTransformation):
        remedy = "write optax.adam(1e-3), for example"
        raise InputTypeError(sentence("optimizer", "an optax transformation", type(optimizer).__name__, remedy))


def default_decay(name: str, weight_decay: float | None) -> float | None:
    """Return η as a float, or the optimizer's default if None; None for an optimizer without weight decay.

    Raises:
      InputError: for an η of an optimizer without, and for one that is not a number ≥ 0.

    >>> default_decay("adamw", None), default_decay("adam", None)
    (0.01, None)
    """
    default = find(name).weight_decay
    if weight_decay is None:
        return default
    if default is None:
        *names, last = (name for name, optimizer in OPTIMIZERS.items() if optimizer.weight_decay is not None)
        expects, remedy = f"one of the optimizers {', '.join(names)} and {last}", "choose one of them, or use l2"
        raise InputError(sentence("weight_decay", expects, repr(name), remedy))
    if weight_decay == 0:
        return 0.0  # a valid η, but not a positive number
    return positive("weight_decay", weight_decay, f"try {default:g} for {name!r}")


@cache
def _build(optimizer: Optimizer, rate: float | None, decay: float | None) -> optax.GradientTransformation:
    # cached, because JAX looks up a compiled program by the identity of the functions in a transformation
    transformation = optimizer.make(*(number for number in (rate, decay) if number is not None))
    if optimizer.elementwise:
        # a transformation of optax has no name or attribute that would say so later
        _elementwise.add(transformation)
    return transformation


_elementwise: set[optax.GradientTransformation] = set()


def is_elementwise(optimizer: optax.GradientTransformation) -> bool:
    """Whether the transformation comes from this module, and its optimizer is elementwise; False if nothing is known.

    >>> is_elementwise(make_optimizer("adam")), is_elementwise(make_optimizer("muon")), is_elementwise(optax.adam(0.1))
    (True, False, False)
    """
    return optimizer in _elementwise
