"""The equations that only a network with members has, against their witnesses.

    W_1⁽ⁱ⁾      W_1 diag(r_i), against NumPy
    dW_1, dR    Σ_i dW_1⁽ⁱ⁾ diag(r_i) and the column sums of W_1 ⊙ dW_1⁽ⁱ⁾, against autodiff and central differences
    W_1⁽ⁱ⁾ X    where a column is several inputs: the sum of its products with the columns, against NumPy; and its
                derivatives by W_1, R and X, against autodiff and central differences
    A_L, J      the means of the members', each as the plain network that it is
    grad, backprop    every leaf, against autodiff of the path without derivative rules

The chain from BP1 to layer 1 is that of a plain network, and is checked on the first member.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.evidence.certificate import Row, judge
from jaxmlp.evidence.network_check.cases import Case
from jaxmlp.evidence.network_check.derivatives import compile_once
from jaxmlp.evidence.network_check.equations import AUTODIFF_BOUND, against_autodiff, against_differences, gradient_rows
from jaxmlp.evidence.network_check.witnesses import relative_difference, slopes
from jaxmlp.nn.backprop import backprop, cost, evaluate
from jaxmlp.nn.forward import forward, take_member
from jaxmlp.nn.members import Widths, member_layers, member_products, scaled_copies
from jaxmlp.nn.network import Network, Params
from jaxmlp.nn.objective import Batch, Objective
from jaxmlp.nn.rule import AUTODIFF


class _Results(NamedTuple):
    """What the rows compare: of the package, and of its witnesses."""

    copies: jax.Array
    by_equations: tuple[jax.Array, jax.Array]  # dW and dR from the derivatives of the copies
    by_autodiff: tuple[jax.Array, jax.Array]
    A: jax.Array
    J: jax.Array


@compile_once
def _compute(params: Params, batch: Batch, dcopies: jax.Array, net: Network, objective: Objective) -> _Results:
    assert net.members is not None, "the caller has looked"
    # W (n, n0), R (members, columns): a column is one input, or as many as its width
    W, R, widths = params[0]["W"], params[0]["R"], net.column_widths
    return _Results(
        member_layers(params, net.members, widths)[0]["W"],
        scaled_copies.backward(widths, (W, R), dcopies),
        jax.vjp(partial(scaled_copies.reference, widths), W, R)[1](dcopies),
        *_outputs(params, batch, net, objective),
    )


def _outputs(params: Params, batch: Batch, net: Network, objective: Objective) -> tuple[jax.Array, jax.Array]:
    """Return A_L, and J without penalties, which belong to the shared W."""
    X, Y, weights = batch
    return forward(params, X, net), cost(params, X, Y, net, Objective(objective.cost), weights)


_outputs_of_one = compile_once(_outputs)  # the same program for each member


def first_member(case: Case) -> Case:
    """Return the case of the first member."""
    net, params = take_member(jax.tree.map(jnp.asarray, case.params), case.net, 1)
    name = f"{case.name}, first member" if case.name else "first member"
    return case._replace(name=name, net=net, params=jax.tree.map(np.asarray, params))


def member_rows(case: Case, rng: np.random.Generator) -> Iterator[Row]:
    """Yield the rows of what a network with members adds; in float64 if the caller's context is."""
    W, R = (np.asarray(case.params[0][name]) for name in ("W", "R"))
    dcopies = rng.normal(size=(len(R), *W.shape))
    params, batch = jax.tree.map(jnp.asarray, (case.params, (case.X, case.Y, case.weights)))
    result: Any = _compute(params, Batch(*batch), jnp.asarray(dcopies), case.net, case.objective)
    result = jax.tree.map(np.asarray, result)
    members = (take_member(params, case.net, i + 1) for i in range(len(R)))
    outputs = [_outputs_of_one(layers, Batch(*batch), one, case.objective) for one, layers in members]
    mean_A, mean_J = (np.mean(values, axis=0) for values in zip(*outputs, strict=True))
    where = case.label(1)
    widths = case.net.column_widths or (1,) * W.shape[1]

    def copies(W: np.ndarray, R: np.ndarray) -> np.ndarray:
        return W[..., None, :, :] * np.repeat(R, widths, axis=-1)[..., None, :]  # (…, members, n, n0)

    by_hand = np.stack([W @ np.diag(np.repeat(r, widths)) for r in R])
    yield judge("members W_1", where, "NumPy", relative_difference(result.copies, by_hand), AUTODIFF_BOUND)
    derivatives = result.by_equations, result.by_autodiff
    yield from _leaf_rows("members", where, {"W_1": W, "R_1": R}, derivatives, lambda w, r: dcopies * copies(w, r), rng)
    if case.net.column_widths:
        yield from _product_rows(where, case.net.column_widths, W, R, case.X, copies, rng)
    output = case.label(case.net.depth)
    for name, actual, expected in (("A", result.A, mean_A), ("J", result.J, mean_J)):
        difference = relative_difference(actual, expected)
        yield judge(f"members {name}", output, "mean of the members", difference, AUTODIFF_BOUND)


