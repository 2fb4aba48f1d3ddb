"""Mutants: who notices a wrong gradient? The checker proves itself on faults that were planted.

    killed          the checker said that the gradient is wrong
    missed          it did not
    error           it stopped for another reason: JAX itself refuses the shape of a cotangent, say. That is no verdict
    false alarm     a right gradient called wrong

Every slip of the table is planted in the textbook's loop, in every network below where it can be written, at every
layer; then come faults too small to be anybody's slip. Four checkers look at each, on one batch: ours, the certificate
of `verify_numpy`, which compares every leaf with autodiff in float64; `jax.test_util.check_grads` in float32 and in
float64, which compares one random direction with a central difference; and `chex.assert_numerical_grads`, which calls
the same with wider bounds. The other three get the faulty gradient as the rule of a `custom_vjp` of J, and their own
default tolerances.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray as Array

from jaxmlp.errors import InputError, sentence
from jaxmlp.evidence.formulas import Layers
from jaxmlp.evidence.student.causes import places, slipped
from jaxmlp.evidence.student.loop import RIGHT, Equations, Problem, Step, backward_with, forward
from jaxmlp.evidence.student.slips import SLIPS
from jaxmlp.evidence.student.trials import Backward, at_kinks, checked, draw
from jaxmlp.evidence.student.verify_numpy import examine
from jaxmlp.nn.backprop import AUTODIFF, evaluate
from jaxmlp.nn.network import Network
from jaxmlp.nn.objective import Batch, Objective

Verdict = Literal["killed", "missed", "error"]
CHECKERS = ("jaxmlp", "check_grads float32", "check_grads float64", "chex")


class Mutant(NamedTuple):
    """A fault, where it was planted, and the verdict of every checker, in the order of `CHECKERS`."""

    fault: str
    equation: str
    erratum: str
    network: str
    layer: int
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True)
class MutantsReport:
    """Which checker noticed which fault.

    Attributes:
      rows: a row per planted fault.
      seeds: how many right gradients were looked at.
      false_alarms: how many of them ours called wrong.

    >>> row = Mutant("sign", "BP4", "", "binary", 2, ("killed", "killed", "killed", "missed"))
    >>> report = MutantsReport((row,), seeds=200, false_alarms=0)
    >>> report.killed, report.planted, report.passed, report.killed_by("chex")
    (1, 1, True, 0)
    """

    rows: tuple[Mutant, ...]
    seeds: int
    false_alarms: int

    @property
    def planted(self) -> int:
        """How many faults were planted."""
        return len(self.rows)

    @property
    def killed(self) -> int:
        """How many of them ours noticed."""
        return self.killed_by("jaxmlp")

    @property
    def passed(self) -> bool:
        """Whether ours noticed all, without a false alarm."""
        return self.killed == self.planted and not self.false_alarms

    def killed_by(self, checker: str) -> int:
        """How many faults a checker noticed."""
        return _killed(self.rows)[CHECKERS.index(checker)]

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and texts: the totals, and a row per fault."""
        return {
            "passed": self.passed,
            "planted": self.planted,
            "killed": self.killed,
            "false_alarms": self.false_alarms,
            "seeds": self.seeds,
            "killed_by": {checker: self.killed_by(checker) for checker in CHECKERS},
            "rows": [row._asdict() | {"verdicts": dict(zip(CHECKERS, row.verdicts, strict=True))} for row in self.rows],
        }

    def __str__(self) -> str:
        kinds: dict[tuple[str, str, str], list[Mutant]] = {}
        for row in sorted(self.rows, key=lambda row: row.equation):
            kinds.setdefault((row.equation, row.fault, row.erratum), []).append(row)
        lines = [("equation", "fault", "", "planted", *CHECKERS)]
        lines += [(*kind, str(len(rows)), *map(str, _killed(rows))) for kind, rows in kinds.items()]
        lines.append(("", "all", "", str(self.planted), *map(str, _killed(self.rows))))
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        table = "\n".join("  ".join(map(_cell, line, widths, range(len(line)))).rstrip() for line in lines)
        errors = sum("error" in row.verdicts for row in self.rows)
        return (
            f"{table}\nfalse alarms of jaxmlp: {self.false_alarms} of {self.seeds} right gradients\n"
            f"{errors} faults have a shape that JAX refuses: an error, which is nobody's verdict"
        )


