"""`fit_many`: networks × settings × seeds × folds in, trained members and their leaderboard out."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import optax

from jaxmlp.data.dataset import Dataset, Part
from jaxmlp.data.split import folds as deal
from jaxmlp.errors import InputError, sentence, unknown
from jaxmlp.nn.network import Network
from jaxmlp.nn.objective import Objective
from jaxmlp.nn.propagation import forward
from jaxmlp.training import arguments
from jaxmlp.training.fit import BATCH_SIZE, EPOCHS, check_epochs
from jaxmlp.training.group import Rest, batch_of, train_group
from jaxmlp.training.leaderboard import Member, Row, leaderboard
from jaxmlp.training.members import Spec, check_once, specs
from jaxmlp.training.optimizers import positive
from jaxmlp.training.schedules import DEFAULT as SCHEDULE
from jaxmlp.training.scores import scores_of
from jaxmlp.training.step import layers_of
from jaxmlp.training.stopping import FIGURES, check_metric
from jaxmlp.training.strategy import STRATEGIES, Strategy
from jaxmlp.training.widths import widest

# of these an update of an entry depends on that entry's gradient alone, so that entries of 0 stay 0
ENTRYWISE = (None, "sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw", "lion")


class Population(NamedTuple):
    """What `fit_many` returns.

    Attributes:
      members: networks outermost, then settings, seeds, folds.
      leaderboard: a `Row` for each network and setting, best first.
      metric: what it is sorted by.
      strategies: how it was run, one for each compiled program: networks that differ in more than width take several,
        and so do folds whose sizes differ where batches of all their rows have noise or batch normalisation.
    """

    members: tuple[Member, ...]
    leaderboard: tuple[Row, ...]
    metric: str
    strategies: tuple[Strategy, ...]

    @property
    def best(self) -> tuple[Member, ...]:
        """The members of the first row of the leaderboard that did not diverge."""
        found = (self.members[i] for i in self.leaderboard[0].members)
        return tuple(member for member in found if member.diverged is None)


def fit_many(
    nets: Network | Iterable[Network],
    data: Dataset | tuple[Any, Any],
    *,
    seeds: int | Iterable[int] = 1,
    grid: Mapping[str, Iterable[float]] | None = None,
    folds: int | None = None,
    fold_seed: int = 0,
    same_batches: bool = False,
    metric: str | None = None,
    strategy: str = "auto",
    memory: float | None = None,
    progress: Callable[[int, int], Any] | None = None,
    optimizer: str | optax.GradientTransformation | None = None,
    learning_rate: Any = None,
    schedule: str = SCHEDULE,
    warmup: float = 0,
    weight_decay: float | None = None,
    objective: Objective | None = None,
    epochs: int = EPOCHS,
    batch_size: int | str = BATCH_SIZE,
    scheme: Any = "auto",
    shuffle: bool = True,
    sample_weight: Any = None,
    class_weight: Any = None,
    clip: float | None = None,
    average: float | None = None,
    freeze: Iterable[int] = (),
    precision: str | None = None,
) -> Population:
    """Train many networks at once. Member i is the run that `fit` makes of its seed and its numbers, to rounding.

    Args:
      nets: a network, or several. Those that differ only in the widths of hidden layers share a program, the narrow
        ones filled up with units that are not there; others are trained one after the other.
      data: as for `fit`.
      seeds: how many (0, 1, …), or which; the key of a run is `jax.random.key(seed)`.
      grid: numbers by name, each with the values to try, all combinations of them: learning_rate, clip, average, and
        those of `Objective`: l2, l1, dropout, input_dropout, label_smoothing, input_noise, mixup, max_norm.
      folds: k of cross-validation: each setting is trained k times on k - 1 of k parts of the training rows, and
        validated on the one held back, which then takes the place of the validation part. The data set's preprocessing
        stays as it is.
      fold_seed: how the rows are dealt out.
      same_batches: whether all members see the rows in the order of the first: faster, because each batch is gathered
        once. Members of one seed share theirs anyway.
      metric: what the leaderboard is sorted by: "cost", "accuracy", "validation_cost", "validation_accuracy", or a
        metric of `training.scores` such as "f1", of the rows that validate; None for validation_cost where there are
        folds or a validation part, else cost, which says little of new rows. The test part ranks nothing:
        data.hold_back(0.1) gives a validation part. The validation cost has no penalties and no label smoothing in it,
        so that settings of them can be compared.
      strategy: "vmap", "chunks", "loop", or "auto", which measures.
      memory: bytes that a program may take; half of what is free if None.
      progress: called with (epochs of members done, all of them), now and then.
      optimizer, learning_rate, schedule, warmup, weight_decay, objective, epochs, batch_size, scheme, shuffle,
        sample_weight, class_weight, clip, average, freeze, precision: of every member, as for `fit`.

    Returns:
      A `Population` with members, leaderboard, metric, strategies and best. A member that diverges is marked, and the
      others go on.

    Raises:
      InputError: as for `fit`, and for a grid, seeds or folds that do not fit.

    >>> from jaxmlp.data import load
    >>> found = fit_many(Network((2, 8, 1), "tanh", "sigmoid"), load("xor"), seeds=2, epochs=200, batch_size="full",
    ...                  grid={"learning_rate": [1e-6, 0.05]}, strategy="vmap")
    >>> [row.numbers["learning_rate"] for row in found.leaderboard], found.leaderboard[0].accuracy
    ([0.05, 1e-06], 1.0)
    """
    check_once(grid or (), {"learning_rate": learning_rate, "clip": clip, "average": average}, objective)
    if strategy not in STRATEGIES:
        raise unknown("strategy", strategy, STRATEGIES)
    check_epochs(epochs)
    if memory is not None:
        positive("memory", memory, "leave it out for half of what is free")
    if str(schedule).startswith("plateau"):
        remedy = "take another, or fit them one by one"
        raise InputError(sentence("schedule of a population", "one that is known beforehand", schedule, remedy))
    data, weights = _counted(arguments.as_dataset(data), sample_weight, class_weight)
    ids = data.train.targets if data.task in ("binary", "multiclass") else None
    fold = None if folds is None else deal(len(data.train.rows), folds, fold_seed, ids)
    members = specs(nets, seeds, grid, folds)
    metric = _metric(metric, data, validated=bool(folds or data.validation))
    rest = Rest(
        data, weights, fold, objective, learning_rate, schedule, warmup, weight_decay, optimizer, int(epochs),
        batch_size, scheme, shuffle, same_batches, clip, average, layers_of(freeze), precision,
    )  # fmt: skip
    trained: dict[int, Member] = {}
    strategies = []
    for (net, _), places in _groups(members, rest).items():
        counts = (int(epochs) * len(group) for group in (trained, places, members))
        heard = progress and _offset(progress, *counts)
        found, how = train_group(net, [members[i] for i in places], rest, strategy, memory, heard)
        trained |= dict(zip(places, found, strict=True))
        strategies.append(how)
    in_order = tuple(trained[i] for i in range(len(members)))
    if metric not in FIGURES:
        in_order = _scored(in_order, data, fold, metric)
    return Population(in_order, leaderboard(in_order, metric), metric, tuple(strategies))


def _metric(metric: str | None, data: Dataset, *, validated: bool) -> str:
    """What the leaderboard is sorted by."""
    if metric is None:
        return "validation_cost" if validated else "cost"
    check_metric(metric)
    if metric not in FIGURES:
        scores_of(data.task, metric)
    if (metric.startswith("validation") or metric not in FIGURES) and not validated:
        remedy = "take 5 folds, say, or hold rows back with data.hold_back(0.1)"
        raise InputError(sentence(f"metric {metric!r}", "folds or a validation part", "neither", remedy))
    if metric.endswith("accuracy") and data.task == "regression":
        raise InputError(sentence(f"metric {metric!r}", "classes", data.task, "take a cost"))
    return metric


def _offset(progress: Callable[[int, int], Any], before: int, own: int, total: int) -> Callable[[int, int], Any]:
    """Progress of a group of members, as that of all."""
    return lambda done, _: progress(before + min(done, own), total)


def _scored(members: tuple[Member, ...], data: Dataset, fold: np.ndarray | None, metric: str) -> tuple[Member, ...]:
    """The members with their metric of the rows that validate them."""

    @cache
    def validating(which: int | None, dtype: Any) -> tuple[Dataset, np.ndarray]:
        if fold is not None:
            held = fold == which
            part = Part(data.train.rows[held], data.train.targets[held])
            return dataclasses.replace(data, validation=part), data.preprocessing(part.rows, dtype).T
        assert data.validation is not None, "`_metric` has asked for it"
        return data, data.preprocessing(data.validation.rows, dtype).T

    def scored(member: Member) -> Member:
        if member.diverged is not None:
            return member
        checked, X = validating(member.spec.fold, member.params[0]["W"].dtype)
        score = arguments.scorer(checked, member.net, [metric], None)
        assert score is not None
        return member._replace(scores=score(np.asarray(forward(member.params, X, member.net)).T))

    return tuple(map(scored, members))


def _counted(data: Dataset, sample_weight: Any, class_weight: Any) -> tuple[Dataset, np.ndarray | None]:
    """The data set without training rows of weight 0, and the weights of the others."""
    weights = arguments.row_weights(data, sample_weight, class_weight)
    if weights is None or weights.shape != (len(data.train.rows),) or (weights != 0).all():
        return data, weights
    kept = weights != 0
    return dataclasses.replace(data, train=Part(data.train.rows[kept], data.train.targets[kept])), weights[kept]


def _groups(members: list[Spec], rest: Rest) -> dict[tuple[Network, int | None], list[int]]:
    """The places of the members by the network that they are trained in, and the rows of a step."""
    nets = list(dict.fromkeys(member.net for member in members))
    entrywise = (rest.optimizer is None or isinstance(rest.optimizer, str)) and rest.optimizer in ENTRYWISE
    wide = widest(nets) if entrywise else None
    groups: dict[tuple[Network, int | None], list[int]] = {}
    for i, member in enumerate(members):
        groups.setdefault((wide or member.net, batch_of(rest, member)), []).append(i)
    return groups
