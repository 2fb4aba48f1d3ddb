"""How a command opens its data and its model: from options to a data set, with the parts that the options ask for."""

import csv
import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

from jaxmlp.cli import run_folder
from jaxmlp.cli.options import Options
from jaxmlp.data.dataset import Dataset
from jaxmlp.data.image_folders import CLASS_FOLDERS
from jaxmlp.data.limits import as_path
from jaxmlp.data.load import TOY_DATASETS, load
from jaxmlp.data.preprocessing import Preprocessing
from jaxmlp.data.readers import READERS
from jaxmlp.data.streaming.dataset import DEFAULT_MEMORY, stream
from jaxmlp.errors import InputError, sentence
from jaxmlp.inference.model import Model, load_model
from jaxmlp.inference.model_file import FILE_NAME, MEMBERS
from jaxmlp.nn.activations import Activation
from jaxmlp.population.ensemble import Ensemble
from jaxmlp.tabular.roles import ROLES
from jaxmlp.training.presets import find

VALIDATION = 0.1  # fraction of the training rows, where early stopping, a plateau or a sweep needs a validation part

_FILES = ", ".join(reader.suffixes[0] for reader in READERS if reader.has_labels)
_FOLDERS = " or ".join(f"{reader.name} files" for reader in READERS if reader.read_folder)
_ROW_FILES = ", ".join(suffix for reader in READERS if reader.has_rows for suffix in reader.suffixes[:5])
_NAMED_FILES = " or ".join(reader.name for reader in READERS if reader.has_rows and reader.file_name)
DATA_HELP = (
    f"DATA is a name ({', '.join(TOY_DATASETS)}), or a path: {_FILES}, or a folder with {_FOLDERS}, or with "
    f"{CLASS_FOLDERS}."
)
FILE_HELP = f"FILE is one of: {_ROW_FILES}, an {_NAMED_FILES} file of images, or a folder of image files."
MODEL_SUFFIXES = (".h5", ".hdf5")

TEXT_OPTIONS = ("missing", "separator", "decimal", "thousands", "encoding", "header")
_ARGUMENTS = {  # option: argument of `load` and `stream`
    "target": "target",
    "task": "task",
    "test_fraction": "test_fraction",
    "split_seed": "seed",
    "standardize": "standardize",
    "memory": "memory",
    "image_size": "image_size",
    **{name: name for name in ("features", "drop", "keep", "roles", "weights", "numbers", *TEXT_OPTIONS)},
}
_OF_STREAM = ("known_classes", "task", "test_fraction", "seed", "standardize", "memory")


def loading_options(options: Options) -> dict[str, Any]:
    """Remove the data options from a command's options, and return those that are set, as arguments of `open_data`."""
    loading = {argument: options.pop(option, None) for option, argument in _ARGUMENTS.items()}
    loading["target"] = one_or_several(loading["target"] or ())
    for name in ("features", "drop", "keep"):
        loading[name] = [column for text in loading[name] or () for column in _columns_of(text)]
    loading["roles"] = dict(_role_of(text) for text in loading["roles"] or ())
    if options.pop("streamed", False):
        loading["memory"] = loading["memory"] or DEFAULT_MEMORY
    elif loading["memory"] is not None:
        raise InputError(sentence("--memory", "--stream", "none", "add it, or leave --memory out"))
    return {argument: value for argument, value in loading.items() if value is not None and value not in ((), [], {})}


def text_loading(options: Options, model: str) -> dict[str, Any]:
    """Return how the text of a new table is read: as the options say, else as the table of the training was."""
    # what was stated for the training table holds for the new one too; its header may differ, and is found anew
    loading = run_folder.read_settings(model).get("loading", {})
    inherited = {name: loading[name] for name in TEXT_OPTIONS if name in loading and name != "header"}
    chosen = {name: options[name] for name in TEXT_OPTIONS if options.get(name) not in (None, ())}
    return inherited | chosen


def one_or_several(target: Sequence[str]) -> str | list[str] | None:
    """Return one target as it is, several as a list, and None for none."""
    return list(target) if len(target) > 1 else next(iter(target), None)


def _columns_of(text: str) -> list[str]:
    """Return the names in "a,b"; a name that holds a comma itself is written in quotes, as in the file."""
    return [name.strip() for name in next(csv.reader([text], skipinitialspace=True), [])]


def _role_of(text: str) -> tuple[str, str]:
    name, sign, role = text.rpartition("=")
    if not sign or role not in ROLES:
        expects = f"COLUMN=ROLE with a role among {', '.join(ROLES)}"
        raise InputError(sentence("--role", expects, repr(text), "write zip=category, for example"))
    return name, role


def open_data(data: str, loading: Mapping[str, Any]) -> Dataset:
    """Return the data set of `loading_options`: in memory, or a stream if they contain a memory for it."""
    if "memory" not in loading:
        return load(data, **loading)
    for name in loading:
        if name not in _OF_STREAM:
            flag = f"--{'role' if name == 'roles' else name.replace('_', '-')}"
            expects = f"no {flag}, because HDF5 files have no columns to choose from, and no pictures to resize"
            raise InputError(sentence("--stream", expects, flag, "leave it out"))
    return stream(data, **loading)


def prepare_data(options: Options, data: Dataset, output: str | Activation | None = None) -> Dataset:
    """Return the data set for a training, with a validation part if an option asks for one or monitors it.

    Args:
      options: of the command.
      data: as it was read.
      output: activation of the last layer, if one was chosen. Targets are then not standardized, because its range is
        meant for them: an exponential gives counts or rates, a sigmoid fractions. Only identity has no bounds.

    Raises:
      InputError: for a fraction that is not in [0, 1).
    """
    if output not in (None, "identity"):
        # an output such as sigmoid or exp has a range of its own, which standardized targets would leave
        data = dataclasses.replace(data, target_preprocessing=Preprocessing())
    preset = options.get("preset")
    if preset is not None and find(preset, data.task).bounded:
        data = data.bound_targets()
    fraction = options["validation_fraction"]
    if fraction is not None and not 0 <= fraction < 1:
        remedy = f"write {VALIDATION:g}, for example"
        raise InputError(sentence("--validation-fraction", "a fraction from 0 to below 1", fraction, remedy))
    return split_for_options(data, options)


def split_for_options(data: Dataset, options: Options) -> Dataset:
    """Return the data set, with a validation part if these options ask for one."""
    fraction = options.get("validation_fraction")
    if fraction is None:
        is_monitored = options.get("patience") is not None or str(options.get("schedule")).startswith("plateau")
        fraction = VALIDATION if is_monitored and data.validation is None else 0.0
    return data.split_validation(fraction, options.get("seed", 0)) if fraction else data


def open_model(path: str, data: str | None = None) -> tuple[Model, Model | Ensemble]:
    """Return the model of a file or run folder, and the predictor: the same model, or its ensemble.

    The model of an ensemble is its first member; all members have the same inputs, outputs and classes.

    Raises:
      InputError: as `load_model`, and if the command's second argument, `data`, is a run folder and `path` is none.
    """
    if data is not None and _is_run(data) and not _is_run(path) and as_path(path).suffix not in MODEL_SUFFIXES:
        raise InputError(sentence("MODEL", "a run folder or a model.h5", path, f"write the model first: {data} {path}"))
    if not any(as_path(path).glob(MEMBERS)):
        model = load_model(path)
        return model, model
    ensemble = Ensemble.load(path)
    return ensemble.members[0], ensemble


def _is_run(path: str) -> bool:
    return os.path.isfile(as_path(path) / FILE_NAME) or any(as_path(path).glob(MEMBERS))  # is_file may raise
