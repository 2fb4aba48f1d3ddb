"""The digits that a device loses in float32.

    eps             2.2e-16 in float64 (15.7 digits), 1.2e-7 in float32 (6.9 digits)
    digits lost     log₁₀(difference / eps), 0 where the difference is below eps

Whether a derivative rule is correct is checked in float64. How many digits a device loses in float32 depends on the
device: accelerators multiply matrices by default in fewer bits (tf32 has 3.0 digits, bfloat16 2.1), and
`precision="highest"` uses all bits.
"""

import math

import jax
import numpy as np
from jax.typing import ArrayLike

from jaxmlp.evidence.certificate import Certificate, Row, judge
from jaxmlp.evidence.network_check.cases import ParamsLike, make_generator, random_example
from jaxmlp.evidence.network_check.witnesses import relative_difference
from jaxmlp.evidence.precision import float64
from jaxmlp.fork import refuse_after_fork
from jaxmlp.nn import costs
from jaxmlp.nn.backprop import backprop, cost
from jaxmlp.nn.forward import forward
from jaxmlp.nn.network import Network, Params
from jaxmlp.nn.objective import Objective

# wide, because rounding grows with the terms of a sum; smooth, because at a kink rounding would change the branch
DEVICE_NETWORK = Network((784, 128, 32, 10), "tanh", "softmax")
DEVICE_EXAMPLES = 256
DEVICE_BOUNDS = {"default": 5e-2, "highest": 1e-4}  # bfloat16 products and float32 sums, over a few layers


def verify_device(net: Network | None = None, *, params: ParamsLike | None = None, seed: int = 0) -> Certificate:
    """Compare forward and backward in float32 on the present device with float64, and count the digits it loses.

    A_L and every dW and db are computed at JAX's default precision of matrix products and at `precision="highest"`.
    On a machine without an accelerator the device is the CPU, and the title says so.

    Args:
      net: the network; a 784-128-32-10 one if None.
      params: its parameters; random if None.
      seed: of the random parameters and examples.

    Returns:
      A `Certificate`; the note of each row gives the digits lost.

    >>> report = verify_device(Network((3, 5, 2), "tanh", "softmax"))
    >>> report.passed, report.rows[0].check, report.rows[0].where
    (True, 'forward A_2', 'default')
    """
    refuse_after_fork("verify_device")
    net = DEVICE_NETWORK if net is None else net
    example = random_example(net, costs.find(None, net.activations[-1]), make_generator(seed), DEVICE_EXAMPLES)
    if params is None:
        params = example.params
    params64 = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    # the reference, on the CPU; then the same arrays, rounded to float32, on the device
    with float64():
        expected = _outputs_and_gradients(params64, example.X, example.Y, net)
    device = jax.devices()[0]
    params32, X32, Y32 = jax.device_put(jax.tree.map(np.float32, (params64, example.X, example.Y)), device)
    rows: list[Row] = []
    for precision in ("default", "highest"):
        with jax.default_matmul_precision(precision):
            actual = _outputs_and_gradients(params32, X32, Y32, net)
        rows += [_digits_row(name, precision, actual[name], expected[name]) for name in expected]
    remark = " (no accelerator is present)" if device.platform == "cpu" else ""
    return Certificate(f"float32 on {device.platform} {device.device_kind}{remark} against float64", tuple(rows))


def _outputs_and_gradients(params: Params, X: ArrayLike, Y: ArrayLike, net: Network) -> dict[str, np.ndarray]:
    """Return A_L and every gradient by name."""
    gradients = {"grad": jax.grad(cost)(params, X, Y, net, Objective()), "backprop": backprop(params, X, Y, net)[1]}
    arrays = {f"forward A_{net.depth}": forward(params, X, net)}
    for l in range(1, net.depth + 1):
        for name, gradient in gradients.items():
            arrays |= {f"{name} d{leaf}_{l}": gradient[l - 1][leaf] for leaf in ("W", "b")}
    return {name: np.asarray(array, np.float64) for name, array in arrays.items()}


def _digits_row(name: str, precision: str, actual: np.ndarray, expected: np.ndarray) -> Row:
    difference = relative_difference(actual, expected)
    eps = float(np.finfo(np.float32).eps)
    lost = math.log10(max(difference / eps, 1.0)) if math.isfinite(difference) else math.inf
    note = f"{lost:.1f} of {-math.log10(eps):.1f} digits lost"
    return judge(name, precision, "float64", difference, DEVICE_BOUNDS[precision], note)
