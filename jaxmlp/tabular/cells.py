"""Cells of text as numbers, booleans and dates.

    number      1.5    -3e4        with a decimal comma 1,5        with thousands 1,234.5    1.234,5    1 234,5
                $1,234.50    12 %    (5.00) for -5, if the column has one unit
    yes/no      yes no    true false    y n    t f      in any case
    date        2024-05-31    2024-05-31 17:20:05    31.05.2024    05/31/2024 if only one order fits
    missing     an empty cell, "?", and in a column of numbers also NA, nan, null, none, - and the like

A cell is read once however often it occurs in its column.
"""

import datetime
import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

Cells = np.ndarray | list[str]
"""The cells of a column: an array of numbers or dates, or text."""
MISSING = ("", "?")
"""A missing value in a column of any role."""
MISSING_NUMBERS = frozenset(
    [
        "",
        "?",
        "-",
        "--",
        ".",  # SAS and Stata
        "na",
        "n/a",
        "#n/a",  # Excel
        "#na",
        "#n/a n/a",
        "<na>",  # pandas
        "nan",
        "-nan",
        "null",
        "none",
        "nil",
        "1.#ind",  # nan of Visual C++ before 2015
        "-1.#ind",
        "1.#qnan",
        "-1.#qnan",
        "missing",
        "(null)",
        "\\n",  # \N of MySQL and PostgreSQL, in lower case
    ]
)
"""A missing value in a column of numbers, dates or yes and no, in lower case."""
MISSING_DATES = MISSING_NUMBERS | {"nat", "0000-00-00", "0000-00-00 00:00:00"}
"""A missing value in a column of dates, in lower case: NaT of pandas, and the zero date of MySQL."""
BOOLEANS = (("no", "yes"), ("false", "true"), ("n", "y"), ("f", "t"))
"""The words for 0 and 1."""
DATE_FORMATS = (
    *("%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S"),
    *("%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d %H:%M:%S%z"),
    *("%Y/%m/%d", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S"),
    *("%d/%m/%Y", "%m/%d/%Y", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S"),
    *("%m/%d/%Y %I:%M:%S %p", "%d-%m-%Y", "%m-%d-%Y", "%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%B %d, %Y", "%d %B %Y"),
    *("%m/%d/%Y %I:%M %p", "%d/%m/%y", "%m/%d/%y", "%d-%b-%y"),
)
_NANOSECONDS = re.compile(r"(\.\d{6})\d+")  # a clock of Python counts microseconds
_DATE_LIKE = re.compile(r"\d{1,4}[-/. ](\d{1,2}|[A-Za-z]{3,9})[-/. ]\d{1,4}|[A-Z][a-z]{2,8} \d{1,2}, \d{4}")


class NumberFormat(NamedTuple):
    """How numbers are written: the sign before the decimals, the one between thousands, and the unit, or "" for none.

    The unit is "%", a currency such as "$", or `BRACKETS` where only brackets around negative numbers are unusual.
    """

    decimal: str = "."
    thousands: str = ""
    unit: str = ""


POINT = NumberFormat()


def parse_number(cell: str, form: NumberFormat = POINT) -> float | None:
    """Return the number in a cell, nan for a missing one, None for any other text.

    >>> parse_number("1.5"), parse_number("1.234,5", NumberFormat(",", ".")), parse_number("NA"), parse_number("big")
    (1.5, 1234.5, nan, None)
    """
    if cell.lower() in MISSING_NUMBERS:
        return np.nan
    if form.unit:
        cell = _without_unit(cell, form.unit)
    if form.thousands and _has_sign([cell], form.thousands):
        pattern = _PATTERNS.get(form._replace(unit=""))
        if pattern is not None and not pattern.fullmatch(cell):  # 0,541 or 1,23: its comma does not divide thousands
            return None
    cell = cell.replace(_MINUS, "-")
    for sign in _SIGNS.get(form.thousands, form.thousands):
        cell = cell.replace(sign, "")
    if form.decimal != ".":
        # 1.5 beside 1,5: no number, for one of the two would be read wrongly
        if "." in cell:
            return None
        cell = cell.replace(form.decimal, ".")
    if "_" in cell:  # Python reads 1_000 as a number, files do not mean it so
        return None
    try:
        return float(cell)
    except ValueError:
        return None


def parse_numbers(cells: Sequence[str], form: NumberFormat = POINT) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of a column in float64, nan where there is none, and whether a cell is other text, both (m,).

    >>> numbers, is_text = parse_numbers(["1", "x", "", "2.5"])
    >>> numbers.tolist(), is_text.tolist()
    ([1.0, nan, nan, 2.5], [False, True, False, False])
    """
    return parse_each(cells, lambda cell: parse_number(cell, form))


def is_missing_number(cells: Sequence[str]) -> np.ndarray:
    """Return whether each cell is a missing value of a column of numbers, (m,)."""
    return np.fromiter((cell.lower() in MISSING_NUMBERS for cell in cells), bool, len(cells))


# --- signs of numbers -------------------------------------------------------------------------------------------------

_SPACE = "[ \u00a0\u202f]"  # a plain, a no-break, a narrow no-break space
_FORMATS = {
    NumberFormat(",", ""): r"(\d+(,\d*)?|,\d+)",
    # thousands do not begin with 0: 0,541 is a decimal number; 12,34,567 is written in India
    NumberFormat(".", ","): r"((\d+|[1-9]\d{0,2}(,\d{3})+|[1-9]\d?(,\d{2})+,\d{3})(\.\d*)?|\.\d+)",
    NumberFormat(",", "."): r"((\d+|[1-9]\d{0,2}(\.\d{3})+)(,\d*)?|,\d+)",
    NumberFormat(".", " "): rf"((\d+|[1-9]\d{{0,2}}({_SPACE}\d{{3}})+)(\.\d*)?|\.\d+)",
    NumberFormat(",", " "): rf"((\d+|[1-9]\d{{0,2}}({_SPACE}\d{{3}})+)(,\d*)?|,\d+)",
    NumberFormat(".", "'"): r"((\d+|[1-9]\d{0,2}(['’]\d{3})+)(\.\d*)?|\.\d+)",
}
_MINUS = "\u2212"  # of typesetting, which tables on the web have
_PATTERNS = {form: re.compile(rf"[+{_MINUS}-]?{text}([eE][+{_MINUS}-]?\d+)?") for form, text in _FORMATS.items()}
_DOTTED = re.compile(rf"[+{_MINUS}-]?(\d+|[1-9]\d{{0,2}}(\.\d{{3}})+)")
BRACKETS, PERCENT = "()", "%"
MAX_NUMBER_LETTERS = 40
# 5kr and kr 5, but not the kr within a word
_UNIT = re.compile(r"%|(?:US|R|A|C|HK)?\$|[€£¥₹₩₽₺₫₪฿]|(?<![^\W\d])(?:USD|EUR|GBP|CHF|JPY|CNY|INR|kr|zł)(?!\w)")
_SIGNS = {" ": " \u00a0\u202f", "'": "'’"}  # the characters that a sign between thousands stands for


def number_formats(cells: Iterable[str]) -> list[NumberFormat]:
    """Return the formats in which every cell of a column is a number, if some cell is no plain number such as 1.5.

    Args:
        cells: the distinct cells.

    >>> number_formats(["1,5", "12"]), number_formats(["$1,234,567"])
    ([NumberFormat(decimal=',', thousands='', unit='')], [NumberFormat(decimal='.', thousands=',', unit='$')])
    >>> [form.decimal for form in number_formats(["1,234"])]           # 1.234 or 1234: the file decides
    [',', '.']
    >>> number_formats(["big"]), number_formats(["1.5"])
    ([], [])
    """
    words = [cell for cell in cells if cell.lower() not in MISSING_NUMBERS]
    if all(parse_number(cell) is not None for cell in words):
        return []
    return _formats_of(words) or _formats_with_unit(words)


def _formats_of(words: Sequence[str]) -> list[NumberFormat]:
    """Return the formats without a unit in which every word is a number."""
    return [
        form
        for form, pattern in _PATTERNS.items()
        if all(map(pattern.fullmatch, words)) and (not form.thousands or _has_sign(words, form.thousands))
        # 1 234 without any comma fits two formats that mean the same: one is enough
        if form.decimal == "." or form.thousands == "." or _has_sign(words, ",")
    ]


def _formats_with_unit(words: Sequence[str]) -> list[NumberFormat]:
    """Return the formats of numbers with one unit, or with brackets around the negative ones.

    >>> _formats_with_unit(["$1,234.50", "($7)"])
    [NumberFormat(decimal='.', thousands=',', unit='$')]
    >>> _formats_with_unit(["5%", "0.1"]), _formats_with_unit(["$5", "€5"])  # of two units: which is 0.1?
    ([], [])
    """
    if any(len(word) > MAX_NUMBER_LETTERS for word in words):  # prose, in which a search would take long
        return []
    units = {match[0] for word in words if (match := _UNIT.search(word))}
    n_bracketed = sum(map(_is_bracketed, words))
    # (1) to (9) throughout are labels of rows, and no negative numbers
    if len(units) > 1 or not (units or n_bracketed) or n_bracketed == len(words):
        return []
    unit = units.pop() if units else BRACKETS
    # 5% beside 0.05, which may be 5 % or 0.05 %; 0 is the same in both
    if unit == PERCENT and any(PERCENT not in word and parse_number(word) != 0 for word in words):
        return []
    plain = [_without_unit(word, unit) for word in words]
    forms = [POINT] if all(parse_number(word) is not None for word in plain) else _formats_of(plain)
    return [form._replace(unit=unit) for form in forms]


def unit_of(cell: str) -> str:
    """Return the first unit in a cell, such as "%" or "$", `BRACKETS` for (5), or ""."""
    match = _UNIT.search(cell)
    return match[0] if match else BRACKETS if _is_bracketed(cell) else ""


def likely_formats(unit: str) -> list[NumberFormat]:
    """Return the formats of numbers with a unit, the plain one first."""
    return [form._replace(unit=unit) for form in (POINT, *_FORMATS)]


def fits_format(cell: str, form: NumberFormat) -> bool:
    """Whether a cell is a number in exactly this format.

    >>> fits_format("9.234,5", NumberFormat(".", ",")), fits_format("9", NumberFormat(unit="%"))
    (False, False)
    """
    if form.unit == PERCENT and PERCENT not in cell and parse_number(cell) != 0:
        return False
    plain = _without_unit(cell, form.unit)
    pattern = _PATTERNS.get(form._replace(unit=""))
    return pattern.fullmatch(plain) is not None if pattern else parse_number(plain) is not None


def has_dotted_thousands(cells: Iterable[str], unit: str = "") -> bool:
    """Whether the dots of a column may all divide thousands: they do where the comma begins the decimals of a table.

    >>> has_dotted_thousands(["1.100", "301", "-1.234.567"]), has_dotted_thousands(["1.100", "0.123"])
    (True, False)
    """
    words = [_without_unit(cell, unit) for cell in cells if cell.lower() not in MISSING_NUMBERS]
    # 0.123 has no thousands before its dot
    return _has_sign(words, ".") and all(_DOTTED.fullmatch(word) for word in words)


def _without_unit(cell: str, unit: str) -> str:
    """Return a number without its unit, and -5 for (5).

    >>> _without_unit("-$ 5", "$"), _without_unit("(5 %)", "%")
    ('-5', '-5')
    """
    sign = ""
    if _is_bracketed(cell):
        sign, cell = "-", cell[1:-1]
    cell = cell.replace(unit, "", 1).strip()
    if cell[:1] in ("-", "+", _MINUS):
        cell = cell[0] + cell[1:].strip()
    return sign + cell


def _is_bracketed(cell: str) -> bool:
    return cell[:1] == "(" and cell[-1:] == ")"


def _has_sign(cells: Iterable[str], sign: str) -> bool:
    return any(character in cell for cell in cells for character in _SIGNS.get(sign, sign))


# --- booleans and dates -----------------------------------------------------------------------------------------------


def boolean_words(cells: Iterable[str]) -> tuple[str, str] | None:
    """Return the pair of words for 0 and 1 that the distinct cells of a column consist of, in lower case; None without.

    >>> boolean_words(["Yes", "No", ""]), boolean_words(["yes", "maybe"])
    (('no', 'yes'), None)
    """
    words = {cell.lower() for cell in cells} - MISSING_NUMBERS
    return next((pair for pair in BOOLEANS if words and words <= {*pair}), None)


def date_formats(cells: Iterable[str]) -> list[str]:
    """Return the formats in which every cell of a column is a date; two of them if day and month cannot be told apart.

    >>> date_formats(["2024-05-31", ""]), date_formats(["01/02/2024"]), date_formats(["31/02"])
    (['%Y-%m-%d'], ['%d/%m/%Y', '%m/%d/%Y'], [])
    """
    words = [cell for cell in cells if cell.lower() not in MISSING_DATES]
    # strptime is slow: this look spares most columns of text all the formats
    if not words or not all(_DATE_LIKE.match(cell) for cell in words):
        return []
    return [form for form in DATE_FORMATS if all(parse_date(cell, form) is not None for cell in words)]


def is_like_date(cell: str) -> bool:
    """Whether a cell may be a date, by the number of its digits; there may be no such day."""
    return _DATE_LIKE.match(cell) is not None


def has_two_orders(formats: Sequence[str]) -> bool:
    """Whether dates that fit all these formats have the day or the month first: 01/02/2024.

    >>> has_two_orders(date_formats(["01/02/2024"])), has_two_orders(date_formats(["31/01/2024"]))
    (True, False)
    """
    # %d or %m at the beginning: formats that differ in the time of day have one order
    return len({form[:2] for form in formats}) > 1


def parse_date(cell: str, form: str) -> float | None:
    """Return seconds since 1970 in UTC, nan for a missing date, None for any other text.

    >>> parse_date("1970-01-02", "%Y-%m-%d"), parse_date("soon", "%Y-%m-%d")
    (86400.0, None)
    """
    if cell.lower() in MISSING_DATES:
        return np.nan
    try:
        moment = datetime.datetime.strptime(_NANOSECONDS.sub(r"\1", cell), form)
    except ValueError:
        return None
    # timestamp() of a time without a zone would take the zone of this machine
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()


def parse_each(cells: Sequence[str], parse: Callable[[str], float | None]) -> tuple[np.ndarray, np.ndarray]:
    """Return what `parse` makes of each cell, nan for other text, and whether it is other text, both (m,)."""
    values = {cell: parse(cell) for cell in set(cells)}
    is_text = np.fromiter((values[cell] is None for cell in cells), bool, len(cells))
    known = {cell: np.nan if value is None else value for cell, value in values.items()}
    return np.fromiter((known[cell] for cell in cells), np.float64, len(cells)), is_text
