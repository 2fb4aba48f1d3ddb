"""Rows in their file: every row once, the held-back ones apart, memory by the formula, a sentence for each mistake."""

# preprocessing is that of numbers here, not an encoder of columns
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false

import dataclasses
import os
import pickle
import subprocess
import sys
import threading
from contextlib import closing

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jaxmlp
from jaxmlp.data import Dataset, Preprocessing
from jaxmlp.data.aligned import ALIGNMENT
from jaxmlp.data.streaming.file_rows import choose_runs
from jaxmlp.data.streaming.shuffle_buffer import COUNTED_BUFFERS, ShuffleBuffer, buffer_ranges, buffer_size
from jaxmlp.errors import InputError, InputTypeError, MissingFileError

MEMORY = 100_000


@pytest.fixture
def write(tmp_path):
    """Write arrays into an HDF5 file."""

    def write(name="big.h5", chunks=None, **arrays):
        path = tmp_path / name
        with h5py.File(path, "w") as file:
            for key, array in arrays.items():
                file.create_dataset(key, data=array, chunks=chunks if np.ndim(array) > 1 else None)
        return path

    return write


def table(m=100, n=3, dtype=np.float64):
    """Rows whose first column is their number."""
    rows = np.random.default_rng(0).normal(size=(m, n)).astype(dtype)
    rows[:, 0] = np.arange(m)
    return {"X": rows, "y": np.arange(m) % 3}


def test_what_a_description_says(write):
    data = jaxmlp.stream(write(**table()), memory=MEMORY)
    assert repr(data) == (
        "StreamedDataset big: multiclass\n  rows: 80 training, 20 test\n  features: 3\n  classes: 3 (0, 1, 2)"
    )
    assert (data.n_features, data.n_outputs, data.train.targets.dtype) == (3, 3, np.uint8)
    assert data.test is not None
    numbers = data.test.rows[:, 0].astype(int)
    np.testing.assert_array_equal(data.test.targets, numbers % 3)
    assert sorted([*numbers, *(i for start, stop in data.rows.runs for i in range(start, stop))]) == [*range(100)]


def test_the_validation_part_of_the_file_is_one(write):
    x, y = np.arange(24.0).reshape(8, 3), np.arange(8) % 2 + 1.0  # the classes 1 and 2, stored as floats
    data = jaxmlp.stream(write(x_train=x, y_train=y, x_val=x[:2], y_val=y[:2]), memory=MEMORY, test_fraction=0)
    assert data.validation is not None
    assert data.classes == (1, 2)
    np.testing.assert_array_equal(data.validation.rows, x[:2])


