"""Your own backward pass, in NumPy: is it right, and if not, which equation, which entry, and why.

    backward(params, X, Y) -> dparams

The answers on several batches are compared with autodiff of the undecorated network, leaf by leaf, from the output
down. What is wrong in both dW_l and db_l is wrong in dZ_l (BP1, BP2); in db alone BP3; in dW alone BP4. Then the table
of known slips is tried: the one that gives exactly this gradient is the cause.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from jaxmlp.errors import InputTypeError, sentence
from jaxmlp.evidence.certificate import Certificate, Row, judge
from jaxmlp.evidence.student.causes import BOUND, Cause, Leaf, Trial, chain, difference, find_causes
from jaxmlp.evidence.student.loop import Problem
from jaxmlp.evidence.student.slips import UNKNOWN
from jaxmlp.evidence.student.trials import Backward, NoGradient, Raised, draw, leaf_name, problems_for, trial
from jaxmlp.nn.network import Network
from jaxmlp.nn.objective import Objective


class Diagnosis(NamedTuple):
    """The first thing that is wrong.

    Attributes:
      equation: the first wrong equation of the chain: "BP2 dZ_2"; "" when there is no gradient to look at.
      leaf, entry: where it shows most: "dW2", (row, column); None for a wrong shape.
      given, right: the two numbers there.
      ratio: given / right; None without an entry.
      cause: the known slip's name, or "wrong here, cause unknown".
      remedy: what is written and what should be.
      erratum: the number in the errata ledger of the textbook's own misprint, or "".
    """

    equation: str
    leaf: str
    entry: tuple[int, ...] | None
    given: float | None
    right: float | None
    ratio: float | None
    cause: str
    remedy: str = ""
    erratum: str = ""

    def __str__(self) -> str:
        lines = []
        if self.equation:
            place = f", {self.leaf}{list(self.entry)}" if self.entry else f", {self.leaf}"
            numbers = (
                "" if self.ratio is None else f" = {self.given:.6g}, right {self.right:.6g}: ratio {self.ratio:.6g}"
            )
            lines.append(f"first wrong: {self.equation}{place}{numbers}")
        cause = f"{self.cause} ({self.erratum})" if self.erratum else self.cause
        return "\n".join([*lines, f"cause: {cause}" + (f": {self.remedy}" if self.remedy else "")])


@dataclass(frozen=True)
class StudentReport:
    """The certificate of a backward pass, and what is wrong with it.

    Attributes:
      certificate: a row per leaf, in the order of the chain.
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
        return self.certificate.to_dict() | {"diagnosis": self.diagnosis and self.diagnosis._asdict()}

    def __str__(self) -> str:
        return "\n".join(str(part) for part in (self.certificate, self.diagnosis) if part is not None)


def verify_numpy(
    backward: Backward,
    params: Any = None,
    X: Any = None,
    Y: Any = None,
    net: Network | None = None,
    objective: Objective | None = None,
) -> StudentReport:
    """Is this backward pass right? If not, the first wrong equation, the entry, the ratio and, if known, the cause.

    Args:
      backward: (params, X, Y) -> gradient, in NumPy.
      params: our pytree or the course's flat dictionary, which `backward` then gets too; drawn if None.
      X, Y: a batch as for `jaxmlp.cost`; drawn if None.
      net: the network that `backward` differentiates.
      objective: cost and penalty; by default the cost that follows from the output.

    Returns:
      A report with `.passed`, `.certificate`, `.diagnosis`, `.to_dict()` and a readable text.

    Raises:
      InputError: when params, X and Y do not fit `net`. A fault of `backward`, an exception among them, is no error: it
        is what the report is about.

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
    if not isinstance(net, Network):
        raise InputTypeError(
            sentence("net", "a jaxmlp.Network", type(net).__name__, "write verify_numpy(..., net=net)")
        )
    if not callable(backward):
        remedy = "give the function itself, without calling it"
        raise InputTypeError(sentence("backward", "a function (params, X, Y)", type(backward).__name__, remedy))
    title = f"NumPy backward pass of {'-'.join(map(str, net.sizes))}"
    styles = ("flat",) if isinstance(params, Mapping) else ("pytree", "flat")
    problems = problems_for(net, objective or Objective(), params, X, Y)
    try:
        trials = [trial(name, problem, backward, styles) for name, problem in problems.items()]
    except NoGradient as trouble:
        row = Row("gradient", "", "autodiff", None, BOUND, "FAIL", str(trouble))
        return StudentReport(
            Certificate(title, (row,)), _without_gradient(next(iter(problems.values())), backward, styles, trouble)
        )
    rows = tuple(_row(trials, leaf) for leaf in chain(net.depth))
    report = Certificate(title, rows)
    return StudentReport(report, None if report.passed else _diagnose(trials))


# --- what is wrong ----------------------------------------------------------------------------------------------------


def _worst(trials: Sequence[Trial], leaf: Leaf) -> tuple[float, Trial]:
    l, name = leaf
    return max(((difference(t.given[l - 1][name], t.right[l - 1][name]), t) for t in trials), key=lambda pair: pair[0])


def _row(trials: Sequence[Trial], leaf: Leaf) -> Row:
    """A leaf's worst difference over the trials, and on which batch where the others are right."""
    l, name = leaf
    worst, where = _worst(trials, leaf)
    wrong = [t.name for t in trials if difference(t.given[l - 1][name], t.right[l - 1][name]) > BOUND]
    note = f"on {' and '.join(wrong)} only" if wrong and len(wrong) < len(trials) else ""
    given, right = where.given[l - 1][name], where.right[l - 1][name]
    if given.shape != right.shape:
        note = f"shape {given.shape} for {right.shape}"
    elif not np.isfinite(given).all():
        note = "not finite"
    equation = {"b": "BP3 db", "W": "BP4 dW"}[name]
    return judge(equation, f"layer {l}", "autodiff", worst, BOUND, note)


