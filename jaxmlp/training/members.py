"""Who is in a population: every network × every setting of the grid × every seed × every fold.

Only numbers vary on the grid, because a number is an input of the compiled program: those of the objective (l2, l1,
dropout, …) and those of the update (learning_rate, clip, average).
"""

import dataclasses
import itertools
import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from jaxmlp.errors import InputError, InputTypeError, sentence, unknown
from jaxmlp.nn.network import Network, check_network
from jaxmlp.nn.objective import Objective
from jaxmlp.training import arguments
from jaxmlp.training.optimizers import positive

OF_UPDATE = ("learning_rate", "clip", "average")
OF_OBJECTIVE = tuple(field.name for field in dataclasses.fields(Objective) if field.name not in ("cost", "examples"))
NUMBERS = (*OF_UPDATE, *OF_OBJECTIVE)


class Spec(NamedTuple):
    """A member before training.

    Attributes:
      net: its network.
      numbers: its setting of the grid, by name.
      seed: it is the run of `jax.random.key(seed)`.
      fold: the number of the fold that it holds back; None without cross-validation.
    """

    net: Network
    numbers: dict[str, float]
    seed: int
    fold: int | None = None


def specs(nets: Any, seeds: Any, grid: Mapping[str, Any] | None, folds: int | None) -> list[Spec]:
    """All members: the networks outermost, then the settings, then the seeds, the folds innermost.

    Raises:
      InputError: for anything empty, for a number that the grid does not know or that is out of its range, and for
        seeds that are not different whole numbers.

    >>> net = Network((2, 1), "relu", "sigmoid")
    >>> [(spec.numbers, spec.seed) for spec in specs(net, 2, {"l2": [0, 0.1]}, None)]
    [({'l2': 0.0}, 0), ({'l2': 0.0}, 1), ({'l2': 0.1}, 0), ({'l2': 0.1}, 1)]
    """
    nets = (nets,) if isinstance(nets, Network) else tuple(nets)
    if not nets:
        raise InputError(sentence("fit_many", "at least one network", "none", "use jaxmlp.network_for(data)"))
    for net in nets:
        check_network(net)
    parts = (nets, _settings(grid or {}), _seeds(seeds), range(folds) if folds else (None,))
    return [Spec(*chosen) for chosen in itertools.product(*parts)]


def _seeds(seeds: Any) -> tuple[int, ...]:
    def whole(value: Any) -> bool:
        return isinstance(value, numbers.Integral) and not isinstance(value, bool)

    given = range(int(seeds)) if whole(seeds) else seeds
    given = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else ()
    known = all(whole(seed) and 0 <= seed < 2**32 for seed in given)
    if not known or not given or len(set(given)) < len(given):
        remedy = "write 4, or (0, 1, 2, 3)"
        raise InputError(sentence("seeds", "how many, or different whole numbers from 0", repr(seeds), remedy))
    return tuple(map(int, given))


def _settings(grid: Mapping[str, Any]) -> list[dict[str, float]]:
    if not isinstance(grid, Mapping):
        remedy = "write {'learning_rate': [0.001, 0.01]}"
        raise InputTypeError(sentence("grid", "a dictionary of numbers by name", type(grid).__name__, remedy))
    values = {name: _values(name, given) for name, given in grid.items()}
    return [dict(zip(values, setting, strict=True)) for setting in itertools.product(*values.values())]


def _values(name: str, given: Any) -> Sequence[float]:
    if name not in NUMBERS:
        raise unknown("grid", name, NUMBERS)
    values = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else (given,)
    if not values:
        raise InputError(sentence(f"grid {name!r}", "at least one number", "none", "leave it out"))
    checked = tuple(_checked(name, value) for value in values)
    if len(set(checked)) < len(checked):
        raise InputError(sentence(f"grid {name!r}", "different numbers", list(checked), "give each once"))
    return checked


def _checked(name: str, value: Any) -> float:
    if name == "average":
        value = arguments.decay_of(value)
    elif name in OF_UPDATE:
        value = positive(name, value, "leave it out of the grid")
    else:
        value = getattr(Objective(**{name: value}), name)
    if value is None or getattr(value, "ndim", 0):
        raise InputError(sentence(f"grid {name!r}", "numbers", repr(value), "0 is none of a penalty or of noise"))
    return float(value)


def check_once(grid: Iterable[str], given: Mapping[str, Any], objective: Objective | None) -> None:
    """Raise if a number is on the grid and given besides.

    Args:
      grid: its names.
      given: OF_UPDATE as they were given.
      objective: as it was given.
    """
    for name in grid:
        if (given if name in OF_UPDATE else vars(objective or Objective())).get(name) is not None:
            raise InputError(sentence(name, "a place on the grid or a value of its own", "both", "leave out one"))
