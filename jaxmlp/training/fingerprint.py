"""The fingerprint of a run: what a checkpoint must have in common with a run that goes on from it.

Everything that the numbers of a run follow from, as short texts by name, arrays as digests. The number of epochs is a
part of it only where the rates depend on it: else a run may be made longer. Devices are none: a run of one mesh goes on
on any other. Of a function that gives the rates only those of the first epoch are known, and of an optax transformation
of one's own nothing but its state's shapes.
"""

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.data.dataset import Dataset
from jaxmlp.data.file_rows import FileRows
from jaxmlp.data.stream import StreamedDataset
from jaxmlp.nn.network import Network
from jaxmlp.nn.objective import Objective

STRETCH, STRETCHES = 2**20, 64  # bytes, and how many of them: of a file whose rows are not all read


def digest_of(data: Dataset) -> str:
    """A digest of rows and targets: whether two data sets, and how they are split, are the same."""
    parts = (part for part in (data.train, data.validation, data.test) if part is not None)
    return _digest(*(array for part in parts for array in part))


def _digest(*arrays: Any) -> str:
    """Of shapes, dtypes and bytes.

    Of rows that stay in their file it takes all up to 64 MB, and of more a sample of as much: stretches from all over.
    """
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape} {array.dtype}".encode())
        for piece in _sampled(array) if isinstance(array, FileRows) else [np.asarray(array)]:
            digest.update(np.ascontiguousarray(piece).view(np.uint8))  # of bytes: bfloat16 has no buffer of its own
    return digest.hexdigest()


def _sampled(rows: FileRows) -> Iterator[np.ndarray]:
    """Stretches of at most STRETCH bytes, STRETCHES of them at even distances."""
    length = max(1, STRETCH // (rows.shape[1] * rows.dtype.itemsize))
    return (piece for _, piece in rows.stretches(length, STRETCHES))


def fingerprint(net: Network, data: Dataset, objective: Objective, settings: Mapping[str, Any]) -> dict[str, str]:
    """The texts.

    Args:
      net: the network.
      data: rows count as they are, those of a stream by a sample.
      objective: with its cost found.
      settings: of the run, by name: numbers, texts, arrays, keys, None.

    >>> from jaxmlp.nn.objective import completed
    >>> net = Network((2, 3, 1), "tanh", "sigmoid")
    >>> data = Dataset.from_arrays([[0.0, 1.0], [1.0, 0.0]], [0, 1])
    >>> found = fingerprint(net, data, completed(Objective(l2=0.5), net), {"batch_size": 2, "clip": None})
    >>> found["network"], found["l2"], found["batch_size"], found["clip"]
    ('2-3-1 tanh sigmoid', '0.5', '2', 'none')
    >>> found["training rows"][:22]
    '(2, 2) float64, digest'
    """
    numbers = {field.name: getattr(objective, field.name) for field in dataclasses.fields(objective)}
    units = "-".join(map(str, net.sizes))
    norm = () if net.norm is None else (f"norm {net.norm}",)
    found = {
        "network": " ".join([units, *(g.name for g in net.activations), *norm]),
        **numbers,
        **settings,
        "preprocessing": [*vars(data.preprocessing).values(), *vars(data.target_preprocessing).values()],
        "training rows": data.train.rows,
        "training targets": data.train.targets,
        "memory": data.memory if isinstance(data, StreamedDataset) else None,  # by which buffers are cut
        "validation rows": data.validation and data.validation.rows,
        "validation targets": data.validation and data.validation.targets,
    }
    return {name: _text(value) for name, value in found.items()}


def _text(value: Any) -> str:
    """One line for anything; equal things, equal lines, in every process."""
    if value is None:
        return "none"
    if isinstance(value, str | bool | int | np.number | np.bool):
        return str(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        return " ".join(map(str, np.ravel(jax.random.key_data(value))))
    if isinstance(value, np.ndarray | jax.Array | FileRows):
        return f"{value.shape} {value.dtype}, digest {_digest(value)[:16]}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(value[name])}" for name in sorted(value))
    if hasattr(value, "name"):  # of a cost or an initializer, with its numbers
        return str(value.name)
    if hasattr(value, "_asdict"):
        return _text(value._asdict())
    if isinstance(value, tuple | list):
        return ", ".join(map(_text, value)) or "none"
    return "one of its own"
