"""Tables in text, `.csv`: numeric features and one target column, which may be text.

The separator is the semicolon where the first line has one outside quotes, else the comma or tab that it has more of.
Numbers have decimal points; a decimal comma is refused, never guessed at. The first line is a header when some column
has a word in it and a number right below; without a header, columns are named by their numbers, "0", "1", ... A header
names every column: an index that pandas wrote is refused.
Empty cells, "?" and pandas' other signs (NA, nan, null, ...) are missing values, and refused. Errors count lines of the
file.

pandas is imported when a table is read; it is optional.
"""

import csv
import itertools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxmlp.data.labels import listed
from jaxmlp.data.layouts import Arrays
from jaxmlp.errors import InputError, InputTypeError, sentence, unknown

if TYPE_CHECKING:
    import pandas

_NO_WORDS = {"", "?", "na", "n/a", "null", "none", "-", "."}


class _Head(NamedTuple):
    """How to read the rest: its separator, the header's names if it has one, the lines before the first row."""

    separator: str
    names: tuple[str, ...] | None
    skip: int


def read(path: Path, target: str | int | None = None) -> Arrays:
    """Features and target of a table.

    Args:
        path: the file.
        target: the target column by name or by number, from 0 or, from the end, -1; None is the last column.

    Raises:
        InputError: no such target, a missing or infinite value, rows of unequal length, no UTF-8, pandas missing.
        InputTypeError: text in a feature column.
    """
    frame, separator = _frame(path)
    names = tuple(frame.columns)
    if len(names) < 2:
        remedy = "is the separator a comma, semicolon or tab?"
        raise InputError(sentence(path.name, "feature columns and a target", f"{len(names)} column", remedy))
    aim = names[_position(target, names, path.name)]
    features = tuple(name for name in names if name != aim)
    return Arrays(
        rows=_numbers(frame, features, path.name, separator),
        labels=_labels(frame, aim, path.name, separator),
        feature_names=features,
        target_names=(aim,),
    )


def read_rows(
    path: Path, n_features: int, feature_names: tuple[str, ...] = (), target_names: tuple[str, ...] = ()
) -> np.ndarray:
    """The feature columns of a table, (m, n_features), for prediction.

    Where the file has a header and the model has feature names, the columns are taken by name, in the model's order,
    and other columns are left alone. Otherwise they are counted: n_features columns are the features; of more, the
    target columns are dropped where they are known by name or number, and failing that a single extra column, the last.

    Raises:
        InputError: a feature column is missing, or the count does not fit.
    """
    frame, separator = _frame(path)
    names = tuple(frame.columns)
    if feature_names and _numbered(feature_names):
        frame.columns = names = tuple(str(i) for i in range(len(names)))
    elif feature_names and not _numbered(names):
        missing = [name for name in feature_names if name not in names]
        if missing:
            expects, got = f"the feature columns {listed(feature_names)}", listed(names)
            raise InputError(sentence(path.name, expects, got, f"add {listed(missing)}"))
        return _numbers(frame, feature_names, path.name, separator)
    without_targets = tuple(name for name in names if name not in target_names)
    for chosen in (names, without_targets, names[:-1]):
        if len(chosen) == n_features:
            return _numbers(frame, chosen, path.name, separator)
    remedy = "give the columns that the model was trained on"
    raise InputError(sentence(path.name, f"{n_features} feature columns", len(names), remedy))


def _numbered(names: tuple[str, ...]) -> bool:
    return all(name.isdigit() for name in names)


def _frame(path: Path) -> "tuple[pandas.DataFrame, str]":
    """The table and its separator: columns by name, the line numbers of the file as index, blank lines dropped."""
    pandas = _pandas()
    try:
        head = _head(path)
        frame = pandas.read_csv(
            path,
            sep=head.separator,
            header=None,  # given names would turn a surplus column into the index
            skiprows=head.skip,
            skip_blank_lines=False,  # a blank line counts, so that errors name the right one
            skipinitialspace=True,
            na_values=["?"],
            low_memory=False,  # one type for the whole of a column
            encoding="utf-8-sig",
            **_exact(pandas.__version__),
        )
    except UnicodeDecodeError:
        got = "bytes that are not UTF-8"
        raise InputError(sentence(path.name, "text in UTF-8", got, "save it as UTF-8")) from None
    except (pandas.errors.ParserError, pandas.errors.EmptyDataError, csv.Error) as error:
        got = str(error).strip().splitlines()[-1].removeprefix("Error tokenizing data. C error: ")
        remedy = "give every row the same number of cells"
        raise InputError(sentence(path.name, "a table of rows of equal length", repr(got), remedy)) from None
    frame.index = frame.index + head.skip + 1
    frame.columns = _names(head, frame.shape[1], path.name)
    frame = frame.dropna(how="all")
    if "" in frame.columns:
        raise _nameless(frame, path.name)
    return frame, head.separator


def _nameless(frame: "pandas.DataFrame", where: str) -> InputError:
    """pandas writes its index, distinct whole numbers, as a first column without a name."""
    position = list(frame.columns).index("")
    values = _pandas().to_numeric(frame.iloc[:, position], errors="coerce")
    index = position == 0 and values.is_unique and bool((values % 1 == 0).all())
    remedy = "it looks like an index, write the file with index=False" if index else "mend the header"
    return InputError(sentence(where, "a name for every column", f"none for column {position + 1}", remedy))


def _exact(version: str) -> dict[str, str]:
    """The default number parser of pandas before 3.1 is off by a bit now and then; since then there is no other."""
    major, minor = version.split(".")[:2]
    return {} if (int(major), int(minor)) >= (3, 1) else {"float_precision": "round_trip"}


