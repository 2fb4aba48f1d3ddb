"""The options of a run as keywords of a function: the TrainConfig that they make, and their documentation."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from jaxmlp.errors import InputError, InputTypeError, nearest_name, sentence
from jaxmlp.nn.objective import Objective
from jaxmlp.training.config import OPTIONS, TrainConfig, is_default
from jaxmlp.training.options import Option, with_options

OBJECTIVE_FIELDS = frozenset(field.name for field in dataclasses.fields(Objective))
OTHER_KEYWORDS = {
    "seed": "key=jax.random.key(0)",
    "device": "with jax.default_device(jax.devices('cpu')[0]): around the call",
    "patience": "early_stopping=jaxmlp.EarlyStopping(patience=10)",
    "monitor": "early_stopping=jaxmlp.EarlyStopping(monitor='accuracy')",
    "verbose": "progress=True",
    "momentum": "optimizer='momentum'",
    "nesterov": "optimizer='nesterov'",
    "validation_data": "data=jaxmlp.Dataset.from_arrays(rows, labels, validation=(rows, labels))",
    "validation_fraction": "data=data.split_validation(0.1)",
    "hidden": "net=jaxmlp.network_for(data, hidden=(128,))",
    "activation": "net=jaxmlp.network_for(data, activation='relu')",
    "norm": "net=jaxmlp.network_for(data, norm='batch')",
    "output": "net=jaxmlp.network_for(data, output='softmax')",
    "members": "net=jaxmlp.network_for(data, members=8)",
}  # keywords of other functions, commands and libraries: what to write in `fit`
KEYWORD_SYNONYMS = {
    "random_state": "seed",
    "rng": "seed",
    "validation_split": "validation_fraction",
    "hidden_layer_sizes": "hidden",
    "loss": "cost",
    "criterion": "cost",
    "n_iter_no_change": "patience",
    "layers": "hidden",
}
F = TypeVar("F", bound=Callable[..., object])


def resolve_config(
    caller: str,
    config: TrainConfig | None,
    options: Mapping[str, Any],
    accepts: Callable[[Option], bool] = lambda option: True,
) -> TrainConfig:
    """Return the configuration of a call: `config` with the keywords on top.

    Args:
      caller: the function that was called, for error texts.
      config: a whole TrainConfig, or None.
      options: fields given as keywords.
      accepts: whether the caller uses an option.

    Raises:
      InputTypeError: for a config of another type, and for keywords that are not options.
      InputError: for an option that the caller does not use, and for a value out of its range.

    >>> resolve_config("fit", TrainConfig(epochs=3), {"batch_size": 8})
    TrainConfig(epochs=3, batch_size=8)
    """
    if not isinstance(config, TrainConfig | None):
        remedy = "write TrainConfig(epochs=20), or give the options as keywords"
        if hasattr(config, "shape"):  # fit(net, rows, labels): the labels came in place of the config
            remedy = f"write {caller}(net, (rows, labels)), one example per row"
        raise InputTypeError(sentence(caller, "a TrainConfig", type(config).__name__, remedy))
    for name in options:
        if name not in OPTIONS:
            remedy = _remedy(caller, name, accepts)
            raise InputTypeError(sentence(caller, "options of TrainConfig", repr(name), remedy))
    config = dataclasses.replace(config or TrainConfig(), **options)
    for name, option in OPTIONS.items():
        if not accepts(option) and not is_default(name, getattr(config, name)):
            raise InputError(sentence(caller, f"no {name}", repr(getattr(config, name)), "leave it out"))
    return config


def _remedy(caller: str, name: str, accepts: Callable[[Option], bool]) -> str:
    """Return what to write instead of a keyword that is no option."""
    name = KEYWORD_SYNONYMS.get(name, name)
    if name in OBJECTIVE_FIELDS:
        return f"write objective=jaxmlp.Objective({name}=...)"
    if name == "seed" and caller == "fit_many":
        return "write seeds=[0]"
    if name == "ensemble":
        return "write jaxmlp.Ensemble.of(jaxmlp.fit_many(net, data, seeds=5), data)"
    instead = OTHER_KEYWORDS.get(name, "")
    option = OPTIONS.get(instead.partition("=")[0])
    is_accepted = option is None or accepts(option)
    if instead and is_accepted and (name != "verbose" or caller == "fit"):  # `progress` is another thing elsewhere
        return f"write {instead}"
    near = nearest_name(name, [key for key, option in OPTIONS.items() if accepts(option)])
    return f"did you mean {near!r}?" if near else "see help(jaxmlp.TrainConfig)"


def documents_options(accepts: Callable[[Option], bool] = lambda option: True) -> Callable[[F], F]:
    """Return a decorator that writes the options which a function accepts into its docstring and signature."""

    def decorate(function: F) -> F:
        fields = [field for field in dataclasses.fields(TrainConfig) if accepts(OPTIONS[field.name])]
        signature = inspect.signature(function)
        fixed = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        keywords = [
            inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=f.type)
            for f in fields
        ]
        # for help() and editors, which would otherwise show **options alone
        function.__signature__ = signature.replace(parameters=[*fixed, *keywords])  # pyright: ignore[reportFunctionMemberAccess]
        function.__doc__ = with_options(function.__doc__ or "", {field.name: OPTIONS[field.name] for field in fields})
        return function

    return decorate
