"""Compiled programs are kept from one command to the next, in the user's cache folder.

    JAXMLP_CACHE=off              keeps nothing
    JAXMLP_CACHE=FOLDER           keeps them there; without it, where the system keeps caches: ~/.cache/jaxmlp on Linux
    JAX_COMPILATION_CACHE_DIR     is JAX's own setting, and left alone where it is set

The folder is bounded: what was used longest ago goes first.
"""

import os
from pathlib import Path

VARIABLE = "JAXMLP_CACHE"
LARGEST = 256 * 2**20  # bytes; a command leaves about one MB


def switch_on() -> Path | None:
    """Let JAX keep its compiled programs, and return the folder; None where that is not wanted or not possible."""
    import jax

    wish = os.environ.get(VARIABLE, "")
    if wish.lower() in ("off", "0", "no", "false") or jax.config.jax_compilation_cache_dir:
        return None
    folder = Path(wish) if wish else _usual()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # a cache is a convenience: without a place for it the command does its work all the same
        return None
    if not os.access(folder, os.W_OK):
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_compilation_cache_max_size", LARGEST)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    return folder


def _usual() -> Path:
    import platformdirs

    return platformdirs.user_cache_path("jaxmlp", appauthor=False)
