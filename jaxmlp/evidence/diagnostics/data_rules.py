"""Rules on the data: labels, targets, features, and a batch too small for its normalisation.

    labels                  a cross-entropy takes 0 and 1, or 0 … C - 1; at a softmax they sum to 1 for each example;
                            poisson takes counts, from 0 on
    unreachable targets     sigmoid answers between 0 and 1, tanh between -1 and 1, relu from 0 on
    unscaled targets        an output of the scale of 1 needs as long as the target is large
    constant inputs         every example is the same: only the mean of the targets can be learned
    constant targets        every target is the same: the output bias alone fits them
    inputs off centre       mean 8 and deviation 0.1: Z is the mean times W, whatever the example

Every threshold is a named constant with its reason beside it.
"""

import numpy as np

from jaxmlp.evidence.diagnostics.findings import Finding, RuleInput
from jaxmlp.evidence.diagnostics.gradient_rules import FITTED_SKILL

SUM_MARGIN = 0.02  # of the labels of one example: ten of them in bfloat16 are as far from 1
MARGIN = 1e-3  # beyond the range of the output, relative to it: rounded targets are no problem
LARGEST_TARGET = 100.0  # root mean square: an output starts near 1, and an update moves it by about as much
SMALLEST_TARGET = 1e-4
OFF_CENTRE = 10.0  # mean over deviation: a column of years has 100, an image of bright pixels 5
CONSTANT_FEATURE = 1e-6  # deviation over largest |x|: what is less is rounding in float32
ENOUGH_EXAMPLES = 20  # of fewer, all can have one class by chance
TINY_FEATURE = 1e-5  # largest |x| of a feature over that of the typical one: its weights hardly get a gradient


def labels_out_of_range(case: RuleInput) -> Finding | None:
    """Report labels that the cross-entropy does not know: 1 and 2, -1 and 1, or 1 … C."""
    low, high = case.data.target_low, case.data.target_high
    if case.cost == "categorical_cross_entropy":
        classes = case.net.sizes[-1]
        largest = classes - 1 if case.has_class_ids else 1
        expected = f"0 … {classes - 1}" if case.has_class_ids else "0 and 1"
    elif case.cost == "binary_cross_entropy":
        largest, expected = 1, "0 and 1"
    elif case.cost == "poisson":
        largest, expected = np.inf, "counts from 0 on"
    else:
        return None
    if not (low < -MARGIN or high > largest + MARGIN):
        return None
    text = f"the labels reach from {low:.4g} to {high:.4g}, and {case.cost} takes {expected}"
    cure = "number the classes from 0 on: labels - 1 for 1 and 2, (labels + 1) / 2 for -1 and 1"
    source = "the tutorials, cost function: y is 0 or 1"
    if case.cost == "poisson":
        cure = "correct the negative counts, or take output='identity': a count is 0, 1, 2, …"
        source = "README, costs: poisson is Σ (a - y ln a)"
    return Finding("labels out of range", "Y", high, text, cure, source)


def labels_that_do_not_sum_to_1(case: RuleInput) -> Finding | None:
    """Report label columns of a softmax with several labels or none: its answers sum to 1 whatever they are."""
    if case.cost != "categorical_cross_entropy" or case.has_class_ids:
        return None
    sums = case.data.target_sums
    wrong = np.abs(sums - 1) > SUM_MARGIN
    if not wrong.any():
        return None
    worst = float(sums[np.abs(sums - 1).argmax()])
    text = f"the labels of {wrong.sum()} of {len(sums)} examples do not sum to 1, but to as much as {worst:.3g}"
    if worst < 1:
        text = f"the labels of {wrong.sum()} of {len(sums)} examples sum to as little as {worst:.3g}"
    cure = "for several labels at once take output='sigmoid'; one-hot columns of 0 come from class ids out of range"
    source = "the tutorials, softmax: the probabilities of the classes sum to 1"
    return Finding("labels that do not sum to 1", "Y", worst, text, cure, source)


def unreachable_targets(case: RuleInput) -> Finding | None:
    """Report targets that the output activation cannot answer."""
    output = case.net.activations[-1]
    if not output.elementwise or "cross_entropy" in case.cost:
        return None
    values = case.measurements.layers[-1].values[0]  # at PROBES, from one end to the other
    # an end at which the slope is 0 is a bound; where there is a slope the answer grows on
    slopes = np.abs(case.measurements.layers[-1].slopes[0])
    bounded = slopes[[0, -1]] <= 1e-6 * (slopes.max() or 1.0)
    # the lower end is the first probe, or the last one where g decreases
    low = values.min() if bounded[int(values[-1] < values[0])] else -np.inf
    high = values.max() if bounded[int(values[-1] >= values[0])] else np.inf
    margin = MARGIN * (high - low if np.isfinite(high - low) else max(1.0, case.data.target_scale))
    if case.data.target_low >= low - margin and case.data.target_high <= high + margin:
        return None
    reach = f"from {low:.3g} on" if not np.isfinite(high) else f"up to {high:.3g}"
    reach = f"between {low:.3g} and {high:.3g}" if np.isfinite(high - low) else reach
    text = f"the targets reach from {case.data.target_low:.4g} to {case.data.target_high:.4g}, {output.name} {reach}"
    cure = "take output='identity', or scale the targets into the range of the output"
    source = "the tutorials, activation functions: the range of the output"
    return Finding("unreachable targets", "Y", case.data.target_high, text, cure, source)


