"""The parts of networks one by one: every activation and every cost against its witnesses.

    A = g(Z)                        against the formula in NumPy
    dZ = pullback of g at dA        against autodiff of g and central differences of Σ dA ⊙ g(Z)
    softmax                         ∂a/∂z = diag(a) - a aᵀ, the whole matrix
    maxout                          of equal pieces the first one gets dA
    g' at a kink                    the convention, exactly: relu 0, leaky_relu 1, elu 1, step 0
    c                               against the formula in A
    δ = ∂c/∂z                       against autodiff and central differences
    δ at a kink of the residual     the convention, exactly: 0 where a - y is 0
    weights                         an example of weight 2 is that example twice
    class ids                       as one-hot columns

Z lies where formulas in A are accurate: a few units around 0, on both sides of every kink. In float64 if the caller's
context is.
"""

from collections.abc import Iterator
from functools import partial

import jax
import numpy as np
from numpy import ndarray as Array

from jaxmlp.evidence.certificate import Row, judge
from jaxmlp.evidence.formulas import formula, losses
from jaxmlp.evidence.network_check import witnesses
from jaxmlp.evidence.network_check.cases import random_targets
from jaxmlp.evidence.network_check.derivatives import compile_once
from jaxmlp.evidence.network_check.equations import AUTODIFF_BOUND, against_autodiff, against_differences
from jaxmlp.evidence.network_check.witnesses import relative_difference, slopes
from jaxmlp.nn import costs
from jaxmlp.nn.activations import Activation
from jaxmlp.nn.costs import Cost

UNITS, EXAMPLES = 4, 7
SLOPE_AT_KINK = {"relu": 0.0, "leaky_relu": 1.0, "elu": 1.0, "step": 0.0}


