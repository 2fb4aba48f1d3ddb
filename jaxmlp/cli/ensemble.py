"""`jaxmlp train DATA --ensemble N`: N networks that differ in their seeds, and what they answer together.

They are trained in rounds, and what a round has trained is on disk when the next begins: member-I.h5 is the run of seed
--seed + I - 1 whoever else is trained with it, so that --resume trains those that are missing.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from jaxmlp import model_file
from jaxmlp.cli import run_folder
from jaxmlp.cli.loading import as_trained
from jaxmlp.cli.output import console, print_json, table
from jaxmlp.cli.signals import Stop, graceful
from jaxmlp.cli.training_options import find_rate, objective_of, shared_arguments
from jaxmlp.data.dataset import Dataset
from jaxmlp.data.stream import StreamedDataset
from jaxmlp.ensemble import Ensemble
from jaxmlp.errors import InputError, sentence
from jaxmlp.model import Model
from jaxmlp.training.fit import network_for
from jaxmlp.training.fit_many import Population, fit_many
from jaxmlp.training.progress import counting_bar
from jaxmlp.training.strategy import cores

ROUND = 16  # members that an accelerator trains at once


class _Stopped(Exception):
    """A signal has come in the middle of a round."""


def train_ensemble(data: Dataset, folder: Path, settings: dict[str, Any], as_json: bool, *, resumed: bool) -> int:
    """Train the members whose files are not there, and print the figures of all; return the exit code.

    Args:
      data: what to train on.
      folder: the run folder to make, or the one to go on with.
      settings: of run.json, its "options" those of the command, "diverged" the members that have no file.
      as_json: whether to print them as JSON.
      resumed: whether it is one to go on with.

    Raises:
      InputError: for data that a population does not take, and when all members diverge.
    """
    options, n = settings["options"], settings["options"]["ensemble"]
    if isinstance(data, StreamedDataset):
        raise InputError(sentence("--ensemble", "rows in memory", "--stream", "leave one of them out"))
    data = as_trained(options, data, options["output"])
    net = network_for(data, options["hidden"], options["activation"], options["norm"], options["output"])
    objective = objective_of(options, data.task, options["output"])
    arguments = shared_arguments(options, data)
    find_rate(options, net, data, objective, arguments | {"key": jax.random.key(options["seed"])})
    arguments["learning_rate"] = options["learning_rate"]

    def train(places: list[int], progress: Callable[[int, int], None]) -> Population:
        seeds = [options["seed"] + place - 1 for place in places]
        return fit_many(net, data, objective=objective, seeds=seeds, progress=progress, **arguments)

    def keep(found: Population, places: list[int]) -> None:
        for place, member in zip(places, found.members, strict=True):
            if member.diverged is not None:
                settings["diverged"].append(place)
            else:
                model = Model.of(member.net, member.params, data, objective)
                model_file.write(model_file.member(folder, place), model)
        run_folder.write_settings(folder, {**settings, "finished": False})

    settings.setdefault("diverged", [])
    with run_folder.kept(folder, settings, resumed=resumed), graceful() as stop:
        how = _in_rounds(_missing(folder, settings), n, options["epochs"], train, keep, stop)
        missing = len(_missing(folder, settings))
        summary: dict[str, Any] = {"run": str(folder), "members": n - missing - len(settings["diverged"])}
        if len(settings["diverged"]) == n:
            raise InputError(
                sentence("--ensemble", "a member that does not diverge", "none", "lower the learning rate")
            )
        if summary["members"]:
            summary |= _summary(Ensemble.load(folder), data)
        summary |= {"diverged": len(settings["diverged"]), "strategy": how}
        run_folder.write_settings(folder, {**settings, "result": summary, "finished": not missing})
    _print(summary, as_json, finished=not missing)
    if missing:
        line = f"stopped with {n - missing} of {n} members; {run_folder.go_on(folder)}"
        console(stderr=True).print(line, soft_wrap=True)
    return stop.exit_code if missing else 0


def _missing(folder: Path, settings: dict[str, Any]) -> list[int]:
    """The places of members, from 1, that are still to be trained."""
    places = range(1, settings["options"]["ensemble"] + 1)
    there = {place for place in places if model_file.member(folder, place).exists()}
    return [place for place in places if place not in there and place not in settings["diverged"]]


def _in_rounds(
    missing: list[int],
    n: int,
    epochs: int,
    train: Callable[[list[int], Callable[[int, int], None]], Population],
    keep: Callable[[Population, list[int]], None],
    stop: Stop,
) -> str | None:
    """Train and keep members, round by round, until all are there or a signal comes; say how it was done."""
    how, size = None, cores() if jax.default_backend() == "cpu" else ROUND
    with counting_bar("epochs of all members") as bar:
        for first in range(0, len(missing), size):
            places, before = missing[first : first + size], n - len(missing) + first

            def progress(done: int, _: int, before: int = before) -> None:
                bar(before * epochs + done, n * epochs)
                if stop.signal is not None:
                    raise _Stopped

            try:
                found = train(places, progress)
            except _Stopped:
                break
            keep(found, places)
            used = found.strategies[0]
            how = f"{used.name}, {used.size} to a program ({used.reason})"
            if stop.signal is not None:
                break
    return how


def _summary(ensemble: Ensemble, data: Dataset) -> dict[str, Any]:
    """Figures of the held-back part, or of the training part where there is none, beside those of a mean member."""
    part = data.test or data.validation or data.train
    figures = ensemble.evaluate(part)
    name = "r2" if ensemble.task == "regression" else "accuracy"
    each = [member.evaluate(part, name)[name] for member in ensemble.members]
    return {
        "data": data.name,
        "task": ensemble.task,
        "network": "-".join(map(str, ensemble.members[0].net.sizes)),
        f"test_{name}" if part is not data.train else f"train_{name}": figures[name],
        f"mean_member_{name}": sum(each) / len(each),
        f"best_member_{name}": max(each),
        "disagreement": figures["disagreement"],
        "log_loss": figures.get("log_loss"),
        "member_cost": figures["member_cost"],
    }


def _print(summary: dict[str, Any], as_json: bool, *, finished: bool) -> None:
    if as_json:
        print_json(summary | {"finished": finished})
        return
    shares = {name: f"{value:.2%}" for name, value in summary.items() if name.endswith("accuracy")}
    console().print(table(f"trained {summary['members']} networks", {**summary, **shares}))