def _cell(text: str, width: int, column: int) -> str:
    return text.ljust(width) if column < 3 else text.rjust(width)


def _killed(rows: Sequence[Mutant]) -> list[int]:
    counts = Counter(i for row in rows for i, verdict in enumerate(row.verdicts) if verdict == "killed")
    return [counts[i] for i in range(len(CHECKERS))]


# --- the networks -----------------------------------------------------------------------------------------------------

Maker = Callable[[int], Problem]  # seed -> parameters and a batch


def _plain(net: Network, cost: str, **more: Any) -> Maker:
    return lambda seed: draw(net, cost, seed, **more)


def _penalised(seed: int) -> Problem:
    return draw(Network((4, 3, 5), "elu(0.5)", "softmax"), "categorical_cross_entropy", seed, ids=True)._replace(l2=0.7)


def _weighted(seed: int) -> Problem:
    problem = draw(Network((3, 4, 2), "silu", "sigmoid"), "binary_cross_entropy", seed)
    return problem._replace(weights=np.random.default_rng(seed).uniform(0.5, 3, (1, problem.m)))


def _saturated(seed: int) -> Problem:
    problem = draw(Network((3, 1), (), "sigmoid"), "binary_cross_entropy", seed)
    return problem._replace(X=1000 * problem.X)


# Widths that differ show a missing transpose by its shape; equal ones, and as many examples, hide it from the shapes.
NETWORKS: dict[str, Maker] = {
    "binary": _plain(Network((3, 5, 4, 1), ("tanh", "sigmoid"), "sigmoid"), "binary_cross_entropy"),
    "softmax, quadratic": _plain(Network((3, 5, 4), "leaky_relu(0.2)", "softmax"), "quadratic"),
    "class ids, L2": _penalised,
    "relu at 0": lambda seed: at_kinks(draw(Network((3, 5, 4, 2), "relu", "identity"), "quadratic", seed)),
    "maxout, tied": lambda seed: at_kinks(draw(Network((3, 4, 2), "maxout(2)", "identity"), "quadratic", seed)),
    "weights": _weighted,
    "square, m = width": _plain(Network((4, 4, 4, 4, 4), "tanh", "sigmoid"), "quadratic", m=4),
}
SATURATED = {"saturated": _saturated}  # here the right gradient is 0 but for rounding: good for one fault alone


# --- the faults -------------------------------------------------------------------------------------------------------


class Fault(NamedTuple):
    """A wrong backward pass of a problem."""

    name: str
    equation: str
    erratum: str
    layer: int
    backward: Backward


def _student(problem: Problem, equations: Callable[[Step], Equations]) -> Backward:
    """A student's function that goes by these equations."""

    def backward(params: Any, X: Array, Y: Array, weights: Array | None = None) -> Layers:
        return backward_with(equations, forward(problem._replace(params=params, X=X, Y=Y, weights=weights)))

    return backward


def _faults(problem: Problem) -> Iterator[Fault]:
    """Every slip at every layer where NumPy lets it through, then the small ones."""
    steps = forward(problem)
    for slip in SLIPS:
        for layer in places(slip, [steps]):
            if layer is not None and slipped(slip, steps, layer) is not None:
                wrong = slip.plant(RIGHT)
                student = _student(problem, lambda step, at=layer, wrong=wrong: wrong if step.l == at else RIGHT)
                yield Fault(slip.name, slip.equation, slip.erratum, layer, student)
    for l in range(1, len(steps) + 1):
        yield Fault("0.1 % in one entry of db", "BP3", "", l, _changed(problem, l, "b", _one_entry))
        yield Fault("0.1 % in one entry of dW", "BP4", "", l, _changed(problem, l, "W", _one_entry))
        yield Fault("dW 0.1 % too large", "BP4", "", l, _changed(problem, l, "W", lambda leaf: 1.001))
        yield Fault("db forgotten", "BP3", "", l, _changed(problem, l, "b", lambda leaf: 0.0))


def _one_entry(leaf: Array) -> Array:
    """1.001 at the largest entry, else 1."""
    return np.where(np.abs(leaf) == np.abs(leaf).max(), 1.001, 1.0)


