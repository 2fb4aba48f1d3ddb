"""Device: the digits that a device loses in float32.

    eps             2.2e-16 in float64 (15.7 digits), 1.2e-7 in float32 (6.9 digits)
    digits lost     log₁₀(difference / eps), 0 where the difference is below eps

A derivative rule is right or wrong; a float32 is neither. What a device makes of float32 is a question of its own:
accelerators multiply matrices by default in fewer bits (tf32 keeps 3.3 digits, bfloat16 2.7), and
`precision="highest"` asks for all of them.
"""

import math
from typing import Any

import jax
import numpy as np

from jaxmlp.evidence.certificate import Certificate, Row, judge
from jaxmlp.evidence.precision import float64
from jaxmlp.evidence.proof.witnesses import draw, generator, relative_difference
from jaxmlp.nn import costs
from jaxmlp.nn.backprop import backprop, cost
from jaxmlp.nn.network import Network
from jaxmlp.nn.objective import Objective
from jaxmlp.nn.propagation import forward

# of an input wide enough that a product sums as many terms as a real one; nothing in it jumps
DEVICE_NETWORK = Network((784, 128, 32, 10), "tanh", "softmax")
EXAMPLES = 256
BOUNDS = {"default": 5e-2, "highest": 1e-4}  # bfloat16 products and float32 sums, over a few layers


def verify_device(net: Network | None = None, *, params: Any = None, seed: int = 0) -> Certificate:
    """Forward and backward in float32 on the present device, against float64: the digits it loses.

    Once at JAX's default precision of matrix products and once at `precision="highest"`, for A_L and for every dW and
    db. On a machine without an accelerator the device is the CPU, and the title says so.

    Args:
      net: the network; a 784-128-32-10 one if None.
      params: its parameters; drawn at random if None.
      seed: of what is drawn.

    Returns:
      A `Certificate`; the note of each row gives the digits lost.

    >>> report = verify_device(Network((3, 5, 2), "tanh", "softmax"))
    >>> report.passed, report.rows[0].check, report.rows[0].where
    (True, 'forward A_2', 'default')
    """
    net = DEVICE_NETWORK if net is None else net
    loss = costs.find(None, net.activations[-1])
    example = draw(net, loss, generator(seed), EXAMPLES)
    given = example.params if params is None else jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    with float64():
        expected = _results(given, example.X, example.Y, net)
    device = jax.devices()[0]
    params32, X32, Y32 = jax.device_put(jax.tree.map(np.float32, (given, example.X, example.Y)), device)
    rows: list[Row] = []
    for precision in ("default", "highest"):
        with jax.default_matmul_precision(precision):
            actual = _results(params32, X32, Y32, net)
        rows += [_digits(name, precision, actual[name], expected[name]) for name in expected]
    without = " (no accelerator is present)" if device.platform == "cpu" else ""
    return Certificate(f"float32 on {device.platform} {device.device_kind}{without} against float64", tuple(rows))


def _results(params: Any, X: Any, Y: Any, net: Network) -> dict[str, np.ndarray]:
    """A_L and every gradient by name."""
    gradient = jax.grad(cost)(params, X, Y, net, Objective())
    loop = backprop(params, X, Y, net)[1]
    named = {f"forward A_{net.depth}": forward(params, X, net)}
    for l, (dlayer, again) in enumerate(zip(gradient, loop, strict=True), start=1):
        named |= {f"grad d{leaf}_{l}": dlayer[leaf] for leaf in ("W", "b")}
        named |= {f"backprop d{leaf}_{l}": again[leaf] for leaf in ("W", "b")}
    return {name: np.asarray(value, np.float64) for name, value in named.items()}


def _digits(name: str, precision: str, actual: np.ndarray, expected: np.ndarray) -> Row:
    difference = relative_difference(actual, expected)
    eps = float(np.finfo(np.float32).eps)
    lost = math.log10(max(difference / eps, 1.0)) if math.isfinite(difference) else math.inf
    note = f"{lost:.1f} of {-math.log10(eps):.1f} digits lost"
    return judge(name, precision, "float64", difference, BOUNDS[precision], note)
