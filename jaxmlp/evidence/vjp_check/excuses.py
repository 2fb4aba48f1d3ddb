"""Failures that are not the rule's: of a loop that stops early, and of what autodiff cannot do either.

more turns     the difference falls when the loops of f run longer: f itself is exact to a tolerance only
the witness    the same check of the function without its rules differs as much
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from jaxmlp.evidence.certificate import Row
from jaxmlp.evidence.vjp_check.loops import stops_at_a_tolerance, with_more_turns
from jaxmlp.evidence.vjp_check.quick_jit import quick_jit
from jaxmlp.evidence.vjp_check.rule_under_test import (
    Failure,
    RuleUnderTest,
    attempt,
    compiled_pullback,
    pullback,
)

TURNS = (8, 1)  # a solver may divide by a residual of 0 after too many
IMPROVEMENT = 0.25  # the difference must fall to a quarter
SOLVER_BOUND = 5e-4  # a larger difference is no matter of the usual tolerances
LARGEST_ROUNDING = 1e-2  # relative: what differs by more does so for another reason, as a stop_gradient
STOPS_EARLY = "f holds a loop that stops at a tolerance, and is exact to that alone"

Recheck = Callable[[RuleUnderTest], list[Row]]


def excuse_by_tolerance(rule: RuleUnderTest, row: Row, check: Recheck) -> Row:
    """Return a failure as UNDECIDED where more turns of f's loops make it smaller, or where it is small.

    `check` must call `rule.gradient` and the values of `rule.f` alone: with more turns f has no rule.
    """
    if row.verdict != "FAIL" or row.difference is None or not np.isfinite(row.difference):
        return row
    if not stops_at_a_tolerance(rule):
        return row
    for turns in TURNS:
        closer = rule._replace(
            f=with_more_turns(rule.f, turns),
            gradient=quick_jit(with_more_turns(partial(pullback, rule.f), turns)),
        )
        rows = attempt(partial(check, closer))
        if isinstance(rows, Failure):
            continue
        # check, where and witness say which row of the other run it is
        matching = [r for r in rows if r[:3] == row[:3]]
        after = matching[0].difference if matching else None
        if after is not None and after <= IMPROVEMENT * row.difference:
            verdict = "PASS" if matching[0].verdict == "PASS" else "UNDECIDED"
            note = f"{STOPS_EARLY}: after {turns} more turns the difference is {after:.1e}"
            return row._replace(verdict=verdict, note=note)
    if row.difference <= SOLVER_BOUND:
        return row._replace(verdict="UNDECIDED", note=STOPS_EARLY)
    return row


def excuse_by_witness(rule: RuleUnderTest, row: Row, check: Recheck) -> Row:
    """Return a failure as UNDECIDED where the same check of the witness differs by at least a quarter as much."""
    if row.verdict != "FAIL" or row.difference is None or (witness := rule.witness) is None:
        return row
    # the witness itself has none: its own failures would otherwise ask it again, without end
    alone = rule._replace(f=witness, gradient=partial(compiled_pullback, witness), witness=None)
    rows = attempt(lambda: check(alone))
    if isinstance(rows, Failure):
        return row
    other = next((r for r in rows if r[:3] == row[:3]), None)
    if other is None or other.difference is None or other.verdict != "FAIL":
        return row
    if not np.isfinite(row.difference) and not np.isfinite(other.difference):
        return row
    if not row.difference * 0.25 <= other.difference:  # NaN stays a failure
        return row
    if rule.has_reference:
        return row._replace(verdict="UNDECIDED", note=REFERENCE_NOTES.get(row.check, "nor does reference pass"))
    reason = "rounding" if other.difference <= LARGEST_ROUNDING else "the rule is not its cause"
    note = f"autodiff without the rule differs by {other.difference:.1e}: {reason}"
    return row._replace(verdict="UNDECIDED", note=note)


REFERENCE_NOTES = {"linear in the cotangent": "reference is not linear either"}
