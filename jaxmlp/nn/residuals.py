"""Losses of the residual r = a - y, and their slopes: ρ(r) and ρ'(r), entry by entry.

    quadratic      ρ = r²/2                                      ρ' = r
    huber(d)       ρ = r²/2 for |r| ≤ d, else d (|r| - d/2)      ρ' = r cut to [-d, d]
    absolute       ρ = |r|                                       ρ' = sign r
    quantile(τ)    ρ = (1 - τ) r for r ≥ 0, else -τ r            ρ' = 1 - τ for r > 0, -τ for r < 0

The constant that minimises their mean is the mean of y, a value between mean and median, the median, the τ-quantile.

Convention where ρ' jumps, at r = 0: the slope of `absolute` and of `quantile` is 0. `rho` is written so that autodiff
of it follows the same convention (of `jnp.abs` it would give 1). NaN goes in and comes out.
"""

import math
from collections.abc import Callable
from functools import cache
from numbers import Real
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from jaxmlp.errors import InputError, sentence
from jaxmlp.nn.names import canonical


class Residual(NamedTuple):
    """A record of pure functions.

    Attributes:
      name: its one spelling, with its numbers: "huber(1.0)".
      rho: r -> ρ(r).
      slope: r -> ρ'(r).
      formula, derivative: ρ(r) and ρ'(r) as text.
      kinks: the r where ρ' or ρ'' jumps, so that central differences say nothing there.
    """

    name: str
    rho: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    formula: str
    derivative: str
    kinks: tuple[float, ...] = ()


quadratic = Residual(
    "quadratic",
    rho=lambda R: 0.5 * jnp.square(R),
    slope=lambda R: R,
    formula="r²/2",
    derivative="r",
)

absolute = Residual(
    "absolute",
    rho=lambda R: R * jnp.sign(R),
    slope=jnp.sign,
    formula="|r|",
    derivative="sign r",
    kinks=(0.0,),
)


def huber(d: float = 1.0) -> Residual:
    """Make the loss that is quadratic for |r| ≤ d and linear beyond, so that no residual has a slope above d; d > 0.

    With s = r cut to [-d, d], both pieces are s (r - s/2). Source: Huber, Robust estimation of a location parameter,
    1964.

    >>> R = jnp.array([0.5, -3.0])
    >>> huber(1.0).rho(R).tolist(), huber(1.0).slope(R).tolist()    # 1/2 · 1/4 and 3 - 1/2
    ([0.125, 2.5], [0.5, -1.0])
    """
    if not (isinstance(d, Real) and 0 < d < math.inf):
        raise InputError(sentence("huber", "a finite d > 0", d, "write 'huber(1.0)', say"))
    return _huber(float(d))


@cache  # equal d give the same record, so that equal objectives share one compiled program
def _huber(d: float) -> Residual:
    def slope(R: Array) -> Array:
        return jnp.clip(R, -d, d)

    def rho(R: Array) -> Array:
        S = slope(R)  # no r², which may overflow. Autodiff gives (r - s) ds + s dr, in which ds or r - s is 0
        return S * (R - 0.5 * S)

    name = canonical("huber", d)
    text = "r²/2 if |r| ≤ d else d (|r| - d/2)", "r cut to [-d, d]"
    return Residual(name, rho, slope, formula=text[0], derivative=text[1], kinks=(-d, d))


def quantile(tau: float = 0.5) -> Residual:
    """Make the pinball loss: τ (y - a) where y ≥ a, else (1 - τ) (a - y); 0 < τ < 1.

    `quantile(0.5)` is half of `absolute`. Source: Koenker and Bassett, Regression quantiles, 1978.

    >>> R = jnp.array([-2.0, 0.0, 2.0])    # too small by 2, exact, too large by 2
    >>> quantile(0.75).rho(R).tolist(), quantile(0.75).slope(R).tolist()
    ([1.5, 0.0, 0.5], [-0.75, 0.0, 0.25])
    """
    if not (isinstance(tau, Real) and 0 < tau < 1):
        raise InputError(sentence("quantile", "0 < τ < 1", tau, "write 'quantile(0.5)', say"))
    return _quantile(float(tau))


@cache
def _quantile(tau: float) -> Residual:
    def slope(R: Array) -> Array:
        # times the sign, which is 0 at 0 and NaN of NaN
        return jnp.sign(R) * jnp.where(R > 0, jnp.asarray(1 - tau, R.dtype), jnp.asarray(tau, R.dtype))

    name = canonical("quantile", tau)
    text = "(1 - τ) r if r ≥ 0 else -τ r", "1 - τ if r > 0, -τ if r < 0, 0 at 0"
    return Residual(name, lambda R: R * slope(R), slope, formula=text[0], derivative=text[1], kinks=(0.0,))
