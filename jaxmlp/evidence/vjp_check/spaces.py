"""Inputs of a constrained space: symmetric, triangular, positive definite, on a simplex, of unit norm, sorted.

    f(x), x in the space   →   f(chart(t)), t free        (∂chart/∂t)ᵀ G is what is compared

Every check moves t, so x stays in the space, and only the part of the gradient along the space counts: a rule may
return the gradient of the upper triangle alone, or half of it in each.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxmlp.errors import InputError, sentence, unknown


class Chart(NamedTuple):
    """A smooth map from free numbers onto a space, over the last axes.

    Attributes:
      to_space: t -> x.
      from_space: x -> a t with to_space(t) = x.
      axes: how many axes x has at least.
    """

    to_space: Callable[[Array], Array]
    from_space: Callable[[Array], Array]
    axes: int


def _transpose(t: Array) -> Array:
    return jnp.swapaxes(t, -1, -2)


def _sorted_from_gaps(t: Array) -> Array:
    # the gaps are eᵗ > 0: x increases for every t
    return jnp.cumsum(jnp.concatenate([t[..., :1], jnp.exp(t[..., 1:])], axis=-1), axis=-1)


def _gaps_of_sorted(x: Array) -> Array:
    return jnp.concatenate([x[..., :1], jnp.log(jnp.diff(x, axis=-1))], axis=-1)


def _from_cholesky(t: Array) -> Array:
    # the upper triangle of t has no effect, so that its gradient is 0 on both sides
    return jnp.tril(t) @ _transpose(jnp.tril(t))


SPACES: dict[str, Chart] = {
    "symmetric": Chart(lambda t: (t + _transpose(t)) / 2, lambda x: x, 2),
    "lower triangular": Chart(jnp.tril, lambda x: x, 2),
    "upper triangular": Chart(jnp.triu, lambda x: x, 2),
    "positive definite": Chart(_from_cholesky, jnp.linalg.cholesky, 2),
    "simplex": Chart(lambda t: jax.nn.softmax(t, axis=-1), jnp.log, 1),  # softmax(ln x) = x / Σ x, and Σ x = 1
    "unit norm": Chart(lambda t: t / jnp.linalg.norm(t, axis=-1, keepdims=True), lambda x: x, 1),  # x/1 = x
    "sorted": Chart(_sorted_from_gaps, _gaps_of_sorted, 1),
}
MAX_DISTANCE = 1e-5  # of x from the space, relative: float32 arguments are not closer

Space = str | Sequence[str | None] | Mapping[str, str]


def space_of_argument(space: Space | None, titles: Sequence[str]) -> dict[int, str]:
    """Return the space of each argument by its position.

    Args:
      space: the name of the first argument's, one name or None for each argument, or names by argument.
      titles: the names of the arguments.

    Raises:
      InputError: for a name that is no space, and for an argument that does not exist.

    >>> space_of_argument({"A": "symmetric"}, ("x", "A")), space_of_argument("sorted", ("x",))
    ({1: 'symmetric'}, {0: 'sorted'})
    """
    if space is None:
        return {}
    if isinstance(space, str):
        chosen: dict[int, str] = {0: space}
    elif isinstance(space, Mapping):
        if absent := [name for name in space if name not in titles]:
            raise InputError(sentence("space", f"arguments among {', '.join(titles)}", absent[0], "check its spelling"))
        chosen = {titles.index(name): value for name, value in space.items()}
    else:
        chosen = {i: value for i, value in enumerate(space) if value is not None}
        if len(space) > len(titles):
            raise InputError(sentence("space", f"at most {len(titles)} names", len(space), "give one an argument"))
    for value in chosen.values():
        if value not in SPACES:
            raise unknown("space", value, SPACES)
    return chosen


def coordinates(name: str, space: str, x: object) -> Array:
    """Return the free numbers t of x.

    Raises:
      InputError: when x does not lie in the space.
    """
    chart, x = SPACES[space], jnp.asarray(x)
    remedy = "give an argument of the space that `space` names"
    if x.ndim < chart.axes or (chart.axes == 2 and x.shape[-1] != x.shape[-2] and space in _SQUARE):
        raise InputError(sentence(name, f"a {space} array", f"shape {x.shape}", remedy))
    t = chart.from_space(x)
    distance = float(jnp.max(jnp.abs(chart.to_space(t) - x), initial=0))
    # NaN is refused, too: that is the logarithm or the Cholesky factor outside of the space
    if not distance <= MAX_DISTANCE * (float(jnp.max(jnp.abs(x), initial=0)) or 1.0):
        raise InputError(sentence(name, f"a {space} array", f"one that is {distance:.2g} away from it", remedy))
    return t


_SQUARE = ("symmetric", "positive definite")
