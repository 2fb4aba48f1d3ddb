"""Checkpoints: where a run stands, on disk, so that a stop of any kind loses seconds at most.

    save(snapshot)     after an epoch or within a long one, when the last is `every` seconds old; at the end of a run
    latest(template)   the newest whole checkpoint, as the `Snapshot` to continue from; bit for bit what was saved

Orbax writes each into a folder of its own that gets its name when it is complete, so a kill in the middle of a write
leaves the checkpoint before. Arrays are stored as arrays and the history as JSON: no code, no pickle. Both have a
checksum, so that a checkpoint that was damaged on the disk is passed over for the one before it. Orbax is an optional
package and is imported when a checkpoint is first read or written.
"""

import hashlib
import logging
import os
import shutil
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import jax
import numpy as np

from jaxmlp.data.checksum import KEY, digest_of_facts
from jaxmlp.data.limits import as_path
from jaxmlp.data.locks import owned
from jaxmlp.errors import InputError, InputTypeError, check_texts, sentence
from jaxmlp.parallel.distributed import all_reduce_max
from jaxmlp.training.callbacks import Callback, Progress
from jaxmlp.training.fingerprint import text_of_default
from jaxmlp.training.row_space import like_coordinates
from jaxmlp.training.state import Best, PartialEpoch, Report, Snapshot, TrainState

EVERY = 5.0  # seconds; writing a checkpoint of a small network takes 0.1
MAX_WAIT = 10.0  # seconds for each thread of a save that has failed
MAX_CHECKPOINTS = 2  # the newest, and the one before it in case the newest is damaged
_FACTS = ("run", "history", "best", "partial", "row space")


