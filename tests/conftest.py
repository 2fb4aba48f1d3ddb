"""Strict numerics for every test: float64, no silent promotion of dtypes or ranks, eight CPU devices."""

import gc
import os
from pathlib import Path

import jax
import numpy as np
import pytest

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["JAXMLP_CACHE"] = "off"  # commands under test leave nothing in the user's folders
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


MOST_MAPPINGS = 15_000


@pytest.fixture(scope="module", autouse=True)
def compiled_programs_of_a_module():
    """Let the programs of a file go once there are many: each has mappings of memory, and Linux allows 65,530."""
    yield
    try:
        mappings = Path("/proc/self/maps").read_text(encoding="ascii", errors="replace").count("\n")
    except OSError:  # no Linux
        return
    if mappings > MOST_MAPPINGS:
        jax.clear_caches()
        gc.collect()


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Where the images and tables lie that are not part of the project: $JAXMLP_DATA or ../shared/data."""
    repository = Path(__file__).resolve().parent.parent
    for place in (os.environ.get("JAXMLP_DATA"), repository.parent / "shared" / "data"):
        if place and Path(place).is_dir():
            return Path(place)
    pytest.skip("neither $JAXMLP_DATA nor ../shared/data is there")


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers, the same in every run."""
    return np.random.default_rng(0)
