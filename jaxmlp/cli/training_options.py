"""The options of a training on the command line, read off `TrainConfig`, `EarlyStopping` and `Objective`.

A field of one of these records is an option here: its name, help, choices and default are the field's own.
"""

import dataclasses
import re
from collections.abc import Callable, Collection
from typing import Any

import click
import jax

from jaxmlp.cli.loading import VALIDATION
from jaxmlp.cli.options import FIND, BatchSize, Decorator, Names, Numbers, Options, Rate, apply_options
from jaxmlp.data.dataset import Dataset
from jaxmlp.errors import InputError, sentence
from jaxmlp.nn.activations import ACTIVATIONS, Activation
from jaxmlp.nn.costs import COSTS
from jaxmlp.nn.network import Network, Params
from jaxmlp.nn.normalization import NORMS
from jaxmlp.nn.objective import Objective
from jaxmlp.training.checkpoints import EVERY
from jaxmlp.training.config import OPTIONS, TrainConfig
from jaxmlp.training.early_stopping import MONITORS, EarlyStopping
from jaxmlp.training.fit import ACTIVATION, HIDDEN, network_for
from jaxmlp.training.lr_finder import RangeTest, lr_find
from jaxmlp.training.optimizers import OPTIMIZERS
from jaxmlp.training.options import FULL, Option
from jaxmlp.training.presets import OPTIMIZER_FIELDS, PRESETS, find, is_parametric, training_fields

# What a flag accepts, where that is not the type of the field itself
_TYPES: dict[str, dict[str, Any]] = {
    "batch_size": {"type": BatchSize(), "metavar": BatchSize.name},
    "learning_rate": {"type": Rate(), "metavar": Rate.name},
    "freeze": {"type": Numbers()},
    "key": {"type": click.IntRange(0, 2**32 - 1), "default": 0, "show_default": True},
    "metrics": {"multiple": True, "metavar": "METRIC"},
}
_FIELDS = {field.name: field for field in dataclasses.fields(TrainConfig)}
_OBJECTIVE = {field.name: field for field in dataclasses.fields(Objective) if "help" in field.metadata}


def option_name(field: str) -> str:
    """Return the name of a field among a command's options, and in run.json."""
    return "seed" if field == "key" else field


def _config_option(name: str, option: Option) -> Decorator:
    """Return the option of a field of `TrainConfig`."""
    field = _FIELDS[name]
    flag = "--" + (option.flag or name).replace("_", "-")
    settings: dict[str, Any] = {"help": option.help}
    if option.choices:
        settings["type"] = click.Choice(option.choices)
    elif isinstance(field.default, bool):
        flag = f"{flag}/--no-{flag[2:]}"
    elif field.type == (float | None):
        settings["type"] = float
    if field.default is not None and field.default != ():
        settings |= {"default": field.default, "show_default": True}
    return click.option(flag, option_name(name), **settings | _TYPES.get(name, {}))


def _config_options(accepts: Callable[[Option], bool]) -> list[Decorator]:
    return [_config_option(name, option) for name, option in OPTIONS.items() if option.flag != "" and accepts(option)]


_HIDDEN = click.option("--hidden", type=Numbers(), default=",".join(map(str, HIDDEN)), show_default=True,
                       help="Units per hidden layer, or none.")  # fmt: skip
_NETWORK = [
    click.option("--activation", type=Names(), default=ACTIVATION, show_default=True,
                 help=f"Activation of all hidden layers, or one for each: {', '.join(ACTIVATIONS)}."),
    click.option("--output", help="Activation of the last layer [follows from the task: sigmoid, softmax or "
                                  "identity]. With identity the targets of a regression are standardized."),
    click.option("--norm", type=click.Choice(NORMS), help="Normalise the Z of hidden layers [none]."),
]  # fmt: skip
_MEMBERS = click.option(
    "--members",
    type=click.IntRange(1),
    help="Number of networks that share the hidden layers and predict together; 1 is one network that also learns a "
    "scale of each input [one network without scales].",
)
_PARAMETRIC = click.option(
    "--parametric/--no-parametric",
    default=None,
    help="Let each hidden unit learn how much of its activation it uses [no].",
)
_COST = [
    click.option("--cost", help=f"One of {', '.join(COSTS)}; with a number as in huber(0.5) [follows from the task]."),
    *(
        click.option(f"--{name.replace('_', '-')}", type=float, help=field.metadata["help"])
        for name, field in _OBJECTIVE.items()
    ),
]
_VALIDATION = click.option(
    "--validation-fraction",
    type=float,
    help=f"Fraction of the training rows that becomes the validation part [0; {VALIDATION:g} with --patience].",
)
_STOPPING = [
    click.option("--patience", type=int, help="Stop after this number of epochs without improvement [never]."),
    click.option("--monitor", metavar="METRIC",
                 help=f"Metric that must improve: {', '.join(MONITORS)} [validation_cost]."),
    click.option("--checkpoint-every", type=float, default=EVERY, show_default=True, metavar="SECONDS",
                 help="Time between two checkpoints; --resume continues from the last one."),
]  # fmt: skip


_PRESET = click.option(
    "--preset",
    type=click.Choice([*PRESETS]),
    help="Settings for tables; they replace the defaults of the options below and of --numbers [none].",
)


def training_options(command: click.decorators.FC) -> click.decorators.FC:
    """Add all options of a training to a command."""
    options = [
        _PRESET,
        _HIDDEN,
        *_NETWORK,
        _MEMBERS,
        _PARAMETRIC,
        *_COST,
        *_config_options(lambda option: True),
        _VALIDATION,
    ]
    return apply_options(command, [*options, *_STOPPING])


