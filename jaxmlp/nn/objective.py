"""What is minimised: the cost, the penalties and the noise of training, as one record; and the batch it is computed on.

J = Σ w c / Σ w + λ₂/(2m) Σ_l ‖W_l‖² + λ₁/m Σ_l Σ|w|        penalties on the weights, never on the biases
"""

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Real
from typing import Any, NamedTuple

import jax
import jax.core
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxmlp.errors import InputError, InputTypeError, sentence
from jaxmlp.nn import costs
from jaxmlp.nn.costs import Cost
from jaxmlp.nn.network import Network, check_inputs, check_params
from jaxmlp.nn.noise import Rates
from jaxmlp.nn.normalization import wide
from jaxmlp.nn.penalties import PENALTIES


class _Range(NamedTuple):
    """What a number of an objective may be."""

    least: float = 0.0
    below: float = math.inf


_RANGES = {
    "l2": _Range(),
    "examples": _Range(1.0),
    "l1": _Range(),
    "dropout": _Range(below=1.0),
    "input_dropout": _Range(below=1.0),
    "label_smoothing": _Range(below=1.0),
    "input_noise": _Range(),
    "mixup": _Range(),
    "max_norm": _Range(1e-6),
}


@dataclass(frozen=True)
class Objective:
    """What is minimised. For JAX a small pytree: the cost's name is static, its numbers are leaves.

    Changing a number compiles nothing, and `vmap` can run over it. None leaves that part out of the program.

    Args:
      cost: a name such as "quadratic", "huber(0.5)" or "poisson", or a `Cost`; None follows from the output.
      l2: λ of the penalty λ/(2m) Σ‖W‖².
      examples: the m of the penalties. None: the examples at hand (Σ w with weights). For mini-batches give the size of
        the training set, as `fit` does, so that the batches' costs average to the full cost.
      l1: λ of the penalty λ/m Σ|w|.
      dropout: share of the units of every hidden layer that a training step silences.
      input_dropout: the same for the features.
      label_smoothing: s, for the cross-entropies: y ← (1 - s) y + s/C.
      input_noise: σ of the normal noise that a training step adds to X.
      mixup: α; a training step mixes each example with another one by λ ~ Beta(α, α).
      max_norm: c, the longest that the weights into one unit may grow: after a step ‖w_j‖ ≤ c.

    Raises:
      InputError: for a number out of its range or not finite.

    >>> Objective(cost="quadratic", l2=jnp.float32(0.5))
    Objective(cost='quadratic', l2=0.5)
    """

    cost: str | Cost | None = None
    l2: ArrayLike | None = None
    examples: ArrayLike | None = None
    l1: ArrayLike | None = None
    dropout: ArrayLike | None = None
    input_dropout: ArrayLike | None = None
    label_smoothing: ArrayLike | None = None
    input_noise: ArrayLike | None = None
    mixup: ArrayLike | None = None
    max_norm: ArrayLike | None = None

    def __post_init__(self) -> None:
        for name, bounds in _RANGES.items():
            object.__setattr__(self, name, _number(name, getattr(self, name), bounds))

    def __repr__(self) -> str:
        given = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return f"Objective({', '.join(f'{name}={value!r}' for name, value in given.items() if value is not None)})"

    @property
    def rates(self) -> Rates:
        """How much noise a training step draws."""
        return Rates(self.dropout, self.input_dropout, self.input_noise, self.mixup)

    @property
    def noisy(self) -> bool:
        """Whether a training step draws any."""
        return any(rate is not None for rate in self.rates)


def _flatten(objective: Objective) -> tuple[tuple[Any, ...], str | Cost | None]:
    return tuple(getattr(objective, name) for name in _RANGES), objective.cost


def _unflatten(cost: str | Cost | None, leaves: Iterable[Any]) -> Objective:
    """Without the checks of a user's numbers: the leaves may be a gradient, which is negative with good reason."""
    objective = object.__new__(Objective)
    for name, value in zip(("cost", *_RANGES), (cost, *leaves), strict=True):
        object.__setattr__(objective, name, value)
    return objective


