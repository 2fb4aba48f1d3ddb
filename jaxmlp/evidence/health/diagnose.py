"""Diagnose: which illnesses a network has on a batch, by name, each with its number, its cure and its paragraph.

    dead, saturated, symmetric units       vanishing, exploding gradients = Π ‖W‖·g'
    α against 2/λ_max                      ‖α dW‖/‖W‖
    unscaled inputs, the first NaN         no activation, zero weights, nothing but the majority class

One forward and one backward pass measure everything (`symptoms`), the rules name what is wrong and leave out what only
follows from it (`findings`), and this chapter makes the report. A healthy network gets a clean bill.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxmlp.errors import InputError, InputTypeError, sentence
from jaxmlp.evidence.certificate import finite
from jaxmlp.evidence.curvature import Columns, largest_eigenvalue
from jaxmlp.evidence.health import gradient_rules, unit_rules
from jaxmlp.evidence.health.findings import Case, Finding, causes
from jaxmlp.evidence.health.gradient_rules import factors, update_ratios
from jaxmlp.evidence.health.symptoms import measure
from jaxmlp.evidence.health.unit_rules import dead, distinct_units, saturated
from jaxmlp.nn import costs
from jaxmlp.nn.network import Network, Params
from jaxmlp.nn.objective import Batch, Objective, check_batch

CURVATURE_EXAMPLES = 2048  # λ_max of a mean over so many is that of all, nearly, at a bounded cost
RULES: tuple[Callable[[Case], Finding | None], ...] = (
    unit_rules.unscaled_inputs,
    unit_rules.linear_network,
    unit_rules.linear_layer,
    unit_rules.step_activation,
    unit_rules.zero_weights,
    unit_rules.symmetric_units,
    unit_rules.dead_units,
    unit_rules.saturated_units,
    gradient_rules.vanishing_gradients,
    gradient_rules.exploding_gradients,
    gradient_rules.learning_rate_too_large,
    gradient_rules.large_updates,
    gradient_rules.small_updates,
    gradient_rules.majority_class,
)


class LayerHealth(NamedTuple):
    """One layer in numbers.

    Attributes:
      layer, activation, units: which.
      signal: root mean square of A.
      dead: share of its units; saturated: share of its pairs of unit and example.
      distinct: units that differ from one another; rank: of W.
      gradient: ‖dZ‖; weight_gradient: ‖dW‖.
      by_weight, by_slope: the ‖W‖ and g' that made ‖dZ‖ from that of the layer above; None for the output.
      update: ‖α dW‖/‖W‖; None without a learning rate.
    """

    layer: int
    activation: str
    units: int
    signal: float
    dead: float
    saturated: float
    distinct: int
    rank: int
    gradient: float
    weight_gradient: float
    by_weight: float | None
    by_slope: float | None
    update: float | None


@dataclass(frozen=True)
class Diagnosis:
    """What `diagnose` found.

    Attributes:
      findings: the illnesses, causes before consequences; empty for a healthy network.
      layers: a `LayerHealth` for each layer; empty where a value that is not finite makes all numbers void.
      cost: J.
      stable_rate: 2/λ_max; None unless a learning rate was given, and where the cost has no upward curvature.
    """

    findings: tuple[Finding, ...]
    layers: tuple[LayerHealth, ...]
    cost: float
    stable_rate: float | None = None

    @property
    def healthy(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and texts: healthy, cost, stable_rate, findings and layers."""
        return {
            "healthy": self.healthy,
            "cost": finite(self.cost),
            "stable_rate": self.stable_rate,
            "findings": [_plain(finding) for finding in self.findings],
            "layers": [_plain(layer) for layer in self.layers],
        }

    def __str__(self) -> str:
        if self.healthy:
            return f"healthy: {len(self.layers)} layers, cost {self.cost:.4g}, no finding"
        lines = [f"{len(self.findings)} finding{'s' * (len(self.findings) > 1)}"]
        for finding in self.findings:
            lines += [f"{finding.name} ({finding.where}): {finding.text}", f"    cure: {finding.cure}"]
            lines.append(f"    see:  {finding.source}")
        return "\n".join(lines)


def _plain(record: Finding | LayerHealth) -> dict[str, Any]:
    return {name: finite(value) for name, value in record._asdict().items()}


