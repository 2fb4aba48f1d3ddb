"""The equations that only a network with members has, against their witnesses.

    W_1⁽ⁱ⁾      W_1 diag(r_i), against NumPy
    dW_1, dR    Σ_i dW_1⁽ⁱ⁾ diag(r_i) and the column sums of W_1 ⊙ dW_1⁽ⁱ⁾, against autodiff and central differences
    A_L, J      the means of the members', each as the plain network that it is
    grad, backprop    every leaf, against autodiff of the path without derivative rules

The chain from BP1 to layer 1 is that of a plain network, and is checked on the first member.
"""

from collections.abc import Iterator
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
from jaxmlp.nn.members import member_layers, scaled_copies
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
    W, R = params[0]["W"], params[0]["R"]
    return _Results(
        member_layers(params, net.members)[0]["W"],
        scaled_copies.backward((W, R), dcopies),
        jax.vjp(scaled_copies.reference, W, R)[1](dcopies),
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
    by_hand = np.stack([W @ np.diag(r) for r in R])
    yield judge("members W_1", where, "NumPy", relative_difference(result.copies, by_hand), AUTODIFF_BOUND)

    def slopes_by(name: str, leaf: np.ndarray) -> Any:
        def parts(stack: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
            w, r = (stack, R[None]) if name == "W" else (W[None], stack)
            return (dcopies * w[:, None] * r[:, :, None, :]).reshape(len(stack), -1), []

        return slopes(parts, leaf, rng)

    for name, leaf, actual, expected in zip("WR", (W, R), result.by_equations, result.by_autodiff, strict=True):
        yield against_autodiff(f"members d{name}_1", where, actual, expected)
        yield against_differences(f"members d{name}_1", where, actual, slopes_by(name, leaf))
    output = case.label(case.net.depth)
    for name, actual, expected in (("A", result.A, mean_A), ("J", result.J, mean_J)):
        difference = relative_difference(actual, expected)
        yield judge(f"members {name}", output, "mean of the members", difference, AUTODIFF_BOUND)


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
