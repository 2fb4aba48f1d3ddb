"""What is minimised, J = cost + penalties, and its gradient twice: by `custom_vjp`, and as the textbook's plain loop.

    J = Σ w c / Σ w + λ/(2m) Σ_l ‖W_l‖²                L2 on the weights, never on the biases
    dW_l gains λ/m W_l

`jax.grad(cost)` composes the rules of `dense`, `costs` and the penalty; `backprop` writes the same four equations out
from the output to the input. Both call the same functions, so a test of one is a test of the other.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from numbers import Real
from typing import Any, NamedTuple

import jax
import jax.core
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxmlp.errors import InputError, InputTypeError, sentence
from jaxmlp.nn import activations, costs
from jaxmlp.nn.compiled import compiled
from jaxmlp.nn.costs import Cost
from jaxmlp.nn.dense import dense, dense_backward, dense_forward, dense_undecorated
from jaxmlp.nn.network import Block, Network, Params, check_inputs, check_params, to_logits


@dataclass(frozen=True)
class Objective:
    """What is minimised. For JAX a small pytree: the cost's name is static, its numbers are leaves.

    Changing a number compiles nothing, and `vmap` can run over it.

    Args:
      cost: a name such as "quadratic", "huber(0.5)" or "poisson", or a `Cost`; None follows from the output.
      l2: λ of the penalty λ/(2m) Σ‖W‖²; None leaves the penalty out of the program.
      examples: the m of that penalty. None: the examples at hand (Σ w with weights). For mini-batches give the size of
        the training set, as `fit` does, so that the batches' costs average to the full cost.

    Raises:
      InputError: for a number that is negative or not finite.

    >>> Objective(cost="quadratic", l2=jnp.float32(0.5))
    Objective(cost='quadratic', l2=0.5, examples=None)
    """

    cost: str | Cost | None = None
    l2: ArrayLike | None = None
    examples: ArrayLike | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "l2", _number("l2", self.l2, least=0.0))
        object.__setattr__(self, "examples", _number("examples", self.examples, least=1.0))


def _flatten(objective: Objective) -> tuple[tuple[Any, Any], str | Cost | None]:
    return (objective.l2, objective.examples), objective.cost


def _unflatten(cost: str | Cost | None, leaves: Iterable[Any]) -> Objective:
    """Without the checks of a user's numbers: the leaves may be a gradient, which is negative with good reason."""
    objective = object.__new__(Objective)
    for name, value in zip(("cost", "l2", "examples"), (cost, *leaves), strict=True):
        object.__setattr__(objective, name, value)
    return objective


jax.tree_util.register_pytree_node(Objective, _flatten, _unflatten)


def _number(name: str, value: Any, least: float) -> Any:
    """A concrete scalar as a Python float: all kinds of scalars share one compiled program. The rest as it is."""
    if value is None or isinstance(value, jax.core.Tracer):
        return value
    if isinstance(value, bool) or not (isinstance(value, Real) or hasattr(value, "ndim")):
        raise InputTypeError(sentence(name, "a number", repr(value), "leave it out for none"))
    if getattr(value, "ndim", 0):  # for vmap over it
        return value
    number = float(value)
    if not (math.isfinite(number) and number >= least):
        raise InputError(sentence(name, f"a finite number ≥ {least:g}", value, "leave it out for none"))
    return number


# --- the penalty ------------------------------------------------------------------------------------------------------


def l2_penalty_undecorated(params: Params, l2: Array, m: Array) -> Array:
    """λ/(2m) Σ‖W‖² without a rule of its own: autodiff's witness."""
    squares = [jnp.square(layer["W"]).sum() for layer in params]
    return (l2 / (2 * m)).astype(squares[0].dtype) * sum(squares[1:], squares[0])


def l2_gradient(params: Params, l2: Array, m: Array) -> Params:
    """λ/m W for every layer, zero for the biases."""
    scale = (l2 / m).astype(params[0]["W"].dtype)
    return type(params)({"W": scale * layer["W"], "b": jnp.zeros_like(layer["b"])} for layer in params)


def _l2_forward(params: Params, l2: Array, m: Array) -> tuple[Array, tuple[Params, Array, Array]]:
    return l2_penalty_undecorated(params, l2, m), (params, l2, m)


def _l2_backward(cache: tuple[Params, Array, Array], dJ: Array) -> tuple[Params, Array, Array]:
    params, l2, m = cache
    dparams = jax.tree.map(lambda leaf: dJ * leaf, l2_gradient(params, l2, m))
    # ∂/∂λ = 1/(2m) Σ‖W‖², ∂/∂m = -λ/m · that
    per_l2 = (dJ * l2_penalty_undecorated(params, jnp.ones_like(l2), m)).astype(l2.dtype)
    return dparams, per_l2, -l2 / m * per_l2


# the same penalty, differentiated by `l2_gradient`
l2_penalty = jax.custom_vjp(l2_penalty_undecorated)
l2_penalty.defvjp(_l2_forward, _l2_backward)


# --- J ----------------------------------------------------------------------------------------------------------------


class Rules(NamedTuple):
    """Which derivative rules J is made of."""

    block: Block
    mean_cost: Callable[..., Array]
    l2_penalty: Callable[..., Array]


TEXTBOOK = Rules(dense, costs.mean_cost, l2_penalty)
AUTODIFF = Rules(dense_undecorated, costs.mean_cost_undecorated, l2_penalty_undecorated)


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


