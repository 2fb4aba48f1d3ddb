"""Detect how the text of a table is written: encoding, comment lines, separator, and whether there is a header.

    encoding     UTF-8, UTF-16 or UTF-32; any other bytes are read as Windows-1252
    comments     lines that begin with # or % above the first row are skipped; the last one may contain the column names
    separator    semicolon, tab, comma, pipe or blanks: what divides most rows into equally many cells
    header       see `header` and `unique_cells`

The rules read the first 200 records. A note reports what they decide, and `TableOptions` overrides it.
"""

import csv
import itertools
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jaxmlp.data.readers.header import (
    are_row_names,
    has_quoted_names,
    has_word_above_number,
    is_header,
    is_number,
    may_be_header,
)
from jaxmlp.data.readers.text_encoding import check_is_table, find_encoding, trim
from jaxmlp.data.readers.text_records import BLANKS, is_blank, open_text, read_records
from jaxmlp.data.readers.unique_cells import find_unique_label, find_unique_name
from jaxmlp.errors import InputError, sentence
from jaxmlp.tabular.options import TableOptions
from jaxmlp.tabular.roles import is_identifier_name

SAMPLE_RECORDS = 200
MAX_COLUMNS = 50_000  # finding the role of a column takes 0.1 ms
_SEPARATORS = (";", "\t", ",", "|", BLANKS)
_COMMENT = re.compile(r"\s*[#%]")  # NumPy and R write #, MATLAB and ARFF %
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)  # a first line that tells Excel the separator


class TextFormat(NamedTuple):
    """The format of a table in text.

    Attributes:
        encoding, separator: the encoding of the text, and what separates its columns.
        names: the column names in the header; None without a header.
        n_lines: the number of lines above the first row.
        n_columns: the number of cells that most rows have.
        notes: the decisions that are unusual, as texts for the user.
        sample: the first records, without the header.
    """

    encoding: str
    separator: str
    names: tuple[str, ...] | None
    n_lines: int
    n_columns: int
    notes: tuple[str, ...]
    sample: list[list[str]]


