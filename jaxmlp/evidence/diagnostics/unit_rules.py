"""Rules on the forward pass: numbers, inputs, activations, weights and units.

    dead        slope 0 on all examples, at the flat end of the activation: relu with z ≤ 0
    saturated   slope near 0 at either end: sigmoid and tanh with large |z|
    symmetric   equal rows in [W b] and in [dW db]: equal now, and equal after every step
    linear      a constant slope: the network is equivalent to one layer
    dropout     p of n units: with probability pⁿ all of them are dropped, and the next layer sees only its bias

Every threshold is a named constant with its reason beside it.
"""

import numpy as np

from jaxmlp.evidence.diagnostics.findings import Finding, RuleInput, layers_text
from jaxmlp.evidence.diagnostics.measurements import IDLE_SLOPE, LayerMeasurements

LARGEST_INPUT = 10.0  # root mean square of a feature: tanh saturates at 3, sigmoid at 6, and toy data reach 5
SMALLEST_INPUT = 0.01  # of the largest feature: below it Z is almost the bias
SATURATED = 0.7  # of the pairs of unit and example of a layer: healthy training stays below 0.5
OPEN_PATHS = 0.01  # of the paths through all layers meet no flat unit: three layers that are half flat leave 1/8
HALF = 0.5  # of a layer, plus 1/√n, two standard deviations: on four examples a quarter of new relu units is dead
DECAYED = 1e-3  # of the largest row of W: what a penalty leaves of a unit that is not needed
EMPTY = 0.25  # of the examples lose the whole layer by dropout; with p = 0.5 and three units 1/8 do
HALF_PRECISION = 1e-4  # ε above it: bfloat16, float16
EQUAL_ROWS = 1e3  # units of rounding within which two rows of [W b] and of [dW db] count as equal

# --- numbers and inputs -----------------------------------------------------------------------------------------------


def non_finite(case: RuleInput) -> Finding | None:
    """Report the first NaN or infinity in the order of computation: X, Y, W and b, Z and A forward, J, dZ backward."""
    s = case.measurements
    layers = list(enumerate(s.layers, start=1))
    places = [("X", s.non_finite_X), ("Y", s.non_finite_Y)]
    places += [(f"layer {l}, {name}", layer.non_finite[i]) for l, layer in layers for i, name in enumerate(("W", "b"))]
    places += [
        (f"layer {l}, {name}", layer.non_finite[i]) for l, layer in layers for i, name in enumerate(("Z", "A"), start=2)
    ]
    places.append(("the cost J", (-1, -1) if np.isfinite(s.cost) else (0, 0)))  # a number has no row and column: 0, 0
    places += [(f"layer {l}, dZ", layer.non_finite[4]) for l, layer in reversed(layers)]  # 4: W, b, Z, A, dZ
    for place, (where, (row, column)) in enumerate(places):
        if row >= 0:
            is_input = place < 2 + 2 * len(layers)  # X, Y, W and b are the user's
            return _non_finite_finding(where, int(row), int(column), is_input)
    return None


def _non_finite_finding(where: str, row: int, column: int, is_input: bool) -> Finding:
    text = f"the first infinity or NaN is in {where}, row {row}, column {column}"
    cure = (
        "correct it or leave it out" if is_input else "scale the inputs, draw smaller weights, lower the learning rate"
    )
    source = "the tutorials, hyper-parameters: a network gives no error message, only a wrong result"
    return Finding("non-finite values", where, column, text, cure, source)


def unscaled_inputs(case: RuleInput) -> Finding | None:
    """Report features far from the scale of 1 that the initial weights assume."""
    scales = case.measurements.input_scales[:, 0]
    worst = int(scales.argmax())
    scale = float(scales[worst])
    if SMALLEST_INPUT <= scale <= LARGEST_INPUT or scale == 0:
        return None
    text = (
        f"feature {worst} has root mean square {scale:.3g}, the largest of {len(scales)}; the initial weights assume 1"
    )
    cure = "divide pixels by 255; standardize columns to mean 0 and deviation 1"
    source = "the cat classifier divides its pixels by 255; Ng's course, normalising inputs"
    return Finding("unscaled inputs", "X", scale, text, cure, source)


# --- activations ------------------------------------------------------------------------------------------------------


def _activation_type(layer: LayerMeasurements) -> str:
    """Return "linear", "flat", "one-sided" (units can die), "saturating" or "other", from the slopes at the probes."""
    slopes = np.abs(layer.slopes[0])  # at PROBES, from one end to the other
    largest = slopes.max()
    if largest == 0:
        return "flat" if np.ptp(layer.values) > 0 else "other"  # softmax and maxout have zeros for both
    if np.ptp(layer.slopes) <= 1e-3 * largest:
        return "linear"
    ends = slopes[[0, -1]] <= IDLE_SLOPE * largest
    return "saturating" if ends.all() else "one-sided" if ends.any() else "other"


