"""Rules on gradients, on the step that follows from them, and on the answers.

    ‖dZ_l‖ = ‖dZ_{l+1}‖ · ‖W‖ · g'     a product over layers vanishes or explodes by its average factor
    α < 2/λ_max                         or gradient descent climbs the steepest direction
    ‖α dW‖/‖W‖                          how much of the weights one step replaces
    skill near 0, one answer            the network has learned the class frequencies and nothing else

Every threshold is a named constant; the comment beside it is its reason.
"""

import numpy as np

from jaxmlp.evidence.health.findings import Case, Finding, span
from jaxmlp.evidence.health.symptoms import Symptoms

VANISHED, EXPLODED = 1e-4, 1e4  # ‖dZ_1‖/‖dZ_L‖; three fresh sigmoid layers reach 1e-2, deep He and Xavier stay near 1
TOO_LARGE = 2.0  # times 2/λ_max: training lives at α = 2/λ_max and survives up to twice that (Lewkowycz et al. 2020)
TOO_LARGE_QUADRATIC = 1.0  # where λ_max is the same everywhere, no step leads to where it is smaller
LARGE_UPDATE = 1.0  # of ‖W‖: one step replaces the weights; 0.001 to 0.1 is usual
SMALL_UPDATE = 1e-6  # of ‖W‖: a million steps to go anywhere
FITTED = 0.5  # skill above which small updates mean that the work is done
NO_SKILL = 0.1  # an answer within a tenth of what the class frequencies alone achieve
MAJORITY = 1.5  # times the share 1/C: from there on one class is a majority worth collapsing to

# --- gradients --------------------------------------------------------------------------------------------------------


def vanishing_gradients(case: Case) -> Finding | None:
    """‖dZ‖ falls from the output to layer 1 by four decades."""
    ratio = _ratio(case)
    if ratio is None or ratio >= VANISHED:
        return None
    cure = "take 'relu' with He weights, fewer layers, or larger weights (scheme 'auto')"
    return _gradients("vanishing gradients", case, ratio, cure)


def exploding_gradients(case: Case) -> Finding | None:
    """‖dZ‖ grows from the output to layer 1 by four decades."""
    ratio = _ratio(case)
    if ratio is None or ratio <= EXPLODED:
        return None
    return _gradients("exploding gradients", case, ratio, "draw smaller weights (scheme 'auto'), or clip the gradient")


def _ratio(case: Case) -> float | None:
    """‖dZ_1‖/‖dZ_L‖, where there is a gradient at all."""
    first, last = case.symptoms.layers[0].gradient, case.symptoms.layers[-1].gradient
    return float(first / last) if last > 0 else None


def _gradients(name: str, case: Case, ratio: float, cure: str) -> Finding:
    L = len(case.symptoms.layers)
    pairs = [pair for l in range(1, L) if all(pair := factors(case.symptoms, l))]
    w, slope = np.exp(np.log(pairs).mean(axis=0)) if pairs else (0.0, 0.0)
    gone = [l for l in range(1, L) if case.symptoms.layers[l - 1].gradient == 0]
    text = f"‖dZ‖ at layer 1 is {ratio:.1e} times that at layer {L}: a layer multiplies it by"
    if gone:
        text = f"‖dZ‖ is 0 from layer {gone[-1]} down, rounded or stopped: above, a layer multiplies it by"
    text += f" ‖W‖·g' = {w:.2g} · {slope:.2g} = {w * slope:.2g}"
    source = "the tutorials, gradient vanishing: the product of w and g', layer after layer"
    return Finding(name, f"layers 1-{L}", ratio, text, cure, source)


def factors(symptoms: Symptoms, l: int) -> tuple[float, float]:
    """How ‖dZ_{l+1}‖ became ‖dZ_l‖: the ‖W‖ and the g' it met; 0 where there was no gradient."""
    own, above = symptoms.layers[l - 1], symptoms.layers[l]
    by_weight = float(own.incoming / above.gradient) if above.gradient > 0 else 0.0
    by_slope = float(own.gradient / own.incoming) if own.incoming > 0 else 0.0
    return by_weight, by_slope


# --- the step ---------------------------------------------------------------------------------------------------------


def learning_rate_too_large(case: Case) -> Finding | None:
    """α well beyond 2/λ_max."""
    alpha, bound = case.learning_rate, case.stable_rate
    if alpha is None or bound is None or alpha <= (TOO_LARGE_QUADRATIC if case.quadratic else TOO_LARGE) * bound:
        return None
    text = f"α = {alpha:.3g} is {alpha / bound:.3g} times 2/λ_max = {bound:.3g}, beyond which descent climbs"
    cure = f"take α below {bound:.1g}"
    source = "the tutorials, hyper-parameters: a learning rate too large does not converge"
    return Finding("learning rate too large", "α", alpha / bound, text, cure, source)


def large_updates(case: Case) -> Finding | None:
    """One step is as long as the weights themselves.

    Without a hidden layer the cost is convex, the weights may start anywhere, and 2/λ_max alone judges the step.
    """
    if not case.hidden and case.stable_rate is not None:
        return None
    ratios = update_ratios(case)
    layers = [l for l, ratio in enumerate(ratios, start=1) if ratio is not None and ratio > LARGE_UPDATE]
    if not layers:
        return None
    worst = max(ratio for ratio in ratios if ratio is not None)
    text = f"‖α dW‖ is {worst:.3g} times ‖W‖: one step replaces the weights"
    return Finding("large updates", span(layers), worst, text, "lower the learning rate", _UPDATE)


def small_updates(case: Case) -> Finding | None:
    """No layer moves, though the work is not done."""
    ratios = [ratio for ratio in update_ratios(case) if ratio is not None]
    if not ratios or max(ratios) >= SMALL_UPDATE or case.symptoms.skill > FITTED:
        return None
    text = f"‖α dW‖ is at most {max(ratios):.1e} of ‖W‖ in every layer, and the network has not learned yet"
    return Finding("small updates", "all layers", max(ratios), text, "raise the learning rate", _UPDATE)


_UPDATE = "the tutorials, hyper-parameters: the learning rate"


def update_ratios(case: Case) -> list[float | None]:
    """‖α dW‖/‖W‖ of each layer; None without a learning rate or where W = 0."""
    alpha = case.learning_rate
    return [
        float(alpha * layer.weight_gradient / layer.weight) if alpha is not None and layer.weight > 0 else None
        for layer in case.symptoms.layers
    ]


# --- answers ----------------------------------------------------------------------------------------------------------


def majority_class(case: Case) -> Finding | None:
    """The answer is the commonest class for every example, and no better than the class frequencies."""
    s = case.symptoms
    if s.truth is None:
        return None
    m, C, top = s.truth.sum(), len(s.truth), int(s.truth.argmax())
    share = float(s.truth[top] / m)
    if s.answers[top] < m or share == 1 or share < MAJORITY / C or abs(s.skill) > NO_SKILL:
        return None
    text = f"all {m} examples are taken for class {top}, which {share:.0%} of them are; the inputs do not matter"
    cure = "weigh the rare classes up, train longer, or raise the learning rate"
    return Finding(
        "majority class", "output", share, text, cure, "the tutorials, cost function: the mean over examples"
    )
