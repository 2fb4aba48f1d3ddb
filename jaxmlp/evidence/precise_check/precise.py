"""How many digits each formula keeps: g, g', c and δ in float64 and float32 against 50 digits.

    ulps = |got - true| / ulp(true)          ulp: the distance of neighbouring numbers of the dtype

Every elementwise activation has three rows: g(z), g'(z) by its `slope`, and g'(z) by its `pullback`, which training
calls. Softmax and maxout are asked for their first row at the logits (z, 0). A number that is no normal number of the
dtype is left out, and g' is left out up to 1/4 beside a zero of its own, where it has only rounding errors.

δ = a - y has two rows: "δ" counts units of δ itself, "a - y" those of the larger of a and y. The first is large where
a is near y and the subtraction cancels: once a has rounded to y = 1, δ is 0 where it should be -σ(-z). The second says
that no digit is lost but those that a has not.
"""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray as Array

from jaxmlp.errors import InputError, sentence
from jaxmlp.evidence.certificate import finite_or_none
from jaxmlp.evidence.precise_check.reference import (
    DIGITS,
    MpFunction,
    activation_references,
    cost_references,
    load_mpmath,
)
from jaxmlp.evidence.precision import float64
from jaxmlp.fork import refuse_after_fork
from jaxmlp.nn import activations, costs
from jaxmlp.nn.activations import Activation

RANGES = {"float64": 700.0, "float32": 87.0}  # |z| up to here: e⁻ᶻ is a normal number
MAX_ULPS = 8.0  # of g', and of a - y
ZERO_MARGIN = 0.25  # |z - zero of g'| from here on
LABELS = (0.0, 1.0)
POINTS = 200  # of each of the three parts of the range


class DigitsRow(NamedTuple):
    """The worst point of one quantity in one dtype.

    Attributes:
      quantity: "g", "g'", "g' in training", "c", "δ" or "a - y".
      where: the activation, or cost and output.
      dtype: "float64" or "float32".
      ulps: the largest error, in units in the last place; for "a - y" in those of the larger of a and y.
      z: where it is.
      got, expected: the numbers there.
      points: how many z were compared.
      bound: the largest error that passes; None where the error is only measured.
    """

    quantity: str
    where: str
    dtype: str
    ulps: float
    z: float
    got: float
    expected: float
    points: int
    bound: float | None = None

    @property
    def passed(self) -> bool:
        """Whether the error is within its bound, or has none."""
        return self.bound is None or self.ulps <= self.bound


