"""The network: its static description and its parameters.

    W_l (n_l, n_{l-1}),   b_l (n_l, 1),   γ_l (n_l, 1) where a layer is normalised,   l = 1 … L

A `Network` holds names and numbers only. It is hashable, and for JAX it is a pytree without leaves: it passes through
`jit`, `grad` and `vmap` as it is, and equal networks share one compiled program. Parameters are a bare tuple of
`{"W": ..., "b": ...}` dictionaries, one per layer; a normalised layer has a `"gamma"` besides.
"""

import operator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from jax import Array

from jaxmlp.errors import InputError, InputTypeError, sentence, unknown
from jaxmlp.nn import activations, initializers, normalization, stacks
from jaxmlp.nn.activations import Activation
from jaxmlp.nn.compiled import compiled
from jaxmlp.nn.dense import LayerParams
from jaxmlp.nn.initializers import Initializer

Params = tuple[LayerParams, ...]


@jax.tree_util.register_static
@dataclass(frozen=True)
class Network:
    """What a network is, without its parameters.

    Args:
      sizes: units per layer from the input on, (n0, n1, …, nL). Two sizes make a network without hidden layer:
        logistic, softmax or linear regression by its output.
      hidden: the activation of all hidden layers, or one for each: a name such as "relu", "leaky_relu(0.2)" or
        "maxout(3)", or a record made by `jaxmlp.activation`.
      output: the activation of the last layer: "sigmoid" (two classes, or several labels at once), "softmax"
        (several classes), "identity" (values), or any other.
      norm: "batch" normalises the Z of hidden layers over the examples at hand, "layer" over the units of each example;
        None does not. For evaluation a batch-normalised network is folded into a plain one, as `fit` does.

    Raises:
      InputError: for sizes that are not at least two positive whole numbers, for a number of hidden activations that
        does not fit, and for an unknown activation or normalisation.

    >>> net = Network(sizes=(3, 5, 4, 1), hidden=("tanh", "relu"), output="sigmoid")
    >>> net.depth, net.hidden, net == Network((3, 5, 4, 1), ("tanh", "relu"), "sigmoid")
    (3, ('tanh', 'relu'), True)
    """

    sizes: tuple[int, ...]
    hidden: str | Activation | tuple[str | Activation, ...]
    output: str | Activation
    norm: str | None = None

    def __post_init__(self) -> None:
        sizes = _sizes(self.sizes)
        hidden = self.hidden
        if isinstance(hidden, (str, Activation)):
            hidden = (hidden,) * (len(sizes) - 2)
        elif not isinstance(hidden, (tuple, list)):
            remedy = "write 'relu', say"
            raise InputTypeError(sentence("hidden", "a name, or one for each hidden layer", repr(hidden), remedy))
        elif len(hidden) != len(sizes) - 2:
            remedy = "give one activation for all, or one for each hidden layer"
            raise InputError(sentence("hidden", f"{len(sizes) - 2} activations", len(hidden), remedy))
        output = _spelled(self.output)
        if output == "softmax" and sizes[-1] < 2:
            remedy = "for two classes use one 'sigmoid' output"
            raise InputError(sentence("softmax output", "at least 2 classes", sizes[-1], remedy))
        if self.norm not in (None, *normalization.KINDS):
            raise unknown("norm", self.norm, normalization.KINDS)
        object.__setattr__(self, "sizes", sizes)
        object.__setattr__(self, "hidden", tuple(map(_spelled, hidden)))
        object.__setattr__(self, "output", output)

    @property
    def depth(self) -> int:
        """L, the number of layers, input not counted."""
        return len(self.sizes) - 1

    @property
    def activations(self) -> tuple[Activation, ...]:
        """g_1 … g_L as records."""
        hidden = cast(tuple[str | Activation, ...], self.hidden)  # __post_init__ made it a tuple
        return tuple(map(activations.find, (*hidden, self.output)))

    @property
    def norms(self) -> tuple[str | None, ...]:
        """How each layer is normalised: the hidden ones all alike, the output never."""
        return (*[self.norm] * (self.depth - 1), None)

    @property
    def shapes(self) -> tuple["LayerShape", ...]:
        """The table of shapes, a row per layer."""
        rows = zip(self.sizes, self.sizes[1:], self.activations, self.norms, strict=False)
        return tuple(
            LayerShape(n_in, n_out, g.name, (g.pieces * n_out, n_in), (g.pieces * n_out, 1), norm)
            for n_in, n_out, g, norm in rows
        )

    @property
    def runs(self) -> stacks.Runs:
        """How many equal layers in a row stand together where they are stacked: 1 for each where few are equal.

        >>> Network((3, *[5] * 11, 2), "relu", "softmax").runs
        (1, 10, 1)
        """
        return stacks.equal_runs(tuple(zip(self.shapes, self.activations, strict=True)))

    @property
    def n_parameters(self) -> int:
        """The number of all weights, biases and scales of normalised units.

        >>> Network((3, 2, 1), "maxout(2)", "sigmoid").n_parameters    # 4·3 + 4 + 1·2 + 1
        19
        """
        return sum(row.n_parameters for row in self.shapes)


