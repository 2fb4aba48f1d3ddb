"""`%%check_backprop` in an IPython shell: verdicts, names, and mistakes without a traceback."""

import pytest

IPython = pytest.importorskip("IPython")

RIGHT = """
import numpy as np

def helper(Z):
    return np.tanh(Z)

def backward(params, X, Y):
    print("noise")
    m = X.shape[1]
    A1 = helper(params["W1"] @ X + params["b1"])
    A2 = 1 / (1 + np.exp(-(params["W2"] @ A1 + params["b2"])))
    dZ2 = A2 - Y
    dZ1 = params["W2"].T @ dZ2 * (1 - A1**2)
    return {"dW1": dZ1 @ X.T / m, "db1": dZ1.sum(axis=1, keepdims=True) / m,
            "dW2": dZ2 @ A1.T / m, "db2": dZ2.sum(axis=1, keepdims=True) / m}
"""
WRONG = RIGHT.replace("(1 - A1**2)", "(1 - A1)")
LINE = "3-4-1 --hidden tanh"


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False  # no file in the home of the user
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        shell = InteractiveShell.instance(config=config)
        shell.run_line_magic("load_ext", "jaxmlp.notebook")
        yield shell
        InteractiveShell.clear_instance()


def test_a_right_pass_passes_and_its_report_is_kept(shell, capsys):
    shell.run_cell_magic("check_backprop", f"{LINE} --report verdict", RIGHT)
    out = capsys.readouterr().out
    assert "4 checks: 4 PASS, 0 FAIL" in out
    assert "noise" not in out
    assert shell.user_ns["verdict"].passed
    assert shell.user_ns["backward"].__name__ == "backward"


def test_a_wrong_equation_is_named_with_its_cause(shell, capsys):
    shell.run_cell_magic("check_backprop", LINE, WRONG)
    out = capsys.readouterr().out
    assert "first error: BP2 dZ_1" in out
    assert "square missing in tanh'" in out


def test_the_penalty_and_the_cost_of_the_line_count(shell, capsys):
    with_penalty = RIGHT.replace("@ X.T / m", "@ X.T / m + 0.5 / m * params['W1']").replace(
        "@ A1.T / m", "@ A1.T / m + 0.5 / m * params['W2']"
    )
    quadratic = RIGHT.replace("A2 - Y", "(A2 - Y) * A2 * (1 - A2)")
    for line, cell in ((f"{LINE} --l2 0.5", with_penalty), (f"{LINE} --cost quadratic", quadratic)):
        shell.run_cell_magic("check_backprop", line, cell)
        assert "4 checks: 4 PASS, 0 FAIL" in capsys.readouterr().out
        shell.run_cell_magic("check_backprop", LINE, cell)
        assert "4 checks: 4 PASS" not in capsys.readouterr().out


def test_a_cell_that_fails_shows_its_own_error_alone(shell, capsys):
    shell.run_cell_magic("check_backprop", LINE, "1 / 0")
    out = capsys.readouterr().out
    assert "ZeroDivisionError" in out
    assert "checks" not in out


@pytest.mark.parametrize(
    ("line", "cell", "message"),
    [
        ("", RIGHT, "expects sizes and options, got the following arguments are required: sizes"),
        ("3,4,1", RIGHT, "expects sizes such as 3-4-1, got 3,4,1"),
        (LINE, "x = 1", "expects a function in the cell, got none"),
        (f"{LINE} --function other", RIGHT, "expects a function in the cell, got other"),
        ("3-4-1 --hidden tan", RIGHT, "did you mean 'tanh'"),
        ("--help", RIGHT, "usage: %%check_backprop"),
    ],
)
def test_mistakes_are_one_line(shell, line, cell, message):
    with pytest.raises(IPython.core.error.UsageError) as failure:
        shell.run_cell_magic("check_backprop", line, cell)
    assert message in str(failure.value)
    assert "\n" not in str(failure.value)


def test_the_penalty_is_an_option(shell, capsys):
    shell.run_cell_magic("check_backprop", f"{LINE} --l2 0.7", RIGHT)
    assert "FAIL" in capsys.readouterr().out
