"""`TrainConfig`: every option of a training run, with its meaning, its default and its flag on the command line.

This is the one list of options. `fit`, `fit_many` and `lr_find` take the fields as keywords, `jaxmlp train` reads its
flags off them, and a checkpoint compares them. A new option is one field here and one place that uses it.
"""

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import optax
from jax import Array
from jax.typing import ArrayLike

from jaxmlp.errors import InputError, InputTypeError, sentence, unknown
from jaxmlp.nn.checks import check_key
from jaxmlp.nn.initializers import INITIALIZERS, Initializer
from jaxmlp.nn.names import resolve
from jaxmlp.nn.objective import Objective, check_objective
from jaxmlp.training import presets
from jaxmlp.training.early_stopping import EarlyStopping, check_early_stopping
from jaxmlp.training.optimizer_identity import canonical_optimizer
from jaxmlp.training.optimizers import OPTIMIZERS, check_optimizer, default_decay, default_rate, unit_optimizer
from jaxmlp.training.options import (
    FULL,
    Option,
    check_batch_size,
    check_epochs,
    check_number,
    layer_numbers,
    with_options,
)
from jaxmlp.training.schedules import SCHEDULES

PRECISIONS = ("float32", "float64", "bfloat16")


def _option(default: object, doc: str, help: str, **facts: Any) -> Any:
    return dataclasses.field(default=default, metadata={"option": Option(doc, help, **facts)})


def _names(names: Iterable[str]) -> str:
    return ", ".join(names)


