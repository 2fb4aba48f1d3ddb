"""A folder of compiled programs, which a command reuses from earlier ones. An environment variable controls it:

    JAXMLP_CACHE=off              no folder
    JAXMLP_CACHE=FOLDER           this folder; without it the system's cache folder: ~/.cache/jaxmlp on Linux
    JAX_COMPILATION_CACHE_DIR     JAX's own setting, which takes precedence

The size of the folder is bounded: JAX removes the programs that were not used for the longest time. A program is
machine code, and a flipped bit in it crashes the process: in our folder each has a checksum, and one that was damaged
is removed and compiled again.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from jaxmlp.data.checksum import seal, unseal

VARIABLE = "JAXMLP_CACHE"
JAX_VARIABLE = "JAX_COMPILATION_CACHE_DIR"
MAX_BYTES = 256 * 2**20  # a command adds about one MB


def enable() -> Path | None:
    """Let JAX reuse compiled programs, and return their folder; None if the cache is off or has no place."""
    import jax

    setting = os.environ.get(VARIABLE, "")
    own = getattr(jax.config, "jax_compilation_cache_dir", None)
    if own and not _is_writable(Path(own)):
        # JAX would say so once for each program
        click.echo(
            f"warning: {JAX_VARIABLE} names a folder that cannot be written: programs are compiled anew", err=True
        )
        jax.config.update("jax_compilation_cache_dir", None)
    if setting.lower() in ("off", "0", "no", "false") or own:
        return None
    folder = Path(setting) if setting else _default_folder()
    if not _is_writable(folder):  # the cache only saves time: a command works without it
        return None
    _check_entries(folder)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_compilation_cache_max_size", MAX_BYTES)
    # JAX leaves out programs that compile within a second, which are most of those of small networks
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    return folder


def _is_writable(folder: Path) -> bool:
    """Whether a folder is there, or can be made, and takes files."""
    if "://" in str(folder):  # a store of objects, which JAX can use
        return True
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def _default_folder() -> Path:
    import platformdirs

    return platformdirs.user_cache_path("jaxmlp", appauthor=False)


def _check_entries(folder: Path) -> None:
    """Give each program that JAX stores in our folder a checksum, and hand none over whose checksum does not fit."""
    try:
        from jax._src.lru_cache import LRUCache

        read, write = LRUCache.get, LRUCache.put
    except (ImportError, AttributeError):  # a later JAX, which keeps its programs otherwise
        return
    if getattr(LRUCache, "has_checksums", False):  # a second patch would seal what is sealed
        _folders.add(str(folder))
        return

    def get(self: Any, key: str) -> bytes | None:
        content = read(self, key)
        if content is None or str(self.path) not in _folders:  # a folder that is not ours has no seals
            return content
        body, is_whole = unseal(content)
        if is_whole:
            return body
        for suffix in ("-cache", "-atime"):  # the program, and when it was last used
            with suppress(OSError):
                (self.path / f"{key}{suffix}").unlink()
        return None

    def put(self: Any, key: str, value: bytes) -> None:
        write(self, key, seal(value) if str(self.path) in _folders else value)

    _folders.add(str(folder))
    LRUCache.get, LRUCache.put, LRUCache.has_checksums = get, put, True  # pyright: ignore[reportAttributeAccessIssue]


_folders: set[str] = set()
