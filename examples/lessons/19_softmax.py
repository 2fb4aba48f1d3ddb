"""19. Softmax: four numbers become four probabilities, and their derivatives are coupled.

    python examples/lessons/19_softmax.py [--fast]

a_i = e^{z_i} / Σ e^{z_j}. Every a depends on every z, so ∂a/∂z is a matrix, diag(a) - a aᵀ, and not a(1 - a).
Multiplied by the derivative of the cross-entropy it gives a - y all the same.
"""

import jax
import jax.numpy as jnp
import numpy as np
from course import TRUE, accuracy, claim, columns, picture, start

import jaxmlp
from jaxmlp.nn import activations

fast = start(__doc__)
softmax = activations.softmax
z = np.array([[5.0], [2.0], [-1.0], [3.0]])
a = np.asarray(softmax.apply(jnp.asarray(z)))
order_kept = bool((np.argsort(a[:, 0]) == np.argsort(z[:, 0])).all())
shift_gap = float(jnp.abs(softmax.apply(jnp.asarray(z + 1000)) - a).max())
Z = np.random.default_rng(0).normal(size=(6, 1000))
orders = bool((np.asarray(softmax.apply(jnp.asarray(Z))).argsort(axis=0) == Z.argsort(axis=0)).all())

# %% the Jacobian, and a - y by two ways
jacobian = jax.jacobian(lambda v: jax.nn.softmax(v))(jnp.asarray(z[:, 0]))
formula = np.diag(a[:, 0]) - a @ a.T
jacobian_gap = float(np.abs(jacobian - formula).max())
y = np.array([[0.0], [1.0], [0.0], [0.0]])  # the class with the second number
da = -y / a
right = formula @ da
elementwise = da * a * (1 - a)
identity_net = jaxmlp.Network((4, 4), output="softmax")
as_is = ({"W": np.eye(4), "b": np.zeros((4, 1))},)
step = jaxmlp.trace(as_is, z, identity_net, y)[0]
batch = jaxmlp.trace(as_is, Z[:4, :7], identity_net, np.eye(4)[:, [0, 1, 2, 3, 0, 1, 2]])[0]
batch_gap = float(np.abs(batch["dZ"] - (batch["A"] - np.eye(4)[:, [0, 1, 2, 3, 0, 1, 2]]) / 7).max())

# %% one-hot or class ids, and -ln of the right class
by_ids = jaxmlp.cost(as_is, Z[:4, :7], np.array([[0, 1, 2, 3, 0, 1, 2]]), identity_net)
by_one_hot = jaxmlp.cost(as_is, Z[:4, :7], np.eye(4)[:, [0, 1, 2, 3, 0, 1, 2]], identity_net)
loss_of_class = float(step["losses"][0, 0])

# %% two classes: softmax is a sigmoid of the difference
two = np.random.default_rng(1).normal(size=(2, 100))
sigmoid_gap = float(np.abs(softmax.apply(jnp.asarray(two))[0] - 1 / (1 + np.exp(-(two[0] - two[1])))).max())

# %% softmax in a hidden layer
X, Y = columns("digits")
X_test, Y_test = columns("digits", "test")
hidden = jaxmlp.Network((64, 20, 10), "softmax", "softmax")
report = jaxmlp.verify(jaxmlp.Network((3, 4, 2), "softmax", "softmax"))
result = jaxmlp.fit(hidden, (X.T, Y[0]), epochs=10 if fast else 40, batch_size=64, learning_rate=0.02)
hidden_accuracy = accuracy(result.params, X_test, Y_test, hidden)

# %% the digits, and what the first layer looks at
net = jaxmlp.Network((64, 32, 10), "relu", "softmax")
result = jaxmlp.fit(net, (X.T, Y[0]), epochs=30 if fast else 40, batch_size=64)
digits_accuracy = accuracy(result.params, X_test, Y_test, net)
W1 = np.asarray(result.params[0]["W"]).reshape(-1, 8, 8)
neighbours = np.corrcoef(
    np.r_[W1[:, :, :-1].ravel(), W1[:, :-1, :].ravel()], np.r_[W1[:, :, 1:].ravel(), W1[:, 1:, :].ravel()]
)[0, 1]
start_W = np.asarray(jaxmlp.init(jax.random.key(0), net)[0]["W"]).reshape(-1, 8, 8)
at_start = np.corrcoef(start_W[:, :, :-1].ravel(), start_W[:, :, 1:].ravel())[0, 1]
with picture("first_layer.png", 1, size=(4.6, 2.4)) as (axes,):
    jaxmlp.plots.draw_first_layer(axes, result.params, (8, 8))

# %% What was claimed
# fmt: off
claim("1.27", TRUE, "Softmax classifies and normalises: its outputs sum to 1",
      f"{abs(a.sum() - 1):.0e}; a shift of z by 1000 changes {shift_gap:.0e}",
      abs(a.sum() - 1) < 1e-15 and shift_gap < 1e-12)
claim("E47", "TRUE IF usually is meant", "Softmax is only ever used in the last layer",
      f"a hidden softmax passes {report.count('PASS')} checks and reads {hidden_accuracy:.1%} of the digits",
      report.passed and hidden_accuracy > 0.7)
claim("3.9", TRUE, "C classes take C outputs that sum to 1: handwritten digits", f"test accuracy {digits_accuracy:.1%}",
      digits_accuracy > 0.95)
claim("3.2", "TRUE IF the problem is made of parts",
      "The first layer of a trained network looks at edges: pixels that lie together",
      f"correlation of the weights of neighbouring pixels: {at_start:.2f} before training, {neighbours:.2f} after (picture)",
      neighbours > at_start + 0.2)
claim("3.10", TRUE, "Four classes: the order of z is the order of a",
      f"z = {z[:, 0].tolist()}, a = {a[:, 0].round(3).tolist()}; 1000 random columns", order_kept and orders)
claim("3.11", TRUE, "The cost of several classes is -1/m Σ Σ y ln a",
      f"one-hot and class ids: {abs(float(by_ids - by_one_hot)):.0e}", abs(by_ids - by_one_hot) < 1e-15)
claim("5.9", TRUE, "With one-hot y the loss is -ln a of the right class", f"{loss_of_class:.6f} = -ln {a[1, 0]:.4f}",
      abs(loss_of_class + np.log(a[1, 0])) < 1e-12)
claim("3.12", "TRUE IF ∂a/∂z is the whole matrix diag(a) - a aᵀ", "da = -y/a and dZ = A - Y",
      f"Jacobian {jacobian_gap:.0e}, product {np.abs(right - (a - y)).max():.0e}, batch of 7 {batch_gap:.0e}",
      jacobian_gap < 1e-15 and np.abs(right - (a - y)).max() < 1e-14 and batch_gap < 1e-15)
claim("E1", "WRONG → dz = (diag(a) - a aᵀ) da", "∂a/∂z = a(1 - a), so dz = a - y",
      f"elementwise {elementwise[:, 0].round(3).tolist()}, true {right[:, 0].round(3).tolist()}",
      np.abs(elementwise - right).max() > 0.05)
claim("3.13", TRUE, "The form is that of two classes; softmax of two is σ(z1 - z2)", f"{sigmoid_gap:.0e}",
      sigmoid_gap < 1e-15)
