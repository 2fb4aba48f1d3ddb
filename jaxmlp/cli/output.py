"""What the commands print: tables for people, JSON for programs.

With --json stdout holds one JSON object and nothing else; whatever is for people then goes to stderr.
"""

import json
import math
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from jaxmlp.errors import CONTROL, printable

# json.dumps has escaped those of ASCII
_JSON_ESCAPES = {code: f"\\u{code:04x}" for code in CONTROL if code > 0x7E}
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")


def print_json(answer: Mapping[str, object]) -> None:
    """Print one JSON object on stdout, with null for numbers that JSON cannot write (NaN and infinity)."""
    click.echo(_escape(json.dumps(_to_json(answer), ensure_ascii=False, allow_nan=False)))


def _escape(text: str) -> str:
    """Return JSON in which the control characters that JSON allows are escaped as well."""
    return text if text.isprintable() else text.translate(_JSON_ESCAPES)


def print_error(line: str, as_json: bool) -> None:
    """Print an error as one line on stderr, and with --json as an object on stdout too."""
    click.echo(f"error: {printable(line)}", err=True)
    if as_json:
        print_json({"error": line})


def _to_json(value: object) -> object:
    if isinstance(value, np.ndarray | np.generic):
        # a scalar becomes a number of Python, an array nested lists, which json can write
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def facts_table(title: str, facts: Mapping[str, object]) -> Table:
    """Return a table of names and values; names without a value are left out."""
    table = Table(title=title, show_header=False, title_justify="left", title_style="bold")
    for name, value in facts.items():
        if value is not None:
            table.add_row(name, f"{value:.4g}" if isinstance(value, float) else printable(value))
    return table


def columns_table(
    title: str, headings: Sequence[str], rows: Iterable[Sequence[str]], *, text_columns: Container[str] = ("",)
) -> Table:
    """Return a table with one column per heading, numbers to the right and texts to the left."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for heading in headings:
        # in a narrow terminal long texts continue on the next line; numbers stay whole
        is_text = heading in text_columns
        table.add_column(heading, justify="left" if is_text else "right", no_wrap=not is_text, overflow="fold")
    for row in rows:
        table.add_row(*map(printable, row))
    return table


def console(*, stderr: bool = False) -> Console:
    """Return a console that prints brackets as they are ("speed [m]" is no markup) and does not colour numbers.

    Control characters in texts are escaped: they may be those of a file, and a terminal would obey them.
    """
    return _EscapingConsole(stderr=stderr, highlight=False, markup=False)


class _EscapingConsole(Console):
    def print(self, *objects: Any, **options: Any) -> None:
        """Print, with texts escaped."""
        super().print(*(printable(item) if isinstance(item, str) else item for item in objects), **options)

    def on_broken_pipe(self) -> None:
        """Raise what `main` expects when the reader of stdout has ended: Rich would end the process with status 1."""
        raise BrokenPipeError
