"""`jaxmlp train DATA --ensemble N`: N networks that differ in their seeds, and what they answer together."""

from pathlib import Path
from typing import Any

from jaxmlp.cli import run_folder
from jaxmlp.cli.output import console, print_json, table
from jaxmlp.data.dataset import Dataset
from jaxmlp.ensemble import Ensemble
from jaxmlp.nn.network import Network
from jaxmlp.nn.objective import Objective
from jaxmlp.training.fit_many import Population, fit_many


def train_ensemble(
    net: Network, data: Dataset, objective: Objective, folder: Path, settings: dict[str, Any], as_json: bool
) -> None:
    """Train, write the run folder with a file for each member, and print the figures.

    Args:
      net, data, objective: what to train.
      folder: the run folder to make.
      settings: of run.json, its "options" those of the command.
      as_json: whether to print them as JSON.
    """
    options = settings["options"]
    first, n = options["seed"], options["ensemble"]
    given = {name: options[name] for name in ("optimizer", "learning_rate", "epochs", "batch_size", "scheme")}
    found = fit_many(net, data, objective=objective, seeds=range(first, first + n), **given)
    ensemble = Ensemble.of(found, data, objective)
    summary = _summary(ensemble, found, data) | {"run": str(folder)}
    with run_folder.new_folder(folder) as temporary:
        ensemble.save(temporary)
        run_folder.write_settings(temporary, {**settings, "result": summary})
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
