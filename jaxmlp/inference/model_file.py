"""The file of a model: plain HDF5, readable with any HDF5 tool, numbers and names only.

/                        attributes format, format_version, jaxmlp_version, task, cost, row_dtype, image_shape, …
/network                 attributes sizes, hidden, output; norm, members, parametric, column_widths where there are any
/params/1 … /params/L    datasets W and b, gamma of a normalised layer, s of parametric activations, R of members
/preprocessing, /target_preprocessing    datasets shift, scale, low, high, if any; of a table the text encoder
/classes, /feature_names, /target_names  one entry per class or column, where there are any

Behind the HDF5 stands a checksum of it (`data.checksum`), which HDF5 itself does not look at.
"""

import hashlib
import math
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

import jaxmlp
from jaxmlp.data.checksum import seal, unseal
from jaxmlp.data.files import check_writable, write_bytes
from jaxmlp.data.labels import decode_text
from jaxmlp.data.limits import as_path, check_bytes, check_regular
from jaxmlp.data.preprocessing import Preprocessing
from jaxmlp.data.readers.hdf5 import HDF5_ERRORS, bytes_of, check_self_contained, open_bytes, read_array
from jaxmlp.data.readers.hdf5_safety import find_danger
from jaxmlp.errors import InputError, InputTypeError, MissingFileError, quoted, sentence
from jaxmlp.nn.activations import ACTIVATIONS, Activation
from jaxmlp.nn.network import Network
from jaxmlp.tabular.encoder import TableEncoder

FORMAT = "jaxmlp.model"
FORMAT_VERSION = 6  # see `_format_version`
FILE_NAME = "model.h5"  # in a run folder
VARIABLE = "JAXMLP_CHECK_HDF5"  # "always": models with a fitting checksum are opened by another process first, too

MEMBERS = "member-*.h5"  # the files of an ensemble, in a folder
_PREPROCESSINGS = ("preprocessing", "target_preprocessing")
_LISTS = ("classes", "feature_names", "target_names")


def member(folder: Path, number: int) -> Path:
    """Return the file of an ensemble's member, counted from 1.

    >>> member(Path("runs"), 1).as_posix()
    'runs/member-1.h5'
    """
    return folder / MEMBERS.replace("*", str(number))


# --- writing ----------------------------------------------------------------------------------------------------------


def write(path: str | os.PathLike[str], model: object) -> None:
    """Write a `Model`; after a failure no file, or the old one, is there."""
    path = check_writable(path)  # before the work
    write_bytes(path, seal(bytes_of(lambda file: _write_model(file, model))))


def _write_model(file: Any, model: Any) -> None:
    import h5py

    # attributes hold what is one value, datasets what is an array: any HDF5 viewer shows both
    number = _format_version(model)
    file.attrs.update({"format": FORMAT, "format_version": number, "jaxmlp_version": jaxmlp.__version__})
    file.attrs.update({"task": model.task, "cost": model.cost, "row_dtype": model.row_dtype})
    if model.image_shape:
        file.attrs["image_shape"] = model.image_shape
    if model.row_range:
        file.attrs["row_range"] = model.row_range
    *hidden, output = (g.name for g in model.net.activations)
    network = file.create_group("network").attrs
    network.update({"sizes": model.net.sizes, "output": output, "norm": model.net.norm or ""})
    if model.net.members is not None:
        network["members"] = model.net.members
    if model.net.parametric:
        network["parametric"] = True
    if model.net.column_widths is not None:
        network["column_widths"] = model.net.column_widths
    # with its dtype: the empty list of a network without hidden layers would become an array of numbers
    network.create("hidden", hidden, shape=(len(hidden),), dtype=h5py.string_dtype())
    _write_arrays(file, model)


def _format_version(model: Any) -> int:
    """Return the lowest format version that can store the model, so that older releases can read it if possible."""
    if model.net.column_widths is not None:
        return 6
    if model.net.parametric:
        return 5
    if model.target_preprocessing.is_bounded:
        return 4
    if model.net.members is not None:
        return 3
    return 2 if isinstance(model.preprocessing, TableEncoder) else 1


