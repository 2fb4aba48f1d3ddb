"""The diagnose command: exit codes, the JSON object, the table, the picture and the learning rate of the run."""

import json

import click
import jax
import jax.numpy as jnp
import pytest
from click.testing import CliRunner
from matplotlib.patches import Rectangle

import jaxmlp
from jaxmlp.cli.diagnose import diagnose_command, sgd_rate
from jaxmlp.cli.main import run
from jaxmlp.errors import InputError
from jaxmlp.evidence.diagnostics.diagnose import diagnose
from jaxmlp.plots import layers_picture, save

pytestmark = pytest.mark.usefixtures("as_users_have_it")


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    """A run folder of a small network trained by plain gradient descent."""
    folder = tmp_path_factory.mktemp("runs") / "moons"
    options = ["--hidden", "8", "--epochs", "2", "--optimizer", "sgd", "--learning-rate", "0.2", "--l2", "0.1"]
    assert run(["train", "moons", *options, "--out", str(folder), "--json"]) == 0
    return folder


@pytest.fixture(scope="module")
def dead(healthy, tmp_path_factory):
    """The same model with its relu units killed by their biases, as a file without a run."""
    model = jaxmlp.load_model(healthy)
    first = {"W": jnp.asarray(model.params[0]["W"]), "b": jnp.full((8, 1), -100.0)}
    path = tmp_path_factory.mktemp("models") / "dead.h5"
    jaxmlp.Model.of(model.net, (first, model.params[1]), jaxmlp.load("moons")).save(path)
    return path


def ask(*arguments):
    """The exit code and the output of the command on its own."""
    group = click.Group(commands=[diagnose_command])
    result = CliRunner().invoke(group, ["diagnose", *map(str, arguments)], standalone_mode=False)
    if result.exception:
        raise result.exception
    return result.return_value, result.output


@pytest.mark.slow
def test_a_healthy_run(healthy):
    code, out = ask(healthy, "moons", "--json")
    answer = json.loads(out)
    assert (code, answer["healthy"], answer["findings"]) == (0, True, [])
    assert answer["learning_rate"] == 0.2  # of the run
    assert answer["stable_rate"] > 0.1
    assert [layer["units"] for layer in answer["layers"]] == [8, 1]


def test_a_rate_given_goes_first(healthy):
    code, out = ask(healthy, "moons", "--learning-rate", "1000", "--json")
    answer = json.loads(out)
    assert code == 1
    assert [finding["name"] for finding in answer["findings"]] == ["learning rate too large"]


def test_a_sick_model_and_its_picture(dead, tmp_path):
    picture = tmp_path / "layers.png"
    code, out = ask(dead, "moons", "--picture", picture)
    assert code == 1
    assert "dead units (layer 1): 8 of 8 units of layer 1" in out
    assert "cure: " in out
    assert "‖W‖·g'" in out
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_layers_picture_shows_the_numbers(dead):
    net = jaxmlp.Network((2, 4, 1), "sigmoid", "sigmoid")
    params = jaxmlp.init(jax.random.key(0), net)
    found = diagnose(params, jnp.ones((2, 3)), jnp.ones((1, 3)), net)
    forward, backward = layers_picture(found).axes
    heights = [
        bar.get_bbox().height for axes in (backward, forward) for bar in axes.patches if isinstance(bar, Rectangle)
    ]
    gradients, signals = zip(*((layer.gradient, layer.signal) for layer in found.layers), strict=True)
    assert heights[:4] == pytest.approx([*gradients, *signals])


@pytest.mark.slow
def test_the_layers_of_a_picture_are_whole_numbers_and_a_gradient_of_0_is_marked():
    net = jaxmlp.Network((2, *[4] * 20, 1), "sigmoid", "sigmoid")
    params = jaxmlp.init(jax.random.key(0), net, "normal(0.0001)")
    _, backward = layers_picture(diagnose(params, jnp.ones((2, 3)), jnp.ones((1, 3)), net)).axes
    ticks = backward.get_xticks()
    assert set(ticks) <= {*range(1, 22)}
    assert backward.get_xlim() == pytest.approx((0.4, 21.6))
    assert [text.get_text() for text in backward.texts][:2] == ["0", "0"]


def test_a_picture_of_values_that_are_not_finite_shows_the_finding(tmp_path):
    net = jaxmlp.Network((2, 4, 1), "sigmoid", "sigmoid")
    params = jaxmlp.init(jax.random.key(0), net)
    found = diagnose(params, jnp.full((2, 3), jnp.nan), jnp.ones((1, 3)), net)
    figure = layers_picture(found)
    assert found.findings[0].text in [text.get_text() for text in figure.texts]
    save(figure, tmp_path / "nan.png")
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["findings"][0]["name"] == "non-finite values"


def test_a_picture_under_a_name_of_no_format_is_refused_before_the_work(healthy, capsys):
    for name, got in (("x.foo", "'foo'"), ("x", "''")):
        assert run(["diagnose", str(healthy), "moons", "--picture", name]) == 2
        assert "the suffix of a picture expects one of " in (said := capsys.readouterr().err)
        assert f"got {got}: " in said


def test_only_plain_gradient_descent_has_a_bound():
    assert sgd_rate({"optimizer": "adam", "learning_rate": 0.5}) is None
    assert sgd_rate({"optimizer": "sgd", "learning_rate": None}) == 0.1
    assert sgd_rate({}) is None


@pytest.mark.slow
def test_the_dropout_of_the_run_is_judged(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["train", "xor", "--hidden", "3", "--dropout", "0.97", "--epochs", "2", "--out", "m"]) == 0
    assert run(["diagnose", "m", "xor"]) == 1
    assert "dropout 0.97 sets all 3 units of layer 1 to 0 for 91% of the examples" in capsys.readouterr().out


def test_the_wrong_data_is_refused(healthy):
    with pytest.raises(InputError):
        ask(healthy, "digits")
