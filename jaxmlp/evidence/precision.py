"""float64 for the checks, whatever precision the process uses."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import jax

# The flag of the whole process is one value: two checks at a time would restore each other's.
_PROCESS_FLAG = threading.RLock()  # reentrant: a check in float64 sets the flag again for its float32 rows


@contextmanager
def float64() -> Iterator[None]:
    """Let JAX compute in float64 within the block, on the CPU where there is one, and restore the process afterwards.

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
        device = cpu_device()
        if device is not None:  # TPUs have no float64, and small programs run faster on a CPU
            stack.enter_context(jax.default_device(device))
        yield


@contextmanager
def x64_in_every_thread(enabled: bool) -> Iterator[None]:
    """Set JAX's x64 flag for every thread of the process within the block: XLA runs host callbacks on its own threads.

    >>> import jax.numpy as jnp
    >>> with x64_in_every_thread(False):
    ...     print(jnp.ones(1).dtype)
    float32
    """
    with _PROCESS_FLAG:
        before = _flag_of_other_threads()
        jax.config.update("jax_enable_x64", enabled)
        try:
            with jax.enable_x64(enabled):  # a value that this thread has set hides that of the process
                yield
        finally:
            jax.config.update("jax_enable_x64", before)


def _flag_of_other_threads() -> bool:
    """Return the value of the process, which a value of this thread may hide."""
    values: list[bool] = []
    # a new thread has set nothing of its own
    thread = threading.Thread(target=lambda: values.append(bool(jax.config.read("jax_enable_x64"))))
    thread.start()
    thread.join()
    return values[0]


def cpu_device() -> Any:
    """Return the first CPU device; None in a process whose JAX_PLATFORMS leaves it out."""
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:
        return None
