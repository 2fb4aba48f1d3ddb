"""`check_package`: every custom rule of an installed package through `check_vjp`, one row a rule.

The package is imported, and its rules run, in a process of their own. A rule that takes too long, or ends that process,
gets a row that says so; the rules after it are judged in the next process.
"""

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from jaxmlp.errors import InputError, sentence
from jaxmlp.evidence.package_check.judge import SECONDS_PER_RULE, RuleReport, RuleRow

IMPORT_SECONDS = 300.0  # for all modules of a package
GRACE_SECONDS = 120.0  # beyond the time limit of a rule: drawing its arguments, and one row that has begun
ShowRow = Callable[[RuleRow, int, int], None]


def check_package(package: str, *, time_limit: float = SECONDS_PER_RULE, show: ShowRow | None = None) -> RuleReport:
    """Find and judge every custom rule of a package.

    Arguments for the calls come from the examples in a rule's docstring, from the names, hints and defaults of its
    parameters, and from a table of shapes that are tried in turn. A rule that deliberately differs from the derivative
    (a clipped or straight-through gradient) fails; `check_vjp(rule, *args, reference=...)` can tell it what is meant.

    Args:
      package: the name by which it is imported, "optax", or of a part of it, "jax.nn".
      time_limit: seconds after which the check of a rule starts no new row; it is ended two minutes later.
      show: is called with each row, its number and the number of rules.

    Returns:
      A `RuleReport`.

    Raises:
      InputError: when the package cannot be imported.
    """
    if not all(part.isidentifier() for part in package.split(".")):
        raise InputError(sentence("check-package", "the name of a package", package, "write 'optax', say"))
    rows: list[RuleRow] = []
    while True:
        worker = _Worker.start(package, len(rows), time_limit)
        try:
            rules, failed_imports = _discover(worker, package)
            for row in _judged_rows(worker, rules, len(rows), time_limit):
                rows.append(row)
                if show is not None:
                    show(row, len(rows), len(rules))
        finally:
            worker.stop()
        # every process adds a row at least, if only that of the rule that ended it: the loop ends
        if len(rows) == len(rules):
            return RuleReport(f"custom rules of {package}", tuple(rows), failed_imports)


def _discover(worker: "_Worker", package: str) -> tuple[list[list[str]], tuple[str, ...]]:
    """Return name and form of every rule, and the modules that could not be imported."""
    answer = worker.read(IMPORT_SECONDS)
    if answer is None or "error" in answer:
        got = "an import that does not end" if worker.is_running else "an import that ends the process"
        got = got if answer is None else answer["error"]
        remedy = f"is {package} installed in this environment?"
        raise InputError(sentence("check-package", "a package that can be imported", got, remedy))
    return answer["found"], tuple(answer["failed_imports"])


def _judged_rows(worker: "_Worker", rules: list[list[str]], first: int, time_limit: float) -> Iterator[RuleRow]:
    """Yield the rows of a process, to the end or to the rule that it did not survive."""
    seconds = time_limit + GRACE_SECONDS
    for name, form in rules[first:]:
        answer = worker.read(seconds)
        if answer is None:
            reason = "the process ended: a crash in compiled code, or an exit"
            reason = f"no answer within {seconds:g} s" if worker.is_running else reason
            yield RuleRow(name, form, "NOT JUDGED", "", reason)
            return
        yield RuleRow(*answer["row"])


class _Worker(NamedTuple):
    process: "subprocess.Popen[str]"
    lines: "queue.Queue[str | None]"

    @classmethod
    def start(cls, package: str, first: int, seconds: float) -> "_Worker":
        """Start the process, and a thread that reads its lines."""
        arguments = [sys.executable, "-m", "jaxmlp.evidence.package_check.worker", package, str(first), str(seconds)]
        # on a GPU the process must not take the memory that this one needs
        environment = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"} | os.environ  # what the user has set wins
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # no pipe: nobody would read it, and a full one blocks the process
            text=True,
            env=environment,
        )
        lines: queue.Queue[str | None] = queue.Queue()

        def read() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                lines.put(line)
            lines.put(None)  # so that `read` does not wait until its time is over

        # daemon: beside a process that hangs the thread never ends, and must not keep ours alive
        threading.Thread(target=read, daemon=True).start()
        return cls(process, lines)

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self.process.poll() is None

    def read(self, seconds: float) -> dict[str, Any] | None:
        """Return the next object; None after this time, and when the process has ended."""
        try:
            line = self.lines.get(timeout=seconds)
        except queue.Empty:
            return None
        if line is None:
            self.process.wait()
            return None
        return json.loads(line)

    def stop(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
