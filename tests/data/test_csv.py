"""Tables in text: headers, separators, targets, and errors that name the line of the file."""

# preprocessing is that of numbers here, not an encoder of columns
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false

import sys

import numpy as np
import pytest

from jaxmlp.data import load
from jaxmlp.data.known_columns import KnownColumns
from jaxmlp.data.load import load_rows, load_table
from jaxmlp.data.readers.csv import _float_precision
from jaxmlp.data.rows import Columns
from jaxmlp.data.tables import read_features
from jaxmlp.errors import InputError, InputTypeError

pytest.importorskip("pandas")

PETS = "size,age,pet\n1.5,2,cat\n0.1,30,dog\n2.5,4,cat\n3,1,dog\n"
ROWS = [[1.5, 2], [0.1, 30], [2.5, 4], [3, 1]]


@pytest.fixture
def table(written):
    """Write a table and return its path."""
    return lambda text, name="pets.csv": written(text, name)


@pytest.mark.parametrize(
    "text",
    [
        PETS,
        PETS.replace(",", ";"),
        PETS.replace(",", "\t"),
        PETS.replace(",", ", "),
        PETS.replace("\n", "\r\n"),
        "\n\n" + PETS.replace("cat\n", "cat\n\n"),
        PETS.encode("utf-8-sig"),
        PETS.rstrip(),
        PETS.replace("size", '"size"'),
    ],
)
def test_a_table_with_a_header(table, text):
    data = load(table(text), test_fraction=0)
    assert data.train.rows.tolist() == ROWS
    assert data.train.rows.dtype == np.float64
    assert (data.feature_names, data.target_names) == (("size", "age"), ("pet",))
    assert (data.task, data.classes, data.train.targets.tolist()) == ("binary", ("cat", "dog"), [0, 1, 0, 1])
    assert (data.name, data.test) == ("pets", None)


def test_a_table_without_a_header_numbers_its_columns(table):
    data = load(table(PETS.split("\n", 1)[1]), test_fraction=0)
    assert data.train.rows.tolist() == ROWS
    assert (data.feature_names, data.target_names) == (("0", "1"), ("2",))


@pytest.mark.parametrize(
    ("target", "name", "targets"),
    [
        ("pet", "pet", [0, 1, 0, 1]),
        (-1, "pet", [0, 1, 0, 1]),
        (2, "pet", [0, 1, 0, 1]),
        ("2", "pet", [0, 1, 0, 1]),
    ],
)
def test_the_target_by_name_and_number(table, target, name, targets):
    data = load(table(PETS), target=target, test_fraction=0)
    assert data.target_names == (name,)
    assert data.train.targets.tolist() == targets


def test_a_numeric_target_in_the_first_column(table):
    data = load(table("price,a\n1.25,1\n2.5,2\n3.5,4\n"), target="price", test_fraction=0)
    assert (data.task, data.feature_names) == ("regression", ("a",))
    assert data.train.targets.tolist() == [[1.25], [2.5], [3.5]]
    np.testing.assert_allclose(data.target_preprocessing.shift, [7.25 / 3])


@pytest.mark.parametrize(
    ("labels", "classes"), [("0 1 0 1", (0, 1)), ("True False True False", (False, True)), ("3 4 5 3", (3, 4, 5))]
)
def test_labels_keep_their_type(table, labels, classes):
    text = "a,b\n" + "\n".join(f"{i},{label}" for i, label in enumerate(labels.split()))
    data = load(table(text), test_fraction=0)
    assert data.classes == classes
    assert [type(name) for name in data.classes] == [type(name) for name in classes]


def test_one_line_for_a_known_model(table):
    data = load(table("size,age,pet\n1.5,2,cat\n"), test_fraction=0, standardize=False, known_classes=("dog", "cat"))
    assert (data.task, data.classes, data.train.targets.tolist()) == ("binary", ("dog", "cat"), [1])
    assert data.select(["age", "size"]).train.rows.tolist() == [[2, 1.5]]
    data = load(table("a,b\n1,1\n2,1\n"), test_fraction=0, known_classes=("0", "1", "x"))
    assert (data.task, data.train.targets.tolist()) == ("multiclass", [1, 1])


def test_a_semicolon_separates_wherever_there_is_one(table):
    data = load(table('"size, in m";"a, b, c";pet\n1.5;2;cat\n2.5;3;dog\n'), test_fraction=0)
    assert data.feature_names == ("size, in m", "a, b, c")
    assert load(table('"a;b",c,pet\n1.5,2,cat\n2.5,3,dog\n'), test_fraction=0).feature_names == ("a;b", "c")


def test_tables_are_standardised_unless_told_otherwise(table):
    data = load(table(PETS), test_fraction=0)
    np.testing.assert_allclose(data.preprocessing(data.train.rows, np.float64).std(axis=0), 1)
    assert load(table(PETS), standardize=False).preprocessing.scale is None


