"""The checker notices every planted fault, at every layer, and calls no right gradient wrong."""

import json

import numpy as np
import pytest

import jaxmlp.evidence.student.mutants as module
import jaxmlp.evidence.student.verify_numpy as product
from jaxmlp.errors import InputError
from jaxmlp.evidence.student.loop import RIGHT
from jaxmlp.evidence.student.mutants import CHECKERS, NETWORKS, mutants
from jaxmlp.evidence.student.slips import SLIPS

SHAPE_FAULTS = {"keepdims missing", "wrong axis", "axis missing", "dW transposed"} | {
    f"{wrong} for A_{{l-1}}" for wrong in ("A_l", "Z_{l-1}", "X")
}


@pytest.fixture(scope="module")
def report():
    return mutants(seeds=200)


def test_every_fault_is_noticed(report):
    assert report.killed == report.planted >= 40
    assert (report.false_alarms, report.seeds) == (0, 200)
    assert report.passed


def test_every_slip_is_planted(report):
    assert {(slip.name, slip.equation) for slip in SLIPS} <= {(row.fault, row.equation) for row in report.rows}


def test_every_layer_has_faults(report):
    for network, make in NETWORKS.items():
        layers = {row.layer for row in report.rows if row.network == network}
        assert layers == set(range(1, make(0).net.depth + 1))


def test_a_missing_transpose_is_planted_at_every_layer_that_passes_something_back(report):
    for fault in ("W not transposed", "elementwise product with Wᵀ"):
        assert {row.layer for row in report.rows if row.fault == fault} == {2, 3, 4}


def test_one_direction_misses_what_every_leaf_shows(report):
    subtle = [row for row in report.rows if row.fault == "0.1 % in one entry of db"]
    for checker in CHECKERS[1:]:
        assert report.killed_by(checker) < report.planted
        assert any(row.verdicts[CHECKERS.index(checker)] == "missed" for row in subtle)
        assert report.killed_by(checker) > 0  # the others do look at it


def test_errors_are_refused_shapes_alone(report):
    assert {row.fault for row in report.rows if "error" in row.verdicts} <= SHAPE_FAULTS
    assert all(row.verdicts[1:] == ("error",) * 3 for row in report.rows if "error" in row.verdicts)


def test_report_as_numbers_and_as_a_table(report):
    numbers = json.loads(json.dumps(report.to_dict()))
    assert numbers["killed"] == numbers["planted"] == len(numbers["rows"])
    assert numbers["false_alarms"] == 0
    assert numbers["rows"][0]["verdicts"]["jaxmlp"] == "killed"
    table = str(report).splitlines()
    assert table[0].split()[:2] == ["equation", "fault"]
    assert table[-3].split() == ["all", *map(str, (report.planted, *map(report.killed_by, CHECKERS)))]
    assert table[-2] == "false alarms of jaxmlp: 0 of 200 right gradients"
    kinds = {(row.equation, row.fault) for row in report.rows}
    assert len(table) == len(kinds) + 4


# --- the proof of the proof: this can fail ----------------------------------------------------------------------------


@pytest.fixture
def one_network(monkeypatch):
    monkeypatch.setattr(module, "NETWORKS", {"weights": NETWORKS["weights"]})
    monkeypatch.setattr(module, "SATURATED", {})


@pytest.mark.usefixtures("one_network")
def test_a_lax_checker_would_be_found_out(monkeypatch):
    monkeypatch.setattr(product, "BOUND", 0.01)  # of verify_numpy: its verdict is the one in the table
    lax = mutants(seeds=1)
    assert lax.killed < lax.planted
    assert not lax.passed


@pytest.mark.usefixtures("one_network")
def test_a_false_alarm_would_be_counted(monkeypatch):
    wrong = RIGHT._replace(bias=lambda step, dZ: 1.01 * dZ.sum(axis=1, keepdims=True))
    monkeypatch.setattr(module, "RIGHT", wrong)
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
