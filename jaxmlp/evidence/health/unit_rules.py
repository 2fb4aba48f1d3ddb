"""Rules on a single pass forward: numbers, inputs, activations, weights and units.

    dead        slope 0 on all examples, at the end where the activation is silent: relu with z ≤ 0
    saturated   slope near 0 at either end: sigmoid and tanh with large |z|
    symmetric   equal rows in [W b] and in [dW db]: equal now, and equal after every step
    linear      no slope that changes: the network is one layer

Every threshold is a named constant; the comment beside it is its reason.
"""

import numpy as np

from jaxmlp.evidence.health.findings import Case, Finding, span
from jaxmlp.evidence.health.symptoms import IDLE_SLOPE, LayerSymptoms

LARGEST_INPUT = 10.0  # root mean square of a feature; tanh has saturated at 3, sigmoid at 6, and toy data reach 5
SMALLEST_INPUT = 0.01  # of the largest feature: below it Z is the bias alone
SATURATED = 0.7  # of the pairs of unit and example of a layer; healthy training stays below a half
PASSABLE = 0.01  # of the paths through all layers meet no flat unit; three layers that are flat by half leave an eighth
HALF = 0.5  # of a layer, plus 1/√n, two standard deviations: on four examples a quarter of fresh relu units is dead
SAME = 1e3  # units of rounding, within which two rows of [W b] and of [dW db] count as equal

# --- numbers and inputs -----------------------------------------------------------------------------------------------


def non_finite(case: Case) -> Finding | None:
    """The first NaN or infinity in the order of computation: X, Y, W and b, then Z and A forward, J, dZ backward."""
    s = case.symptoms
    layers = list(enumerate(s.layers, start=1))
    places = [("X", s.bad_X), ("Y", s.bad_Y)]
    places += [(f"layer {l}, {name}", own.bad[i]) for l, own in layers for i, name in enumerate(("W", "b"))]
    places += [(f"layer {l}, {name}", own.bad[i]) for l, own in layers for i, name in enumerate(("Z", "A"), start=2)]
    places.append(("the cost J", (-1, -1) if np.isfinite(s.cost) else (0, 0)))
    places += [(f"layer {l}, dZ", own.bad[4]) for l, own in reversed(layers)]
    for place, (where, (row, column)) in enumerate(places):
        if row >= 0:
            given = place < 2 + 2 * len(layers)  # X, Y, W and b come from outside
            return _non_finite(where, int(row), int(column), given)
    return None


def _non_finite(where: str, row: int, column: int, given: bool) -> Finding:
    text = f"the first value that is infinite or not a number stands in {where}, row {row}, column {column}"
    cure = "repair it or leave it out" if given else "scale the inputs, draw smaller weights, lower the learning rate"
    source = "the tutorials, hyper-parameters: a network gives no error message, only a wrong result"
    return Finding("non-finite values", where, column, text, cure, source)


def unscaled_inputs(case: Case) -> Finding | None:
    """Features far from the scale of 1 for which weights are drawn."""
    scales = case.symptoms.input_scales[:, 0]
    worst = int(scales.argmax())
    scale = float(scales[worst])
    if SMALLEST_INPUT <= scale <= LARGEST_INPUT or scale == 0:
        return None
    text = f"feature {worst} has root mean square {scale:.3g}, the largest of {len(scales)}; weights are drawn for 1"
    cure = "divide pixels by 255; standardize columns to mean 0 and deviation 1"
    source = "the cat classifier divides its pixels by 255; Ng's course, normalising inputs"
    return Finding("unscaled inputs", "X", scale, text, cure, source)


# --- activations ------------------------------------------------------------------------------------------------------


def _kind(layer: LayerSymptoms) -> str:
    """ "linear", "flat", "one-sided" (units can die), "saturating" or "other", by the slopes at the probes."""
    slopes = np.abs(layer.slopes[0])
    largest = slopes.max()
    if largest == 0:
        return "flat" if np.ptp(layer.values) > 0 else "other"
    if np.ptp(layer.slopes) <= 1e-3 * largest:
        return "linear"
    ends = slopes[[0, -1]] <= IDLE_SLOPE * largest
    return "saturating" if ends.all() else "one-sided" if ends.any() else "other"


