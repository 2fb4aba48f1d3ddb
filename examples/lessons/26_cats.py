"""26. Is it a cat? How long to train, which structure, and a picture of one's own.

    python examples/lessons/26_cats.py [--fast]

The network of lesson 25, 12288-20-7-5-1, trained by jaxmlp for 2001 iterations. Longer is not better: the cost of the
training images falls, while the accuracy on the test images rises, wavers and may fall. A loop over the iterations finds
the best of them. (A number chosen by the test images flatters. Lesson 27 chooses by rows that neither train nor test.)
The images are those of $JAXMLP_DATA/cat; without them the lesson makes files of the same format.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import optax
from cat_program import loadData, write_stand_ins
from course import TRUE, accuracy, claim, data_folder, listed, picture, start
from PIL import Image

import jaxmlp

fast = start(__doc__)
place = tempfile.TemporaryDirectory()

# %% X (12288, 209) between 0 and 1, and the network with the tutorial's first parameters
cats = data_folder("cat")
folder = cats or write_stand_ins(Path(place.name))
train_x, train_y, test_x, test_y, classes = loadData(folder)
data = jaxmlp.load(folder)
assert data.test is not None
X, X_test = (images.reshape(len(images), -1).T / 255 for images in (train_x, test_x))
laydims = (12288, 20, 7, 5, 1)
net = jaxmlp.Network(laydims, "relu", "sigmoid")
unscaled = float(jaxmlp.cost(jaxmlp.init_numpy(net), X * 255, train_y.astype(float), net))


# %% the loop over iterations
def train(sizes, iterations, every=100):
    """Costs before each `every`-th iteration, accuracies on the test part there, and the last parameters."""
    network, tests, result = jaxmlp.Network(sizes, "relu", "sigmoid"), {}, None
    begin: dict[str, Any] = {"params": jaxmlp.init_numpy(network)}
    for stop in range(1, iterations + 1, every):
        result = jaxmlp.fit(
            network, (X.T, train_y[0]), optimizer=optax.sgd(0.0075), epochs=stop, batch_size="full", **begin
        )
        begin = {"resume": result}
        tests[stop - 1] = accuracy(result.params, X_test, test_y, network)
    assert result is not None
    return [report.cost for report in result.history[::every]], tests, result.params


n_iterations = 101 if fast else 2001
curve, tests, params = train(laydims, n_iterations)
chosen = max(tests, key=lambda iteration: (tests[iteration], -iteration))
print("costs", [round(cost, 6) for cost in curve], "tests", tests)
others = {
    "-".join(map(str, s)): f"{max(train(s, 101 if fast else 501)[1].values()):.0%}" for s in ((12288, 1), (12288, 7, 1))
}

# %% one's own picture, through the command line
model = jaxmlp.Model.of(net, params, data)
model_path, picture_path = Path(place.name) / "cat.h5", Path(place.name) / "mine.png"
model.save(model_path)
Image.fromarray(test_x[0]).resize((200, 150)).save(picture_path)
command = [sys.executable, "-m", "jaxmlp", "predict", str(model_path), str(picture_path)]
answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
place.cleanup()

# %% the threshold: an output of at least 0.5 is class 1
half = model.predict(data.test.rows, threshold=0.5)
threshold_agrees = ((model.outputs(data.test.rows)[:, 0] >= 0.5) == (np.asarray(half) == model.classes[1])).all()

if cats and not fast:
    with picture("cats.png", 1, size=(4.2, 3.0)) as (axes,):
        jaxmlp.plots.draw_costs(axes, {"12288-20-7-5-1": curve})
        axes.set(xlabel="iteration / 100", title="cost of the cat network")

# %% What was claimed
# fmt: off
claim("4.32", TRUE, "A loop over iterations chooses how long to train",
      f"costs at 0, 100, …: {listed([f'{c:.6f}' for c in curve[:3]])}; best test accuracy {tests[chosen]:.0%} at {chosen}" + ("" if cats else " (stand-in images)"),
      curve[-1] < curve[0])
claim("5.4", TRUE,
      "Flatten, /255, the cost and the update stand in figures only; without /255 the first cost is another",
      f"with /255 {curve[0]:.6f}, without {unscaled:.2f}",
      abs(unscaled - curve[0]) > 0.1)
claim("3.8", TRUE, "An output of at least 0.5 is class 1", f"{len(half)} predictions", threshold_agrees)
claim("4.33", TRUE, "One picture is predicted: jaxmlp predict MODEL picture.png",
      f"a 200 x 150 picture: {' '.join(answer)}", answer[0].startswith("prediction"))
claim("4.34", TRUE, "Try other structures and other pictures",
      f"best test accuracy {listed({**others, '12288-20-7-5-1': f'{tests[chosen]:.0%}'})}", len(others) == 2)
claim("4.35", TRUE, "A tutorial on convolutional networks was planned; they are outside this project",
      "no layer of jaxmlp convolves", not any("conv" in name.lower() for name in dir(jaxmlp)))
