"""21. Step sizes: how far to go, and on how many examples.

    python examples/lessons/21_step_sizes.py [--fast]

Too small a rate wastes steps, too large a rate diverges. A method can choose it at every step: line search (Armijo) halves
it until the cost falls by enough, Barzilai-Borwein takes α = sᵀs / sᵀd from the last step s and the change d of the
gradient, a schedule lowers it with time, and Adam has one for each parameter. The gradient of a few examples is a cheap
estimate of that of all m: many rough steps often end lower than a few exact ones.
"""

import jax
import numpy as np
from course import TRUE, claim, columns, descend, picture, start

import jaxmlp

fast = start(__doc__)
X, Y = columns("moons")
y = Y.astype(float)
net = jaxmlp.Network((2, 8, 1), "tanh", "sigmoid")
params = jaxmlp.init(jax.random.key(1), net)

# %% step sizes that adapt, on a narrow valley
A = np.diag([1.0, 50.0])


def valley(name, steps=60):
    """‖w‖ of each step of a method on 1/2 wᵀAw."""
    w, norms, previous = np.array([1.0, 1.0]), [], None
    for _ in range(steps):
        norms.append(float(np.linalg.norm(w)))
        g = A @ w
        if name == "Armijo":  # halve until the cost falls by at least a quarter of what the slope promises
            rate = 1.0
            while (w - rate * g) @ A @ (w - rate * g) / 2 > w @ A @ w / 2 - 0.25 * rate * g @ g:
                rate /= 2
        elif name == "Barzilai-Borwein" and previous is not None:
            s, d = w - previous[0], g - previous[1]
            rate = s @ s / max(s @ d, 1e-300)
        else:
            rate = 0.03
        previous = w, g
        w = w - rate * g
    return norms


valleys = {name: valley(name) for name in ("constant", "Armijo", "Barzilai-Borwein")}

# %% the same question on a network: a constant rate, a schedule, and optimizers that choose
plain = {"optimizer": "sgd", "learning_rate": 0.5}
methods = {
    "constant": plain,
    "cosine": {**plain, "schedule": "cosine"},
    "Adam": {"optimizer": "adam"},
    "L-BFGS": {"optimizer": "lbfgs"},
}
schedules = {}
for name, options in methods.items():
    result = jaxmlp.fit(net, (X.T, Y[0]), epochs=100 if fast else 500, batch_size="full", **options)
    schedules[name] = float(jaxmlp.cost(result.params, X, y, net))

# %% learning rates, and batches
rates = {}
for rate in (0.001, 0.5, 300.0):
    _, costs = descend(params, X, y, net, rate, 300)
    rates[f"α = {rate:g}"] = np.asarray(costs)
batches = {}
for size in (1, 30, "full"):
    result = jaxmlp.fit(net, (X.T, Y[0]), optimizer="sgd", learning_rate=0.1, epochs=5 if fast else 20, batch_size=size)
    batches[size] = float(jaxmlp.cost(result.params, X, y, net))

with picture("step_sizes.png", 2) as (left, right):
    jaxmlp.plots.draw_costs(left, rates, logarithmic=True)
    left.set(title="three rates on moons", ylim=(0.2, 1e5))  # room for the legend
    left.legend(fontsize=8, loc="upper right")
    jaxmlp.plots.draw_costs(right, valleys, logarithmic=True)
    right.set(ylabel="‖w‖", title="a narrow valley")

# %% What was claimed
# fmt: off
claim("1.31", TRUE, "Dynamic step sizes: line search, Barzilai-Borwein, schedules, Adam",
      "‖w‖ after 60 steps: " + ", ".join(f"{n} {v[-1]:.0e}" for n, v in valleys.items()) + "; cost on moons: " + ", ".join(f"{n} {v:.3f}" for n, v in schedules.items()),
      valleys["Barzilai-Borwein"][-1] < 1e-6 < valleys["constant"][-1] and schedules["L-BFGS"] < schedules["constant"])
claim("4.22", TRUE, "Too small a rate is slow, too large diverges; a cost may be badly chosen; depth matters",
      "cost after 300 steps: " + ", ".join(f"{n}: {c[-1]:.3f}" for n, c in rates.items()),
      rates["α = 0.5"][-1] < rates["α = 0.001"][-1] and rates["α = 300"][-1] > rates["α = 300"][0])
claim("5.7", TRUE, "Stochastic gradient descent: single examples or small batches in place of all",
      "cost after the same epochs: " + ", ".join(f"batch {n} {v:.3f}" for n, v in batches.items()),
      batches[1] < batches["full"])
