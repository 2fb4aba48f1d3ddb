"""What networks are made of, by itself: every activation and every cost against its witnesses.

    A = g(Z)                        against the formula in NumPy
    dZ = pullback of g at dA        against autodiff of g and central differences of Σ dA ⊙ g(Z)
    softmax                         ∂a/∂z = diag(a) - a aᵀ, the whole matrix
    maxout                          a tie is routed to the first piece
    g' at a kink                    the convention, exactly: relu 0, leaky_relu 1, elu 1, step 0
    c                               against the formula in A
    δ = ∂c/∂z                       against autodiff and central differences
    δ at a kink of the residual     the convention, exactly: 0 where a - y is 0
    weights                         an example of weight 2 is that example twice
    class ids                       as one-hot columns

Z lies where formulas in A are accurate: a few units around 0, on both sides of every kink.
"""

from collections.abc import Iterator
from functools import partial

import jax
import numpy as np
from numpy import ndarray as Array

from jaxmlp.evidence.certificate import Row, judge
from jaxmlp.evidence.formulas import formula, losses
from jaxmlp.evidence.proof import witnesses
from jaxmlp.evidence.proof.derivatives import compile_once
from jaxmlp.evidence.proof.equations import AUTODIFF, against_autodiff, against_differences
from jaxmlp.evidence.proof.witnesses import relative_difference, slopes
from jaxmlp.nn import costs
from jaxmlp.nn.activations import Activation
from jaxmlp.nn.costs import Cost

UNITS, EXAMPLES = 4, 7
SLOPE_AT_KINK = {"relu": 0.0, "leaky_relu": 1.0, "elu": 1.0, "step": 0.0}


