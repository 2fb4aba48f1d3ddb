"""Which first lines of a text are headers: no example is lost, and no header becomes an example."""

import itertools

import numpy as np
import pytest

import jaxmlp
from jaxmlp.data import load
from jaxmlp.data.known_columns import KnownColumns
from jaxmlp.data.load import load_rows
from jaxmlp.data.readers.header import _are_numbered_names, _has_index, are_numbers, has_quoted_names
from jaxmlp.data.readers.text_records import _holds_rows
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


def classes_below(header, *, rows=40, words=("cat", "dog")):
    """A table of three columns of numbers and one of classes below a first line."""
    return header + "\n" + "".join(f"{i * 0.5},{i % 7},{i % 5},{words[i % 2]}\n" for i in range(rows))


@pytest.mark.parametrize(
    "header",
    [
        *("400,410,420,species", "400.1,410.2,420.3,species", "4000,3998,3996,species", "850,200,37,species"),
        *("2,3,4,label", "0,1,3,label", "0.0,1.0,2.0,label", "-1,0,1,label", "2018,2020,2022,label", "0,1,2,4"),
    ],
)
@pytest.mark.parametrize("rows", [6, 40])
def test_a_first_cell_that_is_none_of_the_classes_below_it_is_a_name(written, header, rows):
    data = load(written(classes_below(header, rows=rows)), test_fraction=0)
    assert ((*data.feature_names, *data.target_names), data.classes) == (tuple(header.split(",")), ("cat", "dog"))
    assert len(data.train.rows) == rows
    assert any("is the header" in note and "--no-header (header=False in Python)" in note for note in data.notes)


def test_a_number_above_classes_of_numbers_is_a_name_in_a_line_of_equal_steps(written):
    data = load(written(classes_below("10,20,30,40", words="12")), test_fraction=0)
    assert (data.classes, len(data.train.rows)) == ((1, 2), 40)
    data = load(written(classes_below("10,20,31,40", words="12")), test_fraction=0)
    assert (data.classes, len(data.train.rows)) == ((1, 2, 40), 41)
    assert any("although '40' occurs nowhere else in its column" in note and "--header" in note for note in data.notes)


def test_the_name_of_the_target_may_stand_first(written):
    text = "label,400,410\n" + "".join(f"{('cat', 'dog')[i % 2]},{i * 0.5},{i % 7}\n" for i in range(40))
    assert load(written(text), target=0, test_fraction=0).classes == ("cat", "dog")
    # far below, in a line that no sample reads, the word is a class
    long = text + text.partition("\n")[2] * 10 + "label,3.5,2\n"
    assert load(written(long), target=0, test_fraction=0).classes == ("cat", "dog", "label")


@pytest.mark.parametrize(("header", "rows"), [("5.1,3.5,1.4,rare", 40), ("0,1,2,label", 3)])
def test_the_only_example_of_its_class_in_the_first_line_is_told(written, header, rows):
    data = load(written(classes_below(header, rows=rows)), test_fraction=0)
    assert (len(data.train.rows), len(data.classes)) == (rows + 1, 3)
    assert any("occurs nowhere else in its column: if it holds the names, say --header" in note for note in data.notes)
    assert load(written(classes_below(header, rows=rows)), header=True, test_fraction=0).classes == ("cat", "dog")


def test_a_new_table_for_a_model_has_its_header_found_by_the_names(written):
    known = KnownColumns(("400", "410"), ("label",))
    rows = load_rows(written("410,400\n5,6\n7,8\n"), 2, Columns(("400", "410")), known)
    assert rows.tolist() == [[6, 5], [8, 7]]
    # a model of a table without a header: its new table has none, either
    known = KnownColumns(("0", "1", "2"), ("3",))
    assert len(load_rows(written(classes_below("4,5,6,lynx")), 3, Columns(("0", "1", "2")), known)) == 41


@pytest.mark.parametrize("names", ["wt,hp,am", "400,410,am"])
@pytest.mark.parametrize("row_name", ["{}", "car {}"])
def test_a_header_without_a_name_for_the_names_of_the_rows(written, names, row_name):
    lines = "".join(f"{row_name.format(i * 7 % 41)},{i * 0.5},{i % 7},{i % 2}\n" for i in range(40))
    data = load(written(f"{names}\n{lines}"), test_fraction=0)
    assert (*data.feature_names, *data.target_names) == tuple(names.split(","))
    assert data.train.rows[:2].tolist() == [[0, 0], [0.5, 1]]
    row_names = [note for note in data.notes if "is the header" not in note]
    assert row_names == [
        "left out: index (identifier: the first column, which has no name and numbers or names the rows)"
    ]
    with pytest.raises(InputError, match="got 3 cells instead of 4 in line 42"):
        load(written(f"{names}\n{lines}1,2,3\n"))


def test_row_names_in_quotation_marks_with_a_blank_are_cells_between_commas(written):
    lines = "".join(f'"Mazda {i}",{i % 9},{i % 7},"{"ab"[i % 2]}"\n' for i in range(40))
    data = load(written(f'"wt","hp","am"\n{lines}'), test_fraction=0)
    assert (data.feature_names, data.classes) == (("wt", "hp"), ("a", "b"))
    assert len(data.notes) == 1


def test_a_separator_too_many_below_a_header_makes_no_names_of_rows(written):
    data = load(written("wt,hp,am\n" + "".join(f"{i},{i % 7},{i % 2},\n" for i in range(40))), test_fraction=0)
    assert (data.feature_names, data.train.rows[:2].tolist()) == (("wt", "hp"), [[0, 0], [1, 1]])


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


