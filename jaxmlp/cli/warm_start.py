"""`--warm-start MODEL`: training goes on from a model, whose columns, classes and preprocessing the new data gets."""

import dataclasses
from typing import Any

from jaxmlp.cli.options import Options
from jaxmlp.data.dataset import Dataset
from jaxmlp.data.labels import preview
from jaxmlp.data.load import is_table
from jaxmlp.data.streaming.dataset import StreamedDataset
from jaxmlp.data.toy import TOY_DATASETS
from jaxmlp.errors import InputError, sentence
from jaxmlp.inference.model import Model, load_model
from jaxmlp.inference.new_rows import check_new_rows


def warm_start_model(options: Options) -> Model | None:
    """Return the model to start from, or None."""
    return None if options["warm_start"] is None else load_model(options["warm_start"])


def known_loading(model: Model | None, source: str) -> dict[str, Any]:
    """Return the arguments of `load` by which the data gets the columns and the classes of a model, by their names."""
    known: dict[str, Any] = {}
    if model is None or source in TOY_DATASETS:
        return known
    if model.task in ("binary", "multiclass"):
        known["known_classes"] = model.classes
    if is_table(source):
        known["known_columns"] = model.known_columns
    return known


def with_preprocessing_of(model: Model, data: Dataset) -> Dataset:
    """Return the data with the preprocessing of the model: its parameters fit no other scale.

    Raises:
      InputError: for other inputs, outputs or classes than those of the model, and images of another unit.
    """
    if (model.n_features, model.net.sizes[-1]) != (data.n_features, data.n_outputs):
        got = f"{model.n_features} and {model.net.sizes[-1]}"
        expects = f"a model of {data.n_features} features and {data.n_outputs} outputs"
        raise InputError(sentence("--warm-start", expects, got, "take a model of data like these"))
    if model.task != data.task or model.classes != data.classes:
        expects, got = (f"{of.task} data{_classes_text(of.classes)}" for of in (model, data))
        raise InputError(sentence("--warm-start", expects, got, "take a model of data like these"))
    if not isinstance(data, StreamedDataset):
        check_new_rows(data.train.rows, model)
    scales = {"preprocessing": model.preprocessing, "target_preprocessing": model.target_preprocessing}
    return dataclasses.replace(data, **scales)


def _classes_text(classes: tuple[object, ...]) -> str:
    return f" of the classes {preview(classes)}" if classes else ""
