"""Read a table in text: every row with its line number, every cell exactly as the file has it.

A table of numbers alone is read by pandas, which is fast. Any other table, with a gap or with text, is read record by
record. There a blank line is not a row, a row of empty cells is one, and a row of another length is an error. In a
single column "" is a row, and a blank line between rows is an error.
"""

import csv
import lzma
import mmap
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from jaxmlp.data.labels import preview
from jaxmlp.data.readers.number_formats import file_formats
from jaxmlp.data.readers.text_encoding import is_wide, trim
from jaxmlp.data.readers.text_format import TextFormat, find_format
from jaxmlp.data.readers.text_records import BLANKS, check_unpacked_size, checked_records, is_blank, open_text
from jaxmlp.errors import MAX_PROBLEMS, InputError, more_cells, sentence
from jaxmlp.tabular.cells import parse_number
from jaxmlp.tabular.columns import empty_missing_words
from jaxmlp.tabular.options import TableOptions
from jaxmlp.tabular.table import Cells, Table, check_distinct

# Excel on Western Windows writes it; in latin-1 its € (byte 0x80) would be a control character
FALLBACK_ENCODING = "cp1252"
# what the decompressors, csv and pandas raise for a damaged file
CSV_ERRORS = (csv.Error, zlib.error, lzma.LZMAError, EOFError, OSError, MemoryError, OverflowError, ValueError)
_BLOCK_LETTERS = 2**20
# 007 and -010, but not 0, 0.5 or 1007: a zero and a digit at the beginning of a cell. The cell may follow a byte order
# mark, or a separator that the user has given
_LEADING_ZERO = r"(?:^|[,;|\t \"\r\n\xbf%s])[-+]?0[0-9]"


def read_table(path: Path, options: TableOptions | None = None, known_names: Sequence[str] = ()) -> Table:
    """Read a table in text; a column of plain numbers may be an array, any other is a list of text.

    Args:
        path: the file, which gzip, bzip2 or xz may have compressed.
        options: the options of the user, which are not detected.
        known_names: the features of a model; see `find_format`.

    Raises:
        InputError: an empty file, rows of unequal length, repeated or missing names, numbers that can be read in two
            ways, pandas missing.
    """
    options = options or TableOptions()
    import_pandas()
    try:
        return _read_as(path, options, known_names)
    except (
        UnicodeError
    ):  # not only UnicodeDecodeError: by the version of Python, UTF-16 without its mark is another one
        if options.encoding is not None:
            got, remedy = f"bytes that are not {options.encoding}", "leave the encoding out, or name another"
            raise InputError(sentence(path.name, f"text in {options.encoding}", got, remedy)) from None
    import dataclasses

    try:
        table = _read_as(path, dataclasses.replace(options, encoding=FALLBACK_ENCODING), known_names)
    except UnicodeDecodeError:
        # cp1252 leaves five bytes undefined, such as 0x81: so even the fallback may fail
        got, remedy = "bytes that are neither", "save it as UTF-8, or name its encoding"
        raise InputError(sentence(path.name, "text in UTF-8 or Windows-1252", got, remedy)) from None
    note = "the text is not UTF-8: it is read as Windows-1252 (cp1252)"
    return table._replace(notes=(note, *table.notes))


def import_pandas() -> ModuleType:
    """Import pandas, or raise an error that says how to install it."""
    try:
        import pandas
    except ImportError:
        remedy = 'pip install "jaxmlp[all]"'
        raise InputError(sentence("reading a .csv file", "pandas", "an installation without it", remedy)) from None
    return pandas


def _read_as(path: Path, options: TableOptions, known_names: Sequence[str]) -> Table:
    try:
        check_unpacked_size(path)
        text_format = find_format(path, options, known_names)
        # the sample only chooses the way: `_read_numbers` looks at every cell, and returns None if one is no number
        if options.decimal in (None, ".") and not options.thousands and _holds_numbers(text_format):
            frame = _read_numbers(path, text_format)
            if frame is not None:
                # each row is one line: a cell with a line break is not a number, and a blank line is a gap
                return _make_table(path, text_format, frame, text_format.n_lines + 1 + np.arange(len(frame[0])))
        return _read_cells(path, text_format, options)
    except InputError:
        raise
    except UnicodeError:  # another encoding may fit
        raise
    except CSV_ERRORS as error:
        if "field limit" in str(error):
            expects, got = "cells of at most 131,072 characters", "a longer one"
            raise InputError(sentence(path.name, expects, got, "is a quotation mark not closed?")) from None
        got, remedy = repr(str(error)), "is the file complete, and a table in text?"
        raise InputError(sentence(path.name, "a table of rows of equal length", got, remedy)) from None


# --- numbers only -----------------------------------------------------------------------------------------------------


def _holds_numbers(text_format: TextFormat) -> bool:
    """Whether the first records consist of plain numbers."""
    cells = {cell for record in text_format.sample for cell in record}
    # nan, the missing value, does not equal itself
    return all((value := parse_number(cell)) is not None and value == value for cell in cells)


