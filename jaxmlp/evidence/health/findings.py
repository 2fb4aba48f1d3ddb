"""Findings: the record of an illness, what a rule looks at, and which illness hides which.

A cause is reported, what merely follows from it is not:

    non-finite values        hide everything
    unscaled inputs          hide what large inputs do: dead and saturated units, gradients, rates and updates, collapse
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

from jaxmlp.evidence.health.symptoms import LayerSymptoms, Symptoms
from jaxmlp.nn.network import Network


class Finding(NamedTuple):
    """An illness.

    Attributes:
      name: what, as "vanishing gradients".
      where: the layers or the array, as "layers 2-5".
      number: how bad, in the unit that `text` says.
      text: what was measured, in one sentence.
      cure: what to do, in one line.
      source: where the textbook explains it.
    """

    name: str
    where: str
    number: float
    text: str
    cure: str
    source: str


class Case(NamedTuple):
    """What the rules look at."""

    net: Network
    symptoms: Symptoms
    learning_rate: float | None
    stable_rate: float | None  # 2/λ_max
    epsilon: float  # unit of rounding of the parameters
    cost: str = ""

    @property
    def hidden(self) -> list[tuple[int, LayerSymptoms]]:
        """The hidden layers with their numbers."""
        return list(enumerate(self.symptoms.layers[:-1], start=1))

    @property
    def quadratic(self) -> bool:
        """Whether J is a quadratic of the parameters, with one Hessian everywhere: linear regression."""
        return self.net.depth == 1 and self.cost == "quadratic" and self.net.activations[0].name == "identity"


_SATURATION = (
    "saturated units",
    "vanishing gradients",
    "exploding gradients",
    "learning rate too large",
    "large updates",
    "small updates",
    "majority class",
)
HIDES: dict[str, tuple[str, ...]] = {
    "unscaled inputs": ("dead units", *_SATURATION),
    "linear network": ("linear layer", "majority class"),
    "step activation": ("vanishing gradients", "small updates", "majority class"),
    "zero weights": ("symmetric units", "dead units", *_SATURATION),
    "symmetric units": ("dead units", *_SATURATION),
    "dead units": ("vanishing gradients", "small updates", "majority class"),
    "saturated units": ("vanishing gradients", "exploding gradients", "small updates", "majority class"),
    "vanishing gradients": ("small updates", "majority class"),
    "exploding gradients": ("learning rate too large", "large updates"),
    "learning rate too large": ("large updates",),
}


def causes(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings that do not merely follow from another of them."""
    findings = tuple(findings)
    hidden = {name for finding in findings for name in HIDES.get(finding.name, ())}
    return tuple(finding for finding in findings if finding.name not in hidden)


def span(numbers: list[int]) -> str:
    """Layers in words, neighbours as a range.

    >>> span([2]), span([1, 2, 3, 4]), span([1, 2, 5, 7, 8, 9])
    ('layer 2', 'layers 1-4', 'layers 1, 2, 5, 7-9')
    """
    runs: list[list[int]] = []
    for l in numbers:
        if runs and l == runs[-1][-1] + 1:
            runs[-1].append(l)
        else:
            runs.append([l])
    words = [f"{run[0]}-{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs]
    if len(runs) == 1 and len(numbers) == 2:
        words = [f"{numbers[0]}-{numbers[1]}"]
    return f"layer{'s' * (len(numbers) > 1)} {', '.join(words)}"
