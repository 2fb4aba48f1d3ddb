"""7. Misprints: formulas as some texts print them, and what they do to a program.

    python examples/lessons/07_misprints.py [--fast]

A wrong shape is refused by NumPy, if the sizes differ. A wrong factor is not refused: the network learns, with
another learning rate than the one that was set. Here each misprint is computed beside the right formula, on 3-2-1 and on
2-3-1 with m = 7 examples. The equations: Z = W A_prev + b, dW = dZ A_prevᵀ, dA_prev = Wᵀ dZ, and 1/m once.
"""

import jax
import jax.numpy as jnp
import numpy as np
from course import claim, start

import jaxmlp

start(__doc__)
rng = np.random.default_rng(0)


def refusal(function):
    """The message of the error that a wrong formula raises."""
    try:
        function()
    except ValueError as error:
        return str(error).split(", with")[0]
    return ""


# %% 3-2-1, one example: which layer a factor and a derivative belong to
net = jaxmlp.Network((3, 2, 1), "sigmoid", "sigmoid")
params = jaxmlp.init_numpy(net)
_, output = jaxmlp.trace(params, np.array([[1.0], [2.0], [3.0]]), net, np.array([[1.0]]))
W2, a, da = np.asarray(params[1]["W"]), output["A"].item(), output["dA"].item()
own_layer = refusal(lambda: W2 @ np.asarray(output["A"]))
loss = output["losses"].item()

# %% sizes that all differ: the wrong product does not fit
dz, a_prev, W, dZ = rng.normal(size=(3, 1)), rng.normal(size=(5, 1)), rng.normal(size=(3, 5)), rng.normal(size=(3, 7))
not_aligned, not_broadcast = refusal(lambda: dz @ a_prev), refusal(lambda: W.T * dZ)
assert (dz @ a_prev.T).shape == W.shape
assert (W.T @ dZ).shape == (5, 7)

# %% 2-3-1, m = 7: the mean is taken once
m = 7
X, Y = rng.normal(size=(2, m)), rng.integers(0, 2, (1, m)).astype(float)
two = jaxmlp.Network((2, 3, 1), "tanh", "sigmoid")
weights = jaxmlp.init(jax.random.key(0), two)
passes = jaxmlp.trace(weights, X, two, Y)


def mean_cost(weights):
    """J of 2-3-1, written out, for autodiff."""
    A = jnp.tanh(weights[0]["W"] @ X + weights[0]["b"])
    A = jax.nn.sigmoid(weights[1]["W"] @ A + weights[1]["b"])
    return -(Y * jnp.log(A) + (1 - Y) * jnp.log(1 - A)).mean()


dW_twice = np.asarray(passes[1]["dZ"]) @ np.asarray(passes[0]["A"]).T / m  # dZ of the mean cost has 1/m already
right_dW = np.asarray(jax.grad(mean_cost)(weights)[1]["W"])
ratio = float(np.linalg.norm(dW_twice) / np.linalg.norm(right_dW))

# %% two sums: over the outputs of an example, then over the examples (4 classes and 7 examples here)
classes = jaxmlp.Network((2, 4), output="softmax")
softmax_params, T = jaxmlp.init(jax.random.key(1), classes), np.eye(4)[rng.integers(0, 4, m)].T
A = np.asarray(jaxmlp.forward(softmax_params, X, classes))
J = sum(sum(-T[k, i] * np.log(A[k, i]) for k in range(4)) for i in range(m)) / m
two_sums_gap = abs(J - float(jaxmlp.cost(softmax_params, X, T, classes)))

# %% What was claimed
# fmt: off
claim("E4", "WRONG → a of layer l-1 and b_j", "z_j of layer l is Σ w a^l + b_k",
      f"W2 (1, 2) times a of its own layer (1, 1): {own_layer}", "matmul" in own_layer)
claim("E19", "WRONG → dz a_prevᵀ", "dW = dz · a_prev", f"NumPy: {not_aligned}", "matmul" in not_aligned)
claim("E20", "WRONG → Wᵀ dZ, of the layer below", "dA = Wᵀ ⊙ dZ", f"NumPy: {not_broadcast}",
      "broadcast" in not_broadcast)
claim("E22", "WRONG → sum over the outputs k of each example, then over the examples",
      "The costs have y and a without the index of the example", f"two sums: {two_sums_gap:.0e}", two_sums_gap < 1e-14)
claim("E23", "WRONG → dA is the gradient of the activation", "The docstrings call dA the activation of the same layer",
      f"A = {a:.3f}, dA = {da:.3f}", abs(a - da) > 1)
claim("E24", "WRONG → 1/m once, in dZ of the output or in dW and db",
      "dZ comes from the mean cost and dW has 1/m again", f"dW is then {ratio:.4f} of the right one, m = {m}",
      abs(ratio - 1 / m) < 1e-12)
claim("E44", "WRONG → 1/m once", "J is a mean, dA = dJ/dA, and dW = 1/m dZ Aᵀ",
      f"dW is {ratio:.4f} of the right one", abs(ratio - 1 / m) < 1e-12)
claim("E38", "WRONG → L depends on a of the last layer", "The loss is written as depending on a of layer l",
      f"the loss of {a:.4f} is {-np.log(a):.6f}", abs(loss + np.log(a)) < 1e-15)
