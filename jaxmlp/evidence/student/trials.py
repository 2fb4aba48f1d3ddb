"""Trials: the batches on which a backward pass is asked, the right gradient, and the answer in whatever form it comes.

    the given batch, a random one, and one with units exactly at a kink (Z = 0, or all pieces of maxout tied)
    right = jax.grad of J without a single rule of ours, in float64
    given = backward(params, X, Y), with float64 copies to do with as it likes; (params, X, Y, weights) with weights

`params` goes out as our tuple of {"W", "b"} or as the course's flat dictionary W1, b1, W2, …; the answer may be a tuple
of {"W", "b"} or {"dW", "db"}, or a flat dictionary with dW1, db1, … among its keys; or (J, gradient).
"""

import traceback
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

import jax
import numpy as np
from numpy import ndarray as Array

from jaxmlp.errors import InputError, sentence
from jaxmlp.evidence.formulas import Layers, spread
from jaxmlp.evidence.student.causes import Leaf, Trial, chain
from jaxmlp.evidence.student.loop import Problem, forward
from jaxmlp.nn import costs
from jaxmlp.nn.backprop import AUTODIFF, evaluate
from jaxmlp.nn.network import Network
from jaxmlp.nn.objective import Batch, Objective, check_batch

Backward = Callable[..., Any]


# --- the batches ------------------------------------------------------------------------------------------------------


def problems_for(
    net: Network, objective: Objective, params: Any = None, X: Any = None, Y: Any = None, weights: Any = None
) -> dict[str, Problem]:
    """The given batch, a random one, and one at the kinks, by name; all with weights if the given one has them.

    >>> list(problems_for(Network((2, 3, 1), "relu", "sigmoid"), Objective()))
    ['a random batch', 'a batch with units at a kink']
    """
    if (X is None) != (Y is None):
        raise InputError(sentence("the batch", "X and Y", "one of them", "give both, or neither to have them drawn"))
    if weights is not None and X is None:
        raise InputError(sentence("weights", "a batch of their own", "none", "give X and Y as well"))
    cost = costs.find(objective.cost, net.activations[-1]).name
    l2 = 0.0 if objective.l2 is None else float(np.asarray(objective.l2))
    examples = None if objective.examples is None else float(np.asarray(objective.examples))
    ids = np.ndim(Y) == 2 and len(Y) == 1 and net.sizes[-1] > 1

    def at_random(seed: int) -> Problem:
        problem = draw(net, cost, seed, ids=ids)._replace(l2=l2, examples=examples)
        if weights is None:
            return problem
        return problem._replace(weights=np.random.default_rng(seed).uniform(0.5, 2.0, size=(1, problem.m)))

    drawn = at_random(0)
    problems = {"a random batch": drawn}
    if X is not None:
        own = drawn.params if params is None else _float64(_from_flat(params, net))
        given = drawn._replace(params=own, X=_plain(X), Y=_plain(Y), weights=_plain(weights))
        problems = {"the given batch": given, **problems}
    elif params is not None:
        problems["a random batch"] = drawn._replace(params=_float64(_from_flat(params, net)))
    if any(g.kinks or g.pieces > 1 for g in net.activations):
        problems["a batch with units at a kink"] = at_kinks(at_random(1))
    return problems


def draw(net: Network, cost: str, seed: int, *, m: int | None = None, ids: bool = False) -> Problem:
    """Parameters and a batch, all random; m differs from every width unless it is given.

    >>> draw(Network((7, 8, 1), "tanh", "sigmoid"), "quadratic", seed=0).X.shape
    (7, 9)
    """
    rng = np.random.default_rng(seed)
    if m is None:
        taken = {size for row in net.shapes for size in row.W}
        m = next(n for n in count(7) if n not in taken)
    params = tuple(
        {"W": rng.normal(size=row.W) * spread(g, row.n_in), "b": 0.3 * rng.normal(size=row.b)}
        for g, row in zip(net.activations, net.shapes, strict=True)
    )
    n = net.sizes[-1]
    if cost == "categorical_cross_entropy":
        Y = rng.integers(0, n, size=(1, m))
        Y = Y if ids else np.eye(n)[:, Y[0]]
    elif cost == "binary_cross_entropy":
        Y = rng.integers(0, 2, size=(n, m)).astype(float)
    elif cost == "poisson":
        Y = rng.poisson(2, size=(n, m)).astype(float)
    else:
        Y = rng.normal(size=(n, m))
    return Problem(net, cost, params, rng.normal(size=(net.sizes[0], m)), Y)


