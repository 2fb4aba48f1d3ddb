"""The separators in numbers: one column says what a comma or a dot means in another."""

import numpy as np
import pytest

from jaxmlp.data import load
from jaxmlp.errors import InputError

pandas = pytest.importorskip("pandas")

DOTS = ["1.100", "301", "-3.102", "7.234"]
NUMBERS = [1100, 301, -3102, 7234]


def semicolon_file(written, a, b):
    return written("a;b;y\n" + "".join(f"{x};{z};{i % 2}\n" for i, (x, z) in enumerate(zip(a, b, strict=True))))


@pytest.mark.parametrize("unit", ["", " €"])
def test_a_dot_separates_thousands_if_the_comma_is_decimal(written, unit):
    path = semicolon_file(written, [cell + unit for cell in DOTS], ["0,5", "7", "1,25", "3"])
    data = load(path, test_fraction=0)
    np.testing.assert_array_equal(data.train.rows, np.c_[NUMBERS, [0.5, 7, 1.25, 3]])
    assert any("'.' between thousands" in note and note.endswith(": a") for note in data.notes)
    frame = pandas.read_csv(path, sep=";", dtype=str)
    np.testing.assert_array_equal(load(frame, test_fraction=0).train.rows, data.train.rows)


@pytest.mark.parametrize(
    ("a", "b", "numbers"),
    [
        (["1.100", "2.200", "3.300"], ["1", "2", "4"], [1.1, 2.2, 3.3]),  # no column has a decimal comma
        (["1.100", "2.2", "3.300"], ["1,5", "2", "4"], [1.1, 2.2, 3.3]),
        (["0.123", "2.200", "3.300"], ["1,5", "2", "4"], [0.123, 2.2, 3.3]),
    ],
)
def test_a_dot_is_decimal_otherwise(written, a, b, numbers):
    np.testing.assert_array_equal(load(semicolon_file(written, a, b), test_fraction=0).train.rows[:, 0], numbers)


def test_a_file_with_both_decimal_separators_is_not_guessed(written):
    path = written("a;b;c;y\n1.100;0,5;1.5;0\n301;1,5;2.25;1\n")
    with pytest.raises(InputError, match=r"one way, got '1.100' in column 'a', where other columns have 1,5 and 1.5"):
        load(path)


@pytest.mark.parametrize(
    ("a", "decimal", "numbers"),
    [
        (DOTS, ",", NUMBERS),
        (["1.234,5", "7"], ",", [1234.5, 7]),
        (["1 234", "7"], ",", [1234, 7]),
        (["1,234", "7"], ",", [1.234, 7]),
        (["1,234", "7"], ".", [1234, 7]),
    ],
)
def test_the_decimal_separator_alone_is_enough(written, a, decimal, numbers):
    path = semicolon_file(written, a, ["1", "2", "3", "5"][: len(a)])
    np.testing.assert_array_equal(load(path, decimal=decimal, test_fraction=0).train.rows[:, 0], numbers)
