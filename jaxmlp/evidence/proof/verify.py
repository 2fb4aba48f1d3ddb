"""The certificate: every equation against three witnesses that do not know of each other.

    the textbook's formula      ours, as `dense`, `costs` and the activations have it
    autodiff                    of the same path without any derivative rule of ours      within 1e-12
    central differences         of the same path, one entry moved at a time, in NumPy     within 1e-7

All widths of a network differ from each other and from the number of examples, so that a missing transpose cannot hide
in a square matrix. Everything is computed in float64, whatever the process uses.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from jaxmlp.errors import InputError, InputTypeError, sentence
from jaxmlp.evidence.certificate import Certificate, Row
from jaxmlp.evidence.precision import float64
from jaxmlp.evidence.proof.algebra import collapse_rows, curvature_rows, example_rows
from jaxmlp.evidence.proof.derivatives import Case
from jaxmlp.evidence.proof.equations import Own, equation_rows
from jaxmlp.evidence.proof.parts import activation_rows, cost_rows
from jaxmlp.evidence.proof.witnesses import draw, generator
from jaxmlp.nn import activations, costs
from jaxmlp.nn.activations import Activation
from jaxmlp.nn.backprop import cost as cost_of
from jaxmlp.nn.names import resolve
from jaxmlp.nn.network import Network
from jaxmlp.nn.objective import Objective, check_batch

# every activation of the registry, and numbers for those that take one
ACTIVATIONS = (*activations.ACTIVATIONS, "leaky_relu(0)", "leaky_relu(0.2)", "elu(0.5)", "maxout(3)")

# every cost of the registry; numbers that take the symmetry out of those with one: quantile(0.5) hides τ for 1 - τ
COSTS = (
    "quadratic",
    "binary_cross_entropy",
    "categorical_cross_entropy",
    "huber(0.5)",
    "absolute",
    "quantile(0.9)",
    "poisson",
)
# A cost of the residual is for any output, by one and the same pullback. The quadratic meets them all; its kin meet
# these two, one elementwise and one that couples its rows: all of them would double the time of `verify_all`.
RESIDUAL_OUTPUTS = ("identity", "softmax")

# the textbook's networks: name, network, objective, whether examples are weighted
STANDARD: tuple[tuple[str, Network, Objective, bool], ...] = (
    ("logistic regression 3-1", Network((3, 1), "relu", "sigmoid"), Objective(), True),
    ("softmax regression 3-4", Network((3, 4), "relu", "softmax"), Objective(l2=0.7), False),
    ("linear regression 3-2", Network((3, 2), "relu", "identity"), Objective(), False),
    ("relu 4-6-5-3-1", Network((4, 6, 5, 3, 1), "relu", "sigmoid"), Objective(), False),
    ("tanh 3-5-2-4", Network((3, 5, 2, 4), "tanh", "softmax"), Objective(l2=0.7), True),
    ("sigmoid 4-3-2 quadratic", Network((4, 3, 2), "sigmoid", "sigmoid"), Objective("quadratic"), False),
    ("softmax 3-5-4 quadratic", Network((3, 5, 4), "softmax", "softmax"), Objective("quadratic"), True),
    ("maxout 3-5-2-4", Network((3, 5, 2, 4), ("maxout(3)", "gelu"), "softmax"), Objective(), False),
    (
        "softplus 3-6-5-2",
        Network((3, 6, 5, 2), ("leaky_relu", "silu"), "softplus"),
        Objective(l2=0.7, examples=20),
        True,
    ),
    ("batch norm 3-6-5-2", Network((3, 6, 5, 2), ("relu", "tanh"), "identity", norm="batch"), Objective(), True),
    ("layer norm 3-6-5-2", Network((3, 6, 5, 2), ("tanh", "maxout(2)"), "softmax", norm="layer"), Objective(), False),
    ("dropout 4-6-5-2", Network((4, 6, 5, 2), "relu", "sigmoid"), Objective(dropout=0.5, input_dropout=0.2), True),
    (
        "noisy 3-6-5-4",
        Network((3, 6, 5, 4), "tanh", "softmax", norm="batch"),
        Objective(l1=0.4, dropout=0.3, label_smoothing=0.1, input_noise=0.1, mixup=0.4),
        False,
    ),
    ("Poisson regression 3-2", Network((3, 2), "relu", "exp"), Objective(), True),
    ("tanh 3-5-2 Huber", Network((3, 5, 2), "tanh", "identity"), Objective("huber(0.5)"), False),
)
# of the networks of `verify_all`, each the last few of these: up to a first, a middle and a last layer
WIDTHS = (3, 5, 2, 4)


def verify(
    net: Network | None = None,
    objective: Objective | None = None,
    *,
    params: Any = None,
    X: Any = None,
    Y: Any = None,
    weights: Any = None,
    seed: int = 0,
    bp1: Callable[..., Any] | None = None,
    bp2: Callable[..., Any] | None = None,
    bp3: Callable[..., Any] | None = None,
    bp4: Callable[..., Any] | None = None,
    backward: Callable[..., Any] | None = None,
) -> Certificate:
    """The equations of a network against autodiff and central differences; or yours, in place of ours.

    ‖ours - witness‖ / ‖witness‖ per layer and leaf, in float64: at most 1e-12 from autodiff, 1e-7 from central
    differences. Entries where Z crosses a kink within the step of a difference are undecided, never failed.

    Every equation is fed right inputs, so a wrong one fails alone; rows follow the chain from BP1 at the output down to
    layer 1, and the first that fails names the wrong equation. A function of yours takes and returns NumPy or JAX
    arrays, one example per column; an exception or a wrong shape is a row that fails.

    Args:
      net: the network. None: every built-in activation and cost, and a set of textbook networks.
      objective: what it minimises; the cost that follows from the output if None.
      params: its parameters; random if None.
      X, Y, weights: a batch as for `jaxmlp.cost`; random, without weights, if None.
      seed: of what is random.
      bp1: (Z_L, A_L, Y, m) -> dZ_L, with the 1/m in it. Class ids come as one-hot columns.
      bp2: (W_next, dZ_next, Z, A) -> dZ, for the hidden activation of `net`.
      bp3: (dZ) -> db.
      bp4: (dZ, A_prev) -> dW, without penalty.
      backward: (params, X, Y, net) -> dparams or (J, dparams): a whole backward pass, penalty included.

    Returns:
      A `Certificate`: `.passed`, `.failures`, `.rows`, a table as its text, `.to_dict()`.

    Raises:
      InputError: when params, X, Y or weights do not fit the network, hold what is not finite or make J so, and when
        they are given without one.

    Sources: the tutorials' BP1 to BP4; Nielsen, chapter 2.

    >>> net = Network((2, 3, 1), "tanh", "sigmoid")
    >>> verify(net).passed
    True
    >>> slip = verify(net, bp2=lambda W_next, dZ_next, Z, A: W_next.T @ dZ_next * (1 - Z**2))    # not 1 - A²
    >>> slip.failures[0].check
    'BP2 dZ_1'
    """
    own = Own(bp1, bp2, bp3, bp4, backward)
    _check_functions(own)
    rng = generator(seed)
    if net is None:
        given = {"objective": objective, "params": params, "X": X, "Y": Y, "weights": weights}
        given |= {"bp1": bp1, "bp2": bp2, "backward": backward}
        _refuse(given, "the network that it is for", "pass net=jaxmlp.Network(...)")
        with float64():
            return Certificate("jaxmlp against autodiff and central differences", tuple(_standard_rows(own, rng)))
    if not isinstance(net, Network):
        raise InputTypeError(sentence("net", "a jaxmlp.Network", type(net).__name__, "write jaxmlp.Network(sizes=...)"))
    if bp1 is not None:
        _refuse({"bp1 with weights": weights}, "equal weights", "leave weights out: bp1 is told m alone")
    own_given = [name for name, function in own._asdict().items() if function is not None]
    if own_given and (net.norm or (objective is not None and objective.noisy)):
        expects, got = "a network without normalisation and noise", f"norm={net.norm!r}" if net.norm else "noise"
        raise InputError(sentence(own_given[0], expects, got, "leave them out: your function is not told of them"))
    with float64():
        case = _case("", net, objective, rng, params, X, Y, weights)
        _check_numbers(case)
        rows = [*_part_rows(case.net.activations, [(case.cost, net.activations[-1])], rng)]
        rows += equation_rows(case, own, rng)
        title, square = describe(case), _square(net)
        if square:
            copy = Network(_distinct(net), net.hidden, net.output)
            name = f"copy {'-'.join(map(str, copy.sizes))}"
            rows += equation_rows(_case(name, copy, objective, rng), own, rng)
            title += f"; {square}, where a missing transpose could hide: so a {name} is verified, too"
    return Certificate(title, tuple(rows))


def verify_all(seed: int = 0) -> Certificate:
    """Every activation × cost × output × depth of 1 to 3 layers, with and without penalty and weights.

    For each network one row per equation and witness: the worst of its layers. Rows that are not a PASS stand by
    themselves. The Huber, absolute and quantile costs meet the outputs `identity` and `softmax` alone.

    Args:
      seed: of the random parameters and batches.

    Returns:
      A `Certificate`.
    """
    rng = generator(seed)
    heads = every_head()
    with float64():
        rows = [*_part_rows([activations.find(name) for name in ACTIVATIONS], heads, rng)]
        for case in _every_case(heads, rng):
            rows += _worst_by_equation(equation_rows(case, Own(), rng, compiled=False))
        rows += _algebra_rows(rng)
    return Certificate("every activation × cost × output × depth", tuple(rows))


def every_head() -> list[tuple[costs.Cost, Activation]]:
    """Every cost with its outputs: those it is defined for, all of them or, for kin of the quadratic, two."""
    records = [activations.find(name) for name in ACTIVATIONS]
    heads = []
    for name in COSTS:
        cost: costs.Cost = resolve("cost", name, costs.COSTS)
        outputs = cost.outputs or (() if name == "quadratic" else RESIDUAL_OUTPUTS)
        heads += [(cost, g) for g in records if not outputs or g.name in outputs]
    return heads


def describe(case: Case) -> str:
    """A case in words.

    >>> net = Network((2, 3, 1), "tanh", "sigmoid")
    >>> describe(Case("", net, Objective(), (), np.zeros((2, 7)), np.zeros((1, 7))))
    '2-3-1, hidden tanh, output sigmoid, cost binary_cross_entropy, 7 examples'
    """
    names = [g.name for g in case.net.activations]
    hidden = f"hidden {', '.join(dict.fromkeys(names[:-1]))}, " if names[1:] else ""
    sizes = "-".join(map(str, case.net.sizes))
    return f"{sizes}, {hidden}output {names[-1]}, cost {case.cost.name}, {case.X.shape[1]} examples"


# --- the cases --------------------------------------------------------------------------------------------------------


def _standard_rows(own: Own, rng: np.random.Generator) -> list[Row]:
    rows = [*_part_rows([activations.find(name) for name in ACTIVATIONS], every_head(), rng)]
    for name, net, objective, weighted in STANDARD:
        rows += equation_rows(_case(name, net, objective, rng, weights=weighted), own, rng)
    return [*rows, *_algebra_rows(rng)]


def _algebra_rows(rng: np.random.Generator) -> Iterator[Row]:
    net = Network((3, 5, 4), "tanh", "softmax")
    yield from curvature_rows(_case("algebra, tanh 3-5-4", net, Objective(l2=0.7), rng, weights=True), rng)
    yield from example_rows(_case("algebra, tanh 3-5-4", net, None, rng))
    yield from collapse_rows(_case("algebra, 3-5-2-4", Network((3, 5, 2, 4), "identity", "identity"), None, rng))


def _part_rows(gs: Any, heads: list[tuple[costs.Cost, Activation]], rng: np.random.Generator) -> Iterator[Row]:
    for g in dict.fromkeys(gs):
        yield from activation_rows(g, rng)
    for cost, g in heads:
        yield from cost_rows(cost, g, rng)


def _every_case(heads: list[tuple[costs.Cost, Activation]], rng: np.random.Generator) -> Iterator[Case]:
    turn = itertools.count()
    for name, (cost, output), depth in itertools.product(ACTIVATIONS, heads, range(1, len(WIDTHS))):
        if depth == 1 and name != ACTIVATIONS[0]:
            continue  # without hidden layer there is no hidden activation
        i = next(turn)
        net = Network(WIDTHS[-1 - depth :], name, output)
        sizes = "-".join(map(str, net.sizes))
        hidden = f"hidden {activations.find(name).name}" if depth > 1 else "no hidden layer"
        label = f"{hidden}, {sizes}, output {output.name}, {cost.name}"
        yield _case(label, net, Objective(cost, 0.7 if i % 2 else None), rng, weights=i % 3 == 0)


def _case(
    name: str,
    net: Network,
    objective: Objective | None,
    rng: np.random.Generator,
    params: Any = None,
    X: Any = None,
    Y: Any = None,
    weights: Any = None,
) -> Case:
    """A case of what is given and, for the rest, of what is drawn; `weights=True` draws weights, too."""
    cost = costs.find(objective.cost if isinstance(objective, Objective) else None, net.activations[-1])
    if X is None:
        _refuse({"Y": Y, "weights": None if isinstance(weights, bool) else weights}, "X as well", "pass X=...")
    m = _examples(net) if X is None else np.shape(X)[-1]
    drawn = draw(net, cost, rng, m)
    if isinstance(weights, bool):
        weights = drawn.weights if weights else None
    params = drawn.params if params is None else jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    X, Y = drawn.X if X is None else X, drawn.Y if Y is None else Y
    batch, found = check_batch(params, X, Y, net, objective, weights)
    arrays = jax.tree.map(np.asarray, batch)
    return Case(name, net, found, tuple(params), arrays.X, arrays.Y, arrays.weights)


def _examples(net: Network) -> int:
    """How many examples: a number that no width has."""
    taken = {*net.sizes, *(row.W[0] for row in net.shapes)}
    return next(m for m in itertools.count(7) if m not in taken)


def _square(net: Network) -> str:
    """Which W are square, in words; "" if none is."""
    layers = [str(l) for l, row in enumerate(net.shapes, start=1) if row.W[0] == row.W[1] > 1]
    if not layers:
        return ""
    return f"layer{'s' * (len(layers) > 1)} {', '.join(layers)}: W is square"


def _distinct(net: Network) -> tuple[int, ...]:
    """Widths for the same activations, all different; the number of outputs is kept if it is small."""
    n_L = min(net.sizes[-1], 4)
    widths = (n for n in itertools.count(2) if n != n_L)
    return (*(next(widths) for _ in range(net.depth)), n_L)


def _worst_by_equation(rows: list[Row]) -> list[Row]:
    """One row for all layers' rows that pass of one equation and witness, and the rest as it is."""
    worst: dict[tuple[str, str], Row] = {}
    others = []
    for row in rows:
        if row.verdict != "PASS":
            others.append(row)
            continue
        key = row.check.partition("_")[0], row.witness
        if key not in worst or (row.difference or 0) > (worst[key].difference or 0):
            worst[key] = row
    return [*worst.values(), *others]


