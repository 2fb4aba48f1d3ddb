"""A run folder: model.h5, history.csv, the pictures and run.json; it appears whole or not at all."""

import contextlib
import csv
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from jaxmlp.data.files import atomic_path
from jaxmlp.errors import InputError, sentence
from jaxmlp.training.state import Report

SETTINGS = "run.json"
HISTORY = "history.csv"
PARENT = "runs"


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


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path` that takes its name when the block ends well, and vanishes otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    temporary.mkdir()
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def write_history(folder: Path, history: Sequence[Report]) -> None:
    """history.csv, a row per epoch."""
    columns = ["epoch", "step", *(name for name in Report._fields if name not in ("epoch", "step"))]
    with atomic_path(folder / HISTORY) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([getattr(report, name) for name in columns] for report in history)


def write_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """run.json: what the run was asked to do, so that others can do it again and `evaluate` finds the same split."""
    with atomic_path(folder / SETTINGS) as temporary:
        temporary.write_text(json.dumps(settings, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_settings(model: str) -> dict[str, Any]:
    """The settings beside a model; empty where there are none."""
    folder = Path(model) if Path(model).is_dir() else Path(model).parent
    try:
        return json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
