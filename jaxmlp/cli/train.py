"""`jaxmlp train DATA`: from a data source to a run folder."""

import hashlib
from pathlib import Path
from typing import Any

import click
import jax
import numpy as np

from jaxmlp.cli import run_folder
from jaxmlp.cli.ensemble import train_ensemble
from jaxmlp.cli.options import BatchSize, Names, Numbers, data_options
from jaxmlp.cli.output import console, json_option, print_json, progress_bar, table
from jaxmlp.data.dataset import Dataset
from jaxmlp.data.sources import NAMES, load
from jaxmlp.errors import InputError
from jaxmlp.model import Model
from jaxmlp.model_file import FILE_NAME
from jaxmlp.nn.activations import ACTIVATIONS
from jaxmlp.nn.costs import COSTS
from jaxmlp.nn.initializers import INITIALIZERS
from jaxmlp.nn.objective import Objective
from jaxmlp.training.fit import ACTIVATION, BATCH_SIZE, EPOCHS, HIDDEN, Result, fit, network_for
from jaxmlp.training.optimizers import DEFAULT, OPTIMIZERS, make_optimizer

_HIDDEN = ",".join(map(str, HIDDEN))


@click.command(short_help="Train a network on a data set and write a run folder.")
@click.argument("data")
@click.option("--hidden", type=Numbers(), default=_HIDDEN, show_default=True, help="Units per hidden layer, or none.")
@click.option(
    "--activation",
    type=Names(),
    default=ACTIVATION,
    show_default=True,
    help=f"Of all hidden layers, or one for each: {', '.join(ACTIVATIONS)}.",
)
@click.option("--cost", help=f"{', '.join(COSTS)}; with a number: huber(0.5) [follows from the task].")
@click.option("--init", "scheme", default="auto", show_default=True, help=f"Weights: auto, {', '.join(INITIALIZERS)}.")
@click.option("--epochs", type=int, default=EPOCHS, show_default=True, help="Times through the rows.")
@click.option(
    "--batch-size",
    type=BatchSize(),
    default=str(BATCH_SIZE),
    show_default=True,
    help="Rows per step, or full.",
)
@click.option("--learning-rate", type=float, help="α [the optimizer's own, 0.001 for adam].")
@click.option("--optimizer", default=DEFAULT, show_default=True, help=f"One of {', '.join(OPTIMIZERS)}.")
@click.option("--l2", type=float, help="λ of the penalty λ/2m Σ‖W‖² [none].")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Of the weights and of the order of the rows.",
)
@click.option("--ensemble", type=click.IntRange(2), help="How many networks, seeds from --seed on, answer together.")
@click.option("--out", metavar="RUN", help=f"The run folder to make [{run_folder.PARENT}/NAME].")
@data_options
@json_option
def train(data: str, out: str | None, as_json: bool, ensemble: int | None, **options: Any) -> None:
    """Train a network on DATA and write a run folder.

    DATA is a name (digits, planar, xor, moons, circles, spirals) or a path: .h5, .npz, .csv, or a folder with a pair of
    HDF5 files or with idx files. The folder gets model.h5, history.csv, run.json and pictures.
    """
    loading = loading_options(options)
    dataset = load(data, **loading)
    folder = run_folder.choose(out, dataset.name)
    net = network_for(dataset, options["hidden"], options["activation"])
    objective = Objective(options["cost"], l2=options["l2"] or None)
    source = data if data in NAMES else str(Path(data).resolve())
    if ensemble is not None:
        asked = {**options, "ensemble": ensemble}
        settings = {"data": source, "fingerprint": fingerprint(dataset), "loading": loading, "options": asked}
        train_ensemble(net, dataset, objective, folder, settings, as_json)
        return
    optimizer = make_optimizer(options["optimizer"], options["learning_rate"])
    heading = f"{dataset}\nnetwork {'-'.join(map(str, net.sizes))}, {net.n_parameters:,} parameters"
    with progress_bar(options["epochs"], heading) as observe:
        result = fit(
            net,
            dataset,
            optimizer=optimizer,
            objective=objective,
            epochs=options["epochs"],
            batch_size=options["batch_size"],
            key=jax.random.key(options["seed"]),
            scheme=options["scheme"],
            observers=[observe],
        )
    model = Model.of(net, result.params, dataset, objective)
    summary = summarize(dataset, model, result) | {"seed": options["seed"], "run": str(folder)}
    with run_folder.new_folder(folder) as temporary:
        model.save(temporary / FILE_NAME)
        run_folder.write_history(temporary, result.history)
        settings = {"data": source, "fingerprint": fingerprint(dataset), "loading": loading, "options": options}
        run_folder.write_settings(temporary, {**settings, "result": summary})
    pictures = _draw(folder, model, dataset, result)  # after the folder is whole: no picture is worth a model
    if as_json:
        print_json(summary)
    else:
        files = ", ".join([FILE_NAME, run_folder.HISTORY, run_folder.SETTINGS, *pictures])
        console().print(table("trained", _readable(summary) | {"run folder": str(folder), "files": files}))


def loading_options(options: dict[str, Any]) -> dict[str, Any]:
    """Take the data options out of a command's options, as arguments of `load`; those not given are left out."""
    names = {"target": "target", "task": "task", "test_fraction": "test_fraction", "split_seed": "seed"}
    names["standardize"] = "standardize"
    given = {argument: options.pop(option) for option, argument in names.items()}
    return {argument: value for argument, value in given.items() if value is not None}


def fingerprint(data: Dataset) -> str:
    """A digest of all rows and targets: whether two data sets, and how they are split, are the same."""
    digest = hashlib.sha256()
    for part in (data.train, data.validation, data.test):
        for array in part or ():
            digest.update(f"{array.shape} {array.dtype}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def summarize(data: Dataset, model: Model, result: Result) -> dict[str, Any]:
    """The figures of a finished run: cost and accuracy (R² for regression) of its training and its test part."""
    trained = model.evaluate(data.train)
    held_back = data.test or data.validation
    tested = model.evaluate(held_back) if held_back else {}
    last = result.history[-1]
    return {
        "data": data.name,
        "task": data.task,
        "sizes": model.net.sizes,
        "parameters": model.net.n_parameters,
        "cost": last.cost,
        "train_cost": trained["cost"],
        "test_cost": tested.get("cost"),
        "train_accuracy": trained.get("accuracy"),
        "test_accuracy": tested.get("accuracy"),
        "train_r2": trained.get("r2"),
        "test_r2": tested.get("r2"),
        "epochs": last.epoch,
        "seconds": last.seconds,
    }


def _readable(summary: dict[str, Any]) -> dict[str, Any]:
    shares = {
        f"{part} accuracy": f"{value:.2%}"
        for part in ("train", "test")
        if (value := summary[f"{part}_accuracy"]) is not None
    }
    return {
        "data": f"{summary['data']} ({summary['task']})",
        "network": f"{'-'.join(map(str, summary['sizes']))}, {summary['parameters']:,} parameters",
        "cost": summary["cost"],
        **shares,
        "train R²": summary["train_r2"],
        "test R²": summary["test_r2"],
        "epochs": summary["epochs"],
        "seconds": f"{summary['seconds']:.2f}",
    }


def _draw(folder: Path, model: Model, data: Dataset, result: Result) -> list[str]:
    """The pictures; without Matplotlib none, and a line that says so: a trained model is worth keeping all the same."""
    try:
        from jaxmlp.plots import draw_all
    except InputError as error:
        console(stderr=True).print(f"no pictures drawn: {error}", soft_wrap=True)
        return []
    return draw_all(folder, model, data, result.history)