@partial(compile_once, static_argnums=0)
def _pull_back(g: Activation, Z: jax.Array, dA: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return A, dZ by the pullback, dZ by autodiff."""
    A, by_autodiff = jax.vjp(g.apply, Z)
    return A, g.pullback(Z, A, dA), by_autodiff(dA)[0]


def activation_rows(g: Activation, rng: np.random.Generator) -> Iterator[Row]:
    """Yield the rows of an activation against its witnesses."""
    where = f"activation {g.name}"
    Z, dA = rng.uniform(-5, 5, size=(g.pieces * UNITS, EXAMPLES)), rng.normal(size=(UNITS, EXAMPLES))
    A, dZ, by_autodiff = _pull_back(g, Z, dA)
    in_numpy = formula(g)
    if in_numpy is not None:
        yield judge("A = g(Z)", where, "NumPy", relative_difference(A, in_numpy.apply(Z)), AUTODIFF_BOUND)
    yield against_autodiff("pullback", where, dZ, by_autodiff, "by autodiff itself" if g.autodiff else "")

    def forward(Z: Array) -> tuple[Array, list[Array]]:
        return dA * witnesses.apply_activation(g, Z), [witnesses.activation_piece(g, Z)]

    yield against_differences("pullback", where, dZ, slopes(forward, Z, rng))
    yield from _kink_rows(g, where)
    if g.pieces > 1:
        yield from _tie_rows(g, where, dA)
    if g.name == "softmax":
        yield _jacobian_row(g, where, Z[:, :1])


def _kink_rows(g: Activation, where: str) -> Iterator[Row]:
    """Yield the rows of g' at its kinks, where differences are undecided."""
    dA = np.ones((UNITS, EXAMPLES))  # so that dZ is g' itself
    slope = SLOPE_AT_KINK.get(g.name.partition("(")[0])
    for kink in g.kinks:
        _, dZ, by_autodiff = _pull_back(g, kink * dA, dA)
        if slope is not None:
            yield judge(f"g'({kink:g})", where, f"convention: {slope:g}", relative_difference(dZ, slope * dA), 0.0)
        yield against_autodiff(f"g'({kink:g})", where, dZ, by_autodiff)


def _tie_rows(g: Activation, where: str, dA: Array) -> Iterator[Row]:
    """Yield the rows of Z whose pieces are all equal."""
    _, dZ, by_autodiff = _pull_back(g, np.ones((g.pieces * UNITS, EXAMPLES)), dA)
    first = np.concatenate([dA, np.zeros(((g.pieces - 1) * UNITS, EXAMPLES))])
    yield judge("tie", where, "convention: first piece", relative_difference(dZ, first), 0.0)
    yield against_autodiff("tie", where, dZ, by_autodiff)


def _jacobian_row(g: Activation, where: str, z: Array) -> Row:
    """Return the row of ∂a/∂z, whose row k is the pullback of dA = eₖ."""
    # z in every column, and eₖ as dA of column k; the EXAMPLES - UNITS columns after them have dA = 0
    _, rows, _ = _pull_back(g, np.repeat(z, EXAMPLES, axis=1), np.eye(UNITS, EXAMPLES))
    a = np.exp(z) / np.exp(z).sum()  # (n, 1)
    difference = relative_difference(np.asarray(rows)[:, :UNITS].T, np.diag(a[:, 0]) - a @ a.T)
    return judge("Jacobian", where, "NumPy: diag(a) - a aᵀ", difference, AUTODIFF_BOUND)


@partial(compile_once, static_argnums=(0, 1))
def _losses_and_errors(
    cost: Cost, g: Activation, Z: jax.Array, Y: jax.Array, w: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return c, dZ by δ, dZ by autodiff."""
    by_autodiff = jax.grad(lambda Z: costs.mean_cost.reference(cost, g, Z, Y, w))(Z)
    return cost.losses(g, Z, Y), costs.output_error(cost, g, Z, Y, w), by_autodiff


def cost_rows(cost: Cost, g: Activation, rng: np.random.Generator) -> Iterator[Row]:
    """Yield the rows of a cost at an output against its witnesses."""
    where = f"cost {cost.name}, output {g.name}"
    # |z| ≤ 2.5: the formulas in A divide by a and 1 - a, which must be far from 0
    Z = rng.uniform(-2.5, 2.5, size=(g.pieces * UNITS, EXAMPLES))
    Y, w = random_targets(UNITS, cost, rng, EXAMPLES), rng.uniform(0.5, 2.0, size=(1, EXAMPLES))
    c, dZ, by_autodiff = _losses_and_errors(cost, g, Z, Y, w)
    expected = losses(cost, g, Z, Y)
    if expected is not None:
        yield judge("c", where, "NumPy", relative_difference(c[0], expected), AUTODIFF_BOUND)
    yield against_autodiff("BP1 dZ", where, dZ, by_autodiff)

    def forward(Z: Array) -> tuple[Array, list[Array]]:
        pieces = [witnesses.activation_piece(g, Z), witnesses.cost_piece(cost, g, Z, Y)]
        return witnesses.cost_parts(cost, g, Z, Y, w), pieces

    yield against_differences("BP1 dZ", where, dZ, slopes(forward, Z, rng))
    if g.name == "identity":  # only here is a - y exactly a given number: a is z, not rounded
        yield from _residual_rows(cost, g, where)
    yield _weights_row(cost, g, where, Z, Y)
    if cost.name == "categorical_cross_entropy":
        by_ids = _losses_and_errors(cost, g, Z, Y.argmax(axis=0, keepdims=True), w)
        for name, actual, expected in zip(("c", "dZ"), by_ids, (c, dZ), strict=False):  # by_ids has autodiff's dZ, too
            yield judge(f"class ids, {name}", where, "one-hot columns", relative_difference(actual, expected), 0.0)


def _residual_rows(cost: Cost, g: Activation, where: str) -> Iterator[Row]:
    """Yield the rows of δ where the residual z - 0 lies on a kink of the cost, and differences are undecided."""
    w = np.ones((1, EXAMPLES))
    for kink in cost.kinks:
        _, dZ, by_autodiff = _losses_and_errors(cost, g, kink * w, 0 * w, w)
        check = f"δ at a - y = {kink:g}"
        if kink == 0:
            yield judge(check, where, "convention: 0", relative_difference(dZ, 0 * w), 0.0)
        yield against_autodiff(check, where, dZ, by_autodiff)


def _weights_row(cost: Cost, g: Activation, where: str, Z: Array, Y: Array) -> Row:
    """Return the row of an example that occurs twice: with weights 1 and 1, and with weights 2 and 0."""
    # the last column becomes a copy of the one before it
    Z, Y = (np.concatenate([M[:, :-1], M[:, -2:-1]], axis=1) for M in (Z, Y))
    equal, double = np.ones((1, EXAMPLES)), np.array([[*[1.0] * (EXAMPLES - 2), 2.0, 0.0]])
    dZ, weighted = (np.asarray(_losses_and_errors(cost, g, Z, Y, w)[1]) for w in (equal, double))
    merged = np.concatenate([dZ[:, :-2], dZ[:, -2:].sum(axis=1, keepdims=True), 0 * dZ[:, :1]], axis=1)
    return judge("weights", where, "the example twice", relative_difference(weighted, merged), AUTODIFF_BOUND)