class DigitsReport(NamedTuple):
    """The rows of `verify_precise`, and the activations and costs that have no reference in 50 digits.

    >>> row = DigitsRow("g'", "tanh", "float32", 9.0, 1.0, 0.42, 0.41, 10, bound=8.0)
    >>> print(DigitsReport((row,)))
    tanh  g'  float32  9  ulps at z = 1  FAIL
    """

    rows: tuple[DigitsRow, ...]
    without_reference: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether g', and δ = a - y beside a and y, keep their digits everywhere."""
        return all(row.passed for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and texts, with None for a number that is not finite."""
        rows = [
            {name: finite_or_none(value) for name, value in row._asdict().items()} | {"passed": row.passed}
            for row in self.rows
        ]
        return {
            "passed": self.passed,
            "digits": DIGITS,
            "rows": rows,
            "without_reference": list(self.without_reference),
        }

    def __repr__(self) -> str:
        """Return the counts; `print` shows every row."""
        failed = sum(not row.passed for row in self.rows)
        return f"DigitsReport({DIGITS} digits, rows: {len(self.rows)}, {failed} FAIL)"

    def __str__(self) -> str:
        return "\n".join(
            f"{row.where}  {row.quantity}  {row.dtype}  {row.ulps:.3g}  ulps at z = {row.z:.6g}"
            + ("" if row.bound is None else "  PASS" if row.passed else "  FAIL")
            for row in self.rows
        )


def verify_precise(points: int = POINTS) -> DigitsReport:
    """Compare every activation, derivative, cost and δ with 50 digits over the range of float64 and of float32.

    float64 is computed on the CPU, float32 on JAX's default device, as in training.

    Args:
      points: of each part of the range: all of it, |z| ≤ 45, and |z| ≤ 6; a fifth as many go to 0 on either side.

    Raises:
      InputError: for fewer than 2 points.
      MissingPackageError: without mpmath.
    """
    refuse_after_fork("verify_precise")
    if points < 2:
        raise InputError(sentence("verify_precise", "at least 2 points", points, "200 take a few seconds"))
    mp = load_mpmath()
    rows: list[DigitsRow] = []
    with mp.workdps(DIGITS):
        for dtype in RANGES:
            with float64() if dtype == "float64" else nullcontext():
                rows += [*_activation_rows(mp, dtype, points), *_cost_rows(mp, dtype, points)]
    # "leaky_relu(0.25)" and "huber(1.0), identity, y = 1" by the names in the registries
    compared = {row.where.partition("(")[0].partition(",")[0] for row in rows}
    names = (*activations.ACTIVATIONS, *costs.COSTS)
    return DigitsReport(tuple(rows), tuple(name for name in names if name not in compared))


def sample_range(dtype: str, points: int) -> Array:
    """Return z over the range of the dtype: evenly over all of it, |z| ≤ 45 and |z| ≤ 6, and towards 0.

    >>> z = sample_range("float32", 50)
    >>> float(z.min()), float(z.max()), z.dtype.name
    (-87.0, 87.0, 'float32')
    """
    limit = RANGES[dtype]
    small = np.logspace(-8, 0, max(points // 5, 2))
    # of evenly spaced points in |z| ≤ 700 only one in a hundred lies in |z| ≤ 6, where most activations bend
    parts = [np.linspace(-bound, bound, points) for bound in (limit, min(limit, 45.0), 6.0)]
    # the cast first: two numbers of float64 may round to the same number of float32
    return np.unique(np.concatenate([*parts, small, -small]).astype(dtype))


# --- rows -------------------------------------------------------------------------------------------------------------


def _activation_rows(mp: Any, dtype: str, points: int) -> Iterator[DigitsRow]:
    z = sample_range(dtype, points)
    references = activation_references(mp)
    for name, reference in references.items():
        A, slopes, dZ = _activation_values(activations.find(name), z, coupled=False)
        away = np.array([all(abs(z_i - zero) >= ZERO_MARGIN for zero in reference.zeros) for z_i in z])
        yield _worst(mp, ("g", name), z, A, reference.apply)
        yield _worst(mp, ("g'", name), z[away], slopes[away], reference.slope, MAX_ULPS)
        # without a bound: the pullback may compute g' from A, and A (1 - A) has no digits left where A is near 1
        yield _worst(mp, ("g' in training", name), z[away], dZ[away], reference.slope)
    sigmoid = references["sigmoid"]
    coupled = {
        # row 0 of softmax(z, 0) is eᶻ / (eᶻ + 1) = σ(z)
        "softmax": (sigmoid.apply, sigmoid.slope),
        # z = 0 is a tie of the two pieces z and 0: the first one gets dA, so the slope is 1, unlike that of relu
        "maxout(2)": (references["relu"].apply, lambda z: mp.mpf(z >= 0)),
    }
    for name, (apply, slope) in coupled.items():
        A, _, dZ = _activation_values(activations.find(name), z, coupled=True)
        yield _worst(mp, ("g", name), z, A, apply)
        yield _worst(mp, ("g' in training", name), z, dZ, slope)


def _activation_values(g: Activation, z: Array, coupled: bool) -> tuple[Array, Array, Array]:
    """Return g, g' by the slope and g' by the pullback at z; where g couples rows, of row 0 at the logits (z, 0)."""

    def values(Z: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        A = g.apply(Z)
        # with the cotangent e₀, row 0 of the pullback is ∂a₀/∂z₀, which is g'(z) for an elementwise g
        dZ = g.pullback(Z, A, jnp.zeros_like(A).at[0].set(1))
        return A[0], (dZ if g.slope is None else g.slope(Z))[0], dZ[0]

    Z = np.stack([z, 0 * z]) if coupled else z[None]  # (2, points) or (1, points)
    A, slopes, dZ = jax.device_get(jax.jit(values)(jnp.asarray(Z)))
    return A, slopes, dZ


def _cost_rows(mp: Any, dtype: str, points: int) -> Iterator[DigitsRow]:
    z = sample_range(dtype, points)
    for (name, output), reference in cost_references(mp).items():
        g, coupled = activations.find(output), output == "softmax"
        for y, (c, delta) in zip(LABELS, _cost_values(costs.find(name, g), g, z, coupled), strict=True):
            where, label = f"{name}, {output}, y = {y:g}", mp.mpf(y)
            yield _worst(mp, ("c", where), z, c, lambda z, f=reference.loss, y=label: f(z, y))
            exact = partial(reference.delta, y=label)
            yield _worst(mp, ("δ", where), z, delta, exact)
            if reference.output is not None:
                unit = partial(_larger_operand, reference.output, label)
                yield _worst(mp, ("a - y", where), z, delta, exact, MAX_ULPS, unit)


def _larger_operand(output: MpFunction, y: Any, z: Any) -> Any:
    return max(abs(output(z)), abs(y))


def _cost_values(cost: costs.Cost, g: Activation, z: Array, coupled: bool) -> Sequence[tuple[Array, Array]]:
    """Return c and δ of row 0 for each of the labels."""
    # every z with every label in one program: all z with the first label, then all z with the second
    columns = np.tile(z, len(LABELS))
    y = np.repeat(np.asarray(LABELS, z.dtype), len(z))
    Z, Y = (np.stack([columns, 0 * columns]), np.stack([y, 1 - y])) if coupled else (columns[None], y[None])

    def values(Z: jax.Array, Y: jax.Array) -> tuple[jax.Array, jax.Array]:
        return cost.losses(g, Z, Y)[0], cost.delta(g, Z, Y)[0]

    c, delta = jax.device_get(jax.jit(values)(jnp.asarray(Z), jnp.asarray(Y)))
    return list(zip(np.split(c, len(LABELS)), np.split(delta, len(LABELS)), strict=True))


def _worst(
    mp: Any,
    names: tuple[str, str],
    z: Array,
    got: Array,
    exact: MpFunction,
    bound: float | None = None,
    unit: MpFunction | None = None,
) -> DigitsRow:
    """Return the row of the point with the largest error, in units of `unit`, by default of the true value.

    Points where that is no normal number are left out.
    """
    info = np.finfo(z.dtype)
    tiny, largest = mp.mpf(float(info.tiny)), mp.mpf(float(info.max))
    worst, count = (0.0, float(z[0]), float(got[0]), float(got[0])), 0
    for z_i, got_i in zip(z.tolist(), got.tolist(), strict=True):
        expected = exact(mp.mpf(z_i))
        measure = abs(expected) if unit is None else unit(mp.mpf(z_i))
        # a subnormal number has fewer digits than its dtype, and the ulp of 0 says nothing
        if not tiny <= measure <= largest:
            continue
        count += 1
        ulp = float(np.spacing(z.dtype.type(measure)))
        ulps = float(abs(mp.mpf(got_i) - expected) / ulp) if np.isfinite(got_i) else np.inf
        if not ulps <= worst[0]:
            worst = ulps, z_i, got_i, float(expected)
    return DigitsRow(*names, z.dtype.name, *worst, count, bound)
