"""Training under the promotion of dtypes that users have."""

import jax
import pytest


@pytest.fixture(autouse=True, scope="module")
def standard_promotion():
    """Optax raises a Python float to the power of an int32 step count, which strict promotion refuses."""
    with jax.numpy_dtype_promotion("standard"):
        yield
