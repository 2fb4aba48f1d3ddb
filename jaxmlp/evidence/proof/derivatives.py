"""Derivatives of one network on one batch, found twice: by the equations and by autodiff.

    by autodiff     every Z_l and A_l of the undecorated path has a zero added to it; the derivative of J by that zero
                    is dZ_l or dA_l
    by hand         BP1 to BP4, each given the right inputs, those that autodiff found

So a wrong equation is wrong alone: what follows from it in the chain is not, and the first difference names it.
"""

import inspect
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from numpy import ndarray as Array

from jaxmlp.evidence.formulas import Layers
from jaxmlp.nn import activations, costs, network, objective
from jaxmlp.nn.costs import Cost
from jaxmlp.nn.dense import LayerParams, dense_backward, dense_undecorated
from jaxmlp.nn.network import Network, Params
from jaxmlp.nn.objective import Batch, Objective

# programs that run once: on a CPU, optimizing them takes longer than what it saves
compile_once = partial(jax.jit, compiler_options={"xla_backend_optimization_level": "0"})
# within such a program, or for hundreds of small networks, where not to compile is cheaper still
_cost, _backprop, _trace = map(inspect.unwrap, (objective.cost, objective.backprop, network.trace))


class Case(NamedTuple):
    """A network, what it minimises (with its cost found) and a batch, in NumPy and float64."""

    name: str
    net: Network
    objective: Objective
    params: Layers
    X: Array
    Y: Array
    weights: Array | None = None

    @property
    def cost(self) -> Cost:
        """The record of the cost."""
        return costs.find(self.objective.cost, self.net.activations[-1])

    def at(self, l: int) -> str:
        """Where layer l is: its activation, after the name of the case if it has one."""
        return f"{self.name}: {self.net.activations[l - 1].name}" if self.name else self.net.activations[l - 1].name


class Derivatives(NamedTuple):
    """Everything in the chain with its derivative; index 0 is layer 1."""

    Z: list[Any]
    A: list[Any]  # A_0 … A_L
    dZ: list[Any]
    dA: list[Any]  # dA_1 … dA_{L-1}
    dparams: Any


class Answers(NamedTuple):
    """Everything that a case's rows compare."""

    right: Derivatives  # by autodiff
    ours: Derivatives  # by the equations, each at the right inputs
    penalty: Any  # (value, its gradient by W, λ and m): ours and autodiff's; None without
    whole: dict[str, Any]  # (J, dparams) by name


def answers(
    params: Params, X: jax.Array, Y: jax.Array, weights: jax.Array | None, net: Network, aim: Objective
) -> Answers:
    """What autodiff and the equations find; `objective` with its cost as a record or by name."""
    batch = Batch(X, Y, weights)
    J, right = _by_autodiff(params, batch, net, aim)
    penalty, gradient = _penalty(params, batch, aim), right.dparams
    if penalty is not None:  # derivatives are linear: that of the whole J is the sum of its terms'
        value, (of_penalty, *_) = penalty[1]
        J, gradient = J + value, jax.tree.map(jnp.add, gradient, of_penalty)
    whole = {
        "autodiff": (J, gradient),
        "grad": jax.value_and_grad(_cost)(params, X, Y, net, aim, weights),
        "backprop": _backprop(params, X, Y, net, aim, weights),
    }
    return Answers(right, _by_hand(right, params, batch, net, aim), penalty, whole)


compiled_answers = compile_once(answers)


def _by_autodiff(params: Params, batch: Batch, net: Network, aim: Objective) -> tuple[Any, Derivatives]:
    """J without penalty and its derivatives, by W and b and by what is added to every Z and A."""
    cost, output = costs.find(aim.cost, net.activations[-1]), net.activations[-1]

    def shifted(params: Params, shifts: list[dict[str, jax.Array]]) -> jax.Array:
        A = Z = batch.X
        for g, layer, shift in zip(net.activations, params, shifts, strict=True):
            Z = dense_undecorated(activations.identity, layer, A) + shift["Z"]
            A = g.apply(Z) + shift["A"]
        return costs.mean_cost_undecorated(cost, output, Z, batch.Y, batch.weights)

    steps = _trace(params, batch.X, net)
    zeros = [{name: jnp.zeros_like(value) for name, value in step.items()} for step in steps]
    J, (dparams, deltas) = jax.value_and_grad(shifted, argnums=(0, 1))(params, zeros)
    Z, A, dZ, dA = ([step[name] for step in where] for where in (steps, deltas) for name in ("Z", "A"))
    return J, Derivatives(Z, [batch.X, *A], dZ, dA[:-1], dparams)


def _by_hand(right: Derivatives, params: Params, batch: Batch, net: Network, aim: Objective) -> Derivatives:
    """The same derivatives, each by its equation from right inputs."""
    cost, output = costs.find(aim.cost, net.activations[-1]), net.activations[-1]
    passed: list[tuple[LayerParams, Any]] = [
        # the block's own g is taken off, because it is given the right dZ instead of dA
        dense_backward(activations.identity, (layer["W"], A_prev, Z, Z), dZ)
        for layer, A_prev, Z, dZ in zip(params, right.A[:-1], right.Z, right.dZ, strict=True)
    ]
    dA = [dA_prev for _, dA_prev in passed[1:]]
    dZ = [g.pullback(Z, A, d) for g, Z, A, d in zip(net.activations, right.Z, right.A[1:], dA, strict=False)]
    dZ.append(costs.output_error(cost, output, right.Z[-1], batch.Y, batch.weights))
    return Derivatives(right.Z, right.A, dZ, dA, [dlayer for dlayer, _ in passed])


def penalty_examples(aim: Objective, X: Any, weights: Any) -> Any:
    """The m of the penalty λ/(2m) Σ‖W‖²."""
    if aim.examples is not None:
        return aim.examples
    return X.shape[1] if weights is None else weights.sum()


def _penalty(params: Params, batch: Batch, aim: Objective) -> Any:
    if aim.l2 is None:
        return None
    at = params, jnp.asarray(aim.l2, float), jnp.asarray(penalty_examples(aim, batch.X, batch.weights), float)
    both = objective.l2_penalty, objective.l2_penalty_undecorated
    return tuple(jax.value_and_grad(f, argnums=(0, 1, 2))(*at) for f in both)
