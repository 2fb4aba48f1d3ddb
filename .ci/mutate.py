"""Test the tests: change one operator or number of the code at a time, and see whether a test fails.

    python .ci/mutate.py [--sample 80] [--seed 0] [--pick 3,14]

The files are those of `nn`, the model file and the readers. A mutant has one change: a comparison, an arithmetic or
logical operator, a number by 1, True for False, `return None` in place of a value, or a `not` that is removed. A sample
of all mutants is drawn by the seed; each is written into a copy of the checkout, whose tests must pass, and the tests
of its module run until one fails, the quick ones first. A mutant that no test notices survives; the exit status is 1 if
more than a tenth does. Needs Linux: each runs in a fork of a process that has imported JAX and pytest, but not yet used
them, which saves their import. mutmut forks as well, but after the tests have run JAX, where a fork can hang;
cosmic-ray neither draws a sample nor chooses tests by the module.
"""

import argparse
import ast
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PATTERNS = ("nn/*.py", "inference/model_file.py", "data/readers/*.py")
SWAPS: dict[type, type] = {
    **{ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq},
    **{ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And},
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult},
    **{ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd},
    **{ast.LShift: ast.RShift, ast.RShift: ast.LShift},
}
# The tests of the files whose paths begin so, the longest beginning counts; the tests that find most come first.
READERS = ("data/test_formats", "data/test_readers", "data/test_load", "test_bad_input")
TEXT = ("data/test_csv", "data/test_formats", "tabular/test_files", "tabular/test_headers")
TEXT = (*TEXT, "tabular/test_unusual_tables", "tabular/test_number_signs", "tabular/test_odd_cells", "test_bad_input")
NETWORK = ("nn/test_network", "nn/test_gradients", "nn/test_regularization", "nn/test_members")
TESTS: dict[str, tuple[str, ...]] = {
    "inference/model_file": ("inference/test_golden_files", "inference/test_model", "test_bad_input"),
    "data/readers": READERS,
    "data/readers/first_record": TEXT,
    "data/readers/header": TEXT,
    "data/readers/number_formats": TEXT,
    "data/readers/unique_cells": TEXT,
    "data/readers/parquet": ("tabular/test_parquet", "test_bad_input"),
    "data/readers/csv": TEXT,
    "data/readers/hdf5": (*READERS, "test_foreign_files"),
    "data/readers/hdf5_": ("data/test_hdf5_checker", "test_bad_input", "test_foreign_files"),
    "data/readers/images": ("data/test_images", "data/test_formats", "test_foreign_files"),
    "data/readers/text": TEXT,
    "nn": NETWORK,
    "nn/activations": ("nn/test_activations", "nn/test_slopes", "nn/test_zoo", "test_readme"),
    "nn/augmentation": ("nn/test_regularization", "nn/test_layer_stacks", "nn/test_members"),
    "nn/checks": ("nn/test_network", "nn/test_costs", "nn/test_regularization", "nn/test_members"),
    "nn/compiled": ("nn/test_compiled", "nn/test_network"),
    "nn/costs": ("nn/test_costs", "nn/test_gradients"),
    "nn/dropout": ("nn/test_regularization",),
    "nn/initializers": ("nn/test_initializers", "nn/test_network"),
    "nn/layer_stacks": ("nn/test_layer_stacks", "training/test_stacked"),
    "nn/members": ("nn/test_members",),
    "nn/names": ("nn/test_activations", "nn/test_network", "nn/test_costs", "nn/test_initializers"),
    "nn/normalization": ("nn/test_regularization", "nn/test_gradients"),
    "nn/parametric": ("nn/test_parametric",),
    "nn/parameters": ("nn/test_passes", "nn/test_network", "nn/test_initializers"),
    "nn/passes": ("nn/test_passes", "nn/test_gradients"),
    "nn/penalties": ("nn/test_regularization", "nn/test_gradients"),
    "nn/program_store": ("nn/test_program_store", "training/test_compilations"),
    "nn/random_numbers": ("nn/test_random_numbers", "nn/test_initializers"),
    "nn/residuals": ("nn/test_costs", "nn/test_gradients", "nn/test_network", "nn/test_passes"),
    "nn/slopes": ("nn/test_slopes", "nn/test_activations"),
}
ENOUGH = 0.9  # of the mutants must be noticed: a few change nothing that could be
TIMEOUT = 240  # seconds for the tests of a mutant


class Mutant(NamedTuple):
    """A change: the file below the package, the line that it is in, and the whole text with it."""

    file: str
    line: int
    before: str
    after: str
    text: str