def find_format(path: Path, options: TableOptions, known_names: Sequence[str] = ()) -> TextFormat:
    """Detect the format of a table from its first records.

    Args:
        path: the path of the file.
        options: the options of the user, which are not detected.
        known_names: the feature names of a model; a first line that contains all of them is a header.

    Raises:
        InputError: an empty file, a header without rows, a file that is not text.
        UnicodeDecodeError: the first lines are not valid in the encoding.
    """
    encoding, notes = find_encoding(path, options.encoding)
    with open_text(path, encoding) as file:
        # more lines than records: comments, blank lines and line breaks in cells come on top
        lines = list(itertools.islice(file, 5 * SAMPLE_RECORDS))
    check_is_table(lines, path.name)
    declared, top = _declared_separator(lines)
    start = _find_start(lines, top)
    comments = [line for line in lines[top:start] if line.strip()]
    separator = options.separator or declared or _find_separator(lines[start:])
    if separator != options.separator and separator not in (",", ";", "\t"):
        notes.append("the columns are separated by " + ("blanks" if separator == BLANKS else repr(separator)))
    records = [(n, record) for n, record in read_records(lines[start:], separator, start) if not is_blank(record)]
    records = records[:SAMPLE_RECORDS] if len(records) > 1 else records
    if not records:
        # a first line such as "#a,b,c" and nothing below it is a header as well
        got = "only a header" if comments else "an empty file"
        raise InputError(sentence(path.name, "at least one row", got, "is it the right file?"))
    # without the first record: a header may have a name too few, or separators too many
    n_columns = Counter(len(record) for _, record in records[1:] or records).most_common(1)[0][0]
    if n_columns > MAX_COLUMNS:
        expects, remedy = f"at most {MAX_COLUMNS:,} columns", "give the rows as .npz or .h5"
        raise InputError(sentence(path.name, expects, f"{n_columns:,}", remedy))
    sample = [[_unquote(cell) for cell in record] for _, record in records]
    n_titles = 0 if options.header is False else _count_titles(sample, n_columns, known_names)
    if n_titles:
        records, sample = records[n_titles:], sample[n_titles:]
        notes.append(f"{n_titles} line{'s' * (n_titles > 1)} above the header")
    first, below = sample[0], sample[1:]
    # R writes the names of the rows in front of the columns, without a name of their own
    n_unnamed = int(options.header is not False and _has_row_names(first, below))
    cells_below = [record[n_unnamed:] for record in below]

    def is_unique(position: int | None) -> bool:
        return position is not None and not _occurs_below(
            path, encoding, separator, records[0][0], first[position], position + n_unnamed
        )

    comment_names, is_certain = _names_in_comment(comments[-1], separator, n_columns) if comments else (None, False)
    if n_comments := len(comments) - is_certain:
        notes.append(f"{n_comments} comment line{'s' * (n_comments > 1)} above the table")
    has_header, unique_name = options.header, None
    if has_header is None:
        texts = [lines[n - 1] for n, _ in records]
        has_header = is_header(first, cells_below, known_names) or has_quoted_names(texts, separator)
        if not has_header and not is_certain:
            unique_name = find_unique_name(first, cells_below, known_names)
            has_header = is_unique(unique_name)
        has_header = has_header and not is_certain
        # "# 12,7,3" above three columns is a remark: names are words
        has_words = comment_names and not any(is_number(name) for name in comment_names)
        if not has_header and comment_names and has_words and options.header is None:
            names = tuple(comment_names)
            source = (
                f"line {start} is the header" if is_certain else "the names of the columns are those of the comment"
            )
            notes.append(f"{source}: {', '.join(names[:5])}")
            return TextFormat(encoding, separator, names, start, n_columns, tuple(notes), sample)
    if has_header and not below:
        raise InputError(sentence(path.name, "at least one row", "only a header", "is it the right file?"))
    # a single line a,b,y is taken for names without rows, not for a row of text
    if not below and not any(is_number(cell) for cell in first) and options.header is None:
        raise InputError(sentence(path.name, "at least one row", "only a header", "is it the right file?"))
    if not has_header:
        if options.header is None and len(sample) > 1:
            notes.append("no header: the columns are named 0, 1, 2, ...")
            label = find_unique_label(first, below)
            label = label if is_unique(label) else None
            if label is not None or may_be_header(first):
                notes.append(_note_of_row(records[0][0], first, label))
        return TextFormat(encoding, separator, None, start, n_columns, tuple(notes), sample)
    names = tuple(" ".join(trim(cell).split()) for cell in first)  # a name with a line break is one line here
    # a word above numbers is certainly a name; any other header may be a row, and the user is told
    if options.header is None and not has_word_above_number(first, cells_below):
        notes.append(_note_of_header(records[0][0], names, unique_name))
    if n_unnamed:
        names = ("", *names)
        notes.append("the header has one name less than the lines have cells: the first cell is the name of the row")
    return TextFormat(encoding, separator, names, records[0][0], n_columns, tuple(notes), below)


