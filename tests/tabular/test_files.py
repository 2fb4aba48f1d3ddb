"""Tables in text as people have them: the right rows, names and numbers, and a word about what was decided."""

import bz2
import gzip
import lzma

import numpy as np
import pytest

from jaxmlp.data import load
from jaxmlp.data.known_columns import KnownColumns
from jaxmlp.data.load import load_rows
from jaxmlp.data.readers.csv import read_table
from jaxmlp.data.rows import Columns
from jaxmlp.errors import InputError

pandas = pytest.importorskip("pandas")

ROWS = [(i, i * 7 % 13, i % 2) for i in range(40)]
BODY = "".join(f"{a},{b},{y}\n" for a, b, y in ROWS)
X = [[a, b] for a, b, _ in ROWS]
Y = [y for *_, y in ROWS]


def whole(path, **options):
    return load(path, test_fraction=0, **options)


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ('"size\n(cm)","weight\n(kg)",y\n', ("size (cm)", "weight (kg)")),
        ('"a\n\nb\nc",d,y\n', ("a b c", "d")),
        ("# a comment\n# unit: g\na,b,y\n", ("a", "b")),
        ("# it's 5\" wide\n\na,b,y\n", ("a", "b")),
        ("# a,b,y\n", ("a", "b")),
        ("% from the scales\n#a,b,y\n", ("a", "b")),
        ("a,b,y\n\n\n", ("a", "b")),
        ("\ufeffa,b,y\n", ("a", "b")),
        ("a , b,y\n", ("a", "b")),
        ("'a','b','y'\n", ("a", "b")),
        ("sep=,\na,b,y\n", ("a", "b")),
        ("Sales of May\n\na,b,y\n", ("a", "b")),
        ("Sales of May,,\n,,\na,b,y\n", ("a", "b")),
        ("#,b,y\n", ("#", "b")),
        ("% a,% b,y\n", ("% a", "% b")),
        ("\ufeff\u200ba,b,y\n", ("a", "b")),
        ("", ("0", "1")),
    ],
)
def test_no_row_is_lost_below_any_header(written, header, names):
    data = whole(written(header + BODY))
    assert data.feature_names == names
    np.testing.assert_array_equal(data.train.rows, X)
    np.testing.assert_array_equal(data.train.targets, Y)


@pytest.mark.parametrize("names", ["0,1,label", "2019,2020,label", "label,2019,2020", "1,2,label"])
def test_numbers_over_numbers_are_names_where_a_word_stands_beside_them(written, names):
    label = names.split(",").index("label")
    rows = []
    for a, b, y in ROWS:
        cells = [str(a), str(b)]
        cells.insert(label, ("cat", "dog")[y])
        rows.append(",".join(cells) + "\n")
    path = written(names + "\n" + "".join(rows))
    data = whole(path, target="label")
    assert (len(data.train.rows), data.classes, data.target_names) == (40, ("cat", "dog"), ("label",))
    np.testing.assert_array_equal(data.train.rows, X)
    assert any("is the header" in note for note in data.notes)


def test_the_numbers_of_pandas_over_numbers_are_names(written):
    frame = pandas.DataFrame(np.random.default_rng(0).normal(size=(20, 4)).round(3)).assign(**{"4": [0, 1] * 10})
    path = written(frame.to_csv(index=False))
    assert whole(path).feature_names == ("0", "1", "2", "3")
    assert len(whole(path).train.rows) == 20


@pytest.mark.parametrize(
    "text",
    [
        "1,2,3\n2,3,4\n3,4,5\n4,5,6\n5,6,7\n",  # lags of a series
        "1,2,rare\n2,1,cat\n3,4,cat\n",
        "5.1,3.5,cat\n4.9,3,dog\n5.2,3,cat\n",
        "p,x,p\ne,x,e\np,y,p\n",  # a word again in its column, and twice in the line
    ],
)
def test_an_example_is_no_header(written, text):
    assert len(whole(written(text), task="multiclass").train.rows) == text.count("\n")


