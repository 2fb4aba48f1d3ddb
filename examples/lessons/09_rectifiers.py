"""9. Rectifiers: the slope at 0 as a choice, the price of an exponential, and numbers that break formulas.

    python examples/lessons/09_rectifiers.py [--fast]

relu(z) = max(0, z) has slope 0 below 0 and 1 above. At 0 it has none, and every program picks a number: 0, 1/2 or 1. Leaky
relu keeps a slope α below 0, and elu bends smoothly to -α. A formula that is right on paper can still give NaN or an
overflow in a computer, and an exponential costs time.
"""

import time

import jax
import jax.numpy as jnp
import numpy as np
from course import TRUE, claim, listed, picture, start, value_and_slope

import jaxmlp
from jaxmlp.nn import activations

start(__doc__)
z = np.linspace(-20, 20, 40001)

# %% the formulas, on the grid
relu, relu_slope = value_and_slope("relu", z)
leaky, _ = value_and_slope("leaky_relu(0.2)", z)
leaky_gap = np.abs(leaky - np.maximum(0.2 * z, z)).max()
elu_gap = np.abs(value_and_slope("elu(1.0)", z)[0] - np.where(z <= 0, np.expm1(np.minimum(z, 0)), z)).max()
relu_gap = np.abs(relu - np.maximum(0, z)).max()
leaky_is_not_relu = np.abs(leaky - np.maximum(0, z)).max()


# %% the slope at 0: an activation of one's own has the one that is written into it
def relu_with_slope_at_0(slope):
    """A relu whose derivative at exactly 0 is this number."""
    return jaxmlp.activation(
        f"relu_{int(100 * slope)}",
        jax.nn.relu,
        lambda Z, A, dA: dA * jnp.where(Z == 0, slope, (Z > 0).astype(dA.dtype)),
    )


zero, one = jnp.zeros((1, 1)), jnp.ones((1, 1))
conventions = [float(relu_with_slope_at_0(s).pullback(zero, zero, one)[0, 0]) for s in (0, 0.5, 1)]
of_libraries = [float(jax.grad(f)(0.0)) for f in (jax.nn.relu, lambda z: jnp.maximum(z, 0.0))]

# %% numbers that break formulas
with np.errstate(all="ignore"):
    textbook_relu = np.array(-np.inf > 0) * -np.inf  # 0 · ∞
    textbook_exponential = np.exp(-np.array(-800.0))  # float64 ends at e⁷⁰⁹
relu_at_minus_infinity = float(activations.relu.apply(jnp.array([[-jnp.inf]]))[0, 0])
sigmoid_at_minus_800 = float(activations.sigmoid.apply(jnp.array([[-800.0]]))[0, 0])

# %% the price of an exponential: the operations, and the least time of 20 calls on 100,000 numbers, the three in turns
x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 100_000)), jnp.float32)
functions = {name: jax.jit(activations.find(name).apply) for name in ("relu", "sigmoid", "tanh")}
operations = {name: str(jax.make_jaxpr(g)(x)) for name, g in functions.items()}
has_exponential = [any(f" {op} " in text for op in ("exp", "logistic", "tanh")) for text in operations.values()]
times = dict.fromkeys(functions, np.inf)
for turn in range(21):
    for name, g in functions.items():
        began = time.perf_counter()
        g(x).block_until_ready()
        if turn > 0:  # the first call compiles
            times[name] = min(times[name], time.perf_counter() - began)
slower = times["sigmoid"] / times["relu"], times["tanh"] / times["relu"]
far = value_and_slope("relu", np.array([5.0, 10.0, 20.0]))[1].tolist()

near = np.linspace(-3, 2, 501)
with picture("rectifiers.png", 2) as (left, right):
    for name in ("relu", "leaky_relu(0.2)", "elu(1.0)", "softplus"):
        a, slope = value_and_slope(name, near)
        left.plot(near, a, label=name)
        right.plot(near, slope, label=name)
    left.set(xlabel="z", title="g(z)")
    right.set(xlabel="z", title="g'(z)")
    left.legend(fontsize=8)

# %% What was claimed
# fmt: off
claim("0.9", TRUE, "relu = max(0, z), slope 0 or 1, none at 0",
      f"{relu_gap:.0e}; slopes {listed(sorted(set(relu_slope)))}", relu_gap == 0 and set(relu_slope) == {0.0, 1.0})
claim("E12", "TRUE IF a convention is stated", "The slope of relu at 0: undefined, 0 or 1, and 0 in the program",
      f"each can be had: {listed(conventions)}; jax.nn.relu {of_libraries[0]:g}, jnp.maximum {of_libraries[1]:g}",
      conventions == [0.0, 0.5, 1.0] and of_libraries == [0.0, 0.5])
claim("0.12", TRUE, "Leaky relu keeps a slope α below 0", f"α = 0.2: {leaky_gap:.0e}", leaky_gap < 1e-15)
claim("E13", "WRONG → max(αz, z) for 0 < α < 1", "Leaky relu is written max(0, z)",
      f"differs by {leaky_is_not_relu:.1f} at z = -20", leaky_is_not_relu == 4)
claim("1.23", TRUE, "Leaky relu max(0.01z, z) and elu α(eᶻ - 1)", f"{leaky_gap:.0e}, {elu_gap:.0e}",
      max(leaky_gap, elu_gap) < 1e-14)
claim("1.21", TRUE, "relu: slope 1 for z > 0, and no exponential to compute",
      f"slopes at 5, 10, 20: {listed(far)}; {slower[0]:.1f} and {slower[1]:.1f} times faster than sigmoid and tanh",
      far == [1, 1, 1] and has_exponential == [False, True, True])
claim("4.36", "TRUE IF z is finite", "relu can be written np.array(z > 0) * z",
      f"at -∞ it is {textbook_relu}; ours {relu_at_minus_infinity}",
      np.isnan(textbook_relu) and relu_at_minus_infinity == 0)
claim("E50", "TRUE IF z ≥ -709", "sigmoid = 1/(1 + exp(-z))",
      f"exp(800) is {textbook_exponential}; ours at -800: {sigmoid_at_minus_800:.0e}",
      np.isinf(textbook_exponential) and 0 <= sigmoid_at_minus_800 < 1e-300)