def at_kinks(problem: Problem) -> Problem:
    """The same with the first unit of every layer that has a kink exactly there: Z = 0, or all of its pieces tied."""
    params = []
    for g, row, layer in zip(problem.net.activations, problem.net.shapes, problem.params, strict=True):
        W, b = layer["W"].copy(), layer["b"].copy()
        if g.pieces > 1:
            W[:: row.n_out], b[:: row.n_out] = W[0], b[0]
        elif g.kinks:
            W[0], b[0] = 0.0, 0.0
        params.append({"W": W, "b": b})
    return problem._replace(params=tuple(params))


def _float64(params: Any) -> Any:
    return jax.tree.map(_plain, params)


def _plain(array: Any) -> Any:
    """A NumPy array, float64 unless it holds whole numbers; what is no array is left for the checks to name."""
    if not hasattr(array, "dtype"):
        return array
    array = np.asarray(array)
    return array if np.issubdtype(array.dtype, np.integer) else array.astype(np.float64)


@jax.jit
def _gradient(params: Any, batch: Batch, net: Network, objective: Objective) -> Any:
    return jax.value_and_grad(lambda params: evaluate(params, batch, net, objective, AUTODIFF)[0])(params)


def checked(problem: Problem) -> tuple[Batch, Objective]:
    """What `evaluate` takes, in the precision of the parameters."""
    objective = Objective(problem.cost, problem.l2 or None, problem.examples)
    return check_batch(problem.params, problem.X, problem.Y, problem.net, objective, problem.weights)


def right_answer(problem: Problem) -> tuple[float, Layers]:
    """J and its gradient by autodiff of the undecorated network, in float64 whatever the process computes in."""
    with jax.enable_x64(True):
        batch, objective = checked(problem)
        J, gradient = jax.tree.map(np.asarray, _gradient(problem.params, batch, problem.net, objective))
    return float(J), gradient


def right_gradient(problem: Problem) -> Layers:
    """The gradient of `right_answer` alone."""
    return right_answer(problem)[1]


# --- asking the student -----------------------------------------------------------------------------------------------


class NoGradient(Exception):
    """The answer is no gradient, but something else in form: a finding to report, not an error to raise to the user."""


class Raised(NoGradient):
    """The function raised."""


def trial(name: str, problem: Problem, backward: Backward, styles: Sequence[str]) -> Trial:
    """The right gradient and the student's on one batch.

    Raises:
      InputError: when params, X and Y do not fit the network, or the right gradient is not finite.
      NoGradient: when the function raises, or returns something else.
    """
    J, right = right_answer(problem)  # first: it checks params, X and Y
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(right)):
        remedy = "are X and params finite, and class ids 0 … C - 1?"
        raise InputError(sentence(name, "a finite gradient", "NaN or infinity", remedy))
    said, given = _ask(backward, problem, styles)
    return Trial(name, forward(problem), right, given, None if said is None else (J, said))


def _ask(backward: Backward, problem: Problem, styles: Sequence[str]) -> tuple[float | None, Layers]:
    """The student's J, if it is told, and gradient.

    A function that wants the other style of `params` raises at its first look at them.
    """
    raised = []
    for style in styles:
        more = () if problem.weights is None else (problem.weights.copy(),)
        params = [{name: leaf.copy() for name, leaf in layer.items()} for layer in problem.params]
        given = tuple(params) if style == "pytree" else _to_flat(params)
        try:
            with np.errstate(all="ignore"):
                answer = backward(given, problem.X.copy(), problem.Y.copy(), *more)
        except Exception as error:
            raised.append(error)
            continue
        J, gradient = _split(answer)
        return J, _read(gradient, problem.net.depth)
    error = raised[-1 if _wants_a_dictionary(raised[0]) else 0]
    raise Raised(_said(error)) from error