def linear_network(case: Case) -> Finding | None:
    """Every hidden activation is linear."""
    layers = [l for l, layer in case.hidden if _kind(layer) == "linear"]
    if not layers or len(layers) < len(case.hidden):
        return None
    L = len(case.symptoms.layers)
    text = f"no hidden layer has an activation that bends: the {L} layers equal one, W' x + b' (see collapse)"
    return Finding("linear network", span(layers), L, text, "take hidden='relu' or 'tanh'", _WHY_NONLINEAR)


def linear_layer(case: Case) -> Finding | None:
    """One hidden activation among others is linear."""
    layers = [l for l, layer in case.hidden if _kind(layer) == "linear"]
    if not layers:
        return None
    text = f"{len(layers)} of {len(case.hidden)} hidden layers without an activation: with the next layer it equals one"
    return Finding("linear layer", span(layers), len(layers), text, "give it 'relu' or 'tanh'", _WHY_NONLINEAR)


_WHY_NONLINEAR = "Ng's course, why non-linear activation functions"


def step_activation(case: Case) -> Finding | None:
    """An activation whose derivative is 0 everywhere."""
    layers = [l for l, layer in case.hidden if _kind(layer) == "flat"]
    if not layers:
        return None
    text = "g' is 0 everywhere, so every gradient below is 0 and gradient descent changes nothing there"
    source = "the tutorials, activation functions: step cannot be trained"
    return Finding("step activation", span(layers), 0.0, text, "take 'sigmoid' or 'relu' instead", source)


# --- weights ----------------------------------------------------------------------------------------------------------


def zero_weights(case: Case) -> Finding | None:
    """A hidden layer whose weights are all 0."""
    layers = [l for l, layer in case.hidden if layer.weight == 0]
    if not layers:
        return None
    text = f"W is 0 in {len(layers)} of {len(case.hidden)} hidden layers: every unit computes the same, rank 0"
    return Finding("zero weights", span(layers), 0.0, text, _DRAW, _RANDOM_INIT)


def symmetric_units(case: Case) -> Finding | None:
    """Units with equal weights and equal gradients: they stay equal for ever."""
    counts = {l: distinct_units(case, l) for l, _ in case.hidden}
    layers = [l for l, layer in case.hidden if counts[l] < len(layer.layer["W"])]
    if not layers:
        return None
    worst = min(layers, key=lambda l: counts[l] / len(case.symptoms.layers[l - 1].layer["W"]))
    layer = case.symptoms.layers[worst - 1]
    n, rank = len(layer.layer["W"]), np.linalg.matrix_rank(layer.layer["W"])
    text = (
        f"layer {worst} has {counts[worst]} distinct of {n} units, W of rank {rank}; the others are copies with equal "
        "weights and equal gradients, so they never part"
    )
    return Finding("symmetric units", span(layers), counts[worst], text, _DRAW, _RANDOM_INIT)


_DRAW = "draw W at random, jaxmlp.init(key, net); b may stay 0"
_RANDOM_INIT = "Ng's course, random initialisation"


def distinct_units(case: Case, l: int) -> int:
    """How many rows of [W b | dW db] differ; sorted along one direction, equal rows lie side by side.

    Where dA = Wᵀ dZ has cancelled to rounding on the way down, as equal rows of W make it under a softmax, dW and db
    are noise and tell nothing apart.
    """
    layers, epsilon = case.symptoms.layers, case.epsilon
    layer = layers[l - 1]
    noise = any(
        own.incoming <= SAME * epsilon * above.weight * above.gradient
        for own, above in zip(layers[l - 1 :], layers[l:], strict=False)
    )
    parts = (layer.layer,) if noise else (layer.layer, layer.dlayer)
    blocks = [np.hstack([part["W"], part["b"]]) for part in parts]
    largest = [np.linalg.norm(block, axis=1).max() for block in blocks]
    rows = np.hstack([block / (scale or 1.0) for block, scale in zip(blocks, largest, strict=True)])
    along = rows @ np.random.default_rng(0).normal(size=rows.shape[1])
    gaps = np.linalg.norm(np.diff(rows[np.argsort(along)], axis=0), axis=1)
    return 1 + int((gaps > SAME * epsilon).sum())


