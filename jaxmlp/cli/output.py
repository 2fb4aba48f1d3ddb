"""What the commands print: tables and a progress bar for people on stderr or stdout, JSON for programs on stdout."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from jaxmlp.training.state import Report, TrainState

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")


def print_json(answer: Mapping[str, Any]) -> None:
    """One JSON object on stdout: NumPy's numbers and arrays as plain ones, null for what JSON has no number for."""
    click.echo(json.dumps(_plain(answer), ensure_ascii=False, allow_nan=False))


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


@contextmanager
def progress_bar(total: int, heading: str) -> Iterator[Callable[[TrainState, Report], None]]:
    """On stderr a heading and, in a terminal, a bar over the epochs with cost and validation accuracy."""
    out = console(stderr=True)

    def head(report: Report) -> None:
        if report.epoch == 1:  # not before: a mistake that training refuses is to be the only line
            out.print(heading, soft_wrap=True)

    if not out.is_terminal:
        yield lambda state, report: head(report)
        return
    figures, rate = TextColumn("{task.fields[figures]}"), TextColumn("{task.fields[rate]}")
    columns = (TextColumn("epoch"), MofNCompleteColumn(), BarColumn(), figures, rate, TimeRemainingColumn())
    with Progress(*columns, console=out) as bar:
        task = bar.add_task("train", total=total, figures="", rate="")

        def observe(state: TrainState, report: Report) -> None:
            head(report)
            speed = f"{report.epoch / report.seconds:.1f} epochs/s" if report.epoch and report.seconds else ""
            bar.update(task, completed=report.epoch, figures=_figures(report), rate=speed)

        yield observe


def _figures(report: Report) -> str:
    figures = f"cost {report.cost:.4f}"
    if report.validation_accuracy is not None:
        return f"{figures}, validation accuracy {report.validation_accuracy:.2%}"
    if report.validation_cost is not None:
        return f"{figures}, validation cost {report.validation_cost:.4f}"
    return figures
