"""One odd cell in a column: it is named, and its column is not left out; what is left out is named with the reason."""

import datetime

import numpy as np
import pytest

from jaxmlp.data import load
from jaxmlp.data.known_columns import KnownColumns
from jaxmlp.data.tables import read_features
from jaxmlp.errors import InputError, InputTypeError
from jaxmlp.tabular.encoder import TableEncoder
from jaxmlp.tabular.table import as_table

pandas = pytest.importorskip("pandas")


def iso(i):
    return str(datetime.date(2020, 1, 1) + datetime.timedelta(i))


def written_column(written, cells):
    return written("c;a;y\n" + "".join(f"{cell};{i % 7};{'ab'[i % 2]}\n" for i, cell in enumerate(cells)))


def with_odd(form, odd):
    cells = [form(i) for i in range(60)]
    return [*cells[:9], odd, *cells[10:]]


@pytest.mark.parametrize(
    ("form", "odd"),
    [
        *[(lambda i: f"${i + 1}.5", odd) for odd in ("x1", "n.a.", "€9.5")],
        *[(lambda i: f"{i + 1},234.5", odd) for odd in ("x1", "9.234,5")],
        *[(lambda i: f"{i + 1}%", odd) for odd in ("x1", "9")],
        (lambda i: f"{i}.5" if i % 2 else f"({i + 1}.5)", "x1"),
        *[(iso, odd) for odd in ("2020-02-31", "unknown", "31/12/2020")],
    ],
)
def test_an_odd_cell_is_named_with_its_line(written, form, odd):
    with pytest.raises(InputTypeError) as error:
        load(written_column(written, with_odd(form, odd)))
    assert f"got {odd!r} in column 'c', line 11, beside {form(0)!r}: " in str(error.value)
    if odd in ("n.a.", "unknown"):
        assert f"--missing '{odd}' (missing=['{odd}'] in Python)" in str(error.value)
        path = written_column(written, with_odd(form, odd))
        for source in (path, pandas.read_csv(path, sep=";")):
            assert load(source, missing=[odd], target="y").roles[0].role in ("number", "date")


@pytest.mark.parametrize("odd", ["n.a.", "#DIV/0!", "#REF!"])
def test_the_errors_of_a_spreadsheet_can_be_named_as_missing(written, odd):
    with pytest.raises(InputTypeError, match=f"got '{odd}' in column 'c', line 11: .*say --missing '{odd}'"):
        load(written_column(written, with_odd(str, odd)))


@pytest.mark.parametrize("gap", ["NaT", "0000-00-00", "nan", "None", "-"])
def test_a_date_may_be_missing(written, gap):
    data = load(written_column(written, [gap, *map(iso, range(1, 60))]), test_fraction=0)
    assert data.roles[0] == ("c", "date", "such as 2020-01-02, 1 missing")
    assert np.isnan(data.train.rows[:, 0]).tolist() == [True] + [False] * 59


@pytest.mark.parametrize(
    "cells",
    [
        [("$5", "$10", "free")[i % 3] for i in range(60)],  # words that repeat are a category, whatever they look like
        [("1%", "2%", "3%", "other")[i % 4] for i in range(60)],
    ],
)
def test_prices_that_repeat_are_a_category_still(written, cells):
    assert load(written_column(written, cells)).roles[0].role == "category"


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ([f"{i}.5 kg" for i in range(60)], "(text: 60 different texts in 60 rows)"),
        ([f"{'$€'[i % 2]}{i}" for i in range(60)], "(identifier: a different text in every row)"),
        ([f"12:{i:02d}" for i in range(60)], "(identifier: a different text in every row)"),
        (["kg"] * 60, "(constant: always kg)"),
    ],
)
def test_a_note_names_what_is_left_out_and_why(written, cells, reason):
    path = written_column(written, cells)
    assert f"left out: c {reason}" in load(path).notes
    assert not any("left out" in note for note in load(path, drop="c").notes)  # the user knows


def test_a_new_row_without_the_unit_of_its_column_is_the_one_that_is_named():
    encoder = TableEncoder.fit({"c": [f"{i}%" for i in range(20)]})
    with pytest.raises(InputTypeError, match=r"got '13' in column 'c', row 1, a number with the unit '%'"):
        encoder.rows({"c": ["12%", "13", "14%", "15%"]})
    with pytest.raises(InputError, match=r"got 'x1' in column 'c', row 2, beside '1,234.5': "):
        read_features(as_table({"c": ["1,234.5", "2,345.5", "x1"]}), KnownColumns(("c",)))


@pytest.mark.parametrize("name", ["RowNumber", "S.No", "Sr. No.", "sno", "level_0"])
def test_a_row_number_is_left_out_under_any_of_its_names(written, name):
    path = written(f"{name},a,y\n" + "".join(f"{i},{i * 7 % 13},{i % 2}\n" for i in range(1, 41)))
    data = load(path)
    assert data.feature_names == ("a",)
    assert data.notes == (f"left out: {name} (identifier: a different number in every row)",)
    assert load(path, keep=name).feature_names == (name, "a")


@pytest.mark.parametrize("name", ["X", "No", "#", "instant"])
def test_a_column_that_may_number_the_rows_is_named(written, name):
    path = written(f"{name},a,y\n" + "".join(f"{i},{i * 7 % 13},{i % 2}\n" for i in range(1, 41)))
    note = f"{name!r} counts the rows: drop it (--drop {name!r}) if it is no measurement"
    assert load(path).feature_names == (name, "a")
    assert note in load(path).notes
    assert note not in load(path, drop=name).notes
    path = written(f"{name},a,y\n" + "".join(f"{i / 2},{i * 7 % 13},{i % 2}\n" for i in range(1, 41)))
    assert not any("counts the rows" in note for note in load(path).notes)


@pytest.mark.parametrize(
    ("words", "spellings"),
    [(("Cat", "cat", "dog"), "'Cat' and 'cat'"), (("New York", "Newyork", "x"), "'New York' and ")],
)
def test_labels_that_differ_in_their_spelling_only_are_named(written, words, spellings):
    data = load(written("a,y\n" + "".join(f"{i},{words[i % 3]}\n" for i in range(30))))
    assert data.classes == tuple(sorted(words))
    assert any(f"are different classes: {spellings}" in note for note in data.notes)
    assert not load(written("a,y\n" + "".join(f"{i},{('cat', 'dog')[i % 2]}\n" for i in range(30)))).notes
