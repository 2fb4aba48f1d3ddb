"""Your own backward pass, in NumPy: is it right, and if not, which equation, which entry, and why.

    backward(params, X, Y) -> dparams

The answers on several batches are compared with autodiff of the undecorated network, leaf by leaf, from the output
down. What the first difference says about the equations, and which known slip is its cause, is the chapter `fault`;
what can be said when NumPy refuses a product and there is no answer at all is the chapter `refused`.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxmlp.errors import InputError, InputTypeError, sentence
from jaxmlp.evidence.certificate import Certificate, Row, judge
from jaxmlp.evidence.student.causes import BOUND, Leaf, Trial, chain
from jaxmlp.evidence.student.fault import Diagnosis, first_fault, wrong_J
from jaxmlp.evidence.student.loop import Problem
from jaxmlp.evidence.student.refused import without_gradient
from jaxmlp.evidence.student.trials import Backward, NoGradient, problems_for, trial
from jaxmlp.nn.network import Network, check_network
from jaxmlp.nn.objective import Objective, check_objective


@dataclass(frozen=True)
class StudentReport:
    """The certificate of a backward pass, and what is wrong with it.

    Attributes:
      certificate: a row per leaf, in the order of the chain; one for J first, if the function tells it.
      diagnosis: None when every row passed.
    """

    certificate: Certificate
    diagnosis: Diagnosis | None

    @property
    def passed(self) -> bool:
        """Whether every leaf is right."""
        return self.certificate.passed

    def to_dict(self) -> dict[str, Any]:
        """The certificate's dictionary with the diagnosis, plain numbers and texts."""
        return self.certificate.to_dict() | {"diagnosis": self.diagnosis and self.diagnosis.to_dict()}

    def __str__(self) -> str:
        return "\n".join(str(part) for part in (self.certificate, self.diagnosis) if part is not None)


def verify_numpy(
    backward: Backward,
    params: Any = None,
    X: Any = None,
    Y: Any = None,
    net: Network | None = None,
    objective: Objective | None = None,
    weights: Any = None,
) -> StudentReport:
    """Is this backward pass right? If not, the first wrong equation, the entry, the ratio and, if known, the cause.

    Args:
      backward: (params, X, Y) -> gradient or (J, gradient), in NumPy; with weights (params, X, Y, weights).
      params: our pytree or the course's flat dictionary, which `backward` then gets too; drawn if None.
      X, Y: a batch as for `jaxmlp.cost`; drawn if None.
      net: the network that `backward` differentiates.
      objective: cost and L2 penalty; by default the cost that follows from the output.
      weights: of the batch, (1, m), or None. The drawn batches then have weights too.

    Returns:
      A report with `.passed`, `.certificate`, `.diagnosis`, `.to_dict()` and a readable text.

    Raises:
      InputError: when params, X, Y and weights do not fit `net`, and for an objective with more than cost and L2. A
        fault of `backward`, an exception among them, is no error: it is what the report is about.

    Source: Nielsen, chapter 2: the four equations.

    >>> def backward(params, X, Y):
    ...     A = 1 / (1 + np.exp(-(params["W1"] @ X + params["b1"])))
    ...     dZ = A - Y
    ...     return {"dW1": dZ @ X.T / X.shape[1], "db1": dZ.sum(axis=1, keepdims=True)}
    >>> report = verify_numpy(backward, net=Network((3, 1), (), "sigmoid"))
    >>> report.passed, [row.check for row in report.certificate.failures]
    (False, ['BP3 db'])
    >>> print(report.diagnosis)
    first wrong: BP3 db_1, db1[0, 0] = -2.81574, right -0.402248: ratio 7
    cause: sum for mean: the sum over examples without 1/m
    """
    net = _network(net)
    if not callable(backward):
        remedy = "give the function itself, without calling it"
        raise InputTypeError(sentence("backward", "a function (params, X, Y)", type(backward).__name__, remedy))
    styles = ("flat",) if isinstance(params, Mapping) else ("pytree", "flat")
    problems = problems_for(net, _plain(objective), params, X, Y, weights)
    certificate, found = examine(net, problems, backward, styles)
    if isinstance(found, NoGradient):
        diagnosis = without_gradient(next(iter(problems.values())), backward, styles, found)
    else:
        diagnosis = first_fault(found)
    return StudentReport(certificate, diagnosis)


def _network(net: Any) -> Network:
    if net is None:
        raise InputTypeError(sentence("net", "a jaxmlp.Network", "NoneType", "write verify_numpy(..., net=net)"))
    check_network(net)
    if net.norm is not None:
        remedy = "normalisation has its own rows in jaxmlp.verify"
        raise InputError(sentence("verify_numpy", "a network without normalisation", repr(net.norm), remedy))
    return net


_SAID = ("cost", "l2", "examples")  # of an objective: what a student's function is compared with


def _plain(objective: Objective | None) -> Objective:
    if objective is None:
        return Objective()
    check_objective(objective)
    for field in dataclasses.fields(objective):
        if field.name not in _SAID and getattr(objective, field.name) is not None:
            remedy = "leave it out"
            raise InputError(sentence("verify_numpy", f"an objective of {', '.join(_SAID)}", field.name, remedy))
    return objective


# --- the certificate --------------------------------------------------------------------------------------------------


def examine(
    net: Network, problems: Mapping[str, Problem], backward: Backward, styles: Sequence[str]
) -> tuple[Certificate, list[Trial] | NoGradient]:
    """The verdict, with what it rests on; the search for causes is no part of it."""
    try:
        trials = [trial(name, problem, backward, styles) for name, problem in problems.items()]
    except NoGradient as trouble:
        row = Row("gradient", "", "autodiff", None, BOUND, "FAIL", str(trouble))
        return Certificate(_title(net), (row,)), trouble
    rows = [_row(trials, leaf) for leaf in chain(net.depth)]
    if any(trial.J for trial in trials):
        rows.insert(0, judge("J", "", "autodiff", max(map(wrong_J, trials)), BOUND))
    return Certificate(_title(net), tuple(rows)), trials


def _title(net: Network) -> str:
    return f"NumPy backward pass of {'-'.join(map(str, net.sizes))}"


def _row(trials: Sequence[Trial], leaf: Leaf) -> Row:
    """A leaf's worst difference over the trials, and on which batch where the others are right."""
    l, name = leaf
    worst = max(trials, key=lambda trial: trial.off(leaf))
    wrong = [trial.name for trial in trials if trial.off(leaf) > BOUND]
    note = f"on {' and '.join(wrong)} only" if wrong and len(wrong) < len(trials) else ""
    given, right = worst.given[l - 1][name], worst.right[l - 1][name]
    if given.shape != right.shape:
        note = f"shape {given.shape} for {right.shape}"
    elif not np.isfinite(given).all():
        note = "not finite"
    elif wrong and all(trial.off(leaf) <= trial.bound for trial in trials):
        note = f"right, in {worst.precision}"
    return judge({"b": "BP3 db", "W": "BP4 dW"}[name], f"layer {l}", "autodiff", worst.off(leaf), BOUND, note)
