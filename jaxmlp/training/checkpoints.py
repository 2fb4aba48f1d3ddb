"""Checkpoints: where a run stands, on disk, so that a stop of any kind loses seconds at most.

    keep(snapshot)     after an epoch, when the last one is `every` seconds old; and at the end of a run
    latest(template)   the newest whole one, as the `Snapshot` to go on from; bit for bit what was kept

Orbax writes each into a folder of its own that takes its name when it is whole, so a kill in the middle of a write
leaves the one before. Arrays are stored as arrays and the history as JSON: no code, no pickle. Orbax is an optional
package and is imported when a checkpoint is first read or written.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

from jaxmlp.errors import InputError, sentence
from jaxmlp.training.state import Report, TrainState
from jaxmlp.training.stopping import Best, Snapshot

EVERY = 5.0  # seconds; a checkpoint of a small network takes a tenth of one
KEPT = 2


class Checkpoints:
    """The checkpoints of one run, for `fit(..., checkpoints=...)`.

    Args:
      folder: where; made when it is needed.
      every: seconds between two of them; 0 for one after every epoch.
      run: what the run is, in texts and numbers: a checkpoint of another one is refused.

    Raises:
      InputError: when `every` is negative.
    """

    def __init__(
        self, folder: str | os.PathLike[str], every: float = EVERY, run: Mapping[str, Any] | None = None
    ) -> None:
        if not every >= 0:
            raise InputError(sentence("checkpoints", "seconds ≥ 0", every, f"write {EVERY:g}, say"))
        self.folder = Path(folder).absolute()
        self.every = every
        self.run = dict(run or {})
        self._written = time.monotonic()
        self._epoch = -1

    def offer(self, take: Callable[[], Snapshot]) -> None:
        """After an epoch: keep the snapshot that `take` gives, if it is time."""
        if time.monotonic() - self._written >= self.every:
            self.keep(take())

    def keep(self, snapshot: Snapshot) -> None:
        """Write a checkpoint now, unless this epoch's is there."""
        epoch = int(snapshot.state.epoch)
        if epoch == self._epoch:
            return
        ocp = _orbax()
        best = snapshot.best
        tree = {"state": _plain(snapshot.state), "best": None if best is None else best.params}
        facts = {
            "run": {**self.run, "arrays": _shapes(snapshot.state)},
            "history": [report._asdict() for report in snapshot.history],
            "best": None if best is None else {"epoch": best.epoch, "value": best.value},
        }
        arguments = ocp.args.Composite(arrays=ocp.args.StandardSave(tree), facts=ocp.args.JsonSave(facts))
        with self._manager(ocp) as manager:
            if epoch in manager.all_steps():  # left by a run that began again from an older one
                manager.delete(epoch)
            manager.save(epoch, args=arguments)
        self._epoch, self._written = epoch, time.monotonic()

    def latest(self, state: TrainState) -> Snapshot | None:
        """The newest checkpoint; None where there is none.

        Args:
          state: one of the run's shape, as `start` makes it.

        Raises:
          InputError: when the checkpoint is of another run, or cannot be read.
        """
        if not self.folder.is_dir():
            return None
        ocp = _orbax()
        with self._manager(ocp) as manager:
            epoch = manager.latest_step()
            if epoch is None:
                return None
            facts = manager.restore(epoch, args=ocp.args.Composite(facts=ocp.args.JsonRestore())).facts
            self._check(facts["run"], {**self.run, "arrays": _shapes(state)})
            template = {"state": _plain(state), "best": None if facts["best"] is None else _answers(state)}
            restored = ocp.args.Composite(arrays=ocp.args.StandardRestore(template))
            tree = manager.restore(epoch, args=restored).arrays
        key = jax.random.wrap_key_data(tree["state"].key, impl=jax.random.key_impl(state.key))
        best = None if facts["best"] is None else Best(**facts["best"], params=tree["best"])
        self._epoch = epoch
        return Snapshot(tree["state"]._replace(key=key), tuple(Report(**row) for row in facts["history"]), best)

    def _check(self, theirs: Mapping[str, Any], mine: Mapping[str, Any]) -> None:
        """Raise for a checkpoint of another run."""
        for name, value in mine.items():
            if theirs.get(name) != value:
                expects, got = f"{name} {theirs.get(name)}", value
                if name == "arrays":  # the first that differs is enough
                    pairs = zip(theirs[name], value, strict=False)
                    expects, got = next(((a, b) for a, b in pairs if a != b), ("fewer arrays", "more"))
                remedy = "resume with the settings that it was written with, or take another folder"
                raise InputError(sentence(f"checkpoint {self.folder}", expects, got, remedy))

    @contextmanager
    def _manager(self, ocp: Any) -> Iterator[Any]:
        options = ocp.CheckpointManagerOptions(max_to_keep=KEPT, enable_async_checkpointing=False)
        log = logging.getLogger("absl")
        before = log.level
        log.setLevel(logging.ERROR)  # Orbax warns of its own waiting
        try:
            with ocp.CheckpointManager(self.folder, options=options) as manager:
                yield manager
        finally:
            log.setLevel(before)


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


def _orbax() -> Any:
    try:
        import orbax.checkpoint as ocp
    except ImportError:
        remedy = "install it with pip install 'jaxmlp[all]'"
        raise InputError(sentence("checkpoints", "the package orbax-checkpoint", "none", remedy)) from None
    return ocp
