"""`--warm-start MODEL`: training goes on from a model, whose columns, classes and preprocessing the new data gets."""

import dataclasses
from typing import Any

from jaxmlp.cli.loading import one_or_several
from jaxmlp.cli.options import Options
from jaxmlp.data.dataset import Dataset
from jaxmlp.data.labels import preview
from jaxmlp.data.load import has_known_columns, is_table
from jaxmlp.data.streaming.dataset import StreamedDataset
from jaxmlp.data.toy import TOY_DATASETS
from jaxmlp.errors import InputError, sentence
from jaxmlp.inference.model import Model, load_model
from jaxmlp.inference.new_rows import check_new_rows

_REMEDY = "take a model of data like these"


def warm_start_model(options: Options) -> Model | None:
    """Return the model to start from, or None."""
    return None if options["warm_start"] is None else load_model(options["warm_start"])


def target_of_model(model: Model | None, source: str) -> dict[str, Any]:
    """Return the argument of `load` for the target of a model, by its name; {} where there is none."""
    if model is None or not model.target_names or source in TOY_DATASETS or not is_table(source):
        return {}
    return {"target": one_or_several(model.target_names)}


def loading_of_model(model: Model | None, source: str) -> dict[str, Any]:
    """Return the arguments of `load` for the columns or images and the classes of a model."""
    known: dict[str, Any] = {}
    if model is None or source in TOY_DATASETS:
        return known
    if model.task in ("binary", "multiclass"):
        known["known_classes"] = model.classes
    if has_known_columns(source):
        known["known_columns"] = model.known_columns
    return known


def use_preprocessing(model: Model, data: Dataset) -> Dataset:
    """Return the data with the preprocessing of the model, for which its parameters were trained.

    Raises:
      InputError: for other features, outputs or classes than those of the model, and images in memory of another unit.
    """
    sizes = ((data.n_features, data.n_outputs), (model.n_features, model.net.sizes[-1]))
    if sizes[0] != sizes[1]:
        needed, got = (f"{n} features and {k} outputs" for n, k in sizes)
        raise InputError(sentence("--warm-start", f"a model of {needed}", f"one of {got}", _REMEDY))
    if model.task != data.task or model.classes != data.classes:
        needed, got = (f"{of.task} data{_classes_text(of.classes)}" for of in (data, model))
        raise InputError(sentence("--warm-start", f"a model of {needed}", f"one of {got}", _REMEDY))
    if not isinstance(data, StreamedDataset):
        check_new_rows(data.train.rows, model)
    scales = {"preprocessing": model.preprocessing, "target_preprocessing": model.target_preprocessing}
    return dataclasses.replace(data, **scales)


def _classes_text(classes: tuple[object, ...]) -> str:
    return f" of the classes {preview(classes)}" if classes else ""