def test_a_user_decides_about_the_header(written):
    path = written("1,2,rare\n" + "2,1,cat\n3,4,dog\n" * 20)
    assert len(whole(path, header=True).train.rows) == 40
    with pytest.raises(InputError, match="in column '2', line 1"):
        whole(written("a,b,\n1,2,0\n3,4,1\n"), header=False, task="regression", target=2)


def test_a_header_over_text(written):
    text = "type,cap,odor\n" + "".join(f"{'pe'[i % 2]},{'xb'[i % 3 == 0]},{'an'[i % 2]}\n" for i in range(40))
    data = whole(written(text), target="type")
    assert (data.classes, data.feature_names, len(data.train.rows)) == (("e", "p"), ("cap", "odor"), 40)


@pytest.mark.parametrize(
    ("name", "separator"), [("t.tsv", "\t"), ("t.txt", "|"), ("t.data", " "), ("t.data", "   "), ("t.csv", ";")]
)
def test_separators_are_found(written, name, separator):
    data = whole(written("a,b,y\n".replace(",", separator) + BODY.replace(",", separator), name))
    np.testing.assert_array_equal(data.train.rows, X)
    assert (data.feature_names, data.name) == (("a", "b"), "t")


def test_blanks_around_quoted_names_of_cars(written):
    text = "".join(f'{18 + i}.0   {4 + i % 2}   307.{i}      "chevrolet chevelle {i % 3}"\n' for i in range(20))
    data = whole(written(text, "auto.data"), target=0)
    assert data.train.rows.shape == (20, 3)
    assert [column.role for column in data.preprocessing.columns] == ["number", "number", "category"]  # pyright: ignore


@pytest.mark.parametrize(
    ("suffix", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)]
)
def test_compressed_tables(written, suffix, compress):
    for text in ("a,b,y\n" + BODY, "a,b,y\n" + BODY.replace("1\n", "dog\n").replace("0\n", "cat\n")):
        data = whole(written(compress(text.encode()), f"t.csv{suffix}"))
        np.testing.assert_array_equal(data.train.rows, X)
        assert data.name == "t"


def test_encodings(written):
    text = "größe,y\n1.5,kätzchen\n2.5,hund\n"
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "cp1252"):
        data = whole(written(text.encode(encoding)))
        assert (data.feature_names, data.classes) == (("größe",), ("hund", "kätzchen"))
    assert "Windows-1252" in data.notes[0]
    for encoding in ("utf-16-le", "utf-16-be", "utf-32"):
        data = whole(written(("a,b,y\n" + "".join(f"{a},{b},{y:03d}\n" for a, b, y in ROWS)).encode(encoding)))
        assert (data.classes, data.train.rows.tolist()) == (("000", "001"), X)  # names, and no numbers
    assert whole(written(text.encode("cp437")), encoding="cp437").classes == ("hund", "kätzchen")
    with pytest.raises(InputError, match="expects text in utf-8, got bytes that are not utf-8"):
        whole(written(text.encode("cp1252")), encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("a;y\n1,5;0\n2,25;1\n", [1.5, 2.25]),
        ("a\ty\n1\t0\n2,5\t1\n", [1, 2.5]),
        ('a,y\n"1,234",0\n"12,005",1\n', [1234, 12005]),
        ('a,y\n"1,234",0\n"0,541",1\n', [1.234, 0.541]),
        ('a,b,y\n"1,234","0,5",0\n"2,541","1,5",1\n', [[1.234, 0.5], [2.541, 1.5]]),
        ('a,y\n"1,234.5",0\n"7",1\n', [1234.5, 7]),
        ("a;y\n1.234,5;0\n7;1\n", [1234.5, 7]),
        ("a;b;y\n1,234;0,5;0\n2,345;1;1\n", [[1.234, 0.5], [2.345, 1]]),
        ("a;b;y\n1,234;0.5;0\n2,345;1.25;1\n", [[1234, 0.5], [2345, 1.25]]),
        ("a;y\n1 234;0\n12 005;1\n", [1234, 12005]),
        ('a,y\n"$1,234.50",0\n$7,1\n', [1234.5, 7]),
        ("a;y\n1.234,5 €;0\n-7,5 €;1\n", [1234.5, -7.5]),
        ("a,y\n12%,0\n3.5 %,1\n", [12, 3.5]),
        ("a,y\n(12),0\n3.5,1\n", [-12, 3.5]),
        ('a,y\n"12,34,567",0\n"1,23,456",1\n', [1234567, 123456]),
    ],
)
def test_signs_in_numbers(written, text, rows):
    data = whole(written(text))
    np.testing.assert_array_equal(data.train.rows, np.reshape(rows, (2, -1)))
    assert any(note.startswith("numbers with") for note in data.notes)


