"""`diagnose`: name the problems of a network on a batch, each with its number, its cure and its source.

    dead, saturated, symmetric units       vanishing, exploding gradients = Π ‖W‖·g'
    α against 2/λ_max                      ‖α dW‖/‖W‖
    inputs and targets: constant, scale, centre, range, labels; a dead, saturated, constant or very large output
    the first NaN                          no activation, zero weights, only the majority class predicted
    dropout that leaves no unit            a class that is never predicted

One forward and one backward pass measure everything (`measurements`), the rules name the problems, `findings` leaves
out mere consequences, and this chapter builds the report. A healthy network has no finding.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxmlp.analysis.curvature import Columns, largest_eigenvalue
from jaxmlp.errors import InputError, InputTypeError, sentence
from jaxmlp.evidence.certificate import finite_or_none
from jaxmlp.evidence.diagnostics import data_rules, gradient_rules, output_rules, unit_rules
from jaxmlp.evidence.diagnostics.data_statistics import data_statistics
from jaxmlp.evidence.diagnostics.findings import Finding, RuleInput, without_consequences
from jaxmlp.evidence.diagnostics.gradient_rules import gradient_factors, update_ratios
from jaxmlp.evidence.diagnostics.measurements import measure
from jaxmlp.evidence.diagnostics.unit_rules import distinct_units, is_dead, saturated_fraction
from jaxmlp.fork import refuse_after_fork
from jaxmlp.nn import costs
from jaxmlp.nn.checks import check_single
from jaxmlp.nn.network import Network, Params
from jaxmlp.nn.objective import Batch, Objective, check_batch

CURVATURE_EXAMPLES = 2048  # λ_max of their mean is close to that of all examples, at a bounded cost
RULES: tuple[Callable[[RuleInput], Finding | None], ...] = (
    data_rules.labels_out_of_range,
    data_rules.labels_that_do_not_sum_to_1,
    data_rules.batch_of_one_example,
    data_rules.unreachable_targets,
    data_rules.unscaled_targets,
    data_rules.constant_targets,
    data_rules.constant_inputs,
    unit_rules.unscaled_inputs,
    data_rules.inputs_off_centre,
    data_rules.tiny_feature,
    unit_rules.linear_network,
    unit_rules.linear_layer,
    unit_rules.step_activation,
    unit_rules.zero_weights,
    unit_rules.symmetric_units,
    unit_rules.dead_units,
    unit_rules.saturated_units,
    unit_rules.dropout_too_large,
    output_rules.decayed_weights,
    output_rules.dead_output,
    output_rules.saturated_output,
    output_rules.constant_output,
    output_rules.large_outputs,
    gradient_rules.vanishing_gradients,
    gradient_rules.exploding_gradients,
    gradient_rules.learning_rate_too_large,
    gradient_rules.large_updates,
    gradient_rules.small_updates,
    gradient_rules.majority_class,
    gradient_rules.class_never_predicted,
)


class LayerHealth(NamedTuple):
    """One layer in numbers.

    Attributes:
      layer, activation, units: number, activation and width of the layer.
      signal: root mean square of A.
      dead: fraction of its units; saturated: fraction of its pairs of unit and example.
      distinct: how many units differ from each other; rank: of W.
      gradient: ‖dZ‖; weight_gradient: ‖dW‖.
      by_weight, by_slope: the ‖W‖ and g' that turn ‖dZ‖ of the layer above into this one; None for the output.
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


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """The result of `diagnose`.

    Attributes:
      findings: the problems, without their consequences; empty for a healthy network.
      layers: a `LayerHealth` for each layer; empty if a value is not finite, because then no number has a meaning.
      cost: J.
      stable_rate: 2/λ_max; None without a learning rate, and where the cost has no positive curvature.
    """

    findings: tuple[Finding, ...]
    layers: tuple[LayerHealth, ...]
    cost: float
    stable_rate: float | None = None

    @property
    def healthy(self) -> bool:
        """Whether there is no finding."""
        return not self.findings

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and texts: healthy, cost, stable_rate, findings and layers."""
        return {
            "healthy": self.healthy,
            "cost": finite_or_none(self.cost),
            "stable_rate": self.stable_rate,
            "findings": [_to_plain(finding) for finding in self.findings],
            "layers": [_to_plain(layer) for layer in self.layers],
        }

    def __str__(self) -> str:
        if self.healthy:
            return f"healthy: {len(self.layers)} layers, cost {self.cost:.4g}, no finding"
        lines = [f"{len(self.findings)} finding{'s' * (len(self.findings) > 1)}"]
        for finding in self.findings:
            lines += [f"{finding.name} ({finding.where}): {finding.text}", f"    cure: {finding.cure}"]
            lines.append(f"    see:  {finding.source}")
        return "\n".join(lines)

    __repr__ = __str__


def _to_plain(record: Finding | LayerHealth) -> dict[str, Any]:
    return {name: finite_or_none(value) for name, value in record._asdict().items()}


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
    """Name the problems of a network on a batch.

    Compare ‖dZ_l‖ = ‖dZ_{l+1}‖ · ‖W‖ · g' layer by layer, and the remaining numbers of `LayerHealth`, with fixed
    thresholds.

    Args:
      params: a tuple of {"W", "b"} dictionaries; the network is diagnosed in their dtype.
      X: (n0, m), one example per column, scaled as in training.
      Y: as for `jaxmlp.cost`.
      net: the network.
      objective: cost and penalties, as for `jaxmlp.cost`.
      learning_rate: α of plain gradient descent, to compare with 2/λ_max and with the weights. None for any other
        optimizer, because its update is not α times the gradient.
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
    refuse_after_fork("diagnose")
    learning_rate = _check_learning_rate(learning_rate)
    check_single(net, "diagnose")
    batch, objective = check_batch(params, X, Y, net, objective, weights)
    params = tuple({name: jnp.asarray(leaf) for name, leaf in layer.items()} for layer in params)
    epsilon = float(jnp.finfo(params[0]["W"].dtype).eps)  # the rounding of the network as it is, not of float64
    name = costs.find(objective.cost, net.activations[-1]).name
    measurements = measure(params, batch, net, objective)
    is_penalized = any(value is not None and bool(np.asarray(value) > 0) for value in (objective.l1, objective.l2))
    has_class_ids = name == "categorical_cross_entropy" and batch.Y.shape[0] == 1
    data = data_statistics(batch)
    dropouts = (float(np.asarray(rate or 0.0)) for rate in (objective.dropout, objective.input_dropout))
    case = RuleInput(
        net, measurements, learning_rate, None, epsilon, name, data, has_class_ids, is_penalized, *dropouts
    )
    cost = float(case.measurements.cost)
    # with a NaN every other measurement is NaN or arbitrary: only its cause in the data, or its place, is reported
    if broken := unit_rules.non_finite(case):
        if cause := data_rules.labels_out_of_range(case) or data_rules.batch_of_one_example(case):
            return Diagnosis((cause,), (), cost)
        return Diagnosis((broken,), (), cost)
    if learning_rate is not None:
        case = case._replace(stable_rate=_stable_rate(params, batch, net, objective))
    # all rules first, then the consequences are left out: a rule need not know of the others
    findings = [finding for rule in RULES if (finding := rule(case))]
    return Diagnosis(without_consequences(findings), _layer_health(case), cost, case.stable_rate)


