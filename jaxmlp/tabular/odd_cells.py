"""Find the few cells that do not fit their column: typing errors among numbers or dates.

    $1.5  $2.5  x1           x1 is odd: every other cell is an amount in $
    2020-02-28  2020-02-31   the second is odd: there is no such day

Without this, one odd cell would make text of its column, which would be left out.
"""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from jaxmlp.tabular.cells import (
    DATE_FORMATS,
    MAX_NUMBER_LETTERS,
    MISSING_DATES,
    MISSING_NUMBERS,
    NumberFormat,
    fits_format,
    is_like_date,
    likely_formats,
    parse_date,
    parse_numbers,
    unit_of,
)

MAX_TYPING_ERRORS = 3  # up to so many different words in a column of numbers are typing errors; more are text
MAX_DISTINCT = 20  # up to so many different words are a category, even if they rarely repeat
_N_SAMPLE = 50  # words that show whether a column is worth the search
_WORDS_FOR_NOTHING = frozenset(
    ["", "na", "nan", "nat", "none", "null", "unknown", "unk", "missing", "tbd", "notavailable"]
)


def is_typing_error(cells: Sequence[str], form: NumberFormat) -> np.ndarray | None:
    """Return whether each cell of a column of numbers is one of a few words, (m,); None if there are none or many."""
    numbers, is_text = parse_numbers(cells, form)
    n_numbers = int((~np.isnan(numbers)).sum())
    n_text = int(is_text.sum())
    if (
        0 < n_text < n_numbers
        and len({cell for cell, odd in zip(cells, is_text, strict=True) if odd}) <= MAX_TYPING_ERRORS
    ):
        return is_text
    return None


def is_odd_cell(cells: Sequence[str]) -> np.ndarray | None:
    """Return whether each cell of a column of formatted numbers or of dates is one of a few that do not fit, (m,).

    None if no cell is odd, if many are, or if the column is a category: then its words repeat.

    >>> is_odd_cell(["$1.5", "$2.5", "$7", "x1"]).tolist()
    [False, False, False, True]
    """
    words = [*dict.fromkeys(cell for cell in cells if cell.lower() not in MISSING_DATES)]
    _, odd = nearest_format(words)
    odd = odd or _odd_dates(words)
    if not odd:
        return None
    is_odd = np.fromiter((cell in odd for cell in cells), bool, len(cells))
    n_fitting = sum(cell.lower() not in MISSING_DATES for cell in cells) - int(is_odd.sum())
    n_distinct = len(words) - len(odd)
    # $5, $10 and free, again and again, are three values: free is no typing error
    is_category = n_distinct <= MAX_DISTINCT and n_distinct <= n_fitting / 2
    return is_odd if is_odd.sum() < n_fitting and not is_category else None


def nearest_format(words: Sequence[str]) -> tuple[NumberFormat | None, set[str]]:
    """Return the number format that all of these words fit but a few, and these; None and an empty set without one.

    >>> nearest_format(["1%", "2%", "3"])
    (NumberFormat(decimal='.', thousands='', unit='%'), {'3'})
    """
    words = [word for word in dict.fromkeys(words) if word.lower() not in MISSING_NUMBERS]
    short = [word for word in words[:_N_SAMPLE] if len(word) <= MAX_NUMBER_LETTERS]
    units = Counter(unit for word in short if (unit := unit_of(word)))
    unit = units.most_common(1)[0][0] if units else ""
    nearest: tuple[NumberFormat | None, set[str]] = None, set()
    for form in likely_formats(unit):
        # most formats fail in the sample: only for the others are all words read
        if _odd_of(words[:_N_SAMPLE], form) is None or (odd := _odd_of(words, form)) is None:
            continue
        if odd and (not nearest[1] or len(odd) < len(nearest[1])):
            nearest = form, odd
    return nearest


def is_misfit(cells: Sequence[str], unit: str) -> np.ndarray:
    """Return whether each cell does not fit the format with this unit that most of them fit, (m,).

    >>> is_misfit(["12%", "13", ""], "%").tolist(), is_misfit(["1,234.5", "2,345.5", "x1"], "").tolist()
    ([False, True, False], [False, False, True])
    """
    words = {cell for cell in cells if cell.lower() not in MISSING_NUMBERS}
    odd = min(({word for word in words if not fits_format(word, form)} for form in likely_formats(unit)), key=len)
    return np.fromiter((cell in odd for cell in cells), bool, len(cells))


def _odd_of(words: Sequence[str], form: NumberFormat) -> set[str] | None:
    odd = {word for word in words if len(word) > MAX_NUMBER_LETTERS or not fits_format(word, form)}
    return odd if len(odd) <= MAX_TYPING_ERRORS and len(odd) < len(words) / 2 else None


def _odd_dates(words: Sequence[str]) -> set[str]:
    """Return the few words that are no dates although all others are, in one format."""
    # a quick look before the formats are tried, which is slow
    if sum(map(is_like_date, words)) < max(len(words) - MAX_TYPING_ERRORS, len(words) / 2 + 0.5):
        return set()
    sample, best = words[:_N_SAMPLE], set()
    for form in DATE_FORMATS:
        if sum(parse_date(word, form) is None for word in sample) > MAX_TYPING_ERRORS:
            continue
        odd = {word for word in words if parse_date(word, form) is None}
        if len(odd) <= MAX_TYPING_ERRORS and len(odd) < len(words) / 2 and (not best or len(odd) < len(best)):
            best = odd
    return best


def stands_for_nothing(word: str) -> bool:
    """Whether a word means a missing value, as a spreadsheet or a person writes it.

    >>> [stands_for_nothing(word) for word in ("n.a.", "#DIV/0!", "---", "x1", "12")]
    [True, True, True, False, False]
    """
    letters = re.sub(r"\W", "", word.lower())
    # #DIV/0!, #REF! and other errors of a spreadsheet
    return word[:1] == "#" or letters in _WORDS_FOR_NOTHING
