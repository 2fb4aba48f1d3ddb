"""Checkpoints: where a run stands, on disk, so that a stop of any kind loses seconds at most.

    keep(snapshot)     after an epoch or within a long one, when the last is `every` seconds old; at the end of a run
    latest(template)   the newest whole one, as the `Snapshot` to go on from; bit for bit what was kept

Orbax writes each into a folder of its own that takes its name when it is whole, so a kill in the middle of a write
leaves the one before. Arrays are stored as arrays and the history as JSON: no code, no pickle. Orbax is an optional
package and is imported when a checkpoint is first read or written.
"""

import logging
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

from jaxmlp.errors import InputError, InputTypeError, sentence
from jaxmlp.training.processes import agreed
from jaxmlp.training.state import Report, TrainState, Unfinished
from jaxmlp.training.stopping import Best, Snapshot

EVERY = 5.0  # seconds; a checkpoint of a small network takes a tenth of one
KEPT = 2


class Checkpoints:
    """The checkpoints of one run, for `fit(..., checkpoints=...)`.

    Args:
      folder: where; made when it is needed.
      every: seconds between two of them; 0 for one after every epoch, and every piece of a long one.
      run: what the run is, in texts and numbers: a checkpoint of another one is refused.

    Raises:
      InputError: when `every` is negative, or `folder` is a file.
    """

    def __init__(
        self, folder: str | os.PathLike[str], every: float = EVERY, run: Mapping[str, Any] | None = None
    ) -> None:
        if not isinstance(folder, str | os.PathLike):
            raise InputTypeError(sentence("checkpoints", "a folder", repr(folder), "write checkpoints='run', say"))
        if not every >= 0:
            raise InputError(sentence("checkpoints", "seconds ≥ 0", every, f"write {EVERY:g}, say"))
        self.folder = Path(folder).absolute()
        if self.folder.exists() and not self.folder.is_dir():
            raise InputError(sentence("checkpoints", "a folder", f"the file {self.folder}", "take another name"))
        self.every = every
        self.run = dict(run or {})
        self._written = time.monotonic()
        self._step = -1

    def offer(self, take: Callable[[], Snapshot]) -> None:
        """After an epoch or within one: keep the snapshot that `take` gives, if it is time for that in any process."""
        if agreed(time.monotonic() - self._written >= self.every):
            self.keep(take())

    def keep(self, snapshot: Snapshot) -> None:
        """Write a checkpoint now, unless this step has one.

        Should that fail, a warning says so and training goes on; of several processes, none goes on without the others.
        """
        step = int(snapshot.state.step)
        if step == self._step:
            return
        orbax()
        try:
            self._write(step, snapshot)
        except Exception as error:  # a full disk, say, in whatever way Orbax and its storage put it
            if jax.process_count() > 1:
                raise
            for rest in self.folder.glob(f"{step}.*-tmp*"):
                shutil.rmtree(rest, ignore_errors=True)
            last = f"the last is that of step {self._step}" if self._step > 0 else "there is none before it"
            warnings.warn(f"step {step} was not kept in {self.folder} ({_short(error)}): {last}", stacklevel=2)
        else:
            self._step = step
        self._written = time.monotonic()

    def _write(self, step: int, snapshot: Snapshot) -> None:
        ocp = orbax()
        best = snapshot.best
        tree = {"state": _plain(snapshot.state), "best": None if best is None else best.params}
        facts = {
            "run": {**self.run, "arrays": _shapes(snapshot.state)},
            "history": [report._asdict() for report in snapshot.history],
            "best": None if best is None else {"epoch": best.epoch, "value": best.value},
            "unfinished": None if snapshot.unfinished is None else snapshot.unfinished._asdict(),
        }
        arguments = ocp.args.Composite(arrays=ocp.args.StandardSave(tree), facts=ocp.args.JsonSave(facts))
        with self._manager(ocp) as manager:
            for left in manager.all_steps():  # by a run that began again from an older one
                if left >= step:
                    manager.delete(left)
            manager.save(step, args=arguments)

    def latest(self, state: TrainState) -> Snapshot | None:
        """The newest checkpoint that is whole; None where there is none at all. A warning tells of damaged ones.

        Args:
          state: one of the run's shape, as `start` makes it.

        Raises:
          InputError: when the checkpoint is of another run, or none can be read.
        """
        ocp = orbax()
        if not self.folder.is_dir():
            return None
        damaged: dict[int, str] = {}
        with self._manager(ocp) as manager:
            for step in sorted(manager.all_steps(), reverse=True):
                try:
                    found = self._read(ocp, manager, step, state)
                except InputError:
                    raise
                except Exception as error:  # a file cut short, or gone: each part of Orbax has an error of its own
                    damaged[step] = _short(error)
                    continue
                for bad, why in damaged.items():
                    text = f"the checkpoint of step {bad} in {self.folder} is damaged ({why}): going on from {step}"
                    warnings.warn(text, stacklevel=2)
                self._step = step
                return found
        if damaged:
            got = f"damaged ones of the steps {', '.join(map(str, damaged))}"
            remedy = "delete that folder, to begin anew"
            raise InputError(sentence(f"{self.folder}", "a checkpoint that can be read", got, remedy))
        return None

    def _read(self, ocp: Any, manager: Any, step: int, state: TrainState) -> Snapshot:
        facts = manager.restore(step, args=ocp.args.Composite(facts=ocp.args.JsonRestore())).facts
        self._check(facts["run"], {**self.run, "arrays": _shapes(state)})
        self.run = {name: value for name, value in facts["run"].items() if name != "arrays"} | self.run
        template = {"state": _plain(state), "best": None if facts["best"] is None else _answers(state)}
        restored = ocp.args.Composite(arrays=ocp.args.StandardRestore(template))
        tree = manager.restore(step, args=restored).arrays
        key = jax.random.wrap_key_data(tree["state"].key, impl=jax.random.key_impl(state.key))
        best = None if facts["best"] is None else Best(**facts["best"], params=tree["best"])
        unfinished = None if facts["unfinished"] is None else Unfinished(**facts["unfinished"])
        history = tuple(Report(**row) for row in facts["history"])
        return Snapshot(tree["state"]._replace(key=key), history, best, unfinished)

    def _check(self, theirs: Mapping[str, Any], mine: Mapping[str, Any]) -> None:
        """Raise for a checkpoint of another run."""
        for name, value in mine.items():
            if theirs.get(name) != value:
                expects, got = f"{name} {theirs.get(name, 'unknown')}", value
                if name == "arrays":  # the first that differs is enough
                    pairs = zip(theirs[name], value, strict=False)
                    expects, got = next(((a, b) for a, b in pairs if a != b), ("fewer arrays", "more"))
                remedy = "resume with the settings that it was written with, or take another folder"
                raise InputError(sentence(f"checkpoint {self.folder}", expects, got, remedy))

    @contextmanager
    def _manager(self, ocp: Any) -> Iterator[Any]:
        options = ocp.CheckpointManagerOptions(max_to_keep=KEPT, enable_async_checkpointing=False)
        # Orbax warns of its own waiting, and tells of an error many times over before it raises it
        logs = [logging.getLogger(name) for name in ("absl", "asyncio")]
        before = [log.level for log in logs]
        for log in logs:
            log.setLevel(logging.CRITICAL)
        try:
            with ocp.CheckpointManager(self.folder, options=options) as manager:
                yield manager
        finally:
            for log, level in zip(logs, before, strict=True):
                log.setLevel(level)


def _shapes(state: TrainState) -> list[str]:
    """Name, shape and dtype of every array of a state."""
    leaves = jax.tree_util.tree_leaves_with_path(_plain(state))
    return [f"{jax.tree_util.keystr(path)} {leaf.shape} {leaf.dtype}" for path, leaf in leaves]


def _plain(state: TrainState) -> TrainState:
    """The state with its key as numbers."""
    return state._replace(key=jax.random.key_data(state.key))


def _answers(state: TrainState) -> Any:
    """Parameters of the shape that early stopping keeps: those of the folded network."""
    if not state.moments:
        return state.params
    return (*({"W": layer["W"], "b": layer["b"]} for layer in state.params[:-1]), state.params[-1])


def _short(error: Exception) -> str:
    """The first line of an error, of a long one the end: there stands the reason, behind all the paths."""
    text = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {text if len(text) <= 120 else f'... {text[-100:]}'}"


def orbax() -> Any:
    """Orbax's module.

    Raises:
      InputError: when it is not installed.
    """
    try:
        import orbax.checkpoint as ocp
    except ImportError:
        remedy = "install it with pip install 'jaxmlp[all]'"
        raise InputError(sentence("checkpoints", "the package orbax-checkpoint", "none", remedy)) from None
    return ocp
