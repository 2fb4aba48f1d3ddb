"""A run folder: run.json, history.csv, checkpoints during the training; model.h5 and the pictures after it.

A file is written under a temporary name and then renamed, so that it is complete or absent. Only history.csv grows, by
a line per epoch. An older run is never overwritten, and a folder has one owner at a time (`data.locks`).
"""

import csv
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path

import click
import jax

from jaxmlp.cli import tensorboard
from jaxmlp.cli.rescue import FolderGuard
from jaxmlp.cli.run_settings import SETTINGS as SETTINGS
from jaxmlp.cli.run_settings import Settings as Settings
from jaxmlp.cli.run_settings import check_options
from jaxmlp.cli.run_settings import read_settings as read_settings
from jaxmlp.cli.run_settings import write_settings as write_settings
from jaxmlp.data.files import atomic_path
from jaxmlp.data.limits import as_path
from jaxmlp.data.locks import LOCK, owned
from jaxmlp.errors import InputError, MissingFileError, WriteError, sentence
from jaxmlp.inference.model import Model
from jaxmlp.inference.model_file import MEMBERS
from jaxmlp.interrupts import clean_up_on_signal
from jaxmlp.training.callbacks import Callback, Progress
from jaxmlp.training.state import Report

HISTORY = "history.csv"
CHECKPOINTS = "checkpoints"
PARENT = "runs"
# parameters of `train` that are no options of the run: where it runs, and how its data are read
NO_OPTIONS = (
    *("data", "resume", "out", "devices", "as_json", "coordinator", "num_processes", "process_id"),
    *("target", "task", "test_fraction", "split_seed", "standardize", "features", "drop", "keep", "roles", "weights"),
    *("numbers", "image_size", "missing", "separator", "decimal", "thousands", "encoding", "header"),
    *("memory", "streamed"),
)
_COLUMNS = ["epoch", "step", *(name for name in Report._fields if name not in ("epoch", "step", "seconds", "metrics"))]


@contextmanager
def claimed(out: str | None, name: str) -> Iterator[Path]:
    """Make the folder of --out, or without it the first of runs/NAME, runs/NAME-2, … that is free, and own it.

    A folder that this has made and that is still empty at the end is removed again, and so is `runs`.

    Raises:
      InputError: when the path of --out exists and is not empty, cannot be made, or is another process's.
    """
    with ExitStack() as claims:
        yield _claim_path(claims, out) if out is not None else _claim_default(claims, name)


def _claim_path(claims: ExitStack, out: str) -> Path:
    path = as_path(out, "--out", for_writing=True)
    above = next((folder for folder in path.absolute().parents if folder.exists()), Path("/"))
    # before the training: an error after it would lose its result
    if not above.is_dir() or not os.access(above, os.W_OK):
        got = f"{'the read-only folder' if above.is_dir() else 'the file'} {str(above)!r}"
        raise InputError(sentence(f"run folder {path}", "a place it may write to", got, "choose another with --out"))
    if path.exists() and not path.is_dir():
        raise _not_new(out, "a file")
    made = [folder for folder in (path, *path.parents) if not folder.exists()]  # innermost first
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        remedy = "choose another with --out"
        raise InputError(sentence(f"run folder {path}", "a place that takes its files", error, remedy)) from None
    # entered before `owned`, so that it runs after it: a folder with a lock file in it is not empty
    _remove_at_end(claims, made)
    claims.enter_context(owned(path))
    # once it is ours: another process may have filled it between the two
    if any(entry.name != LOCK for entry in path.iterdir()):
        raise _not_new(out, "a folder that is not empty")
    return path


def _not_new(out: str, got: str) -> InputError:
    return InputError(sentence(f"--out {out}", "a new folder", got, "name another, or remove this one first"))


