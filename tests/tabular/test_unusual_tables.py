"""Tables that look right and are easily read wrongly: no row, no name, no digit is lost without a word."""

import gzip
import re
from typing import Any

import jax
import numpy as np
import pytest

import jaxmlp
from jaxmlp.data import Dataset, load
from jaxmlp.data.known_columns import KnownColumns
from jaxmlp.data.tables import read_features
from jaxmlp.errors import InputError, InputTypeError
from jaxmlp.tabular import TableEncoder, as_table

pandas: Any = pytest.importorskip("pandas")

Y = [i % 2 for i in range(40)]
ROWS = [(i, i * 7 % 13, y) for i, y in enumerate(Y)]
BODY = "".join(f"{a},{b},{y}\n" for a, b, y in ROWS)


def whole(source, **options) -> Any:
    return load(source, test_fraction=0, **options)


def test_labels_beyond_the_digits_of_floats_stay_apart(written):
    for first in (2**53, 2**62, 2**70):
        text = "a,b,y\n" + "".join(f"{i},{i % 5 if i else ''},{first + i % 3}\n" for i in range(30))
        assert [int(label) for label in whole(written(text)).classes] == [first, first + 1, first + 2]


def test_a_word_among_measurements_is_no_class(written):
    for word in ("kg", "n/k", "#VALUE!"):
        text = "a,b,y\n" + "".join(f"{i},{i % 5},{word if i == 3 else f'{i / 8}'}\n" for i in range(30))
        with pytest.raises(InputTypeError, match=f"numbers in the target 'y', got '{word}' in column 'y', line 5"):
            load(written(text))


def test_texts_that_never_repeat_are_no_classes(written):
    names = "a,b,y\n" + "".join(f"{a},{b},name{a}\n" for a, b, _ in ROWS)
    with pytest.raises(
        InputError,
        match=r"a target whose classes occur in several rows, got 40 different texts in the 40 rows of column 'y'",
    ):
        load(written(names))
    dates = "a,b,y\n" + "".join(f"{a},{b},2024-01-{a % 28 + 1:02d}\n" for a, b, _ in ROWS)
    with pytest.raises(InputError, match="classes or numbers as targets, got dates in column 'y', such as 2024-01-01"):
        load(written(dates))


def test_a_header_of_two_lines_is_told(written):
    with pytest.raises(InputTypeError, match="keep one line of names above the numbers"):
        load(written("x,x,t\na,b,y\n" + BODY))


def test_a_single_quotation_mark_loses_no_rows(written):
    for marked in ((5, 25), (5,)):
        rows = [f"{i},{chr(34) * (i in marked)}text {i},{i % 2}\n" for i in range(40)]
        with pytest.raises(
            InputError, match="quotation marks in pairs around a cell, got a mark in line 7 that is not closed"
        ):
            load(written("a,b,y\n" + "".join(rows)))
    rows = [f'{i},"a note\nof two lines, {i}" ,{i % 2}\n' for i in range(40)]
    assert len(whole(written("a,b,y\n" + "".join(rows))).train.rows) == 40


def test_a_value_named_as_missing_is_missing(written):
    for number in ("-999", "-999.0"):
        rows = "".join(f"{number if i % 5 == 0 else i},{i % 7},{i % 2}\n" for i in range(40))
        for text in (rows, rows.replace("1,1,1\n", "1,,1\n")):  # numbers alone, and with a gap in another column
            X = whole(written("a,b,y\n" + text), missing=["-999"]).train.rows
            np.testing.assert_array_equal(np.isnan(X[:, 0]), np.arange(40) % 5 == 0)
    # a model keeps the words, also of a training without any of them
    for first in (-999, 7):
        encoder = whole(pandas.DataFrame({"a": [first, 1.5] * 20, "y": Y}), missing="-999").preprocessing
        for kept in (encoder, TableEncoder.from_json(encoder.to_json())):
            np.testing.assert_array_equal(kept.rows({"a": [-999, 3]})[:, 0], [np.nan, 3])


