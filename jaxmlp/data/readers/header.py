"""Find out whether the first record of a table in text holds the names of its columns.

a word above numbers                      age above 39
numbered names                            0, 1, 2, ... or consecutive years
an empty cell above an index              as pandas and R write the numbers of the rows
numbers in quotation marks                above numbers without them, as R writes names
2, 1, 0 above another kind                above words, or above numbers of which whole ones are written 5.0 too
text, if every column is text             and no cell of the first line occurs again in its column

`unique_cells` has a further rule, for the cells that none of these decides.
"""

import csv
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

from jaxmlp.data.readers.text_records import BLANKS
from jaxmlp.tabular.cells import MISSING_NUMBERS, number_formats, parse_number

MIN_RECORDS = 8  # fewer do not show whether a first line of numbers and words is a header
MANY_DECIMALS = 8  # of a number that is whole by chance only
FIRST_YEAR, LAST_YEAR = 1800, 2200
_DECIMALS = re.compile(r"[+-]?\d*\.(\d+)(?:[eE][+-]?\d+)?")


def is_header(first: Sequence[str], below: Sequence[Sequence[str]], known_names: Sequence[str] = ()) -> bool:
    """Whether the first record contains the names of the columns.

    Args:
        first: the cells of the first record.
        below: the records below it.
        known_names: see `find_format`.

    >>> is_header(["age", "job"], [["39", "clerk"]]), is_header(["39", "clerk"], [["50", "cook"], ["38", "clerk"]])
    (True, False)
    >>> is_header(["0", "1", "label"], [["5", "2", "cat"], ["4", "7", "cat"]] * 5)
    True
    """
    if known_names and not are_digits(known_names) and set(known_names) <= set(first):
        return True
    # a file without a header has the names 0, 1, 2, ...: a model with the names 2, 1 was trained on a header
    if len(known_names) > 1 and [*known_names] == [*first[: len(known_names)]] and known_names[0] != "0":
        return True
    # a file without a header numbers its columns below their count: 400 and 420 are names, in any order
    if (
        len(known_names) > 1
        and are_digits(known_names)
        and max(map(int, known_names)) > len(first)
        and set(known_names) <= set(first)
    ):
        return True
    # 5% above 7% is an amount, and above 7 it is a name
    if any(is_amount(cell) and any(map(is_amount, cells_at(below[:9], i))) for i, cell in enumerate(first)):
        return False
    if _has_index(first, below):
        return True
    # a,,y above 1,2,0: beside an empty name only a word above a number is certain
    if not below or any(not cell and len(first) > 1 for cell in first[1:]):
        return has_word_above_number(first, below)
    if has_word_above_number(first, below):
        return True
    # names differ, but cells repeat: p,x,p is a row of the mushroom data
    if len(set(first)) < len(first):
        return False
    if counts_by_one(first) and any(_is_another_kind(cell, cells_at(below, i)) for i, cell in enumerate(first)):
        return True
    numbers = [cell for cell in first if is_number(cell)]
    words = [i for i, cell in enumerate(first) if not is_number(cell)]
    # NA or ? in the first line is the gap of a row, and no name
    if any(first[i].lower() in MISSING_NUMBERS for i in words):
        return False
    # in 5.1,3.5,cat the word occurs again below, as the values of a category do
    repeats = [any(record[i : i + 1] == [first[i]] for record in below) for i in words]
    if any(repeats):
        return False
    if not numbers:
        # two texts in a single column may both be rows
        return len(below) > 1 or len(first) > 1
    if known_names and len(numbers) > 2 and are_digits(numbers):  # a model may name its columns 0, 1, 2, in any order
        numbers = sorted(numbers, key=int)
    if not _are_numbered_names(numbers, bool(words)):
        return False
    if words:
        # unless the words below repeat, they are free text, which differs in every row
        return len(below) >= MIN_RECORDS and any(has_few_values(cells_at(below, i)) for i in words)
    # numbers above numbers: 0, 1, 2, ... are names, unless the first row counts up too
    return not _are_numbered_names([cell for cell in below[0] if cell], False)


def may_be_header(first: Sequence[str]) -> bool:
    """Whether a first record that counts as an example looks like names: 3, 2, 1, or a first cell that is empty."""
    return len(first) > 1 and (counts_by_one(first) or (not first[0] and all(first[1:])))


def has_quoted_names(lines: Sequence[str], separator: str) -> bool:
    """Whether the first of these lines has numbers in quotation marks above numbers without, as R writes names.

    >>> has_quoted_names(['"1","2"', "5,7"], ","), has_quoted_names(['"1","2"', '"5","7"'], ",")
    (True, False)
    """
    first, *below = (_raw_cells(line, separator) for line in lines[:10])
    names = [i for i, cell in enumerate(first) if is_number(cell.strip('"'))]
    if not names or not below or not all(map(_is_quoted, first)):
        return False
    cells = [record[i] for record in below for i in names if len(record) > i]
    # numbers in quotation marks below, too: this writer quotes every cell, and the marks say nothing
    return any(map(is_number, cells)) and not any(is_number(cell.strip('"')) for cell in cells if _is_quoted(cell))


def _raw_cells(line: str, separator: str) -> list[str]:
    """Return the cells of a line with their quotation marks."""
    if separator == BLANKS:
        return line.split()
    return [cell.strip() for cell in next(csv.reader([line.strip()], delimiter=separator, quoting=csv.QUOTE_NONE), [])]


def _is_quoted(cell: str) -> bool:
    return len(cell) > 1 and cell[0] == cell[-1] == '"'


