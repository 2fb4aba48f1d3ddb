"""34. Supervised learning: a house price, an advertisement, and what more data brings.

    python examples/lessons/34_supervised_learning.py [--fast]

Tables are structured data: each column has a meaning and a unit. Pictures, sound and text are not. Prices are a
regression, clicks a probability; the network differs only in its output. Data, computing power and algorithms made
deep learning rise.
"""

import numpy as np
from course import TRUE, claim, columns, listed, start

import jaxmlp

fast = start(__doc__)
rng = np.random.default_rng(0)
n_epochs = 40 if fast else 150

# %% house prices: size, rooms, distance, age
m = 600
size, rooms, distance, age = (
    rng.uniform(40, 200, m),
    rng.integers(1, 7, m),
    rng.uniform(0, 30, m),
    rng.uniform(0, 80, m),
)
price = 2000 * size + 5000 * rooms - 3000 * distance + 400 * size * (distance < 5) - 200 * age + rng.normal(0, 8000, m)
houses = np.c_[size, rooms, distance, age]
data = jaxmlp.Dataset.from_arrays(houses[:500], price[:500], test=(houses[500:], price[500:])).standardize()
assert data.test is not None
scores = {}
for hidden in ((), (32,)):
    net = jaxmlp.network_for(data, hidden=hidden)
    result = jaxmlp.fit(net, data, epochs=n_epochs, batch_size=50, learning_rate=0.01)
    scores[hidden] = jaxmlp.Model.of(net, result.params, data).evaluate(data.test)["r2"]

# %% clicks: age of the reader, hour, fit of the topic; calibrated probabilities
reader, hour, fit = rng.uniform(15, 80, m), rng.uniform(0, 24, m), rng.uniform(0, 1, m)
chance = 1 / (1 + np.exp(-(4 * fit - 2 + 1.5 * np.sin(hour / 24 * 2 * np.pi) - 0.02 * (reader - 40))))
clicks = (rng.uniform(size=m) < chance).astype(int)
table = np.c_[reader, hour, fit]
adverts = jaxmlp.Dataset.from_arrays(table[:500], clicks[:500], test=(table[500:], clicks[500:])).standardize()
assert adverts.test is not None
net = jaxmlp.network_for(adverts, hidden=(8,))
result = jaxmlp.fit(net, adverts, epochs=n_epochs, batch_size=50, learning_rate=0.005)
click_model = jaxmlp.Model.of(net, result.params, adverts)
auc = click_model.evaluate(adverts.test)["auc"]

# %% more data: the digits by the number of training examples
X, Y = columns("digits")
X_test, Y_test = columns("digits", "test")
by_size = {}
for count in (50, 200, 1400):
    digits = jaxmlp.fit(
        jaxmlp.Network((64, 32, 10), "relu", "softmax"), (X[:, :count].T, Y[0, :count]), epochs=40, batch_size=50
    )
    A = jaxmlp.forward(digits.params, X_test, digits.net)
    by_size[count] = float(np.mean(np.asarray(A).argmax(axis=0) == Y_test))
print(scores, auc, by_size)

# %% What was claimed
# fmt: off
claim("2.1", TRUE,
      "Supervised learning: prices (standard network), clicks (probability); images and text take other networks; data, power and algorithms made it rise",
      f"R² of prices {scores[()]:.3f} linear, {scores[(32,)]:.3f} with 32 hidden units; AUC of clicks {auc:.3f}; digits by examples {listed({n: round(s, 3) for n, s in by_size.items()})}",
      scores[(32,)] > scores[()] and auc > 0.7 and by_size[50] < by_size[200] < by_size[1400])
