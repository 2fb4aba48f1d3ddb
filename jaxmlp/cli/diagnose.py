"""`jaxmlp diagnose MODEL DATA`: what is unhealthy about a network, by name, with the cure."""

from typing import Any

import click
import jax.numpy as jnp
import numpy as np
from rich.table import Table

from jaxmlp.cli import run_folder
from jaxmlp.cli.evaluate import load_for, translate
from jaxmlp.cli.output import console, json_option, print_json
from jaxmlp.data.dataset import Dataset
from jaxmlp.data.file_rows import FileRows
from jaxmlp.evidence.health.diagnose import Diagnosis, diagnose
from jaxmlp.model import Model, load_model
from jaxmlp.nn import costs
from jaxmlp.nn.objective import Objective
from jaxmlp.training.batches import target_rows
from jaxmlp.training.optimizers import OPTIMIZERS

SAMPLE = 64  # stretches, and rows in each


@click.command("diagnose")
@click.argument("model")
@click.argument("data")
@click.option("--learning-rate", type=float, help="α of plain gradient descent [of the run, if it used sgd].")
@click.option("--picture", metavar="FILE", help="Draw activations and gradients, layer by layer.")
@click.option("--target", metavar="COLUMN", help="The target column of a .csv, by name or number [as in training].")
@json_option
def diagnose_command(
    model: str, data: str, learning_rate: float | None, picture: str | None, target: str | None, as_json: bool
) -> int:
    """Name what is unhealthy about MODEL (a run folder or a model.h5) on the training part of DATA.

    Dead, saturated and symmetric units, vanishing and exploding gradients, unscaled inputs, a learning rate beyond
    2/λ_max, and more, each with its number and its cure. Exit code 0 for a healthy network, 1 when something is found.
    """
    if picture:
        from jaxmlp.plots import check_picture

        check_picture(picture)  # before the work: a mistake in the name would cost the findings
    trained = load_model(model)
    dataset = load_for(model, trained, data, target)
    settings = run_folder.read_settings(model).get("options", {})
    if learning_rate is None:
        learning_rate = sgd_rate(settings)
    X, Y = columns(trained, dataset)
    objective = Objective(trained.cost, l2=settings.get("l2") or None)
    diagnosis = diagnose(trained.params, X, Y, trained.net, objective, learning_rate=learning_rate)
    if as_json:
        print_json({"model": model, "data": dataset.name, "learning_rate": learning_rate, **diagnosis.to_dict()})
    else:
        _print(diagnosis)
    if picture:
        _draw(picture, diagnosis)
    return 0 if diagnosis.healthy else 1


def sgd_rate(settings: dict[str, Any]) -> float | None:
    """The learning rate of a run by plain gradient descent: only there is 2/λ_max the bound."""
    if settings.get("optimizer") != "sgd":
        return None
    return settings.get("learning_rate") or OPTIMIZERS["sgd"].learning_rate


def columns(model: Model, data: Dataset) -> tuple[Any, Any]:
    """X and Y of the training part as the model saw them: scaled, one example per column.

    Of rows that stay in their file, a sample from all over.
    """
    dtype = model.params[0]["W"].dtype
    found = costs.find(model.cost, model.net.activations[-1])
    rows, ids = data.train
    if isinstance(rows, FileRows):
        pieces = list(rows.stretches(SAMPLE, SAMPLE))
        ids = np.concatenate([ids[first : first + len(piece)] for first, piece in pieces])
        rows = np.concatenate([piece for _, piece in pieces])
    targets = translate(ids, data, model)
    Y = target_rows(targets, model.task, model.target_preprocessing, model.net, found, dtype)
    return jnp.asarray(model.preprocessing(rows, dtype)).T, jnp.asarray(Y).T


def _draw(path: str, diagnosis: Diagnosis) -> None:
    from jaxmlp.plots import layers_picture, save

    save(layers_picture(diagnosis), path)


def _print(diagnosis: Diagnosis) -> None:
    out = console()
    if diagnosis.layers:
        out.print(layers_table(diagnosis))
    if diagnosis.stable_rate is not None:
        out.print(f"largest stable learning rate 2/λ_max: {diagnosis.stable_rate:.3g}")
    out.print(str(diagnosis), soft_wrap=True)


def layers_table(diagnosis: Diagnosis) -> Table:
    """A row per layer: the signal forward, the gradient backward, and the share of units that take no part.

    The rest (rank of W, size of the update) stands in the JSON.
    """
    drawn = Table(title="layers", title_justify="left", title_style="bold")
    for column in ("layer", "activation", "rms A", "dead", "flat", "distinct", "‖dZ‖", "‖W‖·g'"):
        drawn.add_column(column, justify="left" if column == "activation" else "right", no_wrap=True)
    for row in diagnosis.layers:
        drawn.add_row(
            str(row.layer),
            row.activation,
            f"{row.signal:.3g}",
            f"{row.dead:.0%}",
            f"{row.saturated:.0%}",
            f"{row.distinct}/{row.units}",
            f"{row.gradient:.1e}",
            "" if row.by_weight is None or row.by_slope is None else f"{row.by_weight:.2g}·{row.by_slope:.2g}",
        )
    return drawn
