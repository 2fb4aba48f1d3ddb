"""Several processes, on one host or on many: how they connect, and what the user reads when one is lost.

`jax.distributed` connects the processes, reads their places from a cluster, and sends the heartbeats. When a process is
lost, JAX raises an error in the others, or ends them with a stack trace when a heartbeat is missed. The user reads one
line instead: a small watcher process holds that line, and prints it when this process ends without withdrawing it.
"""

import atexit
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import IO, NamedTuple

import click
import jax

from jaxmlp.cli.options import apply_options
from jaxmlp.cli.streams import open_messages
from jaxmlp.errors import InputError, sentence
from jaxmlp.interrupts import clean_up_on_signal

AUTO, NONE = "auto", "none"
START_SECONDS = 300  # time for all processes to start
HEARTBEAT_SECONDS = 20  # without a heartbeat after which a process counts as lost
# Number of processes and index of this one, as the launchers of clusters that JAX knows set them
CLUSTERS = {
    "Slurm": ("SLURM_NTASKS", "SLURM_PROCID"),
    "Open MPI": ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    "Kubernetes": ("JAX_NUM_PROCESSES", "JOB_COMPLETION_INDEX"),
}
LAUNCHERS = {"Slurm": "srun", "Open MPI": "mpirun", "Kubernetes": "an indexed Job"}
# Parts of the errors that JAX raises in a sum with a process that has ended
_LOST = ("Gloo", "NCCL", "UNAVAILABLE", "DEADLINE_EXCEEDED", "heartbeat")
# the watcher: it reads lines until this process closes the pipe or ends, and prints the last one unless it is empty
_WATCHER = """
import sys
line = ""
for line in sys.stdin:
    pass
if line.strip():
    sys.stderr.write(line)
"""


def process_options(command: click.decorators.FC) -> click.decorators.FC:
    """Add the options that connect several processes."""
    options = (
        click.option("--coordinator", metavar="HOST:PORT", help="Address of process 0; or auto, to read it from the "
                     "cluster; or none, for a single process [auto in a cluster]."),
        click.option("--num-processes", type=click.IntRange(1), metavar="N", help="Number of processes."),
        click.option("--process-id", type=click.IntRange(0), metavar="I", help="Number of this process, from 0."),
    )  # fmt: skip
    return apply_options(command, options)


class Place(NamedTuple):
    """The place of this process in a run. All are None where JAX reads them from the cluster."""

    coordinator: str | None = None
    n_processes: int | None = None
    process_id: int | None = None


def resolve_place(coordinator: str | None, n: int | None, process_id: int | None) -> Place | None:
    """Return the place that the options or the cluster describe; None for a single process.

    Raises:
      InputError: for options that do not fit together, and for a cluster that sets only some of its variables.
    """
    options = [coordinator, n, process_id]
    if coordinator in (None, AUTO, NONE) and options[1:] == [None, None]:
        cluster = None if coordinator == NONE else detect_cluster(os.environ)
        if coordinator == AUTO and cluster is None:
            remedy = "start the command with srun or mpirun, or give HOST:PORT"
            raise InputError(sentence("--coordinator auto", "a cluster that JAX knows", "none", remedy))
        return None if cluster is None else Place()
    if coordinator in (None, AUTO, NONE) or n is None or process_id is None:
        expects = "--coordinator, --num-processes and --process-id together"
        raise InputError(sentence("train", expects, f"{3 - options.count(None)} of them", "give all three, or none"))
    # from the right, because an IPv6 address contains colons itself
    host, colon, port = coordinator.rpartition(":")
    if not (host and colon and port.isdigit()):
        raise InputError(sentence("--coordinator", "HOST:PORT", repr(coordinator), "write 10.0.0.1:9000, for example"))
    if process_id >= n:
        raise InputError(sentence("--process-id", f"a number below {n}", process_id, "count from 0"))
    return Place(coordinator, n, process_id)