# --- units ------------------------------------------------------------------------------------------------------------


def dead_units(case: Case) -> Finding | None:
    """Most of a layer has slope 0 on all examples, on the silent side of its activation."""
    shares = {l: dead(layer) for l, layer in case.hidden}
    layers = [l for l, units in shares.items() if _most(units) and not _starved(case, l)]
    if not layers:
        return None
    worst = max(layers, key=lambda l: shares[l].mean())
    units = shares[worst]
    back = int(revivable(case, worst).sum())
    hope = f"{back} of them could be revived by changes upstream" if back else "nothing upstream can revive them"
    text = f"{units.sum()} of {len(units)} units of layer {worst} have slope 0 on all examples; {hope}"
    cure = "draw new weights with biases at 0, lower the learning rate, or take 'leaky_relu'"
    return Finding("dead units", span(layers), float(units.mean()), text, cure, "the tutorials, ReLU: dead units")


def saturated_units(case: Case) -> Finding | None:
    """Most of a layer sits on the flat ends of its activation, or so much of many that hardly a path is free of it."""
    shares = {l: saturated(layer) for l, layer in case.hidden}
    passable = float(np.prod([1 - share for share in shares.values()]))
    layers = [l for l, share in shares.items() if share > (SATURATED if passable > PASSABLE else 0)]
    if not layers:
        return None
    worst = max(layers, key=lambda l: shares[l])
    z = case.symptoms.layers[worst - 1].preactivation
    text = f"{shares[worst]:.0%} of layer {worst} has a slope below a hundredth of g's largest; |z| is about {z:.3g}"
    if len(layers) > 1:
        text += f"; {passable:.1g} of the paths through all layers meet no such unit"
    cure = "draw smaller weights (scheme 'auto'), scale the inputs, or take 'relu'"
    source = "the tutorials, gradient vanishing: saturation"
    return Finding("saturated units", span(layers), shares[worst], text, cure, source)


def _starved(case: Case, l: int) -> bool:
    """Whether layer l is silent only because the layer below is: inputs 0, and not all of its own biases < 0."""
    layers = case.symptoms.layers
    return l > 1 and layers[l - 2].activation == 0 and bool(layers[l - 1].layer["b"].max() >= 0)


def dead(layer: LayerSymptoms) -> np.ndarray:
    """Which units are dead on this data, (n,)."""
    return (layer.idle[:, 0] == 1) & (_kind(layer) == "one-sided")


def saturated(layer: LayerSymptoms) -> float:
    """The share of a layer, over units and examples, at which its activation is flat."""
    return float(layer.idle.mean()) if _kind(layer) == "saturating" else 0.0


def revivable(case: Case, l: int) -> np.ndarray:
    """Which dead units of layer l could come back through upstream change, (n,).

    The unit's own gradient is 0. Its z can still move if a layer below has a gradient, unless every input is ≥ 0 by its
    activation while all weights and the bias are ≤ 0: then z ≤ 0 whatever happens below.
    """
    layers = case.symptoms.layers
    own = layers[l - 1]
    moving = any(below.weight_gradient > 0 for below in layers[: l - 1])
    W, b = own.layer["W"], own.layer["b"][:, 0]
    stuck = (W <= 0).all(axis=1) & (b <= 0) & (l > 1 and bool(layers[l - 2].values.min() >= 0))
    return dead(own) & moving & ~stuck


def _most(units: np.ndarray) -> bool:
    return bool(units.all() or units.mean() > HALF + 1 / np.sqrt(len(units)))
