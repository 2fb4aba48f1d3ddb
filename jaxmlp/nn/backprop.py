"""J and its gradient, twice: by `custom_vjp`, and as the textbook's plain loop.

    forward     X → Z_1, A_1, …, Z_L → J
    BP1         dZ_L = dJ/dZ_L
    BP2-BP4     layer L … 1:  dZ_l, dW_l, db_l, dA_{l-1}

`jax.grad(cost)` composes the rules of `layer`, `costs` and `penalties`; `backprop` writes the same four equations out
from the output to the input. Both call the same functions, so a test of one is a test of the other. Noise (dropout and
its kin) is drawn from a key before anything else: without a key there is none, and J is that of evaluation.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxmlp.nn import activations, costs
from jaxmlp.nn import noise as noises
from jaxmlp.nn.compiled import compiled
from jaxmlp.nn.layer import AUTODIFF_LAYER, TEXTBOOK_LAYER, LayerRules, layer_backward, layer_forward
from jaxmlp.nn.network import Network, Params, check_key
from jaxmlp.nn.noise import NO_NOISE, Noise
from jaxmlp.nn.objective import Batch, Objective, check_batch, penalty_numbers
from jaxmlp.nn.penalties import penalty, penalty_gradient, penalty_undecorated
from jaxmlp.nn.propagation import propagate
from jaxmlp.nn.stacks import Runs


class Rules(NamedTuple):
    """Which derivative rules J is made of."""

    layer: LayerRules
    mean_cost: Callable[..., Array]
    penalty: Callable[..., Array]


TEXTBOOK = Rules(TEXTBOOK_LAYER, costs.mean_cost, penalty)
AUTODIFF = Rules(AUTODIFF_LAYER, costs.mean_cost_undecorated, penalty_undecorated)


class Evaluation(NamedTuple):
    """J, the logits Z_L, and the moments of batch-normalised layers."""

    J: Array
    Z: Array
    moments: tuple[Any, ...] = ()


def evaluate(
    params: Params,
    batch: Batch,
    net: Network,
    objective: Objective,
    rules: Rules = TEXTBOOK,
    noise: Noise = NO_NOISE,
    compute: Any = None,
    fixed: Mapping[int, Any] = MappingProxyType({}),
) -> Evaluation:
    """J of a checked batch, under the noise that a training step has drawn.

    With `compute` the layers work in that dtype, bfloat16 say, on parameters cast to it; cost and penalties stay in
    the dtype of the parameters, and so does the gradient. Layers in `fixed` are normalised by the moments given there.
    """
    X, Y, weights = perturbed(batch, net, objective, noise)
    g = net.activations[-1]
    share = _share(net, weights)
    inputs = params, X, noise.masks, share, dict(fixed)
    if compute is not None:
        inputs = jax.tree.map(lambda leaf: leaf.astype(compute), inputs)
    low, A, masks, share, fixed = inputs
    Z, moments = propagate(low, A, net, logits=True, rules=rules.layer, masks=masks, share=share, fixed=fixed)
    Z, moments = jax.tree.map(lambda leaf: leaf.astype(X.dtype), (Z, moments))
    J = rules.mean_cost(costs.find(objective.cost, g), g, Z, Y, weights)
    for kind, numbers in penalty_numbers(objective, batch):
        J = J + rules.penalty(kind, params, *numbers)
    return Evaluation(J, Z, moments)


def draw_noise(key: Array | None, net: Network, objective: Objective, X: Array, runs: Runs | None = None) -> Noise:
    """What a training step with this key draws, for parameters in such runs; none without a key."""
    if key is None or not objective.noisy:
        return NO_NOISE
    return noises.draw(key, objective.rates, net.sizes[:-1], X, runs)


def perturbed(batch: Batch, net: Network, objective: Objective, noise: Noise) -> Batch:
    """The batch with noise on X, and on Y what mixing and smoothing make of it."""
    X, Y, weights = batch
    if noise.shift is not None:
        X = X + noise.shift
    if noise.mixing is None and objective.label_smoothing is None:
        return Batch(X, Y, weights)
    if costs.find(objective.cost, net.activations[-1]).name == "categorical_cross_entropy":
        Y = costs.one_hot(Y, net.sizes[-1], X.dtype)
    if noise.mixing is not None:
        X, Y = noises.mix(X, noise.mixing), noises.mix(Y, noise.mixing)
    if objective.label_smoothing is not None:
        Y = noises.smooth(Y, objective.label_smoothing, multilabel=net.output != "softmax")
    return Batch(X, Y, weights)


def _share(net: Network, weights: Array | None) -> Array | None:
    """What each example weighs in the statistics of batch normalisation."""
    return None if weights is None or net.norm != "batch" else weights / weights.sum()


@compiled()
def cost(
    params: Params,
    X: Array,
    Y: Array,
    net: Network,
    objective: Objective | None = None,
    weights: Array | None = None,
    key: Array | None = None,
) -> Array:
    """J, the number that training lowers; `jax.grad(cost)` uses the textbook's equations.

    J = Σ w c / Σ w + λ₂/(2m) Σ‖W‖² + λ₁/m Σ|w|, with the loss c of `objective.cost`.

    Args:
      params: a tuple of {"W", "b"} dictionaries; their dtype is that of the computation.
      X: (n0, m), one example per column.
      Y: (n_L, m): labels in [0, 1], one-hot columns, counts or values; or (1, m) whole class ids for softmax. An id
        outside 0 … C - 1 or a negative count makes J NaN.
      net: the network.
      objective: cost and penalties; by default the cost that follows from the output, without penalty.
      weights: (1, m), not all zero, or None for equal weights.
      key: of a training step, whose noise (dropout, input noise, mixup) it draws; None for J without noise.

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
    return evaluate(params, batch, net, objective, TEXTBOOK, _noise(key, net, objective, batch)).J


