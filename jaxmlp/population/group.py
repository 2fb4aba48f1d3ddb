"""The members that share a program: their weights, numbers, rows and rates side by side, and their results."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jax import Array
from jax.typing import DTypeLike

from jaxmlp.data.dataset import Dataset
from jaxmlp.errors import InputError, sentence
from jaxmlp.nn.initializers import Initializer
from jaxmlp.nn.network import Network, Params
from jaxmlp.nn.objective import NOISE_FIELDS, Objective
from jaxmlp.nn.program_store import MAX_FUNCTIONS, Programs
from jaxmlp.population.grid import OBJECTIVE_NUMBERS, MemberSpec
from jaxmlp.population.leaderboard import Curves, Member
from jaxmlp.population.padding import pad_params, padding_mask, unpad_params
from jaxmlp.population.programs import InitialState, MemberInputs, ProgramKey, SharedRows
from jaxmlp.population.strategy import PopulationJob, Strategy, epochs_per_call, run_population
from jaxmlp.training.batches import Batches, draw_order, make_batches
from jaxmlp.training.config import TrainConfig, resolve_optimizer
from jaxmlp.training.engine import Hyperparameters
from jaxmlp.training.options import FULL
from jaxmlp.training.preparation import resolve_dtypes, step_options, training_objective
from jaxmlp.training.schedules import make_rates
from jaxmlp.training.state import init_state
from jaxmlp.training.step import StaticConfig, check_frozen

NOISE_NUMBERS = frozenset(NOISE_FIELDS)
MOST_SINGLE_DRAWS = 512  # layers of all seeds, drawn one after another; a program for all takes a second to compile


class SharedConfig(NamedTuple):
    """What all members have in common.

    Attributes:
      config: the options of `fit`.
      data, weights: the data set without rows of weight 0, and the weights of the remaining rows.
      fold: the fold of each training row; None without cross-validation.
      same_batches: whether all members see the rows in the order of the first.
    """

    config: TrainConfig
    data: Dataset
    weights: np.ndarray | None
    fold: np.ndarray | None
    same_batches: bool

    def member_config(self, spec: MemberSpec) -> TrainConfig:
        """Return the options of a member: those of all with its numbers of the grid."""
        of_objective = {name: value for name, value in spec.numbers.items() if name in OBJECTIVE_NUMBERS}
        of_config = {name: value for name, value in spec.numbers.items() if name not in OBJECTIVE_NUMBERS}
        objective = dataclasses.replace(self.config.objective or Objective(), **of_objective)
        return self.config.replace(objective=objective, **of_config)

    def n_rows(self, fold: int | None) -> int:
        """Return how many rows a member is trained on."""
        return len(self.data.train.rows) if self.fold is None else int((self.fold != fold).sum())

    def total_weight(self, fold: int | None) -> float:
        """Return the sum of the weights of these rows."""
        weights = np.ones(len(self.data.train.rows)) if self.weights is None else np.asarray(self.weights, float)
        return float(weights.sum() if self.fold is None else weights[self.fold != fold].sum())


def train_group(
    wide: Network,
    members: Sequence[MemberSpec],
    shared: SharedConfig,
    strategy: str,
    memory: float | None,
    progress: Callable[[int, int], Any] | None,
) -> tuple[list[Member], Strategy]:
    """Train the members, all of whose networks fit into `wide`, and say how it was done."""
    config, fold = shared.config, shared.fold
    dtype, compute_dtype = resolve_dtypes(config.precision, None, wide)
    data = shared.data
    if fold is not None:  # the rows that a fold holds out replace the validation part
        data = dataclasses.replace(data, validation=None, test=None)
    batches = make_batches(
        data, wide, config.objective, config.batch_size, dtype=dtype, shuffle=config.shuffle, weights=shared.weights
    )
    configs = [shared.member_config(spec) for spec in members]
    rates = [resolve_optimizer(member)[1] for member in configs]
    draws = _initial_states(members, config.initializer, np.dtype(dtype))
    orders = MemberOrders.of(shared, batches, members, [words for _, words in draws], rates)
    # one program for all: its widths are the largest, its steps the most of any member, and what differs comes in as
    # numbers
    static = StaticConfig(
        wide,
        resolve_optimizer(configs[0])[0],
        batches.task,
        check_frozen(config.freeze, wide),
        compute_dtype,
        padded=orders.batch_size is not None and any(n % orders.batch_size for n in orders.n_rows),
        skip_empty_steps=len(set(orders.steps)) > 1,
        penalized_validation=False,
    )
    # the numbers of each member, stacked below into arrays that vmap maps over
    objectives = [
        training_objective(member.objective, wide, shared.total_weight(spec.fold))
        for member, spec in zip(configs, members, strict=True)
    ]
    masks: list[Any] = [None] * len(members)
    # entries that a narrow network does not have get no gradient, so they stay 0
    if any(spec.net != wide for spec in members):
        masks = [padding_mask(spec.net, wide, np.dtype(dtype)) for spec in members]
    options = [
        step_options(member, objective, steps)._replace(mask=mask)
        for member, objective, steps, mask in zip(configs, objectives, orders.steps, masks, strict=True)
    ]
    weighted = fold is not None and orders.batch_size is None  # a full batch leaves rows out by weights of 0
    inputs = MemberInputs(
        _stack(list(map(Hyperparameters, objectives, options)), dtype),
        _fold_weights(shared, members, dtype) if weighted else None,
        None if fold is None else _held_out(fold, members),
    )
    # each member is drawn for its own network and then padded: a draw of the wide one would give it other weights
    padded = _stack([pad_params(params, wide) for params, _ in draws], dtype)  # (members, n, n_prev) for each W
    # 4: row numbers are int32
    order_bytes = 4 * max(orders.steps) * (orders.batch_size or 0) * (1 if orders.shared else len(members))
    capacity = epochs_per_call(config.epochs, order_bytes)
    job = PopulationJob(
        key=ProgramKey(static, capacity, average=configs[0].ema_decay is not None),
        initial=InitialState(padded, np.stack([words for _, words in draws])),
        inputs=inputs,
        rows=SharedRows(batches.train, batches.validation),
        get_orders=partial(orders.get, capacity=capacity),
        steps=max(orders.steps),
        batch_size=orders.batch_size,
        has_rates=orders.rates is not None,
        shared_order=orders.shared and orders.batch_size is not None,
        epochs=config.epochs,
        n_members=len(members),
    )
    # results come back member by member, the padding cut off
    params, metrics, used = run_population(job, strategy, memory, progress)
    validated = fold is not None or batches.validation is not None
    trained = [
        _member(spec, wide, jax.tree.map(lambda leaf, i=i: leaf[i], params), metrics[i], batches.task, validated)
        for i, spec in enumerate(members)
    ]
    return trained, used


def member_batch_size(shared: SharedConfig, spec: MemberSpec) -> int | None:
    """Return the rows of a member's step; None for all rows, of which those that its fold holds out have weight 0.

    Members of one program have equal batches: noise and the moments of batch normalisation are of B columns. In a full
    batch without either, weights of 0 do the same.
    """
    m, batch_size = shared.n_rows(spec.fold), shared.config.batch_size
    B = m if batch_size == FULL else min(int(batch_size), m)
    noisy = (shared.config.objective or Objective()).noisy or not NOISE_NUMBERS.isdisjoint(spec.numbers)
    return None if shared.fold is not None and B == m and not noisy and spec.net.norm != "batch" else B


# --- what differs between members -------------------------------------------------------------------------------------


def _stack(trees: Sequence[Any], dtype: DTypeLike) -> Any:
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf, dtype) for leaf in leaves]), *trees)


def _initial_states(
    members: Sequence[MemberSpec], initializer: str | Initializer, dtype: np.dtype
) -> list[tuple[Any, np.ndarray]]:
    """Return the first parameters and the words of the run's key of every member, as `fit` draws them from its seed."""
    seeds_of: dict[Network, dict[int, None]] = {}
    for spec in members:
        seeds_of.setdefault(spec.net, {})[spec.seed] = None  # each seed once
    draws = {}
    for net, seeds in seeds_of.items():
        if len(seeds) * net.depth <= MOST_SINGLE_DRAWS:
            for seed in seeds:
                draws[net, seed] = jax.device_get(_draw(jax.random.key(seed), net, initializer, dtype))
            continue
        words = np.stack([jax.random.key_data(jax.random.key(seed)) for seed in seeds])
        params, words = jax.device_get(_draw_program(net, initializer, dtype)(words))
        for i, seed in enumerate(seeds):
            draws[net, seed] = jax.tree.map(lambda leaf, i=i: leaf[i], params), words[i]
    return [draws[spec.net, spec.seed] for spec in members]


