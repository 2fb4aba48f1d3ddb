"""Print every dependency of pyproject.toml at its floor, as pip constraints."""

import re
import tomllib
from itertools import chain
from pathlib import Path

file = Path(__file__).parent.parent / "pyproject.toml"
project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
for requirement in chain(project["dependencies"], *project["optional-dependencies"].values()):
    name, floor = re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?>=([\w.]+)", requirement).groups()
    print(f"{name}=={floor}")
