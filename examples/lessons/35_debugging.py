"""35. Debugging: a network with a mistake runs, learns a little, and raises no error.

    python examples/lessons/35_debugging.py [--fast]

A wrong derivative has the right shape. The cost still falls, only worse, and nothing says why. Three tools do:
`verify_numpy` compares your backward pass with autodiff and names the mistake, `diagnose` names what is unhealthy in
a network, and `verify` checks this package itself on your machine.
"""

import jax
import numpy as np
from course import TRUE, claim, columns, picture, start

import jaxmlp

fast = start(__doc__)
X, Y = columns("moons")
y = Y.astype(float)
net = jaxmlp.Network((2, 5, 1), "tanh", "sigmoid")


def backward(params, X, Y, square=True):
    """The course's gradients; without `square` tanh' is 1 - A, a mistake."""
    m = X.shape[1]
    A1 = np.tanh(params["W1"] @ X + params["b1"])
    A2 = 1 / (1 + np.exp(-(params["W2"] @ A1 + params["b2"])))
    dZ2 = A2 - Y
    dZ1 = params["W2"].T @ dZ2 * (1 - (A1**2 if square else A1))
    return {"dW1": dZ1 @ X.T / m, "db1": dZ1.sum(axis=1, keepdims=True) / m,
            "dW2": dZ2 @ A1.T / m, "db2": dZ2.sum(axis=1, keepdims=True) / m}  # fmt: skip


def train(function, steps):
    """The costs of a NumPy loop with these gradients."""
    params, costs = {key: np.asarray(leaf) for key, leaf in jaxmlp.params_to_dict(jaxmlp.init_numpy(net)).items()}, []
    for _ in range(steps):
        costs.append(float(jaxmlp.cost(jaxmlp.params_from_dict(params), X, y, net)))
        gradient = function(params, X, y)
        params = {key: value - 0.5 * gradient[f"d{key}"] for key, value in params.items()}
    return costs


def mistaken(params, X, Y):
    """The same with the mistake."""
    return backward(params, X, Y, square=False)


steps = 150 if fast else 600
right, wrong = train(backward, steps), train(mistaken, steps)
verdict = jaxmlp.verify_numpy(mistaken, net=net)
print(verdict)
fine = jaxmlp.verify_numpy(backward, net=net)
named = str(verdict).splitlines()[-1]
deep = jaxmlp.Network((2, *[8] * 8, 1), "sigmoid", "sigmoid")
unhealthy = jaxmlp.diagnose(jaxmlp.init(jax.random.key(0), deep, "normal(0.1)"), X, y, deep)
with picture("mistake.png", 1, size=(4.2, 2.8)) as (axes,):
    jaxmlp.plots.draw_costs(axes, {"correct": right, "tanh' = 1 - a": wrong})

# %% What was claimed
# fmt: off
claim("4.23", TRUE, "Networks are hard to debug: a mistake raises no error, the result is only worse",
      f"with a wrong tanh' the cost falls too, {wrong[0]:.3f} → {wrong[-1]:.3f} (right: {right[-1]:.3f}); verify_numpy: {named}; diagnose: {unhealthy.findings[0].name}",
      wrong[-1] < wrong[0] and right[-1] < wrong[-1] and not verdict.passed and fine.passed and "square missing" in named and unhealthy.findings)
