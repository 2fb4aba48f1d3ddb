"""22. Which activation is best? Three data sets, ten seeds, and the same network for all.

    python examples/lessons/22_activations_compared.py [--fast]

"Always better" is a claim about every case, so one case is enough against it; "usually better" needs seeds. Each
activation has the initial weights that suit it, and the same Adam.
"""

import jax
import jax.numpy as jnp
import numpy as np
from course import TRUE, claim, listed, picture, start

import jaxmlp

fast = start(__doc__)
NAMES = ("sigmoid", "tanh", "relu", "leaky_relu(0.01)", "elu(1.0)", "gelu", "silu")
SETS = ("moons", "circles", "spirals")
seeds, n_epochs = (3, 150) if fast else (10, 300)


def costs_of(g, name, hidden=(16, 16), optimizer="adam", rate=0.02, epochs=n_epochs):
    """The costs (seeds, epochs) of equal networks that differ in their seed, trained together on the whole batch."""
    data = jaxmlp.load(name)
    net = jaxmlp.network_for(data, hidden=hidden, activation=g)
    population = jaxmlp.fit_many(
        net,
        data,
        seeds=seeds,
        epochs=epochs,
        batch_size="full",
        optimizer=optimizer,
        learning_rate=rate,
        strategy="vmap",
    )
    return np.array([member.curves.cost for member in population.members])


# %% median epochs to a cost, and the last cost
TARGET = {"moons": 0.2, "circles": 0.4, "spirals": 0.5}
epochs, curves, last = {}, {}, {}
for name in SETS:
    for g in NAMES if name == "spirals" else NAMES[:3]:
        costs = costs_of(g, name)
        reached = np.where((costs < TARGET[name]).any(axis=1), (costs < TARGET[name]).argmax(axis=1), n_epochs)
        epochs[name, g], last[name, g] = float(np.median(reached)), float(np.median(costs[:, -1]))
        curves[name, g] = np.median(costs, axis=0)
    print(name, {g: epochs[name, g] for g in NAMES if (name, g) in epochs})
tanh_wins = sum(epochs[name, "tanh"] < epochs[name, "sigmoid"] for name in SETS)
relu_wins = {g: sum(epochs[name, "relu"] < epochs[name, g] for name in SETS) for g in ("sigmoid", "tanh")}
relu_loses = [name for name in SETS if epochs[name, "relu"] > epochs[name, "tanh"]]
best = {
    name: min((g for n, g in epochs if n == name), key=lambda g, name=name: (epochs[name, g], last[name, g]))
    for name in SETS
}

# %% a case where sigmoid wins: a rate so large that the four times steeper tanh jumps about
large_rate = {g: float(np.median(costs_of(g, "moons", (16,), "sgd", 10.0, 150)[:, -1])) for g in ("sigmoid", "tanh")}


# %% the slope of relu at exactly 0: three conventions, the same training
def relu_with(slope):
    """A relu with this slope at 0."""
    return jaxmlp.activation(
        f"relu_at_0_{int(2 * slope)}",
        jax.nn.relu,
        lambda Z, A, dA: dA * jnp.where(Z == 0, slope, (Z > 0).astype(dA.dtype)),
        init="he_normal",
    )


at_0 = [costs_of(relu_with(slope), "moons", epochs=100) for slope in (0.0, 0.5, 1.0)]
kink_gap = max(float(np.abs(at_0[0] - other).max()) for other in at_0[1:])
data = jaxmlp.load("moons")
net = jaxmlp.network_for(data, hidden=(16, 16))
result = jaxmlp.fit(net, data, epochs=n_epochs, batch_size="full", learning_rate=0.02)
A = [step["A"] for step in jaxmlp.trace(result.params, data.train.rows.T, net)[:-1]]
dead_share = float(np.mean([float((a == 0).all(axis=1).mean()) for a in A]))

with picture("activations_compared.png", 3, size=(3.1, 2.7)) as axes:
    for ax, name in zip(axes, SETS, strict=True):
        jaxmlp.plots.draw_costs(ax, {g: curves[name, g] for g in NAMES[:3]}, logarithmic=True)
        ax.set(title=name, xlabel="epoch")

# %% What was claimed
# fmt: off
counts = {name: {g: epochs[name, g] for g in NAMES[:3]} for name in SETS}
claim("0.6", TRUE, "Hidden tanh has mean 0 and sigmoid 1/2, and the next layer learns faster from tanh",
      f"median epochs to the target: {listed(counts)}", tanh_wins >= 2)
claim("E42", "WRONG → usually better", "tanh is always better than sigmoid",
      f"tanh is faster on {tanh_wins} of 3 sets; plain descent at rate 10 on moons: sigmoid {large_rate['sigmoid']:.2f}, tanh {large_rate['tanh']:.2f}",
      large_rate["sigmoid"] < large_rate["tanh"])
claim("2.18", "TRUE IF usually is meant",
      "tanh almost always beats sigmoid in hidden layers; both are slow at large |z|",
      f"{tanh_wins} of 3 sets, {seeds} seeds", tanh_wins >= 2)
claim("0.10", "TRUE IF against sigmoid", "relu converges much faster than tanh and sigmoid",
      f"faster than sigmoid on {relu_wins['sigmoid']} of 3 sets, than tanh on {relu_wins['tanh']}; slower than tanh on {listed(relu_loses) or 'none'}",
      relu_wins["sigmoid"] >= 2)
claim("2.19", TRUE, "relu is the default; its slope at 0 may be 0, 1/2 or 1 and dead halves do not matter in practice",
      f"the three curves differ by {kink_gap:.0e}; {dead_share:.0%} of the units dead after training",
      kink_gap < 1e-9 and dead_share < 0.5)
claim("E27", "TRUE IF taken as a rule of thumb",
      "Dead halves have no effect in practice; tanh is almost always better",
      f"{dead_share:.0%} dead; best on each set: {listed(best)}", tanh_wins >= 2 and dead_share < 0.5)
claim("1.23", TRUE, "Leaky relu and elu are not always better than relu",
      f"median epochs on spirals: {listed({g: epochs['spirals', g] for g in NAMES[2:5]})}",
      epochs["spirals", "relu"] <= max(epochs["spirals", g] for g in NAMES[3:5]))
claim("1.14", "TRUE IF it is no requirement", "An activation should be monotone",
      f"gelu and silu train: cost on spirals {last['spirals', 'gelu']:.3f} and {last['spirals', 'silu']:.3f}, relu {last['spirals', 'relu']:.3f}",
      max(last["spirals", "gelu"], last["spirals", "silu"]) < 2 * last["spirals", "relu"] + 0.1)
