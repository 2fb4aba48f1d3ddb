"""The roles of the columns of a table: numbers, categories, dates, or nothing that a network can learn from.

    number       every cell is a number or missing
    yes/no       two words such as yes and no
    category     text whose values repeat
    date         every cell is a date or missing, in one format
    text         text whose values rarely repeat; left out
    identifier   a different value in every row: text, or whole numbers in a column with a name such as id; left out
    constant     the same value in every row, or no value; left out
    target, weight, ignored

The user can keep a column that would be left out (`TableOptions.keep`), and can set the role of a column
(`TableOptions.roles`).
"""

from collections.abc import Container, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from jaxmlp.errors import MAX_PROBLEMS, InputError, InputTypeError, sentence
from jaxmlp.tabular.cells import (
    MISSING,
    MISSING_DATES,
    boolean_words,
    date_formats,
    has_two_orders,
    is_like_date,
    is_missing_number,
    parse_number,
    parse_numbers,
)
from jaxmlp.tabular.frame_cells import as_text
from jaxmlp.tabular.odd_cells import MAX_DISTINCT, is_odd_cell, is_typing_error, stands_for_nothing
from jaxmlp.tabular.table import Cells, Table

NUMBER, CATEGORY, BOOLEAN, DATE = ENCODED = ("number", "category", "yes/no", "date")
TEXT, IDENTIFIER, CONSTANT = LEFT_OUT = ("text", "identifier", "constant")
TARGET, WEIGHT, IGNORED = ("target", "weight", "ignored")
ROLES = ENCODED
"""The roles that a user can give a column."""
MIN_ROWS = 10  # with fewer rows all values may differ by chance
MAX_MEAN_LENGTH = 40  # characters; longer cells are sentences, not categories
# as `_plain_name` leaves them: S.No is sno, and level_0, of reset_index in pandas, is level0
_INDEX_NAMES = (
    *("", "id", "index", "idx", "uid", "uuid", "guid", "rowid", "rownames", "row", "rownum", "obs", "key"),
    *("rownumber", "rowno", "sno", "srno", "slno", "serialno", "level0"),
)
# X is what R makes of an empty name, instant is in UCI's bike sharing; but X may be a measurement, too
_COUNTER_NAMES = ("x", "no", "nr", "#", "n", "num", "number", "instant", "seq", "sequence", "counter")


class ColumnRole(NamedTuple):
    """A column, its role, and the values that decided the role, in words."""

    name: str
    role: str
    detail: str = ""

    @property
    def is_encoded(self) -> bool:
        """Whether the network reads the column."""
        return self.role in ENCODED


def infer_role(name: str, table: Table) -> ColumnRole:
    """Return the role of a column of a table.

    Raises:
        InputTypeError: for a few words in a column of numbers or dates.

    >>> infer_role("smoker", Table("t.csv", ("smoker",), (["yes", "no"],)))
    ColumnRole(name='smoker', role='yes/no', detail='no, yes')
    """
    cells = table.column(name)
    if name == table.index_name:
        return ColumnRole(name, IDENTIFIER, "the first column, which has no name and numbers or names the rows")
    if name in table.categories:  # a categorical dtype of a frame is the user's own statement
        return ColumnRole(name, CATEGORY, _count_words(cells))
    return _role_of_text(name, cells, table) if isinstance(cells, list) else _role_of_numbers(name, cells)


def _role_of_numbers(name: str, cells: np.ndarray) -> ColumnRole:
    if cells.dtype.kind == "M":
        return ColumnRole(name, DATE, f"{_span(cells[~np.isnat(cells)])}{_gaps(np.isnat(cells))}")
    if cells.dtype.kind == "b":
        return ColumnRole(name, BOOLEAN, "false, true")
    missing = np.isnan(cells) if cells.dtype.kind == "f" else np.zeros(len(cells), bool)
    present = cells[~missing]
    if not len(present):
        return ColumnRole(name, CONSTANT, "no values")
    # one row says nothing about a constant, and with missing cells the column still has two states
    if len(cells) > 1 and not missing.any() and (present == present[0]).all():
        return ColumnRole(name, CONSTANT, f"always {present[0]:g}")
    if _is_row_number(name, present, len(cells)):
        return ColumnRole(name, IDENTIFIER, "a different number in every row")
    return ColumnRole(name, NUMBER, f"{present.min():g} to {present.max():g}{_gaps(missing)}")


def _is_row_number(name: str, present: np.ndarray, m: int) -> bool:
    """Whether a column with the name of an identifier has a different whole number in every row."""
    if m < MIN_ROWS or len(present) < m or not is_identifier_name(name):
        return False
    return bool((present == np.floor(present)).all()) and len(np.unique(present)) == m


