"""Whether rows that are to be measured were in the training: a model knows them, and the result is too good.

A run stores where its data came from. If that table is still there and small, it is read again and compared row by row.
"""

from pathlib import Path
from typing import Any

import numpy as np

from jaxmlp.cli import run_folder
from jaxmlp.cli.loading import open_data
from jaxmlp.data.dataset import Dataset, Part
from jaxmlp.data.load import is_table
from jaxmlp.errors import InputError
from jaxmlp.inference.matching import match_part
from jaxmlp.inference.model import Model

MAX_BYTES = 2**24  # of the table of the training, so that the second reading takes seconds at most


def overlap_note(model: str, trained: Model, data: Dataset, part: Part) -> str | None:
    """Return a note if rows of a part are among those that a run was trained on, None if not or if it is not known.

    Args:
      model, trained: the path of the model, and the model.
      data, part: the data set, and the part that is measured.
    """
    # with a test part it is the data of the training itself, split in the same way
    training = None if data.test is not None else _training_part(run_folder.read_settings(model), trained)
    if training is None:
        return None
    known = set(_keys(match_part(training, trained)))
    n_known = sum(key in known for key in _keys(match_part(part, trained)))
    if not n_known:
        return None
    return f"{n_known} of the {len(part.rows)} rows are also rows of the training, so new data may give a worse result"


def _training_part(settings: dict[str, Any], trained: Model) -> Part | None:
    source, loading = settings.get("data"), settings.get("loading")
    if not isinstance(source, str) or not isinstance(loading, dict) or not Path(source).is_file():
        return None
    if not is_table(source) or Path(source).stat().st_size > MAX_BYTES:
        return None
    known: dict[str, Any] = {"standardize": False, "known_columns": trained.known_columns}
    if trained.classes and trained.task in ("binary", "multiclass"):
        known["known_classes"] = trained.classes
    try:
        return open_data(source, {**loading, **known}).train
    except (InputError, OSError):  # it is another file by now
        return None


def _keys(part: Part) -> list[bytes]:
    """Return each row with its target as bytes, of which equal ones have equal bytes."""
    targets = part.targets.reshape(len(part.rows), -1)
    # float64 for all: 1 and 1.0 are the same number, but only in one dtype the same bytes
    table = np.concatenate([np.asarray(part.rows, np.float64), targets.astype(np.float64)], axis=1)
    return [row.tobytes() for row in table]
