"""1. Logistic regression: the smallest network, and what it has in common with least squares.

    python examples/lessons/01_logistic_regression.py [--fast]

One unit and no hidden layer: z = w x + b and a = σ(z), with w (1, n), x (n, 1) and one number b. The loss c belongs to
one example, the cost J is the mean of the losses of m examples, and training means: change w and b against the gradient
of J, many times. Other methods, which know nothing of networks, end at the same w and b.
"""

import jax
import jax.numpy as jnp
import numpy as np
from course import TRUE, claim, descend, picture, start

import jaxmlp

start(__doc__)
rng = np.random.default_rng(0)

# %% two overlapping clouds, X (2, 200) and Y (1, 200), and the network 2-1
m = 200
Y = np.repeat([[0.0, 1.0]], m // 2, axis=1).reshape(1, m)
X = rng.normal(size=(2, m)) + np.where(Y == 1, 1.0, -1.0)
net = jaxmlp.Network((2, 1), output="sigmoid")
params, costs = descend(jaxmlp.init_numpy(net, initializer="zeros"), X, Y, net, 1.0, 500)
w, b = np.asarray(params[0]["W"]), np.asarray(params[0]["b"])

# Newton's method on the same cost, w and b in one vector with x0 = 1: no network anywhere
theta, X1 = np.zeros(3), np.vstack([np.ones(m), X])
for _ in range(20):
    a = 1 / (1 + np.exp(-theta @ X1))
    theta -= np.linalg.solve((X1 * a * (1 - a)) @ X1.T, X1 @ (a - Y[0]))
newton_gap = np.abs(theta - np.r_[b[0], w[0]]).max()

# %% a bias, or a row of ones in X: two ways to write one model
J, dparams = jaxmlp.backprop(params, X, Y, net)
dtheta = X1 @ (1 / (1 + np.exp(-(np.r_[b[0], w[0]] @ X1))) - Y[0]) / m
x0_gap = np.abs(dtheta - np.r_[dparams[0]["b"][0], dparams[0]["W"][0]]).max()

# %% linear regression is a network too: the identity at the output, and the quadratic cost
line = jaxmlp.Network((2, 1), output="identity")
target = 3 * X[:1] - 2 * X[1:] + 1 + 0.1 * rng.normal(size=(1, m))
fitted, _ = descend(jaxmlp.init_numpy(line), X, target, line, 0.3, 500)
solution = np.linalg.lstsq(X1.T, target[0], rcond=None)[0]
lstsq_gap = np.abs(solution - np.r_[fitted[0]["b"][0], fitted[0]["W"][0]]).max()

# %% the loss of one example, the cost of all, and one step of gradient descent
losses = jaxmlp.trace(params, X, net, Y)[-1]["losses"]
singles = np.asarray(jaxmlp.example_gradients(params, X, Y, net)[0]["W"])  # (m, 1, 2)
mean_gap = np.abs(singles.mean(axis=0) - dparams[0]["W"]).max()
by_hand = jax.tree.map(lambda p, dp: p - 0.1 * dp, params, dparams)
one_step, _ = descend(params, X, Y, net, 0.1, 1)
step_gap = max(jax.tree.leaves(jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), by_hand, one_step)))

# %% where derivatives come from: a graph of three operations, J = 3 (a + b c), forward and backward
graph = jax.make_jaxpr(lambda a, b, c: 3 * (a + b * c))(5.0, 3.0, 2.0)
print(graph)
J_graph, derivatives = jax.value_and_grad(lambda a, b, c: 3 * (a + b * c), argnums=(0, 1, 2))(5.0, 3.0, 2.0)
derivatives = [float(d) for d in derivatives]

with picture("logistic_regression.png", 2) as (left, right):
    jaxmlp.plots.draw_costs(left, {"α = 1": np.asarray(costs[:60])})
    jaxmlp.plots.draw_boundary(right, params, net, X, Y.astype(int))

# %% What was claimed
# fmt: off
claim("0.1", TRUE, "Logistic and linear regression are networks of one layer; the input layer is not counted",
      f"{newton_gap:.0e} from Newton's method, {lstsq_gap:.0e} from least squares",
      max(newton_gap, lstsq_gap) < 1e-6 and net.depth == 1)
claim("4.1", TRUE,
      "Training makes the deviation from the targets small, as least squares does: a linear network finds its solution",
      f"{lstsq_gap:.0e}", lstsq_gap < 1e-6)
claim("2.4", TRUE, "A bias b and a constant input x0 = 1 are the same model", f"gradients differ by {x0_gap:.0e}",
      x0_gap < 1e-14)
claim("2.5", TRUE, "The cost J is the mean of the losses of the examples",
      f"{abs(float(losses.mean() - J)):.0e}", abs(losses.mean() - J) < 1e-15)
claim("4.8", TRUE, "Loss is of one example, cost of many; both can be had",
      f"losses {losses.shape}, cost {J.shape}", losses.shape == (1, m) and J.shape == ())
claim("2.6", TRUE, "Gradient descent: w ← w - α ∂J/∂w and b ← b - α ∂J/∂b", f"{step_gap:.0e} from one step by hand",
      step_gap < 1e-15)
claim("2.7", TRUE, "Derivatives follow from the graph of operations: J = 3 (a + b c) at 5, 3, 2",
      f"J = {J_graph:g}, dJ = {derivatives}, {len(graph.eqns)} operations",
      derivatives == [3.0, 6.0, 9.0] and J_graph == 33)
claim("2.9", TRUE, "The gradient of m examples is the average of their gradients", f"{mean_gap:.0e}", mean_gap < 1e-15)
claim("E32", "WRONG → it is their mean", "The gradient of m examples is the sum of the single gradients",
      f"the sum is {m} times the gradient", np.allclose(singles.sum(axis=0), m * dparams[0]["W"]))
claim("E9", "WRONG → from 1 to m", "The cost sums from i = 0 to m",
      f"m + 1 = {len(range(m + 1))} terms for {m} examples",
      len(range(m + 1)) != m and np.isclose(sum(losses[0, i] for i in range(m)) / m, J))
