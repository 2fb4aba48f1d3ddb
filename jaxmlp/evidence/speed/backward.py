"""The hand-written backward pass beside autodiff of the same network: time, memory, arithmetic.

    manual      J and its gradient by the textbook's rules, as training takes them
    autodiff    J and its gradient of the same forward pass without a rule of ours

The bytes are those that XLA sets aside for what lies between input and output (its memory analysis), the FLOPs are
those that it counts in the compiled program.
"""

import statistics
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.evidence.speed.timing import Spread, enough, in_turn, ratios, repeated
from jaxmlp.nn.backprop import AUTODIFF, TEXTBOOK, Rules, evaluate
from jaxmlp.nn.network import Network, Params, init
from jaxmlp.nn.objective import Batch, Objective

ROUNDS = 9
ROUND = 0.04  # seconds of one measurement, about


class Program(NamedTuple):
    """A compiled J and gradient: how to run it, the bytes it sets aside, the FLOPs that XLA counts in it."""

    run: Callable[[], Any]
    bytes: int
    flops: float


class Comparison(NamedTuple):
    """Manual against autodiff.

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
        """For JSON."""
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


def compare_backward(net: Network, m: int, *, rounds: int = ROUNDS, round_seconds: float = ROUND) -> Comparison:
    """Measure both in turn on m random examples.

    >>> found = compare_backward(Network((3, 4, 2), "tanh", "softmax"), 8, rounds=1, round_seconds=0.0)
    >>> found.m, found.flops[0] > 0
    (8, True)
    """
    params, batch = init(jax.random.key(0), net), example(net, m)
    manual, autodiff = (program(net, rules, params, batch) for rules in (TEXTBOOK, AUTODIFF))
    for each in (manual, autodiff):
        jax.block_until_ready(each.run())
    n = enough(manual.run, round_seconds)
    times = in_turn({"manual": repeated(manual.run, n), "autodiff": repeated(autodiff.run, n)}, rounds)
    first, second = (1e6 * statistics.median(times[name]) / n for name in ("manual", "autodiff"))
    ratio = ratios(times["manual"], times["autodiff"])
    return Comparison(net, m, (first, second), ratio, (manual.bytes, autodiff.bytes), (manual.flops, autodiff.flops))


def program(net: Network, rules: Rules, params: Params, batch: Batch) -> Program:
    """J and gradient by these rules, compiled for this batch."""
    both = jax.jit(jax.value_and_grad(partial(_J, net, rules)))
    compiled = both.lower(params, batch).compile()
    memory, costs = compiled.memory_analysis(), compiled.cost_analysis()
    costs = costs[0] if isinstance(costs, list) else costs or {}  # a list until JAX 0.5
    aside = 0 if memory is None else int(memory.temp_size_in_bytes)  # None where a backend does not tell
    return Program(lambda: compiled(params, batch), aside, float(costs.get("flops", 0.0)))


def _J(net: Network, rules: Rules, params: Params, batch: Batch) -> jax.Array:
    return evaluate(params, batch, net, Objective(), rules).J


def example(net: Network, m: int) -> Batch:
    """m random examples with class ids, or with zeros and ones for another output than softmax."""
    rng, n = np.random.default_rng(0), net.sizes[-1]
    X = jnp.asarray(rng.standard_normal((net.sizes[0], m), np.float32))
    ids = rng.integers(0, max(n, 2), (1, m))
    Y = ids.astype(np.int32) if net.output == "softmax" else np.broadcast_to(ids % 2, (n, m)).astype(np.float32)
    return Batch(X, jnp.asarray(Y), None)
