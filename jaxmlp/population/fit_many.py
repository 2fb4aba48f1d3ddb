"""`fit_many`: networks × settings × seeds × folds in, trained members and their leaderboard out."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from jaxmlp.data.dataset import Dataset, Part
from jaxmlp.data.split import assign_folds
from jaxmlp.errors import InputError, InputTypeError, check_type, sentence, unknown
from jaxmlp.fork import refuse_after_fork
from jaxmlp.metrics.definitions import select_metrics
from jaxmlp.nn.forward import forward
from jaxmlp.nn.network import Network
from jaxmlp.population.grid import MemberSpec, check_no_duplicates, member_specs
from jaxmlp.population.group import SharedConfig, member_batch_size, train_group
from jaxmlp.population.leaderboard import Member, Row, leaderboard
from jaxmlp.population.padding import widest
from jaxmlp.population.strategy import STRATEGIES, Strategy
from jaxmlp.training.config import TrainConfig
from jaxmlp.training.early_stopping import REPORT_METRICS, check_metric
from jaxmlp.training.keywords import documents_options, resolve_config
from jaxmlp.training.optimizers import positive
from jaxmlp.training.preparation import as_dataset, row_weights
from jaxmlp.training.scores import score_function

# with these the update of an entry depends on the gradient of that entry only, so that padding stays 0
ENTRYWISE = ("sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw", "lion")  # adamw_ntk reads n_in off the padded W

MAX_SHOWN = 10  # rows of the leaderboard in the repr of a population


class Population(NamedTuple):
    """What `fit_many` returns.

    Attributes:
      members: networks outermost, then settings, seeds, folds.
      leaderboard: a `Row` for each network and setting, best first.
      metric: what it is sorted by.
      strategies: how it was run, one for each compiled program. Networks that differ in more than width take several
        programs, and so do folds of different sizes where full batches have noise or batch normalisation.
    """

    members: tuple[Member, ...]
    leaderboard: tuple[Row, ...]
    metric: str
    strategies: tuple[Strategy, ...]

    def __repr__(self) -> str:
        """Return the first rows of the leaderboard, never the arrays."""
        lines = [f"Population({len(self.members)} networks, by {self.metric}:", *self.leaderboard[:MAX_SHOWN]]
        n_more = len(self.leaderboard) - MAX_SHOWN
        return "\n  ".join(map(str, [*lines, f"and {n_more} more"] if n_more > 0 else lines)) + ")"

    @property
    def best(self) -> tuple[Member, ...]:
        """The members of the first row of the leaderboard that did not diverge."""
        members = (self.members[i] for i in self.leaderboard[0].members)
        return tuple(member for member in members if member.diverged is None)


class Folds(NamedTuple):
    """Cross-validation in n folds; the seed decides which rows are in which."""

    n: int
    seed: int = 0


class Execution(NamedTuple):
    """How a population is run: a strategy, and the bytes that a program may take (half of what is free if None)."""

    strategy: str = "auto"
    memory: float | None = None


@documents_options(lambda option: option.in_population)
def fit_many(
    nets: Network | Iterable[Network],
    data: Dataset | tuple[Any, Any],
    config: TrainConfig | None = None,
    *,
    seeds: int | Iterable[int] = 1,
    grid: Mapping[str, Iterable[float]] | None = None,
    folds: int | Folds | None = None,
    same_batches: bool = False,
    metric: str | None = None,
    strategy: str | Execution = "auto",
    progress: Callable[[int, int], Any] | None = None,
    **options: Any,
) -> Population:
    """Train many networks at once. Member i is the run that `fit` makes of its seed and its numbers, to rounding.

    Args:
      nets: a network, or several. Those that differ only in the widths of hidden layers share a program, the narrow
        ones padded with unused units; networks that differ in more are trained one after the other.
      data: as for `fit`.
      config: the options below as one object; keywords change it.
      seeds: how many (0, 1, …), or a list of them; the key of a run is `jax.random.key(seed)`.
      grid: numbers by name, each with the values to try, in all combinations: learning_rate, clip_norm, ema_decay, and
        those of `Objective`: l2, l1, dropout, input_dropout, label_smoothing, input_noise, mixup, max_norm.
      folds: k of cross-validation, or `Folds(k, seed)`: each setting is trained k times on k - 1 of k parts of the
        training rows, and validated on the part held out, which replaces the validation part. The data set's
        preprocessing stays as it is.
      same_batches: whether all members see the rows in the order of the first: faster, because each batch is gathered
        once. Members of one seed have the same order in any case.
      metric: what the leaderboard is sorted by: "cost", "accuracy", "validation_cost", "validation_accuracy", or a
        metric by name such as "f1", of the rows that validate; None for validation_cost where there are folds or a
        validation part, else cost, which says little about new rows. The test part ranks nothing:
        data.split_validation(0.1) gives a validation part. The validation cost has no penalties and no label smoothing
        in it, so that settings of them can be compared.
      strategy: "vmap", "chunks", "loop", or "auto", which measures; `Execution(strategy, memory)` bounds its memory.
      progress: called with (epochs of members done, all of them), now and then.

    Returns:
      A `Population` with members, leaderboard, metric, strategies and best. A member that diverges is marked, and the
      others continue.

    Raises:
      InputError: as for `fit`, and for a grid, seeds or folds that do not fit.

    >>> from jaxmlp.data import load
    >>> net = Network((2, 8, 1), "tanh", "sigmoid")
    >>> population = fit_many(net, load("xor"), seeds=2, epochs=200, batch_size="full",
    ...                       grid={"learning_rate": [1e-6, 0.05]}, strategy="vmap")
    >>> [row.numbers["learning_rate"] for row in population.leaderboard], population.leaderboard[0].accuracy
    ([0.05, 1e-06], 1.0)
    """
    refuse_after_fork("fit_many")
    config = resolve_config("fit_many", config, options, lambda option: option.in_population)
    grid = {} if grid is None else grid
    expects, remedy = "a dictionary of numbers by name", "write {'learning_rate': [0.001, 0.01]}"
    check_type("grid", grid, Mapping, expects, remedy)
    check_no_duplicates(grid, config)
    strategy, memory = Execution(*strategy) if isinstance(strategy, tuple) else Execution(strategy)
    if strategy not in STRATEGIES:
        raise unknown("strategy", strategy, STRATEGIES)
    if memory is not None:
        positive("memory", memory, "leave it out for half of what is free")
    if config.schedule.startswith("plateau"):
        remedy = "choose another, or fit them one by one"
        raise InputError(sentence("schedule of a population", "one that is known beforehand", config.schedule, remedy))
    # which rows, folds and members there are
    data, weights = _drop_unweighted_rows(as_dataset(data), config)
    # rows of weight 0 are gone by now: folds share out those that count, and none is left without any
    folds = Folds(folds) if isinstance(folds, int | np.integer) else folds
    check_type("folds", folds, (Folds, type(None)), "their number, or Folds(n, seed)", "write 5, for example")
    if progress is not None and not callable(progress):
        remedy = "write progress=lambda done, total: print(done, total)"
        raise InputTypeError(sentence("progress", "a function of two numbers", repr(progress), remedy))
    ids = data.train.targets if data.task in ("binary", "multiclass") else None
    fold = None if folds is None else assign_folds(len(data.train.rows), folds.n, folds.seed, ids)
    members = member_specs(nets, seeds, grid, None if folds is None else folds.n)
    metric = _resolve_metric(metric, data, validated=bool(folds or data.validation))
    shared = SharedConfig(config, data, weights, fold, same_batches)
    # train: one program for each group, whose members differ in numbers only; then back into the order of the members
    trained: dict[int, Member] = {}
    strategies = []
    for (net, _), places in _groups(members, shared).items():
        counts = (config.epochs * len(group) for group in (trained, places, members))
        report = progress and _with_offset(progress, *counts)
        results, used = train_group(net, [members[i] for i in places], shared, strategy, memory, report)
        trained |= dict(zip(places, results, strict=True))
        strategies.append(used)
    in_order = tuple(trained[i] for i in range(len(members)))
    if metric not in REPORT_METRICS:
        in_order = _with_metric(in_order, data, fold, metric)
    return Population(in_order, leaderboard(in_order, metric), metric, tuple(strategies))


def _resolve_metric(metric: str | None, data: Dataset, *, validated: bool) -> str:
    """Return what the leaderboard is sorted by."""
    if metric is None:
        return "validation_cost" if validated else "cost"
    check_metric(metric)
    if metric not in REPORT_METRICS:
        select_metrics(data.task, metric)
    if (metric.startswith("validation") or metric not in REPORT_METRICS) and not validated:
        remedy = "use 5 folds, for example, or make a validation part with data.split_validation(0.1)"
        raise InputError(sentence(f"metric {metric!r}", "folds or a validation part", "neither", remedy))
    if metric.endswith("accuracy") and data.task == "regression":
        raise InputError(sentence(f"metric {metric!r}", "classes", data.task, "choose a cost"))
    return metric


def _with_offset(
    progress: Callable[[int, int], Any], before: int, in_group: int, total: int
) -> Callable[[int, int], Any]:
    """Return a function that reports the progress of a group of members as that of all."""
    return lambda done, _: progress(before + min(done, in_group), total)  # `done` counts copies in the last chunk too


def _with_metric(
    members: tuple[Member, ...], data: Dataset, fold: np.ndarray | None, metric: str
) -> tuple[Member, ...]:
    """Return the members with their metric of the rows that validate them."""

    @cache
    def validation_part(number: int | None, dtype: Any) -> tuple[Dataset, np.ndarray]:
        if fold is not None:
            part = Part(data.train.rows[fold == number], data.train.targets[fold == number])
            return dataclasses.replace(data, validation=part), data.preprocessing(part.rows, dtype).T
        assert data.validation is not None, "`_resolve_metric` has checked it"
        return data, data.preprocessing(data.validation.rows, dtype).T

    def measured(member: Member) -> Member:
        if member.diverged is not None:
            return member
        validated, X = validation_part(member.spec.fold, member.params[0]["W"].dtype)
        score = score_function(validated, member.net, [metric])
        assert score is not None
        return member._replace(metrics=score(np.asarray(forward(member.params, X, member.net)).T))

    return tuple(map(measured, members))


def _drop_unweighted_rows(data: Dataset, config: TrainConfig) -> tuple[Dataset, np.ndarray | None]:
    """Return the data set without training rows of weight 0, and the weights of the remaining rows."""
    weights = row_weights(data, config)
    if weights is None or weights.shape != (len(data.train.rows),) or (weights != 0).all():
        return data, weights
    counted = weights != 0
    part = Part(data.train.rows[counted], data.train.targets[counted])
    return dataclasses.replace(data, train=part), weights[counted]


def _groups(members: list[MemberSpec], shared: SharedConfig) -> dict[tuple[Network, int | None], list[int]]:
    """Return the places of the members by the network that they are trained in, and the rows of a step."""
    nets = list(dict.fromkeys(spec.net for spec in members))
    optimizer = shared.config.optimizer
    entrywise = isinstance(optimizer, str) and optimizer.partition("(")[0].strip() in ENTRYWISE
    # networks of several widths share a program only where padding is certain to stay 0
    wide = widest(nets) if entrywise else None
    groups: dict[tuple[Network, int | None], list[int]] = {}
    for i, spec in enumerate(members):
        # full batches of folds of unlike sizes may have other shapes, which are another program
        groups.setdefault((wide or spec.net, member_batch_size(shared, spec)), []).append(i)
    return groups