@dataclass(frozen=True, kw_only=True, eq=False)  # eq=False: == of the arrays in it is no single truth value
class TrainConfig:
    """The options of a training run.

    `fit(net, data, TrainConfig(epochs=20))` and `fit(net, data, epochs=20)` are the same call.
    """

    epochs: int = _option(
        50,
        "how often to go through the training rows.",
        "Passes over the training rows.",
        in_fingerprint=False,  # a run may be made longer, unless its schedule depends on the length
    )
    batch_size: int | str = _option(
        32, 'rows per step, or "full" for all of them.', "Rows per step, or full.", in_range_test=True
    )
    optimizer: str | optax.GradientTransformation = _option(
        "adam",
        f"a name ({_names(OPTIMIZERS)}), with decay rates in parentheses as in 'adam(0.9, 0.95)' or without, or any "
        "optax transformation, which brings its own learning rate.",
        f"One of {_names(OPTIMIZERS)}.",
        in_range_test=True,
    )
    learning_rate: float | Array | Callable[[Any], Any] | None = _option(
        None,
        "α of a named optimizer, any scalar, or a function step -> α; the optimizer's default if None.",
        "α, or find: choose it by a range test [the default of the optimizer, 0.001 for adam].",
        on_grid=True,
    )
    schedule: str = _option(
        "constant",
        'how α changes: "constant", "step(0.5, 10)", "cosine", "coslog(4)", "one_cycle" or "plateau(0.1, 10)". A '
        "plateau monitors the same metric as early stopping.",
        f"Schedule of α: {_names(SCHEDULES)}, as in 'step(0.5, 10)'.",
    )
    warmup: float = _option(
        0.0, "epochs, whole or not, during which α rises from 0.", "Epochs during which α rises from 0."
    )
    weight_decay: float | None = _option(
        None,
        "decoupled decay of W, for adamw, adamw_ntk and lion.",
        "Decoupled decay of the weights, for adamw, adamw_ntk and lion [0.01].",
        in_range_test=True,
    )
    fade: bool = _option(
        False,
        "whether dropout, input dropout and weight_decay fall to 0 in the second half of `epochs`, by a cosine. The "
        "decay of an optax transformation does not change.",
        "Lower dropout, input dropout and weight decay to 0 in the second half of the epochs.",
    )
    clip_norm: float | None = _option(
        None,
        "the largest norm of a gradient, over all leaves together; a longer gradient is scaled down to it.",
        "The largest norm of a gradient [no limit].",
        on_grid=True,
        in_range_test=True,
    )
    objective: Objective | None = _option(
        None,
        "cost, penalties and noise; the cost that follows from the output if None. In its penalties λ/m, m is the "
        "number of training rows (the sum of their weights), whatever the batch size.",
        "its numbers have flags of their own",
        flag="",
        in_range_test=True,
    )
    initializer: str | Initializer = _option(
        "auto",
        "how the initial weights are drawn, as for `jaxmlp.init`.",
        f"Initial weights: auto, {_names(INITIALIZERS)}.",
        flag="init",
        in_range_test=True,
    )
    key: Array | None = _option(
        None,
        "the random key for initial weights, order of the rows and noise; `jax.random.key(0)` if None.",
        "Seed for the initial weights, the order of the rows and the noise.",
        flag="seed",
        in_population=False,
        in_range_test=True,
    )
    shuffle: bool = _option(
        True,
        "whether each epoch draws a new order of the rows.",
        "Draw a new order of the rows in each epoch.",
    )
    sample_weight: ArrayLike | None = _option(
        None,
        "(m,), the weight of each training row in the cost. A whole number counts as that many equal rows.",
        "a flag has no room for a number for each row",
        flag="",
    )
    validation_weight: ArrayLike | None = _option(
        None,
        "(m,), the weight of each row of the validation part in its cost and its metrics (of the test part, where "
        "there is no other).",
        "a flag has no room for a number for each row",
        flag="",
        in_population=False,
    )
    class_weight: str | Mapping[Any, float] | None = _option(
        None,
        '"balanced", or {label: weight}, as 1 for a label that is not named; multiplies sample_weight.',
        "Weights of the classes: balanced, or LABEL=WEIGHT,... [1 for every class].",
        in_range_test=True,
    )
    ema_decay: float | None = _option(
        None,
        "decay of an exponential moving average of the parameters, such as 0.999; the averaged parameters are then the "
        "result.",
        "Decay of an exponential moving average of the parameters; the average is the result [no average].",
        flag="ema",
        on_grid=True,
    )
    freeze: Iterable[int] = _option(
        (),
        "layers, counted from 1, that are not trained. With batch normalisation their running moments stay as well, "
        "and normalise the layer in training too.",
        "Numbers of the layers that are not trained; the first layer is 1 [none].",
        in_range_test=True,
    )
    precision: str | None = _option(
        None,
        '"float32", "float64" (needs jax_enable_x64), or "bfloat16": matrix products in bfloat16 on float32 '
        "parameters. JAX's default float if None.",
        "Precision of all numbers; bfloat16 applies only to matrix products [float32].",
        in_range_test=True,
        choices=PRECISIONS,
    )
    row_space: bool = _option(
        True,
        "whether wide data are trained in the space that their rows span, where that is exact and cheaper: more "
        "features than rows, and sgd, momentum or nesterov. The result is the same to rounding.",
        "Train data with more features than rows in the space of the rows, if that is exact and cheaper.",
        in_population=False,
    )
    early_stopping: EarlyStopping | None = _option(
        None,
        "when to stop early; the result is then the network of the best epoch. It monitors the cost of the validation "
        "part, or of the training part where there is no validation part: `data.split_validation(0.1)` makes one.",
        "its flags are --patience and --monitor",
        flag="",
        in_population=False,
    )
    metrics: str | Iterable[str] = _option(
        (),
        "names of metrics, reported of the validation part (or of the test part, where there is no other) after every "
        "epoch.",
        "Report this metric after every epoch; may be repeated.",
        flag="metric",
        in_fingerprint=False,  # they only report
        in_population=False,
    )

    def __post_init__(self) -> None:
        """Check everything that can be checked without network and data; those are checked by `fit`."""

        def put(name: str, value: object) -> None:
            object.__setattr__(self, name, value)

        for name in ("optimizer", "initializer"):  # None is the default here as everywhere
            if getattr(self, name) is None:
                put(name, DEFAULTS[name])
        # checked when the configuration is made, so that the error comes from the line that wrote the mistake
        check_epochs(self.epochs)
        put("epochs", int(self.epochs))
        check_batch_size(self.batch_size)
        resolve("schedule", self.schedule, SCHEDULES)
        if self.objective is not None:
            check_objective(self.objective)
        if not isinstance(self.optimizer, str):
            check_optimizer(self.optimizer)
        resolve_optimizer(self)
        for name in ("clip_norm", "ema_decay"):
            put(name, check_number(name, getattr(self, name)))
        if self.key is not None:
            check_key(self.key)
        for name in ("shuffle", "row_space", "fade"):
            if not isinstance(getattr(self, name), bool | np.bool):
                raise InputTypeError(sentence(name, "True or False", repr(getattr(self, name)), "leave it out"))
        put("freeze", layer_numbers(self.freeze))
        if self.precision not in (None, *PRECISIONS):
            raise unknown("precision", self.precision, PRECISIONS)
        check_early_stopping(self.early_stopping)
        if not isinstance(self.metrics, Iterable):
            raise InputTypeError(sentence("metrics", "names", repr(self.metrics), "write metrics=['f1'], for example"))
        put("metrics", (self.metrics,) if isinstance(self.metrics, str) else tuple(self.metrics))

    def __repr__(self) -> str:
        arrays = ("sample_weight", "validation_weight")  # which would fill the screen
        changed = ((name, getattr(self, name)) for name in DEFAULTS if name not in arrays)
        texts = [f"{name}={value!r}" for name, value in changed if not is_default(name, value)]
        return f"TrainConfig({', '.join(texts)})"

    @classmethod
    def preset(cls, name: str, data: Any, **options: Any) -> Self:
        """Return the configuration of a preset for a data set; see `training.presets` for what each consists of.

        Args:
          name: "tabular", "piecewise", "tabm" or "realmlp".
          data: the data set, or its number of training rows if its task is not a regression, by which batch size and
            epochs are chosen. Its validation part decides on the best epoch; `network_for(data, preset=name)` makes the
            network.
          options: fields to change.

        Raises:
          InputError: for an unknown preset.

        >>> TrainConfig.preset("tabular", 5000, epochs=20).batch_size
        128
        """
        n_rows, task = (data, None) if isinstance(data, int | np.integer) else (len(data.train.rows), data.task)
        return cls(**presets.training_fields(name, int(n_rows), task) | options)

    def replace(self, **options: Any) -> Self:
        """Return this configuration with some options changed.

        >>> TrainConfig(epochs=3).replace(batch_size="full").epochs
        3
        """
        return dataclasses.replace(self, **options)


