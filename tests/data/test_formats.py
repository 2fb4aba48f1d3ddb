"""HDF5, npz and idx: each layout read, each damage named."""

# preprocessing is that of numbers here, not an encoder of columns
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false

import gzip
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest

from jaxmlp.data import load
from jaxmlp.data.load import load_rows
from jaxmlp.errors import InputError

IMAGES = np.random.default_rng(0).integers(0, 256, (10, 4, 3, 3), dtype=np.uint8)
LABELS = np.array([0, 1] * 5)
LAYOUTS = "train_set_x and train_set_y, x_train and y_train, or one of x, X, rows with one of y, Y, labels, targets"


def write_h5(path, **arrays):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return path


def course(**changes):
    """The course's keys, the first 7 images to train and the rest to test, with the (1, m) labels of its files."""
    arrays = {
        "train_set_x": IMAGES[:7],
        "train_set_y": LABELS[None, :7],
        "test_set_x": IMAGES[7:],
        "test_set_y": LABELS[None, 7:],
        "list_classes": np.array([b"non-cat", b"cat"]),
    }
    return {name: array for name, array in (arrays | changes).items() if array is not None}


def check_course(data):
    assert (data.task, data.classes, data.image_shape) == ("binary", ("non-cat", "cat"), (4, 3, 3))
    np.testing.assert_array_equal(data.train.rows, IMAGES[:7].reshape(7, -1))
    np.testing.assert_array_equal(data.test.rows, IMAGES[7:].reshape(3, -1))
    np.testing.assert_array_equal(data.train.targets, LABELS[:7])
    np.testing.assert_array_equal(data.test.targets, LABELS[7:])
    assert data.preprocessing.scale == 255


@pytest.mark.parametrize("name", ["cats.h5", "cats.HDF5"])
def test_one_hdf5_file(tmp_path, name):
    data = load(write_h5(tmp_path / name, **course()))
    check_course(data)
    assert data.name == "cats"


def test_a_folder_of_two_is_told_apart_by_keys(tmp_path):
    keys = course()
    split = {part: {name: array for name, array in keys.items() if part in name} for part in ("train", "test")}
    write_h5(tmp_path / "a.h5", **split["test"], list_classes=keys["list_classes"], note=1)
    write_h5(tmp_path / "b.h5", **split["train"], list_classes=keys["list_classes"], note=2)
    (tmp_path / "readme.txt").touch()
    check_course(load(str(tmp_path)))


def test_a_file_without_test_keys_is_split(tmp_path):
    path = write_h5(tmp_path / "a.h5", **course(test_set_x=None, test_set_y=None, train_set_x=IMAGES[:10],
                                                 train_set_y=LABELS))  # fmt: skip
    data = load(path, test_fraction=0.4)
    assert data.test is not None
    assert np.bincount(data.test.targets).tolist() == [2, 2]
    assert load(path, test_fraction=0).test is None
    seeds = [load(path, test_fraction=0.4, seed=seed).test for seed in (0, 1)]
    assert not np.array_equal(seeds[0].rows, seeds[1].rows)  # pyright: ignore[reportOptionalMemberAccess]


def test_flat_bytes_of_the_course_are_intensities(tmp_path):
    flat = course(train_set_x=IMAGES[:7].reshape(7, -1), test_set_x=IMAGES[7:].reshape(3, -1))
    path = write_h5(tmp_path / "a.h5", **flat)
    assert (load(path).image_shape, load(path).preprocessing.scale) == (None, 255)
    assert load(path, standardize=True).preprocessing.n_columns == 36


@pytest.mark.parametrize("names", ["train_set_x train_set_y", "x_train y_train"])
@pytest.mark.parametrize("write", [write_h5, lambda path, **arrays: np.savez(path, **arrays) or path])
@pytest.mark.parametrize(("high", "scale"), [(1, None), (255, 255)])
def test_flat_bytes_are_intensities_where_one_is_above_1(tmp_path, names, write, high, scale):
    flat = (IMAGES.reshape(10, -1) > 127).astype(np.uint8) * high
    path = tmp_path / ("a.h5" if write is write_h5 else "a.npz")
    write(path, **dict(zip(names.split(), (flat, LABELS), strict=True)))
    assert load(path, test_fraction=0).preprocessing.scale == scale


