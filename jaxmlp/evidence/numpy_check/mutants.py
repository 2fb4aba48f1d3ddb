"""Mutation tests of `verify_numpy`: which checkers notice planted faults in a gradient?

    killed          the checker reports that the gradient is incorrect
    missed          it does not
    error           it stops for another reason, for example because JAX refuses the shape of a cotangent: no verdict
    false alarm     a correct gradient reported as incorrect

Every common mistake is planted in the textbook's loop, in every network below where it is possible, at every layer;
then come faults that are smaller than any mistake. Four checkers run on each, on one batch: the certificate of
`verify_numpy`, which compares every leaf with autodiff in float64; `jax.test_util.check_grads` in float32 and in
float64, which compares one random direction with a central difference; and `chex.assert_numerical_grads`, which calls
the same function with wider bounds. Those three see the faulty gradient as the rule of a `custom_vjp` of J, and use
their own default tolerances.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from numpy import ndarray as Array

from jaxmlp.errors import InputError, sentence
from jaxmlp.evidence.formulas import Layers
from jaxmlp.evidence.numpy_check.common_mistakes import MISTAKES
from jaxmlp.evidence.numpy_check.match_mistake import possible_layers, predict_gradient
from jaxmlp.evidence.numpy_check.numpy_backprop import (
    CORRECT,
    Equations,
    LayerStep,
    Problem,
    forward_steps,
    run_backward,
)
from jaxmlp.evidence.numpy_check.trials import Backward, check_problem, draw_problem, move_to_kinks
from jaxmlp.evidence.numpy_check.verify_numpy import examine
from jaxmlp.fork import refuse_after_fork
from jaxmlp.nn.backprop import evaluate
from jaxmlp.nn.network import Network, Params
from jaxmlp.nn.objective import Batch, Objective
from jaxmlp.nn.rule import AUTODIFF

MutantVerdict = Literal["killed", "missed", "error"]
CHECKERS = ("jaxmlp", "check_grads float32", "check_grads float64", "chex")


class Mutant(NamedTuple):
    """A fault, the place where it was planted, and the verdict of every checker, in the order of `CHECKERS`."""

    fault: str
    equation: str
    erratum: str
    network: str
    layer: int
    verdicts: tuple[MutantVerdict, ...]


@dataclass(frozen=True, repr=False)
class MutantsReport:
    """Which checker noticed which fault.

    Attributes:
      rows: a row per planted fault.
      seeds: how many correct gradients were checked.
      false_alarms: how many of them `verify_numpy` reported as incorrect.

    >>> row = Mutant("wrong sign", "BP4", "", "binary", 2, ("killed", "killed", "killed", "missed"))
    >>> report = MutantsReport((row,), seeds=200, false_alarms=0)
    >>> report.killed, report.planted, report.passed, report.killed_by("chex")
    (1, 1, True, 0)
    """

    rows: tuple[Mutant, ...]
    seeds: int
    false_alarms: int

    @property
    def planted(self) -> int:
        """Return how many faults were planted."""
        return len(self.rows)

    @property
    def killed(self) -> int:
        """Return how many of them `verify_numpy` noticed."""
        return self.killed_by("jaxmlp")

    @property
    def passed(self) -> bool:
        """Whether `verify_numpy` noticed all, without a false alarm."""
        return self.killed == self.planted and not self.false_alarms

    def killed_by(self, checker: str) -> int:
        """Return how many faults a checker noticed."""
        return _count_killed(self.rows)[CHECKERS.index(checker)]

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and texts: the totals, and a row per fault."""
        return {
            "passed": self.passed,
            "planted": self.planted,
            "killed": self.killed,
            "false_alarms": self.false_alarms,
            "seeds": self.seeds,
            "killed_by": {checker: self.killed_by(checker) for checker in CHECKERS},
            "rows": [row._asdict() | {"verdicts": dict(zip(CHECKERS, row.verdicts, strict=True))} for row in self.rows],
        }

    def __repr__(self) -> str:
        """Return the totals; `print` shows the table of all faults."""
        counts = f"{self.killed} of {self.planted} faults noticed"
        return f"MutantsReport({counts}, {self.false_alarms} false alarms in {self.seeds} correct gradients)"

    def __str__(self) -> str:
        groups: dict[tuple[str, str, str], list[Mutant]] = {}
        for row in sorted(self.rows, key=lambda row: row.equation):
            groups.setdefault((row.equation, row.fault, row.erratum), []).append(row)
        lines = [("equation", "fault", "", "planted", *CHECKERS)]
        lines += [(*group, str(len(rows)), *map(str, _count_killed(rows))) for group, rows in groups.items()]
        lines.append(("", "all", "", str(self.planted), *map(str, _count_killed(self.rows))))
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        table = "\n".join("  ".join(map(_align_cell, line, widths, range(len(line)))).rstrip() for line in lines)
        errors = sum("error" in row.verdicts for row in self.rows)
        return (
            f"{table}\nfalse alarms of jaxmlp: {self.false_alarms} of {self.seeds} correct gradients\n"
            f"{errors} faults have a shape that JAX refuses: the other checkers stop with an error, which is no verdict"
        )


