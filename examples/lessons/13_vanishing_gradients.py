"""13. Vanishing and exploding gradients: a product of factors, one per layer.

    python examples/lessons/13_vanishing_gradients.py [--fast]

Backward, each layer multiplies ‖dZ‖ by ‖Wᵀ·‖ and by g'. Twenty layers raise that factor to the twentieth power. The
cures are the activation, the initial weights, and normalisation; each is measured before and after.
"""

import jax.numpy as jnp
import numpy as np
from course import TRUE, claim, listed, picture, start

import jaxmlp

fast = start(__doc__)
width, depth = 100, 10 if fast else 20
rng = np.random.default_rng(0)
X, Y = rng.normal(size=(width, 256)), rng.normal(size=(1, 256))


def network(g, norm=None):
    """`depth` hidden layers of a hundred units."""
    return jaxmlp.Network((width, *[width] * depth, 1), g, "identity", norm)


def norms(net, initializer, seed=1):
    """‖dZ_l‖ of the hidden layers."""
    steps = jaxmlp.trace(jaxmlp.init_numpy(net, seed, initializer), X, net, Y)  # NumPy: nothing to compile
    return np.array([float(jnp.linalg.norm(step["dZ"])) for step in steps[:-1]])


def factor(dZ):
    """The mean factor of a layer, from the last hidden layer down to the first."""
    return float((dZ[0] / dZ[-1]) ** (1 / (len(dZ) - 1)))


# %% the table of factors
table, gradients = {}, {}
for g in ("sigmoid", "tanh", "relu"):
    for name in ("normal(0.01)", "xavier_normal", "he_normal"):
        gradients[g, name] = norms(network(g), name)
        table[g, name] = factor(gradients[g, name])
    print(
        f"{g:8}", "  ".join(f"{name} {table[g, name]:.3f}" for name in ("normal(0.01)", "xavier_normal", "he_normal"))
    )
exploding = factor(norms(network("relu"), "normal(2)"))
greatest_slope = {"step": 0, "sigmoid": 0.25, "tanh": 1, "relu": 1}

# %% saturation: large weights make sigmoid flat, at a cost that is far from its minimum
one = jaxmlp.Network((1, 1), output="sigmoid")
far = jaxmlp.Objective(cost="quadratic")
stuck = ({"W": jnp.full((1, 1), 20.0), "b": jnp.zeros((1, 1))},)
cost, gradient = jaxmlp.backprop(stuck, np.ones((1, 1)), np.zeros((1, 1)), one, far)
stuck_gradient = float(abs(gradient[0]["W"][0, 0]))


def flat_share(net, initializer):
    """The fraction of σ' below a hundredth of its maximum, in the last hidden layer."""
    steps = jaxmlp.trace(jaxmlp.init_numpy(net, 1, initializer), X, net)
    A = steps[depth - 1]["A"]
    return float((A * (1 - A) < 0.0025).mean())


saturated, normalised = (
    flat_share(network("sigmoid"), "normal(3)"),
    flat_share(network("sigmoid", "batch"), "normal(3)"),
)
before, after = table["sigmoid", "normal(0.01)"], factor(norms(network("sigmoid", "batch"), "normal(0.01)"))
other_activation = table["relu", "he_normal"]
with picture("vanishing_factors.png", 1, size=(4.6, 3.2)) as (axes,):
    for (g, name), dZ in gradients.items():
        if name != "xavier_normal":
            axes.semilogy(range(1, depth + 1), dZ / dZ[-1], label=f"{g}, {name}")
    axes.set(xlabel="layer", ylabel="‖dZ‖ of the layer / of the last")
    axes.set_xticks(range(2, depth + 1, 2))
    axes.legend(fontsize=7)

# %% What was claimed
# fmt: off
claim("1.17", TRUE, "The error of early layers vanishes with a power of w σ'",
      "factor of a layer at 0.01, Xavier, He: " + "; ".join(f"{g} {table[g, 'normal(0.01)']:.3f}, {table[g, 'xavier_normal']:.3f}, {table[g, 'he_normal']:.3f}" for g in ("sigmoid", "tanh", "relu")),
      all(table[g, "normal(0.01)"] < 0.2 for g in ("sigmoid", "tanh", "relu")) and table["relu", "he_normal"] > 0.9)
claim("1.19", TRUE, "A factor above 1 explodes", f"relu with weights of N(0, 2²): {exploding:.1f} a layer",
      exploding > 5)
claim("E29", "WRONG → the norm of W times σ' decides", "Gradients explode where σ' > 1",
      f"greatest slopes {listed(greatest_slope)}: none exceeds 1, yet {exploding:.1f}",
      max(greatest_slope.values()) <= 1 < exploding)
claim("4.5", "TRUE IF the weights do not make up for it",
      "relu is cheap, and σ' ≤ 1/4 shrinks the gradient to a quarter or less",
      f"sigmoid with He {table['sigmoid', 'he_normal']:.3f}, relu {table['relu', 'he_normal']:.3f} a layer",
      table["sigmoid", "he_normal"] < table["relu", "he_normal"])
claim("E10", "WRONG → the factor is ‖W‖ σ'", "Each layer makes the gradient at least four times smaller",
      f"with He weights it is {table['sigmoid', 'he_normal']:.3f}, not 0.25; with 0.01 it is {table['sigmoid', 'normal(0.01)']:.3f}",
      table["sigmoid", "he_normal"] > 0.25)
claim("1.20", TRUE, "Cures: another activation, or normalisation that keeps z out of saturation",
      f"factor {before:.3f} becomes {other_activation:.2f} with relu and He, {after:.2f} with batch norm; flat units {saturated:.0%} → {normalised:.0%}",
      after > 5 * before and other_activation > 10 * before and normalised < saturated / 3)
claim("1.35", TRUE, "Saturated neurons: a share of units whose derivative is near 0",
      f"{saturated:.0%} of sigmoid units at weights of N(0, 3²)", saturated > 0.5)
claim("5.5", TRUE, "Saturation has nothing to do with the optimum: a flat activation at a large cost",
      f"cost {float(cost):.3f}, gradient {stuck_gradient:.0e}", cost > 0.49 and stuck_gradient < 1e-8)