class Checkpointer(Callback):
    """Saves the checkpoints of one run, for `fit(..., checkpoints=...)`.

    Args:
      folder: where to save them; made when it is needed.
      every: seconds between two of them; 0 for one after every epoch, and every segment of a long one.
      run: the fingerprint of the run: a checkpoint with another one is refused.

    Raises:
      InputError: when `every` is negative, or `folder` is a file.

    >>> Checkpointer("run", every=60).every
    60
    """

    def __init__(
        self, folder: str | os.PathLike[str], every: float = EVERY, run: Mapping[str, Any] | None = None
    ) -> None:
        if not isinstance(folder, str | os.PathLike):
            raise InputTypeError(sentence("checkpoints", "a folder", repr(folder), "write checkpoints='run', say"))
        if not every >= 0:
            raise InputError(sentence("checkpoints", "seconds ≥ 0", every, f"write {EVERY:g}, say"))
        self.folder = as_path(folder, "checkpoints", for_writing=True).absolute()
        check_texts("checkpoints", [str(self.folder)])  # Orbax takes no other names
        if self.folder.exists() and not self.folder.is_dir():
            raise InputError(sentence("checkpoints", "a folder", f"the file {self.folder}", "take another name"))
        self.every = every
        self.run = dict(run or {})
        self._saved_at = time.monotonic()
        self._step = -1  # of the last checkpoint that was written or read; none yet
        self._owns = False

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Make the folder, and own it within the block; a folder that is empty at the end is removed again.

        Raises:
          InputError: when another process trains into it, or it cannot be made.
        """
        if jax.process_index():  # the first process owns it for all
            yield
            return
        was_there = self.folder.is_dir()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            got = f"{self.folder} ({error.strerror})"
            raise InputError(sentence("checkpoints", "a folder that can be made", got, "take another place")) from None
        try:
            with owned(self.folder):
                self._owns = True
                yield
        finally:
            self._owns = False
            if not was_there:
                with suppress(OSError):  # it holds checkpoints
                    self.folder.rmdir()

    def on_epoch_end(self, progress: Progress) -> None:
        """Save a checkpoint if it is time for one."""
        self.maybe_save(progress.snapshot)

    def on_segment_end(self, progress: Progress) -> None:
        """Save a checkpoint if it is time for one."""
        self.maybe_save(progress.snapshot)

    def on_train_end(self, progress: Progress) -> None:
        """Save the last checkpoint, if any epoch or segment has ended."""
        if progress.history or progress.partial is not None:
            self.save(progress.snapshot())

    def maybe_save(self, get_snapshot: Callable[[], Snapshot]) -> None:
        """Save the snapshot that `get_snapshot` returns, if it is time for that in any process."""
        # all processes write a checkpoint together, and their clocks differ
        if all_reduce_max(time.monotonic() - self._saved_at >= self.every):
            self.save(get_snapshot())

    def save(self, snapshot: Snapshot) -> None:
        """Write a checkpoint now, unless this step has one.

        Should that fail, a warning says so and training goes on; with several processes, an error ends them all.
        A folder that was removed while training is not made again.
        """
        step = int(snapshot.state.step)
        if step == self._step:  # on_train_end comes right after on_epoch_end
            return
        orbax()
        try:
            # if the folder was removed or moved away, Orbax would make it anew, with this checkpoint alone in it
            if self._owns and not self.folder.is_dir():
                raise FileNotFoundError(f"the folder {self.folder.name} is gone")
            self._write(step, snapshot)
        except Exception as error:  # Orbax and its storage raise many kinds for a full disk
            if jax.process_count() > 1:
                raise
            # Orbax's names for a folder that it has not finished: on a full disk its remains would keep the disk full
            for unfinished in self.folder.glob(f"{step}.*-tmp*"):
                shutil.rmtree(unfinished, ignore_errors=True)
            last = f"the last is that of step {self._step}" if self._step > 0 else "there is no earlier one"
            text = f"the checkpoint of step {step} was not saved in {self.folder} ({_short(error)}): {last}"
            warnings.warn(text, stacklevel=2)
        else:
            self._step = step
        # after a failure too: the next attempt comes `every` seconds later, not after every epoch
        self._saved_at = time.monotonic()

    def _write(self, step: int, snapshot: Snapshot) -> None:
        ocp = orbax()
        best = snapshot.best
        tree = {"state": _plain(snapshot.state), "best": None if best is None else best.params}
        coordinates = snapshot.coordinates
        if coordinates is not None:
            tree["coordinates"] = coordinates._replace(state=_plain(coordinates.state))
        facts = {
            "run": {**self.run, "arrays": _shapes(snapshot.state)},
            "history": [report._asdict() for report in snapshot.history],
            "best": None if best is None else {"epoch": best.epoch, "value": best.value},
            "partial": None if snapshot.partial is None else snapshot.partial._asdict(),
            "row space": None if coordinates is None else coordinates.state.params[0]["W"].shape[1],
            "arrays": _digest(tree),
        }
        facts[KEY] = digest_of_facts(facts)
        arguments = ocp.args.Composite(arrays=ocp.args.StandardSave(tree), facts=ocp.args.JsonSave(facts))
        with self._manager(ocp) as manager:
            for stale in manager.all_steps():  # of a run that began again from an older one
                if stale >= step:
                    manager.delete(stale)
            manager.save(step, args=arguments)

    def latest_after(self, snapshot: Snapshot) -> Snapshot:
        """Return the newest checkpoint, or this snapshot of the run where it is further.

        Raises:
          InputError: as `latest`.
        """
        newest = self.latest(snapshot.state)
        return snapshot if newest is None or int(newest.state.step) < int(snapshot.state.step) else newest

    def latest(self, state: TrainState) -> Snapshot | None:
        """Return the newest complete checkpoint; None where there is none at all. A warning reports damaged ones.

        Args:
          state: one of the run's shapes, as `init_state` makes it.

        Raises:
          InputError: when the checkpoint is of another run, or none can be read.
        """
        ocp = orbax()
        # the first process may make the folder at this moment, and Orbax waits until all processes have opened it
        if not all_reduce_max(self.folder.is_dir()):
            return None
        damaged: dict[int, str] = {}
        with self._manager(ocp) as manager:
            # the newest first; a damaged one costs the epochs since the one before it, not the run
            for step in sorted(manager.all_steps(), reverse=True):
                try:
                    snapshot = self._read(ocp, manager, step, state)
                except InputError:  # of another run: no damage, which an older checkpoint would cure
                    raise
                except Exception as error:  # a file cut short, or gone: each part of Orbax has an error of its own
                    damaged[step] = _short(error)
                    continue
                for bad, why in damaged.items():
                    text = f"the checkpoint of step {bad} in {self.folder} is damaged ({why}): continuing from {step}"
                    warnings.warn(text, stacklevel=2)
                self._step = step
                return snapshot
        if damaged:
            got = f"damaged checkpoints of the steps {', '.join(map(str, damaged))}"
            remedy = "delete that folder to begin again"
            raise InputError(sentence(f"{self.folder}", "a checkpoint that can be read", got, remedy))
        return None

    def _read(self, ocp: Any, manager: Any, step: int, state: TrainState) -> Snapshot:
        # the facts first: they tell whether the arrays are those of this run, before any is read into its shapes
        facts = manager.restore(step, args=ocp.args.Composite(facts=ocp.args.JsonRestore())).facts
        # an older release wrote neither checksum
        if facts.keys() - {*_FACTS, "arrays", KEY} or (KEY in facts and facts[KEY] != digest_of_facts(facts)):
            raise DamagedError("its facts are not those that were written")
        self._check(facts["run"], {**self.run, "arrays": _shapes(state)})
        # what a resumed run does not know itself (the parameters that it began with) is taken over from the file, so
        # that the checkpoints that it writes have it as well
        self.run = {name: value for name, value in facts["run"].items() if name != "arrays"} | self.run
        # Orbax restores into a tree of the same structure; without early stopping there is no "best" in the file
        template = {"state": _plain(state), "best": None if facts["best"] is None else _folded_template(state)}
        width = facts.get("row space")  # not in files of older versions
        if width is not None:
            narrow = like_coordinates(state, width)
            template["coordinates"] = narrow._replace(state=_plain(narrow.state))
        restored = ocp.args.Composite(arrays=ocp.args.StandardRestore(template))
        tree = manager.restore(step, args=restored).arrays
        if facts.get("arrays") is not None and facts["arrays"] != _digest(tree):
            raise DamagedError("its arrays are not those that were written")
        # the implementation is that of the running state: the words in the file do not tell it
        key = jax.random.wrap_key_data(tree["state"].key, impl=jax.random.key_impl(state.key))
        best = None if facts["best"] is None else Best(**facts["best"], params=tree["best"])
        partial = None if facts["partial"] is None else PartialEpoch(**facts["partial"])
        history = tuple(Report(**row) for row in facts["history"])
        coordinates = tree.get("coordinates")
        if coordinates is not None:
            coordinates = coordinates._replace(state=coordinates.state._replace(key=key))
        return Snapshot(tree["state"]._replace(key=key), history, best, partial, coordinates)

    def _check(self, saved: Mapping[str, Any], current: Mapping[str, Any]) -> None:
        """Raise unless the saved fingerprint is that of this run."""
        # what stands in the file alone is not compared: a resumed run does not know its first parameters
        for name, value in current.items():
            # an option that is newer than the checkpoint had the value that is its default today
            written = saved[name] if name in saved else text_of_default(name)
            if written != value:
                expects, got = f"{name} {written}", value
                if name == "arrays":  # the first that differs is enough
                    pairs = zip(saved[name], value, strict=False)
                    expects, got = next(((a, b) for a, b in pairs if a != b), ("fewer arrays", "more"))
                remedy = "resume with the settings that it was written with, or take another folder"
                raise InputError(sentence(f"checkpoint {self.folder}", expects, got, remedy))

    @contextmanager
    def _manager(self, ocp: Any) -> Iterator[Any]:
        # synchronous: the manager closes after each save and would wait for the writing anyway
        options = ocp.CheckpointManagerOptions(max_to_keep=MAX_CHECKPOINTS, enable_async_checkpointing=False)
        # Orbax logs warnings about its own waiting, and an error several times before it raises it
        loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]
        levels = [logger.level for logger in loggers]
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        threads = threading.enumerate()
        try:
            with ocp.CheckpointManager(self.folder, options=options) as manager:
                yield manager
        finally:
            _wait_for_threads(threads)
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


class DamagedError(Exception):
    """A checkpoint whose checksum is that of another content."""


def _digest(tree: object) -> str | None:
    """Return the checksum of all arrays of a checkpoint; None where another process holds parts of them."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if not getattr(leaf, "is_fully_addressable", True):
            return None
        array = np.ascontiguousarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {array.shape} {array.dtype}".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)  # as bytes: bfloat16 has no buffer protocol
    return digest.hexdigest()


