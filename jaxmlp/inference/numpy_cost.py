"""The cost of logits in NumPy and float64, for `Model.evaluate`: as exact without JAX's x64 mode as with it.

J = Σ w c / Σ w

quadratic, huber(d), absolute, quantile(τ)   c = Σ ρ(a - y)
binary_cross_entropy                         c = Σ (ln(1 + eᶻ) - y z)
categorical_cross_entropy                    c = Σ y (ln Σ eᶻ - z)
poisson                                      c = Σ (eᶻ - y z)
any other                                    c by the record of the cost, in JAX
"""

from collections.abc import Callable

import jax
import numpy as np

from jaxmlp.inference import numpy_forward
from jaxmlp.nn.costs import Cost
from jaxmlp.nn.network import Network


def _numpy_huber(number: str) -> Callable[[np.ndarray], np.ndarray]:
    d = float(number)

    def rho(R: np.ndarray) -> np.ndarray:
        inner = np.clip(R, -d, d)
        return inner * (R - inner / 2)  # r²/2 within ±d, d (|r| - d/2) beyond

    return rho


def _numpy_quantile(number: str) -> Callable[[np.ndarray], np.ndarray]:
    tau = float(number)
    return lambda R: np.maximum((1 - tau) * R, -tau * R)  # the line of either side is the larger one there


_RHO = {"quadratic": lambda R: R * R / 2, "absolute": np.abs}
_RHO_WITH_NUMBER = {"huber": _numpy_huber, "quantile": _numpy_quantile}


def _numpy_categorical_losses(Z: np.ndarray, Y: np.ndarray) -> np.ndarray:
    if len(Y) < len(Z):
        Y = np.arange(len(Z))[:, None] == Y  # class ids
    Z = Z - Z.max(axis=0)  # so that no exponential overflows
    return (Y * (np.log(np.exp(Z).sum(axis=0)) - Z)).sum(axis=0)


# from the logits, never from A: ln a stays finite where a has rounded to 0 or 1
_OF_LOGITS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "binary_cross_entropy": lambda Z, Y: (np.logaddexp(Z, 0) - Y * Z).sum(axis=0),
    "categorical_cross_entropy": _numpy_categorical_losses,
    "poisson": lambda Z, Y: (np.exp(Z) - Y * Z).sum(axis=0),
}


def mean_cost(Z: np.ndarray, Y: np.ndarray, net: Network, cost: Cost, weights: np.ndarray | None = None) -> float:
    """Return J of logits Z_L (n_L, m) and targets as the cost takes them: the mean over examples, weighted by (m,).

    >>> from jaxmlp.nn.costs import binary_cross_entropy
    >>> round(mean_cost(np.zeros((1, 2)), np.ones((1, 2)), Network((1, 1), "relu", "sigmoid"), binary_cross_entropy), 6)
    0.693147
    """
    Z = Z.astype(np.float64)  # (n_L, m)
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.average(_losses(Z, Y, net, cost), weights=weights))


def _losses(Z: np.ndarray, Y: np.ndarray, net: Network, cost: Cost) -> np.ndarray:
    """Return c of every example, (m,)."""
    name, _, number = cost.name.partition("(")
    if name in _OF_LOGITS:
        return _OF_LOGITS[name](Z, Y)
    if name in _RHO or name in _RHO_WITH_NUMBER:
        rho = _RHO_WITH_NUMBER[name](number[:-1]) if number else _RHO[name]
        return rho(numpy_forward.output(Z, net) - Y).sum(axis=0)
    with jax.enable_x64(True):
        return np.asarray(cost.losses(net.activations[-1], jax.numpy.asarray(Z), jax.numpy.asarray(Y)))[0]
