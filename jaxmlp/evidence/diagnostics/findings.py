"""Findings: the record of a problem, the input of a rule, and which problem hides which.

A cause is reported, its consequences are not:

    non-finite values        hide everything; labels out of range and a batch of one example hide even them
    constant inputs          hide unscaled inputs and all their effects
    constant targets         hide vanishing gradients, small updates, collapse, decayed weights
    inputs off centre        the same as unscaled inputs
    unscaled, unreachable    targets hide large rates and updates, gradients, a saturated, dead or constant output
    constant output          hides collapse and large outputs; a dead or saturated output hides a constant output
    large outputs            hide large rates and updates
    decayed weights          hide vanishing gradients, small updates, collapse, dead units
    unscaled inputs          hide their effects: dead and saturated units, gradients, rates and updates, collapse
    linear network, step     hide collapse; step also the gradients it stops
    zero weights             hide symmetric units and every gradient that is 0 because of them
    symmetric units          hide dead and saturated units, gradients, rates and updates, collapse
    dead, saturated units    hide vanishing gradients, small updates, collapse
    saturated units          hide exploding gradients: the same weights are too large for both
    vanishing gradients      hide small updates, collapse
    exploding gradients      hide large rates and updates
    large learning rate      hides large updates
"""

from collections.abc import Iterable
from typing import NamedTuple

from jaxmlp.evidence.diagnostics.data_statistics import NO_DATA, DataStatistics
from jaxmlp.evidence.diagnostics.measurements import LayerMeasurements, Measurements
from jaxmlp.nn.network import Network


class Finding(NamedTuple):
    """A problem of the network.

    Attributes:
      name: the problem, as "vanishing gradients".
      where: the layers or the array with the problem, as "layers 2-5".
      number: the measured value, in the unit that `text` names.
      text: what was measured, in one sentence.
      cure: what to do, in one line.
      source: the chapter of the textbook that explains it.
    """

    name: str
    where: str
    number: float
    text: str
    cure: str
    source: str


class RuleInput(NamedTuple):
    """The input of every rule: a network, its measurements, and the learning rate."""

    net: Network
    measurements: Measurements
    learning_rate: float | None
    stable_rate: float | None  # 2/λ_max
    epsilon: float  # ε of the dtype of the parameters
    cost: str = ""
    data: DataStatistics = NO_DATA
    has_class_ids: bool = False  # Y is (1, m) whole numbers for a softmax
    is_penalized: bool = False  # l1 or l2
    dropout: float = 0.0
    input_dropout: float = 0.0

    @property
    def target_spread(self) -> float:
        """Return the deviation of the targets; of the one-hot columns for class ids."""
        return float(self.measurements.target_spread) if self.has_class_ids else self.data.target_spread

    @property
    def hidden(self) -> list[tuple[int, LayerMeasurements]]:
        """Return the hidden layers with their indices."""
        return list(enumerate(self.measurements.layers[:-1], start=1))

    @property
    def is_matched(self) -> bool:
        """Whether δ = a - y: then the slope of the output cancels, and a flat output still learns."""
        return "cross_entropy" in self.cost or self.cost == "poisson"

    @property
    def quadratic(self) -> bool:
        """Whether J is a quadratic function of the parameters, as in linear regression: its Hessian is constant."""
        return self.net.depth == 1 and self.cost == "quadratic" and self.net.activations[0].name == "identity"


_SATURATION = (
    "saturated units",
    "vanishing gradients",
    "exploding gradients",
    "learning rate too large",
    "large updates",
    "small updates",
    "majority class",
    "class never predicted",
)
_OUTPUT = ("dead output", "saturated output", "constant output", "large outputs")
_INPUTS = ("dead units", *_SATURATION, *_OUTPUT)
_TARGETS = (*_SATURATION, *_OUTPUT, "decayed weights")
HIDES: dict[str, tuple[str, ...]] = {
    "labels that do not sum to 1": _TARGETS,
    "labels out of range": (
        "labels that do not sum to 1",
        "unscaled inputs",
        "inputs off centre",
        "dead units",
        *_TARGETS,
    ),
    "batch of one example": ("symmetric units", "dead units", "zero weights", *_TARGETS),
    "unreachable targets": ("unscaled targets", *_TARGETS),
    "unscaled targets": _TARGETS,
    "constant targets": ("vanishing gradients", "small updates", "decayed weights", "majority class"),
    "constant inputs": ("unscaled inputs", "inputs off centre", "constant targets", *_INPUTS),
    "unscaled inputs": ("inputs off centre", *_INPUTS),
    "inputs off centre": _INPUTS,
    "dead output": ("vanishing gradients", "small updates", "majority class", "constant output", "saturated output"),
    "saturated output": ("vanishing gradients", "small updates", "majority class", "constant output", "large outputs"),
    "constant output": ("majority class", "small updates", "large outputs"),
    "large outputs": ("learning rate too large", "large updates", "small updates", "majority class"),
    "decayed weights": ("symmetric units", "dead units", "vanishing gradients", "small updates", "majority class"),
    "linear network": ("linear layer", "majority class"),
    "step activation": ("vanishing gradients", "small updates", "majority class", "constant output"),
    "zero weights": ("symmetric units", "dead units", *_SATURATION, *_OUTPUT),
    "symmetric units": ("dead units", *_SATURATION, *_OUTPUT),
    "dead units": ("vanishing gradients", "small updates", "majority class", "constant output"),
    "saturated units": (
        "vanishing gradients",
        "exploding gradients",
        "small updates",
        "majority class",
        *_OUTPUT,
    ),
    "vanishing gradients": ("small updates", "majority class", "constant output"),
    "exploding gradients": ("learning rate too large", "large updates", *_OUTPUT),
    "learning rate too large": ("large updates",),
}


def without_consequences(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings that are not a consequence of another one."""
    findings = tuple(findings)
    # of all findings, also of those that are hidden themselves. No two may hide each other, or both would be lost
    hidden = {name for finding in findings for name in HIDES.get(finding.name, ())}
    return tuple(finding for finding in findings if finding.name not in hidden)


def layers_text(numbers: list[int]) -> str:
    """Return layer numbers as text, consecutive ones as a range.

    >>> layers_text([2]), layers_text([1, 2, 3, 4]), layers_text([1, 2, 5, 7, 8, 9])
    ('layer 2', 'layers 1-4', 'layers 1, 2, 5, 7-9')
    """
    ranges: list[list[int]] = []
    for l in numbers:
        if ranges and l == ranges[-1][-1] + 1:
            ranges[-1].append(l)
        else:
            ranges.append([l])
    words = [f"{r[0]}-{r[-1]}" if len(r) > 2 else ", ".join(map(str, r)) for r in ranges]
    if len(ranges) == 1 and len(numbers) == 2:
        words = [f"{numbers[0]}-{numbers[1]}"]
    return f"layer{'s' * (len(numbers) > 1)} {', '.join(words)}"
