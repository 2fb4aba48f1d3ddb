"""What becomes a data set, as what, and what does not, in which words."""

# preprocessing is that of numbers here, not an encoder of columns
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false

import numpy as np
import pytest

from jaxmlp.data import Columns, Dataset
from jaxmlp.data.targets import encode
from jaxmlp.data.tasks import Coding
from jaxmlp.errors import InputError, InputTypeError

ROWS = np.arange(12.0).reshape(6, 2)
BINARY = [0, 1] * 3
make = Dataset.from_arrays


class SparseRows:
    """What tells a sparse matrix from an array."""

    def toarray(self):
        return np.array(ROWS)


@pytest.mark.parametrize(
    ("labels", "task", "classes", "targets"),
    [
        (["b", "a", "b", "a", "a", "b"], "binary", ("a", "b"), [1, 0, 1, 0, 0, 1]),
        (np.array([b"b", b"a"] * 3), "binary", ("a", "b"), [1, 0] * 3),
        (np.array(["b", "a"] * 3, dtype=object), "binary", ("a", "b"), [1, 0] * 3),
        (np.array(["b", "a"] * 3, dtype=np.dtypes.StringDType()), "binary", ("a", "b"), [1, 0] * 3),
        ([True, False] * 3, "binary", (False, True), [1, 0] * 3),
        ([7, 3, 7, 3, 3, 7], "binary", (3, 7), [1, 0, 1, 0, 0, 1]),
        ([0.0, 1.0] * 3, "binary", (0, 1), [0, 1] * 3),
        ([5, 6, 9, 5, 6, 9], "multiclass", (5, 6, 9), [0, 1, 2] * 2),
        ([[0], [1]] * 3, "binary", (0, 1), [0, 1] * 3),
        ([[0, 1, 0], [0, 0, 1], [1, 0, 0]] * 2, "multiclass", (0, 1, 2), [1, 2, 0] * 2),
        ([[False, True], [True, False]] * 3, "binary", (0, 1), [1, 0] * 3),
        ([[1, 1, 0], [0, 0, 0]] * 3, "multilabel", (0, 1, 2), [[1, 1, 0], [0, 0, 0]] * 3),
        ([0.5, 1.0] * 3, "regression", (), [[0.5], [1.0]] * 3),
        ([0.0, 1.0, 2.0] * 2, "regression", (), [[0.0], [1.0], [2.0]] * 2),
        ([[1, 2], [3, 4]] * 3, "regression", (), [[1.0, 2.0], [3.0, 4.0]] * 3),
        ([[1.0, 0.0], [0.0, 1.0]] * 3, "binary", (0, 1), [0, 1] * 3),
        (np.eye(3)[[1, 2, 0] * 2], "multiclass", (0, 1, 2), [1, 2, 0] * 2),
        ([[1.0, 1.0], [0.0, 1.0]] * 3, "regression", (), [[1.0, 1.0], [0.0, 1.0]] * 3),
    ],
)
def test_auto_reads_the_task_off_the_labels(labels, task, classes, targets):
    data = make(ROWS, labels)
    assert (data.task, data.classes) == (task, classes)
    assert [type(name) for name in data.classes] == [type(name) for name in classes]
    assert data.train.targets.tolist() == targets
    assert data.train.targets.dtype == (np.float64 if task == "regression" else np.int64)
    np.testing.assert_array_equal(data.train.rows, ROWS)


def test_fifty_integers_are_classes_and_fifty_one_are_numbers():
    assert make(np.zeros((100, 1)), np.arange(100) % 50).task == "multiclass"
    assert make(np.zeros((102, 1)), np.arange(102) % 51).task == "regression"
    assert make(np.zeros((102, 1)), np.arange(102) % 51, task="multiclass").n_outputs == 51


def test_integers_that_hardly_repeat_are_numbers():
    assert make(np.zeros((40, 1)), np.arange(40) * 1000).task == "regression"
    assert make(np.zeros((21, 1)), np.arange(21) % 11).task == "regression"
    assert make(np.zeros((22, 1)), np.arange(22) % 11).task == "multiclass"
    assert make(np.zeros((10, 1)), np.arange(10)).task == "multiclass"
    assert make(np.zeros((11, 1)), [f"{i}" for i in range(11)]).task == "multiclass"