def diagnose(
    params: Params,
    X: Columns,
    Y: Columns,
    net: Network,
    objective: Objective | None = None,
    *,
    learning_rate: float | None = None,
    weights: Columns | None = None,
) -> Diagnosis:
    """Name what is unhealthy about a network on a batch.

    ‖dZ_l‖ = ‖dZ_{l+1}‖ · ‖W‖ · g' layer by layer, and the other numbers of `LayerHealth`, against fixed thresholds.

    Args:
      params: a tuple of {"W", "b"} dictionaries; the diagnosis is of the network in their dtype.
      X: (n0, m), one example per column, as training sees it: after scaling.
      Y: as for `jaxmlp.cost`.
      net: the network.
      objective: cost and penalties, as for `jaxmlp.cost`.
      learning_rate: α of plain gradient descent, to be compared with 2/λ_max and with the weights. None for other
        optimizers, whose steps are not α times the gradient.
      weights: (1, m), as for `jaxmlp.cost`.

    Returns:
      A `Diagnosis`; its `findings` are empty for a healthy network.

    Raises:
      InputError: when shapes do not fit, and for a learning rate that is not a positive number.
      InputTypeError: when something is not an array of real numbers.

    Source: the tutorials, activation functions and gradient vanishing; Ng's course, random initialisation.

    >>> import jax, jaxmlp
    >>> net = Network((2, 4, 1), "tanh", "sigmoid")
    >>> X, Y = jnp.array([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]]), jnp.array([[0.0, 1.0, 1.0, 0.0]])
    >>> diagnose(jaxmlp.init(jax.random.key(0), net), X, Y, net).healthy
    True
    >>> sick = diagnose(jaxmlp.init(jax.random.key(0), net, "constant(0.5)"), X, Y, net)
    >>> sick.findings[0].name, sick.findings[0].number
    ('symmetric units', 1)
    """
    learning_rate = _rate(learning_rate)
    batch, objective = check_batch(params, X, Y, net, objective, weights)
    params = tuple({name: jnp.asarray(leaf) for name, leaf in layer.items()} for layer in params)
    epsilon = float(jnp.finfo(params[0]["W"].dtype).eps)
    name = costs.find(objective.cost, net.activations[-1]).name
    case = Case(net, measure(params, batch, net, objective), learning_rate, None, epsilon, name)
    cost = float(case.symptoms.cost)
    if broken := unit_rules.non_finite(case):
        return Diagnosis((broken,), (), cost)
    if learning_rate is not None:
        case = case._replace(stable_rate=_stable_rate(params, batch, net, objective))
    found = [finding for rule in RULES if (finding := rule(case))]
    return Diagnosis(causes(found), _layers(case), cost, case.stable_rate)


def _rate(learning_rate: Any) -> float | None:
    if learning_rate is None:
        return None
    number = isinstance(learning_rate, Real) or (hasattr(learning_rate, "dtype") and np.ndim(learning_rate) == 0)
    if not number or not (math.isfinite(learning_rate) and float(learning_rate) > 0):
        error = InputError if number else InputTypeError
        remedy = "leave it out if it is not known"
        raise error(sentence("learning_rate", "a positive number", repr(learning_rate), remedy))
    return float(learning_rate)


def _stable_rate(params: Params, batch: Batch, net: Network, objective: Objective) -> float | None:
    """2/λ_max, or None where no direction curves upward."""
    stride = -(-batch.X.shape[1] // CURVATURE_EXAMPLES)
    X, Y, weights = (None if array is None else array[:, ::stride] for array in batch)
    assert X is not None
    assert Y is not None
    value = largest_eigenvalue(params, X, Y, net, objective, weights).value
    return 2 / value if value > 0 else None


def _layers(case: Case) -> tuple[LayerHealth, ...]:
    updates, L = update_ratios(case), len(case.symptoms.layers)
    return tuple(
        LayerHealth(
            l,
            g.name,
            len(own.idle),
            float(own.activation),
            float(dead(own).mean()) if l < L else 0.0,
            saturated(own) if l < L else 0.0,
            distinct_units(case, l),
            int(np.linalg.matrix_rank(own.layer["W"])),
            float(own.gradient),
            float(own.weight_gradient),
            *(factors(case.symptoms, l) if l < L else (None, None)),
            updates[l - 1],
        )
        for l, (g, own) in enumerate(zip(case.net.activations, case.symptoms.layers, strict=True), start=1)
    )