def unscaled_targets(case: RuleInput) -> Finding | None:
    """Report targets far from the scale of 1, which the network does not answer yet."""
    scale = case.data.target_scale
    is_residual = "cross_entropy" not in case.cost and case.cost != "poisson"
    if not is_residual or scale == 0 or case.measurements.skill > FITTED_SKILL:
        return None
    if SMALLEST_TARGET <= scale <= LARGEST_TARGET:
        return None
    text = f"the targets have root mean square {scale:.3g}; the initial weights assume 1"
    cure = "standardize the targets, and undo it in the predictions (MLPRegressor does both)"
    return Finding("unscaled targets", "Y", scale, text, cure, "Ng's course, normalising inputs: the same for outputs")


def constant_targets(case: RuleInput) -> Finding | None:
    """Report that every example has the same targets, as in the first part of a file that is sorted by class."""
    if not case.data.same_targets or case.data.examples < ENOUGH_EXAMPLES:
        return None
    text = f"the targets of all {case.data.examples} examples are the same: the network learns one answer for all"
    if case.data.target_sums.size < case.data.examples:
        text = "all examples with a weight have the same targets: the network learns one answer for all"
    cure = "check the target column; if the file is sorted by the target, shuffle it before you split it"
    source = "the tutorials, cost function: the mean over examples"
    return Finding("constant targets", "Y", case.data.target_high, text, cure, source)


def constant_inputs(case: RuleInput) -> Finding | None:
    """Report that every example has the same inputs."""
    if case.data.examples < 2 or (case.data.spreads > CONSTANT_FEATURE * case.data.largest).any():
        return None
    value = float(case.data.largest.max())
    text = f"all {case.data.examples} examples are the same" + ("" if value else ": every input is 0")
    cure = "check how X is read and scaled: integers divided by // or cast to integers become 0"
    source = "the tutorials, hyper-parameters: a network gives no error message, only a wrong result"
    return Finding("constant inputs", "X", value, text, cure, source)


def inputs_off_centre(case: RuleInput) -> Finding | None:
    """Report a feature whose mean is many times its deviation."""
    means, spreads = np.abs(case.data.means), case.data.spreads
    # a constant column says nothing, and is a bias at worst; a small one is drowned by the others
    ratios = np.where((spreads > 1e-6 * means) & (means > 1), means / np.where(spreads > 0, spreads, 1), 0)
    worst = int(ratios.argmax())
    if ratios[worst] <= OFF_CENTRE:
        return None
    text = (
        f"feature {worst} has mean {case.data.means[worst]:.3g} and deviation {spreads[worst]:.3g}: every example "
        "looks the same to the first layer"
    )
    cure = "subtract the mean and divide by the deviation of the training set"
    source = "Ng's course, normalising inputs: mean 0, variance 1"
    return Finding("inputs off centre", "X", float(ratios[worst]), text, cure, source)


def tiny_feature(case: RuleInput) -> Finding | None:
    """Report a feature that varies, and is so much smaller than the others that its weights get no gradient."""
    largest = np.where(case.data.spreads > 0, case.data.largest, 0.0)
    typical = float(np.median(largest[largest > 0])) if (largest > 0).any() else 0.0
    tiny = (largest > 0) & (largest < TINY_FEATURE * typical)
    if not tiny.any():
        return None
    worst = int(np.where(tiny, largest, np.inf).argmin())
    text = f"feature {worst} reaches {largest[worst]:.1e}, the typical one {typical:.1e}: its weights hardly change"
    cure = "standardize columns to mean 0 and deviation 1"
    return Finding("unscaled inputs", "X", float(largest[worst]), text, cure, "Ng's course, normalising inputs")


def batch_of_one_example(case: RuleInput) -> Finding | None:
    """Report a batch normalisation over a single example: every unit minus its own mean is 0."""
    if case.net.norm != "batch" or case.data.examples > 1 or not case.hidden:
        return None
    text = "batch normalisation over 1 example makes every unit 0: z minus its mean over the batch"
    cure = "give larger batches, or take norm='layer'"
    source = "Ng's course, batch normalisation: mean and variance of the mini-batch"
    return Finding("batch of one example", "X", 1.0, text, cure, source)