def test_whole_numbers_of_an_example_are_no_names(written):
    rows = "".join(f"{i % 17},{i % 5},{('versicolor', 'virginica')[i % 2]}\n" for i in range(60))
    data = load(written(f"12,3,setosa\n{rows}"), test_fraction=0)
    assert len(data.train.rows) == 61
    assert any("although 'setosa' occurs nowhere else in its column" in note for note in data.notes)


def test_a_header_that_lacks_its_last_name_is_refused(written):
    with pytest.raises(InputError, match="one name per column, got 3 names over 4 columns: correct the header"):
        load(written("id,age,bmi\n" + "".join(f"{i},{20 + i},{i / 3:.2f},{i % 2}\n" for i in range(1, 20))))


def test_the_unique_cell_is_looked_for_in_its_own_column_beside_names_of_rows(written):
    # row 250, below the records that the rules read, has the name of the last column as a kind
    rows = (f"r{i},{i},{i % 7},{'am' if i == 250 else 'uv'[i % 2]},{'xy'[i % 2]}\n" for i in range(300))
    data = load(written("400,410,kind,am\n" + "".join(rows)), test_fraction=0)
    assert (len(data.train.rows), data.classes, data.target_names) == (300, ("x", "y"), ("am",))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (['"1","2"', "5,7"], True),
        (['"a","2"', "x,7"], True),
        (['"1","2"', '"5",7'], False),  # a writer that quotes some numbers
        (['"1","2"', "u,v"], False),
        (['"a","b"', "5,7"], False),
        (['1,"2"', "5,7"], False),
        (['"1","2"'], False),
    ],
)
def test_quoted_numbers_are_names_above_plain_numbers_alone(lines, expected):
    assert has_quoted_names(lines, ",") is expected


def test_the_column_without_a_name_in_front_keeps_its_cells(written):
    text = ",a,y\n" + "".join(f"{i + 3},{i % 5},{'uv'[i % 2]}\n" for i in range(12))
    data = load(written(text), test_fraction=0, keep=["index"], roles={"index": "number"})
    assert data.feature_names == ("index", "a")
    assert data.train.rows[:, 0].tolist() == [i + 3 for i in range(12)]


def test_two_years_are_names(written):
    data = load(written("2020,2021,y\n" + "".join(f"{i % 5},{i % 7},{'uv'[i % 2]}\n" for i in range(24))))
    assert data.feature_names == ("2020", "2021")


def test_a_missing_target_in_a_table_of_numbers_has_its_line(written):
    rows = "".join(f"{i},{i * 2},{i % 2}\n" for i in range(10))
    with pytest.raises(InputError, match="column 'y', line 13"):
        load(written(f"a,b,y\n{rows}5,6,0\n5,7,\n"))


def test_separators_too_many_are_counted(written):
    rows = "".join(f"{i},{i * 2},{i % 2}{',,' * (i < 4)}\n" for i in range(10))
    assert "4 rows end with a separator too many" in load(written(f"a,b,y\n{rows}")).notes


def test_comments_between_rows_are_counted(written):
    rows = [f"{i},{i * 2},{i % 2}\n" for i in range(10)]
    rows[3:3], rows[7:7] = ["# second run\n"], ["# third run\n"]
    assert "2 comment lines between the rows" in load(written("a,b,y\n" + "".join(rows))).notes


@pytest.mark.parametrize("first", [0, 1])
def test_a_count_of_rows_below_an_empty_cell_is_an_index_whatever_stands_beside_it(first):
    assert _has_index(["", "7.5"], [[str(first + i), "2"] for i in range(3)])


def test_two_whole_rows_within_a_cell_are_rows():
    lines = ['"a,1,2\n', "b,1,2\n", "c,1,2\n", 'd",1,2\n']
    assert _holds_rows(lines, ",", 3)
    assert not _holds_rows([*lines[:2], lines[3]], ",", 3)


@pytest.mark.parametrize(
    ("row", "options"), [("1e400,6,0", {}), ("5,inf,1", {}), ("-5,1,1", {"weights": "a"}), ("x,1,1", {})]
)
def test_a_wrong_number_has_its_line(written, row, options):
    rows = "".join(f"{i},{i * 2},{i % 2}\n" for i in range(10))
    with pytest.raises(InputError, match="line 12"):
        load(written(f"a,b,y\n{rows}{row}\n4,4,1\n"), roles={"a": "number"}, **options)


@pytest.mark.parametrize(
    ("cells", "beside_words", "expected"),
    [
        (["1", "2"], True, True),
        (["2", "3"], True, False),
        (["1", "2", "3"], False, False),  # may be a row of measurements
        (["0", "1", "2"], False, True),
        (["0", "1"], False, False),
        (["2020", "2021"], True, True),
        (["2020"], True, False),
        (["2022", "2021", "2020"], False, True),
        (["3", "2", "1"], True, True),
        (["1", "3"], True, False),
    ],
)
def test_numbers_that_count_are_names(cells, beside_words, expected):
    assert _are_numbered_names(cells, beside_words) is expected


def test_two_numbers_that_count_are_names_beside_a_column_of_names():
    below = [[f"row {i}", str(5 + i), str(9 - i), "uv"[i % 2]] for i in range(4)]
    assert _has_index(["", "1", "2", "kind"], below)
    assert not _has_index(["", "4", "2", "kind"], below)