def _shapes(state: TrainState) -> list[str]:
    """Return name, shape and dtype of every array of a state."""
    leaves = jax.tree_util.tree_leaves_with_path(_plain(state))
    return [f"{jax.tree_util.keystr(path)} {leaf.shape} {leaf.dtype}" for path, leaf in leaves]


def _plain(state: TrainState) -> TrainState:
    """Return the state with its key as numbers."""
    return state._replace(key=jax.random.key_data(state.key))


def _folded_template(state: TrainState) -> Any:
    """Return parameters of the shapes that early stopping keeps: those of the folded network."""
    if not state.moments:
        return state.params
    return (*({"W": layer["W"], "b": layer["b"]} for layer in state.params[:-1]), state.params[-1])


def _short(error: Exception) -> str:
    """Return the first line of an error, of a long one the end: the reason stands behind the paths."""
    text = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {text if len(text) <= 120 else f'... {text[-100:]}'}"


def orbax() -> Any:
    """Return Orbax's module.

    Raises:
      InputError: when it is not installed.
    """
    try:
        import orbax.checkpoint as ocp
    except ImportError:
        remedy = "install it with pip install 'jaxmlp[all]'"
        raise InputError(sentence("checkpoints", "the package orbax-checkpoint", "none", remedy)) from None
    return ocp


def _wait_for_threads(before: Iterable[threading.Thread]) -> None:
    """Wait for the threads of Orbax that were not there before: one that has failed logs the error that it raises."""
    for thread in {*threading.enumerate()}.difference(before):
        if type(thread).__module__.startswith("orbax."):
            thread.join(MAX_WAIT)


Checkpoints = Checkpointer  # its first name, by which older programs import it
