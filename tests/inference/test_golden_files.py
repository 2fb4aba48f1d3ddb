"""Files of earlier releases still load: models of every format version, and a checkpoint that goes on to its end.

The files in `tests/golden` and the numbers beside them were written once, and are not written again when the code
changes. A new format version adds a file; `python tests/inference/test_golden_files.py NAME` writes the files of that
name with their numbers. Rows and parameters are fractions that every dtype holds exactly, so that they are the same on
every machine.
"""

import json
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmlp
from jaxmlp.data import Dataset, Preprocessing
from jaxmlp.data.checksum import unseal
from jaxmlp.inference.model import Model
from jaxmlp.nn.network import Network
from jaxmlp.training import EarlyStopping
from jaxmlp.training.loop import Result

GOLDEN = Path(__file__).parent.parent / "golden"
VALUES = GOLDEN / "values.json"
CHECKPOINT = "checkpoint"
EPOCHS_BEFORE, EPOCHS = 3, 6


def fractions(*shape: int) -> np.ndarray:
    """Return multiples of 1/8 from -5/8 to 5/8 without a simple order."""
    numbers = np.arange(np.prod(shape, dtype=int))
    return ((numbers * numbers + 3 * numbers) % 11 - 5.0).reshape(shape) / 8


def params_of(net: Network, dtype: Any = np.float32) -> Any:
    """Return parameters of the network's shapes."""
    return jax.tree.map(lambda leaf: fractions(*leaf.shape).astype(dtype), jaxmlp.init(jax.random.key(0), net))


# --- models -----------------------------------------------------------------------------------------------------------


class Case(NamedTuple):
    """A model to write and the rows that it predicts for; `cut` leaves out the checksum."""

    make: Callable[[], Model]
    rows: Any
    cut: bool = False


def images() -> Model:
    """Pictures of bytes with three classes: a model of bfloat16."""
    rows = (np.arange(9 * 6) * 37 % 256).astype(np.uint8).reshape(9, 2, 3)
    data = Dataset.from_arrays(rows, list("abcabcabc"), name="letters")
    net = jaxmlp.network_for(data, (4, 3), ("leaky_relu(0.25)", "maxout(2)"))
    return Model.of(net, params_of(net, jnp.bfloat16), data)


def values() -> Model:
    """Two targets with scales, and names of columns: a model of float64."""
    columns = jaxmlp.data.Columns(("u", "v"))
    data = Dataset.from_arrays(fractions(8, 2), 10 + 4 * fractions(8, 2), standardize=True, columns=columns)
    net = jaxmlp.network_for(data, (3,), "tanh")
    return Model.of(net, params_of(net, np.float64), data)


TABLE = {"size": [1.0, 2.0, 4.0, None], "colour": ["red", "blue", "red", "green"], "price": [8.0, 4.0, 2.0, 1.0]}


def table() -> Model:
    """A table with text and a gap: its encoder is part of the file."""
    data = jaxmlp.load(TABLE, target="price", test_fraction=0)
    net = jaxmlp.network_for(data, (3,), "elu")
    return Model.of(net, params_of(net), data)


def members() -> Model:
    """A network of four members that share their weights."""
    data = Dataset.from_arrays(fractions(8, 2), [True, False] * 4)
    net = jaxmlp.network_for(data, (3,), "relu", members=4)
    return Model.of(net, params_of(net), data)


def bounded() -> Model:
    """A regression that predicts within the range of its training targets."""
    data = Dataset.from_arrays(fractions(8, 2), fractions(8)).bound_targets()
    net = jaxmlp.network_for(data, (3,), "softplus")
    return Model.of(net, params_of(net), data)


def parametric() -> Model:
    """A network with parametric activations."""
    data = Dataset.from_arrays(fractions(8, 2), list("abcabcab"))
    net = jaxmlp.network_for(data, (3, 4), "elu", parametric=True)
    return Model.of(net, params_of(net), data)


