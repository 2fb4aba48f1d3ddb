"""Forward propagation, from X to A_L.

A0 = X (n0, m), one example per column
Z_l = W_l A_{l-1} + b_l,   A_l = g_l(Z_l),   l = 1 … L; the input layer is not counted
with normalisation, in the hidden layers:   Z_l = γ_l Û_l + b_l,   Û_l of U_l = W_l A_{l-1}; see `normalization`
with members:   A_L = 1/k Σ_i A_L⁽ⁱ⁾; see `members`
"""

import dataclasses
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

import jax
import jax.numpy as jnp
from jax import Array

from jaxmlp.errors import InputError, sentence
from jaxmlp.nn import activations
from jaxmlp.nn.activations import Activation
from jaxmlp.nn.checks import check_inputs, check_params
from jaxmlp.nn.compiled import compiled
from jaxmlp.nn.dense import LayerParams
from jaxmlp.nn.dropout import Masks
from jaxmlp.nn.layer import apply_layer
from jaxmlp.nn.layer_stacks import runs_of
from jaxmlp.nn.members import (
    MEAN_LOGITS,
    column_products,
    member_layers,
    member_products,
    n_multiplications,
    scaled_copies,
    split_members,
)
from jaxmlp.nn.network import Network, Params
from jaxmlp.nn.normalization import Moments, fold_layer
from jaxmlp.nn.rule import TEXTBOOK, Derivatives

MAX_SHARED_PRODUCTS = 1 << 25  # numbers of all columns and examples that an evaluation keeps; as many take 128 MiB


def propagate(
    params: Params,
    A: Array,
    net: Network,
    *,
    logits: bool = False,
    derivatives: Derivatives = TEXTBOOK,
    masks: Masks = (),
    example_weight: Array | None = None,
    fixed_moments: Mapping[int, Moments] = MappingProxyType({}),
) -> tuple[Array, tuple[Moments, ...]]:
    """Take A_0 to A_L, or to Z_L, layer by layer; return the moments of the batch-normalised layers as well.

    Args:
      params, A, net: as for `forward`, already checked. Equal layers may be stacked; their masks and moments are then
        stacked as well.
      logits: end in Z_L, because costs are computed from logits.
      derivatives: the textbook's rules, or autodiff.
      masks: of dropout, one for each layer's input, or () for none.
      example_weight: w_i/Σw of each example, (1, m), for batch normalisation; None for 1/m.
      fixed_moments: for the batch-normalised layers that do not use the moments of the batch, as in evaluation: their
        moments by the number of the layer, counted from 1.
    """
    all_moments, l = [], 0
    for k, layer, mask in zip(runs_of(params), params, masks or [None] * len(params), strict=True):
        l += k
        # l is the last layer of the entry: those of a stack are equal, so its activation and its norm are those of all
        g, norm = net.activations[l - 1], net.norms[l - 1]
        if logits and l == net.depth:
            g = activations.identity
        if l in fixed_moments:  # never within a stack: a network with frozen layers has none
            # with known moments the normalised block is affine: it is computed as the plain block that equals it
            norm, layer = None, fold_layer(layer, fixed_moments[l])
        if k == 1:
            A, moments = apply_layer(derivatives, norm, g, layer, A, mask, example_weight)
        else:  # one body for k layers: the program does not grow with the depth
            A, moments = jax.lax.scan(partial(_scanned_layer, derivatives, norm, g, example_weight), A, (layer, mask))
        moments = fixed_moments.get(l, moments)
        if moments is not None:
            all_moments.append(jax.lax.stop_gradient(moments))  # averaged for evaluation, not trained
    return A, tuple(all_moments)


def _scanned_layer(
    derivatives: Derivatives,
    norm: str | None,
    g: Activation,
    example_weight: Array | None,
    A: Array,
    layer_and_mask: tuple[LayerParams, Array | None],
) -> tuple[Array, Moments | None]:
    layer, mask = layer_and_mask
    return apply_layer(derivatives, norm, g, layer, A, mask, example_weight)


