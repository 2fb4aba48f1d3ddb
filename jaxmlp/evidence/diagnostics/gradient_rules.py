"""Rules on gradients, on the update that follows from them, and on the predictions.

    ‖dZ_l‖ = ‖dZ_{l+1}‖ · ‖W‖ · g'     a product over the layers vanishes or explodes with its mean factor
    α < 2/λ_max                         else gradient descent increases the cost in the direction of largest curvature
    ‖α dW‖/‖W‖                          the size of one update relative to the weights
    skill near 0, one class predicted   the network has learned the class frequencies only
    one class never predicted           it has learned the others, and answers nearly 0 for this one

Every threshold is a named constant with its reason beside it.
"""

import numpy as np

from jaxmlp.evidence.diagnostics.findings import Finding, RuleInput, layers_text
from jaxmlp.evidence.diagnostics.measurements import Measurements

VANISHING, EXPLODING = (
    1e-4,
    1e4,
)  # ‖dZ_1‖/‖dZ_L‖: three new sigmoid layers reach 1e-2, deep He networks stay near 1
TOO_LARGE = 2.0  # times 2/λ_max: training settles at α = 2/λ_max and survives up to twice that (Lewkowycz et al. 2020)
TOO_LARGE_QUADRATIC = 1.0  # for a constant Hessian: no step can reach a region where λ_max is smaller
LARGE_UPDATE = 1.0  # of ‖W‖: one update is as large as the weights; 0.001 to 0.1 is usual
USUAL_RATE = 0.01  # of 2/λ_max: rates of training are rarely smaller
SMALL_UPDATE = 1e-6  # of ‖W‖: it takes a million updates to change the weights
FITTED_SKILL = 0.5  # above it small updates mean that training is complete
NO_SKILL = 0.1  # predictions this close to those from the class frequencies only
MAJORITY_RATIO = 1.5  # times 1/C: for a smaller majority class, predicting it everywhere gains too little
MIN_CLASS_EXAMPLES = 10  # of fewer, a network can answer all with other classes by chance
FORGOTTEN_OUTPUT = 0.1  # of the frequency of a class: outputs that fit the frequencies have a mean of 1
MIN_KNOWN_FRACTION = 0.5  # of the examples have the classes that the network knows
LEARNED_OTHERS = 0.7  # of the examples of the other classes: a new network is right for 1/C of them

# --- gradients --------------------------------------------------------------------------------------------------------


def vanishing_gradients(case: RuleInput) -> Finding | None:
    """Report that ‖dZ‖ falls by a factor of 10⁴ from the output to layer 1."""
    ratio = _gradient_ratio(case)
    if ratio is None or ratio >= VANISHING:
        return None
    # output weights of 0 are a fair start: after one update they are not 0, and every layer has its gradient
    if case.hidden and case.measurements.layers[-1].weight == 0:
        return None
    cure = "take 'relu' with He weights, fewer layers, or larger weights (initializer 'auto')"
    return _gradient_finding("vanishing gradients", case, ratio, cure)


def exploding_gradients(case: RuleInput) -> Finding | None:
    """Report that ‖dZ‖ grows by a factor of 10⁴ from the output to layer 1."""
    ratio = _gradient_ratio(case)
    if ratio is None or ratio <= EXPLODING:
        return None
    return _gradient_finding(
        "exploding gradients", case, ratio, "draw smaller weights (initializer 'auto'), or clip the gradient"
    )


def _gradient_ratio(case: RuleInput) -> float | None:
    """Return ‖dZ_1‖/‖dZ_L‖; None without a gradient at the output."""
    first, last = case.measurements.layers[0].gradient, case.measurements.layers[-1].gradient
    # without a gradient at the output, as for perfect predictions, the ratio would be 0/0
    return float(first / last) if last > 0 else None


def _gradient_finding(name: str, case: RuleInput, ratio: float, cure: str) -> Finding:
    L = len(case.measurements.layers)
    pairs = [pair for l in range(1, L) if all(pair := gradient_factors(case.measurements, l))]
    # the geometric mean: where no factor is 0, (w · slope) to the power of L - 1 is the ratio of the gradients
    w, slope = np.exp(np.log(pairs).mean(axis=0)) if pairs else (0.0, 0.0)
    zero_layers = [l for l in range(1, L) if case.measurements.layers[l - 1].gradient == 0]
    text = f"‖dZ‖ at layer 1 is {ratio:.1e} times that at layer {L}: a layer multiplies it by"
    if zero_layers:
        text = f"‖dZ‖ is 0 from layer {zero_layers[-1]} down (rounded to 0, or g' = 0): above, a layer multiplies it by"
    text += f" ‖W‖·g' = {w:.2g} · {slope:.2g} = {w * slope:.2g}"
    source = "the tutorials, gradient vanishing: the product of w and g', layer after layer"
    return Finding(name, f"layers 1-{L}", ratio, text, cure, source)


def gradient_factors(measurements: Measurements, l: int) -> tuple[float, float]:
    """Return the ‖W‖ and the g' that turn ‖dZ_{l+1}‖ into ‖dZ_l‖; 0 where there is no gradient."""
    layer, above = measurements.layers[l - 1], measurements.layers[l]
    by_weight = float(layer.incoming / above.gradient) if above.gradient > 0 else 0.0
    by_slope = float(layer.gradient / layer.incoming) if layer.incoming > 0 else 0.0
    return by_weight, by_slope


