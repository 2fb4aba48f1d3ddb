"""The parameters of a network before training, and as the flat dictionary that courses use.

W_l (n_l, n_{l-1}) by an initializer,   b_l (n_l, 1) zero,   γ_l (n_l, 1) one where a layer is normalised,
s_l (n_l, 1) one where its activation is parametric,
R (k, n_0), or (k, columns), of k members random signs, of a single one 1
here ({"W": W_1, "b": b_1}, {"W": W_2, "b": b_2}, …);   in a course {"W1": W_1, "b1": b_1, "W2": W_2, "b2": b_2, …}
"""

import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from jaxmlp.errors import InputError, InputTypeError, sentence
from jaxmlp.fork import refuse_after_fork
from jaxmlp.nn import initializers
from jaxmlp.nn.checks import check_key, check_network
from jaxmlp.nn.dense import LayerParams
from jaxmlp.nn.initializers import Initializer, ScaledDraw
from jaxmlp.nn.layer_stacks import draw_per_layer, stack_layers, unstack_layers
from jaxmlp.nn.network import LayerShape, Network, Params
from jaxmlp.nn.program_store import MAX_FUNCTIONS, Programs
from jaxmlp.nn.random_numbers import draw_at_least, has_prefix_draws, split_key

MOST_LAYERS = 64  # up to this depth shared programs draw each layer; a deeper network gets one program of its own


def init(key: Array, net: Network, initializer: str | Initializer = "auto", dtype: DTypeLike | None = None) -> Params:
    """Draw random weights; biases are zero, and the scales γ of normalised layers are 1.

    Args:
      key: a typed key, `jax.random.key(0)`.
      net: the network.
      initializer: "auto" takes for each layer the initializer that suits its activation: He for the relu family, Xavier
        for tanh, sigmoid and all others. Or one for all layers: "zeros", "constant(c)", "normal(0.01)", "lecun_normal",
        "xavier_normal", "xavier_uniform", "he_normal", "he_uniform", or an `Initializer`.
      dtype: of the parameters; JAX's default float (float32, or float64 with x64 enabled) if None.

    Returns:
      A tuple of {"W": (n_l, n_{l-1}), "b": (n_l, 1)}; for maxout(k) k·n_l rows.

    Raises:
      InputTypeError: when `key` is not a key.
      InputError: for an unknown initializer.

    >>> params = init(jax.random.key(0), Network((3, 4, 1), "tanh", "sigmoid"))
    >>> [(layer["W"].shape, layer["b"].shape) for layer in params]
    [((4, 3), (4, 1)), ((1, 4), (1, 1))]
    """
    refuse_after_fork("init")
    return unstack_layers(init_stacks(key, net, initializer, dtype), net.runs)


def init_stacks(
    key: Array, net: Network, initializer: str | Initializer = "auto", dtype: DTypeLike | None = None
) -> Params:
    """Draw the parameters of `init`, with equal layers stacked."""
    check_network(net)
    check_key(key)
    dtype = jnp.dtype(dtype or jax.dtypes.canonicalize_dtype(float))
    if not jnp.issubdtype(dtype, jnp.floating):
        raise InputTypeError(sentence("init", "a float dtype", dtype, "leave it out for the default"))
    layer_initializers = _find_initializers(net, initializer)
    draws = tuple(record.draw for record in layer_initializers if isinstance(record.draw, ScaledDraw))
    if not has_prefix_draws(key) or net.depth > MOST_LAYERS or len(draws) < net.depth:
        return _draw_program(net, layer_initializers, dtype)(key)
    # programs that all networks share draw the numbers; only their scaling is compiled for this one
    numbers, signs = [], []
    for draw, row, layer_key in zip(draws, net.shapes, split_key(key, net.depth), strict=True):
        numbers.append(draw_at_least(draw.sample, layer_key, math.prod(row.W), dtype))
        shape = _shape_of_signs(row)
        signs.append(None if shape is None else draw_at_least(_draw_signs, layer_key, math.prod(shape), dtype))
    return _scale_program(net, draws, dtype)(numbers, signs)