def detect_cluster(environment: Mapping[str, str]) -> str | None:
    """Return the name of the cluster that has started this process as one of several; None for a single process.

    Raises:
      InputError: when it sets the number of processes but not the index of this one.

    >>> detect_cluster({"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}), detect_cluster({"SLURM_NTASKS": "1"})
    ('Slurm', None)
    """
    for name, (size, index) in CLUSTERS.items():
        if not environment.get(size, "").isdigit() or int(environment[size]) < 2:
            continue
        # started without the launcher, as in an interactive allocation: JAX would wait for processes that nobody starts
        if index not in environment:
            remedy = f"start the command with {LAUNCHERS[name]}, or add --coordinator none"
            raise InputError(sentence(f"{name} with {size}={environment[size]}", index, "none", remedy))
        return name
    return None


class Membership:
    """This process as one of several that train together.

    Attributes:
      n, index: the number of processes, and the index of this one.
    """

    def __init__(self, watcher: IO[str]) -> None:
        self.n, self.index = jax.process_count(), jax.process_index()
        self._watcher = watcher
        self.advise("start them all again")

    def advise(self, advice: str) -> None:
        """Set the advice that the user reads when a process is lost."""
        _leave_line(self._watcher, f"one of the {self.n} processes of this run was lost; {advice}")


@contextmanager
def joined(place: Place) -> Iterator[Membership]:
    """Connect this process with the others within the block.

    Raises:
      InputError: when JAX cannot connect the processes.
    """
    _redirect_native_output()
    output = sys.stderr  # of Python, because descriptor 2 is now the file
    # a session of its own, so that the Ctrl-C of the terminal does not end the watcher before this process
    watcher = subprocess.Popen(
        [sys.executable, "-c", _WATCHER], stdin=subprocess.PIPE, stderr=output, text=True, start_new_session=True
    )
    assert watcher.stdin is not None
    expects = f"{place.n_processes or 'all'} processes within {START_SECONDS} s"
    remedy = "start the same command with every --process-id"
    _leave_line(watcher.stdin, sentence("--num-processes", expects, "fewer", remedy))
    try:
        _initialize(place)
        with clean_up_on_signal(partial(_leave_line, watcher.stdin, "")):
            yield Membership(watcher.stdin)
    except BaseException as error:
        if _is_lost(error):
            watcher.stdin.close()  # which prints the line
            watcher.wait()
            _exit_now(1)
        _leave_line(watcher.stdin, "")
        # at exit JAX waits for processes that do not come: end before it does
        atexit.register(_exit_now, 2 if isinstance(error, InputError) else 1)
        raise
    jax.distributed.shutdown()
    _leave_line(watcher.stdin, "")
    watcher.stdin.close()
    watcher.wait()


def _initialize(place: Place) -> None:
    try:
        jax.distributed.initialize(
            place.coordinator,
            place.n_processes,
            place.process_id,
            initialization_timeout=START_SECONDS,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
        )
    except (RuntimeError, ValueError, KeyError, OSError) as error:
        text = (str(error).splitlines() or [type(error).__name__])[0][:200]
        remedy = "check the address, and start the same command once with every --process-id"
        raise InputError(sentence("--coordinator", "a connection to process 0", text, remedy)) from None


def _is_lost(error: BaseException) -> bool:
    """Whether an error comes from a process that has ended."""
    is_local = isinstance(error, InputError | KeyboardInterrupt | SystemExit)
    return not is_local and any(part in str(error) for part in _LOST)


def _leave_line(watcher: IO[str], line: str) -> None:
    """Give the watcher the line to print if this process ends; an empty line to print nothing."""
    with suppress(OSError, ValueError):
        watcher.write(f"error: {line}\n" if line else "\n")
        watcher.flush()


def _redirect_native_output() -> None:
    """Keep stdout and stderr for Python: what Gloo prints to descriptor 1, and JAX to 2, goes to a file."""
    for name, number in (("stdout", 1), ("stderr", 2)):
        getattr(sys, name).flush()
        copy = os.dup(number)
        is_stdout = name == "stdout"
        setattr(sys, name, os.fdopen(copy, "w", encoding="utf-8", buffering=1) if is_stdout else open_messages(copy))
    with tempfile.TemporaryFile() as log:
        for number in (1, 2):
            os.dup2(log.fileno(), number)


def _exit_now(code: int) -> None:
    """End this process without the exit handlers, in which JAX waits for processes that have ended."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
