"""30. Transfer: a network that has learned one task helps with another.

    python examples/lessons/30_transfer.py [--fast]

A network that reads the ten digits has a hidden layers that tell them apart. To ask only whether a digit is odd is
another task, and with few labelled examples it pays to keep those layers, frozen or as a start, and to learn a new
last one.
"""

import jax
import numpy as np
from course import TRUE, accuracy, claim, columns, start

import jaxmlp

fast = start(__doc__)
X, Y = columns("digits")
X_test, Y_test = columns("digits", "test")
few = 30
X_few, odd_few, odd_test = X[:, :few], Y[:, :few] % 2, Y_test % 2
ten = jaxmlp.Network((64, 48, 24, 10), "relu", "softmax")
odd = jaxmlp.Network((64, 48, 24, 1), "relu", "sigmoid")

# %% the first task, with many labels; the second with few
source = jaxmlp.fit(ten, (X.T, Y[0]), epochs=40, batch_size=64)
scores, moved = {"from scratch": [], "warm start": [], "frozen layers": []}, 0.0
for seed in range(3 if fast else 10):
    new = jaxmlp.init(jax.random.key(seed), odd)
    kept = (*source.params[:2], new[2])
    for name, params, freeze in (("from scratch", new, ()), ("warm start", kept, ()), ("frozen layers", kept, (1, 2))):
        result = jaxmlp.fit(
            odd, (X_few.T, odd_few[0]), params=params, freeze=freeze, epochs=200, batch_size="full", learning_rate=0.01
        )
        scores[name].append(accuracy(result.params, X_test, odd_test, odd))
        if freeze:
            moved = max(moved, float(np.abs(result.params[0]["W"] - kept[0]["W"]).max()))
means = {name: float(np.mean(values)) for name, values in scores.items()}
print(means)

# %% What was claimed
# fmt: off
claim("4.24", TRUE, "Fine-tuning a network that others have trained is a short cut",
      f"odd or even from {few} examples: " + ", ".join(f"{name} {value:.1%}" for name, value in means.items()) + f"; the frozen layers moved by {moved:g}",
      moved == 0 and min(means["warm start"], means["frozen layers"]) > means["from scratch"])
