"""The examples run and assert what they claim."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from marks import slow_except
from script_modules import load_script

EXAMPLES = Path(__file__).parent.parent / "examples"
SCRIPTS = {
    "training_script.py": ["--fast"],
    "custom_vjp.py": ["--fast"],
    "notebook.py": [],
    "grading.py": [],
    "published.py": ["--fast"],
    "tables.py": ["--fast"],
    "killed.py": ["--fast"],
    "fuzz.py": ["all", "--runs", "30"],
    "faults.py": ["--fast"],
    "soak.py": ["--fast"],
    "benchmarks/import_time.py": ["--rounds", "2"],
    "benchmarks/streaming.py": ["--fast"],
    "benchmarks/digits.py": ["--epochs", "2", "--rounds", "2"],
    "benchmarks/population.py": ["--fast", "--rounds", "1"],
    "benchmarks/compare.py": ["--fast", "--workloads", "planar", "--peers", "sklearn,scan"],
    "benchmarks/prediction.py": ["--fast", "--peers", "sklearn"],
    "benchmarks/first_fit.py": ["--fast"],
    "benchmarks/backward.py": ["--fast", "--activations", "relu,maxout"],
    "benchmarks/growth.py": ["--fast", "--tables", "rows"],
    "benchmarks/regression.py": ["--fast", "--workloads", "small", ".", "."],
    "benchmarks/estimators.py": ["--fast"],
    "benchmarks/accelerator.py": ["--fast", "--sections", "wide"],
}


def run(script, *arguments):
    command = [sys.executable, str(EXAMPLES / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=EXAMPLES.parent)


@pytest.mark.slow
@pytest.mark.parametrize("script", slow_except(SCRIPTS, "published.py"))
def test_script(script):
    done = run(script, *SCRIPTS[script])
    assert done.returncode == 0, done.stderr


def test_every_script_is_run():
    texts = {path: path.read_text(encoding="utf-8") for path in EXAMPLES.rglob("*.py") if path.parent.name != "lessons"}
    commands = {path for path, text in texts.items() if "__main__" in text or "argparse.ArgumentParser(" in text}
    # the lessons and their ledger run in test_course.py
    assert {path.relative_to(EXAMPLES).as_posix() for path in commands} == {*SCRIPTS, "ledger.py"}


@pytest.mark.slow
def test_the_comparison_lists_each_peer_with_equal_costs():
    done = run("benchmarks/compare.py", "--fast", "--workloads", "digits", "--peers", "loop,numpy", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [*found["peers"]] == ["jaxmlp", "loop", "numpy"]
    assert found["steps"] == 2 * 7  # 200 rows in batches of 32, two epochs
    ours, loop, numpy = found["peers"].values()
    assert ours["ratio"]["median"] == 1.0
    assert loop["cost"] == pytest.approx(ours["cost"], rel=0.05)
    assert numpy["cost"] == pytest.approx(ours["cost"], rel=0.05)
    assert found["limit"]["gflops"] > 0


def test_an_unknown_name_is_an_error_of_one_line():
    done = run("benchmarks/compare.py", "--workloads", "smal")
    assert done.returncode == 1
    assert done.stderr.startswith("error: --workloads expects some of small, planar,")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_published_py_trains_on_the_cats(data_folder):
    done = run("published.py", "--fast", "--cats", str(data_folder / "cat"))
    assert done.returncode == 0, done.stderr
    assert "cats, 12288-7-1" in done.stdout


@pytest.mark.slow
def test_a_wrong_published_number_is_noticed(tmp_path, monkeypatch):
    published = json.loads((EXAMPLES / "published.json").read_text(encoding="utf-8"))
    published["he_initialisation_circles"]["costs"][1] *= 1 + 1e-9
    (tmp_path / "published.json").write_text(json.dumps(published), encoding="utf-8")
    (tmp_path / "published.py").write_text((EXAMPLES / "published.py").read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(AssertionError, match="circles"):
        load_script(tmp_path / "published.py").circles(fast=True)