def _write_arrays(file: Any, model: Any) -> None:
    for l, layer in enumerate(model.params, start=1):
        for name, leaf in layer.items():
            # HDF5 has no bfloat16: such leaves are stored as float32, which loses nothing, with their dtype named
            stored = leaf if leaf.dtype.kind == "f" else leaf.astype(np.float32)
            # a checksum of its own, because a program that opens the file for writing cuts off that of the file
            facts = {"dtype": str(leaf.dtype), "sha256": _digest(stored)}
            file.create_dataset(f"params/{l}/{name}", data=stored).attrs.update(facts)
    for name in _PREPROCESSINGS:
        group = file.create_group(name)
        record = getattr(model, name)
        if isinstance(record, TableEncoder):
            group["encoder"] = record.to_json()
            continue
        for key, array in record.to_dict().items():
            group[key] = array
    for name in _LISTS:
        if values := getattr(model, name):
            # h5py stores texts as objects; NumPy's own type of text it does not take
            file[name] = np.array(values, dtype="O" if isinstance(values[0], str) else None)


# --- reading ----------------------------------------------------------------------------------------------------------


def read(path: str | os.PathLike[str], activations: Iterable[Activation] = ()) -> dict[str, Any]:
    """Return the fields of the `Model` in a file or run folder; raise as `Model.load` does."""
    if not isinstance(path, str | os.PathLike):
        raise InputTypeError(sentence("load_model", "a path", type(path).__name__, "give a model file or a run folder"))
    given = as_path(path, "load_model")
    path = given / FILE_NAME if given.is_dir() else given
    if not path.exists():
        if member := min(path.parent.glob(MEMBERS), default=None):
            remedy = f"give one of them, {member}, or use Ensemble.load"
            raise MissingFileError(
                sentence("load_model", "one model", f"the members of an ensemble in {str(path.parent)!r}", remedy)
            )
        remedy = "check the path"
        if re.fullmatch(r"\d+(-\d+)+", str(given)):
            remedy = "sizes alone have no parameters: train the network first"
        if given.is_dir():
            got = f"{str(given)!r} without {FILE_NAME}"
            remedy += f", or finish the training with jaxmlp train --resume {given}"
            raise MissingFileError(sentence("load_model", "a run folder with a model", got, remedy))
        raise MissingFileError(sentence("load_model", "a model file or a run folder", repr(str(path)), remedy))
    try:
        content, is_sealed = _read_content(path)
        with open_bytes(content) as file:
            check_self_contained(file, str(path))  # no links to other files, which would be read
            # before anything of it is used: the file may come from elsewhere, or from a newer release
            _check_format(path, file.attrs)
            if not is_sealed:  # another program has opened the file for writing, and cut off the checksum of the whole
                _check_digests(path, file["params"])
            return _model_fields(path, file, {record.name: record for record in activations})
    except InputError as error:
        raise InputError(str(error) if str(error).startswith(str(path)) else f"{path}: {error}") from None
    except HDF5_ERRORS as error:
        raise _damaged(path, (str(error).splitlines() or [type(error).__name__])[0]) from None


def _read_content(path: Path) -> tuple[bytes, bool]:
    """Return the bytes of a file, and whether it has a checksum, which fits; HDF5 reads it without danger if not."""
    check_regular(path)
    check_bytes(path, path.stat().st_size)
    content, is_whole = unseal(path.read_bytes())
    if is_whole is False:
        raise _damaged(path, "its checksum is that of another content")
    # a checksum that fits says that the file is as it was written; without one it may be anything
    if (is_whole is None or _checks_always()) and (danger := find_danger(path, attributes=True)):
        raise _damaged(path, danger)
    return content, is_whole is not None


def _checks_always() -> bool:
    value = os.environ.get(VARIABLE, "")
    if value.lower() not in ("", "always"):
        # a switch for security that is written wrongly must not count as off
        raise InputError(sentence(VARIABLE, "always, or nothing", repr(value), f"set {VARIABLE}=always, or unset it"))
    return value != ""


def _damaged(path: Path, reason: str) -> InputError:
    got = f"a damaged or foreign file ({quoted(reason, 120)})"
    return InputError(sentence(str(path), "a jaxmlp model in HDF5", got, "train it or copy it again"))


def _check_format(path: Path, attributes: Mapping[str, Any]) -> None:
    stated = attributes.get("format")
    if not isinstance(stated, str) or stated != FORMAT:
        remedy = f"give the {FILE_NAME} that `jaxmlp train` or Model.save wrote"
        raise InputError(sentence(str(path), "a jaxmlp model", "another HDF5 file", remedy))
    file_version = int(attributes["format_version"])
    if file_version > FORMAT_VERSION:
        remedy = f"upgrade jaxmlp to {quoted(attributes['jaxmlp_version'], 40)} or newer"
        raise InputError(sentence(str(path), f"model format {FORMAT_VERSION} or older", file_version, remedy))