@pytest.mark.parametrize(
    ("labels", "known", "task", "targets"),
    [
        (["dog"], ["dog", "cat", "ant"], "multiclass", [0]),
        (["cat", "dog", "cat"], ("dog", "cat"), "binary", [1, 0, 1]),
        ([7, 7], np.array([9, 7]), "binary", [1, 1]),
        ([1.0, 1.0], (0, 1), "binary", [1, 1]),
        (["1", "1"], (0, 1), "binary", [1, 1]),
        ([1, 0], ("0", "1"), "binary", [1, 0]),
        ([2.0, 0.0], ("0", "1", "2"), "multiclass", [2, 0]),
        ([True], (False, True), "binary", [1]),
        (["True"], (False, True), "binary", [1]),
        ([b"cat"], [b"dog", np.str_("cat")], "binary", [1]),
        ([[0, 1, 0]], ("x", "y", "z"), "multiclass", [1]),
        ([[1.0, 1.0, 0.0]], ("x", "y", "z"), "multilabel", [[1, 1, 0]]),
        (list(range(20)), tuple(range(20)), "multiclass", list(range(20))),
    ],
)
def test_new_data_has_the_classes_of_the_model(labels, known, task, targets):
    data = make(np.ones((len(labels), 2)), labels, known_classes=known)
    assert (data.task, len(data.classes), data.train.targets.tolist()) == (task, len(known), targets)
    assert data.classes == tuple(name.decode() if isinstance(name, bytes) else name for name in known)
    assert data.train.targets.dtype == np.int64


def test_names_of_ids_stay_beside_known_classes():
    data = make(ROWS[:1], [1], classes=["no", "yes"], known_classes=["yes", "no"])
    assert (data.classes, data.train.targets.tolist()) == (("no", "yes"), [1])
    assert make(ROWS[:1], [1], known_classes=[1, 0], task="multiclass").n_outputs == 2
    assert make(ROWS, [0.5] * 6, known_classes=()).task == "regression"


def test_selecting_columns_by_name():
    rows = np.arange(18.0).reshape(6, 3) ** 2
    names = ["a", "b", "c"]
    data = make(rows, BINARY, test=(rows[:2], [0, 1]), columns=Columns(names), standardize=True)
    chosen = data.select(["c", "a"])
    assert (chosen.feature_names, chosen.n_features) == (("c", "a"), 2)
    assert chosen.test is not None
    np.testing.assert_array_equal(chosen.train.rows, rows[:, [2, 0]])
    np.testing.assert_array_equal(chosen.test.rows, rows[:2, [2, 0]])
    np.testing.assert_array_equal(chosen.train.targets, BINARY)
    assert chosen.train.rows.flags.c_contiguous
    np.testing.assert_array_equal(chosen.preprocessing(chosen.train.rows), data.preprocessing(rows)[:, [2, 0]])
    assert data.select(names) is data


def test_selecting_pixels_keeps_their_scale_and_loses_their_shape():
    images = np.zeros((6, 1, 2), np.uint8)
    data = make(images, BINARY, columns=Columns(["left", "right"]))
    assert data.select(["left", "right"]).image_shape == (1, 2)
    assert (data.select(["right"]).image_shape, data.select(["right"]).preprocessing.scale) == (None, 255)


def test_columns_it_cannot_select(refused):
    data = make(ROWS, BINARY, columns=Columns(["size", "age"]), name="pets")
    with refused(InputError, "pets expects the feature columns age, weight, job, got size, age: add weight, job"):
        data.select(["age", "weight", "job"])
    with refused(InputError, "select expects distinct column names, got 'age' twice: name it once"):
        data.select(["age", "size", "age"])
    with refused(InputError, "select expects at least one column name, got none: name the columns to keep"):
        data.select([])
    with refused(InputTypeError, "select expects a sequence of column names, got 'age': pass ['age']"):
        data.select("age")
    with refused(
        InputError,
        "arrays expects feature names to select by, got none: give feature_names when the data set is made",
    ):
        make(ROWS, BINARY).select(["age"])