def _noise(key: Any, net: Network, objective: Objective, batch: Batch) -> Noise:
    if key is not None:
        check_key(key)
    return draw_noise(key, net, objective, batch.X)


@compiled()
def backprop(
    params: Params,
    X: Array,
    Y: Array,
    net: Network,
    objective: Objective | None = None,
    weights: Array | None = None,
    key: Array | None = None,
) -> tuple[Array, Params]:
    """J and dJ/dparams by the four equations, as a plain loop without autodiff.

    Arguments (params, X, Y, net, objective, weights, key) and errors are those of `cost`; the gradient has the shapes
    of `params`.

    Source: Nielsen, chapter 2; the tutorials' BP1 to BP4.

    >>> net = Network((2, 1), "relu", "sigmoid")
    >>> params = ({"W": jnp.zeros((1, 2)), "b": jnp.zeros((1, 1))},)
    >>> J, dparams = backprop(params, jnp.array([[1.0], [3.0]]), jnp.array([[1.0]]), net)
    >>> dparams[0]["W"].tolist(), dparams[0]["b"].tolist()    # (a - y) xᵀ = -1/2 (1, 3)
    ([[-0.5, -1.5]], [[-0.5]])
    """
    batch, objective = check_batch(params, X, Y, net, objective, weights)
    noise = _noise(key, net, objective, batch)
    A, Y, weights = perturbed(batch, net, objective, noise)
    share = _share(net, weights)
    masks = noise.masks or (None,) * net.depth
    gs = (*net.activations[:-1], activations.identity)
    output = net.activations[-1]
    loss = costs.find(objective.cost, output)

    caches = []
    for norm, g, layer, mask in zip(net.norms, gs, params, masks, strict=True):
        A, cache = layer_forward(norm, g, layer, A, mask, share)
        caches.append(cache)
    J = costs.mean_cost_undecorated(loss, output, A, Y, weights)  # here A is Z_L

    dA = costs.output_error(loss, output, A, Y, weights)  # BP1
    dparams = []
    for norm, g, cache in zip(reversed(net.norms), reversed(gs), reversed(caches), strict=True):
        dlayer, dA = layer_backward(norm, g, cache, dA)  # BP2, BP3, BP4
        dparams.insert(0, dlayer)
    gradient = type(params)(dparams)

    for kind, numbers in penalty_numbers(objective, batch):
        J = J + penalty_undecorated(kind, params, *numbers)
        gradient = jax.tree.map(jnp.add, gradient, penalty_gradient(kind, params, *numbers))
    return J, gradient
