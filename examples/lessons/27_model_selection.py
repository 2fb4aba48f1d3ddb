"""27. Which network? Depth and width by validation, the one-standard-error rule, L2 and dropout.

    python examples/lessons/27_model_selection.py [--fast]

More layers fit the training part better; whether they predict better is a question for rows that did not train. Among
settings that differ less than their own scatter, the smallest network is the one to take.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from course import TRUE, claim, listed, picture, start

import jaxmlp

fast = start(__doc__)
data = jaxmlp.load("moons")
folds, n_epochs = (3, 150) if fast else (5, 400)

# %% depth and width, each by cross-validation
table = {}
for hidden in ((), (4,), (16,), (16, 16), (16, 16, 16, 16)) if not fast else ((), (16,), (16, 16, 16)):
    net = jaxmlp.network_for(data, hidden=hidden, activation="tanh")
    population = jaxmlp.fit_many(net, data, folds=folds, epochs=n_epochs, batch_size="full", learning_rate=0.02)
    row = population.leaderboard[0]
    error = row.spread / np.sqrt(folds)
    training = float(np.mean([member.curves.cost[-1] for member in population.members]))
    table[hidden] = row.mean, error, training, net.n_parameters
    print(
        f"{hidden!s:18} {net.n_parameters:5} parameters, training cost {training:.3f}, validation {row.mean:.3f} ± {error:.3f}"
    )
best = min(table, key=lambda hidden: table[hidden][0])
bound = table[best][0] + table[best][1]
chosen = min((hidden for hidden in table if table[hidden][0] <= bound), key=lambda hidden: table[hidden][3])
deepest = max(table, key=len)

# %% penalties and dropout, on few rows
small = jaxmlp.Dataset.from_arrays(
    data.train.rows[:40], data.train.targets[:40], validation=(data.train.rows[40:], data.train.targets[40:])
)
net = jaxmlp.network_for(small, hidden=(32, 32))
scores = {}
for name, objective in {"none": None, "L2": jaxmlp.Objective(l2=1.0), "dropout": jaxmlp.Objective(dropout=0.3)}.items():
    result = jaxmlp.fit(net, small, epochs=n_epochs, batch_size="full", learning_rate=0.01, objective=objective)
    scores[name] = result.history[-1].cost, result.history[-1].validation_cost
    print(f"{name:8} training cost {scores[name][0]:.3f}, validation cost {scores[name][1]:.3f}")

# %% dropout: units are scaled by 1/keep, so that the expectation stays
one = jaxmlp.Network((1, 1000, 1), "relu", "identity")
params = (
    {"W": jnp.ones((1000, 1)), "b": jnp.zeros((1000, 1))},
    {"W": jnp.ones((1, 1000)) / 1000, "b": jnp.zeros((1, 1))},
)
objective = jaxmlp.Objective(dropout=0.4)
keys = jax.random.split(jax.random.key(0), 200)
X, Y = jnp.ones((1, 1)), jnp.zeros((1, 1))
noisy = jax.vmap(lambda key: jaxmlp.cost(params, X, Y, one, objective, None, key))(keys)  # 1/2 a²
mean_output = float(jnp.sqrt(2 * noisy).mean())
key = keys[0]
fixed = jax.grad(jaxmlp.cost)(params, X, Y, one, objective, None, key)
_, by_loop = jaxmlp.backprop(params, X, Y, one, objective, None, key)
mask_gap = max(float(jnp.abs(a - b).max()) for a, b in zip(*map(jax.tree.leaves, (fixed, by_loop)), strict=True))
dropped = float((by_loop[1]["W"] == 0).mean())

# %% parameters are found by training, hyper-parameters by a person or by a search
grid = jaxmlp.fit_many(
    jaxmlp.network_for(data, hidden=(8,)),
    data.split_validation(0.2),
    grid={"learning_rate": [1e-4, 0.01], "l2": [0.0, 1.0]},
    epochs=60 if fast else 200,
)
config = dataclasses.fields(jaxmlp.TrainConfig)

with picture("model_selection.png", 1, size=(4.4, 3.0)) as (axes,):
    names = ["-".join(map(str, hidden)) or "none" for hidden in table]
    axes.errorbar(
        names,
        [row[0] for row in table.values()],
        [row[1] for row in table.values()],
        marker="o",
        capsize=3,
        label="validation",
    )
    axes.plot(names, [row[2] for row in table.values()], marker=".", linestyle="--", label="training")
    axes.axhline(bound, color="black", linewidth=0.6)
    axes.set(xlabel="hidden units", ylabel="cost")
    axes.legend()

# %% What was claimed
# fmt: off
summary = ", ".join(f"{'-'.join(map(str, h)) or 'none'} {row[0]:.3f} ± {row[1]:.3f}" for h, row in table.items())
claim("3.3", TRUE, "Occam: take the smallest network that is good enough; large ones overfit",
      f"validation cost {summary}: within one standard error of the best the smallest is {chosen}",
      table[chosen][3] <= table[best][3] and table[deepest][2] < table[()][2])
claim("E43", "TRUE IF measured on the training part", "More hidden layers give higher accuracy",
      f"training cost falls from {table[()][2]:.3f} to {table[deepest][2]:.3f}; validation {table[deepest][0]:.3f} at the deepest, {table[best][0]:.3f} at {best}",
      table[deepest][2] < table[()][2] and table[deepest][0] > table[deepest][2])
claim("1.34", TRUE, "Dropout sets units to 0 and scales the rest",
      f"mean output {mean_output:.3f} of 1 with 40 % dropped; with a fixed mask both gradients agree to {mask_gap:.0e}, {dropped:.0%} of units dropped; validation cost {scores['none'][1]:.2f} → {scores['dropout'][1]:.2f}",
      abs(mean_output - 1) < 0.02 and mask_gap < 1e-15 and 0.3 < dropped < 0.5)
claim("2.31", TRUE, "W and b are parameters; α, iterations, L, n, g are hyper-parameters",
      f"{len(config)} options in TrainConfig, {len(grid.leaderboard)} settings searched, best {listed(grid.leaderboard[0].numbers)}",
      len(grid.leaderboard) == 4 and grid.leaderboard[0].numbers["learning_rate"] == 0.01)