def _claim_default(claims: ExitStack, name: str) -> Path:
    # only a plain name stays within `runs`: that of a file may be "..", or hold what no folder's name should
    name = re.sub(r"[\\/:\x00-\x1f\x7f-\x9f\ud800-\udfff]", "_", name)[:100].strip(". ") or "data"
    made = [folder for folder in (Path(PARENT),) if not folder.exists()]
    for i in count(1):
        path = Path(PARENT) / (name if i == 1 else f"{name}-{i}")
        try:
            Path(PARENT).mkdir(exist_ok=True)
            path.mkdir()  # an error if it exists: of two processes one makes it
        except FileExistsError:
            if not Path(PARENT).is_dir():
                got = f"the file {PARENT!r}"
                raise InputError(
                    sentence("the run folder", f"the folder {PARENT}", got, "name another with --out")
                ) from None
            continue
        except OSError as error:
            got = f"{error.strerror} for {str(path)!r}"
            raise InputError(
                sentence("the run folder", "a place it may write to", got, "name one with --out")
            ) from None
        _remove_at_end(claims, [path, *made])
        claims.enter_context(owned(path))
        return path
    raise AssertionError


def _remove_at_end(claims: ExitStack, folders: Sequence[Path]) -> None:
    """Remove folders that are empty at the end, also where a signal ends the process."""
    claims.callback(_remove_empty, folders)
    claims.enter_context(clean_up_on_signal(lambda: _remove_empty(folders)))


def history_and_checkpoints(folder: str) -> list[Path]:
    """Return the files of a run that its model does not need: the history, and those of the checkpoints."""
    return [Path(folder) / HISTORY, *(Path(folder) / CHECKPOINTS).rglob("*")]