def linear_network(case: RuleInput) -> Finding | None:
    """Report that every hidden activation is linear."""
    layers = [l for l, layer in case.hidden if _activation_type(layer) == "linear"]
    if not layers or len(layers) < len(case.hidden):
        return None
    L = len(case.measurements.layers)
    text = f"no hidden layer has a non-linear activation: the {L} layers equal one, W' x + b' (see collapse)"
    return Finding("linear network", layers_text(layers), L, text, "take hidden='relu' or 'tanh'", _NONLINEAR_SOURCE)


def linear_layer(case: RuleInput) -> Finding | None:
    """Report a linear activation between non-linear ones."""
    layers = [l for l, layer in case.hidden if _activation_type(layer) == "linear"]
    if not layers:
        return None
    text = f"{len(layers)} of {len(case.hidden)} hidden layers have no activation: each equals one layer with the next"
    return Finding(
        "linear layer", layers_text(layers), len(layers), text, "take 'relu' or 'tanh' there", _NONLINEAR_SOURCE
    )


_NONLINEAR_SOURCE = "Ng's course, why non-linear activation functions"


def step_activation(case: RuleInput) -> Finding | None:
    """Report an activation whose derivative is 0 everywhere."""
    layers = [l for l, layer in case.hidden if _activation_type(layer) == "flat"]
    if not layers:
        return None
    text = "g' is 0 everywhere, so every gradient below is 0 and gradient descent changes nothing there"
    source = "the tutorials, activation functions: step cannot be trained"
    return Finding("step activation", layers_text(layers), 0.0, text, "take 'sigmoid' or 'relu' instead", source)


# --- weights ----------------------------------------------------------------------------------------------------------


def zero_weights(case: RuleInput) -> Finding | None:
    """Report a hidden layer whose weights are all 0."""
    layers = [l for l, layer in case.hidden if layer.weight == 0]
    if not layers:
        return None
    text = f"W is 0 in {len(layers)} of {len(case.hidden)} hidden layers: every unit computes the same, rank 0"
    return Finding("zero weights", layers_text(layers), 0.0, text, _DRAW_CURE, _INIT_SOURCE)


def symmetric_units(case: RuleInput) -> Finding | None:
    """Report units with equal weights and equal gradients: they stay equal in every update."""
    counts = {l: distinct_units(case, l) for l, _ in case.hidden}
    layers = [l for l, layer in case.hidden if counts[l] < len(layer.layer["W"])]
    if not layers:
        return None
    worst = min(layers, key=lambda l: counts[l] / len(case.measurements.layers[l - 1].layer["W"]))
    layer = case.measurements.layers[worst - 1]
    n, rank = len(layer.layer["W"]), np.linalg.matrix_rank(layer.layer["W"])
    text = (
        f"layer {worst} has {counts[worst]} distinct of {n} units, W of rank {rank}; the remaining ones are copies "
        "with equal weights and equal gradients, so they stay equal"
    )
    return Finding("symmetric units", layers_text(layers), counts[worst], text, _DRAW_CURE, _INIT_SOURCE)


_DRAW_CURE = "draw W at random, jaxmlp.init(key, net); b may stay 0"
_INIT_SOURCE = "Ng's course, random initialisation"


def distinct_units(case: RuleInput, l: int) -> int:
    """Return how many rows of [W b | dW db] differ."""
    layers, epsilon = case.measurements.layers, case.epsilon
    layer = layers[l - 1]
    # equal rows of W under a softmax let dA = Wᵀ dZ cancel to rounding; then dW and db below are noise, and different
    # noise does not make two units different
    is_noise = any(
        below.incoming <= EQUAL_ROWS * epsilon * above.weight * above.gradient
        for below, above in zip(layers[l - 1 :], layers[l:], strict=False)
    )
    parts = (layer.layer,) if is_noise else (layer.layer, layer.dlayer)
    blocks = [np.hstack([part["W"], part["b"]]) for part in parts]
    largest = [np.linalg.norm(block, axis=1).max() for block in blocks]
    rows = np.hstack([block / (scale or 1.0) for block, scale in zip(blocks, largest, strict=True)])
    # sorted by a random projection, equal rows are neighbours: n comparisons in place of n²
    projection = rows @ np.random.default_rng(0).normal(size=rows.shape[1])
    order = np.argsort(projection)
    # in half precision 1e3 units of rounding are more than the rows themselves; equal units are equal in every bit
    tolerance = EQUAL_ROWS * epsilon if epsilon < HALF_PRECISION else 0.5 * epsilon
    differs = np.zeros(len(order) - 1, bool)
    for block in blocks:
        ordered = block[order]
        size = np.linalg.norm(ordered, axis=1)
        # relative to the two rows: beside one huge row all others would be equal
        differs |= np.linalg.norm(np.diff(ordered, axis=0), axis=1) > tolerance * np.maximum(size[1:], size[:-1])
    # two units that weight decay has driven to 0 are alike, and no copies: nothing but noise moves them
    decayed = has_decayed(layer)[order]
    return 1 + int((differs | decayed[1:] | decayed[:-1]).sum())


def has_decayed(layer: LayerMeasurements) -> np.ndarray:
    """Return which units have lost their weights while others of the layer have them, (n,)."""
    size = np.linalg.norm(layer.layer["W"], axis=1)
    return size <= DECAYED * size.max() if size.max() > 0 else np.zeros(len(size), bool)


