"""A callback of `jaxmlp.fit` that records the epochs of an estimator and ends the fit by scikit-learn's rules.

improved      loss ≤ best - tol, or score ≥ best + tol; best is that of all epochs so far
end           after more than n_iter_no_change epochs without improvement; but with learning_rate="adaptive" the
              learning rate is first divided by 5, again and again, until it is 10⁻⁶
end (lbfgs)   when the largest entry of the gradient is ≤ tol, when the loss no longer decreases, or after max_fun
              evaluations of the loss
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from jaxmlp.estimators.fit_tasks import FitTasks
from jaxmlp.estimators.settings import LOWEST_RATE, is_line_search
from jaxmlp.training.callbacks import Callback, Progress
from jaxmlp.training.state import Report, Snapshot

MAX_FUN = "The loss has been evaluated max_fun times."
# scikit-learn calls SciPy's L-BFGS-B, which ends when f_k - f_{k+1} ≤ ftol · max(|f_k|, |f_{k+1}|, 1); this is its ftol
LOSS_TOLERANCE = 2.220446049250313e-09


class Curves(NamedTuple):
    """The curves of an estimator, over the first fit and all calls that continue it.

    Attributes:
      losses: the loss of the training rows after each epoch, with penalties.
      validation_losses, validation_scores: those of the validation rows; empty if there are none.
    """

    losses: list[float]
    validation_losses: list[float]
    validation_scores: list[float]


class Patience:
    """Counts the epochs without improvement; smaller values are better."""

    def __init__(self, tol: float, limit: float, best: float = math.inf, waited: int = 0) -> None:
        self.best, self.waited = best, waited
        self._tol, self._limit = tol, limit

    def is_exhausted(self, value: float) -> bool:
        """Record the value of an epoch, and return whether more than `limit` epochs are without improvement.

        >>> patience = Patience(tol=0.1, limit=1)
        >>> [patience.is_exhausted(value) for value in (3.0, 2.0, 1.95, 1.94)]
        [False, False, False, True]
        """
        self.waited = self.waited + 1 if value > self.best - self._tol else 0
        self.best = min(self.best, value)  # as in scikit-learn, also after an improvement of less than tol
        return self.waited > self._limit


class FitMonitor(Callback):
    """Records an estimator's epochs, prints them if it is verbose, and ends its fit.

    Attributes:
      curves: the curves, to which each epoch is appended.
      patience: the count of epochs without improvement; None for `partial_fit`, which trains a single epoch.
      n_iter: the number of epochs in this call.
      reason: why the fit has ended, as a sentence; None if it has reached max_iter.
      converged: whether the fit has ended for another reason than max_iter and max_fun.
      interrupted: whether Ctrl-C has ended the fit.
      snapshot: a function that returns the last state of the run; None until the run ends or is interrupted.
    """

    def __init__(
        self,
        estimator: Any,
        curves: Curves,
        patience: Patience | None,
        score: Callable[[Report], float | None],
        tasks: FitTasks | None = None,
    ) -> None:
        self.curves, self.patience = curves, patience
        self.n_iter, self.reason, self.converged, self.interrupted = 0, None, False, False
        self.snapshot: Callable[[], Snapshot] | None = None
        self._estimator, self._score, self._tasks = estimator, score, tasks
        self._line_search = _LineSearchEnd(estimator) if is_line_search(estimator) else None
        self.needs_state = self._line_search is not None or (tasks is not None and tasks.needs_state)

    def on_epoch_end(self, progress: Progress) -> bool:
        """Record the epoch, and return whether to end the fit."""
        report, estimator = progress.history[-1], self._estimator
        self.n_iter += 1
        self.curves.losses.append(report.cost)
        score = self._score(report)
        if report.validation_cost is not None:
            self.curves.validation_losses.append(report.validation_cost)
        if score is not None:
            self.curves.validation_scores.append(score)
        if estimator.verbose:
            print(f"Iteration {self.n_iter}, loss = {report.cost:.8f}")  # scikit-learn's text
            if score is not None:
                print(f"Validation score: {score:f}")
        self.reason = self._end(progress, report, score)
        self.converged = self.reason not in (None, MAX_FUN)
        if self.reason and estimator.verbose:
            print(self.reason)
        # callbacks get every epoch, also the last one
        stopped = self._tasks is not None and self._tasks.end_epoch(progress)
        if stopped and not self.reason:
            # converged, because the estimator would warn otherwise, and the callback ended the fit on purpose
            self.reason, self.converged = "A callback ended the fit.", True
        return self.reason is not None

    def _end(self, progress: Progress, report: Report, score: float | None) -> str | None:
        """Return the reason to end the fit; None to go on."""
        if self._line_search is not None:
            return self._line_search.reason(progress)
        if self.patience is None:
            return None
        by_score = self._estimator.early_stopping and score is not None
        if not self.patience.is_exhausted(-score if by_score and score is not None else report.cost):
            return None
        # as in scikit-learn, "adaptive" first lowers the learning rate: a smaller step may still improve the loss
        rate = report.learning_rate
        if self._estimator.learning_rate == "adaptive" and rate is not None and rate > LOWEST_RATE:
            self.patience.waited = 0
            return None
        quantity = "Validation score" if by_score else "Training loss"
        tol, epochs = self._estimator.tol, self._estimator.n_iter_no_change
        return f"{quantity} did not improve more than tol={tol:f} for {epochs} consecutive epochs."

    def on_train_end(self, progress: Progress) -> None:
        """Store the function that returns the last state: after Ctrl-C the estimator is fitted with that state."""
        self.snapshot = progress.snapshot


class _LineSearchEnd:
    """Decides whether L-BFGS has converged."""

    def __init__(self, estimator: Any) -> None:
        self._tol, self._max_fun = float(estimator.tol), estimator.max_fun
        self._evaluations = 0

    def reason(self, progress: Progress) -> str | None:
        state, losses = progress.state.opt_state, [report.cost for report in progress.history[-2:]]
        # scikit-learn gives tol to SciPy as gtol, which is a bound on the largest entry
        gradient = max(
            float(np.abs(np.asarray(leaf)).max()) for leaf in jax.tree.leaves(optax.tree_utils.tree_get(state, "grad"))
        )
        if gradient <= self._tol:
            return f"The largest entry of the gradient is at most tol={self._tol:g}."
        if len(losses) == 2 and losses[0] - losses[1] <= LOSS_TOLERANCE * max(*map(abs, losses), 1):
            return "The loss no longer decreases."
        # one evaluation for the gradient, and one for each trial step of the line search
        self._evaluations += 1 + int(optax.tree_utils.tree_get(state, "num_linesearch_steps"))
        return MAX_FUN if self._evaluations >= self._max_fun else None
