"""The hand-written backward pass beside autodiff of the same network: time, memory, FLOPs.

    manual      J and its gradient by the textbook's rules, as in training
    autodiff    J and its gradient of the same forward pass without the package's rules

The bytes are those that XLA reserves for intermediate values (its memory analysis); the FLOPs are those that it counts
in the compiled program.
"""

import statistics
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.evidence.speed.timing import Spread, count_calls, ratios, repeat, times_by_turns
from jaxmlp.nn.backprop import evaluate
from jaxmlp.nn.network import Network, Params
from jaxmlp.nn.objective import Batch, Objective
from jaxmlp.nn.parameters import init
from jaxmlp.nn.rule import AUTODIFF, TEXTBOOK, Derivatives

BACKWARD_ROUNDS = 9
BACKWARD_ROUND_SECONDS = 0.04  # of one measurement, about: long beside a clock tick, short beside a change of load


class Program(NamedTuple):
    """A compiled J and gradient: how to run it, its temporary bytes, its FLOPs."""

    run: Callable[[], Any]
    bytes: int
    flops: float


class Comparison(NamedTuple):
    """Manual and autodiff side by side.

    Attributes:
      net, m: the network and the examples in the batch.
      microseconds, bytes, flops: of (manual, autodiff); the time is the median.
      ratio: manual's time over autodiff's.
    """

    net: Network
    m: int
    microseconds: tuple[float, float]
    ratio: Spread
    bytes: tuple[int, int]
    flops: tuple[float, float]

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as plain numbers and texts."""
        return {
            "sizes": self.net.sizes,
            "activation": self.net.activations[0].name,
            "examples": self.m,
            "manual": dict(zip(("microseconds", "bytes", "flops"), self._side(0), strict=True)),
            "autodiff": dict(zip(("microseconds", "bytes", "flops"), self._side(1), strict=True)),
            "ratio": self.ratio._asdict(),
        }

    def _side(self, i: int) -> tuple[float, int, float]:
        return self.microseconds[i], self.bytes[i], self.flops[i]


def compare_backward(
    net: Network, m: int, *, rounds: int = BACKWARD_ROUNDS, round_seconds: float = BACKWARD_ROUND_SECONDS
) -> Comparison:
    """Measure both by turns on m random examples.

    >>> comparison = compare_backward(Network((3, 4, 2), "tanh", "softmax"), 8, rounds=1, round_seconds=0.0)
    >>> comparison.m, comparison.flops[0] > 0
    (8, True)
    """
    params, batch = init(jax.random.key(0), net), random_batch(net, m)
    manual, autodiff = (program(net, derivatives, params, batch) for derivatives in (TEXTBOOK, AUTODIFF))
    for each in (manual, autodiff):  # a first call, so that no measurement includes the start
        jax.block_until_ready(each.run())
    n = count_calls(manual.run, round_seconds)  # for both, so that the ratio of their times is that of a call
    times = times_by_turns({"manual": repeat(manual.run, n), "autodiff": repeat(autodiff.run, n)}, rounds)
    first, second = (1e6 * statistics.median(times[name]) / n for name in ("manual", "autodiff"))
    ratio = ratios(times["manual"], times["autodiff"])
    return Comparison(net, m, (first, second), ratio, (manual.bytes, autodiff.bytes), (manual.flops, autodiff.flops))


def program(net: Network, derivatives: Derivatives, params: Params, batch: Batch) -> Program:
    """Compile J and gradient by these rules for this batch."""
    value_and_grad = jax.jit(jax.value_and_grad(partial(_J, net, derivatives)))
    compiled = value_and_grad.lower(params, batch).compile()
    memory, costs = compiled.memory_analysis(), compiled.cost_analysis()
    costs = costs[0] if isinstance(costs, list) else costs or {}  # a list until JAX 0.5
    n_bytes = 0 if memory is None else int(memory.temp_size_in_bytes)  # None on a backend without this analysis
    return Program(lambda: compiled(params, batch), n_bytes, float(costs.get("flops", 0.0)))


def _J(net: Network, derivatives: Derivatives, params: Params, batch: Batch) -> jax.Array:
    return evaluate(params, batch, net, Objective(), derivatives).J


def random_batch(net: Network, m: int) -> Batch:
    """Return m random examples, with class ids for a softmax output, with zeros and ones for another."""
    rng, n = np.random.default_rng(0), net.sizes[-1]
    X = jnp.asarray(rng.standard_normal((net.sizes[0], m), np.float32))
    ids = rng.integers(0, max(n, 2), (1, m))  # one output tells two classes apart
    Y = ids.astype(np.int32) if net.output == "softmax" else np.broadcast_to(ids % 2, (n, m)).astype(np.float32)
    return Batch(X, jnp.asarray(Y), None)
