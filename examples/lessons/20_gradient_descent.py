"""20. Gradient descent: the direction, the largest step, and where it ends.

    python examples/lessons/20_gradient_descent.py [--fast]

The gradient points where the cost J rises fastest, so a step goes the other way: w ← w - α ∇J. On a quadratic 1/2 wᵀHw a
step multiplies the error along an eigenvector of H by 1 - αλ, so α must be below 2/λ_max. On a network λ_max can be
measured too. Where the gradient is 0 descent stops: at a minimum, at a saddle, or in practice on a plateau.
"""

import jax
import jax.numpy as jnp
import numpy as np
from course import TRUE, claim, columns, descend, picture, start

import jaxmlp

start(__doc__)

# %% a quadratic with eigenvalues 1 and 10: just below and just above 2/λ_max
H = np.diag([1.0, 10.0])


def run(rate, steps=100):
    """The path of gradient descent on 1/2 wᵀHw from (1, 1)."""
    path = [np.ones(2)]
    for _ in range(steps):
        path.append(path[-1] - rate * H @ path[-1])
    return np.array(path)


ends = {rate: float(np.linalg.norm(run(rate)[-1])) for rate in (0.001, 0.05, 0.199, 0.201)}

# %% a network: 2/λ_max at a trained point, and what happens on both sides of it
X, Y = columns("moons")
y = Y.astype(float)
net = jaxmlp.Network((2, 8, 1), "tanh", "sigmoid")
trained, _ = descend(jaxmlp.init(jax.random.key(0), net), X, y, net, 0.5, 3000)
pair = jaxmlp.largest_eigenvalue(trained, X, y, net)
limit = 2 / pair.value
pushed = jax.tree.map(lambda p, v: p + 1e-3 * v, trained, pair.vector)
growth = {}
for fraction in (0.5, 1.5):
    after, _ = descend(pushed, X, y, net, fraction * limit, 3)
    gaps = [
        sum(
            float(((a - b) * v).sum()) for a, b, v in zip(*map(jax.tree.leaves, (p, trained, pair.vector)), strict=True)
        )
        for p in (pushed, after)
    ]
    growth[fraction] = abs(gaps[1] / gaps[0])
print(f"λ_max = {pair.value:.3f}, largest stable rate {limit:.3f}")

# %% the gradient is the direction of steepest ascent
params = jaxmlp.init(jax.random.key(1), net)
J, gradient = jaxmlp.backprop(params, X, y, net)


def norm_of(tree):
    """The length of all entries together."""
    return float(np.sqrt(sum(float((leaf**2).sum()) for leaf in jax.tree.leaves(tree))))


length = norm_of(gradient)
rng = np.random.default_rng(0)
slopes = []
for _ in range(1000):
    direction = jax.tree.map(lambda g: rng.normal(size=g.shape), gradient)
    norm = norm_of(direction)
    slopes.append(
        sum(float((g * d).sum()) for g, d in zip(jax.tree.leaves(gradient), jax.tree.leaves(direction), strict=True))
        / norm
    )

# %% a saddle, a plateau, two minima
saddle_slope = [float(g) for g in jax.grad(lambda w: w[0] ** 2 - w[1] ** 2)(jnp.zeros(2))]


def on_saddle(w, steps=200):
    """The path of gradient descent on u² - v², in the square that is drawn."""
    path = [np.array(w)]
    while len(path) <= steps and np.abs(path[-1]).max() <= 1:
        path.append(path[-1] - 0.1 * np.array([2.0, -2.0]) * path[-1])
    return np.array(path)


on_axis, off_axis = on_saddle([1.0, 0.0]), on_saddle([1.0, 0.01])
saddle_end = on_axis[-1]
plateau = ({"W": jnp.full((1, 1), 30.0), "b": jnp.full((1, 1), 30.0)},)
one = jaxmlp.Network((1, 1), output="sigmoid")
_, flat = descend(plateau, np.ones((1, 1)), np.zeros((1, 1)), one, 0.5, 500, jaxmlp.Objective(cost="quadratic"))
two_valleys = [-2.0, 2.0]
for i, w in enumerate(two_valleys):
    for _ in range(200):
        w -= 0.05 * (4 * w**3 - 4 * w + 0.5)
    two_valleys[i] = w
heights = [w**4 - 2 * w**2 + 0.5 * w for w in two_valleys]

with picture("descent.png", 2, size=(3.6, 3.0)) as (left, right):
    paths = {f"α = {rate}": run(rate, 30) for rate in (0.05, 0.19)}
    jaxmlp.plots.draw_paths(left, lambda u, v: (u**2 + 10 * v**2) / 2, paths)
    left.set_title("two rates in a valley")
    jaxmlp.plots.draw_paths(right, lambda u, v: u**2 - v**2, {"on the axis": on_axis, "beside it": off_axis})
    right.set_title("a saddle holds one path")

# %% What was claimed
# fmt: off
claim("4.15", TRUE, "The gradient points where the cost rises fastest",
      f"slope {length:.4f} along it, at most {max(slopes):.4f} along 1000 other directions", max(slopes) < length)
claim("1.32", TRUE, "What limits gradient descent: α < 2/λ_max, plateaus, saddles",
      f"λ = 1, 10: error after 100 steps {ends[0.199]:.2f} at 0.199, {ends[0.201]:.1f} at 0.201; network: an error along v grows {growth[1.5]:.1f} times in 3 steps at 1.5 of the limit {limit:.2f}",
      ends[0.199] < 1 < ends[0.201] and growth[0.5] < 1 < growth[1.5])
claim("E31", "TRUE IF the cost is convex", "Gradient descent ends at the minimum of the cost",
      f"x² - y² from (1, 0): stops at the saddle {saddle_end.round(6).tolist()}; a double valley ends at {heights[0]:.2f} or {heights[1]:.2f}; plateau: cost {float(flat[0]):.3f} → {float(flat[-1]):.3f}",
      saddle_slope == [0, 0] and abs(saddle_end).max() < 1e-6 and abs(heights[0] - heights[1]) > 0.5 and flat[-1] > 0.49)
