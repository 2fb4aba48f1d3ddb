"""Test the tests: change one operator or number of the code at a time, and see whether a test fails.

    python .ci/mutate.py [--sample 80] [--seed 0] [--only nn/costs.py] [--timeout 240]

The files are those of `nn`, the model file and the readers. A mutant has one change: a comparison, an arithmetic or
logical operator, a number by 1, True for False, None for what is returned, or no `not`. A sample of all mutants is
drawn by the seed; each is written into a copy of the checkout, whose tests must pass, and the quick tests of its module
run until one fails. A mutant that no test notices survives. Needs Linux: each runs in a fork of a process that has
imported JAX and pytest, but not yet used them, which saves their import. mutmut forks as well, but after the tests have
run JAX, where a fork can hang; cosmic-ray can neither draw a sample nor choose the tests by the module.
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
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
SWAPS: dict[type, type] = {
    **{ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq},
    **{ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And},
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult},
    **{ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd},
    **{ast.LShift: ast.RShift, ast.RShift: ast.LShift},
}
# The tests of each file, those that are likely to notice first in front; of a folder for the files without a line.
READERS = ("data/test_formats.py", "data/test_readers.py", "data/test_load.py", "test_bad_input.py")
TEXT = ("data/test_csv.py", "data/test_formats.py", "tabular/test_files.py")
NETWORK = ("nn/test_network.py", "nn/test_gradients.py", "nn/test_regularization.py", "nn/test_members.py")
TESTS: dict[str, tuple[str, ...]] = {
    "inference/model_file.py": ("inference/test_golden_files.py", "inference/test_model.py", "test_bad_input.py"),
    "data/readers": READERS,
    "data/readers/csv.py": (*TEXT, "test_bad_input.py"),
    "data/readers/hdf5_checker.py": ("test_bad_input.py", "test_foreign_files.py"),
    "data/readers/hdf5_safety.py": ("test_bad_input.py", "test_foreign_files.py"),
    "data/readers/hdf5.py": (*READERS, "test_foreign_files.py"),
    "data/readers/images.py": ("data/test_images.py", "data/test_formats.py", "test_foreign_files.py"),
    "data/readers/text_encoding.py": TEXT,
    "data/readers/text_format.py": TEXT,
    "data/readers/text_records.py": TEXT,
    "nn": NETWORK,
    "nn/activations.py": ("nn/test_activations.py", "nn/test_slopes.py", "nn/test_zoo.py", "test_readme.py"),
    "nn/augmentation.py": ("nn/test_regularization.py", "nn/test_layer_stacks.py", "nn/test_members.py"),
    "nn/compiled.py": ("nn/test_compiled.py", *NETWORK[:1]),
    "nn/costs.py": ("nn/test_costs.py", "nn/test_gradients.py"),
    "nn/dropout.py": ("nn/test_regularization.py",),
    "nn/initializers.py": ("nn/test_initializers.py", "nn/test_network.py"),
    "nn/layer_stacks.py": ("nn/test_layer_stacks.py", "training/test_stacked.py"),
    "nn/members.py": ("nn/test_members.py",),
    "nn/names.py": ("nn/test_activations.py", "nn/test_network.py", "nn/test_costs.py", "nn/test_initializers.py"),
    "nn/normalization.py": ("nn/test_regularization.py", "nn/test_gradients.py"),
    "nn/passes.py": ("nn/test_passes.py", "nn/test_gradients.py"),
    "nn/penalties.py": ("nn/test_regularization.py", "nn/test_gradients.py"),
    "nn/program_store.py": ("nn/test_program_store.py", "training/test_compilations.py"),
    "nn/residuals.py": ("nn/test_gradients.py", "nn/test_network.py", "nn/test_passes.py"),
    "nn/slopes.py": ("nn/test_slopes.py", "nn/test_activations.py"),
}


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
    """Return the tests of a file of the package, or of its folder."""
    names = TESTS.get(file) or TESTS[Path(file).parent.as_posix()]
    return [f"tests/{name}" for name in names]


def run_tests(copy: Path, file: str, timeout: float) -> tuple[str, str]:
    """Run the tests of a file in a fork of this process; return "survived", "killed" or "timeout", and what failed."""
    log = copy / "log"
    child = os.fork()
    if child == 0:
        os.setsid()  # its own group, which can be ended as a whole
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(copy)
        sys.path.insert(0, str(copy))
        os.environ["PYTHONPATH"] = str(copy)  # for the processes that tests start
        import pytest

        os._exit(int(pytest.main(["-x", "-q", "-n", "0", "-p", "no:cacheprovider", *tests_of(file)])))
    ends = time.monotonic() + timeout
    while time.monotonic() < ends:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            failed = re.findall(
                r"^(?:FAILED|ERROR) \S*?([\w.]+(?:::\w+)?)", log.read_text(errors="replace"), re.MULTILINE
            )
            return "survived" if status == 0 else "killed", failed[0] if failed else ""
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
    parser.add_argument("--only", help="one file, as nn/costs.py")
    parser.add_argument("--timeout", type=float, default=240, help="seconds for the tests of a mutant")
    arguments = parser.parse_args()
    package = ROOT / "jaxmlp"
    paths = [*package.glob("nn/*.py"), package / "inference/model_file.py", *package.glob("data/readers/*.py")]
    files = sorted(path.relative_to(package).as_posix() for path in paths)
    mutants = [mutant for file in files if arguments.only in (None, file) for mutant in mutants_of(file)]
    n_all = len(mutants)
    if 0 < arguments.sample < n_all:
        mutants = random.Random(arguments.seed).sample(mutants, arguments.sample)
    os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false")
    sys.dont_write_bytecode = True  # two versions of a file within a second would have the same bytecode
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    for name in ("jax", "pytest", "h5py", "optax", "sklearn.metrics", "pandas", "hypothesis"):
        __import__(name)
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        copy = copy_of_checkout(Path(folder))
        for i, mutant in enumerate(mutants):
            path = copy / "jaxmlp" / mutant.file
            whole = path.read_bytes()
            path.write_text(mutant.text, encoding="utf-8")
            started = time.monotonic()
            result, failed = run_tests(copy, mutant.file, arguments.timeout)
            path.write_bytes(whole)
            counts[result] += 1
            where = f"{time.monotonic() - started:4.0f} s  {mutant.file}:{mutant.line}"
            print(f"{i + 1:4} {result:8} {where}  {mutant.before} → {mutant.after}  {failed}", flush=True)
    killed = counts.total() - counts["survived"]
    print(f"{counts.total()} of {n_all} mutants, {killed} killed ({killed / max(1, counts.total()):.0%})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
