"""`jaxmlp sweep DATA`: train every combination of a grid, with seeds and folds, and show the leaderboard."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from jaxmlp.cli.loading import DATA_HELP, VALIDATION, loading_options, prepare_data
from jaxmlp.cli.options import FIND, Numbers, data_options
from jaxmlp.cli.output import columns_table, console, json_option, print_json
from jaxmlp.cli.table_output import check_table_output
from jaxmlp.cli.training_options import config_of, population_options
from jaxmlp.data.files import atomic_path
from jaxmlp.data.load import load
from jaxmlp.errors import InputError, WriteError, sentence
from jaxmlp.population.fit_many import Population, fit_many
from jaxmlp.population.grid import GRID_NUMBERS
from jaxmlp.training.early_stopping import MONITORS
from jaxmlp.training.fit import HIDDEN, network_for
from jaxmlp.training.progress import counting_bar


class GridValues(click.ParamType):
    """The name of an option and its values: "l2=0,0.1"."""

    name = "NAME=V,V,..."

    def convert(
        self, value: str | tuple[str, tuple[float, ...]], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, tuple[float, ...]]:
        """Return the name and the values."""
        if isinstance(value, tuple):
            return value
        name, _, values = value.partition("=")
        try:
            return name.strip().replace("-", "_"), tuple(float(part) for part in values.split(","))
        except ValueError:
            self.fail(f"expects a name and numbers as in learning_rate=0.001,0.01, got {value!r}", param, ctx)


@click.command("sweep", epilog=DATA_HELP)
@click.argument("data")
@click.option(
    "--grid",
    type=GridValues(),
    multiple=True,
    help=f"Values to try; repeat it for combinations: {', '.join(GRID_NUMBERS)}.",
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
@click.option("--folds", type=click.IntRange(2), help="Folds of a cross-validation on the training rows [none].")
@click.option(
    "--metric",
    type=click.Choice(MONITORS),
    help="Metric that ranks the settings [validation_cost, else cost].",
)
@population_options
@click.option("--out", metavar="CSV", help="Also write the leaderboard to this file.")
@data_options
@json_option
def sweep_command(
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
    """Train a network on DATA for every combination of the values of --grid, and rank the combinations.

    Each combination is trained with every seed and on every fold; the leaderboard shows the mean and the standard
    deviation. All runs share one compiled program. Without --folds a tenth of the training rows becomes the validation
    part, which ranks the settings.
    """
    if out is not None:
        check_table_output(out, data)  # before the work: an error after it would lose the leaderboard
    if options["learning_rate"] == FIND:
        remedy = "write --grid learning_rate=0.001,0.01, for example"
        raise InputError(sentence("--learning-rate of a sweep", "a number", FIND, remedy))
    if folds is not None and options["validation_fraction"]:
        raise InputError(sentence("--folds", "no --validation-fraction", "both", "leave one of them out"))
    dataset = load(data, **loading_options(options))
    has_no_ranking_rows = options["validation_fraction"] is None and folds is None and dataset.validation is None
    if has_no_ranking_rows and metric not in ("cost", "accuracy"):  # a test part that ranks would no longer be a test
        options["validation_fraction"] = VALIDATION
    dataset = prepare_data(options, dataset, options["output"])
    # each network once, also where --hidden repeats a value
    design = [options[name] for name in ("activation", "norm", "output")]
    nets = [network_for(dataset, hidden, *design) for hidden in dict.fromkeys(hiddens)]
    config = config_of(options, dataset, options["output"])
    with counting_bar("epochs of all runs") as bar:
        population = fit_many(
            nets, dataset, config, seeds=seeds, grid=_join_values(grid), folds=folds, metric=metric, progress=bar
        )
    if out is not None:
        _write_leaderboard(Path(out), population)
    if as_json:
        rows = [{**row._asdict(), "net": row.net.sizes} for row in population.leaderboard]
        strategies = [strategy._asdict() for strategy in population.strategies]
        answer = {"data": dataset.name, "metric": population.metric, "leaderboard": rows, "strategies": strategies}
        print_json(answer | {"out": out})
        return
    console(stderr=True).print(str(dataset), soft_wrap=True)
    console().print(leaderboard_table(population))
    for strategy in population.strategies:
        text = f"run as {strategy.name}, {strategy.size} per program ({strategy.reason})"
        console(stderr=True).print(text, soft_wrap=True)


def _join_values(grid: Iterable[tuple[str, tuple[float, ...]]]) -> dict[str, tuple[float, ...]]:
    """Return {name: values}, with the values of a name that has several --grid joined."""
    joined: dict[str, tuple[float, ...]] = {}
    for name, values in grid:
        joined[name] = (*joined.get(name, ()), *values)
    return joined


def _write_leaderboard(path: Path, population: Population) -> None:
    """Write the leaderboard as CSV, a row per setting."""
    names = list(population.leaderboard[0].numbers)
    try:
        with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["network", *names, population.metric, "spread", "accuracy", "runs", "diverged"])
            for row in population.leaderboard:
                values = (row.mean, row.spread, row.accuracy, row.runs, row.diverged)
                writer.writerow(["-".join(map(str, row.net.sizes)), *row.numbers.values(), *values])
    except WriteError as error:
        # the leaderboard is still printed: a full disk must not cost the results
        console(stderr=True).print(f"{path} not written: {error}", soft_wrap=True)


def leaderboard_table(population: Population) -> Table:
    """Return a table with a row per setting, the best first."""
    rows = (
        (
            "-".join(map(str, row.net.sizes)),
            *(f"{number:g}" for number in row.numbers.values()),
            f"{row.mean:.4f}",
            f"{row.spread:.4f}",
            "" if row.accuracy is None else f"{row.accuracy:.2%}",
            str(row.runs),
            str(row.diverged or ""),
        )
        for row in population.leaderboard
    )
    names = population.leaderboard[0].numbers
    headings = ("network", *names, "mean", "spread", "accuracy", "runs", "diverged")
    return columns_table(f"by {population.metric}", headings, rows, text_columns=("network",))
