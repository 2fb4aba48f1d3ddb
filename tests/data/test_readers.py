"""The table of formats: what is in it can be read, and is listed wherever the package names its formats."""

from pathlib import Path

import click
import numpy as np
import pytest

from jaxmlp.cli.predict import predict
from jaxmlp.cli.train import train
from jaxmlp.data import load, readers
from jaxmlp.data.load import load_rows
from jaxmlp.data.readers import READERS, Reader
from jaxmlp.data.readers.arrays import Arrays
from jaxmlp.errors import InputError

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def help_of(command):
    """The help of a command as one line."""
    return " ".join(command.get_help(click.Context(command)).split())


@pytest.mark.parametrize("reader", [reader for reader in READERS if reader.read], ids=lambda reader: reader.name)
def test_readme_and_help_name_every_file_to_train_on(reader):
    assert reader.suffixes[0] in README
    assert reader.suffixes[0] in help_of(train)


@pytest.mark.parametrize("reader", [reader for reader in READERS if reader.read_rows], ids=lambda reader: reader.name)
def test_the_help_names_every_file_to_predict(reader):
    assert reader.suffixes[0] in help_of(predict)


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
