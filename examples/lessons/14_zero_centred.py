"""14. Activations that are always positive: gradients of one sign, and the zig-zag.

    python examples/lessons/14_zero_centred.py [--fast]

∂c/∂w_jk = δ_j a_k. If every a_k is positive, all weights into a unit are pushed up together or down together by one
example. The way to an optimum that wants one weight up and the other down is then a zig-zag.
"""

import jax
import jax.numpy as jnp
import numpy as np
from course import TRUE, claim, listed, picture, start

import jaxmlp

fast = start(__doc__)
rng = np.random.default_rng(0)
X, Y = rng.normal(size=(8, 100)), rng.integers(0, 2, (1, 100)).astype(float)


# %% the share of units whose incoming weights all get a gradient of one sign
def one_sign(rows):
    """The fraction of rows without a change of sign; rows of zeros are left out."""
    rows = rows[np.abs(rows).max(axis=1) > 0]
    return float(np.mean([(row >= 0).all() or (row <= 0).all() for row in rows]))


shares, batch_shares = {}, {}
for g in ("sigmoid", "relu", "tanh", "leaky_relu(0.1)"):
    net = jaxmlp.Network((8, 10, 10, 1), g, "sigmoid")
    params = jaxmlp.init(jax.random.key(0), net)
    singles = np.asarray(jaxmlp.example_gradients(params, X, Y, net)[1]["W"])
    shares[g] = one_sign(singles.reshape(-1, 10))
    batch_shares[g] = one_sign(singles.mean(axis=0))
    print(f"{g:16} one sign: {shares[g]:.2f} of single examples, {batch_shares[g]:.2f} of the batch")


# %% two weights: inputs all positive, and the same inputs with their mean subtracted
def path(A, rate, steps):
    """Single-example gradient descent of 1/2 (w a - y)² from (0, 0), in turn over the examples."""
    goal, w, points = np.array([1.0, -1.0]), np.zeros(2), [np.zeros(2)]
    for i in range(steps):
        a = A[:, i % A.shape[1]]
        w = w - rate * (w @ a - goal @ a) * a
        points.append(w)
    return np.array(points)


positive = rng.uniform(0.2, 1.2, size=(2, 40))
centred = positive - positive.mean(axis=1, keepdims=True)
centred *= np.sqrt((positive**2).mean() / (centred**2).mean())  # of the same size
n_steps = 400
paths = {"positive inputs": path(positive, 0.5, n_steps), "centred inputs": path(centred, 0.5, n_steps)}


def detour(points):
    """The length of the path to the goal, until it is within 5 %, divided by the straight way; and the steps."""
    near = np.linalg.norm(points - [1, -1], axis=1) < 0.05 * np.sqrt(2)
    end = int(near.argmax()) if near.any() else len(points) - 1
    return float(np.linalg.norm(np.diff(points[: end + 1], axis=0), axis=1).sum() / np.sqrt(2)), end


long_way, slow = detour(paths["positive inputs"])
short_way, quick = detour(paths["centred inputs"])


def cost(u, v):
    """The mean cost of the positive inputs at (u, v)."""
    return 0.5 * sum(((u - 1) * a + (v + 1) * b) ** 2 for a, b in positive.T) / positive.shape[1]


with picture("zigzag.png", 1, size=(4.4, 3.6)) as (axes,):
    jaxmlp.plots.draw_paths(axes, cost, {name: points[:120] for name, points in paths.items()})
    axes.set(xlabel="w₁", ylabel="w₂")

# %% means of what a layer passes on
net_means = {
    g: float(jnp.mean(jaxmlp.trace(jaxmlp.init(jax.random.key(0), n), X, n)[0]["A"]))
    for g, n in ((g, jaxmlp.Network((8, 10, 1), g, "sigmoid")) for g in ("sigmoid", "tanh"))
}

# %% What was claimed
# fmt: off
claim("1.15", TRUE, "Where inputs are positive, the weights into a unit get gradients of one sign",
      f"share of units, one example at a time: {listed(shares)}",
      shares["sigmoid"] == shares["relu"] == 1 and shares["tanh"] < 0.1)
claim("E25", "TRUE IF one example at a time", "δ is fixed for a unit, so all its gradients have one sign",
      f"of the mean over 100 examples: {listed(batch_shares)}",
      batch_shares["sigmoid"] < 1 and shares["sigmoid"] == 1)
claim("1.16", TRUE, "Gradients of one sign make a zig-zag, and convergence slower",
      f"{slow} steps and {long_way:.2f} times the straight way; with centred inputs {quick} steps and {short_way:.2f}",
      slow > 2 * quick and long_way > short_way)