def _has_index(first: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether an empty first cell stands above an index, as pandas and R write it, and names stand beside it."""
    index = cells_at(below, 0)
    if first[0] or len(first) < 2 or len(index) < len(below) or not index:
        return False
    if all(map(str.isdecimal, index)) and [int(cell) for cell in index] in (
        [*range(len(index))],
        [*range(1, len(index) + 1)] if len(index) > 1 else [],
    ):
        return True
    if not are_row_names(index):
        return False
    names = first[1:]
    numbers = [cell for cell in names if is_number(cell)]
    if len(set(names)) < len(names) or (numbers and not _are_numbered_names(numbers, True)):
        return False
    # a missing first value beside a word that is a value: of values at least one occurs again
    return all(
        is_number(cell) or not (cell.lower() in MISSING_NUMBERS or cell in cells_at(below, i))
        for i, cell in enumerate(names, 1)
    )


def are_row_names(cells: Sequence[str]) -> bool:
    """Whether the cells of a column differ, and are whole numbers or words, as the names of rows are.

    >>> are_row_names(["1", "3"]), are_row_names(["Mazda RX4", "Datsun 710"]), are_row_names(["0.5", "1.5"])
    (True, True, False)
    """
    return len(set(cells)) == len(cells) and all(cell.isdecimal() or (cell and not is_number(cell)) for cell in cells)


def counts_by_one(cells: Sequence[str]) -> bool:
    """Whether cells are whole numbers that count up or down, such as 3, 2, 1."""
    if len(cells) < 2 or not are_digits(cells):
        return False
    numbers = [int(cell) for cell in cells]
    return {b - a for a, b in pairwise(numbers)} in ({1}, {-1})


def _is_another_kind(cell: str, column: Sequence[str]) -> bool:
    """Whether a whole number stands above words, or above numbers of which whole ones are written 5.0 too.

    >>> _is_another_kind("1", ["cat", "dog"] * 4), _is_another_kind("0", ["0.5", "1.0"] * 4)
    (True, True)
    >>> _is_another_kind("0", ["0.5", "1", "1.25", "1.5"] * 2), _is_another_kind("0", ["0.1", "0.25"] * 4)
    (False, False)
    """
    column = [text for text in column if text.lower() not in MISSING_NUMBERS]
    if len(column) < MIN_RECORDS or not cell.isdecimal():
        return False
    if not any(is_number(text) or is_amount(text) for text in column):
        return True
    decimals = [match[1] for text in column if (match := _DECIMALS.fullmatch(text))]
    if len(decimals) < len(column):
        return False
    # equally many decimals, very many, or a 5.0: whole numbers have a point here, so a 0 above them is a name
    lengths = [*map(len, decimals)]
    return len({*lengths}) == 1 or max(lengths) >= MANY_DECIMALS or any(not text.strip("0") for text in decimals)


def are_digits(cells: Iterable[str]) -> bool:
    """Whether all cells are whole numbers without a sign."""
    return all(cell.isdecimal() for cell in cells)


def has_few_values(cells: Sequence[str]) -> bool:
    """Whether the cells have at most half as many values as there are cells."""
    return len(set(cells)) <= len(cells) / 2


def has_word_above_number(first: Iterable[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether a word stands above a number, as "age" does above 39; a missing value is not a word."""
    for i, cell in enumerate(first):
        if is_number(cell) or cell.lower() in MISSING_NUMBERS:
            continue
        column = [cell for cell in cells_at(below, i) if cell.lower() not in MISSING_NUMBERS]
        column = column[:1] if len(column) < 3 else column
        if column and all(is_number(cell) or is_amount(cell) for cell in column):
            return True
    return False


def cells_at(records: Sequence[Sequence[str]], i: int) -> list[str]:
    """Return the cells at one position of all records that have it."""
    return [record[i] for record in records if len(record) > i]


def _are_numbered_names(cells: Sequence[str], beside_words: bool) -> bool:
    """Whether cells are the names 0, 1, 2, ... or 1, 2, 3, ... or consecutive years, as no row of measurements is.

    Three years, or three numbers beside words, may also count down.
    """
    if not are_digits(cells):
        return False
    numbers = [int(cell) for cell in cells]
    if len(numbers) > 2 and (beside_words or min(numbers) >= FIRST_YEAR):
        # 2021,2020,2019: reports put the newest year first
        numbers = numbers if numbers[0] < numbers[-1] else numbers[::-1]
    is_consecutive = numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    if not is_consecutive or (not beside_words and len(numbers) < 3):
        return False
    is_year = FIRST_YEAR <= numbers[0] <= LAST_YEAR
    # 1,2,3 with no word beside it may be a row of measurements
    return numbers[0] == 0 or (len(numbers) > 1 and (is_year or (beside_words and numbers[0] == 1)))


def is_number(cell: str) -> bool:
    """Whether a cell is a number without a unit, in any format; an empty cell is not a number."""
    value = parse_number(cell)
    return value == value if value is not None else any(not form.unit for form in number_formats([cell]))


def is_amount(cell: str) -> bool:
    """Whether a cell is a number with a unit, such as $5 or 5%."""
    return parse_number(cell) is None and any(form.unit for form in number_formats([cell]))


def are_numbers(names: Sequence[str]) -> bool:
    """Whether names only number the columns of a table without a header: from 0, so that 2019 and 2020 are names.

    >>> are_numbers(["0", "1"]), are_numbers(["2019", "2020"])
    (True, False)
    """
    return all(name.isdecimal() for name in names) and min(map(int, names), default=0) < FIRST_YEAR
