"""A run folder: run.json, history.csv, checkpoints while it trains; model.h5 and the pictures when it is done.

Every file in it appears whole: it is written beside its place and takes its name in one step. history.csv alone grows,
a line per epoch. An older run is never written over.
"""

import csv
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from jaxmlp.data.files import atomic_path
from jaxmlp.errors import InputError, MissingFileError, sentence
from jaxmlp.model_file import MEMBERS
from jaxmlp.training.state import Report

SETTINGS = "run.json"
HISTORY = "history.csv"
CHECKPOINTS = "checkpoints"
PARENT = "runs"
_COLUMNS = ["epoch", "step", *(name for name in Report._fields if name not in ("epoch", "step", "seconds", "scores"))]


def choose(out: str | None, name: str) -> Path:
    """The folder that was asked for, or the first free one of runs/NAME, runs/NAME-2, …

    Raises:
      InputError: when the folder that was asked for exists and is not empty, or cannot be made.
    """
    if out is None:
        names = (name if i == 1 else f"{name}-{i}" for i in count(1))
        path = next(path for path in (Path(PARENT) / name for name in names) if not path.exists())
    else:
        path = Path(out)
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):  # said before the training, not after it
        got = f"{'the read-only folder' if above.is_dir() else 'the file'} {str(above)!r}"
        raise InputError(sentence(f"run folder {path}", "a place it may write to", got, "choose another with --out"))
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        got = "a folder that is not empty" if path.is_dir() else "a file"
        raise InputError(sentence(f"--out {out}", "a new folder", got, "name another, or remove this one first"))
    return path


def discard(path: Path) -> None:
    """Remove a run folder that holds nothing worth keeping, and the parent that was made for it."""
    shutil.rmtree(path, ignore_errors=True)
    if path.parent.name == PARENT and path.parent.is_dir() and not any(path.parent.iterdir()):
        path.parent.rmdir()


@contextmanager
def kept(folder: Path, settings: Mapping[str, Any], *, resumed: bool) -> Iterator[None]:
    """The run folder with its settings; one that comes to nothing goes again, and of another it is said how to go on.

    Raises:
      InputError: when the disk does not take the files.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_settings(folder, {**settings, "finished": False})
        yield
    except BaseException as error:
        worth = resumed or any(any(folder.glob(name)) for name in (HISTORY, MEMBERS, f"{CHECKPOINTS}/*"))
        if not worth:
            discard(folder)
        elif isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(go_on(folder)) from None
        if isinstance(error, OSError) and not isinstance(error, InputError | ConnectionError):
            remedy = f"make room, then {go_on(folder)}" if worth else "choose another with --out"
            raise InputError(sentence(f"run folder {folder}", "a place that takes its files", error, remedy)) from None
        raise


def go_on(folder: Path) -> str:
    """How a stopped run is resumed."""
    return f"go on with: jaxmlp train --resume {folder}"


class History:
    """history.csv as it grows: an observer of `fit`; on resuming, what the checkpoint does not know is dropped."""

    reports_only = True

    def __init__(self, folder: Path) -> None:
        self._path = folder / HISTORY
        self._began = False

    def __call__(self, state: Any, report: Report) -> None:
        """Add the line of an epoch."""
        scores = report.scores or {}
        if not self._began:
            self._begin([*_COLUMNS, *scores, "seconds"], report.epoch or 1)
        figures = [*(getattr(report, name) for name in _COLUMNS), *scores.values(), report.seconds]
        with open(self._path, "a", newline="") as file:
            csv.writer(file).writerow(figures)

    def _begin(self, columns: list[str], epoch: int) -> None:
        rows = []
        if self._path.exists():
            with open(self._path, newline="") as file:
                rows = [row for row in list(csv.reader(file))[1:] if row and row[0].isdigit() and int(row[0]) < epoch]
        with atomic_path(self._path) as temporary, open(temporary, "w", newline="") as file:
            csv.writer(file).writerows([columns, *rows])
        self._began = True


def write_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """run.json: what the run was asked to do, so that it can be resumed, and `evaluate` finds the same split."""
    with atomic_path(folder / SETTINGS) as temporary:
        temporary.write_text(json.dumps(settings, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_settings(model: str) -> dict[str, Any]:
    """The settings beside a model; empty where there are none."""
    folder = Path(model) if Path(model).is_dir() else Path(model).parent
    try:
        return json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def unfinished(run: str) -> dict[str, Any]:
    """The settings of a run that can be resumed.

    Raises:
      MissingFileError: when there is no such run.
      InputError: when it is finished.
    """
    settings = read_settings(run)
    if "options" not in settings:
        raise MissingFileError(sentence("--resume", "a run folder", repr(run), "see the folders under runs/"))
    if settings.get("finished"):
        remedy = "train on from its parameters with --warm-start"
        raise InputError(sentence("--resume", "a run that was stopped", f"the finished run {run!r}", remedy))
    return settings
