"""Activations: A = g(Z), its pullback dZ = (∂A/∂Z)ᵀ dA, and its convention at kinks.

An activation is a record of pure functions on a matrix Z with one example per column. Its derivative is given as the
pullback `(Z, A, dA) -> dZ`, because "multiply by g'" cannot say what softmax (couples the rows of a column) or maxout
(changes the width) do; for an elementwise g the pullback is dA ⊙ g'(Z).

Conventions where the derivative jumps: relu'(0) = 0; leaky_relu'(0) = elu'(0) = 1; step' = 0 everywhere; maxout routes
to the first maximal piece. Autodiff of `apply` follows the same convention (that of `jnp.maximum(z, 0)` would give
1/2). NaN goes in and comes out; ±inf gives the limit where there is one.
"""

import math
from collections.abc import Callable
from functools import cache
from numbers import Integral, Real
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxmlp.errors import InputError, InputTypeError, sentence
from jaxmlp.nn.names import canonical, resolve
from jaxmlp.nn.slopes import finite, finite_below, gelu_slope, normal_cdf, sigmoid_slope, silu_slope, tanh_slope


class Activation(NamedTuple):
    """A record of pure functions.

    Attributes:
      name: its one spelling, with its numbers: "leaky_relu(0.01)".
      apply: Z (pieces·n, m) -> A (n, m).
      pullback: (Z, A, dA) -> dZ, shaped like Z. Training calls it.
      init: the weight initializer that `initializer="auto"` picks for a layer that ends in it.
      pieces: rows of Z for each row of A; 1 except for maxout.
      kinks: the z where g' jumps.
      elementwise: whether each entry of A depends on one entry of Z.
      autodiff: whether the pullback is JAX's instead of written by hand.
      formula, derivative: g(z) and g'(z) as text.
      slope: Z -> g'(Z), which keeps its digits in the tails where the pullback of sigmoid, tanh and gelu, which are the
        textbook's formulas, loses them (see `slopes`); None where g couples rows.
    """

    name: str
    apply: Callable[[Array], Array]
    pullback: Callable[[Array, Array, Array], Array]
    init: str = "xavier_normal"
    pieces: int = 1
    kinks: tuple[float, ...] = ()
    elementwise: bool = True
    autodiff: bool = False
    formula: str = ""
    derivative: str = ""
    slope: Callable[[Array], Array] | None = None


# --- the textbook's ---------------------------------------------------------------------------------------------------

identity = Activation(
    "identity",
    apply=lambda Z: Z,
    pullback=lambda Z, A, dA: dA,
    formula="z",
    derivative="1",
    slope=jnp.ones_like,
)

step = Activation(
    "step",
    apply=lambda Z: jnp.where(jnp.isnan(Z), Z, (Z > 0).astype(Z.dtype)),
    pullback=lambda Z, A, dA: jnp.zeros_like(dA),
    kinks=(0.0,),
    formula="1 if z > 0 else 0",
    derivative="0",
    slope=jnp.zeros_like,
)

sigmoid = Activation(
    "sigmoid",
    apply=jax.nn.sigmoid,
    pullback=lambda Z, A, dA: dA * A * (1 - A),
    formula="1 / (1 + e⁻ᶻ)",
    derivative="a (1 - a)",
    slope=sigmoid_slope,
)

tanh = Activation(
    "tanh",
    apply=jnp.tanh,
    pullback=lambda Z, A, dA: dA * (1 - A * A),
    formula="(eᶻ - e⁻ᶻ) / (eᶻ + e⁻ᶻ)",
    derivative="1 - a²",
    slope=tanh_slope,
)

relu = Activation(
    "relu",
    apply=jax.nn.relu,  # maximum(z, 0), relu'(0) = 0; where(Z <= 0, 0, Z) compiles 5 times as long in small batches
    pullback=lambda Z, A, dA: jnp.where(A > 0, dA, jnp.zeros_like(dA)),
    init="he_normal",
    kinks=(0.0,),
    formula="max(0, z)",
    derivative="1 if z > 0 else 0",
    slope=lambda Z: (Z > 0).astype(Z.dtype),
)


def _with_slope(g: Activation) -> Activation:
    """Return the record with g'(Z) by its pullback."""
    return g._replace(slope=lambda Z: g.pullback(Z, g.apply(Z), jnp.ones_like(Z)))


def leaky_relu(alpha: float = 0.01) -> Activation:
    """Make the leaky rectifier: z for z ≥ 0, αz below; 0 ≤ α ≤ 1; slope 1 at 0.

    >>> leaky_relu(0.2).apply(jnp.array([[-1.0, 0.0, 2.0]])).tolist()
    [[-0.20000000298023224, 0.0, 2.0]]
    """
    return _leaky_relu(_coefficient("leaky_relu", alpha, upper=1.0))


