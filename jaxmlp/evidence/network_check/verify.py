"""The certificate: every equation against three witnesses that are independent of each other.

    the textbook's formula      of the package, as `dense`, `costs` and the activations have it
    autodiff                    of the same path without the package's derivative rules      within 1e-12
    central differences         of the same path, one entry at a time, in NumPy              within 1e-7

Everything is computed in float64, whatever the process uses.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from jax.typing import ArrayLike

from jaxmlp.errors import InputError, InputTypeError, sentence, unknown
from jaxmlp.evidence.certificate import Certificate, Row
from jaxmlp.evidence.network_check.algebra import collapse_row, curvature_rows, example_rows, row_space_rows
from jaxmlp.evidence.network_check.cases import (
    ACTIVATIONS,
    STANDARD,
    Case,
    ParamsLike,
    every_case,
    every_head,
    make_case,
    make_generator,
    refuse,
)
from jaxmlp.evidence.network_check.equations import UserEquations, equation_rows
from jaxmlp.evidence.network_check.members import first_member, member_rows, whole_rows
from jaxmlp.evidence.network_check.parametric import parametric_rows, plain_case
from jaxmlp.evidence.network_check.parts import activation_rows, cost_rows
from jaxmlp.evidence.precision import float64
from jaxmlp.fork import refuse_after_fork
from jaxmlp.inference.description import network_extensions
from jaxmlp.nn import activations, costs
from jaxmlp.nn.activations import Activation
from jaxmlp.nn.backprop import cost as cost_of
from jaxmlp.nn.checks import check_single
from jaxmlp.nn.network import Network
from jaxmlp.nn.objective import Objective


def verify(
    net: Network | None = None,
    objective: Objective | None = None,
    *,
    params: ParamsLike | None = None,
    X: ArrayLike | None = None,
    Y: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    seed: int = 0,
    **equations: Callable[..., object] | None,
) -> Certificate:
    """Check the equations of a network against autodiff and central differences; or yours, in place of the package's.

    A row compares ‖equation - witness‖ / ‖witness‖ of a layer and leaf in float64: at most 1e-12 from autodiff, 1e-7
    from central differences. Entries where Z crosses a kink within the step of a difference are UNDECIDED, not FAIL.

    Every equation gets correct inputs, so a wrong one fails by itself. Rows follow the chain from BP1 at the output to
    layer 1, and the first that fails names the wrong equation. A function of yours takes and returns NumPy or JAX
    arrays, one example per column; an exception or a wrong shape is a row that fails.

    Args:
      net: the network. None: every built-in activation and cost, and a set of textbook networks.
      objective: the cost and penalties to minimise; the cost that follows from the output if None.
      params: its parameters; random if None.
      X, Y, weights: a batch as for `jaxmlp.cost`; random, without weights, if None.
      seed: of the random parameters and batches.
      equations: your own functions, by these names:
        bp1: (Z_L, A_L, Y, m) -> dZ_L, with the 1/m in it. Class ids come as one-hot columns.
        bp2: (W_next, dZ_next, Z, A) -> dZ, for the hidden activation of `net`.
        bp3: (dZ) -> db.
        bp4: (dZ, A_prev) -> dW, without penalty.
        backward: (params, X, Y, net) -> dparams or (J, dparams): a whole backward pass, penalty included.

    Returns:
      A `Certificate`: `.passed`, `.failures`, `.rows`, a table as its text, `.to_dict()`.

    Raises:
      InputError: when params, X, Y or weights do not fit the network, hold what is not finite or make J so, or are
        passed without a network; and for an unknown equation.

    Sources: the tutorials' BP1 to BP4; Nielsen, chapter 2.

    >>> net = Network((2, 3, 1), "tanh", "sigmoid")
    >>> verify(net).passed
    True
    >>> report = verify(net, bp2=lambda W_next, dZ_next, Z, A: W_next.T @ dZ_next * (1 - Z**2))    # not 1 - A²
    >>> report.failures[0].check
    'BP2 dZ_1'
    """
    refuse_after_fork("verify")
    user, rng = _user_equations(equations), make_generator(seed)
    if net is None:
        arguments = {"objective": objective, "params": params, "X": X, "Y": Y, "weights": weights, **equations}
        for name in ("bp3", "bp4"):  # they are the same for every network
            arguments.pop(name, None)
        refuse(arguments, "the network that it is for", "pass net=jaxmlp.Network(...)")
        with float64():
            return Certificate("jaxmlp against autodiff and central differences", tuple(_standard_rows(user, rng)))
    if not isinstance(net, Network):
        raise InputTypeError(sentence("net", "a jaxmlp.Network", type(net).__name__, "write jaxmlp.Network(sizes=...)"))
    if user.bp1 is not None:
        refuse({"bp1 with weights": weights}, "equal weights", "leave weights out: bp1 gets only m")
    if user.names and (net.norm or (objective is not None and objective.noisy)):
        expects, got = "a network without normalisation and noise", f"norm={net.norm!r}" if net.norm else "noise"
        raise InputError(sentence(user.names[0], expects, got, "leave them out: your function does not get them"))
    if user.names:
        check_single(net, user.names[0])
    with float64():
        case = make_case("", net, objective, rng, params, X, Y, weights)
        _check_numbers(case)
        whole, case = case, plain_case(case if net.members is None else first_member(case))
        rows = [*_part_rows(case.net.activations, [(case.cost, net.activations[-1])], rng)]
        rows += equation_rows(case, user, rng)
        title, square = case.describe(), _square_layers(case.net)
        # a forgotten transpose raises no error where W is square; in a copy with widths that all differ it does
        if square:
            copy = Network(_distinct_sizes(net), net.hidden, net.output)
            name = f"copy {'-'.join(map(str, copy.sizes))}"
            rows += equation_rows(make_case(name, copy, objective, rng), user, rng)
            title += f"; {square}, where a missing transpose could hide: so a {name} is verified, too"
        if extensions := network_extensions(net):
            rows += _extension_rows(whole, rng)
            title += f"; checked first as a plain network, then with {' and '.join(extensions)}"
    return Certificate(title, tuple(rows))


def verify_all(seed: int = 0) -> Certificate:
    """Check every activation × cost × output × depth of 1 to 3 layers, with and without penalty and weights.

    The certificate has one row per network, equation and witness: the worst of the network's layers. Every row that is
    not a PASS is listed. The Huber, absolute and quantile costs are checked with two outputs, `identity` and `softmax`.

    Args:
      seed: of the random parameters and batches.

    Returns:
      A `Certificate`.
    """
    refuse_after_fork("verify_all")
    rng, heads = make_generator(seed), every_head()
    with float64():
        rows = [*_part_rows(map(activations.find, ACTIVATIONS), heads, rng)]
        for case in every_case(heads, rng):
            rows += _worst_by_equation(equation_rows(case, UserEquations(), rng, compiled=False))
        rows += [*_algebra_rows(rng), *row_space_rows(rng, ("sgd", "momentum", "nesterov"))]
    return Certificate("every activation × cost × output × depth", tuple(rows))


# --- rows -------------------------------------------------------------------------------------------------------------


def _standard_rows(user: UserEquations, rng: np.random.Generator) -> list[Row]:
    rows = [*_part_rows(map(activations.find, ACTIVATIONS), every_head(), rng)]
    for name, net, objective, weighted in STANDARD:
        rows += equation_rows(make_case(name, net, objective, rng, weights=weighted), user, rng)
    return [*rows, *_algebra_rows(rng), *row_space_rows(rng, ("momentum",)), *_standard_extension_rows(rng)]


def _algebra_rows(rng: np.random.Generator) -> Iterator[Row]:
    net, linear = Network((3, 5, 4), "tanh", "softmax"), Network((3, 5, 2, 4), "identity", "identity")
    yield from curvature_rows(make_case("algebra, tanh 3-5-4", net, Objective(l2=0.7), rng, weights=True), rng)
    yield from example_rows(make_case("algebra, tanh 3-5-4", net, None, rng))
    yield collapse_row(make_case("algebra, 3-5-2-4", linear, None, rng))


def _standard_extension_rows(rng: np.random.Generator) -> Iterator[Row]:
    """Yield the rows of members, for each output whose mean has logits of its own, and of parametric activations."""
    for output, n in (("softmax", 4), ("sigmoid", 2), ("identity", 2), ("exp", 2)):
        net = Network((3, 5, n), "tanh", output, members=3)
        name = f"members, tanh 3-5-{n} {output}"
        yield from _extension_rows(make_case(name, net, Objective(l2=0.7), rng, weights=output == "sigmoid"), rng)
    net = Network((6, 5, 2), "tanh", "identity", members=3, column_widths=(2, 2, 1, 1))
    yield from _extension_rows(make_case("members with columns, tanh 6-5-2", net, Objective(l2=0.7), rng), rng)
    hidden = ("relu", "elu(0.5)", "gelu")
    for name, members in (("parametric", None), ("parametric, 3 members", 3)):
        net = Network((3, 5, 2, 6, 4), hidden, "softmax", members=members, parametric=True)
        yield from _extension_rows(make_case(name, net, Objective(l2=0.7), rng), rng)


def _extension_rows(case: Case, rng: np.random.Generator) -> Iterator[Row]:
    """Yield the rows of members, parametric activations and the whole gradient."""
    if case.net.parametric:
        yield from parametric_rows(case, rng)
    if case.net.members is not None:
        yield from member_rows(case, rng)
    yield from whole_rows(case)


def _part_rows(
    gs: Iterable[Activation], heads: list[tuple[costs.Cost, Activation]], rng: np.random.Generator
) -> Iterator[Row]:
    for g in dict.fromkeys(gs):
        yield from activation_rows(g, rng)
    for cost, g in heads:
        yield from cost_rows(cost, g, rng)


def _worst_by_equation(rows: list[Row]) -> list[Row]:
    """Return one row, the worst, for all that pass of one equation and witness, then every row that does not pass."""
    worst: dict[tuple[str, str], Row] = {}
    # a row that does not pass is never summarised away
    for row in rows:
        key = row.equation, row.witness
        if row.verdict == "PASS" and (key not in worst or (row.difference or 0) > (worst[key].difference or 0)):
            worst[key] = row
    return [*worst.values(), *(row for row in rows if row.verdict != "PASS")]


def _square_layers(net: Network) -> str:
    """Return which W are square, in words; "" if none is."""
    # a 1 × 1 matrix is its own transpose
    layers = [str(l) for l, row in enumerate(net.shapes, start=1) if row.W[0] == row.W[1] > 1]
    if not layers:
        return ""
    return f"layer{'s' * (len(layers) > 1)} {', '.join(layers)}: W is square"


def _distinct_sizes(net: Network) -> tuple[int, ...]:
    """Return widths for the same activations, all different; up to 4 outputs keep their number."""
    n_L = min(net.sizes[-1], 4)
    widths = (n for n in itertools.count(2) if n != n_L)
    # 8-8-8-10 gives 2-3-5-4: n_L is 4, which no other width may be
    return (*(next(widths) for _ in range(net.depth)), n_L)


# --- checks of the arguments ------------------------------------------------------------------------------------------


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


def _user_equations(equations: dict[str, Callable[..., object] | None]) -> UserEquations:
    """Return the user's equations as a record; raise for an unknown name and for what is not a function."""
    for name, function in equations.items():
        if name not in UserEquations._fields:
            raise unknown("equation of verify", name, UserEquations._fields)
        if function is not None and not callable(function):
            raise InputTypeError(sentence(name, "a function of arrays", type(function).__name__, "see jaxmlp.verify"))
    return UserEquations(**equations)
