"""The learning rate range test: a short run whose rate grows at every step, and the rate to take after it.

    α_t = α_0 (α_1/α_0)^(t/(T-1))                       from far too small to far too large
    s_t = (β s_{t-1} + (1 - β) J_t)/(1 - βᵗ)            the cost, smoothed with β = 0.9 (s itself without the division)
    suggested α = α at the smallest s_t, divided by 10  there the cost still falls, with room to the edge

The test ends where s is not finite, or has risen from its smallest value by three times that value or three times the
fall before it, whichever is more. Source: Smith 2017, section 3.3; the division by ten is fastai's custom.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jax import Array

from jaxmlp.data.dataset import Dataset
from jaxmlp.data.stream import StreamedDataset
from jaxmlp.errors import DivergenceError, InputError, sentence
from jaxmlp.nn.network import Network, Params, check_network
from jaxmlp.nn.objective import Objective
from jaxmlp.nn.stacks import stacked
from jaxmlp.training import arguments, optimizers
from jaxmlp.training.batches import Batches, make_batches, seed_of
from jaxmlp.training.fit import BATCH_SIZE
from jaxmlp.training.program import fixed_for, piece_programs
from jaxmlp.training.state import start
from jaxmlp.training.step import Control, check_frozen, check_optimizer

LOWEST, HIGHEST, STEPS = 1e-6, 10.0, 200
SMOOTHING = 0.9  # β
TOO_HIGH = 3.0  # times the smallest s, or its fall: a rise that ends the test
MARGIN = 10.0  # from the rate of the smallest cost to the suggested one


class RangeTest(NamedTuple):
    """What `lr_find` saw, up to the end of the test.

    Attributes:
      rates: α of each step.
      costs: J of its batch before the update.
      smoothed: s, the costs smoothed.
      suggestion: the rate to take.
    """

    rates: np.ndarray
    costs: np.ndarray
    smoothed: np.ndarray
    suggestion: float


def lr_find(
    net: Network,
    data: Dataset | tuple[Any, Any],
    *,
    optimizer: str | optax.GradientTransformation | None = None,
    weight_decay: float | None = None,
    objective: Objective | None = None,
    batch_size: int | str = BATCH_SIZE,
    key: Array | None = None,
    params: Params | None = None,
    scheme: Any = "auto",
    class_weight: Any = None,
    clip: float | None = None,
    freeze: Iterable[int] = (),
    precision: str | None = None,
    lowest: float = LOWEST,
    highest: float = HIGHEST,
    steps: int = STEPS,
) -> RangeTest:
    """Find a learning rate by the range test; what is trained on the way is thrown away.

    Args:
      net, data, weight_decay, objective, batch_size, key, params, scheme, class_weight, clip, freeze, precision: as for
        `fit`.
      optimizer: a name, or an optax transformation made with learning rate 1, whose updates are multiplied by α.
      lowest, highest: α_0 and α_1.
      steps: T.

    Returns:
      A `RangeTest`; `jaxmlp.plots.range_test` draws it.

    Raises:
      InputError: for numbers out of range, for an optimizer without a learning rate, and for rows that stay in their
        file.
      DivergenceError: when the cost is not finite at the smallest rate already.

    >>> import jaxmlp
    >>> data = jaxmlp.load("digits")
    >>> found = lr_find(jaxmlp.network_for(data), data)
    >>> 1e-4 < found.suggestion < 0.1
    True
    """
    check_network(net)
    data = arguments.as_dataset(data)
    if isinstance(data, StreamedDataset):
        raise InputError(sentence("lr_find", "rows in memory", "a stream", "test the rate on a part of the rows"))
    rates = _rates(lowest, highest, steps)
    dtype, compute = arguments.dtypes(precision, params, net)
    frozen = check_frozen(freeze, net)
    arguments.check_moments(frozen, net, params)
    weights = arguments.row_weights(data, None, class_weight)
    objective = arguments.for_training(objective, net, arguments.n_examples(data, weights))
    optimizer = _unit(optimizer, weight_decay)
    batches = make_batches(data, net, objective, batch_size, dtype=dtype, weights=weights)
    state = start(jax.random.key(0) if key is None else key, net, optimizer, params, scheme=scheme, dtype=dtype)
    control = Control(clip=arguments.optional("clip", clip))
    fixed = fixed_for(net, optimizer, state, batches, frozen=frozen, compute=compute)
    program, _ = piece_programs(net, optimizer, fixed)
    order = _order(batches, seed_of(state.key), len(rates))
    _, (seen, _) = program(stacked(state, fixed.runs), batches.train, order, rates, objective, control)
    return _judged(rates, np.asarray(seen.J, np.float64))


def _rates(lowest: float, highest: float, steps: int) -> np.ndarray:
    lowest = optimizers.positive("lowest", lowest, f"write {LOWEST:g}, say")
    if not lowest < highest < np.inf:
        raise InputError(sentence("highest", f"a number above lowest = {lowest:g}", highest, f"write {HIGHEST:g}, say"))
    if not isinstance(steps, int | np.integer) or steps < 2:
        raise InputError(sentence("steps", "a whole number of at least 2", repr(steps), f"write {STEPS}, say"))
    return np.geomspace(lowest, highest, int(steps))


def _unit(optimizer: Any, weight_decay: float | None) -> optax.GradientTransformation:
    """The optimizer with learning rate 1."""
    if optimizer is None or isinstance(optimizer, str):
        name = optimizer or optimizers.DEFAULT
        if optimizers.usual_rate(name, None) is None:
            remedy = "train with it as it is"
            raise InputError(sentence("lr_find", "an optimizer with a learning rate", repr(name), remedy))
        return optimizers.unit_optimizer(name, weight_decay)
    check_optimizer(optimizer)
    return optimizer


def _order(batches: Batches, seed: tuple[int, ...], steps: int) -> np.ndarray | None:
    """Rows for so many steps, one epoch after the other; None for full batches."""
    drawn = (batches.order(seed, epoch) for epoch in range(-(-steps // batches.steps)))
    orders = [order for order in drawn if order is not None]
    return np.concatenate(orders)[:steps] if orders else None


def _judged(rates: np.ndarray, costs: np.ndarray) -> RangeTest:
    """The test up to its end, with the suggestion."""
    smoothed, s = np.empty_like(costs), 0.0
    for t, J in enumerate(costs):
        s = SMOOTHING * s + (1 - SMOOTHING) * J
        smoothed[t] = s / (1 - SMOOTHING ** (t + 1))
    if not np.isfinite(costs[0]):
        raise DivergenceError(
            f"the cost is {costs[0]} at the first step, with learning rate {rates[0]:g}: scale the inputs"
        )
    low = np.fmin.accumulate(smoothed)
    room = TOO_HIGH * np.maximum(np.abs(low), smoothed[0] - low)
    over = ~(smoothed - low <= room)  # a cost that is not a number is over, too
    end = int(over.argmax()) if over.any() else len(costs)
    best = int(smoothed[:end].argmin())
    return RangeTest(rates[:end], costs[:end], smoothed[:end], float(rates[best] / MARGIN))
