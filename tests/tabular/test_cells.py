"""Cells as numbers, booleans and dates: the values, and what is not one of them."""

import numpy as np
import pytest

import jaxmlp
from jaxmlp.tabular.cells import NumberFormat, boolean_words, date_formats, number_formats, parse_date, parse_number
from jaxmlp.tabular.table import as_table

COMMA, THOUSANDS = NumberFormat(",", ""), NumberFormat(".", ",")


@pytest.mark.parametrize(
    ("cell", "form", "number"),
    [
        ("1.5", NumberFormat(), 1.5),
        ("-3e4", NumberFormat(), -30000),
        ("+7", NumberFormat(), 7),
        ("1,5", COMMA, 1.5),
        ("1,234.5", THOUSANDS, 1234.5),
        ("1.234.567,8", NumberFormat(",", "."), 1234567.8),
        ("1 234 567", NumberFormat(".", " "), 1234567),
        ("1\u202f234,5", NumberFormat(",", " "), 1234.5),
        ("12'345.6", NumberFormat(".", "'"), 12345.6),
        ("0x1f", NumberFormat(), None),
        ("1_000", NumberFormat(), None),
        ("12 kg", NumberFormat(), None),
        ("1.5", COMMA, None),
        ("0,541", THOUSANDS, None),  # its comma begins decimals
        ("1,23", THOUSANDS, None),
        (".5", THOUSANDS, 0.5),
        ("12,34,567", THOUSANDS, 1234567),
        ("0.847", NumberFormat(",", "."), None),
    ],
)
def test_numbers(cell, form, number):
    assert parse_number(cell, form) == number


@pytest.mark.parametrize("cell", ["", "?", "NA", "N/A", "nan", "NULL", "None", "-", "#N/A"])
def test_missing_numbers(cell):
    assert np.isnan(parse_number(cell) or 0)


@pytest.mark.parametrize(
    ("cells", "forms"),
    [
        (["1,5", "2", "NA"], [COMMA]),
        (["1,234", "5"], [COMMA, THOUSANDS]),
        (["1,234", "12,34"], [COMMA]),
        (["0,541", "1,234"], [COMMA]),
        ([".5", "1,234"], [THOUSANDS]),
        (["1,234", "1,234,567"], [THOUSANDS]),
        (["1,234", "0.5"], [THOUSANDS]),
        (["1.234,5", "7"], [NumberFormat(",", ".")]),
        (["1.234.567"], [NumberFormat(",", ".")]),
        (["1 234,5"], [NumberFormat(",", " ")]),
        (["1.5", "2"], []),
        (["1,5", "2.5"], []),
        (["1,5", "cat"], []),
        (["$5", "-$1,234.5", "($7)", "US$ 8"], []),  # two currencies
        (["$5", "-$1,234.5", "($7)"], [NumberFormat(".", ",", "$")]),
        (["5 kr", "7,5 kr"], [NumberFormat(",", "", "kr")]),
        (["5%", "0"], [NumberFormat(".", "", "%")]),
        (["5%", "0.05"], []),  # 5 or 0.05?
        (["(1)", "(2)"], []),  # labels of rows
        (["(1)", "2"], [NumberFormat(".", "", "()")]),
    ],
)
def test_formats_of_a_column(cells, forms):
    assert number_formats(cells) == forms


def test_words_for_yes_and_no():
    assert boolean_words(["Yes", "NO", "", "NA"]) == ("no", "yes")
    assert boolean_words(["f", "t"]) == ("f", "t")
    assert boolean_words(["yes", "false"]) is None
    assert boolean_words([""]) is None


def test_dates_are_seconds_in_utc():
    assert parse_date("2000-01-01", "%Y-%m-%d") == 946684800
    assert parse_date("2000-01-01T01:00:00+0100", "%Y-%m-%dT%H:%M:%S%z") == 946684800
    assert np.isnan(parse_date("NA", "%Y-%m-%d") or 0)
    assert parse_date("31/02/2000", "%d/%m/%Y") is None
    assert parse_date("2000-01-01 00:00:00.500000001", "%Y-%m-%d %H:%M:%S.%f") == 946684800.5
    assert date_formats(["01/31/24"]) == ["%m/%d/%y"]
    assert date_formats(["01/31/2024 1:30 PM"]) == ["%m/%d/%Y %I:%M %p"]


def test_day_and_month_are_told_apart_by_a_day_above_12():
    assert date_formats(["31/01/2020", "01/02/2020"]) == ["%d/%m/%Y"]
    assert date_formats(["01/31/2020"]) == ["%m/%d/%Y"]
    assert date_formats(["01/02/2020"]) == ["%d/%m/%Y", "%m/%d/%Y"]
    assert date_formats(["2020-01-31", "soon"]) == []


def test_bytes_that_are_not_utf8_are_cells_too():
    cells = as_table({"a": np.array([b"\xff", b"a"]), "b": [b"\xff", b"a"]})
    assert cells.columns[0] == cells.columns[1] == ["\ufffd", "a"]


@pytest.mark.parametrize(
    ("content", "separator"), [("1.5:2.5:007\n2.5:3.5:010\n", ":"), ("\ufeff007,1.5\n010,2.5\n", None)]
)
def test_leading_zeros_after_every_separator_and_a_byte_order_mark(written, content, separator):
    path = written((content * 5).replace("\n\ufeff", "\n"))
    data = jaxmlp.load(
        path, separator=separator, header=False, target="0" if separator is None else None, test_fraction=0
    )
    assert data.classes == ("007", "010")