def _changed(problem: Problem, l: int, name: str, factor: Callable[[Array], Any]) -> Backward:
    """A student who goes by the right equations, and whose leaf is then multiplied by a factor."""

    def backward(*given: Any) -> Layers:
        gradient = _student(problem, lambda step: RIGHT)(*given)
        gradient[l - 1][name] = gradient[l - 1][name] * factor(gradient[l - 1][name])
        return gradient

    return backward


# --- the checkers -----------------------------------------------------------------------------------------------------


def _ours(problem: Problem, backward: Backward) -> bool:
    """Whether the certificate of `verify_numpy` says on this batch that something is wrong."""
    return not examine(problem.net, {"the given batch": problem}, backward, ("pytree",))[0].passed


def _cost(params: Any, batch: Batch, net: Network, objective: Objective) -> jax.Array:
    return evaluate(params, batch, net, objective, AUTODIFF)[0]


_value = jax.jit(_cost)


def _as_rule(problem: Problem, gradient: Layers, dtype: Any) -> tuple[Callable[..., jax.Array], list[jax.Array]]:
    """J as a function of its leaves, differentiated by the faulty gradient, and the leaves."""
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), problem.params)
    batch, objective = checked(problem._replace(params=params))
    leaves, tree = jax.tree.flatten(params)
    wrong = [jnp.asarray(leaf, dtype) for leaf in jax.tree.leaves(gradient)]

    @jax.custom_vjp
    def J(*leaves: jax.Array) -> jax.Array:
        return _value(tree.unflatten(leaves), batch, problem.net, objective)

    J.defvjp(lambda *leaves: (J(*leaves), None), lambda _, dJ: tuple(dJ * leaf for leaf in wrong))
    return J, leaves


def _verdict(check: Callable[..., None], problem: Problem, gradient: Layers, x64: bool) -> Verdict:
    """What an assertion says about the faulty rule; an exception that is not its assertion is no verdict."""
    # the checkers of others mix dtypes, which a process may have forbidden
    with jax.enable_x64(x64), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        J, leaves = _as_rule(problem, gradient, np.float64 if x64 else np.float32)
        try:
            check(J, tuple(leaves), order=1, modes=["rev"])  # a custom_vjp has no forward mode
        except AssertionError:
            return "killed"
        except (TypeError, ValueError):
            return "error"
    return "missed"


# --- the whole --------------------------------------------------------------------------------------------------------


def _look(network: str, problem: Problem, faults: Sequence[Fault]) -> list[Mutant]:
    """The four verdicts on every fault of one network."""
    import chex
    import jax.test_util

    others = (
        (jax.test_util.check_grads, False),
        (jax.test_util.check_grads, True),
        (chex.assert_numerical_grads, False),
    )
    rows = []
    for fault in faults:
        ours: Verdict = "killed" if _ours(problem, fault.backward) else "missed"
        gradient = fault.backward(problem.params, problem.X, problem.Y, problem.weights)
        theirs: list[Verdict] = [_verdict(check, problem, gradient, x64) for check, x64 in others]
        rows.append(Mutant(fault.name, fault.equation, fault.erratum, network, fault.layer, (ours, *theirs)))
    return rows


def mutants(seeds: int = 200) -> MutantsReport:
    """Plant every known fault and let four checkers look; then look at right gradients for false alarms.

    Args:
      seeds: how many right gradients, spread over the networks.

    Returns:
      A report with `.rows`, `.planted`, `.killed`, `.false_alarms`, `.to_dict()` and a table.

    Raises:
      InputError: for less than one seed.

    Source: mutation testing, DeMillo, Lipton and Sayward 1978.
    """
    if seeds < 1:
        raise InputError(sentence("mutants", "at least one seed", seeds, "200 take a minute at most"))
    rows: list[Mutant] = []
    alarms = 0
    for i, (network, make) in enumerate(NETWORKS.items()):
        problems = [make(seed) for seed in range(i, max(seeds, i + 1), len(NETWORKS))]
        rows += _look(network, problems[0], tuple(_faults(problems[0])))
        if i < seeds:
            alarms += sum(_ours(problem, _student(problem, lambda step: RIGHT)) for problem in problems)
    for network, make in SATURATED.items():
        problem = make(0)
        faults = [fault for fault in _faults(problem) if fault.erratum == "E11"]
        rows += _look(network, problem, faults)
    return MutantsReport(tuple(rows), seeds, alarms)
