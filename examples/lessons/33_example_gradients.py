"""33. The gradient of each example: who pulls at the parameters, and who is labelled wrongly.

    python examples/lessons/33_example_gradients.py [--fast]

∂c_i/∂W = δ_i a_iᵀ is an outer product, so its norm is ‖δ_i‖ ‖a_i‖ and no gradient need be formed. In a trained
network an example with a wrong label pulls harder than the others.
"""

import jax
import numpy as np
from course import TRUE, claim, columns, descend, start

import jaxmlp

fast = start(__doc__)
X, Y = columns("digits")
rng = np.random.default_rng(0)
m = 300
X, Y = X[:, :m], Y[:, :m].copy()
wrong = rng.choice(m, 12, replace=False)
Y[0, wrong] = (Y[0, wrong] + rng.integers(1, 10, len(wrong))) % 10
net = jaxmlp.Network((64, 20, 10), "relu", "softmax")
params, _ = descend(jaxmlp.init(jax.random.key(0), net), X, Y, net, 0.5, 100, jaxmlp.Objective(l2=3.0))

# %% norms with and without the gradients, and their mean
norms = np.asarray(jaxmlp.example_gradient_norms(params, X, Y, net))[0]
gradients = jaxmlp.example_gradients(params, X, Y, net)
explicit = np.sqrt(sum((np.asarray(leaf).reshape(m, -1) ** 2).sum(axis=1) for leaf in jax.tree.leaves(gradients)))
J, dparams = jaxmlp.backprop(params, X, Y, net)
mean_gap = max(
    float(np.abs(np.asarray(a).mean(axis=0) - b).max())
    for a, b in zip(jax.tree.leaves(gradients), jax.tree.leaves(dparams), strict=True)
)
hardest = np.argsort(norms)[::-1][: len(wrong)]
found = len(set(hardest) & set(wrong))

# %% What was claimed
# fmt: off
claim("", TRUE, "Norms follow from δ and a without forming a gradient", f"{np.abs(norms - explicit).max():.0e}",
      np.abs(norms - explicit).max() < 1e-10)
claim("2.9", TRUE, "The gradient of m examples is the average of their gradients",
      f"{mean_gap:.0e} in a network of two layers", mean_gap < 1e-14)
claim("", TRUE, "Wrong labels have the largest gradients",
      f"{found} of the {len(wrong)} largest norms are wrong labels", found > len(wrong) / 2)
