"""Run the user's backward pass on several batches, and compute the correct gradient of each.

    batches     the given one, a random one, and one with units exactly at a kink (Z = 0, or equal pieces of maxout)
    correct     jax.grad of J without any derivative rule of jaxmlp, in float64
    submitted   backward(params, X, Y), or backward(params, X, Y, weights) if there are weights

`params` is passed as jaxmlp's tuple of {"W", "b"} or as the course's flat dictionary W1, b1, W2, …. The function may
return a tuple of {"W", "b"} or {"dW", "db"}, a flat dictionary that contains dW1, db1, …, or a pair (J, gradient).
"""

import traceback
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any, cast

import jax
import numpy as np
from jax.typing import ArrayLike
from numpy import ndarray as Array

from jaxmlp.errors import InputError, sentence
from jaxmlp.evidence.formulas import Layers, losses, weight_scale
from jaxmlp.evidence.numpy_check.match_mistake import Trial, leaf_name, leaf_order
from jaxmlp.evidence.numpy_check.numpy_backprop import CORRECT, LayerStep, Problem, forward_steps, run_backward
from jaxmlp.nn import costs
from jaxmlp.nn.backprop import evaluate
from jaxmlp.nn.network import Network, Params
from jaxmlp.nn.objective import Batch, Objective, check_batch
from jaxmlp.nn.rule import AUTODIFF

Backward = Callable[..., Any]
_MISSING = object()  # a key that is absent; None would not do, because the function may return it as a value
UserParams = Params | Mapping[str, ArrayLike]


# --- the batches ------------------------------------------------------------------------------------------------------


def problems_for(
    net: Network,
    objective: Objective,
    params: UserParams | None = None,
    X: ArrayLike | None = None,
    Y: ArrayLike | None = None,
    weights: ArrayLike | None = None,
) -> dict[str, Problem]:
    """Return the given batch, a random one and one at the kinks, by name. All have weights if the given one has.

    >>> list(problems_for(Network((2, 3, 1), "relu", "sigmoid"), Objective()))
    ['a random batch', 'a batch with units at a kink']
    """
    if (X is None) != (Y is None):
        raise InputError(sentence("the batch", "X and Y", "one of them", "give both, or neither for a random batch"))
    if weights is not None and X is None:
        raise InputError(sentence("weights", "X and Y", "neither", "give the batch that the weights belong to"))
    cost = costs.find(objective.cost, net.activations[-1]).name
    l2 = 0.0 if objective.l2 is None else float(np.asarray(objective.l2))
    examples = None if objective.examples is None else float(np.asarray(objective.examples))
    # one row of targets for several outputs contains class ids: the random batch then has class ids as well
    ids = np.ndim(Y) == 2 and len(Y) == 1 and net.sizes[-1] > 1  # pyright: ignore[reportArgumentType]

    def random_problem(seed: int) -> Problem:
        problem = draw_problem(net, cost, seed, ids=ids)._replace(l2=l2, examples=examples)
        if weights is None:
            return problem
        return problem._replace(weights=np.random.default_rng(seed).uniform(0.5, 2.0, size=(1, problem.m)))

    # the given batch comes first, because its numbers are those of the user. The random one has no symmetry that could
    # hide a mistake. Only the batch at the kinks shows which slope the function uses at a kink.
    random = random_problem(0)
    user_params = random.params if params is None else jax.tree.map(_to_numpy, _from_flat(params, net))
    if X is None:
        problems = {"a random batch": random._replace(params=user_params)}
    else:
        batch = random._replace(params=user_params, X=_to_numpy(X), Y=_to_numpy(Y), weights=_to_numpy(weights))
        problems = {"the given batch": batch, "a random batch": random}
    if any(g.kinks or g.pieces > 1 for g in net.activations):
        problems["a batch with units at a kink"] = move_to_kinks(random_problem(1))
    return problems


