"""Initializers: the weights W of a layer before training; biases start at zero.

With n_in inputs and n_out units to a layer, and entries drawn independently with mean 0:

    normal(σ)         N(0, σ²), σ = 0.01: small, to break symmetry and stay off saturation
    lecun_normal      N(0, 1/n_in): keeps the variance of Z at that of A_prev
    xavier_normal     N(0, 2/(n_in + n_out)); xavier_uniform: U(-r, r), r² = 6/(n_in + n_out)
    he_normal         N(0, 2/n_in): twice as much, because relu drops half of Z; he_uniform: U(-r, r), r² = 6/n_in
    zeros, constant(c)    all units of a layer stay equal for ever: they are here to show the symmetry problem

Sources: LeCun et al. 1998 (Efficient BackProp); Glorot and Bengio 2010; He et al. 2015.
"""

import math
from collections.abc import Callable
from functools import cache
from numbers import Real
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from jaxmlp.errors import InputError, sentence
from jaxmlp.nn.names import canonical, resolve
from jaxmlp.nn.random_numbers import Sampler


class Initializer(NamedTuple):
    """A rule by which weights are drawn.

    Attributes:
      name: its one spelling, with its numbers: "normal(0.01)".
      draw: (key, shape, n_in, n_out, dtype) -> W. `shape` is (n_out, n_in), or (k·n_out, n_in) for maxout(k).
      variance: (n_in, n_out) -> the variance of an entry of W.
    """

    name: str
    draw: Callable[[Array, tuple[int, int], int, int, DTypeLike], Array]
    variance: Callable[[int, int], float]


class ScaledDraw(NamedTuple):
    """The `draw` of an initializer that multiplies random numbers by √variance.

    All networks draw these numbers with the same compiled programs, see `random_numbers`.

    Attributes:
      sample: (key, shape, dtype) -> numbers of variance 1, each a function of the key and its place alone.
      variance: (n_in, n_out) -> the variance of an entry of W.
    """

    sample: Sampler
    variance: Callable[[int, int], float]

    def __call__(self, key: Array, shape: tuple[int, int], n_in: int, n_out: int, dtype: DTypeLike) -> Array:
        """Return W."""
        return self.scale(self.sample(key, shape, dtype), n_in, n_out)

    def scale(self, numbers: Array, n_in: int, n_out: int) -> Array:
        """Return √variance times the numbers."""
        # without the barrier XLA would merge this factor with the √2 of a normal draw, but only where both are in one
        # program: weights would differ in the last digit. math.sqrt is weakly typed, unlike NumPy's: W keeps its dtype
        return math.sqrt(self.variance(n_in, n_out)) * jax.lax.optimization_barrier(numbers)


def _gaussian(name: str, variance: Callable[[int, int], float]) -> Initializer:
    return Initializer(name, ScaledDraw(jax.random.normal, variance), variance)


def _uniform(name: str, variance: Callable[[int, int], float]) -> Initializer:
    return Initializer(name, ScaledDraw(_uniform_of_variance_1, variance), variance)


def _uniform_of_variance_1(key: Array, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    return jax.random.uniform(key, shape, dtype, -math.sqrt(3), math.sqrt(3))  # U(-r, r) has variance r²/3


def _finite(where: str, value: float) -> float:
    if not (isinstance(value, Real) and math.isfinite(value)):
        raise InputError(sentence(where, "a finite number", value, f"write '{where}(0.01)', say"))
    return float(value)


def constant(value: float = 0.0) -> Initializer:
    """Set every entry of W to `value`.

    >>> constant(0.5).draw(jax.random.key(0), (1, 2), 2, 1, jnp.float32).tolist()
    [[0.5, 0.5]]
    """
    return _constant(_finite("constant", value))


@cache  # equal numbers give the same record, so that equal calls share one compiled program
def _constant(value: float) -> Initializer:
    def draw(key: Array, shape: tuple[int, int], n_in: int, n_out: int, dtype: DTypeLike) -> Array:
        return jnp.full(shape, value, dtype)

    return Initializer(canonical("constant", value), draw, lambda n_in, n_out: 0.0)


def normal(stddev: float = 0.01) -> Initializer:
    """Draw the entries of W from N(0, stddev²).

    >>> normal(0.1).variance(3, 4)
    0.010000000000000002
    """
    stddev = _finite("normal", stddev)
    if stddev < 0:
        raise InputError(sentence("normal", "a standard deviation ≥ 0", stddev, "write 'normal(0.01)', say"))
    return _normal(stddev)


@cache
def _normal(stddev: float) -> Initializer:
    return _gaussian(canonical("normal", stddev), lambda n_in, n_out: stddev**2)


INITIALIZERS: dict[str, Initializer | Callable[..., Initializer]] = {
    "zeros": constant(0.0)._replace(name="zeros"),
    "constant": constant,
    "normal": normal,
    "lecun_normal": _gaussian("lecun_normal", lambda n_in, n_out: 1 / n_in),
    "xavier_normal": _gaussian("xavier_normal", lambda n_in, n_out: 2 / (n_in + n_out)),
    "xavier_uniform": _uniform("xavier_uniform", lambda n_in, n_out: 2 / (n_in + n_out)),
    "he_normal": _gaussian("he_normal", lambda n_in, n_out: 2 / n_in),
    "he_uniform": _uniform("he_uniform", lambda n_in, n_out: 2 / n_in),
}


def find(spec: str | Initializer) -> Initializer:
    """Return the record of that name; return a record as it is.

    >>> find("he_normal").variance(50, 10)
    0.04
    """
    return spec if isinstance(spec, Initializer) else resolve("initializer", spec, INITIALIZERS)
