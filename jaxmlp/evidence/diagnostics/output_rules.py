"""Rules that report a dead, saturated, constant or very large output, and weights that the penalty has driven to 0.

Every threshold is a named constant; the comment after it gives the reason.
"""

import numpy as np

from jaxmlp.evidence.diagnostics.findings import Finding, RuleInput, layers_text
from jaxmlp.evidence.diagnostics.gradient_rules import FITTED_SKILL
from jaxmlp.evidence.diagnostics.unit_rules import SATURATED, has_decayed, is_dead, saturated_fraction

# deviation of the outputs divided by that of the targets: outputs that vary 50 times less cannot separate the examples
CONSTANT_OUTPUT = 0.02
# skill: constant outputs that are not the class frequencies have -1/2 or more. Outputs that always predict one of two
# equal classes have -1; those that give one of three equal classes 0.9 have -3/4.
WORSE_THAN_THE_MEAN = -0.6
WORSE_THAN_NEUTRAL = 0.25  # skill below that of equal probabilities, which a network with W = 0, b = 0 predicts
LARGE_LOGIT = 30.0  # root mean square of Z: new weights give 1, and 14 for the largest inputs that count as scaled
LARGE_OUTPUT = 100.0  # root mean square of A over that of the targets, or over 1
DECAYED_SIGNAL = 0.05  # ‖W‖ divided by ‖W‖ of an initial layer: the fraction of the signal that remains


def dead_output(case: RuleInput) -> Finding | None:
    """Report output units with slope 0 on all examples: relu with every z ≤ 0."""
    dead = is_dead(case.measurements.layers[-1])
    if not dead.any() or case.data.target_spread == 0 or case.measurements.skill > FITTED_SKILL or case.is_matched:
        return None
    L = len(case.measurements.layers)
    output = case.net.activations[-1].name
    text = f"{dead.sum()} of {len(dead)} output units have slope 0 on all examples: their gradient is 0 and stays 0"
    cure = f"use output='identity' or 'softplus' instead of {output!r}, or draw new weights"
    return Finding("dead output", f"layer {L}", float(dead.mean()), text, cure, "the tutorials, ReLU: dead units")


def saturated_output(case: RuleInput) -> Finding | None:
    """Report an output at its flat end with wrong predictions, if the cost multiplies the error by the slope."""
    fraction = saturated_fraction(case.measurements.layers[-1])
    if fraction <= SATURATED or case.is_matched or case.measurements.skill > FITTED_SKILL:
        return None
    L, output = len(case.measurements.layers), case.net.activations[-1].name
    text = f"{fraction:.0%} of the outputs are at a flat end of {output}, and δ = (a - y) g' is nearly 0 there"
    cure = "use a cross-entropy (output='sigmoid', no cost), or draw smaller weights"
    source = "Nielsen, chapter 3: the slow start of the quadratic cost"
    return Finding("saturated output", f"layer {L}", fraction, text, cure, source)


def constant_output(case: RuleInput) -> Finding | None:
    """Report outputs that are almost equal for all examples, and farther from the targets than their mean is."""
    s = case.measurements
    if case.data.examples < 2 or case.target_spread == 0:
        return None
    if s.output_spread > CONSTANT_OUTPUT * case.target_spread or s.skill > WORSE_THAN_THE_MEAN:
        return None
    if s.target_counts is not None and np.count_nonzero(s.target_counts) > 1:
        # if some classes are rare, even equal probabilities are far from the frequencies, but a start there is normal
        C, frequencies = len(s.target_counts), s.target_counts / s.target_counts.sum()
        # an example's Σ (1/C - y)² is 1 - 1/C, and its share of the variation of one-hot labels is Σ f (1 - f)
        # = 1 - Σ f²
        neutral = 1 - (1 - 1 / C) / (1 - np.square(frequencies).sum())
        if s.skill > neutral - WORSE_THAN_NEUTRAL:
            return None
    text = (
        f"the outputs differ by {s.output_spread:.1e} between examples, the targets by {case.target_spread:.2g}, and "
        "they fit the targets worse than the mean of the targets does"
    )
    cure = "draw new weights with biases at 0, and lower the learning rate"
    source = "the tutorials, cost function: the mean over examples"
    return Finding("constant output", "output", float(s.output_spread), text, cure, source)


def large_outputs(case: RuleInput) -> Finding | None:
    """Report outputs far from the scale of the targets that fit them worse than their mean does."""
    output = case.measurements.layers[-1]
    if case.measurements.skill > 0 or case.data.target_spread == 0:
        return None
    name, size, usual = ("Z", output.preactivation, 1.0)
    bound = LARGE_LOGIT
    if not case.is_matched:
        name, size, usual = ("A", output.activation, max(1.0, case.data.target_scale))
        bound = LARGE_OUTPUT * usual
    if size <= bound:
        return None
    text = (
        f"{name} of the output has root mean square {size:.3g}, about {usual:.3g} is usual. A constant answer, the "
        "mean of the targets, has a smaller error"
    )
    cure = "draw smaller weights (initializer 'auto'); if training has made them so large, lower the learning rate"
    source = "Ng's course, random initialisation: weights that are too large"
    L = len(case.measurements.layers)
    return Finding("large outputs", f"layer {L}", float(size), text, cure, source)


def decayed_weights(case: RuleInput) -> Finding | None:
    """Report layers whose weights the penalty has driven to 0."""
    if not case.is_penalized:
        return None
    layers = [
        l
        for l, layer in enumerate(case.measurements.layers, start=1)
        # the initializers give the weights of one unit ‖w‖² = 1, up to a factor of 2, so n units have ‖W‖ ≈ √n
        if has_decayed(layer).mean() > 0.5 or layer.weight < DECAYED_SIGNAL * np.sqrt(len(layer.layer["W"]))
    ]
    if not layers or case.measurements.skill > FITTED_SKILL:
        return None
    worst = min(layers, key=lambda l: case.measurements.layers[l - 1].weight)
    weight = float(case.measurements.layers[worst - 1].weight)
    text = f"‖W‖ of layer {worst} is {weight:.1e}: the penalty outweighs the cost"
    cure = "lower l2 or l1; 0.01 to 1 is usual for l2"
    source = "the tutorials, regularisation: λ too large makes the network linear and its weights 0"
    return Finding("decayed weights", layers_text(layers), weight, text, cure, source)