jax.tree_util.register_pytree_node(Objective, _flatten, _unflatten)


def _number(name: str, value: Any, bounds: _Range) -> Any:
    """A concrete scalar as a Python float: all kinds of scalars share one compiled program. The rest as it is."""
    if value is None or isinstance(value, jax.core.Tracer):
        return value
    if isinstance(value, bool) or not (isinstance(value, Real) or hasattr(value, "ndim")):
        raise InputTypeError(sentence(name, "a number", repr(value), "leave it out for none"))
    if getattr(value, "ndim", 0):  # for vmap over it
        return value
    number = float(value)
    if not (math.isfinite(number) and bounds.least <= number < bounds.below):
        below = "" if math.isinf(bounds.below) else f" and < {bounds.below:g}"
        raise InputError(sentence(name, f"a finite number ≥ {bounds.least:g}{below}", value, "leave it out for none"))
    return number


# --- the batch --------------------------------------------------------------------------------------------------------


_SMOOTHED = ("binary_cross_entropy", "categorical_cross_entropy")


class Batch(NamedTuple):
    """What J is computed on: X (n0, m), Y (n_L, m) or class ids (1, m), weights (1, m) or None."""

    X: Array
    Y: Array
    weights: Array | None = None


def check_objective(objective: Any) -> None:
    """Raise unless `objective` is an `Objective`."""
    if not isinstance(objective, Objective):
        number = "a number or an array" if hasattr(objective, "dtype") else type(objective).__name__
        got = repr(objective) if isinstance(objective, str) else number
        raise InputTypeError(sentence("objective", "a jaxmlp.Objective", got, "write jaxmlp.Objective(cost=...)"))


def completed(objective: Any, net: Network) -> Objective:
    """The objective with its cost found; the default one if None.

    Raises:
      InputTypeError: when it is no `Objective`.
      InputError: for several values of a number, for a cost that is not defined for the output, and for label smoothing
        with a cost whose targets are no labels.
    """
    if objective is None:
        objective = Objective()
    check_objective(objective)
    for name in _RANGES:
        number = getattr(objective, name)
        if number is not None and jnp.shape(number):
            remedy = "use jax.vmap to go over several"
            raise InputError(sentence(name, "a single number", f"shape {jnp.shape(number)}", remedy))
    cost = costs.find(objective.cost, net.activations[-1])
    if objective.label_smoothing is not None and cost.name not in _SMOOTHED:
        remedy = "leave it out"
        raise InputError(sentence("label_smoothing", f"one of the costs {', '.join(_SMOOTHED)}", cost.name, remedy))
    return dataclasses.replace(objective, cost=cost)


def check_batch(
    params: Any, X: Any, Y: Any, net: Network, objective: Objective | None, weights: Any
) -> tuple[Batch, Objective]:
    """The batch in the dtype of the parameters and the objective with its cost found, or one clear error."""
    dtype = check_params(params, net)
    X = check_inputs(X, net, dtype)
    objective = completed(objective, net)
    Y = costs.check_targets(Y, costs.find(objective.cost, net.activations[-1]), net.sizes[-1], X.shape[1], dtype)
    weights = costs.check_weights(weights, X.shape[1], dtype)
    return Batch(X, Y, weights), objective


def penalty_numbers(objective: Objective, batch: Batch) -> list[tuple[Any, tuple[Array, Array]]]:
    """Each penalty of the objective with its λ and m, in float32 at least: float16 holds no m beyond 65504."""
    dtype = wide(batch.X.dtype)
    if objective.examples is not None:
        m = objective.examples
    else:
        m = batch.X.shape[1] if batch.weights is None else batch.weights.astype(dtype).sum()
    given = ((kind, getattr(objective, name)) for name, kind in PENALTIES.items())
    return [
        (kind, (jnp.asarray(strength, dtype), jnp.asarray(m, dtype)))
        for kind, strength in given
        if strength is not None
    ]
