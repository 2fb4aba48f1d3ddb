"""8. Activations: formulas, derivatives, and a table of properties that is computed and not believed.

    python examples/lessons/08_activations.py [--fast]

What a hidden layer needs is a derivative that is neither 0 everywhere nor the same everywhere. The tutorials list more
wishes: smooth, centred at zero, monotone, never flat. Here each wish is a number, measured on a grid of z.
"""

import jax.numpy as jnp
import numpy as np
from course import TRUE, claim, listed, picture, start, value_and_slope

import jaxmlp
from jaxmlp.nn import activations

start(__doc__)
z = np.linspace(-20, 20, 40001)
NAMES = ("step", "sigmoid", "tanh", "relu", "leaky_relu(0.01)", "elu(1.0)", "gelu", "silu", "softplus", "identity")

# %% the table: g(z) and g'(z) of each on the grid, and the mean of g over 100,000 numbers from N(0, 1)
normal_numbers = np.random.default_rng(0).normal(size=(1, 100_000))
table = {}
for name in NAMES:
    a, slope = value_and_slope(name, z)
    inner = np.abs(z) > 0.01  # no kink
    jump = float(np.abs(np.diff(slope)).max())
    row = table[name] = {
        "gap": float(np.abs(np.gradient(a, z) - slope)[inner][1:-1].max()),
        "jump": jump,
        "smooth": jump < 0.01 and bool(slope.any()),
        "both signs": bool(a.min() < -1e-6 and a.max() > 1e-6),
        "mean": float(activations.find(name).apply(jnp.asarray(normal_numbers)).mean()),
        "least slope": float(slope.min()),
        "greatest slope": float(slope.max()),
        "monotone": bool((np.diff(a) >= -1e-15).all()),
        "flat at both ends": bool(abs(slope[0]) < 1e-6 and abs(slope[-1]) < 1e-6),
        "non-linear": bool(np.ptp(slope) > 0),
    }
    print(
        f"{name:17} smooth {row['smooth']!s:6} both signs {row['both signs']!s:6} mean {row['mean']:+.4f} "
        f"slope {row['least slope']:+.3f} to {row['greatest slope']:.3f} monotone {row['monotone']}"
    )

# %% tanh and sigmoid: one is the other, scaled and shifted; a shift alone is not enough
tanh, tanh_slope = value_and_slope("tanh", z)
sigmoid, sigmoid_slope = value_and_slope("sigmoid", z)
identity_gap = np.abs(tanh - (2 / (1 + np.exp(-2 * z)) - 1)).max()
shifted = min(np.abs(tanh - (sigmoid + shift)).max() for shift in np.linspace(-1, 1, 201))
tanh_slope_gap = np.abs(tanh_slope - (1 - np.tanh(z) ** 2)).max()
formula_gaps = np.abs(sigmoid - 1 / (1 + np.exp(-z))).max(), np.abs(value_and_slope("relu", z)[0] - z.clip(0)).max()

# %% slopes far from 0
points = np.array([0.0, 5.0, 10.0, 20.0])
far = {name: [float(f"{s:.3g}") for s in value_and_slope(name, points)[1]] for name in ("sigmoid", "tanh")}
five = float(value_and_slope("sigmoid", points)[0][1])
one_share = float(np.mean(value_and_slope("relu", z)[1] == 1))
n_figures = sum(name.startswith("draw_") for name in dir(jaxmlp.plots))

with picture("activations.png", 4, 2, size=(2.6, 2.3)) as axes:
    names = ("step", "sigmoid", "tanh", "relu", "leaky_relu(0.1)", "elu(1.0)", "gelu", "silu")
    for ax, name in zip(axes, names, strict=True):
        jaxmlp.plots.draw_activation(ax, name)

# %% What was claimed
# fmt: off
claim("0.4", TRUE, "tanh = (eᶻ - e⁻ᶻ)/(eᶻ + e⁻ᶻ), derivative 1 - tanh²", f"{tanh_slope_gap:.0e}",
      tanh_slope_gap < 1e-14)
claim("0.5", "TRUE IF scaled too", "tanh is a shifted sigmoid",
      f"no shift comes nearer than {shifted:.2f}; 2σ(2z) - 1 is it to {identity_gap:.0e}",
      identity_gap < 1e-14 and shifted > 0.4)
