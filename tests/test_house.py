"""The house: imports go down the floors, optional packages stay in their homes, `import jaxmlp` is light."""

import ast
import graphlib
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
    ["lazy_modules", "interrupts"],
    ["errors"],
    ["fork"],
    ["nn"],
    ["data", "tabular"],
    ["analysis"],
    ["metrics"],
    ["parallel", "training"],
    ["inference"],  # below evidence: a prediction must not share its formulas with the checks of it
    ["evidence"],
    ["population"],
    ["estimators"],
    ["letters", "textbook_plots"],
    ["plots", "pytest_plugin"],
    ["cli", "notebook"],  # a notebook's magic is a command of its own
    ["__init__"],
    ["__main__"],
]
KNOWS = {
    "nn": {"jax"},
    "data": {"numpy", "h5py", "pandas", "polars", "pyarrow", "PIL"},
    "tabular": {"numpy"},
    "analysis": {"jax", "numpy"},
    "metrics": {"jax", "numpy"},
    "training": {"jax", "numpy", "optax", "orbax", "rich"},
    "evidence": {"jax", "numpy", "chex", "mpmath"},
    "estimators": {"jax", "numpy", "optax", "sklearn"},
    "cli": {"jax", "numpy", "click", "rich", "platformdirs", "tensorboardX"},
}
HOMES = {
    "h5py": {
        "data/readers/hdf5.py",
        "data/readers/hdf5_checker.py",
        "data/streaming/dataset.py",
        "inference/model_file.py",
    },
    "pandas": {"data/readers/csv.py"},
    "polars": {"data/readers/parquet.py"},
    "pyarrow": {"data/readers/parquet.py"},
    "PIL": {"data/readers/images.py"},
    "matplotlib": {"letters.py", "plots.py", "textbook_plots.py"},
    "sklearn": {"estimators"},
    "pytest": {"pytest_plugin.py"},
    "IPython": {"notebook.py"},
    "mpmath": {"evidence/precise_check/reference.py"},
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


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_imports_go_down(module):
    here = floor(dotted_name(module))
    assert here >= 0, f"{module} stands on no floor"
    for name in imports(module):
        if name.startswith("jaxmlp.") and floor(name) >= 0:
            assert floor(name) <= here, f"{module} imports {name} from above"


def test_imports_make_no_circle():
    names = {dotted_name(module): module for module in MODULES if module.parent.parts}
    graph = {name: imports(module) & names.keys() for name, module in names.items()}
    for name, used in graph.items():  # `from jaxmlp.nn import costs` within nn is the module's, not the package's
        used -= {name, name.rpartition(".")[0]}
    assert list(graphlib.TopologicalSorter(graph).static_order())  # an error names the circle


def dotted_name(module: Path) -> str:
    """jaxmlp.nn.costs of nn/costs.py, and jaxmlp.nn of nn/__init__.py."""
    parts = module.with_suffix("").parts
    return ".".join(["jaxmlp", *(parts[:-1] if parts[-1] == "__init__" else parts)])


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


@pytest.mark.slow
def test_every_room_and_module_is_an_attribute_after_import_jaxmlp():
    """In a fresh process, where nothing else has imported them; `import jaxmlp` itself imports three light ones."""
    names = sorted({dotted_name(module) for module in MODULES if module.name != "__main__.py"} - {"jaxmlp"})
    code = (
        "import sys, jaxmlp\n"
        "loaded = {name for name in sys.modules if name.startswith('jaxmlp.')}\n"
        "assert loaded == {'jaxmlp.errors', 'jaxmlp.fork', 'jaxmlp.lazy_modules'}, loaded\n"
        f"for name in {names}:\n"
        "    parent, _, child = name.rpartition('.')\n"
        "    assert child in dir(eval(parent)), name\n"
        "    eval(name)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


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
