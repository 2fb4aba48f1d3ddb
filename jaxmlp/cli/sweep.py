"""`jaxmlp sweep DATA`: every combination of the numbers asked for, by seeds and folds, and their leaderboard."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from jaxmlp.cli.loading import VALIDATION, as_trained, loading_options
from jaxmlp.cli.options import FIND, Numbers, data_options
from jaxmlp.cli.output import console, json_option, print_json
from jaxmlp.cli.training_options import objective_of, population_options, shared_arguments
from jaxmlp.data.files import atomic_path, check_place
from jaxmlp.data.sources import load
from jaxmlp.errors import InputError, sentence
from jaxmlp.training.fit import HIDDEN, network_for
from jaxmlp.training.fit_many import Population, fit_many
from jaxmlp.training.leaderboard import Row
from jaxmlp.training.members import NUMBERS
from jaxmlp.training.progress import counting_bar
from jaxmlp.training.stopping import METRICS


class Values(click.ParamType):
    """A number's name and its values: "l2=0,0.1"."""

    name = "NAME=V,V,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, tuple[float, ...]]:
        """The name and the values."""
        if isinstance(value, tuple):
            return value
        name, _, values = value.partition("=")
        try:
            return name.strip().replace("-", "_"), tuple(float(part) for part in values.split(","))
        except ValueError:
            self.fail(f"expects a name and numbers as in learning_rate=0.001,0.01, got {value!r}", param, ctx)


@click.command()
@click.argument("data")
@click.option(
    "--grid",
    type=Values(),
    multiple=True,
    help=f"Values to try; repeat it for combinations: {', '.join(NUMBERS)}.",
)
@click.option(
    "--hidden",
    "hiddens",
    type=Numbers(),
    multiple=True,
    default=[",".join(map(str, HIDDEN))],
    show_default=True,
    help="Units per hidden layer; repeat it to compare networks.",
)
@click.option("--seeds", type=click.IntRange(1), default=1, show_default=True, help="Runs of each setting.")
@click.option("--folds", type=click.IntRange(2), help="Cross-validation on the training rows [none].")
@click.option(
    "--metric",
    type=click.Choice(METRICS),
    help="What ranks the settings [validation_cost, else cost].",
)
@population_options
@click.option("--out", metavar="CSV", help="Write the leaderboard to this file, too.")
@data_options
@json_option
def sweep(
    data: str,
    grid: Iterable[tuple[str, tuple[float, ...]]],
    hiddens: Iterable[tuple[int, ...]],
    seeds: int,
    folds: int | None,
    metric: str | None,
    out: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Train a network on DATA for every combination of the values of --grid, and rank them.

    Each combination is trained with every seed and on every fold; the leaderboard shows the mean and the spread. All
    runs share one compiled program. Without --folds a tenth of the training rows is held back to rank by.
    """
    if out is not None:
        check_place(Path(out))  # before the work: a mistake in the name would cost the findings
    if options["learning_rate"] == FIND:
        remedy = "write --grid learning_rate=0.001,0.01, say"
        raise InputError(sentence("--learning-rate of a sweep", "a number", FIND, remedy))
    if folds is not None and options["validation_fraction"]:
        raise InputError(sentence("--folds", "no --validation-fraction beside it", "both", "leave one of them out"))
    whole = load(data, **loading_options(options))
    unwatched = options["validation_fraction"] is None and folds is None and whole.validation is None
    if unwatched and metric not in ("cost", "accuracy"):  # the test part chooses nothing
        options["validation_fraction"] = VALIDATION
    dataset = as_trained(options, whole, options["output"])
    design = [options[name] for name in ("activation", "norm", "output")]
    nets = [network_for(dataset, hidden, *design) for hidden in dict.fromkeys(hiddens)]
    objective = objective_of(options, dataset.task, options["output"])
    arguments = shared_arguments(options, dataset)
    with counting_bar("epochs of all runs") as bar:
        found = fit_many(
            nets,
            dataset,
            seeds=seeds,
            grid=_joined(grid),
            folds=folds,
            metric=metric,
            objective=objective,
            progress=bar,
            **arguments,
        )
    if out is not None:
        _write(Path(out), found)
    if as_json:
        print_json(_answer(dataset.name, found) | {"out": out})
        return
    console(stderr=True).print(str(dataset), soft_wrap=True)
    console().print(_table(found))
    for how in found.strategies:
        console(stderr=True).print(f"run as {how.name}, {how.size} to a program ({how.reason})", soft_wrap=True)


def _joined(grid: Iterable[tuple[str, tuple[float, ...]]]) -> dict[str, tuple[float, ...]]:
    """The values of each name, from however many options."""
    found: dict[str, tuple[float, ...]] = {}
    for name, values in grid:
        found[name] = (*found.get(name, ()), *values)
    return found


def _write(path: Path, found: Population) -> None:
    """The leaderboard as CSV, a row for each setting, whole or not at all."""
    names = list(found.leaderboard[0].numbers)
    try:
        with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["network", *names, found.metric, "spread", "accuracy", "runs", "diverged"])
            for row in found.leaderboard:
                figures = (row.mean, row.spread, row.accuracy, row.runs, row.diverged)
                writer.writerow(["-".join(map(str, row.net.sizes)), *row.numbers.values(), *figures])
    except OSError as error:  # the findings are worth more than their file
        if isinstance(error, InputError):
            raise
        console(stderr=True).print(f"{path} not written: {error}", soft_wrap=True)


def _answer(name: str, found: Population) -> dict[str, Any]:
    rows = [{**row._asdict(), "net": row.net.sizes} for row in found.leaderboard]
    strategies = [how._asdict() for how in found.strategies]
    return {"data": name, "metric": found.metric, "leaderboard": rows, "strategies": strategies}


def _table(found: Population) -> Table:
    names = list(found.leaderboard[0].numbers)
    drawn = Table(title=f"by {found.metric}", title_justify="left", title_style="bold")
    for column in ("network", *names, "mean", "spread", "accuracy", "runs", "diverged"):
        drawn.add_column(column, justify="left" if column == "network" else "right")
    for row in found.leaderboard:
        drawn.add_row(*_cells(row))
    return drawn


def _cells(row: Row) -> list[str]:
    accuracy = "" if row.accuracy is None else f"{row.accuracy:.2%}"
    numbers = [f"{number:g}" for number in row.numbers.values()]
    figures = [f"{row.mean:.4f}", f"{row.spread:.4f}", accuracy, str(row.runs), str(row.diverged or "")]
    return ["-".join(map(str, row.net.sizes)), *numbers, *figures]
