"""How a command finds its data and its model: from options to a data set, and whether it is the one of before."""

import dataclasses
from pathlib import Path
from typing import Any

from jaxmlp.data.dataset import Dataset
from jaxmlp.data.preprocessing import Preprocessing
from jaxmlp.data.sources import load
from jaxmlp.data.stream import MEMORY, stream
from jaxmlp.ensemble import Ensemble
from jaxmlp.errors import InputError, sentence
from jaxmlp.model import Model, load_model
from jaxmlp.model_file import MEMBERS

VALIDATION = 0.1  # held back where early stopping, a plateau or a sweep needs rows to watch


def loading_options(options: dict[str, Any]) -> dict[str, Any]:
    """Take the data options out of a command's options, as arguments of `open_data`; those not given are left out."""
    names = {"target": "target", "task": "task", "test_fraction": "test_fraction", "split_seed": "seed"}
    names["standardize"] = "standardize"
    given = {argument: options.pop(option) for option, argument in names.items()}
    given["memory"] = options.pop("memory", None)
    if options.pop("streamed", False):
        given["memory"] = given["memory"] or MEMORY
    elif given["memory"] is not None:
        raise InputError(sentence("--memory", "--stream", "none", "add it, or leave --memory out"))
    return {argument: value for argument, value in given.items() if value is not None}


def open_data(data: str, loading: dict[str, Any]) -> Dataset:
    """The data set of `loading_options`: in memory, or a stream where they have a memory for it."""
    if "memory" not in loading:
        return load(data, **loading)
    if "target" in loading:
        expects = "no --target, for HDF5 files have no columns to choose from"
        raise InputError(sentence("--stream", expects, "one", "leave it out"))
    return stream(data, **loading)


def as_trained(options: dict[str, Any], data: Dataset, output: Any = None) -> Dataset:
    """The data set as a training takes it: with a validation part, where one is asked for or anything watches it.

    Args:
      options: of the command.
      data: as it was read.
      output: the activation that was asked for. Its range is meant for the targets, which then stay as they are: an
        exponential gives counts or rates, a sigmoid shares; identity alone gives any number, and standardised ones.

    Raises:
      InputError: for a share that cannot be held back.
    """
    if output not in (None, "identity"):
        data = dataclasses.replace(data, target_preprocessing=Preprocessing())
    fraction = options["validation_fraction"]
    if fraction is not None and not 0 <= fraction < 1:
        remedy = f"write {VALIDATION:g}, say"
        raise InputError(sentence("--validation-fraction", "a share from 0 to below 1", fraction, remedy))
    if fraction is None:
        watched = options.get("patience") is not None or options["schedule"].startswith("plateau")
        fraction = VALIDATION if watched and data.validation is None else 0.0
    return data.hold_back(fraction, options.get("seed", 0)) if fraction else data


def open_model(path: str) -> tuple[Model, Model | Ensemble]:
    """The model in a file or a run folder, and who answers: the same, or the ensemble whose first member it is."""
    if not any(Path(path).glob(MEMBERS)):
        model = load_model(path)
        return model, model
    ensemble = Ensemble.load(path)
    return ensemble.members[0], ensemble
