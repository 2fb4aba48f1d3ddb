"""Findings: the record of an illness, what a rule looks at, and which illness hides which.

A cause is reported, what merely follows from it is not:

    non-finite values        hide everything
    unscaled inputs          hide what large inputs do: dead and saturated units, gradients, rates and updates, collapse
    linear network, step     hide collapse; step also the gradients it stops
    zero weights             hide symmetric units and every gradient that is 0 because of them
    symmetric units          hide dead and saturated units, gradients, rates and updates, collapse
    dead, saturated units    hide vanishing gradients, small updates, collapse
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

    @property
    def hidden(self) -> list[tuple[int, LayerSymptoms]]:
        """The hidden layers with their numbers."""
        return list(enumerate(self.symptoms.layers[:-1], start=1))


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
    "saturated units": ("vanishing gradients", "small updates", "majority class"),
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
    """ "layer 2", "layers 1-4" or "layers 1, 3"."""
    if len(numbers) == 1:
        return f"layer {numbers[0]}"
    whole = numbers[-1] - numbers[0] + 1 == len(numbers)
    return f"layers {numbers[0]}-{numbers[-1]}" if whole else f"layers {', '.join(map(str, numbers))}"
