"""16. Maxout: the largest of k lines.

    python examples/lessons/16_maxout.py [--fast]

A Maxout unit learns its own activation: with two lines it can be relu or |x|, with more any convex curve on an
interval. The error for x² falls as 1/k². What it costs are k times the weights of its layer.
"""

import jax
import numpy as np
from course import TRUE, accuracy, claim, columns, picture, start

import jaxmlp

fast = start(__doc__)
x = np.linspace(-1, 1, 2001)[None, :]


def unit(slopes, intercepts):
    """A network of one Maxout unit, and its parameters."""
    net = jaxmlp.Network((1, 1), output=f"maxout({len(slopes)})")
    W, b = np.array(slopes, float)[:, None], np.array(intercepts, float)[:, None]
    return ({"W": W, "b": b},), net


# %% two lines: relu, and the absolute value; their gradients go to the line that is largest
relu_gap = float(np.abs(jaxmlp.forward(unit([0, 1], [0, 0])[0], x, unit([0, 1], [0, 0])[1]) - np.maximum(0, x)).max())
absolute_gap = float(np.abs(jaxmlp.forward(unit([-1, 1], [0, 0])[0], x, unit([-1, 1], [0, 0])[1]) - np.abs(x)).max())
params, net = unit([-1, 1], [0, 0])
gradient = jaxmlp.trace(params, np.array([[0.5]]), net, np.array([[0.0]]))[0]["dW"][:, 0].tolist()

# %% x² by k tangents at equal distances: error 1/k², for k = 2 … 32
errors = {}
for k in (2, 4, 8, 16, 32):
    points = -1 + (2 * np.arange(k) + 1) / k  # x² ≥ 2 p x - p², with equality at p
    params, net = unit(2 * points, -(points**2))
    errors[k] = float(np.abs(jaxmlp.forward(params, x, net) - x**2).max())
    print(f"k = {k:2}: largest error {errors[k]:.6f}, 1/k² = {1 / k**2:.6f}")

# %% what is not convex keeps an error, and a difference of two units removes it
target = -(x**2)
floor = float((target.max() - target.min()) / 2)  # a convex function below a cap: a constant is the best
best = min(float(np.abs(np.maximum(a, a) + 0 * x - target).max()) for a in np.linspace(-1, 0, 101))
pair = jaxmlp.Network((1, 2, 1), "maxout(32)", "identity")
points = -1 + (2 * np.arange(32) + 1) / 32
W = np.zeros((64, 1))
W[0::2, 0] = 2 * points  # the pieces of unit 1; unit 2 stays 0
b = np.zeros((64, 1))
b[0::2, 0] = -(points**2)
difference = ({"W": W, "b": b}, {"W": np.array([[-1.0, 1.0]]), "b": np.zeros((1, 1))})
pair_error = float(np.abs(jaxmlp.forward(difference, x, pair) - target).max())
unbounded = float(
    np.abs(
        jaxmlp.forward(
            unit(2 * points, -(points**2))[0], np.array([[10.0]]), jaxmlp.Network((1, 1), output="maxout(32)")
        )
        - 100
    )[0, 0]
)

# %% parameters and accuracy on the digits
X, Y = columns("digits")
X_test, Y_test = columns("digits", "test")
table = {}
for g in ("relu", "maxout(2)", "maxout(5)"):
    net = jaxmlp.Network((64, 32, 10), g, "softmax")
    runs = range(1 if fast else 3)
    scores = []
    for seed in runs:
        result = jaxmlp.fit(net, (X.T, Y[0]), epochs=20 if fast else 40, batch_size=64, key=jax.random.key(seed))
        scores.append(accuracy(result.params, X_test, Y_test, net))
    table[g] = net.n_parameters, float(np.mean(scores))
    print(f"{g:10} {net.n_parameters:6,} parameters, test accuracy {np.mean(scores):.2%}")
ratio = table["maxout(2)"][0] / table["relu"][0]

with picture("maxout.png", 3, size=(2.8, 2.4)) as axes:
    jaxmlp.plots.draw_maxout(axes[0], [0, 1], [0, 0])
    jaxmlp.plots.draw_maxout(axes[1], [-1, 1], [0, 0])
    five = np.linspace(-1.6, 1.6, 5)
    jaxmlp.plots.draw_maxout(axes[2], 2 * five, -(five**2))

# %% What was claimed
# fmt: off
claim("1.24", TRUE, "Two lines make relu and |x|, five a bowl; the gradient goes to the largest line",
      f"{relu_gap:g}, {absolute_gap:g}; dW of -x and x at 1/2: {gradient}",
      relu_gap == absolute_gap == 0 and gradient == [0.0, 0.25])
claim("1.25", "TRUE IF on an interval", "With enough lines Maxout comes as near to a convex function as one likes",
      ", ".join(f"k = {k}: {error:.6f}" for k, error in errors.items()),
      all(abs(error - 1 / k**2) < 1e-4 for k, error in errors.items()))
claim("E26", "TRUE IF the function is continuous and convex on a compact set", "A large k reaches any convex function",
      f"x² at x = 10 with 32 lines of [-1, 1]: off by {unbounded:.0f}; -x² keeps an error of {best:.2f}, a difference of two units {pair_error:.6f}",
      unbounded > 50 and abs(best - floor) < 0.01 and pair_error < 0.002)
claim("1.26", TRUE, "More pieces cost parameters and bring no accuracy in proportion",
      ", ".join(f"{g} {n:,}: {score:.1%}" for g, (n, score) in table.items()),
      table["maxout(5)"][1] - table["relu"][1] < 0.05)
claim("E46", "TRUE IF of its own layer", "Maxout has k times the parameters",
      f"64-32-10: {table['relu'][0]:,}, with maxout(2) {table['maxout(2)'][0]:,} ({ratio:.2f} times), with maxout(5) {table['maxout(5)'][0]:,}",
      [n for n, _ in table.values()] == [2410, 4490, 10730])
