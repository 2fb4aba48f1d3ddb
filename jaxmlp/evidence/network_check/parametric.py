"""Parametric activations against their witnesses.

    A_l          s ⊙ g(Z) + (1 - s) ⊙ Z, against NumPy
    ds_l, dZ_l   row sums of dA ⊙ (g(Z) - Z), and the pullback of g at s ⊙ dA plus (1 - s) ⊙ dA, against autodiff and
                 central differences

The other equations, BP1 to BP4, are checked on the same network without s.
"""

import dataclasses
from collections.abc import Iterator
from functools import partial

import jax
import numpy as np
from numpy import ndarray as Array

from jaxmlp.evidence.certificate import Row, judge
from jaxmlp.evidence.formulas import formula
from jaxmlp.evidence.network_check import witnesses
from jaxmlp.evidence.network_check.cases import Case
from jaxmlp.evidence.network_check.derivatives import compile_once
from jaxmlp.evidence.network_check.equations import AUTODIFF_BOUND, against_autodiff, against_differences
from jaxmlp.evidence.network_check.witnesses import relative_difference, slopes
from jaxmlp.nn.activations import Activation
from jaxmlp.nn.parametric import parametric_activation


@partial(compile_once, static_argnums=0)
def _pull_back(
    g: Activation, s: jax.Array, Z: jax.Array, dA: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, ...], tuple[jax.Array, ...]]:
    """Return A, (ds, dZ) by the equations, (ds, dZ) by autodiff."""
    A, by_autodiff = jax.vjp(partial(parametric_activation.reference, g), s, Z)
    _, cache = parametric_activation.forward(g, s, Z)
    return A, parametric_activation.backward(g, cache, dA), by_autodiff(dA)


def plain_case(case: Case) -> Case:
    """Return the case without parametric activations."""
    if not case.net.parametric:
        return case
    params = tuple({name: leaf for name, leaf in layer.items() if name != "s"} for layer in case.params)
    return case._replace(net=dataclasses.replace(case.net, parametric=False), params=params)


def parametric_rows(case: Case, rng: np.random.Generator) -> Iterator[Row]:
    """Yield the rows of every parametric activation of a case; in float64 if the caller's context is."""
    for l, (g, layer) in enumerate(zip(case.net.activations[:-1], case.params[:-1], strict=True), start=1):
        yield from _layer_rows(case.label(l), l, g, np.asarray(layer["s"]), case.X.shape[1], rng)


def _layer_rows(where: str, l: int, g: Activation, s: Array, m: int, rng: np.random.Generator) -> Iterator[Row]:
    Z, dA = rng.normal(scale=2, size=(len(s), m)), rng.normal(size=(len(s), m))
    A, by_equations, by_autodiff = _pull_back(g, s, Z, dA)
    in_numpy = formula(g)
    if in_numpy is not None:
        difference = relative_difference(A, s * in_numpy.apply(Z) + (1 - s) * Z)
        yield judge(f"parametric A_{l}", where, "NumPy", difference, AUTODIFF_BOUND)

    def parts(name: str, stack: Array) -> tuple[Array, list[Array]]:
        # s is (n, 1): a stack of it (copies, n, 1) broadcasts over the examples of Z
        ss, Zs = (stack, Z[None]) if name == "s" else (s[None], stack)
        terms = dA * (ss * witnesses.apply_activation(g, Zs) + (1 - ss) * Zs)
        return terms.reshape(len(stack), -1), [] if name == "s" else [witnesses.activation_piece(g, Zs)]

    for name, leaf, actual, expected in zip("sZ", (s, Z), by_equations, by_autodiff, strict=True):
        yield against_autodiff(f"parametric d{name}_{l}", where, actual, expected)
        yield against_differences(f"parametric d{name}_{l}", where, actual, slopes(partial(parts, name), leaf, rng))