claim("E15", "WRONG → tanh z = 2 σ(2z) - 1", "tanh is a translated sigmoid", f"{identity_gap:.0e}",
      identity_gap < 1e-14)
claim("0.8", TRUE, "tanh' and σ' go to 0 for large |z|",
      f"at 0, 5, 10, 20: σ' {listed(far['sigmoid'])}; tanh' {listed(far['tanh'])}",
      far["sigmoid"][2] < 1e-4 and far["tanh"][2] < 1e-8)
claim("1.10", TRUE, "The activation is the switch of a neuron, makes the network non-linear, and maps the output",
      "σ(-5), σ(0), σ(5) = 0.007, 0.5, 0.993", abs(five - 0.9933) < 1e-4)
claim("1.11", "TRUE IF relu is listed as not smooth", "Step, sigmoid, tanh, relu: smooth, centred, vanishing",
      ", ".join(f"{n}: {t['smooth']}/{t['both signs']}/{t['flat at both ends']}" for n, t in list(table.items())[:4]),
      [table[n]["smooth"] for n in NAMES[:4]] == [False, True, True, False])
claim("E14", "WRONG → its derivative jumps", "relu is smooth", f"by {table['relu']['jump']:g} at 0",
      table["relu"]["jump"] == 1)
claim("1.13", TRUE, "Non-linear: g' is not constant; smooth: g' is continuous and not 0 everywhere",
      f"identity {table['identity']['non-linear']}, step's slope {table['step']['greatest slope']:g}",
      not table["identity"]["non-linear"] and table["step"]["greatest slope"] == 0)
claim("1.14", "TRUE IF it is no requirement", "An activation should be monotone",
      f"gelu and silu are not: least slope {table['gelu']['least slope']:.3f} and {table['silu']['least slope']:.3f}; lesson 22 trains them",
      not table["gelu"]["monotone"] and not table["silu"]["monotone"])
claim("1.18", TRUE, "σ' is at most 1/4, and small for large |z|",
      f"maximum {sigmoid_slope.max()} at z = {z[sigmoid_slope.argmax()]:g}", sigmoid_slope.max() == 0.25)
claim("E16", "WRONG → (0, 1/4]", "σ' lies in the open interval (0, 1/4)",
      f"1/4 is attained at 0: {far['sigmoid'][0]}", far["sigmoid"][0] == 0.25)
claim("2.22", TRUE, "The four derivatives: a(1 - a), 1 - a², 0 or 1, 0.01 or 1",
      f"from differences: {max(table[n]['gap'] for n in NAMES[1:5]):.0e}",
      max(table[n]["gap"] for n in NAMES[1:5]) < 1e-6)
claim("4.3", TRUE, "sigmoid and relu: formulas and curves (picture)",
      f"{formula_gaps[0]:.0e}, {formula_gaps[1]:.0e}", max(formula_gaps) < 1e-14)
claim("E35", "WRONG → (-1, 1)", "tanh lies in [-1, 1]",
      f"tanh 18 = 1 - {1 - np.tanh(18.0):.0e}: 1 is reached by rounding only", np.tanh(18.0) < 1)
claim("E45", "TRUE IF it means a mean near 0", "Centred at zero means that the range has both signs",
      f"leaky relu has both and a mean of {table['leaky_relu(0.01)']['mean']:.2f} on N(0, 1); tanh {table['tanh']['mean']:.4f}, sigmoid {table['sigmoid']['mean']:.4f}",
      table["leaky_relu(0.01)"]["both signs"] and table["leaky_relu(0.01)"]["mean"] > 0.3 and abs(table["tanh"]["mean"]) < 0.01)
claim("5.6", TRUE, "The best slope is 1, but a slope of 1 everywhere is linear: hence relu",
      f"identity 1 everywhere, relu 1 on {one_share:.0%}",
      np.ptp(value_and_slope("identity", z)[1]) == 0 and table["relu"]["non-linear"])
claim("5.1", TRUE,
      "The figures of the tutorials can be drawn: activations with derivatives, networks, blocks, Maxout, paths, costs",
      f"{n_figures} functions draw_… in jaxmlp.plots", n_figures >= 8)