def test_the_split_keeps_classes_in_proportion(table):
    text = "a,b\n" + "".join(f"{i},{'x' if i % 4 else 'y'}\n" for i in range(40))
    data = load(table(text))
    assert data.test is not None
    assert np.bincount(data.test.targets).tolist() == [6, 2]


@pytest.mark.parametrize(("version", "options"), [("2.2.3", {"float_precision": "round_trip"}), ("3.1.0rc0", {})])
def test_pandas_is_asked_for_exact_numbers_where_it_must_be(version, options):
    assert _float_precision(version) == options


def test_numbers_are_read_to_the_last_bit(table):
    numbers = np.random.default_rng(0).normal(size=200) * 10.0 ** np.random.default_rng(1).integers(-30, 30, 200)
    text = "a,b\n" + "".join(f"{number!r},0.5\n" for number in numbers.tolist())
    np.testing.assert_array_equal(load(table(text), test_fraction=0, standardize=False).train.rows[:, 0], numbers)


IN_FEATURES = "pets.csv expects a number in every feature column"


@pytest.mark.parametrize(
    ("kind", "text", "content"),
    [
        (
            InputTypeError,
            f"{IN_FEATURES}, got 'big' in column 'size', line 3: turn text columns into numbers, or drop them",
            PETS.replace("0.1", "big"),
        ),
        (
            InputTypeError,
            f"{IN_FEATURES}, got 'big' in column 'size', line 5: turn text columns into numbers, or drop them",
            "\n" + PETS.replace("0.1", "big").replace("cat\n", "cat\n\n"),
        ),
        (
            InputTypeError,
            f"{IN_FEATURES}, got 'big' in column '0', line 2: turn text columns into numbers, or drop them",
            PETS.split("\n", 1)[1].replace("0.1", "big"),
        ),
        (
            InputError,
            "pets.csv expects finite numbers, got inf in column 'age', line 3: drop that line or correct the value",
            PETS.replace("30", "inf"),
        ),
        (
            InputError,
            "pets.csv expects a target in every row, got a missing value in column 'pet', line 5: drop that line",
            PETS.replace("1,dog", "1,"),
        ),
        (
            InputError,
            "pets.csv expects a table of rows of equal length, got 4 cells instead of 3 in line 3: "
            "give every row the same number of cells",
            PETS.replace("0.1", "0,1"),
        ),
        (
            InputError,
            "pets.csv expects one name per column, got 2 names over 3 columns: correct the header",
            PETS.replace("size,", ""),
        ),
        (
            InputError,
            "pets.csv expects a name for every column, got none for column 1: correct the header",
            ",size,pet\n0.5,1.5,cat\n1,2.5,dog\n",
        ),
        (
            InputError,
            "pets.csv expects a name for every column, got none for column 2: correct the header",
            "size,,,pet\n0,1,1,cat\n1,2,2,dog\n",
        ),
        (
            InputError,
            "pets.csv expects distinct column names, got 'age' twice: rename one of them",
            PETS.replace("size", "age"),
        ),
        (
            InputError,
            "pets.csv expects feature columns and a target, got 1 column: is the separator a comma, semicolon or tab?",
            "a\n1\n2\n",
        ),
        (InputError, "pets.csv expects at least one row, got an empty file: is it the right file?", "\n\n"),
        (InputError, "pets.csv expects at least one row, got only a header: is it the right file?", "a,b\n"),
    ],
)
def test_tables_it_refuses(table, refused, kind, text, content):
    with refused(kind, text):
        load(table(content))


def test_targets_it_refuses(table, refused):
    path = table(PETS)
    for target in ("age, pet", "pet,nothing"):
        with refused(
            InputError,
            f"the target of pets.csv expects the name of one column, got {target!r}: "
            "give several as a list, or repeat --target",
        ):
            load(path, target=target)
    # a model is evaluated on rows that were meant for a prediction
    known = KnownColumns(("size", "age"), ("name",))
    with refused(
        InputError,
        "pets.csv expects the target column 'name' of the training, got the columns size, age, pet: "
        "add it, or name another as the target; predict needs none",
    ):
        load(path, target=["name"], known_columns=known, test_fraction=0)
    with refused(InputError, "the target of pets.csv expects one of size, age, pet, got 'ages': did you mean 'age'?"):
        load(path, target=["ages"], known_columns=known._replace(target_names=("ages",)), test_fraction=0)
    with refused(InputError, "the target of pets.csv expects one of size, age, pet, got 'pets': did you mean 'pet'?"):
        load(path, target="pets")
    with refused(
        InputError, "the target of pets.csv expects one of size, age, pet, got 'xyz': take one of these names"
    ):
        load(path, target="xyz")
    for target in (3, "-4"):
        with refused(
            InputError,
            "the target of pets.csv expects a column number from -3 to 2, "
            f"got {target}: the columns are size, age, pet",
        ):
            load(path, target=target)