@settings(max_examples=60, deadline=None)
@given(m=st.integers(2, 3000), share=st.floats(0.001, 0.999), seed=st.integers(0, 9))
def test_held_back_runs_lie_all_over_the_file(m, share, seed):
    count = min(max(1, round(m * share)), m - 1)
    kept, held = choose_runs(m, count, seed)
    everything = np.concatenate([np.arange(*run) for run in [*kept, *held]])
    assert sorted(everything) == [*range(m)]
    lengths = held[:, 1] - held[:, 0]
    assert len({*lengths}) == 1
    assert count / 2 < lengths.sum() <= count
    assert ((np.arange(len(held)) * m // len(held)) <= held[:, 0]).all()
    assert choose_runs(m, count, seed)[1].tolist() == held.tolist()


@settings(max_examples=60, deadline=None)
@given(m=st.integers(1, 300), size=st.integers(1, 120), block=st.integers(1, 40), shuffle=st.booleans())
def test_visits_are_every_row_once_in_full_buffers(m, size, block, shuffle):
    epoch = list(buffer_ranges(m, size, block, np.random.default_rng(0) if shuffle else None))
    numbers = [np.concatenate([np.arange(*span) for span in ranges]) for ranges in epoch]
    assert [len(buffer) for buffer in numbers] == [size] * (m // size) + ([m % size] if m % size else [])
    everything = np.concatenate(numbers)
    assert sorted(everything) == [*range(m)]
    assert shuffle or everything.tolist() == [*range(m)]


@pytest.mark.parametrize("chunks", [None, (7, 2)], ids=["plain", "chunked"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int16", ">f4"])
def test_buffers_hold_the_rows_that_they_name(write, dtype, chunks):
    arrays = table(dtype=dtype)
    data = jaxmlp.stream(write(chunks=chunks, **arrays), memory=MEMORY, standardize=True)
    kept = np.concatenate([arrays["X"][start:stop] for start, stop in data.rows.runs])
    expected = data.preprocessing(kept, np.float32)
    feed = ShuffleBuffer(data.rows, data.preprocessing, np.dtype(np.float32), 13)
    seen = []
    with closing(feed.buffers(np.random.default_rng(0))) as buffers:
        for X, numbers in buffers:
            assert X.ctypes.data % ALIGNMENT == 0
            np.testing.assert_array_equal(X, expected[numbers])
            seen += numbers.tolist()
    assert sorted(seen) == [*range(80)]
    assert seen != sorted(seen)


def test_images_are_flattened_and_divided(write):
    images = np.random.default_rng(0).integers(0, 256, (40, 4, 5, 3), dtype=np.uint8)
    path = write(train_set_x=images, train_set_y=np.arange(40)[None] % 2, list_classes=np.array([b"cat", b"dog"]))
    data, whole = jaxmlp.stream(path, memory=MEMORY, test_fraction=0), jaxmlp.load(path, test_fraction=0)
    assert data.test is None
    assert (data.classes, data.image_shape) == (whole.classes, whole.image_shape) == (("cat", "dog"), (4, 5, 3))
    np.testing.assert_array_equal(data.train.targets, whole.train.targets)
    with closing(ShuffleBuffer(data.rows, data.preprocessing, np.dtype("f4"), 40).buffers(None)) as buffers:
        np.testing.assert_array_equal(next(buffers)[0], whole.preprocessing(whole.train.rows))


def test_flat_bytes_under_names_of_images_are_intensities(write):
    rows = np.zeros((2000, 4), np.uint8)
    rows[-1] = 9
    assert jaxmlp.stream(write(x_train=rows, y_train=np.arange(2000) % 2)).preprocessing.scale == 255
    assert jaxmlp.stream(write(x_train=rows // 9, y_train=np.arange(2000) % 2)).preprocessing.scale is None
    assert jaxmlp.stream(write(X=rows, y=np.arange(2000) % 2)).preprocessing.scale is None


def test_the_test_part_of_the_file_is_taken(write):
    arrays = table()
    path = write(x_train=arrays["X"], y_train=arrays["y"], x_test=arrays["X"][:5], y_test=arrays["y"][:5])
    data = jaxmlp.stream(path, memory=MEMORY)
    assert data.test is not None
    assert (len(data.rows), len(data.test.rows)) == (100, 5)
    other = jaxmlp.stream(path, rows="x_test", labels="y_test", memory=MEMORY, test_fraction=0)
    assert len(other.rows) == 5
    named = jaxmlp.stream(write(**arrays, a=arrays["X"][:4], b=arrays["y"][:4]), test=("a", "b"))
    assert named.test is not None
    assert len(named.test.rows) == 4


@pytest.mark.parametrize("memory", [1000, MEMORY])
def test_statistics_by_blocks_are_those_of_the_whole(write, memory):
    arrays = {"X": table(500)["X"] * 1e3 + 1e6, "y": np.random.default_rng(1).normal(size=500)}
    arrays["X"][:, 1] = 7
    data = jaxmlp.stream(write(**arrays), test_fraction=0, standardize=True, memory=memory)
    whole = Dataset.from_arrays(arrays["X"], arrays["y"], standardize=True)
    for ours, theirs in (
        (data.preprocessing, whole.preprocessing),
        (data.target_preprocessing, whole.target_preprocessing),
    ):
        np.testing.assert_allclose(ours.shift, theirs.shift, rtol=1e-14)
        np.testing.assert_allclose(ours.scale, theirs.scale, rtol=1e-12)
    pictures = np.full((10, 2, 2), 3, np.uint8)
    assert jaxmlp.stream(write(X=pictures, y=np.arange(10) % 2), standardize=True).preprocessing.scale[0] == 255


def test_other_processes_get_the_description_and_read_for_themselves(write):
    data = jaxmlp.stream(write(**table()), memory=MEMORY)
    with data.rows.reading() as read:
        mine = np.empty(data.rows.shape)
        read(0, len(mine), mine)
        code = (
            "import sys, pickle, numpy as np; data = pickle.load(sys.stdin.buffer)\n"
            "rows = np.empty(data.rows.shape)\n"
            "with data.rows.reading() as read: read(0, len(rows), rows)\n"
            "print(rows.sum())"
        )
        readers = [
            subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            for _ in range(2)
        ]
        for reader in readers:
            out, _ = reader.communicate(pickle.dumps(data))
            assert float(out) == mine.sum()


@pytest.mark.parametrize("n_buffers", [1, 2, 3, 20])
def test_the_thread_ends_with_the_iterator(write, n_buffers):
    data = jaxmlp.stream(write(**table()), memory=MEMORY, test_fraction=0)
    feed = ShuffleBuffer(data.rows, Preprocessing(), np.dtype("f8"), -(-100 // n_buffers))
    for stop_after in (0, 1, 2, 10**6):
        with closing(feed.buffers(None)) as buffers:
            for _ in zip(range(stop_after), buffers, strict=False):
                pass
        assert not [thread for thread in threading.enumerate() if thread.name == "jaxmlp-reader"]


def test_a_buffer_stays_until_the_second_next_is_asked_for(write):
    data = jaxmlp.stream(write(**table(1000)), memory=MEMORY, test_fraction=0)
    before = None
    with closing(ShuffleBuffer(data.rows, Preprocessing(), np.dtype("f8"), 10).buffers(None)) as buffers:
        for X, numbers in buffers:
            if before is not None:
                np.testing.assert_array_equal(before[0][:, 0], before[1])
            before = X, numbers


@settings(max_examples=60, deadline=None)
@given(m=st.integers(1, 10**6), B=st.integers(1, 300), row=st.integers(9, 5000), memory=st.integers(1, 10**7))
def test_buffers_are_within_the_memory(m, B, row, memory):
    try:
        size = buffer_size(m, B, row, memory, reserved=100)
    except InputError as error:
        need = int(str(error).split()[4])
        assert need == 100 + COUNTED_BUFFERS * B * row > memory
        assert buffer_size(m, B, row, need, reserved=100) == B
        return
    assert size % B == 0
    assert 100 + COUNTED_BUFFERS * size * row <= memory
    n_buffers = -(-m // size)
    fitting = (memory - 100) // (COUNTED_BUFFERS * row * B) * B
    assert n_buffers == -(-m // fitting)  # balanced, and no more of them than need be


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arrays", "arguments", "text"),
    [
        ({"X": np.eye(3)}, {}, "big.h5 expects train_set_x and train_set_y, x_train and y_train, or one of x, X"),
        ({"X": np.eye(3), "z": [1, 2, 3]}, {"rows": "X"}, "stream expects rows and labels together, got only rows"),
        ({"X": np.eye(3), "z": [1, 2, 3]}, {"rows": "X", "labels": "q"}, "an array of big.h5 expects one of X, z"),
        ({"X": np.eye(3), "y": [1, 2]}, {}, "'y' of big.h5 expects one label for each of the 3 rows, got 2 labels"),
        ({"X": np.ones(3), "y": [1, 2, 3]}, {}, r"'X' of big.h5 expects rows of shape \(m, n\), got \(3,\)"),
        ({"X": np.ones((3, 1, 1, 1, 1)), "y": [1, 2, 3]}, {}, "'X' of big.h5 expects rows"),
        ({"X": np.ones((0, 3)), "y": []}, {}, "'X' of big.h5 expects at least one row"),
        ({"X": np.array([[b"a"], [b"b"]]), "y": [1, 2]}, {}, "'X' of big.h5 expects rows of real numbers"),
        ({"X": np.eye(3), "y": [1, 1, 1]}, {}, "the training part expects at least 2 classes, got only 1"),
        ({"X": np.eye(3), "y": [0, 1, 2]}, {"test_fraction": 1.5}, "the split expects a test_fraction between 0 and 1"),
        ({"X": np.eye(3), "y": [0, 1, 2]}, {"memory": 0.5}, "memory expects a positive whole number of bytes, got 0.5"),
        (table(), {"memory": 1000, "test_fraction": 0.5}, "memory expects at least 11200 bytes for a test part of 50"),
        (
            {"x_train": np.eye(3), "y_train": [0, 1, 2], "x_test": np.eye(3), "y_test": [0, 1, 2]},
            {"test_fraction": 0.5},
            "big.h5 expects neither test_fraction nor seed",
        ),
        (
            {"x_train": np.eye(3), "y_train": [0, 1, 2], "x_test": np.eye(2), "y_test": [0, 1]},
            {},
            r"the test part 'x_test' expects rows of shape \(3,\) as in training, got \(2,\)",
        ),
    ],
)
def test_mistakes_get_one_sentence(write, arrays, arguments, text):
    with pytest.raises(InputError, match=text):
        jaxmlp.stream(write(**arrays), **arguments)


def test_files_that_cannot_be_read(tmp_path, write):
    with pytest.raises(MissingFileError, match=r"reading expects an existing HDF5 file, got '.*no.h5'"):
        jaxmlp.stream(tmp_path / "no.h5")
    (tmp_path / "text.h5").write_text("no")
    with pytest.raises(InputError, match=r"text.h5 expects an HDF5 file"):
        jaxmlp.stream(tmp_path / "text.h5")
    with pytest.raises(InputError, match=r"memory expects at least 9600 bytes for 'X', stored in chunks of 100 rows"):
        jaxmlp.stream(write(chunks=(100, 3), **table()), memory=1000)


def read_all(rows):
    """The rows of a `FileRows`."""
    out = np.empty(rows.shape, rows.dtype)
    with rows.reading() as read:
        read(0, len(rows), out)
    return out


def test_columns_of_tiny_numbers_are_not_constant(write):
    path = write(x=np.arange(60.0).reshape(20, 3) * 1e-200, y=np.arange(20) % 2)
    with pytest.raises(InputError, match="columns whose variance is above 0 in float64, got numbers below"):
        jaxmlp.stream(path, memory=MEMORY, test_fraction=0).standardize()


def test_rows_that_are_not_finite_are_named_by_their_number_in_the_file(write):
    arrays = table()
    arrays["X"][57, 2] = np.inf
    data = jaxmlp.stream(write(**arrays), memory=MEMORY, test_fraction=0)
    rows = dataclasses.replace(data.rows, runs=np.array([[20, 90]]))
    with pytest.raises(InputError, match=r"'X' of big.h5 expects finite numbers, got inf in row 57, column 2: drop"):
        read_all(rows)


def test_large_finite_rows_are_no_mistake(write):
    arrays = table()
    arrays["X"][:, 1] = 1e308
    assert (read_all(jaxmlp.stream(write(**arrays), memory=MEMORY).rows)[:, 1] == 1e308).all()


def test_a_file_that_changes_under_our_hands(write):
    path = write(**table(5000))
    data = jaxmlp.stream(path, test_fraction=0)
    out = np.empty(data.rows.shape)
    with data.rows.reading() as read:
        os.truncate(path, 30_000)
        with pytest.raises(InputError, match=r"big.h5 expects 'X', float64 of shape \(5000, 3\), got a file cut from"):
            read(0, 5000, out)
        path.unlink()
        with pytest.raises(InputError, match="got no such file any more: put it back, and resume"):
            read(0, 5000, out)
    with pytest.raises(InputError, match="got no such file any more"):
        read_all(data.rows)
    write(**table(40))
    with pytest.raises(InputError, match=r"got float64 of shape \(40, 3\): was the file replaced"):
        read_all(data.rows)


def test_what_needs_all_rows_in_memory_says_so(write):
    data = jaxmlp.stream(write(**table()), memory=MEMORY)
    with pytest.raises(
        InputTypeError, match=r"expects rows that are in memory, got all 80 of 'X', which stay in big.h5"
    ):
        np.asarray(data.train.rows)
    with pytest.raises(InputError, match="expects feature names"):
        data.select(["a"])