def counts_rows(name: str, cells: np.ndarray) -> bool:
    """Whether a column of numbers counts the rows from 0 or 1, under a name that measurements have too, such as X.

    >>> counts_rows("X", np.arange(1, 41)), counts_rows("X", np.arange(40) / 2), counts_rows("size", np.arange(40))
    (True, False, False)
    """
    if len(cells) < MIN_ROWS or _plain_name(name) not in _COUNTER_NAMES or cells[0] not in (0, 1):
        return False
    return bool((np.diff(cells) == 1).all())


def identifies_rows(name: str, table: Table) -> bool:
    """Whether a column of new rows has the name of an identifier and differs in every row, however few they are.

    >>> identifies_rows("id", Table("t.csv", ("id",), (["a", "b"],)))
    True
    """
    texts = as_text(table.column(name))
    return (name == table.index_name or is_identifier_name(name)) and len(set(texts)) == len(texts)


def is_identifier_name(name: str) -> bool:
    """Whether a name is that of an identifier, such as id, CustomerID or row number."""
    # pandas calls a column without a name Unnamed: 0
    if _plain_name(name) in _INDEX_NAMES or name.lower().replace(" ", "").startswith("unnamed:"):
        return True
    # PassengerId and userID, but not humid or paid
    return name.lower().endswith(("_id", " id", "-id", ".id")) or (name.endswith(("Id", "ID")) and len(name) > 2)


def _plain_name(name: str) -> str:
    return "".join(sign for sign in name.lower() if sign not in " -._")


def _role_of_text(name: str, cells: list[str], table: Table) -> ColumnRole:
    distinct = set(cells)
    words = distinct.difference(MISSING)
    if not words:
        return ColumnRole(name, CONSTANT, "no values")
    # the order of these tests decides: 0/1 text is a number before it is yes/no, and yes/no before a category
    numbers, is_text = parse_numbers(cells, table.number_format(name))
    n_text = int(is_text.sum())
    n_numbers = len(cells) - n_text - int(is_missing_number(cells).sum())
    if not n_text and n_numbers:
        return _role_of_numbers(name, numbers)
    if (is_odd := is_typing_error(cells, table.number_format(name))) is not None:
        raise InputTypeError(words_among_numbers(table, {name: is_odd}))
    if pair := boolean_words(words):
        return ColumnRole(name, BOOLEAN, ", ".join(pair) + _gaps(is_missing_number(cells)))
    if formats := date_formats(words):
        if has_two_orders(formats):
            # 01/02/2024 fits both orders, and a wrong guess would train on wrong dates without an error
            return ColumnRole(name, TEXT, "dates, but is the day or the month first?")
        is_gap = np.fromiter((cell.lower() in MISSING_DATES for cell in cells), bool, len(cells))
        # argmin of booleans: the first cell that is no gap
        return ColumnRole(name, DATE, f"such as {cells[int(np.argmin(is_gap))]}{_gaps(is_gap)}")
    if (is_odd := is_odd_cell(cells)) is not None:
        raise InputTypeError(words_among_numbers(table, {name: is_odd}))
    present = [cell for cell in cells if cell not in MISSING]
    if len(words) == 1 and len(present) == len(cells) > 1:
        return ColumnRole(name, CONSTANT, f"always {present[0]}")
    # an identifier has no spaces: different texts with spaces are free text
    if len(words) > MAX_DISTINCT and len(words) == len(present) > len(cells) / 2 and " " not in "".join(present):
        return ColumnRole(name, IDENTIFIER, "a different text in every row")
    is_prose = sum(map(len, present)) > MAX_MEAN_LENGTH * len(present)
    if len(words) > MAX_DISTINCT and (len(words) > len(present) / 2 or is_prose):
        return ColumnRole(name, TEXT, f"{len(words)} different texts in {len(present)} rows")
    return ColumnRole(name, CATEGORY, _count_words(cells))


def _odd_cells(name: str, table: Table) -> np.ndarray:
    cells = as_text(table.column(name))
    is_odd = is_typing_error(cells, table.number_format(name))
    is_odd = is_odd_cell(cells) if is_odd is None else is_odd
    return np.zeros(len(cells), bool) if is_odd is None else is_odd


