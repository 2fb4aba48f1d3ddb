"""`pytest --jaxmlp-vjp`: check every custom rule that a test suite calls.

The suite runs as it always does, while each call of a `custom_vjp` or `custom_jvp` is recorded, one a rule. After the
last test `check_vjp` gets the recorded arguments (drawn numbers where a rule saw only tracers), a table has one row a
rule, and a rule that fails makes pytest end with exit status 1. With pytest-xdist each worker checks what it recorded.
"""

import warnings
from contextlib import ExitStack
from typing import Any

import pytest

PLUGIN = "jaxmlp-vjp"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("jaxmlp")
    text = "check every custom_vjp and custom_jvp that the tests call, after the last test"
    group.addoption("--jaxmlp-vjp", action="store_true", default=False, help=text)
    text = "check only rules whose module begins with this name"
    group.addoption("--jaxmlp-vjp-package", metavar="NAME", default="", help=text)
    text = "seconds after which the check of a rule starts no new row [as jaxmlp check-package]"
    group.addoption("--jaxmlp-vjp-seconds", metavar="S", type=float, default=None, help=text)


def pytest_configure(config: pytest.Config) -> None:
    """Record and check only where the option is given: without it nothing else is imported."""
    if config.getoption("--jaxmlp-vjp"):
        config.pluginmanager.register(RulePlugin(config), PLUGIN)


class RulePlugin:
    """Record during the session, check at its end, and report."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.rows: list[tuple[str, ...]] = []
        self._stack = ExitStack()
        self._recorder: Any = None

    def pytest_sessionstart(self) -> None:
        """Begin to record."""
        from jaxmlp.evidence.package_check.recording import Recorder, record_rules

        self._recorder = self._stack.enter_context(record_rules(Recorder()))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Check what was recorded; a rule that fails fails the session."""
        self._stack.close()  # before the checks, whose own calls are no part of the suite
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a suite may turn warnings into errors, and these are not its own
            self.rows += self._judge()
        output = getattr(self.config, "workeroutput", None)
        if output is not None:  # a worker of xdist prints nothing
            output[PLUGIN] = self.rows
        elif any(row[2] == "FAIL" for row in self.rows) and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object) -> None:
        """Take the rows of a worker of xdist."""
        self.rows += [tuple(row) for row in getattr(node, "workeroutput", {}).get(PLUGIN, ())]

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the table."""
        from jaxmlp.evidence.package_check.judge import RuleReport, RuleRow

        # two workers may have recorded the same rule: a failure is not hidden by a pass
        order = {"FAIL": 0, "PASS": 1, "NOT JUDGED": 2}
        best: dict[str, Any] = {}
        for row in sorted((RuleRow(*row) for row in self.rows), key=lambda row: order[row.verdict]):  # pyright: ignore[reportArgumentType]
            best.setdefault(row.rule, row)
        terminalreporter.section("jaxmlp: custom rules")
        terminalreporter.write_line(str(RuleReport("", tuple(sorted(best.values())))).lstrip("\n"))

    def _judge(self) -> list[tuple[str, ...]]:
        from jaxmlp.evidence.package_check.judge import SECONDS_PER_RULE, judge_rule

        package = str(self.config.getoption("--jaxmlp-vjp-package"))
        limit = self.config.getoption("--jaxmlp-vjp-seconds")
        seconds = SECONDS_PER_RULE if limit is None else float(str(limit))
        calls = {rule_name(call.rule): call for call in self._recorder.calls.values()}
        names = sorted(name for name in calls if name.startswith(package))
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        rows = []
        for i, name in enumerate(names, start=1):
            rule = calls[name].rule
            row = judge_rule(name, type(rule).__name__, rule, calls[name], seconds)
            rows.append(tuple(row))
            if reporter is not None:  # a large suite calls many rules, and each takes seconds
                reporter.ensure_newline()
                reporter.write_line(f"jaxmlp {i}/{len(names)}  {row.verdict}  {name}")
        return rows


def rule_name(rule: object) -> str:
    """Return the module and name that define a rule.

    >>> import jax
    >>> rule_name(jax.nn.relu).rpartition(".")[2]
    'relu'
    """
    from jaxmlp.evidence.package_check.discover import defining_function

    function = defining_function(rule)
    name = getattr(function, "__qualname__", type(rule).__name__)
    return f"{getattr(function, '__module__', '')}.{name}".lstrip(".")