def _has_row_names(first: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether the first record has one cell less than all others, whose first cells name the rows."""
    # id,age above 1,21,19.5 is a header that lacks its last name
    is_longer = {len(record) for record in below} == {len(first) + 1} and not is_identifier_name(first[0])
    # 1,2,0, below a,b,y has a separator too many at the end of its lines, and no names of rows
    return is_longer and all(record[-1] for record in below) and are_row_names([record[0] for record in below])


def _occurs_below(path: Path, encoding: str, separator: str, n_lines: int, cell: str, position: int) -> bool:
    """Whether a cell occurs in its column below the first lines: in the whole file, not only in its first records."""
    with open_text(path, encoding) as file:
        lines = itertools.islice(file, n_lines, None)
        return any(
            len(record) > position and _unquote(record[position]) == cell
            for _, record in read_records(lines, separator)
        )


def _note_of_header(line: int, names: Sequence[str], unique: int | None) -> str:
    """Return the note about a first line that may be a row, with the position of the cell that decided, if one did."""
    because = "" if unique is None else f", because {_unique_text(names, unique)}"
    remedy = "if it is an example, say --no-header (header=False in Python)"
    return f"line {line} is the header ({', '.join(names[:5])}){because}: {remedy}"


def _note_of_row(line: int, first: Sequence[str], unique: int | None) -> str:
    """Return the note about a first line that may be the header, with the position of the cell that says so, if any."""
    although = "" if unique is None else f", although {_unique_text(first, unique)}"
    remedy = "if it holds the names, say --header (header=True in Python)"
    return f"line {line} ({', '.join(first[:5])}) counts as a row{although}: {remedy}"


def _unique_text(first: Sequence[str], position: int) -> str:
    return f"{first[position]!r} occurs nowhere else in its column"


def _unquote(cell: str) -> str:
    """Return a cell without the spaces and the single quotes around it."""
    cell = trim(cell)
    return cell[1:-1] if len(cell) > 1 and cell[0] == cell[-1] == "'" else cell


def _find_separator(lines: Sequence[str]) -> str:
    """Return the separator that divides most of the first records into equally many cells, two or more.

    If two separators do equally well, the earlier in `_SEPARATORS` wins: in a file with semicolons a comma may be a
    decimal sign, but not the reverse.
    """
    # for a single column, in which none of them separates anything
    best = (0.0, ",")
    for separator in _SEPARATORS:
        try:
            records = [record for _, record in read_records(lines, separator) if not is_blank(record)][:SAMPLE_RECORDS]
        except csv.Error:
            continue
        count, n_equal = Counter(map(len, records)).most_common(1)[0] if records else (1, 0)
        if count < 2:
            continue
        # the header must have as many cells: a semicolon in every text of a column separates nothing
        score = n_equal / len(records) - (len(records[0]) != count) / 2
        # more than a rounding error: a tie stays with the earlier separator
        if score > best[0] + 1e-9:
            best = (score, separator)
    return best[1]


def _declared_separator(lines: Sequence[str]) -> tuple[str | None, int]:
    """Return the separator that a first line sep=; declares, and the number of lines up to it; else None and 0."""
    i = next((i for i, line in enumerate(lines) if line.strip()), 0)
    match = _SEPARATOR_LINE.fullmatch(lines[i].strip("\r\n ")) if lines else None
    return (match[1], i + 1) if match else (None, 0)


def _find_start(lines: Sequence[str], top: int) -> int:
    """Return the number of lines above the first record: blank lines and comments."""
    start = next((i for i in range(top, len(lines)) if lines[i].strip() and not _COMMENT.match(lines[i])), len(lines))
    if start < len(lines):
        return start
    # rows whose first cell is #ff8000 or #1 look like comments; but comments do not all have equally many cells
    rows = [i for i in range(top, len(lines)) if lines[i].strip()]
    counts = {len(record) for _, record in read_records([lines[i] for i in rows], _find_separator(lines[top:]))}
    return rows[0] if len(rows) > 1 and len(counts) == 1 and counts != {1} else start


def _count_titles(sample: Sequence[Sequence[str]], n_columns: int, known_names: Sequence[str]) -> int:
    """Return how many records above the header are title lines, as in an exported report: one cell at most."""

    def is_title(record: Sequence[str]) -> bool:
        # in two columns a title padded with an empty cell looks like a row with a missing value
        return n_columns > 1 and (len(record) == 1 or (n_columns > 2 and sum(map(bool, record)) < 2))

    n = next((i for i, record in enumerate(sample) if not is_title(record)), 0)
    # without a whole header below them, short records are rows with missing values
    is_complete = 0 < n < len(sample) - 1 and len(sample[n]) == n_columns
    first, below = sample[n], sample[n + 1 :]
    is_named = is_complete and (
        is_header(first, below, known_names) or find_unique_name(first, below, known_names) is not None
    )
    return n if is_named else 0


def _names_in_comment(line: str, separator: str, n_columns: int) -> tuple[list[str] | None, bool]:
    """Return the column names in a comment line, as NumPy's savetxt writes them, or None; and whether they are certain.

    They are certain in #,name,price and in % iron,% silica, where the sign is a part of the names.
    """
    record = next((record for _, record in read_records([line.strip()], separator)), [])
    is_certain = len(record) == n_columns > 1 and (
        record[0] in ("#", "%") or any(cell[:1] == record[0][:1] for cell in record[1:])
    )
    if not is_certain:
        # in "# a,b,y" the sign of the comment is not a part of the first name
        text = line.strip().lstrip("#%").strip()
        record = next((record for _, record in read_records([text], separator)), [])
    names = [" ".join(name.split()) for name in record]
    is_complete = len(names) == n_columns > 1 and len(set(names)) == n_columns and all(names)
    return (names, is_certain) if is_complete else (None, False)
