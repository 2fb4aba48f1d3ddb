"""The checker notices every planted fault, at every layer, and calls no right gradient wrong."""

import json
import sys

import numpy as np
import pytest

import jaxmlp.evidence.numpy_check.mutants as module
import jaxmlp.evidence.numpy_check.verify_numpy as product
from jaxmlp.errors import InputError
from jaxmlp.evidence.numpy_check.common_mistakes import MISTAKES
from jaxmlp.evidence.numpy_check.mutants import CHECKERS, NETWORKS, mutants
from jaxmlp.evidence.numpy_check.numpy_backprop import CORRECT

SHAPE_FAULTS = {"keepdims missing", "wrong axis", "axis missing", "dW transposed"} | {
    f"{wrong} in place of A_{{l-1}}" for wrong in ("A_l", "Z_{l-1}", "X")
}


@pytest.fixture(scope="module")
def report():
    return mutants(seeds=200)


@pytest.mark.slow
def test_every_fault_is_noticed(report):
    assert report.killed == report.planted >= 40
    assert (report.false_alarms, report.seeds) == (0, 200)
    assert report.passed


@pytest.mark.slow
def test_every_mistake_is_planted(report):
    assert {(mistake.name, mistake.equation) for mistake in MISTAKES} <= {
        (row.fault, row.equation) for row in report.rows
    }


@pytest.mark.slow
def test_every_layer_has_faults(report):
    for network, make in NETWORKS.items():
        layers = {row.layer for row in report.rows if row.network == network}
        assert layers == set(range(1, make(0).net.depth + 1))


@pytest.mark.slow
def test_a_missing_transpose_is_planted_at_every_layer_that_passes_something_back(report):
    for fault in ("W not transposed", "elementwise product with Wᵀ"):
        assert {row.layer for row in report.rows if row.fault == fault} == {2, 3, 4}


@pytest.mark.slow
def test_one_direction_misses_what_every_leaf_shows(report):
    subtle = [row for row in report.rows if row.fault == "0.1 % in one entry of db"]
    for checker in CHECKERS[1:]:
        assert report.killed_by(checker) < report.planted
        assert any(row.verdicts[CHECKERS.index(checker)] == "missed" for row in subtle)
        assert report.killed_by(checker) > 0  # the others do look at it


@pytest.mark.slow
def test_errors_are_refused_shapes_alone(report):
    assert {row.fault for row in report.rows if "error" in row.verdicts} <= SHAPE_FAULTS
    assert all(row.verdicts[1:] == ("error",) * 3 for row in report.rows if "error" in row.verdicts)


@pytest.mark.slow
def test_report_as_numbers_and_as_a_table(report):
    numbers = json.loads(json.dumps(report.to_dict()))
    assert numbers["killed"] == numbers["planted"] == len(numbers["rows"])
    assert numbers["false_alarms"] == 0
    assert numbers["rows"][0]["verdicts"]["jaxmlp"] == "killed"
    table = str(report).splitlines()
    assert table[0].split()[:2] == ["equation", "fault"]
    assert table[-3].split() == ["all", *map(str, (report.planted, *map(report.killed_by, CHECKERS)))]
    assert table[-2] == "false alarms of jaxmlp: 0 of 200 correct gradients"
    kinds = {(row.equation, row.fault) for row in report.rows}
    assert len(table) == len(kinds) + 4


# --- the proof of the proof: this can fail ----------------------------------------------------------------------------


@pytest.fixture
def one_network(monkeypatch):
    monkeypatch.setattr(module, "NETWORKS", {"weights": NETWORKS["weights"]})
    monkeypatch.setattr(module, "SATURATED", {})


@pytest.mark.slow
@pytest.mark.usefixtures("one_network")
def test_a_lax_checker_would_be_found_out(monkeypatch):
    monkeypatch.setattr(product, "BOUND", 0.01)  # of verify_numpy: its verdict is the one in the table
    lax = mutants(seeds=1)
    assert lax.killed < lax.planted
    assert not lax.passed


@pytest.mark.usefixtures("one_network")
def test_a_false_alarm_would_be_counted(monkeypatch):
    wrong = CORRECT._replace(bias_gradient=lambda step, dZ: 1.01 * dZ.sum(axis=1, keepdims=True))
    monkeypatch.setattr(module, "CORRECT", wrong)
    monkeypatch.setattr(module, "_faults", lambda problem: ())
    alarmed = mutants(seeds=5)
    assert alarmed.false_alarms == 5
    assert not alarmed.passed


def test_seeds_are_at_least_one():
    with pytest.raises(InputError, match="mutants expects at least one seed, got 0"):
        mutants(seeds=0)


def test_draws_differ_by_seed():
    for make in NETWORKS.values():
        assert not np.array_equal(make(0).X, make(1).X)


def test_sentence_where_chex_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "chex", None)
    with pytest.raises(InputError, match="mutants expects chex, a checker that it compares, got no such package"):
        module._mutants_of("", None, ())  # pyright: ignore[reportArgumentType]
