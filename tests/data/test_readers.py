"""The table of formats: what is in it can be read, and is listed wherever the package names its formats."""

from pathlib import Path

import click
import h5py
import numpy as np
import pytest

from jaxmlp.cli.predict import predict
from jaxmlp.cli.train import train
from jaxmlp.data import load, readers, stream
from jaxmlp.data.load import load_rows
from jaxmlp.data.readers import READERS, Reader
from jaxmlp.data.readers.arrays import EXPECTED, Arrays
from jaxmlp.data.rows import Columns
from jaxmlp.errors import InputError

X, Y = np.random.default_rng(0).normal(size=(40, 4)), np.arange(40) % 2
README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def write_h5(path, arrays):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return path


def help_of(command):
    """The help of a command as one line."""
    return " ".join(command.get_help(click.Context(command)).split())


@pytest.mark.parametrize("reader", [reader for reader in READERS if reader.read], ids=lambda reader: reader.name)
def test_readme_and_help_name_every_file_to_train_on(reader):
    assert reader.suffixes[0] in README
    assert reader.suffixes[0] in help_of(train)


@pytest.mark.parametrize("reader", [reader for reader in READERS if reader.read_rows], ids=lambda reader: reader.name)
def test_the_help_names_every_file_to_predict(reader):
    assert (reader.suffixes[0] if reader.suffixes else f"{reader.name} file") in help_of(predict)


@pytest.mark.parametrize("reader", [reader for reader in READERS if reader.read_folder], ids=lambda reader: reader.name)
def test_readme_and_help_name_every_folder(reader):
    assert f"{reader.name} " in README
    assert f"{reader.name} files" in help_of(train)


def test_a_suffix_has_one_reader():
    suffixes = [suffix for reader in READERS for suffix in reader.suffixes]
    assert len({*suffixes}) == len(suffixes)
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in suffixes)


def test_a_record_in_the_table_is_all_that_a_format_needs(tmp_path, monkeypatch):
    def read(path):
        rows = np.loadtxt(path)
        return Arrays(rows[:, 1:], rows[:, 0])

    plain = Reader("plain", (".dat",), read, lambda path, _n_features, _columns: np.loadtxt(path))
    monkeypatch.setattr(readers, "READERS", (*READERS, plain))
    path = tmp_path / "numbers.DAT"
    np.savetxt(path, [[0, 1.5, 2.5], [1, 3.5, 4.5]])
    assert load(path, test_fraction=0).train.rows.tolist() == [[1.5, 2.5], [3.5, 4.5]]
    assert load_rows(path, 3).shape == (2, 3)
    (tmp_path / "a.doc").touch()
    with pytest.raises(InputError, match=r"load expects a file \.h5, .*, \.csv, .*\.pq or \.dat, or a folder, got"):
        load(tmp_path / "a.doc")
    with pytest.raises(InputError, match=r"rows to predict expects a file .*\.webp, \.dat, got a.doc"):
        load_rows(tmp_path / "a.doc", 3)


def test_text_of_an_archive_in_either_byte_order(tmp_path):
    rows = np.arange(8.0).reshape(4, 2)
    for dtype in ("<U1", ">U1"):
        np.savez(tmp_path / "t.npz", X=rows, y=np.array(["a", "b", "a", "b"]).astype(dtype))
        assert load(tmp_path / "t.npz", test_fraction=0).classes == ("a", "b")


@pytest.mark.parametrize(
    "names",
    [
        "X_train y_train X_test y_test",
        "X_TRAIN Y_TRAIN X_TEST Y_TEST",
        "Train_Set_X Train_Set_Y Test_Set_X Test_Set_Y",
        "train/X train/y test/X test/y",
        "training/rows training/labels test/rows test/labels",
    ],
)
def test_names_in_any_case_and_in_groups(tmp_path, names):
    arrays = dict(zip(names.split(), (X[:30], Y[:30], X[30:], Y[30:]), strict=True))
    path = write_h5(tmp_path / "a.h5", arrays)
    np.testing.assert_array_equal(stream(path).rows.read_all(), X[:30])
    np.testing.assert_array_equal(load_rows(path, 4), X[30:])
    np.savez(tmp_path / "a.npz", **arrays)  # pyright: ignore[reportArgumentType]
    for data in (load(path), load(tmp_path / "a.npz")):
        assert data.test is not None
        np.testing.assert_array_equal(data.test.rows, X[30:])
        assert data.train.targets.tolist() == Y[:30].tolist()


def test_groups_without_an_array_are_named(tmp_path, refused):
    path = write_h5(tmp_path / "a.h5", {"run/first/X": X, "run/first/y": Y})
    got, remedy = "the groups run, none with an array directly in it", "write X and y to the root of the file"
    with refused(InputError, f"a.h5 expects {EXPECTED}, got {got}: {remedy}"):
        load(path)
    with refused(InputError, f"a.h5 expects {EXPECTED}, got pets/X, pets/y: rename the arrays"):
        load(write_h5(path, {"pets/X": X, "pets/y": Y}))


def test_two_arrays_without_names_are_rows_and_labels(tmp_path, refused):
    path = tmp_path / "a.npz"
    np.savez(path, X, Y)
    data = load(path, test_fraction=0)
    np.testing.assert_array_equal(data.train.rows, X)
    assert data.notes == ("the arrays have no names: arr_0 is read as the rows X, and arr_1 as the labels y",)
    np.testing.assert_array_equal(load_rows(path, 4), X)
    for arrays in ((Y, X), (X, X), (X, Y[1:])):
        np.savez(path, *arrays)
        with refused(InputError, f"a.npz expects {EXPECTED}, got arr_0, arr_1: name them, np.savez(path, X=X, y=y)"):
            load(path)


def test_npy_has_no_names(tmp_path):
    np.save(tmp_path / "a.npy", X)
    for read in (load, lambda path: load_rows(path, 4)):
        with pytest.raises(InputError, match=r"write np\.savez\('data\.npz', X=X\), and add y=y"):
            read(tmp_path / "a.npy")


def test_images_of_an_idx_file_to_predict(tmp_path, refused):
    images = np.random.default_rng(0).integers(0, 256, (3, 4, 4), dtype=np.uint8)
    header = bytes([0, 0, 8, 3]) + np.array(images.shape, ">u4").tobytes()
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(header + images.tobytes())
    rows = load_rows(tmp_path / "t10k-images-idx3-ubyte", 16, Columns(image_shape=(4, 4)))
    np.testing.assert_array_equal(rows, images.reshape(3, 16))
    name = "t10k-labels-idx1-ubyte"
    (tmp_path / name).touch()
    with refused(InputError, f"rows to predict expects an idx file of images, got {name}: name the file of its images"):
        load_rows(tmp_path / name, 16)
    with pytest.raises(InputError, match="give a file in it, such as t10k-images-idx3-ubyte"):
        load_rows(tmp_path, 16)


def test_exact_names_win_over_names_in_another_case(tmp_path):
    rows, y = np.arange(24.0).reshape(8, 3), np.arange(8) % 2
    np.savez(tmp_path / "a.npz", X=rows, y=y, X_Train=rows + 1, Y_Train=y)
    np.testing.assert_array_equal(load(tmp_path / "a.npz", test_fraction=0).train.rows, rows)


def test_groups_are_read_beside_an_array_of_no_known_name(tmp_path):
    rows, y = np.arange(24.0).reshape(8, 3), np.arange(8) % 2
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["meta"], file["train/images"], file["train/labels"] = np.zeros(3), rows, y
    np.testing.assert_array_equal(load(tmp_path / "a.h5", test_fraction=0).train.rows, rows)