def columns() -> Model:
    """A table whose columns are several inputs each, and members with a scale for each column."""
    data = jaxmlp.load(TABLE, target="price", test_fraction=0)
    net = jaxmlp.network_for(data, (3,), "relu", members=4)
    return Model.of(net, params_of(net), data)


ROWS = fractions(5, 2)
CASES = {
    "version-1-images": Case(images, (np.arange(4 * 6) * 11 % 256).astype(np.uint8).reshape(4, 2, 3)),
    "version-1-without-checksum": Case(values, ROWS, cut=True),
    "version-2-table": Case(table, {name: TABLE[name] for name in ("colour", "size")}),
    "version-3-members": Case(members, ROWS),
    "version-4-bounded": Case(bounded, ROWS),
    "version-5-parametric": Case(parametric, ROWS),
    "version-6-columns": Case(columns, {name: TABLE[name] for name in ("colour", "size")}),
}


def write_model(name: str) -> dict[str, Any]:
    """Write the file of a case; return the numbers that it must give."""
    case = CASES[name]
    model, path = case.make(), GOLDEN / f"{name}.h5"
    model.save(path)
    if case.cut:  # releases before the checksum wrote the HDF5 alone
        path.write_bytes(unseal(path.read_bytes())[0])
    params = [np.asarray(leaf, np.float64).tolist() for leaf in jax.tree.leaves(model.params)]
    outputs = np.asarray(model.outputs(case.rows), np.float64).tolist()
    return {"params": params, "outputs": outputs, "predictions": np.asarray(model.predict(case.rows)).tolist()}


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    return json.loads(VALUES.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", CASES)
def test_a_model_of_every_format_version_predicts_as_when_it_was_written(name, expected):
    path = GOLDEN / f"{name}.h5"
    with h5py.File(path) as file:
        assert file.attrs["format_version"] == int(name.split("-")[1])
    assert unseal(path.read_bytes())[1] is (None if CASES[name].cut else True)
    model = jaxmlp.load_model(path)
    numbers = expected[name]
    for leaf, number in zip(jax.tree.leaves(model.params), numbers["params"], strict=True):
        np.testing.assert_array_equal(leaf.astype(np.float64), number)
    rtol = {"float64": 1e-12, "float32": 1e-5, "bfloat16": 0.02}[str(model.params[0]["W"].dtype)]
    np.testing.assert_allclose(model.outputs(CASES[name].rows).astype(np.float64), numbers["outputs"], rtol, rtol)
    predictions = model.predict(CASES[name].rows)
    if model.task == "regression":
        np.testing.assert_allclose(predictions, numbers["predictions"], rtol, rtol)
    else:
        assert predictions.tolist() == numbers["predictions"]


@pytest.mark.parametrize("name", CASES)
def test_a_model_of_every_format_version_has_all_its_fields(name):
    model, again = CASES[name].make(), jaxmlp.load_model(GOLDEN / f"{name}.h5")
    for field in ("net", "task", "cost", "classes", "feature_names", "target_names", "image_shape", "row_dtype"):
        assert getattr(again, field) == getattr(model, field), field
    assert again.row_range == model.row_range
    for field in ("preprocessing", "target_preprocessing"):
        ours, theirs = getattr(model, field), getattr(again, field)
        if isinstance(ours, Preprocessing):
            assert ours.to_dict().keys() == theirs.to_dict().keys()
            for key, array in ours.to_dict().items():
                np.testing.assert_allclose(theirs.to_dict()[key], array, rtol=1e-12)
        else:
            assert theirs.to_json() == ours.to_json()


@pytest.mark.parametrize("name", CASES)
def test_a_model_is_written_in_the_lowest_version_that_can_hold_it(name, tmp_path):
    model = jaxmlp.load_model(GOLDEN / f"{name}.h5")
    model.save(tmp_path / "m.h5")
    again = jaxmlp.load_model(tmp_path / "m.h5")
    assert again.net == model.net
    rows = CASES[name].rows
    np.testing.assert_array_equal(again.outputs(rows).astype(np.float64), model.outputs(rows).astype(np.float64))
    with h5py.File(tmp_path / "m.h5") as file:
        assert file.attrs["format_version"] == int(name.split("-")[1])


def test_every_format_version_has_a_file():
    from jaxmlp.inference.model_file import FORMAT_VERSION

    assert {int(name.split("-")[1]) for name in CASES} == set(range(1, FORMAT_VERSION + 1))


# --- a checkpoint -----------------------------------------------------------------------------------------------------


def train(epochs: int, **options: Any) -> Result:
    """Train in float64 with what a checkpoint holds: dropout, moments of batches, an average, the best epoch."""
    rows = fractions(24, 3)
    data = Dataset.from_arrays(rows[:16], np.arange(16) % 3, validation=(rows[16:], np.arange(8) % 3))
    net = Network((3, 4, 3), "tanh", "softmax", norm="batch")
    options |= {"early_stopping": EarlyStopping(patience=50), "ema_decay": 0.75, "batch_size": 5}
    objective = jaxmlp.Objective("categorical_cross_entropy", dropout=0.25)
    with jax.enable_x64(True):
        return jaxmlp.fit(net, data, epochs=epochs, learning_rate=0.03125, objective=objective, **options)


def write_checkpoint() -> dict[str, Any]:
    """Write the checkpoint of a run that is not at its end; return the numbers of the end."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "run"
        train(EPOCHS_BEFORE, checkpoints=folder)
        with zipfile.ZipFile(GOLDEN / f"{CHECKPOINT}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(folder.rglob("*")):
                if path.name != ".lock":  # folders as well: Orbax looks for those without files, too
                    archive.write(path, path.relative_to(folder))
    result = train(EPOCHS)
    costs = [report.cost for report in result.history]
    return {"params": [np.asarray(leaf).tolist() for leaf in jax.tree.leaves(result.params)], "costs": costs}


def test_a_checkpoint_goes_on_to_the_parameters_of_its_run(expected, tmp_path):
    with zipfile.ZipFile(GOLDEN / f"{CHECKPOINT}.zip") as archive:
        archive.extractall(tmp_path / "run")
    trained: list[int | None] = []
    watch = jaxmlp.ReportCallback(lambda report: trained.append(report.epoch))
    result = train(EPOCHS, checkpoints=tmp_path / "run", callbacks=watch)
    assert trained == list(range(EPOCHS_BEFORE + 1, EPOCHS + 1))
    numbers = expected[CHECKPOINT]
    np.testing.assert_allclose([report.cost for report in result.history], numbers["costs"], rtol=1e-12)
    for leaf, number in zip(jax.tree.leaves(result.params), numbers["params"], strict=True):
        assert leaf.dtype == np.float64
        np.testing.assert_allclose(leaf, number, rtol=1e-12, atol=1e-14)


# --- the same bytes ---------------------------------------------------------------------------------------------------


def test_the_same_training_writes_the_same_bytes(tmp_path):
    """Without times, random names or addresses in it, a file can be compared by its checksum."""
    for name in ("first.h5", "second.h5"):
        data = Dataset.from_arrays(fractions(12, 2), list("abcabcabcabc"), standardize=True)
        net = jaxmlp.network_for(data, (3,))
        Model.of(net, jaxmlp.fit(net, data, epochs=2).params, data).save(tmp_path / name)
    assert (tmp_path / "first.h5").read_bytes() == (tmp_path / "second.h5").read_bytes()


if __name__ == "__main__":
    known = json.loads(VALUES.read_text(encoding="utf-8")) if VALUES.exists() else {}
    for chosen in sys.argv[1:]:
        known[chosen] = write_checkpoint() if chosen == CHECKPOINT else write_model(chosen)
    VALUES.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
