"""The members that share a program: their weights, numbers, rows and rates side by side, and what comes out of them."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from jaxmlp.data.dataset import Dataset
from jaxmlp.errors import InputError, sentence
from jaxmlp.nn.network import Network
from jaxmlp.nn.noise import Rates
from jaxmlp.nn.objective import Objective
from jaxmlp.training import arguments
from jaxmlp.training.batches import FULL, Batches, check_batch_size, draw_order, make_batches
from jaxmlp.training.leaderboard import Curves, Member
from jaxmlp.training.members import OF_OBJECTIVE, Spec
from jaxmlp.training.population import Data, Kind, Lane, Seed
from jaxmlp.training.schedules import make_rates
from jaxmlp.training.state import start
from jaxmlp.training.step import Control, check_frozen
from jaxmlp.training.strategy import Strategy, Work, epochs_per_call, run
from jaxmlp.training.widths import live, narrowed, padded

NOISE = frozenset(Rates._fields)


class Rest(NamedTuple):
    """What all members have in common: the arguments of `fit_many`, checked where nothing is said here.

    Attributes:
      data, weights: the data set without rows of weight 0, and the weights of the others.
      fold: the fold of each training row; None without cross-validation.
    """

    data: Dataset
    weights: np.ndarray | None
    fold: np.ndarray | None
    objective: Objective | None
    learning_rate: Any
    schedule: str
    warmup: float
    weight_decay: float | None
    optimizer: Any
    epochs: int
    batch_size: int | str
    scheme: Any
    shuffle: bool
    same_batches: bool
    clip: float | None
    average: float | None
    freeze: tuple[int, ...]
    precision: str | None


def train_group(
    wide: Network,
    members: Sequence[Spec],
    rest: Rest,
    strategy: str,
    memory: float | None,
    progress: Callable[[int, int], Any] | None,
) -> tuple[list[Member], Strategy]:
    """Train the members, all of whose networks fit into `wide`, and say how it was done."""
    data, fold = rest.data, rest.fold
    dtype, compute = arguments.dtypes(rest.precision, None, wide)
    if fold is not None:  # what is held back takes the place of the validation part
        data = dataclasses.replace(data, validation=None, test=None)
    options: dict[str, Any] = {"dtype": dtype, "shuffle": rest.shuffle, "weights": rest.weights}
    batches = make_batches(data, wide, rest.objective, rest.batch_size, **options)
    counts = [_count(rest, member.fold) for member in members]
    objectives = [_objective(rest, member, wide) for member in members]
    controls = [_control(rest, member) for member in members]
    chosen = [_optimizer(rest, member) for member in members]
    drawn = _drawn(members, rest.scheme, np.dtype(dtype))
    own = batch_of(rest, members[0])  # theirs all
    batch = None if own == max(counts) and fold is None else own
    weighted = fold is not None and batch is None
    steps = [1 if batch is None else math.ceil(m / batch) for m in counts]
    lines = [(tuple(map(int, words)), member.fold) for (_, words), member in zip(drawn, members, strict=True)]
    if rest.same_batches and fold is not None and batch is not None:
        remedy = "leave one of them out"
        raise InputError(sentence("same_batches", "no folds, which have rows of their own", "both", remedy))
    alike = rest.same_batches or len(set(lines)) == 1
    kind = Kind(
        wide,
        chosen[0][0],
        batches.task,
        check_frozen(rest.freeze, wide),
        compute,
        padded=batch is not None and any(m % batch for m in counts),
        ragged=len(set(steps)) > 1,
        average=controls[0].decay is not None,
    )
    whole = all(member.net == wide for member in members)
    masks = None if whole else _stack([live(member.net, wide, np.dtype(dtype)) for member in members], dtype)
    lanes = Lane(
        _stack(objectives, dtype),
        _stack(controls, dtype)._replace(live=masks),
        _fold_weights(rest, members, dtype) if weighted else None,
        None if fold is None else _held(fold, members),
    )
    seeds = Seed(_stack([padded(params, wide) for params, _ in drawn], dtype), np.stack([words for _, words in drawn]))
    rates = _rates(rest, [rate for _, rate in chosen], steps)
    per_call = epochs_per_call(rest.epochs, 4 * max(steps) * (batch or 0) * (1 if alike else len(members)))
    work = Work(
        kind,
        seeds,
        lanes,
        Data(batches.train, batches.validation),
        partial(_feed, batches, fold, lines, batch, max(steps), alike, rates, rest.epochs),
        max(steps),
        batch,
        rates is not None,
        alike and batch is not None,
        rest.epochs,
        per_call,
        len(members),
    )
    params, figures, how = run(work, strategy, memory, progress)
    validated = fold is not None or batches.validation is not None
    found = [
        _member(spec, wide, jax.tree.map(lambda leaf, i=i: leaf[i], params), figures[i], batches.task, validated)
        for i, spec in enumerate(members)
    ]
    return found, how


def batch_of(rest: Rest, member: Spec) -> int | None:
    """The rows of a member's step; None for all rows, of which those that its fold holds back have weight 0.

    Members of one program need the same: noise and the moments of batch normalisation are of B columns. Weights of 0
    will do in a full batch without either.
    """
    check_batch_size(rest.batch_size)
    m = _count(rest, member.fold)
    B = m if rest.batch_size == FULL else min(int(rest.batch_size), m)
    noisy = (rest.objective or Objective()).noisy or not NOISE.isdisjoint(member.numbers)
    return None if rest.fold is not None and B == m and not noisy and member.net.norm != "batch" else B


# --- what a member has of its own -------------------------------------------------------------------------------------


def _count(rest: Rest, fold: int | None) -> int:
    """How many rows it is trained on."""
    return len(rest.data.train.rows) if rest.fold is None else int((rest.fold != fold).sum())


def _objective(rest: Rest, member: Spec, wide: Network) -> Objective:
    own = {name: value for name, value in member.numbers.items() if name in OF_OBJECTIVE}
    objective = dataclasses.replace(rest.objective or Objective(), **own)
    weights = np.ones(len(rest.data.train.rows)) if rest.weights is None else np.asarray(rest.weights, float)
    total = weights.sum() if rest.fold is None else weights[rest.fold != member.fold].sum()
    return arguments.for_training(objective, wide, float(total))


def _control(rest: Rest, member: Spec) -> Control:
    clip = arguments.optional("clip", member.numbers.get("clip", rest.clip))
    return Control(clip=clip, decay=arguments.decay_of(member.numbers.get("average", rest.average)))


def _optimizer(rest: Rest, member: Spec) -> tuple[optax.GradientTransformation, Any]:
    rate = member.numbers.get("learning_rate", rest.learning_rate)
    return arguments.optimizer_and_rate(
        rest.optimizer, rate, rest.schedule, rest.warmup, rest.weight_decay, rest.batch_size
    )


def _stack(trees: Sequence[Any], dtype: Any) -> Any:
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf, dtype) for leaf in leaves]), *trees)


def _drawn(members: Sequence[Spec], scheme: Any, dtype: np.dtype) -> list[tuple[Any, np.ndarray]]:
    """The first parameters and the bits of the run's key of every member, as `fit` draws them from its seed."""
    by_net: dict[Network, list[int]] = {}
    for member in members:
        by_net.setdefault(member.net, []).append(member.seed)
    found = {}
    for net, seeds in by_net.items():
        seeds = list(dict.fromkeys(seeds))
        words = np.stack([jax.random.key_data(jax.random.key(seed)) for seed in seeds])
        params, words = jax.device_get(_draw(words, net, scheme, dtype))
        for i, seed in enumerate(seeds):
            found[net, seed] = jax.tree.map(lambda leaf, i=i: leaf[i], params), words[i]
    return [found[member.net, member.seed] for member in members]


