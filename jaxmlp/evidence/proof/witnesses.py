"""The witnesses: central differences that know where they cannot tell.

    relative difference     ‖a - r‖ / ‖r‖ over all entries of a leaf; ‖a - r‖ where r is 0
    D(h)                    (f(x + h) - f(x - h)) / 2h
    slope                   (4 D(h) - D(2h)) / 3,   h = 8 ∛eps · max(1, |x|)
    uncertainty             |D(h) - D(2h)| + eps Σ|f| / h        what curvature and rounding may do to it

The differences move one entry at a time and run the formulas in NumPy forward, without a backward formula, without
autodiff and, but for a user's own activations and costs, without JAX.

f has no slope at a kink, so a difference across one says nothing: every evaluation of f also says which piece of each
activation its Z lies on and which piece of the cost its residual a - y does, and an entry whose evaluations lie on
different pieces is undecided.
"""

from collections.abc import Callable, Sequence
from functools import partial
from numbers import Integral
from typing import Any, NamedTuple

import jax
import numpy as np
from numpy import ndarray as Array

from jaxmlp.errors import InputError, sentence
from jaxmlp.evidence.formulas import Layers, formula, losses, spread
from jaxmlp.nn.activations import Activation
from jaxmlp.nn.costs import Cost
from jaxmlp.nn.network import Network

EPS = float(np.finfo(np.float64).eps)
# D(h) and D(2h) together cancel the error in h², so h may be larger than the ∛eps of D(h) alone: it rounds less
STEP = 8 * float(np.cbrt(EPS))
ENTRIES = 64  # of a leaf that differences look at: all of a small one, a sample of a large one
_CELLS = 1 << 20  # numbers in a stack of moved copies


def relative_difference(actual: Any, reference: Any) -> float:
    """‖actual - reference‖ / ‖reference‖, absolute where the reference is 0; NaN when either holds one.

    >>> relative_difference([3.0, 4.5], [3.0, 4.0])    # 1/2 over 5
    0.1
    >>> relative_difference([1e-20], [0.0])
    1e-20
    """
    actual, reference = np.asarray(actual, np.float64), np.asarray(reference, np.float64)
    scale = float(np.linalg.norm(reference))
    return float(np.linalg.norm(actual - reference)) / (scale or 1.0)


# --- central differences ----------------------------------------------------------------------------------------------

# copies of x, each moved in one entry -> what is summed into f, (copies, parts), and the pieces that its Z lie on
Forward = Callable[[Array], tuple[Array, Sequence[Array]]]


class Slopes(NamedTuple):
    """df/dx at some entries of x.

    Attributes:
      places: the flat indices of those entries.
      values: the slope at each.
      uncertainty: how far off that may be.
      decided: False where the evaluations lie on different sides of a kink.
      shape: of x.
    """

    places: Array
    values: Array
    uncertainty: Array
    decided: Array
    shape: tuple[int, ...]


