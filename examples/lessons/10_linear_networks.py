"""10. Without activations: any depth is one layer, and XOR stays unsolved.

    python examples/lessons/10_linear_networks.py [--fast]

W₂(W₁x + b₁) + b₂ = (W₂W₁)x + (W₂b₁ + b₂): a composition of affine maps is affine. So all the power of depth comes
from g.
"""

import jax
import numpy as np
from course import TRUE, accuracy, claim, columns, descend, listed, start

import jaxmlp

fast = start(__doc__)
X = np.random.default_rng(0).normal(size=(6, 50))

# %% ten depths, each collapsed to one layer
gaps, ranks = [], []
for depth in (1, 2, 5, 10):
    widths = (6, *[5, 3, 7, 4, 6, 5, 8, 3, 9][: depth - 1], 4)
    net = jaxmlp.Network(widths, "identity", "identity")
    params = jaxmlp.init(jax.random.key(depth), net)
    params = tuple({"W": layer["W"], "b": layer["b"] + 0.5} for layer in params)
    one = jaxmlp.collapse(params, net)
    gaps.append(float(np.abs(one["W"] @ X + one["b"] - jaxmlp.forward(params, X, net)).max()))
    ranks.append((int(np.linalg.matrix_rank(one["W"], tol=1e-8)), min(widths)))
two = jaxmlp.Network((6, 5, 4), "identity", "identity")
(first, second) = jaxmlp.init(jax.random.key(0), two)
W_formula, b_formula = second["W"] @ first["W"], second["W"] @ first["b"] + second["b"]
formula_gap = float(np.abs(W_formula @ X + b_formula - jaxmlp.forward((first, second), X, two)).max())
without_x = float(
    np.abs(W_formula.sum(axis=1, keepdims=True) + b_formula - jaxmlp.forward((first, second), X, two)).max()
)

# %% a narrow linear layer does have an effect: it bounds the rank
narrow = jaxmlp.Network((6, 1, 4), "identity", "identity")
narrow_rank = int(np.linalg.matrix_rank(jaxmlp.collapse(jaxmlp.init(jax.random.key(1), narrow), narrow)["W"]))

# %% XOR: a linear network with a hidden layer, and the same with tanh
X_xor, Y_xor = columns("xor")
scores = {}
for hidden in ("identity", "tanh"):
    net = jaxmlp.Network((2, 4, 1), hidden, "sigmoid")
    params, costs = descend(jaxmlp.init(jax.random.key(3), net), X_xor, Y_xor.astype(float), net, 1.0, 1000)
    scores[hidden] = accuracy(params, X_xor, Y_xor, net), float(costs[-1])

# %% What was claimed
# fmt: off
claim("0.3", TRUE, "A network of linear units of any depth is a linear function",
      f"depths 1 to 10: {max(gaps):.0e}; rank against the least width: {listed(f'{rank} of {width}' for rank, width in ranks)}",
      max(gaps) < 1e-12 and all(rank <= width for rank, width in ranks))
claim("2.20", TRUE, "Linear layers collapse: W' = W₂W₁, b' = W₂b₁ + b₂", f"{formula_gap:.0e}", formula_gap < 1e-13)
claim("E6", "WRONG → W'x + b'", "The collapsed network is printed as w' + b'",
      f"without x it is off by {without_x:.1f}", without_x > 1)
claim("E36", "TRUE IF no layer is narrower than its neighbours", "Linear hidden layers have no effect at all",
      f"6-1-4 has rank {narrow_rank} of 4", narrow_rank == 1)
claim("4.4", TRUE, "Without activations a network cannot separate what no line separates",
      f"XOR: {scores['identity'][0]:.0%} at cost {scores['identity'][1]:.6f} = ln 2; with tanh {scores['tanh'][0]:.0%}",
      scores["identity"][0] <= 0.75 and abs(scores["identity"][1] - np.log(2)) < 1e-3 and scores["tanh"][0] == 1)
