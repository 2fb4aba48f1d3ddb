"""Precision: float64 for the checks, whatever the process uses, and without changing it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import jax


@contextmanager
def float64() -> Iterator[None]:
    """Within the block JAX computes in float64, on the CPU where there is one; afterwards the process is as it was.

    >>> import jax.numpy as jnp
    >>> before = jnp.ones(1).dtype
    >>> with float64():
    ...     print(jnp.ones(1).dtype)
    float64
    >>> jnp.ones(1).dtype == before
    True
    """
    with ExitStack() as stack:
        stack.enter_context(jax.enable_x64(True))
        host = cpu()
        if host is not None:  # TPUs have no float64, and small programs run faster here
            stack.enter_context(jax.default_device(host))
        yield


def cpu() -> Any:
    """The first CPU device; None in a process whose JAX_PLATFORMS leaves it out."""
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:
        return None
