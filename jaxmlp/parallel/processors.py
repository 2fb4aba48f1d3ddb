"""The processors that compute: the cores of this process, and whether an accelerator takes the work."""

import os
from typing import Any

import jax


def n_processors() -> int:
    """Return how many cores this process may use."""
    # Linux alone has it: the cores that taskset, Slurm or a container leave to this process
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def on_cpu() -> bool:
    """Whether programs run on the CPU: JAX's default device, or the one that `jax.default_device` has set.

    >>> with jax.default_device("cpu"):
    ...     on_cpu()
    True
    """
    config: Any = jax.config  # whose attributes a type checker does not see
    device = config.jax_default_device
    return (getattr(device, "platform", device) or jax.default_backend()) == "cpu"  # a device, a name, or None