def _model_fields(path: Path, file: Any, user_activations: Mapping[str, Activation]) -> dict[str, Any]:
    net = _read_network(path, file["network"].attrs, user_activations)
    shape = file.attrs.get("image_shape")
    fields = {
        "net": net,
        "params": tuple(_read_layer(path, file[f"params/{l}"]) for l in range(1, net.depth + 1)),
        **{name: _read_text(file.attrs, name) for name in ("task", "cost", "row_dtype")},
        "image_shape": None if shape is None else tuple(map(int, shape)),
        "row_range": _read_range(file.attrs),
        **{name: _read_preprocessing(path, file[name]) for name in _PREPROCESSINGS},
        **{name: _read_list(path, file[name]) if name in file else () for name in _LISTS},
    }
    _check_names(path, fields)
    return fields


def _check_names(path: Path, fields: Mapping[str, Any]) -> None:
    """Raise for names, images and scales of columns that the network has not; the `Model` checks everything else."""
    net, preprocessing, targets = fields["net"], fields["preprocessing"], fields["target_preprocessing"]
    n_columns = preprocessing.n_columns or net.sizes[0]
    n_outputs = net.sizes[-1]
    for name, n in (("feature_names", n_columns), ("target_names", None)):
        if n is not None and len(fields[name]) not in (0, n):
            raise _damaged(path, f"{len(fields[name])} {name} for {n} columns")
    widths = net.column_widths
    if widths is not None and preprocessing.column_widths not in (None, widths):
        raise _damaged(path, f"column_widths {widths} for a table with {preprocessing.column_widths}")
    shape = fields["image_shape"]
    if shape is not None and (len(shape) not in (2, 3) or min(shape) < 1 or math.prod(shape) != n_columns):
        raise _damaged(path, f"image_shape {shape} for {n_columns} columns")
    if not isinstance(targets, Preprocessing) or targets.n_columns not in (None, n_outputs):
        raise _damaged(path, f"scales of targets that are not those of {n_outputs} outputs")
    np.dtype(fields["row_dtype"])  # a name of none is a TypeError


def _read_text(attributes: Mapping[str, Any], name: str) -> str:
    value = attributes[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is no text")
    return value


def _read_range(attributes: Mapping[str, Any]) -> tuple[float, float] | None:
    if "row_range" not in attributes:
        return None
    low, high = map(float, attributes["row_range"])
    return low, high


def _read_preprocessing(path: Path, group: Any) -> Preprocessing | TableEncoder:
    if "encoder" in group:
        return TableEncoder.from_json(group["encoder"].asstr()[()])
    return Preprocessing.from_dict({key: read_array(array, path) for key, array in group.items()})


def _read_network(path: Path, attributes: Mapping[str, Any], user_activations: Mapping[str, Activation]) -> Network:
    names = [*attributes["hidden"], attributes["output"]]
    for name in names:
        if name not in user_activations and name.partition("(")[0] not in ACTIVATIONS:
            remedy = "give its record: load_model(path, activations=[...])"
            raise InputError(sentence(str(path), f"an activation named {quoted(name)!r}", "none of that name", remedy))
    *hidden, output = (user_activations.get(name, name) for name in names)
    norm, members = attributes.get("norm") or None, attributes.get("members")
    parametric, widths = bool(attributes.get("parametric", False)), attributes.get("column_widths")
    widths = None if widths is None else tuple(widths)
    return Network(tuple(attributes["sizes"]), tuple(hidden), output, norm, members, parametric, widths)


def _read_layer(path: Path, group: Any) -> dict[str, np.ndarray]:
    return {name: _read_parameters(path, array) for name, array in group.items()}


def _read_parameters(path: Path, array: Any) -> np.ndarray:
    dtype = jnp.dtype(_read_text(array.attrs, "dtype"))
    if array.dtype.kind != "f" or not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(f"{array.name} holds {array.dtype} as {dtype}, not numbers of floating point")
    return read_array(array, path).astype(dtype)


def _check_digests(path: Path, layers: Any) -> None:
    """Raise for parameters with a checksum of other numbers; files of earlier releases have none."""
    for group in layers.values():
        for array in group.values():
            if array.attrs.get("sha256", "") not in ("", _digest(read_array(array, path))):
                raise ValueError(f"{array.name} is not what was written: its checksum is that of other numbers")


def _digest(numbers: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(numbers).tobytes()).hexdigest()


def _read_list(path: Path, dataset: Any) -> tuple[Any, ...]:
    if dataset.shape is None or len(dataset.shape) != 1:
        raise TypeError(f"{dataset.name} is no list")
    values = read_array(dataset, path)
    values = decode_text(values, dataset.name)
    if values.dtype.kind not in "biufUO":
        raise TypeError(f"{dataset.name} holds {values.dtype}")
    return tuple(values.tolist())
