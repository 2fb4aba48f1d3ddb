"""A product that NumPy refuses because the shapes do not fit, and the mistake behind it.

    the same function on a network whose widths are all equal     NumPy computes the product: the numbers tell
    the operands of the line that raised                          W_l @ dZ_l: W is not transposed

The second is for a function with fixed sizes, which cannot run on another network.
"""

import ast
import linecache
from collections.abc import Iterator, Sequence
from traceback import FrameSummary, extract_tb, walk_tb
from types import FrameType
from typing import Any

import numpy as np
from numpy import ndarray as Array

from jaxmlp.evidence.numpy_check.common_mistakes import UNKNOWN_CAUSE, find_mistake
from jaxmlp.evidence.numpy_check.diagnosis import WRONG_SHAPE, GradientDiagnosis, first_error
from jaxmlp.evidence.numpy_check.match_mistake import BOUND, Leaf, Trial, difference, leaf_name, leaf_order
from jaxmlp.evidence.numpy_check.numpy_backprop import CORRECT, LayerStep, Problem, forward_steps, run_backward
from jaxmlp.evidence.numpy_check.trials import (
    Backward,
    BackwardRaisedError,
    NoGradientError,
    draw_problem,
    run_trial,
)
from jaxmlp.nn.network import Network

NO_GRADIENT = "no gradient"
# a shape that is wrong on the square network tells nothing of the user's network: the function may fit the latter only
_NO_CAUSE = (UNKNOWN_CAUSE, WRONG_SHAPE)


def diagnose_without_gradient(
    problem: Problem, backward: Backward, styles: Sequence[str], failure: NoGradientError
) -> GradientDiagnosis:
    """Return the diagnosis of a function that returns no gradient; its exception if no known mistake explains it."""
    if isinstance(failure, BackwardRaisedError):
        for trials in _square_trials(problem, backward, styles):
            diagnosis = first_error(trials)
            if diagnosis is not None and diagnosis.cause not in _NO_CAUSE and diagnosis.equation:
                # the numbers belong to the square network; equation and leaf hold for the user's network too
                return diagnosis._replace(entry=None, submitted=None, correct=None, ratio=None)
        if (diagnosis := _diagnose_operands(problem, failure.__cause__)) is not None:
            return diagnosis
    remedy = str(failure)
    if isinstance(failure, BackwardRaisedError) and _is_correct_for_one_example(problem, backward, styles):
        return GradientDiagnosis(cause=NO_GRADIENT, remedy=f"{remedy}; {_SINGLE_EXAMPLE_TEXT}")
    if isinstance(failure.__cause__, TypeError | AttributeError | KeyError | IndexError):
        arguments = "(params, X, Y)" if problem.weights is None else "(params, X, Y, weights)"
        remedy += f"; it is called as backward{arguments} and returns the gradient"
    return GradientDiagnosis(cause=NO_GRADIENT, remedy=remedy)


def _square_trials(problem: Problem, backward: Backward, styles: Sequence[str]) -> Iterator[list[Trial]]:
    """Yield two trials on a network whose widths are all 4, first with m = 7, then with m = 4 too."""
    net = problem.net
    square = Network((4,) * len(net.sizes), net.activations[:-1], net.activations[-1])
    # m = 7 keeps a product over examples apart from one over units; with m = 4 NumPy computes dZ A_prev, not transposed
    for m in (7, 4):
        draws = [_draw_like(problem, square, seed, m) for seed in (2, 3)]
        try:
            yield [run_trial("a square network", draw, backward, styles) for draw in draws]
        except NoGradientError:
            continue


def _draw_like(problem: Problem, net: Network, seed: int, m: int) -> Problem:
    """Return a random batch of m examples, for another network, with the cost and penalty of `problem`."""
    draw = draw_problem(net, problem.cost, seed, m=m, ids=problem.has_class_ids)
    weights = None if problem.weights is None else np.linspace(0.5, 2.0, m)[None]
    return draw._replace(l2=problem.l2, examples=problem.examples, weights=weights)


_SINGLE_EXAMPLE_TEXT = (
    "for a single example the gradient is correct; with several, arrays of shapes (m,) and (m, 1) broadcast to (m, m): "
    "give Y the shape of A"
)


def _is_correct_for_one_example(problem: Problem, backward: Backward, styles: Sequence[str]) -> bool:
    """Whether a function that raises for several examples is right for one: then it mixes (m,) and (m, 1)."""
    try:
        trial = run_trial("a single example", _draw_like(problem, problem.net, 2, 1), backward, styles)
    except NoGradientError:
        return False
    pairs = [(trial.submitted[l - 1][name], trial.correct[l - 1][name]) for l, name in leaf_order(problem.net.depth)]
    # a 1 too many or too few among the sizes is part of the mistake
    return all(value.size == right.size and _is_same(value.reshape(right.shape), right) for value, right in pairs)


# --- the operands -----------------------------------------------------------------------------------------------------


