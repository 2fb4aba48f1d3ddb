"""Names, paths, and the rows of predictions."""

from pathlib import Path

import h5py
import numpy as np
import pytest

import jaxmlp
import jaxmlp.data.load as load_module
from jaxmlp.data import load
from jaxmlp.data.files import check_writable
from jaxmlp.data.limits import as_path
from jaxmlp.data.load import load_rows
from jaxmlp.data.readers import COMPRESSIONS, READERS
from jaxmlp.data.rows import Columns
from jaxmlp.data.toy import TOY_DATASETS
from jaxmlp.errors import InputError, InputTypeError, MissingFileError

# the suffixes that the errors list
LABELLED = [s for r in READERS if r.has_labels for s in r.suffixes if not s.endswith(COMPRESSIONS)]
PREDICTED = [s for r in READERS if r.has_rows for s in r.suffixes if not s.endswith(COMPRESSIONS)]


def test_no_suffix_is_lost():
    assert LABELLED == [".h5", ".hdf5", ".npz", ".csv", ".tsv", ".txt", ".data", ".tab", ".parquet", ".pq"]
    assert PREDICTED == [*LABELLED, ".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp"]


def test_the_suffixes_in_the_documentation_are_those_of_the_readers():
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    for reader in READERS:
        if reader.has_labels and reader.suffixes:
            first = reader.suffixes[0]
            for place, text in {"load": load.__doc__, "data/load.py": load_module.__doc__, "README": readme}.items():
                assert first in str(text), f"{place} does not name {first} of {reader.name}"


@pytest.mark.parametrize("name", list(TOY_DATASETS))
def test_every_name_loads_ready_to_train(name):
    data = load(name)
    assert data.name == name
    assert data.test is not None
    assert data.test.rows.shape[1] == data.n_features
    assert load(name, task=data.task).task == data.task
    standard = load(name, standardize=True)
    np.testing.assert_allclose(standard.preprocessing(data.train.rows, np.float64).mean(axis=0), 0, atol=1e-9)


def test_names_win_over_paths(tmp_path, monkeypatch, refused):
    monkeypatch.chdir(tmp_path)
    Path("digits").mkdir()
    assert load("digits").n_features == 64
    for source in ("./digits", Path("digits")):
        with refused(
            InputError,
            "digits expects HDF5 or idx files in the folder, or a folder of pictures for each class, got no files: "
            "for any other format give the path of the file",
        ):
            load(source)
    Path("digits/a.txt").touch()
    with refused(
        InputError,
        "digits expects HDF5 or idx files in the folder, or a folder of pictures for each class, got 1 other files: "
        "for any other format give the path of the file",
    ):
        load("./digits")


def test_sources_it_refuses(tmp_path, refused):
    names = "digits, planar, xor, moons, circles, spirals"
    with refused(
        InputError,
        f"data source expects one of {names}, or a path to a file or folder, got 'digts': did you mean 'digits'?",
    ):
        load("digts")
    for missing in (tmp_path / "a.csv", str(tmp_path / "folder")):
        with refused(
            MissingFileError,
            f"reading expects an existing file or folder, got {str(missing)!r}, which does not exist: check the path",
        ):
            load(missing)
    (tmp_path / "a.doc").touch()
    with refused(
        InputError,
        f"load expects a file {', '.join(LABELLED[:-1])} or {LABELLED[-1]}, "
        "or a folder, got a.doc: convert it to one of these",
    ):
        load(tmp_path / "a.doc")
    (tmp_path / "photo.jpg").touch()
    with refused(
        InputError,
        f"load expects a file {', '.join(LABELLED[:-1])} or {LABELLED[-1]}, "
        "or a folder, got photo.jpg: a picture has no label: give it to jaxmlp predict",
    ):
        load(tmp_path / "photo.jpg")
    (tmp_path / "train-images-idx3-ubyte.gz").touch()
    with refused(
        InputError,
        f"load expects a file {', '.join(LABELLED[:-1])} or {LABELLED[-1]}, "
        "or a folder, got train-images-idx3-ubyte.gz: "
        "name the folder that holds it",
    ):
        load(tmp_path / "train-images-idx3-ubyte.gz")
    with refused(InputTypeError, "load expects a name or a path, got ndarray: for arrays take Dataset.from_arrays"):
        load(np.zeros(3))  # pyright: ignore[reportArgumentType]


