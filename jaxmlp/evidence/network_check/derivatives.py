"""Derivatives of one network on one batch, computed twice: by autodiff and by the equations.

    by_autodiff     every Z_l and A_l of the undecorated path has a zero added to it; the derivative of J by that zero
                    is dZ_l or dA_l
    by_equations    BP1 to BP4, each applied to the correct inputs, those of autodiff

Because every equation gets correct inputs, a wrong equation gives a wrong result only for itself, not for what follows
from it in the chain, and the first difference names it.
"""

import inspect
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.nn import activations, backprop, costs
from jaxmlp.nn.activations import Activation
from jaxmlp.nn.augmentation import augment_batch, draw_noise
from jaxmlp.nn.dense import LayerParams
from jaxmlp.nn.dropout import Masks
from jaxmlp.nn.layer import apply_layer, layer_backward, layer_forward
from jaxmlp.nn.network import Network, Params
from jaxmlp.nn.objective import Batch, Objective, penalty_numbers
from jaxmlp.nn.penalties import weight_penalty
from jaxmlp.nn.rule import AUTODIFF

# for programs that run once: on a CPU, optimizing them takes longer than it saves
compile_once = partial(jax.jit, compiler_options={"xla_backend_optimization_level": "0"})
# without their own `jit`: they are part of a larger program here, or run once for each of hundreds of small networks,
# where even this compilation takes longer than the work
_cost, _backprop = map(inspect.unwrap, (backprop.cost, backprop.backprop))


class ChainDerivatives(NamedTuple):
    """Every quantity of the chain with its derivative; index 0 is layer 1."""

    Z: list[Any]
    A: list[Any]  # A_0 … A_L
    dZ: list[Any]
    dA: list[Any]  # dA_1 … dA_{L-1}
    dparams: Any


class CaseResults(NamedTuple):
    """Every quantity that the rows of a case compare."""

    by_autodiff: ChainDerivatives
    by_equations: ChainDerivatives  # each equation at the inputs that autodiff computed
    penalties: dict[str, Any]  # by name: (value, its gradient by parameters, λ and m) of the package and of autodiff
    whole: dict[str, Any]  # (J, dparams) by name
    batch: Batch  # after noise and label smoothing
    masks: Masks  # of dropout; () without


def compute_results(
    params: Params, batch: Batch, net: Network, objective: Objective, seed: int | jax.Array
) -> CaseResults:
    """Compute by autodiff and by the equations all that the rows of a case compare."""
    key = jax.random.key(seed) if objective.noisy else None
    noise = draw_noise(key, net, objective, batch.X)
    noisy, masks = augment_batch(batch, net, objective, noise), noise.masks
    J, correct = _by_autodiff(params, noisy, net, objective, masks)
    penalties, gradient = _penalties(params, batch, objective), correct.dparams
    for _, (value, (of_penalty, *_)) in penalties.values():  # the derivative of a sum is the sum of the derivatives
        J, gradient = J + value, jax.tree.map(jnp.add, gradient, of_penalty)
    X, Y, weights = batch
    whole = {
        "autodiff": (J, gradient),
        # from the batch without noise: both draw the same noise themselves, from the same key
        "grad": jax.value_and_grad(_cost)(params, X, Y, net, objective, weights, key),
        "backprop": _backprop(params, X, Y, net, objective, weights, key),
    }
    by_equations = _by_equations(correct, params, noisy, net, objective, masks)
    return CaseResults(correct, by_equations, penalties, whole, noisy, masks)


compute_results_compiled = compile_once(compute_results)


def example_weights(net: Network, weights: Any) -> Any:
    """Return the weight of each example in the statistics of batch normalisation; None for 1/m."""
    return None if weights is None or net.norm != "batch" else weights / weights.sum()


def _layers(params: Params, net: Network, masks: Masks) -> list[tuple[Any, ...]]:
    """Return norm, activation, parameters and mask of every layer."""
    return list(zip(net.norms, net.activations, params, masks or (None,) * net.depth, strict=True))


