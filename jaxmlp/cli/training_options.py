"""The options of `train`, and what `fit` gets of them."""

import re
from typing import Any

import click
import jax

from jaxmlp.cli.loading import VALIDATION
from jaxmlp.cli.options import FIND, BatchSize, Names, Numbers, Rate
from jaxmlp.data.dataset import Dataset
from jaxmlp.errors import InputError, sentence
from jaxmlp.nn.activations import ACTIVATIONS
from jaxmlp.nn.costs import COSTS
from jaxmlp.nn.initializers import INITIALIZERS
from jaxmlp.nn.network import Network, Params
from jaxmlp.nn.normalization import KINDS
from jaxmlp.nn.objective import Objective
from jaxmlp.training.arguments import PRECISIONS
from jaxmlp.training.batches import FULL
from jaxmlp.training.checkpoints import EVERY
from jaxmlp.training.fit import ACTIVATION, BATCH_SIZE, EPOCHS, HIDDEN
from jaxmlp.training.optimizers import DEFAULT, OPTIMIZERS
from jaxmlp.training.range_test import RangeTest, lr_find
from jaxmlp.training.schedules import DEFAULT as CONSTANT
from jaxmlp.training.schedules import SCHEDULES
from jaxmlp.training.scores import SCORES
from jaxmlp.training.stopping import EarlyStopping


def _listed(names: Any) -> str:
    return ", ".join(names)


_HIDDEN = click.option("--hidden", type=Numbers(), default=_listed(map(str, HIDDEN)), show_default=True,
                        help="Units per hidden layer, or none.")  # fmt: skip
# of a population, too
_SHARED = (
    click.option("--activation", type=Names(), default=ACTIVATION, show_default=True,
                 help=f"Of all hidden layers, or one for each: {_listed(ACTIVATIONS)}."),
    click.option("--output", help="Activation of the last layer [sigmoid, softmax or identity, as the task has it]; "
                                  "the values of another than identity are not standardised."),
    click.option("--norm", type=click.Choice(KINDS), help="Normalise the Z of hidden layers [not]."),
    click.option("--cost", help=f"One of {_listed(COSTS)}; numbers in parentheses [follows from the task]."),
    click.option("--init", "scheme", default="auto", show_default=True,
                 help=f"Weights: auto, {_listed(INITIALIZERS)}."),
    click.option("--epochs", type=int, default=EPOCHS, show_default=True, help="Times through the rows."),
    click.option("--batch-size", type=BatchSize(), default=str(BATCH_SIZE), show_default=True,
                 help="Rows per step, or full."),
    click.option("--optimizer", default=DEFAULT, show_default=True, help=f"One of {_listed(OPTIMIZERS)}."),
    click.option("--learning-rate", type=Rate(),
                 help=f"α, or {FIND}: what a range test suggests [the optimizer's own, 0.001 for adam]."),
    click.option("--schedule", default=CONSTANT, show_default=True,
                 help=f"Of α: {_listed(SCHEDULES)}, as in 'step(0.5, 10)'."),
    click.option("--warmup", type=float, default=0.0, show_default=True, help="Epochs during which α rises from 0."),
    click.option("--weight-decay", type=float, help="Decoupled, for adamw and lion [0.01]."),
    click.option("--clip", type=float, help="The longest gradient [any]."),
    click.option("--l2", type=float, help="λ of the penalty λ/2m Σ‖W‖² [none]."),
    click.option("--l1", type=float, help="λ of the penalty λ/m Σ|w| [none]."),
    click.option("--max-norm", type=float, help="The longest weights into one unit [any]."),
    click.option("--dropout", type=float, help="Share of hidden units silenced in a step [none]."),
    click.option("--input-dropout", type=float, help="Share of features silenced in a step [none]."),
    click.option("--input-noise", type=float, help="σ of the noise added to the features [none]."),
    click.option("--label-smoothing", type=float, help="s: y ← (1 - s) y + s/C [none]."),
    click.option("--mixup", type=float, help="α of Beta(α, α), by which examples are mixed [none]."),
    click.option("--average", type=float, help="Decay of a moving average of the parameters, which is kept [none]."),
    click.option("--class-weight", help="balanced, or LABEL=WEIGHT,... [all 1]."),
    click.option("--freeze", type=Numbers(), help="Layers, from 1, that stay as they are [none]."),
    click.option("--precision", type=click.Choice(PRECISIONS), help="bfloat16: of the matrix products [float32]."),
    click.option("--validation-fraction", type=float,
                 help=f"Training rows held back to be watched [0; {VALIDATION:g} with --patience]."),
)  # fmt: skip
_ALONE = (
    click.option("--patience", type=int, help="Stop after so many epochs without improvement [never]."),
    click.option("--watch", metavar="METRIC",
                 help=f"What is to improve: cost, validation_cost, validation_accuracy, {_listed(SCORES)}."),
    click.option("--metric", "metrics", multiple=True, metavar="METRIC",
                 help="Report it after every epoch; may be repeated."),
    click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True,
                 help="Of the weights, of the order of the rows and of the noise."),
    click.option("--checkpoint-every", type=float, default=EVERY, show_default=True, metavar="SECONDS",
                 help="How often the run is kept, to resume from."),
)  # fmt: skip