# --- what is given ----------------------------------------------------------------------------------------------------


def _check_numbers(case: Case) -> None:
    """Raise where the data, and not an equation, would fail."""
    leaves = {f"layer {l}, {name}": leaf for l, layer in enumerate(case.params, 1) for name, leaf in layer.items()}
    for name, array in {"X": case.X, "Y": case.Y, "weights": case.weights, **leaves}.items():
        if array is not None and not np.isfinite(array).all():
            raise InputError(sentence(name, "finite numbers", "NaN or infinity", "repair it first"))
    if case.weights is not None and not case.weights.sum():
        raise InputError(sentence("weights", "a sum other than 0", "0", "leave weights out for equal ones"))
    J = float(cost_of(case.params, case.X, case.Y, case.net, case.objective, case.weights))
    if not math.isfinite(J):
        remedy = "are labels between 0 and 1, class ids 0 … C - 1, and X scaled?"
        raise InputError(sentence("the batch", "a finite cost", J, remedy))


def _check_functions(own: Own) -> None:
    for name, function in own._asdict().items():
        if function is not None and not callable(function):
            raise InputTypeError(sentence(name, "a function of arrays", type(function).__name__, "see jaxmlp.verify"))


def _refuse(given: dict[str, Any], expects: str, remedy: str) -> None:
    for name, value in given.items():
        if value is not None:
            raise InputError(sentence(name, expects, "none", remedy))
