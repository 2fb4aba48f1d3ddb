"""The file of a model: plain HDF5, readable with any HDF5 tool, numbers and names only.

/                        attributes format, format_version, jaxmlp_version, task, cost, row_dtype, image_shape
/network                 attributes sizes, hidden, output
/params/1 … /params/L    datasets W and b
/preprocessing, /target_preprocessing    datasets shift and scale, where there are any
/classes, /feature_names, /target_names  one entry per class or column, where there are any
"""

import os
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxmlp.data.files import atomic_path
from jaxmlp.data.preprocessing import Preprocessing
from jaxmlp.errors import InputError, InputTypeError, MissingFileError, sentence
from jaxmlp.nn.activations import ACTIVATIONS, Activation
from jaxmlp.nn.network import Network

FORMAT = "jaxmlp.model"
FORMAT_VERSION = 1
FILE_NAME = "model.h5"  # in a run folder

MEMBERS = "member-*.h5"  # the files of an ensemble, in a folder
_PREPROCESSINGS = ("preprocessing", "target_preprocessing")
_LISTS = ("classes", "feature_names", "target_names")


def member(folder: Path, number: int) -> Path:
    """The file of an ensemble's member, counted from 1.

    >>> member(Path("runs"), 1).as_posix()
    'runs/member-1.h5'
    """
    return folder / MEMBERS.replace("*", str(number))


# --- writing ----------------------------------------------------------------------------------------------------------


def write(path: str | os.PathLike[str], model: Any) -> None:
    """Write a `Model`; the file appears whole or not at all."""
    import h5py

    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update({"format": FORMAT, "format_version": FORMAT_VERSION, "jaxmlp_version": version("jaxmlp")})
        file.attrs.update({"task": model.task, "cost": model.cost, "row_dtype": model.row_dtype})
        if model.image_shape:
            file.attrs["image_shape"] = model.image_shape
        *hidden, output = (g.name for g in model.net.activations)
        network = file.create_group("network").attrs
        network.update({"sizes": model.net.sizes, "output": output, "norm": model.net.norm or ""})
        network.create("hidden", hidden, shape=(len(hidden),), dtype=h5py.string_dtype())
        _write_arrays(file, model)


def _write_arrays(file: Any, model: Any) -> None:
    for l, layer in enumerate(model.params, start=1):
        for name, leaf in layer.items():
            # HDF5 has no bfloat16: such leaves are widened to float32, which loses nothing, their dtype noted beside
            stored = leaf if leaf.dtype.kind == "f" else leaf.astype(np.float32)
            file.create_dataset(f"params/{l}/{name}", data=stored).attrs["dtype"] = str(leaf.dtype)
    for name in _PREPROCESSINGS:
        group = file.create_group(name)
        for key, array in getattr(model, name).to_dict().items():
            group[key] = array
    for name in _LISTS:
        if values := getattr(model, name):
            file[name] = np.array(values, dtype="O" if isinstance(values[0], str) else None)


# --- reading ----------------------------------------------------------------------------------------------------------


def read(path: str | os.PathLike[str], activations: Iterable[Activation] = ()) -> dict[str, Any]:
    """The fields of the `Model` in a file or run folder; see `Model.load` for what is refused."""
    import h5py

    if not isinstance(path, str | os.PathLike):
        raise InputTypeError(sentence("load_model", "a path", type(path).__name__, "give a model file or a run folder"))
    path = Path(path)
    path = path / FILE_NAME if path.is_dir() else path
    if not path.exists():
        if member := min(path.parent.glob(MEMBERS), default=None):
            remedy = f"give one of them, {member}, or use Ensemble.load"
            raise MissingFileError(
                sentence("load_model", "one model", f"the members of an ensemble in {str(path.parent)!r}", remedy)
            )
        raise MissingFileError(
            sentence("load_model", "a model file or a run folder", repr(str(path)), "check the path")
        )
    try:
        with h5py.File(path, "r") as file:
            _check_format(path, file.attrs)
            return _fields(path, file, {record.name: record for record in activations})
    except InputError as error:
        raise InputError(str(error) if str(error).startswith(str(path)) else f"{path}: {error}") from None
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:  # what h5py raises on damaged files
        got = f"a damaged or foreign file ({str(error).splitlines()[0]})"
        raise InputError(sentence(str(path), "a jaxmlp model in HDF5", got, "train it or copy it again")) from None


def _check_format(path: Path, attributes: Mapping[str, Any]) -> None:
    if attributes.get("format") != FORMAT:
        remedy = f"give the {FILE_NAME} that `jaxmlp train` or Model.save wrote"
        raise InputError(sentence(str(path), "a jaxmlp model", "another HDF5 file", remedy))
    found = int(attributes["format_version"])
    if found > FORMAT_VERSION:
        remedy = f"upgrade jaxmlp to {attributes['jaxmlp_version']} or newer"
        raise InputError(sentence(str(path), f"model format {FORMAT_VERSION} or older", found, remedy))


def _fields(path: Path, file: Any, own: Mapping[str, Activation]) -> dict[str, Any]:
    net = _network(path, file["network"].attrs, own)
    shape = file.attrs.get("image_shape")
    return {
        "net": net,
        "params": tuple(_layer(file[f"params/{l}"]) for l in range(1, net.depth + 1)),
        "task": file.attrs["task"],
        "cost": file.attrs["cost"],
        "row_dtype": file.attrs["row_dtype"],
        "image_shape": None if shape is None else tuple(map(int, shape)),
        **{name: Preprocessing.from_dict({k: v[()] for k, v in file[name].items()}) for name in _PREPROCESSINGS},
        **{name: _list(file[name]) if name in file else () for name in _LISTS},
    }


def _network(path: Path, attributes: Mapping[str, Any], own: Mapping[str, Activation]) -> Network:
    names = [*attributes["hidden"], attributes["output"]]
    for name in names:
        if name not in own and name.partition("(")[0] not in ACTIVATIONS:
            remedy = "give its record: load_model(path, activations=[...])"
            raise InputError(sentence(str(path), f"an activation named {name!r}", "none of that name", remedy))
    *hidden, output = (own.get(name, name) for name in names)
    return Network(tuple(attributes["sizes"]), tuple(hidden), output, attributes.get("norm") or None)


def _layer(group: Any) -> dict[str, np.ndarray]:
    return {name: dataset[()].astype(jnp.dtype(dataset.attrs["dtype"])) for name, dataset in group.items()}


def _list(dataset: Any) -> tuple[Any, ...]:
    values = dataset.asstr()[()] if dataset.dtype.kind == "O" else dataset[()]
    return tuple(values.tolist())