@pytest.mark.parametrize(
    ("word", "options", "remedy"),
    [
        ("?", {}, "drop that line, or write another word for '?' if it is a class"),
        ("0", {"missing": "0"}, "drop that line, or leave '0' out of missing= (--missing) if it is a class"),
        ("none", {"missing": "none"}, "drop that line, or leave 'none' out of missing= (--missing) if it is a class"),
    ],
)
def test_a_word_that_is_read_as_a_missing_target_is_named(table, refused, word, options, remedy):
    text = "size,pet\n" + "".join(f"{i}.5,{('cat', word)[i % 2]}\n" for i in range(4))
    got = f"a missing value ({word!r}) in column 'pet', line 3 (2 such cells)"
    with refused(InputError, f"pets.csv expects a target in every row, got {got}: {remedy}"):
        load(table(text), **options)


def test_pandas_is_optional(table, refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with refused(
        InputError,
        'reading a .csv file expects pandas, got an installation without it: pip install "jaxmlp[all]"',
    ):
        load(table(PETS))


NAMES = Columns(("size", "age"), ("pet",))
NUMBERED = Columns(("1", "2"), ("0",))


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (PETS, NAMES),
        (PETS, Columns()),
        ("id,pet,age,size\n9,cat,2,1.5\n9,?,30,0.1\n9,,4,2.5\n9,x,1,3\n", NAMES),
        ("size,age\n1.5,2\n0.1,30\n2.5,4\n3,1\n", NAMES),
        ("1.5,2\n0.1,30\n2.5,4\n3,1\n", NAMES),
        ("1.5,2,cat\n0.1,30,\n2.5,4,cat\n3,1,dog\n", NAMES),
        ("cat,1.5,2\ndog,0.1,30\n,2.5,4\nx,3,1\n", NUMBERED),
        ("pet,a,b\ncat,1.5,2\ndog,0.1,30\n,2.5,4\nx,3,1\n", NUMBERED),
        ("1.5,2\n0.1,30\n2.5,4\n3,1\n", NUMBERED),
        ("y,a,b,z\n1,1.5,2,1\n1,0.1,30,1\n1,2.5,4,1\n1,3,1,1\n", Columns(target_names=("y", "z"))),
    ],
)
def test_rows_to_predict(table, content, names):
    assert load_rows(table(content), 2, names).tolist() == ROWS


def test_a_column_too_many_without_a_header_is_not_guessed(table, refused):
    for content in ("7,1.5,2\n8,0.1,30\n", "1.5,2,1\n0.1,30,0\n", "7,1.5,2\n8,,30\n"):
        with refused(
            InputError,
            "pets.csv expects 2 feature columns, got 3 without a header: write the names size, age into line 1",
        ):
            load_rows(table(content), 2, NAMES)


@pytest.mark.parametrize(
    ("content", "names", "left_out"),
    [
        ("id,a,b\n7,1.5,2\n8,0.1,30\n", ("0", "1"), "b"),
        ("a,b,y\n1.5,2,1\n0.1,30,0\n", ("0", "1"), "y"),
        ("1.5,2,1\n0.1,30,0\n", ("0", "1"), None),  # as in the training
    ],
)
def test_a_column_that_is_left_out_by_its_position_is_told(table, content, names, left_out):
    known = KnownColumns(names, ("2",))
    notes = read_features(load_table(table(content), known), known, 2).notes
    expected = [] if left_out is None else [f"columns are taken by position, without {left_out}"]
    assert [note for note in notes if "position" in note] == expected


def test_rows_to_predict_that_do_not_fit(table, refused):
    with refused(InputError, "pets.csv expects a name for every column, got none for column 1: correct the header"):
        load_rows(table(",size,age\n0.5,1,2\n1,2,3\n"), 2, NAMES)
    with refused(InputError, "pets.csv expects the feature columns size, age, got size, pet: add age"):
        load_rows(table("size,pet\n1,cat\n"), 2, NAMES)
    with refused(
        InputError,
        "pets.csv expects 5 feature columns, got 3: give the columns that the model was trained on",
    ):
        load_rows(table(PETS), 5)
    with refused(
        InputTypeError,
        f"{IN_FEATURES}, got 'cat' in column 'pet', line 2 (4 such cells): "
        "turn text columns into numbers, or drop them",
    ):
        load_rows(table(PETS), 3)


def test_an_index_in_front_of_the_features_is_no_feature(table):
    assert load_rows(table(",size,age\n0,1,2\n1,2,3\n"), 2, NAMES).tolist() == [[1, 2], [2, 3]]


@pytest.mark.slow
def test_a_real_table_of_text_and_gaps(data_folder):
    data = load(data_folder / "tabular" / "adult-train.csv", test_fraction=0)
    assert (data.task, data.classes, data.n_features) == ("binary", ("<=50K", ">50K"), 14)
    assert len(data.train.rows) == 32561
    # 8 and 14 kinds of work and 41 countries, with gaps; 16, 7, 6, 5 and 2 words without; 6 numbers
    assert data.n_inputs == 6 + (8 + 1) + (14 + 1) + (41 - 1 + 1 + 1) + 16 + 7 + 6 + 5 + 2
