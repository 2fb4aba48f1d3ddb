"""6. Blocks: backward through any depth, one layer at a time.

    python examples/lessons/06_blocks.py [--fast]

A layer is a block. Forward it takes A_prev (n_{l-1}, m), gives A (n_l, m) and keeps a cache: W, A_prev and Z. Backward it
takes dA (n_l, m) and the cache, and gives dZ = dA * g'(Z), dW = dZ A_prevᵀ, db = the row sums of dZ, and dA_prev = Wᵀ dZ,
which the block below takes. Six equations, at any depth. Here 1/m is in dA of the output, since J is a mean.
"""

import jax
import jax.numpy as jnp
import numpy as np
from course import TRUE, claim, picture, start

import jaxmlp

start(__doc__)
rng = np.random.default_rng(0)
net = jaxmlp.Network((2, 3, 5, 4, 2, 1), ("tanh", "relu", "tanh", "relu"), "sigmoid")
params = jaxmlp.init(jax.random.key(0), net, "he_normal")
m = 7
X, Y = rng.normal(size=(2, m)), rng.integers(0, 2, (1, m)).astype(float)


# %% the two functions of a block
def block_forward(layer, g, A_prev):
    """A (n_l, m), and the cache (W, A_prev, Z)."""
    Z = layer["W"] @ A_prev + layer["b"]
    return g.apply(Z), (layer["W"], A_prev, Z)


def block_backward(cache, g, dA):
    """dA_prev (n_{l-1}, m), dW and db."""
    W, A_prev, Z = cache
    dZ = g.pullback(Z, g.apply(Z), dA)  # dA * g'(Z)
    return W.T @ dZ, dZ @ A_prev.T, dZ.sum(axis=1, keepdims=True)


# %% forward to the output, and backward to the first layer
A, caches = jnp.asarray(X), []
for layer, g in zip(params, net.activations, strict=True):
    A, cache = block_forward(layer, g, A)
    caches.append(cache)
dA, gradients = (-Y / A + (1 - Y) / (1 - A)) / m, []
for cache, g in zip(reversed(caches), reversed(net.activations), strict=True):
    dA, dW, db = block_backward(cache, g, dA)
    gradients.insert(0, {"W": dW, "b": db})
cache_bytes = sum(A_prev.nbytes + Z.nbytes for _, A_prev, Z in caches)


# %% three witnesses: jaxmlp.backprop, autodiff of the plain cost, and the mean over single examples
def plain_cost(params):
    """J in plain JAX, without our rules: what autodiff takes apart by itself."""
    A = X
    for layer, g in zip(params, net.activations, strict=True):
        A = g.apply(layer["W"] @ A + layer["b"])
    return -(Y * jnp.log(A) + (1 - Y) * jnp.log(1 - A)).mean()


def largest_gap(left, right):
    """The largest difference of two trees."""
    return max(float(abs(a - b).max()) for a, b in zip(*map(jax.tree.leaves, (left, right)), strict=True))


J, dparams = jaxmlp.backprop(params, X, Y, net)
block_gap = largest_gap(tuple(gradients), tuple(dparams))
autodiff_gap = largest_gap(dparams, jax.jit(jax.grad(plain_cost))(params))
singles = jaxmlp.example_gradients(params, X, Y, net)
mean_gap = largest_gap(jax.tree.map(lambda g: g.mean(axis=0), singles), dparams)

# %% one update
rate = 0.1
updated = jax.tree.map(lambda p, dp: p - rate * dp, params, dparams)
falls = float(J - jaxmlp.cost(updated, X, Y, net))

with picture("blocks.png", 1, size=(5.6, 3.4)) as (axes,):
    jaxmlp.plots.draw_blocks(axes, 3)

# %% What was claimed
# fmt: off
claim("2.29", TRUE, "A block: forward keeps a cache, backward turns dA into dA of the layer below, dW and db",
      f"{block_gap:.0e}; the caches take {cache_bytes} bytes", block_gap < 1e-15)
claim("2.30", TRUE, "The recursion from dz of layer l+1 to dz of layer l is the heart of it", f"{block_gap:.0e}",
      block_gap < 1e-15)
claim("3.7", TRUE, "dZ = dA * g'(Z), dW, db, dA_prev = Wᵀ dZ, for every layer down to the first",
      f"{autodiff_gap:.0e} from autodiff", max(block_gap, autodiff_gap) < 1e-14)
claim("2.23", TRUE, "Backward of one example and of m: six equations; m examples average",
      f"{block_gap:.0e}, {mean_gap:.0e}", max(block_gap, mean_gap) < 1e-14)
claim("4.21", TRUE, "The tables of formulas for one example and for m", f"{mean_gap:.0e}, {autodiff_gap:.0e}",
      max(mean_gap, autodiff_gap) < 1e-14)
claim("0.22", TRUE, "The update is gradient descent, repeated; a small step lowers the cost",
      f"J falls by {falls:.5f} at α = {rate}", falls > 0)
claim("4.20", TRUE, "Equation 4: b ← b - α ∂L/∂b, w ← w - α ∂L/∂w", f"J falls by {falls:.5f}", falls > 0)
