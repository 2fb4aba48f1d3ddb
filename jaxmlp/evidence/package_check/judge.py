"""Judge one rule: draw its arguments, ask `check_vjp`, and put the answer in one row.

PASS          a gradient has been confirmed and nothing failed
FAIL          a row of `check_vjp` failed; the note has the first
NOT JUDGED    no call of the rule is known, or no witness could confirm its gradient; the note has the reason
"""

from dataclasses import replace
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmlp.errors import InputError
from jaxmlp.evidence.certificate import MAX_SHOWN, Row
from jaxmlp.evidence.package_check.discover import rule_within
from jaxmlp.evidence.package_check.draw import CallArguments, describe_arguments, draw_arguments
from jaxmlp.evidence.package_check.recording import RecordedCall
from jaxmlp.evidence.vjp_check.arguments import has_dtype
from jaxmlp.evidence.vjp_check.check_vjp import check_vjp
from jaxmlp.evidence.vjp_check.report import RuleCertificate
from jaxmlp.evidence.vjp_check.rule_under_test import Failure, attempt, error_summary

RuleVerdict = Literal["PASS", "FAIL", "NOT JUDGED"]
SECONDS_PER_RULE = 10.0  # after which check_vjp starts no new row
MAX_NOTE = 300


class RuleRow(NamedTuple):
    """One rule: its name and form, the verdict, the arguments of the call, and the reason in a few words."""

    rule: str
    form: str
    verdict: RuleVerdict
    arguments: str = ""
    note: str = ""


