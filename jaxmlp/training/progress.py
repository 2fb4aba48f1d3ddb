"""A bar over the epochs with rate and remaining time: in terminals and notebooks, and none where output is a file."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from jaxmlp.training.callbacks import ReportCallback
from jaxmlp.training.state import Report


@contextmanager
def progress_bar(total: int, heading: str = "") -> Iterator[ReportCallback]:
    """Yield a callback of `fit` that shows, on stderr or in the notebook, a bar with cost and validation accuracy.

    Args:
      total: epochs.
      heading: text printed above it with the first epoch, wherever stderr goes.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    out = _console()
    printed = not heading

    def print_heading() -> None:
        nonlocal printed
        if not printed:  # with the first epoch: an error that `fit` raises before it is the only line
            out.print(heading, soft_wrap=True)
            printed = True

    if not (out.is_terminal or out.is_jupyter):
        yield ReportCallback(lambda report: print_heading())
        return
    figures, rate = TextColumn("{task.fields[figures]}"), TextColumn("{task.fields[rate]}")
    columns = (TextColumn("epoch"), MofNCompleteColumn(), BarColumn(), figures, rate, TimeRemainingColumn())
    with Progress(*columns, console=out) as bar:
        task = bar.add_task("train", total=total, figures="", rate="")

        def show(report: Report) -> None:
            print_heading()
            speed = f"{report.epoch / report.seconds:.1f} epochs/s" if report.epoch and report.seconds else ""
            bar.update(task, completed=report.epoch, figures=_figures(report), rate=speed)

        yield ReportCallback(show)


@contextmanager
def counting_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Yield the `progress` of `fit_many`, (done, total) -> None: a bar on stderr or in the notebook.

    Args:
      what: the name of what is counted.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    out = _console()
    if not (out.is_terminal or out.is_jupyter):
        yield lambda done, total: None
        return
    columns = (TextColumn(what), MofNCompleteColumn(), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=out) as bar:
        task = bar.add_task(what, total=None)  # the first call of `fit_many` brings the total
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _console() -> Any:
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False)  # stdout is for the answer of a command


def _figures(report: Report) -> str:
    figures = f"cost {report.cost:.4f}"
    if report.validation_accuracy is not None:
        return f"{figures}, validation accuracy {report.validation_accuracy:.2%}"
    if report.validation_cost is not None:
        return f"{figures}, validation cost {report.validation_cost:.4f}"
    return figures