def test_flat_bytes_under_a_plain_name_are_features(tmp_path):
    path = write_h5(tmp_path / "a.h5", x=IMAGES.reshape(10, -1), y=LABELS)
    assert load(path, test_fraction=0).preprocessing.scale is None


def test_a_course_file_of_one_image_for_a_known_model(tmp_path):
    one = {"test_set_x": None, "test_set_y": None, "train_set_x": IMAGES[:1], "train_set_y": LABELS[None, 1:2]}
    path = write_h5(tmp_path / "a.h5", **course(**one))
    data = load(path, test_fraction=0, known_classes=("cat", "non-cat"))
    assert (data.classes, data.train.targets.tolist()) == (("non-cat", "cat"), [1])
    path = write_h5(tmp_path / "a.h5", **course(**one, list_classes=None))
    data = load(path, test_fraction=0, known_classes=("1", "0"))
    assert (data.task, data.classes, data.train.targets.tolist()) == ("binary", ("1", "0"), [0])


@pytest.mark.parametrize("kind", ["fixed", "variable"])
@pytest.mark.parametrize("key", ["train_set_y", "test_set_y", "list_classes"])
def test_text_that_is_no_utf8_is_told_by_its_key(tmp_path, refused, kind, key):
    text = np.array([b"cat", b"\xff\xfe"], dtype="S3" if kind == "fixed" else h5py.special_dtype(vlen=bytes))
    path = write_h5(tmp_path / "a.h5", **course(**{key: text}))
    got = r"b'\xff\xfe'"
    with refused(InputError, f"{key} of a.h5 expects text in UTF-8, got {got}: write it again as UTF-8"):
        load(path)


def test_the_course_data(data_folder):
    data = load(data_folder / "cat")
    assert data.test is not None
    assert (len(data.train.rows), len(data.test.rows), data.image_shape) == (209, 50, (64, 64, 3))
    assert (int(data.train.targets.sum()), int(data.test.targets.sum())) == (72, 33)
    assert data.classes == ("non-cat", "cat")
    with h5py.File(data_folder / "cat" / "train_catvnoncat.h5") as file:
        X = file["train_set_x"][()].reshape(209, -1) / 255  # pyright: ignore
    np.testing.assert_array_equal(data.preprocessing(data.train.rows, np.float64), X)


def test_damaged_and_foreign_hdf5(tmp_path, refused):
    path = write_h5(tmp_path / "a.h5", **course())
    path.write_bytes(path.read_bytes()[:3000])
    text = "a.h5 expects an HDF5 file, got one that cannot be read: is it whole, and is it HDF5?"
    with refused(InputError, text):
        load(path)
    path.write_text("hello")
    with refused(InputError, text):
        load_rows(path, 36)


def test_hdf5_keys_that_fit_no_layout(tmp_path, refused):
    path = write_h5(tmp_path / "a.h5", **course(train_set_y=None), extra=np.zeros(3))
    with h5py.File(path, "a") as file:
        file.create_group("group")
        file["broken"] = h5py.SoftLink("/nowhere")
    got = "extra, list_classes, test_set_x, test_set_y, train_set_x"
    with refused(InputError, f"a.h5 expects {LAYOUTS}, got {got}: rename the arrays"):
        load(path)
    path = write_h5(tmp_path / "a.h5", **course(train_set_x=None, train_set_y=None))
    remedy = "give the folder that also contains the file of the training rows"
    with refused(InputError, f"a.h5 expects {LAYOUTS}, got list_classes, test_set_x, test_set_y: {remedy}"):
        load(path)
    with refused(InputError, f"a.h5 expects {LAYOUTS}, got no arrays: rename the arrays"):
        load(write_h5(path))


def test_a_key_in_two_files(tmp_path, refused):
    for name in "ab":
        write_h5(tmp_path / f"{name}.h5", **course())
    folder = tmp_path.name
    with refused(
        InputError, f"{folder} expects each key in one file, got test_set_x in a.h5 and in b.h5: name one of the files"
    ):
        load(tmp_path)


def test_a_course_file_with_half_a_test_part(tmp_path, refused):
    path = write_h5(tmp_path / "a.h5", **course(test_set_y=None))
    with refused(InputError, "the test part expects rows and labels together, got only rows: give both or neither"):
        load(path)


