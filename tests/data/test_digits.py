"""The digits in the package, made again from scikit-learn's copy and compared."""

import importlib.resources
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from jaxmlp.data import load
from jaxmlp.data.split import split


def make_digits(path: Path) -> None:
    """Write the file of the package: `python tests/data/test_digits.py jaxmlp/data/digits.h5`."""
    bunch = pytest.importorskip("sklearn.datasets").load_digits()
    images = np.round(bunch.images * 255 / 16).astype(np.uint8)
    labels = bunch.target.astype(np.int64)
    parts = dict(zip(("train", "test"), split(len(labels), 0.2, seed=0, ids=labels), strict=True))
    with h5py.File(path, "w") as file:
        for name, rows in parts.items():
            file.create_dataset(f"{name}_set_x", data=images[rows], compression="gzip", compression_opts=9)
            file.create_dataset(f"{name}_set_y", data=labels[rows])
        file["list_classes"] = np.array([str(digit).encode() for digit in range(10)])
        file.attrs["title"] = "Optical Recognition of Handwritten Digits, test set: 1,797 images of 8x8"
        file.attrs["source"] = (
            "E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, 1998, doi 10.24432/C50P49; "
            "the copy that sklearn.datasets.load_digits ships"
        )
        file.attrs["licence"] = "CC BY 4.0, https://creativecommons.org/licenses/by/4.0/"
        file.attrs["changes"] = "intensities v of 0..16 became round(v * 255 / 16), 0..255"
        file.attrs["split"] = "stratified, 20 % test: jaxmlp.data.split.split(1797, 0.2, seed=0, ids=labels)"


def test_the_file_is_what_its_maker_makes(tmp_path):
    make_digits(tmp_path / "digits.h5")
    packaged = importlib.resources.files("jaxmlp.data") / "digits.h5"
    with (
        importlib.resources.as_file(packaged) as path,
        h5py.File(path) as here,
        h5py.File(tmp_path / "digits.h5") as new,
    ):
        assert set(here) == set(new) == {"train_set_x", "train_set_y", "test_set_x", "test_set_y", "list_classes"}
        assert dict(here.attrs) == dict(new.attrs)
        for name, array in new.items():
            packed = here[name]
            assert isinstance(packed, h5py.Dataset)
            assert isinstance(array, h5py.Dataset)
            np.testing.assert_array_equal(packed[()], array[()])
            assert packed.dtype == array.dtype


def test_every_image_of_the_original_is_there_once():
    bunch = pytest.importorskip("sklearn.datasets").load_digits()
    data = load("digits")
    assert data.test is not None
    rows = np.concatenate([data.train.rows, data.test.rows]).astype(np.int64)
    targets = np.concatenate([data.train.targets, data.test.targets])
    back = np.round(rows * 16 / 255)
    here = np.c_[back, targets]
    there = np.c_[bunch.data, bunch.target]
    np.testing.assert_array_equal(here[np.lexsort(here.T)], there[np.lexsort(there.T)])


def test_loading_gives_images_with_names():
    data = load("digits")
    assert data.test is not None
    assert data.train.rows.dtype == np.uint8
    assert data.train.targets.dtype == np.int64
    assert (data.n_features, data.n_outputs, data.image_shape, data.task) == (64, 10, (8, 8), "multiclass")
    assert data.classes == tuple("0123456789")
    assert data.train.rows.max() == 255
    assert data.preprocessing(data.train.rows).max() == 1
    counts = np.bincount(data.train.targets) / (np.bincount(data.train.targets) + np.bincount(data.test.targets))
    assert np.abs(counts - 0.8).max() < 0.006


if __name__ == "__main__":
    make_digits(Path(sys.argv[1]))
