"""Compiled programs are kept between commands, where the user wishes, or not at all."""

import os
import subprocess
import sys

import jax
import pytest

from jaxmlp.cli import compilation_cache

COMMAND = [sys.executable, "-m", "jaxmlp", "train", "xor", "--hidden", "4", "--epochs", "2", "--json"]


SETTINGS = (compilation_cache.VARIABLE, "JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS")


@pytest.fixture(autouse=True)
def no_folder():
    """Take away the folder in which the tests share their programs."""
    before = getattr(jax.config, "jax_compilation_cache_dir", None)
    jax.config.update("jax_compilation_cache_dir", None)
    yield
    jax.config.update("jax_compilation_cache_dir", before)


def train(place, **variables):
    """A command in a process of its own; its answer without the seconds."""
    environment = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    done = subprocess.run(
        COMMAND, cwd=place, env=environment | variables, capture_output=True, text=True, check=True
    ).stdout
    return [part for part in done.split(", ") if "seconds" not in part and '"run"' not in part]


def programs(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*") if path.name.endswith("-cache")}


@pytest.mark.slow
def test_programs_are_kept_and_found_again(tmp_path):
    cache = tmp_path / "cache" / "jaxmlp"
    first = train(tmp_path, JAXMLP_CACHE=str(cache))
    kept = programs(cache)
    assert any(name.startswith("jit_block") for name in kept)
    assert train(tmp_path, JAXMLP_CACHE=str(cache)) == first
    assert programs(cache) == kept


def test_the_usual_place_is_the_users_and_off_is_off(tmp_path, monkeypatch):
    monkeypatch.delenv("JAXMLP_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    changed = {}
    monkeypatch.setattr("jax.config.update", changed.__setitem__)
    folder = compilation_cache.enable()
    assert folder is not None
    assert folder.is_dir()
    assert "jaxmlp" in folder.parts
    assert changed["jax_compilation_cache_dir"] == str(folder)
    assert changed["jax_compilation_cache_max_size"] == compilation_cache.MAX_BYTES
    for off in ("off", "0"):
        monkeypatch.setenv("JAXMLP_CACHE", off)
        assert compilation_cache.enable() is None


def test_a_folder_that_jax_was_given_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.delenv("JAXMLP_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "usual"))
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "own"))
    assert compilation_cache.enable() is None
    assert getattr(jax.config, "jax_compilation_cache_dir", None) == str(tmp_path / "own")
    assert not (tmp_path / "usual").exists()


@pytest.mark.parametrize("place", ["a file", "read-only"])
def test_without_a_place_the_command_does_its_work(place, tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    if place == "a file":
        folder.write_text("")
    else:
        folder.mkdir()
        monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setenv("JAXMLP_CACHE", str(folder))
    assert compilation_cache.enable() is None