@pytest.mark.parametrize(
    ("labels", "task", "classes", "outputs"),
    [
        ([0, 1] * 3, "multiclass", (0, 1), 2),
        ([0.0, 1.0, 2.0] * 2, "multiclass", (0, 1, 2), 3),
        ([0, 1] * 3, "regression", (), 1),
        ([[1.0, 0.0], [0.0, 1.0]] * 3, "multiclass", (0, 1), 2),
        ([[1, 0], [0, 1]] * 3, "multilabel", (0, 1), 2),
        ([[1, 0], [0, 1]] * 3, "binary", (0, 1), 1),
    ],
)
def test_a_task_that_is_named_wins(labels, task, classes, outputs):
    data = make(ROWS, labels, task=task)
    assert (data.task, data.classes, data.n_outputs) == (task, classes, outputs)


@pytest.mark.parametrize("labels", [[0, 1] * 3, [0.0, 1.0] * 3, [False, True] * 3])
def test_classes_name_the_ids(labels):
    data = make(ROWS, labels, classes=[b"no", np.str_("yes")])
    assert (data.task, data.classes, data.train.targets.tolist()) == ("binary", ("no", "yes"), [0, 1] * 3)
    assert make(ROWS, [0, 2] * 3, classes=["a", "b", "c"]).n_outputs == 3
    assert make(ROWS, [[1, 1], [0, 1]] * 3, classes=["a", "b"]).task == "multilabel"
    assert make(ROWS, [[1, 0], [0, 1]] * 3, classes=["a", "b"]).classes == ("a", "b")


@pytest.mark.parametrize("shape", [(8, 4), (8, 4, 3)])
def test_images_become_rows_and_keep_their_shape(shape):
    images = np.random.default_rng(0).integers(0, 256, (6, *shape), dtype=np.uint8)
    data = make(images, [0, 1] * 3, test=(images[:2], [0, 1]))
    assert data.image_shape == shape
    assert data.train.rows.dtype == np.uint8
    np.testing.assert_array_equal(data.train.rows, images.reshape(6, -1))
    np.testing.assert_array_equal(data.preprocessing(data.train.rows, np.float64), images.reshape(6, -1) / 255)
    assert make(images.astype(float), [0, 1] * 3).preprocessing.scale is None


def test_flat_images_with_their_shape_given():
    rows = np.zeros((6, 12), np.uint8)
    data = make(rows, [0, 1] * 3, columns=Columns(image_shape=[2, 2, 3]))
    assert (data.image_shape, data.preprocessing.scale) == ((2, 2, 3), 255)
    assert make(rows, [0, 1] * 3).preprocessing.scale is None


def test_standardize_looks_at_the_training_part_alone():
    data = make(ROWS, [1.0, 2.0, 4.0] * 2, test=(ROWS * 100, [9.0] * 6), standardize=True)
    np.testing.assert_allclose(data.preprocessing.shift, ROWS.mean(axis=0))
    np.testing.assert_allclose(data.preprocessing.scale, ROWS.std(axis=0))
    np.testing.assert_allclose(data.target_preprocessing.shift, [7 / 3])
    np.testing.assert_array_equal(data.train.rows, ROWS)
    classes = make(ROWS, [0, 1] * 3).standardize()
    np.testing.assert_allclose(classes.preprocessing(ROWS).mean(axis=0), 0, atol=1e-7)
    assert classes.target_preprocessing.to_dict() == {}


def test_a_pixel_constant_in_training_is_scaled_as_a_pixel():
    images = np.zeros((6, 2, 2), np.uint8)
    images[:3, 0, 0] = 200
    assert make(images, [0, 1] * 3, standardize=True).preprocessing.scale.tolist() == [100, 255, 255, 255]


def test_holding_back_by_class():
    rows = np.arange(100.0).reshape(100, 1)
    labels = np.repeat(["a", "b"], [80, 20])
    data = make(rows, labels).split_test(0.1, seed=3)
    assert data.test is not None
    assert np.bincount(data.test.targets).tolist() == [8, 2]
    assert sorted([*data.train.rows[:, 0], *data.test.rows[:, 0]]) == list(range(100))
    for part in (data.train, data.test):
        np.testing.assert_array_equal(part.targets, part.rows[:, 0] >= 80)
    other = make(rows, labels).split_test(0.1, seed=4).test
    assert other is not None
    assert not np.array_equal(other.rows, data.test.rows)


@pytest.mark.parametrize("labels", [np.linspace(0, 1, 20), np.tile([[1, 1], [0, 1]], (10, 1))])
def test_holding_back_without_classes(labels):
    data = make(np.arange(40).reshape(20, 2), labels).split_test(0.25)
    assert data.test is not None
    assert (len(data.train.rows), len(data.test.rows)) == (15, 5)


