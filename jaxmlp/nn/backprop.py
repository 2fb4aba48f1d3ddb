"""J and its gradient, twice: by `jax.grad` through the derivative rules, and as the textbook's plain loop.

    forward     X → Z_1, A_1, …, Z_L → J
    BP1         dZ_L = dJ/dZ_L
    BP2-BP4     layer L … 1:  dZ_l, dW_l, db_l, dA_{l-1}

`jax.grad(cost)` composes the rules of `layer`, `costs` and `penalties`; `backprop` writes the same four equations out
from the output to the input. Both call the same functions, so a test of one is a test of the other. Noise (dropout,
input noise, mixup) is drawn from a key before anything else: without a key there is none, and J is that of evaluation.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from jaxmlp.nn import activations
from jaxmlp.nn.augmentation import NO_NOISE, Noise, augment_batch, draw_noise
from jaxmlp.nn.checks import check_key
from jaxmlp.nn.compiled import compiled
from jaxmlp.nn.costs import mean_cost, output_error
from jaxmlp.nn.dense import LayerParams
from jaxmlp.nn.dropout import Masks
from jaxmlp.nn.forward import mean_logits, propagate, propagate_members
from jaxmlp.nn.layer import layer_backward, layer_forward
from jaxmlp.nn.members import member_gradient, member_layers
from jaxmlp.nn.network import Network, Params
from jaxmlp.nn.normalization import Moments
from jaxmlp.nn.objective import Batch, Objective, check_batch, penalty_numbers
from jaxmlp.nn.penalties import penalty_gradient, weight_penalty
from jaxmlp.nn.rule import AUTODIFF, TEXTBOOK, Derivatives


class Evaluation(NamedTuple):
    """J, the logits Z_L, and the moments of batch-normalised layers."""

    J: Array
    Z: Array
    moments: tuple[Moments, ...] = ()


def evaluate(
    params: Params,
    batch: Batch,
    net: Network,
    objective: Objective,
    derivatives: Derivatives = TEXTBOOK,
    noise: Noise = NO_NOISE,
    compute: DTypeLike | None = None,
    fixed_moments: Mapping[int, Moments] = MappingProxyType({}),
    of_mean: bool = False,
) -> Evaluation:
    """Compute J of a checked batch.

    With members J is the mean of their costs, because each learns by itself, and Z_L that of their mean output.

    Args:
      params, batch, net, objective: as `check_batch` returns them; equal layers of `params` may be stacked.
      derivatives: the textbook's rules, or autodiff.
      noise: the random numbers of a training step.
      compute: the dtype of the layers' products, bfloat16 say, where it is not that of the parameters. Cost and
        penalties stay in the dtype of the parameters, because sums over many terms need its bits; so does the gradient.
      fixed_moments: moments by which layers, counted from 1, are normalised in place of the batch's.
      of_mean: with members, compute J of their mean output instead, as for new examples.
    """
    X, Y, weights = augment_batch(batch, net, objective, noise)
    # a plain dictionary of the moments, because for JAX a MappingProxyType is a leaf and not a tree that it maps over
    inputs = params, X, noise.masks, _example_weight(net, weights), dict(fixed_moments)
    if compute is not None:
        inputs = jax.tree.map(lambda leaf: leaf.astype(compute), inputs)
    layers, A, masks, example_weight, fixed_moments = inputs
    if net.members is not None:
        Z, moments = propagate_members(layers, A, net, derivatives=derivatives, masks=masks, one_by_one=of_mean), ()
    else:
        Z, moments = propagate(
            layers,
            A,
            net,
            logits=True,
            derivatives=derivatives,
            masks=masks,
            example_weight=example_weight,
            fixed_moments=fixed_moments,
        )
    # back to the wide dtype before the cost: its sums over examples and classes need the digits
    Z, moments = jax.tree.map(lambda leaf: leaf.astype(X.dtype), (Z, moments))

    def J_of(Z: Array) -> Array:
        return derivatives(mean_cost)(objective.cost_for(net), net.activations[-1], Z, Y, weights)

    J = None if net.members is None or of_mean else jax.vmap(J_of)(Z).mean()  # Z (k, n_L, m)
    Z = Z if net.members is None else mean_logits(Z, net)
    J = J_of(Z) if J is None else J
    for penalty, numbers in penalty_numbers(objective, batch):
        J = J + derivatives(weight_penalty)(penalty, params, *numbers)  # of the weights as trained, not cast
    return Evaluation(J, Z, moments)


def _example_weight(net: Network, weights: Array | None) -> Array | None:
    """Return w_i/Σw, by which batch normalisation weights the examples in its moments; None for equal weights."""
    return None if weights is None or net.norm != "batch" else weights / weights.sum()


@compiled
def cost(
    params: Params,
    X: Array,
    Y: Array,
    net: Network,
    objective: Objective | None = None,
    weights: Array | None = None,
    key: Array | None = None,
) -> Array:
    """Compute J, the number that training lowers; `jax.grad(cost)` uses the textbook's equations.

    J = Σ w c / Σ w + λ₂/(2m) Σ‖W‖² + λ₁/m Σ|w|, with the loss c of `objective.cost`; of members the mean of theirs.

    Args:
      params: a tuple of {"W", "b"} dictionaries; their dtype is that of the computation.
      X: (n0, m), one example per column.
      Y: (n_L, m): labels in [0, 1], one-hot columns, counts or values; or (1, m) whole class ids for softmax. For
        a cross-entropy a label outside [0, 1] makes J NaN; so does an id outside 0 … C - 1, and a negative count.
      net: the network.
      objective: cost and penalties; by default the cost that follows from the output, without penalty.
      weights: (1, m), not all zero, or None for equal weights.
      key: for the noise of a training step (dropout, input noise, mixup); None for J without noise.

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
    return evaluate(params, batch, net, objective, noise=_checked_noise(key, net, objective, batch)).J


