"""The network: its static description, its parameters, and forward propagation.

    A0 = X (n0, m), one example per column
    Z_l = W_l A_{l-1} + b_l,   A_l = g_l(Z_l),   l = 1 … L; the input layer is not counted

A `Network` holds names and numbers only. It is hashable, and for JAX it is a pytree without leaves: it passes through
`jit`, `grad` and `vmap` as it is, and equal networks share one compiled program. Parameters are a bare tuple of
`{"W": ..., "b": ...}` dictionaries, one per layer.
"""

import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from jax import Array

from jaxmlp.errors import InputError, InputTypeError, sentence
from jaxmlp.nn import activations, initializers
from jaxmlp.nn.activations import Activation
from jaxmlp.nn.compiled import compiled
from jaxmlp.nn.dense import LayerParams, dense
from jaxmlp.nn.initializers import Initializer

Params = tuple[LayerParams, ...]
Block = Callable[[Activation, LayerParams, Array], Array]


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

    Raises:
      InputError: for sizes that are not at least two positive whole numbers, for a number of hidden activations that
        does not fit, and for an unknown activation.

    >>> net = Network(sizes=(3, 5, 4, 1), hidden=("tanh", "relu"), output="sigmoid")
    >>> net.depth, net.hidden, net == Network((3, 5, 4, 1), ("tanh", "relu"), "sigmoid")
    (3, ('tanh', 'relu'), True)
    """

    sizes: tuple[int, ...]
    hidden: str | Activation | tuple[str | Activation, ...]
    output: str | Activation

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
    def shapes(self) -> tuple["LayerShape", ...]:
        """The table of shapes, a row per layer."""
        rows = zip(self.sizes, self.sizes[1:], self.activations, strict=False)
        return tuple(
            LayerShape(n_in, n_out, g.name, (g.pieces * n_out, n_in), (g.pieces * n_out, 1)) for n_in, n_out, g in rows
        )

    @property
    def n_parameters(self) -> int:
        """The number of all weights and biases.

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

    @property
    def n_parameters(self) -> int:
        """Entries of W and b."""
        return self.W[0] * self.W[1] + self.b[0]


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


@compiled(static=("scheme", "dtype"))
def init(key: Array, net: Network, scheme: str | Initializer = "auto", dtype: Any = None) -> Params:
    """Random weights and zero biases.

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
    check_network(net)
    check_key(key)
    dtype = jnp.dtype(dtype or jax.dtypes.canonicalize_dtype(float))
    if not jnp.issubdtype(dtype, jnp.floating):
        raise InputTypeError(sentence("init", "a float dtype", dtype, "leave it out for the default"))
    params = []
    for layer_key, row, g in zip(jax.random.split(key, net.depth), net.shapes, net.activations, strict=True):
        initializer = initializers.find(g.init if scheme == "auto" else scheme)
        W = initializer.draw(layer_key, row.W, row.n_in, row.n_out, dtype)
        params.append({"W": W, "b": jnp.zeros(row.b, dtype)})
    return tuple(params)


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
        if not isinstance(layer, dict) or set(layer) != {"W", "b"}:
            got = sorted(layer) if isinstance(layer, dict) else type(layer).__name__
            raise InputError(sentence(f"layer {l}", "a dictionary with keys 'W' and 'b'", got, "see jaxmlp.init"))
        for name, shape in (("W", row.W), ("b", row.b)):
            _check_leaf(l, name, layer[name], shape)
    dtypes = {jnp.dtype(leaf.dtype) for leaf in jax.tree.leaves(params)}
    if len(dtypes) > 1:
        names = ", ".join(sorted(map(str, dtypes)))
        raise InputTypeError(sentence("params", "one dtype for all W and b", names, "cast them with jax.tree.map"))
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


# --- forward propagation ----------------------------------------------------------------------------------------------


def propagate(params: Iterable[LayerParams], A: Array, gs: Iterable[Activation], block: Block = dense) -> Array:
    """A_0 -> A_L through one block per layer."""
    for g, layer in zip(gs, params, strict=True):
        A = block(g, layer, A)
    return A


def to_logits(params: Params, X: Array, net: Network, block: Block = dense) -> Array:
    """A_0 -> Z_L: the last block ends in the identity, because costs are computed from logits."""
    return propagate(params, X, (*net.activations[:-1], activations.identity), block)


@compiled()
def forward(params: Params, X: Array, net: Network) -> Array:
    """A_L = g_L(Z_L), the network's output.

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

    >>> net = Network((2, 1), "relu", "sigmoid")
    >>> params = ({"W": jnp.array([[0.5, -0.25]]), "b": jnp.zeros((1, 1))},)
    >>> forward(params, jnp.array([[1.0], [2.0]]), net).tolist()    # Z = 1·0.5 - 2·0.25 = 0, σ(0) = 1/2
    [[0.5]]
    """
    X = check_inputs(X, net, check_params(params, net))
    return propagate(params, X, net.activations)


@compiled()
def logits(params: Params, X: Array, net: Network) -> Array:
    """Z_L, the last layer before its activation: (n_L, m), or (k·n_L, m) for maxout(k).

    Arguments (params, X, net) and errors are those of `forward`.

    >>> net = Network((2, 1), "relu", "sigmoid")
    >>> params = ({"W": jnp.array([[0.5, -0.25]]), "b": jnp.ones((1, 1))},)
    >>> logits(params, jnp.array([[1.0], [2.0]]), net).tolist()
    [[1.0]]
    """
    X = check_inputs(X, net, check_params(params, net))
    return to_logits(params, X, net)


@compiled()
def trace(params: Params, X: Array, net: Network) -> tuple[dict[str, Array], ...]:
    """Every Z and A: a tuple of {"Z": Z_l, "A": A_l}, l = 1 … L.

    Arguments (params, X, net) and errors are those of `forward`.

    >>> net = Network((1, 1, 1), "relu", "identity")
    >>> layer = {"W": jnp.array([[-2.0]]), "b": jnp.ones((1, 1))}
    >>> steps = trace((layer, layer), jnp.array([[3.0]]), net)
    >>> [(float(step["Z"][0, 0]), float(step["A"][0, 0])) for step in steps]    # -2·3 + 1 = -5; -2·0 + 1 = 1
    [(-5.0, 0.0), (1.0, 1.0)]
    """
    A = check_inputs(X, net, check_params(params, net))
    steps = []
    for g, layer in zip(net.activations, params, strict=True):
        Z = dense(activations.identity, layer, A)
        A = g.apply(Z)
        steps.append({"Z": Z, "A": A})
    return tuple(steps)
