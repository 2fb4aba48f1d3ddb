"""Ensembles: several networks from different initial weights, which predict together.

    p̄ = 1/M Σ_i p_i        of probabilities, or of the numbers of a regression

The members are estimators of their own, trained one after the other by the same compiled programs. Each draws its
weights, its orders and, with early stopping, the rows that it holds out.
"""

from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.utils import check_random_state

from jaxmlp.estimators.fit_tasks import HAS_CALLBACKS

COMMON = ("n_features_in_", "feature_names_in_", "classes_", "n_layers_", "n_outputs_", "out_activation_")
STALE = (
    *("coefs_", "intercepts_", "scales_", "activation_shares_", "member_scales_", "_memory"),
    *("loss_curve_", "validation_scores_", "validation_loss_curve_"),
)


def make_members(estimator: Any) -> list[Any]:
    """Return unfitted copies of an estimator that differ in their random state."""
    random_state = check_random_state(estimator.random_state)
    members: list[Any] = [clone(estimator) for _ in range(int(estimator.n_members))]
    for member in members:
        member.set_params(n_members=1, random_state=int(random_state.randint(np.iinfo(np.int32).max)))
        if HAS_CALLBACKS:
            # this removes the callbacks that clone has copied: a member gets them by the task in `train_members`
            member.set_callbacks()
    return members


def train_members(estimator: Any, arguments: dict[str, Any], *, incremental: bool) -> None:
    """Train the members of an ensemble, and set its attributes.

    Args:
      estimator: the ensemble.
      arguments: those of `fit` or `partial_fit`.
      incremental: whether it is `partial_fit`.
    """
    members = getattr(estimator, "members_", None) if incremental or estimator.warm_start else None
    members = make_members(estimator) if members is None else members
    context, inputs = None, {"X": arguments["X"], "y": arguments["y"]}
    if HAS_CALLBACKS:
        context = estimator._init_callback_context(task_name="ensemble", max_subtasks=len(members))
        context.call_on_fit_task_begin(estimator=estimator, **inputs)
    trained = []
    for member in members:
        task = None if context is None else context.subcontext(task_name="member")
        with nullcontext() if task is None else task.propagate_callback_context(member):
            if task is not None:
                task.call_on_fit_task_begin(estimator=estimator, **inputs)
            (member.partial_fit if incremental else member.fit)(**arguments)
            trained.append(member)
            attributes = partial(_attributes, list(trained))  # a copy: further members join the list
            if task is not None and task.call_on_fit_task_end(
                estimator=estimator, reconstruction_attributes=attributes, **inputs
            ):
                break
    # left by an earlier fit with n_members=1: an ensemble has no coefficients of its own
    for name in STALE:
        estimator.__dict__.pop(name, None)
    for name, value in _attributes(trained).items():
        setattr(estimator, name, value)
    if context is not None:
        context.call_on_fit_task_end(estimator=estimator, reconstruction_attributes=lambda: {}, **inputs)


def _attributes(members: list[Any]) -> dict[str, Any]:
    """Return the attributes of an ensemble of fitted members."""
    first = members[0]
    scores = [member.best_validation_score_ for member in members if member.best_validation_score_ is not None]
    losses = [member.best_loss_ for member in members if member.best_loss_ is not None]
    return {
        **{name: getattr(first, name) for name in COMMON if hasattr(first, name)},
        "members_": members,
        "_task": first._task,
        "n_iter_": max(member.n_iter_ for member in members),
        "t_": max(member.t_ for member in members),
        "loss_": float(np.mean([member.loss_ for member in members])),
        "best_loss_": float(np.mean(losses)) if losses else None,
        "best_validation_score_": float(np.mean(scores)) if scores else None,
    }


def mean_outputs(members: list[Any], X: object) -> np.ndarray:
    """Return the mean of the members' outputs, (m, n_L)."""
    return np.mean([member._outputs(X) for member in members], axis=0)


def mean_logits(A: np.ndarray, task: str) -> np.ndarray:
    """Return logits whose probabilities are A.

    >>> mean_logits(np.array([[0.5]]), "binary").tolist()
    [[0.0]]
    """
    with np.errstate(divide="ignore"):  # a probability of 0 or 1 has the logit ±inf
        return np.log(A) if task == "multiclass" else np.log(A) - np.log1p(-A)
