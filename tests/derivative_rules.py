"""Derivative rules in one expression, for the tests of `check_vjp`."""

import jax


def rule(fun, fwd, bwd, *, nondiff_argnums=(), **options):
    """Return a custom_vjp of fun; the other options are those of `defvjp`."""
    decorated = jax.custom_vjp(fun, nondiff_argnums=nondiff_argnums)
    decorated.defvjp(fwd, bwd, **options)
    return decorated