def population_options(command: click.decorators.FC) -> click.decorators.FC:
    """Add the options that `fit_many` takes to a command, which has its own options for hidden layers and seeds."""
    options = [*_NETWORK, *_COST, *_config_options(lambda option: option.in_population), _VALIDATION]
    return apply_options(command, options)


def apply_preset(options: Options, explicit: Collection[str], data: Dataset) -> None:
    """Write the choices of --preset into a command's options, but for those that the user has written.

    With another optimizer the rate, its schedule and the decay of the preset do not apply.
    """
    recipe = find(options["preset"], data.task)
    if options["validation_fraction"] is None and data.validation is None:
        options["validation_fraction"] = recipe.validation_fraction
    n_rows = round(len(data.train.rows) * (1 - (options["validation_fraction"] or 0)))
    fields = training_fields(options["preset"], n_rows, data.task)
    fields |= {"hidden": recipe.hidden, "activation": recipe.activation, "members": recipe.members}
    chosen = options["activation"] if "activation" in explicit else recipe.activation
    fields |= {"parametric": is_parametric(recipe, [chosen] if isinstance(chosen, str) else chosen), **recipe.objective}
    fields["patience"] = fields.pop("early_stopping").patience
    del fields["objective"]
    if "optimizer" in explicit:
        fields = {name: value for name, value in fields.items() if name not in OPTIMIZER_FIELDS}
    options.update({name: value for name, value in fields.items() if name not in explicit})


def network_of(options: Options, data: Dataset) -> Network:
    """Return the network that options describe for a data set."""
    design = (options[name] for name in ("hidden", "activation", "norm", "output"))
    # a run of an earlier release has no such options
    return network_for(data, *design, **{name: options.get(name) for name in ("members", "parametric")})


def objective_of(options: Options, task: str, output: str | Activation | None) -> Objective:
    """Return the objective that options describe; the number 0 means no such term.

    Targets of a regression are not probabilities: the cost of a sigmoid is then quadratic, unless another is named.
    """
    cost = options["cost"]
    if cost is None and task == "regression" and output == "sigmoid":
        cost = "quadratic"
    return Objective(cost, **{name: options[name] or None for name in _OBJECTIVE})


def config_of(options: Options, data: Dataset, output: str | Activation | None) -> TrainConfig:
    """Return the configuration that a command's options describe; with --learning-rate find it has no rate yet."""
    name, batch_size = options["optimizer"], options["batch_size"]
    if name in OPTIMIZERS and OPTIMIZERS[name].learning_rate is None and batch_size != FULL:
        got, remedy = f"--batch-size {batch_size}", "add --batch-size full"
        raise InputError(sentence(f"--optimizer {name}", "full batches", got, remedy))
    if options["precision"] == "float64":
        # before the first array: JAX would make it in float32
        jax.config.update("jax_enable_x64", True)
    fields = {field: options[option_name(field)] for field in OPTIONS if option_name(field) in options}
    fields["objective"] = objective_of(options, data.task, output)
    fields["class_weight"] = _class_weight(options["class_weight"], data)
    fields["freeze"] = options["freeze"] or ()
    if options["learning_rate"] == FIND:
        del fields["learning_rate"]
    if "seed" in options:
        fields["key"] = jax.random.key(options["seed"])
    if options.get("patience") is not None:
        fields["early_stopping"] = EarlyStopping(options["patience"], options["monitor"])
    elif options.get("monitor") is not None:
        raise InputError(sentence("--monitor", "--patience beside it", "none", "write --patience 10, for example"))
    return TrainConfig(**fields)


def find_rate(
    options: Options, net: Network, data: Dataset, config: TrainConfig, params: Params | None = None
) -> tuple[TrainConfig, RangeTest | None]:
    """Return the configuration and the range test of --learning-rate find, whose rate is then set, to two digits.

    The rate is also written into `options`, which run.json stores: a resumed run does not repeat the test.
    """
    if options["learning_rate"] != FIND:
        return config, None
    names = (name for name, option in OPTIONS.items() if option.in_range_test)
    test = lr_find(net, data, params=params, **{name: getattr(config, name) for name in names})
    options["learning_rate"] = float(f"{test.suggestion:.2g}")  # in run.json, so a resumed run does not test
    return config.replace(learning_rate=options["learning_rate"]), test


def _class_weight(text: str | None, data: Dataset) -> str | dict[Any, float] | None:
    """Return "balanced", or {label: weight} of LABEL=WEIGHT,...; None without."""
    if text is None or text == "balanced":
        return text
    ids = {str(label): i for i, label in enumerate(data.classes)}
    weights: dict[Any, float] = {}
    for part in text.split(","):
        match = re.fullmatch(r"\s*(.+?)\s*=([^=]*)", part)
        weight = _parse_float(match[2]) if match else None
        if match is None or weight is None or match[1] not in ids:
            expects = f"balanced, or LABEL=WEIGHT with labels {', '.join(ids)}"
            raise InputError(sentence("--class-weight", expects, repr(part), "write cat=2,dog=1, for example"))
        label = data.classes[ids[match[1]]]
        if label in weights:
            raise InputError(sentence("--class-weight", f"one weight for {match[1]}", "two", "leave one of them out"))
        weights[label] = weight
    return weights


def _parse_float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
