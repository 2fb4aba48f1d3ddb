"""`jaxmlp diagnose MODEL DATA`: find the problems of a network, and print a remedy for each."""

from collections.abc import Mapping

import click
import jax.numpy as jnp
import numpy as np
from jax import Array
from rich.table import Table

from jaxmlp.cli import run_folder
from jaxmlp.cli.evaluate import load_for
from jaxmlp.cli.loading import one_or_several
from jaxmlp.cli.output import columns_table, console, json_option, print_json
from jaxmlp.data.dataset import Dataset
from jaxmlp.data.streaming.file_rows import FileRows
from jaxmlp.evidence.diagnostics.diagnose import Diagnosis, diagnose
from jaxmlp.inference.matching import match_part
from jaxmlp.inference.model import Model, load_model
from jaxmlp.nn import costs
from jaxmlp.nn.objective import Objective
from jaxmlp.training.batches import target_rows
from jaxmlp.training.optimizers import OPTIMIZERS

SAMPLE_BLOCKS = 64  # of a stream, from all over the file; as many rows in each


@click.command("diagnose")
@click.argument("model")
@click.argument("data")
@click.option("--learning-rate", type=float, help="α of plain gradient descent [that of the run, if it used sgd].")
@click.option("--picture", metavar="FILE", help="Draw activations and gradients, layer by layer.")
@click.option("--target", metavar="COLUMN", multiple=True, help="Target column of a table [as in training].")
@json_option
def diagnose_command(
    model: str, data: str, learning_rate: float | None, picture: str | None, target: tuple[str, ...], as_json: bool
) -> int:
    """Find the problems of MODEL (a run folder or a model.h5) on the training part of DATA.

    Problems are dead, saturated and symmetric units, vanishing and exploding gradients, unscaled inputs, a learning
    rate above 2/λ_max, and more. For each it prints a number and a remedy. The exit status is 0 if there is no problem,
    else 1.
    """
    if picture:
        from jaxmlp.plots import check_picture

        check_picture(picture, model, data)  # before the work: an error after it would lose the diagnosis
    trained = load_model(model)
    dataset = load_for(model, trained, data, one_or_several(target))
    settings = run_folder.read_settings(model).get("options", {})
    if learning_rate is None:
        learning_rate = sgd_rate(settings)
    X, Y = columns(trained, dataset)
    # the penalty is part of the curvature that bounds α; dropout is judged by its rate, and draws no noise here
    rates = {name: settings.get(name) or None for name in ("l2", "dropout", "input_dropout")}
    objective = Objective(trained.cost, **rates)
    diagnosis = diagnose(trained.params, X, Y, trained.net, objective, learning_rate=learning_rate)
    if as_json:
        print_json({"model": model, "data": dataset.name, "learning_rate": learning_rate, **diagnosis.to_dict()})
    else:
        _print_diagnosis(diagnosis)
    if picture:
        from jaxmlp.plots import layers_picture, save

        save(layers_picture(diagnosis), picture)
    return 0 if diagnosis.healthy else 1


def sgd_rate(settings: Mapping[str, object]) -> float | None:
    """Return the learning rate of a run by plain gradient descent, the only optimizer that 2/λ_max bounds."""
    if settings.get("optimizer") != "sgd":
        return None
    rate = settings.get("learning_rate")
    return rate if isinstance(rate, float) and rate else OPTIMIZERS["sgd"].learning_rate


def columns(model: Model, data: Dataset) -> tuple[Array, Array]:
    """Return X and Y of the training part as the network takes them: preprocessed, one example per column.

    From a stream it takes a sample of rows, because all of them may be larger than memory.
    """
    dtype = model.params[0]["W"].dtype
    cost = costs.find(model.cost, model.net.activations[-1])
    rows, targets = match_part(data.train, model)
    if isinstance(rows, FileRows):
        blocks = list(rows.iter_blocks(SAMPLE_BLOCKS, SAMPLE_BLOCKS))
        targets = np.concatenate([targets[first : first + len(block)] for first, block in blocks])
        rows = np.concatenate([block for _, block in blocks])
    Y = target_rows(targets, model.task, model.target_preprocessing, model.net, cost, dtype)
    return jnp.asarray(model.preprocessing(rows, dtype)).T, jnp.asarray(Y).T


def _print_diagnosis(diagnosis: Diagnosis) -> None:
    out = console()
    if diagnosis.layers:
        out.print(signals_table(diagnosis))
    if diagnosis.stable_rate is not None:
        out.print(f"largest stable learning rate 2/λ_max: {diagnosis.stable_rate:.3g}")
    out.print(str(diagnosis), soft_wrap=True)


def signals_table(diagnosis: Diagnosis) -> Table:
    """Return a table with a row per layer: the forward signal, the gradient, and the fractions of inactive units.

    The JSON also holds the rank of W and the size of the update.
    """
    rows = (
        (
            str(row.layer),
            row.activation,
            f"{row.signal:.3g}",
            f"{row.dead:.0%}",
            f"{row.saturated:.0%}",
            f"{row.distinct}/{row.units}",
            f"{row.gradient:.1e}",
            "" if row.by_weight is None or row.by_slope is None else f"{row.by_weight:.2g}·{row.by_slope:.2g}",
        )
        for row in diagnosis.layers
    )
    headings = ("layer", "activation", "rms A", "dead", "flat", "distinct", "‖dZ‖", "‖W‖·g'")
    return columns_table("layers", headings, rows, text_columns=("activation",))