def test_a_short_description():
    data = make(
        np.zeros((3, 8, 8)),
        [0, 1, 2],
        validation=(np.zeros((2, 8, 8)), [0, 1]),
        test=(np.zeros((1, 8, 8)), [2]),
        name="tiny",
    )
    assert repr(data) == (
        "Dataset tiny: multiclass\n"
        "  rows: 3 training, 2 validation, 1 test\n"
        "  features: 64, images 8x8\n"
        "  classes: 3 (0, 1, 2)"
    )
    assert repr(make(ROWS, [0.5] * 6, columns=Columns(["size", "age"], ["price"]))) == (
        "Dataset arrays: regression\n  rows: 6 training\n  features: 2 (size, age)\n  targets: 1 (price)"
    )
    assert repr(make(np.zeros((24, 1)), np.arange(24) % 12)) == (
        "Dataset arrays: multiclass\n"
        "  rows: 24 training\n"
        "  features: 1\n"
        "  classes: 12 (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ...)"
    )


@pytest.mark.parametrize(
    ("kind", "text", "rows", "labels", "options"),
    [
        (
            InputError,
            "the training part expects rows of shape (m, n), got (6,): "
            "pass rows.reshape(-1, 1) for one feature, rows.reshape(1, -1) for one example",
            np.zeros(6), BINARY, {},
        ),
        (
            InputError,
            "the training part expects rows (m, n) or images (m, h, w) or (m, h, w, c), got (6, 1, 1, 1, 1): "
            "one example per row",
            np.zeros((6, 1, 1, 1, 1)), BINARY, {},
        ),
        (
            InputError,
            "the training part expects at least one row and one column, got (0, 2): is the source empty?",
            np.zeros((0, 2)), [], {},
        ),
        (
            InputTypeError,
            "the training part expects an array of numbers, got rows of unequal length: "
            "give every row the same number of columns",
            [[1, 2], [3]], [0, 1], {},
        ),
        (
            InputTypeError,
            "the training part expects rows of real numbers, got dtype complex128: "
            "convert it to float, text columns to numbers first",
            ROWS * 1j, BINARY, {},
        ),
        (
            InputTypeError,
            "the training part expects rows of real numbers, got dtype object: "
            "convert it to float, text columns to numbers first",
            np.array([[1, None]] * 6), BINARY, {},
        ),
        (
            InputError,
            "the training part expects finite numbers, got nan in row 4, column 1: "
            "drop that row or fill the value in",
            np.where(ROWS == 9, np.nan, ROWS), BINARY, {},
        ),
        (
            InputError,
            "the training part expects finite numbers, got -inf in row 4, column 'age': "
            "drop that row or fill the value in",
            np.where(ROWS == 9, -np.inf, ROWS), BINARY, {"columns": Columns(["size", "age"])},
        ),
        (
            InputError,
            "feature_names expects one name per column, got 1 for 2 columns: give all names or none",
            ROWS, BINARY, {"columns": Columns(["size"])},
        ),
        (
            InputError,
            "image_shape expects (h, w) or (h, w, c) with a product of 2 columns, got (2, 2): "
            "give the shape of one image",
            ROWS, BINARY, {"columns": Columns(image_shape=(2, 2))},
        ),
        (
            InputError,
            "image_shape expects the shape of the images, (2, 1), got (1, 2): leave image_shape out, the array has it",
            ROWS.reshape(6, 2, 1), BINARY, {"columns": Columns(image_shape=(1, 2))},
        ),
        (
            InputError,
            "the training part expects one label for each of its 2 rows, got 6 labels: "
            "one example per row here: pass X.T",
            ROWS.T, BINARY, {},
        ),
        (
            InputError,
            "the training part expects labels of shape (2,) or (2, 1), got (1, 6): "
            "one example per row here: pass X.T and Y.T",
            ROWS.T, [BINARY], {},
        ),
        (
            InputError,
            "the training part expects labels of shape (6,) or (6, 1), got (1, 6): pass labels.reshape(-1)",
            ROWS, [BINARY], {},
        ),
        (
            InputError,
            "the training part expects one label for each of its 6 rows, got 5 labels: "
            "do both come from the same source?",
            ROWS, BINARY[:5], {},
        ),
        (
            InputError,
            "the training part expects labels of shape (m,) or (m, k), got (): "
            "pass one label, or one row of labels, per example",
            ROWS, 1, {},
        ),
        (
            InputError,
            "the training part expects finite labels, got inf in row 5: drop that row",
            ROWS, [0.5] * 5 + [np.inf], {},
        ),
        (
            InputTypeError,
            "the training part expects labels of one type, got int, str: make them all text or all numbers",
            ROWS, [1, "a"] * 3, {},
        ),
        (
            InputTypeError,
            "the training part expects a label for every row, got None in row 0: drop that row",
            ROWS, np.array([None, "a"] * 3), {},
        ),
        (
            InputTypeError,
            "the training part expects a label for every row, got None in row 0: drop that row",
            ROWS, [None] * 6, {},
        ),
        (
            InputTypeError,
            "the training part expects a label for every row, got nan in row 1: drop that row",
            ROWS, np.array(["a", np.nan] * 3, dtype=object), {},
        ),
        (
            InputError,
            "the training part expects finite labels, got nan in row 0: drop that row",
            ROWS, np.ma.masked_array([0, 1] * 3, mask=np.array([True, False] * 3)), {},
        ),
        (
            InputError,
            "the training part expects finite numbers, got nan in row 2, column 0: drop that row or fill the value in",
            np.ma.masked_equal(ROWS, ROWS[2][0]), BINARY, {},
        ),
        (
            InputError,
            "the test part expects intensities 0..200 as in training, got intensities 0..1: "
            "give the images as in training, images * 255",
            np.full((6, 2, 2), 200, np.uint8), BINARY, {"test": (np.full((2, 2, 2), 0.3), [0, 1])},
        ),
        (
            InputTypeError,
            "the training part expects a dense array, got a sparse matrix: "
            "pass X.toarray(), or take jaxmlp.MLPClassifier or MLPRegressor, which read sparse rows",
            SparseRows(), BINARY, {},
        ),
        (
            InputTypeError,
            "the training part expects an array of labels, got rows of unequal length: "
            "give every row the same number of columns",
            ROWS, [[1, 2], [3]] * 3, {},
        ),
        (
            InputTypeError,
            "the training part expects labels of numbers or text, got dtype complex128: "
            "convert them to integers, floats or text",
            ROWS, [1j] * 6, {},
        ),
        (
            InputError,
            "the training part expects at least 2 classes, got only cat: a classifier needs examples of two or more",
            ROWS, ["cat"] * 6, {},
        ),
        (
            InputError,
            "the training part expects at least 2 classes, got only no: a classifier needs examples of two or more",
            ROWS, [0] * 6, {"classes": ["no", "yes"]},
        ),
        (
            InputError,
            "task 'binary' expects 2 classes, got 3 (0, 1, 2): take task 'multiclass'",
            ROWS, [0, 1, 2] * 2, {"task": "binary"},
        ),
        (
            InputError,
            "task expects one of auto, binary, multiclass, multilabel, regression, got 'multi-class': "
            "did you mean 'multiclass'?",
            ROWS, BINARY, {"task": "multi-class"},
        ),
        (
            InputError,
            "the training part expects whole numbers as classes, got 0.5 in row 1: name the task 'regression'",
            ROWS, [0, 0.5] * 3, {"task": "multiclass"},
        ),
        (
            InputTypeError,
            "the training part expects numbers as regression targets, got 'a': take task 'auto' for text labels",
            ROWS, ["a", "b"] * 3, {"task": "regression"},
        ),
        (
            InputError,
            "regression expects no classes, got ['a', 'b']: leave classes out, or name another task",
            ROWS, BINARY, {"task": "regression", "classes": ["a", "b"]},
        ),
        (
            InputError,
            "the training part expects multi-label targets of shape (m, k), got (6,): "
            "one column per label; for a single label take task 'binary'",
            ROWS, BINARY, {"task": "multilabel"},
        ),
        (
            InputError,
            "the training part expects multi-label targets of 0 and 1, got 2 in row 1, column 0: threshold them first",
            ROWS, [[0, 1], [2, 0]] * 3, {"task": "multilabel"},
        ),
        (
            InputError,
            "the training part expects exactly one 1 in each row of one-hot labels, got [1, 1] in row 1: "
            "take task 'multilabel' where several may be 1",
            ROWS, [[0, 1], [1, 1]] * 3, {"task": "multiclass"},
        ),
        (
            InputTypeError,
            "the training part expects labels with 2 columns of numbers, got text such as 'a': "
            "pass one label per example",
            ROWS, [["a", "b"]] * 6, {},
        ),
        (
            InputError,
            "classes expects two or more distinct names, got ['a', 'a']: give one name for each of the ids 0, 1, ...",
            ROWS, BINARY, {"classes": ["a", "a"]},
        ),
        (
            InputError,
            "classes expects one name for each of 3 columns, got 2: give as many names",
            ROWS, [[0, 1, 1]] * 6, {"classes": ["a", "b"]},
        ),
        (
            InputError,
            "the training part expects class ids from 0 to 1, got 2 in row 2: the classes are no, yes",
            ROWS, [0, 1, 2] * 2, {"classes": ["no", "yes"]},
        ),
        (
            InputTypeError,
            "the training part expects class ids from 0 to 1, got <U3 of shape (6,): "
            "leave classes out, or number the labels",
            ROWS, ["yes", "no"] * 3, {"classes": ["no", "yes"]},
        ),
        (
            InputError,
            "the test part expects rows and labels together, got only rows: give both or neither",
            ROWS, BINARY, {"test": (ROWS, None)},
        ),
        (
            InputError,
            "the validation part expects rows and labels together, got only labels: give both or neither",
            ROWS, BINARY, {"validation": (None, BINARY)},
        ),
        (
            InputError,
            "the test part expects rows with 2 columns as in training, got (6, 3): give every part the same columns",
            ROWS, BINARY, {"test": (np.zeros((6, 3)), BINARY)},
        ),
        (
            InputError,
            "the test part expects images of the training shape (2, 1), got (1, 2): "
            "give every part images of one shape",
            ROWS.reshape(6, 2, 1), BINARY, {"test": (ROWS.reshape(6, 1, 2), BINARY)},
        ),
        (
            InputError,
            "the test part expects finite numbers, got nan in row 0, column 0: drop that row or fill the value in",
            ROWS, BINARY, {"test": ([[np.nan, 1.0]], [0])},
        ),
        (
            InputError,
            "the test part expects the classes of training (0, 1), got 2 in row 1: "
            "add examples of it to the training part, or drop that row",
            ROWS, BINARY, {"test": (ROWS[:2], [0, 2])},
        ),
        (
            InputError,
            "the test part expects the classes of training (cat, dog), got 'cow' in row 0: "
            "add examples of it to the training part, or drop that row",
            ROWS, ["cat", "dog"] * 3, {"test": (ROWS[:1], ["cow"])},
        ),
        (
            InputTypeError,
            "the test part expects labels among cat, dog, got int64 of shape (2,): "
            "give every part the same kind of labels",
            ROWS, ["cat", "dog"] * 3, {"test": (ROWS[:2], [0, 1])},
        ),
        (
            InputError,
            "the test part expects labels of shape (m,) as in training, got (2, 2): "
            "give every part the same kind of labels",
            ROWS, BINARY, {"test": (ROWS[:2], [[0, 1], [1, 0]])},
        ),
        (
            InputError,
            "the test part expects labels of shape (m, 3) as in training, got (2, 2): "
            "give every part the same kind of labels",
            ROWS, np.ones((6, 3)) / 2, {"test": (ROWS[:2], np.zeros((2, 2)))},
        ),
        (
            InputTypeError,
            "the test part expects numbers as regression targets, got 'a': convert them first",
            ROWS, np.ones(6) / 2, {"test": (ROWS[:1], ["a"])},
        ),
        (
            InputTypeError,
            "image_shape expects (h, w) or (h, w, c) with a product of 2 columns, got 2: "
            "give the shape of one image",
            ROWS, BINARY, {"columns": Columns(image_shape=2)},  # pyright: ignore[reportArgumentType]
        ),
        (
            InputError,
            "image_shape expects (h, w) or (h, w, c) with a product of 2 columns, got (-1, -2): "
            "give the shape of one image",
            ROWS, BINARY, {"columns": Columns(image_shape=(-1, -2))},
        ),
        (
            InputTypeError,
            "classes expects a sequence of names, got 2: give one name for each of the ids 0, 1, ...",
            ROWS, BINARY, {"classes": 2},
        ),
        (
            InputTypeError,
            "classes expects a sequence of names, got 'ab': give one name for each of the ids 0, 1, ...",
            ROWS, BINARY, {"classes": "ab"},
        ),
        (
            InputTypeError,
            "classes expects text or numbers of one type, got int, str: make them all text or all numbers",
            ROWS, BINARY, {"classes": [1, "a"]},
        ),
        (
            InputTypeError,
            "classes expects text or numbers of one type, got list: make them all text or all numbers",
            ROWS, BINARY, {"classes": [["a"], ["b"]]},
        ),
        (
            InputError,
            r"classes expects text in UTF-8, got b'\xff': write it again as UTF-8",
            ROWS, BINARY, {"classes": [b"no", b"\xff"]},
        ),
        (
            InputError,
            r"the training part expects text in UTF-8, got b'\xff': write it again as UTF-8",
            ROWS, [b"no", b"\xff"] * 3, {},
        ),
        (
            InputTypeError,
            "known_classes expects a sequence of names, got 2: give the classes of the trained model, in its order",
            ROWS, BINARY, {"known_classes": 2},
        ),
        (
            InputError,
            "known_classes expects two or more distinct names, got ['a']: "
            "give the classes of the trained model, in its order",
            ROWS, BINARY, {"known_classes": ["a"]},
        ),
        (
            InputError,
            "the training part expects the known classes (dog, cat), got 'cow' in row 1: "
            "drop that row, or train a model on examples of it",
            ROWS[:2], ["cat", "cow"], {"known_classes": ["dog", "cat"]},
        ),
        (
            InputError,
            "the training part expects the known classes (dog, cat), got 3 in row 0: "
            "drop that row, or train a model on examples of it",
            ROWS[:1], [3], {"known_classes": ["dog", "cat"]},
        ),
        (
            InputError,
            "the training part expects the known classes (0, 1), got 0.5 in row 0: "
            "drop that row, or train a model on examples of it",
            ROWS[:1], [0.5], {"known_classes": [0, 1]},
        ),
        (
            InputError,
            "known_classes expects one name for each of 2 columns, got 3: give as many names",
            ROWS[:1], [[1, 0]], {"known_classes": [0, 1, 2]},
        ),
        (
            InputError,
            "task 'binary' expects 2 classes, got 3 (0, 1, 2): take task 'multiclass'",
            ROWS[:1], [1], {"known_classes": [0, 1, 2], "task": "binary"},
        ),
        (
            InputError,
            "regression expects no known_classes, got [0, 1]: leave known_classes out, or name another task",
            ROWS, BINARY, {"known_classes": [0, 1], "task": "regression"},
        ),
        (
            InputTypeError,
            "the test part expects a pair (rows, labels), got ndarray: give both",
            ROWS, BINARY, {"test": ROWS},
        ),
    ],
)  # fmt: skip
def test_what_it_refuses(refused, kind, text, rows, labels, options):
    with refused(kind, text):
        make(rows, labels, **options)


