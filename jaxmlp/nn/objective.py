"""What training minimises: cost, penalties and noise as one record; and the batch on which J is computed.

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
from jaxmlp.nn.checks import check_inputs, check_params, check_targets, check_weights
from jaxmlp.nn.costs import Cost
from jaxmlp.nn.network import Network, Params
from jaxmlp.nn.normalization import wide
from jaxmlp.nn.penalties import PENALTIES, Penalty


class _Range(NamedTuple):
    """The numbers that a field of an objective may hold: least ≤ number < below."""

    least: float = 0.0
    below: float = math.inf


_MOST_DROPPED = 1 - 2.0**-25  # from here on a rate rounds to 1 in float32, and drops every unit
_RANGES = {
    "l2": _Range(),
    "examples": _Range(1e-30),  # a sum of weights may be below 1: AdaBoost's sum to 1 over all rows
    "l1": _Range(),
    "dropout": _Range(below=_MOST_DROPPED),
    "input_dropout": _Range(below=_MOST_DROPPED),
    "label_smoothing": _Range(below=1.0),
    "input_noise": _Range(),
    "mixup": _Range(),
    "max_norm": _Range(1e-6),
}
NOISE_FIELDS = ("dropout", "input_dropout", "input_noise", "mixup")  # what a training step draws random numbers for


def _option(help: str) -> Any:
    """Return a field without a value, with its help on the command line."""
    return dataclasses.field(default=None, metadata={"help": help})


@dataclass(frozen=True)
class Objective:
    """What training minimises. For JAX it is a small pytree: the cost is static, the numbers are leaves.

    Another number does not compile again, and `vmap` can map over it. None leaves that part out of the program.

    Args:
      cost: a name such as "quadratic", "huber(0.5)" or "poisson", or a `Cost`; None for the one that follows from the
        output.
      l2: λ of the penalty λ/(2m) Σ‖W‖².
      examples: the m of the penalties. None: the examples at hand (Σ w with weights). For mini-batches give the size of
        the training set, as `fit` does, so that the batches' costs average to the full cost.
      l1: λ of the penalty λ/m Σ|w|.
      dropout: the probability with which a training step sets a unit of a hidden layer to 0.
      input_dropout: the same for the features.
      label_smoothing: s, for the cross-entropies: y ← (1 - s) y + s/C.
      input_noise: σ of the normal noise that a training step adds to X.
      mixup: α; a training step mixes each example with another one by λ ~ Beta(α, α).
      max_norm: c, the largest norm of the weights into one unit: after a step ‖w_j‖ ≤ c.

    Raises:
      InputError: for a number out of its range or not finite.

    >>> Objective(cost="quadratic", l2=jnp.float32(0.5))
    Objective(cost='quadratic', l2=0.5)
    """

    cost: str | Cost | None = None
    l2: ArrayLike | None = _option("λ of the penalty λ/2m Σ‖W‖² [none].")
    examples: ArrayLike | None = None
    l1: ArrayLike | None = _option("λ of the penalty λ/m Σ|w| [none].")
    dropout: ArrayLike | None = _option("Fraction of the hidden units that each step drops [none].")
    input_dropout: ArrayLike | None = _option("Fraction of the features that each step drops [none].")
    label_smoothing: ArrayLike | None = _option("Smooth the labels: y ← (1 - s) y + s/C; this is s [none].")
    input_noise: ArrayLike | None = _option("σ of the noise added to the features [none].")
    mixup: ArrayLike | None = _option("Mix pairs of examples with λ ~ Beta(α, α); this is α [none].")
    max_norm: ArrayLike | None = _option("The largest norm of the weights into one unit [no limit].")

    def __post_init__(self) -> None:
        for name, bounds in _RANGES.items():
            object.__setattr__(self, name, _check_number(name, getattr(self, name), bounds))

    def __repr__(self) -> str:
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return f"Objective({', '.join(f'{name}={value!r}' for name, value in values.items() if value is not None)})"

    @property
    def noisy(self) -> bool:
        """Whether a training step draws noise."""
        return any(getattr(self, name) is not None for name in NOISE_FIELDS)

    def cost_for(self, net: Network) -> Cost:
        """Return the cost as a record, checked to be defined for the output of `net`."""
        return costs.find(self.cost, net.activations[-1])


def _flatten(objective: Objective) -> tuple[tuple[ArrayLike | None, ...], str | Cost | None]:
    # leaves in the order of _RANGES, on which `_unflatten` relies; None is a tree without leaves, so that an absent
    # term is absent from the program
    return tuple(getattr(objective, name) for name in _RANGES), objective.cost


def _unflatten(cost: str | Cost | None, leaves: Iterable[ArrayLike | None]) -> Objective:
    # without the checks of __post_init__: the leaves may be a gradient, which can be negative, or tracers
    objective = object.__new__(Objective)
    for name, value in zip(("cost", *_RANGES), (cost, *leaves), strict=True):
        object.__setattr__(objective, name, value)
    return objective


jax.tree_util.register_pytree_node(Objective, _flatten, _unflatten)


def _check_number(name: str, value: Any, bounds: _Range) -> Any:
    """Return a concrete scalar as a Python float, so that scalars of every type share one compiled program.

    Tracers and arrays to map over are returned as they are.
    """
    if value is None or isinstance(value, jax.core.Tracer):
        return value
    if isinstance(value, bool) or not (isinstance(value, Real) or hasattr(value, "ndim")):
        raise InputTypeError(sentence(name, "a number", repr(value), "leave it out for none"))
    if getattr(value, "ndim", 0):  # an array for vmap
        return value
    number = float(value)
    if not (math.isfinite(number) and bounds.least <= number < bounds.below):
        below = "" if math.isinf(bounds.below) else f" and < {bounds.below:g}"
        raise InputError(sentence(name, f"a finite number ≥ {bounds.least:g}{below}", value, "leave it out for none"))
    return number


# --- the batch --------------------------------------------------------------------------------------------------------


_COSTS_OF_LABELS = ("binary_cross_entropy", "categorical_cross_entropy")


class Batch(NamedTuple):
    """What J is computed on: X (n0, m), Y (n_L, m) or class ids (1, m), weights (1, m) or None."""

    X: Array
    Y: Array
    weights: Array | None = None


def check_objective(objective: object) -> None:
    """Raise unless `objective` is an `Objective`."""
    if not isinstance(objective, Objective):
        type_name = "a number or an array" if hasattr(objective, "dtype") else type(objective).__name__
        got = repr(objective) if isinstance(objective, str) else type_name
        raise InputTypeError(sentence("objective", "a jaxmlp.Objective", got, "write jaxmlp.Objective(cost=...)"))


def resolve_cost(objective: Objective | None, net: Network) -> Objective:
    """Return the objective, by default `Objective()`, with its cost as a record that fits the network's output.

    Raises:
      InputTypeError: when it is no `Objective`.
      InputError: for an array in place of a number, for a cost that is not defined for the output, and for label
        smoothing with a cost whose targets are not labels.
    """
    if objective is None:
        objective = Objective()
    check_objective(objective)
    for name in _RANGES:
        number = getattr(objective, name)
        if number is not None and jnp.shape(number):
            remedy = "use jax.vmap to go over several"
            raise InputError(sentence(name, "a single number", f"shape {jnp.shape(number)}", remedy))
    cost = objective.cost_for(net)
    if objective.label_smoothing is not None and cost.name not in _COSTS_OF_LABELS:
        expects, remedy = f"one of the costs {', '.join(_COSTS_OF_LABELS)}", "leave it out"
        raise InputError(sentence("label_smoothing", expects, cost.name, remedy))
    return dataclasses.replace(objective, cost=cost)


def check_batch(
    params: Params, X: ArrayLike, Y: ArrayLike, net: Network, objective: Objective | None, weights: ArrayLike | None
) -> tuple[Batch, Objective]:
    """Return the batch in the dtype of the parameters, and the objective with its cost resolved."""
    dtype = check_params(params, net)
    X = check_inputs(X, net, dtype)
    objective = resolve_cost(objective, net)
    m = X.shape[1]
    Y = check_targets(Y, objective.cost_for(net), net.sizes[-1], m, dtype)
    return Batch(X, Y, check_weights(weights, m, dtype)), objective


def penalty_numbers(objective: Objective, batch: Batch) -> list[tuple[Penalty, tuple[Array, Array]]]:
    """Return each penalty of the objective with its λ and m, in at least float32: float16 has no m above 65504."""
    dtype = wide(batch.X.dtype)
    if objective.examples is not None:
        m = objective.examples
    else:
        # the cost is a mean over Σ w: the penalty divides by the same number, so that both keep their proportion
        m = batch.X.shape[1] if batch.weights is None else batch.weights.astype(dtype).sum()
    strengths = ((penalty, getattr(objective, name)) for name, penalty in PENALTIES.items())
    return [
        (penalty, (jnp.asarray(strength, dtype), jnp.asarray(m, dtype)))
        for penalty, strength in strengths
        if strength is not None
    ]
