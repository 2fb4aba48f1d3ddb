"""`jaxmlp verify` as a person runs it: what it prints, its JSON, and its exit code."""

import json

import click
import jax.numpy as jnp
import numpy as np
import pytest
from click.testing import CliRunner

import jaxmlp
from jaxmlp import Network
from jaxmlp.cli import verify as module
from jaxmlp.cli.verify import verify_command
from jaxmlp.data.dataset import Dataset
from jaxmlp.errors import InputError
from jaxmlp.evidence.certificate import Certificate, Row, judge
from jaxmlp.inference.model import Model

pytestmark = pytest.mark.usefixtures("as_users_have_it")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A trained network of two layers in a file."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(40, 3))
    data = Dataset.from_arrays(rows, ["high" if row.sum() > 0 else "low" for row in rows])
    net = Network((3, 5, 1), "relu", "sigmoid")
    path = tmp_path_factory.mktemp("run") / "model.h5"
    Model.of(net, jaxmlp.fit(net, data, epochs=5).params, data).save(path)
    return str(path)


def run(*arguments):
    """The exit code and what stands on stdout."""
    result = CliRunner().invoke(verify_command, arguments, standalone_mode=False, catch_exceptions=False)
    return result.return_value, result.stdout


FAILING = Certificate(
    "one wrong equation",
    (
        judge("BP3 db_1", "tanh", "autodiff", 3e-16, 1e-12),
        judge("BP3 db_1", "tanh", "central differences", 2e-10, 1e-7),
        judge("BP2 dZ_1", "tanh", "autodiff", 0.5, 1e-12, "[is] W transposed?"),
        Row("BP4 dW_1", "tanh", "central differences", None, 1e-7, "UNDECIDED", "Z crosses a kink"),
    ),
)


@pytest.mark.slow
def test_a_model_is_verified_layer_by_layer(model):
    code, out = run(model)
    assert code == 0
    assert "3-5-1, hidden relu, output sigmoid" in out
    for equation in ("forward Z_1", "BP1 dZ_2", "BP2 dZ_1", "BP3 db_2", "BP4 dW_1", "grad dW_2", "backprop db_1"):
        assert equation in out
    assert "FAIL" not in out


def test_a_models_own_parameters_are_verified(model, monkeypatch):
    seen = {}

    def note(net, objective, *, params, seed):
        seen.update(net=net, cost=objective.cost, params=params, seed=seed)
        return FAILING

    monkeypatch.setattr(module, "verify", note)
    run(model, "--seed", "3")
    trained = jaxmlp.load_model(model)
    assert (seen["net"], seen["cost"], seen["seed"]) == (trained.net, trained.cost, 3)
    np.testing.assert_array_equal(seen["params"][0]["W"], trained.params[0]["W"])


def test_json_is_one_object_with_the_worst_of_each_witness(model):
    code, out = run(model, "--json")
    found = json.loads(out)
    assert code == 0
    assert found["passed"] is True
    assert found["counts"]["PASS"] + found["counts"].get("UNDECIDED", 0) == len(found["rows"])
    assert 0 <= found["worst"]["autodiff"] <= 1e-12
    assert 0 < found["worst"]["central differences"] <= 1e-7
    assert {"check", "where", "witness", "difference", "bound", "verdict", "note"} == set(found["rows"][0])


def test_a_failure_is_shown_and_the_exit_code_is_1(monkeypatch):
    monkeypatch.setattr(module, "verify", lambda *a, **k: FAILING)
    code, out = run()
    assert code == 1
    assert "FAIL  BP2 dZ_1  tanh  autodiff  5.0e-01  [is] W transposed?" in out
    assert "UNDECIDED  BP4 dW_1  tanh  central differences  Z crosses a kink" in out
    assert out.endswith("4 checks: 2 PASS, 1 FAIL, 1 UNDECIDED\n")

    code, out = run("--json")
    assert code == 1
    assert json.loads(out)["passed"] is False


def test_without_a_model_a_line_per_network_and_with_all_everything(monkeypatch):
    rows = (
        judge("BP3 db_1", "hidden tanh, 3-5-4, output relu, quadratic: tanh", "autodiff", 3e-16, 1e-12),
        judge("BP3 db_1", "hidden tanh, 3-5-4, output tanh, quadratic: tanh", "autodiff", 5e-16, 1e-12),
        judge("BP3 db_1", "hidden relu, 3-5-4, output relu, quadratic: relu", "central differences", 1e-9, 1e-7),
    )
    monkeypatch.setattr(module, "verify_all", lambda seed: Certificate(f"seed {seed}", rows))
    code, out = run("--all", "--seed", "5")
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines() if "hidden" in line]
    assert code == 0
    assert "seed 5" in out
    equations = [cell.strip() for line in out.splitlines() if "BP3 db " in line for cell in line.split("│")[1:-1]]
    assert equations == ["BP3 db", "3", "5.0e-16", "1.0e-09", "PASS"]
    assert lines == [["hidden tanh", "2", "5.0e-16", "", "PASS"], ["hidden relu", "1", "", "1.0e-09", "PASS"]]


def test_tables_are_whole_at_80_columns(monkeypatch, capsys):
    rows = (
        judge("∇c_i", "algebra, tanh 3-5-4", "autodiff", 3e-16, 1e-12),
        judge("‖∇c_i‖", "algebra, tanh 3-5-4", "their norms", 3e-16, 1e-12),
        judge("class ids, dZ", "cost categorical_cross_entropy, output softmax", "autodiff", 5e-16, 1e-12),
    )
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(module, "verify", lambda *a, **k: Certificate("a title", rows))
    _, out = run()
    cells = [line.split("│")[1].strip() for line in out.splitlines() if line.startswith("│")]
    assert {"∇c_i", "‖∇c_i‖", "class ids, dZ", "algebra", "cost categorical_cross_entropy"} == {*cells}
    module.show([Certificate("a title", rows)], by_layer=True)
    by_layer = capsys.readouterr().out
    assert "categorical_cross_entropy" in by_layer.replace("│\n", "")
    for line in (*out.splitlines(), *by_layer.splitlines()):
        assert len(line) <= 80
        assert "…" not in line


@pytest.mark.slow
def test_the_device_is_told_with_its_digits(model):
    code, out = run(model, "--device")
    assert code == 0
    assert "float32 on cpu" in out
    assert "digits lost" in out
    code, out = run(model, "--device", "--json")
    found = json.loads(out)
    assert found["device"]["passed"] is True
    assert {row["where"] for row in found["device"]["rows"]} == {"default", "highest"}


def test_mistakes(model):
    with pytest.raises(InputError, match="--all expects no MODEL"):
        run(model, "--all")
    with pytest.raises(click.BadParameter, match="-1 is not in the range"):
        run("--seed", "-1")
    with pytest.raises(InputError, match="--mutants expects no other check"):
        run("--mutants", "--all")
    with pytest.raises(InputError, match="nowhere"):
        run("nowhere")
    assert jnp.ones(1).dtype == jnp.float32