def test_numbers_that_can_be_read_in_two_ways_are_not_guessed(written):
    path = written("a;y\n1,234;0\n5,678;1\n")
    with pytest.raises(InputError, match=r"can be read in one way, got '1,234' in column 'a', where ';' separates"):
        load(path)
    np.testing.assert_array_equal(whole(path, decimal=",").train.rows[:, 0], [1.234, 5.678])
    np.testing.assert_array_equal(whole(path, thousands=",").train.rows[:, 0], [1234, 5678])


def test_blanks_at_the_ends_of_labels_make_no_classes(written):
    labels = ("cat", "cat ", "dog", " dog", "dog\t")
    text = "a,b,y\n" + "".join(f"{i},{i % 13},{labels[i % 5]}\n" for i in range(40))
    assert whole(written(text)).classes == ("cat", "dog")


@pytest.mark.parametrize("words", [("NA", "EU", "AS"), ("None", "minor", "severe"), ("null", "set"), ("nan", "x")])
def test_words_that_mean_nothing_elsewhere_are_classes(written, words):
    text = "a,b,y\n" + "".join(f"{i},{i * 7 % 13},{words[i % len(words)]}\n" for i in range(30))
    assert whole(written(text)).classes == tuple(sorted(words))


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ("0.0 1.0 2.0", (0, 1, 2)),
        ("0.000000000000000000e+00 1.0e+00 2.0e+00", (0, 1, 2)),
        ("007 010 011", ("007", "010", "011")),
        ("'-1' '1' 'x'", ("-1", "1", "x")),
        ("TRUE FALSE TRUE", (False, True)),
    ],
)
def test_labels_keep_what_they_are(written, labels, classes):
    words = labels.split()
    text = "a,b,y\n" + "".join(f"{i},{i * 7 % 13},{words[i % 3]}\n" for i in range(60))
    assert whole(written(text)).classes == classes


def test_a_gap_becomes_the_mean_and_says_so(written):
    data = whole(written("a,b,y\n1,,0\n,4,1\n3,8,0\n"))
    X = data.preprocessing(data.train.rows, np.float64)
    np.testing.assert_allclose(X[:, [0, 2]], [[-1, 0], [0, -1], [1, 1]])
    np.testing.assert_array_equal(X[:, [1, 3]], [[0, 1], [1, 0], [0, 0]])


def test_a_row_without_values_is_a_row_and_a_blank_line_is_none(written):
    rows = load_rows(written("a,b\n1,1\n,\n\n3,3\n"), 2, Columns(("a", "b")), known=known(written))
    np.testing.assert_array_equal(rows, [[1, 1], np.mean(X, axis=0), [3, 3]])


@pytest.mark.parametrize("text", ['a\n1\n""\n3\n', "a\n1\nNA\n3\n", "a\n1\n?\n3\n\n \n"])
def test_a_missing_value_of_a_single_column_is_a_row(written, text):
    rows = load_rows(written(text), 1, Columns(("a",)), known=KnownColumns(("a",), fill=np.array([7.0])))
    assert rows.tolist() == [[1], [7], [3]]
    rows = load_rows(written('a\n1\n""\n'), 1, Columns(("a",)), known=KnownColumns(("a",), fill=np.array([7.0])))
    assert rows.tolist() == [[1], [7]]