@pytest.mark.parametrize("names", ["train_set_x train_set_y test_set_x test_set_y", "x_train y_train x_test y_test"])
def test_npz_with_both_parts(tmp_path, names):
    arrays = dict(zip(names.split(), (IMAGES[:7], LABELS[:7, None], IMAGES[7:], LABELS[7:, None]), strict=True))
    arrays["list_classes"] = np.array(["non-cat", "cat"])
    np.savez_compressed(tmp_path / "a.npz", **arrays)  # pyright: ignore[reportArgumentType]
    check_course(load(tmp_path / "a.npz"))


def test_the_validation_part_of_a_file_is_one(tmp_path):
    arrays = {"x_train": IMAGES[:7], "y_train": LABELS[:7], "x_val": IMAGES[7:], "y_val": LABELS[7:]}
    np.savez(tmp_path / "a.npz", **arrays)  # pyright: ignore[reportArgumentType]
    for path in (tmp_path / "a.npz", write_h5(tmp_path / "a.h5", **arrays)):
        data = load(path, test_fraction=0)
        assert data.validation is not None
        np.testing.assert_array_equal(data.validation.rows, IMAGES[7:].reshape(len(IMAGES) - 7, -1))


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_classes_that_a_file_stores_as_floats(tmp_path, shape):
    labels = np.reshape(np.arange(30) % 3 + 1.0, shape)
    np.savez(tmp_path / "a.npz", x=np.zeros((30, 2)), y=labels)
    for path in (tmp_path / "a.npz", write_h5(tmp_path / "a.h5", x=np.zeros((30, 2)), y=labels)):
        assert load(path, test_fraction=0).classes == (1, 2, 3)


@pytest.mark.parametrize("rows", ["x", "X", "rows"])
@pytest.mark.parametrize("labels", ["y", "Y", "labels", "targets"])
def test_npz_with_plain_names_is_split(tmp_path, rows, labels):
    np.savez(tmp_path / "a.npz", **{rows: np.arange(20.0).reshape(10, 2), labels: np.array(["a", "b"] * 5)})
    data = load(tmp_path / "a.npz")
    assert data.test is not None
    assert (len(data.train.rows), len(data.test.rows), data.classes) == (8, 2, ("a", "b"))
    assert data.preprocessing.scale is None


def test_npz_that_cannot_be_used(tmp_path, refused):
    path = tmp_path / "a.npz"
    unreadable = (
        "a.npz expects an .npz archive of arrays, got one that cannot be read: is it whole, and made by np.savez?"
    )
    np.savez(path, x=np.zeros((50, 50)), y=np.zeros(50))
    whole = path.read_bytes()
    for broken in (whole[:5000], b"", b"hello", whole[:500] + b"\xff" * 50 + whole[550:]):
        path.write_bytes(broken)
        with refused(InputError, unreadable):
            load(path)
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with refused(InputError, unreadable):
        load(path)
    np.savez(path, x=np.array([None]), y=np.zeros(1))
    with refused(
        InputError,
        "a.npz expects an .npz archive of arrays, got pickled objects: save arrays of numbers or text",
    ):
        load(path)
    np.savez(path, x=np.zeros((2, 2)), z=np.zeros(2))
    with refused(InputError, f"a.npz expects {LAYOUTS}, got x, z: rename the arrays"):
        load(path)
    np.savez(path, x=np.zeros((2, 2)), y=np.zeros(2), labels=np.zeros(2))
    with refused(InputError, f"a.npz expects {LAYOUTS}, got labels, x, y: keep one pair of rows and labels"):
        load(path)


def idx(array):
    """An array of bytes as an idx file."""
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.astype(np.uint8).tobytes()


def write_idx(folder, zipped=True, separator="-", parts=("train", "t10k")):
    write = (lambda path, content: path.with_name(path.name + ".gz").write_bytes(gzip.compress(content))) if zipped \
        else (lambda path, content: path.write_bytes(content))  # fmt: skip
    for part, rows in zip(parts, (slice(7), slice(7, 10)), strict=False):
        write(folder / f"{part}-images{separator}idx3-ubyte", idx(IMAGES[rows, :, :, 0]))
        write(folder / f"{part}-labels{separator}idx1-ubyte", idx(LABELS[rows]))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("separator", ["-", "."])