def test_splits_it_refuses(refused):
    data = make(ROWS, BINARY, test=(ROWS[:2], [0, 1]), validation=(ROWS[:2], [0, 1]))
    for part, split in (("test", data.split_test), ("validation", data.split_validation)):
        expects = f"split_{part} expects a data set without {part} part"
        with refused(InputError, f"{expects}, got one with: use it as it is"):
            split(0.5)
    for split in (make(ROWS, BINARY).split_test, make(ROWS, BINARY).split_validation):
        with refused(InputError, "the split expects a test_fraction between 0 and 1, got -0.1: 0.2 is usual"):
            split(-0.1)


def test_encoding_checks_the_columns_on_its_own(refused):
    with refused(
        InputError, "the test part expects labels with 3 columns, got (2, 2): give every part the same columns"
    ):
        encode(np.eye(2), Coding("multilabel", (0, 1, 2), "flags"), "the test part")


def test_a_column_of_weights_stands_beside_dropped_columns_of_any_kind():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.0, 2, 3, 4], "w": [1, 2, 3, 4], "z": [[1]] * 4})
    data = Dataset.from_arrays(frame, [0, 1, 0, 1], weights="w", drop="z")
    assert data.feature_names == ("a",)
    assert data.weights is not None
    assert data.weights.tolist() == [1, 2, 3, 4]