def _find_initializers(net: Network, initializer: str | Initializer) -> tuple[Initializer, ...]:
    """Return the initializer of each layer."""
    return tuple(initializers.find(g.init if initializer == "auto" else initializer) for g in net.activations)


@lru_cache(maxsize=MAX_FUNCTIONS)
def _draw_program(net: Network, layer_initializers: tuple[Initializer, ...], dtype: DTypeLike) -> Programs:
    """Return the program key -> parameters."""

    def draw_stacks(key: Array) -> Params:
        # a key for each layer, whether it is in a stack or not: stacking must not change what is drawn
        keys, params, l = jax.random.split(key, net.depth), [], 0
        for k in net.runs:
            draw = partial(_draw_layer, layer_initializers[l], net.shapes[l], dtype)
            params.append(draw_per_layer(draw, keys[l : l + k]))
            l += k
        return tuple(params)

    return Programs(draw_stacks)


@lru_cache(maxsize=MAX_FUNCTIONS)
def _scale_program(net: Network, draws: tuple[ScaledDraw, ...], dtype: DTypeLike) -> Programs:
    """Return the program (random numbers of each layer, perhaps more than needed) -> parameters."""

    def scale_numbers(numbers: Sequence[Array], signs: Sequence[Array | None]) -> Params:
        layers = [
            _make_layer(row, dtype, draw.scale(_take_shape(row.W, x), row.n_in, row.n_out), r)
            for draw, row, x, r in zip(draws, net.shapes, numbers, signs, strict=True)
        ]
        return stack_layers(tuple(layers), net.runs)

    return Programs(scale_numbers)


def _draw_layer(record: Initializer, row: LayerShape, dtype: DTypeLike, key: Array) -> LayerParams:
    W = record.draw(key, row.W, row.n_in, row.n_out, dtype)
    shape = _shape_of_signs(row)
    return _make_layer(row, dtype, W, None if shape is None else _draw_signs(key, shape, dtype))


def _shape_of_signs(row: LayerShape) -> tuple[int, int] | None:
    # random signs make members differ; a single member needs none
    return row.R if row.R is not None and row.R[0] > 1 else None


