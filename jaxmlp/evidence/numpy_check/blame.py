"""Which equation is incorrect where no mistake is recognised: dZ_l, or db_l and dW_l each by itself.

dZ_l is to blame only if one and the same dZ_l explains dW_l, db_l and what lies below. A batch of fewer examples than
inputs tells: there [dW_l db_l] = dZ_l [A_prevᵀ 1] has one solution dZ_l at most, from which the layer below follows.
"""

from collections.abc import Sequence

import numpy as np
from numpy import ndarray as Array

from jaxmlp.evidence.numpy_check.match_mistake import Leaf, Trial
from jaxmlp.evidence.numpy_check.numpy_backprop import CORRECT, run_backward

_BOUND = 1e-6  # the solution loses digits where [A_prevᵀ 1] is close to singular


def is_incorrect(trials: Sequence[Trial], leaf: Leaf) -> bool:
    """Whether a leaf is incorrect on some batch."""
    return not all(trial.is_correct(leaf) for trial in trials)


def may_be_dZ(trials: Sequence[Trial], layer: int) -> bool:
    """Whether an error of dZ_l is possible: everything in the layer below is incorrect too, or there is none."""
    return layer == 1 or all(is_incorrect(trials, (layer - 1, name)) for name in ("b", "W"))


def is_error_of_dZ(trials: Sequence[Trial], layer: int) -> bool:
    """Whether one dZ_l explains the incorrect leaves of layer l and, below, those of layer l - 1."""
    verdicts = [verdict for trial in trials if (verdict := _explained_by_dZ(trial, layer)) is not None]
    if "within" in verdicts and may_be_dZ(trials, layer):
        return "not" not in verdicts  # the layer below has a mistake too
    if verdicts:
        return all(verdict == "below" for verdict in verdicts)
    both = all(is_incorrect(trials, (layer, name)) for name in ("b", "W"))
    return may_be_dZ(trials, layer) and (both or layer > 1)


def _explained_by_dZ(trial: Trial, layer: int) -> str | None:
    """Return "below" if one dZ_l explains layers l and l - 1, "within" if only layer l, "not" if neither.

    None where the batch cannot tell: the layer is correct, has another shape, or dZ_l has several solutions.
    """
    submitted, correct, step = trial.submitted[layer - 1], trial.correct[layer - 1], trial.steps[layer - 1]
    if all(trial.is_correct((layer, name)) for name in ("b", "W")):
        return None
    if any(submitted[name].shape != correct[name].shape or not np.isfinite(submitted[name]).all() for name in correct):
        return "not"
    matrix = np.vstack([step.A_prev, np.ones((1, trial.m))]).T  # (m, n_prev + 1)
    # dependent rows: several dZ_l give the same dW_l and db_l
    if np.linalg.matrix_rank(matrix) < trial.m:
        return None
    decay = step.problem.decay if step.problem.l2 else 0.0
    leaves = np.hstack([submitted["W"] - decay * step.W, submitted["b"]])
    dZ = np.linalg.lstsq(matrix.T, leaves.T, rcond=None)[0].T  # (n_l, m)
    # with n_prev + 1 = m the matrix is square: every dW_l and db_l have a dZ_l, so agreement proves nothing
    is_overdetermined = matrix.shape[1] > trial.m
    if not _is_close(dZ @ matrix, leaves):
        return "not"
    if layer == 1:
        return "below" if is_overdetermined else None
    below = _leaves_below(trial, layer, dZ)
    if all(_is_close(below[name], trial.submitted[layer - 2][name]) for name in ("b", "W")):
        return "below"
    return "within" if is_overdetermined else None


def _leaves_below(trial: Trial, layer: int, dZ: Array) -> dict[str, Array]:
    """Return dW and db of layer l - 1 that follow from dZ_l."""
    # layer l may be the output or a hidden one: either way its dZ is the given one
    replaced = CORRECT._replace(output_error=lambda step, pullback: dZ, pullback=lambda step, dA: dZ)
    return run_backward(lambda step: replaced if step.l == layer else CORRECT, trial.steps)[layer - 2]


def _is_close(array: Array, expected: Array) -> bool:
    if array.shape != expected.shape:
        return False
    # 1e-300 stands for a leaf of zeros, to which only zeros are close
    return bool(np.abs(array - expected).max() <= _BOUND * max(float(np.abs(expected).max()), 1e-300))