def _draw(key: Array, net: Network, initializer: str | Initializer, dtype: DTypeLike) -> tuple[Params, Array]:
    state = init_state(key, net, optax.identity(), initializer=initializer, dtype=dtype)
    return state.params, jax.random.key_data(state.key)


@lru_cache(maxsize=MAX_FUNCTIONS)
def _draw_program(net: Network, initializer: str | Initializer, dtype: DTypeLike) -> Programs:
    """Return the program words of keys -> first parameters, words of the keys of the runs."""

    return Programs(jax.vmap(lambda words: _draw(jax.random.wrap_key_data(words), net, initializer, dtype)))


def _fold_weights(shared: SharedConfig, members: Sequence[MemberSpec], dtype: DTypeLike) -> np.ndarray:
    """Return weights, (members, m, 1), that are 0 for the rows which the member's fold holds out."""
    training = np.stack([shared.fold != spec.fold for spec in members])  # (members, m)
    weights = training if shared.weights is None else training * shared.weights
    return weights.astype(dtype)[:, :, None]


def _held_out(fold: np.ndarray, members: Sequence[MemberSpec]) -> np.ndarray:
    """Return the numbers of the rows held out, (members, h), padded with m."""
    rows = [np.flatnonzero(fold == spec.fold) for spec in members]
    held_out = np.full((len(rows), max(map(len, rows))), len(fold), np.int32)
    for line, numbers in zip(held_out, rows, strict=True):
        line[: len(numbers)] = numbers
    return held_out