def _read_numbers(path: Path, text_format: TextFormat) -> list[np.ndarray] | None:
    """Read a table of finite numbers without gaps by pandas; return None for any other table."""
    pandas = import_pandas()
    if _has_leading_zeros(path, text_format):  # 007 may be a name, and would come back as 7
        return None
    try:
        with open_text(path, text_format.encoding) as file:
            for _ in range(text_format.n_lines):  # not by skiprows: pandas counts a header with line breaks as one line
                file.readline()
            frame = pandas.read_csv(
                file,
                sep=r"\s+" if text_format.separator == BLANKS else text_format.separator,
                header=None,  # given names, pandas would make an index of a surplus column
                skip_blank_lines=False,  # a blank line becomes nan, and so leads to `_read_cells`
                skipinitialspace=True,
                na_values=["?"],
                low_memory=False,  # one type for a whole column
                **_float_precision(pandas.__version__),
            )
    except (pandas.errors.ParserError, pandas.errors.EmptyDataError):  # unequal rows: `_read_cells` names their lines
        return None
    columns = [frame[name].to_numpy() for name in frame]
    # pandas makes objects of whole numbers beyond 64 bits, and nan of gaps: both are for `_read_cells`
    is_plain = all(c.dtype.kind in "iuf" and (c.dtype.kind != "f" or np.isfinite(c).all()) for c in columns)
    return columns if is_plain else None


def _float_precision(version: str) -> dict[str, str]:
    """Return the option for exact parsing; before 3.1 the default of pandas is sometimes off by one bit."""
    major, minor = version.split(".")[:2]
    return {} if (int(major), int(minor)) >= (3, 1) else {"float_precision": "round_trip"}


def _has_leading_zeros(path: Path, text_format: TextFormat) -> bool:
    encoding, separator = text_format.encoding, re.escape(text_format.separator)
    pattern = re.compile((_LEADING_ZERO % separator).encode("utf-8"))
    is_compressed = path.suffix.lower() in (".gz", ".bz2", ".xz")
    if is_compressed or is_wide(encoding):
        # latin-1 decodes any byte, and the pattern needs ASCII characters only
        with open_text(path, encoding if is_wide(encoding) else "latin-1") as file:
            # whole lines, so that no cell is cut in two, but many at once, because one by one takes 1.6 times as long
            blocks = iter(lambda: "".join(file.readlines(_BLOCK_LETTERS)), "")
            return any(pattern.search(block.encode("utf-8")) for block in blocks)
    # mmap refuses an empty file; `find_format` has refused it before
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return pattern.search(content) is not None


# --- any cells --------------------------------------------------------------------------------------------------------


def _read_cells(path: Path, text_format: TextFormat, options: TableOptions) -> Table:
    n = _count_columns(text_format)
    rows, lines, unequal, blank, notes = [], [], [], [], list(text_format.notes)
    n_trimmed = n_comments = 0
    with open_text(path, text_format.encoding) as file:
        for _ in range(text_format.n_lines):
            file.readline()
        before = text_format.n_lines
        for line, record in checked_records(path.name, file, text_format.separator, text_format.n_lines, n):
            # csv counts the last line of a record, but a record with line breaks in a cell begins earlier
            first_line, before = before + 1, line
            if not record or (n > 1 and is_blank(record)):  # "" in a single column is a missing value
                blank.append((first_line, len(rows)))
                continue
            # 1,2,0,, below a,b,y: a spreadsheet writes columns that were once used
            if len(record) > n and not any(cell.strip() for cell in record[n:]):
                record, n_trimmed = record[:n], n_trimmed + 1
            if len(record) != n:
                # "# second run" is a comment because it has another length; "#1,2,0" may be a row
                if record[0].lstrip().startswith("#"):
                    n_comments += 1
                else:
                    unequal.append((first_line, len(record)))
                continue
            rows.append(record)
            lines.append(first_line)
    if unequal:
        raise _unequal_rows(path.name, n, text_format, unequal)
    if not rows:
        raise InputError(sentence(path.name, "at least one row", "only a header", "is it the right file?"))
    if n == 1:
        notes += _check_blank_lines(path.name, blank, len(rows), text_format.names is not None)
    if n_trimmed:
        notes.append(f"{n_trimmed} rows end with a separator too many")
    if n_comments:
        notes.append(f"{n_comments} comment lines between the rows")
    columns = [_column_cells(cells) for cells in zip(*rows, strict=True)]
    return _make_table(path, text_format._replace(notes=tuple(notes)), columns, np.array(lines), options)


def _check_blank_lines(where: str, blank: list[tuple[int, int]], n_rows: int, has_header: bool) -> list[str]:
    """Raise for an empty line among the rows of a single column: it may be a row whose value is missing.

    Args:
        where: the name of the file.
        blank: the number of each empty line, and how many rows stand above it.
        n_rows: how many rows there are.
        has_header: whether a header stands above the rows.

    Returns:
        A note, if all rows are separated by equally many empty lines.

    Raises:
        InputError: any other empty line among the rows.
    """
    start = 0 if has_header else 1
    among = [(line, n_above) for line, n_above in blank if start <= n_above < n_rows]
    if not among:
        return []
    counts = Counter(n_above for _, n_above in among)
    if n_rows > 1 and len(counts) == n_rows - start and len({*counts.values()}) == 1:
        return ["empty lines separate all rows, and are not read as rows"]
    got, remedy = f"an empty line {among[0][0]}{more_cells(len(among))}", "write NA there, or delete the line"
    raise InputError(sentence(where, "a value in every line of its only column", got, remedy))