class RuleReport(NamedTuple):
    """The rows of a package or a test suite.

    >>> print(RuleReport("rules of demo", (RuleRow("demo.f", "custom_vjp", "PASS", "float32[3]"),)))
    rules of demo
    demo.f  custom_vjp  PASS  float32[3]
    1 rule: 1 PASS, 0 FAIL, 0 NOT JUDGED
    """

    title: str
    rows: tuple[RuleRow, ...]
    failed_imports: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether no rule failed."""
        return not any(row.verdict == "FAIL" for row in self.rows)

    def summary(self) -> str:
        """Return the counts in one line."""
        verdicts = [row.verdict for row in self.rows]
        counts = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in ("PASS", "FAIL", "NOT JUDGED"))
        return f"{len(verdicts)} rule{'s' * (len(verdicts) != 1)}: {counts}"

    def to_dict(self) -> dict[str, Any]:
        """Return texts and counts."""
        return {
            "title": self.title,
            "passed": self.passed,
            "rows": [row._asdict() for row in self.rows],
            "failed_imports": list(self.failed_imports),
        }

    def __str__(self) -> str:
        lines = ["  ".join(filter(None, row)) for row in self.rows]
        return "\n".join([self.title, *lines, self.summary()])

    def __repr__(self) -> str:
        """Return the title, what failed and the counts; `print` shows every row."""
        failed = ["  ".join(filter(None, row)) for row in self.rows if row.verdict == "FAIL"]
        return "\n".join([self.title, *failed[:MAX_SHOWN], self.summary()])


def judge_rule(
    name: str, form: str, function: Any, recorded: RecordedCall | None = None, time_limit: float = SECONDS_PER_RULE
) -> RuleRow:
    """Return the row of a rule.

    Args:
      name, form: the first two columns.
      function: the rule, or what calls it.
      recorded: a call of it, where there is one.
      time_limit: seconds after which `check_vjp` starts no new row.

    >>> import jax
    >>> judge_rule("relu", "custom_jvp", jax.nn.relu, time_limit=0.0).verdict
    'PASS'
    """
    if _is_unfinished(function):
        return RuleRow(name, form, "NOT JUDGED", "", "the rule has no derivative: it is defined and never given one")
    args = draw_arguments(function, recorded)
    if args is None:
        return RuleRow(name, form, "NOT JUDGED", "", "no arguments of the table fit: record a call in a test")
    text = describe_arguments(args)
    # arrays in float64 would contradict a dtype among the arguments
    dtype = None if any(map(_is_dtype, args)) else "float64"
    is_guess = recorded is None or not recorded.has_values
    report = attempt(lambda: check_vjp(function, *args, dtype=dtype, time_limit=time_limit))
    may_be_of_one_dtype = is_guess or any(map(callable, jax.tree.leaves(args)))
    if dtype and (isinstance(report, Failure) or (may_be_of_one_dtype and _raises(report))):
        report = _in_dtypes_of_call(function, args, time_limit) or report
    if isinstance(report, Failure):
        return RuleRow(name, form, "NOT JUDGED", text, _cut(_reason(report.error)))
    verdict, note = _verdict(report)
    if is_guess and _raises(report):
        # the first row has only run the gradient, which may expect what no table can know
        verdict, note = (
            "NOT JUDGED",
            f"with these arguments, which are a guess, the gradient raises {report.failures[0].note}",
        )
    if verdict == "FAIL" and _has_random_key(args):
        # the derivative of a sampler by its parameters is often an implicit one: right on average over the keys, and
        # no derivative of the number that one key gives
        verdict, note = "NOT JUDGED", f"draws random numbers, so that autodiff of one draw is no witness: {note}"
    if verdict == "FAIL" and attempt(lambda: _expects_dependent_arguments(function, args)) is True:
        # such as (matrix, its Cholesky factor): f reads the factor, and the derivative is that by the matrix
        remedy = "give a function of the first one alone to jaxmlp.check_vjp"
        verdict = "NOT JUDGED"
        note = f"the rule seems to assume that one argument is computed from another: {remedy}"
    return RuleRow(name, form, verdict, text, _cut(note))


def _in_dtypes_of_call(function: Any, args: CallArguments, time_limit: float) -> RuleCertificate | None:
    """Return the check in the dtypes of the call; None where the gradient does not run in these either.

    A function among the arguments may hold arrays of its own, or be traced for one dtype: it runs in no other.
    """
    report = attempt(lambda: check_vjp(function, *args, dtype=None, time_limit=time_limit))
    if isinstance(report, Failure) or _raises(report):
        return None
    # without "in float32" and "in bfloat16": a call that runs in its own dtypes only says nothing about others
    return replace(report, rows=tuple(row for row in report.rows if not row.check.startswith("in ")))


def _expects_dependent_arguments(function: Any, args: CallArguments) -> bool:
    """Whether one array has a gradient but no effect on f, and another has an effect but no gradient.

    The rule then assumes that the second array is computed from the first, and arrays drawn one by one are not.
    """
    leaves, tree = jax.tree.flatten(args)
    places = [i for i, leaf in enumerate(leaves) if has_dtype(leaf) and jnp.issubdtype(leaf.dtype, jnp.inexact)]

    def f(*real: Any) -> Any:
        replaced = dict(zip(places, real, strict=True))
        return function(*jax.tree.unflatten(tree, [replaced.get(i, leaf) for i, leaf in enumerate(leaves)]))

    real = [jnp.asarray(leaves[i]) for i in places]
    outputs, pullback = jax.vjp(f, *real)
    gradients = pullback(jax.tree.map(jnp.ones_like, outputs))
    # two moves that also change zeros, numbers of few bits and what f rounds
    moves = (lambda x: x * 1.25 + 0.125, lambda x: 2 * x + 1)
    is_read = [
        any(not _all_equal(outputs, f(*(move(x) if i == k else x for k, x in enumerate(real)))) for move in moves)
        for i in range(len(real))
    ]
    has_gradient = [bool(jnp.any(gradient != 0)) for gradient in gradients]
    pairs = list(zip(is_read, has_gradient, strict=True))
    return (False, True) in pairs and (True, False) in pairs


def _all_equal(a: Any, b: Any) -> bool:
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.array_equal(x, y, equal_nan=True) for x, y in pairs)


def _raises(report: RuleCertificate) -> bool:
    """Whether the gradient could not be run at all."""
    # check_vjp runs the gradient once before everything else, under this name
    return bool(report.failures) and report.failures[0][:3] == ("gradient", "", "jax.vjp")


def _is_dtype(arg: object) -> bool:
    return isinstance(arg, np.dtype) or (isinstance(arg, type) and hasattr(arg, "dtype"))


def _has_random_key(args: CallArguments) -> bool:
    leaves = [leaf for leaf in jax.tree.leaves(args) if has_dtype(leaf)]
    return any(jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) for leaf in leaves)


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, InputError) else error_summary(error)


def _verdict(report: RuleCertificate) -> tuple[RuleVerdict, str]:
    failures = list(report.failures)
    if failures:
        more = f" (and {len(failures) - 1} more rows)" if len(failures) > 1 else ""
        return "FAIL", _row_text(failures[0]) + more
    if report.gradient_is_confirmed:
        return "PASS", ""
    reason = next((_row_text(row) for row in report.unchecked), "none of its rows was decided")
    return "NOT JUDGED", f"no witness: {reason}"


def _is_unfinished(function: object) -> bool:
    """Whether a rule waits for its `defvjp` or `defjvp`."""
    rule = rule_within(function)
    # the default is not None, so that an object without the attribute counts as finished
    return rule is not None and getattr(rule[1], "fwd" if rule[0] == "custom_vjp" else "jvp", rule) is None


def _row_text(row: Row) -> str:
    difference = "" if row.difference is None else f"{row.difference:.1e}"
    return "  ".join(filter(None, (row.check, row.where, row.witness, difference, row.note)))


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_NOTE else line[: MAX_NOTE - 1] + "…"