# --- units ------------------------------------------------------------------------------------------------------------


def dead_units(case: RuleInput) -> Finding | None:
    """Report a layer in which most units have slope 0 on all examples, at the flat end of the activation."""
    dead = {l: is_dead(layer) for l, layer in case.hidden}
    layers = [l for l, units in dead.items() if _is_majority(units) and not _has_silent_input(case, l)]
    if not layers:
        return None
    worst = max(layers, key=lambda l: dead[l].mean())
    units = dead[worst]
    n_revivable = int(is_revivable(case, worst).sum())
    future = "no change in the layers below can revive them"
    if n_revivable:
        future = f"changes in the layers below could revive {n_revivable} of them"
    text = f"{units.sum()} of {len(units)} units of layer {worst} have slope 0 on all examples; {future}"
    cure = "draw new weights with biases at 0, lower the learning rate, or take 'leaky_relu'"
    return Finding(
        "dead units", layers_text(layers), float(units.mean()), text, cure, "the tutorials, ReLU: dead units"
    )


def saturated_units(case: RuleInput) -> Finding | None:
    """Report flat units: most of one layer, or so many in each that hardly a path through all is free of them."""
    fractions = {l: saturated_fraction(layer) for l, layer in case.hidden}
    # a gradient crosses every layer: with many half saturated layers none is alarming, and still hardly a path is open
    open_paths = float(np.prod([1 - fraction for fraction in fractions.values()]))
    threshold = SATURATED if open_paths > OPEN_PATHS else 0
    layers = [l for l, fraction in fractions.items() if fraction > threshold]
    if not layers:
        return None
    worst = max(layers, key=lambda l: fractions[l])
    z = case.measurements.layers[worst - 1].preactivation
    text = f"{fractions[worst]:.0%} of layer {worst} has a slope below 1/100 of g's largest; |z| is about {z:.3g}"
    if len(layers) > 1:
        text += f"; {open_paths:.1g} of the paths through all layers meet no such unit"
    cure = "draw smaller weights (initializer 'auto'), scale the inputs, or take 'relu'"
    source = "the tutorials, gradient vanishing: saturation"
    return Finding("saturated units", layers_text(layers), fractions[worst], text, cure, source)


def dropout_too_large(case: RuleInput) -> Finding | None:
    """Report a dropout that often leaves no unit of a layer, or no feature."""
    # p = 0.97 of n = 8 units: 0.97⁸ = 0.78
    rates = (case.input_dropout, *[case.dropout] * len(case.hidden))
    empty = [rate**n for rate, n in zip(rates, case.net.sizes, strict=False)]  # the output has a size and no rate
    worst = int(np.argmax(empty))
    if empty[worst] <= EMPTY:
        return None
    n, where = case.net.sizes[worst], f"layer {worst}" if worst else "X"
    name, units = ("dropout", "units") if worst else ("input dropout", "features")
    those = f"all {n} {units}" if n > 1 else f"the only {units[:-1]}"
    text = f"{name} {rates[worst]:.3g} sets {those} of {where} to 0 for {empty[worst]:.0%} of the examples"
    cure = f"lower the {name}: 0.2 to 0.5 is usual for hidden layers, less for narrow ones and for features"
    return Finding("dropout too large", where, empty[worst], text, cure, "Ng's course, dropout: keep_prob")


def _has_silent_input(case: RuleInput, l: int) -> bool:
    """Whether the inputs of layer l are all 0 and a bias is not negative: then the layer below is the cause."""
    layers = case.measurements.layers
    return l > 1 and layers[l - 2].activation == 0 and bool(layers[l - 1].layer["b"].max() >= 0)


def is_dead(layer: LayerMeasurements) -> np.ndarray:
    """Return which units are dead on this data, (n,)."""
    return (layer.idle_fraction[:, 0] == 1) & (_activation_type(layer) == "one-sided")


def saturated_fraction(layer: LayerMeasurements) -> float:
    """Return the fraction of pairs of unit and example at which the activation is flat."""
    return float(layer.idle_fraction.mean()) if _activation_type(layer) == "saturating" else 0.0


def is_revivable(case: RuleInput, l: int) -> np.ndarray:
    """Return which dead units of layer l could become active through changes in the layers below, (n,).

    The gradient of a dead unit is 0. Its z still changes if a layer below has a gradient. But if the activation below
    is never negative and all weights and the bias are ≤ 0, then z ≤ 0 for every input.
    """
    layers = case.measurements.layers
    layer = layers[l - 1]
    is_changing = any(below.weight_gradient > 0 for below in layers[: l - 1])
    W, b = layer.layer["W"], layer.layer["b"][:, 0]  # (n, n_prev), (n,)
    never_positive = (W <= 0).all(axis=1) & (b <= 0) & (l > 1 and bool(layers[l - 2].values.min() >= 0))
    return is_dead(layer) & is_changing & ~never_positive


def _is_majority(units: np.ndarray) -> bool:
    return bool(units.all() or units.mean() > HALF + 1 / np.sqrt(len(units)))
