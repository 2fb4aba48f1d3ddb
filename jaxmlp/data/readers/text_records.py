"""Read the records of a text: each row as a list of cells."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from jaxmlp.data.limits import SMALL_TEXT_BYTES, BoundedStream, check_bytes, check_regular
from jaxmlp.data.readers.text_encoding import OPENERS
from jaxmlp.errors import InputError, sentence

BLANKS = " "  # stands for any number of spaces or tabs between two columns
# auto-mpg.data of UCI has blanks between columns and in its names: "chevrolet chevelle malibu" is one cell
# a cell in quotation marks ends at a blank: "Mazda RX4",21,6 is divided by commas
_WORDS = re.compile(r'"((?:[^"]|"")*)"(?=\s|$)|\S+')


def open_text(path: Path, encoding: str) -> io.TextIOBase:
    """Open a text file, which gzip, bzip2 or xz may have compressed; line breaks within cells stay as they are."""
    check_bytes(path, check_regular(path).st_size)
    unpacked = _open_unpacked(path)
    if unpacked is None:
        return open(path, encoding=encoding, newline="")
    return io.TextIOWrapper(unpacked, encoding=encoding, newline="")


def check_unpacked_size(path: Path) -> None:
    """Unpack a compressed text once: one that becomes too large is refused before the slow reading of its cells."""
    unpacked = _open_unpacked(path)
    if unpacked is not None:
        with unpacked:
            while unpacked.read(2**20):
                pass


def _open_unpacked(path: Path) -> io.BufferedReader | None:
    opener = OPENERS.get(path.suffix.lower())
    if opener is None:
        return None
    return io.BufferedReader(BoundedStream(opener(path, "rb"), path, SMALL_TEXT_BYTES), 2**16)


def read_records(lines: Iterable[str], separator: str, line: int = 0) -> Iterator[tuple[int, list[str]]]:
    """Yield each record with the number of its last line; spaces around its cells are removed.

    Args:
        lines: the lines of the text.
        separator: the separator of the cells.
        line: the number of lines that were read before.
    """
    if separator == BLANKS:
        for number, text in enumerate(lines, line + 1):
            cells = (match[1] if match[1] is not None else match[0] for match in _WORDS.finditer(text))
            yield number, list(cells)
        return
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    for record in reader:
        yield line + reader.line_num, record


def is_blank(record: Sequence[str]) -> bool:
    """Whether a record is an empty line, and not a row of empty cells."""
    return not record or (len(record) == 1 and not record[0].strip())  # csv gives [""] for a line of blanks


def checked_records(
    where: str, file: Iterable[str], separator: str, line: int, n_columns: int
) -> Iterator[tuple[int, list[str]]]:
    """Yield what `read_records` does, after a check of the quotation marks in records of several lines.

    A blank line has no cells, while "" is one. Without the check, a single mark at the beginning of a cell would join
    all lines up to the next mark into one cell.

    Args:
        where: the name of the file.
        file: the lines below the header.
        separator: the separator of the cells.
        line: the number of lines above.
        n_columns: the number of cells of a row.

    Raises:
        InputError: quotation marks that are not in pairs, or a cell that contains whole rows.
    """
    lines: list[str] = []

    def collect() -> Iterator[str]:
        for text in file:
            lines.append(text)
            yield text

    for last, record in read_records(collect(), separator, line):
        # a record of one line cannot contain another row, and blanks never join lines
        if len(lines) > 1 and separator != BLANKS and _holds_rows(lines, separator, n_columns):
            first = last - len(lines) + 1
            got = f"a mark in line {first} that is not closed before line {last}"
            remedy = f'close it in line {first}, or write "" for a mark within a cell'
            raise InputError(sentence(where, "quotation marks in pairs around a cell", got, remedy))
        is_empty = is_blank(record) and '"' not in "".join(lines)  # pandas writes "" where a single column has a gap
        lines.clear()
        yield last, [] if is_empty else record


def _holds_rows(lines: Sequence[str], separator: str, n_columns: int) -> bool:
    """Whether the lines of one record are likely several rows."""
    sign = re.escape(separator)
    text = re.sub(rf'"[ \t]+(?={sign}|[\r\n]|$)', '"', "".join(lines))  # spaces after a quoted cell are allowed
    try:
        list(csv.reader(text.splitlines(keepends=True), delimiter=separator, skipinitialspace=True, strict=True))
    except csv.Error:
        return True
    # the lines between the two marks: if each is a whole row, the cell has swallowed them
    inner = [len(record) for _, record in read_records(lines[1:-1], separator)]
    # in two columns every line of prose with one comma would be a whole row
    return len(inner) > 1 and n_columns > 2 and all(count == n_columns for count in inner)
