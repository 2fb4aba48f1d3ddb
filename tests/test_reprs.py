"""What a notebook shows of a result is a few lines: what counts, and never the arrays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmlp
from jaxmlp.evidence.certificate import MAX_SHOWN, Certificate, judge
from jaxmlp.evidence.numpy_check.mutants import Mutant, MutantsReport
from jaxmlp.evidence.package_check.judge import RuleReport, RuleRow
from jaxmlp.evidence.precise_check.precise import DigitsReport, DigitsRow

NET = jaxmlp.Network((2, 8, 1), "tanh", "sigmoid")


@pytest.fixture(scope="module")
def xor():
    return jaxmlp.load("xor")


def test_a_population_shows_its_leaderboard(xor):
    rates = [0.05, 1e-6, 0.02]
    population = jaxmlp.fit_many(
        NET, xor, seeds=2, epochs=20, batch_size="full", grid={"learning_rate": rates}, strategy="vmap"
    )
    title, *lines = repr(population).splitlines()
    assert title == "Population(6 networks, by cost:"
    assert [line.split(":")[0] for line in lines] == [
        f"  2-8-1 tanh, learning_rate {rate}" for rate in ("0.05", "0.02", "1e-06")
    ]
    best = population.leaderboard[0]
    assert lines[0].endswith(f": {best.mean:.4g} ± {best.spread:.2g}, accuracy {best.accuracy:.2%}, 2 runs")
    assert lines[-1].endswith(")")
    member = repr(population.members[0])
    assert member.startswith("Member(MemberSpec(net=Network(sizes=(2, 8, 1)")
    assert "last: Report(cost=" in member
    assert "array" not in member


def test_a_population_of_many_settings_is_cut_and_says_what_diverged(xor):
    rates = [*np.linspace(0.01, 0.05, 11), 1e39]  # 1e39 is beyond float32
    population = jaxmlp.fit_many(
        NET,
        xor,
        epochs=5,
        precision="float32",
        batch_size="full",
        optimizer="sgd",
        grid={"learning_rate": rates},
        strategy="vmap",
    )
    lines = repr(population).splitlines()
    assert len(lines) == 12
    assert lines[-1] == "  and 2 more)"
    diverged = population.leaderboard[-1]
    assert str(diverged) == "2-8-1 tanh, learning_rate 1e+39: 1 run, 1 diverged"
    assert "diverged in epoch" in repr(population.members[diverged.members[0]])


def test_an_ensemble_shows_its_first_model(xor):
    models = tuple(jaxmlp.Model.of(NET, jaxmlp.init(jax.random.key(seed), NET), xor) for seed in range(3))
    assert repr(jaxmlp.Ensemble(models)) == f"Ensemble of 3, the first: {models[0]!r}"


def test_a_range_test_shows_its_suggestion(xor):
    found = jaxmlp.lr_find(NET, xor, batch_size="full", lowest=1e-4, highest=1e-2, steps=20)
    assert repr(found) == f"RangeTest(20 rates from 0.0001 to 0.01, suggestion {found.suggestion:.3g})"


def test_a_certificate_shows_counts_and_what_failed():
    right = [judge("BP3 db", f"layer {l}", "autodiff", 0.0, 1e-12) for l in range(1, 30)]
    assert repr(Certificate("gradients", tuple(right))) == "gradients\n29 checks: 29 PASS, 0 FAIL"
    wrong = [judge("BP4 dW", f"layer {l}", "autodiff", 0.5, 1e-12) for l in range(1, 30)]
    lines = repr(Certificate("gradients", (*right, *wrong))).splitlines()
    assert lines[1] == "BP4 dW  layer 1   autodiff  5.0e-01  FAIL"
    assert len(lines) == 2 + MAX_SHOWN
    assert lines[-1] == "58 checks: 29 PASS, 29 FAIL"


def test_a_check_that_confirmed_no_gradient_says_so():
    report = jaxmlp.check_vjp(jnp.sign, jnp.ones(2), dtype="float32")
    assert report.passed
    assert repr(report).splitlines()[-1] == report.summary()
    unconfirmed = type(report)(report.title, tuple(row for row in report.rows if not row.check.startswith("gradient")))
    for text in (repr(unconfirmed), str(unconfirmed)):
        assert "no gradient has been confirmed: this is not a pass" in text


def test_reports_of_the_other_checks():
    def backward(params, X, Y):
        gradient = jaxmlp.backprop(params, X, Y, NET)[1]
        return tuple({"W": np.asarray(layer["W"]), "b": -np.asarray(layer["b"])} for layer in gradient)

    report = jaxmlp.verify_numpy(backward, net=NET)
    shown = repr(report)
    assert report.diagnosis is not None
    assert "FAIL" in shown
    assert str(report.diagnosis) in shown
    assert "PASS\n" not in shown  # only what failed, and the counts
    row = Mutant("wrong sign", "BP4", "", "binary", 2, ("killed", "killed", "killed", "missed"))
    mutants = MutantsReport((row,) * 5, seeds=200, false_alarms=0)
    assert repr(mutants) == "MutantsReport(5 of 5 faults noticed, 0 false alarms in 200 correct gradients)"
    digits = DigitsRow("g'", "tanh", "float32", 9.0, 1.0, 0.42, 0.41, 10, bound=8.0)
    assert repr(DigitsReport((digits,))) == "DigitsReport(50 digits, rows: 1, 1 FAIL)"
    rows = RuleRow("f", "custom_vjp", "PASS", ""), RuleRow("g", "custom_vjp", "FAIL", "")
    rules = RuleReport("rules of demo", rows)
    assert repr(rules) == "rules of demo\ng  custom_vjp  FAIL\n2 rules: 1 PASS, 1 FAIL, 0 NOT JUDGED"


def test_a_diagnosis_shows_its_findings(xor):
    X, Y = jnp.asarray(xor.train.rows.T), jnp.asarray(xor.train.targets[None, :])
    params = jaxmlp.init(jax.random.key(0), NET)
    assert repr(jaxmlp.diagnose(params, X, Y, NET)).startswith("healthy: 2 layers")
    dead = ({"W": params[0]["W"] * 0, "b": params[0]["b"]}, params[1])
    sick = jaxmlp.diagnose(dead, X, Y, NET)
    assert repr(sick) == str(sick)
    assert "cure:" in repr(sick)
