"""Compile for one call: most of the time of a check is compilation, and each program runs once or a few times."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxmlp.parallel.processors import on_cpu

# No LLVM optimization, and loops written out instead of through MLIR: a fifth of the time of a compilation.
_OPTIONS = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}


def quick_jit(f: Callable[..., Any], **how: Any) -> Callable[..., Any]:
    """Return `jax.jit(f, **how)`, compiled without optimization on a CPU; call it outside of every other jit.

    >>> float(quick_jit(lambda x: 2 * x)(3.0))
    6.0
    """
    plain, quick = jax.jit(f, **how), None

    def call(*args: Any) -> Any:
        nonlocal quick
        if not on_cpu():
            return plain(*args)
        # here and not above: the default device may be another one when the function is called
        if quick is None:
            # JAX accepts compiler_options in the outermost jit only
            quick = jax.jit(f, compiler_options=compiler_options(), **how)
        return quick(*args)

    return call


def compiler_options() -> dict[str, Any]:
    """Return the options of a quick compilation; none for an accelerator."""
    return _accepted_options() if on_cpu() else {}


@functools.cache
def _accepted_options() -> dict[str, Any]:
    """Return the options that this version of XLA knows: JAX 0.12 has no other emitters to turn off."""
    if _accepts(_OPTIONS):
        return _OPTIONS
    return {name: value for name, value in _OPTIONS.items() if _accepts({name: value})}


def _accepts(options: dict[str, Any]) -> bool:
    try:
        jax.block_until_ready(jax.jit(lambda x: x + 1, compiler_options=options)(jnp.zeros(())))
    except jax.errors.JaxRuntimeError:  # "No such compile option"
        return False
    return True