@pytest.mark.parametrize(
    ("text", "got"),
    [
        (gzip.compress(b"a,b,y\n1,2,0\n", mtime=0), "a file compressed by gzip: give its name the suffix .gz"),
        (b"PK\x03\x04....", "a ZIP archive or an Excel workbook: unpack it"),
        (b"<!DOCTYPE html>\n<html>a, b</html>\n", "a web page: download the file itself"),
        (b'[{"a": 1, "y": 0},\n{"a": 2, "y": 1}]\n', "JSON: read it with pandas.read_json"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n", "a Git LFS pointer"),
    ],
)
def test_files_of_another_kind_are_told_by_name(written, text, got):
    with pytest.raises(InputError, match=got):
        load(written(text))


def test_an_order_of_day_and_month_is_never_guessed(written):
    dates = [f"{i % 28 + 1:02d}/01/2024" for i in range(40)]
    encoder = whole(pandas.DataFrame({"when": dates, "y": Y})).preprocessing
    for texts in (["01/31/2024", "02/03/2024"], ["2024-01-31", "2024-02-03"], ["31/01/2024", "03/02/2024"]):
        np.testing.assert_array_equal(encoder.rows({"when": texts})[:, 0], [1706659200, 1706918400])
    iso = whole(pandas.DataFrame({"when": pandas.to_datetime(dates, dayfirst=True), "y": Y})).preprocessing
    with pytest.raises(InputTypeError, match="got '01/02/2024' in column 'when', row 0"):
        iso.rows({"when": ["01/02/2024"]})
    with pytest.raises(InputTypeError, match="of which the order of day and month is certain"):
        whole(pandas.DataFrame({"when": ["01/02/2024", "03/02/2024"] * 20, "y": Y}), roles={"when": "date"})


def test_a_column_is_the_target_or_something_else(written):
    path = written("a,b,y\n" + BODY)
    with pytest.raises(InputError, match="a target that is not dropped, got the last column 'y' among those to drop"):
        load(path, drop="y")
    with pytest.raises(InputError, match="different columns for target and weights, got 'y' for both"):
        load(path, weights="y")
    target: Any
    with pytest.raises(InputError, match="roles of feature columns only, got a role for the target 'y'"):
        load(path, roles={"y": "category"})
    for target in (1.5, True):
        with pytest.raises(InputError, match=f"expects one of a, b, y, got {target}"):
            load(path, target=target)


def test_a_target_of_a_frame_is_named_by_its_own_label():
    frame = pandas.DataFrame([r[::-1] for r in ROWS], columns=[2, 0, 1])
    assert whole(frame, target=2).classes == (0, 1)
    frame.columns = pandas.MultiIndex.from_tuples([("t", "y"), ("x", "b"), ("x", "a")])
    assert whole(frame, target=("t", "y")).classes == (0, 1)
    assert whole(frame, target=[("t", "y")]).target_names == ("('t', 'y')",)


def test_a_categorical_target_is_a_class_however_many_numbers_it_has():
    frame = pandas.DataFrame({"a": np.arange(40.0), "y": pandas.Categorical(np.arange(40) % 30)})
    assert (whole(frame).task, whole(frame).classes) == ("multiclass", tuple(range(30)))
    frame["y"] = pandas.Categorical(np.arange(40) % 2 + 0.5, categories=[0.5, 1.5, 2.5])
    assert (whole(frame).task, whole(frame).classes) == ("binary", ("0.5", "1.5"))


def test_an_amount_above_amounts_is_no_name(written):
    rows = "".join(f"{a}%,{b},{'cd'[y]}\n" for a, b, y in ROWS)
    assert len(whole(written(rows)).train.rows) == 40
    named = whole(written("10%,20%,label\n" + rows.replace("%", "")))
    assert (named.feature_names, len(named.train.rows)) == (("10%", "20%"), 40)


def test_names_that_differ_in_blanks_are_those_of_the_model(written):
    path = written('"size\n(cm)","weight  kg",y\n' + BODY)
    known = KnownColumns(whole(path).feature_names)
    frame = pandas.read_csv(path)
    assert list(frame)[:2] == ["size\n(cm)", "weight  kg"]
    np.testing.assert_array_equal(read_features(as_table(frame), known).rows, [r[:2] for r in ROWS])
    encoder = whole(frame.assign(kind=Y)[["kind", "size\n(cm)", "y"]], roles={"kind": "category"}).preprocessing
    np.testing.assert_array_equal(encoder.rows({"kind": ["1"], "size (cm)": [5]}), [[1, 5]])


def test_years_are_names():
    table = as_table(pandas.DataFrame([[1, 2]], columns=[2018, 2020]))
    with pytest.raises(InputError, match="add 2019"):
        read_features(table, KnownColumns(("2019", "2020")))
    np.testing.assert_array_equal(read_features(table, KnownColumns(("0", "1"))).rows, [[1, 2]])


def test_numbers_with_thousands_in_a_frame():
    texts = [f"{i + 1},{i * 17 % 999:03d}" for i in range(40)]
    data = whole(pandas.DataFrame({"a": np.arange(40) + 0.5, "y": texts}))
    np.testing.assert_array_equal(data.train.targets[:, 0], [float(text.replace(",", "")) for text in texts])
    whole_numbers = pandas.DataFrame({"y": texts, "a": range(40), "kind": ["u", "v"] * 20})
    with pytest.raises(InputError, match="numbers that can be read in one way, got '1,000' in column 'y'"):
        load(whole_numbers)
    assert whole(whole_numbers, roles={"y": "category"}).roles[0].role == "category"
    for name, value, remedy in (
        ("separator", ";", "leave it out"),
        ("thousands", ",", "convert the columns to numbers"),
    ):
        with pytest.raises(InputError, match=f"the table expects no option {name}, which .*, got '{value}': {remedy}"):
            whole(whole_numbers, **{name: value})


def test_an_array_of_numbers_is_no_part_of_a_frame_of_text():
    frame = pandas.DataFrame({"a": np.arange(40.0), "kind": ["u", "v"] * 20})
    part = Dataset.from_arrays(frame, Y, validation=(frame[["kind", "a"]].to_numpy()[:, ::-1], Y)).validation
    assert part is not None
    np.testing.assert_array_equal(part.rows, Dataset.from_arrays(frame, Y).train.rows)
    with pytest.raises(InputTypeError, match="expects text or dates in 'kind', got an array of numbers"):
        Dataset.from_arrays(frame, Y, validation=(np.zeros((40, 2)), Y))


@pytest.mark.parametrize(
    ("known", "new"), [("{}", "{}%"), ("{}", "${}"), ("{}%", "${}"), ("${}", "€{}"), ("{}%", "{}")]
)
def test_numbers_in_another_unit_than_those_of_the_training_are_refused(written, known, new):
    rows = "".join(f"{known.format(a)},{b},{y}\n" for a, b, y in ROWS)
    data = load(written("price,b,y\n" + rows))
    encoder = data.preprocessing if isinstance(data.preprocessing, TableEncoder) else None
    columns = KnownColumns(data.feature_names, encoder=encoder)

    def read_again(form):
        table = as_table(pandas.DataFrame({"price": [form.format(5), form.format(7)], "b": [1, 2]}))
        return read_features(table, columns)

    assert np.asarray(read_again(known).rows)[:, 0].tolist() == [5, 7]
    with pytest.raises(InputTypeError, match=re.escape(repr(new.format(5)))):
        read_again(new)


def test_plain_numbers_do_not_pass_for_percentages(written):
    data = load(written("price,b,y\n" + "".join(f"{a}%,{b},{y}\n" for a, b, y in ROWS)))
    assert isinstance(data.preprocessing, TableEncoder)
    columns = KnownColumns(data.feature_names, encoder=data.preprocessing)
    with pytest.raises(InputTypeError, match=r"'0.05' in column 'price', row 0 .*, a number with the unit '%'"):
        read_features(as_table({"price": [0.05, 0.07], "b": [1, 2]}), columns)


@pytest.mark.parametrize(
    "cells",
    [
        pandas.to_timedelta(np.arange(40), unit="h"),
        pandas.cut(np.arange(40.0), 4),
        [[1, 2]] * 40,
        [{"a": 1}] * 40,
        np.arange(40) * 1j,
    ],
    ids=["durations", "intervals", "lists", "dicts", "complex"],
)
def test_a_column_that_is_not_used_may_hold_anything(cells):
    plain = pandas.DataFrame({"a": np.arange(40.0), "b": np.arange(40)[::-1], "y": Y})
    frame = plain.assign(z=pandas.Series(cells, dtype=object) if isinstance(cells, list) else cells)[[*"zaby"]]
    expected = whole(plain)
    options: Any
    for options in ({"drop": ["z"]}, {"features": ["a", "b"]}):
        np.testing.assert_array_equal(whole(frame, **options).train.rows, expected.train.rows)
        of_arrays = Dataset.from_arrays(frame.drop(columns="y"), Y, **options)
        np.testing.assert_array_equal(of_arrays.train.rows, expected.train.rows)
    net = jaxmlp.network_for(expected, hidden=(2,))
    model = jaxmlp.Model.of(net, jaxmlp.init(jax.random.key(0), net), expected)
    np.testing.assert_array_equal(model.outputs(frame), model.outputs(plain))
    if str(frame["z"].dtype) != "category":  # intervals are words
        with pytest.raises(InputError, match="column 'z' expects numbers, text or dates, got"):
            whole(frame)
