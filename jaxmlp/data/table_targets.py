"""Read the target columns of a table as labels, and its column of weights."""

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxmlp.data.labels import are_flags, as_whole, preview
from jaxmlp.data.tasks import ALWAYS_CLASSES, guess_task
from jaxmlp.errors import InputError, InputTypeError, first_problems, more_cells, nearest_name, sentence, unknown
from jaxmlp.tabular.cells import (
    MISSING,
    MISSING_NUMBERS,
    NumberFormat,
    boolean_words,
    date_formats,
    number_formats,
    parse_numbers,
)
from jaxmlp.tabular.frame_cells import as_text
from jaxmlp.tabular.odd_cells import MAX_TYPING_ERRORS
from jaxmlp.tabular.roles import MIN_ROWS, check_names
from jaxmlp.tabular.table import Cells, Table

Target = str | int | Sequence[str | int] | None
_TARGET_NAMES = ("label", "target", "class", "y", "outcome", "species")
_BOOLEAN_OF_WORD = {"true": True, "false": False}


def check_infinite(table: Table, names: Sequence[str]) -> None:
    """Raise for infinite numbers in the columns of these names; one error lists all such columns."""
    problems = []
    for name in names:
        cells = table.column(name)
        x = parse_numbers(cells, table.number_format(name))[0] if isinstance(cells, list) else cells
        if x.dtype.kind == "f" and len(rows := np.flatnonzero(np.isinf(x))):
            problems.append(f"{x[rows[0]]} in {table.place(name, int(rows[0]))}{more_cells(len(rows))}")
    if problems:
        got = first_problems(problems)
        raise InputError(sentence(table.where, "finite numbers", got, "drop that line or correct the value"))


