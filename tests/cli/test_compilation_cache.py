"""Compiled programs are kept between commands, where the user wishes, or not at all."""

import os
import subprocess
import sys

import jax
import pytest

from jaxmlp.cli import compilation_cache

COMMAND = [sys.executable, "-m", "jaxmlp", "train", "xor", "--hidden", "4", "--epochs", "2", "--json"]


def train(place, **variables):
    """A command in a process of its own; its answer without the seconds."""
    environment = {name: value for name, value in os.environ.items() if name != compilation_cache.VARIABLE}
    done = subprocess.run(
        COMMAND, cwd=place, env=environment | variables, capture_output=True, text=True, check=True
    ).stdout
    return [part for part in done.split(", ") if "seconds" not in part and '"run"' not in part]


def programs(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*") if path.name.endswith("-cache")}


def test_programs_are_kept_and_found_again(tmp_path):
    cache = tmp_path / "cache" / "jaxmlp"
    first = train(tmp_path, JAXMLP_CACHE=str(cache))
    kept = programs(cache)
    assert any(name.startswith("jit_epoch") for name in kept)
    assert train(tmp_path, JAXMLP_CACHE=str(cache)) == first
    assert programs(cache) == kept


def test_the_usual_place_is_the_users_and_off_is_off(tmp_path, monkeypatch):
    monkeypatch.delenv("JAXMLP_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    changed = {}
    monkeypatch.setattr("jax.config.update", changed.__setitem__)
    folder = compilation_cache.switch_on()
    assert folder is not None
    assert folder.is_dir()
    assert "jaxmlp" in folder.parts
    assert changed["jax_compilation_cache_dir"] == str(folder)
    assert changed["jax_compilation_cache_max_size"] == compilation_cache.LARGEST
    for off in ("off", "0"):
        monkeypatch.setenv("JAXMLP_CACHE", off)
        assert compilation_cache.switch_on() is None


def test_a_folder_that_jax_was_given_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.delenv("JAXMLP_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "usual"))
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "own"))
    try:
        assert compilation_cache.switch_on() is None
        assert jax.config.jax_compilation_cache_dir == str(tmp_path / "own")
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
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
    assert compilation_cache.switch_on() is None
