"""25. A program in NumPy: the cat classifier of the fifth tutorial, line by line.

    python examples/lessons/25_cats_in_numpy.py [--fast]

Read cat_program.py first: its functions carry the tutorial's names and are written as it describes them. Forward, a layer
gives A (n_l, m) and the cache ((W, A_prev, b), Z); backward, it gives dA_prev, dW and db. The course's 209 + 50 images are
not part of this project: the lesson reads them from $JAXMLP_DATA/cat where they are, and otherwise makes files of the same
format. With the course's images the first cost is the published 0.771749.
"""

import tempfile
from pathlib import Path

import numpy as np
import optax
from cat_program import backwardModel, cost_of, forwardModel, iniPara, loadData, reluBackward, write_stand_ins
from course import TRUE, claim, data_folder, start

import jaxmlp

fast = start(__doc__)

# %% files: those of the course, or stand-ins of the same format; then flatten to X (12288, 209), and /255
cats = data_folder("cat")
with tempfile.TemporaryDirectory() as place:
    folder = cats or write_stand_ins(Path(place))
    train_x, train_y, test_x, test_y, classes = loadData(folder)
    data = jaxmlp.load(folder)
    same_images = (data.train.rows.reshape(train_x.shape) == train_x).all()
    same_labels = (data.train.targets == train_y[0]).all()
X = train_x.reshape(len(train_x), -1).T / 255
m = X.shape[1]

# %% the program: parameters, forward, backward, update
laydims = [12288, 20, 7, 5, 1]
parameters, n_iterations = iniPara(laydims), 20 if fast else 101
costs = []
for _ in range(n_iterations):
    AL, caches = forwardModel(X, parameters)
    costs.append(cost_of(AL, train_y))
    diffs = backwardModel(AL, train_y, caches)
    parameters = {key: value - 0.0075 * diffs[f"d{key}"] for key, value in parameters.items()}

# %% the same in jaxmlp: one call for the parameters, one for a pass, one for the training
net = jaxmlp.Network(tuple(laydims), "relu", "sigmoid")
params = jaxmlp.init_numpy(net)
first = iniPara(laydims)
seed_gap = max(float(np.abs(value - jaxmlp.params_to_dict(params)[key]).max()) for key, value in first.items())
steps = jaxmlp.trace(params, X, net, train_y.astype(float))
AL, caches = forwardModel(X, first)
diffs = backwardModel(AL, train_y, caches)
forward_gap = float(np.abs(steps[-1]["A"] - AL).max())
backward_gap = max(
    float(np.abs(step[f"d{name}"] - diffs[f"d{name}{l}"]).max()) for l, step in enumerate(steps, 1) for name in "Wb"
)
result = jaxmlp.fit(
    net, (X.T, train_y[0]), params=params, optimizer=optax.sgd(0.0075), epochs=n_iterations, batch_size="full"
)
cost_gap = max(abs(report.cost - cost) for report, cost in zip(result.history, costs, strict=True))

# %% what the tutorial's text says of its program, and what the program does
mean_twice = float((np.mean(AL - train_y) / m / diffs["db4"]).item())
below = diffs["dA4"].shape, diffs["dA1"].shape
helper_gap = float(np.abs(reluBackward(np.ones((1, 5)), np.arange(-2.0, 3)[None, :]) - [[0, 0, 0, 1, 1]]).max())

# %% What was claimed
# fmt: off
claim("0.24", TRUE, "The programs of the course: the cat classifier and the flower",
      f"cost {costs[0]:.6f} → {costs[-1]:.6f} in {n_iterations} iterations of NumPy; jaxmlp's differ by {cost_gap:.0e}",
      costs[-1] < costs[0] and cost_gap < 1e-6)
claim("2.3", TRUE, "Binary classification: cat or not",
      f"{len(train_y[0])} + {len(test_y[0])} images, labels {sorted(set(train_y[0].tolist()))}",
      set(train_y[0].tolist()) == {0, 1})
claim("4.27", TRUE, "Helpers sigmoid, relu and their backward functions", f"{helper_gap:g}", helper_gap == 0)
claim("4.28", TRUE, "loadData reads HDF5 and makes the labels (1, m)",
      f"{train_x.shape}, {train_y.shape}; jaxmlp.load reads the same",
      same_images and same_labels and train_y.shape == (1, 209))
claim("4.29", TRUE, "iniPara: seed 1, randn/√n, zeros",
      f"{seed_gap:.0e} from jaxmlp.init_numpy" + (f"; first cost {costs[0]:.6f}" if cats else ""),
      seed_gap < 1e-15 and (not cats or f"{costs[0]:.6f}" == "0.771749"))
claim("4.30", TRUE, "forwardLinear, forwardLinearActivation, forwardModel and their caches", f"{forward_gap:.0e}",
      forward_gap < 1e-12)
claim("4.31", TRUE, "linearBackward, linearActivationBackward, backwardModel", f"{backward_gap:.0e}",
      backward_gap < 1e-12)
claim("E7", "WRONG → it is dA of the layer below", "diffs['dA' + str(L)] = dA_prev",
      f"dA4 has shape {below[0]}, that of A3", below[0] == (5, 209))
claim("E39", "WRONG → formulas 3 and 4; 9 is in linearBackward",
      "The backward functions of the activations are formulas 4 and 9",
      f"dA of the layer below from linearBackward: {below[1]}", below[1] == (12288, 209))
claim("E40", "WRONG → ((W, A_prev, b), Z)", "The cache is (W, A_prev, b)",
      f"{len(caches[0])} parts, the first of {len(caches[0][0])}", len(caches[0]) == 2 and len(caches[0][0]) == 3)
claim("E2", "WRONG → 1/m times the sum, or the mean", "db = 1/m meanOfEachRow(dZ)",
      f"of the last layer it is {mean_twice:.5f} of the right db: 1/m = {1 / m:.5f}",
      abs(mean_twice * m - 1) < 1e-9)