def _by_autodiff(
    params: Params, batch: Batch, net: Network, objective: Objective, masks: Masks
) -> tuple[jax.Array, ChainDerivatives]:
    """Return J without penalty and its derivatives, by the parameters and by the zeros added to every Z and A."""
    cost, output = costs.find(objective.cost, net.activations[-1]), net.activations[-1]
    per_example = example_weights(net, batch.weights)

    def shifted_cost(params: Params, shifts: list[dict[str, jax.Array]]) -> tuple[jax.Array, list[Any]]:
        A, steps = batch.X, []
        for (norm, g, layer, mask), shift in zip(_layers(params, net, masks), shifts, strict=True):
            Z, _ = apply_layer(AUTODIFF, norm, activations.identity, layer, A, mask, per_example)
            Z = Z + shift["Z"]
            A = g.apply(Z) + shift["A"]
            steps.append({"Z": Z, "A": A})
        return costs.mean_cost.reference(cost, output, steps[-1]["Z"], batch.Y, batch.weights), steps

    m = batch.X.shape[1]
    # a zero that is added has the derivative of the sum, and changes no value: so one gradient gives dZ and dA of all
    # layers
    zeros = [{"Z": jnp.zeros((row.W[0], m)), "A": jnp.zeros((row.n_out, m))} for row in net.shapes]
    value_and_grad = jax.value_and_grad(shifted_cost, argnums=(0, 1), has_aux=True)
    (J, steps), (dparams, deltas) = value_and_grad(params, zeros)
    Z, A, dZ, dA = ([step[name] for step in source] for source in (steps, deltas) for name in ("Z", "A"))
    # without dA_L, which no equation computes: BP1 gives dZ_L at once
    return J, ChainDerivatives(Z, [batch.X, *A], dZ, dA[:-1], dparams)


def _by_equations(
    correct: ChainDerivatives, params: Params, batch: Batch, net: Network, objective: Objective, masks: Masks
) -> ChainDerivatives:
    """Return the same derivatives, each by its equation from the inputs that autodiff computed."""
    cost, output = costs.find(objective.cost, net.activations[-1]), net.activations[-1]
    per_example = example_weights(net, batch.weights)
    backward: list[tuple[LayerParams, jax.Array]] = []
    for (norm, _, layer, mask), A_prev, dZ in zip(_layers(params, net, masks), correct.A[:-1], correct.dZ, strict=True):
        # with the identity in place of g, because the layer gets the correct dZ instead of dA
        _, cache = layer_forward(norm, activations.identity, layer, A_prev, mask, per_example)
        backward.append(layer_backward(norm, activations.identity, cache, dZ))
    dA = [dA_prev for _, dA_prev in backward[1:]]  # without that of layer 1, which is dX
    hidden: list[Activation] = list(net.activations[:-1])
    dZ = [g.pullback(Z, A, d) for g, Z, A, d in zip(hidden, correct.Z[:-1], correct.A[1:-1], dA, strict=True)]
    dZ.append(costs.output_error(cost, output, correct.Z[-1], batch.Y, batch.weights))
    return ChainDerivatives(correct.Z, correct.A, dZ, dA, [dlayer for dlayer, _ in backward])


def penalty_examples(objective: Objective, X: np.ndarray, weights: np.ndarray | None) -> Any:
    """Return the m of the penalties."""
    if objective.examples is not None:
        return objective.examples
    return X.shape[1] if weights is None else weights.sum()


def _penalties(params: Params, batch: Batch, objective: Objective) -> dict[str, Any]:
    return {
        record.name: tuple(
            # m as an argument too, as it is Σ w for a weighted batch and has a derivative
            jax.value_and_grad(partial(f, record), argnums=(0, 1, 2))(params, strength, m)
            for f in (weight_penalty.apply, weight_penalty.reference)
        )
        for record, (strength, m) in penalty_numbers(objective, batch)
    }
