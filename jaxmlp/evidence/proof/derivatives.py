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
from jaxmlp.nn import activations, backprop, costs
from jaxmlp.nn.costs import Cost
from jaxmlp.nn.dense import LayerParams
from jaxmlp.nn.layer import AUTODIFF_LAYER, layer_backward, layer_forward, through_layer
from jaxmlp.nn.network import Network, Params
from jaxmlp.nn.noise import Masks
from jaxmlp.nn.objective import Batch, Objective, penalty_numbers
from jaxmlp.nn.penalties import penalty, penalty_undecorated

# programs that run once: on a CPU, optimizing them takes longer than what it saves
compile_once = partial(jax.jit, compiler_options={"xla_backend_optimization_level": "0"})
# within such a program, or for hundreds of small networks, where not to compile is cheaper still
_cost, _backprop = map(inspect.unwrap, (backprop.cost, backprop.backprop))


class Case(NamedTuple):
    """A network, what it minimises (with its cost found) and a batch, in NumPy and float64."""

    name: str
    net: Network
    objective: Objective
    params: Layers
    X: Array
    Y: Array
    weights: Array | None = None
    seed: int = 0  # of the noise, where the objective has any

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
    penalties: dict[str, Any]  # by name (value, its gradient by the parameters, λ and m): ours and autodiff's
    whole: dict[str, Any]  # (J, dparams) by name
    batch: Batch  # as noise and label smoothing have left it
    masks: Masks  # of dropout; () without


def answers(
    params: Params, X: jax.Array, Y: jax.Array, weights: jax.Array | None, net: Network, aim: Objective, seed: Any
) -> Answers:
    """What autodiff and the equations find; `objective` with its cost as a record or by name."""
    key = jax.random.key(seed) if aim.noisy else None
    noise = backprop.draw_noise(key, net, aim, X)
    batch, masks = backprop.perturbed(Batch(X, Y, weights), net, aim, noise), noise.masks
    J, right = _by_autodiff(params, batch, net, aim, masks)
    penalties, gradient = _penalties(params, Batch(X, Y, weights), aim), right.dparams
    for _, (value, (of_penalty, *_)) in penalties.values():  # derivatives are linear: J's is the sum of its terms'
        J, gradient = J + value, jax.tree.map(jnp.add, gradient, of_penalty)
    whole = {
        "autodiff": (J, gradient),
        "grad": jax.value_and_grad(_cost)(params, X, Y, net, aim, weights, key),
        "backprop": _backprop(params, X, Y, net, aim, weights, key),
    }
    return Answers(right, _by_hand(right, params, batch, net, aim, masks), penalties, whole, batch, masks)


compiled_answers = compile_once(answers)


def share_of(net: Network, weights: Any) -> Any:
    """What each example weighs in the statistics of batch normalisation; None for 1/m."""
    return None if weights is None or net.norm != "batch" else weights / weights.sum()


def _layers(params: Params, net: Network, masks: Masks) -> list[tuple[Any, ...]]:
    """Norm, activation, parameters and mask of every layer."""
    return list(zip(net.norms, net.activations, params, masks or (None,) * net.depth, strict=True))


def _by_autodiff(params: Params, batch: Batch, net: Network, aim: Objective, masks: Masks) -> tuple[Any, Derivatives]:
    """J without penalty and its derivatives, by the parameters and by what is added to every Z and A."""
    cost, output, share = costs.find(aim.cost, net.activations[-1]), net.activations[-1], share_of(net, batch.weights)

    def shifted(params: Params, shifts: Any) -> Any:
        A, steps = batch.X, []
        for (norm, g, layer, mask), shift in zip(_layers(params, net, masks), shifts, strict=True):
            Z, _ = through_layer(AUTODIFF_LAYER, norm, activations.identity, layer, A, mask, share)
            Z = Z + shift["Z"]
            A = g.apply(Z) + shift["A"]
            steps.append({"Z": Z, "A": A})
        return costs.mean_cost_undecorated(cost, output, steps[-1]["Z"], batch.Y, batch.weights), steps

    m = batch.X.shape[1]
    zeros = [{"Z": jnp.zeros((row.W[0], m)), "A": jnp.zeros((row.n_out, m))} for row in net.shapes]
    (J, steps), (dparams, deltas) = jax.value_and_grad(shifted, argnums=(0, 1), has_aux=True)(params, zeros)
    Z, A, dZ, dA = ([step[name] for step in where] for where in (steps, deltas) for name in ("Z", "A"))
    return J, Derivatives(Z, [batch.X, *A], dZ, dA[:-1], dparams)


def _by_hand(
    right: Derivatives, params: Params, batch: Batch, net: Network, aim: Objective, masks: Masks
) -> Derivatives:
    """The same derivatives, each by its equation from right inputs."""
    cost, output, share = costs.find(aim.cost, net.activations[-1]), net.activations[-1], share_of(net, batch.weights)
    passed: list[tuple[LayerParams, Any]] = []
    for (norm, _, layer, mask), A_prev, dZ in zip(_layers(params, net, masks), right.A[:-1], right.dZ, strict=True):
        # the layer's own g is taken off, because it is given the right dZ instead of dA
        _, cache = layer_forward(norm, activations.identity, layer, A_prev, mask, share)
        passed.append(layer_backward(norm, activations.identity, cache, dZ))
    dA = [dA_prev for _, dA_prev in passed[1:]]
    dZ = [g.pullback(Z, A, d) for g, Z, A, d in zip(net.activations, right.Z, right.A[1:], dA, strict=False)]
    dZ.append(costs.output_error(cost, output, right.Z[-1], batch.Y, batch.weights))
    return Derivatives(right.Z, right.A, dZ, dA, [dlayer for dlayer, _ in passed])


def penalty_examples(aim: Objective, X: Any, weights: Any) -> Any:
    """The m of the penalties."""
    if aim.examples is not None:
        return aim.examples
    return X.shape[1] if weights is None else weights.sum()


def _penalties(params: Params, batch: Batch, aim: Objective) -> dict[str, Any]:
    found = {}
    for kind, (strength, m) in penalty_numbers(aim, batch):
        both = (partial(f, kind) for f in (penalty, penalty_undecorated))
        found[kind.name] = tuple(jax.value_and_grad(f, argnums=(0, 1, 2))(params, strength, m) for f in both)
    return found