@pytest.mark.parametrize("test", ["t10k", "test"])
def test_a_folder_of_idx_files(tmp_path, zipped, separator, test):
    write_idx(tmp_path, zipped, separator, ("train", test))
    data = load(tmp_path)
    assert data.test is not None
    np.testing.assert_array_equal(data.train.rows, IMAGES[:7, :, :, 0].reshape(7, 12))
    np.testing.assert_array_equal(data.test.rows, IMAGES[7:, :, :, 0].reshape(3, 12))
    np.testing.assert_array_equal(data.test.targets, LABELS[7:])
    assert (data.image_shape, data.classes, data.preprocessing.scale) == ((4, 3), (0, 1), 255)


def test_idx_plain_and_zipped_side_by_side(tmp_path):
    write_idx(tmp_path, zipped=True)
    write_idx(tmp_path, zipped=False)
    assert len(load(tmp_path).train.rows) == 7


def test_idx_without_a_test_is_split(tmp_path):
    write_idx(tmp_path, parts=("train",))
    data = load(tmp_path)
    assert data.test is not None
    assert (len(data.train.rows), len(data.test.rows)) == (6, 1)


def test_mnist(data_folder):
    data = load(data_folder / "mnist")
    assert data.test is not None
    assert (data.train.rows.shape, data.test.rows.shape, data.train.rows.dtype) == (
        (60000, 784),
        (10000, 784),
        np.uint8,
    )
    assert data.train.targets[:8].tolist() == [5, 0, 4, 1, 9, 2, 1, 3]
    assert np.bincount(data.test.targets).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert (data.image_shape, data.classes, data.n_outputs) == ((28, 28), tuple(range(10)), 10)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "expects the idx magic number 00000803, got an empty file: is it the right file?"),
        (idx(LABELS), "expects the idx magic number 00000803, got 00000801: is it the right file?"),
        (idx(IMAGES[:2, :, :, 0])[:-1], "expects 24 bytes after its header, got 23: download the file again"),
        (idx(IMAGES[:2, :, :, 0])[:9], "expects 0 bytes after its header, got 0: download the file again"),
    ],
)
def test_damaged_idx(tmp_path, refused, content, text):
    write_idx(tmp_path, zipped=False)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(content)
    with refused(InputError, f"train-images-idx3-ubyte {text}"):
        load(tmp_path)


@pytest.mark.parametrize("damage", [lambda b: b[:-20], lambda b: b"hello", lambda b: b[:20] + b"\xff" * 40 + b[60:]])
def test_damaged_gzip(tmp_path, refused, damage):
    write_idx(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))
    with refused(
        InputError,
        f"{path.name} expects a whole gzip file, got one that is damaged or cut short: download the file again",
    ):
        load(tmp_path)


def test_idx_roles_missing_or_doubled(tmp_path, refused):
    write_idx(tmp_path)
    folder = tmp_path.name
    shutil.copy(tmp_path / "train-labels-idx1-ubyte.gz", tmp_path / "old-train-labels-idx1-ubyte.gz")
    got = "old-train-labels-idx1-ubyte.gz and train-labels-idx1-ubyte.gz"
    with refused(InputError, f"{folder} expects one file of train labels, got {got}: keep one of them"):
        load(tmp_path)
    for path in tmp_path.glob("*train-labels*"):
        path.unlink()
    with refused(
        InputError,
        f"{folder} expects train-images-idx3-ubyte and train-labels-idx1-ubyte, got no train labels: "
        "add the missing files, plain or .gz",
    ):
        load(tmp_path)


def test_importing_the_floor_loads_nothing_heavy():
    code = (
        "import sys, importlib.util as u, types, pathlib\n"
        "import jaxmlp.data; jaxmlp.data.load('moons')\n"
        "print([m for m in ('h5py', 'pandas', 'PIL', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("letter", ["\ud7ff", "\ue000", "\U0010ffff"])
def test_the_letters_beside_those_that_are_refused(letter, tmp_path):
    np.savez(tmp_path / "a.npz", X=np.zeros((4, 2)), y=np.array(["a", letter] * 2))
    assert load(tmp_path / "a.npz", test_fraction=0).classes == ("a", letter)
