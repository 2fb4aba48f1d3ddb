"""The process that imports a package and judges its rules: what hangs or crashes there leaves its caller whole.

    python -m jaxmlp.evidence.package_check.worker PACKAGE FIRST SECONDS

It writes one JSON object a line to stdout: {"found": […], "failed_imports": […]}, then {"row": […]} for each rule from
number FIRST on; {"error": text} where the package cannot be imported.
"""

import doctest
import json
import os
import sys
import traceback
import warnings
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any

from jaxmlp.evidence.package_check.discover import FoundRule, find_rules
from jaxmlp.evidence.package_check.judge import RuleRow, judge_rule
from jaxmlp.evidence.package_check.recording import RecordedCall, Recorder, record_rules


def main(package: str, first: int, seconds: float) -> None:
    """Judge the rules of a package from number `first` on."""
    lines = os.fdopen(os.dup(1), "w")  # for our lines alone: what the package prints goes to stderr
    # the file descriptor and not only sys.stdout, because compiled code writes to it directly
    os.dup2(2, 1)
    warnings.simplefilter("ignore")  # of the package, at import and in its examples

    def write(**line: Any) -> None:
        print(json.dumps(line), file=lines, flush=True)

    sys.path.insert(0, os.getcwd())  # a package that is not installed yet
    try:
        discovery = find_rules(package)
    except (Exception, SystemExit) as error:  # code of others
        text = traceback.format_exception_only(error)[-1]
        write(error=" ".join(text.split())[:300])
        return
    write(found=[(rule.name, rule.form) for rule in discovery.rules], failed_imports=discovery.failed_imports)
    for rule in discovery.rules[first:]:
        try:
            row = judge_rule(rule.name, rule.form, rule.function, _call_in_docstring(rule), seconds)
        except (Exception, SystemExit) as error:  # a rule that ends the process would hide all that follow
            row = RuleRow(rule.name, rule.form, "NOT JUDGED", "", f"{type(error).__name__}: {error}"[:300])
        write(row=row)


def _call_in_docstring(rule: FoundRule) -> RecordedCall | None:
    """Return the call of a rule in the examples of its own docstring; None without any."""
    text = getattr(rule.owner, "__doc__", None) or ""
    if ">>>" not in text:
        return None
    module = sys.modules.get(str(getattr(rule.owner, "__module__", "")))
    names = {**vars(module)} if module else {}  # a copy: the examples define names in it
    sink = StringIO()
    with record_rules(Recorder()) as recorder, redirect_stdout(sink), redirect_stderr(sink):
        example = doctest.DocTestParser().get_doctest(text, names, rule.name, None, None)
        doctest.DocTestRunner(verbose=False).run(example, out=sink.write)
    return next((call for call in recorder.calls.values() if call.rule is rule.owner and call.has_values), None)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
