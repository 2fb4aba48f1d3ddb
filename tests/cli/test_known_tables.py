"""Tables that everybody knows, straight from their files: train, then evaluate and predict on shuffled columns.

They are not in the repository; the tests look for them in ../shared and are skipped without.
"""

import csv
import json
import random
from pathlib import Path

import pytest

from jaxmlp.cli.main import run

pytestmark = pytest.mark.usefixtures("as_users_have_it")

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data" / "tabular"
pytest.importorskip("pandas")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "target", "metric", "least", "inputs"),
    [
        ("penguins", "species", "accuracy", 0.95, 14),
        # its column `alive` is the target in words
        pytest.param("titanic", "survived", "accuracy", 0.95, 33, marks=pytest.mark.slow),
        pytest.param("mpg", "mpg", "r2", 0.8, 10, marks=pytest.mark.slow),
        ("tips", "tip", "r2", 0.2, 11),
    ],
)
def test_a_table_and_its_copy_with_shuffled_columns(name, target, metric, least, inputs, tmp_path, monkeypatch, capsys):
    source = FOLDER / f"{name}.csv"
    if not source.exists():
        pytest.skip("without ../shared/data/tabular")
    monkeypatch.chdir(tmp_path)
    with source.open(newline="") as file:
        rows = list(csv.reader(file))
    order = random.Random(0).sample(range(len(rows[0])), len(rows[0]))
    with Path("copy.csv").open("w", newline="") as file:
        csv.writer(file).writerows([[row[i] for i in order] for row in rows])
    assert run(["train", str(source), "--target", target, "--epochs", "30", "--out", "r", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sizes"][0] == inputs
    assert run(["evaluate", "r", "copy.csv", "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert measured["rows"] == round(0.2 * (len(rows) - 1))  # those that were held out are found again
    assert measured[metric] > least
    assert run(["predict", "r", "copy.csv", "-o", "answers.csv"]) == 0
    with Path("answers.csv").open(newline="") as file:
        answers = list(csv.DictReader(file))
    truth = [row[rows[0].index(target)] for row in rows[1:]]
    assert len(answers) == len(truth)
    if metric == "accuracy":
        assert sum(a["prediction"] == t for a, t in zip(answers, truth, strict=True)) > least * len(truth)