@partial(compile_once, static_argnums=0)
def _multiply(widths: Widths, W: jax.Array, R: jax.Array, X: jax.Array, dV: jax.Array) -> tuple[Any, Any, Any]:
    """Return W_1⁽ⁱ⁾ X of all members, and its derivatives by the equations and by autodiff."""
    V, by_autodiff = jax.vjp(partial(member_products.reference, widths), W, R, X)
    _, cache = member_products.forward(widths, W, R, X)
    return V, member_products.backward(widths, cache, dV), by_autodiff(dV)


def _product_rows(
    where: str,
    widths: Widths,
    W: np.ndarray,
    R: np.ndarray,
    X: np.ndarray,
    copies: Callable[[np.ndarray, np.ndarray], np.ndarray],
    rng: np.random.Generator,
) -> Iterator[Row]:
    """Yield the rows of W_1⁽ⁱ⁾ X through the products of the columns; `copies` makes all W_1⁽ⁱ⁾ of W and R in NumPy."""
    dV = rng.normal(size=(len(R), len(W), X.shape[1]))
    V, *derivatives = _multiply(widths, W, R, X, dV)
    difference = relative_difference(V, copies(W, R) @ X)
    yield judge("products WX_1", where, "NumPy", difference, AUTODIFF_BOUND)

    def parts(w: np.ndarray, r: np.ndarray, x: np.ndarray) -> np.ndarray:
        return dV * (copies(w, r) @ x[..., None, :, :])  # (…, members, n, m)

    yield from _leaf_rows("products", where, {"W_1": W, "R_1": R, "X": X}, derivatives, parts, rng)


def _leaf_rows(
    title: str,
    where: str,
    leaves: dict[str, np.ndarray],
    derivatives: Any,
    parts: Callable[..., np.ndarray],
    rng: np.random.Generator,
) -> Iterator[Row]:
    """Yield the rows of a derivative by each leaf, against autodiff and central differences.

    Args:
      title, where: what the rows are called.
      leaves: the leaves, by name.
      derivatives: by the leaves: those by the equations, and those by autodiff.
      parts: of the leaves, each with or without a first axis of copies, the terms whose sum is differentiated.
      rng: of the sample of a large leaf.
    """
    for i, (name, leaf) in enumerate(leaves.items()):

        def moved(stack: np.ndarray, i: int = i) -> tuple[np.ndarray, list[np.ndarray]]:
            # one leaf as a stack of copies, the others as stacks of one, which broadcast
            stacks = [stack if j == i else leaf[None] for j, leaf in enumerate(leaves.values())]
            return parts(*stacks).reshape(len(stack), -1), []

        actual, expected = (np.asarray(of_leaves[i]) for of_leaves in derivatives)
        yield against_autodiff(f"{title} d{name}", where, actual, expected)
        yield against_differences(f"{title} d{name}", where, actual, slopes(moved, leaf, rng))


@compile_once
def _compute_gradients(params: Params, batch: Batch, net: Network, objective: Objective) -> dict[str, Any]:
    X, Y, weights = batch
    return {
        "autodiff": jax.value_and_grad(lambda params: evaluate(params, batch, net, objective, AUTODIFF).J)(params),
        "grad": jax.value_and_grad(cost)(params, X, Y, net, objective, weights),
        "backprop": backprop(params, X, Y, net, objective, weights),
    }


def whole_rows(case: Case) -> Iterator[Row]:
    """Yield J and every leaf of the gradient of a network with members or parametric activations."""
    params, batch = jax.tree.map(jnp.asarray, (case.params, (case.X, case.Y, case.weights)))
    result: Any = _compute_gradients(params, Batch(*batch), case.net, case.objective)
    for name in ("grad", "backprop"):
        yield from gradient_rows(case, name, result[name], result["autodiff"])