def words_among_numbers(table: Table, columns: dict[str, np.ndarray]) -> str:
    """Return one error text for all columns of numbers or dates that contain text, {column: whether a cell is text}."""
    places, words, contents = [], [], set()
    for name, is_text in columns.items():
        rows, cells = np.flatnonzero(is_text), as_text(table.column(name))
        more = f" ({len(rows)} such cells)" if len(rows) > 1 else ""
        fitting = (
            cell for cell, odd in zip(cells, is_text, strict=True) if not odd and cell.lower() not in MISSING_DATES
        )
        example = next(fitting, "0")
        is_plain = parse_number(example) is not None
        beside = "" if is_plain else f", beside {example!r}"
        places.append(f"{cells[rows[0]]!r} in {table.place(name, int(rows[0]))}{beside}{more}")
        words += dict.fromkeys(cells[i] for i in rows)
        contents.add("plain" if is_plain else "date" if is_like_date(example) else "formatted")
    remedy = "turn text columns into numbers, or drop them" if "plain" in contents else "correct these cells"
    if gaps := [word for word in words if stands_for_nothing(word)][:MAX_PROBLEMS]:
        options = " ".join(f"--missing {word!r}" for word in gaps)
        remedy = f"{remedy}; for a missing value say {options} (missing={gaps} in Python)"
    # words in the first two rows of several columns, and numbers below: the header has more than one line
    is_header = len(columns) > 1 and all(not is_text[2:].any() for is_text in columns.values())
    if is_header and table.n_rows >= MIN_ROWS:
        remedy = "keep one line of names above the numbers"
    numbers, dates = "a number in every feature column", "a date in every column of dates"
    expects = numbers if "date" not in contents else dates if contents == {"date"} else f"{numbers}, and {dates}"
    return sentence(table.where, expects, "; ".join(places), remedy)


def _count_words(cells: Cells) -> str:
    texts = as_text(cells)
    words = sorted(set(texts).difference(MISSING))
    first = ", ".join(words[:3]) + (", …" if len(words) > 3 else "")
    missing = np.fromiter((cell in MISSING for cell in texts), bool, len(texts))
    return f"{len(words)} values: {first}{_gaps(missing)}"


def _gaps(missing: np.ndarray) -> str:
    return f", {int(missing.sum())} missing" if missing.any() else ""


def _span(dates: np.ndarray) -> str:
    return f"{dates.min()!s:.10} to {dates.max()!s:.10}" if len(dates) else "no values"


def assign_roles(
    table: Table,
    *,
    features: Sequence[str] = (),
    drop: Sequence[str] = (),
    keep: Sequence[str] = (),
    roles: Iterable[tuple[str, str]] = (),
) -> list[ColumnRole]:
    """Return the role of every column of a table that holds features only.

    Args:
        table: the table without target and weights.
        features, drop, keep, roles: as in `TableOptions`.

    Raises:
        InputError: for a name that the table does not have.
        InputTypeError: for words in columns of numbers; one error lists all these columns.
    """
    user_roles = dict(roles)
    check_names(table, [*features, *drop, *keep, *user_roles])
    result, problems = [], {}
    for name in table.names:
        if name in drop or (features and name not in features):
            result.append(ColumnRole(name, IGNORED, "left out by name"))
        elif name in user_roles:
            result.append(ColumnRole(name, user_roles[name], "as named"))
        else:
            try:
                inferred = infer_role(name, table)
            except InputTypeError:
                # collected, so that the user can correct all columns at once
                problems[name] = _odd_cells(name, table)
                continue
            is_named = name in keep or name in features
            result.append(_as_encoded(inferred, table) if is_named and inferred.role in LEFT_OUT else inferred)
    if problems:
        raise InputTypeError(words_among_numbers(table, problems))
    return result


def left_out_notes(roles: Iterable[ColumnRole], used: Container[str] = ()) -> tuple[str, ...]:
    """Return notes that name every column that the network does not read although the user did not say so.

    Args:
        roles: the roles of the columns.
        used: names that are read all the same: a constant among plain numbers may be one.

    >>> left_out_notes([ColumnRole("id", IDENTIFIER, "a different text in every row"), ColumnRole("a", NUMBER)])
    ('left out: id (identifier: a different text in every row)',)
    """
    reasons: dict[tuple[str, str], list[str]] = {}
    for name, role, detail in roles:
        if role in LEFT_OUT and name not in used:
            reasons.setdefault((role, detail), []).append(name)
    return tuple(f"left out: {', '.join(names)} ({role}: {detail})" for (role, detail), names in reasons.items())


def _as_encoded(column: ColumnRole, table: Table) -> ColumnRole:
    """Return a column that would be left out with a role that the network reads."""
    cells = table.column(column.name)
    is_text = isinstance(cells, list) and parse_numbers(cells, table.number_format(column.name))[1].any()
    return ColumnRole(column.name, CATEGORY if is_text else NUMBER, f"kept: {column.detail}")


def check_names(table: Table, names: Iterable[str]) -> None:
    """Raise unless the table has all these columns; the error lists all that are absent."""
    names = [*names]
    absent = list(dict.fromkeys(repr(name) for name in names if name not in table.names))
    if absent:
        expects, remedy = f"names of its columns {', '.join(table.names)}", "check the names of the columns"
        # the command line divides --drop "weight, kg" at its comma before the table is read
        divided = [name for name in table.names if "," in name and {*map(str.strip, name.split(","))} <= {*names}]
        if divided:
            remedy = f"write '\"{divided[0]}\"' for the column with a comma in its name, with both quotation marks"
        raise InputError(sentence(table.where, expects, ", ".join(absent), remedy))
