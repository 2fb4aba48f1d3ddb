"""Detect how the text of a table is written: encoding, comment lines, separator, and whether there is a header.

    encoding     UTF-8, UTF-16 or UTF-32; any other bytes are read as Windows-1252
    comments     lines that begin with # or % above the first row are skipped; the last one may contain the column names
    separator    semicolon, tab, comma, pipe or blanks: what divides most rows into equally many cells
    header       see `first_record`, `header` and `unique_cells`

The rules read the first 200 records. A note reports what they decide, and `TableOptions` overrides it.
"""

import csv
import itertools
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jaxmlp.data.readers.first_record import FirstRecord, unquote
from jaxmlp.data.readers.header import has_quoted_names, is_header, is_number
from jaxmlp.data.readers.text_encoding import check_is_table, find_encoding
from jaxmlp.data.readers.text_records import BLANKS, is_blank, open_text, read_records
from jaxmlp.data.readers.unique_cells import find_unique_name
from jaxmlp.errors import InputError, sentence
from jaxmlp.tabular.options import TableOptions

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
    sample = [[unquote(cell) for cell in record] for _, record in records]
    n_titles = 0 if options.header is False else _count_titles(sample, n_columns, known_names)
    if n_titles:
        records, sample = records[n_titles:], sample[n_titles:]
        notes.append(f"{n_titles} line{'s' * (n_titles > 1)} above the header")
    first = FirstRecord.of(path, encoding, separator, records[0][0], sample)
    comment_names, is_certain = _names_in_comment(comments[-1], separator, n_columns) if comments else (None, False)
    if n_comments := len(comments) - is_certain:
        notes.append(f"{n_comments} comment line{'s' * (n_comments > 1)} above the table")
    detects = options.header is None
    has_header, unique_name = bool(options.header), None
    if detects and not is_certain:
        has_quotes = has_quoted_names([lines[n - 1] for n, _ in records], separator)
        has_header, unique_name = first.find_header(known_names) if not has_quotes else (True, None)
    # "# 12,7,3" above three columns is a remark: names are words
    if detects and not has_header and comment_names and not any(map(is_number, comment_names)):
        source = f"line {start} is the header" if is_certain else "the names of the columns are those of the comment"
        notes.append(f"{source}: {', '.join(comment_names[:5])}")
        return TextFormat(encoding, separator, tuple(comment_names), start, n_columns, tuple(notes), sample)
    # a single line a,b,y is taken for names without rows, not for a row of text
    if not first.below and (has_header or (detects and not any(map(is_number, first.cells)))):
        raise InputError(sentence(path.name, "at least one row", "only a header", "is it the right file?"))
    if not has_header:
        notes += first.notes_of_row() if detects and first.below else ()
        return TextFormat(encoding, separator, None, start, n_columns, tuple(notes), sample)
    notes += first.notes_of_header(unique_name) if detects else ()
    return TextFormat(encoding, separator, first.names(), first.line, n_columns, tuple(notes), first.below)


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