_OBJECTIVE = ("l2", "l1", "max_norm", "dropout", "input_dropout", "input_noise", "label_smoothing", "mixup")
_RANGE_TEST = (
    "optimizer",
    "weight_decay",
    "batch_size",
    "scheme",
    "class_weight",
    "clip",
    "freeze",
    "precision",
    "key",
)
_FIT = ("optimizer", "learning_rate", "schedule", "warmup", "weight_decay", "clip", "average", "epochs", "batch_size")


def training_options(command: Any) -> Any:
    """All options of a training."""
    for option in reversed((_HIDDEN, *_SHARED, *_ALONE)):
        command = option(command)
    return command


def population_options(command: Any) -> Any:
    """Those that `fit_many` takes, too; units of hidden layers and seeds are a population's own."""
    for option in reversed(_SHARED):
        command = option(command)
    return command


def objective_of(options: dict[str, Any], task: str, output: Any) -> Objective:
    """The objective that options describe; 0 leaves a part out.

    Values are no probabilities: for regression a sigmoid's cost is quadratic, unless it is named.
    """
    cost = options["cost"]
    if cost is None and task == "regression" and output == "sigmoid":
        cost = "quadratic"
    return Objective(cost, **{name: options[name] or None for name in _OBJECTIVE})


def fit_arguments(options: dict[str, Any], data: Dataset) -> dict[str, Any]:
    """The arguments of `fit` that options describe, but for network, data, objective and what observes."""
    stopping = None
    if options["patience"] is not None:
        stopping = EarlyStopping(options["patience"], options["watch"])
    elif options["watch"] is not None:
        raise InputError(sentence("--watch", "--patience beside it", "none", "write --patience 10, say"))
    shared = shared_arguments(options, data)
    metrics, key = tuple(options["metrics"]), jax.random.key(options["seed"])
    return {**shared, "stopping": stopping, "metrics": metrics, "key": key}


def shared_arguments(options: dict[str, Any], data: Dataset) -> dict[str, Any]:
    """Those of them that `fit_many` takes, too."""
    name, batch_size = options["optimizer"], options["batch_size"]
    if name in OPTIMIZERS and OPTIMIZERS[name].learning_rate is None and batch_size != FULL:
        got, remedy = f"--batch-size {batch_size}", "add --batch-size full"
        raise InputError(sentence(f"--optimizer {name}", "full batches", got, remedy))
    if options["precision"] == "float64":
        jax.config.update("jax_enable_x64", True)
    return {
        **{name: options[name] for name in _FIT},
        "scheme": options["scheme"],
        "precision": options["precision"],
        "class_weight": _class_weight(options["class_weight"], data),
        "freeze": options["freeze"] or (),
    }


def find_rate(
    options: dict[str, Any],
    net: Network,
    data: Dataset,
    objective: Objective,
    arguments: dict[str, Any],
    params: Params | None = None,
) -> RangeTest | None:
    """Put the rate of a range test, to two digits, where the options ask for one; None where they do not."""
    if options["learning_rate"] != FIND:
        return None
    given = {name: arguments[name] for name in _RANGE_TEST}
    found = lr_find(net, data, params=params, objective=objective, **given)
    options["learning_rate"] = arguments["learning_rate"] = float(f"{found.suggestion:.2g}")
    return found


def _class_weight(text: str | None, data: Dataset) -> Any:
    """ "balanced", or {class id: weight} of LABEL=WEIGHT,...; None without."""
    if text is None or text == "balanced":
        return text
    ids = {str(label): i for i, label in enumerate(data.classes)}
    weights: dict[int, float] = {}
    for part in text.split(","):
        match = re.fullmatch(r"\s*(.+?)\s*=([^=]*)", part)
        weight = _number(match[2]) if match else None
        if match is None or weight is None or match[1] not in ids:
            expects = f"balanced, or LABEL=WEIGHT with labels {_listed(ids)}"
            raise InputError(sentence("--class-weight", expects, repr(part), "write cat=2,dog=1, say"))
        if ids[match[1]] in weights:
            raise InputError(sentence("--class-weight", f"one weight for {match[1]}", "two", "leave one of them out"))
        weights[ids[match[1]]] = weight
    return weights


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
