"""`jaxmlp train DATA --ensemble N`: train N networks that differ only in their seeds, and average their predictions.

The members are trained in rounds. After each round their files are written, so that a stopped run keeps them and
--resume trains only the missing ones. The seed of member I is --seed + I - 1 in every round, so a resumed run trains
the same members as an uninterrupted one.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jaxmlp.cli import run_folder
from jaxmlp.cli.loading import prepare_data
from jaxmlp.cli.output import console, facts_table, print_json
from jaxmlp.cli.rescue import FolderGuard
from jaxmlp.cli.run_folder import Settings
from jaxmlp.cli.signals import Stop, stop_on_signal
from jaxmlp.cli.training_options import config_of, find_rate, network_of
from jaxmlp.data.dataset import Dataset
from jaxmlp.data.streaming.dataset import StreamedDataset
from jaxmlp.errors import InputError, sentence
from jaxmlp.inference import model_file
from jaxmlp.inference.model import Model
from jaxmlp.parallel.processors import n_processors, on_cpu
from jaxmlp.population.ensemble import Ensemble
from jaxmlp.population.fit_many import Population, fit_many
from jaxmlp.training.progress import counting_bar

# on an accelerator. On a CPU a round has one member per core: all cores are busy, and files are written soonest.
MEMBERS_PER_ROUND = 16


class _Stopped(Exception):
    """A signal stops the training in the middle of a round."""


def train_ensemble(data: Dataset, folder: Path, settings: Settings, as_json: bool, *, resumed: bool) -> int:
    """Train the members whose files are missing, and print the summary; return the exit status.

    Args:
      data: the data set.
      folder: the run folder to make or to resume.
      settings: the contents of run.json: "options" of the command, and "diverged", the members that have no file
        because their training diverged.
      as_json: whether to print the summary as JSON.
      resumed: whether the folder belongs to an earlier run.

    Raises:
      InputError: for streamed data, and when all members diverge.
    """
    options, n = settings["options"], settings["options"]["ensemble"]
    if isinstance(data, StreamedDataset):
        raise InputError(sentence("--ensemble", "rows in memory", "--stream", "leave one of them out"))
    data = prepare_data(options, data, options["output"])
    net = network_of(options, data)
    config, _ = find_rate(options, net, data, config_of(options, data, options["output"]))
    config, objective = config.replace(key=None), config.objective  # `fit_many` makes the key of a member from its seed

    def train(indices: list[int], progress: Callable[[int, int], None]) -> Population:
        seeds = [options["seed"] + i - 1 for i in indices]
        return fit_many(net, data, config, seeds=seeds, progress=progress)

    def save(population: Population, indices: list[int]) -> None:
        models = {
            i: Model.of(member.net, member.params, data, objective)
            for i, member in zip(indices, population.members, strict=True)
            if member.diverged is None
        }

        def write(destination: Path) -> str:
            for i, model in models.items():
                model_file.write(model_file.member(destination, i), model)
            return f"the last round (members {', '.join(map(str, models))})"

        # a diverged member has no file; without this list --resume would train it again
        settings["diverged"] += [i for i in indices if i not in models]
        with guard.save_elsewhere_if_gone(write):
            if not guard.is_gone():
                write(folder)
                run_folder.write_settings(folder, {**settings, "finished": False})

    settings.setdefault("diverged", [])
    # the summary is computed from the files, not from the trained networks, so that a resumed run prints the same one
    with run_folder.open_run(folder, settings, resumed=resumed), stop_on_signal() as stop:
        guard = FolderGuard(folder)
        strategy = _train_rounds(_missing_members(folder, settings), n, options["epochs"], train, save, stop)
        missing = len(_missing_members(folder, settings))
        summary: dict[str, Any] = {"run": str(folder), "members": n - missing - len(settings["diverged"])}
        if len(settings["diverged"]) == n:
            expects, remedy = "at least one member that does not diverge", "lower the learning rate"
            raise InputError(sentence("--ensemble", expects, "none", remedy))
        if summary["members"]:
            ensemble = Ensemble.load(folder)
            summary |= _summarize_ensemble(ensemble, data)
            summary |= run_folder.environment(ensemble.members[0], options["precision"])
        summary |= {"diverged": len(settings["diverged"]), "strategy": strategy}
        run_folder.write_settings(folder, {**settings, "result": summary, "finished": not missing})
    if as_json:
        print_json(summary | {"finished": not missing})
    else:
        percentages = {name: f"{value:.2%}" for name, value in summary.items() if name.endswith("accuracy")}
        console().print(facts_table(f"trained {summary['members']} networks", {**summary, **percentages}))
    if missing:
        line = f"stopped with {n - missing} of {n} members; {run_folder.how_to_resume(folder)}"
        console(stderr=True).print(line, soft_wrap=True)
    return stop.exit_code if missing else 0


def _missing_members(folder: Path, settings: Settings) -> list[int]:
    """Return the numbers of the members that are not trained yet; the first member is 1."""
    # a file is written as a whole or not at all, so a member that has a file is trained
    numbers = range(1, settings["options"]["ensemble"] + 1)
    return [i for i in numbers if not model_file.member(folder, i).exists() and i not in settings["diverged"]]


def _train_rounds(
    missing: list[int],
    n: int,
    epochs: int,
    train: Callable[[list[int], Callable[[int, int], None]], Population],
    save: Callable[[Population, list[int]], None],
    stop: Stop,
) -> str | None:
    """Train and save the members in rounds, until all exist or a signal comes. Return the strategy as text."""
    text, size = None, n_processors() if on_cpu() else MEMBERS_PER_ROUND
    with counting_bar("epochs of all members") as bar:
        for first in range(0, len(missing), size):
            indices, n_before = missing[first : first + size], n - len(missing) + first

            def progress(done: int, _: int, n_before: int = n_before) -> None:
                # `fit_many` calls this between two calls of the device. Only here can a signal end a round: a call of
                # the device cannot be interrupted.
                bar(n_before * epochs + done, n * epochs)
                if stop.on_epoch_end():
                    raise _Stopped

            try:
                population = train(indices, progress)
            except _Stopped:
                break
            save(population, indices)
            strategy = population.strategies[0]
            text = f"{strategy.name}, {strategy.size} per program ({strategy.reason})"
            if stop.on_epoch_end():
                break
    return text


def _summarize_ensemble(ensemble: Ensemble, data: Dataset) -> dict[str, Any]:
    """Return metrics of the ensemble and of its members on the test part, else the validation or training part."""
    part = data.test or data.validation or data.train
    metrics = ensemble.evaluate(part)
    name = "r2" if ensemble.task == "regression" else "accuracy"
    of_members = [member.evaluate(part, name)[name] for member in ensemble.members]
    return {
        "data": data.name,
        "task": ensemble.task,
        "network": "-".join(map(str, ensemble.members[0].net.sizes)),
        f"test_{name}" if part is not data.train else f"train_{name}": metrics[name],
        f"mean_member_{name}": sum(of_members) / len(of_members),
        f"best_member_{name}": max(of_members),
        "disagreement": metrics["disagreement"],
        "log_loss": metrics.get("log_loss"),
        "member_cost": metrics["member_cost"],
    }
