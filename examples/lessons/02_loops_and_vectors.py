"""2. Loops and vectors: the same numbers, at very different speed.

    python examples/lessons/02_loops_and_vectors.py [--fast]

The gradient of logistic regression can be written as a loop over m examples with a loop over n features inside, or as two
products: Z = w X + b, with w (1, n) and X (n, m), and dw = dZ Xᵀ/m. For the cross-entropy dZ = A - Y. Python decides at
every turn of a loop what + means; a product of matrices is decided once, and then runs as machine code.
"""

import time

import jax
import numpy as np
from course import TRUE, claim, columns, descend, start

import jaxmlp

fast = start(__doc__)
rng = np.random.default_rng(0)


# %% the course's loops over examples and features, and its vectors
def with_loops(w, b, X, Y):
    """J, dw (n,) and db as the pseudo-code has them; w is (n,)."""
    n, m = X.shape
    J, dw, db = 0.0, np.zeros(n), 0.0
    for i in range(m):
        z = b
        for j in range(n):
            z += w[j] * X[j, i]
        a = 1 / (1 + np.exp(-z))
        J += -(Y[0, i] * np.log(a) + (1 - Y[0, i]) * np.log(1 - a))
        for j in range(n):
            dw[j] += X[j, i] * (a - Y[0, i])
        db += a - Y[0, i]
    return J / m, dw / m, db / m


def with_vectors(w, b, X, Y):
    """The same in NumPy: Z = w X + b, dZ = A - Y."""
    A = 1 / (1 + np.exp(-(np.dot(w, X) + b)))
    dZ = A - Y
    J = -np.mean(Y * np.log(A) + (1 - Y) * np.log(1 - A))
    return J, np.dot(dZ, X.T)[0] / X.shape[1], np.sum(dZ) / X.shape[1]


def seconds(function, *arguments):
    """The least time of three calls."""
    times = []
    for _ in range(3):
        began = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        times.append(time.perf_counter() - began)
    return min(times)


# %% one pass over random numbers, three times: loops, vectors, jaxmlp
n, m = (20, 2000) if fast else (50, 20000)
X, Y, w = rng.normal(size=(n, m)), rng.integers(0, 2, (1, m)).astype(float), rng.normal(size=n) / 10
looped, vectorised = with_loops(w, 0.1, X, Y), with_vectors(w, 0.1, X, Y)
loop_gap = max(np.abs(np.subtract(a, b)).max() for a, b in zip(looped, vectorised, strict=True))
net = jaxmlp.Network((n, 1), output="sigmoid")
J, dparams = jaxmlp.backprop(({"W": w[None, :], "b": np.full((1, 1), 0.1)},), X, Y, net)
vector_gap = max(np.abs(dparams[0]["W"][0] - vectorised[1]).max(), abs(float(J) - vectorised[0]))
loop_seconds, vector_seconds = seconds(with_loops, w, 0.1, X, Y), seconds(with_vectors, w, 0.1, X, Y)
speedup = loop_seconds / vector_seconds
print(f"X {X.shape}: loops {loop_seconds:.4f} s, vectors {vector_seconds:.6f} s")

# %% a thousand iterations of the vectorised loop, beside ours. The loop over iterations stays: each needs the one before
X2, Y2 = columns("moons")
w2, b2 = np.zeros((1, 2)), 0.0
for _ in range(1000):
    _, dw, db = with_vectors(w2, b2, X2, Y2)
    w2, b2 = w2 - 0.1 * dw, b2 - 0.1 * db
small = jaxmlp.Network((2, 1), output="sigmoid")
thousand, _ = descend(jaxmlp.init_numpy(small, initializer="zeros"), X2, Y2.astype(float), small, 0.1, 1000)
thousand_gap = max(np.abs(thousand[0]["W"] - w2).max(), np.abs(thousand[0]["b"] - b2).max())

# %% What was claimed
# fmt: off
claim("2.8", TRUE, "For the cross-entropy dz = a - y, dw = x dz and db = dz", f"{vector_gap:.0e}", vector_gap < 1e-13)
claim("2.10", TRUE, "Vectors in place of loops: the same numbers, many times faster",
      f"{speedup:.0f} times ({m} x {n})", speedup > 20)
claim("2.11", TRUE, "Vectorised: Z = wᵀX + b, dZ = A - Y, dw = X dZᵀ/m, db = Σ dZ/m", f"{vector_gap:.0e}",
      vector_gap < 1e-13)
claim("2.12", TRUE, "The pseudo-code with loops and the vectorised loop of 1000 iterations compute the same",
      f"{loop_gap:.0e} and {thousand_gap:.0e}", max(loop_gap, thousand_gap) < 1e-12)