def test_an_empty_line_in_a_single_column_is_not_passed_over(written):
    with pytest.raises(InputError, match="a value in every line of its only column, got an empty line 3: write NA"):
        load_rows(written("a\n1\n\n3\n4\n"), 1, Columns(("a",)))
    # below the header, too, and in a text of two rows
    for text, line in (("a\n\n3\n4\n", 2), ("a\n0.5\n\n-0.5", 3), ("\n\n3\n\n4\n\n\n5\n", 4)):
        with pytest.raises(InputError, match=f"got an empty line {line}"):
            load_rows(written(text), 1, Columns(("a",)))
    # a text whose line breaks were doubled
    note = "empty lines separate all rows, and are not read as rows"
    for text in ("a\n\n1\n\n3\n", "a\r\r\n1\r\r\n3\r\r\n", "1\n\n3\n"):
        table = read_table(written(text))
        assert (table.columns, table.notes[-1]) == ((["1", "3"],), note)
    assert load_rows(written("\na\n\n1\n\n3\n\n4\n\n"), 1, Columns(("a",))).tolist() == [[1], [3], [4]]


def known(written):
    data = whole(written("a,b,y\n" + BODY, "train.csv"))
    return KnownColumns(data.feature_names, data.target_names, fill=data.preprocessing.shift)  # pyright: ignore


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,y\n1,2,0\n1,2\n3,4,1\n5,6\n", "got 2 cells instead of 3 in line 3; 2 such rows, lines 3, 5"),
        ("a,b,y\n1,2,0\n1,2,0,9\n3,4,1\n", "got 4 cells instead of 3 in line 3: give every row the same"),
        ('a,b,y\n"x\ny",2,0\n1,2\n3,4,1\n', "got 2 cells instead of 3 in line 4"),
        ("a,b,y\n1,2,0\n1,,\n3,4,1\n,,\n", "a target in every row, got a missing value in column 'y', line 3 (2 such"),
        ("a,b,y\n1,inf,0\n1,2,1\n-inf,2,1\n", "got -inf in column 'a', line 4; inf in column 'b', line 2: drop"),
    ],
)
def test_faulty_rows_are_named_by_their_lines(written, text, message):
    with pytest.raises(InputError) as error:
        load(written(text))
    assert message in str(error.value)


def test_separators_too_many_are_passed_over(written):
    for text in ("a,b,y,,\n1,2,0,,\n3,4,1,,\n", "a,b,y\n1,2,0,,\n3,4,1,,\n"):
        data = whole(written(text))
        assert (data.feature_names, data.train.rows.tolist()) == (("a", "b"), [[1, 2], [3, 4]])
        assert data.notes


def test_the_index_of_pandas_and_of_r_is_left_out(written):
    frame = pandas.DataFrame({"a": [1.5, 2.5, 3.5], "y": [0, 1, 0]})
    for index in (range(3), ["x", "y", "z"]):
        data = whole(written(frame.set_axis(index).to_csv()))
        assert data.feature_names == ("a",)
        assert data.roles[0][:2] == ("index", "identifier")
        assert data.notes


def test_an_identifier_is_left_out_and_can_be_kept(written):
    path = written("id,noise,kind\n" + "".join(f"{i},{i * 7 % 13},{'uv'[i >= 30]}\n" for i in range(60)))
    assert whole(path).feature_names == ("noise",)
    assert ("id", "identifier") in [role[:2] for role in whole(path).roles]
    assert whole(path, keep=["id"]).feature_names == ("id", "noise")
    assert whole(path, drop=["noise"], keep="id").feature_names == ("id",)
    assert whole(path, features=["id"]).feature_names == ("id",)


def test_weights_follow_the_rows(written):
    path = written("a,w,y\n" + "".join(f"{i},{i + 0.5},{i % 2}\n" for i in range(20)))
    data = load(path, weights="w", test_fraction=0.25).split_validation(0.2)
    assert data.feature_names == ("a",)
    for part in ("train", "validation", "test"):
        np.testing.assert_array_equal(data.part_weights(part), getattr(data, part).rows[:, 0] + 0.5)
    with pytest.raises(InputError, match=r"a weight of at least 0 in every row, got '-1' in column 'w', line 2"):
        load(written("a,w,y\n1,-1,0\n2,2,1\n"), weights="w")


