"""`jaxmlp sweep DATA`: every combination of the numbers asked for, by seeds and folds, and their leaderboard."""

from collections.abc import Iterable
from typing import Any

import click
from rich.table import Table

from jaxmlp.cli.loading import loading_options
from jaxmlp.cli.options import BatchSize, Names, Numbers, data_options
from jaxmlp.cli.output import console, json_option, print_json
from jaxmlp.data.sources import load
from jaxmlp.nn.objective import Objective
from jaxmlp.training.fit import ACTIVATION, BATCH_SIZE, EPOCHS, HIDDEN, network_for
from jaxmlp.training.fit_many import Population, fit_many
from jaxmlp.training.leaderboard import Row
from jaxmlp.training.members import NUMBERS
from jaxmlp.training.optimizers import DEFAULT, OPTIMIZERS
from jaxmlp.training.stopping import FIGURES


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


@click.command(short_help="Train many networks at once and rank their settings.")
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
@click.option("--activation", type=Names(), default=ACTIVATION, show_default=True, help="Of the hidden layers.")
@click.option("--seeds", type=click.IntRange(1), default=1, show_default=True, help="Runs of each setting.")
@click.option("--folds", type=click.IntRange(2), help="Cross-validation on the training rows [none].")
@click.option("--metric", type=click.Choice(FIGURES), help="What ranks the settings [validation_cost, else cost].")
@click.option("--cost", help="[follows from the task].")
@click.option("--epochs", type=int, default=EPOCHS, show_default=True, help="Times through the rows.")
@click.option(
    "--batch-size", type=BatchSize(), default=str(BATCH_SIZE), show_default=True, help="Rows per step, or full."
)
@click.option("--optimizer", default=DEFAULT, show_default=True, help=f"One of {', '.join(OPTIMIZERS)}.")
@data_options
@json_option
def sweep(data: str, grid: Iterable[tuple[str, tuple[float, ...]]], as_json: bool, **options: Any) -> None:
    """Train a network on DATA for every combination of the values of --grid, and rank them.

    Each combination is trained with every seed and on every fold; the leaderboard shows the mean and the spread. All
    runs share one compiled program.
    """
    loading = loading_options(options)
    dataset = load(data, **loading)
    hiddens, activation = options.pop("hiddens"), options.pop("activation")
    nets = [network_for(dataset, hidden, activation) for hidden in dict.fromkeys(hiddens)]
    objective = Objective(options.pop("cost"))
    found = fit_many(nets, dataset, grid=dict(grid), objective=objective, **options)
    if as_json:
        print_json(_answer(dataset.name, found))
        return
    console(stderr=True).print(str(dataset), soft_wrap=True)
    console().print(_table(found))
    for how in found.strategies:
        console(stderr=True).print(f"run as {how.name}, {how.size} to a program ({how.reason})", soft_wrap=True)


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
