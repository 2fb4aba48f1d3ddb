"""`jaxmlp evaluate MODEL DATA`: how good a model is on data that it was not trained on."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

from jaxmlp.cli import run_folder
from jaxmlp.cli.loading import one_or_several, open_data, open_model, split_for_options, text_loading
from jaxmlp.cli.options import text_options
from jaxmlp.cli.output import console, facts_table, json_option, print_json
from jaxmlp.cli.overlap import overlap_note
from jaxmlp.data.dataset import Dataset, Part
from jaxmlp.data.load import has_known_columns, is_table
from jaxmlp.data.streaming.dataset import StreamedDataset
from jaxmlp.data.table_targets import Target, target_columns
from jaxmlp.data.toy import TOY_DATASETS
from jaxmlp.errors import InputError, sentence
from jaxmlp.inference.model import Model
from jaxmlp.metrics.definitions import METRICS
from jaxmlp.training.fingerprint import digest_of


@click.command("evaluate")
@click.argument("model")
@click.argument("data")
@click.option(
    "--part",
    type=click.Choice(["auto", "test", "validation", "train", "all"]),
    default="auto",
    show_default=True,
    help="Which rows to measure; auto takes the test part, or all rows if there is none.",
)
@click.option("--target", metavar="COLUMN", multiple=True, help="Target column of a table [as in training].")
@text_options
@click.option(
    "--metric",
    "metrics",
    metavar="NAME",
    multiple=True,
    help=f"Show only this metric, one of {', '.join(METRICS)}; may be repeated [all of the task].",
)
@json_option
def evaluate_command(
    model: str, data: str, part: str, target: tuple[str, ...], metrics: tuple[str, ...], as_json: bool, **options: Any
) -> None:
    """Measure MODEL on DATA, by default on its test part.

    MODEL is a run folder (of one network or of an ensemble) or a model.h5. The training data is split as in the
    training, even if it is a copy or has its columns in another order. Of other data the test part is measured, or all
    rows if it has none (of a stream with a validation part, the training rows). Columns and classes are matched by
    name, and pictures are resized to the size of the training images.
    """
    trained, predictor = open_model(model, data)
    dataset = load_for(model, trained, data, one_or_several(target), text_loading(options, model))
    for note in dataset.notes:
        console(stderr=True).print(f"note: {note}", soft_wrap=True)
    name, rows, weights = choose_part(dataset, part)
    values = predictor.evaluate(rows, metrics or None, weights)
    skips_overlap = part == "train" or isinstance(dataset, StreamedDataset)
    if not skips_overlap and (note := overlap_note(model, trained, dataset, rows)):
        console(stderr=True).print(f"note: {note}", soft_wrap=True)
    answer = {"model": model, "data": dataset.name, "part": name, "rows": len(rows.rows), **values}
    if as_json:
        print_json(answer)
        return
    percentages = {name: f"{values[name]:.2%}" for name in ("accuracy", "balanced_accuracy") if name in values}
    console().print(facts_table("evaluated", {**answer, **percentages}))


def load_for(
    model: str, trained: Model, data: str, target: Target = None, text: Mapping[str, Any] | None = None
) -> Dataset:
    """Return a data set for a model, with the columns in the model's order.

    The data of the training is split as in the training, so that the test part contains no row of the training part.
    It is known by its rows: a copy of the file is the same data.

    Args:
      model: the path of the model.
      trained: the model.
      data: name or path of the data.
      target: the target columns, those of the training if None.
      text: the options for reading a text table.

    Raises:
      InputError: if the training data has changed: training and test rows would mix.
    """
    settings = run_folder.read_settings(model)
    source = data if data in TOY_DATASETS else str(Path(data).resolve())
    is_same_source = settings.get("data") == source
    fixed: dict[str, Any] = {"standardize": False}  # the model brings its own preprocessing
    if trained.classes and trained.task in ("binary", "multiclass"):
        fixed["known_classes"] = trained.classes
    if has_known_columns(data):
        fixed["known_columns"] = trained.known_columns
    if "loading" in settings and (is_same_source or fixed.get("known_columns")):
        # read as in the training first: only the digest of the rows can tell whether it is the same data
        training = {**settings["loading"], **fixed}
        if not is_same_source and trained.target_names:  # a copy may have its columns in another order
            training["target"] = list(trained.target_names)
        dataset = _load_training_data(data, training, strict=is_same_source and target is None)
        if dataset is not None and _has_target(dataset, target, trained):
            if digest_of(dataset) == settings.get("fingerprint"):  # split as in training: its test part is unseen
                return _in_order(split_for_options(dataset, settings.get("options", {})), trained)
            if is_same_source:
                got, remedy = "changed ones", "put new rows into a separate file"
                raise InputError(sentence(f"{data!r}, the training data of {model},", "unchanged rows", got, remedy))
    # other data: no rows are held out
    loading: dict[str, Any] = {"test_fraction": 0, "target": target, **fixed}
    if data not in TOY_DATASETS:
        loading["task"] = trained.task
    if is_table(data):
        loading |= text or {}
        if target is None and trained.target_names:
            loading["target"] = list(trained.target_names)
    return _in_order(open_data(data, loading), trained)


def _load_training_data(data: str, loading: dict[str, Any], strict: bool) -> Dataset | None:
    """Return a data set, read as in the training; None if other data cannot be read that way."""
    try:
        return open_data(data, loading)
    except InputError:
        if strict:
            raise
        return None


def _has_target(data: Dataset, target: Target, model: Model) -> bool:
    """Whether the target that was asked for is that of the training."""
    if target is None or not data.roles:
        return target is None
    # evaluate matches several targets by name, in any order
    return {*target_columns(target, [role.name for role in data.roles], data.name)} == {*model.target_names}


def _in_order(data: Dataset, model: Model) -> Dataset:
    if model.feature_names and data.feature_names and data.feature_names != model.feature_names:
        return data.select(model.feature_names)
    return data


class MeasuredRows(NamedTuple):
    """The rows to measure: the name of the part, its rows, and their weights (None for equal ones)."""

    name: str
    part: Part
    weights: np.ndarray | None


def choose_part(data: Dataset, name: str) -> MeasuredRows:
    """Return the rows to measure: of a part by its name, of "all" parts, or, with "auto", of the test part or of all.

    Raises:
      InputError: when the data set has no such part.
    """
    parts = {part: rows for part in ("train", "validation", "test") if (rows := getattr(data, part))}
    if name == "auto":
        # several parts of rows in a file cannot be joined
        fallback = "train" if isinstance(data, StreamedDataset) and len(parts) > 1 else "all"
        name = "test" if data.test else fallback
    if name == "all" and len(parts) > 1:
        if isinstance(data, StreamedDataset):
            remedy = "measure them one after the other"
            raise InputError(sentence("--part of a streamed data set", "train or test", name, remedy))
        arrays = (np.concatenate(arrays) for arrays in zip(*parts.values(), strict=True))
        joined = dataclasses.replace(data, train=Part(*arrays)).train  # the data set adds its columns and classes
        return MeasuredRows(name, joined, _joined_weights(data, parts))
    key = "train" if name == "all" else name
    if key not in parts:
        raise InputError(sentence(f"--part of {data.name!r}", f"one of {', '.join(parts)}", name, "take one of these"))
    return MeasuredRows(name, parts[key], data.part_weights(key))


def _joined_weights(data: Dataset, parts: Mapping[str, Part]) -> np.ndarray | None:
    """Return the weights of the rows of all parts; rows without a weight count as 1."""
    if data.weights is None:
        return None
    weights = {name: data.part_weights(name) for name in parts}
    return np.concatenate([np.ones(len(parts[name].rows)) if w is None else w for name, w in weights.items()])
