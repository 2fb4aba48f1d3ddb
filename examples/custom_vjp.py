"""A derivative rule by hand: the dense block as a `custom_vjp`, checked against autodiff, with a fault planted in it.

    python examples/custom_vjp.py [--fast]

A = tanh(W A_prev + b) forward; BP2, BP3 and BP4 backward. `jax.grad` believes whatever the rule says, so a rule needs a
test that autodiff, central differences and every transformation of JAX take part in: `check_vjp` is that test.
"""

import argparse

import jax
import jax.numpy as jnp

import jaxmlp

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--fast", action="store_true", help="without the second run of the test bench")
fast = parser.parse_args().fast


# %% the function, as anybody would write it
def dense(W, b, A_prev):
    """W (n, n_prev), b (n, 1), A_prev (n_prev, m) -> A (n, m)."""
    return jnp.tanh(W @ A_prev + b)


# %% the same function with a rule: what forward keeps, and what backward makes of it
@jax.custom_vjp
def dense_by_hand(W, b, A_prev):
    """Compute what `dense` computes."""
    return dense(W, b, A_prev)


def forward(W, b, A_prev):
    A = dense(W, b, A_prev)
    return A, (W, A_prev, A)  # tanh' = 1 - A², so Z need not be kept


def backward(cache, dA):
    W, A_prev, A = cache
    dZ = dA * (1 - A * A)  # BP2
    return dZ @ A_prev.T, dZ.sum(axis=1, keepdims=True), W.T @ dZ  # BP4, BP3, and dA_prev for the layer below


dense_by_hand.defvjp(forward, backward)

# %% against autodiff: three derivatives of one scalar
keys = jax.random.split(jax.random.key(0), 3)
W, b, A_prev = (jax.random.normal(key, shape) for key, shape in zip(keys, ((4, 3), (4, 1), (3, 5)), strict=True))
by_autodiff = jax.grad(lambda *args: dense(*args).sum(), argnums=(0, 1, 2))(W, b, A_prev)
by_hand = jax.grad(lambda *args: dense_by_hand(*args).sum(), argnums=(0, 1, 2))(W, b, A_prev)
for name, ours, theirs in zip(("dW", "db", "dA_prev"), by_hand, by_autodiff, strict=True):
    print(f"{name:8} {ours.shape!s:8} largest difference from autodiff {jnp.abs(ours - theirs).max():.1e}")
    assert jnp.abs(ours - theirs).max() < 1e-5

# %% the whole test bench
report = jaxmlp.check_vjp(dense_by_hand, W, b, A_prev)
print(report)
assert report.passed


# %% a fault that no shape reveals: the square is missing in tanh' = 1 - A²
@jax.custom_vjp
def dense_with_fault(W, b, A_prev):
    """Compute what `dense` computes, with a wrong derivative."""
    return dense(W, b, A_prev)


def faulty_backward(cache, dA):
    W, A_prev, A = cache
    dZ = dA * (1 - A)
    return dZ @ A_prev.T, dZ.sum(axis=1, keepdims=True), W.T @ dZ


dense_with_fault.defvjp(forward, faulty_backward)
try:
    jaxmlp.assert_vjp(dense_with_fault, W, b, A_prev)
except AssertionError as error:
    print("planted fault:", *str(error).splitlines()[1:4], sep="\n  ")
else:
    raise AssertionError("the planted fault was not found")

# %% what a rule for reverse mode costs: forward mode has none
try:
    jax.jvp(dense_by_hand, (W, b, A_prev), (W, b, A_prev))
except TypeError as error:
    print("forward mode:", str(error).splitlines()[0])
else:
    raise AssertionError("JAX now pushes tangents through a custom_vjp: rewrite this cell")
# reverse over the rule, and forward over reverse, do work: the backward pass is ordinary JAX
tangent = jax.jvp(jax.grad(lambda W: dense_by_hand(W, b, A_prev).sum()), (W,), (jnp.ones_like(W),))[1]
expected = jax.jvp(jax.grad(lambda W: dense(W, b, A_prev).sum()), (W,), (jnp.ones_like(W),))[1]
assert jnp.abs(tangent - expected).max() < 1e-4


# %% in a test of your own: one line
def test_dense():
    """Raise an AssertionError with the table of failures, or pass."""
    jaxmlp.assert_vjp(dense_by_hand, W, b, A_prev)


if not fast:
    test_dense()
