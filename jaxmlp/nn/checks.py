"""Checks of what a user passes: each raises one sentence that names the argument, what it expects and the remedy."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from jaxmlp.errors import InputError, InputTypeError, sentence
from jaxmlp.nn.compiled import NO_NUMBERS
from jaxmlp.nn.costs import Cost
from jaxmlp.nn.network import Network

ORDER = "is the order init(key, net), forward(params, X, net), cost(params, X, Y, net)?"


def check_key(key: object) -> None:
    """Raise unless `key` is one typed key."""
    if not isinstance(key, Array) or not jnp.issubdtype(key.dtype, jax.dtypes.prng_key) or key.ndim:
        got = f"{key.dtype} of shape {key.shape}" if isinstance(key, Array) else type(key).__name__
        raise InputTypeError(sentence("key", "a typed key", got, "write jax.random.key(0)"))


def _kind(value: Any) -> str:
    # within jit the type of an array is the name of a tracer, which says nothing to a user
    return f"an array of shape {value.shape}" if hasattr(value, "dtype") else type(value).__name__


def check_params(params: object, net: Network) -> jnp.dtype:
    """Raise unless `params` are parameters of `net`; return their dtype."""
    check_network(net)
    is_record = hasattr(params, "params")  # a TrainState, a Model, or what fit returns
    if is_record or not isinstance(params, (tuple, list)) or len(params) != net.depth:
        got = f"{len(params)}" if isinstance(params, (tuple, list)) else _kind(params)
        expects = f"a tuple of {net.depth} layer{'s' * (net.depth > 1)} for sizes {net.sizes}"
        remedy = "use jaxmlp.init, or the network of these parameters"
        if isinstance(params, dict) and "W1" in params:
            got, remedy = f"a dictionary with {', '.join(map(str, params))}", "write jaxmlp.params_from_dict(params)"
        elif isinstance(params, dict) and "W" in params:
            got, remedy = "the dictionary of a layer", "put it into a tuple with a comma, as in (layer,)"
        elif is_record:
            got, remedy = type(params).__name__, "give its .params"
        elif hasattr(params, "dtype"):
            remedy = ORDER
        raise InputError(sentence("params", expects, got, remedy))
    for l, (layer, row) in enumerate(zip(params, net.shapes, strict=True), start=1):
        if not isinstance(layer, dict) or set(layer) != set(row.leaves):
            got = sorted(layer) if isinstance(layer, dict) else _kind(layer)
            *names, last = map(repr, row.leaves)
            keys, remedy = f"{', '.join(names)} and {last}", "see jaxmlp.init"
            if isinstance(layer, dict) and {*layer} ^ {*row.leaves} == {"gamma"}:
                remedy = "only a network with norm has gamma; fit removes batch normalisation, so use result.net"
            raise InputError(sentence(f"layer {l}", f"a dictionary with keys {keys}", got, remedy))
        for name, shape in row.leaves.items():
            _check_leaf(l, name, layer[name], shape)
    # mixed dtypes would be promoted somewhere within the pass, and the gradient would have other dtypes than the
    # parameters
    dtypes = {jnp.dtype(leaf.dtype) for leaf in jax.tree.leaves(params)}
    if len(dtypes) > 1:
        names = ", ".join(sorted(map(str, dtypes)))
        raise InputTypeError(sentence("params", "one dtype for all leaves", names, "cast them with jax.tree.map"))
    return dtypes.pop()


def _check_leaf(l: int, name: str, leaf: Any, shape: tuple[int, int]) -> None:
    if isinstance(leaf, bool | int | float) or getattr(leaf, "shape", None) == ():  # within jit a number is an array
        remedy = f"write numpy.full({shape}, float({name}))"
        raise InputError(sentence(f"layer {l}", f"{name} of shape {shape}", "a single number", remedy))
    # JAX's issubdtype here and below: for that of NumPy, bfloat16 is no float
    if not hasattr(leaf, "dtype") or not jnp.issubdtype(leaf.dtype, jnp.floating):
        got = getattr(leaf, "dtype", type(leaf).__name__)
        raise InputTypeError(sentence(f"layer {l}", f"{name} to be a float array", got, f"cast {name} to float"))
    if leaf.shape != shape:
        remedy = "a row per unit, a column per input"
        if leaf.shape == shape[::-1]:
            remedy = f"is {name} transposed?"
        elif name == "b":
            remedy = f"reshape it with b.reshape({shape[0]}, 1)"
        raise InputError(sentence(f"layer {l}", f"{name} of shape {shape}", leaf.shape, remedy))


def _check_numbers(name: str, array: Any, remedy: str) -> None:
    if getattr(array.dtype, "kind", None) in NO_NUMBERS:
        raise InputTypeError(sentence(name, "real numbers", f"an array of dtype {array.dtype}", remedy))


def check_inputs(X: Any, net: Network, dtype: DTypeLike) -> Array:
    """Return X as an array of `dtype`, the dtype of the parameters; raise if it is not (n0, m)."""
    n0 = net.sizes[0]
    if not hasattr(X, "dtype"):
        remedy = "convert it with numpy.asarray"
        raise InputTypeError(sentence("X", f"an array of shape ({n0}, m)", type(X).__name__, remedy))
    _check_numbers("X", X, "convert it with X.astype(float)")
    if jnp.issubdtype(X.dtype, jnp.complexfloating):
        raise InputTypeError(sentence("X", "real numbers", X.dtype, "take X.real or X.imag"))
    if X.ndim != 2 or X.shape[0] != n0:
        remedy = "is X one example per column?"
        if X.ndim == 1:
            remedy = f"reshape one example with X.reshape({n0}, 1)" if len(X) == n0 else "reshape X to two dimensions"
        elif (
            X.ndim > 2 and math.prod(X.shape[1:]) == n0
        ):  # images (m, h, w, c); X.reshape(n0, m) would mix their pixels
            remedy = f"flatten images with X.reshape({X.shape[0]}, {n0}).T, and divide bytes by 255"
        raise InputError(sentence("layer 1", f"A_prev of shape ({n0}, m)", X.shape, remedy))
    return jnp.asarray(X, dtype)


def check_network(net: object) -> None:
    """Raise unless `net` is a `Network`."""
    if not isinstance(net, Network):
        # an array in its place is one of the arguments beside it
        is_array = hasattr(net, "dtype")
        remedy = ORDER if is_array else "write jaxmlp.Network(sizes=...)"
        raise InputTypeError(sentence("net", "a jaxmlp.Network", _kind(net), remedy))


def check_single(net: Network, where: str) -> None:
    """Raise for a network with members or parametric activations, where the equations are those of a plain network."""
    if isinstance(net, Network) and net.parametric:
        expects, remedy = "a network without parametric activations", "it does not support them"
        raise InputError(sentence(where, expects, "one with them", remedy))
    if isinstance(net, Network) and net.members is not None:
        remedy = "take the first one, jaxmlp.nn.forward.take_member(params, net, 1)"
        got = f"one of {net.members} members" if net.members > 1 else "one with a learnt scale of each input"
        raise InputError(sentence(where, "a network without members", got, remedy))


def check_targets(Y: Any, cost: Cost, n_outputs: int, m: int, dtype: DTypeLike) -> Array:
    """Return Y as an array that `cost` takes: (n_L, m), or (1, m) class ids for categorical cross-entropy."""
    if not hasattr(Y, "dtype"):
        remedy = "convert it with numpy.asarray"
        raise InputTypeError(sentence("Y", f"an array of shape ({n_outputs}, {m})", type(Y).__name__, remedy))
    _check_numbers("Y", Y, "number the classes from 0 on: numpy.unique(Y, return_inverse=True) does it")
    # one row is class ids, as many rows as outputs are one-hot columns: softmax has at least two outputs
    ids = cost.name == "categorical_cross_entropy" and Y.ndim == 2 and Y.shape == (1, m)
    if not ids and Y.shape != (n_outputs, m):
        expects = f"shape ({n_outputs}, {m})"
        if cost.name == "categorical_cross_entropy":
            expects += f" one-hot, or (1, {m}) class ids"
        remedy = "is Y one example per column, as many as X?"
        if Y.ndim == 1:
            remedy = "reshape it with Y.reshape(1, -1)"
        raise InputError(sentence(f"Y for cost {cost.name!r}", expects, Y.shape, remedy))
    if m == 0:
        raise InputError(sentence("Y", "at least one example", Y.shape, "the mean over no examples is not defined"))
    if ids and not jnp.issubdtype(Y.dtype, jnp.integer):
        remedy = "cast class ids with Y.astype(int), or give one-hot columns"
        raise InputTypeError(sentence("Y", "whole class ids", Y.dtype, remedy))
    if jnp.issubdtype(Y.dtype, jnp.complexfloating):
        raise InputTypeError(sentence("Y", "real numbers", Y.dtype, "take Y.real"))
    return jnp.asarray(Y) if ids else jnp.asarray(Y, dtype)


def check_weights(weights: Any, m: int, dtype: DTypeLike) -> Array | None:
    """Return the weights of the examples as (1, m), or None."""
    if weights is None:
        return None
    if not hasattr(weights, "dtype") or weights.shape != (1, m):
        got = getattr(weights, "shape", type(weights).__name__)
        remedy = "give one weight per column, with weights.reshape(1, -1)"
        raise InputError(sentence("weights", f"an array of shape (1, {m})", got, remedy))
    if jnp.issubdtype(weights.dtype, jnp.complexfloating):
        raise InputTypeError(sentence("weights", "real numbers", weights.dtype, "take weights.real"))
    return jnp.asarray(weights, dtype)