@partial(compile_once, static_argnums=0)
def _pull_back(g: Activation, Z: jax.Array, dA: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """A, dZ by the pullback, dZ by autodiff."""
    A, by_autodiff = jax.vjp(g.apply, Z)
    return A, g.pullback(Z, A, dA), by_autodiff(dA)[0]


def activation_rows(g: Activation, rng: np.random.Generator) -> Iterator[Row]:
    """An activation against its witnesses; in float64 if the caller's context is."""
    where = f"activation {g.name}"
    Z, dA = rng.uniform(-5, 5, size=(g.pieces * UNITS, EXAMPLES)), rng.normal(size=(UNITS, EXAMPLES))
    A, dZ, by_autodiff = _pull_back(g, Z, dA)
    in_numpy = formula(g)
    if in_numpy is not None:
        yield judge("A = g(Z)", where, "NumPy", relative_difference(A, in_numpy.apply(Z)), AUTODIFF)
    yield against_autodiff("pullback", where, dZ, by_autodiff, "by autodiff itself" if g.autodiff else "")

    def forward(Z: Array) -> tuple[Array, list[Array]]:
        return dA * witnesses.apply(g, Z), [witnesses.piece(g, Z)]

    yield against_differences("pullback", where, dZ, slopes(forward, Z, rng))
    yield from _kink_rows(g, where)
    if g.pieces > 1:
        yield from _tie_rows(g, where, dA)
    if g.name == "softmax":
        yield _jacobian_row(g, where, Z[:, :1])


def _kink_rows(g: Activation, where: str) -> Iterator[Row]:
    """g' where differences cannot see."""
    ones = np.ones((UNITS, EXAMPLES))
    slope = SLOPE_AT_KINK.get(g.name.partition("(")[0])
    for kink in g.kinks:
        _, dZ, by_autodiff = _pull_back(g, kink * ones, ones)
        if slope is not None:
            yield judge(f"g'({kink:g})", where, f"convention: {slope:g}", relative_difference(dZ, slope * ones), 0.0)
        yield against_autodiff(f"g'({kink:g})", where, dZ, by_autodiff)


def _tie_rows(g: Activation, where: str, dA: Array) -> Iterator[Row]:
    """All pieces of a unit equal."""
    _, dZ, by_autodiff = _pull_back(g, np.ones((g.pieces * UNITS, EXAMPLES)), dA)
    first = np.concatenate([dA, np.zeros(((g.pieces - 1) * UNITS, EXAMPLES))])
    yield judge("tie", where, "convention: first piece", relative_difference(dZ, first), 0.0)
    yield against_autodiff("tie", where, dZ, by_autodiff)


def _jacobian_row(g: Activation, where: str, z: Array) -> Row:
    """∂a/∂z row by row: dA = eₖ pulls back to row k."""
    _, rows, _ = _pull_back(g, np.repeat(z, EXAMPLES, axis=1), np.eye(UNITS, EXAMPLES))
    a = np.exp(z) / np.exp(z).sum()
    difference = relative_difference(np.asarray(rows)[:, :UNITS].T, np.diag(a[:, 0]) - a @ a.T)
    return judge("Jacobian", where, "NumPy: diag(a) - a aᵀ", difference, AUTODIFF)


@partial(compile_once, static_argnums=(0, 1))
def _errors(
    cost: Cost, g: Activation, Z: jax.Array, Y: jax.Array, w: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """c, dZ by δ, dZ by autodiff."""
    by_autodiff = jax.grad(lambda Z: costs.mean_cost_undecorated(cost, g, Z, Y, w))(Z)
    return cost.losses(g, Z, Y), costs.output_error(cost, g, Z, Y, w), by_autodiff


def cost_rows(cost: Cost, g: Activation, rng: np.random.Generator) -> Iterator[Row]:
    """A cost at an output against its witnesses; in float64 if the caller's context is."""
    where = f"cost {cost.name}, output {g.name}"
    Z = rng.uniform(-2.5, 2.5, size=(g.pieces * UNITS, EXAMPLES))
    Y, w = witnesses.draw_targets(UNITS, cost, rng, EXAMPLES), rng.uniform(0.5, 2.0, size=(1, EXAMPLES))
    c, dZ, by_autodiff = _errors(cost, g, Z, Y, w)
    expected = losses(cost, g, Z, Y)
    if expected is not None:
        yield judge("c", where, "NumPy", relative_difference(c[0], expected), AUTODIFF)
    yield against_autodiff("BP1 dZ", where, dZ, by_autodiff)

    def forward(Z: Array) -> tuple[Array, list[Array]]:
        return witnesses.shares(cost, g, Z, Y, w), [witnesses.piece(g, Z), witnesses.cost_piece(cost, g, Z, Y)]

    yield against_differences("BP1 dZ", where, dZ, slopes(forward, Z, rng))
    if g.name == "identity":  # here a - y is 0 as exactly as z
        yield from _residual_rows(cost, g, where)
    yield _weights_row(cost, g, where, Z, Y)
    if cost.name == "categorical_cross_entropy":
        by_ids = _errors(cost, g, Z, Y.argmax(axis=0, keepdims=True), w)
        for name, actual, wanted in zip(("c", "dZ"), by_ids, (c, dZ), strict=False):
            yield judge(f"class ids, {name}", where, "one-hot columns", relative_difference(actual, wanted), 0.0)


def _residual_rows(cost: Cost, g: Activation, where: str) -> Iterator[Row]:
    """δ where the residual z - 0 lies on a kink of the cost, and differences cannot see."""
    ones = np.ones((1, EXAMPLES))
    for kink in cost.kinks:
        _, dZ, by_autodiff = _errors(cost, g, kink * ones, 0 * ones, ones)
        check = f"δ at a - y = {kink:g}"
        if kink == 0:
            yield judge(check, where, "convention: 0", relative_difference(dZ, 0 * ones), 0.0)
        yield against_autodiff(check, where, dZ, by_autodiff)


def _weights_row(cost: Cost, g: Activation, where: str, Z: Array, Y: Array) -> Row:
    """The last two examples made one: with weights 2 and 0, and with 1 and 1."""
    Z, Y = (np.concatenate([M[:, :-1], M[:, -2:-1]], axis=1) for M in (Z, Y))
    ones, two = np.ones((1, EXAMPLES)), np.array([[*[1.0] * (EXAMPLES - 2), 2.0, 0.0]])
    plain, weighted = (np.asarray(_errors(cost, g, Z, Y, w)[1]) for w in (ones, two))
    once = np.concatenate([plain[:, :-2], plain[:, -2:].sum(axis=1, keepdims=True), 0 * plain[:, :1]], axis=1)
    return judge("weights", where, "the example twice", relative_difference(weighted, once), AUTODIFF)