def _diagnose(trials: Sequence[Trial]) -> Diagnosis:
    wrong = [leaf for leaf in chain(len(trials[0].steps)) if _worst(trials, leaf)[0] > BOUND]
    l, name = wrong[0]
    both = name == "b" and (l, "W") in wrong
    last = l == len(trials[0].steps)
    equation = f"{'BP1' if last else 'BP2'} dZ_{l}" if both else {"b": f"BP3 db_{l}", "W": f"BP4 dW_{l}"}[name]
    cause, remedy, erratum = _named(find_causes(trials, l))
    if cause == UNKNOWN and _single(trials) and max(_worst(trials, leaf)[0] for leaf in wrong) < 1e-3:
        cause, remedy = "float32", "the function computes in single precision; keep the float64 it is given"
    shown = next(t for t in trials if difference(t.given[l - 1][name], t.right[l - 1][name]) > BOUND)
    return Diagnosis(equation, *_entry(shown, wrong[0]), cause, remedy, erratum)


def _named(causes: Sequence[Cause]) -> tuple[str, str, str]:
    """Name, remedy and erratum of one cause, or of two."""
    if not causes:
        return UNKNOWN, "", ""
    slips = [cause.slip for cause in causes]
    names = " and ".join(dict.fromkeys(slip.name for slip in slips))
    return names, "; ".join(slip.text for slip in slips), ", ".join(slip.erratum for slip in slips if slip.erratum)


def _single(trials: Sequence[Trial]) -> bool:
    return any(leaf.dtype.itemsize < 8 for trial in trials for layer in trial.given for leaf in layer.values())


def _entry(shown: Trial, leaf: Leaf) -> tuple[str, tuple[int, ...] | None, float | None, float | None, float | None]:
    """The leaf's name, its worst entry, the two numbers there and their ratio."""
    given, right = shown.given[leaf[0] - 1][leaf[1]], shown.right[leaf[0] - 1][leaf[1]]
    if given.shape != right.shape:
        return leaf_name(leaf), None, None, None, None
    off = np.abs(given - right)
    where = np.unravel_index(np.argmax(np.where(np.isfinite(off), off, np.inf)), off.shape)
    wrong, true = float(given[where]), float(right[where])
    ratio = wrong / true if true else math.inf
    return leaf_name(leaf), tuple(map(int, where)), wrong, true, ratio


# --- when there is no gradient ----------------------------------------------------------------------------------------


def _without_gradient(problem: Problem, backward: Backward, styles: Sequence[str], trouble: NoGradient) -> Diagnosis:
    """Where a product raised, a network whose widths are all equal lets it through and shows what it is."""
    causes: list[Cause] = []
    if isinstance(trouble, Raised):
        for trials in _square_trials(problem, backward, styles):
            wrong = [leaf for leaf in chain(problem.net.depth) if _worst(trials, leaf)[0] > BOUND]
            if wrong and (causes := find_causes(trials, wrong[0][0])):
                break
    cause, remedy, erratum = _named(causes)
    return Diagnosis("", "", None, None, None, None, cause, remedy or str(trouble), erratum)


def _square_trials(problem: Problem, backward: Backward, styles: Sequence[str]) -> Iterator[list[Trial]]:
    """Two draws of a network with all widths 4, with m = 7, then with m = 4 too."""
    net = problem.net
    square = Network((4,) * len(net.sizes), net.activations[:-1], net.activations[-1])
    for m in (7, 4):
        draws = [draw(square, problem.cost, seed, m=m, ids=problem.ids) for seed in (2, 3)]
        kept = [d._replace(l2=problem.l2, examples=problem.examples) for d in draws]
        try:
            yield [trial("a square network", one, backward, styles) for one in kept]
        except NoGradient:
            continue
