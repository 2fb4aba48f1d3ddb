"""`jaxmlp train DATA --ensemble N`: N networks that differ in their seeds, and what they answer together."""

from pathlib import Path
from typing import Any

from jaxmlp.cli import run_folder
from jaxmlp.cli.loading import held_back
from jaxmlp.cli.output import console, print_json, table
from jaxmlp.cli.training_options import fit_arguments, objective_of
from jaxmlp.data.dataset import Dataset
from jaxmlp.data.stream import StreamedDataset
from jaxmlp.ensemble import Ensemble
from jaxmlp.errors import InputError, sentence
from jaxmlp.training.fit import network_for
from jaxmlp.training.fit_many import Population, fit_many

# what a run on its own can do, and a population cannot
_ALONE = ("patience", "watch", "metrics", "warm_start", "tensorboard")


def train_ensemble(data: Dataset, folder: Path, settings: dict[str, Any], as_json: bool) -> None:
    """Train, write the run folder with a file for each member, and print the figures.

    Args:
      data: what to train on.
      folder: the run folder to make.
      settings: of run.json, its "options" those of the command.
      as_json: whether to print them as JSON.

    Raises:
      InputError: for an option that a population does not take.
    """
    options = settings["options"]
    for name in _ALONE:
        if options[name]:
            remedy = "leave one of them out"
            raise InputError(sentence("--ensemble", f"no --{name.replace('_', '-')}", options[name], remedy))
    if isinstance(data, StreamedDataset):
        raise InputError(sentence("--ensemble", "rows in memory", "--stream", "leave one of them out"))
    data = held_back(options, data)
    net = network_for(data, options["hidden"], options["activation"], options["norm"])
    objective, first, n = objective_of(options), options["seed"], options["ensemble"]
    arguments = fit_arguments(options, data)
    for name in ("key", "stopping", "metrics"):
        del arguments[name]
    found = fit_many(net, data, objective=objective, seeds=range(first, first + n), **arguments)
    ensemble = Ensemble.of(found, data, objective)
    summary = _summary(ensemble, found, data) | {"run": str(folder)}
    folder.mkdir(parents=True, exist_ok=True)
    ensemble.save(folder)
    run_folder.write_settings(folder, {**settings, "result": summary, "finished": True})
    if as_json:
        print_json(summary)
        return
    accuracies = {name: f"{summary[name]:.2%}" for name in summary if name.endswith("accuracy") if summary[name]}
    console().print(table(f"trained {n} networks", {**summary, **accuracies}))


def _summary(ensemble: Ensemble, found: Population, data: Dataset) -> dict[str, Any]:
    """Figures of the held-back part, or of the training part where there is none, beside those of a mean member."""
    part = data.test or data.validation or data.train
    figures = ensemble.evaluate(part)
    name = "r2" if ensemble.task == "regression" else "accuracy"
    each = [member.evaluate(part, name)[name] for member in ensemble.members]
    how = found.strategies[0]
    return {
        "data": data.name,
        "task": ensemble.task,
        "network": "-".join(map(str, ensemble.members[0].net.sizes)),
        "members": len(ensemble.members),
        "diverged": found.leaderboard[0].diverged,
        f"test_{name}" if part is not data.train else f"train_{name}": figures[name],
        f"mean_member_{name}": sum(each) / len(each),
        f"best_member_{name}": max(each),
        "disagreement": figures["disagreement"],
        "log_loss": figures.get("log_loss"),
        "member_cost": figures["member_cost"],
        "strategy": f"{how.name}, {how.size} to a program ({how.reason})",
    }
