"""Strict numerics for every test: float64, no silent promotion of dtypes or ranks, eight CPU devices.

Most of the time of the tests is compilation, so XLA compiles quickly instead of well, and the processes of a run share
their programs in a folder. Set XLA_FLAGS, if only to nothing, for programs as users have them.
"""

import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

os.environ.setdefault("SCIPY_ARRAY_API", "1")  # read when SciPy is imported: a check of scikit-learn asks for it

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
MAX_PROGRAM_BYTES = 500 * 2**20  # a whole run leaves about 60 MB

# The state of each module's RNG once the module has been imported.
FIRST_STATES: dict[ModuleType, Any] = {}

# No LLVM optimization, and loops written out by hand instead of through MLIR: a training program compiles in a fifth of
# the time.
QUICK_XLA_FLAGS = ("--xla_backend_optimization_level=0", "--xla_cpu_use_fusion_emitters=false")


def pytest_configure(config: pytest.Config) -> None:
    """Choose, before any process compiles, how and where to: the workers and commands under test inherit it."""
    if hasattr(config, "workerinput"):
        return
    if "XLA_FLAGS" not in os.environ:
        os.environ["XLA_FLAGS"] = " ".join(accepted_flags())
    folder = config.rootpath / ".pytest_cache" / "programs"
    if folder.is_dir() and sum(file.stat().st_size for file in folder.iterdir()) > MAX_PROGRAM_BYTES:
        shutil.rmtree(folder)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


@pytest.hookimpl(tryfirst=True)  # before pytest leaves out what is slow
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow the parameters that `@pytest.mark.quick` of their test does not name."""
    for item in items:
        quick = item.get_closest_marker("quick")
        if quick is not None and item.name.partition("[")[2].removesuffix("]") not in quick.args:
            item.add_marker("slow")


def accepted_flags() -> Sequence[str]:
    """Return the quick flags that this version of XLA knows: JAX 0.12 has no other emitters to turn off."""
    if xla_accepts(QUICK_XLA_FLAGS):
        return QUICK_XLA_FLAGS
    return [flag for flag in QUICK_XLA_FLAGS if xla_accepts([flag])]


def xla_accepts(flags: Sequence[str]) -> bool:
    """Whether this version of XLA knows the flags; a process with an unknown flag ends at once."""
    code, environment = "from jaxlib import xla_client; xla_client.make_cpu_client()", {"XLA_FLAGS": " ".join(flags)}
    return not subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True
    ).returncode


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


@pytest.fixture(autouse=True)
def numbers_in_any_order(request: pytest.FixtureRequest) -> None:
    """Begin the generator `RNG` of a module anew, so that a test draws the same numbers whichever tests ran before."""
    generator = getattr(request.module, "RNG", None)
    if generator is not None:
        generator.bit_generator.state = FIRST_STATES.setdefault(request.module, generator.bit_generator.state)


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers, the same in every run."""
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def as_users_have_it():
    """float32 and the promotion of dtypes that users have."""
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """Write a table in text, and return its path."""

    def write(text: str | bytes, name: str = "t.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write
