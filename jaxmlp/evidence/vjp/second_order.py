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
from jaxmlp.evidence.vjp.arguments import Leaves, Split
from jaxmlp.evidence.vjp.bench import Bench, ask, pullback, worst_of
from jaxmlp.evidence.vjp.doubt import answers, epsilon, product_scale, wiggle
from jaxmlp.evidence.vjp.gradient import DIFFERENCES_BOUND, STEP, differences_row, inner, share_of, slope

Product = Callable[[Split, Leaves, Leaves, Leaves, Leaves], Leaves]  # f, x, k, u, v


def second_order_rows(bench: Bench) -> Iterator[Row]:
    """Reverse over reverse, forward over reverse, and whether the Hessian is symmetric."""
    v, w = bench.draw(bench.arguments.leaves), bench.draw(bench.arguments.leaves)
    for check, product in (("reverse over reverse", reverse_product), ("forward over reverse", forward_product)):
        for row in ask(
            check, "", "autodiff", lambda check=check, product=product: [_against(check, product, bench, v)]
        ):
            decorated = row.verdict == "UNSUPPORTED" and "#3996" in row.note
            yield row._replace(note="fwd calls the decorated function: jax-ml/jax#16049") if decorated else row
    yield from ask("Hessian symmetric", "", "two directions", lambda: [_symmetric(bench, v, w)])


@partial(jax.jit, static_argnums=0)
def reverse_product(f: Split, x: Leaves, k: Leaves, u: Leaves, v: Leaves) -> Leaves:
    """(∂g/∂x)ᵀ v by reverse mode over reverse mode."""
    return jax.vjp(lambda *x: pullback(f, x, k, u)[1], *x)[1](v)


@partial(jax.jit, static_argnums=0)
def forward_product(f: Split, x: Leaves, k: Leaves, u: Leaves, v: Leaves) -> Leaves:
    """(∂g/∂x) v by forward mode over reverse mode."""
    return jax.jvp(lambda *x: pullback(f, x, k, u)[1], x, v)[1]


def _noise(product: Product, fs: tuple[Split, ...], bench: Bench, v: Leaves) -> list[float]:
    """What rounding does to every leaf of the product, of the rule and of its witness, whichever is larger."""
    x, k = bench.point
    scale = product_scale(v, bench.gradient(x, k, bench.cotangent)[1])
    found = [wiggle(lambda x, u, v, f=f: product(f, x, k, u, v), (x, bench.cotangent, v), bench) for f in fs]
    return [max(pair) + 4 * epsilon(bench) * scale for pair in zip(*found, strict=True)]


def _against(check: str, product: Product, bench: Bench, v: Leaves) -> Row:
    x, k = bench.point
    got = product(bench.f, x, k, bench.cotangent, v)
    if (f := bench.witness) is None:
        return _against_differences(check, bench, got, v)
    witness = "autodiff of reference" if bench.given else "autodiff"
    noise = _noise(product, (bench.f, f), bench, v)
    expected = product(f, x, k, bench.cotangent, v)
    found = answers(lambda x: product(f, x, k, bench.cotangent, v), got, expected, noise, bench)
    worst = worst_of([answer.difference if answer.remains else -1.0 for answer in found])
    row = found[worst].row(check, "", witness, bench.tolerance[0])
    if row.verdict != "FAIL":
        return row
    return row._replace(note=f"worst in {bench.arguments.names[worst]}: does a residual stop a gradient?")


def _against_differences(check: str, bench: Bench, got: Leaves, v: Leaves) -> Row:
    leaves, others = bench.point
    if any(leaf.dtype.itemsize < 8 for leaf in leaves):
        note = "no autodiff, and differences are too coarse in these dtypes"
        return Row(check, "", "central differences", None, None, "UNDECIDED", note)

    def along(t: float) -> np.ndarray:
        moved = tuple(np.asarray(x) + t * d for x, d in zip(leaves, v, strict=True))
        return np.concatenate([np.ravel(g) for g in bench.gradient(moved, others, bench.cotangent)[1]])

    flat = np.concatenate([np.ravel(g) for g in got])
    scale = float(np.abs(flat).max(initial=0.0)) or 1.0
    lost = 4 * (epsilon(bench) * float(np.abs(along(0.0)).max(initial=0.0)) + max(bench.noise[1]) / 64) / STEP
    found = slope(along, STEP, DIFFERENCES_BOUND / 8 * scale + lost)
    return differences_row(check, "", flat, found, scale, lost, [])


def _symmetric(bench: Bench, v: Leaves, w: Leaves) -> Row:
    x, k = bench.point
    there, back = (reverse_product(bench.f, x, k, bench.cotangent, d) for d in (v, w))
    noise = _noise(reverse_product, (bench.f,), bench, v)
    share = share_of(abs(inner(there, w) - inner(back, v)), there, w, noise)
    row = judge("Hessian symmetric", "", "two directions", share, bench.tolerance[0])
    if row.verdict == "FAIL" and bench.given:
        return row._replace(verdict="UNDECIDED", note="reference need not be a gradient: see the rows above")
    if row.verdict == "FAIL" and not np.isfinite(share) and bench.witness is not None:
        known = reverse_product(bench.witness, x, k, bench.cotangent, v)
        if not all(np.isfinite(leaf).all() for leaf in known):
            return row._replace(
                verdict="UNDECIDED", note="no number, and autodiff of the witness gives none here either"
            )
    return row