def changes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what may stand in the place of a node."""
    match node:
        case ast.Compare(left, [op], right) if type(op) in SWAPS:
            yield ast.Compare(left, [SWAPS[type(op)]()], right)
        case ast.BinOp(left, op, right) if type(op) in SWAPS:
            yield ast.BinOp(left, SWAPS[type(op)](), right)
        case ast.BoolOp(op, values):
            yield ast.BoolOp(SWAPS[type(op)](), values)
        case ast.UnaryOp(ast.Not(), operand):
            yield operand
        case ast.Constant(bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(int() | float() as value):
            yield from (ast.Constant(value + 1), ast.Constant(value - 1))
        case ast.Return(value) if value is not None and not (isinstance(value, ast.Constant) and value.value is None):
            yield ast.Return(ast.Constant(None))


def code_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes that run: no annotations, and no parts of texts, which begin at no place of their own."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns") or isinstance(node, ast.JoinedStr):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield child
                yield from code_nodes(child)


def mutants_of(file: str) -> list[Mutant]:
    """Return all mutants of a file."""
    source = (ROOT / "jaxmlp" / file).read_text(encoding="utf-8")
    lines, starts = source.splitlines(keepends=True), [0]
    for line in lines:
        starts.append(starts[-1] + len(line.encode()))
    content, mutants = source.encode(), []
    for node in code_nodes(ast.parse(source)):
        for change in changes(node):
            assert isinstance(node, ast.expr | ast.stmt)
            first = starts[node.lineno - 1] + node.col_offset
            last = starts[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)
            new = ast.unparse(ast.fix_missing_locations(change))
            new = new if isinstance(node, ast.stmt) else f"({new})"
            text = (content[:first] + new.encode() + content[last:]).decode()
            before = " ".join(content[first:last].decode().split())
            mutants.append(Mutant(file, node.lineno, before, new, text))
    return mutants


def tests_of(file: str) -> list[str]:
    """Return the tests of a file of the package, with those in its docstrings."""
    module = "jaxmlp." + file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    names = TESTS[max((key for key in TESTS if file.startswith(key)), key=len)]
    return [f"tests/test_docstrings.py::test_examples_run[{module}]", *(f"tests/{name}.py" for name in names)]


def in_child(copy: Path, file: str, marks: str, log: Path) -> None:
    """Run the tests of a file in this process, and end it with their exit status."""
    os.setsid()  # its own group, which can be ended as a whole
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.chdir(copy)
    sys.path.insert(0, str(copy))
    os.environ["PYTHONPATH"] = str(copy)  # for the processes that tests start
    import pytest

    os._exit(int(pytest.main(["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "-m", marks, *tests_of(file)])))


def run_tests(copy: Path, file: str, marks: str) -> tuple[str, str]:
    """Run the tests of a file in a fork of this process; return "survived", "killed" or "timeout", and what failed."""
    log = copy / "log"
    child = os.fork()
    if child == 0:
        try:
            in_child(copy, file, marks, log)
        except BaseException:
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(3)  # not the end of this process, which would remove the copy
    ends = time.monotonic() + TIMEOUT
    while time.monotonic() < ends:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            output, code = log.read_text(errors="replace"), os.waitstatus_to_exitcode(status)
            # neither a failed test nor an error of an import: pytest itself did not run
            if code in (3, 4) and "ERROR collecting" not in output:
                raise SystemExit(output)
            failed = re.search(r"^(?:FAILED|ERROR) (?:\S*/)?([^\s\[]+)", output, re.MULTILINE)
            return "survived" if code in (0, 5) else "killed", failed[1] if failed else ""
        time.sleep(0.05)
    os.killpg(child, 9)
    os.waitpid(child, 0)
    return "timeout", ""


def copy_of_checkout(place: Path) -> Path:
    """Copy the files that git knows."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, place / name)
    if (programs := ROOT / ".pytest_cache" / "programs").is_dir():  # that the tests of the checkout have compiled
        shutil.copytree(programs, place / ".pytest_cache" / "programs")
    return place


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=80, help="how many mutants, 0 for all")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--pick", help="only these numbers of the sample, with commas between them")
    arguments = parser.parse_args()
    package = ROOT / "jaxmlp"
    paths = [path for pattern in PATTERNS for path in package.glob(pattern)]
    files = sorted(path.relative_to(package).as_posix() for path in paths)
    mutants = [mutant for file in files for mutant in mutants_of(file)]
    n_all = len(mutants)
    if 0 < arguments.sample < n_all:
        mutants = random.Random(arguments.seed).sample(mutants, arguments.sample)
    sys.dont_write_bytecode = True  # two versions of a file within a second would have the same bytecode
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    for name in ("jax", "pytest", "h5py", "optax", "sklearn.metrics", "pandas"):
        __import__(name)
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        copy = copy_of_checkout(Path(folder))
        for i, mutant in enumerate(mutants):
            if arguments.pick and str(i + 1) not in arguments.pick.split(","):
                continue
            path = copy / "jaxmlp" / mutant.file
            whole = path.read_bytes()
            path.write_text(mutant.text, encoding="utf-8")
            started = time.monotonic()
            result, failed = run_tests(copy, mutant.file, "not slow")
            if result == "survived":
                result, failed = run_tests(copy, mutant.file, "slow")
                result = "survived" if result == "timeout" else result  # they may just be slow
            path.write_bytes(whole)
            counts[result] += 1
            where = f"{time.monotonic() - started:4.0f} s  {mutant.file}:{mutant.line}"
            print(f"{i + 1:4} {result:8} {where}  {mutant.before} → {mutant.after}  {failed}", flush=True)
    killed = counts.total() - counts["survived"]
    print(f"{counts.total()} of {n_all} mutants, {killed} killed ({killed / max(1, counts.total()):.0%})")
    return 0 if killed >= ENOUGH * counts.total() else 1


if __name__ == "__main__":
    sys.exit(main())