def _check_learning_rate(learning_rate: Any) -> float | None:
    if learning_rate is None:
        return None
    number = isinstance(learning_rate, Real) or (hasattr(learning_rate, "dtype") and np.ndim(learning_rate) == 0)
    if not number or not (math.isfinite(learning_rate) and float(learning_rate) > 0):
        error = InputError if number else InputTypeError
        remedy = "leave it out if it is not known"
        raise error(sentence("learning_rate", "a positive number", repr(learning_rate), remedy))
    return float(learning_rate)


def _stable_rate(params: Params, batch: Batch, net: Network, objective: Objective) -> float | None:
    """Return 2/λ_max, or None where no direction has positive curvature."""
    # every n-th example and not the first ones: a file may be sorted by class
    stride = -(-batch.X.shape[1] // CURVATURE_EXAMPLES)  # rounded up: 2 for 2049 examples
    X, Y, weights = (None if array is None else array[:, ::stride] for array in batch)
    assert X is not None
    assert Y is not None
    value = largest_eigenvalue(params, X, Y, net, objective, weights).value
    return 2 / value if value > 0 else None


def _layer_health(case: RuleInput) -> tuple[LayerHealth, ...]:
    updates, L = update_ratios(case), len(case.measurements.layers)
    return tuple(
        LayerHealth(
            l,
            g.name,
            len(layer.idle_fraction),
            float(layer.activation),
            float(is_dead(layer).mean()) if l < L else 0.0,  # the output has rules of its own
            saturated_fraction(layer) if l < L else 0.0,
            distinct_units(case, l),
            int(np.linalg.matrix_rank(layer.layer["W"])),
            float(layer.gradient),
            float(layer.weight_gradient),
            *(gradient_factors(case.measurements, l) if l < L else (None, None)),
            updates[l - 1],
        )
        for l, (g, layer) in enumerate(zip(case.net.activations, case.measurements.layers, strict=True), start=1)
    )
