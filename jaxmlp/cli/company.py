"""Several processes, on one host or on many: how they begin a run together, and how the end of one is known to all.

    process 0 ━━ a connection to every other process, open for as long as both run

When a process ends, in whatever way, its system closes its connections at once; when a host goes silent, keepalive
does within half a minute. Whoever sees a connection close without a farewell says which process was lost and how to
go on, and ends. JAX alone would notice after its heartbeat of 100 s, or abort with a stack trace, or wait forever in a
sum that the lost process has no part in.

All are there before JAX is told of them, for it aborts, too, when one does not come.

A mistake that all processes make is said by each: who has made one gives the others a moment to come to it, too.
"""

import atexit
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import click
import jax

from jaxmlp.errors import InputError, sentence

GRACE = 2.0  # seconds
PATIENCE = 300.0  # seconds for all to come
_FAREWELL = b"done"
_KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 4}  # seconds, seconds, times


def company_options(command: click.decorators.FC) -> click.decorators.FC:
    """How a process finds the others."""
    options = (
        click.option("--coordinator", metavar="HOST:PORT", help="Of several processes: where process 0 is found."),
        click.option("--num-processes", type=click.IntRange(1), metavar="N", help="How many they are."),
        click.option("--process-id", type=click.IntRange(0), metavar="I", help="Which one this is, from 0."),
    )
    for option in reversed(options):
        command = option(command)
    return command


class Company:
    """The processes of a run, as one of them sees the others.

    Attributes:
      n, index: how many they are, and which one this is.
      advice: what the user is told to do when one is lost.
    """

    def __init__(self, connections: dict[int, socket.socket], n: int, index: int, say: Callable[[str], None]) -> None:
        self.n, self.index, self.advice = n, index, "start them all again"
        self._say = say
        self._over, self._alarm = threading.Event(), threading.Event()
        self._connections = connections
        self._listeners = [
            threading.Thread(target=self._listen, args=(other, connection), daemon=True)
            for other, connection in connections.items()
        ]
        for listener in self._listeners:
            listener.start()

    def _listen(self, other: int, connection: socket.socket) -> None:
        heard = b""
        with suppress(OSError):
            while piece := connection.recv(64):
                heard += piece
        if heard != _FAREWELL:
            self._end(int(heard) if heard.isdigit() else other, at_once=other == 0)

    def _end(self, lost: int, *, at_once: bool) -> None:
        """End this process because of a lost one, unless it comes to an end of its own within the grace."""
        if self._over.is_set() or self._alarm.is_set():
            return
        self._alarm.set()
        if not at_once and self._over.wait(GRACE):
            return
        for connection in self._connections.values():
            with suppress(OSError):
                connection.sendall(str(lost).encode())
        self._say(f"process {lost} of {self.n} was lost; {self.advice}")
        _leave(1)

    def part(self) -> None:
        """Say farewell, and wait for that of the others."""
        for connection in self._connections.values():
            with suppress(OSError):
                connection.sendall(_FAREWELL)
                connection.shutdown(socket.SHUT_WR)
        for listener in self._listeners:
            listener.join()
        self._over.set()
        jax.distributed.shutdown()

    def fall_out(self, error: BaseException) -> None:
        """Leave on an error: with the word of a lost process, if that is what it comes from."""
        if not isinstance(error, InputError | KeyboardInterrupt) and self._alarm.wait(GRACE):
            time.sleep(2 * GRACE)  # and longer than a listener takes to say so
        self._over.set()
        if self.index == 0:  # the others would take its going for the cause
            until = time.monotonic() + GRACE
            for listener in self._listeners:
                listener.join(max(until - time.monotonic(), 0))
        # JAX waits at the exit for processes that do not come: go before it does
        atexit.register(_leave, 2 if isinstance(error, InputError) else 1)


