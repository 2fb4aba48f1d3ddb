"""Judge a first line by a cell that occurs nowhere else in its column, where the values below it repeat.

    2,3,4,label               names: label is none of the classes below it, and the other cells count
    400.1,410.2,425,species   names: the other cells rise
    12,3,rare                 a row: its numbers are within the ranges of their columns, and do not rise
    5.1,3.5,1.4,rare          a row: its numbers are measurements within the ranges of their columns
    10,20,30,40               names: equal steps, and 40 is larger than all values below it

A row may be taken for names: the first example of a file without a header may be the only one of its class. But
spectra and years above their columns are far more frequent, and a class of one example teaches a network nothing. So
the line is read as names, a note says so, and `--no-header` overrules it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

from jaxmlp.data.readers.header import (
    MIN_RECORDS,
    are_digits,
    cells_at,
    counts_by_one,
    has_few_values,
    is_amount,
    is_number,
)
from jaxmlp.tabular.cells import MISSING_NUMBERS, parse_number

MIN_CLASS_RECORDS = 4  # fewer do not show two classes that repeat
MAX_RARE_FRACTION = 0.05  # of the rows may have a class that occurs once: of many classes some are rare


def find_unique_name(
    first: Sequence[str], below: Sequence[Sequence[str]], known_names: Sequence[str] = ()
) -> int | None:
    """Return the position of a first cell that is none of the classes below it, beside numbers that look like names.

    Args:
        first: the cells of the first record.
        below: the records below it.
        known_names: the names of a model's features; a line without all of them is no header of its tables.

    >>> find_unique_name(["400", "420", "species"], [["1.5", "2", "cat"], ["0.5", "4", "dog"]] * 3)
    2
    >>> find_unique_name(["5.1", "3.5", "rare"], [["5.2", "3", "cat"], ["4.9", "3.6", "dog"]] * 3) is None
    True
    """
    if known_names and not set(known_names) <= set(first):
        return None
    positions = _name_positions(first, below)
    numbers = [i for i in positions if is_number(first[i])]
    if not numbers:
        return None
    # a word above classes, or a number above classes that are words
    unique = [i for i in positions if not is_number(first[i]) or _are_words(cells_at(below[:9], i))]
    unique = [i for i in unique if _is_above_classes(first[i], cells_at(below, i))]
    if unique:
        beside = [i for i in numbers if i not in unique]
        return unique[-1] if _look_like_names(first, below, beside) else None
    # numbers above numbers: steps of 1 are judged in `header`
    cells = [first[i] for i in numbers]
    if len(numbers) < max(4, len(positions)) or counts_by_one(cells) or not _is_monotonic(cells, equal_steps=True):
        return None
    columns = ((i, cells_at(below, i)) for i in reversed(numbers))
    outside = (i for i, c in columns if _is_above_classes(first[i], c) and _is_outside(first[i], c))
    return next(outside, None)


def find_unique_label(first: Sequence[str], below: Sequence[Sequence[str]]) -> int | None:
    """Return the position of a first cell that occurs once only, above values that repeat, in a line read as a row.

    It is the only example of its class, or the line has the names after all: the user is told.

    >>> find_unique_label(["5.1", "3.5", "rare"], [["5.2", "3", "cat"], ["4.9", "3.6", "cat"]])
    2
    """

    def is_unique(i: int) -> bool:
        # a rare number is no label, unless whole numbers repeat in the last column, where a label stands
        if is_number(first[i]) and i < len(first) - 1:
            return False
        column = cells_at(below, i)
        if first[i] in column or len(set(column)) == len(column):
            return False
        return not is_number(first[i]) or (
            len(column) >= MIN_RECORDS and has_few_values(column) and are_digits([first[i], *column])
        )

    return next((i for i in reversed(_name_positions(first, below)) if is_unique(i)), None)


def _name_positions(first: Sequence[str], below: Sequence[Sequence[str]]) -> list[int]:
    """Return the positions that may hold names, without an empty cell above an index; [] if the line must be a row."""
    if len(set(first)) < len(first):
        return []
    index = cells_at(below, 0)
    start = int(not first[0] and len(first) > 1 and all(index) and len(set(index)) == len(index))
    for i in range(start, len(first)):
        if is_number(first[i]):
            continue
        # the gap of a row, a value that occurs again, or an amount above amounts
        column = cells_at(below, i)
        is_gap = first[i].lower() in MISSING_NUMBERS
        if is_gap or first[i] in column or (is_amount(first[i]) and any(map(is_amount, column[:9]))):
            return []
    return [*range(start, len(first))]


def _are_words(cells: Iterable[str]) -> bool:
    return not any(is_number(cell) or is_amount(cell) for cell in cells)


def _is_above_classes(cell: str, column: Sequence[str]) -> bool:
    """Whether nearly all values of a column repeat, and the cell is none of them."""
    counts = Counter(text for text in column if text.lower() not in MISSING_NUMBERS)
    n, n_rare = counts.total(), sum(count == 1 for count in counts.values())
    has_classes = n >= MIN_CLASS_RECORDS and 2 <= len(counts) <= n / 2 and n_rare <= MAX_RARE_FRACTION * n
    # 4 above 1, 2 and 1b is one more label
    return has_classes and cell not in counts and (not is_number(cell) or _are_alike(counts))


def _are_alike(cells: Iterable[str]) -> bool:
    """Whether all cells are numbers, or none is."""
    return len({is_number(cell) for cell in cells}) == 1


def _look_like_names(first: Sequence[str], below: Sequence[Sequence[str]], positions: Sequence[int]) -> bool:
    """Whether numbers count, rise or fall, or are mostly outside of the values in their columns."""
    numbers = [first[i] for i in positions]
    if counts_by_one(numbers) or numbers in (["0"], ["1"]):
        return True
    # unless the rows rise as well, as quantiles do; two numbers rise by chance
    if (
        len(numbers) > 2
        and _is_monotonic(numbers)
        and not all(_is_monotonic([record[i] for i in positions if len(record) > i]) for record in below[:MIN_RECORDS])
    ):
        return True
    return sum(_is_outside(first[i], cells_at(below, i)) for i in positions) > len(numbers) / 2


def _is_monotonic(cells: Sequence[str], *, equal_steps: bool = False) -> bool:
    """Whether numbers rise (by nearly equal steps if asked), or fall by such steps, as wavenumbers do.

    >>> _is_monotonic(["400.1", "410.2", "425"]), _is_monotonic(["5.1", "3.5", "1.4"]), _is_monotonic(["3", "2.5", "2"])
    (True, False, True)
    """
    numbers = [parse_number(cell) for cell in cells]
    steps = [b - a for a, b in pairwise(numbers) if a is not None and b is not None]
    if not steps or len(steps) < len(cells) - 1:
        return False
    # the names are rounded, and so their steps differ a little
    is_rising = max(steps) <= 1.1 * min(steps) if equal_steps else min(steps) > 0
    return is_rising or (max(steps) < 0 and min(steps) >= 1.1 * max(steps))


def _is_outside(cell: str, column: Sequence[str]) -> bool:
    """Whether a number is below or above all numbers of a column."""
    value = parse_number(cell)
    values = [x for text in column if (x := parse_number(text)) is not None and x == x]
    return value is not None and len(values) > 0 and not min(values) <= value <= max(values)