def _count_columns(text_format: TextFormat) -> int:
    """Return how many cells a row has: one for each name, unless a cell without a name has a value."""
    if text_format.names is None:
        return text_format.n_columns
    n = len(text_format.names)
    is_wider = any(cell for record in text_format.sample for cell in record[n:])
    return max(n, text_format.n_columns) if is_wider else n


def _unequal_rows(where: str, n: int, text_format: TextFormat, unequal: list[tuple[int, int]]) -> InputError:
    # these rows are as long as most: the header is wrong, and not the rows
    if text_format.names is not None and all(count == text_format.n_columns for _, count in unequal):
        got = f"{len(text_format.names)} names over {text_format.n_columns} columns"
        return InputError(sentence(where, "one name per column", got, "correct the header"))
    line, count = unequal[0]
    more = (
        ""
        if len(unequal) == 1
        else f"; {len(unequal)} such rows, lines {preview([i for i, _ in unequal], MAX_PROBLEMS)}"
    )
    remedy = "give every row the same number of cells"
    got = f"{count} cells instead of {n} in line {line}{more}"
    return InputError(sentence(where, "a table of rows of equal length", got, remedy))


def _column_cells(cells: Sequence[str]) -> list[str]:
    plain = {cell: trim(cell) for cell in set(cells)}
    words = [cell for cell in plain.values() if cell]
    # '<0' and 'no checking', as in tables made from ARFF files; marks in some cells only are a part of the text
    if words and all(len(cell) > 1 and cell[0] == cell[-1] == "'" for cell in words):
        plain = {cell: text[1:-1].strip() for cell, text in plain.items()}
    return [plain[cell] for cell in cells]


def _make_table(
    path: Path,
    text_format: TextFormat,
    columns: list[Any],
    lines: np.ndarray | None,
    options: TableOptions | None = None,
) -> Table:
    names, columns, notes = _column_names(text_format.names, columns, path.name, list(text_format.notes))
    # a name that is not in the header is the one that `_column_names` gave to the index
    index = names[0] if text_format.names is not None and names[0] not in text_format.names else None
    options = options or TableOptions()
    table = Table(
        where=path.name,
        names=names,
        columns=tuple(columns),
        lines=lines,
        has_names=text_format.names is not None,
        index_name=index,
    )
    # a word for a missing value must not hide the format of the numbers beside it
    texts = dict(zip(names, empty_missing_words(table, options).columns, strict=True))
    formats, more = file_formats(path.name, texts, text_format.separator, options)
    return table._replace(formats=formats, notes=(*notes, *more))


def _column_names(
    header: Sequence[str] | None, columns: list[Cells], where: str, notes: list[str]
) -> tuple[tuple[str, ...], list[Cells], list[str]]:
    """Return the names and cells of the columns, without empty columns that have no name, and the notes about them."""
    n = len(columns)
    if header is None:
        return tuple(map(str, range(n))), columns, notes
    if len(header) != n:
        got = f"{len(header)} names over {n} columns"
        raise InputError(sentence(where, "one name per column", got, "correct the header"))
    check_distinct([name for name in header if name], where)
    is_empty = [not name and isinstance(c, list) and not any(c) for name, c in zip(header, columns, strict=True)]
    if any(is_empty):
        notes = [*notes, f"{sum(is_empty)} columns without name and without values are left out"]
    used = [(name, c) for name, c, empty in zip(header, columns, is_empty, strict=True) if not empty]
    positions = [i + 1 for i, empty in enumerate(is_empty) if not empty]
    for (name, cells), position in zip(used, positions, strict=True):
        if not name and not (position == positions[0] and _is_index(cells)):
            expects, remedy = "a name for every column", "correct the header"
            raise InputError(sentence(where, expects, f"none for column {position}", remedy))
    if used and not used[0][0]:
        # its role will say why it is left out; the header may have a column of its own that is called index
        candidates = ("index", *(f"index_{i}" for i in range(len(header))))
        index_name = next(name for name in candidates if name not in header)
        used[0] = index_name, used[0][1]
    return tuple(name for name, _ in used), [cells for _, cells in used], notes


def _is_index(cells: Cells) -> bool:
    """Whether a column numbers or names the rows, as the index that pandas and R write."""
    # 0, 1, 2 or Mazda RX4, Datsun 710; a first column 0.5, 1.5 is no index, but its name was forgotten
    return len(set(cells if isinstance(cells, list) else cells.tolist())) == len(cells) and all(
        float(cell).is_integer() if not isinstance(cell, str) else (cell.isdecimal() or parse_number(cell) is None)
        for cell in cells
    )