def _remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders that are empty, from the inner one to the outer."""
    for folder in folders:
        with suppress(OSError):  # it holds something, or is gone
            folder.rmdir()


@contextmanager
def open_run(folder: Path, settings: Mapping[str, object], *, resumed: bool) -> Iterator[None]:
    """Write the settings into the run folder; after an error remove them, or say how to resume if there are results.

    Only what this has written is removed, by its name.

    Raises:
      InputError: when the files cannot be written.
    """

    def leave() -> str | None:
        """Return how to resume; without results remove what was written."""
        # a folder whose name is no number is a checkpoint that was not finished
        has_checkpoint = any(path.name.isdigit() for path in folder.glob(f"{CHECKPOINTS}/*"))
        if resumed or has_checkpoint or any(any(folder.glob(name)) for name in (HISTORY, MEMBERS)):
            return how_to_resume(folder)
        _remove_beginning(folder)
        return None

    try:
        with clean_up_on_signal(leave):
            write_settings(folder, {**settings, "finished": False})
            yield
    except BaseException as error:
        advice = leave()
        if advice and isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(advice) from None
        # a ConnectionError is that of a process that was lost, and another InputError has a sentence of its own
        is_of_disk = isinstance(error, OSError) and not isinstance(error, InputError | ConnectionError)
        if is_of_disk or isinstance(error, WriteError):
            remedy = f"make room, then {advice}" if advice else "choose another with --out"
            got = error.got if isinstance(error, WriteError) else error
            raise InputError(sentence(f"run folder {folder}", "a place that takes its files", got, remedy)) from None
        raise


def _remove_beginning(folder: Path) -> None:
    """Remove what a run has written before its first epoch."""
    with suppress(OSError):
        (folder / SETTINGS).unlink()
    for name in (CHECKPOINTS, tensorboard.FOLDER):  # in a folder that was empty before
        shutil.rmtree(folder / name, ignore_errors=True)


def keep_last_checkpoint(folder: Path) -> None:
    """Remove all checkpoints of a finished run but the last, from which it can be trained for more epochs."""
    # a name with more than digits is that of a checkpoint that Orbax has not finished
    numbered = [path for path in folder.glob(f"{CHECKPOINTS}/*") if path.name.isdigit()]
    for path in sorted(numbered, key=lambda path: int(path.name))[:-1]:
        shutil.rmtree(path, ignore_errors=True)


def how_to_resume(folder: Path) -> str:
    """Return the text that says how a stopped run is resumed."""
    return f"go on with: jaxmlp train --resume {folder}"


def environment(model: Model, precision: str | None) -> dict[str, str]:
    """Return what a run was computed with: the device, the version of JAX and the precision."""
    device = jax.devices()[0]
    name = device.platform if device.device_kind == device.platform else f"{device.platform}: {device.device_kind}"
    return {"device": name, "jax": jax.__version__, "precision": precision or str(model.params[0]["W"].dtype)}


class History(Callback):
    """A callback that adds a line to history.csv after each epoch.

    A resumed run writes the file anew from what its checkpoint knows: nothing that may be damaged is read. The training
    ends when the folder is gone.
    """

    def __init__(self, folder: Path, guard: FolderGuard) -> None:
        self._path, self._guard = folder / HISTORY, guard
        self._n_lines = 0

    def on_epoch_end(self, progress: Progress) -> bool:
        """Add the line of an epoch, and return whether there is no folder for it any more."""
        if self._guard.is_gone():
            return True
        self._add_line(progress)
        return False

    def _add_line(self, progress: Progress) -> None:
        # the first epoch of this process: the file of a resumed run may hold epochs that are now trained once more
        if self._n_lines + 1 != len(progress.history) or not self._n_lines:
            self._write_all(progress.history)
            return
        with open(self._path, "a", newline="") as file:
            csv.writer(file).writerow(_line(progress.history[-1]))
        self._n_lines += 1

    def on_train_end(self, progress: Progress) -> None:
        """Write the file of a run that had no further epoch, if it is not there."""
        if progress.history and not self._n_lines and not self._path.exists() and not self._guard.is_gone():
            self._write_all(progress.history)

    def _write_all(self, history: Sequence[Report]) -> None:
        write_history(self._path, history)
        self._n_lines = len(history)


def write_history(path: Path, history: Sequence[Report]) -> None:
    """Write history.csv with all epochs."""
    columns = [*_COLUMNS, *(history[-1].metrics or {}), "seconds"]
    with atomic_path(path) as temporary, open(temporary, "w", newline="") as file:
        csv.writer(file).writerows([columns, *map(_line, history)])


def _line(report: Report) -> list[object]:
    return [*(getattr(report, name) for name in _COLUMNS), *(report.metrics or {}).values(), report.seconds]


def read_unfinished(run: str, parameters: Iterable[click.Parameter], epochs: int | None = None) -> Settings:
    """Return the settings of a run that can be resumed.

    Args:
      run: the folder.
      parameters: of the command, by which its options are checked.
      epochs: how many it is to have in all, where that is more than before; a finished run is then continued.

    Raises:
      MissingFileError: when there is no such run.
      InputError: when it is finished, or cannot have fewer epochs.
    """
    settings = read_settings(run)
    if "options" not in settings:
        raise MissingFileError(sentence("--resume", "a run folder", repr(run), "see the folders under runs/"))
    check_options(Path(run) / SETTINGS, settings["options"], parameters, NO_OPTIONS)
    # more epochs: they continue from the checkpoint, which a finished run keeps for this
    if epochs is not None:
        before = settings["options"]["epochs"]
        if epochs <= before:
            expects, remedy = f"more than the {before} epochs of {run!r}", "raise the number, or leave it out"
            raise InputError(sentence("--epochs", expects, epochs, remedy))
        if settings["options"].get("ensemble") is not None or not any(Path(run).glob(f"{CHECKPOINTS}/*")):
            raise InputError(sentence("--resume", "a run with a checkpoint", f"{run!r} without", _next_run(settings)))
        trained = (settings.get("result") or {}).get("epochs")
        if settings.get("finished") and isinstance(trained, int) and trained < before:
            got = f"{run!r}, which --patience ended after epoch {trained}"
            raise InputError(sentence("--resume", "a run that --epochs ended", got, _next_run(settings)))
        settings["options"]["epochs"] = epochs
        return settings
    if settings.get("finished"):
        got = f"the finished run {run!r}"
        raise InputError(sentence("--resume", "an interrupted run", got, _next_run(settings)))
    return settings


def _next_run(settings: Settings) -> str:
    """Return how to go on from a run that cannot be resumed."""
    if settings["options"].get("ensemble") is not None:
        return "train a new ensemble with more --epochs"
    return "train on from its parameters with --warm-start"