def draw_problem(net: Network, cost: str, seed: int, *, m: int | None = None, ids: bool = False) -> Problem:
    """Draw parameters and a batch. Without `m`, the number of examples differs from the width of every layer.

    >>> draw_problem(Network((7, 8, 1), "tanh", "sigmoid"), "quadratic", seed=0).X.shape
    (7, 9)
    """
    rng = np.random.default_rng(seed)
    if m is None:  # with equal sizes, a missing transpose would not change any shape
        widths = {size for row in net.shapes for size in row.W}
        m = next(n for n in count(7) if n not in widths)
    params = tuple(
        # b is not 0, so that a penalty on the biases, or a missing b, changes the gradient
        {"W": rng.normal(size=row.W) * weight_scale(g, row.n_in), "b": 0.3 * rng.normal(size=row.b)}
        for g, row in zip(net.activations, net.shapes, strict=True)
    )
    # draw targets that the cost is defined for: classes, 0 or 1, counts, or any real number
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


def move_to_kinks(problem: Problem) -> Problem:
    """Return the problem with the first unit of every layer at its kink: Z = 0, or equal pieces of maxout."""
    params = []
    for g, row, layer in zip(problem.net.activations, problem.net.shapes, problem.params, strict=True):
        W, b = layer["W"].copy(), layer["b"].copy()
        if g.pieces > 1:
            # Z has the first pieces of all n units, then the second pieces of all: every n-th row belongs to unit 0
            W[:: row.n_out], b[:: row.n_out] = W[0], b[0]
        elif g.kinks:
            W[0], b[0] = 0.0, 0.0
        params.append({"W": W, "b": b})
    return problem._replace(params=tuple(params))


def _to_numpy(array: object) -> Any:
    """Return an array as NumPy array, in float64 if it contains no integers. Return other values unchanged."""
    if not hasattr(array, "dtype"):
        return array  # `check_batch` reports it with the sentence of the public functions
    array = np.asarray(array)
    return array if np.issubdtype(array.dtype, np.integer) else array.astype(np.float64)


@jax.jit
def _value_and_gradient(params: Params, batch: Batch, net: Network, objective: Objective) -> tuple[jax.Array, Params]:
    return jax.value_and_grad(lambda params: evaluate(params, batch, net, objective, AUTODIFF)[0])(params)


def check_problem(problem: Problem) -> tuple[Batch, Objective]:
    """Return batch and objective for `evaluate`, in the dtype of the parameters."""
    objective = Objective(problem.cost, problem.l2 or None, problem.examples)
    params = cast(Params, problem.params)  # NumPy arrays, which the checks accept like those of JAX
    return check_batch(params, problem.X, problem.Y, problem.net, objective, problem.weights)


def autodiff_value_and_gradient(problem: Problem) -> tuple[float, Layers]:
    """Return J and its gradient by autodiff without custom derivative rules, in float64."""
    # the process may run without x64, but float32 has larger rounding errors than the bound of the comparison, 1e-9
    with jax.enable_x64(True):
        batch, objective = check_problem(problem)
        J, gradient = jax.tree.map(np.asarray, _value_and_gradient(problem.params, batch, problem.net, objective))
    return float(J), gradient


def autodiff_gradient(problem: Problem) -> Layers:
    """Return the gradient of J by autodiff without custom derivative rules, in float64."""
    return autodiff_value_and_gradient(problem)[1]


# --- run the user's function ------------------------------------------------------------------------------------------


class NoGradientError(Exception):
    """The function returned no gradient. `verify_numpy` catches this exception and puts its text into the report."""


class BackwardRaisedError(NoGradientError):
    """The function raised an exception."""


def run_trial(name: str, problem: Problem, backward: Backward, styles: Sequence[str]) -> Trial:
    """Return the correct and the submitted gradient on one batch.

    Raises:
      InputError: when params, X and Y do not fit the network, or the correct gradient is not finite.
      NoGradientError: when the function raises, or returns no gradient.
    """
    J, correct = autodiff_value_and_gradient(problem)  # before the function runs, because it checks params, X and Y
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(correct)):
        remedy = "check that X and params are finite and that class ids are 0 … C - 1"
        raise InputError(sentence(name, "a finite gradient", "NaN or infinity", remedy))
    submitted_J, submitted = _call_backward(backward, problem, styles)
    return Trial(name, forward_steps(problem), correct, submitted, None if submitted_J is None else (J, submitted_J))