@partial(jax.jit, static_argnames=("net", "scheme", "dtype"))
def _draw(words: Any, net: Network, scheme: Any, dtype: Any) -> Any:
    def one(words: Any) -> Any:
        state = start(jax.random.wrap_key_data(words), net, optax.identity(), scheme=scheme, dtype=dtype)
        return state.params, jax.random.key_data(state.key)

    return jax.vmap(one)(words)


# --- rows and rates ---------------------------------------------------------------------------------------------------


def _fold_weights(rest: Rest, members: Sequence[Spec], dtype: Any) -> np.ndarray:
    """(members, m, 1): 0 for the rows that the member's fold holds back."""
    assert rest.fold is not None
    kept = np.stack([rest.fold != member.fold for member in members])
    return (kept if rest.weights is None else kept * rest.weights).astype(dtype)[:, :, None]


def _held(fold: np.ndarray, members: Sequence[Spec]) -> np.ndarray:
    """(members, h): numbers of the rows held back, filled up with m."""
    rows = [np.flatnonzero(fold == member.fold) for member in members]
    held = np.full((len(rows), max(map(len, rows))), len(fold), np.int32)
    for line, own in zip(held, rows, strict=True):
        line[: len(own)] = own
    return held


def _rates(rest: Rest, alphas: Sequence[Any], steps: Sequence[int]) -> list[np.ndarray] | None:
    """α of every member, (epochs, steps) each; None where the optimizer brings its own."""
    if alphas[0] is None:
        return None
    found: dict[Any, np.ndarray] = {}
    for key in zip(alphas, steps, strict=True):
        if key not in found:
            rates = make_rates(key[0], rest.schedule, rest.warmup, rest.epochs, key[1]).steps
            found[key] = np.pad(rates.reshape(rest.epochs, key[1]), ((0, 0), (0, max(steps) - key[1])))
    return [found[key] for key in zip(alphas, steps, strict=True)]


