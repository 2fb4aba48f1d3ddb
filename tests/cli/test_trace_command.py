"""`jaxmlp trace` and `jaxmlp info` of sizes: every number with its shape and its equation."""

import json

import jax
import numpy as np
import pytest

import jaxmlp
from jaxmlp.cli.main import run


def run_json(capsys, *arguments):
    code = run([*arguments, "--json"])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return json.loads(captured.out)


def error_of(capsys, *arguments):
    assert run([*arguments]) == 2
    return capsys.readouterr().err


def values(answer):
    return {q["name"]: np.asarray(q["value"]) for q in answer["quantities"]}


def test_every_number_is_that_of_numpy(capsys):
    found = values(run_json(capsys, "trace", "3-2-1", "--x", "1,2,3;0,-1,1", "--y", "1,0", "--activation", "tanh"))
    generator = np.random.RandomState(1)
    W1, W2 = generator.randn(2, 3) / 3**0.5, generator.randn(1, 2) / 2**0.5
    X, Y = np.array([[1.0, 0], [2, -1], [3, 1]]), np.array([[1.0, 0]])
    Z1 = W1 @ X
    A1 = np.tanh(Z1)
    Z2 = W2 @ A1
    A2 = 1 / (1 + np.exp(-Z2))
    c = -(Y * np.log(A2) + (1 - Y) * np.log(1 - A2))
    dA2 = (-Y / A2 + (1 - Y) / (1 - A2)) / 2
    dZ2 = (A2 - Y) / 2
    dA1 = W2.T @ dZ2
    dZ1 = dA1 * (1 - A1**2)
    expected = {"A0": X, "W1": W1, "b1": np.zeros((2, 1)), "Z1": Z1, "A1": A1, "W2": W2, "b2": np.zeros((1, 1))}
    expected |= {"Z2": Z2, "A2": A2, "Y": Y, "c": c, "J": c.mean(), "dA2": dA2, "dZ2": dZ2, "dW2": dZ2 @ A1.T}
    expected |= {"db2": dZ2.sum(axis=1, keepdims=True), "dA1": dA1, "dZ1": dZ1, "dW1": dZ1 @ X.T}
    expected |= {"db1": dZ1.sum(axis=1, keepdims=True)}
    assert [*found] == [*expected]
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-9, atol=1e-12, err_msg=name)


