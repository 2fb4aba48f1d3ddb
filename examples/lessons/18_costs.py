"""18. Costs: three heads, a slow start, and logarithms that must not meet 0.

    python examples/lessons/18_costs.py [--fast]

The output and its cost belong together: sigmoid with binary cross-entropy, softmax with categorical, identity with the
quadratic cost. With a quadratic cost a confident wrong sigmoid learns slowly, because σ' stands in its gradient.
"""

import jax
import jax.numpy as jnp
import numpy as np
from course import TRUE, claim, columns, descend, listed, picture, start

import jaxmlp

fast = start(__doc__)

# %% Nielsen's neuron: input 1, target 0, w = b = 2; the quadratic cost waits, cross-entropy does not
net = jaxmlp.Network((1, 1), output="sigmoid")
wrong = ({"W": jnp.full((1, 1), 2.0), "b": jnp.full((1, 1), 2.0)},)
one, zero = np.ones((1, 1)), np.zeros((1, 1))
outputs, first = {}, {}
for cost in ("quadratic", "binary_cross_entropy"):
    params, curve, objective = wrong, [], jaxmlp.Objective(cost=cost)
    for _ in range(15):
        curve.append(float(jaxmlp.forward(params, one, net)[0, 0]))
        params, _ = descend(params, one, zero, net, 0.15, 20, objective)
    outputs[cost] = curve
    first[cost] = float(jaxmlp.backprop(wrong, one, zero, net, objective)[1][0]["W"][0, 0])
a = 1 / (1 + np.exp(-4.0))

# %% formulas of both costs, on a small batch
rng = np.random.default_rng(0)
small, X = jaxmlp.Network((3, 4, 2), "tanh", "sigmoid"), rng.normal(size=(3, 6))
Y = rng.integers(0, 2, size=(2, 6)).astype(float)
theta = jaxmlp.init(jax.random.key(0), small)
A = np.asarray(jaxmlp.forward(theta, X, small))
quadratic_gap = abs(
    float(jaxmlp.cost(theta, X, Y, small, jaxmlp.Objective(cost="quadratic"))) - ((Y - A) ** 2).sum() / (2 * 6)
)
entropy_gap = abs(float(jaxmlp.cost(theta, X, Y, small)) + (Y * np.log(A) + (1 - Y) * np.log(1 - A)).sum() / 6)

# %% from logits: what the printed formulas make of a confident network
sure = ({"W": jnp.full((1, 1), 40.0), "b": jnp.zeros((1, 1))},)
with np.errstate(all="ignore"):
    A1 = np.float64(1) / (1 + np.exp(-40.0))
    textbook_cost = -np.log(1 - A1)
    textbook_dA = -(np.divide(0, A1) - np.divide(1, 1 - A1))
    textbook_dZ = textbook_dA * A1 * (1 - A1)
from_logits = float(jaxmlp.cost(sure, one, zero, net))
step = jaxmlp.trace(sure, one, net, zero)[0]
ours_dZ = float(step["dZ"][0, 0])

# %% three heads
x_digits, ids = columns("digits")
binary, multi = (ids == 0).astype(float), ids
heads = {
    "sigmoid": (jaxmlp.Network((64, 8, 1), output="sigmoid"), binary),
    "softmax": (jaxmlp.Network((64, 8, 10), output="softmax"), multi),
    "identity": (jaxmlp.Network((64, 8, 1), output="identity"), x_digits.mean(axis=0, keepdims=True)),
}
falls, ranges = {}, {}
for name, (head, targets) in heads.items():
    fitted, costs = descend(jaxmlp.init(jax.random.key(0), head), x_digits, targets, head, 0.1, 100)
    falls[name] = float(costs[0]), float(costs[-1])
    A = jaxmlp.forward(fitted, x_digits, head)
    ranges[name] = float(A.min()), float(A.max())
sums = float(
    jnp.abs(
        jaxmlp.forward(jaxmlp.init(jax.random.key(0), heads["softmax"][0]), x_digits, heads["softmax"][0]).sum(axis=0)
        - 1
    ).max()
)

# %% values that are never negative
positive = np.abs(X[:1]) + 0.1
minima = {}
for name in ("identity", "relu", "softplus"):
    head = jaxmlp.Network((3, 8, 1), "tanh", name)
    fitted, _ = descend(jaxmlp.init(jax.random.key(1), head), X, positive, head, 0.1, 500)
    far = rng.normal(size=(3, 500)) * 5
    minima[name] = float(jaxmlp.forward(fitted, far, head).min())

with picture("slow_start.png", 1, size=(4.2, 3.0)) as (axes,):
    jaxmlp.plots.draw_costs(axes, outputs)
    axes.set(xlabel="every 20 steps", ylabel="output a, target 0")

# %% What was claimed
# fmt: off
claim("0.7", TRUE, "Two classes keep a sigmoid at the output: its range is (0, 1)",
      f"outputs from {ranges['sigmoid'][0]:.4f} to {ranges['sigmoid'][1]:.4f}",
      0 < ranges["sigmoid"][0] and ranges["sigmoid"][1] < 1)
claim("0.17", TRUE, "Cross-entropy is the loss of networks too", f"{entropy_gap:.0e}", entropy_gap < 1e-14)
claim("1.1", TRUE, "Input, hidden and output layers; sigmoid for two classes, softmax for more, a value for regression",
      ", ".join(f"{n} {b:.3f} → {e:.3f}" for n, (b, e) in falls.items()),
      all(e < b for b, e in falls.values()) and sums < 1e-12)
claim("1.28", TRUE, "Quadratic cost 1/2n Σ (y - a)²",
      f"{quadratic_gap:.0e}; its gradient starts {first['binary_cross_entropy'] / first['quadratic']:.0f} times smaller: after 280 steps a is {outputs['quadratic'][-1]:.2f}, with cross-entropy {outputs['binary_cross_entropy'][-1]:.2f}",
      quadratic_gap < 1e-14 and abs(first["binary_cross_entropy"] / first["quadratic"] - 1 / (a * (1 - a))) < 1e-9 and outputs["binary_cross_entropy"][-1] < outputs["quadratic"][-1])
claim("1.29", TRUE, "Cross-entropy -1/n Σ (y ln a + (1 - y) ln(1 - a))", f"{entropy_gap:.0e}", entropy_gap < 1e-14)
claim("2.21", TRUE, "Linear output for regression; for values that are not negative another one",
      f"least output far away: {listed(minima)}",
      minima["identity"] < 0 <= minima["relu"] and minima["softplus"] > 0)
claim("E11", "TRUE IF A is neither 0 nor 1", "dAL = -(Y/AL - (1-Y)/(1-AL)), and log(1 - a)",
      f"at z = 40, y = 0: cost {textbook_cost}, dZ {textbook_dZ}; from logits cost {from_logits:g}, dZ {ours_dZ:g}",
      not np.isfinite(textbook_cost) and not np.isfinite(textbook_dZ) and from_logits == 40 and ours_dZ == 1)