# --- orders of rows, and rates ----------------------------------------------------------------------------------------


class MemberOrders(NamedTuple):
    """The orders of rows and the rates of all members.

    Attributes:
      batches: the rows.
      fold: as of `SharedConfig`.
      lines: words of the key and fold of each member.
      batch_size: rows in a step; None for full batches without orders.
      n_rows, steps: of an epoch of each member.
      shared: whether all members have the order of the first.
      epochs: of the run.
      rates: α of each member, (epochs, steps), padded with 0 to the most steps; None without.
    """

    batches: Batches
    fold: np.ndarray | None
    lines: list[tuple[tuple[int, ...], int | None]]
    batch_size: int | None
    n_rows: list[int]
    steps: list[int]
    shared: bool
    epochs: int
    rates: list[np.ndarray] | None

    @classmethod
    def of(
        cls,
        shared: SharedConfig,
        batches: Batches,
        members: Sequence[MemberSpec],
        words: Sequence[np.ndarray],
        rates: Sequence[Any],
    ) -> "MemberOrders":
        """Return those of some members, whose keys and learning rates are given.

        Raises:
          InputError: for common batches of members that are trained on different rows.
        """
        n_rows = [shared.n_rows(spec.fold) for spec in members]
        B = member_batch_size(shared, members[0])  # as of every member of a group
        batch_size = None if B == max(n_rows) and shared.fold is None else B
        if shared.same_batches and shared.fold is not None and batch_size is not None:
            expects = "no folds, which have different rows"
            raise InputError(sentence("same_batches", expects, "both", "leave one of them out"))
        steps = [1 if batch_size is None else math.ceil(n / batch_size) for n in n_rows]
        # equal keys and folds give equal orders, which are drawn once
        lines = [(tuple(map(int, each)), spec.fold) for each, spec in zip(words, members, strict=True)]
        same = shared.same_batches or len(set(lines)) == 1
        member_rates = None if rates[0] is None else _member_rates(shared.config, rates, steps)
        return cls(batches, shared.fold, lines, batch_size, n_rows, steps, same, shared.config.epochs, member_rates)

    def get(self, members: np.ndarray, first: int, capacity: int) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Return the orders and the rates of the epochs from the first on, as `PopulationJob.get_orders` does."""
        last, rates = min(first + capacity, self.epochs), None
        if self.rates is not None:
            rates = np.zeros((len(members), capacity, max(self.steps)), np.float64)  # 0 where a member has no step
            for line, i in zip(rates, members, strict=True):
                line[: last - first] = self.rates[i][first:last]
        if self.batch_size is None:
            return None, rates
        orders: dict[Any, np.ndarray] = {}
        for line in [self.lines[0]] if self.shared else [self.lines[i] for i in members]:
            if line not in orders:
                words, held_out = line
                epochs = [self._order(words, held_out, epoch) for epoch in range(first, last)]
                epochs += [epochs[-1]] * (capacity - len(epochs))  # of epochs that do not run
                orders[line] = np.stack(epochs)
        if self.shared:
            return orders[self.lines[0]], rates
        return np.stack([orders[self.lines[i]] for i in members]), rates

    def _order(self, words: tuple[int, ...], held_out: int | None, epoch: int) -> np.ndarray:
        """Return an epoch's order of the member's rows, (steps, B), as `fit` draws it when the data has no others."""
        assert self.batch_size is not None
        m, B = self.batches.n_rows, self.batch_size
        rows = np.arange(m, dtype=np.int32)
        rows = rows if self.fold is None else np.flatnonzero(self.fold != held_out).astype(np.int32)
        n = len(rows)  # rows that this member is trained on
        places = draw_order(n, min(B, n), words, epoch, shuffle=self.batches.shuffle and n > B)
        # padding must be one of its own rows: its weight is 0, but mixup mixes it into others, and a row that is held
        # out must not get in
        padding = m + rows[-1]
        order = np.full((max(self.steps), B), padding, np.int32)
        steps, width = places.shape
        order[:steps, :width] = np.where(places < n, rows[np.minimum(places, n - 1)], padding)
        return order


def _member_rates(config: TrainConfig, rates: Sequence[Any], steps: Sequence[int]) -> list[np.ndarray]:
    schedules: dict[Any, np.ndarray] = {}
    for rate, n in zip(rates, steps, strict=True):
        if (rate, n) not in schedules:
            values = make_rates(rate, config.schedule, config.warmup, config.epochs, n).steps
            schedules[rate, n] = np.pad(values.reshape(config.epochs, n), ((0, 0), (0, max(steps) - n)))
    return [schedules[line] for line in zip(rates, steps, strict=True)]


# --- results ----------------------------------------------------------------------------------------------------------


def _member(spec: MemberSpec, wide: Network, params: Any, metrics: np.ndarray, task: str, validated: bool) -> Member:
    net = dataclasses.replace(spec.net, norm=None) if spec.net.norm == "batch" else spec.net
    cost, accuracy, validation_cost, validation_accuracy, finite = metrics.T
    has_accuracy = task != "regression"
    curves = Curves(
        cost,
        accuracy if has_accuracy else None,
        validation_cost if validated else None,
        validation_accuracy if validated and has_accuracy else None,
    )
    bad = np.flatnonzero(finite != 1)
    params = params if spec.net == wide else unpad_params(params, net)
    return Member(net, params, spec, curves, int(bad[0]) + 1 if bad.size else None)