@cache  # equal α, equal record: equal networks share one compiled program
def _leaky_relu(alpha: float) -> Activation:
    def apply(Z: Array) -> Array:
        below = alpha * Z if alpha else jnp.zeros_like(Z)  # 0 · (-inf) would be NaN
        return jnp.where(Z < 0, below, Z)

    def pullback(Z: Array, A: Array, dA: Array) -> Array:
        return jnp.where(Z < 0, alpha * dA, dA)

    name = canonical("leaky_relu", alpha)
    text = "z if z ≥ 0 else αz", "1 if z ≥ 0 else α"
    g = Activation(name, apply, pullback, "he_normal", kinks=(0.0,), formula=text[0], derivative=text[1])
    return _with_slope(g)


def elu(alpha: float = 1.0) -> Activation:
    """Make the exponential linear unit: z for z ≥ 0, α(eᶻ - 1) below; α ≥ 0; slope 1 at 0, without a jump for α = 1.

    >>> elu(1.0).apply(jnp.array([[-jnp.inf, 0.0, 2.0]])).tolist()
    [[-1.0, 0.0, 2.0]]
    """
    return _elu(_coefficient("elu", alpha))


@cache
def _elu(alpha: float) -> Activation:
    # exp of min(z, 0) and not of z: the branch that `where` drops must not overflow, or autodiff makes NaN of 0 · inf
    def apply(Z: Array) -> Array:
        return jnp.where(Z < 0, alpha * jnp.expm1(jnp.minimum(Z, 0)), Z)

    def pullback(Z: Array, A: Array, dA: Array) -> Array:
        return jnp.where(Z < 0, dA * alpha * jnp.exp(jnp.minimum(Z, 0)), dA)

    name = canonical("elu", alpha)
    kinks = () if alpha == 1 else (0.0,)
    text = "z if z ≥ 0 else α(eᶻ - 1)", "1 if z ≥ 0 else αeᶻ"
    g = Activation(name, apply, pullback, "he_normal", kinks=kinks, formula=text[0], derivative=text[1])
    return _with_slope(g)


def maxout(pieces: int = 2) -> Activation:
    """Make maxout: the largest of k affine pieces per unit. The gradient goes to the first piece that attains it.

    Z has k·n rows: the first pieces of all units, then all second pieces, and so on. The layer has k times the weights.

    >>> maxout(2).apply(jnp.array([[1.0], [5.0], [3.0], [4.0]])).tolist()    # units (1, 3) and (5, 4)
    [[3.0], [5.0]]
    """
    if not isinstance(pieces, Integral) or pieces < 2:
        raise InputError(sentence("maxout", "a whole number of pieces, at least 2", pieces, "write 'maxout(2)'"))
    return _maxout(int(pieces))


@cache
def _maxout(k: int) -> Activation:
    def split(Z: Array) -> Array:
        return Z.reshape(k, -1, Z.shape[1])  # (k, n, m): the rows of Z have all first pieces, then all second ones

    # comparisons one after the other and not max: autodiff of max would divide the gradient of a tie among its pieces
    def fold(Z: Array) -> tuple[Array, list[Array]]:
        largest, *remaining = split(Z)
        larger = []
        for piece in remaining:
            larger.append((piece > largest) | jnp.isnan(piece))  # NaN is never larger, but must come out
            largest = jnp.where(larger[-1], piece, largest)
        return largest, larger

    def apply(Z: Array) -> Array:
        return fold(Z)[0]

    # only the results of the comparisons are needed, so XLA keeps these bits for the backward pass and not Z
    def pullback(Z: Array, A: Array, dA: Array) -> Array:
        dZ = []
        for is_larger in reversed(fold(Z)[1]):
            dZ.append(jnp.where(is_larger, dA, 0))
            dA = jnp.where(is_larger, 0, dA)
        return jnp.concatenate([dA, *reversed(dZ)])  # what no later piece took is that of the first one

    name = canonical("maxout", k)
    text = "max(z₁, …, z_k)", "1 for the first maximal piece, else 0"
    return Activation(name, apply, pullback, "he_normal", k, elementwise=False, formula=text[0], derivative=text[1])


def _softmax(Z: Array) -> Array:
    # +inf is made finite first: inf - inf would be NaN where the limit is a one-hot column. The largest z is subtracted
    # so that no exponential overflows; without its gradient, because the quotient does not depend on it
    Z = finite(Z)
    E = jnp.exp(Z - jax.lax.stop_gradient(Z.max(axis=0, keepdims=True)))
    return E / E.sum(axis=0, keepdims=True)


softmax = Activation(
    "softmax",
    apply=_softmax,
    # (diag(a) - a aᵀ) dA, column by column, without forming the Jacobian
    pullback=lambda Z, A, dA: A * (dA - (A * dA).sum(axis=0, keepdims=True)),
    elementwise=False,
    formula="eᶻⁱ / Σⱼ eᶻʲ over a column",
    derivative="diag(a) - a aᵀ",
)


# --- beyond the textbook ----------------------------------------------------------------------------------------------