class LayerShape(NamedTuple):
    """A row of the table of shapes: dW, db, dZ and dA have the shapes of W, b, Z (rows of W, m) and A (n_out, m)."""

    n_in: int
    n_out: int
    activation: str
    W: tuple[int, int]
    b: tuple[int, int]
    norm: str | None = None

    @property
    def leaves(self) -> dict[str, tuple[int, int]]:
        """The shape of each array of the layer by its name: W and b, and γ where it is normalised."""
        plain = {"W": self.W, "b": self.b}
        return plain if self.norm is None else {**plain, "gamma": self.b}

    @property
    def n_parameters(self) -> int:
        """Entries of them all."""
        return sum(rows * columns for rows, columns in self.leaves.values())


def _sizes(sizes: Any) -> tuple[int, ...]:
    try:
        checked = tuple(operator.index(n) for n in sizes)
    except TypeError:
        checked = ()
    if len(checked) < 2 or min(checked) < 1:
        remedy = "give the units of every layer from the input on, as in (2, 4, 1)"
        raise InputError(sentence("sizes", "at least two positive whole numbers", repr(sizes), remedy))
    return checked


def _spelled(spec: str | Activation) -> str | Activation:
    """A built-in activation by the one spelling of its name; a user's own as its record."""
    record = activations.find(spec)
    if record.name.partition("(")[0] not in activations.ACTIVATIONS:
        return record
    if activations.find(record.name) != record:
        got, remedy = f"another one named {record.name!r}", "make it with jaxmlp.activation, under a name of its own"
        raise InputError(sentence("the network", "the built-in activation of that name", got, remedy))
    return record.name


# --- parameters -------------------------------------------------------------------------------------------------------


def init(key: Array, net: Network, scheme: str | Initializer = "auto", dtype: Any = None) -> Params:
    """Random weights and zero biases; the scales γ of normalised layers are 1.

    Args:
      key: a typed key, `jax.random.key(0)`.
      net: the network.
      scheme: "auto" takes for each layer the initializer that suits its activation: He for the relu family, Xavier for
        tanh, sigmoid and the rest. Or one for all layers: "zeros", "constant(c)", "normal(0.01)", "lecun_normal",
        "xavier_normal", "xavier_uniform", "he_normal", "he_uniform", or an `Initializer`.
      dtype: of the parameters; JAX's default float (float32, or float64 with x64 enabled) if None.

    Returns:
      A tuple of {"W": (n_l, n_{l-1}), "b": (n_l, 1)}; for maxout(k) k·n_l rows.

    Raises:
      InputTypeError: when `key` is not a key.
      InputError: for an unknown scheme.

    >>> params = init(jax.random.key(0), Network((3, 4, 1), "tanh", "sigmoid"))
    >>> [(layer["W"].shape, layer["b"].shape) for layer in params]
    [((4, 3), (4, 1)), ((1, 4), (1, 1))]
    """
    return stacks.unstacked(init_stacks(key, net, scheme, dtype), net.runs)


