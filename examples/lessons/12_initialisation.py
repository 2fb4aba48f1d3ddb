"""12. Initial weights: zeros never learn, and the right scale depends on the layer.

    python examples/lessons/12_initialisation.py [--fast]

Units that start equal stay equal. Units that start too large are flat, units that start too small pass nothing on.
Variances 1/n, 2/(n_in + n_out) and 2/n keep the signal at its size from layer to layer.
"""

import jax
import jax.numpy as jnp
import numpy as np
from course import TRUE, claim, columns, descend, picture, start

import jaxmlp
from jaxmlp.nn import initializers

fast = start(__doc__)
X, Y = columns("planar")
y = Y.astype(float)
net = jaxmlp.Network((2, 4, 1), "tanh", "sigmoid")

# %% zeros, a constant, small random numbers: the rank of W1 after 500 steps
ranks, after = {}, {}
for name in ("zeros", "constant(0.5)", "normal(0.01)"):
    params = jaxmlp.init(jax.random.key(0), net, name)
    after[name], _ = descend(params, X, y, net, 1.2, 500)
    singular = np.linalg.svd(after[name][0]["W"], compute_uv=False)
    ranks[name] = int((singular > 1e-9).sum())
still_zero = float(jnp.abs(after["zeros"][0]["W"]).max())
relu_net = jaxmlp.Network((3, 4, 1), "relu", "sigmoid")
drawn = jaxmlp.init(jax.random.key(0), relu_net)
full_rank, bias = int(np.linalg.matrix_rank(drawn[0]["W"])), float(jnp.abs(drawn[0]["b"]).max())
rows_equal = float(jnp.abs(after["constant(0.5)"][0]["W"] - after["constant(0.5)"][0]["W"][0]).max())

# %% without α: W ← W - dW is the rate 1, whatever the problem wants
start_params = jaxmlp.init_numpy(net, 2, "normal(0.01)")
_, with_rate = descend(start_params, X, y, net, 0.1, 300)
steep = jaxmlp.init(jax.random.key(0), net, "normal(0.01)")
_, without_rate = descend(steep, 10 * X, y, net, 1.0, 300)
_, small_rate = descend(steep, 10 * X, y, net, 0.01, 300)
roughness = [float(np.abs(np.diff(np.asarray(c))).sum()) for c in (without_rate, small_rate)]

# %% scales from 0.01 to 10: sigmoid and tanh start slowly when z is large
scales = (0.01, 0.1, 1.0, 10.0)
n_steps = 300 if fast else 2000
curves = {}
for scale in scales:
    _, costs = descend(jaxmlp.init(jax.random.key(1), net, f"normal({scale})"), X, y, net, 1.2, n_steps)
    curves[f"scale {scale:g}"] = np.asarray(costs)
slope_at_start = {}
for scale in scales:
    steps = jaxmlp.trace(jaxmlp.init(jax.random.key(1), net, f"normal({scale})"), X, net)
    slope_at_start[scale] = float((1 - steps[0]["A"] ** 2).mean())

# %% the variance of every initializer, against its theory
theory = {}
for name in ("lecun_normal", "xavier_normal", "xavier_uniform", "he_normal", "he_uniform"):
    record = initializers.find(name)
    W = record.draw(jax.random.key(2), (500, 400), 400, 500, jnp.float64)
    theory[name] = float(W.var()) / record.variance(400, 500)

# %% ten layers of 100: the variance of A forward and of dA backward
wide = jaxmlp.Network((100, *[100] * 10, 1), "tanh", "identity")
reluwide = jaxmlp.Network((100, *[100] * 10, 1), "relu", "identity")
rng = np.random.default_rng(0)
Xw, Yw = rng.normal(size=(100, 200)), rng.normal(size=(1, 200))
signal = {}
for g, network in (("tanh", wide), ("relu", reluwide)):
    for name in ("normal(0.01)", "lecun_normal", "xavier_normal", "he_normal", "normal(0.5)"):
        steps = jaxmlp.trace(jaxmlp.init_numpy(network, 1, name), Xw, network, Yw)  # no program to compile
        signal[g, name] = (
            float((steps[9]["A"] ** 2).mean()),
            float(jnp.linalg.norm(steps[0]["dZ"]) / jnp.linalg.norm(steps[9]["dZ"])),
        )
        print(f"{g:5} {name:14} mean square of A10 {signal[g, name][0]:.1e}, ‖dZ1‖/‖dZ10‖ {signal[g, name][1]:.1e}")

with picture("scales.png", 1, size=(4.6, 3.2)) as (axes,):
    jaxmlp.plots.draw_costs(axes, curves, logarithmic=True)

# %% What was claimed
# fmt: off
claim("0.14", TRUE, "All W zero fails; W must be random, b may be 0",
      f"after 500 steps W1 of zeros is {still_zero:g}, a constant has rank {ranks['constant(0.5)']}, random {ranks['normal(0.01)']}; random W1 of 3-4-1 rank {full_rank}, b {bias:g}",
      still_zero == 0 and ranks["constant(0.5)"] == 1 and ranks["normal(0.01)"] == 2 and full_rank == 3 and bias == 0)
claim("2.24", TRUE,
      "Equal units stay equal; randn * 0.01 breaks the symmetry; large W starts slowly with tanh and sigmoid",
      f"rows of W1 differ by {rows_equal:.0e}; mean slope at scales 0.01 to 10: {[round(s, 3) for s in slope_at_start.values()]}",
      rows_equal < 1e-12 and slope_at_start[10.0] < 0.1 < 0.9 < slope_at_start[0.01])
claim("E33", "WRONG → W ← W - α dW", "The update is printed W ← W - dW",
      f"with α = 1 on inputs ten times as large the cost moves {roughness[0]:.1f} up and down in 300 steps, with 0.01 {roughness[1]:.2f}",
      roughness[0] > 3 * roughness[1])
claim("E34", "WRONG → zeros of shape (n, 1)", "b2 = 0 as a number", f"b2 has shape {drawn[1]['b'].shape}",
      drawn[1]["b"].shape == (1, 1))
claim("1.33", TRUE, "How to initialise: random, with a variance that keeps the signal",
      f"tanh: A10 is {signal['tanh', 'normal(0.01)'][0]:.0e} at 0.01 and {signal['tanh', 'xavier_normal'][0]:.2f} with Xavier; relu with He {signal['relu', 'he_normal'][0]:.2f}, Xavier {signal['relu', 'xavier_normal'][0]:.0e}",
      signal["tanh", "normal(0.01)"][0] < 1e-15 and signal["tanh", "xavier_normal"][0] > 0.02 and signal["relu", "he_normal"][0] > 10 * signal["relu", "xavier_normal"][0])
claim("1.36", TRUE, "Xavier, LeCun and He have the variances 2/(n_in + n_out), 1/n_in and 2/n_in",
      "measured/theory " + ", ".join(f"{name} {ratio:.3f}" for name, ratio in theory.items()),
      all(abs(ratio - 1) < 0.02 for ratio in theory.values()))
