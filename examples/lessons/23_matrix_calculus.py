"""23. Matrix calculus: gradients of scalars, Jacobians of vectors, and Hessians.

    python examples/lessons/23_matrix_calculus.py [--fast]

A gradient belongs to a function with one number as its value, and has the shape of its argument. A function of x (n,) with
m values has a Jacobian (m, n). The Hessian (n, n) of a scalar function is the Jacobian of its gradient: row i is the
gradient of ∂f/∂x_i. Each formula below is compared with what autodiff computes.
"""

import jax
import jax.numpy as jnp
import numpy as np
from course import TRUE, claim, start

import jaxmlp

start(__doc__)
rng = np.random.default_rng(0)
A, z, b = rng.normal(size=(3, 4)), rng.normal(size=4), rng.normal(size=4)
S = rng.normal(size=(4, 4))
S = S + S.T
G = rng.normal(size=(4, 4))

# %% gradients of scalars; no gradient of a vector
sum_of_squares = np.abs(jax.grad(lambda A: (A**2).sum())(A) - 2 * A).max()
ztz = np.abs(jax.grad(lambda z: z @ z)(z) - 2 * z).max()
linear = np.abs(jax.grad(lambda x: b @ x)(z) - b).max()
symmetric = np.abs(jax.grad(lambda x: x @ S @ x)(z) - 2 * S @ z).max()
general = np.abs(jax.grad(lambda x: x @ G @ x)(z) - (G + G.T) @ z).max()
entries = len(range(A.shape[0] + 1)) * len(range(A.shape[1] + 1))  # of a sum that starts at 0 and ends at m and n
general_as_symmetric = np.abs((G + G.T) @ z - 2 * G @ z).max()
second = np.abs(jax.hessian(lambda x: x @ S @ x)(z) - 2 * S).max()


def f(x):
    """A scalar of a vector."""
    return jnp.sin(x[0]) * x[1] + x[2] ** 2


def g(x):
    """Another one."""
    return x[3] * x[0]


linearity = np.abs(jax.grad(lambda x: f(x) + 3 * g(x))(z) - (jax.grad(f)(z) + 3 * jax.grad(g)(z))).max()
try:
    jax.grad(lambda x: A @ x)(z)
    message = ""
except TypeError as error:
    message = str(error).split(".")[0]
jacobian_gap = np.abs(jax.jacobian(lambda x: A @ x)(z) - A).max()

# %% the Hessian: Jacobian of the gradient, row by row, symmetric where second derivatives are continuous
H = jax.hessian(f)(z)
as_jacobian = np.abs(H - jax.jacobian(jax.grad(f))(z)).max()
row = np.abs(H[1] - jax.grad(lambda x: jax.grad(f)(x)[1])(z)).max()


def corner(x, y):
    """x y (x² - y²)/(x² + y²), continued by 0."""
    return x * y * (x**2 - y**2) / (x**2 + y**2) if x or y else 0.0


def mixed(first):
    """∂²/∂y∂x (first = "x") or ∂²/∂x∂y at the origin, by differences of differences."""
    inner, outer = 1e-6, 1e-3

    def slope(s):  # the first derivative at distance s along the other axis
        if first == "x":
            return (corner(inner, s) - corner(-inner, s)) / (2 * inner)
        return (corner(s, inner) - corner(s, -inner)) / (2 * inner)

    return (slope(outer) - slope(-outer)) / (2 * outer)


corners = mixed("x"), mixed("y")
net = jaxmlp.Network((3, 4, 1), "tanh", "sigmoid")
params = jaxmlp.init(jax.random.key(0), net)
X, Y = rng.normal(size=(3, 20)), rng.integers(0, 2, (1, 20)).astype(float)
network_H = np.asarray(jaxmlp.hessian(params, X, Y, net))
asymmetry = np.abs(network_H - network_H.T).max()


def printed(x):
    """The example: f with ∂f/∂x1 = x2³ x1."""
    return x[1] ** 3 * x[0] ** 2 / 2


point = jnp.array([2.0, 3.0])
first, then = float(jax.grad(printed)(point)[0]), float(jax.hessian(printed)(point)[0, 1])
twice = float(jax.hessian(printed)(point)[0, 0])

# %% What was claimed
# fmt: off
claim("4.10", TRUE, "A gradient has the shape of its argument; f(x) = Ax has none, but a Jacobian, A",
      f"{sum_of_squares:.0e}; {message}; {jacobian_gap:.0e}",
      sum_of_squares < 1e-14 and "scalar" in message and jacobian_gap < 1e-14)
claim("4.11", TRUE, "The gradient is linear; ∇ zᵀz = 2z", f"{linearity:.0e}, {ztz:.0e}", max(linearity, ztz) < 1e-14)
claim("4.13", "TRUE IF A is symmetric", "∇ bᵀx = b, ∇ xᵀAx = 2Ax, Hessian 2A",
      f"{linear:.0e}, {symmetric:.0e}, {second:.0e}; for any A it is (A + Aᵀ)x ({general:.0e}), off by {general_as_symmetric:.1f}",
      max(linear, symmetric, second, general) < 1e-13 and general_as_symmetric > 0.1)
claim("E37", "WRONG → from 1", "The sums of A_ij² run from i = 0 to m and j = 0 to n",
      f"{entries} terms for {A.size} entries", entries == 20 != A.size)
claim("4.12", TRUE, "Row i of the Hessian is the gradient of ∂f/∂x_i",
      f"{row:.0e}; Hessian of 3-4-1 symmetric to {asymmetry:.0e}", row < 1e-14 and asymmetry < 1e-8)
claim("E28", "WRONG → it is the Jacobian of the gradient",
      "It is not right to take the Hessian for the derivative of the gradient", f"{as_jacobian:.0e}",
      as_jacobian < 1e-14)
claim("E21", "WRONG → the first is ∂f/∂x1", "∂²f/∂x1² = x2³ x1, and then ∂/∂x2 gives 3 x1 x2²",
      f"at (2, 3): ∂f/∂x1 = {first:g}, ∂²f/∂x1∂x2 = {then:g}, ∂²f/∂x1² = {twice:g}",
      first == 54 and then == 54 and twice == 27)
claim("E5", "TRUE IF the second derivatives are continuous", "The Hessian is always symmetric",
      f"xy(x² - y²)/(x² + y²) at 0: {corners[0]:.4f} and {corners[1]:+.4f}",
      abs(corners[0] + 1) < 1e-3 and abs(corners[1] - 1) < 1e-3)
claim("5.2", TRUE,
      "Exercises: prove ∇ zᵀz = 2z, derive the formulas, why entry by entry, list equations and shapes, try other networks",
      f"answers in examples/README.md; ∇ zᵀz - 2z = {ztz:.0e}", ztz < 1e-14)