def test_a_folder_is_called_by_its_own_name(tmp_path, monkeypatch, refused):
    folder = tmp_path / "cats.v2"
    (folder / "inner").mkdir(parents=True)
    with h5py.File(folder / "a.h5", "w") as file:
        file["x"], file["y"] = np.zeros((10, 2)), [0, 1] * 5
    for place, source in ((folder, "."), (folder, Path()), (folder / "inner", ".."), (tmp_path, "cats.v2")):
        monkeypatch.chdir(place)
        assert load(source).name == "cats.v2"
    monkeypatch.chdir(folder / "inner")
    with refused(
        InputError,
        "inner expects HDF5 or idx files in the folder, or a folder of pictures for each class, got no files: "
        "for any other format give the path of the file",
    ):
        load(".")
    with refused(
        InputError,
        f"rows to predict expects a file {', '.join(PREDICTED)}, got inner: convert it to one of these",
    ):
        load_rows(".", 3)


def test_options_that_do_not_apply_are_refused(tmp_path, refused):
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 2)), y=[0, 1])
    for source, name in (("moons", "moons"), (tmp_path / "a.npz", "a.npz")):
        with refused(
            InputError,
            f"source {name!r} expects no target, because it has no columns to choose from, "
            "got target 'y': leave it out",
        ):
            load(source, target="y")
    with refused(InputError, "source 'moons' expects task 'auto' or 'binary', got 'regression': leave the task out"):
        load("moons", task="regression")
    with refused(
        InputError,
        "task expects one of auto, binary, multiclass, multilabel, regression, got 'binry': did you mean 'binary'?",
    ):
        load("moons", task="binry")
    with refused(InputError, "standardize expects True, False or 'auto', got 'yes': take one of these"):
        load("moons", standardize="yes")  # pyright: ignore[reportArgumentType]


def test_the_home_folder_is_understood(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    np.savez(tmp_path / "a.npz", x=np.arange(4.0).reshape(2, 2), y=[0, 1])
    assert load("~/a.npz", test_fraction=0).n_features == 2
    assert load_rows("~/a.npz", 2).tolist() == [[0, 1], [2, 3]]


@pytest.mark.parametrize("task", ["regression", "multiclass"])
def test_the_task_reaches_files(tmp_path, task):
    np.savez(tmp_path / "a.npz", x=np.zeros((10, 2)), y=[0, 1] * 5)
    assert load(tmp_path / "a.npz", task=task).task == task


@pytest.mark.parametrize(
    ("arrays", "chosen"),
    [
        ("rows x X x_test test_set_x", "rows"),
        ("x X x_test", "x"),
        ("X x_test", "X"),
        ("x_train x_test y_train", "x_test"),
        ("train_set_x test_set_x", "test_set_x"),
        ("anything", "anything"),
    ],
)
def test_rows_to_predict_from_npz(tmp_path, arrays, chosen):
    content = {name: np.full((2, 3), float(name == chosen)) for name in arrays.split()}
    np.savez(tmp_path / "a.npz", **content)  # pyright: ignore[reportArgumentType]
    np.testing.assert_array_equal(load_rows(tmp_path / "a.npz", 3), np.ones((2, 3)))


@pytest.mark.parametrize(
    "names",
    [
        ["test_set_x", "train_set_x"],
        ["train_set_x", "rows"],
        ["rows", "y"],
        ["X", "y"],
        ["x", "y"],
        ["x_test", "x_train"],
        ["anything"],
    ],
)
def test_rows_to_predict_from_hdf5(tmp_path, names):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for value, name in enumerate(names):
            file[name] = np.full((2, 4, 4), value, np.uint8)
    rows = load_rows(tmp_path / "a.h5", 16, Columns(image_shape=(4, 4, 1)))
    np.testing.assert_array_equal(rows, np.zeros((2, 16)))
    assert rows.dtype == np.uint8


def test_rows_to_predict_it_refuses(tmp_path, refused):
    path = tmp_path / "a.npz"
    np.savez(path, a=np.zeros(3), b=np.zeros(3))
    with refused(
        InputError,
        "a.npz expects one of the arrays rows, x, X, x_test, test_set_x, or a single array, got a, b: "
        "rename the array of rows",
    ):
        load_rows(path, 3)
    np.savez(path, x=np.zeros((2, 4)))
    with refused(
        InputError, "a.npz expects rows with 3 columns, got 4: give rows like those that the model was trained on"
    ):
        load_rows(path, 3)
    np.savez(path, x=np.array([[1, 2], [3, np.nan]]))
    with refused(
        InputError, "a.npz expects finite numbers, got nan in row 1, column 'b': drop that row or fill the value in"
    ):
        load_rows(path, 2, Columns(("a", "b")))
    np.savez(path, x=np.zeros((2, 3, 4, 5)))
    with refused(InputError, "a.npz expects images of shape (5, 4, 3), got (3, 4, 5): resize or transpose them"):
        load_rows(path, 60, Columns(image_shape=(5, 4, 3)))
    with refused(
        MissingFileError,
        "reading expects an existing file or folder, got 'nowhere.csv', which does not exist: check the path",
    ):
        load_rows("nowhere.csv", 3)
    with refused(
        InputError,
        f"rows to predict expects a file {', '.join(PREDICTED)}, got {tmp_path.name}: give a file in it, such as a.npz",
    ):
        load_rows(tmp_path, 3)


def test_a_source_with_its_own_test_part_takes_no_split(refused):
    expects = "source 'digits' expects neither test_fraction nor seed, because it has a test part, got "
    with refused(InputError, f"{expects}test_fraction 0.3: leave it out"):
        load("digits", test_fraction=0.3)
    with refused(InputError, f"{expects}seed 1: leave it out"):
        load("digits", seed=1)
    assert load("digits", test_fraction=0).test is not None


def test_options_of_a_table_are_named_where_there_is_none(tmp_path, refused):
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 2)), y=[0, 1])
    for source, name in ((tmp_path / "a.npz", "a.npz"), ("moons", "moons")):
        with refused(
            InputError,
            f"source {name!r} expects no table options, because it is not a table, got drop, weights: leave them out",
        ):
            load(source, weights="w", drop="id")