def check_batch(
    params: Any, X: Any, Y: Any, net: Network, objective: Objective | None, weights: Any
) -> tuple[Batch, Objective]:
    """The batch in the dtype of the parameters and the objective with its cost found, or one clear error."""
    dtype = check_params(params, net)
    X = check_inputs(X, net, dtype)
    if objective is None:
        objective = Objective()
    check_objective(objective)
    for name in ("l2", "examples"):
        number = getattr(objective, name)
        if number is not None and jnp.shape(number):
            remedy = "use jax.vmap to go over several"
            raise InputError(sentence(name, "a single number", f"shape {jnp.shape(number)}", remedy))
    cost = costs.find(objective.cost, net.activations[-1])
    Y = costs.check_targets(Y, cost, net.sizes[-1], X.shape[1], dtype)
    weights = costs.check_weights(weights, X.shape[1], dtype)
    return Batch(X, Y, weights), Objective(cost, objective.l2, objective.examples)


def evaluate(
    params: Params, batch: Batch, net: Network, objective: Objective, rules: Rules = TEXTBOOK
) -> tuple[Array, Array]:
    """J and the logits Z_L of a checked batch."""
    X, Y, weights = batch
    g = net.activations[-1]
    Z = to_logits(params, X, net, rules.block)
    J = rules.mean_cost(costs.find(objective.cost, g), g, Z, Y, weights)
    if objective.l2 is not None:
        J = J + rules.l2_penalty(params, *_l2_numbers(objective, batch))
    return J, Z


def wide(dtype: Any) -> Any:
    """The dtype, or float32 for a smaller one: to count in, and for numbers that float16 does not hold."""
    return dtype if jnp.finfo(dtype).bits >= 32 else jnp.float32


def _l2_numbers(objective: Objective, batch: Batch) -> tuple[Array, Array]:
    """λ and m in float32 at least: float16 holds no m beyond 65504."""
    dtype = wide(batch.X.dtype)
    if objective.examples is not None:
        m = objective.examples
    else:
        m = batch.X.shape[1] if batch.weights is None else batch.weights.astype(dtype).sum()
    return jnp.asarray(objective.l2, dtype), jnp.asarray(m, dtype)


@compiled()
def cost(
    params: Params,
    X: Array,
    Y: Array,
    net: Network,
    objective: Objective | None = None,
    weights: Array | None = None,
) -> Array:
    """J, the number that training lowers; `jax.grad(cost)` uses the textbook's equations.

    J = Σ w c / Σ w + λ/(2m) Σ‖W‖², with the loss c of `objective.cost`.

    Args:
      params: a tuple of {"W", "b"} dictionaries; their dtype is that of the computation.
      X: (n0, m), one example per column.
      Y: (n_L, m): labels in [0, 1], one-hot columns, counts or values; or (1, m) whole class ids for softmax. An id
        outside 0 … C - 1 or a negative count makes J NaN.
      net: the network.
      objective: cost and penalties; by default the cost that follows from the output, without penalty.
      weights: (1, m), not all zero, or None for equal weights.

    Returns:
      J, a scalar.

    Raises:
      InputError: when shapes do not fit, and for a cost that is not defined for the output.
      InputTypeError: when something is not an array of real numbers.

    >>> net = Network((2, 1), "relu", "sigmoid")
    >>> params = ({"W": jnp.zeros((1, 2)), "b": jnp.zeros((1, 1))},)
    >>> X, Y = jnp.array([[1.0, 2.0], [3.0, 4.0]]), jnp.array([[1.0, 0.0]])
    >>> round(float(cost(params, X, Y, net)), 6)    # a = 1/2: ln 2
    0.693147
    >>> jax.grad(cost)(params, X, Y, net)[0]["W"].tolist()    # 1/2 (a - y) Xᵀ = 1/4 (-1 + 2, -3 + 4)
    [[0.25, 0.25]]
    """
    batch, objective = check_batch(params, X, Y, net, objective, weights)
    return evaluate(params, batch, net, objective)[0]


@compiled()
def backprop(
    params: Params,
    X: Array,
    Y: Array,
    net: Network,
    objective: Objective | None = None,
    weights: Array | None = None,
) -> tuple[Array, Params]:
    """J and dJ/dparams by the four equations, as a plain loop without autodiff.

    Arguments (params, X, Y, net, objective, weights) and errors are those of `cost`; the gradient has the shapes of
    `params`.

    Source: Nielsen, chapter 2; the tutorials' BP1 to BP4.

    >>> net = Network((2, 1), "relu", "sigmoid")
    >>> params = ({"W": jnp.zeros((1, 2)), "b": jnp.zeros((1, 1))},)
    >>> J, dparams = backprop(params, jnp.array([[1.0], [3.0]]), jnp.array([[1.0]]), net)
    >>> dparams[0]["W"].tolist(), dparams[0]["b"].tolist()    # (a - y) xᵀ = -1/2 (1, 3)
    ([[-0.5, -1.5]], [[-0.5]])
    """
    batch, objective = check_batch(params, X, Y, net, objective, weights)
    gs = (*net.activations[:-1], activations.identity)
    output = net.activations[-1]
    loss = costs.find(objective.cost, output)

    A, caches = batch.X, []
    for g, layer in zip(gs, params, strict=True):
        A, cache = dense_forward(g, layer, A)
        caches.append(cache)
    J = costs.mean_cost_undecorated(loss, output, A, batch.Y, batch.weights)  # here A is Z_L

    dA = costs.output_error(loss, output, A, batch.Y, batch.weights)  # BP1
    dparams = []
    for g, cache in zip(reversed(gs), reversed(caches), strict=True):
        dlayer, dA = dense_backward(g, cache, dA)  # BP2, BP3, BP4
        dparams.insert(0, dlayer)
    gradient = type(params)(dparams)

    if objective.l2 is not None:
        l2, m = _l2_numbers(objective, batch)
        J = J + l2_penalty_undecorated(params, l2, m)
        gradient = jax.tree.map(jnp.add, gradient, l2_gradient(params, l2, m))
    return J, gradient