def probe_trials(problem: Problem, backward: Backward, styles: Sequence[str]) -> list[Trial]:
    """Return trials with other parameters and fewer examples; a batch on which the function raises gives no trial.

    They serve to find the cause. A second m distinguishes a factor m from a constant factor. Few examples distinguish
    dZ from dW. A mistake may change nothing for one W by chance, but not for a second W.
    """
    widths = {size for row in problem.net.shapes for size in row.W}
    # the smallest ones: with at most n_prev + 1 examples only one dZ_l can give both dW_l and db_l
    sizes = [m for m in range(2, 12) if m not in widths and m != problem.m]
    trials = []
    for m in sizes[:2]:
        draw = draw_problem(problem.net, problem.cost, m, m=m, ids=problem.has_class_ids)
        weights = None if problem.weights is None else np.linspace(0.5, 2.0, m)[None]
        probe = problem._replace(params=draw.params, X=draw.X, Y=draw.Y, weights=weights)
        try:
            submitted_J, submitted = _call_backward(backward, probe, styles)
        except NoGradientError:
            continue
        steps = forward_steps(probe)
        J = _numpy_J(steps[-1]) if submitted_J is not None else None
        pair = None if J is None or submitted_J is None else (J, submitted_J)
        # autodiff would compile a program for each m; the NumPy loop gives the same gradient without compilation
        trials.append(Trial(f"a batch of {m}", steps, run_backward(lambda step: CORRECT, steps), submitted, pair))
    return trials


def _numpy_J(output: LayerStep) -> float | None:
    """Return J of a batch by NumPy; None for a cost that the user has defined."""
    problem = output.problem
    g = problem.net.activations[-1]
    c = losses(costs.find(problem.cost, g), g, output.Z, problem.Y)
    if c is None:
        return None
    squares = sum(float((layer["W"] ** 2).sum()) for layer in problem.params)
    return float((c * problem.mean_weights).sum()) + problem.decay / 2 * squares


def gradients_vary(problem: Problem, backward: Backward, styles: Sequence[str]) -> bool:
    """Whether two calls with the same arguments return different gradients."""
    try:
        first, second = (_call_backward(backward, problem, styles)[1] for _ in range(2))
    except NoGradientError:
        return False
    return any(not np.array_equal(a[k], b[k], equal_nan=True) for a, b in zip(first, second, strict=True) for k in a)


def _call_backward(backward: Backward, problem: Problem, styles: Sequence[str]) -> tuple[float | None, Layers]:
    """Call the function, and return its J (None if it returns none) and its gradient."""
    errors = []
    # the function does not declare which style of `params` it expects; with the other one it raises at the first access
    for style in styles:
        # copies, because the function may write into its arguments
        weights = () if problem.weights is None else (problem.weights.copy(),)
        layers = [{name: leaf.copy() for name, leaf in layer.items()} for layer in problem.params]
        params = tuple(layers) if style == "pytree" else _to_flat(layers)
        try:
            with np.errstate(all="ignore"):  # if the process turns warnings into errors, log 0 would raise
                result = backward(params, problem.X.copy(), problem.Y.copy(), *weights)
        except Exception as error:
            errors.append(error)
            continue
        J, gradient = _split_cost(result)
        return J, _read_gradient(gradient, problem.net.depth)
    # report the error that the function raises for the style that it expects
    error = errors[-1 if _expects_dictionary(errors[0]) else 0]
    raise BackwardRaisedError(_error_text(error)) from error


def _expects_dictionary(error: Exception) -> bool:
    """Whether the function used the tuple as a dictionary, by a key or a method: then it expects the flat style."""
    if isinstance(error, AttributeError):
        return isinstance(error.obj, tuple) and hasattr(dict, str(error.name))
    return isinstance(error, TypeError) and str(error).startswith("tuple indices must be integers")