def _feed(
    batches: Batches,
    fold: np.ndarray | None,
    lines: Sequence[tuple[tuple[int, ...], int | None]],
    batch: int | None,
    steps: int,
    alike: bool,
    rates: Sequence[np.ndarray] | None,
    epochs: int,
    chunk: np.ndarray,
    first: int,
    K: int,
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The orders and the rates of K epochs of some members; see `Work.feed`."""
    last = min(first + K, epochs)
    alphas = None
    if rates is not None:
        alphas = np.zeros((len(chunk), K, steps), np.float64)
        for line, i in zip(alphas, chunk, strict=True):
            line[: last - first] = rates[i][first:last]
    if batch is None:
        return None, alphas
    drawn: dict[Any, np.ndarray] = {}
    for words, held in [lines[0]] if alike else [lines[i] for i in chunk]:
        if (words, held) not in drawn:
            orders = [_order(batches, fold, held, batch, steps, words, epoch) for epoch in range(first, last)]
            orders += [orders[-1]] * (K - len(orders))  # of epochs that will not be run
            drawn[words, held] = np.stack(orders)
    return drawn[lines[0]] if alike else np.stack([drawn[lines[i]] for i in chunk]), alphas


def _order(
    batches: Batches, fold: np.ndarray | None, held: int | None, B: int, steps: int, words: Any, epoch: int
) -> np.ndarray:
    """An epoch's order of a member's own rows, (steps, B), as `fit` would draw it had it no others."""
    m = batches.n_rows
    rows = np.arange(m, dtype=np.int32) if fold is None else np.flatnonzero(fold != held).astype(np.int32)
    own = len(rows)
    places = np.append(rows, m + rows[-1])  # past the end: its last row, with weight 0
    order = np.full((steps, B), places[-1], np.int32)
    drawn = draw_order(own, min(B, own), words, epoch, shuffle=batches.shuffle and own > B)
    order[: drawn.shape[0], : drawn.shape[1]] = places[drawn]
    return order


# --- what comes out ---------------------------------------------------------------------------------------------------


def _member(spec: Spec, wide: Network, params: Any, figures: np.ndarray, task: str, validated: bool) -> Member:
    net = dataclasses.replace(spec.net, norm=None) if spec.net.norm == "batch" else spec.net
    cost, accuracy, validation_cost, validation_accuracy, finite = figures.T
    has_accuracy = task != "regression"
    curves = Curves(
        cost,
        accuracy if has_accuracy else None,
        validation_cost if validated else None,
        validation_accuracy if validated and has_accuracy else None,
    )
    bad = np.flatnonzero(finite != 1)
    params = params if spec.net == wide else narrowed(params, net)
    return Member(net, params, spec, curves, int(bad[0]) + 1 if bad.size else None)