# --- the update -------------------------------------------------------------------------------------------------------


def learning_rate_too_large(case: RuleInput) -> Finding | None:
    """Report a learning rate α far above 2/λ_max."""
    alpha, bound = case.learning_rate, case.stable_rate
    if alpha is None or bound is None or alpha <= (TOO_LARGE_QUADRATIC if case.quadratic else TOO_LARGE) * bound:
        return None
    text = f"α = {alpha:.3g} is {alpha / bound:.3g} times 2/λ_max = {bound:.3g}, above which gradient descent diverges"
    cure = f"take α below {bound:.1g}"
    source = "the tutorials, hyper-parameters: a learning rate too large does not converge"
    return Finding("learning rate too large", "α", alpha / bound, text, cure, source)


def large_updates(case: RuleInput) -> Finding | None:
    """Report an update that is as large as the weights."""
    # without a hidden layer the cost is convex: small weights are a fair start, and 2/λ_max decides
    if not case.hidden and case.stable_rate is not None:
        return None
    ratios = update_ratios(case)
    layers = [l for l, ratio in enumerate(ratios, start=1) if ratio is not None and ratio > LARGE_UPDATE]
    if not layers:
        return None
    worst = max(ratio for ratio in ratios if ratio is not None)
    text = f"‖α dW‖ is {worst:.3g} times ‖W‖: one update is as large as the weights"
    return Finding("large updates", layers_text(layers), worst, text, "lower the learning rate", _UPDATE)


def small_updates(case: RuleInput) -> Finding | None:
    """Report that no layer changes although the network has not learned."""
    ratios = [ratio for ratio in update_ratios(case) if ratio is not None]
    if not ratios or max(ratios) >= SMALL_UPDATE or case.measurements.skill > FITTED_SKILL:
        return None
    alpha, bound = case.learning_rate, case.stable_rate
    # at a rate that is nearly too large the gradient is 0 because the cost is at its minimum, or at a saddle
    if alpha is not None and bound is not None and alpha > USUAL_RATE * bound:
        text = f"the gradient is 0 with α = {alpha:.3g} and 2/λ_max = {bound:.3g}: the cost is stationary here"
        cure = "a larger rate does not help: give the network a hidden layer, more units, or other features"
        return Finding("stationary point", "all layers", max(ratios), text, cure, _UPDATE)
    text = f"‖α dW‖ is at most {max(ratios):.1e} of ‖W‖ in every layer, and the network has not learned yet"
    return Finding("small updates", "all layers", max(ratios), text, "raise the learning rate", _UPDATE)


_UPDATE = "the tutorials, hyper-parameters: the learning rate"


def update_ratios(case: RuleInput) -> list[float | None]:
    """Return ‖α dW‖/‖W‖ of each layer; None without a learning rate or where W = 0."""
    alpha = case.learning_rate
    return [
        float(alpha * layer.weight_gradient / layer.weight) if alpha is not None and layer.weight > 0 else None
        for layer in case.measurements.layers
    ]


# --- predictions ------------------------------------------------------------------------------------------------------


def majority_class(case: RuleInput) -> Finding | None:
    """Report that the most frequent class is predicted for every example."""
    s = case.measurements
    if s.target_counts is None or s.predicted_counts is None:
        return None
    m, C, top = s.target_counts.sum(), len(s.target_counts), int(s.target_counts.argmax())
    fraction = float(s.target_counts[top] / m)
    if s.predicted_counts[top] < m or fraction == 1 or fraction < MAJORITY_RATIO / C or abs(s.skill) > NO_SKILL:
        return None
    text = f"class {top} is predicted for all {m} examples ({fraction:.0%} of them have it): the inputs have no effect"
    cure = "give the rare classes larger weights, train longer, or raise the learning rate"
    return Finding(
        "majority class", "output", fraction, text, cure, "the tutorials, cost function: the mean over examples"
    )


def class_never_predicted(case: RuleInput) -> Finding | None:
    """Report a class whose output is very small for every example, while the network has learned the others."""
    s = case.measurements
    if s.target_counts is None or s.correct_counts is None:
        return None
    frequencies = s.target_counts / s.target_counts.sum()
    forgotten = (s.target_counts >= MIN_CLASS_EXAMPLES) & (s.largest_outputs < FORGOTTEN_OUTPUT * frequencies)
    others = s.target_counts[~forgotten]
    # a network that answers one class for all is right for all the examples of that class, but has learned nothing
    if not forgotten.any() or np.count_nonzero(others) < 2 or others.sum() < MIN_KNOWN_FRACTION * s.target_counts.sum():
        return None
    if s.correct_counts[~forgotten].sum() < LEARNED_OTHERS * others.sum():
        return None
    worst = int(np.where(forgotten, s.target_counts, 0).argmax())
    largest, n = float(s.largest_outputs[worst]), s.target_counts[worst]
    text = f"class {worst} is never predicted: its output is at most {largest:.1e}, and {n} examples have this class"
    cure = "train on rows of every class (shuffle a sorted file before it is split), and check the bias of the class"
    source = "the tutorials, cost function: the mean over examples"
    return Finding("class never predicted", "output", largest, text, cure, source)
