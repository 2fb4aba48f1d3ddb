"""24. Products and broadcasting: two products of matrices, and what NumPy does with shapes that differ.

    python examples/lessons/24_broadcasting.py [--fast]

The matrix product · needs (n, k) and (k, m). The product of entries, × or ⊙, needs equal shapes, or shapes that NumPy makes
equal by repeating rows or columns. That is broadcasting. Its rule: compare the sizes from the right; each pair must be
equal, or one of the two must be 1. What fits by accident is added silently, which is the commonest way to a wrong db.
"""

import jax
import numpy as np
from course import TRUE, claim, start

import jaxmlp

start(__doc__)
rng = np.random.default_rng(0)

# %% two products
P, Q = np.array([[1, 2], [3, 4]]), np.array([[-1, -2], [-3, -4]])
primes = {"W": (3, 2), "A": (2, 5), "dZ": (3, 5)}  # sizes that all differ: the wrong product is refused
W, A5, dZ = (rng.normal(size=shape) for shape in primes.values())
try:
    _ = W * A5
    refused = False
except ValueError:
    refused = True


# %% broadcasting: from the right, each pair of sizes is equal or one of them is 1
def broadcasts(left, right):
    """Whether NumPy adds arrays of these shapes."""
    try:
        _ = np.zeros(left) + np.zeros(right)
    except ValueError:
        return False
    return True


pairs = [
    ((3, 4), (3, 1)),
    ((3, 4), (1, 4)),
    ((3, 4), (4,)),
    ((3, 1), (1, 4)),
    ((3, 4), (3,)),
    ((2, 3), (3, 2)),
    ((3, 1), (4,)),
]
rule = [all(m == n or 1 in (m, n) for m, n in zip(left[::-1], right[::-1], strict=False)) for left, right in pairs]
as_numpy = [broadcasts(*pair) for pair in pairs]
no_equal_size = broadcasts((3, 1), (1, 4))  # nothing equal, and yet it works
one_equal_size = broadcasts((3, 4), (3,))  # a size is equal, and yet it fails

# %% rank 1: b (n, 1) - db (n,) is (n, n), and jaxmlp refuses it
v = rng.normal(size=5)
db = dZ.sum(axis=1)
silent = (np.zeros((3, 1)) - db).shape
column = (np.zeros((3, 1)) - dZ.sum(axis=1, keepdims=True)).shape
net = jaxmlp.Network((3, 4, 1), "tanh", "sigmoid")
try:
    jaxmlp.forward(jaxmlp.init(jax.random.key(0), net), rng.normal(size=3), net)
    refusal = ""
except ValueError as error:
    refusal = str(error)

# %% What was claimed
# fmt: off
claim("0.21", TRUE, "· is the matrix product and × the product of entries",
      f"W (3, 2), A (2, 5): {(W @ A5).shape}; entry by entry refused: {refused}", (W @ A5).shape == (3, 5) and refused)
claim("1.9", TRUE, "The Hadamard product multiplies entry by entry", str((P * Q).tolist()),
      (P * Q).tolist() == [[-1, -4], [-9, -16]])
claim("4.14", TRUE, "The example: AB = [[-7, -10], [-15, -22]], A ⊙ B = [[-1, -4], [-9, -16]]", str((P @ Q).tolist()),
      (P @ Q).tolist() == [[-7, -10], [-15, -22]])
claim("2.13", TRUE, "Broadcasting lets different shapes be added", f"{sum(as_numpy)} of {len(pairs)} pairs",
      any(as_numpy))
claim("E18", "WRONG → from the right, sizes are equal or 1", "Broadcasting needs at least one equal dimension",
      f"(3, 1) + (1, 4) works, (3, 4) + (3,) does not; the rule predicts {sum(a == b for a, b in zip(rule, as_numpy, strict=True))} of {len(pairs)}",
      rule == as_numpy and no_equal_size and not one_equal_size)
claim("2.14", TRUE, "Avoid arrays of rank 1: use (5, 1) and check shapes",
      f"v.T has shape {v.T.shape}; jaxmlp: {refusal}",
      v.T.shape == v.shape and "reshape one example with X.reshape(3, 1)" in refusal)
claim("E3", "WRONG → keepdims=True", "db = 1/m np.sum(dZ, axis=1)", f"b - db has shape {silent} in place of {column}",
      silent == (3, 3) and column == (3, 1))
