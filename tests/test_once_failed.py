"""Files that once ended in a traceback, a crash or a hang: each is read, or refused in one sentence.

`examples/fuzz.py` made them: with seed 5 most files of data, which an early version of the package failed to refuse;
with seed 2 the models, which are forged, and the Parquet files, on which pyarrow crashed. To add a file that `fuzz.py`
has kept, put it into golden/once_failed.zip as READER/NUMBER-WHAT_CAME.
"""

import zipfile
from pathlib import Path
from types import ModuleType

import pytest
from script_modules import load_script

HERE = Path(__file__).parent
ARCHIVE = HERE / "golden" / "once_failed.zip"
with zipfile.ZipFile(ARCHIVE) as _archive:
    NAMES = sorted(_archive.namelist())


@pytest.fixture(scope="module")
def fuzz() -> ModuleType:
    """The module examples/fuzz.py."""
    return load_script(HERE.parent / "examples" / "fuzz.py")


# a model that hangs takes 3 s, until the process that checks it is stopped
@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow if "hang" in n else ()) for n in NAMES])
def test_a_file_that_once_failed(name, fuzz, tmp_path, monkeypatch):
    monkeypatch.setenv("JAXMLP_CHECK_HDF5", "always")  # for the forged models
    with zipfile.ZipFile(ARCHIVE) as archive:
        content = archive.read(name)
    assert fuzz.verdict(name.partition("/")[0], tmp_path, content) in ("read", "refused")