def slopes(f: Forward, x: Array, rng: np.random.Generator) -> Slopes:
    """df/dx for every entry of x, or for ENTRIES of them drawn at random.

    >>> square = lambda moved: (moved**2, ())
    >>> slopes(square, np.array([1.0, 3.0]), np.random.default_rng(0)).values.round(8).tolist()
    [2.0, 6.0]
    """
    places = np.arange(x.size) if x.size <= ENTRIES else np.sort(rng.choice(x.size, ENTRIES, replace=False))
    size = int(np.clip(_CELLS // (4 * max(x.size, 1)), 1, ENTRIES))
    blocks = [_block(f, x, places[i : i + size], size) for i in range(0, len(places), size)]
    values, uncertainty, decided = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return Slopes(places, values, uncertainty, decided, x.shape)


def _block(f: Forward, x: Array, places: Array, size: int) -> tuple[Array, Array, Array]:
    """Slope, uncertainty and decided at `places`, filled up to `size` so that all blocks share compiled programs."""
    filled = np.resize(places, size)
    h = STEP * np.maximum(1.0, np.abs(x.flat[filled]))
    moved = np.broadcast_to(x.reshape(-1), (4, size, x.size)).copy()
    near, far = moved[0], moved[2]
    for copy, move in zip(moved, (h, -h, 2 * h, -2 * h), strict=True):
        copy[np.arange(size), filled] += move
    width = [(plus - minus)[np.arange(size), filled] for plus, minus in ((near, moved[1]), (far, moved[3]))]

    with np.errstate(all="ignore"):  # what is not finite gives a row that fails, not a warning
        parts, pieces = f(moved.reshape(4 * size, *x.shape))
    parts = parts.reshape(4, size, -1)
    # part by part, so that what an entry does not touch cancels exactly
    D1, D2 = ((parts[i] - parts[i + 1]).sum(axis=1) / width[i // 2] for i in (0, 2))
    uncertainty = np.abs(D1 - D2) + EPS * np.abs(parts).sum(axis=2).max(axis=0) / h
    crossed = np.zeros(size, bool)
    for piece in pieces:
        piece = piece.reshape(4, size, -1)
        crossed |= (piece != piece[0]).any(axis=(0, 2))
    n = len(places)
    return ((4 * D1 - D2) / 3)[:n], uncertainty[:n], ~crossed[:n]


def piece(g: Activation, Z: Array) -> Array:
    """Which piece of g each entry of a stack Z (copies, rows, m) lies on: kinks passed, or the first maximal piece.

    >>> from jaxmlp.nn.activations import find
    >>> piece(find("relu"), np.array([[[-1.0, 2.0]]])).tolist()
    [[[0, 1]]]
    """
    if g.pieces > 1:
        return Z.reshape(len(Z), g.pieces, -1, Z.shape[2]).argmax(axis=1)
    return _passed(g.kinks, Z) if g.kinks else np.zeros((len(Z), 1, 1), int)


def cost_piece(cost: Cost, g: Activation, Z: Array, Y: Array) -> Array:
    """Which piece of the cost the residuals a - y of a stack of Z_L lie on: kinks passed.

    >>> from jaxmlp.nn import activations, costs
    >>> huber = costs.find("huber(1.0)", activations.identity)    # kinks -1 and 1
    >>> cost_piece(huber, activations.identity, np.array([[[-2.0, 0.5, 3.0]]]), np.zeros((1, 3))).tolist()
    [[[0, 1, 2]]]
    """
    return _passed(cost.kinks, apply(g, Z) - Y) if cost.kinks else np.zeros((len(Z), 1, 1), int)


def _passed(kinks: tuple[float, ...], values: Array) -> Array:
    return sum(((values > kink).astype(int) for kink in kinks), np.zeros(values.shape, int))


def apply(g: Activation, Z: Array) -> Array:
    """g of a stack of matrices: by its formula in NumPy, or as it is for an activation of the user's own."""
    in_numpy = formula(g)
    return np.asarray(_apply(g, Z)) if in_numpy is None else in_numpy.apply(Z)


def shares(cost: Cost, g: Activation, Z: Array, Y: Array, weights: Array | None) -> Array:
    """w c / Σ w of every example, for a stack of Z: (copies, m), the parts whose sum is J."""
    w = np.full(Z.shape[2], 1 / Z.shape[2]) if weights is None else weights[0] / weights.sum()
    c = losses(cost, g, Z, Y)
    return (np.asarray(_losses(cost, g, Z, Y))[:, 0] if c is None else c) * w


@partial(jax.jit, static_argnums=0)
def _apply(g: Activation, Z: jax.Array) -> jax.Array:
    return jax.vmap(g.apply)(Z)


@partial(jax.jit, static_argnums=(0, 1))
def _losses(cost: Cost, g: Activation, Z: jax.Array, Y: jax.Array) -> jax.Array:
    return jax.vmap(lambda Z: cost.losses(g, Z, Y))(Z)


# --- examples ---------------------------------------------------------------------------------------------------------


def generator(seed: Any) -> np.random.Generator:
    """NumPy's generator, or one sentence for a seed that it does not take."""
    if isinstance(seed, bool) or not isinstance(seed, Integral) or seed < 0:
        raise InputError(sentence("seed", "a whole number ≥ 0", repr(seed), "take 0"))
    return np.random.default_rng(int(seed))


class Example(NamedTuple):
    """Parameters and a batch, in NumPy and float64."""

    params: Layers
    X: Array
    Y: Array
    weights: Array


def draw(net: Network, cost: Cost, rng: np.random.Generator, m: int) -> Example:
    """Random parameters and m random examples for a network; no bias is 0, no γ is 1, so that a missing one shows."""

    def leaf(g: Activation, name: str, shape: tuple[int, int], n_in: int) -> Array:
        scale, centre = {"W": (spread(g, n_in), 0.0), "b": (0.3, 0.0), "gamma": (0.3, 1.0)}[name]
        return centre + scale * rng.normal(size=shape)

    params = tuple(
        {name: leaf(g, name, shape, row.n_in) for name, shape in row.leaves.items()}
        for g, row in zip(net.activations, net.shapes, strict=True)
    )
    X = rng.normal(size=(net.sizes[0], m))
    return Example(params, X, draw_targets(net.sizes[-1], cost, rng, m), rng.uniform(0.5, 2.0, size=(1, m)))


def draw_targets(n: int, cost: Cost, rng: np.random.Generator, m: int) -> Array:
    """Targets (n, m) of the kind that a cost is for: one-hot columns, zeros and ones, counts, or values."""
    if cost.name == "categorical_cross_entropy":
        return np.eye(n)[:, rng.integers(0, n, size=m)]
    if cost.name == "binary_cross_entropy":
        return rng.integers(0, 2, size=(n, m)).astype(float)
    if cost.name == "poisson":
        return rng.poisson(2, size=(n, m)).astype(float)
    return rng.normal(size=(n, m))
