"""How a command finds its data: from options to a data set, and whether it is the one of before."""

import hashlib
from typing import Any

import numpy as np

from jaxmlp.data.dataset import Dataset
from jaxmlp.data.sources import load
from jaxmlp.data.stream import MEMORY, StreamedDataset, stream
from jaxmlp.errors import InputError, sentence

VALIDATION = 0.1  # held back where early stopping needs rows to watch


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


def held_back(options: dict[str, Any], data: Dataset) -> Dataset:
    """The data set with a validation part, where one is asked for or early stopping needs it."""
    fraction = options["validation_fraction"]
    if isinstance(data, StreamedDataset):
        if fraction:
            remedy = "it watches its test part"
            raise InputError(sentence("--stream", "no --validation-fraction", fraction, remedy))
        return data
    if fraction is None:
        fraction = VALIDATION if options["patience"] is not None and data.validation is None else 0.0
    return data.hold_back(fraction, options["seed"]) if fraction else data


def fingerprint(data: Dataset) -> str:
    """A digest of all rows and targets: whether two data sets, and how they are split, are the same."""
    digest = hashlib.sha256()
    for part in (data.train, data.validation, data.test):
        for array in part or ():
            digest.update(f"{array.shape} {array.dtype}".encode())
            if isinstance(array, np.ndarray):  # rows that stay in their file count by their shape
                digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