def _checked_noise(key: Array | None, net: Network, objective: Objective, batch: Batch) -> Noise:
    if key is not None:
        check_key(key)
    return draw_noise(key, net, objective, batch.X)


@compiled
def backprop(
    params: Params,
    X: Array,
    Y: Array,
    net: Network,
    objective: Objective | None = None,
    weights: Array | None = None,
    key: Array | None = None,
) -> tuple[Array, Params]:
    """Compute J and dJ/dparams by the four equations, as a plain loop without autodiff.

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
    noise = _checked_noise(key, net, objective, batch)
    A, Y, weights = augment_batch(batch, net, objective, noise)
    gradient: Params
    if net.members is None:
        J, gradient = _plain_loop(params, A, Y, weights, net, objective, noise.masks)
    else:  # each member by the same loop, then what they share is summed up
        widths = net.column_widths
        # by AUTODIFF, through which forward mode can pass
        first, *inner, last = member_layers(tuple(params), net.members, widths, AUTODIFF)

        def loop(W: Array, last: LayerParams, masks: Masks) -> tuple[Array, Params]:
            layers = ({**first, "W": W}, *inner, last)
            return _plain_loop(layers, A, Y, weights, net.of_a_member, objective, masks)

        J, dlayers = jax.vmap(loop)(first["W"], last, noise.masks)  # (k,), and (k, …) each
        dlayers = jax.tree.map(lambda leaf: leaf / len(J), dlayers)  # J = 1/k Σ J_i
        J, gradient = J.mean(), member_gradient(tuple(params), dlayers, widths)
    # a tuple or a list, as the parameters are, because a caller maps over both trees together
    gradient = type(params)(gradient)

    for penalty, numbers in penalty_numbers(objective, batch):
        J = J + weight_penalty.reference(penalty, params, *numbers)
        gradient = jax.tree.map(jnp.add, gradient, penalty_gradient(penalty, params, *numbers))
    return J, gradient


def _plain_loop(
    params: Params, A: Array, Y: Array, weights: Array | None, net: Network, objective: Objective, masks: Masks
) -> tuple[Array, Params]:
    """Return J without penalties, and its gradient."""
    example_weight = _example_weight(net, weights)
    gs = (*net.activations[:-1], activations.identity)  # the last layer ends in Z_L, from which the cost starts
    loss, output = objective.cost_for(net), net.activations[-1]

    caches, masks = [], masks or (None,) * net.depth
    for norm, g, layer, mask in zip(net.norms, gs, params, masks, strict=True):
        A, cache = layer_forward(norm, g, layer, A, mask, example_weight)  # A_l, (n_l, m); at last Z_L
        caches.append(cache)
    J = mean_cost.reference(loss, output, A, Y, weights)  # here A is Z_L

    dA = output_error(loss, output, A, Y, weights)  # BP1
    dparams = []
    for norm, g, cache in zip(reversed(net.norms), reversed(gs), reversed(caches), strict=True):
        dlayer, dA = layer_backward(norm, g, cache, dA)  # BP2, BP3, BP4
        dparams.insert(0, dlayer)
    return J, tuple(dparams)
