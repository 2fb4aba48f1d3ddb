"""The first record of a text table: whether it is the header, the names in it, and the notes about that decision."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

from jaxmlp.data.readers.header import are_row_names, has_word_above_number, is_header, may_be_header
from jaxmlp.data.readers.text_encoding import trim
from jaxmlp.data.readers.text_records import open_text, read_records
from jaxmlp.data.readers.unique_cells import find_unique_label, find_unique_name
from jaxmlp.tabular.roles import is_identifier_name


class FirstRecord(NamedTuple):
    """The first record of a table, and where it stands.

    Attributes:
        path, encoding, separator: of the file.
        line: the number of its last line.
        cells: its cells.
        below: the records of the sample below it.
        n_unnamed: 1 if the first column has names of rows and no name of its own, as R writes it; else 0.
    """

    path: Path
    encoding: str
    separator: str
    line: int
    cells: list[str]
    below: list[list[str]]
    n_unnamed: int

    @classmethod
    def of(cls, path: Path, encoding: str, separator: str, line: int, sample: list[list[str]]) -> Self:
        """Return the first record of a sample."""
        first, *below = sample
        return cls(path, encoding, separator, line, first, below, int(_has_row_names(first, below)))

    def find_header(self, known_names: Sequence[str]) -> tuple[bool, int | None]:
        """Return whether it is the header, and the position of the cell that decided so because it is unique, or None.

        Args:
            known_names: the feature names of a model.
        """
        below = self._named_cells_below()
        if is_header(self.cells, below, known_names):
            return True, None
        position = find_unique_name(self.cells, below, known_names)
        return (True, position) if self._is_unique(position) else (False, None)

    def names(self) -> tuple[str, ...]:
        """Return the names of the columns, "" for that of the row names."""
        # a name with a line break is one line here
        return ("",) * self.n_unnamed + tuple(" ".join(trim(cell).split()) for cell in self.cells)

    def notes_of_header(self, unique: int | None) -> list[str]:
        """Return the note about a header that may be a row; none if a word above numbers makes it certain.

        Args:
            unique: the position of the cell that decided, or None.
        """
        if has_word_above_number(self.cells, self._named_cells_below()):
            return []
        names = self.names()[self.n_unnamed :]
        because = "" if unique is None else f", because {_unique_text(names[unique])}"
        remedy = "if it is an example, say --no-header (header=False in Python)"
        return [f"line {self.line} is the header ({', '.join(names[:5])}){because}: {remedy}"]

    def notes_of_row(self) -> list[str]:
        """Return the notes about a first record that is a row, above all if it may be the header after all."""
        notes = ["no header: the columns are named 0, 1, 2, ..."]
        label = find_unique_label(self.cells, self.below)
        label = label if self._is_unique(label) else None
        if label is not None or may_be_header(self.cells):
            although = "" if label is None else f", although {_unique_text(self.cells[label])}"
            remedy = "if it holds the names, say --header (header=True in Python)"
            notes.append(f"line {self.line} ({', '.join(self.cells[:5])}) counts as a row{although}: {remedy}")
        return notes

    def _named_cells_below(self) -> list[list[str]]:
        return [record[self.n_unnamed :] for record in self.below]

    def _is_unique(self, position: int | None) -> bool:
        """Whether a cell occurs nowhere else in its column, in the whole file and not only in the sample."""
        if position is None:
            return False
        column = position + self.n_unnamed
        with open_text(self.path, self.encoding) as file:
            lines = itertools.islice(file, self.line, None)
            return not any(
                len(record) > column and unquote(record[column]) == self.cells[position]
                for _, record in read_records(lines, self.separator)
            )


def unquote(cell: str) -> str:
    """Return a cell without the spaces and the single quotes around it."""
    cell = trim(cell)
    return cell[1:-1] if len(cell) > 1 and cell[0] == cell[-1] == "'" else cell


def _has_row_names(first: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether the first record has one cell less than all others, whose first cells name the rows."""
    # id,age above 1,21,19.5 is a header that lacks its last name
    is_longer = {len(record) for record in below} == {len(first) + 1} and not is_identifier_name(first[0])
    # 1,2,0, below a,b,y has a separator too many at the end of its lines, and no names of rows
    return is_longer and all(record[-1] for record in below) and are_row_names([record[0] for record in below])


def _unique_text(cell: str) -> str:
    return f"{cell!r} occurs nowhere else in its column"
