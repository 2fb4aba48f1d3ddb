"""11. What a line cannot do: XOR, the planar flower, and the perceptron rule.

    python examples/lessons/11_planar_and_xor.py [--fast]

A unit with a step draws a line. The perceptron rule finds one for AND and OR; for XOR there is none. A hidden layer
bends the line: four tanh units separate the petals of the course's flower, and more of them fit its noise.
"""

import jax
import jax.numpy as jnp
import numpy as np
from course import TRUE, accuracy, claim, columns, descend, listed, picture, start

import jaxmlp

fast = start(__doc__)

# %% a neuron with a threshold, and the perceptron rule w ← w + (y - a) x
TABLE = np.array([[0, 0, 1, 1], [0, 1, 0, 1]], float)
GATES = {"AND": [0, 0, 0, 1], "OR": [0, 1, 1, 1], "XOR": [0, 1, 1, 0]}
unit = jaxmlp.Network((2, 1), output="step")


def perceptron(targets, epochs=100):
    """Mistakes in the last epoch, and the parameters."""
    w, b, mistakes = np.zeros((1, 2)), np.zeros((1, 1)), 0
    for _ in range(epochs):
        mistakes = 0
        for x, y in zip(TABLE.T, targets, strict=True):
            a = float(w[0] @ x + b[0, 0] > 0)
            w, b, mistakes = w + (y - a) * x, b + (y - a), mistakes + int(a != y)
    return mistakes, ({"W": w, "b": b},)


mistakes = {gate: perceptron(targets)[0] for gate, targets in GATES.items()}
and_params = perceptron(GATES["AND"])[1]
fires = np.asarray(jaxmlp.forward(and_params, TABLE, unit))[0].tolist()
threshold = -and_params[0]["b"][0, 0]
same_as_threshold = [float(and_params[0]["W"][0] @ x > threshold) for x in TABLE.T]

# %% gradient descent cannot train a step: its derivative is 0
hidden_step = jaxmlp.Network((2, 4, 1), "step", "sigmoid")
params = jaxmlp.init(jax.random.key(0), hidden_step)
gradient = jaxmlp.backprop(params, TABLE, np.array([GATES["XOR"]], float), hidden_step)[1]
step_gradient = float(jnp.abs(gradient[0]["W"]).max())
straight = jaxmlp.activation("step_straight", lambda Z: (Z > 0).astype(Z.dtype), lambda Z, A, dA: dA * (jnp.abs(Z) < 1))
through = jaxmlp.Network((2, 8, 1), straight, "sigmoid")
trained, _ = descend(
    jaxmlp.init(jax.random.key(1), through), TABLE, np.array([GATES["XOR"]], float), through, 0.5, 2000
)
straight_accuracy = accuracy(trained, TABLE, np.array([GATES["XOR"]]), through)

# %% the flower: logistic regression, then 1 to 50 tanh units, as the course trains them
X, Y = columns("planar")
y = Y.astype(float)
line = jaxmlp.Network((2, 1), output="sigmoid")
line_params, _ = descend(jaxmlp.init_numpy(line, 2, "normal(0.01)"), X, y, line, 1.2, 1000)
line_accuracy = accuracy(line_params, X, Y, line)
units = (1, 4) if fast else (1, 2, 3, 4, 5, 20, 50)
n_steps = 1000 if fast else 5000
flower = {}
for n in units:
    net = jaxmlp.Network((2, n, 1), "tanh", "sigmoid")
    fitted, costs = descend(jaxmlp.init_numpy(net, 2, "normal(0.01)"), X, y, net, 1.2, n_steps)
    flower[n] = fitted, net, accuracy(fitted, X, Y, net)
    print(f"{n:3} hidden units: {flower[n][2]:.2%}")
one_hidden = flower[4][2]

# %% four depths on the flower: logistic regression, 1, 2 and 5 hidden layers
depths = {0: line_accuracy}
for depth in (1, 2) if fast else (1, 2, 5):
    net = jaxmlp.Network((2, *[8] * depth, 1), "tanh", "sigmoid")
    fitted, _ = descend(jaxmlp.init(jax.random.key(0), net), X, y, net, 0.3, n_steps)
    depths[depth] = accuracy(fitted, X, Y, net)

with picture("flower.png", 3, size=(3.0, 2.7)) as axes:
    jaxmlp.plots.draw_boundary(axes[0], line_params, line, X, Y)
    axes[0].set_title(f"no hidden unit: {line_accuracy:.0%}")
    for ax, n in zip(axes[1:], (1, 4) if fast else (4, 50), strict=True):
        jaxmlp.plots.draw_boundary(ax, flower[n][0], flower[n][1], X, Y)
        ax.set_title(f"{n} hidden units: {flower[n][2]:.0%}")

# %% What was claimed
# fmt: off
claim("4.2", TRUE,
      "The neuron of McCulloch and Pitts fires above a threshold, which is -b; one unit learns AND and OR, not XOR",
      f"mistakes in the last of 100 epochs: {listed(mistakes)}",
      mistakes["AND"] == mistakes["OR"] == 0 and mistakes["XOR"] > 0 and fires == same_as_threshold == [0, 0, 0, 1])
claim("1.12", TRUE, "A step cannot be trained by gradient descent: its derivative is 0",
      f"largest |dW1| is {step_gradient:g}; with a pretended slope (straight-through) XOR reaches {straight_accuracy:.0%}",
      step_gradient == 0 and straight_accuracy == 1)
claim("3.1", TRUE, "One hidden layer separates what no line separates",
      f"flower: line {line_accuracy:.0%}, 4 units {one_hidden:.0%}", line_accuracy < 0.6 and one_hidden > 0.85)
claim("2.25", TRUE, "Deep networks are networks with more hidden layers",
      f"accuracy by hidden layers {listed(depths)}",
      min(v for k, v in depths.items() if k) > depths[0])
claim("E48", "WRONG → flower in week 3, cats in week 4", "The links call the cat program week 3 and the petals week 4",
      "the course's file planar_utils.py, in week 3, draws this flower: data set `planar`", X.shape == (2, 400))
