"""check-package and `pytest --jaxmlp-vjp`: rules are found, called and judged, and none of them ends the command."""

import json
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmlp.cli import check_package as command
from jaxmlp.cli import main
from jaxmlp.errors import InputError
from jaxmlp.evidence.package_check import check_package as module
from jaxmlp.evidence.package_check.discover import find_rules, rule_within
from jaxmlp.evidence.package_check.draw import describe_arguments, draw_arguments
from jaxmlp.evidence.package_check.judge import RuleReport, RuleRow, judge_rule
from jaxmlp.evidence.package_check.recording import RecordedCall, Recorder, record_rules
from jaxmlp.pytest_plugin import rule_name

RULES = """
    import functools, os, time
    import jax, jax.numpy as jnp

    print("noise on stdout")

    @jax.custom_jvp
    def right(x):
        return jnp.sin(x)
    right.defjvps(lambda t, y, x: t * jnp.cos(x))

    @jax.jit
    @jax.custom_vjp
    def twice(x, y):
        return x * y
    twice.__wrapped__.defvjp(lambda x, y: (x * y, (x, y)), lambda r, u: (2 * u * r[1], u * r[0]))

    @jax.custom_vjp
    def no_rule(x):
        return x * x

    @jax.custom_vjp
    def strange(table):
        return table["a certain key"] * 2
    strange.defvjp(lambda t: (strange(t), None), lambda r, u: ({"a certain key": 2 * u},))

    @jax.custom_jvp
    def told(table):
        '''Double.

        >>> told({"a certain key": jnp.ones(3)}).tolist()
        [2.0, 2.0, 2.0]
        '''
        return table["a certain key"] * 2
    told.defjvp(lambda p, t: (told(*p), 2 * t[0]["a certain key"]))
"""
HARMFUL = """
    import os, time
    import jax

    @jax.custom_vjp
    def crashes(x):
        os._exit(11)
    crashes.defvjp(lambda x: (x, None), lambda r, u: (u,))

    @jax.custom_vjp
    def hangs(x):
        time.sleep(1000)
    hangs.defvjp(lambda x: (x, None), lambda r, u: (u,))
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A package with right, wrong, unfinished and harmful rules, and a module that cannot be imported."""
    folder = tmp_path_factory.mktemp("packages")
    files = {"__init__": "", "rules": RULES, "zz_harmful": HARMFUL, "broken": "raise SystemExit('no GPU here')"}
    (folder / "demo_rules").mkdir()
    for name, text in files.items():
        (folder / "demo_rules" / f"{name}.py").write_text(textwrap.dedent(text), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def report(package):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(package)
        patch.setattr(module, "GRACE_SECONDS", 6.0)
        return module.check_package("demo_rules", time_limit=1.0)


@pytest.mark.slow
def test_every_rule_has_its_row(report):
    verdicts = {row.rule.removeprefix("demo_rules."): row.verdict for row in report.rows}
    assert verdicts == {
        "rules.no_rule": "NOT JUDGED",
        "rules.right": "PASS",
        "rules.strange": "NOT JUDGED",
        "rules.told": "PASS",
        "rules.twice": "FAIL",
        "zz_harmful.crashes": "NOT JUDGED",
        "zz_harmful.hangs": "NOT JUDGED",
    }
    assert not report.passed
    assert report.summary() == "7 rules: 2 PASS, 1 FAIL, 4 NOT JUDGED"


@pytest.mark.slow
def test_every_verdict_has_its_reason(report):
    rows = {row.rule.rpartition(".")[2]: row for row in report.rows}
    assert rows["twice"].form == "custom_vjp"
    assert "2 times the correct gradient" in rows["twice"].note
    assert rows["no_rule"].note == "the rule has no derivative: it is defined and never given one"
    assert "no arguments of the table fit" in rows["strange"].note
    assert "the process ended" in rows["crashes"].note
    assert rows["hangs"].note == "no answer within 7 s"
    assert report.failed_imports == ("demo_rules.broken: SystemExit: no GPU here",)


@pytest.mark.parametrize(
    ("name", "sentence"), [("no_such_package", "No module named"), ("../x", "the name of a package"), ("a-b", "a-b")]
)
def test_a_package_that_is_not_there_is_a_sentence(name, sentence, capsys):
    assert main.run(["check-package", name]) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_prints_a_table_or_json(report, monkeypatch, capsys):
    monkeypatch.setattr(command, "check_package", lambda *_, **__: report)
    assert main.run(["check-package", "demo_rules"]) == 1
    out = capsys.readouterr().out
    assert "not imported: demo_rules.broken: SystemExit: no GPU here" in out
    assert report.summary() in out
    assert main.run(["check-package", "demo_rules", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["rows"][1]["verdict"] == "PASS"
    monkeypatch.setattr(command, "check_package", lambda *_, **__: RuleReport("none", ()))
    assert main.run(["check-package", "demo_rules"]) == 0


# --- parts ------------------------------------------------------------------------------------------------------------


def test_rules_are_found_behind_wrappers_and_of_this_package_alone():
    rule = jax.custom_vjp(lambda x: x)
    assert rule_within(jax.jit(jax.tree_util.Partial(rule))) == ("custom_vjp", rule)
    assert rule_within(jnp.sin) is None
    assert find_rules("jaxmlp.errors").rules == ()
    # relu of JAX is there, too, and the rule of this package is an attribute of a record
    assert [found.name for found in find_rules("jaxmlp.nn.dense").rules] == ["jaxmlp.nn.dense.dense_forward"]


def integer_power(x, n: int):
    return x**n


def log_of_difference(x):
    return jnp.log1p(-jnp.exp(x))


def by_temperature(x, gamma: float):
    if jnp.ndim(gamma):
        raise TypeError("a number")
    return -gamma * jax.nn.logsumexp(x / -gamma)


def by_axis(x, axis):
    return jax.nn.softmax(x, axis=axis)


@pytest.mark.parametrize(
    ("function", "static", "text"),
    [
        (jnp.sqrt, (), "float32[3]"),
        (integer_power, (1,), "float32[3], 2"),
        (by_axis, (1,), "float32[3], 0"),
        (by_temperature, (), "float32[3], float32[]"),
        (log_of_difference, (), "float32[3]"),
        (lambda A, b: jnp.linalg.solve(jnp.linalg.cholesky(A), b), (), "float32[3,3], float32[3]"),
        (lambda f, x: f(x), (0,), "sin, float32[3]"),
        (lambda logits, labels: logits[jnp.arange(4), labels], (), "float32[4,3], int32[4]"),
        (lambda x, dropout_key: x + jax.random.normal(dropout_key, x.shape, x.dtype), (), "float32[3], key<fry>[]"),
        (lambda compute_dtype, x: x.astype(compute_dtype), (0,), "float32, float32[3]"),
        (lambda x, where: jnp.sum(x, where=where), (), "float32[3], bool[3]"),
        (lambda x, key: x + jax.random.normal(key, x.shape, x.dtype), (), "float32[3], key<fry>[]"),
    ],
)
def test_arguments_are_drawn_by_names_hints_and_shapes(function, static, text):
    rule = jax.custom_vjp(function, nondiff_argnums=static) if static else function
    if static:
        rule.defvjp(lambda *args: (function(*args), None), lambda *args: (args[-1],))
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        args = draw_arguments(rule)
    assert args is not None
    assert describe_arguments(args) == text


def test_numbers_are_drawn_where_a_rule_only_got_tracers():
    rule = jax.custom_jvp(lambda x, i: x[i])
    rule.defjvps(lambda t, y, x, i: t[i], None)
    with record_rules(Recorder()) as recorder:
        jax.jit(rule)(jnp.ones((5, 2)), jnp.array([0, 1]))
    (call,) = recorder.calls.values()
    assert not call.has_values
    args = draw_arguments(rule, call)
    assert args is not None
    assert [(a.shape, a.dtype) for a in args] == [((5, 2), jnp.float64), ((2,), jnp.int64)]


def test_rules_of_custom_gradient_are_told_apart():
    @jax.custom_gradient
    def square(x):
        return x * x, lambda u: 2 * x * u

    @jax.custom_gradient
    def cube(x):
        return x**3, lambda u: 3 * x**2 * u

    with record_rules(Recorder()) as recorder:
        square(2.0)
        cube(2.0)
    names = [rule_name(call.rule).rpartition(".")[2] for call in recorder.calls.values()]
    assert names == ["square", "cube"]


def test_a_rule_that_is_told_its_dtype_keeps_it():
    rule = jax.custom_jvp(lambda x, dtype: jnp.sin(x).astype(dtype), nondiff_argnums=(1,))
    rule.defjvp(lambda dtype, p, t: (jnp.sin(p[0]).astype(dtype), t[0] * jnp.cos(p[0])))
    call = RecordedCall(rule, (jnp.ones(3, jnp.float32), np.dtype("float32")), has_values=True)
    assert judge_rule("sine", "custom_jvp", rule, call, time_limit=0.0).verdict == "PASS"


@pytest.mark.slow
def test_a_sampler_is_not_failed_for_an_implicit_derivative():
    @jax.custom_jvp
    def sample(x, key):
        return x * jax.random.normal(key, x.shape, x.dtype)

    sample.defjvp(lambda p, t: (sample(*p), t[0]))
    with jax.numpy_dtype_promotion("standard"):
        row = judge_rule("sample", "custom_jvp", sample, time_limit=0.0)
    assert row.verdict == "NOT JUDGED"
    assert row.note.startswith("draws random numbers, so that autodiff of one draw is no witness: gradient")


def test_a_call_with_numbers_replaces_one_with_shapes_and_the_rule_answers_as_before():
    original = jax.custom_jvp.__call__
    with record_rules(Recorder()) as recorder:
        assert float(jax.jit(jax.nn.relu)(2.0)) == 2.0
        jax.nn.relu(np.array([3.0]))
        jax.nn.relu(np.array([4.0]))
    calls = [call for call in recorder.calls.values() if call.rule is jax.nn.relu]
    assert [call.args[0].tolist() for call in calls] == [[3.0]]
    assert jax.custom_jvp.__call__ is original


def test_recorded_arguments_come_first():
    args = draw_arguments(jax.nn.relu, RecordedCall(jax.nn.relu, (np.ones((7,)),), has_values=True))
    assert args is not None
    assert args[0].shape == (7,)


SUITE = """
    import jax, jax.numpy as jnp

    @jax.custom_vjp
    def half(x):
        return x * x
    half.defvjp(lambda x: (x * x, x), lambda x, u: (x * u,))

    def test_values():
        assert half(jnp.array([3.0])).tolist() == [9.0]
        assert float(jax.jit(jax.nn.relu)(1.0)) == 1.0
"""


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["0", pytest.param("2", marks=pytest.mark.slow)])
def test_the_plugin_reports_every_rule_that_a_suite_calls(workers, tmp_path):
    (tmp_path / "test_suite.py").write_text(textwrap.dedent(SUITE), encoding="utf-8")
    plugins = ["-p", "no:jaxmlp", "-p", "jaxmlp.pytest_plugin", "-p", "no:cacheprovider", "-n", workers]
    options = ["--jaxmlp-vjp", "--jaxmlp-vjp-seconds", "1", "--rootdir", str(tmp_path)]
    line = [sys.executable, "-m", "pytest", "-q", *plugins, *options, str(tmp_path)]
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1, done.stdout
    assert "1 passed" in done.stdout
    rows = {text.split()[0].rpartition(".")[2]: text for text in done.stdout.splitlines() if "custom_" in text}
    assert "FAIL" in rows["half"]
    assert "0.5 times the correct gradient" in rows["half"]
    assert "PASS" in rows["relu"]
    assert "2 rules: 1 PASS, 1 FAIL, 0 NOT JUDGED" in done.stdout


def test_mistakes_of_a_caller():
    with pytest.raises(InputError, match="the name of a package, got not a name"):
        module.check_package("not a name")
    assert str(RuleReport("", (RuleRow("f", "custom_vjp", "PASS"),))).endswith("1 rule: 1 PASS, 0 FAIL, 0 NOT JUDGED")


def log_determinant(answer):
    """The rule of log det A that reads the Cholesky factor C of A, with the given cotangents of (A, C)."""

    def forward(A, C):
        return 2 * jnp.log(jnp.diagonal(C)).sum(), C

    f = jax.custom_vjp(lambda A, C: forward(A, C)[0])
    f.defvjp(forward, answer)
    return f


def inverse(C):
    return jnp.linalg.inv(C @ C.T)


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (lambda C, u: (u * inverse(C), None), "NOT JUDGED"),
        (lambda C, u: (u * inverse(C), 0.9 * u * jnp.diag(2 / jnp.diagonal(C))), "FAIL"),  # C is not left to A
        (lambda C, u: (None, 0.9 * u * jnp.diag(2 / jnp.diagonal(C))), "FAIL"),
        (lambda C, u: (None, u * jnp.diag(2 / jnp.diagonal(C))), "PASS"),
    ],
)
def test_arguments_that_belong_together_are_not_judged_one_by_one(answer, verdict):
    C = np.array([[2.0, 0.0], [0.3, 1.5]])
    call = RecordedCall(None, (C @ C.T, C), True)
    row = judge_rule("log_determinant", "custom_vjp", log_determinant(answer), call, time_limit=0.0)
    assert row.verdict == verdict
    assert ("computed from another" in row.note) == (verdict == "NOT JUDGED")


@pytest.mark.parametrize("bias", [0.0, 1.0])
def test_a_rule_that_loses_a_gradient_beside_a_bias_of_zeros_fails(bias):
    f = jax.custom_vjp(lambda W, b: jnp.sin(W) + b)
    f.defvjp(lambda W, b: (jnp.sin(W) + b, None), lambda _, u: (0 * u, u))
    call = RecordedCall(None, (np.arange(1.0, 4.0), np.full(3, bias)), True)
    assert judge_rule("dense", "custom_vjp", f, call, time_limit=0.0).verdict == "FAIL"