DEFAULTS = {field.name: field.default for field in dataclasses.fields(TrainConfig)}
OPTIONS: dict[str, Option] = {field.name: field.metadata["option"] for field in dataclasses.fields(TrainConfig)}


_EXAMPLE = """

Raises:
  InputError: for a value out of its range.

>>> TrainConfig(epochs=20, optimizer="sgd")
TrainConfig(epochs=20, optimizer='sgd')
"""
TrainConfig.__doc__ = with_options(f"{inspect.cleandoc(TrainConfig.__doc__ or '')}\n\nArgs:", OPTIONS) + _EXAMPLE


def is_default(name: str, value: object) -> bool:
    """Whether a value is the default of an option.

    >>> is_default("warmup", 0), is_default("freeze", np.array([1]))
    (True, False)
    """
    # numbers and texts alone are compared: the comparison of an array is an array
    return value is DEFAULTS[name] or (isinstance(value, int | float | str) and value == DEFAULTS[name])


def resolve_optimizer(config: TrainConfig) -> tuple[optax.GradientTransformation, Any]:
    """Return the optax transformation, and the α or function step -> α that multiplies its updates; None without.

    A named optimizer is made for α = 1: its rates are inputs of the program, so another rate compiles nothing.

    Raises:
      InputError: for numbers that the optimizer does not take, or that come with one which has its own.
    """
    name = config.optimizer
    if not isinstance(name, str):
        check_optimizer(name)
        _refuse_rate("an optax transformation", config, "it brings its own")
        if config.weight_decay is not None:
            remedy = "chain optax.add_decayed_weights"
            raise InputError(sentence("an optax transformation", "no weight_decay", config.weight_decay, remedy))
        return canonical_optimizer(name), None
    rate = config.learning_rate if callable(config.learning_rate) else default_rate(name, config.learning_rate)
    if rate is None:
        # L-BFGS estimates the curvature from differences of gradients, which must be those of the same rows
        if config.batch_size != FULL:
            got, remedy = f"batch_size {config.batch_size}", "write batch_size='full'"
            raise InputError(sentence(f"optimizer {name!r}", "full batches", got, remedy))
        _refuse_rate(f"optimizer {name!r}", config, "it finds its own")
    # with fade the decay differs from step to step, so the step applies it, not the optimizer
    decay = config.weight_decay if fading_decay(config) is None else 0.0
    return unit_optimizer(name, decay), rate


def fading_decay(config: TrainConfig) -> float | None:
    """Return η of a run that fades, where its optimizer has a decay; None for any other run.

    >>> fading_decay(TrainConfig(optimizer="adamw", fade=True)), fading_decay(TrainConfig(optimizer="adamw"))
    (0.01, None)
    """
    if not config.fade or not isinstance(config.optimizer, str):
        return None
    return default_decay(config.optimizer, config.weight_decay)


def _refuse_rate(optimizer: str, config: TrainConfig, reason: str) -> None:
    for name in ("learning_rate", "schedule", "warmup"):
        value = getattr(config, name)
        if value != DEFAULTS[name]:
            raise InputError(sentence(optimizer, f"no {name}: {reason}", repr(value), "leave it out"))
