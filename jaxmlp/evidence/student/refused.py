"""Refused: a product that NumPy does not do, because the shapes do not fit, and which slip it was.

    the same function on a network whose widths are all equal     NumPy lets the product through: the numbers tell
    the operands of the line that raised                          W_l @ dZ_l: W is not transposed

The second is for a function that knows its sizes by heart and cannot run on another network.
"""

import ast
import linecache
from collections.abc import Iterator, Sequence
from traceback import extract_tb, walk_tb
from types import FrameType
from typing import Any

import numpy as np
from numpy import ndarray as Array

from jaxmlp.evidence.student.causes import BOUND, Trial, difference
from jaxmlp.evidence.student.fault import Diagnosis, first_fault
from jaxmlp.evidence.student.loop import RIGHT, Problem, Step, backward_with, forward
from jaxmlp.evidence.student.slips import UNKNOWN, find
from jaxmlp.evidence.student.trials import Backward, NoGradient, Raised, draw, leaf_name, trial
from jaxmlp.nn.network import Network


def without_gradient(problem: Problem, backward: Backward, styles: Sequence[str], trouble: NoGradient) -> Diagnosis:
    """What can be said of a function that gives no gradient; the exception itself where it is no slip we know."""
    if isinstance(trouble, Raised):
        for trials in _square_trials(problem, backward, styles):
            found = first_fault(trials)
            if found is not None and found.cause != UNKNOWN and found.equation:
                # equation and leaf are those of the network asked about, the numbers are not
                return found._replace(entry=None, given=None, right=None, ratio=None)
        if (named := _by_operands(problem, trouble.__cause__)) is not None:
            return named
    return Diagnosis("", "", None, None, None, None, UNKNOWN, str(trouble))


def _square_trials(problem: Problem, backward: Backward, styles: Sequence[str]) -> Iterator[list[Trial]]:
    """Two draws of a network with all widths 4, with m = 7, then with m = 4 too."""
    net = problem.net
    square = Network((4,) * len(net.sizes), net.activations[:-1], net.activations[-1])
    for m in (7, 4):
        draws = [draw(square, problem.cost, seed, m=m, ids=problem.ids) for seed in (2, 3)]
        weights = None if problem.weights is None else np.linspace(0.5, 2.0, m)[None]
        kept = [d._replace(l2=problem.l2, examples=problem.examples, weights=weights) for d in draws]
        try:
            yield [trial("a square network", one, backward, styles) for one in kept]
        except NoGradient:
            continue


# --- the operands -----------------------------------------------------------------------------------------------------


def _by_operands(problem: Problem, error: BaseException | None) -> Diagnosis | None:
    """The slip, if the line that raised multiplies a W_l with its dZ_l, or a dZ_l with its A_{l-1}, as they are."""
    pair = None if error is None else _operands(error)
    if pair is None:
        return None
    operator, left, right = pair
    for step, dZ in _errors(problem):
        if operator == "@" and _same(left, step.W) and _proportional(right, dZ):
            return _found("W not transposed", f"BP2 dZ_{step.l - 1}", leaf_name((step.l - 1, "b")))
        if operator == "*" and _same(left, step.W.T) and _proportional(right, dZ):
            return _found("elementwise product with Wᵀ", f"BP2 dZ_{step.l - 1}", leaf_name((step.l - 1, "b")))
        if operator == "@" and _proportional(left, dZ) and _same(right, step.A_prev):
            return _found("A not transposed", f"BP4 dW_{step.l}", leaf_name((step.l, "W")))
    return None


def _found(name: str, equation: str, leaf: str) -> Diagnosis:
    (slip,) = find(name)
    return Diagnosis(equation, leaf, None, None, None, None, slip.name, slip.text, slip.erratum)


def _errors(problem: Problem) -> list[tuple[Step, Array]]:
    """Every layer with its right dZ."""
    found: list[tuple[Step, Array]] = []

    def note(step: Step, dZ: Array) -> Array:
        found.append((step, dZ))
        return RIGHT.bias(step, dZ)

    backward_with(lambda step: RIGHT._replace(bias=note), forward(problem))
    return found


def _same(given: Array, expected: Array) -> bool:
    return difference(given, expected) <= BOUND


def _proportional(given: Array, expected: Array) -> bool:
    """Whether it is this matrix but for a factor: the 1/m may stand elsewhere, and so may a sign."""
    if given.shape != expected.shape or not (given * expected).any():
        return False
    return _same(given / np.linalg.norm(given) * np.sign((given * expected).sum()), expected / np.linalg.norm(expected))


def _operands(error: BaseException) -> tuple[str, Array, Array] | None:
    """The operator and the two arrays of the expression that raised, as far as they are names, subscripts and .T."""
    *_, frame = (frame for frame, _ in walk_tb(error.__traceback__))
    try:
        pair = _pair(ast.parse(_expression(extract_tb(error.__traceback__)[-1]), mode="eval").body)
    except SyntaxError:  # no source, or half a line
        pair = None
    if pair is None:
        return None
    left, right = (_value(side, frame) for side in pair[1:])
    two = all(isinstance(value, Array) and value.ndim == 2 and value.dtype.kind == "f" for value in (left, right))
    return (pair[0], left, right) if two else None


def _expression(line: Any) -> str:
    """The text of the expression that raised. Columns count the bytes of the file's line; `line.line` is stripped."""
    whole = linecache.getline(line.filename, line.lineno).encode()
    if line.colno is None or line.end_colno is None or line.lineno != line.end_lineno:
        return whole.decode().strip()
    return whole[line.colno : line.end_colno].decode()


def _pair(node: ast.AST) -> tuple[str, ast.expr, ast.expr] | None:
    """ "@" or "*" and its sides, for a @ b, np.dot(a, b), np.matmul(a, b), a.dot(b), a * b."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult | ast.Mult):
        return "@" if isinstance(node.op, ast.MatMult) else "*", node.left, node.right
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("dot", "matmul"):
        if len(node.args) == 2:
            return "@", node.args[0], node.args[1]
        if len(node.args) == 1:
            return "@", node.func.value, node.args[0]
    return None


def _value(node: ast.expr, frame: FrameType) -> Any:
    """What a name, a subscript or a transpose stands for where it raised; nothing is called."""
    if isinstance(node, ast.Name):
        return frame.f_locals.get(node.id, frame.f_globals.get(node.id))
    if isinstance(node, ast.Attribute) and node.attr == "T":
        value = _value(node.value, frame)
        return value.T if isinstance(value, Array) else None
    if isinstance(node, ast.Subscript):
        holder, key = _value(node.value, frame), _value(node.slice, frame)
        return holder[key] if isinstance(holder, dict | tuple | list) and _holds(holder, key) else None
    return node.value if isinstance(node, ast.Constant) else None


def _holds(holder: Any, key: Any) -> bool:
    return key in holder if isinstance(holder, dict) else isinstance(key, int) and -len(holder) <= key < len(holder)
