"""15. Dead units: when a relu answers 0 to everything, and how it can come back.

    python examples/lessons/15_dead_units.py [--fast]

A relu with z < 0 on every example has no gradient, so its own weights stay. They stay for good only if its inputs
stay too: in a deeper layer the inputs are other units, which go on learning.
"""

import jax
import jax.numpy as jnp
import numpy as np
from course import TRUE, claim, columns, descend, start

import jaxmlp

fast = start(__doc__)
X, Y = columns("moons")
y = Y.astype(float)


def dead(params, net, l):
    """The units of layer l that are 0 on every example."""
    return np.asarray((jaxmlp.trace(params, X, net)[l - 1]["A"] == 0).all(axis=1))


# %% too large a rate kills units of the first layer, and there they stay dead
net = jaxmlp.Network((2, 30, 1), "relu", "sigmoid")
params = jaxmlp.init(jax.random.key(0), net)
killed = ({"W": params[0]["W"], "b": params[0]["b"].at[:25].set(-20.0)}, params[1])
frozen, _ = descend(killed, X, y, net, 0.3, 200)
first_before, first_after = dead(killed, net, 1), dead(frozen, net, 1)
moved = float(jnp.abs(frozen[0]["W"][:25] - killed[0]["W"][:25]).max())
leaky_net = jaxmlp.Network((2, 30, 1), "leaky_relu(0.01)", "sigmoid")
leaky, _ = descend(killed, X, y, leaky_net, 0.3, 200)
leaky_moved = float(jnp.abs(leaky[0]["W"][:25] - killed[0]["W"][:25]).min(axis=1).max())
diagnosis = jaxmlp.diagnose(killed, X, y, net)
print(diagnosis)

# %% in the second layer a dead unit revives, because its inputs change
deep = jaxmlp.Network((2, 8, 8, 1), "relu", "sigmoid")
revived, key = 0, 0
for key in range(20 if fast else 60):
    theta = jaxmlp.init(jax.random.key(key), deep)
    theta = (theta[0], {"W": theta[1]["W"], "b": theta[1]["b"] - 0.4}, theta[2])
    before = dead(theta, deep, 2)
    if not before.any() or before.all():
        continue
    trained, _ = descend(theta, X, y, deep, 0.3, 500)
    revived += int((before & ~dead(trained, deep, 2)).sum())
print(f"{revived} dead units of layer 2 were alive after training, in {key + 1} networks")

# %% none of the outputs is right for a value that must not be negative, if the unit is dead
values = np.abs(X[:1]) + 0.5
output_net = jaxmlp.Network((2, 1), output="relu")
born_dead = ({"W": jnp.zeros((1, 2)), "b": jnp.full((1, 1), -1.0)},)
stuck, stuck_costs = descend(born_dead, X, values, output_net, 0.3, 300)
softplus_net = jaxmlp.Network((2, 1), output="softplus")
learned, learned_costs = descend(born_dead, X, values, softplus_net, 0.3, 300)

# %% What was claimed
# fmt: off
claim("0.11", TRUE, "relu is 0 with derivative 0 for z < 0",
      f"25 of 30 units pushed below 0 are dead: {int(first_before.sum())}; their weights move by {moved:g} in 200 steps",
      first_before[:25].all() and moved == 0)
claim("1.22", TRUE, "A dead relu gives no information and gets no gradient",
      f"{int((first_before & first_after).sum())} of {int(first_before.sum())} still dead after 200 steps; leaky relu moves by {leaky_moved:.0e}; diagnose: {diagnosis.findings[0].name}",
      (first_before & first_after)[:25].all() and leaky_moved > 0 and any("dead" in finding.name for finding in diagnosis.findings))
claim("E17", "TRUE IF its inputs never change", "A dead unit is dead forever",
      f"{revived} dead units of a second layer came back while the first layer learned", revived > 0)
claim("E49", "TRUE IF z > 0 on some row", "relu fits an output that is never negative",
      f"born with z < 0 its cost stays {float(stuck_costs[-1]):.3f}; softplus reaches {float(learned_costs[-1]):.3f}",
      float(stuck_costs[-1]) == float(stuck_costs[0]) and learned_costs[-1] < 0.5 * learned_costs[0])
