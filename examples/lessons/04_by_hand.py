"""4. By hand: every number of 3-2-1, forward and backward, for one example.

    python examples/lessons/04_by_hand.py [--fast]

Each layer computes z_j = Σ_k w_jk a_k + b_j and a_j = g(z_j). Backward, an error δ = ∂c/∂z passes through the same
layers in the other order: BP1 at the output, BP2 from layer to layer, BP3 gives ∂c/∂b and BP4 gives ∂c/∂W. Below, loops
compute one number at a time, as the formulas with indices do; `jaxmlp.trace` computes the same with matrices. The same
table for sizes of your own: jaxmlp trace 3-2-1 --x 1,2,3 --y 1
"""

import numpy as np
from course import TRUE, claim, picture, start

import jaxmlp

start(__doc__)

# %% forward: W1 (2, 3), W2 (1, 2), x (3, 1)
net = jaxmlp.Network((3, 2, 1), "sigmoid", "sigmoid")
params = jaxmlp.init_numpy(net)
x, y = np.array([[1.0], [2.0], [3.0]]), np.array([[1.0]])
steps = jaxmlp.trace(params, x, net, y)
theta = {key: np.asarray(leaf) for key, leaf in jaxmlp.params_to_dict(params).items()}


def sigmoid(z):
    """σ(z) = 1/(1 + e⁻ᶻ)."""
    return 1 / (1 + np.exp(-z))


def unit_by_unit(params, x):
    """z_j = Σ_k w_jk a_k + b_j, then a_j = σ(z_j): a list of (z, a) for each layer, all with loops."""
    a, layers = [float(value) for value in x[:, 0]], []
    for layer in params:
        W, b = np.asarray(layer["W"]), np.asarray(layer["b"])
        z = [sum(W[j, k] * a[k] for k in range(len(a))) + b[j, 0] for j in range(len(W))]
        a = [sigmoid(value) for value in z]
        layers.append((z, a))
    return layers


layers = unit_by_unit(params, x)
forward_gap = max(
    np.abs(np.asarray(step[name])[:, 0] - values).max()
    for step, layer in zip(steps, layers, strict=True)
    for name, values in zip(("Z", "A"), layer, strict=True)
)
z_first = theta["W1"][0] @ x[:, 0] + theta["b1"][0, 0]  # w11 x1 + w12 x2 + w13 x3 + b1

# %% backward with indices: BP1, BP2 with its sum over k, BP3, BP4
(z1, a1), (z2, a2) = layers
da2 = [-y[0, 0] / a2[0] + (1 - y[0, 0]) / (1 - a2[0])]
delta2 = [da2[0] * a2[0] * (1 - a2[0])]
delta1 = [sum(theta["W2"][k, j] * delta2[k] for k in range(1)) * a1[j] * (1 - a1[j]) for j in range(2)]
dW2 = [[delta2[0] * a1[k] for k in range(2)]]
dW1 = [[delta1[j] * x[k, 0] for k in range(3)] for j in range(2)]
weight_gap = np.abs(steps[0]["dW"] - np.array(dW1)).max()
bias_gap = np.abs(np.asarray(steps[0]["db"])[:, 0] - delta1).max()
backward_gap = max(
    *(np.abs(np.ravel(steps[1][name]) - np.ravel(v)).max() for name, v in (("dA", da2), ("dZ", delta2), ("dW", dW2))),
    np.abs(np.asarray(steps[0]["dZ"])[:, 0] - delta1).max(),
    np.abs(steps[0]["dA"] - theta["W2"].T @ steps[1]["dZ"]).max(),
    weight_gap,
)
with_einsum = np.einsum("kj,km->jm", theta["W2"], steps[1]["dZ"]) * steps[0]["A"] * (1 - steps[0]["A"])
index_gap = np.abs(with_einsum - steps[0]["dZ"]).max()


# %% the meaning of δ: push z_1 of layer 1 by ε and the loss answers by δ ε
def loss_after_push(epsilon):
    """The loss when z of the first hidden unit is changed by ε."""
    A1 = sigmoid(np.asarray(steps[0]["Z"]) + np.array([[epsilon], [0.0]]))
    return -np.log(sigmoid(theta["W2"] @ A1 + theta["b2"]))[0, 0]


loss, delta = loss_after_push(0.0), float(steps[0]["dZ"][0, 0])
remainders = [abs(loss_after_push(e) - loss - delta * e) for e in (1e-2, 1e-3)]
good_push = loss_after_push(-0.01 * np.sign(delta))

with picture("by_hand.png", 1, size=(4.2, 3.0)) as (axes,):
    jaxmlp.plots.draw_network(axes, net)

# %% What was claimed
# fmt: off
claim("0.2", TRUE, "A neuron computes a linear z and then a = g(z)", f"z = {z_first:.6f}, a = {sigmoid(z_first):.6f}",
      abs(steps[0]["Z"][0, 0] - z_first) < 1e-15)
claim("1.2", TRUE, "A neuron turns z into a, its output", f"{forward_gap:.0e}", forward_gap < 1e-15)
claim("0.15", TRUE, "The equations of single neurons are one matrix equation", f"{forward_gap:.0e}",
      forward_gap < 1e-15)
claim("2.16", TRUE, "Each unit is a logistic unit; a layer of them is one product", f"{forward_gap:.0e}",
      forward_gap < 1e-15)
claim("1.4", TRUE, "z = W a_prev + b and a = σ(z)", f"{forward_gap:.0e}", forward_gap < 1e-15)
claim("4.6", TRUE, "3-2-1: w_jk leads from unit k to unit j; index form and matrix form", f"z1 = {z_first:.6f}",
      abs(z1[0] - z_first) < 1e-15)
claim("0.19", TRUE, "Backward: da, dz = a - y, dW, db, da of the layer below, dz", f"{backward_gap:.0e}",
      backward_gap < 1e-15)
claim("1.3", TRUE, "Nielsen writes wˡ, bˡ, zˡ, aˡ, δˡ for W, b, Z, A, dZ of layer l", f"δ is dZ: {backward_gap:.0e}",
      backward_gap < 1e-15)
claim("1.5", TRUE, "BP1: δ of the output is ∂c/∂a times σ'(z)", f"{backward_gap:.0e}",
      abs(float(steps[1]["dZ"][0, 0]) - delta2[0]) < 1e-15)
claim("4.17", TRUE, "Equation 1 with indices and as a matrix; for σ the terms k ≠ j vanish", f"{backward_gap:.0e}",
      backward_gap < 1e-15)
claim("1.6", TRUE, "BP2: δ_j = Σ_k w_kj δ_k σ'(z_j)", f"matrix against indices {index_gap:.0e}", index_gap < 1e-16)
claim("4.18", TRUE, "Equation 2: the error of a hidden layer", f"{index_gap:.0e}", index_gap < 1e-15)
claim("1.7", TRUE, "BP3: ∂c/∂b = δ", f"{bias_gap:.0e}", bias_gap < 1e-16)
claim("4.19", TRUE, "Equation 3: the rates of b and w", f"{bias_gap:.0e}", max(bias_gap, weight_gap) < 1e-15)
claim("1.8", TRUE, "BP4: ∂c/∂w_jk = δ_j a_k", f"{weight_gap:.0e}", weight_gap < 1e-15)
claim("4.16", TRUE, "δ is the answer of the loss to a push of z; the good push has the sign opposite to δ",
      f"the remainder falls from {remainders[0]:.0e} to {remainders[1]:.0e} with ε / 10",
      remainders[1] < remainders[0] / 50 and good_push < loss)