@compiled(static=("scheme", "dtype"))
def init_stacks(key: Array, net: Network, scheme: str | Initializer = "auto", dtype: Any = None) -> Params:
    """What `init` draws, with equal layers stacked."""
    check_network(net)
    check_key(key)
    dtype = jnp.dtype(dtype or jax.dtypes.canonicalize_dtype(float))
    if not jnp.issubdtype(dtype, jnp.floating):
        raise InputTypeError(sentence("init", "a float dtype", dtype, "leave it out for the default"))
    keys, params, l = jax.random.split(key, net.depth), [], 0
    for k in net.runs:
        initializer = initializers.find(net.activations[l].init if scheme == "auto" else scheme)
        params.append(stacks.drawn(partial(_layer, initializer, net.shapes[l], dtype), keys[l : l + k]))
        l += k
    return tuple(params)


def _layer(initializer: Initializer, row: LayerShape, dtype: Any, key: Array) -> LayerParams:
    rest = {"b": jnp.zeros, "gamma": jnp.ones}
    leaves = {name: rest[name](shape, dtype) for name, shape in row.leaves.items() if name != "W"}
    return {"W": initializer.draw(key, row.W, row.n_in, row.n_out, dtype), **leaves}


def check_key(key: Any) -> None:
    """Raise unless `key` is one typed key."""
    if not isinstance(key, Array) or not jnp.issubdtype(key.dtype, jax.dtypes.prng_key) or key.ndim:
        got = f"{key.dtype} of shape {key.shape}" if isinstance(key, Array) else type(key).__name__
        raise InputTypeError(sentence("key", "a typed key", got, "write jax.random.key(0)"))


def check_params(params: Any, net: Network) -> jnp.dtype:
    """Raise unless `params` are parameters of `net`; return their dtype."""
    check_network(net)
    if not isinstance(params, (tuple, list)) or len(params) != net.depth:
        got = f"{len(params)}" if isinstance(params, (tuple, list)) else type(params).__name__
        expects = f"a tuple of {net.depth} layers for sizes {net.sizes}"
        raise InputError(sentence("params", expects, got, "use jaxmlp.init, or these parameters' own network"))
    for l, (layer, row) in enumerate(zip(params, net.shapes, strict=True), start=1):
        if not isinstance(layer, dict) or set(layer) != set(row.leaves):
            got = sorted(layer) if isinstance(layer, dict) else type(layer).__name__
            *most, last = map(repr, row.leaves)
            keys, remedy = f"{', '.join(most)} and {last}", "see jaxmlp.init"
            if isinstance(layer, dict) and {*layer} ^ {*row.leaves} == {"gamma"}:
                remedy = "only a network with norm has γ, and fit folds batch normalisation: take its own result.net"
            raise InputError(sentence(f"layer {l}", f"a dictionary with keys {keys}", got, remedy))
        for name, shape in row.leaves.items():
            _check_leaf(l, name, layer[name], shape)
    dtypes = {jnp.dtype(leaf.dtype) for leaf in jax.tree.leaves(params)}
    if len(dtypes) > 1:
        names = ", ".join(sorted(map(str, dtypes)))
        raise InputTypeError(sentence("params", "one dtype for all leaves", names, "cast them with jax.tree.map"))
    return dtypes.pop()


def _check_leaf(l: int, name: str, leaf: Any, shape: tuple[int, int]) -> None:
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


def check_inputs(X: Any, net: Network, dtype: Any) -> Array:
    """X as an array of `dtype`, the dtype of the parameters, or an error if it is not (n0, m)."""
    n0 = net.sizes[0]
    if not hasattr(X, "dtype"):
        remedy = "convert it with numpy.asarray"
        raise InputTypeError(sentence("X", f"an array of shape ({n0}, m)", type(X).__name__, remedy))
    if jnp.issubdtype(X.dtype, jnp.complexfloating):
        raise InputTypeError(sentence("X", "real numbers", X.dtype, "take X.real or X.imag"))
    if X.ndim != 2 or X.shape[0] != n0:
        remedy = "is X one example per column?"
        if X.ndim == 1:
            remedy = f"reshape one example with X.reshape({n0}, 1)" if len(X) == n0 else "reshape X to two dimensions"
        raise InputError(sentence("layer 1", f"A_prev of shape ({n0}, m)", X.shape, remedy))
    return jnp.asarray(X, dtype)


def check_network(net: Any) -> None:
    """Raise unless `net` is a `Network`."""
    if not isinstance(net, Network):
        raise InputTypeError(sentence("net", "a jaxmlp.Network", type(net).__name__, "write jaxmlp.Network(sizes=...)"))