def _wants_a_dictionary(error: Exception) -> bool:
    """Whether our tuple was indexed by a name, or asked for its keys: then the flat style is meant."""
    if isinstance(error, AttributeError):
        return isinstance(error.obj, tuple) and hasattr(dict, str(error.name))
    return isinstance(error, TypeError) and str(error).startswith("tuple indices must be integers")


def _said(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    line = f" at `{frames[-1].line}`" if len(frames) > 1 and frames[-1].line else ""
    text = " ".join(str(error).split())
    return f"backward raised {type(error).__name__}{line}: {text}"


def _to_flat(params: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    return {f"{name}{l}": leaf for l, layer in enumerate(params, start=1) for name, leaf in layer.items()}


def _from_flat(params: Any, net: Network) -> Any:
    """W1, b1, … as our tuple; anything else as it is."""
    if not isinstance(params, Mapping):
        return params
    wanted = [f"{name}{l}" for l in range(1, net.depth + 1) for name in ("W", "b")]
    if sorted(params) != sorted(wanted):
        raise InputError(
            sentence("params", f"the keys {', '.join(wanted)}", sorted(map(str, params)), "see jaxmlp.init")
        )
    return tuple({name: params[f"{name}{l}"] for name in ("W", "b")} for l in range(1, net.depth + 1))


def _split(answer: Any) -> tuple[float | None, Any]:
    """J and the gradient of an answer (J, gradient); None and the answer of any other."""
    pair = isinstance(answer, (tuple, list)) and len(answer) == 2
    if not pair or isinstance(answer[0], (Mapping, tuple, list, str)) or np.size(answer[0]) != 1:
        return None, answer
    try:
        return float(np.asarray(answer[0]).reshape(())), answer[1]
    except (TypeError, ValueError):  # no number
        return None, answer


def _read(answer: Any, depth: int) -> Layers:
    """The leaves of an answer in either style."""
    if isinstance(answer, Mapping):
        found = {leaf: answer.get(leaf_name(leaf), _MISSING) for leaf in chain(depth)}
        keys = ", ".join(map(str, answer))
    elif (
        isinstance(answer, (tuple, list)) and len(answer) == depth and all(isinstance(part, Mapping) for part in answer)
    ):
        found = {(l, name): _either(answer[l - 1], name) for l, name in chain(depth)}
        keys = "; ".join(", ".join(map(str, layer)) for layer in answer)
    else:
        got = (
            f"{type(answer).__name__} of length {len(answer)}" if hasattr(answer, "__len__") else type(answer).__name__
        )
        expects = f"a dictionary dW1 … db{depth}, or {depth} dictionaries with W and b"
        raise NoGradient(sentence("the answer of backward", expects, got, "return the gradient alone"))
    for leaf in chain(depth)[::-1]:
        if found[leaf] is _MISSING:
            remedy = "return every leaf under its name"
            raise NoGradient(sentence("the answer of backward", leaf_name(leaf), f"the keys {keys}", remedy))
        found[leaf] = _number_array(leaf_name(leaf), found[leaf])
    return tuple({name: found[l, name] for name in ("W", "b")} for l in range(1, depth + 1))


_MISSING = object()


def _either(layer: Mapping[str, Any], name: str) -> Any:
    return layer.get(name, layer.get(f"d{name}", _MISSING))


def leaf_name(leaf: Leaf) -> str:
    """As the course writes it: (2, "W") is dW2."""
    return f"d{leaf[1]}{leaf[0]}"


def _number_array(name: str, value: Any) -> Array:
    if not hasattr(value, "dtype") or not np.issubdtype(value.dtype, np.number) or np.iscomplexobj(value):
        got = getattr(value, "dtype", type(value).__name__)
        raise NoGradient(sentence(name, "an array of real numbers", got, "convert it with numpy.array"))
    return np.asarray(value)