def _align_cell(text: str, width: int, column: int) -> str:
    return text.ljust(width) if column < 3 else text.rjust(width)


def _count_killed(rows: Sequence[Mutant]) -> list[int]:
    counts = Counter(i for row in rows for i, verdict in enumerate(row.verdicts) if verdict == "killed")
    return [counts[i] for i in range(len(CHECKERS))]


# --- the networks -----------------------------------------------------------------------------------------------------

ProblemFactory = Callable[[int], Problem]  # seed -> parameters and a batch


def _drawn_from(net: Network, cost: str, m: int | None = None) -> ProblemFactory:
    return lambda seed: draw_problem(net, cost, seed, m=m)


def _with_penalty(seed: int) -> Problem:
    net = Network((4, 3, 5), "elu(0.5)", "softmax")
    return draw_problem(net, "categorical_cross_entropy", seed, ids=True)._replace(l2=0.7)


def _with_weights(seed: int) -> Problem:
    problem = draw_problem(Network((3, 4, 2), "silu", "sigmoid"), "binary_cross_entropy", seed)
    return problem._replace(weights=np.random.default_rng(seed).uniform(0.5, 3, (1, problem.m)))


def _saturated(seed: int) -> Problem:
    problem = draw_problem(Network((3, 1), (), "sigmoid"), "binary_cross_entropy", seed)
    return problem._replace(X=1000 * problem.X)


def _at_kinks(hidden: str, *sizes: int) -> ProblemFactory:
    return lambda seed: move_to_kinks(draw_problem(Network(sizes, hidden, "identity"), "quadratic", seed))


# With different widths a missing transpose shows in the shapes; with equal ones, and as many examples, only the
# numbers show it.
NETWORKS: dict[str, ProblemFactory] = {
    "binary": _drawn_from(Network((3, 5, 4, 1), ("tanh", "sigmoid"), "sigmoid"), "binary_cross_entropy"),
    "softmax, quadratic": _drawn_from(Network((3, 5, 4), "leaky_relu(0.2)", "softmax"), "quadratic"),
    "class ids, L2": _with_penalty,
    "relu at 0": _at_kinks("relu", 3, 5, 4, 2),
    "maxout, tied": _at_kinks("maxout(2)", 3, 4, 2),
    "weights": _with_weights,
    "square, m = width": _drawn_from(Network((4, 4, 4, 4, 4), "tanh", "sigmoid"), "quadratic", m=4),
}
# Here the correct gradient is 0 but for rounding, so that only E11 can be told from it.
SATURATED: dict[str, ProblemFactory] = {"saturated": _saturated}


# --- the faults -------------------------------------------------------------------------------------------------------


class Fault(NamedTuple):
    """An incorrect backward pass of a problem."""

    name: str
    equation: str
    erratum: str
    layer: int
    backward: Backward


def _backward_of(problem: Problem, equations_of: Callable[[LayerStep], Equations]) -> Backward:
    """Return a user's function that computes with these equations."""

    def backward(params: Layers, X: Array, Y: Array, weights: Array | None = None) -> Layers:
        return run_backward(equations_of, forward_steps(problem._replace(params=params, X=X, Y=Y, weights=weights)))

    return backward


def _faults(problem: Problem) -> Iterator[Fault]:
    """Yield every mistake at every layer where NumPy computes it, then the small faults."""
    steps = forward_steps(problem)
    for mistake in MISTAKES:
        for layer in possible_layers(mistake, [steps]):
            if layer is not None and predict_gradient(mistake, steps, layer) is not None:
                incorrect = mistake.change(CORRECT)
                backward = _backward_of(problem, lambda s, at=layer, new=incorrect: new if s.l == at else CORRECT)
                yield Fault(mistake.name, mistake.equation, mistake.erratum, layer, backward)
    for l in range(1, len(steps) + 1):
        yield Fault("0.1 % in one entry of db", "BP3", "", l, _scaled_leaf(problem, l, "b", _one_entry))
        yield Fault("0.1 % in one entry of dW", "BP4", "", l, _scaled_leaf(problem, l, "W", _one_entry))
        yield Fault("dW 0.1 % too large", "BP4", "", l, _scaled_leaf(problem, l, "W", lambda leaf: 1.001))
        yield Fault("db is 0", "BP3", "", l, _scaled_leaf(problem, l, "b", lambda leaf: 0.0))


def _one_entry(leaf: Array) -> Array:
    """Return 1.001 at the largest entry, 1 elsewhere."""
    # the largest entry, so that the fault is 0.1 % of the leaf: in a small one it could be below the bound
    return np.where(np.abs(leaf) == np.abs(leaf).max(), 1.001, 1.0)


