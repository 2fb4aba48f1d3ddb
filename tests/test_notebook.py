"""The notebook is made from its script, and runs from top to bottom on files of the format of Colab's sample_data."""

import json
import os
import re
from pathlib import Path

import nbclient
import nbformat
import numpy as np
import pytest
from nbclient.exceptions import CellExecutionError
from script_modules import load_script

import jaxmlp

EXAMPLES = Path(__file__).parent.parent / "examples"
NOTEBOOK = EXAMPLES / "colab.ipynb"


def converter():
    """The module examples/notebook.py."""
    return load_script(EXAMPLES / "notebook.py")


def test_the_notebook_is_that_of_its_script():
    script = (EXAMPLES / "colab.py").read_text(encoding="utf-8")
    assert NOTEBOOK.read_text(encoding="utf-8") == converter().notebook_of(script)


@pytest.mark.filterwarnings("error")
def test_the_notebook_has_the_format_of_jupyter():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    kinds = [cell.cell_type for cell in notebook.cells]
    assert kinds.count("code") == len(re.findall(r"^# %%$", (EXAMPLES / "colab.py").read_text(), flags=re.MULTILINE))
    assert all(not cell.outputs for cell in notebook.cells if cell.cell_type == "code")


def write_samples(folder):
    """Files as in Colab's sample_data: 784 pixels after the class without a header, and quoted names of columns."""
    data = jaxmlp.load("digits")
    n, rng = 400, np.random.default_rng(0)
    images = np.kron(data.train.rows[:n].reshape(n, 8, 8), np.ones((1, 3, 3)))
    pixels = np.pad(images, ((0, 0), (2, 2), (2, 2))).astype(int).reshape(n, 784)
    lines = [",".join(map(str, [label, *row])) for label, row in zip(data.train.targets[:n], pixels, strict=True)]
    (folder / "mnist_train_small.csv").write_text("\n".join(lines) + "\n")
    names = "longitude latitude housing_median_age total_rooms total_bedrooms population households median_income"
    rows = rng.uniform(1, 9, size=(600, 8))
    value = 40000 * rows[:, 7] + 3000 * rows[:, 2]
    header = ",".join(f'"{name}"' for name in [*names.split(), "median_house_value"])
    lines = [",".join(f"{cell:.6f}" for cell in [*row, target]) for row, target in zip(rows, value, strict=True)]
    (folder / "california_housing_train.csv").write_text("\n".join([header, *lines]) + "\n")


def execute(folder, monkeypatch, expected_device):
    """Run the notebook in a folder and return the text that it prints."""
    write_samples(folder)
    package = str(Path(jaxmlp.__file__).parent.parent)  # the package under test, also where it is not installed
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")])))
    monkeypatch.setenv("SAMPLE_DATA", str(folder))
    monkeypatch.setenv("EXPECTED_DEVICE", expected_device)
    monkeypatch.setenv("IPYTHONDIR", str(folder / "ipython"))  # no profile in the user's folder
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}})
    client.execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return "".join(output.text for output in outputs if output.output_type == "stream")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_notebook_runs(tmp_path, monkeypatch):
    printed = execute(tmp_path, monkeypatch, "cpu")
    assert "this notebook computes on 1 x cpu (cpu)" in printed
    for line in ("test accuracy", "320 training images", "'r2'", "learning rate 0.01", "digits.h5:"):
        assert line in printed
    assert jaxmlp.load_model(tmp_path / "digits.h5").net.sizes == (64, 100, 50, 10)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_notebook_stops_where_the_cpu_answers_in_place_of_the_accelerator(tmp_path, monkeypatch):
    with pytest.raises(CellExecutionError, match="expected a gpu, but JAX computes on the cpu"):
        execute(tmp_path, monkeypatch, "gpu")
    assert json.loads(NOTEBOOK.read_text(encoding="utf-8"))["metadata"]["accelerator"] == "GPU"
