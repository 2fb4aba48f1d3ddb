"""`jaxmlp evaluate MODEL DATA`: how good a model is on data it was not trained on."""

from pathlib import Path
from typing import Any

import click
import numpy as np

from jaxmlp.cli import run_folder
from jaxmlp.cli.options import data_options
from jaxmlp.cli.output import console, json_option, print_json, table
from jaxmlp.cli.train import loading_options
from jaxmlp.data.dataset import Dataset, Part
from jaxmlp.data.sources import NAMES, load
from jaxmlp.errors import InputError, sentence
from jaxmlp.model import Model, load_model


@click.command(short_help="Measure a model on a data set.")
@click.argument("model")
@click.argument("data")
@click.option(
    "--part",
    type=click.Choice(["auto", "test", "validation", "train", "all"]),
    default="auto",
    show_default=True,
    help="Which rows; auto takes the test part, or all rows where there is none.",
)
@data_options
@json_option
def evaluate(model: str, data: str, part: str, as_json: bool, **options: Any) -> None:
    """Measure MODEL (a run folder or a model.h5) on DATA, by default on its test part.

    The data that the model was trained on is split again as it was then; any other table counts as a whole.
    """
    trained = load_model(model)
    dataset = load(data, **loading_like_training(model, data, trained, loading_options(options)))
    rows = choose_part(dataset, part)
    figures = trained.evaluate(Part(rows.rows, translate(rows.targets, dataset, trained)))
    kind = part if part != "auto" else "test" if dataset.test else "all"
    answer = {"model": model, "data": dataset.name, "part": kind, "rows": len(rows.rows), **figures}
    if as_json:
        print_json(answer)
        return
    shown = {**answer, **({"accuracy": f"{figures['accuracy']:.2%}"} if "accuracy" in figures else {})}
    console().print(table("evaluated", shown))


def loading_like_training(model: str, data: str, trained: Model, given: dict[str, Any]) -> dict[str, Any]:
    """How to load the data: as the run did, if it is the run's own data; else unsplit. What is given goes first."""
    settings = run_folder.read_settings(model)
    source = data if data in NAMES else str(Path(data).resolve())
    if settings.get("data") == source:
        return {**settings["loading"], "standardize": False, **given}
    base: dict[str, Any] = {"test_fraction": 0, "standardize": False}
    if data not in NAMES:
        base["task"] = trained.task
    if Path(data).suffix.lower() == ".csv" and trained.target_names:
        base["target"] = trained.target_names[0]
    return {**base, **given}


def choose_part(data: Dataset, part: str) -> Part:
    """The rows to measure on.

    Raises:
      InputError: when the data set has no such part.
    """
    parts = {name: found for name in ("train", "validation", "test") if (found := getattr(data, name))}
    if part == "auto":
        return parts.get("test") or data.train
    if part == "all":
        return Part(*(np.concatenate(arrays) for arrays in zip(*parts.values(), strict=True)))
    if part not in parts:
        raise InputError(sentence(f"--part of {data.name!r}", f"one of {', '.join(parts)}", part, "take one of these"))
    return parts[part]


def translate(targets: np.ndarray, data: Dataset, model: Model) -> np.ndarray:
    """Class ids of the data set as class ids of the model, by their labels.

    Raises:
      InputError: when the task differs, or for a class that the model does not know.
    """
    if data.task != model.task:
        remedy = "give --task, or the data that the model was made for"
        raise InputError(sentence("the model", f"{model.task} data", f"{data.task} data", remedy))
    if data.task not in ("binary", "multiclass") or data.classes == model.classes:
        return targets
    known = {str(label): i for i, label in enumerate(model.classes)}
    for label in data.classes:
        if str(label) not in known:
            expects = f"the classes {', '.join(known)}"
            raise InputError(sentence("the model", expects, repr(label), "is this the data it was made for?"))
    return np.array([known[str(label)] for label in data.classes])[targets]
