"""`verify_numpy`: check a backward pass that the user wrote in NumPy; find equation, entry and cause of an error.

    backward(params, X, Y) -> dparams

The results on several batches are compared with autodiff of the network without derivative rules, leaf by leaf, from
the output down. `diagnosis` derives the incorrect equation and the mistake from the first difference; `shape_errors`
does so where NumPy refuses a product and the function returns nothing.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jax.typing import ArrayLike

from jaxmlp.errors import InputError, InputTypeError, sentence
from jaxmlp.evidence.certificate import Certificate, Row, judge
from jaxmlp.evidence.numpy_check.diagnosis import GradientDiagnosis, cost_error, first_error
from jaxmlp.evidence.numpy_check.match_mistake import BOUND, Leaf, Trial, leaf_order
from jaxmlp.evidence.numpy_check.numpy_backprop import Problem
from jaxmlp.evidence.numpy_check.shape_errors import diagnose_without_gradient
from jaxmlp.evidence.numpy_check.trials import (
    Backward,
    NoGradientError,
    UserParams,
    gradients_vary,
    probe_trials,
    problems_for,
    run_trial,
)
from jaxmlp.fork import refuse_after_fork
from jaxmlp.nn.checks import check_network, check_single
from jaxmlp.nn.network import Network
from jaxmlp.nn.objective import Objective, check_objective


@dataclass(frozen=True, repr=False)
class NumpyReport:
    """The certificate of a backward pass, and its first error.

    Attributes:
      certificate: a row per leaf, from the output down; first a row for J, if the function returns J.
      diagnosis: None when every row passed.
    """

    certificate: Certificate
    diagnosis: GradientDiagnosis | None

    @property
    def passed(self) -> bool:
        """Whether every leaf is correct."""
        return self.certificate.passed

    def to_dict(self) -> dict[str, Any]:
        """Return the dictionary of the certificate with the diagnosis, plain numbers and texts."""
        return self.certificate.to_dict() | {"diagnosis": self.diagnosis and self.diagnosis.to_dict()}

    def __str__(self) -> str:
        return "\n".join(str(part) for part in (self.certificate, self.diagnosis) if part is not None)

    def __repr__(self) -> str:
        """Return the counts, what failed and the diagnosis; `print` shows every row."""
        return repr(self.certificate) if self.diagnosis is None else f"{self.certificate!r}\n{self.diagnosis}"


def verify_numpy(
    backward: Backward,
    params: UserParams | None = None,
    X: ArrayLike | None = None,
    Y: ArrayLike | None = None,
    net: Network | None = None,
    objective: Objective | None = None,
    weights: ArrayLike | None = None,
) -> NumpyReport:
    """Check a backward pass; report the first incorrect equation, the entry, the ratio and, if known, the cause.

    Args:
      backward: (params, X, Y) -> gradient or (J, gradient), in NumPy; with weights (params, X, Y, weights).
      params: a tuple of layers as `jaxmlp.init` returns it, or the course's flat dictionary; `backward` receives the
        same form. Random if None.
      X, Y: a batch as for `jaxmlp.cost`. Random if None.
      net: the network that `backward` differentiates.
      objective: cost and L2 penalty; by default the cost that belongs to the output.
      weights: of the batch, (1, m), or None. The random batches then have weights too.

    Returns:
      A report with `.passed`, `.certificate`, `.diagnosis`, `.to_dict()` and a readable text.

    Raises:
      InputError: when params, X, Y and weights do not fit `net`, and for an objective with more than cost and L2. An
        error or an exception of `backward` is not raised: it is what the report describes.

    Source: Nielsen, chapter 2: the four equations.

    >>> def backward(params, X, Y):
    ...     A = 1 / (1 + np.exp(-(params["W1"] @ X + params["b1"])))
    ...     dZ = A - Y
    ...     return {"dW1": dZ @ X.T / X.shape[1], "db1": dZ.sum(axis=1, keepdims=True)}
    >>> report = verify_numpy(backward, net=Network((3, 1), (), "sigmoid"))
    >>> report.passed, [row.check for row in report.certificate.failures]
    (False, ['BP3 db'])
    >>> print(report.diagnosis)
    first error: BP3 db_1, db1[0, 0] = -2.81574, correct -0.402248: ratio 7
    cause: sum in place of mean: the sum over the examples without 1/m
    """
    refuse_after_fork("verify_numpy")
    net = _check_plain_network(net)
    if not callable(backward):
        remedy = "give the function itself, without calling it"
        raise InputTypeError(sentence("backward", "a function (params, X, Y)", type(backward).__name__, remedy))
    # without parameters of the user it is not known which form the function takes: both are tried
    styles = ("flat",) if isinstance(params, Mapping) else ("pytree", "flat")
    problems = problems_for(net, _check_plain_objective(objective), params, X, Y, weights)
    certificate, result = examine(net, problems, backward, styles)
    first = next(iter(problems.values()))
    if isinstance(result, NoGradientError):
        diagnosis = diagnose_without_gradient(first, backward, styles, result)
    elif certificate.passed:
        diagnosis = None
    # before the search, whose trials call the function once each and would seem to contradict each other
    elif gradients_vary(first, backward, styles):
        remedy = "two calls with the same arguments differ: leave out dropout and every other draw, and keep no state"
        diagnosis = GradientDiagnosis(cause="the gradient varies", remedy=remedy)
    else:
        diagnosis = first_error(result, probe_trials(first, backward, styles))
    return NumpyReport(certificate, diagnosis)


def _check_plain_network(net: Network | None) -> Network:
    if net is None:
        raise InputTypeError(sentence("net", "a jaxmlp.Network", "NoneType", "write verify_numpy(..., net=net)"))
    check_network(net)
    check_single(net, "verify_numpy")
    if net.norm is not None:
        remedy = "jaxmlp.verify checks normalisation"
        raise InputError(sentence("verify_numpy", "a network without normalisation", repr(net.norm), remedy))
    return net


_OBJECTIVE_FIELDS = ("cost", "l2", "examples")  # that the textbook's loop in NumPy has


def _check_plain_objective(objective: Objective | None) -> Objective:
    if objective is None:
        return Objective()
    check_objective(objective)
    for field in dataclasses.fields(objective):
        if field.name not in _OBJECTIVE_FIELDS and getattr(objective, field.name) is not None:
            expects = f"an objective of {', '.join(_OBJECTIVE_FIELDS)}"
            raise InputError(sentence("verify_numpy", expects, field.name, "leave it out"))
    return objective


# --- the certificate --------------------------------------------------------------------------------------------------


def examine(
    net: Network, problems: Mapping[str, Problem], backward: Backward, styles: Sequence[str]
) -> tuple[Certificate, list[Trial] | NoGradientError]:
    """Return the certificate and the trials behind it, without a search for causes."""
    title = f"NumPy backward pass of {'-'.join(map(str, net.sizes))}"
    try:
        trials = [run_trial(name, problem, backward, styles) for name, problem in problems.items()]
    except NoGradientError as failure:
        row = Row("gradient", "", "autodiff", None, BOUND, "FAIL", str(failure))
        return Certificate(title, (row,)), failure
    rows = [_leaf_row(trials, leaf) for leaf in leaf_order(net.depth)]
    if any(trial.J for trial in trials):
        rows.insert(0, judge("J", "", "autodiff", max(map(cost_error, trials)), BOUND))
    return Certificate(title, tuple(rows)), trials


def _leaf_row(trials: Sequence[Trial], leaf: Leaf) -> Row:
    """Judge the largest difference of a leaf; the note says on which batches, if not on all."""
    l, name = leaf
    worst = max(trials, key=lambda trial: trial.error(leaf))
    failed = [trial.name for trial in trials if trial.error(leaf) > BOUND]
    note = f"on {' and '.join(failed)} only" if failed and len(failed) < len(trials) else ""
    submitted, correct = worst.submitted[l - 1][name], worst.correct[l - 1][name]
    if submitted.shape != correct.shape:
        note = f"shape {submitted.shape}, expected {correct.shape}"
    elif not np.isfinite(submitted).all():
        note = "not finite"
    elif failed and all(trial.is_correct(leaf) for trial in trials):
        note = f"correct, in {worst.precision}"
    return judge({"b": "BP3 db", "W": "BP4 dW"}[name], f"layer {l}", "autodiff", worst.error(leaf), BOUND, note)