def _pandas() -> Any:
    try:
        import pandas
    except ImportError:
        remedy = 'pip install "jaxmlp[all]"'
        raise InputError(sentence("reading a .csv file", "pandas", "an installation without it", remedy)) from None
    return pandas


def _head(path: Path) -> _Head:
    with path.open(encoding="utf-8-sig", newline="") as file:
        first_line = next((line for line in file if line.strip()), "")
        separator = _separator(first_line)
        file.seek(0)
        reader = csv.reader(file, delimiter=separator, skipinitialspace=True)
        starts = ((before, row) for before, row in _located(reader) if any(cell.strip() for cell in row))
        records = list(itertools.islice(starts, 2))
    if not records:
        raise InputError(sentence(path.name, "at least one row", "an empty file", "is it the right file?"))
    first = [cell.strip() for cell in records[0][1]]
    if len(records) == 2 and _is_header(first, records[1][1]):
        return _Head(separator, tuple(first), records[1][0])
    if len(records) == 1 and not any(_is_number(cell) for cell in first):
        raise InputError(sentence(path.name, "at least one row", "a header alone", "is it the right file?"))
    return _Head(separator, None, records[0][0])


def _separator(line: str) -> str:
    bare = re.sub(r'"[^"]*"', "", line)
    return ";" if ";" in bare else max(",\t", key=bare.count)


def _located(reader: Any) -> Any:
    """Each record with the number of lines before it."""
    before = 0
    for row in reader:
        yield before, row
        before = reader.line_num


def _is_header(first: list[str], second: list[str]) -> bool:
    """age,job over 39,clerk: "age" is a word and 39 is a number. A sign for a missing value is no word."""
    pairs = zip(first, second, strict=False)
    return any(not _is_number(a) and a.lower() not in _NO_WORDS and _is_number(b) for a, b in pairs)


def _is_number(cell: str) -> bool:
    """Also with a decimal comma: whatever becomes of it, it is no word of a header."""
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


def _names(head: _Head, n: int, where: str) -> list[str]:
    if head.names is None:
        return [str(i) for i in range(n)]
    if len(head.names) != n:
        got = f"{len(head.names)} names over {n} columns"
        raise InputError(sentence(where, "one name per column", got, "mend the header"))
    doubled = sorted({name for name in head.names if name and head.names.count(name) > 1})
    if doubled:
        raise InputError(sentence(where, "distinct column names", f"{doubled[0]!r} twice", "rename one of them"))
    return list(head.names)


def _position(target: str | int | None, names: tuple[str, ...], where: str) -> int:
    if target is None:
        return len(names) - 1
    if target in names:
        return names.index(str(target))
    try:
        position = int(target)
    except ValueError:
        raise unknown(f"the target of {where}", target, names) from None
    if not -len(names) <= position < len(names):
        expects = f"a column number from {-len(names)} to {len(names) - 1}"
        raise InputError(sentence(f"the target of {where}", expects, position, f"the columns are {listed(names)}"))
    return position


def _numbers(frame: "pandas.DataFrame", names: tuple[str, ...], where: str, separator: str) -> np.ndarray:
    """The named columns as float64, (m, n); the first cell that is no finite number is an error."""
    columns = [_column(frame[name], name, where, separator) for name in names]
    return np.stack(columns, axis=1)


def _column(series: Any, name: str, where: str, separator: str) -> np.ndarray:
    values = _pandas().to_numeric(series, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    broken = ~np.isfinite(values)
    if not broken.any():
        return values
    row = int(np.flatnonzero(broken)[0])
    place = f"column {name!r}, line {series.index[row]}"
    if series.isna().iloc[row]:
        remedy = "drop that line or fill the value in"
        raise InputError(sentence(where, "a number in every feature column", f"a missing value in {place}", remedy))
    if np.isinf(values[row]):
        got = f"{values[row]} in {place}"
        raise InputError(sentence(where, "finite numbers", got, "drop that line or mend the value"))
    cell = str(series.iloc[row])
    got, remedy = f"{cell!r} in {place}", "turn text columns into numbers, or drop them"
    if _has_decimal_comma(cell):
        got, remedy = _with_separator(got, separator), _DECIMAL_POINTS
    raise InputTypeError(sentence(where, "a number in every feature column", got, remedy))


_DECIMAL_POINTS = "write numbers with decimal points, 1.5"


def _has_decimal_comma(cell: str) -> bool:
    return cell.count(",") == 1 and _is_number(cell)


def _with_separator(got: str, separator: str) -> str:
    return f"{got}, where {separator!r} separates the columns"


def _labels(frame: "pandas.DataFrame", name: str, where: str, separator: str) -> np.ndarray:
    series = frame[name]
    missing = np.flatnonzero(series.isna())
    if len(missing):
        got = f"a missing value in column {name!r}, line {series.index[missing[0]]}"
        raise InputError(sentence(where, "a target in every row", got, "drop that line"))
    values = series.to_numpy()
    if values.dtype.kind in "biuf":
        return values
    text = [str(value) for value in values]
    if all(_is_number(cell) for cell in text) and any(_has_decimal_comma(cell) for cell in text):
        row = next(i for i, cell in enumerate(text) if _has_decimal_comma(cell))
        got = _with_separator(f"{text[row]!r} in column {name!r}, line {series.index[row]}", separator)
        raise InputTypeError(sentence(where, "classes or numbers in the target column", got, _DECIMAL_POINTS))
    return np.array(text)
