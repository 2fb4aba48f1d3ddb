"""The formulas a third time, with 50 digits: g, g', c and δ as functions of one logit z.

Hand-written formulas and autodiff round in the same places, so where one has lost its digits the other may have, too.
These are computed by mpmath, which rounds only when it is done.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxmlp.errors import MissingPackageError, sentence

DIGITS = 50
MpFunction = Callable[[Any], Any]  # of mpmath's numbers


class Reference(NamedTuple):
    """g and g' of mpmath's numbers, and where g' is 0 and both its neighbours are not."""

    apply: MpFunction
    slope: MpFunction
    zeros: tuple[float, ...] = ()


def load_mpmath() -> Any:
    """Import mpmath.

    Raises:
      MissingPackageError: without it.
    """
    try:
        import mpmath
    except ModuleNotFoundError:
        remedy = "pip install mpmath"
        raise MissingPackageError(sentence("verify --precise", "mpmath", "no such package", remedy)) from None
    return mpmath


def activation_references(mp: Any) -> dict[str, Reference]:
    """Return g and g' of every elementwise activation, by its full name."""

    def sigmoid(z: Any) -> Any:
        return 1 / (1 + mp.exp(-z))

    def silu_slope(z: Any) -> Any:
        return sigmoid(z) * (1 + z * sigmoid(-z))

    return {
        "identity": Reference(lambda z: z, lambda z: mp.mpf(1)),
        "step": Reference(lambda z: mp.mpf(z > 0), lambda z: mp.mpf(0)),
        "sigmoid": Reference(sigmoid, lambda z: sigmoid(z) * sigmoid(-z)),
        # even with 50 digits 1 - tanh² would be 0 from |z| = 58 on
        "tanh": Reference(mp.tanh, lambda z: 1 / mp.cosh(z) ** 2),
        "relu": Reference(lambda z: max(z, mp.mpf(0)), lambda z: mp.mpf(z > 0)),
        # 1/4 is exact in binary, so that α itself has no error in float32
        "leaky_relu(0.25)": Reference(lambda z: z if z >= 0 else z / 4, lambda z: mp.mpf(1 if z >= 0 else 0.25)),
        "elu(1.0)": Reference(lambda z: z if z >= 0 else mp.expm1(z), lambda z: mp.exp(min(z, 0))),
        "gelu": Reference(lambda z: z * mp.ncdf(z), lambda z: mp.ncdf(z) + z * mp.npdf(z), (-0.7517915246935645,)),
        "silu": Reference(lambda z: z * sigmoid(z), silu_slope, (-1.2784645427610738,)),
        "softplus": Reference(lambda z: mp.log1p(mp.exp(z)), sigmoid),
        "exp": Reference(mp.exp, mp.exp),
    }


class CostReference(NamedTuple):
    """c and δ of one example: mpmath's z and y -> a number; and a of z where δ = a - y."""

    loss: Callable[[Any, Any], Any]
    delta: Callable[..., Any]
    output: MpFunction | None = None


def cost_references(mp: Any) -> dict[tuple[str, str], CostReference]:
    """Return c and δ, by the full names of cost and output; softmax has the logits (z, 0) and the labels (y, 1 - y)."""
    activations = activation_references(mp)
    sigmoid = activations["sigmoid"].apply

    def cross_entropy(z: Any, y: Any) -> Any:
        # mpmath has no largest exponent: e⁷⁰⁰ cannot overflow here
        return y * mp.log1p(mp.exp(-z)) + (1 - y) * mp.log1p(mp.exp(z))

    def of_residual(output: str, rho: MpFunction, slope: MpFunction) -> CostReference:
        g = activations[output]
        return CostReference(lambda z, y: rho(g.apply(z) - y), lambda z, y: slope(g.apply(z) - y) * g.slope(z))

    def square(r: Any) -> Any:
        return r * r / 2

    references = {
        ("binary_cross_entropy", "sigmoid"): CostReference(
            # σ(z) - y without its subtraction: for y = 1 and z = 700 that gives 0 with 50 digits, and δ is -e⁻⁷⁰⁰
            cross_entropy,
            lambda z, y: (1 - y) * sigmoid(z) - y * sigmoid(-z),
            sigmoid,
        ),
        ("poisson", "exp"): CostReference(lambda z, y: mp.exp(z) - y * z, lambda z, y: mp.exp(z) - y, mp.exp),
        ("huber(1.0)", "identity"): of_residual(
            "identity", lambda r: square(r) if abs(r) <= 1 else abs(r) - mp.mpf(1) / 2, lambda r: max(-1, min(1, r))
        ),
        ("absolute", "identity"): of_residual("identity", abs, mp.sign),
        ("quantile(0.25)", "identity"): of_residual(
            "identity",
            lambda r: r * 3 / 4 if r >= 0 else -r / 4,
            lambda r: mp.sign(r) * mp.mpf(3 if r > 0 else 1) / 4,
        ),
    }
    references["categorical_cross_entropy", "softmax"] = references["binary_cross_entropy", "sigmoid"]
    for output in ("identity", "sigmoid", "tanh"):
        references["quadratic", output] = of_residual(output, square, lambda r: r)
    return references
