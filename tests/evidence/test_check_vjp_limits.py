"""check_vjp at its limits: zeros, kinks, what JAX cannot, and what bwd returns that JAX drops."""

import functools
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmlp.errors import InputError, InputTypeError
from jaxmlp.evidence.vjp.check_vjp import check_vjp

RNG = np.random.default_rng(2)


def rule(fun, fwd, bwd, **how):
    """A custom_vjp in one expression."""
    nondiff = how.pop("nondiff_argnums", ())
    decorated = jax.custom_vjp(fun, nondiff_argnums=nondiff)
    decorated.defvjp(fwd, bwd, **how)
    return decorated


def elementwise(fun, derivative):
    """The rule u f'(x)."""
    return rule(fun, lambda x: (fun(x), x), lambda x, u: (u * derivative(x),))


def rows_of(report, check, where=None):
    return [row for row in report.rows if row.check == check and where in (None, row.where)]


def failed(report):
    return {row.check for row in report.failures}


# --- the rules to come ------------------------------------------------------------------------------------------------

AHEAD = """
import jax, jax.numpy as jnp, numpy as np
from jaxmlp import check_vjp
from jaxmlp.evidence.vjp.undecorated import undecorated

def sine(derivative, **how):
    f = jax.custom_vjp(jnp.sin)
    f.defvjp(lambda x: (jnp.sin(x), x), lambda x, u: (u * derivative(x),))
    return f

right, wrong = sine(jnp.cos), sine(lambda x: 1.001 * jnp.cos(x))
twice = sine(lambda x: jnp.cos(jax.lax.stop_gradient(x)))
for f in (wrong, jax.jit(wrong), lambda x: jax.vmap(wrong)(x[None])[0], jax.vmap(jax.vmap(wrong), in_axes=1)):
    x = jnp.ones((2, 3))
    y, back = jax.vjp(undecorated(f), x)
    np.testing.assert_allclose(y, f(x))
    np.testing.assert_allclose(*jnp.broadcast_arrays(back(jnp.ones_like(y))[0], jnp.cos(1.0)), rtol=1e-6)
scanned = lambda x: jax.lax.scan(lambda c, _: (wrong(c), None), x, None, length=1)[0]
np.testing.assert_allclose(jax.grad(undecorated(scanned))(0.5), jnp.cos(0.5), rtol=1e-6)
for f in (right, wrong, twice):
    report = check_vjp(f, np.array([0.3, 0.4]))
    print(*sorted({row.check for row in report.failures}), sep=", ")
"""


@pytest.mark.skipif(not hasattr(jax.config, "jax_custom_vjp3"), reason="JAX before jax-ml/jax#34548")
def test_a_rule_is_not_its_own_witness_ahead_of_time():
    environment = os.environ | {"JAX_CUSTOM_VJP3": "1", "XLA_FLAGS": ""}
    done = subprocess.run([sys.executable, "-c", AHEAD], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    right, wrong, twice = done.stdout.splitlines()
    assert right == ""
    assert "gradient" in wrong.split(", ")
    assert twice == "forward over reverse, reverse over reverse"