@contextmanager
def joined(coordinator: str, n: int, index: int, say: Callable[[str], None]) -> Iterator[Company]:
    """Within the block this is one process of several.

    Args:
      coordinator: HOST:PORT at which process 0 listens for the others.
      n, index: how many processes there are, and which one this is.
      say: tells the user of a lost process, in one line.

    Raises:
      InputError: when these do not fit together, and when somebody does not come.
    """
    host, colon, port = coordinator.rpartition(":")
    if not (host and colon and port.isdigit()):
        raise InputError(sentence("--coordinator", "HOST:PORT", repr(coordinator), "write 10.0.0.1:9000, say"))
    if index >= n:
        raise InputError(sentence("--process-id", f"a number below {n}", index, "count from 0"))
    connections, jax_port = _connected(host, int(port), n, index)
    company = Company(connections, n, index, say)
    _keep_stdout()
    try:
        jax.distributed.initialize(f"{host}:{jax_port}", n, index)
        yield company
    except BaseException as error:
        company.fall_out(error)
        raise
    company.part()


def _connected(host: str, port: int, n: int, index: int) -> tuple[dict[int, socket.socket], int]:
    """Process 0: a connection to each other one; the others: theirs to process 0. And the port for JAX."""
    until = time.monotonic() + PATIENCE
    found = _called(port, n, until) if index == 0 else {0: _answered(host, port, index, until)}
    if index == 0:
        with socket.create_server(("", 0)) as free:
            jax_port = free.getsockname()[1]
        for connection in found.values():
            connection.sendall(jax_port.to_bytes(4))
    else:
        told = _number(found[0])
        if told is None:
            remedy = "start the same command once with each"
            raise InputError(sentence("--process-id", "a number that no other process has", index, remedy))
        jax_port = told
    for connection in found.values():
        connection.settimeout(None)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE.items():
            if hasattr(socket, name):  # not on every system
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return found, jax_port


def _called(port: int, n: int, until: float) -> dict[int, socket.socket]:
    """Process 0: wait for the others to call."""
    found: dict[int, socket.socket] = {}
    try:
        server = socket.create_server(("", port), backlog=n)
    except OSError as error:
        remedy = "choose another port"
        raise InputError(sentence("--coordinator", "a port that is free here", f"{port} ({error})", remedy)) from None
    with server:
        while len(found) < n - 1:
            server.settimeout(max(until - time.monotonic(), 0.01))
            try:
                connection, _ = server.accept()
            except TimeoutError:
                remedy = "start the same command with every --process-id"
                expects = f"{n} processes within {PATIENCE:g} s"
                raise InputError(sentence("--num-processes", expects, len(found) + 1, remedy)) from None
            connection.settimeout(GRACE)
            index = _number(connection)
            if index is None or not 1 <= index < n or index in found:  # anybody may call at a port
                connection.close()
            else:
                found[index] = connection
    return found


def _number(connection: socket.socket) -> int | None:
    """The number that the other side sends, in four bytes; None where it does not."""
    data = b""
    with suppress(OSError):
        while len(data) < 4 and (piece := connection.recv(4 - len(data))):
            data += piece
    return int.from_bytes(data) if len(data) == 4 else None


def _answered(host: str, port: int, index: int, until: float) -> socket.socket:
    """The others: call process 0 until it is there."""
    while True:
        try:
            connection = socket.create_connection((host, port), timeout=PATIENCE)
        except OSError as error:
            if time.monotonic() > until:
                expects = f"process 0 at {host}:{port} within {PATIENCE:g} s"
                remedy = "start the same command with --process-id 0 there"
                raise InputError(sentence("--coordinator", expects, error, remedy)) from None
            time.sleep(0.1)
        else:
            connection.sendall(index.to_bytes(4))
            return connection


def _keep_stdout() -> None:
    """Leave stdout to Python: Gloo, which carries the sums between CPUs, prints to descriptor 1, from now on stderr."""
    sys.stdout.flush()
    sys.stdout = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)


def _leave(code: int) -> None:
    """End this process now."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
