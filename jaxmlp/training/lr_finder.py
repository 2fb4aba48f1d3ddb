"""The learning rate range test: a short run whose rate grows at every step, and the rate to take after it.

    α_t = α_0 (α_1/α_0)^(t/(T-1))                       from far too small to far too large
    s_t = (β s_{t-1} + (1 - β) J_t)/(1 - βᵗ)            the cost, smoothed with β = 0.9 (s itself without the division)
    suggested α = α at the smallest s_t, divided by 10  there the cost still falls, with room to the edge

The test ends where s is not finite, or has risen from its smallest value by three times that value or three times the
fall before it, whichever is more. Source: Smith 2017, section 3.3; the division by ten is fastai's custom.
"""

from typing import Any, NamedTuple

import numpy as np

from jaxmlp.data.dataset import Dataset
from jaxmlp.data.streaming.dataset import StreamedDataset
from jaxmlp.errors import DivergenceError, InputError, sentence
from jaxmlp.fork import refuse_after_fork
from jaxmlp.nn.layer_stacks import stack_layers
from jaxmlp.nn.network import Network, Params
from jaxmlp.training.batches import Batches, seed_words
from jaxmlp.training.config import TrainConfig
from jaxmlp.training.engine import segment_programs
from jaxmlp.training.keywords import documents_options, resolve_config
from jaxmlp.training.optimizers import default_rate, positive
from jaxmlp.training.preparation import as_dataset, prepare

LOWEST, HIGHEST, STEPS = 1e-6, 10.0, 200
SMOOTHING = 0.9  # β
MAX_RISE = 3.0  # in units of the smallest s, or of its fall: a larger rise ends the test
MARGIN = 10.0  # from the rate of the smallest cost to the suggested one


class RangeTest(NamedTuple):
    """The steps of `lr_find`, up to the end of the test.

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

    def __repr__(self) -> str:
        """Return the range and the suggestion, never the arrays."""
        tested = f"{len(self.rates)} rates from {self.rates[0]:.3g} to {self.rates[-1]:.3g}"
        return f"RangeTest({tested}, suggestion {self.suggestion:.3g})"


@documents_options(lambda option: option.in_range_test)
def lr_find(
    net: Network,
    data: Dataset | tuple[Any, Any],
    config: TrainConfig | None = None,
    *,
    params: Params | None = None,
    lowest: float = LOWEST,
    highest: float = HIGHEST,
    steps: int = STEPS,
    **options: Any,
) -> RangeTest:
    """Find a learning rate by the range test; what is trained on the way is thrown away.

    An optax transformation is made with learning rate 1 here: its updates are multiplied by α.

    Args:
      net, data, config, params: as for `fit`.
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
    >>> test = lr_find(jaxmlp.network_for(data), data)
    >>> 1e-4 < test.suggestion < 0.1
    True
    """
    refuse_after_fork("lr_find")
    name = options.get("optimizer", config and config.optimizer)
    if isinstance(name, str) and default_rate(name, None) is None:
        raise InputError(sentence("lr_find", "an optimizer with a learning rate", repr(name), "train with it as it is"))
    config = resolve_config("lr_find", config, options, lambda option: option.in_range_test)
    data = as_dataset(data)
    if isinstance(data, StreamedDataset):
        raise InputError(sentence("lr_find", "rows in memory", "a stream", "test the rate on a part of the rows"))
    rates = _rates(lowest, highest, steps)  # (T,)
    # the state and the batches of a training, and one segment of it as the whole test: a rate for each step
    spec, snapshot, _, _ = prepare(net, data, config, params)
    assert isinstance(spec.batches, Batches), "the rows are in memory"
    train_segment, _ = segment_programs(spec.static, spec.plan)
    state = stack_layers(snapshot.state, spec.plan.runs)
    order = _order(spec.batches, seed_words(state.key), len(rates))
    _, (metrics, _) = train_segment(state, spec.batches.train, order, spec.hyper._replace(rates=rates))
    return _evaluate(rates, np.asarray(metrics.J, np.float64))


def _rates(lowest: float, highest: float, steps: int) -> np.ndarray:
    lowest = positive("lowest", lowest, f"write {LOWEST:g}")
    if not lowest < highest < np.inf:
        raise InputError(sentence("highest", f"a number above lowest = {lowest:g}", highest, f"write {HIGHEST:g}"))
    if not isinstance(steps, int | np.integer) or steps < 2:
        raise InputError(sentence("steps", "a whole number of at least 2", repr(steps), f"write {STEPS}"))
    return np.geomspace(lowest, highest, int(steps))


def _order(batches: Batches, seed: tuple[int, ...], steps: int) -> np.ndarray | None:
    """Return rows for so many steps, one epoch after the other; None for full batches."""
    epochs = range(-(-steps // batches.steps))
    orders = [order for epoch in epochs if (order := batches.order(seed, epoch)) is not None]
    return np.concatenate(orders)[:steps] if orders else None  # None: the rates alone count the steps


def _evaluate(rates: np.ndarray, costs: np.ndarray) -> RangeTest:
    """Return the test up to its end, with the suggestion."""
    smoothed, s = np.empty_like(costs), 0.0
    for t, J in enumerate(costs):
        s = SMOOTHING * s + (1 - SMOOTHING) * J
        smoothed[t] = s / (1 - SMOOTHING ** (t + 1))  # t = 0: 0.1 J / 0.1, which is J itself
    if not np.isfinite(costs[0]):
        raise DivergenceError(
            f"the cost is {costs[0]} at the first step, with learning rate {rates[0]:g}: scale the inputs"
        )
    # fmin passes over NaN, where minimum would spread it to all later steps
    low = np.fmin.accumulate(smoothed)
    allowed = MAX_RISE * np.maximum(np.abs(low), smoothed[0] - low)
    over = ~(smoothed - low <= allowed)  # NaN is over, too
    end = int(over.argmax()) if over.any() else len(costs)
    best = int(smoothed[:end].argmin())
    return RangeTest(rates[:end], costs[:end], smoothed[:end], float(rates[best] / MARGIN))
