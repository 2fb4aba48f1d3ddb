"""Digits against 50 digits: every formula is asked, and one that loses its tail fails."""

import json

import jax.numpy as jnp
import pytest

from jaxmlp.cli import main
from jaxmlp.cli import precise as command
from jaxmlp.errors import InputError, MissingPackageError
from jaxmlp.evidence.precise_check import precise, reference
from jaxmlp.evidence.precise_check.precise import verify_precise
from jaxmlp.nn import activations, costs

pytest.importorskip("mpmath")


@pytest.fixture(scope="module")
def report():
    return verify_precise(points=12)


@pytest.mark.slow
def test_slopes_keep_their_digits(report):
    assert report.passed
    assert all(row.ulps <= 8 for row in report.rows if row.quantity == "g'")
    assert all(row.points > 10 for row in report.rows if row.quantity == "g" and row.where != "step")


@pytest.mark.slow
def test_every_activation_and_cost_is_asked_or_named(report, monkeypatch, capsys):
    names = {row.where.partition("(")[0].partition(",")[0] for row in report.rows}
    assert names | set(report.without_reference) == {*activations.ACTIVATIONS, *costs.COSTS}
    assert {"sigmoid", "softmax", "gelu", "poisson"} <= names
    monkeypatch.setitem(activations.ACTIVATIONS, "cube", activations.activation("cube", lambda Z: Z**3))
    partial = verify_precise(points=2)
    assert partial.without_reference == (*report.without_reference, "cube")
    monkeypatch.setattr(command, "verify_precise", lambda: partial)
    assert main.run(["verify", "--precise"]) == 0
    assert "without a reference in 50 digits: cube" in capsys.readouterr().out


@pytest.mark.slow
def test_what_training_loses_in_the_tails_is_told(report):
    lost = {row.where for row in report.rows if row.quantity == "g' in training" and row.ulps > 8}
    assert lost == {"sigmoid", "tanh", "gelu", "softmax"}


def test_delta_loses_no_digit_but_those_that_a_has_not(report):
    rows = {(row.where, row.quantity, row.dtype): row for row in report.rows if row.quantity in ("δ", "a - y")}
    beside = [row for row in rows.values() if row.quantity == "a - y"]
    assert len(beside) == 2 * 2 * 3  # dtypes, labels, costs
    assert all(row.bound == 8 and row.passed for row in beside)
    # at y = 1 the δ of the far tail is 0 instead of -σ(-z): all its own digits are lost, none of those of a
    for cost in ("binary_cross_entropy, sigmoid", "categorical_cross_entropy, softmax"):
        for dtype, digits in (("float64", 52), ("float32", 23)):
            tail = rows[f"{cost}, y = 1", "δ", dtype]
            assert tail.ulps >= 2.0 ** (digits - 1)
            assert tail.got == 0 > tail.expected > -(2.0 ** -(digits + 1))
            assert rows[f"{cost}, y = 0", "δ", dtype].ulps <= 8


@pytest.mark.slow
def test_a_delta_that_is_wrong_in_the_tail_fails(monkeypatch):
    right = costs.binary_cross_entropy
    cut = right._replace(delta=lambda g, Z, Y: jnp.where(jnp.abs(Z) > 12, 0, right.delta(g, Z, Y)))
    monkeypatch.setitem(costs.COSTS, "binary_cross_entropy", cut)
    monkeypatch.setattr(precise, "RANGES", {"float32": 87.0})
    failures = [row for row in verify_precise(points=2).rows if not row.passed]
    assert {(row.where, row.quantity) for row in failures} == {
        (f"binary_cross_entropy, sigmoid, y = {y}", "a - y") for y in (0, 1)
    }


@pytest.mark.slow
def test_a_slope_that_loses_its_tail_fails_and_nan_is_an_infinite_error(monkeypatch):
    A = activations.sigmoid.apply
    textbook = activations.sigmoid._replace(slope=lambda Z: A(Z) * (1 - A(Z)))
    monkeypatch.setitem(activations.ACTIVATIONS, "sigmoid", textbook)
    monkeypatch.setitem(activations.ACTIVATIONS, "tanh", activations.tanh._replace(slope=lambda Z: Z * jnp.nan))
    failures = [row for row in verify_precise(points=2).rows if not row.passed]
    assert [(row.where, row.dtype) for row in failures] == [
        (name, dtype) for dtype in precise.RANGES for name in ("sigmoid", "tanh")
    ]
    assert [row.ulps == float("inf") for row in failures] == [False, True] * 2
    assert all(row.z > 10 for row in failures if row.where == "sigmoid")


def test_mistakes_are_sentences(monkeypatch, capsys):
    with pytest.raises(InputError, match="at least 2 points, got 1"):
        verify_precise(points=1)
    assert main.run(["verify", "--precise", "--device"]) == 2
    assert "error: --precise expects no other check, got another one: run them in turn" in capsys.readouterr().err
    monkeypatch.setitem(__import__("sys").modules, "mpmath", None)
    with pytest.raises(MissingPackageError, match="pip install mpmath"):
        reference.load_mpmath()


def test_the_command_prints_a_table_and_json(report, monkeypatch, capsys):
    monkeypatch.setattr(command, "verify_precise", lambda: report)
    assert main.run(["verify", "--precise"]) == 0
    out = capsys.readouterr().out
    n = sum(row.bound is not None for row in report.rows)
    assert f"g' and a - y within 8 ulps: {n} of {n}" in out
    assert main.run(["verify", "--precise", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["passed"]
    assert answer["rows"][0].keys() >= {"quantity", "where", "dtype", "ulps", "z"}
    worse = report._replace(rows=(report.rows[0]._replace(bound=0.0, ulps=1.0),))
    monkeypatch.setattr(command, "verify_precise", lambda: worse)
    assert main.run(["verify", "--precise"]) == 1
    assert precise.RANGES.keys() == {"float64", "float32"}
