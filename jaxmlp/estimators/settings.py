"""The parameters of an estimator, checked, and what they say about the network and its training.

scikit-learn's constructors check nothing; the check is the first thing that `fit` does.
"""

import dataclasses
import sys
from collections.abc import Callable, Iterable, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import optax

from jaxmlp.errors import InputError, InputTypeError, check_type, is_listed, sentence, unknown
from jaxmlp.nn import costs
from jaxmlp.nn.activations import Activation
from jaxmlp.nn.costs import Cost
from jaxmlp.nn.network import Network
from jaxmlp.nn.objective import Objective
from jaxmlp.tabular.encoder import TableEncoder
from jaxmlp.training import presets
from jaxmlp.training.fit import column_widths
from jaxmlp.training.optimizers import OPTIMIZERS
from jaxmlp.training.presets import PRESETS

LOWEST_RATE = 1e-6  # below which learning_rate="adaptive" does not go
RATE_DIVISOR = 5  # as in scikit-learn
MAX_BATCH_SIZE = 200  # of batch_size="auto"

# Types of parameters, as scikit-learn's contract allows them
Sizes = int | Sequence[int] | np.ndarray
RandomState = int | np.random.RandomState | None

# scikit-learn's names, and those of jaxmlp
ACTIVATIONS = {"logistic": "sigmoid"}
LOSSES = {"log_loss": None, "squared_error": "quadratic"}
OBJECTIVE_FIELDS = ("l1", "dropout", "input_dropout", "label_smoothing", "input_noise", "mixup", "max_norm")


# --- checks -----------------------------------------------------------------------------------------------------------


def check_parameters(estimator: object) -> None:
    """Raise unless every parameter is in its range.

    Raises:
      InputError: with the parameter, what it may be, and what it is.
    """
    for name, (expects, accepts, remedy) in _RULES.items():
        value = getattr(estimator, name, None)
        if not accepts(value):
            where = f"{type(estimator).__name__}({name}=...)"
            error = InputError if isinstance(value, Real) else InputTypeError
            raise error(sentence(where, expects, repr(value), remedy))


def _number(
    low: float, high: float = np.inf, *, open_low: bool = False, open_high: bool = False
) -> Callable[..., bool]:
    def accepts(value: object) -> bool:
        # True is an int for Python, and would count as 1
        if not isinstance(value, Real) or isinstance(value, bool | np.bool):
            return False
        number = float(value)
        return (number > low if open_low else number >= low) and (number < high if open_high else number <= high)

    return accepts


def _whole(low: int) -> Callable[..., bool]:
    return lambda value: isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= low


def _is_bool(value: object) -> bool:
    return isinstance(value, bool | np.bool)


def _or(*accepted: Any) -> Callable[[Callable[..., bool]], Callable[..., bool]]:
    return lambda accepts: (
        lambda value: any(value is a or (isinstance(a, str) and value == a) for a in accepted) or accepts(value)
    )


_FLAG = ("True or False", _is_bool)
_RULES: dict[str, tuple[str, Callable[..., bool], str]] = {
    "alpha": ("a number ≥ 0", _number(0, open_high=True), "write 1e-4, for example"),
    "batch_size": ("'auto' or a positive whole number", _or("auto")(_whole(1)), "write 'auto'"),
    "learning_rate_init": ("a number > 0", _number(0, open_low=True, open_high=True), "write 1e-3, for example"),
    "power_t": ("a number ≥ 0", _number(0, open_high=True), "write 0.5, for example"),
    "max_iter": ("a positive whole number", _whole(1), "write 200, for example"),
    "max_fun": ("a positive whole number", _whole(1), "write 15000, for example"),
    "shuffle": (*_FLAG, "leave it out to shuffle"),
    "tol": ("a number ≥ 0", _number(0), "write 1e-4, for example"),
    "verbose": ("True, False or a number ≥ 0", lambda value: _is_bool(value) or _whole(0)(value), "write True"),
    "warm_start": (*_FLAG, "leave it out for a new start"),
    "momentum": ("a number from 0 to below 1", _number(0, 1, open_high=True), "write 0.9, for example"),
    "nesterovs_momentum": (*_FLAG, "leave it out for True"),
    "early_stopping": (*_FLAG, "leave it out for False"),
    "validation_fraction": (
        "a number between 0 and 1",
        _number(0, 1, open_low=True, open_high=True),
        "write 0.1, for example",
    ),
    "beta_1": ("a number from 0 to below 1", _number(0, 1, open_high=True), "write 0.9, for example"),
    "beta_2": ("a number from 0 to below 1", _number(0, 1, open_high=True), "write 0.999, for example"),
    "epsilon": ("a number > 0", _number(0, open_low=True, open_high=True), "write 1e-8, for example"),
    "n_iter_no_change": (
        "a positive whole number or infinity",
        lambda value: _whole(1)(value) or (isinstance(value, float) and value == np.inf),
        "write 10, for example",
    ),
    "preset": (
        f"None or a name among {', '.join(PRESETS)}",
        lambda value: value is None or (isinstance(value, str) and value in PRESETS),
        "leave it out for none",
    ),
    "n_members": ("a positive whole number", _whole(1), "write 1 for a single network"),
    "standardize": ("'auto', True or False", _or("auto")(_is_bool), "leave it out for 'auto'"),
    "precision": (
        "'auto', 'float32', 'float64' or 'bfloat16'",
        lambda value: isinstance(value, str) and value in ("auto", "float32", "float64", "bfloat16"),
        "leave it out for 'auto'",
    ),
}


# --- the network ------------------------------------------------------------------------------------------------------


