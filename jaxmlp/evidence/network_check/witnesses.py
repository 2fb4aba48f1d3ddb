"""Central differences that report their own uncertainty, and where they are undecided.

    relative difference     ‖a - r‖ / ‖r‖ over all entries of a leaf; ‖a - r‖ where r is 0
    D(h)                    (f(x + h) - f(x - h)) / 2h
    slope                   (4 D(h) - D(2h)) / 3,   h = 8 ∛eps · max(1, |x|)
    uncertainty             |D(h) - D(2h)| + eps Σ|f| / h        the error that curvature and rounding may cause

The differences move one entry at a time and run the NumPy formulas forward, without a backward formula, autodiff or JAX
(except for activations and costs that the user made).

f has no slope at a kink, so a difference across a kink means nothing. Therefore every evaluation of f also returns the
piece of each activation that its Z lies on, and the piece of the cost that its residual a - y lies on; an entry whose
evaluations lie on different pieces is undecided.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from numpy import ndarray as Array
from numpy.typing import ArrayLike

from jaxmlp.evidence.formulas import formula, losses
from jaxmlp.nn.activations import Activation
from jaxmlp.nn.costs import Cost

EPS = float(np.finfo(np.float64).eps)
# D(h) and D(2h) together cancel the error in h², so h may be larger than the ∛eps that is best for D(h): it rounds less
STEP = 8 * float(np.cbrt(EPS))
MAX_ENTRIES = 64  # of a leaf that differences look at; of a larger one they take a sample
_MAX_STACK_NUMBERS = 1 << 20  # in a stack of perturbed copies: 8 MiB of float64


def relative_difference(actual: ArrayLike, reference: ArrayLike) -> float:
    """Return ‖actual - reference‖ / ‖reference‖, absolute where the reference is 0; NaN when either holds one.

    >>> relative_difference([3.0, 4.5], [3.0, 4.0])    # 1/2 over 5
    0.1
    >>> relative_difference([1e-20], [0.0])
    1e-20
    """
    actual, reference = np.asarray(actual, np.float64), np.asarray(reference, np.float64)
    scale = float(np.linalg.norm(reference))
    return float(np.linalg.norm(actual - reference)) / (scale or 1.0)


# --- central differences ----------------------------------------------------------------------------------------------

# copies of x, each perturbed in one entry -> the parts whose sum is f, (copies, parts), and the pieces that Z lies on
Forward = Callable[[Array], tuple[Array, Sequence[Array]]]


class Slopes(NamedTuple):
    """df/dx at some entries of x.

    Attributes:
      indices: of those entries in the flattened x.
      values: the slope at each.
      uncertainty: the possible error of that slope.
      decided: False where the evaluations lie on different sides of a kink.
      shape: of x.
    """

    indices: Array
    values: Array
    uncertainty: Array
    decided: Array
    shape: tuple[int, ...]


def slopes(f: Forward, x: Array, rng: np.random.Generator) -> Slopes:
    """Return df/dx for every entry of x, or for a random sample of MAX_ENTRIES.

    >>> square = lambda copies: (copies**2, ())
    >>> slopes(square, np.array([1.0, 3.0]), np.random.default_rng(0)).values.round(8).tolist()
    [2.0, 6.0]
    """
    indices = np.arange(x.size) if x.size <= MAX_ENTRIES else np.sort(rng.choice(x.size, MAX_ENTRIES, replace=False))
    # 4 copies for each entry: at +h, -h, +2h, -2h
    size = int(np.clip(_MAX_STACK_NUMBERS // (4 * max(x.size, 1)), 1, MAX_ENTRIES))
    blocks = [_block_slopes(f, x, indices[i : i + size], size) for i in range(0, len(indices), size)]
    values, uncertainty, decided = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return Slopes(indices, values, uncertainty, decided, x.shape)


def _block_slopes(f: Forward, x: Array, indices: Array, size: int) -> tuple[Array, Array, Array]:
    """Return slope, uncertainty and decided of a block of entries."""
    filled = np.resize(indices, size)  # every block has the same size, so that all share compiled programs
    h = STEP * np.maximum(1.0, np.abs(x.flat[filled]))  # relative for large x: x + h must differ from x
    copies = np.broadcast_to(x.reshape(-1), (4, size, x.size)).copy()
    for copy, step in zip(copies, (h, -h, 2 * h, -2 * h), strict=True):
        copy[np.arange(size), filled] += step
    # the widths as rounded: (x + h) - (x - h) is not exactly 2h
    widths = [(copies[i] - copies[i + 1])[np.arange(size), filled] for i in (0, 2)]

    with np.errstate(all="ignore"):  # a value that is not finite gives a row that fails, not a warning
        parts, pieces = f(copies.reshape(4 * size, *x.shape))
    parts = parts.reshape(4, size, -1)  # (±h and ±2h, entries, parts of J)
    # subtracted part by part, before the sum: parts that do not depend on the entry cancel exactly
    D1, D2 = ((parts[i] - parts[i + 1]).sum(axis=1) / widths[i // 2] for i in (0, 2))
    uncertainty = np.abs(D1 - D2) + EPS * np.abs(parts).sum(axis=2).max(axis=0) / h
    decided = np.ones(size, bool)
    for piece in pieces:
        piece = piece.reshape(4, size, -1)
        # over all of Z, as one entry of x moves every unit that it reaches
        decided &= (piece == piece[0]).all(axis=(0, 2))
    n = len(indices)
    return ((4 * D1 - D2) / 3)[:n], uncertainty[:n], decided[:n]


def activation_piece(g: Activation, Z: Array) -> Array:
    """Return which piece of g each entry of a stack Z (copies, rows, m) lies on: kinks below it, or the maximal piece.

    >>> from jaxmlp.nn.activations import find
    >>> activation_piece(find("relu"), np.array([[[-1.0, 2.0]]])).tolist()
    [[[0, 1]]]
    """
    if g.pieces > 1:
        return Z.reshape(len(Z), g.pieces, -1, Z.shape[2]).argmax(axis=1)
    return _count_kinks_below(g.kinks, Z) if g.kinks else np.zeros((len(Z), 1, 1), int)


def cost_piece(cost: Cost, g: Activation, Z: Array, Y: Array) -> Array:
    """Return which piece of the cost the residuals a - y of a stack of Z_L lie on: the number of kinks below.

    >>> from jaxmlp.nn import activations, costs
    >>> huber = costs.find("huber(1.0)", activations.identity)    # kinks -1 and 1
    >>> cost_piece(huber, activations.identity, np.array([[[-2.0, 0.5, 3.0]]]), np.zeros((1, 3))).tolist()
    [[[0, 1, 2]]]
    """
    return _count_kinks_below(cost.kinks, apply_activation(g, Z) - Y) if cost.kinks else np.zeros((len(Z), 1, 1), int)


def _count_kinks_below(kinks: tuple[float, ...], values: Array) -> Array:
    return sum(((values > kink).astype(int) for kink in kinks), np.zeros(values.shape, int))


def apply_activation(g: Activation, Z: Array) -> Array:
    """Return g of a stack of matrices: by its NumPy formula, or by JAX for an activation that the user made."""
    in_numpy = formula(g)
    return np.asarray(_apply_by_jax(g, Z)) if in_numpy is None else in_numpy.apply(Z)


def cost_parts(cost: Cost, g: Activation, Z: Array, Y: Array, weights: Array | None) -> Array:
    """Return w c / Σ w of every example, for a stack of Z: (copies, m), the parts whose sum is J."""
    w = np.full(Z.shape[2], 1 / Z.shape[2]) if weights is None else weights[0] / weights.sum()
    c = losses(cost, g, Z, Y)  # (copies, m); None for a cost of the user's
    # JAX's losses are (copies, 1, m)
    return (np.asarray(_losses_by_jax(cost, g, Z, Y))[:, 0] if c is None else c) * w


@partial(jax.jit, static_argnums=0)
def _apply_by_jax(g: Activation, Z: jax.Array) -> jax.Array:
    return jax.vmap(g.apply)(Z)


@partial(jax.jit, static_argnums=(0, 1))
def _losses_by_jax(cost: Cost, g: Activation, Z: jax.Array, Y: jax.Array) -> jax.Array:
    return jax.vmap(lambda Z: cost.losses(g, Z, Y))(Z)