def _error_text(error: Exception) -> str:
    # the last frame is the line that raised, in the user's code or in a library. If there is only one frame, it is the
    # call in this module, which would not help the user.
    frames = traceback.extract_tb(error.__traceback__)
    line = f" at `{frames[-1].line}`" if len(frames) > 1 and frames[-1].line else ""
    text = " ".join(str(error).split())
    return f"backward raised {type(error).__name__}{line}: {text}"


def _to_flat(layers: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    return {f"{name}{l}": leaf for l, layer in enumerate(layers, start=1) for name, leaf in layer.items()}


def _from_flat(params: UserParams, net: Network) -> UserParams | tuple[dict[str, ArrayLike], ...]:
    """Return a flat dictionary W1, b1, … as a tuple of layers; return other params unchanged."""
    if not isinstance(params, Mapping):
        return params
    keys = [f"{name}{l}" for l in range(1, net.depth + 1) for name in ("W", "b")]
    if sorted(params) != sorted(keys):
        got = sorted(map(str, params))
        raise InputError(sentence("params", f"the keys {', '.join(keys)}", got, "rename the keys"))
    return tuple({name: params[f"{name}{l}"] for name in ("W", "b")} for l in range(1, net.depth + 1))


def _split_cost(result: Any) -> tuple[float | None, Any]:
    """Return J and the gradient if the result is a pair (J, gradient), else None and the whole result."""
    is_pair = isinstance(result, (tuple, list)) and len(result) == 2
    # two layers are a pair, too: ({"W", "b"}, {"W", "b"}) has no J
    if not is_pair or isinstance(result[0], (Mapping, tuple, list, str)) or np.size(result[0]) != 1:
        return None, result
    try:
        return float(np.asarray(result[0]).reshape(())), result[1]
    except (TypeError, ValueError):  # not a number
        return None, result


def _read_gradient(result: Any, depth: int) -> Layers:
    """Return dW and db of every layer from a result in either style."""
    where, order = "the result of backward", leaf_order(depth)
    if isinstance(result, Mapping):
        leaves = {leaf: result.get(leaf_name(leaf), _MISSING) for leaf in order}
        keys = ", ".join(map(str, result))
    elif isinstance(result, (tuple, list)) and len(result) == depth and all(isinstance(r, Mapping) for r in result):
        leaves = {(l, name): result[l - 1].get(name, result[l - 1].get(f"d{name}", _MISSING)) for l, name in order}
        keys = "; ".join(", ".join(map(str, layer)) for layer in result)
    else:
        got = type(result).__name__ + (f" of length {len(result)}" if hasattr(result, "__len__") else "")
        expects = f"a dictionary dW1 … db{depth}, or {depth} dictionaries with W and b"
        remedy = "return only the gradient, or (J, gradient)"
        if isinstance(result, tuple | list) and all(hasattr(array, "shape") for array in result):  # dW1, db1, …
            remedy = 'name the arrays: return {"dW1": dW1, "db1": db1, …}'
        raise NoGradientError(sentence(where, expects, got, remedy))
    for leaf in order[::-1]:  # from layer 1 on, so that the error names the first key that is missing
        if leaves[leaf] is _MISSING:
            remedy = "return every array under its name: dW1, db1, …"
            raise NoGradientError(sentence(where, leaf_name(leaf), f"the keys {keys}", remedy))
        leaves[leaf] = _real_array(leaf_name(leaf), leaves[leaf])
    return tuple({name: leaves[l, name] for name in ("W", "b")} for l in range(1, depth + 1))


def _real_array(name: str, value: Any) -> Array:
    if not hasattr(value, "dtype") or not np.issubdtype(value.dtype, np.number) or np.iscomplexobj(value):
        got = getattr(value, "dtype", type(value).__name__)
        raise NoGradientError(sentence(name, "an array of real numbers", got, "convert it with numpy.array"))
    return np.asarray(value)
