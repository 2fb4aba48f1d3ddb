"""The examples run and assert what they claim."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
SCRIPTS = {
    "published.py": ["--fast"],
    "benchmarks/import_time.py": ["--rounds", "2"],
    "benchmarks/streaming.py": ["--fast"],
    "benchmarks/digits.py": ["--epochs", "2", "--rounds", "2"],
    "benchmarks/population.py": ["--fast", "--rounds", "1"],
}


def run(script, *arguments):
    command = [sys.executable, str(EXAMPLES / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize("script", SCRIPTS)
def test_script(script):
    done = run(script, *SCRIPTS[script])
    assert done.returncode == 0, done.stderr


def test_every_script_is_run():
    assert {path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.rglob("*.py")} == set(SCRIPTS)


def test_published_runs_on_the_cats(data_folder):
    done = run("published.py", "--fast", "--cats", str(data_folder / "cat"))
    assert done.returncode == 0, done.stderr
    assert "cats, 12288-7-1" in done.stdout


def test_a_wrong_published_number_is_noticed(tmp_path, monkeypatch):
    published = json.loads((EXAMPLES / "published.json").read_text(encoding="utf-8"))
    published["he_initialisation_circles"]["costs"][1] *= 1 + 1e-9
    (tmp_path / "published.json").write_text(json.dumps(published), encoding="utf-8")
    (tmp_path / "published.py").write_text((EXAMPLES / "published.py").read_text(encoding="utf-8"), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("published_copy", tmp_path / "published.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.raises(AssertionError, match="circles"):
        module.circles(fast=True)
