"""README keeps its promises: its Python runs, its tables are those of the code, its commands exist."""

import re
import shlex
from pathlib import Path

import click
import jax
import pytest

import jaxmlp
from jaxmlp.cli.main import COMMANDS, commands
from jaxmlp.nn.activations import ACTIVATIONS, find
from jaxmlp.nn.costs import COSTS
from jaxmlp.nn.names import resolve
from jaxmlp.tabular.blocks import MAX_BINS

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def activation_rows():
    """The table as the code has it."""
    records = [find(name) for name in ACTIVATIONS]
    return [f"| `{g.name}` | {g.formula} | {g.derivative} | `{g.init}` |" for g in records]


def test_activation_table_is_that_of_the_code():
    table = re.search(r"<!-- activations.*?-->\n(.*?)<!-- /activations -->", README, flags=re.DOTALL)
    assert table is not None
    assert table[1].splitlines()[2:] == activation_rows()


def cost_rows():
    """The table as the code has it."""
    records = [resolve("cost", name, COSTS) for name in COSTS]
    return [f"| `{c.name}` | {c.formula} | {c.derivative} | {outputs(c)} |" for c in records]


def outputs(cost):
    return ", ".join(f"`{name}`" for name in cost.outputs) or "any"


def test_cost_table_is_that_of_the_code():
    table = re.search(r"<!-- costs.*?-->\n(.*?)<!-- /costs -->", README, flags=re.DOTALL)
    assert table is not None
    assert table[1].replace("\\|", "|").splitlines()[2:] == cost_rows()


@pytest.mark.quick("five lines", "bare")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("code", blocks("python"), ids=["five lines", "scikit-learn", "bare", "training", "student"])
def test_python_runs(code, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        names: dict = {}
        exec(compile(code, "README.md", "exec"), names)  # it is our own text
        if "model" in names:
            data = names["data"]
            assert names["model"].evaluate(data.test)["accuracy"] > 0.95
        elif "search" in names:
            assert names["search"].best_score_ > 0.95
        elif "report" in names:
            assert float(names["report"].accuracy) == 1.0
        elif "result" in names:
            assert names["result"].history[-1].validation_accuracy > 0.9
        else:
            printed = capsys.readouterr().out.splitlines()
            assert printed[-1] == "cause: square missing in tanh': the slope is 1 - A; tanh' = 1 - A²"
            assert "    " + printed[-1] in README.splitlines()


def command_of(name):
    command = commands.get_command(click.Context(commands), name)
    assert isinstance(command, click.Command)
    return command


def test_commands_parse():
    lines = [line.partition("#")[0] for block in blocks("sh") for line in block.splitlines()]
    ours = [shlex.split(line)[1:] for line in lines if line.startswith("jaxmlp ")]
    assert {line[0] for line in ours} >= {"train", "evaluate", "predict", "info"}
    for name, *arguments in ours:
        # the parent has the names of the help option, which click stores in the command at its first use
        parent = click.Context(commands, **commands.context_settings)
        # raises click.UsageError for an option that is not there
        command_of(name).make_context(name, list(arguments), parent=parent)


def test_every_command_is_shown():
    for name in COMMANDS:
        assert f"jaxmlp {name}" in README
        assert command_of(name).help


def test_every_public_name_is_shown():
    for name in jaxmlp.__all__:
        assert f"`{name}`" in README


def test_the_number_of_bins_is_that_of_the_code():
    assert f"up to {MAX_BINS} bins" in README


def test_the_two_commands_stand_in_it():
    assert 'python3 -m venv .venv && .venv/bin/pip install -q ".[all]" && .venv/bin/jaxmlp train digits' in README
    assert '.venv/bin/pip install -q ".[all,dev]" && .venv/bin/pytest' in README


def test_the_changelog_has_this_version():
    changes = (Path(jaxmlp.__file__).parent / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## {jaxmlp.__version__}\n" in changes