def test_several_targets(written):
    text = "a,u,v,w\n" + "".join(f"{i},{i / 2},{i % 2},{(i + 1) // 2 % 2}\n" for i in range(20))
    data = whole(written(text), target=["u", "v"])
    assert (data.task, data.target_names, data.feature_names) == ("regression", ("u", "v"), ("a", "w"))
    flags = whole(written(text), target=["v", "w"])
    assert (flags.task, flags.classes, flags.n_outputs) == ("multilabel", ("v", "w"), 2)


@pytest.mark.parametrize(("no", "yes"), [("no", "Yes"), ("FALSE", "TRUE"), ("n", "y"), ("0", "1")])
def test_targets_of_yes_and_no_are_several_labels(written, no, yes):
    words = (no, yes)
    text = "a,u,v,w\n" + "".join(f"{i},{i / 2},{words[i % 2]},{(i + 1) // 2 % 2}\n" for i in range(20))
    data = whole(written(text), target=["v", "w"])
    assert (data.task, data.classes, data.target_names) == ("multilabel", ("v", "w"), ("v", "w"))
    assert data.train.targets.tolist() == [[i % 2, (i + 1) // 2 % 2] for i in range(20)]
    frame = pandas.DataFrame({"a": range(4), "v": [no, yes, yes, no], "w": [True, True, False, False]})
    assert whole(frame, target=["v", "w"]).train.targets.tolist() == [[0, 1], [1, 1], [1, 0], [0, 0]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("1,x,0\n2,y,1\n", "numbers in several target columns, .* yes and no in all of them, got 'x' in column 'y'"),
        ("1,yes,no\n2,no,maybe\n", "got 'maybe' in column 'z': train one model per target, or write it as 0 and 1"),
        ("1,yes,1.5\n2,no,2.5\n", "got 'yes' in column 'y'"),
        ("1,yes,no\n2,NA,yes\n", r"a target in every row, got a missing value \('NA'\) in column 'y', line 3"),
    ],
)
def test_other_words_in_several_targets_are_refused(written, rows, message):
    with pytest.raises(InputError, match=message):
        load(written("a,y,z\n" + rows), target=["y", "z"])


def test_a_constant_last_column_is_hardly_the_target(written):
    path = written("label,p0,p1\n" + "".join(f"{i % 10},{i * 12 % 256},0\n" for i in range(60)))
    with pytest.raises(InputError) as error:
        load(path)
    assert str(error.value) == (
        "the training part expects at least 2 classes, got only 0 in column 'p1': "
        "name the target column (--target label, say; the last column is taken without it)"
    )
    # two columns of flags are named as targets, so that no other column is suggested
    two = written("a,u,v\n" + "".join(f"{i},1,0\n" for i in range(20)))
    with pytest.raises(InputError, match="at least 2 classes, got only u: a classifier needs examples of two or more"):
        load(two, target=["u", "v"])


def test_frames_are_sources_as_files_are(written):
    frame = pandas.DataFrame({"a": [1.0, None, 3.0, 4.0], "b": list("xyxy"), "kind": ["u", "v", "u", "v"]})
    of_file = whole(written(frame.to_csv(index=False)), target="kind")
    of_frame = whole(frame, target="kind")
    of_dict = whole({name: frame[name].tolist() for name in frame}, target="kind")
    for data in (of_frame, of_dict):
        np.testing.assert_array_equal(data.preprocessing(data.train.rows), of_file.preprocessing(of_file.train.rows))
        assert data.classes == ("u", "v")


def test_an_encoding_that_does_not_fit_and_a_cell_without_end_are_named(written):
    with pytest.raises(InputError, match="expects text in utf-16, got bytes that are not utf-16: leave the encoding"):
        whole(written("a,y\n1,0\n2,1\n"), encoding="utf-16")
    path = written('a,b,y\n1,"x,0\n' + "2,x,1\n" * 30_000)
    with pytest.raises(InputError, match="cells of at most 131,072 characters, got a longer one: is a quotation mark"):
        whole(path)
