"""The fingerprint of a run: what a checkpoint must have in common with a run that continues from it.

It holds everything that the numbers of a run follow from, as short texts by name, arrays as digests. The number of
epochs is part of it only where the rates depend on it: otherwise a run may be made longer. Devices are not: a run of
one mesh continues on any other. Of an optax transformation only the shapes of its state are compared.
"""

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.data.dataset import Dataset
from jaxmlp.data.preprocessing import Preprocessing
from jaxmlp.data.streaming.dataset import StreamedDataset
from jaxmlp.data.streaming.file_rows import FileRows
from jaxmlp.nn.network import Params
from jaxmlp.nn.objective import Objective
from jaxmlp.tabular.encoder import TableEncoder
from jaxmlp.training.config import DEFAULTS, OPTIONS, TrainConfig, resolve_optimizer
from jaxmlp.training.preparation import PreparedRun
from jaxmlp.training.schedules import needs_length

SAMPLE_BYTES, N_SAMPLES = 2**20, 64  # of a file whose rows are not all read


def digest_of(data: Dataset) -> str:
    """Return a digest of rows, targets and how they are split."""
    parts = (part for part in (data.train, data.validation, data.test) if part is not None)
    return _digest(*(array for part in parts for array in part))


def _digest(*arrays: Any) -> str:
    """Return a digest of shapes, dtypes and bytes; of rows that stay in a file larger than 64 MB, of a sample."""
    digest = hashlib.sha256()
    for array in arrays:
        # shape and dtype as well: rows (2, 3) and (3, 2) may have the same bytes
        digest.update(f"{array.shape} {array.dtype}".encode())
        for piece in _sampled(array) if isinstance(array, FileRows) else [np.asarray(array)]:
            digest.update(np.ascontiguousarray(piece).view(np.uint8).data)  # as bytes: bfloat16 has no buffer protocol
    return digest.hexdigest()


def _sampled(rows: FileRows) -> Iterator[np.ndarray]:
    """Stretches of at most SAMPLE_BYTES bytes, N_SAMPLES of them at even distances."""
    length = max(1, SAMPLE_BYTES // (rows.shape[1] * rows.dtype.itemsize))
    return (piece for _, piece in rows.iter_blocks(length, N_SAMPLES))


# options that stand there as what they come to: numbers of the objective, the product of the weights, drawn parameters
_RENAMED = ("objective", "sample_weight", "class_weight", "initializer")


def run_fingerprint(
    data: Dataset, config: TrainConfig, run: PreparedRun, first: tuple[Params | None] | None
) -> dict[str, str]:
    """Return what identifies a run, as short texts by name.

    Args:
      data: rows count as they are, those of a stream by a sample.
      config: every option of it with a place in the fingerprint.
      run: as prepared: options are compared by what they come to, such as the rates of a schedule.
      first: the parameters that the run begins with, None for drawn ones; no tuple where they are not known any more.
    """
    # options as they were set
    static, batches, objective = run.spec.static, run.spec.batches, run.spec.hyper.objective
    settings: dict[str, Any] = {
        name: getattr(config, name)
        for name, option in OPTIONS.items()
        if option.in_fingerprint and name not in _RENAMED
    }
    # options as what they came to, because two ways to write one run must have one fingerprint
    settings |= {field.name: getattr(objective, field.name) for field in dataclasses.fields(objective)}
    settings |= {
        "key": run.snapshot.state.key,
        "batch_size": batches.batch_size,
        "freeze": static.frozen,
        "weights": run.weights,
        "epochs of the schedule": config.epochs if config.fade or needs_length(config.schedule) else None,
    }
    if run.rates is not None:  # of a function only the rates of the first epoch are compared
        whole = callable(config.learning_rate)
        settings["learning_rate"] = run.rates.steps[: batches.steps] if whole else resolve_optimizer(config)[1]
    if first is not None:
        settings["first parameters"] = config.initializer if first[0] is None else jax.tree.leaves(first[0])
    # the network, and the data themselves
    net = static.net
    units, names = "-".join(map(str, net.sizes)), (g.name for g in net.activations)
    more = [f"norm {net.norm}"] if net.norm else []
    more += [f"members {net.members}"] if net.members else []
    more += ["parametric"] if net.parametric else []
    more += [f"columns {_text(net.column_widths)}"] if net.column_widths else []
    settings |= {
        "network": " ".join([units, *names, *more]),
        "preprocessing": _preprocessing_values(data),
        "training rows": data.train.rows,
        "training targets": data.train.targets,
        "memory": data.memory if isinstance(data, StreamedDataset) else None,  # buffers are cut by it
        "validation rows": data.validation and data.validation.rows,
        "validation targets": data.validation and data.validation.targets,
    }
    return {name: _text(value) for name, value in settings.items()}


def text_of_default(name: str) -> str:
    """Return the text of an option's default, for a fingerprint that was written before the option existed.

    >>> text_of_default("fade"), text_of_default("l2"), text_of_default("training rows")
    ('False', 'none', 'unknown')
    """
    if name in OPTIONS:
        return _text(DEFAULTS[name])
    return "none" if name in {field.name for field in dataclasses.fields(Objective)} else "unknown"


def _preprocessing_values(data: Dataset) -> list[Any]:
    records = (data.preprocessing, data.target_preprocessing)
    return [value for record in records for value in _values_of(record)]


def _values_of(record: Preprocessing | TableEncoder) -> list[Any]:
    return [record.to_json()] if isinstance(record, TableEncoder) else list(vars(record).values())


def _text(value: Any) -> str:
    """Return one line for a value: equal values, equal lines, in every process."""
    if value is None:
        return "none"
    if isinstance(value, str | bool | int | np.number | np.bool):
        return str(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        return " ".join(map(str, np.ravel(jax.random.key_data(value))))
    if isinstance(value, np.ndarray | jax.Array | FileRows):
        return f"{value.shape} {value.dtype}, digest {_digest(value)[:16]}"  # short: errors show it
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(value[name])}" for name in sorted(value))  # equal in any order
    if hasattr(value, "name"):  # of a cost or an initializer, with its numbers
        return str(value.name)
    # after the name: a Cost is a NamedTuple too, of functions, which would all be "custom"
    if hasattr(value, "_asdict"):
        return _text(value._asdict())
    if isinstance(value, tuple | list):
        return ", ".join(map(_text, value)) or "none"
    return "custom"  # a function: its repr has an address, another one in each process
