"""Second order: the derivative of the gradient, g(x) = G(x; u), in a random direction v.

    reverse over reverse    (∂g/∂x)ᵀ v
    forward over reverse    (∂g/∂x) v
    symmetric               both are H v, H the Hessian of ⟨u, f(x)⟩:  wᵀ (∂g/∂x)ᵀ v = vᵀ (∂g/∂x)ᵀ w

The truth is the same derivative of the witness; where JAX cannot differentiate the witness, central differences of the
rule's own gradient along v. A rule can be right at first order and wrong here: a residual behind `stop_gradient` is
enough.
"""

from collections.abc import Callable, Iterator
from functools import partial

import jax
import numpy as np

from jaxmlp.evidence.certificate import Row, judge
from jaxmlp.evidence.vjp.bench import Bench, Leaves, Split, ask, pullback, relative_differences
from jaxmlp.evidence.vjp.gradient import DIFFERENCES_BOUND, STEP, inner, size_of, slope

Product = Callable[[Split, Bench, Leaves], Leaves]


def second_order_rows(bench: Bench) -> Iterator[Row]:
    """Reverse over reverse, forward over reverse, and whether the Hessian is symmetric."""
    v, w = bench.draw(bench.arguments.leaves), bench.draw(bench.arguments.leaves)
    for check, product in (("reverse over reverse", reverse_product), ("forward over reverse", forward_product)):
        for row in ask(check, "", "autodiff", lambda check=check, product=product: _against(check, product, bench, v)):
            decorated = row.verdict == "UNSUPPORTED" and "#3996" in row.note
            yield row._replace(note="fwd calls the decorated function: jax-ml/jax#16049") if decorated else row
    yield from ask("Hessian symmetric", "", "two directions", lambda: [_symmetric(bench, v, w)])


def reverse_product(f: Split, bench: Bench, v: Leaves) -> Leaves:
    """(∂g/∂x)ᵀ v by reverse mode over reverse mode."""
    return _reverse(f, *bench.point, bench.cotangent, v)


def forward_product(f: Split, bench: Bench, v: Leaves) -> Leaves:
    """(∂g/∂x) v by forward mode over reverse mode."""
    return _forward(f, *bench.point, bench.cotangent, v)


@partial(jax.jit, static_argnums=0)
def _reverse(f: Split, leaves: Leaves, others: Leaves, u: Leaves, v: Leaves) -> Leaves:
    return jax.vjp(lambda *x: pullback(f, x, others, u)[1], *leaves)[1](v)


@partial(jax.jit, static_argnums=0)
def _forward(f: Split, leaves: Leaves, others: Leaves, u: Leaves, v: Leaves) -> Leaves:
    return jax.jvp(lambda *x: pullback(f, x, others, u)[1], leaves, v)[1]


def _against(check: str, product: Product, bench: Bench, v: Leaves) -> Iterator[Row]:
    got = product(bench.f, bench, v)
    names = bench.arguments.names
    if bench.witness is None:
        yield from _against_differences(check, bench, got, v)
        return
    witness = "autodiff of reference" if bench.given else "autodiff"
    bound, floor = bench.tolerance
    found = relative_differences(got, product(bench.witness, bench, v), floor)
    worst = max(range(len(found)), key=lambda i: np.inf if np.isnan(found[i]) else found[i])
    row = judge(check, "", witness, found[worst], bound)
    yield (
        row
        if row.verdict == "PASS"
        else row._replace(note=f"worst in {names[worst]}: does a residual stop a gradient?")
    )


def _against_differences(check: str, bench: Bench, got: Leaves, v: Leaves) -> Iterator[Row]:
    leaves, others = bench.point
    if any(leaf.dtype.itemsize < 8 for leaf in leaves):
        note = "no autodiff, and differences are too coarse in these dtypes"
        yield Row(check, "", "central differences", None, None, "UNDECIDED", note)
        return

    def along(t: float) -> np.ndarray:
        moved = tuple(np.asarray(x) + t * d for x, d in zip(leaves, v, strict=True))
        return np.concatenate([np.ravel(g) for g in bench.gradient(moved, others, bench.cotangent)[1]])

    flat = np.concatenate([np.ravel(g) for g in got])
    scale = float(np.abs(flat).max(initial=0.0)) or 1.0
    found = slope(along, STEP, DIFFERENCES_BOUND / 8 * scale)
    if not found.smooth.any():
        yield Row(check, "", "central differences", None, DIFFERENCES_BOUND, "UNDECIDED", "a kink in every entry")
        return
    difference = float(np.abs(flat - found.values)[found.smooth].max()) / scale
    yield judge(check, "", "central differences", difference, DIFFERENCES_BOUND)


def _symmetric(bench: Bench, v: Leaves, w: Leaves) -> Row:
    there, back = reverse_product(bench.f, bench, v), reverse_product(bench.f, bench, w)
    difference = abs(inner(there, w) - inner(back, v)) / size_of(there, w)
    row = judge("Hessian symmetric", "", "two directions", difference, bench.tolerance[0])
    if row.verdict == "FAIL" and bench.given:
        return row._replace(verdict="UNDECIDED", note="reference need not be a gradient: see the rows above")
    return row
