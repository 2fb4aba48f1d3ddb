"""3. Likelihood: why the cost is minus a logarithm.

    python examples/lessons/03_likelihood.py [--fast]

Which fraction p of white balls makes what was drawn from an urn most probable? The same question gives logistic
regression its cost. The probability of a label is a for y = 1 and 1 - a for y = 0. For m independent examples these are
multiplied. The logarithm makes a sum of the product, and the mean of its terms, with the other sign, is the
cross-entropy J = -1/m Σ (y ln a + (1 - y) ln(1 - a)).
"""

from math import comb

import jax
import jax.numpy as jnp
import numpy as np
from course import TRUE, claim, columns, descend, picture, start

import jaxmlp

start(__doc__)

# %% an urn: seven black balls and three white ones were drawn, each put back
log_probability = jax.grad(lambda p: 3 * jnp.log(p) + 7 * jnp.log(1 - p))
p = 0.5
for _ in range(200):
    p += 0.01 * float(log_probability(p))  # gradient ascent
slope = float(jax.grad(lambda p: p**3 * (1 - p) ** 7)(0.3))
grid = np.linspace(0, 1, 1001)
one_order = grid**3 * (1 - grid) ** 7

# %% the ten balls can come in C(10, 3) orders, each with this probability: a factor that does not move the maximum
any_order = comb(10, 3) * one_order
total = sum(comb(10, k) * 0.3**k * 0.7 ** (10 - k) for k in range(11))

# %% logistic regression on moons: the likelihood of all labels, and the cost
X, Y = columns("moons")
y, m = Y.astype(float), Y.shape[1]
net = jaxmlp.Network((2, 1), output="sigmoid")
params, costs = descend(jaxmlp.init_numpy(net, initializer="zeros"), X, y, net, 0.5, 200)
A = np.asarray(jaxmlp.forward(params, X, net))
log_likelihood = np.log(np.where(Y == 1, A, 1 - A)).sum()
J = float(jaxmlp.cost(params, X, y, net))

with picture("urn.png", 2) as (left, right):
    left.plot(grid, one_order / one_order.max(), color=jaxmlp.plots.TRAINING)
    left.axvline(0.3, color=jaxmlp.plots.VALIDATION)
    left.set(xlabel="fraction p of white balls", ylabel="likelihood (maximum 1)", title="7 black, 3 white")
    inside = grid[5:-5]
    right.plot(inside, -np.log(inside), color=jaxmlp.plots.TRAINING, label="y = 1: -ln a")
    right.plot(inside, -np.log(1 - inside), color=jaxmlp.plots.VALIDATION, label="y = 0: -ln(1 - a)")
    right.set(xlabel="output a", ylabel="loss", title="the loss of one example")
    right.legend(fontsize=8)

# %% What was claimed
# fmt: off
claim("4.25", TRUE, "Maximum likelihood: 3 white of 10 make p = 0.3 the most probable fraction",
      f"gradient ascent ends at {p:.6f}, slope at 0.3: {slope:.0e}",
      abs(p - 0.3) < 1e-6 and abs(slope) < 1e-15 and grid[one_order.argmax()] == 0.3)
claim("E41", "WRONG → times C(10, 3); the maximum stays", "p³(1-p)⁷ is the probability of 7 black and 3 white balls",
      f"it is that of one of {comb(10, 3)} orders; with the factor the probabilities sum to {total:.12g}",
      abs(total - 1) < 1e-12 and any_order.argmax() == one_order.argmax())
claim("4.26", TRUE,
      "With independent examples -m J is the logarithm of the likelihood, so the least cost is the greatest likelihood",
      f"{abs(log_likelihood + m * J):.0e}", abs(log_likelihood + m * J) < 1e-10 and costs[-1] < costs[0])
