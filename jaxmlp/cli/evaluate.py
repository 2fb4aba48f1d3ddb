"""`jaxmlp evaluate MODEL DATA`: how good a model is on data it was not trained on."""

from pathlib import Path
from typing import Any

import click
import numpy as np

from jaxmlp.cli import run_folder
from jaxmlp.cli.loading import open_data, open_model
from jaxmlp.cli.output import console, json_option, print_json, table
from jaxmlp.data.dataset import Dataset, Part
from jaxmlp.data.sources import NAMES
from jaxmlp.data.stream import StreamedDataset
from jaxmlp.errors import InputError, sentence
from jaxmlp.model import Model
from jaxmlp.training.fingerprint import digest_of
from jaxmlp.training.scores import SCORES


@click.command()
@click.argument("model")
@click.argument("data")
@click.option(
    "--part",
    type=click.Choice(["auto", "test", "validation", "train", "all"]),
    default="auto",
    show_default=True,
    help="Which rows; auto takes the test part, or all rows where there is none.",
)
@click.option("--target", metavar="COLUMN", help="The target column of a .csv, by name or number [as in training].")
@click.option(
    "--metric",
    "metrics",
    metavar="NAME",
    multiple=True,
    help=f"Show this one, and others by repeating: {', '.join(SCORES)} [all of the task].",
)
@json_option
def evaluate(model: str, data: str, part: str, target: str | None, metrics: tuple[str, ...], as_json: bool) -> None:
    """Measure MODEL (a run folder, also of an ensemble, or a model.h5) on DATA, by default on its test part.

    The data that the model was trained on is split again as it was then; any other table counts as a whole. Columns
    and classes are found by their names.
    """
    trained, who = open_model(model)
    dataset = load_for(model, trained, data, target)
    rows = choose_part(dataset, part)
    figures = who.evaluate(Part(rows.rows, translate(rows.targets, dataset, trained)), metrics or None)
    kind = part if part != "auto" else "test" if dataset.test else "all"
    answer = {"model": model, "data": dataset.name, "part": kind, "rows": len(rows.rows), **figures}
    if as_json:
        print_json(answer)
        return
    shares = {name: f"{figures[name]:.2%}" for name in ("accuracy", "balanced_accuracy") if name in figures}
    console().print(table("evaluated", {**answer, **shares}))


def load_for(model: str, trained: Model, data: str, target: str | None = None) -> Dataset:
    """A data set for a model: its own data split as in training, other data whole; columns as the model has them.

    Raises:
      InputError: when the model's own data have changed since, so that the split no longer keeps rows apart.
    """
    settings = run_folder.read_settings(model)
    own = settings.get("data") == (data if data in NAMES else str(Path(data).resolve())) and target is None
    loading: dict[str, Any] = settings["loading"] if own else {"test_fraction": 0, "target": target}
    if not own and data not in NAMES:
        loading["task"] = trained.task
        if Path(data).suffix.lower() == ".csv" and target is None and trained.target_names:
            loading["target"] = trained.target_names[0]
    if trained.classes and trained.task in ("binary", "multiclass"):
        loading["known_classes"] = trained.classes
    dataset = open_data(data, {**loading, "standardize": False})
    if own and digest_of(dataset) != settings.get("fingerprint"):
        got, remedy = "other rows than in training", "copy the new rows to a file of their own"
        raise InputError(sentence(f"{data!r}, the data of {model},", "the rows of the training", got, remedy))
    if trained.feature_names and dataset.feature_names and dataset.feature_names != trained.feature_names:
        return dataset.select(trained.feature_names)
    return dataset


def choose_part(data: Dataset, part: str) -> Part:
    """The rows to measure on.

    Raises:
      InputError: when the data set has no such part.
    """
    parts = {name: found for name in ("train", "validation", "test") if (found := getattr(data, name))}
    if part == "auto":
        return parts.get("test") or data.train
    if part == "all" and len(parts) == 1:
        return data.train
    if part == "all" and isinstance(data, StreamedDataset):
        remedy = "measure them one after the other"
        raise InputError(sentence("--part of rows in a file", "train or test", part, remedy))
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
        remedy = "give the data that the model was made for"
        raise InputError(sentence("the model", f"{model.task} data", f"{data.task} data", remedy))
    if data.task not in ("binary", "multiclass") or data.classes == model.classes:
        return targets
    known = {str(label): i for i, label in enumerate(model.classes)}
    for label in data.classes:
        if str(label) not in known:
            expects = f"the classes {', '.join(known)}"
            raise InputError(sentence("the model", expects, repr(label), "is this the data it was made for?"))
    return np.array([known[str(label)] for label in data.classes])[targets]
