"""32. Streaming: a file larger than memory, read while it is needed.

    python examples/lessons/32_streaming.py [--fast]

An epoch must use each row once, in a new order. From a file it reads blocks in a new order and shuffles the rows of
several blocks together, so it needs memory for these only. The cost falls as it does with all rows in memory.
"""

import tempfile
from pathlib import Path

import h5py
import numpy as np
from course import TRUE, claim, start

import jaxmlp

fast = start(__doc__)
data = jaxmlp.load("digits")
assert data.test is not None
place = tempfile.TemporaryDirectory()
path = Path(place.name) / "digits.h5"
repeats = 20 if fast else 60
with h5py.File(path, "w") as file:
    file["x_train"], file["y_train"] = np.tile(data.train.rows, (repeats, 1)), np.tile(data.train.targets, repeats)
    file["x_test"], file["y_test"] = data.test.rows, data.test.targets
streamed = jaxmlp.stream(path, memory=900_000)
held, in_file = 900_000, path.stat().st_size
print(streamed)

# %% the same training from the file and from memory
scores = {}
for name, source in (("memory", jaxmlp.load(path)), ("file", streamed)):
    net = jaxmlp.network_for(source, hidden=(32,))
    result = jaxmlp.fit(net, source, epochs=2, batch_size=64)
    scores[name] = result.history[-1].cost, jaxmlp.Model.of(net, result.params, source).evaluate(data.test)["accuracy"]
    print(f"{name:7} cost {scores[name][0]:.4f}, test accuracy {scores[name][1]:.2%}")

place.cleanup()

# %% What was claimed
# fmt: off
claim("", TRUE, "A network trains from its file as from memory",
      f"test accuracy {scores['file'][1]:.2%} against {scores['memory'][1]:.2%}, with {held:,} bytes for {in_file:,}",
      abs(scores["file"][1] - scores["memory"][1]) < 0.04 and held < in_file)