def _diagnose_operands(problem: Problem, error: BaseException | None) -> GradientDiagnosis | None:
    """Return the mistake if the line that raised multiplies W_l with dZ_l, or dZ_l with A_{l-1}, not transposed."""
    operands = None if error is None else _operands(error)
    if operands is None:
        return None
    operator, first, second = operands
    for step, dZ in _correct_dZ(problem):
        if operator == "@" and _is_same(first, step.W) and _is_proportional(second, dZ):
            return _diagnosis_of("W not transposed", f"BP2 dZ_{step.l - 1}", (step.l - 1, "b"))
        if operator == "*" and _is_same(first, step.W.T) and _is_proportional(second, dZ):
            return _diagnosis_of("elementwise product with Wᵀ", f"BP2 dZ_{step.l - 1}", (step.l - 1, "b"))
        if operator == "@" and _is_proportional(first, dZ) and _is_same(second, step.A_prev):
            return _diagnosis_of("A not transposed", f"BP4 dW_{step.l}", (step.l, "W"))
    return None


def _diagnosis_of(name: str, equation: str, leaf: Leaf) -> GradientDiagnosis:
    (mistake,) = find_mistake(name)
    return GradientDiagnosis(
        equation, leaf_name(leaf), cause=mistake.name, remedy=mistake.text, erratum=mistake.erratum
    )


def _correct_dZ(problem: Problem) -> list[tuple[LayerStep, Array]]:
    """Return every layer with its correct dZ."""
    layers: list[tuple[LayerStep, Array]] = []

    def recording_bias_gradient(step: LayerStep, dZ: Array) -> Array:
        layers.append((step, dZ))
        return CORRECT.bias_gradient(step, dZ)

    recording = CORRECT._replace(bias_gradient=recording_bias_gradient)
    run_backward(lambda step: recording, forward_steps(problem))
    return layers


def _is_same(value: Array, expected: Array) -> bool:
    return difference(value, expected) <= BOUND


def _is_proportional(value: Array, expected: Array) -> bool:
    """Whether two matrices differ by a factor only: the program may apply 1/m, or the sign, somewhere else."""
    # without a common entry other than 0 the sign below would be 0, and 0/0 for a matrix of zeros
    if value.shape != expected.shape or not (value * expected).any():
        return False
    # length and sign are taken out, the direction must agree
    unit = value / np.linalg.norm(value) * np.sign((value * expected).sum())
    return _is_same(unit, expected / np.linalg.norm(expected))


def _operands(error: BaseException) -> tuple[str, Array, Array] | None:
    """Return the operator and the two arrays of the expression that raised, if they are names, subscripts and .T."""
    *_, frame = (frame for frame, _ in walk_tb(error.__traceback__))  # the innermost one, which raised
    try:
        product = _product(ast.parse(_expression(extract_tb(error.__traceback__)[-1]), mode="eval").body)
    except SyntaxError:  # the source is missing, or the expression spans several lines
        product = None
    if product is None:
        return None
    operator, *sides = product
    first, second = (_value_of(side, frame) for side in sides)
    are_matrices = all(isinstance(v, Array) and v.ndim == 2 and v.dtype.kind == "f" for v in (first, second))
    return (operator, first, second) if are_matrices else None


def _expression(line: FrameSummary) -> str:
    """Return the text of the expression that raised."""
    # from the file: `line.line` has no indentation, and the columns count bytes of the whole line
    whole = linecache.getline(line.filename, line.lineno or 0).encode()
    if line.colno is None or line.end_colno is None or line.lineno != line.end_lineno:
        return whole.decode().strip()
    return whole[line.colno : line.end_colno].decode()


def _product(node: ast.AST) -> tuple[str, ast.expr, ast.expr] | None:
    """Return "@" or "*" and the two sides of a @ b, np.dot(a, b), np.matmul(a, b), a.dot(b), a * b."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult | ast.Mult):
        return "@" if isinstance(node.op, ast.MatMult) else "*", node.left, node.right
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("dot", "matmul"):
        if len(node.args) == 2:
            return "@", node.args[0], node.args[1]
        if len(node.args) == 1:
            return "@", node.func.value, node.args[0]
    return None


def _value_of(node: ast.expr, frame: FrameType) -> Any:
    """Return the value of a name, a subscript or a transpose in the frame that raised; no function is called."""
    if isinstance(node, ast.Name):
        return frame.f_locals.get(node.id, frame.f_globals.get(node.id))
    if isinstance(node, ast.Attribute) and node.attr == "T":
        value = _value_of(node.value, frame)
        return value.T if isinstance(value, Array) else None
    if isinstance(node, ast.Subscript):
        container, key = _value_of(node.value, frame), _value_of(node.slice, frame)
        is_plain = isinstance(container, dict | tuple | list)  # __getitem__ of another class could run any code
        return container[key] if is_plain and _has_key(container, key) else None
    return node.value if isinstance(node, ast.Constant) else None


def _has_key(container: dict | tuple | list, key: object) -> bool:
    if isinstance(container, dict):
        return key in container
    return isinstance(key, int) and -len(container) <= key < len(container)