def _scaled_leaf(problem: Problem, l: int, name: str, factor: Callable[[Array], Array | float]) -> Backward:
    """Return a function with the correct equations that multiplies one leaf by a factor."""

    def backward(*args: Any) -> Layers:
        gradient = _backward_of(problem, lambda step: CORRECT)(*args)
        gradient[l - 1][name] = gradient[l - 1][name] * factor(gradient[l - 1][name])
        return gradient

    return backward


# --- the checkers -----------------------------------------------------------------------------------------------------


def _is_reported(problem: Problem, backward: Backward) -> bool:
    """Whether the certificate of `verify_numpy` fails on this batch."""
    return not examine(problem.net, {"the given batch": problem}, backward, ("pytree",))[0].passed


@jax.jit
def _cost_by_autodiff(params: Params, batch: Batch, net: Network, objective: Objective) -> jax.Array:
    return evaluate(params, batch, net, objective, AUTODIFF)[0]


def _as_rule(problem: Problem, gradient: Layers, dtype: DTypeLike) -> tuple[Callable[..., jax.Array], list[jax.Array]]:
    """Return J as a function of its leaves with the faulty gradient as its rule, and the leaves."""
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), problem.params)
    batch, objective = check_problem(problem._replace(params=params))
    leaves, tree = jax.tree.flatten(params)
    faulty = [jnp.asarray(leaf, dtype) for leaf in jax.tree.leaves(gradient)]

    @jax.custom_vjp
    def J(*leaves: jax.Array) -> jax.Array:
        return _cost_by_autodiff(tree.unflatten(leaves), batch, problem.net, objective)

    J.defvjp(lambda *leaves: (J(*leaves), None), lambda _, dJ: tuple(dJ * leaf for leaf in faulty))
    return J, leaves


def _verdict_of(check: Callable[..., None], problem: Problem, gradient: Layers, x64: bool) -> MutantVerdict:
    """Return what a checker says about the faulty rule; any exception but its own assertion is no verdict."""
    # these checkers mix dtypes and ranks, which a process may have forbidden
    with jax.enable_x64(x64), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        J, leaves = _as_rule(problem, gradient, np.float64 if x64 else np.float32)
        try:
            check(J, tuple(leaves), order=1, modes=["rev"])  # a custom_vjp has no forward mode
        except AssertionError:
            return "killed"
        except (TypeError, ValueError):
            return "error"
    return "missed"


# --- the report -------------------------------------------------------------------------------------------------------


def _mutants_of(network: str, problem: Problem, faults: Iterable[Fault]) -> list[Mutant]:
    """Return the four verdicts on every fault of one network."""
    # imported here: chex is optional, and only this comparison needs it
    import jax.test_util

    try:
        import chex
    except ImportError as error:
        remedy = "install it with pip install 'jaxmlp[all]'"
        raise InputError(sentence("mutants", "chex, a checker that it compares", "no such package", remedy)) from error

    checkers = (
        (jax.test_util.check_grads, False),
        (jax.test_util.check_grads, True),
        (chex.assert_numerical_grads, False),
    )
    rows = []
    for fault in faults:
        verdict: MutantVerdict = "killed" if _is_reported(problem, fault.backward) else "missed"
        gradient = fault.backward(problem.params, problem.X, problem.Y, problem.weights)
        verdicts: list[MutantVerdict] = [_verdict_of(check, problem, gradient, x64) for check, x64 in checkers]
        rows.append(Mutant(fault.name, fault.equation, fault.erratum, network, fault.layer, (verdict, *verdicts)))
    return rows


def mutants(seeds: int = 200) -> MutantsReport:
    """Plant every known fault and run four checkers; then run ours on correct gradients to count false alarms.

    Args:
      seeds: how many correct gradients, distributed over the networks.

    Returns:
      A report with `.rows`, `.planted`, `.killed`, `.false_alarms`, `.to_dict()` and a table.

    Raises:
      InputError: for less than one seed.

    Source: mutation testing, DeMillo, Lipton and Sayward 1978.
    """
    refuse_after_fork("mutants")
    if seeds < 1:
        raise InputError(sentence("mutants", "at least one seed", seeds, "200 take a minute at most"))
    rows: list[Mutant] = []
    false_alarms = 0
    # seeds are dealt out by turns, so that no two networks share one
    for i, (network, make) in enumerate(NETWORKS.items()):
        # at least one problem per network, to plant the faults in, also for fewer seeds than networks
        problems = [make(seed) for seed in range(i, max(seeds, i + 1), len(NETWORKS))]
        rows += _mutants_of(network, problems[0], _faults(problems[0]))
        if i < seeds:
            correct = [_backward_of(problem, lambda step: CORRECT) for problem in problems]
            false_alarms += sum(map(_is_reported, problems, correct))
    for network, make in SATURATED.items():
        problem = make(0)
        rows += _mutants_of(network, problem, [fault for fault in _faults(problem) if fault.erratum == "E11"])
    return MutantsReport(tuple(rows), seeds, false_alarms)
