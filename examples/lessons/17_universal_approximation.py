"""17. Universal approximation: enough units reach any continuous function, and depth can replace width.

    python examples/lessons/17_universal_approximation.py [--fast]

Two steep sigmoids make a bump, and bumps side by side make any curve: this construction needs no training. Trained
networks need far fewer units. A polynomial as activation is the exception: it stays a polynomial however wide the
layer is.
"""

import jax
import numpy as np
import optax
from course import TRUE, claim, picture, start

import jaxmlp

fast = start(__doc__)
x = np.linspace(-np.pi, np.pi, 200)[None, :]
TARGETS = {"sine": np.sin(x), "step": (x > 0).astype(float)}


def train(net, X, Y, steps, seed=0, rate=0.01):
    """Adam on the whole batch: the parameters and the greatest error."""
    result = jaxmlp.fit(
        net, (X.T, Y.T), optimizer=optax.adam(rate), epochs=steps, batch_size="full", key=jax.random.key(seed)
    )
    return result.params, float(np.sqrt(np.mean((jaxmlp.forward(result.params, X, net) - Y) ** 2)))


# %% width: errors of trained networks
n_steps = 400 if fast else 2000
widths = (1, 4, 16) if fast else (1, 2, 4, 16)
sweep = {}
for name, Y in TARGETS.items():
    sweep[name] = {n: train(jaxmlp.Network((1, n, 1), "tanh", "identity"), x, Y, n_steps)[1] for n in widths}
    print(name, {n: round(error, 4) for n, error in sweep[name].items()})
grid = np.stack(np.meshgrid(np.linspace(-2, 2, 15), np.linspace(-2, 2, 15))).reshape(2, -1)
bump = np.exp(-(grid**2).sum(axis=0, keepdims=True))
bump_errors = {n: train(jaxmlp.Network((2, n, 1), "tanh", "identity"), grid, bump, n_steps)[1] for n in (1, 16)}


# %% by hand: n bumps, each of two steep sigmoids
def staircase(f, n):
    """A sigmoid network 1-2n-1 that equals f at the middle of n intervals."""
    edges = np.linspace(-np.pi, np.pi, n + 1)
    heights = f((edges[:-1] + edges[1:]) / 2)
    steep = 100.0 * n
    W1, b1 = np.full((2 * n, 1), steep), -steep * np.r_[edges[:-1], edges[1:]][:, None]
    params = ({"W": W1, "b": b1}, {"W": np.r_[heights, -heights][None, :], "b": np.zeros((1, 1))})
    net = jaxmlp.Network((1, 2 * n, 1), "sigmoid", "identity")
    inner = x[:, 1:-1]
    return float(np.sqrt(np.mean((jaxmlp.forward(params, inner, net) - f(inner)) ** 2))), jaxmlp.forward(params, x, net)


stairs = {n: staircase(np.sin, n)[0] for n in (4, 16, 64)}

# %% a polynomial activation
square = jaxmlp.activation("square", lambda Z: Z * Z, lambda Z, A, dA: 2 * Z * dA)
wide_square = jaxmlp.Network((1, 64, 1), square, "identity")
best_quadratic = np.polyval(np.polyfit(x[0], np.sin(x[0]), 2), x[0])
quadratic_error = float(np.sqrt(np.mean((best_quadratic - np.sin(x[0])) ** 2)))
square_error = train(wide_square, x, TARGETS["sine"], n_steps, rate=0.003)[1]


# %% depth: a sawtooth of 2^k teeth from k small layers, where one layer needs a unit for each kink
def sawtooth(depth):
    """relu layers of two units that fold [0, 1] once each; the triangle wave with 2^(depth-1) teeth."""
    fold = {"W": np.array([[1.0], [1.0]]), "b": np.array([[0.0], [-0.5]])}
    again = {"W": np.array([[2.0, -4.0], [2.0, -4.0]]), "b": np.array([[0.0], [-0.5]])}
    last = {"W": np.array([[2.0, -4.0]]), "b": np.zeros((1, 1))}
    return (fold, *[again] * (depth - 1), last), jaxmlp.Network((1, *[2] * depth, 1), "relu", "identity")


t = np.linspace(0, 1, 4097)[None, :]
deep_params, deep = sawtooth(5)
wave = np.asarray(jaxmlp.forward(deep_params, t, deep))[0]
kinks = int((np.abs(np.diff(np.sign(np.diff(wave)))) > 0).sum())
shallow_needs = 3 * (kinks + 1) + 1  # one unit a piece: w, b and an output weight

# parity of 8 bits: a tree of three levels, or one wide layer
bits = ((np.arange(256)[None, :] >> np.arange(8)[:, None]) & 1).astype(float)
parity = bits.sum(axis=0, keepdims=True) % 2
count = np.ones((8, 8))
parity_params = (
    {"W": count, "b": -np.arange(8.0)[:, None]},
    {"W": np.array([[1.0, *[2.0 * (-1) ** k for k in range(1, 8)]]]), "b": np.zeros((1, 1))},
)
parity_gap = float(
    np.abs(jaxmlp.forward(parity_params, bits, jaxmlp.Network((8, 8, 1), "relu", "identity")) - parity).max()
)

with picture("approximation.png", 2, size=(3.6, 2.7)) as (left, right):
    left.plot(x[0], np.sin(x[0]), color="black", linewidth=1, label="sin")
    for n in (4, 16):
        left.plot(x[0], staircase(np.sin, n)[1][0], label=f"{n} bumps by hand")
    left.legend(fontsize=7)
    right.plot(t[0], wave, linewidth=1)
    right.set_title("five layers of two relu units")

# %% What was claimed
# fmt: off
claim("1.30", TRUE, "Universal approximation: the error falls with the width",
      "sine " + ", ".join(f"{n}: {e:.4f}" for n, e in sweep["sine"].items()) + f"; bump {bump_errors[1]:.3f} → {bump_errors[16]:.3f}; by hand with bumps " + ", ".join(f"{n}: {e:.3f}" for n, e in stairs.items()),
      sweep["sine"][widths[-1]] < sweep["sine"][1] / 2 and sweep["step"][widths[-1]] < sweep["step"][1] * 1.01 and bump_errors[16] < bump_errors[1] / 2 and stairs[64] < stairs[16] / 3 < stairs[4] / 9)
claim("E30", "WRONG → it must not be a polynomial", "In theory every non-linear function can be an activation",
      f"64 units with z² fit sin to {square_error:.3f}; the best parabola to {quadratic_error:.3f}",
      square_error >= quadratic_error - 1e-6)
claim("2.28", TRUE, "Deeper layers make more complex features",
      f"{deep.n_parameters} parameters in five layers make {kinks + 1} straight pieces; one relu layer needs {shallow_needs}",
      kinks == 31 and shallow_needs > deep.n_parameters)
claim("3.2", "TRUE IF the problem is made of parts", "Why deep: edges, then parts, then the whole",
      f"sawtooth: {deep.n_parameters} against {shallow_needs} parameters; parity of 8 bits needs no depth, 8 relu units do it exactly ({parity_gap:.0e})",
      parity_gap < 1e-12)