def target_columns(target: Target, names: Sequence[str], where: str, known: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the names of the target columns, among the names of all columns; `known` are those of a trained model.

    Raises:
        InputError: a name or number of no column, or a column that is named twice.
    """
    requested = target if isinstance(target, list | tuple) else [target]
    for name in requested:
        # the name of a column without a header is its position
        is_position = str(name).isdecimal() and int(str(name)) < len(names)
        if name in known and name not in names and not is_position and nearest_name(str(name), names) is None:
            expects, got = f"the target column {name!r} of the training", f"the columns {preview(names)}"
            remedy = "add it, or name another as the target; predict needs none"
            raise InputError(sentence(where, expects, got, remedy))
    chosen = tuple(_target_name(column, names, where) for column in requested)
    if len(set(chosen)) < len(chosen) or not chosen:
        got, remedy = ", ".join(chosen) or "none", "name each target once"
        raise InputError(sentence(f"the target of {where}", "distinct columns", got, remedy))
    return chosen


def _target_name(target: object, names: Sequence[str], where: str) -> str:
    if target is None:
        return names[-1]
    # names first: "2" may be the name of a column and not its number
    if isinstance(target, str) and target in names:
        return target
    try:
        # int(target) would accept 1.5 and True as 1
        position = int(target) if isinstance(target, str) else _whole_number(target)
    except (ValueError, TypeError):
        if isinstance(target, str) and "," in target and {name.strip() for name in target.split(",")} & {*names}:
            expects, remedy = "the name of one column", "give several as a list, or repeat --target"
            raise InputError(sentence(f"the target of {where}", expects, repr(target), remedy)) from None
        raise unknown(f"the target of {where}", target, names) from None
    if not -len(names) <= position < len(names):
        expects = f"a column number from {-len(names)} to {len(names) - 1}"
        raise InputError(sentence(f"the target of {where}", expects, position, f"the columns are {preview(names)}"))
    return names[position]


def _whole_number(target: Any) -> int:
    if isinstance(target, bool | np.bool):
        raise TypeError
    return operator.index(target)


def target_of_frame(target: Target, frame: Any) -> Target:
    """Return the target with the column names of a frame as text, because a `Table` names its columns by text.

    The names in a frame may be numbers, or tuples of several levels: then 2 is the column named 2, not the third one.

    >>> import pandas
    >>> target_of_frame(2, pandas.DataFrame([[5, 6, 7]], columns=[2, 0, 1])), target_of_frame(-1, {"a": [5]})
    ('2', -1)
    """
    labels = list(frame.columns) if hasattr(frame, "iloc") else []  # only pandas has names that are not text

    def as_text_name(name: object) -> Any:
        return str(name) if any(type(name) is type(label) and name == label for label in labels) else name

    if isinstance(target, list | tuple) and target not in labels:
        return [as_text_name(name) for name in target]
    return as_text_name(target)


def target_values(table: Table, names: Sequence[str], source: Table | None = None) -> np.ndarray:
    """Return labels (m,) of one column, or (m, k) numbers of several.

    Args:
        table: the table, in which the user's words for a missing value are empty cells.
        names: the target columns.
        source: the table with these words, for the error text.

    Raises:
        InputError: rows without a target, an infinite number.
        InputTypeError: text in one of several target columns, unless all of them are yes and no, or 0 and 1.
    """
    problems, remedies = [], []
    for name in names:
        cells = table.column(name)
        missing = np.flatnonzero(_is_missing_label(cells, table.number_format(name), len(names) > 1))
        if len(missing):
            row = int(missing[0])
            word = as_text((source or table).column(name))[row]
            label = f" ({word!r})" if word else ""
            problems.append(f"a missing value{label} in {table.place(name, row)}{more_cells(len(missing))}")
            remedies.append(_remedy_of_missing(word, as_text(cells)[row]))
    if problems:
        raise InputError(sentence(table.where, "a target in every row", first_problems(problems), remedies[0]))
    columns = [_labels_of(table, name) for name in names]
    if len(columns) == 1:
        return columns[0]
    flags = [_as_flags(values) for values in columns]
    if all(map(are_flags, flags)):
        return np.stack(flags, axis=1)
    # beside a price yes and no are refused as well: they would become numbers of a regression
    for name, values in zip([*names, *names], [*flags, *columns], strict=True):
        if values.dtype.kind == "U":
            word = next((word for word in values.tolist() if not boolean_words([word])), values[0])
            expects = "numbers in several target columns, or 0 and 1 or yes and no in all of them"
            got, remedy = f"{str(word)!r} in column {name!r}", "train one model per target, or write it as 0 and 1"
            raise InputTypeError(sentence(table.where, expects, got, remedy))
    return np.stack(columns, axis=1)


def _as_flags(labels: np.ndarray) -> np.ndarray:
    """Return labels of yes and no, or other words of `BOOLEANS`, as booleans, and any others as they are.

    >>> _as_flags(np.array(["yes", "No"])).tolist(), _as_flags(np.array(["cat", "dog"])).tolist()
    ([True, False], ['cat', 'dog'])
    """
    words = [label.lower() for label in labels.tolist()] if labels.dtype.kind == "U" else []
    pair = boolean_words(words)
    return np.array([word == pair[1] for word in words]) if pair else labels


def _remedy_of_missing(word: str, cell: str) -> str:
    """Return what to do about a target that is missing, by its word in the file and in the table that is read."""
    if not word:
        return "drop that line"
    if not cell:
        return f"drop that line, or leave {word!r} out of missing= (--missing) if it is a class"
    return f"drop that line, or write another word for {word!r} if it is a class"


def _is_missing_label(cells: Cells, form: NumberFormat, is_one_of_several: bool) -> np.ndarray:
    if isinstance(cells, np.ndarray):
        return np.isnat(cells) if cells.dtype.kind == "M" else np.isnan(cells.astype(np.float64))
    numbers, is_text = parse_numbers(cells, form)
    # among the classes AS and EU the text NA is a class; among numbers it is a gap
    is_number = not is_text.any() and not np.isnan(numbers).all()
    # beside yes and no it is a class too, but several targets have no third class
    is_flag = is_one_of_several and boolean_words(set(cells)) is not None
    gaps = MISSING_NUMBERS if is_number or is_flag else {*MISSING}
    return np.fromiter((cell.lower() in gaps for cell in cells), bool, len(cells))


def _labels_of(table: Table, name: str) -> np.ndarray:
    """Return the labels of a column as booleans, integers, floats or text."""
    cells = table.column(name)
    if isinstance(cells, np.ndarray):
        if cells.dtype.kind == "M":
            got, remedy = f"dates in column {name!r}", "turn them into numbers"
            raise InputTypeError(sentence(table.where, "classes or numbers as targets", got, remedy))
        return as_whole(cells)
    distinct = set(cells)
    # Python writes True, R and spreadsheets TRUE, JSON true
    if all(cell in ("True", "False", "TRUE", "FALSE", "true", "false") for cell in distinct):
        return np.array([_BOOLEAN_OF_WORD[cell.lower()] for cell in cells])
    form = table.number_format(name)
    numbers, is_text = parse_numbers(cells, form)
    _check_typing_errors(table, name, numbers, is_text)
    # 007 and 010 are names: a prediction of the number would be 7 and 10
    is_word = is_text.any() or np.isnan(numbers).all()  # no cell is a number: all are None, null or other words
    if is_word or any(_has_leading_zero(cell) for cell in distinct):
        return np.array(cells)
    if np.isinf(numbers).any():
        check_infinite(table, [name])
    # integers stay integers, because float64 is exact only below 2⁵³
    if all(cell.lstrip("+-").isdecimal() for cell in distinct):
        whole = [int(cell) for cell in cells]
        # numbers of more than 64 bits are names too: as float64 several of them would become one class
        return np.array(whole) if max(map(abs, whole)) < 2**63 else np.array(cells)
    numbers = as_whole(numbers)
    # a categorical target of 0.5 and 1.5: as floats it would be a regression
    return np.array(cells) if name in table.categories and numbers.dtype.kind == "f" else numbers


def _check_typing_errors(table: Table, name: str, numbers: np.ndarray, is_text: np.ndarray) -> None:
    """Raise for a few words in a target of numbers: they would make a class of every number.

    Raises:
        InputTypeError: at most `MAX_TYPING_ERRORS` different words among numbers that are not classes; or numbers
            such as 1,234 that can be read in two ways.
    """
    # 1,234 in every row is 1234 or 1.234, but not a class
    if is_text.all() and name not in table.categories and number_formats({*table.column(name)}):
        got, remedy = f"{table.column(name)[0]!r} in column {name!r}", "convert that column to numbers"
        raise InputTypeError(sentence(table.where, "a target that can be read in one way", got, remedy))
    # if half of the cells are words, they are no typing errors
    if name in table.categories or not 0 < is_text.sum() < len(is_text) / 2:
        return
    cells = table.column(name)
    words = {cells[row] for row in np.flatnonzero(is_text)}
    present = as_whole(numbers[~is_text])
    if len(words) <= MAX_TYPING_ERRORS and guess_task(present[np.isfinite(present)], False) == "regression":
        row = int(np.flatnonzero(is_text)[0])
        got = f"{cells[row]!r} in {table.place(name, row)}{more_cells(int(is_text.sum()))}"
        remedy = "correct these cells or drop their lines"
        raise InputTypeError(sentence(table.where, f"numbers in the target {name!r}", got, remedy))


def check_labels_repeat(table: Table, name: str, labels: np.ndarray) -> None:
    """Raise for a target of dates or of texts that are all different, because it has no classes to learn.

    Raises:
        InputError: the target is one of these.
    """
    distinct = {*labels.tolist()} if labels.dtype.kind == "U" and name not in table.categories else set()
    remedy = f"name the target column (--target {label_column([n for n in table.names if n != name])}, say)"
    # in fewer rows the classes may all differ by chance
    if len(distinct) == len(labels) >= MIN_ROWS:
        got = f"{len(labels)} different texts in the {len(labels)} rows of column {name!r}"
        raise InputError(sentence(table.where, "a target whose classes occur in several rows", got, remedy))
    # dates that repeat, as those of three surveys, may be classes
    if len(distinct) > max(ALWAYS_CLASSES, len(labels) // 2) and date_formats(distinct):
        got = f"dates in column {name!r}, such as {labels[0]}"
        raise InputError(sentence(table.where, "classes or numbers as targets", got, remedy))


def _has_leading_zero(cell: str) -> bool:
    digits = cell.lstrip("+-")
    return len(digits) > 1 and digits[0] == "0" and digits[1].isdecimal()


def weight_values(table: Table, name: str) -> np.ndarray:
    """Return the weights (m,) in a column.

    Raises:
        InputError: a gap, a text, or a number that is negative or infinite.
    """
    check_names(table, [name])
    cells = table.column(name)
    if isinstance(cells, list):
        values, is_text = parse_numbers(cells, table.number_format(name))
    else:
        values, is_text = cells.astype(np.float64), np.zeros(table.n_rows, bool)
    bad = np.flatnonzero(is_text | ~(np.isfinite(values) & (values >= 0)))
    if len(bad):
        got = f"{as_text(cells)[bad[0]]!r} in {table.place(name, int(bad[0]))}{more_cells(len(bad))}"
        raise InputError(sentence(table.where, "a weight of at least 0 in every row", got, "correct the weights"))
    return values


def label_column(names: Sequence[str]) -> str:
    """Suggest a target where the last column cannot be it: a column with a usual name such as "label", else the first.

    >>> label_column(["pixel0", "label", "pixel1"])
    'label'
    """
    return next((name for name in names if name.lower() in _TARGET_NAMES), names[0])


def last_column_notes(target: str, features: Sequence[str]) -> list[str]:
    """Return a note about a target that is the last column only because no target was named.

    >>> last_column_notes("pixel1", ["label", "pixel0"])
    ["the target is the last column, 'pixel1'; for 'label' say --target label (target= in Python)"]
    >>> last_column_notes("class", ["y", "pixel0"])
    []
    """
    # y beside x is a coordinate
    skipped = "y" if "x" in features else ""
    usual = next((name for name in features if name.lower() in _TARGET_NAMES and name != skipped), None)
    if usual is None or target.lower() in _TARGET_NAMES:
        return []
    return [f"the target is the last column, {target!r}; for {usual!r} say --target {usual} (target= in Python)"]


def spelling_notes(labels: np.ndarray) -> list[str]:
    """Return a note about labels that differ in capitals or blanks only, and are different classes nevertheless.

    >>> spelling_notes(np.array(["Cat", "cat", "dog"]))
    ["labels that differ in capitals or blanks only are different classes: 'Cat' and 'cat'"]
    """
    spellings: dict[str, list[str]] = {}
    for label in sorted({*labels.tolist()}) if labels.dtype.kind == "U" else []:
        spellings.setdefault("".join(label.casefold().split()), []).append(label)
    groups = [" and ".join(map(repr, group)) for group in spellings.values() if len(group) > 1]
    text = "labels that differ in capitals or blanks only are different classes"
    return [f"{text}: {preview(groups, 5)}"] if groups else []


def match_labels(labels: np.ndarray, classes: Sequence[object]) -> np.ndarray:
    """Return text labels spelled as the classes of a model, where they differ only in a final dot or in capitals.

    The test file of UCI's Adult has <=50K. for <=50K. Labels that are classes already are not changed.

    >>> match_labels(np.array(["<=50K.", ">50K."]), ["<=50K", ">50K"]).tolist()
    ['<=50K', '>50K']
    """
    if labels.dtype.kind != "U" or labels.ndim != 1 or not all(isinstance(label, str) for label in classes):
        return labels
    present = set(labels.tolist())
    if present <= set(classes):
        return labels
    plain = {str(label).casefold().rstrip(". "): str(label) for label in classes}
    matched = {label: plain.get(label.casefold().rstrip(". ")) for label in present}
    # classes such as a and A differ in capitals only: there the exact text must decide
    if len(plain) < len(classes) or None in matched.values():
        return labels
    return np.array([matched[label] for label in labels.tolist()])
