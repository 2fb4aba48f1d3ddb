"""The house: imports go down the floors, optional packages stay in their homes, `import jaxmlp` is light."""

import ast
import operator
import subprocess
import sys
import types
from pathlib import Path

import pytest

import jaxmlp

PACKAGE = Path(jaxmlp.__file__).parent

# From the ground up; a module imports from its own floor or from one below.
FLOORS = [
    ["errors"],
    ["nn"],
    ["data"],
    ["training"],
    ["evidence"],
    ["host"],
    ["model_file"],
    ["model"],
    ["ensemble"],
    ["plots"],
    ["cli"],
    ["__init__"],
    ["__main__"],
]
# Within these floors, only from modules that stand before.
ORDER = {
    "nn": [
        "compiled",
        "names",
        "activations",
        "initializers",
        "dense",
        "normalization",
        "stacks",
        "noise",
        "layer",
        "penalties",
        "residuals",
        "costs",
        "network",
        "propagation",
        "objective",
        "backprop",
    ],
    "evidence": [
        "certificate",
        "precision",
        "formulas",
        "curvature",
        "linear",
        "proof.witnesses",
        "proof.derivatives",
        "proof.equations",
        "proof.parts",
        "proof.algebra",
        "proof.verify",
        "proof.device",
        "student.loop",
        "student.writing",
        "student.slips",
        "student.causes",
        "student.trials",
        "student.fault",
        "student.refused",
        "student.verify_numpy",
        "student.mutants",
        "vjp.undecorated",
        "vjp.arguments",
        "vjp.bench",
        "vjp.doubt",
        "vjp.cotangents",
        "vjp.gradient",
        "vjp.transformations",
        "vjp.second_order",
        "vjp.types",
        "vjp.check_vjp",
        "speed.timing",
        "speed.products",
        "speed.backward",
        "speed.bench",
        "health.symptoms",
        "health.findings",
        "health.unit_rules",
        "health.gradient_rules",
        "health.diagnose",
    ],
    "training": [
        "optimizers",
        "state",
        "metrics",
        "score_formulas",
        "cases",
        "scores",
        "schedules",
        "stopping",
        "processes",
        "fingerprint",
        "checkpoints",
        "mesh",
        "step",
        "batches",
        "streamed",
        "divergence",
        "program",
        "epoch",
        "arguments",
        "progress",
        "following",
        "fit",
        "range_test",
        "widths",
        "population",
        "strategy",
        "members",
        "leaderboard",
        "group",
        "fit_many",
        "__init__",
    ],
    "cli": [
        "compilation_cache",
        "output",
        "options",
        "run_folder",
        "signals",
        "company",
        "tensorboard",
        "loading",
        "training_options",
        "ensemble",
        "train",
        "sweep",
        "evaluate",
        "predict",
        "info",
        "verify",
        "diagnose",
        "bench",
        "main",
    ],
}
KNOWS = {
    "nn": {"jax"},
    "data": {"numpy", "h5py", "pandas", "PIL"},
    "training": {"jax", "numpy", "optax", "orbax", "rich"},
    "evidence": {"jax", "numpy", "chex"},
    "cli": {"jax", "numpy", "click", "rich", "platformdirs", "tensorboardX"},
}
HOMES = {
    "h5py": {"data/hdf5.py", "data/stream.py", "model_file.py"},
    "pandas": {"data/tables.py"},
    "PIL": {"data/pictures.py"},
    "matplotlib": {"plots.py"},
    "click": {"cli"},
    "rich": {"cli", "training/progress.py"},
    "orbax": {"training/checkpoints.py"},
    "tensorboardX": {"cli/tensorboard.py"},
}

MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def imports(module: Path) -> set[str]:
    """Every dotted name that a module imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse((PACKAGE / module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            found.add(str(node.module))
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def floor(dotted: str) -> int:
    """The floor of jaxmlp.x.y."""
    room = [*dotted.split("."), "__init__"][1]
    return next((i for i, rooms in enumerate(FLOORS) if room in rooms), -1)


def room(dotted: str) -> tuple[str, str]:
    """The floor's folder and the module's name in it: jaxmlp.nn.costs.find is of ("nn", "costs")."""
    _, top, *rest = dotted.split(".")
    names = [".".join(rest[:n]) for n in (2, 1)]
    return top, next((name for name in names if name in ORDER.get(top, ())), ".".join(rest))


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_imports_go_down(module):
    dotted = ".".join(["jaxmlp", *module.with_suffix("").parts])
    here = floor(dotted)
    assert here >= 0, f"{module} stands on no floor"
    ours = {name for name in imports(module) if name.startswith("jaxmlp.") and floor(name) >= 0}
    for name in ours:
        assert floor(name) <= here, f"{module} imports {name} from above"
    top, own = room(dotted)
    if own in ORDER.get(top, ()):
        before = ORDER[top][: ORDER[top].index(own)]
        for name in ours:
            other, theirs = room(name)
            if other == top and theirs in ORDER[top]:
                assert theirs in before, f"{module} imports {name}, which does not stand before it"


def test_every_module_of_an_ordered_floor_is_listed():
    for top, order in ORDER.items():
        found = {".".join(path.with_suffix("").parts[1:]) for path in MODULES if path.parts[0] == top}
        assert {name for name in found if not name.endswith("__init__")} == {*order} - {"__init__"}


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_packages_stay_in_their_homes(module):
    outside = {name.split(".")[0] for name in imports(module)} - sys.stdlib_module_names - {"jaxmlp"}
    place = module.as_posix()
    for package, homes in HOMES.items():
        if package in outside:
            assert place in homes or module.parts[0] in homes, f"{place} imports {package}"
    if module.parts[0] in KNOWS:
        assert outside <= KNOWS[module.parts[0]]


def test_a_star_brings_every_public_name():
    names: dict = {}
    exec("from jaxmlp import *", names)
    listed = {name: getattr(jaxmlp, name) for name in dir(jaxmlp) if not name.startswith("_")}
    public = {name for name, value in listed.items() if not isinstance(value, types.ModuleType)}
    assert public == {*jaxmlp.__all__} <= {*names}
    assert {"verify", "diagnose", "check_vjp"} <= {*names}


def test_import_is_light():
    code = "import sys, jaxmlp; jaxmlp.fit; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "jax" in loaded
    assert not loaded & {"h5py", "sklearn", "matplotlib", "orbax", "pandas", "PIL", "click", "rich", "onnx"}


def test_every_public_name_says_where_it_is_from():
    with pytest.raises(AttributeError, match="module 'jaxmlp' has no attribute 'nothing'"):
        operator.attrgetter("nothing")(jaxmlp)
    code = "import sys, jaxmlp; assert jaxmlp.errors.InputError; print('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