def hidden_layers(estimator: Any) -> tuple[int, ...]:
    """Return the units of the hidden layers: of a number, or of a list of them; () for none."""
    sizes = estimator.hidden_layer_sizes
    listed = sizes if is_listed(sizes) else [sizes]
    units: tuple[Any, ...] = tuple(listed)
    if not all(_whole(1)(n) for n in units):
        remedy = "write (100,), or () for no hidden layer"
        raise InputError(sentence("hidden_layer_sizes", "positive whole numbers of units", repr(sizes), remedy))
    return tuple(int(n) for n in units)


def make_network(
    estimator: Any, n_features: int, n_outputs: int, output: str, encoder: TableEncoder | None = None
) -> Network:
    """Return the network of an estimator for a table; `encoder` has made its features from columns."""
    names = estimator.activation
    hidden = hidden_layers(estimator)
    if isinstance(names, str | Activation):
        names = ACTIVATIONS.get(names, names) if isinstance(names, str) else names
    else:
        expects = "a name, an Activation, or a list with one for each hidden layer"
        check_type("activation", names, Iterable, expects, "write 'relu', for example")
        names = tuple(ACTIVATIONS.get(name, name) if isinstance(name, str) else name for name in names)
    net = Network((n_features, *hidden, n_outputs), names, output, estimator.norm)
    if estimator.preset is None:
        return net
    preset = presets.find(estimator.preset)
    parametric = presets.is_parametric(preset, net.activations[:-1])
    widths = column_widths(preset.members, encoder)
    return dataclasses.replace(net, members=preset.members, parametric=parametric, column_widths=widths)


def is_bounded(estimator: Any, task: str) -> bool:
    """Whether the preset of an estimator limits predicted numbers to the range of the training targets."""
    return task == "regression" and estimator.preset is not None and presets.find(estimator.preset, task).bounded


def cost_of(loss: str | Cost) -> str | Cost | None:
    """Return the cost of a loss by scikit-learn's name or ours; None for the one that follows from the output.

    >>> cost_of("squared_error"), cost_of("huber(0.5)")
    ('quadratic', 'huber(0.5)')
    """
    return LOSSES.get(loss, loss) if isinstance(loss, str) else loss


def regression_output(loss: str | Cost) -> str:
    """Return the output activation of a regression: the identity, or the first for which the cost is defined."""
    cost = cost_of(loss)
    if not isinstance(cost, Cost):
        name = str(cost).partition("(")[0].strip()
        known = costs.COSTS.get(name)
        if known is None:
            raise unknown("loss", loss, [*LOSSES, *costs.COSTS])
        cost = known if isinstance(known, Cost) else None
    return "identity" if cost is None or not cost.outputs or "identity" in cost.outputs else cost.outputs[0]


# --- the training -----------------------------------------------------------------------------------------------------


def make_objective(estimator: Any, penalty_rows: float) -> Objective:
    """Return the cost with its penalties and noise; penalties are divided by so many rows."""
    numbers = {name: getattr(estimator, name, None) for name in OBJECTIVE_FIELDS}
    numbers = {name: number or None for name, number in numbers.items()}  # 0 is none, and leaves the term out
    penalised = estimator.alpha or numbers["l1"]
    examples = penalty_rows if penalised else None
    return Objective(cost_of(estimator.loss), l2=estimator.alpha or None, examples=examples, **numbers)


def optimizer_of(estimator: Any) -> str | optax.GradientTransformation:
    """Return the optimizer with the numbers of the estimator that it uses."""
    solver = estimator.solver
    if not isinstance(solver, str):
        return solver
    if solver == "sgd":
        if not estimator.momentum:
            return "sgd"
        return f"{'nesterov' if estimator.nesterovs_momentum else 'momentum'}({float(estimator.momentum)!r})"
    if solver in ("adam", "adamw"):
        numbers = (estimator.beta_1, estimator.beta_2, estimator.epsilon)
        return f"{solver}({', '.join(repr(float(number)) for number in numbers)})"
    if solver.partition("(")[0].strip() not in OPTIMIZERS:
        raise unknown("solver", solver, OPTIMIZERS)
    return solver


def is_line_search(estimator: Any) -> bool:
    """Whether the solver takes full batches and finds its step by itself."""
    return isinstance(estimator.solver, str) and estimator.solver == "lbfgs"


def learning_rates(estimator: Any, samples: int, samples_per_epoch: int, steps: int, factor: float) -> dict[str, Any]:
    """Return the options of `fit` for the rate and its schedule.

    Args:
      estimator: with its learning_rate.
      samples: that earlier calls have seen, for "invscaling".
      samples_per_epoch, steps: of the present call.
      factor: that "adaptive" has come to in earlier calls.
    """
    schedule, rate = estimator.learning_rate, float(estimator.learning_rate_init) * factor
    if not isinstance(estimator.solver, str):
        if schedule != "constant":  # it would be ignored
            remedy = "give the schedule to the solver, as in optax.sgd(schedule)"
            raise InputError(sentence("learning_rate", "'constant' beside a solver of Optax", repr(schedule), remedy))
        return {}
    if is_line_search(estimator):
        return {}
    if callable(schedule):
        return {"learning_rate": schedule}
    if schedule == "invscaling":

        def inverse_scaling(step: Any) -> float:
            # as in scikit-learn, the rate changes between epochs only
            seen = samples + int(step) // steps * samples_per_epoch
            return rate / (seen + 1) ** float(estimator.power_t)

        return {"learning_rate": inverse_scaling}
    if schedule == "adaptive":
        # scikit-learn acts after more than n epochs, a plateau after n; and n may be infinity, which is no int
        patience = min(estimator.n_iter_no_change, sys.maxsize - 1) + 1
        schedule = f"plateau({1 / RATE_DIVISOR!r}, {int(patience)}, {float(estimator.tol)!r})"
    return {"learning_rate": rate, "schedule": schedule}