def test_rows_and_targets_in_a_dictionary_are_no_table(refused):
    with refused(
        InputTypeError,
        "load expects a table, a name or a path, got dict with data and target: "
        "give data and target to Dataset.from_arrays",
    ):
        load({"data": np.zeros((4, 3)), "target": [0, 1, 0, 1]})
    columns = {"data": np.arange(4.0), "target": [0, 1, 0, 1]}
    assert load(columns, test_fraction=0).feature_names == ("data",)  # a table whose columns have these names


def test_addresses_and_names_of_known_data(tmp_path, monkeypatch, refused):
    monkeypatch.chdir(tmp_path)
    sentence = "expects a file on this machine, got the address {!r}: download the file, and give its path"
    for read in (load, jaxmlp.stream, lambda source: load_rows(source, 3)):
        for address in ("https://example.org/a.h5", "s3://bucket/a.csv", "www.example.org/a.csv"):
            with refused(InputError, f"reading {sentence.format(address)}"):
                read(address)
    for address in ("https://example.org/a.h5", Path("https://example.org/a.h5")):  # a path has a single slash left
        with refused(InputError, f"load_model {sentence.format(str(address))}"):
            jaxmlp.load_model(address)
    with refused(
        InputError,
        "writing expects a file on this machine, got the address 'https://example.org/a': "
        "write to a path on this machine",
    ):
        check_writable("https://example.org/a")
    (tmp_path / "www.notes").mkdir()
    (tmp_path / "www.notes" / "a.csv").write_text("a,y\n1,0\n2,1\n")
    assert load("www.notes/a.csv", test_fraction=0).train.rows.tolist() == [[1], [2]]  # it is here
    for name in ("mnist", "MNIST", "FashionMNIST", "Fashion-MNIST", "fashion_mnist", "mnist_784"):
        match = rf"'{name}' expects a folder with train-images-idx3-ubyte\.gz.*, got no such folder: download these"
        with pytest.raises(MissingFileError, match=match):
            load(name)
    with pytest.raises(MissingFileError, match=r"'cat' .* train_catvnoncat\.h5 and test_catvnoncat\.h5, got no such"):
        load("cat")
    with pytest.raises(InputError, match=r"got 'iris': the package has no other data, so give the path of a file"):
        load("iris")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.csv").write_text("a,y\n1,0\n2,1\n")
    assert load("~/a.csv", test_fraction=0).train.rows.tolist() == [[1], [2]]


def test_a_folder_whose_name_looks_like_an_address_is_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("www.site").mkdir()
    assert as_path("www.site/new.h5", for_writing=True) == Path("www.site/new.h5")
    with pytest.raises(InputError, match=r"got the address 'file:///tmp/a\.csv': give the path without file:"):
        load("file:///tmp/a.csv")