def propagate_members(
    params: Params,
    A: Array,
    net: Network,
    *,
    derivatives: Derivatives = TEXTBOOK,
    masks: Masks = (),
    one_by_one: bool = False,
) -> Array:
    """Take A_0 to the Z_L of every member, (k, n_L, m).

    Args:
      params, A, net, derivatives: as for `propagate`; `net` has members.
      masks: of dropout, (k, n_l, m) each.
      one_by_one: compute the members one after the other, in the memory of one: for many examples without gradient.
    """
    k, n_in, widths = net.members, net.sizes[0], net.column_widths
    assert k is not None, "the callers have looked"
    W, R = params[0]["W"], params[0]["R"]
    first, *inner, last = split_members(params, k)
    # the masks of a stack have its layers before the members
    masks = jax.tree.map(lambda mask: jnp.moveaxis(mask, -3, 0), masks)
    drops_inputs = bool(masks) and masks[0] is not None  # each member has inputs of its own
    shares = widths is not None and n_multiplications(widths, n_in, k) < k * n_in and not drops_inputs
    if one_by_one:
        # an evaluation takes all rows at once: beyond the limit each member computes its own product, to save memory
        shares = shares and len(widths or ()) * len(W) * A.shape[1] <= MAX_SHARED_PRODUCTS
    # how a member begins with its entry of `mapped`: with its W and the inputs, or with the product of both
    if not shares:
        mapped, begin = derivatives(scaled_copies)(widths, W, R), lambda copy: ({"W": copy}, A)
    elif one_by_one:
        U = column_products(widths or (), W, A)  # (F, n, m), once for all members
        mapped, begin = R, lambda r: ({}, jnp.tensordot(r, U, 1))  # (F,), (F, n, m) -> (n, m)
    else:
        mapped, begin = derivatives(member_products)(widths, W, R, A), lambda product: ({}, product)

    # a layer without W takes its input for W A already, and adds b
    def Z_of(entry: Array, last: LayerParams, masks: Masks) -> Array:
        copy, start = begin(entry)
        layers = ({**first, **copy}, *inner, last)
        return propagate(layers, start, net.of_a_member, logits=True, derivatives=derivatives, masks=masks)[0]

    arguments = mapped, last, masks
    # W_l is not mapped: under vmap it meets the columns of all members in one product
    return jax.lax.map(lambda member: Z_of(*member), arguments) if one_by_one else jax.vmap(Z_of)(*arguments)


def mean_logits(Z: Array, net: Network) -> Array:
    """Return the logits of the mean of members, (n_L, m), from those of every member, (k, n_L, m).

    >>> net = Network((1, 1, 1), "relu", "sigmoid", members=2)
    >>> p = jnp.array([0.2, 0.6])
    >>> round(float(jax.nn.sigmoid(mean_logits(jnp.log(p / (1 - p)).reshape(2, 1, 1), net))[0, 0]), 6)
    0.4
    """
    return MEAN_LOGITS[str(net.output)](Z)


def final_logits(params: Params, A: Array, net: Network) -> Array:
    """Return Z_L (n_L, m) for inputs that are checked: of a network with members that of their mean."""
    if net.members is None:
        return propagate(params, A, net, logits=True)[0]
    return mean_logits(propagate_members(params, A, net, one_by_one=True), net)


