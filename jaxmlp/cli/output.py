"""What the commands print: tables for people on stderr or stdout, JSON for programs on stdout."""

import json
import math
from collections.abc import Mapping
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")


def print_json(answer: Mapping[str, Any]) -> None:
    """One JSON object on stdout: NumPy's numbers and arrays as plain ones, null for what JSON has no number for."""
    click.echo(json.dumps(_plain(answer), ensure_ascii=False, allow_nan=False))


def print_mistake(line: str, as_json: bool) -> None:
    """What went wrong, in one line on stderr, and with --json as an object on stdout."""
    click.echo(f"error: {line}", err=True)
    if as_json:
        print_json({"error": line})


def _plain(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def table(title: str, rows: Mapping[str, Any]) -> Table:
    """A table of names and values; rows without a value are left out."""
    drawn = Table(title=title, show_header=False, title_justify="left", title_style="bold")
    for name, value in rows.items():
        if value is not None:
            drawn.add_row(name, value if isinstance(value, str) else _shown(value))
    return drawn


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def console(*, stderr: bool = False) -> Console:
    """Rich's console, that takes brackets for brackets and does not colour numbers."""
    return Console(stderr=stderr, highlight=False, markup=False)
