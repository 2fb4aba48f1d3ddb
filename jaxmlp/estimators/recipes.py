"""Presets of `training.presets` as parameters of an estimator, for the time of one call.

A parameter that is not at its default was chosen by the user, and stays. Another solver has another usual rate: the
rate, its schedule and the decay of the preset then do not apply.
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sklearn.base import is_regressor

from jaxmlp.training import presets

# fields of `TrainConfig` that have another name in scikit-learn
NAMES = {"optimizer": "solver", "learning_rate": "learning_rate_init", "schedule": "learning_rate"}
OF_SOLVER = {NAMES.get(field, field) for field in presets.OPTIMIZER_FIELDS}
OF_WHOLE_FITS = (
    "learning_rate",  # a schedule ends with the fit
    *("early_stopping", "validation_fraction", "n_iter_no_change"),
)


def parameters_of(name: str, n_rows: int, task: str | None = None) -> dict[str, Any]:
    """Return the parameters of an estimator that a preset sets for a task, for this number of rows in `fit`.

    >>> parameters_of("tabular", 500)["batch_size"]
    64
    """
    recipe = presets.find(name, task)
    # epochs and batch size follow from the rows that remain for training
    length = presets.budget(round(n_rows * (1 - recipe.validation_fraction)), name)
    return {
        "hidden_layer_sizes": recipe.hidden,
        "activation": recipe.activation,
        "alpha": 0.0,
        "batch_size": length.batch_size,
        "max_iter": length.epochs,
        "early_stopping": True,
        "validation_fraction": recipe.validation_fraction,
        "n_iter_no_change": length.patience,
        "tol": 0.0,
        **recipe.objective,
        **{NAMES.get(field, field): value for field, value in recipe.config.items()},
    }


def task_of(estimator: object) -> str | None:
    """Return the task by which the recipe of a preset is chosen: "regression", or None for classes."""
    return "regression" if is_regressor(estimator) else None


@contextmanager
def preset_parameters(estimator: Any, n_rows: int, *, incremental: bool) -> Iterator[None]:
    """Set the parameters of the estimator's preset that are at their defaults, and put them back at the end.

    Raises:
      InputError: for an unknown preset.
    """
    if estimator.preset is None:
        yield
        return
    defaults = {name: p.default for name, p in inspect.signature(type(estimator)).parameters.items()}
    before = {name: getattr(estimator, name) for name in defaults if hasattr(estimator, name)}
    chosen = parameters_of(estimator.preset, n_rows, task_of(estimator))
    if not _equal(before["solver"], defaults["solver"]):
        chosen = {name: value for name, value in chosen.items() if name not in OF_SOLVER}
    if incremental:  # an epoch at a time, with no rows held out
        chosen = {name: value for name, value in chosen.items() if name not in OF_WHOLE_FITS}
    changed = [name for name in chosen if name in before and _equal(before[name], defaults[name])]
    try:
        for name in changed:
            setattr(estimator, name, chosen[name])
        yield
    finally:
        for name in changed:
            setattr(estimator, name, before[name])


def _equal(value: object, default: object) -> bool:
    # by type first: an array compared with a number is an array
    return value is default or (type(value) is type(default) and bool(value == default))
