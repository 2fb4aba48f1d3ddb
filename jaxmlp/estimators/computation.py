"""Where an estimator computes, and in which precision."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import jax
import numpy as np

from jaxmlp.errors import InputError, sentence


def precision_of(estimator: Any, dtype: np.dtype) -> str:
    """Return the precision to train in: by default that of the rows, and float32 on an accelerator."""
    if estimator.precision != "auto":
        return estimator.precision
    return "float64" if dtype == np.float64 and platform_of(estimator) == "cpu" else "float32"


def platform_of(estimator: Any) -> str:
    """Return "cpu", "gpu" or "tpu", where the estimator runs.

    Raises:
      InputError: for a platform that JAX does not find here.
    """
    if estimator.device is None:
        return jax.default_backend()
    return _device(estimator.device).platform


def _device(name: str) -> Any:
    try:
        return jax.devices(name)[0]
    except (RuntimeError, TypeError, AttributeError):
        known = ", ".join(sorted({device.platform for device in jax.devices()} | {"cpu"}))
        remedy = "leave it out for JAX's own choice"
        raise InputError(sentence("device", f"one of the devices here ({known})", repr(name), remedy)) from None


@contextmanager
def computing(estimator: Any, dtype: Any) -> Iterator[None]:
    """Let JAX compute on the estimator's device, with float64 switched on where its numbers are of that precision."""
    with ExitStack() as stack:
        stack.enter_context(jax.enable_x64(np.dtype(dtype) == np.float64))
        # optax multiplies its counts with Python numbers, which the strict promotion of some users refuses
        stack.enter_context(jax.numpy_dtype_promotion("standard"))
        if estimator.device is not None:
            stack.enter_context(jax.default_device(_device(estimator.device)))
        yield