def _gelu_pullback(Z: Array, A: Array, dA: Array) -> Array:
    Z = finite(Z)
    density = jnp.exp(-0.5 * Z * Z) / math.sqrt(2 * math.pi)
    return dA * (normal_cdf(Z) + Z * density)


gelu = Activation(
    "gelu",
    apply=lambda Z: finite_below(Z) * normal_cdf(Z),
    pullback=_gelu_pullback,
    init="he_normal",
    formula="z Φ(z), Φ the normal distribution function (exact, not the tanh form)",
    derivative="Φ(z) + z φ(z)",
    slope=gelu_slope,
)

silu = Activation(
    "silu",
    apply=lambda Z: finite_below(Z) * jax.nn.sigmoid(Z),
    pullback=lambda Z, A, dA: dA * silu_slope(Z),
    init="he_normal",
    formula="z σ(z)",
    derivative="σ(z) (1 + z (1 - σ(z)))",
    slope=silu_slope,
)

softplus = Activation(
    "softplus",
    apply=lambda Z: jnp.logaddexp(Z, jnp.zeros_like(Z)),
    pullback=lambda Z, A, dA: dA * jax.nn.sigmoid(Z),
    init="he_normal",
    formula="ln(1 + eᶻ)",
    derivative="σ(z)",
    slope=jax.nn.sigmoid,
)

# the canonical link of counts: with cost "poisson" δ = a - y. For z > 88.7 in float32 a is inf, because no number of
# the dtype is as large
exp = Activation(
    "exp",
    apply=jnp.exp,
    pullback=lambda Z, A, dA: dA * A,
    formula="eᶻ",
    derivative="a",
    slope=jnp.exp,
)

ACTIVATIONS: dict[str, Activation | Callable[..., Activation]] = {
    "identity": identity,
    "step": step,
    "sigmoid": sigmoid,
    "tanh": tanh,
    "relu": relu,
    "leaky_relu": leaky_relu,
    "elu": elu,
    "maxout": maxout,
    "softmax": softmax,
    "gelu": gelu,
    "silu": silu,
    "softplus": softplus,
    "exp": exp,
}


def find(spec: "str | Activation") -> Activation:
    """Return the record of that name; return a record as it is.

    >>> find("leaky_relu").name, find("maxout(3)").pieces
    ('leaky_relu(0.01)', 3)
    """
    return spec if isinstance(spec, Activation) else resolve("activation", spec, ACTIVATIONS)


def activation(
    name: str,
    apply: Callable[[Array], Array],
    pullback: Callable[[Array, Array, Array], Array] | None = None,
    *,
    init: str = "xavier_normal",
    kinks: tuple[float, ...] = (),
    elementwise: bool = True,
) -> Activation:
    """Make an activation of your own, from `apply` and, if you can, its hand-written pullback.

    Without `pullback` the derivative is JAX's autodiff of `apply`, and `record.autodiff` says so. Make the record once
    and use it again: JAX compiles the programs of a network for each record, even if its functions are equal.

    Args:
      name: a name that no built-in activation has. A saved model holds the name; to load it, pass the record.
      apply: Z (n, m) -> A (n, m).
      pullback: (Z, A, dA) -> dZ; for an elementwise g, dA * g'(Z).
      init: the initializer that `initializer="auto"` picks.
      kinks: the z where g' jumps.
      elementwise: False when an entry of A depends on more than its own entry of Z.

    Raises:
      InputError: when a built-in activation has the name.
      InputTypeError: when `apply` or `pullback` is not a function.

    >>> square = activation("square", lambda Z: Z * Z, lambda Z, A, dA: 2 * Z * dA)
    >>> square.apply(jnp.array([[3.0]])).tolist(), square.autodiff
    ([[9.0]], False)
    """
    if not isinstance(name, str) or not name.isidentifier():
        raise InputError(sentence("activation", "a name such as 'square'", repr(name), "use letters, digits and _"))
    if name in ACTIVATIONS:
        raise InputError(sentence("activation", "a new name", repr(name), f"call it 'my_{name}', say"))
    for function in (apply,) if pullback is None else (apply, pullback):
        if not callable(function):
            remedy = "give functions of arrays"
            raise InputTypeError(sentence(f"activation {name!r}", "functions", type(function).__name__, remedy))

    def by_autodiff(Z: Array, A: Array, dA: Array) -> Array:
        return jax.vjp(apply, Z)[1](dA)[0]

    g = Activation(name, apply, pullback or by_autodiff, init, 1, kinks, elementwise, autodiff=pullback is None)
    return _with_slope(g) if elementwise else g


def _coefficient(where: str, alpha: float, upper: float = math.inf) -> float:
    if not (isinstance(alpha, Real) and 0 <= alpha <= upper and math.isfinite(alpha)):
        bound = f"0 ≤ α ≤ {upper:g}" if math.isfinite(upper) else "a finite α ≥ 0"
        raise InputError(sentence(where, bound, alpha, f"write '{where}(0.1)', say"))
    return float(alpha)