def _draw_signs(key: Array, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    # another key: W stays what a network without members has
    return jax.random.rademacher(jax.random.fold_in(key, 1), shape, dtype)


def _make_layer(row: LayerShape, dtype: DTypeLike, W: Array, signs: Array | None) -> LayerParams:
    layer = {"W": W, "b": jnp.zeros(row.b, dtype)}
    if row.norm is not None:
        layer["gamma"] = jnp.ones(row.b, dtype)
    if row.parametric:
        layer["s"] = jnp.ones(row.b, dtype)
    if row.R is not None:
        layer["R"] = jnp.ones(row.R, dtype) if signs is None else _take_shape(row.R, signs)
    return layer


def _take_shape(shape: tuple[int, ...], numbers: Array) -> Array:
    return numbers.ravel()[: math.prod(shape)].reshape(shape)


# --- as one flat dictionary -------------------------------------------------------------------------------------------


def params_from_dict(dictionary: Mapping[str, Any]) -> Params:
    """Return the parameters of a course's flat dictionary, {"W1": W_1, "b1": b_1, …}, as a tuple of layers.

    Args:
      dictionary: W1 (n_1, n_0), b1 (n_1, 1), W2, b2, … in any order, and gamma1, … where layers are normalised, s1, …
        where activations are parametric. The arrays stay as they are.

    Returns:
      ({"W": W_1, "b": b_1}, {"W": W_2, "b": b_2}, …).

    Raises:
      InputError: for other keys, a layer without W or b, and shapes that do not fit together.
      InputTypeError: when it is not a dictionary of arrays.

    >>> params_from_dict({"W1": jnp.ones((1, 2)), "b1": jnp.zeros((1, 1))})
    ({'W': Array([[1., 1.]], dtype=float32), 'b': Array([[0.]], dtype=float32)},)
    """
    expects = 'a dictionary {"W1": …, "b1": …, "W2": …}'
    if not isinstance(dictionary, Mapping):
        got = type(dictionary).__name__
        raise InputTypeError(sentence("params_from_dict", expects, got, "a tuple of layers needs no conversion"))
    # any order of keys is fine: they are sorted into layers first, and gaps are found afterwards
    layers: dict[int, dict[str, Any]] = {}
    for key, leaf in dictionary.items():
        match = re.fullmatch(r"(W|b|gamma|s|R)([1-9]\d*)", str(key))
        if match is None:
            # W0 of layers that are counted from 0, w1 and W_1 of other texts, w of logistic regression
            near = re.fullmatch(r"([Ww]|b)_?(\d*)", str(key))
            remedy = "give parameters only"
            if near:
                remedy = f"number the layers from 1 on: write {near[1].replace('w', 'W')}{near[2].lstrip('0') or 1}"
            raise InputError(sentence("params_from_dict", expects, f"a key {key!r}", remedy))
        if not hasattr(leaf, "shape"):
            got, remedy = f"{key} as {type(leaf).__name__}", "write numpy.zeros((n, 1)) for a bias of n units"
            if isinstance(leaf, list | tuple):
                remedy = "convert it with numpy.array"
            raise InputTypeError(sentence("params_from_dict", "arrays", got, remedy))
        layers.setdefault(int(match[2]), {})[match[1]] = leaf
    for l in range(1, len(layers) + 1):
        for name in ("W", "b"):
            if name not in layers.get(l, {}):
                got = ", ".join(map(str, dictionary))
                raise InputError(sentence("params_from_dict", f"a key {name}{l}", got, "number the layers from 1 on"))
    if not layers:
        raise InputError(sentence("params_from_dict", expects, "an empty one", "give the parameters of a network"))
    params = tuple(layers[l] for l in range(1, len(layers) + 1))
    _check_matrices(params)
    return params


def _check_matrices(params: Params) -> None:
    for l, layer in enumerate(params, start=1):
        W = layer["W"]
        if len(W.shape) != 2:
            remedy = "a row per unit, a column per input"
            raise InputError(sentence(f"W{l}", "two dimensions", f"shape {W.shape}", remedy))
        for name in layer.keys() - {"W", "R"}:
            n = W.shape[0]
            if layer[name].shape != (n, 1):
                remedy = f"write {name}{l}.reshape({n}, 1)" if layer[name].shape == (n,) else "one row for each of W"
                if layer[name].shape == (W.shape[1], 1):  # a column w, as in logistic regression
                    remedy += f": is W{l} transposed?"
                raise InputError(sentence(f"{name}{l}", f"shape ({n}, 1)", layer[name].shape, remedy))


def params_to_dict(params: Params) -> dict[str, Any]:
    """Return the parameters as the flat dictionary of courses: {"W1": W_1, "b1": b_1, "W2": …}.

    Args:
      params: a tuple of {"W", "b"} dictionaries. A gradient has the same form; its keys are W1, b1, … too.

    Raises:
      InputTypeError: when it is not such a tuple.

    >>> params = ({"W": jnp.ones((1, 2)), "b": jnp.zeros((1, 1))},)
    >>> list(params_to_dict(params)), params_from_dict(params_to_dict(params)) == params
    (['W1', 'b1'], True)
    """
    if not isinstance(params, tuple | list) or not all(isinstance(layer, Mapping) for layer in params):
        got, remedy = type(params).__name__, "see jaxmlp.init"
        raise InputTypeError(sentence("params_to_dict", "a tuple of dictionaries, one for each layer", got, remedy))
    return {f"{name}{l}": leaf for l, layer in enumerate(params, start=1) for name, leaf in layer.items()}