def test_the_text_has_equation_shape_and_numbers(capsys):
    assert run(["trace", "3-2-1", "--x", "1,2,3", "--y", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "weights lecun_normal from NumPy's seed 1" in lines[0]
    for equation, shape in (("Z1 = W1 A0 + b1", "(2, 1)"), ("dW1 = dZ1 A0ᵀ", "(2, 3)"), ("dA1 = W2ᵀ dZ2", "(2, 1)")):
        assert any(line.startswith(equation) and line.endswith(shape) for line in lines)
    assert "     0.335503" in lines


def test_without_a_target_there_is_no_backward_pass(capsys):
    assert [*values(run_json(capsys, "trace", "2-1", "--x", "1,2"))] == ["A0", "W1", "b1", "Z1", "A1"]


def test_latex_has_a_matrix_for_each_quantity(capsys):
    assert run(["trace", "3-2-1", "--x", "1,2,3", "--y", "1", "--latex"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("\\begin{align*}\nA^{[0]} = X &= \\begin{bmatrix} 1 \\\\ 2 \\\\ 3 \\end{bmatrix} \\\\\n")
    assert r"dZ^{[1]} = dA^{[1]} \odot g'\left(Z^{[1]}\right) &= \begin{bmatrix}" in text
    assert text.count("&=") == 20
    assert text.endswith("\\end{align*}\n")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model on digits, with layer normalisation."""
    data = jaxmlp.load("digits")
    net = jaxmlp.network_for(data, hidden=(5,), norm="layer")
    path = tmp_path_factory.mktemp("trace") / "model.h5"
    jaxmlp.Model.of(net, jaxmlp.init(jax.random.key(0), net), data).save(path)
    return path


def test_a_row_of_data_through_a_trained_model(capsys, model):
    found = values(run_json(capsys, "trace", str(model), "digits", "--row", "3"))
    trained, data = jaxmlp.load_model(model), jaxmlp.load("digits")
    assert data.test is not None
    np.testing.assert_allclose(found["A2"][:, 0], trained.outputs(data.test.rows[3:4])[0], rtol=1e-6)
    assert found["Y"][:, 0].argmax() == data.test.targets[3]
    assert "dγ1" in found
    row = ",".join(map(str, data.test.rows[3].tolist()))
    again = values(run_json(capsys, "trace", str(model), "--x", row, "--y", str(data.test.targets[3])))
    for name in found:
        np.testing.assert_allclose(again[name], found[name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["3-2-1"], "trace expects --x or a row of DATA, got neither: write --x 1,2,3, say"),
        (["3-2-1", "--x", "1,2"], "--x expects 3 numbers for each example, got 2"),
        (["3-2-1", "--x", "1,2,c"], "--x expects numbers with commas, got '1,2,c'"),
        (["3-2-1", "--x", "1,2,nan"], "--x expects finite numbers"),
        (["3-2-1", "--x", "1,2,3", "--y", "-1"], "--y expects 0, 1 or a probability for binary_cross_entropy, got -1"),
        (
            ["3,2,1", "--x", "1,2,3"],
            "MODEL expects a file, a run folder, or sizes like 3-2-1, got '3,2,1': write 3-2-1",
        ),
        (["3x2x1", "--x", "1,2,3"], "got '3x2x1': write 3-2-1"),
        (["3", "--x", "1,2,3"], "got '3': write 3-2-1, say"),
        (["3-2-1", "digits"], "trace of a new network expects --x and no data, got digits"),
        (["3-2-1", "--x", "1,2,3", "--row", "1"], "trace of a new network expects --x and no data, got --row"),
        (["3-2-1", "--x", "1,2,3", "--y", "1,0"], "--y expects a target for each of 1 examples, got 2"),
        (["3-2-3", "--x", "1,2,3", "--y", "3"], "--y expects class ids from 0 to 2, got '3'"),
        (["MODEL", "digits", "--seed", "2"], "trace of a trained model expects no option of a new network, got --seed"),
        (["MODEL", "digits", "--y", "2"], "trace of a row of data expects the target of the row, got --y"),
        (["MODEL", "digits", "--row", "359"], "--row expects a row from 0 to 358, got 359"),
        (["MODEL", "--x", "1"], "--x expects 64 numbers for each example, got 1"),
    ],
)
def test_a_mistake_is_one_sentence(capsys, model, arguments, text):
    arguments = [str(model) if argument == "MODEL" else argument for argument in arguments]
    assert text in error_of(capsys, "trace", *arguments)


def test_a_label_that_the_model_does_not_know(capsys, model):
    row = ",".join(["0"] * 64)
    assert "--y expects 1 of the classes 0, 1" in error_of(capsys, "trace", str(model), "--x", row, "--y", "cat")


def test_info_of_sizes_is_the_table_of_shapes(capsys):
    answer = run_json(capsys, "info", "2-3-5-4-2-1")
    net = jaxmlp.Network((2, 3, 5, 4, 2, 1), "relu", "sigmoid")
    assert answer["parameters"] == net.n_parameters == 66
    assert [tuple(layer["W"]) for layer in answer["layers"]] == [row.W for row in net.shapes]
    assert run(["info", "2-3-5-4-2-1"]) == 0
    assert "(5, 3)  (5, 1)  (5, m)" in capsys.readouterr().out


def test_a_folder_with_the_name_of_sizes_is_a_model(capsys, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "3-2-1").mkdir()
    (tmp_path / "3-2-1" / "model.h5").write_bytes(model.read_bytes())
    assert run_json(capsys, "info", "3-2-1")["task"] == "multiclass"
