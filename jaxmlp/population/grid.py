"""The members of a population: every network × every setting of the grid × every seed × every fold.

Only numbers vary on the grid, because a number is an input of the compiled program: those of the objective (l2, l1,
dropout, …) and the options of `TrainConfig` that are marked so (learning_rate, clip_norm, ema_decay).
"""

import dataclasses
import itertools
import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from jaxmlp.errors import InputError, check_type, is_listed, sentence, unknown
from jaxmlp.nn.checks import check_network
from jaxmlp.nn.network import Network
from jaxmlp.nn.objective import Objective
from jaxmlp.training.config import OPTIONS, TrainConfig
from jaxmlp.training.optimizers import positive
from jaxmlp.training.options import check_number

MAX_SEEDS = 1_000_000
CONFIG_NUMBERS = tuple(name for name, option in OPTIONS.items() if option.on_grid)
OBJECTIVE_NUMBERS = tuple(
    field.name for field in dataclasses.fields(Objective) if field.name not in ("cost", "examples")
)
GRID_NUMBERS = (*CONFIG_NUMBERS, *OBJECTIVE_NUMBERS)


class MemberSpec(NamedTuple):
    """A member before training.

    Attributes:
      net: its network.
      numbers: its setting of the grid, by name.
      seed: it is the run with `jax.random.key(seed)`.
      fold: the number of the fold that it holds out; None without cross-validation.
    """

    net: Network
    numbers: dict[str, float]
    seed: int
    fold: int | None = None


def member_specs(nets: Any, seeds: Any, grid: Mapping[str, Any], folds: int | None) -> list[MemberSpec]:
    """Return all members: the networks outermost, then the settings, then the seeds, the folds innermost.

    Raises:
      InputError: for anything empty, for a number that the grid does not know or that is out of its range, and for
        seeds that are not different whole numbers.

    >>> net = Network((2, 1), "relu", "sigmoid")
    >>> [(spec.numbers, spec.seed) for spec in member_specs(net, 2, {"l2": [0, 0.1]}, None)]
    [({'l2': 0.0}, 0), ({'l2': 0.0}, 1), ({'l2': 0.1}, 0), ({'l2': 0.1}, 1)]
    """
    if not isinstance(nets, Network):
        check_type("fit_many", nets, Iterable, "a network, or a list of them", "write [net_1, net_2]")
    nets = (nets,) if isinstance(nets, Network) else tuple(nets)
    if not nets:
        raise InputError(sentence("fit_many", "at least one network", "none", "use jaxmlp.network_for(data)"))
    for net in nets:
        check_network(net)
    parts = (nets, _settings(grid), _seeds(seeds), range(folds) if folds else (None,))
    return [MemberSpec(*combination) for combination in itertools.product(*parts)]


def _seeds(seeds: Any) -> tuple[int, ...]:
    def whole(value: object) -> bool:
        return isinstance(value, numbers.Integral) and not isinstance(value, bool)

    if whole(seeds) and seeds > MAX_SEEDS:
        raise InputError(sentence("seeds", f"at most {MAX_SEEDS:,}", repr(seeds), "write fewer"))
    listed = range(int(seeds)) if whole(seeds) else seeds
    listed = tuple(listed) if is_listed(listed) else ()
    valid = all(whole(seed) and 0 <= seed < 2**32 for seed in listed)  # jax.random.key(2**32) is key(0)
    if not valid or not listed or len(set(listed)) < len(listed):
        remedy = "write 4, or (0, 1, 2, 3)"
        raise InputError(sentence("seeds", "how many, or different whole numbers from 0", repr(seeds), remedy))
    return tuple(map(int, listed))


def _settings(grid: Mapping[str, Any]) -> list[dict[str, float]]:
    values = {name: _grid_values(name, listed) for name, listed in grid.items()}
    return [dict(zip(values, setting, strict=True)) for setting in itertools.product(*values.values())]


def _grid_values(name: str, listed: object) -> Sequence[float]:
    if name not in GRID_NUMBERS:
        raise unknown("grid", name, GRID_NUMBERS)
    values = tuple(listed) if isinstance(listed, Iterable) and not isinstance(listed, str) else (listed,)
    if not values:
        raise InputError(sentence(f"grid {name!r}", "at least one number", "none", "leave it out"))
    checked = tuple(_grid_number(name, value) for value in values)
    if len(set(checked)) < len(checked):
        raise InputError(sentence(f"grid {name!r}", "different numbers", list(checked), "give each once"))
    return checked


def _grid_number(name: str, value: Any) -> float:
    if name == "ema_decay":
        value = check_number(name, value)
    elif name in CONFIG_NUMBERS:
        value = positive(name, value, "leave it out of the grid")
    else:
        value = getattr(Objective(**{name: value}), name)
    if value is None or getattr(value, "ndim", 0):
        raise InputError(sentence(f"grid {name!r}", "numbers", repr(value), "write 0 for no penalty or noise"))
    return float(value)


def check_no_duplicates(grid: Iterable[str], config: TrainConfig) -> None:
    """Raise if a number is on the grid and in the configuration as well."""
    for name in filter(GRID_NUMBERS.__contains__, grid):  # `member_specs` refuses unknown names
        # a number in both places would be replaced by that of the grid without a message
        holder = config if name in CONFIG_NUMBERS else config.objective or Objective()
        if getattr(holder, name, None) is not None:
            expects = "values on the grid or a value of its own"
            raise InputError(sentence(name, expects, "both", "leave one of them out"))