def take_member(params: Params, net: Network, number: int) -> tuple[Network, Params]:
    """Return a member, counted from 1, as the plain network that it is, and its parameters.

    Raises:
      InputError: when there is no such member.

    >>> net = Network((2, 1, 1), "relu", "identity", members=2)
    >>> first = {"W": jnp.array([[2.0, 3.0]]), "b": jnp.zeros((1, 1)), "R": jnp.array([[1.0, -1.0], [5.0, 1.0]])}
    >>> last = {"W": jnp.array([[7.0], [8.0]]), "b": jnp.zeros((2, 1))}
    >>> plain, params = take_member((first, last), net, 2)
    >>> plain.members, params[0]["W"].tolist(), params[1]["W"].tolist()
    (None, [[10.0, 3.0]], [[8.0]])
    """
    check_params(params, net)
    if net.members is None or not 1 <= number <= net.members:
        expects = f"a number from 1 to {net.members}" if net.members else "a network with members"
        raise InputError(sentence("take_member", expects, number, "count them from 1"))
    first, *inner, last = member_layers(tuple(params), net.members, net.column_widths)
    layers = ({**first, "W": first["W"][number - 1]}, *inner, {name: leaf[number - 1] for name, leaf in last.items()})
    return net.of_a_member, layers


def fold(params: Params, moments: tuple[Moments, ...], net: Network) -> tuple[Network, Params]:
    """Return the plain network that a batch-normalised one is at these moments, and its parameters.

    W' = γ/s W and b' = b - γ/s μ in every hidden layer, s = √(σ² + ε). Any other network is returned as it is.

    >>> import jax.numpy as jnp
    >>> from jaxmlp.nn.parameters import init
    >>> net = Network((2, 3, 1), "relu", "sigmoid", norm="batch")
    >>> params, X = init(jax.random.key(0), net), jnp.array([[1.0, 2.0], [3.0, -4.0]])
    >>> _, moments = propagate(params, X, net)
    >>> plain, folded = fold(params, moments, net)
    >>> plain.norm, bool(jnp.allclose(forward(folded, X, plain), forward(params, X, net), atol=1e-5))
    (None, True)
    """
    if net.norm != "batch":
        return net, params
    # the output layer has no moments: it is not normalised, and stays as it is
    hidden = [fold_layer(layer, of_layer) for layer, of_layer in zip(params, moments, strict=False)]
    return dataclasses.replace(net, norm=None), (*hidden, params[-1])


@compiled
def forward(params: Params, X: Array, net: Network) -> Array:
    """Compute A_L = g_L(Z_L), the network's output.

    With norm="batch" the statistics are those of X itself, as in training.

    Args:
      params: a tuple of {"W", "b"} dictionaries, NumPy or JAX; their dtype is that of the computation.
      X: (n0, m), one example per column; cast to the dtype of `params`.
      net: the network.

    Returns:
      A_L, (n_L, m).

    Raises:
      InputError: when shapes do not fit, naming the layer and the shape expected.
      InputTypeError: when something is not an array of real numbers.

    Source: Ng's course, forward propagation; Nielsen, chapter 2.

    >>> import jax.numpy as jnp
    >>> net = Network((2, 1), "relu", "sigmoid")
    >>> params = ({"W": jnp.array([[0.5, -0.25]]), "b": jnp.zeros((1, 1))},)
    >>> forward(params, jnp.array([[1.0], [2.0]]), net).tolist()    # Z = 1·0.5 - 2·0.25 = 0, σ(0) = 1/2
    [[0.5]]
    """
    X = check_inputs(X, net, check_params(params, net))
    if net.members is not None:
        return net.activations[-1].apply(final_logits(params, X, net))
    return propagate(params, X, net)[0]


@compiled
def logits(params: Params, X: Array, net: Network) -> Array:
    """Compute Z_L, the last layer before its activation: (n_L, m), or (k·n_L, m) for maxout(k).

    Of a network with members it is the Z_L whose A_L is the mean of the members'.

    Arguments (params, X, net) and errors are those of `forward`.

    >>> import jax.numpy as jnp
    >>> net = Network((2, 1), "relu", "sigmoid")
    >>> params = ({"W": jnp.array([[0.5, -0.25]]), "b": jnp.ones((1, 1))},)
    >>> logits(params, jnp.array([[1.0], [2.0]]), net).tolist()
    [[1.0]]
    """
    X = check_inputs(X, net, check_params(params, net))
    return final_logits(params, X, net)
