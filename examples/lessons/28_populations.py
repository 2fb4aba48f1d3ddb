"""28. Populations and ensembles: many networks in one program, and their average.

    python examples/lessons/28_populations.py [--fast]

Seeds, learning rates and penalties differ by numbers only, so one compiled program trains all of them at once. The
average of several networks predicts better than the average network.
"""

import time

import jax
import numpy as np
from course import TRUE, accuracy, claim, columns, picture, start

import jaxmlp

fast = start(__doc__)
data = jaxmlp.load("digits")
X_test, Y_test = columns("digits", "test")
net = jaxmlp.network_for(data, hidden=(12,))
seeds, n_epochs = (4, 8) if fast else (16, 20)

# %% together, and one by one
began = time.perf_counter()
population = jaxmlp.fit_many(net, data, seeds=seeds, epochs=n_epochs, learning_rate=0.005)
together = time.perf_counter() - began
began = time.perf_counter()
alone = jaxmlp.fit(net, data, epochs=n_epochs, learning_rate=0.005, key=jax.random.key(1))
one = time.perf_counter() - began
member = population.members[1]
gap = max(
    float(np.abs(a - b).max())
    for a, b in zip(jax.tree.leaves(member.params), jax.tree.leaves(alone.params), strict=True)
)
print(f"{seeds} networks together {together:.1f} s, one alone {one:.1f} s, with compilation")

# %% the ensemble
scores = [accuracy(member.params, X_test, Y_test, net) for member in population.members]
A = np.mean([jaxmlp.forward(member.params, X_test, net) for member in population.members], axis=0)
ensemble = float(np.mean(A.argmax(axis=0) == Y_test))
with picture("population.png", 1, size=(4.2, 2.8)) as (axes,):
    for member in population.members:
        axes.plot(np.asarray(member.curves.cost), color="#1f6fb4", alpha=0.5)
    axes.set(xlabel="epoch", ylabel="cost", title=f"{seeds} seeds", yscale="log")

# %% What was claimed
# fmt: off
claim("", TRUE, "A member is the run that fit makes of its seed", f"{gap:.0e}", gap < 1e-6)
claim("", TRUE, "The average of the networks is better than the average network",
      f"members {np.mean(scores):.2%}, ensemble {ensemble:.2%}", ensemble > np.mean(scores))
