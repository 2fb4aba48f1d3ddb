"""Which first lines of a text are headers: no example is lost, and no header becomes an example."""

import itertools

import numpy as np
import pytest

import jaxmlp
from jaxmlp.data import load
from jaxmlp.data.known_columns import KnownColumns
from jaxmlp.data.load import load_rows
from jaxmlp.data.readers.header import are_numbers
from jaxmlp.data.rows import Columns
from jaxmlp.errors import InputError

pandas = pytest.importorskip("pandas")

X = np.random.default_rng(0).normal(size=(40, 3)).round(3)
FRAME = pandas.DataFrame(X).assign(label=["cat", "dog"] * 20)


@pytest.mark.parametrize(
    ("names", "index"),
    [
        *itertools.product([(0, 1, 2), (2019, 2020, 2021), (2021, 2020, 2019)], ["numbers", "words", "shuffled"]),
        ((10, 20, 50), "numbers"),  # above another index they are undecided
    ],
)
def test_the_index_of_pandas_stands_below_an_empty_cell(written, names, index):
    frame = FRAME.set_axis([*names, "label"], axis=1)
    frame = frame.set_axis([f"row {i}" for i in range(40)]) if index == "words" else frame
    frame = frame.sample(frac=1, random_state=1) if index == "shuffled" else frame
    data = load(written(frame.to_csv()), target="label", test_fraction=0)
    assert (data.feature_names, data.classes) == (tuple(map(str, names)), ("cat", "dog"))
    np.testing.assert_array_equal(data.train.rows, frame.to_numpy()[:, :3].astype(float))


def test_a_last_column_of_numbers_gets_no_class_of_its_name(written):
    path = written(pandas.DataFrame(np.c_[X[:, :2], np.arange(40) % 2]).to_csv())
    assert load(path).classes == (0, 1)
    assert load(path, target="2").target_names == ("2",)


def test_two_columns_without_a_name_are_refused(written):
    path = written(",,y\n" + "".join(f"{i},{100 - i},{'ab'[i % 2]}\n" for i in range(40)))
    with pytest.raises(InputError, match="a name for every column, got none for column 2"):
        load(path)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('"1","2","3"\n' + "".join(f"{i + 0.5},{i * 7 % 13},{i % 5}\n" for i in range(40)), ("1", "2", "3")),
        ('"","1","2"\n' + "".join(f'"{i + 1}",{i * 7 % 13},{i % 5}\n' for i in range(40)), ("1", "2")),
        ("1,0\n" + "".join(f"{i % 9},{i * 2.5}\n" for i in range(40)), ("1", "0")),
        ("3,2,1,0\n" + "".join(f"{i},{i * 7 % 13},{i % 3},{'ab'[i % 2]}\n" for i in range(40)), ("3", "2", "1", "0")),
        ("3,2,1,label\n" + "".join(f"{i},{i * 7 % 13},{i % 3},{i % 2}\n" for i in range(40)), ("3", "2", "1", "label")),
    ],
)
def test_numbers_are_names_above_cells_of_another_kind(written, text, names):
    data = load(written(text), test_fraction=0)
    assert ((*data.feature_names, *data.target_names), len(data.train.rows)) == (names, 40)


@pytest.mark.parametrize(
    "text",
    [
        "3,2,1\n" + "".join(f"{i % 9},{i % 7},{i % 2}\n" for i in range(40)),
        "3,2,1\n" + "".join(f"{i % 9},{i % 7},{'ab1'[i % 3]}\n" for i in range(40)),
        "1,0\n" + "".join(f"{i % 9},{i / 64:g}\n" for i in range(1, 40)),  # whole numbers have no point here
        ",5,2.5,cat\n" + "".join(f"{i * 7 % 101},{i},{i / 2},{('cat', 'dog')[i % 2]}\n" for i in range(40)),
    ],
)
def test_an_undecided_first_line_is_an_example_and_says_so(written, text):
    data = load(written(text), test_fraction=0)
    assert len(data.train.rows) == text.count("\n")
    assert any("counts as a row: if it holds the names, say --header" in note for note in data.notes)


def test_a_model_with_numbers_as_names_finds_them_above_a_few_rows(written):
    known = KnownColumns(("2", "1"), ("0",))
    rows = load_rows(written("2,1\n5,6\n7,8\n"), 2, Columns(("2", "1")), known)
    assert rows.tolist() == [[5, 6], [7, 8]]


def test_numbers_that_only_look_so_are_names():
    assert not are_numbers(["²", "³"])  # isdigit is true of them, but int() refuses them


@pytest.mark.parametrize("names", ["index", "index,index_0", "index,index_0,index_1"])
def test_an_index_without_a_name_gets_one_that_is_free(written, names):
    count = names.count(",") + 1
    lines = "".join(f"{i}{f',{i % 3}.5' * count},{'ab'[i % 2]}\n" for i in range(12))
    data = jaxmlp.load(written(f",{names},y\n{lines}"), test_fraction=0, keep=names.split(","))
    assert set(names.split(",")) <= set(data.feature_names)
