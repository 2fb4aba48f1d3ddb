"""5. Shapes: forward through 2-3-5-4-2-1, one example and many.

    python examples/lessons/05_shapes.py [--fast]

The sizes n_0, n_1, …, n_L fix every shape before anything is trained: W (n_l, n_{l-1}), b (n_l, 1), and Z, A (n_l, m) for m
examples, one per column. A derivative has the shape of its variable. Here all sizes differ, so that a missing
transposition cannot pass. The same table for sizes of your own: jaxmlp info 2-3-5-4-2-1
"""

import jax
import numpy as np
from course import TRUE, claim, picture, start

import jaxmlp

start(__doc__)
rng = np.random.default_rng(0)

# %% a small network first: 3-4-1 has two layers, for the input layer is not counted
small = jaxmlp.Network((3, 4, 1), output="sigmoid")
small_shapes = [row.W for row in small.shapes]

# %% 2-3-5-4-2-1 with an activation of its own in each hidden layer, and m = 7 examples
net = jaxmlp.Network((2, 3, 5, 4, 2, 1), ("tanh", "relu", "tanh", "relu"), "sigmoid")
params = jaxmlp.init(jax.random.key(0), net, "he_normal")
m = 7
X, Y = rng.normal(size=(2, m)), rng.integers(0, 2, (1, m)).astype(float)
steps = jaxmlp.trace(params, X, net, Y)
for row, step in zip(net.shapes, steps, strict=True):
    print(f"W {row.W!s:7} b {row.b!s:7} Z {step['Z'].shape}  dZ {step['dZ'].shape}  dW {step['dW'].shape}")
shapes_agree = all(
    step["Z"].shape == step["A"].shape == step["dZ"].shape == step["dA"].shape == (row.n_out, m)
    and (step["dW"].shape, step["db"].shape) == (row.W, row.b)
    for step, row in zip(steps, net.shapes, strict=True)
)

# %% the columns are independent: seven passes of one example give the same A, side by side
singles = [jaxmlp.trace(params, X[:, [i]], net) for i in range(m)]
columns_gap = max(
    float(np.abs(np.hstack([single[l]["A"] for single in singles]) - steps[l]["A"]).max()) for l in range(net.depth)
)

with picture("network.png", 1, size=(5.6, 3.4)) as (axes,):
    jaxmlp.plots.draw_network(axes, net)

# %% What was claimed
# fmt: off
claim("0.13", TRUE, "3-4-1 is a network of L = 2 layers, a⁰ = x, W1 is 4 x 3", f"L = {small.depth}",
      small.depth == 2 and small_shapes[0] == (4, 3))
claim("2.15", TRUE, "Two layers: W1 (n1, n0), b1 (n1, 1), and the prediction is a²", "4 x 3 and 1 x 4",
      small_shapes == [(4, 3), (1, 4)])
claim("3.4", TRUE, "n⁰ … n⁵ = 2, 3, 5, 4, 2, 1", str(net.sizes), net.sizes == (2, 3, 5, 4, 2, 1))
claim("E8", "WRONG → a 5-layer network", "This network of L = 5 is called 4-layer",
      f"L = {net.depth}, {net.depth - 1} hidden", net.depth == 5)
claim("0.16", TRUE, "W is (n_l, n_l-1), b (n_l, 1), z and a (n_l, 1)", "5 layers of 2-3-5-4-2-1", shapes_agree)
claim("3.6", TRUE, "Z, A (n_l, m), W (n_l, n_l-1), b (n_l, 1), and their derivatives alike", "5 layers", shapes_agree)
claim("0.20", TRUE, "A derivative has the shape of its variable", "all of 5 layers", shapes_agree)
claim("2.27", TRUE, "The table of shapes follows from the sizes alone: jaxmlp info 2-3-5-4-2-1",
      f"{net.n_parameters} parameters", shapes_agree and net.n_parameters == 66)
claim("0.18", TRUE,
      "Forward propagation goes from X to the output; rate, layers, widths and activations are chosen by a person",
      f"{net.sizes}, {net.hidden}", net.depth == 5)
claim("5.8", TRUE, "Hidden layers are those whose values the data does not show; each may have its own g",
      f"{net.hidden}", net.hidden == ("tanh", "relu", "tanh", "relu"))
claim("0.23", TRUE, "m examples are the columns of A⁰ (n0, m); b is added to each column",
      f"{columns_gap:.0e} from single examples", columns_gap < 1e-15)
claim("4.7", TRUE, "In a batch every column is an example", f"{columns_gap:.0e}", columns_gap < 1e-15)
claim("2.17", TRUE, "Columns are examples and rows are units", f"X {X.shape}, A5 {steps[-1]['A'].shape}",
      steps[-1]["A"].shape == (1, m))
claim("2.26", TRUE, "Forward at any depth, single and in matrices", f"L = {net.depth}: {columns_gap:.0e}",
      columns_gap < 1e-15)
claim("3.5", TRUE, "Forward for l = 1 … 5, single and matrix", f"{columns_gap:.0e}", columns_gap < 1e-15)
